"""The HTTP server of the gateway: waitress with an end for everything that a connection can draw out.

One loop receives requests and sends answers for all connections; a thread is taken only for a
request that is here in full, and is free again when its answer is made. So whoever sends half a
request, reads slowly or keeps silent costs a socket, and that not for long: the header, the body,
the wait for a next request and the taking of an answer each have their time, and where all places
are taken, the connection that has kept us waiting longest goes first. docs/adr/0011 says what was
measured.
"""

from __future__ import annotations

import logging
import resource
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

from services.gateway.serving.unparsed import UnparsedTask

HEADER_SECONDS = 10.0
"""From the first byte of a request, or of a new connection, to the end of its header."""
BODY_SECONDS = 60.0
"""From the first byte of a request to the end of its body: 5 MiB at 700 kbit/s."""
IDLE_SECONDS = 60.0
"""Between two requests of a connection."""
TAKING_SECONDS = 300.0
"""From the first byte of an answer that the other side does not take at once to its last."""
STALLED_SECONDS = 30.0
"""Without a byte taken of an answer that waits."""
MAX_CONNECTIONS = 4000
MAX_HEADER = 32 * 1024
STALE_SECONDS = 5.0
"""The longest turn of a loop that works; it turns once a second with nothing to do."""
LEAVING_SECONDS = 6.0
"""How long connections that are kept open are still served when the server is told to stop.

Longer than the front keeps an idle one (deploy/front/place.conf): it learns of our end from an
answer, or from a connection refused, never from one that ends under a request.
"""
GRACE_SECONDS = 15.0
"""How long requests under way may take after that."""
ARRIVING_SECONDS = 1.0
"""How long a request may take to arrive when the server ends: a front sends it in one piece."""


class Task(WSGITask):  # type: ignore[misc]
    """Says with its answer that the connection ends, when the server is about to leave."""

    def start(self) -> None:
        """Begin the answer."""
        super().start()
        if self.channel.server.leaving:
            self.set_close_on_finish()


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when it keeps us waiting."""

    task_class = Task
    error_task_class = UnparsedTask
    began = 0.0
    _partial: Any = None
    taking_since: float | None = None

    def received(self, data: bytes) -> bool:
        """Take bytes; note when the request that they belong to has begun."""
        took = bool(super().received(data))
        if self.request is not self._partial:
            self._partial, self.began = self.request, time.time()
        return took

    def under_way(self) -> bool:
        """Return whether a request is here or must arrive at once, or its answer is not gone yet."""
        begun = self.began if self.request is not None else self.creation_time
        coming = self.request is not None or self.last_activity <= self.creation_time
        return bool(
            self.requests or self.total_outbufs_len or (coming and time.time() - begun < ARRIVING_SECONDS)
        )

    def waits_for_us(self) -> bool:
        """Return whether a request of this connection is being worked on."""
        return bool(self.requests)

    def lapsed(self, now: float) -> bool:
        """Return whether one of the times is up."""
        if self.total_outbufs_len:
            self.taking_since = self.taking_since or now
            return bool(
                now - self.taking_since > TAKING_SECONDS or now - self.last_activity > STALLED_SECONDS
            )
        self.taking_since = None
        if self.requests:
            return False
        if self.request is not None:
            limit = BODY_SECONDS if self.request.headers_finished else HEADER_SECONDS
            return bool(now - self.began > limit)
        # Nothing has come yet on a new connection, or nothing more after an answer.
        limit = IDLE_SECONDS if self.last_activity > self.creation_time else HEADER_SECONDS
        return bool(now - self.last_activity > limit)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """Serves a WSGI application until `stop` is called; then finishes what is under way."""

    channel_class = Channel

    def __init__(self, application: Callable[..., Any], host: str, port: int, threads: int) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.

        """
        self.places = _places()
        # A queue is nothing to be warned of: it is a gauge.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(threads)
        map_: dict[int, Any] = {}
        adjustments = _adjustments(host, port, threads, self.places)
        super().__init__(
            application,
            map_,
            True,
            None,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=adjustments.listen[0],
        )
        self.turned = self._swept = time.monotonic()
        self.leaving = False

    def handle_accept(self) -> None:
        """Take a new connection; where no place is left, the one that has kept us waiting longest goes."""
        if len(self.active_channels) >= self.places:
            waiting = [one for one in self.active_channels.values() if not one.waits_for_us()]
            if waiting:
                min(waiting, key=lambda one: one.began or one.creation_time).handle_close()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Do nothing here.

        Waitress asks in the middle of a turn, and a connection that takes no answer would not be
        closed by its way.
        """

    def sweep(self) -> None:
        """Close connections whose time is up."""
        now = time.time()
        for channel in [one for one in self.active_channels.values() if one.lapsed(now)]:
            channel.handle_close()

    def run(self) -> None:
        """Serve until `stop`.

        Then serve on who keeps a connection open, for as long as a front needs to give it up; take no
        connection any more, finish the requests that are here, send their answers, and end.
        """
        while not self.leaving:
            self._turn(1.0)
        ends = time.monotonic() + LEAVING_SECONDS
        while self._any(lambda one: one.request is None or one.under_way()) and time.monotonic() < ends:
            self._turn(0.1)
        self._turn(0)  # who has knocked already
        self.accepting = False
        self.del_channel(self._map)
        self.socket.close()
        ends = time.monotonic() + GRACE_SECONDS
        while self._any(Channel.under_way) and time.monotonic() < ends:
            self._turn(0.1)
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map, ignore_all=True)

    def _any(self, holds: Callable[[Channel], bool]) -> bool:
        """Return whether something holds for a connection."""
        return any(holds(one) for one in self.active_channels.values())

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)
        self.turned = time.monotonic()
        if self.turned - self._swept >= 1:
            self._swept = self.turned
            self.sweep()

    def stop(self) -> None:
        """Let `run` end; may be called from a signal handler or another thread."""
        self.leaving = True
        self.pull_trigger()

    def works(self, seconds: float = 2.0) -> bool:
        """Return whether a thread takes up a task within this time, and the loop turns.

        That is proof that a request would be answered.
        """
        probe = _Probe()
        self.task_dispatcher.add_task(probe)
        return probe.done.wait(seconds) and bool(time.monotonic() - self.turned < STALE_SECONDS)


class _Probe:
    """A task of the threads that does nothing but tell that it was taken up."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def service(self) -> None:
        self.done.set()

    def cancel(self) -> None:
        self.done.set()


def _adjustments(host: str, port: int, threads: int, places: int) -> Adjustments:
    """Return the settings of waitress; the times that a connection has are kept by `Channel`."""
    return Adjustments(
        host=host,
        port=port,
        threads=threads,
        ident="",
        backlog=1024,
        connection_limit=places + 50,  # above ours, which decides who goes
        cleanup_interval=1,
        channel_timeout=int(IDLE_SECONDS),
        max_request_header_size=MAX_HEADER,
        max_request_body_size=16 * 2**20,
        outbuf_high_watermark=64 * 2**20,
        asyncore_use_poll=True,
        asyncore_loop_timeout=1,
        clear_untrusted_proxy_headers=False,
        log_socket_errors=False,
    )


def _places() -> int:
    """Return how many connections this process may hold.

    The soft limit of open files is raised to what is allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + 500
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(50, most - 500)
