"""Telling again what one side has not heard, from the rows of whoever owns them.

What a service has is not changed from outside, but that the scheduler forgets the end of a transfer
that is open. Whoever hears a thing twice does it once, so a repair
that was not needed, or is broken off and made again, does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from services.orgs import checks as orgs_checks
from services.orgs.checks import Seen
from services.scheduler import checks as scheduler_checks
from services.transfers import checks as transfers_checks
from services.transfers.checks import Lost
from shared import readings
from shared.messages.limits import MAX_ID
from system.doctor.comparisons import Engines, Look, Outbox
from system.doctor.differences import SORTS, Found, Heal

PIECE = 500
"""Of one transaction."""

_OF_TRANSFERS: dict[Heal, tuple[Callable[[Any, list[int]], int], ...]] = {
    Heal.ASK: (transfers_checks.ask_again,),
    Heal.MOVE: (transfers_checks.move_again,),
    # in this order: a member is moved who is held
    Heal.ASK_AND_MOVE: (transfers_checks.ask_again, transfers_checks.move_again),
    Heal.END: (transfers_checks.end_again,),
    Heal.OPEN: (transfers_checks.open_again,),
}


def repair(engines: Engines, look: Look, found: Sequence[Found], lost: bool) -> dict[str, int]:
    """Tell again what heals these differences; return how many of each sort were told.

    With `lost`, transfers that are nowhere any more let go of whom they hold: a person has decided that.
    """
    told: dict[str, int] = {}
    for sort in sorted({one.sort for one in found}):
        heal = SORTS[sort].heal
        if heal is Heal.NONE or (heal is Heal.LET_GO and not lost):
            continue
        these = [one for one in found if one.sort == sort]
        told[sort] = sum(_tell(engines, look, heal, some) for some in _pieces(these))
    return told


def _pieces(found: Sequence[Found]) -> Iterable[Sequence[Found]]:
    return (found[at : at + PIECE] for at in range(0, len(found), PIECE))


def _tell(engines: Engines, look: Look, heal: Heal, found: Sequence[Found]) -> int:
    if heal in (Heal.ORG, Heal.RIGHT):
        tell = orgs_checks.tell_orgs if heal is Heal.ORG else orgs_checks.tell_rights
        with engines["orgs"].begin() as tx:
            return tell(tx, [Seen(one.key, one.about, one.version) for one in found])
    if heal is Heal.REPUBLISH:
        assert isinstance(look, Outbox)
        with engines[look.service].begin() as tx:
            return readings.publish_again(tx, sorted({one.key for one in found}))
    if heal is Heal.OPEN:
        with engines["scheduler"].begin() as tx:
            scheduler_checks.forget_ends(tx, sorted({one.about for one in found}))
    with engines["transfers"].begin() as tx:
        if heal is Heal.LET_GO:
            return transfers_checks.let_go(tx, [Lost(one.about, _held(one)) for one in found])
        return max(tell(tx, sorted({one.about for one in found})) for tell in _OF_TRANSFERS[heal])


def _held(one: Found) -> int:
    """Return the member whom a lost transfer holds; a timer holds none, so it is an id of nobody."""
    return one.key if one.sort == "held_by_unknown" else MAX_ID
