"""The SQL of the statistics: from changes to figures, what they say, and the proof (STAT-10..15, Annex F).

Every transition leaves a line in `changes`, in its own transaction. One follower at a time takes lines
away, finds out how the members they speak of stand now, and adds the difference from how they stood
before (`standings`) to the figures of every organisation above. So nothing is lost and nothing is counted
twice, whatever is told twice or late, and no transfer waits for a counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.figures import sums, totals
from services.transfers.figures.rules import FIGURES, Counted
from services.transfers.log import SEALED, seal
from services.transfers.policies.reader import Policy
from services.transfers.saga import NODES, State
from shared import db
from shared.messages.words import Reason

FLOW_EVENTS = ("reserved", "moved", "reject", "clock_return", "withdraw")
"""What the weekly flow counts: started, completed, rejected, returned by the clock, withdrawn."""
OVERTURNED = "overturned"
"""The code under which `decisions` counts overturned rejections (TRF-27, BEY-06).

These are a subtree's rejections that the common superior has answered with `receive`.
"""
FOLD_LIMIT = 5_000
"""Lines of one round of the follower."""

_RATE = "CASE t.reason " + " ".join(f"WHEN '{one}' THEN '{one.counts_in}'" for one in Reason) + " ELSE '' END"
_OPEN_STATES = f"({', '.join(repr(str(state)) for state in (*NODES, State.MOVING))})"
_STAGE = f"""CASE
            WHEN t.transfer_id IS NULL THEN 'idle'
            WHEN t.state IN {_OPEN_STATES} OR (t.state = 'completed' AND d.purpose = 'floating') THEN 'open'
            WHEN t.state = 'completed' THEN 'completed'
            ELSE 'ended' END"""
"""The stage of a graduate; a move into the own mobile branch is still under way (TYPE-05)."""
# `graduates` is filled in by those who use it: the members of a round, or everybody.
_STANDS = f"""
        SELECT g.member_id, g.cohort, g.counts,
            -- who has graduated in another system is a graduate of no region here (FED-15)
            CASE WHEN o.system = 'national' THEN o.path ELSE '' END AS origin_path,
            coalesce(d.path, '') AS target_path, t.transfer_id,
            CASE
                WHEN t.transfer_id IS NULL THEN CASE WHEN :unknown THEN 'XS' ELSE '' END
                WHEN t.reason = ANY(CAST(:excluded AS text[])) THEN ''
                ELSE {_RATE} END AS rate,
            {_STAGE} AS stage,
            coalesce(t.state NOT IN ('withdrawn', 'rejected'), false) AS requested
        FROM {{graduates}}
        JOIN org_directory o ON o.org_id = g.branch_id
        -- the latest transfer since the member became a graduate of this cohort, and before the next
        LEFT JOIN LATERAL (
            SELECT x.transfer_id, x.reason, x.state,
                coalesce(x.target_branch_id, x.target_org_id) AS target_id
            FROM transfers x
            WHERE x.member_id = g.member_id AND x.state NOT IN ('checking', 'refused')
                AND x.reason_kind IN ('graduate', 'abroad', 'any')
                AND x.created_at >= g.flagged_at
                AND x.created_at < coalesce((
                    SELECT min(n.flagged_at) FROM graduates n
                    WHERE n.member_id = g.member_id AND n.flagged_at > g.flagged_at), 'infinity')
            ORDER BY x.created_at DESC, x.transfer_id DESC LIMIT 1) AS t ON true
        LEFT JOIN org_directory d ON d.org_id = t.target_id"""
"""How graduates stand, each by the latest graduate's transfer of the cohort."""

# A path is the ids of an organisation and of all above it, so it says by itself to whom something counts.
_IDS = "unnest(string_to_array(rtrim(s.{}, '.'), '.')) AS part(org_id)"
_CONTRIBUTIONS = f"""
        SELECT part.org_id::bigint AS org_id, s.cohort, s.sign, true AS inside, s.rate, s.stage
        FROM {{signed}} s, {_IDS.format("origin_path")}
        UNION ALL
        SELECT part.org_id::bigint, s.cohort, s.sign, false, s.rate, s.stage
        FROM {{signed}} s, {_IDS.format("target_path")}
        WHERE s.requested AND s.rate <> ''
            AND position('.' || part.org_id || '.' IN '.' || s.origin_path) = 0"""
"""What each graduate adds to whom (STAT-13).

To all organisations above the branch of graduation, and to those above the target that are not.
"""

_SUMS = {
    "study": "inside AND rate = 'SX'",
    "study_in": "NOT inside AND rate = 'SX'",
    "studied": "rate = 'SX' AND stage = 'completed'",
    "society": "inside AND rate = 'XS'",
    "society_in": "NOT inside AND rate = 'XS'",
    "settled": "rate = 'XS' AND stage = 'completed'",
    "excluded": "inside AND rate = ''",
    **{stage: f"inside AND stage = '{stage}'" for stage in ("idle", "open", "ended", "completed")},
}
_SUMMED = ", ".join(f"coalesce(sum(sign) FILTER (WHERE {_SUMS[name]}), 0)::int AS {name}" for name in FIGURES)

_NAMES = ", ".join(FIGURES)
_ZEROS = ", ".join("0" for _ in FIGURES)
_INCREASED = ", ".join(f"f.{name} + excluded.{name}" for name in FIGURES)
_FLOW_EVENTS = ", ".join(f"'{event}'" for event in FLOW_EVENTS)

_STANDS_OF_WHO = _STANDS.format(graduates="who w JOIN graduates g ON g.member_id = w.member_id")
_SHOULD_FOLLOW = "EXISTS (SELECT 1 FROM webhooks WHERE active)"
_FOLD = sa.text(f"""
    -- the changes of this round; by ctid, since there is no order that they would have to be taken in
    WITH taken AS (
        DELETE FROM changes WHERE ctid = ANY(ARRAY(SELECT ctid FROM changes LIMIT :limit))
        RETURNING member_id, transfer_id, seq),
    -- what is to be sent to the webhooks of every organisation that the transfer concerns
    hooked AS (
        INSERT INTO deliveries (webhook_id, transfer_id, seq, next_at)
        SELECT DISTINCT w.webhook_id, k.transfer_id, k.seq, CAST(:now AS timestamptz)
        FROM taken k
        JOIN transfers t ON t.transfer_id = k.transfer_id
        JOIN webhooks w ON w.active AND w.created_at <= :now AND w.org_id IN (
            t.initiator_org_id, t.source_branch_id, t.source_superior_id,
            t.target_org_id, t.target_superior_id, t.target_branch_id)
        WHERE {_SHOULD_FOLLOW} AND t.state <> 'refused'
        ON CONFLICT DO NOTHING),
    -- the lines of the trails that the changes speak of, each once; of one that is missing nothing is known
    lines AS MATERIALIZED (
        SELECT k.transfer_id, k.seq, a.event, a.at, a.org_id, a.hash
        FROM (SELECT DISTINCT transfer_id, seq FROM taken WHERE transfer_id IS NOT NULL) k
        LEFT JOIN audit a ON a.transfer_id = k.transfer_id AND a.seq = k.seq),
    {SEALED},
    -- people's decisions by who made them: lists are many of one organisation at one instant, so they are
    -- summed before they are added to all above
    verdicts AS MATERIALIZED (
        SELECT a.org_id, a.at,
            CASE a.event
                WHEN 'approve' THEN 'approve'
                ELSE (SELECT t.end_code FROM transfers t WHERE t.transfer_id = a.transfer_id) END AS code,
            count(*) AS n, sum(extract(epoch FROM a.at - b.at)) AS seconds
        FROM lines a
        JOIN audit b ON b.transfer_id = a.transfer_id AND b.seq = a.seq - 1
        WHERE a.event IN ('approve', 'reject')
        GROUP BY 1, 2, 3),
    -- decisions of each subtree, by code, and how long they had waited since the line before
    decided AS (
        INSERT INTO decisions AS f (org_id, year, code, n, seconds)
        SELECT part.org_id::bigint, extract(year FROM v.at)::int, v.code, sum(v.n)::int,
            coalesce(sum(v.seconds), 0)::float
        FROM verdicts v
        JOIN org_directory s ON s.org_id = v.org_id, {_IDS.format("path")}
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (org_id, year, code) DO UPDATE
            SET n = f.n + excluded.n, seconds = f.seconds + excluded.seconds),
    -- rejections that the common superior did not uphold, counted where they were made
    overturned AS (
        INSERT INTO decisions AS f (org_id, year, code, n, seconds)
        SELECT part.org_id::bigint, extract(year FROM a.at)::int, '{OVERTURNED}', count(*)::int, 0
        FROM lines a
        JOIN escalations e ON e.transfer_id = a.transfer_id AND e.answer = 'receive'
        JOIN audit r ON r.transfer_id = a.transfer_id AND r.event = 'reject'
        JOIN org_directory s ON s.org_id = r.org_id, {_IDS.format("path")}
        WHERE a.event = 'answered'
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (org_id, year, code) DO UPDATE SET n = f.n + excluded.n),
    -- what happened to transfers out of each branch at each instant
    happened AS MATERIALIZED (
        SELECT t.source_branch_id, a.at, a.event, count(*) AS n
        FROM lines a
        JOIN transfers t ON t.transfer_id = a.transfer_id
        WHERE a.event IN ({_FLOW_EVENTS})
        GROUP BY 1, 2, 3),
    -- the weekly flow out of each subtree; weeks begin on Monday in China
    flowed AS (
        INSERT INTO flows AS f (org_id, week, event, n)
        SELECT part.org_id::bigint, date_trunc('week', h.at AT TIME ZONE 'Asia/Shanghai')::date,
            h.event, sum(h.n)::int
        FROM happened h
        JOIN org_directory s ON s.org_id = h.source_branch_id AND s.system = 'national', {_IDS.format("path")}
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (org_id, week, event) DO UPDATE SET n = f.n + excluded.n),
    -- the members of the changes, and how those who are graduates stand now
    who AS MATERIALIZED (SELECT DISTINCT member_id FROM taken),
    stands AS MATERIALIZED ({_STANDS_OF_WHO}),
    -- those who stand differently from how they were counted, with both
    differs AS MATERIALIZED (
        SELECT n.*, s.member_id IS NOT NULL AS stood, s.origin_path AS was_origin,
            s.target_path AS was_target, s.rate AS was_rate, s.stage AS was_stage,
            s.requested AS was_requested
        FROM stands n
        LEFT JOIN standings s ON s.member_id = n.member_id AND s.cohort = n.cohort
        WHERE n.counts <> (s.member_id IS NOT NULL)
            OR (n.counts AND (n.origin_path, n.target_path, n.rate, n.stage, n.requested, n.transfer_id)
                IS DISTINCT FROM
                (s.origin_path, s.target_path, s.rate, s.stage, s.requested, s.transfer_id))),
    -- how they stand is what the next round compares with
    stored AS (
        INSERT INTO standings (
            member_id, cohort, origin_path, target_path, rate, stage, requested, transfer_id)
        SELECT member_id, cohort, origin_path, target_path, rate, stage, requested, transfer_id
        FROM differs WHERE counts
        ON CONFLICT (member_id, cohort) DO UPDATE
            SET (origin_path, target_path, rate, stage, requested, transfer_id) = (
                excluded.origin_path, excluded.target_path, excluded.rate,
                excluded.stage, excluded.requested, excluded.transfer_id)),
    -- those who count no more
    gone AS (
        DELETE FROM standings s USING differs d
        WHERE NOT d.counts AND s.member_id = d.member_id AND s.cohort = d.cohort),
    -- the difference: what is now, less what was
    signed AS (
        SELECT cohort, 1 AS sign, origin_path, target_path, rate, stage, requested
        FROM differs WHERE counts
        UNION ALL
        SELECT cohort, -1, was_origin, was_target, was_rate, was_stage, was_requested
        FROM differs WHERE stood),
    -- its sum for each organisation above
    summed AS (
        SELECT org_id, cohort,
            {_SUMMED}
        FROM ({_CONTRIBUTIONS.format(signed="signed")}) AS added
        GROUP BY org_id, cohort ORDER BY org_id, cohort),
    -- the figures; where everything cancels out, no row is touched
    added AS (
        INSERT INTO figures AS f (org_id, cohort, {_NAMES})
        SELECT org_id, cohort, {_NAMES} FROM summed
        WHERE ({_NAMES}) IS DISTINCT FROM ({_ZEROS})
        ON CONFLICT (org_id, cohort) DO UPDATE SET ({_NAMES}) = ({_INCREASED}))
    SELECT (SELECT count(*) FROM taken) AS taken, (SELECT count(*) FROM differs) AS changed, segment.*
    FROM (SELECT 1) AS one LEFT JOIN segment ON true""")
_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtext('figures'))")
_WAIT = sa.text("SELECT pg_advisory_xact_lock(hashtext('figures'))")
_ANY = sa.text("SELECT EXISTS (SELECT 1 FROM changes)")


def _settings(policy: Policy) -> dict[str, list[str] | bool]:
    return {"excluded": list(policy.excluded_reasons), "unknown": policy.unknown_counts}


def waits(tx: Connection) -> bool:
    """Return whether there are changes to follow."""
    return bool(db.prepared(tx, _ANY).scalar())


def fold(tx: Connection, policy: Policy, now: datetime, limit: int = FOLD_LIMIT, wait: bool = False) -> int:
    """Follow up to `limit` changes; return how many were taken.

    Standings and figures are brought up to date, what webhooks are to be sent is queued, and the lines of
    the trails are sealed. One follower at a time: where another is at work this returns 0, or waits for it.
    """
    if wait:
        tx.execute(_WAIT)
    elif not db.prepared(tx, _LOCK).scalar():
        return 0
    # Planned anew each time: after a quiet night its tables hold next to nothing, and a plan of then would
    # be kept for the minute in which hundreds of thousands of changes come.
    done = tx.execute(_FOLD, {"limit": limit, "now": now, **_settings(policy)}).one()
    seal(tx, done)
    return int(done.taken)


_GRADUATES = sa.text("""
    WITH given AS (
        SELECT DISTINCT ON (member_id, cohort) *
        FROM json_to_recordset(CAST(:items AS json)) AS i(
            member_id bigint, cohort int, branch_id bigint, counts boolean, at timestamptz, version bigint)
        ORDER BY member_id, cohort, version DESC),
    saved AS (
        INSERT INTO graduates AS g (member_id, cohort, branch_id, flagged_at, counts, version)
        SELECT member_id, cohort, branch_id, at, counts, version FROM given
        ORDER BY member_id, cohort
        ON CONFLICT (member_id, cohort) DO UPDATE
            SET (branch_id, counts, version) = (excluded.branch_id, excluded.counts, excluded.version)
            WHERE excluded.version > g.version
        RETURNING member_id)
    INSERT INTO changes (member_id) SELECT member_id FROM saved""")
_ORIGINS_MOVED = sa.text("""
    INSERT INTO changes (member_id)
    SELECT g.member_id
    FROM org_directory top
    JOIN org_directory d ON d.path >= top.path AND d.path < rtrim(top.path, '.') || '/'
    JOIN graduates g ON g.branch_id = d.org_id
    WHERE top.org_id = :org""")
_ORIGINS_NEW = sa.text("""
    INSERT INTO changes (member_id)
    SELECT member_id FROM graduates WHERE branch_id = ANY(CAST(:ids AS bigint[]))""")
# The root has figures of every cohort; with a cohort in the condition the index on target paths serves.
_TARGETS_MOVED = sa.text("""
    INSERT INTO changes (member_id)
    SELECT s.member_id FROM standings s
    WHERE s.cohort = ANY(SELECT DISTINCT cohort FROM figures WHERE org_id = :root)
        AND s.requested AND s.target_path >= :path AND s.target_path < :path_end""")
_EVERYBODY = sa.text("INSERT INTO changes (member_id) SELECT DISTINCT member_id FROM graduates")


def set_graduates(tx: Connection, items: Sequence[Any]) -> None:
    """Keep who counts as a graduate of which branch in which cohort; the highest version holds."""
    db.run(tx, _GRADUATES, items)


def follow_orgs(tx: Connection, moved: Sequence[tuple[int, str]], new: Sequence[int]) -> None:
    """Have those counted again whose branch or destination has moved, or was not known before (MIG-09).

    Each of `moved` comes with its old path, by which the destinations below it are found.
    """
    for org_id, old_path in moved:
        tx.execute(_ORIGINS_MOVED, {"org": org_id})
        root = int(old_path.split(".")[0])
        tx.execute(_TARGETS_MOVED, {"path": old_path, "path_end": old_path[:-1] + "/", "root": root})
    if new:
        tx.execute(_ORIGINS_NEW, {"ids": list(new)})
    if moved:
        sums.alone(tx, wait=True)  # last, since a follower may be at work
        sums.follow_orgs(tx, moved)
        totals.follow_orgs(tx, moved)


def recount(tx: Connection) -> None:
    """Have every graduate looked at again, as after a change of the reasons that are excluded.

    What is kept of open nodes and of transfers is put right at once.
    """
    tx.execute(_EVERYBODY)
    sums.alone(tx, wait=True)
    sums.mend(tx)
    totals.mend(tx)


# ---- reading -------------------------------------------------------------------------------------

_COLUMNS = ", ".join(f"coalesce(f.{name}, 0) AS {name}" for name in FIGURES)
_OF_ORG = sa.text(f"""
    SELECT o.org_id, o.name, o.kind, {_COLUMNS}
    FROM org_directory o LEFT JOIN figures f ON f.org_id = o.org_id AND f.cohort = :cohort
    WHERE o.org_id = :org""")
_OF_CHILDREN = sa.text(f"""
    SELECT o.org_id, o.name, o.kind, {_COLUMNS}
    FROM org_directory o LEFT JOIN figures f ON f.org_id = o.org_id AND f.cohort = :cohort
    WHERE o.parent_id = :org AND NOT o.deleted AND (f.org_id IS NOT NULL OR o.kind <> 'branch')
    ORDER BY f.org_id IS NULL, o.org_id LIMIT 500""")
# One half for each index of `standings`, on origin and on target; a half that is not asked for reads nothing.
_PEOPLE = sa.text("""
    SELECT s.*, t.state, t.reason, t.source_branch_id, t.target_org_id, g.branch_id
    FROM (
        (SELECT * FROM standings
            WHERE :inside AND cohort = :cohort
                AND origin_path >= :path AND origin_path < :path_end AND member_id > :after
                AND (:stage = '' OR stage = :stage) AND (:rate = '*' OR rate = :rate)
            ORDER BY member_id LIMIT :limit)
        UNION ALL
        (SELECT * FROM standings
            WHERE :outside AND cohort = :cohort AND requested
                AND target_path >= :path AND target_path < :path_end AND member_id > :after
                AND NOT (origin_path >= :path AND origin_path < :path_end) AND rate <> ''
                AND (:stage = '' OR stage = :stage) AND (:rate = '*' OR rate = :rate)
            ORDER BY member_id LIMIT :limit)) AS s
    JOIN graduates g ON g.member_id = s.member_id AND g.cohort = s.cohort
    LEFT JOIN transfers t ON t.transfer_id = s.transfer_id
    ORDER BY s.member_id LIMIT :limit""")
_FLOW = sa.text("SELECT week, event, n FROM flows WHERE org_id = :org AND week >= :since ORDER BY week")
_COHORTS = sa.text("SELECT cohort FROM figures WHERE org_id = :org ORDER BY cohort DESC")


def of_org(tx: Connection, org_id: int, cohort: int) -> Counted:
    """Return the figures of an organisation's subtree."""
    return Counted._make(tx.execute(_OF_ORG, {"org": org_id, "cohort": cohort}).one())


def of_children(tx: Connection, org_id: int, cohort: int) -> list[Counted]:
    """Return the figures of the direct subordinates, those that have any first.

    Branches without figures are left out.
    """
    return db.rows(Counted, tx.execute(_OF_CHILDREN, {"org": org_id, "cohort": cohort}))


class Flow(NamedTuple):
    """How often something happened in a week."""

    week: date
    event: str
    n: int


def flow(tx: Connection, org_id: int, since: date) -> list[Flow]:
    """Return what happened each week to transfers out of a subtree, by event."""
    return db.rows(Flow, tx.execute(_FLOW, {"org": org_id, "since": since}))


def cohorts(tx: Connection, org_id: int) -> list[int]:
    """Return the years that an organisation has figures of, newest first."""
    return list(tx.execute(_COHORTS, {"org": org_id}).scalars())


WHO: dict[str, tuple[bool, bool, str, str]] = {
    # figure: of the own graduates, of others who asked to come, rate, stage
    "study": (True, False, "SX", ""),
    "study_in": (False, True, "SX", ""),
    "studied": (True, True, "SX", "completed"),
    "society": (True, False, "XS", ""),
    "society_in": (False, True, "XS", ""),
    "settled": (True, True, "XS", "completed"),
    "excluded": (True, False, "", ""),
    "idle": (True, False, "*", "idle"),
    "open": (True, False, "*", "open"),
    "ended": (True, False, "*", "ended"),
    "completed": (True, False, "*", "completed"),
}


class Graduate(NamedTuple):
    """A graduate with how they stand, and the transfer that says so, if there is one."""

    member_id: int
    branch_id: int
    stage: str
    rate: str
    transfer_id: int | None
    state: str | None
    reason: str | None
    target_org_id: int | None


def people(tx: Connection, path: str, cohort: int, figure: str, after: int, limit: int) -> list[Graduate]:
    """Return the graduates behind one figure of a subtree, in order of their ids (BEY-11)."""
    inside, outside, rate, stage = WHO[figure]
    who = {"inside": inside, "outside": outside, "rate": rate, "stage": stage, "cohort": cohort}
    where = {"path": path, "path_end": path[:-1] + "/", "after": after, "limit": limit}
    return db.rows(Graduate, tx.execute(_PEOPLE, {**who, **where}))


# ---- the proof -----------------------------------------------------------------------------------

# Sessions are kept from joins over whole tables (`shared.db.SESSION`); here they are just what is wanted.
_JOINS = sa.text("""
    SELECT set_config('enable_hashjoin', 'on', true), set_config('enable_seqscan', 'on', true),
        set_config('statement_timeout', '0', true)""")
_COUNTED = ", ".join(f"coalesce(c.{name}, 0)" for name in FIGURES)
_KEPT = ", ".join(f"coalesce(f.{name}, 0)" for name in FIGURES)
_BOTH = ", ".join(
    f"coalesce(c.{name}, 0) AS {name}, coalesce(f.{name}, 0) AS kept_{name}" for name in FIGURES
)
_VERIFY = sa.text(f"""
    WITH stands AS MATERIALIZED (
        SELECT 1 AS sign, n.* FROM ({_STANDS.format(graduates="graduates g")}) AS n
        WHERE n.counts),
    counted AS (
        SELECT org_id, cohort, {_SUMMED}
        FROM ({_CONTRIBUTIONS.format(signed="stands")}) AS added
        GROUP BY org_id, cohort)
    SELECT coalesce(c.org_id, f.org_id) AS org_id, coalesce(c.cohort, f.cohort) AS cohort,
        {_BOTH}
    FROM counted c FULL JOIN figures f ON f.org_id = c.org_id AND f.cohort = c.cohort
    WHERE ({_COUNTED}) IS DISTINCT FROM ({_KEPT})
    ORDER BY 1, 2 LIMIT 100""")
_SIZE = sa.text(
    "SELECT (SELECT count(*) FROM graduates) AS graduates, (SELECT count(*) FROM figures) AS figures"
)


def verify(tx: Connection, policy: Policy, now: datetime) -> tuple[int, int, list[str]]:
    """Count everything again from graduates, transfers and open nodes.

    Returns how many graduates and rows of figures there are, and what differs. What waits in `changes` is
    followed first, in the caller's transaction, so nothing can come between.
    """
    while fold(tx, policy, now, wait=True):
        pass
    tx.execute(_JOINS)
    differ = []
    for row in tx.execute(_VERIFY, _settings(policy)).mappings():
        for name in FIGURES:
            kept, counted = row[f"kept_{name}"], row[name]
            if counted != kept:
                where = f"organisation {row['org_id']}, cohort {row['cohort']}"
                differ.append(f"{where}: {name} is {kept}, counted {counted}")
    size = tx.execute(_SIZE).one()
    return size.graduates, size.figures, differ + sums.differences(tx) + totals.differences(tx)
