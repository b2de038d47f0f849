"""BJ with a GD in our place: programs that share nothing but the page, and an auditor who reads both."""

import random
import signal
import time

import pytest

from tests.peers import audit
from tests.peers.factories import Program, free_ports
from tests.peers.gd import codes, keys, people

PATIENCE = 120.0


@pytest.fixture
def pair(tmp_path):
    """Start both, each the other's peer; they are ended in any case."""
    started = []

    def start(each: int, seed: int, faults: str) -> list[Program]:
        folders = tmp_path / "keys-bj", tmp_path / "keys-national"
        keys.exchange(folders[0], "BJ", folders[1], "national", "ES256")
        ports = free_ports(2)
        options = {"speed": 4000, "members": 60, "every": 60, "transfers": each}
        typed = next(row[3] for row in people.organisations(seed + 1) if row[2] == codes.BRANCH)
        bj = Program(tmp_path, "BJ", ports[0], ports[1], folders[0], seed, "bj", typed=typed, **options)
        gd = Program(
            tmp_path, "national", ports[1], ports[0], folders[1], seed + 1, "gd", faults=faults, **options
        )
        for one in (bj, gd):
            one.start()
            started.append(one)
        return started

    yield start
    for one in started:
        one.end(signal.SIGKILL)


def until_decided(programs: list[Program], each: int, meanwhile=lambda: None) -> None:
    """Wait until all have ended on both sides; look meanwhile that nobody is active twice or nowhere."""
    files = [one.file for one in programs]
    ends = time.monotonic() + PATIENCE
    while True:
        assert audit.wrong_now(*files) == [] and audit.wrong_now(*files[::-1]) == []
        meanwhile()
        begun = [len(audit.rows(file, audit.TRANSFERS, "sender")) for file in files]
        if begun == [each] * 2 and audit.undone(files) == 0:
            break
        assert time.monotonic() < ends, (
            begun,
            audit.undone(files),
            [one.log.read_text() for one in programs],
        )
        time.sleep(0.1)
    assert audit.wrong_ever(files) == []
    assert audit.rows(files[0], "SELECT subject, odd FROM incoming WHERE odd <> ''") == []
    # who has a number has one row in each file, and the first receipt of each message is the only one
    for file in files:
        assert audit.rows(file, "SELECT number FROM members GROUP BY number HAVING count(*) > 1") == []
    said, heard = (
        dict(audit.rows(files[n], f"SELECT id, sha256 FROM {t}")) for n, t in ((0, "said"), (1, "heard"))
    )
    assert said == heard


@pytest.mark.parametrize("faults", ["", "busy,hangup,early,spoilt"])
def test_two_strangers_hand_over_to_each_other(pair, faults):
    """Fifteen each way, also where GD is busy, hangs up and sends early: all are decided, both agree."""
    programs = pair(15, 31, faults)

    until_decided(programs, 15)

    ends = {row[0] for row in audit.rows(programs[0].file, "SELECT state FROM transfers")}
    assert {"moved", "taken"} <= ends


@pytest.mark.long
def test_killed_at_any_moment(pair):
    """Either is killed again and again while sixty go each way: nobody is lost, doubled or forgotten."""
    programs = pair(60, 47, "all")
    dice, kills = random.Random(3), iter(range(12))

    def kill() -> None:
        if next(kills, None) is not None:
            one = dice.choice(programs)
            time.sleep(dice.uniform(0, 0.3))
            assert one.end(signal.SIGKILL) == -signal.SIGKILL
            one.start()

    until_decided(programs, 60, kill)

    assert next(kills, None) is None
