"""The gallery: every component fits and is accessible on phones and desks; the style keeps its order.

Needs no services, only a Chromium; without one those tests are skipped and say why.
"""

import datetime as dt
import re
import threading
import uuid
from contextlib import closing
from typing import Annotated

import msgspec
import pytest
from werkzeug.datastructures import MultiDict

from services.gateway import kit
from services.gateway.app import create_app
from services.gateway.kit import assets, form
from services.gateway.kit.page import due, since
from shared import clock
from shared.errors import Refused
from shared.messages import limits
from shared.settings import Settings
from tests.system.visitor import CHROMIUM, broken_rules

LAYERS = ("tokens", "base", "layout", "components", "utilities")
JUNE = dt.date(2027, 6, 1)
STYLES = sorted(assets.FOLDER.glob("css/*.css"))


class Entered(msgspec.Struct):
    """A form with a field of every sort."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    joined_on: dt.date
    place: str
    size: int = 1
    key: uuid.UUID | None = None
    month: form.Month | None = None


class Ticked(limits.Dated):
    """A form of ticked rows."""

    item: Annotated[list[tuple[limits.Id, limits.SmallNumber]], msgspec.Meta(max_length=500)]
    password: str
    month: form.Month
    day: limits.Day


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TUANQIAO_GALLERY", "true")
        # No page of these tests calls a service.
        return create_app(None, Settings("", "", "memory://", tmp_path_factory.mktemp("keys"), 0))


@pytest.fixture(scope="module")
def site(application):
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no Chromium here: sh deploy/browser.sh installs one on Debian")
    with (
        sync_playwright() as playwright,
        closing(
            playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
        ) as made,
    ):
        yield made


@pytest.mark.parametrize(
    "width, scheme, language",
    [
        (320, "light", "zh"),
        (320, "dark", "en"),
        (360, "light", "zh"),
        (360, "dark", "zh"),
        (768, "light", "en"),
        (1440, "light", "zh"),
        (1440, "dark", "zh"),
    ],
)
def test_every_component_fits_and_is_accessible(chromium, site, width, scheme, language):
    """Nothing sticks out from 320 px on, axe finds nothing in light and dark, and nothing breaks."""
    with closing(
        chromium.new_context(viewport={"width": width, "height": 760}, locale="zh-CN", color_scheme=scheme)
    ) as context:
        page = context.new_page()
        complaints = []
        page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
        page.goto(f"{site}/gallery?lang={language}")
        assert page.locator("table [role=row]").count() == 5
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # The focus is at the errors; a head that stays in sight lies over the row above them by half.
        page.evaluate("scrollTo(0, 0)")
        assert broken_rules(page) == []
        assert complaints == []


def test_a_table_stays_one_on_a_phone(chromium, site):
    """Rows that are shown as cards are rows of a table to a screen reader, with their heads."""
    with closing(chromium.new_context(viewport={"width": 360, "height": 760})) as context:
        page = context.new_page()
        page.goto(f"{site}/gallery")
        assert page.get_by_role("table").count() == 1
        assert page.get_by_role("row").count() == 5
        assert page.get_by_role("rowheader", name="王芳").count() == 1


def test_the_focus_goes_to_the_errors(chromium, site):
    """All errors stand at the top, have the focus, and lead to their fields, which say what is wrong."""
    with closing(chromium.new_context(viewport={"width": 1440, "height": 760})) as context:
        page = context.new_page()
        page.goto(f"{site}/gallery")
        assert page.evaluate("document.activeElement.id") == "error"
        page.click("#error a >> nth=1")
        assert page.evaluate("document.activeElement.id") == "joined_on"
        assert page.input_value("#joined_on") == "昨天"
        told = page.get_attribute("#joined_on", "aria-describedby")
        assert "2026-06-30" in page.inner_text(f"#{told.split()[-1]}")


def test_an_installation_has_no_gallery(tmp_path):
    """Who does not ask for the gallery has none."""
    browser = create_app(None, Settings("", "", "memory://", tmp_path, 0)).test_client()
    assert browser.get("/gallery").status_code == 404


def test_the_gallery_shows_every_component(application):
    """Every macro of the kit stands in the gallery, itself or within another, and says what it promises."""
    folder = assets.FOLDER.parent / "templates"
    source = (folder / "kit/kit.html").read_text("utf-8")
    gallery = (folder / "gallery.html").read_text("utf-8")
    macros = re.findall(r"\{%-? macro (\w+)", source)
    assert macros
    for name in macros:
        assert f"kit.{name}(" in gallery or re.search(rf"\{{\{{-? {name}\(", source), name
        assert re.search(rf"#\}}\s*\{{%-? macro {name}\b", source), f"{name} has no words on what it promises"


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.name)
def test_the_style_keeps_to_its_layers(path):
    """Every rule stands in a named layer, and no rule shouts others down."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
    assert "!important" not in text
    depth, outside = 0, ""
    for one in text:
        depth += (one == "{") - (one == "}")
        outside += one if depth == 0 and one != "}" else ""
    statements = [one.strip() for one in re.split(r"[;\n]", outside) if one.strip()]
    assert depth == 0
    assert {one.split()[0] for one in statements} == {"@layer"}
    assert {name for one in statements for name in re.findall(r"\w+", one)[1:]} <= set(LAYERS)


def test_static_files_are_kept_for_ever(application):
    """The name of a file changes with its contents: kept for ever, and packed for whoever can unpack it."""
    browser = application.test_client()
    with application.app_context():
        address = application.jinja_env.globals["asset"]("css/components.css")
    packed = browser.get(address, headers={"Accept-Encoding": "gzip"})
    plain = browser.get(address)
    assert packed.headers["Cache-Control"] == plain.headers["Cache-Control"] == assets.FOR_EVER
    assert packed.headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
    assert len(packed.data) * 3 < len(plain.data)
    old = browser.get("/assets/000000000000/css/components.css")
    assert old.data == plain.data and old.headers["Cache-Control"] == "no-cache"
    assert browser.get("/assets/000000000000/css/../app.py").status_code == 404


def test_a_page_is_packed(application):
    """A page is packed for whoever can unpack it, and is the same page."""
    browser = application.test_client()
    packed = browser.get("/gallery", headers={"Accept-Encoding": "br, gzip"})
    plain = browser.get("/gallery", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"] and "Accept-Encoding" in plain.headers["Vary"]
    assert len(packed.data) * 2 < len(plain.data)
    assert int(packed.headers["Content-Length"]) == len(packed.data)


def test_all_errors_of_a_form_come_at_once(application):
    """Each field is read on its own, so that one fault hides no other; what was typed stays."""
    with application.test_request_context():
        typed = MultiDict(
            {"name": "王" * 61, "joined_on": "昨天", "size": "viele", "key": "x", "month": "2027"}
        )
        seen = form.read(Entered, typed)
        assert seen.value is None and seen.typed == typed
        assert set(seen.errors) == {"name", "joined_on", "size", "place", "key", "month"}
        assert seen.errors["name"] == "姓名:最多60个字"
        assert seen.errors["joined_on"].startswith("请按 2026-06-30")
        assert seen.errors["month"].startswith("请按 2027-06")
        good = form.read(
            Entered,
            MultiDict({"name": " 王芳 ", "joined_on": "2024-05-04", "where": "武汉"}),
            {"place": "where"},
        )
        assert good.errors == {} and good.value.name == "王芳" and good.value.size == 1
        with pytest.raises(Refused, match="bad_request"):
            form.value(Entered, typed)


def test_what_is_ticked_comes_as_a_list(application):
    """Each ticked value once and no more than a command takes, pairs as two numbers, months as a day.

    A password is not trimmed; a day outside the years that there are is a fault of its field.
    """
    with application.test_request_context():
        typed = MultiDict(
            [("item", "12-3"), ("item", "4-1"), ("item", "12-3"), ("password", " x "), ("month", "2027-06")]
        )
        good = form.read(Ticked, typed, day=JUNE)
        assert good.value == Ticked(item=[(12, 3), (4, 1)], password=" x ", month=JUNE, day=JUNE)
        assert form.read(Ticked, MultiDict({**typed, "item": "12"}), day=JUNE).errors.keys() == {"item"}
        many = MultiDict({**typed, "item": [f"{n}-1" for n in range(501)]})
        assert form.read(Ticked, many, day=JUNE).errors == {"item": "一次最多500项"}
        far = form.read(Ticked, MultiDict({**typed, "day": "0900-01-01"}))
        assert list(far.errors) == ["day"] and "1900" in far.errors["day"]


def test_instants_are_told_as_people_say_them(application):
    """Relative to now, without seconds, in days up to two months."""
    told = {"seconds": 5, "minutes": 3, "hours": 5, "days": 9, "weeks": 20}
    with application.test_request_context():
        ago = [since(clock.now() - dt.timedelta(**{unit: n})) for unit, n in told.items()]
        assert ago == ["刚刚", "3分钟前", "5小时前", "9天前", "5个月前"]
        assert since(clock.now() + dt.timedelta(days=9, hours=1)) == "9天后"


def test_a_deadline_is_as_far_however_it_is_told(application):
    """What is left of it is whole days, on the last one whole hours, as a chip and in a line."""
    told = {"9天": dt.timedelta(days=9, hours=23), "5小时": dt.timedelta(hours=5, minutes=50)}
    with application.test_request_context():
        for left, away in told.items():
            until = clock.now() + away
            assert (due(until)[0], since(until)) == (f"剩{left}", f"{left}后")


def test_macros_need_nothing_handed_to_them(application):
    """What components use of the environment is there for all of them."""
    assert {"word", "when", "due", "csrf_token", "asset", "words"} <= set(application.jinja_env.globals)
    assert kit.word("study")
