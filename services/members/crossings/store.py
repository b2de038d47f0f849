"""The SQL of those who go to another system and of those who come from one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members.store import Person
from shared import clock, db
from shared.messages.transfers import HandoverOpened
from shared.recordset import recordset

# ---- who goes ------------------------------------------------------------------------------------


class Stay(NamedTuple):
    """A stay in a branch, by its full name."""

    person_id: int
    branch: str
    since: date
    until: date | None


_HOLD = sa.text("""
    SELECT * FROM people
    WHERE person_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY person_id
    FOR NO KEY UPDATE""")
_STAYS = sa.text(f"""
    SELECT m.person_id, d.name AS branch, {clock.day_sql("m.began_at")} AS since,
        {clock.day_sql("m.ended_at")} AS until
    FROM memberships m JOIN org_directory d ON d.org_id = m.branch_id
    WHERE m.person_id = ANY(CAST(:ids AS bigint[])) AND d.system = 'national'
    UNION ALL
    SELECT person_id, branch, since, until FROM stays_elsewhere
    WHERE person_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY person_id, since, until NULLS LAST, branch""")
_BEGIN = sa.text(f"""
    INSERT INTO handovers (transfer_id, person_id, peer, opened_at)
    SELECT transfer_id, member_id, peer, :now FROM {recordset(HandoverOpened)}
    ORDER BY transfer_id
    ON CONFLICT DO NOTHING""")
_BEGUN = sa.text("SELECT transfer_id FROM handovers WHERE transfer_id = ANY(CAST(:ids AS bigint[]))")


def hold(tx: Connection, person_ids: Iterable[int]) -> dict[int, Person]:
    """Return people by id, held until the transaction ends, so that nobody edits them meanwhile."""
    rows = db.rows(Person, tx.execute(_HOLD, {"ids": sorted(set(person_ids))}))
    return {row.person_id: row for row in rows}


def stays(tx: Connection, person_ids: Iterable[int]) -> dict[int, list[Stay]]:
    """Return people's stays in branches here and, as their records told, elsewhere; oldest first."""
    found: dict[int, list[Stay]] = {}
    for row in db.rows(Stay, tx.execute(_STAYS, {"ids": sorted(set(person_ids))})):
        found.setdefault(row.person_id, []).append(row)
    return found


def begin_handovers(tx: Connection, items: Sequence[HandoverOpened], now: datetime) -> None:
    """Note that records are handed over: as long as these transfers hold their members (FED-10)."""
    if items:
        db.run(tx, _BEGIN, items, now=now)


def begun_handovers(tx: Connection, transfer_ids: Iterable[int]) -> set[int]:
    """Return those of some transfers whose record was sealed once."""
    return set(tx.scalars(_BEGUN, {"ids": sorted(set(transfer_ids))}))
