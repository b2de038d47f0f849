"""Spreadsheets as people send them.

What is read, what is refused, and that what we write can be read again.
"""

import io
from datetime import date
from pathlib import Path

import pytest

from services.gateway.files import roster
from shared.errors import Refused
from tests.gateway.roster_factories import GOOD, sheet


@pytest.mark.rule("IMP-02", "IMP-03")
def test_round_trip():
    """IMP-02: what is written in the template's form is read back the same, without the example."""
    rows = [
        roster.RosterRow(
            0,
            "某支部",
            name,
            "11010120050101001X",
            "汉族",
            "19900000000",
            date(2019, 5, 1),
            "201900000001",
            "",
        )
        for name in ("张三", "𠮷田", "阿依古丽·买买提")
    ]
    target = io.BytesIO()
    roster.write_roster(target, rows)

    read = roster.read_roster(target.getvalue())

    assert [(one.name, one.id_number, one.joined_on, one.phone) for one in read] == [
        (one.name, one.id_number, one.joined_on, one.phone) for one in rows
    ]


@pytest.mark.rule("IMP-07")
def test_failed_rows_can_be_uploaded_again():
    """IMP-07: the list of failed rows names the reason and is itself a roster."""
    (row,) = roster.read_roster(sheet(GOOD))
    target = io.BytesIO()
    roster.write_roster(target, [roster.failed(row, "身份证号码有误")], reasons=True)

    (again,) = roster.read_roster(target.getvalue())

    assert (again.name, again.id_number, again.post, again.problem) == ("张三", GOOD[3], "secretary", "")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2019-05", date(2019, 5, 1)),
        ("2019.5", date(2019, 5, 1)),
        ("201905", date(2019, 5, 1)),
        ("2019年5月", date(2019, 5, 1)),
        (201905, date(2019, 5, 1)),
        ("20190504", date(2019, 5, 4)),
        (date(2019, 5, 4), date(2019, 5, 4)),
        ("２０１９－０５", date(2019, 5, 1)),
        ("", None),
    ],
)
def test_months(given, wanted):
    """The month of joining is understood however the spreadsheet holds it."""
    (row,) = roster.read_roster(sheet((*GOOD[:6], given, "", "")))

    assert (row.joined_on, row.problem) == (wanted, "")


def test_unreadable_month_is_named():
    """A month that means nothing is a problem of that row."""
    (row,) = roster.read_roster(sheet((*GOOD[:6], "去年", "", "")))

    assert row.joined_on is None and "2019-05" in row.problem


@pytest.mark.rule("IMP-09")
def test_numbers_spoilt_by_the_spreadsheet_are_named():
    """IMP-09: a number that the spreadsheet made a floating one has lost digits and is refused.

    The way out is said, nothing is guessed.
    """
    (row,) = roster.read_roster(sheet((*GOOD[:3], 110101200501010010, *GOOD[4:])))

    assert "文本" in row.problem


def test_blanks_full_width_and_empty_lines():
    """Full-width digits, stray blanks and a small x are folded.

    Empty lines and a header further down do no harm.
    """
    content = sheet(
        (),
        ("", "", "", "", "", "", "", "", ""),
        (*GOOD[:2], " 张三 ", "１１０１０１ 20050101001x", *GOOD[4:]),
        (),
    )

    (row,) = roster.read_roster(content)

    assert (row.name, row.id_number, row.number) == ("张三", "11010120050101001X", 5)


@pytest.mark.rule("IMP-03", "IMP-04", "IMP-14")
@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (b"no spreadsheet", "roster_broken", "xlsx"),
        (b"", "roster_broken", "xlsx"),
        (sheet(GOOD, marker=roster.OTHER_MARKER), "roster_broken", "混用"),
        (sheet(GOOD, marker="something else"), "roster_broken", "模板"),
        (sheet(GOOD, header=("序号", "名字")), "roster_broken", "表头"),
        (sheet(GOOD, header=("序号", "姓名", "身份证号码")), "roster_broken", "所在团支部全称"),
        (sheet(*[GOOD] * (roster.MAX_ROWS + 1)), "roster_too_long", str(roster.MAX_ROWS)),
    ],
)
def test_refused_files(content, code, word):
    """IMP-04: a file that is no roster is refused as a whole, with a word on what is wrong.

    IMP-14: so is one with a row too many.
    """
    with pytest.raises(Refused) as refused:
        roster.read_roster(content)
    assert refused.value.code == code and word in refused.value.refusal.say("zh")


def test_nothing_typed_becomes_a_formula():
    """A name that begins with = is text in the file that we write."""
    target = io.BytesIO()
    roster.write_roster(
        target, [roster.RosterRow(0, "某支部", "=1+1", "11010120050101001X", "", "", None, "", "")]
    )

    (row,) = roster.read_roster(target.getvalue())

    assert row.name == "=1+1"


@pytest.mark.rule("IMP-04", "IMP-11")
def test_a_row_without_a_branch():
    """IMP-04: in the template of branches a row without one fails.

    In the template of own-level cadres there is none to name.
    """
    row = (GOOD[0], "", *GOOD[2:])
    assert roster.read_roster(sheet(row))[0].problem == "所在团支部全称不能为空"
    (own,) = roster.read_roster(sheet(row, marker=roster.OTHER_MARKER), own=True)
    assert (own.problem, own.branch_name, own.post) == ("", "", "secretary")
    assert "团内职务不在可选范围" in roster.read_roster(sheet((*GOOD[:8], "队长")))[0].problem


@pytest.mark.rule("IMP-03", "IMP-09")
def test_a_real_xls():
    """IMP-03: an .xls (BIFF8, written by another program) is read.

    With a remark above the header, shifted columns, numbers and dates as cells.
    """
    rows = roster.read_roster((Path(__file__).parent / "data" / "roster.xls").read_bytes())

    assert [(one.name, one.joined_on, one.phone, one.post) for one in rows] == [
        ("张三", date(2019, 5, 1), "19900000000", "secretary"),
        ("阿依古丽·买买提", date(2019, 5, 4), "19900000001", ""),
        ("李四", date(2019, 5, 1), "19900000002", ""),
        ("𠮷田", date(2019, 5, 1), "19900000003", "organiser"),
    ]
    assert [bool(one.problem) for one in rows] == [False, False, True, False]
    assert "文本" in rows[2].problem
