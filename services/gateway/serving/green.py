"""The HTTP server of `tuanqiao run`: everything in one process on green threads.

It is meant for one machine and its own people. A connection costs a green thread, not one of a few;
a request's header has its time, and so has each wait for more of anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIEnvironment

import eventlet
from eventlet import greenio, wsgi

from services.gateway.serving.server import HEADER_SECONDS, STALLED_SECONDS


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


def start(application: Callable[..., Any], port: int) -> None:
    """Serve on 127.0.0.1 in the background until the process ends.

    Raises:
        OSError: The port is taken.

    """
    listener = eventlet.listen(("127.0.0.1", port))
    eventlet.spawn(
        wsgi.server,
        listener,
        application,
        log_output=False,
        protocol=Protocol,
        socket_timeout=STALLED_SECONDS,
    )
