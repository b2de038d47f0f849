"""Use cases of the members service: lists in, lists out, inside the caller's transaction. No framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import store
from shared import clock, directory, outbox, practice
from shared.messages.members import ReservationRefused
from shared.messages.orgs import OrgChanged


def on_org_changed(tx: Connection, items: list[OrgChanged]) -> None:
    """Keep the directory; a deleted branch in which somebody is comes back (DEL-03)."""
    directory.on_org_changed(tx, items)
    deleted = [item.org_id for item in items if item.deleted]
    if deleted:
        store.refuse_deletions(tx, deleted)


# ---- the saga ----------------------------------------------------------------------------------------------


def on_transfer_requested(tx: Connection, items: list[Any]) -> None:
    """Hold each member for its transfer, or say why not (TRF-02, GRAD-15, GRAD-17, GRAD-22).

    Of a batch move all members are held, or none (BATCH-05).
    """
    refused = {
        **dict.fromkeys(_astray(tx, items), "delayed_elsewhere"),
        **dict.fromkeys(_leaving_rights(tx, items), "is_administrator"),
    }
    # where several reasons apply, that of the batch is told
    refused |= _broken(tx, items, refused)
    store.reserve(tx, [item for item in items if item.transfer_id not in refused])
    outbox.emit(
        tx,
        [
            ReservationRefused(
                transfer_id=item.transfer_id, member_id=item.member_id, code=refused[item.transfer_id]
            )
            for item in items
            if item.transfer_id in refused
        ],
    )


def _broken(tx: Connection, items: list[Any], refused_before: Mapping[int, str]) -> dict[int, str]:
    """Return the transfers of batches of which one member cannot be moved, with the reason of each.

    `refused_before` are transfers that a setting of the place does not want, with their reasons.
    The reason is the member's own, or that another member stands in the way. The people of a batch
    are held in one look, so nothing changes between the look and the reservation. A batch that does
    not come whole is refused whole.
    """
    batches: dict[Any, list[Any]] = {}
    for item in items:
        if item.batch_id is not None and item.batch_size:
            batches.setdefault(item.batch_id, []).append(item)
    if not batches:
        return {}
    people = store.hold_people(tx, [item.member_id for some in batches.values() for item in some])
    refused: dict[int, str] = {}
    for some in batches.values():
        wrong: dict[int, str] = {}
        for item in some:
            code = _why_not_moved(people.get(item.member_id), item) or refused_before.get(item.transfer_id)
            if code:
                wrong[item.transfer_id] = code
        if wrong or len(some) < some[0].batch_size:
            refused |= {item.transfer_id: wrong.get(item.transfer_id, "batch_stopped") for item in some}
    return refused


def _why_not_moved(person: sa.Row[Any] | None, item: Any) -> str:
    """Return why a member of a batch cannot be held, empty if it can.

    The reasons are those of the statement that holds.
    """
    if person is None:
        return "unknown_member"
    if person.reserved_by == item.transfer_id:
        return ""
    if person.branch_id != item.source_branch_id:
        return "member_elsewhere"
    if person.reserved_by is not None:
        return "transfer_open"
    if item.reason_kind != "any" and (item.reason_kind in ("graduate", "abroad")) != person.graduate:
        return "graduate_reason_needed" if person.graduate else "ordinary_reason_needed"
    if item.reason_kind == "outward" and person.mark not in ("delayed", "teacher"):
        return "drop_out_needed"
    if item.reason_kind == "abroad" and not person.may_go_abroad:
        return "abroad_request_missing"
    return ""


def _astray(tx: Connection, items: list[Any]) -> set[int]:
    """Return the transfers that take delayed graduates where a setting does not want them (GRAD-22).

    The setting names the purposes of the branches that they may go to.
    """
    if not practice.anywhere("delayed_destination", clock.today()):
        return set()
    people = {
        key: row
        for key, row in store.by_ids(tx, [item.member_id for item in items]).items()
        if row.mark == "delayed" and row.reserved_by is None
    }
    orgs = directory.find(
        tx,
        [
            org_id
            for item in items
            if item.member_id in people
            for org_id in (item.source_branch_id, item.target_org_id)
        ],
    )

    def strays(item: Any) -> bool:
        source = orgs.get(item.source_branch_id)
        target = orgs.get(item.target_org_id)
        place = (source.province, source.path) if source is not None else ("", "")
        allowed = {
            one for one in practice.text("delayed_destination", clock.today(), *place).split(",") if one
        }
        return bool(allowed) and (target is None or target.purpose not in allowed)

    return {item.transfer_id for item in items if item.member_id in people and strays(item)}


def _leaving_rights(tx: Connection, items: list[Any]) -> set[int]:
    """Return the transfers of people who administer what they would leave, where a setting blocks these.

    By default nothing is blocked and the right ends on completion (ADM-18).
    """
    if "block" not in practice.anywhere("admin_on_transfer", clock.today()):
        return set()
    rights = store.administered(tx, [item.member_id for item in items])
    orgs = directory.find(
        tx,
        [
            org_id
            for item in items
            if item.member_id in rights
            for org_id in (item.source_branch_id, item.target_org_id)
        ],
    )

    def leaves(item: Any) -> bool:
        source = orgs.get(item.source_branch_id)
        target = orgs.get(item.target_org_id)
        if source is None:
            return False
        if practice.text("admin_on_transfer", clock.today(), source.province, source.path) != "block":
            return False
        # what stands above the source and not above the target
        left = set(source.path.split(".")) - set(target.path.split(".") if target is not None else ())
        return any(str(org_id) in left for org_id in rights[item.member_id])

    return {item.transfer_id for item in items if item.member_id in rights and leaves(item)}


def on_branch_assigned(tx: Connection, items: list[Any]) -> None:
    """Move each member once (TRF-35); a branch that was deleted meanwhile comes back (DEL-03)."""
    store.move(tx, items)
    store.refuse_deletions(tx, [item.branch_id for item in items])


def on_ended(tx: Connection, items: list[Any]) -> None:
    """Let members go whose transfer was rejected, returned or withdrawn (TRF-25)."""
    store.release(tx, items)
