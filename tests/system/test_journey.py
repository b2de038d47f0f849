"""Whole journeys through HTTP on real services, and every kind of bad input.

A graduate, a class secretary, the administrators.
"""

import io
import random
import re
import time
import uuid

import pytest

from services.gateway.api.routes import ROUTES
from services.gateway.files import roster
from system import synthetic, world
from tests.system.api import CLASS, COLLEGE, NEW_CLASS, TARGET, request_of, sign_in, wait_state


def token_of(page):
    """Return the token that the forms of a page carry."""
    return re.search(rb'name="csrf" value="([^"]+)"', page.data)[1].decode()


def sign_in_on_page(browser, town, org):
    """Sign in as the administrator of an organisation, with the form; return the answer."""
    return browser.post(
        "/sign-in",
        data={
            "csrf": token_of(browser.get("/sign-in")),
            "id_number": world.id_number_of(town, world.administrator_of(org)),
            "password": world.PASSWORD,
        },
    )


def wait_on_list(browser, headers, ids, seconds=10):
    """Wait until a work list shows all of these transfers."""
    ends = time.monotonic() + seconds
    while True:
        work = browser.get("/api/v1/work?state=pending_in&limit=100", headers=headers).json["items"]
        if ids <= {one["transfer_id"] for one in work}:
            return
        assert time.monotonic() < ends
        time.sleep(0.05)


def states_after(browser, headers, what, ids, **values):
    """Decide or assign all of these transfers in one list; return the states that come of it."""
    items = [{"decision_id": str(uuid.uuid4()), "transfer_id": one, **values} for one in sorted(ids)]
    answer = browser.post(f"/api/v1/transfers/{what}", headers=headers, json={"items": items})
    return {one["state"] for one in answer.json["results"]}


@pytest.mark.rule("TRF-17", "TRF-33", "ROLE-14", "MSG-01", "BEY-05")
def test_a_class_is_handed_over(browser, town):
    """TRF-17: a college hands over members in one list; everyone arrives.

    The target approves and assigns in one list each.
    """
    source, target = sign_in(browser, town, COLLEGE), sign_in(browser, town, TARGET)
    listed = browser.get(f"/api/v1/branches/{CLASS}/members?limit=500", headers=source).json["items"]
    members = [one["member_id"] for one in listed[:20]]
    assert all("****" in one["id_masked"] for one in listed)

    body = {"items": [request_of(member) for member in members]}
    started = browser.post("/api/v1/transfers", json=body, headers=source).json["results"]
    again = browser.post("/api/v1/transfers", json=body, headers=source).json["results"]
    assert [one["transfer_id"] for one in started] == [one["transfer_id"] for one in again]
    assert all(one["repeated"] for one in again)
    ids = {one["transfer_id"] for one in started}
    wait_on_list(browser, target, ids)
    assert states_after(browser, target, "decisions", ids, node_no=1, approve=True) == {"pending_assign"}
    assert states_after(browser, target, "assignments", ids, branch_id=NEW_CLASS) == {"moving"}
    progress = wait_state(browser, target, min(ids), "completed")

    assert [step["event"] for step in progress["steps"]] == [
        "requested",
        "reserved",
        "approve",
        "assign",
        "moved",
    ]
    for one in ids:
        wait_state(browser, target, one, "completed")
    there = browser.get(f"/api/v1/branches/{NEW_CLASS}/members", headers=target).json["items"]
    assert set(members) <= {one["member_id"] for one in there}
    counts = browser.get("/api/v1/counts", headers=source).json["items"]
    assert {"reason": "further_study", "state": "completed", "transfers": 20} in counts


@pytest.mark.rule("ACC-04", "ACC-05", "ACC-10", "TRF-09", "TRF-20", "TRF-28", "ROLE-01", "BEY-02", "TRF-02")
def test_a_graduate_on_the_pages(browser, town):
    """TRF-09, ACC-05: a graduate signs in, starts a transfer, sees its timeline, withdraws it.

    The first sign-in is with the initial password, which is then changed.
    """
    number = world.id_number_of(town, 1030)

    change_the_initial_password(browser, number)
    home = browser.get("/")
    assert "发起转接" in home.text and number not in home.text
    transfer, page = start_on_the_pages(browser)
    assert (
        browser.post(
            f"/transfers/{transfer}/withdraw", data={"csrf": token_of(page), "back": "/"}
        ).status_code
        == 302
    )
    assert "已撤销" in browser.get("/").text
    assert browser.get("/?lang=en").text.count("Withdrawn") >= 1
    assert browser.post("/sign-out", data={"csrf": token_of(page)}).status_code == 302
    assert browser.get("/").headers["Location"].startswith("/sign-in?next=")


def change_the_initial_password(browser, number):
    """Sign in for the first time, which leads to a new password and nowhere else (ACC-04, ACC-05)."""

    def post(path, **form):
        return browser.post(path, data={**form, "csrf": token_of(browser.get("/sign-in"))})

    wrong = post("/sign-in", id_number=number, password="00000000")
    assert wrong.status_code == 401 and "身份证或密码错误" in wrong.text and number in wrong.text
    assert post("/sign-in", id_number=number, password=number[-8:]).headers["Location"] == "/password"
    assert browser.get("/").headers["Location"] == "/password"
    assert post("/password", old=number[-8:], new=number[-8:]).status_code == 422
    assert post("/password", old=number[-8:], new="a new password").headers["Location"] == "/"


def start_on_the_pages(browser):
    """Go through the wizard and start; return the transfer's id and the page with its open node."""
    first = browser.get("/start")
    assert "毕业后的去向" in first.text and "友情提示" in first.text
    search = browser.get("/start?step=fields&plan=study&target_text=浙江大学计算机")
    assert "TYPE-04" in search.text and "不得转往乡镇街道" in search.text
    org = re.search(r'name="target" value="(\d+)"', search.text)[1]
    assert "请选择" in browser.get("/start?step=fields&plan=study&reason=further_study&step=check").text
    summary = browser.get(
        f"/start?step=fields&plan=study&reason=further_study&target={org}&place_name=浙江大学&place_address=杭州市&step=check"
    )
    command = re.search(r'name="command_id" value="([^"]+)"', summary.text)[1]
    form = {
        "csrf": token_of(summary),
        "command_id": command,
        "confirm": "1",
        "reason": "further_study",
        "target": org,
        "place_name": "浙江大学",
        "plan": "study",
    }
    missing = browser.post("/start", data=form)
    assert (
        missing.status_code == 422
        and "请填写学校所在地详细地址" in missing.text
        and 'value="浙江大学"' in missing.text
    )
    assert browser.post("/start", data={**form, "place_address": "杭州市"}).headers["Location"] == "/"
    again = browser.post("/start", data={**form, "place_address": "杭州市"})
    assert again.headers["Location"] == "/"  # a double click does no harm
    ends = time.monotonic() + 10
    while "转出组织审批" not in (page := browser.get("/")).text or "最迟" not in page.text:
        assert time.monotonic() < ends, page.text
        time.sleep(0.1)
    assert "届时系统退回" in page.text and "撤销申请" in page.text
    return re.search(r"/transfers/(\d+)/withdraw", page.text)[1], page


@pytest.mark.rule("IMP-02", "IMP-05", "IMP-06", "IMP-07", "IMP-13", "ACC-11", "MEM-04", "MEM-08", "MEM-10")
def test_import_on_the_pages(browser, town):
    """IMP-05..07: good rows are entered, bad rows come back with reasons.

    They come as a spreadsheet that can be read again.
    """
    counties = [org.division_code for org in town.tree if org.division_code and len(org.division_code) == 6]
    people = list(synthetic.people(6, rng=random.Random(3), division_codes=counties, start=30_000_000))
    name = next(org.full_name for org in town.tree if org.id == CLASS + 1)
    rows = [
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
    ]
    elsewhere = roster.RosterRow(0, "没有这个支部", "赵六", people[5].id_number, "", "", None, "", "")
    sheet = io.BytesIO()
    roster.write_roster(sheet, [*rows, rows[0], elsewhere])
    sign_in_on_page(browser, town, COLLEGE)

    import_id = str(uuid.uuid4())
    upload = {"csrf": token_of(browser.get("/members")), "import_id": import_id}
    for _ in range(2):  # sent twice: nobody is entered twice
        sent = browser.post("/members", data={**upload, "file": (io.BytesIO(sheet.getvalue()), "名单.xlsx")})
        assert sent.headers["Location"] == f"/imports/{import_id}"
    ends = time.monotonic() + 20
    while 'http-equiv="refresh"' in (result := browser.get(f"/imports/{import_id}")).text:
        assert time.monotonic() < ends
        time.sleep(0.05)

    text = re.sub(r"\s+", " ", result.text)
    assert "成功导入 6" in text and "2 位团员导入失败" in text
    assert "身份证号重复" in result.text and "没有名为“没有这个支部”的团支部" in result.text
    returned = roster.read_roster(browser.get(f"/imports/{import_id}/failed.xlsx").data)
    assert len(returned) == 2 and {one.id_number for one in returned} == {
        people[0].id_number,
        people[5].id_number,
    }
    other = browser.application.test_client()
    seen = other.post(
        "/api/v1/imports/progress", json={"import_id": import_id}, headers=sign_in(other, town, TARGET)
    )
    assert seen.json["code"] == "unknown_import"
    broken = browser.post("/members", data={**upload, "file": (io.BytesIO(b"not a sheet"), "x.xlsx")})
    assert broken.status_code == 422 and "无法读取该表格" in broken.text


@pytest.mark.rule("TRF-02")
def test_two_sides_at_once(browser, town):
    """TRF-02: started from both sides at the same moment, exactly one transfer wins.

    The other side is told so.
    """
    import threading

    source, target = sign_in(browser, town, COLLEGE), sign_in(browser, town, TARGET)
    member = browser.get(f"/api/v1/branches/{CLASS}/members?limit=500", headers=source).json["items"][-1]
    number = world.id_number_of(town, member["member_id"])
    found = browser.post(
        "/api/v1/members/look-up", json={"name": member["name"], "id_number": number}, headers=target
    ).json
    results = []

    def start(headers, body):
        results.append(
            browser.application.test_client()
            .post("/api/v1/transfers", json={"items": [body]}, headers=headers)
            .json["results"][0]
        )

    bodies = [
        (source, request_of(member["member_id"])),
        (target, request_of(member["member_id"], initiator="target", ticket=found["ticket"])),
    ]
    threads = [threading.Thread(target=start, args=pair) for pair in bodies * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    won = {one["transfer_id"] for one in results if one.get("refusal") is None}
    lost = [one["refusal"]["code"] for one in results if one.get("refusal") is not None]
    assert len(won) == 1
    assert set(lost) <= {"transfer_open"}


BAD = [
    ("POST", "/api/v1/transfers", {"items": []}, 400, "bad_request"),
    ("POST", "/api/v1/transfers", {"items": [{}]}, 400, "bad_request"),
    ("POST", "/api/v1/transfers", {"items": "x"}, 400, "bad_request"),
    (
        "POST",
        "/api/v1/transfers/decisions",
        {"items": [{"decision_id": "no uuid", "transfer_id": 1, "node_no": 1, "approve": True}]},
        400,
        "bad_request",
    ),
    (
        "POST",
        "/api/v1/transfers/decisions",
        {
            "items": [{"decision_id": str(uuid.uuid4()), "transfer_id": 1, "node_no": 1, "approve": True}]
            * 501
        },
        422,
        "too_many_items",
    ),
    ("GET", "/api/v1/transfers/999999999", None, 404, "unknown_transfer"),
    ("GET", "/api/v1/transfers/x", None, 404, "not_found"),
    ("GET", "/api/v1/orgs/123", None, 404, "unknown_org"),
    ("GET", "/api/v1/orgs?text=%20", None, 400, "bad_request"),
    ("GET", "/api/v1/orgs", None, 400, "bad_request"),
    ("GET", "/api/v1/work?limit=many", None, 400, "bad_request"),
    ("GET", "/api/v1/work?colour=red", None, 400, "bad_request"),
    ("GET", "/api/v1/branches/42999/members", None, 403, "not_your_org"),
    ("DELETE", "/api/v1/transfers", None, 405, "method_not_allowed"),
    (
        "POST",
        "/api/v1/members/look-up",
        {"name": "无此人", "id_number": "11010120050101001X"},
        404,
        "unknown_member",
    ),
]


@pytest.mark.parametrize("method, path, body, status, code", BAD)
def test_bad_input(browser, town, method, path, body, status, code):
    """Every bad request has a clear problem document.

    It has a stable code, both languages and the request id.
    """
    answer = browser.open(
        path,
        method=method,
        json=body,
        headers={**sign_in(browser, town, COLLEGE), "X-Request-Id": "request-12345"},
    )

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert (
        answer.json["message"]["zh"]
        and answer.json["message"]["en"]
        and answer.json["request_id"] == "request-12345" == answer.headers["X-Request-Id"]
    )


def test_bad_items(browser, town):
    """In a list each bad item has its own refusal and nothing is half-done."""
    headers = sign_in(browser, town, COLLEGE)
    items = [
        request_of(10**12),
        request_of(1005, target_org_id=10**12),
        request_of(1005, remark="长" * 101),
        request_of(1005, target_org_id=CLASS),
        request_of(1005, target_org_id=42),
        request_of(1005, source_branch_id=COLLEGE),
        request_of(1005, initiator="target"),
        request_of(1005, initiator="member"),
        request_of(1005, source_branch_id=TARGET * 100 + 1),
    ]
    results = browser.post("/api/v1/transfers", json={"items": items}, headers=headers).json["results"]
    codes = [one["refusal"]["code"] if one.get("refusal") else one["state"] for one in results]
    assert codes == [
        "checking",
        "unknown_org",
        "remark_too_long",
        "same_org",
        "target_not_allowed",
        "not_a_branch",
        "not_your_org",
        "not_your_member",
        "not_your_org",
    ]
    # only members knows that there is no such member, so the first was taken and is refused a moment later
    refused = wait_state(browser, headers, results[0]["transfer_id"], "refused")
    assert refused["transfer"]["end_code"] == "unknown_member"


def test_oversized_and_unsigned(browser, town):
    """An oversized body, no token, a broken token: 413 and 401, never a stack trace."""
    assert browser.post("/api/v1/transfers", data=b"x" * (6 * 2**20)).status_code == 413
    for headers in ({}, {"Authorization": "Bearer a.b.c"}):
        answer = browser.get("/api/v1/work", headers=headers)
        assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")
    assert browser.get("/work").status_code == 302
    assert browser.post("/work", data={}).status_code == 400


def test_openapi_is_whole(browser):
    """Every route of the table is an operation of the document, and the readable page shows each."""
    document = browser.get("/api/openapi.json").json
    assert document["openapi"] == "3.1.0"
    operations = {(method.upper(), path) for path, some in document["paths"].items() for method in some}
    assert operations == {
        (route.method, "/api/v1" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)) for route in ROUTES
    }
    page = browser.get("/api/docs").text
    assert all(path in page for _, path in operations)
    assert {browser.get(path).status_code for path in ("/metrics", "/readyz", "/healthz")} == {404}


PROVINCE = 42


@pytest.mark.rule("ACC-15")
@pytest.mark.parametrize(
    ("org", "asked", "led"),
    [
        (COLLEGE, "", "/desk"),
        (COLLEGE, "/", "/desk"),
        (PROVINCE, "", "/board"),
        (COLLEGE, "/work?state=pending_in", "/work?state=pending_in"),
        (COLLEGE, "//evil.example", "/desk"),
        (COLLEGE, "/\\evil.example", "/desk"),
        (COLLEGE, "https://evil.example", "/desk"),
        (COLLEGE, "/\t/evil.example", "/desk"),
    ],
)
def test_where_sign_in_leads(browser, town, org, asked, led):
    """ACC-15: to the personal centre, for who acts for an organisation to its work, one click from there.

    Or back to the page that was asked for; never to another site.
    """
    answer = browser.post(
        "/sign-in",
        query_string={"next": asked},
        data={
            "csrf": token_of(browser.get("/sign-in")),
            "id_number": world.id_number_of(town, world.administrator_of(org)),
            "password": world.PASSWORD,
        },
    )

    assert (answer.status_code, answer.headers["Location"]) == (302, led)
    assert '<a href="/">个人中心</a>' in browser.get("/desk").text


@pytest.mark.parametrize(
    ("proxies", "seen"), [("0", "127.0.0.1"), ("1", "203.0.113.9"), ("2", "198.51.100.7")]
)
def test_address_behind_proxies(client, town, monkeypatch, proxies, seen):
    """The address that lockouts count comes from as many proxies as are ours.

    What a caller writes itself is not believed.
    """
    from flask import request as current

    from services.gateway.app import create_app

    monkeypatch.setenv("TUANQIAO_TRUSTED_PROXIES", proxies)
    app = create_app(client, town.settings)
    app.add_url_rule("/address", "address", lambda: current.remote_addr)

    assert (
        app.test_client()
        .get("/address", headers={"X-Forwarded-For": "192.0.2.1, 198.51.100.7, 203.0.113.9"})
        .text
        == seen
    )
