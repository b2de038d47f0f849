"""One transition is one statement for any number of items, made from the tables of `saga.py`.

Only SQL. Each CTE feeds the next: what falls out of one (wrong state, not entitled) is simply absent from
all that follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers import saga, trail
from services.transfers.saga import State, Trigger
from shared import clock, db
from shared.messages import transfers as messages
from shared.outbox import insert, tell
from shared.recordset import Int, recordset


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transfer that a trigger is to move: who acts for whom, with what; `n` is its place in the list."""

    n: Int
    transfer_id: int
    node_no: Int | None = None
    person_id: int | None = None
    org_id: int | None = None
    decision_id: UUID | None = None
    branch_id: int | None = None
    code: str | None = None
    note: str | None = None


class Moved(NamedTuple):
    """A transfer after a transition: `n` of its item, its new state and the node that was closed.

    `waited` are the seconds for which the node was open.
    """

    n: int
    transfer_id: int
    state: str
    node_no: int
    closed_state: str | None
    province: str | None
    waited: Decimal | None


def asked(kind: type) -> str:
    """Return the CTE of the items of a request, which are numbered so that each can be answered."""
    return f"""-- the items of the request, numbered so that each can be answered
    asked AS (SELECT * FROM {recordset(kind)})"""


def seen_by(side: str, of: str = "t") -> str:
    """Return the condition that a transfer is a side's to see.

    One that never held its member says only what its starter claimed, so it is not for the other side.
    """
    return f"({of}.state NOT IN ('checking', 'refused') OR {of}.initiator IN ('{side}', 'batch'))"


def totalled(left: str = "NULL") -> str:
    """Return the CTE that says how many transfers have come into their states, and `left` others (BEY-11)."""
    return f"""-- how many of each source and reason are in which state, for whoever keeps the sums
    totalled AS (
        INSERT INTO transfer_lines (org_id, reason, state, n)
        SELECT t.source_branch_id, t.reason, t.state, t.n
        FROM (
            SELECT m.source_branch_id, m.reason, m.initiator, s.state, s.sign * m.n AS n
            FROM (
                SELECT source_branch_id, reason, initiator, {left} AS was, state, count(*) AS n
                FROM moved GROUP BY 1, 2, 3, 4, 5) AS m
            CROSS JOIN LATERAL (VALUES (m.was, -1), (m.state, 1)) AS s(state, sign)) AS t
        WHERE t.state IS NOT NULL AND {seen_by("source")})"""


_AT_TARGET = ", ".join(f"'{state}'" for state, column in saga.DECIDED_AT.items() if column == "target_org_id")
_AT = f"CASE WHEN m.state IN ({_AT_TARGET}) THEN m.target_province ELSE m.source_province END"
"""The province whose organisation decides a node."""
_DECIDES = " ".join(f"WHEN '{state}' THEN m.{column}" for state, column in saga.DECIDED_AT.items())
_NODES = ", ".join(f"'{state}'" for state in saga.NODES)


def rule_of(province: str, policy: str, state: str, opened_at: str) -> str:
    """Return the select of the one row of `node_rules` that holds for a node.

    It is the province's own, or else the nation's.
    """
    one = f"""(SELECT r.* FROM node_rules r
            WHERE r.policy = {policy} AND r.state = {state} AND r.province = {{}}
                AND r.opens_before > {opened_at}
            ORDER BY r.opens_before LIMIT 1)"""
    nation = "''"
    # UNION ALL keeps its order here, so the outer LIMIT takes the province's row where there is one.
    return f"(SELECT * FROM ({one.format(province)} UNION ALL {one.format(nation)}) AS found LIMIT 1)"


DEADLINE = "GREATEST({opened_at} + r.expire_after, r.not_before)"

WITHDRAW = """CASE
            WHEN {peer} <> '' AND {receipted_at} IS NULL THEN coalesce(r.fed_withdraw, 'no')
            WHEN {peer} <> '' THEN 'no'
            WHEN r.withdraw NOT LIKE 'first%' THEN coalesce(r.withdraw, 'no')
            WHEN {node_no} = 1 THEN replace(r.withdraw, 'first', 'yes')
            ELSE 'no' END"""
"""Who may withdraw at a node: a rule that holds for the first node only says so for no other.

Across a border nobody may, or the starter until the peer's receipt is there (FED-09, TRF-30).
"""

_OPENED = f"""-- the next node of each, with the deadlines of the rule that holds where it is decided
    opened AS (
        INSERT INTO open_nodes (
            transfer_id, node_no, state, province, org_id, superior_id,
            opened_at, remind_at, remind_every, expires_at, on_expiry, withdraw)
        SELECT m.transfer_id, m.node_no, m.state, {_AT},
            CASE m.state {_DECIDES} END,
            CASE m.state
                WHEN 'pending_out' THEN m.source_superior_id
                WHEN 'pending_in' THEN m.target_superior_id END,
            :now, :now + r.remind_after, r.remind_every,
            {DEADLINE.format(opened_at="CAST(:now AS timestamptz)")}, r.on_expiry,
            {WITHDRAW.format(node_no="m.node_no", peer="m.peer", receipted_at="m.receipted_at")}
        FROM moved m
        LEFT JOIN LATERAL {rule_of(_AT, "m.policy", "m.state", ":now")} AS r ON true
        WHERE m.state IN ({_NODES})
        RETURNING transfer_id, node_no, revision, remind_at, remind_every, expires_at, org_id)"""

_FOLLOWED = """-- a word to the follower of the statistics, which also seals the line and sends webhooks
    followed AS (
        INSERT INTO changes (member_id, transfer_id, seq)
        SELECT member_id, transfer_id, audit_seq FROM moved)"""

# IS TRUE makes PostgreSQL hash the ids of `moved`; an array would be gone through for each row.
_LET_GO = """-- the members are free for another transfer
    closed_ones AS (
        DELETE FROM open_transfers
        WHERE member_id = ANY(ARRAY(SELECT member_id FROM moved))
            AND (transfer_id IN (SELECT transfer_id FROM moved)) IS TRUE)"""

_UNFOLLOWED = (Trigger.ASSIGN,)
"""The trigger that neither statistics nor channels nor seals care for.

The move that follows an assignment is told, and seals it.
"""

_PARTIES = (
    ", t.policy, t.source_superior_id, t.source_province, t.provincial_id,"
    " t.target_org_id, t.target_superior_id, t.target_province, t.receipted_at"
)
"""What `_OPENED` needs of a transfer to find the organisation of the next node."""

_OFFER = ", t.target_name, t.place_name, t.place_address, t.created_at"
"""What another system is told of a transfer beside its sides and its member (FED-10)."""

_EVENT_COLUMNS = {
    messages.NodeOpened: {"remind_every": "extract(epoch FROM remind_every)"},
    messages.BranchAssigned: {"branch_id": "target_branch_id", "at": "CAST(:now AS timestamptz)"},
    messages.TransferCompleted: {"branch_id": "target_branch_id"},
}

# looked up for those alone: as a join it would compare each row with each, also where none leads across
_OF_NODE = "(SELECT o.{column} FROM opened o WHERE o.transfer_id = packed.transfer_id)"


def _desk(state: State) -> str:
    """Return what tells the bridge at whose desk somebody lies who comes from another system (FED-13)."""
    return tell(
        messages.ArrivalWaits,
        "moved",
        f"WHERE initiator = '{saga.Initiator.PEER}' AND state = '{state}'",
        org_id=_OF_NODE.format(column="org_id"),
        since="CAST(:now AS timestamptz)",
        until=_OF_NODE.format(column="expires_at"),
    )


_ACROSS = {
    # the event that tells the bridge of entering a state, of which transfers, with which columns (FED-10)
    State.IN: _desk(State.IN),
    State.ASSIGN: _desk(State.ASSIGN),
    State.REMOTE: tell(
        messages.RemoteOpened,
        "moved",
        f"WHERE state = '{State.REMOTE}'",
        started_at="created_at",
        answer_by=_OF_NODE.format(column="expires_at"),
    ),
    State.HANDOVER: tell(messages.HandoverOpened, "moved", f"WHERE state = '{State.HANDOVER}'"),
    State.ARRIVAL: tell(
        messages.ArrivalAccepted,
        "moved",
        f"WHERE state = '{State.ARRIVAL}'",
        branch_id="target_branch_id",
    ),
    State.COMPLETED: tell(
        messages.ArrivalCompleted,
        "moved",
        f"WHERE initiator = '{saga.Initiator.PEER}'",
        branch_id="target_branch_id",
        at="CAST(:now AS timestamptz)",
    ),
}


def _told_across(trigger: Trigger, entered: Iterable[State]) -> list[str]:
    """Return what tells the bridge of a transition of transfers across a border (FED-10)."""
    selects = [_ACROSS[state] for state in entered if state in _ACROSS]
    # What the other system has ended it knows.
    if saga.target_of(trigger) in saga.FINAL and trigger not in (Trigger.MOVED, *saga.FROM_BRIDGE):
        columns = {"cause": f"'{trigger}'", "code": "end_code", "note": "end_note"}
        columns["arrival"] = f"initiator = '{saga.Initiator.PEER}'"
        selects.append(tell(messages.CrossingEnded, "moved", "WHERE peer <> ''", **columns))
    return selects


def _told(states: Iterable[State], also: Sequence[str] = ()) -> str:
    """Return the outbox insert for the events of entering `states` (saga.ON_ENTER), plus `also`."""
    by_event: dict[str, list[str]] = {}
    for state in states:
        if state in saga.ON_ENTER:
            by_event.setdefault(saga.ON_ENTER[state], []).append(f"'{state}'")
    selects = [*also]
    for name, names in by_event.items():
        event = getattr(messages, name)
        if event is messages.NodeOpened:
            selects.append(tell(event, "opened", "", **_EVENT_COLUMNS[event]))
            continue
        selects.append(
            tell(event, "moved", f"WHERE state IN ({', '.join(names)})", **_EVENT_COLUMNS.get(event, {}))
        )
    return f"told AS ({insert(*selects)})" if selects else "told AS (SELECT 1)"


def _among(state: str, states: str) -> str:
    """Return the guard of a transition: the state that it leaves.

    COALESCE hides the comparison from the planner, which would otherwise take it for so rare that it
    reads all rows in that state and compares each with each item, instead of looking up each item by
    its id.
    """
    return f"coalesce({state} IN ({states}), false)"


def _closed(sources: str, entitled: str, from_also: str, waits: bool) -> str:
    """Return the CTEs that close the open nodes of those items that are `entitled` to it.

    The nodes are locked in the order of their transfers, so that no two lists wait for each other, and
    looked up item by item, whatever the statistics say. Whoever has locked a node has decided it.
    """
    return f"""-- the nodes that are decided here; an item that fits no open node ends at this point
    closed AS (
        SELECT i.*, o.node_no AS closed_no, o.opened_at, o.state AS closed_state, o.province
        FROM (SELECT * FROM asked ORDER BY transfer_id) i
        CROSS JOIN LATERAL (
            SELECT o.node_no, o.opened_at, o.state, o.province FROM open_nodes o{from_also}
            WHERE o.transfer_id = i.transfer_id AND {_among("o.state", sources)}
                {"AND " + entitled if entitled else ""}
            FOR UPDATE OF o{"" if waits else " SKIP LOCKED"}) o),
    gone AS (DELETE FROM open_nodes WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM closed)))"""


_NONE_CLOSED = """-- these states have no node to close; the columns stand in for one
    closed AS (
        SELECT i.*, NULL::int AS closed_no, NULL::timestamptz AS opened_at,
            NULL::text AS closed_state, NULL::text AS province
        FROM (SELECT * FROM asked ORDER BY transfer_id) i)"""

_ENDED = ", ended_at = :now, end_code = coalesce(i.code, ''), end_note = coalesce(i.note, '')"


def _moved(trigger: Trigger, sources: str, set_also: str, returning: str = "") -> str:
    """Return the CTE that moves the transfers themselves and adds a link to the chain of each trail.

    Where the saga says NEXT, state and node come from the transfer's path.
    """
    target = saga.target_of(trigger)
    if target is saga.NEXT:
        state, node_no = "s.state", "s.node_no"
        steps, on_path = ", path_steps s", "AND s.path = t.path AND s.node_no = t.node_no + 1"
        parties = _PARTIES
    else:
        state, node_no = f"'{target}'", "t.node_no"
        steps = on_path = parties = ""
    link = trail.link_of(
        "t.audit_head",
        id="t.transfer_id",
        seq="t.audit_seq + 1",
        event=trigger,
        state=state,
        person="i.person_id",
        org="i.org_id",
        decision="i.decision_id",
        note="coalesce(i.note, '')",
    )
    return f"""-- the transfers, each still in a state that the saga lets this trigger leave
    moved AS (
        UPDATE transfers t SET state = {state}, node_no = {node_no}, audit_seq = t.audit_seq + 1,
            audit_head = {link}
            {_ENDED if target in saga.FINAL else ""}{set_also}
        FROM closed i {steps}
        WHERE t.transfer_id = i.transfer_id AND {_among("t.state", sources)} {on_path}
        RETURNING t.transfer_id, t.member_id, t.target_branch_id, t.state, t.node_no, t.peer,
            t.initiator, t.initiator_org_id, t.source_branch_id, t.reason,
            t.audit_seq, t.audit_head, i.n, i.person_id, i.org_id, i.decision_id,
            coalesce(i.note, '') AS note, i.opened_at, i.closed_state, i.province
            {parties}{", t.end_code, t.end_note" if target in saga.FINAL else ""}{returning})"""


def _transition(
    trigger: Trigger, *, entitled: str = "", set_also: str = "", from_also: str = "", waits: bool = True
) -> sa.TextClause:
    """Return the statement of `trigger`.

    Args:
        trigger: Which arrows of the saga.
        entitled: Condition on `o` (the open node) and `i` (the item) that says who may close the node;
            empty for states without a node.
        set_also: Further assignments of the update.
        from_also: Further tables of the update, with their join conditions in `entitled`.
        waits: Whether it waits for a node that somebody else is deciding, or passes it over.

    """
    sources = ", ".join(f"'{state}'" for state in saga.sources_of(trigger))
    target = saga.target_of(trigger)
    at_node = all(state in saga.NODES for state in saga.sources_of(trigger))
    if target is saga.NEXT:
        entered = sorted(
            {there for _, there, some in saga.arrows() if some is trigger}, key=list(State).index
        )
    else:
        entered = [target] if target else []
    approved = trigger in (Trigger.APPROVE, Trigger.CLOCK_APPROVE)
    also = [tell(messages.NodeApproved, "moved")] if approved else []
    also += _told_across(trigger, entered)

    parts = [
        asked(Item),
        _closed(sources, entitled, from_also, waits) if at_node else _NONE_CLOSED,
        _moved(trigger, sources, set_also, _OFFER if State.REMOTE in entered else ""),
        trail.audited(trigger),
        totalled("closed_state" if at_node else ", ".join(map(repr, map(str, saga.sources_of(trigger))))),
    ]
    if target is saga.NEXT:
        parts.append(_OPENED)
    if trigger not in _UNFOLLOWED:
        parts.append(_FOLLOWED)
    if target in saga.FINAL:
        parts.append(_LET_GO)
    parts.append(_told(entered, also))
    with_parts = ",\n    ".join(parts)
    return sa.text(f"""WITH
    {with_parts}
    SELECT n, transfer_id, state, node_no, closed_state, province,
        extract(epoch FROM :now - opened_at) AS waited
    FROM moved""")


# IS NOT DISTINCT FROM keeps the planner from finding each item by its organisation, among all that waits
# there.
_ACTING = "o.node_no = i.node_no AND (o.org_id IS NOT DISTINCT FROM i.org_id OR o.superior_id = i.org_id)"

# To a special unit nobody goes without a paper letter, so whoever approves there says which (SPU-09, DOC-03).
_APPROVING = f"{_ACTING} AND (o.state <> 'pending_province' OR btrim(coalesce(i.note, '')) <> '')"

# Nobody is assigned to the branch that they have just left.
_ASSIGNABLE = (
    "o.org_id IS NOT DISTINCT FROM i.org_id AND i.branch_id <>"
    " (SELECT t.source_branch_id FROM transfers t WHERE t.transfer_id = o.transfer_id)"
)

# Whoever has started a transfer may withdraw it, and so may its member; where the node says `yes_own`,
# members may withdraw only what they have started themselves (TRF-28).
_WITHDRAWING = (
    "w.transfer_id = o.transfer_id AND o.withdraw <> 'no' AND (w.initiator_org_id = i.org_id"
    " OR (w.member_id = i.person_id AND (o.withdraw = 'yes' OR w.initiator = 'member')))"
)

BY_CLOCK = {
    Trigger.CLOCK_RETURN: "o.on_expiry = 'return'",
    Trigger.CLOCK_APPROVE: "o.on_expiry = 'approve'",
}
"""What the clock does to an open node `o` whose deadline has passed.

It passes over what somebody is deciding at the moment: that decision may win (DL-19).
"""

TRANSITIONS: dict[Trigger, sa.TextClause] = {
    Trigger.RESERVED: _transition(Trigger.RESERVED),
    Trigger.UNAVAILABLE: _transition(Trigger.UNAVAILABLE),
    Trigger.APPROVE: _transition(Trigger.APPROVE, entitled=_APPROVING),
    Trigger.REJECT: _transition(Trigger.REJECT, entitled=_ACTING),
    Trigger.WITHDRAW: _transition(Trigger.WITHDRAW, from_also=", transfers w", entitled=_WITHDRAWING),
    Trigger.ASSIGN: _transition(
        Trigger.ASSIGN, entitled=_ASSIGNABLE, set_also=", target_branch_id = i.branch_id"
    ),
    **{
        trigger: _transition(
            trigger, entitled=f"o.node_no = i.node_no AND {condition} AND o.expires_at <= :now", waits=False
        )
        for trigger, condition in BY_CLOCK.items()
    },
    Trigger.MOVED: _transition(Trigger.MOVED),
    **{
        trigger: _transition(trigger)
        for trigger in (
            *(Trigger.ACCEPTED, Trigger.REFUSED_THERE, Trigger.SENT_BACK, Trigger.CALLED_OFF),
            *(Trigger.RECORD_TAKEN, Trigger.RECORD_REFUSED, Trigger.GIVEN_UP),
        )
    },
    Trigger.INTEGRATED: _transition(Trigger.INTEGRATED, set_also=", target_branch_id = i.branch_id"),
}


def move(tx: Connection, trigger: Trigger, items: Sequence[Item], now: datetime | None = None) -> list[Moved]:
    """Apply `trigger` to the items that fit; return one row per transfer moved, with its item's `n`.

    By default it happens now.
    """
    now = now or clock.now()
    return db.rows(Moved, db.run(tx, TRANSITIONS[trigger], items, now=now, stamp=trail.stamp_of(now)))
