"""Of whom a branch consists: numbers, no names (STAT-09)."""

from __future__ import annotations

from collections import Counter
from datetime import date

from sqlalchemy.engine import Connection

from services.members import domain, store
from services.members.posts import store as posts_store
from services.members.sealing.keys import keys
from shared import clock, directory
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import Composition

PAGE = 500
"""People that are read at once."""


def get_composition(tx: Connection, request: contract.GetComposition, actor: Actor | None) -> Composition:
    """Return counts of who makes up a branch (STAT-09).

    They are shown to the members of the branch, and to those who look after it from itself or from
    above.
    """
    assert actor is not None
    own = store.by_ids(tx, [actor.person_id]).get(actor.person_id) if actor.org_id is None else None
    if own is None or own.branch_id != request.branch_id:
        directory.require_above(tx, actor, request.branch_id, observers=True)
    people: list[store.Person] = []
    while some := store.of_branch(tx, request.branch_id, people[-1].person_id if people else 0, PAGE):
        people += some
    cadres = {row.person_id for row in posts_store.posts_of(tx, [request.branch_id])}
    return compose(request.branch_id, people, cadres, clock.today())


def compose(branch_id: int, people: list[store.Person], cadres: set[int], today: date) -> Composition:
    """Return the numbers of rows of people; sex and age come from the ID number (MEM-03)."""
    numbers = [keys.seal.open(row.id_sealed) for row in people]
    sexes = Counter(domain.sex_of(number) for number in numbers)
    ages = Counter(domain.age_group(domain.age_on(domain.born_on(number), today)) for number in numbers)
    marks = Counter(row.mark for row in people)
    return Composition(
        branch_id=branch_id,
        members=len(people),
        cadres=len(cadres),
        male=sexes["male"],
        female=sexes["female"],
        ages={name: ages[name] for name in domain.AGE_GROUPS},
        minorities=sum(row.ethnic_group.removesuffix("族") not in ("", "汉") for row in people),
        party=sum(row.party for row in people),
        graduates=sum(row.graduate for row in people),
        delayed=marks["delayed"],
        teachers=marks["teacher"],
        complete=sum(bool(row.complete) for row in people),
    )
