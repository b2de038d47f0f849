"""The door of a bridge on a real port, with a real database: what is asked, and everything that is wrong."""

import json
import logging
import socket
import threading
from datetime import timedelta

import msgspec
import pytest
import requests
import sqlalchemy as sa

from services.federation import calling, door, envelope
from services.federation.calling import Address, Caller
from services.federation.directory import Reader
from services.federation.door import MOST_BYTES, MOST_MESSAGES, Allowance
from services.federation.protocol import Act, Type, Word
from services.federation.service import Tree
from shared import clock, db
from tests.federation.factories import End, example, fields, message, mirror, part, served

OURS, THEIRS = "national:7", "BJ:7"


pytestmark = pytest.mark.usefixtures("today")


@pytest.fixture
def url(here):
    """The address of our door."""
    with served(door.app(here.bridge, db.Database(here.engine), Allowance(1e6, 1e6))) as address:
        yield address


def post(url: str, *texts: str, **more) -> requests.Response:
    body = json.dumps({"messages": texts}).encode()
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    return requests.post(
        f"{url}/bridge/v1/messages", more.pop("data", body), headers=headers, timeout=10, **more
    )


def receipts(answer: requests.Response, there: End) -> list[tuple[str, str | None]]:
    """Return status and code of each receipt, after the peer has checked its signature."""
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    found = []
    for text in answer.json()["receipts"]:
        body, key = envelope.verified(text, envelope.RECEIPT, there.bridge.keys.ring())
        one = there.read(text)
        assert key.good_at(one.time) and (one.source, one.dest) == ("national", "BJ")
        assert json.loads(body)["sha256"] == one.sha256
        found.append((one.status.value, one.code and one.code.value))
    return found


def offered(there: End, *subjects: str) -> list[str]:
    """Return offers from the peer."""
    for subject in subjects:
        there.act(subject, Act.OFFER)
    return there.said()


def test_messages_are_stored_and_receipted(here, there, url):
    """A bundle gets a receipt for each message in its order; what is receipted is in the database."""
    texts = offered(there, "BJ:1", "BJ:2", "BJ:3")

    answer = post(url, *texts)

    assert receipts(answer, there) == [("stored", None)] * 3
    assert [there.read(one).sha256 for one in answer.json()["receipts"]] == list(map(envelope.sha256, texts))
    assert here.rows("subject, state") == [("BJ:1", "applied"), ("BJ:2", "applied"), ("BJ:3", "applied")]
    assert answer.headers["Cache-Control"] == "no-store"


def test_before_the_tree_is_known(here, there):
    """A bridge that has not been told of our tree refuses nobody for that; it asks to wait."""
    made = door.app(
        here.bridge, db.Database(here.engine), Allowance(1e6, 1e6), Tree(db.Database(here.engine))
    )
    with served(made) as url:
        texts = offered(there, "BJ:1")
        answer = post(url, *texts)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert int(answer.headers["Retry-After"]) > 0 and here.rows("subject") == []
        mirror(here, 1, None, system="national", kind="leading_body", name="全国")
        assert receipts(post(url, *texts), there) == [("stored", None)]


def test_a_repetition_over_http(here, there, url):
    """The same request again gets the same receipts, byte for byte."""
    texts = offered(there, "BJ:1", "BJ:2")

    first, again = post(url, *texts), post(url, *texts)

    assert again.content == first.content and len(here.told) == 2


def test_the_bad_do_not_harm_their_neighbours(here, there, url, caplog):
    """Each bad message has its own receipt, named by its hash; what stands beside it is stored."""
    good, other = offered(there, "BJ:1", "BJ:2")
    stranger = message(there.bridge.keys.ring().signing(there.now), source="GD", time=clock.now().isoformat())
    future = message(
        there.bridge.keys.ring().signing(there.now), time=(clock.now() + timedelta(minutes=11)).isoformat()
    )

    with caplog.at_level(logging.WARNING, "tuanqiao.federation"):
        answer = post(url, "no JWS", good, stranger, "", future, other, "x" * 70_000)

    assert receipts(answer, there) == [
        ("refused", "malformed"),
        ("stored", None),
        ("refused", "not_authentic"),
        ("refused", "malformed"),
        ("refused", "clock"),
        ("stored", None),
        ("refused", "malformed"),
    ]
    named = [there.read(one) for one in answer.json()["receipts"]]
    assert [bool(one.of) for one in named] == [False, True, False, False, True, True, False]
    assert len(here.rows("seq")) == 2
    assert envelope.sha256(stranger) in caplog.text and "GD" not in caplog.text


def test_strangers(here, there, url):
    """Whoever can sign nothing gets 401 and no receipt, and leaves nothing behind."""
    good = offered(there, "BJ:1")[0]
    header, payload, _ = good.split(".")

    answer = post(url, f"{header}.{payload}.{part(b'x' * 64)}", "x")

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authentic")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert here.rows("seq") == [] and here.state("BJ:1") == ""


BODIES = {
    "no JSON": (b"messages", 400, "not_json"),
    "nothing": (b"", 400, "not_json"),
    "no UTF-8": (b'{"messages":["\xff"]}', 400, "not_json"),
    "half a character": (rb'{"messages":["\ud800"]}', 400, "not_json"),
    "nested without end": (b"[" * 200_000, 400, "not_json"),
    "a list": (b'["x"]', 422, "not_messages"),
    "none": (b'{"messages":[]}', 422, "not_messages"),
    "one that is no text": (b'{"messages":["x",1]}', 422, "not_messages"),
    "twice": (b'{"messages":["x"],"messages":["y"]}', 422, "not_messages"),
    "too many": (json.dumps({"messages": ["x"] * (MOST_MESSAGES + 1)}).encode(), 422, "not_messages"),
    "too much": (b'{"messages":["' + b"x" * MOST_BYTES + b'"]}', 413, "too_large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(here, url, name):
    """A body that is no list of messages has one answer for all."""
    body, status, code = BODIES[name]

    answer = post(url, data=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["status"] == status and here.rows("seq") == []


def test_other_requests(url):
    """Another kind of content, another method, another path."""
    assert post(url, "x", headers={"Content-Type": "text/plain"}).status_code == 415
    answer = requests.put(f"{url}/bridge/v1/messages", timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    answer = requests.get(f"{url}/bridge/v2/messages", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_chunks(here, there, url):
    """A body without a length is read as any, and is no way around the limit."""
    body = json.dumps({"messages": offered(there, "BJ:1")}).encode()
    assert receipts(post(url, data=iter([body[:20], body[20:]])), there) == [("stored", None)]

    assert post(url, data=iter([b" " * 65_536] * 9)).status_code == 413


def test_a_peer_that_asks_too_often(here):
    """Beyond its allowance a peer is told when to come again; nothing is read."""
    with served(door.app(here.bridge, db.Database(here.engine), Allowance(0.001, 2))) as url:
        answers = [post(url, "x") for _ in range(3)]

    assert [one.status_code for one in answers] == [401, 401, 429]
    assert int(answers[2].headers["Retry-After"]) > 0


def test_an_allowance_grows_back():
    """So many requests a second, and some more at once."""
    now = [0.0]
    allowance = Allowance(2, 3, lambda: now[0])
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [allowance.spend() for _ in range(2)] == [True, False]
    now[0] = 100
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]


def test_while_the_database_is_away(here, there):
    """Nothing is receipted that is not stored: the peer is told to try again."""
    away = db.connect("postgresql://postgres@127.0.0.1:9/none")
    with served(door.app(here.bridge, db.Database(away))) as url:
        answer = post(url, *offered(there, "BJ:1"))
    away.dispose()

    assert (answer.status_code, answer.json()["code"]) == (503, "away")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_failure_before_the_commit_receipts_nothing(here, there):
    """What the rest of the system cannot take in is rolled back, and is stored when it comes again."""

    def fail(tx, told):
        tx.execute(sa.text("SELECT 1 FROM no_such_table"))

    whole = here.bridge
    broken = type(whole)(whole.peer, whole.keys, fail, whole.me)
    texts = offered(there, "BJ:1")
    with served(door.app(broken, db.Database(here.engine))) as url:
        assert post(url, *texts).status_code == 500
    assert here.rows("seq") == [] and here.rows("seq", "receipts") == []

    assert [one.status.value for one in here.hear(*texts)] == ["stored"]


def test_without_a_key(here, there):
    """A bridge that cannot sign takes nothing in: a message without a receipt would come for ever."""
    texts = offered(there, "BJ:1")
    for key in here.bridge.keys.ring().own:
        here.bridge.keys.revoke(key.kid, here.now)
    with served(door.app(here.bridge, db.Database(here.engine))) as url:
        answer = post(url, *texts)

    assert (answer.status_code, answer.json()["code"]) == (503, "no_key")
    assert here.rows("seq") == []


def test_requests_at_the_same_moment(here, there, url):
    """Many connections with the same messages: each is stored once, all are receipted alike."""
    texts = offered(there, *(f"BJ:{n}" for n in range(30)))
    bundles = [texts[:20], texts[10:], texts[::-1], texts]
    answers: list[requests.Response] = []
    threads = [
        threading.Thread(target=lambda some=some: answers.append(post(url, *some))) for some in bundles
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    given: dict[str, set[str]] = {}
    for answer in answers:
        for text in answer.json()["receipts"]:
            given.setdefault(there.read(text).of, set()).add(text)
    assert len(given) == 30 and all(len(some) == 1 for some in given.values())
    assert len(here.told) == 30


def ask(url: str, path: str, shown: str) -> requests.Response:
    headers = {"Authorization": shown} if shown else {}
    return requests.get(f"{url}{path}", headers=headers, timeout=10)


def test_about(here, there, url):
    """The peer sees versions, limits, our time and our public keys; no private part is among them."""
    answer = ask(url, "/bridge/v1/about", f"Bearer {calling.token(there.bridge, '/bridge/v1/about')}")

    said = answer.json()
    assert answer.status_code == 200
    assert (said["system"], said["versions"]) == ("national", ["urn:tuanqiao:bridge:1.0"])
    assert said["limits"]["messages"] == 100
    assert {key["kid"] for key in said["keys"]} == {key.kid for key in here.bridge.keys.ring().own}
    assert all({"valid_from", "valid_until", "x"} <= key.keys() and "d" not in key for key in said["keys"])


def test_about_is_for_the_peer(here, there, url):
    """A token is the peer's, for this path, for us, for ten minutes; nothing else opens."""
    key = there.bridge.keys.ring().signing(there.now)
    path = "/bridge/v1/about"
    right = {"source": "BJ", "dest": "national", "path": path, "time": clock.now().isoformat()}

    def shown(kind: str = envelope.TOKEN, **changed: str) -> str:
        return "Bearer " + envelope.sign(key, kind, msgspec.json.encode({**right, **changed}))

    assert ask(url, path, shown()).status_code == 200
    for wrong in (
        "",
        "Bearer",
        "Bearer x",
        shown().replace("Bearer", "Basic"),
        shown(source="GD"),
        shown(dest="FJ"),
        shown(path="/bridge/v1/orgs"),
        shown(time=(clock.now() - timedelta(seconds=610)).isoformat()),
        shown(time=(clock.now() + timedelta(seconds=610)).isoformat()),
        shown(time="yesterday"),
        shown(kind=envelope.MESSAGE),
        f"Bearer {calling.token(here.bridge, path)}",
        f"Bearer {envelope.sign(key, envelope.TOKEN, msgspec.json.encode(fields(Type.OFFER)))}",
    ):
        answer = ask(url, path, wrong)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_connection_that_says_nothing(url, there):
    """Somebody who opens a connection and keeps silent holds nobody else up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.sendall(b"POST /bridge/v1/messages HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        assert receipts(post(url, *offered(there, "BJ:1")), there) == [("stored", None)]


def test_an_answer_is_heard_of(here, there, url):
    """What the peer decides reaches our side of the transfer through the door (FED-10)."""
    here.act(OURS, Act.OFFER)
    there.hear(*here.said())
    there.act(OURS, Act.REFUSE, example(Word.REFUSED))

    assert receipts(post(url, *there.said()), there) == [("stored", None)]
    assert here.state(OURS) == "kept" and here.told[-1].data == example(Word.REFUSED)


def test_our_directory(here, there, url):
    """FED-04: the peer reads our organisations page by page, and not those of others or deleted ones."""
    here.now = clock.now() - timedelta(minutes=2)
    for org_id in range(1, 8):
        mirror(here, org_id, None, system="national", name=f"第{org_id}团支部", parent_id=org_id - 1 or None)
    mirror(here, 4711, "BJ-1")
    mirror(here, 3, None, system="national", name="更名", parent_id=2)
    mirror(here, 7, None, system="national", deleted=True)
    here.now = clock.now()
    mirror(here, 8, None, system="national", name="刚刚")

    database = db.Database(there.engine)
    assert Reader(there.bridge, database, Caller(Address(url)), piece=2).read() == 6

    with there.engine.begin() as tx:
        pages = [json.loads(body) for body in tx.scalars(sa.text("SELECT body FROM outbox ORDER BY id"))]
    read = [org for (page,) in pages for org in page["orgs"]]
    assert {(org["code"], org["parent_code"], org["full_name"]) for org in read} == {
        ("1", "", "第1团支部"),
        ("3", "2", "更名"),
        *((str(n), str(n - 1), f"第{n}团支部") for n in (2, 4, 5, 6)),
    }


@pytest.mark.parametrize("after", ["x", "1-", "-1", "1-2-3", "9" * 30 + "-1", "１-2", "9" * 18 + "-1"])
def test_a_place_that_is_none(url, there, after):
    """Whatever stands for a place in the directory is answered, never with a failure of ours."""
    path = "/bridge/v1/orgs"
    answer = requests.get(
        f"{url}{path}",
        {"after": after, "limit": "5"},
        headers={"Authorization": f"Bearer {calling.token(there.bridge, path)}"},
        timeout=10,
    )
    assert answer.status_code == 422 and answer.json()["code"] == "no_such_place"
