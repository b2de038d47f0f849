"""Where transfers stand in Beijing: one SQLite file, one lock, and what each message does."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.peers.bj.jose import Own, sha

AHEAD = timedelta(minutes=4)
ME, OTHER = "BJ", "national"
FOR_EVER = ("record", "integrated", "sent_back")
TABLES = """
CREATE TABLE IF NOT EXISTS cases (
    subject TEXT PRIMARY KEY, stage TEXT, has_record INT DEFAULT 0, level INT DEFAULT 0, person TEXT,
    day TEXT, since TEXT, out_seq INT DEFAULT 0, out_head TEXT DEFAULT '',
    in_seq INT DEFAULT 0, in_head TEXT DEFAULT '');
CREATE TABLE IF NOT EXISTS outgoing (
    subject TEXT, seq INT, jws TEXT, hash TEXT, done TEXT, PRIMARY KEY (subject, seq));
CREATE TABLE IF NOT EXISTS incoming (
    subject TEXT, seq INT, hash TEXT, jws TEXT, receipt TEXT, odd TEXT, PRIMARY KEY (subject, seq));
CREATE TABLE IF NOT EXISTS people (person TEXT PRIMARY KEY, active INT);
"""


def now() -> datetime:
    return datetime.now(UTC) + AHEAD


def day_of(instant: str) -> str:
    return str(datetime.fromisoformat(instant).astimezone(timezone(timedelta(hours=8))).date())


class Book:
    def __init__(self, place: Path, own: Own) -> None:
        self.own, self.lock = own, threading.RLock()
        self.db = sqlite3.connect(place, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(TABLES)

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """One transaction at a time."""
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    def case(self, subject: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute(
            "SELECT * FROM cases WHERE subject = ?", (subject,)
        ).fetchone()
        return found

    def put(self, subject: str, **fields: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in fields)
        self.db.execute(f"UPDATE cases SET {names} WHERE subject = ?", (*fields.values(), subject))

    def stage(self, subject: str, stage: str, **fields: Any) -> None:
        self.put(subject, stage=stage, since=now().isoformat(), **fields)

    def say(self, subject: str, kind: str, data: dict[str, Any]) -> None:
        """Sign a message and keep it for sending; inside a turn."""
        case = self.case(subject)
        assert case is not None
        seq = case["out_seq"] + 1
        message = {
            "specversion": "1.0",
            "id": f"{ME}/{subject}/{seq}",
            "source": ME,
            "dest": OTHER,
            "type": kind,
            "time": now().isoformat(),
            "subject": subject,
            "seq": seq,
            "prev": case["out_head"],
            "dataschema": "urn:tuanqiao:bridge:1.1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "data": {**data, "serial": f"BJ-{seq:04d}"},
        }
        if kind not in FOR_EVER:
            message["expires"] = (now() + timedelta(days=30)).isoformat()
        jws = self.own.sign("message+jws", message)
        self.put(subject, out_seq=seq, out_head=sha(jws))
        if kind == "offer":
            self.put(subject, day=day_of(str(message["time"])))
        self.db.execute("INSERT INTO outgoing VALUES (?, ?, ?, ?, NULL)", (subject, seq, jws, sha(jws)))

    def answer(self, case: sqlite3.Row, state: str) -> None:
        data = {"state": state, "since": case["since"], "heard_seq": case["in_seq"]}
        self.say(case["subject"], "status", data)

    def hear(self, message: dict[str, Any]) -> str:
        """Let a message have its effect; return why it cannot have one, empty if it could."""
        subject, kind, data = message["subject"], message["type"], message["data"]
        case = self.case(subject)
        assert case is not None
        stage = case["stage"]
        if kind == "query":
            again = "UPDATE outgoing SET done = NULL WHERE subject = ? AND seq > ?"
            self.db.execute(again, (subject, data["heard_seq"]))
            if data["about"] == "record" and stage == "awaited" and not case["has_record"]:
                self.stage(subject, "refused")
                self.answer(self.case(subject) or case, "never_seen")
            elif data["about"] == "record" and stage == "refused":
                self.answer(case, "never_seen")
            else:
                self.answer(case, stage)
            return ""
        if kind == "status" or kind == "progress":
            return ""
        if subject.startswith(f"{ME}:"):
            return self.hear_as_sender(case, kind)
        return self.hear_as_receiver(case, kind, message)

    def hear_as_sender(self, case: sqlite3.Row, kind: str) -> str:
        subject, stage = case["subject"], case["stage"]
        if kind == "accepted" and stage == "offered":
            # the person leaves with the record, in one transaction
            self.stage(subject, "handover")
            self.db.execute("UPDATE people SET active = 0 WHERE person = ?", (case["person"],))
            self.say(subject, "record", {"record": case["person"]})
        elif kind == "integrated" and stage == "handover":
            self.stage(subject, "moved")
        elif kind in ("refused", "sent_back") and stage in ("offered", "handover"):
            self.stage(subject, "kept")
            self.db.execute("UPDATE people SET active = 1 WHERE person = ?", (case["person"],))
        elif stage == "none" or (kind == "integrated" and stage == "kept"):
            return f"{kind} at {stage}"
        return ""

    def hear_as_receiver(self, case: sqlite3.Row, kind: str, message: dict[str, Any]) -> str:
        subject, stage = case["subject"], case["stage"]
        if kind == "offer" and stage == "none":
            self.stage(subject, "deciding", person=message["data"]["person"], day=day_of(message["time"]))
        elif kind == "called_off" and stage in ("none", "deciding", "awaited"):
            self.stage(subject, "refused")
        elif kind == "record" and stage == "awaited":
            self.put(subject, has_record=1)
        elif kind == "record" and stage == "refused":
            self.stage(subject, "back")
            self.say(subject, "sent_back", {"reason": "too_late"})
        elif kind == "record" and stage in ("none", "deciding"):
            return f"{kind} at {stage}"
        return ""

    def lines(self, day: str) -> dict[str, list[dict[str, Any]]]:
        """Return the lines of a day by buckets."""
        outcomes = {"none": "open", "offered": "open", "deciding": "open", "awaited": "open"}
        outcomes |= {"handover": "on_the_way", "moved": "moved", "taken": "moved"}
        found: dict[str, list[dict[str, Any]]] = {}
        with self.lock:
            rows = self.db.execute("SELECT * FROM cases WHERE day = ? ORDER BY subject", (day,)).fetchall()
        for row in rows:
            waits = row["stage"] == "awaited" and row["has_record"]
            ours, theirs = (row["out_seq"], row["out_head"]), (row["in_seq"], row["in_head"])
            sender, receiver = (ours, theirs) if row["subject"].startswith(f"{ME}:") else (theirs, ours)
            line = {
                "subject": row["subject"],
                "outcome": "on_the_way" if waits else outcomes.get(row["stage"], "kept"),
                "sender_seq": sender[0],
                "sender_head": sender[1],
                "receiver_seq": receiver[0],
                "receiver_head": receiver[1],
            }
            found.setdefault(sha(row["subject"])[:2], []).append(line)
        return found

    def buckets(self, day: str) -> list[dict[str, Any]]:
        made = []
        for name, lines in sorted(self.lines(day).items()):
            text = "\n".join(" ".join(str(value) for value in line.values()) for line in lines)
            digest = hashlib.sha256(text.encode()).hexdigest()
            made.append({"name": name, "count": len(lines), "digest": digest})
        return made

    def report(self) -> dict[str, Any]:
        """Return what an auditor asks for."""
        with self.lock:
            stages = self.db.execute("SELECT subject, stage, person FROM cases").fetchall()
            active = self.db.execute("SELECT person FROM people WHERE active = 1").fetchall()
            odd = self.db.execute("SELECT subject, odd FROM incoming WHERE odd <> ''").fetchall()
        return json.loads(
            json.dumps(
                {
                    "cases": [tuple(row) for row in stages],
                    "active": [row[0] for row in active],
                    "odd": [tuple(row) for row in odd],
                }
            )
        )
