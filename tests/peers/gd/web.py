"""What the peer asks for: HTTP on the standard library, with the faults of a slow house."""

import re
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.peers.gd import codes, desk, envelope, jose, manifest, moments, store
from tests.peers.gd.courier import LARGEST, MESSAGES, MOST, ORGS
from tests.peers.gd.desk import Desk
from tests.peers.gd.keys import SEALING
from tests.peers.gd.store import Store

ABOUT = "/bridge/v1/about"
HOMES = re.compile(r"/bridge/v1/homes/(\d{4}-\d\d-\d\d)")
MOST_HOMES = 20
MANIFESTS = re.compile(r"/bridge/v1/manifest/(\d{4}-\d\d-\d\d)(?:/([0-9a-f]{2}))?")
PAGE = 20
LARGEST_PAGE = 100
PAUSED = 1  # true seconds
LAST_STRAW = 16 * LARGEST  # bytes of a body that is still read
SLOW = (1, 10)  # seconds of GD before the commit, and as many after it
BUSY = (1, 30)  # seconds of GD that a busy peer asks for


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, file: Store, desk: Desk, started_at: float):
        self.file = file
        self.desk = desk
        self.started_at = started_at
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request, client_address):
        """A peer that hangs up is nothing to write about; anything else is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Problem(Exception):
    """A request that is answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, code: str, retry_after: int | None = None):
        super().__init__(code)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class HangUp(Exception):
    """The connection is closed without an answer."""


class Handler(BaseHTTPRequestHandler):
    """The paths of the page."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format, *args):
        """Addresses are logged by nobody here."""

    def do_POST(self):
        self._answer({MESSAGES: self._messages})

    def do_GET(self):
        self._answer({ABOUT: self._about, ORGS: self._orgs})

    def _answer(self, paths: dict) -> None:
        try:
            self.body = self._read()
            address = urlsplit(self.path)
            is_manifest = self.command == "GET" and MANIFESTS.fullmatch(address.path)
            answer = self._manifest if is_manifest else paths.get(address.path)
            if self.command == "GET" and HOMES.fullmatch(address.path):
                answer = self._homes
            if answer is None:
                raise Problem(404, "not_found")
            self._go_wrong()
            value = answer()
            self._pause()
            if self.server.desk.faults.strikes("hangup", 0.15):
                raise HangUp
            self._send(200, "application/json", jose.dumps(value))
        except Problem as problem:
            self.close_connection = True
            extra = {} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}
            body = {
                "type": "about:blank",
                "title": problem.code,
                "status": problem.status,
                "code": problem.code,
            }
            self._send(problem.status, "application/problem+json", jose.dumps(body), extra)
        except HangUp:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, kind: str, body: bytes, extra: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    # ---- faults ----------------------------------------------------------------------------------

    def _go_wrong(self) -> None:
        faults = self.server.desk.faults
        if faults.paused:
            raise Problem(503, "maintenance", PAUSED)
        left = faults.outage_left(moments.now() - self.server.started_at)
        if left and faults.strikes("outage", 0.5):
            raise HangUp
        if left:
            raise Problem(503, "maintenance", round(left))
        if faults.strikes("busy", 0.15):
            status, code = (429, "too_many_requests") if faults.strikes("busy", 0.5) else (503, "busy")
            raise Problem(status, code, round(faults.between("busy", *BUSY)))

    def _pause(self) -> None:
        time.sleep(self.server.desk.faults.between("slow", *SLOW))

    def _read(self) -> bytes:
        """Return the whole body, so that whoever sends one too large hears what was wrong."""
        length = self.headers.get("Content-Length") or "0"
        if not length.isascii() or not length.isdecimal() or self.headers.get("Transfer-Encoding"):
            raise Problem(411, "no_length")
        if int(length) > LAST_STRAW:
            raise Problem(413, "too_large")
        return self.rfile.read(int(length))

    # ---- messages --------------------------------------------------------------------------------

    def _messages(self) -> dict:
        me = self.server.desk
        letters = [envelope.read(me.keys, me.system, jws) for jws in self._texts()]
        if not any(letter.is_authentic for letter in letters):
            raise Problem(401, "not_authentic")
        self._pause()
        with self.server.file.transaction() as tx:
            return {"receipts": [desk.take(tx, me, letter) for letter in letters]}

    def _texts(self) -> list[str]:
        if self.headers.get_content_type() != "application/json":
            raise Problem(415, "no_json")
        if len(self.body) > LARGEST:
            raise Problem(413, "too_large")
        try:
            body = jose.loads(self.body)
        except jose.Unreadable as error:
            raise Problem(400, "no_json") from error
        texts = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(texts, list) or not 1 <= len(texts) <= MOST:
            raise Problem(422, "no_list")
        if not all(isinstance(text, str) for text in texts):
            raise Problem(422, "no_list")
        return texts

    # ---- what is asked with a token --------------------------------------------------------------

    def _check_token(self) -> dict[str, str]:
        address, me = urlsplit(self.path), self.server.desk
        scheme, _, jws = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not envelope.is_token(me.keys, me.system, jws, address.path):
            raise Problem(401, "not_authentic")
        return {name: values[-1] for name, values in parse_qs(address.query).items()}

    def _about(self) -> dict:
        self._check_token()
        me = self.server.desk
        public = [{name: value for name, value in key.items() if name != "d"} for key in me.keys.own]
        return {
            "system": me.system,
            "versions": ["1.0"],
            "limits": {
                "messages": MOST,
                "bytes": LARGEST,
                "message": envelope.LONGEST,
                "held": desk.MOST_HELD,
            },
            "time": moments.text(moments.now()),
            "keys": [key for key in public if key.get("use") != SEALING],
        }

    def _orgs(self) -> dict:
        asked = self._check_token()
        after, limit = _whole(asked.get("after"), 0), min(_whole(asked.get("limit"), PAGE), LARGEST_PAGE)
        with self.server.file.transaction() as tx:
            rows = store.orgs_after(tx, after, limit)
            if after and self.server.desk.faults.strikes("rename", 0.4):
                self._rename(tx, after)
            version = store.setting(tx, "directory", "1")
        orgs = [
            {
                "code": str(row["code"]),
                "parent": str(row["parent"] or ""),
                "kind": codes.KINDS[row["kind"]],
                "name": row["name"],
                "phone": row["phone"],
            }
            for row in rows
        ]
        return {"version": version, "orgs": orgs, "next": orgs[-1]["code"] if len(rows) == limit else None}

    def _rename(self, tx, code: int) -> None:
        """Give the last organisation of the page before another name."""
        row = store.org(tx, code)
        if row is not None:
            name = row["name"]
            store.rename_org(
                tx, code, name.removesuffix("(更名)") if name.endswith("(更名)") else f"{name}(更名)"
            )

    def _manifest(self) -> dict:
        self._check_token()
        me = self.server.desk
        day, bucket = MANIFESTS.fullmatch(urlsplit(self.path).path).groups()
        with self.server.file.transaction() as tx:
            lines = [manifest.line(row) for row in store.transfers_of(tx, day)]
        if bucket is None:
            content = {"buckets": manifest.summary(lines)}
        else:
            rows = manifest.buckets(lines).get(bucket, [])
            content = {"bucket": bucket, "lines": [row._asdict() for row in rows]}
        return {"manifest": envelope.manifest(me.keys, me.system, day, **content)}

    def _homes(self) -> dict:
        after = self._check_token().get("after", "")
        me = self.server.desk
        day = HOMES.fullmatch(urlsplit(self.path).path)[1]
        with self.server.file.transaction() as tx:
            rows = store.homes_of(tx, day, after, MOST_HOMES + 1)
        lines = [{"subject": row["subject"], "home": manifest.home(row)} for row in rows[:MOST_HOMES]]
        more = len(rows) > MOST_HOMES
        return {"manifest": envelope.manifest(me.keys, me.system, day, after=after, lines=lines, more=more)}


def _whole(text: str | None, otherwise: int) -> int:
    """Return a whole number of an address, at least 0."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else otherwise
