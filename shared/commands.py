"""Commands that may come twice: each id is handled once, and each item of a list has its answer.

`once` is for services that see from their own rows what a command has made, such as a transfer;
`once_remembered` for those that keep the answer itself, in their table `handled_commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.bus.service import Asked
from shared.errors import Refusal
from shared.recordset import columns, recordset


class Identified(Protocol):
    """An item of a command, with the id that its sender gave it."""

    @property
    def command_id(self) -> UUID:
        """Return the id; whoever repeats the command sends it again."""


class Answered(Protocol):
    """An answer to one item: what was made, or why nothing was."""

    @property
    def refusal(self) -> Refusal | None:
        """Return why nothing was made."""


Item = TypeVar("Item", bound=Identified)
Answer = TypeVar("Answer", bound=Answered)


class Earlier(NamedTuple, Generic[Answer]):
    """What a command was answered, and whose command it was; None: of before owners were kept."""

    answer: Answer
    person_id: int | None


def once(
    asked: Sequence[Asked[Item]],
    earlier: Mapping[UUID, Earlier[Answer]],
    decide: Callable[[list[Asked[Item]]], Sequence[Answer]],
    refused: Callable[[Item, Refusal], Answer],
) -> list[Answer]:
    """Return one answer per item, in their order; `decide` sees each new command once.

    A command of before is answered as it was then, to its own sender only: to anybody else it is
    `command_taken` and tells nothing. Of a command that stands in the list twice the first item is
    decided, and the others are repetitions of it.

    Args:
        asked: The list, which may be of several senders.
        earlier: The answers of commands of the list that were handled before.
        decide: Decides on commands that were not, and returns one answer for each of them. It is not
            called where there are none.
        refused: Makes an answer from a refusal.

    """
    first: dict[UUID, Asked[Item]] = {}
    for one in asked:
        if one.item.command_id not in earlier:
            first.setdefault(one.item.command_id, one)
    # `earlier` is the caller's and stays as it is
    answered = dict(earlier)
    if first:
        fresh = list(first.values())
        for one, answer in zip(fresh, decide(fresh), strict=True):
            answered[one.item.command_id] = Earlier(answer, one.actor.person_id)
    answers = []
    for one in asked:
        # also where it was decided just now: a list may be of several senders
        answer, owner = answered[one.item.command_id]
        own = owner is None or owner == one.actor.person_id
        answers.append(answer if own else refused(one.item, Refusal("command_taken")))
    return answers


class Reply(msgspec.Struct, frozen=True):
    """What a command was answered, as JSON, and whose command it was."""

    command_id: UUID
    reply: str
    person_id: int


_STORED = sa.text(
    "SELECT command_id, reply, person_id FROM handled_commands WHERE command_id = ANY(CAST(:ids AS uuid[]))"
)
_REMEMBER = sa.text(f"""
    INSERT INTO handled_commands ({columns(Reply)})
    SELECT {columns(Reply)}
    FROM {recordset(Reply)}""")


def remembered(
    tx: Connection, asked: Sequence[Asked[Item]], kind: type[Answer]
) -> dict[UUID, Earlier[Answer]]:
    """Return the stored answers of commands of a list; all are of one kind."""
    found = tx.execute(_STORED, {"ids": [str(one.item.command_id) for one in asked]})
    return {
        row.command_id: Earlier(msgspec.json.decode(row.reply, type=kind), row.person_id) for row in found
    }


def remember(tx: Connection, asked: Sequence[Asked[Item]], answers: Sequence[Answer]) -> None:
    """Store what commands were answered, each in the place of its command.

    A refusal has changed nothing and is not kept: the same command may be sent again once it is put
    right.
    """
    kept = [
        Reply(one.item.command_id, msgspec.json.encode(answer).decode(), one.actor.person_id)
        for one, answer in zip(asked, answers, strict=True)
        if answer.refusal is None
    ]
    if kept:
        db.run(tx, _REMEMBER, kept)


def once_remembered(
    tx: Connection,
    asked: Sequence[Asked[Item]],
    kind: type[Answer],
    decide: Callable[[list[Asked[Item]]], Sequence[Answer]],
    refused: Callable[[Item, Refusal], Answer],
) -> list[Answer]:
    """Do as `once` with the answers that this service remembers, and remember the new ones.

    Whoever calls this holds what the commands are about, so that of two that handle the same command
    at the same time the second finds the answer of the first.
    """

    def decide_and_remember(fresh: list[Asked[Item]]) -> Sequence[Answer]:
        answers = decide(fresh)
        remember(tx, fresh, answers)
        return answers

    return once(asked, remembered(tx, asked, kind), decide_and_remember, refused)
