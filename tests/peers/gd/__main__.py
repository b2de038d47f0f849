"""GD as a program of its own: python -m tests.peers.gd --port N --peer-url URL --keys FOLDER --db FILE."""

import argparse
import signal
import threading
from pathlib import Path

from tests.peers.control import Control
from tests.peers.gd import keys, moments, office, store
from tests.peers.gd.courier import Courier
from tests.peers.gd.desk import Desk
from tests.peers.gd.faults import FAULTS, Faults
from tests.peers.gd.played import Played
from tests.peers.gd.web import Server


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.gd", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--peer-url", required=True, help="what stands before /bridge/v1")
    parser.add_argument(
        "--keys", type=Path, required=True, help="a folder with own/ and a folder named as the peer"
    )
    parser.add_argument("--db", type=Path, required=True, help="the SQLite file; made if there is none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="", help=f"of {', '.join(FAULTS)}; all for all of them")
    parser.add_argument("--system", default="GD")
    parser.add_argument("--speed", type=float, default=1.0, help="every wait is divided by it")
    parser.add_argument("--members", type=int, default=200, help="of a new file")
    parser.add_argument("--transfers", type=int, default=20, help="that are started here, over all starts")
    parser.add_argument(
        "--every", type=float, default=600.0, help="seconds of GD between two that are started"
    )
    parser.add_argument(
        "--typed", default="共青团第一支部委员会", help="the target where the peer has no directory"
    )
    parser.add_argument("--ahead", type=float, default=0.0, help="seconds by which the clock is ahead")
    parser.add_argument("--desk", type=int, help="the port of the desk; README.md of tests/peers")
    parser.add_argument("--by-hand", action="store_true", help="nobody decides or leaves but by the desk")
    return parser.parse_args()


def main() -> None:
    """Run until told to stop."""
    args = arguments()
    moments.ahead = args.ahead
    names = set(FAULTS) if args.faults == "all" else set(filter(None, args.faults.split(",")))
    desk = Desk(args.system, keys.read(args.keys), Faults(names, args.seed, args.speed))
    file = store.Store(args.db)
    with file.transaction() as tx:
        office.furnish(tx, desk, args.members)
        started_at = float(store.setting(tx, "started_at"))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = Server(args.port, file, desk, started_at)
    courier = Courier(file, desk, args.peer_url, started_at)
    people = office.Office(file, desk, args.transfers, args.every, args.typed, args.by_hand)
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}),
        threading.Thread(target=courier.run, args=(stop,)),
        threading.Thread(target=courier.daily, args=(stop, people.targets_known), daemon=True),
        threading.Thread(target=people.run, args=(stop,)),
    ]
    for thread in threads:
        thread.start()
    if args.desk is not None:
        Control(args.desk, Played(people)).open()
    print(f"{args.system} listens on port {server.server_address[1]}", flush=True)
    stop.wait()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
