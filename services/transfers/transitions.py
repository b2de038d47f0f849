"""One transition is one statement for any number of items, made from the tables of `saga.py`. Only SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers import saga, trail
from services.transfers.saga import State, Trigger
from shared import clock, db
from shared.messages import transfers as messages
from shared.outbox import insert, tell

ASKED = """asked AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        n int, transfer_id bigint, node_no int, person_id bigint, org_id bigint, decision_id uuid, branch_id bigint, code text, note text))"""

_AT = (
    "CASE WHEN m.state IN ('pending_in', 'pending_assign') THEN m.target_province ELSE m.source_province END"
)
"""The province whose organisation decides a node."""


def rule_of(province: str, policy: str, state: str, opened_at: str) -> str:
    """Return the select of the one row of `node_rules` that holds for a node: the province's own, else the nation's."""
    one = f"""(SELECT r.* FROM node_rules r WHERE r.policy = {policy} AND r.state = {state} AND r.province = {{}} AND r.opens_before > {opened_at}
            ORDER BY r.opens_before LIMIT 1)"""
    nation = "''"
    return f"(SELECT * FROM ({one.format(province)} UNION ALL {one.format(nation)}) AS found LIMIT 1)"


DEADLINE = "GREATEST({opened_at} + r.expire_after, r.not_before)"

WITHDRAW = "CASE WHEN r.withdraw NOT LIKE 'first%' THEN coalesce(r.withdraw, 'no') WHEN {node_no} = 1 THEN replace(r.withdraw, 'first', 'yes') ELSE 'no' END"
"""Who may withdraw at a node: a rule that holds for the first node only says so for no other."""

_OPENED = f"""opened AS (INSERT INTO open_nodes (transfer_id, node_no, state, province, org_id, superior_id, opened_at, remind_at, remind_every, expires_at,
            on_expiry, withdraw)
        SELECT m.transfer_id, m.node_no, m.state, {_AT},
            CASE m.state WHEN 'pending_out' THEN m.source_branch_id WHEN 'pending_province' THEN m.provincial_id ELSE m.target_org_id END,
            CASE m.state WHEN 'pending_out' THEN m.source_superior_id WHEN 'pending_in' THEN m.target_superior_id END,
            :now, :now + r.remind_after, r.remind_every, {DEADLINE.format(opened_at="CAST(:now AS timestamptz)")}, r.on_expiry,
            {WITHDRAW.format(node_no="m.node_no")}
        FROM moved m LEFT JOIN LATERAL {rule_of(_AT, "m.policy", "m.state", ":now")} AS r ON true
        WHERE m.state IN ('pending_out', 'pending_in', 'pending_province', 'pending_assign')
        RETURNING transfer_id, node_no, revision, remind_at, remind_every, expires_at)"""

_FOLLOWED = "followed AS (INSERT INTO changes (member_id, transfer_id, seq) SELECT member_id, transfer_id, audit_seq FROM moved)"

_UNFOLLOWED = (Trigger.ASSIGN,)
"""The trigger that neither statistics nor channels nor seals care for: the move that follows an assignment is told, and seals it."""

_PARTIES = """, t.policy, t.source_branch_id, t.source_superior_id, t.source_province, t.provincial_id, t.target_org_id, t.target_superior_id, t.target_province"""
"""What `_OPENED` needs of a transfer to find the organisation of the next node."""

_EVENT_COLUMNS = {
    messages.NodeOpened: {"remind_every": "extract(epoch FROM remind_every)"},
    messages.BranchAssigned: {"branch_id": "target_branch_id", "at": "CAST(:now AS timestamptz)"},
    messages.TransferCompleted: {"branch_id": "target_branch_id"},
}


def _told(states: Iterable[State], also: str = "") -> str:
    """Return the outbox insert for the events of entering `states` (saga.ON_ENTER), plus `also`."""
    by_event: dict[str, list[str]] = {}
    for state in states:
        if state in saga.ON_ENTER:
            by_event.setdefault(saga.ON_ENTER[state], []).append(f"'{state}'")
    selects = [also] if also else []
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

    COALESCE hides the comparison from the planner, which else takes it for so rare that it reads all rows to find those in that
    state and compares each with each item, instead of looking up each item by its id.
    """
    return f"coalesce({state} IN ({states}), false)"


def _transition(
    trigger: Trigger, *, entitled: str = "", set_also: str = "", from_also: str = ""
) -> sa.TextClause:
    """Return the statement of `trigger`.

    Args:
        trigger: Which arrows of the saga.
        entitled: Condition on `o` (the open node), `i` (the item): who may close the node. Empty for states without a node.
        set_also: Further assignments of the update.
        from_also: Further tables of the update, with their join conditions in `entitled`.

    """
    sources = ", ".join(f"'{state}'" for state in saga.sources_of(trigger))
    target = saga.target_of(trigger)
    at_node = all(state in saga.NODES for state in saga.sources_of(trigger))
    by_next = target is saga.NEXT
    state = "s.state" if by_next else f"'{target}'"
    closed = (
        f"""closed AS (DELETE FROM open_nodes o USING asked i{from_also} WHERE o.transfer_id = i.transfer_id AND {_among("o.state", sources)}
        {"AND " + entitled if entitled else ""} RETURNING i.*, o.node_no AS closed_no, o.opened_at, o.state AS closed_state, o.province)"""
        if at_node
        else (
            "closed AS (SELECT i.*, NULL::int AS closed_no, NULL::timestamptz AS opened_at, NULL::text AS closed_state, NULL::text AS province FROM asked i)"
        )
    )
    link = trail.link_of(
        "t.audit_head",
        id="t.transfer_id",
        seq="t.audit_seq + 1",
        event=f"'{trigger}'",
        state=state,
        person="i.person_id",
        org="i.org_id",
        decision="i.decision_id",
        note="coalesce(i.note, '')",
    )
    ends = target in saga.FINAL
    update = f"""moved AS (UPDATE transfers t SET state = {state}, node_no = {"s.node_no" if by_next else "t.node_no"},
        audit_seq = t.audit_seq + 1, audit_head = {link}
        {", ended_at = :now, end_code = coalesce(i.code, ''), end_note = coalesce(i.note, '')" if ends else ""}{set_also}
        FROM closed i {", path_steps s" if by_next else ""}
        WHERE t.transfer_id = i.transfer_id AND {_among("t.state", sources)} {"AND s.path = t.path AND s.node_no = t.node_no + 1" if by_next else ""}
        RETURNING t.transfer_id, t.member_id, t.target_branch_id, t.state, t.node_no, t.audit_seq, t.audit_head,
            i.n, i.person_id, i.org_id, i.decision_id, coalesce(i.note, '') AS note, i.opened_at, i.closed_state, i.province
        {_PARTIES if by_next else ""})"""
    entered = [*saga.NODES, State.MOVING] if by_next else [target] if target else []
    also = tell(messages.NodeApproved, "moved") if trigger in (Trigger.APPROVE, Trigger.CLOCK_APPROVE) else ""
    parts = [ASKED, closed, update, trail.audited(trigger)]
    if by_next:
        parts.append(_OPENED)
    if trigger not in _UNFOLLOWED:
        parts.append(_FOLLOWED)
    if ends:
        parts.append(
            "closed_ones AS (DELETE FROM open_transfers o USING moved m WHERE o.member_id = m.member_id AND o.transfer_id = m.transfer_id)"
        )
    parts.append(_told(entered, also))
    return sa.text(
        "WITH "
        + ",\n    ".join(parts)
        + """
    SELECT n, transfer_id, state, node_no, closed_state, province, extract(epoch FROM :now - opened_at) AS waited FROM moved"""
    )


# IS NOT DISTINCT FROM keeps the planner from finding each item by its organisation, among all that waits there.
_ACTING = "o.node_no = i.node_no AND (o.org_id IS NOT DISTINCT FROM i.org_id OR o.superior_id = i.org_id)"

# To a special unit nobody goes without a paper letter, so whoever approves there says which (SPU-09, DOC-03).
_APPROVING = f"{_ACTING} AND (o.state <> 'pending_province' OR btrim(coalesce(i.note, '')) <> '')"

_ASSIGNABLE = "o.org_id IS NOT DISTINCT FROM i.org_id AND i.branch_id <> (SELECT t.source_branch_id FROM transfers t WHERE t.transfer_id = o.transfer_id)"

TRANSITIONS: dict[Trigger, sa.TextClause] = {
    Trigger.RESERVED: _transition(Trigger.RESERVED),
    Trigger.UNAVAILABLE: _transition(Trigger.UNAVAILABLE),
    Trigger.APPROVE: _transition(Trigger.APPROVE, entitled=_APPROVING),
    Trigger.REJECT: _transition(Trigger.REJECT, entitled=_ACTING),
    Trigger.WITHDRAW: _transition(
        Trigger.WITHDRAW,
        from_also=", transfers w",
        entitled="w.transfer_id = o.transfer_id AND o.withdraw <> 'no'"
        " AND (w.initiator_org_id = i.org_id OR (w.member_id = i.person_id AND (o.withdraw = 'yes' OR w.initiator = 'member')))",
    ),
    Trigger.ASSIGN: _transition(
        Trigger.ASSIGN, entitled=_ASSIGNABLE, set_also=", target_branch_id = i.branch_id"
    ),
    Trigger.CLOCK_RETURN: _transition(
        Trigger.CLOCK_RETURN,
        entitled="o.node_no = i.node_no AND o.on_expiry = 'return' AND o.expires_at <= :now",
    ),
    Trigger.CLOCK_APPROVE: _transition(
        Trigger.CLOCK_APPROVE,
        entitled="o.node_no = i.node_no AND o.on_expiry = 'approve' AND o.expires_at <= :now",
    ),
    Trigger.MOVED: _transition(Trigger.MOVED),
}


def move(tx: Connection, trigger: Trigger, items: Sequence[dict[str, Any]]) -> Sequence[sa.Row[Any]]:
    """Apply `trigger` to the items that fit; return one row per transfer moved, with the item's number `n`."""
    now = clock.now()
    return db.run(tx, TRANSITIONS[trigger], items, now=now, stamp=trail.stamp_of(now)).all()
