"""GD on the network: answers without receipts, tokens, faults, and what it does with receipts."""

import http.client
import json
import threading
from urllib.parse import urlsplit

import pytest
from joserfc import jwe, jwk

from tests.peers.factories import House, moment
from tests.peers.gd import courier, jose, keys, moments, store
from tests.peers.gd.desk import say

JSON = {"Content-Type": "application/json"}


def ask(
    url: str, method: str, path: str, body=None, headers=JSON
) -> tuple[int, dict, http.client.HTTPMessage]:
    """Return status, document and headers of an answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


def send(url: str, *messages: str) -> tuple:
    """Post messages."""
    return ask(url, "POST", courier.MESSAGES, json.dumps({"messages": messages}))


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, b"{", JSON),
        (400, b'{"messages": ["\\ud800"]}', JSON),
        (401, b'{"messages": ["a.b.c"]}', JSON),
        (413, b"x" * (512 * 1024 + 1), JSON),
        (411, b"{}", JSON | {"Content-Length": "two"}),
        (415, b"{}", {"Content-Type": "text/plain"}),
        (422, b"{}", JSON),
        (422, b'{"messages": []}', JSON),
        (422, b'{"messages": [1]}', JSON),
        (422, json.dumps({"messages": ["x"] * 101}).encode(), JSON),
    ],
)
def test_what_is_no_request_is_answered_by_a_problem(gd, serve, status, body, headers):
    """Each with its status, as a problem document with a code."""
    answered, problem, fields = ask(serve(gd), "POST", courier.MESSAGES, body, headers)

    assert (answered, problem["status"]) == (status, status)
    assert problem["code"]
    assert fields.get_content_type() == "application/problem+json"


def test_receipts_come_one_for_each_message_in_their_order(gd, stranger, serve):
    """One authentic message is enough for an answer; what was no message has an empty `of`."""
    offer = stranger.offer(1, "7")

    status, answer, _ = send(serve(gd), "nothing", offer, offer)

    opened = [stranger.opened(receipt) for receipt in answer["receipts"]]
    assert status == 200
    assert [(one["of"], one["status"]) for one in opened] == [
        ("", "refused"),
        ("FJ/FJ:1/1", "stored"),
        ("FJ/FJ:1/1", "stored"),
    ]
    assert opened[0]["sha256"] == jose.sha256("nothing")


def test_about_needs_a_token_for_this_path_within_a_minute(gd, stranger, serve):
    """Keys are shown without what signs."""
    url = serve(gd)
    path = "/bridge/v1/about"

    def answer(**fields):
        payload = {"source": "FJ", "dest": "GD", "path": path, "time": moment()} | fields
        headers = {"Authorization": f"Bearer {stranger.sign('token+jws', payload)}"}
        return ask(url, "GET", path, None, headers)

    assert ask(url, "GET", path, None, {})[0] == 401
    assert answer(path="/bridge/v1/orgs")[0] == 401
    assert answer(time=moment(seconds=-70))[0] == 401
    assert answer(dest="BJ")[0] == 401
    status, about, _ = answer()
    assert (status, about["system"]) == (200, "GD")
    assert [jose.thumbprint(key) for key in about["keys"]] == [jose.thumbprint(stranger.theirs)]
    assert "d" not in about["keys"][0]


def test_a_connection_that_is_closed_after_the_commit_has_stored_the_message(
    tmp_path, folders, stranger, serve
):
    """Whoever sends again gets the receipt of then."""
    house = House(tmp_path, folders[0], {"hangup"})
    url = serve(house)
    answers = []
    for number in range(1, 20):
        try:
            answers.append(send(url, stranger.offer(number, "7"))[0])
        except (http.client.HTTPException, OSError):
            answers.append(None)
    stored = [state for (state,) in house.rows("SELECT state FROM transfers")]

    assert {200, None} == set(answers)
    assert stored == ["deciding"] * 19


@pytest.mark.parametrize("fault", ["busy", "outage"])
def test_a_peer_that_is_busy_or_away_says_when_to_come_again(
    tmp_path, folders, stranger, serve, monkeypatch, fault
):
    """429 and 503 with Retry-After; nothing is stored meanwhile."""
    house = House(tmp_path, folders[0], {fault})
    url = serve(house)
    if fault == "outage":
        monkeypatch.setattr(moments, "ahead", 2 * 3600.0 + 1)
    refused = set()
    for number in range(1, 30):
        try:
            status, _, fields = send(url, stranger.offer(number, "7"))
        except (http.client.HTTPException, OSError):
            continue
        if status != 200:
            assert 0 < int(fields["Retry-After"]) <= (30 if fault == "busy" else 7200)
            assert not house.rows(
                "SELECT 1 FROM transfers WHERE subject = ? AND state <> 'none'", f"FJ:{number}"
            )
            refused.add(status)
    assert refused == ({429, 503} if fault == "busy" else {503})


def test_a_directory_that_is_renamed_while_it_is_paged_is_read_anew_and_whole(tmp_path, folders, serve):
    """Each organisation once, in one version of their names."""
    house = House(tmp_path, folders[0], {"rename"}, speed=1000)
    fj = House(tmp_path, folders[1], speed=1000, system="FJ")
    fj.meet(serve(house))

    for _ in range(5):
        fj.courier.patiently(threading.Event(), fj.courier.copy_directory)
        copied = fj.rows("SELECT code, name FROM peer_orgs ORDER BY CAST(code AS integer)")
        assert copied == house.rows("SELECT CAST(code AS text), name FROM orgs ORDER BY code")

    assert house.rows("SELECT value FROM settings WHERE name = 'directory'") != [("1",)]


def said(gd, *types: str) -> list[str]:
    """Have GD say messages about a transfer of its own; return their ids."""
    with gd.file.transaction() as tx:
        for type_ in types:
            say(tx, gd.desk, "GD:1", type_, {})
    return [name for (name,) in gd.rows("SELECT id FROM said ORDER BY seq")]


def test_what_has_expired_unsent_is_left_to_a_person_unless_a_later_one_waits_behind_it(gd, monkeypatch):
    """A record has no end: with one behind it, the offer still goes; without, it does not."""
    said(gd, "offer", "record", "query")
    monkeypatch.setattr(moments, "ahead", 31 * 86_400.0)

    first = [row["type"] for row in gd.courier.batch(100)]
    with gd.file.transaction() as tx:
        store.receipted(tx, "GD/GD:1/2", "kept", "")
    second = [row["type"] for row in gd.courier.batch(100)]

    assert (first, second) == (["offer", "record"], [])
    assert gd.rows("SELECT type, state FROM said ORDER BY seq") == [
        ("offer", "expired"),
        ("record", "kept"),
        ("query", "expired"),
    ]
    assert len(gd.rows("SELECT what FROM shown")) == 2


def test_what_was_given_up_is_sent_when_something_follows_it(gd, monkeypatch):
    """Otherwise the other side would hold what follows, and wait for ever for what has expired."""
    said(gd, "offer")
    monkeypatch.setattr(moments, "ahead", 31 * 86_400.0)
    assert gd.courier.batch(100) == []

    said(gd, "called_off")

    assert [row["type"] for row in gd.courier.batch(100)] == ["offer", "called_off"]


def receipt(stranger, message_id: str, sha256: str, /, **fields) -> str:
    """Return a receipt of FJ's."""
    payload = {"source": "FJ", "dest": "GD", "of": message_id, "sha256": sha256, "status": "stored"}
    return stranger.sign("receipt+jws", payload | {"expected_seq": 2, "time": moment()} | fields)


RECEIPTS = [
    ({}, "kept"),
    ({"status": "held"}, "kept"),
    ({"sha256": "0" * 64}, "waiting"),
    ({"of": "GD/GD:2/1"}, "waiting"),
    ({"dest": "BJ"}, "waiting"),
    ({"status": "refused", "code": "clock"}, "waiting"),
    ({"status": "refused", "code": "not_authentic"}, "waiting"),
    ({"status": "refused", "code": "too_many_held"}, "waiting"),
    ({"status": "refused", "code": "gap", "expected_seq": 1}, "waiting"),
    ({"status": "refused", "code": "expired"}, "refused"),
    ({"status": "refused", "code": "malformed"}, "refused"),
    ({"status": "refused", "code": "id_reused"}, "refused"),
]


@pytest.mark.parametrize(("fields", "state"), RECEIPTS)
def test_a_message_waits_until_a_receipt_for_it_says_otherwise(gd, stranger, fields, state):
    """Only what may be tried again is; what is refused for good is shown to a person."""
    said(gd, "offer")
    [row] = gd.courier.batch(1)

    with gd.file.transaction() as tx:
        gd.courier.note(tx, row, receipt(stranger, row["id"], row["sha256"], **fields))

    assert gd.rows("SELECT state FROM said") == [(state,)]
    assert len(gd.rows("SELECT what FROM shown")) == (state == "refused")


def test_a_receipt_by_a_foreign_key_says_nothing(gd, stranger):
    """The message is sent again."""
    said(gd, "offer")
    [row] = gd.courier.batch(1)
    stranger.key = keys.make("Ed25519")

    with gd.file.transaction() as tx:
        gd.courier.note(tx, row, receipt(stranger, row["id"], row["sha256"]))

    assert gd.rows("SELECT state FROM said") == [("waiting",)]


def test_what_is_sent_again_is_the_same_bytes_and_follows_the_one_before(gd, stranger):
    """A query has what was said after its number sent again; prev chains the bytes."""
    said(gd, "offer", "called_off")
    with gd.file.transaction() as tx:
        for nth in (1, 2):
            store.receipted(tx, f"GD/GD:1/{nth}", "kept", "")
        store.change(tx, "GD:1", state="kept")
    before = gd.rows("SELECT id, jws FROM said ORDER BY seq")

    data = {"about": "transfer", "heard_seq": 1}
    gd.hand_in(stranger.message(0, 1, "query", data, subject="GD:1"))

    assert [row["id"] for row in gd.courier.batch(100)] == ["GD/GD:1/2", "GD/GD:1/3"]
    assert gd.rows("SELECT id, jws FROM said WHERE seq < 3 ORDER BY seq") == before
    chain = [
        jose.loads(jose.parts(jws)[1])["prev"] for (jws,) in gd.rows("SELECT jws FROM said ORDER BY seq")
    ]
    assert chain == ["", *[sha for (sha,) in gd.rows("SELECT sha256 FROM said WHERE seq < 3 ORDER BY seq")]]


def test_a_seal_opens_in_another_library(gd, stranger):
    """ECDH-ES with A256GCM on X25519, as joserfc reads it."""
    [key] = [key for key in gd.desk.keys.own if key["use"] == keys.SEALING]
    other = jwk.import_key({name: key[name] for name in ("kty", "crv", "x", "d")})

    opened = jwe.decrypt_compact(jose.seal(stranger.seal, "person+jwe", {"name": "陈嘉欣"}), other)

    assert json.loads(opened.plaintext) == {"name": "陈嘉欣"}
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": other.thumbprint(), "typ": "person+jwe"}
    assert {name: value for name, value in opened.headers().items() if name != "epk"} == header
