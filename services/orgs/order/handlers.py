"""The order of organisations below their superior: 上移 and 下移 (ORG-24, ORG-43)."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.orgs import domain, store
from services.orgs.order import store as order_store
from shared.bus.service import Asked
from shared.errors import Refusal
from shared.messages.orgs import OrderOrg, OrgSaved


def order_orgs(tx: Connection, asked: list[Asked[OrderOrg]]) -> list[OrgSaved]:
    """Put organisations after others of the same superior, or first, as its administrators (ORG-24).

    It may be repeated without harm. The superior is held, so of two that order at the same time the
    second sees what the first did.
    """
    orgs = store.by_ids(tx, [one.item.org_id for one in asked])
    parents = {row.parent_id for row in orgs.values() if row.parent_id is not None}
    store.lock(tx, sorted(parents))
    siblings = order_store.siblings(tx, parents)
    holders = {(row.org_id, row.person_id) for row in store.administrators(tx, sorted(parents))}
    lists = {parent: [row.org_id for row in rows] for parent, rows in siblings.items()}
    answers = []
    for one in asked:
        org = orgs.get(one.item.org_id)
        refusal = _refusal(one, org.parent_id if org is not None else None, lists, holders)
        if refusal is None and org is not None:
            lists[org.parent_id] = domain.put_after(lists[org.parent_id], one.item.org_id, one.item.after)
        answers.append(OrgSaved(org_id=one.item.org_id, refusal=refusal))
    moved = []
    for parent, ids in lists.items():
        before = {row.org_id: row.display_order for row in siblings[parent]}
        # The places stay where they were, other organisations take them: so only those between move.
        for org_id, place in zip(ids, domain.places(list(before.values())), strict=True):
            if before[org_id] != place:
                moved.append({"org_id": org_id, "display_order": place})
    order_store.set_order(tx, moved)
    return answers


def _refusal(
    one: Asked[OrderOrg], parent: int | None, lists: dict[int, list[int]], holders: set[tuple[int, int]]
) -> Refusal | None:
    if parent is None or one.item.org_id not in lists.get(parent, ()):
        return Refusal("unknown_org")
    if not domain.may_manage(one.actor.org_id, None, parent) or (parent, one.actor.person_id) not in holders:
        return Refusal("not_your_org")
    if one.item.after is not None and one.item.after not in lists[parent]:
        return Refusal("unknown_org")
    return None
