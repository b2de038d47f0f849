"""The audit log of bulk decisions, addresses and policies, and seals on the trails of transfers (BEY-10).

Each transfer has a trail with a chain of its own (`trail.py`), so that no transition waits for another.
What the follower of the statistics takes away (`figures.store.fold`) are the lines that were new; it
writes down which they were and a hash over their hashes, a *segment*, and a line of the log that names
it. So a trail that was shortened, or a whole transfer that was removed, no longer fits its segment, and
the segment is held by the log, whose head is told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared.audit import Entry, Log
from shared.messages.transfers import TransfersLogGrew

log = Log("transfers", "org_directory", TransfersLogGrew)

PIECE = 200
"""Segments that are proved by one statement."""

SEALED = """-- the seal over the lines, if there are any; one that is missing already has an empty hash
    segment AS (
        INSERT INTO audit_segments (transfer_ids, seqs, digest)
        SELECT array_agg(transfer_id ORDER BY transfer_id, seq), array_agg(seq ORDER BY transfer_id, seq),
            sha256(string_agg(coalesce(hash, ''::bytea), ''::bytea ORDER BY transfer_id, seq))
        FROM lines HAVING count(*) > 0
        RETURNING segment_no, cardinality(transfer_ids) AS lines, encode(digest, 'hex') AS digest)"""
"""The seal on the CTE `lines`, each once; a line covers all earlier lines of its transfer."""


def seal(tx: Connection, segment: Any) -> None:
    """Write the line of the log that holds a segment.

    `segment` has `segment_no`, `lines` and `digest`, all None where there was nothing to seal.
    """
    if segment.segment_no is None:
        return
    sealed = Entry(
        kind="trail.sealed",
        ref=f"segment {segment.segment_no}",
        after={"lines": segment.lines, "digest": bytes.fromhex(segment.digest)},
    )
    log.append(tx, [sealed])


class Seals(NamedTuple):
    """What was found of the seals.

    Attributes:
        lines: How many lines of trails they hold.
        waiting: How many lines wait for a seal.
        broken: What does not fit, in words.

    """

    lines: int
    waiting: int
    broken: list[str]


_SEALS = sa.text("SELECT ref, after FROM audit_log WHERE kind = 'trail.sealed' ORDER BY at, lane, seq")
_PROVE = sa.text("""
    SELECT s.segment_no, encode(s.digest, 'hex') AS digest, cardinality(s.transfer_ids) AS lines,
        encode(now.digest, 'hex') AS now, now.missing
    FROM audit_segments s
    -- the same hash over the lines as they stand today
    CROSS JOIN LATERAL (
        SELECT sha256(string_agg(coalesce(a.hash, ''::bytea), ''::bytea ORDER BY i.transfer_id, i.seq))
                AS digest,
            array_agg(DISTINCT i.transfer_id) FILTER (WHERE a.transfer_id IS NULL) AS missing
        FROM unnest(s.transfer_ids, s.seqs) AS i(transfer_id, seq)
        LEFT JOIN audit a ON a.transfer_id = i.transfer_id AND a.seq = i.seq) AS now
    WHERE s.segment_no = ANY(CAST(:ids AS bigint[]))""")
_WAITING = sa.text("SELECT count(*) FROM changes WHERE transfer_id IS NOT NULL")


def prove_seals(tx: Connection) -> Seals:
    """Compare every seal with the lines that it holds.

    The chain of the log itself is proved by `shared.audit.verify`.
    """
    named = {int(row.ref.split(" ")[1]): msgspec.json.decode(row.after) for row in tx.execute(_SEALS)}
    ids = sorted(named)
    lines = 0
    broken: list[str] = []
    for start in range(0, len(ids), PIECE):
        some = ids[start : start + PIECE]
        found = {row.segment_no: row for row in tx.execute(_PROVE, {"ids": some})}
        for number in some:
            row = found.get(number)
            # The log is the witness: a segment that was rewritten to fit its lines does not fit the log.
            if row is None or (row.digest, row.lines) != (named[number]["digest"], named[number]["lines"]):
                broken.append(f"segment {number} is not the one that the log names")
                continue
            lines += row.lines
            if row.missing:
                for transfer in row.missing:
                    broken.append(f"transfer {transfer}: lines that were sealed are missing")
            elif row.now != row.digest:
                broken.append(f"segment {number}: a sealed line was changed")
    return Seals(lines, int(tx.scalar(_WAITING) or 0), broken)
