"""The adviser: which reason and which organisation fit a graduate's plans."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.engine import Connection

from services.transfers import domain, handlers
from services.transfers.adviser import rules, store
from services.transfers.domain import OrgFacts
from services.transfers.policies import store as policies_store
from shared import clock
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Advice, Proposal
from shared.messages.words import Mode, Reason


def advise(tx: Connection, request: contract.Advise, actor: Actor | None) -> Advice:
    """Propose reason and organisations for a member who leaves, and cite the rules (BEY-01).

    The form and the approver's page warn by the same table.

    Raises:
        Refused: `unknown_plan`, `unknown_org`.

    """
    source = handlers.facts_of(tx, [request.source_branch_id]).get(request.source_branch_id)
    name = rules.name_of(request.plan, request.employer_has_org)
    refusal = rules.check_plan(source is not None, name)
    if refusal is not None:
        raise Refused.of(refusal)
    assert source is not None  # or the rule would have refused it
    plan = rules.PLANS[name]
    # Only without the employer's organisation the code is that of the place of work (TYPE-10).
    place_division = request.division_code if "without" in name else ""
    org_ids = _candidates(tx, name, source, request.division_code)
    return Advice(
        reason=Reason(plan.reason),
        fields=_fields(Reason(plan.reason)),
        proposals=_proposals(tx, plan.reason, source, org_ids, place_division),
        search=name in rules.OFTEN_FAR,
        rules=list(plan.rules),
        zh=plan.zh,
        en=plan.en,
    )


def _fields(reason: Reason) -> list[str]:
    """Return the labels of what a reason wants to know."""
    fields = [one for one in (reason.place_name, reason.place_address) if one]
    return [*fields, "备注"] if reason.special else fields


def _candidates(tx: Connection, plan: str, source: OrgFacts, division_code: str) -> Sequence[int]:
    """Return organisations that fit a plan, nearest first.

    Townships by division code, or the school's own special branches.
    """
    if plan in rules.AT_A_TOWNSHIP:
        return store.townships(tx, division_code)
    purposes = rules.IN_THE_SCHOOL.get(plan)
    if not purposes or not source.school_path:
        return []
    return store.below(tx, source.school_path, purposes)


def _proposals(
    tx: Connection, reason: str, source: OrgFacts, org_ids: Sequence[int], place_division: str
) -> list[Proposal]:
    """Return those of the organisations that nothing forbids, in the same order."""
    place = handlers.place_of(policies_store.active(tx, clock.now()))
    found = handlers.facts_of(tx, org_ids)
    made = []
    for org_id in org_ids:
        given = _request(reason, source.org_id, org_id, place_division)
        said = domain.concern(given, source, found[org_id], place)
        mode = said[0] if said is not None else Mode.ALLOW
        if mode != Mode.FORBID:
            place_class = domain.class_of(source, found[org_id])
            made.append(Proposal(org_id=org_id, name=found[org_id].name, place=place_class, mode=mode))
    return made


def _request(reason: str, source_id: int, target_id: int, place_division: str) -> contract.RequestTransfer:
    """Return the request that a proposal would lead to; its member and command do not matter."""
    return contract.RequestTransfer(
        command_id=UUID(int=0),
        initiator="member",
        member_id=0,
        source_branch_id=source_id,
        target_org_id=target_id,
        reason=reason,
        place_name="-",
        place_address="-",
        place_division=place_division,
    )
