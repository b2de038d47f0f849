"""Use cases of the transfers service: lists in, lists out, inside the caller's transaction. No framework."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid5

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers import domain, reasons, store, transitions
from services.transfers.domain import OrgFacts
from services.transfers.figures import store as figures_store
from services.transfers.policies import store as policies_store
from services.transfers.policies.reader import Policy
from services.transfers.saga import FINAL, RELEASE_AGAIN, State, Trigger, refusal_of
from shared import clock, directory, metrics, reference
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor, Verifier
from shared.messages import transfers as contract
from shared.messages.members import GraduateChanged, MemberMoved, MemberReserved, ReservationRefused
from shared.messages.orgs import OrgChanged
from shared.messages.scheduler import DeadlineExpired, ReminderDue
from shared.messages.transfers import BatchAsked, Outcome


class Context:
    """What the handlers of a process need besides a transaction; set once at start."""

    verifier: Verifier


context = Context()
_NEVER, _FUTURE = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def _facts(row: sa.Row[Any], above: dict[int, sa.Row[Any]]) -> OrgFacts:
    """Return what the rules need of an organisation, given the rows of those above it."""
    parent = above.get(row.parent_id)
    schools = (one for one in _ancestors(row) if one in above and reference.is_school(above[one].industry))
    school = next(schools, None)  # the highest
    return OrgFacts(
        row.org_id,
        row.parent_id,
        row.path,
        row.kind,
        row.purpose,
        row.province,
        row.system,
        row.provincial_id,
        row.vault_id,
        row.name,
        row.industry,
        row.division_code or "",
        above[school].path if school is not None else "",
        parent is not None and parent.purpose == "township",
    )


def _ancestors(row: sa.Row[Any]) -> list[int]:
    """Return the ids from the root down to the organisation itself."""
    return [int(one) for one in str(row.path).split(".") if one]


def facts_of(tx: Connection, org_ids: Iterable[int | None]) -> dict[int, OrgFacts]:
    """Return what the rules need of organisations, by id; two look-ups for any number."""
    rows = directory.find(tx, list(org_ids))
    above = directory.find(tx, [one for row in rows.values() for one in _ancestors(row)])
    return {org_id: _facts(row, above) for org_id, row in rows.items()}


def on_org_changed(tx: Connection, items: list[OrgChanged]) -> None:
    """Keep the directory; a moved organisation's open nodes go to its new superior at once (BEY-17, MIG-09).

    A party of open transfers is neither deleted, set aside nor changed in kind: that is taken back
    (ORG-42, DEL-14).
    """
    changing = directory.on_org_changed(tx, items)
    moving = [row for row in changing if row.moves]
    store.reroute(tx, [{"org_id": row.org_id, "superior_id": row.parent_id} for row in moving])
    new = [item.org_id for item in items if item.version == 1]
    figures_store.follow_orgs(tx, [(row.org_id, row.path) for row in moving], new)
    leaving = [item.org_id for item in items if item.deleted or item.purpose == "awaiting"]
    turning = [row.org_id for row in changing if row.turns]
    store.refuse_changes(tx, [*leaving, *turning])


# ---- commands ------------------------------------------------------------------------------------


def request_transfers(
    tx: Connection, asked: list[Asked[contract.RequestTransfer]], known: bool = False
) -> list[Outcome]:
    """Start transfers (TRF-01..15).

    What can be checked here is checked, the rest is recorded, and the members service is asked to hold each
    member. A command id that was answered before gets its transfer again. Of two starts for one member
    exactly one wins (TRF-02). With `known` the target has shown before that it knows the member (BEY-04).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    items = [one.item for one in asked]
    orgs = facts_of(tx, (org_id for item in items for org_id in (item.source_branch_id, item.target_org_id)))
    policy = policies_store.active(tx, clock.now())
    place = domain.Place(policy.youth_centres, policy.destinations)
    window = _outside(policy)
    refusals: dict[int, Refusal] = {}
    rows = []
    for n, (item, actor) in enumerate((one.item, one.actor) for one in asked):
        source, target = orgs.get(item.source_branch_id), orgs.get(item.target_org_id or 0)
        acting_org = actor.org_id if actor in acting else None
        refusal = domain.check_request(item, source, target, place)
        if refusal is None and window is not None and reasons.reasons()[item.reason].graduate:
            refusal = window
        if refusal is None:
            assert source is not None
            refusal = domain.may_request(item, actor.person_id, acting_org, source, target)
        if refusal is None and not known:
            refusal = _check_ticket(item, actor)
        if refusal is not None:
            refusals[n] = refusal
            continue
        assert source is not None
        said = domain.concern(item, source, target, place) if target is not None else None
        row = request_row(n, item, actor.person_id, acting_org, source, target, policy)
        rows.append(row | {"concern": said[1] if said else ""})
    made = store.request(tx, rows) if rows else {}
    # Also for those refused above: a repeated command is answered as before, though it would fail by now.
    earlier = store.by_command(tx, [item.command_id for n, item in enumerate(items) if n not in made])
    second = [
        item.member_id
        for n, item in enumerate(items)
        if n not in made and n not in refusals and item.command_id not in earlier
    ]
    open_ones = store.in_the_way(tx, second) if second else {}
    outcomes = []
    for n, item in enumerate(items):
        if n in made:
            outcomes.append(Outcome(transfer_id=made[n], state=State.CHECKING))
        elif item.command_id in earlier:
            outcomes.append(_repeated(earlier[item.command_id], asked[n].actor))
        elif n in refusals:
            outcomes.append(Outcome(refusal=refusals[n]))
        else:
            outcomes.append(_second_start(item, open_ones.get(item.member_id)))
    return outcomes


def _repeated(row: sa.Row[Any], actor: Actor) -> Outcome:
    """Return what an earlier command of the same id started, to its own sender only."""
    if row.initiator_person_id != actor.person_id:
        return Outcome(refusal=Refusal("command_taken"))
    return Outcome(transfer_id=row.transfer_id, state=row.state, node_no=row.node_no, repeated=True)


def _second_start(item: contract.RequestTransfer, held: sa.Row[Any] | None) -> Outcome:
    """Refuse a start beside an open one (BEY-03).

    What stands in the way is told to the member and to whoever starts from the member's own branch. Those
    who name a branch that the member is not leaving learn no more than that the member is elsewhere.
    """
    if held is None:
        return Outcome(refusal=Refusal("transfer_open"))
    if item.initiator != "member" and held.source_branch_id != item.source_branch_id:
        return Outcome(refusal=Refusal("member_elsewhere"))
    return Outcome(refusal=Refusal("transfer_open"), open=_in_the_way(held))


def _in_the_way(row: sa.Row[Any]) -> contract.OpenTransfer:
    fields = contract.OpenTransfer.__struct_fields__
    return contract.OpenTransfer(**{name: row._mapping[name] for name in fields})


def move_batches(tx: Connection, asked: list[Asked[contract.MoveBatch]]) -> list[BatchAsked]:
    """Move members between branches below a committee, at once and without approval (BATCH-01..07).

    Every member has a transfer of their own (BATCH-06). Members with an open transfer are found here; where
    members have gone meanwhile is found by the members service, which holds all of a batch or none.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    parties = (
        org_id
        for one in asked
        for org_id in (one.item.source_branch_id, one.item.target_branch_id, one.actor.org_id)
    )
    orgs = facts_of(tx, parties)
    earlier = store.batches(tx, [one.item.command_id for one in asked])
    policy = policies_store.active(tx, clock.now())
    fresh = [one.item for one in asked if one.item.command_id not in earlier]
    held = store.with_open(tx, (member for item in fresh for member in item.member_ids))
    outcomes = []
    for one in asked:
        item, made = one.item, earlier.get(one.item.command_id)
        if made is not None:
            outcomes.append(_batch_again(item, made, one.actor))
            continue
        busy = {}
        for member in item.member_ids:
            if member in held:
                here = held[member] == item.source_branch_id
                busy[member] = Refusal("transfer_open" if here else "member_elsewhere")
        if one.actor in acting:
            refusal = domain.check_batch(item, orgs, one.actor.acting_org)
        else:
            refusal = Refusal("not_administrator")
        if refusal is None and reasons.reasons()[item.reason].graduate:
            refusal = _outside(policy)
        if refusal is not None:
            busy = {}  # whoever may not move anybody is told of nobody
        members = [member for member in item.member_ids if member not in busy]
        if refusal is None and busy and not (item.skip and members):
            refusal = Refusal("batch_stopped")
        if refusal is not None:
            outcomes.append(BatchAsked(batch_id=item.command_id, refusal=refusal, refused=busy))
            continue
        held |= dict.fromkeys(members, item.source_branch_id)  # a later batch of this call finds them so
        # With a size of 0 some of the members may be held without the others (BATCH-05).
        batch = {
            "concern": "",
            "batch_id": item.command_id,
            "batch_size": 0 if item.skip else len(members),
        }
        rows = []
        for n, member in enumerate(members):
            row = request_row(
                n,
                _request_of(item, member),
                one.actor.person_id,
                one.actor.acting_org,
                orgs[item.source_branch_id],
                orgs[item.target_branch_id],
                policy,
            )
            rows.append(row | batch)
        ids = store.request(tx, rows)
        made_ids = [ids[n] for n in sorted(ids)]
        outcomes.append(BatchAsked(batch_id=item.command_id, transfer_ids=made_ids, refused=busy))
    return outcomes


def _batch_again(item: contract.MoveBatch, made: dict[int, sa.Row[Any]], actor: Actor) -> BatchAsked:
    """Return the transfers of a batch move that was asked for before, to its own sender only."""
    if {row.initiator_person_id for row in made.values()} != {actor.person_id}:
        return BatchAsked(batch_id=item.command_id, refusal=Refusal("command_taken"))
    ids = [made[member].transfer_id for member in item.member_ids if member in made]
    return BatchAsked(batch_id=item.command_id, transfer_ids=ids, repeated=True)


def _request_of(item: contract.MoveBatch, member_id: int) -> contract.RequestTransfer:
    """Return the request for one member of a batch move; its command id follows from the batch's."""
    return contract.RequestTransfer(
        command_id=uuid5(item.command_id, str(member_id)),
        initiator="batch",
        member_id=member_id,
        source_branch_id=item.source_branch_id,
        target_org_id=item.target_branch_id,
        reason=item.reason,
        place_name=item.place_name,
        place_address=item.place_address,
        remark=item.remark,
        place_division=item.place_division,
    )


def get_batch(tx: Connection, request: contract.GetBatch, actor: Actor | None) -> list[contract.Transfer]:
    """Return the transfers of a batch move to the committee that asked for it."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    return [_shown(row) for row in store.of_batch(tx, request.batch_id, org_id)]


def _outside(policy: Policy) -> Refusal | None:
    """Return the refusal of graduates' transfers today, where the policy enforces its window (DL-10)."""
    if policy.in_window(clock.today()):
        return None
    days = map(_day, policy.window or ())
    return Refusal("outside_window", dict(zip(("begins", "ends"), days, strict=False)))


def _day(day: tuple[int, int]) -> str:
    return f"{day[0]}-{day[1]}"


def _check_ticket(item: contract.RequestTransfer, actor: Actor) -> Refusal | None:
    """Check that a start by the target follows a look-up of the member by the same organisation (TRF-05).

    The others need none: `may_request` has seen that they are the member or the source's side.
    """
    if item.initiator in ("member", "source"):
        return None
    try:
        claims = context.verifier.claims("member_ticket", item.ticket)
    except Refused:
        return Refusal("ticket_invalid")
    fits = (
        claims.get("sub") == str(item.member_id)
        and claims.get("org") == actor.org_id
        and claims.get("branch") == item.source_branch_id
    )
    return None if fits else Refusal("ticket_invalid")


def request_row(
    n: int,
    item: contract.RequestTransfer,
    person_id: int,
    acting_org: int | None,
    source: OrgFacts,
    target: OrgFacts | None,
    policy: Policy,
) -> dict[str, Any]:
    """Return what to record of a request that was found right, for `store.request`."""
    destination = domain.destination_of(item, target)
    # Without the node of the own branch the path begins as if that branch had started it (SPU-06).
    starter = "source" if destination == "special" and not policy.spu_origin_node else item.initiator
    target_id = source.vault_id if target is None else target.org_id
    return {
        "n": n,
        "command_id": item.command_id,
        "member_id": item.member_id,
        "initiator": item.initiator,
        "initiator_org_id": None if item.initiator == "member" else acting_org,
        "initiator_person_id": person_id,
        "source_branch_id": source.org_id,
        "source_superior_id": source.parent_id,
        "source_province": source.province,
        "provincial_id": source.provincial_id,
        "target_org_id": target_id,
        "target_superior_id": target.parent_id if target is not None and target.kind == "branch" else None,
        "target_province": source.province if target is None else target.province,
        "target_branch_id": None if destination == "committee" else target_id,
        "reason": item.reason,
        "place_name": item.place_name,
        "place_address": item.place_address,
        "contact": item.contact,
        "remark": item.remark,
        "place_division": item.place_division,
        "reason_kind": domain.kind_of(item, source, target),
        "batch_id": None,
        "batch_size": 0,
        "policy": policy.key,
        "path": domain.path_of(starter, destination),
    }


def _decide(
    tx: Connection,
    asked: Sequence[Asked[Any]],
    trigger_of: Callable[[Any], Trigger],
    row_of: Callable[[Any], dict[str, Any]],
    check: Callable[[Any], Refusal | None] = lambda item: None,
    needs_org: bool = True,
    fits: Callable[[Asked[Any]], bool] = lambda one: True,
) -> list[Outcome]:
    """Apply people's triggers: check, move what fits, explain the rest.

    The one way in for decide, withdraw and assign.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    outcomes: dict[int, Outcome] = {}
    by_trigger: dict[Trigger, list[dict[str, Any]]] = {}
    for n, one in enumerate(asked):
        refusal = check(one.item)
        if refusal is None and needs_org and one.actor not in acting:
            refusal = Refusal("not_administrator")
        if refusal is not None:
            outcomes[n] = Outcome(transfer_id=one.item.transfer_id, refusal=refusal)
            continue
        row = {
            "n": n,
            "transfer_id": one.item.transfer_id,
            "decision_id": one.item.decision_id,
            "person_id": one.actor.person_id,
            "org_id": one.actor.org_id if one.actor in acting else None,
            **row_of(one.item),
        }
        by_trigger.setdefault(trigger_of(one.item), []).append(row)
    for trigger, rows in by_trigger.items():
        # What does not fit is not tried, and explained like what has not moved.
        fitting = [row for row in rows if fits(asked[row["n"]])]
        moved = {row.n: row for row in transitions.move(tx, trigger, fitting)}
        _measure(moved.values(), trigger)
        for n, found in moved.items():
            outcomes[n] = Outcome(transfer_id=found.transfer_id, state=found.state, node_no=found.node_no)
        left = [row for row in rows if row["n"] not in moved]
        reasons = store.explain(tx, left)
        for row in left:
            outcomes[row["n"]] = _why_not(trigger, row, reasons[row["n"]])
    return [outcomes[n] for n in range(len(asked))]


def _why_not(trigger: Trigger, item: dict[str, Any], found: sa.Row[Any]) -> Outcome:
    """Say why an item did not move, from what `store.explain` found.

    Whoever is no party does not learn that the transfer exists (TRF-33).
    """
    if found.transfer_id is None or not found.party:
        return Outcome(refusal=Refusal("unknown_transfer"))
    if found.repeated:
        return Outcome(transfer_id=found.transfer_id, state=found.state, node_no=found.node_no, repeated=True)
    # By the state first; where that allows the trigger, by what the statement asks of the node.
    code = refusal_of(State(found.state), trigger)
    if code is None and trigger is Trigger.WITHDRAW:
        code = "too_late_to_withdraw" if found.withdraw == "no" else "not_initiator"
    elif code is None and item["org_id"] not in (found.node_org_id, found.node_superior_id):
        code = "not_your_node"
    elif code is None and trigger is Trigger.APPROVE and domain.lacks_letter(found.state, item["note"]):
        code = "letter_missing"
    elif code is None and trigger is Trigger.ASSIGN:
        code = "same_org" if item["branch_id"] == found.source_branch_id else "branch_not_below"
    return Outcome(
        transfer_id=found.transfer_id,
        state=found.state,
        node_no=found.node_no,
        refusal=Refusal(code or "node_closed"),
    )


def decide_nodes(tx: Connection, asked: list[Asked[contract.DecideNode]]) -> list[Outcome]:
    """Approve or reject open nodes (TRF-16..25).

    The first decision counts; a repeated one is answered as before.
    """
    return _decide(
        tx,
        asked,
        lambda item: Trigger.APPROVE if item.approve else Trigger.REJECT,
        lambda item: {"node_no": item.node_no, "code": item.reason_code, "note": item.note},
        check=lambda item: domain.check_decision(item.approve, item.reason_code, item.note),
    )


def withdraw_transfers(tx: Connection, asked: list[Asked[contract.WithdrawTransfer]]) -> list[Outcome]:
    """End transfers, as the initiator's side or the member, for as long as the policy allows (TRF-28)."""
    return _decide(tx, asked, lambda item: Trigger.WITHDRAW, lambda item: {}, needs_org=False)


def assign_branches(tx: Connection, asked: list[Asked[contract.AssignBranch]]) -> list[Outcome]:
    """Put members into branches below the target (ASG-01, ASG-02); members then moves each once."""
    orgs = facts_of(tx, (org_id for one in asked for org_id in (one.item.branch_id, one.actor.org_id)))
    outside = {
        (branch, org)
        for branch, org in {(one.item.branch_id, one.actor.org_id) for one in asked}
        if not domain.is_assignable(orgs.get(branch), orgs.get(org or 0))
    }
    outcomes = _decide(
        tx,
        asked,
        lambda item: Trigger.ASSIGN,
        lambda item: {"branch_id": item.branch_id},
        fits=lambda one: (one.item.branch_id, one.actor.org_id) not in outside,
    )
    # Those who have no branch at all are told so: the one that they named is not what is wrong (ASG-07).
    astray = {
        one.actor.org_id
        for one, outcome in zip(asked, outcomes, strict=True)
        if outcome.refusal is not None and outcome.refusal.code == "branch_not_below"
    }
    bare = {org for org in astray if org in orgs and not store.has_branch(tx, orgs[org].path)}
    answers = []
    for one, outcome in zip(asked, outcomes, strict=True):
        if outcome.refusal is None or outcome.refusal.code != "branch_not_below":
            answers.append(outcome)
        elif one.actor.org_id in bare:  # no other branch would do, either
            answers.append(msgspec.structs.replace(outcome, refusal=Refusal("no_branch_yet")))
        else:
            answers.append(outcome)
    return answers


def _measure(rows: Iterable[sa.Row[Any]], trigger: Trigger) -> None:
    """Count decisions into the approval latency, and what has ended."""
    ended: Counter[str] = Counter()
    latencies: dict[tuple[str, str], Any] = {}
    for row in rows:
        if row.closed_state is not None:
            key = (row.province, row.closed_state)
            if key not in latencies:
                latencies[key] = metrics.APPROVAL_SECONDS.labels(*key, str(trigger))
            latencies[key].observe(float(row.waited))
        ended[row.state] += 1
    for state in ended.keys() & FINAL:
        metrics.TRANSFERS_ENDED.labels(state).inc(ended[state])


# ---- events --------------------------------------------------------------------------------------


def _move(tx: Connection, trigger: Trigger, rows: list[dict[str, Any]]) -> set[int]:
    moved = transitions.move(tx, trigger, rows)
    _measure(moved, trigger)
    return {row.transfer_id for row in moved}


def on_member_reserved(tx: Connection, items: list[MemberReserved]) -> None:
    """Open the first node; where the transfer has ended meanwhile, have the member released again."""
    moved = _move(tx, Trigger.RESERVED, [{"transfer_id": item.transfer_id} for item in items])
    left = [{"transfer_id": item.transfer_id} for item in items if item.transfer_id not in moved]
    if left:
        assert RELEASE_AGAIN
        store.release_again(tx, left)


def on_reservation_refused(tx: Connection, items: list[ReservationRefused]) -> None:
    """End transfers whose member cannot be held (TRF-02, MEM-01)."""
    _move(tx, Trigger.UNAVAILABLE, [{"transfer_id": item.transfer_id, "code": item.code} for item in items])


def on_member_moved(tx: Connection, items: list[MemberMoved]) -> None:
    """Complete (TRF-35)."""
    _move(tx, Trigger.MOVED, [{"transfer_id": item.transfer_id} for item in items])


def on_graduate_changed(tx: Connection, items: list[GraduateChanged]) -> None:
    """Keep who counts as graduate of which branch (STAT-10, STAT-13)."""
    figures_store.set_graduates(tx, items)


def on_deadline_expired(tx: Connection, items: list[DeadlineExpired]) -> None:
    """Do what the transfer's own policy says when nobody has decided (DL-01..05).

    A decision that was committed earlier wins (DL-19).
    """
    rows = [{"transfer_id": item.transfer_id, "node_no": item.node_no, "code": "deadline"} for item in items]
    # The nodes know what the clock does to them, so the one statement takes its own and leaves the others.
    returned = _move(tx, Trigger.CLOCK_RETURN, rows)
    rest = [row for row in rows if row["transfer_id"] not in returned]
    if rest:
        _move(tx, Trigger.CLOCK_APPROVE, rest)


def on_reminder_due(tx: Connection, items: list[ReminderDue]) -> None:
    """Count reminders on nodes still open (DL-02)."""
    store.remind(tx, [{"transfer_id": item.transfer_id, "node_no": item.node_no} for item in items])


# ---- queries -------------------------------------------------------------------------------------


def _shown(row: sa.Row[Any]) -> contract.Transfer:
    cursor = f"{row.node_opened_at.isoformat()}~{row.transfer_id}" if row.node_opened_at else ""
    return contract.Transfer(**dict(zip(store.SHOWN, row, strict=False)), cursor=cursor)


def list_work(tx: Connection, request: contract.ListWork, actor: Actor | None) -> contract.WorkPage:
    """Return what waits for the acting organisation or its direct branches, oldest first (MSG-01, TRF-31)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    after = (_NEVER, 0)
    if request.after:
        try:
            opened_at, _, transfer_id = request.after.partition("~")
            after = (datetime.fromisoformat(opened_at), int(transfer_id))
        except ValueError as error:
            raise Refused("bad_request", detail="after") from error
    rows = store.work(
        tx,
        org_id,
        after,
        max(1, min(request.limit, 500)),
        state=request.state,
        reason=request.reason,
        since=request.since or _NEVER,
        until=request.until or _FUTURE,
    )
    counts, old = store.work_counts(tx, org_id)
    return contract.WorkPage(items=[_shown(row) for row in rows], counts=counts, old=old)


def get_transfer(tx: Connection, request: contract.GetTransfer, actor: Actor | None) -> contract.Progress:
    """Return a transfer with path and trail (TRF-22, TRF-33).

    Its member may read it, and the administrators of its parties.
    """
    assert actor is not None
    row = store.one(tx, request.transfer_id)
    if row is None:
        raise Refused("unknown_transfer")
    parties = {
        row.source_branch_id,
        row.source_superior_id,
        row.target_org_id,
        row.target_superior_id,
        row.target_branch_id,
        row.initiator_org_id,
        row.provincial_id,
    }
    if row.state in (State.CHECKING, State.REFUSED):
        # It never held its member: what it says of others is only what its starter has claimed.
        parties = {row.initiator_org_id}
        if row.initiator == "source":
            parties |= {row.source_branch_id, row.source_superior_id}
    is_party = bool(directory.administering(tx, [actor])) and actor.org_id in parties
    if actor.person_id != row.member_id and not is_party:
        raise Refused("unknown_transfer")
    nodes = [
        contract.NodeAhead(node_no=step.node_no, state=step.state, org_id=_node_org(row, step.state))
        for step in store.path_of(tx, row.path)
    ]
    steps = [
        msgspec.convert(dict(step._mapping), contract.Step, strict=False)
        for step in store.steps(tx, request.transfer_id)
    ]
    withdrawable = row.withdraw in ("yes", "yes_own")
    own = actor.person_id == row.member_id and (row.withdraw == "yes" or row.initiator == "member")
    return contract.Progress(
        transfer=_shown(row),
        path=nodes,
        steps=steps,
        may_withdraw=withdrawable and (own or (is_party and actor.org_id == row.initiator_org_id)),
    )


def _node_org(row: sa.Row[Any], state: str) -> int:
    """Return the organisation that decides a node; the same choice as the statement that opens it."""
    if state == State.OUT:
        return int(row.source_branch_id)
    if state == State.PROVINCE:
        return int(row.provincial_id)
    return int(row.target_org_id)


def my_transfers(
    tx: Connection, request: contract.MyTransfers, actor: Actor | None
) -> list[contract.Transfer]:
    """Return the caller's own transfers, newest first (TRF-33)."""
    assert actor is not None
    return [_shown(row) for row in store.of_member(tx, actor.person_id)]


def list_started(
    tx: Connection, request: contract.ListStarted, actor: Actor | None
) -> list[contract.Transfer]:
    """Return transfers out of or into the acting organisation and its branches (TRF-29, TRF-32)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    if request.side not in ("source", "target"):
        raise Refused("bad_request", detail="side: source, target")
    limit = max(1, min(request.limit, 500))
    rows = store.started(tx, request.side, org_id, request.open_only, request.after, limit)
    return [_shown(row) for row in rows]


def count_transfers(tx: Connection, request: contract.Counts, actor: Actor | None) -> list[contract.Count]:
    """Return numbers by reason and state out of the acting organisation's subtree (BEY-11)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    org = directory.find(tx, [org_id])[org_id]
    return [
        contract.Count(reason=row.reason, state=row.state, transfers=row.transfers)
        for row in store.counts(tx, org.path)
    ]
