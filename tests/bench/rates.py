"""The rates of whatever sources it runs on, as one line of JSON; `compare` runs it on two commits."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"rates{os.getpid()}.")

from system import embedded
from tests.bench import season
from tests.bench.__main__ import Bench

PEOPLE = 200_000
DEADLINES = 60_000
SECONDS = 6.0


def main() -> None:
    """Print whole transfers and deadlines per second."""
    keys = Path(tempfile.mkdtemp())
    with redirect_stdout(sys.stderr):
        embedded.make_keys(keys)
        with Bench(keys, PEOPLE) as bench:
            bench.bulk(2)
            found = {"bulk": bench.bulk(SECONDS), "singles": bench.singles(SECONDS)}
        with Bench(keys, DEADLINES + 40_000) as bench:
            made = season.deadlines(bench.installation, bench.schools, DEADLINES, DEADLINES + 40_000)
            found["deadlines"] = made["per_s"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
