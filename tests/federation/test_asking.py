"""Questions of a bridge: when they are asked, and what they bring."""

from datetime import timedelta

from services.federation import asking, envelope
from services.federation.asking import ASK_AGAIN, DOUBT_LIVES, GAP_LIVES, MOST
from services.federation.protocol import Act, Word
from tests.federation.factories import End, sent_states

OURS = "national:7"
SECOND = timedelta(seconds=1)


def ask(end: End, after: timedelta) -> int:
    """Let an end ask after a time."""
    end.now += after
    with end.engine.begin() as tx:
        return asking.ask(tx, end.bridge, end.now)


def receipt(end: End) -> None:
    """Let everything that was said be receipted."""
    sent_states(end, "receipted")


def test_a_gap_is_asked_for_and_closed(here, there):
    """A minute after an early message the sender is asked, and sends again what is missing."""
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())
    here.act(OURS, Act.ASK)
    here.act(OURS, Act.CALL_OFF)
    receipt(here)
    *_, last = here.said()
    there.hear(last)

    assert ask(there, GAP_LIVES - SECOND) == 0
    assert ask(there, SECOND) == 1
    (query,) = there.said()
    assert envelope.payload(query).type == "query"
    here.hear(query)

    # the second and the third have not been heard there; the answer is new
    assert here.rows("seq, type, state", "sent") == [
        (1, "offer", "receipted"),
        (2, "query", "waiting"),
        (3, "called_off", "waiting"),
        (4, "status", "waiting"),
    ]
    there.hear(*here.said())
    assert there.state(OURS) == "refused"
    assert [told.word for told in there.told] == [Word.OFFER, Word.QUERY, Word.CALLED_OFF]


def handed_over(here: End, there: End) -> None:
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said())
    here.act(OURS, Act.HAND_OVER)


def test_a_member_on_the_way_is_asked_for(here, there):
    """After an hour without an answer the peer is asked for the record, and not every minute."""
    handed_over(here, there)

    assert ask(here, DOUBT_LIVES - SECOND) == 0
    assert ask(here, SECOND) == 1
    assert envelope.opened_before(here.said()[-1]).word is Word.QUERY_RECORD
    # the question itself waits still: another would say nothing more
    assert ask(here, 24 * DOUBT_LIVES) == 0
    receipt(here)
    assert ask(here, SECOND) == 1
    receipt(here)
    assert [ask(here, ASK_AGAIN - SECOND), ask(here, SECOND)] == [0, 1]


def test_what_has_ended_is_not_asked_about(here, there):
    """Nobody is on the way any more, and nothing is missing."""
    handed_over(here, there)
    there.hear(*here.said())
    there.act(OURS, Act.TAKE)
    here.hear(*there.said())

    assert ask(here, 30 * DOUBT_LIVES) == ask(there, 30 * DOUBT_LIVES) == 0


def test_many_are_asked_about_in_pieces(here, there):
    """Where a hundred and more are on the way, each turn asks about a hundred."""
    for number in range(MOST + 5):
        here.act(f"national:{number}", Act.OFFER)
    with here.engine.begin() as tx:
        tx.exec_driver_sql("UPDATE handovers SET state = 'handover'")

    assert [ask(here, DOUBT_LIVES), ask(here, SECOND), ask(here, SECOND)] == [MOST, 5, 0]
