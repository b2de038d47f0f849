"""What counts as a difference between two services, as pure functions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.members.checks import Held, Moves
from services.scheduler.checks import Timer
from services.transfers.checks import Completed, Node, Open, Standing
from services.transfers.saga import State
from shared.readings import Known, Rights
from system.doctor import differences, looks

DAY = timedelta(days=1)
AT = datetime(2026, 7, 1, tzinfo=UTC)


def sorts(found) -> list[str]:
    return [one.sort for one in found]


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_merging_meets_each_key_once(left, right):
    """Each key of both sides comes once, in order, with what each side has."""
    met = list(differences.merge([(k, "l") for k in sorted(left)], [(k, "r") for k in sorted(right)]))
    assert [key for key, _, _ in met] == sorted(left | right)
    for key, one, other in met:
        assert (one == (key, "l"), other == (key, "r")) == (key in left, key in right)


@pytest.mark.parametrize(
    ("held", "opened", "expected"),
    [
        (None, None, []),
        (8, (8, State.IN), []),
        (8, None, ["held_by_other"]),
        (None, (8, State.IN), ["open_not_held"]),
        (8, (9, State.OUT), ["held_by_other", "open_not_held"]),
        # what is under way is a difference only if nothing happens until the second look
        (None, (8, State.CHECKING), ["checking_unanswered"]),
        (8, (8, State.CHECKING), ["checking_unanswered"]),
        (None, (8, State.MOVING), ["moving_unanswered"]),
        (8, (8, State.REJECTED), ["open_but_ended"]),
        (None, (8, None), ["open_but_ended"]),
    ],
)
def test_reservations(held, opened, expected):
    """A member is held by its open transfer and by no other."""
    left = Held(5, held) if held else None
    right = Open(5, opened[0], opened[1], 2) if opened else None
    assert sorts(differences.reservations(5, left, right)) == expected


def test_what_has_gone_on_is_no_difference():
    """A difference lasts only if both sides say exactly the same at the second look."""
    first = list(differences.reservations(5, None, Open(5, 8, "checking", 1)))
    moved_on = list(differences.reservations(5, None, Open(5, 9, "checking", 1)))
    assert differences.lasting(first, first) == first
    assert differences.lasting(first, moved_on) == []


@pytest.mark.parametrize(
    ("moved", "completed", "expected"),
    [
        ([(8, 1)], [(8, 1)], []),
        ([(8, 1), (9, 2)], [(8, 1)], ["moved_by_uncompleted"]),
        ([], [(8, 1)], ["completed_not_moved"]),
        ([(8, 1)], [(8, 2)], ["moved_elsewhere"]),
        ([(8, 1), (8, 1)], [(8, 1)], ["moved_twice"]),
    ],
)
def test_moves(moved, completed, expected):
    """Each completed transfer has moved its member once, to where it says."""
    sides = [kind(5, [a for a, _ in some], [b for _, b in some]) if some else None
             for kind, some in ((Moves, moved), (Completed, completed))]  # fmt: skip
    assert sorts(differences.moves(5, *sides)) == expected


NODE = Node(8, 1, 0, AT, DAY, AT + 10 * DAY, early=False)
TIMER = Timer(*NODE[:-1])


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"remind_at": AT + 3 * DAY}, True),  # reminded three times
        ({"remind_at": AT + timedelta(hours=1)}, False),
        ({"remind_at": AT - DAY}, False),
        ({"remind_at": None}, False),
        ({"expires_at": AT}, False),
        ({"expires_at": None}, False),
        ({"node_no": 2}, False),
        ({"revision": 1}, False),
        ({"remind_every": None}, False),
    ],
)
def test_timers(changes, same):
    """A timer has its node's instants; its reminder may be a later one of the rhythm."""
    found = list(differences.timers(8, NODE, TIMER._replace(**changes)))
    assert sorts(found) == ([] if same else ["timer_differs"])


def test_a_node_needs_a_timer():
    """Unless its deadline was told already and is kept until it has come here, too."""
    assert sorts(differences.timers(8, NODE, None)) == ["node_without_timer"]
    assert sorts(differences.timers(8, NODE._replace(early=True), None)) == []
    assert sorts(differences.timers(8, None, TIMER)) == ["timer_without_node"]


def test_a_reminder_without_rhythm_comes_once():
    """It is watched no longer afterwards, and one that nobody asked for is a difference."""
    once = NODE._replace(remind_every=None)
    gone = TIMER._replace(remind_every=None, remind_at=None)
    assert not list(differences.timers(8, once, gone))
    assert sorts(differences.timers(8, once._replace(remind_at=None), gone._replace(remind_at=AT))) == [
        "timer_differs"
    ]


@pytest.mark.parametrize(
    ("sort", "state", "expected"),
    [
        ("held_by_other", None, "held_by_unknown"),
        ("held_by_other", "withdrawn", "held_by_ended"),
        ("held_by_other", "completed", "held_by_completed"),
        ("held_by_other", "pending_in", "held_by_other"),
        ("moved_by_uncompleted", None, "moved_by_unknown"),
        ("moved_by_uncompleted", "moving", "moved_not_completed"),
        ("moved_by_uncompleted", "rejected", "moved_by_uncompleted"),
        ("timer_without_node", None, "timer_of_unknown"),
        ("timer_without_node", "returned", "timer_of_ended"),
        ("timer_without_node", "completed", "timer_of_moved"),
        ("timer_without_node", "pending_in", "timer_without_node"),
        ("open_not_held", "pending_in", "open_not_held"),
    ],
)
def test_names(sort, state, expected):
    """What a difference is called depends on where its transfer stands; each name has its words."""
    standings = {8: Standing(8, 5, state)} if state else {}
    found = differences.named([differences.Found(sort, 5, 8, "")], standings)
    assert sorts(found) == [expected]
    assert expected in differences.SORTS


def test_the_tree():
    """A copy that is older is one only if it says something else; one that is ahead always is."""

    def compare(copy):
        return sorts(differences.organisations(7, Known(7, 3, "abc"), copy))

    assert compare(Known(7, 2, "abc")) == []
    assert compare(Known(7, 3, "xyz")) == ["org_differs"]
    assert compare(Known(7, 4, "abc")) == ["org_differs"]
    assert compare(None) == ["org_missing"]
    assert sorts(differences.organisations(7, None, Known(7, 1, "abc"))) == ["org_unknown"]


def test_rights():
    """Rights are compared person by person."""
    real = Rights(7, [1, 2, 3], [1, 1, 1], ["administrator", "none", "observer"])
    copy = Rights(7, [2, 3, 4], [1, 2, 1], ["administrator", "observer", "administrator"])
    found = list(differences.administrators(7, real, copy))
    assert [(one.sort, one.about, one.version) for one in found] == [
        ("right_missing", 1, 1),
        ("right_differs", 2, 1),
        ("right_differs", 3, 2),
        ("right_unknown", 4, 1),
    ]


def test_clocks():
    """The clock that differs from most is named, not the others."""
    assert looks.clocks({"here": 0.0, "orgs": 0.2, "members": -0.3}) == []
    found = looks.clocks({"here": 0.0, "orgs": 0.0, "members": 0.0, "transfers": 86_400.0})
    assert [one.seen for one in found] == ["transfers: +86400.0 s"]
    # if it is our own clock, that one is named
    found = looks.clocks({"here": 0.0, "orgs": 60.0, "members": 60.0, "transfers": 60.0})
    assert [one.seen for one in found] == ["here: -60.0 s"]
