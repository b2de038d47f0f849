"""Two hundred connections at a time that send half a request, or nothing, or read nothing.

Everybody else is answered as if they were not there.
"""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request

from tests.attack import Budget, Outcome
from tests.attack.target import Target
from tests.system.slow_connections_factories import HELD, KINDS

TITLE = "slow connections"
LONGEST = 2.0
"""Seconds in which people are answered meanwhile, at the median of ten requests."""


def attack(target: Target, budget: Budget) -> Outcome:
    """Hold the connections of each kind and ask ten times meanwhile."""
    host, port = target.url.removeprefix("http://").split(":")
    outcome, slowest = Outcome(""), 0.0
    for kind, data in KINDS.items():
        with contextlib.ExitStack() as held:
            for _ in range(HELD):
                with contextlib.suppress(OSError):  # where there is no place left, none is held
                    connection = held.enter_context(socket.create_connection((host, int(port)), timeout=10))
                    connection.sendall(data)
            seconds = sorted(_seconds(target.url) for _ in range(10))
            slowest = max(slowest, seconds[5])
            if seconds[5] > LONGEST:
                outcome.faults.append(
                    f"{HELD} x {kind}: others wait {seconds[5]:.1f} s"
                    f" (median of ten; the longest {seconds[-1]:.1f} s)"
                )
    outcome.did = (
        f"{HELD} connections of {len(KINDS)} kinds; others waited {slowest:.2f} s at most (median of ten)"
    )
    return outcome


def _seconds(url: str) -> float:
    started = time.monotonic()
    try:
        with urllib.request.urlopen(f"{url}/api/v1/captcha", timeout=20) as answer:
            answer.read()
    except OSError:
        return 99.0
    return time.monotonic() - started
