"""The demo world, for `make run` and `make demo`: an organisation tree with people who run it.

None of them is a real person.
"""

from __future__ import annotations

import random
import time
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.members.entering import handlers as entering
from services.members.graduation import store as graduation_store
from shared import clock
from shared.messages.members import Admission

PASSWORD = "Tuanqiao-2026"
"""Password of every demo administrator; a demo installation listens on 127.0.0.1 only."""
ADMINISTRATOR = 2**40
"""The administrator of organisation n is person n + this."""
SCHOOLS = 3
_zero = UUID(int=0)
COLLEGE = 100_000_101
"""The college of the demo accounts: its administrator, one of its classes, one graduate."""


def administrator_of(org_id: int) -> int:
    """Return the person who administers an organisation of the demo world."""
    return ADMINISTRATOR + org_id


def is_empty(system: Any) -> bool:
    """Return whether no organisation was loaded yet."""
    with system.engine("orgs").connect() as tx:
        return not tx.scalar(sa.text("SELECT EXISTS (SELECT 1 FROM orgs)"))


def load(system: Any, everyone: bool = False) -> list[Any]:
    """Load the small tree, its administrators and a first class; return the tree.

    Each organisation that people will act for gets an administrator.

    `everyone` gives every organisation its administrator instead of only committees, leading bodies
    and the demo schools' branches.
    """
    from services.members.accounts import handlers as accounts
    from services.members.posts import store as posts_store
    from services.orgs import seed, store
    from system import synthetic

    tree = list(seed.small_tree())
    with system.machinery("orgs").database.transaction() as tx:
        store.load(tx, tree)
    administered = [
        org
        for org in tree
        if everyone
        or org.kind != "branch"
        or (org.parent_id or 0) // 100 in range(1_000_001, 1_000_001 + SCHOOLS)
    ]
    counties = [org.division_code for org in tree if org.division_code and len(org.division_code) == 6]
    people = synthetic.people(
        len(administered),
        rng=random.Random(7),
        division_codes=counties,
        birth_years=(1975, 1992),
        start=50_000_000,
    )
    rows = [
        (
            administrator_of(org.id),
            Admission(
                command_id=_zero,
                branch_id=0,
                name=person.name,
                id_number=person.id_number,
                ethnic_group=person.ethnic_group,
                phone=person.phone,
                joined_on=None,
                post="",
            ),
        )
        for org, person in zip(administered, people, strict=True)
    ]
    password_hash = accounts.HASHER.hash(PASSWORD)
    with system.machinery("members").database.transaction() as tx:
        for at in range(0, len(rows), 2000):
            entering.enter_trusted(tx, rows[at : at + 2000], password_hash)
    with system.machinery("members").database.transaction() as tx:
        for at in range(0, len(administered), 2000):
            posts_store.set_posts(
                tx,
                [
                    {
                        "org_id": org.id,
                        "person_id": administrator_of(org.id),
                        "post": "secretary",
                        "changed_by": None,
                    }
                    for org in administered[at : at + 2000]
                ],
                clock.now(),
            )
    with system.machinery("orgs").database.transaction() as tx:
        store.set_administrators(
            tx,
            [
                {"org_id": org.id, "person_id": administrator_of(org.id), "active": True}
                for org in administered
            ],
            clock.now(),
            None,
        )
    _first_class(system, counties)
    wait_for_directory(system, len(tree), len(administered))
    return tree


def _first_class(system: Any, counties: list[str]) -> None:
    from system import synthetic

    people = synthetic.people(34, rng=random.Random(11), division_codes=counties, start=0)
    rows = [
        (
            1001 + n,
            Admission(
                command_id=_zero,
                branch_id=COLLEGE * 100 + 1,
                name=person.name,
                id_number=person.id_number,
                ethnic_group=person.ethnic_group,
                phone=person.phone,
                joined_on=person.joined_on,
                development_number=person.development_number,
            ),
        )
        for n, person in enumerate(people)
    ]
    with system.machinery("members").database.transaction() as tx:
        entering.enter_trusted(tx, rows)
        graduation_store.mark_branches(
            tx,
            [
                {
                    "branch_id": COLLEGE * 100 + 1,
                    "graduates_on": date(clock.now().year - 1, 12, 31),
                    "reason": "",
                    "marked_by": 1,
                }
            ],
            clock.now(),
        )
        graduation_store.convert(tx, date(clock.now().year - 1, 12, 31), clock.now(), 1)
        tx.execute(sa.text("SELECT setval(pg_get_serial_sequence('people', 'person_id'), 100000)"))


def wait_for_directory(system: Any, orgs: int, administrators: int, seconds: float = 60) -> None:
    """Wait until members and transfers know the whole tree and everyone who administers it."""
    ends = time.monotonic() + seconds
    for service in ("members", "transfers"):
        while True:
            with system.engine(service).connect() as tx:
                known = tuple(
                    tx.execute(
                        sa.text(
                            """
                            SELECT (SELECT count(*) FROM org_directory),
                                   (SELECT count(*) FROM administrator_directory)"""
                        )
                    ).one()
                )
            if known[0] >= orgs and known[1] >= administrators:
                break
            if time.monotonic() > ends:
                raise TimeoutError(
                    f"{service} knows {known} of {orgs} organisations and {administrators} administrators"
                )
            system.machinery("orgs").relay.wake()
            time.sleep(0.05)


def id_number_of(system: Any, person_id: int) -> str:
    """Return the synthetic number of a demo person, to sign in with."""
    from services.members import store
    from services.members.accounts.handlers import keys

    with system.engine("members").connect() as tx:
        return keys.seal.open(store.by_ids(tx, [person_id])[person_id].id_sealed)


def welcome(system: Any, port: int) -> str:
    """Return the address and the demo accounts with their roles."""
    school = COLLEGE // 100
    accounts = [
        ("graduate 毕业生", 1001, "the last 8 characters of the ID number (changed at first sign-in)"),
        ("class secretary 班级团支部书记", administrator_of(COLLEGE * 100 + 1), PASSWORD),
        ("college administrator 学院团委管理员", administrator_of(COLLEGE), PASSWORD),
        ("university administrator 学校团委管理员", administrator_of(school), PASSWORD),
        ("provincial administrator 省级团委管理员", administrator_of(42), PASSWORD),
        (
            "administrator of another university's college 另一高校学院",
            administrator_of(100_000_601),
            PASSWORD,
        ),
    ]
    lines = [
        f"\nTuanqiao 团桥: http://127.0.0.1:{port}   API: http://127.0.0.1:{port}/api/docs\n",
        "Demo accounts (synthetic persons):",
    ]
    lines += [
        f"  {role}\n    ID number {id_number_of(system, person_id)}   password: {password}"
        for role, person_id, password in accounts
    ]
    return "\n".join(lines)
