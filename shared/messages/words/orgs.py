"""Codes of organisations, with their words."""

from __future__ import annotations

from shared.messages.words.code import Code


class OrgKind(Code):
    """What an organisation is (ORG-02)."""

    LEADING_BODY = "leading_body", "团的领导机关"
    COMMITTEE = "committee", "团委"
    WORK_COMMITTEE = "work_committee", "团工委"
    GENERAL_BRANCH = "general_branch", "团总支"
    BRANCH = "branch", "团支部"


COMMITTEE_KINDS = (OrgKind.COMMITTEE, OrgKind.WORK_COMMITTEE, OrgKind.GENERAL_BRANCH)
"""Between the leading bodies and the branches (ORG-02)."""


class OrgPurpose(Code):
    """What an organisation is for (ORG-03)."""

    ORDINARY = "ordinary", "普通"
    TOWNSHIP = "township", "乡镇街道"
    HANDOVER = "handover", "流动团员团支部"
    TRANSIT = "transit", "临时团支部"
    YOUTH_CENTRE = "youth_centre", "青年之家"
    FLOATING = "floating", "毕业学生流动团员团支部"
    STUDY_ABROAD = "study_abroad", "出国(境)学习研究团支部"
    DELAYED = "delayed", "延迟毕业团支部"
    MIXED = "mixed", "混合支部"
    TEACHERS = "teachers", "教师支部"
    STAFF = "staff", "教职工团支部"
    GRADUATE = "graduate", "毕业生团组织"
    AWAITING = "awaiting", "待接转团支部"
    VAULT = "vault", "特殊单位专属库"


MADE_BY_THE_SYSTEM = (OrgPurpose.GRADUATE, OrgPurpose.AWAITING, OrgPurpose.VAULT)
"""Purposes that nobody gives; such branches only hold members (ORG-03)."""


class System(Code):
    """Which system keeps an organisation: the national one, or one of three provinces (FED-01, FED-02)."""

    NATIONAL = "national", "全团系统"
    BEIJING = "BJ", "北京系统"
    GUANGDONG = "GD", "广东系统"
    FUJIAN = "FJ", "福建系统"


PEERS = (System.BEIJING, System.GUANGDONG, System.FUJIAN)
"""Systems beside the national one, whose organisations are mirrored here (FED-01)."""


class MigrationState(Code):
    """How far a migration is (MIG-04, MIG-10)."""

    PENDING_OLD = "pending_old", "原上级审批"
    PENDING_NEW = "pending_new", "新上级审批"
    MOVING = "moving", "正在迁移"
    COMPLETED = "completed", "完成"
    REJECTED = "rejected", "未同意"
    WITHDRAWN = "withdrawn", "已撤销"
    RETURNED = "returned", "超期退回"


class Domain(Code):
    """Domains of the entry-progress statistics (ORG-26)."""

    SCHOOL = "school", "学校"
    PUBLIC = "public", "机关事业单位"
    STATE_ENTERPRISE = "state_enterprise", "国有企业"
    PRIVATE_ENTERPRISE = "private_enterprise", "非公企业"
    SOCIAL = "social", "新社会组织"
    URBAN = "urban", "城市社区"
    RURAL = "rural", "农村"
