"""What administrators look up, export and work off (SRCH, STAT, MEM-32).

Search, unmasked numbers, exports, work lists, entry progress.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy.engine import Connection

from services.members import domain
from services.members.lists import rules, store
from services.members.log import log
from services.members.records import showing
from services.members.sealing.keys import keys
from services.members.store import Person
from shared import audit, clock, directory, metrics, reference
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    BelowMember,
    EntryProgress,
    ExportedMember,
    FoundMembers,
    ReportLine,
    Revealed,
)


def search_members(tx: Connection, request: contract.SearchMembers, actor: Actor | None) -> FoundMembers:
    """Find members of the own organisation and below (SRCH-03..06).

    They are found by ID number, development number or exact name.
    """
    org = directory.require_above(tx, actor, request.below, observers=True)
    text = domain.normalise_id(request.text)
    _refuse(rules.check_search(text))
    by = rules.search_by(text, clock.today())
    rows = _found(tx, by, domain.clean_name(request.text) if by == "name" else text, org.path)
    shown = rows[: store.MOST]
    entry = audit.Entry(
        kind="view.searched",
        place_id=org.org_id,
        persons=[row.person_id for row in shown],
        after={"by": by, "found": len(rows)},
        **audit.by(actor),
    )
    log.append(tx, [entry])
    posts = showing.posts_in_branch(tx, rows)
    return FoundMembers(
        items=[showing.shown(row, True, posts.get(row.person_id, "")) for row in shown],
        more=len(rows) > store.MOST,
    )


def _found(tx: Connection, by: rules.By, text: str, path: str) -> list[Person]:
    """Return members of a subtree, one more than is shown at most."""
    if by == "id_number":
        return store.with_id(tx, keys.seal.index(text), path)
    if by == "number":
        return store.numbered(tx, text, path)
    return store.named(tx, text, path)


def _refuse(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise Refused.of(refusal)


def reveal_ids(tx: Connection, request: contract.RevealIds, actor: Actor | None) -> list[Revealed]:
    """Return ID numbers in full, of members of the own organisation and below (MEM-32, BEY-10).

    The view is logged with its reason.
    """
    org = directory.require_above(tx, actor)
    _refuse(rules.check_reveal(len(request.person_ids), request.reason))
    rows = store.within(tx, request.person_ids, org.path)
    if not rows:
        raise Refused("unknown_member")
    entry = audit.Entry(
        kind="view.unmasked",
        place_id=org.org_id,
        persons=[row.person_id for row in rows],
        note=request.reason.strip(),
        **audit.by(actor),
    )
    log.append(tx, [entry])
    return [
        Revealed(member_id=row.person_id, name=row.name, id_number=keys.seal.open(row.id_sealed))
        for row in rows
    ]


def export_members(
    tx: Connection, request: contract.ExportMembers, actor: Actor | None
) -> list[ExportedMember]:
    """Return a page of the members of the own organisation and below, and log it.

    Numbers in full need a reason.
    """
    org = directory.require_above(tx, actor)
    _refuse(rules.check_reason(request.full, request.reason))
    rows = store.page(tx, org.path, request.after, max(1, min(request.limit, 500)))
    if rows:
        entry = audit.Entry(
            kind="export.full" if request.full else "export.members",
            place_id=org.org_id,
            persons=[row.person_id for row, _ in rows],
            note=request.reason.strip(),
            **audit.by(actor),
        )
        log.append(tx, [entry])
    posts = showing.posts_in_branch(tx, [row for row, _ in rows])
    return [_exported(row, branch, posts.get(row.person_id, ""), request.full) for row, branch in rows]


def list_below(tx: Connection, request: contract.ListBelow, actor: Actor | None) -> list[BelowMember]:
    """Return a page of the members of an organisation and below, by right over it (MEM-28, SRCH-06).

    Branch by branch, so that the first page of a province costs what that of a branch costs; sorted
    otherwise as long as they are not too many.

    Raises:
        Refused: `too_many_to_sort`.

    """
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    wanted = store.Wanted(domain.clean_name(request.name), request.graduate, request.mark, request.incomplete)
    limit = max(1, min(request.limit, 500))
    if request.sort in store.SORTS:
        found = store.page_sorted(tx, org.path, request.after, limit, wanted, request.sort)
        if found is None:
            raise Refused("too_many_to_sort", limit=store.MOST_SORTED)
        rows = found
    else:
        rows = store.page(tx, org.path, request.after, limit, wanted)
    posts = showing.posts_in_branch(tx, [row for row, _ in rows])
    return [
        BelowMember(member=showing.shown(row, True, posts.get(row.person_id, "")), branch=branch)
        for row, branch in rows
    ]


def _exported(row: Person, branch: str, post: str, full: bool) -> ExportedMember:
    member = showing.shown(row, True, post)
    id_number = keys.seal.open(row.id_sealed) if full else member.id_masked
    return ExportedMember(member=member, branch=branch, id_number=id_number)


def note_export(tx: Connection, request: contract.NoteExport, actor: Actor | None) -> bool:
    """Log that a person takes a list along as a file (BEY-10).

    What the list shows was decided by the list itself.
    """
    assert actor is not None
    # nobody writes a line in the name of an organisation that is not the own one
    if not directory.administering(tx, [actor], observers=True):
        actor = Actor(actor.person_id)
    log.append(
        tx,
        [
            audit.Entry(
                kind="export.file",
                place_id=actor.org_id,
                ref=audit.without_numbers(request.what[:200]),
                **audit.by(actor),
            )
        ],
    )
    return True


def get_report(tx: Connection, request: contract.GetReport, actor: Actor | None) -> list[ReportLine]:
    """Return lines of a work list of the own organisation and below.

    Rules ORG-05, ORG-07, ORG-38, DEL-13, MEM-13, MEM-22, MEM-26, MEM-30 and DOC-05.
    """
    org = directory.require_above(tx, actor, observers=True)
    if request.kind not in store.REPORTS:
        raise Refused("unknown_report")
    return [
        ReportLine(
            key=row.key,
            org_id=row.org_id,
            org=row.org,
            member_id=row.member_id,
            member=row.member,
            id_masked=domain.mask_id(keys.seal.open(row.id_sealed)) if row.id_sealed else "",
            note=row.note,
        )
        for row in store.report(
            tx,
            request.kind,
            org.path,
            request.name.strip(),
            request.after,
            max(1, min(request.limit, 500)),
            clock.today(),
        )
    ]


KEEP_SECONDS, KEEP_IF_OVER = 60.0, 0.05
"""Figures that took longer than so many seconds to count are kept for a minute.

The rule allows an hour (STAT-01).
"""
_kept: dict[tuple[int, str, str], tuple[float, Sequence[store.Progress]]] = {}
_overstayed: dict[date, dict[str, int]] = {}
"""Members who have outstayed each clock, by the day on which they were counted."""


def _progress(
    tx: Connection, org: directory.Org, domain_: str, industries: list[str] | None
) -> Sequence[store.Progress]:
    now = time.monotonic()
    key = (org.org_id, org.path, domain_)  # with the path, because an organisation may move
    at, rows = _kept.get(key, (0.0, ()))
    if rows and now - at < KEEP_SECONDS:
        return rows
    rows = store.progress(tx, org.org_id, org.path, industries)
    if time.monotonic() - now > KEEP_IF_OVER:
        # the simplest bound: what is dropped is counted again
        if len(_kept) > 500:
            _kept.clear()
        _kept[key] = (now, rows)
    return rows


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """Count anew the members who have outstayed the clocks of hand-over branches and retention (DL-18).

    The lists name them (BEY-12).
    """
    today = clock.today()
    counted = store.overstayed(tx, today)
    _overstayed.clear()
    _overstayed[today] = counted


def gauges(tx: Connection) -> list[metrics.Reading]:
    """Return what was counted today by this process; nothing, where another has been told of the day."""
    return [(metrics.OVERSTAYED, (name,), n) for name, n in _overstayed.get(clock.today(), {}).items()]


COUNTED = (
    "branches",
    "finished_branches",
    "bodies",
    "finished_bodies",
    "members",
    "complete_members",
    "cadres",
    "complete_cadres",
)
"""The figures of entry that are sums of those below."""


def get_entry_progress(
    tx: Connection, request: contract.GetEntryProgress, actor: Actor | None
) -> list[EntryProgress]:
    """Return how far data are entered (STAT-02..09, SCH-08, MEM-18).

    The organisation with all below it comes first, then each direct subordinate.
    """
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    _refuse(rules.check_domain(request.domain))
    rows = _progress(tx, org, request.domain, rules.industries_of(request.domain))
    if request.schools_only:
        rows = [row for row in rows if row.part != "" and reference.is_school(row.industry)]
    parts = [_part(row) for row in rows]
    total = EntryProgress(
        org_id=org.org_id,
        name=org.name,
        # the imported constant holds for the organisation with all below it, and is no sum
        members_2017=next((row.members_2017 for row in rows if row.part == ""), None),
        **{one: sum(getattr(part, one) for part in parts) for one in COUNTED},
    )
    return [total, *[part for part in parts if part.org_id != org.org_id]]


def _part(row: store.Progress) -> EntryProgress:
    counted = {one: getattr(row, one) for one in COUNTED}
    return EntryProgress(org_id=row.org_id, name=row.name, members_2017=row.members_2017, **counted)
