"""Choosing an organisation or a place: as one types, level by level, and without JavaScript."""

import re

import pytest
import sqlalchemy as sa

from system import world
from tests.system.api import CLASS, COLLEGE
from tests.system.test_list_pages import enter

UNIVERSITY, PROVINCE = 1_000_001, 42


def offered(page):
    """Return the organisations of a list to choose from, in order, without those that cannot be chosen."""
    return [
        int(one)
        for one, rest in re.findall(r'type="radio" name="target" value="(\d+)"([^>]*)>', page)
        if "disabled" not in rest
    ]


def test_an_organisation_is_found_or_walked_to(browser, town):
    """A spoken name finds it, and so does the way down the tree.

    Leading bodies are there to walk on and cannot be chosen as destinations.
    """
    enter(browser, town, COLLEGE)
    found = offered(browser.get("/pick/organisation?field=target&target_text=浙大计算机&targets_only=1").text)
    assert found
    names = {
        row.org_id: row.full_name
        for row in town.engine("orgs")
        .connect()
        .execute(sa.text("SELECT org_id, full_name FROM orgs WHERE org_id = ANY(:ids)"), {"ids": found})
    }
    assert names[found[0]] == "共青团浙江大学计算机科学与技术学院委员会"
    page = browser.get("/pick/organisation?field=target&target_at=1&targets_only=1").text
    assert offered(page) == [] and f'name="target_at" value="{PROVINCE}"' in page and "湖北省团委" in page
    page = browser.get(f"/pick/organisation?field=target&target_at={PROVINCE}&targets_only=1").text
    assert UNIVERSITY in offered(page)
    page = browser.get(f"/pick/organisation?field=target&target_at={UNIVERSITY}&target={CLASS}").text
    assert f'value="{CLASS}" checked' in page
    assert re.findall(r'name="target_at" value="(\d+)"', page)[:3] == ["1", str(PROVINCE), str(UNIVERSITY)]
    page = browser.get("/pick/organisation?field=target&target_text=没有这样的组织名称").text
    assert offered(page) == [] and "没有找到" in page


QUESTION = "转入组织是否属于北京、广东、福建?"


@pytest.mark.rule("FED-03", "FED-04", "FED-05")
def test_whose_organisation_it_is(browser, town):
    """FED-03: who transfers out is asked, who transfers in is not.

    FED-04, FED-05: the search keeps to the answer. Without one all trees are searched, and each hit
    says whose it is.
    """
    enter(browser, town, COLLEGE)
    assert QUESTION in browser.get(f"/out?branch={CLASS}").text
    assert QUESTION not in browser.get(f"/out?branch={CLASS}&reason=special_unit").text  # SPU-12
    assert QUESTION not in browser.get("/in").text
    with town.engine("orgs").connect() as tx:
        systems = dict(tx.execute(sa.text("SELECT org_id, system FROM orgs")).all())
    asked = "/pick/organisation?field=target&targets_only=1&asks=1"
    for system in ("national", "BJ", "GD", "FJ"):
        page = browser.get(f"{asked}&target_text=大学团委&target_system={system}").text
        assert {systems[one] for one in offered(page)} == {system}
        assert ("target_name" in page) == (system != "national")
    page = browser.get(f"{asked}&target_text=北京大学团委").text
    assert "BJ" in {systems[one] for one in offered(page)}
    assert "北京系统" in page and "target_name" not in page
    page = browser.get(f"{asked}&target_at=1&target_system=FJ").text
    assert "福建省团委" in page and "湖北省团委" not in page


@pytest.mark.rule("FED-06")
def test_what_is_not_found_is_typed(browser, town):
    """FED-06: the name of an organisation of the three is sent as it was typed, and marked as not verified.

    While there is no bridge the words of the refusal say what to do, and what was typed stays.
    """
    enter(browser, town, COLLEGE)
    page = browser.get(f"/out?branch={CLASS}")
    name = "共青团北京某某大学 委员会"
    form = {
        "csrf": re.search(r'name="csrf" value="([^"]+)"', page.text)[1],
        "command_id": re.search(r'name="command_id" value="([^"]+)"', page.text)[1],
        "branch": CLASS,
        "member": "1001",
        "reason": "ordinary",
        "place_name": "某大学",
        "place_address": "某街道",
        "target_system": "BJ",
        "target_name": name,
        "confirm": "1",
    }
    answer = browser.post("/out", data=form)
    assert answer.status_code == 422
    assert (
        "请联系本省省级团委" in answer.text and f'value="{name}"' in answer.text and "未核实" in answer.text
    )
    answer = browser.post("/out", data={**form, "target_system": "national"})
    assert answer.status_code == 422 and "须先选择北京、广东或福建" in answer.text


def test_a_place_is_chosen_level_by_level(browser, town):
    """Province, city, county, township; a city of another province is left behind."""
    enter(browser, town, COLLEGE)

    def chosen(path):
        return re.findall(r'<option value="(\d+)" selected>([^<]+)<', browser.get(path).text)

    assert chosen("/pick/place?field=target") == []
    assert "湖北省" in browser.get("/pick/place?field=target").text
    assert chosen("/pick/place?field=target&target=42&target=4201&target=420115") == [
        ("42", "湖北省"),
        ("4201", "武汉市"),
        ("420115", "江夏区"),
    ]
    assert chosen("/pick/place?field=target&target=33&target=4201&target=420115") == [("33", "浙江省")]
    assert chosen("/pick/place?field=target&target=x&target=") == []


def test_nobody_else_may_look(browser):
    """Whoever has not signed in is sent there."""
    for path in ("/pick/organisation?target_text=武汉", "/pick/place"):
        assert browser.get(path).status_code in (302, 401)


def test_who_keeps_it_and_how_many(browser, town):
    """The list says how many members each has, who administers it, and where there is nobody."""
    enter(browser, town, COLLEGE)
    page = browser.get(f"/orgs?at={COLLEGE}").text
    row = re.search(rf'<a href="/orgs/{CLASS}".*?</tr>', page, re.DOTALL)[0]
    assert re.search(rf'href="/members\?branch={CLASS}">\d+<', row)
    assert world.administrator_of(CLASS) and "没有" not in row
    assert browser.get(f"/orgs/{CLASS}/delete").status_code == 200
    assert "还不能删除" in browser.get(f"/orgs/{CLASS}/delete").text
    assert browser.get(f"/orgs/{UNIVERSITY}/delete").status_code == 403
    assert browser.get("/orgs/999999999/delete").status_code == 404
