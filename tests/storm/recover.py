"""How long the saga stands still after one fault, and how many requests through the front fail (ONLY=kill).

    python -W ignore -m tests.storm.recover

Two processes of everything behind the real front (nginx); offices work over the bus, and four clients
ask over HTTPS, half of it reading, half of it commands, none of them twice. One fault at a time.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from shared.bus.rpc import RpcClient
from tests.bench import drive, load
from tests.deploy.front_factories import front_before
from tests.storm import auditor
from tests.storm.offices import Caller, Office, Tally
from tests.storm.processes import Fleet
from tests.storm.usage import explain

PEOPLE, OFFICES, CLIENTS = 20_000, 4, 4
QUIET_SECONDS, AFTER_SECONDS, LASTS_SECONDS = 4.0, 12.0, 20.0
"""Before a fault, after it, and how long one lasts that is taken back."""

Fault = Callable[[Fleet], None]


def struck(number: signal.Signals, *names: str) -> Fault:
    """Return the fault that some processes get a signal."""

    def act(fleet: Fleet) -> None:
        for name in names:
            fleet.strike(name, number)

    return act


def closed(fleet: Fleet) -> None:
    """End all connections to the broker."""
    for link in fleet.network.links:
        if link.endswith("/broker"):
            fleet.network.set(link, "reset")


def terminated(fleet: Fleet) -> None:
    """End all connections to the databases."""
    fleet.postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )


def frozen(fleet: Fleet) -> None:
    """Stop the broker for a while."""
    fleet.cluster.nodes[0].signal(signal.SIGSTOP)
    time.sleep(LASTS_SECONDS)
    fleet.cluster.nodes[0].signal(signal.SIGCONT)


def alarmed(fleet: Fleet) -> None:
    """Have the broker take nothing for a while, for want of memory."""
    fleet.cluster.control("set_vm_memory_high_watermark", "0.000001")
    time.sleep(LASTS_SECONDS)
    fleet.cluster.control("set_vm_memory_high_watermark", "0.4")


FAULTS: dict[str, Fault] = {
    "kill -9 transfers, 1 of 2": struck(signal.SIGKILL, "transfers#1"),
    "kill -9 transfers, both": struck(signal.SIGKILL, "transfers#1", "transfers#2"),
    "kill -9 members, 1 of 2": struck(signal.SIGKILL, "members#1"),
    "kill -9 orgs, 1 of 2": struck(signal.SIGKILL, "orgs#1"),
    "kill -9 gateway, 1 of 2": struck(signal.SIGKILL, "gateway#1"),
    "SIGTERM transfers, 1 of 2": struck(signal.SIGTERM, "transfers#1"),
    "SIGTERM members, 1 of 2": struck(signal.SIGTERM, "members#1"),
    "SIGTERM orgs, 1 of 2": struck(signal.SIGTERM, "orgs#1"),
    "SIGTERM scheduler, 1 of 2": struck(signal.SIGTERM, "scheduler#1"),
    "SIGTERM gateway, 1 of 2": struck(signal.SIGTERM, "gateway#1"),
    "AMQP connections closed": closed,
    "backends terminated": terminated,
    f"broker frozen {LASTS_SECONDS:.0f} s": frozen,
    f"memory alarm {LASTS_SECONDS:.0f} s": alarmed,
}


class Client(threading.Thread):
    """Asks through the front, over one connection that is kept open; remembers every answer."""

    def __init__(self, front: Any, school: load.School) -> None:
        super().__init__(daemon=True)
        self.said: list[tuple[float, float, str]] = []
        """When each was asked and answered, and with which status."""
        self._front, self._school, self.over = front, school, False

    def run(self) -> None:
        """Ask until it is over."""
        connection = self._front.open()
        while not self.over:
            for request in (self._look, self._decide):
                began = time.time()
                try:
                    request(connection)
                    answer = connection.getresponse()
                    said = str(answer.status)
                    answer.read()
                except OSError as error:
                    said = type(error).__name__
                    connection.close()
                self.said.append((began, time.time(), said))
                time.sleep(0.02)

    def _headers(self) -> dict[str, str]:
        school = self._school
        return {
            "Authorization": f"Bearer {school.target_token}",
            "X-Acting-Org": str(school.target),
            "Content-Type": "application/json",
        }

    def _look(self, connection: Any) -> None:
        connection.request("GET", "/api/v1/work?limit=20", None, self._headers())

    def _decide(self, connection: Any) -> None:
        one = {"decision_id": str(uuid.uuid4()), "transfer_id": 2**40, "node_no": 1, "approve": True}
        body = msgspec.json.encode({"items": [one]})
        connection.request("POST", "/api/v1/transfers/decisions", body, self._headers())


class Recovery:
    """An installation under load, hurt once after the other."""

    def __init__(self, folder: Path) -> None:
        self.fleet, self.tally = Fleet(folder, nodes=1), Tally()

    def run(self, only: str) -> None:
        """Hurt it in each way whose name has `only` in it; print the table."""
        self.fleet.create()
        load.organisations(self.fleet)
        load.people(self.fleet, PEOPLE)
        self.fleet.start()
        front_folder = self.fleet.folder / "front"
        front_folder.mkdir()
        gateways = [SimpleNamespace(port=self.fleet.ports[f"gateway#{n}"]) for n in (1, 2)]
        with front_before(front_folder, *gateways) as front:
            clients = self._begin(front)
            print(
                f"{'fault':<28}{'stall of the saga':>18}{'requests':>10}{'longest':>9}  not answered with 200"
            )
            for name, fault in FAULTS.items():
                if only in name:
                    time.sleep(QUIET_SECONDS)
                    began = time.time()
                    fault(self.fleet)
                    time.sleep(AFTER_SECONDS)
                    said = [one for client in clients for one in client.said]
                    print(self._line(name, began, said), flush=True)
            for client in clients:
                client.over = True
            for client in clients:
                client.join(20)
            self.tally.over.set()
            self.tally.gone.set()

    def _begin(self, front: Any) -> list[Client]:
        schools, members = load.schools(self.fleet.settings.keys), drive.Members(PEOPLE)
        bus = RpcClient(self.fleet.settings)
        for n in range(OFFICES):
            Office(Caller(self.fleet, self.tally, bus), schools[n::OFFICES], members, f"office {n}").start()
        clients = [Client(front, schools[n]) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(5)
        return clients

    def _line(self, name: str, began: float, said: list[tuple[float, float, str]]) -> str:
        engine = self.fleet.engine("transfers")
        engine.dispose()  # the fault may have ended its connections
        gaps = [b - a for a, b in pairwise(auditor.ends(self.fleet)) if b > began]
        some = [one for one in said if one[1] >= began]
        wrong = Counter(one[2] for one in some if one[2] != "200")
        longest = max((one[1] - one[0] for one in some), default=0.0)
        stall = f"{max(gaps, default=0.0):.1f} s"
        return f"{name:<28}{stall:>18}{len(some):>10}{longest:>7.1f} s  {dict(wrong) or 'none'}"


def main() -> int:
    """Measure, print, put everything away."""
    explain("tests.storm.recover", __doc__)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="tuanqiao-recover-", dir="/var/tmp"))
    folder.chmod(0o755)  # the user postgres goes through it
    recovery = Recovery(folder)
    try:
        recovery.run(os.environ.get("ONLY") or "")
    finally:
        recovery.fleet.close()
        if not os.environ.get("KEEP"):
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
