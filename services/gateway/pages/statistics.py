"""Pages that show everything below an organisation.

They are hand-over rates with the people behind them, the deadline board, entry progress and the
operator's view.
"""

from __future__ import annotations

import uuid
from typing import Any

from flask import redirect, request, session

from services.gateway.pages import fields, notes
from services.gateway.pages.kit import blueprint, call, calls, first, names, render, word
from shared.messages import members, transfers
from shared.messages.words import Figure
from shared.translations import N_

TILES = {  # provinces as a grid that reads like the map: column, row
    "65": (1, 2),
    "54": (2, 5),
    "63": (3, 4),
    "62": (4, 3),
    "64": (5, 3),
    "15": (6, 2),
    "51": (4, 5),
    "50": (5, 5),
    "53": (4, 6),
    "52": (5, 6),
    "45": (6, 7),
    "46": (7, 8),
    "44": (7, 7),
    "43": (6, 6),
    "42": (6, 5),
    "61": (5, 4),
    "14": (6, 3),
    "13": (7, 3),
    "11": (7, 2),
    "12": (8, 3),
    "41": (6, 4),
    "37": (7, 4),
    "34": (7, 5),
    "32": (8, 4),
    "31": (9, 5),
    "33": (8, 5),
    "36": (7, 6),
    "35": (8, 6),
    "21": (9, 3),
    "22": (9, 2),
    "23": (9, 1),
}

TILE_NAMES = {
    "11": N_("北京"),
    "12": N_("天津"),
    "13": N_("河北"),
    "14": N_("山西"),
    "15": N_("内蒙古"),
    "21": N_("辽宁"),
    "22": N_("吉林"),
    "23": N_("黑龙江"),
    "31": N_("上海"),
    "32": N_("江苏"),
    "33": N_("浙江"),
    "34": N_("安徽"),
    "35": N_("福建"),
    "36": N_("江西"),
    "37": N_("山东"),
    "41": N_("河南"),
    "42": N_("湖北"),
    "43": N_("湖南"),
    "44": N_("广东"),
    "45": N_("广西"),
    "46": N_("海南"),
    "50": N_("重庆"),
    "51": N_("四川"),
    "52": N_("贵州"),
    "53": N_("云南"),
    "54": N_("西藏"),
    "61": N_("陕西"),
    "62": N_("甘肃"),
    "63": N_("青海"),
    "64": N_("宁夏"),
    "65": N_("新疆"),
}
"""What a tile has room for: the name without what all have in common; in English the letters of GB/T 2260.

The whole name is its title.
"""


def _chosen(name: str) -> int | None:
    return fields.number_or_none(request.args.get(name))


@blueprint.get("/figures")
def figures() -> Any:
    """SX and XS of a subtree with its direct subordinates (STAT-10..15, BEY-11).

    Every number opens into its people.
    """
    org = _chosen("org")
    sheet = call(transfers.get_figures, transfers.GetFigures(org_id=org, cohort=_chosen("cohort") or 0))
    return render("statistics/figures.html", sheet=sheet, org=org, top=session.get("org"))


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
    )


@blueprint.route("/board", methods=["GET", "POST"])
def board() -> Any:
    """Deadline board: what waits below each subordinate, worst first, with one-click reminders (BEY-18).

    Provinces are tiles where they are the subordinates.
    """
    if request.method == "POST":
        wanted = transfers.UrgeBelow(decision_id=uuid.uuid4(), org_id=fields.number(request.form.get("org")))
        urged = first(call(transfers.urge_below, [wanted]))
        back = fields.number(request.form.get("back"))
        return redirect(f"/board?urged={urged.nodes}" + (f"&org={back}" if back else ""))
    org = _chosen("org")
    rows = call(transfers.get_board, transfers.GetBoard(org_id=org))
    by_province = {f"{row.org_id}": row for row in rows if f"{row.org_id}" in TILES}
    tiles = []
    if by_province:
        # All tiles, those without a row, too: they make one map.
        tiles = [(word(TILE_NAMES[code]), *place, by_province.get(code)) for code, place in TILES.items()]
    return render(
        "statistics/board.html",
        rows=rows,
        org=org,
        urged=_chosen("urged"),
        tiles=tiles,
        most=max((row.overdue for row in rows), default=0),
        slowest=min((row.oldest for row in rows if row.oldest), default=None),
    )


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
        provinces=TILE_NAMES,
        source=notes.source(view.source),
        changes=[notes.change(line, TILE_NAMES) for line in view.changes],
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
    return render("statistics/progress.html", rows=rows, org=org)
