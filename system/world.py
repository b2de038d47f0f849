"""The demo world, for `make run` and `make demo`: an organisation tree with people who run it.

None of them is a real person.
"""

from __future__ import annotations

import random
import time
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.members.entering import handlers as entering
from services.members.graduation import store as graduation_store
from services.members.log import PostChange
from shared import clock
from shared.messages.members import Admission
from system import synthetic

PASSWORD = "Tuanqiao-2026"
"""Password of every demo administrator; a demo installation listens on 127.0.0.1 only."""
ADMINISTRATOR = 2**40
"""The administrator of organisation n is person n + this."""
SCHOOLS = 3
FEDERATED = ("11", "35", "44")
"""Provinces that run systems of their own, which this one does not reach (FED-01)."""
PIECE = 2_000
"""How many people are entered with one statement."""
_zero = UUID(int=0)
COLLEGE = 100_000_101
"""The college of the demo accounts: its administrator, one of its classes, one graduate."""
_KNOWN = sa.text("""
    SELECT (SELECT count(*) FROM org_directory), (SELECT count(*) FROM administrator_directory)""")


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
    from services.orgs import seed, store

    tree = list(seed.small_tree())
    with system.machinery("orgs").database.transaction() as tx:
        store.load(tx, tree)
    counties = counties_of(tree)
    administered = [org.id for org in tree if everyone or _acts(org)]
    _enter_administrators(system, administered, counties)
    _give_posts(system, administered)
    _first_class(system, counties)
    wait_for_directory(system, len(tree), len(administered))
    return tree


def counties_of(tree: list[Any]) -> list[str]:
    """Return the division codes of all counties of a tree, in its order."""
    return [org.division_code for org in tree if org.division_code and len(org.division_code) == 6]


def colleges(tree: list[Any]) -> list[Any]:
    """Return the committees of all colleges that can be moved to without another system."""
    return [
        org
        for org in tree
        if org.kind == "committee" and 100_000_000 < org.id < 110_000_000 and org.province not in FEDERATED
    ]


def employers(tree: list[Any]) -> list[Any]:
    """Return committees and branches of the systems, whose codes begin with 9."""
    return [
        org
        for org in tree
        if org.province.startswith("9") and org.kind in ("committee", "branch") and org.purpose == "ordinary"
    ]


def branches_below(tree: list[Any], leaving: set[int]) -> dict[int, list[int]]:
    """Return by organisation the branches right below it that members may be assigned to.

    `leaving` are the branches that graduate, which take nobody.
    """
    below: dict[int, list[int]] = {}
    for org in tree:
        takes = org.kind == "branch" and org.purpose not in ("vault", "awaiting") and org.id not in leaving
        if takes and org.parent_id is not None:
            below.setdefault(org.parent_id, []).append(org.id)
    return below


def admission(person: synthetic.SyntheticPerson, branch_id: int) -> Admission:
    """Return the entry of a synthetic person into a branch."""
    return Admission(
        command_id=_zero,
        branch_id=branch_id,
        name=person.name,
        id_number=person.id_number,
        ethnic_group=person.ethnic_group,
        phone=person.phone,
        joined_on=person.joined_on,
        development_number=person.development_number,
    )


def _acts(org: Any) -> bool:
    if org.province in FEDERATED:
        return False
    demo_schools = range(1_000_001, 1_000_001 + SCHOOLS)
    return org.kind != "branch" or (org.parent_id or 0) // 100 in demo_schools


def _enter_administrators(system: Any, orgs: list[int], counties: list[str]) -> None:
    """Enter a person of their own for each organisation; they are members of no branch."""
    from services.members.accounts import handlers as accounts

    people = synthetic.people(
        len(orgs),
        rng=random.Random(7),
        division_codes=counties,
        birth_years=(1975, 1992),
        start=50_000_000,
    )
    rows = [
        (
            administrator_of(org),
            msgspec.structs.replace(admission(person, 0), joined_on=None, development_number=""),
        )
        for org, person in zip(orgs, people, strict=True)
    ]
    password_hash = accounts.HASHER.hash(PASSWORD)
    with system.machinery("members").database.transaction() as tx:
        for at in range(0, len(rows), PIECE):
            entering.enter_trusted(tx, rows[at : at + PIECE], password_hash)


def _give_posts(system: Any, orgs: list[int]) -> None:
    """Make each of these people the secretary of their organisation, and its administrator."""
    from services.members.posts import store as posts_store
    from services.orgs import store

    posts: list[PostChange] = [
        {"org_id": org, "person_id": administrator_of(org), "post": "secretary", "changed_by": None}
        for org in orgs
    ]
    with system.machinery("members").database.transaction() as tx:
        for at in range(0, len(posts), PIECE):
            posts_store.set_posts(tx, posts[at : at + PIECE], clock.now())
    rights = [{"org_id": org, "person_id": administrator_of(org), "active": True} for org in orgs]
    with system.machinery("orgs").database.transaction() as tx:
        store.set_administrators(tx, rights, clock.now(), None)


def _first_class(system: Any, counties: list[str]) -> None:
    """Enter the class of the demo accounts, which has graduated at the end of last year."""
    branch, left_on = COLLEGE * 100 + 1, date(clock.now().year - 1, 12, 31)
    people = synthetic.people(34, rng=random.Random(11), division_codes=counties, start=0)
    rows = [(1001 + n, admission(person, branch)) for n, person in enumerate(people)]
    mark: graduation_store.NewMark = {
        "branch_id": branch,
        "graduates_on": left_on,
        "reason": "",
        "marked_by": 1,
    }
    with system.machinery("members").database.transaction() as tx:
        entering.enter_trusted(tx, rows)
        graduation_store.mark_branches(tx, [mark], clock.now())
        graduation_store.convert(tx, left_on, clock.now(), 1)
        # whoever is entered later gets a number beyond those of the demo accounts
        tx.execute(sa.text("SELECT setval(pg_get_serial_sequence('people', 'person_id'), 100000)"))


def wait_for_directory(system: Any, orgs: int, administrators: int, seconds: float = 180) -> None:
    """Wait until members and transfers know the whole tree and everyone who administers it."""
    ends = time.monotonic() + seconds
    for service in ("members", "transfers"):
        while True:
            with system.engine(service).connect() as tx:
                known = tuple(tx.execute(_KNOWN).one())
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
        (
            "administrator of the centre, who runs the bridges 团中央管理员(对接系统)",
            administrator_of(1),
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
