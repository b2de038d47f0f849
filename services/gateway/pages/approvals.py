"""Pages of those who decide: approvals and decisions on many transfers at once."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from flask import redirect, request, session

from services.gateway.pages import fields, kit
from services.gateway.pages.kit import blueprint, call, first, names, parties, render, say
from services.gateway.pages.language import gettext as _
from shared.errors import Refusal, Refused
from shared.messages import transfers
from shared.messages.words import rejections_for

# ---- approvals -------------------------------------------------------------------------------------


@blueprint.route("/work", methods=["GET", "POST"])
def work() -> Any:
    """Approvals (组织关系转接审批): filter, approve, reject or assign (TRF-31, BEY-05).

    That is done to the ticked ones, or to everything that matches.
    """
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
    return _work_page(state, reason, refusal, done)


def _work_page(state: str, reason: str, refusal: Refusal | None, done: list[Any]) -> Any:
    """Show a page of the list, with what was refused of the things just `done`."""
    page = call(
        transfers.list_work,
        transfers.ListWork(state=state, reason=reason, after=request.values.get("after", ""), limit=100),
    )
    children = None
    if any(item.state == "pending_assign" for item in page.items):
        children = kit.children_of(session.get("org", 0))
    found, people, (branches,) = names(parties(page.items), [item.member_id for item in page.items], children)
    known = [item for item in page.items if item.member_id in people]
    return render(
        "approvals/work.html",
        refusal.kind.status if refusal else 200,
        page=page,
        orgs=found,
        people=people,
        branches=[org for org in branches or () if org.kind == "branch"],
        done=done,
        named={item.transfer_id: people[item.member_id].name for item in known},
        state=state,
        reason=reason,
        refusal=refusal,
        form=request.form,
        ticked=set(request.form.getlist("item")),
        tick_all=request.values.get("tick") == "1",
        rejections=rejections_for({item.reason for item in page.items if item.state != "pending_assign"}),
    )


def _done_words(do: str, count: int) -> str:
    """Return what was done to how many, as the next page says it."""
    return {
        "assign": _("已分配 %(count)s 项,团员正在转入。", count=count),
        "approve": _("已同意 %(count)s 项。", count=count),
        "reject": _("已驳回 %(count)s 项,团员会看到理由。", count=count),
    }.get(do, "")


def _decide(form: Any) -> list[Any]:
    chosen = fields.pairs(form.getlist("item"))
    if form.get("do") not in ("approve", "reject", "assign"):
        raise Refused("bad_request", detail=_("请用页面下方的按钮办理"))
    if not chosen:
        raise Refused("field_missing", field=_("要办理的事项(先勾选)"))
    if form.get("do") == "assign":
        branch = chosen_branch(form)
        assigned = [
            transfers.AssignBranch(decision_id=uuid.uuid4(), transfer_id=transfer_id, branch_id=branch)
            for transfer_id, _node in chosen
        ]
        return list(call(transfers.assign_branches, assigned))
    verdict = _verdict(form)
    decisions = [
        transfers.DecideNode(decision_id=uuid.uuid4(), transfer_id=transfer_id, node_no=node_no, **verdict)
        for transfer_id, node_no in chosen
    ]
    return list(call(transfers.decide_nodes, decisions))


def _verdict(form: Any) -> dict[str, Any]:
    """Return what a form decides; the field of reasons is there for both buttons, an approval has none."""
    approve = form.get("do") != "reject"
    return {
        "approve": approve,
        "reason_code": "" if approve else form.get("reason_code", ""),
        "note": form.get("note", ""),
    }


def chosen_branch(form: Any) -> int:
    """Return the branch that a form assigns to; without one say that it is missing."""
    branch = fields.number(form.get("branch"))
    if not branch:
        raise Refused("field_missing", field=_("团支部"))
    return branch


def _bulk_confirm(state: str, reason: str) -> Any:
    """Show what a bulk decision would do, with its number; confirmed once, start it (BEY-05)."""
    form = request.form
    state = form.get("state", state)
    if not state:
        raise Refused("bad_request", detail=_("请先选择一个环节"))
    wanted = transfers.Filter(
        state=state, reason=form.get("reason", reason), unquestioned=form.get("unquestioned") == "1"
    )
    branch = fields.number_or_none(form.get("branch")) if form.get("do") == "assign" else None
    if form.get("confirmed"):
        return redirect(f"/bulk/{_start_bulk(form, wanted, branch)}")
    found = call(transfers.count_matching, transfers.CountMatching(filter=wanted))
    return render(
        "approvals/bulk_confirm.html",
        rejections=rejections_for([wanted.reason] if wanted.reason else []),
        count=found.count,
        form=form,
        wanted=wanted,
        bulk_id=uuid.uuid4(),
        branch=branch,
    )


def _start_bulk(form: Any, wanted: transfers.Filter, branch: int | None) -> uuid.UUID:
    bulk_id = fields.key(form, "bulk_id")
    start = transfers.StartBulk(
        bulk_id=bulk_id,
        filter=wanted,
        expected=fields.number(form.get("expected")),
        branch_id=branch,
        **_verdict(form),
    )
    first(call(transfers.start_bulks, [start]))
    return bulk_id


@blueprint.get("/bulk")
@blueprint.get("/bulk/<uuid:bulk_id>")
def bulk(bulk_id: uuid.UUID | None = None) -> Any:
    """How far bulk decisions are; the page asks again by itself while one runs (BEY-05)."""
    jobs = call(transfers.get_bulk, transfers.GetBulk(bulk_id=bulk_id))
    return render(
        "approvals/bulk_part.html" if request.headers.get("HX-Request") else "approvals/bulk.html",
        jobs=jobs,
        running=any(job.waiting for job in jobs),
        bulk_id=bulk_id,
    )


@blueprint.post("/bulk/stop")
def stop_bulk() -> Any:
    """Stop a bulk decision: what waits stays as it is."""
    bulk_id = fields.key(request.form, "bulk_id")
    first(call(transfers.stop_bulks, [transfers.StopBulk(bulk_id=bulk_id)]))
    return redirect(f"/bulk/{bulk_id}")
