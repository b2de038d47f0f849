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
from services.gateway.kit import fields, naming
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Column
from services.gateway.kit.tiles import NAMES as PROVINCES
from shared.messages import transfers
from shared.messages.words import Check, Due, IdentityCheck, Reason, System, TransferState, WorkOrder

NODES = (TransferState.IN, TransferState.OUT, TransferState.PROVINCE, TransferState.ASSIGN)
"""The nodes at which something waits, in the order of the tabs."""
PAGE = 20
"""Rows of a page: with the head of the page two screens at most."""
SOME, NONE = "some", "none"
"""What `Asked.check` says beside a single finding: that the rules have found something, or nothing."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for; what it cannot mean is as if it were not there."""

    state: str = ""
    reason: str = ""
    source: int | None = None
    province: str = ""
    due: str = ""
    check: str = ""
    reminded: bool = False
    name: str = ""
    sort: str = ""
    after: str = ""

    def filter(self, without: Iterable[int] = ()) -> transfers.Filter:
        """Return the filter that this means, but for some transfers."""
        return transfers.Filter(
            state=self.state,
            reason=self.reason,
            source_branch_id=self.source,
            target_province=self.province,
            due=self.due,
            check=Check.known(self.check) or "",
            questioned=self.check == SOME,
            unquestioned=self.check == NONE,
            reminded=self.reminded,
            name=self.name,
            without=list(without),
        )

    def query(self, **changes: Any) -> str:
        """Return what stands after the question mark, changed; without `after` unless that is given."""
        values = {**self.kept, "after": "", **changes}
        return urlencode({name: value for name, value in values.items() if value})

    def path(self, **changes: Any) -> str:
        """Return the address of the queue, changed."""
        return f"/work?{self.query(**changes)}"

    @property
    def kept(self) -> dict[str, Any]:
        """Return what a form keeps of it: all that is asked for, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value}

    @property
    def narrowed(self) -> bool:
        """Return whether more is asked for than a kind of node."""
        return any((self.reason, self.source, self.province, self.due, self.check, self.name))


def read(values: Any) -> Asked:
    """Return what an address or a form asks for."""
    return Asked(
        state=fields.one_of(values.get("state"), TransferState),
        reason=fields.one_of(values.get("reason"), Reason),
        source=fields.number(values.get("source")) or None,
        province=fields.one_of(values.get("province"), PROVINCES),
        due=fields.one_of(values.get("due"), Due),
        check=fields.one_of(values.get("check"), (SOME, NONE, *Check)),
        reminded=bool(fields.one_of(values.get("reminded"), ("True",))),
        name=fields.person(values.get("name")),
        sort=fields.one_of(values.get("sort"), WorkOrder),
        after=values.get("after", ""),
    )


def of_view(view: Any) -> Asked:
    """Return what a kept view asks for."""
    kept = view.filter
    found = SOME if kept.questioned else NONE if kept.unquestioned else kept.check
    return Asked(
        state=kept.state,
        reason=kept.reason,
        source=kept.source_branch_id,
        province=kept.target_province,
        due=kept.due,
        check=found,
        reminded=kept.reminded,
        sort=view.sort,
    )


# ---- what is shown -------------------------------------------------------------------------------


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
    phone: str = ""
    """Of the branch in another system that the person leaves."""


def called(org: Any, whole: bool) -> str:
    """Return what an organisation is called in a list: of elsewhere with what stands above it.

    Without what all names have in common; the whole name stands in the title. One of another system is
    named with that, since two systems may have the same name (FED-08).
    """
    if org is None:
        return ""
    own = naming.within(org.full_name, "") if whole else str(org.short_name)
    return own if org.system == System.NATIONAL else f"{kit.word(org.system)} · {own}"


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
        findings=[kit.word(one) for one in item.checks],
        unchecked=person is not None and person.identity_check == IdentityCheck.UNCHECKED,
        item=item,
        phone=source.phone if source is not None and source.system != System.NATIONAL else "",
        looked_at=bool(
            item.looked_until and item.looked_until > now and item.looked_by != session.get("person")
        ),
    )


def tabs(asked: Asked, counts: Any) -> list[tuple[str, str, int, bool]]:
    """Return the kinds of nodes at which something waits, as the kit's tabs; the chosen one in any case."""
    return [
        (f"/work?state={one}", kit.word(one), counts.states.get(one, 0), asked.state == one)
        for one in NODES
        if counts.states.get(one) or asked.state == one
    ]


def chips(asked: Asked, counts: Any) -> list[tuple[str, str, int, str, bool]]:
    """Return the measures by which one narrows the list first, as the kit's chips."""
    free = {"due": "", "check": "", "reminded": ""}
    measures = (
        ({"due": Due.LATE}, kit.word(Due.LATE), counts.late, "late", asked.due == Due.LATE),
        ({"due": Due.TODAY}, kit.word(Due.TODAY), counts.today, "soon", asked.due == Due.TODAY),
        ({"check": SOME}, _("有提示"), counts.questioned, "soon", asked.check == SOME),
        ({"check": NONE}, _("校验通过"), counts.total - counts.questioned, "", asked.check == NONE),
        ({"reminded": True}, _("已提醒"), counts.reminded, "", asked.reminded),
    )
    everything = not (asked.due or asked.check or asked.reminded)
    return [
        (asked.path(**free), _("全部"), counts.total, "", everything),
        *((asked.path(**free | change), *rest) for change, *rest in measures),
    ]


def columns() -> list[Column]:
    """Return the columns of the list; what sorts it is a choice among the filters."""
    return [
        Column("", "tick", _("勾选")),
        *(Column(one) for one in (_("姓名"), _("转出支部"), _("去向"), _("系统校验"), _("期限"))),
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
        "check": [
            (SOME, _("有提示")),
            (NONE, _("校验通过")),
            *((str(one), kit.word(one)) for one in Check),
        ],
        "sort": [(str(one), kit.word(one)) for one in WorkOrder],
    }
