"""Which messages are listed, and which addresses are told (MSG-02, BEY-15, BEY-19). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared.errors import Refusal
from shared.messages.words import UNTOLD, TrailEvent

KINDS = tuple(kind for kind in TrailEvent if kind not in UNTOLD)
"""Lines of the trail that people are told of."""

HOOKS_MAX = 20
"""Addresses that one organisation has told at a time."""


def check_kind(kind: str) -> Refusal | None:
    """Return why there are no messages of a kind (MSG-02); an empty one means all."""
    if not kind or kind in KINDS:
        return None
    return Refusal("bad_request", {"detail": f"kind: {', '.join(KINDS)}"})


def place_in_list(after: str) -> tuple[datetime, int, int] | Refusal:
    """Return the place in a list of messages that a cursor means: instant, transfer and line (MSG-01)."""
    try:
        at, transfer_id, seq = after.split("~")
        return datetime.fromisoformat(at), int(transfer_id), int(seq)
    except ValueError:
        return Refusal("bad_request", {"detail": "after"})


def check_address(url: str | None, hosts: Sequence[str]) -> Refusal | None:
    """Return why an address is not told (BEY-15).

    `url` is how it would be stored, None where it may not be told; `hosts` are those that may.
    """
    if url is not None:
        return None
    return Refusal("address_refused", {"allowed": ", ".join(hosts) or "TUANQIAO_NOTICE_HOSTS"})


def check_added(stored: bool, own: bool, same: bool) -> Refusal | None:
    """Return why an address was not added (BEY-15, BEY-19).

    Args:
        stored: It stands there now; else the organisation has as many as it may.
        own: It stands there by this command, and not by an earlier one.
        same: The same person has sent that one, for the same organisation.

    """
    if not stored:
        return Refusal("too_many_webhooks", {"limit": str(HOOKS_MAX)})
    # An address that was told already is shared by whoever asks for it; an id of a command is not.
    return Refusal("command_taken") if own and not same else None


def check_ended(found: bool) -> Refusal | None:
    """Return why an address is not switched off: the organisation has none of that id (BEY-19)."""
    return None if found else Refusal("unknown_webhook")
