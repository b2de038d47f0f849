"""What every service knows of organisations and administrators: a read model fed by the events of `orgs`.

The highest version holds, so events may come twice or in any order. Rights are decided here, from
the service's own copy (ROLE-06, ROLE-16): by the acting organisation's administrators, for that
organisation and, where the rule says so, for its direct subordinates or its subtree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.orgs import AdministratorChanged, OrgChanged
from shared.recordset import columns, recordset


def tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Declare the two tables of the read model.

    `path` is made of the ids from the root down, each followed by a dot: `1.42.4201.`; a subtree is
    a range of it.
    """
    return _org_directory(metadata), _administrator_directory(metadata)


def _org_directory(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "org_directory",
        metadata,
        sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("parent_id", sa.BigInteger),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("province", sa.Text, nullable=False),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("provincial_id", sa.BigInteger),
        sa.Column("vault_id", sa.BigInteger),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("industry", sa.Text, nullable=False, server_default=""),
        sa.Column("division_code", sa.Text(collation="C")),
        sa.Column("peer_code", sa.Text(collation="C")),
        sa.Index("ix_org_directory_path", "path"),
        sa.Index("ix_org_directory_parent_id", "parent_id"),
        sa.Index(
            "ix_org_directory_township", "division_code", postgresql_where=sa.text("purpose = 'township'")
        ),
    )


def _administrator_directory(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "administrator_directory",
        metadata,
        sa.Column("org_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("person_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("observer", sa.Boolean, nullable=False, server_default="false"),
        sa.Index("ix_administrator_directory_person_id", "person_id"),
    )


class Org(NamedTuple):
    """An organisation as a service knows it."""

    org_id: int
    parent_id: int | None
    path: str
    kind: str
    purpose: str
    province: str
    system: str
    provincial_id: int | None
    vault_id: int | None
    name: str
    version: int
    deleted: bool
    industry: str
    division_code: str | None
    peer_code: str | None


class Changing(NamedTuple):
    """An organisation that goes below another superior (`moves`) or becomes another kind (`turns`).

    `path` is the one that it had before, `parent_id` its superior from now on.
    """

    org_id: int
    path: str
    parent_id: int | None
    moves: bool
    turns: bool


_CHANGING = sa.text("""
    SELECT d.org_id, d.path, i.parent_id,
        i.parent_id IS DISTINCT FROM d.parent_id AS moves,
        i.kind <> d.kind AS turns
    FROM json_to_recordset(CAST(:items AS json))
        AS i(org_id bigint, parent_id bigint, kind text, version bigint)
    JOIN org_directory d USING (org_id)
    WHERE i.version > d.version
        AND (i.parent_id IS DISTINCT FROM d.parent_id OR i.kind <> d.kind)""")
_KEPT = ("org_id",)
"""The columns of an organisation that no event changes."""
_ORG_CHANGED = sa.text(f"""
    -- a list may hold an organisation twice, and an upsert takes each row once
    WITH given AS (
        SELECT DISTINCT ON (org_id) *
        FROM {recordset(OrgChanged)}
        ORDER BY org_id, version DESC
    )
    INSERT INTO org_directory ({columns(OrgChanged)})
    SELECT {columns(OrgChanged, "g", path="coalesce(p.path || g.org_id || '.', g.path)")}
    FROM given g
    LEFT JOIN org_directory p ON p.org_id = g.parent_id
    ORDER BY g.org_id  -- in one order everywhere, so that two batches do not deadlock
    ON CONFLICT (org_id) DO UPDATE SET ({columns(OrgChanged, without=_KEPT)}) = (
        {columns(OrgChanged, "excluded", without=_KEPT)}
    )
    WHERE excluded.version > org_directory.version""")
_HOLD = sa.text("""
    SELECT org_id FROM org_directory
    WHERE org_id = ANY(CAST(:ids AS bigint[])) OR org_id IN (
        SELECT d.org_id FROM org_directory top
        JOIN org_directory d ON d.path >= top.path AND d.path < rtrim(top.path, '.') || '/'
        WHERE top.org_id = ANY(CAST(:tops AS bigint[])))
    ORDER BY org_id
    FOR NO KEY UPDATE""")
_FOLLOW = sa.text("""
    UPDATE org_directory d SET path = top.path || substr(d.path, :skip)
    FROM org_directory top
    WHERE top.org_id = :org AND d.path >= :path AND d.path < :path_end""")

_ADMINISTRATOR_CHANGED = sa.text(f"""
    INSERT INTO administrator_directory ({columns(AdministratorChanged)})
    SELECT DISTINCT ON (org_id, person_id) {columns(AdministratorChanged)}
    FROM {recordset(AdministratorChanged)}
    ORDER BY org_id, person_id, version DESC
    ON CONFLICT (org_id, person_id) DO UPDATE
        SET (active, version, observer) = (excluded.active, excluded.version, excluded.observer)
    WHERE excluded.version > administrator_directory.version""")


def on_org_changed(tx: Connection, items: list[OrgChanged]) -> list[Changing]:
    """Keep the newest state of each organisation.

    What lies below one that has moved moves with it, in the same transaction (MIG-09).

    Returns the organisations that get another superior or become another kind.

    A path is made from the superior's path as it is known here, not taken from the event, so it
    does not matter whether an organisation was created before or after one above it moved.
    """
    changing: list[Changing] = []
    if any(item.version > 1 for item in items):  # a first version moves nothing: a loaded tree skips this
        changing = db.rows(Changing, db.run(tx, _CHANGING, items))
    tops = [top.org_id for top in changing if top.moves]
    if tops:  # all that changes is held at once, since what lies below may have lower ids
        tx.execute(_HOLD, {"ids": sorted({item.org_id for item in items}), "tops": tops})
    db.run(tx, _ORG_CHANGED, items)
    for top in changing:
        if not top.moves:
            continue
        # "/" is the character after ".", so the range holds every path that begins with this one
        path_end = top.path[:-1] + "/"
        tx.execute(
            _FOLLOW,
            {"org": top.org_id, "path": top.path, "path_end": path_end, "skip": len(top.path) + 1},
        )
    return changing


def on_administrator_changed(tx: Connection, items: list[AdministratorChanged]) -> None:
    """Keep the newest state of each right."""
    db.run(tx, _ADMINISTRATOR_CHANGED, items)


ADMINISTERED = """
    SELECT i.person_id, i.org_id, a.observer
    FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, org_id bigint)
    JOIN administrator_directory a USING (person_id, org_id)
    JOIN org_directory o USING (org_id)
    WHERE a.active AND NOT o.deleted AND o.system = 'national'"""
"""The select of the rights that `:items` claim: person, organisation, and whether they only look."""
_ADMINISTERED = sa.text(ADMINISTERED)
Claim = tuple[int, int | None]
"""A person, and the organisation they claim to act for."""
_RIGHTS = "rights"


def remember_rights(tx: Connection, rights: Mapping[Claim, bool | None]) -> None:
    """Let the handlers of this transaction know rights that were looked up for all of its calls.

    Args:
        tx: The transaction.
        rights: By claim whether it is an observer's; None where there is no right.

    """
    db.note(tx, _RIGHTS, rights)


def administering(tx: Connection, actors: Iterable[Actor], observers: bool = False) -> set[Actor]:
    """Return those of the actors who administer the organisation they claim to act for (ROLE-04).

    Nobody here acts for an organisation that another system keeps (FED-01).
    With `observers`: also those who may only look at it (ROLE-10).
    """
    claims: dict[Actor, Claim] = {
        actor: (actor.person_id, actor.org_id) for actor in actors if actor.org_id is not None
    }
    if not claims:
        return set()
    rights: Mapping[Claim, bool | None] = db.noted(tx, _RIGHTS) or {}
    if not rights.keys() >= set(claims.values()):
        rows = db.run(tx, _ADMINISTERED, [{"person_id": one, "org_id": org} for one, org in claims.values()])
        rights = {(row.person_id, row.org_id): row.observer for row in rows}
    good = (False, True) if observers else (False,)
    return {actor for actor, claim in claims.items() if rights.get(claim) in good}


def require_administrator(tx: Connection, actor: Actor | None, observers: bool = False) -> int:
    """Return the acting organisation of someone who administers it.

    With `observers`: also of someone who may only look at it (ROLE-10).

    Raises:
        Refused: `not_administrator`.

    """
    if actor is None or not administering(tx, [actor], observers):
        raise Refused("not_administrator")
    return actor.acting_org


_BY_ID = sa.text(f"SELECT {columns(Org)} FROM org_directory WHERE org_id = ANY(CAST(:ids AS bigint[]))")


def find(tx: Connection, org_ids: Sequence[int | None]) -> dict[int, Org]:
    """Return the given organisations by id, deleted ones left out."""
    ids = sorted({org_id for org_id in org_ids if org_id is not None})
    if not ids:
        return {}
    rows = db.rows(Org, db.prepared(tx, _BY_ID, ids=ids))
    return {row.org_id: row for row in rows if not row.deleted}


# What an organisation lies below its path says, which ends in its own id.
_WITH_ALL_ABOVE = sa.text(f"""
    WITH named AS (
        SELECT DISTINCT unnest(string_to_array(rtrim(path, '.'), '.')::bigint[]) AS org_id
        FROM org_directory WHERE org_id = ANY(CAST(:ids AS bigint[])) AND NOT deleted)
    SELECT {columns(Org, "o")} FROM named n
    CROSS JOIN LATERAL (
        SELECT * FROM org_directory d WHERE d.org_id = n.org_id AND NOT d.deleted OFFSET 0) o""")


def find_with_all_above(tx: Connection, org_ids: Collection[int | None]) -> dict[int, Org]:
    """Return the given organisations and all above them by id, deleted ones left out."""
    ids = sorted({org_id for org_id in org_ids if org_id is not None})
    if not ids:
        return {}
    rows = db.rows(Org, db.prepared(tx, _WITH_ALL_ABOVE, ids=ids))
    return {row.org_id: row for row in rows}


OF_OTHERS = """
    SELECT org_id FROM org_directory
    WHERE org_id = ANY(CAST(:ids AS bigint[])) AND system <> 'national'"""
"""The select of those of the organisations `:ids` that another system keeps."""
_OF_OTHERS = sa.text(OF_OTHERS)


def of_others(tx: Connection, org_ids: Collection[int]) -> set[int]:
    """Return those organisations that another system keeps, deleted ones too (FED-01)."""
    return set(db.prepared(tx, _OF_OTHERS, ids=sorted(org_ids)).scalars()) if org_ids else set()


def require_above(
    tx: Connection, actor: Actor | None, org_id: int | None = None, observers: bool = False
) -> Org:
    """Return an organisation that someone administers from itself or from above; by default the acting one.

    With `observers`: also one that they may only look at.

    Raises:
        Refused: `not_administrator`, `unknown_org`, `not_your_org`.

    """
    acting = require_administrator(tx, actor, observers)
    found = find(tx, [acting, org_id])
    wanted = found.get(org_id if org_id is not None else acting)
    if wanted is None or acting not in found:
        raise Refused("unknown_org")
    if not is_below(wanted, found[acting]):
        raise Refused("not_your_org")
    return wanted


def is_below(org: Org, ancestor: Org) -> bool:
    """Return whether `org` is `ancestor` or lies in its subtree."""
    return org.path.startswith(ancestor.path)


def is_own_or_superior(org_id: int | None, branch: Org) -> bool:
    """Return whether an organisation is the branch itself or its direct superior.

    Those are the two that look after its members (MEM-14, MEM-29, ACC-07).
    """
    return org_id in (branch.org_id, branch.parent_id)
