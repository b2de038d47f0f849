"""The SQLite file, its tables (README.md) and all SQL; one transaction at a time."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orgs (nth INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, parent TEXT NOT NULL,
  kind TEXT NOT NULL, name TEXT NOT NULL, short_name TEXT NOT NULL, phone TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS peer_orgs (code TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (number TEXT PRIMARY KEY, name TEXT NOT NULL, joined_on TEXT NOT NULL,
  org TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('active', 'on_the_way', 'gone')),
  subject TEXT NOT NULL, papers TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS stays (nth INTEGER PRIMARY KEY, number TEXT NOT NULL, state TEXT NOT NULL,
  org TEXT NOT NULL, subject TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS stays_number ON stays (number);
CREATE TABLE IF NOT EXISTS transfers (subject TEXT PRIMARY KEY,
  side TEXT NOT NULL CHECK (side IN ('sender', 'receiver')), state TEXT NOT NULL DEFAULT 'none',
  since REAL NOT NULL, day TEXT NOT NULL DEFAULT '', number TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '', person TEXT NOT NULL DEFAULT '', record TEXT NOT NULL DEFAULT '',
  from_name TEXT NOT NULL DEFAULT '', to_code TEXT NOT NULL DEFAULT '', to_name TEXT NOT NULL DEFAULT '',
  org TEXT NOT NULL DEFAULT '', answer_by REAL, ended_with TEXT NOT NULL DEFAULT '',
  heard_accepted INTEGER NOT NULL DEFAULT 0, heard_record INTEGER NOT NULL DEFAULT 0,
  heard_never_seen INTEGER NOT NULL DEFAULT 0, said_seq INTEGER NOT NULL DEFAULT 0,
  said_head TEXT NOT NULL DEFAULT '', heard_seq INTEGER NOT NULL DEFAULT 0,
  heard_head TEXT NOT NULL DEFAULT '', act_at REAL, turns INTEGER NOT NULL DEFAULT 0,
  asks INTEGER NOT NULL DEFAULT 0, asked_at REAL NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS transfers_act_at ON transfers (act_at) WHERE act_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS transfers_number ON transfers (number);
CREATE TABLE IF NOT EXISTS said (nth INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
  seq INTEGER NOT NULL, type TEXT NOT NULL, jws TEXT NOT NULL, sha256 TEXT NOT NULL, at REAL NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'kept', 'refused', 'expired')), next_at REAL NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, expires REAL, receipt TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS said_waiting ON said (nth) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS said_subject ON said (subject, seq);
CREATE TABLE IF NOT EXISTS heard (nth INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
  seq INTEGER NOT NULL, type TEXT NOT NULL, jws TEXT NOT NULL, sha256 TEXT NOT NULL, at REAL NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('held', 'applied', 'passed_over', 'refused', 'shown')),
  receipt TEXT NOT NULL DEFAULT '', UNIQUE (subject, seq));
CREATE INDEX IF NOT EXISTS heard_held ON heard (subject) WHERE state = 'held';
CREATE TABLE IF NOT EXISTS differences (subject TEXT PRIMARY KEY, own TEXT NOT NULL, theirs TEXT NOT NULL,
  at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS shown (nth INTEGER PRIMARY KEY, at REAL NOT NULL, subject TEXT NOT NULL,
  what TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mishaps (nth INTEGER PRIMARY KEY, at REAL NOT NULL, fault TEXT NOT NULL,
  subject TEXT NOT NULL, seq INTEGER NOT NULL, answer TEXT NOT NULL);
"""
OPEN = "('offered', 'handover', 'deciding', 'awaited')"


class Ledger:
    """One file, one connection, one transaction at a time."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(TABLES)

    @contextmanager
    def transaction(self) -> Iterator["Book"]:
        """Commit everything that happens inside, or nothing of it."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield Book(self._db)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


class Book:
    """What may be read and written within a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def all(self, query: str, *values) -> list[sqlite3.Row]:
        return self._db.execute(query, values).fetchall()

    def one(self, query: str, *values) -> sqlite3.Row | None:
        named = len(values) == 1 and isinstance(values[0], dict)
        return self._db.execute(query, values[0] if named else values).fetchone()

    def insert(self, table: str, **row) -> None:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))

    @contextmanager
    def undone_if_it_fails(self) -> Iterator[None]:
        """Undo what happens inside if it raises, and only that."""
        self._db.execute("SAVEPOINT inside")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO inside")
            raise
        finally:
            self._db.execute("RELEASE inside")

    # ---- settings, organisations -------------------------------------------------------------------

    def setting(self, name: str, otherwise: str = "") -> str:
        row = self.one("SELECT value FROM settings WHERE name = ?", name)
        return row["value"] if row else otherwise

    def keep(self, name: str, value) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, str(value)))

    def org(self, code: str) -> sqlite3.Row | None:
        return self.one("SELECT * FROM orgs WHERE code = ?", code)

    def org_named(self, name: str) -> sqlite3.Row | None:
        return self.one("SELECT * FROM orgs WHERE name = ? ORDER BY nth LIMIT 1", name)

    def branches(self, above: str, kind: str) -> list[sqlite3.Row]:
        """Return the organisations of a kind at or below one."""
        return self.all(
            "WITH RECURSIVE below(code) AS (SELECT ? UNION SELECT orgs.code FROM orgs JOIN below"
            " ON orgs.parent = below.code) SELECT orgs.* FROM orgs JOIN below USING (code)"
            " WHERE kind = ? ORDER BY nth",
            above,
            kind,
        )

    def orgs_after(self, code: str, limit: int) -> list[sqlite3.Row]:
        return self.all(
            "SELECT * FROM orgs WHERE nth > coalesce((SELECT nth FROM orgs WHERE code = ?), 0)"
            " ORDER BY nth LIMIT ?",
            code,
            limit,
        )

    def copy_peer_orgs(self, rows: list[tuple[str, str, str]]) -> None:
        self._db.execute("DELETE FROM peer_orgs")
        self._db.executemany("INSERT OR REPLACE INTO peer_orgs VALUES (?, ?, ?)", rows)

    # ---- members -----------------------------------------------------------------------------------

    def member(self, number: str) -> sqlite3.Row | None:
        return self.one("SELECT * FROM members WHERE number = ?", number)

    def may_leave(self) -> list[sqlite3.Row]:
        """Return the active members of whom no transfer is open."""
        return self.all(
            "SELECT * FROM members WHERE state = 'active' AND number NOT IN"
            f" (SELECT number FROM transfers WHERE state IN {OPEN}) ORDER BY number"
        )

    def settle(self, person: dict, org: str, subject: str, at: float) -> None:
        """Make somebody an active member, whether a row of theirs was there or not."""
        self._db.execute(
            "INSERT INTO members VALUES (:number, :name, :joined_on, :org, 'active', :subject, :papers)"
            " ON CONFLICT (number) DO UPDATE SET (name, joined_on, org, state, subject, papers) ="
            " (excluded.name, excluded.joined_on, excluded.org, 'active', excluded.subject, excluded.papers)",
            {"joined_on": "", "papers": "{}", **person, "org": org, "subject": subject},
        )
        self._stay(person["number"], at)

    def move(self, number: str, before: str, after: str, subject: str, at: float) -> bool:
        """Change where a member is; nothing happens where another transfer has put them there."""
        own = "" if before == "active" else " AND subject = :subject"
        changed = self._db.execute(
            "UPDATE members SET (state, subject) = (:after, :subject)"
            f" WHERE number = :number AND state = :before{own}",
            {"number": number, "before": before, "after": after, "subject": subject},
        )
        if changed.rowcount:
            self._stay(number, at)
        return changed.rowcount == 1

    def _stay(self, number: str, at: float) -> None:
        self._db.execute(
            "INSERT INTO stays (number, state, org, subject, at)"
            " SELECT number, state, org, subject, ? FROM members WHERE number = ?",
            (at, number),
        )

    # ---- transfers ---------------------------------------------------------------------------------

    def transfer(self, subject: str, system: str, at: float) -> sqlite3.Row:
        """Return a transfer; one that was never heard of is in `none`."""
        side = "sender" if subject.partition(":")[0] == system else "receiver"
        self._db.execute(
            "INSERT INTO transfers (subject, side, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (subject, side, at),
        )
        row = self.one("SELECT * FROM transfers WHERE subject = ?", subject)
        assert row is not None
        return row

    def change(self, subject: str, **values) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE transfers SET {names} WHERE subject = ?", (*values.values(), subject))

    def others(self, subject: str, number: str) -> list[sqlite3.Row]:
        """Return the other transfers of a person that are open, whichever part this system has in them."""
        return self.all(
            f"SELECT * FROM transfers WHERE number = ? AND subject <> ? AND state IN {OPEN}", number, subject
        )

    def gaps(self, since: float) -> list[sqlite3.Row]:
        """Return the transfers of which something early has waited since then."""
        return self.all(
            "SELECT * FROM transfers WHERE subject IN"
            " (SELECT subject FROM heard WHERE state = 'held' AND at <= ?)",
            since,
        )

    def asks(self, subject: str) -> bool:
        """Return whether a question about a transfer waits to be sent."""
        query = "SELECT 1 FROM said WHERE subject = ? AND type = 'query' AND state = 'waiting'"
        return self.one(query, subject) is not None

    # ---- messages ----------------------------------------------------------------------------------

    def say(self, **row) -> None:
        """Keep a message, to be sent; what had expired before it has to go before it."""
        self._db.execute(
            "UPDATE said SET state = 'waiting' WHERE subject = ? AND state = 'expired'", (row["subject"],)
        )
        self.insert("said", **row, state="waiting")
        self.change(row["subject"], said_seq=row["seq"], said_head=row["sha256"])

    def waiting(self, at: float, in_order: bool, limit: int) -> list[sqlite3.Row]:
        """Return what is to be sent now; in order: nothing before what waits in front of it."""
        front = (
            " AND NOT EXISTS (SELECT 1 FROM said AS front WHERE front.subject = said.subject"
            " AND front.seq < said.seq AND front.state = 'waiting' AND front.next_at > :at)"
        )
        return self._db.execute(
            "SELECT * FROM said WHERE state = 'waiting' AND next_at <= :at"
            f"{front if in_order else ''} ORDER BY nth LIMIT :limit",
            {"at": at, "limit": limit},
        ).fetchall()

    def expire(self, at: float) -> list[sqlite3.Row]:
        """Give up, and return, what has expired unsent, unless a later message of its transfer waits."""
        return self.all(
            "UPDATE said SET state = 'expired' WHERE state = 'waiting' AND expires < ? AND NOT EXISTS"
            " (SELECT 1 FROM said AS later WHERE later.subject = said.subject AND later.seq > said.seq"
            " AND later.state = 'waiting') RETURNING *",
            at,
        )

    def mark_said(self, nth: int, **values) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE said SET {names} WHERE nth = ?", (*values.values(), nth))

    def say_again(self, subject: str, after: int, at: float) -> None:
        """Send again what was said after a number, the same bytes; not what was refused for good."""
        self._db.execute(
            "UPDATE said SET state = 'waiting', next_at = ? WHERE subject = ? AND seq > ? AND state = 'kept'",
            (at, subject, after),
        )

    def heard(self, subject: str, seq: int) -> sqlite3.Row | None:
        return self.one("SELECT * FROM heard WHERE subject = ? AND seq = ?", subject, seq)

    def held(self, subject: str) -> int:
        row = self.one("SELECT count(*) AS n FROM heard WHERE subject = ? AND state = 'held'", subject)
        return row["n"] if row else 0

    def mark_heard(self, message_id: str, **values) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE heard SET {names} WHERE id = ?", (*values.values(), message_id))

    # ---- what people look at -----------------------------------------------------------------------

    def show(self, at: float, subject: str, what: str) -> None:
        self.insert("shown", at=at, subject=subject, what=what)

    def mishap(self, at: float, fault: str, subject: str, seq: int, answer: str) -> None:
        self.insert("mishaps", at=at, fault=fault, subject=subject, seq=seq, answer=answer)

    def keep_differences(self, rows: list[tuple[str, str, str]], at: float) -> None:
        """Keep what differs now, with the instant since when."""
        old = {row["subject"]: row for row in self.all("SELECT * FROM differences")}
        self._db.execute("DELETE FROM differences")
        for subject, own, theirs in rows:
            was = old.get(subject)
            same = was is not None and (was["own"], was["theirs"]) == (own, theirs)
            self.insert("differences", subject=subject, own=own, theirs=theirs, at=was["at"] if same else at)
