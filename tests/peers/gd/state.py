"""Print what a GD's SQLite file says, as JSON: python -m tests.peers.gd.state FILE; GD need not run."""

import hashlib
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

WAITING = "SELECT count(*) FROM said WHERE state = 'waiting'"
HELD = "SELECT count(*) FROM heard WHERE state = 'held'"
ENDED = ("moved", "kept", "taken", "refused", "back")
MEMBERS = ("active", "on_the_way", "gone")


def fingerprint(number: str) -> str:
    """Return what stands for an identity number in what is printed."""
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def read(file: Path) -> dict:
    """Return members and transfers at one moment, by one read-only transaction."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30, isolation_level=None)) as tx:
        tx.row_factory = sqlite3.Row
        tx.execute("BEGIN")
        names = dict(tx.execute("SELECT name, value FROM settings").fetchall())
        people = tx.execute("SELECT number, state, org, subject FROM members ORDER BY number").fetchall()
        rows = tx.execute("SELECT * FROM transfers WHERE state <> 'none' ORDER BY subject").fetchall()
        waiting, held = tx.execute(WAITING).fetchone()[0], tx.execute(HELD).fetchone()[0]
        shown = [dict(row) for row in tx.execute("SELECT subject, what FROM shown ORDER BY nth")]
    states = [row["state"] for row in people]
    return {
        "system": names.get("system", ""),
        "peer": names.get("peer", ""),
        "members": {state: states.count(state) for state in MEMBERS},
        "people": [
            {"person": fingerprint(row["number"])} | {name: row[name] for name in ("state", "org", "subject")}
            for row in people
        ],
        "transfers": [
            {name: row[name] for name in ("subject", "side", "state", "ended_with", "said_seq", "heard_seq")}
            | {"person": fingerprint(row["number"]) if row["number"] else ""}
            for row in rows
        ],
        "waiting": waiting,
        "held": held,
        "shown": shown,
        "is_decided": not waiting and not held and all(row["state"] in ENDED for row in rows),
    }


if __name__ == "__main__":
    print(json.dumps(read(Path(sys.argv[1])), ensure_ascii=False, indent=1))
