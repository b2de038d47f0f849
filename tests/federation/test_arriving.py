"""Who comes: what the peer says goes to members and transfers, and what they tell becomes our answers."""

import json
from datetime import datetime
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from services.federation import arriving, envelope, quarantine, telling
from services.federation.protocol import Act, Type
from services.federation.schemas import CalledOff, Offer
from shared.messages.members import ArrivalKnown, ArrivalUnfit
from shared.messages.transfers import (
    ArrivalAccepted,
    ArrivalAnswered,
    ArrivalCompleted,
    ArrivalWaits,
    CrossingEnded,
)
from tests.federation.factories import DAY, EXAMPLES, ORG, SEALED, End, message, mirror

pytestmark = pytest.mark.usefixtures("today")
THEIRS = "BJ:7"
HERE, BRANCH, TARGET = 4711, 88, 77
NAME = "某省某市某街道团工委（北区）"


@pytest.fixture
def here(here) -> End:
    """Our end, which tells; it knows a branch of the peer's and two organisations of ours."""
    here.bridge = telling.bridge_to("BJ", here.bridge.keys)
    mirror(here, HERE, ORG["code"])
    mirror(here, TARGET, None, system="national", kind="work_committee", name=NAME)
    mirror(here, BRANCH, None, system="national", name="某省某市某街道第一团支部")
    return here


def offer(there: End, subject: str = THEIRS, **changed) -> str:
    """Have the peer offer somebody; return the message."""
    data = {**EXAMPLES[Type.OFFER], "to_org": {"code": str(TARGET), "name": NAME}, **changed}
    assert there.act(subject, Act.OFFER, msgspec.convert(data, Offer))
    return there.said(subject)[-1]


def told(end: End, *topics: str) -> list[tuple[str, dict]]:
    """Return what stands in the outbox of some topics, or all, in the order in which it was told."""
    with end.engine.begin() as tx:
        rows = tx.execute(sa.text("SELECT topic, body FROM outbox ORDER BY id")).all()
    every = [(row.topic, item) for row in rows for item in json.loads(row.body)]
    return [one for one in every if not topics or one[0] in topics]


def tell(end: End, handle, *items) -> None:
    """Give events to a handler, as a batch."""
    with end.engine.begin() as tx:
        handle(tx, end.bridge, list(items))


def known(end: End, subject: str = THEIRS, member_id: int = 501) -> None:
    tell(end, arriving.on_arrival_known, ArrivalKnown(subject=subject, peer="BJ", member_id=member_id))


def answered(end: End, transfer_id: int | None, code: str = "", subject: str = THEIRS) -> None:
    (asked,) = [item for _, item in told(end, "peer_requested")][-1:]
    answer = ArrivalAnswered(
        command_id=UUID(asked["command_id"]), member_id=501, peer="BJ", transfer_id=transfer_id, code=code
    )
    tell(end, arriving.on_arrival_answered, answer)


def started(here: End, there: End) -> None:
    """Have somebody offered, opened, and a transfer started."""
    here.hear(offer(there))
    known(here)
    answered(here, 31)


def accepted(here: End) -> None:
    item = ArrivalAccepted(transfer_id=31, member_id=501, peer="BJ", branch_id=BRANCH)
    tell(here, arriving.on_arrival_accepted, item)


def last(end: End) -> tuple[str, dict]:
    """Return type and data of the last message that an end has said."""
    said = json.loads(envelope.payload_of(end.said()[-1]))
    return said["type"], said["data"]


@pytest.mark.parametrize(
    "to_org",
    [
        {"code": str(TARGET), "name": "x"},
        {"name": NAME},
        {"name": " " + NAME.replace("（", "(").replace("）", ")")},
    ],
)
def test_from_offer_to_integrated(here, there, to_org):
    """FED-08, FED-10: members opens, transfers starts and completes; each step is said to the peer once."""
    offered = offer(there, to_org=to_org)
    here.hear(offered)
    here.hear(offered)
    ((topic, asked),) = told(here)
    assert (topic, asked["subject"], asked["source_branch_id"]) == ("arrival_offered", THEIRS, HERE)
    assert asked["person"] == SEALED
    known(here)
    known(here)
    requests = told(here, "peer_requested")
    assert len({item["command_id"] for _, item in requests}) == 1
    assert requests[0][1]["target_org_id"] == TARGET and requests[0][1]["member_id"] == 501
    answered(here, 31)
    waits = ArrivalWaits(transfer_id=31, peer="BJ", org_id=TARGET, since=here.now, until=None)
    tell(here, arriving.on_arrival_waits, waits, msgspec.structs.replace(waits, transfer_id=99))
    assert last(here)[0] == "progress" and last(here)[1]["organisation"]["name"] == NAME
    accepted(here)
    accepted(here)
    assert here.state(THEIRS) == "awaited" and last(here)[1]["branch"]["code"] == str(BRANCH)
    there.hear(*here.said())
    there.act(THEIRS, Act.HAND_OVER)
    here.hear(*there.said())
    ((_, record),) = told(here, "record_came")
    assert (record["transfer_id"], record["subject"], record["record"]) == (31, THEIRS, SEALED)
    at = datetime.fromisoformat("2026-07-02T09:00:00+08:00")
    done = ArrivalCompleted(transfer_id=31, member_id=501, peer="BJ", branch_id=BRANCH, at=at)
    tell(here, arriving.on_arrival_completed, done, done)
    assert here.state(THEIRS) == "taken" and last(here)[0] == "integrated"
    assert len(here.said()) == 3
    there.hear(*here.said())
    assert there.state(THEIRS) == "moved"


def test_a_target_that_is_not_here(here, there):
    """An unknown code or name, another system's organisation: refused at once, and nobody is asked."""
    here.hear(
        offer(there, "BJ:1", to_org={"code": "999", "name": NAME}),
        offer(there, "BJ:2", to_org={"code": str(HERE), "name": NAME}),
        offer(there, "BJ:3", to_org={"name": "某省某市"}),
        offer(there, "BJ:4", to_org={"code": "9" * 40, "name": NAME}),
    )
    assert told(here, "arrival_offered") == []
    assert {here.state(f"BJ:{n}") for n in range(1, 5)} == {"refused"}
    assert last(here) == ("refused", {"reason": "unknown_target", "text": ""})


def test_a_branch_that_is_not_mirrored_yet(here, there):
    """Who leaves a branch that no reading has brought yet waits, and comes by itself once one has."""
    new = {"code": "BJ-DX-0002", "name": "北京某大学第二团支部"}
    here.hear(offer(there, from_org=new))
    assert told(here) == [] and here.rows("why", "quarantine") == [("unknown branch BJ-DX-0002",)]
    with here.engine.begin() as tx:
        assert quarantine.apply_known(tx, here.bridge, here.now) == 0
    mirror(here, 4712, "BJ-DX-0002")
    with here.engine.begin() as tx:
        assert quarantine.apply_known(tx, here.bridge, here.now) == 1
        assert quarantine.apply_known(tx, here.bridge, here.now) == 0
    ((_, asked),) = told(here, "arrival_offered")
    assert asked["source_branch_id"] == 4712


def test_who_may_not_come(here, there):
    """FED-14: what members finds against a person is said in the words of bridges."""
    here.hear(offer(there))
    tell(here, arriving.on_arrival_unfit, ArrivalUnfit(subject=THEIRS, peer="BJ", code="identity_active"))
    assert last(here) == ("refused", {"reason": "identity_active", "text": ""})


@pytest.mark.parametrize(
    ("code", "reason"), [("target_not_allowed", "target_not_allowed"), ("transfer_open", "transfer_open")]
)
def test_what_transfers_does_not_start(here, there, code, reason):
    """A request that transfers refuses is refused to the peer, with its reason."""
    here.hear(offer(there))
    known(here)
    answered(here, None, code)
    assert last(here) == ("refused", {"reason": reason, "text": ""})


def called_off(here: End, there: End) -> None:
    there.act(THEIRS, Act.CALL_OFF, CalledOff(reason="withdrawn", text="本人放弃"))
    here.hear(*there.said())


def test_called_off_while_members_opens(here, there):
    """Nothing is requested for somebody who does not come any more."""
    here.hear(offer(there))
    called_off(here, there)
    known(here)
    dropped = {"subject": THEIRS, "peer": "BJ"}
    said = told(here, "peer_requested", "peer_called_off", "arrival_dropped")
    assert said == [("arrival_dropped", dropped)], "so that the person can be offered again"


def test_called_off_while_transfers_starts(here, there):
    """What was called off between request and answer is told once the transfer is known."""
    here.hear(offer(there))
    known(here)
    called_off(here, there)
    assert told(here, "peer_called_off") == []
    answered(here, 31)
    off = {"transfer_id": 31, "peer": "BJ", "code": "withdraw", "note": "本人放弃"}
    assert told(here, "peer_called_off") == [("peer_called_off", off)]


def test_called_off_later(here, there):
    """FED-10: what the peer calls off ends here, until the record has been handed over."""
    started(here, there)
    accepted(here)
    called_off(here, there)
    assert [item["transfer_id"] for _, item in told(here, "peer_called_off")] == [31]
    assert here.state(THEIRS) == "refused"


def test_a_record_that_was_never_seen(here, there):
    """Asked for a record that has not come, we bind ourselves to refuse it, and the transfer ends here."""
    started(here, there)
    accepted(here)
    there.hear(*here.said())
    there.act(THEIRS, Act.HAND_OVER)
    # the record was refused for good at the door, so the question has its number
    key, now = there.bridge.keys.ring().signing(there.now), there.now
    lost = message(
        key,
        Type.QUERY,
        subject=THEIRS,
        seq=2,
        prev=envelope.sha256(there.said()[0]),
        data={"about": "record", "heard_seq": 1},
        time=now.isoformat(),
        expires=(now + DAY).isoformat(),
    )
    here.hear(lost)
    ((_, off),) = told(here, "peer_called_off")
    assert (off["transfer_id"], off["code"]) == (31, "never_seen")
    assert last(here)[0] == "status" and here.state(THEIRS) == "refused"


@pytest.mark.parametrize(
    ("cause", "code", "note", "reason", "text"),
    [
        ("reject", "not_here", "", "not_here", ""),
        ("reject", "other", "名额已满", "other", "名额已满"),
        ("clock_return", "", "", "overdue", ""),
        ("given_up", "given_up", "等了一个月", "given_up", "等了一个月"),
        ("reject", "of_a_later_version", "", "other", "of_a_later_version"),
    ],
)
def test_ended_here(here, there, cause, code, note, reason, text):
    """FED-10: whatever ends a transfer here is said as *refused*, in the words of bridges."""
    started(here, there)
    ended = CrossingEnded(
        transfer_id=31, member_id=501, peer="BJ", cause=cause, code=code, note=note, arrival=True
    )
    tell(here, arriving.on_crossing_ended, ended)
    assert last(here) == ("refused", {"reason": reason, "text": text})


def test_a_record_that_cannot_be_taken(here, there):
    """FED-10, FED-14: with the record here nothing is left but to send it back."""
    started(here, there)
    accepted(here)
    there.hear(*here.said())
    there.act(THEIRS, Act.HAND_OVER)
    here.hear(*there.said())
    ended = CrossingEnded(
        transfer_id=31,
        member_id=501,
        peer="BJ",
        cause="record_refused",
        code="record_unreadable",
        note="",
        arrival=True,
    )
    tell(here, arriving.on_crossing_ended, ended)
    assert last(here) == ("sent_back", {"reason": "record_unreadable", "text": ""})
    assert here.state(THEIRS) == "back"


def test_an_end_that_comes_before_its_answer(here, there):
    """What ends before it is known which transfer it is waits for the answer."""
    here.hear(offer(there))
    known(here)
    ended = CrossingEnded(
        transfer_id=31,
        member_id=501,
        peer="BJ",
        cause="unavailable",
        code="unknown_member",
        note="",
        arrival=True,
    )
    with pytest.raises(LookupError):
        tell(here, arriving.on_crossing_ended, ended)
    answered(here, 31)
    tell(here, arriving.on_crossing_ended, ended)
    assert last(here) == ("refused", {"reason": "identity_differs", "text": ""})
