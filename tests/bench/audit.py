"""What the audit log costs: commands of orgs and members with it and without it, in turns.

All in one process, on one database each.

    python -W ignore -m tests.bench.audit

Only the ratio counts: with and without alternate every half second, so that whatever else the
machine does meets both.
"""

from __future__ import annotations

import itertools
import os
import time
import uuid
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from services.members import models
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.sealing import seal
from services.orgs import handlers, store
from services.orgs import models as orgs_models
from shared import audit, clock, db, directory, identity
from shared.bus.service import Asked
from shared.messages.members import Admission
from shared.messages.orgs import AdministratorChanged, OrgChanged, SetAdministrator
from tests.conftest import server_url
from tests.members import factories as members_world
from tests.orgs import factories as orgs_world

TURN_SECONDS, TURNS = 0.5, int(os.environ.get("TURNS") or 16)
BATCH = 20
"""Items of one transaction, as commands that wait together share one."""


def measure(name: str, engine, act) -> None:
    """Print commands per second without and with the log, and the ratio."""
    done, seconds, append = {True: 0, False: 0}, {True: 0.0, False: 0.0}, audit.Log.append
    for turn in range(TURNS):
        logs = bool(turn % 2)
        audit.Log.append = append if logs else lambda self, tx, entries: [*entries] and None
        ends, started = time.perf_counter() + TURN_SECONDS, time.perf_counter()
        while time.perf_counter() < ends:
            with engine.begin() as tx:
                done[logs] += act(tx)
        seconds[logs] += time.perf_counter() - started
    audit.Log.append = append
    rates = {logs: done[logs] / seconds[logs] for logs in done}
    print(
        f"{name}: {rates[False]:.0f}/s without, {rates[True]:.0f}/s with the log,"
        f" ratio {rates[True] / rates[False]:.2f}"
    )


def orgs(engine) -> None:
    """Rights that are given and revoked: one change, one event, one line each."""
    with engine.begin() as tx:
        store.load(tx, orgs_world.TREE)
        tx.exec_driver_sql("INSERT INTO cadres SELECT org_id, 9, 'committee_member', true, 1 FROM orgs")
        store.set_administrators(
            tx,
            [{"org_id": org, "person_id": person, "active": True} for org, person in orgs_world.RIGHTS],
            clock.now(),
            None,
        )
    turns = itertools.count()

    def act(tx) -> int:
        active = next(turns) % 2 == 0
        items = [
            Asked(
                SetAdministrator(
                    command_id=uuid.uuid4(), org_id=orgs_world.CLASS, person_id=9, active=active
                ),
                orgs_world.of_college,
            )
        ]
        return len(handlers.set_administrators(tx, items))

    measure("rights, one at a time", engine, act)


def _tell_tree(tx) -> None:
    """Let members know the organisations of its tests and who administers them."""
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=org_id,
                parent_id=parent,
                path=path,
                kind=kind,
                purpose="ordinary",
                province=province,
                system="national",
                provincial_id=1,
                vault_id=None,
                name=str(org_id),
                version=1,
                deleted=False,
            )
            for org_id, parent, path, kind, province in members_world.ORGS
        ],
    )
    directory.on_administrator_changed(
        tx,
        [
            AdministratorChanged(org_id=row[0], person_id=100 + row[0], active=True, version=1)
            for row in members_world.ORGS
        ],
    )


def _entry(n: int, year: int) -> Admission:
    """Return the entry of the n-th person born in a year, who joined at fifteen."""
    return members_world.person(
        n,
        id_number=members_world.number(n, year),
        joined_on=date(year + 15, 5, 4),
        development_number=f"{year + 15}{n:08d}" if year + 15 >= 2017 else "",
    )


def members(engine) -> None:
    """People who are entered, some at a time."""
    with engine.begin() as tx:
        _tell_tree(tx)
    numbers = ((year, n) for year in range(1999, 2012) for n in range(1, 1000))

    def act(tx) -> int:
        asked = [
            Asked(_entry(n, year), members_world.admin(members_world.CLASS))
            for year, n in itertools.islice(numbers, BATCH)
        ]
        answers = entering.admit(tx, asked)
        assert all(one.refusal is None for one in answers), answers[0]
        return len(answers)

    measure(f"entries, {BATCH} at a time", engine, act)


def main() -> None:
    """Measure both and leave nothing behind."""
    with TemporaryDirectory() as folder:
        identity.make_keys(Path(folder))
        seal.make_keys(Path(folder))
        accounts.use(Path(folder))
        for name, metadata, run in (
            ("orgs", orgs_models.metadata, orgs),
            ("members", models.metadata, members),
        ):
            url = server_url(f"tq_bench_audit_{name}_{os.getpid()}")
            db.create_database(url)
            engine = db.connect(url)
            try:
                metadata.create_all(engine)
                run(engine)
            finally:
                engine.dispose()
                db.drop_database(url)


if __name__ == "__main__":
    main()
