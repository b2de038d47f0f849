"""Opening spreadsheets that somebody sent: never in this process (IMP-03).

A workbook is a program for its reader: two cells far apart ask for 500 GiB, 200 KB unpack to 200
MB. So each one is read by a process of its own (`open_workbook.py`) that limits its memory and
processor time before it looks at the first byte, is watched by the clock here, and is always
reaped. Whatever happens to it, the answer is a refusal, and nobody else notices.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import get_type_hints

import msgspec

from services.gateway.files import roster
from services.gateway.files.open_workbook import Opened
from services.gateway.files.roster import RosterRow
from shared.errors import Refused
from shared.messages.limits import OutOfYears
from shared.messages.members import ImportRow

log = logging.getLogger("tuanqiao.workbooks")
AT_ONCE = 2
"""Files that are read at the same time, unless the installation says otherwise."""
MAX_WAITING = 8
"""Files that may wait for their turn; each holds a request."""
WAIT_SECONDS = 15.0
WALL_SECONDS = 20.0
"""The longest that a reader may live; its own limit of processor time is shorter."""
_READER = msgspec.json.Decoder(Opened)
"""Made before there are threads: two that look into the same type for the first time end the process."""
_ROOT = str(Path(__file__).parents[3])
_UNREADABLE = "文件已损坏、过大或内容异常,请使用下载的模板重新填写"

_FIELDS = {
    name: kind
    for name, kind in get_type_hints(ImportRow, include_extras=True).items()
    if name not in ("import_id", "number", "problem", "again")
}


def to_send(import_id: uuid.UUID, row: RosterRow) -> ImportRow:
    """Return a row as the contract takes it.

    What no field takes, a text too long or with signs that nobody types, is the row's problem, not
    the file's.
    """
    values, problem = asdict(row), row.problem
    for name, kind in _FIELDS.items():
        try:
            values[name] = msgspec.convert(values[name], kind)
        except msgspec.ValidationError:
            values[name], problem = (
                None if name == "joined_on" else "",
                problem or "内容过长或含有无法保存的字符,请检查该行",
            )
    try:
        return ImportRow(import_id=import_id, **{**values, "problem": problem})
    except OutOfYears:  # a cell may hold any day
        return ImportRow(
            import_id=import_id,
            **{**values, "joined_on": None, "problem": problem or "入团年月超出范围,请检查该行"},
        )


class Readers:
    """The few places in which files are read; a gateway has one of these."""

    def __init__(self, at_once: int = AT_ONCE, max_rows: int = roster.MAX_ROWS) -> None:
        self._at_once = at_once
        self._max_rows = max_rows
        self._turns = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._people: set[int] = set()

    def read_roster(self, content: bytes, person_id: int, own: bool = False) -> list[RosterRow]:
        """Return the rows of a roster that a person has sent.

        They are read as by `roster.read_roster`, but in a process with limits.

        Raises:
            Refused: What `roster.read_roster` refuses; `roster_broken` where the reader was killed or
                gave no answer; `sheets_busy` while the same person's file is being read, or too many wait.

        """
        with self._turn(person_id):
            answer = self._ask(content, own)
        if answer.refused is not None:
            raise Refused.of(answer.refused)
        return answer.rows

    @contextmanager
    def _turn(self, person_id: int) -> Iterator[None]:
        """Wait for one of the few places.

        Nobody holds two, so that one person cannot keep the others waiting.
        """
        with self._lock:
            if person_id in self._people or len(self._people) >= self._at_once + MAX_WAITING:
                raise Refused("sheets_busy")
            self._people.add(person_id)
        try:
            if not self._turns.acquire(timeout=WAIT_SECONDS):
                raise Refused("sheets_busy")
            try:
                yield
            finally:
                self._turns.release()
        finally:
            with self._lock:
                self._people.discard(person_id)

    def _ask(self, content: bytes, own: bool) -> Opened:
        """Have a process read the content; it knows nothing of this one: no address, no key, no open file."""
        process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "services.gateway.files.open_workbook",
                "own" if own else "below",
                str(self._max_rows),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": _ROOT, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"},
        )
        said = _said(process, content)
        try:
            return _READER.decode(said)
        except msgspec.MsgspecError:
            raise Refused("roster_broken", detail=_UNREADABLE) from None


def _said(process: subprocess.Popen[bytes], content: bytes) -> bytes:
    """Return what the reader has written; whatever happens, it does not live on."""
    try:
        said, _ = process.communicate(content, timeout=WALL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        log.warning("a spreadsheet of %d bytes took too long and was put aside", len(content))
        raise Refused("roster_broken", detail=_UNREADABLE) from None
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        log.warning("the reader of a spreadsheet of %d bytes ended with %d", len(content), process.returncode)
        raise Refused("roster_broken", detail=_UNREADABLE)
    return said
