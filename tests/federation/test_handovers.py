"""Transfers across a bridge on two real databases: acts, messages, receipts, and what must not happen."""

import random
import threading

import pytest
import sqlalchemy as sa

from services.federation import envelope
from services.federation.handovers import Deed, perform, question, state_of
from services.federation.keys import NoKey
from services.federation.protocol import HERE, SENDS, THERE, Act, Receiver, Sender, Type, Word
from services.federation.receiving import MOST_HELD
from services.federation.schemas import Fault, Taken
from services.federation.store import lock
from tests.federation.factories import DAY, NOW, End, example, message

OURS, THEIRS = "national:7", "BJ:7"


def pass_on(one: End, other: End, subject: str = "%") -> None:
    """Carry everything that was said from one end to the other, in one request."""
    other.hear(*one.said(subject))


@pytest.mark.parametrize("subject", [OURS, THEIRS])
def test_a_hand_over(here, there, subject):
    """A member goes there, or comes from there: both sides say the same at the end."""
    sender, receiver = (here, there) if subject == OURS else (there, here)

    assert sender.act(subject, Act.OFFER)
    pass_on(sender, receiver)
    assert receiver.act(subject, Act.TELL) and receiver.act(subject, Act.ACCEPT)
    assert not sender.act(subject, Act.HAND_OVER)  # nobody has accepted yet, as far as it knows
    pass_on(receiver, sender)
    assert sender.act(subject, Act.HAND_OVER)
    assert not receiver.act(subject, Act.TAKE)
    pass_on(sender, receiver)
    assert not receiver.act(subject, Act.GIVE_UP)  # with the record there, only taken or sent back is left
    assert receiver.act(subject, Act.TAKE)
    pass_on(receiver, sender)

    assert (sender.state(subject), receiver.state(subject)) == ("moved", "taken")
    assert [told.word for told in sender.told] == [Word.PROGRESS, Word.ACCEPTED, Word.INTEGRATED]
    assert [told.word for told in receiver.told] == [Word.OFFER, Word.RECORD]
    assert sender.told[-1].state is Sender.MOVED and sender.told[-1].data == example(Word.INTEGRATED)
    assert {row[0] for row in sender.rows("state") + receiver.rows("state")} == {"applied"}


def test_messages_are_a_chain(here, there):
    """Each message names the one before by its hash; each direction counts by itself."""
    here.act(OURS, Act.OFFER)
    here.act(OURS, Act.ASK)
    pass_on(here, there)

    for end in (here, there):
        said = [envelope.payload(text) for text in end.said()]
        heads = ["", *map(envelope.sha256, end.said())]
        assert [one.prev for one in said] == heads[:-1]
        assert [one.seq for one in said] == list(range(1, len(said) + 1))
        assert [one.id for one in said] == [f"{end.bridge.me}/{OURS}/{one.seq}" for one in said]
    assert [one.type for one in said] == ["status"]


def test_what_has_to_arrive_never_expires(here, there):
    """An offer is sent for thirty days, a record until it has arrived."""
    here.act(OURS, Act.OFFER)
    pass_on(here, there)
    there.act(OURS, Act.ACCEPT)
    pass_on(there, here)
    here.act(OURS, Act.HAND_OVER)

    assert here.rows("type, expires_at", "sent") == [("offer", NOW + 30 * DAY), ("record", None)]


@pytest.mark.rule("FED-11")
def test_a_repetition_gets_the_first_receipt(here, there):
    """FED-11: a message that comes again, at any time, gets the same bytes again, and is done once."""
    here.act(OURS, Act.OFFER)
    (offer,) = here.said()

    first = there.answers(offer)
    there.now += 40 * DAY - DAY
    again = there.answers(offer, offer)

    assert again == first * 2
    assert len(there.told) == 1 and there.rows("seq") == [(1,)]


def test_a_repetition_after_its_date_gets_the_first_receipt(here, there):
    """That it has expired meanwhile does not matter: it was stored in time, and the peer has to hear so."""
    here.act(OURS, Act.OFFER)
    first = there.answers(*here.said())
    there.now += 31 * DAY

    assert there.answers(*here.said()) == first


def test_the_same_number_for_something_else(here, there):
    """A second message of the same place is refused, whatever it says, and changes nothing."""
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())
    forged = message(here.bridge.keys.ring().signing(NOW), Type.CALLED_OFF, source="national", dest="BJ",
                     subject=OURS)  # fmt: skip

    (receipt,) = there.hear(forged)

    assert (receipt.status, receipt.code) == (Taken.REFUSED, Fault.ID_REUSED)
    assert there.state(OURS) == "deciding" and len(there.rows("seq")) == 1


def called_off(here: End, there: End) -> list[str]:
    """Return offer, question and end of a transfer."""
    here.act(OURS, Act.OFFER)
    here.act(OURS, Act.ASK)
    here.act(OURS, Act.CALL_OFF)
    return here.said()


@pytest.mark.parametrize("together", [True, False])
def test_what_comes_early_waits(here, there, together):
    """Messages are applied in their order, whatever the order in which they come."""
    offer, query, end = called_off(here, there)
    order = [end, offer, query]

    found = there.hear(*order) if together else [there.hear(one)[0] for one in order]

    assert [(one.status, one.expected_seq) for one in found] == [
        (Taken.HELD, 1),
        (Taken.STORED, 2),
        (Taken.STORED, 4),
    ]
    assert [told.word for told in there.told] == [Word.OFFER, Word.QUERY, Word.CALLED_OFF]
    assert there.state(OURS) == "refused"
    assert there.rows("seq, state") == [(1, "applied"), (2, "applied"), (3, "applied")]


def test_not_everything_waits(here, there):
    """Twenty early messages of a transfer are kept; a peer that leaves out one for good fills no disk."""
    here.act(OURS, Act.OFFER)
    for _ in range(MOST_HELD + 2):
        here.act(OURS, Act.ASK)
    first, *others = here.said()

    found = there.hear(*others)
    assert [one.status for one in found] == [Taken.HELD] * MOST_HELD + [Taken.REFUSED] * 2
    assert {one.code for one in found[MOST_HELD:]} == {Fault.TOO_MANY_HELD}

    there.hear(first)
    assert [one.status for one in there.hear(*others)[MOST_HELD:]] == [Taken.STORED] * 2
    assert len(there.told) == MOST_HELD + 3


@pytest.mark.parametrize("early", [True, False])
def test_a_refused_message_holds_nothing_up(here, there, early):
    """An expired question takes its number: the record behind it is heard, whichever comes first."""
    offer, query, end = called_off(here, there)
    there.hear(offer)
    there.now += 31 * DAY
    end = message(
        here.bridge.keys.ring().signing(NOW),
        Type.CALLED_OFF,
        source="national",
        dest="BJ",
        subject=OURS,
        seq=3,
        prev=envelope.sha256(query),
        expires=(NOW + 60 * DAY).isoformat(),
    )
    order = [end, query] if early else [query, end]

    found = {one.of[-1]: one for one in there.hear(*order)}

    assert (found["2"].status, found["2"].code) == (Taken.REFUSED, Fault.EXPIRED)
    assert found["3"].status == (Taken.HELD if early else Taken.STORED)
    assert there.state(OURS) == "refused"
    assert there.rows("seq, state, code") == [
        (1, "applied", ""),
        (2, "refused", "expired"),
        (3, "applied", ""),
    ]
    assert there.answers(query) == there.answers(query)


def test_a_chain_that_does_not_fit(here, there):
    """A message that names another one as the one before is kept and receipted, not applied, and shown."""
    key = here.bridge.keys.ring().signing(NOW)
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())
    wrong = message(key, Type.CALLED_OFF, source="national", dest="BJ", subject=OURS, seq=2, prev="0" * 64)
    query = message(
        key, Type.QUERY, source="national", dest="BJ", subject=OURS, seq=3, prev=envelope.sha256(wrong)
    )

    assert [one.status for one in there.hear(wrong, query)] == [Taken.STORED, Taken.STORED]
    assert there.state(OURS) == "deciding"
    assert [row[0] for row in there.rows("state")] == ["applied", "quarantined", "applied"]
    assert there.rows("seq, why, decision", "quarantine") == [(2, "prev does not fit", None)]


@pytest.mark.parametrize("kind", [Type.INTEGRATED, Type.SENT_BACK, Type.ACCEPTED, Type.QUERY])
def test_a_transfer_that_nobody_has_started(here, there, kind):
    """What is said of a transfer that we never offered is kept, receipted, and shown to a person."""
    text = message(there.bridge.keys.ring().signing(NOW), kind, subject="national:99")

    assert [one.status for one in here.hear(text)] == [Taken.STORED]
    assert here.rows("subject, why", "quarantine") == [("national:99", f"{kind.value} at none")]
    assert here.told == [] and here.said() == []


def test_integrated_when_it_was_called_off(here, there):
    """A peer that takes a member who has not been handed over is not believed: the member stays ours."""
    here.act(OURS, Act.OFFER)
    here.act(OURS, Act.CALL_OFF)

    here.hear(message(there.bridge.keys.ring().signing(NOW), Type.INTEGRATED, subject=OURS))

    assert here.state(OURS) == "kept"
    assert here.rows("why", "quarantine") == [("integrated at kept",)]


def handed_over(here: End, there: End) -> str:
    """Hand a member over and ask for the record; return the question."""
    here.act(OURS, Act.OFFER)
    pass_on(here, there)
    there.act(OURS, Act.ACCEPT)
    pass_on(there, here)
    here.act(OURS, Act.HAND_OVER)
    assert not here.act(OURS, Act.RELEASE)
    with here.engine.begin() as tx:
        (handover,) = lock(tx, [OURS]).values()
        assert state_of(handover) is Sender.HANDOVER
        assert perform(tx, here.bridge, [question(handover, about_record=True)], NOW) == [True]
    return here.said()[-1]


def test_a_question_does_not_overtake_the_record(here, there):
    """Asked for a record that is on the way, the receiver waits for it, and says where it stands."""
    query = handed_over(here, there)

    assert [one.status for one in there.hear(query)] == [Taken.HELD]
    pass_on(here, there)
    pass_on(there, here)

    assert there.state(OURS) == "awaited" and here.told[-1].word is Word.STATUS
    assert here.told[-1].data.state == "awaited"
    assert not here.act(OURS, Act.RELEASE)


def test_never_seen_binds(here, there):
    """A record that the door has refused was never seen: the receiver says so, and the member is released."""
    handed_over(here, there)
    offer, *_ = here.said()
    place = {"source": "national", "dest": "BJ", "subject": OURS}
    key = here.bridge.keys.ring().signing(NOW)
    bad = message(key, Type.RECORD, seq=2, prev=envelope.sha256(offer), data={"record": ""}, **place)
    about = {"about": "record", "heard_seq": 1}
    query = message(key, Type.QUERY, seq=3, prev=envelope.sha256(bad), data=about, **place)

    assert [one.code for one in there.hear(bad, query)] == [Fault.WRONG_FIELD, None]
    assert there.state(OURS) == "refused" and not there.act(OURS, Act.TAKE)
    pass_on(there, here)

    assert here.told[-1].word is Word.NEVER_SEEN and here.state(OURS) == "handover"
    assert here.act(OURS, Act.RELEASE) and here.state(OURS) == "kept"


def test_an_act_and_its_message_are_one(here):
    """What is rolled back has said nothing; done again, it is said under the same id."""
    with here.engine.connect() as connection:
        transaction = connection.begin()
        perform(connection, here.bridge, [Deed(OURS, Act.OFFER, example(Word.OFFER))], NOW)
        (lost,) = connection.scalars(sa.text("SELECT jws FROM sent"))
        transaction.rollback()
    assert (here.state(OURS), here.said()) == ("", [])

    here.act(OURS, Act.OFFER)

    (said,) = here.said()
    assert envelope.payload(said).id == envelope.payload(lost).id


def test_without_a_key_nothing_is_done(here):
    """A bridge that cannot sign changes nothing, and stores nothing that it could not receipt."""
    here.now += 400 * DAY
    with pytest.raises(NoKey):
        here.act(OURS, Act.OFFER)
    with pytest.raises(NoKey):
        here.answers("x")
    assert here.state(OURS) == ""


def test_acts_that_come_too_late(here, there):
    """Of two acts the first counts; one of a transfer that there is not does nothing (DL-19)."""
    here.act(OURS, Act.OFFER)

    with here.engine.begin() as tx:
        done = perform(
            tx,
            here.bridge,
            [
                Deed(OURS, Act.CALL_OFF, example(Word.CALLED_OFF)),
                Deed(OURS, Act.CALL_OFF, example(Word.CALLED_OFF)),
                Deed(OURS, Act.OFFER, example(Word.OFFER)),
                Deed("national:8", Act.CALL_OFF, example(Word.CALLED_OFF)),
                Deed("national:9", Act.OFFER, example(Word.OFFER)),
            ],
            NOW,
        )

    assert done == [True, False, False, False, True]
    assert [row[0] for row in here.rows("type", "sent")] == ["offer", "called_off", "offer"]
    assert here.rows("subject", "sent")[-1] == ("national:9",) and here.state("national:8") == ""


@pytest.mark.rule("FED-11")
def test_the_same_message_at_the_same_moment(here, there):
    """FED-11: of many requests with the same messages one applies them; all get the same receipts."""
    texts = called_off(here, there)
    answers: list[list[str]] = []

    def work() -> None:
        answers.append(there.answers(*texts))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 6 and all(one == answers[0] for one in answers)
    assert [told.word for told in there.told] == [Word.OFFER, Word.QUERY, Word.CALLED_OFF]


@pytest.mark.parametrize("seed", range(5))
def test_any_day(here, there, seed):
    """Whatever both sides do and whatever the network does to it: active in one at most, lost never."""
    dice = random.Random(seed)
    acts = {act: step.says for (_, act), step in SENDS.items()}
    for _ in range(90):
        subject, sending = dice.choice([(OURS, here), (THEIRS, there), ("national:8", here)])
        one = dice.choice([here, there])
        if dice.random() < 0.5:
            what = dice.choice(list(acts))
            if what is Act.OFFER and one is not sending:
                continue
            says = acts[what]
            one.act(subject, what, example(says) if says else None)
        else:
            other = there if one is here else here
            some = [text for text in one.said(subject) if dice.random() < 0.6] * dice.choice([1, 1, 2])
            dice.shuffle(some)
            other.hear(*some)
        for at, sender, receiver in ((OURS, here, there), (THEIRS, there, here), ("national:8", here, there)):
            left, came = Sender(sender.state(at) or "none"), Receiver(receiver.state(at) or "none")
            assert not (left in HERE and came in THERE), f"active twice: {at}"
            assert left in HERE or came in THERE or left is Sender.HANDOVER, f"lost: {at}"
            assert came in THERE or left is not Sender.MOVED
    for end in (here, there):
        assert end.rows("why", "quarantine") == []
