"""Loops that run beside the handlers for as long as a service does.

They are the relay, retries, notices, figures, imports and migrations. Every one of them is a
`Loop`, run by `run`: whatever its turn raises is counted, logged and followed by a growing pause,
so that no error ends the loop, and no loop the service. Work that is taken from the head of a line
goes through `Pieces`, which finds the item that fails again and again and sets it aside, so that it
does not stand before the others for ever.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared import clock, db, failures, metrics
from shared.guard import HandlerCrashed, guarded

log = logging.getLogger("tuanqiao.background")

LONGEST_PAUSE = 60.0
"""Between two turns of a loop that fails."""
LONGEST_PAUSE_AWAY = 5.0
"""The same, while only the database or the broker is away: it may be back at any moment."""
TRIES = 5
"""After how many failures alone an item is set aside."""
LOOK_AT_CLOCK = 0.5
"""A sleeping loop looks so often, in seconds, whether somebody has set the clock by more than that."""
PARTS = 8
"""A piece that fails is cut to this fraction, and grows back by as much when pieces succeed."""


class Away(Exception):
    """What a turn raises when something that it needs does not answer.

    The loop says so in one line and tries again soon.
    """


class Service(Protocol):
    """What a loop has to know of the service it runs in."""

    name: str
    stopping: bool
    on_stop: list[Callable[[], None]]


@dataclass(frozen=True)
class Loop:
    """One loop.

    Attributes:
        name: Of the metric and the log.
        turn: One turn; gets the machinery of the service; returns the seconds until the next, 0 for
            at once, None for `seconds`.
        seconds: How long it sleeps if nobody wakes it.
        settle: How long it waits when woken: who wakes it inside a transaction has not committed yet.
        by_clock: Whether it sleeps until an instant, so that it has to notice when the clock is set.
        wake: Set by whoever has made work for it.

    """

    name: str
    turn: Callable[[Any], float | None]
    seconds: float
    settle: float = 0.0
    by_clock: bool = False
    wake: threading.Event = field(default_factory=threading.Event, compare=False)


def run(service: Service, loop: Loop) -> bool:
    """Turn until the service stops; return whether the last turn did well.

    An error costs a pause, never the loop.
    """
    stopped = threading.Event()
    service.on_stop += [loop.wake.set, stopped.set]
    clock.on_advance(loop.wake.set)
    failing = metrics.BACKGROUND_FAILING.labels(service.name, loop.name)
    failing.set(0)
    metrics.BACKGROUND_FAILURES.labels(service.name, loop.name)
    in_a_row = 0

    def once() -> None:
        nonlocal in_a_row
        loop.wake.clear()
        wait = loop.turn(service)
        if in_a_row:
            in_a_row = 0
            failing.set(0)
        _sleep(service, loop, loop.seconds if wait is None else wait)

    # both are guarded whole, since a time-out that a turn has left behind may strike while the loop sleeps
    turn, rest = guarded(once), guarded(stopped.wait)
    while not service.stopping:
        try:
            turn()
        except Exception as error:
            in_a_row += 1
            failing.set(in_a_row)
            metrics.BACKGROUND_FAILURES.labels(service.name, loop.name).inc()
            _say(service.name, loop.name, error, in_a_row)
            with contextlib.suppress(HandlerCrashed):
                rest(_pause(error, in_a_row))
    return in_a_row == 0


def _sleep(service: Service, loop: Loop, seconds: float) -> None:
    """Sleep until somebody has made work for the loop or has set the clock, at most so long."""
    if seconds == 0:
        time.sleep(0)  # others may run between two pieces
    elif _woken(loop, seconds) and loop.settle and not service.stopping:
        time.sleep(loop.settle)


def _woken(loop: Loop, seconds: float) -> bool:
    """Wait; return whether somebody woke the loop.

    Who waits for an instant has reckoned the seconds by a clock that may be set meanwhile.
    """
    if not loop.by_clock:
        return loop.wake.wait(seconds)
    until, offset = time.monotonic() + seconds, clock.offset()
    while (left := until - time.monotonic()) > 0:
        if loop.wake.wait(min(left, LOOK_AT_CLOCK)):
            return True
        if abs(clock.offset() - offset) > LOOK_AT_CLOCK:
            return False
    return False


def _pause(error: Exception, in_a_row: int) -> float:
    """Return how long a loop rests after so many failures."""
    longest = LONGEST_PAUSE_AWAY if isinstance(error, Away) or failures.is_transient(error) else LONGEST_PAUSE
    return float(min(longest, 0.1 * 2 ** min(in_a_row, 12)))


def _say(service: str, loop: str, error: Exception, in_a_row: int) -> None:
    """Log a failure: in one line what heals by itself, with its trace what does not.

    Of many in a row ever fewer are logged.
    """
    if in_a_row & (in_a_row - 1):  # only the first, second, fourth, eighth and so on
        return
    if isinstance(error, Away) or failures.is_transient(error):
        log.warning(
            "%s: %s: %s; failure %d in a row, trying again", service, loop, failures.words(error), in_a_row
        )
    else:
        log.error("%s: %s failed %d times in a row, trying again", service, loop, in_a_row, exc_info=error)


class Pieces:
    """Work from the head of a line, in pieces.

    The item at the head that fails `TRIES` times alone is set aside.

    `work(database, size)` does at most `size` items in one transaction and returns how many;
    `give_up(database, problem)` sets aside the one that `work(database, 1)` would take. After one
    that was set aside the next gets a single try until something succeeds, so that a long row of
    bad items does not hold up for hours what stands behind it.
    """

    def __init__(
        self,
        service: str,
        name: str,
        size: int,
        work: Callable[[db.Database, int], int],
        give_up: Callable[[db.Database, str], None],
    ) -> None:
        self.service = service
        self.name = name
        self.most = size
        self.size = size
        self.failed = 0
        self.tries = TRIES
        self.work = guarded(work)
        self.give_up = give_up
        metrics.ITEMS_SET_ASIDE.labels(service, name)

    def turn(self, database: db.Database) -> int:
        """Do the next piece; return how many items were done or set aside.

        Raises:
            Exception: What the one item at the head raised, for the loop to count and to pause,
                until it is set aside.

        """
        try:
            done: int = self.work(database, self.size)
        except Exception as error:
            if failures.is_away(error):
                raise
            if self.size > 1:
                self.size = max(1, self.size // PARTS)
                return 1  # not 0, which would say that the line is empty
            self.failed += 1
            if self.failed < self.tries:
                raise
            log.error(
                "%s: %s: one item is set aside after %d tries",
                self.service,
                self.name,
                self.failed,
                exc_info=error,
            )
            self.give_up(database, failures.words(error))
            metrics.ITEMS_SET_ASIDE.labels(self.service, self.name).inc()
            self.failed, self.tries = 0, 1
            return 1
        if done:
            self.failed, self.tries = 0, TRIES
        self.size = min(self.most, self.size * PARTS)
        return done
