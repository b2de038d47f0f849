"""Each command is handled once and answers its sender, whoever else sends its id and however often."""

import os
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from services.orgs.models import metadata
from shared import commands, db
from shared.bus.service import Asked
from shared.commands import Earlier
from shared.errors import Refusal
from shared.identity import Actor

SERVER = os.environ.get("DATABASE_URL") or "postgresql://postgres@localhost:5432/"
TAKEN = "command_taken"


class Item(msgspec.Struct, frozen=True):
    """An item with an id; it is refused without a text."""

    command_id: UUID
    text: str = ""


class Made(msgspec.Struct, frozen=True):
    """What was made of an item, or why nothing was."""

    text: str = ""
    refusal: Refusal | None = None


def key(n):
    """Return the id of command `n`."""
    return UUID(int=n)


def asking(*said):
    """Return a list of commands, each given as its number, its text and its sender."""
    return [Asked(Item(key(n), text), Actor(person, 1)) for n, text, person in said]


class Deciding:
    """Makes the text of each item again, and keeps what it was asked, a list per call."""

    def __init__(self):
        self.calls = []

    def __call__(self, fresh):
        self.calls.append([one.item.text for one in fresh])
        return [
            Made(one.item.text) if one.item.text else Made(refusal=Refusal("field_missing")) for one in fresh
        ]


def refused(item, refusal):
    """Return a refusal as an answer."""
    return Made(refusal=refusal)


def said(answers):
    """Return the text or the code of each answer."""
    return [one.refusal.code if one.refusal else one.text for one in answers]


@pytest.mark.parametrize(
    "known, asked, decided, answers",
    [
        ({}, [], [], []),
        ({}, [(1, "a", 7), (2, "b", 8)], [["a", "b"]], ["a", "b"]),
        # of before: to its sender, to somebody else, and of when owners were not kept
        ({1: ("x", 7)}, [(1, "a", 7)], [], ["x"]),
        ({1: ("x", 7)}, [(1, "a", 8)], [], [TAKEN]),
        ({1: ("x", None)}, [(1, "a", 8)], [], ["x"]),
        # only what is new is decided, and every answer stands where its item stood
        ({2: ("x", 7)}, [(3, "c", 7), (2, "b", 7), (1, "a", 7)], [["c", "a"]], ["c", "x", "a"]),
        # twice in one list
        ({}, [(1, "a", 7), (2, "b", 7), (1, "other", 7)], [["a", "b"]], ["a", "b", "a"]),
        ({}, [(1, "a", 7), (1, "a", 8)], [["a"]], ["a", TAKEN]),
        ({1: ("x", 7)}, [(1, "a", 7), (1, "a", 8), (1, "a", 7)], [], ["x", TAKEN, "x"]),
        # what was refused took no id: somebody else's of the same id is decided, each sender's once
        ({}, [(1, "", 7), (1, "", 7), (1, "a", 8)], [[""], ["a"]], ["field_missing", "field_missing", "a"]),
        (
            {},
            [(1, "", 7), (1, "a", 8), (1, "b", 9), (1, "c", 7)],
            [[""], ["a"]],
            ["field_missing", "a", TAKEN, "field_missing"],
        ),
    ],
)
def test_once(known, asked, decided, answers):
    """Each new id is decided once, and each item has its answer, its own sender's alone."""
    decide = Deciding()
    earlier = {key(n): Earlier(Made(text), person) for n, (text, person) in known.items()}
    assert said(commands.once(asking(*asked), earlier, decide, refused)) == answers
    assert decide.calls == decided


def test_a_decision_answers_every_item():
    """Too few answers are an error, not answers in the wrong place."""
    with pytest.raises(ValueError):
        commands.once(asking((1, "a", 7), (2, "b", 7)), {}, lambda fresh: [Made("a")], refused)


@pytest.fixture
def tx():
    """A transaction in a database with the table of answers."""
    url = str(
        db.address(SERVER)
        .set(database=f"tq_test_commands_{os.getpid()}")
        .render_as_string(hide_password=False)
    )
    db.drop_database(url)
    db.create_database(url)
    engine = db.connect(url)
    try:
        metadata.tables["handled_commands"].create(engine)
        with engine.begin() as tx:
            yield tx
    finally:
        engine.dispose()
        db.drop_database(url)


def test_answers_are_remembered(tx):
    """An answer is kept with its sender, a refusal is not: what was refused may be sent again, by anybody."""
    decide = Deciding()

    def ask(*said_now):
        return said(commands.once_remembered(tx, asking(*said_now), Made, decide, refused))

    tx.execute(
        sa.text("INSERT INTO handled_commands (command_id, reply) VALUES (:id, :reply)"),
        {"id": key(9), "reply": '{"text": "before owners"}'},
    )
    assert ask((1, "a", 7), (2, "", 7), (9, "c", 8)) == ["a", "field_missing", "before owners"]
    assert ask((1, "a", 7), (1, "a", 8)) == ["a", TAKEN]
    assert ask((2, "b", 8)) == ["b"]
    assert ask((2, "b", 8), (2, "b", 7)) == ["b", TAKEN]
    assert decide.calls == [["a", ""], ["b"]]
