"""Migration of organisations: a whole subtree gets another superior (MIG).

The old superior and the new one agree to it first. The subtree moves in one transaction of the
background, in pieces that can be watched, so that no reader ever sees half of it.
"""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import Any

from sqlalchemy.engine import Connection

from services.orgs import domain, store
from services.orgs.migration import store as migration_store
from shared import audit, background, clock, db
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import orgs as contract
from shared.messages.orgs import DecideMigration, Migrated, RequestMigration

PIECE = 5_000
"""Organisations of one statement."""
LOOK_AGAIN_SECONDS = 30.0
"""The longest sleep between two looks for what another process has decided."""
SETTLE_SECONDS = 0.2
"""From the decision to its commit, amply; a slower one is found at the next look."""

DECIDED = {"pending_new": "agreed", "moving": "approved", "rejected": "rejected", "withdrawn": "withdrawn"}
"""What was decided, by the state that a migration is in afterwards."""

_wake = threading.Event()


def _patience() -> timedelta:
    return timedelta(days=float(os.environ.get("TUANQIAO_MIGRATION_DAYS") or 10))


def request_migrations(tx: Connection, asked: list[Asked[RequestMigration]]) -> list[Migrated]:
    """Ask to move organisations, as their own administrators (MIG-01..03, MIG-05..07).

    A repeated command gets the first answer.
    """
    known = migration_store.migrations_by_command(tx, [one.item.command_id for one in asked])
    orgs = store.by_ids(tx, [org_id for one in asked for org_id in (one.item.org_id, one.item.to_org_id)])
    migration_store.lock_provinces(
        tx, [row.provincial_id for row in orgs.values() if row.provincial_id is not None]
    )
    holders = {(row.org_id, row.person_id) for row in store.administrators(tx, list(orgs))}
    answers: list[Migrated] = []
    for one in asked:
        item, org, to = one.item, orgs.get(one.item.org_id), orgs.get(one.item.to_org_id)
        refusal = None
        if item.command_id in known and known[item.command_id].requested_by != one.actor.person_id:
            answers.append(Migrated(refusal=Refusal("command_taken")))
            continue
        if item.command_id in known:
            answers.append(
                Migrated(migration_id=known[item.command_id].migration_id, state=known[item.command_id].state)
            )
            continue
        if org is None or to is None:
            refusal = Refusal("unknown_org")
        elif one.actor.org_id != item.org_id or (item.org_id, one.actor.person_id) not in holders:
            refusal = Refusal("not_your_org")
        else:
            refusal = domain.check_migration(org._mapping, to._mapping)
            if refusal is None and migration_store.has_open_migration(tx, org.path):
                refusal = Refusal("migration_open")
        if refusal is None and org is not None:
            migration_store.request_migration(
                tx,
                {
                    "command_id": str(item.command_id),
                    "org_id": item.org_id,
                    "from_org_id": org.parent_id,
                    "to_org_id": item.to_org_id,
                    "reason": item.reason.strip(),
                    "requested_by": one.actor.person_id,
                    "expires_at": clock.now() + _patience(),
                },
                clock.now(),
                **audit.by(one),
            )
            # Read back, so that a repetition further down the same list gets this answer.
            known |= migration_store.migrations_by_command(tx, [item.command_id])
            answers.append(Migrated(migration_id=known[item.command_id].migration_id, state="pending_old"))
        else:
            answers.append(Migrated(refusal=refusal))
    return answers


def decide_migrations(tx: Connection, asked: list[Asked[DecideMigration]]) -> list[Migrated]:
    """Decide for the old superior, then the new (MIG-04), or withdraw before the last approval (MIG-10)."""
    held = {
        key: dict(row._mapping)
        for key, row in migration_store.hold_migrations(tx, [one.item.migration_id for one in asked]).items()
    }
    holders = {
        (row.org_id, row.person_id)
        for row in store.administrators(
            tx, [row[name] for row in held.values() for name in ("org_id", "from_org_id", "to_org_id")]
        )
    }
    changed: dict[int, dict[str, Any]] = {}
    entries: list[audit.Entry] = []
    answers = []
    for one in asked:
        row = held.get(one.item.migration_id)
        acting = (
            one.actor.org_id
            if row is not None and (one.actor.org_id, one.actor.person_id) in holders
            else None
        )
        if row is None or acting not in (row["org_id"], row["from_org_id"], row["to_org_id"]):
            answers.append(Migrated(refusal=Refusal("unknown_migration")))
            continue
        refusal = _decide(row, one.item, one.actor, acting)
        if refusal is None:
            changed[row["migration_id"]] = row
            entries.append(
                audit.Entry(
                    kind=f"migration.{DECIDED[row['state']]}",
                    place_id=row["org_id"],
                    ref=f"migration {row['migration_id']}",
                    after={"from": row["from_org_id"], "to": row["to_org_id"]},
                    note=row["note"],
                    **audit.by(one),
                )
            )
        answers.append(Migrated(migration_id=row["migration_id"], state=row["state"], refusal=refusal))
    migration_store.set_migrations(tx, list(changed.values()), entries)
    _wake.set()
    return answers


def _decide(row: dict[str, Any], item: DecideMigration, actor: Actor, acting: int | None) -> Refusal | None:
    """Change the row as decided, or return why not."""
    now = clock.now()
    if row["state"] not in ("pending_old", "pending_new") or row["expires_at"] <= now:
        return Refusal("migration_closed")
    waiting = row["from_org_id"] if row["state"] == "pending_old" else row["to_org_id"]
    if acting != (row["org_id"] if item.withdraw else waiting):
        return Refusal("not_your_node")
    row["note"] = item.note.strip()
    if item.withdraw or not item.approve:
        row.update(state="withdrawn" if item.withdraw else "rejected", ended_at=now)
    elif row["state"] == "pending_old":
        row.update(state="pending_new", old_decided_by=actor.person_id, expires_at=now + _patience())
    else:
        row.update(state="moving", new_decided_by=actor.person_id)
    return None


def list_migrations(
    tx: Connection, request: contract.ListMigrations, actor: Actor | None
) -> list[contract.Migration]:
    """Return migrations of, from and to the acting organisation, for the operation centre (MIG-08)."""
    if (
        actor is None
        or actor.org_id is None
        or actor.person_id not in {row.person_id for row in store.administrators(tx, [actor.org_id])}
    ):
        raise Refused("not_administrator")
    return [
        contract.Migration(**{name: row._mapping[name] for name in contract.Migration.__struct_fields__})
        for row in migration_store.migrations(tx, actor.org_id, request.waiting)
    ]


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """Return what was not decided in time (MIG-10)."""
    migration_store.expire_migrations(tx, clock.now())


def move_one(database: db.Database) -> bool:
    """Carry out one decided migration; return whether there was one.

    What lies below is read again after each piece until nothing is left, so that an organisation
    that was being created meanwhile comes along: by then its superior is held, and no other can be
    created with the old path.
    """
    with database.transaction() as tx:
        row = migration_store.next_migration(tx)
        if row is None:
            return False
        store.lock(tx, [row.org_id, row.to_org_id])
        orgs = store.by_ids(tx, [row.org_id, row.to_org_id])
        org, to = orgs.get(row.org_id), orgs.get(row.to_org_id)
        # The tree may have changed since the last approval, so it is asked once more whether this may be.
        if org is None or to is None or domain.check_migration(org._mapping, to._mapping) is not None:
            migration_store.end_migration(tx, row, "returned", "组织已变动", 0, clock.now())
            return True
        total, moved = migration_store.count_below(tx, org.path), 0
        while some := migration_store.move_some(tx, org.path, f"{to.path}{org.org_id}.", PIECE):
            moved += some
            # In a transaction of its own: what moves is not seen before the end, its progress is.
            with database.transaction(tells=False) as aside:
                migration_store.tell_progress(aside, row.migration_id, moved, max(total, moved))
        migration_store.move_top(tx, org, to.org_id, row.migration_id)
        migration_store.end_migration(tx, row, "completed", row.note, moved, clock.now())
    return True


def give_up(database: db.Database, problem: str) -> None:
    """Return the migration that is next and fails again and again, with a word of why (MIG-04).

    The tree stays as it is.
    """
    with database.transaction() as tx:
        row = migration_store.next_migration(tx)
        if row is not None:
            migration_store.end_migration(tx, row, "returned", "系统未能完成迁移", 0, clock.now())


_pieces = background.Pieces("orgs", "migrations", 1, lambda database, size: int(move_one(database)), give_up)
MOVE = background.Loop(
    "migrations",
    lambda machinery: 0 if _pieces.turn(machinery.database) else None,
    _wake,
    LOOK_AGAIN_SECONDS,
    SETTLE_SECONDS,
)
"""Carries out what is decided."""
