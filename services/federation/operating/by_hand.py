"""What whoever looks after an installation does at the command line: the same as operators, without a token.

Who that is nobody has proved, so the audit log names no person.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy.engine import Connection

from services.federation import store as bridge_store
from services.federation.operating import days, evidence, store
from services.federation.operating.desk import bridge_of, log_of
from shared import audit, clock
from shared.audit import Entry


def pause(tx: Connection, reason: str) -> bool:
    """Let nothing go out to the peer from now on; return whether that is new (FED-11)."""
    kept = audit.without_numbers(reason)
    done = bridge_store.pause(tx, clock.now(), None, kept)
    if done:
        note(tx, "bridge.paused", note=kept)
    return done


def resume(tx: Connection) -> bool:
    """Let everything go out again; return whether that is new."""
    done = bridge_store.pause(tx, None)
    if done:
        note(tx, "bridge.resumed")
    return done


def reconcile(tx: Connection, day: date | None) -> int:
    """Have a day compared with the peer, or the last thirty and what is open; return how many days."""
    wanted = {day} if day is not None else set(days.recent(tx, clock.today()))
    store.want(tx, wanted, clock.now())
    note(tx, "bridge.reconciled", ref=str(day or ""))
    return len(wanted)


def take_evidence(tx: Connection, subject: str) -> evidence.Made | None:
    """Return the evidence of a transfer, None for one that this bridge has not; that it was taken is kept."""
    own = store.find(tx, [subject]).get(subject)
    if own is None:
        return None
    made = evidence.of(tx, bridge_of(tx), subject)
    note(
        tx,
        "bridge.evidence",
        ref=subject,
        place_id=own.org_id,
        persons=[own.person_id] if own.person_id is not None else [],
        after={"sha256": bytes.fromhex(made.sha256)},
    )
    return made


def note(tx: Connection, kind: str, ref: str = "", **more: Any) -> None:
    """Write down what was done at the command line."""
    peer = bridge_of(tx).peer
    log_of(peer).append(tx, [Entry(kind=kind, ref=f"bridge {peer} {ref}".strip(), **more)])
