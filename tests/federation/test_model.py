"""The hand-over explored whole: nobody is active twice, nobody is lost, everything can end."""

from collections.abc import Callable

import pytest

from services.federation.protocol import HEARS, LATE, Act, Heard, Receiver, Sender, Sent, Type, Word
from tests.federation.model import Tables, idle, walk

S, R, W, A, T = Sender, Receiver, Word, Act, Type


@pytest.mark.parametrize(("back", "least"), [(False, 1000), (True, 150)])
def test_nobody_is_active_twice_and_nobody_is_lost(back, least):
    """Two transfers of one person, whatever the network does: one after the other, or there and back.

    Every state can still end, also where whatever may expire is lost for good; and an honest message is
    never taken for an impossible one.
    """
    tables = Tables(back=back)
    found = walk(tables)

    assert (found.wrong, found.way) == ("", ())
    assert found.states > least
    # the table has no cell that cannot be reached
    assert {cell for cell in HEARS if cell[1] not in idle(tables)} == tables.reached


def sends(state, what, step):
    def plant(tables: Tables) -> None:
        tables.sends[state, what] = step

    return plant


def hears(state, word, step):
    def plant(tables: Tables) -> None:
        tables.hears[state, word] = step

    return plant


def field(name, value):
    def plant(tables: Tables) -> None:
        setattr(tables, name, value)

    return plant


MISTAKES: dict[str, tuple[Callable[[Tables], None], str]] = {
    "a clock ends a hand-over": (sends(S.HANDOVER, A.CALL_OFF, Sent(S.KEPT, W.CALLED_OFF)), "active twice"),
    "never_seen does not bind": (
        hears(R.AWAITED, W.QUERY_RECORD, Heard(R.AWAITED, W.NEVER_SEEN)),
        "active twice",
    ),
    "never_seen is said of a record that has come": (
        hears(R.TAKEN, W.QUERY_RECORD, Heard(R.TAKEN, W.NEVER_SEEN)),
        "active twice",
    ),
    "a late record is taken": (hears(R.REFUSED, W.RECORD, Heard(R.TAKEN, W.INTEGRATED)), "active twice"),
    "a late record is dropped": (hears(R.REFUSED, W.RECORD, LATE), "cannot end without what expires"),
    "active from the acceptance": (sends(R.DECIDING, A.ACCEPT, Sent(R.TAKEN, W.ACCEPTED)), "active twice"),
    "taken without a record": (sends(R.AWAITED, A.TAKE, Sent(R.TAKEN, W.INTEGRATED)), "active twice"),
    "released without an answer": (sends(S.HANDOVER, A.RELEASE, Sent(S.KEPT, None)), "active twice"),
    "handed over before the acceptance": (
        sends(S.OFFERED, A.HAND_OVER, Sent(S.HANDOVER, W.RECORD)),
        "cannot end without what expires",
    ),
    "an answer is not expected": (
        hears(S.KEPT, W.SENT_BACK, None),
        "an honest message is taken for impossible",
    ),
    "still active after the record": (
        sends(S.OFFERED, A.HAND_OVER, Sent(S.OFFERED, W.RECORD, needs=W.ACCEPTED)),
        "active twice",
    ),
    "gone with the record": (
        sends(S.OFFERED, A.HAND_OVER, Sent(S.MOVED, W.RECORD, needs=W.ACCEPTED)),
        "lost",
    ),
    "kept when it was integrated": (hears(S.HANDOVER, W.INTEGRATED, Heard(S.KEPT)), "active twice"),
    "moved when it was sent back": (hears(S.HANDOVER, W.SENT_BACK, Heard(S.MOVED)), "lost"),
    "moved when it was refused": (hears(S.HANDOVER, W.REFUSED, Heard(S.MOVED)), "lost"),
    "given up when the record has come": (
        sends(R.AWAITED, A.GIVE_UP, Sent(R.REFUSED, W.REFUSED)),
        "cannot end without what expires",
    ),
    "sent back after it was taken": (sends(R.TAKEN, A.SEND_BACK, Sent(R.BACK, W.SENT_BACK)), "lost"),
    "sent_back expires": (
        field("must_arrive", (T.RECORD, T.INTEGRATED)),
        "cannot end without what expires",
    ),
    "record expires": (field("must_arrive", (T.INTEGRATED, T.SENT_BACK)), "cannot end without what expires"),
    "state and message are not committed together": (field("half_commits", True), "cannot end"),
    "a receipt before the message is stored": (
        field("early_receipts", True),
        "cannot end without what expires",
    ),
    "two transfers of one person at once": (field("alone", ()), "active twice"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name):
    """What the walk says of the protocol means something: each of these mistakes is found by it."""
    plant, wrong = MISTAKES[name]
    tables = Tables(quarantines="honest" in wrong)
    plant(tables)

    found = walk(tables)

    assert found.wrong == wrong
