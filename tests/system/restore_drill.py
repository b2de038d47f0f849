"""`make drill`: how long it takes to bring a large installation back, and what that means for a larger one.

A cluster with all four databases is filled with transfers (500 real ones, multiplied), backed up, and
written to once more, so that there is WAL to go through. Then everything is restored in place, and
transfers alone out of a copy. What is printed is measured; the last lines scale it by bytes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"drill{os.getpid()}.")

import sqlalchemy as sa

from shared.bus.rpc import RpcClient
from shared.settings import SERVICES
from system import embedded
from tests.bench import drive, load
from tests.system import backup_site
from tests.system.backup_site import Site

REAL = 500
MODEL = 20_000_000
CHANGED = {
    "transfers": {"transfer_id": "t.transfer_id + k * :apart", "command_id": "gen_random_uuid()"},
    "audit": {"transfer_id": "t.transfer_id + k * :apart"},
}
"""What differs in a copy of a row, by table."""
_REAL = sa.text("SELECT min(transfer_id), max(transfer_id) FROM transfers")
_COLUMNS = sa.text(
    "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0"
)
_NOW = sa.text("SELECT clock_timestamp()")
_SIZE = sa.text("SELECT pg_database_size(current_database())")


def note(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def timed(what: str, work: Callable[[], object]) -> float:
    """Do something, say how long it took, return the seconds."""
    started = time.monotonic()
    work()
    took = time.monotonic() - started
    note(f"{what}: {took:.1f} s")
    return took


def real_transfers(site: Site, transfers: int) -> None:
    """Take `REAL` members through all services."""
    site.start(*SERVICES)
    client = RpcClient(site.settings)
    school = load.schools(site.settings.keys)[0]
    drive._whole_list(client, school, drive.Members(transfers).take(0, REAL))
    drive.wait_completed(site, REAL)
    client.close()
    site.stop(*SERVICES)


def ids_of_real(site: Site) -> tuple[int, int]:
    """Return the least and the greatest id; a database that was restored does not begin at 1."""
    with site.engine("transfers").connect() as tx:
        low, high = tx.execute(_REAL).one()
    return low, high


def multiply(site: Site, real: tuple[int, int], first: int, last: int) -> None:
    """Write copies `first` to `last` of the real transfers, with their trails."""
    low, high = real
    ids = {"low": low, "high": high, "apart": high - low + 1}
    for table, changed in CHANGED.items():
        with site.engine("transfers").connect() as tx:
            names = list(tx.scalars(_COLUMNS, {"table": table}))
        values = ", ".join(changed.get(name, f"t.{name}") for name in names)
        statement = sa.text(
            f"INSERT INTO {table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE"
            f" SELECT {values} FROM {table} t, generate_series(CAST(:first AS int), :last) AS k"
            " WHERE t.transfer_id BETWEEN :low AND :high"
        )
        for start in range(first, last + 1, 100):
            with site.engine("transfers").begin() as tx:
                tx.execute(statement, {"first": start, "last": min(last, start + 99), **ids})


def now(site: Site) -> datetime:
    with site.engine("transfers").connect() as tx:
        at: datetime = tx.scalar(_NOW)
    return at


def sizes(site: Site) -> dict[str, int]:
    found = {}
    for service in SERVICES:
        with site.engine(service).connect() as tx:
            found[service] = int(tx.scalar(_SIZE) or 0)
    return found


def drill(site: Site, transfers: int) -> None:
    site.create()
    load.organisations(site)
    site.done("backup")
    fixed = Times(size=sizes(site), **both_ways(site))
    load.people(site, transfers)
    real_transfers(site, transfers)
    real, copies = ids_of_real(site), transfers // REAL - 1
    timed(f"{transfers:,} transfers loaded", lambda: multiply(site, real, 1, copies * 9 // 10))
    timed("backup, with manifest and proof", lambda: site.done("backup", "--full"))
    before = now(site)
    timed("a tenth of them later", lambda: multiply(site, real, copies * 9 // 10 + 1, copies))
    size = sizes(site)
    note(f"{sum(size.values()) / 2**20:,.0f} MiB in all, transfers {size['transfers'] / 2**20:,.0f} MiB")
    _model(fixed, Times(size=size, **both_ways(site)), transfers)
    assert drive.completed(site) == (copies + 1) * REAL
    _too_early(site, before, copies)


class Times(NamedTuple):
    """What the databases weigh, and the seconds until they are back."""

    size: dict[str, int]
    aside: float
    in_place: float


def both_ways(site: Site) -> dict[str, float]:
    """Restore all there is, both ways; return the seconds of each."""
    site.leave()
    aside = timed("transfers alone, out of a copy", lambda: site.restore("transfers"))
    site.stop_everything()
    in_place = timed("everything, in place", lambda: site.restore())
    site.cluster.start()
    return {"aside": aside, "in_place": in_place}


def _model(fixed: Times, now: Times, transfers: int) -> None:
    """Scale by bytes: beside what an empty installation takes, each way handles every byte as often."""
    per_transfer = (now.size["transfers"] - fixed.size["transfers"]) / transfers
    wanted = per_transfer * MODEL
    note(f"{per_transfer:,.0f} B a transfer; {MODEL:,} would be {wanted / 2**30:.0f} GiB")
    all_bytes = sum(now.size.values()) - sum(fixed.size.values())
    own_bytes = now.size["transfers"] - fixed.size["transfers"]
    ways = {
        "in place": (all_bytes, now.in_place, fixed.in_place),
        "out of a copy": (own_bytes, now.aside, fixed.aside),
    }
    for way, (size, took, least) in ways.items():
        rate = size / max(0.1, took - least)
        minutes = (least + wanted / rate) / 60
        note(f"  {way}: {least:.0f} s and {rate / 2**20:.0f} MiB/s here, so {minutes:.0f} min for these")


def _too_early(site: Site, before: datetime, copies: int) -> None:
    """Go back before the last tenth, and find it again on the history that was given up."""
    with site.engine("transfers").connect() as tx:
        line = int(tx.scalar(sa.text("SELECT timeline_id FROM pg_control_checkpoint()")) or 0)
    site.stop_everything()
    site.restore("--to", before.isoformat())
    site.cluster.start()
    assert drive.completed(site) == (copies * 9 // 10 + 1) * REAL
    site.stop_everything()
    site.restore("--timeline", str(line))
    site.cluster.start()
    assert drive.completed(site) == (copies + 1) * REAL
    note("went back too early, and forth again on the earlier history")


def main() -> None:
    transfers = int(os.environ.get("TRANSFERS") or 1_000_000)
    if not backup_site.ABLE:
        sys.exit(backup_site.WHY_NOT)
    with tempfile.TemporaryDirectory() as folder:
        embedded.make_keys(Path(folder))
        with closing(Site(Path(folder))) as site:
            drill(site, transfers)


if __name__ == "__main__":
    main()
