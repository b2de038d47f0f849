"""Tables read in the order of one key, a bounded piece at a time: what `tuanqiao doctor` compares.

No piece reads more rows than it was told, however long the table is and however few of its rows are
wanted, and each is a transaction of its own, so that nothing is held open while millions are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.messages import events
from shared.messages.orgs import OrgChanged
from shared.outbox import MESSAGE_ID
from shared.recordset import columns

PIECE = 20_000
"""Rows of one piece, unless somebody asks for other ones."""
Row = TypeVar("Row", bound=NamedTuple)


@dataclass(frozen=True)
class Reading(Generic[Row]):
    """How a service's rows are read that others must agree with.

    Attributes:
        kind: A row; its first field is the key, and no two rows of the result have the same.
        table: Where the keys are.
        key: The column of the key there; it is indexed.
        select: The statement, in the order of the key. `{wanted}` in it says which keys are wanted.

    """

    kind: type[Row]
    table: str
    key: str
    select: str

    def end(self, tx: Connection, after: int, limit: int) -> int | None:
        """Return the last key of the piece that begins behind a key; None if there is nothing more."""
        last: int | None = tx.scalar(
            sa.text(
                f"SELECT max({self.key}) FROM (SELECT {self.key} FROM {self.table}"
                f" WHERE {self.key} > :after ORDER BY {self.key} LIMIT :limit) AS piece"
            ),
            {"after": after, "limit": limit},
        )
        return last

    def between(self, tx: Connection, after: int, end: int) -> list[Row]:
        """Return the rows of a piece."""
        wanted = f"{self.key} > :after AND {self.key} <= :end"
        return db.rows(
            self.kind, tx.execute(sa.text(self.select.format(wanted=wanted)), {"after": after, "end": end})
        )

    def of(self, tx: Connection, keys: Iterable[int]) -> list[Row]:
        """Return the rows of some keys, for a second look."""
        wanted = f"{self.key} = ANY(CAST(:keys AS bigint[]))"
        return db.rows(
            self.kind, tx.execute(sa.text(self.select.format(wanted=wanted)), {"keys": sorted(set(keys))})
        )


# ---- the tree, in orgs and in the copies -----------------------------------------------------------


class Known(NamedTuple):
    """An organisation as a service knows it: its version, and a digest of all the rest."""

    org_id: int
    version: int
    digest: str


class Rights(NamedTuple):
    """The rights over an organisation as a service knows them, in the order of the persons."""

    org_id: int
    persons: list[int]
    versions: list[int]
    states: list[str]


def tree(table: str, **instead: str) -> Reading[Known]:
    """Return how a table of organisations is read; `instead` names columns that are called otherwise."""
    compared = columns(OrgChanged, without=("org_id", "version"), **instead)
    return Reading(
        Known,
        table,
        "org_id",
        f"SELECT org_id, version, md5(ROW({compared})::text) AS digest FROM {table}"
        " WHERE {wanted} ORDER BY org_id",
    )


def rights(table: str) -> Reading[Rights]:
    """Return how a table of administrators is read."""
    return Reading(
        Rights,
        table,
        "org_id",
        "SELECT org_id, array_agg(person_id ORDER BY person_id) AS persons,"
        " array_agg(version ORDER BY person_id) AS versions,"
        " array_agg(CASE WHEN NOT active THEN 'none' WHEN observer THEN 'observer' ELSE 'administrator' END"
        f" ORDER BY person_id) AS states FROM {table}"
        " WHERE {wanted} GROUP BY org_id ORDER BY org_id",
    )


DIRECTORY = tree("org_directory")
ADMINISTRATORS = rights("administrator_directory")


# ---- what was published ----------------------------------------------------------------------------


class Told(NamedTuple):
    """A message of an outbox; `published` says whether the broker has confirmed it."""

    id: int
    message_id: str
    topic: str
    published: bool


OUTBOX = Reading(
    Told,
    "outbox",
    "id",
    f"SELECT id, {MESSAGE_ID} AS message_id, topic, published_at IS NOT NULL AS published FROM outbox"
    " WHERE {wanted} ORDER BY id",
)

_MISSING = sa.text("""
    SELECT asked.id FROM unnest(CAST(:ids AS text[])) AS asked(id)
    WHERE NOT EXISTS (SELECT 1 FROM inbox i WHERE i.message_id = asked.id)""")
_AT = sa.text("SELECT id, created_at FROM outbox WHERE id >= :id ORDER BY id LIMIT 1")
_ENDS = sa.text("SELECT coalesce(min(id), 1) - 1 AS first, coalesce(max(id), 0) AS last FROM outbox")


def not_handled(tx: Connection, message_ids: Iterable[str]) -> set[str]:
    """Return those messages that a service's inbox has never seen."""
    return set(tx.scalars(_MISSING, {"ids": list(message_ids)}))


@cache
def consumers_of(topic: str) -> tuple[str, ...]:
    """Return the services that have to handle a topic; none of a topic that no contract knows."""
    event = events().get(topic)
    return event.consumers if event else ()


def before(tx: Connection, age: timedelta, now: datetime) -> int:
    """Return the id behind which the outbox's messages of the last `age` lie, found by halving."""
    ends: Any = tx.execute(_ENDS).one()
    low, high = ends.first, ends.last
    while low < high:
        middle = (low + high + 1) // 2
        row: Any = tx.execute(_AT, {"id": middle}).one_or_none()
        if row is None or row.created_at >= now - age:
            high = middle - 1
        else:
            low = middle
    return int(low)


_PUBLISH_AGAIN = sa.text("""
    WITH held AS (
        SELECT id FROM outbox
        WHERE id = ANY(CAST(:ids AS bigint[])) AND published_at IS NOT NULL
        ORDER BY id FOR UPDATE)
    UPDATE outbox SET published_at = NULL WHERE id IN (SELECT id FROM held)""")


def publish_again(tx: Connection, ids: Iterable[int]) -> int:
    """Have the relay publish messages once more, under their ids; return how many.

    Who has handled one remembers it.
    """
    return tx.execute(_PUBLISH_AGAIN, {"ids": sorted(set(ids))}).rowcount


# ---- what failed --------------------------------------------------------------------------


class Dead(NamedTuple):
    """A dead letter; what it says is for `tuanqiao dead-letters show`."""

    id: int
    topic: str


_RETRIED = sa.text("""
    SELECT coalesce(max(id), 0) AS last, count(*) FILTER (WHERE id <= :last) AS n
    FROM failed_messages WHERE next_attempt_at IS NOT NULL""")
_DEAD = sa.text("SELECT id, topic FROM failed_messages WHERE next_attempt_at IS NULL ORDER BY id LIMIT 10000")


def dead(tx: Connection) -> list[Dead]:
    """Return a service's dead letters, the oldest ten thousand."""
    return db.rows(Dead, tx.execute(_DEAD))


def retried(tx: Connection, last: int = 0) -> tuple[int, int]:
    """Return the last id of the items that will be tried again, and how many there are up to an id."""
    row = tx.execute(_RETRIED, {"last": last}).one()
    return int(row.last), int(row.n)
