"""A whole installation for tests and benchmarks, on real servers.

It has databases, queues and one process per service.
"""

import atexit
import functools
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import kombu
import sqlalchemy as sa

from shared import db, migrate
from shared.bus.topology import Topology
from shared.messages.words import PEERS
from shared.settings import Settings, role

ROOT = Path(__file__).parent.parent
SERVER = os.environ.get("DATABASE_URL") or "postgresql://postgres@localhost:5432/"
AMQP_URI = os.environ.get("AMQP_URI") or "amqp://guest:guest@localhost:5672//"
TOPOLOGY = Topology(os.environ.get("TUANQIAO_BUS_PREFIX", ""))
"""The names of this process of tests on the broker."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def _migrated(service: str) -> str:
    """Return the name of a migrated database of a service, to be copied; it goes with this process."""
    settings = Settings(SERVER, f"tq_template_{os.getpid()}", AMQP_URI, Path(), 0)
    migrate.upgrade(settings, [service])
    atexit.register(db.drop_database, settings.database(service))
    return _name(settings, service)


def _name(settings: Settings, service: str) -> str:
    return str(db.address(settings.database(service)).database)


class Installation:
    """Processes, databases and queues under one prefix; nothing of it is left after `close`."""

    def __init__(
        self,
        keys: Path,
        prefix: str | None = None,
        environ: dict[str, str] | None = None,
        peers: tuple[str, ...] = (),
    ) -> None:
        name = prefix or f"tq_{uuid.uuid4().hex[:8]}"
        self.settings = Settings(SERVER, name, AMQP_URI, keys, 0, bus_prefix=TOPOLOGY.prefix, peers=peers)
        self.environ = {
            **os.environ,
            "DATABASE_URL": SERVER,
            "AMQP_URI": AMQP_URI,
            "TUANQIAO_DB_PREFIX": self.settings.database_prefix,
            "TUANQIAO_BUS_PREFIX": TOPOLOGY.prefix,
            "TUANQIAO_KEYS": str(keys),
            "TUANQIAO_PEERS": ",".join(peers),
            "PYTHONPATH": str(ROOT),
            **(environ or {}),
        }
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.ports: dict[str, int] = {}
        self.engines: dict[str, sa.Engine] = {}

    def create(self, like: Settings | None = None) -> None:
        """Create databases as copies of those of an installation that is closed, else empty.

        Empty ones are at the newest schema, as copies of those that this process migrated first.
        """
        if self.settings.database_url != SERVER or self.settings.own_databases:
            migrate.upgrade(self.settings)  # elsewhere there is nothing to copy
            return
        server = sa.create_engine(db.address(SERVER).set(database="postgres"), isolation_level="AUTOCOMMIT")
        with server.connect() as tx:
            for service in self.settings.services:
                url = self.settings.database(service)
                name = _name(self.settings, service)
                copied = like is not None and service in like.services
                template = _name(like, service) if copied else _migrated(role(service))
                tx.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
                db.create_database(url)  # it is there: this sets what a copy does not take over
        server.dispose()

    def engine(self, service: str) -> sa.Engine:
        """Return an engine on a service's database."""
        if service not in self.engines:
            self.engines[service] = db.connect(self.settings.database(service))
        return self.engines[service]

    def start(self, *names: str) -> None:
        """Start one process per name (a replica is `transfers#2`) and wait until each is ready."""
        for name in names:
            self.ports[name] = free_port()
            log = ROOT / "var" / "logs"
            log.mkdir(parents=True, exist_ok=True)
            with (log / f"{self.settings.database_prefix}_{name}.log").open("a") as out:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "system.cli", "serve", name.split("#")[0]],
                    cwd=ROOT,
                    env={**self.environ, "TUANQIAO_HEALTH_PORT": str(self.ports[name])},
                    stdout=out,
                    stderr=out,
                    text=True,
                )
        for name in names:
            self.wait_ready(name)

    def get(self, name: str, path: str) -> tuple[int, str]:
        """Return status and body of a health address."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def wait_ready(self, name: str, seconds: float = 90) -> None:
        """Wait until `/readyz` says yes."""
        ends = time.monotonic() + seconds
        while True:
            if self.processes[name].poll() is not None:
                raise RuntimeError(f"{name} ended with {self.processes[name].returncode}; see var/logs")
            try:
                if self.get(name, "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > ends:
                raise TimeoutError(f"{name} is not ready")
            time.sleep(0.1)

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; return the exit code."""
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(45)

    def close(self, keep_databases: bool = False) -> None:
        """Stop everything; drop databases and queues."""
        for process in self.processes.values():
            process.kill()  # all that they have written goes, so nobody waits for them to finish
        for process in self.processes.values():
            process.wait()
        self.processes.clear()
        for engine in self.engines.values():
            engine.dispose()
        if not keep_databases:
            for service in self.settings.services:
                db.drop_database(self.settings.database(service))
        with kombu.Connection(AMQP_URI) as connection:
            # those of bridges, too, which its processes may have been told of by their environment
            Topology(TOPOLOGY.prefix, PEERS).delete(connection)


def tuanqiao(installation: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line on an installation; return how it ended and what it said."""
    return subprocess.run(
        [sys.executable, "-m", "system.cli", *words],
        cwd=ROOT,
        env={**installation.environ, "COLUMNS": "300"},  # so that no sentence is broken
        capture_output=True,
        text=True,
        check=False,
    )


def settle(house: Installation, seconds: float = 60) -> None:
    """Wait until every outbox is empty and every message of it has been handled where it has to be."""
    ends = time.monotonic() + seconds
    quiet = 0
    while quiet < 4:
        waiting = 0
        for service in house.settings.services:
            with house.engine(service).connect() as tx:
                waiting += tx.scalar(sa.text("SELECT count(*) FROM outbox WHERE published_at IS NULL"))
        quiet = 0 if waiting else quiet + 1
        assert time.monotonic() < ends, waiting
        time.sleep(0.1)
