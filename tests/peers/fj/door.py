"""What the peer asks for, as a WSGI application of werkzeug."""

import contextlib
import re
import threading
from collections.abc import Iterator

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from tests.peers.fj import clock, jose, letters, manifest
from tests.peers.fj.bureau import MOST_HELD, Bureau
from tests.peers.fj.ledger import Ledger
from tests.peers.fj.mess import cut, flipped
from tests.peers.fj.post import LARGEST, MESSAGES, MOST, ORGS
from tests.peers.fj.staff import Staff

ABOUT = "/bridge/v1/about"
HOMES = re.compile(r"/bridge/v1/homes/(\d{4}-\d\d-\d\d)")
MANIFESTS = re.compile(rf"{manifest.PATH}/(\d{{4}}-\d\d-\d\d)(?:/([0-9a-f]{{2}}))?")
PAGE = 50
TOKEN_LIVES = 600  # seconds: FJ knows that its own clock is not to be believed to the minute
AWAY_SECONDS = 5


class Problem(Exception):
    """A request that is answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Door:
    """The paths of the page."""

    def __init__(self, ledger: Ledger, bureau: Bureau, staff: Staff) -> None:
        self.ledger, self.bureau, self.staff, self.desk = ledger, bureau, staff, bureau.desk
        self.mess, self._answers = bureau.mess, 0

    def __call__(self, environ, start_response):
        request = Request(environ)
        try:
            answer = Response(self.spoilt(jose.dumps(self.answer(request))), mimetype="application/json")
        except Problem as problem:
            body = {
                "type": "about:blank",
                "title": problem.code,
                "status": problem.status,
                "code": problem.code,
            }
            answer = Response(jose.dumps(body), problem.status, mimetype="application/problem+json")
            if problem.status == 503:
                answer.headers["Retry-After"] = str(AWAY_SECONDS)
        return answer(environ, start_response)

    def spoilt(self, body: bytes) -> bytes:
        """Return an answer as it leaves this house."""
        self._answers += 1
        text = body.decode()
        for fault, spoil in (("flip", flipped), ("truncate", cut)):
            if text.isascii() and self.mess.strikes(fault, "answer", self._answers):
                text = spoil(text, self.mess.dice(fault, "how", self._answers))
        return text.encode()

    def answer(self, request: Request):
        """Return what a request is answered with."""
        if self.staff.paused:
            raise Problem(503, "away")
        if (request.method, request.path) == ("POST", MESSAGES):
            return self.messages(request)
        found = MANIFESTS.fullmatch(request.path)
        homes = HOMES.fullmatch(request.path)
        if request.method != "GET" or not (found or homes or request.path in (ABOUT, ORGS)):
            raise Problem(404, "not_found")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        said = self.desk.opened(token, "token+jws") if scheme.lower() == "bearer" else None
        if said is None or said.get("path") != request.path:
            raise Problem(401, "not_authentic")
        if abs(clock.parse(said["time"]) - clock.now()) > TOKEN_LIVES:
            raise Problem(401, "not_authentic")
        if found:
            return self.manifest(*found.groups())
        if homes:
            return self.homes(homes[1], request.args.get("after", ""))
        return self.about() if request.path == ABOUT else self.orgs(request)

    def messages(self, request: Request) -> dict:
        if request.mimetype != "application/json":
            raise Problem(415, "not_json")
        if (request.content_length or 0) > LARGEST:
            raise Problem(413, "too_large")
        try:
            body = jose.loads(request.stream.read(LARGEST + 1))
        except jose.Unreadable:
            raise Problem(400, "not_json") from None
        texts = body.get("messages") if isinstance(body, dict) else None
        is_list = isinstance(texts, list) and 1 <= len(texts) <= MOST
        if not is_list or not all(isinstance(text, str) for text in texts):
            raise Problem(422, "not_messages")
        some = [self.desk.read(text) for text in texts]
        if not any(letter.is_authentic for letter in some):
            raise Problem(401, "not_authentic")
        with self.ledger.transaction() as book:
            return {"receipts": [self.bureau.take(book, letter) for letter in some]}

    def about(self) -> dict:
        return {
            "system": self.desk.system,
            "versions": [letters.SCHEMA],
            "limits": {
                "messages": MOST,
                "bytes": LARGEST,
                "message_characters": letters.LONGEST,
                "held": MOST_HELD,
            },
            "keys": [{name: jwk[name] for name in jwk if name != "d"} for jwk in self.desk.keys.own("sig")],
            "time": clock.text(clock.now()),
        }

    def orgs(self, request: Request) -> dict:
        limit = request.args.get("limit", PAGE, type=int)
        limit = max(1, min(PAGE, limit))
        with self.ledger.transaction() as book:
            rows = book.orgs_after(request.args.get("after", ""), limit + 1)
            version = book.setting("directory", "闽1")
        names = ("code", "parent", "kind", "name", "short_name", "phone")
        orgs = [{name: row[name] for name in names} for row in rows[:limit]]
        return {"version": version, "orgs": orgs, "next": orgs[-1]["code"] if len(rows) > limit else None}

    def manifest(self, day: str, bucket: str | None) -> dict:
        with self.ledger.transaction() as book:
            lines = manifest.lines(book, day)
        said = {"day": day}
        if bucket is None:
            said |= {"buckets": manifest.summary(lines)}
        else:
            some = manifest.buckets(lines).get(bucket, [])
            said |= {"bucket": bucket, "lines": [one._asdict() for one in some]}
        return {"manifest": self.desk.signed("manifest+jws", **said)}

    def homes(self, day: str, after: str) -> dict:
        with self.ledger.transaction() as book:
            lines = manifest.homes(book, day, after)
        said = {"day": day, "after": after, "lines": lines[:2000], "more": len(lines) > 2000}
        return {"manifest": self.desk.signed("manifest+jws", **said)}


class _Silent(WSGIRequestHandler):
    def log(self, *said: object) -> None:
        """Addresses are logged by nobody here."""


@contextlib.contextmanager
def opened(door: Door, port: int) -> Iterator[int]:
    """Serve on a port, each request in a thread of its own; yield the port."""
    server = make_server("127.0.0.1", port, door, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
