"""The only SQL of the orgs service."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import domain, names
from services.orgs.log import log, org_entry, right_entry
from shared import clock, db
from shared.audit import Entry
from shared.messages.orgs import AdministratorChanged, OrgChanged, RegistrationRefused
from shared.outbox import insert, tell

CHUNK = 5_000
"""Organisations of one statement while loading."""
RARE = 3_000
"""A bigram in fewer names than this is rare, so that all its hits can be ordered."""
BUDGET = 1_000
"""Organisations that are looked at where a text is too common to order all of its hits."""
COUNT_AGAIN_SECONDS = 300.0
"""How long the counts of bigrams are trusted."""

_SAVE = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        org_id bigint, parent_id bigint, path text, kind text, purpose text, province text, system text, provincial_id bigint, vault_id bigint,
        short_name text, full_name text, bigrams text[], industry text, phone text, division_code text, grad_year int, display_order bigint, version bigint,
        deleted boolean, school_number text, checked_at timestamptz, was_kind text, also text)),
    saved AS (INSERT INTO orgs AS o (org_id, parent_id, path, kind, purpose, province, system, provincial_id, vault_id, short_name, full_name, bigrams,
            industry, phone, division_code, grad_year, display_order, version, deleted, school_number, checked_at, was_kind, also)
        SELECT org_id, parent_id, path, kind, purpose, province, system, provincial_id, vault_id, short_name, full_name, bigrams, industry, phone,
            division_code, grad_year, display_order, version, deleted, coalesce(school_number, ''), checked_at, was_kind, also FROM given
        ON CONFLICT (org_id) DO UPDATE SET (kind, purpose, short_name, full_name, bigrams, industry, phone, division_code, version, deleted, school_number, checked_at,
                was_kind, also) =
            (excluded.kind, excluded.purpose, excluded.short_name, excluded.full_name, excluded.bigrams, excluded.industry, excluded.phone,
             excluded.division_code, excluded.version, excluded.deleted, excluded.school_number, excluded.checked_at, excluded.was_kind, excluded.also)
        WHERE excluded.version > o.version
        RETURNING *),
    told AS ({insert(tell(OrgChanged, "saved", name="full_name"))})
    SELECT org_id FROM saved""")


def save(tx: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Insert or replace organisations by version and tell of each; return how many changed. The caller writes the audit log."""
    return len(db.run(tx, _SAVE, rows).all())


_GRADUATE = sa.text(f"""
    WITH given AS (SELECT DISTINCT ON (branch_id) * FROM json_to_recordset(CAST(:items AS json)) AS i(branch_id bigint, graduate boolean, version bigint)
        ORDER BY branch_id, version DESC),
    changed AS (UPDATE orgs o SET purpose = CASE WHEN g.graduate THEN 'graduate' ELSE 'ordinary' END, graduation_version = g.version, version = o.version + 1
        FROM given g WHERE o.org_id = g.branch_id AND o.graduation_version < g.version AND o.purpose IN ('ordinary', 'graduate') RETURNING o.*),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT org_id FROM changed""")


_RESTORE = sa.text(f"""
    WITH given AS (SELECT DISTINCT org_id FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint)),
    changed AS (UPDATE orgs o SET deleted = false, version = o.version + 1, was_kind = CASE WHEN o.deleted THEN o.was_kind END,
            purpose = CASE WHEN o.purpose = 'awaiting' AND NOT o.deleted THEN 'ordinary' ELSE o.purpose END,
            kind = CASE WHEN o.deleted THEN o.kind ELSE coalesce(o.was_kind, o.kind) END
        FROM given g WHERE o.org_id = g.org_id AND (o.deleted OR o.purpose = 'awaiting' OR o.was_kind IS NOT NULL) RETURNING o.*),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT org_id FROM changed""")


def restore(tx: Connection, items: Sequence[Any]) -> None:
    """Take back deletions, settings aside and changes of kind, and tell (DEL-03, DEL-14, ORG-42)."""
    _change(tx, _RESTORE, items, [one.org_id for one in items], lambda org: "org.restored")


def graduate(tx: Connection, items: Sequence[Any]) -> None:
    """Make branches graduates' organisations or ordinary ones again, and tell; the highest version holds (GRAD-12)."""
    _change(tx, _GRADUATE, items, [one.branch_id for one in items], lambda org: "org.graduated" if org["purpose"] == "graduate" else "org.reopened")


_STATES = sa.text("SELECT * FROM orgs WHERE org_id = ANY(CAST(:ids AS bigint[])) ORDER BY org_id FOR NO KEY UPDATE")


def _change(tx: Connection, statement: sa.TextClause, items: Sequence[Any], org_ids: Iterable[int], kind: Callable[[sa.RowMapping], str]) -> None:
    """Run a statement that changes organisations and returns their ids; write how they were and are into the audit log (BEY-09)."""
    ids = sorted(set(org_ids))
    before = {row.org_id: row._mapping for row in tx.execute(_STATES, {"ids": ids})}
    changed = set(db.run(tx, statement, items).scalars())
    after = {row.org_id: row._mapping for row in tx.execute(_STATES, {"ids": sorted(changed)})} if changed else {}
    log.append(tx, [org_entry(before[one], after[one], kind(after[one])) for one in sorted(changed)])


def load(tx: Connection, tree: Iterable[Any]) -> int:
    """Load a whole tree of seeds, parents before children; return how many organisations were new. Repeated without harm."""
    paths: dict[int, tuple[str, int | None]] = {}
    vaults: dict[int, int] = {}
    rows = []
    for order, seed in enumerate(tree):
        if seed.parent_id and seed.parent_id not in paths:
            raise ValueError(f"organisation {seed.id} comes before its superior {seed.parent_id}")
        parent_path, provincial_id = paths[seed.parent_id] if seed.parent_id else ("", None)
        if seed.parent_id and provincial_id is None:
            provincial_id = seed.id
        path = f"{parent_path}{seed.id}."
        paths[seed.id] = (path, provincial_id)
        if seed.purpose == "vault" and provincial_id is not None:
            vaults[provincial_id] = seed.id
        rows.append({
            "org_id": seed.id, "parent_id": seed.parent_id, "path": path, "kind": seed.kind, "purpose": seed.purpose, "province": seed.province,
            "system": domain.PEER_SYSTEMS.get(seed.province, "national"), "provincial_id": provincial_id, "short_name": seed.short_name,
            "full_name": seed.full_name, **names.searchable(seed.full_name, seed.short_name), "industry": seed.industry, "phone": "",
            "division_code": seed.division_code, "grad_year": seed.grad_year, "display_order": order, "version": 1, "deleted": False})
    for row in rows:
        row["vault_id"] = vaults.get(row["provincial_id"])
    new, remaining = 0, iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        new += save(tx, chunk)
    if new:
        log.append(tx, [Entry(kind="org.loaded", after={"organisations": new})])
    return new


_GRANT = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint, active boolean, changed_by bigint, observer boolean)),
    old AS (SELECT a.* FROM administrators a JOIN given g USING (org_id, person_id)),
    saved AS (INSERT INTO administrators AS a (org_id, person_id, active, version, changed_at, changed_by, observer)
        SELECT org_id, person_id, active, 1, :now, changed_by, coalesce(observer, false) FROM given
        ON CONFLICT (org_id, person_id) DO UPDATE SET (active, version, changed_at, changed_by, observer) =
            (excluded.active, a.version + 1, excluded.changed_at, excluded.changed_by, excluded.observer)
        WHERE a.active <> excluded.active OR (a.active AND a.observer <> excluded.observer) RETURNING *),
    told AS ({insert(tell(AdministratorChanged, "saved"))})
    SELECT s.org_id, s.person_id, s.active, s.observer, s.changed_by, o.active AS was_active, o.observer AS was_observer
    FROM saved s LEFT JOIN old o USING (org_id, person_id)""")


def set_administrators(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime, by: int | None) -> int:
    """Give or revoke rights, tell of each change and write it into the audit log; return how many changed.

    `by` is who does it where a row names nobody in `changed_by`; `changed_for`, `request_id` and `ref` of a row go into the log.
    """
    changed = db.run(tx, _GRANT, [{"changed_by": by, **row} for row in rows], now=now).all()
    given = {(row["org_id"], row["person_id"]): row for row in rows}
    entries = []
    for row in changed:
        asked = given[row.org_id, row.person_id]
        entries.append(right_entry(row, person_id=row.changed_by, org_id=asked.get("changed_for"), ref=asked.get("ref", ""),
                                   request_id=asked.get("request_id", "")))
    log.append(tx, entries)
    return len(changed)


_FACTS = """(SELECT count(*)::int FROM orgs c WHERE c.parent_id = o.org_id AND NOT c.deleted) AS children,
    secretary.person_id AS secretary_id, coalesce(secretary.has_phone, false) AS secretary_has_phone"""
_SECRETARY = "LEFT JOIN LATERAL (SELECT person_id, has_phone FROM cadres c WHERE c.org_id = o.org_id AND c.post = 'secretary' LIMIT 1) secretary ON true"
_BY_IDS = sa.text(f"SELECT o.*, {_FACTS} FROM orgs o {_SECRETARY} WHERE o.org_id = ANY(CAST(:ids AS bigint[])) AND NOT deleted")
_CHILDREN = sa.text(f"""
    SELECT o.*, {_FACTS} FROM orgs o {_SECRETARY}
    WHERE o.parent_id = :org AND NOT o.deleted
        AND (:after = 0 OR (o.display_order, o.org_id) > (SELECT display_order, org_id FROM orgs WHERE org_id = :after))
    ORDER BY o.display_order, o.org_id LIMIT :limit""")
_CONTACTS = sa.text("""
    SELECT org_id, full_name, phone FROM orgs WHERE NOT deleted AND kind = 'leading_body' AND bigrams @> CAST(:pieces AS text[]) AND strpos(plain, :text) > 0
    ORDER BY length(path), path LIMIT 100""")
_ADMINISTRATORS = sa.text("SELECT * FROM administrators WHERE org_id = ANY(CAST(:ids AS bigint[])) AND active AND NOT observer ORDER BY org_id, person_id")
_RIGHTS = sa.text("SELECT org_id, person_id, observer FROM administrators WHERE org_id = ANY(CAST(:ids AS bigint[])) AND active")
_MINE = sa.text("SELECT org_id FROM administrators WHERE person_id = :person AND active ORDER BY org_id")
_LOCK = sa.text("SELECT org_id FROM orgs WHERE org_id = ANY(CAST(:ids AS bigint[])) ORDER BY org_id FOR NO KEY UPDATE")

_TARGETS = "(NOT :targets_only OR (kind <> 'leading_body' AND purpose NOT IN ('graduate', 'awaiting', 'vault')))"
_SEARCH = sa.text(f"""
    WITH hits AS MATERIALIZED (SELECT org_id, path, plain, also FROM orgs WHERE NOT deleted AND bigrams @> CAST(:pieces AS text[])
            AND (strpos(plain, :text) > 0 OR strpos(also, :text) > 0) AND path || '' >= :path AND path || '' < :path_end AND {_TARGETS} LIMIT :most)
    SELECT org_id FROM hits ORDER BY plain <> :text AND :text <> ALL(string_to_array(also, chr(10))), NOT starts_with(plain, :text),
        (SELECT count(*) FROM unnest(CAST(:near AS text[])) AS above WHERE starts_with(hits.path, above)) DESC, length(plain), plain, org_id LIMIT :limit""")
_BEGINNING = sa.text(f"""
    SELECT org_id FROM orgs WHERE NOT deleted AND plain >= :text AND plain < :text_end AND path || '' >= :path AND path || '' < :path_end AND {_TARGETS}
    ORDER BY plain, org_id LIMIT :limit""")
_WITHIN = sa.text(f"""
    SELECT org_id FROM (SELECT org_id, path, plain, also, kind, purpose, deleted FROM orgs WHERE path >= :path AND path < :path_end ORDER BY path LIMIT :budget) AS near_by
    WHERE NOT deleted AND (strpos(plain, :text) > 0 OR strpos(also, :text) > 0) AND {_TARGETS} ORDER BY length(plain), plain LIMIT :limit""")
_CODED = sa.text(f"""
    SELECT org_id FROM ((SELECT org_id, path FROM orgs WHERE division_code = :text AND NOT deleted AND path || '' >= :path AND path || '' < :path_end AND {_TARGETS}
            ORDER BY path LIMIT :limit)
        UNION ALL SELECT org_id, path FROM orgs WHERE school_number = :text AND school_number <> '' AND NOT deleted AND path || '' >= :path AND path || '' < :path_end AND {_TARGETS}
        UNION ALL SELECT org_id, path FROM orgs WHERE org_id = CAST(:number AS bigint) AND NOT deleted AND path || '' >= :path AND path || '' < :path_end AND {_TARGETS})
        AS coded ORDER BY org_id IS DISTINCT FROM CAST(:number AS bigint), length(path), path LIMIT :limit""")
_SYSTEMS = sa.text("SELECT path FROM orgs WHERE org_id = provincial_id AND province >= :first AND NOT deleted ORDER BY org_id")
_COMMON = sa.text("""
    SELECT piece, CAST(share * reltuples AS int) AS n, reltuples AS total FROM pg_stats, pg_class,
        unnest(CAST(CAST(most_common_elems AS text) AS text[]), most_common_elem_freqs) AS elements (piece, share)
    WHERE tablename = 'orgs' AND attname = 'bigrams' AND schemaname = current_schema() AND pg_class.oid = 'orgs'::regclass AND piece IS NOT NULL""")


def lock(tx: Connection, ids: Sequence[int | None]) -> None:
    """Hold organisations until the transaction ends, always in the same order, so that what is read of them next stays true."""
    tx.execute(_LOCK, {"ids": sorted({one for one in ids if one is not None})})


def by_ids(tx: Connection, ids: Sequence[int | None]) -> dict[int, sa.Row[Any]]:
    """Return living organisations by id, with the number of their subordinates."""
    return {row.org_id: row for row in tx.execute(_BY_IDS, {"ids": sorted({one for one in ids if one is not None})})}


def children(tx: Connection, org_id: int, after: int, limit: int) -> Sequence[sa.Row[Any]]:
    """Return direct subordinates in display order, after the given one."""
    return tx.execute(_CHILDREN, {"org": org_id, "after": after, "limit": limit}).all()


def contacts(tx: Connection, text: str) -> Sequence[sa.Row[Any]]:
    """Return leading bodies whose name contains `text`, which is normalised, higher ones first (SRCH-09)."""
    return tx.execute(_CONTACTS, {"text": text, "pieces": domain.bigrams(text)}).all()


def administrators(tx: Connection, org_ids: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """Return the administrators of organisations."""
    return tx.execute(_ADMINISTRATORS, {"ids": list(org_ids)}).all()


def rights(tx: Connection, org_ids: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """Return who has a right over organisations, and whether it is to look only."""
    return tx.execute(_RIGHTS, {"ids": list(org_ids)}).all()


def administered_by(tx: Connection, person_id: int) -> list[int]:
    """Return the organisations that a person administers."""
    return list(tx.scalars(_MINE, {"person": person_id}))


_common: dict[str, tuple[float, dict[str, int], float]] = {}


def _frequent(tx: Connection) -> tuple[dict[str, int], float]:
    """Return how many names have each of the common bigrams, and how many names there are, as PostgreSQL last counted.

    It is looked up once in `COUNT_AGAIN_SECONDS`.
    """
    database = str(tx.engine.url)
    if database not in _common or time.monotonic() - _common[database][0] > COUNT_AGAIN_SECONDS:
        rows = tx.execute(_COMMON).all()
        _common[database] = (time.monotonic(), {row.piece: row.n for row in rows}, max((row.total for row in rows), default=0.0))
    return _common[database][1:]


def search(tx: Connection, text: str, targets_only: bool, limit: int, below: str, near: Sequence[str]) -> list[int]:
    """Return ids of organisations in the subtree `below` (a path) whose full, short or a former name contains `text`, which is normalised (BEY-20).

    The exact name comes first, then names that begin so, then what is nearest to the searcher, whose ancestors' paths `near` gives from
    the root down, then shorter names. A text with a rare bigram is found by the index of bigrams and ordered as a whole. Of others there
    are more than are looked at: what stands near is walked, then some of the rest are taken from the index, in the order in which they
    were loaded, higher ones first; what every fifth name has is met by walking anywhere.
    """
    values = {"text": text, "targets_only": targets_only, "limit": limit}
    span = {"path": below, "path_end": end_of(below)}
    beginning = {**values, **span, "text_end": text[:-1] + chr(ord(text[-1]) + 1)}
    pieces = domain.bigrams(text)
    if not pieces:
        return list(tx.scalars(_BEGINNING, beginning))
    counts, total = _frequent(tx)
    hits = min(counts.get(piece, 0) for piece in pieces)
    indexed = {**values, **span, "pieces": pieces, "near": list(near)}
    if hits < RARE:
        return list(tx.scalars(_SEARCH, {**indexed, "most": RARE}))
    found = list(tx.scalars(_BEGINNING, beginning))
    for path in [*[one for one in reversed(near[-3:]) if one.startswith(below)], *([below] if hits > total / 5 else [])]:
        if len(found) < limit:
            found = list(dict.fromkeys([*found, *tx.scalars(_WITHIN, {**values, "path": path, "path_end": end_of(path), "budget": BUDGET})]))
    if len(found) < limit:
        found = list(dict.fromkeys([*found, *tx.scalars(_SEARCH, {**indexed, "most": BUDGET})]))
    return found[:limit]


def coded(tx: Connection, text: str, targets_only: bool, limit: int, below: str) -> list[int]:
    """Return ids of organisations in the subtree `below` by their number, division code or school number, higher ones first (BEY-20)."""
    number = int(text) if text.isdigit() and len(text) < 19 else None
    return list(tx.scalars(_CODED, {"text": text.upper(), "number": number, "targets_only": targets_only, "limit": limit, "path": below, "path_end": end_of(below)}))


def systems(tx: Connection) -> list[str]:
    """Return the paths of the vertical systems, such as the railway's (ORG-15)."""
    return list(tx.scalars(_SYSTEMS, {"first": domain.SYSTEMS_FROM}))


def end_of(path: str) -> str:
    """Return the end of the range of paths that begin with `path`."""
    return path[:-1] + "/" if path else ":"


# ---- cadres and migrations ---------------------------------------------------------------------------------------------

_CADRES_CHANGED = sa.text(f"""
    WITH given AS (SELECT DISTINCT ON (org_id, person_id) * FROM json_to_recordset(CAST(:items AS json))
            AS i(org_id bigint, person_id bigint, post text, has_phone boolean, version bigint) ORDER BY org_id, person_id, version DESC),
    newer AS (INSERT INTO cadres AS c (org_id, person_id, post, has_phone, version) SELECT * FROM given
        ON CONFLICT (org_id, person_id) DO UPDATE SET (post, has_phone, version) = (excluded.post, excluded.has_phone, excluded.version)
        WHERE excluded.version > c.version RETURNING *),
    ended AS (UPDATE administrators a SET active = false, version = a.version + 1, changed_at = :now, changed_by = NULL FROM newer n
        WHERE n.post = '' AND a.org_id = n.org_id AND a.person_id = n.person_id AND a.active RETURNING a.*),
    told AS ({insert(tell(AdministratorChanged, "ended"))})
    SELECT org_id, person_id, active, observer, true AS was_active, observer AS was_observer FROM ended""")
_CADRES = sa.text("SELECT org_id, person_id FROM cadres WHERE org_id = ANY(CAST(:ids AS bigint[])) AND post <> ''")
_REGISTERED = sa.text(f"""
    WITH refused AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint))
    {insert(tell(RegistrationRefused, "refused"))}""")
_LOCK_PROVINCES = sa.text("SELECT pg_advisory_xact_lock(CAST(one AS bigint)) FROM unnest(CAST(:ids AS bigint[])) AS one ORDER BY one")
_OPEN_MIGRATIONS = sa.text("""
    SELECT m.migration_id, m.org_id, m.state, o.path FROM migrations m JOIN orgs o USING (org_id) WHERE m.ended_at IS NULL
        AND (o.org_id = ANY(CAST(string_to_array(trim(TRAILING '.' FROM :path), '.') AS bigint[])) OR (o.path >= :path AND o.path < :path_end))""")
_REQUEST_MIGRATION = sa.text("""
    INSERT INTO migrations (command_id, org_id, from_org_id, to_org_id, state, reason, requested_by, requested_at, expires_at)
    SELECT command_id, org_id, from_org_id, to_org_id, 'pending_old', reason, requested_by, :now, expires_at
        FROM json_to_recordset(CAST(:items AS json))
            AS i(command_id uuid, org_id bigint, from_org_id bigint, to_org_id bigint, reason text, requested_by bigint, expires_at timestamptz)
    ON CONFLICT DO NOTHING RETURNING command_id, migration_id""")
_MIGRATIONS_BY_COMMAND = sa.text("SELECT * FROM migrations WHERE command_id = ANY(CAST(:ids AS uuid[]))")
_HOLD_MIGRATIONS = sa.text("SELECT * FROM migrations WHERE migration_id = ANY(CAST(:ids AS bigint[])) ORDER BY migration_id FOR UPDATE")
_SET_MIGRATIONS = sa.text("""
    UPDATE migrations m SET state = i.state, note = i.note, old_decided_by = coalesce(m.old_decided_by, i.old_decided_by),
        new_decided_by = coalesce(m.new_decided_by, i.new_decided_by), expires_at = i.expires_at, ended_at = i.ended_at
    FROM json_to_recordset(CAST(:items AS json)) AS i(migration_id bigint, state text, note text, old_decided_by bigint, new_decided_by bigint,
        expires_at timestamptz, ended_at timestamptz) WHERE m.migration_id = i.migration_id""")
_EXPIRE_MIGRATIONS = sa.text("""
    UPDATE migrations SET state = 'returned', ended_at = :now WHERE ended_at IS NULL AND state IN ('pending_old', 'pending_new') AND expires_at <= :now
    RETURNING migration_id, org_id""")
_MIGRATIONS = sa.text("""
    SELECT * FROM migrations WHERE (from_org_id = :org AND (NOT :waiting OR state = 'pending_old')) OR (to_org_id = :org AND (NOT :waiting OR state = 'pending_new'))
        OR (org_id = :org AND NOT :waiting) ORDER BY migration_id DESC LIMIT 200""")
_NEXT_MIGRATION = sa.text("""
    SELECT * FROM migrations WHERE ended_at IS NULL AND state = 'moving' AND pg_try_advisory_xact_lock(hashtext('migration'), CAST(migration_id AS int))
    ORDER BY migration_id LIMIT 1""")
_BELOW = sa.text("SELECT count(*)::int FROM orgs WHERE path >= :path AND path < :path_end")
_MOVE_SOME = sa.text("""
    UPDATE orgs SET path = :new || substr(path, :skip) WHERE org_id IN (SELECT org_id FROM orgs WHERE path >= :path AND path < :path_end ORDER BY path LIMIT :limit)""")
_PROGRESS = sa.text("UPDATE migrations SET moved = :moved, total = :total WHERE migration_id = :id")
_MOVE_TOP = sa.text(f"""
    WITH changed AS (UPDATE orgs SET parent_id = :to, version = version + 1 WHERE org_id = :org RETURNING *),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT * FROM changed""")
_END_MIGRATION = sa.text("UPDATE migrations SET state = :state, note = :note, total = :total, moved = :total, ended_at = :now WHERE migration_id = :id")


def change_cadres(tx: Connection, items: Sequence[Any]) -> None:
    """Keep who holds a post where; who holds none any more administers there no more, and that is told (ADM-18)."""
    ended = db.run(tx, _CADRES_CHANGED, items, now=clock.now()).all()
    log.append(tx, [right_entry(row, ref="post ended") for row in ended])


def cadres(tx: Connection, org_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Return the organisations and persons that belong together by a post."""
    return {(row.org_id, row.person_id) for row in tx.execute(_CADRES, {"ids": list(org_ids)})}


def refuse_registrations(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Tell of rights that could not be given (ADM-11)."""
    db.run(tx, _REGISTERED, rows)


def lock_provinces(tx: Connection, provincial_ids: Iterable[int]) -> None:
    """Hold the migrations of provinces until the transaction ends: of two requests for one subtree the second sees the first (MIG-06)."""
    tx.execute(_LOCK_PROVINCES, {"ids": sorted(set(provincial_ids))})


def has_open_migration(tx: Connection, path: str) -> bool:
    """Return whether an organisation, one above it or one below it migrates (MIG-06)."""
    return tx.execute(_OPEN_MIGRATIONS, {"path": path, "path_end": end_of(path)}).first() is not None


def request_migration(tx: Connection, row: dict[str, Any], now: datetime, **who: Any) -> None:
    """Store a migration; a repeated one changes nothing. `who` asks for it."""
    made = db.run(tx, _REQUEST_MIGRATION, [row], now=now).one_or_none()
    if made is not None:
        log.append(tx, [Entry(kind="migration.requested", place_id=row["org_id"], ref=f"migration {made.migration_id}", note=row["reason"],
                              after={"from": row["from_org_id"], "to": row["to_org_id"]}, **who)])


def migrations_by_command(tx: Connection, command_ids: Sequence[Any]) -> dict[Any, sa.Row[Any]]:
    """Return migrations by the command that asked for them."""
    return {row.command_id: row for row in tx.execute(_MIGRATIONS_BY_COMMAND, {"ids": [str(one) for one in command_ids]})}


def hold_migrations(tx: Connection, ids: Sequence[int]) -> dict[int, sa.Row[Any]]:
    """Return migrations, held until the transaction ends."""
    return {row.migration_id: row for row in tx.execute(_HOLD_MIGRATIONS, {"ids": sorted(set(ids))})}


def set_migrations(tx: Connection, rows: Sequence[dict[str, Any]], entries: Sequence[Entry]) -> None:
    """Store decisions on held migrations, with the lines that say who has made them."""
    db.run(tx, _SET_MIGRATIONS, rows)
    log.append(tx, entries)


def expire_migrations(tx: Connection, now: datetime) -> int:
    """Return what waits for a decision longer than it may; return how many (MIG-10)."""
    rows = tx.execute(_EXPIRE_MIGRATIONS, {"now": now}).all()
    log.append(tx, [Entry(kind="migration.returned", place_id=row.org_id, ref=f"migration {row.migration_id}", after={"why": "nobody decided in time"})
                    for row in rows])
    return len(rows)


def migrations(tx: Connection, org_id: int, waiting: bool) -> Sequence[sa.Row[Any]]:
    """Return the migrations of an organisation, from it or to it, newest first; or those that wait for its decision."""
    return tx.execute(_MIGRATIONS, {"org": org_id, "waiting": waiting}).all()


def next_migration(tx: Connection) -> sa.Row[Any] | None:
    """Return a migration that is decided, not done and worked on by nobody else until the transaction ends.

    An advisory lock holds it, not its row, so that its progress can be stored meanwhile.
    """
    return tx.execute(_NEXT_MIGRATION).one_or_none()


def count_below(tx: Connection, path: str) -> int:
    """Return how many organisations are in a subtree, deleted ones included."""
    return int(tx.execute(_BELOW, {"path": path, "path_end": end_of(path)}).scalar_one())


def move_some(tx: Connection, old: str, new: str, limit: int) -> int:
    """Give up to `limit` organisations of the subtree `old` their new paths; return how many. Nobody sees it before the transaction ends."""
    return int(tx.execute(_MOVE_SOME, {"new": new, "skip": len(old) + 1, "path": old, "path_end": end_of(old), "limit": limit}).rowcount)


def tell_progress(tx: Connection, migration_id: int, moved: int, total: int) -> None:
    """Store how far a migration is: in a transaction of its own, which readers see at once."""
    tx.execute(_PROGRESS, {"id": migration_id, "moved": moved, "total": total})


def move_top(tx: Connection, org: sa.Row[Any], to_org_id: int, migration_id: int) -> None:
    """Put the top of a moved subtree below its new superior, and tell; who hears it moves what lies below (MIG-09)."""
    moved = tx.execute(_MOVE_TOP, {"org": org.org_id, "to": to_org_id}).one()
    log.append(tx, [org_entry(org._mapping, moved._mapping, "org.moved", ref=f"migration {migration_id}")])


def end_migration(tx: Connection, row: sa.Row[Any], state: str, note: str, total: int, now: datetime) -> None:
    """Store the end of a migration; that it was carried out stands in the log as the change of superior."""
    tx.execute(_END_MIGRATION, {"id": row.migration_id, "state": state, "note": note, "total": total, "now": now})
    if state == "returned":
        log.append(tx, [Entry(kind="migration.returned", place_id=row.org_id, ref=f"migration {row.migration_id}", note=note)])


_NEW_IDS = sa.text("SELECT nextval('new_org_id') FROM generate_series(1, :n)")


def new_ids(tx: Connection, n: int) -> list[int]:
    """Return ids for new organisations."""
    return list(tx.scalars(_NEW_IDS, {"n": n}))


_REPLIES = sa.text("SELECT command_id, reply, person_id FROM handled_commands WHERE command_id = ANY(CAST(:ids AS uuid[]))")
_REMEMBER = sa.text("INSERT INTO handled_commands (command_id, reply, person_id) SELECT command_id, reply, person_id"
                    " FROM json_to_recordset(CAST(:items AS json)) AS i(command_id uuid, reply text, person_id bigint)")


def replies(tx: Connection, command_ids: Sequence[Any]) -> dict[Any, sa.Row[Any]]:
    """Return the stored answers of commands that were handled before, and whose commands they were."""
    return {row.command_id: row for row in tx.execute(_REPLIES, {"ids": [str(one) for one in command_ids]})}


def remember(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Store the answers of commands that changed something."""
    if rows:
        db.run(tx, _REMEMBER, rows)
