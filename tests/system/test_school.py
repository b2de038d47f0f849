"""A school from its registration code to a marked graduating class, through the API alone.

Spreadsheets, letters and pages stand beside it.
"""

import io
import re
import time
import uuid
import zipfile
from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared import clock
from system import world
from system.synthetic import check_digit
from tests.system.api import CLASS, COLLEGE, sign_in
from tests.system.sheets import XLSX, rows_of

PROVINCE = 42
INDUSTRY = "普通高等院校"


def key() -> str:
    return str(uuid.uuid4())


def number(n: int, year: int = 2004) -> str:
    first = f"420106{year}0307{n:03d}"
    return first + check_digit(first)


class Api:
    """One person's calls, acting for one organisation."""

    def __init__(self, browser, headers):
        self.browser, self.headers = browser, headers

    def one(self, path, **item):
        """Send one item of a command; return its answer."""
        answer = self.browser.post(
            f"/api/v1{path}", headers=self.headers, json={"items": [{"command_id": key(), **item}]}
        )
        assert answer.status_code == 200, answer.json
        return answer.json["results"][0]

    def get(self, path, **query):
        answer = self.browser.get(f"/api/v1{path}", headers=self.headers, query_string=query)
        assert answer.status_code == 200, answer.json
        return answer.json

    def until(self, path, wanted, seconds=10, **query):
        """Ask until the answer is as wanted; events take their time."""
        ends = time.monotonic() + seconds
        while not wanted(answer := self.get(path, **query)):
            assert time.monotonic() < ends, answer
            time.sleep(0.05)
        return answer


@pytest.mark.rule(
    "ORG-36", "SCH-02", "ADM-04", "ADM-10", "ORG-16", "ORG-17", "GRAD-01", "GRAD-02", "ROLE-13", "DOC-12"
)
def test_a_school_is_built(browser, town):
    """SCH-02, ADM-04, ORG-16, ORG-36, GRAD-02: a school from its code to its marked graduates.

    It is created and given a code, registered, checked, built down to a class, filled, marked,
    graduated.

    GRAD-01, DOC-12: the branch stands on the list until it is marked; ROLE-13: marked as delayed, a
    member is no graduate.
    """
    school, code = create_with_code(Api(browser, sign_in(browser, town, PROVINCE)))
    head = register_head(browser, school, code)
    check_the_card(head, school)
    branch = create_class(head, school)
    members = fill_class(head, school, branch)
    mark_graduates(head, branch, members)
    refused = head.one(
        "/members",
        branch_id=branch,
        name="张一",
        id_number=number(10),
        joined_on="2019-05-04",
        development_number="201900009999",
    )["refusal"]
    assert (refused["code"], refused["message"]["zh"]) == ("id_registered", "身份证号重复")


def create_with_code(province):
    """Have the province create the school and give it a registration code."""
    school = province.one(
        "/orgs",
        parent_id=PROVINCE,
        kind="committee",
        full_name="共青团长江职业学院委员会",
        short_name="长江职院团委",
        industry=INDUSTRY,
    )["org_id"]
    time.sleep(0.5)  # members hears of the school
    return school, province.one("/registration-codes", org_id=school)["code"]


def register_head(browser, school, code):
    """Register the school's first administrator by the code; return the API as this person calls it."""
    made = browser.post(
        "/api/v1/registrations/administrator",
        json={
            "code": code,
            "name": "陈书记",
            "id_number": number(1, 1985),
            "phone": "19900000001",
            "password": "Long-enough-1",
        },
    ).json
    assert made["org_id"] == school
    token = browser.post(
        "/api/v1/sessions", json={"id_number": number(1, 1985), "password": "Long-enough-1"}
    ).json["token"]
    head = Api(browser, {"Authorization": f"Bearer {token}", "X-Acting-Org": str(school)})
    assert head.until("/my-orgs", lambda answer: answer["items"])["items"][0]["checked"] is False
    head.until(f"/orgs/{school}", lambda org: org["secretary_id"] == made["person_id"])
    return head


def check_the_card(head, school):
    """Say that what the school's card shows is right, and give the school's number."""
    assert (
        head.one(
            "/orgs/checks",
            org_id=school,
            kind="committee",
            short_name="长江职院团委",
            full_name="共青团长江职业学院委员会",
            industry=INDUSTRY,
            phone="02787654321",
        ).get("refusal")
        is None
    )
    assert head.one("/orgs/school-numbers", org_id=school, number="4142013956").get("refusal") is None
    card = head.get(f"/orgs/{school}")
    assert (card["checked"], card["complete"], card["school_number"]) == (True, True, "4142013956")


def create_class(head, school):
    """Create a class branch, and wait until members knows of it."""
    branch = head.one(
        "/orgs",
        parent_id=school,
        kind="branch",
        full_name="共青团长江职业学院2023级软件1班支部委员会",
        industry=INDUSTRY,
    )["org_id"]
    head.until(
        f"/orgs/{school}/entry-progress",
        lambda answer: any(part["org_id"] == branch for part in answer["items"]),
    )
    return branch


def fill_class(head, school, branch):
    """Enter four members, one of them the branch's secretary and administrator; return their ids."""
    entered = [
        head.one(
            "/members",
            branch_id=branch,
            name=f"张{'一二三四'[n]}",
            id_number=number(10 + n),
            ethnic_group="汉族",
            phone=f"1990000010{n}",
            joined_on="2019-05-04",
            development_number=f"20190000990{n}",
        )
        for n in range(4)
    ]
    members = [one["member_id"] for one in entered]
    assert all(members)
    assert (
        head.one("/posts", org_id=branch, person_id=members[0], post="secretary")["person_id"] == members[0]
    )
    make_administrator(head, branch, members[0])
    progress = head.get(f"/orgs/{school}/entry-progress")["items"][0]
    assert (
        progress["branches"],
        progress["finished_branches"],
        progress["members"],
        progress["complete_members"],
    ) == (1, 1, 4, 4)
    return members


def make_administrator(head, branch, person):
    """Make a cadre the administrator of the branch; orgs hears of the post a moment after members."""
    ends = time.monotonic() + 10
    while True:
        right = head.one("/administrators", org_id=branch, person_id=person, active=True).get("refusal")
        if not (right and right["code"] == "not_a_cadre"):
            break
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert right is None


def mark_graduates(head, branch, members):
    """Mark the class as graduating this summer, and the last of its members as delayed."""
    assert [one["branch_id"] for one in head.get("/branch-marks", unmarked_only="true")["items"]] == [branch]
    on = clock.today().replace(month=6, day=1)
    marked = head.one("/branch-marks", branch_id=branch, graduates_on=on.isoformat())
    assert (marked.get("refusal"), marked["graduate"], marked["members"]) == (None, True, 4)
    assert head.get("/branch-marks", unmarked_only="true")["items"] == []
    head.until(f"/orgs/{branch}", lambda org: org["purpose"] == "graduate")
    later = (on + timedelta(days=400)).isoformat()
    assert (
        head.one(
            "/member-marks", member_id=members[3], mark="delayed", graduates_on=later, reason="课程未修满"
        ).get("refusal")
        is None
    )
    assert {
        one["member_id"]: (one["graduate"], one.get("mark", ""))
        for one in head.get(f"/branches/{branch}/members")["items"]
    } == {**dict.fromkeys(members[:3], (True, "")), members[3]: (False, "delayed")}


@pytest.mark.rule("GRAD-09", "GRAD-04")
def test_only_school_branches_are_marked(browser, town):
    """GRAD-09: a branch outside the school domain has no time of graduation."""
    system = Api(browser, sign_in(browser, town, 94))
    employer = system.get("/orgs/94/children")["items"]
    committee = next(one for one in employer if one["kind"] == "committee")
    api = Api(browser, sign_in(browser, town, committee["org_id"]))
    branch = api.get(f"/orgs/{committee['org_id']}/children")["items"][0]
    assert (
        api.one("/branch-marks", branch_id=branch["org_id"], graduates_on="2030-06-01")["refusal"]["code"]
        == "not_markable"
    )


@pytest.mark.rule("DOC-05", "DOC-06", "DOC-07", "DOC-08", "STAT-05", "BEY-10")
def test_every_list_is_a_spreadsheet(browser, town):
    """DOC-05..08, STAT-05: lists come as .xlsx with Chinese titles and words, all pages.

    Nothing typed becomes a formula.
    """
    college = sign_in(browser, town, COLLEGE)
    members = rows_of(browser.get(f"/api/v1/branches/{CLASS}/members?format=xlsx&limit=5", headers=college))
    assert members[0][:3] == ["团员编号", "名称", "身份证号码"] and len(members) == 35
    assert {row[members[0].index("身份认证")] for row in members[1:]} == {"未校验"}
    children = rows_of(browser.get(f"/api/v1/orgs/{COLLEGE}/children?format=xlsx", headers=college))
    assert len(children) > 1 and "组织全称" in children[0]
    progress = rows_of(browser.get(f"/api/v1/orgs/{COLLEGE}/entry-progress?format=xlsx", headers=college))
    assert progress[0][2:6] == [
        "下级团支部数",
        "已完成团支部数",
        "团委(含工委、总支、领导机关)数",
        "其中已完成数",
    ]
    codes = rows_of(
        browser.post(
            "/api/v1/registration-codes?format=xlsx",
            headers=college,
            json={"items": [{"command_id": key(), "org_id": CLASS + n} for n in range(3)]},
        )
    )
    assert "管理员注册码" in codes[0] and len(codes) == 4
    export = rows_of(
        browser.post(
            "/api/v1/members/export?format=xlsx", headers=college, json={"full": True, "reason": "上报"}
        )
    )
    assert export[0].count("身份证号码") >= 1 and any(
        len(str(cell)) == 18 and "*" not in str(cell) for cell in export[1]
    )
    with town.engine("members").connect() as tx:
        logged = tx.execute(
            sa.text("SELECT kind, ref || note AS what FROM audit_log WHERE starts_with(kind, 'export')")
        ).all()
    assert ("export.file", f"/api/v1/branches/{CLASS}/members") in logged and (
        "export.full",
        "上报",
    ) in logged
    assert not any("children" in row.what for row in logged)
    refused = browser.post("/api/v1/members/export?format=xlsx", headers=college, json={"full": True})
    assert refused.status_code == 422 and refused.json["code"] == "access_reason_missing"
    assert browser.get("/api/v1/me?format=xlsx", headers=college).status_code == 400
    for address in (
        "/api/v1/work",
        "/api/v1/transfers?side=source",
        "/api/v1/counts",
        "/api/v1/reports/small_branches",
        "/api/v1/branch-marks",
        "/api/v1/my-orgs",
    ):
        assert (
            browser.get(f"{address}{'&' if '?' in address else '?'}format=xlsx", headers=college).content_type
            == XLSX
        ), address
    found = rows_of(
        browser.post("/api/v1/members/search?format=xlsx", headers=college, json={"text": export[1][1]})
    )
    assert len(found) == 2


@pytest.mark.rule("DOC-01", "BEY-13", "DOC-03")
def test_a_letter_and_its_check(browser, town):
    """DOC-01, BEY-13: a PDF with the Chinese font inside.

    Its code is checked on a public page that names nobody.
    """
    college = sign_in(browser, town, COLLEGE)
    body = {
        "items": [
            {
                "command_id": key(),
                "member_ids": [1003],
                "addressee": "共青团某集团委员会",
                "dues_until": "2026-06-30",
                "valid_days": 30,
            }
        ]
    }
    pdf = browser.post("/api/v1/letters.pdf", headers=college, json=body)
    assert (
        pdf.content_type == "application/pdf"
        and pdf.data[:5] == b"%PDF-"
        and b"FontFile2" in pdf.data
        and len(pdf.data) < 200_000
    )
    letter = browser.post("/api/v1/letters", headers=college, json=body).json["results"][0]
    checked = browser.get("/api/v1/letters/check", query_string={"code": letter["code"]})
    assert (checked.status_code, checked.json["state"], checked.json["number"]) == (
        200,
        "in_force",
        letter["number"],
    )
    page = browser.get("/verify", query_string={"code": letter["code"]}).get_data(as_text=True)
    assert "真实有效" in page and letter["number"] in page and letter["names"][0] not in page
    assert browser.get("/verify?code=WRONG").status_code == 404
    assert "核验码" in browser.get("/verify").get_data(as_text=True)


def test_security_page(browser, town):
    """The person sees sessions and sign-ins on a page and ends the others there."""
    from services.gateway.app import create_app

    number_ = world.id_number_of(town, world.administrator_of(COLLEGE))

    def enter(one):
        csrf = re.search(r'name="csrf" value="([^"]+)"', one.get("/sign-in").get_data(as_text=True))[1]
        return one.post(
            "/sign-in",
            data={"csrf": csrf, "id_number": number_, "password": world.PASSWORD},
            headers={"User-Agent": "Phone <b>"},
        )

    other = create_app(browser.application.config["CLIENT"], town.settings).test_client()
    assert enter(other).status_code == 302 and enter(browser).status_code == 302
    page = browser.get("/security").get_data(as_text=True)
    assert "本机" in page and "其他设备" in page and "Phone" not in page
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    assert browser.post("/security/end", data={"csrf": csrf}).status_code == 302
    assert browser.get("/security").status_code == 200
    assert other.get("/security").status_code == 302
    token = browser.post("/api/v1/sessions", json={"id_number": number_, "password": world.PASSWORD}).json
    headers = {"Authorization": f"Bearer {token['token']}", "X-Acting-Org": str(COLLEGE)}
    assert browser.get("/api/v1/work", headers=headers).status_code == 200
    browser.post("/api/v1/sessions/end", json={"session": token["session"]})
    ends = time.monotonic() + 10
    while browser.get("/api/v1/work", headers=headers).status_code != 401:  # transfers hears of it
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert browser.get("/api/v1/me", headers=headers).status_code == 401


def test_templates_of_both_kinds(browser, town):
    """IMP-04: both templates are offered."""
    enter(browser, town, COLLEGE)
    for level in ("own", "below"):
        answer = browser.get(f"/template.xlsx?level={level}")
        assert answer.status_code == 200 and zipfile.is_zipfile(io.BytesIO(answer.data)), (
            level,
            answer.status_code,
        )


def enter(browser, town, org) -> str:
    """Sign in through the page; return the token of its forms."""

    def csrf(page):
        return re.search(r'name="csrf" value="([^"]+)"', page)[1]

    number_ = world.id_number_of(town, world.administrator_of(org))
    browser.post(
        "/sign-in",
        data={"csrf": csrf(browser.get("/sign-in").text), "id_number": number_, "password": world.PASSWORD},
    )
    return csrf(browser.get("/").text)


@pytest.mark.rule("SRCH-01", "SRCH-03", "SRCH-07", "IMP-01")
def test_search_page(browser, town):
    """SRCH-01, SRCH-07: the home page leads to the search and to adding members.

    Numbers travel in the body; cut-off names show in full on hover.

    IMP-01: the home page leads to entering.
    """
    csrf = enter(browser, town, COLLEGE)
    home = browser.get("/").text
    assert "添加团员团干部" in home and f"/members?branch={COLLEGE}" in home and 'action="/search"' in home
    number_ = world.id_number_of(town, 1003)
    page = browser.post("/search", data={"csrf": csrf, "text": number_}).text
    assert (
        len(re.findall(r"\d{4}\*{13}[\dX]", page)) == 1
        and 'class="clip" title="共青团' in page
        and number_ not in page.replace(f'value="{number_}"', "")
    )
    for text in ("2022级", "2022级软件", "1班"):
        found = browser.post("/search", data={"csrf": csrf, "text": text}).text
        rows = re.findall(
            r'<td role="cell" class="clip" title="([^"]*)">', found[found.index("<h2>组织</h2>") :]
        )
        assert rows and all(text[:2] in row or text in row for row in rows), (text, rows)


@pytest.mark.rule("SCH-01", "SCH-02", "SCH-08", "ADM-12")
def test_school_area(browser, town):
    """SCH-01, SCH-02, SCH-08: from the home page to the schools.

    One is created, gets a code, and its progress is listed.
    """
    csrf = enter(browser, town, 33)
    assert "/schools" in browser.get("/").text
    assert (
        browser.post(
            "/schools",
            data={
                "csrf": csrf,
                "do": "create",
                "command_id": key(),
                "full_name": "共青团之江职业学院委员会",
                "industry": "高等职业院校",
            },
        ).status_code
        == 302
    )
    ends = time.monotonic() + 10
    while True:
        page = browser.get("/schools").text
        assert "共青团之江职业学院委员会" in page
        school = re.search(r'value="(\d+)" aria-label="共青团之江职业学院委员会"', page)[1]
        made = browser.post("/schools", data={"csrf": csrf, "school": school}).text
        if re.search(r'<strong class="code">[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}</strong>', made):
            break
        assert time.monotonic() < ends
        time.sleep(0.1)
    bad = browser.post(
        "/schools",
        data={
            "csrf": csrf,
            "do": "create",
            "command_id": key(),
            "full_name": "某青年部",
            "industry": "高等职业院校",
        },
    )
    assert bad.status_code == 422 and "某青年部" in bad.text


@pytest.mark.rule("GRAD-06", "UI-15")
def test_marking_page_asks_first(browser, town):
    """GRAD-06, UI-15: branches, time, notice, confirm; nothing is marked before the confirmation."""
    csrf = enter(browser, town, COLLEGE)
    page = browser.get("/graduation").text
    assert " checked" not in page and "pick=all" in page
    year = re.findall(r"pick=(20\d\d)%E7%BA%A7", page)[-1]
    ticked = browser.get(f"/graduation?pick={year}级").text
    assert (
        ticked.count(" checked") == len(re.findall(rf'aria-label="[^"]*{year}级[^"]*" checked', ticked)) > 3
    )
    every = browser.get("/graduation?pick=all").text
    assert every.count(" checked") > ticked.count(" checked")
    form = {"csrf": csrf, "branch": str(CLASS + 2), "month": "2031-06"}
    asked = browser.post("/graduation", data=form).text
    assert "请核对后确定" in asked and "2031-06" in asked
    assert "2031-06" not in browser.get("/graduation").text
    assert "已标记团支部" in browser.post("/graduation", data={**form, "confirm": "1"}).text
    assert "2031-06" in browser.get("/graduation").text
