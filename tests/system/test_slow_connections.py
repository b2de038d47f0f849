"""The gateway under people who take their time: the real command, on sockets.

Half requests, silence, answers that nobody takes.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.gateway.serving import server
from tests.installation import ROOT, free_port
from tests.system.slow_connections_factories import HELD, KINDS, OPENED, Edge, ended, gateway, gone_after

LONG = ("half a header", "never reading")
"""Kinds that take a quarter of a minute where everything is one process."""


@pytest.fixture(autouse=True)
def closed():
    """Close after each test what it has opened."""
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with ended(gateway(tmp_path_factory.mktemp("keys"))) as made:
        yield made


@pytest.fixture(scope="module")
def all_in_one(tmp_path_factory):
    """`tuanqiao run`: everything in one process, on green threads."""
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "system.cli",
            "run",
            "--folder",
            str(tmp_path_factory.mktemp("run")),
            "--port",
            str(port),
        ],
        env={**os.environ, "TUANQIAO_PEERS": "none"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("Ready"):
            break
    else:
        pytest.fail("".join(said))
    made = Edge(process, port)
    yield made
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def hold(made, kind):
    """Hold 200 connections of a kind while others ask; return how long they waited.

    It is the median of five, since the machine has other things to do.
    """
    held = [made.connect(KINDS[kind], 4096 if kind == "never reading" else None) for _ in range(HELD)]
    try:
        time.sleep(
            4 if kind == "never reading" else 0.5
        )  # what they have asked for is made first, like for anybody
        answers = [made.get() for _ in range(5)]
        assert {answer[0] for answer in answers} == {200}
        return sorted(answer[3] for answer in answers)[2]
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_200_slow_connections_hold_nobody_up(one, kind):
    """While 200 of them are held, a page and the health of the gateway come in under a second."""
    assert hold(one, kind) < 1
    held = [one.connect(KINDS[kind]) for _ in range(HELD)] if kind != "never reading" else []
    status, _, body, seconds = one.get("/healthz", one.health)
    assert (status, seconds < 1) == (200, True), body
    for connection in held:
        connection.close()


@pytest.mark.parametrize(
    "kind", ["silent", "half a body", *(pytest.param(one, marks=pytest.mark.long) for one in LONG)]
)
def test_the_same_with_everything_in_one_process(all_in_one, kind):
    """`tuanqiao run` holds them as well, and ends a header that does not."""
    assert hold(all_in_one, kind) < 1
    if kind == "half a header":
        assert gone_after(all_in_one.connect(KINDS[kind])) < server.HEADER_SECONDS + 2
        assert "Server" not in all_in_one.get()[1] and all_in_one.get("/metrics")[0] == 404


def test_a_header_has_its_time(one):
    """A caller whose header is not complete after ten seconds is cut off, even at a byte a second."""
    patient = [one.connect(KINDS[kind]) for kind in ("silent", "half a request line", "half a header")]
    dripping = one.connect(KINDS["half a header"])
    started, dripping_ended = time.monotonic(), None
    for connection in patient:
        connection.settimeout(1)
    while dripping_ended is None and time.monotonic() - started < 20:
        try:
            dripping.sendall(b"x")
        except OSError:
            dripping_ended = time.monotonic() - started
        time.sleep(0.5)
    assert dripping_ended is not None and dripping_ended < server.HEADER_SECONDS + 4
    for connection in patient:
        assert gone_after(connection) < 2


def test_a_header_has_its_size(one):
    """A header without end is answered and ended; it fills no memory."""
    connection = one.connect(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * server.MAX_HEADER)
    assert re.match(rb"HTTP/1\.[01] 431", connection.recv(1000))


def test_where_all_places_are_taken_the_longest_waiting_goes(monkeypatch):
    """Connections that only wait cannot fill the house.

    A new one takes the place of the one that has waited longest.
    """
    import threading

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    monkeypatch.setattr(server, "_places", lambda: 20)
    made = server.Server(app, "127.0.0.1", free_port(), threads=2)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        here = Edge(None, int(made.effective_port))
        held = [here.connect(b"GET /") for _ in range(60)]
        time.sleep(0.5)
        assert here.get("/")[0] == 200
        assert len(made.active_channels) <= 20 and gone_after(held[0]) < 1
    finally:
        made.stop()
        thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BODY_SECONDS", "half a body"),
        ("STALLED_SECONDS", "never reading"),
        ("TAKING_SECONDS", "never reading"),
        ("IDLE_SECONDS", "idle"),
    ],
)
def test_each_time_ends_a_connection(monkeypatch, name, kind):
    """Body, silence between requests, answers not taken: each has an end of its own.

    It is seen here with one second in place of many.
    """
    import threading

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3000000")])
        return [b"x" * 3_000_000]

    monkeypatch.setattr(server, name, 1.0)
    made = server.Server(app, "127.0.0.1", free_port(), threads=2)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        here = Edge(None, int(made.effective_port))
        connection = here.connect(
            KINDS.get(kind, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 4096 if kind == "never reading" else None
        )
        if kind == "idle":
            connection.settimeout(5)
            got = 0
            while got < 3_000_000:
                got += len(connection.recv(65536))
        ends = time.monotonic() + 8
        while made.active_channels:
            assert time.monotonic() < ends
            time.sleep(0.1)
    finally:
        made.stop()
        thread.join(20)


def test_stopping_finishes_what_is_under_way(tmp_path):
    """At SIGTERM requests that are here are answered, and half ones are dropped.

    The process leaves with 0.
    """
    import threading

    with ended(gateway(tmp_path)) as made:
        half, answers = made.connect(KINDS["half a body"]), []
        threads = [
            threading.Thread(target=lambda: answers.append(made.get("/api/docs")[0])) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.15)
        made.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert made.process.wait(20) == 0
        assert answers == [200] * 8 and gone_after(half) < 1


def test_nothing_is_told_to_strangers(one):
    """No name of a server, no metrics and no health on the public port.

    Both are on the other, which listens on this machine only.
    """
    status, headers, _, _ = one.get()
    assert (
        status == 200
        and "Server" not in headers
        and "Via" not in headers
        and "Strict-Transport-Security" not in headers
    )
    for path in ("/metrics", "/healthz", "/readyz"):
        assert one.get(path)[0] == 404
    assert b"tuanqiao_http_seconds" in one.get("/metrics", one.health)[2]
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert f"0100007F:{one.health:04X}" in listening and f"00000000:{one.health:04X}" not in listening


def test_https_is_remembered(tmp_path):
    """With HTTPS browsers are told to stay with it, and the session's cookie is bound to this host."""
    with ended(gateway(tmp_path, TUANQIAO_HTTPS="true")) as made:
        headers = made.get("/contacts?lang=en")[1]
        assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
        assert (
            headers["Set-Cookie"].startswith("__Host-session=")
            and "Secure" in headers["Set-Cookie"]
            and "Path=/" in headers["Set-Cookie"]
        )
