"""`python -m tests.peers.bj <settings as JSON>`: starts the system; says on one line where it listens."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.peers.bj.book import AHEAD, ME, OTHER, Book, now
from tests.peers.bj.jose import Own, Theirs, Wrong, sha

LEVELS = ("班级团支部", "学院团委", "大学团委", "教育团工委", "市级团委")
BRANCH = {"code": "BJ-DX-0001", "name": "北京大学软件学院2026级1班团支部", "phone": "010-6275"}


class System:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.dice = random.Random(settings["seed"])
        valid = (now() - timedelta(days=1)).isoformat(), (now() + timedelta(days=100)).isoformat()
        self.own, self.theirs = Own(*valid), Theirs(Path(settings["their_keys"]))
        Path(settings["our_keys"], f"{self.own.kid}.jwk").write_text(json.dumps(self.own.jwk))
        self.book = Book(Path(settings["file"]), self.own)
        self.went = False

    # ---- the door

    def take(self, text: str) -> str:
        """Store a message and let it work; return the receipt."""
        try:
            message = self.theirs.open(text, "message+jws")
            assert (message["source"], message["dest"]) == (OTHER, ME)
            subject, seq = message["subject"], message["seq"]
        except (Wrong, AssertionError, KeyError):
            return self.receipt("", text, "refused", "not_authentic", 0)
        with self.book.turn() as db:
            before = db.execute(
                "SELECT hash, receipt FROM incoming WHERE subject = ? AND seq = ?", (subject, seq)
            ).fetchone()
            if before is not None and before["hash"] == sha(text):
                return str(before["receipt"])
            db.execute(
                "INSERT OR IGNORE INTO cases (subject, stage, since) VALUES (?, 'none', ?)",
                (subject, now().isoformat()),
            )
            case = self.book.case(subject)
            assert case is not None
            if before is not None:
                return self.receipt(message["id"], text, "refused", "id_reused", case["in_seq"] + 1)
            if seq != case["in_seq"] + 1:
                return self.receipt(message["id"], text, "refused", "gap", case["in_seq"] + 1)
            odd = "" if message["prev"] == case["in_head"] else "prev"
            self.book.put(subject, in_seq=seq, in_head=sha(text))
            late = message.get("expires") and datetime.fromisoformat(message["expires"]) <= now()
            code = "expired" if late else ""
            if not odd and not code:
                odd = self.book.hear(message)
            made = self.receipt(message["id"], text, "refused" if code else "stored", code, seq + 1)
            db.execute(
                "INSERT INTO incoming VALUES (?, ?, ?, ?, ?, ?)", (subject, seq, sha(text), text, made, odd)
            )
            return made

    def receipt(self, of: str, text: str, status: str, code: str, expected: int) -> str:
        said: dict[str, Any] = {"source": ME, "dest": OTHER, "of": of, "sha256": sha(text), "status": status}
        said |= {"expected_seq": expected, "time": now().isoformat()}
        return self.own.sign("receipt+jws", said | ({"code": code} if code else {}))

    def manifest(self, path: str) -> str:
        day, _, bucket = path.partition("/")
        said: dict[str, Any] = {"source": ME, "dest": OTHER, "day": day, "time": now().isoformat()}
        if bucket:
            said |= {"bucket": bucket, "lines": self.book.lines(day).get(bucket, [])}
        else:
            said["buckets"] = self.book.buckets(day)
        return self.own.sign("manifest+jws", said)

    # ---- the courier

    def carry(self) -> None:
        with self.book.lock:
            rows = self.book.db.execute(
                "SELECT * FROM outgoing WHERE done IS NULL ORDER BY rowid LIMIT 100"
            ).fetchall()
        if not rows:
            return
        body = json.dumps({"messages": [row["jws"] for row in rows]}).encode()
        request = urllib.request.Request(
            f"{self.settings['peer']}/bridge/v1/messages", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            texts = json.loads(answer.read())["receipts"]
        assert len(texts) == len(rows)
        with self.book.turn() as db:
            for row, text in zip(rows, texts, strict=True):
                said = self.theirs.open(text, "receipt+jws")
                assert said["sha256"] == row["hash"] and said["dest"] == ME
                if said["status"] == "refused":
                    print("refused:", said["of"], said["code"], file=sys.stderr, flush=True)
                done = "UPDATE outgoing SET done = ? WHERE subject = ? AND seq = ?"
                db.execute(done, (text, row["subject"], row["seq"]))

    # ---- the people

    def decide(self) -> None:
        """Let each case that waits for people go one step on, or not yet."""
        with self.book.turn() as db:
            if not self.went:
                self.went = True
                self.send_off()
            for case in db.execute("SELECT * FROM cases WHERE stage IN ('deciding', 'awaited')").fetchall():
                if self.dice.random() < 0.5:
                    self.step(case)

    def send_off(self) -> None:
        for number in range(1, self.settings["leave"] + 1):
            subject, person = f"{ME}:{number}", f"sealed-for-national-{number:06d}"
            self.book.db.execute("INSERT INTO people VALUES (?, 1)", (person,))
            self.book.db.execute(
                "INSERT INTO cases (subject, stage, person, since) VALUES (?, 'offered', ?, ?)",
                (subject, person, now().isoformat()),
            )
            begun = now()
            offer = {"person": person, "from_org": BRANCH, "to_org": {"name": "湖北省武汉市某街道团工委"}}
            offer |= {"reason": "employed_with_org", "reason_text": "已落实工作单位"}
            offer |= {"started_at": begun.isoformat(), "answer_by": (begun + timedelta(days=10)).isoformat()}
            self.book.say(subject, "offer", offer)

    def step(self, case: Any) -> None:
        subject = case["subject"]
        if case["stage"] == "awaited":
            if not case["has_record"]:
                return
            if self.dice.random() < 0.2:
                self.book.stage(subject, "back")
                self.book.say(subject, "sent_back", {"reason": "identity_differs", "text": "姓名不符"})
            else:
                self.book.stage(subject, "taken")
                self.book.db.execute("INSERT INTO people VALUES (?, 1)", (case["person"],))
                self.book.say(subject, "integrated", {"branch": BRANCH, "at": now().isoformat()})
        elif self.dice.random() < 0.04:
            self.book.stage(subject, "refused")
            self.book.say(subject, "refused", {"reason": "BJ-FULL", "text": "名额已满"})
        elif case["level"] < len(LEVELS):
            self.book.put(subject, level=case["level"] + 1)
            at = {"name": LEVELS[case["level"]], "phone": "010-6275"}
            self.book.say(subject, "progress", {"organisation": at, "since": now().isoformat()})
        else:
            self.book.stage(subject, "awaited")
            self.book.say(subject, "accepted", {"branch": BRANCH})


def handler(system: System) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *said: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer({"receipts": [system.take(text) for text in body["messages"]]})

        def do_GET(self) -> None:
            if self.path == "/report":
                return self.answer(system.book.report())
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                said = system.theirs.open(token, "token+jws")
                asked = now() - datetime.fromisoformat(said["time"])
                assert said["path"] == self.path and abs(asked - AHEAD) < timedelta(minutes=1)
            except (Wrong, AssertionError, KeyError):
                return self.send_error(401)
            return self.answer({"manifest": system.manifest(self.path.removeprefix("/bridge/v1/manifest/"))})

        def answer(self, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Door


def main() -> None:
    system = System(json.loads(sys.argv[1]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(system))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    system.settings["peer"] = json.loads(sys.stdin.readline())
    while True:
        time.sleep(0.05)
        system.decide()
        try:
            system.carry()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)


if __name__ == "__main__":
    main()
