"""Spreadsheets made to hurt: each is refused in bounded time and memory.

The process that serves people goes on as if nothing were.

The reader is a process of its own; here the real one is started for each file.
"""

import io
import resource
import threading
import time
import uuid
from datetime import date
from pathlib import Path

import msgspec
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.files import open_workbook, roster, workbooks
from shared.errors import Refused
from shared.messages import decoding, members
from tests.gateway.factories import HOSTILE
from tests.gateway.roster_factories import GOOD, sheet

READERS = workbooks.Readers()


@pytest.mark.rule("IMP-03")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name):
    """IMP-03: `roster_broken` within seconds, and this process has not grown by what the file asks for."""
    content = HOSTILE[name]()
    assert len(content) < 5 * 2**20
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()

    with pytest.raises(Refused, match="roster_broken") as refused:
        READERS.read_roster(content, person_id=1)

    assert refused.value.refusal.say("zh")
    assert time.monotonic() - started < workbooks.WALL_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.rule("IMP-03", "IMP-09")
def test_a_good_file_comes_through_whole():
    """IMP-03, IMP-09: rows, dates, problems and refusals are the same as without a process between."""
    for content in (
        sheet(GOOD, (*GOOD[:3], 110101200501010010, *GOOD[4:])),
        sheet(*[GOOD] * roster.MAX_ROWS),
    ):
        assert READERS.read_roster(content, person_id=1) == roster.read_roster(content)
    with pytest.raises(Refused, match="roster_too_long") as refused:
        READERS.read_roster(sheet(*[GOOD] * (roster.MAX_ROWS + 1)), person_id=1)
    assert str(roster.MAX_ROWS) in refused.value.refusal.say("zh")
    with pytest.raises(Refused, match="roster_broken") as refused:
        READERS.read_roster(sheet(GOOD), person_id=1, own=True)
    assert "混用" in refused.value.refusal.say("zh")


@pytest.mark.rule("IMP-14")
def test_an_installation_says_how_many_rows():
    """IMP-14: the most rows of a file are the installation's, in the process that reads as well."""
    readers = workbooks.Readers(max_rows=2)
    assert len(readers.read_roster(sheet(GOOD, GOOD), person_id=1)) == 2
    with pytest.raises(Refused, match="roster_too_long") as refused:
        readers.read_roster(sheet(GOOD, GOOD, GOOD), person_id=1)
    assert "2" in refused.value.refusal.say("zh")


def test_a_text_without_end_is_cut_and_named():
    """A cell of 32,767 characters is a problem of its row, not of the file, and nobody stores it."""
    (row,) = roster.read_roster(sheet((*GOOD[:2], "张" * 32_767, *GOOD[3:])))
    assert len(row.name) == roster.MAX_TEXT and "过长" in row.problem


def test_the_reader_has_no_secrets(monkeypatch):
    """The process that opens files is given neither addresses nor keys.

    Its environment is made, not inherited.
    """
    seen = {}

    class Fake(workbooks.subprocess.Popen):  # the real process, looked at while it is started
        def __init__(self, *args, **keywords):
            seen.update(keywords["env"])
            super().__init__(*args, **keywords)

    monkeypatch.setattr(workbooks.subprocess, "Popen", Fake)
    monkeypatch.setenv("AMQP_URI", "amqp://secret")
    READERS.read_roster(sheet(GOOD), person_id=1)
    assert seen and set(seen) <= {
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
        "LC_ALL",
        "TUANQIAO_IMPORT_MAX_ROWS",
    }


def test_a_reader_that_does_not_end_is_killed_and_reaped(monkeypatch):
    """After the time on the wall the reader is gone, no zombie is left, and the place is free again."""
    monkeypatch.setattr(workbooks, "WALL_SECONDS", 0.001)
    with pytest.raises(Refused, match="roster_broken"):
        READERS.read_roster(sheet(GOOD), person_id=1)
    monkeypatch.undo()
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    states = [Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] for child in children]
    assert "Z" not in states
    assert READERS.read_roster(sheet(GOOD), person_id=1)


def test_one_person_holds_one_place():
    """A second file of the same person is refused at once while the first is read.

    Another person's is read.
    """
    content, answers = HOSTILE["a sheet of tags"](), []

    def send(person_id: int, what: bytes) -> None:
        try:
            answers.append((person_id, len(READERS.read_roster(what, person_id))))
        except Refused as error:
            answers.append((person_id, error.code))

    slow = threading.Thread(target=send, args=(1, content))
    slow.start()
    time.sleep(0.05)
    send(1, sheet(GOOD))
    send(2, sheet(GOOD))
    slow.join()
    assert answers == [(1, "sheets_busy"), (2, 1), (1, "roster_broken")] or answers == [
        (1, "sheets_busy"),
        (1, "roster_broken"),
        (2, 1),
    ]


def test_too_many_at_once_are_told_so():
    """Beyond those that are read and those that may wait, an upload is refused at once.

    The rest are all answered.
    """
    content, answers = sheet(GOOD), []

    def send(person_id: int) -> None:
        try:
            answers.append(len(READERS.read_roster(content, person_id)))
        except Refused as error:
            answers.append(error.code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        set(answers) == {1, "sheets_busy"} and answers.count(1) >= workbooks.AT_ONCE + workbooks.MAX_WAITING
    )


def test_the_limits_hold_in_the_reader():
    """Half a gibibyte is what a reader has: asking for more ends it, in itself, not in us."""
    import subprocess
    import sys

    code = "from services.gateway.files import open_workbook as o; o.limit(); bytearray(o.MEMORY)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1 and "MemoryError" in done.stderr
    assert open_workbook.CPU_SECONDS < workbooks.WALL_SECONDS


def test_a_book_of_many_empty_lines_is_read():
    """Empty lines between the rows of honest people do no harm up to the limit of lines."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target)
    page = book.add_worksheet()
    for number, row in ((0, [roster.MARKER]), (1, roster.HEADER), (roster.MAX_LINES - 1, GOOD)):
        for column, value in enumerate(row):
            page.write(number, column, value)
    book.close()
    (row,) = READERS.read_roster(target.getvalue(), person_id=1)
    assert row.number == roster.MAX_LINES


@pytest.mark.parametrize(
    "place", [(roster.MAX_LINES, 0), (3, roster.MAX_COLUMNS), (roster.MAX_LINES - 1, roster.MAX_COLUMNS - 1)]
)
def test_a_cell_far_away_is_named(place):
    """A roster with a stray cell out of bounds is refused, with advice, before its table is made."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target)
    page = book.add_worksheet()
    for number, row in enumerate(([roster.MARKER], roster.HEADER, GOOD)):
        for column, value in enumerate(row):
            page.write(number, column, value)
    page.write(*place, "x")
    book.close()
    with pytest.raises(Refused, match="roster_broken") as refused:
        READERS.read_roster(target.getvalue(), person_id=1)
    assert "超出" in refused.value.refusal.say("zh")


def test_the_reader_limits_itself_first():
    """Before it has read a byte the reader's memory, time and files are bounded, as the kernel sees it."""
    import subprocess
    import sys

    with subprocess.Popen(
        [sys.executable, "-m", "services.gateway.files.open_workbook", "below"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        ends = time.monotonic() + 20
        while str(open_workbook.MEMORY) not in (limits := Path(f"/proc/{reader.pid}/limits").read_text()):
            assert time.monotonic() < ends, limits
            time.sleep(0.02)
        bounds = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()}
        assert (bounds["Max cpu time"], bounds["Max file size"], bounds["Max processes"]) == (
            str(open_workbook.CPU_SECONDS),
            "0",
            "0",
        )
        reader.stdin.close()
        assert b"roster_broken" in reader.stdout.read()


@given(st.text(max_size=300), st.one_of(st.none(), st.dates(), st.just(date.max), st.just(date.min)))
def test_one_row_is_never_the_file(text, joined_on):
    """Whatever stands in a row, the row can be sent, and a service reads the list.

    What the contract does not take is the row's own problem.
    """
    row = roster.RosterRow(3, text, text, text, text, text, joined_on, text, text)
    sent = workbooks.to_send(uuid.uuid4(), row)
    assert decoding.decode(msgspec.json.Decoder(list[members.ImportRow]), msgspec.json.encode([sent])) == [
        sent
    ]
    assert sent.problem or (sent.name, sent.joined_on) == (text, joined_on)
