"""The queue of approvals with 402 waiting: size, keys, clicks; on a screen, and without a script."""

import random
import re
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.gateway.app import create_app
from shared import clock
from system import synthetic, world
from tests.system import forms, fullhouse, read_out, sheets
from tests.system.api import COLLEGE, TARGET
from tests.system.fullhouse import enter
from tests.system.visitor import CHROMIUM, Visitor

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no browser")
SOURCE = COLLEGE * 100 + 3
NEW_CLASS = TARGET * 100 + 7
FIRST = 3_000_000
ALL, UNUSUAL, LATE = 402, 38, 3


@pytest.fixture(scope="module")
def queue(town, client):
    """402 graduates who wait for TARGET: some late, some due today, some unusual, some reminded of."""
    people = synthetic.people(ALL, rng=random.Random(5), division_codes=["420106"], start=7_000_000)
    fullhouse.enter_graduates(
        town, [(FIRST + n, world.admission(one, SOURCE)) for n, one in enumerate(people)]
    )
    browser = create_app(client, town.settings).test_client()
    office = fullhouse.Office(browser, COLLEGE)
    made = office.send(
        "/transfers",
        *(
            {
                "command_id": fullhouse.key(),
                "initiator": "source",
                "member_id": FIRST + n,
                "source_branch_id": SOURCE,
                "target_org_id": TARGET,
                "reason": "further_study",
                "place_name": "某大学",
                "place_address": "某地",
                "remark": "软件工程1班" if n % 2 else "",
            }
            for n in range(ALL)
        ),
    )
    ids = sorted(one["transfer_id"] for one in made)
    target = fullhouse.Office(browser, TARGET)
    target.wait(ids[-1], "pending_in", 60)
    target.wait(ids[0], "pending_in", 60)
    now = clock.now()
    with town.engine("transfers").begin() as tx:
        for some, change in (
            (ids[:LATE], {"expires_at": now - timedelta(hours=5)}),
            (ids[LATE:], {"expires_at": now + timedelta(days=4)}),
        ):
            tx.execute(
                sa.text("UPDATE open_nodes SET expires_at = :expires_at WHERE transfer_id = ANY(:ids)"),
                {"ids": some, **change},
            )
        tx.execute(
            sa.text("UPDATE transfers SET concern = 'employer' WHERE transfer_id = ANY(:ids)"),
            {"ids": ids[10 : 10 + UNUSUAL]},
        )
        tx.execute(
            sa.text("UPDATE open_nodes SET reminders = 1 WHERE transfer_id = ANY(:ids)"), {"ids": ids[-6:]}
        )
    return ids


@pytest.fixture
def at_work(browser, town, queue):
    """The target's administrator, signed in; the token of forms."""
    return enter(browser, town, TARGET)


def rows(page):
    return re.findall(r'name="item" value="(\d+)-\d+"', page)


def chips(page):
    """Return the chips above the list with their counts."""
    (some,) = re.findall(r'<ul class="chips">(.*?)</ul>', page, re.DOTALL)
    return {name: int(n) for name, n in re.findall(r">\s*([^\s<]+) (\d+)\s*</(?:a|span)>", some)}


def presses(page):
    """Return how often Tab is pressed, from where the focus is, until "approve" has it."""
    for n in range(1, 40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.value") == "approve":
            return n
    raise AssertionError(page.evaluate("document.activeElement.outerHTML"))


@needs_chromium
def test_the_queue_as_it_is_read_out(chromium, site, town, queue):
    """The page of approvals to ears and to the keyboard alone.

    Heading, filters, decisions and one table with named heads, in this order; each row has a box with
    the person's name. From the top of the page twelve presses of Tab reach "approve" at most, after the
    link that skips the bar six, and a click nowhere is needed before.
    """
    one = Visitor(chromium, site, town, 1440)
    one.sign_in(world.administrator_of(TARGET), world.PASSWORD)
    one.go("/work?state=pending_in")
    page = one.page
    read_out.check(page, "queue")
    assert page.get_by_role("checkbox", name=re.compile("^选择 .")).count() == 20
    assert presses(page) <= 12
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert presses(page) <= 6
    page.context.close()


def test_the_state_is_in_the_address(browser, queue, at_work):
    """Chips, filters, order and pages are links and fields; what an address cannot mean is left out."""
    page = browser.get("/work").text
    assert chips(page) == {
        "全部": ALL,
        "已超期": LATE,
        "今日到期": 0,
        "有提示": UNUSUAL,
        "校验通过": ALL - UNUSUAL,
        "已提醒": 6,
    }
    assert len(rows(page)) == 20 and "选中符合条件的全部 402 项" in page
    late = browser.get("/work?state=pending_in&due=late").text
    assert sorted(map(int, rows(late))) == queue[:LATE] and chips(late)["全部"] == ALL
    by_deadline = browser.get("/work?state=pending_in&sort=due").text
    assert sorted(map(int, rows(by_deadline)[:LATE])) == queue[:LATE]
    seen, path = [], "/work?state=pending_in&check=unusual"
    while path:
        page = browser.get(path).text
        seen += rows(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else None
    assert sorted(map(int, seen)) == queue[10 : 10 + UNUSUAL]
    assert page.count("去向不常见</span>") >= 18
    for nonsense in ("state=x&due=y&check=z&sort=w&source=-1&province=99&reason=q", "state=completed"):
        assert browser.get(f"/work?{nonsense}").status_code == 200


def test_a_name_is_found_where_one_may_see_it(browser, town, queue, at_work):
    """By its beginning, among those who wait; nobody else's queue shows them (SRCH-06)."""
    with town.engine("members").connect() as tx:
        name = tx.scalar(sa.text("SELECT name FROM people WHERE person_id = :id"), {"id": FIRST + 7})
        surname = tx.scalars(
            sa.text(
                "SELECT person_id FROM people"
                " WHERE person_id >= :id AND person_id < :id + :all AND starts_with(name, :name)"
            ),
            {"id": FIRST, "all": ALL, "name": name[0]},
        ).all()
    page = browser.get(f"/work?state=pending_in&name={name}").text
    assert 'pattern="(?!.*[0-9]{7}).*"' in page
    assert 1 <= len(rows(page)) < 20 and f">{name}</a>" in page
    assert f"符合条件 {len(surname)} 项" in browser.get(f"/work?state=pending_in&name={name[0]}").text
    by_name = [browser.get(f"/work?state=pending_in&sort=name&name={name[0]}").text]
    while following := re.search(r'rel="next" href="([^"]+)"', by_name[-1]):
        by_name.append(browser.get(following[1].replace("&amp;", "&")).text)
    seen = [one for page in by_name for one in rows(page)]
    assert len(seen) == len(set(seen)) == len(surname)
    nobody = browser.get("/work?state=pending_in&name=甲乙丙丁").text
    assert rows(nobody) == [] and "没有符合条件的待办" in nobody
    asked = {"csrf": at_work, "state": "pending_in", "name": "甲乙丙丁", "all": "1", "do": "approve"}
    assert "没有符合条件的待办" in browser.post("/work", data=asked).text
    enter(browser, town, TARGET + 1)
    assert rows(browser.get(f"/work?name={name}").text) == []


def test_the_count_and_the_exceptions_come_first(browser, queue, at_work):
    """Of more than one the page asks, with what the rules found; nothing is done by asking (BEY-05)."""
    asked = {"csrf": at_work, "state": "pending_in", "all": "1", "do": "approve"}
    page = browser.post("/work", data=asked).text
    assert "同意 402 项" in page and f"其中 {UNUSUAL} 项有提示" in page
    assert f"只办没有提示的 {ALL - UNUSUAL} 项" in page
    assert page.count('name="without"') == UNUSUAL
    (form,) = [one for one in forms.read(page)[0] if one.action == "/work"]
    assert form.entered is None
    two = [f"{one}-1" for one in queue[9:11]]
    some = browser.post("/work", data={**asked, "all": "", "item": two}).text
    assert "同意 2 项" in some and "其中 1 项有提示" in some
    assert chips(browser.get("/work").text)["全部"] == ALL
    stale = {**form.filled(), "csrf": at_work, "do": "approve", "expected": "401", "without": ""}
    changed = browser.post("/work", data=stale)
    assert changed.status_code == 409 and "请重新确认" in changed.text


def test_views_and_phrases_on_the_page(browser, queue, at_work):
    """A view is kept with what the page shows, and forgotten; it leads back to the same list."""
    view = {"csrf": at_work, "state": "pending_in", "check": "unusual", "sort": "due"}
    kept = {**view, "title": "先看这些", "view_id": str(uuid.uuid4())}
    said = browser.post("/work/views", data=kept, follow_redirects=True).text
    assert "已保存视图“先看这些”" in said
    link = re.search(r'<a href="([^"]+)">先看这些</a>', said)[1].replace("&amp;", "&")
    assert f"符合条件 {UNUSUAL} 项" in browser.get(link).text
    drop = re.search(r'name="drop" value="([^"]+)"', said)[1]
    gone = browser.post("/work/views", data={**view, "drop": drop}, follow_redirects=True).text
    assert "已删除视图" in gone and "先看这些</a>" not in gone
    for bad in ({**kept, "title": ""}, {**kept, "title": "x" * 10_000}, {**kept, "view_id": "x"}):
        assert browser.post("/work/views", data=bad).status_code < 500


def test_the_list_is_taken_along(browser, queue, at_work):
    """What is filtered comes as a spreadsheet with names, and without a session not at all."""
    answer = browser.get("/download/queue?state=pending_in&due=late")
    assert answer.status_code == 200
    lines = sheets.rows_of(answer)
    assert len(lines) == 1 + LATE and "系统校验" in lines[0]
    assert browser.application.test_client().get("/download/queue").status_code == 302


def test_a_transfer_of_the_queue_leads_to_the_next(browser, town, queue, at_work):
    """Without a script: the page of one transfer approves and shows the next of the same list."""
    first = queue[10]
    page = browser.get(f"/transfers/{first}?state=pending_in&check=unusual&queue=1").text
    assert "去向不常见" in page
    (form,) = [one for one in forms.read(page)[0] if one.action == f"/transfers/{first}/decide"]
    assert form.entered is None
    done = browser.post(form.action, data={**form.filled(), "csrf": at_work, "do": "approve"})
    assert done.headers["Location"].startswith(f"/transfers/{queue[11]}?")
    assert "已同意" in browser.get(done.headers["Location"]).text
    assert fullhouse.Office(browser, TARGET).get(f"/transfers/{first}")["transfer"]["state"] != "pending_in"


def test_assignment_by_a_rule(browser, queue, at_work):
    """ASG-02: a preview says who goes where and who does not; then one command, checked row by row."""
    office = fullhouse.Office(browser, TARGET)
    some = queue[-9:-6]
    office.send(
        "/transfers/decisions",
        *(
            {"decision_id": fullhouse.key(), "transfer_id": one, "node_no": 1, "approve": True}
            for one in some
        ),
    )
    some = [one["transfer_id"] for one in office.get("/work?state=pending_assign&limit=100")["items"]]
    by_name = browser.get("/work/assign?rule=class_name").text
    assert "能分配的 0 人" in by_name and by_name.count("没有认出团支部") == len(some)
    page = browser.get(f"/work/assign?rule=round_robin&seat={NEW_CLASS}").text
    assert f"能分配的 {len(some)} 人" in page and f"+{len(some)}" in page
    (form,) = [one for one in forms.read(page)[0] if one.method == "post" and one.action == "/work/assign"]
    pairs = [value for name, value, *_ in form.fields if name == "pair"]
    assert sorted(pairs) == sorted(f"{one}-{NEW_CLASS}" for one in some)
    sent = {**form.filled(), "csrf": at_work, "confirmed": "1"}
    for wrong in (f"{some[0]}-{SOURCE}", f"{queue[-1]}-{NEW_CLASS}", f"{10**9}-{NEW_CLASS}"):
        said = browser.post("/work/assign", data={**sent, "pair": wrong}, follow_redirects=True).text
        assert "1 项未办理" in said and "已分配" not in said, wrong
    plan = {**sent, "pair": pairs, "plan_id": str(uuid.uuid4())}
    done = f"已分配 {len(some)} 项"
    assert done in browser.post("/work/assign", data=plan, follow_redirects=True).text
    again = browser.post("/work/assign", data=plan, follow_redirects=True).text
    assert done in again  # sent twice it is done once, and answered alike
    for one in some:
        office.wait(one, "completed")


def test_a_part_of_a_page_says_what_went_wrong(browser, queue, at_work):
    """In dialog and drawer a refusal is shown, not swallowed; of others nothing is told."""
    part = {"HX-Request": "true", "HX-Target": "dialog"}
    none = browser.post("/work", data={"csrf": at_work, "state": "pending_in", "do": "approve"}, headers=part)
    assert none.status_code == 200 and "先勾选" in none.text and "<html" not in none.text
    drawer = {"HX-Request": "true", "HX-Target": "drawer"}
    other = browser.get(f"/transfers/{10**9}?state=pending_in&queue=1", headers=drawer)
    assert "未找到该转接业务" in other.text and "<html" not in other.text
    ended = browser.application.test_client().get(f"/transfers/{queue[0]}", headers=drawer)
    assert ended.headers["HX-Refresh"] == "true"


@needs_chromium
def test_402_on_a_screen(chromium, site, town, queue):
    """Two screens high, few stops, few clicks; keys, drawer and dialog (the figures of the issue)."""
    one = Visitor(chromium, site, town, 1440)
    page = one.page
    one.sign_in(world.administrator_of(TARGET), world.PASSWORD)
    page.set_viewport_size({"width": 1440, "height": 900})
    one.go("/work?state=pending_in")
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height <= 2 * 900, height
    print("height", height)
    # what is done to the ticked stays in sight down to the last row, above the head of the table
    page.locator("tbody tr").last.scroll_into_view_if_needed()
    bar, head = (page.locator(one).bounding_box() for one in ("#actions", ".data thead th >> nth=1"))
    assert 0 < bar["y"] < head["y"] < 150 and head["y"] - (bar["y"] + bar["height"]) < 1, (bar, head)
    page.evaluate("scrollTo(0, 0)")
    # keys: down, down, tick; the help; nothing while typing
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator("tbody tr").nth(1).locator("input").is_checked()
    assert page.inner_text("#chosen [data-some]") == "已选 1 项"
    page.keyboard.press("k")
    page.keyboard.press("x")
    assert page.inner_text("#chosen [data-some]") == "已选 2 项"
    page.keyboard.press("a")
    page.wait_for_selector("dialog[open] h1:has-text('同意 2 项')")
    page.click("dialog [data-close]")
    page.keyboard.press("r")
    page.wait_for_selector("dialog[open] h1:has-text('驳回 2 项')")
    page.click("dialog [data-close]")
    page.keyboard.press("?")
    assert page.locator("#keys").get_attribute("open") is not None
    assert [one.strip() for one in page.locator("#keys kbd").all_inner_texts()] == [*"JKXAR?"]
    page.fill("#name", "")
    page.locator("#name").press("x")
    assert page.input_value("#name") == "x" and page.locator("input[name=item]:checked").count() == 2
    page.uncheck("#keys-on")
    page.keyboard.press("?")
    assert page.locator("#keys").get_attribute("open") is not None
    page.check("#keys-on")
    # the drawer: approve and next
    page.locator("tbody th a").first.click()
    page.wait_for_selector("#drawer [data-id]")
    one.look()
    before = page.locator("#drawer [data-id]").get_attribute("data-id")
    page.click("#drawer button:has-text('同意并看下一项')")
    page.wait_for_selector(f"#drawer [data-id]:not([data-id='{before}'])")
    assert page.locator(f"#row-{before}").count() == 0
    # returning is a dialog of its own, and Enter in it sends nothing
    page.click("#drawer button:has-text('驳回')")
    page.wait_for_selector("dialog[open]")
    one.look()
    page.fill("#note", "请补充材料")
    page.press("#note", "Enter")
    page.wait_for_timeout(200)
    assert page.locator("dialog[open]").count() == 1
    page.click("dialog [data-close]")
    # all that is usual, in four clicks
    one.go("/work?state=pending_in")
    count = int(page.inner_text(".chips a:has-text('校验通过')").split()[-1])
    page.click(".chips a:has-text('校验通过')")
    page.check("input[name=all]")
    page.click("button:has-text('同意所选')")
    page.click(f"button:has-text('确认同意 {count} 项')")
    page.wait_for_url("**/bulk/*")
    one.until("完成", 60)
    assert f"已办理 {count}" in page.inner_text("main")
    page.context.close()


@needs_chromium
def test_the_queue_on_a_phone(chromium, site, town, queue):
    """At 360 px a list with everything in it; the drawer covers it."""
    one = Visitor(chromium, site, town, 360)
    one.sign_in(world.administrator_of(TARGET), world.PASSWORD)
    one.go("/work?state=pending_in")
    one.page.locator("tbody th a").first.click()
    one.page.wait_for_selector("#drawer [data-id]")
    one.look()
    one.page.context.close()


@needs_chromium
def test_one_of_forty_posts(chromium, site, town, queue):
    """ROLE-14: who has forty posts finds one in the bar by words of its name; "/" leads to the search."""
    person = world.administrator_of(TARGET + 1)
    elsewhere = [
        org.id
        for org in town.tree
        if org.kind == "branch" and org.id // 100 != TARGET and org.province not in world.FEDERATED
    ]
    branches = elsewhere[:40]
    with town.engine("orgs").begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO administrators (org_id, person_id, active, version, changed_at)"
                " SELECT unnest(CAST(:ids AS bigint[])), :person, true, 1, now() ON CONFLICT DO NOTHING"
            ),
            {"ids": branches, "person": person},
        )
    one = Visitor(chromium, site, town, 1440)
    one.sign_in(person, world.PASSWORD)
    page = one.page
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.click(".scope summary")
    page.wait_for_selector(".scope .posts li:nth-child(41)")
    one.look()
    page.set_viewport_size({"width": 360, "height": 760})
    panel = page.locator(".scope > div").bounding_box()
    assert panel["x"] >= 0 and panel["x"] + panel["width"] <= 360, panel
    page.set_viewport_size({"width": 1440, "height": 760})
    name = next(org.full_name for org in town.tree if org.id == branches[25])
    page.fill(".scope input[name=text]", f"{name[-12:-6]} {name[2:6]}")
    page.wait_for_selector(".scope .posts ul:not(:has(li:nth-child(41)))")
    page.click(f".scope .posts button:has-text('{name}')")
    page.wait_for_selector(f".scope .name:has-text('{name}')")
    assert page.url.endswith("/desk")
    page.context.close()
    with town.engine("orgs").begin() as tx:
        tx.execute(
            sa.text("DELETE FROM administrators WHERE person_id = :person AND org_id = ANY(:ids)"),
            {"ids": branches, "person": person},
        )
