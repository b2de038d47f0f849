"""The Flask application: JSON API and pages. It parses, calls and renders; the services hold the rules and check the rights."""
from __future__ import annotations

import os
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, Response, g, request, stream_with_context
from prometheus_client import Histogram
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from services.gateway import (
    addresses,
    audit_pages,
    deletion,
    desk_pages,
    forms,
    insight_pages,
    letter,
    openapi,
    organisation_pages,
    pages,
    reading,
    setup_page,
    sheet,
)
from services.gateway.routes import ROUTES, Route
from shared.bus.rpc import RpcClient, encoded
from shared.errors import Refusal, Refused
from shared.messages import MAX_ITEMS, decoding, members, orgs
from shared.messages.limits import MAX_ID
from shared.settings import Settings

HSTS_SECONDS = 365 * 24 * 3600
MAX_BODY = 5 * 2**20
"""Bytes of a request's body."""
HTTP_SECONDS = Histogram("tuanqiao_http_seconds", "Time of an HTTP request", ["method", "route", "status"], buckets=(.005, .01, .025, .05, .1, .15, .25, .5, 1, 5, 10))
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}


def create_app(client: RpcClient, settings: Settings) -> Flask:
    """Return the application over a client of the bus."""
    app = Flask(__name__)
    app.request_class = forms.BoundedRequest
    https = bool(os.environ.get("TUANQIAO_HTTPS"))
    headers = {**_HEADERS, **({"Strict-Transport-Security": f"max-age={HSTS_SECONDS}; includeSubDomains"} if https else {})}
    proxies = int(os.environ.get("TUANQIAO_TRUSTED_PROXIES") or 0)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0)  # type: ignore[method-assign]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.config.update(SECRET_KEY=_cookie_key(settings.keys), MAX_CONTENT_LENGTH=MAX_BODY, MAX_FORM_PARTS=forms.MAX_FIELDS, MAX_FORM_MEMORY_SIZE=forms.MAX_TEXT,
                      SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax",
                      SESSION_COOKIE_SECURE=https,
                      SESSION_COOKIE_NAME="__Host-session" if https else "session", CLIENT=client)

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if re.fullmatch(r"[\w-]{8,64}", given) else uuid.uuid4().hex
        g.started = time.perf_counter()

    @app.teardown_request
    def let_go(error: BaseException | None) -> None:
        request.close()  # the files that came with it

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        if "trips" in g:
            response.headers["Server-Timing"] = f'trips;desc="{g.trips}"'
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        HTTP_SECONDS.labels(request.method, request.url_rule.rule if request.url_rule else "none", str(response.status_code)).observe(time.perf_counter() - g.started)
        return response

    app.url_map.converters["int"] = Digits
    for route in ROUTES:
        if route.make and openapi.is_list(route):
            app.add_url_rule("/download" + route.path, f"download {route.path}", download_of(client, route))
        app.add_url_rule("/api/v1" + route.path, f"{route.method} {route.path}", view_of(client, route), methods=[route.method])
    _errors(app)
    assert all((audit_pages, desk_pages, insight_pages, organisation_pages, setup_page))  # they add their pages to the blueprint
    app.register_blueprint(pages.blueprint)
    app.add_url_rule("/api/openapi.json", "openapi", lambda: as_json(openapi.document()))
    app.add_url_rule("/api/docs", "docs", lambda: pages.render("docs.html", api=openapi.document()))
    return app


class Digits(IntegerConverter):
    """A whole number in an address. One too long to be an id is the first that is none, so that the contract refuses it by name."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """Return the number; never more than one beyond the last id."""
        return int(value) if len(value) < 19 else min(int(value[:40]), MAX_ID + 1)


def _cookie_key(folder: Path) -> bytes:
    path = folder / "cookie.key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


def as_json(value: Any, status: int = 200, kind: str = "application/json") -> Response:
    return Response(msgspec.json.encode(value), status, content_type=kind)


# ---- the API ---------------------------------------------------------------------------------------------------------

def view_of(client: RpcClient, route: Route) -> Any:
    contract = route.contract
    decoder = _decoder(contract)

    def view(**path_values: Any) -> Response:
        wanted = _from_query(route, path_values, decoder) if route.make else _from_body(contract, decoder)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        given = request.headers.get("X-Acting-Org")
        acting = None if given is None else reading.identifier(given, "X-Acting-Org")

        def ask(one: Any) -> Any:
            if contract is orgs.delete_orgs:
                return deletion.delete(lambda calls: client.call_all(calls, token=token, org_id=acting, request_id=g.request_id), one)
            return client.call(contract, one, token=token, org_id=acting, request_id=g.request_id)

        if request.args.get("format") == "xlsx":
            return _spreadsheet(route, wanted, ask, lambda: client.call(
                members.note_export, members.NoteExport(what=request.path), token=token, org_id=acting, request_id=g.request_id))
        reply = ask(wanted)
        if route.pdf:
            return _letter(reply)
        if contract.many:
            return as_json({"results": [_with_words(one) for one in reply]})
        if isinstance(reply, list):
            if "org_id" in path_values and contract.name == "get_orgs":
                if not reply:
                    raise Refused("unknown_org")
                return as_json(reply[0])
            return as_json({"items": reply})
        return as_json(reply)
    return view


def download_of(client: RpcClient, route: Route) -> Any:
    """Return the view that gives a list of the API as a file to whoever is signed in to the pages, for the organisation they act for (STAT-05, DOC-05)."""
    decoder = _decoder(route.contract)

    def view(**path_values: Any) -> Response:
        wanted = _from_query(route, path_values, decoder)
        token, org = pages.session_token(), pages.acting_org()

        def ask(contract: Any, one: Any) -> Any:
            return client.call(contract, one, token=token, org_id=org, request_id=g.request_id)

        what = "/api/v1" + request.path.removeprefix("/download")
        return _spreadsheet(route, wanted, lambda one: ask(route.contract, one), lambda: ask(members.note_export, members.NoteExport(what=what)))
    return view


def _spreadsheet(route: Route, wanted: Any, ask: Callable[[Any], Any], note: Callable[[], Any]) -> Response:
    """Return all pages of a list as a spreadsheet; the first page is asked for before the answer begins, so that a refusal is one.

    A file with people in it is noted in the access log (BEY-10).
    """
    if not openapi.is_list(route):
        raise Refused("bad_request", detail="format=xlsx needs a list")
    paged = bool(route.key) and not route.contract.many
    wanted = msgspec.structs.replace(wanted, limit=MAX_ITEMS) if paged else wanted
    first = _items(ask(wanted))
    if route.contract.service in ("members", "transfers"):
        note()

    def rows() -> Iterator[Any]:
        page = first
        while page:
            yield from page
            page = _items(ask(msgspec.structs.replace(wanted, after=_key(page[-1], route.key)))) if paged else []

    name = route.path.strip("/").split("/")[-1].replace("<", "").replace(">", "")
    return Response(stream_with_context(_blocks(sheet.write(rows()))), content_type=sheet.MIME,
                    headers={"Content-Disposition": f"attachment; filename={name}.xlsx", "Cache-Control": "no-store"})


def _key(row: Any, name: str) -> Any:
    """Return the field of a row, or of a struct inside it, that the next page comes after."""
    return getattr(row, name) if name in row.__struct_fields__ else sheet.flat(row)[name]


def _items(reply: Any) -> list[Any]:
    return reply if isinstance(reply, list) else list(reply.items)


def _blocks(file: Any) -> Iterator[bytes]:
    with file:
        while block := file.read(65_536):
            yield block


def _letter(reply: list[Any]) -> Response:
    if len(reply) != 1:
        raise Refused("too_many_items", limit=1)
    if reply[0].refusal is not None:
        raise Refused(reply[0].refusal.code, **reply[0].refusal.values)
    return Response(letter.render(reply[0], f"{addresses.public_root()}verify"), content_type="application/pdf",
                    headers={"Content-Disposition": f"inline; filename=letter-{reply[0].number}.pdf", "Cache-Control": "no-store"})


def _decoder(contract: Any) -> Any:
    return msgspec.json.Decoder(msgspec.defstruct("Body", [("items", list[contract.item])]) if contract.many else contract.item)


def _from_body(contract: Any, decoder: Any) -> Any:
    body = decoding.decode(decoder, request.get_data())
    if not contract.many:
        return _seen_here(body)
    if not body.items:
        raise decoding.bad("/items", "至少1项", "at least 1 item")
    if len(body.items) > MAX_ITEMS:
        raise Refused("too_many_items", limit=MAX_ITEMS)
    return body.items


def _seen_here(wanted: Any) -> Any:
    """Return a request with what only the gateway knows of its caller, in place of what the caller may have written there."""
    seen = {"address": request.remote_addr or "", "device": reading.line(request.headers.get("User-Agent", ""))[:120]}
    return msgspec.structs.replace(wanted, **{name: value for name, value in seen.items() if name in wanted.__struct_fields__})


def _from_query(route: Route, values: dict[str, Any], decoder: Any) -> Any:
    for name, text in request.args.items():
        if name == "format" and text == "xlsx":
            continue
        if name not in route.query:
            raise decoding.bad("/" + reading.line(name)[:60], "没有此参数", "no such parameter")
        values[name] = _READ[route.query[name]](text, name)
    assert route.make is not None
    try:
        made = route.make(values)
    except TypeError as error:  # "... missing 1 required keyword-only argument: 'code'"
        raise decoding.bad(f"/{str(error).rsplit(' ', 1)[-1].strip(chr(39))}", "必须填写", "is required") from error
    return _seen_here(decoding.decode(decoder, encoded(made)))


_READ: dict[Any, Callable[[str, str], Any]] = {
    int: lambda text, name: reading.number(text, name, -MAX_ID), str: lambda text, _: text, bool: reading.switch, date.fromisoformat: reading.day,
    datetime.fromisoformat: reading.instant}
"""How the text of a parameter is read, by its kind in the table of routes; the contract says which numbers and texts are wanted."""


def _with_words(reply: Any) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(reply)
    refusal = getattr(reply, "refusal", None)
    if refusal is not None:
        values["refusal"] = {"code": refusal.code, "rule": refusal.kind.rule, "message": {"zh": refusal.say("zh"), "en": refusal.say("en")}}
    return values


# ---- errors ----------------------------------------------------------------------------------------------------------

def problem(refusal: Refusal) -> Response:
    """Return the problem document (RFC 9457) of a refusal, or a page that says the same to people."""
    kind = refusal.kind
    if not request.path.startswith("/api/"):
        return pages.problem_page(refusal)
    pointer = {"pointer": "#" + refusal.values["pointer"]} if "pointer" in refusal.values else {}
    response = as_json({"type": f"urn:tuanqiao:problem:{refusal.code}", "title": refusal.say("zh"), "status": kind.status, "code": refusal.code, "detail": refusal.say("en"),
                      "message": {"zh": refusal.say("zh"), "en": refusal.say("en")}, "rule": kind.rule, **pointer, "request_id": g.request_id},
                     kind.status, "application/problem+json")
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _errors(app: Flask) -> None:
    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return problem(error.refusal)

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Response:
        return problem(Refusal("too_large", {"limit": f"{MAX_BODY // 2**20} MiB"}))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.code or 500)
        response = problem(Refusal(code) if code else Refusal("bad_request", {"detail": error.name}))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        app.logger.error("request %s failed: %s", g.request_id, type(error).__name__, exc_info=error)
        return problem(Refusal("internal"))
