"""The SQL of those who go to another system and of those who come from one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, TypedDict

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members.store import Person
from shared import clock, db
from shared.messages.federation import HomeCorrected, HomeWanted
from shared.messages.members import CadreChanged
from shared.messages.transfers import HandoverOpened
from shared.outbox import insert, tell
from shared.recordset import columns, locked, recordset

# ---- who goes ------------------------------------------------------------------------------------


class Stay(NamedTuple):
    """A stay in a branch, by its full name."""

    person_id: int
    branch: str
    since: date
    until: date | None


_HOLD = sa.text("""
    SELECT * FROM people
    WHERE person_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY person_id
    FOR NO KEY UPDATE""")
_STAYS_HERE = f"""
    SELECT m.person_id, d.name AS branch, {clock.day_sql("m.began_at")} AS since,
        {clock.day_sql("m.ended_at")} AS until
    FROM memberships m JOIN org_directory d ON d.org_id = m.branch_id
    WHERE m.person_id = ANY(CAST(:ids AS bigint[])) AND d.system = 'national'"""
_HERE = sa.text(_STAYS_HERE)
_STAYS = sa.text(f"""{_STAYS_HERE}
    UNION ALL
    SELECT person_id, branch, since, until FROM stays_elsewhere
    WHERE person_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY person_id, since, until NULLS LAST, branch""")
_BEGIN = sa.text(f"""
    INSERT INTO handovers (transfer_id, person_id, peer, opened_at)
    SELECT transfer_id, member_id, peer, :now FROM {recordset(HandoverOpened)}
    ORDER BY transfer_id
    ON CONFLICT DO NOTHING
    RETURNING transfer_id""")
_BEGUN = sa.text("SELECT transfer_id FROM handovers WHERE transfer_id = ANY(CAST(:ids AS bigint[]))")


def hold(tx: Connection, person_ids: Iterable[int]) -> dict[int, Person]:
    """Return people by id, held until the transaction ends, so that nobody edits them meanwhile."""
    rows = db.rows(Person, tx.execute(_HOLD, {"ids": sorted(set(person_ids))}))
    return {row.person_id: row for row in rows}


def stays(tx: Connection, person_ids: Iterable[int]) -> dict[int, list[Stay]]:
    """Return people's stays in branches here and, as their records told, elsewhere; oldest first."""
    found: dict[int, list[Stay]] = {}
    for row in db.rows(Stay, tx.execute(_STAYS, {"ids": sorted(set(person_ids))})):
        found.setdefault(row.person_id, []).append(row)
    return found


def stays_here(tx: Connection, person_ids: Iterable[int]) -> dict[int, set[tuple[str, date]]]:
    """Return the branches here in which people have stood, and since when."""
    found: dict[int, set[tuple[str, date]]] = {}
    for row in db.rows(Stay, tx.execute(_HERE, {"ids": sorted(set(person_ids))})):
        found.setdefault(row.person_id, set()).add((row.branch, row.since))
    return found


def begin_handovers(tx: Connection, items: Sequence[HandoverOpened], now: datetime) -> set[int]:
    """Note that records are handed over: as long as these transfers hold their members (FED-10).

    Return the transfers of which that is new.
    """
    return set(db.run(tx, _BEGIN, items, now=now).scalars()) if items else set()


def begun_handovers(tx: Connection, transfer_ids: Iterable[int]) -> set[int]:
    """Return those of some transfers whose record was sealed once."""
    return set(tx.scalars(_BEGUN, {"ids": sorted(set(transfer_ids))}))


# ---- who comes -----------------------------------------------------------------------------------


class Arrival(NamedTuple):
    """Somebody whom another system has offered: the person, or why nobody comes (`code`).

    `there` says that the person is still known here.
    """

    subject: str
    peer: str
    person_id: int | None
    code: str
    transfer_id: int | None
    ended: bool
    completed: bool
    there: bool


class NewArrival(TypedDict):
    """An offer that is answered."""

    subject: str
    peer: str
    person_id: int | None
    branch_id: int
    code: str
    unbound: bool
    remark_sealed: str | None


class Brought(TypedDict):
    """Somebody known here, and the branch of the other system in which the person stands."""

    person_id: int
    branch_id: int


class Taken(TypedDict):
    """What is taken over of a record, sealed values as base64; empty texts and None leave what is there."""

    person_id: int
    joined_on: date | None
    ethnic_group: str
    development_number: str
    phone_sealed: str | None
    contact_sealed: str | None
    emergency_sealed: str | None
    party: bool


class StayElsewhere(TypedDict):
    """A stay that a record told of."""

    person_id: int
    number: int
    branch: str
    since: date
    until: date | None


_ARRIVALS = sa.text("""
    SELECT a.subject, a.peer, a.person_id, a.code, a.transfer_id, a.ended_at IS NOT NULL AS ended,
        a.completed, EXISTS (SELECT 1 FROM people p WHERE p.person_id = a.person_id) AS there
    FROM arrivals a
    WHERE a.subject = ANY(CAST(:subjects AS text[]))""")
_HOLD_KNOWN = sa.text("""
    SELECT * FROM people
    WHERE id_index = ANY(:indexes)
    ORDER BY person_id
    FOR NO KEY UPDATE""")
_UNDER_WAY = sa.text("""
    SELECT person_id, branch_id FROM arrivals
    WHERE person_id = ANY(CAST(:ids AS bigint[])) AND ended_at IS NULL""")
_REMARKS = sa.text("""
    SELECT transfer_id, remark_sealed FROM arrivals
    WHERE transfer_id = ANY(CAST(:ids AS bigint[])) AND ended_at IS NULL AND remark_sealed IS NOT NULL""")
_REMEMBER = sa.text(f"""
    INSERT INTO arrivals ({columns(NewArrival)}, offered_at, ended_at)
    SELECT {columns(NewArrival, remark_sealed="decode(remark_sealed, 'base64')")}, :now,
        CASE WHEN person_id IS NULL THEN CAST(:now AS timestamptz) END
    FROM {recordset(NewArrival)}
    ORDER BY subject""")
_ELSEWHERE = "p.person_id = i.person_id AND p.branch_id IS DISTINCT FROM i.branch_id"
_BRING = sa.text(f"""
    WITH given AS (SELECT * FROM {recordset(Brought)}),
    brought AS (
        UPDATE people p SET branch_id = i.branch_id
        FROM {locked("given i", "people p", _ELSEWHERE, "p.person_id")} AS i
        WHERE p.person_id = i.person_id
        RETURNING p.person_id, p.branch_id
    ),
    closed AS (
        UPDATE memberships m SET ended_at = :now
        FROM brought b
        WHERE m.person_id = b.person_id AND m.ended_at IS NULL
        RETURNING m.person_id
    )
    -- the count is always true and only makes PostgreSQL close the old stay first
    INSERT INTO memberships (person_id, began_at, branch_id)
    SELECT person_id, :now, branch_id FROM brought
    WHERE (SELECT count(*) FROM closed) >= 0""")
_FOLLOW = sa.text("""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
            transfer_id bigint, member_id bigint, source_branch_id bigint)
    )
    UPDATE arrivals a SET transfer_id = g.transfer_id
    FROM given g JOIN people p ON p.person_id = g.member_id AND p.reserved_by = g.transfer_id
    WHERE a.person_id = g.member_id AND a.branch_id = g.source_branch_id
        AND a.ended_at IS NULL AND a.transfer_id IS NULL""")
_OVER = """
    over AS (
        UPDATE arrivals a SET ended_at = :now, remark_sealed = NULL
        FROM ended e
        WHERE a.subject = e.subject
        RETURNING a.person_id, a.branch_id, a.unbound
    ),
    -- who was here before, in no branch, is in none again
    loose AS (
        UPDATE people p SET branch_id = NULL
        FROM over o
        WHERE p.person_id = o.person_id AND p.branch_id = o.branch_id AND o.unbound
        RETURNING p.person_id
    )
    DELETE FROM memberships m USING loose l WHERE m.person_id = l.person_id AND m.ended_at IS NULL"""
_OPEN_OF_TRANSFER = "given i JOIN arrivals a ON a.transfer_id = i.transfer_id AND a.ended_at IS NULL"
_END = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(transfer_id bigint)),
    ended AS MATERIALIZED (
        {locked(_OPEN_OF_TRANSFER, "people p", "p.person_id = a.person_id", "p.person_id", of="a.subject")}
    ),
    {_OVER}""")
_OPEN_UNBEGUN = """given i JOIN arrivals a ON a.person_id = i.member_id AND a.peer = i.peer
            AND a.ended_at IS NULL AND a.transfer_id IS NULL"""
_END_UNBEGUN = sa.text(f"""
    WITH given AS (
        SELECT DISTINCT * FROM json_to_recordset(CAST(:items AS json)) AS i(member_id bigint, peer text)
    ),
    ended AS MATERIALIZED (
        {locked(_OPEN_UNBEGUN, "people p", "p.person_id = a.person_id", "p.person_id", of="a.subject")}
    ),
    {_OVER}""")
_OPEN_DROPPED = """given i JOIN arrivals a ON a.subject = i.subject AND a.peer = i.peer
            AND a.ended_at IS NULL AND a.transfer_id IS NULL"""
_END_DROPPED = sa.text(f"""
    WITH given AS (
        SELECT DISTINCT * FROM json_to_recordset(CAST(:items AS json)) AS i(subject text, peer text)
    ),
    ended AS MATERIALIZED (
        {locked(_OPEN_DROPPED, "people p", "p.person_id = a.person_id", "p.person_id", of="a.subject")}
    ),
    {_OVER}""")
_COMPLETE = sa.text("""
    WITH arrived AS (
        UPDATE arrivals a SET ended_at = :now, completed = true, remark_sealed = NULL
        FROM json_to_recordset(CAST(:items AS json)) AS i(
            transfer_id bigint, member_id bigint, branch_id bigint)
        CROSS JOIN LATERAL (
            SELECT 1 FROM people p WHERE p.person_id = i.member_id AND p.branch_id = i.branch_id OFFSET 0) p
        WHERE a.transfer_id = i.transfer_id AND a.ended_at IS NULL
        RETURNING a.person_id
    )
    INSERT INTO accounts (person_id, initial_tail)
    SELECT person_id, CAST(:tail AS int) FROM arrived
    ORDER BY person_id
    ON CONFLICT DO NOTHING""")
_TAKE_OVER = sa.text(f"""
    UPDATE people p
    SET joined_on = coalesce(i.joined_on, p.joined_on),
        ethnic_group = CASE WHEN i.ethnic_group = '' THEN p.ethnic_group ELSE i.ethnic_group END,
        development_number =
            CASE WHEN i.development_number = '' THEN p.development_number ELSE i.development_number END,
        phone_sealed = coalesce(decode(i.phone_sealed, 'base64'), p.phone_sealed),
        contact_sealed = coalesce(decode(i.contact_sealed, 'base64'), p.contact_sealed),
        emergency_sealed = coalesce(decode(i.emergency_sealed, 'base64'), p.emergency_sealed),
        party = i.party
    FROM {recordset(Taken)}
    WHERE p.person_id = i.person_id""")
_FORGET_STAYS = sa.text("DELETE FROM stays_elsewhere WHERE person_id = ANY(CAST(:ids AS bigint[]))")
_TELL_STAYS = sa.text(f"""
    INSERT INTO stays_elsewhere ({columns(StayElsewhere)})
    SELECT {columns(StayElsewhere)} FROM {recordset(StayElsewhere)}""")
_ERASE = sa.text("""
    WITH due AS (
        SELECT subject, person_id FROM arrivals
        WHERE person_id IS NOT NULL AND NOT completed AND NOT settled AND ended_at < :before
        ORDER BY subject
        FOR UPDATE
    ),
    -- whom nothing but these offers has brought here: every other way makes an account
    nobody AS (
        SELECT p.person_id FROM people p
        WHERE p.person_id IN (SELECT person_id FROM due) AND p.reserved_by IS NULL
            AND NOT EXISTS (SELECT 1 FROM accounts c WHERE c.person_id = p.person_id)
            AND NOT EXISTS (SELECT 1 FROM posts o WHERE o.person_id = p.person_id)
            AND NOT EXISTS (SELECT 1 FROM arrivals a WHERE a.person_id = p.person_id AND a.ended_at IS NULL)
            AND NOT EXISTS (
                SELECT 1 FROM memberships m JOIN org_directory d ON d.org_id = m.branch_id
                WHERE m.person_id = p.person_id AND d.system = 'national')
        ORDER BY p.person_id
        FOR UPDATE
    ),
    gone AS (DELETE FROM people p USING nobody n WHERE p.person_id = n.person_id),
    stays_gone AS (DELETE FROM memberships m USING nobody n WHERE m.person_id = n.person_id),
    told_gone AS (DELETE FROM stays_elsewhere s USING nobody n WHERE s.person_id = n.person_id),
    settled AS (UPDATE arrivals a SET settled = true FROM due d WHERE a.subject = d.subject)
    SELECT person_id FROM nobody""")


def arrivals(tx: Connection, subjects: Iterable[str]) -> dict[str, Arrival]:
    """Return those of some offers that were answered, by subject."""
    rows = db.rows(Arrival, tx.execute(_ARRIVALS, {"subjects": sorted(set(subjects))}))
    return {row.subject: row for row in rows}


def hold_known(tx: Connection, indexes: Iterable[bytes]) -> dict[bytes, Person]:
    """Return who is known under blind indexes, held until the transaction ends."""
    rows = db.rows(Person, tx.execute(_HOLD_KNOWN, {"indexes": sorted(set(indexes))}))
    return {bytes(row.id_index): row for row in rows}


def under_way(tx: Connection, person_ids: Iterable[int]) -> dict[int, int]:
    """Return the branches of other systems from which people are to come, by person."""
    rows = tx.execute(_UNDER_WAY, {"ids": sorted(set(person_ids))})
    return {row.person_id: row.branch_id for row in rows}


def remarks(tx: Connection, transfer_ids: Iterable[int]) -> dict[int, bytes]:
    """Return what was said beside who is to come, sealed, by the transfer that is under way."""
    rows = db.prepared(tx, _REMARKS, ids=sorted(set(transfer_ids)))
    return {row.transfer_id: row.remark_sealed for row in rows}


def remember(tx: Connection, rows: Sequence[NewArrival], now: datetime) -> None:
    """Store the answers to offers; of whom nobody comes they have ended."""
    if rows:
        db.run(tx, _REMEMBER, rows, now=now)


def bring(tx: Connection, rows: Sequence[Brought], now: datetime) -> None:
    """Let people stand in the branches that another system says, if they do not stand there (FED-14)."""
    if rows:
        db.run(tx, _BRING, rows, now=now)


def follow(tx: Connection, items: Sequence[Any]) -> None:
    """Note which transfers hold people who are to come."""
    db.run(tx, _FOLLOW, items)


def end(tx: Connection, items: Sequence[Any], now: datetime) -> None:
    """End the arrivals of transfers by which nobody has moved."""
    db.run(tx, _END, items, now=now)


def end_unbegun(tx: Connection, items: Sequence[dict[str, Any]], now: datetime) -> None:
    """End the arrivals of people, each from a system, for which no transfer was begun."""
    if items:
        db.run(tx, _END_UNBEGUN, items, now=now)


def end_dropped(tx: Connection, items: Sequence[Any], now: datetime) -> None:
    """End the arrivals of some offers for which no transfer has begun."""
    db.run(tx, _END_DROPPED, items, now=now)


def complete(tx: Connection, items: Sequence[Any], now: datetime, tail: int) -> None:
    """End the arrivals of transfers that have moved their person, who has an account from now on (ACC-04)."""
    told = msgspec.json.encode(list(items)).decode()
    db.prepared(tx, _COMPLETE, items=told, now=now, tail=tail)


def take_over(tx: Connection, rows: Sequence[Taken], stays: Sequence[StayElsewhere]) -> None:
    """Write what records say of people; the people are held. What an earlier record told of stays goes."""
    if rows:
        db.run(tx, _TAKE_OVER, rows)
        tx.execute(_FORGET_STAYS, {"ids": [row["person_id"] for row in rows]})
    if stays:
        db.run(tx, _TELL_STAYS, stays)


def erase(tx: Connection, before: datetime) -> list[int]:
    """Erase people who were offered, have not come, and whom nothing else ties to us; return who they were.

    Offers that ended before an instant are looked at, each once.
    """
    return list(tx.scalars(_ERASE, {"before": before}))


# ---- where they are ------------------------------------------------------------------------------


class Corrected(NamedTuple):
    """Somebody who was put into another branch."""

    person_id: int
    was: int | None
    branch_id: int


_HOMES = sa.text("""
    SELECT i.subject,
        CASE
            WHEN p.person_id IS NULL THEN 'nobody'
            WHEN p.reserved_by IS NOT NULL THEN 'moving'
            WHEN d.system = 'national' THEN 'here'
            WHEN d.system = i.peer THEN 'there'
            ELSE 'elsewhere'
        END AS home
    FROM json_to_recordset(CAST(:items AS json)) AS i(subject text, peer text, person_id bigint)
    LEFT JOIN people p ON p.person_id = i.person_id
    LEFT JOIN org_directory d ON d.org_id = p.branch_id""")
_WRONG = "p.person_id = i.person_id AND p.reserved_by IS NULL AND p.branch_id IS DISTINCT FROM i.branch_id"
_CORRECT = sa.text(f"""
    WITH given AS (
        SELECT i.person_id, i.branch_id, d.system = 'national' AS here
        FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, branch_id bigint)
        JOIN org_directory d ON d.org_id = i.branch_id
    ),
    wrong AS MATERIALIZED (
        SELECT i.*, p.branch_id AS was
        FROM given i JOIN people p ON {_WRONG}
        ORDER BY i.person_id
        FOR NO KEY UPDATE OF p
    ),
    put AS (
        UPDATE people p SET branch_id = w.branch_id, graduate = p.graduate AND w.here
        FROM wrong w
        WHERE p.person_id = w.person_id
        RETURNING w.*
    ),
    closed AS (
        UPDATE memberships m SET ended_at = :now
        FROM put w
        WHERE m.person_id = w.person_id AND m.ended_at IS NULL
        RETURNING m.person_id
    ),
    -- the count is always true and only makes PostgreSQL close the old stay first
    begun AS (
        INSERT INTO memberships (person_id, began_at, branch_id)
        SELECT person_id, :now, branch_id FROM put
        WHERE (SELECT count(*) FROM closed) >= 0
    ),
    resigned AS (
        UPDATE posts o SET ended_at = :now
        FROM put w
        WHERE o.person_id = w.person_id AND o.ended_at IS NULL AND NOT w.here
        RETURNING o.org_id, o.person_id, o.post AS was, '' AS post, false AS has_phone,
            nextval('post_version') AS version
    ),
    account AS (
        INSERT INTO accounts (person_id, initial_tail)
        SELECT person_id, :tail FROM put
        WHERE here
        ORDER BY person_id
        ON CONFLICT DO NOTHING
    ),
    told AS ({insert(tell(CadreChanged, "resigned"))})
    SELECT w.person_id, w.was, w.branch_id, r.org_id, r.was AS post
    FROM put w LEFT JOIN resigned r USING (person_id)""")


class Resigned(NamedTuple):
    """A post that somebody has no longer."""

    org_id: int
    person_id: int
    was: str


def homes(tx: Connection, items: Sequence[HomeWanted]) -> dict[str, str]:
    """Return where people are, by the subjects of their transfers: in the words of `HomeTold`."""
    return {row.subject: row.home for row in db.run(tx, _HOMES, items)}


def correct(
    tx: Connection, items: Sequence[HomeCorrected], now: datetime, tail: int
) -> tuple[list[Corrected], list[Resigned]]:
    """Put people into branches, but those whom a transfer holds; return who was, and which posts ended."""
    # of two corrections of one person the last one counts
    rows = list({item.person_id: item for item in items}.values())
    found = db.run(tx, _CORRECT, rows, now=now, tail=tail).all()
    moved = {row.person_id: Corrected(row.person_id, row.was, row.branch_id) for row in found}
    resigned = [Resigned(row.org_id, row.person_id, row.post) for row in found if row.org_id is not None]
    return list(moved.values()), resigned
