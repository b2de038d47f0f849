"""What a service's database held when it was backed up, and whether a restored one holds it.

The manifest lies in the repository as an annotation of its backup, encrypted with it, and is no
second thing to keep.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from shared import audit, db
from shared.settings import FEDERATION, Settings, role
from system.audit_proof import WITHOUT

KEPT = {
    "orgs": ("orgs", "administrators", "audit_log"),
    "members": ("memberships", "deleted_people", "letters", "audit_log"),
    "transfers": ("transfers", "audit", "audit_log"),
    "scheduler": ("kept_heads", "days"),
    FEDERATION: ("handovers", "sent", "received", "receipts"),
}
"""Tables that nothing is ever deleted from: what is restored has no fewer rows than were counted."""


class Head(msgspec.Struct, frozen=True):
    """After `rows` lines the hash of an audit log's lane was `hash` (hexadecimal)."""

    lane: int
    rows: int
    hash: str


class Manifest(msgspec.Struct, frozen=True):
    """What one database held.

    Attributes:
        service: Whose it is.
        at: When, by the server's clock: whatever is restored to this instant or later holds all of it.
        lsn: The same as a position in the WAL.
        revision: The schema's.
        rows: Of the tables that only grow.
        heads: Of the audit log.

    """

    service: str
    at: dt.datetime
    lsn: str
    revision: str
    rows: dict[str, int]
    heads: list[Head]

    def encode(self) -> str:
        """Return the manifest as it is kept."""
        return msgspec.json.encode(self).decode()


def read(text: str) -> Manifest:
    """Return a manifest from what `encode` gave."""
    return msgspec.json.decode(text, type=Manifest)


_SYSTEM = sa.text("SELECT system_identifier FROM pg_control_system()")
_NOW = sa.text("SELECT clock_timestamp() AS at, pg_current_wal_insert_lsn()::text AS lsn")
_PATIENCE = ("SET LOCAL statement_timeout = 0", "SET LOCAL enable_seqscan = on")
_LINES = sa.text("""
    SELECT l.lane, l.seq AS rows, encode(l.hash, 'hex') AS hash
    FROM json_to_recordset(CAST(:items AS json)) AS i(lane int, rows bigint)
    JOIN audit_log l ON l.lane = i.lane AND l.seq = i.rows""")


def system_id(settings: Settings, service: str) -> int:
    """Return the number of the cluster that a service's database lies in."""
    engine = db.connect(settings.database(service))
    with engine.connect() as tx:
        found = int(tx.scalar(_SYSTEM) or 0)
    engine.dispose()
    return found


def take(url: str, service: str) -> Manifest:
    """Return what a service's database holds now.

    It is one snapshot, and each table that is counted is read once, as by the backup itself.
    """
    engine = db.connect(url)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as tx:
        rows = _count(tx, service)
        heads = (
            [Head(one.lane, one.rows, one.hash.hex()) for one in audit.heads(tx)]
            if service != WITHOUT
            else []
        )
        # read after the snapshot was taken: whatever it shows lies before
        now: Any = tx.execute(_NOW).one()
        made = Manifest(service, now.at, now.lsn, _revision(tx), rows, heads)
    engine.dispose()
    return made


def differences(url: str, told: Manifest) -> list[str]:
    """Return what a restored database lacks of a manifest; empty: it holds everything."""
    engine = db.connect(url)
    with engine.connect() as tx:
        found = _revision(tx)
        wrong = [] if found == told.revision else [f"the schema is {found}, backed up was {told.revision}"]
        rows = _count(tx, told.service)
        wrong += [
            f"{table} has {rows.get(table, 0)} rows, backed up were {count}"
            for table, count in told.rows.items()
            if rows.get(table, 0) < count
        ]
        wrong += _missing_heads(tx, told.heads)
    engine.dispose()
    return wrong


def _missing_heads(tx: sa.Connection, heads: list[Head]) -> list[str]:
    """Return the heads that are no lines of the restored log."""
    if not heads:
        return []
    there = {Head(row.lane, row.rows, row.hash) for row in db.run(tx, _LINES, heads)}
    return [
        f"the audit log has no line {one.rows} of lane {one.lane} as backed up"
        for one in heads
        if one not in there
    ]


def _count(tx: sa.Connection, service: str) -> dict[str, int]:
    for one in _PATIENCE:
        tx.execute(sa.text(one))
    tables = KEPT[role(service)]
    return {table: int(tx.scalar(sa.text(f'SELECT count(*) FROM "{table}"')) or 0) for table in tables}


def _revision(tx: sa.Connection) -> str:
    return str(tx.scalar(sa.text("SELECT version_num FROM alembic_version")))


def of_backup(annotations: Mapping[str, str]) -> list[Manifest]:
    """Return the manifests among a backup's annotations."""
    return [read(annotations[service]) for service in sorted(annotations) if role(service) in KEPT]
