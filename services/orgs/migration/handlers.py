"""Migration of organisations: a whole subtree gets another superior (MIG).

The old superior and the new one agree to it first. The subtree moves in one transaction of the
background, in pieces that can be watched, so that no reader ever sees half of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from services.orgs import domain, settings, store
from services.orgs.domain import OrgRow
from services.orgs.log import State, log
from services.orgs.migration import rules
from services.orgs.migration import store as migration_store
from shared import audit, background, clock, commands, db
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


def request_migrations(tx: Connection, asked: list[Asked[RequestMigration]]) -> list[Migrated]:
    """Ask to move organisations, as their own administrators (MIG-01..03, MIG-05..07).

    A repeated command is answered how far it is.
    """
    rows = store.by_ids(tx, [org_id for one in asked for org_id in (one.item.org_id, one.item.to_org_id)])
    orgs = {org_id: store.as_org(row) for org_id, row in rows.items()}
    provinces = {org["provincial_id"] for org in orgs.values() if org["provincial_id"] is not None}
    migration_store.lock_provinces(tx, provinces)
    # Read behind the lock: of two that send the same command the second finds what the first did.
    known = migration_store.by_command(tx, [one.item.command_id for one in asked])
    earlier = {command: commands.Earlier(_shown(row), row.requested_by) for command, row in known.items()}
    return commands.once(
        asked,
        earlier,
        partial(_request, tx, orgs, provinces),
        lambda item, refusal: Migrated(refusal=refusal),
    )


def _request(
    tx: Connection, orgs: dict[int, OrgRow], provinces: set[int], fresh: list[Asked[RequestMigration]]
) -> list[Migrated]:
    """Store what is asked for, and say so in the log; return the migrations, or why there is none."""
    refusals, rows = _check(tx, orgs, migration_store.open_paths(tx, provinces), fresh)
    made = migration_store.request_migrations(tx, rows, clock.now())
    known = migration_store.by_command(tx, [one.item.command_id for one in fresh])
    asked_for = [(one, known[one.item.command_id]) for one in fresh if one.item.command_id in made]
    log.append(tx, [_entry(one, "requested", row._asdict(), row.reason) for one, row in asked_for])
    return [
        Migrated(refusal=refusal) if refusal is not None else _shown(known[one.item.command_id])
        for one, refusal in zip(fresh, refusals, strict=True)
    ]


def _check(
    tx: Connection, orgs: dict[int, OrgRow], moving: list[str], fresh: list[Asked[RequestMigration]]
) -> tuple[list[Refusal | None], list[migration_store.Request]]:
    """Return for each request why it is refused, and the rows of the others.

    `moving` are paths that are to move already; what the list itself asks for joins them.
    """
    holders = store.holders(tx, orgs)
    refusals: list[Refusal | None] = []
    rows = []
    for one in fresh:
        org, to = orgs.get(one.item.org_id), orgs.get(one.item.to_org_id)
        acts = one.actor.org_id == one.item.org_id and (one.actor.org_id, one.actor.person_id) in holders
        refusal = rules.check_request(org, to, acts, moving)
        refusals.append(refusal)
        if refusal is None:
            assert org is not None
            rows.append(_row(one, org, clock.now() + settings.of(tx).migration_patience))
            moving = [*moving, org["path"]]
    return refusals, rows


def _row(one: Asked[RequestMigration], org: OrgRow, expires_at: datetime) -> migration_store.Request:
    return migration_store.Request(
        command_id=one.item.command_id,
        org_id=org["org_id"],
        from_org_id=org["parent_id"],
        to_org_id=one.item.to_org_id,
        reason=one.item.reason.strip(),
        requested_by=one.actor.person_id,
        expires_at=expires_at,
    )


def _shown(row: migration_store.Migration) -> Migrated:
    return Migrated(migration_id=row.migration_id, state=row.state)


def _entry(one: Asked[Any], done: str, row: State, note: str) -> audit.Entry:
    """Return the line of what somebody has done with a migration."""
    return audit.Entry(
        kind=f"migration.{done}",
        place_id=row["org_id"],
        ref=f"migration {row['migration_id']}",
        after={"from": row["from_org_id"], "to": row["to_org_id"]},
        note=note,
        **audit.by(one),
    )


def decide_migrations(tx: Connection, asked: list[Asked[DecideMigration]]) -> list[Migrated]:
    """Decide for the old superior, then the new (MIG-04), or withdraw before the last approval (MIG-10)."""
    held = migration_store.hold_migrations(tx, [one.item.migration_id for one in asked])
    holders = store.holders(tx, [org_id for row in held.values() for org_id in rules.parties(row)])
    now = clock.now()
    changed: dict[int, rules.MigrationRow] = {}
    entries: list[audit.Entry] = []
    answers = []
    for one in asked:
        actor = one.actor
        acting = actor.org_id if (actor.org_id, actor.person_id) in holders else None
        row = rules.seen_by(held.get(one.item.migration_id), acting)
        refusal = rules.check_decision(row, acting, one.item.withdraw, now)
        if row is None:
            answers.append(Migrated(refusal=refusal))
            continue
        if refusal is None:
            row = _decided(one, row, now, settings.of(tx).migration_patience)
            held[row["migration_id"]] = changed[row["migration_id"]] = row
            entries.append(_entry(one, DECIDED[row["state"]], row, row["note"]))
        answers.append(Migrated(migration_id=row["migration_id"], state=row["state"], refusal=refusal))
    migration_store.set_migrations(tx, list(changed.values()), entries)
    MOVE.wake.set()
    return answers


def _decided(
    one: Asked[DecideMigration], row: rules.MigrationRow, now: datetime, patience: timedelta
) -> rules.MigrationRow:
    item = one.item
    note = item.note.strip()
    return rules.decided(row, item.approve, item.withdraw, note, one.actor.person_id, now, patience)


def list_migrations(
    tx: Connection, request: contract.ListMigrations, actor: Actor | None
) -> list[contract.Migration]:
    """Return migrations of, from and to the acting organisation, for the operation centre (MIG-08)."""
    refusal = domain.check_administrator(store.administers(tx, actor))
    if refusal is not None:
        raise Refused.of(refusal)
    assert actor is not None and actor.org_id is not None
    return [
        contract.Migration(**{name: getattr(row, name) for name in contract.Migration.__struct_fields__})
        for row in migration_store.migrations(tx, actor.org_id, request.waiting)
    ]


def preview_migration(
    tx: Connection, request: contract.PreviewMigration, actor: Actor | None
) -> contract.MigrationPreview:
    """Return what a migration would move and who decides on it, to its parties (MIG-01, MIG-04).

    Raises:
        Refused: `unknown_org`; `not_your_org` to everybody else.

    """
    rows = store.by_ids(tx, [request.org_id, request.to_org_id])
    orgs = {org_id: store.as_org(row) for org_id, row in rows.items()}
    org, to = orgs.get(request.org_id), orgs.get(request.to_org_id)
    if org is None or to is None:
        raise Refused("unknown_org")
    if actor is None or actor.org_id not in (org["org_id"], org["parent_id"], to["org_id"]):
        raise Refused("not_your_org")
    if not store.administers(tx, actor):
        raise Refused("not_administrator")
    moved = migration_store.moved(tx, org["path"])
    return contract.MigrationPreview(
        from_org_id=org["parent_id"],
        organisations=moved.organisations,
        branches=moved.branches,
        administrators=moved.administrators,
        days=settings.of(tx).migration_patience.days,
        refusal=rules.check_migration(org, to),
    )


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
        rows = store.by_ids(tx, [row.org_id, row.to_org_id])
        orgs = {org_id: store.as_org(found) for org_id, found in rows.items()}
        org, to = orgs.get(row.org_id), orgs.get(row.to_org_id)
        # The tree may have changed since the last approval, so it is asked once more whether this may be.
        if org is None or to is None or rules.check_migration(org, to) is not None:
            migration_store.end_migration(tx, row, "returned", "组织已变动", 0, clock.now())
            return True
        moved = _move(database, tx, row.migration_id, org["path"], f"{to['path']}{org['org_id']}.")
        migration_store.move_top(tx, org, to["org_id"], row.migration_id)
        migration_store.end_migration(tx, row, "completed", row.note, moved, clock.now())
    return True


def _move(database: db.Database, tx: Connection, migration_id: int, old: str, new: str) -> int:
    """Give a subtree its new paths, piece by piece; return how many organisations it has."""
    total, moved = migration_store.count_below(tx, old), 0
    while some := migration_store.move_some(tx, old, new, PIECE):
        moved += some
        # In a transaction of its own: what moves is not seen before the end, its progress is.
        with database.transaction(tells=False) as aside:
            migration_store.tell_progress(aside, migration_id, moved, max(total, moved))
    return moved


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
    LOOK_AGAIN_SECONDS,
    SETTLE_SECONDS,
)
"""Carries out what is decided."""
