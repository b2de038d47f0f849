"""Codes of the bridges to the systems of Beijing, Guangdong and Fujian, with their words."""

from __future__ import annotations

from shared.messages.words.code import Code
from shared.translations import english


class BridgeReason(Code):
    """Why a system calls off, refuses or sends back a transfer that leads across (FED-10).

    The list is closed; a code that is not in it is shown by the text that comes with it.

    Attributes:
        ours: The code that says the same here: a `Rejection`, a refusal of `shared/errors.py` or a line of
            the trail; empty where only a bridge says so.

    """

    ours: str

    def explain(self, zh: str, ours: str = "") -> None:
        """Take the words, and our code of the same meaning."""
        super().explain(zh)
        self.ours = ours

    NOT_HERE = "not_here", "不在本地居住或工作", "not_here"
    HOUSEHOLD_ELSEWHERE = "household_elsewhere", "应转往户籍所在地团组织", "household_elsewhere"
    WORK_ELSEWHERE = "work_elsewhere", "应转往工作单位所在地团组织", "work_elsewhere"
    SHORT_TERM = "short_term", "仅短期工作", "short_term"
    WRONG_DATA = "wrong_data", "资料有误,请更正后重新发起", "wrong_data"
    OTHER = "other", "其他(请填写意见)", "other"
    IDENTITY_ACTIVE = "identity_active", "身份证号重复", "id_registered"
    IDENTITY_INVALID = "identity_invalid", "身份证号码不正确", "id_invalid"
    IDENTITY_DIFFERS = "identity_differs", "姓名与身份证号不匹配或查无此人", "unknown_member"
    NAME_INVALID = (
        "name_invalid",
        "姓名含有数字、符号或无法识别的字符,请按身份证上的姓名填写",
        "name_invalid",
    )
    AGE_OUT_OF_RANGE = "age_out_of_range", "团员年龄须满14周岁且未满28周岁", "age_out_of_range"
    TRANSFER_OPEN = "transfer_open", "已有业务正在办理,不能重复发起", "transfer_open"
    UNKNOWN_TARGET = "unknown_target", "组织不存在或已删除", "unknown_org"
    TARGET_NOT_ALLOWED = (
        "target_not_allowed",
        "转入组织须为团委、团工委、团总支或团支部",
        "target_not_allowed",
    )
    OVERDUE = "overdue", "超期退回", "clock_return"
    WITHDRAWN = "withdrawn", "撤销", "withdraw"
    GIVEN_UP = "given_up", "对方系统未移交档案,不再等待"
    RECORD_UNREADABLE = "record_unreadable", "移交的档案无法读取"
    NEVER_SEEN = "never_seen", "对方系统确认从未收到移交的档案"
    TOO_LATE = "too_late", "档案移交时业务已结束"


# A kind a line: the lists are read as glossaries.
# fmt: off
class BridgeMessage(Code):
    """What a message of a bridge says."""

    OFFER      = "offer", "提出转接"
    CALLED_OFF = "called_off", "转出方终止"
    RECORD     = "record", "移交档案"
    PROGRESS   = "progress", "对方办理进度"
    ACCEPTED   = "accepted", "同意接收"
    REFUSED    = "refused", "不予接收"
    INTEGRATED = "integrated", "已编入团支部"
    SENT_BACK  = "sent_back", "退回档案"
    QUERY      = "query", "查询进度"
    STATUS     = "status", "答复进度"


class HandoverState(Code):
    """Where a transfer stands on our side of a bridge: as the system that the member leaves, or goes to."""

    NONE     = "none", "尚未开始"
    OFFERED  = "offered", "已提出,等待对方决定"
    HANDOVER = "handover", "档案已移交,等待对方确认"
    MOVED    = "moved", "已转出"
    KEPT     = "kept", "未转出"
    DECIDING = "deciding", "等待我方审批"
    AWAITED  = "awaited", "我方已同意,等待档案"
    TAKEN    = "taken", "已转入"
    REFUSED  = "refused", "未转入"
    BACK     = "back", "档案已退回"


class MessageState(Code):
    """What has become of a message: the first three of ours, the others of the peer's."""

    WAITING     = "waiting", "待发送"
    RECEIPTED   = "receipted", "对方已签收"
    PARKED      = "parked", "停止发送,待处理"
    APPLIED     = "applied", "已执行"
    LATE        = "late", "迟到,不影响结果"
    HELD        = "held", "先到,等待前面的消息"
    REFUSED     = "refused", "已拒收"
    QUARANTINED = "quarantined", "隔离,待处理"
    DISCARDED   = "discarded", "已作废"


class QuarantineDecision(Code):
    """What a person decides of a message in quarantine."""

    APPLIED   = "applied", "重新执行"
    REFUSED   = "refused", "答复拒绝"
    DISCARDED = "discarded", "作废"


class MemberHome(Code):
    """With whom a registry has the member of a transfer that has ended (BEY-16)."""

    SENDER    = "sender", "转出方"
    RECEIVER  = "receiver", "转入方"
    ELSEWHERE = "elsewhere", "其他系统或已无团籍"
    MOVING    = "moving", "转接中"
    NOBODY    = "nobody", "查无此人"


class DifferenceKind(Code):
    """How a transfer differs between both sides, and what is proposed (BEY-16).

    Attributes:
        repair: What is proposed, in Chinese; its English is in the catalogue.

    """

    repair: str

    def explain(self, zh: str, repair: str = "") -> None:
        """Take the words, and what is proposed."""
        super().explain(zh)
        self.repair = repair

    @property
    def repair_en(self) -> str:
        """Return what is proposed, in English."""
        return english(self.repair)

    MISSING_HERE   = "missing_here", "本系统没有该业务", "对方重发消息;请核实本系统是否恢复过备份"
    MISSING_THERE  = "missing_there", "对方没有该业务", "重发我方消息"
    BEHIND_HERE    = "behind_here", "我方缺少对方的消息", "请对方重发我方缺少的消息"
    BEHIND_THERE   = "behind_there", "对方缺少我方的消息", "从对方缺少的第一条起重发我方消息"
    LOST_HERE = (
        "lost_here", "我方丢失已发出的消息",
        "对方收到的比我方记录的多:本系统可能恢复过备份,请核对证据",
    )
    LOST_THERE = (
        "lost_there", "对方丢失已发出的消息",
        "我方收到的比对方记录的多:对方可能恢复过备份,请与对方核对",
    )
    CHAIN          = "chain", "消息链不一致", "同一编号签发过两条消息:请核对双方证据"
    STATE          = "state", "状态不一致", "一方有消息在隔离区,或数据库被直接改动:请先处理隔离消息"
    ACTIVE_TWICE   = "active_twice", "双方都登记为团员", "请与对方核对档案移交和编入的证据,由责任方更正"
    ACTIVE_NOWHERE = (
        "active_nowhere", "双方都没有登记为团员",
        "请与对方核对:移交中的等待确认,其余由责任方更正",
    )
    MEMBER_TWICE = (
        "member_twice", "双方名册都有该团员",
        "处理后,与双方签名不符的一方更正:我方不符的由本系统更正,对方不符的请通知对方",
    )
    MEMBER_NOWHERE = (
        "member_nowhere", "双方名册都没有该团员",
        "处理后,与双方签名不符的一方更正:我方不符的由本系统更正,对方不符的请通知对方",
    )
    DIRECTORY      = "directory", "组织目录不一致", "重新读取对方组织目录"
# fmt: on
