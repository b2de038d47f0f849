"""Codes of the bridges to the systems of Beijing, Guangdong and Fujian, with their words."""

from __future__ import annotations

from shared.messages.words.code import Code


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
