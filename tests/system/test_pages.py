"""What a page must not do to people, whichever page it is: all forms of all pages, with rubbish, with Enter, with the longest names of the seed."""
import re
from urllib.parse import quote

import pytest

from services import world
from tests.system import forms, fullhouse
from tests.system.fullhouse import CLASS, COLLEGE, COUNTY, FIRST, TOWNSHIP, enter
from tests.system.test_browser import CHROMIUM, Visitor, chromium, site  # noqa: F401  (fixtures)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian")


@pytest.fixture(scope="module")
def house(town, client):
    """The world with something on every page."""
    from services.gateway.app import create_app

    return fullhouse.fill(town, create_app(client, town.settings).test_client())


def pages_of(browser, house):
    """Yield address and text of every page that somebody meets: the menu's, and those that stand behind them."""
    from services.gateway.menu import MENU

    paths = [entry.path for section in MENU for entry in section.entries]
    paths += ["/", "/security", "/verify", "/contacts?text=江夏", "/sign-in", "/forgot", "/password", "/my-branch", "/start", "/start?plan=study&step=fields", "/api/docs",
              "/start?plan=none&step=check&reason=unemployed&target=420115402&place_address=x", f"/members?branch={CLASS}", f"/members/{FIRST}", f"/out?branch={CLASS}&all=1",
              f"/batch?source={CLASS}", f"/letters?branch={CLASS}", "/work?state=pending_in", "/work?state=pending_out", "/work?state=pending_assign&tick=1", "/list?side=target",
              "/escalations?all=1", "/posts?org=10000020101", f"/orgs?at={COLLEGE}", "/figures/idle", "/figures/open", "/reports/to_contact", "/reports/graduates_left",
              "/policy?compare=2026-season", "/desk?kind=reject"]
    paths += [f"/transfers/{one}" for one in (house.waiting_out, house.rejected, house.assigning, house.pending_in[0])]
    for path in paths:
        answer = browser.get(path)
        assert answer.status_code < 500, (path, answer.status_code)
        if answer.status_code == 200:
            yield path, answer.text


HARMLESS = {"search", "step=fields", "step=check", "do=search"}
"""Buttons that decide nothing: they look something up, or lead to the next step."""


@pytest.mark.parametrize("org", [None, TOWNSHIP, COLLEGE, CLASS, CLASS + 1, COUNTY])
def test_enter_decides_nothing(browser, town, house, org):
    """Of every form with several submit buttons, the one that Enter presses is disabled or harmless; whoever types a note never decides by it."""
    enter(browser, town, org, FIRST + 1 if org is None else None)
    several = 0
    for path, page in pages_of(browser, house):
        for form in forms.read(page)[0]:
            submits = [button for button in form.buttons if "disabled" not in button]
            several += len(submits) > 1
            pressed = form.entered
            if len(submits) > 1 and pressed is not None:
                means = {pressed.get("name", ""), f"{pressed.get('name', '')}={pressed.get('value', '')}"}
                assert means & HARMLESS, (path, form.action, pressed)
            if "note" in form.typed:
                assert pressed is None, (path, form.action)
    assert several >= 2, several


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
    """Whoever types the reason of a rejection and presses Enter has approved nothing, in a real browser (TRF-25): list, transfer, registrations."""
    township, transfer = visit(TOWNSHIP), house.pending_in[0]
    page = township.page
    for path, note in (("/work?state=pending_in", "#note"), (f"/transfers/{transfer}", "#note")):
        township.go(path)
        if path.startswith("/work"):
            page.locator(f"input[value='{transfer}-1']").check()
        if not page.locator(note).is_visible():
            page.locator("details", has=page.locator(note)).locator("summary").click()
        page.select_option("#reason_code", "wrong_data")
        page.fill(note, "资料不对,请驳回")
        page.press(note, "Enter")
        page.wait_for_timeout(300)
        assert page.input_value(note) == "资料不对,请驳回"
    assert fullhouse.Office(browser, TOWNSHIP).get(f"/transfers/{transfer}")["transfer"]["state"] == "pending_in"
    branch = visit(CLASS + 1)
    branch.go("/registrations")
    branch.page.fill("input[name=note]", "不是本支部团员")
    branch.page.press("input[name=note]", "Enter")
    branch.page.wait_for_timeout(300)
    assert len(fullhouse.Office(browser, CLASS + 1).get("/registrations")["items"]) == 1


RUBBISH = ["²", "9" * 30, "", "a\x00b", "字" * 10_000, "0001-01-01", "1-²"]
"""What people, programs and attackers type where something else is asked for; the first two in each field alone, too."""
ADDRESSES = [f"{path}={{}}" for path in (
    "/work?state=pending_in&reason", "/work?after", "/work?state", "/list?after", "/list?side", "/desk?since", "/desk?until", "/desk?after", "/desk?kind", "/figures?org",
    "/figures?cohort", "/figures/idle?after", "/board?org", "/board?urged", "/progress?org", "/progress?domain", "/orgs?at", "/members?branch", "/out?branch", "/out?member",
    "/batch?source", "/letters?branch", "/registers?member", "/registers?after", "/registers?kind", "/graduation?after", "/reports/to_contact?after", "/posts?org", "/policy?compare",
    "/start?plan", "/start?plan=none&step=check&target", "/targets?text", "/contacts?text", "/verify?code", "/sign-in?next")]
PLACES = ["/transfers/{}", "/members/{}", "/figures/{}", "/reports/{}", "/bulk/{}", "/imports/{}", "/batch/{}"]


@pytest.mark.parametrize("org", [None, COLLEGE])
def test_rubbish_is_refused(browser, town, house, org):
    """Rubbish, emptiness and 10,000 characters in every field of every form, and in every address: a word of refusal, never an error of ours."""
    csrf = enter(browser, town, org, FIRST + 3 if org is None else None)
    tried, broken = set(), []

    def note(what, answer):
        if answer.status_code >= 500:
            broken.append((what, answer.status_code))

    for path in [*ADDRESSES, *PLACES]:
        for value in RUBBISH:
            note((path, value[:30]), browser.get(path.format(quote(value))))
    for path, page in list(pages_of(browser, house)):
        for form in forms.read(page)[0]:
            names = tuple(sorted({name for name, *_ in form.fields} - {"csrf"}))
            where = re.sub(r"\d+", "N", form.action or path.split("?")[0])
            if (where, names) in tried or where == "/sign-out":
                continue
            tried.add((where, names))
            for button in [one for one in form.buttons if "disabled" not in one] or [{}]:
                pressed = {button["name"]: button.get("value", "")} if button.get("name") else {}
                for value in RUBBISH:
                    everything = dict.fromkeys(names, value)
                    singles = [{**form.filled(), name: value} for name in names] if value in RUBBISH[:2] else []
                    for sent in [everything, *singles]:
                        body = {**sent, **pressed, **({"csrf": csrf} if form.method == "post" else {})}
                        send = browser.post if form.method == "post" else browser.get
                        note((where, value[:30], {k: str(v)[:20] for k, v in body.items() if v == value}),
                             send(form.action or (path if form.method == "post" else path.split("?")[0]), **{"data" if form.method == "post" else "query_string": body},
                                  environ_overrides={"REMOTE_ADDR": f"192.0.2.{len(tried) + 1}"}))
    assert not broken, broken[:30]
    assert len(tried) >= 8


@pytest.mark.rule("BEY-22")
def test_the_sign_in_page_says_what_is_asked(browser, town):
    """BEY-22, ACC-04: the page of signing in names the characters of the ID number that the installation takes; where codes open accounts it says so."""
    assert "初始密码为身份证号码后8位" in browser.get("/sign-in").text
    try:
        for name, value, words in (("TUANQIAO_INITIAL_PASSWORD_TAIL", "6", "身份证号码后6位"), ("TUANQIAO_FIRST_CREDENTIAL", "activation_code", "激活码")):
            town.environ[name] = value
            town.kill("members")
            town.start("members")
            assert words in browser.get("/sign-in").text
    finally:
        for name in ("TUANQIAO_INITIAL_PASSWORD_TAIL", "TUANQIAO_FIRST_CREDENTIAL"):
            town.environ.pop(name, None)
        town.kill("members")
        town.start("members")
