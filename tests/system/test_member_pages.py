"""Pages of people who come into the system, and of those who look after their own record."""

import random
import re
from html import unescape

import pytest

from system import synthetic
from tests.system import fullhouse
from tests.system.fullhouse import CLASS, COLLEGE, PROVINCE, Office, csrf_of, enter, key


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


def test_a_newcomer_registers_and_takes_it_back(browser, town, newcomers):
    """REG-02, REG-03, REG-05: from the page of signing in; the state is seen, and it may be taken back."""
    assert 'href="/register"' in browser.get("/sign-in").text
    assert "/register/member" in browser.get("/register").text
    person = next(newcomers)
    assert ask_in(browser, person).status_code == 302
    assert "注册申请已提交" in browser.get("/sign-in").text
    assert sign_in(browser, person.id_number, "Newcomer-2026").status_code == 302
    page = browser.get("/register/mine").text
    assert "待接收" in page or "pending" not in page
    number = re.search(r'name="registration" value="(\d+)"', page)[1]
    data = {"csrf": csrf_of(page), "registration": number}
    assert browser.post("/register/mine", data=data).status_code == 302
    page = browser.get("/register/mine").text
    assert "已撤销" in page and 'name="registration"' not in page


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
