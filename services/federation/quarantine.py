"""What a person decides of messages that are authentic and were impossible when they came."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation import store
from services.federation.envelope import opened_before
from services.federation.handovers import UNKNOWN_BRANCH, Bridge, Turn, branches_of, refusal
from shared import db
from shared.messages.words import BridgeReason, OrgKind


class Decision(StrEnum):
    """What becomes of a message in quarantine."""

    APPLIED = "applied"
    REFUSED = "refused"
    DISCARDED = "discarded"


class Waiting(NamedTuple):
    """A message in quarantine that nobody has decided of."""

    subject: str
    seq: int
    type: str
    why: str
    found_at: datetime


_WAITING = sa.text("""
    SELECT q.subject, q.seq, r.type, q.why, q.found_at
    FROM quarantine q JOIN received r ON r.subject = q.subject AND r.seq = q.seq
    WHERE q.decision IS NULL ORDER BY q.found_at, q.subject, q.seq LIMIT :limit""")
_MESSAGE = sa.text("""
    SELECT r.jws FROM quarantine q JOIN received r ON r.subject = q.subject AND r.seq = q.seq
    WHERE q.subject = :subject AND q.seq = :seq AND q.decision IS NULL FOR UPDATE OF q""")
_DECIDE = sa.text("""
    WITH decided AS (
        UPDATE quarantine SET (decision, reason, decided_by, decided_at) = (:decision, :reason, :person, :now)
        WHERE subject = :subject AND seq = :seq RETURNING subject, seq)
    UPDATE received r SET state = :state FROM decided d WHERE r.subject = d.subject AND r.seq = d.seq""")


_KNOWN_NOW = sa.text(f"""
    SELECT q.subject, q.seq FROM quarantine q
    JOIN org_directory d ON d.system = :peer AND d.peer_code = substr(q.why, length('{UNKNOWN_BRANCH}') + 1)
    WHERE q.decision IS NULL AND starts_with(q.why, '{UNKNOWN_BRANCH}')
        AND d.kind = '{OrgKind.BRANCH}' AND NOT d.deleted
    ORDER BY q.found_at LIMIT :limit""")
MOST_AGAIN = 100


def waiting(tx: Connection, limit: int) -> list[Waiting]:
    """Return what waits for a decision, the oldest first."""
    return db.rows(Waiting, tx.execute(_WAITING, {"limit": limit}))


def apply_known(tx: Connection, bridge: Bridge, now: datetime) -> int:
    """Apply what has waited for a branch that a reading of the directory has brought; return how many."""
    found = tx.execute(_KNOWN_NOW, {"peer": bridge.peer, "limit": MOST_AGAIN}).all()
    store.lock(tx, [row.subject for row in found])
    places = [store.Place(row.subject, row.seq) for row in found]
    return sum(decide(tx, bridge, place, Decision.APPLIED, "", None, now) for place in places)


def decide(
    tx: Connection,
    bridge: Bridge,
    place: store.Place,
    decision: Decision,
    reason: str,
    person_id: int | None,
    now: datetime,
) -> bool:
    """Do with a message what a person says; return whether it could be done.

    Applied again, it does now what it could not do when it came. Refused, the peer is told that the transfer
    has ended here, if it is ours to end. Discarded, it stays in the archive and does nothing.
    """
    handovers = store.lock(tx, [place.subject])
    jws = tx.scalar(_MESSAGE, {"subject": place.subject, "seq": place.seq})
    if jws is None or place.subject not in handovers:
        return False
    turn = Turn(bridge, bridge.keys.ring().signing(now), now, handovers)
    state = decision.value
    if decision is Decision.APPLIED:
        found = opened_before(jws)
        turn.branches = branches_of(tx, bridge, [found])
        state = turn.hear(found)
        if turn.doubts:
            return False
    elif decision is Decision.REFUSED:
        state = Decision.DISCARDED.value
        if not turn.act(refusal(handovers[place.subject], BridgeReason.OTHER, reason)):
            return False
    turn.write(tx)
    tx.execute(
        _DECIDE,
        {
            "subject": place.subject,
            "seq": place.seq,
            "decision": decision.value,
            "reason": reason,
            "person": person_id,
            "now": now,
            "state": state,
        },
    )
    return True
