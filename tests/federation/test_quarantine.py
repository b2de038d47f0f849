"""Messages in quarantine: what a person may do with them, and what it does."""

import dataclasses

import pytest

from services.federation import envelope, manifests
from services.federation.envelope import sha256
from services.federation.protocol import Act, Type
from services.federation.quarantine import Decision, Wish, decide, waiting
from services.federation.schemas import Taken
from services.federation.store import Place
from shared import clock
from tests.federation.factories import NOW, ORG, End, message

OURS, THEIRS = "national:7", "BJ:7"
PERSON = 5


def say(end: End, subject: str, seq: int, decision: Decision, reason: str = "核实无误") -> bool:
    with end.engine.begin() as tx:
        (done,) = decide(tx, end.bridge, [Wish(Place(subject, seq), decision, reason, PERSON)], end.now)
    return done


@pytest.fixture
def unknown_branch(here, there) -> dict[str, int]:
    """A member has been taken into a branch that is not mirrored here; return what is known."""
    known: dict[str, int] = {}
    here.bridge = dataclasses.replace(
        here.bridge, branches=lambda tx, codes: {code: known[code] for code in codes if code in known}
    )
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said())
    here.act(OURS, Act.HAND_OVER)
    there.hear(*here.said())
    there.act(OURS, Act.TAKE)
    assert [one.status for one in here.hear(*there.said())] == [Taken.STORED, Taken.STORED]
    return known


def test_applied_again(here, unknown_branch):
    """What was impossible when it came is done when it is possible, and not before."""
    (one,) = listed(here)
    assert (one.subject, one.seq, one.type, one.why) == (OURS, 2, "integrated", "unknown branch BJ-DX-0001")
    assert not say(here, OURS, 2, Decision.APPLIED)
    assert here.state(OURS) == "handover" and len(listed(here)) == 1

    unknown_branch[ORG["code"]] = 4711
    assert say(here, OURS, 2, Decision.APPLIED)

    assert here.state(OURS) == "moved" and here.told[-1].branch_id == 4711
    assert here.rows("decision, reason, decided_by", "quarantine") == [("applied", "核实无误", PERSON)]
    assert here.rows("state") == [("applied",), ("applied",)]
    assert listed(here) == [] and not say(here, OURS, 2, Decision.APPLIED)


def listed(end: End):
    with end.engine.begin() as tx:
        return waiting(tx, 10)


def broken_chain(here: End, there: End) -> None:
    """The peer's transfer, and a second message of it that does not fit the first."""
    there.act(THEIRS, Act.OFFER)
    here.hear(*there.said())
    key = there.bridge.keys.ring().signing(NOW)
    here.hear(message(key, Type.CALLED_OFF, subject=THEIRS, seq=2, prev="0" * 64))


def test_a_broken_chain_is_applied_by_a_person(here, there):
    """Whoever has compared the evidence may let a message count that does not fit the one before."""
    broken_chain(here, there)
    assert here.state(THEIRS) == "deciding"

    assert say(here, THEIRS, 2, Decision.APPLIED)

    assert here.state(THEIRS) == "refused" and [row[0] for row in here.rows("state")] == ["applied"] * 2


def test_refused(here, there):
    """The peer is told that the transfer has ended here, with the words of whoever has decided it."""
    broken_chain(here, there)

    assert say(here, THEIRS, 2, Decision.REFUSED, "消息前后不符")

    assert here.state(THEIRS) == "refused"
    (said,) = here.said()
    assert envelope.opened_before(said).data.text == "消息前后不符"
    assert [row[0] for row in here.rows("state")] == ["applied", "discarded"]


def test_what_is_not_ours_to_end_is_not_refused(here, unknown_branch):
    """From the hand-over on the sender ends nothing, whoever decides."""
    before = here.said()

    assert not say(here, OURS, 2, Decision.REFUSED)

    assert here.state(OURS) == "handover" and here.said() == before and len(listed(here)) == 1


def test_discarded(here, there):
    """It stays in the archive, with the reason, and does nothing."""
    broken_chain(here, there)

    assert say(here, THEIRS, 2, Decision.DISCARDED, "对方已更正")

    assert here.state(THEIRS) == "deciding" and here.said() == []
    assert [row[0] for row in here.rows("state")] == ["applied", "discarded"]
    assert here.rows("decision, reason", "quarantine") == [("discarded", "对方已更正")]


def test_nothing_to_decide(here, there):
    """What is not in quarantine is not decided of."""
    there.act(THEIRS, Act.OFFER)
    here.hear(*there.said())

    for place in ((THEIRS, 1), (THEIRS, 9), ("BJ:8", 1)):
        assert not say(here, *place, Decision.DISCARDED)


def test_an_offer_in_quarantine_is_of_its_day(here, there):
    """BEY-16: an offer that waits here, and is called off meanwhile, stands in both manifests of its day."""
    known: dict[str, int] = {}
    here.bridge = dataclasses.replace(
        here.bridge, branches=lambda tx, codes: {code: known[code] for code in codes if code in known}
    )
    there.act(THEIRS, Act.OFFER)
    here.hear(*there.said())
    assert [one.why for one in listed(here)] == [f"unknown branch {ORG['code']}"]
    assert lines(here) == lines(there)

    there.act(THEIRS, Act.CALL_OFF)
    here.hear(*there.said()[1:])
    assert lines(here) == lines(there) and here.state(THEIRS) == "refused"

    known[ORG["code"]] = 4711
    assert say(here, THEIRS, 1, Decision.APPLIED)
    assert lines(here) == lines(there) and here.state(THEIRS) == "refused"


def lines(end: End):
    with end.engine.begin() as tx:
        return manifests.lines(tx, clock.day_of(NOW), [sha256(THEIRS)[:2]])
