"""Every page as each role sees it, as a picture, with realistic amounts.

    make pictures                               all roles and pages, 360 and 1440 px, to docs/pictures/pages
    make pictures ROLES=college PAGES=/work     only these
    make pictures OUT=/some/folder SERVE=1      elsewhere; and keep the site open until a key is pressed

The pages are those of the menu of each role and those that the menu leads to. The pictures have few
colours, so that all of them together stay below 12 MB; `index.md` beside them says what is where.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from services.gateway.app import create_app
from services.members.accounts import handlers as accounts
from shared.bus.rpc import RpcClient
from shared.settings import SERVICES
from system import embedded, world
from tests.installation import ROOT
from tests.pictures import world as filled
from tests.system.conftest import Town
from tests.system.visitor import CHROMIUM

WIDTHS = (360, 1440)
TALLEST = 2400
"""Pixels of a picture's height; longer pages go on below."""


def take(
    browser: Browser, site: str, role: filled.Role, width: int, folder: Path, only: list[str]
) -> list[str]:
    """Take a picture of each page of a role; return what was taken as lines of the index."""
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="zh-CN")
    page = context.new_page()
    page.set_default_timeout(30_000)
    lines = []
    if role.number:
        page.goto(f"{site}/sign-in")
        page.fill("#id_number", role.number)
        page.fill("#password", world.PASSWORD)
        page.click("main button:not([disabled])")
        page.wait_for_url(lambda url: "sign-in" not in url)
    for path in role.pages:
        if only and path not in only:
            continue
        page.goto(f"{site}{path}")
        page.wait_for_load_state()
        name = f"{role.name}{path.split('?')[0].replace('/', '_').rstrip('_') or '_home'}_{width}.png"
        height = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": max(900, height)})
        _keep(page.screenshot(), folder / name)
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth")
        lines.append(
            f"| {role.name} | `{path}` | {width} | [{name}]({name}) | {'' if wide <= width else wide} |"
        )
        print(lines[-1], flush=True)
    context.close()
    return lines


def _keep(png: bytes, path: Path) -> None:
    """Keep a picture in 32 colours."""
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    """Fill a world, show it, take the pictures; return 0."""
    out = Path(os.environ.get("OUT") or ROOT / "docs" / "pictures" / "pages")
    out.mkdir(parents=True, exist_ok=True)
    only = [one for one in (os.environ.get("PAGES") or "").split(",") if one]
    names = [one for one in (os.environ.get("ROLES") or "").split(",") if one]
    keys = Path(tempfile.mkdtemp(prefix="tuanqiao-pictures-"))
    embedded.make_keys(keys)
    accounts.use(keys)
    os.environ["TUANQIAO_GALLERY"] = "true"
    with closing(Town(keys)) as town:
        town.create()
        town.start(*SERVICES)
        town.tree = world.load(town, everyone=True)
        with closing(RpcClient(town.settings)) as client:
            app = create_app(client, town.settings)
            roles = filled.fill(town, app.test_client())
            server = make_server("127.0.0.1", int(os.environ.get("PORT") or 0), app, threaded=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            site = f"http://127.0.0.1:{server.server_port}"
            print(site, flush=True)
            lines = ["# Pictures of the pages", "", "Made by `make pictures`.", ""]
            lines += ["| role | page | width | picture | sticks out to |", "|---|---|---|---|---|"]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                for role in roles:
                    for width in WIDTHS if not names or role.name in names else ():
                        lines += take(browser, site, role, width, out, only)
                browser.close()
            if not only and not names:
                (out / "index.md").write_text("\n".join(lines) + "\n")
            if os.environ.get("SERVE"):
                sys.stdin.read()
            server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
