"""Several gateways behind the real front: one is stopped, another killed, and nobody is refused."""

import http.client
import signal
import threading
import time
from contextlib import ExitStack

import pytest

from tests.deploy.front_factories import NGINX, front_before
from tests.system.slow_connections_factories import ended, gateway

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed (Debian: apt-get install nginx)")
PAGE = ("GET", "/contacts", None)
COMMAND = ("POST", "/api/v1/transfers/decisions", b"[]")
"""What is no list of decisions is refused by the gateway itself."""
FORM = ("POST", "/members", b"x=1")
WRONG = {502, 503, 504}


class Callers:
    """Ask over connections that are kept open, as browsers do; remember what was answered."""

    def __init__(self, front, *requests):
        self.said, self.errors = [], []
        self._front, self._requests, self._over = front, requests, False
        self._threads = [threading.Thread(target=self._ask) for _ in range(6)]

    def _ask(self):
        connection = self._front.open()
        while not self._over:
            for method, path, body in self._requests:
                try:
                    connection.request(method, path, body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    answer.read()
                    self.said.append((path, answer.status))
                except OSError as error:
                    self.errors.append(error)
                    connection.close()
                time.sleep(0.02)
        connection.close()

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *error):
        self._over = True
        for one in self._threads:
            one.join()

    def refused(self):
        return [one for one in self.said if one[1] in WRONG] + self.errors


def ask(connection):
    """Ask over a connection that is kept open; return the answer."""
    connection.request("GET", "/contacts")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read()
    return answer


@pytest.fixture
def installation(tmp_path):
    environ = {"TUANQIAO_HTTPS": "true", "TUANQIAO_TRUSTED_PROXIES": "1"}
    (tmp_path / "front").mkdir()
    with ExitStack() as stack:
        gateways = [stack.enter_context(ended(gateway(tmp_path / "keys", **environ))) for _ in range(3)]
        yield stack.enter_context(front_before(tmp_path / "front", *gateways)), gateways


def test_a_gateway_goes_and_nobody_is_refused(installation):
    """Of three gateways one is told to end and one is killed under load: every request is answered.

    Forms, too, while one ends in order; while one is killed, what may be done twice.
    """
    front, (first, second, _) = installation
    with Callers(front, PAGE, COMMAND, FORM) as callers:
        kept = http.client.HTTPConnection("127.0.0.1", first.port, timeout=10)
        assert ask(kept).getheader("Connection") is None
        time.sleep(0.7)
        first.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert first.get("/readyz", first.health)[0] == 503
        assert ask(kept).getheader("Connection") == "close"
        assert first.process.wait(15) == 0
        time.sleep(0.5)
    assert not callers.refused()
    with Callers(front, PAGE, COMMAND) as callers:
        time.sleep(0.5)
        second.process.kill()
        time.sleep(1)
    assert not callers.refused()
    assert {status for path, status in callers.said if path == "/contacts"} == {200}
