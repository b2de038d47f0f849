"""Four journeys in a real browser, each page of them checked by axe (WCAG 2.2 AA).

A graduate on a phone, a class secretary, a college, a province.

Needs a Chromium (`deploy/browser.sh`, called by `make test`, installs Debian's); without one the
journeys are skipped and say why.
"""

import random
import re
import time
import uuid
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from services.gateway.app import create_app
from system import synthetic, world
from tests.system import fullhouse, read_out
from tests.system.api import CLASS, COLLEGE, NEW_CLASS, TARGET
from tests.system.visitor import CHROMIUM, Visitor

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian"
)


def counted(page):
    """Count from now on what a person does: views, taps, names of fields typed in, pages off the way."""
    effort = {"views": 0, "taps": 0, "typed": set(), "detours": []}

    def note(kind, name):
        if kind == "tap":
            effort["taps"] += 1
        else:
            effort["typed"].add(name)

    def viewed(shown):
        effort["views"] += 1
        if urlsplit(shown.url).path not in ("/", "/start"):
            effort["detours"].append(shown.url)

    page.expose_function("noteEffort", note)
    listening = """
        addEventListener("pointerdown", event => event.isTrusted && noteEffort("tap", ""), true);
        addEventListener("input", event => event.isTrusted
            && event.target.matches("input:not([type=radio], [type=checkbox]), textarea")
            && noteEffort("typed", event.target.name), true);
    """
    page.add_init_script(listening)
    page.evaluate("() => {" + listening + "}")
    page.on("load", viewed)
    return effort


@pytest.mark.rule(
    "ACC-05",
    "TRF-09",
    "TRF-20",
    "BEY-01",
    "BEY-02",
    "BEY-14",
    "MSG-03",
    "MSG-10",
    "MSG-11",
    "UI-02",
    "UI-04",
    "UI-05",
    "UI-06",
    "UI-14",
    "UI-03",
    "UI-07",
    "UI-16",
)
def test_a_graduate_on_a_phone(visit, town):
    """A graduate with a phone (360 px), from the first sign-in to "completed".

    The adviser, the summary, the timeline that names who has to act, the messages.

    UI-03, UI-07, UI-16: /zhtj and one's own branch with masked numbers; MSG-03: an item opens its
    approval; MSG-10, MSG-11: messages and the friendly hint.
    """
    graduate = visit(1001, 360, None)
    page = graduate.page
    assert page.url.endswith("/password")
    graduate.look()
    number = world.id_number_of(town, 1001)
    page.fill("#old", number[-8:])
    page.fill("#new", "A-graduate-2026")
    graduate.click("main button")
    page.wait_for_url(re.compile(r"/$"))
    graduate.look()

    graduate.go("/my-branch")
    assert "名团员" in page.inner_text("main") and "199****" in page.inner_text("main")
    graduate.go("/zhtj")
    assert page.locator("a[href='/start']").count()
    graduate.go("/")
    effort = counted(page)
    graduate.click("main a[href='/start']")
    graduate.look()
    read_out.check(page, "wizard-1")
    assert "友情提示" in page.inner_text("main")
    page.check("input[value=study]")
    graduate.click("button:has-text('下一步')")
    assert "TYPE-04" in page.text_content("main details.sources")
    read_out.check(page, "wizard-2")
    page.locator("#target_text").press_sequentially("浙大计算机", delay=20)
    page.wait_for_selector("#target_found input[type=radio]")
    graduate.look()
    page.locator("#target_found input[type=radio]").first.check()
    page.fill("#place_address", "杭州市西湖区")
    graduate.click("button[value=check]")
    graduate.look()
    read_out.check(page, "wizard-3")
    assert "核对并提交" in page.inner_text("main") and "浙江大学 杭州市西湖区" in page.inner_text("main")
    graduate.click("button[name=confirm]")
    page.wait_for_url(re.compile(r"/$"))
    page.wait_for_load_state()
    # Three steps and home again; the name of the school follows from the organisation that was chosen.
    assert (effort["views"], effort["taps"], len(effort["typed"]), effort["detours"]) == (4, 6, 2, []), effort
    graduate.until("届时系统退回")
    assert "转出组织审批" in page.inner_text("main") and "撤销申请" in page.inner_text("main")
    graduate.look()
    assert number not in page.content()

    secretary = visit(world.administrator_of(CLASS))
    secretary.go("/desk")
    secretary.click("ul.plain a >> nth=0")
    secretary.look()
    assert "转出团支部" in secretary.page.inner_text("main")
    secretary.click("button[value=approve]")

    target = (
        town.engine("transfers")
        .connect()
        .execute(
            sa.text(
                "SELECT target_org_id FROM transfers WHERE member_id = 1001 ORDER BY created_at DESC LIMIT 1"
            )
        )
        .scalar()
    )
    receiver = visit(world.administrator_of(target))
    receiver.go("/work?state=pending_in")
    receiver.until("升学")
    page_of = receiver.page
    page_of.locator("tbody input[type=checkbox]").first.check()
    receiver.click("button:has-text('同意所选')")
    page_of.wait_for_selector("text=已同意 1 项")
    receiver.go("/work?state=pending_assign")
    receiver.until("分配所选")
    page_of.locator("tbody input[type=checkbox]").first.check()
    page_of.select_option("#branch", index=page_of.locator("#branch option").count() - 1)
    receiver.click("button:has-text('分配所选')")
    page_of.wait_for_selector("text=已分配 1 项")

    page.goto(f"{graduate.site}/")
    graduate.until("完成")
    graduate.go("/me")
    graduate.until("现在")
    graduate.go("/desk")
    assert {"转入完成", "同意"} <= set(re.findall("转入完成|同意", page.inner_text("main")))
    graduate.click("button:has-text('全部标为已读')")
    assert "未读 0" in page.inner_text("main")


@pytest.mark.rule("TRF-07", "TRF-29", "BEY-05", "UI-10", "UI-12")
def test_a_class_secretary_hands_over(visit, town):
    """A class secretary hands the whole class over to one college in one go.

    The secretary sees what became of each, and withdraws one from the list.

    TRF-07: members, destination, reason, sent.
    """
    secretary = visit(world.administrator_of(CLASS))
    secretary.go("/members")
    page = secretary.page
    secretary.click("tbody a >> nth=0")
    secretary.look()
    assert "组织关系历史" in page.inner_text("main")
    secretary.page.go_back()
    page.click("summary:has-text('导出')")
    with page.expect_download() as download:
        page.click("button:has-text('导出')")
    assert download.value.suggested_filename == "members.xlsx"
    secretary.go("/out?all=1")
    chosen = page.locator("input[name=member]:checked").count()
    assert chosen >= 30
    page.select_option("#reason", "further_study")
    page.fill("#target_text", "华中科技大学")
    page.wait_for_selector("#target_found input[type=radio]")
    page.locator("#target_found input[type=radio]").first.check()
    page.fill("#place_address", "武汉市洪山区")
    secretary.click("button[name=confirm]")
    assert f"已发起 {chosen} 位" in page.inner_text("main")
    secretary.look()
    secretary.go("/list?side=source&open=1")
    secretary.until("转入组织审批")
    secretary.click("tbody a >> nth=0")
    secretary.until("撤销申请")
    page.click("summary:has-text('撤销申请')")
    secretary.click("button:has-text('确认撤销')")
    secretary.until("已撤销")
    assert "按原内容重新发起" in page.inner_text("main")
    secretary.click("button:has-text('按原内容重新发起')")
    secretary.until("转入组织审批")


def three_hundred(town, browser):
    """Enter 300 graduates in a class of their own and start their transfers to TARGET.

    Their college does it in one list.
    """
    source = COLLEGE * 100 + 3
    people = synthetic.people(300, rng=random.Random(5), division_codes=["420106"], start=7_000_000)
    fullhouse.enter_graduates(
        town, [(3_000_000 + n, world.admission(one, source)) for n, one in enumerate(people)]
    )
    headers = {"Authorization": f"Bearer {handlers_token(COLLEGE)}", "X-Acting-Org": str(COLLEGE)}
    answer = browser.post(
        "/api/v1/transfers",
        headers=headers,
        json={
            "items": [
                {
                    "command_id": str(uuid.uuid4()),
                    "initiator": "source",
                    "member_id": 3_000_000 + n,
                    "source_branch_id": source,
                    "target_org_id": TARGET,
                    "reason": "further_study",
                    "place_name": "某大学",
                    "place_address": "某地",
                }
                for n in range(300)
            ]
        },
    )
    assert all(one.get("refusal") is None for one in answer.json["results"])


def handlers_token(org):
    from services.members.accounts import handlers as accounts

    return accounts.keys.signer.sign("person", timedelta(hours=1), sub=str(world.administrator_of(org)))[0]


@pytest.mark.rule("BEY-05", "TRF-31")
def test_a_college_with_300_pending(visit, town, browser):
    """A college administrator with 300 pending items approves all and assigns all.

    Each takes one confirmation, and the progress is watched.
    """
    three_hundred(town, browser)
    college = visit(world.administrator_of(TARGET))
    page = college.page
    college.go("/desk")
    college.until("转入组织审批")
    college.go("/work?state=pending_in")
    college.until("300")
    college.look()
    page.check("input[name=all]")
    page.click("button:has-text('同意所选')")
    page.wait_for_selector("dialog[open]")
    assert "同意 300 项" in page.inner_text("dialog h1")
    college.look()
    page.click("button:has-text('确认同意 300 项')")
    page.wait_for_url("**/bulk/*")
    college.until("完成", 60)
    assert re.search("已办理 300 · 未办理 0", page.inner_text("main"))
    college.look()
    college.go("/work?state=pending_assign")
    college.until("300")
    page.select_option("#branch", str(NEW_CLASS))
    page.check("input[name=all]")
    page.click("button:has-text('分配所选')")
    page.click("button:has-text('确认分配 300 项')")
    page.wait_for_url("**/bulk/*")
    college.until("完成", 60)
    ends = time.monotonic() + 30
    while True:
        with town.engine("members").connect() as tx:
            arrived = tx.scalar(
                sa.text("SELECT count(*) FROM people WHERE branch_id = :org AND person_id >= 3000000"),
                {"org": NEW_CLASS},
            )
        if arrived == 300:
            break
        assert time.monotonic() < ends, arrived
        time.sleep(0.3)


@pytest.fixture(scope="module")
def late(town, client):
    """Let graduates of a class of their own wait for a township, all of them too long."""
    source, first = COLLEGE * 100 + 4, 3_100_000
    people = synthetic.people(5, rng=random.Random(6), division_codes=["420106"], start=7_050_000)
    fullhouse.enter_graduates(
        town, [(first + n, world.admission(one, source)) for n, one in enumerate(people)]
    )
    school = fullhouse.Office(create_app(client, town.settings).test_client(), source)
    asked = [fullhouse.request_of(first + n, source_branch_id=source) for n in range(5)]
    for one in school.send("/transfers", *asked):
        school.wait(one["transfer_id"], "pending_in")


@pytest.mark.rule("BEY-18", "BEY-11", "STAT-16")
@pytest.mark.parametrize("width", [360, 1440])
def test_a_province_finds_the_slowest(visit, town, width, late):
    """A provincial operator sees which subordinate is slowest, goes down to it, and reminds it.

    A figure opens into its people.
    """
    with town.engine("transfers").begin() as tx:
        tx.execute(
            sa.text(
                "UPDATE open_nodes SET opened_at = opened_at - interval '12 days',"
                " expires_at = expires_at - interval '12 days', urged_at = NULL"
            )
        )
    province = visit(world.administrator_of(42), width)
    page = province.page
    province.go("/board")
    assert "最慢" in page.inner_text("main")
    province.click("button:has-text('一键催办') >> nth=0")
    assert re.search(r"已催办 [1-9]\d* 项", page.inner_text("main"))
    province.click("tbody a >> nth=0")
    province.look()
    province.go("/figures")
    assert "升学衔接率" in page.inner_text("main")
    province.click("a.card >> nth=0")
    province.look()


@pytest.mark.rule("ORG-23", "ORG-10", "DEL-01", "UI-11")
def test_a_school_keeps_its_organisations(visit):
    """A university goes down its tree, makes a branch below a college, edits and deletes it.

    It makes the branch as that college. A wrong name is kept in the form.
    """
    college = visit(world.administrator_of(COLLEGE))
    page = college.page
    college.go("/orgs")
    college.click("a:has-text('创建下级组织') >> nth=0")
    college.look()
    page.fill("#full_name", "青工委")
    college.click("button:has-text('创建')")
    assert page.input_value("#full_name") == "青工委" and "不属于团组织" in page.inner_text("main")
    college.complaints.clear()  # the browser notes the refusal itself
    page.fill("#full_name", "共青团武汉大学计算机学院浏览器测试支部委员会")
    college.click("button:has-text('创建')")
    college.look()
    assert "还没有管理员" in page.inner_text("main")
    page.fill("#short_name", "测试支部")
    college.click("button[value=save]")
    college.look()
    page.locator("#text").press_sequentially("浏览器测试", delay=20)
    page.wait_for_selector("#found a:has-text('测试支部')")
    college.click("#found a:has-text('测试支部')")
    college.click("a:has-text('删除组织')")
    college.look()
    assert "从列表和查找中消失" in page.inner_text("main")
    college.click("button[value=delete]")
    assert "测试支部" not in page.inner_text("tbody")


def register_with(visitor, code, person, number):
    """Register on the page as an administrator with a code, sign in, and check the organisation's data."""
    page = visitor.page
    page.goto(f"{visitor.site}/sign-in")
    visitor.click("main a:has-text('注册')")
    visitor.look()
    visitor.click("a:has-text('用注册码注册')")
    visitor.look()
    page.fill("#code", code)
    page.fill("#name", person.name)
    page.fill("#id_number", person.id_number)
    page.fill("#phone", person.phone)
    page.fill("#password", world.PASSWORD)
    visitor.click("main button.primary")
    assert "您已成为" in page.inner_text("main")
    visitor.look()
    ends = time.monotonic() + 20
    while not page.locator("body.office").count():  # the right comes a moment after the registration
        assert time.monotonic() < ends, page.inner_text("main")
        page.context.clear_cookies()
        page.goto(f"{visitor.site}/sign-in")
        page.fill("#id_number", person.id_number)
        page.fill("#password", world.PASSWORD)
        visitor.click("main button.primary")
    visitor.go("/")
    visitor.click("a:has-text('请先核对并完善本组织信息')")
    visitor.look()
    page.fill("#phone", f"027{number}")
    visitor.click("main button:has-text('确定')")
    visitor.look()


def make_below(visitor, name, kind):
    """Make an organisation below the own one, and a code for it; return the code."""
    page = visitor.page
    visitor.click("main a:has-text('创建下级组织')")
    visitor.look()
    page.fill("#full_name", name)
    page.select_option("#kind", kind)
    visitor.click("button:has-text('创建')")
    assert "还没有管理员" in page.inner_text("main")
    visitor.look()
    return made_code(visitor, "生成注册码")


def made_code(visitor, button):
    """Press the button until there is a code; members hears of an organisation a moment after orgs."""
    ends = time.monotonic() + 20
    while True:
        before = visitor.page.url
        visitor.click(f"button:has-text('{button}')")
        if visitor.page.locator(".code").count():
            visitor.look()
            return visitor.page.inner_text(".code")
        assert time.monotonic() < ends, visitor.page.inner_text("main")
        visitor.complaints.clear()  # the browser notes the refusal itself
        visitor.page.goto(before)


@pytest.mark.rule("ADM-04", "REG-03", "SCH-02")
def test_a_tree_is_built_by_codes(visit, chromium, site, town):
    """A province, a university, a college, a class and its first member, on phones and on pages alone.

    Each hands a code on to the next; the class hands on the link by which its members register.
    """
    people = synthetic.people(4, rng=random.Random(17), division_codes=["420115"], start=7_900_000)
    province = visit(world.administrator_of(42), 360)
    province.go("/schools")
    province.page.fill("#full_name", "共青团长江职业学院委员会")
    province.page.select_option("#industry", "高等职业院校")
    province.click("button:has-text('创建')")
    province.page.check("input[aria-label='共青团长江职业学院委员会']")
    code = made_code(province, "为所选生成管理员注册码")
    names = ("共青团长江职业学院计算机系委员会", "共青团长江职业学院计算机系2026级软件1班支部委员会")
    visitors = [Visitor(chromium, site, town, 360) for _ in range(4)]
    for at, (name, kind) in enumerate(zip(names, ("committee", "branch"), strict=True)):
        register_with(visitors[at], code, next(people), 87650001 + at)
        code = make_below(visitors[at], name, kind)
    secretary, member = visitors[2:]
    register_with(secretary, code, next(people), 87650003)
    link = secretary.page.locator("a:has-text('注册链接')").get_attribute("href")

    person = next(people)
    member.go(link)
    page = member.page
    assert page.locator("#org input:checked").count() == 1 and "软件1班" in page.inner_text("#org")
    page.fill("#name", person.name)
    page.fill("#id_number", person.id_number)
    page.fill("#phone", person.phone)
    page.fill("#joined_on", str(person.joined_on))
    page.fill("#development_number", person.development_number)
    page.fill("#password", world.PASSWORD)
    member.click("button:has-text('提交申请')")
    member.look()
    page.fill("#id_number", person.id_number)
    page.fill("#password", world.PASSWORD)
    member.click("main button.primary")
    assert "待接收" in page.inner_text("main") and "软件1班" in page.inner_text("main")
    member.look()

    secretary.go("/desk")
    secretary.click("main a[href='/registrations'] >> nth=0")
    secretary.look()
    secretary.click("button:has-text('接收')")
    secretary.look()
    member.go("/")
    member.until("软件1班")
    assert "待接收" not in page.inner_text("main")
    for one in visitors:
        one.page.context.close()


@pytest.mark.rule("UI-05")
def test_an_expired_session_comes_back(visit):
    """Somebody whose session has ended is led to sign in and comes back to the same place.

    A form from before is refused, and the page says so.
    """
    college = visit(world.administrator_of(COLLEGE))
    page = college.page
    college.go("/figures?cohort=2025")
    page.context.clear_cookies()
    page.goto(f"{college.site}/figures?cohort=2025")
    assert "/sign-in" in page.url
    page.fill("#id_number", world.id_number_of(college.town, world.administrator_of(COLLEGE)))
    page.fill("#password", world.PASSWORD)
    college.click("main button")
    page.wait_for_url(re.compile("/figures"))
    assert "cohort=2025" in page.url


@pytest.mark.long
def test_what_still_works(visit, town):
    """Without the transfers service the operation centre says so and shows the rest.

    A page that needs it says what still works; afterwards all is well.
    """
    college = visit(world.administrator_of(COLLEGE))
    page = college.page
    town.kill("transfers")
    try:
        page.goto(f"{college.site}/desk", timeout=40_000)
        assert "服务暂时不可用" in page.inner_text("main") and "操作中心" in page.inner_text("h1")
        page.goto(f"{college.site}/work", timeout=40_000)
        assert "可能仍可使用" in page.inner_text("main")
        page.goto(f"{college.site}/orgs", timeout=40_000)
        assert "计算机学院" in page.inner_text("main")
    finally:
        town.start("transfers")
    college.complaints.clear()
    college.go("/work")
