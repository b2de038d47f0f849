"""Somebody with rights over a branch, a college, a county or nothing, on the real handlers (`machine.py`).

The handlers are those of three services.
"""

from __future__ import annotations

import logging
import tempfile
import time
import uuid
from pathlib import Path

from hypothesis.errors import FlakyFailure

from shared import db, identity
from tests.attack import Budget, Outcome, machine, world
from tests.conftest import server_url

TITLE = "the rights of a branch, a college, a county and of nobody"


def attack(target: object, budget: Budget) -> Outcome:
    """Attack a nation of its own, with each role in turn until the minutes are over."""
    logging.disable(logging.ERROR)
    urls = {name: server_url(f"tq_attack_{uuid.uuid4().hex[:12]}") for name in world.MODELS}
    engines = {}
    faults: list[str] = []
    machine.Attacker.forget()
    try:
        for name, url in urls.items():
            db.create_database(url)
            engines[name] = db.connect(url)
            world.MODELS[name].metadata.create_all(engines[name])
        with tempfile.TemporaryDirectory() as folder:
            identity.make_keys(Path(folder))
            machine.Attacker.world = world.build(engines, Path(folder))
            machine.learn_secrets()
            for role in machine.ROLES:
                ends = time.monotonic() + budget.minutes * 60 / len(machine.ROLES)
                while time.monotonic() < ends and len(faults) < 3:
                    try:
                        machine.run(role, 10, 40, derandomize=False)
                    except (machine.Fault, FlakyFailure) as fault:
                        faults.append(str(fault))
    finally:
        logging.disable(logging.NOTSET)
        for name, url in urls.items():
            if name in engines:
                engines[name].dispose()
            db.drop_database(url)
    seen = machine.Attacker
    return Outcome(
        f"{sum(seen.done.values())} calls of {len(seen.done)} operations,"
        f" {sum(seen.granted.values())} granted",
        faults,
    )
