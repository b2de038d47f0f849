"""Names of organisations, as pure rules.

How people write them, what is remembered of old ones, how a full name is built from the path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypedDict

from services.orgs import spoken
from services.orgs.domain import bigrams, normalise, other_names
from services.orgs.spoken import ENDS, LEAGUE

MOST_REMEMBERED = 20
"""Names that are remembered of one organisation, the newest ones."""
_PLACE = "省市县区州盟旗"
_LEVEL = re.compile(rf"(.+)团([{_PLACE}])委$")
"""湖北团省委, 武汉团市委."""
_LED = re.compile(rf"团(.+[{_PLACE}])委$")
"""团东城区委."""
_CODE = re.compile("[0-9A-Za-z]{4,20}")


def ways(text: str) -> list[str]:
    """Return the ways in which stored names say what people write (SRCH-10, ORG-28), the text as it is first.

    武汉大学团委 is stored as 共青团武汉大学委员会, 1班团支部 as …1班支部委员会,
    湖北团省委 and 团湖北省委 as 共青团湖北省委员会; each with or
    without 共青团 before it, and hand-over branches under each name they have had. The text is
    normalised.
    """
    bare = text.removeprefix(LEAGUE)
    said = [text, bare]
    for pattern, full in ((_LEVEL, r"\1\2委员会"), (_LED, r"\1委员会")):
        if pattern.fullmatch(bare):
            said.append(pattern.sub(full, bare))
    said += [bare.removesuffix(short) + full for short, full in ENDS if bare.endswith(short)]
    return list(dict.fromkeys(other for one in said if one for other in other_names(one)))


def is_code(text: str) -> bool:
    """Return whether a text may be a division code, a school number or an organisation's number (BEY-20)."""
    return _CODE.fullmatch(text) is not None


class Searchable(TypedDict):
    """The columns by which an organisation is found."""

    also: str
    bigrams: list[str]
    spoken: list[str]


def searchable(
    kind: str, full_name: str, short_name: str, before: Mapping[str, Any] | None = None
) -> Searchable:
    """Return the columns by which an organisation is found (BEY-20).

    They are `also`, its short name and its former names, one a line, `bigrams` of all its names, and
    `spoken`, what people call it.

    Args:
        kind: Of the organisation.
        full_name: As it is from now on; so is the short name.
        short_name: Left out where the full name contains it.
        before: The organisation as it was, with `also`; None for a new one.

    """
    plain = normalise(full_name)
    candidates = [normalise(short_name)]
    if before is not None:
        candidates += [
            normalise(before["full_name"]),
            normalise(before["short_name"]),
            *before["also"].split("\n"),
        ]
    # The newest come first; what the full name contains is found by it anyway.
    newest = list(dict.fromkeys(one for one in candidates if one and one not in plain))
    also = newest[:MOST_REMEMBERED]
    return {
        "also": "\n".join(also),
        "bigrams": list(dict.fromkeys(piece for name in (full_name, *also) for piece in bigrams(name))),
        "spoken": spoken.forms(kind, (full_name, short_name, *also)),
    }


# ---- building a full name from the path ------------------------------------------------------------


def built(above: str, short_name: str, purpose: str) -> str | None:
    """Return an organisation's full name from the stem of its superior's and its own short name (ORG-09).

    None where the short name is a full one, or has no ending that belongs to a kind: then nothing
    can be built. Branches for a purpose are called by their label as it is, such as 流动团员团支部.
    """
    own = normalise(short_name)
    if not own or own.startswith(LEAGUE):
        return None
    if purpose not in ("ordinary", "graduate", "awaiting", "township", "mixed"):
        return f"{LEAGUE}{above}{own}"
    for short, full in sorted(ENDS, key=lambda pair: -len(pair[0])):
        if own.endswith(short):
            own = own.removesuffix(short)
            return f"{LEAGUE}{above}{own}{full}" if own else None
    return None
