"""Two databases read side by side, in the order of one key, a piece at a time.

A piece ends where the shorter of both sides' pieces ends, so each step reads at most one piece of each
database, and whoever stops between two steps goes on behind the last key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa

from services.members import checks as members_checks
from services.orgs import checks as orgs_checks
from services.scheduler import checks as scheduler_checks
from services.transfers import checks as transfers_checks
from shared import clock, readings
from shared.readings import Reading
from shared.settings import FEDERATION, role
from system.doctor import differences
from system.doctor.differences import Found

Engines = Mapping[str, sa.Engine]
KEYS = 5_000
"""Keys of one second look."""


class Step(NamedTuple):
    """What one piece came to: the key to go on behind, the rows that were read, what does not agree."""

    end: int
    rows: int
    found: list[Found]


class Look(Protocol):
    """Something that the doctor looks at."""

    @property
    def kind(self) -> str:
        """Return by which name it is asked for."""

    @property
    def name(self) -> str:
        """Return what it is called where it is told of."""

    def walk(self, engines: Engines, after: int, limit: int) -> Iterator[Step]:
        """Yield what each piece behind a key comes to."""

    def again(self, engines: Engines, found: Sequence[Found]) -> list[Found]:
        """Return what is still a difference, by its final name."""


class Side(NamedTuple):
    """One of two readings, and whose it is."""

    service: str
    reading: Reading[Any]

    def end(self, engines: Engines, after: int, limit: int) -> int | None:
        """Return the last key of the next piece."""
        with engines[self.service].connect() as tx:
            return self.reading.end(tx, after, limit)

    def between(self, engines: Engines, after: int, end: int) -> list[Any]:
        """Return the rows of a piece."""
        with engines[self.service].connect() as tx:
            return self.reading.between(tx, after, end)

    def of(self, engines: Engines, keys: Iterable[int]) -> list[Any]:
        """Return the rows of some keys."""
        with engines[self.service].connect() as tx:
            return self.reading.of(tx, keys)


class Comparison(NamedTuple):
    """Two sides and the function that says where they do not agree."""

    kind: str
    left: Side
    right: Side
    judge: Callable[[int, Any, Any], Iterable[Found]]

    @property
    def name(self) -> str:
        """Return what is compared."""
        return (
            f"{self.left.service}.{self.left.reading.table} / {self.right.service}.{self.right.reading.table}"
        )

    def walk(self, engines: Engines, after: int, limit: int) -> Iterator[Step]:
        """Yield what each piece behind a key comes to.

        What is written meanwhile behind the end of one side may look like a difference; the second
        look knows better.
        """
        sides, ends = (self.left, self.right), [after, after]
        while True:
            # a side's end holds until both have come as far; one that has none reaches nowhere
            reach: list[int] = []
            for n, side in enumerate(sides):
                if ends[n] <= after:
                    ends[n] = side.end(engines, after, limit) or after
                reach += [ends[n]] if ends[n] > after else []
            if not reach:
                return
            end = min(reach)
            rows = [side.between(engines, after, end) for side in sides]
            yield Step(end, sum(map(len, rows)), self._judged(rows))
            after = end

    def _judged(self, rows: Sequence[list[Any]]) -> list[Found]:
        return [one for three in differences.merge(*rows) for one in self.judge(*three)]

    def again(self, engines: Engines, found: Sequence[Found]) -> list[Found]:
        """Return what is still a difference, by its final name."""
        keys = sorted({one.key for one in found})
        now: list[Found] = []
        for at in range(0, len(keys), KEYS):
            some = keys[at : at + KEYS]
            now += self._judged([side.of(engines, some) for side in (self.left, self.right)])
        return _named(engines, differences.lasting(found, now))


def _named(engines: Engines, found: list[Found]) -> list[Found]:
    """Give differences the names that depend on the transfer's standing."""
    ids = sorted({one.about for one in found if one.about})
    standings: dict[int, transfers_checks.Standing] = {}
    for at in range(0, len(ids), KEYS):
        with engines["transfers"].connect() as tx:
            standings |= transfers_checks.standings(tx, ids[at : at + KEYS])
    return differences.named(found, standings)


class Outbox(NamedTuple):
    """What a service has published, and the inboxes of those who have to handle it."""

    service: str
    since: timedelta

    @property
    def kind(self) -> str:
        """Return by which name it is asked for."""
        return "outbox"

    @property
    def name(self) -> str:
        """Return what is compared."""
        return f"{self.service}.outbox / inboxes"

    def walk(self, engines: Engines, after: int, limit: int) -> Iterator[Step]:
        """Yield what each piece behind an id comes to; from the start: of the last `since` only."""
        side = Side(self.service, readings.OUTBOX)
        after = max(after, self.begins(engines))
        while (end := side.end(engines, after, limit)) is not None:
            rows = side.between(engines, after, end)
            yield Step(end, len(rows), self._judged(engines, rows))
            after = end

    def begins(self, engines: Engines) -> int:
        """Return the id behind which the messages of the last `since` are."""
        with engines[self.service].connect() as tx:
            return readings.before(tx, self.since, clock.now())

    def _judged(self, engines: Engines, rows: Iterable[readings.Told]) -> list[Found]:
        found: list[Found] = []
        waiting: dict[str, dict[str, readings.Told]] = {}
        for row in rows:
            roles = readings.consumers_of(row.topic)
            if not row.published:
                found.append(Found("not_published", row.id, 0, f"{self.service}: {row.topic}"))
                continue
            for consumer in (one for one in engines if role(one) in roles):
                waiting.setdefault(consumer, {})[f"{self.service}:{row.message_id}"] = row
        for consumer, asked in waiting.items():
            with engines[consumer].connect() as tx:
                missing = readings.not_handled(tx, asked)
            found += [_not_handled(asked[one], consumer) for one in sorted(missing)]
        return found

    def again(self, engines: Engines, found: Sequence[Found]) -> list[Found]:
        """Return what is still neither published nor handled."""
        return differences.lasting(found, self.waiting(engines, {one.key for one in found}))

    def waiting(self, engines: Engines, ids: Iterable[int]) -> list[Found]:
        """Return which of some messages wait, either to be published or to be handled."""
        return self._judged(engines, Side(self.service, readings.OUTBOX).of(engines, ids))


def _not_handled(row: readings.Told, consumer: str) -> Found:
    return Found("not_handled", row.id, 0, f"{row.topic} at {consumer}")


def _copies(services: Sequence[str], real: Reading[Any], copy: Reading[Any], judge: Any) -> list[Comparison]:
    keep = [one for one in services if role(one) in ("members", "transfers", FEDERATION)]
    return [Comparison("directory", Side("orgs", real), Side(one, copy), judge) for one in keep]


def looks(since: timedelta, services: Sequence[str]) -> list[Look]:
    """Return all comparisons of the databases of some services, those of the saga first."""
    return [
        Comparison(
            "reservations",
            Side("members", members_checks.HELD),
            Side("transfers", transfers_checks.OPEN),
            differences.reservations,
        ),
        Comparison(
            "timers",
            Side("transfers", transfers_checks.NODES),
            Side("scheduler", scheduler_checks.TIMERS),
            differences.timers,
        ),
        *_copies(services, orgs_checks.TREE, readings.DIRECTORY, differences.organisations),
        *_copies(services, orgs_checks.RIGHTS, readings.ADMINISTRATORS, differences.administrators),
        *(Outbox(service, since) for service in services),
        Comparison(
            "moves",
            Side("members", members_checks.MOVES),
            Side("transfers", transfers_checks.COMPLETED),
            differences.moves,
        ),
    ]
