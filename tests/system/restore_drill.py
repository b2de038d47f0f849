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
from pathlib import Path

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
    "transfers": {"transfer_id": "t.transfer_id + k * 1000000", "command_id": "gen_random_uuid()"},
    "audit": {"transfer_id": "t.transfer_id + k * 1000000"},
}
"""What differs in a copy of a row, by table."""
_COLUMNS = sa.text(
    "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0"
)
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


def multiply(site: Site, first: int, last: int) -> None:
    """Write copies `first` to `last` of the real transfers, with their trails."""
    for table, changed in CHANGED.items():
        with site.engine("transfers").connect() as tx:
            names = list(tx.scalars(_COLUMNS, {"table": table}))
        values = ", ".join(changed.get(name, f"t.{name}") for name in names)
        statement = sa.text(
            f"INSERT INTO {table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE"
            f" SELECT {values} FROM {table} t, generate_series(CAST(:first AS int), :last) AS k"
            " WHERE t.transfer_id < 1000000"
        )
        for start in range(first, last + 1, 100):
            with site.engine("transfers").begin() as tx:
                tx.execute(statement, {"first": start, "last": min(last, start + 99)})


def sizes(site: Site) -> dict[str, int]:
    found = {}
    for service in SERVICES:
        with site.engine(service).connect() as tx:
            found[service] = int(tx.scalar(_SIZE) or 0)
    return found


def drill(site: Site, transfers: int) -> None:
    site.create()
    load.organisations(site)
    load.people(site, transfers)
    empty = sizes(site)["transfers"]
    real_transfers(site, transfers)
    copies = transfers // REAL - 1
    timed(f"{transfers:,} transfers loaded", lambda: multiply(site, 1, copies * 9 // 10))
    made = timed("backup, with manifest and proof", lambda: site.done("backup"))
    timed("a tenth of them later", lambda: multiply(site, copies * 9 // 10 + 1, copies))
    size = sizes(site)
    per_transfer = (size["transfers"] - empty) / transfers
    whole, one = sum(size.values()), size["transfers"]
    note(
        f"{whole / 2**20:,.0f} MiB in all, transfers {one / 2**20:,.0f} MiB: {per_transfer:,.0f} B a transfer"
    )
    site.leave()
    single = timed("transfers alone, out of a copy", lambda: site.restore("transfers"))
    site.stop_everything()
    everything = timed("everything, in place", lambda: site.restore())
    site.cluster.start()
    assert drive.completed(site) == (copies + 1) * REAL
    _model(per_transfer, size, {"backup": made, "in place": everything, "out of a copy": single})


def _model(per_transfer: float, size: dict[str, int], seconds: dict[str, float]) -> None:
    """Scale by bytes: each way reads and writes every byte a fixed number of times."""
    wanted = per_transfer * MODEL
    note(f"{MODEL:,} transfers would be {wanted / 2**30:.0f} GiB")
    for what, took in seconds.items():
        rate = (size["transfers"] if what == "out of a copy" else sum(size.values())) / took
        note(f"  {what}: {rate / 2**20:.0f} MiB/s here, so {wanted / rate / 60:.0f} min for these")


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
