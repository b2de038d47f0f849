"""Use cases of the transfers service: lists in, lists out, inside the caller's transaction. No framework."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from services.transfers import domain, remote, settings, store, transitions, waiting
from services.transfers.domain import OrgFacts
from services.transfers.figures import handlers as figures
from services.transfers.figures import store as figures_store
from services.transfers.policies import store as policies_store
from services.transfers.policies.reader import Policy
from services.transfers.saga import DECIDED_AT, FINAL, Destination, Initiator, State, Trigger
from services.transfers.transitions import Item
from shared import background, clock, commands, directory, metrics, reference
from shared.bus.service import Asked, Machinery
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.members import GraduateChanged, MemberMoved, MemberReserved, ReservationRefused
from shared.messages.orgs import OrgChanged
from shared.messages.scheduler import DeadlineExpired, ReminderDue
from shared.messages.transfers import BatchAsked, Outcome
from shared.messages.words import Check, WorkOrder

DECIDED_BY = {
    **dict.fromkeys((Trigger.APPROVE, Trigger.REJECT, Trigger.ASSIGN), "people"),
    **dict.fromkeys((Trigger.CLOCK_APPROVE, Trigger.CLOCK_RETURN), "clock"),
}
"""Whose decision a trigger is, for the latency."""
_ENDED = {str(state): metrics.TRANSFERS_ENDED.labels(state) for state in FINAL}
Told = TypeVar("Told", DeadlineExpired, ReminderDue)
_NEVER, _FUTURE = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def _facts(row: directory.Org, above: dict[int, directory.Org]) -> OrgFacts:
    """Return what the rules need of an organisation, given the rows of those above it."""
    parent = above.get(row.parent_id or 0)
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


def _ancestors(row: directory.Org) -> list[int]:
    """Return the ids from the root down to the organisation itself."""
    return [int(one) for one in row.path.split(".") if one]


def facts_of(tx: Connection, org_ids: Iterable[int | None]) -> dict[int, OrgFacts]:
    """Return what the rules need of organisations, by id; one look-up for any number."""
    wanted = set(org_ids)
    found = directory.find_with_all_above(tx, wanted)
    return {org_id: _facts(row, found) for org_id, row in found.items() if org_id in wanted}


def on_org_changed(tx: Connection, items: list[OrgChanged]) -> None:
    """Keep the directory; a moved organisation's open nodes go to its new superior at once (BEY-17, MIG-09).

    A party of open transfers is neither deleted, set aside nor changed in kind: that is taken back
    (ORG-42, DEL-14).
    """
    changing = directory.on_org_changed(tx, items)
    moving = [row for row in changing if row.moves]
    store.reroute(tx, [store.Moving(row.org_id, row.parent_id) for row in moving])
    new = [item.org_id for item in items if item.version == 1]
    figures_store.follow_orgs(tx, [(row.org_id, row.path) for row in moving], new)
    leaving = [item.org_id for item in items if item.deleted or item.purpose == "awaiting"]
    turning = [row.org_id for row in changing if row.turns]
    store.refuse_changes(tx, [*leaving, *turning])


# ---- commands ------------------------------------------------------------------------------------


class _Season(NamedTuple):
    """What holds today: the policy, and what the rules want to know of it."""

    policy: Policy
    place: domain.Place
    missed: domain.Window | None


def _season(tx: Connection) -> _Season:
    policy = policies_store.active(tx, clock.now())
    missed = None if policy.in_window(clock.today()) else policy.window
    return _Season(policy, place_of(policy, settings.of(tx).peers), missed)


def place_of(policy: Policy, peers: frozenset[str] = frozenset()) -> domain.Place:
    """Return what a policy says of destinations, with the systems that bridges lead to."""
    return domain.Place(policy.youth_centres, policy.destinations, policy.spu_origin_node, peers)


def request_transfers(
    tx: Connection, asked: list[Asked[contract.RequestTransfer]], known: bool = False
) -> list[Outcome]:
    """Start transfers (TRF-01..15).

    What can be checked here is checked, the rest is recorded, and the members service is asked to hold each
    member. A command id that was answered before gets its transfer again. Of two starts for one member
    exactly one wins (TRF-02). With `known` the target has shown before that it knows the member (BEY-04).
    """
    season = _season(tx)
    acting = directory.administering(tx, (one.actor for one in asked))
    parties = (org_id for one in asked for org_id in (one.item.source_branch_id, one.item.target_org_id))
    orgs = facts_of(tx, parties)
    tops = _tops(tx, asked, orgs)
    plans = [_plan(tx, one, one.actor in acting, orgs, tops, season, known) for one in asked]
    rows = [
        request_row(n, one.item, one.actor.person_id, one.actor.org_id, plan, season.policy)
        for n, (one, plan) in enumerate(zip(asked, plans, strict=True))
        if not isinstance(plan, Refusal)
    ]
    made = store.request(tx, rows) if rows else {}
    return _started(tx, asked, plans, made)


def _plan(
    tx: Connection,
    one: Asked[contract.RequestTransfer],
    acts: bool,
    orgs: Mapping[int, OrgFacts],
    tops: Mapping[str, OrgFacts],
    season: _Season,
    known: bool,
) -> domain.Planned | Refusal:
    """Return what a request comes to, or why it is refused."""
    item, actor = one.item, one.actor
    source, target = orgs.get(item.source_branch_id), orgs.get(item.target_org_id or 0)
    if domain.is_typed(item):
        target = tops.get(item.target_system)
    acting_org = actor.org_id if acts else None
    plan = domain.plan(item, actor.person_id, acting_org, source, target, season.place, season.missed)
    if known or isinstance(plan, Refusal):
        return plan
    # The ticket comes last: it is proved only for those who may start at all.
    return _check_ticket(tx, item, actor) or plan


def _tops(
    tx: Connection, asked: Sequence[Asked[contract.RequestTransfer]], orgs: Mapping[int, OrgFacts]
) -> dict[str, OrgFacts]:
    """Return the topmost organisations of systems where a target was typed: it stands below (FED-06)."""
    systems = {one.item.target_system for one in asked if domain.is_typed(one.item)}
    if not systems:
        return {}
    found = remote.tops(tx, {int(org.path.split(".")[0]) for org in orgs.values()}, systems)
    facts = facts_of(tx, found.values())
    return {system: facts[org_id] for system, org_id in found.items()}


def _check_ticket(tx: Connection, item: contract.RequestTransfer, actor: Actor) -> Refusal | None:
    """Check the ticket of a look-up, where a start needs one (TRF-05)."""
    claims: Mapping[str, Any] = {}
    if item.ticket:
        with suppress(Refused):  # none that is good is as none at all
            claims = settings.of(tx).verifier.claims("member_ticket", item.ticket)
    return domain.check_ticket(item, actor.org_id, claims)


def _started(
    tx: Connection,
    asked: Sequence[Asked[contract.RequestTransfer]],
    plans: Sequence[domain.Planned | Refusal],
    made: Mapping[int, int],
) -> list[Outcome]:
    """Answer requests with what they have started, started before, or why they start nothing."""
    # Also for those refused: a repeated command is answered as before, though it would fail by now.
    rest = [n for n in range(len(asked)) if n not in made]
    earlier = store.by_command(tx, [asked[n].item.command_id for n in rest])
    second = [
        asked[n].item.member_id
        for n in rest
        if asked[n].item.command_id not in earlier and not isinstance(plans[n], Refusal)
    ]
    open_ones = store.in_the_way(tx, second) if second else {}
    outcomes = []
    for n, (one, plan) in enumerate(zip(asked, plans, strict=True)):
        if n in made:
            outcomes.append(Outcome(transfer_id=made[n], state=State.CHECKING))
            continue
        before, held = earlier.get(one.item.command_id), open_ones.get(one.item.member_id)
        outcomes.append(_not_started(one, plan, before, held))
    return outcomes


def _not_started(
    one: Asked[contract.RequestTransfer],
    plan: domain.Planned | Refusal,
    before: store.Earlier | None,
    held: store.InTheWay | None,
) -> Outcome:
    """Answer a request that starts nothing: asked `before`, refused, or beside an open one."""
    if before is not None:
        started = Outcome(
            transfer_id=before.transfer_id, state=before.state, node_no=before.node_no, repeated=True
        )
        return commands.again(one, commands.Earlier(started, before.initiator_person_id), _refused)
    if isinstance(plan, Refusal):
        return Outcome(refusal=plan)
    return _second_start(one.item, held)


def _refused(item: contract.RequestTransfer, refusal: Refusal) -> Outcome:
    return Outcome(refusal=refusal)


def _second_start(item: contract.RequestTransfer, held: store.InTheWay | None) -> Outcome:
    """Refuse a start beside an open one, and show that where it may be told (BEY-03)."""
    held_in = None if held is None else held.source_branch_id
    refusal = domain.second_start(item.initiator, item.source_branch_id, held_in)
    if held is None or refusal.code != "transfer_open":
        return Outcome(refusal=refusal)
    return Outcome(refusal=refusal, open=_in_the_way(held))


def _in_the_way(row: store.InTheWay) -> contract.OpenTransfer:
    fields = contract.OpenTransfer.__struct_fields__
    return contract.OpenTransfer(**{name: getattr(row, name) for name in fields})


def move_batches(tx: Connection, asked: list[Asked[contract.MoveBatch]]) -> list[BatchAsked]:
    """Move members between branches below a committee, at once and without approval (BATCH-01..07).

    Every member has a transfer of their own (BATCH-06). Members with an open transfer are found here; where
    members have gone meanwhile is found by the members service, which holds all of a batch or none.
    """
    made = store.batches(tx, [one.item.command_id for one in asked])
    earlier = {
        one.item.command_id: _batch_again(one.item, made[one.item.command_id])
        for one in asked
        if one.item.command_id in made
    }
    return commands.once(
        asked,
        earlier,
        partial(_move_batches, tx),
        lambda item, refusal: BatchAsked(batch_id=item.command_id, refusal=refusal),
    )


def _move_batches(tx: Connection, fresh: list[Asked[contract.MoveBatch]]) -> list[BatchAsked]:
    """Start batches that are new, as far as nothing speaks against them."""
    season = _season(tx)
    acting = directory.administering(tx, (one.actor for one in fresh))
    orgs = _orgs_of(tx, fresh)
    held = store.with_open(tx, (member for one in fresh for member in one.item.member_ids))
    answers = []
    for one in fresh:
        acting_org = one.actor.org_id if one.actor in acting else None
        plan = domain.plan_batch(one.item, orgs, acting_org, held, season.missed)
        # A later batch of this call finds them so.
        held |= dict.fromkeys(plan.members, one.item.source_branch_id)
        answers.append(_start_batch(tx, one, plan, orgs, season.policy))
    return answers


def _orgs_of(tx: Connection, asked: Sequence[Asked[contract.MoveBatch]]) -> dict[int, OrgFacts]:
    """Return the branches of batches, and the committees that ask."""
    parties = (
        org_id
        for one in asked
        for org_id in (one.item.source_branch_id, one.item.target_branch_id, one.actor.org_id)
    )
    return facts_of(tx, parties)


def _start_batch(
    tx: Connection,
    one: Asked[contract.MoveBatch],
    plan: domain.BatchPlan,
    orgs: Mapping[int, OrgFacts],
    policy: Policy,
) -> BatchAsked:
    """Record the transfers of a batch, if any, and answer it; their ids are in the order of the members.

    Each batch is a statement of its own, since members looks for all of a batch in one message.
    """
    item = one.item
    # With a size of 0 some of the members may be held without the others (BATCH-05).
    size = 0 if item.skip else len(plan.members)
    rows = []
    for n, member in enumerate(plan.members):
        request = domain.request_of(item, member)
        planned = domain.planned(request, orgs[item.source_branch_id], orgs[item.target_branch_id])
        row = request_row(n, request, one.actor.person_id, one.actor.org_id, planned, policy)
        rows.append(replace(row, batch_id=item.command_id, batch_size=size))
    made = store.request(tx, rows) if rows else {}
    return BatchAsked(
        batch_id=item.command_id,
        transfer_ids=[made[n] for n in sorted(made)],
        refusal=plan.refusal,
        refused=plan.busy,
    )


def _batch_again(item: contract.MoveBatch, made: dict[int, store.Started]) -> commands.Earlier[BatchAsked]:
    """Return the transfers of a batch move that was asked for before, all of them by one person."""
    ids = [made[member].transfer_id for member in item.member_ids if member in made]
    sender = next(iter(made.values())).initiator_person_id
    return commands.Earlier(BatchAsked(batch_id=item.command_id, transfer_ids=ids, repeated=True), sender)


def get_batch(tx: Connection, request: contract.GetBatch, actor: Actor | None) -> list[contract.Transfer]:
    """Return the transfers of a batch move to the committee that asked for it."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    return [_shown(row) for row in store.of_batch(tx, request.batch_id, org_id)]


def request_row(
    n: int,
    item: contract.RequestTransfer,
    person_id: int,
    acting_org: int | None,
    plan: domain.Planned,
    policy: Policy,
) -> store.Request:
    """Return what to record of a request that was found right, for `store.request`."""
    source, target = plan.source, plan.target
    # to a special unit a transfer leads into the vault of the province
    target_id = source.vault_id if target is None else target.org_id
    return store.Request(
        n=n,
        command_id=item.command_id,
        member_id=item.member_id,
        initiator=item.initiator,
        initiator_org_id=None if item.initiator == Initiator.MEMBER else acting_org,
        initiator_person_id=person_id,
        source_branch_id=source.org_id,
        source_superior_id=source.parent_id,
        source_province=source.province,
        provincial_id=source.provincial_id,
        target_org_id=target_id,
        target_superior_id=target.parent_id if target is not None and target.kind == "branch" else None,
        target_province=source.province if target is None else target.province,
        target_branch_id=None if plan.destination in (Destination.COMMITTEE, Destination.PEER) else target_id,
        reason=item.reason,
        place_name=item.place_name,
        place_address=item.place_address,
        contact=item.contact,
        remark=item.remark,
        place_division=item.place_division,
        target_name=item.target_name.strip(),
        concern=plan.concern,
        reason_kind=plan.reason_kind,
        peer=plan.peer,
        policy=policy.key,
        path=plan.path,
    )


class _Try(NamedTuple):
    """What an item of a person wants of the saga.

    Attributes:
        said: What the item's row has beside transfer, decision and person.
        fits: False for what is not tried, only explained like what has not moved.

    """

    trigger: Trigger
    said: dict[str, Any] = {}
    fits: bool = True


def _apply(
    tx: Connection, asked: Sequence[Asked[Any]], acting: set[Actor], tries: Sequence[_Try | Refusal]
) -> list[Outcome]:
    """Apply people's triggers: move what fits, explain the rest.

    The one way in for decide, withdraw and assign.
    """
    outcomes: dict[int, Outcome] = {}
    by_trigger: dict[Trigger, list[tuple[Item, bool]]] = {}
    for n, (one, wanted) in enumerate(zip(asked, tries, strict=True)):
        if isinstance(wanted, Refusal):
            outcomes[n] = Outcome(transfer_id=one.item.transfer_id, refusal=wanted)
            continue
        row = Item(
            n=n,
            transfer_id=one.item.transfer_id,
            decision_id=one.item.decision_id,
            person_id=one.actor.person_id,
            org_id=one.actor.org_id if one.actor in acting else None,
            **wanted.said,
        )
        by_trigger.setdefault(wanted.trigger, []).append((row, wanted.fits))
    # A list of decisions holds approvals and rejections, and a statement is of one trigger.
    if len(by_trigger) > 1:
        store.hold_nodes(tx, [row.transfer_id for rows in by_trigger.values() for row, _ in rows])
    for trigger, rows in by_trigger.items():
        outcomes |= _moved_or_not(tx, trigger, rows)
    return [outcomes[n] for n in range(len(asked))]


def _moved_or_not(tx: Connection, trigger: Trigger, rows: Sequence[tuple[Item, bool]]) -> dict[int, Outcome]:
    """Move the rows that fit; return by number where each stands, or why it has not moved."""
    moved = transitions.move(tx, trigger, [row for row, fits in rows if fits])
    _measure(moved, trigger)
    outcomes = {
        row.n: Outcome(transfer_id=row.transfer_id, state=row.state, node_no=row.node_no) for row in moved
    }
    left = [row for row, _ in rows if row.n not in outcomes]
    found = store.explain(tx, left)
    return outcomes | {row.n: _why_not(trigger, row, found[row.n]) for row in left}


def _why_not(trigger: Trigger, item: Item, found: store.Why) -> Outcome:
    """Say why an item did not move, from what `store.explain` found."""
    refusal = domain.check_party(found.party)
    if refusal is not None:
        return Outcome(refusal=refusal)
    outcome = Outcome(transfer_id=found.transfer_id, state=found.state, node_no=found.node_no)
    if found.repeated:
        return replace(outcome, repeated=True)
    refusal = domain.why_not(
        trigger,
        State(found.state),
        withdraw=found.withdraw,
        decides=item.org_id in (found.node_org_id, found.node_superior_id),
        note=item.note or "",
        back=item.branch_id == found.source_branch_id,
        crosses=bool(found.peer),
    )
    return replace(outcome, refusal=refusal)


def decide_nodes(tx: Connection, asked: list[Asked[contract.DecideNode]]) -> list[Outcome]:
    """Approve or reject open nodes (TRF-16..25).

    The first decision counts; a repeated one is answered as before.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    tries: list[_Try | Refusal] = []
    for one in asked:
        item = one.item
        refusal = domain.check_decision(item.approve, item.reason_code, item.note)
        trigger = Trigger.APPROVE if item.approve else Trigger.REJECT
        said = {"node_no": item.node_no, "code": item.reason_code, "note": item.note}
        tries.append(refusal or domain.check_acting(one.actor in acting) or _Try(trigger, said))
    return _apply(tx, asked, acting, tries)


def withdraw_transfers(tx: Connection, asked: list[Asked[contract.WithdrawTransfer]]) -> list[Outcome]:
    """End transfers, as the initiator's side or the member, for as long as the policy allows (TRF-28)."""
    acting = directory.administering(tx, (one.actor for one in asked))
    return _apply(tx, asked, acting, [_Try(Trigger.WITHDRAW)] * len(asked))


def assign_branches(tx: Connection, asked: list[Asked[contract.AssignBranch]]) -> list[Outcome]:
    """Put members into branches below the target (ASG-01, ASG-02); members then moves each once."""
    acting = directory.administering(tx, (one.actor for one in asked))
    orgs = facts_of(tx, (org_id for one in asked for org_id in (one.item.branch_id, one.actor.org_id)))
    outcomes = _apply(tx, asked, acting, [_assignment(one, acting, orgs) for one in asked])
    # Only for those whose branch was not the right one it is asked whether there is any (ASG-07).
    astray = {
        one.actor.org_id
        for one, outcome in zip(asked, outcomes, strict=True)
        if domain.is_astray(outcome.refusal)
    }
    bare = {org for org in astray if org in orgs and not store.has_branch(tx, orgs[org].path)}
    return [
        replace(outcome, refusal=domain.without_branch(outcome.refusal, one.actor.org_id in bare))
        for one, outcome in zip(asked, outcomes, strict=True)
    ]


def _assignment(
    one: Asked[contract.AssignBranch], acting: set[Actor], orgs: Mapping[int, OrgFacts]
) -> _Try | Refusal:
    refusal = domain.check_acting(one.actor in acting)
    if refusal is not None:
        return refusal
    fits = domain.is_assignable(orgs.get(one.item.branch_id), orgs.get(one.actor.acting_org))
    return _Try(Trigger.ASSIGN, {"branch_id": one.item.branch_id}, fits)


def _measure(rows: Iterable[transitions.Moved], trigger: Trigger) -> None:
    """Count decisions into the approval latency, and what has ended; who withdraws decides nothing."""
    ended: Counter[str] = Counter()
    latencies: dict[tuple[str, str], Any] = {}
    who = DECIDED_BY.get(trigger)
    for row in rows:
        if who and row.province is not None and row.closed_state is not None and row.waited is not None:
            key = (row.province, row.closed_state)
            if key not in latencies:
                latencies[key] = metrics.APPROVAL_SECONDS.labels(*key, who)
            latencies[key].observe(float(row.waited))
        ended[row.state] += 1
    for state in ended.keys() & _ENDED.keys():
        _ENDED[state].inc(ended[state])


# ---- events --------------------------------------------------------------------------------------


def move(tx: Connection, trigger: Trigger, rows: Sequence[Item], now: datetime | None = None) -> set[int]:
    """Apply what is told to the transfers that it fits; return which have moved, and count them."""
    if not rows:
        return set()
    moved = transitions.move(tx, trigger, rows, now)
    _measure(moved, trigger)
    return {row.transfer_id for row in moved}


def on_member_reserved(tx: Connection, items: list[MemberReserved]) -> None:
    """Open the first node; where the transfer has ended meanwhile, have the member released again.

    What the queue shows of the member is kept until the transfer ends.
    """
    rows = [Item(n=n, transfer_id=item.transfer_id) for n, item in enumerate(items)]
    moved = move(tx, Trigger.RESERVED, rows)
    store.know_members(tx, items)
    left = [row for row in rows if row.transfer_id not in moved]
    if left:
        store.release_again(tx, left)  # those in a state of `saga.RELEASE_AGAIN`


def on_reservation_refused(tx: Connection, items: list[ReservationRefused]) -> None:
    """End transfers whose member cannot be held (TRF-02, MEM-01)."""
    rows = [Item(n=n, transfer_id=item.transfer_id, code=item.code) for n, item in enumerate(items)]
    move(tx, Trigger.UNAVAILABLE, rows)


def on_member_moved(tx: Connection, items: list[MemberMoved]) -> None:
    """Complete (TRF-35)."""
    move(tx, Trigger.MOVED, [Item(n=n, transfer_id=item.transfer_id) for n, item in enumerate(items)])


def on_graduate_changed(tx: Connection, items: list[GraduateChanged]) -> None:
    """Keep who counts as graduate of which branch (STAT-10, STAT-13)."""
    figures_store.set_graduates(tx, items)


def on_deadline_expired(tx: Connection, items: list[DeadlineExpired]) -> None:
    """Do what the transfer's own policy says when nobody has decided (DL-01..05).

    A decision that was committed earlier wins (DL-19). What comes before the instant, by the clock here,
    is kept until then: the scheduler goes by another clock, and tells it once.
    """
    figures.postpone(len(items))
    now = clock.now()
    rows = [
        Item(n=n, transfer_id=item.transfer_id, node_no=item.node_no, code="deadline")
        for n, item in enumerate(items)
    ]
    # The nodes know what the clock does to them, so one statement takes its own and leaves the others.
    for trigger in transitions.BY_CLOCK:
        moved = move(tx, trigger, rows, now)
        rows = [row for row in rows if row.transfer_id not in moved]
        if not rows:
            return
    if store.spare(tx, rows, now):
        _look_soon()


def on_reminder_due(tx: Connection, items: list[ReminderDue]) -> None:
    """Count reminders on nodes still open, when their instants have come by the clock here (DL-02)."""
    if store.remind(tx, items, clock.now()):
        _look_soon()


def early_turn(machinery: Machinery) -> float:
    """Handle what was told before its instant and is due by now; return the seconds to the next.

    Any number of replicas may run. One that has nothing to do looks once in 5 seconds: for what another
    has kept and will not handle any more.
    """
    with machinery.database.transaction(tells=False) as tx:
        handled, due = handle_early(tx)
    if handled:
        machinery.database.after_commit()
    wait = EARLY.seconds
    if time.monotonic() < _look_soon_until:
        wait = LOOK_SOON_SECONDS
    if due is not None:
        wait = min(wait, max(SHORTEST_WAIT, (due - clock.now()).total_seconds()))
    return wait


def handle_early(tx: Connection) -> tuple[int, datetime | None]:
    """Handle a piece of what is due by now; return how much it was, and the next instant that is kept."""
    now = clock.now()
    due = store.next_early(tx)
    if due is None or due > now:
        return 0, due
    kept = store.take_early(tx, now, EARLY_LIMIT)
    _again(tx, kept, DeadlineExpired, on_deadline_expired)
    _again(tx, kept, ReminderDue, on_reminder_due)
    return len(kept), store.next_early(tx)


def _look_soon() -> None:
    """Let the loop look until what was just kept is committed, however long its transaction takes."""
    global _look_soon_until
    _look_soon_until = time.monotonic() + LOOK_AGAIN_SECONDS
    EARLY.wake.set()


def _again(
    tx: Connection,
    kept: Iterable[store.Early],
    event: type[Told],
    handler: Callable[[Connection, list[Told]], None],
) -> None:
    """Handle those of the events that are of a kind."""
    items = [
        event(transfer_id=row.transfer_id, node_no=row.node_no, due_at=row.due_at)
        for row in kept
        if row.event == event.topic()
    ]
    if items:
        handler(tx, items)


LOOK_AGAIN_SECONDS, LOOK_SOON_SECONDS = 5.0, 0.5
"""The longest sleep, and the longest for a while after something was kept that may not be committed yet."""
SHORTEST_WAIT = 0.05
"""Before another look at what is due and in the hands of another replica."""
EARLY_LIMIT = 500
"""Of one turn (BEY-08)."""
EARLY = background.Loop("early", early_turn, LOOK_AGAIN_SECONDS, by_clock=True)
"""Works off what was told before its instant."""
_look_soon_until = 0.0


# ---- queries -------------------------------------------------------------------------------------


def _shown(row: store.Transfer, checks: Sequence[Check] = (), cursor: str = "") -> contract.Transfer:
    fields: Any = zip(store.SHOWN, row, strict=False)  # the rest is not shown
    return contract.Transfer(**dict(fields), checks=list(checks), cursor=cursor or _cursor(row, ""))


def _to_office(row: store.Transfer) -> store.Transfer:
    """Return a transfer as offices read it: of who has left for another system nothing to reach them by.

    The old branch finds the stay and where it led, nothing else (FED-12).
    """
    gone = row.peer and row.initiator != Initiator.PEER and row.state == State.COMPLETED
    return row._replace(contact="", place_address="", remark="") if gone else row


def _cursor(row: store.Transfer, sort: str, names: Mapping[int, str] | None = None) -> str:
    """Return the place of an open node in a list, as `domain.place_in_list` reads it."""
    if row.node_opened_at is None:
        return ""
    if sort == WorkOrder.NAME:
        return f"{(names or {}).get(row.transfer_id, '')}~{row.transfer_id}"
    at = (row.expires_at or waiting.NO_DEADLINE) if sort == WorkOrder.DUE else row.node_opened_at
    return f"{at.isoformat()}~{row.transfer_id}"


def list_work(tx: Connection, request: contract.ListWork, actor: Actor | None) -> contract.WorkPage:
    """Return what waits for the acting organisation or its direct branches, oldest first (MSG-01, TRF-31).

    Each with what its approver should look at (BEY-01).
    """
    org_id = directory.require_administrator(tx, actor, observers=True)
    refusal = domain.check_order(request.sort)
    if refusal is not None:
        raise Refused.of(refusal)
    begin = waiting.BEGINS[request.sort]
    after = domain.place_in_list(request.after, request.sort) if request.after else begin
    if isinstance(after, Refusal):
        raise Refused.of(after)
    rows = waiting.listed(
        tx,
        waiting.wanted(org_id, request),
        request.sort or WorkOrder.ARRIVED,
        after,
        max(1, min(request.limit, 500)),
        since=request.since or _NEVER,
        until=request.until or _FUTURE,
    )
    counts, old = waiting.work_counts(tx, org_id)
    names = store.names_of(tx, [row.member_id for row, _ in rows]) if request.sort == WorkOrder.NAME else {}
    items = [_shown(row, found, _cursor(row, request.sort, names)) for row, found in rows]
    return contract.WorkPage(items=items, counts=counts, old=old)


def get_transfer(tx: Connection, request: contract.GetTransfer, actor: Actor | None) -> contract.Progress:
    """Return a transfer with path and trail (TRF-22, TRF-33).

    Its member may read it, and the administrators of its parties.
    """
    assert actor is not None
    row = store.one(tx, request.transfer_id)
    # Nobody learns the difference between a transfer that is not there and one that is not theirs.
    is_member = row is not None and actor.person_id == row.member_id
    is_party = row is not None and _is_party(tx, row, actor)
    refusal = domain.check_party(is_member or is_party)
    if refusal is not None:
        raise Refused.of(refusal)
    assert row is not None  # or there would be nobody who may read it
    is_starter = is_party and actor.org_id == row.initiator_org_id
    found = waiting.checks(tx, [row.transfer_id] if row.waiting_org_id else [])
    return contract.Progress(
        transfer=_shown(row if is_member else _to_office(row), found.get(row.transfer_id, ())),
        path=_path_ahead(tx, row),
        steps=store.steps(tx, request.transfer_id),
        may_withdraw=domain.may_withdraw(row.withdraw, row.initiator, is_member, is_starter),
        remote=remote.told(tx, row.transfer_id),
        receipted_at=row.receipted_at,
    )


def _path_ahead(tx: Connection, row: store.Transfer) -> list[contract.NodeAhead]:
    return [
        contract.NodeAhead(node_no=node_no, state=State(state), org_id=_node_org(row, state))
        for node_no, state in store.path_of(tx, row.path)
    ]


def _is_party(tx: Connection, row: store.Transfer, actor: Actor) -> bool:
    """Return whether somebody administers an organisation that may read a transfer."""
    source = (row.source_branch_id, row.source_superior_id)
    others = (row.target_org_id, row.target_superior_id, row.target_branch_id, row.provincial_id)
    readers = domain.readers_of(row.state, row.initiator, row.initiator_org_id, source, others)
    return actor.org_id in readers and bool(directory.administering(tx, [actor]))


def _node_org(row: store.Transfer, state: str) -> int:
    """Return the organisation that decides a node; the same choice as the statement that opens it."""
    org_id: int = getattr(row, DECIDED_AT[State(state)])
    return org_id


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
    refusal = domain.check_side(request.side)
    if refusal is not None:
        raise Refused.of(refusal)
    limit = max(1, min(request.limit, 500))
    rows = store.started(tx, org_id, request, limit)
    return [_shown(_to_office(row)) for row in rows]


def count_transfers(tx: Connection, request: contract.Counts, actor: Actor | None) -> list[contract.Count]:
    """Return numbers by reason and state out of the acting organisation's subtree (BEY-11)."""
    org_id = directory.require_administrator(tx, actor, observers=True)
    org = directory.find(tx, [org_id])[org_id]
    return store.counts(tx, org_id, org.path)
