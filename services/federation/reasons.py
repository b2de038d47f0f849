"""Why a transfer ends, in our words and in those of bridges (FED-10)."""

from __future__ import annotations

from shared.messages.words import BridgeReason

OURS = {one.ours: one for one in BridgeReason if one.ours}
"""The reasons of bridges by our codes of the same meaning."""


def in_their_words(cause: str, code: str, note: str) -> tuple[BridgeReason, str]:
    """Return the reason that says why a transfer has ended here, and the text that goes with it.

    Args:
        cause: The line of the trail that has ended it.
        code: Why, as the trail says.
        note: What the approver has written.

    """
    for word in (code, cause):
        reason = BridgeReason.known(word) or OURS.get(word)
        if reason is not None:
            return reason, note
    return BridgeReason.OTHER, note or code or cause


def in_our_words(reason: str, text: str) -> tuple[str, str]:
    """Return our code for a reason of the peer's, and the text that came with it.

    A reason that is not in the list is `other`, told with its text; without any, by its code.
    """
    known = BridgeReason.known(reason)
    if known is None:
        return str(BridgeReason.OTHER), text or reason
    return known.ours or str(known), text
