"""`/healthz`, `/readyz` and `/metrics` of a service process: proof that it works, not that it exists."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import eventlet
import sqlalchemy as sa
from eventlet import wsgi
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared import inbox, metrics, outbox
from shared.bus.entrypoints import Drain

STALE_OUTBOX_SECONDS = 60.0
READING_SECONDS = 4.0
"""How long a scrape waits for a database; less than Prometheus waits for the scrape."""
SOCKET_SECONDS = 10.0
"""How long a connection may keep silent."""


def report(machineries: Iterable[Any], containers: Iterable[Any]) -> dict[str, bool]:
    """Return what was proven now: each drain loop turned lately, the database answers, the outbox flows."""
    proofs: dict[str, bool] = {}
    for container in containers:
        for entrypoint in container.entrypoints:
            if isinstance(entrypoint, Drain):
                proofs[f"{container.service_name}.{type(entrypoint).__name__}"] = entrypoint.healthy()
    for machinery in machineries:
        try:
            with machinery.database.reading() as tx:
                _, age = outbox.backlog(tx)
            proofs[f"{machinery.name}.database"] = True
            proofs[f"{machinery.name}.outbox"] = age < STALE_OUTBOX_SECONDS
        except sa.exc.SQLAlchemyError:
            proofs[f"{machinery.name}.database"] = False
    return proofs


def collect(machineries: Iterable[Any]) -> None:
    """Bring the gauges that are read from the databases up to date, just before a scrape.

    Of a database that does not answer there are none.
    """
    for machinery in machineries:
        read: list[metrics.Reading] | None = None
        with eventlet.Timeout(READING_SECONDS, False), contextlib.suppress(sa.exc.SQLAlchemyError):
            read = _read(machinery)
        up: metrics.Reading = (metrics.DATABASE_UP, (machinery.name,), float(read is not None))
        machinery.shown.show([up, *(read or ())])


def _read(machinery: Any) -> list[metrics.Reading]:
    service: tuple[str] = (machinery.name,)
    with machinery.database.reading() as tx:
        waiting, age = outbox.backlog(tx)
        return [
            (metrics.OUTBOX_WAITING, service, waiting),
            (metrics.OUTBOX_OLDEST, service, age),
            (metrics.DEAD_LETTERS, service, inbox.dead(tx)),
            *machinery.container.service_cls.gauges(tx),
        ]


def application(machineries: list[Any], containers: list[Any]) -> Callable[..., list[bytes]]:
    """Return the WSGI application of the three addresses."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        path = environ.get("PATH_INFO", "")
        status, kind, body = "404 Not Found", "text/plain", b"not found\n"
        if path == "/metrics":
            collect(machineries)
            status, kind, body = "200 OK", CONTENT_TYPE_LATEST, generate_latest()
        elif path in ("/healthz", "/readyz"):
            proofs = report(machineries, containers)
            status = "200 OK" if _holds(proofs, ready=path == "/readyz") else "503 Service Unavailable"
            kind, body = "application/json", json.dumps(proofs).encode()
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    return app


def _holds(proofs: dict[str, bool], ready: bool) -> bool:
    """Return whether all was proven; unless `ready`, all that a restart could heal.

    That is a loop that hangs, but no database and no broker that is away.
    """
    return all(
        proven for name, proven in proofs.items() if ready or not name.endswith((".database", ".outbox"))
    )


def serve(host: str, port: int, machineries: list[Any], containers: list[Any]) -> None:
    """Serve in the background."""
    listener = eventlet.listen((host, port))
    eventlet.spawn(
        wsgi.server,
        listener,
        application(machineries, containers),
        log_output=False,
        socket_timeout=SOCKET_SECONDS,
    )
