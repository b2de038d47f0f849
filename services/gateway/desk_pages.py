"""Pages of those who start and decide: operation centre, approvals, bulk decisions, batch moves, the wizard with the adviser, what members do with a transfer."""
from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from flask import redirect, request, session

from services.gateway import fields
from services.gateway.pages import (
    CONCERNS,
    REASONS,
    STEPS,
    blueprint,
    call,
    calls,
    first,
    fits,
    names,
    parties,
    rejections_for,
    render,
    say,
    search_targets,
    t,
    transfer_fields,
    word,
)
from shared import clock
from shared.errors import Refusal, Refused
from shared.messages import members, orgs, transfers

PLANS = {
    "study": ("升学到其他学校", "Further study at another school"), "study_here": ("在本校继续升学", "Further study at the same school"),
    "work": ("已落实工作(含自主创业)", "Employed, or self-employed"), "staff": ("留校任职", "Staff of the own school"), "none": ("暂未就业", "Not yet employed"),
    "abroad_study": ("出国(境)学习研究", "Study or research abroad"), "abroad_duty": ("因公出国(境)", "Abroad on duty"), "abroad_private": ("因私出国(境)", "Abroad privately"),
    "army": ("参军或到涉密单位", "Army or a classified unit")}
_EMPLOYER = {"place_name": ("工作单位名称", "the employer"), "place_address": ("工作单位所在地详细地址", "the employer's address")}
_HOME = {"place_address": ("户籍地或居住地详细地址", "the address of household or residence")}
_SCHOOL = {"place_name": ("学校名称", "the school"), "place_address": ("学校所在地详细地址", "the school's address")}
NEEDED: dict[str, dict[str, tuple[str, str]]] = {
    "further_study": _SCHOOL, "later_study": _SCHOOL, "job_change": _EMPLOYER, "job_loss": _HOME,
    "employed_with_org": _EMPLOYER, "employed_without_org": _EMPLOYER, "abroad_on_duty": _EMPLOYER, "abroad_private": _HOME, "unemployed": _HOME}
"""What each reason has to say (services/transfers/reasons.toml, held together by a test)."""


# ---- operation centre ------------------------------------------------------------------------------------------------

@blueprint.get("/desk")
def desk() -> Any:
    """Operation centre (操作中心): everything that waits for the acting organisation, and messages (MSG-01, MSG-02, MSG-03); without one the own messages."""
    acting, kind = session.get("org"), request.args.get("kind", "")
    asked = transfers.ListMessages(kind=kind, unread_only=request.args.get("unread") == "1", since=_day(request.args.get("since")), until=_day(request.args.get("until")),
                                   after=request.args.get("after", ""), limit=30)
    inbox, work, registrations, migrations, escalations = calls(
        (transfers.list_messages, asked), (transfers.list_work, transfers.ListWork(limit=5)) if acting else None,
        (members.list_registrations, members.ListRegistrations()) if acting else None, (orgs.list_migrations, orgs.ListMigrations(waiting=True)) if acting else None,
        (transfers.list_escalations, transfers.ListEscalations()) if acting else None, partial=True)
    items = [] if inbox is None or isinstance(inbox, Refused) else inbox.items
    oldest = work.items if work is not None and not isinstance(work, Refused) else []
    found, people, _ = names([*(item.org_id for item in items), *parties(oldest)], [*(item.member_id for item in items), *(item.member_id for item in oldest)])
    return render("desk.html", inbox=inbox, work=work, registrations=registrations, migrations=migrations, escalations=escalations, orgs=found, people=people, kind=kind,
                  kinds_of_message={name: STEPS[name] for name in ("requested", "approve", "reject", "clock_return", "withdraw", "moved", "urged", "escalated", "answered")})


def _day(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=clock.CHINA) if text else None
    except ValueError:
        raise Refused("bad_request", detail=t("日期的形式是 2027-06-01", "a day looks like 2027-06-01")) from None


@blueprint.get("/desk/count")
def desk_count() -> Any:
    """How much waits, for the bar, and beside it how much is unread: tasks and messages are never one number (MSG-01, MSG-09, MSG-10)."""
    acting = session.get("org")
    try:
        inbox, work = calls((transfers.list_messages, transfers.ListMessages(limit=1)), (transfers.list_work, transfers.ListWork(limit=1)) if acting else None, partial=True)
    except Refused:
        return ""  # no number is better than a page in its place
    waiting = sum(work.counts.values()) if work is not None and not isinstance(work, Refused) else 0
    unread = 0 if isinstance(inbox, Refused) else inbox.unread
    return f"{waiting or ''}<span class=\"count\" id=\"unread\" hx-swap-oob=\"true\">{unread or ''}</span>"


@blueprint.post("/desk/read")
def read_messages() -> Any:
    """Mark all messages read, or one."""
    form = request.form
    one = fields.pairs([form.get("message", "")])
    call(transfers.mark_messages, [transfers.MarkRead(transfer_id=one[0][0], seq=one[0][1]) if one else transfers.MarkRead(until=clock.now())])
    return redirect("/desk")


@blueprint.route("/escalations", methods=["GET", "POST"])
def escalations() -> Any:
    """Rejections that members have brought before the acting organisation, and the answer (BEY-06)."""
    if request.method == "POST":
        first(call(transfers.answer_escalations, [transfers.AnswerEscalation(
            decision_id=uuid.uuid4(), transfer_id=fields.number(request.form.get("transfer_id")), answer=request.form.get("answer", ""), note=request.form.get("note", ""))]))
        say(t("已答复,团员会看到您的意见。", "Answered; the member reads it."))
        return redirect("/escalations")
    items = call(transfers.list_escalations, transfers.ListEscalations(open_only=request.args.get("all") != "1"))
    found, people, _ = names([one for item in items for one in (item.source_branch_id, item.target_org_id)], [item.member_id for item in items])
    return render("escalations.html", items=items, orgs=found, people=people)


# ---- approvals -------------------------------------------------------------------------------------------------------

@blueprint.route("/work", methods=["GET", "POST"])
def work() -> Any:
    """Approvals (组织关系转接审批): filter, approve, reject or assign the ticked, or everything that matches (TRF-31, BEY-05)."""
    state, reason = request.values.get("state", ""), request.values.get("reason", "")
    form, refusal, done = request.form, None, []
    try:
        if request.method == "POST" and form.get("all"):
            return _bulk_confirm(state, reason)
        if request.method == "POST" and not form.get("tick"):
            done = _decide(form)
            if not any(one.refusal for one in done):
                say(_done_words(form.get("do", ""), len(done)))
                return redirect(f"/work?state={quote(state)}&reason={quote(reason)}")
    except Refused as error:
        if error.code not in ("field_missing", "bad_request"):
            raise
        refusal = error.refusal
    page = call(transfers.list_work, transfers.ListWork(state=state, reason=reason, after=request.values.get("after", ""), limit=100))
    assigning = any(item.state == "pending_assign" for item in page.items)
    found, people, (children,) = names(parties(page.items), [item.member_id for item in page.items],
                                       (orgs.list_children, orgs.ListChildren(org_id=session.get("org", 0), limit=500)) if assigning else None)
    return render("work.html", refusal.kind.status if refusal else 200, page=page, orgs=found, people=people, branches=[org for org in children or () if org.kind == "branch"],
                  done=done, named={item.transfer_id: people[item.member_id].name for item in page.items if item.member_id in people}, state=state, reason=reason, concerns=CONCERNS, refusal=refusal, form=form, ticked=set(form.getlist("item")),
                  tick_all=request.values.get("tick") == "1", rejections=rejections_for({item.reason for item in page.items if item.state != "pending_assign"}))


def _done_words(do: str, count: int) -> str:
    """Return what was done to how many, as the next page says it."""
    return {"assign": t(f"已分配 {count} 项,团员正在转入。", f"{count} assigned; the members are moving."),
            "approve": t(f"已同意 {count} 项。", f"{count} approved."), "reject": t(f"已驳回 {count} 项,团员会看到理由。", f"{count} rejected; the members see why.")}.get(do, "")


def _decide(form: Any) -> list[Any]:
    chosen = fields.pairs(form.getlist("item"))
    if form.get("do") not in ("approve", "reject", "assign"):
        raise Refused("bad_request", detail=t("请用页面下方的按钮办理", "use the buttons below the list"))
    if not chosen:
        raise Refused("field_missing", field=t("要办理的事项(先勾选)", "the items: tick them first"))
    if form.get("do") == "assign":
        branch = chosen_branch(form)
        return list(call(transfers.assign_branches, [transfers.AssignBranch(
            decision_id=uuid.uuid4(), transfer_id=transfer_id, branch_id=branch) for transfer_id, _ in chosen]))
    return list(call(transfers.decide_nodes, [transfers.DecideNode(
        decision_id=uuid.uuid4(), transfer_id=transfer_id, node_no=node_no, approve=form.get("do") == "approve",
        reason_code="" if form.get("do") == "approve" else form.get("reason_code", ""), note=form.get("note", "")) for transfer_id, node_no in chosen]))


def chosen_branch(form: Any) -> int:
    branch = fields.number(form.get("branch"))
    if not branch:
        raise Refused("field_missing", field=t("团支部", "branch"))
    return branch


def _bulk_confirm(state: str, reason: str) -> Any:
    """Show what a bulk decision would do, with its number, to be confirmed once; or, confirmed, start it (BEY-05)."""
    form = request.form
    state = form.get("state", state)
    if not state:
        raise Refused("bad_request", detail=t("请先选择一个环节", "choose one kind of node first"))
    wanted = transfers.Filter(state=state, reason=form.get("reason", reason), unquestioned=form.get("unquestioned") == "1")
    approve, branch = form.get("do") != "reject", fields.number_or_none(form.get("branch")) if form.get("do") == "assign" else None
    if form.get("confirmed"):
        bulk_id = fields.key(form, "bulk_id")
        first(call(transfers.start_bulks, [transfers.StartBulk(
            bulk_id=bulk_id, filter=wanted, expected=fields.number(form.get("expected")), approve=approve, reason_code="" if approve else form.get("reason_code", ""), note=form.get("note", ""),
            branch_id=branch)]))
        return redirect(f"/bulk/{bulk_id}")
    found = call(transfers.count_matching, transfers.CountMatching(filter=wanted))
    return render("bulk_confirm.html", rejections=rejections_for([wanted.reason] if wanted.reason else []), count=found.count, form=form, wanted=wanted, bulk_id=uuid.uuid4(), branch=branch)


@blueprint.get("/bulk")
@blueprint.get("/bulk/<uuid:bulk_id>")
def bulk(bulk_id: uuid.UUID | None = None) -> Any:
    """How far bulk decisions are; the page asks again by itself while one runs (BEY-05)."""
    jobs = call(transfers.get_bulk, transfers.GetBulk(bulk_id=bulk_id))
    return render("bulk_part.html" if request.headers.get("HX-Request") else "bulk.html", jobs=jobs, running=any(job.waiting for job in jobs), bulk_id=bulk_id)


@blueprint.post("/bulk/stop")
def stop_bulk() -> Any:
    """Stop a bulk decision: what waits stays as it is."""
    bulk_id = fields.key(request.form, "bulk_id")
    first(call(transfers.stop_bulks, [transfers.StopBulk(bulk_id=bulk_id)]))
    return redirect(f"/bulk/{bulk_id}")


@blueprint.get("/list")
def listed() -> Any:
    """Transfers out of or into the acting organisation (TRF-29, TRF-32)."""
    side, only_open = request.args.get("side", "source"), request.args.get("open") == "1"
    items = call(transfers.list_started, transfers.ListStarted(side=side, open_only=only_open, after=fields.number(request.args.get("after")), limit=100))
    found, people, _ = names(parties(items), [item.member_id for item in items])
    return render("list.html", items=items, orgs=found, people=people, side=side, only_open=only_open)


# ---- one transfer ----------------------------------------------------------------------------------------------------

_ACTS: dict[str, tuple[Any, Callable[[int, Any], Any]]] = {
    "urge": (transfers.urge_transfers, lambda transfer_id, form: transfers.UrgeTransfer(decision_id=uuid.uuid4(), transfer_id=transfer_id)),
    "restart": (transfers.restart_transfers, lambda transfer_id, form: transfers.RestartTransfer(command_id=fields.key(form), transfer_id=transfer_id)),
    "escalate": (transfers.escalate_transfers, lambda transfer_id, form: transfers.Escalate(decision_id=uuid.uuid4(), transfer_id=transfer_id, note=form.get("note", ""))),
    "look": (transfers.look_at_nodes, lambda transfer_id, form: transfers.LookAt(transfer_id=transfer_id)),
    "decide": (transfers.decide_nodes, lambda transfer_id, form: transfers.DecideNode(
        decision_id=uuid.uuid4(), transfer_id=transfer_id, node_no=fields.number(form.get("node_no")), approve=form.get("do") == "approve",
        reason_code="" if form.get("do") == "approve" else form.get("reason_code", ""), note=form.get("note", ""))),
    "assign": (transfers.assign_branches, lambda transfer_id, form: transfers.AssignBranch(decision_id=uuid.uuid4(), transfer_id=transfer_id, branch_id=chosen_branch(form)))}


@blueprint.post("/transfers/<int:transfer_id>/<any(urge, restart, escalate, look, decide, assign):act>")
def act_on(transfer_id: int, act: str) -> Any:
    """Decide, assign, remind, look at, start again or escalate one transfer, and come back to it (BEY-04, BEY-06, BEY-21, BEY-23)."""
    contract, make = _ACTS[act]
    try:
        outcome = first(call(contract, [make(transfer_id, request.form)]))
    except Refused as error:
        if error.refusal.kind.status in (401, 403, 404, 503) or error.code == "bad_request":
            raise
        say(error.refusal.say(t("zh", "en")), "error")
        return redirect(f"/transfers/{transfer_id}")
    if act == "decide":
        act = request.form.get("do", "")
    say(word({
        "approve": ("已同意,转入下一环节。", "Approved; the next node has it."), "reject": ("已驳回,团员会看到理由和联系电话。", "Rejected; the member sees why, and whom to call."),
        "assign": ("已分配,团员正在转入。", "Assigned; the member is moving."), "urge": ("已催办,对方会收到消息。", "Reminded; the office is told."),
        "restart": ("已重新发起。", "Started again."), "escalate": ("已提交,由双方的共同上级协调。", "Sent to the common superior."),
        "look": ("10分钟内其他管理员会看到您正在查看。", "Others see for ten minutes that you are looking.")}.get(act, ("已办理。", "Done."))))
    return redirect(f"/transfers/{outcome.transfer_id if act == 'restart' else transfer_id}")


# ---- starting --------------------------------------------------------------------------------------------------------

@blueprint.route("/start", methods=["GET", "POST"])
def start() -> Any:
    """Start the own transfer (TRF-09) in three steps: what comes next, where to, check and send; the adviser proposes and cites the rule (BEY-01)."""
    form: Any = request.values
    step = {"plan": 1, "fields": 2, "check": 3}.get((form.getlist("step") or [""])[-1], 1)
    profile = call(members.who_am_i, members.WhoAmI())
    if profile.member.branch_id is None and (step > 1 or request.method == "POST"):
        raise Refused("branch_unknown")  # who is in no branch leaves none
    if request.method == "POST" and form.get("confirm"):
        outcome = call(transfers.request_transfers, [transfers.RequestTransfer(
            command_id=fields.key(form), initiator="member", member_id=session.get("person", 0), source_branch_id=profile.member.branch_id,
            **transfer_fields(form))])[0]
        if outcome.refusal is None:
            say(t("申请已提交,先由转出组织审批。进度和联系电话在本页,有进展会收到消息。", "Sent; the source decides first. Progress and telephone numbers stand here."))
            return redirect("/")
        return _start_page(2, profile, form, outcome.refusal, outcome.open)
    if fields.number(form.get("again")):
        form, step = _as_it_was(fields.number(form.get("again"))), 2
    if step > 1 and profile.member.graduate and form.get("plan", "") not in PLANS and not form.get("reason"):
        step = 1
    blank = missing(form) if step == 3 else {}
    return _start_page(2 if blank else step, profile, form, None, blank=blank)


def _as_it_was(transfer_id: int) -> dict[str, str]:
    """Return what stood in an own transfer, to be corrected and sent again (TRF-25)."""
    item = next((one for one in call(transfers.my_transfers, transfers.MyTransfers()) if one.transfer_id == transfer_id), None)
    return {} if item is None else {"reason": item.reason, "target": f"{item.target_org_id}", "place_name": item.place_name, "place_address": item.place_address,
                                    "place_division": item.place_division, "contact": item.contact, "remark": item.remark, "plan": "", "drop_out": "1" if item.reason_kind == "drop_out" else ""}


def missing(form: Any) -> dict[str, tuple[str, str]]:
    """Return all fields that are blank and needed for the reason, by name with what they are called; the service checks everything once more (TYPE-04..16)."""
    reason = form.get("reason", "")
    blank = {name: words for name, words in NEEDED.get(reason, {}).items() if not form.get(name, "").strip()}
    if reason != "special_unit" and not fields.number(form.get("target")):
        blank["target"] = ("申请转入组织(请选择)", "the target")
    return blank


def _start_page(step: int, profile: Any, form: Any, refusal: Refusal | None, in_the_way: Any = None, blank: Any = None) -> Any:
    advice, found, target = None, [], None
    plan = form.get("plan", "")
    if step > 1:
        advice, found, chosen = calls(
            (transfers.advise, transfers.Advise(plan=plan, source_branch_id=profile.member.branch_id, employer_has_org=form.get("employer_has_org") == "1",
                                                division_code=form.get("division_code", "").strip())) if plan in PLANS else None,
            (orgs.search_orgs, orgs.SearchOrgs(text=form.get("text", ""), targets_only=True, limit=10)) if step == 2 and len(form.get("text", "").strip()) >= 2 else None,
            (orgs.get_orgs, orgs.GetOrgs(org_ids=[fields.number(form.get("target"))])) if fields.number(form.get("target")) else None)
        target = chosen[0] if chosen else None
    waits, _, _ = names([in_the_way.waiting_org_id, in_the_way.initiator_org_id]) if in_the_way is not None else ({}, {}, [])
    return render("start.html", refusal.kind.status if refusal else 422 if blank else 200, blank=blank or {}, orgs=waits, needed=NEEDED, step=step, profile=profile, form=form, refusal=refusal, advice=advice, found=found or [], target=target,
                  plans=PLANS, command_id=form.get("command_id") or uuid.uuid4(), in_the_way=in_the_way, asked=len(form.get("text", "").strip()) >= 2,
                  offered={code: words for code, words in REASONS.items()
                           if fits(code, profile.member.graduate or form.get("drop_out") == "1")})


@blueprint.get("/targets")
def targets() -> Any:
    """Organisations that a name may mean, as one types; a part of a page (SRCH-08)."""
    return render("targets.html", found=search_targets(request.args.get("text", "")), form=request.args, asked=True)


@blueprint.route("/batch", methods=["GET", "POST"])
def batch() -> Any:
    """Batch move (组织关系批量转接): branch, members, branch, reason (BATCH-03); at once and without approval (BATCH-02)."""
    form, acting = request.values, session.get("org") or 0
    source = fields.number(form.get("source"))
    chosen = fields.numbers(form.getlist("member"))
    answer = None
    if request.method == "POST" and form.get("confirm"):
        (answer,) = call(transfers.move_batches, [transfers.MoveBatch(
            command_id=fields.key(form), source_branch_id=source, member_ids=chosen, target_branch_id=fields.number(form.get("to")),
            reason=form.get("reason", "ordinary"), place_name=form.get("place_name", ""), place_address=form.get("place_address", ""), remark=form.get("remark", ""),
            place_division=form.get("place_division", "").strip(), skip=form.get("skip") == "1")])
        if answer.refusal is None:
            return redirect(f"/batch/{answer.batch_id}")
    children, listed_members = calls((orgs.list_children, orgs.ListChildren(org_id=acting, limit=500)),
                                     (members.list_members, members.ListMembers(branch_id=source, limit=500)) if source else None)
    return render("batch.html", answer.refusal.kind.status if answer else 200, branches=[org for org in children if org.kind == "branch"], items=listed_members or [], form=form,
                  source=source, chosen=chosen, answer=answer, command_id=uuid.uuid4(), people={one.member_id: one for one in listed_members or ()})


@blueprint.get("/batch/<uuid:batch_id>")
def batch_done(batch_id: uuid.UUID) -> Any:
    """How the members of a batch move have fared."""
    items = call(transfers.get_batch, transfers.GetBatch(batch_id=batch_id))
    found, people, _ = names(parties(items), [item.member_id for item in items])
    return render("batch_done.html", items=items, orgs=found, people=people, under_way=any(item.state in ("checking", "moving") for item in items))
