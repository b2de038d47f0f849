"""Open transfers, completed ones and open nodes, read in pieces and told again. Only SQL.

What is told again is made from the rows as they are now. Whoever hears it has either done it already
and answers so, or does it now; nobody does it twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers import saga
from services.transfers.saga import State
from shared import clock, db
from shared.messages import transfers as messages
from shared.outbox import insert, tell
from shared.readings import Reading
from shared.recordset import recordset


class Open(NamedTuple):
    """A member's open transfer; `steps` grows with everything that happens to it."""

    member_id: int
    transfer_id: int
    state: str | None
    steps: int


class Completed(NamedTuple):
    """The transfers that were completed for a member, each with its branch; a place in both lists."""

    member_id: int
    transfer_ids: list[int]
    branch_ids: list[int]


class Node(NamedTuple):
    """An open node with what the scheduler is to watch of it.

    `early`: the scheduler has watched it and told its deadline before that has come by the clock here.
    """

    transfer_id: int
    node_no: int
    revision: int
    remind_at: datetime | None
    remind_every: timedelta | None
    expires_at: datetime | None
    early: bool


class Standing(NamedTuple):
    """Whose a transfer is and where it stands."""

    transfer_id: int
    member_id: int
    state: str


OPEN = Reading(
    Open,
    "open_transfers",
    "member_id",
    "SELECT member_id, x.transfer_id, t.state, coalesce(t.audit_seq, 0) AS steps"
    " FROM (SELECT * FROM open_transfers WHERE {wanted}) AS x"
    " LEFT JOIN transfers t USING (transfer_id, member_id) ORDER BY member_id",
)
COMPLETED = Reading(
    Completed,
    "transfers",
    "member_id",
    "SELECT member_id, array_agg(transfer_id ORDER BY transfer_id) AS transfer_ids,"
    " array_agg(target_branch_id ORDER BY transfer_id) AS branch_ids FROM transfers"
    " WHERE {wanted} AND state = 'completed' GROUP BY member_id ORDER BY member_id",
)
NODES = Reading(
    Node,
    "open_nodes",
    "transfer_id",
    "SELECT DISTINCT ON (transfer_id)"
    " transfer_id, node_no, revision, remind_at, remind_every, expires_at,"
    # an expression, so that PostgreSQL hashes what is kept, once for a piece
    " (transfer_id IN (SELECT transfer_id FROM early WHERE event = 'deadline_expired')) IS TRUE AS early"
    " FROM open_nodes"
    " WHERE {wanted} ORDER BY transfer_id, node_no DESC",
)

_STANDINGS = sa.text(
    "SELECT transfer_id, member_id, state FROM transfers WHERE transfer_id = ANY(CAST(:ids AS bigint[]))"
)


def standings(tx: Connection, transfer_ids: Iterable[int]) -> dict[int, Standing]:
    """Return where transfers stand, by id; those that are not there are left out."""
    rows = db.rows(Standing, tx.execute(_STANDINGS, {"ids": sorted(set(transfer_ids))}))
    return {row.transfer_id: row for row in rows}


# ---- telling again -------------------------------------------------------------------------------

_ENDED = ", ".join(f"'{one}'" for one in saga.FINAL if one is not State.COMPLETED)
_THESE = "transfer_id = ANY(CAST(:ids AS bigint[]))"

# Members looks at each alone: of a batch move either all are held already, or this one was left out.
_ASK = sa.text(f"""
    WITH again AS (
        SELECT * FROM transfers
        WHERE {_THESE} AND state NOT IN ({_ENDED})),
    told AS ({insert(tell(messages.TransferRequested, "again", batch_id="NULL", batch_size="0"))})
    SELECT count(*) FROM again""")
_AT = "coalesce(ended_at, CAST(:now AS timestamptz))"
_MOVE = sa.text(f"""
    WITH again AS (
        SELECT * FROM transfers WHERE {_THESE} AND state IN ('moving', 'completed')),
    told AS ({insert(tell(messages.BranchAssigned, "again", branch_id="target_branch_id", at=_AT))})
    SELECT count(*) FROM again""")
_END = sa.text(f"""
    WITH again AS (
        SELECT * FROM transfers WHERE {_THESE} AND state IN ({_ENDED})),
    told AS ({insert(tell(messages.TransferWithdrawn, "again"))})
    SELECT count(*) FROM again""")
# A node's revision says which of two messages about it is the newer one.
_OPEN = sa.text(f"""
    WITH held AS (
        SELECT transfer_id, node_no FROM open_nodes
        WHERE {_THESE} ORDER BY transfer_id, node_no FOR NO KEY UPDATE),
    again AS (
        UPDATE open_nodes o SET revision = o.revision + 1
        FROM held h
        WHERE o.transfer_id = h.transfer_id AND o.node_no = h.node_no
        RETURNING o.*),
    told AS ({insert(tell(messages.NodeOpened, "again", remind_every="extract(epoch FROM remind_every)"))})
    SELECT count(*) FROM again""")


class Lost(msgspec.Struct, frozen=True):
    """A transfer that is nowhere any more, with the member whom it holds."""

    transfer_id: int
    member_id: int


_LET_GO = sa.text(f"""
    WITH again AS (
        SELECT i.transfer_id, i.member_id FROM {recordset(Lost)}
        WHERE NOT EXISTS (SELECT 1 FROM transfers t WHERE t.transfer_id = i.transfer_id)),
    told AS ({insert(tell(messages.TransferWithdrawn, "again"))})
    SELECT count(*) FROM again""")


def ask_again(tx: Connection, transfer_ids: list[int]) -> int:
    """Ask members once more to hold the members of transfers that are not ended; return how many."""
    return int(tx.execute(_ASK, {"ids": transfer_ids}).scalar_one())


def move_again(tx: Connection, transfer_ids: list[int]) -> int:
    """Tell once more where members go whose transfers are all but, or wholly, completed; return how many."""
    return int(tx.execute(_MOVE, {"ids": transfer_ids, "now": clock.now()}).scalar_one())


def end_again(tx: Connection, transfer_ids: list[int]) -> int:
    """Tell once more that transfers have ended without a move; return how many."""
    return int(tx.execute(_END, {"ids": transfer_ids}).scalar_one())


def open_again(tx: Connection, transfer_ids: list[int]) -> int:
    """Tell of open nodes once more, as they are now; return how many."""
    return int(tx.execute(_OPEN, {"ids": transfer_ids}).scalar_one())


def let_go(tx: Connection, lost: list[Lost]) -> int:
    """Tell of transfers that are nowhere any more that they are over; return how many.

    For after a restore, when a person has decided that they are not to be waited for.
    """
    return int(db.run(tx, _LET_GO, lost).scalar_one())
