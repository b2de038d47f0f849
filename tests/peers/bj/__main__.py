"""BJ as a program of its own: python -m tests.peers.bj --port N --peer-url URL --keys FOLDER --db FILE."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from tests.peers.bj import tree
from tests.peers.bj.book import ME, OTHER, Book
from tests.peers.bj.door import Courier, Door, Server
from tests.peers.bj.jose import Keys
from tests.peers.bj.office import Office
from tests.peers.control import Control

PAUSE = 0.05  # seconds


def arguments() -> argparse.Namespace:
    """Return what the command line asks for: README.md of tests/peers."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.bj", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--desk", type=int)
    parser.add_argument("--peer-url", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--faults", default="", choices=["", "all"], help="it has none")
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--transfers", type=int, default=20)
    parser.add_argument("--every", type=float, default=600.0)
    parser.add_argument(
        "--typed", default="湖北省武汉市某街道团工委", help="where those go who leave by themselves"
    )
    parser.add_argument("--by-hand", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Run until told to stop."""
    args = arguments()
    book = Book(args.db, Keys(args.keys, OTHER), args.seed, args.speed)
    orgs = tree.organisations()
    branches = [code for code, _, kind, _, _ in orgs if kind == "branch"]
    with book.turn():
        book.registry.furnish(orgs, tree.people(args.seed, args.members, branches))
    office = Office(book, args.transfers, args.every, args.typed, args.by_hand)
    courier = Courier(book, office, args.peer_url)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = Server(args.port, Door(book), office)

    def work() -> None:
        while not stop.wait(PAUSE):
            office.turn()

    def carry() -> None:
        while not stop.wait(PAUSE):
            courier.turn()

    for target in (server.serve_forever, work, carry):
        threading.Thread(target=target, daemon=True).start()
    if args.desk is not None:
        Control(args.desk, office).open()
    print(f"{ME} listens on port {server.server_address[1]}", flush=True)
    stop.wait()
    server.shutdown()


if __name__ == "__main__":
    main()
