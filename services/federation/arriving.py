"""Who comes: from the peer's offer over members and transfers to our answers (FED-08, FED-10, FED-14).

Members opens who it is; transfers starts, ends and completes; what each tells becomes an act of the bridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.engine import Connection

from services.federation import arrivals, places, store
from services.federation.handovers import Bridge, Deed, Told, perform, refusal, state_of
from services.federation.protocol import Act, Receiver, Side, Word
from services.federation.reasons import in_our_words, in_their_words
from services.federation.schemas import (
    Accepted,
    CalledOff,
    Integrated,
    Offer,
    Organisation,
    Progress,
    Record,
    Refused,
)
from shared import clock, directory
from shared.messages.federation import (
    ArrivalDropped,
    ArrivalOffered,
    PeerCalledOff,
    PeerRequested,
    RecordCame,
)
from shared.messages.members import ArrivalKnown, ArrivalUnfit
from shared.messages.transfers import (
    ArrivalAccepted,
    ArrivalAnswered,
    ArrivalCompleted,
    ArrivalWaits,
    CrossingEnded,
)
from shared.messages.words import BridgeReason, Reason
from shared.outbox import emit

ORDINARY = Reason("ordinary")
"""For a reason that is not known here; the approver sees the peer's words."""

# ---- what the peer says --------------------------------------------------------------------------


def on_heard(tx: Connection, bridge: Bridge, told: Sequence[Told]) -> None:
    """Take up what the peer says of those who come, in the transaction that has heard it."""
    some = [one for one in told if one.side is Side.RECEIVER]
    _offered(tx, bridge, some)
    _ended(tx, bridge, some)
    records = [(one.subject, one.data) for one in some if isinstance(one.data, Record)]
    awaited = {one.subject for one in some if one.state is Receiver.AWAITED}
    known = arrivals.find(tx, [subject for subject, _ in records])
    emit(
        tx,
        [
            RecordCame(
                subject=subject,
                peer=bridge.peer,
                transfer_id=known[subject].transfer_id or 0,
                record=data.record,
            )
            for subject, data in records
            # what comes too late has been sent back
            if subject in awaited
        ],
    )


def _offered(tx: Connection, bridge: Bridge, some: Iterable[Told]) -> None:
    """Have members open who is offered to an organisation of ours; refuse who is offered to none."""
    offers = [(one.subject, one.branch_id, one.data) for one in some if isinstance(one.data, Offer)]
    by_code = places.by_codes(tx, {data.to_org.code for *_, data in offers if data.to_org.code})
    by_name = places.by_names(tx, {data.to_org.name for *_, data in offers if not data.to_org.code})
    known, asked, refused = [], [], []
    for subject, source, data in offers:
        # who comes from a branch that is not known here waits in quarantine
        assert source is not None
        to = data.to_org
        target = by_code.get(to.code) if to.code else by_name.get(to.name)
        if target is None:
            refused.append(Deed(subject, Act.REFUSE, Refused(reason=BridgeReason.UNKNOWN_TARGET)))
            continue
        reason = Reason.known(data.reason) or ORDINARY
        known.append(
            arrivals.Offered(subject, arrivals.command_of(subject), source, target, reason, data.reason_text)
        )
        asked.append(
            ArrivalOffered(subject=subject, peer=bridge.peer, source_branch_id=source, person=data.person)
        )
    arrivals.add(tx, known)
    emit(tx, asked)
    _do(tx, bridge, refused)


def _ended(tx: Connection, bridge: Bridge, some: Iterable[Told]) -> None:
    """Tell transfers of those whom the peer does not send: called off, or its record was never here."""
    ends = {one.subject: one.data for one in some if isinstance(one.data, CalledOff)}
    ends |= {
        one.subject: CalledOff(reason=BridgeReason.NEVER_SEEN)
        for one in some
        if one.word is Word.QUERY_RECORD and one.state is Receiver.REFUSED
    }
    arrivals.end(tx, ends.items())
    known = arrivals.find(tx, ends)
    # who is not known to transfers yet is told once its answer is here
    emit(tx, [_called_off(bridge, one) for one in known.values() if one.transfer_id is not None])


def _called_off(bridge: Bridge, one: arrivals.Arrival) -> PeerCalledOff:
    code, note = in_our_words(one.end_code or "", one.end_note or "")
    return PeerCalledOff(transfer_id=one.transfer_id or 0, peer=bridge.peer, code=code, note=note)


# ---- what members and transfers tell -------------------------------------------------------------


def on_arrival_known(tx: Connection, bridge: Bridge, items: list[ArrivalKnown]) -> None:
    """Ask transfers to start, for those whom the peer has not called off meanwhile.

    Of the others members is told, which keeps one offer of a person open only.
    """
    states = store.lock(tx, [item.subject for item in items])
    arrivals.know(tx, [arrivals.Known(item.subject, item.member_id) for item in items])
    deciding = {subject for subject, one in states.items() if state_of(one) is Receiver.DECIDING}
    known = arrivals.find(tx, deciding)
    dropped = [item.subject for item in items if item.subject not in deciding]
    emit(tx, [ArrivalDropped(subject=subject, peer=bridge.peer) for subject in dropped])
    emit(
        tx,
        [
            PeerRequested(
                command_id=one.command_id,
                peer=bridge.peer,
                member_id=one.member_id or 0,
                source_branch_id=one.source_branch_id,
                target_org_id=one.target_org_id,
                reason=one.reason,
                remark=one.remark,
            )
            for one in known.values()
        ],
    )


def on_arrival_unfit(tx: Connection, bridge: Bridge, items: list[ArrivalUnfit]) -> None:
    """Refuse whom members does not let come (FED-14)."""
    _do(tx, bridge, [_refuse(item.subject, item.code) for item in items])


def on_arrival_answered(tx: Connection, bridge: Bridge, items: list[ArrivalAnswered]) -> None:
    """Remember which transfer has started; refuse for whom none has; tell what was called off meanwhile."""
    subjects = arrivals.of_commands(tx, {item.command_id for item in items})
    store.lock(tx, [one.subject for one in subjects.values()])
    started = {
        subjects[item.command_id].subject: item.transfer_id
        for item in items
        if item.command_id in subjects and item.transfer_id is not None
    }
    arrivals.answer(tx, [arrivals.Answered(*one) for one in started.items()])
    known = arrivals.find(tx, started)
    emit(tx, [_called_off(bridge, one) for one in known.values() if one.end_code is not None])
    _do(
        tx,
        bridge,
        [
            _refuse(subjects[item.command_id].subject, item.code)
            for item in items
            if item.command_id in subjects and item.transfer_id is None
        ],
    )


def on_arrival_waits(tx: Connection, bridge: Bridge, items: list[ArrivalWaits]) -> None:
    """Say at whose desk a transfer lies (FED-13).

    One that is not known here yet is told of by its next step.
    """
    known = arrivals.of_transfers(tx, {item.transfer_id for item in items})
    orgs = directory.find(tx, [item.org_id for item in items])
    deeds = [
        Deed(
            known[item.transfer_id].subject,
            Act.TELL,
            Progress(
                organisation=Organisation(code=str(item.org_id), name=orgs[item.org_id].name),
                since=item.since,
                until=item.until,
            ),
        )
        for item in items
        if item.transfer_id in known and item.org_id in orgs
    ]
    _do(tx, bridge, deeds)


def on_arrival_accepted(tx: Connection, bridge: Bridge, items: list[ArrivalAccepted]) -> None:
    """Say that the record is awaited, and for which branch."""
    known, branches = _places(tx, items)
    deeds = [
        Deed(known[item.transfer_id].subject, Act.ACCEPT, Accepted(branch=branches[item.branch_id]))
        for item in items
    ]
    _do(tx, bridge, deeds)


def on_arrival_completed(tx: Connection, bridge: Bridge, items: list[ArrivalCompleted]) -> None:
    """Say that the member is ours, and in which branch."""
    known, branches = _places(tx, items)
    deeds = [
        Deed(
            known[item.transfer_id].subject,
            Act.TAKE,
            Integrated(branch=branches[item.branch_id], at=item.at),
        )
        for item in items
    ]
    _do(tx, bridge, deeds)


def on_crossing_ended(tx: Connection, bridge: Bridge, items: list[CrossingEnded]) -> None:
    """Refuse, or send back, who does not become a member here."""
    known = _known(tx, [item.transfer_id for item in items])
    states = store.lock(tx, [one.subject for one in known.values()])
    deeds = []
    for item in items:
        subject = known[item.transfer_id].subject
        deeds.append(refusal(states[subject], *in_their_words(item.cause, item.code, item.note)))
    _do(tx, bridge, deeds)


def _places(
    tx: Connection, items: Sequence[ArrivalAccepted | ArrivalCompleted]
) -> tuple[dict[int, arrivals.Arrival], dict[int, Organisation]]:
    """Return who arrives, by transfer, and the branches as messages name them.

    Raises:
        LookupError: A branch or a transfer is not known here yet: it is tried again.

    """
    known = _known(tx, [item.transfer_id for item in items])
    orgs = directory.find(tx, [item.branch_id for item in items])
    if missing := {item.branch_id for item in items} - set(orgs):
        raise LookupError(f"no branches {sorted(missing)}")
    return known, {key: Organisation(code=str(key), name=org.name) for key, org in orgs.items()}


def _known(tx: Connection, transfer_ids: Sequence[int]) -> dict[int, arrivals.Arrival]:
    """Return who arrives, by transfer.

    Raises:
        LookupError: The answer that names a transfer is not here yet: it is tried again.

    """
    known = arrivals.of_transfers(tx, set(transfer_ids))
    if missing := set(transfer_ids) - set(known):
        raise LookupError(f"no arrivals of transfers {sorted(missing)}")
    return known


def _refuse(subject: str, code: str) -> Deed:
    reason, text = in_their_words("", code, "")
    return Deed(subject, Act.REFUSE, Refused(reason=reason, text=text))


def _do(tx: Connection, bridge: Bridge, deeds: Sequence[Deed]) -> None:
    """Do acts; one that comes too late has no effect, since the other side was first."""
    if deeds:
        perform(tx, bridge, deeds, clock.now())
