"""The order of organisations below their superior: 上移 and 下移 (ORG-24, ORG-43)."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.orgs import domain, store
from services.orgs.order import rules
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
    holders = store.holders(tx, parents)
    lists = {parent: [row.org_id for row in rows] for parent, rows in siblings.items()}
    answers = []
    for one in asked:
        org = orgs.get(one.item.org_id)
        refusal = _put(one, org.parent_id if org is not None else None, lists, holders)
        answers.append(OrgSaved(org_id=one.item.org_id, refusal=refusal))
    order_store.set_order(tx, _moved(siblings, lists))
    return answers


def _put(
    one: Asked[OrderOrg],
    parent: int | None,
    lists: dict[int | None, list[int]],
    holders: set[tuple[int, int]],
) -> Refusal | None:
    """Put an organisation into its place in the list of its superior, or return why not."""
    item, actor = one.item, one.actor
    manages = domain.may_manage(actor.org_id, None, parent) and (parent, actor.person_id) in holders
    refusal = rules.check_order(lists.get(parent, ()), item.org_id, item.after, manages)
    if refusal is None:
        lists[parent] = rules.put_after(lists[parent], item.org_id, item.after)
    return refusal


def _moved(
    siblings: dict[int | None, list[order_store.Sibling]], lists: dict[int | None, list[int]]
) -> list[order_store.Place]:
    """Return the organisations whose place is another, with the place.

    The places stay where they were, other organisations take them: so only those between move.
    """
    moved: list[order_store.Place] = []
    for parent, ids in lists.items():
        before = {row.org_id: row.display_order for row in siblings[parent]}
        for org_id, place in zip(ids, rules.places(list(before.values())), strict=True):
            if before[org_id] != place:
                moved.append({"org_id": org_id, "display_order": place})
    return moved
