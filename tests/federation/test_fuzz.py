"""Whatever is sent to the door gets an answer below 500, and nothing of it is applied (BEY-16)."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from services.federation import door, envelope
from services.federation.door import Allowance
from services.federation.protocol import Type
from shared import clock, db
from tests.federation.factories import fields, message

pytestmark = pytest.mark.usefixtures("today")
ONCE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=8), some, max_size=3),
    max_leaves=8,
)
_TOKENS = st.from_regex(r"[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{1,60}\.[A-Za-z0-9_-]{0,90}\Z")


@pytest.fixture
def client(here):
    return Client(door.app(here.bridge, db.Database(here.engine), Allowance(1e9, 1e9)))


def post(client, body: bytes, kind: str = "application/json"):
    return client.post("/bridge/v1/messages", data=body, content_type=kind)


@ONCE
@given(body=st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_bodies(client, here, body):
    """No body is answered with an error of ours, and none that holds no message is taken."""
    assert post(client, body).status_code in (400, 401, 422)
    assert here.rows("seq") == []


@ONCE
@given(texts=st.lists(_TOKENS | st.text(max_size=60), min_size=1, max_size=5))
def test_texts(client, here, texts):
    """What nobody has signed is refused as a whole."""
    answer = post(client, json.dumps({"messages": texts}).encode())

    assert answer.status_code in (400, 401) and here.rows("seq") == []


@ONCE
@given(name=st.sampled_from([*fields(Type.OFFER)]), value=_JSON | st.integers(1, 2**31))
def test_signed_messages(client, here, there, name, value):
    """What the peer has signed gets a receipt or 401, whatever stands in any one of its fields."""
    key = there.bridge.keys.ring().signing(clock.now())
    made = {**fields(Type.OFFER, time=clock.now().isoformat()), name: value}
    answer = post(
        client,
        json.dumps({"messages": [envelope.sign(key, envelope.MESSAGE, msgspec.json.encode(made))]}).encode(),
    )

    assert answer.status_code in (200, 401)
    if answer.status_code == 200:
        (receipt,) = answer.json["receipts"]
        assert there.read(receipt).status.value in ("stored", "held", "refused")
    assert {row[0] for row in here.rows("state")} <= {"applied", "held", "refused", "quarantined", "late"}


@ONCE
@given(kind=st.sampled_from(list(Type)), data=_JSON, owner=st.sampled_from(["BJ", "national"]))
def test_data(client, here, there, kind, data, owner):
    """Data of any form is stored and applied only where it is that of its type."""
    key = there.bridge.keys.ring().signing(clock.now())
    text = message(key, kind, data=data, subject=f"{owner}:7", time=clock.now().isoformat())

    (receipt,) = post(client, json.dumps({"messages": [text]}).encode()).json["receipts"]

    assert there.read(receipt).status.value == "refused"
    assert here.told == []


@ONCE
@given(path=st.text(max_size=30), shown=st.text(max_size=60) | _TOKENS.map(lambda text: f"Bearer {text}"))
def test_paths(client, path, shown):
    """Nothing is shown to anybody who is not the peer."""
    shown = "".join(letter for letter in shown if letter.isprintable() and ord(letter) < 256)
    for place in (f"/bridge/v1/{path}", "/bridge/v1/about", "/bridge/v1/manifest/2026-07-01"):
        answer = client.get(place, headers={"Authorization": shown})
        assert answer.status_code in (308, 401, 404, 405)
