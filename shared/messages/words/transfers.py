"""Codes of transfers, their trail and their deadlines, with their words; reasons have a file of their own."""

from __future__ import annotations

from shared.messages.words.code import Code


class TransferState(Code):
    """Where a transfer stands."""

    CHECKING = "checking", "校验中", "Checking"
    OUT = "pending_out", "转出组织审批", "Source approval"
    IN = "pending_in", "转入组织审批", "Target approval"
    PROVINCE = "pending_province", "省级团委审批", "Provincial approval"
    ASSIGN = "pending_assign", "分配团支部", "Branch assignment"
    MOVING = "moving", "正在转入", "Moving"
    COMPLETED = "completed", "完成", "Completed"
    REFUSED = "refused", "未受理", "Not accepted"
    REJECTED = "rejected", "已驳回", "Rejected"
    RETURNED = "returned", "超期退回", "Returned by the clock"
    WITHDRAWN = "withdrawn", "已撤销", "Withdrawn"


class Initiator(Code):
    """Who starts (TRF-01).

    `batch`: a committee kind moves members between branches below it, without approval (BATCH-02).
    `ruling`: the common superior has decided over a rejection, so no approval is left (BEY-06, by the
    policy's `superior_decides`).
    """

    SOURCE = "source", "转出组织", "the source"
    TARGET = "target", "转入组织", "the target"
    MEMBER = "member", "团员本人", "the member"
    BATCH = "batch", "批量转接", "a batch move"
    RULING = "ruling", "上级裁定", "a ruling of the superior"


class TrailEvent(Code):
    """What a line of a transfer's trail says (TRF-34)."""

    REQUESTED = "requested", "提交申请", "Requested"
    RESERVED = "reserved", "校验通过", "Member checked"
    UNAVAILABLE = "unavailable", "未受理", "Not accepted"
    APPROVE = "approve", "同意", "Approved"
    REJECT = "reject", "驳回", "Rejected"
    WITHDRAW = "withdraw", "撤销", "Withdrawn"
    ASSIGN = "assign", "分配团支部", "Branch assigned"
    MOVED = "moved", "转入完成", "Moved"
    CLOCK_RETURN = "clock_return", "超期退回", "Returned by the clock"
    CLOCK_APPROVE = "clock_approve", "超期视为同意", "Approved by the clock"
    URGED = "urged", "催办", "Reminder"
    ESCALATED = "escalated", "申请上级协调", "Escalated"
    ANSWERED = "answered", "上级答复", "Answer of the superior"


class Rejection(Code):
    """Why a transfer is rejected (TRF-27, TYPE-11), and what its member does next.

    Attributes:
        next_zh: What to do, in Chinese.
        next_en: The same in English.

    """

    next_zh: str
    next_en: str

    def explain(self, zh: str, en: str, next_zh: str = "", next_en: str = "") -> None:
        """Take the words, and those of what comes next."""
        super().explain(zh, en)
        self.next_zh, self.next_en = next_zh, next_en

    NOT_HERE = (
        "not_here",
        "不在本地居住或工作",
        "Does not live or work here",
        "请核对现居住地和工作单位地址;如确在当地,请先电话联系对方说明,再重新发起。",
        "Check the addresses of residence and work;"
        " if you are there, call the office first, then start again.",
    )
    HOUSEHOLD_ELSEWHERE = (
        "household_elsewhere",
        "应转往户籍所在地团组织",
        "Belongs to the household's organisation",
        "请重新发起,转入户籍所在地乡镇街道团组织。",
        "Start again, to the township of your household.",
    )
    WORK_ELSEWHERE = (
        "work_elsewhere",
        "应转往工作单位所在地团组织",
        "Belongs to the workplace's organisation",
        "请重新发起,转入工作单位或其所在地团组织。",
        "Start again, to the organisation of your employer or of its township.",
    )
    SHORT_TERM = (
        "short_term",
        "仅短期工作",
        "Only a short-term post",
        "短期工作不转入当地,请改转户籍地或居住地团组织。",
        "For a short-term post choose the organisation of household or residence.",
    )
    WRONG_DATA = (
        "wrong_data",
        "资料有误,请更正后重新发起",
        "Wrong data; correct and start again",
        "请按意见更正资料后重新发起。",
        "Correct the data as the note says, then start again.",
    )
    OTHER = (
        "other",
        "其他(请填写意见)",
        "Other (say why in the note)",
        "请先按意见处理,或电话联系对方后重新发起。",
        "Do what the note says, or call the office, then start again.",
    )


class DestinationClass(Code):
    """Classes of destinations that `reasons.toml` and policies speak of (Annex A)."""

    TOWNSHIP = "township", "乡镇街道团组织", "a township's organisation"
    HANDOVER = "handover", "流动团员团支部", "a hand-over branch"
    HOUSEHOLD = "household", "工作地以外的乡镇街道团组织", "a township elsewhere than the place of work"
    COMMUNITY = "community", "村社区团支部", "a village's or community's branch"
    YOUTH_CENTRE = "youth_centre", "青年之家", "a youth centre"
    OWN_MOBILE = "own_mobile", "本校流动团员团支部", "the own school's mobile branch"
    OWN_ABROAD = "own_abroad", "本校出国(境)学习研究团支部", "the own school's study-abroad branch"
    OWN_CLASS = "own_class", "本校班级团支部", "a class of the own school"
    OWN_SCHOOL = "own_school", "本校其他团组织", "another organisation of the own school"
    SCHOOL = "school", "其他学校团组织", "another school's organisation"
    EMPLOYER = "employer", "用人单位团组织", "an employer's organisation"
    OTHER = "other", "其他团组织", "another organisation"


class Mode(Code):
    """What holds for a reason and a class of destinations, the strictest first.

    Refused; asked once more and shown to the approver; nothing.
    """

    FORBID = "forbid", "不得转往", "forbidden"
    WARN = "warn", "须确认", "to be confirmed"
    ALLOW = "allow", "可以", "allowed"


class OnExpiry(Code):
    """What the clock does at a node when its time is over (DL-03, DL-05)."""

    RETURN = "return", "届时系统退回", "then returned by the system"
    APPROVE = "approve", "届时本环节视为同意", "then this node counts as approved"
    REMIND = "remind", "仅提醒,不自动处理", "reminders only"


class WithdrawUntil(Code):
    """Until when a transfer may be withdrawn (TRF-28)."""

    FIRST_DECISION = "first_decision", "尚无组织审批前", "until anybody has decided"
    LAST_APPROVAL = "last_approval", "最后一个审批环节同意前", "until the last approval"
    COMPLETED = "completed", "办结前(含待分配)", "until it is completed, assignment included"


class Plan(Code):
    """What a graduate does next, as the adviser asks (BEY-01)."""

    STUDY = "study", "升学到其他学校", "Further study at another school"
    STUDY_HERE = "study_here", "在本校继续升学", "Further study at the same school"
    WORK = "work", "已落实工作(含自主创业)", "Employed, or self-employed"
    STAFF = "staff", "留校任职", "Staff of the own school"
    NONE = "none", "暂未就业", "Not yet employed"
    ABROAD_STUDY = "abroad_study", "出国(境)学习研究", "Study or research abroad"
    ABROAD_DUTY = "abroad_duty", "因公出国(境)", "Abroad on duty"
    ABROAD_PRIVATE = "abroad_private", "因私出国(境)", "Abroad privately"
    ARMY = "army", "参军或到涉密单位", "Army or a classified unit"


class Advised(Code):
    """What the common superior says to a rejection (BEY-06)."""

    RECEIVE = "receive", "建议接收", "Should be received"
    UPHOLD = "uphold", "维持驳回", "Upheld"


class Rate(Code):
    """The rate that a reason counts in (Annex F)."""

    SX = "SX", "升学衔接", "further study"
    XS = "XS", "学社衔接", "to society"


class Milestone(Code):
    """What share of the graduates is to have done by a day (DL-14, DL-15)."""

    STARTED = "started", "发起", "started"
    COMPLETED = "completed", "完成", "completed"


class Responsible(Code):
    """With whom a graduate's transfer rests (OPS-06)."""

    SCHOOL = "school", "毕业学校", "the school"
    RECEIVER = "receiver", "接收组织", "the receiver"
    NEW_SCHOOL = "new_school", "新学校", "the new school"


class Figure(Code):
    """A figure of the hand-over rates (Annex F); `letter` is what the formulas of the rates call it."""

    letter: str

    def explain(self, zh: str, en: str, letter: str = "") -> None:
        """Take the words and the letter."""
        super().explain(zh, en)
        self.letter = letter

    STUDY = "study", "升学(本地区)", "Further study (own)", "B"
    STUDY_IN = "study_in", "升学(申请转入)", "Further study (into here)", "C"
    STUDIED = "studied", "升学已完成", "Further study, completed", "A"
    SOCIETY = "society", "流向社会(本地区)", "To society (own)", "E"
    SOCIETY_IN = "society_in", "流向社会(申请转入)", "To society (into here)", "F"
    SETTLED = "settled", "流向社会已完成", "To society, completed", "D"
    EXCLUDED = "excluded", "不计入", "In neither rate"
    IDLE = "idle", "未发起", "Not started"
    OPEN = "open", "办理中", "Under way"
    ENDED = "ended", "退回或撤销", "Returned or withdrawn"
    COMPLETED = "completed", "已完成", "Completed"
