"""The tree of organisations: walking and searching it, one organisation, a new one, deleting one.

The list shows what stands right below an organisation; editing, order and deletion have a page of the
organisation, so that no row of the list holds a form.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import redirect, request, session

from services.gateway import kit, settings
from services.gateway.api import deletion
from services.gateway.kit import fields, send
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Listing
from services.gateway.pages import organisations, picking
from shared import clock
from shared.errors import Refusal, Refused
from shared.messages import members, orgs, transfers
from shared.messages.limits import OrgId
from shared.messages.words import MADE_BY_THE_SYSTEM, Code, OrgKind, OrgPurpose, System
from shared.reference import INDUSTRIES
from shared.translations import N_

SAID = {
    "up": N_("已上移。"),
    "down": N_("已下移。"),
    "delete": N_("组织已删除。"),
    "await": N_("组织已转为待接转团支部。"),
    "": N_("组织信息已保存。"),
}
"""What the page of organisations says after each of its buttons."""


@dataclass(frozen=True)
class Row:
    """An organisation of the list."""

    org_id: int
    name: str
    full_name: str
    kind: str
    below: int
    """Its direct subordinates."""
    branch: bool
    members: int | None
    """With all below it; None where that is not told."""
    administrators: tuple[str, ...]
    phone: str
    complete: bool


@kit.blueprint.route("/orgs", methods=["GET", "POST"])
def my_orgs() -> Any:
    """Walk and search what is below the acting organisation (ORG-24, SRCH-02), and change it."""
    if request.method == "POST":
        return _keep(request.form)
    here = fields.number(request.args.get("at"), session.get("org") or 0)
    return _list(here, request.args.get("text", "").strip())


class Which(msgspec.Struct):
    """The organisation that a form is about, none for a new one, and that above it."""

    org: OrgId | None = None
    at: OrgId | None = None


def _keep(form: Any) -> Any:
    """Create, edit, move or delete a direct subordinate (ORG-10, ORG-23, DEL-01..03)."""
    which = forms.value(Which, form)
    here = which.at or session.get("org") or 0
    read: forms.Read[Any] = forms.unsent()
    do = form.get("do", "")
    if do in ("up", "down"):
        refusal = _order_org(here, which.org or 0, do == "up")
    elif do in ("delete", "await"):
        wanted = orgs.DeleteOrg(command_id=uuid.uuid4(), org_id=which.org or 0, to_awaiting=do == "await")
        (answer,) = deletion.delete(lambda asked: kit.calls(*asked, partial=True), [wanted])
        refusal = answer.refusal
    else:
        read = forms.read(orgs.SaveOrg, form, org_id=which.org, parent_id=here)
        saved = kit.call(orgs.save_orgs, [read.value])[0] if read.value is not None else None
        refusal = saved.refusal if saved is not None else None
        if saved is not None and refusal is None and which.org is None:
            kit.say(_("组织已创建。下一步:请它的管理员用注册码注册。"))
            return redirect(f"/orgs/{saved.org_id}")
    if refusal is None and not read.errors:
        kit.say(kit.word(SAID.get(do, SAID[""])))
        return redirect(f"/orgs?at={here}")
    return _new(here, refusal, read) if which.org is None else _one(which.org, refusal, read)


@kit.blueprint.get("/orgs/found")
def orgs_found() -> Any:
    """Show the organisations below the own one that a text may mean; a part of the list (SRCH-02)."""
    text = request.args.get("text", "").strip()
    found = kit.call(*_search(text)) if len(text) >= picking.SHORTEST else []
    chosen = picking.choices(found, False)
    return kit.part("organisations/_tree.html", "found_list", chosen, len(text) >= picking.SHORTEST)


def _search(text: str) -> tuple[Any, Any]:
    return orgs.search_orgs, orgs.SearchOrgs(text=text[:100], below=session.get("org"), limit=20)


def _list(here: int, text: str) -> Any:
    """Show what stands right below an organisation, and what a search finds."""
    searched = len(text) >= picking.SHORTEST
    children, above, counted, found = kit.calls(
        kit.children_of(here) if here else None,
        (orgs.list_above, orgs.ListAbove(org_id=here)) if here else None,
        (members.get_entry_progress, members.GetEntryProgress(org_id=here)) if here else None,
        _search(text) if searched else None,
        partial=True,
    )
    if isinstance(children, Refused):
        raise children
    listing = Listing("/orgs", {"at": str(here or ""), "sort": request.args.get("sort", "")})
    return kit.render(
        "organisations/orgs.html",
        rows=listing.in_order(
            _rows(children or [], counted),
            name=lambda row: row.name,
            kind=lambda row: row.kind,
            members=lambda row: row.members or 0,
            administrators=lambda row: len(row.administrators),
            complete=lambda row: row.complete,
        ),
        columns=[
            listing.column(_("组织"), "name"),
            listing.column(_("类别"), "kind"),
            listing.column(_("团员"), "members", "number"),
            listing.column(_("管理员"), "administrators"),
            listing.column(_("电话")),
            listing.column(_("资料"), "complete"),
        ],
        way=_own_part(above or []),
        here=above[-1] if above else None,
        purposes=purposes(),
        text=text,
        searched=searched,
        found=picking.choices(found or (), False),
    )


def _own_part(above: Sequence[Any]) -> list[Any]:
    """Return the way from the acting organisation down; whole where it is not among them."""
    at = next((at for at, org in enumerate(above) if org.org_id == session.get("org")), 0)
    return list(above[at:])


def _rows(children: Sequence[Any], counted: Any) -> list[Row]:
    """Return the rows of the list, with how many members each has and who administers it."""
    ids = [org.org_id for org in children][:500]
    holders = kit.call(orgs.list_administrators, orgs.ListAdministrators(org_ids=ids)) if ids else []
    staff = kit.names((), [one.person_id for one in holders])[1]
    named: dict[int, list[str]] = {}
    for one in holders:
        if one.person_id in staff:
            named.setdefault(one.org_id, []).append(staff[one.person_id].name)
    size = {} if isinstance(counted, Refused) else {one.org_id: one.members for one in counted or ()}
    words = purposes()
    return [
        Row(
            org_id=org.org_id,
            name=org.short_name or org.full_name,
            full_name=org.full_name,
            kind=kit.word(org.kind if org.purpose == OrgPurpose.ORDINARY else words[org.purpose]),
            below=org.children,
            branch=org.kind == OrgKind.BRANCH,
            members=size.get(org.org_id),
            administrators=tuple(named.get(org.org_id, ())),
            phone=org.phone,
            complete=org.complete,
        )
        for org in children
    ]


@kit.blueprint.get("/orgs/new")
def new_org() -> Any:
    """Show the form of a new organisation below the acting one (ORG-10, ORG-23)."""
    return _new(organisations.acting_committee(), None, forms.unsent())


def _new(here: int, refusal: Refusal | None, read: forms.Read[Any]) -> Any:
    found = kit.call(orgs.get_orgs, orgs.GetOrgs(org_ids=[here]))
    if not found:
        raise Refused("unknown_org")
    return kit.render(
        "organisations/new.html",
        read.status(refusal),
        here=found[0],
        refusal=refusal,
        errors=read.errors,
        form=request.form,
        industries=[(name, kit.word(name)) for name in INDUSTRIES],
        offered=[
            (code, kit.word(said)) for code, said in purposes().items() if code not in MADE_BY_THE_SYSTEM
        ],
        command_id=uuid.uuid4(),
    )


@kit.blueprint.get("/orgs/<int:org_id>")
def one_org(org_id: int) -> Any:
    """Show one organisation: what it is, who keeps it, and the forms that change it."""
    return _one(org_id, None, forms.unsent())


def _one(org_id: int, refusal: Refusal | None, read: forms.Read[Any]) -> Any:
    above, counted, holders = kit.calls(
        (orgs.list_above, orgs.ListAbove(org_id=org_id)),
        (members.get_entry_progress, members.GetEntryProgress(org_id=org_id)),
        (orgs.list_administrators, orgs.ListAdministrators(org_ids=[org_id])),
        partial=True,
    )
    for answer in (above, holders):
        if isinstance(answer, Refused):
            raise answer
    if not above:
        raise Refused("unknown_org")
    org = above[-1]
    people = kit.names((), [one.person_id for one in holders])[1]
    return kit.render(
        "organisations/one.html",
        read.status(refusal),
        errors=read.errors,
        org=org,
        way=_own_part(above),
        kept=org.parent_id == session.get("org") and org.system == System.NATIONAL,
        size=None if isinstance(counted, Refused) else counted[0],
        people=list(people.values()),
        purposes=purposes(),
        refusal=refusal,
        form=request.form,
        command_id=uuid.uuid4(),
    )


@kit.blueprint.get("/orgs/<int:org_id>/delete")
def delete_org(org_id: int) -> Any:
    """Show what deleting an organisation means, and ask (DEL-01..03)."""
    found, inside, in_the_way = kit.calls(
        (orgs.get_orgs, orgs.GetOrgs(org_ids=[org_id])),
        (members.count_inside, members.CountInside(org_ids=[org_id])),
        (transfers.count_in_the_way, transfers.CountInTheWay(org_ids=[org_id])),
        partial=True,
    )
    if not found or found[0].parent_id != session.get("org"):
        raise Refused("unknown_org" if not found else "not_your_org")
    return kit.render(
        "organisations/delete.html",
        org=found[0],
        inside=inside[0] if not isinstance(inside, Refused) and inside else None,
        open=in_the_way[0] if not isinstance(in_the_way, Refused) and in_the_way else None,
    )


@kit.blueprint.route("/switch", methods=["GET", "POST"])
def switch() -> Any:
    """Choose in whose name one acts, by any words of its name (切换其他组织, ROLE-14, UI-06).

    The bar shows the same as a part of any page.
    """
    mine = kit.call(orgs.my_orgs, orgs.MyOrgs())
    if request.method == "POST":
        return _choose_org(mine, forms.value(Which, request.form).org)
    text = request.args.get("text", "").strip()
    said = text.lower().split()
    return kit.render(
        "organisations/switch.html",
        block="part" if request.headers.get("HX-Request") else "",
        mine=[one for one in mine if all(word in one.full_name.lower() for word in said)],
        all=len(mine),
        text=text,
    )


def _choose_org(mine: Sequence[Any], org: int | None) -> Any:
    """Act for one of the own organisations from now on (ROLE-14); begin where its work begins."""
    chosen = next((one for one in mine if one.org_id == org), None)
    if chosen is None:
        raise Refused("not_administrator")
    organisations.act_for(chosen)
    kit.say(_("现在代表%(name)s办理。", name=chosen.full_name))
    return redirect(kit.landing())


def _order_org(here: int, org: int, up: bool) -> Refusal | None:
    """Move a direct subordinate one place up or down (上移/下移, ORG-24); at the end of the list it stays."""
    ids = [one.org_id for one in kit.call(*kit.children_of(here))]
    at = ids.index(org) if org in ids else -1
    if at < 0:
        return Refusal("unknown_org")
    if at == (0 if up else len(ids) - 1):
        return None
    after: int | None
    if not up:
        after = ids[at + 1]
    elif at >= 2:
        after = ids[at - 2]
    else:  # it becomes the first
        after = None
    return send(orgs.order_orgs, orgs.OrderOrg(org_id=org, after=after))


def purposes() -> dict[OrgPurpose, Code | str]:
    """Return the words of purposes, the hand-over branch by what it is called now (ORG-28)."""
    label = settings.current().practice.text("township_branch_label", clock.today())
    return {
        **{one: one for one in OrgPurpose},
        OrgPurpose.HANDOVER: label,
    }
