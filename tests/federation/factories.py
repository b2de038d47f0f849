"""Keys, messages and bridges for tests."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from services.federation import envelope, keys
from services.federation.protocol import MUST_ARRIVE, Type
from services.federation.schemas import DATASCHEMA

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
