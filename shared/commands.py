"""Commands that may come twice: each id is handled once, and each item of a list has its answer.

`once` is for services that see from their own rows what a command has made, such as a migration;
`once_remembered` for those that keep the answer itself, in their table `handled_commands`; `again`
for those whose statement takes an id once by itself, and that look back only where it made nothing.
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
    decided, and the others are repetitions of it. A refusal takes no id: if somebody else in the list
    has sent the same one, theirs is decided next, on what the first round has left.

    Args:
        asked: The list, which may be of several senders.
        earlier: The answers of commands of the list that were handled before.
        decide: Decides on commands that were not, and returns one answer for each of them. It is not
            called where there are none, and again only for ids of several senders.
        refused: Makes an answer from a refusal.

    """
    # `earlier` is the caller's and stays as it is
    made = dict(earlier)
    failed: dict[tuple[UUID, int], Answer] = {}
    while fresh := _fresh(asked, made, failed):
        for one, answer in zip(fresh, decide(fresh), strict=True):
            if answer.refusal is None:
                made[one.item.command_id] = Earlier(answer, one.actor.person_id)
            else:
                failed[one.item.command_id, one.actor.person_id] = answer
    answers = []
    for one in asked:
        own = failed.get((one.item.command_id, one.actor.person_id))
        answers.append(own if own is not None else again(one, made[one.item.command_id], refused))
    return answers


def _fresh(
    asked: Sequence[Asked[Item]],
    made: Mapping[UUID, Earlier[Answer]],
    failed: Mapping[tuple[UUID, int], Answer],
) -> list[Asked[Item]]:
    """Return the first item of each id that made nothing yet and was not refused to its sender."""
    first: dict[UUID, Asked[Item]] = {}
    for one in asked:
        command = one.item.command_id
        if command not in made and (command, one.actor.person_id) not in failed:
            first.setdefault(command, one)
    return list(first.values())


def again(one: Asked[Item], made: Earlier[Answer], refused: Callable[[Item, Refusal], Answer]) -> Answer:
    """Return what a command was answered, to its own sender; to anybody else that its id is taken."""
    own = made.person_id is None or made.person_id == one.actor.person_id
    return made.answer if own else refused(one.item, Refusal("command_taken"))


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
