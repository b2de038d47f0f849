"""Ends a process that lives but works no more, so that whoever supervises it starts it again.

A loop that spins or blocks answers nothing, and nothing inside it can tell. So a thread of the
operating system looks once a second whether the loop has turned. It counts its own looks, not
seconds: a process that was stopped as a whole (SIGSTOP, a suspended machine) has not looked either.
What holds the interpreter itself, such as a regular expression without end, stops it, too.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

LOOKS = 30
"""How many looks, one a second, a loop may stand still; the longest work in one go takes a few seconds."""
EXIT_CODE = 70


def start(turned: Callable[[], object]) -> None:
    """Watch a loop until the process ends; `turned` returns something else each time the loop turns.

    If it stands still, the stacks of all threads are written to stderr, and the process ends with 70.
    """
    _real("threading").Thread(target=_watch, args=(turned,), name="watchdog", daemon=True).start()


def _watch(turned: Callable[[], object]) -> None:
    sleep = _real("time").sleep
    seen, silent = turned(), 0
    while silent < LOOKS:
        sleep(1)
        now = turned()
        seen, silent = now, silent + 1 if now == seen else 0
    # no logging: whoever stands still may hold its lock
    os.write(2, f"watchdog: the loop has not turned for {silent} s; ending the process\n".encode())
    faulthandler.dump_traceback(sys.__stderr__ or 2)
    os._exit(EXIT_CODE)


def _real(name: str) -> Any:
    """Return a module as it is where eventlet has not changed it."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher.original(name) if patcher is not None else import_module(name)
