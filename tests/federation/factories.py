"""Keys, messages and bridges for tests."""

import contextlib
import itertools
import json
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from werkzeug.serving import WSGIRequestHandler, make_server

from services.federation import envelope, keys, places, receiving
from services.federation.handovers import Bridge, Deed, Told, perform
from services.federation.protocol import MUST_ARRIVE, SENDS, Act, Type, Word
from services.federation.schemas import DATA, DATASCHEMA, Receipt
from shared.messages.orgs import OrgChanged

NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)
SEALED = "eyJhbGciOiJFQ0RILUVTIn0..sealed.sealed.sealed"
ORG = {"code": "BJ-DX-0001", "name": "北京某大学团委", "phone": "010-1234"}
EXAMPLES: dict[Type, dict[str, Any]] = {
    Type.OFFER: {
        "person": SEALED,
        "from_org": ORG,
        "to_org": {"name": "某省某市某街道团工委"},
        "reason": "employed_with_org",
        "reason_text": "已落实工作单位",
        "started_at": "2026-07-01T07:00:00Z",
        "answer_by": "2026-07-11T07:00:00Z",
    },
    Type.CALLED_OFF: {"reason": "overdue"},
    Type.RECORD: {"record": SEALED},
    Type.PROGRESS: {"organisation": ORG, "since": "2026-07-01T07:00:00Z"},
    Type.ACCEPTED: {"branch": ORG},
    Type.REFUSED: {"reason": "not_here", "text": "不在本地"},
    Type.INTEGRATED: {"branch": ORG, "at": "2026-07-01T07:00:00Z"},
    Type.SENT_BACK: {"reason": "identity_differs"},
    Type.QUERY: {"about": "transfer", "heard_seq": 1},
    Type.STATUS: {"state": "deciding", "since": "2026-07-01T07:00:00Z", "heard_seq": 1},
}


def two_sides(
    folder: Path, ours: str = "Ed25519", theirs: str = "Ed25519"
) -> tuple[keys.Folder, keys.Folder]:
    """Return the keys of both ends of a bridge, each with the other's public one, valid a day ago."""
    here, there = keys.Folder(folder / "here"), keys.Folder(folder / "there")
    there.add(here.rotate(NOW - DAY, ours))
    here.add(there.rotate(NOW - DAY, theirs))
    return here, there


def fields(kind: Type, **changed: Any) -> dict[str, Any]:
    """Return the fields of a message from BJ; a change to None leaves a field out."""
    from_sender = kind in (Type.OFFER, Type.CALLED_OFF, Type.RECORD, Type.QUERY, Type.STATUS)
    subject = changed.get("subject", "BJ:7" if from_sender else "national:7")
    made = {
        "specversion": "1.0",
        "source": "BJ",
        "dest": "national",
        "type": kind.value,
        "time": NOW.isoformat(),
        "subject": subject,
        "seq": 1,
        "prev": "",
        "expires": None if kind in MUST_ARRIVE else (NOW + 30 * DAY).isoformat(),
        "dataschema": DATASCHEMA,
        "data": EXAMPLES[kind],
        **changed,
    }
    made.setdefault("id", f"{made['source']}/{made['subject']}/{made['seq']}")
    return {name: value for name, value in made.items() if value is not None}


def message(key: keys.Key, kind: Type = Type.OFFER, **changed: Any) -> str:
    """Return a signed message from BJ."""
    return envelope.sign(key, envelope.MESSAGE, msgspec.json.encode(fields(kind, **changed)))


def part(value: Any) -> str:
    """Return a part of a JWS."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(body).rstrip(b"=").decode()


class _Silent(WSGIRequestHandler):
    def log(self, *said: object) -> None:
        pass


@contextlib.contextmanager
def served(application: Any, port: int = 0, **more: Any) -> Iterator[str]:
    """Serve a WSGI application on a free port with threads; yield its address."""
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=_Silent, **more)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class End:
    """One end of a bridge, with a database of its own."""

    def __init__(self, engine: sa.Engine, me: str, peer: str, folder: keys.Folder) -> None:
        self.engine = engine
        self.told: list[Told] = []
        self.bridge = Bridge(peer, folder, lambda tx, told: self.told.extend(told), me)
        self.now = NOW

    def act(self, subject: str, what: Act, data: msgspec.Struct | None = None) -> bool:
        """Do an act in a transaction of its own."""
        if data is None and (step := next((s for (_, a), s in SENDS.items() if a is what), None)):
            data = example(step.says) if step.says else None
        with self.engine.begin() as tx:
            (done,) = perform(tx, self.bridge, [Deed(subject, what, data)], self.now)
        return done

    def hear(self, *texts: str) -> list[Receipt]:
        """Take messages as one request; return what the receipts say."""
        return [self.read(one) for one in self.answers(*texts)]

    def answers(self, *texts: str) -> list[str]:
        """Take messages as one request; return the receipts as they are sent."""
        items = receiving.read(self.bridge, texts, self.now)
        with self.engine.begin() as tx:
            return [one.receipt for one in receiving.take(tx, self.bridge, items, self.now)]

    def read(self, receipt: str) -> Receipt:
        """Return what a receipt of this end says."""
        return msgspec.json.decode(envelope.payload_of(receipt), type=Receipt)

    def said(self, subject: str = "%") -> list[str]:
        """Return all messages of a transfer, in order."""
        with self.engine.begin() as tx:
            return list(
                tx.scalars(
                    sa.text("SELECT jws FROM sent WHERE subject LIKE :subject ORDER BY subject, seq"),
                    {"subject": subject},
                )
            )

    def state(self, subject: str) -> str:
        """Return where a transfer stands here; empty where nothing is known of it."""
        with self.engine.begin() as tx:
            one = sa.text("SELECT state FROM handovers WHERE subject = :subject")
            return tx.scalar(one, {"subject": subject}) or ""

    def rows(self, columns: str, table: str = "received") -> list[tuple[Any, ...]]:
        """Return columns of a table, in the order of their places."""
        with self.engine.begin() as tx:
            rows = tx.execute(sa.text(f"SELECT {columns} FROM {table} ORDER BY subject, seq"))
            return [tuple(row) for row in rows]


def mirror(end: End, org_id: int, code: str, **more: Any) -> None:
    """Have an end know an organisation: a branch of BJ unless something else is said; the newest holds."""
    place = {
        "org_id": org_id,
        "parent_id": None,
        "path": f"{org_id}.",
        "kind": "branch",
        "purpose": "ordinary",
        "province": "11",
        "system": "BJ",
        "provincial_id": None,
        "vault_id": None,
        "name": ORG["name"],
        "version": next(_versions),
        "deleted": False,
        "peer_code": code,
        **more,
    }
    with end.engine.begin() as tx:
        places.on_org_changed(tx, [OrgChanged(**place)], end.now)


_versions = itertools.count(1)


def example(word: Word) -> msgspec.Struct:
    """Return data for a word."""
    data = EXAMPLES[word.type]
    if word is Word.QUERY_RECORD:
        data = {"about": "record", "heard_seq": 1}
    return msgspec.convert(data, DATA[word.type])


def sent_states(end: End, state: str) -> None:
    """Put everything that an end has said into a state."""
    with end.engine.begin() as tx:
        tx.execute(sa.text("UPDATE sent SET state = :state"), {"state": state})


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    some = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in some]
    for one in some:
        one.close()
    return ports
