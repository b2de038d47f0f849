"""The other systems beside `make demo`: their programs, and who crosses to and from each of them (FED-01).

The programs are those of `make peers`; an installation without the tests has none, and nobody crosses.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from shared import settings
from shared.messages import transfers
from shared.messages.words import PEERS
from system import world

if TYPE_CHECKING:
    from system.demo import Demo

PROGRAMS = "tests.peers"
EACH_WAY = 3
"""How many go to each of the systems, and come from it."""
SECONDS = 120.0
"""For the directories to be read, and for all to arrive."""
_BRANCHES = """
    SELECT DISTINCT ON (system) system, org_id FROM orgs
    WHERE kind = 'branch' AND peer_code IS NOT NULL AND NOT deleted
    ORDER BY system, org_id"""
_OPEN = "SELECT DISTINCT org_id FROM open_nodes WHERE state IN ('pending_in', 'pending_assign')"
_CROSSINGS = "SELECT state, count(*) AS n FROM transfers WHERE peer <> '' GROUP BY 1"


class Peers:
    """The other systems' programs with their desks, where every decision is a button that is pressed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base = next((one for one in range(8201, 9001, 40) if _free(one)), 8201)
        self._process: subprocess.Popen[str] | None = None

    def environment(self) -> dict[str, str]:
        """Return what the bridges have to be told: the doors of both sides."""
        doors: dict[str, str] = {}
        for nth, peer in enumerate(PEERS):
            doors[f"TUANQIAO_{peer}_URL"] = f"http://127.0.0.1:{self._base + nth}"
            doors[f"TUANQIAO_{peer}_PORT"] = str(self._base + 20 + nth)
        return doors

    def start(self) -> str:
        """Exchange keys with the installation, start them, and return what they have said.

        That is an empty text where all is well.
        """
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            PROGRAMS,
            "--by-hand",
            "--speed",
            "600",
            "--run",
            str(self._folder),
        ]
        command += ["--state", str(self._folder / "peers"), "--ports", str(self._base)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if "Ctrl-C" in line:
                return ""
        return said.strip()

    def end(self) -> None:
        """End them; done twice, nothing."""
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=30)
            self._process = None

    def ask(self, peer: str, path: str) -> list[dict[str, Any]]:
        """Return the cases or the members of a system."""
        found: list[dict[str, Any]] = requests.get(self._desk(peer, path), timeout=10).json()[path]
        return found

    def press(self, peer: str, path: str, **said: str) -> None:
        """Press a button at the desk; what cannot be done any more has been done."""
        answer = requests.post(self._desk(peer, path), json=said, timeout=10)
        if answer.status_code not in (200, 409):
            raise RuntimeError(f"{peer}: {answer.text}")

    def _desk(self, peer: str, path: str) -> str:
        return f"http://127.0.0.1:{self._base + 10 + PEERS.index(peer)}/{path}"


def _free(base: int) -> bool:
    """Return whether nobody listens on the ports that the programs and our doors take."""
    try:
        for nth in range(23):
            socket.create_server(("127.0.0.1", base + nth)).close()
    except OSError:
        return False
    return True


def beside(folder: Path) -> Peers | None:
    """Return the other systems beside the demonstration that is kept in a folder; None: there are none.

    Its bridges lead to them from then on.
    """
    if not (importlib.util.find_spec("tests") and importlib.util.find_spec(PROGRAMS)):
        return None
    peers = Peers(folder)
    settings.say(peers.environment())
    return peers


def cross(demo: Demo, peers: Peers) -> str:
    """Let graduates leave for each system and members of each come; everybody decides at once (FED-10).

    Return what came of it. Afterwards the systems are gone, and do not see that our clock is moved.
    """
    college = demo.orgs[world.COLLEGE].full_name
    _leave(demo, _read(demo))
    for peer in PEERS:
        some = [one for one in peers.ask(peer, "members") if one["state"] == "active"]
        for one in some[:EACH_WAY]:
            peers.press(peer, "offer", member=one["member"], to=college, reason="")
    _until(lambda: _decide(demo, peers), lambda: f"crossings are not over: {_stand(peers)}")
    peers.end()
    demo.system.settle()
    return f"{EACH_WAY} graduates went to each of {', '.join(PEERS)}, and {EACH_WAY} of its members came"


def _read(demo: Demo) -> dict[str, int]:
    """Return a branch of each system, once its directory has been read."""
    branches: dict[str, int] = {}

    def known() -> bool:
        branches.update((row.system, row.org_id) for row in demo.rows("orgs", _BRANCHES))
        return len(branches) == len(PEERS)

    _until(known, lambda: f"only the directories of {', '.join(branches) or 'nobody'} have been read")
    demo.system.settle()
    return branches


def _leave(demo: Demo, branches: dict[str, int]) -> None:
    """Have colleges send graduates to each of the branches."""
    leaving = iter(demo.graduates_here())
    for branch in branches.values():
        for _ in range(EACH_WAY):
            member = next(leaving)
            asked = transfers.RequestTransfer(
                command_id=uuid.uuid4(),
                initiator="source",
                member_id=member.person_id,
                source_branch_id=member.branch_id,
                target_org_id=branch,
                reason="further_study",
                place_name="某大学",
                place_address="某市某区",
                contact="19900000000",
            )
            college = demo.orgs[member.branch_id].parent_id
            (outcome,) = demo.as_administrator(transfers.request_transfers, [asked], college)
            if outcome.refusal:
                raise RuntimeError(f"a transfer across the border was refused: {outcome.refusal}")


def _decide(demo: Demo, peers: Peers) -> bool:
    """Approve whatever waits on either side; return whether all have arrived, and both sides say so."""
    cases = [(peer, case) for peer in PEERS for case in peers.ask(peer, "cases")]
    for peer, case in cases:
        if "accept" in case["can"]:
            peers.press(peer, "decide", subject=case["subject"], decision="accept", reason="")
    for row in demo.rows("transfers", _OPEN):
        demo.work_off(row.org_id, everything=True)
    over = sum(case["state"] in ("taken", "moved") for _, case in cases)
    return over == sum(_ends(demo).values()) == 2 * EACH_WAY * len(PEERS) and set(_ends(demo)) == {
        "completed"
    }


def _stand(peers: Peers) -> list[tuple[str, str, str]]:
    return [
        (one["subject"], one["state"], one["ended_with"])
        for peer in PEERS
        for one in peers.ask(peer, "cases")
    ]


def _ends(demo: Demo) -> dict[str, int]:
    return {row.state: row.n for row in demo.rows("transfers", _CROSSINGS)}


def _until(holds: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    ends = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > ends:
            raise RuntimeError(otherwise())
        time.sleep(0.2)
