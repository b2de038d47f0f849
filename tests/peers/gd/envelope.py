"""Messages, receipts and tokens: how they are made, and what is wrong with one that comes."""

import re
from typing import NamedTuple

from tests.peers.gd import jose, moments, rules
from tests.peers.gd.keys import SEALING, Keys, is_valid

SCHEMA = "urn:tuanqiao:bridge:1.0"
MAJOR = 1
LONGEST = 65_536  # characters of a message
FUTURE = 600  # seconds
LIFETIME = 30 * 86_400  # seconds
TOKEN_AGE = 60  # seconds
LASTING = {"record", "integrated", "sent_back"}
AGAIN = {"not_authentic", "clock", "gap", "too_many_held"}
COUNTS = {"expired", "version", "wrong_field", "too_long"}

SYSTEM = re.compile(r"national|BJ|GD|FJ")
SUBJECT = re.compile(r"(national|BJ|GD|FJ):[A-Za-z0-9._-]+")
SHA = re.compile(r"([0-9a-f]{64})?")
SCHEMAS = re.compile(r"urn:tuanqiao:bridge:(\d{1,9})\.(\d{1,9})")
FORMS = {
    "word": re.compile(r"[A-Za-z0-9_]+"),
    "sign": re.compile(r"[A-Za-z0-9._~=+/:-]+"),
    "sealed": re.compile(r"[A-Za-z0-9._~=+/:-]{20,}"),
}
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")

# type -> field -> (form, longest, needed); an instant, a number and an organisation have limits of their own
ORGANISATION = {"code": ("line", 60, False), "name": ("name", 300, True), "phone": ("line", 40, False)}
ENDING = {"reason": ("sign", 40, True), "text": ("text", 1000, False)}
DATA = {
    "offer": {
        "person": ("sealed", 24_000, True),
        "from_org": ("organisation", 0, True),
        "to_org": ("organisation", 0, True),
        "reason": ("sign", 40, True),
        "reason_text": ("text", 1000, True),
        "started_at": ("instant", 0, True),
        "answer_by": ("instant", 0, True),
    },
    "called_off": ENDING,
    "record": {"record": ("sealed", 24_000, True)},
    "progress": {
        "organisation": ("organisation", 0, True),
        "since": ("instant", 0, True),
        "until": ("instant", 0, False),
    },
    "accepted": {"branch": ("organisation", 0, True)},
    "refused": ENDING,
    "integrated": {"branch": ("organisation", 0, True), "at": ("instant", 0, True)},
    "sent_back": ENDING,
    "query": {"about": ("about", 20, True), "heard_seq": ("count", 0, True)},
    "status": {"state": ("state", 20, True), "since": ("instant", 0, True), "heard_seq": ("count", 0, True)},
}
BUCKET = {"name": ("word", 2, True), "count": ("count", 0, True), "digest": ("line", 64, True)}
LINE = {
    "subject": ("sign", 64, True),
    "outcome": ("outcome", 20, True),
    "sender_seq": ("count", 0, True),
    "sender_head": ("line", 64, True),
    "receiver_seq": ("count", 0, True),
    "receiver_head": ("line", 64, True),
}
WORDS = {
    "outcome": {"open", "on_the_way", "moved", "kept"},
    "about": {"record", "transfer"},
    "state": {"none", "never_seen"} | rules.OPEN | rules.ENDED,
}


class Wrong(Exception):
    """What is wrong with a message: a code of the page."""


class Letter(NamedTuple):
    """What came: the message as far as it could be read, and the code it is refused with; empty for none."""

    jws: str
    sha256: str
    id: str
    payload: dict
    code: str
    is_authentic: bool


def make(keys: Keys, system: str, subject: str, seq: int, prev: str, type_: str, data: dict) -> str:
    """Return a signed message; the same arguments make the same id."""
    now = moments.now()
    payload = {
        "specversion": "1.0",
        "id": f"{system}/{subject}/{seq}",
        "source": system,
        "dest": keys.peer,
        "type": type_,
        "time": moments.text(now),
        "subject": subject,
        "seq": seq,
        "prev": prev,
        "dataschema": SCHEMA,
        "data": data,
    }
    if type_ not in LASTING:
        payload["expires"] = moments.text(now + LIFETIME)
    return jose.sign(keys.signing(now), "message+jws", payload)


def receipt(keys: Keys, system: str, letter: Letter, status: str, code: str, expected: int) -> str:
    """Return a signed receipt for what came."""
    now = moments.now()
    payload = {
        "source": system,
        "dest": keys.peer,
        "of": letter.id,
        "sha256": letter.sha256,
        "status": status,
        "expected_seq": expected,
        "time": moments.text(now),
    }
    if code:
        payload["code"] = code
    return jose.sign(keys.signing(now), "receipt+jws", payload)


def token(keys: Keys, system: str, path: str) -> str:
    """Return what stands after `Bearer` for one request."""
    now = moments.now()
    payload = {"source": system, "dest": keys.peer, "path": path, "time": moments.text(now)}
    return jose.sign(keys.signing(now), "token+jws", payload)


def read_receipt(keys: Keys, system: str, jws: str) -> dict | None:
    """Return a receipt of the peer's, or None where it is not authentic."""
    try:
        payload = _opened(keys, system, jws, "receipt+jws")
        texts = all(isinstance(payload[name], str) for name in ("of", "sha256", "status"))
        is_whole = texts and type(payload["expected_seq"]) is int
    except (Wrong, KeyError):
        return None
    return payload if is_whole and isinstance(payload.get("code") or "", str) else None


def is_token(keys: Keys, system: str, jws: str, path: str) -> bool:
    """Return whether the peer asks for this path, within a minute."""
    try:
        payload = _opened(keys, system, jws, "token+jws")
        return payload["path"] == path and abs(moments.parse(payload["time"]) - moments.now()) <= TOKEN_AGE
    except (Wrong, KeyError):
        return False


def manifest(keys: Keys, system: str, day: str, **content) -> str:
    """Return a signed manifest of a day: `buckets`, or `bucket` and its `lines`."""
    now = moments.now()
    payload = {"source": system, "dest": keys.peer, "day": day, "time": moments.text(now)}
    return jose.sign(keys.signing(now), "manifest+jws", payload | content)


def read_manifest(keys: Keys, system: str, jws: str, day: str, bucket: str = "") -> dict | None:
    """Return the peer's manifest of this day, or of this bucket of it; None where it is not that."""
    try:
        payload = _opened(keys, system, jws, "manifest+jws")
        rows, fields = (payload["lines"], LINE) if bucket else (payload["buckets"], BUCKET)
        if payload["day"] != day or payload.get("bucket", "") != bucket or not isinstance(rows, list):
            return None
        for row in rows:
            _check_object(fields, row)
    except (Wrong, KeyError):
        return None
    return payload


def read(keys: Keys, system: str, jws: str) -> Letter:
    """Return what came and what is wrong with it, apart from what only the store knows."""
    letter = Letter(jws, jose.sha256(jws), "", {}, "", False)
    try:
        header, payload = _taken_apart(jws, "message+jws")
        letter = letter._replace(payload=payload, id=_id_of(payload))
        _authenticate(keys, system, jws, header, payload)
        letter = letter._replace(is_authentic=True)
        _check_envelope(payload, system, keys.peer)
        _check_time(payload)
        _check_content(payload)
    except Wrong as wrong:
        return letter._replace(code=str(wrong))
    return letter


def _taken_apart(jws: str, typ: str) -> tuple[dict, dict]:
    if len(jws) > LONGEST or not jws.isascii():
        raise Wrong("malformed")
    try:
        header, raw, _, _ = jose.parts(jws)
        payload = jose.loads(raw)
    except jose.Unreadable as error:
        raise Wrong("malformed") from error
    texts = all(isinstance(value, str) for value in header.values())
    if (
        set(header) != {"alg", "kid", "typ"}
        or not texts
        or header["typ"] != typ
        or not isinstance(payload, dict)
    ):
        raise Wrong("malformed")
    return header, payload


def _id_of(payload: dict) -> str:
    name = payload.get("id")
    return name if isinstance(name, str) and len(name) <= 120 else ""  # then no envelope can be right


def _authenticate(keys: Keys, system: str, jws: str, header: dict, payload: dict) -> None:
    """Signature, key, algorithm, source and dest as agreed; the key is judged by `time`."""
    key = keys.theirs.get(header["kid"])
    if key is None or key.get("use") == SEALING or header["alg"] != jose.algorithm(key):
        raise Wrong("not_authentic")
    _, _, signed, signature = jose.parts(jws)
    if not jose.is_signed(key, signed, signature):
        raise Wrong("not_authentic")
    try:
        at = moments.parse(payload["time"])
    except (KeyError, TypeError, ValueError) as error:
        raise Wrong("malformed") from error
    if not is_valid(key, at) or payload.get("source") != keys.peer or payload.get("dest") != system:
        raise Wrong("not_authentic")


def _opened(keys: Keys, system: str, jws: str, typ: str) -> dict:
    """Return the payload of an authentic receipt or token."""
    header, payload = _taken_apart(jws, typ)
    _authenticate(keys, system, jws, header, payload)
    return payload


def _is(form: re.Pattern, value, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and form.fullmatch(value) is not None


def _check_envelope(payload: dict, system: str, peer: str) -> None:
    """Without these fields nobody knows whose number would count: malformed."""
    seq, subject = payload.get("seq"), payload.get("subject")
    if type(seq) is not int or seq < 1 or not _is(SUBJECT, subject, 64):
        raise Wrong("malformed")
    if _id_of(payload) != f"{peer}/{subject}/{seq}" or subject.partition(":")[0] not in (system, peer):
        raise Wrong("malformed")


def _check_time(payload: dict) -> None:
    if moments.parse(payload["time"]) > moments.now() + FUTURE:
        raise Wrong("clock")
    expires = payload.get("expires")
    if expires is not None:
        _check("instant", 0, expires)
        if moments.parse(expires) < moments.now():
            raise Wrong("expired")


def _check_content(payload: dict) -> None:
    schema, type_ = payload.get("dataschema"), payload.get("type")
    _check("sign", 60, schema)
    _check("word", 40, type_)
    version = SCHEMAS.fullmatch(schema)
    if payload.get("specversion") != "1.0" or version is None or not _is(SHA, payload.get("prev"), 64):
        raise Wrong("wrong_field")
    if int(version[1]) != MAJOR or type_ not in DATA:
        raise Wrong("version")
    _check_object(DATA[type_], payload.get("data"))


def _check_object(fields: dict, value) -> None:
    if not isinstance(value, dict):
        raise Wrong("wrong_field")
    for name, (form, longest, needed) in fields.items():
        if value.get(name) is not None:
            _check(form, longest, value[name])
        elif needed:
            raise Wrong("wrong_field")


def _check(form: str, longest: int, value) -> None:
    """Refuse a value that is not of its form, or too long for it."""
    if form == "organisation":
        _check_object(ORGANISATION, value)
        return
    if form == "count":
        if type(value) is not int or not 0 <= value < 2**63:
            raise Wrong("wrong_field")
        return
    if not isinstance(value, str):
        raise Wrong("wrong_field")
    if form == "instant":
        try:
            moments.parse(value)
        except ValueError as error:
            raise Wrong("wrong_field") from error
        return
    if len(value) > longest:
        raise Wrong("too_long")
    is_of_words = form not in WORDS or value in WORDS[form]
    if not is_of_words or (form in FORMS and not FORMS[form].fullmatch(value)):
        raise Wrong("wrong_field")
    if CONTROL.search(value) or (form != "text" and "\n" in value) or (form == "name" and not value.strip()):
        raise Wrong("wrong_field")
