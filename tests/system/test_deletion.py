"""Deleting an organisation on the whole system.

What stands in the way is said at once, with kinds and numbers.
"""

import re
import time
import uuid

import pytest

from shared.errors import Refusal
from system import world
from tests.system.api import CLASS, COLLEGE, TARGET, request_of, sign_in


@pytest.mark.rule("DEL-01", "DEL-02", "DEL-03", "DEL-04", "DEL-14", "ORG-42")
def test_what_stands_in_the_way_is_named(browser, town):
    """DEL-02, DEL-03, DEL-14, ORG-42: what stands in the way is named with its numbers.

    The API and the page name members, applications, open transfers and subordinates.

    DEL-01: somebody without the right is told so and learns no number. DEL-04: set aside, a branch
    keeps its members; as a target of an open transfer it is not.
    """
    headers = sign_in(browser, town, org=COLLEGE, person=world.administrator_of(COLLEGE))

    def delete(*orgs, by=headers, **values):
        return browser.post(
            "/api/v1/orgs/deletions",
            headers=by,
            json={"items": [{"command_id": str(uuid.uuid4()), "org_id": org, **values} for org in orgs]},
        ).json["results"]

    made = browser.post(
        "/api/v1/orgs",
        headers=headers,
        json={
            "items": [
                {
                    "command_id": str(uuid.uuid4()),
                    "parent_id": COLLEGE,
                    "full_name": f"共青团某大学某学院新{n}班支部委员会",
                    "industry": "普通高等院校",
                }
                for n in (1, 2)
            ]
        },
    ).json["results"]
    empty, goal = [one["org_id"] for one in made]
    members = browser.get(f"/api/v1/branches/{CLASS}/members?limit=500", headers=headers).json["items"]
    full, gone = delete(CLASS, empty)
    assert (full["refusal"]["code"], gone["refusal"]) == ("org_not_empty", None)
    assert (
        f"{len(members)}名团员" in full["refusal"]["message"]["zh"]
        and f"{len(members)} members" in full["refusal"]["message"]["en"]
    )
    assert (
        browser.get(f"/api/v1/orgs/{CLASS}", headers=headers).status_code == 200
        and browser.get(f"/api/v1/orgs/{empty}", headers=headers).status_code == 404
    )

    stranger = sign_in(browser, town, org=TARGET, person=world.administrator_of(TARGET))
    (refused,) = delete(CLASS, by=stranger)
    assert refused["refusal"]["code"] == "not_your_org"
    school = sign_in(browser, town, org=COLLEGE // 100, person=world.administrator_of(COLLEGE // 100))
    (children,) = delete(COLLEGE, by=school)
    assert re.search(r"还有\d+个下级组织", children["refusal"]["message"]["zh"])

    (started,) = browser.post(
        "/api/v1/transfers",
        headers=headers,
        json={
            "items": [
                request_of(
                    members[0]["member_id"],
                    initiator="source",
                    target_org_id=goal,
                    reason="further_study",
                    confirmed=True,
                )
            ]
        },
    ).json["results"]
    assert started["refusal"] is None, started
    ends = time.monotonic() + 10
    while (aside := delete(goal, to_awaiting=True)[0]["refusal"]) is None or aside["code"] != "org_not_empty":
        assert time.monotonic() < ends, aside
        time.sleep(0.1)
    assert "1笔未办结的转接" in aside["message"]["zh"] and "名团员" not in aside["message"]["zh"]
    (both,) = delete(CLASS)
    assert (
        "1笔未办结的转接" in both["refusal"]["message"]["zh"] and "名团员" in both["refusal"]["message"]["zh"]
    )


@pytest.mark.parametrize(
    ("found", "to_awaiting", "said"),
    [
        ({}, False, None),
        ({"members": 0, "registrations": 0, "transfers": 0, "leaving": 0}, False, None),
        ({"members": 2}, False, "2名团员"),
        ({"members": 2}, True, None),
        (
            {"members": 1, "registrations": 3, "transfers": 4, "leaving": 4},
            False,
            "1名团员、3份注册申请、4笔未办结的转接",
        ),
        ({"transfers": 4, "leaving": 4}, True, None),
        ({"transfers": 5, "leaving": 4}, True, "1笔未办结的转接"),
    ],
)
def test_what_is_named(found, to_awaiting, said):
    """Each kind that is there is named.

    A branch that is set aside may keep members and transfers that lead out of it.
    """
    from services.gateway.api import deletion

    refusal = deletion.obstacles(found, to_awaiting)
    assert (refusal is None) if said is None else isinstance(refusal, Refusal) and said in refusal.say()
