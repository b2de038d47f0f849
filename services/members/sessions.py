"""How long a token is good, and how it is told that a session has ended."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.engine import Connection

from shared import clock, outbox, sessions_ended
from shared.messages.members import SessionEnded

TOKEN_LIFE = timedelta(minutes=15)


class Ended(NamedTuple):
    """A session that was ended."""

    session_id: uuid.UUID
    expires_at: datetime


def tell_ended(tx: Connection, ended: Iterable[Ended]) -> None:
    """Refuse the tokens of ended sessions here from now on, and everywhere as soon as it is told."""
    # after `until` there is no token of the session left to refuse
    told = [SessionEnded(session_id=one.session_id, until=clock.now() + TOKEN_LIFE) for one in ended]
    if told:
        sessions_ended.on_session_ended(tx, told)
        outbox.emit(tx, told)
