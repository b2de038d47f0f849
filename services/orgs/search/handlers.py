"""Finding organisations by what people write (SRCH, ORG-09)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from sqlalchemy.engine import Connection

from services.orgs import domain, handlers, names, spoken, store
from services.orgs.search import rules
from services.orgs.search import store as search_store
from services.orgs.search.rules import Anchor
from shared import throttle
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import orgs as contract
from shared.messages.orgs import Org
from shared.messages.words import MADE_BY_THE_SYSTEM, PEERS, OrgKind, System

TO_JOIN = 10
"""Organisations that are offered to somebody who registers."""
SEARCHES_FROM_ADDRESS = 1_000
"""Searches of people who have not signed in from one address in a quarter of an hour.

A whole school that registers stands behind one address.
"""
ENOUGH = 5
"""With so many found right below a committee it is not looked further down."""


class _Asked(NamedTuple):
    """A search: what is said, where it is looked for, and where the searcher stands."""

    text: str
    said: spoken.Said
    limit: int
    targets_only: bool
    below: str
    near: list[str]
    """The paths of all above the searcher, from the root down."""
    system: str = ""
    """Only what it keeps is found; empty: in all trees."""

    @property
    def where(self) -> search_store.Where:
        """Return what the statements are limited to."""
        return search_store.Where(self.targets_only, self.limit, self.below, self.system)


def search_orgs(tx: Connection, request: contract.SearchOrgs, actor: Actor | None) -> list[Org]:
    """Find organisations by any part of a name, as people say it, or by a code (BEY-20, SRCH-08, SRCH-10).

    Full, short and former names count, and what people make of them: 武大, 湖北团省委, 浙大计算机. Where the
    subtree has none and `systems` is asked for, those of the vertical systems are returned: the
    employer may belong to one (ORG-15). The order is exact, beginning, containing, taken apart; in each
    what is nearer to the acting organisation, or to `near`, comes first. Hand-over branches are found
    by each of their names (ORG-28). With `system` one of the three provinces' trees is searched, or
    everything but them (FED-02, FED-04, FED-05).
    """
    text = domain.normalise(request.text)
    near = request.near
    if near is None and actor is not None:
        near = actor.org_id
    known = store.by_ids(tx, [request.below, near])
    refusal = rules.check_search(text, request.below is not None, request.below in known, request.system)
    if refusal is not None:
        raise Refused.of(refusal)
    asked = _Asked(
        text=text,
        said=spoken.read(text),
        limit=max(1, min(request.limit, 50)),
        targets_only=request.targets_only,
        below=known[request.below].path if request.below is not None else "",
        near=rules.paths_down_to(known[near].path) if near in known else [],
        system=request.system,
    )
    ids = _search(tx, asked)
    if not ids and request.systems and asked.below:
        systems = search_store.systems(tx)
        found = (org_id for path in systems for org_id in _search(tx, asked._replace(below=path)))
        ids = list(islice(found, asked.limit))
    rows = store.by_ids(tx, ids)
    return [handlers.shown(rows[org_id]) for org_id in ids if org_id in rows]


def find_to_join(tx: Connection, request: contract.FindToJoin, actor: Actor | None) -> list[contract.ToJoin]:
    """Find organisations to register with, as anyone (REG-03, SRCH-10): at most ten, by name alone.

    Those that the system makes for its own purposes take no registrations and are left out, and so
    are those of the three provinces, which register their members themselves (FED-07).

    Raises:
        Refused: `bad_request` for a text of less than two characters, `too_many_attempts` from one
            address.

    """
    throttle.count(tx, throttle.of_address(request.address, "searches from", SEARCHES_FROM_ADDRESS))
    text = domain.normalise(request.text)
    refusal = rules.check_open_search(text)
    if refusal is not None:
        raise Refused.of(refusal)
    asked = _Asked(
        text=text,
        said=spoken.read(text),
        limit=TO_JOIN,
        targets_only=False,
        below="",
        near=[],
        system=System.NATIONAL,
    )
    ids = _search(tx, asked)
    rows = store.by_ids(tx, ids)
    return [
        contract.ToJoin(
            org_id=row.org_id, full_name=row.full_name, short_name=row.short_name, kind=OrgKind(row.kind)
        )
        for row in (rows[org_id] for org_id in ids if org_id in rows)
        if row.purpose not in MADE_BY_THE_SYSTEM
    ]


def list_places(
    tx: Connection, request: contract.ListPlaces, actor: Actor | None
) -> list[contract.PlaceLevel]:
    """Return the places to choose from, level by level down to a division code (TYPE-10)."""
    code = request.code
    codes = [code[:length] for length in domain.DIVISION_LENGTHS if len(code) >= length]
    return [
        contract.PlaceLevel(
            places=[
                contract.Place(code=one.code, name=spoken.own_name(one.short_name), org_id=one.org_id)
                for one in places
            ],
            chosen=chosen,
        )
        for places, chosen in rules.levels(search_store.places(tx, codes), code, domain.ROOT)
    ]


def _search(tx: Connection, asked: _Asked) -> list[int]:
    """Return ids by code and each way to say the name, until there are enough (BEY-20, SRCH-10, ORG-28)."""
    where = asked.where
    ids = search_store.coded(tx, asked.text, where) if names.is_code(asked.text) else []
    ways = names.ways(asked.text)
    stored = [name if name.startswith(spoken.LEAGUE) else spoken.LEAGUE + name for name in ways]
    ids += _own_level(tx, asked)
    ids += search_store.named(tx, stored, asked.said, where, asked.near)
    # What has a name without 共青团 has it with it, too.
    for name in dict.fromkeys(way.removeprefix(spoken.LEAGUE) or way for way in ways):
        if len(ids) < asked.limit:
            ids = _joined(ids, search_store.search(tx, name, where, asked.near))
    for stem in asked.said.stems:
        if not ids:
            ids = _taken_apart(tx, asked, stem)
    return _joined(ids, [])[: asked.limit]


def _joined(ids: Sequence[int], more: Sequence[int]) -> list[int]:
    """Return both without repetition, in order."""
    return list(dict.fromkeys([*ids, *more]))


def _own_level(tx: Connection, asked: _Asked) -> list[int]:
    """Return the searcher's own body of a level: 团省委 is the province's."""
    if not asked.said.level or asked.system in PEERS:
        return []
    above = search_store.committees(tx, _ids(asked.near))
    return [
        org.org_id
        for org in above
        if org.kind == "leading_body"
        and org.path.startswith(asked.below)
        and spoken.stem(org.plain).endswith(asked.said.level)
    ][: asked.limit]


def _ids(paths: Sequence[str]) -> list[int]:
    return [int(path.split(".")[-2]) for path in paths]


def _taken_apart(tx: Connection, asked: _Asked, text: str) -> list[int]:
    """Return what a text names by a committee and a part of a name below it: 浙大计算机 (SRCH-10).

    Several committees may be named, one below the other. The searcher's own ones need not be named.
    """
    anchors = _anchors(tx, asked, text)
    whole = [one.org_id for one in anchors if not one.rest and one.path.startswith(asked.below)]
    if whole and asked.targets_only:
        allowed = store.by_ids(tx, whole)
        whole = [one for one in whole if one in allowed and search_store.is_target(allowed[one])]
    open_ends = [one for one in anchors if one.rest][: rules.MOST_ANCHORS] + _own(tx, asked, text)
    found = search_store.below_anchors(tx, open_ends, 1, asked.where)
    ids = rules.best(found, asked.said.kind, asked.near)
    if len(ids) < ENOUGH or asked.said.kind == "branch":
        found += search_store.below_anchors(tx, open_ends, 2, asked.where)
        ids = rules.best(found, asked.said.kind, asked.near)
    return [*whole, *ids]


def _anchors(tx: Connection, asked: _Asked, text: str) -> list[Anchor]:
    """Return the committees that a text names, the deepest and longest first."""
    layer = rules.anchors(
        search_store.anchors(tx, spoken.beginnings(text), None, asked.system), text, asked.near
    )
    found = layer
    for _ in range(rules.HOPS):
        layer = [one for one in layer if len(one.rest) >= spoken.SHORTEST][: rules.MOST_ANCHORS]
        if not layer:
            break
        beginnings = sorted({begin for one in layer for begin in spoken.beginnings(one.rest)})
        rows = search_store.anchors(tx, beginnings, [one.path for one in layer], asked.system)
        layer = rules.deeper(layer, rows, asked.near)
        found = [*layer, *found]
    return sorted(found, key=lambda one: -one.said)


def _own(tx: Connection, asked: _Asked, text: str) -> list[Anchor]:
    """Return the searcher's superiors, the nearest first: nobody writes 武汉大学 in Wuhan University."""
    above = search_store.committees(tx, _ids(asked.near[-3:]))
    above.sort(key=lambda org: -len(org.path))
    return [Anchor(org.org_id, org.path, spoken.stem(org.plain), text, 0) for org in above]
