"""The SQL of searching organisations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import domain, spoken, store
from services.orgs.search.rules import Anchor, Led, Named
from shared import db
from shared.messages.words import System

RARE = 1_000
"""A bigram in fewer names than this is rare, so that all its hits can be ordered."""

BUDGET = 1_000
"""Organisations that are looked at where a text is too common to order all of its hits."""

PIECES = 4
"""Bigrams that the index is asked for, the rarest ones; the text itself is compared afterwards."""

HITS = 100
"""Organisations of one place that are compared with a text."""

LOOKED_AT = 3_000
"""Organisations two levels below one that are looked at: the classes of a large university."""

SOME = 300
"""Hits of the index that are looked at where nothing near has a common text."""

COUNT_AGAIN_SECONDS = 300.0
"""How long the counts of bigrams are trusted."""

NO_TARGETS = ("graduate", "awaiting", "vault")
"""Purposes of organisations that receive nobody (TRF-15)."""

_TARGETS = (
    "(NOT :targets_only OR (kind <> 'leading_body' AND purpose NOT IN ('graduate', 'awaiting', 'vault')))"
)

_KEPT_BY = "/* kept by */"
"""The place in a statement for which system is searched; `_of` puts it there."""

# `|| ''` keeps the planner from the index of paths: the index of the text is the narrower one.
_SUBTREE = "path || '' >= :path AND path || '' < :path_end"

# How many superiors are shared with the searcher, whose own way down is nested; eight levels are enough.
_NEARNESS = (
    "CASE " + " ".join(f"WHEN starts_with(path, :near{n}) THEN {n}" for n in range(8, 0, -1)) + " ELSE 0 END"
)

_HITS = f"""
    WITH hits AS MATERIALIZED (SELECT org_id, path, plain, also FROM orgs
        WHERE NOT deleted
            AND bigrams @> CAST(:pieces AS text[])
            AND (strpos(plain, :text) > 0 OR strpos(also, :text) > 0)
            AND {_SUBTREE}
            AND {_TARGETS} {_KEPT_BY} {{which}}
        LIMIT :most)
    SELECT org_id FROM hits ORDER BY
        -- an exact name, then a beginning
        plain <> :text AND plain <> :full AND :text <> ALL(string_to_array(also, chr(10))),
        NOT (starts_with(plain, :text) OR starts_with(plain, :full)),
        -- the more superiors shared with the searcher, the nearer
        {_NEARNESS} DESC,
        length(plain), plain, org_id
    LIMIT :limit"""

_SEARCH = _HITS.format(which="")
# What may have others below it is one in fifteen, and has an index of its own.
_COMMITTEES = _HITS.format(which="AND kind <> 'branch'")

_BEGINNING = f"""
    -- two ranges of the index of names, each in its order
    (SELECT org_id FROM orgs
        WHERE plain >= :full AND plain < :full_end AND NOT deleted AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
        ORDER BY plain, org_id LIMIT :limit)
    UNION ALL
    (SELECT org_id FROM orgs
        WHERE plain >= :text AND plain < :text_end AND NOT deleted AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
        ORDER BY plain, org_id LIMIT :limit)"""

_WITHIN = f"""
    SELECT org_id
    -- here the index of paths is meant, the inner limit bounds the walk along it
    FROM (SELECT org_id, path, plain, also, kind, purpose, deleted FROM orgs
        WHERE path >= :path AND path < :path_end {_KEPT_BY}
        ORDER BY path LIMIT :budget) AS near_by
    WHERE NOT deleted AND (strpos(plain, :text) > 0 OR strpos(also, :text) > 0) AND {_TARGETS}
    ORDER BY length(plain), plain LIMIT :limit"""

_CODED = f"""
    SELECT org_id FROM (
        (SELECT org_id, path FROM orgs
            WHERE division_code = :text AND NOT deleted AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
            ORDER BY path LIMIT :limit)
        UNION ALL SELECT org_id, path FROM orgs
            WHERE school_number = :text AND school_number <> ''
                AND NOT deleted AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
        UNION ALL SELECT org_id, path FROM orgs
            WHERE org_id = CAST(:number AS bigint) AND NOT deleted AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY})
        AS coded
    ORDER BY org_id IS DISTINCT FROM CAST(:number AS bigint), length(path), path LIMIT :limit"""

_SHOWN = "org_id, path, kind, plain, spoken"

# Exact names and forms; the more superiors shared with the searcher, the nearer.
_NAMED = f"""
    WITH named AS MATERIALIZED (
        (SELECT {_SHOWN}, true AS exact FROM orgs
            WHERE plain = ANY(CAST(:names AS text[])) AND NOT deleted AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
            LIMIT {RARE})
        UNION ALL
        (SELECT {_SHOWN}, false FROM orgs
            WHERE spoken <> '{{}}' AND spoken && CAST(:stems AS text[])
                AND NOT deleted AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
            LIMIT {RARE}))
    SELECT org_id FROM named ORDER BY
        NOT exact,
        {_NEARNESS} DESC,
        :kind <> '' AND (:kind = 'branch') <> (kind = 'branch'),
        length(path) - length(replace(path, '.', '')), length(plain), plain, org_id
    LIMIT :limit"""

_ANCHORS = f"""
    SELECT {_SHOWN} FROM orgs
    WHERE spoken <> '{{}}' AND spoken && CAST(:names AS text[]) AND NOT deleted {_KEPT_BY}
        AND (:anywhere OR EXISTS (SELECT FROM unnest(CAST(:within AS text[])) AS above
            WHERE starts_with(path, above)))
    LIMIT {BUDGET}"""

_BY_PATH_IDS = sa.text(f"""
    SELECT {_SHOWN} FROM orgs
    WHERE org_id = ANY(CAST(:ids AS bigint[])) AND NOT deleted AND kind <> 'branch'""")

# One level, or two, below each anchor; the inner limits bound what is looked at.
_CHILDREN = f"""
    SELECT a.anchor, found.* FROM unnest(CAST(:ids AS bigint[]), CAST(:patterns AS text[]))
        WITH ORDINALITY AS a(id, pattern, anchor),
    LATERAL (SELECT {_SHOWN} FROM orgs
        WHERE parent_id = a.id AND NOT deleted AND plain LIKE a.pattern
            AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
        LIMIT {HITS}) AS found"""
_GRANDCHILDREN = f"""
    SELECT a.anchor, found.* FROM unnest(CAST(:ids AS bigint[]), CAST(:patterns AS text[]))
        WITH ORDINALITY AS a(id, pattern, anchor),
    LATERAL (SELECT {_SHOWN} FROM (
        SELECT o.* FROM orgs p JOIN orgs o ON o.parent_id = p.org_id
        WHERE p.parent_id = a.id AND p.kind <> 'branch' AND NOT p.deleted
        LIMIT {LOOKED_AT}) AS near_by
        WHERE NOT deleted AND plain LIKE a.pattern AND {_SUBTREE} AND {_TARGETS} {_KEPT_BY}
        LIMIT {HITS}) AS found"""

# What leads a place, below the centre and below each place that the code names.
_PLACES = sa.text("""
    SELECT o.org_id, o.parent_id, o.division_code AS code, o.short_name FROM orgs o
    WHERE o.parent_id = ANY(ARRAY(
            SELECT org_id FROM orgs WHERE division_code = ANY(CAST(:codes AS text[]))
                AND (kind = 'leading_body' OR purpose = 'township') AND NOT deleted
            UNION ALL SELECT org_id FROM orgs WHERE org_id = :root))
        AND (o.kind = 'leading_body' OR o.purpose = 'township')
        AND o.division_code IS NOT NULL AND NOT o.deleted
    ORDER BY o.display_order, o.org_id""")

_SYSTEMS = sa.text("""
    SELECT path FROM orgs
    WHERE org_id = provincial_id AND province >= :first AND NOT deleted
    ORDER BY org_id""")

# The planner's statistics say how common each bigram is, so nothing is counted here.
_COMMON = sa.text("""
    SELECT piece, CAST(share * reltuples AS int) AS n, reltuples AS total
    FROM pg_stats, pg_class,
        unnest(CAST(CAST(most_common_elems AS text) AS text[]), most_common_elem_freqs)
            AS elements (piece, share)
    WHERE tablename = 'orgs' AND attname = 'bigrams' AND schemaname = current_schema()
        AND pg_class.oid = 'orgs'::regclass
        AND piece IS NOT NULL""")

_SHARES = sa.text("""
    SELECT word, share FROM pg_stats,
        unnest(CAST(CAST(most_common_vals AS text) AS text[]), most_common_freqs) AS words (word, share)
    WHERE tablename = 'orgs' AND attname = 'system' AND schemaname = current_schema()""")

_common: dict[str, tuple[float, dict[str, int], float]] = {}
_shares: dict[str, tuple[float, dict[str, float]]] = {}


class Where(NamedTuple):
    """What a search is limited to: what may receive members, how many, a subtree's path, a system."""

    targets_only: bool
    limit: int
    below: str
    system: str = ""


@cache
def _of(template: str, system: str) -> sa.TextClause:
    """Return a statement that finds only what a system keeps and has; an empty one stands for all of them.

    The system is written into it, so that the planner takes the index of the peers' trees.
    """
    kept_by = f"AND NOT gone AND system = '{System(system)}'" if System.known(system) else "AND NOT gone"
    return sa.text(template.replace(_KEPT_BY, kept_by))


def _frequent(tx: Connection) -> tuple[dict[str, int], float]:
    """Return how many names have each of the common bigrams, and how many names there are.

    That is as PostgreSQL last counted; it is looked up once in `COUNT_AGAIN_SECONDS`.
    """
    database = str(tx.engine.url)
    if database not in _common or time.monotonic() - _common[database][0] > COUNT_AGAIN_SECONDS:
        rows = tx.execute(_COMMON).all()
        _common[database] = (
            time.monotonic(),
            {row.piece: row.n for row in rows},
            max((row.total for row in rows), default=0.0),
        )
    return _common[database][1:]


def _share(tx: Connection, system: str) -> float:
    """Return which part of all organisations a system keeps, as PostgreSQL last counted."""
    database = str(tx.engine.url)
    if database not in _shares or time.monotonic() - _shares[database][0] > COUNT_AGAIN_SECONDS:
        _shares[database] = time.monotonic(), {row.word: row.share for row in tx.execute(_SHARES)}
    return _shares[database][1].get(system, 1.0)


def named(
    tx: Connection, names: Sequence[str], said: spoken.Said, where: Where, near: Sequence[str]
) -> list[int]:
    """Return ids of organisations that have one of the full names, or are called so (SRCH-10).

    Names as they are stored come first, then the nearest, then the kind that is meant.
    """
    values = {"names": list(names), "stems": list(said.stems), "kind": said.kind, **_near(near)}
    return list(tx.scalars(_of(_NAMED, where.system), {**values, **_within(where)}))


def anchors(tx: Connection, names: Sequence[str], within: Sequence[str] | None, system: str) -> list[Named]:
    """Return committees that are called by one of the names; with `within`, below one of these paths."""
    values = {"names": list(names), "anywhere": within is None, "within": list(within or ())}
    return db.rows(Named, tx.execute(_of(_ANCHORS, system), values))


def committees(tx: Connection, ids: Sequence[int]) -> list[Named]:
    """Return those organisations that may have others below them."""
    return db.rows(Named, tx.execute(_BY_PATH_IDS, {"ids": list(ids)}))


def below_anchors(
    tx: Connection, anchors: Sequence[Anchor], level: int, where: Where
) -> list[tuple[Anchor, Named]]:
    """Return what stands one or two levels below anchors and has the rest of their text in its name."""
    if not anchors:
        return []
    values = {
        "ids": [one.org_id for one in anchors],
        "patterns": [spoken.pattern(one.rest) for one in anchors],
        **_within(where),
    }
    del values["limit"]
    rows = tx.execute(_of(_CHILDREN if level == 1 else _GRANDCHILDREN, where.system), values)
    return [
        (anchors[row.anchor - 1], Named(row.org_id, row.path, row.kind, row.plain, row.spoken))
        for row in rows
    ]


def _near(near: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `_NEARNESS`; what is not there is no beginning of any path."""
    return {f"near{n}": near[n - 1] if n <= len(near) else "-" for n in range(1, 9)}


_LAST = "\U0010ffff"
"""The last sign that there is, which no name has."""


def _after(text: str) -> str:
    """Return the end of the range of texts that begin with one."""
    return text + _LAST


def _within(where: Where) -> dict[str, Any]:
    return {
        "targets_only": where.targets_only,
        "limit": where.limit,
        "path": where.below,
        "path_end": store.end_of(where.below),
    }


def search(tx: Connection, text: str, where: Where, near: Sequence[str]) -> list[int]:
    """Return ids of organisations whose full, short or a former name contains `text` (BEY-20).

    `text` is normalised. The exact name comes first, then names that begin so, then what is nearest to
    the searcher, whose ancestors' paths `near` gives from the root down, then shorter names.

    A text with a rare bigram is found by the index of bigrams and ordered as a whole. Of others
    there are more than are looked at: what stands near is walked, then some of the committees are taken
    from their index; of branches only where nothing else has the text. What every fifth name has is met
    by walking anywhere.
    """
    full = text if text.startswith(spoken.LEAGUE) else spoken.LEAGUE + text
    system, below, limit = where.system, where.below, where.limit
    values = {"text": text, "full": full, "targets_only": where.targets_only, "limit": limit}
    span = {"path": below, "path_end": store.end_of(below)}
    beginning = {**values, **span, "text_end": _after(text), "full_end": _after(full)}
    pieces = domain.bigrams(text)
    if not pieces:
        return list(dict.fromkeys(tx.scalars(_of(_BEGINNING, system), beginning)))[:limit]
    counts, total = _frequent(tx)
    share = _share(tx, system) if system else 1.0
    hits = share * min(counts.get(piece, 0) for piece in pieces)
    rarest = sorted(pieces, key=lambda piece: counts.get(piece, 0))[:PIECES]
    indexed = {**values, **span, "pieces": rarest, **_near(near)}
    if hits < RARE:
        return list(tx.scalars(_of(_SEARCH, system), {**indexed, "most": RARE}))
    found = list(tx.scalars(_of(_BEGINNING, system), beginning))
    walks = [path for path in reversed(near[-3:]) if path.startswith(below)]
    if hits > share * total / 5:
        walks.append(below)
    for path in walks:
        if len(found) < limit:
            walk = {**values, "path": path, "path_end": store.end_of(path), "budget": BUDGET}
            # A dictionary takes what was found before only once, and keeps the order.
            found = list(dict.fromkeys([*found, *tx.scalars(_of(_WITHIN, system), walk)]))
    for statement in (_COMMITTEES, _SEARCH):
        if len(found) < (limit if statement is _COMMITTEES else 1):
            some = tx.scalars(_of(statement, system), {**indexed, "most": SOME})
            found = list(dict.fromkeys([*found, *some]))
    return found[:limit]


def coded(tx: Connection, text: str, where: Where) -> list[int]:
    """Return ids of organisations by their number, division code or school number (BEY-20).

    Higher ones come first.
    """
    number = int(text) if text.isdigit() and len(text) < 19 else None
    values = {"text": text.upper(), "number": number, **_within(where)}
    return list(tx.scalars(_of(_CODED, where.system), values))


def places(tx: Connection, codes: Sequence[str]) -> list[Led]:
    """Return what leads a place right below the centre, and right below each of the places (TYPE-10)."""
    return db.rows(Led, tx.execute(_PLACES, {"codes": list(codes), "root": domain.ROOT}))


def systems(tx: Connection) -> list[str]:
    """Return the paths of the vertical systems, such as the railway's (ORG-15)."""
    return list(tx.scalars(_SYSTEMS, {"first": domain.SYSTEMS_FROM}))


def is_target(org: store.Org) -> bool:
    """Return whether members may be transferred to an organisation (TRF-15), as the statements above ask."""
    return org.kind != "leading_body" and org.purpose not in NO_TARGETS
