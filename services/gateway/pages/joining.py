"""Coming into the system, by a code or by asking an organisation (REG-01, ADM-04); the own record."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from flask import current_app, g, redirect, request, session
from msgspec import Meta

from services.gateway import kit
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.pages import account
from services.gateway.pages.picking import SHORTEST
from shared.errors import Refused
from shared.messages import members, orgs
from shared.messages.words import PostCode
from shared.translations import N_

Name = Annotated[str, Meta(title=N_("姓名"), min_length=1, max_length=60)]
Number = Annotated[str, Meta(title=N_("身份证号码"), min_length=15, max_length=18)]
Phone = Annotated[str, Meta(title=N_("手机号码"), max_length=20)]
NewPassword = Annotated[str, Meta(title=N_("密码"), min_length=8, max_length=100)]
Code = Annotated[str, Meta(title=N_("管理员注册码"), min_length=4, max_length=64)]
OrgNumber = Annotated[int, Meta(title=N_("所在团组织"), ge=1, le=10**18 - 1)]
People = Annotated[str, Meta(title=N_("民族"), max_length=20)]
JoinedOn = Annotated[dt.date, Meta(title=N_("入团时间"))]
DevelopmentNumber = Annotated[str, Meta(title=N_("发展团员编号"), max_length=20)]


class Administrator(msgspec.Struct):
    """A new administrator, with the code from the direct superior (ADM-04)."""

    code: Code
    name: Name
    id_number: Number
    password: NewPassword
    phone: Phone = ""
    post: str = PostCode.SECRETARY


class Redeem(msgspec.Struct):
    """A code, for somebody who has an account (ADM-15)."""

    code: Code
    post: str = PostCode.SECRETARY


class Newcomer(msgspec.Struct):
    """Somebody who asks an organisation to be taken (REG-02, REG-08)."""

    org: OrgNumber
    name: Name
    id_number: Number
    phone: Phone
    joined_on: JoinedOn
    password: NewPassword
    ethnic_group: People = ""
    development_number: DevelopmentNumber = ""
    post: str = ""


PLACES = {
    "too_many_attempts": "org",
    "code_invalid": "code",
    "sign_in_to_register": "id_number",
    "registered_already": "id_number",
    "id_registered": "id_number",
    "id_invalid": "id_number",
    "name_differs": "name",
    "name_invalid": "name",
    "password_weak": "password",
    "unknown_org": "org",
    "captcha_wrong": "captcha",
    "post_unknown": "post",
    "secretary_in_post": "post",
    "age_out_of_range": "id_number",
    "joined_too_young": "joined_on",
    "joined_in_future": "joined_on",
}
"""The field that a refusal speaks of; those of the development number are found by their beginning."""


def explain(read: forms.Read[Any], error: Refused) -> None:
    """Say a refusal at its field; what ends the session goes on."""
    if error.code in ("token_expired", "token_invalid"):
        raise error
    places = dict(PLACES)
    if error.code.startswith("development_number"):
        places[error.code] = "development_number"
    read.refused(error.refusal, places)


@kit.blueprint.get("/register")
def register() -> Any:
    """Show the ways in: with a code, or by asking; whoever was entered by somebody just signs in (REG-02)."""
    return kit.render("joining/register.html")


@kit.blueprint.route("/register/administrator", methods=["GET", "POST"])
def register_administrator() -> Any:
    """Become an administrator with a registration code: as a new person, or signed in (ADM-04, ADM-15)."""
    signed_in = "token" in session
    read: forms.Read[Any] = forms.unsent(**request.form)
    if request.method == "POST":
        read = forms.read(Redeem if signed_in else Administrator, request.form)
        if read.value is not None:
            try:
                return _redeem(read.value) if signed_in else _enrol(read.value)
            except Refused as error:
                explain(read, error)
    return kit.render(
        "joining/administrator.html",
        422 if read.errors else 200,
        form=read.typed,
        errors=read.errors,
        signed_in=signed_in,
        captcha="" if signed_in else account.new_captcha(),
    )


def _redeem(wanted: Redeem) -> Any:
    done = kit.call(members.redeem_code, members.RegisterAdministrator(code=wanted.code, post=wanted.post))
    kit.say(_("您已成为“%(name)s”的管理员。", name=done.org_name))
    return redirect("/switch")


def _enrol(wanted: Administrator) -> Any:
    done = current_app.config["CLIENT"].call(
        members.register_administrator,
        members.RegisterAdministrator(
            **msgspec.structs.asdict(wanted), address=request.remote_addr or "", **account.read_captcha()
        ),
        request_id=g.request_id,
    )
    kit.say(_("您已成为“%(name)s”的管理员,请用身份证号码和刚才的密码登录。", name=done.org_name))
    return redirect("/sign-in")


@kit.blueprint.route("/register/member", methods=["GET", "POST"])
def register_member() -> Any:
    """Ask a branch, as a member, or another organisation, as a cadre, to be taken (REG-02, REG-03).

    The organisation is found by its name with the first button of the form, so Enter sends nothing off.
    """
    read: forms.Read[Any] = forms.unsent(org=request.args.get("org", ""))
    if request.method == "POST":
        read = forms.unsent(**request.form)
    if request.method == "POST" and request.form.get("do") != "search":
        read = forms.read(Newcomer, request.form)
        if read.value is not None:
            try:
                return _ask_in(read.value)
            except Refused as error:
                explain(read, error)
    text = read.typed.get("org_text", "").strip()
    found: list[orgs.ToJoin] = []
    try:
        # whoever comes by the link of an organisation, or writes its number, is shown its name
        found = _found(text or read.typed.get("org", ""))
    except Refused as error:
        explain(read, error)
    return kit.render(
        "joining/member.html",
        422 if read.errors else 200,
        form=_chosen(read.typed, found),
        errors=read.errors,
        asked=bool(text),
        found=found,
        captcha=account.new_captcha(),
    )


def _chosen(typed: Any, found: Sequence[orgs.ToJoin]) -> dict[str, str]:
    """Return what was typed, with the organisation chosen where only one can be meant."""
    form = dict(typed.items())
    if len(found) == 1:
        form["org"] = str(found[0].org_id)
    return form


def _found(text: str) -> list[orgs.ToJoin]:
    """Return the organisations that a text may mean; nobody has to have signed in."""
    if len(text) < SHORTEST:
        return []
    found: list[orgs.ToJoin] = current_app.config["CLIENT"].call(
        orgs.find_to_join,
        orgs.FindToJoin(text=text[:100], address=request.remote_addr or ""),
        request_id=g.request_id,
    )
    return found


def _ask_in(wanted: Newcomer) -> Any:
    values: dict[str, Any] = msgspec.structs.asdict(wanted) | account.read_captcha()
    client = current_app.config["CLIENT"]
    client.call(
        members.register,
        members.Register(org_id=values.pop("org"), address=request.remote_addr or "", **values),
        request_id=g.request_id,
    )
    kit.say(_("注册申请已提交,等待该组织的管理员接收。现在可以登录查看进度或撤销申请。"))
    return redirect("/sign-in")


@kit.blueprint.route("/register/mine", methods=["GET", "POST"])
def own_registrations() -> Any:
    """How far the own registration is; it may be taken back while nobody has decided (REG-05)."""
    if request.method == "POST":
        wanted = forms.value(
            members.DecideRegistration,
            request.form,
            {"registration_id": "registration"},
            (),
            accept=False,
            withdraw=True,
        )
        refusal = kit.send(members.decide_registrations, wanted)
        if refusal is not None:
            raise Refused.of(refusal)
        kit.say(_("注册申请已撤销。"))
        return redirect("/register/mine")
    items = kit.call(members.list_registrations, members.ListRegistrations(own=True))
    found, _people, _more = kit.names([one.org_id for one in items])
    return kit.render("joining/mine.html", items=items, orgs=found)


# ---- the own record ---------------------------------------------------------------------------------


class OwnRecord(msgspec.Struct):
    """What people change about themselves; name and ID number never (MEM-14, MEM-21)."""

    phone: Phone = ""
    ethnic_group: People = ""
    joined_on: Annotated[dt.date | None, Meta(title=N_("入团时间"))] = None
    development_number: DevelopmentNumber = ""
    contact: Annotated[str, Meta(title=N_("常用联系方式"), max_length=100)] = ""
    emergency_contact: Annotated[str, Meta(title=N_("紧急联系人"), max_length=100)] = ""


@kit.blueprint.route("/me/edit", methods=["GET", "POST"])
def edit_own() -> Any:
    """Change the own record (MEM-14, MEM-21, MEM-23)."""
    me = kit.call(members.who_am_i, members.WhoAmI()).member
    return edit_record(me, "/me/edit", "/me")


def edit_record(member: Any, here: str, back: str) -> Any:
    """Show the form of a record, or keep what it says; the service decides who may (MEM-14)."""
    names = OwnRecord.__struct_fields__
    stored = {name: str(getattr(member, name, None) or "") for name in names}
    read: forms.Read[Any] = forms.unsent(**stored)
    if request.method == "POST":
        read = forms.read(OwnRecord, request.form)
        if read.value is not None:
            changed = {
                name: value
                for name, value in msgspec.structs.asdict(read.value).items()
                if name in request.form and value is not None and str(value) != stored[name]
            }
            if not changed:
                kit.say(_("没有修改。"))
                return redirect(back)
            refusal = kit.send(
                members.edit_members,
                members.EditMember(command_id=uuid.uuid4(), member_id=member.member_id, **changed),
            )
            if refusal is None:
                kit.say(_("已保存。"))
                return redirect(back)
            explain(read, Refused.of(refusal))
    return kit.render(
        "joining/record.html",
        422 if read.errors else 200,
        member=member,
        form=read.typed,
        errors=read.errors,
        here=here,
        back=back,
    )
