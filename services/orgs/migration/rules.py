"""Which organisations move where, and who decides on it (MIG). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypedDict

from services.orgs import domain
from services.orgs.domain import OrgRow
from shared.errors import Refusal
from shared.messages.words import System


class MigrationRow(TypedDict):
    """A migration, by the columns that a decision reads or changes."""

    migration_id: int
    org_id: int
    from_org_id: int
    to_org_id: int
    state: str
    note: str
    old_decided_by: int | None
    new_decided_by: int | None
    expires_at: datetime
    ended_at: datetime | None


def check_migration(org: OrgRow, to: OrgRow) -> Refusal | None:
    """Return why an organisation cannot move below another (MIG-01, MIG-02, MIG-05..07, FED-01)."""
    if org["system"] != System.NATIONAL or to["system"] != System.NATIONAL:
        return Refusal("mirrored")
    if domain.is_provincial(org["parent_id"], org["org_id"], org["provincial_id"]):
        return Refusal("migration_provincial")
    if org["provincial_id"] != to["provincial_id"]:
        return Refusal("migration_across")
    # a path begins with the paths of all that stands above, and with its own for the organisation itself
    if to["path"].startswith(org["path"]):
        return Refusal("migration_inside")
    if to["org_id"] == org["parent_id"]:
        return Refusal("migration_nowhere")
    return None if domain.may_hold_children(to["kind"]) else Refusal("migration_branch")


def check_request(org: OrgRow | None, to: OrgRow | None, acts: bool, moving: Iterable[str]) -> Refusal | None:
    """Return why nobody is asked to let an organisation move below another (MIG-02, MIG-03, MIG-05..07).

    Args:
        org: What is to move; None where it is not there.
        to: The new superior, likewise.
        acts: Whoever asks administers the organisation, and acts for it.
        moving: Paths of the organisations of the province that are to move already.

    """
    if org is None or to is None:
        return Refusal("unknown_org")
    if not acts:
        return Refusal("not_your_org")
    refusal = check_migration(org, to)
    if refusal is None and any(overlaps(org["path"], path) for path in moving):
        refusal = Refusal("migration_open")
    return refusal


def overlaps(path: str, other: str) -> bool:
    """Return whether of two organisations one is the other or stands below it (MIG-06)."""
    return path.startswith(other) or other.startswith(path)


def parties(row: MigrationRow) -> tuple[int, int, int]:
    """Return the organisation that is to move, its superior and the new one."""
    return row["org_id"], row["from_org_id"], row["to_org_id"]


def seen_by(row: MigrationRow | None, acting: int | None) -> MigrationRow | None:
    """Return a migration to one of its parties; nobody else is told that it is there.

    `acting` is None for somebody who does not administer the organisation that is named.
    """
    return row if row is not None and acting in parties(row) else None


def check_decision(
    row: MigrationRow | None, acting: int | None, withdraw: bool, now: datetime
) -> Refusal | None:
    """Return why a party decides nothing on a migration, which is None for all others (MIG-04, MIG-10).

    The old superior decides first, then the new one; the organisation itself may withdraw until
    both have agreed.
    """
    if row is None:
        return Refusal("unknown_migration")
    # what has expired is returned once a day, and decided by nobody until then
    if row["state"] not in ("pending_old", "pending_new") or row["expires_at"] <= now:
        return Refusal("migration_closed")
    waiting = row["from_org_id"] if row["state"] == "pending_old" else row["to_org_id"]
    return None if acting == (row["org_id"] if withdraw else waiting) else Refusal("not_your_node")


def decided(
    row: MigrationRow,
    approve: bool,
    withdraw: bool,
    note: str,
    person_id: int,
    now: datetime,
    patience: timedelta,
) -> MigrationRow:
    """Return a migration as it is after a decision that `check_decision` does not refuse (MIG-04, MIG-10)."""
    if withdraw:
        return {**row, "note": note, "state": "withdrawn", "ended_at": now}
    if not approve:
        return {**row, "note": note, "state": "rejected", "ended_at": now}
    # the new superior gets days of its own, however long the old one took
    if row["state"] == "pending_old":
        return {
            **row,
            "note": note,
            "state": "pending_new",
            "old_decided_by": person_id,
            "expires_at": now + patience,
        }
    return {**row, "note": note, "state": "moving", "new_decided_by": person_id}
