"""Bringing databases back from the repository, to the newest or to an earlier point.

A cluster whose services are all wanted is restored in its own folder, its server stopped. Of a
cluster that also holds other services it is restored aside, and the wanted database taken out of
the copy into the running server. Either way a private server reaches the point first, and what it
has is compared with the manifest before anybody else sees it.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from shared import clock, db, migrate
from shared.settings import Settings, role
from system import restored
from system.backup import manifest
from system.backup.server import PrivateServer, folder_for
from system.backup.tool import Backup, Failed, Owner, Tool, run

Say = Callable[[str], None]
_LIBPQ = {"username": "PGUSER", "host": "PGHOST", "port": "PGPORT", "password": "PGPASSWORD"}
_SESSIONS = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND backend_type = 'client backend'"
)
_MAY = sa.text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")


class Point(NamedTuple):
    """Where to go back to.

    Attributes:
        at: An instant; None: as far as the repository reaches.
        lsn: A position in the WAL, instead of an instant.
        timeline: The history to follow; empty: the newest. An earlier restore began a new one, and
            what was given up then lies on the one before.

    """

    at: dt.datetime | None = None
    lsn: str = ""
    timeline: str = ""

    def options(self) -> list[str]:
        """Return the point as options of pgBackRest."""
        line = [f"--target-timeline={self.timeline}"] if self.timeline else []
        if self.lsn:
            return ["--type=lsn", f"--target={self.lsn}", "--target-action=promote", *line]
        if self.at is None:
            return ["--type=default", *line]
        when = self.at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        return ["--type=time", f"--target={when}", "--target-action=promote", *line]


class Part(NamedTuple):
    """What is to be done with one cluster: its stanza, the wanted services, all of its services."""

    stanza: str
    wanted: list[str]
    all: list[str]

    @property
    def in_place(self) -> bool:
        """Return whether the cluster itself goes back, since nobody else lives in it."""
        return set(self.wanted) == set(self.all)


def plan(tool: Tool, services: Sequence[str], to: Point) -> list[Part]:
    """Return what has to be done to bring services back to a point.

    Raises:
        Failed: A service is in no backup that this host's configuration names, or every backup is later.

    """
    parts = []
    for stanza in tool.folders:
        backups = tool.info(stanza).backup
        held = [one for one in (backups[-1].annotation if backups else ()) if role(one) in manifest.KEPT]
        wanted = [service for service in services if service in held]
        if wanted:
            _demand_age(stanza, backups, to)
            parts.append(Part(stanza, wanted, held))
    missing = set(services) - {service for part in parts for service in part.wanted}
    if missing:
        raise Failed(f"no backup that {tool.config} leads to holds {', '.join(sorted(missing))}")
    return parts


def _demand_age(stanza: str, backups: Sequence[Backup], to: Point) -> None:
    """Refuse a point before the first backup; pgBackRest would take the newest and never get there."""
    first = dt.datetime.fromtimestamp(min(backup.timestamp.stop for backup in backups), dt.UTC)
    if to.at is not None and to.at < first:
        raise Failed(f"no backup is old enough: {stanza} can go back to {first:%Y-%m-%d %H:%M:%S} UTC")


def restore(settings: Settings, tool: Tool, part: Part, to: Point, scratch: Path, say: Say) -> None:
    """Bring the services of one cluster back.

    Raises:
        Failed: With what to do. Nothing that runs has been changed then, unless a cluster was
            restored in place: its folder can only be restored again.

    """
    if part.in_place:
        _in_place(settings, tool, part, to, scratch, say)
    else:
        _out_of_a_copy(settings, tool, part, to, scratch, say)


def prove(settings: Settings, tool: Tool, scratch: Path, say: Say) -> None:
    """Restore the newest backup of every cluster aside, compare it with its manifest, throw it away."""
    for stanza in tool.folders:
        backups = tool.info(stanza).backup
        told = manifest.of_backup(backups[-1].annotation) if backups else []
        if not told:
            raise Failed(f"there is no backup of {stanza} with a manifest: `tuanqiao backup` makes one")
        last = max(told, key=lambda one: _position(one.lsn))
        part = Part(stanza, [], [one.service for one in told])
        with _aside(tool, part, Point(lsn=last.lsn), scratch) as server:
            _compare(settings, server, told)
        say(f"{stanza} {backups[-1].label}: restored aside, holds all of {', '.join(part.all)}")


def _position(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)


# ---- the whole cluster in its place --------------------------------------------------------------


def _in_place(settings: Settings, tool: Tool, part: Part, to: Point, scratch: Path, say: Say) -> None:
    data, owner = tool.folders[part.stanza], tool.owner(part.stanza)
    if not data.exists():
        folder_for(owner, data)
    there = sum(one.stat().st_size for one in data.rglob("*") if one.is_file())
    _demand_space(data, _size(tool, part.stanza) - there)
    with _work(scratch, owner) as work:
        tool.run(part.stanza, "restore", "--delta", *to.options())
        archive = f"pgbackrest --config={tool.config} --stanza={part.stanza} archive-push %p"
        server = PrivateServer(data, work, owner, archive)
        try:
            server.start()
            _compare(settings, server, _promised(tool, part, to))
            names = {one: str(db.address(settings.database(one)).database) for one in part.wanted}
            for one, name in names.items():
                _begin_life(settings, one, server.url(name), say)
            _promise_anew(tool, part, {one: server.url(name) for one, name in names.items()})
        finally:
            server.stop()
    say(f"{', '.join(part.wanted)}: restored in {data}; start PostgreSQL, and make a backup with --full")


# ---- one database out of a copy ------------------------------------------------------------------


def _out_of_a_copy(settings: Settings, tool: Tool, part: Part, to: Point, scratch: Path, say: Say) -> None:
    urls = {service: db.address(settings.database(service)) for service in part.wanted}
    for service, url in urls.items():
        _demand_rest(service, url)
    _send_newest_wal(tool, part.stanza, urls[part.wanted[0]])
    with _aside(tool, part, to, scratch) as server:
        _compare(settings, server, _promised(tool, part, to))
        for service, url in urls.items():
            _begin_life(settings, service, server.url(str(url.database)), say)
            kept = _bring_over(server, url, tool.owner(part.stanza), scratch)
            _promise_anew(tool, part, {service: settings.database(service)})
            say(f"{service}: restored; what it was before is in the database {kept}, to be dropped by hand")


def _server_of(url: sa.URL) -> sa.Engine:
    return sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")


def _demand_rest(service: str, url: sa.URL) -> None:
    """Refuse to exchange a database that somebody works in, or without the right to."""
    engine = _server_of(url)
    with engine.connect() as server:
        if not server.scalar(_MAY):
            raise Failed(
                f"{url.username} may not exchange databases: set DATABASE_URL to the server's superuser,"
                f" and leave {service.upper()}_DATABASE_URL empty"
            )
        sessions = server.scalar(_SESSIONS, {"name": url.database})
    engine.dispose()
    if sessions:
        raise Failed(f"{sessions} sessions are in {url.database}: stop {service} first, every replica of it")


def _send_newest_wal(tool: Tool, stanza: str, url: sa.URL) -> None:
    """Have the running server archive what it has.

    A transaction is ended first: an instant counts as reached only where a later one ended.
    """
    engine = sa.create_engine(url.set(database="postgres"))
    with engine.begin() as tx:
        tx.execute(sa.text("SELECT pg_current_xact_id()"))
    engine.dispose()
    tool.run(stanza, "check")


def _bring_over(server: PrivateServer, url: sa.URL, owner: Owner, scratch: Path) -> str:
    """Take a database out of the copy into the running server; return the name the old one has now.

    Killed anywhere, the running server has the old one or the new one under the name, whole.
    """
    name = str(url.database)
    fresh, kept = f"{name}_restored", f"{name}_before_{clock.now():%Y%m%d_%H%M%S}"
    copy = _server_of(db.address(server.url("postgres")))
    with copy.connect() as tx:
        tx.execute(sa.text(f'ALTER DATABASE "{name}" RENAME TO "{fresh}"'))
    copy.dispose()
    jobs = f"--jobs={max(2, os.cpu_count() or 2)}"
    with _work(scratch, owner) as work:
        dump = ["--format=directory", jobs, "--compress=1", f"--file={work}/dump"]
        run([server.program("pg_dump"), *dump, f"--dbname={server.url(fresh)}"], owner)
        running = _server_of(url)
        with running.connect() as tx:
            tx.execute(sa.text(f'DROP DATABASE IF EXISTS "{fresh}"'))  # of a run that was killed
        load = ["--create", "--exit-on-error", jobs, "--dbname=postgres", f"{work}/dump"]
        run([server.program("pg_restore"), *load], owner, environment=_libpq(url))
    _exchange(running, name, fresh, kept)
    return kept


def _exchange(running: sa.Engine, name: str, fresh: str, kept: str) -> None:
    """Give the new database the name of the old one, both in one step."""
    with running.connect().execution_options(isolation_level="READ COMMITTED") as tx, tx.begin():
        tx.execute(sa.text(f'ALTER DATABASE "{name}" RENAME TO "{kept}"'))
        tx.execute(sa.text(f'ALTER DATABASE "{fresh}" RENAME TO "{name}"'))
    running.dispose()


def _libpq(url: sa.URL) -> dict[str, str]:
    """Return a server's address as PostgreSQL's programs read it from the environment.

    The password stays out of the list of processes so.
    """
    parts = {
        _LIBPQ[name]: str(value) for name, value in url.translate_connect_args().items() if name in _LIBPQ
    }
    return parts | {f"PG{name.upper()}": str(value) for name, value in url.query.items()}


# ---- both ----------------------------------------------------------------------------------------


@contextmanager
def _aside(tool: Tool, part: Part, to: Point, scratch: Path) -> Iterator[PrivateServer]:
    """Yield a private server on a copy of a cluster; the copy is gone afterwards.

    The whole of it: with `--db-include` the other databases are empty pages, and PostgreSQL gives up
    where WAL refers to what was on them.
    """
    owner = tool.owner(part.stanza)
    with _work(scratch, owner) as work:
        _demand_space(work, _size(tool, part.stanza))
        data = folder_for(owner, work / "data")
        tool.run(part.stanza, "restore", f"--pg1-path={data}", "--archive-mode=off", *to.options())
        server = PrivateServer(data, work, owner)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def _work(scratch: Path, owner: Owner) -> Iterator[Path]:
    """Yield a folder for passing files; it is removed afterwards."""
    work = Path(tempfile.mkdtemp(prefix="tuanqiao-", dir=scratch))
    if os.geteuid() == 0:
        os.chown(work, owner.uid, owner.gid)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _begin_life(settings: Settings, service: str, url: str, say: Say) -> None:
    """Have a restored database hand out nothing again that others have seen, before anybody connects."""
    if migrate.pending(service, url):
        after = f"then `tuanqiao restored {service}`, before it starts"
        say(f"{service}: its schema is an earlier one: `tuanqiao migrate`, {after}")
        return
    for line in restored.begin(url, service, settings.services):
        say(line)


def _size(tool: Tool, stanza: str) -> int:
    return tool.info(stanza).backup[-1].info.size


def _demand_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted * 1.2:
        raise Failed(
            f"{folder} has {free / 2**30:.1f} GiB free, {wanted * 1.2 / 2**30:.1f} are needed;"
            " name another folder with --scratch, or make room"
        )


def _promised(tool: Tool, part: Part, to: Point) -> list[manifest.Manifest]:
    """Return what has to be there at a point: the newest manifests that are not later."""
    found: dict[str, manifest.Manifest] = {}
    for backup in tool.info(part.stanza).backup:
        for one in _manifests(backup, to):
            found[one.service] = one
    return [found[service] for service in part.wanted if service in found]


def _promise_anew(tool: Tool, part: Part, urls: Mapping[str, str]) -> None:
    """Let later restores expect what is there now, not what was given up."""
    tool.annotate(part.stanza, {one: manifest.take(url, one).encode() for one, url in urls.items()})


def _manifests(backup: Backup, to: Point) -> list[manifest.Manifest]:
    return [one for one in manifest.of_backup(backup.annotation) if to.at is None or one.at <= to.at]


def _compare(settings: Settings, server: PrivateServer, told: Sequence[manifest.Manifest]) -> None:
    """Compare a restored cluster with what was backed up.

    Raises:
        Failed: Something is missing; names it.

    """
    for one in told:
        database = str(db.address(settings.database(one.service)).database)
        wrong = manifest.differences(server.url(database), one)
        if wrong:
            raise Failed(f"{one.service} is not what was backed up: {'; '.join(wrong)}")
