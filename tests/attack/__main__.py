"""`make attack`: every part on a system of its own making, and a look at what is stored afterwards.

It prints a table and ends with 1 if anything was found.

MINUTES and CASES say how much each part may do (10 and 10,000), PARTS names the parts, all by default.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"attack{os.getpid()}.")

import tests.attack
from tests.attack import Budget, Outcome
from tests.attack.audit import audit
from tests.attack.target import Target, target


def parts() -> list[ModuleType]:
    """Return the parts that there are, or those named by PARTS."""
    wanted = os.environ.get("PARTS", "").replace(",", " ").split()
    names = [
        one.name
        for one in pkgutil.iter_modules(tests.attack.__path__)
        if not one.name.startswith(("__", "test_"))
    ]
    modules = [
        importlib.import_module(f"tests.attack.{name}")
        for name in sorted(names)
        if not wanted or name in wanted
    ]
    return [module for module in modules if hasattr(module, "attack")]


def one(part: ModuleType, on: Target, budget: Budget) -> tuple[str, Outcome, float]:
    """Run a part; that it fails, or that the system no longer works afterwards, is a fault, too."""
    started = time.monotonic()
    try:
        outcome: Outcome = part.attack(on, budget)
    except Exception as error:
        outcome = Outcome("did not come to its end", [f"{type(error).__name__}: {error}"])
    outcome.faults += [f"the process of {name} has ended" for name in on.dead()]
    if not on.answers():
        outcome.faults.append("the system does not answer")
    return part.TITLE, outcome, time.monotonic() - started


def main() -> int:
    """Attack; return the exit code."""
    budget = Budget(float(os.environ.get("MINUTES") or 10), int(os.environ.get("CASES") or 10_000))
    lines: list[tuple[str, Outcome, float]] = []
    with tempfile.TemporaryDirectory() as folder, target(Path(folder)) as on:
        for part in parts():
            print(f"{part.TITLE} ...", flush=True)
            lines.append(one(part, on, budget))
        started = time.monotonic()
        lines.append(
            (
                "what is stored afterwards",
                Outcome("every text column of every service, what was set aside", audit(on)),
                time.monotonic() - started,
            )
        )
    print("\n| attack | did | seconds | found |\n|---|---|---|---|")
    for title, outcome, seconds in lines:
        print(f"| {title} | {outcome.did} | {seconds:.0f} | {len(outcome.faults) or 'nothing'} |")
    for title, outcome, _ in lines:
        for fault in outcome.faults:
            print(f"\n{title}: {fault}")
    return int(any(outcome.faults for _, outcome, _ in lines))


if __name__ == "__main__":
    sys.exit(main())
