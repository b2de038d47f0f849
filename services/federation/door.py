"""The door of a bridge: what the peer may ask by HTTP (docs/federation.md).

Receipts go out after the commit that stored what they are for. Whoever is not the peer leaves nothing behind
but a count and the hash of what was sent.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from wsgiref.types import WSGIApplication

import msgspec
from msgspec import Meta
from sqlalchemy.exc import DBAPIError, TimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Map, Rule, ValidationError
from werkzeug.wrappers import Request, Response

from services.federation import directory as their_directory
from services.federation import envelope, homes, manifests, our_directory, receiving
from services.federation.envelope import NotTaken, read_json, verified
from services.federation.handovers import Bridge
from services.federation.keys import NoKey
from services.federation.receiving import MOST_HELD
from services.federation.schemas import DATASCHEMA, Fault, Token
from shared import clock, failures, metrics
from shared.db import Database
from shared.messages.limits import FIRST_YEAR, LAST_YEAR

log = logging.getLogger("tuanqiao.federation")

MOST_MESSAGES = 100
MOST_BYTES = 512 * 1024
TOKEN_LIVES = envelope.FUTURE
"""How far the clocks of both sides may differ; a token opens what is read over TLS, again and again."""
REST_SECONDS = 5
"""After how long a peer should try again that was told 429 or 503."""
LOOKED_UP_LATELY = timedelta(seconds=10)
"""How old what our registry says of members may be that is shown to the peer."""
SOON_SECONDS = 1
"""After how long a peer should ask again where members are."""
REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 50.0, 100.0


class Messages(msgspec.Struct, frozen=True):
    """The body of a request."""

    messages: Annotated[list[str], Meta(min_length=1, max_length=MOST_MESSAGES)]


class Allowance:
    """How many requests the peer may make: so many a second, and some more at once."""

    def __init__(
        self,
        a_second: float = REQUESTS_A_SECOND,
        at_once: float = REQUESTS_AT_ONCE,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._a_second, self._at_once, self._steady = a_second, at_once, steady
        self._left, self._at = at_once, steady()
        self._turn = threading.Lock()

    def spend(self) -> bool:
        """Return whether one more is allowed now."""
        with self._turn:
            now = self._steady()
            self._left = min(self._at_once, self._left + (now - self._at) * self._a_second)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def app(
    bridge: Bridge,
    database: Database,
    allowance: Allowance | None = None,
    ready: Callable[[], bool] = lambda: True,
) -> WSGIApplication:
    """Return the WSGI application of a bridge's door.

    Args:
        bridge: Our end.
        database: Its own.
        allowance: How often it may be asked.
        ready: Whether messages can be judged; until then the peer is asked to come again.

    """
    spend = (allowance or Allowance()).spend
    for result in (*_RESULTS, *Fault):
        metrics.BRIDGE_RECEIVED.labels(bridge.peer, str(result))

    def messages(request: Request) -> Response:
        if request.mimetype != "application/json":
            return _problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json")
        body = _body(request)
        if body is None:
            return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large")
        try:
            texts = read_json(body, Messages).messages
        except ValueError:
            if _is_json(body):
                return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "not_messages")
            return _problem(HTTPStatus.BAD_REQUEST, "not_json")
        if not ready():
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", REST_SECONDS)
        now = clock.now()
        items = receiving.read(bridge, texts, now)
        if not any(item.authentic for item in items):
            for item in items:
                _note(bridge, item.sha256, item.found.fault if isinstance(item.found, NotTaken) else "")
            return _problem(HTTPStatus.UNAUTHORIZED, "not_authentic")
        with database.transaction() as tx:
            answers = receiving.take(tx, bridge, items, now)
        for item, answer in zip(items, answers, strict=True):
            _note(bridge, item.sha256, answer.result)
        return _json({"receipts": [answer.receipt for answer in answers]})

    def manifest(request: Request, day: date) -> Response:
        with database.reading() as tx:
            return _json({"manifest": manifests.manifest(tx, bridge, day)})

    def lines(request: Request, day: date, bucket: str) -> Response:
        with database.reading() as tx:
            return _json({"manifest": manifests.signed_lines(tx, bridge, day, bucket)})

    def members(request: Request, day: date) -> Response:
        after = request.args.get("after", "")
        if not _SUBJECT.fullmatch(after):
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "no_such_place")
        now = clock.now()
        if not after:
            with database.transaction() as tx:
                known = homes.look_up(tx, bridge, day, now - LOOKED_UP_LATELY, now)
            if not known:
                return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", SOON_SECONDS)
        with database.reading() as tx:
            return _json({"manifest": homes.signed_page(tx, bridge, day, after)})

    def about(request: Request) -> Response:
        return _json(
            {
                "system": bridge.me,
                "peer": bridge.peer,
                "versions": [DATASCHEMA],
                "algorithms": bridge.keys.algorithms,
                "limits": {
                    "messages": MOST_MESSAGES,
                    "bytes": MOST_BYTES,
                    "message_characters": envelope.LARGEST,
                    "held": MOST_HELD,
                    "requests_a_second": REQUESTS_A_SECOND,
                },
                "keys": bridge.keys.published(),
                "time": clock.now(),
            }
        )

    def organisations(request: Request) -> Response:
        after, limit = request.args.get("after", ""), request.args.get("limit", "")
        try:
            place = our_directory.place_of(after)
            size = min(their_directory.PAGE, max(1, int(limit or their_directory.PAGE)))
        except ValueError:
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "no_such_place")
        with database.reading() as tx:
            return _json(our_directory.page(tx, place, size, clock.now()))

    rules = Map(
        [
            Rule("/bridge/v1/messages", methods=["POST"], endpoint=messages),
            Rule("/bridge/v1/about", methods=["GET"], endpoint=about),
            Rule(their_directory.PATH, methods=["GET"], endpoint=organisations),
            Rule("/bridge/v1/manifest/<day:day>", methods=["GET"], endpoint=manifest),
            Rule("/bridge/v1/manifest/<day:day>/<bucket:bucket>", methods=["GET"], endpoint=lines),
            Rule("/bridge/v1/homes/<day:day>", methods=["GET"], endpoint=members),
        ],
        converters={"day": _Day, "bucket": _Bucket},
        merge_slashes=False,
    )

    def asked(request: Request) -> Response:
        if not spend():
            return _problem(HTTPStatus.TOO_MANY_REQUESTS, "too_often", REST_SECONDS)
        answer, values = rules.bind_to_environ(request.environ).match()
        shown = request.headers.get("Authorization", "")
        if request.method != "POST" and not _is_peer(bridge, request.path, shown):
            return _problem(HTTPStatus.UNAUTHORIZED, "not_authentic")
        found: Response = answer(request, **values)
        return found

    @Request.application
    def made(request: Request) -> Response:
        try:
            return asked(request)
        except HTTPException as error:
            return _of_http(error)
        except NoKey:
            return _without_key()
        except Exception as error:
            return _of_failure(error)

    return made


_SUBJECT = re.compile(r"[A-Za-z0-9._~=+/:-]{0,64}")
_RESULTS = ("stored", "held", "repeated")


class _Day(BaseConverter):
    """A day in an address."""

    regex = r"\d{4}-\d\d-\d\d"

    def to_python(self, value: str) -> date:
        """Return the day; an address with none, or with one outside the years of messages, is not there."""
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise ValidationError from None
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValidationError
        return day


class _Bucket(BaseConverter):
    """The name of a bucket in an address."""

    regex = "[0-9a-f]{2}"


def _is_peer(bridge: Bridge, path: str, shown: str) -> bool:
    """Return whether a header shows that the peer asks for this path, now."""
    kind, _, text = shown.partition(" ")
    if kind != "Bearer":
        return False
    try:
        body, key = verified(text, envelope.TOKEN, bridge.keys.ring())
        found = read_json(body, Token)
    except (NotTaken, ValueError):
        return False
    meant = (found.source, found.dest, found.path) == (bridge.peer, bridge.me, path)
    return meant and abs(clock.now() - found.time) <= TOKEN_LIVES and key.good_at(found.time)


def _body(request: Request) -> bytes | None:
    """Return what the request has brought, None for more than is allowed, whatever length it names."""
    if (request.content_length or 0) > MOST_BYTES:
        return None
    body = bytearray()
    while more := request.stream.read(MOST_BYTES + 1 - len(body)):
        body += more
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _note(bridge: Bridge, sha256: str, result: str) -> None:
    """Count what has come; say what should not have."""
    metrics.BRIDGE_RECEIVED.labels(bridge.peer, result).inc()
    if result == Fault.ID_REUSED:
        log.error("%s: another message under a number that was used: %s", bridge.peer, sha256)
    elif result == Fault.NOT_AUTHENTIC:
        log.warning("%s: not authentic: %s", bridge.peer, sha256)


def _json(body: Any) -> Response:
    return Response(
        msgspec.json.encode(body), mimetype="application/json", headers={"Cache-Control": "no-store"}
    )


def _problem(status: HTTPStatus, code: str, retry_after: int | None = None) -> Response:
    """Return a problem document (RFC 9457)."""
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "code": code}
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        msgspec.json.encode(body),
        status.value,
        {**headers, "Cache-Control": "no-store"},
        mimetype="application/problem+json",
    )


def _of_http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    made = _problem(status, status.name.lower())
    for name, value in error.get_headers():
        if name == "Allow":
            made.headers[name] = value
    return made


def _without_key() -> Response:
    log.error("a bridge has no key to sign with")
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "no_key", REST_SECONDS)


def _of_failure(error: Exception) -> Response:
    """Answer that it may be tried again, if it may: what was rolled back was not receipted."""
    if isinstance(error, TimeoutError) or (isinstance(error, DBAPIError) and failures.is_transient(error)):
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "away", REST_SECONDS)
    log.error("a request at the door has failed", exc_info=error)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_server_error")
