"""Members: lists, rosters, marks, work lists, search (MEM, IMP, GRAD, DOC, SRCH)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import msgspec
from flask import redirect, request, session

from services.gateway import kit
from services.gateway.files import sheet
from services.gateway.kit import blueprint, call, fields, render, say, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.kit.table import Listing
from services.gateway.pages import imports, notes
from shared.errors import Refusal, Refused
from shared.messages import MAX_ITEMS, members, orgs
from shared.messages.limits import PersonId
from shared.messages.words import MemberMark, OrgKind, ReportKind
from shared.translations import N_


@kit.blueprint.get("/members/<int:member_id>")
def member(member_id: int) -> Any:
    """One member's record with its history of branches and posts (BEY-09, MEM-28)."""
    profile = kit.call(members.get_profile, members.GetProfile(member_id=member_id))
    found, *_more = kit.names(
        [
            *(stay.branch_id for stay in profile.stays),
            *(post.org_id for post in profile.posts),
            profile.member.branch_id,
        ]
    )
    return kit.render(
        "members/member.html",
        profile=profile,
        orgs=found,
        hints=[Refusal(code) for code in profile.hints],
    )


@kit.blueprint.post("/members/export")
def export() -> Any:
    """Take the members of the own organisation and below along as a spreadsheet (MEM-32, BEY-10).

    The log keeps who did; unmasked numbers need a reason.
    """
    wanted = forms.value(members.ExportMembers, request.form, after=0, limit=500)
    first_page = kit.call(members.export_members, wanted)

    def rows() -> Iterator[Any]:
        page = first_page
        while page:
            yield from page
            page = kit.call(
                members.export_members, msgspec.structs.replace(wanted, after=page[-1].member.member_id)
            )

    return sheet.answer(rows(), "members")


@kit.blueprint.route("/search", methods=["GET", "POST"])
def search() -> Any:
    """Global search: organisations by any part of the name, members by name or number (SRCH-01..05).

    A number never stands in an address.
    """
    text, people, refusal = request.form.get("text", "").strip(), None, None
    read = forms.read(members.SearchMembers, request.form) if request.method == "POST" else forms.unsent()
    found: list[Any] = []
    if read.value is not None:
        if not _is_number(text):
            found = kit.call(orgs.search_orgs, orgs.SearchOrgs(text=text, below=session.get("org")))
        try:
            if session.get("org"):
                people = kit.call(members.search_members, members.SearchMembers(text=text))
        except Refused as error:
            if error.code in ("token_expired", "token_invalid"):
                raise
            refusal = error.refusal
    branches: list[Any] = []
    if people and people.items:
        branches = kit.call(orgs.get_orgs, orgs.GetOrgs(org_ids=[one.branch_id for one in people.items]))
    return kit.render(
        "members/search.html",
        read.status(),
        text=text,
        errors=read.errors,
        found=found,
        people=people,
        branches={org.org_id: org for org in branches},
        refusal=refusal,
        asked=read.value is not None,
    )


def _is_number(text: str) -> bool:
    """Return whether a search is for a person by ID or development number (MEM-32).

    Such a text is never looked for among organisations.
    """
    return bool(re.fullmatch(r"[0-9]{11,}[Xx]?", text))


@kit.blueprint.route("/members", methods=["GET", "POST"])
def branch_members(marked: list[Any] | None = None, codes: list[Any] | None = None) -> Any:
    """Members of a branch, and import of a roster (IMP-02, IMP-06, IMP-07)."""
    branch = forms.value(forms.Branch, request.values).branch or session.get("org") or 0
    if request.method == "POST" and marked is None and codes is None:
        return imports.take()
    # what is known of it need not be asked for; a session of an earlier version knows less
    if branch == session.get("org") and "org_kind" in session:
        org: Any = Shown(branch, session["org_name"], session["org_kind"])
    else:
        org = next(iter(kit.call(orgs.get_orgs, orgs.GetOrgs(org_ids=[branch]))), None)
    if org is None:
        raise Refused("unknown_org")
    return _list(org, marked or [], codes or [])


class Shown(NamedTuple):
    """The organisation whose members are shown."""

    org_id: int
    full_name: str
    kind: str


SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "graduates": (N_("毕业生"), {"graduate": True}),
    "delayed": (N_("延迟毕业"), {"mark": MemberMark.DELAYED}),
    "teacher": (N_("教师"), {"mark": MemberMark.TEACHER}),
    "incomplete": (N_("资料不完整"), {"incomplete": True}),
}
"""What the list of members may be narrowed to, beside a name."""
SORTS = ("name", "-name", "joined_on", "-joined_on")
"""What it may be sorted by; otherwise it goes branch by branch."""
PAGE, BRANCH_PAGE = 50, 200
"""Members of a page; a branch stands on one."""


def _list(org: Any, marked: list[Any], codes: list[Any]) -> Any:
    """Show the members of an organisation and below: filtered, sorted, each a link (MEM-28).

    Those of a branch can be ticked, to be marked or given codes.
    """
    args = request.args
    show, name = fields.one_of(args.get("show"), SHOWN), fields.person(args.get("name"))
    narrowed = SHOWN[show][1] if show in SHOWN else {}
    sort, branch = fields.one_of(args.get("sort"), SORTS), org.kind == OrgKind.BRANCH
    listing = Listing("/members", {"branch": str(org.org_id), "show": show, "name": name, "sort": sort})
    wanted = members.ListBelow(
        org_id=org.org_id,
        name=name,
        sort=sort,
        after=fields.number(args.get("after")),
        limit=BRANCH_PAGE if branch else PAGE,
        **narrowed,
    )
    items, below = kit.calls(
        (members.list_below, wanted), None if branch else kit.children_of(org.org_id), partial=True
    )
    refusal = None
    if isinstance(items, Refused) and items.code == "too_many_to_sort":
        refusal, wanted = items.refusal, msgspec.structs.replace(wanted, sort="", after=0)
        items = kit.call(members.list_below, wanted)
    for answer in (items, below):
        if isinstance(answer, Refused):
            raise answer
    named = {one.member.member_id: one.member.name for one in items}
    if absent := [one.member_id for one in (*marked, *codes) if one.member_id not in named]:
        named |= {one: person.name for one, person in kit.names((), absent)[1].items()}
    chips = [(listing.address(show=None), _("全部"), None, "", show not in SHOWN)]
    for key, (words, _wanted) in SHOWN.items():
        chips.append((listing.address(show=key), _(words), None, "", show == key))
    return kit.render(
        "members/members.html",
        org=org,
        branch=branch,
        items=items,
        below=below or [],
        listing=listing,
        chips=chips,
        name=name,
        narrowed=bool(name or show in SHOWN),
        refusal=refusal,
        marked=marked,
        codes=codes,
        names=named,
        columns=[
            *([listing.column("", unseen=_("选择"))] if branch else []),
            listing.column(_("姓名"), "name"),
            *([] if branch else [listing.column(_("所在团支部"))]),
            listing.column(_("手机号码")),
            listing.column(_("民族")),
            listing.column(_("入团时间"), "joined_on"),
            listing.column(_("状态")),
        ],
        export=Listing(
            f"/download/orgs/{org.org_id}/all-members",
            {
                "name": name,
                "sort": wanted.sort,
                **{key: str(value).lower() for key, value in narrowed.items()},
            },
        ).address(),
        next_page=listing.address(after=items[-1].member.member_id) if len(items) == wanted.limit else "",
        import_id=uuid.uuid4(),
    )


class Ticked(msgspec.Struct):
    """Members who are ticked in a list, and what is said of them."""

    member: Annotated[list[PersonId], msgspec.Meta(max_length=MAX_ITEMS)] = []
    do: Annotated[str, msgspec.Meta(max_length=20)] = ""
    mark: Annotated[str, msgspec.Meta(max_length=40)] = ""
    month: forms.Month | None = None
    reason: Annotated[str, msgspec.Meta(max_length=100)] = ""


@kit.blueprint.post("/members/marks")
def member_marks() -> Any:
    """Mark the chosen members, or take marks back (GRAD-10, GRAD-16, GRAD-21).

    Or make codes for forgotten passwords (ACC-07).
    """
    said = forms.value(Ticked, request.form)
    if not said.member:
        raise Refused("bad_request", detail=_("请先勾选团员"))
    if said.do == "codes":
        return branch_members(
            codes=kit.call(
                members.issue_reset_codes,
                [members.IssueResetCode(command_id=uuid.uuid4(), member_id=one) for one in said.member],
            )
        )
    done = kit.call(
        members.mark_members,
        [
            members.MarkMember(
                command_id=uuid.uuid4(),
                member_id=one,
                mark=said.mark,
                graduates_on=said.month,
                reason=said.reason,
            )
            for one in said.member
        ],
    )
    return branch_members(done)


DEEDS = {"to_contact": N_("已联系"), "parked": N_("已落实去向")}
"""What is said of members of a list by its branch or direct superior, by a button on the list."""


@blueprint.get("/reports")
@blueprint.get("/reports/<kind>")
def reports(kind: str = "") -> Any:
    """Show lists to work off, of the acting organisation and below (STAT-16, BEY-12)."""
    kind = kind or request.args.get("kind") or ReportKind.GRADUATES_LEFT
    name = fields.person(request.args.get("name"))
    wanted = members.GetReport(
        kind=kind, name=name, after=fields.number(request.args.get("after")), limit=100
    )
    items = call(members.get_report, wanted)
    listing = Listing(f"/reports/{kind}", {"name": name})
    return render(
        "members/reports.html",
        name=name,
        export=Listing(f"/download/reports/{kind}", listing.state).address(),
        next_page=listing.address(after=items[-1].key) if len(items) == wanted.limit else "",
        notes=[notes.note(kind, one.note) for one in items],
        items=items,
        kind=kind,
        kinds=ReportKind,
        title=word(ReportKind(kind)),
        deed=DEEDS.get(kind),
        refused=session.pop("list_refused", []),
    )


@blueprint.post("/reports/<kind>")
def settle(kind: str) -> Any:
    """Say of members of a list that they were contacted (MEM-30), or that work or study was found (TYPE-16).

    Whoever is refused is named on the list.
    """
    wanted = forms.value(Ticked, request.form).member
    if kind not in DEEDS or not wanted:
        raise Refused("field_missing", field=_("团员"))
    saved = call(
        members.edit_members,
        [
            members.EditMember(
                command_id=uuid.uuid4(),
                member_id=one,
                contacted=True if kind == "to_contact" else None,
                found=True if kind == "parked" else None,
            )
            for one in wanted
        ],
    )
    session["list_refused"] = list(
        dict.fromkeys(one.refusal.say(language()) for one in saved if one.refusal is not None)
    )
    done = sum(one.refusal is None for one in saved)
    if done:
        say(_("已登记 %(done)s 位团员: %(what)s。", done=done, what=word(DEEDS[kind])))
    return redirect(f"/reports/{kind}")
