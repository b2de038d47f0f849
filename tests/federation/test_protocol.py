"""The tables of the hand-over: who says what, what is asked for before it, and what is passed over."""

import pytest

from services.federation import protocol
from services.federation.protocol import (
    HEARS,
    LATE,
    MUST_ARRIVE,
    SENDS,
    SPEAKS,
    Act,
    Heard,
    Receiver,
    Sender,
    Side,
    State,
    Type,
    Word,
    act,
    hear,
    may_speak,
)

NOTHING: frozenset[Word] = frozenset()


def side(state: State) -> Side:
    return Side.SENDER if isinstance(state, Sender) else Side.RECEIVER


def test_each_side_says_only_what_is_its_own():
    """What an act or an answer says is of a type that this side sends; what is heard, of the other side's."""
    spoken = {(side(state), step.says.type) for (state, _), step in SENDS.items() if step.says}
    spoken |= {
        (side(state), step.says.type)
        for (state, _), step in HEARS.items()
        if isinstance(step, Heard) and step.says
    }
    heard = {(side(state), word.type) for state, word in HEARS}
    other = {Side.SENDER: Side.RECEIVER, Side.RECEIVER: Side.SENDER}

    assert spoken == {(one, kind) for kind, sides in SPEAKS.items() for one in sides}
    assert heard == {(other[one], kind) for one, kind in spoken}
    assert not may_speak(Side.RECEIVER, Type.RECORD) and may_speak(Side.SENDER, Type.RECORD)


def test_questions_are_always_answered():
    """Whoever has heard of a transfer answers a question about it, in every state; nothing changes by it."""
    for state in (*Receiver, *(one for one in Sender if one is not Sender.NONE)):
        assert HEARS[state, Word.QUERY] == Heard(state, Word.STATUS)
    assert (Sender.NONE, Word.QUERY) not in HEARS


def test_what_has_to_arrive():
    """Only these three types never expire."""
    assert set(MUST_ARRIVE) == {Type.RECORD, Type.INTEGRATED, Type.SENT_BACK}


@pytest.mark.parametrize(
    ("state", "what", "heard", "to"),
    [
        (Sender.OFFERED, Act.HAND_OVER, {Word.ACCEPTED}, Sender.HANDOVER),
        (Sender.OFFERED, Act.HAND_OVER, set(), None),
        (Sender.OFFERED, Act.CALL_OFF, {Word.ACCEPTED}, Sender.KEPT),
        (Sender.HANDOVER, Act.CALL_OFF, {Word.ACCEPTED}, None),
        (Sender.HANDOVER, Act.RELEASE, {Word.ACCEPTED}, None),
        (Sender.HANDOVER, Act.RELEASE, {Word.ACCEPTED, Word.NEVER_SEEN}, Sender.KEPT),
        (Sender.MOVED, Act.CALL_OFF, set(), None),
        (Receiver.NONE, Act.OFFER, set(), None),
        (Receiver.DECIDING, Act.TAKE, {Word.RECORD}, None),
        (Receiver.AWAITED, Act.TAKE, set(), None),
        (Receiver.AWAITED, Act.TAKE, {Word.RECORD}, Receiver.TAKEN),
        (Receiver.AWAITED, Act.GIVE_UP, set(), Receiver.REFUSED),
        (Receiver.AWAITED, Act.GIVE_UP, {Word.RECORD}, None),
        (Receiver.TAKEN, Act.SEND_BACK, {Word.RECORD}, None),
    ],
)
def test_acts(state, what, heard, to):
    """From the hand-over on only the receiver ends a transfer, but for the release after `never_seen`."""
    found = act(state, what, frozenset(heard))

    assert (found and found.to) is to


@pytest.mark.parametrize(
    ("state", "word", "heard", "found"),
    [
        (Receiver.AWAITED, Word.QUERY_RECORD, set(), Heard(Receiver.REFUSED, Word.NEVER_SEEN, Word.RECORD)),
        (Receiver.AWAITED, Word.QUERY_RECORD, {Word.RECORD}, Heard(Receiver.AWAITED, Word.STATUS)),
        (Receiver.REFUSED, Word.RECORD, set(), Heard(Receiver.BACK, Word.SENT_BACK)),
        (Receiver.TAKEN, Word.RECORD, {Word.RECORD}, LATE),
        (Sender.NONE, Word.INTEGRATED, set(), None),
        (Sender.KEPT, Word.INTEGRATED, set(), None),
    ],
)
def test_what_is_heard(state, word, heard, found):
    """A binding answer, a record that is too late, and what no honest peer says (BEY-16)."""
    assert hear(state, word, frozenset(heard)) == found


def test_types_of_words():
    """Two words are a type of another name."""
    assert {word: word.type for word in Word if word.value != word.type.value} == {
        Word.QUERY_RECORD: Type.QUERY,
        Word.NEVER_SEEN: Type.STATUS,
    }
    assert set(protocol.SPEAKS) == set(Type)
