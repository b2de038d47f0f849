"""The words of codes, in Chinese and English."""

from __future__ import annotations

from collections.abc import Iterable

STATES = {
    "checking": ("校验中", "Checking"),
    "pending_out": ("转出组织审批", "Source approval"),
    "pending_in": ("转入组织审批", "Target approval"),
    "pending_province": ("省级团委审批", "Provincial approval"),
    "pending_assign": ("分配团支部", "Branch assignment"),
    "moving": ("正在转入", "Moving"),
    "completed": ("完成", "Completed"),
    "refused": ("未受理", "Not accepted"),
    "rejected": ("已驳回", "Rejected"),
    "returned": ("超期退回", "Returned by the clock"),
    "withdrawn": ("已撤销", "Withdrawn"),
}

REASONS = {
    "further_study": ("升学", "Further study"),
    "employed_with_org": ("已落实工作单位(工作单位有团组织)", "Employed, employer has an organisation"),
    "employed_without_org": ("已落实工作单位(工作单位无团组织)", "Employed, employer has no organisation"),
    "abroad_on_duty": ("出国(因公出国/境)", "Abroad on duty"),
    "abroad_study": ("出国(境)学习研究", "Study abroad"),
    "abroad_private": ("出国(因私出国/境)", "Abroad privately"),
    "unemployed": ("未就业", "Not yet employed"),
    "special_unit": ("转往特殊单位团组织", "To a special unit"),
    "job_change": ("变更工作单位", "Change of employer"),
    "job_loss": ("离职待业", "Left a job, not employed"),
    "later_study": ("升学(非应届毕业生)", "Further study, no graduate of this year"),
    "status_change": ("学籍变动(留级、休学、复学、转学)", "Change of student status"),
    "internal_move": ("单位内部调整", "Move inside the organisation"),
    "ordinary": ("其他组织关系转接", "Ordinary transfer"),
}

ORDINARY = ("job_change", "job_loss", "later_study", "status_change", "internal_move", "ordinary")
"""Reasons of those who are no graduates (TYPE-26)."""

REJECTIONS = {
    "not_here": ("不在本地居住或工作", "Does not live or work here"),
    "household_elsewhere": ("应转往户籍所在地团组织", "Belongs to the household's organisation"),
    "work_elsewhere": ("应转往工作单位所在地团组织", "Belongs to the workplace's organisation"),
    "short_term": ("仅短期工作", "Only a short-term post"),
    "wrong_data": ("资料有误,请更正后重新发起", "Wrong data; correct and start again"),
    "other": ("其他(请填写意见)", "Other (say why in the note)"),
}

NEXT = {
    "not_here": (
        "请核对现居住地和工作单位地址;如确在当地,请先电话联系对方说明,再重新发起。",
        "Check the addresses of residence and work;"
        " if you are there, call the office first, then start again.",
    ),
    "household_elsewhere": (
        "请重新发起,转入户籍所在地乡镇街道团组织。",
        "Start again, to the township of your household.",
    ),
    "work_elsewhere": (
        "请重新发起,转入工作单位或其所在地团组织。",
        "Start again, to the organisation of your employer or of its township.",
    ),
    "short_term": (
        "短期工作不转入当地,请改转户籍地或居住地团组织。",
        "For a short-term post choose the organisation of household or residence.",
    ),
    "wrong_data": ("请按意见更正资料后重新发起。", "Correct the data as the note says, then start again."),
    "other": (
        "请先按意见处理,或电话联系对方后重新发起。",
        "Do what the note says, or call the office, then start again.",
    ),
}

MARKS = {
    "own": ("单独标记毕业时间", "Own time"),
    "delayed": ("延迟毕业团员", "Delayed"),
    "teacher": ("教师", "Teacher"),
    "": ("撤销标记", "Take the mark back"),
}

NO_TIME = {"teachers": ("教师支部", "Teachers' branch"), "mixed": ("混合支部", "Mixed branch")}

KINDS = {
    "leading_body": ("领导机关", "Leading body"),
    "committee": ("团委", "Committee"),
    "work_committee": ("团工委", "Work committee"),
    "general_branch": ("团总支", "General branch"),
    "branch": ("团支部", "Branch"),
}

STEPS = {
    "requested": ("提交申请", "Requested"),
    "reserved": ("校验通过", "Member checked"),
    "unavailable": ("未受理", "Not accepted"),
    "approve": ("同意", "Approved"),
    "reject": ("驳回", "Rejected"),
    "withdraw": ("撤销", "Withdrawn"),
    "assign": ("分配团支部", "Branch assigned"),
    "moved": ("转入完成", "Moved"),
    "clock_return": ("超期退回", "Returned by the clock"),
    "clock_approve": ("超期视为同意", "Approved by the clock"),
    "urged": ("催办", "Reminder"),
    "escalated": ("申请上级协调", "Escalated"),
    "answered": ("上级答复", "Answer of the superior"),
}

CONCERNS = {
    "township": ("乡镇街道团组织", "a township's organisation"),
    "handover": ("流动团员团支部", "a hand-over branch"),
    "household": ("工作地以外的乡镇街道团组织", "a township elsewhere than the place of work"),
    "community": ("村社区团支部", "a village's or community's branch"),
    "youth_centre": ("青年之家", "a youth centre"),
    "own_mobile": ("本校流动团员团支部", "the own school's mobile branch"),
    "employer": ("用人单位团组织", "an employer's organisation"),
    "own_abroad": ("本校出国(境)学习研究团支部", "the own school's study-abroad branch"),
    "own_class": ("本校班级团支部", "a class of the own school"),
    "own_school": ("本校其他团组织", "another organisation of the own school"),
    "school": ("其他学校团组织", "another school's organisation"),
    "other": ("其他团组织", "another organisation"),
}

PURPOSES = {
    "ordinary": ("普通", "Ordinary"),
    "township": ("乡镇街道", "Township"),
    "handover": ("流动团员团支部", "Hand-over branch"),
    "floating": ("毕业学生流动团员团支部", "Mobile branch"),
    "study_abroad": ("出国(境)学习研究团支部", "Study-abroad branch"),
    "delayed": ("延迟毕业团支部", "Delayed graduates"),
    "mixed": ("混合支部", "Mixed branch"),
    "teachers": ("教师支部", "Teachers' branch"),
    "staff": ("教职工团支部", "Staff branch"),
    "youth_centre": ("青年之家", "Youth centre"),
    "transit": ("临时团支部", "Temporary branch"),
    "graduate": ("毕业生团组织", "Graduates' organisation"),
    "awaiting": ("待接转团支部", "Awaiting branch"),
    "vault": ("特殊单位专属库", "Special-unit library"),
}

EXPIRY = {
    "return": ("届时系统退回", "then returned by the system"),
    "approve": ("届时本环节视为同意", "then this node counts as approved"),
    "remind": ("仅提醒,不自动处理", "reminders only"),
}

_REJECTED_FOR = {
    "further_study": ("wrong_data", "other"),
    "later_study": ("wrong_data", "other"),
    "abroad_study": ("wrong_data", "other"),
    "special_unit": ("wrong_data", "other"),
    "abroad_private": ("household_elsewhere", "not_here", "wrong_data", "other"),
    "unemployed": ("not_here", "household_elsewhere", "work_elsewhere", "wrong_data", "other"),
    "abroad_on_duty": ("work_elsewhere", "household_elsewhere", "wrong_data", "other"),
}


def rejections_for(reasons: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the reasons of a rejection that fit the reasons of transfers (TRF-27).

    Nobody who goes on to study has "only a short-term post".
    """
    fit = {code for reason in reasons for code in _REJECTED_FOR.get(reason, REJECTIONS)}
    return {code: words for code, words in REJECTIONS.items() if code in fit or not fit}
