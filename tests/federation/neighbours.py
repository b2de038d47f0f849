"""Our end of a bridge with another system's program at the other one, and a registry of ours beside it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import requests
import sqlalchemy as sa
from joserfc import jwe, jwk

from services.federation import door, keys
from services.federation.calling import Address
from services.federation.courier import Courier
from services.federation.door import Allowance
from shared import clock, db
from shared.messages.sealed import SealedPerson, SealedRecord
from tests.federation.factories import DAY, End
from tests.peers.factories import Program, free_ports
from tests.peers.gd.keys import give, make
from tests.peers.gd.people import member

KINDS = {"person+jwe": SealedPerson, "record+jwe": SealedRecord}
SIGNS = {"BJ": "ES256", "GD": "Ed25519", "FJ": "Ed25519"}


class Neighbours:
    """Our end and a peer's program, with each other's keys and addresses."""

    def __init__(self, engine: sa.Engine, folder: Path, system: str, seed: int = 3, **options: Any) -> None:
        theirs = folder / system.lower()
        ours = keys.Folder(folder / "here")
        mine = ours.rotate(clock.now() - DAY)
        (theirs / "national").mkdir(parents=True)
        (theirs / "national" / f"{mine.kid}.jwk").write_bytes(msgspec.json.encode(mine))
        for alg in (SIGNS[system], "X25519"):
            give(make(alg), theirs, system, folder / "given")
        self.sealing, self.opening = make("X25519"), None
        give(self.sealing, folder / "registry", "national", theirs)
        for place in (folder / "given" / system).glob("*.jwk"):
            if json.loads(place.read_text())["use"] == "enc":
                self.opening = self.key(json.loads(place.read_text()))
            else:
                ours.add(keys.read(place))
        self.end = End(engine, "national", system, ours)
        self.end.now = clock.now()
        self.ports = free_ports(3)
        self.url = f"http://127.0.0.1:{self.ports[1]}"
        self.desk = f"http://127.0.0.1:{self.ports[2]}"
        self.program = Program(
            folder, system, self.ports[1], self.ports[0], theirs, seed, system.lower(),
            desk=self.ports[2], **options,
        )  # fmt: skip

    @property
    def database(self) -> db.Database:
        return db.Database(self.end.engine)

    def door(self):
        """Return our door, to be served on the first port."""
        return door.app(self.end.bridge, self.database, Allowance(1e6, 1e6))

    def courier(self) -> Courier:
        return Courier(self.end.bridge, self.database, Address(self.url))

    def states(self) -> dict[str, str]:
        with self.end.engine.begin() as tx:
            return {row[0]: row[1] for row in tx.execute(sa.text("SELECT subject, state FROM handovers"))}

    # ---- our registry, by another library than theirs

    def key(self, key: dict) -> jwk.OKPKey:
        return jwk.OKPKey.import_key({name: key[name] for name in ("kty", "crv", "x", "d") if name in key})

    def sealed(self, kind: str, content: dict) -> str:
        """Return what only the peer's registry opens."""
        header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": self.opening.thumbprint(), "typ": kind}
        return jwe.encrypt_compact(header, json.dumps(content), self.opening)

    def opened(self, kind: str, text: str) -> Any:
        """Return what the peer has sealed for us; it has no field that is not on the page."""
        found = jwe.decrypt_compact(text, self.key(self.sealing))
        agreed = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": self.key(self.sealing).thumbprint(), "typ": kind}
        assert {name: value for name, value in found.headers().items() if name != "epk"} == agreed
        assert json.loads(found.plaintext).keys() <= {*KINDS[kind].__struct_fields__}
        return msgspec.json.decode(found.plaintext, type=KINDS[kind])

    def person(self, nth: int, subject: str, **changed: Any) -> dict:
        """Return what we say of a member of ours."""
        row = member(8, "national", nth)
        return {"subject": subject} | {name: row[name] for name in ("number", "name", "joined_on")} | changed

    # ---- whoever plays the peer's people

    def cases(self) -> dict[str, dict]:
        said = requests.get(f"{self.desk}/cases", timeout=10).json()
        return {one["subject"]: one for one in said["cases"]}

    def members(self) -> dict[str, dict]:
        """Return the peer's members by their ID numbers."""
        said = requests.get(f"{self.desk}/members", timeout=10).json()
        return {one["number"]: one for one in said["members"]}

    def post(self, path: str, **said: str) -> tuple[int, dict]:
        answer = requests.post(f"{self.desk}/{path}", json=said, timeout=10)
        return answer.status_code, answer.json()
