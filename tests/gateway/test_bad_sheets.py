"""Spreadsheets with all the damage that spreadsheets do.

Rows are read, or the file is refused with a word on why; nothing crashes, nothing is lost.
"""

import io
from datetime import date

import pytest
import xlsxwriter
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from services.gateway.files import roster
from shared.errors import Refused
from tests import strategies


def book_of(rows) -> bytes:
    target = io.BytesIO()
    book = xlsxwriter.Workbook(
        target, {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    page, day = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"})
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            if isinstance(value, date):
                page.write_datetime(number, column, value, day)
            elif value is not None:
                page.write(number, column, value)
    book.close()
    return target.getvalue()


@pytest.mark.rule("IMP-04", "IMP-09")
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.lists(strategies.cells, max_size=11), max_size=8),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
)
def test_any_cells(rows, before, shift, own):
    """IMP-09: a damaged file is a list of rows or a refusal of the file.

    Damage: shifted columns, lines above the header, numbers, dates and broken cells.
    """
    assume(not any(isinstance(cell, str) and "模板" in cell for row in rows for cell in row))
    marker = roster.OTHER_MARKER if own else roster.MARKER
    table = [
        [marker],
        *[[] for _ in range(before)],
        [*[None] * shift, *roster.HEADER],
        *[[*[None] * shift, *row] for row in rows],
    ]
    read = roster.read_roster(book_of(table), own=own)
    assert len(read) <= len(rows)
    for row in read:
        assert row.joined_on is None or isinstance(row.joined_on, date)
        assert all(
            isinstance(text, str)
            for text in (
                row.branch_name,
                row.name,
                row.id_number,
                row.phone,
                row.development_number,
                row.post,
                row.problem,
            )
        )
    wrong = roster.MARKER if own else roster.OTHER_MARKER
    with pytest.raises(Refused, match="roster_broken"):
        roster.read_roster(book_of([[wrong], *table[1:]]), own=own)


@pytest.mark.rule("IMP-03", "IMP-04")
@settings(max_examples=100)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.builds(
            lambda data, at: book_of([["x"]])[:at] + data, st.binary(max_size=50), st.integers(0, 3000)
        ),
    )
)
def test_any_bytes(content):
    """IMP-03: whatever file is sent, it is refused with a word, not with a trace."""
    with pytest.raises(Refused) as caught:
        roster.read_roster(content)
    assert caught.value.code == "roster_broken" and caught.value.refusal.say()


@pytest.mark.rule("IMP-07")
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.builds(
            roster.RosterRow,
            st.just(0),
            st.just("共青团某支部委员会"),
            strategies.names,
            strategies.id_numbers(),
            st.sampled_from(roster.GROUPS),
            st.from_regex(r"\A199[0-9]{8}\Z"),
            st.dates(date(2000, 1, 1), date(2026, 1, 1)).map(lambda day: day.replace(day=1)),
            st.from_regex(r"\A20[0-9]{10}\Z"),
            st.sampled_from(("", "secretary", "publicist")),
            st.just(""),
        ),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
def test_what_is_written_is_read(rows, own):
    """IMP-07: rows written with reasons and read again are the same rows, rare characters and all."""
    target = io.BytesIO()
    roster.write_roster(target, [roster.failed(row, "=原因") for row in rows], reasons=True, own=own)
    read = roster.read_roster(target.getvalue(), own=own)

    def keep(row):
        return (
            row.name,
            row.id_number,
            row.ethnic_group,
            row.phone,
            row.joined_on,
            row.development_number,
            row.post,
            row.problem,
        )

    assert [keep(row) for row in read] == [keep(row) for row in rows]
