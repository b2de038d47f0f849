"""Going through all pages of a role and all forms on them, as a browser without JavaScript does."""

import re
from types import SimpleNamespace

from tests.system import forms, roles

RUBBISH = ["²", "9" * 30, "", "a\x00b", "字" * 10_000, "0001-01-01", "1-²"]
"""What people, programs and attackers type where something else is asked for."""
ADDRESSES = [
    f"{path}={{}}"
    for path in (
        "/work?state=pending_in&reason",
        "/work?after",
        "/work?state",
        "/work?source",
        "/work?province",
        "/work?due",
        "/work?mark",
        "/work?name",
        "/work?sort",
        "/work/assign?rule",
        "/work/assign?seat",
        "/list?state",
        "/list?name",
        "/list?after",
        "/list?side",
        "/desk?since",
        "/desk?until",
        "/desk?after",
        "/desk?kind",
        "/figures?org",
        "/figures?cohort",
        "/figures/idle?after",
        "/board?org",
        "/board?urged",
        "/progress?org",
        "/progress?domain",
        "/orgs?at",
        "/orgs?text",
        "/orgs/found?text",
        "/pick/organisation?target_text",
        "/pick/organisation?target_at",
        "/pick/organisation?below",
        "/pick/organisation?field",
        "/pick/place?target",
        "/members?branch",
        "/out?branch",
        "/out?member",
        "/batch?source",
        "/letters?state",
        "/letters?text",
        "/letters?after",
        "/letters/new?member_branch",
        "/registers/new?member",
        "/registers?state",
        "/registers?name",
        "/registers?sort",
        "/registers?after",
        "/registers?kind",
        "/graduation?after",
        "/reports/to_contact?after",
        "/posts?org",
        "/policy?compare",
        "/start?plan",
        "/start?plan=none&step=check&target",
        "/contacts?text",
        "/verify?code",
        "/sign-in?next",
    )
]
PLACES = [
    "/transfers/{}",
    "/members/{}",
    "/figures/{}",
    "/reports/{}",
    "/bulk/{}",
    "/imports/{}",
    "/batch/{}",
]
TYPED = {"text", "search", "tel", "number", "date", "month", "textarea", "email"}
NOT_KEPT = {"captcha", "code"}
"""What is typed here never comes back: it is good once."""


class Reader(SimpleNamespace):
    """Somebody in a role: `browser` without JavaScript, `csrf`, and `pages`, address and text of each."""


def read(app, role, house):
    """Return somebody in a role who has read all its pages."""
    browser = app.test_client()
    reader = Reader(role=role, app=app, browser=browser, csrf=roles.enter(browser, role), pages={})
    for path in dict.fromkeys([*role.pages, *roles.details(house)]):
        answer = browser.get(path, follow_redirects=path in role.pages)
        assert answer.status_code < 500, (role.name, path, answer.status_code)
        if answer.status_code == 200:
            reader.pages[path] = answer.text
    assert set(role.pages) - set(reader.pages) <= {"/gallery"}, role.name
    return reader


def different_forms(everybody):
    """Yield each form once, with who meets it first: the reader, its page, what it is called, the form."""
    tried = set()
    for reader in everybody.values():
        for path, page in reader.pages.items():
            for form in forms.read(page)[0]:
                names = tuple(sorted({name for name, *_ in form.fields} - {"csrf"}))
                where = re.sub(r"\d+", "N", (form.action or path).split("?")[0])
                if (where, names, form.method) not in tried and where not in ("/sign-out", "/security/end"):
                    tried.add((where, names, form.method))
                    yield reader, path, where, form


def presses(form):
    """Return what each button of a form that can be pressed adds to what is sent."""
    buttons = [one for one in form.buttons if "disabled" not in one] or [{}]
    return [{one["name"]: one.get("value", "")} if one.get("name") else {} for one in buttons]


def send(reader, path, form, body, number):
    """Send a form from an address of its own."""
    to = form.action or (path if form.method == "post" else path.split("?")[0])
    from_there = {"REMOTE_ADDR": f"198.51.{number // 250}.{number % 250 + 1}"}
    if form.method == "get":
        return reader.browser.get(to, query_string=body, environ_overrides=from_there, buffered=True)
    body = {**body, "csrf": reader.csrf}
    return reader.browser.post(to, data=body, environ_overrides=from_there, buffered=True)


def what_is_lost(page, name, value):
    """Return what a refused form lacks: what was typed, or words on what is wrong; else nothing."""
    kept = [
        (written, given)
        for form in forms.read(page)[0]
        for field, written, kind, given in form.fields
        if field == name and kind in TYPED
    ]
    if not kept:
        return "the field is gone"
    if value.strip() not in {written.strip() for written, _ in kept}:
        return f"it says {kept[0][0][:20]!r}"
    marked = any(given.get("aria-invalid") for _, given in kept)
    if not marked and 'role="alert"' not in page:
        return "nothing says what is wrong"
    if not marked and value == "字" * 10_000 and not name.endswith("_text"):  # that is only searched for
        return "the field is not marked"
    return ""
