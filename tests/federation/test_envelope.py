"""Messages as they are signed and opened: what is authentic, and everything that is not."""

import json
import re
from base64 import urlsafe_b64decode
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey

from services.federation import envelope, schemas
from services.federation.envelope import MESSAGE, RECEIPT, NotTaken, opened, sha256, sign
from services.federation.keys import Key, Ring
from services.federation.protocol import Side, Type, Word
from services.federation.schemas import DATA, FAULTS, Fault
from shared.messages import limits
from tests.federation.factories import DAY, EXAMPLES, NOW, fields, message, part, two_sides


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return two_sides(tmp_path_factory.mktemp("bridge"))


@pytest.fixture(scope="module")
def ring(both):
    return both[0].ring()


@pytest.fixture(scope="module")
def theirs(both) -> Key:
    return both[1].ring().signing(NOW)


def take(text: str, ring: Ring, now=NOW) -> envelope.Opened:
    return opened(text, ring, "BJ", "national", now)


def refused(text: str, ring: Ring, now=NOW) -> tuple[str, bool]:
    """Return why a message is refused, and whether its number counts."""
    with pytest.raises(NotTaken) as found:
        take(text, ring, now)
    fault = found.value.fault
    # a number counts only where somebody can say which
    assert found.value.envelope is not None or not FAULTS[fault].counts
    return fault.value, found.value.numbered is not None


@pytest.mark.parametrize("kind", list(Type))
def test_every_type_is_opened(ring, theirs, kind):
    """What the peer has signed says which transfer, which side and what, and all of its data."""
    found = take(message(theirs, kind, seq=3, prev="0" * 64), ring)

    assert (found.kind, found.word, found.envelope.seq) == (kind, Word(kind.value), 3)
    assert found.side is (Side.SENDER if found.envelope.subject == "BJ:7" else Side.RECEIVER)
    assert found.data == msgspec.convert(EXAMPLES[kind], DATA[kind])


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_both_algorithms(tmp_path, alg):
    """Ed25519 and ES256 are signed and checked; a peer is believed with those that are allowed for it."""
    here, there = two_sides(tmp_path, theirs=alg)
    text = message(there.ring().signing(NOW))

    assert take(text, here.ring()).word is Word.OFFER
    assert json.loads(urlsafe_b64decode(text.partition(".")[0] + "==")).keys() == {"alg", "kid", "typ"}
    only_other = Ring((), here.ring().peer, tuple({"Ed25519", "ES256"} - {alg}))
    assert refused(text, only_other) == ("not_authentic", False)


def test_the_two_that_are_about_something_else(ring, theirs):
    """A query for the record and `never_seen` are words of their own to the tables."""
    query = message(theirs, Type.QUERY, data={"about": "record", "heard_seq": 0})
    status = message(theirs, Type.STATUS, data={**EXAMPLES[Type.STATUS], "state": "never_seen"})

    assert take(query, ring).word is Word.QUERY_RECORD
    assert take(status, ring).word is Word.NEVER_SEEN


def test_what_a_later_minor_version_adds_is_ignored(ring, theirs):
    """Version 1.1 with fields that nobody knows here is taken; 2.0, other names and new types are not."""
    more = {**EXAMPLES[Type.ACCEPTED], "colour": {"deep": [1]}}
    later = message(
        theirs, Type.ACCEPTED, dataschema="urn:tuanqiao:bridge:1.1", data=more, traceparent="00-1"
    )

    assert take(later, ring).word is Word.ACCEPTED
    for change in (
        {"dataschema": "urn:tuanqiao:bridge:2.0"},
        {"dataschema": "urn:tuanqiao:bridge:1"},
        {"dataschema": "urn:tuanqiao:bridge:01.0x"},
        {"type": "hint"},
        {"type": "OFFER"},
    ):
        assert refused(message(theirs, **change), ring) == ("version", True)


WRONG_FIELDS = {
    "data of another type": {"data": {"reason": "x"}},
    "a number as text": {"data": {**EXAMPLES[Type.OFFER], "person": 7}},
    "a line break in a name": {"data": {**EXAMPLES[Type.OFFER], "to_org": {"name": "a\nb"}}},
    "NUL": {"data": {**EXAMPLES[Type.OFFER], "reason_text": "a\0b"}},
    "a year of another age": {"data": {**EXAMPLES[Type.OFFER], "answer_by": "0001-01-01T00:00:00Z"}},
    "no zone": {"data": {**EXAMPLES[Type.OFFER], "answer_by": "2026-07-01T00:00:00"}},
    "data is a list": {"data": []},
    "never expires": {"expires": None},
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_wrong_fields(ring, theirs, name):
    """A field that is missing, of another type or outside its limits has its own code; its number counts."""
    assert refused(message(theirs, **WRONG_FIELDS[name]), ring) == ("wrong_field", True)


def test_what_has_to_arrive_does_not_expire(ring, theirs):
    """A record with a date after which it would be refused is no record."""
    text = message(theirs, Type.RECORD, expires=(NOW + DAY).isoformat())

    assert refused(text, ring) == ("wrong_field", True)


def test_a_type_of_the_other_side(ring, theirs):
    """Only the sender of a transfer offers it, and only its receiver accepts it."""
    assert refused(message(theirs, Type.OFFER, subject="national:7"), ring) == ("wrong_field", True)
    assert refused(message(theirs, Type.ACCEPTED, subject="BJ:7"), ring) == ("wrong_field", True)


def test_too_long(ring, theirs):
    """A text beyond its limit is told apart from one of the wrong form."""
    long = {**EXAMPLES[Type.OFFER], "reason_text": "长" * 1001}

    assert refused(message(theirs, data=long), ring) == ("too_long", True)
    assert refused("a" * 70_000, ring) == ("malformed", False)


def test_time(ring, theirs):
    """More than ten minutes ahead is refused; nothing is too old before it expires."""
    ahead = timedelta(minutes=10)

    assert take(message(theirs, time=(NOW + ahead).isoformat()), ring).word is Word.OFFER
    assert refused(message(theirs, time=(NOW + ahead + timedelta(seconds=1)).isoformat()), ring) == (
        "clock",
        False,
    )
    old = message(theirs)
    assert take(old, ring, NOW + 30 * DAY - timedelta(seconds=1)).word is Word.OFFER
    assert refused(old, ring, NOW + 30 * DAY) == ("expired", True)
    assert take(message(theirs, Type.RECORD), ring, NOW + 300 * DAY).word is Word.RECORD


NOT_AUTHENTIC = {
    "another source": {"source": "GD"},
    "another dest": {"dest": "FJ"},
    "a time before the key": {"time": (NOW - 2 * DAY).isoformat()},
    "a time after the key": {"time": (NOW + 365 * DAY).isoformat()},
}


@pytest.mark.parametrize("name", NOT_AUTHENTIC)
def test_not_from_them_to_us(ring, theirs, name):
    """A message to somebody else, from somebody else, or of a time when the key was not valid."""
    late = NOW + 366 * DAY  # so that no message is of the future

    text = message(theirs, Type.RECORD, subject="BJ:7", **NOT_AUTHENTIC[name])
    assert refused(text, ring, late) == ("not_authentic", False)
    assert take(message(theirs, Type.RECORD), ring, late).word is Word.RECORD


MALFORMED = {
    "an id of another subject": {"id": "BJ/BJ:8/1"},
    "an id of another number": {"id": "BJ/BJ:7/2"},
    "a subject of a third system": {"subject": "GD:7"},
    "a subject of nobody": {"subject": "BJ-7"},
    "a number below 1": {"seq": 0},
    "a number as text": {"seq": "1"},
    "another specversion": {"specversion": "0.3"},
    "no data": {"data": None},
    "no time": {"time": None},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_no_envelope(ring, theirs, name):
    """An envelope that cannot be read, or contradicts itself, has no number that could count."""
    assert refused(message(theirs, **MALFORMED[name]), ring) == ("malformed", False)


def test_a_field_twice(ring, theirs):
    """JSON that says a field twice means two things to two readers, so it means nothing here."""
    for body in (
        msgspec.json.encode(fields(Type.OFFER)).replace(b'{"spec', b'{"dest":"FJ","spec', 1),
        msgspec.json.encode(fields(Type.OFFER)).replace(b'"name":', b'"name":"a","name":', 1),
    ):
        assert refused(sign(theirs, MESSAGE, body), ring) == ("malformed", False)


def test_other_bytes(ring, theirs):
    """No JSON, no UTF-8, halves of characters, a mark of byte order, nested without end."""
    good = msgspec.json.encode(fields(Type.OFFER))
    for body in (
        b"",
        b"null",
        b"[]",
        good[:-1],
        b"\xef\xbb\xbf" + good,
        good.replace("北".encode(), b"\xe5\x8c"),
        good.replace("北".encode(), rb"\ud800"),
        good.replace(b'"seq":1', b'"seq":NaN'),
        good.replace(b'"prev":""', b'"prev":"","deep":' + b"[" * 5000 + b"]" * 5000),
    ):
        assert refused(sign(theirs, MESSAGE, body), ring) in (("malformed", False), ("wrong_field", True))


def forged(header, theirs: Key, key=None) -> str:
    """Return a message whose header was not made by us, signed all the same."""
    body = f"{part(header)}.{part(fields(Type.OFFER))}"
    alg = jws.JWSRegistry.algorithms[theirs.alg]
    return f"{body}.{part(alg.sign(body.encode(), key or theirs.jwk))}"


def test_headers(ring, theirs):
    """Exactly three fields: nothing critical, no unencoded payload, no key that the message brings."""
    right = {"alg": theirs.alg, "kid": theirs.kid, "typ": MESSAGE}
    assert take(forged(right, theirs), ring).word is Word.OFFER

    own = OKPKey.generate_key("Ed25519")
    for wrong in (
        {**right, "crit": ["b64"], "b64": False},
        {**right, "crit": []},
        {**right, "b64": True},
        {**right, "jwk": own.as_dict(private=False)},
        {**right, "jku": "https://bj.example/keys"},
        {**right, "x5u": "https://bj.example/keys"},
        {**right, "cty": "json"},
        {**right, "typ": RECEIPT},
        {**right, "kid": "../own"},
        {**right, "alg": "EdDSA"},
        {**right, "alg": "none"},
        {**right, "alg": ["Ed25519"]},
        {"alg": theirs.alg, "kid": theirs.kid},
        [right],
        json.dumps(right).replace("{", '{"alg":"none",', 1).encode(),
        b"\xff",
    ):
        assert refused(forged(wrong, theirs), ring) == ("not_authentic", False)
    # a key of one's own under the name of theirs
    assert refused(forged(right, theirs, own), ring) == ("not_authentic", False)


def test_the_public_key_is_no_secret(ring, theirs):
    """Nobody signs with HMAC under the public key, the oldest trick; nor with no signature at all."""
    secret = OctKey.import_key(json.dumps(theirs.jwk.as_dict(private=False)))
    body = msgspec.json.encode(fields(Type.OFFER))
    for alg in ("HS256", theirs.alg):
        header = {"alg": alg, "kid": theirs.kid, "typ": MESSAGE}
        text = jws.serialize_compact({**header, "alg": "HS256"}, body, secret, algorithms=["HS256"])
        _, payload, signature = text.split(".")
        assert refused(f"{part(header)}.{payload}.{signature}", ring) == ("not_authentic", False)
    assert refused(f"{part({'alg': 'none', 'kid': theirs.kid, 'typ': MESSAGE})}.{part(body)}.", ring) == (
        "malformed",
        False,
    )


def test_a_key_of_another_algorithm(ring, theirs):
    """A header that names the other algorithm for a key that is not made for it is not believed."""
    other = ECKey.generate_key("P-256")
    pretends = Key(theirs.kid, "ES256", other, theirs.valid_from, theirs.valid_until, False)

    assert refused(message(pretends), ring) == ("not_authentic", False)


def test_the_text_itself(ring, theirs):
    """One way to write a message: no padding, no blanks, no free bits, three parts."""
    text = message(theirs)
    header, payload, signature = text.split(".")
    twin = signature[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[signature[-1]]
    assert urlsafe_b64decode(twin + "==") == urlsafe_b64decode(signature + "==")
    for wrong in (
        f"{header}.{payload}.{twin}",
        text + "=",
        text + "\n",
        " " + text,
        f"{header}.{payload}",
        f"{header}..{signature}",
        text + ".x",
        text.replace("-", "+") if "-" in text else text + "+",
        "",
    ):
        assert refused(wrong, ring) == ("malformed", False)


def test_every_bit_counts(ring, theirs):
    """A letter that is changed anywhere is noticed."""
    text = message(theirs)
    for place in range(0, len(text), 7):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        assert refused(changed, ring)[0] in ("not_authentic", "malformed")


def test_a_receipt_is_no_message(ring, theirs):
    """What is signed as one kind of thing is not taken for another."""
    body = msgspec.json.encode(fields(Type.OFFER))

    assert envelope.verified(sign(theirs, RECEIPT, body), RECEIPT, ring)[0] == body
    assert refused(sign(theirs, RECEIPT, body), ring) == ("not_authentic", False)


@given(
    st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9_-]{1,80}\.[A-Za-z0-9_-]{1,80}\.[A-Za-z0-9_-]{0,90}\Z")
)
def test_any_text(ring, text):
    """Whatever comes is refused with a code; nothing else is raised."""
    assert refused(text, ring)[0] in ("not_authentic", "malformed")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=8), some, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from([*fields(Type.OFFER)]), value=_JSON)
def test_any_field(ring, theirs, name, value):
    """An authentic message with anything in any one of its fields is opened or refused with a code."""
    body = msgspec.json.encode({**fields(Type.OFFER), name: value})
    try:
        found = take(sign(theirs, MESSAGE, body), ring)
    except NotTaken as error:
        assert error.envelope is not None or not FAULTS[error.fault].counts
    else:
        assert found.kind is Type.OFFER


def test_every_field_of_a_message_has_a_limit():
    """No contract of the bridge takes a text or a list of any length, or a number of any size."""
    assert [
        f"{kind.__name__}.{field.name}"
        for kind in (*DATA.values(), schemas.Organisation, schemas.Receipt, schemas.Token, schemas.Envelope)
        for field in msgspec.inspect.type_info(kind).fields
        if _open_ended(field.type)
    ] == ["Envelope.data"]
    assert all(issubclass(kind, limits.Dated) for kind in DATA.values() if limits.dated_fields(kind))


def _open_ended(found: msgspec.inspect.Type) -> bool:
    match found:
        case msgspec.inspect.Metadata():
            return _open_ended(found.type)
        case msgspec.inspect.UnionType():
            return any(_open_ended(one) for one in found.types)
        case msgspec.inspect.StrType():
            return found.max_length is None or found.pattern is None
        case msgspec.inspect.IntType():
            return found.ge is None or found.le is None
        case msgspec.inspect.DateTimeType():
            return found.tz is not True
    return not isinstance(
        found,
        msgspec.inspect.StructType
        | msgspec.inspect.EnumType
        | msgspec.inspect.LiteralType
        | msgspec.inspect.NoneType,
    )


def test_names():
    """A message is named by its place, and by its hash."""
    assert envelope.message_id("BJ", "BJ:7", 2) == "BJ/BJ:7/2"
    assert re.fullmatch("[0-9a-f]{64}", sha256("x"))
    assert set(FAULTS) == set(Fault)
