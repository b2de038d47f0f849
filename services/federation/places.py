"""The organisations of both sides, as messages name them: by codes of their own systems, or by full names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db, directory
from shared.messages.orgs import OrgChanged
from shared.messages.words import OrgKind, System

_BRANCHES = sa.text(f"""
    SELECT peer_code, org_id FROM org_directory
    WHERE system = :peer AND peer_code = ANY(CAST(:codes AS text[]))
        AND kind = '{OrgKind.BRANCH}' AND NOT deleted""")
_BY_CODE = sa.text(f"""
    SELECT CAST(org_id AS text) AS code, org_id FROM org_directory
    WHERE org_id = ANY(CAST(:ids AS bigint[])) AND system = '{System.NATIONAL}' AND NOT deleted""")
_BY_NAME = sa.text(f"""
    SELECT normalize(name, NFKC) AS code, min(org_id) AS org_id FROM org_directory
    WHERE normalize(name, NFKC) IN (
            SELECT normalize(btrim(one), NFKC) FROM unnest(CAST(:names AS text[])) one)
        AND system = '{System.NATIONAL}' AND NOT deleted
    GROUP BY 1 HAVING count(*) = 1""")
_NORMAL = sa.text("SELECT one, normalize(btrim(one), NFKC) FROM unnest(CAST(:names AS text[])) one")
_TOUCH = sa.text("UPDATE org_directory SET changed_at = :now WHERE org_id = ANY(CAST(:ids AS bigint[]))")
_PAGE = sa.text(f"""
    SELECT org_id, parent_id, kind, name, changed_at FROM org_directory
    WHERE (changed_at, org_id) > (CAST(:at AS timestamptz), :org_id) AND changed_at <= :until
        AND system = '{System.NATIONAL}' AND NOT deleted
    ORDER BY changed_at, org_id LIMIT :limit""")
MAX_DIGITS = 18
"""Of a number of ours; what is longer is none."""


class Place(NamedTuple):
    """An organisation of ours, as the directory at the door shows it."""

    org_id: int
    parent_id: int | None
    kind: str
    name: str
    changed_at: datetime


_HAS_TREE = sa.text(f"""
    SELECT EXISTS (SELECT FROM org_directory WHERE parent_id IS NULL AND system = '{System.NATIONAL}')""")


def has_tree(tx: Connection) -> bool:
    """Return whether this bridge has been told of our tree; before that it knows no target."""
    return bool(tx.scalar(_HAS_TREE))


def on_org_changed(tx: Connection, items: list[OrgChanged], now: datetime) -> None:
    """Keep the newest state of each organisation, and that it has changed now."""
    directory.on_org_changed(tx, items)
    tx.execute(_TOUCH, {"ids": sorted({item.org_id for item in items}), "now": now})


def branches(tx: Connection, peer: str, codes: Sequence[str]) -> dict[str, int]:
    """Return our numbers of a peer's branches, by their codes there."""
    rows = db.prepared(tx, _BRANCHES, peer=peer, codes=list(codes))
    return {row.peer_code: row.org_id for row in rows}


def by_codes(tx: Connection, codes: Collection[str]) -> dict[str, int]:
    """Return our organisations whose numbers a peer names; what is no number of one is left out."""
    ids = [int(code) for code in codes if code.isascii() and code.isdecimal() and len(code) <= MAX_DIGITS]
    return {row.code: row.org_id for row in db.prepared(tx, _BY_CODE, ids=ids)} if ids else {}


def by_names(tx: Connection, names: Collection[str]) -> dict[str, int]:
    """Return our organisations by their exact full names as they were typed (FED-06).

    Full width and half width are the same. A name that two have is nobody's: it has to be corrected there.
    """
    if not names:
        return {}
    found = {row.code: row.org_id for row in tx.execute(_BY_NAME, {"names": sorted(names)})}
    plain = tx.execute(_NORMAL, {"names": sorted(names)})
    return {typed: found[normal] for typed, normal in plain if normal in found}


def page(tx: Connection, at: datetime, org_id: int, until: datetime, limit: int) -> list[Place]:
    """Return our organisations in the order of their changes, from after an instant and an id on."""
    values = {"at": at, "org_id": org_id, "until": until, "limit": limit}
    return db.rows(Place, tx.execute(_PAGE, values))
