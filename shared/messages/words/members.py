"""Codes of people, posts, marks, registers and letters, with their words."""

from __future__ import annotations

from shared.messages.words.code import Code


class PostCode(Code):
    """A post in an organisation (CADRE-05); `reference.POSTS` says which kinds have it."""

    SECRETARY = "secretary", "书记", "Secretary"
    DEPUTY_SECRETARY = "deputy_secretary", "副书记", "Deputy secretary"
    STANDING_MEMBER = "standing_member", "常委", "Member of the standing committee"
    COMMITTEE_MEMBER = "committee_member", "委员", "Committee member"
    ORGANISER = "organiser", "组织委员", "Organisation officer"
    PUBLICIST = "publicist", "宣传委员", "Publicity officer"


class Sex(Code):
    """A member's sex, as the ID number says (MEM-02)."""

    MALE = "male", "男", "Male"
    FEMALE = "female", "女", "Female"


class MemberMark(Code):
    """How a member is marked (GRAD-16)."""

    OWN = "own", "单独标记毕业时间", "Own time"
    DELAYED = "delayed", "延迟毕业团员", "Delayed"
    TEACHER = "teacher", "教师", "Teacher"


class BranchReason(Code):
    """Why a branch has no time of graduation (GRAD-07)."""

    TEACHERS = "teachers", "教师支部", "Teachers' branch"
    MIXED = "mixed", "混合支部", "Mixed branch"


class IdentityCheck(Code):
    """What was found when name and number were compared with the register of identities (MEM-19)."""

    UNCHECKED = "unchecked", "未校验", "Not checked"
    PASSED = "passed", "校验通过", "Passed"
    FAILED = "failed", "校验不通过", "Failed"


class DeletionCause(Code):
    """Why a record is wrong (DOC-11); who belongs elsewhere is transferred instead (DEL-09)."""

    WRONG_NAME = "wrong_name", "姓名有误", "wrong name"
    WRONG_ID = "wrong_id", "身份证号码有误", "wrong ID number"
    OVERWRITTEN = "overwritten", "被他人信息覆盖", "overwritten by another's data"
    OTHER = "other", "其他", "other"
    ELSEWHERE = "elsewhere", "组织关系不在本支部", "belongs elsewhere"


class StayKind(Code):
    """Why a graduate stays at the school (GRAD-26, GRAD-29)."""

    RETAINED = "retained", "暂留学校", "Retained at school"
    ABROAD = "abroad", "出国(境)学习研究", "Study abroad"


class StayState(Code):
    """What has become of an entry in the register of who stays (GRAD-33)."""

    REQUESTED = "requested", "待审批", "Requested"
    APPROVED = "approved", "已同意", "Approved"
    REFUSED = "refused", "未同意", "Refused"
    ENDED = "ended", "已结束", "Ended"


class RegistrationState(Code):
    """What has become of a self-registration (REG-05, REG-07)."""

    PENDING = "pending", "待接收", "Pending"
    ACCEPTED = "accepted", "已接收", "Accepted"
    REJECTED = "rejected", "已驳回", "Rejected"
    WITHDRAWN = "withdrawn", "已撤销", "Withdrawn"
    EXPIRED = "expired", "已过期", "Expired"


class LetterState(Code):
    """Whether a letter counts (BEY-13)."""

    IN_FORCE = "in_force", "真实有效", "Genuine and in force"
    LAPSED = "lapsed", "真实,但已超过有效期限", "Genuine, but lapsed"
    VOID = "void", "真实,但已作废", "Genuine, but declared void"


class ReportKind(Code):
    """A list to work off; `GetReport` says what stands in each."""

    GRADUATES_LEFT = "graduates_left", "尚未转出的毕业生", "Graduates who have not left"
    ONWARD = (
        "onward",
        "已落实去向、应一个月内二次转接的团员",
        "Work or study found: to be transferred onward within a month",
    )
    PARKED = (
        "parked",
        "在乡镇支部满一个月、去向未定的团员",
        "Over a month in a township's branch, nothing found yet",
    )
    RETAINED_APART = (
        "retained_apart",
        "暂留学校、不在流动团员团支部的毕业生",
        "Retained, not in the mobile branch",
    )
    COUNTY_STAY = "county_stay", "在县级支部即将期满的团员", "Nearly over time in a county's branch"
    RETAINED = "retained", "留校即将到期", "Retention about to end"
    ABROAD = "abroad", "出国(境)保留", "Abroad, kept here"
    TO_CONTACT = "to_contact", "转入后待联系", "Arrived, to be contacted"
    INCOMPLETE = "incomplete", "资料不完整", "Incomplete records"
    IRREGULAR_NUMBERS = "irregular_numbers", "发展团员编号异常", "Irregular development numbers"
    IDENTITY_FAILED = "identity_failed", "身份认证未通过", "Identity check failed"
    OVER_AGE = "over_age", "超龄团员", "Over age"
    LATE_ENTRIES = "late_entries", "入团后超过一个月录入", "Entered late"
    SMALL_BRANCHES = "small_branches", "不足3人的团支部", "Branches with fewer than three"
    EMPTY_GRADUATE = "empty_graduate", "空的毕业生团支部", "Empty graduates' branches"
    HOLDING_MEMBERS = "holding_members", "直接挂有团员的组织", "Organisations holding members"
    DELETION_REQUESTS = "deletion_requests", "申请删除的团员", "Reported for deletion"
