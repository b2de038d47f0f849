"""Use cases of members who go to another system and of people who come from one (FED-10, FED-14).

A seal of the same thing differs each time it is made, since its key and nonce are drawn anew. An event that
comes again is therefore answered by other bytes that say the same. That does no harm: of each transfer the
bridge makes one offer and hands over one record, whichever came first, and signs and keeps that.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from services.members import claims, domain, initial, people, settings, store
from services.members.crossings import rules, seals
from services.members.crossings import store as crossings_store
from services.members.crossings.seals import Unreadable
from services.members.log import log
from services.members.sealing.keys import keys, opened, sealed
from shared import audit, clock, directory, outbox
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages.federation import ArrivalDropped, ArrivalOffered, RecordCame
from shared.messages.members import (
    ArrivalKnown,
    ArrivalUnfit,
    GetRegistryKeys,
    MemberOffered,
    RecordRefused,
    RecordSealed,
    RecordTaken,
    RegistryKey,
)
from shared.messages.sealed import SealedPerson, SealedRecord, SealedStay
from shared.messages.transfers import ArrivalAnswered, HandoverOpened, RemoteOpened, TransferRequested
from shared.messages.words import BridgeReason

KEEP_UNCOME = timedelta(days=30)
"""How long somebody is kept who was offered and has not come."""

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
    new = crossings_store.begin_handovers(tx, held, clock.now())
    stays = crossings_store.stays(tx, [item.member_id for item in held]) if held else {}
    outbox.emit(tx, [_sealed(item, people[item.member_id], stays.get(item.member_id, [])) for item in held])
    log.append(tx, [_given(item, people[item.member_id]) for item in held if item.transfer_id in new])


def _given(item: HandoverOpened, row: store.Person) -> audit.Entry:
    return audit.Entry(
        kind="member.handed_over",
        place_id=row.branch_id,
        persons=[row.person_id],
        ref=f"transfer {item.transfer_id}",
        after={"peer": item.peer},
    )


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


# ---- who comes -----------------------------------------------------------------------------------


class _Offer(NamedTuple):
    """An offer that was opened and speaks for itself: the row of the person, blind index, sealed remark."""

    item: ArrivalOffered
    row: people.Entered
    id_index: bytes
    remark: str | None


def on_arrival_offered(tx: Connection, items: list[ArrivalOffered]) -> None:
    """Open who is offered, and say whether the person may come and who it is here (FED-08, FED-14, TRF-02).

    Who is not known here is entered, without an account, into the branch of the other system; who has been
    here before is the same person again. An offer that comes again is answered as before.

    Raises:
        LookupError: The branch is none of that system's here, or is not known yet; somebody else has entered
            the person at this moment; the registry has no key. It is tried again.

    """
    earlier = crossings_store.arrivals(tx, [item.subject for item in items])
    fresh = {item.subject: item for item in items if item.subject not in earlier}
    offers, unfit = _opened(fresh.values())
    coming = _Coming(tx, offers)
    unfit |= coming.unfit
    _check_sources(tx, [offers[subject].item for subject in coming.known | coming.new])
    found = coming.enter(tx)
    crossings_store.remember(
        tx,
        [
            {
                "subject": item.subject,
                "peer": item.peer,
                "person_id": found.get(item.subject),
                "branch_id": item.source_branch_id,
                "code": str(unfit.get(item.subject, "")),
                "unbound": item.subject in coming.unbound,
                "remark_sealed": offers[item.subject].remark if item.subject in found else None,
            }
            for item in fresh.values()
        ],
        clock.now(),
    )
    outbox.emit(tx, [_answered(item, earlier.get(item.subject), found, unfit) for item in items])
    log.append(
        tx,
        [
            audit.Entry(
                kind="member.offered",
                place_id=fresh[subject].source_branch_id,
                persons=[member],
                ref=f"crossing {subject}",
                after={"new": subject in coming.new},
            )
            for subject, member in found.items()
        ],
    )


def _answered(
    item: ArrivalOffered,
    before: crossings_store.Arrival | None,
    found: Mapping[str, int],
    unfit: Mapping[str, BridgeReason],
) -> ArrivalKnown | ArrivalUnfit:
    member = before.person_id if before is not None else found.get(item.subject)
    code = before.code if before is not None else str(unfit.get(item.subject, ""))
    if before is not None and member is not None and not before.there:
        # the person was erased since, so nobody can come by this offer any more
        member, code = None, str(BridgeReason.TOO_LATE)
    if member is None:
        return ArrivalUnfit(subject=item.subject, peer=item.peer, code=code)
    return ArrivalKnown(subject=item.subject, peer=item.peer, member_id=member)


def _opened(items: Iterable[ArrivalOffered]) -> tuple[dict[str, _Offer], dict[str, BridgeReason]]:
    """Return offers that speak for themselves, and why the others do not, by subject."""
    offers: dict[str, _Offer] = {}
    unfit: dict[str, BridgeReason] = {}
    registry, today = seals.registry(), clock.today()
    for item in items:
        try:
            said = registry.open(item.person, SealedPerson)
        except Unreadable:
            unfit[item.subject] = BridgeReason.IDENTITY_DIFFERS
            continue
        reason = rules.check_offered(said, item.subject, today)
        if reason is not None:
            unfit[item.subject] = reason
        else:
            offers[item.subject] = _offer(item, said)
    return offers, unfit


def _offer(item: ArrivalOffered, said: SealedPerson) -> _Offer:
    row = people.new_person(said.name, said.number, said.phone, "")
    row["branch_id"] = item.source_branch_id
    number = domain.normalise_id(said.number)
    row["joined_on"] = rules.believable(said.joined_on, domain.born_on(number), clock.today())
    return _Offer(item, row, base64.b64decode(row["id_index"]), sealed(said.remark))


def _check_sources(tx: Connection, items: Sequence[ArrivalOffered]) -> None:
    orgs = directory.find(tx, [item.source_branch_id for item in items])
    for item in items:
        org = orgs.get(item.source_branch_id)
        if org is None or org.system != item.peer or org.kind != "branch":
            raise LookupError(f"{item.subject}: {item.peer} has no branch {item.source_branch_id}")


class _Coming:
    """Those of a list of offers whose person may come: known here, or new; and why the others may not."""

    def __init__(self, tx: Connection, offers: Mapping[str, _Offer]) -> None:
        self.offers = offers
        self.known: dict[str, domain.Known] = {}
        self.new: dict[str, people.Entered] = {}
        self.unfit: dict[str, BridgeReason] = {}
        self.unbound: set[str] = set()
        if offers:
            self._look(tx)

    def _look(self, tx: Connection) -> None:
        indexes = [offer.id_index for offer in self.offers.values()]
        held = {index: row.reserved_by for index, row in crossings_store.hold_known(tx, indexes).items()}
        known = store.known(tx, list(held)) if held else {}
        open_ones = crossings_store.under_way(tx, [one.person_id for one in known.values()])
        others = directory.of_others(tx, [one.branch_id for one in known.values() if one.branch_id])
        taken: set[bytes] = set()
        for subject, offer in self.offers.items():
            one = known.get(offer.id_index)
            ours = one is not None and one.branch_id is not None and one.branch_id not in others
            busy = one is not None and (held[offer.id_index] is not None or one.person_id in open_ones)
            reason = rules.check_known(offer.row["name"], one, ours, busy)
            if reason is None and offer.id_index in taken:
                reason = BridgeReason.TRANSFER_OPEN
            if reason is not None:
                self.unfit[subject] = reason
                continue
            taken.add(offer.id_index)
            if one is None:
                self.new[subject] = offer.row
                continue
            self.known[subject] = one
            if one.branch_id is None:
                self.unbound.add(subject)

    def enter(self, tx: Connection) -> dict[str, int]:
        """Let all of them stand in the branches that their systems say; return who they are, by subject."""
        now = clock.now()
        claims.yield_to(tx, [self.offers[subject].row for subject in self.known])
        rows: list[crossings_store.Brought] = [
            {"person_id": one.person_id, "branch_id": self.offers[subject].item.source_branch_id}
            for subject, one in self.known.items()
        ]
        crossings_store.bring(tx, rows, now)
        made = store.add(tx, self.new.values(), now, accounts=False) if self.new else {}
        found = {subject: one.person_id for subject, one in self.known.items()}
        for subject in self.new:
            if self.offers[subject].id_index not in made:
                raise LookupError(f"{subject}: the person was entered at this moment")
            found[subject] = made[self.offers[subject].id_index]
        return found


def from_elsewhere(tx: Connection, items: Sequence[TransferRequested]) -> list[TransferRequested]:
    """Return those requests whose source is a branch that another system keeps (FED-08)."""
    others = directory.of_others(tx, {item.source_branch_id for item in items})
    return [item for item in items if item.source_branch_id in others]


def not_offered(tx: Connection, coming: Sequence[TransferRequested]) -> dict[int, Refusal]:
    """Return why members of another system are not held, by transfer: it has not offered them (FED-12)."""
    offered = crossings_store.under_way(tx, [item.member_id for item in coming]) if coming else {}
    return {
        item.transfer_id: Refusal("member_elsewhere")
        for item in coming
        if offered.get(item.member_id) != item.source_branch_id
    }


def begun(tx: Connection, coming: Sequence[TransferRequested]) -> None:
    """Note which transfers hold people who are to come; what holds nobody ends the offer.

    The reservation has been answered before, in this transaction.
    """
    if coming:
        crossings_store.follow(tx, coming)
        holding = {row.reserved_by for row in store.by_ids(tx, [item.member_id for item in coming]).values()}
        lost = [item for item in coming if item.transfer_id not in holding]
        orgs = directory.find(tx, [item.source_branch_id for item in lost])
        _end_unbegun(tx, [(item.member_id, orgs[item.source_branch_id].system) for item in lost])


def _end_unbegun(tx: Connection, lost: Collection[tuple[int, str]]) -> None:
    crossings_store.end_unbegun(
        tx, [{"member_id": member, "peer": peer} for member, peer in lost], clock.now()
    )


def on_arrival_answered(tx: Connection, items: list[ArrivalAnswered]) -> None:
    """End the offers of people for whom transfers has begun nothing, so that they can be offered again."""
    _end_unbegun(tx, [(item.member_id, item.peer) for item in items if item.transfer_id is None])


def on_arrival_dropped(tx: Connection, items: list[ArrivalDropped]) -> None:
    """End offers that the other system has called off before a transfer of theirs began (FED-08)."""
    crossings_store.end_dropped(tx, items, clock.now())


def completed(tx: Connection, items: Sequence[Any]) -> None:
    """Give people who have come their accounts, once their transfers have moved them (ACC-04, FED-10)."""
    crossings_store.complete(tx, items, clock.now(), initial.initial_tail(tx))


def ended(tx: Connection, items: Sequence[Any]) -> None:
    """End the offers of transfers by which nobody has come."""
    crossings_store.end(tx, items, clock.now())


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """Erase who was offered, has not come in the end, and whom nothing else ties to us."""
    erased = crossings_store.erase(tx, clock.now() - KEEP_UNCOME)
    log.append(tx, [audit.Entry(kind="member.erased", persons=[member]) for member in erased])


# ---- their records -------------------------------------------------------------------------------


def on_record_came(tx: Connection, items: list[RecordCame]) -> None:
    """Open records, compare them with who was offered, and take over what they say (FED-10, FED-14).

    Raises:
        LookupError: There is no such offer, or no such transfer of it yet; the registry has no key. It is
            tried again.

    """
    subjects = [item.subject for item in items]
    before = crossings_store.arrivals(tx, subjects).values()
    held = crossings_store.hold(tx, [row.person_id for row in before if row.person_id is not None])
    # looked at again, since what has ended meanwhile was ended by somebody who held the person
    arrivals = crossings_store.arrivals(tx, subjects)
    answers: list[RecordTaken | RecordRefused] = []
    taken: dict[int, SealedRecord] = {}
    for item in items:
        arrival = arrivals.get(item.subject)
        if (
            arrival is None
            or arrival.person_id is None
            or (arrival.peer, arrival.transfer_id) != (item.peer, item.transfer_id)
        ):
            raise LookupError(f"{item.subject}: nobody is awaited by transfer {item.transfer_id}")
        member = arrival.person_id
        if arrival.completed:  # the record has come before
            answers.append(RecordTaken(transfer_id=item.transfer_id, member_id=member))
            continue
        said = BridgeReason.TOO_LATE if arrival.ended else _record(item, held[member])
        if isinstance(said, BridgeReason):
            answers.append(RecordRefused(transfer_id=item.transfer_id, member_id=member, code=str(said)))
            continue
        taken[member] = said
        answers.append(RecordTaken(transfer_id=item.transfer_id, member_id=member))
    if taken:
        _take_over(tx, taken, held)
    outbox.emit(tx, answers)


def _record(item: RecordCame, row: store.Person) -> SealedRecord | BridgeReason:
    """Return the record of a person, or why it is not taken."""
    try:
        said = seals.registry().open(item.record, SealedRecord)
    except Unreadable:
        return BridgeReason.RECORD_UNREADABLE
    index = keys.seal.index(domain.normalise_id(said.number))
    same = index == bytes(row.id_index) and domain.clean_name(said.name) == row.name
    return rules.check_record(said, item.subject, same) or said


def _take_over(tx: Connection, taken: Mapping[int, SealedRecord], held: Mapping[int, store.Person]) -> None:
    """Write what records say of people who are held; a number that somebody else has is left out (MEM-09)."""
    said = {member: rules.numbered(record.development_number) for member, record in taken.items()}
    used = store.used_numbers(tx, [number for number in said.values() if number])
    numbers: dict[str, int] = {}
    for member, number in said.items():
        if number and used.get(number, member) == member:
            numbers.setdefault(number, member)
    mine = {member: number for number, member in numbers.items()}
    store.take_numbers(tx, [number for number, member in numbers.items() if used.get(number) != member])
    rows: list[crossings_store.Taken] = [
        {
            "person_id": member,
            "joined_on": rules.believable(record.joined_on, held[member].born_on, clock.today()),
            "ethnic_group": record.ethnic_group.strip(),
            "development_number": mine.get(member, ""),
            "phone_sealed": sealed(record.phone),
            "contact_sealed": sealed(record.contact),
            "emergency_sealed": sealed(record.emergency_contact),
            "party": record.party,
        }
        for member, record in sorted(taken.items())
    ]
    here = crossings_store.stays_here(tx, taken)
    stays: list[crossings_store.StayElsewhere] = [
        {
            "person_id": member,
            "number": number,
            "branch": stay.branch,
            "since": stay.since,
            "until": stay.until,
        }
        for member, record in sorted(taken.items())
        for number, stay in enumerate(rules.stays_told(record, here.get(member, ())), start=1)
    ]
    crossings_store.take_over(tx, rows, stays)
    log.append(
        tx,
        [
            audit.Entry(
                kind="member.taken",
                place_id=held[member].branch_id,
                persons=[member],
                ref=f"crossing {taken[member].subject}",
            )
            for member in sorted(taken)
        ],
    )


def get_registry_keys(tx: Connection, request: GetRegistryKeys, actor: Actor | None) -> list[RegistryKey]:
    """Return how long the keys last that registries are sealed for, ours and the peers' (BEY-16).

    Raises:
        Refused: `not_administrator`, `operators_only`.

    """
    if directory.require_above(tx, actor, observers=True).parent_id is not None:
        raise Refused("operators_only")
    left = seals.days_left(settings.of(tx).peers, clock.now())
    return [RegistryKey(peer=peer, days_left=int(days)) for peer, days in left.items()]
