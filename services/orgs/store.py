"""The only SQL of the orgs service."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import domain
from shared import db
from shared.messages.orgs import AdministratorChanged, OrgChanged
from shared.outbox import insert, tell

CHUNK = 5_000
"""Organisations of one statement while loading."""
SEARCH_CAP = 500
"""Hits looked at before ordering; a needle with more hits needs another word anyway."""

_SAVE = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        org_id bigint, parent_id bigint, path text, kind text, purpose text, province text, system text, provincial_id bigint, vault_id bigint,
        short_name text, full_name text, bigrams text[], industry text, phone text, division_code text, grad_year int, display_order bigint, version bigint,
        deleted boolean)),
    saved AS (INSERT INTO orgs AS o (org_id, parent_id, path, kind, purpose, province, system, provincial_id, vault_id, short_name, full_name, bigrams,
            industry, phone, division_code, grad_year, display_order, version, deleted)
        SELECT org_id, parent_id, path, kind, purpose, province, system, provincial_id, vault_id, short_name, full_name, bigrams, industry, phone,
            division_code, grad_year, display_order, version, deleted FROM given
        ON CONFLICT (org_id) DO UPDATE SET (kind, purpose, short_name, full_name, bigrams, industry, phone, version, deleted) =
            (excluded.kind, excluded.purpose, excluded.short_name, excluded.full_name, excluded.bigrams, excluded.industry, excluded.phone,
             excluded.version, excluded.deleted)
        WHERE excluded.version > o.version
        RETURNING *),
    told AS ({insert(tell(OrgChanged, "saved", name="full_name"))})
    SELECT org_id FROM saved""")


def save(tx: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Insert or replace organisations by version and tell of each; return how many changed."""
    return len(db.run(tx, _SAVE, rows).all())


_GRADUATE = sa.text(f"""
    WITH given AS (SELECT DISTINCT ON (branch_id) * FROM json_to_recordset(CAST(:items AS json)) AS i(branch_id bigint, graduate boolean, version bigint)
        ORDER BY branch_id, version DESC),
    changed AS (UPDATE orgs o SET purpose = CASE WHEN g.graduate THEN 'graduate' ELSE 'ordinary' END, graduation_version = g.version, version = o.version + 1
        FROM given g WHERE o.org_id = g.branch_id AND o.graduation_version < g.version AND o.purpose IN ('ordinary', 'graduate') RETURNING o.*)
    {insert(tell(OrgChanged, "changed", name="full_name"))}""")


_RESTORE = sa.text(f"""
    WITH given AS (SELECT DISTINCT org_id FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint)),
    changed AS (UPDATE orgs o SET deleted = false, version = o.version + 1 FROM given g WHERE o.org_id = g.org_id AND o.deleted RETURNING o.*)
    {insert(tell(OrgChanged, "changed", name="full_name"))}""")


def restore(tx: Connection, items: Sequence[Any]) -> None:
    """Bring deleted organisations back, and tell (DEL-03)."""
    db.run(tx, _RESTORE, items)


def graduate(tx: Connection, items: Sequence[Any]) -> None:
    """Make branches graduates' organisations or ordinary ones again, and tell; the highest version holds (GRAD-12)."""
    db.run(tx, _GRADUATE, items)


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
            "full_name": seed.full_name, "bigrams": domain.bigrams(seed.full_name), "industry": seed.industry, "phone": "",
            "division_code": seed.division_code, "grad_year": seed.grad_year, "display_order": order, "version": 1, "deleted": False})
    for row in rows:
        row["vault_id"] = vaults.get(row["provincial_id"])
    new, remaining = 0, iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        new += save(tx, chunk)
    return new


_GRANT = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint, active boolean, changed_by bigint)),
    saved AS (INSERT INTO administrators AS a (org_id, person_id, active, version, changed_at, changed_by)
        SELECT org_id, person_id, active, 1, :now, changed_by FROM given
        ON CONFLICT (org_id, person_id) DO UPDATE SET (active, version, changed_at, changed_by) =
            (excluded.active, a.version + 1, excluded.changed_at, excluded.changed_by)
        WHERE a.active <> excluded.active RETURNING *),
    told AS ({insert(tell(AdministratorChanged, "saved"))})
    SELECT org_id, person_id FROM saved""")


def set_administrators(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime, by: int | None) -> int:
    """Give or revoke rights and tell of each change; return how many changed. `by` is who does it where a row names nobody."""
    return len(db.run(tx, _GRANT, [{"changed_by": by, **row} for row in rows], now=now).all())


_BY_IDS = sa.text("SELECT o.*, (SELECT count(*)::int FROM orgs c WHERE c.parent_id = o.org_id AND NOT c.deleted) AS children"
                  " FROM orgs o WHERE org_id = ANY(CAST(:ids AS bigint[])) AND NOT deleted")
_CHILDREN = sa.text("""
    SELECT o.*, (SELECT count(*)::int FROM orgs c WHERE c.parent_id = o.org_id AND NOT c.deleted) AS children FROM orgs o
    WHERE o.parent_id = :org AND NOT o.deleted
        AND (:after = 0 OR (o.display_order, o.org_id) > (SELECT display_order, org_id FROM orgs WHERE org_id = :after))
    ORDER BY o.display_order, o.org_id LIMIT :limit""")
_ADMINISTRATORS = sa.text("SELECT * FROM administrators WHERE org_id = ANY(CAST(:ids AS bigint[])) AND active ORDER BY org_id, person_id")
_MINE = sa.text("SELECT org_id FROM administrators WHERE person_id = :person AND active ORDER BY org_id")
_LOCK = sa.text("SELECT org_id FROM orgs WHERE org_id = ANY(CAST(:ids AS bigint[])) ORDER BY org_id FOR NO KEY UPDATE")

_PLAIN = "replace(normalize(full_name, NFKC), ' ', '')"
"""The full name as `domain.normalise` makes it; stored names hold no blanks but spaces."""


def _searching(where: str) -> sa.TextClause:
    return sa.text(f"""
        WITH hits AS (SELECT *, {_PLAIN} AS plain FROM orgs WHERE NOT deleted AND {where}
                AND (NOT :targets_only OR (kind <> 'leading_body' AND purpose NOT IN ('graduate', 'awaiting', 'vault'))) LIMIT :cap)
        SELECT h.*, (SELECT count(*)::int FROM orgs c WHERE c.parent_id = h.org_id AND NOT c.deleted) AS children FROM hits h
        ORDER BY plain <> :text, NOT starts_with(plain, :text), length(plain), plain, org_id LIMIT :limit""")


_SEARCH = _searching(f"bigrams @> CAST(:pieces AS text[]) AND strpos({_PLAIN}, :text) > 0")
_SEARCH_BELOW = _searching(f"path >= :path AND path < :path_end AND strpos({_PLAIN}, :text) > 0")
_SEARCH_FIRST = _searching(f"path >= :path AND path < :path_end AND starts_with({_PLAIN}, :text)")


def lock(tx: Connection, ids: Sequence[int | None]) -> None:
    """Hold organisations until the transaction ends, always in the same order, so that what is read of them next stays true."""
    tx.execute(_LOCK, {"ids": sorted({one for one in ids if one is not None})})


def by_ids(tx: Connection, ids: Sequence[int | None]) -> dict[int, sa.Row[Any]]:
    """Return living organisations by id, with the number of their subordinates."""
    return {row.org_id: row for row in tx.execute(_BY_IDS, {"ids": sorted({one for one in ids if one is not None})})}


def children(tx: Connection, org_id: int, after: int, limit: int) -> Sequence[sa.Row[Any]]:
    """Return direct subordinates in display order, after the given one."""
    return tx.execute(_CHILDREN, {"org": org_id, "after": after, "limit": limit}).all()


def administrators(tx: Connection, org_ids: Sequence[int]) -> Sequence[sa.Row[Any]]:
    """Return the administrators of organisations."""
    return tx.execute(_ADMINISTRATORS, {"ids": list(org_ids)}).all()


def administered_by(tx: Connection, person_id: int) -> list[int]:
    """Return the organisations that a person administers."""
    return list(tx.scalars(_MINE, {"person": person_id}))


def search(tx: Connection, text: str, targets_only: bool, limit: int, below: sa.Row[Any] | None) -> Sequence[sa.Row[Any]]:
    """Return organisations whose full name contains `text`, which is normalised: exact, then prefix, then shorter names first (BEY-20).

    In a subtree the path range leads, otherwise the index of bigrams; the two together are planned badly. The root's subtree is
    everything, so it is no limit. A single character has no bigram and finds only names that begin with it.
    """
    if below is not None and below.parent_id is None:
        below = None
    span = {"path": below.path, "path_end": below.path[:-1] + "/"} if below is not None else {"path": "", "path_end": ":"}
    values = {"text": text, "targets_only": targets_only, "limit": limit, "cap": SEARCH_CAP}
    if len(text) == 1:
        return tx.execute(_SEARCH_FIRST, {**values, **span}).all()
    if below is not None:
        return tx.execute(_SEARCH_BELOW, {**values, **span}).all()
    return tx.execute(_SEARCH, {**values, "pieces": domain.bigrams(text)}).all()


_NEW_IDS = sa.text("SELECT nextval('new_org_id') FROM generate_series(1, :n)")


def new_ids(tx: Connection, n: int) -> list[int]:
    """Return ids for new organisations."""
    return list(tx.scalars(_NEW_IDS, {"n": n}))


_REPLIES = sa.text("SELECT command_id, reply FROM handled_commands WHERE command_id = ANY(CAST(:ids AS uuid[]))")
_REMEMBER = sa.text("INSERT INTO handled_commands (command_id, reply) SELECT command_id, reply"
                    " FROM json_to_recordset(CAST(:items AS json)) AS i(command_id uuid, reply text)")


def replies(tx: Connection, command_ids: Sequence[Any]) -> dict[Any, str]:
    """Return the stored answers of commands that were handled before."""
    return {row.command_id: row.reply for row in tx.execute(_REPLIES, {"ids": [str(one) for one in command_ids]})}


def remember(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Store the answers of commands that changed something."""
    if rows:
        db.run(tx, _REMEMBER, rows)
