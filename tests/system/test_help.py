"""Guides by role: each role has its own, every link on it opens for that role, English is complete."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.gateway import app as gateway_app
from services.gateway.pages.help_texts import GUIDES, QUESTIONS
from shared.translations import english
from system import world
from tests.system.api import CLASS, COLLEGE
from tests.system.fullhouse import COUNTY, PROVINCE, ROOT, TOWNSHIP, UNIVERSITY, enter
from tests.system.visitor import CHROMIUM, Visitor

TEMPLATES = Path(gateway_app.__file__).parent / "templates"
ROLES = {
    ROOT: "province",
    PROVINCE: "province",
    COUNTY: "county",
    TOWNSHIP: "county",
    UNIVERSITY: "school",
    COLLEGE: "school",
    CLASS: "secretary",
}


def links(page):
    """Return where the guide itself leads: what stands in its article."""
    return set(re.findall(r'href="(/[^"#]*)"', page[page.index("<article") : page.index("</article>")]))


def test_each_role_has_its_guide_and_every_link_of_every_guide_opens(browser, town):
    """`/help` leads to one's own guide; on all guides there are only links that the reader can open."""
    for org, own in ROLES.items():
        csrf = enter(browser, town, org)
        answer = browser.get("/help")
        assert answer.location == f"/help/{own}", org
        assert 'href="/help"' in browser.get("/security").text
        found = {name: links(browser.get(f"/help/{name}").text) for name in GUIDES}
        assert {step.path for step in GUIDES[own].steps if step.path} - found[own] <= {"/out"}, org
        for path in sorted(set().union(*found.values())):
            assert browser.get(path).status_code == 200, (org, path)
        browser.post("/sign-out", data={"csrf": csrf})
    enter(browser, town, CLASS)
    with browser.session_transaction() as cookie:
        for name in ("org", "org_name", "org_kind", "org_school", "org_top"):
            cookie.pop(name, None)
    assert browser.get("/help").location == "/help/member"
    found = links(browser.get("/help/member").text)
    assert {"/start", "/mine", "/me", "/me/edit"} <= found
    for name in GUIDES:
        for path in links(browser.get(f"/help/{name}").text):
            assert browser.get(path).status_code == 200, (name, path)


def test_who_has_not_signed_in_reads_the_guides(browser):
    """A guide is there before signing in, with links to public pages only; an unknown one is none."""
    assert browser.get("/help").location == "/help/member"
    for name in GUIDES:
        found = links(browser.get(f"/help/{name}").text)
        assert found and all(browser.get(path).status_code == 200 for path in found), found
    assert browser.get("/help/nobody").status_code == 404


def test_guides_are_whole(browser):
    """Every text is there and has English; every step and question is an anchor, and used once a page."""
    for name, guide in GUIDES.items():
        page = browser.get(f"/help/{name}?lang=en").text
        article = page[page.index("<article") : page.index("</article>")]
        keys = [step.key for step in guide.steps] + list(guide.questions)
        assert len(set(keys)) == len(keys)
        assert all(f'id="{key}"' in article for key in keys)
        assert not re.search("[\u4e00-\u9fff]", article), name
    assert set(QUESTIONS) == {key for guide in GUIDES.values() for key in guide.questions}
    assert english("操作指南") == "Guide"


def test_links_from_other_pages_lead_to_a_part_of_a_guide():
    """A page that sends people to a part of a guide names one that exists."""
    led = {
        (name, part)
        for path in TEMPLATES.rglob("*.html")
        for name, part in re.findall(r"/help/(\w+)#(\w+)", path.read_text())
    }
    assert len(led) >= 8
    for name, part in led:
        guide = GUIDES[name]
        assert part in [step.key for step in guide.steps] + list(guide.questions), (name, part)


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_guides_and_paper_in_a_browser(town, chromium, site):
    """Guides are accessible and stick out nowhere on a phone; a record prints with its organisation and date.

    On paper there is nothing to press, what is folded is open, and a phone's layout is not taken.
    """
    visitor = Visitor(chromium, site, town, 360)
    visitor.sign_in(world.administrator_of(CLASS), world.PASSWORD)
    for name in GUIDES:
        visitor.go(f"/help/{name}")
    page = visitor.page
    with town.engine("members").connect() as tx:
        member = tx.execute(
            sa.text("SELECT min(person_id) FROM people WHERE branch_id = :branch"), {"branch": CLASS}
        ).scalar()
    for path in (f"/members/{member}", "/verify", "/help/secretary"):
        visitor.go(path)
        assert page.locator(".printed").is_hidden()
        page.emulate_media(media="print", color_scheme="dark")
        printed = page.inner_text(".printed")
        assert re.search(r"打印时间 \d{4}-\d\d-\d\d", printed) and "团" in printed, printed
        for hidden in (".topbar", ".foot", ".crumbs", "main .button", "main button", ".sources", ".chips"):
            assert not page.locator(hidden).locator("visible=true").count(), (path, hidden)
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        page.emulate_media(media="screen", color_scheme="light")
