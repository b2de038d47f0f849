"""The courier on real ports: what it carries, what it believes, and what it does while nobody answers."""

import datetime as dt
import json
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from werkzeug.wrappers import Request, Response

from services.federation import door, envelope, store
from services.federation.calling import ANSWER_SECONDS, CONNECT_SECONDS, Address, NoAnswer
from services.federation.courier import LEASE, LONGEST_PAUSE, Courier, pause
from services.federation.door import Allowance
from services.federation.handovers import Deed, perform
from services.federation.protocol import Act, Word
from shared import clock, db
from tests.federation.factories import DAY, End, example, served

pytestmark = pytest.mark.usefixtures("today")
FREE = Allowance(1e6, 1e6)


class Peer:
    """The door of the other end, with faults: each request takes the next of them, then the door answers."""

    def __init__(self, end: End) -> None:
        self.door = door.app(end.bridge, db.Database(end.engine), FREE)
        self.faults: list[Callable] = []
        self.bundles: list[list[str]] = []

    def __call__(self, environ, start_response):
        request = Request(environ)
        body = request.get_data()
        self.bundles.append(json.loads(body)["messages"])
        inner = Request.from_values(
            path=request.path, method="POST", data=body, content_type="application/json"
        )
        answer = Response.from_app(self.door, inner.environ)
        if self.faults:
            answer = self.faults.pop(0)(request, answer)
        return answer(environ, start_response)


def say(status: int, body: bytes = b"", **headers: str):
    """Answer something else than the door, which has stored everything all the same."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, answer: Response(body, status, named)


def hang_up(request, answer):
    """Close the connection after the commit, without an answer."""
    request.environ["werkzeug.socket"].shutdown(2)
    return answer


@pytest.fixture
def peer(there):
    return Peer(there)


@pytest.fixture
def url(peer):
    with served(peer) as address:
        yield address


@pytest.fixture
def courier(here, url):
    return Courier(here.bridge, db.Database(here.engine), Address(url), random.Random(1))


def offer(end: End, count: int = 1, first: int = 1) -> None:
    """Offer members, one after the other."""
    with end.engine.begin() as tx:
        for number in range(first, first + count):
            deed = Deed(f"national:{number}", Act.OFFER, example(Word.OFFER))
            assert perform(tx, end.bridge, [deed], clock.now()) == [True]


def waiting(end: End) -> list[tuple]:
    return [row for row in end.rows("subject, state", "sent") if row[1] == "waiting"]


def soon(end: End) -> None:
    """Let every pause be over."""
    with end.engine.begin() as tx:
        tx.execute(sa.text("UPDATE line SET probe_at = now() - interval '1 day'"))
        tx.execute(sa.text("UPDATE sent SET next_at = now() - interval '1 day' WHERE state = 'waiting'"))


def test_messages_are_carried(here, there, courier, peer):
    """What waits goes out oldest first, a hundred at a time, and is settled by the peer's receipts."""
    offer(here, 120)

    assert courier.turn() == 0.0 and courier.turn() > 0

    assert [len(one) for one in peer.bundles] == [100, 20]
    carried = [envelope.payload(text).subject for one in peer.bundles for text in one]
    assert carried == [f"national:{number}" for number in range(1, 121)]
    assert {row[0] for row in here.rows("state", "sent")} == {"receipted"}
    assert len(there.told) == 120
    (receipt, *_), *_ = here.rows("receipt", "sent")
    assert there.read(receipt).status == "stored"


@pytest.mark.rule("FED-11")
@pytest.mark.parametrize("fault", [hang_up, say(500), say(503), say(200, b"<html>"), say(302, Location="/x")])
def test_an_answer_that_is_lost(here, there, courier, peer, fault):
    """FED-11: whatever becomes of the answer, the same bytes go out again and are done once."""
    offer(here)
    peer.faults = [fault, fault]

    for _ in range(3):
        courier.turn()
        soon(here)

    assert peer.bundles == [here.said()] * 3
    assert here.rows("state, attempts", "sent") == [("receipted", 1)] and len(there.told) == 1


def test_no_transaction_while_the_peer_is_waited_for(here, courier, peer):
    """While an answer is waited for, no transaction is open and no row is locked."""
    offer(here, 2)
    seen = []

    def look(request, answer):
        with here.engine.begin() as tx:
            open_ones = sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
            )
            seen.append(tx.scalar(open_ones))
            seen.append(len(tx.execute(sa.text("SELECT 1 FROM sent FOR UPDATE NOWAIT")).all()))
        return answer

    peer.faults = [look]
    courier.turn()

    assert seen == [0, 2] and waiting(here) == []


def test_one_is_tried_while_the_peer_is_away(here, courier, peer, caplog):
    """After a failure one message is tried, not all; with its answer all go. It is said once each."""
    offer(here, 30)
    peer.faults = [say(503)] * 3

    with caplog.at_level(logging.INFO, "tuanqiao.federation"):
        for _ in range(5):
            courier.turn()
            soon(here)

    assert [len(one) for one in peer.bundles] == [30, 1, 1, 1, 29]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_retry_after(here, courier, peer):
    """A peer that says when is not asked before; one that says nothing sensible is, by our own pauses."""
    offer(here)
    later = (clock.now() + timedelta(seconds=300)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for said, least, most in (
        ("120", 119, 121),
        (later, 295, 301),
        ("999999", LONGEST_PAUSE - 1, LONGEST_PAUSE + 1),
        ("soon", 0, 60),
        ("-5", 0, 60),
        ("1e9", 0, 60),
    ):
        peer.faults = [say(429, Retry_After=said)]
        courier.turn()
        with here.engine.begin() as tx:
            line = store.line(tx)
        wait = (line.probe_at - clock.now()).total_seconds()
        assert least <= max(wait, 0) <= most, said
        if least:
            before = len(peer.bundles)
            assert courier.turn() > 0 and len(peer.bundles) == before
        soon(here)


def test_pauses_grow(here):
    """Any part of 1 s, 2 s, 4 s ... an hour, so that not all come back at the same moment."""
    dice = random.Random(7)
    for tries, most in ((0, 1), (1, 1), (2, 2), (3, 4), (8, 128), (12, 2048), (13, 3600), (500, 3600)):
        found = [pause(tries, dice) for _ in range(400)]
        assert 0 <= min(found) < most / 10 and most * 0.9 < max(found) <= most


def test_away_is_remembered(here, there, courier, peer):
    """Since when the peer does not answer is stored, for pages and for the next process; so is its clock."""
    offer(here)
    peer.faults = [say(500), hang_up]
    began = clock.now()
    courier.turn()
    soon(here)
    Courier(here.bridge, courier.database, courier.address, random.Random(2)).turn()
    with here.engine.begin() as tx:
        line = store.line(tx)
    assert line.failures == 2 and began <= line.down_since <= clock.now()

    soon(here)
    courier.turn()

    with here.engine.begin() as tx:
        assert store.line(tx) == (None, 0, None, None)
        assert abs(tx.scalar(sa.text("SELECT skew_ms FROM line"))) < 5000


def test_a_lease(here, courier, peer):
    """What a courier has taken no other takes, until its lease has passed: then whoever comes."""
    offer(here, 3)
    now = clock.now()
    with here.engine.begin() as tx:
        assert len(store.claim(tx, uuid4(), now, now + LEASE, 2, 10**6)) == 2

    courier.turn()
    assert [len(one) for one in peer.bundles] == [1]

    with here.engine.begin() as tx:
        tx.execute(
            sa.text("UPDATE sent SET leased_until = now() - interval '1 s' WHERE leased_until IS NOT NULL")
        )
    courier.turn()
    assert [len(one) for one in peer.bundles] == [1, 2] and waiting(here) == []


def test_a_lease_outlasts_a_request():
    """Nobody takes what is still being carried."""
    longest = timedelta(seconds=ANSWER_SECONDS + CONNECT_SECONDS)

    assert longest + timedelta(seconds=10) < LEASE


def test_what_was_carried_is_not_looked_at_again(here, courier):
    """Who looks for what waits reads the index of it without all that has waited there before."""
    read = sa.text("SELECT pg_stat_get_xact_tuples_returned('ix_sent_waiting'::regclass)")

    def looked_at() -> int:
        now = clock.now()
        with here.engine.begin() as tx:
            before = tx.scalar(read)
            assert store.claim(tx, uuid4(), now, now + LEASE, 100, 10**6) == []
            assert store.next_due(tx, now) is None
            return tx.scalar(read) - before

    for first in (1, 101, 201):
        offer(here, 100, first)
        courier.turn()

    ends = time.monotonic() + 10
    # the server keeps it as long as anything there may want to see it as it was
    while looked_at() >= 20:
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_couriers_share(here, there, url, peer):
    """Several at once carry each message once."""
    offer(here, 250)
    couriers = [
        Courier(here.bridge, db.Database(here.engine), Address(url), random.Random(n)) for n in range(3)
    ]
    threads = [threading.Thread(target=one.turn) for one in couriers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    carried = [text for one in peer.bundles for text in one]
    assert sorted(carried) == sorted(here.said()) and waiting(here) == []


def test_a_request_has_a_size(here):
    """A bundle holds what fits; the rest is not even taken."""
    offer(here, 10)
    now = clock.now()
    size = len(here.said()[0]) + 3
    with here.engine.begin() as tx:
        some = store.claim(tx, uuid4(), now, now + LEASE, 100, 4 * size + 50)

    assert len(some) == 4
    assert [row[0] is None for row in here.rows("lease", "sent")].count(True) == 6


def forged(here: End, there: End, **changed) -> Callable:
    """Answer with receipts that are not quite right."""

    def answer(request, good):
        texts = json.loads(good.get_data())["receipts"]
        key = changed.get("key") or there.bridge.keys.ring().signing(clock.now())
        made = []
        for text in texts:
            said = {**json.loads(envelope.payload_of(text)), **changed.get("fields", {})}
            made.append(envelope.sign(key, changed.get("kind", envelope.RECEIPT), json.dumps(said).encode()))
        return Response(json.dumps({"receipts": made}), mimetype="application/json")

    return answer


def test_only_the_peers_receipts_count(here, there, courier, peer):
    """Nothing is settled by a receipt of somebody else, for somebody else, or for another message."""
    offer(here)
    own = here.bridge.keys.ring().signing(clock.now())
    for wrong in (
        {"key": own},
        {"kind": envelope.MESSAGE},
        {"fields": {"source": "GD"}},
        {"fields": {"dest": "GD"}},
        {"fields": {"sha256": "0" * 64}},
        {"fields": {"of": "national/national:9/1"}},
        {"fields": {"time": (clock.now() - 100 * DAY).isoformat()}},
        {"fields": {"status": "eaten"}},
    ):
        peer.faults = [forged(here, there, **wrong)]
        courier.turn()
        soon(here)
        assert len(waiting(here)) == 1, wrong

    courier.turn()
    assert waiting(here) == []


def test_a_receipt_that_is_missing(here, there, courier, peer):
    """Of a bundle of which some were receipted only the others are sent again."""
    offer(here, 3)

    def first_two(request, good):
        return Response(json.dumps({"receipts": json.loads(good.get_data())["receipts"][:2]}))

    peer.faults = [first_two]
    courier.turn()
    assert [row[0] for row in waiting(here)] == ["national:3"]
    soon(here)
    courier.turn()

    assert [len(one) for one in peer.bundles] == [3, 1] and waiting(here) == []


@pytest.mark.parametrize(
    ("code", "state"),
    [("version", "parked"), ("id_reused", "parked"), ("clock", "waiting"), ("gap", "waiting")],
)
def test_a_refusal(here, there, courier, peer, code, state):
    """What the peer refuses for good is left to a person, the rest is tried again; others go on."""
    offer(here)
    peer.faults = [forged(here, there, fields={"status": "refused", "code": code, "expected_seq": 1})]
    courier.turn()
    assert here.rows("state, receipt_code, attempts", "sent") == [(state, code, 1)]
    assert bool(here.rows("receipt", "sent")[0][0]) is (state == "parked")

    offer(here, first=2)
    soon(here)
    courier.turn()

    assert here.rows("state", "sent") == [("parked" if state == "parked" else "receipted",), ("receipted",)]


def age(end: End, days: int, where: str = "true") -> None:
    with end.engine.begin() as tx:
        tx.execute(sa.text(
            f"UPDATE sent SET said_at = said_at - interval '{days} days',"
            f" expires_at = expires_at - interval '{days} days' WHERE {where}"))  # fmt: skip


@pytest.mark.rule("FED-11")
def test_what_has_expired_is_parked(here, courier, peer):
    """FED-11: an offer that could not be delivered in thirty days is left to a person; nothing else ends."""
    offer(here, 2)
    age(here, 31, "subject = 'national:1'")

    courier.turn()

    assert here.rows("subject, state, receipt_code", "sent") == [
        ("national:1", "parked", "expired"),
        ("national:2", "receipted", ""),
    ]
    assert here.state("national:1") == "offered" and len(peer.bundles[0]) == 1


def test_what_has_expired_holds_nothing_up(here, there, courier, peer):
    """It goes out all the same where a later message of its transfer waits: the peer counts its number."""
    offer(here)
    here.act("national:1", Act.CALL_OFF)
    age(here, 31, "seq = 1")

    courier.turn()

    assert [len(one) for one in peer.bundles] == [2]
    # its signed date is still good, so the peer has taken it
    assert there.state("national:1") == "refused" and waiting(here) == []


def state_of_line(end: End) -> tuple:
    with end.engine.begin() as tx:
        return tuple(tx.execute(sa.text("SELECT down_since IS NULL, skew_ms IS NULL FROM line")).one())


@pytest.mark.rule("FED-13")
def test_a_look_where_nothing_waits(here, there):
    """FED-13: that the peer is away, and back, is learned without a message; a pause asks nobody."""
    door_there = door.app(there.bridge, db.Database(there.engine), FREE)
    with served(door_there) as url:
        courier = Courier(here.bridge, db.Database(here.engine), Address(url))
        assert courier.look() and state_of_line(here) == (True, False)
    assert not courier.look() and state_of_line(here)[0] is False
    assert not courier.look()
    port = int(url.rpartition(":")[2])
    with served(door_there, port):
        assert courier.look() and state_of_line(here)[0] is True
    with here.engine.begin() as tx:
        store.pause(tx, clock.now())
    assert courier.look() and state_of_line(here)[0] is True


def test_what_was_parked_goes_before_what_follows(here, there, courier, peer):
    """Left to a person as expired, it goes out once something follows it: the peer wants every number."""
    offer(here)
    age(here, 31)
    courier.turn()
    assert here.rows("state", "sent") == [("parked",)] and peer.bundles == []

    here.act("national:1", Act.CALL_OFF)
    courier.turn()

    assert [len(one) for one in peer.bundles] == [2]
    assert there.state("national:1") == "refused" and waiting(here) == []


def test_what_comes_in_the_wrong_order_is_not_missing(here, there, courier, peer):
    """A clock that was set back changes the order in a bundle; nothing is sent twice for that."""
    offer(here)
    here.now -= timedelta(minutes=1)
    here.act("national:1", Act.ASK)

    courier.turn()

    assert [envelope.payload(text).seq for text in peer.bundles[0]] == [2, 1]
    assert waiting(here) == [] and [told.word for told in there.told] == [Word.OFFER, Word.QUERY]


def test_a_peer_that_has_lost_what_it_had(here, there, courier, peer):
    """A peer that was put back to an earlier state gets again what it misses, from the number it names."""
    offer(here)
    here.now = clock.now()
    here.act("national:1", Act.ASK)
    courier.turn()
    with there.engine.begin() as tx:
        tx.execute(sa.text("TRUNCATE handovers, received, receipts, sent, quarantine"))
    here.act("national:1", Act.CALL_OFF)

    for _ in range(3):
        courier.turn()
        soon(here)

    assert [len(one) for one in peer.bundles] == [2, 1, 2]
    assert there.state("national:1") == "refused" and waiting(here) == []


def test_paused(here, courier, peer):
    """An operator lets nothing go out; what waits goes when the pause is over."""
    offer(here)
    with here.engine.begin() as tx:
        store.pause(tx, clock.now())
    assert courier.turn() > 0 and peer.bundles == []

    with here.engine.begin() as tx:
        store.pause(tx, None)
    courier.turn()
    assert waiting(here) == []


def test_sent_again_by_hand(here, there, courier, peer):
    """A message that a person has sent again is the same message: the peer gives its first receipt."""
    offer(here)
    courier.turn()
    (before,) = here.rows("receipt", "sent")
    with here.engine.begin() as tx:
        one = store.Place("national:1", 1)
        assert store.send_again(tx, [one], clock.now()) == {one}
        assert store.send_again(tx, [one, store.Place("national:1", 2)], clock.now()) == set()

    courier.turn()

    assert here.rows("receipt", "sent") == [before] and len(there.told) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://bj.example",
        "https://user:word@bj.example",
        "https://bj.example/path",
        "https://bj.example?x=1",
        "ftp://127.0.0.1",
        "bj.example",
        "https://",
        "",
    ],
)
def test_addresses(url):
    """A bridge leads over TLS; without it only to this machine."""
    with pytest.raises(ValueError, match="a bridge leads to"):
        Address(url)
    assert Address("https://bj.example:8443").url and Address("http://127.0.0.1:9").url


def test_a_redirect_leads_nowhere(here, courier, peer, there):
    """Only the configured address is called."""
    elsewhere = Peer(there)
    with served(elsewhere) as other:
        peer.faults = [say(307, Location=f"{other}/bridge/v1/messages")]
        offer(here)
        courier.turn()

    assert elsewhere.bundles == [] and len(waiting(here)) == 1


def drip(request, answer):
    def slowly():
        for _ in range(200):
            yield b" "
            time.sleep(0.02)

    return Response(slowly(), headers={"Content-Length": "200"})


@pytest.mark.parametrize(
    "fault", [drip, lambda *_: Response(b" " * 2**21), lambda *_: Response(b'{"receipts":[]}')]
)
def test_answers_without_end(here, courier, peer, fault):
    """An answer that does not end, is too long, or holds nothing, is none."""
    courier = Courier(here.bridge, courier.database, courier.address, patience=0.5)
    offer(here)
    peer.faults = [fault]
    began = time.monotonic()

    courier.turn()

    assert time.monotonic() - began < 3 and len(waiting(here)) == 1
    with here.engine.begin() as tx:
        assert store.line(tx).failures == 1


def test_nobody_there(here):
    """A port that nobody listens at is a peer that is away; nothing of what was sent is in the words."""
    courier = Courier(here.bridge, db.Database(here.engine), Address("http://127.0.0.1:9"))
    offer(here)

    with pytest.raises(NoAnswer, match=r"^[A-Za-z]+$"):
        courier._caller.request("POST", "/", b"secret")
    courier.turn()
    assert len(waiting(here)) == 1


def certificate(folder, name: str, issuer=None):
    """Make a certificate, of one's own or issued by another; return it with its key and files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    by, by_key = issuer[:2] if issuer else (None, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(by_key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
    return made, key, *files


def test_mutual_tls(here, there, peer, tmp_path):
    """Both sides show certificates; a courier without one, or that trusts another authority, gets nowhere."""
    authority = certificate(tmp_path, "authority")
    server = certificate(tmp_path, "localhost", authority)
    client = certificate(tmp_path, "national", authority)
    stranger = certificate(tmp_path, "stranger")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority[2]))
    context.load_cert_chain(server[2], server[3])
    context.verify_mode = ssl.CERT_REQUIRED
    offer(here)
    with served(peer, ssl_context=context) as url:
        url = url.replace("http://127.0.0.1", "https://localhost")
        for address in (
            Address(url, authority[2]),
            Address(url, stranger[2], client[2], client[3]),
            Address(url, authority[2], stranger[2], stranger[3]),
            Address(url.replace("localhost", "127.0.0.1"), authority[2], client[2], client[3]),
        ):
            Courier(here.bridge, db.Database(here.engine), address).turn()
            soon(here)
            assert peer.bundles == [] and len(waiting(here)) == 1
        Courier(
            here.bridge, db.Database(here.engine), Address(url, authority[2], client[2], client[3])
        ).turn()

    assert waiting(here) == [] and len(there.told) == 1
