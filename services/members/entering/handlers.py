"""Entering people into branches, one by one or as rows of a list (MEM, IMP, ACC-11)."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TypeAlias

from sqlalchemy.engine import Connection

from services.members import claims, initial, people, settings, store
from services.members.entering import rules
from services.members.entering import store as entering_store
from services.members.log import PostChange, changer, entered, log
from services.members.posts import places
from services.members.posts import store as posts_store
from shared import clock, commands, directory
from shared.bus.service import Asked
from shared.errors import Refusal
from shared.messages.members import Admission, Admitted

SEED_ROWS = 2000
"""People entered by one statement of `seed_people`."""

Rows: TypeAlias = dict[int, people.Entered]
"""Rows of people (`people.row_of`) by their position in a list."""


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
    return commands.once(asked, commands.remembered(tx, asked, Admitted), partial(_enter, tx), _refused)


def _enter(tx: Connection, asked: list[Asked[Admission]]) -> list[Admitted]:
    """Enter people whose commands are new, and remember the answers."""
    rows, refused = _checked(tx, asked)
    # held before anything is looked up: from here on nobody marks these branches or gives posts in them
    entering_store.hold(tx, {asked[n].item.branch_id for n in rows})
    posts_store.lock(tx, {asked[n].item.branch_id for n, row in rows.items() if row["post"]})
    taken, loose = _taken(tx, asked, rows)
    good = {n: row for n, row in rows.items() if n not in taken}
    members = _store(tx, asked, good, loose)
    answers = {n: Admitted(member_id=member) for n, member in members.items()}
    commands.remember(tx, [asked[n] for n in answers], [*answers.values()])
    answers |= {n: _refused(asked[n].item, refusal) for n, refusal in (refused | taken).items()}
    answers |= _beaten(tx, asked, {n: row for n, row in good.items() if n not in members})
    return [answers[n] for n in range(len(asked))]


def _checked(tx: Connection, asked: Sequence[Asked[Admission]]) -> tuple[Rows, dict[int, Refusal]]:
    """Return the rows of people whose data are in order, and why the others' are not."""
    acting = directory.administering(tx, (one.actor for one in asked))
    orgs = directory.find(tx, [one.item.branch_id for one in asked])
    issued, today = settings.of(tx).ranges, clock.today()
    rows: Rows = {}
    refused: dict[int, Refusal] = {}
    for n, one in enumerate(asked):
        branch = orgs.get(one.item.branch_id)
        near = branch is not None and directory.is_own_or_superior(one.actor.org_id, branch)
        refusal = rules.check_place(branch.kind if branch is not None else None, one.actor in acting, near)
        if refusal is None and branch is not None:
            refusal = rules.check_entry(one.item, branch.kind, branch.province, issued, today)
        if refusal is not None:
            refused[n] = refusal
        else:
            rows[n] = people.row_of(one.item)
    return rows, refused


def _taken(
    tx: Connection, asked: Sequence[Asked[Admission]], rows: Rows
) -> tuple[dict[int, Refusal], dict[int, int]]:
    """Return why rows are not entered beside their own data, and who is known among the others.

    The latter are registered and in no branch (REG-05).
    """
    entrants = {n: _entrant(asked[n].item.branch_id, row) for n, row in rows.items()}
    there = _there(tx, entrants.values())
    refused = rules.check_taken(entrants, there)
    loose = {
        n: there.known[one.id_index].person_id
        for n, one in entrants.items()
        if n not in refused and one.id_index in there.known
    }
    bound = _bound(tx, asked, loose)
    return refused | bound, {n: person_id for n, person_id in loose.items() if n not in bound}


def _entrant(branch_id: int, row: people.Entered) -> rules.Entrant:
    return rules.Entrant(_index(row), row["name"], branch_id, row["development_number"], row["post"])


def _index(row: people.Entered) -> bytes:
    """Return the blind index in the row of a person."""
    return base64.b64decode(row["id_index"])


def _there(tx: Connection, entrants: Collection[rules.Entrant]) -> rules.There:
    """Look up what may stand in the way of people who are to be entered."""
    indexes = [one.id_index for one in entrants]
    wanted = {one.branch_id for one in entrants if one.post == "secretary"}
    return rules.There(
        store.known(tx, indexes),
        store.deleted_from(tx, indexes),
        store.used_numbers(tx, [one.development_number for one in entrants]),
        {row.org_id for row in posts_store.posts_of(tx, wanted) if row.post == "secretary"},
    )


def _bound(tx: Connection, asked: Sequence[Asked[Admission]], loose: dict[int, int]) -> dict[int, Refusal]:
    """Return why people in no branch are not entered, by position: they belong to other organisations."""
    found = places.of(tx, loose.values()) if loose else {}
    acting = directory.find(tx, [asked[n].actor.org_id for n in loose]) if found else {}
    refused: dict[int, Refusal] = {}
    for n, person_id in loose.items():
        if person_id not in found:
            continue
        refusal = rules.check_bound(found[person_id], acting[asked[n].actor.acting_org].path)
        if refusal is not None:
            refused[n] = refusal
    return refused


def _store(
    tx: Connection, asked: Sequence[Asked[Admission]], rows: Rows, loose: dict[int, int]
) -> dict[int, int]:
    """Enter people with their posts; return their ids by position.

    Those whom somebody else enters in this very moment are left out.
    """
    now = clock.now()
    made: dict[bytes, int] = {}
    claims.yield_to(tx, [rows[n] for n in loose])
    store.take_numbers(tx, [row["development_number"] for row in rows.values()])
    new = [row for n, row in rows.items() if n not in loose]
    if new:
        made |= store.add(tx, new, now, tail=initial.initial_tail(tx))
    if loose:
        made |= store.attach(tx, [rows[n] for n in loose], now)
    entering_store.receive(tx, made.values(), now)
    members = {n: made[_index(row)] for n, row in rows.items() if _index(row) in made}
    branches = {n: asked[n].item.branch_id for n in members}
    given: list[PostChange] = [
        {"org_id": branches[n], "person_id": member, "post": rows[n]["post"], **changer(asked[n])}
        for n, member in members.items()
        if rows[n]["post"]
    ]
    posts_store.set_posts(tx, given, now)
    log.append(tx, entered(asked, {n: (branches[n], member) for n, member in members.items()}))
    return members


def _beaten(tx: Connection, asked: Sequence[Asked[Admission]], rows: Rows) -> dict[int, Admitted]:
    """Return the answers of rows whose people somebody else has just entered, by position.

    What the other has done is committed by now, and says whether it was the same call.
    """
    if not rows:
        return {}
    late = [asked[n] for n in rows]
    entrants = {asked[n].item.command_id: _entrant(asked[n].item.branch_id, row) for n, row in rows.items()}

    def decide(left: list[Asked[Admission]]) -> list[Admitted]:
        some = {n: entrants[one.item.command_id] for n, one in enumerate(left)}
        refused = rules.check_late(some, _there(tx, some.values()))
        return [_refused(one.item, refused[n]) for n, one in enumerate(left)]

    answers = commands.once(late, commands.remembered(tx, late, Admitted), decide, _refused)
    return dict(zip(rows, answers, strict=True))


def _refused(item: Admission, refusal: Refusal) -> Admitted:
    return Admitted(reason=refusal.say(), refusal=refusal)


# ---- first set-ups -----------------------------------------------------------------------------------------


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
