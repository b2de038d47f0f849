"""Entering people into branches, one by one or as rows of a list (MEM, IMP, ACC-11)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain, initial, people, store
from services.members.entering import ranges
from services.members.entering import store as entering_store
from services.members.log import changer, entered, log
from services.members.posts import places
from services.members.posts import store as posts_store
from shared import clock, directory, reference
from shared.bus.service import Asked
from shared.errors import Refusal
from shared.identity import Actor
from shared.messages.members import Admission, Admitted

SEED_ROWS = 2000
"""People entered by one statement of `seed_people`."""


def _once(tx: Connection, asked: Sequence[Asked[Admission]]) -> dict[int, Admitted]:
    """Return the stored answers, by position, of items whose command was handled before.

    Somebody else's command is refused.
    """
    known = store.replies(tx, [one.item.command_id for one in asked])
    answers: dict[int, Admitted] = {}
    for n, one in enumerate(asked):
        row = known.get(one.item.command_id)
        if row is None:
            continue
        if row.person_id in (None, one.actor.person_id):
            answers[n] = msgspec.json.decode(row.reply, type=Admitted)
        else:
            answers[n] = _refused(Refusal("command_taken"))
    return answers


def _remember(tx: Connection, asked: Sequence[Asked[Any]], answers: dict[int, Any], fresh: set[int]) -> None:
    store.remember(
        tx,
        [
            {
                "command_id": asked[n].item.command_id,
                "reply": msgspec.json.encode(answers[n]).decode(),
                "person_id": asked[n].actor.person_id,
            }
            for n in fresh
        ],
    )


def admit(tx: Connection, asked: list[Asked[Admission]]) -> list[Admitted]:
    """Enter people into branches, row by row (IMP-05, IMP-08, IMP-10, IMP-13).

    Good rows are stored, and each bad row says why it is not. The acting organisation is the branch
    or its direct superior (MEM-29, IMP-11). Everyone gets an account with the initial password.
    Somebody who enters a class that is a graduates' organisation already is a graduate of it
    (GRAD-12, GRAD-15).

    Somebody with an account and without a branch is entered, too (REG-05, ORG-17), unless the
    person holds a post or a right outside the acting organisation and what lies below it: then it
    is not for this organisation to say where the person belongs (ACC-11).
    """
    answers = _once(tx, asked)
    acting = directory.administering(tx, (one.actor for one in asked))
    orgs = directory.find(tx, [one.item.branch_id for one in asked])
    rows: dict[int, dict[str, Any]] = {}
    # of a command that stands in the list twice the first item is handled, and its answer given to both
    first: dict[Any, int] = {}
    for n, one in enumerate(asked):
        if n in answers or first.setdefault(one.item.command_id, n) != n:
            continue
        refusal = _check_admission(one, acting, orgs.get(one.item.branch_id))
        if refusal is not None:
            answers[n] = _refused(refusal)
        else:
            rows[n] = people.row_of(one.item)
    indexes = {n: base64.b64decode(row["id_index"]) for n, row in rows.items()}
    # held before anything is looked up: from here on nobody marks these branches or gives posts in them
    entering_store.hold(tx, {row["branch_id"] for row in rows.values()})
    posts_store.lock(tx, {row["branch_id"] for row in rows.values() if row["post"]})
    refused, loose = _taken(tx, rows, indexes)
    answers |= refused
    bound = _bound_elsewhere(tx, asked, loose)
    answers |= {n: _refused(Refusal("id_registered")) for n in bound}
    loose = {n: person_id for n, person_id in loose.items() if n not in bound}
    fresh = {n: row for n, row in rows.items() if n not in answers}
    made: dict[bytes, int] = {}
    if fresh:
        unknown = [row for n, row in fresh.items() if n not in loose]
        made = store.add(tx, unknown, clock.now(), tail=initial.initial_tail())
    if loose:
        made |= store.attach(tx, [rows[n] for n in loose], clock.now())
    entering_store.receive(tx, made.values(), clock.now())
    answers |= {n: Admitted(member_id=made[indexes[n]]) for n in fresh if indexes[n] in made}
    posts_store.set_posts(
        tx,
        [
            {
                "org_id": row["branch_id"],
                "person_id": answers[n].member_id,
                "post": row["post"],
                **changer(asked[n]),
            }
            for n, row in fresh.items()
            if n in answers and row["post"]
        ],
        clock.now(),
    )
    new: dict[int, tuple[int, int]] = {}
    for n, row in fresh.items():
        member = answers[n].member_id if n in answers else None
        if member is not None:
            new[n] = (row["branch_id"], member)
    log.append(tx, entered(asked, new))
    # refused rows are not remembered, so that they may be sent again once they are put right
    _remember(tx, asked, answers, {n for n in fresh if n in answers})
    late = [n for n in fresh if n not in answers]
    # somebody else entered the same people in this very moment; now committed, it says whether it was
    # the same call
    if late:
        repeated = _once(tx, [asked[n] for n in late])
        answers |= {n: repeated[at] for at, n in enumerate(late) if at in repeated}
        left = {n: rows[n] for n in late if n not in answers}
        answers |= {n: _refused(Refusal("id_registered")) for n in left}
        answers |= _taken(tx, left, indexes)[0]
    return [answers[first.get(one.item.command_id, n)] for n, one in enumerate(asked)]


def _bound_elsewhere(tx: Connection, asked: Sequence[Asked[Admission]], loose: dict[int, int]) -> set[int]:
    """Return those of the rows, by position, whose person is bound to an organisation elsewhere.

    A post or a right outside the subtree of the acting organisation binds a person.
    """
    found = places.of(tx, loose.values()) if loose else {}
    acting = directory.find(tx, [asked[n].actor.org_id for n in loose]) if found else {}
    bound: set[int] = set()
    for n, person in loose.items():
        for path in found.get(person, ()):
            if not path.startswith(str(acting[asked[n].actor.acting_org].path)):
                bound.add(n)
    return bound


def _taken(
    tx: Connection, rows: dict[int, dict[str, Any]], indexes: dict[int, bytes]
) -> tuple[dict[int, Admitted], dict[int, int]]:
    """Return the refusals of rows that are taken, and the rows of people registered without a branch.

    The latter come with the ids of the people. An ID number may be registered (ACC-11) or under the
    person's own registration (REG-06, ORG-20), a development number used (MEM-09), by others or by
    an earlier row.
    """
    known = store.known(tx, [indexes[n] for n in rows])
    numbers = store.used_numbers(tx, [row["development_number"] for row in rows.values()])
    wanted = {row["branch_id"] for row in rows.values() if row["post"] == "secretary"}
    led = {row.org_id for row in posts_store.posts_of(tx, wanted) if row.post == "secretary"}
    deleted = store.deleted_from(tx, [indexes[n] for n in rows])
    refused: dict[int, Admitted] = {}
    loose: dict[int, int] = {}
    seen: set[bytes] = set()
    for n, row in rows.items():
        found = known.get(indexes[n])
        owner = found.person_id if found is not None else None
        registered = (
            found is not None
            and not found.pending
            and (found.branch_id is not None or found.name != row["name"])
        )
        if indexes[n] in seen or registered:
            refused[n] = _refused(Refusal("id_registered"))
        elif found is not None and found.pending:
            refused[n] = _refused(Refusal("registration_pending"))
        elif was_deleted_elsewhere(deleted.get(indexes[n]), row["name"], row["branch_id"]):
            refused[n] = _refused(Refusal("deleted_elsewhere"))
        elif numbers.get(row["development_number"], owner) != owner:
            refused[n] = _refused(Refusal("development_number_used"))
        elif row["post"] == "secretary" and row["branch_id"] in led:
            refused[n] = _refused(Refusal("secretary_in_post"))
        else:
            seen.add(indexes[n])
            # 0 is nobody's id, so a later row with the same number or the same post is refused
            if row["development_number"]:
                numbers[row["development_number"]] = 0
            if row["post"] == "secretary":
                led.add(row["branch_id"])
            if owner is not None:
                loose[n] = owner
    return refused, loose


def was_deleted_elsewhere(deleted: sa.Row[Any] | None, name: str, branch_id: int | None) -> bool:
    """Return whether the same person, by number and name, was deleted from another branch (TRF-36).

    Such a person is entered there again, and then transferred.
    """
    return deleted is not None and deleted.name == name and deleted.branch_id != branch_id


def _refused(refusal: Refusal) -> Admitted:
    return Admitted(reason=refusal.say(), refusal=refusal)


def _check_admission(one: Asked[Admission], acting: set[Actor], branch: sa.Row[Any] | None) -> Refusal | None:
    item, today = one.item, clock.today()
    if branch is None or branch.kind != "branch":
        return Refusal("branch_unknown")
    if one.actor not in acting:
        return Refusal("not_administrator")
    if not directory.is_own_or_superior(one.actor.org_id, branch):
        return Refusal("not_your_org")
    return check_entry(
        item.name, item.id_number, item.joined_on, item.development_number, item.post, branch, today
    )


def check_entry(
    name: str, id_number: str, joined_on: date | None, number: str, post: str, org: sa.Row[Any], today: date
) -> Refusal | None:
    """Return what is wrong with the data of a person who is to belong to an organisation.

    Rules IMP-08, MEM-04..12, CADRE-05 and REG-08.
    """
    refusal = domain.check_name(domain.clean_name(name))
    if refusal is not None:
        return refusal
    if post.strip() and post.strip() not in reference.POSTS[org.kind]:
        return Refusal("post_unknown")
    id_number = domain.normalise_id(id_number)
    return (
        domain.check_id(id_number, today)
        or domain.check_ages(domain.born_on(id_number), joined_on, post.strip(), today, org.province)
        or domain.check_development_number(number.strip(), joined_on, org.province, ranges.issued)
    )


def enter_trusted(
    tx: Connection,
    rows: Sequence[tuple[int, Admission]],
    password_hash: str | None = None,
    began_at: datetime | None = None,
) -> int:
    """Enter people without checks and rights, with ids of the caller's choice; return how many were new.

    For demo worlds and the first set-up only.
    """
    made = store.add(
        tx,
        [people.row_of(item, person_id) for person_id, item in rows],
        began_at or clock.now(),
        password_hash,
    )
    entering_store.receive(tx, made.values(), clock.now())
    return len(made)


def seed_people(
    tx: Connection,
    rows: Iterable[tuple[int, Admission]],
    password_hash: str | None = None,
    began_at: datetime | None = None,
) -> int:
    """Enter any number of people as `enter_trusted` does, `SEED_ROWS` at a time.

    Ids that the database gives later are higher.
    """
    new = highest = 0
    for some in iter(partial(_take, iter(rows)), []):
        new += enter_trusted(tx, some, password_hash, began_at)
        highest = max(highest, *(person_id for person_id, _ in some))
    store.skip_ids(tx, highest)
    return new


def _take(rows: Iterator[tuple[int, Admission]]) -> list[tuple[int, Admission]]:
    return list(islice(rows, SEED_ROWS))
