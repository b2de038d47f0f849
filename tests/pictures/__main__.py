"""Every page as each role sees it, as a picture, with realistic amounts.

    make pictures                               all roles and pages, 360 and 1440 px, to docs/pictures/pages
    make pictures ROLES=college PAGES=/work     only these
    make pictures OUT=/some/folder SERVE=1      elsewhere; and keep the site open until a key is pressed

The pages are those of the menu of each role and those that the menu leads to. The pictures have the
colours of the style, so that all of them together stay below 12 MB; `README.md` beside them says what
is where.
"""

from __future__ import annotations

import functools
import io
import os
import re
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"pictures{os.getpid()}.")

from services.gateway.app import create_app
from services.gateway.kit import assets
from shared.bus.rpc import RpcClient
from shared.messages.words import PEERS
from system import world
from tests.installation import ROOT
from tests.pictures import bridges
from tests.pictures import world as filled
from tests.system.bridged import bridged
from tests.system.conftest import demo_town
from tests.system.roles import Role
from tests.system.visitor import CHROMIUM

SIZES = {360: 1800, 1440: 1400}
"""The widths, each with the height of its tallest picture; longer pages go on below."""
LEAST = 720
"""Height of the window, and of the smallest picture."""


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: what is taken is what is read."""


def take(browser: Browser, site: str, role: Role, folder: Path, only: list[str]) -> None:
    """Take the pictures of the pages of a role; say which stick out of the window."""
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.set_default_timeout(60_000)
    if role.number:
        page.goto(f"{site}/sign-in")
        page.fill("#id_number", role.number)
        page.fill("#password", world.PASSWORD)
        page.click("main button:not([disabled])")
        page.wait_for_url(lambda url: "sign-in" not in url)
    for name, path in named(role.pages).items():
        if only and path not in only:
            continue
        answer = page.goto(f"{site}{path}", wait_until="networkidle")
        for width, tallest in SIZES.items():
            page.set_viewport_size({"width": width, "height": LEAST})
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": min(tallest, max(LEAST, height))})
            file = f"{role.name}_{name}_{width}.png"
            _keep(page.screenshot(), folder / file)
            wide = page.evaluate("document.documentElement.scrollWidth")
            print(
                file,
                answer.status if answer else "",
                f"sticks out to {wide}" if wide > width else "",
                flush=True,
            )
    context.close()


def named(paths: list[str]) -> dict[str, str]:
    """Return pages by names that files can have; a transfer has another number each time, and one name."""
    names: dict[str, str] = {}
    for path in paths:
        name = (
            re.sub(r"^transfers/\d+", "transfer", path.split("?")[0].strip("/")).replace("/", "_") or "home"
        )
        while name in names:
            name += "-more"
        names[name] = path
    return names


def index(roles: list[Role], folder: Path) -> str:
    """Return what is where, of what there is in a folder: role, page, its pictures."""
    lines = [
        "# Pictures of the pages",
        "",
        "Made by `make pictures`, with the data of `tests/pictures`.",
    ]
    for role in roles:
        lines += ["", f"## {role.name}", "", "| page | 360 px | 1440 px |", "|---|---|---|"]
        for name, path in named(role.pages).items():
            files = [f"{role.name}_{name}_{width}.png" for width in SIZES]
            if all((folder / file).exists() for file in files):
                lines.append(f"| `{path}` | {' | '.join(f'[{file}]({file})' for file in files)} |")
    return "\n".join([*lines, ""])


def _keep(png: bytes, path: Path) -> None:
    """Keep a picture in the colours of the style."""
    with Image.open(io.BytesIO(png)) as picture:
        kept = picture.convert("RGB").quantize(palette=_palette(), dither=Image.Dither.NONE)
        kept.save(path, optimize=True)


@functools.cache
def _palette() -> Image.Image:
    """Return the colours of the style on white, and those between them and white that letters have."""
    tokens = (assets.FOLDER / "css" / "tokens.css").read_text().split("@media")[0]
    named = [tuple(bytes.fromhex(one)) for one in re.findall(r"#([0-9a-f]{6});", tokens)]
    dark = [one for one in named if sum(one) < 400]
    mixed = [tuple((part * n + 255 * (4 - n)) // 4 for part in one) for one in dark for n in (1, 2)]
    colours = list(dict.fromkeys([(255, 255, 255), *named, *mixed]))
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for one in colours for part in one])
    return palette


def main() -> int:
    """Fill a world, show it, take the pictures; return 0."""
    out = Path(os.environ.get("OUT") or ROOT / "docs" / "pictures" / "pages")
    out.mkdir(parents=True, exist_ok=True)
    only = [one for one in (os.environ.get("PAGES") or "").split(",") if one]
    names = [one for one in (os.environ.get("ROLES") or "").split(",") if one]
    folder = Path(tempfile.mkdtemp(prefix="tuanqiao-pictures-"))
    os.environ["TUANQIAO_GALLERY"] = "true"
    with demo_town(folder / "keys") as first_town, bridged(first_town, folder / "bridged", *PEERS) as made:
        town, peers = made
        with closing(RpcClient(town.settings)) as client:
            app = create_app(client, town.settings)
            begun = time.monotonic()
            roles = filled.fill(town, app.test_client()) + bridges.fill(town, app.test_client(), peers)
            print(f"world: {time.monotonic() - begun:.0f} s", flush=True)
            server = make_server(
                "127.0.0.1", int(os.environ.get("PORT") or 0), app, threaded=True, request_handler=_Silent
            )
            threading.Thread(target=server.serve_forever, daemon=True).start()
            site = f"http://127.0.0.1:{server.server_port}"
            print(site, flush=True)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                for role in roles:
                    if not names or role.name in names:
                        take(browser, site, role, out, only)
                browser.close()
            (out / "README.md").write_text(index(roles, out))
            if os.environ.get("SERVE"):
                sys.stdin.read()
            server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
