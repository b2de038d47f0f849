"""The only SQL of the orgs service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import domain, names
from services.orgs.log import log, org_entry, right_entry
from shared import clock, db, sessions_ended
from shared.audit import Entry
from shared.identity import Actor
from shared.lives import FLOOR, next_version
from shared.messages.members import CadreChanged
from shared.messages.orgs import AdministratorChanged, OrgChanged, RegistrationRefused
from shared.outbox import insert, tell
from shared.recordset import Int, columns, locked, recordset
from shared.standing import Named, Standing

CHUNK = 5_000
"""Organisations of one statement while loading."""


class Org(NamedTuple):
    """A living organisation, with how many subordinates it has and who is its secretary."""

    org_id: int
    parent_id: int | None
    path: str
    kind: str
    purpose: str
    province: str
    system: str
    provincial_id: int | None
    vault_id: int | None
    short_name: str
    full_name: str
    bigrams: list[str]
    spoken: list[str]
    industry: str
    phone: str
    division_code: str | None
    grad_year: Int | None
    display_order: int
    version: int
    deleted: bool
    school_number: str
    checked_at: datetime | None
    was_kind: str | None
    also: str
    # what follows is looked up beside, not saved
    children: int
    secretary_id: int | None
    secretary_has_phone: bool


_BESIDE = ("children", "secretary_id", "secretary_has_phone")
_PLACE = (
    "org_id",
    "parent_id",
    "path",
    "province",
    "system",
    "provincial_id",
    "vault_id",
    "grad_year",
    "display_order",
)
"""The place in the tree and in the order, which other statements change."""
_KEPT = (*_BESIDE, *_PLACE)
_SAVE = sa.text(f"""
    WITH given AS (SELECT * FROM {recordset(Org, without=_BESIDE)}),
    saved AS (INSERT INTO orgs AS o ({columns(Org, without=_BESIDE)})
        SELECT {columns(Org, without=_BESIDE, school_number="coalesce(school_number, '')")}
        FROM given
        ORDER BY org_id
        -- the place in the tree and in the order stays, other statements change it
        ON CONFLICT (org_id) DO UPDATE SET ({columns(Org, without=_KEPT)}) = (
            {columns(Org, "excluded", without=_KEPT, version=f"greatest(excluded.version, {FLOOR})")})
        WHERE excluded.version > o.version
        RETURNING *),
    told AS ({insert(tell(OrgChanged, "saved", name="full_name"))})
    SELECT org_id FROM saved""")


def save(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert or replace organisations by version and tell of each; return how many changed.

    The caller writes the audit log.
    """
    return len(db.run(tx, _SAVE, rows).all())


_GRADUATE = sa.text(f"""
    WITH given AS (SELECT DISTINCT ON (branch_id) *
        FROM json_to_recordset(CAST(:items AS json)) AS i(branch_id bigint, graduate boolean, version bigint)
        ORDER BY branch_id, version DESC),
    -- a branch that has become something else meanwhile, such as an awaiting one, stays that
    changed AS (UPDATE orgs o SET
            purpose = CASE WHEN g.graduate THEN 'graduate' ELSE 'ordinary' END,
            graduation_version = g.version,
            version = {next_version("o.version")}
        FROM given g
        WHERE o.org_id = g.branch_id
            AND o.graduation_version < g.version
            AND o.purpose IN ('ordinary', 'graduate')
        RETURNING o.*),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT org_id FROM changed""")


_RESTORE = sa.text(f"""
    WITH given AS (SELECT DISTINCT org_id FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint)),
    -- of a deleted organisation only the deletion is taken back, its purpose and kind stay
    changed AS (UPDATE orgs o SET
            deleted = false,
            version = {next_version("o.version")},
            was_kind = CASE WHEN o.deleted THEN o.was_kind END,
            purpose = CASE WHEN o.purpose = 'awaiting' AND NOT o.deleted THEN 'ordinary' ELSE o.purpose END,
            kind = CASE WHEN o.deleted THEN o.kind ELSE coalesce(o.was_kind, o.kind) END
        FROM given g
        WHERE o.org_id = g.org_id AND (o.deleted OR o.purpose = 'awaiting' OR o.was_kind IS NOT NULL)
        RETURNING o.*),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT org_id FROM changed""")


def restore(tx: Connection, items: Sequence[Any]) -> None:
    """Take back deletions, settings aside and changes of kind, and tell (DEL-03, DEL-14, ORG-42)."""
    _change(tx, _RESTORE, items, [one.org_id for one in items], lambda org: "org.restored")


def graduate(tx: Connection, items: Sequence[Any]) -> None:
    """Make branches graduates' organisations or ordinary ones again, and tell (GRAD-12).

    Of several decisions on one branch the highest version holds.
    """
    _change(
        tx,
        _GRADUATE,
        items,
        [one.branch_id for one in items],
        lambda org: "org.graduated" if org["purpose"] == "graduate" else "org.reopened",
    )


_STATES = sa.text(
    "SELECT * FROM orgs WHERE org_id = ANY(CAST(:ids AS bigint[])) ORDER BY org_id FOR NO KEY UPDATE"
)


def _change(
    tx: Connection,
    statement: sa.TextClause,
    items: Sequence[Any],
    org_ids: Iterable[int],
    kind: Callable[[sa.RowMapping], str],
) -> None:
    """Run a statement that changes organisations and returns their ids.

    How they were and how they are is written into the audit log (BEY-09).
    """
    before = {row.org_id: row._mapping for row in tx.execute(_STATES, {"ids": sorted(set(org_ids))})}
    changed = sorted(set(db.run(tx, statement, items).scalars()))
    if not changed:
        return
    after = {row.org_id: row._mapping for row in tx.execute(_STATES, {"ids": changed})}
    log.append(tx, [org_entry(before[one], after[one], kind(after[one])) for one in changed])


def load(tx: Connection, tree: Iterable[Any]) -> int:
    """Load a whole tree of seeds, parents before children; return how many organisations were new.

    It may be repeated without harm.
    """
    rows = _seeded(tree)
    vaults = {row["provincial_id"]: row["org_id"] for row in rows if row["purpose"] == "vault"}
    for row in rows:
        row["vault_id"] = vaults.get(row["provincial_id"])
    new, remaining = 0, iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        new += save(tx, chunk)
    if new:
        log.append(tx, [Entry(kind="org.loaded", after={"organisations": new})])
    return new


def _seeded(tree: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the rows of a tree of seeds in its order, without their vaults."""
    places: dict[int, tuple[str, int | None]] = {}
    rows = []
    for order, seed in enumerate(tree):
        if seed.parent_id and seed.parent_id not in places:
            raise ValueError(f"organisation {seed.id} comes before its superior {seed.parent_id}")
        above, provincial_id = places[seed.parent_id] if seed.parent_id else ("", None)
        # what stands directly below the centre is a provincial body itself
        if seed.parent_id and provincial_id is None:
            provincial_id = seed.id
        path = f"{above}{seed.id}."
        places[seed.id] = path, provincial_id
        rows.append(_seed_row(seed, path, provincial_id, order))
    return rows


def _seed_row(seed: Any, path: str, provincial_id: int | None, order: int) -> dict[str, Any]:
    return {
        "org_id": seed.id,
        "parent_id": seed.parent_id,
        "path": path,
        "kind": seed.kind,
        "purpose": seed.purpose,
        "province": seed.province,
        "system": domain.PEER_SYSTEMS.get(seed.province, "national"),
        "provincial_id": provincial_id,
        "short_name": seed.short_name,
        "full_name": seed.full_name,
        **names.searchable(seed.kind, seed.full_name, seed.short_name),
        "industry": seed.industry,
        "phone": "",
        "division_code": seed.division_code,
        "grad_year": seed.grad_year,
        "display_order": order,
        "version": 1,
        "deleted": False,
    }


_GRANT = sa.text(f"""
    -- the rights as they shall be
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json))
        AS i(org_id bigint, person_id bigint, active boolean, changed_by bigint, observer boolean)),
    -- as they were, for the audit log
    old AS (SELECT a.* FROM administrators a JOIN given g USING (org_id, person_id)),
    -- a right that is already as it shall be is not written, so nobody is told of it
    saved AS (INSERT INTO administrators AS a
            (org_id, person_id, active, version, changed_at, changed_by, observer)
        SELECT org_id, person_id, active, {FLOOR}, :now, changed_by, coalesce(observer, false) FROM given
        ORDER BY org_id, person_id
        ON CONFLICT (org_id, person_id) DO UPDATE SET (active, version, changed_at, changed_by, observer) =
            (excluded.active, {next_version("a.version")},
                excluded.changed_at, excluded.changed_by, excluded.observer)
        WHERE a.active <> excluded.active OR (a.active AND a.observer <> excluded.observer)
        RETURNING *),
    -- what the other services hear
    told AS ({insert(tell(AdministratorChanged, "saved"))})
    SELECT s.org_id, s.person_id, s.active, s.observer, s.changed_by,
        o.active AS was_active, o.observer AS was_observer
    FROM saved s LEFT JOIN old o USING (org_id, person_id)""")


def set_administrators(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime, by: int | None) -> int:
    """Give or revoke rights, tell of each change and write it into the audit log; return how many changed.

    `by` is who does it where a row names nobody in `changed_by`. `changed_for`, `request_id` and
    `ref` of a row go into the log.
    """
    changed = db.run(tx, _GRANT, [{"changed_by": by, **row} for row in rows], now=now).all()
    given = {(row["org_id"], row["person_id"]): row for row in rows}
    entries = []
    for row in changed:
        asked = given[row.org_id, row.person_id]
        entries.append(
            right_entry(
                row,
                person_id=row.changed_by,
                org_id=asked.get("changed_for"),
                ref=asked.get("ref", ""),
                request_id=asked.get("request_id", ""),
            )
        )
    log.append(tx, entries)
    return len(changed)


_FACTS = """(SELECT count(*)::int FROM orgs c WHERE c.parent_id = o.org_id AND NOT c.deleted) AS children,
    secretary.person_id AS secretary_id, coalesce(secretary.has_phone, false) AS secretary_has_phone"""
_SECRETARY = """LEFT JOIN LATERAL (SELECT person_id, has_phone FROM cadres c
    WHERE c.org_id = o.org_id AND c.post = 'secretary' LIMIT 1) secretary ON true"""
_BY_IDS = sa.text(f"""
    SELECT o.*, {_FACTS} FROM orgs o {_SECRETARY}
    WHERE o.org_id = ANY(CAST(:ids AS bigint[])) AND NOT deleted""")
_CHILDREN = sa.text(f"""
    SELECT o.*, {_FACTS} FROM orgs o {_SECRETARY}
    WHERE o.parent_id = :org AND NOT o.deleted AND NOT o.gone
        AND (:after = 0 OR (o.display_order, o.org_id) >
            (SELECT display_order, org_id FROM orgs WHERE org_id = :after))
    ORDER BY o.display_order, o.org_id LIMIT :limit""")
# The index of bigrams finds candidates, `strpos` keeps those that have them side by side.
_CONTACTS = sa.text("""
    SELECT org_id, full_name, phone FROM orgs
    WHERE NOT deleted
        AND kind = 'leading_body'
        AND bigrams @> CAST(:pieces AS text[])
        AND strpos(plain, :text) > 0
    ORDER BY length(path), path LIMIT 100""")
_ADMINISTRATORS = sa.text("""
    SELECT * FROM administrators
    WHERE org_id = ANY(CAST(:ids AS bigint[])) AND active AND NOT observer
    ORDER BY org_id, person_id""")
_RIGHTS = sa.text("""
    SELECT org_id, person_id, observer FROM administrators
    WHERE org_id = ANY(CAST(:ids AS bigint[])) AND active""")
_PATHS = sa.text("SELECT org_id, path FROM orgs WHERE org_id = ANY(CAST(:ids AS bigint[]))")
_OF_OTHERS = sa.text(
    "SELECT org_id FROM orgs WHERE org_id = ANY(CAST(:ids AS bigint[])) AND system <> 'national'"
)
_MINE = sa.text("""
    SELECT a.org_id FROM administrators a JOIN orgs o USING (org_id)
    WHERE a.person_id = :person AND a.active AND o.system = 'national' ORDER BY a.org_id""")
_LOCK = sa.text(
    "SELECT org_id FROM orgs WHERE org_id = ANY(CAST(:ids AS bigint[])) ORDER BY org_id FOR NO KEY UPDATE"
)


def lock(tx: Connection, ids: Sequence[int | None]) -> None:
    """Hold organisations until the transaction ends, so that what is read of them next stays true.

    They are held in the same order always, so no two transactions wait for each other.
    """
    tx.execute(_LOCK, {"ids": sorted({one for one in ids if one is not None})})


def by_ids(tx: Connection, ids: Sequence[int | None]) -> dict[int, Org]:
    """Return living organisations by id."""
    wanted = sorted({one for one in ids if one is not None})
    return {row.org_id: row for row in db.rows(Org, tx.execute(_BY_IDS, {"ids": wanted}))}


def of_others(tx: Connection, org_ids: Collection[int]) -> set[int]:
    """Return those organisations that another system keeps, deleted ones too (FED-01)."""
    return set(tx.scalars(_OF_OTHERS, {"ids": sorted(org_ids)})) if org_ids else set()


def standing(tx: Connection, sessions: Collection[str], actors: Collection[Actor], named: Named) -> Standing:
    """Return which sessions were ended, and which organisations that calls name another system keeps."""
    return Standing(sessions_ended.ended(tx, sessions), of_others(tx, named()))


def paths(tx: Connection, org_ids: Sequence[int]) -> list[str]:
    """Return the paths of organisations as they are now, in the order asked for."""
    found = {row.org_id: row.path for row in tx.execute(_PATHS, {"ids": list(org_ids)})}
    return [found[one] for one in org_ids]


def as_org(row: Org) -> domain.OrgRow:
    """Return an organisation as the rules read it."""
    return cast(domain.OrgRow, row._asdict())


def children(tx: Connection, org_id: int, after: int, limit: int) -> list[Org]:
    """Return direct subordinates in display order, after the given one."""
    return db.rows(Org, tx.execute(_CHILDREN, {"org": org_id, "after": after, "limit": limit}))


class Contact(NamedTuple):
    """The telephone number of an organisation."""

    org_id: int
    full_name: str
    phone: str


def contacts(tx: Connection, text: str) -> list[Contact]:
    """Return leading bodies whose name contains `text`, which is normalised, higher ones first (SRCH-09)."""
    return db.rows(Contact, tx.execute(_CONTACTS, {"text": text, "pieces": domain.bigrams(text)}))


class Holder(NamedTuple):
    """Who has a right over an organisation; an observer's is to look only."""

    org_id: int
    person_id: int
    observer: bool


def administrators(tx: Connection, org_ids: Sequence[int]) -> list[Holder]:
    """Return the administrators of organisations."""
    return db.rows(Holder, tx.execute(_ADMINISTRATORS, {"ids": list(org_ids)}))


def holders(tx: Connection, org_ids: Iterable[int | None]) -> set[tuple[int, int]]:
    """Return the organisations with the persons who administer them."""
    ids = sorted({one for one in org_ids if one is not None})
    return {(row.org_id, row.person_id) for row in administrators(tx, ids)}


def administers(tx: Connection, actor: Actor | None) -> bool:
    """Return whether somebody administers the organisation that they act for."""
    return actor is not None and (actor.org_id, actor.person_id) in holders(tx, [actor.org_id])


def rights(tx: Connection, org_ids: Sequence[int]) -> list[Holder]:
    """Return who has a right over organisations."""
    return db.rows(Holder, tx.execute(_RIGHTS, {"ids": list(org_ids)}))


def administered_by(tx: Connection, person_id: int) -> list[int]:
    """Return the organisations that a person administers; none that another system keeps."""
    return list(tx.scalars(_MINE, {"person": person_id}))


def end_of(path: str) -> str:
    """Return the end of the range of paths that begin with `path`."""
    return path[:-1] + "/" if path else ":"


# ---- cadres ----------------------------------------------------------------------------------------

_POST_ENDED = "n.post = '' AND a.org_id = n.org_id AND a.person_id = n.person_id AND a.active"
_CADRES_CHANGED = sa.text(f"""
    -- of several changes of a post the last
    WITH given AS (SELECT DISTINCT ON (org_id, person_id) * FROM {recordset(CadreChanged)}
        ORDER BY org_id, person_id, version DESC),
    -- those that this service has not heard yet
    newer AS (INSERT INTO cadres AS c ({columns(CadreChanged)}) SELECT * FROM given
        ORDER BY org_id, person_id
        ON CONFLICT (org_id, person_id) DO UPDATE SET
            (post, has_phone, version) = (excluded.post, excluded.has_phone, excluded.version)
        WHERE excluded.version > c.version
        RETURNING *),
    -- rights that end because the post, which is empty then, has ended
    ended AS (UPDATE administrators a SET
            active = false, version = {next_version("a.version")}, changed_at = :now, changed_by = NULL
        FROM {locked("newer n", "administrators a", _POST_ENDED, "a.org_id, a.person_id", of="n.*")} AS n
        WHERE a.org_id = n.org_id AND a.person_id = n.person_id
        RETURNING a.*),
    -- what the other services hear
    told AS ({insert(tell(AdministratorChanged, "ended"))})
    SELECT org_id, person_id, active, observer, true AS was_active, observer AS was_observer FROM ended""")
_CADRES = sa.text(
    "SELECT org_id, person_id FROM cadres WHERE org_id = ANY(CAST(:ids AS bigint[])) AND post <> ''"
)
_REGISTERED = sa.text(f"""
    WITH refused AS (SELECT * FROM json_to_recordset(CAST(:items AS json))
        AS i(org_id bigint, person_id bigint))
    {insert(tell(RegistrationRefused, "refused"))}""")


def change_cadres(tx: Connection, items: Sequence[Any]) -> None:
    """Keep who holds a post where, and tell of the rights that end with a post (ADM-18)."""
    ended = db.run(tx, _CADRES_CHANGED, items, now=clock.now()).all()
    log.append(tx, [right_entry(row, ref="post ended") for row in ended])


def cadres(tx: Connection, org_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Return the organisations and persons that belong together by a post."""
    return {(row.org_id, row.person_id) for row in tx.execute(_CADRES, {"ids": list(org_ids)})}


def refuse_registrations(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Tell of rights that could not be given (ADM-11)."""
    db.run(tx, _REGISTERED, rows)


_NEW_IDS = sa.text("SELECT nextval('new_org_id') FROM generate_series(1, :n)")


def new_ids(tx: Connection, n: int) -> list[int]:
    """Return ids for new organisations."""
    return list(tx.scalars(_NEW_IDS, {"n": n}))
