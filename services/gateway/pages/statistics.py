"""Pages that show everything below an organisation.

They are hand-over rates with the people behind them, the deadline board, entry progress and the
operator's view.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
from flask import redirect, request, session

from services.gateway.files import sheet
from services.gateway.kit import blueprint, call, calls, can, fields, first, names, render, say, tiles, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Column, Listing
from services.gateway.pages import notes
from shared import clock
from shared.messages import members, transfers
from shared.messages.limits import OrgId
from shared.messages.words import Figure
from shared.translations import N_

MAP = (
    ("late", N_("超期较多")),
    ("soon", N_("有超期")),
    ("calm", N_("没有超期")),
    ("none", N_("没有待办")),
)
"""What the colours of the map mean."""


def _chosen(name: str) -> int | None:
    return fields.number_or_none(request.args.get(name))


@blueprint.get("/figures")
def figures() -> Any:
    """SX and XS of a subtree with its direct subordinates (STAT-10..15, BEY-11).

    Every number opens into its people.
    """
    org, cohort = _chosen("org"), _chosen("cohort") or 0
    found = call(transfers.get_figures, transfers.GetFigures(org_id=org, cohort=cohort))
    asked = {"org": str(org or ""), "cohort": str(cohort or ""), "sort": request.args.get("sort", "")}
    listing = Listing("/figures", asked)
    return render(
        "statistics/figures.html",
        sheet=found,
        children=listing.in_order(
            found.children,
            name=lambda row: row.name,
            sx=lambda row: row.sx or 0,
            xs=lambda row: row.xs or 0,
            **{one: attrgetter(one) for one in COUNTED},
        ),
        org=org,
        top=session.get("org"),
        columns=[
            listing.column(_("组织"), "name"),
            listing.column("SX", "sx"),
            listing.column("XS", "xs"),
            *(listing.column(word(one), one, "number") for one in COUNTED),
        ],
        cohorts=[
            (listing.address(cohort=year), _("%(year)s 届", year=year), None, "", year == found.cohort)
            for year in found.cohorts
        ],
        export=Listing("/download/figures", {**asked, "sort": ""}).address(),
        stages=[_stage(one) for one in found.stages],
        may_mark=can("/graduation"),
    )


def _stage(stage: transfers.Stage) -> tuple[str, float, str]:
    """Return what is wanted by when, how much of that there is, and both in words (DL-14, DL-15)."""
    wanted = _(
        "%(by)s前 %(reasons)s%(what)s%(share)s%%",
        by=stage.by,
        reasons=word(stage.reasons),
        what=word(stage.what),
        share=round(100 * stage.share),
    )
    reached = stage.reached or 0.0
    return wanted, reached, "—" if stage.reached is None else f"{100 * reached:.1f} %"


COUNTED = (Figure.IDLE, Figure.OPEN, Figure.ENDED, Figure.COMPLETED)
"""The stages of which the page shows how many are in each."""


@blueprint.get("/download/figures")
def download_figures() -> Any:
    """Take the figures of the direct subordinates along as a spreadsheet (STAT-05, STAT-10)."""
    wanted = transfers.GetFigures(org_id=_chosen("org"), cohort=_chosen("cohort") or 0)
    found = call(transfers.get_figures, wanted)
    call(members.note_export, members.NoteExport(what="/figures"))
    return sheet.answer(found.children, "figures")


@blueprint.get("/figures/<figure>")
def behind(figure: str) -> Any:
    """Show the graduates behind one figure, with whom each transfer rests (BEY-11, OPS-06)."""
    org, cohort = _chosen("org"), _chosen("cohort") or 0
    items = call(
        transfers.list_behind,
        transfers.ListBehind(
            figure=figure, org_id=org, cohort=cohort, after=_chosen("after") or 0, limit=100
        ),
    )
    found, people, _more = names(
        [one for item in items for one in (item.branch_id, item.target_org_id, org)],
        [item.member_id for item in items],
    )
    return render(
        "statistics/behind.html",
        items=items,
        orgs=found,
        people=people,
        figure=figure,
        name=Figure(figure),
        org=org,
        cohort=cohort,
        columns=[Column(_("姓名")), Column(_("毕业团支部")), Column(_("转接")), Column(_("责任方"))],
    )


class Urge(msgspec.Struct):
    """A reminder of all that waits below an organisation, and whose board is shown afterwards."""

    org: OrgId
    back: OrgId | None = None


@blueprint.route("/board", methods=["GET", "POST"])
def board() -> Any:
    """Deadline board: what waits below each subordinate, worst first, with one-click reminders (BEY-18).

    Provinces are tiles where they are the subordinates.
    """
    if request.method == "POST":
        asked = forms.value(Urge, request.form)
        wanted = transfers.UrgeBelow(decision_id=uuid.uuid4(), org_id=asked.org)
        urged = first(call(transfers.urge_below, [wanted]))
        say(_("已催办 %(n)s 项(3天内已催办过的不再重复)。", n=urged.nodes))
        return redirect("/board" + (f"?org={asked.back}" if asked.back else ""))
    org = _chosen("org")
    rows = call(transfers.get_board, transfers.GetBoard(org_id=org))
    listing = Listing("/board", {"org": str(org or ""), "sort": request.args.get("sort", "")})
    return render(
        "statistics/board.html",
        rows=listing.in_order(
            rows,
            name=lambda row: row.name,
            overdue=lambda row: row.overdue,
            due_soon=lambda row: row.due_soon,
            waiting=lambda row: row.waiting,
            assigning=lambda row: row.assigning,
            oldest=lambda row: row.oldest or clock.now(),
            idle=lambda row: row.idle,
            days=lambda row: row.days or 0,
            rejected=lambda row: sum(row.rejected.values()) / row.decided if row.decided else 0,
        ),
        org=org,
        columns=[
            listing.column(_("组织"), "name"),
            listing.column(_("超期"), "overdue", "number"),
            listing.column(_("3天内到期"), "due_soon", "number"),
            listing.column(_("待办"), "waiting", "number"),
            listing.column(_("待分配超10天"), "assigning", "number"),
            listing.column(_("最早到达"), "oldest"),
            listing.column(_("未发起的毕业生"), "idle", "number"),
            listing.column(_("平均审批天数"), "days", "number"),
            listing.column(_("驳回率"), "rejected"),
            listing.column("", unseen=_("操作")),
        ],
        tiles=_map(rows),
        legend=[(colour, word(said)) for colour, said in MAP],
        slowest=min((row.oldest for row in rows if row.oldest), default=None),
    )


def _map(rows: Sequence[transfers.BoardRow]) -> list[tiles.Tile]:
    """Return the map where provinces are the subordinates: all tiles, those without a row, too."""
    found = {str(row.org_id): row for row in rows if str(row.org_id) in tiles.PLACES}
    most = max((row.overdue for row in rows), default=0)
    return [_tile(code, found.get(code), most) for code in tiles.PLACES] if found else []


def _tile(code: str, row: transfers.BoardRow | None, most: int) -> tiles.Tile:
    name, place = word(tiles.NAMES[code]), tiles.PLACES[code]
    if row is None:
        return tiles.Tile(name, *place, "none", "", name)
    colour = "calm" if not row.overdue else "late" if row.overdue * 3 >= most else "soon"
    said = _(
        "%(name)s: 超期 %(late)s, 待办 %(waiting)s, 平均审批天数 %(days)s",
        name=row.name,
        late=row.overdue,
        waiting=row.waiting,
        days="—" if row.days is None else row.days,
    )
    return tiles.Tile(name, *place, colour, row.overdue, said)


@blueprint.get("/policy")
def policy() -> Any:
    """Show the season policy that holds, its history, and what another would change (BEY-07).

    That includes what it would do to the open nodes.
    """
    view = call(transfers.get_policy, transfers.GetPolicy(compare=request.args.get("compare", "")))
    return render(
        "statistics/policy.html",
        view=view,
        compare=request.args.get("compare", ""),
        provinces=tiles.NAMES,
        source=notes.source(view.source),
        changes=[notes.change(line, tiles.NAMES) for line in view.changes],
    )


@blueprint.get("/progress")
def progress() -> Any:
    """How far data are entered, per subordinate (STAT-02..08); the whole as a spreadsheet by the API."""
    org = _chosen("org") or session.get("org") or 0
    (rows,) = calls(
        (
            members.get_entry_progress,
            members.GetEntryProgress(org_id=org, domain=request.args.get("domain", "")),
        )
    )
    asked = {name: request.args.get(name, "") for name in ("org", "domain", "sort")}
    listing = Listing("/progress", asked)
    columns = [
        listing.column(_("组织"), "name"),
        listing.column(_("团支部"), "branches", "number"),
        listing.column(_("已完成"), "finished", "number"),
        listing.column(_("已录入团员"), "members", "number"),
        listing.column(_("资料完整"), "complete", "number"),
        listing.column(_("2017年团统数量"), "members_2017", "number"),
        listing.column(_("团干部"), "cadres", "number"),
    ]
    below = listing.in_order(
        rows[1:],
        name=lambda row: row.name,
        branches=lambda row: row.branches,
        finished=lambda row: row.finished_branches / row.branches if row.branches else 0,
        members=lambda row: row.members,
        complete=lambda row: row.complete_members / row.members if row.members else 0,
        members_2017=lambda row: row.members_2017 or 0,
        cadres=lambda row: row.cadres,
    )
    # The first row is the organisation with all below it, whatever sorts the others.
    return render("statistics/progress.html", rows=[*rows[:1], *below], org=org, columns=columns)
