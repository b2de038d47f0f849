"""Use cases of the members service: lists in, lists out, inside the caller's transaction. No framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy.engine import Connection

from services.members import domain, settings, store
from services.members.crossings import handlers as crossings
from shared import clock, directory, outbox
from shared.errors import Refusal
from shared.messages.members import ReservationRefused
from shared.messages.orgs import OrgChanged
from shared.messages.transfers import TransferRequested

Org: TypeAlias = directory.Org | None
"""An organisation as the directory knows it; None where it is not there, or deleted."""


def on_org_changed(tx: Connection, items: list[OrgChanged]) -> None:
    """Keep the directory; a deleted branch in which somebody is comes back (DEL-03)."""
    directory.on_org_changed(tx, items)
    deleted = [item.org_id for item in items if item.deleted]
    if deleted:
        store.refuse_deletions(tx, deleted)


# ---- the saga ----------------------------------------------------------------------------------------------


def on_transfer_requested(tx: Connection, items: list[TransferRequested]) -> None:
    """Hold each member for its transfer, or say why not (TRF-02, GRAD-15, GRAD-17, GRAD-22).

    Of a batch move all members are held, or none (BATCH-05). Who stands in another system is held where that
    system has offered the member (FED-08).
    """
    coming = crossings.from_elsewhere(tx, items)
    refused = crossings.not_offered(tx, coming) | _astray(tx, items) | _keeping_rights(tx, items)
    # where several reasons apply, that of the batch is told
    refused |= _stopped(tx, items, refused)
    store.reserve(tx, [item for item in items if item.transfer_id not in refused])
    crossings.begun(tx, coming)
    outbox.emit(
        tx,
        [
            ReservationRefused(
                transfer_id=item.transfer_id,
                member_id=item.member_id,
                code=refused[item.transfer_id].code,
            )
            for item in items
            if item.transfer_id in refused
        ],
    )


def _stopped(
    tx: Connection, items: list[TransferRequested], against: Mapping[int, Refusal]
) -> dict[int, Refusal]:
    """Return why transfers of batches are refused, by transfer.

    `against` are those that a setting of the place does not want. The people of a batch are held in
    one look, so nothing changes between the look and the reservation.
    """
    batched = [item for item in items if item.batch_id is not None and item.batch_size]
    if not batched:
        return {}
    people = store.hold_people(tx, [item.member_id for item in batched])
    unfit: dict[int, Refusal] = {}
    for item in batched:
        refusal = domain.check_hold(people.get(item.member_id), item) or against.get(item.transfer_id)
        if refusal is not None:
            unfit[item.transfer_id] = refusal
    return domain.check_batches(batched, unfit)


def _astray(tx: Connection, items: list[TransferRequested]) -> dict[int, Refusal]:
    """Return the transfers of delayed graduates to where a setting does not want them (GRAD-22)."""
    practice, today = settings.of(tx).practice, clock.today()
    if not practice.anywhere("delayed_destination", today):
        return {}
    people = store.by_ids(tx, [item.member_id for item in items])
    # whoever is held already is told so, or told again that this transfer holds
    marks = {key: row.mark for key, row in people.items() if row.reserved_by is None}

    def check(item: TransferRequested, source: Org, target: Org) -> Refusal | None:
        place = (source.province, source.path) if source is not None else ("", "")
        purposes = practice.text("delayed_destination", today, *place)
        purpose = target.purpose if target is not None else None
        return domain.check_destination(marks[item.member_id], purposes, purpose)

    return _checked(tx, [item for item in items if marks.get(item.member_id)], check)


def _keeping_rights(tx: Connection, items: list[TransferRequested]) -> dict[int, Refusal]:
    """Return the transfers of people who administer what they would leave (ADM-18).

    Only where a setting blocks these; by default the right ends on completion.
    """
    practice, today = settings.of(tx).practice, clock.today()
    if "block" not in practice.anywhere("admin_on_transfer", today):
        return {}
    rights = store.administered(tx, [item.member_id for item in items])

    def check(item: TransferRequested, source: Org, target: Org) -> Refusal | None:
        if source is None:
            return None
        setting = practice.text("admin_on_transfer", today, source.province, source.path)
        path = target.path if target is not None else ""
        return domain.check_rights(setting, rights[item.member_id], source.path, path)

    return _checked(tx, [item for item in items if item.member_id in rights], check)


def _checked(
    tx: Connection,
    items: list[TransferRequested],
    check: Callable[[TransferRequested, Org, Org], Refusal | None],
) -> dict[int, Refusal]:
    """Return what a check of transfers with their sources and targets refuses, by transfer."""
    ids = [org_id for item in items for org_id in (item.source_branch_id, item.target_org_id)]
    orgs = directory.find(tx, ids)
    refused: dict[int, Refusal] = {}
    for item in items:
        refusal = check(item, orgs.get(item.source_branch_id), orgs.get(item.target_org_id))
        if refusal is not None:
            refused[item.transfer_id] = refusal
    return refused


def on_branch_assigned(tx: Connection, items: list[Any]) -> None:
    """Move each member once (TRF-35); a branch that was deleted meanwhile comes back (DEL-03).

    Who has come from another system has an account from now on.
    """
    store.move(tx, items)
    crossings.completed(tx, items)
    store.refuse_deletions(tx, [item.branch_id for item in items])


def on_ended(tx: Connection, items: list[Any]) -> None:
    """Let members go whose transfer was rejected, returned or withdrawn (TRF-25)."""
    store.release(tx, items)
    crossings.ended(tx, items)
