"""What is said beside a transfer, and who starts one again (BEY-04, BEY-06, BEY-21, BEY-23). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from services.transfers import domain
from services.transfers.domain import OrgFacts
from services.transfers.saga import Initiator, State
from shared.errors import Refusal
from shared.messages.transfers import RequestTransfer
from shared.messages.words import Advised, Reason

ENDED = (State.REJECTED, State.RETURNED, State.WITHDRAWN)
"""How a transfer has ended that is started again; one that was refused held nobody."""
ANSWERS = tuple(Advised)
"""What the common superior may answer to an escalation."""
MOST_DAYS_AHEAD = 30
"""How far ahead of a deadline all that is below an organisation is reminded of."""

EARLY = Refusal("urge_early")
"""A node waits for three days before its organisation is reminded, and three days more each time (BEY-21)."""
NOT_READ = Refusal("urged_elsewhere")
"""Nobody in another system reads a reminder from here (FED-13)."""
LOOKED_AT = Refusal("somebody_looks")
"""One person at a time looks at a node (BEY-23)."""
NOT_ESCALATABLE = Refusal("not_escalatable")
"""The member hands a rejection to the common superior, once (BEY-06)."""
NOT_ASKED = Refusal("unknown_transfer")
"""A transfer was escalated to others or to nobody, or is answered; which of these is not told (BEY-06)."""


def held_back(refusal: Refusal, party: bool) -> Refusal:
    """Return why a remark was not taken: to strangers the transfer does not exist (TRF-33)."""
    return domain.check_party(party) or refusal


def starts_as(
    state: str,
    initiator: str,
    is_member: bool,
    acting_org: int | None,
    source: Collection[int | None],
    target: int | None,
) -> Initiator | None:
    """Return as which side somebody may start a transfer again, None as none (BEY-04).

    A transfer that never held its member is for the side that started it and for the member alone (TRF-33).

    Args:
        state: Where the transfer stands.
        initiator: Who started it.
        is_member: It is the person's own.
        acting_org: The organisation that the person administers, None for none.
        source: Its source branch and the superior of that.
        target: Its target.

    """
    if is_member:
        return Initiator.MEMBER
    if acting_org is None:
        return None
    side = None
    if acting_org in source:
        side = Initiator.SOURCE
    elif acting_org == target:
        side = Initiator.TARGET
    never_held = state in (State.CHECKING, State.REFUSED)
    return None if never_held and side != initiator else side


def restart(ended: Any, side: str | None, command_id: UUID) -> RequestTransfer | Refusal:
    """Return the request that starts a transfer again, or why there is none (BEY-04, DL-06).

    `side` is what `starts_as` says, None where there is no such transfer.
    """
    if side is None:
        return Refusal("unknown_transfer")
    if ended.state not in ENDED:
        return Refusal("transfer_open" if ended.ended_at is None else "not_restartable")
    return request_again(ended, command_id, side, confirmed=bool(ended.concern))


def request_again(ended: Any, command_id: UUID, initiator: str, confirmed: bool) -> RequestTransfer:
    """Return the request for a transfer with the values of one that has ended."""
    return RequestTransfer(
        command_id=command_id,
        initiator=initiator,
        member_id=ended.member_id,
        source_branch_id=ended.source_branch_id,
        # the vault stands there for a special unit, which nobody chooses
        target_org_id=None if Reason(ended.reason).special or ended.target_name else ended.target_org_id,
        reason=ended.reason,
        place_name=ended.place_name,
        place_address=ended.place_address,
        contact=ended.contact,
        remark=ended.remark,
        place_division=ended.place_division,
        confirmed=confirmed,
        drop_out=ended.reason_kind == "drop_out",
        # the organisation that was chosen says itself whose it is
        target_system=ended.peer if ended.target_name else "",
        target_name=ended.target_name,
    )


def superior_of(orgs: Mapping[int, OrgFacts], source: int, target: int) -> int | None:
    """Return to whom a rejection is escalated (BEY-06), None where a side is gone.

    Nobody stands above two systems (FED-01).
    """
    if source not in orgs or target not in orgs:
        return None
    if orgs[source].system != orgs[target].system:
        return None
    return domain.common_superior(orgs[source], orgs[target])


def check_answer(acts: bool, answer: str) -> Refusal | None:
    """Return why nobody answers an escalation like this (BEY-06); `acts` as in `domain.check_acting`."""
    refusal = domain.check_acting(acts)
    if refusal is None and answer not in ANSWERS:
        return Refusal("answer_unknown")
    return refusal
