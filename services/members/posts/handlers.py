"""Who holds which post where (CADRE, ADM-03, ADM-16, ORG-17..20)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from services.members import domain, initial, people, store, throttle
from services.members.log import changer
from services.members.posts import places, rules
from services.members.posts import store as posts_store
from services.members.sealing.keys import keys
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import (
    Post,
    PostSet,
    SetPost,
)


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
    posts = {(row.org_id, row.person_id): row.post for row in posts_store.posts_of(tx, orgs)}
    people = _People(tx, asked, posts)
    rights = posts_store.administering(tx, posts)
    answers: list[PostSet] = []
    changed: dict[tuple[int, int], dict[str, Any]] = {}
    for one in asked:
        item, org = one.item, orgs.get(one.item.org_id)
        person_id: int | None = None
        ours = org is not None and one.actor in acting and directory.is_own_or_superior(one.actor.org_id, org)
        problem = rules.check_asking(org.kind if org is not None else None, ours, item.post)
        if problem is None:
            person_id, problem = people.find(item, one.actor.acting_org)
        if problem is None and person_id is not None:
            pair = (item.org_id, person_id)
            held = posts.get(pair, "")
            led_by = {
                other
                for (org_id, other), post in posts.items()
                if org_id == item.org_id and post == "secretary"
            }
            problem = rules.check_change(held, item.post, bool(led_by - {person_id}), pair in rights)
            if problem is None and held != item.post:
                posts[pair] = item.post
                changed[pair] = {
                    "org_id": item.org_id,
                    "person_id": person_id,
                    "post": item.post,
                    **changer(one),
                }
        answers.append(PostSet(person_id=None if problem else person_id, refusal=problem))
    answers = _guessed(tx, asked, answers)
    made = people.enter(tx, {person_id for _, person_id in changed})
    posts_store.set_posts(
        tx,
        [{**row, "person_id": made.get(row["person_id"], row["person_id"])} for row in changed.values()],
        clock.now(),
    )
    return [
        PostSet(person_id=made.get(answer.person_id or 0, answer.person_id), refusal=answer.refusal)
        for answer in answers
    ]


def _guessed(tx: Connection, asked: Sequence[Asked[SetPost]], answers: list[PostSet]) -> list[PostSet]:
    """Count names that differ from those of registered numbers (ACC-11).

    Whoever has sent too many is told so instead.
    """
    differ = {
        one.actor.person_id
        for one, answer in zip(asked, answers, strict=True)
        if answer.refusal is not None and answer.refusal.code == "name_differs"
    }
    limits = {
        person: throttle.of_person(person, "names by", domain.NAMES_THAT_DIFFER)[0] for person in differ
    }
    many = throttle.used_up(tx, list(limits.values()))
    said = Refusal("too_many_attempts", {"minutes": str(int(domain.LOCK_FOR.total_seconds() // 60))})
    told: list[PostSet] = []
    for one, answer in zip(asked, answers, strict=True):
        guessed = answer.refusal is not None and answer.refusal.code == "name_differs"
        if guessed and limits[one.actor.person_id].key in many:
            told.append(PostSet(refusal=said))
        else:
            told.append(answer)
    return told


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
        self.new: dict[bytes, tuple[int, dict[str, Any]]] = {}

    def find(self, item: SetPost, acting: int) -> tuple[int | None, Refusal | None]:
        """Return the person, a negative placeholder for one to be entered, or why there is none."""
        if item.person_id is not None:
            ours = any(
                path.startswith(str(self.acting[acting].path)) for path in self.places.get(item.person_id, ())
            )
            return (item.person_id, None) if ours else (None, Refusal("unknown_member"))
        id_number = domain.normalise_id(item.id_number)
        name = domain.clean_name(item.name)
        index = keys.seal.index(id_number)
        known = self.by_index.get(index)
        ends = not item.post
        if known is not None:
            holds = known.person_id in self.holders.get(item.org_id, ())
            refusal = rules.check_known(name, known.name, known.pending, ends, holds)
            return (known.person_id, None) if refusal is None else (None, refusal)
        if index in self.new:
            # named by an earlier item of the list
            placeholder, row = self.new[index]
            refusal = rules.check_known(name, row["name"], pending=False, ends=False, holds=True)
            return (placeholder, None) if refusal is None else (None, refusal)
        refusal = rules.check_new(name, id_number, ends, clock.today())
        if refusal is not None:
            return None, refusal
        # negative, so that the placeholder is nobody's id
        self.new[index] = (
            -len(self.new) - 1,
            people.new_person(name, id_number, item.phone, item.ethnic_group),
        )
        return self.new[index][0], None

    def enter(self, tx: Connection, wanted: set[int]) -> dict[int, int]:
        """Enter those of the new people whose post was granted.

        Return their ids by placeholder, also of those entered elsewhere meanwhile.
        """
        # whoever was entered elsewhere meanwhile is left out by `add` and found by the index below
        rows = {index: row for index, (placeholder, row) in self.new.items() if placeholder in wanted}
        if rows:
            store.add(tx, rows.values(), clock.now(), tail=initial.initial_tail())
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
            post=row.post,
            name=row.name,
            complete=row.complete,
            began_at=row.began_at,
        )
        for row in posts_store.posts_of(tx, [request.org_id])
    ]
