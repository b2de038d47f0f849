"""The SQL of what another system has said of a transfer beside its decision (FED-09, FED-13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.messages.federation import RemoteProgress, RemoteReceipted
from shared.messages.transfers import RemoteStep
from shared.recordset import Int, columns, recordset


class Known(NamedTuple):
    """A transfer across a border: with which system, and who has started it."""

    transfer_id: int
    peer: str
    initiator: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the peer of a transfer has told of it, by the number of its message."""

    transfer_id: int
    seq: Int
    organisation: str
    phone: str
    since: datetime
    until: datetime | None


_KNOWN = sa.text("""
    SELECT transfer_id, peer, initiator FROM transfers
    WHERE transfer_id = ANY(CAST(:ids AS bigint[])) AND peer <> ''""")
# Looked up one by one and locked in the order of their transfers, nodes before transfers, as by transitions.
_NOT_WITHDRAWN = sa.text(f"""
    WITH given AS (SELECT * FROM {recordset(RemoteReceipted)} ORDER BY transfer_id),
    held AS (
        SELECT i.transfer_id, o.node_no FROM given i
        CROSS JOIN LATERAL (
            SELECT o.node_no FROM open_nodes o JOIN transfers t ON t.transfer_id = o.transfer_id
            WHERE o.transfer_id = i.transfer_id AND o.state = 'pending_remote' AND t.peer = i.peer
            FOR NO KEY UPDATE OF o) o)
    UPDATE open_nodes o SET withdraw = 'no'
    FROM held h
    WHERE o.transfer_id = h.transfer_id AND o.node_no = h.node_no
        AND o.transfer_id = ANY(ARRAY(SELECT transfer_id FROM held))""")
_RECEIPTED = sa.text(f"""
    WITH given AS (SELECT * FROM {recordset(RemoteReceipted)} ORDER BY transfer_id),
    held AS (
        SELECT i.transfer_id, i.at FROM given i
        CROSS JOIN LATERAL (
            SELECT 1 FROM transfers t
            WHERE t.transfer_id = i.transfer_id AND t.peer = i.peer AND t.receipted_at IS NULL
            FOR NO KEY UPDATE) t)
    UPDATE transfers t SET receipted_at = h.at
    FROM held h
    WHERE t.transfer_id = h.transfer_id AND t.transfer_id = ANY(ARRAY(SELECT transfer_id FROM held))""")
_TELL = sa.text(f"""
    INSERT INTO remote_progress ({columns(Progress)})
    SELECT {columns(Progress)} FROM {recordset(Progress)}
    ORDER BY transfer_id, seq
    ON CONFLICT DO NOTHING""")
_TOLD = sa.text(
    "SELECT organisation, phone, since, until FROM remote_progress"
    " WHERE transfer_id = :transfer_id ORDER BY seq"
)


_TOPS = sa.text("""
    SELECT system, min(org_id) AS org_id FROM org_directory
    WHERE parent_id = ANY(CAST(:roots AS bigint[])) AND system = ANY(CAST(:systems AS text[])) AND NOT deleted
    GROUP BY system""")


def tops(tx: Connection, roots: Iterable[int], systems: Iterable[str]) -> dict[str, int]:
    """Return the organisation at the top of each system, below the root of all (FED-06)."""
    rows = tx.execute(_TOPS, {"roots": sorted(roots), "systems": sorted(systems)})
    return {row.system: row.org_id for row in rows}


def known(tx: Connection, transfer_ids: Iterable[int]) -> dict[int, Known]:
    """Return those of some transfers that lead to another system or come from one, by id."""
    rows = db.rows(Known, tx.execute(_KNOWN, {"ids": sorted(set(transfer_ids))}))
    return {row.transfer_id: row for row in rows}


def receipt(tx: Connection, items: Sequence[RemoteReceipted]) -> None:
    """Note since when the peer has transfers in writing; from then on nobody withdraws them (FED-09)."""
    db.run(tx, _NOT_WITHDRAWN, items)
    db.run(tx, _RECEIPTED, items)


def progress(tx: Connection, items: Sequence[RemoteProgress]) -> None:
    """Keep at whose desk transfers lie in another system, each message once (FED-13)."""
    fields: Any = Progress.__struct_fields__
    rows = [Progress(**{name: getattr(item, name) for name in fields}) for item in items]
    if rows:
        db.run(tx, _TELL, rows)


def told(tx: Connection, transfer_id: int) -> list[RemoteStep]:
    """Return what the peer has told of a transfer, oldest first."""
    rows = tx.execute(_TOLD, {"transfer_id": transfer_id})
    return [RemoteStep(**row._mapping) for row in rows]
