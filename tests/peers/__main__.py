"""`make peers`: the other systems beside a `make run`; their keys and its own are exchanged as files."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.peers.fj.mess import FAULTS as UNTIDY
from tests.peers.gd.faults import FAULTS as SLOW
from tests.peers.gd.keys import make

SYSTEMS = ("BJ", "GD", "FJ")
SIGNS = {"BJ": "ES256"}
FAULTS = {"GD": {*SLOW}, "FJ": {*UNTIDY}}
LOOK_SECONDS = 0.5
WORDS = """
{names} run beside {run}, with keys exchanged. Open:

{desks}

- There, "offer" beside a member lets somebody leave for here: type the full name of an organisation as the
  pages here show it.
- Here, start a transfer to one of {names}: it comes to their cases. {decides}
- "pause" sends a system away, "resume" brings it back.
- What a system has written since its start is in {state}/NAME/log.

Ctrl-C ends them. They go on where they were with the next `make peers`; without {state} they begin anew."""


def arguments() -> argparse.Namespace:
    """Return what the command line asks for; `make peers` hands on what its variables say."""
    known = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("var/run"), help="the folder of `make run`")
    parser.add_argument("--state", type=Path, default=Path("var/peers"), help="where theirs is kept")
    parser.add_argument("--peers", default=known("PEERS") or "", help="of BJ,GD,FJ; all that are there")
    parser.add_argument("--seed", type=int, default=known("SEED") or "1")
    parser.add_argument("--speed", type=float, default=known("SPEED") or "60", help="a minute is a second")
    parser.add_argument("--faults", default=known("FAULTS") or "", help="names with commas, or all")
    parser.add_argument("--transfers", type=int, default=known("TRANSFERS") or "0", help="who leave unasked")
    by_hand = bool(known("BY_HAND"))
    parser.add_argument("--by-hand", action="store_true", default=by_hand, help="nobody decides unasked")
    parser.add_argument("--ports", type=int, default=8101, help="doors from here on, desks 10 above, ours 20")
    return parser.parse_args()


def there() -> list[str]:
    """Return the systems that there are programs of."""
    return [one for one in SYSTEMS if importlib.util.find_spec(f"tests.peers.{one.lower()}")]


def chosen(said: str) -> list[str]:
    """Return the systems that were asked for, in their order."""
    names = [one for one in said.upper().replace(",", " ").split() if one]
    for one in names:
        if one not in there():
            sys.exit(f"there is no system {one}; it has to be some of {', '.join(there())}")
    return [one for one in there() if not names or one in names]


# ---- keys, as people would carry them


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the keys of a folder."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.jwk"))]


def bring(keys: list[dict[str, Any]], folder: Path) -> None:
    """Put the public parts of keys into a folder; nobody sees half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for key in keys:
        public = {name: value for name, value in key.items() if name != "d" and value is not None}
        beside = folder / f"{key['kid']}.new"
        beside.write_text(json.dumps(public, indent=1))
        beside.replace(folder / f"{key['kid']}.jwk")


def exchange(system: str, own: Path, installation: Path) -> None:
    """Make the keys of a system unless it has some, and give each side the public ones of the other.

    Raises:
        LookupError: The installation has none to give.

    """
    if not read(own / "own"):
        (own / "own").mkdir(parents=True, exist_ok=True)
        for alg in (SIGNS.get(system, "Ed25519"), "X25519"):
            made = make(alg)
            file = own / "own" / f"{made['kid']}.jwk"
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                json.dump(made, out, indent=1)
    bridge, registry = installation / "bridges" / system, installation / "registry"
    for folder in (bridge / "own", registry / "own"):
        if not read(folder):
            raise LookupError(folder)
        bring(read(folder), own / "national")
    for use, folder in (("sig", bridge / "peer"), ("enc", registry / system)):
        bring([key for key in read(own / "own") if key["use"] == use], folder)


# ---- programs


def faults(system: str, said: str) -> str:
    """Return those of some faults that a system has; `all` is for each of them."""
    names = {one for one in said.replace(",", " ").split() if one}
    if unknown := names - {"all"}.union(*FAULTS.values()):
        sys.exit(f"there are no faults {', '.join(sorted(unknown))}")
    known = FAULTS.get(system, set())
    return ",".join(sorted(known if "all" in names else names & known))


class Peer:
    """One of the systems."""

    def __init__(self, system: str, args: argparse.Namespace) -> None:
        nth = SYSTEMS.index(system)
        self.system, self.folder = system, args.state / system
        self.door, self.desk, self.ours = (args.ports + nth + far for far in (0, 10, 20))
        self.command = [sys.executable, "-m", f"tests.peers.{system.lower()}", "--port", str(self.door)]
        self.command += ["--desk", str(self.desk), "--peer-url", f"http://127.0.0.1:{self.ours}"]
        self.command += ["--keys", str(self.folder / "keys"), "--db", str(self.folder / "peer.sqlite")]
        self.command += ["--seed", str(args.seed), "--speed", str(args.speed)]
        self.command += ["--transfers", str(args.transfers)]
        wrong = faults(system, args.faults)
        self.command += ["--faults", wrong] if wrong else []
        if system == "FJ":  # it changes its keys in mid-run
            self.command += ["--deliver", str(args.run / "keys" / "bridges" / system / "peer")]
        self.command += ["--by-hand"] if args.by_hand else []
        if system == "FJ":  # it changes its keys, and brings the new ones
            self.command += ["--deliver", str(args.run / "keys" / "bridges" / system / "peer")]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it; return when it listens. Ctrl-C is for this program, which ends the others itself."""
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        assert self.process.stdout is not None
        if "listens" not in self.process.stdout.readline():
            raise RuntimeError(f"{self.system} has not started: {(self.folder / 'log').read_text()[-2000:]}")

    def end(self) -> None:
        """End it; what it has committed stays."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(port: int) -> bool:
    """Return whether somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def told(peers: list[Peer], args: argparse.Namespace) -> str:
    """Return what to open and do."""
    desks = [f"  {one.system}  http://127.0.0.1:{one.desk}/" for one in peers]
    shut = [one.system for one in peers if not answers(one.ours)]
    if shut:
        desks.append(f"\n  The door here for {', '.join(shut)} is shut; they keep on trying.")
    decides = (
        "Each waits for you to press a button." if args.by_hand else "Their people decide after a while."
    )
    names = ", ".join(one.system for one in peers)
    return WORDS.format(names=names, run=args.run, desks="\n".join(desks), decides=decides, state=args.state)


def main() -> None:
    """Exchange keys, start the systems, and wait for Ctrl-C."""
    args = arguments()
    peers = [Peer(one, args) for one in chosen(args.peers)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for one in peers:
            exchange(one.system, one.folder / "keys", args.run / "keys")
            if answers(one.door):
                sys.exit(f"somebody listens on port {one.door} already: another `make peers`?")
            one.start()
        print(told(peers, args), flush=True)
        while all(one.process is not None and one.process.poll() is None for one in peers):
            time.sleep(LOOK_SECONDS)
        gone = [one for one in peers if one.process is None or one.process.poll() is not None]
        sys.exit("\n".join(f"{one.system} has ended: see {one.folder / 'log'}" for one in gone))
    except LookupError as error:
        sys.exit(f"there is no key in {error.args[0]}: start `TUANQIAO_PEERS=BJ,GD,FJ make run` first")
    except RuntimeError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nended; they go on where they are with the next start")
    finally:
        for one in peers:
            one.end()


if __name__ == "__main__":
    main()
