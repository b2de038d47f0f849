"""The front with its real configuration: Debian's nginx before a real gateway."""

import http.client
import re
import time

import pytest

from tests.deploy.front_factories import NGINX, front_before
from tests.system.slow_connections_factories import ended, gateway, gone_after

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed (Debian: apt-get install nginx)")


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    with (
        ended(
            gateway(tmp_path_factory.mktemp("keys"), TUANQIAO_HTTPS="true", TUANQIAO_TRUSTED_PROXIES="1")
        ) as behind,
        front_before(folder, behind) as made,
    ):
        yield made


def test_pages_come_by_https_only(front):
    """Plain HTTP leads to HTTPS; HTTPS says once that it is HTTPS for a year, and cookies are bound to it."""
    connection = http.client.HTTPConnection("localhost", front.plain, timeout=10)
    connection.request("GET", "/contacts?text=x", headers={"Host": "tuanqiao.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (308, "https://tuanqiao.example/contacts?text=x")
    answer.close()
    connection.close()
    status, headers, _, _ = front.ask("/contacts?lang=en")
    assert (
        status == 200
        and headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        and headers["set-cookie"].startswith("__Host-session=")
    )
    assert not re.search(r"\d", headers["server"]) and "via" not in headers
    for path in ("/metrics", "/healthz", "/readyz"):
        assert front.ask(path)[0] == 404


def test_answers_are_compressed(front):
    """Pages, styles and the API document travel compressed to who takes that."""
    for path in ("/assets/0/css/base.css", "/api/openapi.json", "/contacts"):
        status, headers, body, _ = front.ask(path, **{"Accept-Encoding": "gzip"})
        assert (status, headers.get("content-encoding")) == (200, "gzip"), path
        assert len(body) < len(front.ask(path)[2])


def test_what_is_too_large_ends_here(front):
    """Five megabytes are the most; the gateway does not see more."""
    assert front.ask("/members", "POST", b"x" * (6 * 2**20))[0] == 413


def test_slow_connections_end_here(front):
    """Half a header is cut off after ten seconds, and 200 of them hold nobody up.

    Half a body is never seen by the gateway.
    """
    held = [front.connect(b"GET /contacts HTTP/1.1\r\nHost: x\r\nX-A: ") for _ in range(100)]
    held += [
        front.connect(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ncsrf=")
        for _ in range(100)
    ]
    answers = [front.ask("/contacts") for _ in range(5)]
    assert {answer[0] for answer in answers} == {200} and max(answer[3] for answer in answers) < 1.5
    assert gone_after(held[0]) < 14 and gone_after(held[-1]) < 20
    for connection in held:
        connection.close()


def test_an_address_has_its_limits(front):
    """Passwords may be tried a hundred at once and five a second from an address, no faster.

    Other pages go on.
    """
    connection, said = front.open(), []
    for _ in range(250):
        connection.request(
            "POST", "/sign-in", "csrf=x", {"Content-Type": "application/x-www-form-urlencoded"}
        )
        answer = connection.getresponse()
        answer.read()
        said.append(answer.status)
    connection.close()
    assert said[0] == 400 and 50 <= said.count(400) < 200 and said.count(429) > 20, (
        "the tests before have used some of it"
    )
    assert front.ask("/contacts")[0] == 200


def test_the_log_holds_paths_only(front):
    """Neither queries nor forms are written down."""
    front.ask("/contacts?text=13900000000")
    time.sleep(0.5)
    written = front.log.read_text()
    assert "/contacts" in written and "13900000000" not in written
