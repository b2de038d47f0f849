"""Who holds which post where (CADRE, ADM-03, ADM-16, ORG-17..20)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.engine import Connection

from services.members import claims, domain, initial, people, store
from services.members.closed import closed
from services.members.log import PostChange, changer
from services.members.posts import places, rules
from services.members.posts import store as posts_store
from services.members.sealing.keys import keys
from shared import clock, directory, throttle
from shared.bus.service import Asked
from shared.directory import Org
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    Post,
    PostSet,
    SetPost,
)
from shared.messages.words import PostCode


def set_posts(tx: Connection, asked: list[Asked[SetPost]]) -> list[PostSet]:
    """Give people posts, other posts or none (CADRE-01..06, ADM-03, ADM-16, ORG-17..20).

    The organisation's own administrators do so, or those of its direct superior. Posts in other
    organisations and the membership stay as they are (CADRE-02, CADRE-03, ORG-18). Repeated, the
    command finds what it has done and answers the same.

    By id alone only people are named whom the acting organisation or what lies below it already
    has: its members, cadres and administrators. Somebody from elsewhere is named as on the ID card,
    by name and number (CADRE-03); so an id tells nobody's name and reaches nobody.
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    posts_store.lock(tx, [one.item.org_id for one in asked])
    orgs = directory.find(tx, [one.item.org_id for one in asked])
    posts = _Posts(tx, orgs)
    people = _People(tx, asked, posts.held)
    answers: list[PostSet] = []
    for one in asked:
        refusal = _check_asking(one, orgs.get(one.item.org_id), one.actor in acting)
        answers.append(PostSet(refusal=refusal) if refusal is not None else _set(one, people, posts))
    # counted at the end, in one statement for the whole list
    answers = _without_guesses(tx, asked, answers)
    made = people.enter(tx, {row["person_id"] for row in posts.changed.values()})
    posts.write(tx, made)
    return [
        PostSet(person_id=made.get(answer.person_id or 0, answer.person_id), refusal=answer.refusal)
        for answer in answers
    ]


def _check_asking(one: Asked[SetPost], org: Org | None, administers: bool) -> Refusal | None:
    ours = org is not None and administers and directory.is_own_or_superior(one.actor.org_id, org)
    return rules.check_asking(org.kind if org is not None else None, ours, one.item.post)


def _set(one: Asked[SetPost], people: _People, posts: _Posts) -> PostSet:
    """Find the person whom an item names, and give the post, or say why not."""
    person_id, refusal = people.find(one.item, one.actor.acting_org)
    if person_id is not None:
        refusal = people.closed.get(person_id) or posts.change(one, person_id)
    return PostSet(person_id=person_id if refusal is None else None, refusal=refusal)


def _without_guesses(
    tx: Connection, asked: Sequence[Asked[SetPost]], answers: list[PostSet]
) -> list[PostSet]:
    """Count names that differ from those of registered numbers (ACC-11).

    Whoever has sent too many is told so instead.
    """
    guessing = {
        one.actor.person_id
        for one, answer in zip(asked, answers, strict=True)
        if rules.is_guess(answer.refusal)
    }
    closed = throttle.too_often(tx, guessing, "names by", domain.NAMES_THAT_DIFFER)
    return [
        PostSet(refusal=throttle.TOO_OFTEN)
        if rules.is_guess(answer.refusal) and one.actor.person_id in closed
        else answer
        for one, answer in zip(asked, answers, strict=True)
    ]


class _Posts:
    """The posts of organisations as a list changes them, item by item, and what is written in the end."""

    def __init__(self, tx: Connection, org_ids: Iterable[int]) -> None:
        self.held = {(row.org_id, row.person_id): row.post for row in posts_store.posts_of(tx, org_ids)}
        self.rights = posts_store.administering(tx, self.held)
        self.changed: dict[tuple[int, int], PostChange] = {}

    def change(self, one: Asked[SetPost], person_id: int) -> Refusal | None:
        """Give a person the post that an item names, or return why not."""
        org_id, post = one.item.org_id, one.item.post
        held = self.held.get((org_id, person_id), "")
        led_by_another = any(
            other == "secretary" and where == org_id and who != person_id
            for (where, who), other in self.held.items()
        )
        has_right = (org_id, person_id) in self.rights
        refusal = rules.check_change(held, post, led_by_another, has_right)
        if refusal is None and held != post:
            self.held[org_id, person_id] = post
            self.changed[org_id, person_id] = {
                "org_id": org_id,
                "person_id": person_id,
                "post": post,
                **changer(one),
            }
        return refusal

    def write(self, tx: Connection, made: Mapping[int, int]) -> None:
        """Write the changes; `made` are the ids of people who had a placeholder until now."""
        rows: list[PostChange] = [
            {**row, "person_id": made.get(row["person_id"], row["person_id"])}
            for row in self.changed.values()
        ]
        posts_store.set_posts(tx, rows, clock.now())


class _People:
    """The people that a list of `set_posts` names.

    Those who are not registered have a placeholder until `enter` (ORG-17).
    """

    def __init__(
        self, tx: Connection, asked: Sequence[Asked[SetPost]], posts: Iterable[tuple[int, int]]
    ) -> None:
        self.holders: dict[int, set[int]] = {}
        for org_id, person_id in posts:
            self.holders.setdefault(org_id, set()).add(person_id)
        named = {one.item.person_id for one in asked if one.item.person_id is not None}
        self.places = places.of(tx, named) if named else {}
        self.acting = directory.find(tx, [one.actor.org_id for one in asked]) if named else {}
        self.by_index = store.known(
            tx,
            [
                keys.seal.index(domain.normalise_id(one.item.id_number))
                for one in asked
                if one.item.person_id is None
            ],
        )
        self.closed = closed(tx, [*named, *(known.person_id for known in self.by_index.values())])
        self.new: dict[bytes, tuple[int, people.Entered]] = {}
        # by person, those whom only an own registration names until now
        self.claimed: dict[int, people.Entered] = {}

    def find(self, item: SetPost, acting: int) -> tuple[int | None, Refusal | None]:
        """Return the person, a negative placeholder for one to be entered, or why there is none."""
        if item.person_id is not None:
            refusal = rules.check_reached(self.places.get(item.person_id, ()), self.acting[acting].path)
            return (item.person_id, None) if refusal is None else (None, refusal)
        id_number, name = domain.normalise_id(item.id_number), domain.clean_name(item.name)
        index = keys.seal.index(id_number)
        if index in self.by_index or index in self.new:
            return self._known(item, index, name)
        refusal = rules.check_new(name, id_number, not item.post, clock.today())
        return (self._add(index, name, id_number, item), None) if refusal is None else (None, refusal)

    def _known(self, item: SetPost, index: bytes, name: str) -> tuple[int | None, Refusal | None]:
        """Return somebody who is registered, or whom an earlier item of the list has named."""
        if index in self.by_index:
            known = self.by_index[index]
            person_id = known.person_id
            holds = person_id in self.holders.get(item.org_id, ())
            if known.claimed and item.post and not known.pending:
                self.claimed.setdefault(
                    person_id, people.new_person(name, domain.normalise_id(item.id_number), "", "")
                )
            registered = self.claimed[person_id]["name"] if person_id in self.claimed else known.name
            refusal = rules.check_known(name, registered, known.pending, not item.post, holds)
        else:
            person_id, row = self.new[index]
            refusal = rules.check_known(name, row["name"], pending=False, ends=False, holds=True)
        return (person_id, None) if refusal is None else (None, refusal)

    def _add(self, index: bytes, name: str, id_number: str, item: SetPost) -> int:
        """Keep somebody who is to be entered; return the placeholder, which is negative and nobody's id."""
        placeholder = -len(self.new) - 1
        self.new[index] = (placeholder, people.new_person(name, id_number, item.phone, item.ethnic_group))
        return placeholder

    def enter(self, tx: Connection, wanted: set[int]) -> dict[int, int]:
        """Enter those of the new people whose post was granted.

        Return their ids by placeholder, also of those entered elsewhere meanwhile.
        """
        claims.yield_to(tx, [row for person_id, row in self.claimed.items() if person_id in wanted])
        # whoever was entered elsewhere meanwhile is left out by `add` and found by the index below
        rows = {index: row for index, (placeholder, row) in self.new.items() if placeholder in wanted}
        if rows:
            store.add(tx, rows.values(), clock.now(), tail=initial.initial_tail(tx))
        return {self.new[index][0]: row.person_id for index, row in store.known(tx, list(rows)).items()}


def list_cadres(tx: Connection, request: contract.ListCadres, actor: Actor | None) -> list[Post]:
    """Return the cadres of an organisation with their completeness (CADRE-07, ROLE-02).

    Its administrators and those above it see them.
    """
    directory.require_above(tx, actor, request.org_id, observers=True)
    return [
        Post(
            org_id=row.org_id,
            person_id=row.person_id,
            post=PostCode(row.post),
            name=row.name,
            complete=row.complete,
            began_at=row.began_at,
        )
        for row in posts_store.posts_of(tx, [request.org_id])
    ]
