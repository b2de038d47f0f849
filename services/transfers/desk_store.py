"""The SQL of the desk: bulk decisions, reminders, who is looking, escalations, messages, the deadline board, addresses to be told."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.store import ASKED, audited, link_of
from shared import db

# ---- bulk decisions --------------------------------------------------------------------------------------------------

_MATCHING = """
    FROM open_nodes o JOIN transfers t ON t.transfer_id = o.transfer_id
    WHERE (o.org_id = :org OR o.superior_id = :org) AND o.state = :state AND (:state <> 'pending_assign' OR o.org_id = :org)
        AND (:reason = '' OR t.reason = :reason) AND (CAST(:source AS bigint) IS NULL OR t.source_branch_id = :source)
        AND o.opened_at < coalesce(CAST(:opened_before AS timestamptz), 'infinity') AND coalesce(o.expires_at, 'infinity') <= coalesce(CAST(:due_before AS timestamptz), 'infinity')
        AND (NOT :unquestioned OR t.concern = '')"""
_COUNT = sa.text(f"SELECT count(*)::int {_MATCHING}")
_START = sa.text(f"""
    WITH job AS (INSERT INTO bulk_jobs (bulk_id, org_id, person_id, decision, started_at) VALUES (:bulk, :org, :person, :decision, :now)
        ON CONFLICT DO NOTHING RETURNING bulk_id)
    INSERT INTO bulk_rows (bulk_id, transfer_id, node_no) SELECT (SELECT bulk_id FROM job), o.transfer_id, o.node_no {_MATCHING} AND EXISTS (SELECT 1 FROM job)""")
_WHOSE = sa.text("SELECT org_id, person_id FROM bulk_jobs WHERE bulk_id = :bulk")
_JOBS = sa.text("""
    SELECT j.*, count(*)::int AS total, (count(*) FILTER (WHERE r.result = ''))::int AS done, (count(*) FILTER (WHERE r.result IS NULL))::int AS waiting
    FROM bulk_jobs j JOIN bulk_rows r USING (bulk_id) WHERE j.org_id = :org AND (CAST(:bulk AS uuid) IS NULL OR j.bulk_id = :bulk)
    GROUP BY j.bulk_id ORDER BY j.started_at DESC LIMIT 20""")
_PROBLEMS = sa.text("""SELECT bulk_id, transfer_id, result FROM bulk_rows WHERE bulk_id = ANY(CAST(:ids AS uuid[])) AND result <> ''
    ORDER BY bulk_id, transfer_id LIMIT 1000""")
_NEXT = sa.text("""
    SELECT r.*, j.org_id, j.person_id, j.decision FROM bulk_rows r JOIN bulk_jobs j USING (bulk_id)
    WHERE r.result IS NULL ORDER BY r.bulk_id, r.transfer_id LIMIT :limit FOR UPDATE OF r SKIP LOCKED""")
_SETTLE = sa.text("""
    UPDATE bulk_rows r SET result = i.result FROM json_to_recordset(CAST(:items AS json)) AS i(bulk_id uuid, transfer_id bigint, result text)
    WHERE r.bulk_id = i.bulk_id AND r.transfer_id = i.transfer_id""")
_STOP = sa.text("""UPDATE bulk_rows r SET result = 'bulk_stopped' FROM bulk_jobs j WHERE j.bulk_id = r.bulk_id AND r.bulk_id = :bulk AND j.org_id = :org AND r.result IS NULL""")


def count_matching(tx: Connection, org_id: int, wanted: dict[str, Any]) -> int:
    """Return how many open nodes of an organisation a filter takes in."""
    return int(tx.scalar(_COUNT, {"org": org_id, **wanted}) or 0)


def bulk_of_another(tx: Connection, bulk_id: Any, org_id: int, person_id: int) -> bool:
    """Return whether a bulk decision of this id was started by somebody else, or for another organisation."""
    found = tx.execute(_WHOSE, {"bulk": str(bulk_id)}).one_or_none()
    return found is not None and (found.org_id, found.person_id) != (org_id, person_id)


def start_bulk(tx: Connection, bulk_id: Any, org_id: int, person_id: int, decision: str, wanted: dict[str, Any], now: datetime) -> None:
    """Write down a bulk decision with the rows that it takes in now; repeated without effect."""
    tx.execute(_START, {"bulk": str(bulk_id), "org": org_id, "person": person_id, "decision": decision, "now": now, **wanted})


def bulks(tx: Connection, org_id: int, bulk_id: Any = None) -> tuple[Sequence[sa.Row[Any]], dict[Any, dict[int, str]]]:
    """Return the newest bulk decisions of an organisation, or one, with the rows that were refused."""
    jobs = tx.execute(_JOBS, {"org": org_id, "bulk": str(bulk_id) if bulk_id else None}).all()
    problems: dict[Any, dict[int, str]] = {}
    for row in tx.execute(_PROBLEMS, {"ids": [str(job.bulk_id) for job in jobs]}):
        problems.setdefault(row.bulk_id, {})[row.transfer_id] = row.result
    return jobs, problems


def next_rows(tx: Connection, limit: int) -> Sequence[sa.Row[Any]]:
    """Return the next rows that wait, held for this transaction; another worker gets others."""
    return tx.execute(_NEXT, {"limit": limit}).all()


def settle_rows(tx: Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Store what became of rows: empty for done, else the code of the refusal."""
    db.run(tx, _SETTLE, rows)


def stop_bulk(tx: Connection, bulk_id: Any, org_id: int) -> int:
    """Leave the rows that wait as they are; return how many."""
    return int(tx.execute(_STOP, {"bulk": str(bulk_id), "org": org_id}).rowcount)


# ---- lines of the trail that change no state -------------------------------------------------------------------------

def _noted(event: str, chosen: str) -> sa.TextClause:
    """Return the statement that lengthens the trails of the transfers in the CTE `chosen` (with the columns of the items) by one line each."""
    link = link_of("t.audit_head", id="t.transfer_id", seq="t.audit_seq + 1", event=f"'{event}'", state="t.state", person="i.person_id", org="i.org_id",
                   decision="i.decision_id", note="coalesce(i.note, '')")
    return sa.text(f"""WITH {ASKED},
    chosen AS ({chosen}),
    moved AS (UPDATE transfers t SET audit_seq = t.audit_seq + 1, audit_head = {link} FROM chosen i WHERE t.transfer_id = i.transfer_id
        RETURNING t.transfer_id, t.member_id, t.state, t.node_no, t.audit_seq, t.audit_head, i.n, i.person_id, i.org_id, i.decision_id, coalesce(i.note, '') AS note),
    {audited(event)},
    followed AS (INSERT INTO changes (member_id, transfer_id, seq) SELECT member_id, transfer_id, audit_seq FROM moved)
    SELECT n, transfer_id, state, node_no FROM moved""")


_URGE = _noted("urged", """UPDATE open_nodes o SET urged_at = :now FROM asked i JOIN transfers w ON w.transfer_id = i.transfer_id
        WHERE o.transfer_id = i.transfer_id AND (w.member_id = i.person_id OR w.initiator_org_id = i.org_id)
            AND o.opened_at <= CAST(:now AS timestamptz) - interval '3 days'
            AND coalesce(o.urged_at, '-infinity') <= CAST(:now AS timestamptz) - interval '3 days' RETURNING i.*""")
_URGE_BELOW = _noted("urged", """UPDATE open_nodes o SET urged_at = :now FROM asked i
        JOIN org_directory top ON top.org_id = i.branch_id JOIN org_directory d ON d.path >= top.path AND d.path < rtrim(top.path, '.') || '/'
        WHERE o.org_id = d.org_id AND coalesce(o.expires_at, o.opened_at + interval '10 days') <= CAST(:now AS timestamptz) + i.node_no * interval '1 day'
            AND coalesce(o.urged_at, '-infinity') <= CAST(:now AS timestamptz) - interval '3 days'
        RETURNING i.n, o.transfer_id, i.node_no, i.person_id, i.org_id, i.decision_id, i.branch_id, i.code, i.note""")
_ESCALATE = _noted("escalated", """INSERT INTO escalations AS e (transfer_id, org_id, person_id, note, asked_at)
        SELECT i.transfer_id, i.branch_id, i.person_id, coalesce(i.note, ''), :now FROM asked i JOIN transfers w ON w.transfer_id = i.transfer_id
        WHERE w.state = 'rejected' AND w.member_id = i.person_id ON CONFLICT DO NOTHING
        RETURNING (SELECT a.n FROM asked a WHERE a.transfer_id = e.transfer_id LIMIT 1) AS n, e.transfer_id, NULL::int AS node_no, e.person_id,
            NULL::bigint AS org_id, NULL::uuid AS decision_id, NULL::bigint AS branch_id, NULL::text AS code, e.note""")
_ANSWER = _noted("answered", """UPDATE escalations e SET answer = i.code, answer_note = coalesce(i.note, ''), answered_by = i.person_id, answered_at = :now FROM asked i
        WHERE e.transfer_id = i.transfer_id AND e.org_id = i.org_id AND e.answer = '' RETURNING i.*""")
_LOOK = sa.text("""
    WITH asked AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(n int, transfer_id bigint, person_id bigint, org_id bigint, done boolean))
    UPDATE open_nodes o SET looked_by = CASE WHEN i.done THEN NULL ELSE i.person_id END,
        looked_until = CASE WHEN i.done THEN NULL ELSE CAST(:now AS timestamptz) + interval '10 minutes' END
    FROM asked i WHERE o.transfer_id = i.transfer_id AND i.org_id IN (o.org_id, o.superior_id)
        AND (coalesce(o.looked_until, '-infinity') < :now OR o.looked_by = i.person_id) RETURNING i.n, o.transfer_id, o.state, o.node_no""")


def urge(tx: Connection, items: Sequence[dict[str, Any]], now: datetime, stamp: str) -> Sequence[sa.Row[Any]]:
    """Remind of nodes that have waited three days, each once in three days; return what was reminded of."""
    return db.run(tx, _URGE, items, now=now, stamp=stamp).all()


def urge_below(tx: Connection, items: Sequence[dict[str, Any]], now: datetime, stamp: str) -> Sequence[sa.Row[Any]]:
    """Remind of all nodes below `branch_id` that are due within `node_no` days."""
    return db.run(tx, _URGE_BELOW, items, now=now, stamp=stamp).all()


def escalate(tx: Connection, items: Sequence[dict[str, Any]], now: datetime, stamp: str) -> Sequence[sa.Row[Any]]:
    """Hand rejected transfers of the asking members to the organisation `branch_id`, each once."""
    return db.run(tx, _ESCALATE, items, now=now, stamp=stamp).all()


def answer(tx: Connection, items: Sequence[dict[str, Any]], now: datetime, stamp: str) -> Sequence[sa.Row[Any]]:
    """Answer escalations to the acting organisation, each once."""
    return db.run(tx, _ANSWER, items, now=now, stamp=stamp).all()


def look(tx: Connection, items: Sequence[dict[str, Any]], now: datetime) -> Sequence[sa.Row[Any]]:
    """Take or give back the mark of looking at open nodes, where nobody else has it."""
    return db.run(tx, _LOOK, items, now=now).all()


_ESCALATIONS = sa.text("""
    SELECT e.*, t.member_id, t.source_branch_id, t.target_org_id, t.reason, t.end_code, t.end_note FROM escalations e JOIN transfers t USING (transfer_id)
    WHERE e.org_id = :org AND (NOT :open_only OR e.answer = '') ORDER BY e.asked_at DESC LIMIT 200""")


def escalations(tx: Connection, org_id: int, open_only: bool) -> Sequence[sa.Row[Any]]:
    """Return what was escalated to an organisation, newest first."""
    return tx.execute(_ESCALATIONS, {"org": org_id, "open_only": open_only}).all()


# ---- messages --------------------------------------------------------------------------------------------------------

KINDS = ("requested", "unavailable", "approve", "clock_approve", "reject", "clock_return", "withdraw", "assign", "moved", "urged", "escalated", "answered")
"""Lines of the trail that people are told of."""
_TOLD = ", ".join(f"'{kind}'" for kind in KINDS)
_MESSAGES = {
    who: f"""SELECT a.transfer_id, a.seq, a.event, a.at, a.org_id, a.note, a.state, t.member_id, t.end_code,
            coalesce(a.at <= m.read_until, false) OR r.transfer_id IS NOT NULL OR a.person_id IS NOT DISTINCT FROM :person AS read
        FROM transfers t JOIN audit a ON a.transfer_id = t.transfer_id
        LEFT JOIN reading_marks m ON m.person_id = :person AND m.org_id = :context
        LEFT JOIN messages_read r ON r.person_id = :person AND r.org_id = :context AND r.transfer_id = a.transfer_id AND r.seq = a.seq
        WHERE {concerned} AND a.event IN ({_TOLD})"""
    for who, concerned in (("person", "t.member_id = :person"), ("org", "t.initiator_org_id = :context AND t.created_at > :oldest"))}
_LIST = {who: sa.text(f"""
    SELECT * FROM ({select}) AS messages
    WHERE (:kind = '' OR event = :kind) AND (NOT :unread_only OR NOT read) AND at >= coalesce(CAST(:since AS timestamptz), '-infinity') AND at < coalesce(CAST(:until AS timestamptz), 'infinity')
        AND (at, transfer_id, seq) < (:at, :transfer_id, :seq)
    ORDER BY at DESC, transfer_id DESC, seq DESC LIMIT :limit""") for who, select in _MESSAGES.items()}
_UNREAD = {who: sa.text(f"SELECT count(*)::int FROM (SELECT 1 FROM ({select}) AS messages WHERE NOT read LIMIT 1000) AS counted") for who, select in _MESSAGES.items()}
_READ_UNTIL = sa.text("""
    INSERT INTO reading_marks AS m (person_id, org_id, read_until) SELECT person_id, org_id, max(until)
        FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, org_id bigint, until timestamptz) GROUP BY person_id, org_id ORDER BY person_id, org_id
    ON CONFLICT (person_id, org_id) DO UPDATE SET read_until = GREATEST(m.read_until, excluded.read_until)""")
_READ_ONE = sa.text("""
    INSERT INTO messages_read (person_id, org_id, transfer_id, seq) SELECT person_id, org_id, transfer_id, seq
        FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, org_id bigint, transfer_id bigint, seq int) ORDER BY 1, 2, 3, 4 ON CONFLICT DO NOTHING""")


def messages(tx: Connection, person_id: int, org_id: int, oldest: datetime, **wanted: Any) -> Sequence[sa.Row[Any]]:
    """Return messages of a person (org 0) or of an organisation to that person, newest first."""
    return tx.execute(_LIST["org" if org_id else "person"], {"person": person_id, "context": org_id, "oldest": oldest, **wanted}).all()


def unread(tx: Connection, person_id: int, org_id: int, oldest: datetime) -> int:
    """Return how many messages are unread, at most 1,000."""
    return int(tx.scalar(_UNREAD["org" if org_id else "person"], {"person": person_id, "context": org_id, "oldest": oldest}) or 0)


def mark_read(tx: Connection, until: Sequence[dict[str, Any]], single: Sequence[dict[str, Any]]) -> None:
    """Mark messages read, all up to an instant, or single ones."""
    if until:
        db.run(tx, _READ_UNTIL, until)
    if single:
        db.run(tx, _READ_ONE, single)


# ---- the deadline board ----------------------------------------------------------------------------------------------

_BOARD = sa.text("""
    SELECT c.org_id, c.name, b.*, coalesce(f.idle, 0) AS idle FROM org_directory c
    CROSS JOIN LATERAL (SELECT count(o.transfer_id)::int AS waiting,
            (count(*) FILTER (WHERE o.expires_at > :now AND o.expires_at <= CAST(:now AS timestamptz) + interval '3 days'))::int AS due_soon,
            (count(*) FILTER (WHERE o.state <> 'pending_assign' AND coalesce(o.expires_at, o.opened_at + interval '10 days') <= :now))::int AS overdue,
            (count(*) FILTER (WHERE o.state = 'pending_assign' AND o.opened_at <= CAST(:now AS timestamptz) - interval '10 days'))::int AS assigning,
            min(o.opened_at) AS oldest
        FROM org_directory d JOIN open_nodes o ON o.org_id = d.org_id WHERE d.path >= c.path AND d.path < rtrim(c.path, '.') || '/') AS b
    LEFT JOIN figures f ON f.org_id = c.org_id AND f.cohort = :cohort
    WHERE c.parent_id = :org AND NOT c.deleted AND (b.waiting > 0 OR coalesce(f.idle, 0) > 0) ORDER BY b.overdue DESC, b.waiting DESC, c.org_id LIMIT 500""")
_DECISIONS = sa.text("SELECT org_id, code, n, seconds FROM decisions WHERE org_id = ANY(CAST(:ids AS bigint[])) AND year = :year")


def board(tx: Connection, org_id: int, cohort: int, now: datetime) -> Sequence[sa.Row[Any]]:
    """Return what waits below each direct subordinate, worst first."""
    return tx.execute(_BOARD, {"org": org_id, "cohort": cohort, "now": now}).all()


def decisions(tx: Connection, org_ids: Sequence[int], year: int) -> tuple[dict[int, dict[str, int]], dict[int, float]]:
    """Return how often each subtree has approved, and rejected by reason, in a year (BEY-06), and how many seconds its decisions had waited in all."""
    found: dict[int, dict[str, int]] = {}
    seconds: dict[int, float] = {}
    for row in tx.execute(_DECISIONS, {"ids": list(org_ids), "year": year}):
        found.setdefault(row.org_id, {})[row.code] = row.n
        seconds[row.org_id] = seconds.get(row.org_id, 0.0) + row.seconds
    return found, seconds


# ---- destinations ----------------------------------------------------------------------------------------------------

_TOWNSHIPS = sa.text("""
    SELECT t.* FROM org_directory t WHERE t.purpose = 'township' AND t.division_code >= :code AND t.division_code < :code_end AND NOT t.deleted
    ORDER BY t.division_code LIMIT 10""")
_BELOW = sa.text("""SELECT * FROM org_directory WHERE path >= :path AND path < :path_end AND purpose = ANY(CAST(:purposes AS text[])) AND NOT deleted
    ORDER BY path LIMIT 20""")


def townships(tx: Connection, division_code: str) -> Sequence[sa.Row[Any]]:
    """Return the township of a division code, or else those of its county, in order of their codes."""
    for length in (9, 6):
        prefix = division_code[:length]
        rows = tx.execute(_TOWNSHIPS, {"code": prefix, "code_end": f"{prefix}:"}).all() if len(division_code) >= length else []
        if rows:
            return rows
    return []


def below(tx: Connection, path: str, purposes: Sequence[str]) -> Sequence[sa.Row[Any]]:
    """Return branches of some purposes in a subtree."""
    return tx.execute(_BELOW, {"path": path, "path_end": path[:-1] + "/", "purposes": list(purposes)}).all()


# ---- addresses that are told -----------------------------------------------------------------------------------------

_ADD_HOOKS = sa.text("""
    INSERT INTO webhooks (command_id, org_id, url, secret, created_by, created_at)
    SELECT DISTINCT ON (org_id, url) command_id, org_id, url, secret, person_id, :now
    FROM (SELECT g.*, row_number() OVER (PARTITION BY org_id ORDER BY n) + (SELECT count(*) FROM webhooks w WHERE w.org_id = g.org_id AND w.active) AS place
        FROM json_to_recordset(CAST(:items AS json)) AS g(n int, command_id uuid, org_id bigint, url text, secret text, person_id bigint)) AS g
    WHERE place <= :most ORDER BY org_id, url, n ON CONFLICT DO NOTHING""")
_HOOKS_OF = sa.text("""
    SELECT DISTINCT ON (g.n) g.n, w.webhook_id, w.url, w.active, w.secret, w.command_id = g.command_id AS own,
        w.org_id = g.org_id AND w.created_by = g.person_id AS same
    FROM json_to_recordset(CAST(:items AS json)) AS g(n int, command_id uuid, org_id bigint, url text, person_id bigint)
    JOIN webhooks w ON w.command_id = g.command_id OR (w.org_id = g.org_id AND w.url = g.url AND w.active)
    ORDER BY g.n, w.command_id = g.command_id DESC""")
_END_HOOKS = sa.text("""
    WITH ended AS (UPDATE webhooks w SET active = false FROM json_to_recordset(CAST(:items AS json)) AS g(webhook_id bigint, org_id bigint)
        WHERE w.webhook_id = g.webhook_id AND w.org_id = g.org_id RETURNING w.webhook_id, w.org_id),
    dropped AS (UPDATE deliveries d SET next_at = NULL, problem = 'switched off' FROM ended e WHERE d.webhook_id = e.webhook_id AND d.next_at IS NOT NULL)
    SELECT webhook_id, org_id FROM ended""")
_HOOKS = sa.text("""
    SELECT w.*, count(*) FILTER (WHERE d.next_at IS NOT NULL)::int AS waiting, count(d.delivered_at)::int AS delivered,
        count(*) FILTER (WHERE d.webhook_id IS NOT NULL AND d.next_at IS NULL AND d.delivered_at IS NULL)::int AS failed, coalesce(max(d.problem), '') AS last_problem
    FROM webhooks w LEFT JOIN deliveries d USING (webhook_id) WHERE w.org_id = :org GROUP BY w.webhook_id ORDER BY w.webhook_id DESC""")
_CLAIM = sa.text("""
    WITH due AS (SELECT webhook_id, transfer_id, seq FROM deliveries WHERE next_at <= :now ORDER BY next_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE deliveries d SET attempts = d.attempts + 1, problem = CASE WHEN d.attempts < :most THEN d.problem ELSE 'given up' END,
        next_at = CASE WHEN d.attempts < :most THEN CAST(:now AS timestamptz) + interval '2 minutes' END
    FROM due JOIN webhooks w ON w.webhook_id = due.webhook_id JOIN audit a ON a.transfer_id = due.transfer_id AND a.seq = due.seq
        JOIN transfers t ON t.transfer_id = due.transfer_id
    WHERE d.webhook_id = due.webhook_id AND d.transfer_id = due.transfer_id AND d.seq = due.seq
    RETURNING d.webhook_id, d.transfer_id, d.seq, d.attempts, d.next_at, w.url, w.secret, a.event, a.state, a.at, t.member_id, t.reason, t.source_branch_id, t.target_org_id""")
_DELIVERED = sa.text("""
    UPDATE deliveries d SET delivered_at = i.delivered_at, next_at = i.next_at, problem = i.problem
    FROM json_to_recordset(CAST(:items AS json)) AS i(webhook_id bigint, transfer_id bigint, seq int, delivered_at timestamptz, next_at timestamptz, problem text)
    WHERE d.webhook_id = i.webhook_id AND d.transfer_id = i.transfer_id AND d.seq = i.seq""")


def add_hooks(tx: Connection, rows: Sequence[dict[str, Any]], most: int, now: datetime) -> dict[int, sa.Row[Any]]:
    """Store addresses, up to `most` that are told at a time for each organisation; return by `n` the hook of each row, old or new.

    The hook of a row is that of its command (`own`; `same` says whether the same person sent it for the same organisation), or else
    the one that tells the same address already.
    """
    db.run(tx, _ADD_HOOKS, rows, now=now, most=most)
    return {row.n: row for row in db.run(tx, _HOOKS_OF, rows)}


def end_hooks(tx: Connection, rows: Sequence[dict[str, Any]]) -> set[tuple[int, int]]:
    """Switch addresses off and forget what waits for them; return which there were, with their organisations."""
    return {(row.webhook_id, row.org_id) for row in db.run(tx, _END_HOOKS, rows)}


def hooks(tx: Connection, org_id: int) -> Sequence[sa.Row[Any]]:
    """Return the addresses of an organisation with what was delivered."""
    return tx.execute(_HOOKS, {"org": org_id}).all()


def claim_deliveries(tx: Connection, now: datetime, limit: int, most: int) -> Sequence[sa.Row[Any]]:
    """Take deliveries that are due; who dies with them leaves them to be tried again in two minutes.

    Those that were taken `most` times come back without `next_at`: they are given up, and not to be sent.
    """
    return tx.execute(_CLAIM, {"now": now, "limit": limit, "most": most}).all()


def settle_deliveries(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store what became of deliveries."""
    db.run(tx, _DELIVERED, rows)
