"""Messages of a bridge beside the least that there is: sign, POST, verify, insert, commit, sign a receipt.

`python -m tests.bench.bridges` measures, with what a prompt peer adds (`tests.bench.peers`); QUICK=1 without
that, in half a minute. Both servers are processes of their own on green threads, as the service's door is.
What is measured of ours is all of it: the act, the courier, the door, what is told on.
"""

from __future__ import annotations

import sys

if len(sys.argv) > 2:
    import eventlet

    eventlet.monkey_patch()

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
import urllib3
from joserfc import jws

from services.federation import door, envelope, keys, models, telling
from services.federation.calling import Address
from services.federation.courier import LOOK_AGAIN_SECONDS, Courier
from services.federation.door import Allowance
from services.federation.handovers import Bridge, Deed, perform
from services.federation.protocol import Act
from services.federation.schemas import Offer, Organisation
from shared import background, clock, db, green
from tests.federation.factories import End, mirror
from tests.installation import ROOT, SERVER, free_port

SECONDS, ROUNDS, BUNDLE = 4.0, 3, 100
BASE = {"ours": "least", "ours_single": "least_single", "ours_alone": "least_single"}
"""Which of the least program's rates each of ours is compared with."""
SEALED = "eyJ" + "x" * 900
"""As long as what seals a person."""
FREE = Allowance(1e9, 1e9)


def folders(place: Path) -> tuple[keys.Folder, keys.Folder]:
    """Return the keys of both ends, each with the other's."""
    here, there = keys.Folder(place / "here"), keys.Folder(place / "there")
    if not here.published():
        begins = clock.now() - timedelta(days=1)
        there.add(here.rotate(begins))
        here.add(there.rotate(begins))
    return here, there


def database(url: str) -> sa.Engine:
    """Return an engine on a new database with the tables of a bridge, and of the least program."""
    db.create_database(url)
    engine = db.connect(url)
    models.metadata.create_all(engine)
    with engine.begin() as tx:
        tx.execute(sa.text("CREATE TABLE least (id text PRIMARY KEY, jws text NOT NULL)"))
    return engine


# ---- servers


def serve(kind: str, port: int, url: str, place: Path) -> None:
    """Serve one of both until killed: `ours`, the door of the national side, or `least`."""
    here, _ = folders(place)
    engine = db.connect(url)
    made = door.app(telling.bridge_to("BJ", here), db.Database(engine), FREE)
    green.start(made if kind == "ours" else least(engine, here), port)
    print("listens", flush=True)
    eventlet.sleep(3600)


def least(engine: sa.Engine, folder: keys.Folder) -> Callable[..., list[bytes]]:
    """Return the WSGI application that does the least."""
    ring = folder.ring()
    own = ring.own[0]
    theirs = next(iter(ring.peer.values()))
    insert = sa.text(
        "INSERT INTO least SELECT id, jws"
        " FROM json_to_recordset(CAST(:items AS json)) AS i(id text, jws text)"
    )

    def application(environ: Any, start_response: Any) -> list[bytes]:
        texts = json.loads(environ["wsgi.input"].read())["messages"]
        said = [
            (json.loads(jws.deserialize_compact(one, theirs.jwk, [theirs.alg]).payload), one) for one in texts
        ]
        with engine.begin() as tx:
            rows = [{"id": payload["id"], "jws": one} for payload, one in said]
            tx.execute(insert, {"items": json.dumps(rows)})
        receipts = [
            jws.serialize_compact(
                {"alg": own.alg, "kid": own.kid},
                json.dumps(
                    {"of": payload["id"], "sha256": envelope.sha256(one), "status": "stored"}
                ).encode(),
                own.jwk,
                [own.alg],
            )
            for payload, one in said
        ]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"receipts": receipts}).encode()]

    return application


@contextmanager
def served(kind: str, url: str, place: Path) -> Iterator[str]:
    """Have a server run; yield its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.bench.bridges", kind, str(port), url, str(place)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and "listens" in process.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()
    process.stdout.close()


# ---- clients


class Ours:
    """The end of BJ, with its courier."""

    def __init__(self, engine: sa.Engine, folder: keys.Folder, url: str) -> None:
        self.bridge = Bridge("national", folder, me="BJ")
        self.database = db.Database(engine)
        self.courier = Courier(self.bridge, self.database, Address(url))
        self.number = 0
        now = clock.now()
        self.data = Offer(
            person=SEALED,
            from_org=Organisation(code="BJ-1", name="北京某大学第一团支部"),
            to_org=Organisation(code="2", name="某大学团委"),
            reason="ordinary",
            reason_text="",
            started_at=now,
            answer_by=now + timedelta(days=10),
        )

    def send(self, count: int) -> None:
        """Offer some, and have them receipted."""
        deeds = [Deed(f"BJ:{self.number + n}", Act.OFFER, self.data) for n in range(count)]
        self.number += count
        with self.database.transaction() as tx:
            perform(tx, self.bridge, deeds, clock.now())
        while self.courier.turn() == 0:
            pass

    def stream(self, seconds: float) -> float:
        """Offer one after the other while the courier carries what waits; return how many a second arrive."""
        begun, first = time.perf_counter(), self.number
        with carried(self.courier) as database:
            while time.perf_counter() - begun < seconds:
                with database.transaction() as tx:
                    perform(tx, self.bridge, [Deed(f"BJ:{self.number}", Act.OFFER, self.data)], clock.now())
                self.number += 1
            while self.done() < self.number:
                time.sleep(0.005)
        return (self.number - first) / (time.perf_counter() - begun)

    def done(self) -> int:
        """Return how many are receipted."""
        with self.database.reading() as tx:
            return int(tx.scalar(sa.text("SELECT count(*) FROM sent WHERE state = 'receipted'")) or 0)


@contextmanager
def carried(courier: Courier) -> Iterator[db.Database]:
    """Have a courier run that is woken by each commit on the database that is yielded, as in the service."""
    loop = background.Loop("courier", courier.turn, LOOK_AGAIN_SECONDS)
    service = SimpleNamespace(name="bench", stopping=False, on_stop=[])
    thread = threading.Thread(target=background.run, args=(service, loop))
    thread.start()
    try:
        yield db.Database(courier.database.engine, loop.wake.set)
    finally:
        service.stopping = True
        for stop in service.on_stop:
            stop()
        thread.join()


class Least:
    """Whoever signs and posts, and believes what is receipted."""

    def __init__(self, folder: keys.Folder, url: str, payload: Any) -> None:
        self.key, self.url, self.number, self.payload = folder.ring().own[0], url, 0, payload
        self.pool = urllib3.PoolManager(num_pools=1)

    def send(self, count: int) -> None:
        """Sign some, and post them."""
        header = {"alg": self.key.alg, "kid": self.key.kid}
        texts = []
        for n in range(self.number, self.number + count):
            body = json.dumps({**self.payload, "id": f"BJ/BJ:{n}/1"}).encode()
            texts.append(jws.serialize_compact(header, body, self.key.jwk, [self.key.alg]))
        self.number += count
        answer = self.pool.request("POST", self.url, body=json.dumps({"messages": texts}).encode())
        assert answer.status == 200 and len(json.loads(answer.data)["receipts"]) == count


def rate(send: Callable[[int], None], count: int, seconds: float) -> float:
    """Return messages a second in bundles of so many."""
    send(count)
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        send(count)
        done += count
    return done / (time.perf_counter() - begun)


def measure(seconds: float = SECONDS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return messages a second of both, in bundles of 100 and singly, in alternation.

    Ours singly in two ways: as they are decided, one by one, while the courier carries what waits; and each
    receipted before the next is decided, as the least program does it.
    """
    place = Path(tempfile.mkdtemp())
    here, there = folders(place)
    urls = [
        str(db.address(SERVER).set(database=f"tq_bridge_{end}_{os.getpid()}").render_as_string(False))
        for end in ("here", "there")
    ]
    engines = [database(url) for url in urls]
    national = End(engines[0], "national", "BJ", here)
    national.now = clock.now()
    mirror(national, 1, "BJ-1")
    mirror(national, 2, None, system="national", kind="committee")
    found: dict[str, list[float]] = {name: [] for name in ("least", "least_single", *BASE)}
    try:
        with served("ours", urls[0], place) as ours, served("least", urls[0], place) as bare:
            one = Ours(engines[1], there, ours)
            payload = {"data": {"person": SEALED}, "time": clock.now().isoformat(), "prev": "", "seq": 1}
            other = Least(there, bare, payload)
            for _ in range(rounds):
                found["least"].append(rate(other.send, BUNDLE, seconds))
                found["ours"].append(rate(one.send, BUNDLE, seconds))
                found["least_single"].append(rate(other.send, 1, seconds))
                found["ours_single"].append(one.stream(seconds))
                found["ours_alone"].append(rate(one.send, 1, seconds))
            assert one.done() == one.number
    finally:
        for engine, url in zip(engines, urls, strict=True):
            engine.dispose()
            db.drop_database(url)
    made: dict[str, Any] = {name: median(some) for name, some in found.items()}
    for name, base in BASE.items():
        made[f"{name}_share"] = median([a / b for a, b in zip(found[name], found[base], strict=True)])
    return made | {"raw": found}


def lines(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what, the rate, and its part of the least program's."""
    return [
        (
            f"bridge messages, {words}",
            f"{result[name]:,.0f} /s",
            f"{result[f'{name}_share']:.2f} of the least program's {result[BASE[name]]:,.0f} (aim >= 0.5)",
        )
        for name, words in (
            ("ours", "bundles of 100"),
            ("ours_single", "decided one by one"),
            ("ours_alone", "each receipted before the next"),
        )
    ]


if __name__ == "__main__":
    if len(sys.argv) > 2:
        serve(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        from tests.bench import peers  # here, since the servers want nothing of it

        quick = bool(os.environ.get("QUICK"))
        rows = lines(measure(1.0) if quick else measure())
        for row in rows if quick else [*rows, *peers.lines(peers.measure())]:
            print(*row, sep="  ")
