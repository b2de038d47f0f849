"""Codes of transfers, their trail and their deadlines, with their words; reasons have a file of their own."""

from __future__ import annotations

from shared.messages.words.code import Code


class TransferState(Code):
    """Where a transfer stands."""

    CHECKING = "checking", "校验中"
    OUT = "pending_out", "转出组织审批"
    IN = "pending_in", "转入组织审批"
    PROVINCE = "pending_province", "省级团委审批"
    ASSIGN = "pending_assign", "分配团支部"
    REMOTE = "pending_remote", "等待对方系统审批"
    HANDOVER = "pending_handover", "移交中"
    ARRIVAL = "pending_arrival", "等待对方移交"
    MOVING = "moving", "正在转入"
    COMPLETED = "completed", "完成"
    REFUSED = "refused", "未受理"
    REJECTED = "rejected", "已驳回"
    RETURNED = "returned", "超期退回"
    WITHDRAWN = "withdrawn", "已撤销"


class Initiator(Code):
    """Who starts (TRF-01).

    `batch`: a committee kind moves members between branches below it, without approval (BATCH-02).
    `ruling`: the common superior has decided over a rejection, so no approval is left (BEY-06, by the
    policy's `superior_decides`). `peer`: the member comes from Beijing, Guangdong or Fujian, whose own
    system asks (FED-08).
    """

    SOURCE = "source", "转出组织"
    TARGET = "target", "转入组织"
    MEMBER = "member", "团员本人"
    BATCH = "batch", "批量转接"
    RULING = "ruling", "上级裁定"
    PEER = "peer", "对方系统"


class TrailEvent(Code):
    """What a line of a transfer's trail says (TRF-34)."""

    REQUESTED = "requested", "提交申请"
    RESERVED = "reserved", "校验通过"
    UNAVAILABLE = "unavailable", "未受理"
    APPROVE = "approve", "同意"
    REJECT = "reject", "驳回"
    WITHDRAW = "withdraw", "撤销"
    ASSIGN = "assign", "分配团支部"
    MOVED = "moved", "转入完成"
    CLOCK_RETURN = "clock_return", "超期退回"
    CLOCK_APPROVE = "clock_approve", "超期视为同意"
    ACCEPTED = "accepted", "对方系统同意接收"
    REFUSED_THERE = "refused_there", "对方系统不予接收"
    INTEGRATED = "integrated", "对方系统已接收"
    SENT_BACK = "sent_back", "对方系统退回"
    CALLED_OFF = "called_off", "对方系统撤回"
    RECORD_TAKEN = "record_taken", "收到对方移交的档案"
    RECORD_REFUSED = "record_refused", "对方移交的档案有误,已退回"
    GIVEN_UP = "given_up", "对方未移交,停止等待"
    URGED = "urged", "催办"
    ESCALATED = "escalated", "申请上级协调"
    ANSWERED = "answered", "上级答复"


UNTOLD = frozenset({TrailEvent.RESERVED, TrailEvent.INTEGRATED, TrailEvent.RECORD_TAKEN})
"""Steps of the machinery, of which nobody is sent a message (MSG-02)."""


class Rejection(Code):
    """Why a transfer is rejected (TRF-27, TYPE-11), and what its member does next.

    Attributes:
        next_step: What to do, in Chinese, as the catalogue has it.

    """

    next_step: str

    def explain(self, zh: str, next_step: str = "") -> None:
        """Take the words, and those of what comes next."""
        super().explain(zh)
        self.next_step = next_step

    NOT_HERE = (
        "not_here",
        "不在本地居住或工作",
        "请核对现居住地和工作单位地址;如确在当地,请先电话联系对方说明,再重新发起。",
    )
    HOUSEHOLD_ELSEWHERE = (
        "household_elsewhere",
        "应转往户籍所在地团组织",
        "请重新发起,转入户籍所在地乡镇街道团组织。",
    )
    WORK_ELSEWHERE = (
        "work_elsewhere",
        "应转往工作单位所在地团组织",
        "请重新发起,转入工作单位或其所在地团组织。",
    )
    SHORT_TERM = (
        "short_term",
        "仅短期工作",
        "短期工作不转入当地,请改转户籍地或居住地团组织。",
    )
    WRONG_DATA = (
        "wrong_data",
        "资料有误,请更正后重新发起",
        "请按意见更正资料后重新发起。",
    )
    OTHER = (
        "other",
        "其他(请填写意见)",
        "请先按意见处理,或电话联系对方后重新发起。",
    )


class DestinationClass(Code):
    """Classes of destinations that `reasons.toml` and policies speak of (Annex A)."""

    TOWNSHIP = "township", "乡镇街道团组织"
    HANDOVER = "handover", "流动团员团支部"
    HOUSEHOLD = "household", "工作地以外的乡镇街道团组织"
    COMMUNITY = "community", "村社区团支部"
    YOUTH_CENTRE = "youth_centre", "青年之家"
    OWN_MOBILE = "own_mobile", "本校流动团员团支部"
    OWN_ABROAD = "own_abroad", "本校出国(境)学习研究团支部"
    OWN_CLASS = "own_class", "本校班级团支部"
    OWN_SCHOOL = "own_school", "本校其他团组织"
    SCHOOL = "school", "其他学校团组织"
    EMPLOYER = "employer", "用人单位团组织"
    OTHER = "other", "其他团组织"


class Check(Code):
    """What the rules found that an approver should look at before deciding (BEY-01, TRF-12, ORG-22, MEM-19).

    Transfers finds all of them; what members knows it is told when the member is held.
    """

    UNUSUAL = "unusual", "去向不常见"
    TARGET_GONE = "target_gone", "接收组织已撤销"
    TARGET_ALONE = "target_alone", "接收组织没有管理员"
    NO_PHONE = "no_phone", "备注缺联系电话"
    NO_ADDRESS = "no_address", "备注缺详细地址"
    IDENTITY_FAILED = "identity_failed", "身份核验未通过"
    NOT_GRADUATE = "not_graduate", "尚未标记为毕业生"


class Due(Code):
    """How near the deadline of an open node is (MSG-01, ASG-06)."""

    LATE = "late", "已超期"
    TODAY = "today", "今日到期"
    SOON = "soon", "三天内到期"


class WorkOrder(Code):
    """In which order what waits is listed."""

    ARRIVED = "arrived", "先到的在前"
    NEWEST = "newest", "后到的在前"
    DUE = "due", "先到期的在前"
    NAME = "name", "按姓名"


class AssignRule(Code):
    """By what those who wait for a branch are spread over the branches (ASG-01, ASG-02)."""

    CLASS_NAME = "class_name", "按备注中的班级名称"
    PROGRAMME = "programme", "按专业,各班人数相近"
    ROUND_ROBIN = "round_robin", "平均分到所选团支部"


class Unplaced(Code):
    """Why a rule finds no branch for somebody (ASG-02, ASG-07)."""

    NO_MATCH = "no_match", "备注和所填单位中没有认出团支部"
    SEVERAL = "several", "备注符合多个团支部"
    NO_BRANCH = "no_branch", "没有可以分配的团支部"


class Mode(Code):
    """What holds for a reason and a class of destinations, the strictest first.

    Refused; asked once more and shown to the approver; nothing.
    """

    FORBID = "forbid", "不得转往"
    WARN = "warn", "须确认"
    ALLOW = "allow", "可以"


class OnExpiry(Code):
    """What the clock does at a node when its time is over (DL-03, DL-05)."""

    RETURN = "return", "届时系统退回"
    APPROVE = "approve", "届时本环节视为同意"
    REMIND = "remind", "仅提醒,不自动处理"


class WithdrawUntil(Code):
    """Until when a transfer may be withdrawn (TRF-28)."""

    FIRST_DECISION = "first_decision", "尚无组织审批前"
    LAST_APPROVAL = "last_approval", "最后一个审批环节同意前"
    COMPLETED = "completed", "办结前(含待分配)"


class Plan(Code):
    """What a graduate does next, as the adviser asks (BEY-01)."""

    STUDY = "study", "升学到其他学校"
    STUDY_HERE = "study_here", "在本校继续升学"
    WORK = "work", "已落实工作(含自主创业)"
    STAFF = "staff", "留校任职"
    NONE = "none", "暂未就业"
    ABROAD_STUDY = "abroad_study", "出国(境)学习研究"
    ABROAD_DUTY = "abroad_duty", "因公出国(境)"
    ABROAD_PRIVATE = "abroad_private", "因私出国(境)"
    ARMY = "army", "参军或到涉密单位"


class Advised(Code):
    """What the common superior says to a rejection (BEY-06)."""

    RECEIVE = "receive", "建议接收"
    UPHOLD = "uphold", "维持驳回"


class Rate(Code):
    """The rate that a reason counts in (Annex F)."""

    SX = "SX", "升学衔接"
    XS = "XS", "学社衔接"


class Milestone(Code):
    """What share of the graduates is to have done by a day (DL-14, DL-15)."""

    STARTED = "started", "发起"
    COMPLETED = "completed", "完成"


class Responsible(Code):
    """With whom a graduate's transfer rests (OPS-06)."""

    SCHOOL = "school", "毕业学校"
    RECEIVER = "receiver", "接收组织"
    NEW_SCHOOL = "new_school", "新学校"


class Figure(Code):
    """A figure of the hand-over rates (Annex F); `letter` is what the formulas of the rates call it."""

    letter: str

    def explain(self, zh: str, letter: str = "") -> None:
        """Take the words and the letter."""
        super().explain(zh)
        self.letter = letter

    STUDY = "study", "升学(本地区)", "B"
    STUDY_IN = "study_in", "升学(申请转入)", "C"
    STUDIED = "studied", "升学已完成", "A"
    SOCIETY = "society", "流向社会(本地区)", "E"
    SOCIETY_IN = "society_in", "流向社会(申请转入)", "F"
    SETTLED = "settled", "流向社会已完成", "D"
    EXCLUDED = "excluded", "不计入"
    IDLE = "idle", "未发起"
    OPEN = "open", "办理中"
    ENDED = "ended", "退回或撤销"
    COMPLETED = "completed", "已完成"
