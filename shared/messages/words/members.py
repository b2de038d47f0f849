"""Codes of people, posts, marks, registers and letters, with their words."""

from __future__ import annotations

from shared.messages.words.code import Code


class PostCode(Code):
    """A post in an organisation (CADRE-05); `reference.POSTS` says which kinds have it."""

    SECRETARY = "secretary", "书记"
    DEPUTY_SECRETARY = "deputy_secretary", "副书记"
    STANDING_MEMBER = "standing_member", "常委"
    COMMITTEE_MEMBER = "committee_member", "委员"
    ORGANISER = "organiser", "组织委员"
    PUBLICIST = "publicist", "宣传委员"


class Sex(Code):
    """A member's sex, as the ID number says (MEM-02)."""

    MALE = "male", "男"
    FEMALE = "female", "女"


class MemberMark(Code):
    """How a member is marked (GRAD-16)."""

    OWN = "own", "单独标记毕业时间"
    DELAYED = "delayed", "延迟毕业团员"
    TEACHER = "teacher", "教师"


class BranchReason(Code):
    """Why a branch has no time of graduation (GRAD-07)."""

    TEACHERS = "teachers", "教师支部"
    MIXED = "mixed", "混合支部"


class IdentityCheck(Code):
    """What was found when name and number were compared with the register of identities (MEM-19)."""

    UNCHECKED = "unchecked", "未校验"
    PASSED = "passed", "校验通过"
    FAILED = "failed", "校验不通过"


class DeletionCause(Code):
    """Why a record is wrong (DOC-11); who belongs elsewhere is transferred instead (DEL-09, FED-07)."""

    WRONG_NAME = "wrong_name", "姓名有误"
    WRONG_ID = "wrong_id", "身份证号码有误"
    OVERWRITTEN = "overwritten", "被他人信息覆盖"
    OTHER = "other", "其他"
    ELSEWHERE = "elsewhere", "组织关系不在本支部"
    OTHER_SYSTEM = "other_system", "改到北京、广东、福建的系统中注册"


class StayKind(Code):
    """Why a graduate stays at the school (GRAD-26, GRAD-29)."""

    RETAINED = "retained", "暂留学校"
    ABROAD = "abroad", "出国(境)学习研究"


class StayState(Code):
    """What has become of an entry in the register of who stays (GRAD-33)."""

    REQUESTED = "requested", "待审批"
    APPROVED = "approved", "已同意"
    REFUSED = "refused", "未同意"
    ENDED = "ended", "已结束"


class RegistrationState(Code):
    """What has become of a self-registration (REG-05, REG-07)."""

    PENDING = "pending", "待接收"
    ACCEPTED = "accepted", "已接收"
    REJECTED = "rejected", "已驳回"
    WITHDRAWN = "withdrawn", "已撤销"
    EXPIRED = "expired", "已过期"


class LetterState(Code):
    """Whether a letter counts (BEY-13)."""

    IN_FORCE = "in_force", "真实有效"
    LAPSED = "lapsed", "真实,但已超过有效期限"
    VOID = "void", "真实,但已作废"


class ReportKind(Code):
    """A list to work off; `GetReport` says what stands in each."""

    GRADUATES_LEFT = "graduates_left", "尚未转出的毕业生"
    ONWARD = (
        "onward",
        "已落实去向、应一个月内二次转接的团员",
    )
    PARKED = (
        "parked",
        "在乡镇支部满一个月、去向未定的团员",
    )
    RETAINED_APART = (
        "retained_apart",
        "暂留学校、不在流动团员团支部的毕业生",
    )
    COUNTY_STAY = "county_stay", "在县级支部即将期满的团员"
    RETAINED = "retained", "留校即将到期"
    ABROAD = "abroad", "出国(境)保留"
    TO_CONTACT = "to_contact", "转入后待联系"
    INCOMPLETE = "incomplete", "资料不完整"
    IRREGULAR_NUMBERS = "irregular_numbers", "发展团员编号异常"
    IDENTITY_FAILED = "identity_failed", "身份认证未通过"
    OVER_AGE = "over_age", "超龄团员"
    LATE_ENTRIES = "late_entries", "入团后超过一个月录入"
    SMALL_BRANCHES = "small_branches", "不足3人的团支部"
    EMPTY_GRADUATE = "empty_graduate", "空的毕业生团支部"
    HOLDING_MEMBERS = "holding_members", "直接挂有团员的组织"
    DELETION_REQUESTS = "deletion_requests", "申请删除的团员"
