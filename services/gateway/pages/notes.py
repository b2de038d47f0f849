"""Machine words of services as people read them.

They are lines of a policy's comparison, notes of work lists, malformed requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

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

Say = Callable[[str, str], str]
Pair = tuple[str, str]

NOTES: dict[str, Pair] = {
    "open": ("转接办理中", "transfer under way"),
    "none": ("未发起转接", "not started"),
    "abroad": ("出国(境)保留", "abroad, kept here"),
    "retained": ("暂留学校", "retained at school"),
}
_COUNTED = {
    "small_branches": ("名团员", " members"),
    "holding_members": ("名团员", " members"),
    "over_age": ("周岁", " years old"),
}
_SINCE = {
    "onward": ("须转出,不迟于", "to be transferred by"),
    "parked": ("到达", "arrived on"),
    "retained_apart": ("至", "until"),
    "county_stay": ("到达", "arrived on"),
    "late_entries": ("入团", "joined on"),
    "retained": ("至", "until"),
    "abroad": ("至", "until"),
}


def note(kind: str, text: str, t: Say) -> str:
    """Return the note of a line of a work list."""
    if kind in ("graduates_left", "deletion_requests"):
        code, _, rest = text.partition(" ")
        cause = DeletionCause(code)
        return t(*NOTES.get(code, (cause.zh, cause.en))) + (f": {rest}" if rest else "")
    if kind in _COUNTED and text:
        return text + t(*_COUNTED[kind])
    return f"{t(*_SINCE[kind])} {text}" if kind in _SINCE and text else text


_FIELDS: dict[str, Pair] = {
    "version": ("版本", "version"),
    "source": ("依据", "source"),
    "withdraw_until": ("可以撤销", "may be withdrawn"),
    "excluded_reasons": ("不计入统计的原因", "reasons left out"),
    "remind_after": ("提醒(天)", "reminder, days"),
    "remind_every": ("重复提醒(天)", "repeated, days"),
    "expire_after": ("期限(天)", "deadline, days"),
    "on_expiry": ("到期", "at the deadline"),
    "window": ("办理时段", "season"),
    "idle_counts": ("未发起的计入分母", "who starts nothing counts"),
    "enforce_window": ("时段外不受理", "nothing is taken outside the season"),
}
_VALUES: dict[str, Pair] = {
    "none": ("无", "none"),
    "None": ("无", "none"),
    "True": ("是", "yes"),
    "False": ("否", "no"),
    **{one: (one.zh, one.en) for code in (OnExpiry, Mode, WithdrawUntil) for one in code},
    "national": ("全国", "national"),
}


PHASES: dict[str, Pair] = {
    "start": ("发起阶段", "starting"),
    "decide": ("审批阶段", "deciding"),
    "return": ("超期退回阶段", "returning what is late"),
}


def phase(name: str, t: Say) -> str:
    """Return what a phase of the season is called."""
    return t(*PHASES.get(name, (name, name)))


def change(line: str, t: Say, provinces: Mapping[str, Pair]) -> str:
    """Return one line of a comparison of policies in words: what, before, after."""
    name, _, values = line.partition(": ")
    before, _, after = values.partition(" -> ")
    if name == "source":
        before, after = source(before, t), source(after, t)
    return f"{_name(name, t, provinces)}: {_value(before, t)} → {_value(after, t)}"


def _name(name: str, t: Say, provinces: Mapping[str, Pair]) -> str:
    parts = name.split(".")

    def said(words: Mapping[str, Pair], code: str) -> str:
        return t(*words.get(code, (code, code)))

    def called(code: Code) -> str:
        return t(code.zh, code.en)

    if parts[0] == "province" and len(parts) == 5:
        rest = _name(".".join(parts[2:]), t, provinces)
        return f"{said(provinces, parts[1])} {rest}"
    if parts[0] == "node" and len(parts) == 3:
        return f"{called(TransferState(parts[1]))} {said(_FIELDS, parts[2])}"
    if parts[0] == "destination" and len(parts) == 3:
        return f"{called(Reason(parts[1]))} → {called(DestinationClass(parts[2]))}"
    if name.startswith("phase "):
        return phase(name[6:], t)
    if name.startswith("target "):
        _, which, what = name.split(" ", 2)
        return f"{t('目标', 'target')} {called(Rate(which))} {called(Milestone(what))}"
    return said(_FIELDS, name)


def _value(value: str, t: Say) -> str:
    phase = re.fullmatch(r"(\S+) to (\S+), clock (\w+), withdraw until (\w+)", value)
    if phase:
        clock = (
            t("期限生效", "deadlines fire") if phase[3] == "True" else t("期限暂不生效", "no deadline fires")
        )
        withdrawn = f"{t('可以撤销', 'may be withdrawn')}: {_value(phase[4], t)}"
        return f"{phase[1]} {t('至', 'to')} {phase[2]}, {clock}, {withdrawn}"
    share = re.fullmatch(r"(\d+%) by (\S+)", value)
    if share:
        return f"{share[2]} {t('前达到', 'at least')} {share[1]}"
    for reason in Reason:
        value = re.sub(rf"'?\b{reason}\b'?", t(reason.zh, reason.en), value)
    return t(*_VALUES[value]) if value in _VALUES else value.replace(" to ", f" {t('至', 'to')} ")


def source(text: str, t: Say) -> str:
    """Return where a policy's rules come from."""
    said = re.sub(
        r"section (\d+), column Default",
        r"规则目录第\1节默认值",
        re.sub(r" ?\([^()]*[a-z]{3}[^()]*\)", "", text),
    )
    return t(said, text)
