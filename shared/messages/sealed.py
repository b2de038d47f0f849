"""What is sealed for the other system's registry: who a member is, and the record (FED-10, FED-14).

members alone makes and opens these; they travel as JWE and stand nowhere else in the open. Names are
those that docs/federation.md prints, so only additions are made here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.messages.federation import Subject
from shared.messages.limits import Dated, Day, IdNumber, OrgName, PersonName, Phone, Prose, ShortLine


class SealedPerson(Dated, frozen=True, kw_only=True, omit_defaults=True):
    """Who is to come: enough to find out whether the person may, and to call.

    `subject` is that of the message, so that what was sealed for one transfer opens in no other.
    """

    subject: Subject
    number: IdNumber
    name: PersonName
    joined_on: Day | None = None
    phone: Phone = ""
    remark: Prose = ""


class SealedStay(Dated, frozen=True, kw_only=True, omit_defaults=True):
    """A branch that the member has stood in, by its full name; the last one has no `until`."""

    branch: OrgName
    since: Day
    until: Day | None = None


class SealedRecord(Dated, frozen=True, kw_only=True, omit_defaults=True):
    """The record: the person as in the offer, and what is kept of a member.

    `party`: is a Party member who keeps membership.
    """

    subject: Subject
    number: IdNumber
    name: PersonName
    joined_on: Day | None = None
    ethnic_group: ShortLine = ""
    development_number: ShortLine = ""
    phone: Phone = ""
    contact: ShortLine = ""
    emergency_contact: ShortLine = ""
    party: bool = False
    stays: Annotated[list[SealedStay], Meta(max_length=100, description="oldest first")] = msgspec.field(
        default_factory=list
    )
