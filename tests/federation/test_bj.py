"""A hand-over with a program that knows only docs/federation.md: members go there and come from there."""

import json
import signal
import time

import msgspec
import pytest
import sqlalchemy as sa

from services.federation import envelope, models
from services.federation.calling import Address, Caller
from services.federation.protocol import Act, Word
from services.federation.reconcile import Reconciler
from services.federation.schemas import Offer, Record
from shared import clock
from tests.federation.factories import EXAMPLES, End, served
from tests.federation.neighbours import Neighbours
from tests.peers.audit import rows

GO, COME = 15, 15
OPEN = {"offered", "handover", "deciding", "awaited"}
PATIENCE = 60.0
BRANCH = "BJ-YY-1001"


@pytest.fixture
def neighbours(scratch, tmp_path):
    made = Neighbours(
        scratch(models.metadata), tmp_path, "BJ", 7, speed=500, members=60, transfers=COME, every=5
    )
    yield made
    made.program.end(signal.SIGKILL)


def decide(both: Neighbours, dice: int) -> None:
    """Let our people and our registry do what waits for them; every fifth is refused."""
    here = both.end
    here.now = clock.now()
    with here.engine.begin() as tx:
        found = tx.execute(sa.text("SELECT subject, state, heard FROM handovers ORDER BY subject")).all()
    for row in found:
        nth = int(row.subject.partition(":")[2])
        if row.state == "deciding":
            here.act(row.subject, Act.REFUSE if nth % 5 == dice else Act.ACCEPT)
        elif row.state == "offered" and Word.ACCEPTED in row.heard:
            record = both.sealed("record+jwe", both.person(nth, row.subject, party=True))
            here.act(row.subject, Act.HAND_OVER, Record(record=record))
        elif row.state == "awaited" and Word.RECORD in row.heard:
            here.act(row.subject, Act.TAKE)


def leave(both: Neighbours) -> None:
    """Start the transfers of ours, each of another person."""
    for nth in range(1, GO + 1):
        subject = f"national:{nth}"
        person = both.sealed("person+jwe", both.person(nth, subject))
        offer = {
            **EXAMPLES[Word.OFFER.type],
            "person": person,
            "to_org": {"code": BRANCH, "name": "燕园大学"},
        }
        both.end.act(subject, Act.OFFER, msgspec.convert(offer, Offer))


def test_with_a_peer_that_knows_only_the_page(neighbours):
    """Members go to it and come from it; both sides agree on each, and nothing is odd to either."""
    here, wrong = neighbours.end, []
    courier = neighbours.courier()
    neighbours.program.start()
    with served(neighbours.door(), port=neighbours.ports[0]):
        leave(neighbours)
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            decide(neighbours, dice=3)
            courier.turn()
            there = {subject: case["state"] for subject, case in neighbours.cases().items()}
            ours = neighbours.states()
            wrong += active_twice(ours, there)
            if len(ours) == GO + COME and not OPEN & {*ours.values()}:
                break
            time.sleep(0.05)
        while courier.turn() == 0 or "waiting" in {row[0] for row in here.rows("state", "sent")}:
            time.sleep(0.01)
        reconciler = Reconciler(here.bridge, neighbours.database, Caller(Address(neighbours.url)), 1.0)
        result = reconciler.day(clock.today())
        there = {subject: case["state"] for subject, case in neighbours.cases().items()}
        members = neighbours.members()

    assert len(ours) == GO + COME
    pairs = {(ours[subject], there[subject]) for subject in ours}
    usual = {("moved", "taken"), ("taken", "moved"), ("refused", "kept")}
    assert usual <= pairs <= usual | {("kept", "refused"), ("kept", "back")}
    assert wrong == [] and here.rows("why", "quarantine") == []
    assert rows(neighbours.program.file, "SELECT odd FROM incoming WHERE odd <> ''") == []
    assert neighbours.program.log.read_text() == ""
    assert (result.transfers, result.differences) == (GO + COME, [])
    assert {row[0] for row in here.rows("state", "sent")} == {"receipted"}
    # what only version 1.1 says is in the archive, and in nobody's way
    assert all("traceparent" in envelope.payload_of(row[0]).decode() for row in here.rows("jws"))
    # each is a member where both sides say
    for nth in range(1, GO + 1):
        number = neighbours.person(nth, "")["number"]
        assert (number in members) == (ours[f"national:{nth}"] == "moved")
        assert number not in members or members[number]["state"] == "active"
    check_who_came(neighbours, ours, members)


def check_who_came(both: Neighbours, ours: dict[str, str], members: dict[str, dict]) -> None:
    """Compare what Beijing has sealed with who is in its registry."""
    people, records = {}, {}
    for subject, kind, jws in both.end.rows("subject, type, jws"):
        data = json.loads(envelope.payload_of(jws))["data"]
        if kind == "offer":
            people[subject] = both.opened("person+jwe", data["person"])
        elif kind == "record":
            records[subject] = both.opened("record+jwe", data["record"])
    assert {*people} == {f"BJ:{nth}" for nth in range(1, COME + 1)}
    assert all(one.subject == subject for subject, one in [*people.items(), *records.items()])
    for subject, person in people.items():
        state = "gone" if ours[subject] == "taken" else "active"
        assert members[person.number]["state"] == state
        record = records.get(subject)
        assert (record is not None) == (state == "gone")
        if record is not None:
            assert (record.number, record.name) == (person.number, person.name)
            assert [stay.branch for stay in record.stays] == [members[person.number]["organisation"]]


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


def test_a_peer_that_keeps_nothing_early(neighbours):
    """A message that is refused for a gap is sent again behind what was missing."""
    here: End = neighbours.end
    neighbours.program.start()
    here.act("national:1", Act.OFFER)
    here.act("national:1", Act.CALL_OFF)
    offer, end = here.said()
    courier = neighbours.courier()
    with here.engine.begin() as tx:
        tx.execute(sa.text("UPDATE sent SET next_at = next_at + interval '1 hour' WHERE seq = 1"))
    courier.turn()
    assert here.rows("seq, state, receipt_code", "sent") == [(1, "waiting", None), (2, "waiting", "gap")]

    with here.engine.begin() as tx:
        tx.execute(sa.text("UPDATE sent SET next_at = now() - interval '1 minute'"))
    courier.turn()

    assert here.rows("seq, state", "sent") == [(1, "receipted"), (2, "receipted")]
    assert neighbours.cases()["national:1"]["state"] == "refused"
    assert offer != end
