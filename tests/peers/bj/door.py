"""What comes over the network, and what goes: `http.server` and `urllib`, nothing else."""

from __future__ import annotations

import json
import random
import re
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.peers.bj.book import AHEAD, ME, OTHER, Book, now
from tests.peers.bj.jose import Wrong, loads, sha
from tests.peers.bj.office import Office

BASE = "/bridge/v1"
MANIFEST = re.compile(BASE + r"/manifest/(\d{4}-\d\d-\d\d)(?:/([0-9a-f]{2}))?")
HOMES = re.compile(BASE + r"/homes/(\d{4}-\d\d-\d\d)")
LARGEST, MOST, LONGEST, PAGE = 512 * 1024, 100, 65_536, 100
AGAIN = ("not_authentic", "clock", "gap", "too_many_held")
TRIES = 12  # doublings until an hour


class Door:
    """Takes messages, and says what is asked with a token."""

    def __init__(self, book: Book) -> None:
        self.book, self.keys = book, book.keys

    def take(self, text: str) -> tuple[str, bool]:
        """Store a message and let it work; return the receipt, and whether the message was theirs."""
        try:
            if len(text) > LONGEST:
                raise Wrong("long")
            message = self.keys.open(text, "message+jws")
        except Wrong:
            return self.receipt("", text, "refused", "not_authentic", 0), False
        subject, seq = message.get("subject"), message.get("seq")
        if (message.get("source"), message.get("dest")) != (OTHER, ME):
            return self.receipt("", text, "refused", "not_authentic", 0), True
        if (
            not isinstance(subject, str)
            or type(seq) is not int
            or message.get("id") != f"{OTHER}/{subject}/{seq}"
        ):
            return self.receipt("", text, "refused", "malformed", 0), True
        with self.book.turn() as db:
            before = db.execute(
                "SELECT hash, receipt FROM incoming WHERE subject = ? AND seq = ?", (subject, seq)
            ).fetchone()
            if before is not None and before["hash"] == sha(text):
                return str(before["receipt"]), True
            db.execute(
                "INSERT OR IGNORE INTO cases (subject, stage, since) VALUES (?, 'none', ?)",
                (subject, now().isoformat()),
            )
            case = self.book.case(subject)
            assert case is not None
            if before is not None:
                code, expected = "id_reused", case["in_seq"] + 1
            elif datetime.fromisoformat(message["time"]) > now() + timedelta(minutes=10):
                code, expected = "clock", case["in_seq"] + 1
            elif seq != case["in_seq"] + 1:
                code, expected = "gap", case["in_seq"] + 1
            else:
                return self.hear(message, text, case), True
            return self.receipt(message["id"], text, "refused", code, expected), True

    def hear(self, message: dict[str, Any], text: str, case: Any) -> str:
        """Let a message work whose turn has come; its number counts in any case."""
        subject, seq, db = message["subject"], message["seq"], self.book.db
        odd = "" if message.get("prev") == case["in_head"] else "prev"
        self.book.put(subject, in_seq=seq, in_head=sha(text))
        code = ""
        if message.get("expires") and datetime.fromisoformat(message["expires"]) <= now():
            code = "expired"
        elif not str(message.get("dataschema")).startswith("urn:tuanqiao:bridge:1."):
            code = "version"
        elif not odd:
            db.execute("SAVEPOINT heard")
            try:
                odd = self.book.hear(message)
            except (AttributeError, KeyError, TypeError, ValueError):
                db.execute("ROLLBACK TO heard")
                code = "wrong_field"
            db.execute("RELEASE heard")
        made = self.receipt(message["id"], text, "refused" if code else "stored", code, seq + 1)
        db.execute(
            "INSERT INTO incoming VALUES (?, ?, ?, ?, ?, ?)", (subject, seq, sha(text), text, made, odd)
        )
        return made

    def receipt(self, of: str, text: str, status: str, code: str, expected: int) -> str:
        said: dict[str, Any] = {"source": ME, "dest": OTHER, "of": of, "sha256": sha(text), "status": status}
        said |= {"expected_seq": expected, "time": now().isoformat()}
        return self.keys.sign("receipt+jws", said | ({"code": code} if code else {}), now())

    def manifest(self, day: str, bucket: str | None) -> dict[str, Any]:
        said: dict[str, Any] = {"source": ME, "dest": OTHER, "day": day, "time": now().isoformat()}
        if bucket:
            said |= {"bucket": bucket, "lines": self.book.lines(day).get(bucket, [])}
        else:
            said["buckets"] = self.book.buckets(day)
        return {"manifest": self.keys.sign("manifest+jws", said, now())}

    def homes(self, day: str, after: str) -> dict[str, Any]:
        said: dict[str, Any] = {"source": ME, "dest": OTHER, "day": day, "time": now().isoformat()}
        lines = self.book.homes(day, after)
        said |= {"after": after, "lines": lines[:2000], "more": len(lines) > 2000}
        return {"manifest": self.keys.sign("manifest+jws", said, now())}

    def orgs(self, after: str, limit: int) -> dict[str, Any]:
        """Return a page of the directory; it never changes."""
        page = "SELECT code, parent, kind, name, phone FROM orgs WHERE code > ? ORDER BY code LIMIT ?"
        with self.book.lock:
            rows = [dict(row) for row in self.book.db.execute(page, (after, limit)).fetchall()]
        return {"version": "1", "orgs": rows, "next": rows[-1]["code"] if len(rows) == limit else None}

    def about(self) -> dict[str, Any]:
        public = [{k: v for k, v in key.items() if k != "d"} for key in self.keys.read("own", "sig")]
        limits = {"messages": MOST, "bytes": LARGEST, "message": LONGEST, "held": 0}
        return {
            "system": ME,
            "versions": ["1.1"],
            "limits": limits,
            "time": now().isoformat(),
            "keys": public,
        }

    def known(self, token: str, path: str) -> bool:
        """Return whether a token is the other side's, for this path, and of this minute."""
        try:
            said = self.keys.open(token, "token+jws")
            asked = now() - AHEAD - datetime.fromisoformat(said["time"])
        except (KeyError, TypeError, ValueError, Wrong):
            return False
        wanted = (OTHER, ME, path)
        fits = tuple(said.get(name) for name in ("source", "dest", "path")) == wanted
        return fits and abs(asked) < timedelta(minutes=1)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, door: Door, office: Office) -> None:
        self.door, self.office = door, office
        super().__init__(("127.0.0.1", port), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *said: Any) -> None:
        pass

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            return self.problem(413, "too_large")
        raw = self.rfile.read(int(length))
        if self.server.office.paused:
            return self.problem(503, "away")
        if self.path != f"{BASE}/messages":
            return self.problem(404, "not_found")
        if self.headers.get_content_type() != "application/json":
            return self.problem(415, "no_json")
        try:
            texts = loads(raw).get("messages")
        except Wrong:
            return self.problem(400, "no_json")
        if (
            not isinstance(texts, list)
            or not 1 <= len(texts) <= MOST
            or not all(isinstance(t, str) for t in texts)
        ):
            return self.problem(422, "no_list")
        taken = [self.server.door.take(text) for text in texts]
        if not any(theirs for _, theirs in taken):
            return self.problem(401, "not_authentic")
        return self.answer(200, {"receipts": [receipt for receipt, _ in taken]})

    def do_GET(self) -> None:
        door, address = self.server.door, urlsplit(self.path)
        if self.server.office.paused:
            return self.problem(503, "away")
        if not door.known(self.headers.get("Authorization", "").removeprefix("Bearer "), address.path):
            return self.problem(401, "not_authentic")
        manifest = MANIFEST.fullmatch(address.path)
        if manifest:
            return self.answer(200, door.manifest(manifest[1], manifest[2]))
        asked = {name: values[-1] for name, values in parse_qs(address.query).items()}
        homes = HOMES.fullmatch(address.path)
        if homes:
            return self.answer(200, door.homes(homes[1], asked.get("after", "")))
        if address.path == f"{BASE}/about":
            return self.answer(200, door.about())
        if address.path == f"{BASE}/orgs":
            limit = int(asked["limit"]) if asked.get("limit", "").isdecimal() else PAGE
            return self.answer(200, door.orgs(asked.get("after", ""), max(1, min(limit, PAGE))))
        return self.problem(404, "not_found")

    def problem(self, status: int, code: str) -> None:
        self.close_connection = True
        said = {"type": "about:blank", "title": code, "status": status, "code": code}
        self.answer(status, said, {"Retry-After": "1"} if status == 503 else {})

    def answer(self, status: int, said: dict[str, Any], more: dict[str, str] | None = None) -> None:
        body = json.dumps(said, ensure_ascii=False).encode()
        kind = "application/json" if status == 200 else "application/problem+json"
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Courier:
    """Sends what waits, in its order, the same bytes until there is a receipt that ends it."""

    def __init__(self, book: Book, office: Office, url: str) -> None:
        self.book, self.office, self.url = book, office, url
        self.failures, self.not_before = 0, 0.0

    def turn(self) -> None:
        """Send once, if it is time."""
        if self.office.paused or time.monotonic() < self.not_before:
            return
        with self.book.lock:
            rows = self.book.db.execute(
                "SELECT * FROM outgoing WHERE done IS NULL ORDER BY rowid LIMIT ?",
                (1 if self.failures else MOST,),
            ).fetchall()
        rows = rows[: max(1, LARGEST // 2 // max((len(row["jws"]) for row in rows), default=1))]
        if not rows:
            return
        try:
            self.note(rows, self.post([row["jws"] for row in rows]))
            self.failures = 0
        except (OSError, ValueError, KeyError, TypeError, Wrong) as error:
            self.away(error)

    def away(self, error: Exception) -> None:
        """Wait a second, then twice as long, an hour at most; a random part of it."""
        asked = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
        longest = 2 ** min(self.failures, TRIES) / self.book.speed
        wait = max(0.02, random.uniform(0.5, 1) * longest, float(asked) if asked.isdecimal() else 0.0)
        self.not_before, self.failures = time.monotonic() + wait, self.failures + 1

    def post(self, texts: list[str]) -> list[str]:
        body = json.dumps({"messages": texts}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{BASE}/messages", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            receipts = json.loads(answer.read())["receipts"]
        if len(receipts) != len(texts):
            raise ValueError("other receipts than messages")
        return list(receipts)

    def note(self, rows: list[Any], receipts: list[str]) -> None:
        """Keep the receipts; what may be tried again stays where it is."""
        again = False
        with self.book.turn() as db:
            for row, receipt in zip(rows, receipts, strict=True):
                said = self.book.keys.open(receipt, "receipt+jws")
                if (said["sha256"], said["source"], said["dest"]) != (row["hash"], OTHER, ME):
                    raise Wrong("a receipt for something else")
                if said["status"] == "refused" and said.get("code") in AGAIN:
                    again = True
                    if said["code"] == "gap":
                        back = "UPDATE outgoing SET done = NULL WHERE subject = ? AND seq >= ?"
                        db.execute(back, (row["subject"], said["expected_seq"]))
                    continue
                if said["status"] == "refused":
                    print("refused:", said["of"], said.get("code"), file=sys.stderr, flush=True)
                done = "UPDATE outgoing SET done = ? WHERE subject = ? AND seq = ?"
                db.execute(done, (receipt, row["subject"], row["seq"]))
        if again:
            self.away(ValueError("try again"))
            self.failures = max(0, self.failures - 1)
