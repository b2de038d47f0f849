"""Pages of people who come into the system, and of those who look after their own record."""

import random
import re
import uuid
from html import unescape

import pytest

from services.gateway.app import create_app
from system import synthetic, world
from tests.system import fullhouse
from tests.system.fullhouse import CLASS, COLLEGE, PROVINCE, Office, csrf_of, enter, key

PASSWORD = "Registered-2026"


@pytest.mark.parametrize(
    "address", ["/members?", "/list?side=target&", "/registers?", "/reports/small_branches?"]
)
def test_no_number_of_a_person_stays_in_an_address(browser, town, address):
    """SRCH-03: where a name narrows a list, a number typed there is not sent, and goes into no link."""
    enter(browser, town, COLLEGE)
    page = browser.get(f"{address}name=42010620020105977X", follow_redirects=True)
    assert page.status_code == 200 and "42010620020105977X" not in page.text
    assert 'pattern="(?!.*[0-9]{7}).*"' in page.text
    assert "name=%E7%8E%8B" in browser.get(f"{address}name=王").text


@pytest.fixture(scope="module")
def newcomers():
    return synthetic.people(20, rng=random.Random(31), division_codes=["420115"], start=7_300_000)


def ask_in(browser, person, **fields):
    """Send the form of a registration; return the answer."""
    page = browser.get("/register/member").text
    form = {
        "csrf": csrf_of(page),
        "org": str(CLASS + 1),
        "name": person.name,
        "id_number": person.id_number,
        "phone": person.phone,
        "ethnic_group": person.ethnic_group,
        "joined_on": str(person.joined_on),
        "development_number": person.development_number,
        "password": "Newcomer-2026",
        **fields,
    }
    return browser.post("/register/member", data=form)


def sign_in(browser, number, password):
    page = browser.get("/sign-in").text
    data = {"csrf": csrf_of(page), "id_number": number, "password": password}
    return browser.post("/sign-in", data=data)


def test_nobody_takes_back_what_another_has_asked_for(browser, town, newcomers):
    """The number of a registration from outside: only the applicant withdraws it."""
    first, second = next(newcomers), next(newcomers)
    assert ask_in(browser, first).status_code == 302
    sign_in(browser, first.id_number, "Newcomer-2026")
    number = re.search(r'name="registration" value="(\d+)"', browser.get("/register/mine").text)[1]
    browser.post("/sign-out", data={"csrf": csrf_of(browser.get("/register/mine").text)})
    assert ask_in(browser, second).status_code == 302
    sign_in(browser, second.id_number, "Newcomer-2026")
    data = {"csrf": csrf_of(browser.get("/register/mine").text), "registration": number}
    assert browser.post("/register/mine", data=data).status_code in (403, 404, 409)
    browser.post("/sign-out", data={"csrf": csrf_of(browser.get("/register/mine").text)})
    sign_in(browser, first.id_number, "Newcomer-2026")
    assert 'name="registration"' in browser.get("/register/mine").text


def test_all_that_is_wrong_is_said_at_once(browser, newcomers):
    """Every field is marked, each error leads to it, what was typed stays; the password does not."""
    answer = ask_in(
        browser,
        next(newcomers),
        org="字",
        name="",
        joined_on="昨天",
        phone="",
        development_number="9" * 10_000,
        password="short",
    )
    assert answer.status_code == 422
    for field in ("org", "name", "joined_on", "phone", "development_number", "password"):
        assert f'href="#{field}"' in answer.text, field
        assert f'id="{field}-fault"' in answer.text, field
    assert 'value="昨天"' in answer.text and "short" not in answer.text


def test_a_new_administrator_registers_with_a_code(browser, town, newcomers):
    """ADM-04: with the code of the direct superior, from the page of signing in; the code is good once."""
    (made,) = Office(browser, COLLEGE).send("/registration-codes", {"command_id": key(), "org_id": CLASS + 2})
    for person, status in ((next(newcomers), 302), (next(newcomers), 422)):
        page = browser.get("/register/administrator").text
        data = {
            "csrf": csrf_of(page),
            "code": made["code"],
            "name": person.name,
            "id_number": person.id_number,
            "phone": person.phone,
            "post": "organiser",
            "password": "Secretary-2026",
        }
        answer = browser.post("/register/administrator", data=data)
        assert answer.status_code == status, answer.text
        if status == 302:
            sign_in(browser, person.id_number, "Secretary-2026")
            assert "操作中心" in browser.get("/desk").text
            browser.post("/sign-out", data={"csrf": csrf_of(browser.get("/me").text)})
    assert 'id="code-fault"' in answer.text


def test_people_edit_their_own_record(browser, town, newcomers):
    """MEM-21: all but name and number; what is wrong is said at its field, and nothing else changes."""
    person = next(newcomers)
    assert ask_in(browser, person).status_code == 302
    office = Office(browser, CLASS + 1)
    (asked,) = [one for one in office.get("/registrations")["items"] if one["name"] == person.name]
    office.send("/registrations/decisions", {"registration_id": asked["registration_id"], "accept": True})
    sign_in(browser, person.id_number, "Newcomer-2026")
    page = browser.get("/me/edit").text
    csrf = csrf_of(page)
    assert 'name="name"' not in page and 'name="id_number"' not in page
    bad = browser.post("/me/edit", data={"csrf": csrf, "joined_on": "2099-01-01", "phone": "19912345678"})
    assert bad.status_code == 422 and 'id="joined_on-fault"' in bad.text and "19912345678" in bad.text
    good = browser.post("/me/edit", data={"csrf": csrf, "contact": "微信 tuanyuan"})
    assert good.status_code == 302
    assert "微信 tuanyuan" in browser.get("/me/edit").text
    assert person.id_number not in browser.get("/me/edit").text


def test_the_members_of_a_whole_subtree(browser, town):
    """MEM-28, SRCH-06: a province sees and narrows its members page by page; nobody sees another's."""
    fullhouse._enter_class(town)
    enter(browser, town, PROVINCE)
    seen, address = [], "/members"
    while address:
        page = browser.get(address).text
        rows = re.findall(r'<a href="/members/(\d+)">', page)
        more = re.search(r'<a class="button quiet"[^>]* href="([^"]*after=\d+)">', page)
        assert len(rows) == 50 if more else rows
        seen += rows
        address = unescape(more[1]) if more else ""
    assert len(seen) == len(set(seen)) > 50
    page = browser.get("/members?name=王").text
    named = re.findall(r'<a href="/members/\d+">([^<]*)</a>', page)
    assert named and all(one.startswith("王") for one in named)
    assert "毕业生" in browser.get("/members?show=graduates").text
    assert browser.get("/members?branch=33").status_code == 403
    mine = Office(browser, COLLEGE)
    answer = browser.get(f"/api/v1/orgs/{PROVINCE}/all-members", headers=mine.headers)
    assert answer.status_code == 403


class Person:
    """Somebody at a browser of their own."""

    def __init__(self, town, client):
        self.town, self.browser = town, create_app(client, town.settings).test_client()

    def get(self, path):
        return self.browser.get(path)

    def post(self, path, **form):
        page = self.browser.get(path).text
        return self.browser.post(
            path, data={"csrf": re.search('name="csrf" value="([^"]+)"', page)[1], **form}
        )

    def sign_in(self, number, password):
        assert self.post("/sign-in", id_number=number, password=password).status_code == 302
        return self


@pytest.fixture
def person(town, client):
    return lambda: Person(town, client)


def official(person, town, org):
    return person().sign_in(world.id_number_of(town, world.administrator_of(org)), world.PASSWORD)


def born_here(town, start, count=1):
    counties = [org.division_code for org in town.tree if org.division_code and len(org.division_code) == 6]
    return list(synthetic.people(count, rng=random.Random(7), division_codes=counties, start=start))


def test_a_member_registers_and_withdraws(town, person):
    """REG-01..05, REG-07: found by name, applied, seen, withdrawn, applied again, accepted."""
    (one,) = born_here(town, 32_000_000)
    branch = next(org for org in town.tree if org.id == CLASS + 3)
    applicant = person()
    path = "/register/member"
    typed = {
        "name": one.name,
        "id_number": one.id_number,
        "phone": one.phone,
        "ethnic_group": one.ethnic_group,
        "joined_on": str(one.joined_on),
        "development_number": one.development_number,
        "password": PASSWORD,
    }
    assert 'href="/register"' in applicant.get("/sign-in").text
    assert "/register/member" in applicant.get("/register").text
    # Enter presses the first button, which searches
    assert applicant.get(path).text.index('value="search"') < applicant.get(path).text.index(
        'value="register"'
    )
    found = applicant.post(path, do="search", org_text=branch.full_name, **typed)
    assert found.status_code == 200 and f'name="org" value="{branch.id}"' in found.text
    assert one.id_number in found.text and PASSWORD not in found.text
    missing = applicant.post(path, do="register", org_text="", **typed)
    assert missing.status_code == 422 and 'href="#org"' in missing.text
    for rubbish in ("x", "0", "9" * 18, "9" * 30, "-1"):
        answer = applicant.post(path, do="register", org=rubbish, **{**typed, "joined_on": "昨天"})
        assert answer.status_code == 422 and 'href="#joined_on"' in answer.text
    done = applicant.post(path, do="register", org=branch.id, **typed)
    assert done.status_code == 302, done.text
    assert "注册申请已提交" in applicant.get("/sign-in").text
    applicant.sign_in(one.id_number, PASSWORD)
    page = applicant.get("/register/mine").text
    assert "待接收" in page
    number = re.search('name="registration" value="([0-9]+)"', page)[1]

    stranger = official(person, town, COLLEGE)
    stranger.browser.post(
        "/register/mine",
        data={
            "csrf": re.search('name="csrf" value="([^"]+)"', stranger.get("/security").text)[1],
            "registration": number,
        },
    )
    assert "待接收" in applicant.get("/register/mine").text  # not the stranger's to withdraw
    assert applicant.post("/register/mine", registration=number).status_code == 302
    page = applicant.get("/register/mine").text
    assert "已撤销" in page and 'name="registration"' not in page

    assert applicant.post(path, do="register", org=branch.id, **typed).status_code == 302
    office = official(person, town, branch.id)
    page = office.get("/registrations").text
    number = re.search('name="registration" value="([0-9]+)"', page)[1]
    assert office.post("/registrations", registration=number, do="accept").status_code == 302
    assert "已接收" in applicant.get("/register/mine").text


def test_one_member_is_entered_and_edited(town, person):
    """MEM-14, MEM-21, DEL-06, MEM-32: entered by the branch's superior, edited, reported, revealed."""
    one, other = born_here(town, 33_000_000, 2)
    office = official(person, town, COLLEGE)
    path = f"/members/new?branch={CLASS}"
    assert f"/members/new?branch={CLASS}" in office.get(f"/members?branch={CLASS}").text
    typed = {
        "branch": CLASS,
        "command_id": str(uuid.uuid4()),
        "name": one.name,
        "id_number": one.id_number,
        "ethnic_group": one.ethnic_group,
        "phone": one.phone,
        "joined_on": str(one.joined_on),
        "development_number": one.development_number,
    }
    wrong = office.post(path, **{**typed, "id_number": one.id_number[:-1] + "?", "joined_on": "x"})
    assert wrong.status_code == 422 and 'href="#joined_on"' in wrong.text
    wrong = office.post(path, **{**typed, "id_number": "9" * 18})
    assert wrong.status_code == 422 and 'href="#id_number"' in wrong.text
    done = office.post(path, **typed)
    assert done.status_code == 302, done.text
    record = done.headers["Location"]
    twice = office.post(path, **{**typed, "command_id": str(uuid.uuid4())})
    assert twice.status_code == 422 and 'href="#id_number"' in twice.text

    page = office.get(record).text
    assert f"{record}/edit" in page and one.id_number not in page
    changes = {"command_id": str(uuid.uuid4()), "contact": "微信 tuanqiao", **typed, "ethnic_group": "土家族"}
    assert office.post(f"{record}/edit", **changes).status_code == 302
    page = office.get(record).text
    assert "微信 tuanqiao" in page and "土家族" in page
    long = office.post(f"{record}/edit", **{**changes, "contact": "长" * 101})
    assert long.status_code == 422 and 'href="#contact"' in long.text and "长" * 101 in long.text

    seen = office.post(f"{record}/number", reason="")
    assert seen.status_code == 422 and one.id_number not in seen.text
    assert one.id_number in office.post(f"{record}/number", reason="核对入团志愿书").text

    report = {"command_id": str(uuid.uuid4()), "cause": "wrong_name", "explanation": "姓名写错"}
    assert office.post(f"{record}/report", **{**report, "cause": "elsewhere"}).status_code == 422
    assert office.post(f"{record}/report", **{**report, "explanation": " "}).status_code == 422
    assert office.post(f"{record}/report", **report).status_code == 302

    # nobody of another college finds the record, or enters into the branch
    stranger = official(person, town, COLLEGE + 500)
    for part in ("", "/edit", "/number", "/report"):
        assert stranger.get(record + part).status_code == 404
    foreign = stranger.post(path, **{**typed, "id_number": other.id_number, "name": other.name})
    assert foreign.status_code == 422

    # by oneself, after the first sign-in
    member = person().sign_in(one.id_number, one.id_number[-8:])
    assert member.post("/password", old=one.id_number[-8:], new=PASSWORD).status_code == 302
    assert "/me/edit" in member.get("/me").text
    mine = {"command_id": str(uuid.uuid4()), **typed, "emergency_contact": "母亲 13900000000"}
    assert member.post("/me/edit", **mine).status_code == 302
    page = member.get("/me/edit").text
    assert "母亲 13900000000" in page
    assert member.get(f"{record}/edit").status_code in (403, 404)
