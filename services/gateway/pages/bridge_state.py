"""How a bridge is, as the overview says it: one line for each thing that may be wrong (FED-13)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.gateway.kit import word
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.kit.page import why as said_why
from shared import clock
from shared.errors import Refused
from shared.messages import federation, members
from shared.messages.words import BridgeMessage, HandoverState, Reason, System
from shared.translations import N_

SKEW = timedelta(minutes=10)
"""How far a clock may be off before messages are refused."""
KEY_DAYS = 14
"""Days before its end from which on a key is pointed out."""
DOUBT = timedelta(hours=1)
"""For how long a member may be on the way before that is pointed out, as the alert has it (FED-11)."""
SILENT_SECONDS = 900
"""For how long a message may be without a receipt before it is pointed out."""

CODES = {
    "not_authentic": N_("签名不能证明是对方发出的"),
    "malformed": N_("格式不对"),
    "id_reused": N_("同一编号有过不同的内容"),
    "expired": N_("已过期"),
    "clock": N_("时间超前,请核对双方时钟"),
    "version": N_("版本不支持"),
    "too_long": N_("内容过长"),
    "gap": N_("缺少前面的消息"),
    "too_many_held": N_("先到的消息太多"),
    "wrong_field": N_("有一项内容不对"),
    "prev does not fit": N_("与前一条消息接不上"),
}
"""Codes that only bridges have, in words."""
OUTCOMES = {
    "open": N_("办理中"),
    "on_the_way": N_("移交途中"),
    "moved": N_("已转移"),
    "kept": N_("未转移"),
}
"""How a transfer stands, as manifests of both sides say."""
_IMPOSSIBLE = re.compile(r"(\w+) at (\w+)")
_BRANCH = "unknown branch "


@dataclass(frozen=True)
class Fact:
    """A line of a bridge: what it is called, its words, whether it is `late` or `soon`."""

    label: str
    said: str
    colour: str = ""
    at: datetime | None = None
    """An instant that is told relative to now after the words."""
    path: str = ""
    more: str = ""
    """What stands beside the words, where there is more to say than a mark has room for."""


@dataclass(frozen=True)
class Card:
    """A bridge as the overview shows it; `bridge` is None where nothing is known of it, `why` says why."""

    peer: System
    state: str
    colour: str
    bridge: Any = None
    why: str = ""
    hint: str = ""
    """What is to be done about it."""
    facts: list[Fact] = field(default_factory=list)


def asked(peer: str) -> tuple[Any, Any]:
    """Return the call that asks how a bridge is, as `kit.calls` takes it."""
    return federation.get_bridge, federation.GetBridge(peer=peer)


REGISTRY = (members.get_registry_keys, members.GetRegistryKeys())
"""The call that asks for the keys of registries."""


def may_not(answer: Any) -> bool:
    """Return whether somebody is refused what the centre alone may ask."""
    return isinstance(answer, Refused) and answer.refusal.kind.status == 403


def card(peer: System, answer: Any, registry: Any = None) -> Card:
    """Return a bridge as the overview shows it, also one that does not answer.

    `registry`: what members has said of the registries' keys, if it was asked and has answered.
    """
    if isinstance(answer, Refused):
        absent = answer.code == "no_bridge"
        return Card(
            peer,
            _("未开通") if absent else _("对接服务没有应答"),
            "plain" if absent else "bad",
            why=answer.refusal.say(language()),
            hint="" if absent else _("请检查对接服务是否在运行;其他系统不受影响,未发出的消息不会丢失。"),
        )
    if answer.paused_at is not None:
        state, colour, hint = _("已暂停"), "soon", _("不再向对方发出消息;对方发来的照常接收。")
    elif answer.up is None:
        state, colour, hint = _("尚未连通过"), "plain", _("请核对对方地址和双方密钥。")
    elif answer.up:
        state, colour, hint = _("连通"), "good", ""
    else:
        state, colour = _("中断"), "bad"
        hint = _("系统会自动重试,恢复后从最早的消息发起;超过15分钟的,请致电对方运维。")
    return Card(peer, state, colour, answer, hint=hint, facts=_facts(peer, answer, registry))


def _facts(peer: System, one: Any, registry: Any) -> list[Fact]:
    """Return what is to be known of a bridge at a glance."""
    at = f"/bridges/{peer}"
    return [
        *_since(one),
        _skew(one.skew_ms),
        Fact(
            _("最早未签收"),
            word(one.oldest.type) if one.oldest else _("没有"),
            "late" if one.oldest and one.oldest.age > SILENT_SECONDS else "",
            one.oldest.said_at if one.oldest else None,
            f"{at}/messages?subject={one.oldest.subject}" if one.oldest else "",
        ),
        Fact(
            _("待发出"),
            _("%(n)s条", n=one.queues.waiting)
            + (_(",停发待处理%(n)s条", n=one.queues.parked) if one.queues.parked else ""),
            "late" if one.queues.parked else "",
        ),
        Fact(_("先到等待"), _("%(n)s条", n=one.queues.held)),
        Fact(
            _("隔离"),
            _("%(n)s条", n=one.queues.quarantined),
            "late" if one.queues.quarantined else "",
            path=f"{at}/quarantine" if one.queues.quarantined else "",
        ),
        Fact(
            _("移交存疑"),
            _("%(n)s人", n=one.in_doubt),
            doubt(one.in_doubt_since),
            one.in_doubt_since,
            f"{at}/transfers?doubt=1" if one.in_doubt else "",
        ),
        _errors(one.day),
        _keys(one.keys),
        *_registry_keys(peer, registry),
        _reconciled(one, at),
    ]


def doubt(since: datetime | None) -> str:
    """Return the colour of a member's being on the way since an instant: late once it is too long."""
    return "late" if since is not None and clock.now() - since >= DOUBT else ""


def _since(one: Any) -> list[Fact]:
    if one.paused_at is not None:
        return [Fact(_("暂停"), _("已暂停"), "soon", one.paused_at, more=one.paused_reason)]
    if one.up:
        return [Fact(_("连通"), "", "", one.up_since)]
    if one.up is None:
        return []
    return [Fact(_("中断"), _("已失败%(n)s次", n=one.failures), "late", one.down_since)]


def _skew(skew_ms: int | None) -> Fact:
    if skew_ms is None:
        return Fact(_("时钟偏差"), _("未知"))
    away = timedelta(milliseconds=abs(skew_ms))
    seconds = round(away.total_seconds())
    much = _("%(n)s分钟", n=seconds // 60) if seconds >= 120 else _("%(n)s秒", n=seconds)
    said = _("无偏差") if seconds < 1 else _("对方快%(much)s", much=much)
    if skew_ms < 0 and seconds >= 1:
        said = _("对方慢%(much)s", much=much)
    return Fact(_("时钟偏差"), said, "late" if away > SKEW else "soon" if away > SKEW / 2 else "")


def _errors(day: Any) -> Fact:
    every, wrong = day.sent + day.received, day.refused + day.not_taken
    if not every:
        return Fact(_("24小时差错率"), _("没有往来"))
    said = _(
        "发出%(sent)s条、被拒%(refused)s条;收到%(received)s条、未收%(left)s条",
        sent=day.sent,
        refused=day.refused,
        received=day.received,
        left=day.not_taken,
    )
    colour = "late" if wrong * 20 > every else "soon" if wrong else ""
    return Fact(_("24小时差错率"), f"{100 * wrong / every:.1f} %", colour, more=said)


def _keys(keys: Iterable[Any]) -> Fact:
    """Return when the first of the keys ends that are needed now."""
    used = [one for one in keys if one.in_use or (not one.own and one.days_left > 0 and not one.revoked)]
    if not used:
        return Fact(_("密钥"), _("没有可用的密钥"), "late")
    ours = [one for one in used if one.own]
    theirs = [one for one in used if not one.own]
    if not ours or not theirs:
        return Fact(_("密钥"), _("缺少本方密钥") if not ours else _("缺少对方密钥"), "late")
    # of several the one that lasts longest counts: they overlap when they are changed
    return _ends(_("密钥"), min(max(one.days_left for one in some) for some in (ours, theirs)))


def _registry_keys(peer: System, registry: Any) -> list[Fact]:
    """Return when the first of the keys ends that the two registries are sealed for."""
    if registry is None or isinstance(registry, Refused):
        return []
    label, left = _("档案密钥"), {one.peer: one.days_left for one in registry}
    for system, missing in ((System.NATIONAL, _("缺少本方密钥")), (peer, _("缺少对方密钥"))):
        if not left.get(system):
            return [Fact(label, missing, "late")]
    return [_ends(label, min(left[System.NATIONAL], left[peer]))]


def _ends(label: str, left: int) -> Fact:
    return Fact(label, _("%(n)s天后到期", n=left), "late" if left < 3 else "soon" if left < KEY_DAYS else "")


def _reconciled(one: Any, at: str) -> Fact:
    if not one.reconciled:
        return Fact(_("上次对账"), _("尚未对账"), "soon")
    last = max(one.reconciled, key=lambda day: day.compared_at)
    differing = one.differences
    said = _("%(n)s处差异待处理", n=differing) if differing else _("一致")
    return Fact(
        _("上次对账"),
        said,
        "late" if differing else "",
        last.compared_at,
        f"{at}/differences" if differing else "",
    )


def why(code: str) -> str:
    """Return in words why a message was refused, parked or set aside; what has none is shown as it is."""
    if found := _IMPOSSIBLE.fullmatch(code):
        said, state = BridgeMessage.known(found[1]), HandoverState.known(found[2])
        if state is not None:
            return _("业务处于“%(state)s”时,不会有“%(said)s”", state=word(state), said=word(said) or found[1])
    if code.startswith(_BRANCH):
        return _("对方团支部%(code)s还不在本系统的目录中", code=code.removeprefix(_BRANCH))
    if (given := Reason.known(code)) is not None:
        return word(given)  # with which an offer is made
    return word(CODES.get(code, "")) or said_why(code) or code
