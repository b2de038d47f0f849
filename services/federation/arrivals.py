"""The SQL of who is offered to us: which transfer here belongs to each transfer of the peer (FED-08).

Rows are changed only by whoever holds the row of their subject in `handovers`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation.schemas import CalledOff
from shared import db
from shared.recordset import columns, recordset

COMMANDS = UUID("5d0d3b0c-6d4e-4c52-8a3e-0b6f0a4b7f15")
"""The namespace of the ids of requests: each follows from its subject, so that none is made twice."""


@dataclass(frozen=True)
class Offered:
    """Somebody who is offered: where from, where to, why."""

    subject: str
    command_id: UUID
    source_branch_id: int
    target_org_id: int
    reason: str
    remark: str


class Arrival(NamedTuple):
    """Somebody who is offered, as far as is known by now."""

    subject: str
    command_id: UUID
    source_branch_id: int
    target_org_id: int
    reason: str
    remark: str
    member_id: int | None
    transfer_id: int | None
    end_code: str | None
    end_note: str | None


@dataclass(frozen=True)
class Known:
    """As whom members knows somebody who is offered."""

    subject: str
    member_id: int


@dataclass(frozen=True)
class Answered:
    """Which transfer has started for somebody who is offered."""

    subject: str
    transfer_id: int


@dataclass(frozen=True)
class _Ended:
    subject: str
    end_code: str
    end_note: str


_ADD = sa.text(f"""
    INSERT INTO arrivals ({columns(Offered)}) SELECT {columns(Offered)} FROM {recordset(Offered)}
    ORDER BY subject ON CONFLICT DO NOTHING""")
_KNOW = sa.text(f"""
    UPDATE arrivals a SET member_id = i.member_id FROM {recordset(Known)} WHERE a.subject = i.subject""")
_ANSWER = sa.text(f"""
    UPDATE arrivals a SET transfer_id = i.transfer_id
    FROM {recordset(Answered)} WHERE a.subject = i.subject""")
_END = sa.text(f"""
    UPDATE arrivals a SET (end_code, end_note) = (i.end_code, i.end_note)
    FROM {recordset(_Ended)} WHERE a.subject = i.subject""")
_BY = {
    kind: sa.text(
        f"SELECT {columns(Arrival)} FROM arrivals"
        f" WHERE {column} = ANY(CAST(:some AS {of}[])) ORDER BY subject"
    )
    for kind, column, of in (
        ("subject", "subject", "text"),
        ("transfer", "transfer_id", "bigint"),
        ("command", "command_id", "uuid"),
    )
}


def command_of(subject: str) -> UUID:
    """Return the id of the request that a transfer of the peer becomes."""
    return uuid5(COMMANDS, subject)


def add(tx: Connection, some: Sequence[Offered]) -> None:
    """Remember who is offered."""
    if some:
        db.run(tx, _ADD, some)


def know(tx: Connection, some: Sequence[Known]) -> None:
    """Store as whom members knows them."""
    if some:
        db.run(tx, _KNOW, some)


def answer(tx: Connection, some: Sequence[Answered]) -> None:
    """Store which transfers have started."""
    if some:
        db.run(tx, _ANSWER, some)


def end(tx: Connection, some: Iterable[tuple[str, CalledOff]]) -> None:
    """Store why the peer has called them off."""
    rows = [_Ended(subject, data.reason, data.text) for subject, data in some]
    if rows:
        db.run(tx, _END, rows)


def find(tx: Connection, subjects: Collection[str]) -> dict[str, Arrival]:
    """Return who is offered, by subject."""
    rows = db.rows(Arrival, tx.execute(_BY["subject"], {"some": sorted(subjects)})) if subjects else []
    return {row.subject: row for row in rows}


def of_commands(tx: Connection, command_ids: Collection[UUID]) -> dict[UUID, Arrival]:
    """Return who is offered, by the request to transfers."""
    some = {"some": sorted(map(str, command_ids))}
    rows = db.rows(Arrival, tx.execute(_BY["command"], some)) if command_ids else []
    return {row.command_id: row for row in rows}


def of_transfers(tx: Connection, transfer_ids: Collection[int]) -> dict[int, Arrival]:
    """Return who is offered, by the transfer here."""
    some = {"some": sorted(transfer_ids)}
    rows = db.rows(Arrival, tx.execute(_BY["transfer"], some)) if transfer_ids else []
    return {row.transfer_id: row for row in rows if row.transfer_id is not None}
