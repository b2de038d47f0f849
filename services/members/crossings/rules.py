"""What is sealed of a member who goes, and who may come (FED-10, FED-14). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from shared.messages.sealed import SealedPerson, SealedRecord, SealedStay

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
