"""Use cases of the orgs service: lists in, lists out, inside the caller's transaction. No framework."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import domain, names, store
from services.orgs.log import log, org_entry
from services.orgs.naming import store as naming_store
from shared import audit, clock, commands, practice, reference
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import orgs as contract
from shared.messages.members import AdministratorRegistered, BranchGraduated, CadreChanged
from shared.messages.orgs import (
    CheckOrg,
    DeleteOrg,
    Org,
    OrgSaved,
    SaveOrg,
    SetAdministrator,
    SetSchoolNumber,
)


class _Tree:
    """The organisations and rights that a list of commands touches.

    They are loaded at once, kept up to date along the list, and written at the end.
    """

    def __init__(self, tx: Connection, asked: list[Asked[Any]], ids: list[int | None]) -> None:
        loaded = store.by_ids(tx, [*ids, *[one.actor.org_id for one in asked]])
        # The superiors, too: rules ask for their industry and kind, and their count of children changes.
        loaded |= store.by_ids(tx, [row.parent_id for row in loaded.values() if row.parent_id not in loaded])
        self.orgs: dict[int, dict[str, Any]] = {org_id: dict(row._mapping) for org_id, row in loaded.items()}
        self.administrators: dict[int, set[int]] = {}
        self.observers: set[tuple[int, int]] = set()
        for row in store.rights(tx, list(self.orgs)):
            if row.observer:
                self.observers.add((row.org_id, row.person_id))
            else:
                self.administrators.setdefault(row.org_id, set()).add(row.person_id)
        self.cadres = store.cadres(tx, list(self.orgs))
        self.taken = naming_store.taken(
            tx,
            [
                domain.normalise(one.item.full_name)
                for one in asked
                if getattr(one.item, "unique_name", False)
            ],
        )
        """Of full names that are to be unique, the organisations that have them."""
        self.new_ids = iter(store.new_ids(tx, sum(one.item.org_id is None for one in asked)))
        self.saved: dict[int, dict[str, Any]] = {}
        self.rights: dict[tuple[int, int], dict[str, Any]] = {}
        self.entries: list[audit.Entry] = []
        self.asked: Asked[Any] | None = None
        """The item that is decided now; what it changes is written into the audit log as its doing."""

    def acts(self, actor: Actor, own: int | None, superior: int | None) -> bool:
        """Return whether the actor administers an acting organisation that may manage what is asked for."""
        acting = actor.org_id
        return (
            acting in self.orgs
            and actor.person_id in self.administrators.get(acting, ())
            and domain.may_manage(acting, own, superior)
        )

    def save(self, org: dict[str, Any]) -> None:
        """Take an organisation as it is from now on; of several states in one list the last is written."""
        self.entries.append(org_entry(self.orgs.get(org["org_id"]), org, **audit.by(self.asked)))
        self.saved[org["org_id"]] = org
        if org["deleted"]:
            del self.orgs[org["org_id"]]
        else:
            self.orgs[org["org_id"]] = org

    def set_right(self, org_id: int, person_id: int, active: bool, observer: bool) -> None:
        """Take a right as it is from now on, given or revoked by whoever asks for the present item."""
        assert self.asked is not None
        actor = self.asked.actor
        self.rights[org_id, person_id] = {
            "org_id": org_id,
            "person_id": person_id,
            "active": active,
            "observer": observer,
            "changed_by": actor.person_id,
            "changed_for": actor.org_id,
            "request_id": self.asked.request_id,
        }

    def count_child(self, parent_id: int | None, by: int) -> None:
        """Keep the number of subordinates true for the next item of the list."""
        parent = self.orgs.get(parent_id) if parent_id is not None else None
        if parent is not None:
            parent["children"] += by

    def write(self, tx: Connection) -> None:
        """Write and tell what the list changed, one statement per table."""
        if self.saved:
            store.save(tx, list(self.saved.values()))
            log.append(tx, self.entries)
        if self.rights:
            store.set_administrators(tx, list(self.rights.values()), clock.now(), None)


def _command(
    decide: Callable[[_Tree, Any, Actor], OrgSaved], ids: Callable[[Any], list[int | None]]
) -> Callable[[Connection, list[Asked[Any]]], list[OrgSaved]]:
    """Make a command handler from the decision on one item, and from the organisations that it touches.

    The handler locks, loads once, decides item by item and writes once; each command is handled once
    (`commands.once_remembered`). The lock comes first, so that of two replicas with the same
    organisation the second sees what the first did: limits, versions and repeated commands hold.
    """

    def handler(tx: Connection, asked: list[Asked[Any]]) -> list[OrgSaved]:
        store.lock(tx, [org_id for one in asked for org_id in ids(one.item)])

        def decide_all(fresh: list[Asked[Any]]) -> list[OrgSaved]:
            tree = _Tree(tx, fresh, [org_id for one in fresh for org_id in ids(one.item)])
            answers = []
            for one in fresh:
                tree.asked = one
                answers.append(decide(tree, one.item, one.actor))
            tree.write(tx)
            return answers

        return commands.once_remembered(
            tx, asked, OrgSaved, decide_all, lambda item, refusal: OrgSaved(refusal=refusal)
        )

    return handler


def _save_org(tree: _Tree, item: SaveOrg, actor: Actor) -> OrgSaved:
    parent = tree.orgs.get(item.parent_id)
    old = tree.orgs.get(item.org_id) if item.org_id is not None else None
    if parent is None or (item.org_id is not None and (old is None or old["parent_id"] != item.parent_id)):
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts(actor, item.org_id, item.parent_id):
        return OrgSaved(refusal=Refusal("not_your_org"))
    given = _given(item)
    if old is None and item.purpose == "handover" and not given["full_name"]:
        given |= _label(parent)
    # Of several rules that are broken the first answers.
    refusal = domain.check_org(
        old["kind"] if old else item.kind,
        item.purpose,
        parent["kind"],
        given["full_name"],
        given["industry"],
        given["short_name"],
    )
    if (
        refusal is None
        and item.unique_name
        and tree.taken.get(domain.normalise(given["full_name"]), set()) - {item.org_id}
    ):
        refusal = Refusal("name_taken")
    if refusal is None and not domain.is_division_code(item.division_code.strip()):
        refusal = Refusal("org_division_invalid")
    if refusal is None and old is None:
        refusal = domain.check_new_name(given["full_name"], given["short_name"]) or domain.check_purpose(
            item.purpose, item.kind, parent["kind"], parent["purpose"], given["industry"], clock.today().month
        )
    if refusal is None:
        refusal = domain.check_township(
            old["purpose"] if old else item.purpose,
            old["kind"] if old else item.kind,
            given["industry"],
            parent,
        )
    if (
        refusal is None
        and old is not None
        and domain.is_provincial(old["parent_id"], old["org_id"], old["provincial_id"])
        and any(old[name] != value for name, value in given.items())
    ):
        refusal = Refusal("org_fixed")
    if refusal is not None:
        return OrgSaved(org_id=item.org_id, refusal=refusal)
    given |= {**names.searchable(given["full_name"], given["short_name"], old), "phone": item.phone}
    known = old["division_code"] if old is not None else None
    # Nobody has to type a code: an organisation is where its superior is until it says otherwise.
    given |= {"division_code": item.division_code.strip() or known or parent["division_code"]}
    if old is not None:
        tree.save({**old, **given, "version": old["version"] + 1})
        return OrgSaved(org_id=item.org_id)
    org_id = next(tree.new_ids)
    tree.save(
        {
            "org_id": org_id,
            "parent_id": item.parent_id,
            "path": f"{parent['path']}{org_id}.",
            "kind": item.kind,
            "purpose": item.purpose,
            "province": parent["province"],
            "system": parent["system"],
            "provincial_id": parent["provincial_id"] or org_id,
            "vault_id": parent["vault_id"],
            **given,
            "grad_year": None,
            "display_order": org_id,
            "version": 1,
            "deleted": False,
            "children": 0,
            "school_number": "",
            "checked_at": None,
            "was_kind": None,
            "secretary_id": None,
        }
    )
    tree.count_child(item.parent_id, 1)
    return OrgSaved(org_id=org_id)


def _label(parent: dict[str, Any]) -> dict[str, str]:
    """Return the names of a hand-over branch that is given none (ORG-28).

    They are what such branches are called here and now, after its superior.
    """
    label = practice.text("township_branch_label", clock.today(), parent["province"], parent["path"])
    return {"short_name": label, "full_name": f"{names.LEAGUE}{names.stem(parent['full_name'])}{label}"}


def _given(item: SaveOrg | CheckOrg) -> dict[str, Any]:
    return {
        "short_name": _clean(item.short_name) or _clean(item.full_name),
        "full_name": _clean(item.full_name),
        "industry": item.industry.strip(),
    }


def _missing(*fields: tuple[str, Any]) -> Refusal | None:
    """Return the refusal of the first field without a value; each is given with its label."""
    for label, value in fields:
        if not value:
            return Refusal("field_missing", {"field": label})
    return None


def _check_org(tree: _Tree, item: CheckOrg, actor: Actor) -> OrgSaved:
    org = tree.orgs.get(item.org_id)
    if org is None:
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts(actor, item.org_id, None):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_your_org"))
    given = _given(item)
    fixed = domain.is_provincial(org["parent_id"], org["org_id"], org["provincial_id"])
    refusal = (
        domain.check_first(org, item.kind, org["secretary_id"])
        or _missing(
            ("组织全称", given["full_name"]),
            ("所属行业", given["industry"] or fixed),
            ("联系电话", item.phone.strip()),
        )
        or domain.check_org(
            item.kind, "ordinary", "committee", given["full_name"], given["industry"], given["short_name"]
        )
    )
    if refusal is None and org["parent_id"] in tree.orgs:
        refusal = domain.check_township(
            org["purpose"], item.kind, given["industry"], tree.orgs[org["parent_id"]]
        )
    if refusal is None and fixed and any(org[name] != value for name, value in given.items()):
        refusal = Refusal("org_fixed")
    if refusal is not None:
        return OrgSaved(org_id=item.org_id, refusal=refusal)
    tree.save(
        {
            **org,
            **given,
            **names.searchable(given["full_name"], given["short_name"], org),
            "phone": item.phone.strip(),
            "kind": item.kind,
            "was_kind": org["was_kind"] or (org["kind"] if item.kind != org["kind"] else None),
            "checked_at": org["checked_at"] or clock.now(),
            "version": org["version"] + 1,
        }
    )
    return OrgSaved(org_id=item.org_id)


def _set_school_number(tree: _Tree, item: SetSchoolNumber, actor: Actor) -> OrgSaved:
    org = tree.orgs.get(item.org_id)
    if org is None:
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts(actor, item.org_id, None):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_your_org"))
    superior = tree.orgs.get(org["parent_id"])
    number = item.number.strip().upper()
    if not domain.may_have_school_number(
        org["kind"], org["industry"], superior["industry"] if superior else ""
    ):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_a_school"))
    if number and not (number.isascii() and number.isalnum() and 4 <= len(number) <= 20):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("school_number_form"))
    tree.save({**org, "school_number": number, "version": org["version"] + 1})
    return OrgSaved(org_id=item.org_id)


def _clean(name: str) -> str:
    return " ".join(name.split())


def _delete_org(tree: _Tree, item: DeleteOrg, actor: Actor) -> OrgSaved:
    org = tree.orgs.get(item.org_id)
    if org is None:
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts(actor, None, org["parent_id"]):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_your_org"))
    if org["children"]:
        return OrgSaved(
            org_id=item.org_id, refusal=Refusal("org_has_children", {"count": str(org["children"])})
        )
    if item.to_awaiting:
        if org["kind"] != "branch":
            return OrgSaved(org_id=item.org_id, refusal=Refusal("not_awaiting"))
        if practice.text("delete_nonempty_branch", clock.today(), org["province"], org["path"]) == "forbid":
            return OrgSaved(org_id=item.org_id, refusal=Refusal("awaiting_not_offered"))
        if org["purpose"] != "awaiting":
            tree.save({**org, "purpose": "awaiting", "version": org["version"] + 1})
        return OrgSaved(org_id=item.org_id)
    tree.save({**org, "version": org["version"] + 1, "deleted": True})
    tree.count_child(org["parent_id"], -1)
    return OrgSaved(org_id=item.org_id)


def _set_administrator(tree: _Tree, item: SetAdministrator, actor: Actor) -> OrgSaved:
    org = tree.orgs.get(item.org_id)
    if org is None:
        return OrgSaved(refusal=Refusal("unknown_org"))
    if not tree.acts(actor, item.org_id, org["parent_id"]):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_your_org"))
    if not item.active and item.person_id == actor.person_id:
        return OrgSaved(org_id=item.org_id, refusal=Refusal("own_right"))
    pair = (item.org_id, item.person_id)
    if (
        item.observer
        and item.active
        and (
            os.environ.get("TUANQIAO_OBSERVERS") != "true"
            or item.person_id in tree.administrators.get(item.org_id, ())
        )
    ):
        return OrgSaved(org_id=item.org_id, refusal=Refusal("no_observers"))
    if item.active and pair not in tree.cadres:
        return OrgSaved(org_id=item.org_id, refusal=Refusal("not_a_cadre"))
    if item.observer and item.active:
        tree.observers.add(pair)
        tree.set_right(item.org_id, item.person_id, True, True)
        return OrgSaved(org_id=item.org_id)
    # Taking back a right to look that is not there is no error, and leaves a full right alone.
    if item.observer and not item.active and pair not in tree.observers:
        return OrgSaved(org_id=item.org_id)
    holders = tree.administrators.setdefault(item.org_id, set())
    limit = reference.administrator_limit(org["kind"])
    if item.active and item.person_id not in holders and len(holders) >= limit:
        return OrgSaved(org_id=item.org_id, refusal=Refusal("too_many_administrators", {"limit": str(limit)}))
    # What is already as asked for is not written, so the log has no line of it.
    if item.active != (item.person_id in holders) or item.observer:
        if item.active:
            holders.add(item.person_id)
        else:
            holders.discard(item.person_id)
        tree.observers.discard(pair)
        tree.set_right(item.org_id, item.person_id, item.active, item.observer)
    return OrgSaved(org_id=item.org_id)


save_orgs = _command(_save_org, lambda item: [item.parent_id, item.org_id])
"""Create or edit organisations (ORG-10, ORG-14, ORG-23).

Their own administrator does, or the direct superior's; at once, without approval. The names of
subordinates stay as they are (ORG-09), and so do kind and purpose; the centre and the provincial
bodies keep their names (ORG-13).
"""
delete_orgs = _command(_delete_org, lambda item: [item.org_id])
"""Delete direct subordinates that have none of their own (DEL-01, DEL-02).

A branch may be set aside with its members instead, as an awaiting one (DEL-03). This service knows
subordinates only. Members knows who is in a branch, transfers what is under way: the gateway asks
both before and says what stands in the way. Should something come in between, they refuse
afterwards, and the organisation comes back (DEL-03, ORG-42, DEL-14, `on_taken_back`).
"""
set_administrators = _command(_set_administrator, lambda item: [item.org_id])
"""Give or revoke rights (ADM-01, ADM-05..08).

Another administrator of the organisation does, or the direct superior's; nobody revokes their own.
Only a cadre of the organisation becomes its administrator (ADM-02, ADM-03) or its observer, so that
nobody is bound to an organisation by an id alone; losing the right leaves the post (ROLE-04).
"""
check_orgs = _command(_check_org, lambda item: [item.org_id])
"""Check and complete the own organisation's data (ORG-16, ORG-19, ORG-21).

The kind may change the first time (ORG-11).
"""
set_school_numbers = _command(_set_school_number, lambda item: [item.org_id])
"""Record or clear the number of an independent school, as its own administrator (SCH-03..07)."""


# ---- events ----------------------------------------------------------------------------------------


def on_branch_graduated(tx: Connection, items: list[BranchGraduated]) -> None:
    """Take over what members has decided about graduates' organisations (GRAD-12, GRAD-14)."""
    store.graduate(tx, items)


def on_taken_back(tx: Connection, items: list[Any]) -> None:
    """Take back what others refuse.

    That is deletions with members inside (DEL-03) and changes of a party of open transfers (ORG-42,
    DEL-14).
    """
    store.restore(tx, items)


def on_cadre_changed(tx: Connection, items: list[CadreChanged]) -> None:
    """Keep who holds a post; with the last one in an organisation the right over it ends (ADM-02, ADM-18)."""
    store.change_cadres(tx, items)


def on_administrator_registered(tx: Connection, items: list[AdministratorRegistered]) -> None:
    """Give the rights that registration codes promised, while there is room (ADM-09, ADM-11).

    Where there is none, that is told.
    """
    store.lock(tx, [item.org_id for item in items])
    orgs = store.by_ids(tx, [item.org_id for item in items])
    holders: dict[int, set[int]] = {}
    for row in store.administrators(tx, list(orgs)):
        holders.setdefault(row.org_id, set()).add(row.person_id)
    given, refused = [], []
    for item in items:
        right = {
            "org_id": item.org_id,
            "person_id": item.person_id,
            "active": True,
            "changed_by": item.person_id,
            "ref": "registration code",
        }
        having = holders.setdefault(item.org_id, set())
        if item.person_id in having:
            continue
        if item.org_id in orgs and len(having) < reference.administrator_limit(orgs[item.org_id].kind):
            having.add(item.person_id)
            given.append(right)
        else:
            refused.append(right)
    if given:
        store.set_administrators(tx, given, clock.now(), None)
    if refused:
        store.refuse_registrations(tx, refused)


# ---- queries ---------------------------------------------------------------------------------------


def shown(row: sa.Row[Any]) -> Org:
    """Return an organisation as the contract shows it."""
    filled = all((row.full_name, row.short_name, row.industry or row.kind == "leading_body", row.phone))
    return Org(
        org_id=row.org_id,
        parent_id=row.parent_id,
        kind=row.kind,
        purpose=row.purpose,
        province=row.province,
        short_name=row.short_name,
        full_name=row.full_name,
        industry=row.industry,
        phone=row.phone,
        children=row.children,
        school_number=row.school_number,
        division_code=row.division_code or "",
        secretary_id=row.secretary_id,
        checked=row.checked_at is not None,
        top=domain.is_provincial(row.parent_id, row.org_id, row.provincial_id),
        complete=filled and row.secretary_has_phone,
    )


def list_contacts(
    tx: Connection, request: contract.ListContacts, actor: Actor | None
) -> list[contract.Contact]:
    """Return the public telephone numbers of leading bodies by part of the name (SRCH-09).

    The part has two characters at least.
    """
    text = domain.normalise(request.text)
    if len(text) < 2:
        raise Refused("field_missing", field="地名(至少两个字)")
    return [
        contract.Contact(org_id=row.org_id, name=row.full_name, phone=row.phone)
        for row in store.contacts(tx, text)
    ]


def get_orgs(tx: Connection, request: contract.GetOrgs, actor: Actor | None) -> list[Org]:
    """Return organisations by id, in the order asked for; names of organisations are not personal data."""
    if len(request.org_ids) > 500:
        raise Refused("too_many_items", limit=500)
    found = store.by_ids(tx, request.org_ids)
    return [shown(found[org_id]) for org_id in request.org_ids if org_id in found]


def list_children(tx: Connection, request: contract.ListChildren, actor: Actor | None) -> list[Org]:
    """Return direct subordinates in display order (ORG-24)."""
    return [
        shown(row)
        for row in store.children(tx, request.org_id, request.after, max(1, min(request.limit, 500)))
    ]


def list_administrators(
    tx: Connection, request: contract.ListAdministrators, actor: Actor | None
) -> list[contract.Administrator]:
    """Return who administers the organisations; names come from members, masked by right."""
    return [
        contract.Administrator(org_id=row.org_id, person_id=row.person_id)
        for row in store.administrators(tx, request.org_ids[:500])
    ]


def my_orgs(tx: Connection, request: contract.MyOrgs, actor: Actor | None) -> list[Org]:
    """Return the organisations that the caller administers (ROLE-14)."""
    assert actor is not None
    return [shown(row) for row in store.by_ids(tx, store.administered_by(tx, actor.person_id)).values()]
