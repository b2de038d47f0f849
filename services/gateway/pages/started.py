"""What the list of transfers is asked for, and its lines as a file (TRF-29, TRF-32)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from services.gateway import kit
from services.gateway.kit import fields
from services.gateway.kit.language import gettext as _
from shared.messages import MAX_ITEMS, members, transfers
from shared.messages.words import Reason, TransferState

PAGE = 50
"""Rows of a page."""
LOOKED = 2_000
"""Transfers among which a name is looked for, the newest ones."""
EXPORT_MOST = 10_000
"""Rows of a spreadsheet."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for; what it cannot mean is as if it were not there."""

    side: str = "source"
    open: str = ""
    state: str = ""
    reason: str = ""
    name: str = ""
    oldest: str = ""
    after: int = 0

    def query(self, **changes: Any) -> str:
        """Return what stands after the question mark, changed; without `after` unless that is given."""
        values = {**msgspec.structs.asdict(self), "after": 0, **changes}
        return urlencode({name: value for name, value in values.items() if value})

    def path(self, **changes: Any) -> str:
        """Return the address of the list, changed."""
        return f"/list?{self.query(**changes)}"


def read(values: Any) -> Asked:
    """Return what an address asks for."""
    return Asked(
        side=fields.one_of(values.get("side"), ("source", "target"), "source"),
        open=fields.flag(values.get("open")),
        state=fields.one_of(values.get("state"), TransferState),
        reason=fields.one_of(values.get("reason"), Reason),
        name=fields.person(values.get("name")),
        oldest=fields.flag(values.get("oldest")),
        after=fields.number(values.get("after")),
    )


def page(asked: Asked) -> tuple[list[Any], bool]:
    """Return a page of the list, and whether there is another.

    Names live in members, which shows them to the parties of an open transfer and to those above the member;
    a name is looked for among the newest 2,000.
    """
    if not asked.name:
        items = _some(asked, PAGE)
        return items, len(items) == PAGE
    found: list[Any] = []
    for items in _pages(asked, LOOKED):
        ids = list(dict.fromkeys(item.member_id for item in items))
        people = kit.call(members.describe_people, members.DescribePeople(person_ids=ids))
        bears = {one.member_id for one in people if one.name.startswith(asked.name)}
        found += [item for item in items if item.member_id in bears]
    return found[:PAGE], False


def _some(asked: Asked, limit: int) -> list[Any]:
    wanted = transfers.ListStarted(
        side=asked.side,
        open_only=bool(asked.open),
        state=asked.state,
        reason=asked.reason,
        oldest_first=bool(asked.oldest),
        after=asked.after,
        limit=limit,
    )
    return list(kit.call(transfers.list_started, wanted))


def _pages(asked: Asked, most: int) -> Iterator[list[Any]]:
    taken = 0
    while taken < most:
        items = _some(asked, MAX_ITEMS)
        if items:
            yield items
        taken += len(items)
        if len(items) < MAX_ITEMS:
            return
        asked = msgspec.structs.replace(asked, after=items[-1].transfer_id)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the list as a spreadsheet."""

    transfer_id: int
    name: str
    id_masked: str
    source: str
    target: str
    transfer_reason: str
    state_words: str
    created_at: Any
    ended_at: Any


def _target(item: Any, orgs: Any) -> str:
    """Return what the target is called; as it was typed where nobody here knows it (FED-06)."""
    if item.target_name:
        return f"{item.target_name} ({_('未核实')})"
    return orgs[item.target_org_id].full_name if item.target_org_id in orgs else ""


def lines(asked: Asked) -> Iterator[Line]:
    """Return all lines that the filters leave, at most 10,000."""
    asked = msgspec.structs.replace(asked, after=0)
    pages = [page(asked)[0]] if asked.name else _pages(asked, EXPORT_MOST)
    for items in pages:
        for n in range(0, len(items), 150):  # of each up to three organisations
            some = items[n : n + 150]
            orgs, people, _rest = kit.names(kit.parties(some), [item.member_id for item in some])
            for item in some:
                person = people.get(item.member_id)
                yield Line(
                    transfer_id=item.transfer_id,
                    name=person.name if person else "",
                    id_masked=person.id_masked if person else "",
                    source=orgs[item.source_branch_id].full_name if item.source_branch_id in orgs else "",
                    target=_target(item, orgs),
                    transfer_reason=kit.word(Reason(item.reason)),
                    state_words=kit.word(TransferState(item.state)),
                    created_at=item.created_at,
                    ended_at=item.ended_at,
                )
