"""What is no search for organisations, what is near, and what fits best (SRCH-08, SRCH-10). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from services.orgs import spoken
from shared.errors import Refusal
from shared.messages.words import System

MOST_ANCHORS = 8
"""Committees below which the rest of a text is looked for."""
HOPS = 3
"""Committees that a text may name one below the other, such as 湖北武汉洪山."""


class Named(NamedTuple):
    """An organisation that some form of a text names, as it is compared."""

    org_id: int
    path: str
    kind: str
    plain: str
    spoken: list[str]


class Led(NamedTuple):
    """What leads a place, as places are chosen."""

    org_id: int
    parent_id: int
    code: str
    short_name: str


class Anchor(NamedTuple):
    """A committee that the beginning of a text names, and what the text says beside."""

    org_id: int
    path: str
    stem: str
    rest: str
    said: int
    """Characters of the text that it, and those above it, account for."""


def check_open_search(text: str) -> Refusal | None:
    """Return why nothing is searched for somebody who has not signed in: one character says nothing."""
    return Refusal("bad_request", {"detail": "text is too short"}) if len(text) < 2 else None


def check_search(text: str, below: bool, known: bool, system: str = "") -> Refusal | None:
    """Return why nothing is searched.

    Args:
        text: Normalised.
        below: The search is for what lies below an organisation.
        known: That organisation is there.
        system: The one that is searched; empty for all.

    """
    if system and not System.known(system):
        return Refusal("bad_request", {"detail": "system"})
    if not text:
        return Refusal("bad_request", {"detail": "text is empty"})
    if below and not known:
        return Refusal("unknown_org")
    return None


def paths_down_to(path: str) -> list[str]:
    """Return the paths of all above an organisation from the root down, its own last."""
    ids = path.split(".")[:-1]
    return [".".join(ids[:n]) + "." for n in range(1, len(ids) + 1)]


def shared(path: str, near: Iterable[str]) -> int:
    """Return how many superiors an organisation shares with the searcher; the more, the nearer."""
    return sum(path.startswith(above) for above in near)


def anchors(found: Iterable[Named], text: str, near: Sequence[str]) -> list[Anchor]:
    """Return the committees that the beginning of a text names, the best first, with the rest of it.

    The longest name first, then the nearest to the searcher, then the highest.
    """
    made = []
    for org in found:
        said = max((len(form) for form in org.spoken if text.startswith(form)), default=0)
        if said:
            made.append(Anchor(org.org_id, org.path, spoken.stem(org.plain), text[said:], said))
    made.sort(key=lambda one: (-one.said, -shared(one.path, near), one.path.count("."), one.org_id))
    return made


def deeper(above: Sequence[Anchor], found: Iterable[Named], near: Sequence[str]) -> list[Anchor]:
    """Return the committees below others that what is left of the text goes on to name."""
    made = []
    rows = list(found)
    for one in above:
        below = (row for row in rows if row.path != one.path and row.path.startswith(one.path))
        made += [
            anchor._replace(said=anchor.said + one.said)
            for anchor in anchors(below, one.rest, near)[:MOST_ANCHORS]
        ]
    return made


def best(found: Collection[tuple[Anchor, Named]], kind: str, near: Sequence[str]) -> list[int]:
    """Return the organisations below anchors whose names have the rest of the text, the best first.

    The nearest, then the rest in as few pieces as can be, then of the kind that is meant, then what the
    anchor says most of, then the highest and the shortest name.
    """
    ranked = []
    for anchor, org in found:
        name = org.plain.removeprefix(spoken.LEAGUE).removeprefix(anchor.stem)
        pieces = spoken.closeness(anchor.rest, name)
        if pieces is not None:
            rank = (
                -shared(org.path, near),
                pieces,
                not fits(kind, org.kind),
                -anchor.said,
                org.path.count("."),
                len(name),
                org.org_id,
            )
            ranked.append((rank, org.org_id))
    return list(dict.fromkeys(org_id for _, org_id in sorted(ranked)))


def levels(rows: Sequence[Led], code: str, root: int) -> list[tuple[list[Led], str]]:
    """Return the places of each level down to a division code, with the one that the code names.

    A level without places is left out; the last level is the first in which the code names none.
    """
    found: list[tuple[list[Led], str]] = []
    above = root
    while places := [row for row in rows if row.parent_id == above]:
        chosen = next((row for row in places if code.startswith(row.code)), None)
        found.append((places, chosen.code if chosen is not None else ""))
        if chosen is None:
            break
        above = chosen.org_id
    return found


def fits(said: str, kind: str) -> bool:
    """Return whether an organisation is of the kind that the ending of a text means; none fits all."""
    return not said or (said == "branch") == (kind == "branch")
