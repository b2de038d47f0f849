"""Where people may go, over HTTP on the seeded tree.

The place of work, the approved request, the paper letter.
"""

import random
import re
import time
import uuid
from datetime import date

import pytest

from system import synthetic, world
from tests.system.api import CLASS, COLLEGE, request_of, sign_in, wait_state

WUHAN = "420106"


@pytest.fixture
def handover(town):
    """A hand-over branch of the seed, in Wuhan."""
    return next(
        org.id for org in town.tree if org.purpose == "handover" and org.division_code.startswith(WUHAN)
    )


def started(browser, headers, *items):
    return browser.post("/api/v1/transfers", json={"items": list(items)}, headers=headers).json["results"]


def code_of(result):
    return (result.get("refusal") or {}).get("code")


@pytest.mark.rule("TYPE-10", "TYPE-03")
def test_the_employed_go_where_they_work(browser, town, handover):
    """TYPE-10, TYPE-03: to a seeded hand-over branch the place of work is asked for and compared.

    Then it is enough; somebody with an employer is not unemployed.
    """
    source = sign_in(browser, town, COLLEGE)
    item = {
        "target_org_id": handover,
        "reason": "employed_without_org",
        "place_name": "某公司",
        "place_address": "某街道",
    }
    results = started(
        browser,
        source,
        request_of(1005, **item),
        request_of(1005, **item, place_division="330102"),
        request_of(1005, **item, place_division=WUHAN),
        request_of(1006, **{**item, "reason": "unemployed"}),
    )
    assert [code_of(one) for one in results] == [
        "division_missing",
        "destination_forbidden",
        None,
        "unemployed_with_employer",
    ]
    assert (
        wait_state(browser, source, results[2]["transfer_id"], "pending_in")["transfer"]["place_division"]
        == WUHAN
    )


@pytest.mark.rule("GRAD-33", "TYPE-14", "GRAD-29")
def test_abroad_after_the_request(browser, town):
    """GRAD-33, TYPE-14: without the approved request nobody comes into the study-abroad branch.

    With it the transfer begins.
    """
    school = COLLEGE // 100
    college, committee = sign_in(browser, town, COLLEGE), sign_in(browser, town, school)
    item = {
        "target_org_id": school * 100 + 90,
        "reason": "abroad_study",
        "place_name": "",
        "place_address": "",
    }
    (early,) = started(browser, college, request_of(1007, **item))
    assert (
        wait_state(browser, college, early["transfer_id"], "refused")["transfer"]["end_code"]
        == "abroad_request_missing"
    )

    asked = {
        "command_id": str(uuid.uuid4()),
        "member_id": 1007,
        "kind": "abroad",
        "since": str(date.today()),
        "until": "2049-08-31",
        "place": "某国",
        "contact_name": "王家人",
        "contact_phone": "19900000001",
    }
    saved = browser.post("/api/v1/retentions", json={"items": [asked]}, headers=college).json["results"][0]
    decision = {"retention_id": saved["retention_id"], "approve": True}
    decided = browser.post(
        "/api/v1/retentions/decisions", json={"items": [decision]}, headers=committee
    ).json["results"][0]
    assert decided["state"] == "approved"
    (later,) = started(browser, college, request_of(1007, **item))
    wait_state(browser, college, later["transfer_id"], "pending_in")


@pytest.mark.rule("SPU-09", "DOC-03", "SPU-05")
def test_a_special_unit_on_the_page(browser, town):
    """SPU-09, DOC-03: the province's page asks for the letter's number.

    It refuses without, and approves with it.
    """
    college = sign_in(browser, town, COLLEGE)
    (one,) = started(
        browser, college, request_of(1008, target_org_id=None, reason="special_unit", remark="参军入伍")
    )
    wait_state(browser, college, one["transfer_id"], "pending_province")
    number = world.id_number_of(town, world.administrator_of(42))
    csrf = re.search(r'name="csrf" value="([^"]+)"', browser.get("/sign-in").text)[1]
    browser.post("/sign-in", data={"csrf": csrf, "id_number": number, "password": world.PASSWORD})
    path = f"/transfers/{one['transfer_id']}"
    page = browser.get(path)
    assert "介绍信编号" in page.text
    form = {"csrf": re.search(r'name="csrf" value="([^"]+)"', page.text)[1], "node_no": "1", "do": "approve"}
    refused = browser.post(f"{path}/decide", data={**form, "note": ""}, follow_redirects=True)
    assert "另须纸质介绍信" in refused.text
    browser.post(f"{path}/decide", data={**form, "note": "介绍信第12号"})
    wait_state(browser, college, one["transfer_id"], "completed")


@pytest.mark.rule("TYPE-10")
def test_the_wizard_asks_for_the_place_of_work(browser, town, handover):
    """TYPE-10: a graduate who leaves the place empty is told which field is missing.

    The graduate keeps what was filled in, and goes on with it.
    """
    number = world.id_number_of(town, 1028)

    def csrf(page):
        return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]

    browser.post(
        "/sign-in", data={"csrf": csrf(browser.get("/sign-in")), "id_number": number, "password": number[-8:]}
    )
    browser.post(
        "/password",
        data={"csrf": csrf(browser.get("/password")), "old": number[-8:], "new": "a new password"},
    )
    asked = (
        f"/start?plan=work&reason=employed_without_org&target={handover}"
        "&place_name=某公司&place_address=某街道"
    )
    summary = browser.get(f"{asked}&step=check")
    command = re.search(r'name="command_id" value="([^"]+)"', summary.text)[1]
    form = {
        "csrf": csrf(summary),
        "command_id": command,
        "confirm": "1",
        "plan": "work",
        "reason": "employed_without_org",
        "target": str(handover),
        "place_name": "某公司",
        "place_address": "某街道",
    }
    missing = browser.post("/start", data=form)
    field = re.search(r'<select id="place_division_1"[^>]*>', missing.text)[0]
    assert missing.status_code == 422 and 'aria-invalid="true"' in field and 'value="某公司"' in missing.text
    assert browser.post("/start", data={**form, "place_division": WUHAN}).headers["Location"] == "/"
    ends = time.monotonic() + 10
    while "转出组织审批" not in browser.get("/").text:
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.rule("TYPE-21")
def test_a_student_drops_out(browser, town):
    """TYPE-21: a student who leaves for an employer with an ordinary reason is not let go.

    As a drop-out, with a graduate's reason, the transfer begins.
    """
    employer = next(org.id for org in town.tree if org.industry == "国有企业" and org.kind == "committee")
    other_class = CLASS + 1
    source = sign_in(browser, town, COLLEGE)
    (person,) = synthetic.people(1, rng=random.Random(3), division_codes=[WUHAN], start=700)
    admitted = browser.post(
        "/api/v1/members",
        headers=source,
        json={
            "items": [
                {
                    "command_id": str(uuid.uuid4()),
                    "branch_id": other_class,
                    "name": person.name,
                    "id_number": person.id_number,
                    "ethnic_group": "汉族",
                    "phone": "19900000700",
                    "joined_on": str(person.joined_on),
                    "development_number": person.development_number,
                }
            ]
        },
    ).json["results"][0]
    item = {
        "source_branch_id": other_class,
        "target_org_id": employer,
        "place_name": "某公司",
        "place_address": "某地",
    }
    (ordinary,) = started(browser, source, request_of(admitted["member_id"], **item, reason="ordinary"))
    assert (
        wait_state(browser, source, ordinary["transfer_id"], "refused")["transfer"]["end_code"]
        == "drop_out_needed"
    )
    (dropping,) = started(
        browser, source, request_of(admitted["member_id"], **item, reason="employed_with_org", drop_out=True)
    )
    assert (
        wait_state(browser, source, dropping["transfer_id"], "pending_in")["transfer"]["reason_kind"]
        == "drop_out"
    )
