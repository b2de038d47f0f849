"""The first hour of an installation.

What compose starts, what the first visitor sees, and that somebody can sign in at the end of it.
"""

import http.client
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from shared import db
from system import synthetic
from tests.deploy.factories import command
from tests.installation import ROOT, free_port

PERSON, OTHER, THIRD = synthetic.people(
    3, rng=random.Random(5), division_codes=["110101"], birth_years=(1980, 1990), start=40_000_000
)
PASSWORD = "The-first-password"


class Visitor:
    """A browser without pictures: cookies, forms, redirects by hand."""

    def __init__(self, port: int) -> None:
        self.port, self.cookie = port, ""

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Return status, where it leads, and the page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {
            "Cookie": self.cookie,
            **({"Content-Type": "application/x-www-form-urlencoded"} if form else {}),
        }
        connection.request("POST" if form else "GET", path, urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        if answer.getheader("Set-Cookie"):
            self.cookie = answer.getheader("Set-Cookie").split(";")[0]
        page = answer.read().decode()
        connection.close()
        return answer.status, answer.getheader("Location") or "", page

    def send(self, path: str, **form: str) -> tuple[int, str, str]:
        """Send a form with the token that its page has shown."""
        csrf = re.search(r'name="csrf" value="([^"]+)"', self.ask(path)[2])[1]
        return self.ask(path, {"csrf": csrf, **form})


def compose_run(environment, service: str, *words: str, **keywords) -> subprocess.CompletedProcess:
    """Run `docker compose run --rm <service> <words>` without a container.

    The image's entry point with the environment of the service.
    """
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "system.cli", *words],
        env=environment(service),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **keywords,
    )


@pytest.fixture(scope="module")
def new(translate):
    """What `docker compose up` starts of it: keys, migrations, orgs, members, the gateway.

    There is no organisation and nobody yet.
    """
    environments = {}

    def environment(name: str) -> dict[str, str]:
        return {
            **environments.setdefault(name, translate(name)),
            "TUANQIAO_CAPTCHA": "off",
            "TUANQIAO_BUS_PREFIX": f"first{os.getpid()}.",
        }

    printed = subprocess.run(
        command("keys"),
        env=environment("keys"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    subprocess.run(
        command("migrate"), env=environment("migrate"), cwd=ROOT, check=True, capture_output=True, timeout=120
    )
    port, running = free_port(), []
    try:
        for name in ("orgs", "members", "gateway"):
            words = [str(port) if word == "8000" else word for word in command(name)]
            running.append(
                subprocess.Popen(
                    words,
                    env=environment(name),
                    cwd=ROOT,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        ends, said = time.monotonic() + 90, None
        while True:
            try:
                said = Visitor(port).ask("/setup")
                if said[0] == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() < ends and all(one.poll() is None for one in running), said
            time.sleep(0.3)
        yield environment, port, printed
    finally:
        for one in running:
            one.send_signal(signal.SIGTERM)
        for one in running:
            one.wait(40)


def until(check, seconds: float = 30):
    """Return what a check gives as soon as it gives something."""
    ends = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < ends
        time.sleep(0.2)
    return found


@pytest.mark.timeout(300)
@pytest.mark.rule("ADM-10")
def test_from_nothing_to_the_first_sign_in(new):
    """ADM-10: the first visitor is led to the page of the first installation and becomes administrator.

    The visitor loads the tree, gives the token, signs in; then the page is gone.
    """
    environment, port, printed = new
    token = re.search(r"its token is (\S+)", printed)[1]
    visitor = Visitor(port)
    assert visitor.ask("/")[:2] == visitor.ask("/sign-in")[:2] == (302, "/setup")
    page = visitor.ask("/setup")[2]
    assert "docker compose run --rm orgs seed" in page and "docker compose logs keys" in page
    form = {"name": PERSON.name, "id_number": PERSON.id_number, "phone": PERSON.phone, "password": PASSWORD}
    assert visitor.send("/setup", token=token, **form)[0] == 404, "there is no organisation yet"

    assert compose_run(environment, "orgs", "seed", "--size", "small").returncode == 0
    until(lambda: "已导入" in visitor.ask("/setup")[2])
    status, _, page = visitor.send("/setup", token="guessed", **form)
    assert status == 422 and "安装令牌不正确" in page and PERSON.name in page
    assert visitor.send("/setup", token=token, **{**form, "id_number": "110101199001011234"})[0] == 422
    assert visitor.send("/setup", token=token, **form)[:2] == (302, "/sign-in")

    assert visitor.ask("/setup")[0] == 404
    csrf = re.search(r'name="csrf" value="([^"]+)"', visitor.ask("/sign-in")[2])[1]
    assert (
        visitor.ask(
            "/setup", {"csrf": csrf, "token": token, **form, "id_number": OTHER.id_number, "name": OTHER.name}
        )[0]
        == 409
    )

    def acts() -> bool:
        assert visitor.send("/sign-in", id_number=PERSON.id_number, password=PASSWORD)[:2] == (302, "/board")
        return 'name="org"' in visitor.ask("/orgs")[2] or "共青团中央" in visitor.ask("/orgs")[2]

    until(acts)


@pytest.mark.timeout(300)
@pytest.mark.rule("ADM-10", "ADM-01")
def test_the_command_line(new):
    """ADM-10, ADM-01: the command makes an administrator where there is none.

    It asks for what is not given, says no where there are some, and may be repeated.
    """
    environment, port, _ = new
    compose_run(environment, "orgs", "seed", "--size", "small")

    def create(person, *more):
        return compose_run(
            environment,
            "members",
            "administrator",
            "create",
            *more,
            input=f"{person.name}\n{person.id_number}\n",
        )

    def created():
        done = create(OTHER, "--org", "33")
        return done.returncode == 0 and done

    first = until(created)
    assert (
        PERSON.id_number not in first.stdout and OTHER.id_number not in first.stdout.split("administers")[1]
    )
    code = re.search(r"code (\S+),", first.stdout)[1]
    assert create(OTHER, "--org", "33").returncode == 0, "repeated, it does nothing but make another code"
    code = re.search(r"code (\S+),", create(OTHER, "--org", "33").stdout)[1]
    refused = create(THIRD, "--org", "33")
    assert refused.returncode == 1 and "已有管理员" in refused.stderr
    assert create(THIRD, "--org", "33", "--force").returncode == 0
    assert create(replace(THIRD, name="别名"), "--org", "33").returncode == 1
    visitor = Visitor(port)
    done = visitor.send("/forgot", id_number=OTHER.id_number, code=code, new=PASSWORD)
    assert "密码已重置" in done[2]

    def acts() -> bool:
        assert visitor.send("/sign-in", id_number=OTHER.id_number, password=PASSWORD)[0] == 302
        return "浙江" in visitor.ask("/orgs")[2]

    until(acts)
    url = environment("members")["MEMBERS_DATABASE_URL"]
    with db.connect(url).connect() as tx:
        kinds = [row.kind for row in tx.execute(sa.text("SELECT kind FROM audit_log WHERE place_id = 33"))]
    assert kinds.count("administrator.first") == 2 and "post.given" in kinds
    assert "the account has its password" in create(OTHER, "--org", "33").stdout
