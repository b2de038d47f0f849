"""The SQL of organisations that are mirrored from a peer's directory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import store
from services.orgs.log import log, org_entry
from services.orgs.mirror.rules import TOPS
from shared import db
from shared.lives import FLOOR, next_version
from shared.messages.orgs import OrgChanged
from shared.outbox import insert, tell
from shared.recordset import Int, columns, recordset


class Written(NamedTuple):
    """An organisation as it is mirrored from now on; a new one takes the rest from its superior."""

    org_id: int
    parent_id: int
    system: str
    kind: str
    short_name: str
    full_name: str
    also: str
    bigrams: list[str]
    spoken: list[str]
    phone: str
    gone: bool
    peer_code: str
    peer_reading: int
    peer_changed: datetime | None


class Seen(NamedTuple):
    """An organisation that was seen in a reading, whatever it says."""

    org_id: int
    peer_reading: int
    peer_changed: datetime | None


class Waiting(NamedTuple):
    """An organisation whose superior was not read yet."""

    system: str
    code: str
    parent_code: str
    reading: int
    org: str


class Page(NamedTuple):
    """A page of a reading of a whole directory."""

    system: str
    reading: int
    page: Int
    last: bool


_ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtext('mirror ' || :system))")
_BY_CODE = sa.text("""
    SELECT * FROM orgs
    WHERE system = :system AND peer_code = ANY(CAST(:codes AS text[])) ORDER BY org_id FOR NO KEY UPDATE""")
_BY_ID = sa.text("SELECT * FROM orgs WHERE org_id = :org")
# What stood in the tree before its system was asked gets its code by its name, once.
_BY_NAME = sa.text("""
    SELECT * FROM orgs WHERE org_id = ANY(ARRAY(
        SELECT DISTINCT ON (plain) org_id FROM orgs
        WHERE plain = ANY(CAST(:names AS text[])) AND system = :system
            AND peer_code IS NULL AND purpose <> 'vault' AND NOT deleted
        ORDER BY plain, length(path), org_id))
    ORDER BY org_id FOR NO KEY UPDATE""")
_WRITE = sa.text(f"""
    WITH given AS (SELECT * FROM {recordset(Written)}),
    saved AS (INSERT INTO orgs AS o ({columns(Written)},
            path, purpose, province, provincial_id, vault_id, industry, division_code, display_order, version)
        SELECT {columns(Written, "g")},
            p.path || g.org_id || '.', 'ordinary', p.province, p.provincial_id, p.vault_id,
            p.industry, p.division_code, g.org_id, {FLOOR}
        FROM given g JOIN orgs p ON p.org_id = g.parent_id
        ORDER BY g.org_id
        -- the place in the tree is changed by `move`
        ON CONFLICT (org_id) DO UPDATE SET ({columns(Written, without=("org_id", "system"))}, version) = (
            {columns(Written, "excluded", without=("org_id", "system"))}, {next_version("o.version")})
        RETURNING *),
    told AS ({insert(tell(OrgChanged, "saved", name="full_name"))})
    SELECT * FROM saved ORDER BY org_id""")
_SEE = sa.text(f"""
    UPDATE orgs o SET (peer_reading, peer_changed) = (i.peer_reading, i.peer_changed)
    FROM {recordset(Seen)} WHERE o.org_id = i.org_id""")
_MOVE = sa.text("""
    UPDATE orgs SET path = :new || substr(path, :skip) WHERE path >= :old AND path < :old_end""")
_WAIT = sa.text(f"""
    INSERT INTO mirror_waiting ({columns(Waiting)})
    SELECT {columns(Waiting)} FROM {recordset(Waiting)} ORDER BY system, code""")
_NEXT = sa.text("""
    DELETE FROM mirror_waiting
    WHERE system = :system
        AND (parent_code = ANY(CAST(:parents AS text[])) OR code = ANY(CAST(:codes AS text[])))
    RETURNING reading, org""")
_PAGES = sa.text(f"""
    WITH added AS (INSERT INTO mirror_pages ({columns(Page)})
        SELECT DISTINCT ON (system, reading, page) {columns(Page)} FROM {recordset(Page)}
        ORDER BY system, reading, page, last DESC
        ON CONFLICT DO NOTHING RETURNING *)
    SELECT * FROM added
    UNION SELECT {columns(Page, "m")} FROM mirror_pages m
        WHERE (m.system, m.reading) IN (SELECT system, reading FROM {recordset(Page)})""")
_FORGET = sa.text("""
    WITH pages AS (DELETE FROM mirror_pages WHERE system = :system AND reading < :reading)
    DELETE FROM mirror_waiting WHERE system = :system AND reading < :reading""")
_UNSEEN = """
    SELECT * FROM orgs
    WHERE system = :system AND peer_reading < :reading AND org_id <> :top
        AND NOT gone AND NOT deleted AND purpose <> 'vault'
        -- what waits for its superior was seen
        AND NOT EXISTS (SELECT FROM mirror_waiting w
            WHERE w.system = orgs.system AND w.code = orgs.peer_code AND w.reading >= :reading)"""
_LEAVE = sa.text(f"""
    WITH unseen AS ({_UNSEEN} ORDER BY org_id LIMIT :limit FOR NO KEY UPDATE),
    changed AS (UPDATE orgs o SET gone = true, version = {next_version("o.version")}
        FROM unseen u WHERE o.org_id = u.org_id RETURNING o.*),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT * FROM changed ORDER BY org_id""")
LEAVE_AT_ONCE = 1_000
"""Organisations that one statement marks as gone."""


def alone(tx: Connection, system: str) -> None:
    """Hold the mirror of a system until the transaction ends: its pages are taken one after the other."""
    tx.execute(_ALONE, {"system": system})


def by_code(tx: Connection, system: str, codes: Collection[str]) -> dict[str, Any]:
    """Return the organisations of a system by its own codes."""
    rows = tx.execute(_BY_CODE, {"system": system, "codes": sorted(codes)})
    return {row.peer_code: row for row in rows}


def by_name(tx: Connection, system: str, names: Collection[str]) -> dict[str, Any]:
    """Return organisations of a system that have no code yet, by their normalised full names."""
    rows = tx.execute(_BY_NAME, {"system": system, "names": sorted(names)})
    return {row.plain: row for row in rows}


def top(tx: Connection, system: str) -> Any:
    """Return the provincial body below which the organisations of a system stand, or None."""
    return tx.execute(_BY_ID, {"org": TOPS[system]}).one_or_none()


def write(tx: Connection, rows: Sequence[Written], before: dict[int, Any]) -> None:
    """Write organisations, tell of them, and say in the audit log what has become of each."""
    if not rows:
        return
    entries = []
    for row in db.run(tx, _WRITE, [one._asdict() for one in rows]):
        was = before.get(row.org_id)
        kind = ""
        if was is not None and was.gone != row.gone:
            kind = "org.gone" if row.gone else "org.back"
        elif was is not None and was.parent_id != row.parent_id:
            kind = "org.moved"
        entries.append(org_entry(was._mapping if was is not None else None, row._mapping, kind))
    log.append(tx, entries)


def see(tx: Connection, rows: Sequence[Seen]) -> None:
    """Note that organisations were seen; nobody is told."""
    if rows:
        db.run(tx, _SEE, [one._asdict() for one in rows])


def move(tx: Connection, old: str, new: str) -> None:
    """Give a subtree the paths of its new place; whoever hears of its top moves what lies below."""
    values = {"new": new, "skip": len(old) + 1, "old": old, "old_end": store.end_of(old)}
    tx.execute(_MOVE, values)


def wait(tx: Connection, rows: Sequence[Waiting]) -> None:
    """Keep organisations until their superiors are read; what waited with their codes was taken out."""
    if rows:
        db.run(tx, _WAIT, [one._asdict() for one in rows])


def next_ones(tx: Connection, system: str, codes: Collection[str], parents: Collection[str]) -> list[Any]:
    """Take out what waits for one of the superiors, and what waits with one of the codes."""
    values = {"system": system, "codes": sorted(codes), "parents": sorted(parents)}
    return list(tx.execute(_NEXT, values))


def add_pages(tx: Connection, pages: Sequence[Page]) -> dict[tuple[str, int], dict[int, bool]]:
    """Note that pages were read; return of their readings all pages so far, with whether each is the last."""
    found: dict[tuple[str, int], dict[int, bool]] = {}
    for row in db.run(tx, _PAGES, [one._asdict() for one in pages]):
        found.setdefault((row.system, row.reading), {})[row.page] = row.last
    return found


def leave(tx: Connection, system: str, reading: int) -> int:
    """Mark as gone what a reading of a system's whole directory has not, and tell; return how many."""
    gone = 0
    values = {"system": system, "reading": reading, "top": TOPS[system], "limit": LEAVE_AT_ONCE}
    while rows := tx.execute(_LEAVE, values).all():
        log.append(tx, [org_entry(row._mapping, row._mapping, "org.gone") for row in rows])
        gone += len(rows)
    tx.execute(_FORGET, {"system": system, "reading": reading})
    return gone
