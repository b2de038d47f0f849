"""Registering, and one's own and others' records, on the pages, as a browser does it."""

import random
import re
import uuid

import pytest

from services.gateway.app import create_app
from system import synthetic, world
from tests.system.api import CLASS, COLLEGE

PASSWORD = "Registered-2026"


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


def newcomers(town, start, count=1):
    counties = [org.division_code for org in town.tree if org.division_code and len(org.division_code) == 6]
    return list(synthetic.people(count, rng=random.Random(7), division_codes=counties, start=start))


def test_a_member_registers_and_withdraws(town, person):
    """REG-01..05, REG-07: found by name, applied, seen, withdrawn, applied again, accepted."""
    (one,) = newcomers(town, 32_000_000)
    branch = next(org for org in town.tree if org.id == CLASS + 1)
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
    one, other = newcomers(town, 33_000_000, 2)
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
