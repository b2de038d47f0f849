"""When no letter is issued, and how a letter stands (DOC-01..04, BEY-13). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from shared.errors import Refusal
from shared.messages.words import LetterState

MOST_ON_A_LETTER = 50


def check_issue(
    kind: str | None, member_ids: Collection[int], addressee: str, reached: Collection[int]
) -> Refusal | None:
    """Return why an organisation issues no such letter (DOC-01, DOC-02).

    `kind` is that of the organisation, None where the person does not administer one; `reached` are
    the members of it and of what lies below.
    """
    if kind is None:
        return Refusal("not_administrator")
    if kind == "branch":
        return Refusal("letter_by_committee")
    if not member_ids or not addressee.strip():
        return Refusal("field_missing", {"field": "团员、抬头"})
    if len(member_ids) > MOST_ON_A_LETTER:
        return Refusal("too_many_items", {"limit": str(MOST_ON_A_LETTER)})
    if not set(member_ids) <= set(reached):
        return Refusal("unknown_member")
    return None


def check_repeated(first: Mapping[Any, Any] | None, said: Mapping[str, Any]) -> Refusal | None:
    """Return why a command is not the one that was sent first under its id.

    `first` is what that one said, None where there was none.
    """
    # what the service has added to the letter, such as its number, is not compared
    if first is not None and any(first[name] != value for name, value in said.items()):
        return Refusal("command_taken")
    return None


def check_voiding(own: bool) -> Refusal | None:
    """Return why a person does not declare a letter void.

    `own` says that the person administers its issuer; to others there is no such letter.
    """
    return None if own else Refusal("letter_unknown")


def check_printing(voided: bool, readable: bool) -> Refusal | None:
    """Return why a letter is not printed again (DOC-14).

    `readable` says that its code and the names on it are still known.
    """
    if voided:
        return Refusal("letter_void")
    return None if readable else Refusal("letter_unknown")


def state_of(voided: bool, valid_until: date | None, today: date) -> LetterState:
    """Return how a letter stands (BEY-13): void, lapsed, or in force to the end of its last day."""
    if voided:
        return LetterState.VOID
    if valid_until is not None and valid_until < today:
        return LetterState.LAPSED
    return LetterState.IN_FORCE
