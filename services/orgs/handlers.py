"""Use cases of the orgs service: lists in, lists out, inside the caller's transaction. No framework."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import domain, store
from shared import clock
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import orgs as contract
from shared.messages.orgs import DeleteOrg, Org, OrgSaved, SaveOrg, SetAdministrator


class _Tree:
    """The organisations and administrators that a list of commands touches, loaded at once and kept up to date along the list."""

    def __init__(self, tx: Connection, asked: list[Asked[Any]], ids: list[int | None]) -> None:
        self.orgs: dict[int, dict[str, Any]] = {org_id: dict(row._mapping) for org_id, row in store.by_ids(tx, [*ids, *[one.actor.org_id for one in asked]]).items()}
        self.administrators: dict[int, set[int]] = {}
        for row in store.administrators(tx, list(self.orgs)):
            self.administrators.setdefault(row.org_id, set()).add(row.person_id)

    def acts_for(self, actor: Actor, *org_ids: int | None) -> bool:
        """Return whether the actor administers the acting organisation and that is one of `org_ids`."""
        return actor.org_id is not None and actor.org_id in org_ids and actor.person_id in self.administrators.get(actor.org_id, ())


def _command(handle: Callable[[Connection, _Tree, Any, Actor], OrgSaved], ids: Callable[[Any], list[int | None]]) -> Callable[[Connection, list[Asked[Any]]], list[OrgSaved]]:
    """Make a command handler of a use case for one item: earlier answers first, then one load, then item by item."""
    def handler(tx: Connection, asked: list[Asked[Any]]) -> list[OrgSaved]:
        known = store.replies(tx, [one.item.command_id for one in asked])
        tree = _Tree(tx, asked, [org_id for one in asked for org_id in ids(one.item)])
        answers, fresh = [], []
        for one in asked:
            stored = known.get(one.item.command_id)
            answer = msgspec.json.decode(stored, type=OrgSaved) if stored else handle(tx, tree, one.item, one.actor)
            answers.append(answer)
            if not stored and answer.refusal is None:
                known[one.item.command_id] = msgspec.json.encode(answer).decode()
                fresh.append({"command_id": one.item.command_id, "reply": known[one.item.command_id]})
        store.remember(tx, fresh)
        return answers
    return handler


def _save_org(tx: Connection, tree: _Tree, item: SaveOrg, actor: Actor) -> OrgSaved:
    parent = tree.orgs.get(item.parent_id)
    if parent is None:
        return OrgSaved(refusal=Refusal("unknown_org"))
    old = tree.orgs.get(item.org_id) if item.org_id is not None else None
    if item.org_id is not None and (old is None or old["parent_id"] != item.parent_id):
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts_for(actor, item.parent_id, item.org_id if old else None):
        return OrgSaved(refusal=Refusal("not_your_org"))
    refusal = domain.check_org(old["kind"] if old else item.kind, item.purpose, parent["kind"], item.full_name)
    if refusal is not None:
        return OrgSaved(refusal=refusal)
    org_id = item.org_id or store.new_ids(tx, 1)[0]
    row = {
        "org_id": org_id, "parent_id": item.parent_id, "path": old["path"] if old else f"{parent['path']}{org_id}.",
        "kind": old["kind"] if old else item.kind, "purpose": old["purpose"] if old else item.purpose, "province": parent["province"], "system": parent["system"],
        "provincial_id": parent["provincial_id"] or org_id, "vault_id": parent["vault_id"], "short_name": item.short_name or item.full_name,
        "full_name": item.full_name, "bigrams": domain.bigrams(item.full_name), "industry": item.industry, "phone": item.phone, "division_code": None,
        "grad_year": None, "display_order": old["display_order"] if old else org_id, "version": old["version"] + 1 if old else 1, "deleted": False, "children": 0}
    store.save(tx, [row])
    tree.orgs[org_id] = row
    return OrgSaved(org_id=org_id)


def _delete_org(tx: Connection, tree: _Tree, item: DeleteOrg, actor: Actor) -> OrgSaved:
    org = tree.orgs.get(item.org_id)
    if org is None:
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts_for(actor, org["parent_id"]):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_your_org"))
    if store.by_ids(tx, [item.org_id])[item.org_id].children:
        return OrgSaved(org_id=item.org_id, refusal=Refusal("org_has_children"))
    store.save(tx, [{**org, "version": org["version"] + 1, "deleted": True}])
    del tree.orgs[item.org_id]
    return OrgSaved(org_id=item.org_id)


def _set_administrator(tx: Connection, tree: _Tree, item: SetAdministrator, actor: Actor) -> OrgSaved:
    org = tree.orgs.get(item.org_id)
    if org is None:
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts_for(actor, item.org_id) and not _superior_acts(tx, tree, actor, org["parent_id"]):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_your_org"))
    if not item.active and item.person_id == actor.person_id and actor.org_id == item.org_id:
        return OrgSaved(org_id=item.org_id, refusal=Refusal("own_right"))
    holders = tree.administrators.setdefault(item.org_id, set())
    limit = domain.administrator_limit(org["kind"])
    if item.active and item.person_id not in holders and len(holders) >= limit:
        return OrgSaved(org_id=item.org_id, refusal=Refusal("too_many_administrators", {"limit": str(limit)}))
    store.set_administrators(tx, [{"org_id": item.org_id, "person_id": item.person_id, "active": item.active}], clock.now(), actor.person_id)
    (holders.add if item.active else holders.discard)(item.person_id)
    return OrgSaved(org_id=item.org_id)


def _superior_acts(tx: Connection, tree: _Tree, actor: Actor, parent_id: int | None) -> bool:
    return parent_id is not None and tree.acts_for(actor, parent_id)


save_orgs = _command(_save_org, lambda item: [item.parent_id, item.org_id])
"""Create or edit organisations (ORG-10, ORG-14, ORG-23): by their own administrator or the direct superior's; at once, no approval."""
delete_orgs = _command(_delete_org, lambda item: [item.org_id])
"""Delete direct subordinates that have none of their own (DEL-01, DEL-02)."""
set_administrators = _command(_set_administrator, lambda item: [item.org_id])
"""Give or revoke rights (ADM-01, ADM-05..07): by another administrator of the organisation or the direct superior's."""


# ---- queries ---------------------------------------------------------------------------------------------------------

def _shown(row: sa.Row[Any]) -> Org:
    return Org(org_id=row.org_id, parent_id=row.parent_id, kind=row.kind, purpose=row.purpose, province=row.province, short_name=row.short_name,
               full_name=row.full_name, industry=row.industry, phone=row.phone, children=row.children)


def search_orgs(tx: Connection, request: contract.SearchOrgs, actor: Actor | None) -> list[Org]:
    """Find organisations by any part of the full name (BEY-20, SRCH-08); two characters at least."""
    text = domain.normalise(request.text)
    if len(text) < 2:
        raise Refused("bad_request", detail="text: at least 2 characters")
    below = None
    if request.below is not None:
        below = store.by_ids(tx, [request.below]).get(request.below)
        if below is None:
            raise Refused("unknown_org")
    return [_shown(row) for row in store.search(tx, text, request.targets_only, max(1, min(request.limit, 50)), below)]


def get_orgs(tx: Connection, request: contract.GetOrgs, actor: Actor | None) -> list[Org]:
    """Return organisations by id, in the order asked for; names of organisations are not personal data."""
    if len(request.org_ids) > 500:
        raise Refused("too_many_items", limit=500)
    found = store.by_ids(tx, request.org_ids)
    return [_shown(found[org_id]) for org_id in request.org_ids if org_id in found]


def list_children(tx: Connection, request: contract.ListChildren, actor: Actor | None) -> list[Org]:
    """Return direct subordinates in display order (ORG-24)."""
    return [_shown(row) for row in store.children(tx, request.org_id, request.after, max(1, min(request.limit, 500)))]


def list_administrators(tx: Connection, request: contract.ListAdministrators, actor: Actor | None) -> list[contract.Administrator]:
    """Return who administers the organisations; names come from members, masked by right."""
    return [contract.Administrator(org_id=row.org_id, person_id=row.person_id) for row in store.administrators(tx, request.org_ids[:500])]


def my_orgs(tx: Connection, request: contract.MyOrgs, actor: Actor | None) -> list[Org]:
    """Return the organisations that the caller administers (ROLE-14)."""
    assert actor is not None
    return [_shown(row) for row in store.by_ids(tx, store.administered_by(tx, actor.person_id)).values()]
