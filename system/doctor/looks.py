"""What needs no comparison of two databases: schemas, clocks, dead letters, audit logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

import sqlalchemy as sa
from amqp.exceptions import NotFound

from shared import clock, migrate, readings
from shared.bus import connection, dead
from shared.bus.topology import Topology
from shared.settings import Settings
from system import audit_proof
from system.doctor.comparisons import Engines, Look, Step
from system.doctor.differences import Found

APART = 1.0
"""Seconds by which a clock may differ from most of the others."""
TRIES = 3
"""How often a clock is asked; the quickest answer counts, since it is the surest."""


class Alone(NamedTuple):
    """A look that finds everything at once, and nothing that is only under way."""

    kind: str
    find: Callable[[Engines], Step]

    @property
    def name(self) -> str:
        """Return what is looked at."""
        return self.kind

    def walk(self, engines: Engines, after: int, limit: int) -> Iterator[Step]:
        """Yield everything, unless it was looked at before."""
        if not after:
            yield self.find(engines)

    def again(self, engines: Engines, found: Sequence[Found]) -> list[Found]:
        """Return what was found."""
        return list(found)


def versions(settings: Settings) -> list[Found]:
    """Return the services whose database has another schema than this program wants."""
    return [
        Found("schema_differs", 0, 0, service)
        for service in settings.services
        if migrate.pending(service, settings.database(service))
    ]


def clocks(offsets: Mapping[str, float]) -> list[Found]:
    """Return the clocks that differ from the middle of all by more than `APART` seconds."""
    middle = median(offsets.values())
    return [
        Found("clock_apart", 0, 0, f"{name}: {offset - middle:+.1f} s")
        for name, offset in sorted(offsets.items())
        if abs(offset - middle) > APART
    ]


def _clocks(engines: Engines) -> Step:
    offsets = {"here": 0.0, **{service: _offset(engine) for service, engine in engines.items()}}
    return Step(1, len(offsets), clocks(offsets))


def _offset(engine: sa.Engine) -> float:
    """Return by how many seconds a database's clock is ahead of ours."""
    answers = []
    with engine.connect() as tx:
        for _ in range(TRIES):
            asked = clock.now()
            there: datetime = tx.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
            took = clock.now() - asked
            answers.append((took, (there - asked - took / 2).total_seconds()))
    return min(answers)[1]


def _dead(settings: Settings, engines: Engines) -> Step:
    found = _dead_at_broker(settings)
    for service, engine in engines.items():
        with engine.connect() as tx:
            rows: Any = readings.dead(tx)
            found += [Found("dead_letter", row.id, 0, f"{service}:{row.id} {row.topic}") for row in rows]
    return Step(1, len(found), found)


def _dead_at_broker(settings: Settings) -> list[Found]:
    """Return how many messages the broker has given up; they are counted, not taken out of their queue."""
    with closing(connection.connect(settings.amqp_uri)) as broker:
        try:
            count = dead.count(broker, Topology.of(settings))
        except NotFound:  # no service has ever been connected
            return []
    return [Found("dead_messages", 0, 0, f"{count} messages in the broker's dead queue")] if count else []


def _audit(settings: Settings) -> Step:
    lines, found = 0, []
    for proof in audit_proof.prove(settings):
        lines += proof.lines
        found += [Found("chain_broken", 0, 0, f"{proof.what}: {word}") for word in proof.broken]
    return Step(1, lines, found)


def looks(settings: Settings) -> list[Look]:
    """Return the looks of this module."""
    return [
        Alone("versions", lambda engines: Step(1, len(settings.services), versions(settings))),
        Alone("clocks", _clocks),
        Alone("dead", lambda engines: _dead(settings, engines)),
        Alone("audit", lambda engines: _audit(settings)),
    ]
