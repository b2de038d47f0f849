"""The course of a transfer: its nodes one after another, and who did what (BEY-02)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from services.gateway.kit.language import gettext as _
from services.gateway.kit.page import policy_name, why, word
from services.gateway.kit.timeline import Phone, Step
from shared import clock
from shared.messages.words import OnExpiry, System, TrailEvent, TransferState
from shared.translations import N_

_SAID_THERE = (
    *(TrailEvent.ACCEPTED, TrailEvent.REFUSED_THERE, TrailEvent.INTEGRATED),
    *(TrailEvent.SENT_BACK, TrailEvent.CALLED_OFF),
)
"""What another system has said (FED-10)."""
_STOPPED = (TrailEvent.WITHDRAW, TrailEvent.CALLED_OFF)
_FAILED = (
    *(TrailEvent.REJECT, TrailEvent.CLOCK_RETURN, TrailEvent.REFUSED_THERE, TrailEvent.SENT_BACK),
    *(TrailEvent.RECORD_REFUSED, TrailEvent.GIVEN_UP),
)
_CLOSES = (
    *(TrailEvent.APPROVE, TrailEvent.CLOCK_APPROVE, TrailEvent.ASSIGN),
    *(TrailEvent.ACCEPTED, TrailEvent.INTEGRATED, TrailEvent.RECORD_TAKEN),
    *_STOPPED,
    *_FAILED,
)
"""What closes a node."""
_WAITS = {
    TransferState.REMOTE: N_("已提交对方系统,等待答复"),
    TransferState.HANDOVER: N_("档案已移交,等待对方接收"),
    TransferState.ARRIVAL: N_("本系统已同意,等待对方移交档案"),
}
"""What is waited for at the nodes of another system (FED-13); nobody there reads a reminder from here."""
_SENT = {
    TransferState.REMOTE: N_("申请发往对方系统"),
    TransferState.HANDOVER: N_("档案发往对方系统"),
    TransferState.ARRIVAL: N_("同意的答复发往对方系统"),
}
"""What is sent when such a node is opened."""
UNANSWERED = timedelta(days=1)
"""For how long a system may be without a receipt before the page says that it does not answer (FED-13)."""


def steps(progress: Any, orgs: Mapping[int, Any], people: Mapping[int, Any]) -> list[Step]:
    """Return the timeline of a transfer: the request, each node with who has it and until when, the end."""
    item, closed = progress.transfer, _closed(progress)
    return [
        Step("done", _("提交接转申请"), item.created_at),
        *(_node(progress, node, closed, orgs, people) for node in progress.path),
        _end(item),
    ]


def system_of(item: Any) -> str:
    """Return what the other system of a transfer is called, empty for none."""
    return word(System.known(item.peer or ""))


def now_there(progress: Any, mine: bool) -> str:
    """Return what happens now with a transfer in another system, in plain words, empty where it is not there.

    What there is to do, nothing, is said as well; `mine`: to the member, otherwise to an office.
    """
    item = progress.transfer
    if item.ended_at is not None or not is_there(item):
        return ""
    there = system_of(item) or _("对方系统")
    if item.state == TransferState.HANDOVER:
        now = _(
            "%(system)s已同意接收,档案正在移交;对方接收之前,组织关系仍在原团支部,资料暂不能修改。",
            system=there,
        )
    elif item.state == TransferState.ARRIVAL:
        now = _("已同意接收,正在等待%(system)s移交档案;档案一到,自动转入。", system=there)
    elif _is_silent(progress):
        now = _(
            "申请已发往%(system)s,对方还没有签收。系统会一直重发,申请不会丢失;请不要重复申请,期限照常计算。",
            system=there,
        )
    else:
        now = _("申请已发往%(system)s,正在等待对方审批。", system=there)
    if mine:
        return now + _(
            "您现在不用做什么,有进展会收到消息;想了解进度的,可以打这里的电话,或联系原团支部的管理员。"
        )
    return now + _("本系统现在不用办理。")


def is_unread(progress: Any) -> bool:
    """Return whether the other system has to decide on what it has not acknowledged yet (FED-13)."""
    return (
        progress.transfer.state == TransferState.REMOTE
        and progress.receipted_at is None
        and not progress.remote
    )


def _is_silent(progress: Any) -> bool:
    """Return whether the other system has not acknowledged an offer for long (FED-13)."""
    opened = progress.transfer.node_opened_at
    return progress.receipted_at is None and opened is not None and clock.now() - opened >= UNANSWERED


def is_there(item: Any) -> bool:
    """Return whether a transfer waits at a node of another system, where nobody here decides (FED-08)."""
    return item.state in _WAITS


def desk(progress: Any) -> Any:
    """Return at whose desk a transfer lies in another system now, as that says itself, or None (FED-13)."""
    there = progress is not None and progress.transfer.state == TransferState.REMOTE
    return progress.remote[-1] if there and progress.remote else None


def by_whom(
    step: Any, orgs: Mapping[int, Any], people: Mapping[int, Any], at: int | None = 0, there: str = ""
) -> str:
    """Return the organisation and the person of a step of the trail.

    Without a person it was the system, or the other one.

    `at`: the organisation that is named already, if any; `there`: what the other system is called, if it
    is known.
    """
    if step.event in _SAID_THERE:
        return there or _("对方系统")
    org, person = orgs.get(step.org_id), people.get(step.person_id)
    named = [
        org.full_name if org is not None and step.org_id != at else "",
        person.name if person is not None else "",
    ]
    if not step.person_id:
        named.append(_("系统"))
    return " ".join(one for one in named if one)


def refused_by(progress: Any) -> Any:
    """Return the last step of the trail by which somebody, or the clock, ended the transfer, None without."""
    ends = [step for step in progress.steps if step.event in (*_FAILED, "unavailable")]
    return ends[-1] if ends else None


def _closed(progress: Any) -> dict[int, Any]:
    """Return by node number the step of the trail that closed it."""
    found: dict[int, Any] = {}
    ahead = iter(progress.path)
    begun = False
    for step in progress.steps:
        begun = begun or step.event == "reserved"
        if begun and step.event in _CLOSES:
            node = next(ahead, None)
            if node is None:
                break
            found[node.node_no] = step
    return found


def _node(
    progress: Any,
    node: Any,
    closed: Mapping[int, Any],
    orgs: Mapping[int, Any],
    people: Mapping[int, Any],
) -> Step:
    item, step = progress.transfer, closed.get(node.node_no)
    org = orgs.get(node.org_id)
    failed = step is not None and step.event in _FAILED
    opened = step is None and not item.ended_at and (item.node_no, item.state) == (node.node_no, node.state)
    lines: list[tuple[str | datetime, ...]] = []
    if step is not None or opened:
        lines += _crossed(progress, node, closed)
    if step is not None:
        lines.append((f"{word(step.event)}:", _decider(progress, node, step, orgs, people), step.at))
    if failed:
        lines += [(one,) for one in (why(item.end_code), item.end_note) if one]
    if opened and is_there(item):
        # before it has acknowledged that it has it, nobody there can answer, as the lines above say
        lines += [] if is_unread(progress) else [(word(_WAITS[item.state]),)]
    elif opened:
        lines.append((*((item.node_opened_at,) if item.node_opened_at else ()), _("收到,等待审批")))
    if opened:
        then = word(item.on_expiry) if item.expires_at else word(OnExpiry.REMIND)
        if item.expires_at or not is_there(item):
            lines.append((_("最迟"), item.expires_at, then) if item.expires_at else (then,))
    if failed:
        style = "failed"
    elif step is not None:
        style = "stopped" if step.event in _STOPPED else "done"
    else:
        style = "open" if opened else "ahead"
    at_desk = desk(progress) if opened else None  # whose number stands beside it
    called = org.phone if org is not None and (at_desk is None or not at_desk.phone) else ""
    typed = item.target_name if node.state in _SENT and node.state != TransferState.ARRIVAL else ""
    return Step(
        style,
        word(node.state),
        tag=step.event if step is not None and failed else "",
        where=org,
        typed=(item.peer, typed) if typed else (),
        phone=called if failed or step is None else "",
        lines=tuple(lines),
        sources=("DL-01", policy_name(item.policy)) if opened else (),
    )


def _decider(progress: Any, node: Any, step: Any, orgs: Mapping[int, Any], people: Mapping[int, Any]) -> str:
    """Return who closed a node; in another system the desk at which it lay last, if that has told."""
    there = system_of(progress.transfer)
    if node.state == TransferState.REMOTE and progress.remote and there:
        there = f"{there} · {progress.remote[-1].organisation}"
    return by_whom(step, orgs, people, node.org_id, there)


def _crossed(progress: Any, node: Any, closed: Mapping[int, Any]) -> list[tuple[str | datetime, ...]]:
    """Return what crossed the border at a node: sent, acknowledged, at whose desks it lay (FED-13)."""
    if node.state not in _SENT:
        return []
    before = closed.get(node.node_no - 1)
    sent = before.at if before is not None else _reserved(progress)
    lines: list[tuple[str | datetime, ...]] = [(f"{word(_SENT[node.state])}:", *((sent,) if sent else ()))]
    if node.state != TransferState.REMOTE:
        return lines
    if progress.receipted_at is not None:
        lines.append((_("对方系统签收:"), progress.receipted_at))
    elif node.node_no not in closed:
        lines.append((_("对方系统尚未签收,一直在重发"),))
    return lines + [_desk(one) for one in progress.remote]


def _reserved(progress: Any) -> datetime | None:
    """Return when the first node of a transfer was opened."""
    found: datetime | None = next(
        (one.at for one in progress.steps if one.event == TrailEvent.RESERVED), None
    )
    return found


def _desk(one: Any) -> tuple[str | datetime, ...]:
    """Return at whose desk a transfer lies in another system, with the number to call (FED-13)."""
    until = (_("最迟"), one.until) if one.until is not None else ()
    return (one.since, one.organisation, *((Phone(one.phone),) if one.phone else ()), *until)


def _end(item: Any) -> Step:
    if not item.ended_at:
        return Step("ahead", _("完成"))
    bad = item.state in ("rejected", "returned", "refused")
    style = "failed" if bad else "stopped" if item.state == "withdrawn" else "done"
    reason = why(item.end_code)
    return Step(style, word(item.state), item.ended_at, lines=((reason,),) if reason else ())
