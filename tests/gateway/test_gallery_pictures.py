"""The gallery looks as it did: each width and theme is compared with a picture that is kept.

    RENEW=1 .venv/bin/python -m pytest tests/gateway/test_gallery_pictures.py     keep what it looks like now

The page is taken with the product's own font and at one instant, so that the letters of a machine and
the day make no difference.
"""

import datetime as dt
import io
import os
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from services.gateway import files
from shared import clock
from tests.gateway.test_gallery import application, site  # noqa: F401
from tests.system.visitor import CHROMIUM

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: sh deploy/browser.sh installs one on Debian"
)
KEPT = Path(__file__).parent / "gallery"
FONT = Path(files.__file__).parent / "fonts" / "wqy-microhei.ttf"
FONT_ADDRESS = "https://fonts.example/font.ttf"
LETTERS = f"""
    @font-face {{ font-family: Kept; src: url({FONT_ADDRESS}); }}
    * {{ font-family: Kept !important; }}
"""
INSTANT = dt.datetime(2026, 9, 1, 4, 0, 20, tzinfo=dt.UTC)
COARSE = 4
"""Pixels in a row that are compared as one: how a letter's edge is drawn makes no difference."""
DIFFERS = 24
"""Of 255: from here on a colour is another."""
SHARE = 0.0002
"""Of the picture may differ."""


@pytest.fixture(scope="module")
def drawing():
    """A browser that draws letters in the same way everywhere."""
    from playwright.sync_api import sync_playwright

    args = ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none", "--disable-lcd-text"]
    with (
        sync_playwright() as playwright,
        closing(
            playwright.chromium.launch(executable_path=CHROMIUM, args=[*args, "--force-color-profile=srgb"])
        ) as made,
    ):
        yield made


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_gallery_looks_as_it_did(drawing, site, width, scheme, tmp_path):
    """No component has changed its place, its size or its colours but on purpose."""
    clock._ahead = INSTANT - dt.datetime.now(dt.UTC)
    with closing(
        drawing.new_context(
            viewport={"width": width, "height": 760}, locale="zh-CN", color_scheme=scheme, bypass_csp=True
        )
    ) as context:
        page = context.new_page()
        page.route(
            FONT_ADDRESS, lambda route: route.fulfill(path=FONT, headers={"access-control-allow-origin": "*"})
        )
        page.goto(f"{site}/gallery?lang=zh")
        page.add_style_tag(content=LETTERS)
        assert page.evaluate("document.fonts.load('16px Kept', '团').then(found => found.length)") == 1
        page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
        now = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    file = KEPT / f"{width}_{scheme}.png"
    if os.environ.get("RENEW"):
        now.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, optimize=True)
    with Image.open(file) as picture:
        where = differences(picture.convert("RGB"), now)
    if where:
        now.save(tmp_path / file.name)
    assert not where, (
        f"{file.name} looks different at {where[:5]} (left, top, right, bottom); see {tmp_path / file.name}. "
        "If that is meant, keep it: RENEW=1 .venv/bin/python -m pytest tests/gateway/test_gallery_pictures.py"
    )


def differences(kept, now):
    """Return the places, each 40 pixels high, at which two pictures differ; none where hardly any do."""
    if kept.size != now.size:
        return [(0, 0, *now.size)]
    small = [one.reduce(COARSE) for one in (kept, now)]
    bands = ImageChops.difference(*small).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    other = most.point(lambda value: 255 * (value >= DIFFERS))
    if other.histogram()[255] <= SHARE * other.width * other.height:
        return []
    places, high = [], 40 // COARSE
    for top in range(0, other.height, high):
        strip = other.crop((0, top, other.width, min(top + high, other.height)))
        if box := strip.getbbox():
            left, upper, right, lower = (COARSE * one for one in box)
            places.append((left, top * COARSE + upper, right, top * COARSE + lower))
    return places
