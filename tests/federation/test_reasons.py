"""Reasons of the bridge say what our own say."""

import pytest

from shared.errors import KINDS
from shared.messages.words import BridgeReason, Rejection, TrailEvent

OURS = {
    **{code: kind.zh for code, kind in KINDS.items()},
    **{str(one): one.zh for one in TrailEvent},
    **{str(one): one.zh for one in Rejection},
}


@pytest.mark.parametrize("reason", list(BridgeReason))
def test_each_is_one_of_ours(reason):
    """A reason that has a code here has its words, too; the others are of bridges alone."""
    if reason.ours:
        assert OURS[reason.ours] == reason.zh
    else:
        assert reason.zh not in OURS.values()
    assert reason.en and reason.en != reason.zh


def test_every_rejection_can_be_told():
    """What an approver here says against a transfer has a code that crosses the bridge."""
    assert {str(one) for one in Rejection} <= {reason.ours for reason in BridgeReason}


def test_a_reason_that_is_not_in_the_list():
    """It is shown by its text: its code is known to nobody."""
    assert BridgeReason.known("no_room") is None and BridgeReason("no_room").ours == ""
