"""The gateway as a process of its own, and connections that take their time."""

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from system import embedded
from tests.installation import AMQP_URI, ROOT, TOPOLOGY, free_port

FORM = (
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\ncsrf="
)

KINDS = {
    "silent": b"",
    "half a request line": b"GET /con",
    "half a header": b"GET /contacts HTTP/1.1\r\nHost: x\r\nX-Long: ",
    "half a body": FORM,
    "half an upload": (
        b"POST /members HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 5000000\r\n\r\n--b\r\n"
    ),
    "half a chunk": b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nabc",
    "never reading": b"GET /assets/0/vendor/htmx-2.0.11.min.js HTTP/1.1\r\nHost: x\r\n\r\n" * 6,
}

HELD = 200

OPENED: list[socket.socket] = []


class Edge:
    """A process that serves on a port."""

    def __init__(self, process, port, health=None):
        self.process, self.port, self.health = process, port, health

    def get(self, path="/contacts", port=None):
        """Return status, headers, body and seconds."""
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read(), time.monotonic() - started
        finally:
            connection.close()

    def connect(self, data=b"", buffer=None):
        """Return a socket over which some bytes were sent."""
        made = socket.socket()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(10)
        OPENED.append(made)
        made.connect(("127.0.0.1", self.port))
        made.sendall(data)
        return made


def gateway(folder, **environ):
    """Start `tuanqiao gateway` and wait until it answers."""
    embedded.make_keys(folder)
    port, health = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "system.cli", "gateway", "--port", str(port), "--host", "127.0.0.1"],
        cwd=ROOT,
        env={
            **os.environ,
            "AMQP_URI": AMQP_URI,
            "TUANQIAO_BUS_PREFIX": TOPOLOGY.prefix,
            "TUANQIAO_KEYS": str(folder),
            "TUANQIAO_HEALTH_PORT": str(health),
            **environ,
        },
    )
    made, ends = Edge(process, port, health), time.monotonic() + 30
    while True:
        try:
            if made.get("/readyz", health)[0] == 200:
                return made
        except OSError:
            pass
        assert process.poll() is None and time.monotonic() < ends
        time.sleep(0.1)


@contextmanager
def ended(made):
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def gone_after(connection):
    """Return after how many seconds the other side ended the connection."""
    started = time.monotonic()
    connection.settimeout(40)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - started
