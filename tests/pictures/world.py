"""The demo world with realistic amounts: a college with 402 approvals that wait, a class, a graduate."""

from __future__ import annotations

import random
import time
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.gateway.kit import capabilities
from shared.reference import is_markable, is_school
from system import synthetic, world
from tests.system import fullhouse
from tests.system.fullhouse import CLASS, COLLEGE, ROLES, Office, key

WAITING = 402
FIRST_STUDENT = 5_000_000
REASONS = ("further_study", "further_study", "further_study", "employed_with_org")
REMARKS = ("", "", "录取通知书已附", "导师: 计算机学院", "九月入学,户口已迁出,请尽快办理", "软件工程1班")
PUBLIC = ("/sign-in", "/forgot", "/verify", "/contacts", "/gallery")


class Role(NamedTuple):
    """Somebody who looks at pages: a name, the ID number to sign in with (none: nobody), the pages."""

    name: str
    number: str | None
    pages: list[str]


def fill(town: Any, browser: Any) -> list[Role]:
    """Fill the world; return who looks at what."""
    house = fullhouse.fill(town, browser)
    _fill_queue(town, browser)
    roles = [Role("public", None, list(PUBLIC))]
    member = ["/", "/mine", "/messages", "/me", "/start", f"/transfers/{house.waiting_out}", "/security"]
    roles.append(Role("graduate", world.id_number_of(town, fullhouse.FIRST), member))
    rejected = ["/", "/mine", f"/transfers/{house.rejected}"]
    roles.append(Role("returned", world.id_number_of(town, fullhouse.FIRST + 1), rejected))
    for name, org in ROLES.items():
        number = world.id_number_of(town, world.administrator_of(org))
        more = [f"/transfers/{house.pending_in[0]}"] if name == "township" else []
        if name in ("class", "college"):
            more += [f"/member/{fullhouse.FIRST}", f"/orgs?at={org}"]
        roles.append(Role(name, number, [*_menu(town, org), "/switch", *more]))
    return roles


def _menu(town: Any, org: int) -> list[str]:
    """Return the pages of an organisation's menu."""
    with town.engine("orgs").connect() as tx:
        row = tx.execute(sa.text("SELECT kind, industry FROM orgs WHERE org_id = :org"), {"org": org}).one()
    sections = capabilities.of(row.kind, is_school(row.industry), org < 100)
    return [entry.path for section in sections for entry in section.entries]


def _fill_queue(town: Any, browser: Any) -> None:
    """Let graduates of other schools ask to come to the college, as many as wait there in June."""
    branches = [
        org.id
        for org in town.tree
        if org.kind == "branch"
        and org.purpose == "ordinary"
        and is_markable(org.industry)
        and org.province not in world.FEDERATED
        and org.parent_id not in (COLLEGE, fullhouse.OTHER_COLLEGE)
        and org.id // 100 != CLASS // 100
    ][:12]
    people = list(
        synthetic.people(WAITING, rng=random.Random(7), division_codes=["420115", "330106"], start=7_400_000)
    )
    where = [branches[n % len(branches)] for n in range(WAITING)]
    fullhouse.enter_graduates(
        town, [(FIRST_STUDENT + n, world.admission(one, where[n])) for n, one in enumerate(people)]
    )
    told = sa.text("SELECT count(*) FROM org_directory WHERE org_id = ANY(:ids) AND purpose = 'graduate'")
    _until(town, told, {"ids": branches}, len(branches))
    for branch in branches:
        office = Office(browser, branch)
        made = office.send(
            "/transfers",
            *[
                {
                    "command_id": key(),
                    "initiator": "source",
                    "member_id": FIRST_STUDENT + n,
                    "source_branch_id": branch,
                    "target_org_id": COLLEGE,
                    "reason": "further_study",
                    "place_name": "武汉大学计算机学院",
                    "place_address": "武汉市洪山区珞珈山街道八一路299号",
                    "contact": "199 0000 0001",
                    "remark": REMARKS[n % len(REMARKS)],
                    "confirmed": True,
                }
                for n in range(WAITING)
                if where[n] == branch
            ],
        )
        assert made
    _spread_deadlines(town)


def _spread_deadlines(town: Any) -> None:
    """Wait until all are there; let three be late, some be due today and soon, and some be unusual."""
    waiting = sa.text("SELECT count(*) FROM open_nodes WHERE org_id = :org")
    _until(town, waiting, {"org": COLLEGE}, WAITING)
    with town.engine("transfers").begin() as tx:
        tx.execute(
            sa.text("""
                UPDATE open_nodes SET expires_at = now() + CASE
                    WHEN transfer_id % 134 = 0 THEN interval '-2 hours'
                    WHEN transfer_id % 17 = 0 THEN interval '5 hours'
                    WHEN transfer_id % 5 = 0 THEN interval '2 days'
                    ELSE interval '8 days' END
                WHERE org_id = :org"""),
            {"org": COLLEGE},
        )


def _until(town: Any, count: Any, values: dict[str, Any], wanted: int) -> None:
    """Wait until transfers counts as many as are wanted."""
    ends = time.monotonic() + 60
    while True:
        with town.engine("transfers").connect() as tx:
            if (found := tx.scalar(count, values)) >= wanted:
                return
        assert time.monotonic() < ends, (str(count), found, wanted)
        time.sleep(0.2)
