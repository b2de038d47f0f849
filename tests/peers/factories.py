"""Programs to start, and a stranger who speaks to them by another JOSE library than theirs."""

import json
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from joserfc import jwk, jws

from tests.peers.gd import courier, envelope, jose, keys, moments, office, people, registry, store
from tests.peers.gd.desk import Desk, take
from tests.peers.gd.faults import Faults

SCHEMA = "urn:tuanqiao:bridge:1.0"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Program:
    """One system in a process of its own, that may be killed and started again."""

    def __init__(
        self,
        folder: Path,
        system: str,
        port: int,
        peer_port: int,
        keys: Path,
        seed: int,
        module: str = "gd",
        **options,
    ):
        self.file = folder / f"{system}.db"
        self.log = folder / f"{system}.log"
        self.command = [sys.executable, "-m", f"tests.peers.{module}", "--port", str(port)]
        self.command += ["--system", system] if module in ("gd", "fj") else []
        self.command += ["--peer-url", f"http://127.0.0.1:{peer_port}", "--keys", str(keys)]
        self.command += ["--db", str(self.file), "--seed", str(seed)]
        for name, value in options.items():
            if value is False:
                continue
            option = f"--{name.replace('_', '-')}"
            self.command += [option] if value is True else [option, str(value)]
        self.process = None

    def start(self) -> None:
        """Start it, and return when it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert "listens" in self.process.stdout.readline(), self.log.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and return with what it ended."""
        if self.process is None or self.process.poll() is not None:
            return -1
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stdout.close()
        return code


class House:
    """What GD's program is made of, without its threads."""

    def __init__(self, folder, own_keys, faults=frozenset(), speed: float = 1.0, system: str = "GD"):
        self.desk = Desk(system, keys.read(own_keys), Faults(set(faults), 5, speed))
        self.file = store.Store(folder / f"{system}.db")
        self.office = office.Office(self.file, self.desk, 50, 60, "共青团第一支部委员会")
        self.office.targets_known.set()
        self.meet("http://127.0.0.1:1")
        with self.file.transaction() as tx:
            office.furnish(tx, self.desk, 30)

    def meet(self, url: str) -> None:
        """Give it the address of its peer."""
        self.courier = courier.Courier(self.file, self.desk, url, moments.now())

    def hand_in(self, *messages: str) -> list[str]:
        """Return the receipts for messages."""
        letters = [envelope.read(self.desk.keys, self.desk.system, message) for message in messages]
        with self.file.transaction() as tx:
            return [take(tx, self.desk, letter) for letter in letters]

    def turn(self, monkeypatch, hours: float) -> None:
        """Let so many hours pass, and its people do what is due."""
        monkeypatch.setattr(moments, "ahead", moments.ahead + hours * 3600)
        with self.file.transaction() as tx:
            self.office.turn(tx)

    def rows(self, query: str, *values) -> list[tuple]:
        """Return what its file says."""
        with self.file.transaction() as tx:
            return [tuple(row) for row in tx.execute(query, values)]


class Stranger:
    """The peer of a GD, who signs with a library of its own."""

    def __init__(self, folder: Path, system: str, peer: str):
        self.system = system
        self.peer = peer
        keys = [json.loads(file.read_text()) for file in (folder / "own").glob("*.jwk")]
        self.key = next(key for key in keys if key["use"] == "sig")
        seals = [json.loads(file.read_text()) for file in (folder / peer).glob("*.jwk")]
        self.seal = next(key for key in seals if key["use"] == "enc")
        self.theirs = next(key for key in seals if key["use"] == "sig")

    def sign(self, typ: str, payload: dict, /, **header) -> str:
        """Return a compact JWS; `header` replaces or adds fields."""
        names = ("kty", "crv", "x", "y", "d")
        key = jwk.import_key({name: self.key[name] for name in names if name in self.key})
        alg = "ES256" if self.key["kty"] == "EC" else "Ed25519"
        fields = {"alg": alg, "kid": key.thumbprint(), "typ": typ} | header
        return jws.serialize_compact(fields, json.dumps(payload).encode(), key, algorithms=[alg])

    def message(self, number: int, seq: int, type_: str, data, prev="", /, header=None, **fields) -> str:
        """Return a message about a transfer of the stranger's; `prev` is the JWS before."""
        subject = fields.get("subject", f"{self.system}:{number}")
        payload = {
            "specversion": "1.0",
            "id": f"{self.system}/{subject}/{seq}",
            "source": self.system,
            "dest": self.peer,
            "type": type_,
            "time": moment(),
            "subject": subject,
            "seq": seq,
            "prev": sha256(prev.encode()).hexdigest() if prev else "",
            "expires": moment(days=30),
            "dataschema": SCHEMA,
            "data": data,
        }
        return self.sign("message+jws", payload | fields, **(header or {}))

    def offer(self, number: int, to_code: str, member: dict | None = None, **fields) -> str:
        """Return the first message of a transfer."""
        person = registry.person(f"{self.system}:{number}", member or people.member(9, self.system, number))
        data = {
            "person": jose.seal(self.seal, registry.PERSON, person),
            "from_org": {"name": "福州第一支部", "code": "1"},
            "to_org": {"name": "云珠实验中学第一支部", "code": to_code},
            "reason": "11",
            "reason_text": "升学",
            "started_at": moment(),
            "answer_by": moment(days=10),
        }
        return self.message(number, 1, "offer", data | fields)

    def record(self, number: int, seq: int, prev: str, member: dict | None = None) -> str:
        """Return the message that hands the member over."""
        member = member or people.member(9, self.system, number)
        content = registry.record(f"{self.system}:{number}", member, "福州第一支部")
        record = jose.seal(self.seal, registry.RECORD, content)
        return self.message(number, seq, "record", {"record": record}, prev)

    def opened(self, receipt: str) -> dict:
        """Return what stands in a receipt, verified."""
        names = ("kty", "crv", "x", "y")
        key = jwk.import_key({name: self.theirs[name] for name in names if name in self.theirs})
        opened = jws.deserialize_compact(receipt, key, algorithms=["Ed25519", "ES256"])
        assert opened.headers() == {
            "alg": opened.headers()["alg"],
            "kid": key.thumbprint(),
            "typ": "receipt+jws",
        }
        return json.loads(opened.payload)


def moment(**ahead) -> str:
    """Return an instant, in UTC, so far from now."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()
