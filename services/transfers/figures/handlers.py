"""Use cases that look at everything below an organisation: figures and who is behind them, the deadline board, the adviser."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.transfers.figures import board, store
from services.transfers.figures.rules import FIGURES, rate, responsible
from services.transfers.policies import calendar
from services.transfers.policies import store as policies_store
from services.transfers.policies.reader import Target
from shared import background, clock, directory
from shared.bus.service import Machinery
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import BoardRow, Figures, FigureSheet, Stage

_fold_wake = threading.Event()
FLOW = (
    ("started", "reserved"),
    ("completed", "moved"),
    ("rejected", "reject"),
    ("returned", "clock_return"),
    ("withdrawn", "withdraw"),
)
FOLD_SECONDS = 1.0
"""The figures are at most this far behind."""


def fold_turn(machinery: Machinery) -> float | None:
    """Bring the figures up to date with the next changes; of several services one works at a time."""
    with machinery.database.transaction(tells=False) as tx:
        return (
            0
            if store.waits(tx) and store.fold(tx, policies_store.active(tx, clock.now()), clock.now())
            else None
        )


FOLD = background.Loop("figures", fold_turn, _fold_wake, FOLD_SECONDS)


def _figures(row: sa.Row[Any]) -> Figures:
    return Figures(
        org_id=row.org_id,
        name=row.name,
        kind=row.kind,
        sx=rate(row.studied, row.study, row.study_in),
        xs=rate(row.settled, row.society, row.society_in),
        **{name: getattr(row, name) for name in FIGURES},
    )


def get_figures(tx: Connection, request: contract.GetFigures, actor: Actor | None) -> FigureSheet:
    """Return SX, XS and stages of a subtree, and of the direct subordinates, at most a second old (STAT-10..15)."""
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


def _weeks(rows: Sequence[sa.Row[Any]]) -> list[contract.Week]:
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
    else:  # started: of all graduates, since who has started nothing has no reason yet
        total = own.idle + own.open + own.ended + own.completed
        reached = rate(total - own.idle, total)
    return Stage(
        by=date(cohort, month, day),
        what=target.what,
        reasons=target.reasons,
        share=target.share,
        reached=reached,
        rule=target.rule,
    )


def list_behind(tx: Connection, request: contract.ListBehind, actor: Actor | None) -> list[contract.Behind]:
    """Return the graduates behind a figure, a page at a time (BEY-11, STAT-15)."""
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    if request.figure not in store.WHO:
        raise Refused("unknown_figure")
    cohort = request.cohort or next(iter(store.cohorts(tx, org.org_id)), clock.today().year)
    passed = {
        (target.what, target.reasons)
        for target in policies_store.active(tx, clock.now()).targets
        if date(cohort, *target.by) < clock.today()
    }
    return [
        contract.Behind(
            member_id=row.member_id,
            branch_id=row.branch_id,
            stage=row.stage,
            rate=row.rate,
            transfer_id=row.transfer_id,
            state=row.state,
            reason=row.reason,
            target_org_id=row.target_org_id,
            responsible=(who := responsible(row.stage, row.rate, row.state)),
            late=(("started", "XS") if who == "school" and row.stage == "idle" else ("completed", row.rate))
            in passed
            and who != "",
        )
        for row in store.people(
            tx, org.path, cohort, request.figure, request.after, max(1, min(request.limit, 500))
        )
    ]


def get_board(tx: Connection, request: contract.GetBoard, actor: Actor | None) -> list[BoardRow]:
    """Return the deadline board: the direct subordinates with what waits below each, worst first (BEY-18, STAT-16, BEY-06)."""
    org = directory.require_above(tx, actor, request.org_id, observers=True)
    cohort = next(iter(store.cohorts(tx, org.org_id)), 0)
    rows = board.board(tx, org.org_id, cohort, clock.now())
    decided, seconds = board.decisions(tx, [row.org_id for row in rows], clock.today().year)
    overturned = {org_id: codes.pop(store.OVERTURNED, 0) for org_id, codes in decided.items()}
    return [
        BoardRow(
            org_id=row.org_id,
            name=row.name,
            waiting=row.waiting,
            due_soon=row.due_soon,
            overdue=row.overdue,
            assigning=row.assigning,
            oldest=row.oldest,
            idle=row.idle,
            decided=sum(decided.get(row.org_id, {}).values()),
            rejected={code: n for code, n in decided.get(row.org_id, {}).items() if code != "approve"},
            overturned=overturned.get(row.org_id, 0),
            days=round(seconds[row.org_id] / sum(decided[row.org_id].values()) / 86_400, 1)
            if decided.get(row.org_id)
            else None,
        )
        for row in rows
    ]
