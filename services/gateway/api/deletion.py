"""Deleting organisations, and saying at once what stands in the way (DEL-02, DEL-03, DEL-14, ORG-42).

It is said with its kinds and numbers. Three services know a part of it. They are asked before the
deletion; should somebody enter or start in the same moment, the deletion is taken back by events as
before, so the answer here is a courtesy and the rule stays where the data are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shared.errors import Refusal, Refused, told
from shared.messages import members, orgs, transfers
from shared.translations import N_

AskAll = Callable[[Sequence[tuple[Any, Any]]], list[Any]]
"""Makes several calls at once in the name of the person; what is refused comes back as `Refused`."""
_KINDS = {
    "members": N_("{}名团员"),
    "registrations": N_("{}份注册申请"),
    "transfers": N_("{}笔未办结的转接"),
}


def delete(ask_all: AskAll, items: Sequence[orgs.DeleteOrg]) -> list[orgs.OrgSaved]:
    """Delete organisations, or set branches aside, and say of those that cannot be what stands in the way.

    There is one answer per item, in order.
    """
    found = _counted(ask_all, list(dict.fromkeys(item.org_id for item in items)))
    refusals: dict[int, Refusal] = {}
    for n, item in enumerate(items):
        refusal = obstacles(found.get(item.org_id, {}), item.to_awaiting)
        if refusal is not None:
            refusals[n] = refusal
    rest = [item for n, item in enumerate(items) if n not in refusals]
    answers: Any = ask_all([(orgs.delete_orgs, rest)])[0] if rest else []
    if isinstance(answers, Refused):
        raise answers
    remaining = iter(answers)
    return [
        orgs.OrgSaved(org_id=item.org_id, refusal=refusals[n]) if n in refusals else next(remaining)
        for n, item in enumerate(items)
    ]


def _counted(ask_all: AskAll, ids: list[int]) -> dict[int, dict[str, int]]:
    """Return by organisation what is inside it; what a service does not tell is left out."""
    inside, in_the_way = ask_all(
        [
            (members.count_inside, members.CountInside(org_ids=ids)),
            (transfers.count_in_the_way, transfers.CountInTheWay(org_ids=ids)),
        ]
    )
    found: dict[int, dict[str, int]] = {}
    for one in inside if not isinstance(inside, Refused) else []:
        found.setdefault(one.org_id, {}).update(members=one.members, registrations=one.registrations)
    for one in in_the_way if not isinstance(in_the_way, Refused) else []:
        found.setdefault(one.org_id, {}).update(transfers=one.transfers, leaving=one.leaving)
    return found


def obstacles(found: dict[str, int], to_awaiting: bool) -> Refusal | None:
    """Return the refusal that names what stands in the way, or None.

    A branch that is set aside keeps its members, who may go on leaving (DEL-04).
    """
    counts = (
        {"transfers": found.get("transfers", 0) - found.get("leaving", 0)}
        if to_awaiting
        else {name: found.get(name, 0) for name in _KINDS}
    )
    named: list[str | tuple[object, ...]] = []
    for name, words in _KINDS.items():
        if counts.get(name, 0) > 0:
            named += [N_("、"), (words, counts[name])]
    return Refusal("org_not_empty", {"what": told(*named[1:])}) if named else None
