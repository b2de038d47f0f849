"""Each database in turn away for some time, under load: nothing is lost, and no message is given up.

    make outages                                            ten minutes each: four hours
    make outages MINUTES=1 WAYS=refused,silent DATABASES=members

Ways of being away: connections `refused`; host `silent` (the network swallows); `read-only` like a
standby; `disk-full` (root only: a small tmpfs); `too-many` connections. Offices ask 50 times a
second all the while and repeat what is not answered. Afterwards the broker's queues, its dead queue
among them, the outboxes and the tables of failed items must be empty and no transfer on its way
within 60 s; then the offices finish what is theirs, and every transfer must have ended, once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.bus import connection as broker
from shared.bus.rpc import RpcClient
from shared.bus.topology import Topology
from shared.errors import Refused
from shared.messages import transfers as contract
from shared.messages.members import GraduateChanged
from shared.messages.transfers import AssignBranch, DecideNode, ListWork
from shared.outbox import insert, tell
from shared.settings import SERVICES
from system import embedded
from system.demo import check_invariants
from tests.bench import drive, load
from tests.installation import Installation
from tests.storm.proxy import Network
from tests.storm.servers import Cluster, Postgres, free_ports
from tests.storm.usage import explain

A_SECOND, OFFICES = 50, load.SCHOOLS
BEFORE, AFTER = 5.0, 60.0
"""Seconds of load before each outage, and the most that the work may take to be done afterwards."""
SET_UP = 600.0
"""Seconds that the figures may take to follow everybody who was loaded."""
TAKEN_BACK = "application:set_env(rabbit, consumer_timeout, 300000)."
"""As in deploy/rabbitmq: what nobody has acknowledged after five minutes is delivered again."""

GRADUATES = """
    SELECT
        person_id AS member_id, 2026 AS cohort, branch_id,
        true AS counts, now() AS at, person_id AS version
    FROM people WHERE graduate"""
"""Whom members tells of, so that the statistics know everybody who is loaded."""


class Site(Installation):
    """An installation on servers of its own, each database behind a link and on a disk of its own."""

    def __init__(self, folder: Path, people: int) -> None:
        self.people, self.members = people, drive.Members(people)
        embedded.make_keys(folder / "keys")
        super().__init__(folder / "keys", "tuanqiao")
        self.folder = folder
        ports = free_ports(8)
        self.postgres = Postgres(folder / "postgres", ports[0])
        self.cluster = Cluster(folder / "rabbit", ports[1:3])
        self.network = Network(folder, ports[3:])
        amqp, office = f"amqp://guest:guest@127.0.0.1:{ports[1]}//", "postgresql://office@127.0.0.1"
        self.settings = replace(
            self.settings, database_url=f"{office}:{ports[0]}/", amqp_uri=amqp, bus_prefix=""
        )
        self.environ |= {"AMQP_URI": amqp, "TUANQIAO_BUS_PREFIX": ""}
        for name in SERVICES:
            link = self.network.link(name, [ports[0]])
            self.environ[f"{name.upper()}_DATABASE_URL"] = f"{office}:{link}/tuanqiao_{name}"

    def create(self) -> None:
        """Start the servers, make the databases and load people."""
        self.postgres.create()
        self.cluster.create()
        self.cluster.control("eval", TAKEN_BACK)
        self.network.start()
        # no superuser, whom no limit of connections stops
        self.postgres.run("CREATE ROLE office LOGIN CREATEDB")
        super().create()
        if os.geteuid() == 0:
            for name in SERVICES:
                self._give_a_disk(name)
        load.organisations(self)
        load.people(self, self.people)
        with self.engine("members").begin() as tx:
            tx.execute(sa.text(f"WITH flagged AS ({GRADUATES}) {insert(tell(GraduateChanged, 'flagged'))}"))

    @property
    def disk_size(self) -> int:
        """Return the bytes of a database's own disk: room for everybody, their messages and their history."""
        return 600_000_000 + 6_000 * self.people

    def _give_a_disk(self, name: str) -> None:
        disk = self.disk(name)
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.disk_size}", "none", disk], check=True)
        shutil.chown(disk, "postgres")
        self.engine(name).dispose()  # a database with connections is not moved
        self.postgres.run(f"CREATE TABLESPACE {name} LOCATION '{disk}'")
        self.postgres.run(f"ALTER DATABASE tuanqiao_{name} SET TABLESPACE {name}")

    def wait_ready(self, name: str, seconds: float = 180) -> None:
        """Wait longer than a test would: the servers have the same cores."""
        super().wait_ready(name, seconds)

    def disk(self, name: str) -> Path:
        """Return the folder of a database's own disk."""
        return self.folder / f"disk_{name}"

    def close(self, keep_databases: bool = False) -> None:
        """Stop everything."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
        for engine in self.engines.values():
            engine.dispose()
        self.network.close()
        self.cluster.close()
        self.postgres.close()
        for name in SERVICES:
            if self.disk(name).is_mount():
                subprocess.run(["umount", self.disk(name)], check=False)


# ---- ways of being away: what begins it, and what ends it ----------------------------------------


def _refused(site: Site, name: str) -> Callable[[], None]:
    site.network.set(name, "refuse")
    return lambda: site.network.set(name, "pass")


def _silent(site: Site, name: str) -> Callable[[], None]:
    site.network.set(name, "swallow")
    return lambda: site.network.set(name, "pass")


def _end_connections(site: Site, name: str) -> None:
    site.engine(name).dispose()  # our own
    site.postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = 'tuanqiao_{name}' AND usename = 'office'"
    )


def _read_only(site: Site, name: str) -> Callable[[], None]:
    def end() -> None:
        site.postgres.run(f"ALTER DATABASE tuanqiao_{name} RESET default_transaction_read_only")
        _end_connections(site, name)

    site.postgres.run(f"ALTER DATABASE tuanqiao_{name} SET default_transaction_read_only = on")
    _end_connections(site, name)
    return end


def _too_many(site: Site, name: str) -> Callable[[], None]:
    site.postgres.run(f"ALTER DATABASE tuanqiao_{name} CONNECTION LIMIT 0")
    _end_connections(site, name)
    return lambda: site.postgres.run(f"ALTER DATABASE tuanqiao_{name} CONNECTION LIMIT -1")


def _disk_full(site: Site, name: str) -> Callable[[], None]:
    filler = site.disk(name) / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(8192))
    return filler.unlink


WAYS: dict[str, Callable[[Site, str], Callable[[], None]]] = {
    "refused": _refused,
    "silent": _silent,
    "read-only": _read_only,
    "disk-full": _disk_full,
    "too-many": _too_many,
}


# ---- load ------------------------------------------------------------------------------------------


class Offices:
    """Offices that start transfers one by one, bring them to their end, and ask until they are answered."""

    def __init__(self, site: Site) -> None:
        self.client = RpcClient(site.settings)
        self.schools = load.schools(site.settings.keys)
        self.members = site.members
        self.accepted: set[int] = set()
        self.decisions: dict[tuple[int, str], uuid.UUID] = {}
        self.repeats = 0
        self.starting = self.open = True
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self._office, args=(n,), daemon=True) for n in range(OFFICES)]
        for thread in self.threads:
            thread.start()

    def call(self, call: Any, request: Any, token: str, org: int) -> Any:
        """Ask until there is an answer; None if the offices close before."""
        while self.open:
            try:
                return self.client.call(call, request, token=token, org_id=org, timeout=3)
            except Refused as refused:
                if refused.code != "unavailable":
                    raise
                self.repeats += 1
                time.sleep(OFFICES / A_SECOND)
        return None

    def _office(self, n: int) -> None:
        school, turn = self.schools[n], 0
        try:
            while self.open:
                began = time.monotonic()
                if self.starting:
                    items = drive.requests(self.members.take(n, 1), school)
                    made = self.call(contract.request_transfers, items, school.source_token, school.committee)
                    self.accepted |= {one.transfer_id for one in made or ()}
                turn += 1
                if turn % 10 == n % 10 or not self.starting:
                    self._finish(school)
                time.sleep(max(0.0, began + OFFICES / A_SECOND - time.monotonic()))
        except BaseException as error:
            self.errors.append(error)

    def _finish(self, school: load.School) -> None:
        """Approve and assign, as the target, what its work list shows."""
        to = school.target_token, school.target
        page = self.call(contract.list_work, ListWork(limit=500), *to)
        items = page.items if page else []
        decide = [
            DecideNode(
                decision_id=self._id(one), transfer_id=one.transfer_id, node_no=one.node_no, approve=True
            )
            for one in items
            if one.state == "pending_in"
        ]
        assign = [
            AssignBranch(
                decision_id=self._id(one), transfer_id=one.transfer_id, branch_id=school.target_branch
            )
            for one in items
            if one.state == "pending_assign"
        ]
        if decide:
            self.call(contract.decide_nodes, decide, *to)
        if assign:
            self.call(contract.assign_branches, assign, *to)

    def _id(self, item: Any) -> uuid.UUID:
        """Return the id of a decision, the same whenever it is sent again."""
        return self.decisions.setdefault((item.transfer_id, item.state), uuid.uuid4())

    def close(self) -> None:
        """Go home."""
        self.open = self.starting = False
        for thread in self.threads:
            thread.join()
        self.client.close()


# ---- what is looked at -----------------------------------------------------------------------------


def count(site: Site, name: str, statement: str) -> int:
    """Return what a count in a service's database says."""
    with site.engine(name).connect() as tx:
        return int(tx.scalar(sa.text(statement)) or 0)


def on_the_way(site: Site) -> int:
    """Return how much the system itself owes: messages anywhere, and transfers that wait for nobody else."""
    topology = Topology()
    connection = broker.connect(site.settings.amqp_uri)
    with closing(connection):
        channel = connection.channel()
        waiting = sum(
            channel.queue_declare(topology.event_queue(name).name, passive=True).message_count
            for name in SERVICES
        )
    for name in SERVICES:
        waiting += count(site, name, "SELECT count(*) FROM outbox WHERE published_at IS NULL")
        waiting += count(site, name, "SELECT count(*) FROM failed_messages")
    return waiting + count(
        site, "transfers", "SELECT count(*) FROM transfers WHERE state IN ('checking', 'moving')"
    )


def dead_messages(site: Site) -> int:
    """Return how many messages the broker has given up."""
    connection = broker.connect(site.settings.amqp_uri)
    with closing(connection):
        return int(connection.channel().queue_declare(Topology().dead_queue, passive=True).message_count)


def seconds_until(holds: Callable[[], bool], most: float) -> float:
    """Return after how many seconds something holds, at the latest `most`."""
    began = time.monotonic()
    while not holds() and time.monotonic() < began + most:
        time.sleep(0.5)
    return time.monotonic() - began


def outage(site: Site, name: str, way: str, seconds: float) -> bool:
    """Have one database away under load; print a line of the table; return whether all is as wanted."""
    seconds_until(lambda: on_the_way(site) == 0, SET_UP)  # what was loaded is no backlog of the outage
    offices = Offices(site)
    try:
        time.sleep(BEFORE)
        end = WAYS[way](site, name)
        try:
            time.sleep(seconds)
        finally:
            end()
        offices.starting = False
        drained = seconds_until(lambda: on_the_way(site) == 0, AFTER + 60)
        open_ones = "SELECT count(*) FROM open_transfers"
        ended = drained + seconds_until(lambda: count(site, "transfers", open_ones) == 0, 300)
    finally:
        offices.close()
    seconds_until(lambda: on_the_way(site) == 0, AFTER)  # what the offices did last is not lost, but moving
    lost, unfinished = _lost(site, offices.accepted)
    engines = {service: site.engine(service) for service in SERVICES}
    broken = [what for what, holds in check_invariants(engines) if not holds]
    given_up = dead_messages(site)
    well = not (lost or broken or given_up or offices.errors) and drained <= AFTER
    print(
        f"{name:<11}{way:<11}{seconds:>7.0f}{len(offices.accepted):>10}{offices.repeats:>9}"
        f"{given_up:>6}{lost:>6}{drained:>9.1f}{ended:>8.1f}{unfinished:>12}  {'ok' if well else 'NO'}"
        f"{''.join(f'; {what}' for what in (*broken, *map(repr, offices.errors)))}",
        flush=True,
    )
    return well


def _lost(site: Site, accepted: set[int]) -> tuple[int, int]:
    """Return how many that were accepted are gone or stand still, and how many wait for an office."""
    with site.engine("transfers").connect() as tx:
        rows = tx.execute(sa.text("SELECT transfer_id, state FROM transfers")).all()
    completed = {row.transfer_id for row in rows if row.state == "completed"}
    waiting = {row.transfer_id for row in rows if row.state in ("pending_in", "pending_assign")}
    return len(accepted - completed - waiting), len(accepted & waiting)


def main() -> int:
    """Run every way on every database; return 1 if anything was not as wanted."""
    explain("tests.storm.outages", __doc__)
    seconds = 60 * float(os.environ.get("MINUTES") or 10)
    ways = (os.environ.get("WAYS") or ",".join(WAYS)).split(",")
    names = (os.environ.get("DATABASES") or ",".join(SERVICES)).split(",")
    if os.geteuid() and "disk-full" in ways:
        ways.remove("disk-full")
        print("disk-full is left out: only root mounts a small disk")
    people = int(1.2 * A_SECOND * (seconds + 60) * len(ways) * len(names)) + 2000
    folder = Path(tempfile.mkdtemp(prefix="outages_", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with closing(Site(folder, people)) as site:
            site.create()
            site.start(*SERVICES)
            seconds_until(lambda: on_the_way(site) == 0, 120)
            print(
                "database   way       seconds  accepted  repeats  dead  lost  drained   ended  unfinished",
                flush=True,
            )
            well = [outage(site, name, way, seconds) for way in ways for name in names]
            return int(not all(well))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
