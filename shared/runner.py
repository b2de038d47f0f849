"""Running services: one per process on RabbitMQ, or all in one process on the bus in memory.

The caller must have applied `eventlet.monkey_patch()` before anything else was imported.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import eventlet
import psycopg2.extensions
from eventlet import patcher
from nameko.containers import ServiceContainer
from nameko.runners import ServiceRunner

from shared import failures, health, migrate, patience, watchdog
from shared.bus import agreement
from shared.bus import connection as broker
from shared.settings import SERVICES, Environment, Settings, role

log = logging.getLogger("tuanqiao.runner")
WORKERS = 64
"""Workers per service; each query holds one while it runs."""
GIVES_BACK_SECONDS = 60.0
LONGEST_PAUSE = 5.0
"""Between two tries at what a service needs before it can start."""
YOUNG_OBJECTS = 50_000
"""So many new objects are looked through for cycles at a time.

A list of 500 makes more than the 700 after which Python looks by itself, all of them free of cycles.
"""
Result = TypeVar("Result")


def service_class(name: str) -> Any:
    """Return the class of a service by its name; of a bridge the one that was made for its peer."""
    module = import_module(f"services.{role(name)}.service")
    return module.Service if role(name) == name else module.SERVICES[name]


def own_settings(names: list[str], settings: Settings) -> dict[str, object]:
    """Return the named services' own settings, read from the environment.

    Raises:
        settings.Wrong: A setting cannot be meant.

    """
    return {name: service_class(name).read_settings(Environment(), settings) for name in names}


def start(names: list[str], settings: Settings, own: dict[str, object] | None = None) -> ServiceRunner:
    """Start the named services in this process and return their runner.

    `own` are the services' own settings where they have been read already.

    Raises:
        RuntimeError: The process is not monkey-patched, or a database is behind its migrations.
        agreement.Disagreement: A service and the contracts disagree.
        settings.Wrong: A setting cannot be meant.

    """
    _be_patient()
    services = {name: service_class(name) for name in names}
    for service in services.values():
        agreement.check(service)
    own = own if own is not None else own_settings(names, settings)
    for name in names:
        if migrate.pending(name, settings.database(name)):
            raise RuntimeError(f"the database of {name} is not at the newest schema; run: tuanqiao migrate")
    runner = ServiceRunner(
        {"AMQP_URI": settings.amqp_uri, "SETTINGS": settings, "OF_SERVICES": own, "max_workers": WORKERS}
    )
    for service in services.values():
        runner.add_service(service)
    runner.start()
    _spare_collections()
    return runner


def _spare_collections() -> None:
    """Leave what was made for the start, which lives as long as the process, out of every collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _be_patient() -> None:
    if not patcher.is_monkey_patched("socket") or psycopg2.extensions.get_wait_callback() is None:
        raise RuntimeError("eventlet must patch the process before anything is imported")
    patience.install()


def containers(runner: ServiceRunner) -> list[ServiceContainer]:
    """Return the running containers."""
    return list(runner.containers)


def machinery(runner: ServiceRunner, name: str) -> Any:
    """Return the machinery of one running service."""
    for container in runner.containers:
        if container.service_name == name:
            return next(one for one in container.dependencies if one.attr_name == "machinery")
    raise KeyError(name)


def patiently(what: str, work: Callable[[], Result], passes: Callable[[Exception], bool]) -> Result:
    """Do work until it succeeds, with growing pauses; say ever more rarely what is waited for.

    Raises:
        Exception: What the work raised and `passes` does not know as something that heals by itself.

    """
    tries = 0
    while True:
        try:
            return work()
        except Exception as error:
            tries += 1
            if not passes(error):
                raise
            if not tries & (tries - 1):  # the first, second, fourth, eighth and so on
                log.warning("waiting for %s: %s; try %d", what, failures.words(error), tries)
        time.sleep(min(LONGEST_PAUSE, 0.1 * 2.0 ** min(tries, 10)))


def serve(name: str, settings: Settings) -> None:
    """Run one service until SIGTERM or SIGINT: finish the batch in hand, publish, leave.

    It waits as long as it takes for its broker and its database, whenever in its start they go.
    """
    _be_patient()
    own = own_settings([name], settings)  # first: what is wrong there does not get better by waiting
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: os._exit(0))  # nothing is under way yet
    patiently(
        "RabbitMQ",
        lambda: broker.drop(broker.connect(settings.amqp_uri)),
        lambda error: True,  # half a frame may raise anything
    )
    try:
        runner = patiently("its database", lambda: start([name], settings, own), failures.is_transient)
    except agreement.Disagreement as error:
        sys.exit(f"{name} does not start: {error}")
    if settings.health_port:
        health.serve(
            settings.health_host, settings.health_port, [machinery(runner, name)], containers(runner)
        )
    watchdog.start(_turns())
    eventlet.spawn(_give_back)
    if _until_told(runner, name):
        # a container died: its loops are gone, so there is nothing to finish; the supervisor starts us again
        os._exit(1)
    runner.stop()


def _turns() -> Callable[[], int]:
    """Return a count of the turns of this thread's loop, of one a second at most."""
    turns = 0

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            eventlet.sleep(1)

    eventlet.spawn(turn)
    return lambda: turns


def _give_back() -> None:
    """Give the machine back every minute what was freed, which glibc would keep for good."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        eventlet.sleep(GIVES_BACK_SECONDS)
        trim(0)


def _until_told(runner: ServiceRunner, name: str) -> int:
    """Say that the service is up; return 0 when somebody wants it to end, 1 when a container has died."""
    stopping = eventlet.event.Event()

    def stop(code: int) -> None:
        if not stopping.ready():
            stopping.send(code)

    def watch() -> None:
        try:
            runner.wait()
        except Exception:
            log.exception("%s died", name)
            stop(1)

    signal.signal(signal.SIGTERM, lambda signum, frame: stop(0))
    signal.signal(signal.SIGINT, lambda signum, frame: stop(0))
    print(f"{name} is up (pid {os.getpid()})", flush=True)
    eventlet.spawn(watch)
    code: int = stopping.wait()
    return code


__all__ = ["SERVICES", "containers", "machinery", "serve", "start"]
