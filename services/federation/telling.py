"""What the peer has said of our members who leave, as events for transfers (FED-10, FED-13).

Its right is the peer's signature, which the door has checked. What it says of those who come goes to members
first, which alone opens what is sealed; that part is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from services.federation.handovers import Told
from services.federation.protocol import Side, Word
from services.federation.schemas import Integrated, Progress, Refused, SentBack
from shared.messages import Event
from shared.messages.federation import (
    RemoteAccepted,
    RemoteIntegrated,
    RemoteProgress,
    RemoteReceipted,
    RemoteRefused,
    RemoteSentBack,
)
from shared.messages.words import BridgeReason
from shared.outbox import emit


def teller(peer: str) -> Callable[[Connection, Sequence[Told]], None]:
    """Return what tells transfers of a peer's messages, in the transaction that has heard them."""

    def tell(tx: Connection, told: Sequence[Told]) -> None:
        emit(tx, [event for one in told if (event := event_of(peer, one)) is not None])

    return tell


def receipts(peer: str) -> Callable[[Connection, Sequence[str], datetime], None]:
    """Return what tells transfers that the peer has offers in writing (FED-09)."""

    def tell(tx: Connection, subjects: Sequence[str], now: datetime) -> None:
        numbers = (subject.partition(":")[2] for subject in subjects)
        emit(
            tx,
            [RemoteReceipted(transfer_id=int(one), peer=peer, at=now) for one in numbers if one.isdecimal()],
        )

    return tell


def event_of(peer: str, told: Told) -> Event | None:
    """Return the event of a message about a member of ours, None for one that decides nothing."""
    number = told.subject.partition(":")[2]
    if told.side is not Side.SENDER or not number.isdecimal():
        return None
    transfer = int(number)
    data = told.data
    if told.word is Word.ACCEPTED:
        return RemoteAccepted(transfer_id=transfer, peer=peer)
    if isinstance(data, Progress):
        at = data.organisation
        return RemoteProgress(
            transfer_id=transfer,
            peer=peer,
            seq=told.seq,
            organisation=at.name,
            phone=at.phone,
            since=data.since,
            until=data.until,
        )
    if isinstance(data, Refused | SentBack):
        kind = RemoteRefused if isinstance(data, Refused) else RemoteSentBack
        code, note = _reason(data)
        return kind(transfer_id=transfer, peer=peer, code=code, note=note)
    if isinstance(data, Integrated) and told.branch_id is not None:
        return RemoteIntegrated(transfer_id=transfer, peer=peer, branch_id=told.branch_id)
    return None


def _reason(data: Refused | SentBack) -> tuple[str, str]:
    """Return our code for a reason, and the text that came with it.

    A reason that is not in the list is `other`, told with its text; without any, by its code.
    """
    known = BridgeReason.known(data.reason)
    if known is None:
        return str(BridgeReason.OTHER), data.text or data.reason
    return known.ours or str(known), data.text
