"""The plain pages: sign in, start, see progress, approve, assign, import. They work without JavaScript and call what the API calls."""
from __future__ import annotations

import base64
import io
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from flask import Blueprint, Response, current_app, flash, g, redirect, render_template, request, session

from services.gateway import deletion, draft, fields, forms, menu, roster, sheet, words, workbooks
from shared import clock, errors, practice
from shared.errors import Refusal, Refused
from shared.messages import members, orgs, transfers
from shared.reference import INDUSTRIES, POST_NAMES, is_school

blueprint = Blueprint("pages", __name__)

STATES = {
    "checking": ("校验中", "Checking"), "pending_out": ("转出组织审批", "Source approval"), "pending_in": ("转入组织审批", "Target approval"),
    "pending_province": ("省级团委审批", "Provincial approval"), "pending_assign": ("分配团支部", "Branch assignment"), "moving": ("正在转入", "Moving"),
    "completed": ("完成", "Completed"), "refused": ("未受理", "Not accepted"), "rejected": ("已驳回", "Rejected"), "returned": ("超期退回", "Returned by the clock"),
    "withdrawn": ("已撤销", "Withdrawn")}
REASONS = {
    "further_study": ("升学", "Further study"), "employed_with_org": ("已落实工作单位(工作单位有团组织)", "Employed, employer has an organisation"),
    "employed_without_org": ("已落实工作单位(工作单位无团组织)", "Employed, employer has no organisation"), "abroad_on_duty": ("出国(因公出国/境)", "Abroad on duty"),
    "abroad_study": ("出国(境)学习研究", "Study abroad"), "abroad_private": ("出国(因私出国/境)", "Abroad privately"), "unemployed": ("未就业", "Not yet employed"),
    "special_unit": ("转往特殊单位团组织", "To a special unit"), "job_change": ("变更工作单位", "Change of employer"),
    "job_loss": ("离职待业", "Left a job, not employed"), "later_study": ("升学(非应届毕业生)", "Further study, no graduate of this year"),
    "status_change": ("学籍变动(留级、休学、复学、转学)", "Change of student status"), "internal_move": ("单位内部调整", "Move inside the organisation"),
    "ordinary": ("其他组织关系转接", "Ordinary transfer")}
ORDINARY = ("job_change", "job_loss", "later_study", "status_change", "internal_move", "ordinary")
"""Reasons of those who are no graduates (TYPE-26)."""
REJECTIONS = {
    "not_here": ("不在本地居住或工作", "Does not live or work here"), "household_elsewhere": ("应转往户籍所在地团组织", "Belongs to the household's organisation"),
    "work_elsewhere": ("应转往工作单位所在地团组织", "Belongs to the workplace's organisation"), "short_term": ("仅短期工作", "Only a short-term post"),
    "wrong_data": ("资料有误,请更正后重新发起", "Wrong data; correct and start again"), "other": ("其他(请填写意见)", "Other (say why in the note)")}
NEXT = {
    "not_here": ("请核对现居住地和工作单位地址;如确在当地,请先电话联系对方说明,再重新发起。",
                 "Check the addresses of residence and work; if you are there, call the office first, then start again."),
    "household_elsewhere": ("请重新发起,转入户籍所在地乡镇街道团组织。", "Start again, to the township of your household."),
    "work_elsewhere": ("请重新发起,转入工作单位或其所在地团组织。", "Start again, to the organisation of your employer or of its township."),
    "short_term": ("短期工作不转入当地,请改转户籍地或居住地团组织。", "For a short-term post choose the organisation of household or residence."),
    "wrong_data": ("请按意见更正资料后重新发起。", "Correct the data as the note says, then start again."),
    "other": ("请先按意见处理,或电话联系对方后重新发起。", "Do what the note says, or call the office, then start again.")}
MARKS = {"own": ("单独标记毕业时间", "Own time"), "delayed": ("延迟毕业团员", "Delayed"), "teacher": ("教师", "Teacher"), "": ("撤销标记", "Take the mark back")}
NO_TIME = {"teachers": ("教师支部", "Teachers' branch"), "mixed": ("混合支部", "Mixed branch")}
KINDS = {
    "leading_body": ("领导机关", "Leading body"), "committee": ("团委", "Committee"), "work_committee": ("团工委", "Work committee"),
    "general_branch": ("团总支", "General branch"), "branch": ("团支部", "Branch")}
STEPS = {
    "requested": ("提交申请", "Requested"), "reserved": ("校验通过", "Member checked"), "unavailable": ("未受理", "Not accepted"), "approve": ("同意", "Approved"),
    "reject": ("驳回", "Rejected"), "withdraw": ("撤销", "Withdrawn"), "assign": ("分配团支部", "Branch assigned"), "moved": ("转入完成", "Moved"),
    "clock_return": ("超期退回", "Returned by the clock"), "clock_approve": ("超期视为同意", "Approved by the clock"), "urged": ("催办", "Reminder"),
    "escalated": ("申请上级协调", "Escalated"), "answered": ("上级答复", "Answer of the superior")}
CONCERNS = {
    "township": ("乡镇街道团组织", "a township's organisation"), "handover": ("流动团员团支部", "a hand-over branch"),
    "household": ("工作地以外的乡镇街道团组织", "a township elsewhere than the place of work"), "community": ("村社区团支部", "a village's or community's branch"),
    "youth_centre": ("青年之家", "a youth centre"), "own_mobile": ("本校流动团员团支部", "the own school's mobile branch"), "employer": ("用人单位团组织", "an employer's organisation"),
    "own_abroad": ("本校出国(境)学习研究团支部", "the own school's study-abroad branch"), "own_class": ("本校班级团支部", "a class of the own school"),
    "own_school": ("本校其他团组织", "another organisation of the own school"), "school": ("其他学校团组织", "another school's organisation"), "other": ("其他团组织", "another organisation")}
PURPOSES = {
    "ordinary": ("普通", "Ordinary"), "township": ("乡镇街道", "Township"), "handover": ("流动团员团支部", "Hand-over branch"), "floating": ("毕业学生流动团员团支部", "Mobile branch"),
    "study_abroad": ("出国(境)学习研究团支部", "Study-abroad branch"), "delayed": ("延迟毕业团支部", "Delayed graduates"), "mixed": ("混合支部", "Mixed branch"),
    "teachers": ("教师支部", "Teachers' branch"), "staff": ("教职工团支部", "Staff branch"), "youth_centre": ("青年之家", "Youth centre"), "transit": ("临时团支部", "Temporary branch"),
    "graduate": ("毕业生团组织", "Graduates' organisation"), "awaiting": ("待接转团支部", "Awaiting branch"), "vault": ("特殊单位专属库", "Special-unit library")}
EXPIRY = {"return": ("届时系统退回", "then returned by the system"), "approve": ("届时本环节视为同意", "then this node counts as approved"),
          "remind": ("仅提醒,不自动处理", "reminders only")}


def t(zh: str, en: str) -> str:
    """Return the text in the language of the session; Chinese first."""
    return en if session.get("language") == "en" else zh


@blueprint.app_template_global()
def why(code: str) -> str:
    """Return what the code of an ended transfer means: a reason of a rejection, or a refusal."""
    if code in REJECTIONS:
        return word(REJECTIONS[code])
    return Refusal(code).say(t("zh", "en")) if code in errors.KINDS and "{" not in errors.KINDS[code].zh else ""


@blueprint.app_template_global()
def phase_name(name: str) -> str:
    """Return what a phase of the season is called."""
    return words.phase(name, t)


@blueprint.app_template_global()
def policy_name(key: str) -> str:
    """Return what a policy's key, `national@2026`, is called."""
    name, _, version = key.partition("@")
    return f"{t('全国政策', 'national') if name == 'national' else name} {version}".strip()


def word(pair: tuple[str, str] | None) -> str:
    """Return one of a pair of words by language."""
    return t(*pair) if pair else ""


def when(value: datetime | None) -> str:
    """Return an instant in China's time, to the minute."""
    return value.astimezone(clock.CHINA).strftime("%Y-%m-%d %H:%M") if value else ""


@blueprint.app_template_global()
def exactly(value: datetime | None) -> str:
    """Return an instant in China's time, to the second, where the rules ask for it (TRF-22)."""
    return value.astimezone(clock.CHINA).strftime("%Y-%m-%d %H:%M:%S") if value else ""


def due(value: datetime | None) -> tuple[str, str]:
    """Return how long is left until a deadline, in words, and how urgent it is: late, soon or nothing."""
    if value is None:
        return t("不限时", "no deadline"), ""
    days = (value - clock.now()) / timedelta(days=1)
    if days < 0:
        return t(f"已超期{int(-days) + 1}天", f"{int(-days) + 1} days late"), "late"
    return (t(f"剩{int(days)}天", f"{int(days)} days left") if days >= 1 else t(f"剩{int(days * 24)}小时", f"{int(days * 24)} hours left")), "soon" if days < 3 else ""


def render(template: str, status: int = 200, **values: Any) -> Response:
    """Render a page with what every page needs."""
    return Response(render_template(
        template, t=t, word=word, when=when, due=due, now=clock.now(), menu=menu.of(session.get("org_kind", ""), session.get("org_school", False), session.get("org_top", False)), section=_section(), entry=menu.entry(request.path), moment=uuid.uuid4, states=STATES, kinds=KINDS, marks=MARKS, no_time=NO_TIME, step_names=STEPS, expiry=EXPIRY, csrf=forms.token(), me=session.get("name"),
        acting=session.get("org_name"), acting_id=session.get("org"), request_id=g.request_id, path=request.full_path, **{"reasons": REASONS, "rejections": REJECTIONS, **values}), status)


def _section() -> menu.Section | None:
    """Return the section of this page, with the entries that the acting organisation has."""
    here = menu.section(request.path)
    return next((one for one in menu.of(session.get("org_kind", ""), session.get("org_school", False), session.get("org_top", False)) if here is not None and one.en == here.en), None)


@blueprint.app_template_global()
def came_from() -> str:
    """Return the page of this site that the person comes from, else the start (UI-05)."""
    came = urlsplit(request.headers.get("Referer", ""))
    path = came.path + (f"?{came.query}" if came.query else "")
    return path if came.netloc == request.host and came.path not in (request.path, "/sign-in") and own_path(path) else "/"


def say(text: str, kind: str = "ok") -> None:
    """Tell something at the top of the next page: `ok`, `warn` or `error`."""
    flash(text, kind)


def problem_page(refusal: Refusal) -> Response:
    """Return a refusal as a page; people whose session ended are led to sign in and come back."""
    if request.headers.get("HX-Request"):  # a part of a page: lead the whole page there instead
        return Response("", 200, {"HX-Refresh": "true"}) if refusal.code in ("token_expired", "token_invalid") else Response("", 204)
    if refusal.code in ("token_expired", "token_invalid") and request.endpoint != "pages.sign_in":
        session.pop("token", None)
        if request.method == "GET":
            return redirect(f"/sign-in?next={quote(request.full_path.rstrip('?'), safe='')}")  # type: ignore[return-value]
        return sign_in_page(None, draft.keep())
    if refusal.code == "password_change_needed":
        return redirect("/password")  # type: ignore[return-value]
    if refusal.code == "bad_request":
        refusal = Refusal("bad_request", {"detail": people_see(refusal.say(t("zh", "en")).split(":", 1)[-1].strip())})
    return render("problem.html", refusal.kind.status, refusal=refusal)


def people_see(detail: str) -> str:
    """Return the detail of a malformed request as people are told it: what is not in their language is left out."""
    return detail if session.get("language") == "en" or any("\u4e00" <= one <= "\u9fff" for one in detail) else "填写的内容不正确,请返回检查"


def call(contract: Any, wanted: Any) -> Any:
    """Call a service as the person of the session, renewing the token shortly before it ends."""
    (reply,) = calls((contract, wanted))
    return reply


def calls(*asked: tuple[Any, Any] | None, partial: bool = False) -> list[Any]:
    """Make several calls at once as the person of the session; None in place of a call gives None.

    With `partial` a call that was refused gives its `Refused`, so that a page can show the rest; who has to sign in is sent there all the same.
    """
    client = current_app.config["CLIENT"]
    session_token()
    g.trips = g.get("trips", 0) + 1
    replies = iter(client.call_all([one for one in asked if one is not None], token=session["token"], org_id=session.get("org"), request_id=g.request_id))
    answers = [None if one is None else next(replies) for one in asked]
    for answer in answers:
        if isinstance(answer, Refused) and (not partial or answer.code in ("token_expired", "token_invalid", "password_change_needed")):
            raise answer
    return answers


def session_token() -> str:
    """Return the token of the session, renewed shortly before it ends.

    Raises:
        Refused: `token_expired` where nobody is signed in.

    """
    if "token" not in session:
        raise Refused("token_expired")
    if datetime.fromisoformat(session["expires"]) - datetime.now(UTC) < timedelta(minutes=2):
        remember(current_app.config["CLIENT"].call(members.renew, members.Renew(session=session["session"]), request_id=g.request_id))
    return str(session["token"])


def acting_org() -> int | None:
    """Return the organisation that the person of the session acts for."""
    org: int | None = session.get("org")
    return org


def remember(signed: members.Signed) -> None:
    session.update(token=signed.token, session=signed.session, name=signed.name, person=signed.person_id, expires=signed.expires_at.isoformat(),
                   restricted=signed.must_change_password)


def names(org_ids: Iterable[int | None], person_ids: Iterable[int | None] = (), *more: tuple[Any, Any] | None) -> tuple[dict[int, Any], dict[int, Any], list[Any]]:
    """Return organisations and people by id, and the answers to `more`, in one trip."""
    wanted_orgs, wanted_people = sorted({one for one in org_ids if one})[:500], sorted({one for one in person_ids if one})[:500]
    found, people, *rest = calls((orgs.get_orgs, orgs.GetOrgs(org_ids=wanted_orgs)) if wanted_orgs else None,
                                 (members.describe_people, members.DescribePeople(person_ids=wanted_people)) if wanted_people else None, *more) \
        if wanted_orgs or wanted_people or any(more) else (None, None, *more)
    return {org.org_id: org for org in found or ()}, {one.member_id: one for one in people or ()}, rest


def parties(items: Iterable[Any]) -> list[int | None]:
    """Return the ids of the organisations of transfers."""
    return [one for item in items for one in (item.source_branch_id, item.target_org_id, item.target_branch_id, item.waiting_org_id)]


@blueprint.before_request
def guard() -> None:
    """Refuse a form that no page of ours sent, and what nobody can have typed; switch the language."""
    if request.args.get("lang") in ("zh", "en"):
        session["language"] = request.args["lang"]
    if request.method == "POST" and not forms.is_genuine():
        if "token" not in session and "Origin" in request.headers and forms.from_our_page() and request.endpoint != "pages.sign_in":
            raise Refused("token_expired")  # the cookie is gone: the form is kept as a draft, and sent only if the person says so
        raise Refused("bad_request", detail=t("表单已过期,请返回刷新后重试", "the form is stale; go back, reload and try again"))
    fields.refuse_unreadable(request)


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Sign in (ACC-02); an initial password leads to the change (ACC-05). Whoever had to sign in again comes back to the same place, or to the form that was not taken."""
    refusal, sealed = None, request.form.get("draft", "")
    if request.method == "POST":
        try:
            signed = current_app.config["CLIENT"].call(members.sign_in, members.SignIn(
                id_number=request.form.get("id_number", ""), password=request.form.get("password", ""), address=request.remote_addr or "",
                device=request.headers.get("User-Agent", ""), **_read_captcha()), request_id=g.request_id)
            language, acted, before = session.get("language", "zh"), session.get("org"), session.get("person")
            session.clear()
            session["language"] = language
            remember(signed)
            if signed.must_change_password:
                return redirect("/password")
            mine = call(orgs.my_orgs, orgs.MyOrgs())
            kept = draft.opened(sealed)
            kept = kept if kept is not None and kept.person in (0, signed.person_id) else None
            acted = kept.org if kept is not None else acted if before == signed.person_id else None
            if mine:
                act_for(next((org for org in mine if org.org_id == acted), mine[0]))
            if kept is not None:
                return render("draft.html", kept=kept, other_org=kept.org is not None and kept.org != session.get("org"))
            return redirect(own_path(request.args.get("next", "")) or "/")
        except Refused as error:
            refusal = error.refusal
    return sign_in_page(refusal, sealed)


def sign_in_page(refusal: Refusal | None, sealed: str = "") -> Response:
    """Return the page of signing in; with a draft it stands in place of the page that was asked for.

    Where no more captchas are drawn for this address the form stands there without one: who belongs here needs none then (ACC-10).
    """
    lost = request.endpoint != "pages.sign_in"
    picture, g.initial_tail = "", None
    try:
        picture = _new_captcha()
    except Refused as error:
        if error.code != "too_many_attempts":
            raise
        refusal = refusal or error.refusal
    return render("sign_in.html", refusal.kind.status if refusal else 401 if lost else 200, refusal=refusal, id_number="" if lost else request.form.get("id_number", ""),
                  captcha=picture, initial_tail=g.initial_tail, sealed=sealed, lost=lost)


def _new_captcha() -> str:
    """Ask for a captcha for the form that is shown next; return its picture as a data address, empty where none is asked for (ACC-02).

    What opens a new account (BEY-22) comes with it and is kept for the page.
    """
    made = current_app.config["CLIENT"].call(members.get_captcha, members.GetCaptcha(address=request.remote_addr or ""), request_id=g.request_id)
    session["captcha"] = made.captcha_id
    g.initial_tail = made.initial_tail
    return f"data:image/png;base64,{base64.b64encode(made.png).decode()}" if made.png else ""


def _read_captcha() -> dict[str, str]:
    return {"captcha_id": session.pop("captcha", ""), "captcha": request.form.get("captcha", "")}


@blueprint.get("/security")
def security() -> Any:
    """Living sessions and sign-ins of the last 180 days (账号安全)."""
    return render("security.html", found=call(members.list_sessions, members.ListSessions(session=session.get("session", ""))))


@blueprint.post("/security/end")
def end_sessions() -> Any:
    """End one session or all others."""
    one = request.form.get("session_id", "")
    call(members.end_sessions, members.EndSessions(session=session.get("session", ""), session_ids=[fields.key(request.form, "session_id")] if one else []))
    say(t("已下线。", "Ended.") if one else t("其他登录都已下线。", "All other sessions are ended."))
    return redirect("/security")


@blueprint.get("/verify")
def verify() -> Any:
    """Check a letter, as anyone (BEY-13)."""
    code, found, refusal = request.args.get("code", "").strip(), None, None
    if code:
        try:
            found = current_app.config["CLIENT"].call(members.check_letter, members.CheckLetter(code=code), request_id=g.request_id)
        except Refused as error:
            refusal = error.refusal
    return render("verify.html", refusal.kind.status if refusal else 200, found=found, refusal=refusal, code=code)


@blueprint.get("/contacts")
def contacts() -> Any:
    """Telephone numbers of leading bodies, for anyone (SRCH-09)."""
    text, found, refusal = request.args.get("text", ""), [], None
    if text:
        try:
            found = current_app.config["CLIENT"].call(orgs.list_contacts, orgs.ListContacts(text=text), request_id=g.request_id)
        except Refused as error:
            refusal = error.refusal
    return render("contacts.html", refusal.kind.status if refusal else 200, found=found, text=text, refusal=refusal)


def own_path(target: str) -> str:
    """Return the target if it is a path of this site, as browsers read it, else nothing."""
    return target if re.fullmatch(r"/(?![/\\])[^\\\x00-\x20]*", target) else ""


@blueprint.post("/sign-out")
def sign_out() -> Any:
    """Sign out (ACC-16)."""
    if "session" in session:
        current_app.config["CLIENT"].call(members.sign_out, members.SignOut(session=session["session"]), request_id=g.request_id)
    session.clear()
    return redirect("/sign-in")


@blueprint.route("/password", methods=["GET", "POST"])
def password() -> Any:
    """Change the password."""
    refusal = None
    if request.method == "POST":
        try:
            call(members.change_password, members.ChangePassword(
                old_password=request.form.get("old", ""), new_password=request.form.get("new", ""), session=session.get("session", "")))
            remember(current_app.config["CLIENT"].call(members.renew, members.Renew(session=session["session"]), request_id=g.request_id))
            say(t("密码已修改,下次请用新密码登录。", "The password is changed; sign in with the new one next time."))
            return redirect("/")
        except Refused as error:
            if error.code in ("token_expired", "token_invalid"):
                raise
            refusal = error.refusal
    return render("password.html", refusal.kind.status if refusal else 200, refusal=refusal)


@blueprint.route("/forgot", methods=["GET", "POST"])
def forgot() -> Any:
    """Set a new password with a code from an administrator (ACC-06, ACC-08)."""
    refusal, done = None, False
    if request.method == "POST":
        try:
            done = current_app.config["CLIENT"].call(members.reset_password, members.ResetPassword(
                id_number=request.form.get("id_number", ""), code=request.form.get("code", ""), new_password=request.form.get("new", ""),
                address=request.remote_addr or "", **_read_captcha()), request_id=g.request_id)
        except Refused as error:
            refusal = error.refusal
    return render("forgot.html", refusal.kind.status if refusal else 200, refusal=refusal, done=done, id_number=request.form.get("id_number", ""),
                  captcha=_new_captcha())


ORG_SAID = {
    "up": ("已上移。", "Moved up."), "down": ("已下移。", "Moved down."), "delete": ("组织已删除。", "The organisation is deleted."),
    "await": ("组织已转为待接转团支部。", "The organisation is an awaiting branch now."), "": ("组织信息已保存。", "The organisation is saved.")}
"""What the page of organisations says after each of its buttons."""


def act_for(org: orgs.Org) -> None:
    session["org"], session["org_name"] = org.org_id, org.full_name
    session["org_kind"], session["org_school"], session["org_top"] = org.kind, is_school(org.industry), org.top


@blueprint.route("/orgs", methods=["GET", "POST"])
def my_orgs() -> Any:
    """Choose the organisation to act for (ROLE-14), and see its subordinates."""
    form, refusal = request.form, None
    here = fields.number(request.values.get("at"), session.get("org") or 0)
    if request.method == "POST" and not form.get("do"):
        chosen = next((org for org in call(orgs.my_orgs, orgs.MyOrgs()) if str(org.org_id) == form.get("org")), None)
        if chosen is None:
            raise Refused("not_administrator")
        act_for(chosen)
        say(t(f"现在代表{chosen.full_name}办理。", f"You act for {chosen.full_name} now."))
        return redirect("/desk")
    if request.method == "POST":
        refusal = _keep_org(form, here)
        if refusal is None:
            say(word(ORG_SAID.get(form["do"], ORG_SAID[""])))
            return redirect(f"/orgs?at={here}")
    mine, children, found = calls((orgs.my_orgs, orgs.MyOrgs()), (orgs.list_children, orgs.ListChildren(org_id=here, limit=500)) if here else None,
                                  (orgs.get_orgs, orgs.GetOrgs(org_ids=[here])) if here else None)
    return render("orgs.html", refusal.kind.status if refusal else 200, mine=mine, children=children or [], here=found[0] if found else None, refusal=refusal, form=form,
                  industries=INDUSTRIES, purposes=_purposes(), command_id=uuid.uuid4(), changed=form.get("org"))


def _order_org(here: int, org: int, up: bool) -> Refusal | None:
    """Move a direct subordinate one place up or down (上移/下移, ORG-24); at the end of the list it stays."""
    ids = [one.org_id for one in call(orgs.list_children, orgs.ListChildren(org_id=here, limit=500))]
    at = ids.index(org) if org in ids else -1
    if at < 0:
        return Refusal("unknown_org")
    if (at == 0) if up else (at == len(ids) - 1):
        return None
    after = ids[at + 1] if not up else ids[at - 2] if at >= 2 else None
    answer: Refusal | None = call(orgs.order_orgs, [orgs.OrderOrg(org_id=org, after=after)])[0].refusal
    return answer


def _purposes() -> dict[str, tuple[str, str]]:
    """Return the purposes of branches, the hand-over branch by what it is called now (ORG-28)."""
    return {**PURPOSES, "handover": (practice.text("township_branch_label", clock.today()), PURPOSES["handover"][1])}


def _keep_org(form: Any, here: int) -> Refusal | None:
    """Create, edit or delete a direct subordinate (ORG-10, ORG-23, DEL-01..03); return why not."""
    org = fields.number_or_none(form.get("org"))
    answer: Refusal | None
    if form["do"] in ("up", "down"):
        return _order_org(here, org or 0, form["do"] == "up")
    if form["do"] in ("delete", "await"):
        answer = deletion.delete(lambda asked: calls(*asked, partial=True),
                                 [orgs.DeleteOrg(command_id=uuid.uuid4(), org_id=org or 0, to_awaiting=form["do"] == "await")])[0].refusal
    else:
        answer = call(orgs.save_orgs, [orgs.SaveOrg(
            command_id=fields.key(form), org_id=org, parent_id=here, kind=form.get("kind", "branch"), purpose=form.get("purpose", "ordinary"),
            full_name=form.get("full_name", ""), short_name=form.get("short_name", ""), industry=form.get("industry", ""), phone=form.get("phone", ""))])[0].refusal
    return answer


@blueprint.get("/zhtj")
def entry() -> Any:
    """Lead the path that people know to the start (UI-03)."""
    return redirect("/")


@blueprint.get("/members/<int:member_id>")
def member(member_id: int) -> Any:
    """One member's record with its history of branches and posts (BEY-09, MEM-28)."""
    profile = call(members.get_profile, members.GetProfile(member_id=member_id))
    found, _, _ = names([*(stay.branch_id for stay in profile.stays), *(post.org_id for post in profile.posts), profile.member.branch_id])
    return render("member.html", profile=profile, orgs=found, post_names=POST_NAMES, hints=[Refusal(code) for code in profile.hints])


@blueprint.post("/members/export")
def export() -> Any:
    """Take the members of the own organisation and below along as a spreadsheet; the log keeps who did, unmasked numbers need a reason (MEM-32, BEY-10)."""
    wanted = members.ExportMembers(full=request.form.get("full") == "1", reason=request.form.get("reason", ""), limit=500)
    first_page = call(members.export_members, wanted)

    def rows() -> Iterator[Any]:
        page = first_page
        while page:
            yield from page
            page = call(members.export_members, msgspec.structs.replace(wanted, after=page[-1].member.member_id))

    with sheet.write(rows()) as file:
        return _xlsx(io.BytesIO(file.read()), "members")


@blueprint.get("/my-branch")
def my_branch() -> Any:
    """My organisation (我的组织): the own branch, how many it has, who they are; other members' numbers masked (UI-07, UI-16, STAT-09)."""
    profile = call(members.who_am_i, members.WhoAmI())
    branch = profile.member.branch_id
    if branch is None:
        return render("my_branch.html", org=None, superior=None, items=[])
    session_org, session["org"] = session.get("org"), None
    try:
        found, items = calls((orgs.get_orgs, orgs.GetOrgs(org_ids=[branch])), (members.list_members, members.ListMembers(branch_id=branch, limit=500)))
    finally:
        session["org"] = session_org
    return render("my_branch.html", org=found[0] if found else None, items=items, post_names=POST_NAMES)


@blueprint.get("/")
def home() -> Any:
    """Personal centre: who I am, my transfer as a timeline, my history (BEY-02, TRF-33)."""
    profile, mine = calls((members.who_am_i, members.WhoAmI()), (transfers.my_transfers, transfers.MyTransfers()))
    progress = call(transfers.get_transfer, transfers.GetTransfer(transfer_id=mine[0].transfer_id)) if mine else None
    acting = session.get("org")
    found, people, (inbox, waiting) = names(
        [*(stay.branch_id for stay in profile.stays), *parties(mine), *(one.org_id for one in ([*progress.path, *progress.steps] if progress else [])), profile.member.branch_id, acting],
        [step.person_id for step in progress.steps] if progress else [],
        (transfers.list_messages, transfers.ListMessages(limit=5)) if not acting else None, (transfers.list_work, transfers.ListWork(limit=1)) if acting else None)
    return render("home.html", profile=profile, mine=mine, progress=progress, orgs=found, can_start=profile.member.branch_id and not profile.member.transfer_id,
                  hints=[Refusal(code) for code in profile.hints], acting_org=found.get(acting or 0), inbox=inbox, waiting=waiting, people=people,
                  decided=decided(progress) if progress else {}, advice=word(NEXT.get(mine[0].end_code, NEXT["other"])) if mine else "")


@blueprint.route("/search", methods=["GET", "POST"])
def search() -> Any:
    """Global search: organisations by any part of the name, members by name or number; a number never stands in an address (SRCH-01..05)."""
    text, people, refusal = request.form.get("text", "").strip(), None, None
    found: list[Any] = []
    if request.method == "POST" and text:
        found = [] if _is_number(text) else call(orgs.search_orgs, orgs.SearchOrgs(text=text, below=session.get("org")))
        try:
            people = call(members.search_members, members.SearchMembers(text=text)) if session.get("org") else None
        except Refused as error:
            if error.code in ("token_expired", "token_invalid"):
                raise
            refusal = error.refusal
    branches = {org.org_id: org for org in call(orgs.get_orgs, orgs.GetOrgs(org_ids=[one.branch_id for one in people.items]))} if people and people.items else {}
    return render("search.html", text=text, found=found, people=people, branches=branches, refusal=refusal, asked=request.method == "POST")


def _is_number(text: str) -> bool:
    """Return whether a search is for a person by ID or development number: such a text is never looked for among organisations (MEM-32)."""
    return bool(re.fullmatch(r"[0-9]{11,}[Xx]?", text))


@blueprint.route("/schools", methods=["GET", "POST"])
def schools() -> Any:
    """Area of schools: create missing ones, make registration codes, see how far each is (SCH-01, SCH-02, SCH-08, ADM-12)."""
    codes, refusal, acting = [], None, session.get("org") or 0
    form = request.form
    if request.method == "POST" and form.get("do") == "create":
        refusal = call(orgs.save_orgs, [orgs.SaveOrg(command_id=fields.key(form), parent_id=acting, kind="committee", full_name=form.get("full_name", ""),
                                                     industry=form.get("industry", ""))])[0].refusal
        if refusal is None:
            say(t("学校已新建,可以为其生成注册码。", "The school is made; a registration code can be made for it."))
            return redirect("/schools")
    elif request.method == "POST":
        chosen = fields.numbers(form.getlist("school"))
        if not chosen:
            raise Refused("bad_request", detail=t("请先勾选学校", "choose schools first"))
        codes = call(members.issue_registration_codes, [members.IssueRegistrationCode(command_id=uuid.uuid4(), org_id=one) for one in chosen[:500]])
    progress = {one.org_id: one for one in call(members.get_entry_progress, members.GetEntryProgress(org_id=acting, schools_only=True))[1:]}
    listed = [org for org in call(orgs.list_children, orgs.ListChildren(org_id=acting, limit=500)) if is_school(org.industry)]
    return render("schools.html", refusal.kind.status if refusal else 200, schools=listed, progress=progress, codes=codes, refusal=refusal, form=form, command_id=uuid.uuid4(),
                  industries=[name for name, one in INDUSTRIES.items() if one.school])


@blueprint.get("/transfers/<int:transfer_id>")
def transfer(transfer_id: int) -> Any:
    """One transfer for its parties (TRF-22)."""
    progress = call(transfers.get_transfer, transfers.GetTransfer(transfer_id=transfer_id))
    item, acting = progress.transfer, session.get("org")
    assigning = item.state == "pending_assign" and item.waiting_org_id == acting
    parties_ = [*parties([item]), *(node.org_id for node in progress.path), *(step.org_id for step in progress.steps)]
    found, people, (children, administrators) = names(
        parties_, [item.member_id, *(step.person_id for step in progress.steps)],
        (orgs.list_children, orgs.ListChildren(org_id=acting or 0, limit=500)) if assigning else None,
        (orgs.list_administrators, orgs.ListAdministrators(org_ids=list(dict.fromkeys(one for one in (item.source_branch_id, item.waiting_org_id, item.target_org_id) if one)))))
    return render("transfer.html", progress=progress, orgs=found, people=people, person=people.get(item.member_id), mine=item.member_id == session.get("person"),
                  may_decide=item.state in ("pending_out", "pending_in", "pending_province") and acting in (item.waiting_org_id, item.waiting_superior_id),
                  branches=[org for org in children or () if org.kind == "branch"], concern=CONCERNS.get(item.concern), decided=decided(progress), staff=staff(administrators),
                  rejections=rejections_for([item.reason]))


def decided(progress: Any) -> dict[int, Any]:
    """Return, by number of the node, the step of the trail that closed it: who decided what and when (BEY-02)."""
    found: dict[int, Any] = {}
    ahead = iter(progress.path)
    begun = False
    for step in progress.steps:
        begun = begun or step.event == "reserved"
        if begun and step.event in ("approve", "clock_approve", "assign", "reject", "clock_return", "withdraw"):
            node = next(ahead, None)
            if node is None:
                break
            found[node.node_no] = step
    return found


_REJECTED_FOR = {
    "further_study": ("wrong_data", "other"), "later_study": ("wrong_data", "other"), "abroad_study": ("wrong_data", "other"), "special_unit": ("wrong_data", "other"),
    "abroad_private": ("household_elsewhere", "not_here", "wrong_data", "other"), "unemployed": ("not_here", "household_elsewhere", "work_elsewhere", "wrong_data", "other"),
    "abroad_on_duty": ("work_elsewhere", "household_elsewhere", "wrong_data", "other")}


def rejections_for(reasons: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the reasons of a rejection that fit the reasons of transfers: nobody who goes on to study has "only a short-term post" (TRF-27)."""
    fit = {code for reason in reasons for code in _REJECTED_FOR.get(reason, REJECTIONS)}
    return {code: words for code, words in REJECTIONS.items() if code in fit or not fit}


@blueprint.post("/transfers/<int:transfer_id>/withdraw")
def withdraw(transfer_id: int) -> Any:
    """Withdraw (撤销申请, TRF-28)."""
    first(call(transfers.withdraw_transfers, [transfers.WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=transfer_id)]))
    say(t("已撤销。可以重新发起转接。", "Withdrawn. You may start again."))
    back = request.form.get("back", "/")
    return redirect(back if back in ("/", f"/transfers/{transfer_id}") else "/")


def first(outcomes: list[Any]) -> Any:
    """Return the answer to a command of one item, or raise its refusal."""
    if outcomes[0].refusal is not None:
        raise Refused(outcomes[0].refusal.code, **outcomes[0].refusal.values)
    return outcomes[0]


def fits(reason: str, graduate: bool) -> bool:
    """Return whether a reason is offered to a graduate, or to who is none (GRAD-15, GRAD-17); members decides."""
    return reason == "special_unit" or (reason not in ORDINARY) == graduate


def transfer_fields(form: Any) -> dict[str, Any]:
    """Return what a form says of a transfer, as the request takes it."""
    return {"target_org_id": fields.number_or_none(form.get("target")), "reason": form.get("reason", ""), "place_name": form.get("place_name", ""),
            "place_address": form.get("place_address", ""), "contact": form.get("contact", ""), "remark": form.get("remark", ""),
            "place_division": form.get("place_division", "").strip(), "confirmed": form.get("confirmed") == "1",
            "drop_out": form.get("drop_out") == "1"}


def search_targets(text: str) -> list[Any]:
    """Return organisations that may be destinations, by any part of the name."""
    return list(call(orgs.search_orgs, orgs.SearchOrgs(text=text, targets_only=True, limit=10))) if len(text.strip()) >= 2 else []


@blueprint.route("/out", methods=["GET", "POST"])
def out() -> Any:
    """Transfer out (办理转出, TRF-07, TRF-08): members of a branch, one target, one reason, in one list."""
    form = request.values
    branch = fields.number(form.get("branch"), session.get("org") or 0)
    here, listed = calls((orgs.get_orgs, orgs.GetOrgs(org_ids=[branch])), (members.list_members, members.ListMembers(branch_id=branch, limit=500)))
    if here and here[0].kind != "branch":
        below = [org for org in call(orgs.list_children, orgs.ListChildren(org_id=branch, limit=500)) if org.kind == "branch"]
        return render("out_choose.html", org=here[0], below=below)
    chosen = fields.numbers(form.getlist("member")) or ([one.member_id for one in listed if not one.transfer_id] if form.get("all") else [])
    outcomes, refusal = [], None
    if request.method == "POST" and form.get("confirm"):
        if not chosen:
            refusal = Refusal("field_missing", {"field": t("团员", "members")})
        else:
            wanted = transfer_fields(form)
            outcomes = call(transfers.request_transfers, [transfers.RequestTransfer(
                command_id=uuid.uuid5(fields.key(form), str(one)), initiator="source", member_id=one, source_branch_id=branch, **wanted) for one in chosen])
    names = {one.member_id: one.name for one in listed}
    refusals: dict[str, list[Any]] = {}
    for one, outcome in zip(chosen, outcomes, strict=False):
        if outcome.refusal is not None:
            refusals.setdefault(outcome.refusal.say(t("zh", "en")), []).append(names.get(one, one))
    return render("out.html", listed=listed, refusals=refusals, form=form, branch=branch, chosen=chosen, outcomes=list(zip(chosen, outcomes, strict=False)), names=names,
                  found=search_targets(form.get("text", "")), refusal=refusal, command_id=uuid.uuid4(), action="/out", profile=None)


@blueprint.route("/in", methods=["GET", "POST"])
def transfer_in() -> Any:
    """Transfer in (办理转入, TRF-05): exact name and ID number, then reason and fields."""
    form = request.form
    found, refusal, in_the_way = None, None, None
    try:
        if request.method == "POST" and form.get("confirm"):
            found = {name: form.get(name, "") for name in ("member_id", "branch_id", "ticket", "name")}
            outcome = call(transfers.request_transfers, [transfers.RequestTransfer(
                command_id=fields.key(form), initiator="target", member_id=fields.number(form.get("member_id")), source_branch_id=fields.number(form.get("branch_id")),
                ticket=form.get("ticket", ""), **{**transfer_fields(form), "target_org_id": session.get("org")})])[0]
            in_the_way = outcome.open
            first([outcome])
            say(t("已发起转入,等待转出组织审批。", "Started; the source decides next."))
            return redirect("/list?side=target")
        if request.method == "POST":
            person = call(members.look_up, members.LookUp(name=form.get("name", ""), id_number=form.get("id_number", "")))
            found = {"member_id": person.member_id, "branch_id": person.branch_id, "ticket": person.ticket, "name": person.name}
    except Refused as error:
        if error.code in ("token_expired", "token_invalid", "password_change_needed"):
            raise
        refusal = error.refusal
    branch_id = fields.number(f"{found['branch_id']}") if found else 0
    branch, contacts_ = office(branch_id, in_the_way)
    return render("in.html", refusal.kind.status if refusal else 200, found=found, branch=branch.get(branch_id), contacts=contacts_.get(branch_id, []), form=form, refusal=refusal,
                  in_the_way=in_the_way, orgs=branch, command_id=form.get("command_id") or uuid.uuid4())


def office(org_id: int, in_the_way: Any = None) -> tuple[dict[int, Any], dict[int, list[Any]]]:
    """Return an organisation with who is in the way of a transfer, and by organisation its administrators as far as the caller may see them (TRF-05, TRF-10, BEY-03)."""
    if not org_id:
        return {}, {}
    waiting = [in_the_way.waiting_org_id, in_the_way.initiator_org_id] if in_the_way is not None else []
    found, _, (administrators,) = names([org_id, *waiting], (), (orgs.list_administrators, orgs.ListAdministrators(org_ids=[org_id])))
    return found, staff(administrators)


def staff(administrators: Iterable[Any], people: dict[int, Any] | None = None) -> dict[int, list[Any]]:
    """Return administrators by organisation, described by right: surname and two stars to strangers (MEM-32)."""
    listed = list(administrators)[:50]
    if people is None:
        _, people, _ = names((), [one.person_id for one in listed])
    by_org: dict[int, list[Any]] = {}
    for one in listed:
        if one.person_id in people:
            by_org.setdefault(one.org_id, []).append(people[one.person_id])
    return by_org


@blueprint.route("/members", methods=["GET", "POST"])
def branch_members(marked: list[Any] | None = None, codes: list[Any] | None = None) -> Any:
    """Members of a branch, and import of a roster (IMP-02, IMP-06, IMP-07)."""
    branch = fields.number(request.values.get("branch"), session.get("org") or 0)
    if request.method == "POST" and marked is None and codes is None:
        return _import()
    org = call(orgs.get_orgs, orgs.GetOrgs(org_ids=[branch]))
    if not org:
        raise Refused("unknown_org")
    items, below = calls((members.list_members, members.ListMembers(branch_id=branch, limit=500)) if org[0].kind == "branch" else None,
                         (orgs.list_children, orgs.ListChildren(org_id=branch, limit=500)) if org[0].kind != "branch" else None)
    items = items or []
    return render("members.html", items=items, org=org[0], below=below or [], import_id=uuid.uuid4(), marked=marked or [], codes=codes or [], names={one.member_id: one.name for one in items})


def _import() -> Any:
    """Hand the rows of a roster over under one id and lead to the page that shows how far they are (IMP-02)."""
    upload = request.files.get("file")
    if upload is None:
        raise Refused("roster_broken", detail=t("请选择文件", "choose a file"))
    import_id = fields.key(request.form, "import_id")
    _may_import(import_id)
    rows = workbooks.read_roster(upload.read(), session["person"], own=request.form.get("level") == "own")
    if not rows:
        raise Refused("roster_broken", detail=t("表格中没有数据行", "there are no rows in it"))
    for at in range(0, len(rows), 500):
        for answer in call(members.import_rows, [workbooks.to_send(import_id, row) for row in rows[at:at + 500]]):
            if answer.refusal is not None:
                raise Refused(answer.refusal.code, **answer.refusal.values)
    return redirect(f"/imports/{import_id}{'?level=own' if request.form.get('level') == 'own' else ''}")


def _may_import(import_id: uuid.UUID) -> None:
    """Return if members lets the person of the session import for the acting organisation; nobody else's file is opened.

    Raises:
        Refused: `token_expired`, `not_administrator`.

    """
    try:
        call(members.get_import, members.GetImport(import_id=import_id))
    except Refused as error:
        if error.code != "unknown_import":  # it is new, as it should be; an old one is sent again
            raise


@blueprint.get("/imports/<uuid:import_id>")
def import_progress(import_id: uuid.UUID) -> Any:
    """Show how far an import is; the page asks again by itself until it is done (IMP-06)."""
    progress = call(members.get_import, members.GetImport(import_id=import_id, failed_after=0))
    reasons = Counter(one.problem for one in progress.failures)
    return render("import.html", progress=progress, import_id=import_id, reasons=[(why, n) for why, n in reasons.most_common(20) if n > 1], waiting=progress.rows - progress.entered - progress.failed,
                  level="?level=own" if request.args.get("level") == "own" else "")


@blueprint.get("/imports/<uuid:import_id>/failed.xlsx")
def import_failures(import_id: uuid.UUID) -> Any:
    """Return the failed rows in the template's form with their reasons, to correct and upload again (IMP-07)."""
    def rows() -> Iterator[roster.RosterRow]:
        after = 0
        while some := call(members.get_import, members.GetImport(import_id=import_id, failed_after=after)).failures:
            after = some[-1].number
            for one in some:
                yield roster.RosterRow(one.number, one.branch_name, one.name, one.id_number, one.ethnic_group, one.phone, one.joined_on, one.development_number,
                                       one.post, one.problem)

    file = io.BytesIO()
    roster.write_roster(file, rows(), reasons=True, own=request.args.get("level") == "own")
    return _xlsx(file, "failed")


def _xlsx(file: io.BytesIO, name: str) -> Response:
    return Response(file.getvalue(), content_type=sheet.MIME,
                    headers={"Content-Disposition": f"attachment; filename={name}.xlsx", "Cache-Control": "no-store"})


@blueprint.route("/graduation", methods=["GET", "POST"])
def graduation() -> Any:
    """Show and mark times of graduation of the branches below (GRAD-06..08, GRAD-32)."""
    done: list[Any] = []
    form, unmarked = request.form, request.args.get("unmarked") == "1"
    if request.method == "POST":
        chosen = fields.numbers(form.getlist("branch"))
        if not chosen:
            raise Refused("bad_request", detail=t("请先勾选团支部", "choose branches first"))
        if not form.get("confirm"):
            found = call(orgs.get_orgs, orgs.GetOrgs(org_ids=chosen[:500]))
            return render("graduation_confirm.html", branches=found, month=month(form.get("month", "")), reason=form.get("reason", ""), back=request.full_path)
        done = call(members.mark_branches, [members.MarkBranch(
            command_id=uuid.uuid4(), branch_id=one, graduates_on=month(form.get("month", "")), reason=form.get("reason", "")) for one in chosen])
    page = call(members.list_branch_marks, members.ListBranchMarks(unmarked_only=unmarked, after=fields.number(request.args.get("after")), limit=100))
    return render("graduation.html", branches=page, done=done, unmarked=unmarked, names={one.branch_id: one.name for one in page})


def month(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text}-01") if text else None
    except ValueError:
        raise Refused("bad_request", detail=t("毕业时间的形式是 2027-06", "a time of graduation looks like 2027-06")) from None


@blueprint.post("/members/marks")
def member_marks() -> Any:
    """Mark the chosen members, or take marks back (GRAD-10, GRAD-16, GRAD-21); or make codes for forgotten passwords (ACC-07)."""
    form = request.form
    chosen = fields.numbers(form.getlist("member"))
    if not chosen:
        raise Refused("bad_request", detail=t("请先勾选团员", "choose members first"))
    if form.get("do") == "codes":
        return branch_members(codes=call(members.issue_reset_codes, [members.IssueResetCode(command_id=uuid.uuid4(), member_id=one) for one in chosen]))
    done = call(members.mark_members, [members.MarkMember(
        command_id=uuid.uuid4(), member_id=one, mark=form.get("mark", ""), graduates_on=month(form.get("month", "")), reason=form.get("reason", "")) for one in chosen])
    return branch_members(done)


@blueprint.get("/template.xlsx")
def template() -> Any:
    """Return one of the two import templates (IMP-04, DOC-06)."""
    file, own = io.BytesIO(), request.args.get("level") == "own"
    roster.write_roster(file, [], own=own)
    return _xlsx(file, "tuanqiao-cadres" if own else "tuanqiao-members")
