"""The gateway's edge: who may send a form, how large it may be, and files from strangers."""

import io
import re
import threading
import time
import uuid

import pytest
import sqlalchemy as sa

from services.gateway.app import create_app
from services.gateway.files import workbooks
from system import world
from tests.gateway.factories import HOSTILE
from tests.gateway.roster_factories import GOOD, sheet

pytestmark = pytest.mark.filterwarnings(
    # the test client of werkzeug leaves the file open in which it keeps a large body
    r"ignore:Exception ignored in. <_io\.FileIO name=\d+:pytest.PytestUnraisableExceptionWarning"
)

SITE = "http://localhost"


def csrf_of(page) -> str:
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


def sign_in(browser, town, person_id, password=world.PASSWORD) -> str:
    """Sign in on the pages; return the token of forms."""
    answer = browser.post(
        "/sign-in",
        data={
            "csrf": csrf_of(browser.get("/sign-in")),
            "id_number": world.id_number_of(town, person_id),
            "password": password,
        },
    )
    assert answer.status_code == 302, answer.text
    return csrf_of(browser.get("/members" if password == world.PASSWORD else "/password"))


def credentials(town) -> dict[str, str]:
    return {
        "id_number": world.id_number_of(town, world.administrator_of(world.COLLEGE)),
        "password": world.PASSWORD,
    }


@pytest.mark.parametrize("csrf", ["-", "", None, "表单", "x" * 32, "A" * 64])
@pytest.mark.parametrize("path", ["/sign-in", "/members", "/forgot", "/sign-out", "/orgs"])
def test_a_form_without_a_cookie_is_refused(browser, town, path, csrf):
    """Nobody signs somebody else in, or does anything, by a form that this browser was not shown.

    Any other token is a 400, not a fault.
    """
    answer = browser.post(path, data={**credentials(town), **({} if csrf is None else {"csrf": csrf})})
    assert answer.status_code == 400
    browser.get("/sign-in")
    assert (
        browser.post(path, data={**credentials(town), **({} if csrf is None else {"csrf": csrf})}).status_code
        == 400
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 302),
        ({"Origin": SITE}, 302),
        ({"Origin": SITE, "Sec-Fetch-Site": "same-origin"}, 302),
        ({"Sec-Fetch-Site": "none"}, 302),
        ({"Origin": "https://evil.example"}, 400),
        ({"Origin": "null"}, 400),
        ({"Origin": "http://["}, 400),
        ({"Sec-Fetch-Site": "cross-site"}, 400),
        ({"Sec-Fetch-Site": "same-site"}, 400),
        ({"Origin": SITE, "Sec-Fetch-Site": "cross-site"}, 400),
        ({"Origin": f"{SITE}.evil.example"}, 400),
    ],
)
def test_a_form_of_another_site_is_refused(browser, town, headers, status):
    """Even with the right token, what the browser says about the sending page counts.

    It is the second line of defence.
    """
    data = {**credentials(town), "csrf": csrf_of(browser.get("/sign-in"))}
    assert browser.post("/sign-in", data=data, headers=headers).status_code == status


def test_no_two_answers_show_the_same_token(browser, town):
    """A token under a mask of each answer cannot be guessed from the lengths of packed answers (BREACH).

    Whichever answer a form stood on, it is taken.
    """
    first, second = (csrf_of(browser.get("/sign-in")) for _ in range(2))
    assert not {first[n : n + 8] for n in range(len(first) - 8)} & {
        second[n : n + 8] for n in range(len(second) - 8)
    }
    for token in (first, second):
        wrong = browser.post("/sign-in", data={**credentials(town), "password": "wrong", "csrf": token})
        assert wrong.status_code == 401
    swapped = first[:32] + second[32:]
    assert browser.post("/sign-in", data={**credentials(town), "csrf": swapped}).status_code == 400


def test_one_token_is_of_one_browser(client, town):
    """The token that another browser was given is worth nothing in this one, before signing in and after."""
    here, there = (create_app(client, town.settings).test_client() for _ in range(2))
    foreign = csrf_of(there.get("/sign-in"))
    here.get("/sign-in")
    assert here.post("/sign-in", data={**credentials(town), "csrf": foreign}).status_code == 400
    before = csrf_of(here.get("/sign-in"))
    sign_in(here, town, world.administrator_of(world.COLLEGE))
    assert here.post("/sign-out", data={"csrf": before}).status_code == 400


@pytest.mark.parametrize(
    "body",
    ["csrf=x&" + "a&" * 400_000, "&".join(f"f{n}=1" for n in range(400_000)), "csrf=" + "x" * 1_000_000],
)
def test_a_form_of_400000_fields_costs_nothing(browser, town, body):
    """It is refused without being taken apart, signed in or not; a list of 500 members passes the limits."""
    browser.get("/sign-in")
    for _ in range(2):
        started = time.monotonic()
        answer = browser.post("/sign-in", data=body, content_type="application/x-www-form-urlencoded")
        assert answer.status_code in (401, 413) and time.monotonic() - started < 0.5
        csrf = sign_in(browser, town, world.administrator_of(world.COLLEGE))
    many = {"csrf": csrf, "do": "codes", "member": [str(2**50 + n) for n in range(500)]}
    assert browser.post("/members/marks", data=many).status_code != 413


def test_a_multipart_form_of_many_parts_is_refused(browser, town):
    """Parts are counted like fields."""
    csrf = sign_in(browser, town, world.administrator_of(world.COLLEGE))
    parts = (
        "".join(f'--b\r\nContent-Disposition: form-data; name="f{n}"\r\n\r\n1\r\n' for n in range(10_000))
        + "--b--\r\n"
    )
    answer = browser.post(
        "/members",
        data=f'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{csrf}\r\n{parts}',
        content_type="multipart/form-data; boundary=b",
    )
    assert answer.status_code == 413


@pytest.mark.rule("IMP-01")
@pytest.mark.parametrize(("size", "cookie"), [(70_000, True), (300_000, False), (300_000, True)])
def test_a_form_too_large_to_be_kept_leads_to_signing_in(browser, town, size, cookie):
    """A long form or a file from somebody whose session is gone, as from a stranger, is not kept.

    The page of signing in says so, and nothing fails.
    """
    if cookie:
        browser.get("/sign-in")
    answer = browser.post("/members", data={"note": "x" * size}, headers={"Origin": SITE})
    assert (
        answer.status_code == 401 and 'name="password"' in answer.text and 'name="draft"' not in answer.text
    )


@pytest.mark.rule("ACC-10")
def test_the_form_of_signing_in_outlasts_the_captchas(browser, town):
    """ACC-10: where others have used the captchas of an address up, the form stands without one.

    Whoever belongs there signs in.
    """
    here = {"REMOTE_ADDR": "203.0.113.77"}
    page = browser.get("/sign-in", environ_overrides=here)
    assert (
        browser.post(
            "/sign-in", data={**credentials(town), "csrf": csrf_of(page)}, environ_overrides=here
        ).status_code
        == 302
    )
    browser.delete_cookie("session")
    with town.engine("members").begin() as tx:  # what 60 strangers and 4,000 pictures leave behind
        tx.execute(
            sa.text("""
                INSERT INTO attempts (tried, failed, began_at, locked_until, level) VALUES
                    ('from 203.0.113.77', 60, now(), NULL, 0),
                    ('captchas for 203.0.113.77', 4000, now(), now() + interval '15 minutes', 1)""")
        )
    page = browser.get("/sign-in", environ_overrides=here)
    assert page.status_code == 429 and 'name="password"' in page.text
    assert (
        browser.post(
            "/sign-in", data={**credentials(town), "csrf": csrf_of(page)}, environ_overrides=here
        ).status_code
        == 302
    )


def test_no_file_is_opened_for_a_stranger(browser, town, monkeypatch):
    """IMP-01: for somebody who has not signed in, or may not import, no file is opened.

    The reader is not even started.
    """
    opened = []
    monkeypatch.setattr(workbooks.Readers, "_ask", lambda self, content, own: opened.append(content))
    file = HOSTILE["the farthest two cells"]()

    def upload(csrf, **more):
        return {
            "csrf": csrf,
            "import_id": str(uuid.uuid4()),
            "level": "below",
            "file": (io.BytesIO(file), "far.xlsx"),
            **more,
        }

    assert browser.post("/members", data=upload("-")).status_code == 400
    page = browser.post("/members", data=upload(csrf_of(browser.get("/sign-in"))))
    assert 'action="/sign-in' in page.text or "/sign-in" in page.headers["Location"]
    large = upload(
        csrf_of(browser.get("/sign-in")), file=(io.BytesIO(b"PK\x03\x04" + bytes(4_000_000)), "large.xlsx")
    )
    assert browser.post("/members", data=large).status_code in (302, 400, 401, 413)
    number = world.id_number_of(town, 1005)
    browser.post(
        "/sign-in",
        data={"csrf": csrf_of(browser.get("/sign-in")), "id_number": number, "password": number[-8:]},
    )
    browser.post(
        "/password",
        data={"csrf": csrf_of(browser.get("/password")), "old": number[-8:], "new": "a member's password"},
    )
    assert browser.post("/members", data=upload(csrf_of(browser.get("/")))).status_code == 403
    assert opened == []


@pytest.mark.rule("IMP-03", "IMP-04")
def test_hostile_uploads_hurt_nobody(client, town):
    """IMP-04: several administrators send the worst files at once; each is told that it is broken.

    Pages of others come in under a second.
    """
    app = create_app(client, town.settings)
    administrators = [
        world.administrator_of(org)
        for org in (world.COLLEGE, world.COLLEGE + 1, world.COLLEGE // 100, 33, 42)
    ]
    files = [
        HOSTILE[name]()
        for name in (
            "a sheet of tags",
            "the farthest two cells",
            "200 MB of text",
            "a row for every line",
            "far enough to allocate what the limit allows",
        )
    ]
    browsers = [app.test_client() for _ in administrators]
    tokens = [sign_in(one, town, person) for one, person in zip(browsers, administrators, strict=True)]
    answers, worst = [], [0.0]

    def send(browser, csrf, file):
        for _ in range(2):
            answers.append(
                browser.post(
                    "/members",
                    data={
                        "csrf": csrf,
                        "import_id": str(uuid.uuid4()),
                        "level": "below",
                        "file": (io.BytesIO(file), "x.xlsx"),
                    },
                )
            )

    threads = [threading.Thread(target=send, args=one) for one in zip(browsers, tokens, files, strict=True)]
    for thread in threads:
        thread.start()
    other = app.test_client()
    while any(thread.is_alive() for thread in threads):
        started = time.monotonic()
        assert other.get("/sign-in").status_code == 200
        worst.append(time.monotonic() - started)
        time.sleep(0.02)
    assert len(answers) == 10 and {(one.status_code, "无法读取该表格" in one.text) for one in answers} == {
        (422, True)
    }
    assert max(worst) < 1.0
    good = browsers[0].post(
        "/members",
        data={
            "csrf": tokens[0],
            "import_id": str(uuid.uuid4()),
            "level": "below",
            "file": (io.BytesIO(sheet(GOOD)), "x.xlsx"),
        },
    )
    assert good.headers["Location"].startswith("/imports/")


@pytest.mark.rule("IMP-06", "IMP-07")
def test_rows_that_no_field_takes_fail_alone(browser, town):
    """IMP-06, IMP-07: a text without end or with control signs is the problem of its row.

    It is named in the list of failures; the other rows go on.
    """
    csrf = sign_in(browser, town, world.administrator_of(world.COLLEGE))
    rows = (
        GOOD,
        (*GOOD[:3], "1" * 150, *GOOD[4:]),
        (*GOOD[:2], "张" * 5000, *GOOD[3:]),
        (*GOOD[:5], "19900\x01000000", *GOOD[6:]),
        (*GOOD[:4], "汉" * 100, *GOOD[5:]),
    )
    import_id = str(uuid.uuid4())
    sent = browser.post(
        "/members",
        data={
            "csrf": csrf,
            "import_id": import_id,
            "level": "below",
            "file": (io.BytesIO(sheet(*rows)), "x.xlsx"),
        },
    )
    assert sent.headers["Location"] == f"/imports/{import_id}", sent.text
    ends = time.monotonic() + 20
    while 'http-equiv="refresh"' in (page := browser.get(f"/imports/{import_id}").text):
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert page.count("过长") == 5 and page.count('<li class="panel">') == 5


@pytest.mark.rule("BEY-13")
def test_a_letter_leads_to_the_setting_not_to_a_header(client, town, monkeypatch):
    """BEY-13: the QR code of a letter leads to the address of the setting.

    That is so whatever Host the caller writes.
    """
    from services.gateway.files import letter

    told = []
    render = letter.render
    monkeypatch.setattr(
        letter, "render", lambda made, verify, font: told.append(verify) or render(made, verify)
    )
    monkeypatch.setenv("TUANQIAO_PUBLIC_URL", "https://tuanqiao.example/")
    browser = create_app(client, town.settings).test_client()
    signed = browser.post("/api/v1/sessions", json=credentials(town)).json
    headers = {
        "Authorization": f"Bearer {signed['token']}",
        "X-Acting-Org": str(world.COLLEGE),
        "Host": "evil.example",
    }
    members = browser.get(f"/api/v1/branches/{world.COLLEGE * 100 + 1}/members", headers=headers).json[
        "items"
    ]
    body = {
        "items": [
            {
                "command_id": str(uuid.uuid4()),
                "member_ids": [members[0]["member_id"]],
                "addressee": "某学院团委",
                "dues_until": "2026-06-30",
            }
        ]
    }
    assert browser.post("/api/v1/letters.pdf", headers=headers, json=body).content_type == "application/pdf"
    assert told == ["https://tuanqiao.example/verify"]
