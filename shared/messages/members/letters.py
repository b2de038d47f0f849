"""Introduction letters (DOC)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query, words
from shared.messages.limits import (
    After,
    CodeText,
    Dated,
    Day,
    Days,
    Id,
    Line,
    Note,
    OrgName,
    PageSize,
    PersonIds,
    maybe,
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
    """Declare one of one's own letters void; `reason` stands in the list and in the log (DOC-14)."""

    letter_id: Id
    reason: Note = ""


class LetterVoided(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one letter."""

    letter_id: int
    refusal: Refusal | None = None


class ListLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the letters that the acting organisation has issued, newest first (DOC-14).

    Narrowed by state, and by `text`: a number, a part of the addressee, or how the name of somebody
    on the letter begins. `after` is the `letter_id` of the last letter of the page before.
    """

    state: Annotated[str, maybe(words.LetterState)] = ""
    text: Line = ""
    oldest_first: bool = False
    after: After = 0
    limit: PageSize = 50


class IssuedLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter in the list of its issuer; `reason` says why it was declared void."""

    letter_id: int
    number: str
    addressee: str
    to_org: str
    names: list[str]
    issued_on: dt.date
    valid_until: dt.date | None
    state: words.LetterState
    reason: str


class PrintLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one of one's own letters as it was issued, to print it again (DOC-14)."""

    letter_id: Id


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

list_letters = Query("members", "list_letters", ListLetters, list[IssuedLetter])

print_letter = Query("members", "print_letter", PrintLetter, Letter)

check_letter = Query("members", "check_letter", CheckLetter, LetterChecked, public=True)
