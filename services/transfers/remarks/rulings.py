"""Where the policy lets the common superior decide over a rejection, and not only advise (BEY-06).

The rejected transfer stays as it ended. A new one with its values takes its place, started by the
superior's decision, which stands for the approvals of both sides; a committee still chooses the branch.
"""

from __future__ import annotations

from uuid import UUID, uuid5

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from services.transfers import domain, handlers, store
from services.transfers.policies import store as policies_store
from services.transfers.policies.reader import Policy
from services.transfers.remarks import rules
from services.transfers.saga import Initiator, State
from shared import clock
from shared.bus.service import Asked
from shared.messages import transfers as contract
from shared.messages.transfers import Outcome
from shared.messages.words import Reason


def start(tx: Connection, answered: list[Asked[contract.AnswerEscalation]]) -> dict[UUID, Outcome]:
    """Start again what superiors have decided to receive; return the new transfers by the id of the answer.

    Some answers stay advice: where the policy does not let the superior decide, and where the transfer
    cannot be started any more, because the member has another open transfer, the target is gone or no
    longer a destination, or it is a special unit, where the province decides.
    """
    if not answered:
        return {}
    policy = policies_store.active(tx, clock.now())
    if not policy.superior_decides:
        return {}
    found = store.many(tx, [one.item.transfer_id for one in answered])
    orgs = handlers.facts_of(
        tx, (org for row in found.values() for org in (row.source_branch_id, row.target_org_id))
    )
    rows = []
    for n, one in enumerate(answered):
        row = _row(n, one, found[one.item.transfer_id], orgs, policy)
        if row is not None:
            rows.append(row)
    made = store.request(tx, rows) if rows else {}
    return {
        answered[n].item.decision_id: Outcome(transfer_id=transfer, state=State.CHECKING)
        for n, transfer in made.items()
    }


def _row(
    n: int,
    one: Asked[contract.AnswerEscalation],
    ended: store.Transfer,
    orgs: dict[int, domain.OrgFacts],
    policy: Policy,
) -> store.Request | None:
    """Return what to record of a transfer that the superior lets through, None where it cannot start."""
    source, target = orgs.get(ended.source_branch_id), orgs.get(ended.target_org_id)
    if source is None or target is None or Reason(ended.reason).special:
        return None
    command_id = uuid5(one.item.decision_id, "ruling")
    item = rules.request_again(ended, command_id, Initiator.MEMBER, confirmed=True)
    place = handlers.place_of(policy)  # of one system: nobody stands above two
    if domain.check_request(item, source, target, place) is not None:
        return None
    ruled = replace(item, initiator=Initiator.RULING)
    plan = domain.planned(ruled, source, target, ended.concern)
    return handlers.request_row(n, ruled, one.actor.person_id, one.actor.org_id, plan, policy)
