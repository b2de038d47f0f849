"""Who goes: what transfers and members tell of those who leave becomes what is said to the peer (FED-10)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from services.federation import store
from services.federation.handovers import NATIONAL, Bridge, Deed, perform
from services.federation.protocol import Act, Sender, Side
from services.federation.reasons import in_their_words
from services.federation.schemas import CalledOff, Offer, Organisation, Record
from shared import clock, directory
from shared.directory import Org
from shared.messages.members import MemberOffered, RecordSealed
from shared.messages.transfers import CrossingEnded
from shared.messages.words import Reason

NO_CLOCK = timedelta(days=365)
"""Until when the peer is asked to answer where no clock runs here (DL-08)."""


def subject_of(transfer_id: int) -> str:
    """Return how messages name a transfer of ours."""
    return f"{NATIONAL}:{transfer_id}"


def on_member_offered(tx: Connection, bridge: Bridge, items: list[MemberOffered]) -> None:
    """Offer members to the peer; who has been called off already is not offered.

    What members seals anew, since it was told again, comes too late and has no effect.

    Raises:
        LookupError: An organisation is not known here yet: it is tried again.

    """
    wanted = [key for item in items for key in (item.source_branch_id, item.target_org_id)]
    orgs = directory.find(tx, wanted)
    if missing := set(wanted) - set(orgs):
        raise LookupError(f"no organisations {sorted(missing)}")
    now = clock.now()
    deeds = [Deed(subject_of(item.transfer_id), Act.OFFER, _offer(item, orgs, now)) for item in items]
    perform(tx, bridge, deeds, now)


def _offer(item: MemberOffered, orgs: dict[int, Org], now: datetime) -> Offer:
    source, target = orgs[item.source_branch_id], orgs[item.target_org_id]
    to_org = Organisation(code=target.peer_code or "", name=target.name)
    if item.target_name:
        to_org = Organisation(name=item.target_name)
    return Offer(
        person=item.person,
        from_org=Organisation(code=str(source.org_id), name=source.name),
        to_org=to_org,
        reason=item.reason,
        reason_text=Reason(item.reason).zh,
        started_at=item.started_at,
        answer_by=item.answer_by or now + NO_CLOCK,
    )


def on_record_sealed(tx: Connection, bridge: Bridge, items: list[RecordSealed]) -> None:
    """Hand over the records of members whom the peer takes; from then on only the peer ends it."""
    deeds = [Deed(subject_of(one.transfer_id), Act.HAND_OVER, Record(record=one.record)) for one in items]
    perform(tx, bridge, deeds, clock.now())


def on_crossing_ended(tx: Connection, bridge: Bridge, items: list[CrossingEnded]) -> None:
    """Call off what was offered; what was not offered yet never will be."""
    now = clock.now()
    store.never_begin(tx, [subject_of(one.transfer_id) for one in items], Side.SENDER, Sender.KEPT.value, now)
    deeds = []
    for one in items:
        reason, text = in_their_words(one.cause, one.code, one.note)
        deeds.append(Deed(subject_of(one.transfer_id), Act.CALL_OFF, CalledOff(reason=reason, text=text)))
    perform(tx, bridge, deeds, now)
