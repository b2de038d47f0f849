"""`make peers`: keys are exchanged as files, programs started, and all goes on with the next start."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.peers.factories import free_ports
from tests.peers.gd.keys import make

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installation(tmp_path):
    """The keys of an installation that has bridges to all three."""
    for part, alg in (
        ("bridges/BJ", "Ed25519"),
        ("bridges/GD", "Ed25519"),
        ("bridges/FJ", "Ed25519"),
        ("registry", "X25519"),
    ):
        key = make(alg)
        folder = tmp_path / "run" / "keys" / part / "own"
        folder.mkdir(parents=True)
        (folder / f"{key['kid']}.jwk").write_text(json.dumps(key))
    return tmp_path


def free_base() -> int:
    """Return a port from which on all are free that three programs take: doors, and desks ten further."""
    while True:
        base = free_ports(1)[0]
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for one in (0, 1, 2, 10, 11, 12):
                held.enter_context(socket.create_server(("127.0.0.1", base + one)))
            return base


class Started:
    """The command, until somebody ends it."""

    def __init__(self, folder: Path, *more: str) -> None:
        base = free_base()
        self.desks = [base + 10, base + 11, base + 12]
        command = [sys.executable, "-W", "ignore", "-m", "tests.peers", "--run", str(folder / "run")]
        command += ["--state", str(folder / "peers"), "--ports", str(base), "--peers", "BJ,gd", "--by-hand"]
        self.process = subprocess.Popen(
            [*command, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def said(self, until: str) -> str:
        """Return the lines until one that says this."""
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if until in line:
                break
        return "".join(lines)

    def ask(self, nth: int, path: str, said: dict | None = None) -> dict:
        body = None if said is None else json.dumps(said).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.desks[nth]}/{path}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


def keys_in(folder: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.jwk"))]


def test_what_is_started_goes_on_with_the_next_start(installation):
    """Both sides have each other's public keys and nothing private; state and keys stay."""
    first = Started(installation)
    try:
        text = first.said("Ctrl-C")
        assert all(f"http://127.0.0.1:{port}/" in text for port in first.desks[:2])
        mine = next(one for one in first.ask(0, "members")["members"] if one["state"] == "active")
        subject = first.ask(0, "offer", {"member": mine["member"], "to": "某团支部"})["subject"]
        assert first.ask(1, "members")["system"] == "GD"
    finally:
        assert first.end() == 0
    keys = installation / "run" / "keys"
    for system in ("BJ", "GD"):
        (signs,), (seals,) = keys_in(keys / "bridges" / system / "peer"), keys_in(keys / "registry" / system)
        assert (signs["use"], seals["use"]) == ("sig", "enc") and "d" not in signs | seals
        theirs = installation / "peers" / system / "keys"
        assert {key["kid"] for key in keys_in(theirs / "own")} == {signs["kid"], seals["kid"]}
        ours = [*keys_in(keys / "bridges" / system / "own"), *keys_in(keys / "registry" / "own")]
        given = keys_in(theirs / "national")
        assert {key["kid"] for key in given} == {key["kid"] for key in ours}
        assert not any("d" in key for key in given)
    before = sorted(file.name for file in installation.rglob("*.jwk"))

    second = Started(installation)
    try:
        second.said("Ctrl-C")
        assert [case["subject"] for case in second.ask(0, "cases")["cases"]] == [subject]
    finally:
        assert second.end() == 0
    assert sorted(file.name for file in installation.rglob("*.jwk")) == before


def test_without_keys_of_the_installation_it_says_what_to_do(tmp_path):
    """Nothing is started; the sentence names the folder and `make run`."""
    started = Started(tmp_path)

    text = started.process.communicate(timeout=30)[0]

    assert started.process.returncode == 1
    assert "bridges/BJ/own" in text and "make run" in text


def test_a_system_that_is_none(installation):
    """Only those that there are programs of are started."""
    started = Started(installation, "--peers", "BJ,XX")

    assert "there is no system XX" in started.process.communicate(timeout=30)[0]
    assert started.process.returncode == 1


def test_each_gets_the_faults_that_it_has(installation):
    """What only one of them knows is no mistake for the others; what nobody knows is."""
    started = Started(installation, "--peers", "gd,fj", "--faults", "slow,repeat,rotate")
    try:
        started.said("Ctrl-C")
        assert started.ask(2, "cases") == {"system": "FJ", "paused": False, "cases": []}
    finally:
        assert started.end() == 0
    signing = keys_in(installation / "peers" / "FJ" / "keys" / "own")
    given = keys_in(installation / "run" / "keys" / "bridges" / "FJ" / "peer")
    assert [key["kid"] for key in given] == [key["kid"] for key in signing if key["use"] == "sig"]

    started = Started(installation, "--faults", "slow,sloth")
    assert "there are no faults sloth" in started.process.communicate(timeout=30)[0]
