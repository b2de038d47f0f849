"""A bridge with the program of a prompt peer (BJ) at its other end: how soon, and what it costs at rest.

How soon is of our end alone and of the peer, without bus and services: from the commit of what is decided
here until the peer's receipt is stored, and from the commit of the record until `integrated` is stored.
What it costs at rest is of a `serve federation BJ`.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import sqlalchemy as sa

from services.federation import models
from services.federation.handovers import Deed, perform
from services.federation.protocol import Act, Type
from services.federation.schemas import Offer, Record
from shared import clock, db, migrate
from system import embedded
from tests.bench.bridges import carried
from tests.bench.quantiles import percentile
from tests.federation.factories import EXAMPLES, served
from tests.federation.neighbours import Neighbours
from tests.installation import SERVER, Installation
from tests.system.bridged import Peer

TRANSFERS = 180
"""So many that a hundred are completed, though the peer refuses some."""
APART = 0.08
"""Seconds from one decision to the next: each goes alone."""
LONGEST, SECONDS = 60.0, 60.0
SETTLES = 20.0
"""Seconds after its start in which a process is not looked at."""
BRANCH = "BJ-YY-1001"
_RECEIPTED = sa.text("""
    SELECT 1000 * extract(epoch FROM settled_at - said_at) FROM sent
    WHERE type = :type AND state = 'receipted'""")
_COMPLETED = sa.text("""
    SELECT 1000 * extract(epoch FROM r.received_at - s.said_at)
    FROM sent s JOIN received r ON r.subject = s.subject AND r.type = 'integrated'
    WHERE s.type = 'record'""")
_MAY_GO = sa.text("SELECT subject FROM received WHERE type = 'accepted' ORDER BY subject")
_OPEN = sa.text("SELECT count(*) FROM handovers WHERE state IN ('offered', 'handover')")
_TREE = sa.text("""
    INSERT INTO org_directory (org_id, path, kind, purpose, province, system, name, version, deleted)
    VALUES (1, '1.', 'committee', 'ordinary', '', 'national', '全国', 1, false)""")


# ---- how soon


def latency(transfers: int = TRANSFERS) -> dict[str, list[float]]:
    """Return milliseconds of each transfer to the peer: until it is in its list, until it is completed."""
    url = str(db.address(SERVER).set(database=f"tq_prompt_{os.getpid()}").render_as_string(False))
    db.create_database(url)
    engine = db.connect(url)
    models.metadata.create_all(engine)
    options = {"speed": 5000, "members": 10, "transfers": 0}
    both = Neighbours(engine, Path(tempfile.mkdtemp()), "BJ", 7, **options)
    try:
        both.program.start()
        with served(both.door(), port=both.ports[0]), carried(both.courier()) as database:
            _hand_over(both, database, transfers)
        with engine.connect() as tx:
            return {
                "offer": [float(one) for one in tx.scalars(_RECEIPTED, {"type": Type.OFFER})],
                "record": [float(one) for one in tx.scalars(_RECEIPTED, {"type": Type.RECORD})],
                "completed": [float(one) for one in tx.scalars(_COMPLETED)],
            }
    finally:
        both.program.end()
        engine.dispose()
        db.drop_database(url)


def _hand_over(both: Neighbours, database: db.Database, transfers: int) -> None:
    """Offer members one by one, and hand each over as soon as the peer takes it."""
    gone: set[str] = set()
    ends = time.monotonic() + transfers * APART * 2 + LONGEST
    nth = 0
    while time.monotonic() < ends:
        if nth < transfers:
            nth += 1
            _act(both, database, f"national:{nth}", Act.OFFER, _offer(both, nth))
        with database.reading() as tx:
            may_go = [subject for subject in tx.scalars(_MAY_GO) if subject not in gone]
            left = tx.scalar(_OPEN)
        for subject in may_go[:1]:
            gone.add(subject)
            person = both.person(int(subject.partition(":")[2]), subject, party=True)
            _act(both, database, subject, Act.HAND_OVER, Record(record=both.sealed("record+jwe", person)))
        if nth == transfers and not may_go and not left:
            return
        time.sleep(APART)
    raise TimeoutError("the peer has not ended all transfers")


def _offer(both: Neighbours, nth: int) -> Offer:
    person = both.sealed("person+jwe", both.person(nth, f"national:{nth}"))
    to = {"code": BRANCH, "name": "燕园大学"}
    return msgspec.convert({**EXAMPLES[Type.OFFER], "person": person, "to_org": to}, Offer)


def _act(both: Neighbours, database: db.Database, subject: str, act: Act, data: msgspec.Struct) -> None:
    with database.transaction() as tx:
        perform(tx, both.end.bridge, [Deed(subject, act, data)], clock.now())


# ---- at rest


def idle(seconds: float) -> dict[str, float]:
    """Return what a running bridge takes where nothing is to be done: % of a core, MB."""
    folder = Path(tempfile.mkdtemp())
    embedded.make_keys(folder / "keys", ("BJ",))
    peer = Peer(folder, "BJ", folder / "keys", speed=1, members=10, transfers=0)
    environ = {"TUANQIAO_BJ_URL": peer.url, "TUANQIAO_BJ_PORT": str(peer.our_port)}
    house = Installation(folder / "keys", environ=environ, peers=("BJ",))
    name = "federation_bj"
    try:
        migrate.upgrade(house.settings, [name])
        with house.engine(name).begin() as tx:
            tx.execute(_TREE)
        peer.program.start()
        house.start(name)
        time.sleep(SETTLES)
        process = psutil.Process(house.processes[name].pid)
        before = process.cpu_times()
        time.sleep(seconds)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        return {"cpu_percent": 100 * used / seconds, "memory_mb": process.memory_info().rss / 2**20}
    finally:
        peer.program.end()
        house.close()


def measure(seconds: float = SECONDS) -> dict[str, Any]:
    """Return all of it."""
    return {"latency": latency(), "idle": idle(seconds)}


def lines(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what, the figure, and what it is to be."""
    rows = []
    for name, words, aim in (
        ("offer", "decided at our end to stored in the peer's list", "aim p99 <= 300 ms"),
        ("completed", "record at our end to completed, peer at once", "aim p99 <= 500 ms"),
    ):
        values = result["latency"][name]
        spread = f"p50 {percentile(values, 50):.0f} ms, p99 {percentile(values, 99):.0f} ms"
        rows.append((f"bridge, {words}", spread, aim))
    idle = result["idle"]
    used = f"{idle['cpu_percent']:.2f} % of a core, {idle['memory_mb']:.0f} MB"
    return [*rows, ("bridge to BJ at rest", used, "aim < 0.3 %, < 90 MB")]
