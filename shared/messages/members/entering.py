"""Entering people, one by one and from rosters (MEM, IMP)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Command, Query
from shared.messages.limits import (
    Dated,
    Day,
    Digits,
    IdNumber,
    Number,
    OrgId,
    OrgName,
    PersonName,
    Phone,
    PostCode,
    Prose,
    ShortLine,
)


class Admission(Dated, frozen=True, kw_only=True):
    """One row of a roster, to be entered into a branch (IMP-05, IMP-08)."""

    command_id: UUID
    branch_id: OrgId
    name: PersonName
    id_number: IdNumber
    ethnic_group: ShortLine = ""
    phone: Phone = ""
    joined_on: Day | None = None
    development_number: Digits = ""
    post: PostCode = ""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one row: the new member, or why not in the words of the catalogue."""

    member_id: int | None = None
    reason: str | None = None
    refusal: Refusal | None = None


class ImportRow(Dated, frozen=True, kw_only=True):
    """One row of an uploaded roster (IMP-05).

    All rows of a file share `import_id`; with `number` it is the row's key, so a list may be sent
    again.

    An empty `branch_name`: a cadre of the importing organisation itself (IMP-11). `problem` is a
    fault found in reading; such a row fails without being tried. `again`: the row takes the place of
    the failed one of its number, and is tried once more (IMP-07).
    """

    import_id: UUID
    number: Number
    branch_name: OrgName
    name: PersonName
    id_number: IdNumber
    ethnic_group: ShortLine = ""
    phone: Phone = ""
    joined_on: Day | None = None
    development_number: Digits = ""
    post: PostCode = ""
    problem: Prose = ""
    again: bool = False


class ImportTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one row: it is kept and will be tried."""

    number: int
    refusal: Refusal | None = None


class GetImport(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how far an import is (IMP-06, IMP-07).

    `failed_after` asks for up to 500 failed rows after that number as well.
    """

    import_id: UUID
    failed_after: Number | None = None


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an import is: rows in all, entered, failed; the rest waits."""

    rows: int
    entered: int
    failed: int
    failures: list[ImportRow] = []


admit = Command("members", "admit", Admission, Admitted)

import_rows = Command("members", "import_rows", ImportRow, ImportTaken)

get_import = Query("members", "get_import", GetImport, ImportProgress)
