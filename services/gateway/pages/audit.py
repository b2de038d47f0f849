"""The audit log for those who may look: the centre and the provincial bodies (BEY-10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from flask import Response, request

from services.gateway.files import sheet
from services.gateway.kit import blueprint, call, calls, fields, names, render
from services.gateway.pages import audit_words
from shared import clock
from shared.errors import Refused
from shared.messages import Query, federation, members, orgs, transfers
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.federation import ListBridgeAudit
from shared.messages.limits import FIRST_YEAR, LAST_YEAR
from shared.messages.words import PEERS, AuditKind
from shared.settings import bridge
from shared.translations import N_

CONTRACTS: dict[str, tuple[Query, Callable[..., ListAudit]]] = {
    "orgs": (orgs.list_audit, ListAudit),
    "members": (members.list_audit, ListAudit),
    "transfers": (transfers.list_audit, ListAudit),
    **{bridge(peer): (federation.list_bridge_audit, partial(ListBridgeAudit, peer=peer)) for peer in PEERS},
}
"""The logs that the page shows as one, each with what asks for it; of bridges those that there are."""
PAGE = 100
MOST_EXPORTED = 20_000
"""Lines of one file."""
GROUPS = {
    "org": N_("组织"),
    "right": N_("权限"),
    "migration": N_("组织迁移"),
    "post": N_("职务"),
    "member": N_("团员"),
    "registration": N_("注册"),
    "retention": N_("保留组织关系"),
    "branch": N_("毕业时间"),
    "letter": N_("介绍信"),
    "code": N_("注册码与验证码"),
    "view": N_("查看"),
    "export": N_("导出"),
    "import": N_("名单"),
    "bulk": N_("批量办理"),
    "policy": N_("时限政策"),
    "address": N_("通知地址"),
    "trail": N_("转接轨迹"),
    "bridge": N_("跨系统对接"),
}
"""What stands before the dot of a kind, as people choose it."""


class Sorted(NamedTuple):
    """A page of all logs together, newest first.

    By service it has the cursor from which the next page goes on; the last page has none.
    """

    lines: list[AuditLine]
    cursors: dict[str, str]


def _wanted() -> dict[str, Any]:
    """Return what the form asks for; days are days in China."""
    since, until = (fields.day(request.args.get(name)) for name in ("since", "until"))
    return {
        "kind": fields.one_of(request.args.get("kind"), (*GROUPS, *AuditKind)),
        "person_id": fields.number_or_none(request.args.get("person")),
        "about": fields.number_or_none(request.args.get("about")),
        "place_id": fields.number_or_none(request.args.get("place")),
        "since": datetime.combine(since, datetime.min.time(), clock.CHINA)
        if since and since.year >= FIRST_YEAR
        else None,
        "until": datetime.combine(until + timedelta(days=1), datetime.min.time(), clock.CHINA)
        if until and until.year <= LAST_YEAR
        else None,
    }


def _page(wanted: dict[str, Any], cursors: dict[str, str], limit: int) -> Sorted:
    asked = ((*CONTRACTS[name], after) for name, after in cursors.items())
    answers = calls(
        *((query, make(after=after, limit=limit, **wanted)) for query, make, after in asked), partial=True
    )
    found = [_lines(answer) for answer in answers]
    every = sorted(
        (line for some in found for line in some),
        key=lambda one: (one.at, one.service, one.lane, one.seq),
        reverse=True,
    )
    lines = every[:limit]
    # Each service goes on after its last line that is shown; one of which none is shown stays where it was.
    after = {**cursors, **{one.service: one.cursor for one in lines}}
    more = len(every) > limit or any(len(some) == limit for some in found)
    return Sorted(lines, after if more else {})


def _lines(answer: Any) -> list[AuditLine]:
    """Return what a log has answered; a bridge that this installation has not has none.

    Raises:
        Refused: Another log, or a bridge that there is, has not answered: a part is not shown as all.

    """
    if isinstance(answer, Refused):
        if answer.code != "no_bridge":
            raise answer
        return []
    return list(answer)


@blueprint.get("/audit")
def audit() -> Any:
    """Who did what to whom: all logs as one, a page at a time (BEY-10).

    They are chosen by kind, person, organisation and span.
    """
    wanted = _wanted()
    shown = _page(wanted, {name: request.args.get(name, "")[:100] for name in CONTRACTS}, PAGE)
    found, people, _more = names(
        [
            one
            for line in shown.lines
            for one in (line.org_id, line.place_id, *audit_words.organisations(line))
        ],
        [one for line in shown.lines for one in (line.person_id, *line.persons[:3])],
    )
    return render(
        "audit.html",
        shown=shown,
        groups=GROUPS,
        orgs=found,
        people=people,
        changes=audit_words.changes,
        reference=audit_words.reference,
        asked={
            name: request.args.get(name, "")
            for name in ("kind", "person", "about", "place", "since", "until")
        },
    )


@blueprint.get("/download/audit")
def download_audit() -> Response:
    """Take the lines that the filters leave along as a file; that it was taken is a line of the log, too."""
    wanted = _wanted()

    def lines() -> Iterator[AuditLine]:
        cursors = dict.fromkeys(CONTRACTS, "")
        while cursors:
            some, cursors = _page(wanted, cursors, 500)
            yield from some

    note = members.NoteExport(what="/audit")
    return sheet.answer(islice(lines(), MOST_EXPORTED), "audit", lambda: call(members.note_export, note))
