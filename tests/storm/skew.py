"""Deadlines under clocks that differ, on real processes (`python -m tests.storm.skew`, needs libfaketime).

One clock at a time is off: that of both schedulers, of one of two, of transfers, of members. Small
differences stay; from five minutes on the clock is set right after a while. Prints a table, and exits
with 1 if a deadline is lost, passes early by the later clock, twice, or more than a second late.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from shared.bus.rpc import RpcClient
from shared.messages import transfers as contract
from shared.messages.transfers import NodeOpened
from shared.outbox import insert, tell
from system import embedded
from tests.bench import drive, load
from tests.installation import Installation
from tests.storm.usage import explain

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
SKEWS = (0.05, 0.2, 5.0, 300.0, 86_400.0)
OFF = {
    "both schedulers": ("scheduler", "scheduler#2"),
    "one scheduler": ("scheduler#2",),
    "transfers": ("transfers",),
    "members": ("members",),
}
MANY = 100
LEAD = 8.0
"""Seconds from the telling of a deadline to its instant, in which the relay finds it."""
SET_RIGHT = 3.0
"""Seconds around the instant at which a clock that is far off is set right."""
PATIENCE = 15.0

_PUT = sa.text(f"""
    WITH changed AS (
        UPDATE open_nodes SET expires_at = :at, remind_at = NULL, revision = revision + 1
        WHERE transfer_id = ANY(CAST(:ids AS bigint[]))
        RETURNING transfer_id, node_no, revision, remind_at, remind_every, expires_at)
    {insert(tell(NodeOpened, "changed", remind_every="extract(epoch FROM remind_every)"))}""")
_RETURNED = sa.text(
    "SELECT count(*) FROM transfers WHERE transfer_id = ANY(CAST(:ids AS bigint[])) AND state = 'returned'"
)
_TWICE = sa.text("""
    SELECT count(*) - count(DISTINCT transfer_id) FROM audit
    WHERE transfer_id = ANY(CAST(:ids AS bigint[])) AND event = 'clock_return'""")


class Seen(NamedTuple):
    """How many of the deadlines passed, and the first and the last in seconds after both clocks had come."""

    passed: int
    first: float
    last: float
    twice: int

    @property
    def right(self) -> bool:
        """Return whether none was lost, early, late or doubled."""
        return self.passed == MANY and self.twice == 0 and self.first >= 0 and self.last <= 1


class Clocks(Installation):
    """An installation whose processes read their clocks from files: by how much each is off."""

    def __init__(self, folder: Path) -> None:
        """Take a folder for keys and clocks."""
        super().__init__(folder)
        self.folder = folder
        self.right = self.environ

    def start(self, *names: str) -> None:
        """Start processes with clocks of their own."""
        for name in names:
            self.set(name, 0.0)
            self.environ = {
                **self.right,
                "LD_PRELOAD": str(LIBRARY),
                "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
            super().start(name)

    def wait_ready(self, name: str, seconds: float = 180) -> None:
        """Wait longer: reading the clock from a file makes a start slow."""
        super().wait_ready(name, seconds)

    def set(self, name: str, seconds: float) -> None:
        """Set the clock of a process so many seconds ahead."""
        new = self._file(name).with_suffix(".new")
        new.write_text(f"{seconds:+.3f}\n")
        new.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self.folder / f"clock.{name}"


def one(made: Clocks, ids: Sequence[int], names: Sequence[str], skew: float) -> Seen:
    """Let deadlines come due while the clocks of some processes are off."""
    for name in names:
        made.set(name, skew)
    time.sleep(1.5)
    at = time.time() + LEAD
    with made.engine("transfers").begin() as tx:
        tx.execute(_PUT, {"at": datetime.fromtimestamp(at, UTC), "ids": list(ids)})
    return _watch(made, ids, names, skew, at)


def _watch(made: Clocks, ids: Sequence[int], names: Sequence[str], skew: float, at: float) -> Seen:
    """Look at the transfers until all are returned; set a clock right that is far off."""
    far = abs(skew) >= 60
    # one that is ahead is set right before the instant, one that is behind after it
    right_at = at + (SET_RIGHT if skew < 0 else -SET_RIGHT)
    concerned = names != OFF["members"]
    later = max(at, right_at) if far and concerned else at + max(0.0, -skew) * concerned
    if names == OFF["one scheduler"]:
        later = at  # the other one is right
    first, count, is_right = 0.0, 0, not far
    while count < MANY and time.time() < later + PATIENCE:
        if not is_right and time.time() >= right_at:
            is_right = True
            for name in names:
                made.set(name, 0.0)
        with made.engine("transfers").connect() as tx:
            before, count = count, int(tx.scalar(_RETURNED, {"ids": list(ids)}) or 0)
        if count and not before:
            first = time.time() - later
        time.sleep(0.01)
    last = time.time() - later
    for name in names:
        made.set(name, 0.0)
    with made.engine("transfers").connect() as tx:
        return Seen(count, first, last, int(tx.scalar(_TWICE, {"ids": list(ids)}) or 0))


def start(made: Clocks, many: int) -> list[int]:
    """Start transfers and wait until their first nodes are open."""
    client, members = RpcClient(made.settings), drive.Members(20_000)
    ids: list[int] = []
    with contextlib.closing(client):
        for number, school in enumerate(load.schools(made.settings.keys)):
            requests = drive.requests(members.take(number, min(500, many - len(ids))), school)
            answers = client.call(
                contract.request_transfers, requests, token=school.source_token, org_id=school.committee
            )
            ids += [answer.transfer_id for answer in answers]
            if len(ids) == many:
                break
    opened = sa.text("SELECT count(*) FROM open_nodes")
    for _ in range(300):
        with made.engine("transfers").connect() as tx:
            if tx.scalar(opened) == len(ids):
                return ids
        time.sleep(0.1)
    raise TimeoutError("not all nodes are open")


def _words(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else str(timedelta(seconds=seconds))


def main() -> int:
    """Run every case and print the table; return the exit code."""
    explain("tests.storm.skew", __doc__)
    if not LIBRARY.exists():
        print("libfaketime is missing: apt-get install faketime")
        return 2
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder)
        embedded.make_keys(keys)
        with contextlib.closing(Clocks(keys)) as made:
            made.create()
            load.organisations(made)
            load.people(made, 20_000)
            made.start("orgs", "members", "transfers", "scheduler", "scheduler#2")
            cases = [(who, sign * skew) for who in OFF for skew in SKEWS for sign in (1, -1)]
            ids = start(made, MANY * len(cases))
            print("| clock that is off | by | passed | first after the later clock | last | |")
            print("|---|---|---|---|---|---|")
            for n, (who, skew) in enumerate(cases):
                seen = one(made, ids[n * MANY : (n + 1) * MANY], OFF[who], skew)
                wrong += not seen.right
                print(
                    f"| {who} | {_words(abs(skew))} {'ahead' if skew > 0 else 'behind'}"
                    f" | {seen.passed} of {MANY} | {seen.first:+.2f} s | {seen.last:+.2f} s"
                    f" | {'' if seen.right else 'WRONG'} |",
                    flush=True,
                )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
