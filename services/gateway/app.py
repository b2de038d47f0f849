"""The Flask application: JSON API and pages.

It parses, calls and renders; the services hold the rules and check the rights.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from services.gateway import kit, settings
from services.gateway.api import openapi, views
from services.gateway.api.routes import ROUTES
from services.gateway.files import workbooks
from services.gateway.kit import assets, genuine, language
from services.gateway.pages import (
    account,
    approvals,
    audit,
    bridges,
    desk,
    gallery,
    help,
    imports,
    joining,
    letters,
    members,
    migrations,
    org_tree,
    organisations,
    own,
    people,
    picking,
    problem,
    public,
    records,
    registers,
    setup,
    statistics,
    transfers,
)
from shared.bus.rpc import RpcClient
from shared.errors import Refusal, Refused
from shared.messages.limits import MAX_ID
from shared.settings import Environment, Settings

_PAGES = (
    account,
    approvals,
    audit,
    bridges,
    desk,
    gallery,
    help,
    imports,
    joining,
    letters,
    members,
    migrations,
    org_tree,
    organisations,
    own,
    people,
    picking,
    public,
    records,
    registers,
    setup,
    statistics,
    transfers,
)
"""Have added themselves to the blueprint when they were imported."""
HSTS_SECONDS = 365 * 24 * 3600
MAX_BODY = 5 * 2**20
"""Bytes of a request's body."""
HTTP_SECONDS = Histogram(
    "tuanqiao_http_seconds",
    "Time of an HTTP request",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5, 10),
)
HTTP_REQUESTS = Counter(
    "tuanqiao_http_requests_total", "HTTP requests by the class of their answer", ["status"]
)
_ANSWERED = {first: HTTP_REQUESTS.labels(f"{first}xx") for first in range(1, 6)}
"""By the first digit of the status; from the start, so that the first error is seen."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(client: RpcClient, common: Settings) -> Flask:
    """Return the application over a client of the bus; the gateway's own settings are read here.

    Raises:
        Wrong: Names the setting that cannot be meant.

    """
    app = Flask(__name__, static_folder=None)
    app.request_class = genuine.BoundedRequest
    here = settings.read(Environment())
    headers = {
        **_HEADERS,
        **({"Strict-Transport-Security": f"max-age={HSTS_SECONDS}; includeSubDomains"} if here.https else {}),
    }
    proxies = here.trusted_proxies
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0)  # type: ignore[method-assign]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.config.update(
        SECRET_KEY=_cookie_key(common.keys),
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_PARTS=genuine.MAX_FIELDS,
        MAX_FORM_MEMORY_SIZE=genuine.MAX_TEXT,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=here.https,
        SESSION_COOKIE_NAME="__Host-session" if here.https else "session",
        CLIENT=client,
        SETTINGS=here,
        READERS=workbooks.Readers(here.sheets_at_once, here.import_max_rows),
    )

    app.url_map.converters["int"] = Digits
    language.prepare(app)
    assets.prepare(app)
    _hooks(app, headers)
    _api(app, client)
    _errors(app)
    app.register_blueprint(kit.blueprint)
    return app


def _hooks(app: Flask, headers: Mapping[str, str]) -> None:
    """Do what is done around every request: its id and headers, its measure, the end of its files."""

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
        assets.pack(response)
        response.headers["X-Request-Id"] = g.request_id
        if "trips" in g:
            response.headers["Server-Timing"] = f'trips;desc="{g.trips}"'
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        HTTP_SECONDS.labels(
            request.method, request.url_rule.rule if request.url_rule else "none", str(response.status_code)
        ).observe(time.perf_counter() - g.started)
        _ANSWERED[response.status_code // 100].inc()
        return response


def _api(app: Flask, client: RpcClient) -> None:
    """Add the addresses of the API and of its document; lists have one for downloads from pages, too."""
    for route in ROUTES:
        if route.make and openapi.is_list(route):
            app.add_url_rule(
                "/download" + route.path, f"download {route.path}", views.download_of(client, route)
            )
        app.add_url_rule(
            "/api/v1" + route.path,
            f"{route.method} {route.path}",
            views.view_of(client, route),
            methods=[route.method],
        )
    app.add_url_rule("/api/openapi.json", "openapi", lambda: views.as_json(openapi.document()))
    app.add_url_rule("/api/docs", "docs", lambda: kit.render("public/docs.html", api=openapi.document()))


class Digits(IntegerConverter):
    """A whole number in an address.

    One too long to be an id is read as the number after the last id, so that the contract refuses
    it by name.
    """

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """Return the number; never more than one beyond the last id."""
        return int(value) if len(value) < 19 else min(int(value[:40]), MAX_ID + 1)


def _cookie_key(folder: Path) -> bytes:
    """Return the key of the cookies; it is made by whichever gateway of a folder is there first."""
    path = folder / "cookie.key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f"cookie.{uuid.uuid4().hex}"
        with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
            file.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(own, path)  # whole or not at all
        own.unlink()
    return path.read_bytes()


# ---- errors ----------------------------------------------------------------------------------------


def said(refusal: Refusal) -> Response:
    """Return the problem document (RFC 9457) of a refusal, or a page that says the same to people."""
    kind = refusal.kind
    if not request.path.startswith("/api/"):
        return problem.problem_page(refusal)
    pointer = {"pointer": "#" + refusal.values["pointer"]} if "pointer" in refusal.values else {}
    response = views.as_json(
        {
            "type": f"urn:tuanqiao:problem:{refusal.code}",
            "title": refusal.say("zh"),
            "status": kind.status,
            "code": refusal.code,
            "detail": refusal.say("en"),
            "message": {"zh": refusal.say("zh"), "en": refusal.say("en")},
            "rule": kind.rule,
            **pointer,
            "request_id": g.request_id,
        },
        kind.status,
        "application/problem+json",
    )
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _errors(app: Flask) -> None:
    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        return said(error.refusal)

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Response:
        return said(Refusal("too_large", {"limit": f"{MAX_BODY // 2**20} MiB"}))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.code or 500)
        response = said(Refusal(code) if code else Refusal("bad_request", {"detail": error.name}))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        app.logger.error("request %s failed: %s", g.request_id, type(error).__name__, exc_info=error)
        return said(Refusal("internal"))
