"""Machine words of services as people read them.

They are lines of a policy's comparison, notes of work lists, malformed requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Say = Callable[[str, str], str]
Pair = tuple[str, str]

NOTES: dict[str, Pair] = {
    "open": ("转接办理中", "transfer under way"),
    "none": ("未发起转接", "not started"),
    "abroad": ("出国(境)保留", "abroad, kept here"),
    "retained": ("暂留学校", "retained at school"),
    "wrong_name": ("姓名有误", "wrong name"),
    "wrong_id": ("身份证号码有误", "wrong ID number"),
    "overwritten": ("被他人信息覆盖", "overwritten by another's data"),
    "other": ("其他", "other"),
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
        return t(*NOTES.get(code, (code, code))) + (f": {rest}" if rest else "")
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
    "return": ("退回", "returned"),
    "approve": ("视为同意", "approved"),
    "remind": ("仅提醒", "reminders only"),
    "forbid": ("不得转往", "forbidden"),
    "warn": ("须确认", "to be confirmed"),
    "allow": ("可以", "allowed"),
    "completed": ("办结前", "until completion"),
    "last_approval": ("最后一个审批环节同意前", "until the last approval"),
    "first_decision": ("尚无组织审批前", "until anybody has decided"),
    "started": ("发起", "started"),
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


def change(
    line: str,
    t: Say,
    states: Mapping[str, Pair],
    reasons: Mapping[str, Pair],
    places: Mapping[str, Pair],
    provinces: Mapping[str, Pair],
) -> str:
    """Return one line of a comparison of policies in words: what, before, after."""
    name, _, values = line.partition(": ")
    before, _, after = values.partition(" -> ")
    if name == "source":
        before, after = source(before, t), source(after, t)
    what = _name(name, t, states, reasons, places, provinces)
    return f"{what}: {_value(before, t, reasons)} → {_value(after, t, reasons)}"


def _name(
    name: str,
    t: Say,
    states: Mapping[str, Pair],
    reasons: Mapping[str, Pair],
    places: Mapping[str, Pair],
    provinces: Mapping[str, Pair],
) -> str:
    parts = name.split(".")

    def said(words: Mapping[str, Pair], code: str) -> str:
        return t(*words.get(code, (code, code)))

    if parts[0] == "province" and len(parts) == 5:
        rest = _name(".".join(parts[2:]), t, states, reasons, places, provinces)
        return f"{said(provinces, parts[1])} {rest}"
    if parts[0] == "node" and len(parts) == 3:
        return f"{said(states, parts[1])} {said(_FIELDS, parts[2])}"
    if parts[0] == "destination" and len(parts) == 3:
        return f"{said(reasons, parts[1])} → {said(places, parts[2])}"
    if name.startswith("phase "):
        return phase(name[6:], t)
    if name.startswith("target "):
        _, which, what = name.split(" ", 2)
        way = t("升学衔接", "further study") if which == "SX" else t("学社衔接", "to society")
        return f"{t('目标', 'target')} {way} {_value(what, t, reasons)}"
    return said(_FIELDS, name)


def _value(value: str, t: Say, reasons: Mapping[str, Pair]) -> str:
    phase = re.fullmatch(r"(\S+) to (\S+), clock (\w+), withdraw until (\w+)", value)
    if phase:
        clock = (
            t("期限生效", "deadlines fire") if phase[3] == "True" else t("期限暂不生效", "no deadline fires")
        )
        withdrawn = f"{t('可以撤销', 'may be withdrawn')}: {_value(phase[4], t, reasons)}"
        return f"{phase[1]} {t('至', 'to')} {phase[2]}, {clock}, {withdrawn}"
    share = re.fullmatch(r"(\d+%) by (\S+)", value)
    if share:
        return f"{share[2]} {t('前达到', 'at least')} {share[1]}"
    for code, words in reasons.items():
        value = re.sub(rf"'?\b{code}\b'?", t(*words), value)
    return t(*_VALUES[value]) if value in _VALUES else value.replace(" to ", f" {t('至', 'to')} ")


def source(text: str, t: Say) -> str:
    """Return where a policy's rules come from."""
    said = re.sub(
        r"section (\d+), column Default",
        r"规则目录第\1节默认值",
        re.sub(r" ?\([^()]*[a-z]{3}[^()]*\)", "", text),
    )
    return t(said, text)
