"""How many requests the gateway answers, and how fast, on as many processes as there are cores.

Requests come over kept connections from one loop, which costs less than a tenth of what it asks for. Every
answer has to be 200. At 70 % of what was reached right before each request has its own instant to begin, and
what it waits after that counts: a slow answer makes those behind it late, as it would be for people.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from services.gateway.app import create_app
from shared.bus.rpc import RpcClient
from shared.settings import SERVICES
from system import synthetic, world
from tests.bench.quantiles import percentile
from tests.installation import ROOT
from tests.system import fullhouse
from tests.system.conftest import Town, demo_town
from tests.system.fullhouse import CLASS, TOWNSHIP

WAITING = 500
CONNECTIONS = (1, 16, 128)
LOAD = 0.7
FIRST = 4_300_001
PORT = 18_400


class Ask(NamedTuple):
    """A request, and to be sent by whom in turn: each a header that says who."""

    name: str
    path: str
    headers: Sequence[str]
    bodies: Sequence[bytes] = (b"",)

    def bytes(self, nth: int) -> bytes:
        """Return the nth request as it goes over the wire."""
        body = self.bodies[nth % len(self.bodies)]
        lines = [
            f"{'POST' if body else 'GET'} {self.path} HTTP/1.1",
            "Host: localhost",
            self.headers[nth % len(self.headers)],
        ]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


class Tally:
    """The answers: how long each took, and all together, in seconds, and how many had each status."""

    def __init__(self) -> None:
        self.took = 0.0
        self.seconds: list[float] = []
        self.statuses: dict[int, int] = {}

    def add(self, seconds: float, status: int) -> None:
        """Count an answer."""
        self.seconds.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1


async def _answered(reader: asyncio.StreamReader) -> int:
    """Read an answer to its end; return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if lengths:
        await reader.readexactly(int(lengths[0].split(b":")[1]))
    else:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(head.split(b" ", 2)[1])


async def _connected(ports: Sequence[int], ask: Ask, connections: int, seconds: float, rate: float) -> Tally:
    tally, numbers = Tally(), iter(range(10**9))
    began = time.monotonic()

    async def work(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                nth = next(numbers)
                due = began + nth / rate if rate else time.monotonic()
                if due - began > seconds:
                    return
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                writer.write(ask.bytes(nth))
                tally.add(0.0, await _answered(reader))
                tally.seconds[-1] = time.monotonic() - due
        finally:
            writer.close()

    await asyncio.gather(*(work(ports[n % len(ports)]) for n in range(connections)))
    tally.took = time.monotonic() - began
    return tally


def load(ports: Sequence[int], ask: Ask, connections: int, seconds: float, rate: float = 0.0) -> Tally:
    """Send a request again and again; `rate` a second in all, 0 for as fast as answers come."""
    return asyncio.run(_connected(ports, ask, connections, seconds, rate))


class Gateways(NamedTuple):
    """Gateways that run: their ports and their processes."""

    ports: list[int]
    processes: list[psutil.Process]

    def cpu(self) -> float:
        """Return the seconds of CPU that all have taken so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self.processes)


@contextmanager
def gateways(town: Town, count: int) -> Iterator[Gateways]:
    """Yield so many gateways of a town."""
    ports = list(range(PORT, PORT + count))
    processes = []
    for port in ports:
        command = [sys.executable, "-W", "ignore", "-m", "system.cli", "gateway", "--port", str(port)]
        environ = {**town.environ, "TUANQIAO_HEALTH_PORT": "0"}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True))
    try:
        for process in processes:
            assert process.stdout is not None
            while "is up" not in process.stdout.readline():
                assert process.poll() is None
        yield Gateways(ports, [psutil.Process(process.pid) for process in processes])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def asks(town: Town, browser: Any) -> list[Ask]:
    """Let 500 transfers wait in a township; return what is asked of it."""
    people = synthetic.people(WAITING, rng=random.Random(31), division_codes=["420115"], start=7_400_000)
    entries = [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
    fullhouse.enter_graduates(town, entries)
    school = fullhouse.Office(browser, CLASS)
    started = school.send("/transfers", *[fullhouse.request_of(one) for one, _ in entries])
    school.wait(started[-1]["transfer_id"], "pending_in", 120)
    fullhouse.enter(browser, town, TOWNSHIP)
    cookie = browser.get_cookie("session")
    token = fullhouse.token(world.administrator_of(TOWNSHIP))
    office = f"Authorization: Bearer {token}\r\nX-Acting-Org: {TOWNSHIP}"
    known = (*fullhouse.ROLES.values(), fullhouse.OTHER_COLLEGE)
    accounts = [
        json.dumps(
            {"id_number": world.id_number_of(town, world.administrator_of(org)), "password": world.PASSWORD}
        )
        for org in known
    ]
    return [
        Ask("work list of 20", "/api/v1/work?limit=20", [office]),
        Ask("work list of 500", "/api/v1/work?limit=500", [office]),
        Ask("page of the queue", "/work?state=pending_in", [f"Cookie: {cookie.key}={cookie.value}"]),
        Ask("sign-in", "/api/v1/sessions", ["Accept: */*"], [one.encode() for one in accounts]),
    ]


def measure(seconds: float) -> dict[str, Any]:
    """Return requests a second and percentiles of each request, by the number of connections."""
    cores = os.cpu_count() or 1
    found: dict[str, Any] = {"gateways": cores}
    with demo_town(Path(tempfile.mkdtemp())) as town:
        town.start(*SERVICES)
        client = RpcClient(town.settings)
        try:
            wanted = asks(town, create_app(client, town.settings).test_client())
        finally:
            client.close()
        with gateways(town, cores) as running:
            for ask in wanted:
                load(running.ports, ask, 16, 1.0)
                rows = {str(n): _row(running, ask, n, seconds) for n in CONNECTIONS}
                rows["paced"] = _paced(running, ask, seconds)
                found[ask.name] = rows
    return found


def _paced(running: Gateways, ask: Ask, seconds: float) -> dict[str, float]:
    """Return the middle one of three rows at 70 %, with what went wrong in all.

    Each is at 70 % of what was reached right before: a machine that others use, too, is a quarter slower or
    faster from one minute to the next, and then 70 % are 90.
    """
    rows = []
    for _ in range(3):
        reached = _row(running, ask, 16, seconds / 3)["per_s"]
        rows.append(_row(running, ask, 64, 2 * seconds, LOAD * reached))
    wrong = {name: sum(row[name] for row in rows) for name in ("not_200", "errors")}
    return sorted(rows, key=lambda row: row["p99_ms"])[1] | wrong


def _row(
    running: Gateways, ask: Ask, connections: int, seconds: float, rate: float = 0.0
) -> dict[str, float]:
    """Return what was measured; `gateway_ms` is the gateways' own CPU for a request."""
    before = running.cpu()
    tally = load(running.ports, ask, connections, seconds, rate)
    count = len(tally.seconds)
    return {
        "gateway_ms": 1000 * (running.cpu() - before) / count,
        "per_s": count / tally.took,
        "p50_ms": 1000 * percentile(tally.seconds, 50),
        "p99_ms": 1000 * percentile(tally.seconds, 99) if count >= 100 else 1000 * max(tally.seconds),
        "not_200": count - tally.statuses.get(200, 0),
        "errors": sum(number for status, number in tally.statuses.items() if status >= 500),
    }


def lines(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured as lines of a table."""
    cores = found["gateways"]
    for name, rows in found.items():
        if name == "gateways":
            continue
        for way in (*map(str, CONNECTIONS), "paced"):
            row = rows[way]
            label = f"at {LOAD:.0%} of that, 64 connections" if way == "paced" else f"{way} connections"
            speed = f"{row['per_s']:,.0f}/s, p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms"
            bad = f", {row['not_200']:.0f} not answered 200" if row["not_200"] else ""
            own = f"{1000 / row['gateway_ms']:,.0f}/s for each core of a gateway alone"
            yield f"{name}, {label}", speed, f"{row['per_s'] / cores:,.0f}/s for each core of all; {own}{bad}"


if __name__ == "__main__":
    for line in lines(measure(float(os.environ.get("SECONDS") or 5))):
        print("  ".join(line))
