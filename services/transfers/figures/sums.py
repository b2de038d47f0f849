"""The SQL that keeps how many open nodes there are, so that nobody counts them (ADR 26).

Each statement that opens, closes or changes nodes leaves lines in `open_counts`, in its own transaction. The
follower of the figures takes them away and adds them to the sums of the organisation itself (`open_own`) and
of all above it (`open_below`). What the clock alone changes, it looks up: the nodes whose deadline has passed
since it looked last (`followed`). So sums and lines and what has passed since are what waits, in every
snapshot, and no transition waits for a counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.figures.rules import MEASURES
from services.transfers.store import PROVINCES
from shared import db

_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtext('sums'))")
_WAIT = sa.text("SELECT pg_advisory_xact_lock(hashtext('sums'))")

# ---- the parts of every statement ----------------------------------------------------------------

_AT = "SELECT coalesce(max(until), '-infinity') AS at FROM followed WHERE what = 'open_below'"
CLOCK = f"""clock AS MATERIALIZED (
        SELECT f.at, GREATEST(f.at, CAST(:now AS timestamptz)) AS now FROM ({_AT}) AS f)"""
"""By which instant the sums are counted, and by which they are to be."""
_LATE = "coalesce(o.expires_at, o.opened_at + interval '10 days')"
"""When a node is late; an assignment has no deadline, so it is counted by its age (ASG-06)."""


def _measures(at: str, n: str = "1") -> dict[str, str]:
    """Return what a node `o` adds to each measure but its waiting, by the clock `at`."""
    conditions = {
        "due_soon": f"o.expires_at > {at} AND o.expires_at <= {at} + interval '3 days'",
        "overdue": f"o.state <> 'pending_assign' AND {_LATE} <= {at}",
        "assigning": f"o.state = 'pending_assign' AND o.opened_at <= {at} - interval '10 days'",
    }
    return {name: f"CASE WHEN {one} THEN {n} ELSE 0 END" for name, one in conditions.items()}


def _lined(lines: str) -> str:
    """Return the select of what lines `o` add, by the clock of the sums."""
    measures = ", ".join(f"{one} AS {name}" for name, one in _measures("c.at", "o.n").items())
    return f"SELECT o.org_id, 1 AS lines, o.n AS waiting, {measures} FROM {lines}, clock c"


PATH = """CROSS JOIN LATERAL (
        SELECT path FROM org_directory d WHERE d.org_id = {}.org_id OFFSET 0) AS s"""
"""The path `s.path` of an organisation, looked up for each; nothing of one that is not known here."""
_KNOWN = f"(SELECT * FROM open_counts WHERE org_id IS NOT NULL) AS o {PATH.format('o')}"
_DIFFERENCE = ", ".join(
    f"({new}) - ({old})"
    for new, old in zip(_measures("c.now").values(), _measures("c.at").values(), strict=True)
)
# The order asks for the index that has it: to old statistics every index of the table looks the same.
_BETWEEN = """(SELECT * FROM open_nodes x
            WHERE x.province = p.province AND x.{column} > c.at + interval '{days} days'
                AND x.{column} <= c.now + interval '{days} days'
            ORDER BY x.{column})"""
# Each node once, however many of its instants have passed.
_PASSED = f"""SELECT o.org_id, 0, 0, {_DIFFERENCE}
        FROM clock c
        CROSS JOIN ({PROVINCES}) AS p
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (transfer_id, node_no) * FROM (
                {_BETWEEN.format(column="expires_at", days=0)}
                UNION ALL {_BETWEEN.format(column="expires_at", days=3)}
                UNION ALL {_BETWEEN.format(column="opened_at", days=-10)}) AS passed) AS o"""
"""What deadlines that have passed since the sums were made add to them; an index leads to the nodes."""

FRESH = f"{_lined(_KNOWN)} UNION ALL {_PASSED}"
"""What is not in the sums yet: by organisation, `lines` (whether a line says so) and each measure.

What waits for one that is not known here counts from when it is: its lines wait, and so far it has no path.
"""

_NAMES = ", ".join(MEASURES)
SUMS = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
_ZEROS = ", ".join("0" for _ in MEASURES)
ABOVE = "unnest(string_to_array(rtrim({}, '.'), '.')) WITH ORDINALITY AS part(org_id, depth)"
_ADD = f"""INSERT INTO open_below AS b (org_id, {_NAMES})
        SELECT org_id, {_NAMES} FROM {{}}
        WHERE ({_NAMES}) IS DISTINCT FROM ({_ZEROS})
        ORDER BY org_id
        ON CONFLICT (org_id) DO UPDATE SET ({_NAMES}) = ({
    ", ".join(f"b.{name} + excluded.{name}" for name in MEASURES)
})"""
_ADD_OWN = """INSERT INTO open_own AS w (org_id, superior_id, state, n, reminded)
        SELECT org_id, superior_id, state, n, reminded FROM {}
        ORDER BY org_id, superior_id, state
        ON CONFLICT (org_id, superior_id, state) DO UPDATE
            SET (n, reminded) = (w.n + excluded.n, w.reminded + excluded.reminded)"""
_OWN = """SELECT org_id, coalesce(superior_id, 0) AS superior_id, state, sum(n) AS n,
            coalesce(sum(n) FILTER (WHERE reminded), 0) AS reminded
        FROM {} GROUP BY 1, 2, 3"""

# ---- following -----------------------------------------------------------------------------------

_ANY = sa.text(f"""
    WITH clock AS ({_AT})
    SELECT at < CAST(:now AS timestamptz) - interval '10 seconds' OR EXISTS (SELECT 1 FROM {_KNOWN})
    FROM clock""")
_FOLLOW = sa.text(f"""
    WITH {CLOCK},
    -- the lines of this round; those of an organisation that is not known yet wait
    taken AS (
        DELETE FROM open_counts o
        WHERE org_id IS NOT NULL
            AND coalesce((SELECT true FROM org_directory d WHERE d.org_id = o.org_id), false)
        RETURNING *),
    -- the sums by province and kind
    summed AS (
        INSERT INTO open_counts (province, state, n)
        SELECT province, state, sum(n) FROM taken GROUP BY province, state),
    -- the sums of the organisations themselves
    own AS ({_OWN.format("taken")}),
    own_added AS ({_ADD_OWN.format("own")}),
    -- what is new, by organisation, and then for each above it
    fresh AS MATERIALIZED (
        SELECT org_id, max(lines) AS lines, {SUMS}
        FROM ({_lined("taken o")} UNION ALL {_PASSED}) AS one GROUP BY org_id),
    above AS MATERIALIZED (
        SELECT part.org_id::bigint AS org_id, max(part.depth) AS depth, max(f.lines) AS lines,
            {", ".join(f"sum(f.{name}) AS {name}" for name in MEASURES)}
        FROM fresh f {PATH.format("f")}, {ABOVE.format("s.path")}
        GROUP BY 1),
    added AS ({_ADD.format("above")}),
    looked AS (
        INSERT INTO followed (what, until) SELECT 'open_below', now FROM clock
        ON CONFLICT (what) DO UPDATE SET until = excluded.until)
    SELECT depth, array_agg(org_id) AS org_ids FROM above WHERE lines > 0
    GROUP BY depth ORDER BY depth DESC""")
# From the bottom up: the first of its own nodes, or of what its subordinates have.
_OLDEST = sa.text("""
    UPDATE open_below b SET oldest = n.oldest
    FROM (
        SELECT o.org_id, LEAST(
            (SELECT x.opened_at FROM open_nodes x WHERE x.org_id = o.org_id ORDER BY x.opened_at LIMIT 1),
            (SELECT min(c.oldest) FROM org_directory d JOIN open_below c ON c.org_id = d.org_id
                WHERE d.parent_id = o.org_id)) AS oldest
        FROM unnest(CAST(:ids AS bigint[])) AS o(org_id)) AS n
    WHERE b.org_id = n.org_id AND b.oldest IS DISTINCT FROM n.oldest""")


def alone(tx: Connection, wait: bool = False) -> bool:
    """Return whether this transaction may change sums: one at a time does. It may wait for the one before.

    Not the lock of the figures: `store.verify` holds that one for as long as it counts.
    """
    if wait:
        tx.execute(_WAIT)
        return True
    return bool(db.prepared(tx, _LOCK).scalar())


def waits(tx: Connection, now: datetime) -> bool:
    """Return whether nodes have come or gone, or the clock, since the sums were made."""
    return bool(db.prepared(tx, _ANY, now=now).scalar())


def follow(tx: Connection, now: datetime) -> None:
    """Add to the sums what is not in them; whoever calls this is `alone`."""
    for depth in db.prepared(tx, _FOLLOW, now=now).all():
        db.prepared(tx, _OLDEST, ids=depth.org_ids)


# ---- the tree ------------------------------------------------------------------------------------

_MOVE = sa.text(f"""
    WITH changed AS (
        SELECT part.org_id::bigint AS org_id, {", ".join(f":sign * b.{name} AS {name}" for name in MEASURES)}
        FROM open_below b, {ABOVE.format("CAST(:above AS text)")}
        WHERE b.org_id = :org AND part.org_id <> '')
    {_ADD.format("changed")}""")
_PATHS = sa.text("SELECT org_id, path FROM org_directory WHERE org_id = ANY(CAST(:ids AS bigint[]))")


def moves(tx: Connection, moved: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """Return in order what leaves those above it (`sign` -1) and what comes to those `above` it (1).

    Each of `moved` comes with its old path; the new ones are known already. What lies deeper leaves before
    that in which it lies, and comes after it.
    """
    now = {row.org_id: row.path for row in tx.execute(_PATHS, {"ids": [org_id for org_id, _ in moved]})}
    left = sorted(moved, key=lambda one: -len(one[1]))
    came = sorted(now.items(), key=lambda one: len(one[1]))
    return [
        {"org": org_id, "sign": sign, "above": path[: path.rstrip(".").rfind(".") + 1]}
        for sign, places in ((-1, left), (1, came))
        for org_id, path in places
    ]


def follow_orgs(tx: Connection, moved: Sequence[tuple[int, str]]) -> None:
    """Take the sums of organisations that have moved from those that were above them to those that are.

    Whoever calls this is `alone`.
    """
    steps = moves(tx, moved)
    for step in steps:
        tx.execute(_MOVE, step)
    _look_for_oldest(tx, [step["above"] for step in steps])


def _look_for_oldest(tx: Connection, paths: Iterable[str]) -> None:
    """Find out anew since when the oldest node is open in each subtree that begins on some paths."""
    depths: dict[int, set[int]] = {}
    for path in paths:
        for depth, org_id in enumerate(filter(None, path.split("."))):
            depths.setdefault(depth, set()).add(int(org_id))
    for _, ids in sorted(depths.items(), reverse=True):
        db.prepared(tx, _OLDEST, ids=sorted(ids))


# ---- the proof -----------------------------------------------------------------------------------

# What is counted less what is kept; everything in one snapshot, so it holds whatever happens meanwhile.
_OWN_DIFFERS = f"""
    own_differs AS MATERIALIZED (
        SELECT org_id, superior_id, state, sum(n) AS n, sum(reminded) AS reminded
        FROM (
            {_OWN.format("(SELECT *, 1 AS n, reminders > 0 AS reminded FROM open_nodes) AS counted")}
            UNION ALL
            SELECT org_id, superior_id, state, -n, -reminded FROM (
                {_OWN.format("open_counts WHERE org_id IS NOT NULL")}) AS lines
            UNION ALL
            SELECT org_id, superior_id, state, -n, -reminded FROM open_own) AS one
        GROUP BY org_id, superior_id, state HAVING sum(n) <> 0 OR sum(reminded) <> 0)"""
_BELOW_DIFFERS = f"""
    counted AS MATERIALIZED (
        SELECT o.org_id, count(*) AS waiting,
            {", ".join(f"sum({one}) AS {name}" for name, one in _measures("c.at").items())}
        FROM open_nodes o, clock c GROUP BY o.org_id
        UNION ALL
        SELECT org_id, {", ".join(f"-{name}" for name in MEASURES)} FROM ({_lined(_KNOWN)}) AS lines),
    below_differs AS MATERIALIZED (
        SELECT org_id, {SUMS}
        FROM (
            SELECT part.org_id::bigint AS org_id, {", ".join(f"k.{name}" for name in MEASURES)}
            FROM counted k {PATH.format("k")}, {ABOVE.format("s.path")}
            UNION ALL
            SELECT org_id, {", ".join(f"-{name}" for name in MEASURES)} FROM open_below) AS one
        GROUP BY org_id HAVING {" OR ".join(f"sum({name}) <> 0" for name in MEASURES)})"""
_ALL_PATHS = sa.text("""
    SELECT d.path FROM open_below b JOIN org_directory d ON d.org_id = b.org_id""")
_DIFFERS = f"WITH clock AS MATERIALIZED ({_AT}),{_OWN_DIFFERS},{_BELOW_DIFFERS}"
_VERIFY = sa.text(f"""
    {_DIFFERS}
    SELECT 'organisation ' || org_id || ', ' || state || ': ' || kept FROM (
        SELECT d.org_id, d.state, CASE WHEN d.n <> 0 THEN d.n || ' more are open than kept'
            ELSE d.reminded || ' more were reminded of than kept' END AS kept
        FROM own_differs d ORDER BY d.org_id, d.state LIMIT 100) AS own
    UNION ALL
    SELECT 'below organisation ' || org_id || ': '
        || concat_ws(', ', {
    ", ".join(f"CASE WHEN {name} <> 0 THEN {name} || ' more {name} than kept' END" for name in MEASURES)
})
    FROM (SELECT * FROM below_differs ORDER BY org_id LIMIT 100) AS below""")
_MEND = sa.text(f"""
    {_DIFFERS},
    own_added AS ({_ADD_OWN.format("own_differs")})
    {_ADD.format("below_differs")}""")
"""Add to the sums what they lack; in an empty table, all that is open."""


def differences(tx: Connection) -> list[str]:
    """Count every open node and say what is kept otherwise, in words; it changes nothing."""
    return list(tx.scalars(_VERIFY))


def mend(tx: Connection) -> None:
    """Count every open node, and put right what is kept otherwise; whoever calls this is `alone`."""
    tx.execute(_MEND)
    _look_for_oldest(tx, tx.scalars(_ALL_PATHS))
