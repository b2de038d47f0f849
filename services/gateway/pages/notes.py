"""Machine words of services as people read them.

They are lines of a policy's comparison, notes of work lists, malformed requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.gateway import kit
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from shared.messages.words import (
    Code,
    DeletionCause,
    DestinationClass,
    Milestone,
    Mode,
    OnExpiry,
    Rate,
    Reason,
    TransferState,
    WithdrawUntil,
)
from shared.translations import N_

NOTES: dict[str, str] = {
    "open": N_("转接办理中"),
    "none": N_("未发起转接"),
    "abroad": N_("出国(境)保留"),
    "retained": N_("暂留学校"),
}
_COUNTED = {
    "small_branches": N_("名团员"),
    "holding_members": N_("名团员"),
    "over_age": N_("周岁"),
}
_SINCE = {
    "onward": N_("须转出,不迟于"),
    "parked": N_("到达"),
    "retained_apart": N_("至"),
    "county_stay": N_("到达"),
    "late_entries": N_("入团"),
    "retained": N_("至"),
    "abroad": N_("至"),
}


def note(kind: str, text: str) -> str:
    """Return the note of a line of a work list."""
    if kind in ("graduates_left", "deletion_requests"):
        code, _space, rest = text.partition(" ")
        cause = DeletionCause(code)
        return _(NOTES.get(code, cause.zh)) + (f": {rest}" if rest else "")
    if kind in _COUNTED and text:
        return text + _(_COUNTED[kind])
    return f"{_(_SINCE[kind])} {text}" if kind in _SINCE and text else text


_FIELDS: dict[str, str] = {
    "version": N_("版本"),
    "source": N_("依据"),
    "withdraw_until": N_("可以撤销"),
    "excluded_reasons": N_("不计入统计的原因"),
    "remind_after": N_("提醒(天)"),
    "remind_every": N_("重复提醒(天)"),
    "expire_after": N_("期限(天)"),
    "on_expiry": N_("到期"),
    "window": N_("办理时段"),
    "idle_counts": N_("未发起的计入分母"),
    "enforce_window": N_("时段外不受理"),
}
_VALUES: dict[str, str] = {
    "none": N_("无"),
    "None": N_("无"),
    "True": N_("是"),
    "False": N_("否"),
    **{one: one.zh for code in (OnExpiry, Mode, WithdrawUntil) for one in code},
    "national": N_("全国"),
}


PHASES: dict[str, str] = {
    "start": N_("发起阶段"),
    "decide": N_("审批阶段"),
    "return": N_("超期退回阶段"),
}


@kit.blueprint.app_template_global("phase_name")
def phase(name: str) -> str:
    """Return what a phase of the season is called."""
    return _(PHASES.get(name, name))


def change(line: str, provinces: Mapping[str, str]) -> str:
    """Return one line of a comparison of policies in words: what, before, after."""
    name, _arrow, values = line.partition(": ")
    before, _arrow, after = values.partition(" -> ")
    if name == "source":
        before, after = source(before), source(after)
    return f"{_name(name, provinces)}: {_value(before)} → {_value(after)}"


def _name(name: str, provinces: Mapping[str, str]) -> str:
    parts = name.split(".")

    def said(words: Mapping[str, str], code: str) -> str:
        return _(words.get(code, code))

    def called(code: Code) -> str:
        return _(code.zh)

    if parts[0] == "province" and len(parts) == 5:
        rest = _name(".".join(parts[2:]), provinces)
        return f"{said(provinces, parts[1])} {rest}"
    if parts[0] == "node" and len(parts) == 3:
        return f"{called(TransferState(parts[1]))} {said(_FIELDS, parts[2])}"
    if parts[0] == "destination" and len(parts) == 3:
        return f"{called(Reason(parts[1]))} → {called(DestinationClass(parts[2]))}"
    if name.startswith("phase "):
        return phase(name[6:])
    if name.startswith("target "):
        which, what = name.split(" ", 2)[1:]
        return _("目标") + f" {called(Rate(which))} {called(Milestone(what))}"
    return said(_FIELDS, name)


def _value(value: str) -> str:
    phase = re.fullmatch(r"(\S+) to (\S+), clock (\w+), withdraw until (\w+)", value)
    if phase:
        clock = _("期限生效") if phase[3] == "True" else _("期限暂不生效")
        return _(
            "%(begins)s 至 %(ends)s, %(clock)s, 可以撤销: %(until)s",
            begins=phase[1],
            ends=phase[2],
            clock=clock,
            until=_value(phase[4]),
        )
    share = re.fullmatch(r"(\d+%) by (\S+)", value)
    if share:
        return _("%(day)s 前达到 %(share)s", day=share[2], share=share[1])
    for reason in Reason:
        value = re.sub(rf"'?\b{reason}\b'?", _(reason.zh), value)
    return _(_VALUES[value]) if value in _VALUES else value.replace(" to ", " " + _("至") + " ")


def source(text: str) -> str:
    """Return where a policy's rules come from."""
    said = re.sub(
        r"section (\d+), column Default",
        r"规则目录第\1节默认值",
        re.sub(r" ?\([^()]*[a-z]{3}[^()]*\)", "", text),
    )
    return said if language() == "zh" else text
