"""Lists of work lead to the work: order of subordinates, who was contacted, by HTTP as a browser does it."""

import random
import re
import time
import uuid
from urllib.parse import unquote, urlencode

import pytest
import sqlalchemy as sa

from system import synthetic, world
from tests.system import forms
from tests.system.api import CLASS, COLLEGE, TARGET, sign_in


def enter(browser, town, org):
    """Sign in on the page as the organisation's administrator; return the token of forms."""
    page = browser.get("/sign-in").text
    form = {
        "csrf": re.search('name="csrf" value="([^"]+)"', page)[1],
        "id_number": world.id_number_of(town, world.administrator_of(org)),
        "password": world.PASSWORD,
    }
    assert browser.post("/sign-in", data=form).status_code == 302
    csrf = re.search('name="csrf" value="([^"]+)"', browser.get("/switch").text)[1]
    assert browser.post("/switch", data={"csrf": csrf, "org": org}).status_code == 302
    return csrf


@pytest.mark.rule("ORG-24")
def test_up_and_down(browser, town):
    """ORG-24: 上移 and 下移 on the page of subordinates change their order; at the ends nothing happens."""
    csrf = enter(browser, town, COLLEGE)

    def listed():
        page = browser.get(f"/orgs?at={COLLEGE}").text
        return [int(one) for one in re.findall(r'<th scope="row"[^>]*>\s*<a href="/orgs/(\d+)"', page)]

    def move(org, way):
        assert (
            browser.post(
                f"/orgs?at={COLLEGE}", data={"csrf": csrf, "at": COLLEGE, "org": org, "do": way}
            ).status_code
            == 302
        )

    before = listed()
    assert len(before) > 3
    move(before[2], "up")
    assert listed() == [before[0], before[2], before[1], *before[3:]]
    move(before[2], "up")
    move(before[2], "up")
    assert listed() == [before[2], before[0], before[1], *before[3:]]
    move(before[2], "down")
    assert listed() == [before[0], before[2], before[1], *before[3:]]
    move(before[-1], "down")
    assert listed()[-1] == before[-1]
    assert (
        browser.post(
            f"/orgs?at={COLLEGE}", data={"csrf": csrf, "at": COLLEGE, "org": 42, "do": "up"}
        ).status_code
        == 404
    )


@pytest.mark.rule("GRAD-08")
def test_marks_are_narrowed_and_sorted(browser, town):
    """GRAD-08: the list of graduation times is narrowed by a part of the name and sorted; so is its file."""
    enter(browser, town, COLLEGE)

    def listed(query=""):
        page = browser.get(f"/graduation{query}").text
        found = re.findall(r'<a href="/members\?branch=(\d+)" title="([^"]+)"', page)
        assert found or "没有符合条件的团支部" in page
        return page, [name for _id, name in found]

    page, names = listed()
    assert len(names) > 3 and sorted(names, reverse=True) != names
    assert listed("?sort=-name")[1] == sorted(names, reverse=True)
    page, (only,) = listed(f"?name={names[2][-9:]}&sort=name")
    assert only == names[2]
    (export,) = re.findall(r'href="(/download/branch-marks[^"]*)"', page)
    assert export.endswith(urlencode({"name": names[2][-9:]}))
    assert listed("?name=没有这样的")[1] == []


LEFT_OUT = "地址中有无法识别的条件"
MEANINGLESS = (
    "/work?state=abc",
    "/work?due=abc&sort=oldest",
    "/work?reminded=1",
    "/list?side=x",
    "/list?after=abc",
    "/members?show=abc",
    "/members?sort=age",
    "/members?after=-1",
    "/orgs?sort=abc",
    "/orgs?at=abc",
    "/registers?kind=abc",
    "/registers?sort=name",
    "/letters?state=abc",
    "/graduation?unmarked=yes",
    "/graduation?sort=abc",
    "/posts?sort=abc",
    "/registrations?sort=-abc",
    "/escalations?reason=abc",
    "/migrations?open=abc",
    "/messages?kind=abc",
    "/messages?since=gestern",
    "/reports/incomplete?after=abc",
    "/board?sort=abc",
    "/board?org=abc",
    "/figures?cohort=abc",
    "/progress?sort=abc",
    "/desk?lang=de",
)


def test_what_an_address_cannot_mean_is_said(browser, town):
    """A condition that means nothing is left out, and the page says so; what messengers append is not."""
    enter(browser, town, COLLEGE)
    for address in MEANINGLESS:
        page = browser.get(address)
        assert page.status_code == 200 and page.text.count(LEFT_OUT) == 1, (address, page.status_code)
        clean = browser.get(f"{address.split('?')[0]}?from=groupmessage&isappinstalled=0")
        assert clean.status_code == 200 and LEFT_OUT not in clean.text, address
    for address in (
        "/list?side=target&open=1&oldest=1",
        "/members?show=graduates&sort=-name&name=",
        "/orgs?sort=-kind",
    ):
        assert LEFT_OUT not in browser.get(address).text, address


@pytest.mark.rule("MSG-09")
def test_messages_are_narrowed_by_several_conditions_at_once(browser, town):
    """MSG-09: kind, days and what is unread hold together: each link keeps the others."""
    enter(browser, town, COLLEGE)
    page = browser.get("/messages?kind=reject&unread=1&since=2026-01-01").text
    links = {unquote(link) for link in forms.read(page)[1]}
    assert {
        "/messages?kind=reject&since=2026-01-01",
        "/messages?kind=reject&unread=1&since=2026-01-01",
        "/messages?unread=1",
    } <= links
    assert re.search(r'<option value="reject" selected', page)
    assert re.search(r'name="unread" value="1"', page) and 'name="since" value="2026-01-01"' in page


@pytest.mark.rule("MEM-30")
def test_arrivals_are_contacted_on_the_list(browser, town):
    """MEM-30: somebody who has arrived is ticked on the list and said to be contacted.

    The branch's superior may say so; from higher up that is refused, and the page says so.
    """
    headers = sign_in(browser, town, org=COLLEGE, person=world.administrator_of(COLLEGE))
    one, other = [
        row["member_id"]
        for row in browser.get(f"/api/v1/branches/{CLASS}/members", headers=headers).json["items"][:2]
    ]
    with town.engine("members").begin() as tx:
        tx.execute(
            sa.text("UPDATE people SET to_contact = true WHERE person_id IN (:one, :other)"),
            {"one": one, "other": other},
        )

    def waiting():
        return {
            int(member)
            for member in re.findall(r'name="member" value="(\d+)"', browser.get("/reports/to_contact").text)
        }

    csrf = enter(browser, town, COLLEGE // 100)
    assert waiting() == {one, other}
    answer = browser.post("/reports/to_contact", data={"csrf": csrf, "member": [one]})
    assert (
        answer.status_code == 302
        and "查无此人" in browser.get("/reports/to_contact").text
        and waiting() == {one, other}
    )
    browser.post("/sign-out", data={"csrf": csrf})
    csrf = enter(browser, town, COLLEGE)
    assert browser.post(
        "/reports/to_contact", data={"csrf": csrf, "member": [one]}
    ).status_code == 302 and waiting() == {other}
    assert browser.post("/reports/to_contact", data={"csrf": csrf}).status_code == 422
    assert browser.post("/reports/incomplete", data={"csrf": csrf, "member": [one]}).status_code == 422


def chosen(page):
    """Return the members of a field to choose one from: id and name."""
    found = re.findall(r'name="member"\s+value="(\d+)"[^>]*>\s*<span>\s*<strong>([^<]+)<', page)
    return [(int(member), name) for member, name in found]


def test_a_member_is_chosen_by_name(browser, town):
    """A member of the own organisation or below is found as one types, and never stands in an address."""
    csrf = enter(browser, town, COLLEGE)
    branch = browser.post("/letters/new", data={"csrf": csrf, "member_branch": CLASS}).text
    member, name = chosen(branch)[0]
    found = browser.post("/pick/person", data={"csrf": csrf, "member_text": name}).text
    assert (member, name) in chosen(found) and 'type="radio"' in found and "<html" not in found
    assert browser.get("/pick/person").status_code == 405
    kept = browser.post("/registers/new", data={"csrf": csrf, "member": member, "member_text": "没有"}).text
    assert re.search(rf'value="{member}" checked', kept) and "没有这样的团员" not in kept
    browser.post("/sign-out", data={"csrf": csrf})
    csrf = enter(browser, town, TARGET)
    found = browser.post("/pick/person", data={"csrf": csrf, "member_text": name}).text
    assert (member, name) not in chosen(found)


@pytest.mark.rule("DOC-14")
def test_letters_on_pages(browser, town):
    """DOC-14: a letter is issued, found, printed again and voided on pages; what is wrong is said at once."""
    csrf = enter(browser, town, COLLEGE)
    first = chosen(browser.post("/letters/new", data={"csrf": csrf, "member_branch": CLASS}).text)[0]
    typed = {"csrf": csrf, "do": "issue", "to_org": "某单位", "dues_until": "去年"}
    wrong = browser.post("/letters/new", data=typed)
    assert wrong.status_code == 422 and 'value="某单位"' in wrong.text
    assert all(f'href="#{field}"' in wrong.text for field in ("member", "addressee", "dues_until"))
    right = {
        **typed,
        "command_id": str(uuid.uuid4()),
        "member": first[0],
        "addressee": "西湖团区委",
        "dues_until": "2026-06-30",
    }
    assert browser.post("/letters/new", data=right).headers["Location"] == "/letters"
    page = browser.get("/letters").text
    number, letter = re.search(r"第 ([\d-]+) 号", page)[1], re.search(r"/letters/(\d+)\.pdf", page)[1]
    found = browser.get("/letters?text=西湖&state=in_force").text
    assert number in found and first[1] in found and "/download/letters?state=in_force" in found
    assert f">{number}<" in found and f">{number}<" not in browser.get("/letters?state=void").text
    printed = browser.get(f"/letters/{letter}.pdf")
    assert printed.content_type == "application/pdf" and printed.data.startswith(b"%PDF")
    assert browser.post(f"/letters/{letter}/void", data={"csrf": csrf, "reason": " "}).status_code == 422
    browser.post(f"/letters/{letter}/void", data={"csrf": csrf, "reason": "抬头写错"})
    page = browser.get("/letters?state=void").text
    assert number in page and "抬头写错" in page and f"/letters/{letter}/void" not in page
    assert browser.get(f"/letters/{letter}.pdf").status_code == 409
    assert browser.get("/download/letters?state=void").data.startswith(b"PK")


@pytest.mark.rule("GRAD-29", "DOC-09")
def test_a_register_is_kept_on_pages(browser, town):
    """GRAD-29, DOC-09: all four items are asked for at once; what is ticked is decided together."""
    csrf = enter(browser, town, COLLEGE)
    people = chosen(browser.post("/letters/new", data={"csrf": csrf, "member_branch": CLASS}).text)[:2]
    span = {"csrf": csrf, "do": "request", "since": "2026-09-01", "until": "2028-09-01", "kind": "abroad"}
    wrong = browser.post("/registers/new", data={**span, "command_id": str(uuid.uuid4())})
    missing = ("member", "place", "contact_name", "contact_phone")
    assert wrong.status_code == 422 and all(f'href="#{field}"' in wrong.text for field in missing)
    four = {"place": "莱顿", "contact_name": "王母", "contact_phone": "19900000098"}
    both = {**span, **four, "member": [one for one, _name in people], "command_id": str(uuid.uuid4())}
    assert browser.post("/registers/new", data=both).headers["Location"] == "/registers"
    assert "已登记 2 位团员" in browser.get("/registers").text
    again = browser.post("/registers/new", data={**both, "command_id": str(uuid.uuid4())})
    assert again.status_code == 422 and 'href="#member"' in again.text
    page = browser.get("/registers?state=requested&sort=-until").text
    entries = re.findall(r'name="retention" value="(\d+)"', page)
    assert all(name in page for _member, name in people) and len(entries) >= 2
    assert people[1][1] not in browser.get(f"/registers?name={people[0][1]}").text
    here = "/registers?state=requested"
    assert browser.post(here, data={"csrf": csrf, "do": "approve"}).headers["Location"] == here
    browser.post(here, data={"csrf": csrf, "do": "approve", "retention": [*entries, "999999"]})
    page = browser.get("/registers?state=approved").text
    assert f"同意了 {len(entries)} 项登记" in page and "1 项未办理" in page
    assert set(entries) <= set(re.findall(r'name="retention" value="(\d+)"', page))


@pytest.mark.rule("IMP-07")
def test_failed_rows_are_put_right_on_the_page(browser, town):
    """IMP-07: a row that failed stands on the page with all its cells and goes on from there.

    One answer puts right a branch that several rows call by a wrong name.
    """
    csrf, import_id = enter(browser, town, COLLEGE), str(uuid.uuid4())
    headers = sign_in(browser, town, org=COLLEGE, person=world.administrator_of(COLLEGE))
    people = list(synthetic.people(3, rng=random.Random(3), division_codes=["420106"], start=81_000_000))
    rows = [
        {
            "import_id": import_id,
            "number": n,
            "branch_name": "软工一班",
            "name": one.name,
            "id_number": one.id_number,
            "ethnic_group": one.ethnic_group,
            "phone": one.phone,
            "joined_on": str(one.joined_on),
            "development_number": one.development_number,
        }
        for n, one in enumerate(people, start=4)
    ]
    rows[2]["id_number"] = people[2].id_number[:-1]
    assert browser.post("/api/v1/imports/rows", headers=headers, json={"items": rows}).status_code == 200

    def tried():
        ends = time.monotonic() + 30
        while "http-equiv" in (page := browser.get(f"/imports/{import_id}").text):
            assert time.monotonic() < ends
            time.sleep(0.1)
        return page

    page = tried()
    assert "“软工一班”(3行)是哪个团支部" in page
    branch = next(org.full_name for org in town.tree if org.id == CLASS)
    (form,) = [one for one in forms.read(page)[0] if one.action.endswith("/again")]
    assert form.entered is None and branch in form.options["branch-0"]
    sent = {**form.filled(), "row": [4, 5, 6], "branch-0": branch, "csrf": csrf}
    assert browser.post(form.action, data=sent).status_code == 302
    page = tried()
    assert "成功导入 2 位团员, 1 位团员导入失败" in page and 'name="row" value="6"' in page
    (form,) = [one for one in forms.read(page)[0] if one.action.endswith("/again")]
    browser.post(form.action, data={**form.filled(), "id_number-6": people[2].id_number, "csrf": csrf})
    assert "成功导入 3 位团员, 0 位团员导入失败" in tried()


@pytest.mark.rule("MIG-01", "MIG-04", "MIG-10")
def test_a_migration_shows_what_it_moves(browser, town):
    """MIG-01, MIG-04, MIG-10: before it is asked for and before it is decided, it says what would move.

    One that cannot be says why and offers no confirmation.
    """
    csrf = enter(browser, town, COLLEGE)
    asked = {"csrf": csrf, "do": "preview", "reason": "院系调整", "command_id": str(uuid.uuid4())}
    refused = browser.post("/migrations", data={**asked, "target": 32})
    assert refused.status_code in (409, 422) and 'value="request"' not in refused.text
    page = browser.post("/migrations", data={**asked, "target": COLLEGE + 1}).text
    assert (
        'value="request"' in page
        and "个组织一起迁移" in page
        and "名团员" in page
        and "10天内不办理则退回" in page
    )
    (form,) = [one for one in forms.read(page)[0] if "command_id" in one.filled()]
    assert browser.post("/migrations", data={**form.filled(), "do": "request"}).status_code == 302
    one = re.search(r'href="(/migrations/\d+)"', browser.get("/migrations?open=1").text)[1]
    page = browser.get(one).text
    assert "院系调整" in page and 'value="withdraw"' in page and 'value="approve"' not in page
    assert browser.post(one, data={"csrf": csrf, "do": "withdraw"}).status_code == 302
    assert "已撤销" in browser.get(one).text and one not in browser.get("/migrations?open=1").text


def test_a_session_of_an_earlier_version_opens_the_list(browser, town):
    """Who was signed in while a new version came has a cookie that does not know the kind of the office."""
    enter(browser, town, COLLEGE)
    with browser.session_transaction() as cookie:
        cookie.pop("org_kind")
    assert browser.get("/members").status_code == 200
