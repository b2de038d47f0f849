"""Members who go to Beijing's system and come from it: what its bridge tells is told by hand."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import sqlalchemy as sa

from services.members.crossings import seals
from services.members.sealing import seal
from shared import clock
from shared.bus.publisher import Message, Publisher
from shared.messages import federation as told
from shared.messages.federation import DirectoryRead, PeerOrg
from shared.messages.sealed import SealedPerson
from system import synthetic, world
from tests.system import fullhouse
from tests.system.fullhouse import CLASS, COLLEGE, TOWNSHIP, Office, key, request_of

ENVIRON = {"TUANQIAO_PEERS": "BJ,GD,FJ"}
"""What an installation says whose bridges are connected."""
FIRST = 4_500_001
"""The first of the graduates who go."""
PEOPLE = 10
LONGEST = "共青团北京航空航天与信息材料科学技术大学沙河校区未来空天技术学院（国家卓越工程师学院）委员会"
TYPED = "共青团北京某某人工智能与机器人科技发展（集团）股份有限公司亦庄经济技术开发区分公司总支部委员会"
BESIDE = "住沙河校区学生公寓3栋"
DESKS = (
    "共青团北京市委员会大学与中学工作部组织关系转接审核岗",
    "共青团北京航空航天与信息材料科学技术大学委员会",
)


def tell(town: Any, *items: Any) -> None:
    """Let the bridge tell of some items, each in a message of its own."""
    publisher = Publisher(town.settings)
    publisher.publish(
        [
            Message("federation", type(one).topic(), uuid.uuid4().hex, msgspec.json.encode([one]).decode())
            for one in items
        ]
    )
    publisher.close()


def fill(town: Any, browser: Any) -> SimpleNamespace:
    """Let graduates of the class stand at each place of the way to Beijing and back; return their ids.

    The installation has to be told `ENVIRON`.
    """
    _exchange(town)
    college, branch = _mirror(town)
    _enter(town)
    waiting, silent, typed, handing, refused, *gone = _leave(town, browser, college)
    tell(
        town,
        *(told.RemoteReceipted(transfer_id=one, peer="BJ", at=clock.now()) for one in (waiting, handing)),
        *_progress(waiting),
        *(told.RemoteAccepted(transfer_id=one, peer="BJ") for one in (handing, *gone)),
        told.RemoteRefused(
            transfer_id=refused, peer="BJ", code="wrong_data", note="录取通知书编号与本校记录不一致"
        ),
    )
    school = Office(browser, CLASS)
    for one in (handing, *gone):
        school.wait(one, "pending_handover")
    tell(town, *(told.RemoteIntegrated(transfer_id=one, peer="BJ", branch_id=branch) for one in gone))
    for one in gone:
        school.wait(one, "completed")
    _wait_long(town, silent, handing)
    arrivals = _come(town, browser, branch, range(6, PEOPLE))
    return SimpleNamespace(
        college=college,
        branch=branch,
        waiting=waiting,
        silent=silent,
        typed=typed,
        handing=handing,
        refused=refused,
        left=gone[0],
        who_left=FIRST + 5,
        who_stays=FIRST + PEOPLE,
        **arrivals,
    )


def _exchange(town: Any) -> None:
    """Give members a key to seal for Beijing with, and one of its own."""
    keys = town.settings.keys
    there = keys.parent / f"{keys.name}-there"
    for folder in (keys, there):
        seals.make_keys(folder, clock.now())
    for one in seals.files(there).published():
        seals.files(keys).add("BJ", one)


def _mirror(town: Any) -> tuple[int, int]:
    """Let the bridge read a college of the longest name with a branch; return both."""
    orgs = [
        PeerOrg(code="BJ-GW-0001", kind="work_committee", full_name="共青团北京市教育工作委员会"),
        PeerOrg(
            code="BJ-DX-0001",
            parent_code="BJ-GW-0001",
            kind="committee",
            full_name=LONGEST,
            short_name="未来空天技术学院",
            phone="010-82310001",
        ),
        PeerOrg(
            code="BJ-DX-0001-01",
            parent_code="BJ-DX-0001",
            kind="branch",
            full_name=LONGEST.replace("委员会", "2027级硕士研究生第一支部委员会"),
            short_name="2027级硕士研究生第一支部",
            phone="010-82310002",
        ),
    ]
    tell(town, DirectoryRead(peer="BJ", reading=1, orgs=orgs, last=True))
    found = sa.text(
        "SELECT min(org_id), max(org_id) FROM org_directory WHERE system = 'BJ' AND name LIKE :name"
    )
    ends = time.monotonic() + 20
    while True:
        rows = []
        for service in ("members", "transfers"):
            with town.engine(service).connect() as tx:
                rows.append(tuple(tx.execute(found, {"name": f"{LONGEST[:20]}%"}).one()))
        if all(one[0] != one[1] for one in rows):
            with town.engine("orgs").connect() as tx:
                kinds = tx.execute(
                    sa.text("SELECT org_id FROM orgs WHERE org_id = ANY(:ids) ORDER BY kind DESC"),
                    {"ids": list(rows[0])},
                )
                college, branch = (row.org_id for row in kinds)
            return college, branch
        assert time.monotonic() < ends, rows
        time.sleep(0.05)


def _enter(town: Any) -> None:
    """Enter graduates of the class who can sign in with the administrators' password."""
    people = synthetic.people(PEOPLE + 1, rng=random.Random(15), division_codes=["420115"], start=7_600_000)
    fullhouse.enter_graduates(
        town, [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
    )
    fullhouse.give_password(town, FIRST, FIRST + PEOPLE)


def leaves(member: int, target: int | None, **values: Any) -> dict[str, Any]:
    """Return the request of the class for somebody who goes on to study over there."""
    return request_of(
        member,
        target_org_id=target,
        reason="further_study",
        place_name="北京航空航天与信息材料科学技术大学",
        place_address="北京市昌平区沙河高教园南三街9号",
        remark="九月入学",
        **values,
    )


def _leave(town: Any, browser: Any, college: int) -> list[int]:
    school = Office(browser, CLASS)
    asked = [
        leaves(FIRST + n, college) if n != 2 else leaves(FIRST + n, None, **_TYPED) for n in range(PEOPLE)
    ]
    found = [int(one["transfer_id"]) for one in school.send("/transfers", *asked)]
    for one in found:
        school.wait(one, "pending_remote")
    return found


_TYPED = {"target_system": "BJ", "target_name": TYPED}


def _progress(transfer: int) -> list[told.RemoteProgress]:
    now = clock.now()
    return [
        told.RemoteProgress(
            transfer_id=transfer,
            peer="BJ",
            seq=seq,
            organisation=name,
            phone=phone,
            since=now - timedelta(hours=since),
            until=now + timedelta(days=days) if days else None,
        )
        for seq, (name, phone, since, days) in enumerate(
            ((DESKS[0], "010-65260001", 5, 0), (DESKS[1], "010-82317000", 2, 7)), start=1
        )
    ]


def _wait_long(town: Any, *transfers: int) -> None:
    """Let some have been sent four days ago."""
    with town.engine("transfers").begin() as tx:
        tx.execute(
            sa.text(
                "UPDATE open_nodes SET opened_at = opened_at - interval '4 days',"
                " expires_at = expires_at - interval '4 days' WHERE transfer_id = ANY(:ids)"
            ),
            {"ids": list(transfers)},
        )


def _come(town: Any, browser: Any, branch: int, numbers: Sequence[int]) -> dict[str, int]:
    """Let those who went come back to the college, and stand at each place of that way."""
    asked = {
        FIRST + n: told.PeerRequested(
            command_id=uuid.uuid4(),
            peer="BJ",
            member_id=FIRST + n,
            source_branch_id=branch,
            target_org_id=COLLEGE if n != numbers[-1] else TOWNSHIP,
            reason="further_study" if n != numbers[-1] else "unemployed",
            place_name="武汉大学",
            place_address="武汉市洪山区八一路299号",
            contact="199 0000 0001",
        )
        for n in numbers
    }
    _offer(town, branch, [FIRST + n for n in numbers])
    tell(town, *asked.values())
    office = Office(browser, COLLEGE)
    made = {}
    for member, one in asked.items():
        made[member] = _started(town, member)
        where = office if one.target_org_id == COLLEGE else Office(browser, TOWNSHIP)
        where.wait(made[member], "pending_in")
    coming, assigning, awaited, elsewhere = made.values()
    for one in (assigning, awaited):
        office.send(
            "/transfers/decisions", {"decision_id": key(), "transfer_id": one, "node_no": 1, "approve": True}
        )
        office.wait(one, "pending_assign")
    office.send(
        "/transfers/assignments", {"decision_id": key(), "transfer_id": awaited, "branch_id": CLASS + 1}
    )
    office.wait(awaited, "pending_arrival")
    return {"coming": coming, "assigning": assigning, "awaited": awaited, "to_township": elsewhere}


def _offer(town: Any, branch: int, members: Sequence[int]) -> None:
    """Let Beijing offer people who have gone there, and wait until members knows them."""
    keys = town.settings.keys
    there = seals.Registry(keys.parent / f"{keys.name}-there")
    for one in seals.files(keys).published():
        there.files.add("BJ", one)  # whom it seals for is here the other one
    with town.engine("members").connect() as tx:
        known = tx.execute(
            sa.text("SELECT person_id, name, id_sealed FROM people WHERE person_id = ANY(:ids)"),
            {"ids": list(members)},
        ).all()
    offers = []
    for row in known:
        subject = f"BJ:{row.person_id}"
        number = seal.Seal(keys).open(row.id_sealed)
        said = SealedPerson(subject=subject, number=number, name=row.name, remark=BESIDE)
        sealed = there.seal("BJ", said, clock.now())
        offers.append(told.ArrivalOffered(subject=subject, peer="BJ", source_branch_id=branch, person=sealed))
    tell(town, *offers)
    waiting = sa.text("SELECT count(*) FROM arrivals WHERE ended_at IS NULL AND person_id = ANY(:ids)")
    ends = time.monotonic() + 20
    while True:
        with town.engine("members").connect() as tx:
            if tx.scalar(waiting, {"ids": list(members)}) == len(members):
                return
        assert time.monotonic() < ends, members
        time.sleep(0.05)


def _started(town: Any, member: int) -> int:
    ends = time.monotonic() + 20
    statement = sa.text("SELECT transfer_id FROM transfers WHERE member_id = :one AND initiator = 'peer'")
    while True:
        with town.engine("transfers").connect() as tx:
            found = tx.scalar(statement, {"one": member})
        if found is not None:
            return int(found)
        assert time.monotonic() < ends, member
        time.sleep(0.05)
