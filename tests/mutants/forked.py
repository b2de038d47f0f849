"""Runs tests against changed source in a fork of a warm interpreter.

A mutant costs a fork and the tests, not the second and a half of imports. The child sees the
changed text by an import hook; nothing on disk is touched, so any number of them run beside each
other in one working tree.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHORTEST, TIMES = 10.0, 5.0
"""A mutant that takes so many times what its tests take without a change, and so many seconds more, has hung.

It counts as killed.
"""


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Gives one module its changed source."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self.module = module
        self.path = path
        self.source = source

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.module:
            return None
        package = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname, self.path, loader=self, submodule_search_locations=package
        )

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str) -> bytes:
        return self.source.encode() if Path(path) == self.path else Path(path).read_bytes()

    def path_stats(self, path: str) -> dict[str, Any]:
        raise OSError  # nothing is read from or written to the cache of compiled files

    def exec_module(self, module: Any) -> None:
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


LIBRARIES = (
    "alembic.command",
    "argon2",
    "cryptography.hazmat.primitives.ciphers.aead",
    "hypothesis.stateful",
    "jwt",
    "kombu",
    "msgspec",
    "nameko.containers",
    "nameko.extensions",
    "prometheus_client",
    "psycopg2",
    "pytest",
    "sqlalchemy",
    "stdnum.cn.ric",
    "yaml",
)


def warm() -> None:
    """Import what no mutant changes, once, before the forks: half of what a short test takes otherwise.

    Not `shared`: it reads the prefix of the bus when it is imported, and each child has its own.
    """
    for name in LIBRARIES:
        importlib.import_module(name)


def start(module: str, path: Path, source: str, tests: Sequence[str]) -> int:
    """Fork a run of `tests` with `module` changed; return the process id, whose exit code is pytest's."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        os.environ["TUANQIAO_BUS_PREFIX"] = f"mutant{os.getpid()}."
        sys.dont_write_bytecode = True
        if source:
            sys.meta_path.insert(0, _Changed(module, path, source))
        import pytest

        # of the plugins only the two that the tests need:
        # finding and loading all takes longer than most tests
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        plugins = [
            "-p",
            "pytest_timeout",
            "-p",
            "_hypothesis_pytestplugin",
            "--hypothesis-profile=first-failure",
        ]
        code = int(pytest.main(["-x", "-q", "--no-header", *plugins, *tests]))
    except BaseException:  # a mutant that cannot even be imported is as dead as one that a test finds
        code = 71
    finally:
        os._exit(code)


class Pool:
    """At most `size` children; `wait` gives back the one that ends next."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.running: dict[int, tuple[Any, float]] = {}

    def full(self) -> bool:
        """Return whether another child has to wait."""
        return len(self.running) >= self.size

    def add(self, child: int, what: Any, seconds: float) -> None:
        """Watch a child, which is killed if it takes longer."""
        self.running[child] = (what, time.monotonic() + seconds)

    def wait(self) -> tuple[Any, bool]:
        """Return what the next finished child was, and whether a test failed in it."""
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child in self.running:
                what, _ = self.running.pop(child)
                return what, os.waitstatus_to_exitcode(status) != 0
            now = time.monotonic()
            for late in [one for one, (_, until) in self.running.items() if until < now]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(late, signal.SIGKILL)
            time.sleep(0.01)
