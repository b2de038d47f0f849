"""The short form of `make attack`: each operation a few times in each role, then a look at what is stored."""

from __future__ import annotations

import json
import re
import socket

import pytest
import requests

from services.gateway.serving.server import MAX_HEADER
from system import world
from tests.attack import Budget, contract, garbage
from tests.attack.audit import audit
from tests.attack.target import target, token
from tests.system import fullhouse


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with target(tmp_path_factory.mktemp("keys")) as made:
        yield made


@pytest.mark.timeout(200)
def test_nothing_that_is_sent_is_an_error(system):
    """Whatever stands in a request, in any role, is answered, and never with 5xx.

    Nothing that a contract keeps out is stored, and every process lives on.
    """
    outcome = contract.run(system, Budget(minutes=0.3, cases=1), ["fuzzing"])
    assert outcome.faults == [], outcome.faults[:5]
    assert system.dead() == [] and system.answers()
    assert audit(system) == []


@pytest.mark.timeout(250)
def test_garbage_on_every_queue(system):
    """Rubbish of many kinds on every queue of every service.

    Each is taken note of, set aside or dropped; every process lives and answers.
    """
    outcome = garbage.attack(system, Budget(minutes=1, cases=1))
    assert outcome.faults == [], outcome.faults[:5]
    assert system.dead() == [] and system.answers()


def test_the_audit_sees(system):
    """The look at what is stored does not look past anything.

    A control character, a long text and a message set aside are found.
    """
    with system.engine("orgs").begin() as tx:
        tx.exec_driver_sql("UPDATE orgs SET phone = chr(7), short_name = repeat('长', 101) WHERE org_id = 1")
        tx.exec_driver_sql(
            "INSERT INTO failed_messages (message_id, topic, body, error, failed_at)"
            " VALUES ('1', 'org_changed', '[]', 'x', now())"
        )
    assert audit(system) == [
        "orgs.orgs.phone: control characters in 1 rows",
        "orgs.orgs.short_name holds 101 characters, 100 at most",
        "orgs: 1 of org_changed set aside: x",
    ]


ID = "00000000-0000-0000-0000-000000000001"
ODD = [
    ("GET", "/orgs/5", {"X-Acting-Org": "²"}, None, "#/X-Acting-Org"),
    ("GET", "/orgs/5", {"X-Acting-Org": "9" * 30}, None, "#/X-Acting-Org"),
    ("GET", "/orgs/5", {"X-Acting-Org": "9" * 5000}, None, "#/X-Acting-Org"),
    ("GET", f"/orgs/{2**63}", {}, None, "#/org_ids/0"),
    ("GET", f"/orgs/{'9' * 3000}/children", {}, None, "#/org_id"),
    ("GET", f"/transfers/{2**64}", {}, None, "#/transfer_id"),
    ("GET", f"/orgs?text=x&below={2**63}", {}, None, "#/below"),
    ("GET", "/orgs?text=a%00b", {}, None, "#/text"),
    ("GET", "/contacts?text=a%00b", {}, None, "#/text"),
    ("GET", "/orgs?text=" + "x" * 201, {}, None, "#/text"),
    ("GET", "/orgs", {}, None, "#/text"),
    ("GET", "/orgs?text=x&colour=red", {}, None, "#/colour"),
    ("GET", "/transfers?limit=-1", {}, None, "#/limit"),
    ("GET", "/transfers?limit=501", {}, None, "#/limit"),
    ("GET", "/transfers?open_only=perhaps", {}, None, "#/open_only"),
    ("GET", "/figures?cohort=-5", {}, None, "#/cohort"),
    ("GET", "/figures?cohort=10000", {}, None, "#/cohort"),
    ("GET", "/work?since=9999-12-31T23:59:59Z", {}, None, "#/since"),
    ("GET", "/work?since=2026-01-01", {}, None, "#/since"),
    ("GET", "/work?after=%F0%9F%98%80", {}, None, "#/after"),
    ("POST", "/transfers", {}, {"items": []}, "#/items"),
    ("POST", "/transfers", {}, {"items": [{}]}, "#/items/0/command_id"),
    (
        "POST",
        "/transfers/withdrawals",
        {},
        {"items": [{"decision_id": ID, "transfer_id": 2**63}]},
        "#/items/0/transfer_id",
    ),
    (
        "POST",
        "/transfers/withdrawals",
        {},
        {"items": [{"decision_id": "x", "transfer_id": 1}]},
        "#/items/0/decision_id",
    ),
    ("POST", "/messages/read", {}, {"items": [{"transfer_id": 1, "seq": 2**31}]}, "#/items/0/seq"),
    ("POST", "/members/where", {}, {"person_ids": [1], "on": "9999-12-31"}, "#/on"),
    ("POST", "/members/where", {}, {"person_ids": list(range(1, 502)), "on": "2026-01-01"}, "#/person_ids"),
    (
        "POST",
        "/branch-marks",
        {},
        {"items": [{"command_id": ID, "branch_id": 1, "graduates_on": "9999-12-31"}]},
        "#/items/0/graduates_on",
    ),
    (
        "POST",
        "/letters",
        {},
        {
            "items": [
                {
                    "command_id": ID,
                    "member_ids": [1],
                    "addressee": "某",
                    "dues_until": "2026-01-01",
                    "valid_days": 10**9,
                }
            ]
        },
        "#/items/0/valid_days",
    ),
    (
        "POST",
        "/letters",
        {},
        {
            "items": [
                {
                    "command_id": ID,
                    "member_ids": [1],
                    "addressee": "某",
                    "dues_until": "2026-01-01",
                    "valid_days": -5,
                }
            ]
        },
        "#/items/0/valid_days",
    ),
    (
        "POST",
        "/members/edits",
        {},
        {"items": [{"command_id": ID, "member_id": 1, "contact": "x" * 4_900_000}]},
        "#/items/0/contact",
    ),
    (
        "POST",
        "/members/edits",
        {},
        {"items": [{"command_id": ID, "member_id": 1, "ethnic_group": "a\0"}]},
        "#/items/0/ethnic_group",
    ),
    (
        "POST",
        "/orgs",
        {},
        {"items": [{"command_id": ID, "parent_id": 1, "full_name": "长" * 900}]},
        "#/items/0/full_name",
    ),
    ("POST", "/password", {}, {"old_password": "x", "new_password": "x" * 4_000_000}, "#/new_password"),
    (
        "POST",
        "/registrations",
        {},
        {"org_id": 5, "name": "某", "id_number": "1", "password": "x", "phone": "1" * 1_000_000},
        "#/phone",
    ),
    ("POST", "/transfers", {}, b"[" * 100_000, None),
    ("POST", "/transfers", {}, b'{"items": [{"x": ' + b"[" * 100_000, None),
    ("POST", "/transfers", {}, b'{"items": [{"remark": "\xff"}]}', None),
    ("POST", "/transfers", {}, b"\xff\xfe", None),
    ("POST", "/transfers", {}, b"", None),
]


@pytest.mark.parametrize(
    "method, path, headers, body, pointer",
    ODD,
    ids=[f"{one[0]} {one[1][:40]} {one[4]} {n}" for n, one in enumerate(ODD)],
)
def test_what_is_out_of_limits_is_named(system, method, path, headers, body, pointer):
    """Over HTTP: 400 as a problem document, never 500.

    It says which field is meant and, in both languages, what is wanted.
    """
    given = {
        "Authorization": f"Bearer {token(world.administrator_of(fullhouse.COLLEGE))}",
        **{name: value.encode() for name, value in headers.items()},
    }
    sent = requests.request(
        method,
        f"{system.url}/api/v1{path}",
        headers=given,
        timeout=30,
        **({"data": body} if isinstance(body, bytes) else {"json": body}),
    )
    answer = sent.json()
    assert (sent.status_code, answer["code"], sent.headers["Content-Type"]) == (
        400,
        "bad_request",
        "application/problem+json",
    ), answer
    assert answer.get("pointer", "#") == (pointer or "#"), answer
    assert re.search(r"[\u4e00-\u9fff]", answer["message"]["zh"]) and not re.search(
        r"[\u4e00-\u9fff]", answer["message"]["en"]
    )


@pytest.mark.parametrize(
    "request_bytes, status, code",
    [
        (
            b"GET /api/v1/orgs?text=".ljust(MAX_HEADER, b"x"),
            431,
            "header_too_large",
        ),  # to the byte: what is left unread would reset the connection
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ".ljust(MAX_HEADER, b"x"), 431, "header_too_large"),
        (b"POST /api/v1/orgs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "bad_request"),
        (
            b"POST /api/v1/orgs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "bad_request",
        ),
        (b"POST /api/v1/orgs HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400, "bad_request"),
        (b"POST /api/v1/orgs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413, "too_large"),
        (b"GET /\x00\xff HTTP/1.1\r\nHost x\r\n\r\n", 400, "bad_request"),
    ],
    ids=["address", "header", "coding", "chunk", "negative", "length", "no_header"],
)
def test_what_is_no_request_is_a_problem_too(system, request_bytes, status, code):
    """Too long, wrongly framed, of an unknown encoding: the server's own refusals are problem documents.

    They are of 4xx as well, and tell nothing of what was sent.
    """
    host, port = system.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request_bytes)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == str(status).encode() and b"application/problem+json" in head, answer[
        :500
    ]
    assert (json.loads(body)["code"], json.loads(body)["status"]) == (code, status) and b"xxxx" not in body


def test_headers_of_refusals(system):
    """401 says how to sign in, 405 what is allowed."""
    unsigned = requests.get(f"{system.url}/api/v1/work", timeout=30)
    wrong = requests.delete(f"{system.url}/api/v1/transfers", timeout=30)
    assert (unsigned.status_code, unsigned.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert wrong.status_code == 405 and {"GET", "POST"} <= set(wrong.headers["Allow"].split(", "))
