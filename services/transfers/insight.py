"""Use cases that look at everything below an organisation: figures and who is behind them, the deadline board, the adviser."""
from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers import desk, desk_store, domain, figure_store, handlers, policies, policy_store
from services.transfers.domain import OrgFacts
from services.transfers.policies import Policy, Target, calendar
from services.transfers.statistics import FIGURES, rate, responsible
from shared import background, clock, directory
from shared.bus.service import Machinery
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Advice, BoardRow, Figures, FigureSheet, Proposal, Stage

_fold_wake = threading.Event()
FLOW = (("started", "reserved"), ("completed", "moved"), ("rejected", "reject"), ("returned", "clock_return"), ("withdrawn", "withdraw"))
FOLD_SECONDS = 1.0
"""The figures are at most this far behind."""


def fold_turn(machinery: Machinery) -> float | None:
    """Bring the figures up to date with the next changes; of several services one works at a time."""
    with machinery.database.transaction(tells=False) as tx:
        return 0 if figure_store.waits(tx) and figure_store.fold(tx, policy_store.active(tx, clock.now()), clock.now()) else None


FOLD = background.Loop("figures", fold_turn, _fold_wake, FOLD_SECONDS)


def _figures(row: sa.Row[Any]) -> Figures:
    return Figures(org_id=row.org_id, name=row.name, kind=row.kind, sx=rate(row.studied, row.study, row.study_in),
                   xs=rate(row.settled, row.society, row.society_in), **{name: getattr(row, name) for name in FIGURES})


def get_figures(tx: Connection, request: contract.GetFigures, actor: Actor | None) -> FigureSheet:
    """Return SX, XS and stages of a subtree, and of the direct subordinates, at most a second old (STAT-10..15)."""
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    cohorts = figure_store.cohorts(tx, org.org_id)
    cohort = request.cohort or (cohorts[0] if cohorts else clock.today().year)
    own = _figures(figure_store.of_org(tx, org.org_id, cohort))
    policy = policy_store.active(tx, clock.now())
    phase = calendar.phase_on(policy, clock.now())
    return FigureSheet(cohort=cohort, cohorts=cohorts, org=own, children=[_figures(row) for row in figure_store.of_children(tx, org.org_id, cohort)],
                       stages=[_stage(target, own, cohort) for target in policy.targets], policy=policy.key, phase=phase.phase.name if phase else "",
                       weeks=_weeks(figure_store.flow(tx, org.org_id, clock.today() - timedelta(weeks=40))))


def _weeks(rows: Sequence[sa.Row[Any]]) -> list[contract.Week]:
    found: dict[date, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row.week, {})[row.event] = row.n
    return [contract.Week(week=week, **{name: some.get(event, 0) for name, event in FLOW}) for week, some in found.items()]


def _stage(target: Target, own: Figures, cohort: int) -> Stage:
    """Return a target with what was reached of it."""
    month, day = target.by
    if target.what == "completed":
        reached = own.sx if target.reasons == "SX" else own.xs
    else:  # started: of all graduates, since who has started nothing has no reason yet
        total = own.idle + own.open + own.ended + own.completed
        reached = rate(total - own.idle, total)
    return Stage(by=date(cohort, month, day), what=target.what, reasons=target.reasons, share=target.share, reached=reached, rule=target.rule)


def list_behind(tx: Connection, request: contract.ListBehind, actor: Actor | None) -> list[contract.Behind]:
    """Return the graduates behind a figure, a page at a time (BEY-11, STAT-15)."""
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    if request.figure not in figure_store.WHO:
        raise Refused("unknown_figure")
    cohort = request.cohort or next(iter(figure_store.cohorts(tx, org.org_id)), clock.today().year)
    passed = {(target.what, target.reasons) for target in policy_store.active(tx, clock.now()).targets if date(cohort, *target.by) < clock.today()}
    return [contract.Behind(member_id=row.member_id, branch_id=row.branch_id, stage=row.stage, rate=row.rate, transfer_id=row.transfer_id, state=row.state,
                            reason=row.reason, target_org_id=row.target_org_id, responsible=(who := responsible(row.stage, row.rate, row.state)),
                            late=(("started", "XS") if who == "school" and row.stage == "idle" else ("completed", row.rate)) in passed and who != "")
            for row in figure_store.people(tx, org.path, cohort, request.figure, request.after, max(1, min(request.limit, 500)))]


def get_board(tx: Connection, request: contract.GetBoard, actor: Actor | None) -> list[BoardRow]:
    """Return the deadline board: the direct subordinates with what waits below each, worst first (BEY-18, STAT-16, BEY-06)."""
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    cohort = next(iter(figure_store.cohorts(tx, org.org_id)), 0)
    rows = desk_store.board(tx, org.org_id, cohort, clock.now())
    decided, seconds = desk_store.decisions(tx, [row.org_id for row in rows], clock.today().year)
    overturned = {org_id: codes.pop(figure_store.OVERTURNED, 0) for org_id, codes in decided.items()}
    return [BoardRow(org_id=row.org_id, name=row.name, waiting=row.waiting, due_soon=row.due_soon, overdue=row.overdue, assigning=row.assigning, oldest=row.oldest,
                     idle=row.idle, decided=sum(decided.get(row.org_id, {}).values()),
                     rejected={code: n for code, n in decided.get(row.org_id, {}).items() if code != "approve"},
                     overturned=overturned.get(row.org_id, 0),
                     days=round(seconds[row.org_id] / sum(decided[row.org_id].values()) / 86_400, 1) if decided.get(row.org_id) else None) for row in rows]


# ---- the policy ------------------------------------------------------------------------------------------------------

def get_policy(tx: Connection, request: contract.GetPolicy, actor: Actor | None) -> contract.PolicyView:
    """Return the policy that holds and its history; compared with another, what changes, and to leading bodies what it would do to the open nodes (BEY-07).

    Raises:
        Refused: `unknown_policy`.

    """
    org = directory.require_above(tx, actor, observers=True)
    held = policy_store.active(tx, clock.now())
    changes: list[str] = []
    effects: list[contract.PolicyEffect] = []
    if request.compare:
        if request.compare not in policies.known():
            raise Refused("unknown_policy")
        other = policies.read(request.compare)
        changes = policies.differences(held, other)
        if org.kind == "leading_body":
            with tx.begin_nested() as trial:
                effects = [contract.PolicyEffect(**row._mapping) for row in policy_store.dry_run(tx, other, clock.now())]
                trial.rollback()
    return contract.PolicyView(
        key=held.key, source=held.source, withdraw_until=held.withdraw_until, changes=changes, effects=effects, known=policies.known(),
        nodes=[contract.PolicyNode(state=str(state), remind_after=node.remind_after_days, expire_after=node.expire_after_days, on_expiry=node.on_expiry)
               for state, node in held.nodes.items()],
        phases=[contract.PolicyPhase(name=phase.name, begins="{:02}-{:02}".format(*phase.begins), ends="{:02}-{:02}".format(*phase.ends), clock=phase.clock,
                                     withdraw_until=phase.withdraw_until) for phase in held.phases],
        history=[contract.PolicyHeld(since=row.holds_from, key=row.key) for row in policy_store.history(tx)])


# ---- the adviser -----------------------------------------------------------------------------------------------------

PLANS: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    # plan: reason, rules, what to do in both languages
    "study": ("further_study", ("TYPE-04", "TYPE-06", "TRF-42"), "转往录取学校的学院团委或新班级团支部;不得转往乡镇街道。", "To the new school's college committee or class; never to a township."),
    "study_here": ("further_study", ("TYPE-07",), "转往本校新班级团支部。", "To the branch of the new class in the own school."),
    "work": ("employed_with_org", ("TYPE-08", "TYPE-18", "TYPE-19"), "转往用人单位团组织;自主创业视同就业,劳务派遣可转往派遣单位或用工单位。",
             "To the employer's organisation; the self-employed count as employed, dispatch workers go to either company."),
    "work_without": ("employed_without_org", ("TYPE-09", "TYPE-10", "ORG-30"), "转往工作单位所在地的乡镇街道团组织;不转往户籍地。", "To the township at the place of work, not of the household."),
    "abroad_study": ("abroad_study", ("TYPE-14", "GRAD-29"), "转往本校出国(境)学习研究团支部,并须书面申请保留组织关系。", "To the school's own study-abroad branch, with a written request."),
    "abroad_duty": ("abroad_on_duty", ("TYPE-12",), "出国前转往派出单位团组织。", "To the sending employer's organisation, before leaving."),
    "abroad_duty_without": ("abroad_on_duty", ("TYPE-12", "TYPE-09"), "派出单位没有团组织的,转往其所在地乡镇街道团组织。", "The sender has no organisation: to the township at its place."),
    "abroad_private": ("abroad_private", ("TYPE-13",), "出国前转往户籍地或居住地乡镇街道团组织。", "To the township of household or residence, before leaving."),
    "none": ("unemployed", ("TYPE-15", "TYPE-03", "GRAD-26"), "转往户籍地、生源地或居住地的乡镇街道团组织;确有困难的可申请暂留学校,最长6个月。已落实工作的不能选此项。",
             "To the township of household, origin or residence, or stay at school for at most six months; not for who has work."),
    "army": ("special_unit", ("SPU-01", "SPU-03", "SPU-09"), "无须选择转入组织,在备注中写明去向,由省级团委审批;另须开具纸质介绍信。", "No destination; the remark says where to; the province decides; a paper letter is needed."),
    "staff": ("employed_with_org", ("TYPE-25",), "留校任职的,转往本校教职工团支部。", "Staff of the own school go to its staff branch."),
}


def advise(tx: Connection, request: contract.Advise, actor: Actor | None) -> Advice:
    """Propose reason and organisations for a member who leaves, and cite the rules (BEY-01); the form and the approver warn by the same table.

    Raises:
        Refused: `unknown_plan`, `unknown_org`.

    """
    source = handlers.facts_of(tx, [request.source_branch_id]).get(request.source_branch_id)
    if source is None:
        raise Refused("unknown_org")
    plan = f"{request.plan}_without" if request.plan in ("work", "abroad_duty") and not request.employer_has_org else request.plan
    if plan not in PLANS:
        raise Refused("unknown_plan")
    code, rules, zh, en = PLANS[plan]
    reason = domain.reasons()[code]
    policy = policy_store.active(tx, clock.now())
    rows = _candidates(tx, plan, source, request.division_code)
    proposals = _proposals(tx, code, source, rows, request.division_code if "without" in plan else "", policy)
    return Advice(reason=code, fields=[one for one in (reason.place_name, reason.place_address) if one] + (["备注"] if code == "special_unit" else []),
                  proposals=proposals, search=plan in ("study", "study_here", "work", "abroad_duty"), rules=list(rules), zh=zh, en=en)


def _candidates(tx: Connection, plan: str, source: OrgFacts, division_code: str) -> list[int]:
    """Return organisations that fit a plan, nearest first: townships by division code, or the school's own special branches."""
    if plan in ("work_without", "abroad_duty_without", "abroad_private", "none"):
        return [row.org_id for row in desk_store.townships(tx, division_code)]
    purposes = {"abroad_study": ["study_abroad"], "staff": ["staff"], "study": ["floating"]}.get(plan)
    return [row.org_id for row in desk_store.below(tx, source.school_path, purposes)] if purposes and source.school_path else []


def _proposals(tx: Connection, reason: str, source: OrgFacts, org_ids: list[int], place_division: str, policy: Policy) -> list[Proposal]:
    place = domain.Place(policy.youth_centres, policy.destinations)
    found = handlers.facts_of(tx, org_ids)
    made = []
    for org_id in org_ids:
        target = found[org_id]
        given = contract.RequestTransfer(command_id=desk.NOBODY, initiator="member", member_id=0, source_branch_id=source.org_id, target_org_id=org_id, reason=reason,
                                         place_name="-", place_address="-", place_division=place_division)
        said = domain.concern(given, source, target, place)
        if said is None or said[0] == "warn":
            made.append(Proposal(org_id=org_id, name=target.name, place=domain.class_of(source, target), mode="allow" if said is None else "warn"))
    return made
