"""Running the gateway.

Pages and API are on one port for everybody, health and metrics on another for those who watch it.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.gateway.app import create_app
from services.gateway.serving.server import Server
from shared import watchdog
from shared.bus.rpc import RpcClient
from shared.settings import Settings


def watched(server: Server, client: RpcClient) -> WSGIApplication:
    """Return the application of `/healthz`, `/readyz` and `/metrics`, which is not reachable from outside."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        status, kind, body = "404 Not Found", "text/plain", b"not found\n"
        if path == "/metrics":
            status, kind, body = "200 OK", CONTENT_TYPE_LATEST, generate_latest()
        elif path in ("/healthz", "/readyz"):
            proofs = {"gateway.server": server.works()} | (
                {"gateway.bus": client.connected, "gateway.stays": not server.leaving}
                if path == "/readyz"
                else {}
            )
            status, kind, body = (
                "200 OK" if all(proofs.values()) else "503 Service Unavailable",
                "application/json",
                json.dumps(proofs).encode(),
            )
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    return app


def serve(host: str, port: int, threads: int, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way.

    Raises:
        OSError: A port is taken.

    """
    client = RpcClient(settings)
    server = Server(create_app(client, settings), host, port, threads)
    watch = (
        Server(watched(server, client), settings.health_host, settings.health_port, threads=2)
        if settings.health_port
        else None
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: server.stop())
    if watch is not None:
        threading.Thread(target=watch.run, name="watch", daemon=True).start()
    print(f"gateway is up on {host}:{port}", flush=True)
    watchdog.start(lambda: server.turned)
    server.run()
    if watch is not None:
        watch.stop()
    client.close()
