"""A member's record as it is entered, edited and reported, one at a time (MEM, IMP-08, DEL-06)."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any

import msgspec
from flask import redirect, request, session

from services.gateway import kit
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.pages import joining
from shared.errors import Refusal, Refused
from shared.messages import members, orgs, words
from shared.translations import N_

Short = Annotated[str, msgspec.Meta(max_length=40)]


class Enter(msgspec.Struct):
    """What is typed of somebody who is entered into a branch."""

    command_id: uuid.UUID
    name: joining.Name
    id_number: joining.Number
    ethnic_group: joining.People = ""
    phone: joining.Phone = ""
    joined_on: Annotated[dt.date | None, msgspec.Meta(title=N_("入团时间"))] = None
    development_number: joining.DevelopmentNumber = ""
    post: Short = ""


@kit.blueprint.route("/members/<int:member_id>/edit", methods=["GET", "POST"])
def edit_member(member_id: int) -> Any:
    """Edit a member's record, for the branch or its direct superior (MEM-14)."""
    profile = kit.call(members.get_profile, members.GetProfile(member_id=member_id))
    here = f"/members/{member_id}"
    return joining.edit_record(profile.member, f"{here}/edit", here)


@kit.blueprint.route("/members/new", methods=["GET", "POST"])
def enter_member() -> Any:
    """Enter one person into a branch (REG-01, IMP-08), for the branch or its direct superior."""
    branch = forms.value(forms.Branch, request.values).branch or session.get("org") or 0
    found = kit.call(orgs.get_orgs, orgs.GetOrgs(org_ids=[branch])) if branch else []
    if not found or found[0].kind != words.OrgKind.BRANCH:
        raise Refused("branch_unknown")
    read = None
    if request.method == "POST":
        read = forms.read(Enter, request.form)
        if read.value is not None:
            typed = read.value
            wanted = members.Admission(branch_id=branch, **msgspec.structs.asdict(typed))
            made = kit.call(members.admit, [wanted])[0]
            if made.refusal is None:
                kit.say(_("已录入%(name)s。", name=typed.name))
                return redirect(f"/members/{made.member_id}")
            joining.explain(read, Refused.of(made.refusal))
    return kit.render(
        "members/new.html",
        422 if read else 200,
        org=found[0],
        form=request.form,
        errors=read.errors if read else {},
        posts=words.PostCode,
        command_id=request.form.get("command_id") or uuid.uuid4(),
    )


@kit.blueprint.route("/members/<int:member_id>/report", methods=["GET", "POST"])
def report_member(member_id: int) -> Any:
    """Report a wrongly entered member to the leading bodies above (DEL-06, DEL-10, DOC-11)."""
    profile = kit.call(members.get_profile, members.GetProfile(member_id=member_id))
    read = forms.unsent()
    if request.method == "POST":
        read = forms.read(members.RequestDeletion, request.form, member_id=member_id)
    if read.value is not None:
        refusal = kit.send(members.request_deletions, read.value)
        if refusal is None:
            kit.say(_("已上报,由上级团委核实后删除。"))
            return redirect(f"/members/{member_id}")
        read.errors["cause"] = refusal.say(language())
    return kit.render(
        "members/report.html",
        read.status(),
        one=profile.member,
        form=read.typed,
        errors=read.errors,
        causes=words.DeletionCause,
        command_id=read.typed.get("command_id") or uuid.uuid4(),
    )


@kit.blueprint.route("/members/<int:member_id>/number", methods=["GET", "POST"])
def reveal_number(member_id: int) -> Any:
    """Show a full ID number to somebody who says why; the view is logged (MEM-32, BEY-10)."""
    profile = kit.call(members.get_profile, members.GetProfile(member_id=member_id))
    read, number = forms.unsent(), ""
    if request.method == "POST":
        read = forms.read(members.RevealIds, request.form, person_ids=[member_id])
    if read.value is not None:
        try:
            seen = kit.call(members.reveal_ids, read.value)
            number = seen[0].id_number if seen else ""
            if not number:
                read.errors["reason"] = Refusal("unknown_member").say(language())
        except Refused as error:
            if error.code in ("token_expired", "token_invalid"):
                raise
            read.errors["reason"] = error.refusal.say(language())
    return kit.render(
        "members/number.html",
        read.status(),
        one=profile.member,
        number=number,
        form=read.typed,
        errors=read.errors,
    )
