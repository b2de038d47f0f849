"""How often something may be tried, counted in the table of a service (ACC-10, SRCH-10).

Tries are counted with an account, with an account from one address, and from an address at all. A
school stands behind one address, so an address is never closed to people who have signed in from it
before: from where too much fails, others are asked for a captcha first, and only far beyond that
are they refused. An account is closed after some wrong passwords from one place, or more from
everywhere, each time for twice as long; who has signed in from a place before is not kept out there
by what others try elsewhere. docs/security.md has the reasons and the figures.

A try is counted in the statement that gives its verdict. Of any number of tries at the same moment
as many are answered as are allowed, no more: whoever comes to the count as one too many hears that,
and not whether the password was right.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import clock, db
from shared.errors import Refusal, Refused

FAILURES_COUNT_FOR = timedelta(days=1)
"""How long failures with an account count; a success ends that."""
LOCK_FOR = timedelta(minutes=15)
"""How long the first lock lasts, each later one twice as long.

Also how long failures from an address count.
"""
TOO_OFTEN = Refusal("too_many_attempts", {"minutes": str(LOCK_FOR // timedelta(minutes=1))})
"""Of an item of a list of which a person has sent, or had done to the account, too many."""
LOCK_LONGEST = timedelta(hours=24)
LOCK_REMEMBERED = timedelta(days=7)
"""After so long without another the next lock is a first one again."""

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::\d{1,5})?")


@dataclass(frozen=True)
class Limit:
    """At most so many failures with one key within some hours; then the key is closed.

    Each time it is closed for twice as long if it `grows`.
    """

    key: str
    most: int
    hours: float = FAILURES_COUNT_FOR / timedelta(hours=1)
    grows: bool = True


def table(metadata: sa.MetaData) -> sa.Table:
    """Return the table of a service that counts tries."""
    time = sa.DateTime(timezone=True)
    return sa.Table(
        "attempts",
        metadata,
        sa.Column(
            "tried",
            sa.Text,
            primary_key=True,
            comment="a blind index or a network address; also of numbers that nobody has",
        ),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("began_at", time, nullable=False, index=True),
        sa.Column("locked_until", time),
        sa.Column(
            "level",
            sa.Integer,
            nullable=False,
            server_default="0",
            comment="how often it was closed lately; each lock is twice as long",
        ),
    )


def network(address: str) -> str:
    """Return what counts as one address.

    All of an IPv4 address counts, and the first 64 bits of an IPv6 one, since everybody has all the
    addresses below them. The port that some proxies write is left out.
    """
    with_port = _WITH_PORT.fullmatch(address)
    try:
        found = ipaddress.ip_address(with_port[1] or with_port[2] if with_port else address)
    except ValueError:
        return address
    # an IPv4 address may be written as an IPv6 one and is the same address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address)
    return str(found)


def of_address(address: str, what: str, most: int) -> list[Limit]:
    """Return the limit of one kind of try from an address; none if the address is not known."""
    if not address:
        return []
    return [Limit(f"{what} {network(address)}", most, LOCK_FOR / timedelta(hours=1), grows=False)]


def of_person(person_id: int, what: str, most: int, hours: float | None = None) -> list[Limit]:
    """Return the limit of one kind of thing that somebody signed in does, or that is done to an account."""
    if hours is None:
        hours = LOCK_FOR / timedelta(hours=1)
    return [Limit(f"{what} {person_id}", most, hours, grows=False)]


def failed_lately(tx: Connection, key: str) -> int:
    """Return how much failed with a key within a quarter of an hour."""
    return int(tx.scalar(_FAILED_LATELY, {"key": key, "since": clock.now() - LOCK_FOR}) or 0)


def refuse_while_closed(tx: Connection, limits: Sequence[Limit]) -> None:
    """Return if none of the keys is closed.

    Raises:
        Refused: `too_many_attempts`.

    """
    _refuse(_closed_until(tx, limits))


def is_closed(tx: Connection, limits: Sequence[Limit]) -> bool:
    """Return whether one of the keys is closed."""
    return _closed_until(tx, limits) is not None


def _closed_until(tx: Connection, limits: Sequence[Limit]) -> datetime | None:
    until: datetime | None = tx.scalar(_CLOSED, {"keys": [one.key for one in limits], "now": clock.now()})
    return until


def count(tx: Connection, limits: Sequence[Limit]) -> None:
    """Count a failure with each key; return if its verdict may be told.

    Raises:
        Refused: `too_many_attempts` for one too many; it is counted all the same.

    """
    beyond = _count(tx, limits)
    if limits:
        now = clock.now()
        tx.execute(
            _FORGET_OLD,
            {"now": now, "day": now - FAILURES_COUNT_FOR, "remember": now - LOCK_REMEMBERED},
        )
    _refuse(max((row.locked_until for row in beyond), default=None))


def too_often(tx: Connection, person_ids: Iterable[int], what: str, most: int) -> set[int]:
    """Count one more thing of a kind for each person (`of_person`); return those with too many.

    It takes one statement for any number of people.
    """
    limits = {one: of_person(one, what, most)[0] for one in person_ids}
    beyond = {row.tried for row in _count(tx, list(limits.values()))}
    return {one for one, limit in limits.items() if limit.key in beyond}


def _count(tx: Connection, limits: Sequence[Limit]) -> list[sa.Row[Any]]:
    """Count one more try with each key; return the keys with which there were too many.

    As many verdicts are told as failures are allowed; only what goes beyond hears of the lock.
    """
    if not limits:
        return []
    now = clock.now()
    rows = db.run(
        tx,
        _COUNT,
        [asdict(one) for one in limits],
        now=now,
        lock=LOCK_FOR,
        longest=LOCK_LONGEST,
        remember=now - LOCK_REMEMBERED,
    )
    most = {one.key: one.most for one in limits}
    return [row for row in rows if row.failed > most[row.tried]]


def admit(tx: Connection, limits: Sequence[Limit]) -> None:
    """Let a right try pass, unless wrong ones at the same moment have closed a key first.

    The count with an account starts afresh. How often a key was closed is not forgotten: somebody
    who guesses cannot use the owner's success.

    Raises:
        Refused: `too_many_attempts`.

    """
    keys = [one.key for one in limits]
    now = clock.now()
    until = [
        row.locked_until
        for row in tx.execute(_HOLD, {"keys": keys}).all()
        if row.locked_until is not None and row.locked_until > now
    ]
    _refuse(max(until, default=None))
    tx.execute(_RESET, {"keys": [one.key for one in limits if one.grows]})


def forget(tx: Connection, subject: str) -> None:
    """Open an account again everywhere: its person has proved by a code to be the person."""
    tx.execute(_FORGET, {"subject": subject})


def check_lock(locked_until: datetime | None, now: datetime) -> Refusal | None:
    """Return why something is not tried now: it is closed until a moment that has not come (ACC-10)."""
    if locked_until is None:
        return None
    # rounded up, so that nobody who waits so long comes too early
    minutes = max(1, int((locked_until - now).total_seconds() // 60) + 1)
    return Refusal("too_many_attempts", {"minutes": str(minutes)})


def _refuse(until: datetime | None) -> None:
    refusal = check_lock(until, clock.now())
    if refusal is not None:
        raise Refused.of(refusal)


_CLOSED = sa.text("SELECT max(locked_until) FROM attempts WHERE tried = ANY(:keys) AND locked_until > :now")
_FAILED_LATELY = sa.text("SELECT failed FROM attempts WHERE tried = :key AND began_at > :since")
_COUNT = sa.text("""
    WITH i AS (
        SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
            key text, most int, hours float, grows boolean)
    )
    -- a key that is tried for the first time, closed at once where one failure is enough
    INSERT INTO attempts AS a (tried, failed, began_at, locked_until, level)
    SELECT key, 1, CAST(:now AS timestamptz),
        CASE WHEN most <= 1 THEN CAST(:now AS timestamptz) + CAST(:lock AS interval) END,
        CASE WHEN most <= 1 THEN 1 ELSE 0 END
    FROM i
    ORDER BY key
    -- a key that was tried before; a is the row as it stands, i the limit, n the new figures
    ON CONFLICT (tried) DO UPDATE SET (failed, began_at, locked_until, level) = (
        SELECT n.failed,
            CASE WHEN n.goes_on THEN a.began_at ELSE CAST(:now AS timestamptz) END,
            -- a lock that is on stays as it is; a new one doubles with each level where the limit grows
            CASE
                WHEN a.locked_until > :now THEN a.locked_until
                WHEN n.failed >= i.most THEN CAST(:now AS timestamptz) + least(
                    CAST(:longest AS interval),
                    CAST(:lock AS interval) * CASE WHEN i.grows THEN 2 ^ least(n.level, 20) ELSE 1 END)
            END,
            -- trying on during a lock does not count as another one
            n.level + CASE
                WHEN n.failed >= i.most AND (a.locked_until IS NULL OR a.locked_until <= :now) THEN 1
                ELSE 0
            END
        FROM i,
            -- whether the old count goes on, since the key is closed or its hours are not over
            LATERAL (
                SELECT a.locked_until > :now
                    OR (a.locked_until IS NULL
                        AND a.began_at > CAST(:now AS timestamptz) - i.hours * interval '1 hour')
            ) AS g(on_),
            LATERAL (
                SELECT coalesce(g.on_, false) AS goes_on,
                    CASE WHEN coalesce(g.on_, false) THEN a.failed + 1 ELSE 1 END AS failed,
                    CASE
                        WHEN greatest(a.began_at, a.locked_until) > :remember THEN a.level
                        ELSE 0
                    END AS level
            ) AS n
        WHERE i.key = a.tried)
    RETURNING tried, failed, locked_until""")
_HOLD = sa.text("SELECT tried, locked_until FROM attempts WHERE tried = ANY(:keys) ORDER BY tried FOR UPDATE")
_RESET = sa.text("UPDATE attempts SET failed = 0, locked_until = NULL WHERE tried = ANY(:keys)")
_FORGET = sa.text("DELETE FROM attempts WHERE tried = :subject OR starts_with(tried, :subject || ' from ')")
_FORGET_OLD = sa.text("""
    DELETE FROM attempts
    WHERE tried IN (
        SELECT tried FROM attempts
        WHERE began_at < :day AND (locked_until IS NULL OR locked_until < :now)
            AND (level = 0 OR greatest(began_at, locked_until) < :remember)
        LIMIT 100
        FOR UPDATE SKIP LOCKED)""")
