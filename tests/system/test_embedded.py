"""`tuanqiao run`: everything in one process on the embedded database and the bus in memory.

kill -9 loses nothing there either.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import pytest

from system import crossing, demo, world
from tests.installation import ROOT, free_port


class Running:
    """A process of `tuanqiao run`."""

    def __init__(self, folder):
        self.port = free_port()
        self.doors = {peer: free_port() for peer in ("BJ", "GD", "FJ")}
        started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "system.cli", "run", "--folder", str(folder), "--port", str(self.port)],
            env={**os.environ, **{f"TUANQIAO_{peer}_PORT": str(port) for peer, port in self.doors.items()}},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if line.startswith("Ready"):
                break
        else:
            raise RuntimeError(self.output)
        self.seconds = time.monotonic() - started

    def call(self, method, path, body=None, token="", org=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {token}", **({"X-Acting-Org": str(org)} if org else {})},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def account(self, role):
        """Return the ID number of a role that the welcome text prints."""
        return re.search(rf"{role}.*\n\s+ID number (\S+)", self.output)[1]

    def end(self, how):
        self.process.send_signal(how)
        self.output += self.process.communicate(timeout=30)[0]
        return self.process.returncode


@pytest.mark.timeout(120)
def test_kill_and_restart(tmp_path):
    """Thirty transfers are requested, the process is killed at once, and all of them go on.

    They do after a restart; Ctrl-C stops clean.
    """
    first = Running(tmp_path)
    token = first.call(
        "POST",
        "/api/v1/sessions",
        {"id_number": first.account("college administrator"), "password": world.PASSWORD},
    )["token"]
    branch = world.COLLEGE * 100 + 1
    members = [
        one["member_id"]
        for one in first.call(
            "GET", f"/api/v1/branches/{branch}/members?limit=500", None, token, world.COLLEGE
        )["items"]
    ]
    items = [
        {
            "command_id": str(uuid.uuid4()),
            "initiator": "source",
            "member_id": one,
            "source_branch_id": branch,
            "target_org_id": 100_000_601,
            "reason": "further_study",
            "place_name": "某大学",
            "place_address": "某地",
        }
        for one in members[:30]
    ]
    started = first.call("POST", "/api/v1/transfers", {"items": items}, token, world.COLLEGE)["results"]
    first.end(signal.SIGKILL)

    second = Running(tmp_path)

    assert second.seconds < 10
    for port in second.doors.values():
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/bridge/v1/about", timeout=10)
    token = second.call(
        "POST",
        "/api/v1/sessions",
        {"id_number": second.account("college administrator"), "password": world.PASSWORD},
    )["token"]
    again = second.call("POST", "/api/v1/transfers", {"items": items}, token, world.COLLEGE)["results"]
    assert [one["transfer_id"] for one in again] == [one["transfer_id"] for one in started]
    ends = time.monotonic() + 15
    while True:
        listed = second.call("GET", "/api/v1/transfers?side=source&limit=100", None, token, world.COLLEGE)[
            "items"
        ]
        if [one["state"] for one in listed] == ["pending_in"] * 30:
            break
        assert time.monotonic() < ends, [one["state"] for one in listed]
        time.sleep(0.1)
    assert second.end(signal.SIGINT) == 0
    assert not (tmp_path / "postgres" / "postmaster.pid").exists() and "killing" not in second.output


@pytest.mark.timeout(180)
def test_demo():
    """The demonstration runs with 300 graduates, members cross to and from each system, and all holds."""
    run = subprocess.run(
        [sys.executable, "-m", "system.cli", "demo", "--graduates", "300"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
    assert "12 of 12 invariants hold" in run.stdout
    assert "3 graduates went to each of BJ, GD, FJ, and 3 of its members came" in run.stdout
    assert "each hand-over that is over (18) completed its transfer" in run.stdout


def test_a_demo_without_the_other_systems(tmp_path, monkeypatch):
    """Where their programs are not installed, or do not start, one line says so and the rest goes on."""
    with monkeypatch.context() as nowhere:
        nowhere.setattr(crossing.importlib.util, "find_spec", lambda name: None)
        absent = crossing.beside(tmp_path)
    for peers, why in ((absent, "their programs"), (crossing.Peers(tmp_path), "there is no key")):
        shown = demo.Demo.__new__(demo.Demo)
        shown.peers, shown.notes = peers, []

        shown.start_peers()
        shown.cross_borders()
        if peers is not None:
            peers.end()

        (line,) = shown.notes
        assert line.startswith("nobody goes to other systems or comes from them") and why in line
