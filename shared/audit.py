"""The audit log of a service: who did what, for which organisation, to whom, and how it was before (BEY-10).

A line is written in the transaction of the change that it records, and the database lets nobody
change or delete one. Lines are hash chains: each hash covers its line and the hash before. So that
transactions do not wait for each other there are several chains, the *lanes*: a transaction takes
one that nobody holds, or opens another. Each lane has a head, which says how many lines it has and
the last hash. Heads are told to the scheduler, which keeps every one it hears: whoever cuts lines
off the end, or rewrites a whole chain and its head, would have to do the same in another database.
Where a database was put back to an earlier state its lanes are closed (`shared.lives`), so that
what is missing at their ends stays to be seen. `tuanqiao audit verify` reads all of it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from shared import background, clock, db, directory
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import Event
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.words import AuditKind
from shared.outbox import insert, tell
from shared.recordset import Int, columns, recordset

TELL_AFTER_SECONDS = 1.0
"""How long a head may have grown before it is told; lines of this time are one event."""
LOOK_AGAIN_SECONDS = 30.0
"""The longest sleep between two looks for what another process has written."""
PIECE = 5_000
"""Lines that are read at a time when a chain is proved."""
MASK = "•"
# 18 or 15 digits are an ID number, 11 digits from 13 on a mobile number; a longer row of digits is neither
_NUMBERS = re.compile(r"(?<!\d)(?:\d{17}[\dXx]|\d{15}|1[3-9]\d{9})(?!\d)")

log = logging.getLogger("tuanqiao.audit")


# ---- tables --------------------------------------------------------------------------------------

_REFUSE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$"""
_KEEP = """
CREATE TRIGGER {table}_append_only BEFORE {what} ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"""


def append_only(table: str, what: str = "UPDATE OR DELETE OR TRUNCATE") -> tuple[str, ...]:
    """Return the SQL after which the database refuses to change or delete rows of a table; for migrations."""
    return _REFUSE, _KEEP.format(table=table, what=what)


def keep(table: sa.Table, what: str = "UPDATE OR DELETE OR TRUNCATE") -> sa.Table:
    """Have the database refuse changes of a table's rows wherever the table is created."""
    for statement in append_only(table.name, what):
        # sa.DDL formats its text, so a % of PL/pgSQL has to be doubled
        sa.event.listen(table, "after_create", sa.DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
    return table


def tables(metadata: sa.MetaData) -> None:
    """Declare the log of a service, its heads and the numbers of its lanes."""
    sa.Sequence("audit_lane", metadata=metadata)
    keep(_lines_table(metadata))
    keep(_heads_table(metadata), "DELETE OR TRUNCATE")


def _lines_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "audit_log",
        metadata,
        sa.Column("lane", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("person_id", sa.BigInteger, comment="who; null: the system itself, or the command line"),
        sa.Column("org_id", sa.BigInteger, comment="the organisation that was acted for"),
        sa.Column("place_id", sa.BigInteger, comment="the organisation that it happened to or in"),
        sa.Column("persons", ARRAY(sa.BigInteger), nullable=False, comment="whom it concerns"),
        sa.Column("ref", sa.Text, nullable=False, comment="what else it concerns, such as migration 12"),
        sa.Column("before", sa.Text, comment="JSON"),
        sa.Column("after", sa.Text, comment="JSON"),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("provincial_id", sa.BigInteger, comment="above the place"),
        sa.Column("acting_provincial_id", sa.BigInteger, comment="above the acting organisation"),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="of the hash before and this line"),
        sa.Index("ix_audit_log_at", "at"),
        sa.Index("ix_audit_log_person_id", "person_id", "at"),
        sa.Index("ix_audit_log_place_id", "place_id", "at"),
        sa.Index("ix_audit_log_persons", "persons", postgresql_using="gin"),
        comment="append-only (BEY-10)",
    )


def _heads_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "audit_heads",
        metadata,
        sa.Column("lane", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column(
            "told",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="rows when it was told last",
        ),
        sa.Column(
            "closed_at",
            sa.DateTime(timezone=True),
            comment="since when other lanes are written: the database was put back to an earlier state",
        ),
        comment="how long each chain of the log is, and its last hash",
        postgresql_with={"fillfactor": "50"},
    )


# ---- writing -------------------------------------------------------------------------------------


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line to be written.

    Attributes:
        kind: One of `AuditKind`.
        person_id: Who did it; None: the system itself (a deadline, an event), or the command line.
        org_id: For which organisation.
        place_id: The organisation that it happened to or in; decides who may read the line.
        persons: Whom it concerns.
        ref: What else it concerns, in words and numbers.
        before: What was, where something was changed.
        after: What is now.
        note: The reason that was given; ID and telephone numbers are taken out.
        request_id: Of the request that caused it.

    """

    kind: str
    person_id: int | None = None
    org_id: int | None = None
    place_id: int | None = None
    persons: Sequence[int] = ()
    ref: str = ""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    note: str = ""
    request_id: str = ""


def by(asked: Any) -> dict[str, Any]:
    """Return who is behind an item of a command or, given an `Actor`, a query, for an `Entry`."""
    actor = getattr(asked, "actor", asked)
    if actor is None:
        return {}
    return {
        "person_id": actor.person_id,
        "org_id": actor.org_id,
        "request_id": getattr(asked, "request_id", ""),
    }


def without_numbers(text: str) -> str:
    """Return a text with what looks like an identity or mobile number taken out."""
    return _NUMBERS.sub(MASK, text)


def _json(values: Mapping[str, Any] | None) -> str | None:
    """Return values as they are kept.

    Texts in them lose ID and telephone numbers; ids of organisations stay. Bytes become their
    hexadecimal digits, all of them: in a text, eleven that look like a telephone number would be lost.
    """
    if values is None:
        return None
    return msgspec.json.encode({name: _clean(one) for name, one in values.items()}).decode()


def _clean(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return without_numbers(value) if isinstance(value, str) else value


class Place(TypedDict):
    """Where a line stands."""

    lane: Int
    seq: int
    at: Annotated[str, "timestamptz"]


class Said(TypedDict):
    """What a line says of its entry."""

    kind: str
    person_id: int | None
    org_id: int | None
    place_id: int | None
    persons: list[int]
    ref: str
    before: str | None
    after: str | None
    note: str
    request_id: str
    provincial_id: int | None
    acting_provincial_id: int | None


class Hashed(Place, Said):
    """The columns that a line's hash covers: all."""


class Line(Hashed):
    """A line as it is stored, with its hash in hexadecimal digits."""

    hash: str


HASHED = tuple(Hashed.__annotations__)
_encode = msgspec.json.encode


def _columns(entry: Entry, request_id: str, provinces: Mapping[str, int | None]) -> Said:
    """Return what a line says of its entry, by column."""
    return {
        "kind": entry.kind,
        "person_id": entry.person_id,
        "org_id": entry.org_id,
        "place_id": entry.place_id,
        "persons": list(entry.persons),
        "ref": entry.ref,
        "before": _json(entry.before),
        "after": _json(entry.after),
        "note": without_numbers(entry.note),
        "request_id": entry.request_id or request_id,
        "provincial_id": provinces.get(str(entry.place_id)),
        "acting_provincial_id": provinces.get(str(entry.org_id)),
    }


def link(previous: bytes, line: Mapping[str, Any]) -> bytes:
    """Return the next hash of a chain; every column of the line is in it."""
    return hashlib.sha256(previous + _encode([line[name] for name in HASHED])).digest()


def instant(at: datetime) -> str:
    """Return an instant as it is hashed."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class Broken(NamedTuple):
    """Something that does not fit: the lane, its line (None: the lane as a whole) and what is wrong."""

    lane: int
    seq: int | None
    what: str


class Head(NamedTuple):
    """A head as somebody outside keeps it: after `rows` lines the hash of the lane was `hash`."""

    lane: int
    rows: int
    hash: bytes


class Log:
    """The audit log of one service.

    Args:
        service: Its name.
        orgs: The table in which it finds the provincial body of an organisation.
        grew: The event that tells its heads to the scheduler.
        more: Further fields of that event, with the words that they hold.

    """

    def __init__(self, service: str, orgs: str, grew: type[Event], **more: str) -> None:
        self.service = service
        self.loop = background.Loop("audit", self._turn, LOOK_AGAIN_SECONDS, TELL_AFTER_SECONDS)
        """Tells the heads that have grown."""
        self._take = sa.text(f"""
            SELECT h.lane, h.rows, h.hash, (
                SELECT json_object_agg(o.org_id, o.provincial_id)
                FROM {orgs} o
                WHERE o.org_id = ANY(ARRAY(
                    SELECT org_id FROM json_to_recordset(CAST(:items AS json)) AS i(org_id bigint)))
            ) AS provinces
            FROM audit_heads h
            WHERE h.closed_at IS NULL
            ORDER BY h.lane
            LIMIT 1
            FOR UPDATE OF h SKIP LOCKED  -- who finds every lane held opens another""")
        words = {name: f"'{word}'" for name, word in more.items()}
        self._told = sa.text(f"""
            WITH free AS (
                SELECT lane FROM audit_heads WHERE rows > told ORDER BY lane FOR UPDATE SKIP LOCKED
            ),
            grown AS (
                UPDATE audit_heads h SET told = h.rows
                FROM free f
                WHERE h.lane = f.lane
                RETURNING h.lane, h.rows, encode(h.hash, 'hex') AS hash
            )
            {insert(tell(grew, "grown", **words))} RETURNING id""")

    def append(self, tx: Connection, entries: Iterable[Entry]) -> None:
        """Write lines with one statement, in the transaction of the changes that they record.

        They are seen when it commits.
        """
        wanted = list(entries)
        if not wanted:
            return
        for one in wanted:
            if AuditKind.known(one.kind) is None:
                raise ValueError(f"{one.kind!r} is no kind of the audit log")
        orgs = sorted({org for one in wanted for org in (one.place_id, one.org_id) if org is not None})
        lane, rows, previous, provinces = self._lane(tx, orgs)
        at, request_id = instant(clock.now()), str(db.noted(tx, "request_id") or "")
        lines: list[Line] = []
        for seq, one in enumerate(wanted, start=rows + 1):
            line: Hashed = {"lane": lane, "seq": seq, "at": at, **_columns(one, request_id, provinces)}
            previous = link(previous, line)
            lines.append({**line, "hash": previous.hex()})
        db.run(tx, _APPEND, lines)
        self.loop.wake.set()

    def answer(self, tx: Connection, request: ListAudit, actor: Actor | None) -> list[AuditLine]:
        """Return lines to the centre, and to a provincial body those that concern its province.

        For services with a directory.

        Raises:
            Refused: `not_administrator`, `audit_by_province`; `bad_request` for a cursor that was
                never given out.

        """
        return page(tx, self.service, province_of(directory.require_above(tx, actor)), request)

    def _lane(self, tx: Connection, orgs: Sequence[int]) -> tuple[int, int, bytes, dict[str, int | None]]:
        """Return a lane that nobody else holds, with its head, and the provinces of organisations.

        The lane is held until the transaction ends.
        """
        while True:
            row: Any = db.run(tx, self._take, [{"org_id": one} for one in orgs]).one_or_none()
            if row is not None:
                return row.lane, row.rows, bytes(row.hash), row.provinces or {}
            tx.execute(_OPEN_LANE)

    def _turn(self, machinery: Any) -> None:
        """Tell the heads that have grown; one turn of the background loop."""
        with machinery.database.transaction() as tx:
            self.tell_heads(tx)

    def tell_heads(self, tx: Connection) -> None:
        """Tell the heads that have grown since they were told last; lanes in use are told the next time."""
        tx.execute(self._told)


_APPEND = sa.text(f"""
    WITH given AS (
        SELECT * FROM {recordset(Line)}
    ),
    written AS (
        INSERT INTO audit_log ({columns(Line)})
        SELECT {columns(Line, hash="decode(hash, 'hex')")} FROM given
    )
    -- all lines of one call are in one lane, so there is one head to move
    UPDATE audit_heads h SET rows = newest.seq, hash = decode(newest.hash, 'hex')
    FROM (SELECT lane, seq, hash FROM given ORDER BY seq DESC LIMIT 1) AS newest
    WHERE h.lane = newest.lane""")
_OPEN_LANE = sa.text("INSERT INTO audit_heads (lane, rows, hash) VALUES (nextval('audit_lane'), 0, '')")


# ---- reading -------------------------------------------------------------------------------------

_PAGE = sa.text("""
    SELECT lane, seq, at, kind, person_id, org_id, place_id, persons, ref, before, after, note, request_id
    FROM audit_log
    WHERE (CAST(:province AS bigint) IS NULL OR provincial_id = :province OR acting_provincial_id = :province)
        AND (:kind = '' OR kind = :kind OR starts_with(kind, :kind || '.'))
        AND (CAST(:actor AS bigint) IS NULL OR person_id = :actor)
        AND (CAST(:about AS bigint) IS NULL OR persons @> ARRAY[CAST(:about AS bigint)])
        AND (CAST(:place AS bigint) IS NULL OR place_id = :place)
        AND at >= coalesce(CAST(:since AS timestamptz), '-infinity')
        AND at < coalesce(CAST(:until AS timestamptz), 'infinity')
        AND (at, lane, seq) < (CAST(:at AS timestamptz), :lane, :seq)  -- older than the cursor
    ORDER BY at DESC, lane DESC, seq DESC
    LIMIT :limit""")
# later than any line: a page without a cursor begins here
_LAST = (datetime(9999, 1, 1, tzinfo=UTC), 0, 0)


def province_of(org: Any) -> int | None:
    """Return the province whose lines an organisation may read, or None for all.

    A provincial body reads those of its own province; the centre reads all.

    Raises:
        Refused: `audit_by_province` for every other.

    """
    if org.parent_id is None:
        return None
    if org.org_id != org.provincial_id:
        raise Refused("audit_by_province")
    return int(org.org_id)


def page(tx: Connection, service: str, province: int | None, request: ListAudit) -> list[AuditLine]:
    """Return lines, newest first, after the one that `request.after` names.

    With `province`: only those that concern it.

    Raises:
        Refused: `bad_request`: `after` is none of the cursors that were given out.

    """
    at, lane, seq = _position(request.after) if request.after else _LAST
    rows = tx.execute(
        _PAGE,
        {
            "province": province,
            "kind": request.kind,
            "actor": request.person_id,
            "about": request.about,
            "place": request.place_id,
            "since": request.since,
            "until": request.until,
            "at": at,
            "lane": lane,
            "seq": seq,
            "limit": max(1, min(request.limit, 500)),
        },
    )
    return [AuditLine(service=service, cursor=_cursor(row), **row._mapping) for row in rows]


def _cursor(row: Any) -> str:
    return f"{row.at.isoformat()}~{row.lane}~{row.seq}"


def _position(cursor: str) -> tuple[datetime, int, int]:
    """Return the line that a cursor names, as `_cursor` has written it: instant, lane and number."""
    try:
        at, lane, seq = cursor.split("~")
        position = (datetime.fromisoformat(at).astimezone(UTC), int(lane), int(seq))
    except (ValueError, OverflowError) as error:
        raise Refused("bad_request", detail="after") from error
    # a forged cursor must not become an error of PostgreSQL
    if not (0 <= position[1] < 2**31 and 0 <= position[2] < 2**63):
        raise Refused("bad_request", detail="after")
    return position


# ---- proving -------------------------------------------------------------------------------------

_HEADS = sa.text("SELECT lane, rows, hash, told, closed_at FROM audit_heads ORDER BY lane")
_LANES = sa.text("SELECT DISTINCT lane FROM audit_log ORDER BY lane")
_LINES = sa.text(f"""
    SELECT {", ".join(HASHED)}, hash
    FROM audit_log
    WHERE lane = :lane AND seq > :after
    ORDER BY seq
    LIMIT {PIECE}""")


def heads(tx: Connection) -> list[Head]:
    """Return the heads of a service's log."""
    return [Head(row.lane, row.rows, bytes(row.hash)) for row in tx.execute(_HEADS) if row.rows]


def told(tx: Connection) -> dict[int, int]:
    """Return how many lines of each lane the scheduler was told of."""
    return {row.lane: row.told for row in tx.execute(_HEADS) if row.told}


def verify(tx: Connection, kept: Iterable[Head]) -> tuple[int, list[Broken]]:
    """Recompute every chain of a service's log; return how many lines were read and what does not fit.

    A changed line, a line missing in the middle, lines missing at the end and a missing lane are
    found, in this database against its own heads, and against the heads that somebody else has
    `kept`. Those have to be read before this database is.
    """
    read, broken = 0, []
    own = {row.lane: row for row in tx.execute(_HEADS)}
    outside: dict[int, dict[int, set[bytes]]] = {}
    for head in kept:
        outside.setdefault(head.lane, {}).setdefault(head.rows, set()).add(head.hash)
    for lane in sorted({*own, *outside, *tx.scalars(_LANES)}):
        lines, wrong = _verify_lane(tx, lane, own.get(lane), outside.get(lane, {}))
        read += lines
        broken += wrong
    return read, broken


def _verify_lane(
    tx: Connection, lane: int, head: Any, kept: dict[int, set[bytes]]
) -> tuple[int, list[Broken]]:
    """Return how many lines of one lane were read, and what does not fit."""
    read = last = 0
    previous = b""
    broken: list[Broken] = []
    while rows := tx.execute(_LINES, {"lane": lane, "after": last}).all():
        for row in rows:
            broken += _verify_line(row, last, previous, kept.get(row.seq))
            last, previous = row.seq, bytes(row.hash)
        read += len(rows)
    return read, [*broken, *_verify_end(lane, last, previous, head, max(kept, default=0))]


def _verify_line(row: Any, last: int, previous: bytes, kept: set[bytes] | None) -> Iterator[Broken]:
    """Say what does not fit of a line that follows line `last` with the hash `previous`.

    `kept` are the hashes that somebody outside knows of this line.
    """
    follows = row.seq == last + 1
    if not follows:
        yield Broken(row.lane, last + 1, f"lines {last + 1} to {row.seq - 1} are missing")
    # where lines are missing the hash before is gone, so this one cannot be proved
    line = {**row._mapping, "at": instant(row.at), "persons": list(row.persons)}
    if follows and link(previous, line) != bytes(row.hash):
        yield Broken(row.lane, row.seq, "the line was changed")
    if kept is not None and kept != {bytes(row.hash)}:
        yield Broken(row.lane, row.seq, "the chain is not the one whose head was told")


def _verify_end(lane: int, last: int, previous: bytes, head: Any, told_of: int) -> Iterator[Broken]:
    """Say what does not fit of a lane's end, by its own head and by the last head that was told."""
    if head is None or head.rows != last or bytes(head.hash) != previous:
        longest = head.rows if head is not None else 0
        what = "the head does not fit the last line"
        if longest > last:
            what = f"lines {last + 1} to {longest} are missing at the end"
        yield Broken(lane, last + 1, what)
    if told_of > last:
        what = f"lines {last + 1} to {told_of}, whose head was told, are missing at the end"
        if head is not None and head.closed_at is not None:
            what += f"; the database was put back to an earlier state on {head.closed_at:%Y-%m-%d %H:%M} UTC"
        yield Broken(lane, last + 1, what)
