"""Connections to the broker with bounded waits, and their abrupt end.

A frozen broker answers nothing, not even a close: a connection in doubt is dropped at the socket,
never closed politely.
"""

from __future__ import annotations

import contextlib
import socket

import kombu
import kombu.message
from amqp import serialization
from kombu.transport import TRANSPORT_ALIASES

from shared.bus import wire

TRANSPORT_ALIASES["amqp"] = f"{wire.__name__}:Transport"
TRANSPORT_ALIASES["amqps"] = f"{wire.__name__}:SecureTransport"
TRANSPORT_ALIASES["memory"] = "shared.bus.memory:Transport"


def _text(raw: bytes | str) -> str:
    """Return a property of a message as text, whatever its bytes are.

    py-amqp raises over bytes that are no UTF-8 while it reads the frame, before anybody could
    refuse the message: it would come back and stop its queue for ever.
    """
    return raw if isinstance(raw, str) else bytes(raw).decode("utf-8", "replace")


def _as_it_came(body: bytes, compression: str) -> bytes:
    """Return a body as it came.

    None of our services compresses; what claims to be compressed may be no such thing, or a bomb.
    """
    return body


# neither library has a setting for it
serialization.pstr_t = _text
kombu.message.decompress = _as_it_came

CONNECT_SECONDS = 5
HEARTBEAT_SECONDS = 20


def connect(amqp_uri: str, heartbeat: int = HEARTBEAT_SECONDS) -> kombu.Connection:
    """Return a connected connection.

    Raises:
        OSError, amqp.AMQPError: The broker cannot be reached within 5 s.

    """
    connection = kombu.Connection(
        amqp_uri,
        heartbeat=heartbeat,
        transport_options={
            "connect_timeout": CONNECT_SECONDS,
            "login_method": "PLAIN",
            "client_properties": {"product": "Tuanqiao"},
        },
    )
    connection.connect_timeout = CONNECT_SECONDS
    try:
        connection._ensure_connection(
            max_retries=1, interval_start=0, interval_step=0, timeout=CONNECT_SECONDS
        )
    except BaseException:
        drop(connection)
        raise
    return connection


def is_memory(connection: kombu.Connection) -> bool:
    """Return whether this is the bus inside the process."""
    return bool(connection.transport_cls in ("memory", "shared.bus.memory:Transport"))


def break_off(connection: kombu.Connection | None) -> None:
    """Have whoever reads a connection find it ended; never raises, never waits."""
    with contextlib.suppress(Exception):
        assert connection is not None
        connection._connection._transport.sock.shutdown(socket.SHUT_RDWR)


def drop(connection: kombu.Connection | None) -> None:
    """End a connection at its socket, without a word to the broker; never raises, never waits."""
    if connection is None:
        return
    with contextlib.suppress(Exception):
        if is_memory(connection):
            connection.close()
            return
        amqp = connection._connection
        sock = getattr(getattr(amqp, "_transport", None), "sock", None)
        if sock is not None:
            sock.close()
        connection._connection = None
        connection._closed = True
