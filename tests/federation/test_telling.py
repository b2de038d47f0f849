"""What the peer says becomes events of the contracts, in the transaction that has heard it."""

import json
from datetime import datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from services.federation import door, envelope, telling
from services.federation.calling import Address
from services.federation.courier import Courier
from services.federation.door import Allowance
from services.federation.protocol import Act, Type, Word
from services.federation.schemas import Refused
from shared import clock, db
from shared.messages import events
from tests.federation.factories import NOW, ORG, End, example, message, mirror, served

OURS, THEIRS = "national:7", "BJ:7"


@pytest.fixture
def here(here) -> End:
    """Our end, which tells, and knows a branch of the peer's."""
    here.bridge = telling.bridge_to("BJ", here.bridge.keys)
    mirror(here, 4711, ORG["code"])
    return here


def told(end: End) -> list[tuple[str, dict]]:
    """Return what stands in the outbox, each item as its contract reads it."""
    with end.engine.begin() as tx:
        rows = tx.execute(sa.text("SELECT topic, body FROM outbox ORDER BY id")).all()
    for row in rows:
        msgspec.json.decode(row.body, type=list[events()[row.topic]])
    return [(row.topic, item) for row in rows for item in json.loads(row.body)]


def offered(here: End, there: End) -> None:
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())


def test_a_member_who_goes(here, there):
    """At whose desk, accepted, integrated into a branch of our mirror: each is told with our transfer."""
    offered(here, there)
    there.act(OURS, Act.TELL)
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said())
    here.act(OURS, Act.HAND_OVER)
    there.hear(*here.said())
    there.act(OURS, Act.TAKE)
    here.hear(*there.said())

    about = {"transfer_id": 7, "peer": "BJ"}
    (progress, *others) = told(here)
    assert (
        progress[0] == "remote_progress"
        and progress[1].items()
        >= {
            **about,
            "seq": 1,
            "organisation": ORG["name"],
            "phone": ORG["phone"],
        }.items()
    )
    assert others == [("remote_accepted", about), ("remote_integrated", {**about, "branch_id": 4711})]


def test_a_clock_that_is_fast(here, there):
    """FED-13: since when it lies on a desk there never lies ahead of our clock."""
    offered(here, there)
    before, ahead = clock.now(), clock.now() + timedelta(minutes=4)
    there.act(OURS, Act.TELL, msgspec.structs.replace(example(Word.PROGRESS), since=ahead))
    here.hear(*there.said())
    ((_topic, progress),) = told(here)
    assert before <= datetime.fromisoformat(progress["since"]) <= clock.now() < ahead


@pytest.mark.parametrize(
    ("reason", "text", "code", "note"),
    [
        ("not_here", "不在本地", "not_here", "不在本地"),
        ("identity_active", "", "id_registered", ""),
        ("given_up", "", "given_up", ""),
        ("BJ-FULL", "名额已满", "other", "名额已满"),
        ("BJ-FULL", "", "other", "BJ-FULL"),
    ],
)
def test_a_refusal_in_our_words(here, there, reason, text, code, note):
    """A reason of the list is told by our code, another as `other` with its text."""
    offered(here, there)
    there.act(OURS, Act.REFUSE, Refused(reason=reason, text=text))
    here.hear(*there.said())

    assert told(here) == [("remote_refused", {"transfer_id": 7, "peer": "BJ", "code": code, "note": note})]


def test_a_record_that_is_sent_back(here, there):
    """What the other system could not take is told as such."""
    offered(here, there)
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said())
    here.act(OURS, Act.HAND_OVER)
    there.hear(*here.said())
    there.act(OURS, Act.SEND_BACK)
    here.hear(*there.said())

    assert told(here)[-1] == (
        "remote_sent_back",
        {"transfer_id": 7, "peer": "BJ", "code": "unknown_member", "note": ""},
    )


def test_a_member_who_is_released(here, there):
    """The peer has signed that it never saw the record: once a person has released the member, it is told."""
    offered(here, there)
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said())
    here.act(OURS, Act.HAND_OVER)
    key = there.bridge.keys.ring().signing(NOW)
    status = {"state": "never_seen", "since": NOW.isoformat(), "heard_seq": 1}
    (accepted,) = there.said()
    here.hear(message(key, Type.STATUS, subject=OURS, seq=2, prev=envelope.sha256(accepted), data=status))
    assert [topic for topic, _ in told(here)] == ["remote_accepted"] and here.state(OURS) == "handover"

    assert here.act(OURS, Act.RELEASE)

    about = {"transfer_id": 7, "peer": "BJ", "code": "never_seen", "note": ""}
    assert told(here)[1:] == [("remote_refused", about)]


def test_a_branch_that_nobody_knows_here(here, there):
    """Integrated into a branch that is not mirrored yet: kept for a person, and nothing is told of it."""
    offered(here, there)
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said())
    here.act(OURS, Act.HAND_OVER)
    there.hear(*here.said())
    there.act(OURS, Act.TAKE)
    mirror(here, 4711, "another")
    here.hear(*there.said())

    assert here.state(OURS) == "handover" and told(here)[-1][0] == "remote_accepted"
    assert here.rows("subject, why", "quarantine") == [(OURS, "unknown branch BJ-DX-0001")]


def test_questions_are_not_told(here, there):
    """Questions about ours decide nothing that transfers would have to know."""
    offered(here, there)
    there.act(OURS, Act.ASK)
    here.hear(*there.said())

    assert [row[0] for row in here.rows("state")] == ["applied"] and told(here) == []


def test_a_number_that_is_none_of_ours(here, there):
    """A peer that speaks of a transfer that cannot be ours is not told of."""
    key = there.bridge.keys.ring().signing(NOW)
    here.act("national:x", Act.OFFER)
    here.hear(message(key, Type.REFUSED, subject="national:x"))

    assert here.state("national:x") == "kept" and told(here) == []


def test_what_is_rolled_back_is_not_told(here, there):
    """Message and event are one transaction."""
    offered(here, there)
    there.act(OURS, Act.REFUSE)
    items = door.receiving.read(here.bridge, there.said(), here.now)
    with here.engine.connect() as connection:
        transaction = connection.begin()
        door.receiving.take(connection, here.bridge, items, here.now)
        transaction.rollback()
    assert told(here) == []


@pytest.mark.usefixtures("today")
def test_the_peers_receipt(here, there):
    """FED-09 hangs on it: that the peer has the offer in writing is told once, of our transfers only."""
    here.act(OURS, Act.OFFER)
    there.act(THEIRS, Act.OFFER)
    here.hear(*there.said())
    here.act(THEIRS, Act.REFUSE)
    here.act(OURS, Act.ASK)
    with served(door.app(there.bridge, db.Database(there.engine), Allowance(1e6, 1e6))) as url:
        courier = Courier(
            here.bridge, db.Database(here.engine), Address(url), receipted=telling.receipts("BJ")
        )
        while courier.turn() == 0:
            pass

    ((topic, item),) = told(here)
    assert (topic, item["transfer_id"], item["peer"]) == ("remote_receipted", 7, "BJ")
    assert datetime.fromisoformat(item["at"]) >= here.now
