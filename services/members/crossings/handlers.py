"""Use cases of members who go to another system and of people who come from one (FED-10, FED-14).

A seal of the same thing differs each time it is made, since its key and nonce are drawn anew. An event that
comes again is therefore answered by other bytes that say the same. That does no harm: of each transfer the
bridge makes one offer and hands over one record, whichever came first, and signs and keeps that.
"""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from services.members import store
from services.members.crossings import rules, seals
from services.members.crossings import store as crossings_store
from services.members.sealing.keys import keys, opened
from shared import clock, outbox
from shared.messages.members import MemberOffered, RecordSealed
from shared.messages.sealed import SealedRecord, SealedStay
from shared.messages.transfers import HandoverOpened, RemoteOpened

# ---- who goes ------------------------------------------------------------------------------------


def on_remote_opened(tx: Connection, items: list[RemoteOpened]) -> None:
    """Seal who is to go for the registry of the other system; the bridge makes the offer (FED-10).

    Raises:
        LookupError: A member is not there, or that registry has no valid key: it is tried again.

    """
    people = store.by_ids(tx, [item.member_id for item in items])
    outbox.emit(tx, [_offered(item, people.get(item.member_id)) for item in items])


def _offered(item: RemoteOpened, row: store.Person | None) -> MemberOffered:
    if row is None:
        raise LookupError(f"transfer {item.transfer_id}: there is no member {item.member_id}")
    person = rules.person(item.transfer_id, _kept(row), (item.place_name, item.place_address))
    return MemberOffered(
        transfer_id=item.transfer_id,
        peer=item.peer,
        source_branch_id=item.source_branch_id,
        target_org_id=item.target_org_id,
        target_name=item.target_name,
        reason=item.reason,
        started_at=item.started_at,
        answer_by=item.answer_by,
        person=seals.registry().seal(item.peer, person, clock.now()),
    )


def _kept(row: store.Person) -> rules.Kept:
    """Return what is kept of a person, opened."""
    return rules.Kept(
        keys.seal.open(row.id_sealed),
        row.name,
        row.joined_on,
        row.ethnic_group,
        row.development_number,
        opened(row.phone_sealed),
        opened(row.contact_sealed),
        opened(row.emergency_sealed),
        row.party,
    )


def on_handover_opened(tx: Connection, items: list[HandoverOpened]) -> None:
    """Seal the records of members whom another system takes, and freeze them here (FED-10).

    They are frozen as long as the transfer holds them (`closed`). Of a transfer that has ended nothing is
    told again.

    Raises:
        LookupError: The transfer does not hold the member yet, or the registry of the other system has no
            valid key: it is tried again.

    """
    people = crossings_store.hold(tx, [item.member_id for item in items])
    held = [item for item in items if _holds(item, people.get(item.member_id))]
    if len(held) < len(items):
        begun = crossings_store.begun_handovers(tx, [item.transfer_id for item in items])
        for item in items:
            if item not in held and item.transfer_id not in begun:
                raise LookupError(f"transfer {item.transfer_id} does not hold member {item.member_id}")
    crossings_store.begin_handovers(tx, held, clock.now())
    stays = crossings_store.stays(tx, [item.member_id for item in held]) if held else {}
    outbox.emit(tx, [_sealed(item, people[item.member_id], stays.get(item.member_id, [])) for item in held])


def _holds(item: HandoverOpened, row: store.Person | None) -> bool:
    return row is not None and row.reserved_by == item.transfer_id


def _sealed(item: HandoverOpened, row: store.Person, stays: list[crossings_store.Stay]) -> RecordSealed:
    told = [SealedStay(branch=stay.branch, since=stay.since, until=stay.until) for stay in stays]
    record = _short_enough(rules.record(item.transfer_id, _kept(row), told))
    return RecordSealed(
        transfer_id=item.transfer_id,
        peer=item.peer,
        record=seals.registry().seal(item.peer, record, clock.now()),
    )


def _short_enough(record: SealedRecord) -> SealedRecord:
    """Return a record without its oldest stays, where it would be larger than a message may be."""
    while seals.size(record) > seals.LARGEST_RECORD and record.stays:
        record = replace(record, stays=record.stays[1:])
    return record
