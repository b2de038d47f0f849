"""Use cases of transfers across a border: what the bridge tells, and members of a record that came.

What another system says comes as events: its right is its signature, not a token (FED-10).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from services.transfers import handlers, remote, store
from services.transfers.crossings import rules
from services.transfers.domain import Planned
from services.transfers.figures import store as figures_store
from services.transfers.policies import store as policies_store
from services.transfers.saga import Initiator, Trigger
from services.transfers.transitions import Item
from shared import clock, directory
from shared.errors import Refusal
from shared.messages import federation as told
from shared.messages.members import GraduateChanged, RecordRefused, RecordTaken
from shared.messages.transfers import ArrivalAnswered
from shared.messages.words import Reason
from shared.outbox import emit

# ---- who comes -----------------------------------------------------------------------------------


def on_peer_requested(tx: Connection, items: list[told.PeerRequested]) -> None:
    """Start transfers that another system asks for, and answer each (FED-08, TRF-02).

    They go the way of any transfer from here on. In the figures they count where they go to (FED-15).
    """
    now = clock.now()
    policy = policies_store.active(tx, now)
    place = handlers.place_of(policy)
    orgs = handlers.facts_of(
        tx, (org for item in items for org in (item.source_branch_id, item.target_org_id))
    )
    asked = [rules.request_of(item) for item in items]
    plans = [
        rules.plan(request, item.peer, orgs.get(item.source_branch_id), orgs.get(item.target_org_id), place)
        for request, item in zip(asked, items, strict=True)
    ]
    rows = [
        handlers.request_row(n, asked[n], items[n].member_id, None, plan, policy)
        for n, plan in enumerate(plans)
        if not isinstance(plan, Refusal)
    ]
    made = store.request(tx, rows) if rows else {}
    _count(tx, [items[n] for n in sorted(made)], now)
    _answer(tx, items, plans, made)


def _count(tx: Connection, started: Sequence[told.PeerRequested], now: datetime) -> None:
    """Count those who come as graduates do where they go to, and as graduates of nobody here (FED-15)."""
    graduates = [
        GraduateChanged(
            member_id=item.member_id,
            cohort=now.astimezone(clock.CHINA).year,
            branch_id=item.source_branch_id,
            counts=True,
            at=now,
            version=0,
        )
        for item in started
        if Reason(item.reason).graduate
    ]
    if graduates:
        figures_store.set_graduates(tx, graduates)


def _answer(
    tx: Connection,
    items: Sequence[told.PeerRequested],
    plans: Sequence[Planned | Refusal],
    made: dict[int, int],
) -> None:
    """Tell the bridge what each request has come to."""
    earlier = store.by_command(tx, [item.command_id for n, item in enumerate(items) if n not in made])
    answers = []
    for n, (item, plan) in enumerate(zip(items, plans, strict=True)):
        before = earlier.get(item.command_id)
        transfer_id = made.get(n) or (before.transfer_id if before is not None else None)
        code = "" if transfer_id else plan.code if isinstance(plan, Refusal) else "transfer_open"
        answers.append(
            ArrivalAnswered(
                command_id=item.command_id,
                member_id=item.member_id,
                peer=item.peer,
                transfer_id=transfer_id,
                code=code,
            )
        )
    emit(tx, answers)


def on_peer_called_off(tx: Connection, items: list[told.PeerCalledOff]) -> None:
    """End transfers that the system they come from has called off (FED-10)."""
    rows = [
        Item(n=n, transfer_id=item.transfer_id, code=item.code, note=item.note)
        for n, item in _ours(tx, items, coming=True)
    ]
    # Before members has answered there is no node yet. In this order none is missed: what is reserved between
    # the two statements is found by the second.
    for trigger in (Trigger.UNAVAILABLE, Trigger.CALLED_OFF):
        handlers.move(tx, trigger, rows)


def on_arrival_given_up(tx: Connection, items: list[told.ArrivalGivenUp]) -> None:
    """End transfers whose record does not come, for an operator (FED-11)."""
    _move(tx, Trigger.GIVEN_UP, items, code="given_up")


def on_record_taken(tx: Connection, items: list[RecordTaken]) -> None:
    """Move members whose record has come and was found right (FED-10)."""
    handlers.move(
        tx, Trigger.RECORD_TAKEN, [Item(n=n, transfer_id=item.transfer_id) for n, item in enumerate(items)]
    )


def on_record_refused(tx: Connection, items: list[RecordRefused]) -> None:
    """End transfers whose record could not be taken; the bridge sends it back (FED-10, FED-14)."""
    rows = [Item(n=n, transfer_id=item.transfer_id, code=item.code) for n, item in enumerate(items)]
    handlers.move(tx, Trigger.RECORD_REFUSED, rows)


# ---- who goes ------------------------------------------------------------------------------------


def on_remote_receipted(tx: Connection, items: list[told.RemoteReceipted]) -> None:
    """Let nobody withdraw what the other system has in writing (FED-09)."""
    remote.receipt(tx, items)


def on_remote_progress(tx: Connection, items: list[told.RemoteProgress]) -> None:
    """Keep at whose desk transfers lie over there (FED-13)."""
    remote.progress(tx, [item for _, item in _ours(tx, items)])


def on_remote_accepted(tx: Connection, items: list[told.RemoteAccepted]) -> None:
    """Begin the hand-over of those whom the other system takes (FED-10)."""
    _move(tx, Trigger.ACCEPTED, items)


def on_remote_refused(tx: Connection, items: list[told.RemoteRefused]) -> None:
    """End transfers that the other system refuses, also while a record is on its way (FED-10)."""
    _move(tx, Trigger.REFUSED_THERE, items)


def on_remote_sent_back(tx: Connection, items: list[told.RemoteSentBack]) -> None:
    """End transfers whose record the other system has sent back (FED-10)."""
    _move(tx, Trigger.SENT_BACK, items)


def on_remote_integrated(tx: Connection, items: list[told.RemoteIntegrated]) -> None:
    """Move members into the branch of the other system that has taken them (FED-10).

    Raises:
        LookupError: The branch is none of that system's here, or is not known yet: it is tried again.

    """
    ours = _ours(tx, items)
    orgs = directory.find(tx, [item.branch_id for _, item in ours])
    for _, item in ours:
        org = orgs.get(item.branch_id)
        if org is None or org.system != item.peer or org.kind != "branch":
            raise LookupError(f"transfer {item.transfer_id}: {item.peer} has no branch {item.branch_id}")
    rows = [Item(n=n, transfer_id=item.transfer_id, branch_id=item.branch_id) for n, item in ours]
    handlers.move(tx, Trigger.INTEGRATED, rows)


def _move(tx: Connection, trigger: Trigger, items: Sequence[Any], code: str | None = None) -> None:
    """Move the transfers that a system has said something of, if they are with that system."""
    rows = [
        Item(
            n=n,
            transfer_id=item.transfer_id,
            person_id=getattr(item, "person_id", None),
            code=code or getattr(item, "code", None),
            note=getattr(item, "note", None),
        )
        for n, item in _ours(tx, items)
    ]
    handlers.move(tx, trigger, rows)


def _ours(tx: Connection, items: Sequence[Any], coming: bool = False) -> list[tuple[int, Any]]:
    """Return what concerns a transfer with the system that has said it, with its place in the list.

    With `coming` only of those that the system has asked for.
    """
    known = remote.known(tx, (item.transfer_id for item in items))
    return [
        (n, item)
        for n, item in enumerate(items)
        if item.transfer_id in known
        and known[item.transfer_id].peer == item.peer
        and (known[item.transfer_id].initiator == Initiator.PEER or not coming)
    ]
