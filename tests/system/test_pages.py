"""What a page must not do to people, whichever page it is.

All forms of all pages: with rubbish, with Enter, with the longest names of the seed.
"""

import io
import re
import time
import tomllib

import pytest
import sqlalchemy as sa

from services.gateway.pages import starting
from services.members.accounts import handlers as accounts
from shared.messages import words
from system import world
from tests.installation import ROOT
from tests.system import forms, fullhouse
from tests.system.fullhouse import CLASS, COLLEGE, COUNTY, FIRST, PROVINCE, TOWNSHIP, UNIVERSITY, enter
from tests.system.visitor import CHROMIUM, Visitor

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian"
)


@pytest.fixture(scope="module")
def house(town, client):
    """The world with something on every page."""
    from services.gateway.app import create_app

    return fullhouse.fill(town, create_app(client, town.settings).test_client())


@pytest.fixture
def visit(chromium, site, town):
    """Somebody signed in at a screen of some width."""
    made = []

    def visitor(org=None, person=None, width=1440):
        one = Visitor(chromium, site, town, width)
        made.append(one)
        one.sign_in(person or world.administrator_of(org), world.PASSWORD)
        return one

    yield visitor
    for one in made:
        one.page.context.close()


@needs_chromium
def test_enter_in_a_note_sends_nothing(visit, house, browser):
    """Somebody who types the reason of a rejection and presses Enter has approved nothing (TRF-25).

    In a real browser: list, transfer, registrations.
    """
    township, transfer = visit(TOWNSHIP), house.pending_in[0]
    page = township.page
    for path, note in (("/work?state=pending_in", "#note"), (f"/transfers/{transfer}", "#note")):
        township.go(path)
        if path.startswith("/work"):
            page.locator(f"input[value='{transfer}-1']").check()
            page.click("button:has-text('驳回所选')")
        else:
            page.click("details.reject summary")
        page.select_option("#reason_code", "wrong_data")
        page.fill(note, "资料不对,请驳回")
        page.press(note, "Enter")
        page.wait_for_timeout(300)
        assert page.input_value(note) == "资料不对,请驳回"
    assert (
        fullhouse.Office(browser, TOWNSHIP).get(f"/transfers/{transfer}")["transfer"]["state"] == "pending_in"
    )
    branch = visit(CLASS + 1)
    branch.go("/registrations")
    branch.page.fill("input[name=note]", "不是本支部团员")
    branch.page.press("input[name=note]", "Enter")
    branch.page.wait_for_timeout(300)
    assert len(fullhouse.Office(browser, CLASS + 1).get("/registrations")["items"]) == 1


@pytest.mark.rule("TRF-26", "TRF-33", "BEY-02")
def test_a_rejected_graduate_is_told(browser, town, house):
    """TRF-26, TRF-33, BEY-02: home says why, by whom, when, whom to call and what to do next, in red.

    The timeline marks the node; the history says who started.
    """
    enter(browser, town, person=FIRST + 1)
    page = browser.get("/").text
    (box,) = re.findall(r'<div class="error ended".*?</div>', page, re.S)
    township = next(org.full_name for org in town.tree if org.id == TOWNSHIP)
    for told in (
        "已驳回",
        "资料有误",
        fullhouse.REASON,
        township,
        "**",
        f'href="tel:027-8755{TOWNSHIP % 10000:04d}"',
        "下一步",
        "更正资料后重新发起",
        f"/start?again={house.rejected}",
    ):
        assert told in box, told
    assert re.search(r'title="\d{4}-\d\d-\d\d \d\d:\d\d">', box)
    failed = re.findall(r'<li class="failed">(.*?)</li>', page, re.S)
    assert len(failed) == 2 and township in failed[0] and fullhouse.REASON in failed[0]
    assert re.search(r'<li class="done">\s*<strong>转出组织审批', page)
    assert "发起方: 本人" in browser.get("/mine").text
    again = browser.get(f"/start?again={house.rejected}").text
    assert "阳光大道" in again and f'name="target" value="{TOWNSHIP}" checked' in again
    trail = browser.get(f"/transfers/{house.rejected}").text
    assert re.search(r"驳回</th>\s*<td [^>]*>[^<]*" + township + r"[^<]*\*\*", trail)


def test_instants_are_told_as_the_person_wants_them(browser, town, house):
    """Instants are relative to now until the person wants them as they are; the menu leads both ways."""
    enter(browser, town, person=FIRST + 1)
    instants = re.compile(r"<time [^>]*>([^<]+)</time>")
    written = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
    for asked, exact in (("", False), ("?times=exact", True), ("", True), ("?times=relative", False)):
        page = browser.get(f"/mine{asked}").text
        told = instants.findall(page)
        assert told and all(bool(written.fullmatch(one)) == exact for one in told), (asked, told)
        assert f'href="/mine?times={"relative" if exact else "exact"}"' in page


@pytest.mark.rule("REG-03")
def test_a_note_that_is_wanted_is_asked_for_in_its_row(browser, town, house):
    """REG-03: whoever rejects a registration in a way that is refused is led to the note of that row."""
    csrf = enter(browser, town, CLASS + 1)
    row = re.search(r'name="registration" value="(\d+)"', browser.get("/registrations").text)[1]
    sent = {"csrf": csrf, "registration": row, "do": "reject", "note": "字" * 1100}
    answer = browser.post("/registrations", data=sent)
    assert answer.status_code == 422 and '<a href="#note">' in answer.text
    (field,) = re.findall(r'<input id="note" [^>]*>', answer.text)
    assert 'aria-invalid="true"' in field and "字" * 1100 in field
    assert f'id="note-{row}"' in browser.get("/registrations").text


@pytest.mark.rule("TRF-22", "TRF-10", "MEM-31")
def test_the_approval_page_names_whom_to_call(browser, town, house):
    """TRF-22, TRF-10, MEM-31: the decider sees whom to ask, and reasons that fit the transfer's.

    Shown are the origin's administrator and contact, the member's common and emergency contact.
    """
    with town.engine("members").begin() as tx:
        sealed = accounts.keys.seal.seal
        tx.execute(
            sa.text(
                """
                UPDATE people SET contact_sealed = :one, emergency_sealed = :two
                WHERE person_id = (SELECT min(person_id) FROM people WHERE reserved_by = :transfer)"""
            ),
            {
                "one": sealed("微信 7720260077"),
                "two": sealed("母亲 19900000077"),
                "transfer": house.pending_in[0],
            },
        )
    enter(browser, town, TOWNSHIP)
    page = browser.get(f"/transfers/{house.pending_in[0]}").text
    origin = re.search(r"转出组织管理员</dt><dd>(.*?)</dd>", page, re.S)[1]
    assert "**" in origin and f"tel:027-8755{CLASS % 10000:04d}" in origin
    assert "微信 7720260077" in page and "母亲 19900000077" in page
    assert re.search(r"申请时间</dt><dd>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d<", page)
    assert 'value="short_term"' not in page and 'value="household_elsewhere"' in page
    assert set(words.rejections_for(["further_study"])) == {
        "wrong_data",
        "other",
    } and "short_term" in words.rejections_for(["employed_with_org"])


def test_a_transfer_across_a_border(browser, town, house):
    """FED-08, FED-13: who comes is shown with the system; of another system's side no administrators are.

    A refusal of another system is handed to no superior here.
    """
    cross = sa.text("UPDATE transfers SET peer = :peer, initiator = :initiator WHERE transfer_id = :one")
    with town.engine("transfers").begin() as tx:
        read = sa.text("SELECT initiator FROM transfers WHERE transfer_id = :one")
        was = {one: tx.scalar(read, {"one": one}) for one in (house.pending_in[0], house.rejected)}
        for one, initiator in ((house.pending_in[0], "peer"), (house.rejected, "member")):
            tx.execute(cross, {"peer": "FJ", "initiator": initiator, "one": one})
    try:
        enter(browser, town, TOWNSHIP)
        page = browser.get(f"/transfers/{house.pending_in[0]}").text
        origin = re.search(r"转出团支部</dt>\s*<dd>(.*?)</dd>", page, re.S)[1]
        assert "福建系统 ·" in origin
        assert "转出组织管理员" not in page and "转入组织管理员" in page
        assert 'value="approve"' in page, "it is approved as any"
        drawer = browser.get(f"/transfers/{house.pending_in[0]}", headers={"HX-Target": "drawer"}).text
        assert "福建系统 ·" in drawer
        member = browser.application.test_client()
        enter(member, town, person=FIRST + 1)
        page = member.get(f"/transfers/{house.rejected}").text
        assert "转出组织管理员" in page and "转入组织管理员" not in page
        assert "/restart" in page and "/escalate" not in page
    finally:
        with town.engine("transfers").begin() as tx:
            for one, initiator in was.items():
                tx.execute(cross, {"peer": "", "initiator": initiator, "one": one})


@pytest.mark.rule("TRF-05", "TRF-06")
def test_a_refused_transfer_in_keeps_what_was_typed(browser, town, house):
    """TRF-05, TRF-06: the present branch with its administrator and contact.

    A refusal keeps the person found and every field, and can be sent again.
    """
    csrf = enter(browser, town, TOWNSHIP)
    member = FIRST + 36
    number = world.id_number_of(town, member)
    name = fullhouse.Office(browser, CLASS).get(f"/members/{member}")["member"]["name"]
    found = browser.post("/in", data={"csrf": csrf, "name": name, "id_number": number}).text
    assert f"tel:027-8755{CLASS % 10000:04d}" in found and "**" in found
    (form,) = [one for one in forms.read(found)[0] if "ticket" in one.filled()]
    typed = {
        "reason": "unemployed",
        "place_address": "",
        "contact": "19900000088",
        "remark": "现住本街道,请接收",
        "confirmed": "1",
    }
    refused = browser.post("/in", data={**form.filled(), **typed, "confirm": "1"})
    assert refused.status_code == 422 and "请填写" in refused.text and name in refused.text
    assert 'href="#place_address"' in refused.text and 'id="place_address-fault"' in refused.text
    assert refused.text.count("aria-invalid") == 1
    (kept,) = [one for one in forms.read(refused.text)[0] if "ticket" in one.filled()]
    filled = kept.filled()
    assert {one: filled[one] for one in ("member_id", "ticket", "contact", "remark")} == {
        "member_id": f"{member}",
        "ticket": form.filled()["ticket"],
        "contact": "19900000088",
        "remark": "现住本街道,请接收",
    }
    assert 'value="unemployed" selected' in refused.text
    sent = browser.post("/in", data={**filled, **typed, "place_address": "藏龙岛青年公寓", "confirm": "1"})
    assert (
        sent.headers["Location"] == "/list?side=target"
        and "已发起转入" in browser.get("/list?side=target").text
    )
    assert number not in refused.text


def sign_in_again(browser, town, org, page, **more):
    """Sign in on a page that asks for it, with what it carries along."""
    (form,) = [one for one in forms.read(page)[0] if "password" in one.filled()]
    return browser.post(
        form.action or "/sign-in",
        data={
            **form.filled(),
            "id_number": world.id_number_of(town, world.administrator_of(org)),
            "password": world.PASSWORD,
            **more,
        },
    )


def test_a_form_outlasts_its_session(browser, town, house):
    """A form sent after the session has ended comes back after signing in, unsent.

    It has no passwords, and is in no address and in no readable cookie; it comes only to the same
    person.
    """
    csrf = enter(browser, town, TOWNSHIP)
    body = {
        "csrf": csrf,
        "do": "request",
        "command_id": fullhouse.key(),
        "text": "武汉",
        "target": "42",
        "reason": "区划调整,一并迁移\n第二行",
        "password": "Secret-123",
        "id_number": "42011519990101123X",
    }
    with browser.session_transaction() as session:
        session.pop("token")
    lost = browser.post("/migrations", data=body)
    assert lost.status_code == 401 and "已为您保留" in lost.text
    assert (
        "区划调整" not in lost.text
        and "Secret-123" not in lost.text
        and "42011519990101123X" not in lost.text
    )
    assert all(
        "区划" not in f"{cookie.value}" and len(cookie.value) < 4000 for cookie in browser._cookies.values()
    )
    wrong = sign_in_again(browser, town, TOWNSHIP, lost.text, password="wrong")
    assert wrong.status_code == 401
    back = sign_in_again(browser, town, TOWNSHIP, wrong.text)
    assert back.status_code == 200 and "继续提交" in back.text
    (form,) = [one for one in forms.read(back.text)[0] if one.action == "/migrations"]
    sent = form.filled()
    assert (sent["reason"].replace("\r\n", "\n"), sent["target"], sent["do"]) == (
        body["reason"],
        "42",
        "request",
    ) and "password" not in sent
    assert fullhouse.Office(browser, TOWNSHIP).get("/migrations")["items"] == []
    assert browser.post(form.action, data=sent).status_code in (302, 422)
    with browser.session_transaction() as session:
        session.pop("token")
    lost = browser.post("/migrations", data={**sent, "csrf": sent["csrf"]})
    other = sign_in_again(browser, town, COUNTY, lost.text)
    assert other.status_code == 302 and "继续提交" not in other.text
    stranger = browser.application.test_client()
    forged = stranger.post("/migrations", data=body, headers={"Origin": "https://elsewhere.example"})
    assert forged.status_code == 400 and "已为您保留" not in forged.text


def test_an_address_outlasts_its_session(browser, town, house):
    """Whoever was led to sign in comes back to the address with all of its own query.

    They act for the same organisation, too.
    """
    from urllib.parse import parse_qs, urlsplit

    enter(browser, town, TOWNSHIP)
    with browser.session_transaction() as session:
        session.pop("token")
    asked = {"plan": "study", "step": "fields", "target": "42", "text": "武汉 大学", "place_name": "A&B"}
    led = browser.get("/start", query_string=asked).headers["Location"]
    page = browser.get(led)
    back = browser.post(
        led,
        data={
            "csrf": fullhouse.csrf_of(page.text),
            "id_number": world.id_number_of(town, world.administrator_of(TOWNSHIP)),
            "password": world.PASSWORD,
        },
    )
    assert parse_qs(urlsplit(back.headers["Location"]).query) == {
        name: [value] for name, value in asked.items()
    }


@pytest.mark.rule("TRF-31", "MSG-01")
def test_the_list_keeps_its_ticks(browser, town, house):
    """TRF-31, MSG-01: a click with none ticked says so above the list, and ticks are kept.

    A rejection asks for its reason first and keeps what was typed; tasks and messages are two numbers.
    """
    csrf = enter(browser, town, TOWNSHIP)
    queue = {"csrf": csrf, "state": "pending_in"}
    none = browser.post("/work", data={**queue, "do": "reject"})
    assert none.status_code == 422 and "先勾选" in none.text and 'name="item"' in none.text
    item = f"{house.pending_in[0]}-1"
    asks = browser.post("/work", data={**queue, "do": "reject", "item": item}).text
    assert "驳回 1 项" in asks and f'name="item" value="{item}"' in asks
    lacks = browser.post(
        "/work",
        data={
            **queue,
            "do": "reject",
            "item": item,
            "confirmed": "1",
            "reason_code": "other",
            "note": " ",
        },
    )
    assert lacks.status_code == 422 and 'value="other" selected' in lacks.text
    kept = browser.post("/work", data={**queue, "do": "assign", "item": item})
    assert kept.status_code == 422 and kept.text.count(" checked") == 1 + kept.text.count(
        'id="keys-on" checked'
    )
    counts = browser.get("/desk/count").text
    tasks, unread = re.fullmatch(
        r'(\d+)<span class="count" id="unread" hx-swap-oob="true">(\d*)</span>', counts
    ).groups()
    assert int(tasks) == sum(fullhouse.Office(browser, TOWNSHIP).get("/work")["counts"].values())
    assert int(unread or 0) == fullhouse.Office(browser, TOWNSHIP).get("/messages")["unread"]
    done = browser.post("/work", data={**queue, "do": "approve", "item": f"{house.pending_in[-1]}-1"})
    assert done.status_code == 302 and "已同意 1 项" in browser.get(done.headers["Location"]).text


def test_blank_fields_are_all_named_before_the_summary(browser, town, house):
    """The wizard's last step is not reached with blanks.

    All are named at once, marked, each a link to its field; what is needed is what the service asks
    for.
    """
    enter(browser, town, person=FIRST + 37)
    page = browser.get("/start?plan=work&step=check&reason=employed_with_org")
    assert page.status_code == 422 and "核对并提交</li>" in page.text and 'name="confirm"' not in page.text
    assert {"#place_name", "#place_address", "#target"} <= set(forms.read(page.text)[1])
    assert page.text.count('aria-invalid="true"') == 2 and 'id="target-fault"' in page.text
    page = browser.get("/start?step=fields")
    assert page.status_code == 422 and "#plan" in forms.read(page.text)[1] and 'id="plan-fault"' in page.text
    rules = tomllib.loads((ROOT / "shared/messages/words/reasons.toml").read_text("utf-8"))
    assert {reason: dict(starting.NEEDED.get(reason, {})) for reason in rules} == {
        reason: {name: rule[name] for name in ("place_name", "place_address") if rule.get(name)}
        for reason, rule in rules.items()
    }


def test_offices_meet_all_that_is_wrong_at_once(browser, town, house):
    """A batch move without members or what its reason asks for: each at its field, what was typed stays."""
    csrf = enter(browser, town, COLLEGE)
    typed = {"source": CLASS, "reason": "employed_with_org", "remark": "内部调整", "confirm": "1"}
    page = browser.post("/batch", data={"csrf": csrf, "command_id": fullhouse.key(), **typed})
    assert page.status_code == 422 and 'value="内部调整"' in page.text
    assert {"#member", "#place_name", "#place_address"} <= set(forms.read(page.text)[1])
    for name in ("member", "place_name", "place_address"):
        assert f'id="{name}-fault"' in page.text, name


@pytest.mark.rule("BEY-22")
def test_the_sign_in_page_says_what_is_asked(browser, town):
    """BEY-22, ACC-04: the page of signing in names the characters of the ID number that are taken.

    They are those that the installation takes; where codes open accounts the page says so.
    """
    assert "初始密码为身份证号码后8位" in browser.get("/sign-in").text
    try:
        for name, value, told in (
            ("TUANQIAO_INITIAL_PASSWORD_TAIL", "6", "身份证号码后6位"),
            ("TUANQIAO_FIRST_CREDENTIAL", "activation_code", "激活码"),
        ):
            town.environ[name] = value
            town.kill("members")
            town.start("members")
            assert told in browser.get("/sign-in").text
    finally:
        for name in ("TUANQIAO_INITIAL_PASSWORD_TAIL", "TUANQIAO_FIRST_CREDENTIAL"):
            town.environ.pop(name, None)
        town.kill("members")
        town.start("members")


@pytest.mark.rule("IMP-11", "IMP-07")
def test_a_roster_says_who_may_import_it(browser, town, house):
    """IMP-11, IMP-07: the page says before the upload which branches take rows.

    Rows of a branch further down name who imports there; nothing entered is no success.
    """
    csrf = enter(browser, town, UNIVERSITY)
    page = browser.get("/members").text
    assert "只能导入到直属团支部" in page and "请由其直属上级导入" in page
    import_id = fullhouse.key()
    sent = browser.post(
        "/members",
        data={
            "csrf": csrf,
            "import_id": import_id,
            "level": "below",
            "file": (io.BytesIO(fullhouse.failing_roster(town)), "名单.xlsx"),
        },
    )
    assert sent.status_code == 302
    ends = time.monotonic() + 30
    while "http-equiv" in (result := browser.get(f"/imports/{import_id}").text):
        assert time.monotonic() < ends
        time.sleep(0.1)
    college = next(org.full_name for org in town.tree if org.id == COLLEGE)
    assert result.count(f"请由其直属上级“{college}”导入") == 51  # 50 rows, and what they have in common
    assert (
        re.search(r'<div class="error" role="alert">成功导入 0 位团员, 300 位', result)
        and 'class="ok"' not in result
    )
    assert (
        result.count("<li>300 行: 该团支部存在,但不是您的直属下级") == 1
    )  # what is wrong with all is said once, above them


def test_the_desk_leads_to_what_waits_below(browser, town, house):
    """Somebody with nothing to decide, whose townships have, is led to the deadline board (BEY-18).

    The operation centre leads there; a branch has nothing below.
    """
    enter(browser, town, COUNTY)
    page = browser.get("/desk").text
    assert '<a href="/board">时限看板</a>' in page
    assert fullhouse.Office(browser, COUNTY).get("/board")["items"]
    browser.post("/sign-out", data={"csrf": fullhouse.csrf_of(page)})
    enter(browser, town, CLASS + 1)
    assert '<a href="/board">' not in browser.get("/desk").text


def test_pages_say_what_they_did(browser, town, house):
    """After posts, registers, migrations, registrations and organisations the next page says so.

    It says what was done, once.
    """

    def done(path, **form):
        answer = browser.post(path, data={"csrf": csrf, **form})
        assert answer.status_code == 302, (path, form, answer.text)
        said = re.findall(
            r'<div class="ok" role="status">(.*?)</div>', browser.get(answer.headers["Location"]).text
        )
        assert (
            'role="status"><' not in said
            and 'class="ok" role="status"' not in browser.get(answer.headers["Location"]).text
        )
        return said

    csrf = enter(browser, town, COLLEGE)
    below = fullhouse.Office(browser, COLLEGE).get(f"/orgs/{COLLEGE}/children")["items"]
    assert done("/orgs", at=COLLEGE, org=below[1]["org_id"], do="up") == ["已上移。"]
    assert done(
        "/orgs",
        at=COLLEGE,
        do="save",
        command_id=fullhouse.key(),
        kind="branch",
        full_name="共青团测试通知支部委员会",
        short_name="通知支部",
    ) == ["组织已创建。下一步:请它的管理员用注册码注册。"]
    newcomer = next(
        fullhouse.synthetic.people(
            1, rng=fullhouse.random.Random(8), division_codes=["420115"], start=7_400_000
        )
    )
    cadre = {
        "name": newcomer.name,
        "id_number": newcomer.id_number,
        "phone": newcomer.phone,
        "ethnic_group": newcomer.ethnic_group,
    }
    assert done("/posts", org=COLLEGE, do="post", post="deputy_secretary", **cadre) == ["职务已登记。"]
    (person,) = [
        one["person_id"]
        for one in fullhouse.Office(browser, COLLEGE).get(f"/orgs/{COLLEGE}/cadres")["items"]
        if one["post"] == "deputy_secretary"
    ]
    assert done("/posts", org=COLLEGE, do="appoint", person=person) == ["已授予管理权限。"]
    assert done("/posts", org=COLLEGE, do="revoke", person=person) == ["已撤销管理权限。"]
    page = browser.get("/posts").text
    assert page.count("本人(不能撤销自己)") == 1 and page.count('value="revoke"') == 0
    assert done("/posts", org=COLLEGE, do="post", person=person) == ["已免职。"]
    (open_one,) = [
        one
        for one in fullhouse.Office(browser, COLLEGE).get("/migrations")["items"]
        if one["state"] == "pending_old"
    ]
    assert done(f"/migrations/{open_one['migration_id']}", do="withdraw") == ["已撤销迁移申请。"]


@needs_chromium
def test_shares_stand_in_their_line(visit, house):
    """On the page of figures each share stands in the text that it belongs to.

    The bar of buttons of the approvals has a name of its own.
    """
    province = visit(PROVINCE, width=360)
    province.page.goto(f"{province.site}/figures")
    styles = province.page.evaluate(
        "[...document.querySelectorAll('.bar')]"
        ".map(one => [getComputedStyle(one).position, getComputedStyle(one).display])"
    )
    assert styles and {tuple(one) for one in styles} == {("static", "inline")}
    township = visit(TOWNSHIP)
    township.page.goto(f"{township.site}/work")
    assert township.page.evaluate("getComputedStyle(document.querySelector('#actions')).position") == "sticky"


def test_what_is_wrong_with_many_is_said_once(browser, town, house):
    """Somebody who transfers several members out reads once what is wrong with all of them (TRF-07, TRF-08).

    A blank field stands at the field; what the service refuses stands in red, too, with their names.
    Ticks and fields stay.
    """
    csrf = enter(browser, town, CLASS)
    some = [FIRST + 30, FIRST + 31, FIRST + 32]
    called = {
        one["member_id"]: one["name"]
        for one in fullhouse.Office(browser, CLASS).get(f"/branches/{CLASS}/members?limit=500")["items"]
    }
    form = {
        "csrf": csrf,
        "branch": CLASS,
        "member": some,
        "reason": "unemployed",
        "target": TOWNSHIP,
        "contact": "19900000066",
        "confirm": "1",
        "command_id": fullhouse.key(),
    }
    page = browser.post("/out", data=form).text
    assert page.count("请填写户籍地或居住地详细地址") == 2 and 'href="#place_address"' in page
    elsewhere = {"target": fullhouse.OTHER_COLLEGE, "place_address": "青年公寓"}
    page = browser.post("/out", data={**form, **elsewhere}).text
    (said,) = re.findall(r'<div class="error" role="alert">(.*?)</div>', page, re.S)
    assert said.count("“未就业”不能转往") == 1 and "未发起 3 位" in said
    assert all(called[one] in said for one in some) and 'href="#target"' in page
    (kept,) = [one for one in forms.read(page)[0] if one.action == "/out"]
    assert (
        sum(
            kind == "checkbox" and name == "member" and "checked" in more
            for name, _, kind, more in kept.fields
        )
        == 3
    )
    assert kept.filled()["contact"] == "19900000066" and 'class="ok"' not in page


@needs_chromium
@pytest.mark.rule("BEY-18")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_tiles_hold_their_names(visit, house, town, language):
    """BEY-18: on the national map each province has its name, and no code.

    Neither the name nor a five-digit number leaves its tile.
    """
    nation = visit(1)
    with town.engine("transfers").begin() as tx:
        tx.execute(
            sa.text(
                "UPDATE open_nodes SET expires_at = opened_at - interval '1 day' WHERE expires_at IS NOT NULL"
            )
        )
    nation.page.goto(f"{nation.site}/board?lang={language}")
    nation.page.evaluate(
        "document.querySelectorAll('.tiles .n').forEach(one => { one.textContent = '12345' })"
    )
    tiles = nation.page.evaluate("""() => [...document.querySelectorAll('.tiles .tile')].map(tile => {
        const box = tile.querySelector('rect').getBoundingClientRect();
            return [
                tile.querySelector('text').textContent,
                [...tile.querySelectorAll('text')].every(text => {
                    const at = text.getBoundingClientRect();
                    return at.left >= box.left && at.right <= box.right
                        && at.top >= box.top - 1 && at.bottom <= box.bottom + 1
                })
            ]
        })""")
    assert len(tiles) == 31 and [name for name, inside in tiles if not inside] == []
    names = {name for name, _ in tiles}
    assert (
        {"湖北", "北京", "内蒙古", "黑龙江", "福建"} <= names
        if language == "zh"
        else {"HB", "BJ", "NM"} <= names
    )
    assert not any(re.search(r"\d|省|委|自治区", name) for name in names)
    nation.page.goto(f"{nation.site}/board?lang=zh")


@pytest.mark.rule("UI-09")
@pytest.mark.parametrize("org", [1, PROVINCE, COUNTY, TOWNSHIP, UNIVERSITY, COLLEGE, CLASS])
def test_every_entry_of_the_menu_is_of_use(browser, town, house, org):
    """UI-09: on every page of one's own menu there is something to do or to read.

    There is no empty choice, no form about nobody; a page without people says where they are.
    """
    enter(browser, town, org)

    def menu(path):
        found = re.search(r'<nav class="side".*?</nav>', browser.get(path).text, re.S)[0]
        return [link for link in forms.read(found)[1] if link.startswith("/")]

    entries = {link for path in menu("/") for link in menu(path)}
    assert len(entries) >= 12
    for path in entries:
        page = browser.get(path)
        assert page.status_code == 200, path
        main = page.text[page.text.index("<h1") : page.text.index("</main>")]
        assert not re.search(r"<select[^>]*>\s*</select>", main), path
        assert not re.search(r"<legend>团员 \(0\)</legend>", main), path
        found, links = forms.read(main)
        assert found or links or "<table" in main or "没有" in main, path
    people = browser.get("/members").text
    assert 'name="member"' in people or "/members?branch=" in people or "/orgs" in people


@pytest.mark.rule("UI-02", "UI-05")
def test_where_one_is_and_which_browsers(browser, town, house):
    """UI-02, UI-05: each page says where it stands and leads back to where one came from.

    The foot names the browsers; people with old ones are told.
    """
    assert (
        "360、QQ 浏览器的极速模式" in browser.get("/sign-in").text
        and "浏览器版本过旧" in browser.get("/sign-in").text
    )
    enter(browser, town, COLLEGE)
    page = browser.get(
        "/list?side=target", headers={"Referer": "http://localhost/work?state=pending_in"}
    ).text
    crumbs = re.search(r'<nav class="crumbs".*?</nav>', page, re.S)[0]
    assert re.sub(r"\s+", "", re.sub("<[^>]*>", "", crumbs)) == "当前位置:业务办理›业务列表返回上一页"
    assert 'href="/work?state=pending_in">返回上一页' in crumbs
    for nowhere in ("https://elsewhere.example/x", "http://localhost//elsewhere.example/x", "http://[x"):
        assert 'href="/">返回上一页' in browser.get("/list", headers={"Referer": nowhere}).text


@pytest.mark.rule("BEY-03", "TRF-02")
def test_already_under_way_says_with_whom(browser, town, house):
    """BEY-03: somebody who starts once more is told who started, when, and where it stands.

    Also who can act, with the telephone, and what to do next.
    """
    csrf = enter(browser, town, person=FIRST)
    page = browser.post(
        "/start",
        data={
            "csrf": csrf,
            "command_id": fullhouse.key(),
            "confirm": "1",
            "reason": "unemployed",
            "target": f"{TOWNSHIP}",
            "place_address": "某地",
            "confirmed": "1",
            "step": "check",
        },
    )
    box = re.search(r"该团员已有办理中的转接.*?</div>", page.text, re.S)[0]
    state = fullhouse.Office(browser, person=FIRST).get(f"/transfers/{house.waiting_out}")["transfer"][
        "state"
    ]  # forms with rubbish may have decided it
    waits = {"pending_out": CLASS, "pending_in": TOWNSHIP}[state]
    office = next(org.full_name for org in town.tree if org.id == waits)
    for told in (
        "发起方: 团员本人",
        words.TransferState(state).zh,
        office,
        f"tel:027-8755{waits % 10000:04d}",
        f"/transfers/{house.waiting_out}",
        "下一步",
    ):
        assert told in box, told
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", box)


def test_who_is_in_no_branch_starts_nothing(browser, town, house):
    """An administrator who is no member meets a sentence at the second step of their own start.

    It is not the words of a contract.
    """
    enter(browser, town, COLLEGE)
    answer = browser.get("/start?plan=study&step=fields")
    assert answer.status_code == 422 and "未找到该团支部" in answer.text and "branch_id" not in answer.text
