"""The front with its real configuration: Debian's nginx before a real gateway."""

import http.client
import re
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from services.gateway.serving import certificate
from tests.installation import ROOT, free_port
from tests.system.slow_connections_factories import Edge, ended, gateway, gone_after

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else "")
pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed (Debian: apt-get install nginx)")


class Front(Edge):
    """The front on ports of its own."""

    def __init__(self, process, plain, secure):
        super().__init__(process, secure)
        self.plain = plain
        self.trust = ssl.create_default_context()
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE

    def open(self):
        return http.client.HTTPSConnection("localhost", self.port, timeout=20, context=self.trust)

    def ask(self, path, method="GET", body=None, **headers):
        """Return status, headers, body and seconds."""
        connection, started = self.open(), time.monotonic()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
            time.monotonic() - started,
        )
        connection.close()
        return found

    def connect(self, data=b"", buffer=None):
        made = self.trust.wrap_socket(super().connect(), server_hostname="localhost")
        made.sendall(data)
        return made


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    with ended(
        gateway(tmp_path_factory.mktemp("keys"), TUANQIAO_HTTPS="true", TUANQIAO_TRUSTED_PROXIES="1")
    ) as behind:
        plain, secure = free_port(), free_port()
        assert certificate.make(folder, "localhost") and not certificate.make(folder, "localhost")
        shutil.copy(
            ROOT / "deploy" / "front" / "nginx.conf", folder
        )  # the very file; only the place is another
        place = (
            (ROOT / "deploy" / "front" / "place.conf")
            .read_text()
            .replace("gateway:8000", f"127.0.0.1:{behind.port}")
        )
        (folder / "place.conf").write_text(place)
        (folder / "plain.conf").write_text(
            (ROOT / "deploy" / "front" / "plain.conf").read_text().replace("80", str(plain))
        )
        (folder / "secure.conf").write_text(
            (ROOT / "deploy" / "front" / "secure.conf")
            .read_text()
            .replace("443", str(secure))
            .replace("/tls", str(folder))
        )
        words = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off; user root;"]
        tested = subprocess.run([*words, "-t"], capture_output=True, text=True, check=False)
        assert tested.returncode == 0, tested.stderr
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        made, ends = Front(process, plain, secure), time.monotonic() + 20
        made.log = folder / "log"
        while True:
            try:
                if made.ask("/contacts")[0] == 200:
                    break
            except OSError:
                pass
            assert process.poll() is None and time.monotonic() < ends, (folder / "log").read_text()
            time.sleep(0.2)
        yield made
        process.terminate()
        process.wait(20)


def test_pages_come_by_https_only(front):
    """Plain HTTP leads to HTTPS; HTTPS says once that it is HTTPS for a year, and cookies are bound to it."""
    connection = http.client.HTTPConnection("localhost", front.plain, timeout=10)
    connection.request("GET", "/contacts?text=x", headers={"Host": "tuanqiao.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (308, "https://tuanqiao.example/contacts?text=x")
    answer.close()
    connection.close()
    status, headers, _, _ = front.ask("/contacts")
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
    for path in ("/static/style.css", "/api/openapi.json", "/contacts"):
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
