"""The pages of transfers to and from Beijing's system, in a real browser; each is checked by axe."""

import shutil
import uuid
from contextlib import closing

import pytest

from services.gateway.app import create_app
from services.members.accounts import handlers as accounts
from system import world
from tests.system import border
from tests.system.conftest import Town
from tests.system.fullhouse import CLASS, COLLEGE, Office
from tests.system.visitor import CHROMIUM

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian"
)
_STARTS = "main :is(a[href^='/start'], a[href^='/register'], a[href='/me/edit'], form[method=post])"
SERVICES = ("orgs", "members", "transfers", "scheduler")


@pytest.fixture(scope="module")
def town(first_town, tmp_path_factory):
    """An installation whose bridges are connected; what they tell is told by hand."""
    keys = tmp_path_factory.mktemp("town") / "keys"
    shutil.copytree(first_town.settings.keys, keys)
    accounts.use(keys)
    with closing(Town(keys, environ=border.ENVIRON)) as made:
        made.create(like=first_town.settings)
        made.tree = list(first_town.tree)
        made.start(*SERVICES)
        yield made


@pytest.fixture(scope="module")
def house(town, client):
    return border.fill(town, create_app(client, town.settings).test_client())


def seen(visitor):
    return visitor.page.inner_text("main")


@pytest.mark.rule("FED-03", "FED-04", "FED-06", "FED-09")
def test_a_graduate_chooses(visit, house):
    """FED-03, FED-04, FED-06, FED-09: asked which system, searched there alone, typed with a warning.

    That nothing of it is withdrawn is said before it is sent. Left blank, the school is the chosen one.
    """
    graduate = visit(house.who_stays, 360)
    page = graduate.page
    graduate.go("/start?plan=study&step=fields&reason=further_study")
    page.fill("#target_text", border.LONGEST)
    page.check(f"input[name=target][value='{house.college}']")
    page.fill("#place_address", "北京市昌平区")
    graduate.click("button[value=check]")
    page.wait_for_selector("button[name=confirm]")
    school = border.LONGEST.removeprefix("共青团").removesuffix("委员会")
    assert page.input_value("input[name=place_name]") == school
    graduate.go("/start?plan=study&step=fields&reason=further_study")
    assert "属于的,提交后不能撤销" in seen(graduate)
    page.fill("#target_text", "学院")
    page.check("input[name=target_system][value=BJ]")
    page.wait_for_selector("#target_name")
    systems = page.locator("#target_found .choice .tag:last-of-type").all_inner_texts()
    assert systems and set(systems) == {"北京系统"}
    assert "标为“未核实”" in seen(graduate)
    graduate.look()
    page.fill("#target_name", border.TYPED)
    page.fill("#place_address", "北京市昌平区")
    graduate.click("button[value=check]")
    page.wait_for_selector("button[name=confirm]")
    assert f"共青团{page.input_value('input[name=place_name]')}总支部委员会" == border.TYPED
    graduate.look()
    said = seen(graduate)
    assert border.TYPED in said and "未核实" in said and "提交后不能撤销" in said
    assert "再交给北京系统审批" in said and "办结前可以撤销" not in said
    graduate.click("button[name=confirm]")
    graduate.until("转出组织审批")
    graduate.look()


def test_an_office_chooses(visit, house):
    """FED-03, FED-09: whoever transfers out is asked the same; the page says it in English, too."""
    school = visit(world.administrator_of(CLASS))
    school.go(f"/out?branch={CLASS}")
    assert "转入组织是否属于北京、广东、福建" in seen(school) and "属于的,提交后不能撤销" in seen(school)
    school.page.goto(f"{school.site}/out?branch={CLASS}&lang=en")
    assert "cannot be withdrawn once it is sent" in seen(school)
    school.go("/list?lang=zh")
    assert "北京系统 · 北京航空航天" in seen(school) and border.TYPED in seen(school)


@pytest.mark.rule("FED-13")
def test_a_graduate_waits(visit, house):
    """FED-13: what happens over there, at whose desk, since when; nothing to do; whom to call; no urging."""
    for person, number, told in (
        (0, house.waiting, (border.DESKS[1], "010-82317000", "对方系统签收")),
        (1, house.silent, ("对方还没有签收", "010-82310001", "已等4天")),
        (2, house.typed, (border.TYPED, "未核实", "北京系统")),
        (3, house.handing, ("档案正在移交", "组织关系仍在原团支部", "已等4天")),
    ):
        graduate = visit(border.FIRST + person, 360)
        if number in (house.waiting, house.typed):
            graduate.look()
        for words in (*told, "您现在不用做什么"):
            assert words in seen(graduate), (number, words)
        for words in ("催办", "撤销申请"):
            assert words not in seen(graduate), (number, words)
        assert graduate.page.locator("a.button[href^='tel:']").count() == (number != house.typed)
    graduate.go(f"/transfers/{house.handing}")
    assert "催办" not in seen(graduate) and "档案发往对方系统" in seen(graduate)
    graduate.page.goto(f"{graduate.site}/?lang=en")
    assert "There is nothing for you to do now" in seen(graduate)


@pytest.mark.rule("FED-08")
def test_an_arrival_is_approved(visit, house):
    """FED-08: who comes is approved as anybody; row, drawer and page name system, branch and its number."""
    origin = "北京系统 · 北京航空航天"
    college = visit(world.administrator_of(COLLEGE), 360)
    college.go("/work?state=pending_in")
    row = college.page.locator(f"#row-{house.coming}")
    assert origin in row.inner_text() and "010-82310002" in row.inner_text()
    row.locator("th a").click()
    college.page.wait_for_selector("#drawer h2")
    college.look()
    drawer = college.page.inner_text("#drawer")
    assert "北京系统 · 共青团北京航空航天" in drawer and "010-82310002" in drawer
    assert border.BESIDE in drawer
    college.go(f"/transfers/{house.awaited}")
    assert "正在等待北京系统移交档案" in seen(college) and "本系统现在不用办理" in seen(college)
    college.go(f"/transfers/{house.coming}")
    assert "北京系统 · 共青团北京航空航天" in seen(college) and border.BESIDE in seen(college)
    college.click("button[value=approve]")
    college.until("分配团支部")


@pytest.mark.rule("FED-12")
def test_who_has_left(visit, house, town, browser):
    """FED-12: who has left reads where the membership is and what was here; nothing leads to a start."""
    gone = visit(house.who_left, 360)
    gone.look()
    said = seen(gone)
    assert "您的组织关系已转到北京系统" in said and border.LONGEST[:20] in said and "010-82310002" in said
    for path in ("/", "/mine", "/me", f"/transfers/{house.left}"):
        gone.page.goto(f"{gone.site}{path}")
        assert gone.page.locator(_STARTS).count() == 0, path
    for path in ("/start", "/start?plan=study&step=fields", "/my-branch"):
        gone.page.goto(f"{gone.site}{path}")
        assert gone.page.url == f"{gone.site}/", path
    asked = border.leaves(house.who_left, COLLEGE, source_branch_id=house.branch, initiator="member")
    person = Office(browser, person=house.who_left)
    answer = browser.post("/api/v1/transfers", headers=person.headers, json={"items": [asked]}).json
    assert answer["results"][0]["refusal"]["code"] == "peer_starts"
    asked = {**asked, "source_branch_id": CLASS, "command_id": str(uuid.uuid4())}
    answer = browser.post("/api/v1/transfers", headers=person.headers, json={"items": [asked]}).json
    person.wait(answer["results"][0]["transfer_id"], "refused")


def test_the_old_branch_finds_the_stay(visit, house):
    """FED-12: it reads that somebody has left, and where to; nothing by which to reach them."""
    school = visit(world.administrator_of(CLASS))
    school.go(f"/transfers/{house.left}")
    said = seen(school)
    assert border.LONGEST[:20] in said and "完成" in said and "转出团支部" in said
    assert "199 0000 0001" not in said and "九月入学" not in said and "沙河高教园" not in said
    assert "业务办理" in school.page.inner_text("nav.crumbs")
    school.look()
