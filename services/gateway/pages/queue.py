"""What the queue of approvals is asked for, and what it shows: the address, the filter, the rows (TRF-31).

All of the page's state is in its address. The address is read into `Asked`; from that come the filter that
list, counts and decisions go by, and every link of the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from flask import session

from services.gateway import kit
from services.gateway.kit import fields
from services.gateway.kit.language import gettext as _
from services.gateway.kit.tiles import NAMES as PROVINCES
from shared.messages import MAX_ITEMS, members, transfers
from shared.messages.words import Check, Due, IdentityCheck, Reason, TransferState, WorkOrder

NODES = (TransferState.IN, TransferState.OUT, TransferState.PROVINCE, TransferState.ASSIGN)
"""The nodes at which something waits, in the order of the tabs."""
PAGE = 20
"""Rows of a page: with the head of the page two screens at most."""
NAME_MOST = MAX_ITEMS
"""Members of one name that a filter takes."""
MARKS = ("unusual", "usual", "reminded")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for; what it cannot mean is as if it were not there."""

    state: str = ""
    reason: str = ""
    source: int | None = None
    province: str = ""
    due: str = ""
    mark: str = ""
    name: str = ""
    sort: str = ""
    after: str = ""

    def filter(self, member_ids: list[int] | None = None, without: Iterable[int] = ()) -> transfers.Filter:
        """Return the filter that this means; `member_ids` are those who bear the name, if one is given."""
        return transfers.Filter(
            state=self.state,
            reason=self.reason,
            source_branch_id=self.source,
            target_province=self.province,
            due=self.due,
            unusual=self.mark == "unusual",
            unquestioned=self.mark == "usual",
            reminded=self.mark == "reminded",
            member_ids=member_ids,
            without=list(without),
        )

    def query(self, **changes: Any) -> str:
        """Return what stands after the question mark, changed; without `after` unless that is given."""
        values = {**msgspec.structs.asdict(self), "after": "", **changes}
        return urlencode({name: value for name, value in values.items() if value})

    def path(self, **changes: Any) -> str:
        """Return the address of the queue, changed."""
        return f"/work?{self.query(**changes)}"

    @property
    def narrowed(self) -> bool:
        """Return whether more is asked for than a kind of node."""
        return any((self.reason, self.source, self.province, self.due, self.mark, self.name))


def read(values: Any) -> Asked:
    """Return what an address or a form asks for."""
    province = values.get("province", "")
    return Asked(
        state=TransferState.known(values.get("state", "")) or "",
        reason=Reason.known(values.get("reason", "")) or "",
        source=fields.number(values.get("source")) or None,
        province=province if province in PROVINCES else "",
        due=Due.known(values.get("due", "")) or "",
        mark=values.get("mark", "") if values.get("mark", "") in MARKS else "",
        name=values.get("name", "").strip()[:40],
        sort=WorkOrder.known(values.get("sort", "")) or "",
        after=values.get("after", ""),
    )


def of_view(view: Any) -> Asked:
    """Return what a kept view asks for."""
    kept = view.filter
    marks = zip(MARKS, (kept.unusual, kept.unquestioned, kept.reminded), strict=True)
    return Asked(
        state=kept.state,
        reason=kept.reason,
        source=kept.source_branch_id,
        province=kept.target_province,
        due=kept.due,
        mark=next((name for name, holds in marks if holds), ""),
        sort=view.sort,
    )


def bearing(asked: Asked) -> list[int] | None:
    """Return the members who wait and whose names begin so, None where no name is asked for (SRCH-06).

    Names live in members, which shows them to those who decide; of strangers nobody is found by a name.
    """
    if not asked.name:
        return None
    wanted = transfers.ListWaiting(filter=asked.filter())
    ids = kit.call(transfers.list_waiting, wanted).member_ids
    pieces = [ids[n : n + MAX_ITEMS] for n in range(0, len(ids), MAX_ITEMS)]
    replies = kit.calls(
        *((members.describe_people, members.DescribePeople(person_ids=some)) for some in pieces)
    )
    found = [one.member_id for reply in replies for one in reply if one.name.startswith(asked.name)]
    return found[:NAME_MOST]


# ---- what is shown -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chip:
    """One of the links above the list: its words, how many there are, whether it is chosen, how it looks."""

    text: str
    count: int
    path: str
    here: bool
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """A transfer that waits, ready to be printed."""

    transfer_id: int
    node_no: int
    name: str
    id_masked: str
    source: str
    source_full: str
    target: str
    target_full: str
    reason: str
    findings: list[str]
    unchecked: bool
    item: Any
    looked_at: bool = False


def called(org: Any, whole: bool) -> str:
    """Return what an organisation is called in a list: of elsewhere with what stands above it.

    Without what all names have in common; the whole name stands in the title.
    """
    if org is None:
        return ""
    if not whole:
        return str(org.short_name)
    return str(org.full_name.removeprefix("共青团").removesuffix("委员会"))


def findings(item: Any, person: Any) -> list[Check]:
    """Return what an approver should look at: what transfers has found, and what members knows (MEM-19)."""
    found = list(item.checks)
    if person is not None and person.identity_check == IdentityCheck.FAILED:
        found.append(Check.IDENTITY_FAILED)
    if person is not None and item.reason_kind == "graduate" and not person.graduate:
        found.append(Check.NOT_GRADUATE)
    return found


def row(item: Any, orgs: Mapping[int, Any], people: Mapping[int, Any], now: Any) -> Row:
    """Return a transfer as the list prints it."""
    person = people.get(item.member_id)
    source, target = orgs.get(item.source_branch_id), orgs.get(item.target_org_id)
    comes, goes = item.state != TransferState.OUT, item.state in (TransferState.OUT, TransferState.PROVINCE)
    return Row(
        transfer_id=item.transfer_id,
        node_no=item.node_no,
        name=person.name if person is not None else str(item.member_id),
        id_masked=person.id_masked if person is not None else "",
        source=called(source, comes),
        source_full=source.full_name if source is not None else "",
        target=called(target, goes),
        target_full=target.full_name if target is not None else "",
        reason=kit.word(Reason(item.reason)),
        findings=[kit.word(one) for one in findings(item, person)],
        unchecked=person is not None and person.identity_check == IdentityCheck.UNCHECKED,
        item=item,
        looked_at=bool(
            item.looked_until and item.looked_until > now and item.looked_by != session.get("person")
        ),
    )


def tabs(asked: Asked, counts: Any) -> list[Chip]:
    """Return the kinds of nodes at which something waits; the chosen one also where nothing does."""
    return [
        Chip(kit.word(one), counts.states.get(one, 0), f"/work?state={one}", asked.state == one)
        for one in NODES
        if counts.states.get(one) or asked.state == one
    ]


def chips(asked: Asked, counts: Any) -> list[Chip]:
    """Return the measures by which one narrows the list first, with how many there are."""
    usual = counts.total - counts.unusual
    return [
        Chip(_("全部"), counts.total, asked.path(due="", mark=""), not (asked.due or asked.mark)),
        *(
            Chip(kit.word(one), n, asked.path(due=one, mark=""), asked.due == one, tone)
            for one, n, tone in ((Due.LATE, counts.late, "late"), (Due.TODAY, counts.today, "soon"))
        ),
        *(
            Chip(text, n, asked.path(due="", mark=mark), asked.mark == mark, tone)
            for mark, text, n, tone in (
                ("unusual", _("去向不常见"), counts.unusual, "soon"),
                ("usual", _("去向正常"), usual, ""),
                ("reminded", _("已提醒"), counts.reminded, ""),
            )
        ),
    ]


def choices(counts: Any, branches: Mapping[int, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the choices of the filters, each with how many of everything that waits it has."""
    return {
        "source": sorted(
            (
                (str(one), f"{branches[one].short_name} ({n})")
                for one, n in counts.branches.items()
                if one in branches
            ),
            key=lambda pair: pair[1],
        ),
        "reason": [
            (str(one), f"{kit.word(one)} ({counts.reasons[one]})")
            for one in Reason
            if counts.reasons.get(one)
        ],
        "province": [
            (code, f"{kit.word(name)} ({counts.provinces[code]})")
            for code, name in PROVINCES.items()
            if counts.provinces.get(code)
        ],
        "due": [(str(one), kit.word(one)) for one in Due],
        "sort": [(str(one), kit.word(one)) for one in WorkOrder],
    }
