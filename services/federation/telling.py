"""What the peer has said, told to the rest of the system as it is heard (FED-10, FED-13).

Each in the transaction that has heard it; its right is the peer's signature, which the door has checked. Of
our members who leave transfers is told at once; who comes goes to members first, which alone opens what is
sealed (`arriving`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from services.federation import arriving, places
from services.federation.handovers import Bridge, Told
from services.federation.keys import Folder
from services.federation.protocol import Side, Word
from services.federation.reasons import in_our_words
from services.federation.schemas import Integrated, Progress, Refused, SentBack
from shared import clock
from shared.messages import Event
from shared.messages.federation import (
    RemoteAccepted,
    RemoteIntegrated,
    RemoteProgress,
    RemoteReceipted,
    RemoteRefused,
    RemoteSentBack,
)
from shared.outbox import emit


def bridge_to(peer: str, keys: Folder) -> Bridge:
    """Return our end of the bridge to a peer, which tells the rest of the system what it hears."""

    def tell(tx: Connection, told: Sequence[Told]) -> None:
        emit(tx, [event for one in told if (event := event_of(peer, one)) is not None])
        arriving.on_heard(tx, made, told)

    def branches(tx: Connection, codes: Sequence[str]) -> dict[str, int]:
        return places.branches(tx, peer, codes)

    made = Bridge(peer, keys, tell, branches=branches)
    return made


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
    """Return the event of a message about a member of ours, None for one that decides nothing.

    By our clock nothing that has come lies ahead: what a clock over there that is fast dates later is of now.
    """
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
            since=min(data.since, clock.now()),
            until=data.until,
        )
    if isinstance(data, Refused | SentBack):
        kind = RemoteRefused if isinstance(data, Refused) else RemoteSentBack
        code, note = in_our_words(data.reason, data.text)
        return kind(transfer_id=transfer, peer=peer, code=code, note=note)
    if isinstance(data, Integrated) and told.branch_id is not None:
        return RemoteIntegrated(transfer_id=transfer, peer=peer, branch_id=told.branch_id)
    return None
