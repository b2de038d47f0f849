"""The SQLite file, its tables (README.md) and all SQL: one transaction holds state, messages and receipts."""

import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orgs (code INTEGER PRIMARY KEY, parent INTEGER REFERENCES orgs,
  kind INTEGER NOT NULL, name TEXT NOT NULL, phone TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS peer_orgs (code TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (number TEXT PRIMARY KEY, name TEXT NOT NULL, gender TEXT NOT NULL,
  born_on TEXT NOT NULL, joined_on TEXT NOT NULL, phone TEXT NOT NULL, papers TEXT NOT NULL,
  since TEXT NOT NULL, org INTEGER NOT NULL REFERENCES orgs,
  state TEXT NOT NULL CHECK (state IN ('active', 'on_the_way', 'gone')), subject TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stays (nth INTEGER PRIMARY KEY, number TEXT NOT NULL, state TEXT NOT NULL,
  subject TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS transfers (subject TEXT PRIMARY KEY,
  side TEXT NOT NULL CHECK (side IN ('sender', 'receiver')), state TEXT NOT NULL DEFAULT 'none',
  since REAL NOT NULL, number TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '',
  person TEXT NOT NULL DEFAULT '', record TEXT NOT NULL DEFAULT '',
  from_name TEXT NOT NULL DEFAULT '', to_code TEXT NOT NULL DEFAULT '',
  to_name TEXT NOT NULL DEFAULT '', org INTEGER, answer_by REAL, ended_with TEXT NOT NULL DEFAULT '',
  heard_accepted INTEGER NOT NULL DEFAULT 0, heard_record INTEGER NOT NULL DEFAULT 0,
  heard_never_seen INTEGER NOT NULL DEFAULT 0, said_seq INTEGER NOT NULL DEFAULT 0,
  said_sha TEXT NOT NULL DEFAULT '', heard_seq INTEGER NOT NULL DEFAULT 0, heard_sha TEXT NOT NULL DEFAULT '',
  day TEXT NOT NULL DEFAULT '', act_at REAL,
  turns INTEGER NOT NULL DEFAULT 0, asks INTEGER NOT NULL DEFAULT 0, ask_at REAL NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS transfers_act_at ON transfers (act_at) WHERE act_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS transfers_day ON transfers (day);
CREATE INDEX IF NOT EXISTS transfers_number ON transfers (number);
CREATE TABLE IF NOT EXISTS said (nth INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
  seq INTEGER NOT NULL, type TEXT NOT NULL, jws TEXT NOT NULL, sha256 TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'kept', 'refused', 'expired')),
  tries INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL, expires REAL,
  receipt TEXT NOT NULL DEFAULT '', UNIQUE (subject, seq));
CREATE INDEX IF NOT EXISTS said_waiting ON said (nth) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS heard (id TEXT PRIMARY KEY, subject TEXT NOT NULL, seq INTEGER NOT NULL,
  type TEXT NOT NULL, jws TEXT NOT NULL, sha256 TEXT NOT NULL, at REAL NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('held', 'applied', 'passed_over', 'refused', 'shown')),
  receipt TEXT NOT NULL DEFAULT '', UNIQUE (subject, seq));
CREATE INDEX IF NOT EXISTS heard_held ON heard (subject) WHERE state = 'held';
CREATE TABLE IF NOT EXISTS differences (subject TEXT PRIMARY KEY, own TEXT NOT NULL, theirs TEXT NOT NULL,
  at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS shown (nth INTEGER PRIMARY KEY, at REAL NOT NULL, subject TEXT NOT NULL,
  what TEXT NOT NULL);
"""
BUSY = 30.0  # seconds that a writer waits for another process
OPEN = "('offered', 'handover', 'deciding', 'awaited')"


class Store:
    """One file; each thread has a connection of its own, and one of them writes at a time."""

    def __init__(self, file: Path):
        self.file = file
        self._own = threading.local()
        self._writing = threading.Lock()
        self._connection().executescript(TABLES)

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._own, "connection"):
            connection = sqlite3.connect(self.file, timeout=BUSY, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._own.connection = connection
        return self._own.connection

    @contextmanager
    def transaction(self):
        """Commit everything that happens inside, or nothing of it."""
        tx = self._connection()
        with self._writing:
            tx.execute("BEGIN IMMEDIATE")
            try:
                yield tx
            except BaseException:
                tx.execute("ROLLBACK")
                raise
            tx.execute("COMMIT")


@contextmanager
def savepoint(tx):
    """Undo what happens inside if it raises, and only that."""
    tx.execute("SAVEPOINT one")
    try:
        yield
    except BaseException:
        tx.execute("ROLLBACK TO one")
        raise
    finally:
        tx.execute("RELEASE one")


def _insert(tx, table: str, row: dict) -> None:
    names = ", ".join(row)
    tx.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


# ---- settings, organisations, members ------------------------------------------------------------


def setting(tx, name: str, default: str = "") -> str:
    """Return a value that was kept, or the default."""
    row = tx.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row["value"] if row else default


def keep_setting(tx, name: str, value) -> None:
    """Keep a value under a name."""
    tx.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, str(value)))


def add_orgs(tx, rows: list[tuple]) -> None:
    """Add organisations, parents before children."""
    tx.executemany("INSERT INTO orgs VALUES (?, ?, ?, ?, ?)", rows)


def org(tx, code: int):
    """Return an organisation by its code, or None."""
    return tx.execute("SELECT * FROM orgs WHERE code = ?", (code,)).fetchone() if 0 <= code < 2**63 else None


def org_named(tx, name: str):
    """Return an organisation by its full name, or None."""
    return tx.execute("SELECT * FROM orgs WHERE name = ? ORDER BY code LIMIT 1", (name,)).fetchone()


def branches(tx, above: int, kind: int) -> list:
    """Return the organisations of this kind at or below one."""
    below = (
        "WITH RECURSIVE below(code) AS (SELECT ? UNION SELECT orgs.code FROM orgs JOIN below"
        " ON orgs.parent = below.code) SELECT orgs.* FROM orgs JOIN below USING (code)"
        " WHERE kind = ? ORDER BY code"
    )
    return tx.execute(below, (above, kind)).fetchall()


def orgs_of_kind(tx, kind: int) -> list:
    """Return all organisations of a kind."""
    return tx.execute("SELECT * FROM orgs WHERE kind = ? ORDER BY code", (kind,)).fetchall()


def orgs_after(tx, code: int, limit: int) -> list:
    """Return a page of the directory."""
    return tx.execute("SELECT * FROM orgs WHERE code > ? ORDER BY code LIMIT ?", (code, limit)).fetchall()


def rename_org(tx, code: int, name: str) -> None:
    """Give an organisation another name; the directory has a new version."""
    tx.execute("UPDATE orgs SET name = ? WHERE code = ?", (name, code))
    keep_setting(tx, "directory", int(setting(tx, "directory", "1")) + 1)


def keep_peer_orgs(tx, rows: list[tuple]) -> None:
    """Replace the copy of the peer's directory."""
    tx.execute("DELETE FROM peer_orgs")
    tx.executemany("INSERT INTO peer_orgs VALUES (?, ?)", rows)


def peer_orgs(tx) -> list:
    """Return the copy of the peer's directory."""
    return tx.execute("SELECT * FROM peer_orgs ORDER BY code").fetchall()


def member(tx, number: str):
    """Return a member, or None."""
    return tx.execute("SELECT * FROM members WHERE number = ?", (number,)).fetchone()


def may_leave(tx) -> list[str]:
    """Return the numbers of active members without an open transfer."""
    free = (
        "SELECT number FROM members WHERE state = 'active' AND NOT EXISTS (SELECT 1 FROM transfers"
        f" WHERE transfers.number = members.number AND transfers.state IN {OPEN}) ORDER BY number"
    )
    return [row["number"] for row in tx.execute(free)]


def settle(tx, person: dict, org_code: int, subject: str, at: float) -> None:
    """Make somebody an active member here, whether there was a row of theirs or not."""
    tx.execute("DELETE FROM members WHERE number = ?", (person["number"],))
    _insert(tx, "members", person | {"org": org_code, "state": "active", "subject": subject})
    _stay(tx, person["number"], "active", subject, at)


def everybody(tx) -> list:
    """Return who is or was a member, with the name of the branch."""
    return tx.execute(
        "SELECT members.*, orgs.name AS organisation FROM members JOIN orgs ON orgs.code = members.org"
        " ORDER BY number"
    ).fetchall()


def move(tx, number: str, before: str, after: str, subject: str, at: float) -> None:
    """Change a member's state; nothing happens where it is not the one expected."""
    changed = tx.execute(
        "UPDATE members SET state = ?, subject = ? WHERE number = ? AND state = ?"
        " AND (state = 'active' OR subject = ?)",
        (after, subject, number, before, subject),
    )
    if changed.rowcount:
        _stay(tx, number, after, subject, at)


def _stay(tx, number: str, state: str, subject: str, at: float) -> None:
    _insert(tx, "stays", {"number": number, "state": state, "subject": subject, "at": at})


# ---- transfers -----------------------------------------------------------------------------------


def transfer(tx, subject: str, system: str, at: float):
    """Return a transfer; one that was never heard of is in `none`."""
    side = "sender" if subject.partition(":")[0] == system else "receiver"
    tx.execute(
        "INSERT INTO transfers (subject, side, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (subject, side, at),
    )
    return tx.execute("SELECT * FROM transfers WHERE subject = ?", (subject,)).fetchone()


def change(tx, subject: str, /, **values) -> None:
    """Write some columns of a transfer."""
    names = ", ".join(f"{name} = ?" for name in values)
    tx.execute(f"UPDATE transfers SET {names} WHERE subject = ?", (*values.values(), subject))


def known(tx, subject: str):
    """Return a transfer of which there is something to say, or None."""
    return tx.execute("SELECT * FROM transfers WHERE subject = ? AND state <> 'none'", (subject,)).fetchone()


def all_transfers(tx) -> list:
    """Return all transfers, the newest first."""
    return tx.execute("SELECT * FROM transfers WHERE state <> 'none' ORDER BY rowid DESC").fetchall()


def next_number(tx) -> int:
    """Return the number of the next transfer that is started here."""
    return tx.execute(
        "SELECT count(*) + 1 AS n FROM transfers WHERE side = 'sender' AND state <> 'none'"
    ).fetchone()["n"]


def others_open(tx, subject: str, number: str) -> list:
    """Return the other transfers of this person, of both sides, that are bound to go on here."""
    return tx.execute(
        "SELECT * FROM transfers WHERE number = ? AND subject <> ?"
        " AND state IN ('offered', 'handover', 'awaited')",
        (number, subject),
    ).fetchall()


def due(tx, at: float, limit: int) -> list:
    """Return the transfers at which somebody here has to act now."""
    return tx.execute(
        "SELECT * FROM transfers WHERE act_at <= ? ORDER BY act_at LIMIT ?", (at, limit)
    ).fetchall()


def with_gaps(tx, at: float, since: float) -> list:
    """Return the transfers where messages have been held since then, and that may be asked about again."""
    return tx.execute(
        "SELECT * FROM transfers WHERE ask_at <= ? AND subject IN"
        " (SELECT subject FROM heard WHERE state = 'held' AND at <= ?)",
        (at, since),
    ).fetchall()


def days(tx) -> list[str]:
    """Return the days of which there are transfers, the newest first."""
    return [
        row["day"]
        for row in tx.execute("SELECT DISTINCT day FROM transfers WHERE day <> '' ORDER BY day DESC")
    ]


def transfers_of(tx, day: str) -> list:
    """Return the transfers that were offered on a day."""
    return tx.execute("SELECT * FROM transfers WHERE day = ? ORDER BY subject", (day,)).fetchall()


def homes_of(tx, day: str, after: str, limit: int) -> list:
    """Return the transfers of a day that have ended, with the state of their member, None for nobody."""
    return tx.execute(
        "SELECT transfers.subject, side, members.state AS state FROM transfers"
        " LEFT JOIN members ON members.number = transfers.number"
        " WHERE day = ? AND transfers.subject > ? AND transfers.number <> ''"
        f" AND transfers.state NOT IN {OPEN} AND transfers.state <> 'none'"
        " ORDER BY transfers.subject LIMIT ?",
        (day, after, limit),
    ).fetchall()


def keep_differences(tx, rows: list[tuple], at: float) -> list:
    """Keep what differs now as subject, own line, their line; return it with the instant since when."""
    same = "SELECT at FROM differences WHERE subject = ? AND own = ? AND theirs = ?"
    since = [(tx.execute(same, row).fetchone() or (at,))[0] for row in rows]
    tx.execute("DELETE FROM differences")
    kept = [(*row, first) for row, first in zip(rows, since, strict=True)]
    tx.executemany("INSERT INTO differences VALUES (?, ?, ?, ?)", kept)
    return kept


# ---- what was said -------------------------------------------------------------------------------


def say(tx, row: dict) -> None:
    """Keep a signed message for ever, to be sent until it is receipted; with what had expired before it."""
    tx.execute("UPDATE said SET state = 'waiting' WHERE subject = ? AND state = 'expired'", (row["subject"],))
    _insert(tx, "said", row | {"state": "waiting"})
    change(tx, row["subject"], said_seq=row["seq"], said_sha=row["sha256"])


def waiting(tx, at: float, limit: int) -> list:
    """Return what is to be sent now, oldest first; nothing before what waits in front of it."""
    return tx.execute(
        "SELECT * FROM said WHERE state = 'waiting' AND next_at <= ? AND NOT EXISTS"
        " (SELECT 1 FROM said AS earlier WHERE earlier.subject = said.subject"
        " AND earlier.seq < said.seq AND earlier.state = 'waiting' AND earlier.next_at > ?)"
        " ORDER BY nth LIMIT ?",
        (at, at, limit),
    ).fetchall()


def expire(tx, at: float) -> list:
    """Give up, and return, what has expired unsent, unless a later message of its transfer waits behind."""
    last = (
        "state = 'waiting' AND expires < ? AND NOT EXISTS (SELECT 1 FROM said AS later"
        " WHERE later.subject = said.subject AND later.seq > said.seq AND later.state = 'waiting')"
    )
    rows = tx.execute(f"SELECT * FROM said WHERE {last}", (at,)).fetchall()
    tx.executemany("UPDATE said SET state = 'expired' WHERE nth = ?", [(row["nth"],) for row in rows])
    return rows


def receipted(tx, message_id: str, state: str, receipt: str) -> None:
    """Keep what the peer has answered to a message."""
    tx.execute("UPDATE said SET state = ?, receipt = ? WHERE id = ?", (state, receipt, message_id))


def try_again(tx, message_id: str, at: float) -> None:
    """Send a message again, not before this instant."""
    tx.execute("UPDATE said SET tries = tries + 1, next_at = ? WHERE id = ?", (at, message_id))


def say_again(tx, subject: str, after: int, at: float) -> None:
    """Send again what was said after a number, the same bytes; not what was refused for good."""
    tx.execute(
        "UPDATE said SET state = 'waiting', next_at = ? WHERE subject = ? AND seq > ? AND state = 'kept'",
        (at, subject, after),
    )


# ---- what was heard ------------------------------------------------------------------------------


def heard(tx, message_id: str):
    """Return a message that was heard, by its id, or None."""
    return tx.execute("SELECT * FROM heard WHERE id = ?", (message_id,)).fetchone()


def heard_nth(tx, subject: str, seq: int):
    """Return a message that was heard, by its number, or None."""
    return tx.execute("SELECT * FROM heard WHERE subject = ? AND seq = ?", (subject, seq)).fetchone()


def held(tx, subject: str) -> int:
    """Return how many messages wait for what is missing."""
    return tx.execute(
        "SELECT count(*) AS n FROM heard WHERE subject = ? AND state = 'held'", (subject,)
    ).fetchone()["n"]


def hear(tx, row: dict) -> None:
    """Keep a message that came."""
    _insert(tx, "heard", row)


def mark(tx, message_id: str, **values) -> None:
    """Write what has become of a message, or its receipt."""
    names = ", ".join(f"{name} = ?" for name in values)
    tx.execute(f"UPDATE heard SET {names} WHERE id = ?", (*values.values(), message_id))


def show(tx, at: float, subject: str, what: str) -> None:
    """Show something to a person."""
    _insert(tx, "shown", {"at": at, "subject": subject, "what": what})
