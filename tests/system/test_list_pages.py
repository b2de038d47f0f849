"""Lists of work lead to the work: order of subordinates, who was contacted, by HTTP as a browser does it."""

import re

import pytest
import sqlalchemy as sa

from system import world
from tests.system.api import CLASS, COLLEGE, sign_in


def enter(browser, town, org):
    """Sign in on the page as the organisation's administrator; return the token of forms."""
    page = browser.get("/sign-in").text
    form = {
        "csrf": re.search('name="csrf" value="([^"]+)"', page)[1],
        "id_number": world.id_number_of(town, world.administrator_of(org)),
        "password": world.PASSWORD,
    }
    assert browser.post("/sign-in", data=form).status_code == 302
    csrf = re.search('name="csrf" value="([^"]+)"', browser.get("/orgs").text)[1]
    assert browser.post("/orgs", data={"csrf": csrf, "org": org}).status_code == 302
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
