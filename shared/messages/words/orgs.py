"""Codes of organisations, with their words."""

from __future__ import annotations

from shared.messages.words.code import Code


class OrgKind(Code):
    """What an organisation is (ORG-02)."""

    LEADING_BODY = "leading_body", "团的领导机关", "Leading body"
    COMMITTEE = "committee", "团委", "Committee"
    WORK_COMMITTEE = "work_committee", "团工委", "Work committee"
    GENERAL_BRANCH = "general_branch", "团总支", "General branch"
    BRANCH = "branch", "团支部", "Branch"


COMMITTEE_KINDS = (OrgKind.COMMITTEE, OrgKind.WORK_COMMITTEE, OrgKind.GENERAL_BRANCH)
"""Between the leading bodies and the branches (ORG-02)."""


class OrgPurpose(Code):
    """What an organisation is for (ORG-03)."""

    ORDINARY = "ordinary", "普通", "Ordinary"
    TOWNSHIP = "township", "乡镇街道", "Township"
    HANDOVER = "handover", "流动团员团支部", "Hand-over branch"
    TRANSIT = "transit", "临时团支部", "Temporary branch"
    YOUTH_CENTRE = "youth_centre", "青年之家", "Youth centre"
    FLOATING = "floating", "毕业学生流动团员团支部", "Mobile branch"
    STUDY_ABROAD = "study_abroad", "出国(境)学习研究团支部", "Study-abroad branch"
    DELAYED = "delayed", "延迟毕业团支部", "Delayed graduates"
    MIXED = "mixed", "混合支部", "Mixed branch"
    TEACHERS = "teachers", "教师支部", "Teachers' branch"
    STAFF = "staff", "教职工团支部", "Staff branch"
    GRADUATE = "graduate", "毕业生团组织", "Graduates' organisation"
    AWAITING = "awaiting", "待接转团支部", "Awaiting branch"
    VAULT = "vault", "特殊单位专属库", "Special-unit library"


MADE_BY_THE_SYSTEM = (OrgPurpose.GRADUATE, OrgPurpose.AWAITING, OrgPurpose.VAULT)
"""Purposes that nobody gives; such branches only hold members (ORG-03)."""


class MigrationState(Code):
    """How far a migration is (MIG-04, MIG-10)."""

    PENDING_OLD = "pending_old", "原上级审批", "Old superior decides"
    PENDING_NEW = "pending_new", "新上级审批", "New superior decides"
    MOVING = "moving", "正在迁移", "Moving"
    COMPLETED = "completed", "完成", "Completed"
    REJECTED = "rejected", "未同意", "Rejected"
    WITHDRAWN = "withdrawn", "已撤销", "Withdrawn"
    RETURNED = "returned", "超期退回", "Returned by the clock"


class Domain(Code):
    """Domains of the entry-progress statistics (ORG-26)."""

    SCHOOL = "school", "学校", "Schools"
    PUBLIC = "public", "机关事业单位", "Organs and public institutions"
    STATE_ENTERPRISE = "state_enterprise", "国有企业", "State enterprises"
    PRIVATE_ENTERPRISE = "private_enterprise", "非公企业", "Non-public enterprises"
    SOCIAL = "social", "新社会组织", "New social organisations"
    URBAN = "urban", "城市社区", "Urban communities"
    RURAL = "rural", "农村", "Rural"
