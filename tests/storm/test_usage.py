"""Whoever asks a command of the storm what it does is told, and nothing starts."""

import subprocess
import sys

from tests.installation import ROOT

COMMANDS = ("tests.storm", "tests.storm.outages", "tests.storm.recover", "tests.storm.skew")


def ask(module: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", module, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_prints_and_starts_nothing():
    """Each names itself, says what it does, and ends; an argument that it does not know is refused."""
    asked = {module: ask(module, "--help") for module in COMMANDS}
    unknown = ask(COMMANDS[0], "--minutes=1")
    for module, process in asked.items():
        said, wrong = process.communicate(timeout=30)
        assert (process.returncode, wrong) == (0, "")
        assert said.startswith(f"usage: python -m {module}") and len(said.splitlines()) > 4
    said, wrong = unknown.communicate(timeout=30)
    assert (unknown.returncode, said) == (2, "") and "--minutes=1" in wrong
