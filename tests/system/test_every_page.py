"""Every page of every role: what it shows, that it fits and can be read, and what its forms take.

The pages are those of `tests.system.roles`. Each is fetched once for all tests that only read it.
"""

import re
from contextlib import closing
from html import unescape
from itertools import product
from urllib.parse import quote, urlsplit

import pytest
import sqlalchemy as sa

from services.gateway.app import create_app
from services.gateway.pages import draft
from system import world
from tests.system import crawl, forms, fullhouse, roles
from tests.system.tab import Tab
from tests.system.visitor import CHROMIUM

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian"
)


@pytest.fixture(scope="module")
def everybody(town, client):
    """Each role by its name, signed in, with all its pages read."""
    app = create_app(client, town.settings)
    house = fullhouse.fill(town, app.test_client())
    return {role.name: crawl.read(app, role, house) for role in roles.of(town, house)}


HARMLESS = {
    "target_search",
    "member_search",
    "do=preview",
    "division_code_next",
    "place_division_next",
    "search",
    "step=fields",
    "step=check",
    "do=search",
}
"""Buttons that decide nothing: they look something up, or lead to the next step."""


def test_enter_decides_nothing(everybody):
    """Of every form with several submit buttons, the one that Enter crawl.presses is disabled or harmless.

    Somebody who types a note never decides by it.
    """
    several = {}
    for name, reader in everybody.items():
        for path, page in reader.pages.items():
            for form in forms.read(page)[0]:
                submits = [button for button in form.buttons if "disabled" not in button]
                pressed = form.entered
                if len(submits) > 1:
                    several[name] = several.get(name, 0) + 1
                if len(submits) > 1 and pressed is not None:
                    means = {pressed.get("name", ""), f"{pressed.get('name', '')}={pressed.get('value', '')}"}
                    assert means & HARMLESS, (name, path, form.action, pressed)
                if "note" in form.typed:
                    assert pressed is None, (name, path, form.action)
    for name in ("returned", "township", "college", "class", "branch"):
        assert several[name] >= 2, several


LATIN = re.compile(r"[A-Za-z_]{3,}")
KNOWN = {"API", "PDF", "xlsx", "English", "Edge", "Chrome", "Firefox", "Safari", "JSON"}
SYSTEMS = {"Linux", "Windows", "macOS", "Android", "iOS"}
"""What the page of sign-ins calls devices by."""


def test_no_machine_words_in_chinese(everybody):
    """A Chinese page speaks Chinese.

    No codes, no `open` or `none`, no `clock False`, no parser's complaint, no request id outside of
    errors, no seconds but where the rules ask.
    """
    for name, reader in everybody.items():
        for path, page in reader.pages.items():
            if path == "/api/docs":  # a document
                continue
            text = page[page.index("<main") : page.index("</main>")]
            text = re.sub(r"<(script|style|title|code)[^>]*>.*?</\1>", " ", text, flags=re.S)
            text = unescape(re.sub(r"<[^>]*>", " ", text))
            text = re.sub(r"\b[A-Z]{2,5}-\d\d\b", "", text)  # rules, as the sentence before cites them
            odd = set(LATIN.findall(text)) - KNOWN - {"TRF", "TYPE", "GRAD", "MEM", "ORG", "season"}
            odd -= SYSTEMS if path == "/security" else set()
            assert not odd, (name, path, odd)
            assert "请求编号" not in page, (name, path)
            assert path.startswith(("/transfers/", "/security")) or not re.search(r"\d\d:\d\d:\d\d", text), (
                name,
                path,
            )


@pytest.mark.rule("STAT-05", "DOC-05")
@pytest.mark.parametrize("role", ["college", "township", "province"])
def test_every_list_has_a_file(everybody, role):
    """STAT-05, DOC-05: the export link of every list page gives a spreadsheet to a session.

    The session is the browser's own; without one the link leads to sign in.
    """
    reader = everybody[role]
    links = {
        link for page in reader.pages.values() for link in forms.read(page)[1] if link.startswith("/download")
    }
    waits = fullhouse.Office(reader.browser, fullhouse.ROLES[role]).get("/work")["counts"]
    assert (
        {
            *(["/download/queue"] if waits else []),  # of an empty queue there is nothing to take along
            "/download/orgs",
            "/download/reports",
            "/download/figures",
            "/download/board",
            "/download/list",
            "/download/retentions",
        }
        <= {"/".join(link.split("?")[0].split("/")[:3]) for link in links}
    )
    for link in links:
        answer = reader.browser.get(link)
        assert answer.status_code == 200 and answer.data[:2] == b"PK", (link, answer.data[:300])
    assert reader.app.test_client().get("/download/work").headers["Location"].startswith("/sign-in")


# ---- in a real browser -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def looks(everybody):
    """Pages that differ: each address with the first role that has it, and pages with parts that are new.

    By the names of roles: the addresses, each with whether it has parts that no page before it had.
    """
    seen, chosen = set(), {name: {} for name in everybody}
    for name, reader in everybody.items():
        for path, page in reader.pages.items():
            parts = set(re.findall(r'<(\w+)[^>]*?class="([^"]*)"', page))
            address = {re.sub(r"\d+", "N", path.split("?")[0])}
            if (parts | address) - seen:
                chosen[name][path] = bool(parts - seen)
            seen |= parts | address
    return chosen


@needs_chromium
@pytest.mark.rule("BEY-14", "UI-09", "UI-11", "UI-13", "UI-15", "ROLE-14")
def test_every_page_fits_and_can_be_read(everybody, looks, chromium, site):
    """BEY-14: every different page, with the longest names and all that is folded on it open.

    Nothing sticks out of a phone or of a screen at 200 %, and axe finds nothing.
    """
    tab = Tab(chromium, site)
    for name, reader in everybody.items():
        tab.enter(reader.role.number)
        for path in looks[name]:
            tab.widen()
            tab.go(path)
            tab.read()
            tab.squeeze()
        tab.unfold_the_bar()
    tab.context.close()
    assert tab.faults == []


@pytest.mark.long
@needs_chromium
@pytest.mark.rule("BEY-14")
def test_every_page_of_every_role_fits(everybody, looks, chromium, site):
    """BEY-14: those of each role, too, that look like one that another role has."""
    tab = Tab(chromium, site)
    for name, reader in everybody.items():
        tab.enter(reader.role.number)
        for path in reader.pages:
            if path in reader.role.pages and path not in looks[name]:
                tab.widen()
                tab.go(path)
                tab.squeeze()
    tab.context.close()
    assert tab.faults == []


@pytest.mark.long
@needs_chromium
@pytest.mark.rule("BEY-14")
def test_every_page_in_english_in_the_dark(everybody, looks, chromium, site):
    """BEY-14: in English, on a dark screen, every different page fits, and every part can be read, too."""
    tab = Tab(chromium, site, dark=True)
    for name, paths in looks.items():
        if not paths:
            continue
        tab.enter(everybody[name].role.number)
        for path in paths:
            tab.widen(360)
            tab.go(f"{path}{'&' if '?' in path else '?'}lang=en")
            if tab.page.locator("nav.side").count():
                menu = tab.page.inner_text("nav.side")
                assert not re.search("[\u4e00-\u9fff]", menu), (path, menu)
            if paths[path]:  # what is dark, and too faint, is so by the part, not by the page
                tab.read()
            tab.squeeze()
        tab.unfold_the_bar()
    tab.context.close()
    assert tab.faults == []


@needs_chromium
@pytest.mark.rule("UI-13")
def test_without_javascript(everybody, chromium, site):
    """On a phone without JavaScript the menu opens, a list is narrowed, and an approval is given."""
    with closing(
        chromium.new_context(
            viewport={"width": 360, "height": 760}, locale="zh-CN", java_script_enabled=False
        )
    ) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)

        def enter(name):
            context.clear_cookies()
            page.goto(f"{site}/sign-in")
            page.fill("#id_number", everybody[name].role.number)
            page.fill("#password", world.PASSWORD)
            page.click("main button:not([disabled])")

        enter("township")
        for words, path in (("业务办理", "/work"), ("统计", "/figures"), ("操作中心", "/desk")):
            page.click("a.to-menu")
            page.locator("nav.side").get_by_text(words, exact=False).first.click()
            assert urlsplit(page.url).path == path
            assert page.locator("nav.side").is_hidden()
        page.goto(f"{site}/work?state=pending_in")
        page.fill("main input[name=name]", "没有")
        page.locator("main button").get_by_text("筛选").first.click()
        assert "name=" in page.url and page.locator("main input[name=item]").count() == 0
        page.goto(f"{site}/work?state=pending_in")
        item = page.locator("main input[name=item]").first
        decided = item.get_attribute("value")
        item.check()
        page.click("button:has-text('同意所选')")
        assert "已同意 1 项" in page.inner_text("main")
        page.goto(f"{site}/work?state=pending_in")
        assert page.locator("main input[name=item]").count() > 0
        assert page.locator(f"main input[value='{decided}']").count() == 0

        enter("starting")
        page.goto(f"{site}/start")
        page.check("input[value=study]")
        page.click("main button.primary")
        page.fill("#target_text", "浙大计算机")
        page.click("button[name=target_search]")
        page.locator("#target_found input[type=radio]").first.check()
        page.fill("#place_address", "杭州市西湖区")
        page.click("button[value=check]")
        assert "核对并提交" in page.inner_text("main")
        page.click("button[name=confirm]")
        assert urlsplit(page.url).path == "/" and "申请已提交" in page.inner_text("main")


# ---- forms: these change the world, so they come last ------------------------------------------


@pytest.mark.parametrize("name", ["college", pytest.param("graduate", marks=pytest.mark.long)])
def test_rubbish_in_an_address(everybody, name):
    """Rubbish, emptiness and 10,000 characters in every address: refused in words, never an error of ours."""
    broken = []
    for path in [*crawl.ADDRESSES, *crawl.PLACES]:
        for value in crawl.RUBBISH:
            answer = everybody[name].browser.get(path.format(quote(value)))
            if answer.status_code >= 500:
                broken.append((name, path, value[:30], answer.status_code))
    assert not broken, broken[:30]


def state_of(town):
    """Return all that somebody could have decided."""
    tables = {
        "transfers": ("transfers", "transfer_id, state"),
        "members": ("people", "person_id, branch_id, name"),
        "orgs": ("orgs", "org_id, parent_id, full_name"),
    }
    found = {}
    for service, (table, columns) in tables.items():
        with town.engine(service).connect() as tx:
            found[service] = set(map(tuple, tx.execute(sa.text(f"SELECT {columns} FROM {table}"))))
    return found


def test_a_form_of_rubbish_is_refused(everybody, town):
    """Rubbish, emptiness and 10,000 characters in all fields of every form at once.

    The answer is a refusal in words, never an error of ours, and nothing has been decided.
    """
    before, broken, number = state_of(town), [], 0
    for number, (reader, path, where, form) in enumerate(crawl.different_forms(everybody), 1):
        names = {name for name, *_ in form.fields} - {"csrf", "back"}
        for pressed in crawl.presses(form) if names else ():  # a button alone says nothing that can be wrong
            for value in crawl.RUBBISH:
                answer = crawl.send(reader, path, form, {**dict.fromkeys(names, value), **pressed}, number)
                if answer.status_code >= 500:
                    broken.append((reader.role.name, where, pressed, value[:30], answer.status_code))
    assert not broken, broken[:30]
    assert number >= 60
    after = state_of(town)
    changed = {name: before[name] ^ after[name] for name in before if before[name] != after[name]}
    assert not changed, changed


@pytest.mark.long
def test_what_is_typed_is_taken_or_kept_and_marked(everybody):
    """Of every form each field alone left blank, filled with rubbish or with 10,000 characters.

    Either that is taken, or it still stands in its field, and the page says what is wrong and where.
    What is hidden or chosen is never an error of ours, either.
    """
    lost, fields = [], 0
    for number, (reader, path, where, form) in enumerate(crawl.different_forms(everybody), 1):
        typed = {name for name, _, kind, _ in form.fields if kind in crawl.TYPED} - crawl.NOT_KEPT
        for name in sorted(typed):
            fields += 1
            # what may be taken comes last: then the form is gone
            for value in ("字" * 10_000, "²", ""):
                for pressed in crawl.presses(form):
                    answer = crawl.send(reader, path, form, {**form.filled(), name: value, **pressed}, number)
                    told = (reader.role.name, where, pressed, name, value[:1])
                    if answer.status_code >= 500:
                        lost.append((*told, answer.status_code))
                    if form.method == "get" or answer.status_code not in (400, 422):
                        continue
                    if fault := crawl.what_is_lost(answer.text, name, value):
                        lost.append((*told, answer.status_code, fault))
        for name in {name for name, *_ in form.fields} - typed - {"csrf"}:
            for value, pressed in product(crawl.RUBBISH[:2], crawl.presses(form)):
                answer = crawl.send(reader, path, form, {**form.filled(), name: value, **pressed}, number)
                if answer.status_code >= 500:
                    lost.append((reader.role.name, where, pressed, name, value, answer.status_code))
    assert not lost, "\n".join(str(one) for one in lost)
    assert fields >= 60


def test_every_form_outlasts_its_session(everybody):
    """A form sent after the session has ended is kept for its person, with all but secrets (UI-05)."""
    kept = 0
    for number, (reader, path, where, form) in enumerate(crawl.different_forms(everybody), 1):
        if form.method == "get" or reader.role.number is None:
            continue
        typed = {name: "团²" for name, _, kind, _ in form.fields if kind in crawl.TYPED}
        with reader.browser.session_transaction() as session:
            token = session.pop("token")
        answer = crawl.send(reader, path, form, {**form.filled(), **typed, "password": "Secret-123"}, number)
        with reader.browser.session_transaction() as session:
            session["token"] = token
        if answer.status_code != 401:
            continue
        with reader.app.app_context():
            (asked,) = [one for one in forms.read(answer.text)[0] if "password" in one.filled()]
            opened = draft.opened(asked.filled()["draft"])
        wanted = {(name, value) for name, value in typed.items() if name not in draft.SECRET}
        assert wanted <= set(opened.fields), (where, wanted)
        assert "Secret-123" not in str(opened.fields) + answer.text, where
        kept += 1
    assert kept >= 30
