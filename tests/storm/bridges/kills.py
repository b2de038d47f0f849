"""Who is killed: bridges, peers' programs, transfers, members; connections of databases and of the broker."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from typing import Any

import sqlalchemy as sa

from shared import db
from shared.settings import bridge
from tests.installation import SERVER

TERMINATE = sa.text("""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE starts_with(datname, :prefix) AND pid <> pg_backend_pid()""")
SERVICES = ("transfers", "members")
AT_ONCE = 2
START_TRIES = 5


class Killer:
    """Kills something, lets it be away for a moment, starts it again; two at once, never the same."""

    def __init__(self, town: Any, peers: dict[str, Any], reset_broker: Any, seed: int) -> None:
        self.town, self.peers, self.reset_broker = town, peers, reset_broker
        self.dice = random.Random(f"{seed}/kills")
        self.targets = [*(bridge(one) for one in peers), *peers, *SERVICES, "database", "broker"]
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        self.left = 0
        self.over = threading.Event()
        self._busy: set[str] = set()
        self._turn = threading.Lock()
        self._threads: list[threading.Thread] = []

    def begin(self, kills: int, pause: float) -> None:
        """Kill so often, with a pause of so many seconds on average; returns at once."""
        self.left = kills
        for nth in range(AT_ONCE):
            thread = threading.Thread(target=self.run, args=(pause,), name=f"killer {nth}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def run(self, pause: float) -> None:
        while not self.over.is_set():
            with self._turn:
                if self.left <= 0:
                    return
                target = self.dice.choice([one for one in self.targets if one not in self._busy])
                self._busy.add(target)
                self.left -= 1
                wait, away = self.dice.expovariate(1 / pause), self.dice.uniform(0, 2)
            self.over.wait(wait)
            try:
                self.strike(target, away)
            except Exception as error:
                self.problems.append(f"{target}: {type(error).__name__}: {str(error)[:200]}")
            self.kills[target] += 1
            self._busy.discard(target)

    def strike(self, target: str, away: float) -> None:
        """Kill one thing, and see that it is there again."""
        if target == "database":
            terminate(self.town.settings.database_prefix)
        elif target == "broker":
            self.reset_broker()
        elif target in self.peers:
            self.peers[target].program.end(signal.SIGKILL)
            time.sleep(away)
            self.peers[target].program.start()
        else:
            self.town.kill(target)
            time.sleep(away)
            self.start(target)

    def start(self, service: str) -> None:
        """Start a service; whatever is struck while it starts may end it, and then it is started again."""
        for nth in range(START_TRIES):
            try:
                self.town.start(service)
                return
            except (RuntimeError, TimeoutError):
                if nth == START_TRIES - 1:
                    raise
                if service in self.town.processes:
                    self.town.kill(service)

    def wait(self, seconds: float) -> None:
        """Return when all is done and everything runs, or after that time with no more to come."""
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        self.over.set()
        for thread in self._threads:
            thread.join(300)


def terminate(prefix: str) -> int:
    """End all connections to the databases of an installation; return how many there were."""
    engine = sa.create_engine(db.address(SERVER).set(database="postgres"), poolclass=sa.pool.NullPool)
    with engine.begin() as tx:
        return int(tx.scalar(TERMINATE, {"prefix": f"{prefix}_"}) or 0)
