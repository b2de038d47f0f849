"""Migration of organisations (MIG)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    Id,
    Instant,
    Note,
    OrgId,
    Prose,
    maybe,
)


class RequestMigration(msgspec.Struct, frozen=True, kw_only=True):
    """Ask to move an organisation with all below it to another superior of the same province (MIG-01..03)."""

    command_id: UUID
    org_id: OrgId
    to_org_id: OrgId
    reason: Prose = ""


class DecideMigration(msgspec.Struct, frozen=True, kw_only=True):
    """Decide for the old superior, then for the new one (MIG-04).

    With `withdraw`: take the request back, for the organisation itself (MIG-10).
    """

    migration_id: Id
    approve: bool = False
    withdraw: bool = False
    note: Note = ""


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one item of a command on migrations."""

    migration_id: int | None = None
    state: Annotated[str, maybe(words.MigrationState)] = ""
    refusal: Refusal | None = None


class ListMigrations(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for migrations of the acting organisation, from it or to it (MIG-08).

    `waiting`: only those that wait for its decision.
    """

    waiting: bool = False


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One migration and how far it is.

    `state`: `pending_old`, `pending_new`, `moving` (`moved` of `total` organisations done),
    `completed`, `rejected`, `withdrawn` or `returned`.
    """

    migration_id: int
    org_id: int
    from_org_id: int
    to_org_id: int
    state: words.MigrationState
    reason: str
    note: str
    total: int
    moved: int
    requested_at: Instant
    expires_at: Instant
    ended_at: Instant | None


class PreviewMigration(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what a migration would move, before it is asked for or decided (MIG-01, MIG-04).

    For the organisation itself, its superior and the new one.
    """

    org_id: OrgId
    to_org_id: OrgId


class MigrationPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration moves: organisations in all, the branches among them, and who administers them.

    `from_org_id` decides first, then the new superior, each within `days`. `refusal`: why it cannot
    be asked for.
    """

    from_org_id: int | None
    organisations: int
    branches: int
    administrators: int
    days: int
    refusal: Refusal | None = None


request_migrations = Command("orgs", "request_migrations", RequestMigration, Migrated)

decide_migrations = Command("orgs", "decide_migrations", DecideMigration, Migrated)

list_migrations = Query("orgs", "list_migrations", ListMigrations, list[Migration])

preview_migration = Query("orgs", "preview_migration", PreviewMigration, MigrationPreview)
