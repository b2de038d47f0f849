"""What is sealed of a member who goes, and who may come (FED-10, FED-14). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from services.members import domain
from services.members.domain import Known
from shared.messages.sealed import SealedPerson, SealedRecord, SealedStay
from shared.messages.words import BridgeReason

MOST_STAYS = 100
"""Stays of a record; of more the newest are told."""
SHORT = 60
"""Characters of a short line."""


class Kept(NamedTuple):
    """What is kept of a member, opened."""

    number: str
    name: str
    joined_on: date | None
    ethnic_group: str
    development_number: str
    phone: str
    contact: str
    emergency_contact: str
    party: bool


def subject_of(transfer_id: int) -> str:
    """Return how messages of a bridge name a transfer that leads from here."""
    return f"national:{transfer_id}"


def person(transfer_id: int, kept: Kept, place: Iterable[str]) -> SealedPerson:
    """Return who is offered, with the lines of where the member lives or works as the remark."""
    return SealedPerson(
        subject=subject_of(transfer_id),
        number=kept.number,
        name=kept.name,
        joined_on=kept.joined_on,
        phone=kept.phone,
        remark="\n".join(line for line in place if line),
    )


def record(transfer_id: int, kept: Kept, stays: Iterable[SealedStay]) -> SealedRecord:
    """Return the record of a member; a stay that was told from both sides stands in it once."""
    once = {(stay.branch, stay.since): stay for stay in stays}
    return SealedRecord(
        subject=subject_of(transfer_id),
        number=kept.number,
        name=kept.name,
        joined_on=kept.joined_on,
        ethnic_group=kept.ethnic_group[:SHORT],
        development_number=kept.development_number[:SHORT],
        phone=kept.phone,
        contact=kept.contact[:SHORT],
        emergency_contact=kept.emergency_contact[:SHORT],
        party=kept.party,
        stays=list(once.values())[-MOST_STAYS:],
    )


# ---- who comes -----------------------------------------------------------------------------------


def check_offered(said: SealedPerson, subject: str, today: date) -> BridgeReason | None:
    """Return why somebody cannot come, by what the other system says alone (FED-14, MEM-04, IMP-08)."""
    if said.subject != subject:
        return BridgeReason.IDENTITY_DIFFERS
    number = domain.normalise_id(said.number)
    if domain.check_id(number, today) is not None:
        return BridgeReason.IDENTITY_INVALID
    if domain.check_name(domain.clean_name(said.name)) is not None:
        return BridgeReason.NAME_INVALID
    age = domain.age_on(domain.born_on(number), today)
    return None if domain.MINIMUM_AGE <= age < domain.MAXIMUM_AGE else BridgeReason.AGE_OUT_OF_RANGE


def check_known(name: str, known: Known | None, ours: bool, busy: bool) -> BridgeReason | None:
    """Return why somebody cannot come whose number is known here (FED-14, TRF-02).

    Args:
        name: As the other system has it.
        known: Who has the number here; None for nobody.
        ours: That person is a member here.
        busy: A transfer holds the person, or another offer of the person is open.

    """
    if known is None:
        return None
    if ours:
        return BridgeReason.IDENTITY_ACTIVE
    if busy or known.pending:
        return BridgeReason.TRANSFER_OPEN
    # what nobody but an own registration says of a number binds nobody (ACC-11)
    return None if known.claimed or known.name == name else BridgeReason.IDENTITY_DIFFERS


def check_record(said: SealedRecord, subject: str, same: bool) -> BridgeReason | None:
    """Return why a record is not taken; `same`: number and name are those of the person offered (FED-10)."""
    if said.subject != subject:
        return BridgeReason.RECORD_UNREADABLE
    return None if same else BridgeReason.IDENTITY_DIFFERS


def believable(joined_on: date | None, born: date | None, today: date) -> date | None:
    """Return a day of joining as a record has it, None for one that cannot be: the member is asked then."""
    good = joined_on is not None and joined_on <= today and (born is None or born < joined_on)
    return joined_on if good else None


def numbered(number: str) -> str:
    """Return a development number as a record has it, empty for what is none (MEM-12)."""
    said = domain.normalise_id(number)
    return said if domain.check_development_number(said, None) is None else ""


def stays_told(said: SealedRecord, ours: Iterable[tuple[str, date]]) -> list[SealedStay]:
    """Return the stays of a record that are not known from here, each once, oldest first."""
    known = set(ours)
    once = {(stay.branch, stay.since): stay for stay in said.stays if stay.branch}
    return [once[key] for key in sorted(once, key=lambda key: (key[1], key[0])) if key not in known]
