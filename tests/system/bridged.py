"""The demo world with bridges, and the other systems' programs at their other ends."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa

from services.federation.settings import key_folder
from services.members.accounts import handlers as accounts
from shared import clock
from shared.settings import SERVICES, bridge
from system import embedded
from tests.installation import tuanqiao
from tests.peers.__main__ import exchange
from tests.peers.factories import Program, free_ports
from tests.system.conftest import Town

Relayed = Callable[[str, int], int]


def _nothing_between(direction: str, port: int) -> int:
    return port


class Peer:
    """Another system's program, and whoever plays its people."""

    def __init__(
        self, folder: Path, system: str, keys: Path, relayed: Relayed = _nothing_between, **options: Any
    ) -> None:
        """Take what is given a direction and a port, and returns the port by which that is to be reached."""
        self.system = system
        self.our_port, self.port, desk = free_ports(3)
        self.url = f"http://127.0.0.1:{relayed(f'to {system}', self.port)}"
        self.desk = f"http://127.0.0.1:{desk}"
        ours = relayed(f"from {system}", self.our_port)
        theirs = folder / system.lower()
        exchange(system, theirs, keys)
        options = {"speed": 50, "by_hand": True, "desk": desk, "seed": 3, **options}
        if system == "FJ" and "faults" in options:
            options["deliver"] = key_folder(keys, system) / "peer"
        options = {name: value for name, value in options.items() if value is not False}
        seed = options.pop("seed")
        self.program = Program(folder, system, self.port, ours, theirs, seed, system.lower(), **options)

    def cases(self) -> dict[str, dict]:
        """Return its transfers by their subjects."""
        said = requests.get(f"{self.desk}/cases", timeout=10).json()
        return {one["subject"]: one for one in said["cases"]}

    def members(self) -> list[dict]:
        return requests.get(f"{self.desk}/members", timeout=10).json()["members"]

    def post(self, path: str, **said: str) -> dict:
        answer = requests.post(f"{self.desk}/{path}", json=said, timeout=10)
        assert answer.status_code == 200, (path, said, answer.text)
        return answer.json()

    def write(self, statement: str, *values: str) -> int:
        """Write into its file by hand; return how many rows were written."""
        with contextlib.closing(sqlite3.connect(self.program.file, timeout=30)) as file, file:
            return file.execute(statement, values).rowcount

    def decide(self, subject: str, decision: str, reason: str = "", seconds: float = 20) -> None:
        """Decide as soon as that may be decided."""
        until(lambda: decision in self.cases().get(subject, {}).get("can", ()), seconds, self.cases)
        self.post("decide", subject=subject, decision=decision, reason=reason)


def until(holds: Callable[[], object], seconds: float = 20, otherwise: Callable[[], object] = str) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, otherwise()
        time.sleep(0.05)


@contextlib.contextmanager
def bridged(
    first_town: Town,
    folder: Path,
    *systems: str,
    environ: dict[str, str] | None = None,
    relayed: Relayed = _nothing_between,
    starting: Callable[[], None] = lambda: None,
    **options: Any,
) -> Iterator[tuple[Town, dict[str, Peer]]]:
    """Yield a copy of the demo world with bridges that run, and the peers by their systems.

    `environ` is of our processes, `relayed` puts something between the doors (`Peer`), `starting` is called
    before anything is started, `options` are the peers' programs'; one that is a dictionary has a value for
    each system.
    """
    keys = folder / "keys"
    shutil.copytree(first_town.settings.keys, keys)
    embedded.make_keys(keys, systems)
    accounts.use(keys)
    peers = {system: Peer(folder, system, keys, relayed, **_of(system, options)) for system in systems}
    environ = {**(environ or {}), **{f"TUANQIAO_{one.system}_URL": one.url for one in peers.values()}}
    environ |= {f"TUANQIAO_{one.system}_PORT": str(one.our_port) for one in peers.values()}
    town = Town(keys, environ=environ, peers=systems)
    try:
        town.create(like=first_town.settings)
        town.tree = list(first_town.tree)
        starting()
        town.start(*SERVICES, *map(bridge, systems))
        # a new bridge knows nothing of the tree: it is told again what the others have been told
        since = f"{clock.now() - timedelta(hours=1):%Y-%m-%dT%H:%MZ}"
        told = tuanqiao(town, "outbox", "republish", "orgs", "--since", since, "--yes")
        assert told.returncode == 0, told.stdout + told.stderr
        for system in systems:
            # whoever is offered before would be refused as to an organisation that there is not
            until(lambda system=system: tree_known(town, system), 150)
        for peer in peers.values():
            peer.program.start()
        for system in systems:
            until(lambda system=system: known(town, system, system) > 10, 150)
        yield town, peers
    finally:
        for peer in peers.values():
            if peer.program.process is not None and peer.program.process.poll() is None:
                peer.program.end()
        town.close()


def _of(system: str, options: dict[str, Any]) -> dict[str, Any]:
    return {name: one[system] if isinstance(one, dict) else one for name, one in options.items()}


def tree_known(town: Town, system: str) -> bool:
    """Return whether the bridge to a peer knows all of our own tree."""
    with town.engine("orgs").connect() as tx:
        ours = tx.scalar(sa.text("SELECT count(*) FROM orgs WHERE system = 'national'"))
    with town.engine(bridge(system)).connect() as tx:
        there = tx.scalar(sa.text("SELECT count(*) FROM org_directory WHERE system = 'national'"))
    return bool(ours == there)


def known(town: Town, system: str, of: str) -> int:
    """Return how many organisations of a system with a code of its own the bridge to a peer knows."""
    statement = "SELECT count(*) FROM org_directory WHERE system = :of AND peer_code IS NOT NULL"
    with town.engine(bridge(system)).connect() as tx:
        return int(tx.scalar(sa.text(statement), {"of": of}) or 0)


_STUCK = sa.text("""
    INSERT INTO handovers
    SELECT h.subject || '-' || n, 'sender', CASE WHEN n <= 12 THEN 'handover' ELSE 'offered' END, '{}', 1,
        h.our_head, 0, h.their_head, now() - n * interval '7 minutes', h.day
    FROM handovers h, generate_series(1, :n) n WHERE h.subject = :one""")
_SET_ASIDE = sa.text("""
    WITH rows AS (
        INSERT INTO received
        SELECT r.subject || '-' || n, 1, r.type, r.sha256, r.jws, r.said_at, r.received_at, 'quarantined',
            'integrated at offered'
        FROM received r, generate_series(1, :n) n WHERE r.subject = :one AND r.seq = 1
        RETURNING subject, seq)
    INSERT INTO quarantine (subject, seq, why, found_at)
    SELECT subject, seq, 'integrated at offered', now() - interval '2 days' FROM rows""")
_DIFFERING = sa.text("""
    INSERT INTO differences (subject, kind, day, ours, theirs, found_at, seen_at)
    SELECT :one || '-' || n, (ARRAY['state', 'missing_there', 'chain'])[1 + n % 3],
        (now() AT TIME ZONE 'Asia/Shanghai')::date, '', '',
        now(), now()
    FROM generate_series(1, :n) n""")
_COMPARED = sa.text("""
    INSERT INTO reconciliations (day, compared_at, transfers, differing)
    SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date - n, now(), 300,
        CASE WHEN n = 25 THEN 3 ELSE 0 END FROM generate_series(1, 30) n""")


def bad_week(town: Town, subject: str, stuck: int, set_aside: int, differing: int) -> None:
    """Multiply a transfer that has gone to Beijing: stuck, set aside, differing; the last days compared."""
    with town.engine("federation_bj").begin() as tx:
        for statement, n in ((_STUCK, stuck), (_SET_ASIDE, set_aside), (_DIFFERING, differing)):
            tx.execute(statement, {"one": subject, "n": n})
        tx.execute(_COMPARED)
