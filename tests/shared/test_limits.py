"""Every field that something outside can fill has a limit, and what breaks one is refused by name."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from services.gateway.api import reading
from services.transfers.adviser import rules as adviser
from shared.bus.calls import Unreadable, read_answers, read_calls
from shared.errors import Refused
from shared.messages import (
    Command,
    Event,
    Query,
    decoding,
    events,
    limits,
    members,
    orgs,
    scheduler,
    transfers,
)

CALLS = [
    value
    for module in (members, orgs, scheduler, transfers)
    for value in vars(module).values()
    if isinstance(value, Command | Query)
]
ASKED = sorted({call.item for call in CALLS}, key=lambda kind: kind.__name__)
TOLD = [event for event in events().values() if event.__module__.startswith("shared.messages.")]


def without_limit(kind: Any) -> list[str]:
    """Return the fields, of a contract and of what stands in it, that take a value of any size."""
    open_ended: list[str] = []
    seen: set[Any] = set()

    def look(found: inspect.Type, place: str) -> None:
        match found:
            case inspect.Metadata():
                look(found.type, place)
            case inspect.StructType() if found.cls not in seen:  # once each: structs may hold each other
                seen.add(found.cls)
                dated = limits.dated_fields(found.cls)
                if dated and not issubclass(found.cls, limits.Dated | Event):
                    open_ended.append(f"{found.cls.__name__}: {', '.join(dated)} of any year")
                for field in found.fields:
                    look(field.type, f"{found.cls.__name__}.{field.name}")
            case inspect.UnionType():
                for one in found.types:
                    look(one, place)
            case inspect.ListType():
                if found.max_length is None:
                    open_ended.append(place)
                look(found.item_type, f"{place}[]")
            case inspect.StrType() if found.max_length is None or found.pattern not in {
                **limits.PATTERNS,
                limits.STORED: (),
            }:
                open_ended.append(place)
            case inspect.IntType() | inspect.FloatType() if (
                found.ge is None or found.le is None or found.le > limits.MAX_ID
            ):
                open_ended.append(place)
            case inspect.DateTimeType() if found.tz is not True:
                open_ended.append(place)
            case (
                inspect.StructType()
                | inspect.StrType()
                | inspect.IntType()
                | inspect.FloatType()
                | inspect.DateTimeType()
                | inspect.DateType()
                | inspect.UUIDType()
                | inspect.BoolType()
                | inspect.NoneType()
                | inspect.EnumType()
                | inspect.LiteralType()
            ):
                pass
            case _:  # a dict, raw JSON, anything: no contract needs one
                open_ended.append(place)

    look(inspect.type_info(kind), kind.__name__)
    return open_ended


@pytest.mark.parametrize("kind", [*ASKED, *TOLD], ids=lambda kind: kind.__name__)
def test_every_field_has_a_limit(kind):
    """What a call asks and what an event tells has limits everywhere.

    Ids fit a bigint, texts have a length and no control characters, lists have an end, instants
    have a zone, days lie in sane years.
    """
    assert without_limit(kind) == []


def test_the_walk_finds_what_has_none():
    """The walk above does look: each kind of field without a limit is found, however deep it stands."""
    inner = msgspec.defstruct("Inner", [("day", date), ("what", dict[str, str])])
    kind = msgspec.defstruct(
        "Outer",
        [
            ("a", int),
            ("b", str),
            ("c", list[inner]),
            ("d", Annotated[str, Meta(max_length=3)] | None),
            ("e", bytes),
            ("f", Annotated[int, Meta(ge=0)]),
            ("g", limits.OrgId),
            ("h", float),
            ("i", limits.Line | None),
        ],
    )
    assert set(without_limit(kind)) == {
        "Outer.a",
        "Outer.b",
        "Outer.c",
        "Outer.d",
        "Outer.e",
        "Outer.f",
        "Outer.h",
        "Inner: day of any year",
        "Inner.what",
    }


@pytest.mark.parametrize(
    "body, pointer, wanted",
    [
        ('{"org_id": 0}', "/items/0/org_id", "at least 1"),
        (f'{{"org_id": {2**63}}}', "/items/0/org_id", f"at most {2**63 - 1}"),
        (f'{{"org_id": {"9" * 5000}}}', "/items/0/org_id", "out of range"),
        ('{"org_id": "²"}', "/items/0/org_id", "int"),
        ('{"org_id": 1e3}', "/items/0/org_id", "int"),
        ('{"full_name": "a\\u0000"}', "/items/0/full_name", "control characters"),
        ('{"full_name": "a\\n"}', "/items/0/full_name", "control characters"),
        ('{"full_name": "a\\u202eb"}', "/items/0/full_name", "control characters"),
        ('{"full_name": "' + "长" * 301 + '"}', "/items/0/full_name", "at most 300 characters"),
        ('{"command_id": "x"}', "/items/0/command_id", "UUID"),
    ],
)
def test_a_refusal_names_field_and_limit(body, pointer, wanted):
    """The pointer leads to the field in what was sent, and both languages say what is wanted."""
    item = {"command_id": "00000000-0000-0000-0000-000000000001", "parent_id": 1}
    # Put together as text, since no encoder writes what the cases hold.
    whole = "[" + json.dumps(item)[:-1] + ", " + body[1:] + "]"
    with pytest.raises(Refused) as caught:
        decoding.decode(msgspec.json.Decoder(list[orgs.SaveOrg]), whole.encode(), "/items")
    refusal = caught.value.refusal
    assert refusal.code == "bad_request"
    assert refusal.values["pointer"] == pointer
    assert wanted in refusal.say("en")
    assert re.search(r"[\u4e00-\u9fff]", refusal.say("zh").partition(":")[2])
    assert not re.search(r"[\u4e00-\u9fff]", refusal.say("en"))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'[{"x":' + b"[" * 100_000,
        b'[{"x":' + b'{"a":' * 100_000,
        b"\xff\xfe",
        b'[{"full_name": "\xff"}]',
        b"",
        b"{}",
        b'["\\ud800"]',
    ],
)
def test_what_is_no_json_of_ours(body):
    """Depth, broken UTF-8 and halves of characters are refused like any other form."""
    for decoder in (msgspec.json.Decoder(list[orgs.SaveOrg]), msgspec.json.Decoder(orgs.GetOrgs)):
        with pytest.raises(Refused) as caught:
            decoding.decode(decoder, body)
        assert caught.value.code == "bad_request"
        assert caught.value.refusal.say() != caught.value.refusal.say("en")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'[{"correlation_id":"a","name":"b","body":' + b"[" * 100_000,
        b"\xff",
        b"{}",
        b'[["a",' + b"[" * 100_000,
        b'[{"correlation_id":"\xff"}]',
    ],
)
def test_a_message_nested_deeply_is_unreadable(body):
    """A bundle of calls or answers is read or is unreadable; the loop of a queue knows no third case."""
    for read in (read_calls, read_answers):
        with pytest.raises(Unreadable):
            read(body)


@given(st.one_of(st.dates(), st.just(date.max), st.just(date.min)))
def test_days_lie_in_sane_years(day):
    """A day beyond what month ends and zones can be reckoned with is refused.

    It is refused where the request is made and where it is read.
    """
    body = json.dumps({"person_ids": [1], "on": day.isoformat()}).encode()
    if limits.FIRST_YEAR <= day.year <= limits.LAST_YEAR:
        assert decoding.decode(msgspec.json.Decoder(members.WhereWas), body).on == day
        return
    with pytest.raises(Refused) as made:
        members.WhereWas(person_ids=[1], on=day)
    with pytest.raises(Refused) as read:
        decoding.decode(msgspec.json.Decoder(members.WhereWas), body)
    assert made.value.refusal.values["pointer"] == read.value.refusal.values["pointer"] == "/on"


@pytest.mark.parametrize(
    "zone, taken",
    [
        ("Z", True),
        ("+08:00", True),
        ("+14:00", True),
        ("-12:00", True),
        ("+14:01", False),
        ("-22:41", False),
        ("+23:59", False),
    ],
)
def test_zones_are_those_on_earth(zone, taken):
    """An instant in a zone that PostgreSQL would not take is refused by name, before any statement."""
    text = f"1962-07-21T10:28:36{zone}"
    decoder = msgspec.json.Decoder(transfers.ListWork)
    if taken:
        assert decoding.decode(decoder, json.dumps({"until": text}).encode()).until.isoformat()
        return
    with pytest.raises(Refused) as made:
        transfers.ListWork(until=datetime.fromisoformat(text))
    with pytest.raises(Refused) as read:
        decoding.decode(decoder, json.dumps({"until": text}).encode())
    assert made.value.refusal.values["pointer"] == read.value.refusal.values["pointer"] == "/until"


@given(
    st.one_of(
        st.text(),
        st.sampled_from(
            (
                "²",
                "٣",
                "9" * 30,
                "9" * 5000,
                "-1",
                "+1",
                "1_0",
                "１",
                " 1",
                "1\n",
                "0x1",
                str(2**63),
                str(2**63 - 1),
                "2026-01",
                "2026-13-01",
                "9999-12-31",
                "2026-01-01T00:00:00",
                "2026-01-01T00:00:00Z",
                "0001-01-01T00:00:00+14:00",
                "\x00",
            )
        ),
    )
)
def test_any_text_of_a_form(text):
    """Whatever stands in a form or an address is a value within its bounds or `bad_request`.

    Nothing else is raised.
    """
    for read in (reading.number, reading.identifier, reading.day, reading.instant, reading.switch):
        try:
            value = read(text, "field")
        except Refused as refused:
            assert refused.code == "bad_request"
            assert refused.refusal.values["pointer"] == "/field"
            assert refused.refusal.say("en")
        else:
            assert not isinstance(value, int) or 0 <= value <= limits.MAX_ID
    assert msgspec.convert(reading.line(text)[:200], limits.Line) == reading.line(text)[:200]


def test_documented_choices_are_what_the_services_know():
    """The lists that documents show are those of the rules.

    A word more or less would be a promise that a service does not keep.
    """
    from services.members.records import rules as records
    from services.orgs import domain
    from services.transfers import saga

    def shown(kind: Any) -> set[str]:
        return set(kind.__metadata__[0].extra_json_schema["enum"])

    assert shown(limits.OrgKind) == set(domain.KINDS)
    assert shown(limits.OrgPurpose) == set(domain.PURPOSES)
    assert shown(limits.Initiator) == set(saga.FROM_OUTSIDE)
    assert {one.removesuffix("_without") for one in adviser.PLANS} == shown(limits.Plan)
    assert shown(limits.DeletionCause) - {"elsewhere", "other_system"} == set(records.CAUSES)
