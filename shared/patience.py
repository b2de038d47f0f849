"""How long a green thread waits for PostgreSQL, which may be silent for ever.

`statement_timeout` is kept by the server: a host that is gone, or a network that swallows, keeps
nothing. psycopg2 waits for its socket without end, and where it waits for a green thread it does
not even heed `connect_timeout`. So each wait has an end of its own here. After it the connection is
closed, and the error is that of a lost connection.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg2
from psycopg2 import extensions

CONNECT_SECONDS = 5.0
"""For a connection until it stands."""
LONGEST = 65.0
"""For a statement where nobody said less: longer than any that the server lets run (`db.SESSION`)."""
MARGIN = 2.0
"""On top of what the server itself keeps, so that its own error comes first."""


class Patient(extensions.connection):  # type: ignore[misc]
    """A connection with the seconds that each wait for its server may take."""

    patience = CONNECT_SECONDS


def wait(connection: Any) -> None:
    """Wait until the server has answered what is under way; psycopg2 calls this.

    Raises:
        psycopg2.OperationalError: It has not within the connection's patience.

    """
    from eventlet import hubs  # here, since most of the command line does without eventlet

    seconds = getattr(connection, "patience", LONGEST)
    ends = time.monotonic() + seconds
    silent = psycopg2.OperationalError(f"no answer within {seconds:.0f} s")
    while (state := connection.poll()) != extensions.POLL_OK:
        hubs.trampoline(
            connection.fileno(),
            read=state == extensions.POLL_READ,
            write=state == extensions.POLL_WRITE,
            timeout=max(0.001, ends - time.monotonic()),
            timeout_exc=silent,
        )


def install() -> None:
    """Let this process, which eventlet has patched, wait like that."""
    extensions.set_wait_callback(wait)
