"""Where transfers stand in Beijing: one SQLite file, one lock, and what each message does."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.peers.bj import registry
from tests.peers.bj.jose import Keys, sha
from tests.peers.bj.registry import Registry, Unfit

AHEAD = timedelta(minutes=4)
ME, OTHER = "BJ", "national"
CHINA = timezone(timedelta(hours=8))
FOR_EVER = ("record", "integrated", "sent_back")
STEP = (20.0, 120.0)  # seconds until the next level has decided
SILENCE = 3600.0  # seconds until it is asked what has become of a record
ENDS = {("refused", "offered"), ("refused", "handover"), ("sent_back", "handover")}
IMPOSSIBLE = {("record", "none"), ("record", "deciding"), ("called_off", "taken"), ("called_off", "back")}
TABLES = """
CREATE TABLE IF NOT EXISTS cases (
    subject TEXT PRIMARY KEY, stage TEXT, has_record INT DEFAULT 0, level INT DEFAULT 0,
    person TEXT DEFAULT '', name TEXT DEFAULT '', seal TEXT DEFAULT '', record TEXT DEFAULT '',
    comes_from TEXT DEFAULT '', target TEXT DEFAULT '', target_name TEXT DEFAULT '',
    ended_with TEXT DEFAULT '', act_at REAL, asks INT DEFAULT 0, never_seen INT DEFAULT 0,
    day TEXT, since TEXT, out_seq INT DEFAULT 0, out_head TEXT DEFAULT '',
    in_seq INT DEFAULT 0, in_head TEXT DEFAULT '');
CREATE TABLE IF NOT EXISTS outgoing (
    subject TEXT, seq INT, jws TEXT, hash TEXT, done TEXT, PRIMARY KEY (subject, seq));
CREATE TABLE IF NOT EXISTS incoming (
    subject TEXT, seq INT, hash TEXT, jws TEXT, receipt TEXT, odd TEXT, PRIMARY KEY (subject, seq));
"""
VIEWS = f"""
CREATE VIEW IF NOT EXISTS transfers AS SELECT subject,
    CASE WHEN subject LIKE '{ME}:%' THEN 'sender' ELSE 'receiver' END AS side, stage AS state,
    person AS number, ended_with, out_seq AS said_seq, in_seq AS heard_seq FROM cases;
CREATE VIEW IF NOT EXISTS said AS SELECT '{ME}/' || subject || '/' || seq AS id, subject, seq, jws,
    hash AS sha256, CASE WHEN done IS NULL THEN 'waiting' ELSE 'kept' END AS state, done AS receipt
    FROM outgoing;
CREATE VIEW IF NOT EXISTS heard AS SELECT '{OTHER}/' || subject || '/' || seq AS id, subject, seq, jws,
    hash AS sha256, CASE odd WHEN '' THEN 'applied' ELSE 'shown' END AS state, receipt FROM incoming;
"""
"""The same names as in the other systems' files, for tests/peers/audit.py."""


def now() -> datetime:
    return datetime.now(UTC) + AHEAD


def today() -> str:
    return str(now().astimezone(CHINA).date())


def day_of(instant: str) -> str:
    return str(datetime.fromisoformat(instant).astimezone(CHINA).date())


class Book:
    def __init__(self, place: Path, keys: Keys, seed: int = 1, speed: float = 1.0) -> None:
        self.keys, self.lock = keys, threading.RLock()
        self.seed, self.speed = seed, speed
        self.db = sqlite3.connect(place, check_same_thread=False, isolation_level=None, timeout=30)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(TABLES + registry.TABLES + VIEWS)
        self.registry = Registry(self.db, keys)

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

    def dice(self, subject: str, about: object) -> random.Random:
        """Return the draws for one decision: the same after a restart."""
        return random.Random(f"{self.seed}/{subject}/{about}")

    def later(self, subject: str, about: object, between: tuple[float, float] = STEP) -> float:
        """Return when somebody gets to it, in seconds since 1970."""
        return now().timestamp() + self.dice(subject, f"when {about}").uniform(*between) / self.speed

    def case(self, subject: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute(
            "SELECT * FROM cases WHERE subject = ?", (subject,)
        ).fetchone()
        return found

    def put(self, subject: str, **fields: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in fields)
        self.db.execute(f"UPDATE cases SET {names} WHERE subject = ?", (*fields.values(), subject))

    def stage(self, subject: str, stage: str, **fields: Any) -> None:
        self.put(subject, stage=stage, since=now().isoformat(), **{"act_at": None, **fields})

    def end(self, subject: str, stage: str, kind: str, reason: dict[str, str]) -> None:
        """End a transfer and say why."""
        self.stage(subject, stage, ended_with=reason["reason"])
        self.say(subject, kind, reason)

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
        jws = self.keys.sign("message+jws", message, now())
        self.put(subject, out_seq=seq, out_head=sha(jws))
        if kind == "offer":
            self.put(subject, day=day_of(str(message["time"])))
        self.db.execute("INSERT INTO outgoing VALUES (?, ?, ?, ?, NULL)", (subject, seq, jws, sha(jws)))

    def answer(self, subject: str, state: str) -> None:
        case = self.case(subject)
        assert case is not None
        self.say(subject, "status", {"state": state, "since": case["since"], "heard_seq": case["in_seq"]})

    def ask(self, case: sqlite3.Row, about: str) -> None:
        """Ask where it stands; again after twice as long."""
        wait = SILENCE / self.speed * 2 ** min(case["asks"], 6)
        self.put(case["subject"], asks=case["asks"] + 1, act_at=now().timestamp() + wait)
        self.say(case["subject"], "query", {"about": about, "heard_seq": case["in_seq"]})

    def hear(self, message: dict[str, Any]) -> str:
        """Let a message have its effect; return why it cannot have one, empty if it could."""
        subject, kind, data = message["subject"], message["type"], message["data"]
        case = self.case(subject)
        assert case is not None
        stage, mine = case["stage"], subject.startswith(f"{ME}:")
        if kind == "query":
            again = "UPDATE outgoing SET done = NULL WHERE subject = ? AND seq > ?"
            self.db.execute(again, (subject, data["heard_seq"]))
            if data["about"] == "record" and (mine or stage in ("none", "deciding")):
                return f"query about the record at {stage}"
            if data["about"] == "record" and stage == "awaited" and not case["has_record"]:
                self.stage(subject, "refused", ended_with="never_seen")
                self.answer(subject, "never_seen")
            elif data["about"] == "record" and stage == "refused":
                self.answer(subject, "never_seen")
            else:
                self.answer(subject, stage)
            return ""
        if kind == "status" and mine and stage == "handover" and data["state"] == "never_seen":
            self.put(subject, never_seen=1, act_at=self.later(subject, "release"))
        if kind in ("status", "progress"):
            return "" if stage != "none" else f"{kind} at none"
        if mine:
            return self.hear_as_sender(case, kind, data)
        return self.hear_as_receiver(case, kind, message)

    def hear_as_sender(self, case: sqlite3.Row, kind: str, data: dict[str, Any]) -> str:
        subject, stage = case["subject"], case["stage"]
        if kind == "accepted" and stage == "offered":
            # the person leaves with the record, in one transaction
            self.stage(subject, "handover", act_at=now().timestamp() + SILENCE / self.speed)
            record = self.registry.record(subject, case["person"], now())
            self.say(subject, "record", {"record": record})
        elif kind == "integrated" and stage == "handover":
            self.stage(subject, "moved")
            self.registry.move(subject, case["person"], "gone")
        elif (kind, stage) in ENDS:
            self.stage(subject, "kept", ended_with=data["reason"])
            self.registry.move(subject, case["person"], "active")
        elif stage in ("none", "offered") or (kind, stage) == ("integrated", "kept"):
            return f"{kind} at {stage}"
        return ""

    def hear_as_receiver(self, case: sqlite3.Row, kind: str, message: dict[str, Any]) -> str:
        subject, stage, data = case["subject"], case["stage"], message["data"]
        if kind == "offer" and stage == "none":
            said = {"seal": data["person"], "comes_from": data["from_org"]["name"]}
            said |= {"target": data["to_org"].get("code", ""), "target_name": data["to_org"]["name"]}
            said |= {"day": day_of(message["time"]), "act_at": self.later(subject, 0)}
            try:
                person = self.registry.opened(subject, "person+jwe", data["person"])
                said |= {"person": person["number"], "name": person["name"]}
            except Unfit:
                pass  # it is refused when the first of the levels looks at it
            self.stage(subject, "deciding", **said)
        elif kind == "called_off" and stage in ("none", "deciding", "awaited"):
            self.stage(subject, "refused", ended_with=data["reason"])
        elif kind == "record" and stage == "awaited":
            self.put(subject, has_record=1, record=data["record"], act_at=self.later(subject, "take"))
        elif kind == "record" and stage == "refused":
            self.end(subject, "back", "sent_back", {"reason": "too_late"})
        elif (kind, stage) in IMPOSSIBLE:
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

    def homes(self, day: str, after: str) -> list[dict[str, str]]:
        """Return where the members of a day's ended transfers are by the registry."""
        query = """
            SELECT cases.subject, members.state FROM cases LEFT JOIN members ON members.number = person
            WHERE day = ? AND cases.subject > ? AND person <> ''
            AND stage IN ('moved', 'kept', 'taken', 'refused', 'back') ORDER BY cases.subject"""
        with self.lock:
            rows = self.db.execute(query, (day, after)).fetchall()
        made = []
        for row in rows:
            here, there = ("sender", "receiver")[:: 1 if row["subject"].startswith(f"{ME}:") else -1]
            words = {"active": here, "on_the_way": "moving", "gone": there, None: "nobody"}
            made.append({"subject": row["subject"], "home": words[row["state"]]})
        return made

    def buckets(self, day: str) -> list[dict[str, Any]]:
        made = []
        for name, lines in sorted(self.lines(day).items()):
            text = "\n".join(" ".join(str(value) for value in line.values()) for line in lines)
            digest = hashlib.sha256(text.encode()).hexdigest()
            made.append({"name": name, "count": len(lines), "digest": digest})
        return made

    def odd(self) -> list[tuple[str, str]]:
        """Return the messages that could not have an effect."""
        with self.lock:
            rows = self.db.execute("SELECT subject, odd FROM incoming WHERE odd <> ''").fetchall()
        return [(row["subject"], row["odd"]) for row in rows]
