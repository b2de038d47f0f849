"""Pages of those who keep an organisation: first check, posts, schools, graduation."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from flask import redirect, request, session

from services.gateway import kit
from services.gateway.kit import blueprint, call, calls, fields, names, render, say, send, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.kit.table import Listing
from shared.errors import Refusal, Refused
from shared.messages import members, orgs
from shared.messages.limits import BranchReason, OrgId, OrgIds
from shared.reference import INDUSTRIES, POSTS, is_school
from shared.translations import N_

POST_SAID = {
    "appoint": N_("已授予管理权限。"),
    "revoke": N_("已撤销管理权限。"),
    "ended": N_("已免职。"),
    "given": N_("职务已登记。"),
}
REGISTRATION_SAID = {
    "accept": N_("已接收,申请人已编入本组织。"),
    "reject": N_("已驳回,申请人会看到理由。"),
}


def acting_committee() -> int:
    """Return the organisation that the person acts for, or refuse."""
    org: int | None = session.get("org")
    if org is None:
        raise Refused("not_administrator")
    return org


@blueprint.route("/check", methods=["GET", "POST"])
def check() -> Any:
    """Check and complete the own organisation (ORG-11, ORG-16, ORG-19).

    A new administrator is led here first.
    """
    org, read, refusal = acting_committee(), forms.unsent(), None
    if request.method == "POST":
        read = forms.read(
            orgs.CheckOrg,
            request.form,
            {},
            ("short_name", "industry", "phone"),
            command_id=uuid.uuid4(),
            org_id=org,
        )
        refusal = send(orgs.check_orgs, read.value) if read.value is not None else None
        if read.done(refusal):
            return redirect("/check?done=1")
    own, cadres = calls(
        (orgs.get_orgs, orgs.GetOrgs(org_ids=[org])), (members.list_cadres, members.ListCadres(org_id=org))
    )
    secretary = next((one.person_id for one in cadres if one.post == "secretary"), None)
    _orgs, people, _more = names((), [secretary])
    return render(
        "organisations/check.html",
        read.status(refusal),
        org=own[0],
        refusal=refusal,
        form=read.typed,
        errors=read.errors,
        industries=[(name, _(name)) for name in INDUSTRIES],
        secretary=people.get(secretary or 0),
        done=request.args.get("done"),
    )


class Whose(msgspec.Struct):
    """The organisation whose posts are shown; none for the acting one."""

    org: OrgId | None = None


@blueprint.route("/posts", methods=["GET", "POST"])
def posts() -> Any:
    """Cadres and administrators of the acting organisation or a direct subordinate (CADRE, ADM).

    Here are posts, rights and registration codes.
    """
    # what stands in the form goes before the address that the form was sent to
    asked = forms.value(Whose, request.form if request.method == "POST" else request.args)
    org = asked.org or acting_committee()
    form, read, refusal, code = request.form, forms.unsent(), None, None
    if request.method == "POST" and form.get("do") == "code":
        (code,) = call(
            members.issue_registration_codes,
            [members.IssueRegistrationCode(command_id=uuid.uuid4(), org_id=org)],
        )
        refusal = code.refusal
    elif request.method == "POST":
        right = form.get("do") in ("appoint", "revoke")
        read = _right(form, org) if right else _post(form, org)
        if read.value is not None:
            refusal = send(orgs.set_administrators if right else members.set_posts, read.value)
        if read.done(refusal):
            done = "given" if form.get("post") else "ended"
            say(word(POST_SAID.get(form.get("do", ""), POST_SAID[done])))
            return redirect(f"/posts?org={org}")
    return _posts_page(org, read, refusal, code)


def _right(form: Any, org: int) -> forms.Read[Any]:
    """Read the form that gives the right of an administrator, or takes it back (ADM)."""
    return forms.read(
        orgs.SetAdministrator,
        form,
        {"person_id": "person"},
        command_id=uuid.uuid4(),
        org_id=org,
        active=form.get("do") == "appoint",
        observer=False,
    )


def _post(form: Any, org: int) -> forms.Read[Any]:
    """Read the form that gives a post to somebody, or ends it (CADRE)."""
    return forms.read(
        members.SetPost, form, {"person_id": "person"}, ("post",), command_id=uuid.uuid4(), org_id=org
    )


def _posts_page(org: int, read: forms.Read[Any], refusal: Refusal | None, code: Any) -> Any:
    own, cadres, administrators = calls(
        (orgs.get_orgs, orgs.GetOrgs(org_ids=[org])),
        (members.list_cadres, members.ListCadres(org_id=org)),
        (orgs.list_administrators, orgs.ListAdministrators(org_ids=[org])),
    )
    if not own:
        raise Refused("unknown_org")
    rights = {one.person_id for one in administrators}
    _orgs, people, _more = names((), [*(one.person_id for one in cadres), *rights])
    offered = list(POSTS.get(own[0].kind, ()))
    listing = Listing(
        "/posts",
        {"org": "" if org == session.get("org") else str(org), "sort": request.args.get("sort", "")},
    )
    return render(
        "organisations/posts.html",
        read.status(refusal),
        errors=read.errors,
        org=own[0],
        cadres=listing.in_order(
            cadres,
            name=lambda one: people[one.person_id].name if one.person_id in people else "",
            post=lambda one: offered.index(one.post) if one.post in offered else len(offered),
            right=lambda one: one.person_id in rights,
        ),
        columns=[
            listing.column(_("姓名"), "name"),
            listing.column(_("职务"), "post"),
            listing.column(_("管理员"), "right"),
            listing.column("", unseen=_("操作")),
        ],
        rights=rights,
        people=people,
        refusal=refusal,
        form=request.form,
        code=code,
        code_words=kit.word(PASS_ON),
        offered=offered,
    )


PASS_ON = N_(
    "注册码只显示这一次,也只能使用一次。请交给将担任管理员的人,并告诉他:在登录页选“注册”,再选“用注册码注册”。"
)
"""What is said below codes of registration."""


def act_for(org: orgs.Org) -> None:
    """Act for an organisation from now on."""
    session["org"], session["org_name"] = org.org_id, org.full_name
    session["org_kind"], session["org_school"], session["org_top"] = (
        org.kind,
        is_school(org.industry),
        org.top,
    )


@kit.blueprint.route("/schools", methods=["GET", "POST"])
def schools() -> Any:
    """Area of schools: make them and their codes, see how far each is (SCH-01, SCH-02, SCH-08, ADM-12).

    Missing schools are created here; the codes are those to register with.
    """
    form, read, codes, refusal = request.form, forms.unsent(), [], None
    if request.method == "POST" and form.get("do") == "create":
        read = forms.read(
            orgs.SaveOrg, form, org_id=None, parent_id=session.get("org") or 0, kind="committee"
        )
        refusal = send(orgs.save_orgs, read.value) if read.value is not None else None
        if read.done(refusal):
            kit.say(_("学校已新建,可以为其生成注册码。"))
            return redirect("/schools")
    elif request.method == "POST":
        codes = _codes_for(forms.value(Schools, form).school)
    acting = session.get("org") or 0
    entered = kit.call(members.get_entry_progress, members.GetEntryProgress(org_id=acting, schools_only=True))
    children = kit.call(*kit.children_of(acting))
    # The first row is that of the acting organisation with all below it.
    progress = {one.org_id: one for one in entered[1:]}
    listing = Listing("/schools", {"sort": request.args.get("sort", "")})
    return kit.render(
        "organisations/schools.html",
        read.status(refusal),
        errors=read.errors,
        schools=listing.in_order(
            [org for org in children if is_school(org.industry)],
            name=lambda org: org.full_name,
            checked=lambda org: org.checked,
            **{
                name: lambda org, name=name: getattr(progress.get(org.org_id), name, 0)
                for name in ("branches", "finished_branches", "members", "complete_members")
            },
        ),
        progress=progress,
        columns=[
            listing.column("", unseen=_("选择")),
            listing.column(_("学校"), "name"),
            listing.column(_("信息已核对"), "checked"),
            listing.column(_("团支部"), "branches", "number"),
            listing.column(_("已完成"), "finished_branches", "number"),
            listing.column(_("团员"), "members", "number"),
            listing.column(_("资料完整"), "complete_members", "number"),
        ],
        export=f"/download/orgs/{acting}/entry-progress?schools_only=true",
        codes=[
            (one.name or one.org_id, one.code, one.expires_at, one.refusal and one.refusal.say(language()))
            for one in codes
        ],
        code_words=kit.word(PASS_ON),
        refusal=refusal,
        form=form,
        command_id=uuid.uuid4(),
        industries=[(name, _(name)) for name, one in INDUSTRIES.items() if one.school],
    )


class Schools(msgspec.Struct):
    """The schools that are ticked."""

    school: OrgIds


def _codes_for(chosen: list[int]) -> list[Any]:
    """Make registration codes for the ticked schools."""
    return list(
        kit.call(
            members.issue_registration_codes,
            [members.IssueRegistrationCode(command_id=uuid.uuid4(), org_id=one) for one in chosen],
        )
    )


@kit.blueprint.route("/graduation", methods=["GET", "POST"])
def graduation() -> Any:
    """Show and mark times of graduation of the branches below (GRAD-06..08, GRAD-32)."""
    done: list[Any] = []
    unmarked = bool(fields.flag(request.args.get("unmarked")))
    read = forms.unsent()
    if request.method == "POST":
        read = forms.read(Marks, request.form)
    if read.value is not None:
        if not request.form.get("confirm"):
            return _confirm_graduation(read.value)
        done = _mark_graduation(read.value)
    name, after = fields.person(request.args.get("name")), fields.number(request.args.get("after"))
    page = kit.call(
        members.list_branch_marks,
        members.ListBranchMarks(unmarked_only=unmarked, name=name, after=after, limit=MARKED_AT_ONCE),
    )
    # What stands on one page is sorted there; what goes on stands as the organisations do.
    whole = not after and len(page) < MARKED_AT_ONCE
    listing = Listing(
        "/graduation",
        {
            "unmarked": "1" if unmarked else "",
            "name": name,
            "sort": request.args.get("sort", "") if whole else "",
        },
    )
    if not whole and request.args.get("sort"):
        fields.leave_out()
    picked = request.args.get("pick", "")
    return kit.render(
        "organisations/graduation.html",
        read.status(),
        errors=read.errors,
        form=read.typed,
        branches=listing.in_order(
            page,
            name=lambda one: one.name,
            graduates_on=lambda one: one.graduates_on or date.max,
            state=lambda one: (one.graduate, one.teachers, bool(one.graduates_on or one.reason)),
        ),
        columns=[
            listing.column("", unseen=_("选择")),
            listing.column(_("团支部"), "name" if whole else ""),
            listing.column(_("毕业时间"), "graduates_on" if whole else ""),
            listing.column(_("状态"), "state" if whole else ""),
        ],
        listing=listing,
        name=name,
        export=Listing(
            "/download/branch-marks", {"unmarked_only": "1" if unmarked else "0", "name": name}
        ).address(),
        next_page="" if len(page) < MARKED_AT_ONCE else listing.address(after=page[-1].branch_id),
        done=done,
        unmarked=unmarked,
        picked={one.branch_id for one in page if _picked(one, picked)}
        | {one.branch_id for one in page if str(one.branch_id) in read.typed.getlist("branch")},
        picks=_picks(page, picked, listing),
        names={one.branch_id: one.name for one in page},
    )


MARKED_AT_ONCE = 150
"""Branches of one page of marks: a year of a college stands on one, and it weighs less than 100 KB."""
_CLASS_OF = re.compile(r"20\d\d级")
"""The year in which a class has come, as names of branches have it."""


def _picked(branch: Any, pick: str) -> bool:
    """Return whether a branch is ticked when one has asked for all, or for those of a year."""
    if not pick or not branch.may_mark or branch.teachers:
        return False
    return pick == "all" or pick in _CLASS_OF.findall(branch.name)


def _picks(
    page: Sequence[Any], picked: str, listing: Listing
) -> list[tuple[str, str, int | None, str, bool]]:
    """Return the links that tick branches of the page, as chips: all, each year, none, with how many."""
    may = [one for one in page if one.may_mark and not one.teachers]
    years = Counter(year for one in may for year in _CLASS_OF.findall(one.name)[:1])
    after = request.args.get("after", "")

    def chip(pick: str, words: str, count: int | None) -> tuple[str, str, int | None, str, bool]:
        return listing.address(after=after, pick=pick), words, count, "", bool(pick) and pick == picked

    chips = [chip("all", _("全选"), len(may))]
    chips += [chip(year, year, count) for year, count in sorted(years.items(), reverse=True)]
    return [*chips, chip("", _("全不选"), None)] if may else []


class Marks(msgspec.Struct):
    """The branches that are ticked, and the time that they are marked with, or why they have none."""

    branch: OrgIds
    month: forms.Month | None = None
    reason: BranchReason = ""


def _confirm_graduation(marks: Marks) -> Any:
    """Show which branches would be marked, and with what, before it is done."""
    return kit.render(
        "organisations/graduation_confirm.html",
        branches=kit.call(orgs.get_orgs, orgs.GetOrgs(org_ids=marks.branch)),
        month=marks.month,
        reason=marks.reason,
        back=request.full_path,
    )


def _mark_graduation(marks: Marks) -> list[Any]:
    wanted = [
        members.MarkBranch(
            command_id=uuid.uuid4(), branch_id=one, graduates_on=marks.month, reason=marks.reason
        )
        for one in marks.branch
    ]
    return list(kit.call(members.mark_branches, wanted))
