"""What operators of a bridge do (FED-11, BEY-16): administrators of the root organisation alone.

One transaction at a time does what they ask for, so that of two that send the same command the second finds
the answer of the first. Each change is written down with its reason, identity and mobile numbers taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.engine import Connection

from services.federation import homes
from services.federation import store as bridge_store
from services.federation.handovers import Bridge, Deed, perform
from services.federation.keys import NoKey
from services.federation.operating import days, rules, store, views
from services.federation.operating.desk import bridge_of, log_of
from services.federation.operating.rules import Repair, Standing
from services.federation.protocol import Act, Side
from services.federation.quarantine import Decision, Wish, decide
from services.federation.reconcile import missing_of
from services.federation.schemas import Query, Refused
from services.federation.store import Place
from shared import audit, clock, commands, directory, messages
from shared.audit import Entry, by
from shared.bus.service import Asked, CommandHandler, QueryHandler
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages import Command
from shared.messages import federation as contract
from shared.messages.federation import ArrivalGivenUp, Operated
from shared.messages.transfers import RemoteOpened
from shared.messages.words import BridgeReason
from shared.outbox import emit

OLDEST = timedelta(days=3660)
"""How far back a day may be that is compared by hand."""
Item = TypeVar("Item")


class Wanted(NamedTuple):
    """What is asked for, by whom, and why, without numbers of people."""

    at: int
    asked: Asked[Any]
    reason: str

    @property
    def item(self) -> Any:
        """Return the item of the command."""
        return self.asked.item


Do = Callable[[Connection, Bridge, Sequence[Wanted], datetime], dict[int, Operated]]


def _operate(
    tx: Connection, asked: list[Asked[Item]], kind: str, do: Do, reasoned: bool = True
) -> list[Operated]:
    """Do what operators ask for, each command once; write down what was done.

    Args:
        tx: The caller's transaction.
        asked: The list.
        kind: What the audit log calls it.
        do: Does what is asked for by those who may; returns the answers by the places of their items.
        reasoned: Whether a reason has to be given.

    """
    store.hold(tx)
    return commands.once_remembered(  # type: ignore[type-var]
        tx, asked, Operated, partial(_decide, tx, kind, do, reasoned), _refused
    )


def _refused(item: object, refusal: Refusal) -> Operated:
    return Operated(refusal=refusal)


def _decide(tx: Connection, kind: str, do: Do, reasoned: bool, fresh: Sequence[Asked[Any]]) -> list[Operated]:
    bridge = bridge_of(tx)
    acting = directory.administering(tx, (one.actor for one in fresh))
    roots = _roots(tx, acting)
    answers: dict[int, Operated] = {}
    wanted = []
    for at, one in enumerate(fresh):
        reason = audit.without_numbers(getattr(one.item, "reason", "")).strip()
        refusal = None
        if one.actor not in roots:
            refusal = Refusal("operators_only" if one.actor in acting else "not_administrator")
        elif one.item.peer != bridge.peer:
            refusal = Refusal("no_bridge")
        elif reasoned and not reason:
            refusal = Refusal("operating_reason_missing")
        if refusal is not None:
            answers[at] = Operated(refusal=refusal)
        else:
            wanted.append(Wanted(at, one, reason))
    if wanted:
        try:
            answers |= do(tx, bridge, wanted, clock.now())
        except NoKey:
            answers |= {one.at: _refusal("bridge_without_key") for one in wanted}
        _write_down(tx, bridge, kind, [one for one in wanted if answers[one.at].refusal is None])
    return [answers[at] for at in range(len(fresh))]


def _roots(tx: Connection, acting: set[Actor]) -> set[Actor]:
    """Return those of some administrators who act for the root organisation."""
    orgs = directory.find(tx, [actor.org_id for actor in acting])
    return {actor for actor in acting if actor.org_id in orgs and orgs[actor.org_id].parent_id is None}


def _write_down(tx: Connection, bridge: Bridge, kind: str, done: Sequence[Wanted]) -> None:
    """Write a line for each command that has changed something."""
    subjects = {one.item.subject for one in done if hasattr(one.item, "subject")}
    owns = store.find(tx, subjects) if subjects else {}
    log_of(bridge.peer).append(tx, [_entry(bridge, kind, one, owns) for one in done])


def _entry(bridge: Bridge, kind: str, one: Wanted, owns: dict[str, store.Own]) -> Entry:
    item = one.item
    own = owns.get(getattr(item, "subject", ""))
    named = (getattr(item, name, None) for name in ("subject", "seq", "kind", "day"))
    after = {"decision": item.decision} if hasattr(item, "decision") else None
    return Entry(
        kind=kind,
        place_id=own.org_id if own is not None else None,
        persons=[own.person_id] if own is not None and own.person_id is not None else [],
        ref=f"bridge {' '.join([bridge.peer, *(str(part) for part in named if part)])}",
        after=after,
        note=one.reason,
        **by(one.asked),
    )


def _refusal(code: str, **values: str) -> Operated:
    return Operated(refusal=Refusal(code, values))


# ---- the line ------------------------------------------------------------------------------------


def pause_bridges(tx: Connection, asked: list[Asked[contract.PauseBridge]]) -> list[Operated]:
    """Let nothing go out to the peer from now on; what comes is taken (FED-11)."""
    return _operate(tx, asked, "bridge.paused", _pause)


def _pause(tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime) -> dict[int, Operated]:
    first = wanted[0]
    done = bridge_store.pause(tx, now, first.asked.actor.person_id, first.reason)
    return _the_first(wanted, done, "bridge_paused")


def resume_bridges(tx: Connection, asked: list[Asked[contract.ResumeBridge]]) -> list[Operated]:
    """Let everything go out again (FED-11)."""
    return _operate(tx, asked, "bridge.resumed", _resume, reasoned=False)


def _resume(tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime) -> dict[int, Operated]:
    return _the_first(wanted, bridge_store.pause(tx, None), "bridge_not_paused")


def _the_first(wanted: Sequence[Wanted], done: bool, code: str) -> dict[int, Operated]:
    """Return the answers where only the first of several can have done it."""
    answers = {one.at: _refusal(code) for one in wanted}
    if done:
        answers[wanted[0].at] = Operated(count=1)
    return answers


def send_again(tx: Connection, asked: list[Asked[contract.SendAgain]]) -> list[Operated]:
    """Send messages again that are parked or receipted: the same bytes, which do no harm to who has them.

    A transfer that is none of this bridge is `unknown_crossing`.
    """
    return _operate(tx, asked, "bridge.sent_again", _send_again, reasoned=False)


def _send_again(
    tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime
) -> dict[int, Operated]:
    known = store.find(tx, {one.item.subject for one in wanted})
    sent = bridge_store.send_again(tx, {Place(one.item.subject, one.item.seq) for one in wanted}, now)
    answers = {}
    for one in wanted:
        own = {
            place for place in sent if place.subject == one.item.subject and one.item.seq in (0, place.seq)
        }
        sent -= own  # of two that want the same the first has done it
        if own:
            answers[one.at] = Operated(count=len(own))
        else:
            known_one = one.item.subject in known
            answers[one.at] = _refusal("nothing_to_send_again" if known_one else "unknown_crossing")
    return answers


# ---- quarantine ----------------------------------------------------------------------------------


def decide_quarantine(tx: Connection, asked: list[Asked[contract.DecideQuarantine]]) -> list[Operated]:
    """Do with messages in quarantine what operators say, in this order (FED-11)."""
    return _operate(tx, asked, "bridge.decided", _decide_quarantine)


def _decide_quarantine(
    tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime
) -> dict[int, Operated]:
    known = [one for one in wanted if one.item.decision in set(Decision)]
    waiting = store.in_quarantine(tx, {Place(one.item.subject, one.item.seq) for one in known})
    there = [one for one in known if Place(one.item.subject, one.item.seq) in waiting]
    wishes = [
        Wish(
            Place(one.item.subject, one.item.seq),
            Decision(one.item.decision),
            one.reason,
            one.asked.actor.person_id,
        )
        for one in there
    ]
    answers = {one.at: _refusal("decision_of_quarantine") for one in wanted}
    answers |= {one.at: _refusal("quarantine_closed") for one in known}
    done = decide(tx, bridge, wishes, now) if wishes else []
    for one, did in zip(there, done, strict=True):
        answers[one.at] = Operated(count=1) if did else _refusal("quarantine_impossible")
    return answers


# ---- reconciliation ------------------------------------------------------------------------------


def reconcile_now(tx: Connection, asked: list[Asked[contract.ReconcileNow]]) -> list[Operated]:
    """Have days compared with the peer, by the loop and not in the request (BEY-16)."""
    return _operate(tx, asked, "bridge.reconciled", _reconcile, reasoned=False)


def _reconcile(
    tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime
) -> dict[int, Operated]:
    today = clock.day_of(now)
    oldest = today - OLDEST
    fit = [one for one in wanted if one.item.day is None or rules.is_comparable(one.item.day, today, oldest)]
    answers = {one.at: _refusal("day_not_comparable", since=str(oldest)) for one in wanted}
    chosen = {one.item.day for one in fit if one.item.day is not None}
    every = set(days.recent(tx, today)) if any(one.item.day is None for one in fit) else set()
    store.want(tx, chosen | every, now)
    answers |= {one.at: Operated(count=1 if one.item.day is not None else len(every)) for one in fit}
    return answers


def repair_differences(tx: Connection, asked: list[Asked[contract.RepairDifference]]) -> list[Operated]:
    """Do what is proposed for differences, or keep that somebody has seen to them (BEY-16).

    What is sent again, asked for or corrected here is not confirmed: the next comparison, which is wanted
    then, finds it gone or not.
    """
    return _operate(tx, asked, "bridge.repaired", _repair)


def _repair(tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime) -> dict[int, Operated]:
    names = {store.Named(one.item.subject, one.item.kind) for one in wanted}
    owns = store.find(tx, {name.subject for name in names})
    standing = store.standing_ones(tx, names)
    answers = {one.at: _refusal("difference_closed") for one in wanted}
    first = {store.Named(one.item.subject, one.item.kind): one for one in reversed(wanted)}
    first = {name: one for name, one in first.items() if name in standing}
    how = {name: rules.repair(name.kind, _standing(owns.get(name.subject))) for name in first}
    bridge_store.miss(
        tx, [missing_of(bridge, standing[name]) for name, one in how.items() if one is Repair.SAY], now
    )
    asks = sorted({name.subject for name, one in how.items() if one is Repair.ASK})
    if asks:
        perform(tx, bridge, [_question(owns[subject]) for subject in asks], now)
    corrected = homes.correct(
        tx, bridge, {name.subject for name, one in how.items() if one is Repair.CORRECT}
    )
    if Repair.READ in how.values():
        bridge_store.read_anew(tx, now)
    left = {
        name
        for name, one in how.items()
        if one is Repair.CONFIRM or (one is Repair.CORRECT and name.subject not in corrected)
    }
    confirmed = [
        store.Confirmed(name.subject, name.kind, first[name].asked.actor.person_id, first[name].reason)
        for name in sorted(left)
    ]
    store.confirm(tx, confirmed, now)
    store.want(tx, {standing[name].day for name in how.keys() - left}, now)
    answers |= {one.at: Operated(count=1) for one in first.values()}
    return answers


def _standing(own: store.Own | None) -> Standing | None:
    return None if own is None else Standing(own.side, own.state, own.heard)


def _question(own: store.Own) -> Deed:
    return Deed(own.subject, Act.ASK, Query(about="transfer", heard_seq=own.their_seq))


# ---- what only a person ends ---------------------------------------------------------------------


def release_members(tx: Connection, asked: list[Asked[contract.ReleaseMember]]) -> list[Operated]:
    """End the doubt about members whose record the peer has signed never to have seen (FED-11).

    It has bound itself to refuse that record for ever, so the member is ours alone; transfers is told.
    """
    return _operate(tx, asked, "bridge.released", _release)


def _release(tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime) -> dict[int, Operated]:
    known = store.find(tx, {one.item.subject for one in wanted})
    there = [one for one in wanted if one.item.subject in known]
    answers = {one.at: _refusal("unknown_crossing") for one in wanted}
    done = perform(tx, bridge, [Deed(one.item.subject, Act.RELEASE, None) for one in there], now)
    for one, did in zip(there, done, strict=True):
        answers[one.at] = Operated(count=1) if did else _refusal("not_to_release")
    return answers


def give_up_arrivals(tx: Connection, asked: list[Asked[contract.GiveUpArrival]]) -> list[Operated]:
    """Do not wait any longer for records; those that come all the same are sent back (FED-11).

    The peer is told, which binds us; transfers is told in the same transaction.
    """
    return _operate(tx, asked, "bridge.given_up", _give_up)


def _give_up(tx: Connection, bridge: Bridge, wanted: Sequence[Wanted], now: datetime) -> dict[int, Operated]:
    known = store.find(tx, {one.item.subject for one in wanted})
    answers = {
        one.at: _refusal("not_to_give_up" if one.item.subject in known else "unknown_crossing")
        for one in wanted
    }
    there = [one for one in wanted if one.item.subject in known and _is_known(known[one.item.subject])]
    deeds = [
        Deed(one.item.subject, Act.GIVE_UP, Refused(reason=BridgeReason.GIVEN_UP, text=one.reason))
        for one in there
    ]
    done = perform(tx, bridge, deeds, now)
    given = [one for one, did in zip(there, done, strict=True) if did]
    emit(tx, [_given_up(bridge, known[one.item.subject], one.reason) for one in given])
    answers |= {one.at: Operated(count=1) for one in given}
    return answers


def _is_known(own: store.Own) -> bool:
    """Return whether transfers and members know somebody who comes."""
    return own.side == Side.RECEIVER and own.transfer_id is not None and own.person_id is not None


def _given_up(bridge: Bridge, own: store.Own, reason: str) -> ArrivalGivenUp:
    return ArrivalGivenUp(
        transfer_id=own.transfer_id or 0, peer=bridge.peer, person_id=own.person_id or 0, note=reason
    )


# ---- whose transfers they are --------------------------------------------------------------------


def on_remote_opened(tx: Connection, bridge: Bridge, items: list[RemoteOpened]) -> None:
    """Keep whose transfers lead to this peer, so that it is known who may look at them."""
    store.depart(tx, {f"{bridge.me}:{one.transfer_id}": one for one in items})


# A table is read by its columns.
# fmt: off
COMMANDS: dict[Command, CommandHandler] = {
    contract.pause_bridges:      pause_bridges,
    contract.resume_bridges:     resume_bridges,
    contract.send_again:         send_again,
    contract.decide_quarantine:  decide_quarantine,
    contract.reconcile_now:      reconcile_now,
    contract.repair_differences: repair_differences,
    contract.release_members:    release_members,
    contract.give_up_arrivals:   give_up_arrivals,
}
QUERIES: dict[messages.Query, QueryHandler] = {
    contract.get_bridge:         views.get_bridge,
    contract.list_handovers:     views.list_handovers,
    contract.get_messages:       views.get_messages,
    contract.get_evidence:       views.get_evidence,
    contract.list_quarantine:    views.list_quarantine,
    contract.list_differences:   views.list_differences,
    contract.list_bridge_audit:  views.list_bridge_audit,
}
# fmt: on
