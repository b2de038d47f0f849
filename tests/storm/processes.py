"""The installation under the storm: two processes of every service, and a supervisor that starts what ended.

Each process reaches PostgreSQL and RabbitMQ over links of its own, so that each can be cut off alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from shared import db, migrate
from shared.settings import SERVICES, Settings
from system import embedded
from tests.storm.proxy import ROOT, Network
from tests.storm.servers import Cluster, Postgres, free_ports, wait_until

TERM_SECONDS = 45
"""What SIGTERM is given before it is called a hang."""
WATCH_SECONDS = 0.05


class Fleet:
    """Processes by name (`orgs#1`, `gateway#2`), their links, and the databases behind them."""

    def __init__(self, folder: Path, replicas: int = 2, nodes: int = 3) -> None:
        self.folder = folder
        self.names = [f"{kind}#{n}" for n in range(1, replicas + 1) for kind in (*SERVICES, "gateway")]
        ports = iter(free_ports(1 + 2 * nodes + 4 * len(self.names) + 2))
        self.postgres = Postgres(folder / "postgres", next(ports))
        self.cluster = Cluster(folder / "rabbitmq", [next(ports) for _ in range(2 * nodes)])
        self.ports = {name: next(ports) for name in self.names}
        self.health = {name: next(ports) for name in self.names}
        self.network = Network(folder, list(ports))
        brokers = [node.port for node in self.cluster.nodes]
        self.environ = {}
        for n, name in enumerate(self.names):
            first = n % nodes  # the connections spread over the nodes
            database = self.network.link(f"{name}/database", [self.postgres.port])
            bus = self.network.link(f"{name}/broker", [*brokers[first:], *brokers[:first]])
            self.environ[name] = self._environ(database, bus, self.health[name])
        bus = self.network.link("offices/broker", brokers)
        self.settings = Settings(
            self.postgres.url, "storm", f"amqp://guest:guest@127.0.0.1:{bus}//", folder / "keys", 0
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.skewed: dict[str, float] = {}
        """Seconds by which the clock of a process is wrong from its next start on."""
        self.by_themselves: Counter[str] = Counter()
        """Processes that ended though nobody had sent them a signal: service, exit code, last words."""
        self.kills: Counter[str] = Counter()
        """SIGKILLs by service."""
        self._struck: set[int] = set()
        self._engines: dict[str, sa.Engine] = {}
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def _environ(self, database: int, bus: int, health: int) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("TUANQIAO_")},
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{database}/",
            "AMQP_URI": f"amqp://guest:guest@127.0.0.1:{bus}//",
            "TUANQIAO_DB_PREFIX": "storm",
            "TUANQIAO_KEYS": str(self.folder / "keys"),
            "TUANQIAO_HEALTH_PORT": str(health),
            "PYTHONPATH": str(ROOT),
        }

    def create(self) -> None:
        """Start the servers and the network, make keys and databases."""
        making = threading.Thread(target=self._make_broker, daemon=True)
        making.start()
        self.postgres.create()
        embedded.make_keys(self.folder / "keys")
        migrate.upgrade(self.settings)
        making.join()
        wait_until("RabbitMQ", self.cluster.nodes[-1].answers, 5)
        self.network.start()

    def _make_broker(self) -> None:
        """Start the nodes, or one alone where they do not find each other: a name that leads nowhere, say."""
        try:
            self.cluster.create()
        except OSError as error:  # a TimeoutError is one, too
            first = self.cluster.nodes[0]
            print(f"RabbitMQ's nodes do not become a cluster, so there is one alone: {error}", flush=True)
            self.cluster.close()
            self.cluster = Cluster(self.folder / "rabbitmq-alone", [first.port, first.distribution])
            self.cluster.create()

    def engine(self, service: str) -> sa.Engine:
        """Return an engine on a service's database, not over a link."""
        if service not in self._engines:
            self._engines[service] = db.connect(self.settings.database(service))
        return self._engines[service]

    def start(self) -> None:
        """Start all processes and the supervisor; return when every service answers."""
        for name in self.names:
            self._start(name)
        self._watch.start()
        for name in self.names:
            wait_until(f"{name}, see its log", lambda name=name: self.ready(name), 150)

    def ready(self, name: str) -> bool:
        """Return what `/readyz` of a process says."""
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{self.health[name]}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)

    def _start(self, name: str) -> None:
        kind = name.partition("#")[0]
        what = ["serve", kind]
        if kind == "gateway":
            what = ["gateway", "--host", "127.0.0.1", "--port", str(self.ports[name])]
        with (self.folder / f"{name}.log").open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "system.cli", *what],
                cwd=ROOT,
                env={**self.environ[name], **_clock(self.skewed.get(name, 0.0))},
                stdout=out,
                stderr=out,
            )

    def _supervise(self) -> None:
        while not self._closing.wait(WATCH_SECONDS):
            for name, process in list(self.processes.items()):
                if process.poll() is not None:
                    if process.pid not in self._struck:
                        words = self._last_words(name)
                        self.by_themselves[f"{name.partition('#')[0]} ({process.returncode}): {words}"] += 1
                    self._start(name)

    def _last_words(self, name: str) -> str:
        """Return the last line of a log that says something: after a traceback the exception."""
        with (self.folder / f"{name}.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4_000))
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""

    def strike(self, name: str, number: signal.Signals) -> subprocess.Popen[bytes]:
        """Send a process a signal; the supervisor starts it again if it ends. Return what was struck."""
        process = self.processes[name]
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            self._struck.add(process.pid)
        if number == signal.SIGKILL:
            self.kills[name.partition("#")[0]] += 1
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return process

    def close(self) -> None:
        """End everything; files stay."""
        self._closing.set()
        if self._watch.is_alive():
            self._watch.join()
        for process in self.processes.values():
            process.kill()
            process.wait()
        for engine in self._engines.values():
            engine.dispose()
        self.network.close()
        self.cluster.close()
        self.postgres.close()


def faketime() -> Path | None:
    """Return the library that shifts a process's clock (Debian: libfaketime), if it is there."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def _clock(skew: float) -> dict[str, str]:
    if not skew:
        return {}
    return {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME": f"{skew:+}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }


def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether a process ends in time."""
    ends = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True
