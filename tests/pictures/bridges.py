"""Members on their way to and from other systems, over real bridges, and who looks at that."""

from __future__ import annotations

import random
from typing import Any

import sqlalchemy as sa

from system import synthetic, world
from tests.system import fullhouse
from tests.system.bridged import Peer, bad_week, until
from tests.system.fullhouse import CLASS, COLLEGE, PROVINCE, ROOT, Office, request_of
from tests.system.roles import Role

FIRST = 4_900_001
"""The graduates who go: one has arrived, one is handed over, one is decided on, one is not answered yet."""
STUCK, SET_ASIDE, DIFFERING = 30, 6, 8


def fill(town: Any, browser: Any, peers: dict[str, Peer]) -> list[Role]:
    """Let members stand at each place of the way to Beijing, one come from there, Guangdong be away."""
    people = synthetic.people(4, rng=random.Random(49), division_codes=["420115"], start=7_950_000)
    fullhouse.enter_graduates(
        town, [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
    )
    fullhouse.give_password(town, FIRST, FIRST + 3)
    beijing = peers["BJ"]
    peers["GD"].post("pause")
    gone, handed, decided, _silent = _leave(town, browser)
    school = Office(browser, CLASS)
    for one in (gone, handed):
        beijing.decide(f"national:{one}", "accept")
        school.wait(one, "pending_handover", 60)
    beijing.decide(f"national:{gone}", "accept")
    school.wait(gone, "completed", 60)
    until(lambda: Office(browser, CLASS).get(f"/transfers/{decided}")["remote"], 60)
    coming = _come(town, browser, beijing)
    bad_week(town, f"national:{gone}", STUCK, SET_ASIDE, DIFFERING)
    return [
        _person(town, "gone", FIRST, ["/"]),
        _person(town, "handed_over", FIRST + 1, ["/"]),
        _person(town, "leaving", FIRST + 2, ["/", f"/transfers/{decided}"]),
        _person(town, "unanswered", FIRST + 3, ["/"]),
        _office(town, "approver", COLLEGE, [f"/transfers/{coming}"]),
        _office(town, "old_branch", CLASS, [f"/transfers/{gone}"]),
        _office(town, "looking", PROVINCE, ["/bridges/BJ/transfers"]),
        _office(
            town,
            "operator",
            ROOT,
            [
                "/bridges",
                *(f"/bridges/BJ{one}" for one in ("", "/transfers", "/quarantine", "/differences")),
                f"/bridges/BJ/messages?subject=national:{gone}",
                "/bridges/GD",
            ],
        ),
    ]


def _person(town: Any, name: str, person: int, pages: list[str]) -> Role:
    return Role(name, world.id_number_of(town, person), pages)


def _office(town: Any, name: str, org: int, pages: list[str]) -> Role:
    return _person(town, name, world.administrator_of(org), pages)


def _leave(town: Any, browser: Any) -> list[int]:
    """Start transfers of all, the last one to Guangdong; return them."""
    statement = sa.text("""
        SELECT DISTINCT ON (system) system, org_id FROM orgs
        WHERE kind = 'branch' AND peer_code IS NOT NULL AND NOT deleted
        ORDER BY system, org_id""")
    with town.engine("orgs").connect() as tx:
        there = {row.system: row.org_id for row in tx.execute(statement)}
    asked = [
        request_of(
            FIRST + n,
            target_org_id=there["GD" if n == 3 else "BJ"],
            reason="further_study",
            place_name="某大学",
            place_address="北京市海淀区双清路30号" if n < 3 else "广州市天河区五山路381号",
            remark="九月入学",
        )
        for n in range(4)
    ]
    return [int(one["transfer_id"]) for one in Office(browser, CLASS).send("/transfers", *asked)]


def _come(town: Any, browser: Any, beijing: Peer) -> int:
    """Have Beijing offer one of its members to the college; return the transfer here."""
    member = next(one for one in beijing.members() if one["state"] == "active")
    offered = beijing.post("offer", member=member["member"], to=str(COLLEGE), reason="随军家属,九月到校报到")
    statement = sa.text("SELECT transfer_id FROM arrivals WHERE subject = :one")

    def transfer() -> int | None:
        with town.engine("federation_bj").connect() as tx:
            found: int | None = tx.scalar(statement, {"one": offered["subject"]})
            return found

    until(transfer, 60)
    made = transfer() or 0
    Office(browser, COLLEGE).wait(made, "pending_in", 60)
    return made
