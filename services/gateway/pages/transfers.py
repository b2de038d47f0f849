"""Transfers: one transfer, what offices start, batch moves, the list (TRF, BATCH)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from flask import redirect, request, session

from services.gateway import kit
from services.gateway.files import sheet
from services.gateway.kit import blueprint, call, calls, first, names, parties, render, say, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.pages import approvals, course, picking, queue, started, starting
from shared.errors import Refused
from shared.messages import members, orgs, transfers
from shared.messages.limits import Opaque, OrgId, PersonId, PersonName
from shared.messages.words import DestinationClass, Reason, TransferState, rejections_for
from shared.translations import N_


@kit.blueprint.get("/transfers/<int:transfer_id>")
def transfer(transfer_id: int) -> Any:
    """One transfer for its parties (TRF-22); of the queue of approvals also the part beside its list."""
    if request.headers.get("HX-Target") == "drawer":
        return _show(transfer_id, queue.read(request.args), "transfers/drawer.html")
    asked = queue.read(request.args) if request.args.get("queue") else None
    return _show(transfer_id, asked, "transfers/transfer.html")


def _show(transfer_id: int, asked: queue.Asked | None, template: str) -> Any:
    """Show a transfer; `asked` is what the queue is asked for that it is a part of, None for none."""
    progress = kit.call(transfers.get_transfer, transfers.GetTransfer(transfer_id=transfer_id))
    item, acting = progress.transfer, session.get("org")
    assigning = item.state == "pending_assign" and item.waiting_org_id == acting
    # Whose administrators are named, each organisation once.
    offices = dict.fromkeys((item.source_branch_id, item.waiting_org_id, item.target_org_id))
    found, people, (children, administrators) = kit.names(
        [*kit.parties([item]), *(one.org_id for one in (*progress.path, *progress.steps))],
        [item.member_id, *(step.person_id for step in progress.steps)],
        kit.children_of(acting or 0) if assigning else None,
        (orgs.list_administrators, orgs.ListAdministrators(org_ids=[one for one in offices if one])),
    )
    person = people.get(item.member_id)
    mine = item.member_id == session.get("person")
    there = course.system_of(item)
    return kit.render(
        template,
        progress=progress,
        orgs=found,
        people=people,
        person=person,
        mine=mine,
        may_decide=_may_decide(item, acting),
        is_there=course.is_there(item),
        branches=[org for org in children or () if org.kind == "branch"],
        concern=DestinationClass.known(item.concern),
        steps=course.steps(progress, found, people),
        trail=[(step, course.by_whom(step, found, people, there=there)) for step in progress.steps],
        plain=course.now_there(progress, mine),
        staff=kit.staff(administrators),
        rejections=rejections_for([item.reason]),
        asked=asked,
        cursor=approvals.cursor_of(asked, item, person.name if person else "") if asked is not None else "",
        checks=[word(one) for one in item.checks] if item.waiting_org_id and not mine else [],
    )


def _may_decide(item: Any, acting: int | None) -> bool:
    """Return whether the buttons of a decision are shown; transfers has the last word."""
    return item.state in ("pending_out", "pending_in", "pending_province") and acting in (
        item.waiting_org_id,
        item.waiting_superior_id,
    )


@kit.blueprint.post("/transfers/<int:transfer_id>/withdraw")
def withdraw(transfer_id: int) -> Any:
    """Withdraw (撤销申请, TRF-28)."""
    kit.first(
        kit.call(
            transfers.withdraw_transfers,
            [transfers.WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=transfer_id)],
        )
    )
    kit.say(_("已撤销。可以重新发起转接。"))
    back = request.form.get("back", "/")
    return redirect(back if back in ("/", f"/transfers/{transfer_id}") else "/")


@kit.blueprint.route("/out", methods=["GET", "POST"])
def out() -> Any:
    """Transfer out (办理转出, TRF-07, TRF-08): members of a branch, one target, one reason, in one list."""
    form = picking.settled(request.values, "place_division")
    said = forms.value(starting.Chosen, form)
    branch = said.branch or session.get("org") or 0
    here, listed = kit.calls((orgs.get_orgs, orgs.GetOrgs(org_ids=[branch])), kit.members_of(branch))
    if here and here[0].kind != "branch":
        return _choose_branch(here[0])
    chosen = said.member
    if not chosen and said.all:
        chosen = [one.member_id for one in listed if not one.transfer_id]
    outcomes: list[Any] = []
    errors: dict[str, str] = {}
    asked = starting.settle_reason(form, list(Reason))
    if request.method == "POST" and form.get("confirm"):
        starting.name_school(form, said.target)
        errors = starting.wrong(form) if chosen else {"member": _("请勾选团员"), **starting.wrong(form)}
        if not errors:
            read = starting.request_of(
                form, initiator="source", member_id=chosen[0], source_branch_id=branch, ticket=""
            )
            errors = read.errors
            outcomes = _send_out(read.value, chosen) if read.value is not None else []
    names = {one.member_id: one.name for one in listed}
    done = list(zip(chosen, outcomes, strict=False))
    for outcome in outcomes:
        if outcome.refusal is not None:
            errors |= starting.refused(form, outcome.refusal)
    return kit.render(
        "transfers/out.html",
        422 if errors and not any(one.refusal is None for one in outcomes) else 200,
        listed=sorted(listed, key=lambda one: bool(one.transfer_id)),
        refusals=_refused_names(done, names),
        form=form,
        errors=errors,
        branch=branch,
        chosen=chosen,
        outcomes=done,
        names=names,
        asked=asked,
        offered=list(Reason),
        picker=picking.org_picker(form, targets_only=True, asks=True),
        places=picking.place_picker(form, "place_division"),
        command_id=uuid.uuid4(),
    )


def _choose_branch(org: Any) -> Any:
    """Ask which of the branches right below an organisation is meant."""
    children = kit.call(*kit.children_of(org.org_id))
    below = [one for one in children if one.kind == "branch"]
    return kit.render("transfers/out_choose.html", org=org, below=below)


def _send_out(wanted: transfers.RequestTransfer, chosen: list[int]) -> list[Any]:
    """Start a transfer of each chosen member to the one target; return the answers."""
    requests = [
        # One id of the form makes the same ids of its items when it is sent again.
        msgspec.structs.replace(wanted, command_id=uuid.uuid5(wanted.command_id, str(one)), member_id=one)
        for one in chosen
    ]
    return list(kit.call(transfers.request_transfers, requests))


def _refused_names(done: list[tuple[int, Any]], names: dict[int, str]) -> dict[str, list[Any]]:
    """Return by the words of a refusal who was refused so."""
    found: dict[str, list[Any]] = {}
    for member, outcome in done:
        if outcome.refusal is not None:
            found.setdefault(outcome.refusal.say(language()), []).append(names.get(member, member))
    return found


@kit.blueprint.route("/in", methods=["GET", "POST"])
def transfer_in() -> Any:
    """Transfer in (办理转入, TRF-05): exact name and ID number, then reason and fields."""
    form = picking.settled(request.form, "place_division")
    found: Found | None = None
    refusal, in_the_way, errors = None, None, dict[str, str]()
    offered = [one for one in Reason if not one.special]  # that is started from the other side (SPU-04)
    asked = starting.settle_reason(form, offered)
    try:
        if form.get("member_id"):
            found = forms.value(Found, form)
        elif request.method == "POST":
            asked_for = forms.read(members.LookUp, form)
            errors = asked_for.errors
            found = _find_person(asked_for.value) if asked_for.value is not None else None
        if found and form.get("confirm"):
            starting.name_school(form, session.get("org") or 0)
            errors = starting.missing(form, target=False)
            read = starting.request_of(
                form,
                initiator="target",
                member_id=found.member_id,
                source_branch_id=found.branch_id,
                target_org_id=session.get("org"),
                ticket=found.ticket,
            )
            errors = {**read.errors, **errors}
            if read.value is not None and not errors:
                outcome = kit.call(transfers.request_transfers, [read.value])[0]
                in_the_way = outcome.open
                kit.first([outcome])
                kit.say(_("已发起转入,等待转出组织审批。"))
                return redirect("/list?side=target")
    except Refused as error:
        if error.code in ("token_expired", "token_invalid", "password_change_needed"):
            raise
        refusal = error.refusal
        errors = starting.refused(form, refusal) if found else {}
    branch_id = found.branch_id if found else 0
    branch, contacts_ = kit.office(branch_id, in_the_way)
    status = 422 if errors else 200
    return kit.render(
        "transfers/in.html",
        refusal.kind.status if refusal else status,
        found=found,
        asked=asked,
        offered=offered,
        places=picking.place_picker(form, "place_division") if found else None,
        branch=branch.get(branch_id),
        contacts=contacts_.get(branch_id, []),
        form=form,
        errors=errors,
        refusal=None if errors else refusal,
        in_the_way=in_the_way,
        orgs=branch,
        command_id=form.get("command_id") or uuid.uuid4(),
    )


class Found(msgspec.Struct):
    """Who was found by name and number, with the ticket to ask for them."""

    member_id: PersonId
    branch_id: OrgId
    ticket: Opaque = ""
    name: PersonName = ""


def _find_person(asked: members.LookUp) -> Found:
    """Return who bears exactly this name and number, with the ticket to ask for them."""
    person = kit.call(members.look_up, asked)
    return Found(**{name: getattr(person, name) for name in Found.__struct_fields__})


@blueprint.get("/list")
def listed() -> Any:
    """Transfers out of or into the acting organisation: filter, sort, search, export (TRF-29, TRF-32)."""
    asked = started.read(request.args)
    if asked.name.isdigit():  # the number of a transfer
        return redirect(f"/transfers/{asked.name}")
    items, more = started.page(asked)
    found, people, _more = names(parties(items), [item.member_id for item in items])
    return render(
        "transfers/list.html",
        asked=asked,
        called=queue.called,
        items=items,
        orgs=found,
        people=people,
        following=asked.path(after=items[-1].transfer_id) if more and items else "",
        reasons=[(str(one), word(one)) for one in Reason],
        states=[(str(one), word(one)) for one in TransferState],
    )


@blueprint.get("/download/list")
def export_list() -> Any:
    """Take the list along as a spreadsheet, all pages; that it was taken is noted (BEY-10)."""
    asked = started.read(request.args)
    note = members.NoteExport(what="/list")
    return sheet.answer(started.lines(asked), "transfers", lambda: call(members.note_export, note))


_ACTS: dict[str, tuple[Any, Callable[[int, Any], Any]]] = {
    "urge": (
        transfers.urge_transfers,
        lambda transfer_id, form: transfers.UrgeTransfer(decision_id=uuid.uuid4(), transfer_id=transfer_id),
    ),
    "restart": (
        transfers.restart_transfers,
        lambda transfer_id, form: forms.value(transfers.RestartTransfer, form, transfer_id=transfer_id),
    ),
    "escalate": (
        transfers.escalate_transfers,
        lambda transfer_id, form: forms.value(
            transfers.Escalate, form, decision_id=uuid.uuid4(), transfer_id=transfer_id
        ),
    ),
    "look": (transfers.look_at_nodes, lambda transfer_id, form: transfers.LookAt(transfer_id=transfer_id)),
    "decide": (
        transfers.decide_nodes,
        lambda transfer_id, form: forms.value(
            transfers.DecideNode,
            form,
            decision_id=uuid.uuid4(),
            transfer_id=transfer_id,
            approve=form.get("do") == "approve",
            **({"reason_code": ""} if form.get("do") == "approve" else {}),
        ),
    ),
    "assign": (
        transfers.assign_branches,
        lambda transfer_id, form: transfers.AssignBranch(
            decision_id=uuid.uuid4(), transfer_id=transfer_id, branch_id=approvals.chosen_branch(form)
        ),
    ),
}


@blueprint.post("/transfers/<int:transfer_id>/<any(urge, restart, escalate, look, decide, assign):act>")
def act_on(transfer_id: int, act: str) -> Any:
    """Do something about one transfer, and come back to it (BEY-04, BEY-06, BEY-21, BEY-23).

    Decide, assign, remind, look at, start again or escalate.
    """
    contract, make = _ACTS[act]
    try:
        outcome = first(call(contract, [make(transfer_id, request.form)]))
    except Refused as error:
        if error.refusal.kind.status in (401, 403, 404, 503) or error.code == "bad_request":
            raise
        say(error.refusal.say(language()), "error")
        return _after(transfer_id, transfer_id)
    said = request.form.get("do", "") if act == "decide" else act
    say(word(_ACT_SAID.get(said, N_("已办理。"))))
    if act == "decide" and said == "reject":
        approvals.remember(request.form.get("note", ""))
    if act in ("decide", "assign") and request.form.get("queue"):
        asked = queue.read(request.form)
        return _after(transfer_id, approvals.following(asked, request.form.get("cursor", ""), transfer_id))
    return redirect(f"/transfers/{outcome.transfer_id if act == 'restart' else transfer_id}")


def _after(done: int, shown: int | None) -> Any:
    """Show a transfer after something was done about one; of the queue what comes next there, if anything."""
    form = request.form
    if not form.get("queue"):
        return redirect(f"/transfers/{shown}")
    asked = queue.read(form)
    if request.headers.get("HX-Target") != "drawer":
        return redirect(
            asked.path()
            if shown is None
            else f"/transfers/{shown}?{asked.query(queue='1', after=asked.after)}"
        )
    answer = (
        kit.render("transfers/drawer_empty.html", asked=asked)
        if shown is None
        else _show(shown, asked, "transfers/drawer.html")
    )
    if shown != done:
        answer.headers["HX-Trigger"] = json.dumps({"decided": {"id": done, "next": shown}})
    return answer


_ACT_SAID = {
    "approve": N_("已同意,转入下一环节。"),
    "reject": N_("已驳回,团员会看到理由和联系电话。"),
    "assign": N_("已分配,团员正在转入。"),
    "urge": N_("已催办,对方会收到消息。"),
    "restart": N_("已重新发起。"),
    "escalate": N_("已提交,由双方的共同上级协调。"),
    "look": N_("10分钟内其他管理员会看到您正在查看。"),
}
"""What the page of a transfer says after each of its buttons."""


@blueprint.route("/batch", methods=["GET", "POST"])
def batch() -> Any:
    """Batch move (组织关系批量转接): branch, members, branch, reason (BATCH-03).

    It is done at once and without approval (BATCH-02).
    """
    form, answer = picking.settled(request.values, "place_division"), None
    said = forms.value(starting.Chosen, form)
    source, chosen = said.source, said.member
    errors: dict[str, str] = {}
    offered = [one for one in Reason if not one.special]
    asked = starting.settle_reason(form, offered, Reason("ordinary"))
    if request.method == "POST" and form.get("confirm"):
        starting.name_school(form, said.to)
        errors = starting.missing(form, target=False)
        if not chosen:
            errors = {"member": _("请勾选团员"), **errors}
        read = forms.read(
            transfers.MoveBatch,
            form,
            {"source_branch_id": "source", "member_ids": "member", "target_branch_id": "to"},
        )
        errors = {**read.errors, **errors}
        if read.value is not None and not errors:
            answer = call(transfers.move_batches, [read.value])[0]
            if answer.refusal is None:
                return redirect(f"/batch/{answer.batch_id}")
            errors = starting.refused(form, answer.refusal)
    children, listed_members = calls(
        kit.children_of(session.get("org") or 0), kit.members_of(source) if source else None
    )
    return render(
        "transfers/batch.html",
        answer.refusal.kind.status if answer else 422 if errors else 200,
        branches=[org for org in children if org.kind == "branch"],
        errors=errors,
        asked=asked,
        offered=offered,
        items=listed_members or [],
        form=form,
        source=source,
        chosen=chosen,
        answer=answer,
        place=picking.place_picker(form, "place_division") if source else None,
        command_id=uuid.uuid4(),
        people={one.member_id: one for one in listed_members or ()},
    )


@blueprint.get("/batch/<uuid:batch_id>")
def batch_done(batch_id: uuid.UUID) -> Any:
    """How the members of a batch move have fared."""
    items = call(transfers.get_batch, transfers.GetBatch(batch_id=batch_id))
    found, people, _more = names(parties(items), [item.member_id for item in items])
    return render(
        "transfers/batch_done.html",
        items=items,
        orgs=found,
        people=people,
        under_way=any(item.state in ("checking", "moving") for item in items),
    )
