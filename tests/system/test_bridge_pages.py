"""The console of bridges in a real browser, on a bridge that runs, with the amounts of a bad week."""

import io
import random
import re
import threading
import zipfile

import pytest
import sqlalchemy as sa
from werkzeug.serving import make_server

from services.gateway.app import create_app
from shared.bus.rpc import RpcClient
from system import synthetic, world
from tests.system import fullhouse
from tests.system.bridged import bad_week, bridged, until
from tests.system.fullhouse import CLASS, PROVINCE, ROOT, Office, request_of
from tests.system.visitor import CHROMIUM, Visitor

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian"
)
FIRST = 4_800_001
STUCK, SET_ASIDE, DIFFERING = 400, 200, 21


@pytest.fixture(scope="module")
def house(first_town, tmp_path_factory):
    """An installation with a bridge to Beijing; two have gone there, and much is stuck or set aside."""
    with bridged(first_town, tmp_path_factory.mktemp("bridged"), "BJ") as (town, peers):
        beijing = peers["BJ"]
        people = synthetic.people(3, rng=random.Random(22), division_codes=["420115"], start=7_900_000)
        fullhouse.enter_graduates(
            town, [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
        )
        client = RpcClient(town.settings)
        app = create_app(client, town.settings)
        school = Office(app.test_client(), CLASS)
        with town.engine("orgs").connect() as tx:
            branch = tx.scalar(
                sa.text(
                    "SELECT min(org_id) FROM orgs WHERE system = 'BJ' AND kind = 'branch' AND peer_code <> ''"
                )
            )
        asked = [
            request_of(FIRST + n, target_org_id=branch, reason="further_study", place_name="某大学")
            for n in range(3)
        ]
        ids = [int(one["transfer_id"]) for one in school.send("/transfers", *asked)]
        for one in ids[:2]:
            beijing.decide(f"national:{one}", "accept")
            school.wait(one, "pending_handover", 40)
            beijing.decide(f"national:{one}", "accept")
            school.wait(one, "completed", 40)
        until(lambda: f"national:{ids[2]}" in beijing.cases(), 20)
        bad_week(town, f"national:{ids[0]}", STUCK, SET_ASIDE, DIFFERING)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield town, f"http://127.0.0.1:{server.server_port}", ids
        server.shutdown()
        server.server_close()
        client.close()


@pytest.fixture
def look(house, chromium):
    made = []

    def visitor(org, width=1440):
        one = Visitor(chromium, house[1], house[0], width)
        made.append(one)
        one.sign_in(world.administrator_of(org), world.PASSWORD)
        return one

    yield visitor
    for one in made:
        one.page.context.close()


def seen(visitor):
    return visitor.page.inner_text("main")


@pytest.mark.rule("FED-13")
def test_how_bridges_are(look):
    """FED-13: the centre sees which systems are reached, what waits, and what is not connected."""
    for width in (1440, 360):
        root = look(ROOT, width)
        root.go("/bridges")
        said = seen(root)
        assert "连通" in said and said.count("未开通") == 2 and f"{SET_ASIDE}条" in said and "12人" in said
    root.go("/bridges/BJ")
    assert "ES256" in seen(root) and "读取于" in seen(root)
    assert re.search(r"档案密钥\s+36\d天后到期", seen(root))
    days = root.page.locator("table:has(caption:text-is('对账')) tbody tr")
    assert days.count() == 11, "the last ten that were compared, and of those before what differs"
    root.click("summary:has-text('暂停发送')")
    root.click("button:has-text('确认暂停')")
    assert "请填写理由" in seen(root)
    root.complaints.clear()  # a browser notes that the form came back
    root.look()
    root.page.fill("#reason", "对方今晚停机维护")
    root.click("summary:has-text('暂停发送')")
    root.click("button:has-text('确认暂停')")
    assert "已暂停" in seen(root) and "对方今晚停机维护" in seen(root)
    root.click("summary:has-text('恢复发送')")
    root.click("button:has-text('确认恢复')")
    assert "已恢复" in seen(root)


@pytest.mark.rule("FED-11")
def test_what_is_stuck(look, house):
    """FED-11: stuck hand-overs by age, those in doubt first; messages with receipts; sent again; evidence."""
    _town, _site, ids = house
    root = look(ROOT, 360)
    root.go("/bridges/BJ/transfers")
    rows = root.page.locator("tbody tr")
    assert rows.count() == 50 and rows.locator("text=存疑").count() == 12
    root.click("a[rel=next]")
    assert rows.count() == 50 and "回到第一页" in seen(root)
    root.go("/bridges/BJ/transfers?doubt=1")
    assert rows.count() == 12 and rows.locator(".chip.late:text-is('存疑')").count() == 4, "after an hour"
    root.page.fill("#transfer", "999999999")
    root.click(".filter-bar button")
    assert "没有编号为999999999的业务" in seen(root)
    root.page.fill("#transfer", str(ids[0]))
    root.click(".filter-bar button")
    root.look()
    said = seen(root)
    for words in ("提出转接", "升学", "同意接收", "移交档案", "已编入团支部", "对方已签收", "已转出"):
        assert words in said, words
    with root.page.expect_download() as got:
        root.page.click("a:has-text('下载证据')")
    with zipfile.ZipFile(io.BytesIO(got.value.path().read_bytes())) as found:
        assert any(name.endswith(".py") for name in found.namelist())
    root.click("button:has-text('重发本方全部消息')")
    assert "已排入重发" in seen(root)


def test_what_is_set_aside(look):
    """BEY-16: what is in quarantine is settled with a reason; nothing that was ticked is lost by an error."""
    root = look(ROOT, 360)
    root.go("/bridges/BJ/quarantine")
    rows = root.page.locator("tbody tr")
    assert rows.count() == 50 and "不会有“已编入团支部”" in seen(root)
    boxes = root.page.locator("tbody input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    root.click("summary:has-text('作废')")
    root.click("button:has-text('确认作废')")
    assert "请填写理由" in seen(root) and boxes.nth(0).is_checked() and boxes.nth(1).is_checked()
    root.complaints.clear()
    root.look()
    root.page.fill("#reason", "对方确认是测试数据")
    root.click("summary:has-text('作废')")
    root.click("button:has-text('确认作废')")
    assert "已作废2条消息" in seen(root)
    assert f"{SET_ASIDE - 2}" in root.page.inner_text("nav.tabs")
    root.go("/bridges/BJ/quarantine?decided=1")
    assert rows.count() == 2 and "对方确认是测试数据" in seen(root)


def test_what_differs(look):
    """BEY-16: differences with what is proposed; a person confirms, with a reason."""
    root = look(ROOT, 1440)
    root.go("/bridges/BJ/differences")
    rows = root.page.locator("tbody tr")
    assert rows.count() == DIFFERING and "请核对双方证据" in seen(root)
    root.page.locator("tr:has-text('消息链不一致') input[type=checkbox]").first.check()
    root.page.fill("#reason", "已与对方核对")
    root.click("summary:has-text('处理所选')")
    root.click("button:has-text('确认处理')")
    assert "已处理1处差异" in seen(root) and rows.count() == DIFFERING - 1


def test_days_are_compared(look):
    """BEY-16: comparing is asked for, and the page shows by itself what came of it."""
    root = look(ROOT, 1440)
    root.go("/bridges/BJ")
    facts = root.page.locator("#facts")
    assert f"{STUCK}处差异待处理" not in facts.inner_text()
    root.click("button:has-text('立即对账')")
    assert "已开始对账" in seen(root)
    root.page.wait_for_selector("#compared[hx-get]")
    root.look()
    root.page.wait_for_selector("#compared:not([hx-get])", timeout=90_000)
    assert f"{STUCK}处差异待处理" in facts.inner_text()


@pytest.mark.rule("FED-11")
def test_a_province_looks(look, house):
    """FED-11: a provincial body reads of its own transfers, and is offered to do nothing."""
    root = look(PROVINCE, 360)
    root.page.goto(f"{house[1]}/bridges")
    assert root.page.url.endswith("/bridges/BJ/transfers")
    root.look()
    assert re.search("只能查看", seen(root)) and f"{house[2][2]}" in seen(root)
    root.click("tbody th a")
    assert "提出转接" in seen(root)
    assert root.page.locator("main form[method=post], main a[href*=evidence]").count() == 0
    for path in ("quarantine", "differences", "evidence?subject=national:1"):
        answer = root.page.goto(f"{house[1]}/bridges/BJ/{path}")
        assert answer.status == 403 and "只有团中央" in seen(root), path


@pytest.mark.rule("FED-13")
def test_a_bridge_that_does_not_answer(look, house):
    """FED-13: a bridge whose service is away is shown as such beside the others, not as an error."""
    root = look(ROOT)
    house[0].kill("federation_bj")
    answer = root.page.goto(f"{house[1]}/bridges")
    assert answer.status == 200
    assert "对接服务没有应答" in seen(root) and "请检查对接服务是否在运行" in seen(root)
    root.look()
