"""Registration codes and self-registration (ADM, REG)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Act, Command, Query, words
from shared.messages.limits import (
    Address,
    CodeText,
    Dated,
    Day,
    Digits,
    Id,
    IdNumber,
    Instant,
    Line,
    Note,
    Opaque,
    OrgId,
    Password,
    PersonName,
    Phone,
    PostCode,
    ShortLine,
    maybe,
)


class IssueRegistrationCode(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a code with which one person becomes the organisation's administrator (ADM-04, ADM-09..13).

    An unspent code is replaced.
    """

    command_id: UUID
    org_id: OrgId


class RegistrationCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code to hand over: single-use, shown only in this answer.

    `expires_at` None: without limit (ADM-13).
    """

    org_id: int
    name: str = ""
    code: str = ""
    expires_at: Instant | None = None
    refusal: Refusal | None = None


class RegisterAdministrator(msgspec.Struct, frozen=True, kw_only=True):
    """Become an organisation's administrator with its code (ADM-04, ADM-15).

    As a new person, with all fields, or signed in, with the code alone. `post` is the post held
    there; `address` is the caller's, for the lockout.
    """

    code: CodeText
    post: PostCode = "secretary"
    name: PersonName = ""
    id_number: IdNumber = ""
    phone: Phone = ""
    password: Password = ""
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """Who is registered, and for which organisation."""

    person_id: int
    org_id: int
    org_name: str


class Register(Dated, frozen=True, kw_only=True):
    """Register oneself with an organisation, for its administrator to accept (REG-01..03, REG-08).

    As a member of a branch, or as a cadre of another organisation.
    """

    org_id: OrgId
    name: PersonName
    id_number: IdNumber
    password: Password
    ethnic_group: ShortLine = ""
    phone: Phone = ""
    joined_on: Day | None = None
    development_number: Digits = ""
    post: PostCode = ""
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""


class DecideRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """Accept or reject a registration (REG-07).

    With `withdraw` the applicants take back their own (REG-05).
    """

    registration_id: Id
    accept: bool = False
    withdraw: bool = False
    note: Note = ""


class RegistrationDecided(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one decision on a registration."""

    registration_id: int
    state: Annotated[str, maybe(words.RegistrationState)] = ""
    refusal: Refusal | None = None


class ListRegistrations(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the pending registrations of the acting organisation (REG-07).

    With `own`: for the caller's own, whatever their state. `name`: a part of the name of who asks.
    """

    own: bool = False
    name: Line = ""


class RegistrationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One registration: `pending`, `accepted`, `rejected`, `withdrawn`, `expired`."""

    registration_id: int
    org_id: int
    person_id: int
    name: str
    id_masked: str
    phone: str
    joined_on: dt.date | None
    post: PostCode
    state: words.RegistrationState
    note: str
    asked_at: Instant
    expires_at: Instant


issue_registration_codes = Command(
    "members", "issue_registration_codes", IssueRegistrationCode, RegistrationCode
)

register_administrator = Act(
    "members", "register_administrator", RegisterAdministrator, Registered, public=True
)

redeem_code = Act("members", "redeem_code", RegisterAdministrator, Registered)

register = Act("members", "register", Register, RegistrationInfo, public=True)

decide_registrations = Command("members", "decide_registrations", DecideRegistration, RegistrationDecided)

list_registrations = Query("members", "list_registrations", ListRegistrations, list[RegistrationInfo])
