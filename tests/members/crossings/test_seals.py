"""Seals: only the other registry opens them, in one form only; nothing that comes raises anything else."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwe

from services.members.crossings import seals
from services.members.crossings.seals import NoSealKey, Registry, Unreadable
from shared import clock
from shared.keyfiles import LEAD, LIFE, OVERLAP
from shared.messages.sealed import SealedPerson, SealedRecord, SealedStay

PERSON = SealedPerson(
    subject="BJ:7",
    number="420106200501050019",
    name="李雷",
    joined_on=date(2020, 5, 4),
    phone="010-1",
    remark="一\n二",
)
RECORD = SealedRecord(
    subject="BJ:7",
    number="420106200501050019",
    name="李雷",
    party=True,
    stays=[SealedStay(branch="甲", since=date(2020, 9, 1), until=date(2024, 6, 30))],
)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Registry, Registry]:
    """Ours, and that of BJ."""
    made = []
    for name in ("here", "there"):
        folder = tmp_path_factory.mktemp(name)
        seals.make_keys(folder, clock.now())
        made.append(Registry(folder))
    here, there = made
    for one, other in ((here, there), (there, here)):
        for key in other.files.published():
            one.files.add("BJ", key)
    return here, there


def part(value) -> str:
    """Return a header, or bytes, as a part of a seal."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def header_of(text) -> dict:
    first = text.split(".")[0]
    return json.loads(urlsafe_b64decode(first + "=" * (-len(first) % 4)))


def sealed_by_hand(key, plain: bytes, **changed) -> str:
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.kid, "typ": "person+jwe", **changed}
    header = {name: value for name, value in header.items() if value is not None}
    return jwe.encrypt_compact(header, plain, key.jwk, algorithms=["ECDH-ES", "A256GCM", "A128GCM", "DEF"])


@pytest.mark.parametrize("said", [PERSON, RECORD], ids=["person", "record"])
def test_only_the_other_registry_opens(two, said):
    """What one side seals the other opens, and nobody else; as the page says, the header has five fields."""
    here, there = two
    text = here.seal("BJ", said, clock.now())

    assert there.open(text, type(said)) == said
    header = header_of(text)
    assert sorted(header) == ["alg", "enc", "epk", "kid", "typ"]
    assert (header["alg"], header["enc"]) == ("ECDH-ES", "A256GCM")
    assert header["typ"] == ("person+jwe" if said is PERSON else "record+jwe")
    assert header["kid"] == there.files.published()[0].kid
    with pytest.raises(Unreadable):
        here.open(text, type(said))
    other = SealedRecord if said is PERSON else SealedPerson
    with pytest.raises(Unreadable):
        there.open(text, other)


def test_a_seal_is_never_the_same(two):
    """The same thing sealed twice differs, and says the same."""
    here, there = two
    first, second = (here.seal("BJ", PERSON, clock.now()) for _ in range(2))

    assert first != second
    assert there.open(first, SealedPerson) == there.open(second, SealedPerson)


def test_fields_that_are_not_known_are_ignored_and_others_are_not(two):
    """Inside, a newer side may say more; no field stands twice, and each is of its type and within limits."""
    _, there = two
    (key,) = there.files.keys()["own"]
    good = json.loads('{"subject": "BJ:7", "number": "1", "name": "x", "new": 1}')

    assert there.open(sealed_by_hand(key, json.dumps(good).encode()), SealedPerson).name == "x"
    for plain in (
        b'{"subject": "BJ:7", "number": "1", "name": "x", "name": "y"}',
        json.dumps({**good, "name": 1}).encode(),
        json.dumps({**good, "name": "x" * 201}).encode(),
        json.dumps({**good, "name": "x\n"}).encode(),
        json.dumps({**good, "joined_on": "2020-02-30"}).encode(),
        json.dumps({**good, "joined_on": "0001-01-01"}).encode(),
        json.dumps({name: value for name, value in good.items() if name != "number"}).encode(),
        b"[" * 5000,
        b"",
        b"\xff",
    ):
        with pytest.raises(Unreadable):
            there.open(sealed_by_hand(key, plain), SealedPerson)


@pytest.mark.parametrize(
    "changed",
    [
        {"typ": None},
        {"typ": "record+jwe"},
        {"kid": None},
        {"kid": "nobody"},
        {"enc": "A128GCM"},
        {"zip": "DEF"},
        {"apu": "QQ"},
        {"apv": "QQ"},
    ],
    ids=str,
)
def test_a_header_of_another_form(two, changed):
    """A header has exactly its fields, with exactly these values."""
    _, there = two
    (key,) = there.files.keys()["own"]
    plain = b'{"subject": "BJ:7", "number": "1", "name": "x"}'
    assert there.open(sealed_by_hand(key, plain), SealedPerson)

    with pytest.raises(Unreadable):
        there.open(sealed_by_hand(key, plain, **changed), SealedPerson)


def test_another_algorithm(two):
    """A seal whose key is wrapped, or given outright, opens nowhere, though it is for the right key."""
    _, there = two
    (key,) = there.files.keys()["own"]
    text = sealed_by_hand(key, b"{}")
    _, *rest = text.split(".")
    for alg in ("dir", "ECDH-ES+A256KW", "none", "RSA1_5", "PBES2-HS256+A128KW"):
        with pytest.raises(Unreadable):
            there.open(".".join([part({**header_of(text), "alg": alg, "p2c": 10**9}), *rest]), SealedPerson)
    for point in ("", "A" * 43, part(b"\1" + b"\0" * 31), "x" * 42, 7):
        epk = {"kty": "OKP", "crv": "X25519", "x": point}
        with pytest.raises(Unreadable):
            there.open(".".join([part({**header_of(text), "epk": epk}), *rest]), SealedPerson)


@given(
    text=st.one_of(
        st.text(max_size=200),
        st.from_regex(r"[A-Za-z0-9_.=+/:~-]{0,400}", fullmatch=True),
        st.lists(st.binary(max_size=60).map(part), min_size=4, max_size=6).map(".".join),
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_does_not_open(two, text):
    """Whatever comes is answered, by one and the same error."""
    for kind in (SealedPerson, SealedRecord):
        with pytest.raises(Unreadable):
            two[1].open(text, kind)


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_seal_does_not_open(two, data):
    """One character more, less or different anywhere, and it does not open."""
    here, there = two
    text = here.seal("BJ", PERSON, clock.now())
    at = data.draw(st.integers(0, len(text) - 1))
    one = data.draw(st.sampled_from("AQgw09_-.="))
    how = data.draw(st.sampled_from(["change", "drop", "add"]))
    changed = text[:at] + ("" if how == "drop" else one) + text[at + (how != "add") :]
    if changed != text:
        with pytest.raises(Unreadable):
            there.open(changed, SealedPerson)


@given(
    header=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["alg", "enc", "kid", "typ", "epk", "kty", "crv", "x", "crit", "b64", "jku"]),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_is_answered(two, header):
    """A header of any JSON, mixed with what a good one has, opens nothing and breaks nothing."""
    here, there = two
    text = here.seal("BJ", PERSON, clock.now())
    good = header_of(text)
    mixed = {**good, **header} if isinstance(header, dict) else header
    if mixed != good:
        with pytest.raises(Unreadable):
            there.open(".".join([part(mixed), *text.split(".")[1:]]), SealedPerson)


def test_a_seal_that_is_too_long(two):
    """Nothing longer than a message may carry is looked at, and records that are sealed are not longer."""
    _, there = two
    (key,) = there.files.keys()["own"]
    long = json.dumps({"subject": "BJ:7", "number": "1", "name": "x", "more": "x" * 20_000}).encode()

    with pytest.raises(Unreadable):
        there.open(sealed_by_hand(key, long), SealedPerson)
    assert len(sealed_by_hand(key, b"x" * seals.LARGEST_RECORD)) <= seals.LARGEST


# ---- keys ----------------------------------------------------------------------------------------


def test_rotation(tmp_path):
    """A new key is used a day later, by whoever has been given it; the old private one still opens."""
    now = clock.now()
    for name in ("here", "there"):
        seals.make_keys(tmp_path / name, now)
    here, there = (Registry(tmp_path / name) for name in ("here", "there"))
    (old,) = there.files.published()
    here.files.add("BJ", old)
    new = seals.rotate(tmp_path / "there", now)
    here.files.add("BJ", new)

    assert new.d is None and new.use == "enc" and new.crv == "X25519"
    begins = now + LEAD
    before, after = (here.seal("BJ", PERSON, at) for at in (begins - timedelta(seconds=1), begins))
    assert (header_of(before)["kid"], header_of(after)["kid"]) == (old.kid, new.kid)
    assert there.open(before, SealedPerson) == there.open(after, SealedPerson) == PERSON
    there.files.revoke(old.kid, now)
    assert there.open(before, SealedPerson) == PERSON, "what was sealed before is on its way"
    ended = next(key for key in there.files.keys()["own"] if key.kid == old.kid)
    assert ended.valid_until == begins + OVERLAP


def test_without_a_key_nothing_is_sealed(tmp_path):
    """A peer that has given no key, one that has lapsed, or one that was revoked: it says so and waits."""
    now = clock.now()
    seals.make_keys(tmp_path / "here", now)
    seals.make_keys(tmp_path / "there", now)
    here, there = Registry(tmp_path / "here"), Registry(tmp_path / "there")
    with pytest.raises(NoSealKey, match="registry/BJ"):
        here.seal("BJ", PERSON, now)

    (key,) = there.files.published()
    here.files.add("BJ", key)

    assert here.seal("BJ", PERSON, now)
    with pytest.raises(NoSealKey):
        here.seal("GD", PERSON, now)
    with pytest.raises(NoSealKey):
        here.seal("BJ", PERSON, now + LIFE)
    here.files.revoke(key.kid, now)
    with pytest.raises(NoSealKey):
        here.seal("BJ", PERSON, now)


def test_how_long_keys_last(tmp_path, monkeypatch):
    """Of each system that a bridge leads to, and of ours; what is missing, or no key, lasts no day."""
    now = clock.now()
    for name in ("here", "there"):
        seals.make_keys(tmp_path / name, now)
    here, there = Registry(tmp_path / "here"), Registry(tmp_path / "there")
    monkeypatch.setattr(seals, "registry", lambda: here)
    here.files.add("BJ", there.files.published()[0])

    def days(at=now):
        return {labels[0]: round(value) for _, labels, value in seals.gauges(("BJ", "GD"), at)}

    assert days() == {"national": 365, "BJ": 365, "GD": 0} and seals.gauges((), now) == []
    assert days(now + timedelta(days=360))["BJ"] == 5 and days(now + LIFE)["BJ"] == 0
    here.files.add("BJ", seals.rotate(tmp_path / "there", now + timedelta(days=360)))
    assert days()["BJ"] == 726, "the keys that follow each other count as one"
    (tmp_path / "here" / "registry" / "BJ" / "broken.jwk").write_text("{")
    assert set(days().values()) == {0}


def test_keys_are_made_once(tmp_path):
    """`tuanqiao keys` makes the first key and leaves what is there; the private file is its owner's alone."""
    seals.make_keys(tmp_path, clock.now())
    seals.make_keys(tmp_path, clock.now())

    (file,) = (tmp_path / "registry" / "own").iterdir()
    assert file.stat().st_mode & 0o777 == 0o400
    assert json.loads(file.read_text())["d"]
    with pytest.raises(NoSealKey, match="key of its own"):
        Registry(tmp_path / "nowhere").open("x", SealedPerson)


def test_a_broken_key_file_is_no_answer(tmp_path):
    """A file of ours that is no key is told to us, and to nobody that the seal is wrong."""
    seals.make_keys(tmp_path, clock.now())
    (file,) = (tmp_path / "registry" / "own").iterdir()
    file.chmod(0o600)
    file.write_text("{}")

    with pytest.raises(ValueError, match="is no key of a bridge"):
        Registry(tmp_path).open("x", SealedPerson)
