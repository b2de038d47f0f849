"""Pages of those who keep an organisation and its members: the first check, cadres and administrators, registrations, migrations, registers, letters, work lists."""
from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import Response, redirect, request, session

from services.gateway import addresses, fields, letter, words
from services.gateway.pages import blueprint, call, calls, names, render, say, t, word
from shared import clock
from shared.errors import Refusal, Refused
from shared.messages import members, orgs
from shared.reference import INDUSTRIES, POST_NAMES, POSTS

REPORTS = {
    "graduates_left": ("尚未转出的毕业生", "Graduates who have not left"), "onward": ("已落实去向、应一个月内二次转接的团员", "Work or study found: to be transferred onward within a month"), "parked": ("在乡镇支部满一个月、去向未定的团员", "Over a month in a township's branch, nothing found yet"),
    "retained_apart": ("暂留学校、不在流动团员团支部的毕业生", "Retained, not in the mobile branch"), "county_stay": ("在县级支部即将期满的团员", "Nearly over time in a county's branch"),
    "retained": ("留校即将到期", "Retention about to end"), "abroad": ("出国(境)保留", "Abroad, kept here"), "to_contact": ("转入后待联系", "Arrived, to be contacted"),
    "incomplete": ("资料不完整", "Incomplete records"), "irregular_numbers": ("发展团员编号异常", "Irregular development numbers"), "identity_failed": ("身份认证未通过", "Identity check failed"),
    "over_age": ("超龄团员", "Over age"), "late_entries": ("入团后超过一个月录入", "Entered late"), "small_branches": ("不足3人的团支部", "Branches with fewer than three"),
    "empty_graduate": ("空的毕业生团支部", "Empty graduates' branches"), "holding_members": ("直接挂有团员的组织", "Organisations holding members"),
    "deletion_requests": ("申请删除的团员", "Reported for deletion")}
DEEDS = {"to_contact": ("已联系", "Contacted"), "parked": ("已落实去向", "Work or study found")}
"""What is said of members of a list by its branch or direct superior, by a button on the list."""
MIGRATION_STATES = {"pending_old": ("原上级审批", "Old superior decides"), "pending_new": ("新上级审批", "New superior decides"), "moving": ("正在迁移", "Moving"),
                    "completed": ("完成", "Completed"), "rejected": ("未同意", "Rejected"), "withdrawn": ("已撤销", "Withdrawn"), "returned": ("超期退回", "Returned by the clock")}
POST_SAID = {
    "appoint": ("已授予管理权限。", "The right is given."), "revoke": ("已撤销管理权限。", "The right is revoked."), "ended": ("已免职。", "The post is ended."),
    "given": ("职务已登记。", "The post is given.")}
REGISTRATION_SAID = {
    "accept": ("已接收,申请人已编入本组织。", "Accepted; the applicant belongs to your organisation now."),
    "reject": ("已驳回,申请人会看到理由。", "Rejected; the applicant sees why.")}
MIGRATION_SAID = {
    "request": ("已申请迁移,先由原上级审批,再由新上级审批。", "Asked for; the old superior decides first, then the new one."), "approve": ("已同意迁移。", "The migration is approved."),
    "reject": ("未同意迁移,申请组织会看到意见。", "The migration is rejected; who asked sees the note."), "withdraw": ("已撤销迁移申请。", "The request is withdrawn.")}
REGISTER_SAID = {
    "request": ("已登记,等待审批。", "Entered; it waits for a decision."), "approve": ("已同意保留组织关系。", "Approved."),
    "refuse": ("未同意保留组织关系。", "Refused."), "end": ("登记已结束。", "The entry is ended."), "report": ("报告已记录。", "The report is kept.")}
"""What pages say after each of their buttons."""
RETENTION_KINDS = {"retained": ("暂留学校", "Retained at school"), "abroad": ("出国(境)学习研究", "Study abroad")}
RETENTION_STATES = {"requested": ("待审批", "Requested"), "approved": ("已同意", "Approved"), "refused": ("未同意", "Refused"), "ended": ("已结束", "Ended")}


def acting_committee() -> int:
    org: int | None = session.get("org")
    if org is None:
        raise Refused("not_administrator")
    return org


def _date(text: str | None, field: tuple[str, str]) -> date:
    found = fields.day(text)
    if found is None:
        raise Refused("field_missing", field=t(*field))
    return found


@blueprint.route("/check", methods=["GET", "POST"])
def check() -> Any:
    """Check and complete the own organisation; a new administrator is led here first (ORG-11, ORG-16, ORG-19)."""
    org, refusal, form = acting_committee(), None, request.form
    if request.method == "POST":
        refusal = call(orgs.check_orgs, [orgs.CheckOrg(command_id=uuid.uuid4(), org_id=org, **{name: form.get(name, "") for name in ("kind", "short_name", "full_name", "industry", "phone")})])[0].refusal
        if refusal is None:
            return redirect("/check?done=1")
    own, cadres = calls((orgs.get_orgs, orgs.GetOrgs(org_ids=[org])), (members.list_cadres, members.ListCadres(org_id=org)))
    secretary = next((one.person_id for one in cadres if one.post == "secretary"), None)
    _, people, _ = names((), [secretary])
    return render("check.html", refusal.kind.status if refusal else 200, org=own[0], refusal=refusal, form=form, industries=INDUSTRIES, secretary=people.get(secretary or 0),
                  done=request.args.get("done"))


@blueprint.route("/posts", methods=["GET", "POST"])
def posts() -> Any:
    """Cadres and administrators of the acting organisation or a direct subordinate: posts, rights, registration codes (CADRE, ADM)."""
    org = fields.number(request.values.get("org")) or acting_committee()
    form, refusal, code = request.form, None, None
    if request.method == "POST":
        do = form.get("do", "")
        if do == "code":
            code = call(members.issue_registration_codes, [members.IssueRegistrationCode(command_id=uuid.uuid4(), org_id=org)])[0]
            refusal = code.refusal
        elif do in ("appoint", "revoke"):
            refusal = call(orgs.set_administrators, [orgs.SetAdministrator(command_id=uuid.uuid4(), org_id=org, person_id=fields.number(form.get("person")), active=do == "appoint")])[0].refusal
        else:
            refusal = call(members.set_posts, [members.SetPost(
                command_id=uuid.uuid4(), org_id=org, post=form.get("post", ""), person_id=fields.number(form.get("person")) or None, name=form.get("name", ""),
                id_number=form.get("id_number", ""), phone=form.get("phone", ""), ethnic_group=form.get("ethnic_group", ""))])[0].refusal
        if refusal is None and code is None:
            say(word(POST_SAID[do if do in POST_SAID else "given" if form.get("post") else "ended"]))
            return redirect(f"/posts?org={org}")
    own, cadres, administrators = calls((orgs.get_orgs, orgs.GetOrgs(org_ids=[org])), (members.list_cadres, members.ListCadres(org_id=org)),
                                        (orgs.list_administrators, orgs.ListAdministrators(org_ids=[org])))
    if not own:
        raise Refused("unknown_org")
    rights = {one.person_id for one in administrators}
    _, people, _ = names((), [*(one.person_id for one in cadres), *rights])
    return render("posts.html", refusal.kind.status if refusal else 200, org=own[0], cadres=cadres, rights=rights, people=people, refusal=refusal, form=form, code=code,
                  offered=POSTS.get(own[0].kind, ()), post_names=POST_NAMES)


@blueprint.route("/registrations", methods=["GET", "POST"])
def registrations() -> Any:
    """Who has registered and waits to be accepted (REG-03, REG-07)."""
    refusal = None
    if request.method == "POST":
        refusal = call(members.decide_registrations, [members.DecideRegistration(
            registration_id=fields.number(request.form.get("registration")), accept=request.form.get("do") == "accept", note=request.form.get("note", ""))])[0].refusal
        if refusal is None:
            say(word(REGISTRATION_SAID["accept" if request.form.get("do") == "accept" else "reject"]))
            return redirect("/registrations")
    return render("registrations.html", refusal.kind.status if refusal else 200, items=call(members.list_registrations, members.ListRegistrations()), refusal=refusal,
                  post_names=POST_NAMES)


@blueprint.route("/migrations", methods=["GET", "POST"])
def migrations() -> Any:
    """Move an organisation below another superior, and decide what others ask (MIG-01..10)."""
    form, refusal = request.form, None
    if request.method == "POST" and form.get("do") == "request":
        refusal = call(orgs.request_migrations, [orgs.RequestMigration(command_id=fields.key(form), org_id=acting_committee(), to_org_id=fields.number(form.get("target")), reason=form.get("reason", ""))])[0].refusal
    elif request.method == "POST" and form.get("do") in ("approve", "reject", "withdraw"):
        refusal = call(orgs.decide_migrations, [orgs.DecideMigration(
            migration_id=fields.number(form.get("migration")), approve=form["do"] == "approve", withdraw=form["do"] == "withdraw", note=form.get("note", ""))])[0].refusal
    if request.method == "POST" and refusal is None and form.get("do") != "search":
        say(word(MIGRATION_SAID.get(form.get("do", ""), MIGRATION_SAID["request"])))
        return redirect("/migrations")
    text = form.get("text", "").strip()
    items, found = calls((orgs.list_migrations, orgs.ListMigrations()), (orgs.search_orgs, orgs.SearchOrgs(text=text)) if len(text) >= 2 else None)
    known, _, _ = names([one for item in items for one in (item.org_id, item.from_org_id, item.to_org_id)])
    return render("migrations.html", refusal.kind.status if refusal else 200, items=items, orgs=known, found=[org for org in found or () if org.kind != "branch"], form=form, refusal=refusal,
                  command_id=uuid.uuid4(), migration_states=MIGRATION_STATES)


@blueprint.route("/registers", methods=["GET", "POST"])
def registers() -> Any:
    """Keep the registers of who stays: retained at school, abroad for studies; request, decide, end (GRAD-26..31, DOC-09)."""
    form, refusal, kind = request.form, None, request.args.get("kind", "")
    if request.method == "POST" and form.get("do") == "request":
        refusal = call(members.request_retentions, [members.RequestRetention(
            command_id=fields.key(form), member_id=fields.number(form.get("member")), kind=form.get("kind", ""), since=_date(form.get("since"), ("起始日期", "the first day")),
            until=_date(form.get("until"), ("截止日期", "the last day")), place=form.get("place", ""), contact_name=form.get("contact_name", ""),
            contact_phone=form.get("contact_phone", ""), reason=form.get("reason", ""))])[0].refusal
    elif request.method == "POST":
        refusal = call(members.decide_retentions, [members.DecideRetention(
            retention_id=fields.number(form.get("retention")), approve=form.get("do") == "approve", end=form.get("do") == "end", report=form.get("report", ""), note=form.get("note", ""))])[0].refusal
    if request.method == "POST" and refusal is None:
        say(word(REGISTER_SAID["report" if form.get("report") else form.get("do", "") if form.get("do") in REGISTER_SAID else "refuse"]))
        return redirect("/registers")
    items = call(members.list_retentions, members.ListRetentions(kind=kind, after=fields.number(request.args.get("after")), limit=100))
    found, _, _ = names([item.branch_id for item in items])
    return render("registers.html", refusal.kind.status if refusal else 200, items=items, orgs=found, refusal=refusal, form=form, kind=kind, retention_kinds=RETENTION_KINDS,
                  retention_states=RETENTION_STATES, command_id=uuid.uuid4(), member=fields.number(request.args.get("member")))


@blueprint.route("/letters", methods=["GET", "POST"])
def letters() -> Any:
    """Issue introduction letters as PDF for members of a branch below (DOC-01..04); a letter is declared void by its number in the list of the API."""
    form, refusal = request.values, None
    branch = fields.number(form.get("branch"))
    if request.method == "POST":
        chosen = fields.numbers(form.getlist("member"))
        if not chosen:
            refusal = Refusal("field_missing", {"field": t("团员", "members")})
        else:
            made = call(members.issue_letters, [members.IssueLetter(
                command_id=fields.key(form), member_ids=chosen, addressee=form.get("addressee", ""), dues_until=_date(form.get("dues_until"), ("团费交至", "dues paid until")),
                valid_days=fields.number(form.get("valid_days")) or None, to_org=form.get("to_org", ""))])[0]
            refusal = made.refusal
            if refusal is None:
                return Response(letter.render(made, f"{addresses.public_root()}verify"), content_type="application/pdf",
                                headers={"Content-Disposition": f"inline; filename=letter-{made.letter_id}.pdf", "Cache-Control": "no-store"})
    children, items = calls((orgs.list_children, orgs.ListChildren(org_id=acting_committee(), limit=500)),
                            (members.list_members, members.ListMembers(branch_id=branch, limit=500)) if branch else None)
    return render("letters.html", refusal.kind.status if refusal else 200, branches=[org for org in children if org.kind == "branch"], items=items or [], branch=branch, form=form,
                  refusal=refusal, command_id=uuid.uuid4(), today=clock.today())


@blueprint.get("/reports")
@blueprint.get("/reports/<kind>")
def reports(kind: str = "graduates_left") -> Any:
    """Show lists to work off, of the acting organisation and below (STAT-16, BEY-12)."""
    items = call(members.get_report, members.GetReport(kind=kind, after=fields.number(request.args.get("after")), limit=100))
    return render("reports.html", notes=[words.note(kind, one.note, t) for one in items], items=items, kind=kind, kinds_of_report=REPORTS, deed=DEEDS.get(kind),
                  refused=session.pop("list_refused", []))


@blueprint.post("/reports/<kind>")
def settle(kind: str) -> Any:
    """Say of members of a list that they were contacted (MEM-30), or that work or study was found (TYPE-16); who is refused is named on the list."""
    wanted = fields.numbers(request.form.getlist("member"))
    if kind not in DEEDS or not wanted:
        raise Refused("field_missing", field=t("团员", "members"))
    saved = call(members.edit_members, [members.EditMember(
        command_id=uuid.uuid4(), member_id=one, contacted=True if kind == "to_contact" else None, found=True if kind == "parked" else None) for one in wanted])
    session["list_refused"] = list(dict.fromkeys(one.refusal.say(t("zh", "en")) for one in saved if one.refusal is not None))
    done = sum(one.refusal is None for one in saved)
    if done:
        say(t(f"已登记 {done} 位团员: {DEEDS[kind][0]}。", f"Noted of {done} members: {DEEDS[kind][1].lower()}."))
    return redirect(f"/reports/{kind}")
