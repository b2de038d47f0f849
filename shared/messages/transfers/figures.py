"""Hand-over rates, who is behind them, the deadline board (STAT)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from shared.messages import Query, words
from shared.messages.limits import (
    After,
    Instant,
    OrgId,
    PageSize,
    YearOrNewest,
    maybe,
)


class GetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for SX, XS and stages of an organisation and its direct subordinates (STAT-10..15).

    The organisation is the acting one or lies below it. `cohort` is the year of graduation; 0: the
    newest that there is.
    """

    org_id: OrgId | None = None
    cohort: YearOrNewest = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one organisation's subtree; no rate without a denominator (STAT-14).

    `services/transfers/figures/rules.py` says what each counts.
    """

    org_id: int
    name: str
    kind: words.OrgKind
    study: int
    study_in: int
    studied: int
    society: int
    society_in: int
    settled: int
    excluded: int
    idle: int
    open: int
    ended: int
    completed: int
    sx: float | None
    xs: float | None


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the season (DL-14, DL-15).

    What share is to have started or completed by a day, and what share has (`reached`).
    """

    by: dt.date
    what: words.Milestone
    reasons: words.Rate
    share: float
    reached: float | None
    rule: str


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one week, by its Monday, to transfers out of a subtree."""

    week: dt.date
    started: int
    completed: int
    rejected: int
    returned: int
    withdrawn: int


class FigureSheet(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of an organisation and its direct subordinates, with the stages of the season in force."""

    cohort: int
    cohorts: list[int]
    org: Figures
    children: list[Figures]
    stages: list[Stage]
    policy: str
    phase: str
    weeks: list[Week] = []


class ListBehind(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the graduates behind one figure of an organisation at or below the acting one (BEY-11)."""

    figure: Annotated[str, maybe(words.Figure)]
    org_id: OrgId | None = None
    cohort: YearOrNewest = 0
    after: After = 0
    limit: PageSize = 100


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A graduate behind a figure; names are joined by the gateway.

    `late`: past the stage of the season (OPS-06).
    """

    member_id: int
    branch_id: int
    stage: words.Figure
    rate: Annotated[str, maybe(words.Rate)]
    transfer_id: int | None
    state: words.TransferState | None
    reason: words.Reason | None
    target_org_id: int | None
    responsible: Annotated[str, maybe(words.Responsible)] = ""
    late: bool = False


class GetBoard(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the deadline board, with a row per direct subordinate (BEY-18).

    What waits in its subtree, what falls due within three days, what is overdue.
    """

    org_id: OrgId | None = None


class BoardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One subordinate of the board.

    `oldest`: when its oldest node was opened; of this year's decisions `rejected` by reason, and
    the `days` they took on average. `overturned`: of the rejections, those that the common superior
    has found unreasonable (TRF-27).
    """

    org_id: int
    name: str
    waiting: int
    due_soon: int
    overdue: int
    assigning: int
    oldest: Instant | None
    idle: int
    decided: int
    rejected: dict[str, int]
    days: float | None = None
    overturned: int = 0


get_figures = Query("transfers", "get_figures", GetFigures, FigureSheet)

list_behind = Query("transfers", "list_behind", ListBehind, list[Behind])

get_board = Query("transfers", "get_board", GetBoard, list[BoardRow])
