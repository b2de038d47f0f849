"""Introduction letters (DOC)."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    CodeText,
    Dated,
    Day,
    Days,
    Id,
    OrgName,
    PersonIds,
)


class IssueLetter(Dated, frozen=True, kw_only=True):
    """Issue an introduction letter for members of one's subtree (DOC-01..04)."""

    command_id: UUID
    member_ids: PersonIds
    addressee: OrgName
    dues_until: Day
    valid_days: Days | None = None
    to_org: OrgName = ""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter; `number` is unique per issuer and year.

    `code` proves it to anyone, and stands only in this answer and on the paper (BEY-13).
    """

    letter_id: int | None = None
    number: str = ""
    code: str = ""
    issuer: str = ""
    names: list[str] = []
    addressee: str = ""
    to_org: str = ""
    dues_until: dt.date | None = None
    issued_on: dt.date | None = None
    valid_until: dt.date | None = None
    refusal: Refusal | None = None


class VoidLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Declare one of one's own letters void."""

    letter_id: Id


class LetterVoided(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one letter."""

    letter_id: int
    refusal: Refusal | None = None


class CheckLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Ask, as anyone, whether a letter is genuine and in force (BEY-13)."""

    code: CodeText


class LetterChecked(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody may know: `in_force`, `lapsed` or `void`, the issuer, the number and the date.

    Nothing about persons.
    """

    state: words.LetterState
    issuer: str
    number: str
    issued_on: dt.date


issue_letters = Command("members", "issue_letters", IssueLetter, Letter)

void_letters = Command("members", "void_letters", VoidLetter, LetterVoided)

check_letter = Query("members", "check_letter", CheckLetter, LetterChecked, public=True)
