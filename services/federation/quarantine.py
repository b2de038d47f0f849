"""What a person decides of messages that are authentic and were impossible when they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from shared.recordset import Int, recordset


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


class Wish(NamedTuple):
    """What a person wants to become of a message; `person_id` None: whoever is at the command line."""

    place: store.Place
    decision: Decision
    reason: str
    person_id: int | None


@dataclass(frozen=True)
class _Decided:
    subject: str
    seq: Int
    decision: str
    reason: str
    person_id: int | None
    state: str


_WAITING = sa.text("""
    SELECT q.subject, q.seq, r.type, q.why, q.found_at
    FROM quarantine q JOIN received r ON r.subject = q.subject AND r.seq = q.seq
    WHERE q.decision IS NULL ORDER BY q.found_at, q.subject, q.seq LIMIT :limit""")
_MESSAGES = sa.text("""
    SELECT q.subject, q.seq, r.jws
    FROM json_to_recordset(CAST(:items AS json)) AS i(subject text, seq int)
    JOIN quarantine q ON q.subject = i.subject AND q.seq = i.seq AND q.decision IS NULL
    JOIN received r ON r.subject = q.subject AND r.seq = q.seq
    ORDER BY q.subject, q.seq FOR UPDATE OF q""")
_DECIDE = sa.text(f"""
    WITH decided AS (
        UPDATE quarantine q SET (decision, reason, decided_by, decided_at) =
            (i.decision, i.reason, i.person_id, :now)
        FROM {recordset(_Decided)} WHERE q.subject = i.subject AND q.seq = i.seq
        RETURNING q.subject, q.seq, i.state)
    UPDATE received r SET state = d.state FROM decided d WHERE r.subject = d.subject AND r.seq = d.seq""")
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
    wishes = [Wish(store.Place(row.subject, row.seq), Decision.APPLIED, "", None) for row in found]
    return sum(decide(tx, bridge, wishes, now)) if wishes else 0


def decide(tx: Connection, bridge: Bridge, wishes: Sequence[Wish], now: datetime) -> list[bool]:
    """Do with messages what persons say, in this order; return of each whether it could be done.

    Applied again, it does now what it could not do when it came. Refused, the peer is told that the transfer
    has ended here, if it is ours to end. Discarded, it stays in the archive and does nothing.

    Raises:
        NoKey: There is no key to sign with; nothing is done.

    """
    handovers = store.lock(tx, {one.place.subject for one in wishes})
    places = [place._asdict() for place in sorted({one.place for one in wishes})]
    messages = {store.Place(row.subject, row.seq): row.jws for row in db.run(tx, _MESSAGES, places)}
    turn = Turn(bridge, bridge.keys.ring().signing(now), now, handovers)
    again = {one.place for one in wishes if one.decision is Decision.APPLIED} & messages.keys()
    turn.branches = branches_of(tx, bridge, [opened_before(messages[place]) for place in sorted(again)])
    decided: dict[store.Place, _Decided] = {}
    done = []
    for one in wishes:
        fits = one.place in messages and one.place not in decided
        state = _become(turn, one, messages[one.place]) if fits else None
        done.append(state is not None)
        if state is not None:
            decided[one.place] = _Decided(*one.place, one.decision.value, one.reason, one.person_id, state)
    if decided:
        turn.write(tx)
        db.run(tx, _DECIDE, list(decided.values()), now=now)
    return done


def _become(turn: Turn, wish: Wish, jws: str) -> str | None:
    """Do what is wished; return what the message is then, None where it cannot be done now."""
    if wish.decision is Decision.APPLIED:
        state = turn.hear(opened_before(jws))
        if not turn.doubts:
            return state
        turn.doubts.clear()
        return None
    if wish.decision is Decision.REFUSED:
        deed = refusal(turn.handovers[wish.place.subject], BridgeReason.OTHER, wish.reason)
        if not turn.act(deed):
            return None
    return Decision.DISCARDED.value
