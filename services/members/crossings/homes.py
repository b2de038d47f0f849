"""Where people are whose transfers led across a border: told to bridges, and put right for them (BEY-16).

Both sides of a bridge compare what their registries say. What a registry has got wrong it corrects only
after an operator, and only to what both systems have signed.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.members import initial, store
from services.members.crossings import store as crossings_store
from services.members.log import log
from shared import audit, clock, outbox
from shared.messages.federation import HomeCorrected, HomeWanted
from shared.messages.members import HomeTold


def on_home_wanted(tx: Connection, items: list[HomeWanted]) -> None:
    """Tell where people are, as this moment shows them."""
    homes = crossings_store.homes(tx, items)
    outbox.emit(
        tx,
        [
            HomeTold(subject=item.subject, peer=item.peer, asked_at=item.asked_at, home=homes[item.subject])
            for item in items
        ],
    )


def on_home_corrected(tx: Connection, items: list[HomeCorrected]) -> None:
    """Put people into the branches in which they are by what both systems have signed.

    Whom a transfer holds by now is left alone, and who is there already. Who comes back has an account;
    who goes keeps no post.
    """
    moved, resigned = crossings_store.correct(tx, items, clock.now(), initial.initial_tail(tx))
    store.log_resigned(tx, resigned, "moved")
    peers = {item.person_id: item for item in items}
    log.append(
        tx,
        [
            audit.Entry(
                kind="member.corrected",
                place_id=one.branch_id,
                persons=[one.person_id],
                ref=f"crossing {peers[one.person_id].subject}",
                before={"branch": one.was},
                after={"branch": one.branch_id},
            )
            for one in moved
        ],
    )
