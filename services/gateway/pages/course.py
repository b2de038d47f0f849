"""The course of a transfer: its nodes one after another, and who did what (BEY-02)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.gateway.kit.language import gettext as _
from services.gateway.kit.page import policy_name, why, word
from services.gateway.kit.timeline import Step
from shared.messages.words import OnExpiry, TrailEvent, TransferState
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


def steps(progress: Any, orgs: Mapping[int, Any], people: Mapping[int, Any]) -> list[Step]:
    """Return the timeline of a transfer: the request, each node with who has it and until when, the end."""
    item, closed = progress.transfer, _closed(progress)
    return [
        Step("done", _("提交接转申请"), item.created_at),
        *(
            _node(item, node, closed.get(node.node_no), orgs, people, progress.remote)
            for node in progress.path
        ),
        _end(item),
    ]


def is_there(item: Any) -> bool:
    """Return whether a transfer waits at a node of another system, where nobody here decides (FED-08)."""
    return item.state in _WAITS


def desk(progress: Any) -> Any:
    """Return at whose desk a transfer lies in another system now, as that says itself, or None (FED-13)."""
    there = progress is not None and progress.transfer.state == TransferState.REMOTE
    return progress.remote[-1] if there and progress.remote else None


def by_whom(step: Any, orgs: Mapping[int, Any], people: Mapping[int, Any], at: int | None = 0) -> str:
    """Return the organisation and the person of a step of the trail.

    Without a person it was the system, or the other one.

    `at`: the organisation that is named already, if any.
    """
    if step.event in _SAID_THERE:
        return _("对方系统")
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
    item: Any,
    node: Any,
    step: Any,
    orgs: Mapping[int, Any],
    people: Mapping[int, Any],
    remote: Sequence[Any],
) -> Step:
    org = orgs.get(node.org_id)
    failed = step is not None and step.event in _FAILED
    opened = step is None and not item.ended_at and (item.node_no, item.state) == (node.node_no, node.state)
    lines: list[tuple[str | datetime, ...]] = []
    if step is not None:
        lines.append((f"{word(step.event)}:", by_whom(step, orgs, people, node.org_id), step.at))
    if failed:
        lines += [(one,) for one in (why(item.end_code), item.end_note) if one]
    if node.state == TransferState.REMOTE:
        lines += [_desk(one) for one in remote]
    if opened:
        since = (item.node_opened_at,) if item.node_opened_at else ()
        lines.append((*since, word(_WAITS.get(item.state, "")) or _("收到,等待审批")))
        then = word(item.on_expiry) if item.expires_at else word(OnExpiry.REMIND)
        lines.append((_("最迟"), item.expires_at, then) if item.expires_at else (then,))
    if failed:
        style = "failed"
    elif step is not None:
        style = "stopped" if step.event in _STOPPED else "done"
    else:
        style = "open" if opened else "ahead"
    return Step(
        style,
        word(node.state),
        tag=step.event if failed else "",
        where=org,
        phone=org.phone if org is not None and (failed or step is None) else "",
        lines=tuple(lines),
        sources=("DL-01", policy_name(item.policy)) if opened else (),
    )


def _desk(one: Any) -> tuple[str | datetime, ...]:
    """Return at whose desk a transfer lies in another system, with the number to call (FED-13)."""
    until = (_("最迟"), one.until) if one.until is not None else ()
    return (one.since, one.organisation, *((one.phone,) if one.phone else ()), *until)


def _end(item: Any) -> Step:
    if not item.ended_at:
        return Step("ahead", _("完成"))
    bad = item.state in ("rejected", "returned", "refused")
    style = "failed" if bad else "stopped" if item.state == "withdrawn" else "done"
    reason = why(item.end_code)
    return Step(style, word(item.state), item.ended_at, lines=((reason,),) if reason else ())
