"""Use cases of the orgs service: lists in, lists out, inside the caller's transaction. No framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from services.orgs import domain, names, settings, spoken, store
from services.orgs.domain import OrgRow
from services.orgs.log import log, org_entry
from services.orgs.naming import store as naming_store
from shared import audit, clock, commands, reference
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
from shared.messages.words import OrgKind, OrgPurpose, System

Managers = Callable[[OrgRow], tuple[int | None, int | None]]
"""Which organisations manage another in some way, itself and its superior; None: not that one."""


def _itself(org: OrgRow) -> tuple[int | None, int | None]:
    return org["org_id"], None


def _superior(org: OrgRow) -> tuple[int | None, int | None]:
    return None, org["parent_id"]


def _either(org: OrgRow) -> tuple[int | None, int | None]:
    return org["org_id"], org["parent_id"]


class _Tree:
    """The organisations and rights that a list of commands touches.

    They are loaded at once, kept up to date along the list, and written at the end.
    """

    def __init__(self, tx: Connection, asked: list[Asked[Any]], ids: list[int | None]) -> None:
        loaded = store.by_ids(tx, [*ids, *[one.actor.org_id for one in asked]])
        # The superiors, too: rules ask for their industry and kind, and their count of children changes.
        loaded |= store.by_ids(tx, [row.parent_id for row in loaded.values() if row.parent_id not in loaded])
        self.orgs = {org_id: store.as_org(row) for org_id, row in loaded.items()}
        self.administrators: dict[int, set[int]] = {}
        self.observers: set[tuple[int, int]] = set()
        self._load_rights(tx)
        self.cadres = store.cadres(tx, list(self.orgs))
        unique = [one.item.full_name for one in asked if getattr(one.item, "unique_name", False)]
        self.settings = settings.of(tx)
        self.taken = naming_store.taken(tx, [domain.normalise(name) for name in unique])
        """Of full names that are to be unique, the organisations that have them."""
        self.new_ids = iter(store.new_ids(tx, sum(one.item.org_id is None for one in asked)))
        self.saved: dict[int, OrgRow] = {}
        self.rights: dict[tuple[int, int], dict[str, Any]] = {}
        self.entries: list[audit.Entry] = []
        self.asked: Asked[Any] | None = None
        """The item that is decided now; what it changes is written into the audit log as its doing."""

    def _load_rights(self, tx: Connection) -> None:
        for row in store.rights(tx, list(self.orgs)):
            if row.observer:
                self.observers.add((row.org_id, row.person_id))
            else:
                self.administrators.setdefault(row.org_id, set()).add(row.person_id)

    def acts(self, actor: Actor, own: int | None, superior: int | None) -> bool:
        """Return whether the actor administers an acting organisation that may manage what is asked for."""
        acting = actor.org_id
        return (
            acting in self.orgs
            and actor.person_id in self.administrators.get(acting, ())
            and domain.may_manage(acting, own, superior)
        )

    def save(self, org: OrgRow) -> None:
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
        holders = self.administrators.setdefault(org_id, set())
        holders.discard(person_id)
        self.observers.discard((org_id, person_id))
        if active and observer:
            self.observers.add((org_id, person_id))
        elif active:
            holders.add(person_id)
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


def _command_on_org(
    decide: Callable[[_Tree, OrgRow, Any, Actor], Refusal | None], managers: Managers
) -> Callable[[Connection, list[Asked[Any]]], list[OrgSaved]]:
    """Make a command handler from the decision on an organisation that is there.

    Its managers alone ask for it.
    """

    def decide_one(tree: _Tree, item: Any, actor: Actor) -> OrgSaved:
        org = tree.orgs.get(item.org_id)
        refusal = domain.check_acting(org is not None, org is not None and tree.acts(actor, *managers(org)))
        if org is None:
            return OrgSaved(refusal=refusal)
        return OrgSaved(org_id=item.org_id, refusal=refusal or decide(tree, org, item, actor))

    return _command(decide_one, lambda item: [item.org_id])


def _save_org(tree: _Tree, item: SaveOrg, actor: Actor) -> OrgSaved:
    parent = tree.orgs.get(item.parent_id)
    old = tree.orgs.get(item.org_id) if item.org_id is not None else None
    # an organisation is found below its superior only
    there = item.org_id is None or (old is not None and old["parent_id"] == item.parent_id)
    refusal = domain.check_acting(parent is not None and there, tree.acts(actor, item.org_id, item.parent_id))
    if parent is None or refusal is not None:
        return OrgSaved(refusal=refusal)
    wanted = _wanted(item, item.purpose, item.division_code.strip())
    if old is None and item.purpose == "handover" and not wanted.full_name:
        wanted = _labelled(tree, wanted, parent)
    same_name = tree.taken.get(domain.normalise(wanted.full_name), set()) if item.unique_name else set()
    refusal = domain.check_saving(old, parent, wanted, same_name - {item.org_id}, clock.today().month)
    if refusal is not None:
        return OrgSaved(org_id=item.org_id, refusal=refusal)
    return OrgSaved(org_id=_saved(tree, old, parent, wanted, item.phone))


def _saved(tree: _Tree, old: OrgRow | None, parent: OrgRow, wanted: domain.Wanted, phone: str) -> int:
    """Change an organisation, or create it below its superior; return its id."""
    # Nobody has to type a code: an organisation is where its superior is until it says otherwise.
    known = old["division_code"] if old is not None else None
    kind = old["kind"] if old is not None else wanted.kind
    data = _data(kind, wanted, phone, wanted.division_code or known or parent["division_code"], old)
    if old is not None:
        tree.save({**old, **data, "version": old["version"] + 1})
        return old["org_id"]
    org_id = next(tree.new_ids)
    tree.save(domain.new_org(org_id, parent, wanted.kind, wanted.purpose, data))
    tree.count_child(parent["org_id"], 1)
    return org_id


def _wanted(item: SaveOrg | CheckOrg, purpose: str, division_code: str = "") -> domain.Wanted:
    """Return what an item says of an organisation; without a short name the full one stands for it."""
    full_name = _clean(item.full_name)
    short_name = _clean(item.short_name) or full_name
    return domain.Wanted(item.kind, purpose, short_name, full_name, item.industry.strip(), division_code)


def _clean(name: str) -> str:
    return " ".join(name.split())


def _labelled(tree: _Tree, wanted: domain.Wanted, parent: OrgRow) -> domain.Wanted:
    """Return a hand-over branch that is given no name with the one it has (ORG-28).

    It is what such branches are called here and now, after its superior.
    """
    practice = tree.settings.practice
    label = practice.text("township_branch_label", clock.today(), parent["province"], parent["path"])
    full_name = f"{spoken.LEAGUE}{spoken.stem(parent['full_name'])}{label}"
    return wanted._replace(short_name=label, full_name=full_name)


def _data(
    kind: str, wanted: domain.Wanted, phone: str, division_code: str | None, old: OrgRow | None
) -> domain.Data:
    """Return the columns that people fill in, and those by which the organisation is found (BEY-20)."""
    return {
        "short_name": wanted.short_name,
        "full_name": wanted.full_name,
        "industry": wanted.industry,
        "phone": phone,
        "division_code": division_code,
        **names.searchable(kind, wanted.full_name, wanted.short_name, old),
    }


def _check_org(tree: _Tree, org: OrgRow, item: CheckOrg, actor: Actor) -> Refusal | None:
    wanted = _wanted(item, org["purpose"])
    phone = item.phone.strip()
    refusal = domain.check_data(org, tree.orgs.get(org["parent_id"] or 0), wanted, phone)
    if refusal is None:
        checked: OrgRow = {
            **org,
            **_data(item.kind, wanted, phone, org["division_code"], org),
            "kind": item.kind,
            "was_kind": org["was_kind"] or (org["kind"] if item.kind != org["kind"] else None),
            "checked_at": org["checked_at"] or clock.now(),
            "version": org["version"] + 1,
        }
        tree.save(checked)
    return refusal


def _set_school_number(tree: _Tree, org: OrgRow, item: SetSchoolNumber, actor: Actor) -> Refusal | None:
    superior = tree.orgs.get(org["parent_id"] or 0)
    number = item.number.strip().upper()
    refusal = domain.check_school_number(org, superior["industry"] if superior else "", number)
    if refusal is None:
        tree.save({**org, "school_number": number, "version": org["version"] + 1})
    return refusal


def _delete_org(tree: _Tree, org: OrgRow, item: DeleteOrg, actor: Actor) -> Refusal | None:
    practice = tree.settings.practice
    setting = practice.text("delete_nonempty_branch", clock.today(), org["province"], org["path"])
    refusal = domain.check_deletion(org, item.to_awaiting, setting != "forbid")
    if refusal is not None:
        return refusal
    if not item.to_awaiting:
        tree.save({**org, "version": org["version"] + 1, "deleted": True})
        tree.count_child(org["parent_id"], -1)
    elif org["purpose"] != "awaiting":
        tree.save({**org, "purpose": "awaiting", "version": org["version"] + 1})
    return None


def _set_administrator(tree: _Tree, org: OrgRow, item: SetAdministrator, actor: Actor) -> Refusal | None:
    pair = (item.org_id, item.person_id)
    holders = tree.administrators.get(item.org_id, set())
    right = domain.Right(
        kind=org["kind"],
        active=item.active,
        observer=item.observer,
        own=item.person_id == actor.person_id,
        offered=tree.settings.observers,
        cadre=pair in tree.cadres,
        holds=item.person_id in holders,
        observes=pair in tree.observers,
        holders=len(holders),
    )
    refusal = domain.check_right(right)
    if refusal is None and domain.changes_right(right):
        tree.set_right(item.org_id, item.person_id, item.active, item.observer)
    return refusal


save_orgs = _command(_save_org, lambda item: [item.parent_id, item.org_id])
"""Create or edit organisations (ORG-10, ORG-14, ORG-23).

Their own administrator does, or the direct superior's; at once, without approval. The names of
subordinates stay as they are (ORG-09), and so do kind and purpose; the centre and the provincial
bodies keep their names (ORG-13).
"""
delete_orgs = _command_on_org(_delete_org, _superior)
"""Delete direct subordinates that have none of their own (DEL-01, DEL-02).

A branch may be set aside with its members instead, as an awaiting one (DEL-03). This service knows
subordinates only. Members knows who is in a branch, transfers what is under way: the gateway asks
both before and says what stands in the way. Should something come in between, they refuse
afterwards, and the organisation comes back (DEL-03, ORG-42, DEL-14, `on_taken_back`).
"""
set_administrators = _command_on_org(_set_administrator, _either)
"""Give or revoke rights (ADM-01, ADM-05..08).

Another administrator of the organisation does, or the direct superior's; nobody revokes their own.
Only a cadre of the organisation becomes its administrator (ADM-02, ADM-03) or its observer, so that
nobody is bound to an organisation by an id alone; losing the right leaves the post (ROLE-04).
"""
check_orgs = _command_on_org(_check_org, _itself)
"""Check and complete the own organisation's data (ORG-16, ORG-19, ORG-21).

The kind may change the first time (ORG-11).
"""
set_school_numbers = _command_on_org(_set_school_number, _itself)
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

    Where there is none, or where another system keeps the organisation (FED-01), that is told.
    """
    store.lock(tx, [item.org_id for item in items])
    orgs = store.by_ids(tx, [item.org_id for item in items])
    holders: dict[int, set[int]] = {}
    for org_id, person_id in store.holders(tx, orgs):
        holders.setdefault(org_id, set()).add(person_id)
    given, refused = [], []
    for item in items:
        having = holders.setdefault(item.org_id, set())
        if item.person_id in having:
            continue
        kept_here = item.org_id in orgs and orgs[item.org_id].system == System.NATIONAL
        if kept_here and len(having) < reference.administrator_limit(orgs[item.org_id].kind):
            having.add(item.person_id)
            given.append(_promised(item))
        else:
            refused.append(_promised(item))
    if given:
        store.set_administrators(tx, given, clock.now(), None)
    if refused:
        store.refuse_registrations(tx, refused)


def _promised(item: AdministratorRegistered) -> dict[str, Any]:
    return {
        "org_id": item.org_id,
        "person_id": item.person_id,
        "active": True,
        "changed_by": item.person_id,
        "ref": "registration code",
    }


# ---- queries ---------------------------------------------------------------------------------------


def shown(row: store.Org) -> Org:
    """Return an organisation as the contract shows it."""
    filled = all((row.full_name, row.short_name, row.industry or row.kind == "leading_body", row.phone))
    return Org(
        org_id=row.org_id,
        parent_id=row.parent_id,
        kind=OrgKind(row.kind),
        purpose=OrgPurpose(row.purpose),
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
        system=System(row.system),
    )


def list_contacts(
    tx: Connection, request: contract.ListContacts, actor: Actor | None
) -> list[contract.Contact]:
    """Return the public telephone numbers of leading bodies by part of the name (SRCH-09).

    The part has two characters at least.
    """
    text = domain.normalise(request.text)
    refusal = domain.check_place(text)
    if refusal is not None:
        raise Refused.of(refusal)
    return [
        contract.Contact(org_id=row.org_id, name=row.full_name, phone=row.phone)
        for row in store.contacts(tx, text)
    ]


def get_orgs(tx: Connection, request: contract.GetOrgs, actor: Actor | None) -> list[Org]:
    """Return organisations by id, in the order asked for; names of organisations are not personal data."""
    refusal = domain.check_count(len(request.org_ids))
    if refusal is not None:
        raise Refused.of(refusal)
    found = store.by_ids(tx, request.org_ids)
    return [shown(found[org_id]) for org_id in request.org_ids if org_id in found]


def list_children(tx: Connection, request: contract.ListChildren, actor: Actor | None) -> list[Org]:
    """Return direct subordinates in display order (ORG-24)."""
    return [
        shown(row)
        for row in store.children(tx, request.org_id, request.after, max(1, min(request.limit, 500)))
    ]


def list_above(tx: Connection, request: contract.ListAbove, actor: Actor | None) -> list[Org]:
    """Return an organisation and all above it, from the root down."""
    own = store.by_ids(tx, [request.org_id]).get(request.org_id)
    if own is None:
        return []
    ids = [int(one) for one in own.path.split(".")[:-1]]
    found = store.by_ids(tx, ids)
    return [shown(found[org_id]) for org_id in ids if org_id in found]


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
