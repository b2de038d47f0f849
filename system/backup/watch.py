"""How old what the repository holds is: `/metrics` for Prometheus, read anew at each scrape.

It is a process of its own, since it asks the repository itself. A server believes that it archives
where its command throws the WAL away, and a note of the last backup stays when the backup is gone.
"""

from __future__ import annotations

import logging
import math
import signal
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import psycopg2
import sqlalchemy as sa
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from shared import clock, metrics
from shared.settings import Settings
from system.backup import making
from system.backup.tool import Archived, Failed, Stanza, Tool

log = logging.getLogger("tuanqiao.backup")
GAUGES = (metrics.BACKUP_AGE, metrics.WAL_MISSING)
KINDS = {"any": ("full", "diff", "incr"), "whole": ("full",)}
"""Which of pgBackRest's kinds count: the newest of any, and the whole ones that the others build on."""
_POSITION = """
    SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, pg_size_bytes(current_setting('wal_segment_size'))
    WHERE NOT pg_is_in_recovery()"""
MOST_POSITIONS = 100_000
"""Looks that are remembered; at one a minute they go back two months."""


class Archive:
    """Since when WAL of a cluster has been complete that its repository does not hold."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def missing(self, now: float, position: int, size: int, newest: Archived) -> float:
        """Return for how many seconds the oldest WAL that is missing has been complete; 0 without any.

        The segment that is being written does not count: the server sends it after `archive_timeout`.

        Args:
            now: Seconds of any steady clock.
            position: How many bytes of WAL the server has written.
            size: Of a segment, in bytes.
            newest: The newest segment in the repository.

        """
        complete = newest.end(size) + size  # from here on a whole segment is missing
        while self._seen and self._seen[0][1] < complete:
            self._seen.popleft()
        if position >= complete and len(self._seen) < MOST_POSITIONS:
            self._seen.append((now, position))
        return now - self._seen[0][0] if self._seen else 0.0


class Watch:
    """What is shown of every cluster's backups."""

    def __init__(self, settings: Settings, tool: Tool) -> None:
        self._settings, self._tool, self._shown = settings, tool, metrics.Shown()
        self._archives = {stanza: Archive() for stanza in tool.folders}

    def look(self) -> None:
        """Bring the gauges up to date; what cannot be learned of WAL is not there at all.

        A repository that cannot be read holds nothing for whoever needs it: its backups are of infinite age.
        """
        found: list[metrics.Reading] = []
        known: dict[str, Stanza] = {}
        for name in self._tool.folders:
            try:
                known[name] = self._tool.info(name)
            except Failed as failed:
                log.warning("backups of %s: %s", name, failed)
            found += _ages(name, known.get(name))
        self._shown.show([*found, *self._wal(known)])

    def _wal(self, known: dict[str, Stanza]) -> Iterable[metrics.Reading]:
        try:
            services = making.clusters(self._settings, self._tool)
            for name, some in services.items():
                newest = known[name].newest_wal() if name in known else None
                where = _position(self._settings.database(some[0])) if some else None
                if newest is not None and where is not None:
                    missing = self._archives[name].missing(clock.now().timestamp(), *where, newest)
                    yield metrics.WAL_MISSING, (name,), missing
        except (Failed, sa.exc.OperationalError, psycopg2.OperationalError) as error:
            log.warning("WAL in the repository: %s", str(error).splitlines()[0])

    def application(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Answer a scrape."""
        self.look()
        names = [gauge._name for gauge in GAUGES]
        body = generate_latest(REGISTRY.restricted_registry(names))
        start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST), ("Content-Length", str(len(body)))])
        return [body]


def _ages(name: str, stanza: Stanza | None) -> list[metrics.Reading]:
    """Return how old the newest backup of each kind is."""
    now = clock.now().timestamp()
    readings: list[metrics.Reading] = []
    for kind, types in KINDS.items():
        ends = [one.timestamp.stop for one in (stanza.backup if stanza else ()) if one.type in types]
        age = max(0.0, now - max(ends)) if ends else math.inf
        readings.append((metrics.BACKUP_AGE, (name, kind), age))
    return readings


def _position(url: str) -> tuple[int, int] | None:
    """Return how much WAL a cluster has written and the size of a segment; None of a standby."""
    # of its own: one look a minute needs no pool
    plain = url.replace("postgresql+psycopg2://", "postgresql://", 1)
    with closing(psycopg2.connect(plain, connect_timeout=5)) as connection, connection.cursor() as cursor:
        cursor.execute(_POSITION)
        row: Any = cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else None


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of a request."""


def serve(settings: Settings, tool: Tool, host: str, port: int) -> None:
    """Answer scrapes until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with make_server(host, port, Watch(settings, tool).application, handler_class=_Silent) as server:
        server.serve_forever()
