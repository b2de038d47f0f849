"""The SQL of identity checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.messages.members import MemberReserved
from shared.outbox import insert, tell
from shared.recordset import locked, recordset


class Unchecked(NamedTuple):
    """A person to be checked."""

    person_id: int
    name: str
    id_sealed: bytes


class Checked(TypedDict):
    """What the identity service said of a person, None where it could not say."""

    person_id: int
    result: str | None


_TO_CHECK = sa.text("""
    UPDATE people p SET identity_checked_at = :claimed
    FROM (
        SELECT person_id FROM people
        WHERE identity_check <> 'passed' AND identity_checked_at < :before
        ORDER BY identity_checked_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE p.person_id = due.person_id
    RETURNING p.person_id, p.name, p.id_sealed""")

_SET_CHECKS = sa.text(f"""
    WITH checked AS (
        UPDATE people p
        SET identity_check = coalesce(i.result, p.identity_check), identity_checked_at = :now
        FROM {locked(recordset(Checked), "people p", "p.person_id = i.person_id", "p.person_id")} AS i
        WHERE p.person_id = i.person_id
        RETURNING p.*, i.result),
    -- whoever decides about them is to see it
    reserved AS (
        SELECT reserved_by AS transfer_id, person_id AS member_id, name, identity_check
        FROM checked WHERE reserved_by IS NOT NULL AND result IS NOT NULL)
    {insert(tell(MemberReserved, "reserved"))}""")


def to_check(tx: Connection, before: datetime, claimed: datetime, limit: int) -> list[Unchecked]:
    """Return people whose check has not passed and was not tried since `before`, longest wait first.

    The check counts as tried at `claimed`.
    """
    wanted = {"claimed": claimed, "before": before, "limit": limit}
    return db.rows(Unchecked, tx.execute(_TO_CHECK, wanted))


def set_checks(tx: Connection, rows: Sequence[Checked], now: datetime) -> None:
    """Store what the identity service said, and that it was asked; tell it of those who are held."""
    if rows:
        db.run(tx, _SET_CHECKS, rows, now=now)
