"""Choosing an organisation or a place: as one types, level by level, and without JavaScript."""

import re

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
