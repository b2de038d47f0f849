"""Servers that may be hurt: a PostgreSQL and a RabbitMQ of several nodes, on ports of their own.

They run from the machine's own programs and touch no server that is there already.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from shared.bus import connection as broker

RABBITMQ = Path("/usr/lib/rabbitmq/bin")
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Missing(Exception):
    """The machine has not what is needed; the words say what."""


def wait_until(what: str, holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until `holds` returns something true; errors of a server that is not there yet count as no.

    Raises:
        TimeoutError: It did not within `seconds`.

    """
    ends = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except (OSError, EOFError, AMQPError, KombuError, psycopg2.Error):
            pass
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, below those that connections are given by themselves."""
    ports = range(20_000, 32_000)
    first = random.SystemRandom().choice(ports[:-1000])
    return [port for port in range(first, ports[-1]) if _is_free(port)][:count]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


class Postgres:
    """One cluster of databases; as root it runs as the user postgres."""

    def __init__(self, folder: Path, port: int) -> None:
        if not POSTGRES and not shutil.which("postgres"):
            raise Missing("PostgreSQL's programs are not in /usr/lib/postgresql (Debian: postgresql)")
        self.folder, self.port = folder, port
        self.url = f"postgresql://postgres@127.0.0.1:{port}/"
        self.log = folder.parent / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None

    def _command(self, program: str, *arguments: str) -> list[str]:
        path = str(POSTGRES[-1] / program) if POSTGRES else str(shutil.which(program))
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [*(user if os.geteuid() == 0 else []), path, *arguments]

    def create(self) -> None:
        """Make the cluster and start it.

        Without fsync: the machine itself is never lost, and what a killed process has written stays.
        """
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        initdb = self._command("initdb", "-D", str(self.folder), "-U", "postgres", "-A", "trust", "-N")
        subprocess.run(initdb, check=True, capture_output=True, cwd="/")
        with (self.folder / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
                "max_connections = 400\nfsync = off\nshared_buffers = '256MB'\nmax_wal_size = '4GB'\n"
                "log_lock_waits = on\n"
            )
        self.start()

    def start(self) -> None:
        """Start and wait until it answers, after a crash until it has recovered."""
        with self.log.open("ab") as out:
            command = self._command("postgres", "-D", str(self.folder))
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd="/", start_new_session=True)
        wait_until("PostgreSQL", self.answers)

    def answers(self) -> bool:
        """Return whether it does."""
        psycopg2.connect(f"{self.url}postgres", connect_timeout=2).close()
        return True

    def run(self, statement: str) -> None:
        """Run a statement as the superuser."""
        connection = psycopg2.connect(f"{self.url}postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def kill(self) -> None:
        """SIGKILL the postmaster; its backends notice by themselves and end, too."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        wait_until("the end of its backends", self._is_gone, 30)
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def _is_gone(self) -> bool:
        assert self.process is not None
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        # a backend that is stopped in the middle of a statement does not notice
        os.killpg(self.process.pid, signal.SIGQUIT)
        return False

    def close(self) -> None:
        """Stop it; what it has written stays for the caller to remove."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class Node:
    """One node of RabbitMQ."""

    def __init__(self, folder: Path, name: str, port: int, distribution: int) -> None:
        if not (RABBITMQ / "rabbitmq-server").exists():
            raise Missing("RabbitMQ's programs are not in /usr/lib/rabbitmq (Debian: rabbitmq-server)")
        self.folder, self.name, self.port, self.distribution = folder, name, port, distribution
        self.process: subprocess.Popen[bytes] | None = None
        self.environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "RABBITMQ_NODENAME": name,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / f"{name}.pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            # as few threads as possible, and none that spins: the nodes share their cores with everybody
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +A 8 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def start(self) -> None:
        """Start, without waiting."""
        with (self.folder / f"{self.name}.out").open("ab") as out:
            self.process = subprocess.Popen(
                [RABBITMQ / "rabbitmq-server"],
                env=self.environ,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Return whether a client can connect."""
        broker.drop(broker.connect(f"amqp://guest:guest@127.0.0.1:{self.port}//"))
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send the node a signal, with its helpers."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL it."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node; return what it says."""
        command = [str(RABBITMQ / "rabbitmqctl"), "-q", "-n", self.name, *arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise OSError(f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}"[:500])
        return done.stdout


class Cluster:
    """A RabbitMQ of some nodes that know each other."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        """Take two ports a node: that of clients, and that of the other nodes."""
        self.folder = folder
        pairs = zip(ports[::2], ports[1::2], strict=True)
        self.nodes = [Node(folder, f"storm{port}@localhost", port, other) for port, other in pairs]

    def create(self) -> None:
        """Start all nodes; they find each other by the names in their configuration."""
        self.folder.mkdir(parents=True)
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text("STORM")
        cookie.chmod(0o400)
        (self.folder / "plugins").write_text("[].\n")
        names = [
            f"cluster_formation.classic_config.nodes.{n} = {one.name}" for n, one in enumerate(self.nodes, 1)
        ]
        (self.folder / "rabbitmq.conf").write_text(
            "\n".join(
                [
                    "cluster_formation.peer_discovery_backend = classic_config",
                    *names,
                    "cluster_partition_handling = pause_minority" if len(names) > 2 else "",
                    "loopback_users = none",
                    "disk_free_limit.absolute = 50MB",
                    "",
                ]
            )
        )
        self.nodes[0].start()
        wait_until(self.nodes[0].name, self.nodes[0].answers, 90)
        for node in self.nodes[1:]:
            node.start()
        for node in self.nodes[1:]:
            wait_until(node.name, node.answers, 90)
        if len(self.nodes) > 1:
            said = self.nodes[0].control("cluster_status", "--formatter", "json")
            if set(json.loads(said)["running_nodes"]) != {one.name for one in self.nodes}:
                raise OSError("the nodes have not found each other")

    def living(self) -> Node:
        """Return a node that runs."""
        return next(one for one in self.nodes if one.process is not None and one.process.poll() is None)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl on a node that runs."""
        return self.living().control(*arguments)

    def close(self) -> None:
        """End all nodes, without ceremony; one that is being created starts no others."""
        nodes, self.nodes = self.nodes, []
        for node in nodes:
            if node.process is not None:
                try:
                    node.kill()
                except ProcessLookupError:
                    continue
