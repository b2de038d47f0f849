"""The whole system with a prompt peer's program (BJ) at the other end of a bridge: how soon, at what cost.

How soon: from what an office here decides until the peer's receipt for it is stored, and from the record, as
it is signed, until the transfer is completed here. What the bridge's process takes at rest, before that.
"""

from __future__ import annotations

import random
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from services.gateway.app import create_app
from shared.bus.rpc import RpcClient
from system import synthetic, world
from tests.bench.quantiles import percentile
from tests.system import fullhouse
from tests.system.bridged import bridged, until
from tests.system.conftest import Town, demo_town
from tests.system.fullhouse import CLASS, Office, request_of

TRANSFERS = 150
"""So many that a hundred are completed, though the peer refuses some."""
APART = 0.5
"""Seconds from one decision to the next, so that each goes alone."""
FIRST = 4_700_001
"""The first of those who leave."""
SECONDS, SETTLES = 60.0, 20.0
"""How long the process is looked at, and how long after everything has started."""
LONGEST = 120.0
_BRANCH = sa.text("""
    SELECT min(org_id) FROM orgs
    WHERE system = 'BJ' AND kind = 'branch' AND peer_code IS NOT NULL AND NOT deleted""")
_OPEN = sa.text("SELECT count(*) FROM transfers WHERE peer = 'BJ' AND ended_at IS NULL")
_MADE = sa.text("SELECT transfer_id, created_at, ended_at, state FROM transfers WHERE peer = 'BJ'")
_SENT = sa.text("SELECT type, subject, said_at, settled_at FROM sent WHERE type IN ('offer', 'record')")


def measure(seconds: float = SECONDS) -> dict[str, Any]:
    """Return milliseconds of each transfer, and what the bridge takes at rest."""
    folder = Path(tempfile.mkdtemp())
    options = {"by_hand": False, "speed": 5000, "members": 10, "transfers": 0}
    with demo_town(folder / "first") as first, bridged(first, folder, "BJ", **options) as (town, _):
        idle = _idle(town, seconds)
        _leave(town)
        return {"idle": idle, **_times(town)}


def _idle(town: Town, seconds: float) -> dict[str, float]:
    """Return what a running bridge takes where nothing is to be done: % of a core, MB."""
    time.sleep(SETTLES)
    process = psutil.Process(town.processes["federation_bj"].pid)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return {"cpu_percent": 100 * used / seconds, "memory_mb": process.memory_info().rss / 2**20}


def _leave(town: Town) -> None:
    """Let members of a class leave for a branch of BJ, one after the other, and wait until all have ended."""
    people = synthetic.people(TRANSFERS, rng=random.Random(21), division_codes=["420115"], start=7_800_000)
    entries = [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
    fullhouse.enter_graduates(town, entries)
    with town.engine("orgs").connect() as tx:
        branch = tx.scalar(_BRANCH)
    client = RpcClient(town.settings)
    office = Office(create_app(client, town.settings).test_client(), CLASS)
    for member, _ in entries:
        more = {"target_org_id": branch, "reason": "further_study", "place_name": "某大学"}
        office.send("/transfers", request_of(member, **more))
        time.sleep(APART)
    client.close()
    until(lambda: not _open(town), LONGEST)


def _open(town: Town) -> int:
    with town.engine("transfers").connect() as tx:
        return int(tx.scalar(_OPEN) or 0)


def _times(town: Town) -> dict[str, list[float]]:
    """Return milliseconds until each was in the peer's list, and from its record until it was completed."""
    with town.engine("federation_bj").connect() as tx:
        sent = {(row.type, row.subject): row for row in tx.execute(_SENT)}
    with town.engine("transfers").connect() as tx:
        made = {f"national:{row.transfer_id}": row for row in tx.execute(_MADE)}
    return {
        "offered": [
            _between(row.created_at, sent["offer", subject].settled_at) for subject, row in made.items()
        ],
        "completed": [
            _between(sent["record", subject].said_at, row.ended_at)
            for subject, row in made.items()
            if row.state == "completed"
        ],
    }


def _between(begins: datetime, ends: datetime) -> float:
    return 1000 * (ends - begins).total_seconds()


def lines(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what, the figure, and what it is to be."""
    rows = []
    for name, words, most in (
        ("offered", "decided here to in the peer's list", 300),
        ("completed", "record to completed", 500),
    ):
        values = result[name]
        spread = f"p50 {percentile(values, 50):.0f} ms, p99 {percentile(values, 99):.0f} ms"
        rows.append((f"bridge to BJ, {words}", spread, f"aim p99 <= {most} ms"))
    idle = result["idle"]
    used = f"{idle['cpu_percent']:.2f} % of a core, {idle['memory_mb']:.0f} MB"
    return [*rows, ("bridge to BJ at rest", used, "aim < 0.3 %, < 90 MB")]
