"""The SQL of posts, registration codes and self-registrations."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members.log import log, post_entries
from shared import db
from shared.audit import Entry
from shared.messages.members import CadreChanged
from shared.outbox import insert, tell

_LOCK_ORGS = sa.text("SELECT org_id FROM org_directory WHERE org_id = ANY(CAST(:ids AS bigint[])) ORDER BY org_id FOR NO KEY UPDATE")
_POSTS_OF = sa.text("""
    SELECT p.org_id, p.person_id, p.post, p.began_at, q.name, q.complete FROM posts p JOIN people q USING (person_id)
    WHERE p.org_id = ANY(CAST(:ids AS bigint[])) AND p.ended_at IS NULL ORDER BY p.org_id, p.post <> 'secretary', p.began_at, p.person_id""")
_POSTS_HELD = sa.text("""
    SELECT p.org_id, p.person_id, p.post, p.began_at, q.name, q.complete FROM posts p JOIN people q USING (person_id)
    WHERE p.person_id = ANY(CAST(:ids AS bigint[])) AND p.ended_at IS NULL ORDER BY p.person_id, p.org_id""")
_END_POSTS = sa.text("""
    UPDATE posts p SET ended_at = greatest(:now, p.began_at) FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint)
    WHERE p.org_id = i.org_id AND p.person_id = i.person_id AND p.ended_at IS NULL RETURNING p.org_id, p.person_id, p.post""")
_BEGIN_POSTS = sa.text(f"""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint, post text, changed_by bigint)),
    begun AS (INSERT INTO posts (org_id, person_id, began_at, post, changed_by)
        SELECT org_id, person_id, clock_timestamp(), post, changed_by FROM given WHERE post <> ''),
    appointed AS (SELECT g.org_id, g.person_id, g.post, coalesce(p.phone_sealed IS NOT NULL, false) AS has_phone, nextval('post_version') AS version
        FROM given g LEFT JOIN people p USING (person_id))
    {insert(tell(CadreChanged, "appointed"))}""")
_HOLD_PEOPLE = sa.text("SELECT person_id FROM people WHERE person_id = ANY(CAST(:ids AS bigint[])) ORDER BY person_id FOR SHARE")
_TELL_POSTS = sa.text(f"""
    WITH appointed AS (SELECT o.org_id, o.person_id, o.post, p.phone_sealed IS NOT NULL AS has_phone, nextval('post_version') AS version
        FROM posts o JOIN people p USING (person_id) WHERE o.person_id = ANY(CAST(:ids AS bigint[])) AND o.ended_at IS NULL)
    {insert(tell(CadreChanged, "appointed"))}""")
_ADMINISTER_AT = sa.text("""
    SELECT a.org_id, a.person_id FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint)
    JOIN administrator_directory a USING (org_id, person_id) WHERE a.active""")
_RIGHTS_HELD = sa.text("""
    SELECT a.person_id, o.path FROM administrator_directory a JOIN org_directory o USING (org_id)
    WHERE a.person_id = ANY(CAST(:ids AS bigint[])) AND a.active AND NOT o.deleted""")
_ADMINISTRATORS = sa.text("""
    SELECT org_id, count(*)::int AS n FROM administrator_directory WHERE org_id = ANY(CAST(:ids AS bigint[])) AND active GROUP BY org_id""")


def lock(tx: Connection, org_ids: Iterable[int]) -> None:
    """Hold organisations until the transaction ends: posts and codes of one change one after the other."""
    tx.execute(_LOCK_ORGS, {"ids": sorted(set(org_ids))})


def posts_of(tx: Connection, org_ids: Iterable[int]) -> Sequence[sa.Row[Any]]:
    """Return who holds which post in organisations, secretaries first."""
    return tx.execute(_POSTS_OF, {"ids": sorted(set(org_ids))}).all()


def posts_held(tx: Connection, person_ids: Iterable[int]) -> Sequence[sa.Row[Any]]:
    """Return the posts that people hold."""
    return tx.execute(_POSTS_HELD, {"ids": sorted(set(person_ids))}).all()


def set_posts(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """End the posts that people hold in organisations, begin the given ones, and tell; an empty post only ends (CADRE-04).

    The people are held, so that of a new post and a new telephone number the later one tells of both. A row says who changes it in
    `changed_by`, and for the audit log in `changed_for`, `request_id` and `ref`.
    """
    if rows:
        tx.execute(_HOLD_PEOPLE, {"ids": sorted({row["person_id"] for row in rows})})
        ended = {(row.org_id, row.person_id): row.post for row in db.run(tx, _END_POSTS, rows, now=now)}
        db.run(tx, _BEGIN_POSTS, rows)
        log.append(tx, post_entries(rows, ended))


def tell_posts(tx: Connection, person_ids: Iterable[int]) -> None:
    """Tell of the posts of people whose telephone number has just been changed in this transaction (ORG-21)."""
    ids = sorted(set(person_ids))
    if ids:
        tx.execute(_TELL_POSTS, {"ids": ids})


def administering(tx: Connection, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return those pairs of organisation and person that belong together by the right to administer."""
    rows = db.run(tx, _ADMINISTER_AT, [{"org_id": org_id, "person_id": person_id} for org_id, person_id in set(pairs)])
    return {(row.org_id, row.person_id) for row in rows}


def rights_held(tx: Connection, person_ids: Iterable[int]) -> dict[int, list[str]]:
    """Return the paths of the organisations over which people have a right of any kind, by person."""
    held: dict[int, list[str]] = {}
    for row in tx.execute(_RIGHTS_HELD, {"ids": sorted(set(person_ids))}):
        held.setdefault(row.person_id, []).append(row.path)
    return held


def administrators(tx: Connection, org_ids: Iterable[int]) -> dict[int, int]:
    """Return how many administrators organisations have."""
    return {row.org_id: row.n for row in tx.execute(_ADMINISTRATORS, {"ids": sorted(set(org_ids))})}


# ---- registration codes ----------------------------------------------------------------------------------------------

_ISSUE = sa.text("""
    INSERT INTO registration_codes (org_id, code_index, expires_at, issued_by, issued_at)
    SELECT org_id, decode(code_index, 'base64'), expires_at, issued_by, :now
        FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, code_index text, expires_at timestamptz, issued_by bigint) ORDER BY org_id
    ON CONFLICT (org_id) DO UPDATE SET (code_index, expires_at, issued_by, issued_at, spent_by, spent_at) =
        (excluded.code_index, excluded.expires_at, excluded.issued_by, excluded.issued_at, NULL, NULL)""")
_HOLD_CODE = sa.text("""
    SELECT c.*, o.name, o.kind FROM registration_codes c JOIN org_directory o USING (org_id)
    WHERE code_index = :code AND spent_by IS NULL AND (expires_at IS NULL OR expires_at > :now) AND NOT o.deleted FOR UPDATE OF c""")
_SPEND = sa.text("UPDATE registration_codes SET spent_by = :person, spent_at = :now WHERE code_index = :code AND spent_by IS NULL")
_GIVE_BACK = sa.text("""
    UPDATE registration_codes c SET spent_by = NULL, spent_at = NULL FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint, person_id bigint)
    WHERE c.org_id = i.org_id AND c.spent_by = i.person_id""")


def issue_codes(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Store registration codes by their keyed hashes, each in place of the organisation's earlier one (ADM-13)."""
    db.run(tx, _ISSUE, rows, now=now)


def hold_code(tx: Connection, code: bytes, now: datetime) -> sa.Row[Any] | None:
    """Return an unspent code with its organisation's name and kind, held until the transaction ends."""
    return tx.execute(_HOLD_CODE, {"code": code, "now": now}).one_or_none()


def spend_code(tx: Connection, code: bytes, person_id: int, now: datetime) -> None:
    """Use a code up (ADM-09)."""
    tx.execute(_SPEND, {"code": code, "person": person_id, "now": now})


def give_back(tx: Connection, items: Sequence[Any]) -> None:
    """Make codes good again whose right could not be given (ADM-11)."""
    db.run(tx, _GIVE_BACK, items)


# ---- self-registration -----------------------------------------------------------------------------------------------

_ASK = sa.text("""
    INSERT INTO registrations (person_id, org_id, post, state, asked_at, expires_at) VALUES (:person, :org, :post, 'pending', :now, :expires)
    ON CONFLICT DO NOTHING RETURNING registration_id""")
_HOLD = sa.text("""
    SELECT r.*, p.name, p.id_sealed, p.phone_sealed, p.joined_on, p.branch_id FROM registrations r JOIN people p USING (person_id)
    WHERE registration_id = ANY(CAST(:ids AS bigint[])) ORDER BY registration_id FOR UPDATE OF r""")
_SETTLE = sa.text("""
    UPDATE registrations r SET state = i.state, note = i.note, decided_at = :now, decided_by = i.decided_by
    FROM json_to_recordset(CAST(:items AS json)) AS i(registration_id bigint, state text, note text, decided_by bigint)
    WHERE r.registration_id = i.registration_id AND r.state = 'pending'""")
_EXPIRE = sa.text("UPDATE registrations SET state = 'expired', decided_at = :now WHERE state = 'pending' AND expires_at <= :now"
                  " RETURNING registration_id, org_id, person_id")
_LISTED = "SELECT r.*, p.name, p.id_sealed, p.phone_sealed, p.joined_on FROM registrations r JOIN people p USING (person_id)"
_WAITING = sa.text(f"{_LISTED} WHERE r.org_id = :org AND r.state = 'pending' ORDER BY registration_id LIMIT 500")
_OWN = sa.text(f"{_LISTED} WHERE r.person_id = :person ORDER BY registration_id DESC LIMIT 50")
_JOIN = sa.text("""
    WITH given AS (SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint, branch_id bigint)),
    joined AS (UPDATE people p SET branch_id = g.branch_id FROM given g WHERE p.person_id = g.person_id AND p.branch_id IS NULL RETURNING p.person_id, p.branch_id)
    INSERT INTO memberships (person_id, began_at, branch_id) SELECT person_id, :now, branch_id FROM joined""")


def ask(tx: Connection, person_id: int, org_id: int, post: str, now: datetime, expires: datetime) -> int | None:
    """Store a registration and return its id; None if one of the person is pending already."""
    made: int | None = tx.execute(_ASK, {"person": person_id, "org": org_id, "post": post, "now": now, "expires": expires}).scalar_one_or_none()
    return made


def hold(tx: Connection, ids: Iterable[int]) -> dict[int, sa.Row[Any]]:
    """Return registrations with their persons, held until the transaction ends."""
    return {row.registration_id: row for row in tx.execute(_HOLD, {"ids": sorted(set(ids))})}


def settle(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Store what became of pending registrations."""
    db.run(tx, _SETTLE, rows, now=now)


def join(tx: Connection, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    """Put accepted applicants into their branches and begin their stays (REG-03)."""
    db.run(tx, _JOIN, rows, now=now)


def expire(tx: Connection, now: datetime) -> int:
    """End registrations that nobody decided in time (REG-04); return how many."""
    rows = tx.execute(_EXPIRE, {"now": now}).all()
    log.append(tx, [Entry(kind="registration.expired", place_id=row.org_id, persons=[row.person_id], ref=f"registration {row.registration_id}") for row in rows])
    return len(rows)


def waiting(tx: Connection, org_id: int) -> Sequence[sa.Row[Any]]:
    """Return the pending registrations of an organisation, oldest first (REG-07)."""
    return tx.execute(_WAITING, {"org": org_id}).all()


def own(tx: Connection, person_id: int) -> Sequence[sa.Row[Any]]:
    """Return a person's registrations, newest first."""
    return tx.execute(_OWN, {"person": person_id}).all()
