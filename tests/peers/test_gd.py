"""GD by itself: two of them talk over HTTP with every fault on, and an auditor reads both files."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.peers import audit
from tests.peers.factories import Program, free_ports
from tests.peers.gd import keys, manifest, store

SPEED = 4000
EACH = 100  # transfers that each side starts
PATIENCE = 120  # seconds until all must be decided


@pytest.fixture
def pair(tmp_path):
    """Two programs that are each other's peer, started on demand and ended in any case."""
    started = []

    def start(transfers: int, faults: str, seed: int, **options) -> list[Program]:
        folders = [tmp_path / "keys-gd", tmp_path / "keys-fj"]
        keys.exchange(folders[0], "GD", folders[1], "FJ")
        ports = free_ports(2)
        options = {
            "speed": SPEED,
            "members": 60,
            "every": 60,
            **options,
            "transfers": transfers,
            "faults": faults,
        }
        for nth, system in enumerate(("GD", "FJ")):
            program = Program(
                tmp_path, system, ports[nth], ports[1 - nth], folders[nth], seed + nth, **options
            )
            program.start()
            started.append(program)
        return started

    yield start
    for program in started:
        if program.process.poll() is None:
            program.end(signal.SIGKILL)


def until_decided(programs, transfers: int, each_time=lambda: None) -> None:
    """Wait until every transfer of both has ended; look meanwhile that nobody is lost or doubled."""
    files = [program.file for program in programs]
    deadline = time.monotonic() + PATIENCE
    while True:
        assert audit.wrong_now(*files) == []
        assert audit.wrong_now(*files[::-1]) == []
        each_time()
        begun = [len(audit.rows(file, audit.TRANSFERS, "sender")) for file in files]
        if begun == [transfers] * 2 and audit.undone(files) == 0:
            return
        assert time.monotonic() < deadline, (
            begun,
            audit.undone(files),
            [p.log.read_text() for p in programs],
        )
        time.sleep(0.1)


def decided(programs) -> list[dict]:
    """Return what both say at the end, after the auditor has agreed with all that ever was."""
    files = [program.file for program in programs]
    assert [program.log.read_text() for program in programs] == ["", ""]
    assert audit.wrong_ever(files) == []
    days = [compared(file) for file in files]
    assert days[0] == days[1]
    assert [program.end() for program in programs] == [0, 0]
    command = [sys.executable, "-m", "tests.peers.gd.state"]
    said = [json.loads(subprocess.check_output([*command, file])) for file in files]
    assert all(one["is_decided"] for one in said)
    assert {what for one in said for what in reasons_shown(one)} <= {"refused by the peer: wrong_field"}
    assert sum(one["members"]["active"] for one in said) == 120
    return said


def compared(file) -> dict:
    """Return what a system would say of each day."""
    with store.Store(file).transaction() as tx:
        days = {day: [manifest.line(row) for row in store.transfers_of(tx, day)] for day in store.days(tx)}
    return {day: manifest.summary(lines) for day, lines in days.items()}


def reasons_shown(said: dict) -> list[str]:
    """Return what a person was shown; with the faults that are on, that can be a spoilt record alone."""
    return [shown["what"].partition(": ")[2] for shown in said["shown"]]


@pytest.mark.long
def test_with_every_fault_nobody_is_active_twice_or_nowhere_and_all_is_decided(pair):
    """200 transfers both ways with all faults on: each is decided, each member has one home."""
    programs = pair(EACH, "all", 11)

    until_decided(programs, EACH)

    said = decided(programs)
    ends = {(one["side"], one["state"]) for both in said for one in both["transfers"]}
    assert ends == {
        ("sender", "moved"),
        ("sender", "kept"),
        ("receiver", "taken"),
        ("receiver", "refused"),
        ("receiver", "back"),
    }


@pytest.mark.long
def test_killed_at_any_moment_neither_loses_or_doubles_anybody(pair):
    """kill -9 of either, again and again while both work: after each start all goes on where it was."""
    programs = pair(EACH // 2, "all", 23)
    chance = random.Random(5)
    kills = iter(range(8))

    def kill() -> None:
        if next(kills, None) is not None:
            program = chance.choice(programs)
            time.sleep(chance.uniform(0, 0.3))
            assert program.end(signal.SIGKILL) == -signal.SIGKILL
            assert audit.wrong_now(*[one.file for one in programs]) == []
            program.start()

    until_decided(programs, EACH // 2, kill)

    assert next(kills, None) is None
    decided(programs)
