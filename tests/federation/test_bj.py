"""A hand-over with a program that knows only docs/federation.md: members go there and come from there."""

import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import requests
import sqlalchemy as sa

from services.federation import door, envelope, keys, models
from services.federation.calling import Address, Caller
from services.federation.courier import Courier
from services.federation.door import Allowance
from services.federation.protocol import Act, Word
from services.federation.reconcile import Reconciler
from shared import clock, db
from tests.federation.factories import DAY, End, example, served
from tests.installation import ROOT

GO, COME = 15, 15
OPEN = {"offered", "handover", "deciding", "awaited"}
PATIENCE = 60.0


class Peer:
    """The other system, as a process of its own."""

    def __init__(self, folder: Path, ours: Path, theirs: Path, leave: int) -> None:
        settings = {"their_keys": str(ours), "our_keys": str(theirs), "seed": 7, "leave": leave}
        settings["file"] = str(folder / "bj.sqlite")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.peers.bj", json.dumps(settings)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def start(self, our_door: str) -> None:
        """Tell it where our door is: from now on it sends."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(our_door) + "\n")
        self.process.stdin.flush()

    def report(self) -> dict:
        return requests.get(f"{self.url}/report", timeout=10).json()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def engine(scratch):
    return scratch(models.metadata)


@pytest.fixture
def here(engine, tmp_path) -> End:
    folder = keys.Folder(tmp_path / "here")
    mine = folder.rotate(clock.now() - DAY)
    (tmp_path / "brought").mkdir()
    (tmp_path / "here" / "peer").mkdir()
    (tmp_path / "brought" / f"{mine.kid}.jwk").write_bytes(msgspec.json.encode(mine))
    end = End(engine, "national", "BJ", folder)
    end.now = clock.now()
    return end


@pytest.fixture
def peer(here, tmp_path):
    made = Peer(tmp_path, tmp_path / "brought", tmp_path / "here" / "peer", COME)
    yield made
    made.end()


def decide(here: End, dice: int) -> None:
    """Let our people do what waits for them; every fifth is refused, or sent back."""
    here.now = clock.now()
    with here.engine.begin() as tx:
        rows = tx.execute(sa.text("SELECT subject, state, heard FROM handovers ORDER BY subject")).all()
    for row in rows:
        no = int(row.subject.partition(":")[2]) % 5 == dice
        if row.state == "deciding":
            here.act(row.subject, Act.REFUSE if no else Act.ACCEPT)
        elif row.state == "offered" and Word.ACCEPTED in row.heard:
            here.act(row.subject, Act.HAND_OVER)
        elif row.state == "awaited" and Word.RECORD in row.heard:
            here.act(row.subject, Act.TAKE)


def leave(here: End) -> None:
    """Start the transfers of ours, each of another person."""
    for number in range(1, GO + 1):
        person = f"sealed-for-beijing-{number:06d}"
        offer = msgspec.structs.replace(example(Word.OFFER), person=person)
        here.act(f"national:{number}", Act.OFFER, offer)


def test_with_a_peer_that_knows_only_the_page(here, peer):
    """Members go to it and come from it; both sides agree on each, and nothing is odd to either."""
    wrong: list[str] = []
    courier = Courier(here.bridge, db.Database(here.engine), Address(peer.url))
    with served(door.app(here.bridge, db.Database(here.engine), Allowance(1e6, 1e6))) as url:
        peer.start(url)
        leave(here)
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            decide(here, dice=3)
            courier.turn()
            there = {subject: stage for subject, stage, _ in peer.report()["cases"]}
            ours = states(here)
            wrong += active_twice(ours, there)
            if len(ours) == GO + COME and not OPEN & {*ours.values()}:
                break
            time.sleep(0.05)
        while courier.turn() == 0:
            pass
        reconciler = Reconciler(here.bridge, db.Database(here.engine), Caller(Address(peer.url)), 1.0)
        result = reconciler.day(clock.today())
        report = peer.report()

    there = {subject: stage for subject, stage, _ in report["cases"]}
    assert len(ours) == GO + COME
    pairs = {(ours[subject], there[subject]) for subject in ours}
    usual = {("moved", "taken"), ("taken", "moved"), ("refused", "kept")}
    assert usual <= pairs <= usual | {("kept", "refused"), ("kept", "back")}
    assert wrong == [] and report["odd"] == [] and here.rows("why", "quarantine") == []
    assert (result.transfers, result.differences) == (GO + COME, [])
    assert {row[0] for row in here.rows("state", "sent")} == {"receipted"}
    # what only version 1.1 says is in the archive, and in nobody's way
    assert all("traceparent" in envelope.payload_of(row[0]).decode() for row in here.rows("jws"))


def states(here: End) -> dict[str, str]:
    with here.engine.begin() as tx:
        return {row[0]: row[1] for row in tx.execute(sa.text("SELECT subject, state FROM handovers"))}


def active_twice(ours: dict[str, str], there: dict[str, str]) -> list[str]:
    """Return the transfers whose member is active on both sides; the other side was read first."""
    found = []
    for subject, state in ours.items():
        other = there.get(subject, "none")
        sender, receiver = (state, other) if subject.startswith("national:") else (other, state)
        # what was read first may have gone on since; only what is final on one side says something
        if receiver == "taken" and sender in ("kept", "none"):
            found.append(f"{subject}: {sender} and {receiver}")
    return found


def test_a_peer_that_keeps_nothing_early(here, peer):
    """A message that is refused for a gap is sent again behind what was missing."""
    here.act("national:1", Act.OFFER)
    here.act("national:1", Act.CALL_OFF)
    offer, end = here.said()
    courier = Courier(here.bridge, db.Database(here.engine), Address(peer.url))
    with here.engine.begin() as tx:
        tx.execute(sa.text("UPDATE sent SET next_at = next_at + interval '1 hour' WHERE seq = 1"))
    courier.turn()
    assert here.rows("seq, state, receipt_code", "sent") == [(1, "waiting", None), (2, "waiting", "gap")]

    with here.engine.begin() as tx:
        tx.execute(sa.text("UPDATE sent SET next_at = now() - interval '1 minute'"))
    courier.turn()

    assert here.rows("seq, state", "sent") == [(1, "receipted"), (2, "receipted")]
    assert {stage for _, stage, _ in peer.report()["cases"]} == {"refused"}
    assert offer != end
