"""The registry of Beijing: members with their numbers, and what is sealed for the other side's and by it."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from datetime import date, datetime
from typing import Any

from tests.peers.bj.jose import Keys, Wrong
from tests.peers.bj.tree import last_place

TABLES = """
CREATE TABLE IF NOT EXISTS orgs (code TEXT PRIMARY KEY, parent TEXT, kind TEXT, name TEXT, phone TEXT);
CREATE TABLE IF NOT EXISTS members (
    id TEXT PRIMARY KEY, number TEXT NOT NULL UNIQUE, name TEXT NOT NULL, joined_on TEXT,
    phone TEXT DEFAULT '', branch TEXT NOT NULL REFERENCES orgs, since TEXT, more TEXT DEFAULT '{}',
    state TEXT NOT NULL CHECK (state IN ('active', 'on_the_way', 'gone')), subject TEXT DEFAULT '');
CREATE TABLE IF NOT EXISTS stays (
    nth INTEGER PRIMARY KEY, number TEXT NOT NULL, state TEXT NOT NULL, subject TEXT, at REAL NOT NULL);
CREATE TRIGGER IF NOT EXISTS members_come AFTER INSERT ON members BEGIN
    INSERT INTO stays (number, state, subject, at)
    VALUES (new.number, new.state, new.subject, (julianday('now') - 2440587.5) * 86400); END;
CREATE TRIGGER IF NOT EXISTS members_change AFTER UPDATE OF state ON members BEGIN
    INSERT INTO stays (number, state, subject, at)
    VALUES (new.number, new.state, new.subject, (julianday('now') - 2440587.5) * 86400); END;
"""
OPEN = ("offered", "handover", "deciding", "awaited")
SHORT = ("phone", "ethnic_group", "development_number", "contact", "emergency_contact")
LONGEST = {"number": 40, "name": 200, "phone": 40, "remark": 1000} | dict.fromkeys(SHORT[1:], 60)
MORE = (*SHORT[1:], "party")


class Unfit(Exception):
    """Somebody who cannot come; `code` is a reason of the page."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Registry:
    """Works inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection, keys: Keys) -> None:
        self.db, self.keys = db, keys

    def furnish(self, orgs: list[tuple[str, ...]], people: list[dict[str, Any]]) -> None:
        """Fill an empty registry."""
        if self.db.execute("SELECT 1 FROM orgs").fetchone() is None:
            self.db.executemany("INSERT INTO orgs VALUES (?, ?, ?, ?, ?)", orgs)
            names = "id, number, name, joined_on, phone, branch, since"
            values = ", ".join(f":{name}" for name in names.split(", "))
            self.db.executemany(f"INSERT INTO members ({names}, state) VALUES ({values}, 'active')", people)

    def org(self, code: str, name: str = "") -> sqlite3.Row | None:
        """Return an organisation by its code, or by its full name where there is no code."""
        column, value = ("code", code) if code else ("name", name)
        found: sqlite3.Row | None = self.db.execute(
            f"SELECT * FROM orgs WHERE {column} = ?", (value,)
        ).fetchone()
        return found

    def branch_below(self, code: str) -> sqlite3.Row | None:
        """Return the first branch at or below an organisation."""
        found: sqlite3.Row | None = self.db.execute(
            "WITH RECURSIVE below (code) AS (SELECT ? UNION SELECT orgs.code FROM orgs JOIN below"
            " ON orgs.parent = below.code) SELECT orgs.* FROM orgs JOIN below USING (code)"
            " WHERE kind = 'branch' ORDER BY code",
            (code,),
        ).fetchone()
        return found

    def by_number(self, number: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute(
            "SELECT * FROM members WHERE number = ?", (number,)
        ).fetchone()
        return found

    def member(self, one: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute("SELECT * FROM members WHERE id = ?", (one,)).fetchone()
        return found

    def may_leave(self) -> list[sqlite3.Row]:
        """Return the active members of whom no transfer is open."""
        return self.db.execute(
            f"SELECT * FROM members WHERE state = 'active' AND number NOT IN (SELECT person FROM cases"
            f" WHERE person <> '' AND stage IN {OPEN}) ORDER BY id"
        ).fetchall()

    def everybody(self) -> list[sqlite3.Row]:
        return self.db.execute(
            "SELECT members.*, orgs.name AS organisation FROM members JOIN orgs ON code = branch ORDER BY id"
        ).fetchall()

    # ---- who goes

    def person(self, subject: str, row: sqlite3.Row, now: datetime) -> str:
        """Return the seal of an offer."""
        return self.keys.seal("person+jwe", self.about(subject, row), now)

    def record(self, subject: str, number: str, now: datetime) -> str:
        """Return the seal of the record; the member is on the way from here on."""
        row = self.by_number(number)
        assert row is not None
        org = self.org(row["branch"])
        assert org is not None
        more = json.loads(row["more"])
        here = {"branch": org["name"], "since": row["since"], "until": str(now.date())}
        said = self.about(subject, row) | {"ethnic_group": "汉族"} | more
        said["stays"] = [*more.get("stays", []), here][-100:]
        self.move(subject, number, "on_the_way")
        return self.keys.seal("record+jwe", said, now)

    def about(self, subject: str, row: sqlite3.Row) -> dict[str, Any]:
        said = {"subject": subject, "number": row["number"], "name": row["name"]}
        return said | {name: row[name] for name in ("joined_on", "phone") if row[name]}

    def move(self, subject: str, number: str, state: str) -> None:
        """Let a member be on the way, gone, or active again."""
        move = "UPDATE members SET state = ?, subject = ? WHERE number = ? AND state <> ?"
        self.db.execute(move, (state, subject, number, state))

    # ---- who comes

    def opened(self, subject: str, kind: str, seal: str) -> dict[str, Any]:
        """Return what is in a seal, the number in its one spelling; raise Unfit where it is not as agreed."""
        person = kind == "person+jwe"
        try:
            said = self.keys.unseal(kind, seal)
            assert all(isinstance(said[name], str) and said[name] for name in ("subject", "number", "name"))
            assert all(isinstance(said.get(one, ""), str) for one in LONGEST)
            assert all(len(said.get(one, "")) <= most for one, most in LONGEST.items())
            assert isinstance(said.get("party", False), bool)
            assert said.get("joined_on") is None or date.fromisoformat(said["joined_on"])
            stays = said.get("stays", [])
            assert isinstance(stays, list) and len(stays) <= 100
            assert all(one["branch"] and date.fromisoformat(one["since"]) for one in stays)
        except (AssertionError, KeyError, TypeError, ValueError, Wrong):
            raise Unfit("wrong_data" if person else "record_unreadable") from None
        if said["subject"] != subject:
            raise Unfit("identity_differs" if person else "record_unreadable")
        number = "".join(unicodedata.normalize("NFKC", said["number"]).split()).upper()
        return said | {"number": number}

    def check(self, said: dict[str, Any], subject: str, today: date) -> None:
        """Raise Unfit where somebody cannot be a member here now."""
        number, name = said["number"], unicodedata.normalize("NFKC", said["name"])
        digits = number[:17]
        if len(number) != 18 or not (digits.isascii() and digits.isdecimal()):
            raise Unfit("identity_invalid")
        try:
            born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
        except ValueError:
            raise Unfit("identity_invalid") from None
        if last_place(digits) != number[17]:
            raise Unfit("identity_invalid")
        if not all(letter.isalpha() or letter in "·. -'" for letter in name):
            raise Unfit("name_invalid")
        years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
        if not 14 <= years < 28:
            raise Unfit("age_out_of_range")
        row = self.by_number(number)
        if row is not None and row["state"] == "active":
            raise Unfit("identity_active")
        others = "SELECT 1 FROM cases WHERE person = ? AND subject <> ? AND stage IN "
        if self.db.execute(f"{others}{OPEN}", (number, subject)).fetchone():
            raise Unfit("transfer_open")

    def take(self, subject: str, record: dict[str, Any], branch: str, today: date) -> None:
        """Make somebody a member, or one again (one row for one number)."""
        more = {name: record[name] for name in (*MORE, "stays") if name in record}
        made = {"number": record["number"], "name": record["name"], "joined_on": record.get("joined_on")}
        made |= {"phone": record.get("phone", ""), "branch": branch, "since": str(today)}
        made |= {"more": json.dumps(more, ensure_ascii=False), "state": "active", "subject": subject}
        if self.by_number(record["number"]):
            names = ", ".join(f"{name} = :{name}" for name in made)
            self.db.execute(f"UPDATE members SET {names} WHERE number = :number", made)
        else:
            (count,) = self.db.execute("SELECT count(*) FROM members").fetchone()
            made["id"] = f"BJ-T-{count + 1:06d}"
            values = ", ".join(f":{name}" for name in made)
            self.db.execute(f"INSERT INTO members ({', '.join(made)}) VALUES ({values})", made)
