"""Who comes from another system, and where to (FED-08). Pure."""

from __future__ import annotations

from services.transfers import domain
from services.transfers.domain import OrgFacts, Place, Planned
from services.transfers.saga import Initiator
from shared.errors import Refusal
from shared.messages.federation import PeerRequested
from shared.messages.transfers import RequestTransfer
from shared.messages.words import Reason


def request_of(item: PeerRequested) -> RequestTransfer:
    """Return what another system asks for as a request here; what is unusual is confirmed over there."""
    return RequestTransfer(
        command_id=item.command_id,
        initiator=Initiator.PEER,
        member_id=item.member_id,
        source_branch_id=item.source_branch_id,
        target_org_id=item.target_org_id,
        reason=item.reason,
        place_name=item.place_name,
        place_address=item.place_address,
        contact=item.contact,
        remark=item.remark,
        confirmed=True,
    )


def plan(
    request: RequestTransfer, peer: str, source: OrgFacts | None, target: OrgFacts | None, place: Place
) -> Planned | Refusal:
    """Return what another system's request comes to, or why it is refused (FED-08, TRF-15, ORG-31).

    Where somebody may go who comes from here, and for which reason, is not asked: who is a graduate over
    there is known over there. The approver sees what is unusual.
    """
    reason = Reason.known(request.reason)
    if reason is None or reason.special:
        return Refusal("unknown_reason")
    if source is None or target is None:
        return Refusal("unknown_org")
    if source.system != peer or target.system != domain.NATIONAL:
        return Refusal("target_not_allowed")
    refusal = domain.check_receives(target, place)
    if refusal is not None:
        return refusal
    said = domain.concern(request, source, target, place)
    planned = domain.planned(request, source, target, said[1] if said else "")
    return planned._replace(reason_kind="any")
