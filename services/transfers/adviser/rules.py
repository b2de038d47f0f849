"""The plans of those who leave, and where each leads (BEY-01). Pure."""

from __future__ import annotations

from typing import NamedTuple

from shared.errors import Refusal


class Plan(NamedTuple):
    """What a plan comes to: a reason, the rules that say so, what to do in both languages."""

    reason: str
    rules: tuple[str, ...]
    zh: str
    en: str


PLANS: dict[str, Plan] = {
    "study": Plan(
        "further_study",
        ("TYPE-04", "TYPE-06", "TRF-42"),
        "转往录取学校的学院团委或新班级团支部;不得转往乡镇街道。",
        "To the new school's college committee or class; never to a township.",
    ),
    "study_here": Plan(
        "further_study",
        ("TYPE-07",),
        "转往本校新班级团支部。",
        "To the branch of the new class in the own school.",
    ),
    "work": Plan(
        "employed_with_org",
        ("TYPE-08", "TYPE-18", "TYPE-19"),
        "转往用人单位团组织;自主创业视同就业,劳务派遣可转往派遣单位或用工单位。",
        "To the employer's organisation; the self-employed count as employed,"
        " dispatch workers go to either company.",
    ),
    "work_without": Plan(
        "employed_without_org",
        ("TYPE-09", "TYPE-10", "ORG-30"),
        "转往工作单位所在地的乡镇街道团组织;不转往户籍地。",
        "To the township at the place of work, not of the household.",
    ),
    "abroad_study": Plan(
        "abroad_study",
        ("TYPE-14", "GRAD-29"),
        "转往本校出国(境)学习研究团支部,并须书面申请保留组织关系。",
        "To the school's own study-abroad branch, with a written request.",
    ),
    "abroad_duty": Plan(
        "abroad_on_duty",
        ("TYPE-12",),
        "出国前转往派出单位团组织。",
        "To the sending employer's organisation, before leaving.",
    ),
    "abroad_duty_without": Plan(
        "abroad_on_duty",
        ("TYPE-12", "TYPE-09"),
        "派出单位没有团组织的,转往其所在地乡镇街道团组织。",
        "The sender has no organisation: to the township at its place.",
    ),
    "abroad_private": Plan(
        "abroad_private",
        ("TYPE-13",),
        "出国前转往户籍地或居住地乡镇街道团组织。",
        "To the township of household or residence, before leaving.",
    ),
    "none": Plan(
        "unemployed",
        ("TYPE-15", "TYPE-03", "GRAD-26"),
        "转往户籍地、生源地或居住地的乡镇街道团组织;确有困难的可申请暂留学校,最长6个月。"
        "已落实工作的不能选此项。",
        "To the township of household, origin or residence, or stay at school for at most six months;"
        " not for who has work.",
    ),
    "army": Plan(
        "special_unit",
        ("SPU-01", "SPU-03", "SPU-09"),
        "无须选择转入组织,在备注中写明去向,由省级团委审批;另须开具纸质介绍信。",
        "No destination; the remark says where to; the province decides; a paper letter is needed.",
    ),
    "staff": Plan(
        "employed_with_org",
        ("TYPE-25",),
        "留校任职的,转往本校教职工团支部。",
        "Staff of the own school go to its staff branch.",
    ),
}

OFTEN_FAR = ("study", "study_here", "work", "abroad_duty")
"""Plans whose organisation has to be searched for, since none stands nearest."""
AT_A_TOWNSHIP = ("work_without", "abroad_duty_without", "abroad_private", "none")
"""Plans that lead to a township, found by a division code."""
IN_THE_SCHOOL = {"abroad_study": ["study_abroad"], "staff": ["staff"], "study": ["floating"]}
"""Plans that lead to branches of the own school, with the purposes of these."""


def name_of(plan: str, employer_has_org: bool) -> str:
    """Return the name of a plan in `PLANS`: an employer without an organisation makes it another one."""
    return f"{plan}_without" if plan in ("work", "abroad_duty") and not employer_has_org else plan


def check_plan(known: bool, name: str) -> Refusal | None:
    """Return why there is no advice; `known` says whether the branch that is left is there."""
    if not known:
        return Refusal("unknown_org")
    return None if name in PLANS else Refusal("unknown_plan")
