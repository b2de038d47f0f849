"""The adviser: which reason and which organisation fit a graduate's plans."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.transfers import domain, handlers, reasons
from services.transfers.adviser import store
from services.transfers.domain import OrgFacts
from services.transfers.policies import store as policies_store
from services.transfers.policies.reader import Policy
from services.transfers.remarks import handlers as remarks
from shared import clock
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Advice, Proposal

PLANS: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    # plan: reason, rules, what to do in both languages
    "study": (
        "further_study",
        ("TYPE-04", "TYPE-06", "TRF-42"),
        "转往录取学校的学院团委或新班级团支部;不得转往乡镇街道。",
        "To the new school's college committee or class; never to a township.",
    ),
    "study_here": (
        "further_study",
        ("TYPE-07",),
        "转往本校新班级团支部。",
        "To the branch of the new class in the own school.",
    ),
    "work": (
        "employed_with_org",
        ("TYPE-08", "TYPE-18", "TYPE-19"),
        "转往用人单位团组织;自主创业视同就业,劳务派遣可转往派遣单位或用工单位。",
        "To the employer's organisation; the self-employed count as employed,"
        " dispatch workers go to either company.",
    ),
    "work_without": (
        "employed_without_org",
        ("TYPE-09", "TYPE-10", "ORG-30"),
        "转往工作单位所在地的乡镇街道团组织;不转往户籍地。",
        "To the township at the place of work, not of the household.",
    ),
    "abroad_study": (
        "abroad_study",
        ("TYPE-14", "GRAD-29"),
        "转往本校出国(境)学习研究团支部,并须书面申请保留组织关系。",
        "To the school's own study-abroad branch, with a written request.",
    ),
    "abroad_duty": (
        "abroad_on_duty",
        ("TYPE-12",),
        "出国前转往派出单位团组织。",
        "To the sending employer's organisation, before leaving.",
    ),
    "abroad_duty_without": (
        "abroad_on_duty",
        ("TYPE-12", "TYPE-09"),
        "派出单位没有团组织的,转往其所在地乡镇街道团组织。",
        "The sender has no organisation: to the township at its place.",
    ),
    "abroad_private": (
        "abroad_private",
        ("TYPE-13",),
        "出国前转往户籍地或居住地乡镇街道团组织。",
        "To the township of household or residence, before leaving.",
    ),
    "none": (
        "unemployed",
        ("TYPE-15", "TYPE-03", "GRAD-26"),
        "转往户籍地、生源地或居住地的乡镇街道团组织;确有困难的可申请暂留学校,最长6个月。"
        "已落实工作的不能选此项。",
        "To the township of household, origin or residence, or stay at school for at most six months;"
        " not for who has work.",
    ),
    "army": (
        "special_unit",
        ("SPU-01", "SPU-03", "SPU-09"),
        "无须选择转入组织,在备注中写明去向,由省级团委审批;另须开具纸质介绍信。",
        "No destination; the remark says where to; the province decides; a paper letter is needed.",
    ),
    "staff": (
        "employed_with_org",
        ("TYPE-25",),
        "留校任职的,转往本校教职工团支部。",
        "Staff of the own school go to its staff branch.",
    ),
}


def advise(tx: Connection, request: contract.Advise, actor: Actor | None) -> Advice:
    """Propose reason and organisations for a member who leaves, and cite the rules (BEY-01).

    The form and the approver's page warn by the same table.

    Raises:
        Refused: `unknown_plan`, `unknown_org`.

    """
    source = handlers.facts_of(tx, [request.source_branch_id]).get(request.source_branch_id)
    if source is None:
        raise Refused("unknown_org")
    plan = request.plan
    if plan in ("work", "abroad_duty") and not request.employer_has_org:
        plan = f"{plan}_without"
    if plan not in PLANS:
        raise Refused("unknown_plan")
    code, rules, zh, en = PLANS[plan]
    reason = reasons.reasons()[code]
    policy = policies_store.active(tx, clock.now())
    rows = _candidates(tx, plan, source, request.division_code)
    proposals = _proposals(tx, code, source, rows, request.division_code if "without" in plan else "", policy)
    fields = [one for one in (reason.place_name, reason.place_address) if one]
    if code == "special_unit":
        fields.append("备注")
    return Advice(
        reason=code,
        fields=fields,
        proposals=proposals,
        search=plan in ("study", "study_here", "work", "abroad_duty"),
        rules=list(rules),
        zh=zh,
        en=en,
    )


def _candidates(tx: Connection, plan: str, source: OrgFacts, division_code: str) -> list[int]:
    """Return organisations that fit a plan, nearest first.

    Townships by division code, or the school's own special branches.
    """
    if plan in ("work_without", "abroad_duty_without", "abroad_private", "none"):
        return [row.org_id for row in store.townships(tx, division_code)]
    purposes = {"abroad_study": ["study_abroad"], "staff": ["staff"], "study": ["floating"]}.get(plan)
    if not purposes or not source.school_path:
        return []
    return [row.org_id for row in store.below(tx, source.school_path, purposes)]


def _proposals(
    tx: Connection, reason: str, source: OrgFacts, org_ids: list[int], place_division: str, policy: Policy
) -> list[Proposal]:
    place = domain.Place(policy.youth_centres, policy.destinations)
    found = handlers.facts_of(tx, org_ids)
    made = []
    for org_id in org_ids:
        target = found[org_id]
        given = contract.RequestTransfer(
            command_id=remarks.NOBODY,
            initiator="member",
            member_id=0,
            source_branch_id=source.org_id,
            target_org_id=org_id,
            reason=reason,
            place_name="-",
            place_address="-",
            place_division=place_division,
        )
        said = domain.concern(given, source, target, place)
        if said is None or said[0] == "warn":
            made.append(
                Proposal(
                    org_id=org_id,
                    name=target.name,
                    place=domain.class_of(source, target),
                    mode="allow" if said is None else "warn",
                )
            )
    return made
