"""Two of FJ, and FJ and GD, talk over HTTP with every fault, and an auditor reads both."""

import json
import random
import signal
import time

import pytest
from joserfc import jwe, jwk, jws
from joserfc.errors import JoseError

from tests.peers import audit
from tests.peers.factories import Program, free_ports
from tests.peers.fj import clock, jose, keys, letters

PATIENCE = 60  # seconds until all must be decided
MEMBERS = 60


@pytest.fixture
def pair(tmp_path):
    """Two programs that are each other's peer; they are ended in any case."""
    started = []

    def start(other: str, module: str, transfers: int, seed: int, faults: str, **options) -> list[Program]:
        folders = [tmp_path / "keys-fj", tmp_path / "keys-other"]
        keys.exchange(folders[0], "FJ", folders[1], other)
        ports = free_ports(2)
        common = {"members": MEMBERS, "transfers": transfers, **options}
        own, theirs = {"peer": other, "faults": "all"}, {}
        if module == "fj":  # GD reads its keys when it starts, and gets no new ones
            own["deliver"] = folders[1] / "FJ"
            theirs = {"peer": "FJ", "deliver": folders[0] / other}
        programs = [
            Program(tmp_path, "FJ", *ports, folders[0], seed, "fj", **common, **own),
            Program(
                tmp_path, other, *ports[::-1], folders[1], seed + 1, module, **common, **theirs, faults=faults
            ),
        ]
        for program in programs:
            program.start()
            started.append(program)
        return programs

    yield start
    for program in started:
        if program.process.poll() is None:
            program.end(signal.SIGKILL)


def until_decided(programs, transfers: int, each_time=lambda: None) -> None:
    """Wait until every transfer of both has ended; look meanwhile that nobody is lost or doubled."""
    files = [program.file for program in programs]
    deadline = time.monotonic() + PATIENCE
    begun, undone = [], 0
    while begun != [transfers] * 2 or undone:
        assert audit.wrong_now(*files) == [] and audit.wrong_now(*files[::-1]) == []
        each_time()
        begun = [len(audit.rows(file, audit.TRANSFERS, "sender")) for file in files]
        undone = audit.undone(files)
        assert time.monotonic() < deadline, (begun, undone, [one.log.read_text() for one in programs])
        time.sleep(0.1)


def agreed(programs) -> None:
    """Look that both have the same messages and nobody has two homes; both end when told to."""
    files = [program.file for program in programs]
    said = "SELECT subject, seq, sha256 FROM {} ORDER BY subject, seq"
    for one, other in (files, files[::-1]):
        assert audit.rows(one, said.format("said")) == audit.rows(other, said.format("heard"))
    states = [place.state for file in files for place in audit.places(file).values()]
    assert states.count("active") == 2 * MEMBERS and "on_the_way" not in states
    assert [program.end() for program in programs] == [0, 0]
    assert [program.log.read_text() for program in programs] == ["", ""]


def phantoms(program) -> set[str]:
    return {row[0] for row in audit.rows(program.file, "SELECT subject FROM mishaps WHERE fault = 'phantom'")}


def shown(program) -> set[str]:
    return {row[0] for row in audit.rows(program.file, "SELECT subject FROM shown")}


def test_two_untidy_systems(pair):
    """Both with all faults: each transfer is decided, each member has one home; only phantoms are odd."""
    programs = pair("BJ", "fj", 12, 7, "all", speed=4000, every=600)

    until_decided(programs, 12)

    agreed(programs)
    assert shown(programs[0]) == phantoms(programs[1]) and shown(programs[1]) == phantoms(programs[0])


@pytest.mark.long
def test_untidy_meets_slow(pair):
    """FJ and GD, which have never seen each other's code, with all faults of both."""
    programs = pair("GD", "gd", 40, 5, "slow,outage,busy,hangup,early", speed=3000, every=120)

    until_decided(programs, 40)

    agreed(programs)


@pytest.mark.long
def test_killed_at_any_moment(pair):
    """kill -9 of either, again and again while both work: after each start all goes on where it was."""
    programs = pair("BJ", "fj", 40, 3, "all", speed=8000, every=1200)
    chance, kills = random.Random(5), iter(range(8))

    def kill() -> None:
        if next(kills, None) is not None:
            program = chance.choice(programs)
            time.sleep(chance.uniform(0, 0.3))
            assert program.end(signal.SIGKILL) == -signal.SIGKILL
            assert audit.wrong_now(*[one.file for one in programs]) == []
            program.start()

    until_decided(programs, 40, kill)

    assert next(kills, None) is None
    agreed(programs)


# ---- signatures and seals, against another library -------------------------------------------------


def other_key(made: dict):
    return jwk.import_key({name: made[name] for name in ("kty", "crv", "x", "y", "d") if name in made})


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_signatures(alg):
    """What FJ signs another library believes, and the other way round; nothing that was changed."""
    made = keys.made(alg, clock.now() - 1, clock.now() + 9)
    key = other_key(made)

    text = jose.sign(made, "message+jws", {"name": "闽"})
    found = jws.deserialize_compact(text, key, algorithms=[alg])
    theirs = jws.serialize_compact(found.headers(), b'{"a":1}', key, algorithms=[alg])

    assert found.headers() == {"alg": alg, "kid": key.thumbprint(), "typ": "message+jws"}
    assert json.loads(found.payload) == {"name": "闽"} and made["kid"] == key.thumbprint()
    assert jose.is_signed(made, theirs) and jose.payload(theirs) == {"a": 1}
    head, _, signature = theirs.split(".")
    assert not jose.is_signed(made, f"{head}.{jose.b64(b'{}')}.{signature}")
    assert not jose.is_signed(keys.made(alg, 0, 1), theirs)


def test_seals():
    """What FJ seals another library opens, and the other way round; as something else it stays shut."""
    made = keys.made("ECDH-ES", clock.now() - 1, clock.now() + 9)
    key, content = other_key(made), {"number": "1", "name": "蓝海"}

    found = jwe.decrypt_compact(
        jose.seal(made, "person+jwe", content), key, algorithms=["ECDH-ES", "A256GCM"]
    )
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.thumbprint(), "typ": "record+jwe"}
    theirs = jwe.encrypt_compact(header, json.dumps(content).encode(), key, algorithms=["ECDH-ES", "A256GCM"])

    assert json.loads(found.plaintext) == content
    assert found.headers().keys() == {"alg", "enc", "kid", "typ", "epk"}
    assert jose.unseal([made], "record+jwe", theirs) == content
    parts = theirs.split(".")
    changed = ".".join([*parts[:3], jose.b64(b"x" * 40), parts[4]])
    for typ, text, some in (
        ("person+jwe", theirs, [made]),
        ("record+jwe", theirs, [keys.made("ECDH-ES", 0, 1)]),
        ("record+jwe", changed, [made]),
        ("record+jwe", "a.b", [made]),
    ):
        with pytest.raises(jose.Unreadable):
            jose.unseal(some, typ, text)
    with pytest.raises(JoseError):
        jwe.decrypt_compact(changed, key, algorithms=["ECDH-ES", "A256GCM"])


# ---- what its door answers -------------------------------------------------------------------------


@pytest.fixture
def desks(tmp_path):
    """The desk of FJ and that of its peer."""
    keys.exchange(tmp_path / "fj", "FJ", tmp_path / "bj", "BJ")
    pairs = (("fj", "FJ", "BJ"), ("bj", "BJ", "FJ"))
    return [letters.Desk(me, peer, keys.Keys(tmp_path / name, peer)) for name, me, peer in pairs]


ORG = {"name": "某团委"}
OFFER = {
    "person": "x" * 30,
    "from_org": ORG,
    "to_org": ORG,
    "reason": "other",
    "reason_text": "",
    "started_at": "2026-07-01T08:00:00+08:00",
    "answer_by": "2026-07-11T08:00:00+08:00",
}
LATE = "2026-07-01T08:00:00"
WRONG = [
    ({}, ""),
    ({"expires": None}, "wrong_field"),
    ({"expires": "2020-01-01T00:00:00Z"}, "expired"),
    ({"time": "2099-01-01T00:00:00Z"}, "not_authentic"),
    ({"data": OFFER | {"person": "short"}}, "wrong_field"),
    ({"data": OFFER | {"to_org": {"name": "名" * 301}}}, "too_long"),
    ({"data": OFFER | {"answer_by": LATE}}, "wrong_field"),
    ({"data": OFFER | {"more": 1}}, ""),
    ({"data": []}, "wrong_field"),
    ({"type": "hint"}, "version"),
    ({"type": "accepted"}, "wrong_field"),
    ({"dataschema": "urn:tuanqiao:bridge:2.0"}, "version"),
    ({"dataschema": "urn:tuanqiao:bridge:1.7"}, ""),
    ({"dest": "GD"}, "not_authentic"),
    ({"source": "national"}, "not_authentic"),
    ({"subject": "GD:1"}, "malformed"),
    ({"id": "BJ/BJ:1/2"}, "malformed"),
    ({"seq": 0}, "malformed"),
    ({"seq": "1"}, "malformed"),
    ({"specversion": "0.3"}, "malformed"),
    ({"prev": 7}, "malformed"),
    ({"time": LATE}, "malformed"),
]


@pytest.mark.parametrize(("changed", "code"), WRONG)
def test_what_is_refused(desks, changed, code):
    """Each thing that may be wrong has the code of the page."""
    fj, bj = desks
    said = jose.payload(bj.message("BJ:1", 1, "", "offer", OFFER)) | changed

    letter = fj.read(jose.sign(bj.keys.signing(clock.now()), "message+jws", said))

    assert letter.code == code
    assert letter.is_authentic == (code != "not_authentic")


def test_who_signs(desks, monkeypatch):
    """A key that counts for nothing, that is nobody's, or of another kind of thing; a clock that is ahead."""
    fj, bj = desks
    text = bj.message("BJ:1", 1, "", "offer", OFFER)
    own, old, nobody = (
        bj.keys.signing(clock.now()),
        fj.keys.expired(clock.now()),
        keys.made("Ed25519", 0, 9e9),
    )
    header, payload, signature = text.split(".")

    assert fj.read(text).code == "" and bj.read(text).code == "not_authentic"
    said = jose.payload(text) | {"source": "FJ", "dest": "BJ", "subject": "FJ:1", "id": "FJ/FJ:1/1"}
    assert bj.read(jose.sign(fj.keys.signing(clock.now()), "message+jws", said)).code == ""
    assert bj.read(jose.sign(old, "message+jws", said)).code == "not_authentic"
    for wrong in (
        jose.sign(nobody, "message+jws", jose.payload(text)),
        jose.sign(nobody, "message+jws", jose.payload(text), own["kid"]),
        jose.sign(own, "token+jws", jose.payload(text)),
        f"{header}.{payload}.{jose.b64(b'x' * 64)}",
    ):
        assert fj.read(wrong).code == "not_authentic"
    for wrong in (
        "",
        "a.b",
        f"{header}.{payload}",
        f"{text}.",
        f"{header}.{payload}.{signature}=",
        "x" * 70_000,
    ):
        assert fj.read(wrong).code == "malformed"
    monkeypatch.setattr(clock, "behind", 11 * 60)
    assert fj.read(text).code == "clock"
