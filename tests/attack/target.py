"""The system under attack: a whole installation with the demo world, something on every page.

The gateway stands in front of it, under gunicorn.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from services.gateway.app import create_app
from services.members.accounts import handlers as accounts
from shared import db
from shared.bus.rpc import RpcClient
from shared.settings import SERVICES
from system import embedded, world
from tests.installation import ROOT, Installation, free_port
from tests.system import fullhouse


class Target(Installation):
    """An installation with a gateway at `url`."""

    url = ""
    tree: list[Any]
    filled: SimpleNamespace

    def machinery(self, service: str) -> SimpleNamespace:
        """Return what `system.world` loads a world with."""
        return SimpleNamespace(
            database=db.Database(self.engine(service)), relay=SimpleNamespace(wake=lambda: None)
        )

    def start_gateway(self) -> None:
        """Start the gateway as an installation does, and wait until it answers."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with (ROOT / "var" / "logs" / f"{self.settings.database_prefix}_gateway.log").open("a") as out:
            self.processes["gateway"] = subprocess.Popen(
                [sys.executable, "-m", "system.cli", "gateway", "--host", "127.0.0.1", "--port", str(port)],
                cwd=ROOT,
                env=self.environ,
                stdout=out,
                stderr=out,
                text=True,
            )
        ends = time.monotonic() + 40
        while not self.answers():
            if time.monotonic() > ends:
                raise TimeoutError("the gateway is not ready")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Return whether a captcha is given: through gateway, bus, members and PostgreSQL."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/captcha", timeout=10) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    def dead(self) -> list[str]:
        """Return the processes that have ended by themselves."""
        return [name for name, process in self.processes.items() if process.poll() is not None]


def token(person: int) -> str:
    """Return a token that outlasts the attack, of no session that could be ended."""
    return accounts.keys.signer.sign("person", timedelta(hours=6), sub=str(person))[0]


@contextmanager
def target(folder: Path) -> Iterator[Target]:
    """Yield the system under attack; nothing of it is left afterwards. Keys come into `folder`."""
    embedded.make_keys(folder)
    accounts.use(folder)
    made = Target(folder)
    try:
        made.create()
        made.start(*SERVICES)
        made.tree = world.load(made, everyone=True)
        client = RpcClient(made.settings)
        try:
            made.filled = fullhouse.fill(made, create_app(client, made.settings).test_client())
        finally:
            client.close()
        made.start_gateway()
        yield made
    finally:
        made.close()
