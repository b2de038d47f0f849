"""What counts as a difference between two services, in words, and what heals it. Pure.

A difference that is found once may only be under way. It is looked at a second time, and is one only
if both sides still say the same: `seen` is what they said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from services.members.checks import Held, Moves
from services.scheduler.checks import Timer
from services.transfers.checks import Completed, Node, Open, Standing
from services.transfers.saga import FINAL, State
from shared.readings import Known, Rights


class Heal(StrEnum):
    """What may be told again; what has none waits for a person."""

    NONE = ""
    ASK = "ask_again"
    MOVE = "move_again"
    ASK_AND_MOVE = "ask_and_move_again"
    END = "end_again"
    OPEN = "open_again"
    LET_GO = "let_go"
    ORG = "tell_org"
    RIGHT = "tell_right"
    REPUBLISH = "republish"


class What(NamedTuple):
    """A sort of difference: its words in both languages, and what heals it."""

    zh: str
    en: str
    heal: Heal = Heal.NONE


SORTS: dict[str, What] = {
    # reservations: members <-> transfers, by member
    "held_by_unknown": What("团员被不存在的接转占用", "held by a transfer that does not exist", Heal.LET_GO),
    "held_by_ended": What("团员被已结束的接转占用", "held by a transfer that has ended", Heal.END),
    "held_by_completed": What("团员被已完成的接转占用", "held by a transfer that is completed"),
    "held_by_other": What(
        "占用团员的接转不是其办理中的接转", "held by another transfer than the member's open one"
    ),
    "open_not_held": What("接转办理中而团员未被占用", "the transfer is open, its member not held", Heal.ASK),
    "checking_unanswered": What(
        "接转一直未获团员服务答复", "the transfer waits for an answer of members", Heal.ASK
    ),
    "moving_unanswered": What(
        "接转已分配而团员一直未转入", "the transfer waits for its member to be moved", Heal.ASK_AND_MOVE
    ),
    "open_but_ended": What("接转已结束或不存在，仍列为办理中", "listed as open, but ended or not there"),
    # moves: members <-> transfers, by member
    "moved_by_unknown": What("团员因不存在的接转而转入", "moved by a transfer that does not exist"),
    "moved_by_uncompleted": What("团员已转入而接转未完成", "moved by a transfer that was not completed"),
    "moved_not_completed": What(
        "团员已转入而接转仍在转入中", "moved, but the transfer waits for it", Heal.MOVE
    ),
    "moved_elsewhere": What(
        "团员转入的团支部与接转不一致", "moved into another branch than the transfer says"
    ),
    "moved_twice": What("同一接转转入两次", "moved twice by one transfer"),
    "completed_not_moved": What(
        "接转已完成而团员未转入", "completed, but the member has not moved", Heal.ASK_AND_MOVE
    ),
    # timers: transfers <-> scheduler, by transfer
    "node_without_timer": What("待办节点没有计时", "an open node without a timer", Heal.OPEN),
    "timer_differs": What(
        "待办节点与计时的时刻不一致", "a timer with another instant than its node", Heal.OPEN
    ),
    "timer_of_ended": What("已结束的接转仍在计时", "a timer of a transfer that has ended", Heal.END),
    "timer_of_moved": What(
        "已分配的接转仍在计时", "a timer of a transfer that waits for nobody any more", Heal.MOVE
    ),
    "timer_of_unknown": What("不存在的接转在计时", "a timer of a transfer that does not exist", Heal.LET_GO),
    "timer_without_node": What("接转待审批而没有待办节点", "a timer of a transfer that waits at no node"),
    # directory: orgs <-> the copies of members and transfers, by organisation
    "org_missing": What("副本缺少团组织", "an organisation is missing in the copy", Heal.ORG),
    "org_differs": What("副本中的团组织不一致", "the copy of an organisation differs", Heal.ORG),
    "org_unknown": What("副本中有不存在的团组织", "the copy has an organisation that orgs does not know"),
    "right_missing": What("副本缺少管理权限", "a right is missing in the copy", Heal.RIGHT),
    "right_differs": What("副本中的管理权限不一致", "the copy of a right differs", Heal.RIGHT),
    "right_unknown": What("副本中有不存在的管理权限", "the copy has a right that orgs does not know"),
    # outbox: a publisher <-> its consumers' inboxes, by message
    "not_published": What("消息久未发出", "written, but not published for long"),
    "not_handled": What("消息已发出而未被处理", "published, but not handled", Heal.REPUBLISH),
    # looked at alone
    "chain_broken": What("审计链断裂", "an audit chain is broken"),
    "dead_letter": What("处理失败的消息待人工处理", "a message that failed for good"),
    "dead_messages": What("消息代理放弃的消息待人工处理", "messages that the broker has given up"),
    "schema_differs": What("数据库结构版本不一致", "the database has another schema than this program"),
    "clock_apart": What("时钟不一致", "clocks are apart"),
}


class Found(NamedTuple):
    """A difference, or what looks like one at the first look.

    Attributes:
        sort: Of `SORTS`.
        key: The key by which both sides were read.
        about: A second id: of the transfer, or of the person who has a right; 0 for none.
        seen: What both sides said.
        version: The highest that was seen of an organisation or a right.

    """

    sort: str
    key: int
    about: int
    seen: str
    version: int = 0


L = TypeVar("L", bound=tuple[Any, ...])
R = TypeVar("R", bound=tuple[Any, ...])


def merge(left: Iterable[L], right: Iterable[R]) -> Iterator[tuple[int, L | None, R | None]]:
    """Yield each key of two readings, both in the order of the key, with what each side has of it."""
    lefts, rights = iter(left), iter(right)
    one, other = next(lefts, None), next(rights, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one, None
            one = next(lefts, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other
            other = next(rights, None)
        else:
            yield one[0], one, other
            one, other = next(lefts, None), next(rights, None)


def lasting(first: Iterable[Found], again: Iterable[Found]) -> list[Found]:
    """Return what is still a difference at the second look, and still the same."""
    left = set(again)
    return [one for one in first if one in left]


# ---- reservations ----------------------------------------------------------------------------------


def reservations(member: int, held: Held | None, opened: Open | None) -> Iterator[Found]:
    """Compare by whom a member is held with the member's open transfer (TRF-02)."""
    holder = held.transfer_id if held else 0
    seen = f"held by {holder or 'none'}"
    if opened is not None:
        seen += f", open {opened.transfer_id} {opened.state} step {opened.steps}"
    if holder and (opened is None or opened.transfer_id != holder):
        yield Found("held_by_other", member, holder, seen)
    if opened is None:
        return
    if opened.state is None or opened.state in FINAL:
        yield Found("open_but_ended", member, opened.transfer_id, seen)
    elif opened.state == State.CHECKING:
        yield Found("checking_unanswered", member, opened.transfer_id, seen)
    elif opened.state == State.MOVING:
        yield Found("moving_unanswered", member, opened.transfer_id, seen)
    elif holder != opened.transfer_id:
        yield Found("open_not_held", member, opened.transfer_id, seen)


def moves(member: int, moved: Moves | None, completed: Completed | None) -> Iterator[Found]:
    """Compare the transfers that have moved a member with those that say so (TRF-35)."""
    done = dict(zip(moved.transfer_ids, moved.branch_ids, strict=True)) if moved else {}
    said = dict(zip(completed.transfer_ids, completed.branch_ids, strict=True)) if completed else {}
    if moved is not None and len(done) < len(moved.transfer_ids):
        for transfer in sorted({one for one in done if moved.transfer_ids.count(one) > 1}):
            yield Found("moved_twice", member, transfer, f"branches {moved.branch_ids}")
    for transfer in sorted(done.keys() | said.keys()):
        here, there = done.get(transfer), said.get(transfer)
        seen = f"moved to {here}, completed to {there}"
        if there is None:
            yield Found("moved_by_uncompleted", member, transfer, seen)
        elif here is None:
            yield Found("completed_not_moved", member, transfer, seen)
        elif here != there:
            yield Found("moved_elsewhere", member, transfer, seen)


# ---- timers ----------------------------------------------------------------------------------------


def timers(transfer: int, node: Node | None, timer: Timer | None) -> Iterator[Found]:
    """Compare an open node with what is watched of it (DL-01, DL-02)."""
    if node is not None and timer is None and not node.early:
        yield Found("node_without_timer", transfer, transfer, f"node {node.node_no}.{node.revision}")
    elif node is None and timer is not None:
        yield Found("timer_without_node", transfer, transfer, f"timer {timer.node_no}.{timer.revision}")
    elif node is not None and timer is not None and not _same_instants(node, timer):
        yield Found("timer_differs", transfer, transfer, f"node {_instants(node)}, timer {_instants(timer)}")


def _instants(one: Node | Timer) -> str:
    return f"{one.node_no}.{one.revision} {one.remind_at} {one.remind_every} {one.expires_at}"


def _same_instants(node: Node, timer: Timer) -> bool:
    same = (node.node_no, node.revision, node.remind_every, node.expires_at) == (
        timer.node_no,
        timer.revision,
        timer.remind_every,
        timer.expires_at,
    )
    return same and _same_rhythm(node.remind_at, node.remind_every, timer.remind_at)


def _same_rhythm(first: datetime | None, every: timedelta | None, watched: datetime | None) -> bool:
    """Return whether a reminder is watched that is the first one or a later one of its rhythm."""
    if first is None or watched is None:
        # one without a rhythm comes once, and is watched no longer
        return first == watched or (watched is None and every is None)
    if watched == first:
        return True
    # nearly: intervals and instants are rounded to microseconds
    off = (watched - first) % every if every else timedelta(1)
    return watched > first and every is not None and min(off, every - off) < timedelta(seconds=1)


# ---- the tree --------------------------------------------------------------------------------------


def organisations(org: int, real: Known | None, copy: Known | None) -> Iterator[Found]:
    """Compare an organisation with a service's copy of it."""
    seen = f"version {real.version if real else None}, copy {copy.version if copy else None}"
    version = max(one.version for one in (real, copy) if one is not None)
    if real is None:
        yield Found("org_unknown", org, 0, seen, version)
    elif copy is None:
        yield Found("org_missing", org, 0, seen, version)
    elif real.digest != copy.digest or copy.version > real.version:  # a copy that is ahead hears nothing more
        yield Found("org_differs", org, 0, f"{seen}, {real.digest[:8]} {copy.digest[:8]}", version)


def administrators(org: int, real: Rights | None, copy: Rights | None) -> Iterator[Found]:
    """Compare the rights over an organisation with a service's copy of them."""
    here, there = _by_person(real), _by_person(copy)
    for person in sorted(here.keys() | there.keys()):
        right, copied = here.get(person), there.get(person)
        version = max(one[0] for one in (right, copied) if one is not None)
        seen = f"{_right(right)}, copy {_right(copied)}"
        if right is None:
            yield Found("right_unknown", org, person, seen, version)
        elif copied is None:
            yield Found("right_missing", org, person, seen, version)
        elif right[1] != copied[1] or copied[0] > right[0]:
            yield Found("right_differs", org, person, seen, version)


def _right(one: tuple[int, str] | None) -> str:
    return f"{one[1]} version {one[0]}" if one else "None"


def _by_person(rights: Rights | None) -> dict[int, tuple[int, str]]:
    if rights is None:
        return {}
    return dict(zip(rights.persons, zip(rights.versions, rights.states, strict=True), strict=True))


# ---- what the transfers themselves say -------------------------------------------------------------


def named(found: Iterable[Found], standings: Mapping[int, Standing]) -> list[Found]:
    """Give differences the name that the transfer's own standing says, which the sides do not know."""
    return [one._replace(sort=_sort(one, standings.get(one.about))) for one in found]


def _sort(one: Found, standing: Standing | None) -> str:
    if one.sort == "held_by_other":
        return _holder(standing)
    if one.sort == "moved_by_uncompleted":
        if standing is None:
            return "moved_by_unknown"
        return "moved_not_completed" if standing.state == State.MOVING else one.sort
    if one.sort == "timer_without_node":
        return _watched(standing)
    return one.sort


def _holder(standing: Standing | None) -> str:
    if standing is None:
        return "held_by_unknown"
    if standing.state == State.COMPLETED:
        return "held_by_completed"
    return "held_by_ended" if standing.state in FINAL else "held_by_other"


def _watched(standing: Standing | None) -> str:
    if standing is None:
        return "timer_of_unknown"
    if standing.state in (State.MOVING, State.COMPLETED):
        return "timer_of_moved"
    return "timer_of_ended" if standing.state in FINAL else "timer_without_node"
