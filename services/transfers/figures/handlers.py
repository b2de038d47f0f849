"""Use cases that look at all below an organisation: figures, who is behind them, the deadline board."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy.engine import Connection

from services.transfers import store as transfers_store
from services.transfers.figures import board, store, sums, totals
from services.transfers.figures.rules import FIGURES, Counted, check_figure, rate, responsible
from services.transfers.policies import calendar
from services.transfers.policies import store as policies_store
from services.transfers.policies.reader import Target
from shared import background, clock, directory
from shared.bus.service import Machinery
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import BoardRow, Figures, FigureSheet, Stage
from shared.messages.words import Figure, Milestone, OrgKind, Rate, Reason, TransferState

FLOW = (
    ("started", "reserved"),
    ("completed", "moved"),
    ("rejected", "reject"),
    ("returned", "clock_return"),
    ("withdrawn", "withdraw"),
)
FOLD_SECONDS = 1.0
"""The figures are at most this far behind, and where more is to be followed than one round takes, further."""


def fold_turn(machinery: Machinery) -> float | None:
    """Bring the figures up to date with the next changes; of several services one works at a time.

    So are the sums of open nodes and of transfers. A round costs much the same for ten changes as for a
    thousand, so the next begins a second later, unless more waits than a round takes. Then it rests as
    long as this one took: whoever waits for a decision comes first. So do deadlines that pass by the
    thousand (`postpone`).
    """
    global _begun
    began = time.monotonic()
    if began < _flood_until and began - _begun < LONGEST_POSTPONED:
        return FOLD_SECONDS
    _begun = began
    with machinery.database.transaction(tells=False) as tx:
        taken = 0
        if store.waits(tx):
            taken = store.fold(tx, policies_store.active(tx, clock.now()), clock.now())
        if (sums.waits(tx, clock.now()) or totals.waits(tx)) and sums.alone(tx):
            sums.follow(tx, clock.now())
            totals.follow(tx)
            transfers_store.sum_up(tx)
    return time.monotonic() - began if taken == store.FOLD_LIMIT else None


def postpone(deadlines: int) -> None:
    """Let the follower rest while a flood of deadlines is worked off: so many in one batch are part of one.

    Nothing is lost, and looks stay exact where they add lines to sums; figures, seals and notices are late
    by `LONGEST_POSTPONED` at most.
    """
    global _flood_until
    if deadlines >= FLOOD:
        _flood_until = time.monotonic() + 2 * FOLD_SECONDS


FLOOD = 1_000
"""Deadlines of one batch."""
LONGEST_POSTPONED = 30.0
"""Seconds after which the follower makes a round whatever is going on."""
_flood_until = 0.0
_begun = 0.0
FOLD = background.Loop("figures", fold_turn, FOLD_SECONDS)


def _figures(row: Counted) -> Figures:
    return Figures(
        org_id=row.org_id,
        name=row.name,
        kind=OrgKind(row.kind),
        sx=rate(row.studied, row.study, row.study_in),
        xs=rate(row.settled, row.society, row.society_in),
        **{name: getattr(row, name) for name in FIGURES},
    )


def get_figures(tx: Connection, request: contract.GetFigures, actor: Actor | None) -> FigureSheet:
    """Return SX, XS and stages of a subtree and of the direct subordinates (STAT-10..15).

    They are at most a second old.
    """
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    cohorts = store.cohorts(tx, org.org_id)
    cohort = request.cohort or (cohorts[0] if cohorts else clock.today().year)
    own = _figures(store.of_org(tx, org.org_id, cohort))
    policy = policies_store.active(tx, clock.now())
    phase = calendar.phase_on(policy, clock.now())
    return FigureSheet(
        cohort=cohort,
        cohorts=cohorts,
        org=own,
        children=[_figures(row) for row in store.of_children(tx, org.org_id, cohort)],
        stages=[_stage(target, own, cohort) for target in policy.targets],
        policy=policy.key,
        phase=phase.phase.name if phase else "",
        weeks=_weeks(store.flow(tx, org.org_id, clock.today() - timedelta(weeks=40))),
    )


def _weeks(rows: Sequence[store.Flow]) -> list[contract.Week]:
    found: dict[date, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row.week, {})[row.event] = row.n
    return [
        contract.Week(week=week, **{name: some.get(event, 0) for name, event in FLOW})
        for week, some in found.items()
    ]


def _stage(target: Target, own: Figures, cohort: int) -> Stage:
    """Return a target with what was reached of it."""
    month, day = target.by
    if target.what == "completed":
        reached = own.sx if target.reasons == "SX" else own.xs
    else:  # started: of all graduates, since those who have started nothing have no reason yet
        total = own.idle + own.open + own.ended + own.completed
        reached = rate(total - own.idle, total)
    return Stage(
        by=date(cohort, month, day),
        what=Milestone(target.what),
        reasons=Rate(target.reasons),
        share=target.share,
        reached=reached,
        rule=target.rule,
    )


def list_behind(tx: Connection, request: contract.ListBehind, actor: Actor | None) -> list[contract.Behind]:
    """Return the graduates behind a figure, a page at a time (BEY-11, STAT-15)."""
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    refusal = check_figure(request.figure)
    if refusal is not None:
        raise Refused.of(refusal)
    cohort = request.cohort or next(iter(store.cohorts(tx, org.org_id)), clock.today().year)
    passed = {
        (target.what, target.reasons)
        for target in policies_store.active(tx, clock.now()).targets
        if date(cohort, *target.by) < clock.today()
    }
    limit = max(1, min(request.limit, 500))
    rows = store.people(tx, org.path, cohort, request.figure, request.after, limit)
    return [_behind(row, passed) for row in rows]


def _behind(row: store.Graduate, passed: set[tuple[str, str]]) -> contract.Behind:
    """Return one graduate behind a figure; late are those whose target's day has passed."""
    who = responsible(row.stage, row.rate, row.state)
    if who == "school" and row.stage == "idle":
        target = ("started", "XS")  # nothing is started, and whoever has started nothing counts in XS
    else:
        target = ("completed", row.rate)
    return contract.Behind(
        member_id=row.member_id,
        branch_id=row.branch_id,
        stage=Figure(row.stage),
        rate=row.rate,
        transfer_id=row.transfer_id,
        state=TransferState(row.state) if row.state is not None else None,
        reason=Reason(row.reason) if row.reason is not None else None,
        target_org_id=row.target_org_id,
        responsible=who,
        late=who != "" and target in passed,
    )


def get_board(tx: Connection, request: contract.GetBoard, actor: Actor | None) -> list[BoardRow]:
    """Return the deadline board (BEY-18, STAT-16, BEY-06).

    It shows the direct subordinates with what waits below each, worst first. What waits is so now; since
    when the oldest does, and who is idle, is at most a second old.
    """
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    cohort = next(iter(store.cohorts(tx, org.org_id)), 0)
    rows = board.board(tx, org.org_id, cohort, clock.now())
    decided, seconds = board.decisions(tx, [row.org_id for row in rows], clock.today().year)
    return [_board_row(row, decided.get(row.org_id, {}), seconds.get(row.org_id, 0.0)) for row in rows]


def _board_row(row: board.Below, by_code: dict[str, int], seconds: float) -> BoardRow:
    """Return a row of the board; its subtree's decisions are `by_code`, and waited `seconds` in all."""
    # What the common superior has overturned was counted as a rejection already: it is no further decision.
    counted = {code: n for code, n in by_code.items() if code != store.OVERTURNED}
    decided = sum(counted.values())
    return BoardRow(
        org_id=row.org_id,
        name=row.name,
        waiting=row.waiting,
        due_soon=row.due_soon,
        overdue=row.overdue,
        assigning=row.assigning,
        oldest=row.oldest,
        idle=row.idle,
        decided=decided,
        rejected={code: n for code, n in counted.items() if code != "approve"},
        overturned=by_code.get(store.OVERTURNED, 0),
        days=round(seconds / decided / 86_400, 1) if counted else None,
    )
