"""Both ends of a bridge at once, over a network that does everything wrong, with an auditor beside them."""

import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest
import sqlalchemy as sa

from services.federation import envelope
from services.federation.calling import Address, Caller
from services.federation.handovers import Deed, perform
from services.federation.protocol import Act, Word
from services.federation.reconcile import Reconciler
from shared import clock, db
from tests.federation.factories import End, example, free_ports, served
from tests.federation.storm import FAULTS, OPEN, Network, Side
from tests.installation import ROOT

pytestmark = pytest.mark.usefixtures("today")
EACH = 40
KILLS = 5
PATIENCE = 120.0


def states(end: End) -> dict[str, str]:
    with end.engine.begin() as tx:
        rows = tx.execute(sa.text("SELECT subject, state FROM handovers"))
        return {row[0]: row[1] for row in rows}


def audit(sender: End, receiver: End, subjects: list[str]) -> list[str]:
    """Return whoever is active twice or nowhere: read so that what is found was true at an instant."""
    before, here, after = states(receiver), states(sender), states(receiver)
    found = []
    for one in subjects:
        left = here.get(one, "none")
        if before.get(one) == "taken" and left in ("none", "offered", "kept"):
            found.append(f"{one} twice: {left}")
        if left == "moved" and after.get(one) != "taken":
            found.append(f"{one} nowhere: {after.get(one)}")
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_is_doubled_or_lost(here, there, seed):
    """Forty members each way: each is decided of, both sides agree, and every receipt is the peer's."""
    going, coming = ([f"{end.bridge.me}:{n}" for n in range(EACH)] for end in (here, there))
    networks = [Network(end, seed + n) for n, end in enumerate((here, there))]
    offer(here, going)
    offer(there, coming)
    wrong: list[str] = []
    began = time.monotonic()
    with served(networks[0]) as our_door, served(networks[1]) as their_door:
        sides = [Side(here, their_door, seed), Side(there, our_door, seed + 9)]
        threads = [thread for side in sides for thread in side.threads]
        for thread in threads:
            thread.start()
        try:
            while not (done := over(here, there)) and time.monotonic() - began < PATIENCE:
                wrong += audit(here, there, going) + audit(there, here, coming)
                time.sleep(0.1)
        finally:
            for side in sides:
                side.over.set()
            for thread in threads:
                thread.join()
        reconciler = Reconciler(here.bridge, db.Database(here.engine), Caller(Address(their_door)), 0.0)
        result = reconciler.day(clock.today())

    assert [error for side in sides for error in side.failed] == []
    assert wrong == [] and done
    assert set(states(here)) == set(states(there)) == {*going, *coming}
    ends = Counter((states(here)[one], states(there)[one]) for one in going)
    ends += Counter((states(there)[one], states(here)[one]) for one in coming)
    assert {*ends} <= {("moved", "taken"), ("kept", "refused"), ("kept", "back")} and len(ends) == 3
    assert (result.transfers, result.differences) == (2 * EACH, [])
    for end, other in ((here, there), (there, here)):
        assert end.rows("why", "quarantine") == []
        for receipt, sha256 in end.rows("receipt, sha256", "sent"):
            body, _ = envelope.verified(receipt, envelope.RECEIPT, end.bridge.keys.ring())
            assert json.loads(body)["sha256"] == sha256
        assert len(end.rows("seq", "sent")) == len(other.rows("seq"))
    assert all({*FAULTS} <= {*network.met} for network in networks)


def offer(end: End, subjects: list[str]) -> None:
    with end.engine.begin() as tx:
        offers = [Deed(one, Act.OFFER, example(Word.OFFER)) for one in subjects]
        assert all(perform(tx, end.bridge, offers, clock.now()))


def over(here: End, there: End) -> bool:
    """Return whether nothing is open on either side, and nothing waits to be sent."""
    for end in (here, there):
        found = states(end)
        if len(found) < 2 * EACH or {*found.values()} & {*OPEN}:
            return False
        if any(row[0] == "waiting" for row in end.rows("state", "sent")):
            return False
    return True


class Process:
    """One end as a process, which is killed and started again."""

    def __init__(self, end: End, port: int, url: str, seed: int) -> None:
        self.end = end
        settings = {"me": end.bridge.me, "peer": end.bridge.peer, "keys": str(end.bridge.keys.place)}
        settings |= {"port": port, "url": url, "seed": seed}
        settings["database"] = end.engine.url.render_as_string(hide_password=False)
        self.command = [sys.executable, "-W", "ignore", "-m", "tests.federation.storm", json.dumps(settings)]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; what the one before had taken to send is free again, as it would be in two minutes."""
        with self.end.engine.begin() as tx:
            tx.execute(sa.text("UPDATE sent SET leased_until = next_at WHERE lease IS NOT NULL"))
            tx.execute(sa.text("UPDATE line SET probe_at = NULL"))
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stdout.readline() == "listens\n"

    def kill(self) -> None:
        assert self.process is not None and self.process.poll() is None
        self.process.kill()
        self.process.communicate()


@pytest.mark.long
def test_killed_at_any_moment(here, there):
    """Both ends are killed again and again, whatever they are doing: nobody is doubled, lost or forgotten."""
    going, coming = ([f"{end.bridge.me}:{n}" for n in range(EACH)] for end in (here, there))
    offer(here, going)
    offer(there, coming)
    dice = random.Random(4)
    ports = free_ports(2)
    processes = [
        Process(end, ports[n], f"http://127.0.0.1:{ports[1 - n]}", n) for n, end in enumerate((here, there))
    ]
    wrong: list[str] = []
    kills, began = 0, time.monotonic()
    for one in processes:
        one.start()
    try:
        while not (done := over(here, there) and kills == KILLS) and time.monotonic() - began < PATIENCE:
            wrong += audit(here, there, going) + audit(there, here, coming)
            time.sleep(0.2 * dice.random())
            if kills < KILLS and dice.random() < 0.5:
                kills += 1
                one = dice.choice(processes)
                one.kill()
                one.start()
    finally:
        for one in processes:
            one.kill()

    assert wrong == [] and done
    assert set(states(here)) == set(states(there)) == {*going, *coming}
    ends = Counter((states(here)[one], states(there)[one]) for one in going)
    ends += Counter((states(there)[one], states(here)[one]) for one in coming)
    assert {*ends} <= {("moved", "taken"), ("kept", "refused"), ("kept", "back")}
    for end, other in ((here, there), (there, here)):
        assert end.rows("why", "quarantine") == []
        assert [row[2] for row in end.rows("subject, seq, sha256", "sent")] == [
            row[2] for row in other.rows("subject, seq, sha256")
        ]
