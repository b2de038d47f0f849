"""The faults: what each does, for how long, and how it is taken back."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import psycopg2
import sqlalchemy as sa

from shared.settings import SERVICES
from tests.storm.processes import TERM_SECONDS, Fleet, ends_within, faketime

SKEWS = (0.05, 0.2, 5.0)
"""Seconds by which a clock may be wrong."""


class Struck(NamedTuple):
    """One fault as it happened; instants are of the wall clock."""

    kind: str
    target: str
    began: float
    ended: float


class Weather:
    """What faults work with: the fleet, the dice of one fault, and whether the storm goes on."""

    def __init__(self, fleet: Fleet, longest: float) -> None:
        """Take the longest that a fault may last, in seconds."""
        self.fleet, self.longest = fleet, longest
        self.over = threading.Event()
        self.problems: list[str] = []

    def lasts(self, dice: random.Random, most: float) -> None:
        """Return after a while, at once when the storm is over."""
        self.over.wait(dice.uniform(1, min(most, self.longest)))


Act = Callable[[Weather, random.Random, str], None]


class Fault(NamedTuple):
    """A kind of fault.

    Attributes:
        name: As it is printed.
        weight: How often it comes, beside the others.
        place: What it strikes: `process`, `service` (no gateway), `postgres`, `broker`, `outbox`. Never two
            lasting faults at one target.
        act: Does it, waits, and takes it back.

    """

    name: str
    weight: float
    place: str
    act: Act


def _kill(weather: Weather, dice: random.Random, name: str) -> None:
    weather.fleet.strike(name, signal.SIGKILL)


def _kill_all(weather: Weather, dice: random.Random, name: str) -> None:
    kind = name.partition("#")[0]
    for one in weather.fleet.names:
        if one.partition("#")[0] == kind:
            weather.fleet.strike(one, signal.SIGKILL)


def _terminate(weather: Weather, dice: random.Random, name: str) -> None:
    process = weather.fleet.strike(name, signal.SIGTERM)
    if not ends_within(process, TERM_SECONDS):
        weather.problems.append(f"{name} has not ended {TERM_SECONDS} s after SIGTERM")
        process.kill()


def _freeze(weather: Weather, dice: random.Random, name: str) -> None:
    process = weather.fleet.strike(name, signal.SIGSTOP)
    weather.lasts(dice, 60)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)


def _link(mode: str, most: float, *ends: str) -> Act:
    """Return a fault that changes the links of one process to one or both servers for a while."""

    def act(weather: Weather, dice: random.Random, name: str) -> None:
        links = [f"{name}/{end}" for end in ends]
        for link in links:
            weather.fleet.network.set(link, mode)
        weather.lasts(dice, most)
        for link in links:
            weather.fleet.network.set(link, "pass")

    return act


def _skew(weather: Weather, dice: random.Random, name: str) -> None:
    if faketime() is None:
        return
    weather.fleet.skewed[name] = dice.choice(SKEWS) * dice.choice((-1, 1))
    weather.fleet.strike(name, signal.SIGKILL)
    weather.lasts(dice, 60)
    del weather.fleet.skewed[name]
    weather.fleet.strike(name, signal.SIGKILL)


def _backends(weather: Weather, dice: random.Random, name: str) -> None:
    weather.fleet.postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


def _postgres(weather: Weather, dice: random.Random, name: str) -> None:
    weather.fleet.postgres.kill()
    weather.lasts(dice, 4)
    weather.fleet.postgres.start()


def _node(weather: Weather, dice: random.Random, name: str) -> None:
    node = dice.choice(weather.fleet.cluster.nodes)
    node.kill()
    weather.lasts(dice, 10)
    node.start()
    _until_back(weather, node.answers)


def _until_back(weather: Weather, answers: Callable[[], bool]) -> None:
    """Wait for a server, so that no second one is hurt while it is away."""
    for _ in range(600):
        with contextlib.suppress(Exception):
            if answers():
                return
        time.sleep(0.1)
    weather.problems.append("a broker node is not back after a minute")


def _frozen_node(weather: Weather, dice: random.Random, name: str) -> None:
    node = dice.choice(weather.fleet.cluster.nodes)
    node.signal(signal.SIGSTOP)
    weather.lasts(dice, 20)
    node.signal(signal.SIGCONT)


def _closed(weather: Weather, dice: random.Random, name: str) -> None:
    for link in weather.fleet.network.links:
        if link.endswith("/broker"):
            weather.fleet.network.set(link, "reset")


def _alarm(weather: Weather, dice: random.Random, name: str) -> None:
    weather.fleet.cluster.control("set_vm_memory_high_watermark", "0.000001")
    weather.lasts(dice, 20)
    weather.fleet.cluster.control("set_vm_memory_high_watermark", "0.4")


_AGAIN = sa.text("""
    UPDATE outbox SET published_at = NULL
    WHERE id IN (
        SELECT id FROM outbox WHERE published_at > clock_timestamp() - interval '30 s'
        ORDER BY random() LIMIT 100)""")
_HOLD = sa.text("""
    UPDATE outbox SET published_at = clock_timestamp()
    WHERE id IN (
        SELECT id FROM outbox WHERE published_at IS NULL ORDER BY random() LIMIT 20 FOR UPDATE SKIP LOCKED)
    RETURNING id""")
_LET_GO = sa.text("UPDATE outbox SET published_at = NULL WHERE id = ANY(:ids)")


def _twice(weather: Weather, dice: random.Random, name: str) -> None:
    """Publish messages of the last seconds of all services once more, whatever has come since."""
    for service in SERVICES:
        with weather.fleet.engine(service).begin() as tx:
            tx.execute(_AGAIN)


def _late(weather: Weather, dice: random.Random, name: str) -> None:
    """Hold some messages back, so that later ones overtake them."""
    engine = weather.fleet.engine(dice.choice(SERVICES))
    ends = time.monotonic() + 3
    while time.monotonic() < ends:  # rows wait for some milliseconds only: look often
        with engine.begin() as tx:
            held = list(tx.scalars(_HOLD))
        if held:
            weather.lasts(dice, 8)
            _let_go(engine, held)
            return
        time.sleep(0.01)


def _let_go(engine: sa.Engine, held: list[int]) -> None:
    """Try until the database takes it: what was done must be taken back."""
    for _ in range(300):
        try:
            with engine.begin() as tx:
                tx.execute(_LET_GO, {"ids": held})
            return
        except sa.exc.SQLAlchemyError:
            time.sleep(0.2)


FAULTS = (
    Fault("kill -9 of one process", 50, "process", _kill),
    Fault("kill -9 of all of a service", 4, "process", _kill_all),
    Fault("SIGTERM", 8, "process", _terminate),
    Fault("SIGSTOP", 4, "process", _freeze),
    Fault("wrong clock", 3, "service", _skew),
    Fault("cut off from the broker", 2, "process", _link("swallow", 30, "broker")),
    Fault("cut off from the database", 2, "service", _link("swallow", 30, "database")),
    Fault("100 ms a packet", 2, "service", _link("delay", 20, "broker", "database")),
    Fault("frames in pieces", 3, "process", _link("pieces", 20, "broker")),
    Fault("backends terminated", 4, "postgres", _backends),
    Fault("PostgreSQL killed", 2, "postgres", _postgres),
    Fault("broker node killed", 2, "broker", _node),
    Fault("broker node frozen", 1, "broker", _frozen_node),
    Fault("memory alarm", 1, "broker", _alarm),
    Fault("all AMQP connections reset", 3, "broker", _closed),
    Fault("messages published twice", 4, "outbox", _twice),
    Fault("messages held back", 5, "outbox", _late),
)


class Conductor:
    """Throws the dice: which fault strikes what, when; keeps what happened."""

    def __init__(self, weather: Weather, seed: str, pace: float, only: str = "") -> None:
        """Take the seconds between two faults, on average, and what is in the name of each fault."""
        self.weather, self.dice, self.pace = weather, random.Random(seed), pace
        self.faults = [one for one in FAULTS if only in one.name]
        self.happened: list[Struck] = []
        self._busy: set[str] = set()
        self._threads: list[threading.Thread] = []

    def blow(self, seconds: float) -> None:
        """Let faults happen for some seconds; return when the last was taken back."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            fault = self.dice.choices(self.faults, [one.weight for one in self.faults])[0]
            target = self._target(fault)
            seed = self.dice.random()
            if target not in self._busy:
                self._busy.add(target)
                thread = threading.Thread(target=self._strike, args=(fault, target, seed), daemon=True)
                self._threads.append(thread)
                thread.start()
            time.sleep(min(self.dice.expovariate(1 / self.pace), max(0.0, ends - time.monotonic())))
        self.weather.over.set()
        for thread in self._threads:
            thread.join(TERM_SECONDS + 30)

    def _target(self, fault: Fault) -> str:
        names = self.weather.fleet.names
        if fault.place == "service":
            names = [name for name in names if not name.startswith("gateway")]
        return self.dice.choice(names) if fault.place in ("process", "service") else fault.place

    def _strike(self, fault: Fault, target: str, seed: float) -> None:
        began = time.time()
        try:
            fault.act(self.weather, random.Random(seed), target)
        except (OSError, sa.exc.SQLAlchemyError, subprocess.SubprocessError, psycopg2.Error) as error:
            # two faults at once: the second found nothing to hurt
            print(f"{fault.name} at {target}: {type(error).__name__}: {str(error)[:120]}")
        finally:
            self._busy.discard(target)
            self.happened.append(Struck(fault.name, target, began, time.time()))
