"""Waiting until what the services had told each other by an instant has had its effect everywhere.

A difference that can be explained by a message under way is none. After everything that was written
before has been handled, and everything that was written by that, too, none can.
"""

from __future__ import annotations

import time
from datetime import timedelta

from shared import readings
from system.doctor.comparisons import Engines, Outbox

RECENT = timedelta(minutes=15)
"""What was written longer ago and is not handled yet is lost rather than late: nobody waits for it."""
LOOK_SECONDS = 1.0


class UnderWay:
    """The messages of all services that wait now, to be published, handled, or tried again."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.outboxes = [Outbox(service, RECENT) for service in engines]
        self.waiting = {one: self._waiting(one) for one in self.outboxes}
        self.retried = {service: self._retried(service) for service in engines}

    def _waiting(self, outbox: Outbox) -> set[int]:
        return {one.key for step in outbox.walk(self.engines, 0, readings.PIECE) for one in step.found}

    def _retried(self, service: str) -> int:
        with self.engines[service].connect() as tx:
            return readings.retried(tx)[0]

    def count(self) -> int:
        """Return how many of them still wait."""
        count = 0
        for outbox, ids in self.waiting.items():
            self.waiting[outbox] = {one.key for one in outbox.waiting(self.engines, ids)} if ids else ids
            count += len(self.waiting[outbox])
        for service, last in self.retried.items():
            if last:
                with self.engines[service].connect() as tx:
                    count += readings.retried(tx, last)[1]
        return count


def wait(engines: Engines, seconds: float, patience: float) -> int:
    """Wait some seconds, and until nothing is under way that was so at the beginning, or follows from it.

    Return how many messages still wait when the patience, in seconds, is at its end.
    """
    began = time.monotonic()
    left = 0
    # twice: a message and the answer to it
    for _ in range(2):
        under_way = UnderWay(engines)
        while (left := under_way.count()) and time.monotonic() - began < patience:
            time.sleep(min(LOOK_SECONDS, patience))
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    return left
