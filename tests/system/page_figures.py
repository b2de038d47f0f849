"""What the pages cost those who use them, in figures: `make figures` (PAGES=/work ROUNDS=20).

A world with 402 approvals that wait (`tests.pictures.world`) is shown on real servers; a browser
measures each page. The figures go to the screen as a table and are the same for any state of the
pages, so that two states can be compared:

- p50, p95: milliseconds until the page's own answer is there, of ROUNDS askings over HTTP;
- page: the page's own text, unpacked, in thousands of bytes;
- KB: all that a first visit loads, as it goes over the wire, in thousands of bytes;
- height: pixels of the whole page at 1440 px;
- stops: presses of Tab before the first button that decides (approve, assign, send), on the pages
  that have one; "over" says that none was reached in 150.

Above the table: lines of templates over 120 columns, and texts of which both languages stand in line.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"figures{os.getpid()}.")

from services.gateway.app import create_app
from services.members.accounts import handlers as accounts
from shared.bus.rpc import RpcClient
from shared.settings import SERVICES
from system import embedded, world
from tests.installation import ROOT
from tests.pictures import world as filled
from tests.system.conftest import Town
from tests.system.roles import Role
from tests.system.visitor import CHROMIUM

PAGES = {
    "graduate": ("/", "/start", "/me", "/messages"),
    "college": (
        "/desk",
        "/work",
        "/list",
        "/out",
        "/in",
        "/batch",
        "/members",
        "/orgs",
        "/figures",
        "/board",
        "/graduation",
    ),
    "university": ("/graduation", "/orgs", "/members"),
    "township": ("/work",),
    "province": ("/desk", "/orgs", "/members", "/figures", "/board", "/progress", "/schools"),
    "national": ("/board", "/orgs", "/progress"),
}
"""The pages that are measured: the heaviest and the most used of each role."""
DECIDES = re.compile("^(同意|分配|提交|发起)")
WEIGHT = """performance.getEntriesByType('navigation')[0].transferSize
    + performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"""
FOCUSED = """(() => { const one = document.activeElement;
    return [one.tagName, (one.innerText || one.value || '').trim()] })()"""
FURTHEST = 150


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: the table is what is read."""


def stops(page: Any) -> str:
    """Return how often Tab is pressed before a button that decides has the focus; "-" without one."""
    if not any(DECIDES.match(text.strip()) for text in page.locator("main button:visible").all_inner_texts()):
        return "-"
    for n in range(FURTHEST):
        page.keyboard.press("Tab")
        tag, text = page.evaluate(FOCUSED)
        if tag == "BUTTON" and DECIDES.match(text):
            return str(n)
    return "over"


def askings(context: BrowserContext, url: str, rounds: int) -> str:
    """Return p50 and p95 of so many askings for a page, and its weight; dashes if it leads elsewhere.

    The session is the browser's, whose cookies change as they do for everybody.
    """
    taken, weight = [], 0.0
    for _ in range(rounds):
        begun = time.perf_counter()
        answer = context.request.get(url)
        weight = len(answer.body()) / 1000
        taken.append((time.perf_counter() - begun) * 1000)
        if answer.url != url or not answer.ok:
            return "- | - | -"
    taken.sort()
    p50, p95 = taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.95))]
    return f"{p50:.0f} | {p95:.0f} | {weight:.0f}"


def measure(browser: Browser, site: str, role: Role, rounds: int, only: list[str]) -> None:
    """Measure the pages of a role; print the lines of the table."""
    entrance = browser.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    page = entrance.new_page()
    page.goto(f"{site}/sign-in")
    page.fill("#id_number", str(role.number))
    page.fill("#password", world.PASSWORD)
    page.click("main button:not([disabled])")
    page.wait_for_url(lambda url: "sign-in" not in url)
    session = entrance.storage_state()
    entrance.close()
    for path in PAGES[role.name]:
        if only and path not in only:
            continue
        context = browser.new_context(
            viewport={"width": 1440, "height": 900}, locale="zh-CN", storage_state=session
        )
        page = context.new_page()
        answer = page.goto(f"{site}{path}")
        if answer is None or answer.status != 200:
            print(f"| {role.name} | `{path}` | {answer.status if answer else '-'} | | | | |", flush=True)
            context.close()
            continue
        page.wait_for_load_state("networkidle")
        weight = page.evaluate(WEIGHT) / 1000
        height = page.evaluate("document.documentElement.scrollHeight")
        taken = askings(context, f"{site}{path}", rounds)
        costs = f"{taken} | {weight:.0f} | {height} | {stops(page)}"
        print(f"| {role.name} | `{path}` | {costs} |", flush=True)
        context.close()


def source() -> list[str]:
    """Return what can be counted in the text of templates and code alone."""
    templates = list((ROOT / "services" / "gateway" / "templates").rglob("*.html"))
    wide = sum(len(line) > 120 for one in templates for line in one.read_text().splitlines())
    code = [*templates, *(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
    pairs = sum(len(re.findall(r"""\bt\(\s*f?["']""", one.read_text())) for one in code)
    return [f"template lines over 120 columns: {wide}", f"texts with both languages in line: {pairs}"]


def main() -> int:
    """Show a world, measure it, print the figures; return 0."""
    rounds = int(os.environ.get("ROUNDS") or 20)
    only = [one for one in (os.environ.get("PAGES") or "").split(",") if one]
    print("\n".join(source()), flush=True)
    with tempfile.TemporaryDirectory(prefix="tuanqiao-figures-") as folder:
        keys = Path(folder)
        embedded.make_keys(keys)
        accounts.use(keys)
        with closing(Town(keys)) as town:
            town.create()
            town.start(*SERVICES)
            town.tree = world.load(town, everyone=True)
            with closing(RpcClient(town.settings)) as client, sync_playwright() as playwright:
                app = create_app(client, town.settings)
                begun = time.monotonic()
                roles = [one for one in filled.fill(town, app.test_client()) if one.name in PAGES]
                print(f"world: {time.monotonic() - begun:.0f} s\n", flush=True)
                server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
                threading.Thread(target=server.serve_forever, daemon=True).start()
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                print("| role | page | p50 ms | p95 ms | page | KB | height | stops |", flush=True)
                print(f"|{'---|' * 8}", flush=True)
                for role in roles:
                    measure(browser, f"http://127.0.0.1:{server.server_port}", role, rounds, only)
                browser.close()
                server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
