"""Full names are stored text; here they are built anew from the path (ORG-09).

That is done for a whole subtree, when somebody asks. The organisation at the top keeps its name.
Below it each name is the superior's stem, the own short name and the ending of the kind; where a
short name does not tell that, the name stays. A piece of the background is one transaction, so a
rebuild goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.orgs import domain, names, spoken, store
from services.orgs.log import log, org_entry
from services.orgs.naming import store as naming_store
from shared import background, clock, commands, db
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import orgs as contract
from shared.messages.orgs import NameChange, NamesPreview, NamesRebuild, RebuildNames
from shared.messages.words import System

PIECE = 1000
"""Organisations of one transaction."""
MOST_LOOKED_AT = 20_000
"""Organisations that a preview looks at; a longer one says so."""
MOST_SHOWN = 200
"""Changes and names that a preview shows."""
LOOK_AGAIN_SECONDS = 30.0
SETTLE_SECONDS = 0.2


def changes(rows: Iterable[sa.Row[Any]], built: dict[int, str]) -> list[tuple[sa.Row[Any], str]]:
    """Return whose full name is another when it is built from the path, in the order given, superiors first.

    `built` keeps the names along the way, by organisation, so that what is below begins with what
    its superior will be called. The centre, the provincial bodies, the special-unit libraries (ORG-13)
    and what another system keeps (FED-01) keep their names.
    """
    found = []
    for row in rows:
        name = None
        if _is_built(row):
            name = names.built(spoken.stem(built.get(row.parent_id, row.above)), row.short_name, row.purpose)
        # A name that would be refused if somebody typed it is not built either.
        built[row.org_id] = row.full_name
        if (
            name is not None
            and name != row.full_name
            and domain.check_org(row.kind, "ordinary", "committee", name) is None
        ):
            found.append((row, name))
            built[row.org_id] = name
    return found


def _is_built(row: sa.Row[Any]) -> bool:
    """Return whether an organisation's full name is built here."""
    fixed = domain.is_provincial(row.parent_id, row.org_id, row.provincial_id)
    return row.purpose != "vault" and row.system == System.NATIONAL and not fixed


def _why_not(org: store.Org | None, actor: Actor | None, holders: set[tuple[int, int]]) -> Refusal | None:
    """Return why names are not built anew: its own administrators ask, or its direct superior's (ORG-14)."""
    manages = (
        org is not None
        and actor is not None
        and domain.may_manage(actor.org_id, org.org_id, org.parent_id)
        and (actor.org_id, actor.person_id) in holders
    )
    return domain.check_acting(org is not None, manages)


def preview_names(tx: Connection, request: contract.PreviewNames, actor: Actor | None) -> NamesPreview:
    """Return what a rebuild would change below an organisation, and which full names are not unique (ORG-09).

    Nothing is changed.
    """
    org = store.by_ids(tx, [request.org_id]).get(request.org_id)
    refusal = _why_not(org, actor, store.holders(tx, [actor.org_id if actor is not None else None]))
    if refusal is not None:
        raise Refused.of(refusal)
    assert org is not None
    rows = naming_store.below(tx, org.path, org.path, MOST_LOOKED_AT + 1)
    found = changes(rows[:MOST_LOOKED_AT], {})
    return NamesPreview(
        looked_at=min(len(rows), MOST_LOOKED_AT),
        changed=len(found),
        more=len(rows) > MOST_LOOKED_AT,
        changes=[
            NameChange(org_id=row.org_id, old=row.full_name, new=name) for row, name in found[:MOST_SHOWN]
        ],
        shared=naming_store.shared(tx, org.path, MOST_SHOWN),
    )


def rebuild_names(tx: Connection, asked: list[Asked[RebuildNames]]) -> list[NamesRebuild]:
    """Have the full names below organisations built anew, in the background (ORG-09).

    A repeated command says how far it is.
    """
    answers = commands.once(asked, _earlier(tx, asked), partial(_ask, tx), _refused)
    REBUILD.wake.set()
    return answers


def _ask(tx: Connection, fresh: list[Asked[RebuildNames]]) -> list[NamesRebuild]:
    """Store what is asked for; return how far it is, or why not."""
    orgs = store.by_ids(tx, [one.item.org_id for one in fresh])
    holders = store.holders(tx, [one.actor.org_id for one in fresh])
    refusals = [_why_not(orgs.get(one.item.org_id), one.actor, holders) for one in fresh]
    rows = [
        _row(one, orgs[one.item.org_id].path)
        for one, refusal in zip(fresh, refusals, strict=True)
        if refusal is None
    ]
    naming_store.ask(tx, rows, clock.now())
    # Read again: a command that was sent meanwhile has the row of its first sender.
    earlier = _earlier(tx, fresh)
    return [
        _refused(one.item, refusal)
        if refusal is not None
        else commands.again(one, earlier[one.item.command_id], _refused)
        for one, refusal in zip(fresh, refusals, strict=True)
    ]


def _earlier(
    tx: Connection, asked: Sequence[Asked[RebuildNames]]
) -> dict[UUID, commands.Earlier[NamesRebuild]]:
    known = naming_store.by_command(tx, [one.item.command_id for one in asked])
    return {command: commands.Earlier(shown(row), row.asked_by) for command, row in known.items()}


def _refused(item: RebuildNames, refusal: Refusal) -> NamesRebuild:
    return NamesRebuild(refusal=refusal)


def _row(one: Asked[RebuildNames], path: str) -> naming_store.Asked:
    return naming_store.Asked(
        command_id=one.item.command_id,
        org_id=one.item.org_id,
        path=path,
        asked_by=one.actor.person_id,
        asked_for=one.actor.org_id,
        request_id=one.request_id,
    )


def shown(row: naming_store.Rebuild) -> NamesRebuild:
    """Return a rebuild of names as the contract shows it."""
    return NamesRebuild(
        org_id=row.org_id, looked_at=row.looked_at, changed=row.changed, done=row.ended_at is not None
    )


def get_rebuild(tx: Connection, request: contract.GetRebuild, actor: Actor | None) -> NamesRebuild:
    """Return how far a rebuild is, to who asked for it."""
    row = naming_store.by_command(tx, [request.command_id]).get(request.command_id)
    if row is None or actor is None or row.asked_by != actor.person_id:
        raise Refused("not_found")
    return shown(row)


def rebuild_piece(
    tx: Connection, path: str, after: str, limit: int, **who: Any
) -> tuple[str | None, int, int]:
    """Build the names of the next organisations below `path` anew.

    Return the path of the last one, None at the end, and how many were looked at and changed.
    """
    rows = naming_store.below(tx, path, after, limit)
    wanted = changes(rows, {})
    rewritten = [
        naming_store.Renamed(
            org_id=row.org_id,
            full_name=name,
            version=row.version,
            **names.searchable(row.kind, name, row.short_name, dict(row._mapping)),
        )
        for row, name in wanted
    ]
    renamed = naming_store.rename(tx, rewritten)
    # Whose version had moved on was not renamed, and gets no line.
    entries = [
        org_entry(row._mapping, {**row._mapping, "full_name": name}, **who)
        for row, name in wanted
        if row.org_id in renamed
    ]
    log.append(tx, entries)
    return (rows[-1].path if len(rows) == limit else None), len(rows), len(renamed)


def rebuild_one(database: db.Database, limit: int = PIECE) -> bool:
    """Carry a rebuild that was asked for one piece further; return whether there was one."""
    with database.transaction() as tx:
        row = naming_store.next_asked(tx)
        if row is None:
            return False
        after, looked_at, changed = rebuild_piece(
            tx,
            row.path,
            row.after,
            limit,
            person_id=row.asked_by,
            org_id=row.asked_for,
            request_id=row.request_id,
        )
        naming_store.keep_progress(
            tx, row.command_id, after or row.after, looked_at, changed, clock.now() if after is None else None
        )
    return True


def rebuild_all(database: db.Database, path: str, limit: int = PIECE) -> tuple[int, int]:
    """Build the names below a path anew, piece by piece, for the command line.

    Return how many were looked at and changed.
    """
    after: str | None = path
    looked_at = changed = 0
    while after is not None:
        with database.transaction() as tx:
            after, some, renamed = rebuild_piece(tx, path, after, limit)
        looked_at, changed = looked_at + some, changed + renamed
    return looked_at, changed


def give_up(database: db.Database, problem: str) -> None:
    """End the rebuild that is next and fails again and again; what it has done stays."""
    with database.transaction() as tx:
        row = naming_store.next_asked(tx)
        if row is not None:
            naming_store.keep_progress(tx, row.command_id, row.after, 0, 0, clock.now())


_pieces = background.Pieces(
    "orgs", "names", PIECE, lambda database, size: int(rebuild_one(database, size)), give_up
)
REBUILD = background.Loop(
    "names",
    lambda machinery: 0 if _pieces.turn(machinery.database) else None,
    LOOK_AGAIN_SECONDS,
    SETTLE_SECONDS,
)
"""Builds names that were asked for."""
