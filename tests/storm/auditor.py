"""The auditor: reads the databases, the broker and PostgreSQL's log, and says what is not as it should be."""

from __future__ import annotations

import json
import time
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import NamedTuple

import sqlalchemy as sa

from shared.messages import events
from shared.outbox import MESSAGE_ID
from shared.settings import SERVICES
from system import audit_proof
from system.demo import check_invariants
from tests.storm.faults import Struck
from tests.storm.offices import Tally
from tests.storm.processes import Fleet

SETTLE_SECONDS = 60
"""Everything has ended within this time after the last fault."""

AFTER_SECONDS = 2
"""For so long after a fault a stall counts as its doing."""
_ENDS = sa.text(
    "SELECT extract(epoch FROM ended_at)::float FROM transfers WHERE ended_at IS NOT NULL ORDER BY 1"
)


class Finding(NamedTuple):
    """How many of what should not be there, with some of them."""

    what: str
    count: int
    some: str = ""


def settled(fleet: Fleet, seconds: float) -> float | None:
    """Wait until every transfer has ended and every message had its effect.

    Return the seconds it took, None if it did not happen.
    """
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        try:
            if not _under_way(fleet):
                return time.monotonic() - began
        except sa.exc.SQLAlchemyError:
            pass
        time.sleep(0.25)
    return None


def _under_way(fleet: Fleet) -> int:
    found = 0
    for service in SERVICES:
        with fleet.engine(service).connect() as tx:
            found += tx.scalar(sa.text("SELECT count(*) FROM outbox WHERE published_at IS NULL"))
            found += tx.scalar(
                sa.text("SELECT count(*) FROM failed_messages WHERE next_attempt_at IS NOT NULL")
            )
            if service == "transfers":
                found += tx.scalar(sa.text("SELECT count(*) FROM open_transfers"))
    return found or sum(queues(fleet).values())


def queues(fleet: Fleet) -> dict[str, int]:
    """Return how many messages each queue of events holds."""
    said = fleet.cluster.control("list_queues", "name", "messages", "--formatter", "json")
    return {row["name"]: row["messages"] for row in json.loads(said) if row["name"].endswith(".events")}


def audit(fleet: Fleet, tally: Tally) -> list[Finding]:
    """Return every count that should be 0, and what it counts."""
    rows = _states(fleet)
    dead = queues(fleet).get("dead.events", 0)
    return [
        _some("lost: accepted, but not in the database", tally.accepted - rows.keys()),
        _some("stuck: not ended", {one for one, ended in rows.items() if not ended}),
        *_doubled(fleet),
        *_orphans(fleet),
        *_gaps(fleet),
        Finding("dead letters", _failed(fleet)),
        Finding("messages in dead.events", dead),
        Finding("deadlocks", _lines(fleet, "deadlock detected")),
        *[Finding(f"does not hold: {name}", int(not holds)) for name, holds in _invariants(fleet)],
        *[Finding(f"audit: {one.what}", len(one.broken)) for one in audit_proof.prove(fleet.settings)],
        Finding(
            "answers that should not be", len(tally.problems), "; ".join(sorted(set(tally.problems))[:5])
        ),
    ]


def _some(what: str, ids: set[int]) -> Finding:
    return Finding(what, len(ids), ", ".join(map(str, sorted(ids)[:10])))


def _states(fleet: Fleet) -> dict[int, bool]:
    with fleet.engine("transfers").connect() as tx:
        rows = tx.execute(sa.text("SELECT transfer_id, ended_at IS NOT NULL FROM transfers"))
        return dict(tuple(row) for row in rows)


def _ids(fleet: Fleet, service: str, statement: str) -> set[int]:
    with fleet.engine(service).connect() as tx:
        return set(tx.scalars(sa.text(statement)))


def _doubled(fleet: Fleet) -> list[Finding]:
    """Return what happened twice: an end, a start, a move."""
    ends = """
        SELECT transfer_id FROM audit
        WHERE event IN ('moved', 'reject', 'withdraw', 'clock_return', 'unavailable')
        GROUP BY 1 HAVING count(*) > 1"""
    nodes = "SELECT transfer_id FROM audit GROUP BY transfer_id, event HAVING count(*) > 1"
    starts = "SELECT min(transfer_id) FROM transfers GROUP BY command_id HAVING count(*) > 1"
    moves = "SELECT transfer_id FROM memberships GROUP BY 1 HAVING transfer_id IS NOT NULL AND count(*) > 1"
    return [
        _some("doubled: starts", _ids(fleet, "transfers", starts)),
        _some("doubled: steps of a trail", _ids(fleet, "transfers", nodes)),
        _some("doubled: ends", _ids(fleet, "transfers", ends)),
        _some("doubled: moves", _ids(fleet, "members", moves)),
    ]


def _orphans(fleet: Fleet) -> list[Finding]:
    """Return timers, reservations and nodes that nothing stands behind."""
    nodes = _ids(fleet, "transfers", "SELECT transfer_id FROM open_nodes")
    waits = _ids(
        fleet,
        "transfers",
        "SELECT transfer_id FROM open_nodes WHERE remind_at IS NOT NULL OR expires_at IS NOT NULL",
    )
    timers = _ids(fleet, "scheduler", "SELECT transfer_id FROM timers WHERE due_at IS NOT NULL")
    held = _ids(fleet, "members", "SELECT reserved_by FROM people WHERE reserved_by IS NOT NULL")
    return [
        _some("orphans: timers of no open node", timers - nodes),
        _some("orphans: open nodes without a timer", waits - timers),
        _some(
            "orphans: reservations", held - _ids(fleet, "transfers", "SELECT transfer_id FROM open_transfers")
        ),
    ]


def _gaps(fleet: Fleet) -> list[Finding]:
    """Return by consumer how many messages for it are not in its inbox."""
    sent: dict[str, set[str]] = {service: set() for service in SERVICES}
    for service in SERVICES:
        with fleet.engine(service).connect() as tx:
            for topic, message_id in tx.execute(sa.text(f"SELECT topic, {MESSAGE_ID} FROM outbox")):
                for consumer in events()[topic].consumers:
                    sent[consumer].add(f"{service}:{message_id}")
    found = []
    for service in SERVICES:
        with fleet.engine(service).connect() as tx:
            missing = sent[service] - set(tx.scalars(sa.text("SELECT message_id FROM inbox")))
        found.append(Finding(f"inbox gaps: {service}", len(missing), ", ".join(sorted(missing)[:5])))
    return found


def _failed(fleet: Fleet) -> int:
    return sum(
        len(_ids(fleet, service, "SELECT id FROM failed_messages WHERE next_attempt_at IS NULL"))
        for service in SERVICES
    )


def _lines(fleet: Fleet, words: str) -> int:
    """Count lines of PostgreSQL's log: its statistics do not outlive a crash."""
    return fleet.postgres.log.read_text(errors="replace").count(words)


def _invariants(fleet: Fleet) -> list[tuple[str, bool]]:
    return check_invariants({service: fleet.engine(service) for service in SERVICES})


def ends(fleet: Fleet) -> list[float]:
    """Return the instants at which transfers ended, in order."""
    with fleet.engine("transfers").connect() as tx:
        return list(tx.scalars(_ENDS))


def stalls(faults: list[Struck], ends: list[float]) -> dict[str, list[float]]:
    """Return by kind of fault the longest time in which no transfer ended while it lasted or just after.

    Faults overlap, so a stall may be counted for several.
    """
    found: dict[str, list[float]] = {}
    for one in faults:
        first = max(0, bisect_left(ends, one.began) - 1)
        last = bisect_right(ends, one.ended + AFTER_SECONDS) + 1
        gaps = [b - a for a, b in pairwise(ends[first:last])]
        found.setdefault(one.kind, []).append(max(gaps, default=0.0))
    return found
