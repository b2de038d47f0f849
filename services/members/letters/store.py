"""The SQL of letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.recordset import recordset


class Letter(NamedTuple):
    """A stored letter."""

    letter_id: int
    command_id: UUID
    org_id: int
    year: int
    number: int
    code_index: bytes
    member_ids: list[int]
    addressee: str
    issued_at: datetime
    issued_by: int
    valid_until: date | None
    voided_at: datetime | None
    to_org: str
    dues_until: date | None
    void_reason: str
    names: list[str]
    """Of those on it who are still known, in the order of their ids."""


class Voiding(TypedDict):
    """A letter that is declared void, and why."""

    letter_id: int
    reason: str


class Checked(NamedTuple):
    """What a code proves: a letter and the name of its issuer."""

    year: int
    number: int
    issued_at: datetime
    valid_until: date | None
    voided_at: datetime | None
    issuer: str


_NEXT_NUMBERS = sa.text("""
    SELECT i.org_id, greatest(
        (SELECT max(l.number) FROM letters l WHERE l.org_id = i.org_id AND l.year = :year),
        -- what the database lost lies on paper: numbers go on at the minute of the year it came back in
        (SELECT ceil(extract(epoch FROM max(began_at) - year.began) / 60)::int
            FROM lives WHERE lost AND began_at > year.began),
        0) AS last
    FROM unnest(CAST(:ids AS bigint[])) AS i(org_id),
        make_timestamptz(:year, 1, 1, 0, 0, 0, 'Asia/Shanghai') AS year(began)""")
_ISSUE = sa.text("""
    INSERT INTO letters (
        command_id, org_id, year, number, code_index, member_ids,
        addressee, issued_at, issued_by, valid_until, to_org, dues_until)
    SELECT command_id, org_id, year, number, decode(code_index, 'base64'), member_ids,
        addressee, :now, issued_by, valid_until, to_org, dues_until
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        command_id uuid, org_id bigint, year int, number int, code_index text, member_ids bigint[],
        addressee text, issued_by bigint, valid_until date, to_org text, dues_until date)
    RETURNING letter_id, command_id""")
_LETTER = """
    SELECT l.*, coalesce(named.names, '{}') AS names
    FROM letters l
    LEFT JOIN LATERAL (
        SELECT array_agg(p.name ORDER BY p.person_id) AS names
        FROM people p WHERE p.person_id = ANY(l.member_ids)) named ON true"""
_LETTERS_BY_COMMAND = sa.text(f"{_LETTER} WHERE command_id = ANY(CAST(:ids AS uuid[]))")
_LETTERS = sa.text(f"{_LETTER} WHERE letter_id = ANY(CAST(:ids AS bigint[]))")
_LISTED = """
    WHERE l.org_id = :org AND {after}
        -- as `rules.state_of` says it
        AND (:state = '' OR :state = CASE
            WHEN l.voided_at IS NOT NULL THEN 'void'
            WHEN l.valid_until < CAST(:today AS date) THEN 'lapsed'
            ELSE 'in_force' END)
        AND (:text = '' OR l.year || '-' || l.number = :text OR strpos(l.addressee, :text) > 0
            OR EXISTS (SELECT 1 FROM unnest(named.names) AS n(name) WHERE starts_with(n.name, :text)))
    ORDER BY l.letter_id {way}
    LIMIT :limit"""
_NEWEST_FIRST = sa.text(_LETTER + _LISTED.format(after="(:after = 0 OR l.letter_id < :after)", way="DESC"))
_OLDEST_FIRST = sa.text(_LETTER + _LISTED.format(after="l.letter_id > :after", way=""))
_VOID = sa.text(f"""
    UPDATE letters l SET voided_at = :now, void_reason = i.reason
    FROM {recordset(Voiding)}
    WHERE l.letter_id = i.letter_id AND l.letter_id = ANY(ARRAY(
        SELECT letter_id FROM letters
        WHERE letter_id = ANY(CAST(:ids AS bigint[])) AND voided_at IS NULL
        ORDER BY letter_id
        FOR NO KEY UPDATE))
    RETURNING l.letter_id""")
_CHECK = sa.text(
    "SELECT l.*, o.name AS issuer FROM letters l JOIN org_directory o USING (org_id) WHERE code_index = :code"
)


def last_numbers(tx: Connection, org_ids: Iterable[int], year: int) -> dict[int, int]:
    """Return the last number of the year of each issuer; the issuers have to be held (DOC-04)."""
    return {
        row.org_id: row.last for row in tx.execute(_NEXT_NUMBERS, {"ids": sorted(set(org_ids)), "year": year})
    }


def issue(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> dict[UUID, int]:
    """Store letters; return their ids by command."""
    return {row.command_id: row.letter_id for row in db.run(tx, _ISSUE, rows, now=now)} if rows else {}


def letters_by_command(tx: Connection, command_ids: Iterable[UUID]) -> dict[UUID, Letter]:
    """Return letters by the command that asked for them."""
    rows = db.rows(Letter, tx.execute(_LETTERS_BY_COMMAND, {"ids": [str(one) for one in command_ids]}))
    return {row.command_id: row for row in rows}


def letters(tx: Connection, ids: Iterable[int]) -> dict[int, Letter]:
    """Return letters by id."""
    return {row.letter_id: row for row in db.rows(Letter, tx.execute(_LETTERS, {"ids": sorted(set(ids))}))}


def listed(
    tx: Connection,
    org_id: int,
    state: str,
    text: str,
    today: date,
    oldest_first: bool,
    after: int,
    limit: int,
) -> list[Letter]:
    """Return a page of the letters of an issuer (DOC-14)."""
    wanted = {"org": org_id, "state": state, "text": text, "today": today, "after": after, "limit": limit}
    return db.rows(Letter, tx.execute(_OLDEST_FIRST if oldest_first else _NEWEST_FIRST, wanted))


def void(tx: Connection, rows: Sequence[Voiding], now: datetime) -> set[int]:
    """Declare letters void; return those that were in force until then."""
    return set(db.run(tx, _VOID, rows, now=now, ids=[row["letter_id"] for row in rows]).scalars())


def check(tx: Connection, code: bytes) -> Checked | None:
    """Return the letter that a code proves."""
    return db.row(Checked, tx.execute(_CHECK, {"code": code}))
