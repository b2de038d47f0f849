"""Members: lists, rosters, marks, registers, letters, work lists, search (MEM, IMP, GRAD, DOC, SRCH)."""

from __future__ import annotations

import io
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
from flask import Response, current_app, redirect, request, session

from services.gateway import addresses, kit, settings
from services.gateway.files import letter, roster, sheet, workbooks
from services.gateway.kit import blueprint, call, calls, fields, names, render, say, send, word
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.kit.table import Listing
from services.gateway.pages import notes, organisations
from shared import clock
from shared.errors import Refusal, Refused
from shared.messages import members, orgs
from shared.messages.words import MemberMark, ReportKind, StayKind
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
    wanted = members.ExportMembers(
        full=request.form.get("full") == "1", reason=request.form.get("reason", ""), limit=500
    )
    first_page = kit.call(members.export_members, wanted)

    def rows() -> Iterator[Any]:
        page = first_page
        while page:
            yield from page
            page = kit.call(
                members.export_members, msgspec.structs.replace(wanted, after=page[-1].member.member_id)
            )

    with sheet.write(rows()) as file:
        return _xlsx(io.BytesIO(file.read()), "members")


@kit.blueprint.route("/search", methods=["GET", "POST"])
def search() -> Any:
    """Global search: organisations by any part of the name, members by name or number (SRCH-01..05).

    A number never stands in an address.
    """
    text, people, refusal = request.form.get("text", "").strip(), None, None
    found: list[Any] = []
    if request.method == "POST" and text:
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
        text=text,
        found=found,
        people=people,
        branches={org.org_id: org for org in branches},
        refusal=refusal,
        asked=request.method == "POST",
    )


def _is_number(text: str) -> bool:
    """Return whether a search is for a person by ID or development number (MEM-32).

    Such a text is never looked for among organisations.
    """
    return bool(re.fullmatch(r"[0-9]{11,}[Xx]?", text))


@kit.blueprint.route("/members", methods=["GET", "POST"])
def branch_members(marked: list[Any] | None = None, codes: list[Any] | None = None) -> Any:
    """Members of a branch, and import of a roster (IMP-02, IMP-06, IMP-07)."""
    branch = fields.number(request.values.get("branch"), session.get("org") or 0)
    if request.method == "POST" and marked is None and codes is None:
        return _import()
    org = kit.call(orgs.get_orgs, orgs.GetOrgs(org_ids=[branch]))
    if not org:
        raise Refused("unknown_org")
    if org[0].kind != "branch" and marked is None and codes is None:
        return _below(org[0])
    items = kit.call(*kit.members_of(branch))
    return kit.render(
        "members/members.html",
        items=items,
        org=org[0],
        import_id=uuid.uuid4(),
        marked=marked or [],
        codes=codes or [],
        names={one.member_id: one.name for one in items},
    )


SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "graduates": (N_("毕业生"), {"graduate": True}),
    "delayed": (N_("延迟毕业"), {"mark": MemberMark.DELAYED}),
    "teacher": (N_("教师"), {"mark": MemberMark.TEACHER}),
    "incomplete": (N_("资料不完整"), {"incomplete": True}),
}
"""What the list of members may be narrowed to, beside a name."""


def _below(org: Any) -> Any:
    """Show the members of an organisation and below: filtered, page by page, each a link (MEM-28)."""
    listing = Listing("/members", {**request.args, "branch": str(org.org_id)})
    show, name = request.args.get("show", ""), request.args.get("name", "").strip()[:60]
    narrowed = SHOWN[show][1] if show in SHOWN else {}
    wanted = members.ListBelow(
        org_id=org.org_id,
        name=name,
        after=fields.number(request.args.get("after")),
        **narrowed,
    )
    items, below = kit.calls((members.list_below, wanted), kit.children_of(org.org_id))
    chips = [(listing.address(show=None), _("全部"), None, "", show not in SHOWN)]
    for key, (words, _wanted) in SHOWN.items():
        chips.append((listing.address(show=key), _(words), None, "", show == key))
    return kit.render(
        "members/below.html",
        org=org,
        items=items,
        below=below,
        listing=listing,
        chips=chips,
        name=name,
        columns=[
            listing.column(_("姓名")),
            listing.column(_("所在团支部")),
            listing.column(_("入团时间")),
            listing.column(_("状态")),
        ],
        export=Listing(
            f"/download/orgs/{org.org_id}/all-members",
            {"name": name, **{key: str(value).lower() for key, value in narrowed.items()}},
        ).address(),
        next_page=listing.address(after=items[-1].member.member_id) if len(items) == wanted.limit else "",
        import_id=uuid.uuid4(),
    )


def _import() -> Any:
    """Hand the rows of a roster over under one id; lead to the page that shows how far they are (IMP-02)."""
    upload = request.files.get("file")
    if upload is None:
        raise Refused("roster_broken", detail=_("请选择文件"))
    import_id = fields.key(request.form, "import_id")
    _may_import(import_id)
    readers: workbooks.Readers = current_app.config["READERS"]
    rows = readers.read_roster(upload.read(), session["person"], own=request.form.get("level") == "own")
    if not rows:
        raise Refused("roster_broken", detail=_("表格中没有数据行"))
    for at in range(0, len(rows), 500):
        for answer in kit.call(
            members.import_rows, [workbooks.to_send(import_id, row) for row in rows[at : at + 500]]
        ):
            if answer.refusal is not None:
                raise Refused.of(answer.refusal)
    return redirect(f"/imports/{import_id}{'?level=own' if request.form.get('level') == 'own' else ''}")


def _may_import(import_id: uuid.UUID) -> None:
    """Return if members lets the person of the session import for the acting organisation.

    Nobody else's file is opened.

    Raises:
        Refused: `token_expired`, `not_administrator`.

    """
    try:
        kit.call(members.get_import, members.GetImport(import_id=import_id))
    except Refused as error:
        if error.code != "unknown_import":  # it is new, as it should be; an old one is sent again
            raise


@kit.blueprint.get("/imports/<uuid:import_id>")
def import_progress(import_id: uuid.UUID) -> Any:
    """Show how far an import is; the page asks again by itself until it is done (IMP-06)."""
    progress = kit.call(members.get_import, members.GetImport(import_id=import_id, failed_after=0))
    reasons = Counter(one.problem for one in progress.failures)
    return kit.render(
        "members/import.html",
        progress=progress,
        import_id=import_id,
        reasons=[(why, n) for why, n in reasons.most_common(20) if n > 1],
        waiting=progress.rows - progress.entered - progress.failed,
        level="?level=own" if request.args.get("level") == "own" else "",
    )


@kit.blueprint.get("/imports/<uuid:import_id>/failed.xlsx")
def import_failures(import_id: uuid.UUID) -> Any:
    """Return the failed rows with their reasons in the template's form (IMP-07).

    They are to be corrected and uploaded again.
    """

    def rows() -> Iterator[roster.RosterRow]:
        after = 0
        while True:
            wanted = members.GetImport(import_id=import_id, failed_after=after)
            some = kit.call(members.get_import, wanted).failures
            if not some:
                return
            after = some[-1].number
            for one in some:
                yield roster.RosterRow(
                    one.number,
                    one.branch_name,
                    one.name,
                    one.id_number,
                    one.ethnic_group,
                    one.phone,
                    one.joined_on,
                    one.development_number,
                    one.post,
                    one.problem,
                )

    file = io.BytesIO()
    own = request.args.get("level") == "own"
    roster.write_roster(file, rows(), reasons=True, own=own, max_rows=settings.current().import_max_rows)
    return _xlsx(file, "failed")


def _xlsx(file: io.BytesIO, name: str) -> Response:
    return Response(
        file.getvalue(),
        content_type=sheet.MIME,
        headers={"Content-Disposition": f"attachment; filename={name}.xlsx", "Cache-Control": "no-store"},
    )


@kit.blueprint.post("/members/marks")
def member_marks() -> Any:
    """Mark the chosen members, or take marks back (GRAD-10, GRAD-16, GRAD-21).

    Or make codes for forgotten passwords (ACC-07).
    """
    form = request.form
    chosen = fields.numbers(form.getlist("member"))
    if not chosen:
        raise Refused("bad_request", detail=_("请先勾选团员"))
    if form.get("do") == "codes":
        return branch_members(
            codes=kit.call(
                members.issue_reset_codes,
                [members.IssueResetCode(command_id=uuid.uuid4(), member_id=one) for one in chosen],
            )
        )
    done = kit.call(
        members.mark_members,
        [
            members.MarkMember(
                command_id=uuid.uuid4(),
                member_id=one,
                mark=form.get("mark", ""),
                graduates_on=kit.month(form.get("month", "")),
                reason=form.get("reason", ""),
            )
            for one in chosen
        ],
    )
    return branch_members(done)


@kit.blueprint.get("/template.xlsx")
def template() -> Any:
    """Return one of the two import templates (IMP-04, DOC-06)."""
    file, own = io.BytesIO(), request.args.get("level") == "own"
    roster.write_roster(file, [], own=own, max_rows=settings.current().import_max_rows)
    return _xlsx(file, "tuanqiao-cadres" if own else "tuanqiao-members")


DEEDS = {"to_contact": N_("已联系"), "parked": N_("已落实去向")}
"""What is said of members of a list by its branch or direct superior, by a button on the list."""

REGISTER_SAID = {
    "request": N_("已登记,等待审批。"),
    "approve": N_("已同意保留组织关系。"),
    "refuse": N_("未同意保留组织关系。"),
    "end": N_("登记已结束。"),
    "report": N_("报告已记录。"),
}
"""What pages say after each of their buttons."""


def _date(text: str | None, field: str) -> date:
    found = fields.day(text)
    if found is None:
        raise Refused("field_missing", field=_(field))
    return found


@blueprint.route("/registers", methods=["GET", "POST"])
def registers() -> Any:
    """Keep the registers of those who stay: request, decide, end (GRAD-26..31, DOC-09).

    They are retained at school, or abroad for studies.
    """
    form, refusal, kind = request.form, None, request.args.get("kind", "")
    if request.method == "POST":
        refusal = _request_to_stay(form) if form.get("do") == "request" else _decide_to_stay(form)
        if refusal is None:
            done = "report" if form.get("report") else form.get("do", "")
            say(word(REGISTER_SAID.get(done, REGISTER_SAID["refuse"])))
            return redirect("/registers")
    items = call(
        members.list_retentions,
        members.ListRetentions(kind=kind, after=fields.number(request.args.get("after")), limit=100),
    )
    found, *_more = names([item.branch_id for item in items])
    return render(
        "members/registers.html",
        refusal.kind.status if refusal else 200,
        items=items,
        orgs=found,
        refusal=refusal,
        form=form,
        kind=kind,
        command_id=uuid.uuid4(),
        member=fields.number(request.args.get("member")),
        chips=[
            ("/registers", _("全部"), None, "", not kind),
            *((f"/registers?kind={code}", word(code), None, "", kind == code) for code in StayKind),
        ],
    )


def _request_to_stay(form: Any) -> Refusal | None:
    return send(
        members.request_retentions,
        members.RequestRetention(
            command_id=fields.key(form),
            member_id=fields.number(form.get("member")),
            kind=form.get("kind", ""),
            since=_date(form.get("since"), N_("起始日期")),
            until=_date(form.get("until"), N_("截止日期")),
            place=form.get("place", ""),
            contact_name=form.get("contact_name", ""),
            contact_phone=form.get("contact_phone", ""),
            reason=form.get("reason", ""),
        ),
    )


def _decide_to_stay(form: Any) -> Refusal | None:
    """Approve, refuse or end an entry, or keep a report on it; return why not."""
    return send(
        members.decide_retentions,
        members.DecideRetention(
            retention_id=fields.number(form.get("retention")),
            approve=form.get("do") == "approve",
            end=form.get("do") == "end",
            report=form.get("report", ""),
            note=form.get("note", ""),
        ),
    )


@blueprint.route("/letters", methods=["GET", "POST"])
def letters() -> Any:
    """Issue introduction letters as PDF for members of a branch below (DOC-01..04).

    A letter is declared void by its number in the list of the API.
    """
    form, refusal = request.values, None
    branch = fields.number(form.get("branch"))
    if request.method == "POST":
        made = _issue_letter(form)
        if isinstance(made, Response):
            return made
        refusal = made
    children, items = calls(
        kit.children_of(organisations.acting_committee()), kit.members_of(branch) if branch else None
    )
    return render(
        "members/letters.html",
        refusal.kind.status if refusal else 200,
        branches=[org for org in children if org.kind == "branch"],
        items=items or [],
        branch=branch,
        form=form,
        refusal=refusal,
        command_id=uuid.uuid4(),
        today=clock.today(),
    )


def _issue_letter(form: Any) -> Response | Refusal:
    """Issue one letter for the chosen members; return it as a file, or why there is none."""
    chosen = fields.numbers(form.getlist("member"))
    if not chosen:
        return Refusal("field_missing", {"field": _("团员")})
    wanted = members.IssueLetter(
        command_id=fields.key(form),
        member_ids=chosen,
        addressee=form.get("addressee", ""),
        dues_until=_date(form.get("dues_until"), N_("团费交至")),
        valid_days=fields.number(form.get("valid_days")) or None,
        to_org=form.get("to_org", ""),
    )
    made: members.Letter = call(members.issue_letters, [wanted])[0]
    if made.refusal is not None:
        return made.refusal
    return Response(
        letter.render(made, f"{addresses.public_root()}verify", settings.current().font),
        content_type="application/pdf",
        headers={
            "Content-Disposition": f"inline; filename=letter-{made.letter_id}.pdf",
            "Cache-Control": "no-store",
        },
    )


@blueprint.get("/reports")
@blueprint.get("/reports/<kind>")
def reports(kind: str = "graduates_left") -> Any:
    """Show lists to work off, of the acting organisation and below (STAT-16, BEY-12)."""
    items = call(
        members.get_report,
        members.GetReport(kind=kind, after=fields.number(request.args.get("after")), limit=100),
    )
    return render(
        "members/reports.html",
        notes=[notes.note(kind, one.note) for one in items],
        items=items,
        kind=kind,
        chips=[(f"/reports/{code}", word(code), None, "", kind == code) for code in ReportKind],
        deed=DEEDS.get(kind),
        refused=session.pop("list_refused", []),
    )


@blueprint.post("/reports/<kind>")
def settle(kind: str) -> Any:
    """Say of members of a list that they were contacted (MEM-30), or that work or study was found (TYPE-16).

    Whoever is refused is named on the list.
    """
    wanted = fields.numbers(request.form.getlist("member"))
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
