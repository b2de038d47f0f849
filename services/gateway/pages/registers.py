"""The registers of those who stay: retained at school, or abroad for studies (GRAD-26..31, DOC-09)."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import msgspec
from flask import redirect, request

from services.gateway import kit
from services.gateway.kit import blueprint, call, fields, names, say, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.kit.table import Listing
from services.gateway.pages import organisations, people
from shared.messages import MAX_ITEMS, members
from shared.messages.limits import Id
from shared.messages.words import OrgKind, StayKind, StayState
from shared.translations import N_

PAGE = 100
"""Entries of a page."""
DECIDED = {
    "approve": N_("同意了 %(n)s 项登记。"),
    "refuse": N_("不同意 %(n)s 项登记。"),
    "end": N_("结束了 %(n)s 项登记。"),
}
"""What the page says after each of its buttons."""

ABROAD = ("place", "contact_name", "contact_phone")
"""What is asked of somebody who goes abroad beside the span (GRAD-29)."""


class Decide(msgspec.Struct):
    """What is ticked in the register, and what is said of it."""

    do: Annotated[str, msgspec.Meta(max_length=20)] = ""
    retention: Annotated[list[Id], msgspec.Meta(max_length=MAX_ITEMS)] = []
    note: Annotated[str, msgspec.Meta(max_length=200)] = ""


@blueprint.route("/registers", methods=["GET", "POST"])
def registers() -> Any:
    """Show the register of the acting organisation and below; decide on what is ticked (DOC-09, GRAD-29)."""
    if request.method == "POST":
        return _decide(forms.value(Decide, request.form))
    args = request.args
    kind = fields.one_of(args.get("kind"), StayKind)
    state = fields.one_of(args.get("state"), StayState)
    name = fields.person(args.get("name"))
    sort = fields.one_of(args.get("sort"), ("until", "-until"))
    narrowed = {"kind": kind, "state": state, "name": name, "sort": sort}
    listing = Listing("/registers", narrowed)
    after = fields.number(args.get("after"))
    items = call(
        members.list_retentions,
        members.ListRetentions(kind=kind, state=state, name=name, sort=sort, after=after, limit=PAGE),
    )
    found, *_more = names([item.branch_id for item in items])
    return kit.render(
        "members/registers.html",
        items=items,
        orgs=found,
        listing=listing,
        name=name,
        kind=kind,
        narrowed=bool(kind or state or name),
        first=bool(after),
        chips=[
            (listing.address(state=None), _("全部"), None, "", not state),
            *((listing.address(state=one), word(one), None, "", state == one) for one in StayState),
        ],
        kinds=list(StayKind),
        columns=[
            listing.column("", unseen=_("选择")),
            listing.column(_("姓名")),
            listing.column(_("类别")),
            listing.column(_("起始日期")),
            listing.column(_("截止日期"), "until"),
            listing.column(_("状态")),
        ],
        export=Listing("/download/retentions", narrowed).address(),
        next_page=listing.address(after=items[-1].retention_id) if len(items) == PAGE else "",
    )


def _decide(said: Decide) -> Any:
    """Approve, refuse or end what is ticked; say how many were, and why others were not."""
    here = request.full_path.rstrip("?")
    if said.do not in DECIDED or not said.retention:
        say(_("请先勾选登记"), "error")
        return redirect(here)
    answers = call(
        members.decide_retentions,
        [
            members.DecideRetention(
                retention_id=one,
                approve=said.do == "approve",
                end=said.do == "end",
                note=said.note,
            )
            for one in said.retention
        ],
    )
    done = sum(one.refusal is None for one in answers)
    if done:
        say(_(DECIDED[said.do], n=done))
    why = [one.refusal.say(language()) for one in answers if one.refusal is not None]
    for words in dict.fromkeys(why):
        say(_("%(n)s 项未办理: %(why)s", n=why.count(words), why=words), "error")
    return redirect(here)


@blueprint.route("/registers/new", methods=["GET", "POST"])
def register_stay() -> Any:
    """Register that members stay at school or go abroad, many with one form (GRAD-26, GRAD-29)."""
    form, read = request.values, forms.unsent()
    picker = people.picker(form, several=True)
    if form.get("do"):
        # what is asked for is the same for all, so it is read once
        first = picker.chosen[0].member_id if picker.chosen else 1
        read = forms.read(members.RequestRetention, request.form, member_id=first)
        if not picker.chosen:
            read.errors["member"] = _("请选择团员")
        if form.get("kind") == StayKind.ABROAD:  # all four items of GRAD-29
            empty = [one for one in ABROAD if not form.get(one, "").strip()]
            read.errors.update(dict.fromkeys(empty, _("出国(境)须填写此项")))
        if not read.errors and _asked(read, picker.chosen):
            return redirect("/registers")
    children = call(*kit.children_of(organisations.acting_committee()))
    return kit.render(
        "members/register_new.html",
        read.status(),
        picker=picker,
        branches=[(org.org_id, org.short_name) for org in children if org.kind == OrgKind.BRANCH],
        form=form,
        errors=read.errors,
        command_id=form.get("command_id") or uuid.uuid4(),
    )


def _asked(read: forms.Read[members.RequestRetention], chosen: list[people.Person]) -> bool:
    """Ask for each of the chosen; say who is registered, and why others are not.

    Where nobody is, the form says why, and comes back.
    """
    assert read.value is not None
    wanted = [
        msgspec.structs.replace(
            read.value,
            member_id=one.member_id,
            command_id=uuid.uuid5(read.value.command_id, str(one.member_id)),
        )
        for one in chosen
    ]
    answers = call(members.request_retentions, wanted)
    refused = [(one, made.refusal) for one, made in zip(chosen, answers, strict=True) if made.refusal]
    done = len(chosen) - len(refused)
    if not done:
        for _one, refusal in refused:
            read.refused(refusal, FIELDS)
        return False
    say(_("已登记 %(n)s 位团员,等待审批。", n=done))
    for one, refusal in refused:
        say(_("%(name)s未登记: %(why)s", name=one.name, why=refusal.say(language())), "error")
    return True


FIELDS = {
    "unknown_member": "member",
    "not_a_graduate": "member",
    "retention_open": "member",
    "retention_kind": "kind",
    "retention_not_here": "kind",
    "retention_dates": "until",
    "retention_too_long": "until",
    "retention_too_early": "since",
}
"""The field that a refusal speaks of."""
