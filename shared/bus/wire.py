"""How bytes go to the broker and come from it: py-amqp's transports, made safe for many threads.

A connection has exactly one reader, who drains it, and any number of writers, one at a time. py-amqp
means them to share a socket with one time-out and lets who publishes read, too, to look for
`connection.blocked`. On a network that cuts frames in pieces the second reader takes the middle of a
frame for its beginning, and the reader's short time-out ends a write after half a frame. So here
reading and writing wait each for itself, on a socket that never blocks, and `connection.blocked` is
not asked for: whoever publishes into a broker that takes nothing finds out by its own time-out.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from amqp import transport
from kombu.transport import pyamqp

ANSWER_SECONDS = 10.0
"""How long the broker may take for the answer to a declaration, where the reader gives no time of its own."""
WRITE_SECONDS = 10.0
"""How long a frame may take to leave; then the connection is of no use any more."""
READ_BYTES = 16_384
"""Read at once: py-amqp asks for each part of a frame by itself, nine times a message."""

_READING, _WRITING = select.POLLIN, select.POLLOUT


def _wait(sock: Any, way: int, seconds: float) -> None:
    """Wait until a socket can be read or written.

    Raises:
        TimeoutError: It cannot within this time.

    """
    if seconds <= 0:
        raise TimeoutError
    patcher = sys.modules.get("eventlet.patcher")  # the gateway does without
    if patcher is not None and patcher.is_monkey_patched("socket"):
        from eventlet import hubs

        hubs.trampoline(
            sock,
            read=way == _READING or None,
            write=way == _WRITING or None,
            timeout=seconds,
            timeout_exc=TimeoutError,
        )
        return
    poll = select.poll()
    poll.register(sock.fileno(), way)
    if not poll.poll(seconds * 1000):
        raise TimeoutError


class Wire:
    """Reading and writing for a transport of py-amqp."""

    sock: Any
    _read_buffer: bytes
    patience = ANSWER_SECONDS
    """How long the reader waits for more."""

    def _setup_transport(self) -> None:
        self._turn = threading.Lock()  # reading and writing at once is too much for OpenSSL
        super()._setup_transport()  # type: ignore[misc]
        self._write = self._send
        self.sock.settimeout(0)

    @contextlib.contextmanager
    def having_timeout(self, timeout: float | None) -> Iterator[Any]:
        """Give the reader a time; who publishes gives none."""
        before = self.patience
        if timeout is not None:
            self.patience = timeout
        try:
            yield self.sock
        finally:
            if timeout is not None:
                self.patience = before

    def _read(self, size: int, initial: bool = False, _errnos: object = ()) -> bytes:
        """Return so many bytes; what has come is kept for the next time if they do not come in time."""
        held = self._read_buffer
        try:
            while len(held) < size:
                some = self._when_possible(
                    _READING, lambda: self.sock.recv(READ_BYTES), time.monotonic() + self.patience
                )
                if not some:
                    raise ConnectionResetError("the broker has closed the connection")
                held += some
        finally:
            self._read_buffer = held
        self._read_buffer = held[size:]
        return held[:size]

    def _send(self, data: bytes | memoryview) -> None:
        """Send all of it, or end the connection: nothing can follow after half a frame."""
        left, ends = memoryview(data), time.monotonic() + WRITE_SECONDS
        try:
            while left:
                left = left[self._when_possible(_WRITING, lambda: self.sock.send(left), ends) :]  # noqa: B023
        except BaseException as error:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)  # the reader sees it, too
            if isinstance(error, TimeoutError):
                raise ConnectionAbortedError("the broker takes nothing") from None
            raise

    def _when_possible(self, way: int, work: Any, ends: float) -> Any:
        while True:
            try:
                with self._turn:
                    return work()
            except ssl.SSLWantReadError:
                way = _READING
            except ssl.SSLWantWriteError:
                way = _WRITING
            except BlockingIOError:
                pass
            _wait(self.sock, way, ends - time.monotonic())


class _Plain(Wire, transport.TCPTransport):  # type: ignore[misc]
    pass


class _Secure(Wire, transport.SSLTransport):  # type: ignore[misc]
    pass


class _Connection(pyamqp.Connection):  # type: ignore[misc]
    negotiate_capabilities = {"consumer_cancel_notify": True, "authentication_failure_close": True}

    def Transport(
        self,
        host: str,
        connect_timeout: float,
        ssl: Any = False,
        read_timeout: float | None = None,
        write_timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the transport of a connection; its times are those of `Wire`."""
        kind = _Secure if ssl else _Plain
        return kind(host, connect_timeout=connect_timeout, ssl=ssl, **kwargs)


class Transport(pyamqp.Transport):  # type: ignore[misc]
    """What kombu makes connections to `amqp://` with."""

    Connection = _Connection


class SecureTransport(pyamqp.SSLTransport):  # type: ignore[misc]
    """The same to `amqps://`."""

    Connection = _Connection
