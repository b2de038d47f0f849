"""The demo world with something on every page, under the longest names that its seed has.

A class of graduates with transfers in every state, registrations, a migration, a register, an
import that fails.
"""

from __future__ import annotations

import io
import random
import re
import time
import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace

from services.gateway.files import roster
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.graduation import store as graduation_store
from shared import clock
from shared.messages.members import Admission
from system import synthetic, world

ROOT, PROVINCE, COUNTY, TOWNSHIP = 1, 42, 420115, 420115402
UNIVERSITY, COLLEGE, CLASS = 1_000_002, 100_000_201, 10_000_020_101
OTHER_COLLEGE = 100_001_301
FIRST = 4_000_001
"""The first of the graduates."""
PEOPLE = 40
REASON = "资料与本人不符:工作单位名称、详细地址与劳动合同不一致,请更正后重新发起"
ROLES = {
    "national": ROOT,
    "province": PROVINCE,
    "county": COUNTY,
    "township": TOWNSHIP,
    "university": UNIVERSITY,
    "college": COLLEGE,
    "class": CLASS,
    "branch": CLASS + 1,
}


def token(person: int) -> str:
    """Return a token of a person."""
    return accounts.keys.signer.sign("person", timedelta(hours=1), sub=str(person))[0]


class Office:
    """Somebody who acts for an organisation, or for themselves, through the API."""

    def __init__(self, browser: Any, org: int | None = None, person: int | None = None) -> None:
        self.browser = browser
        self.headers = {"Authorization": f"Bearer {token(person or world.administrator_of(org or 0))}"}
        if org:
            self.headers["X-Acting-Org"] = str(org)

    def send(self, path: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
        """Send items of a command; all have to be accepted."""
        answer = self.browser.post(f"/api/v1{path}", headers=self.headers, json={"items": list(items)})
        assert answer.status_code == 200 and not any(one.get("refusal") for one in answer.json["results"]), (
            answer.json
        )
        return list(answer.json["results"])

    def get(self, path: str) -> Any:
        """Return what a query answers."""
        answer = self.browser.get(f"/api/v1{path}", headers=self.headers)
        assert answer.status_code == 200, answer.json
        return answer.json

    def wait(self, transfer: int, state: str, seconds: float = 20) -> None:
        """Wait until a transfer is in a state."""
        ends = time.monotonic() + seconds
        while (found := self.browser.get(f"/api/v1/transfers/{transfer}", headers=self.headers).json).get(
            "transfer", {}
        ).get("state") != state:
            assert time.monotonic() < ends, (transfer, found, state)
            time.sleep(0.05)


def key() -> str:
    """Return a new id of a command."""
    return str(uuid.uuid4())


def request_of(member: int, **values: Any) -> dict[str, Any]:
    """Return a request by the class to the township, for a graduate without work."""
    return {
        "command_id": key(),
        "initiator": "source",
        "member_id": member,
        "source_branch_id": CLASS,
        "target_org_id": TOWNSHIP,
        "reason": "unemployed",
        "place_address": "湖北省武汉市江夏区藏龙岛高新技术产业园"
        "阳光大道与栗庙路交汇处青年公寓三期18栋2单元1904室",
        "confirmed": True,
        "contact": "199 0000 0001(晚七点后)",
        "remark": "毕业后暂住亲属家中,本人电话常年保持畅通,请于工作日下午联系,团员证随身携带",
        **values,
    }


def fill(town: Any, browser: Any) -> SimpleNamespace:
    """Fill the world; return the ids of what there is."""
    _enter_class(town)
    _write_down_phones(town)
    made = _start_and_decide(browser)
    _open_other_things(browser, made["rejected"])
    return SimpleNamespace(**made, newcomer=_register(browser))


def enter_graduates(town: Any, entries: list[tuple[int, Admission]]) -> None:
    """Enter people under their ids into branches that graduate today."""
    branches = list(dict.fromkeys(one.branch_id for _, one in entries))
    with town.machinery("members").database.transaction() as tx:
        entering.enter_trusted(tx, entries)
        marks = [
            {"branch_id": one, "graduates_on": clock.today(), "reason": "", "marked_by": 1}
            for one in branches
        ]
        graduation_store.mark_branches(tx, marks, clock.now())
        graduation_store.convert(tx, clock.today(), clock.now(), len(branches), branches)


def _enter_class(town: Any) -> None:
    """Enter a class that graduates today and can sign in with the administrators' password."""
    people = synthetic.people(PEOPLE, rng=random.Random(23), division_codes=["420115"], start=7_000_000)
    entries = [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
    entries[0] = (FIRST, replace(entries[0][1], name="阿卜杜热合曼·买买提依明"))
    enter_graduates(town, entries)
    give_password(town, FIRST, FIRST + PEOPLE)


def give_password(town: Any, first: int, last: int) -> None:
    """Let people sign in with the administrators' password."""
    with town.machinery("members").database.transaction() as tx:
        tx.execute(
            sa.text(
                """
                UPDATE accounts
                SET password_hash = (SELECT password_hash FROM accounts WHERE person_id = :admin)
                WHERE person_id BETWEEN :first AND :last"""
            ),
            {"admin": world.administrator_of(CLASS), "first": first, "last": last},
        )


def _write_down_phones(town: Any) -> None:
    with town.engine("orgs").begin() as tx:
        tx.execute(
            sa.text(
                "UPDATE orgs SET phone = '027-8755' || lpad((org_id % 10000)::text, 4, '0')"
                " WHERE org_id = ANY(:ids)"
            ),
            {"ids": [*ROLES.values()]},
        )


def _start_and_decide(browser: Any) -> dict[str, Any]:
    """Start the class's transfers and bring some into each state; return their ids."""
    school, township = Office(browser, CLASS), Office(browser, TOWNSHIP)
    own = [Office(browser, person=FIRST + n) for n in range(2)]
    waiting_out = own[0].send("/transfers", request_of(FIRST, initiator="member"))[0]["transfer_id"]
    rejected = own[1].send("/transfers", request_of(FIRST + 1, initiator="member"))[0]["transfer_id"]
    moved = [
        one["transfer_id"]
        for one in school.send("/transfers", *[request_of(FIRST + 2 + n) for n in range(PEOPLE - 14)])
    ]
    for person, one in zip(own, (waiting_out, rejected), strict=True):
        person.wait(one, "pending_out")  # while it is checked, only its starter sees it
    for one in moved:
        school.wait(one, "pending_in")
    school.send(
        "/transfers/decisions", {"decision_id": key(), "transfer_id": rejected, "node_no": 1, "approve": True}
    )
    township.wait(rejected, "pending_in")
    township.send(
        "/transfers/decisions",
        {
            "decision_id": key(),
            "transfer_id": rejected,
            "node_no": 2,
            "approve": False,
            "reason_code": "wrong_data",
            "note": REASON,
        },
        {"decision_id": key(), "transfer_id": moved[0], "node_no": 1, "approve": True},
        {
            "decision_id": key(),
            "transfer_id": moved[1],
            "node_no": 1,
            "approve": False,
            "reason_code": "household_elsewhere",
            "note": REASON,
        },
    )
    return {
        "waiting_out": waiting_out,
        "rejected": rejected,
        "assigning": moved[0],
        "other_rejected": moved[1],
        "pending_in": moved[2:],
    }


def _open_other_things(browser: Any, rejected: int) -> None:
    """Leave an escalation, a migration and an entry of the register open."""
    college = Office(browser, COLLEGE)
    Office(browser, person=FIRST + 1).send(
        "/escalations",
        {
            "decision_id": key(),
            "transfer_id": rejected,
            "note": "劳动合同与社保证明均已提供,工作地址为公司注册地,请核实后接收",
        },
    )
    college.send(
        "/migrations",
        {"command_id": key(), "org_id": COLLEGE, "to_org_id": 1_000_001, "reason": "学科调整,学院整体划转"},
    )
    college.send(
        "/retentions",
        {
            "command_id": key(),
            "member_id": FIRST + PEOPLE - 1,
            "kind": "abroad",
            "since": str(clock.today()),
            "until": str(clock.today() + timedelta(days=300)),
            "place": "德意志联邦共和国巴登-符腾堡州",
            "contact_name": "阿依古丽·买买提",
            "contact_phone": "19900000002",
            "reason": "联合培养",
        },
    )


def _register(browser: Any) -> Any:
    """Leave a registration of a newcomer open; return the newcomer."""
    newcomer = next(synthetic.people(1, rng=random.Random(2), division_codes=["420115"], start=7_100_000))
    asked = browser.post(
        "/api/v1/registrations",
        json={
            "org_id": CLASS + 1,
            "name": "迪丽努尔·艾合买提",
            "id_number": newcomer.id_number,
            "password": "Registered-2026",
            "ethnic_group": "维吾尔族",
            "phone": newcomer.phone,
            "joined_on": str(newcomer.joined_on),
            "development_number": newcomer.development_number,
        },
    )
    assert asked.status_code == 200, asked.json
    return newcomer


def enter(browser: Any, town: Any, org: int | None = None, person: int | None = None) -> str:
    """Sign in through the page; return the token of its forms."""
    number = world.id_number_of(town, person or world.administrator_of(org or 0))
    browser.post(
        "/sign-in",
        data={"csrf": csrf_of(browser.get("/sign-in").text), "id_number": number, "password": world.PASSWORD},
    )
    return csrf_of(browser.get("/").text)


def csrf_of(page: str) -> str:
    """Return the token of a page's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page[:500]
    return found[1]


def failing_roster(town: Any, rows: int = 300) -> bytes:
    """Return a roster of a whole class, as a university would upload it."""
    name = next(org.full_name for org in town.tree if org.id == CLASS + 1)
    people = synthetic.people(rows, rng=random.Random(3), division_codes=["420115"], start=7_200_000)
    sheet = io.BytesIO()
    roster.write_roster(
        sheet,
        [
            roster.RosterRow(
                0,
                name,
                one.name,
                one.id_number,
                one.ethnic_group,
                one.phone,
                one.joined_on,
                one.development_number,
                "",
            )
            for one in people
        ],
    )
    return sheet.getvalue()
