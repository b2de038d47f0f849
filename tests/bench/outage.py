"""A peer that was away for a day at season load: how its bridge empties, and whether another notices.

`python -m tests.bench.outage` measures the bridge to a prompt peer alone, and while what has waited for
another peer since yesterday goes out, each bridge a process of its own as in an installation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from services.federation import door, models
from services.federation.calling import Address, Caller
from services.federation.courier import LOOK_AGAIN_SECONDS, Courier
from services.federation.door import Allowance
from services.federation.handovers import Deed, perform
from services.federation.protocol import Act, Word
from shared import background, clock, db
from tests.bench.bridges import folders
from tests.bench.quantiles import percentile
from tests.federation.factories import End, example, served
from tests.federation.neighbours import Neighbours
from tests.installation import ROOT, SERVER

BACKLOG = 8_000
"""Offers of a day: a peer's share of half a million in a season of two months."""
LIST = 500
TRANSFERS, APART = 150, 0.08
"""Of the prompt peer's, and the seconds from one to the next."""
_RECEIPTED = sa.text("""
    SELECT 1000 * extract(epoch FROM settled_at - said_at) FROM sent WHERE state = 'receipted'""")
_AGED = sa.text("""
    UPDATE sent s SET said_at = clock_timestamp() - interval '24 hours' + n.n * interval '24 hours' / :count,
        next_at = clock_timestamp()
    FROM (SELECT subject, seq, row_number() OVER (ORDER BY subject) AS n FROM sent) n
    WHERE s.subject = n.subject AND s.seq = n.seq""")
_AWAY = sa.text("""
    INSERT INTO line (down_since, failures, probe_at)
    VALUES (clock_timestamp() - interval '24 hours', 30, clock_timestamp())
    ON CONFLICT (one) DO UPDATE SET (down_since, failures, probe_at) =
        (excluded.down_since, excluded.failures, excluded.probe_at)""")
_OVERTAKEN = sa.text("""
    SELECT count(*) FROM (SELECT s.said_at, max(s.said_at) OVER (
        ORDER BY s.settled_at RANGE BETWEEN UNBOUNDED PRECEDING AND '1 microsecond' PRECEDING) AS earlier
        FROM sent s) o WHERE o.said_at < o.earlier""")


def drain(count: int) -> dict[str, float]:
    """Let a peer be back after a day; return how fast what has waited goes out, and what was overtaken."""
    here, there = folders(Path(tempfile.mkdtemp()))
    ends = []
    for me, peer, keys in (("national", "BJ", here), ("BJ", "national", there)):
        url = str(db.address(SERVER).set(database=f"tq_{me.lower()}_{os.getpid()}").render_as_string(False))
        db.create_database(url)
        engine = db.connect(url)
        models.metadata.create_all(engine)
        ends.append((End(engine, me, peer, keys), url))
    try:
        (ours, _), (theirs, _) = ends
        for first in range(0, count, LIST):
            deeds = [Deed(f"national:{first + n:06d}", Act.OFFER, example(Word.OFFER)) for n in range(LIST)]
            with ours.engine.begin() as tx:
                perform(tx, ours.bridge, deeds, clock.now())
        with ours.engine.begin() as tx:
            tx.execute(_AGED, {"count": count})
            tx.execute(_AWAY)
        with served(door.app(theirs.bridge, db.Database(theirs.engine), Allowance(1e9, 1e9))) as url:
            courier = Courier(ours.bridge, db.Database(ours.engine), Address(url))
            courier._caller = Caller(Address(url))
            print("drains", flush=True)
            began = time.monotonic()
            while courier.turn() == 0.0:
                pass
            took = time.monotonic() - began
        with ours.engine.begin() as tx:
            left = tx.scalar(sa.text("SELECT count(*) FROM sent WHERE state <> 'receipted'"))
            return {"per_s": count / took, "left": left or 0, "overtaken": tx.scalar(_OVERTAKEN) or 0}
    finally:
        for end, url in ends:
            end.engine.dispose()
            db.drop_database(url)


def latency(transfers: int = TRANSFERS) -> list[float]:
    """Return milliseconds from a decision at our end to the receipt of BJ's program, each decided alone."""
    url = str(db.address(SERVER).set(database=f"tq_prompt_{os.getpid()}").render_as_string(False))
    db.create_database(url)
    engine = db.connect(url)
    models.metadata.create_all(engine)
    both = Neighbours(engine, Path(tempfile.mkdtemp()), "BJ", 7, speed=1, members=10, transfers=0)
    courier = background.Loop("courier", both.courier().turn, LOOK_AGAIN_SECONDS)
    service = SimpleNamespace(name="bench", stopping=False, on_stop=[])
    thread = threading.Thread(target=background.run, args=(service, courier))
    database = db.Database(engine, courier.wake.set)
    try:
        both.program.start()
        with served(both.door(), port=both.ports[0]):
            thread.start()
            for nth in range(transfers):
                deed = Deed(f"national:{nth + 1}", Act.OFFER, example(Word.OFFER))
                with database.transaction() as tx:
                    perform(tx, both.end.bridge, [deed], clock.now())
                time.sleep(APART)
            with engine.connect() as tx:
                return [float(one) for one in tx.scalars(_RECEIPTED)]
    finally:
        service.stopping = True
        for stop in service.on_stop:
            stop()
        thread.join()
        both.program.end()
        engine.dispose()
        db.drop_database(url)


def measure(count: int = BACKLOG) -> dict[str, Any]:
    """Return milliseconds until a prompt peer has what is said, alone and while another is drained."""
    found: dict[str, Any] = {"alone": latency()}
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.outage", f"drain={count}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "drains" not in process.stdout.readline():
            assert process.poll() is None
        found["meanwhile"] = latency()
        found["lasted"] = process.poll() is None
        found["drained"] = json.loads(process.stdout.read().splitlines()[-1])
    found["alone"] += latency()
    return found


def lines(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured as lines of a table."""
    drained = found["drained"]
    kept = f"{drained['overtaken']:.0f} overtaken, {drained['left']:.0f} left"
    yield "a peer back after a day, 8,000 offers", f"{drained['per_s']:,.0f} messages/s", kept
    alone, meanwhile = (percentile(found[name], 50) for name in ("alone", "meanwhile"))
    label = "a prompt peer's p50 meanwhile and alone"
    yield label, f"{meanwhile:.0f} ms, {alone:.0f} ms", f"{meanwhile / alone:.2f} x (aim 1.2)"


if __name__ == "__main__":
    _, _, drained = sys.argv[-1].partition("drain=")
    if drained:
        print(json.dumps(drain(int(drained))))
    else:
        for line in lines(measure()):
            print("  ".join(line))
