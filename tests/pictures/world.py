"""The demo world with realistic amounts, and who looks at it.

A college has 402 approvals that wait, a province 30,000 members, a county lets townships be late,
and there are graduates with a transfer under way, with one in each state, and with one that leads
to a province that is not reached.
"""

from __future__ import annotations

import random
import time
from itertools import islice
from typing import Any

import sqlalchemy as sa

from services.members.entering import handlers as entering
from shared.reference import is_markable
from system import synthetic, world
from tests.system import fullhouse, roles
from tests.system.fullhouse import CLASS, COLLEGE, COUNTY, PROVINCE, TOWNSHIP, Office, key
from tests.system.roles import SEVERAL, Role

WAITING = 402
LATE = 60
"""Graduates who ask to come to townships of the county."""
MEMBERS = 30_000
FIRST_STUDENT = 5_000_000
FIRST_MEMBER = 6_000_000
REASONS = ("further_study", "further_study", "further_study", "employed_with_org")
REMARKS = ("", "", "录取通知书已附", "导师: 计算机学院", "九月入学,户口已迁出,请尽快办理", "软件工程1班")


def fill(town: Any, browser: Any) -> list[Role]:
    """Fill the world; return who looks at what."""
    house = fullhouse.fill(town, browser)
    _fill_province(town)
    _fill_queue(town, browser)
    last = _go_through_all_states(town, browser)
    return roles.of(town, house, last)


def _fill_province(town: Any) -> None:
    """Enter the members of a province, as many to each of its classes and townships."""
    branches = [
        org.id
        for org in town.tree
        if org.kind == "branch"
        and org.province == str(PROVINCE)
        and org.purpose in ("ordinary", "handover")
        and org.parent_id not in (COLLEGE, fullhouse.OTHER_COLLEGE, TOWNSHIP, CLASS // 100)
    ]
    born = synthetic.people(
        MEMBERS, rng=random.Random(42), division_codes=["420115", "420106"], start=8_000_000
    )
    rows = iter(
        [(FIRST_MEMBER + n, world.admission(one, branches[n % len(branches)])) for n, one in enumerate(born)]
    )
    while some := list(islice(rows, world.PIECE)):
        with town.machinery("members").database.transaction() as tx:
            entering.enter_trusted(tx, some)


def _fill_queue(town: Any, browser: Any) -> None:
    """Let graduates of other schools ask to come to the college and to the townships of the county."""
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
    townships = [org.id for org in town.tree if org.parent_id == COUNTY and org.purpose == "township"]
    asked = [_to_college(n) for n in range(WAITING)]
    asked += [
        {
            "target_org_id": townships[n * n % len(townships)],
            "reason": "unemployed",
            "place_address": "湖北省武汉市江夏区纸坊大街12号",
        }
        for n in range(LATE)
    ]
    people = synthetic.people(
        len(asked), rng=random.Random(7), division_codes=["420115", "330106"], start=7_400_000
    )
    where = [branches[n % len(branches)] for n in range(len(asked))]
    fullhouse.enter_graduates(
        town, [(FIRST_STUDENT + n, world.admission(one, where[n])) for n, one in enumerate(people)]
    )
    told = sa.text("SELECT count(*) FROM org_directory WHERE org_id = ANY(:ids) AND purpose = 'graduate'")
    _until(town, told, {"ids": branches}, len(branches))
    for branch in branches:
        Office(browser, branch).send(
            "/transfers",
            *[
                {
                    "command_id": key(),
                    "initiator": "source",
                    "member_id": FIRST_STUDENT + n,
                    "source_branch_id": branch,
                    "contact": "199 0000 0001",
                    "confirmed": True,
                    **one,
                }
                for n, one in enumerate(asked)
                if where[n] == branch
            ],
        )
    _spread_deadlines(town, townships)


def _to_college(number: int) -> dict[str, Any]:
    """Return what the request of a student says who comes to the college."""
    return {
        "target_org_id": COLLEGE,
        "reason": "further_study",
        "place_name": "武汉大学计算机学院",
        "place_address": "武汉市洪山区珞珈山街道八一路299号",
        "remark": REMARKS[number % len(REMARKS)],
    }


def _spread_deadlines(town: Any, townships: list[int]) -> None:
    """Wait until all are there; let some be late, due today or soon; the townships are later than others."""
    waiting = sa.text("SELECT count(*) FROM open_nodes WHERE org_id = ANY(:orgs)")
    _until(town, waiting, {"orgs": [COLLEGE]}, WAITING)
    _until(town, waiting, {"orgs": townships}, LATE)
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
        tx.execute(
            sa.text("""
                UPDATE open_nodes SET
                    opened_at = now() - interval '1 day' * (org_id % 9 + transfer_id % 8),
                    expires_at = now() + interval '1 day' * (5 - org_id % 9 - transfer_id % 4)
                WHERE org_id = ANY(:orgs)"""),
            {"orgs": townships},
        )


def _go_through_all_states(town: Any, browser: Any) -> int:
    """Let one graduate have had a transfer in each state; return the one that is under way.

    What the clock would end after days is written down as if it had.
    """
    person, school, township = (
        Office(browser, person=SEVERAL),
        Office(browser, CLASS),
        Office(browser, TOWNSHIP),
    )
    branch = TOWNSHIP * 10 + 1

    def ask(state: str = "pending_out", **values: Any) -> int:
        wanted = fullhouse.request_of(SEVERAL, initiator="member", **values)
        asked = int(person.send("/transfers", wanted)[0]["transfer_id"])
        person.wait(asked, state)
        return asked

    def decide(office: Office, number: int, **values: Any) -> None:
        wanted = {"decision_id": key(), "transfer_id": asked, "node_no": number, "approve": True, **values}
        office.send("/transfers/decisions", wanted)

    for state in ("returned", "withdrawn"):
        asked = ask()
        person.send("/transfers/withdrawals", {"decision_id": key(), "transfer_id": asked})
        person.wait(asked, "withdrawn")
        with town.engine("transfers").begin() as tx:
            tx.execute(
                sa.text("UPDATE transfers SET state = :state WHERE transfer_id = :asked"),
                {"state": state, "asked": asked},
            )
    asked = ask()
    decide(school, 1, approve=False, reason_code="wrong_data", note=fullhouse.REASON)
    person.wait(asked, "rejected")
    asked = ask()
    decide(school, 1)
    person.wait(asked, "pending_in")
    decide(township, 2)
    person.wait(asked, "pending_assign")
    township.send("/transfers/assignments", {"decision_id": key(), "transfer_id": asked, "branch_id": branch})
    person.wait(asked, "completed")
    elsewhere = {"source_branch_id": branch, "target_org_id": TOWNSHIP - 1}
    ask("refused", **elsewhere)  # who is no graduate any more has other reasons
    return ask(reason="job_loss", **elsewhere)


def _until(town: Any, count: Any, values: dict[str, Any], wanted: int) -> None:
    """Wait until transfers counts as many as are wanted."""
    ends = time.monotonic() + 300
    while True:
        with town.engine("transfers").connect() as tx:
            if (found := tx.scalar(count, values)) >= wanted:
                return
        assert time.monotonic() < ends, (str(count), found, wanted)
        time.sleep(0.2)
