"""Points at which a process of a bridge is killed, and a process whose children are killed there.

Nothing of this is in the product: a child replaces a function by one that ends the child by SIGKILL before
it begins or after it has returned. `python -m tests.federation.crashing <settings as JSON>` reads a job a
line and answers each with how the child ended.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
import urllib3.connection
from sqlalchemy.engine import Connection
from werkzeug.serving import make_server

from services.federation import courier, door, handovers, keys, receiving, store
from services.federation.calling import Address, Caller
from services.federation.courier import Courier
from services.federation.door import Allowance
from services.federation.handovers import Told
from services.federation.protocol import Act
from shared import clock, db
from tests.federation.factories import End, _Silent

TOLD = """CREATE TABLE told (subject text, seq integer, word text)"""


class Point(NamedTuple):
    """Where a process is killed.

    Attributes:
        job: act: in the transaction that does something and says so; carry: in a turn of the courier whose
            peer answers; away: whose peer does not; door: in a request of the peer's.
        owner: A module or class, or `commit` of a transaction, or the `answer` that goes out.
        name: A function of it, which is not called any more (before) or has just returned (after).
        nth: At which call.
        means: What has happened by then.

    """

    job: str
    owner: Any
    name: str
    when: str
    means: str
    nth: int = 1

    def __str__(self) -> str:
        owner = self.owner if isinstance(self.owner, str) else self.owner.__name__.rpartition(".")[2]
        return f"{self.job}: {self.when} {owner}.{self.name}" + (f" ({self.nth})" if self.nth > 1 else "")


HTTP = urllib3.connection.HTTPConnection
# fmt: off
POINTS = (
    Point("act", handovers, "_locked", "before", "a transaction is open, nothing is locked"),
    Point("act", handovers, "_locked", "after", "the transfer is locked, and begun where it is new"),
    Point("act", handovers, "sign", "before", "the act is decided in memory"),
    Point("act", handovers, "sign", "after", "its message is signed in memory"),
    Point("act", store, "write", "before", "state and message are in memory"),
    Point("act", store, "write", "after", "state and message are written"),
    Point("act", "commit", "commit", "before", "all is written, nothing committed"),
    Point("act", "commit", "commit", "after", "all is committed, nobody has been told"),
    Point("carry", store, "look", "after", "the line was looked at, and what has expired"),
    Point("carry", store, "claim", "after", "messages are taken"),
    Point("carry", "commit", "commit", "before", "messages are taken, which nobody knows"),
    Point("carry", "commit", "commit", "after", "messages are taken, nothing was sent"),
    Point("carry", Caller, "request", "before", "nothing was sent"),
    Point("carry", HTTP, "request", "after", "everything was sent, nothing has come back"),
    Point("carry", HTTP, "getresponse", "after", "the peer has stored it; its answer has begun"),
    Point("carry", Caller, "request", "after", "the answer is here, unread"),
    Point("carry", courier, "verified", "before", "the receipts are here, not verified"),
    Point("carry", courier, "verified", "after", "the receipts are verified in memory"),
    Point("carry", store, "miss", "before", "a transaction for the receipts is open"),
    Point("carry", store, "miss", "after", "what the peer misses waits again"),
    Point("carry", store, "settle", "after", "the receipts are written"),
    Point("carry", store, "again", "after", "what is to be tried again is written"),
    Point("carry", store, "back", "after", "the peer is said to answer"),
    Point("carry", "commit", "commit", "before", "the receipts are written, not committed", 2),
    Point("carry", "commit", "commit", "after", "the receipts are committed", 2),
    Point("away", store, "release", "before", "nobody has answered, what was taken is still taken"),
    Point("away", store, "release", "after", "what was taken is given back"),
    Point("away", store, "away", "after", "the peer is said to be away"),
    Point("away", "commit", "commit", "before", "both are written, not committed", 2),
    Point("away", "commit", "commit", "after", "both are committed", 2),
    Point("door", receiving, "read", "before", "a request has come, unread"),
    Point("door", receiving, "read", "after", "its messages are verified"),
    Point("door", store, "begin", "after", "the transfer is begun where it is new, and locked"),
    Point("door", store, "before", "after", "what came before was looked for, and what waits"),
    Point("door", receiving, "sign", "after", "a message has worked in memory, its receipt is signed"),
    Point("door", store, "write", "before", "message, receipt, state and answer are in memory"),
    Point("door", store, "write", "after", "message, receipt, state and answer are written"),
    Point("door", store, "miss", "after", "what is asked for waits again"),
    Point("door", End, "tell", "after", "the rest of the system is told"),
    Point("door", "commit", "commit", "before", "all is written, nothing committed"),
    Point("door", "commit", "commit", "after", "all is committed, no answer is made"),
    Point("door", door, "_json", "before", "the answer is not made"),
    Point("door", "answer", "sent", "before", "the answer is made, nothing of it sent"),
    Point("door", "answer", "half", "before", "half of the answer is sent"),
)
# fmt: on


def die() -> None:
    """End this process as kill -9 does; nothing of it goes on, nothing is closed in order."""
    os.kill(os.getpid(), signal.SIGKILL)


class CountingEnd(End):
    """An end that keeps in its database what it has told, so that a second telling shows."""

    def __init__(self, engine: sa.Engine, me: str, peer: str, folder: keys.Folder) -> None:
        super().__init__(engine, me, peer, folder)
        self.bridge = handovers.Bridge(peer, folder, lambda tx, told: CountingEnd.tell(tx, told), me)

    @staticmethod
    def tell(tx: Connection, told: list[Told]) -> None:
        for one in told:
            tx.execute(
                sa.text("INSERT INTO told VALUES (:subject, :seq, :word)"),
                {"subject": one.subject, "seq": one.seq, "word": str(one.word)},
            )


def arm(point: Point, engine: sa.Engine) -> None:
    """Have this process killed at a point."""
    left = iter(range(point.nth - 1, -1, -1))

    def around(inner: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **more: Any) -> Any:
            last = next(left, None) == 0
            if last and point.when == "before":
                die()
            result = inner(*args, **more)
            if last:
                die()
            return result

        return called

    owner: Any = CountingEnd if point.owner is End else point.owner
    if owner == "commit":
        engine.dialect.do_commit = around(engine.dialect.do_commit)  # type: ignore[method-assign]
    elif owner is CountingEnd:
        CountingEnd.tell = staticmethod(around(CountingEnd.tell))  # type: ignore[method-assign]
    elif owner != "answer":
        setattr(owner, point.name, around(getattr(owner, point.name)))


def spoken(application: Any, point: Point | None) -> Any:
    """Return a WSGI application that is killed while its answer goes out, if the point says so."""

    def called(environ: Any, start_response: Any) -> Any:
        body = b"".join(application(environ, start_response))
        if point is not None and point.owner == "answer" and point.name == "half":
            yield body[: len(body) // 2]
            die()
        if point is not None and point.owner == "answer":
            die()
        yield body

    return called


def work(settings: dict[str, Any], job: dict[str, Any], listener: socket.socket | None) -> None:
    """Do a job; the child is killed at its point, or has not met it."""
    engine = db.connect(settings["database"])
    with engine.connect() as tx:
        tx.execute(sa.text("SELECT 1"))
    end = CountingEnd(engine, settings["me"], settings["peer"], keys.Folder(Path(settings["keys"])))
    end.now = clock.now()
    point = POINTS[job["point"]]
    if listener is not None:
        application = door.app(end.bridge, db.Database(engine), Allowance(1e6, 1e6))
        server = make_server(
            "127.0.0.1", 0, spoken(application, point), request_handler=_Silent, fd=listener.fileno()
        )
        arm(point, engine)
        server.handle_request()
    elif point.job == "act":
        arm(point, engine)
        end.act(job["subject"], Act(job["act"]))
    else:
        made = Courier(end.bridge, db.Database(engine), Address(job["url"]))
        arm(point, engine)
        made.turn()


def main() -> None:
    settings = json.loads(sys.argv[1])
    for line in sys.stdin:
        job = json.loads(line)
        listener = None
        if POINTS[job["point"]].job == "door":
            listener = socket.create_server(("127.0.0.1", 0))
            print(listener.getsockname()[1], flush=True)
        child = os.fork()
        if child == 0:
            try:
                work(settings, job, listener)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(2)
            os._exit(0)
        if listener is not None:
            listener.close()
        _, status = os.waitpid(child, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
