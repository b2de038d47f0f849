"""A storm over bridges (`make storm-bridges TRANSFERS=5000 KILLS=50 SEED=1`, `QUICK=1` for 400 transfers).

Members go to three other systems and come from them, all of whose faults are on, while bridges, the others'
programs, transfers and members are killed, connections of databases and broker ended, and one in twenty
requests between the doors lost, doubled or swapped. An auditor reads all databases ten times a second.
`MINUTES=` is how long members are started and things are killed, `PEERS=BJ` leaves the others out.
Exits with 1 if anything is not as it should be.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"bridges{os.getpid()}.")

from shared.messages.words import PEERS
from tests.storm.bridges.storm import Weather, blow
from tests.storm.usage import explain
from tests.system.conftest import demo_town


def main() -> int:
    """Run the storm that the environment asks for; return the exit code."""
    explain("tests.storm.bridges", __doc__)
    # servers and files are put away then, too
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    quick = bool(os.environ.get("QUICK"))
    transfers = int(os.environ.get("TRANSFERS") or (400 if quick else 5_000))
    kills = int(os.environ.get("KILLS") or (8 if quick else 50))
    seed = int(os.environ.get("SEED") or random.randrange(1_000_000))
    minutes = float(os.environ.get("MINUTES") or (0.75 if quick else 15))
    systems = tuple(one for one in PEERS if one in (os.environ.get("PEERS") or ",".join(PEERS)))
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix=f"tuanqiao-bridges-{seed}-"))
    (place / "storm").mkdir()
    with demo_town(place / "first") as town:
        weather = Weather(transfers, kills, seed, 60 * minutes, 600 + 60 * minutes, systems)
        print(f"the town stands after {time.monotonic() - began:.0f} s", flush=True)
        outcome = blow(town, place / "storm", weather)
    print("\n".join(outcome.figures))
    print("\n".join(outcome.wrong[:100]) or "nobody active twice, nobody lost; both sides agree")
    if outcome.wrong:
        print(f"NOT as it should be ({len(outcome.wrong)}): seed {seed}; files in {place}, logs in var/logs")
    else:
        shutil.rmtree(place)
    return int(bool(outcome.wrong))


if __name__ == "__main__":
    sys.exit(main())
