"""The trail of a transfer: lines chained by hashes, and the proof of the chains (BEY-10). Only SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared.messages.words import UNTOLD

_LINE = (
    "concat({id}, '|', {seq}, '|{event}|', {state}, '|', :stamp,"
    " '|', {person}, '|', {org}, '|', {decision}, '|', {note})"
)
"""What a link of the audit chain hashes after the previous hash.

`verify_audit` builds the same from the stored row.
"""


def link_of(previous: str, **columns: str) -> str:
    """Return the SQL of the next link of a chain; `event` is its word, the others are expressions."""
    return f"sha256({previous} || convert_to({_LINE.format(**columns)}, 'UTF8'))"


def audited(event: str) -> str:
    """Return the insert of one line of the trail for each row of the CTE `moved`.

    The office that has started a transfer finds the line among its messages (MSG-01), unless it is a step
    of the machinery.
    """
    lines = f"""-- one line of the trail for each, with the link that the transfer itself now bears
    audited AS (
        INSERT INTO audit (
            transfer_id, seq, event, state, at, person_id, org_id, decision_id, note, hash)
        SELECT transfer_id, audit_seq, '{event}', state, :now,
            person_id, org_id, decision_id, note, audit_head
        FROM moved)"""
    if event in UNTOLD:
        return lines
    return f"""{lines},
    -- and where the office that has started it finds the line
    noted AS (
        INSERT INTO org_messages (org_id, at, transfer_id, seq, event, person_id)
        SELECT initiator_org_id, :now, transfer_id, audit_seq, '{event}', person_id
        FROM moved WHERE initiator_org_id IS NOT NULL)"""


def stamp_of(now: datetime) -> str:
    """Return an instant as it is hashed."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f")


# Ids have gaps of any size, so a piece is a number of transfers, and not a range of ids.
_PIECE = sa.text("""
    SELECT max(transfer_id) FROM (
        SELECT transfer_id FROM (
            (SELECT transfer_id FROM transfers WHERE transfer_id > :after ORDER BY 1 LIMIT 2000)
            UNION
            (SELECT DISTINCT transfer_id FROM audit WHERE transfer_id > :after ORDER BY 1 LIMIT 2000)
        ) AS either ORDER BY 1 LIMIT 2000) AS piece""")
_AUDIT = sa.text("""
    SELECT a.*, t.audit_head AS head, t.audit_seq AS last
    FROM audit a JOIN transfers t USING (transfer_id)
    WHERE a.transfer_id > :after AND a.transfer_id <= :last
    ORDER BY transfer_id, seq""")

_ALONE = sa.text("""
    SELECT t.transfer_id FROM transfers t
    WHERE t.transfer_id > :after AND t.transfer_id <= :last
        AND NOT EXISTS (SELECT 1 FROM audit a WHERE a.transfer_id = t.transfer_id)
    UNION
    SELECT a.transfer_id FROM audit a
    WHERE a.transfer_id > :after AND a.transfer_id <= :last
        AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.transfer_id = a.transfer_id)""")
"""Transfers without a trail, and trails without a transfer."""


def verify_audit(tx: Connection) -> tuple[int, list[int]]:
    """Recompute every audit chain (BEY-10); hold little in memory however long the table is.

    Returns how many rows were read and the ids of transfers whose chain is broken.
    """
    read = after = 0
    broken: set[int] = set()
    # Of both tables, since either may have rows that the other lost.
    while (last := tx.scalar(_PIECE, {"after": after})) is not None:
        piece = {"after": after, "last": last}
        broken |= set(tx.execute(_ALONE, piece).scalars())
        rows = tx.execute(_AUDIT, piece).all()
        read += len(rows)
        broken |= _broken(rows)
        after = last
    return read, sorted(broken)


def _broken(rows: Sequence[sa.Row[Any]]) -> set[int]:
    """Return the transfers of whole trails, in order, whose chain does not hold."""
    broken: set[int] = set()
    previous, at, number = b"", 0, 0
    for index, row in enumerate(rows):
        if row.transfer_id != at:
            previous, at, number = b"", row.transfer_id, 0
        number += 1
        previous = hashlib.sha256(previous + _line(row).encode()).digest()
        if bytes(row.hash) != previous or row.seq != number:
            broken.add(row.transfer_id)
        # The last line must be the one that the transfer bears, else lines were cut off at the end.
        last = index + 1 == len(rows) or rows[index + 1].transfer_id != at
        if last and (row.seq != row.last or bytes(row.head) != previous):
            broken.add(row.transfer_id)
    return broken


def _line(row: Any) -> str:
    """Return what `_LINE` makes of a stored row; like SQL's concat it takes NULL for nothing."""
    values = (
        row.transfer_id,
        row.seq,
        row.event,
        row.state,
        stamp_of(row.at),
        row.person_id,
        row.org_id,
        row.decision_id,
        row.note,
    )
    return "|".join("" if value is None else str(value) for value in values)
