"""Messages, receipts, tokens and manifests: made for the peer, and read as the page says what is refused."""

import re
from datetime import date
from typing import Any, NamedTuple

from tests.peers.fj import clock, jose
from tests.peers.fj.keys import Keys, is_valid

SCHEMA = "urn:tuanqiao:bridge:1.0"
LONGEST = 65_536  # characters of a message
LASTING = ("record", "integrated", "sent_back")
LIFETIME = 30 * 86_400  # seconds
FUTURE = 600
COUNTS = ("expired", "version", "wrong_field", "too_long")  # refused, and their number counts
AGAIN = ("not_authentic", "clock", "gap", "too_many_held")
SPEAKERS = {
    "sender": ("offer", "called_off", "record", "query", "status"),
    "receiver": ("progress", "accepted", "refused", "integrated", "sent_back", "query", "status"),
}

SUBJECT = re.compile(r"(\w{2,16}):[A-Za-z0-9._-]{1,60}", re.ASCII)
OPAQUE = re.compile(r"[A-Za-z0-9._~=+/:-]*")
WORD = re.compile(r"[A-Za-z0-9_]*")
CONTROL = "\x7f-\x9f\u2028-\u202e\u2066-\u2069"
LINE = re.compile(rf"[^\x00-\x1f{CONTROL}]*")
PROSE = re.compile(rf"[^\x00-\x09\x0b-\x1f{CONTROL}]*")


class Text(NamedTuple):
    """A text of some form, at least and at most so long."""

    most: int
    form: re.Pattern = LINE
    least: int = 0

    def wrong(self, value) -> str:
        if not isinstance(value, str) or len(value) < self.least or not self.form.fullmatch(value):
            return "wrong_field"
        return "too_long" if len(value) > self.most else ""


class Instant(NamedTuple):
    """An instant with its zone."""

    def wrong(self, value) -> str:
        try:
            clock.parse(value)
        except (TypeError, ValueError):
            return "wrong_field"
        return ""


class Whole(NamedTuple):
    """A whole number."""

    least: int = 0

    def wrong(self, value) -> str:
        good = isinstance(value, int) and not isinstance(value, bool) and self.least <= value < 2**31
        return "" if good else "wrong_field"


class Anything(NamedTuple):
    """What is looked at later."""

    def wrong(self, value) -> str:
        return ""


class One(NamedTuple):
    """One of some words."""

    words: tuple[str, ...]

    def wrong(self, value) -> str:
        return "" if value in self.words else "wrong_field"


class Fields(NamedTuple):
    """An object; a name with ? may be left out or null, fields that are not known are ignored."""

    fields: dict[str, Any]

    def wrong(self, value) -> str:
        if not isinstance(value, dict):
            return "wrong_field"
        for name, form in self.fields.items():
            plain = name.rstrip("?")
            if name != plain and value.get(plain) is None:
                continue
            if plain not in value:
                return "wrong_field"
            if fault := form.wrong(value[plain]):
                return fault
        return ""


class Day(NamedTuple):
    """A day in China."""

    def wrong(self, value) -> str:
        try:
            good = 1900 <= date.fromisoformat(value).year <= 2199 and len(value) == 10
        except (TypeError, ValueError):
            good = False
        return "" if good else "wrong_field"


class Flag(NamedTuple):
    """Yes or no."""

    def wrong(self, value) -> str:
        return "" if isinstance(value, bool) else "wrong_field"


class Each(NamedTuple):
    """A list, each of its items of a form."""

    form: Any
    most: int

    def wrong(self, value) -> str:
        if not isinstance(value, list):
            return "wrong_field"
        if len(value) > self.most:
            return "too_long"
        return next(filter(None, map(self.form.wrong, value)), "")


ORG = Fields({"code?": Text(60), "name": Text(300), "phone?": Text(40)})
SEALED = Text(24_000, OPAQUE, 20)
ENDING = Fields({"reason": Text(40, OPAQUE), "text?": Text(1000, PROSE)})
STATES = "none offered handover moved kept deciding awaited taken refused back never_seen"
DATA = {
    "offer": Fields(
        {
            "person": SEALED,
            "from_org": ORG,
            "to_org": ORG,
            "reason": Text(40, OPAQUE),
            "reason_text": Text(1000, PROSE),
            "started_at": Instant(),
            "answer_by": Instant(),
        }
    ),
    "called_off": ENDING,
    "record": Fields({"record": SEALED}),
    "progress": Fields({"organisation": ORG, "since": Instant(), "until?": Instant()}),
    "accepted": Fields({"branch": ORG}),
    "refused": ENDING,
    "integrated": Fields({"branch": ORG, "at": Instant()}),
    "sent_back": ENDING,
    "query": Fields({"about": One(("record", "transfer")), "heard_seq": Whole()}),
    "status": Fields({"state": One(tuple(STATES.split())), "since": Instant(), "heard_seq": Whole()}),
}
ENVELOPE = Fields(
    {
        "specversion": One(("1.0",)),
        "id": Text(120, OPAQUE),
        "source": Text(16, WORD, 2),
        "dest": Text(16, WORD, 2),
        "type": Text(40, WORD),
        "time": Instant(),
        "subject": Text(64, OPAQUE, 4),
        "seq": Whole(1),
        "prev": Text(64, WORD),
        "expires?": Instant(),
        "dataschema": Text(60, OPAQUE),
        "data": Anything(),
    }
)
RECEIPT = Fields(
    {
        "source": Text(16, WORD, 2),
        "dest": Text(16, WORD, 2),
        "of": Text(120, OPAQUE),
        "sha256": Text(64, WORD),
        "status": One(("stored", "held", "refused")),
        "code?": Text(40, WORD),
        "expected_seq": Whole(),
        "time": Instant(),
    }
)

STAY = Fields({"branch": Text(300), "since": Day(), "until?": Day()})
RECORD = Fields(
    {
        "subject": Text(64, OPAQUE),
        "number": Text(40),
        "name": Text(200),
        "joined_on?": Day(),
        "ethnic_group?": Text(60),
        "development_number?": Text(60),
        "phone?": Text(40),
        "contact?": Text(60),
        "emergency_contact?": Text(60),
        "party?": Flag(),
        "stays?": Each(STAY, 100),
    }
)
"""What stands in a sealed record."""


class Letter(NamedTuple):
    """What came: its envelope if it has one, why it is refused ('' if not), whether it is the peer's."""

    jws: str
    sha256: str
    code: str
    is_authentic: bool
    envelope: dict | None


class Desk(NamedTuple):
    """Who speaks to whom, with which keys."""

    system: str
    peer: str
    keys: Keys

    # ---- speaking ----------------------------------------------------------------------------------

    def message(self, subject: str, seq: int, prev: str, kind: str, data: dict) -> str:
        """Return a message, signed once; whoever sends it again sends this."""
        now = clock.now()
        said = {
            "specversion": "1.0",
            "id": f"{self.system}/{subject}/{seq}",
            "source": self.system,
            "dest": self.peer,
            "type": kind,
            "time": clock.text(now),
            "subject": subject,
            "seq": seq,
            "prev": prev,
            "dataschema": SCHEMA,
            "data": data,
        }
        if kind not in LASTING:
            said["expires"] = clock.text(now + LIFETIME)
        return jose.sign(self.keys.signing(now), "message+jws", said)

    def signed(self, typ: str, at: float | None = None, **said) -> str:
        """Return a receipt, a token or a manifest."""
        now = clock.now()
        said |= {"source": self.system, "dest": self.peer, "time": clock.text(now if at is None else at)}
        return jose.sign(self.keys.signing(now), typ, said)

    def receipt(self, letter: Letter, status: str, code: str, expected: int) -> str:
        """Return the receipt for what came."""
        said = {"of": letter.envelope["id"] if letter.envelope else "", "sha256": letter.sha256}
        said |= {"status": status, "expected_seq": expected}
        return self.signed("receipt+jws", **said, **({"code": code} if code else {}))

    # ---- reading -----------------------------------------------------------------------------------

    def key_for(self, text: str, typ: str) -> dict:
        """Return the key of the peer's that has signed a JWS for one kind of thing.

        Raises Unreadable where it is no JWS, KeyError where it is nobody's.
        """
        head = jose.header(text)
        known = self.keys.of_peer(head["kid"]) if head.keys() == {"alg", "kid", "typ"} else None
        if known is None or (head["alg"], head["typ"]) != (known["alg"], typ):
            raise KeyError("kid")
        if not jose.is_signed(known, text):
            raise KeyError("signature")
        return known

    def read(self, text: str) -> Letter:
        """Return what came in a request."""
        sha256 = jose.digest(text)
        try:
            if len(text) > LONGEST:
                raise jose.Unreadable("too long")
            key = self.key_for(text, "message+jws")
        except jose.Unreadable:
            return Letter(text, sha256, "malformed", False, None)
        except (KeyError, TypeError):
            return Letter(text, sha256, "not_authentic", False, None)
        try:
            said = jose.payload(text)
        except jose.Unreadable:
            said = None
        if said is None or ENVELOPE.wrong(said):
            return Letter(text, sha256, "malformed", True, None)
        if (said["source"], said["dest"]) != (self.peer, self.system) or not is_valid(
            key, clock.parse(said["time"])
        ):
            return Letter(text, sha256, "not_authentic", False, None)
        return Letter(text, sha256, self.fault(said), True, said)

    def fault(self, said: dict) -> str:
        """Return why an authentic envelope is refused, or ''."""
        now, kind = clock.now(), said["type"]
        subject = SUBJECT.fullmatch(said["subject"])
        if subject is None or subject[1] not in (self.peer, self.system):
            return "malformed"
        if said["id"] != f"{self.peer}/{said['subject']}/{said['seq']}":
            return "malformed"
        if clock.parse(said["time"]) > now + FUTURE:
            return "clock"
        if not re.fullmatch(r"urn:tuanqiao:bridge:1\.\d+", said["dataschema"]) or kind not in DATA:
            return "version"
        side = "sender" if subject[1] == self.peer else "receiver"
        if kind not in SPEAKERS[side] or (said.get("expires") is None) is not (kind in LASTING):
            return "wrong_field"
        if fault := DATA[kind].wrong(said["data"]):
            return fault
        return "expired" if said.get("expires") and clock.parse(said["expires"]) <= now else ""

    def opened(self, text, typ: str) -> dict | None:
        """Return what the peer has signed beside messages; None where it is not the peer's, or not for us."""
        try:
            key = self.key_for(text, typ)
            said = jose.payload(text)
            good = (said["source"], said["dest"]) == (self.peer, self.system)
            return said if good and is_valid(key, clock.parse(said["time"])) else None
        except (jose.Unreadable, AttributeError, KeyError, TypeError, ValueError):
            return None

    def opened_receipt(self, text) -> dict | None:
        """Return a receipt of the peer's, or None."""
        said = self.opened(text, "receipt+jws")
        return said if said is not None and not RECEIPT.wrong(said) else None
