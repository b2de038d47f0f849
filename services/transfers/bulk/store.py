"""The SQL of bulk decisions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.waiting import MATCHING, Wanted
from shared import db
from shared.recordset import recordset


class Job(NamedTuple):
    """A bulk decision with how many rows it has, and how many of them are done or wait."""

    bulk_id: UUID
    started_at: datetime
    decision: str
    total: int
    done: int
    waiting: int


class Problem(NamedTuple):
    """A row that was refused: whose transfer it is, and the code of the refusal."""

    bulk_id: UUID
    transfer_id: int
    member_id: int
    result: str


class Row(NamedTuple):
    """A row that waits, with whose bulk decision it belongs to and what that is, as JSON."""

    bulk_id: UUID
    transfer_id: int
    node_no: int
    org_id: int
    person_id: int
    decision: str


class Settled(msgspec.Struct, frozen=True):
    """What became of a row: empty for done, else the code of the refusal."""

    bulk_id: UUID
    transfer_id: int
    result: str


# A bulk decision that was written down before yields no row of `job`, hence none of its rows again.
_START = sa.text(f"""
    WITH job AS (
        INSERT INTO bulk_jobs (bulk_id, org_id, person_id, decision, started_at)
        VALUES (:bulk, :org, :person, :decision, :now)
        ON CONFLICT DO NOTHING
        RETURNING bulk_id)
    INSERT INTO bulk_rows (bulk_id, transfer_id, node_no)
    SELECT (SELECT bulk_id FROM job), o.transfer_id, o.node_no {MATCHING}
        AND EXISTS (SELECT 1 FROM job)""")

_SENDERS = sa.text("""
    SELECT bulk_id, org_id, person_id FROM bulk_jobs
    WHERE bulk_id = ANY(CAST(:ids AS uuid[]))""")

_JOBS = sa.text("""
    SELECT j.*, count(*)::int AS total,
        (count(*) FILTER (WHERE r.result = ''))::int AS done,
        (count(*) FILTER (WHERE r.result IS NULL))::int AS waiting
    FROM bulk_jobs j JOIN bulk_rows r USING (bulk_id)
    WHERE j.org_id = :org AND (CAST(:bulk AS uuid) IS NULL OR j.bulk_id = :bulk)
    GROUP BY j.bulk_id ORDER BY j.started_at DESC LIMIT 20""")

_PROBLEMS = sa.text("""
    SELECT r.bulk_id, r.transfer_id, t.member_id, r.result
    FROM (
        SELECT * FROM bulk_rows
        WHERE bulk_id = ANY(CAST(:ids AS uuid[])) AND result <> ''
        ORDER BY bulk_id, transfer_id LIMIT 1000) r
    CROSS JOIN LATERAL (
        SELECT member_id FROM transfers f WHERE f.transfer_id = r.transfer_id OFFSET 0) t
    ORDER BY r.bulk_id, r.transfer_id""")

# Rows that another worker holds are passed over, so several services share a bulk decision.
_NEXT = sa.text("""
    SELECT r.*, j.org_id, j.person_id, j.decision FROM bulk_rows r JOIN bulk_jobs j USING (bulk_id)
    WHERE r.result IS NULL
    ORDER BY r.bulk_id, r.transfer_id LIMIT :limit
    FOR UPDATE OF r SKIP LOCKED""")

_SETTLE = sa.text(f"""
    UPDATE bulk_rows r SET result = i.result
    FROM {recordset(Settled)}
    WHERE r.bulk_id = i.bulk_id AND r.transfer_id = i.transfer_id""")

_STOP = sa.text("""
    UPDATE bulk_rows r SET result = 'bulk_stopped'
    FROM bulk_jobs j
    WHERE j.bulk_id = r.bulk_id AND r.bulk_id = :bulk AND j.org_id = :org AND r.result IS NULL""")


def senders(tx: Connection, bulk_ids: Iterable[UUID]) -> dict[UUID, tuple[int, int]]:
    """Return the organisation and the person that started bulk decisions, by id."""
    rows = tx.execute(_SENDERS, {"ids": [str(one) for one in bulk_ids]})
    return {row.bulk_id: (row.org_id, row.person_id) for row in rows}


def start_bulk(tx: Connection, bulk_id: UUID, person_id: int, decision: str, asked: Wanted) -> None:
    """Write down a bulk decision with the rows that it takes in now; repeated without effect."""
    tx.execute(_START, {**asked, "bulk": str(bulk_id), "person": person_id, "decision": decision})


def bulks(
    tx: Connection, org_id: int, bulk_id: UUID | None = None
) -> tuple[list[Job], dict[UUID, list[Problem]]]:
    """Return the newest bulk decisions of an organisation, or one, with the rows that were refused."""
    jobs = db.rows(Job, tx.execute(_JOBS, {"org": org_id, "bulk": str(bulk_id) if bulk_id else None}))
    problems: dict[UUID, list[Problem]] = {}
    for row in db.rows(Problem, tx.execute(_PROBLEMS, {"ids": [str(job.bulk_id) for job in jobs]})):
        problems.setdefault(row.bulk_id, []).append(row)
    return jobs, problems


def next_rows(tx: Connection, limit: int) -> list[Row]:
    """Return the next rows that wait, held for this transaction; another worker gets others."""
    return db.rows(Row, tx.execute(_NEXT, {"limit": limit}))


def settle_rows(tx: Connection, rows: Iterable[Settled]) -> None:
    """Store what became of rows."""
    db.run(tx, _SETTLE, rows)


def stop_bulk(tx: Connection, bulk_id: UUID, org_id: int) -> int:
    """Leave the rows that wait as they are; return how many."""
    return int(tx.execute(_STOP, {"bulk": str(bulk_id), "org": org_id}).rowcount)
