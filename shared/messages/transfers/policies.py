"""The season's policy as people read it (BEY-07)."""

from __future__ import annotations

import msgspec

from shared.messages import Query, words
from shared.messages.limits import (
    Instant,
    ShortLine,
)


class GetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Ask which season policy holds (BEY-07).

    With `compare`, the name of another: also what that would change, and for leading bodies what it
    would do to the open nodes.
    """

    compare: ShortLine = ""


class PolicyNode(msgspec.Struct, frozen=True, kw_only=True):
    """What the clock does at one kind of node; days, None for never."""

    state: words.TransferState
    remind_after: float | None
    expire_after: float | None
    on_expiry: words.OnExpiry


class PolicyPhase(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the year, `MM-DD` to `MM-DD`, and whether deadlines fire in it."""

    name: str
    begins: str
    ends: str
    clock: bool
    withdraw_until: words.WithdrawUntil


class PolicyEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What another policy would do to the open nodes of one kind in one province."""

    province: str
    state: words.TransferState
    open: int
    moved: int
    earlier: int
    overdue: int
    soon: int
    other_action: int


class PolicyHeld(msgspec.Struct, frozen=True, kw_only=True):
    """Since when which policy holds, or will hold."""

    since: Instant
    key: str


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that holds, its nodes and phases, its history, and how another compares."""

    key: str
    source: str
    withdraw_until: words.WithdrawUntil
    nodes: list[PolicyNode]
    phases: list[PolicyPhase]
    history: list[PolicyHeld]
    known: list[str]
    changes: list[str] = []
    effects: list[PolicyEffect] = []


get_policy = Query("transfers", "get_policy", GetPolicy, PolicyView)
