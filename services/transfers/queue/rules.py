"""Views, phrases and the spreading of people over branches, pure (TRF-27, ASG-01, ASG-02)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.errors import Refusal
from shared.messages import MAX_ITEMS
from shared.messages.words import AssignRule, Unplaced

VIEWS = 20
"""Views of one person in one organisation."""
PHRASES = 10
"""Phrases that are remembered of one person."""
PHRASE_MAX = 200
"""Characters of a phrase, as of a note."""
ROWS = MAX_ITEMS
"""Rows of one plan; no command takes more."""

_LONG_NUMBER = re.compile(r"[0-9](?:[ -]?[0-9]){6,}")
_ENDS = re.compile("(团支部|支部委员会|支部|委员会)$")
_CLASS = re.compile(r"^(?:(?:20)?[0-9]{2}级)?(.*?)(?:[(]?(?:20)?[0-9]{1,4}[)]?[-—]?[0-9]*班?)?$")
_HAN = {one: str(n) for n, one in enumerate("零一二三四五六七八九")}
_NUMBERED = re.compile("([一二三四五六七八九])班")


class Branch(NamedTuple):
    """A branch that takes assignments: its full name, its superior's, and how many members it has."""

    branch_id: int
    name: str
    superior: str
    members: int


class Waits(NamedTuple):
    """Somebody who waits for a branch, with what was written; `source` is the branch that is left."""

    transfer_id: int
    source: int
    said: str


def check_name(name: str) -> Refusal | None:
    """Return why a view is not kept under a name."""
    return None if name.strip() else Refusal("field_missing", {"field": "名称"})


def check_views(held: int, new: bool) -> Refusal | None:
    """Return why no further view is kept."""
    return Refusal("too_many_views", {"limit": str(VIEWS)}) if new and held >= VIEWS else None


def is_phrase(text: str) -> bool:
    """Return whether a note is one for the next time, too: what holds a long number is of one person."""
    return 0 < len(text.strip()) <= PHRASE_MAX and not _LONG_NUMBER.search(
        unicodedata.normalize("NFKC", text)
    )


def check_rule(rule: str) -> Refusal | None:
    """Return why nobody is placed by a rule."""
    if AssignRule.known(rule) is not None:
        return None
    return Refusal("bad_request", {"detail": f"rule: {', '.join(AssignRule)}"})


# ---- names -------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Return a text as names are compared: no width, no blanks or dashes, small letters, 三班 as 3班."""
    text = re.sub(r"[\s·\-—_]+", "", unicodedata.normalize("NFKC", text)).lower()
    return _NUMBERED.sub(lambda found: f"{_HAN[found[1]]}班", text)


def core(branch: Branch) -> str:
    """Return what people call a branch: without its superior and without what every branch is called."""
    name = plain(branch.name).removeprefix("共青团")
    superior = _ENDS.sub("", plain(branch.superior).removeprefix("共青团")).removesuffix("团委")
    return _ENDS.sub("", name.removeprefix(superior)) if superior else _ENDS.sub("", name)


def forms(branch: Branch) -> list[str]:
    """Return the names by which a remark may mean a branch: with its year, and without."""
    whole = core(branch)
    short = re.sub(r"^(20)?([0-9]{2})级", "", whole)
    year = re.match(r"^20([0-9]{2}级.*)", whole)
    found = [whole, *([year[1]] if year else []), short]
    return [one for one in dict.fromkeys(found) if len(one) >= 3]


def programme(branch: Branch) -> str:
    """Return the programme that a class belongs to: its name without year and number, empty for none."""
    found = _CLASS.match(core(branch))
    name = found[1] if found else ""
    return name if len(name) >= 2 and name != core(branch) else ""


# ---- the rules ---------------------------------------------------------------------------------------------


def place(
    rule: str, waiting: Sequence[Waits], branches: Sequence[Branch]
) -> list[tuple[int | None, Unplaced | None]]:
    """Return for each who waits a branch, or why there is none, in their order (ASG-01, ASG-02).

    Nobody is put back into the branch that is being left.
    """
    if not branches:
        return [(None, Unplaced.NO_BRANCH)] * len(waiting)
    sizes = Counter({one.branch_id: one.members for one in branches})
    order = {one.branch_id: n for n, one in enumerate(branches)}
    by_class = _by(branches, forms)
    by_programme = _by(branches, lambda one: [programme(one)] if programme(one) else [])
    found: list[tuple[int | None, Unplaced | None]] = []
    for one in waiting:
        if rule == AssignRule.ROUND_ROBIN:
            fit = list(order)
        else:
            said = plain(one.said)
            fit = _longest(said, by_class if rule == AssignRule.CLASS_NAME else by_programme)
        fit = [branch for branch in fit if branch != one.source]
        if not fit:
            found.append((None, Unplaced.NO_MATCH))
        elif len(fit) > 1 and rule == AssignRule.CLASS_NAME:
            found.append((None, Unplaced.SEVERAL))
        else:
            smallest = min(fit, key=lambda branch: (sizes[branch], order[branch]))
            sizes[smallest] += 1
            found.append((smallest, None))
    return found


def _by(branches: Sequence[Branch], names: object) -> Mapping[str, list[int]]:
    assert callable(names)
    found: dict[str, list[int]] = {}
    for one in branches:
        for name in names(one):
            found.setdefault(name, []).append(one.branch_id)
    return found


def _longest(said: str, names: Mapping[str, list[int]]) -> list[int]:
    """Return the branches of the longest name that stands in a text; of two such names those of both."""
    hits = [name for name in names if _stands_in(name, said)]
    longest = max((len(name) for name in hits), default=0)
    return list(dict.fromkeys(one for name in hits if len(name) == longest for one in names[name]))


def _stands_in(name: str, said: str) -> bool:
    """Return whether a name stands in a text by itself: 1班 does not stand in 11班."""
    at = said.find(name)
    while at >= 0:
        if not (name[0].isdigit() and at and said[at - 1].isdigit()):
            return True
        at = said.find(name, at + 1)
    return False
