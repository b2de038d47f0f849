"""An HTTP server on green threads, for processes that eventlet runs.

A connection costs a green thread, not one of a few; a request's header has its time, and so has each wait
for more of anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.types import WSGIEnvironment

import eventlet
from eventlet import greenio, wsgi
from eventlet.green import ssl

HEADER_SECONDS = 10.0
"""How long the header of a request may take."""
STALLED_SECONDS = 30.0
"""How long a connection may keep silent."""


class Certificate(NamedTuple):
    """What a server shows, and whose certificate a client has to show; None: of anybody, none."""

    chain: Path
    private_key: Path
    clients: Path | None


class Protocol(wsgi.HttpProtocol):  # type: ignore[misc]
    """Cuts a connection off whose header does not end."""

    def handle_one_request(self) -> None:
        """Handle the next request of the connection, if its header comes in time."""
        self._clock = eventlet.spawn_after(HEADER_SECONDS, greenio.shutdown_safe, self.connection)
        try:
            super().handle_one_request()
        finally:
            self._clock.cancel()

    def get_environ(self) -> WSGIEnvironment:
        """Return the request; its header is here."""
        self._clock.cancel()
        environ: WSGIEnvironment = super().get_environ()
        return environ


def start(
    application: Callable[..., Any],
    port: int,
    host: str = "127.0.0.1",
    certificate: Certificate | None = None,
) -> Any:
    """Serve in the background until the socket that is returned is closed, or the process ends.

    With a certificate over TLS alone.

    Raises:
        OSError: The port is taken, or a file of the certificate is none.

    """
    listener = eventlet.listen((host, port))
    if certificate is not None:
        listener = _over_tls(listener, certificate)
    eventlet.spawn(
        wsgi.server,
        listener,
        application,
        log_output=False,
        protocol=Protocol,
        socket_timeout=STALLED_SECONDS,
    )
    return listener


def _over_tls(listener: Any, certificate: Certificate) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate.chain, certificate.private_key)
    if certificate.clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate.clients)
    return context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
