"""Somebody at a screen: a real browser, each page of which is checked."""

import shutil
import time

from system import world

_FOUND = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
CHROMIUM = next((path for path in _FOUND if path), None)

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}

PAGE_BYTES = 150_000
WEIGHT = """performance.getEntriesByType('navigation')[0].transferSize
    + performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"""


def broken_rules(page):
    """Return the rules of axe that a page breaks, each with where it does so first."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(Axe().axe_script)
    found = page.evaluate("rules => axe.run(document, rules).then(found => found.violations)", RULES)
    return [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found]


class Visitor:
    """Somebody at a screen; every page that is looked at is checked."""

    def __init__(self, chromium, site, town, width):
        self.page = chromium.new_context(viewport={"width": width, "height": 760}, locale="zh-CN").new_page()
        self.site, self.town, self.width, self.trips = site, town, width, 0
        self.page.set_default_timeout(15_000)
        self.complaints = []
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type == "error" else None,
        )

    def sign_in(self, person, password=None):
        number = world.id_number_of(self.town, person)
        self.page.goto(f"{self.site}/sign-in")
        self.page.fill("#id_number", number)
        self.page.fill("#password", password or number[-8:])
        self.page.click("main button")
        self.page.wait_for_url(lambda url: "sign-in" not in url)
        return number

    def go(self, path):
        self.page.goto(f"{self.site}{path}")
        self.look()

    def look(self):
        """Check the page: nothing sticks out, nothing is too heavy, nothing broke, and axe finds nothing."""
        page = self.page
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= self.width, page.url
        found = broken_rules(page)
        assert not found, (page.url, found)
        weight = page.evaluate(WEIGHT)
        assert weight <= PAGE_BYTES, (page.url, weight)
        assert not self.complaints, (page.url, self.complaints)

    def click(self, what):
        self.page.click(what)
        self.page.wait_for_load_state()

    def until(self, words, seconds=20):
        """Load the page again until it says something, as people do."""
        ends = time.monotonic() + seconds
        while words not in self.page.inner_text("main"):
            assert time.monotonic() < ends, (words, self.page.inner_text("main"))
            time.sleep(0.3)
            self.page.reload()
