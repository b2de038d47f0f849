"""Compares this commit with another: `make bench COMPARE=<commit>` fails below 0.93 of any rate.

The other commit is checked out beside this one, with the measuring programs of this one, and the same
libraries. Each round runs both, the other way round each time, so that both meet the same machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.installation import ROOT

LEAST = 0.93
RATES = ("bulk", "singles", "deadlines")


def measured(place: Path) -> dict[str, float]:
    """Return the rates of the sources in a folder."""
    environ = {**os.environ, "PYTHONPATH": str(place)}
    environ.pop("TUANQIAO_BUS_PREFIX", None)
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.rates"]
    done = subprocess.run(command, cwd=place, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(commit: str, rounds: int) -> int:
    """Print the rates of both, and this one's share of the other's; return 1 if one is too low."""
    place = Path(tempfile.mkdtemp()) / "other"
    subprocess.run(["git", "worktree", "add", "-q", "--detach", str(place), commit], cwd=ROOT, check=True)
    try:
        shutil.rmtree(place / "tests" / "bench", ignore_errors=True)
        shutil.copytree(ROOT / "tests" / "bench", place / "tests" / "bench")
        catalogue = Path("shared/translations/en/LC_MESSAGES/messages.mo")
        shutil.copy(ROOT / catalogue, place / catalogue)
        here, there = [], []
        for number in range(rounds):
            for one in (here, there) if number % 2 else (there, here):
                one.append(measured(ROOT if one is here else place))
            told = (f"{name} {here[-1][name]:,.0f} to {there[-1][name]:,.0f}/s" for name in RATES)
            print(f"round {number + 1} of {rounds}: {', '.join(told)}", flush=True)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=ROOT, check=True)
    low = False
    for name in RATES:
        share = median(a[name] / b[name] for a, b in zip(here, there, strict=True))
        low = low or share < LEAST
        print(f"{name}: {share:.2f} x {commit}{f' (wanted {LEAST})' if share < LEAST else ''}")
    return int(low)
