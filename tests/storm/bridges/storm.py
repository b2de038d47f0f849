"""One storm over bridges, from the empty machine to the table."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from services.gateway.app import create_app
from shared.bus.rpc import RpcClient
from shared.messages.words import PEERS
from shared.settings import bridge
from system import synthetic, world
from system.demo import check_invariants
from tests.installation import AMQP_URI, ROOT
from tests.peers.factories import free_ports
from tests.storm.bridges import ending
from tests.storm.bridges.kills import Killer
from tests.storm.bridges.offices import Offices, settled
from tests.storm.bridges.relay import Relay
from tests.storm.proxy import Network
from tests.system import fullhouse
from tests.system.bridged import bridged
from tests.system.conftest import Town
from tests.system.fullhouse import CLASS, COLLEGE

FIRST = 5_000_001
"""The first of those who leave."""
SPEED = 300.0
"""How often the peers' time goes into ours: their people answer in seconds, their outages last some."""
ODDS = 0.05


class Weather(NamedTuple):
    """What is to happen.

    Attributes:
        transfers: How many, half of them each way.
        kills: How many.
        seed: Of all dice.
        seconds: In which members are started and things are killed.
        settle: How long it may take after that, in seconds.
        systems: The peers.
        speed: How often their time goes into ours.

    """

    transfers: int
    kills: int
    seed: int
    seconds: float
    settle: float = 600.0
    systems: tuple[str, ...] = PEERS
    speed: float = SPEED


class Outcome(NamedTuple):
    """What is to be told: what is wrong, and figures."""

    wrong: list[str]
    figures: list[str]


def blow(first_town: Town, folder: Path, weather: Weather) -> Outcome:
    """Let a storm blow over a copy of a town; return what became of it."""
    with ExitStack() as stack:
        return _Storm(first_town, folder, weather, stack).run()


class _Storm:
    def __init__(self, first_town: Town, folder: Path, weather: Weather, stack: ExitStack) -> None:
        self.weather, self.stack = weather, stack
        self.going = weather.transfers // 2
        share = -(-(weather.transfers - self.going) // len(weather.systems))
        ports = free_ports(2 * len(weather.systems) + 1)
        self.relay = Relay(ODDS, weather.seed, ports[:-1])
        self.broker = Network(folder, ports[-1:])
        amqp = sa.make_url(AMQP_URI)
        link = self.broker.link("broker", [amqp.port or 5672])
        self.broker.start()
        stack.callback(self.broker.close)
        with first_town.engine("orgs").connect() as tx:
            college = tx.scalar(sa.text("SELECT full_name FROM orgs WHERE org_id = :one"), {"one": COLLEGE})
        between = bridged(
            first_town,
            folder,
            *weather.systems,
            environ={"AMQP_URI": AMQP_URI.replace(f":{amqp.port or 5672}", f":{link}")},
            relayed=self.relay.way,
            starting=self.relay.start,
            seed=weather.seed,
            by_hand=False,
            faults="all",
            speed=weather.speed,
            members=share * 3 // 2 + 20,
            transfers=share,
            every=max(0.1, weather.seconds * 0.7 / share) * weather.speed,
            typed=college,
        )
        with first_town.engine("members").connect() as tx:
            self.since = tx.scalar(sa.text("SELECT clock_timestamp()::text"))
        first_town.close(keep_databases=True)  # a database that is copied has no connections
        self.town, self.peers = stack.enter_context(between)

    def run(self) -> Outcome:
        """Start everybody, kill, wait, look."""
        weather, town = self.weather, self.town
        began = time.monotonic()
        people = synthetic.people(
            self.going, rng=random.Random(weather.seed), division_codes=["420115"], start=7_600_000
        )
        fullhouse.enter_graduates(
            town, [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
        )
        client = RpcClient(town.settings)
        self.stack.callback(client.close)
        browser = create_app(client, town.settings).test_client()
        offices = Offices(town, browser, weather.systems, weather.seed)
        self.stack.callback(offices.end)
        auditor = self.auditor()
        killer = Killer(town, self.peers, lambda: self.broker.set("broker", "reset"), weather.seed)
        offices.leave([FIRST + n for n in range(self.going)])
        offices.thread.start()
        self.stack.callback(killer.wait, 0.0)  # whatever fails: nothing is started once all is put away
        killer.begin(weather.kills, max(0.2, 2 * weather.seconds / max(1, weather.kills) - 6))
        killer.wait(4 * weather.seconds + 120)
        blown = time.monotonic() - began
        trace: list[str] = []
        self.free_leases()
        left = settled(lambda: self.left(offices), weather.settle, trace)
        took = time.monotonic() - began - blown
        offices.end()
        said = json.loads(auditor.communicate("")[0])
        ended = ending.examine(town, self.peers)
        met = self.relay.end()
        engines = {service: town.engine(service) for service in town.settings.services}
        broken = [what for what, holds in check_invariants(engines) if not holds]
        wrong = [f"not at its end after {weather.settle:.0f} s: {one}" for one in left]
        wrong += [f"auditor: {one}" for one in said.pop("found")] + ended.wrong
        wrong += [f"does not hold: {one}" for one in broken] + killer.problems
        figures = [
            f"{self.going} leave, {self.came()} come; blew for {blown:.0f} s, settled in {took:.0f} s",
            f"kills {sum(killer.kills.values())}: {listed(killer.kills)}",
            f"between the doors: {listed(met)}",
            f"auditor: {', '.join(f'{name} {value}' for name, value in said.items())}",
            *ended.figures,
            *trace,
            f"offices: {listed(offices.met) or 'nothing refused'}",
        ]
        return Outcome(wrong, figures)

    def came(self) -> int:
        return sum(ending.count(self.town, bridge(one), "arrivals") for one in self.peers)

    def auditor(self) -> subprocess.Popen[str]:
        """Start the auditor."""
        settings = self.town.settings
        plain = {one: settings.database(one).replace("+psycopg2", "") for one in settings.services}
        said = {
            "members": plain["members"],
            "bridges": {one: plain[bridge(one)] for one in self.peers},
            "peers": {one: str(peer.program.file) for one, peer in self.peers.items()},
            "key": str(settings.keys / "id_keys.json"),
            "since": self.since,
        }
        made = subprocess.Popen(
            [sys.executable, "-m", "tests.storm.bridges.auditor", json.dumps(said)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.stack.callback(made.kill)
        return made

    def free_leases(self) -> None:
        """Free what killed couriers had taken to send, as two minutes would."""
        for engine in self.town.engines.values():
            engine.dispose()  # its connections may have been ended with all others
        for one in self.peers:
            with self.town.engine(bridge(one)).begin() as tx:
                tx.execute(sa.text("UPDATE sent SET leased_until = next_at WHERE lease IS NOT NULL"))
                tx.execute(sa.text("UPDATE line SET probe_at = NULL"))

    def left(self, offices: Offices) -> list[str]:
        """Return what is not at its end: what waits to be started, too."""
        found = ending.under_way(self.town, self.peers)
        if offices.waiting:
            found.append(f"to be started here: {len(offices.waiting)}")
        for peer in self.peers.values():
            begun = sum(
                not subject.startswith("national:") for subject, _ in ending.theirs(peer, ending.STATES)
            )
            wanted = -(-(self.weather.transfers - self.going) // len(self.peers))
            if begun < wanted:
                found.append(f"to be started by {peer.system}: {wanted - begun}")
        return found


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {number}" for what, number in counts.most_common())
