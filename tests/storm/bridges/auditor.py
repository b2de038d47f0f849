"""An auditor who reads all databases while the storm blows, and shares no code with any of the systems.

    python -m tests.storm.bridges.auditor '{"members": "postgresql:..", "bridges": {}, ..}'

Ten times a second it reads where everybody is: the peers' files, our members, our bridges, and then our
members and the peers' files once more. Of whoever did not change meanwhile in those that were read twice,
all has been read at one instant: so what is found was true, and whoever is active twice or nowhere for
longer than a look is found. People are known by the keyed index of their numbers; no number is printed.
It runs until its input ends, and says then what it has found, as a line of JSON.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

EVERY_SECONDS = 0.1
PEOPLE = """
    SELECT encode(p.id_index, 'hex'), p.branch_id, coalesce(d.system, ''), p.reserved_by
    FROM people p LEFT JOIN org_directory d ON d.org_id = p.branch_id WHERE p.created_at >= %s"""
ON_THE_WAY = "SELECT subject, state FROM handovers WHERE side = 'sender' AND state IN ('handover', 'moved')"
MEMBERS = "SELECT number, state, subject FROM members"


class Place(NamedTuple):
    """Where one system says that somebody is; `about` changes whenever that does."""

    state: str
    about: tuple[Any, ...]


class Ours:
    """A database of ours, opened anew whenever its connection has ended."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: Any = None

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what it says, in a transaction of its own.

        Raises:
            psycopg2.Error: It does not answer now.

        """
        try:
            if self.connection is None:
                self.connection = psycopg2.connect(self.url)
                self.connection.autocommit = True
            with self.connection.cursor() as cursor:
                cursor.execute(query, values)
                return list(cursor.fetchall())
        except psycopg2.Error:
            self.connection = None
            raise


class Theirs:
    """A peer's file; it is read again only when somebody has written to it."""

    def __init__(self, file: str, index: Index) -> None:
        self.index = index
        self.connection = sqlite3.connect(file, timeout=5, isolation_level=None)
        self.connection.execute("PRAGMA query_only = 1")
        self.version = -1
        self.found: dict[str, Place] = {}

    def places(self) -> dict[str, Place]:
        """Return where everybody is, by the index of the number."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if version != self.version:
            rows = self.connection.execute(MEMBERS).fetchall()
            self.found = {self.index.of(row[0]): Place(row[1], row[1:]) for row in rows}
            self.version = version
        return self.found


class Index:
    """The keyed index by which our members are found, computed from the key itself."""

    def __init__(self, file: Path) -> None:
        self.key = base64.b64decode(json.loads(file.read_text())["index_key"])
        self.known: dict[str, str] = {}

    def of(self, number: str) -> str:
        """Return the index of a number."""
        if number not in self.known:
            self.known[number] = hmac.new(self.key, number.encode(), hashlib.sha256).hexdigest()
        return self.known[number]


class Auditor:
    """Looks, and remembers what is wrong."""

    def __init__(self, said: dict[str, Any]) -> None:
        index = Index(Path(said["key"]))
        self.members, self.since = Ours(said["members"]), said["since"]
        self.bridges = {system: Ours(url) for system, url in said["bridges"].items()}
        self.peers = {system: Theirs(file, index) for system, file in said["peers"].items()}
        self.looks, self.missed, self.seconds, self.longest = 0, 0, 0.0, 0.0
        self.found: dict[str, str] = {}
        self.people = 0

    def look(self) -> None:
        """Look once."""
        began = time.monotonic()
        try:
            before = {system: dict(one.places()) for system, one in self.peers.items()}
            ours = self.people_here()
            leaving = {row[0]: row[1] for bridge in self.bridges.values() for row in bridge.rows(ON_THE_WAY)}
            again = self.people_here()
            after = {system: one.places() for system, one in self.peers.items()}
        except (psycopg2.Error, sqlite3.Error):
            self.missed += 1
            return
        self.looks += 1
        everybody = set(ours).union(*before.values())
        self.people = len(everybody)
        for one in everybody:
            if ours.get(one) != again.get(one):
                continue
            if any(before[system].get(one) != after[system].get(one) for system in self.peers):
                continue
            self.judge(one, ours.get(one), leaving, before)
        self.seconds += time.monotonic() - began
        self.longest = max(self.longest, time.monotonic() - began)

    def people_here(self) -> dict[str, tuple[Any, ...]]:
        return {row[0]: row[1:] for row in self.members.rows(PEOPLE, self.since)}

    def judge(
        self,
        one: str,
        row: tuple[Any, ...] | None,
        leaving: dict[str, str],
        there: dict[str, dict[str, Place]],
    ) -> None:
        """Judge of one person, of whom all is read at one instant."""
        states = {system: places[one].state for system, places in there.items() if one in places}
        states["here"] = self.here(row, leaving)
        active = [system for system, state in states.items() if state == "active"]
        if len(active) > 1:
            self.found.setdefault(f"{one[:12]} active in {' and '.join(active)}", self.when())
        if not active and "on_the_way" not in states.values():
            self.found.setdefault(f"{one[:12]} nowhere: {states}", self.when())

    def here(self, row: tuple[Any, ...] | None, leaving: dict[str, str]) -> str:
        """Return what somebody is here: active, on the way to a peer, or gone."""
        if row is None or row[0] is None or row[1] in self.peers:
            return "gone"
        state = leaving.get(f"national:{row[2]}") if row[2] else None
        return {"handover": "on_the_way", "moved": "gone"}.get(state or "", "active")

    def when(self) -> str:
        return time.strftime("%H:%M:%S")

    def said(self) -> dict[str, Any]:
        """Return what is to be told."""
        mean = self.seconds / max(1, self.looks)
        return {
            "looks": self.looks,
            "missed": self.missed,
            "people": self.people,
            "mean_ms": round(1000 * mean),
            "longest_ms": round(1000 * self.longest),
            "found": [f"{when} {what}" for what, when in self.found.items()],
        }


def main() -> None:
    """Look until the input ends."""
    auditor = Auditor(json.loads(sys.argv[1]))
    over = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    while not over.is_set():
        auditor.look()
        over.wait(EVERY_SECONDS)
    auditor.look()
    print(json.dumps(auditor.said()))


if __name__ == "__main__":
    main()
