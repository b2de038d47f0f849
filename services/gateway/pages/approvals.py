"""Pages of those who decide: the queue of approvals, decisions on many at once, assignment by a rule."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from flask import Response, redirect, request, session
from msgspec import Meta

from services.gateway import kit
from services.gateway.files import sheet
from services.gateway.kit import blueprint, call, calls, first, names, parties, render, say, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.pages import queue
from services.gateway.pages.queue import Asked
from shared import clock
from shared.errors import Refusal, Refused
from shared.messages import MAX_ITEMS, members, transfers
from shared.messages.limits import (
    Note,
    Number,
    OrgId,
    OrgIds,
    RejectionCode,
    SmallNumber,
    TransferId,
    TransferIds,
)
from shared.messages.words import AssignRule, TransferState, Unplaced, WorkOrder, rejections_for

DECISIONS = ("approve", "reject", "assign")
NO_DEADLINE = datetime(9999, 1, 1, tzinfo=UTC)
"""Where what has no deadline stands in a list by deadlines."""
SHOWN_PROBLEMS = 5
"""Refused rows of each bulk decision in the list of all."""
EXPORT_MOST = 10_000
"""Rows of a spreadsheet."""

# ---- the queue -------------------------------------------------------------------------------------


@blueprint.route("/work", methods=["GET", "POST"])
def work() -> Any:
    """Approvals (组织关系转接审批): one kind of node at a time, narrowed, sorted, decided (TRF-31, BEY-05).

    Decided are the ticked ones, or everything that matches; of more than one the count and the exceptions
    are shown before.
    """
    asked, refusal = queue.read(request.values), None
    if request.method == "POST":
        try:
            return _act(asked, _decision(request.form))
        except Refused as error:
            if error.code not in ("field_missing", "bad_request", "nothing_matches"):
                raise
            refusal = error.refusal
            if request.headers.get("HX-Request"):
                return kit.part("approvals/_queue.html", "refused", refusal)
    return _work_page(asked, refusal)


def _work_page(asked: Asked, refusal: Refusal | None = None) -> Any:
    """Show a page of the queue; without a kind of node that of which most waits."""
    habits, counts, page = calls(
        (transfers.list_habits, transfers.ListHabits()),
        (transfers.count_work, transfers.CountWork(filter=asked.filter())),
        (transfers.list_work, _wanted(asked, queue.PAGE)) if asked.state else None,
    )
    if page is None:
        waiting = [one for one in queue.NODES if counts.states.get(one)] or [TransferState.IN]
        asked = msgspec.structs.replace(asked, state=max(waiting, key=lambda one: counts.states.get(one, 0)))
        counts, page = calls(
            (transfers.count_work, transfers.CountWork(filter=asked.filter())),
            (transfers.list_work, _wanted(asked, queue.PAGE)),
        )
    assigning = asked.state == TransferState.ASSIGN
    found, people, (children,) = names(
        [*parties(page.items), *counts.branches],
        [item.member_id for item in page.items],
        kit.children_of(session.get("org", 0)) if assigning else None,
    )
    now = clock.now()
    last = page.items[-1] if len(page.items) == queue.PAGE else None
    return render(
        "approvals/work.html",
        refusal.kind.status if refusal else 200,
        asked=asked,
        refusal=refusal,
        counts=counts,
        rows=[queue.row(item, found, people, now) for item in page.items],
        tabs=queue.tabs(asked, counts),
        chips=queue.chips(asked, counts),
        columns=queue.columns(),
        choices=queue.choices(counts, found),
        views=[(view, queue.of_view(view).path()) for view in habits.views],
        branches=[org for org in children or () if org.kind == "branch"],
        assigning=assigning,
        ticked=set(request.form.getlist("item")),
        following=asked.path(after=last.cursor) if last is not None else "",
        new_view=uuid.uuid4(),
    )


def _wanted(asked: Asked, limit: int, after: str | None = None) -> transfers.ListWork:
    """Return the request for a page of the list that the address means."""
    return transfers.ListWork(
        **msgspec.structs.asdict(asked.filter()),
        sort=asked.sort,
        after=asked.after if after is None else after,
        limit=limit,
    )


# ---- deciding --------------------------------------------------------------------------------------


class Decision(msgspec.Struct, rename={"everything": "all", "items": "item"}):
    """What a button of the queue says: what is done, to which of those who wait, and with what words.

    Items are transfers with the number of the node that was seen; `odd` those at which the rules found
    something, which are left out with `skip`, as those of `without` are.
    """

    do: str = ""
    items: Annotated[list[tuple[TransferId, SmallNumber]], Meta(max_length=MAX_ITEMS)] = []
    everything: bool = False
    confirmed: bool = False
    branch: OrgId | None = None
    reason_code: RejectionCode = ""
    note: Note = ""
    without: TransferIds = []
    odd: TransferIds = []
    skip: bool = False
    expected: Number = 0
    bulk_id: uuid.UUID | None = None
    back: str = ""

    def verdict(self) -> dict[str, Any]:
        """Return what is decided; the field of reasons is there for both buttons, an approval has none."""
        reason = self.reason_code if self.do == "reject" else ""
        return {"approve": self.do != "reject", "reason_code": reason, "note": self.note}


def _decision(form: Any) -> Decision:
    """Return what a form of the queue says; refuse what no button of ours says."""
    wanted = forms.value(Decision, form)
    if wanted.do not in DECISIONS:
        raise Refused("bad_request", detail=_("请用列表上方的按钮办理"))
    if not wanted.everything and not wanted.items:
        raise Refused("field_missing", field=_("要办理的事项(先勾选)"))
    if wanted.do == "assign":
        chosen_branch(form)
    else:
        wanted.branch = None
    return wanted


def _act(asked: Asked, wanted: Decision) -> Any:
    """Do what a button of the queue says, or ask before."""
    if wanted.everything and not asked.state:
        raise Refused("bad_request", detail=_("请先选择一个环节"))
    asks = wanted.do == "reject" or wanted.everything or len(wanted.items) > 1
    if asks and not wanted.confirmed:
        return _ask(asked, wanted)
    try:
        return _start_bulk(asked, wanted) if wanted.everything else _decide(asked, wanted)
    except Refused as error:
        if error.code not in ("reason_missing", "note_too_long", "letter_missing", "count_changed"):
            raise
        return _ask(asked, wanted, error.refusal)


def _ask(asked: Asked, wanted: Decision, refusal: Refusal | None = None) -> Any:
    """Show what would be done to how many, and at which of them the rules found something (BEY-05)."""
    reasons: set[str] = set()
    if wanted.everything:
        asked_for = transfers.CountMatching(filter=asked.filter())
        found, habits = calls(
            (transfers.count_matching, asked_for), (transfers.list_habits, transfers.ListHabits())
        )
        count, excepted, reasons = found.count, found.excepted, {*found.by_reason}
        odd = [(one.transfer_id, one.member_id, one.checks) for one in found.exceptions]
        people = names((), [member for _id, member, _checks in odd])[1]
    else:
        items, habits = _chosen_items(asked, wanted.items)
        people = names((), [item.member_id for item in items])[1]
        reasons = {item.reason for item in items}
        odd = [(one.transfer_id, one.member_id, one.checks) for one in items if one.checks]
        count, excepted = len(wanted.items), len(odd)
    branch, part = wanted.branch, "HX-Request" in request.headers
    place = names([branch])[0].get(branch or 0) if branch else None
    return render(
        "approvals/confirm.html",
        refusal.kind.status if refusal and not part else 200,
        "main" if part else "",
        asked=asked,
        do=wanted.do,
        form=request.form,
        items=[f"{one}-{node}" for one, node in wanted.items],
        everything=wanted.everything,
        count=count,
        odd=[
            (one, people[member].name if member in people else member, [word(check) for check in checks])
            for one, member, checks in odd
        ],
        excepted=excepted,
        refusal=refusal,
        phrases=habits.phrases,
        rejections=rejections_for(reasons),
        bulk_id=uuid.uuid4(),
        branch=branch,
        place=place,
    )


def _chosen_items(asked: Asked, chosen: Sequence[tuple[int, int]]) -> tuple[list[Any], Any]:
    """Return the ticked transfers as the list has them, and the person's phrases."""
    ids = {one for one, _node in chosen}
    page, habits = calls(
        (transfers.list_work, _wanted(asked, queue.PAGE)),
        (transfers.list_habits, transfers.ListHabits()),
    )
    items = [item for item in page.items if item.transfer_id in ids]
    if not items and len(ids) == 1:  # of a page of its own
        (only,) = ids
        items = [call(transfers.get_transfer, transfers.GetTransfer(transfer_id=only)).transfer]
    return items, habits


def _decide(asked: Asked, wanted: Decision) -> Any:
    """Decide the ticked ones, but for those left out; go back to the list and say what came of it."""
    chosen = [one for one in wanted.items if one[0] not in wanted.without]
    if not chosen:
        raise Refused("field_missing", field=_("要办理的事项(先勾选)"))
    done = _decided(wanted, chosen)
    wrong = [one.refusal for one in done if one.refusal is not None]
    if wrong and wrong[0].code in ("reason_missing", "note_too_long", "letter_missing"):
        raise Refused.of(wrong[0])
    if len(wrong) < len(done):
        say(done_words(wanted.do, len(done) - len(wrong)))
        if wanted.do == "reject":
            remember(wanted.note)
    for refusal in list(dict.fromkeys(one.say(language()) for one in wrong))[:3]:
        say(_("%(n)s 项未办理:%(why)s", n=len(wrong), why=refusal), "error")
    return _go(wanted.back or asked.path(after=asked.after))


def _decided(wanted: Decision, chosen: Sequence[tuple[int, int]]) -> list[Any]:
    if wanted.branch is not None:
        assigned = [
            transfers.AssignBranch(decision_id=uuid.uuid4(), transfer_id=transfer_id, branch_id=wanted.branch)
            for transfer_id, _node in chosen
        ]
        return list(call(transfers.assign_branches, assigned))
    verdict = wanted.verdict()
    decisions = [
        transfers.DecideNode(decision_id=uuid.uuid4(), transfer_id=transfer_id, node_no=node_no, **verdict)
        for transfer_id, node_no in chosen
    ]
    return list(call(transfers.decide_nodes, decisions))


def _go(path: str) -> Any:
    """Lead to a page of this site; htmx loads it as a whole."""
    path = kit.own_path(path) or "/work"
    if request.headers.get("HX-Request"):
        return Response("", headers={"HX-Redirect": path})
    return redirect(path)


def done_words(do: str, count: int) -> str:
    """Return what was done to how many, as the next page says it."""
    return {
        "assign": _("已分配 %(count)s 项,团员正在转入。", count=count),
        "approve": _("已同意 %(count)s 项。", count=count),
        "reject": _("已驳回 %(count)s 项,团员会看到理由。", count=count),
    }.get(do, "")


def remember(note: str) -> None:
    """Remember the note of a rejection for the next time; what goes wrong with that is of no weight."""
    if note.strip():
        calls((transfers.keep_phrases, [transfers.KeepPhrase(text=note[:200])]), partial=True)


def chosen_branch(form: Any) -> int:
    """Return the branch that a form assigns to; without one say that it is missing."""
    branch = forms.value(forms.Branch, form).branch
    if branch is None:
        raise Refused("field_missing", field=_("团支部"))
    return branch


def _start_bulk(asked: Asked, wanted: Decision) -> Any:
    """Start a bulk decision on all that matches but what was left out (BEY-05)."""
    left_out = [*dict.fromkeys([*wanted.without, *(wanted.odd if wanted.skip else [])])][:MAX_ITEMS]
    start = transfers.StartBulk(
        bulk_id=wanted.bulk_id or uuid.uuid4(),
        filter=asked.filter(left_out),
        expected=max(0, wanted.expected - len(left_out)),
        branch_id=wanted.branch,
        **wanted.verdict(),
    )
    first(call(transfers.start_bulks, [start]))
    if wanted.do == "reject":
        remember(wanted.note)
    return _go(f"/bulk/{start.bulk_id}")


def following(asked: Asked, cursor: str, transfer_id: int) -> int | None:
    """Return the transfer that comes after one in the queue, else its first; None where nothing waits."""
    after, begin = calls(
        (transfers.list_work, _wanted(asked, 1, cursor)),
        (transfers.list_work, _wanted(asked, 2, "")),
    )
    ids = [item.transfer_id for item in (*after.items, *begin.items)]
    return next((one for one in ids if one != transfer_id), None)


def cursor_of(asked: Asked, item: Any, name: str) -> str:
    """Return the place of an open node of a member of that name in the queue, as transfers makes it."""
    if asked.sort == WorkOrder.NAME:
        return f"{name}~{item.transfer_id}"
    if asked.sort == WorkOrder.DUE:
        return f"{(item.expires_at or NO_DEADLINE).isoformat()}~{item.transfer_id}"
    return f"{item.node_opened_at.isoformat()}~{item.transfer_id}" if item.node_opened_at else ""


# ---- views and phrases -----------------------------------------------------------------------------


@blueprint.post("/work/views")
def keep_view() -> Any:
    """Keep what the queue shows as a view of one's own, or forget one."""
    form, asked = request.form, queue.read(request.form)
    if form.get("drop"):
        first(call(transfers.drop_views, [forms.value(transfers.DropView, form, {"view_id": "drop"})]))
        say(_("已删除视图。"))
        return redirect(asked.path())
    kept = forms.value(transfers.SaveView, form, {"name": "title"}, filter=asked.filter(), sort=asked.sort)
    answer = call(transfers.save_views, [kept])[0]
    if answer.refusal is not None:
        say(answer.refusal.say(language()), "error")
    else:
        say(_("已保存视图“%(name)s”。", name=kept.name))
    return redirect(asked.path())


@blueprint.post("/work/phrases")
def drop_phrase() -> Any:
    """Forget a phrase of one's own."""
    call(transfers.drop_phrases, [forms.value(transfers.DropPhrase, request.form, {"text": "phrase"})])
    say(_("已删除这条常用意见。"))
    return redirect(kit.came_from())


# ---- the queue as a file ---------------------------------------------------------------------------


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the queue as a spreadsheet."""

    name: str
    id_masked: str
    source: str
    target: str
    transfer_reason: str
    place_name: str
    remark: str
    node: str
    since: Any
    until: Any
    checks: str


@blueprint.get("/download/queue")
def export_work() -> Any:
    """Take what the queue shows along as a spreadsheet, all pages; that it was taken is noted (BEY-10)."""
    asked = queue.read(request.args)
    note = members.NoteExport(what="/work")
    return sheet.answer(_lines(asked), "work", lambda: call(members.note_export, note))


def _lines(asked: Asked) -> Iterator[Line]:
    after, taken = "", 0
    while taken < EXPORT_MOST:
        items = call(transfers.list_work, _wanted(asked, MAX_ITEMS, after)).items
        found: dict[int, Any] = {}
        people: dict[int, Any] = {}
        for n in range(0, len(items), 150):  # of each up to three organisations
            some = items[n : n + 150]
            more, who, _rest = names(parties(some), [item.member_id for item in some])
            found, people = {**found, **more}, {**people, **who}
        for item in items:
            one = queue.row(item, found, people, clock.now())
            yield Line(
                name=one.name,
                id_masked=one.id_masked,
                source=one.source_full,
                target=one.target_full,
                transfer_reason=one.reason,
                place_name=item.place_name,
                remark=item.remark,
                node=word(TransferState(item.state)),
                since=item.node_opened_at,
                until=item.expires_at,
                checks="、".join(one.findings) or _("通过"),
            )
        taken += len(items)
        if len(items) < MAX_ITEMS:
            return
        after = items[-1].cursor


# ---- assignment by a rule --------------------------------------------------------------------------


@blueprint.route("/work/assign", methods=["GET", "POST"])
def assign_by_rule() -> Any:
    """Spread those who wait over the branches by a rule: a preview, then one command (ASG-02)."""
    if request.method == "POST" and request.form.get("confirmed"):
        return _assign_planned(forms.value(Planned, request.form))
    rule = AssignRule.known(request.values.get("rule", "")) or AssignRule.CLASS_NAME
    chosen = forms.value(Seats, request.values).seat
    seats = [transfers.Seat(branch_id=one) for one in chosen]
    plan = call(transfers.plan_assignment, transfers.PlanAssignment(rule=rule, seats=seats))
    places = [one.branch_id for one in plan.places]
    sizes = call(members.count_inside, members.CountInside(org_ids=places)) if places else []
    inside = {one.org_id: one.members for one in sizes}
    seats = [transfers.Seat(branch_id=one, members=inside.get(one, 0)) for one in places]
    if seats and rule != AssignRule.CLASS_NAME:  # the smallest first, now that the sizes are known
        plan = call(transfers.plan_assignment, transfers.PlanAssignment(rule=rule, seats=seats))
    everything = plan
    if chosen:  # the choice stays complete
        everything = call(transfers.plan_assignment, transfers.PlanAssignment(rule=rule))
    found, people, _more = names(places, [row.member_id for row in plan.rows])
    return render(
        "approvals/assign.html",
        rule=rule,
        rules=list(AssignRule),
        plan=plan,
        placed=[row for row in plan.rows if row.branch_id],
        left=[(row, word(Unplaced(row.why))) for row in plan.rows if not row.branch_id],
        inside=inside,
        orgs=found,
        people=people,
        choice=everything.places,
        chosen=set(chosen),
        plan_id=uuid.uuid4(),
    )


class Seats(msgspec.Struct):
    """The branches to which a rule is kept; none: all."""

    seat: OrgIds = []


class Planned(msgspec.Struct):
    """A preview that is confirmed: transfers with their branches."""

    plan_id: uuid.UUID
    pair: Annotated[list[tuple[TransferId, OrgId]], Meta(max_length=MAX_ITEMS)]


def _assign_planned(plan: Planned) -> Any:
    """Assign as the preview has said; what has changed since is refused one by one."""
    items = [
        transfers.AssignBranch(
            decision_id=uuid.uuid5(plan.plan_id, str(transfer_id)),
            transfer_id=transfer_id,
            branch_id=branch_id,
        )
        for transfer_id, branch_id in plan.pair
    ]
    done = call(transfers.assign_branches, items)
    wrong = [one.refusal.say(language()) for one in done if one.refusal is not None]
    if len(wrong) < len(done):
        say(done_words("assign", len(done) - len(wrong)))
    for text in list(dict.fromkeys(wrong))[:3]:
        say(_("%(n)s 项未办理:%(why)s", n=len(wrong), why=text), "error")
    return redirect("/work?state=pending_assign")


# ---- how far bulk decisions are --------------------------------------------------------------------


@blueprint.get("/bulk")
@blueprint.get("/bulk/<uuid:bulk_id>")
def bulk(bulk_id: uuid.UUID | None = None) -> Any:
    """How far bulk decisions are; the page asks again by itself while one runs (BEY-05)."""
    jobs = call(transfers.get_bulk, transfers.GetBulk(bulk_id=bulk_id))
    most = MAX_ITEMS if bulk_id else SHOWN_PROBLEMS
    whose = {one: job.people.get(one) for job in jobs for one in list(job.problems)[:most]}
    found, people, _more = names([job.branch_id for job in jobs], whose.values())
    return render(
        "approvals/bulk.html",
        block="part" if request.headers.get("HX-Request") else "",
        jobs=[(job, _bulk_words(job, found), list(job.problems.items())[:most]) for job in jobs],
        running=any(job.waiting for job in jobs),
        bulk_id=bulk_id,
        called={one: people[member].name for one, member in whose.items() if member in people},
    )


def _bulk_words(job: Any, orgs: Any) -> str:
    """Return what a bulk decision does, and with what."""
    place = queue.called(orgs.get(job.branch_id), False)
    did = {
        "approve": _("同意 %(n)s 项", n=job.total),
        "reject": _("驳回 %(n)s 项", n=job.total),
        "assign": _("分配 %(n)s 项到%(branch)s", n=job.total, branch=place),
    }.get(job.do, _("批量办理"))
    return f"{word(TransferState(job.state))} · {did}" if job.state else did


@blueprint.post("/bulk/stop")
def stop_bulk() -> Any:
    """Stop a bulk decision: what waits stays as it is."""
    wanted = forms.value(transfers.StopBulk, request.form)
    first(call(transfers.stop_bulks, [wanted]))
    return redirect(f"/bulk/{wanted.bulk_id}")
