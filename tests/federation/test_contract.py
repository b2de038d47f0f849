"""Whatever the door's OpenAPI document allows, and what it does not, is sent to it: no 5xx, nothing applied.

2,000 requests with each change, 20,000 by `make long`. One part comes as anybody could send it, the other
signed by the peer, whose messages are made from the schemas of what stands in them.
"""

import json
from collections import Counter
from copy import deepcopy
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec
import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from werkzeug.test import Client

from services.federation import door, envelope, openapi
from services.federation.door import Allowance
from services.federation.protocol import Type
from services.federation.schemas import DATASCHEMA
from shared import clock, db

pytestmark = pytest.mark.usefixtures("today")
PRINTED = Path(__file__).parents[2] / "docs" / "federation.openapi.json"
CHECKS = [
    not_a_server_error,
    checks.response_schema_conformance,
    checks.content_type_conformance,
    checks.status_code_conformance,
]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
TIMES = [1, pytest.param(10, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
AS_ANYBODY, SIGNED = (
    25,
    25,
)  # cases of each operation and mode, sent twice; of each type and mode, sent thrice
OTHER = st.dictionaries(
    st.sampled_from(["seq", "expires", "prev", "specversion", "dataschema", "type", "time", "more"]),
    st.none() | st.booleans() | st.integers(2, 2**70) | st.floats(allow_nan=False) | st.text(max_size=70)
    | st.sampled_from(["urn:tuanqiao:bridge:2.0", "urn:tuanqiao:bridge:1.9", "record", "2026-07-01"]),
    min_size=1, max_size=3,
)  # fmt: skip
"""Fields of the envelope, and what does not belong there."""
RECEIVER = {Type.PROGRESS, Type.ACCEPTED, Type.REFUSED, Type.INTEGRATED, Type.SENT_BACK}


def cases(number: int) -> settings:
    """Return how many cases are made; those that fail are shown as they are."""
    phases = (Phase.explicit, Phase.generate)
    return settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=[*HealthCheck],
    )


@pytest.fixture
def client(here):
    return Client(door.app(here.bridge, db.Database(here.engine), Allowance(1e9, 1e9)))


def send(client, case, headers: dict[str, str]):
    """Send a case of schemathesis; return the answer, which is as the document says."""
    body = case.body
    more = {}
    if isinstance(body, bytes):
        more["data"] = body
    elif case.operation.method == "post":
        more["data"] = json.dumps(plain(body)).encode()
    return client.open(
        case.formatted_path, method=case.operation.method.upper(), headers=headers,
        query_string=[*(case.query or {}).items()], **more,
    )  # fmt: skip


def untouched(here) -> None:
    """Check that nothing that has come has had an effect."""
    with here.engine.begin() as tx:
        states = set(tx.scalars(sa.text("SELECT state FROM handovers")))
        assert tx.scalar(sa.text("SELECT count(*) FROM sent")) == 0
    assert here.told == [] and states <= {"none"}
    assert {row[0] for row in here.rows("state")} <= {"held", "refused", "quarantined", "late"}


def test_the_document_is_printed():
    """docs/federation.openapi.json is what the code says, and every reference in it leads somewhere."""
    document = openapi.document()
    assert json.loads(PRINTED.read_text("utf-8")) == document
    assert set(document["paths"]) >= {"/bridge/v1/messages", "/bridge/v1/about"}
    names = {*document["components"]["schemas"]}
    text = json.dumps(document)
    assert {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]} <= names
    assert {kind.value for kind in Type} == {*document["components"]["schemas"]["Envelope"]["x-data"]}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_as_anybody_and_with_a_token(client, here, there, mode, times):
    """Every operation: as anybody, and with a token that the peer has signed for this very path."""
    met: Counter[int] = Counter()
    for found in schemathesis.openapi.from_dict(openapi.document()).get_all_operations():
        operation = found.ok()

        @cases(AS_ANYBODY * times)
        @given(case=operation.as_strategy(generation_mode=mode))
        def sent(case):
            given = {name: value for name, value in (case.headers or {}).items() if is_sent(name, value)}
            known = {"Authorization": f"Bearer {token(there, case.formatted_path)}"}
            for headers in (given, given | known):
                answer = send(client, case, headers | {"Content-Type": "application/json"})
                assert answer.status_code < 500
                met[answer.status_code] += 1
                if answer.status_code != 404:  # an address that is another one
                    case.validate_response(answer, checks=CHECKS)

        sent()

    assert met[401] and met[200 if mode is GenerationMode.POSITIVE else 404]
    assert sum(met.values()) >= 5 * 2 * AS_ANYBODY * times * 0.8
    assert here.rows("seq") == []
    untouched(here)


def is_sent(name: str, value: str) -> bool:
    """Return whether something can be a header at all."""
    fits = name.isascii() and name.isprintable() and value.isprintable()
    return fits and all(ord(one) < 256 for one in value)


def token(there, path: str) -> str:
    """Return a token of the peer's for a path."""
    said = {"source": "BJ", "dest": "national", "path": unquote(path), "time": clock.now()}
    key = there.bridge.keys.ring().signing(clock.now())
    return envelope.sign(key, envelope.TOKEN, msgspec.json.encode(said))


def of_type(kind: Type):
    """Return an operation whose body is what stands in a message of a type."""
    document = deepcopy(openapi.document())
    data = {"$ref": document["components"]["schemas"]["Envelope"]["x-data"][kind.value]}
    post = document["paths"]["/bridge/v1/messages"]["post"]
    post["requestBody"]["content"]["application/json"]["schema"] = data
    document["paths"] = {"/bridge/v1/messages": {"post": post}}
    return next(schemathesis.openapi.from_dict(document).get_all_operations()).ok()


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_signed_by_the_peer(client, here, there, mode, times):
    """What the peer has signed of any type, in its form or out of it, is held, refused or shown to a person.

    The transfers are such that nothing can have an effect: ours that we never began, theirs from number 2.
    """
    met: Counter[str] = Counter()
    numbers = iter(range(1, 10**6))

    def of(kind: Type) -> None:
        @cases(SIGNED * times)
        @given(case=of_type(kind).as_strategy(generation_mode=mode), other=OTHER)
        def sent(case, other):
            whole = signed(there, kind, next(numbers), case.body, {})
            odd = signed(there, kind, next(numbers), case.body, other)
            answers = [
                client.post("/bridge/v1/messages", json={"messages": [one]}) for one in (whole, odd, whole)
            ]
            assert {answer.status_code for answer in answers} <= {200, 401}
            assert answers[0].data == answers[2].data
            for answer in answers:
                met[code_of(there, answer)] += 1

        sent()

    for kind in Type:
        of(kind)
    # chance may draw none of another version
    newer = signed(there, Type.OFFER, next(numbers), {}, {"dataschema": "urn:tuanqiao:bridge:2.0"})
    met[code_of(there, client.post("/bridge/v1/messages", json={"messages": [newer]}))] += 1

    untouched(here)
    assert met["wrong_field"] > 10 and met["version"]
    assert met["held"] + met["stored"] > 10 or mode is GenerationMode.NEGATIVE
    assert sum(met.values()) >= len(Type) * 3 * SIGNED * times * 0.8


def code_of(there, answer) -> str:
    """Return what the one receipt of an answer says; empty where there is none."""
    if answer.status_code != 200:
        return ""
    (receipt,) = answer.json["receipts"]
    said = there.read(receipt)
    return str(said.code or said.status)


def signed(there, kind: Type, number: int, made, other: dict) -> str:
    """Return a message of the peer's with these data, in a transfer where it has no effect.

    `other`: what stands in fields of the envelope in place of what fits.
    """
    ours = kind in RECEIVER
    subject = f"{'national' if ours else 'BJ'}:{number}"
    body = {"specversion": "1.0", "type": kind.value, "seq": 1 if ours else 2, "prev": ""}
    body |= {"dataschema": DATASCHEMA, "data": plain(made), "time": clock.now().isoformat(), **other}
    body |= {"source": "BJ", "dest": "national", "subject": subject, "id": f"BJ/{subject}/{body['seq']}"}
    key = there.bridge.keys.ring().signing(clock.now())
    return envelope.sign(key, envelope.MESSAGE, json.dumps(body).encode())


def plain(value):
    """Return what JSON can say of a value."""
    try:
        json.dumps(value)
    except TypeError:
        return quote(str(value))
    return value
