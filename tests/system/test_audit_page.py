"""The page of the audit log: who has it, what it shows, filters, and the file (BEY-10)."""

import re
import time
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.gateway.kit import capabilities as menu
from system import audit_proof, world
from tests.system.api import sign_in
from tests.system.fullhouse import COLLEGE, PROVINCE, enter
from tests.system.sheets import rows_of
from tests.system.visitor import CHROMIUM, Visitor

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian"
)


@pytest.mark.rule("BEY-10")
def test_only_the_top_has_the_entry():
    """BEY-10: the log is in the menu of the centre and the provincial bodies, and of nobody else."""

    def has(*of):
        return any(entry.path == "/audit" for section in menu.of(*of) for entry in section.entries)

    assert has("leading_body", False, True)
    assert (
        not has("leading_body", False, False)
        and not has("committee", True)
        and not has("branch", True)
        and not has("", False)
    )


@pytest.mark.rule("BEY-10")
def test_the_log_on_a_page(browser, town):
    """BEY-10: a province sees what was done in it, and takes it along; a college is refused.

    It is filtered by kind, actor and place; taking it along is a line of the log.
    """
    answer = browser.post(
        "/api/v1/orgs",
        headers=sign_in(browser, town, COLLEGE),
        json={
            "items": [
                {
                    "command_id": str(uuid4()),
                    "parent_id": COLLEGE,
                    "kind": "branch",
                    "full_name": "共青团日志支部委员会",
                }
            ]
        },
    )
    org_id = answer.json["results"][0]["org_id"]

    enter(browser, town, PROVINCE)
    page = browser.get(f"/audit?kind=org&place={org_id}").text
    assert "新建组织" in page and "共青团日志支部委员会" in page
    assert "新建组织" not in browser.get(f"/audit?kind=right&place={org_id}").text
    assert "新建组织" not in browser.get(f"/audit?place={org_id}&until=2020-01-01").text
    for nonsense in (
        "kind=x",
        "person=²",
        "since=9999-99-99",
        "until=9999-12-31",
        "orgs=x",
        "since=0001-01-01",
        f"members={'9' * 300}",
    ):
        assert browser.get(f"/audit?{nonsense}").status_code < 500, nonsense
    assert 'href="/audit"' in page

    file = browser.get(f"/download/audit?place={org_id}")
    rows = rows_of(file)
    assert len(rows) == 2 and "org.created" in rows[1]
    assert "下载表格" in browser.get("/audit?kind=export").text
    more = re.search(r'href="(/audit\?[^"]*orgs=[^"]*)"', browser.get("/audit").text)
    if more:
        assert browser.get(more[1].replace("&amp;", "&")).status_code == 200

    ends = time.monotonic() + 30
    while True:  # heads are told to the scheduler by themselves, about a second after they have grown
        with town.engine("scheduler").connect() as tx:
            if {*tx.scalars(sa.text("SELECT service FROM kept_heads"))} >= {"orgs", "members"}:
                break
        assert time.monotonic() < ends
        time.sleep(0.2)
    assert [(one.what, one.broken) for one in audit_proof.prove(town.settings)] == [
        (what, []) for what in ("orgs", "members", "transfers", "trails of transfers")
    ]

    enter(browser, town, COLLEGE)
    assert browser.get("/audit").status_code == 403
    assert 'href="/audit"' not in browser.get("/figures").text


OVERLAPS = """() => {
    const boxes = [
        ...document.querySelectorAll('main form label, main form select, main form input, main form button')
    ]
        .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
        .filter(([_, box]) => box.width);
    return boxes
        .flatMap(([one, a], n) => boxes.slice(n + 1)
            .filter(([_, b]) => a.left < b.right - 1 && b.left < a.right - 1
                && a.top < b.bottom - 1 && b.top < a.bottom - 1)
            .map(([other]) => [one, other]))
        .concat([...document.querySelectorAll('main form .pair')]
            .filter(one => {
                const [a, b] = [...one.children].map(part => part.getBoundingClientRect());
                return a.bottom <= b.top || b.bottom <= a.top
            })
            .map(one => one.outerHTML))
}"""
"""Parts of a form that lie on each other, and labels that stand in another line than their field."""


@needs_chromium
@pytest.mark.rule("BEY-14")
@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_fits(chromium, site, town, width):
    """BEY-14: the page of the log fits a phone and a desk, and axe finds nothing."""
    visitor = Visitor(chromium, site, town, width)
    visitor.sign_in(world.administrator_of(PROVINCE), world.PASSWORD)
    for path in ("/audit", "/audit?kind=org&lang=en", "/audit?kind=right&lang=zh"):
        visitor.go(path)
        assert visitor.page.locator("table").count() == 1
        assert not visitor.page.evaluate(OVERLAPS), (path, width)
    visitor.page.context.close()
