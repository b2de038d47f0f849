"""A network between two systems that loses, doubles and swaps some of the requests that it carries.

    python -m tests.storm.bridges.relay '{"odds": 0.05, "seed": 1, "ways": {"to BJ": [8001, 8101]}}'

Each way is a port of its own and the port behind it. It runs until its input ends, and says then how often
it did what, as a line of JSON; `Relay` starts it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.storm.proxy import ROOT

FAULTS = ("request lost", "answer lost", "doubled", "late", "swapped")
LATEST_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
KEPT = ("Content-Type", "Authorization")
BACK = ("Content-Type", "Retry-After", "Date")


class Way(ThreadingHTTPServer):
    """One direction: a port that leads to another."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str, port: int, behind: int, odds: float, seed: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behind, self.odds = behind, odds
        self.dice = random.Random(f"{seed}/{name}")
        self.met: Counter[str] = Counter()
        self.seen: set[bytes] = set()
        self.lock = threading.Lock()

    def fault(self, messages: list[str]) -> str:
        """Return what happens to a request; count its messages, and those that have passed before."""
        hashes = [hashlib.sha256(one.encode()).digest() for one in messages]
        with self.lock:
            self.met["requests"] += 1
            self.met["messages"] += len(hashes)
            self.met["messages that came again"] += sum(one in self.seen for one in hashes)
            self.seen.update(hashes)
            found = self.dice.choice(FAULTS) if self.dice.random() < self.odds else ""
            if found:
                self.met[found] += 1
        return found

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever called has been killed."""


class Handler(BaseHTTPRequestHandler):
    server: Way

    def log_message(self, format: str, *said: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.carry(b"", [])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            messages = json.loads(body)["messages"]
            assert all(isinstance(one, str) for one in messages)
        except (ValueError, KeyError, TypeError, AssertionError):
            messages = []
        self.carry(body, messages)

    def carry(self, body: bytes, messages: list[str]) -> None:
        """Carry one request, or do to it what is to happen."""
        fault = self.server.fault(messages)
        if fault == "request lost":
            return
        if fault == "late":
            # whoever sent it has heard nothing, and sends it again: this one may come after that
            wait = self.server.dice.uniform(0, LATEST_SECONDS)
            threading.Thread(target=self.later, args=(wait, body), daemon=True).start()
            return
        order = list(range(len(messages)))
        if fault == "swapped" and len(messages) > 1:
            self.server.dice.shuffle(order)
            body = json.dumps({"messages": [messages[n] for n in order]}).encode()
        try:
            if fault == "doubled":
                self.ask(body)
            status, headers, answer = self.ask(body)
        except (OSError, http.client.HTTPException):
            return
        if fault == "answer lost":
            return
        if fault == "swapped" and status == 200 and len(messages) > 1:
            answer = put_back(answer, order)
        self.send_response_only(status)
        for name in BACK:
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def later(self, wait: float, body: bytes) -> None:
        time.sleep(wait)
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.ask(body)

    def ask(self, body: bytes) -> tuple[int, Any, bytes]:
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=PATIENCE_SECONDS)
        try:
            headers = {name: self.headers[name] for name in KEPT if name in self.headers}
            behind.request(self.command, self.path, body or None, headers)
            answer = behind.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            behind.close()


def put_back(answer: bytes, order: list[int]) -> bytes:
    """Return receipts in the order in which their messages had come."""
    try:
        receipts = json.loads(answer)["receipts"]
    except (ValueError, KeyError, TypeError):
        return answer  # the other side has spoilt it by itself
    if len(receipts) != len(order):
        return answer
    back = [receipt for _, receipt in sorted(zip(order, receipts, strict=True))]
    return json.dumps({"receipts": back}).encode()


class Relay:
    """The network: ways are added, then it is started."""

    def __init__(self, odds: float, seed: int, ports: list[int]) -> None:
        self.odds, self.seed, self.ports = odds, seed, iter(ports)
        self.ways: dict[str, tuple[int, int]] = {}
        self.process: subprocess.Popen[str] | None = None

    def way(self, name: str, behind: int) -> int:
        """Add a way to a port; return its own."""
        self.ways[name] = next(self.ports), behind
        return self.ways[name][0]

    def start(self) -> None:
        """Start carrying."""
        said = json.dumps({"odds": self.odds, "seed": self.seed, "ways": self.ways})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storm.bridges.relay", said],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "up\n"

    def end(self) -> Counter[str]:
        """End it; return how often it did what."""
        assert self.process is not None
        out, _ = self.process.communicate("")
        return Counter(json.loads(out))


def main() -> None:
    """Carry until the input ends."""
    said = json.loads(sys.argv[1])
    ways = [Way(name, *ports, said["odds"], said["seed"]) for name, ports in said["ways"].items()]
    for way in ways:
        threading.Thread(target=way.serve_forever, args=(0.05,), daemon=True).start()
    print("up", flush=True)
    sys.stdin.read()
    print(json.dumps(sum((way.met for way in ways), Counter())))


if __name__ == "__main__":
    main()
