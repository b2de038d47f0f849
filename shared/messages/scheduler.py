"""What the scheduler tells: an instant that someone asked for has come."""

from __future__ import annotations

from typing import ClassVar

from shared.messages import Event
from shared.messages.limits import Day, Instant, SmallNumber, TransferId


class ReminderDue(Event, frozen=True, kw_only=True):
    """The node has waited long enough to remind its organisation (DL-02, ASG-06)."""

    publisher: ClassVar[str] = "scheduler"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    node_no: SmallNumber
    due_at: Instant


class DeadlineExpired(Event, frozen=True, kw_only=True):
    """The node's deadline has passed (DL-01, DL-05); the transfer decides what that means."""

    publisher: ClassVar[str] = "scheduler"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    node_no: SmallNumber
    due_at: Instant


class DayBegan(Event, frozen=True, kw_only=True):
    """A new day began in China; each day is told once.

    What happens yearly or daily hangs on it (GRAD-12, GRAD-25).
    """

    publisher: ClassVar[str] = "scheduler"
    consumers: ClassVar[tuple[str, ...]] = ("members", "orgs")

    day: Day
