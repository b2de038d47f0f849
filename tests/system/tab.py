"""One tab of a browser that looks at page after page, narrow and wide, and says what is wrong with each."""

from system import world
from tests.system.visitor import PAGE_BYTES, WEIGHT, broken_rules

WIDTHS = (640, 360, 320)
"""A screen of 1280 px at 200 %, a phone, a small phone."""
HEIGHT = 760

STICKS_OUT = """() => {
    const said = [], boxes = new Map()
    const say = (what, one) => said.push(`${what}: ${one.outerHTML.replace(/\\s+/g, ' ').slice(0, 160)}`)
    const wide = document.scrollingElement.scrollWidth
    if (wide > innerWidth) said.push(`the page is ${wide} px wide`)
    // the box that the eye sees around something; none where what sticks out is cut off, or may be moved
    const seen = one => {
        if (boxes.has(one)) return boxes.get(one)
        const style = getComputedStyle(one)
        const around = one === document.body ? {box: one} : seen(one.parentElement)
        let found = around
        if (around.unseen || style.clipPath !== 'none' || one.matches('.skip, svg')) found = {unseen: true}
        else if (style.textOverflow === 'ellipsis' || /auto|scroll/.test(style.overflowX)) found = {}
        else if (style.display !== 'inline' && (style.backgroundColor !== 'rgba(0, 0, 0, 0)'
            || parseFloat(style.borderInlineEndWidth) || /hidden|clip/.test(style.overflowX))) {
            found = {box: one}
        }
        boxes.set(one, found)
        return found
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const range = document.createRange()
    while (texts.nextNode()) {
        const one = texts.currentNode.parentElement
        if (!texts.currentNode.data.trim() || one.closest('script, style, option')) continue
        const {box} = seen(one)
        if (!box || !one.checkVisibility()) continue
        range.selectNodeContents(texts.currentNode)
        const at = range.getBoundingClientRect()
        if (!at.width) continue
        const around = box.getBoundingClientRect()
        if (at.right > Math.min(around.right, innerWidth) + 1 || at.left < Math.max(around.left, 0) - 1) {
            say(`words stick out of ${box.tagName.toLowerCase()}.${box.className}`, one)
        }
    }
    for (const one of document.querySelectorAll('main :is(a, button, input, select, textarea, table, svg)')) {
        const {width, right} = one.getBoundingClientRect()
        if (width && right > innerWidth + 0.5 && !one.closest('.scroll, .skip, pre')) say('sticks out', one)
    }
    return said.slice(0, 5)
}"""


class Tab:
    """A tab in which somebody is signed in; `faults` are what has been found wrong, each with its page."""

    def __init__(self, chromium, site, dark=False):
        self.site, self.faults = site, []
        scheme = "dark" if dark else "light"
        self.context = chromium.new_context(
            viewport={"width": 1440, "height": HEIGHT}, locale="zh-CN", color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda one: self._say(one.text) if one.type == "error" else None)

    def enter(self, number):
        """Sign in, or be nobody."""
        page = self.page
        self.context.clear_cookies()
        if number:
            page.goto(f"{self.site}/sign-in")
            page.fill("#id_number", number)
            page.fill("#password", world.PASSWORD)
            page.click("main button:not([disabled])")
            page.wait_for_url(lambda url: "sign-in" not in url)

    def go(self, path):
        """Open a page with all that is folded on it."""
        answer = self.page.goto(f"{self.site}{path}")
        if answer.status >= 400:
            self._say(f"answers {answer.status}")
        self.page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true })")

    def squeeze(self):
        """Make the page narrow, step by step, and see whether something sticks out."""
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            for one in self.page.evaluate(STICKS_OUT):
                self._say(f"{width} px: {one}")

    def unfold_the_bar(self):
        """Open what is folded in the bar, one after the other, on a small phone."""
        for fold in self.page.locator(".topbar details").all():
            fold.locator("summary").click()
            self.page.wait_for_load_state("networkidle")
            self.squeeze()
            fold.locator("summary").click()

    def read(self):
        """Have axe look at the page; a page of a menu is no load for a phone."""
        weight = self.page.evaluate(WEIGHT)
        if weight > PAGE_BYTES:
            self._say(f"weighs {weight} bytes")
        for one in broken_rules(self.page):
            self._say(one)

    def widen(self, width=1440):
        """Give the page a width again."""
        self.page.set_viewport_size({"width": width, "height": HEIGHT})

    def _say(self, what):
        self.faults.append((self.page.url.removeprefix(self.site), what))
