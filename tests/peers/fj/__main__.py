"""FJ as a program of its own: python -m tests.peers.fj --port N --peer-url URL --keys FOLDER --db FILE."""

import argparse
import os
import signal
import threading
import traceback
from pathlib import Path

from tests.peers.control import Control
from tests.peers.fj import clock, mess, staff
from tests.peers.fj.bureau import Bureau
from tests.peers.fj.door import Door, opened
from tests.peers.fj.keys import Keys
from tests.peers.fj.ledger import Ledger
from tests.peers.fj.letters import Desk
from tests.peers.fj.post import Post


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.fj", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--desk", type=int, help="port for whoever plays the people; none without it")
    parser.add_argument("--peer-url", required=True, help="what stands before /bridge/v1")
    parser.add_argument(
        "--keys", type=Path, required=True, help="a folder with own/ and one named as the peer"
    )
    parser.add_argument("--db", type=Path, required=True, help="the SQLite file; made if there is none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0, help="every wait is divided by it")
    parser.add_argument("--faults", default="", help=f"of {', '.join(mess.FAULTS)}; all for all of them")
    parser.add_argument("--system", default="FJ")
    parser.add_argument("--peer", default="national")
    parser.add_argument("--members", type=int, default=200, help="of a new file")
    parser.add_argument("--transfers", type=int, default=20, help="that are started here, over all starts")
    parser.add_argument("--every", type=float, default=600.0, help="seconds of FJ between two of them")
    parser.add_argument("--typed", default="共青团第一支部委员会", help="the target without a directory")
    parser.add_argument("--deliver", type=Path, help="a folder into which new public keys are brought")
    parser.add_argument("--by-hand", action="store_true", help="nobody decides or leaves but by the desk")
    return parser.parse_args()


def give_up(failed: threading.ExceptHookArgs) -> None:
    """End the whole program: half of one would wait for ever."""
    traceback.print_exception(failed.exc_value)
    os._exit(1)


def main() -> None:
    """Run until told to stop."""
    args = arguments()
    threading.excepthook = give_up
    names = set(mess.FAULTS) if args.faults == "all" else set(filter(None, args.faults.split(",")))
    untidy = mess.Mess(names, args.seed, args.speed)
    clock.behind = mess.BEHIND if "behind" in names else 0.0
    bureau = Bureau(Desk(args.system, args.peer, Keys(args.keys, args.peer)), untidy)
    ledger = Ledger(args.db)
    with ledger.transaction() as book:
        staff.furnish(book, bureau, args.members)
    people = staff.Staff(ledger, bureau, args.transfers, args.every, args.typed, args.by_hand)
    post = Post(ledger, bureau, args.peer_url, args.deliver)
    post.paused = lambda: people.paused
    post.bring_all()
    stop, ends = threading.Event(), {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in all threads: this one asks for them below
    desk = Control(args.desk, people).open() if args.desk is not None else None
    with opened(Door(ledger, bureau, people), args.port) as port:
        threads = [
            threading.Thread(target=post.run, args=(stop,)),
            threading.Thread(target=post.daily, args=(stop, people.targets_known), daemon=True),
            threading.Thread(target=people.run, args=(stop,)),
        ]
        for thread in threads:
            thread.start()
        print(f"{args.system} listens on port {port}", flush=True)
        signal.sigwait(ends)
        stop.set()
        if desk is not None:
            desk.shutdown()
    for thread in (threads[0], threads[2]):
        thread.join(10)


if __name__ == "__main__":
    main()
