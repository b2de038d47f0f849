"""Imports of rosters: rows are kept first and entered in the background, piece by piece.

A piece and what became of it are one transaction, and each row's command id is made from its place
in the file: an import that was stopped anywhere goes on where it was, and nobody is entered twice.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from services.members.entering import handlers, imports_store, rules
from services.members.log import log as audit_log
from services.members.posts import handlers as posts
from services.members.sealing.keys import keys, sealed
from shared import audit, background, clock, db, directory
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import Admission, ImportProgress, ImportRow, ImportTaken, SetPost

PIECE = 250
"""Rows of one transaction."""
LOOK_AGAIN_SECONDS = 5.0
"""The longest sleep between two looks for rows that another process has kept."""

SETTLE_SECONDS = 0.2
"""From the call that keeps rows to its commit, amply; a slower one is found at the next look."""

log = logging.getLogger("tuanqiao.imports")


def import_rows(tx: Connection, asked: list[Asked[ImportRow]]) -> list[ImportTaken]:
    """Keep rows of rosters (IMP-05).

    Whoever sent the first row of an import sends all of it, for the same organisation. What was put
    right of a failed row takes its place and is tried again (IMP-07). Rights over
    the branches are checked when the rows are entered, row by row (IMP-11, MEM-29).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    imports = _opened(tx, [one for one in asked if one.actor in acting])
    answers: list[ImportTaken] = []
    kept: list[Asked[ImportRow]] = []
    for one in asked:
        own = _is_own(imports.get(str(one.item.import_id)), one.actor.person_id, one.actor.org_id)
        refusal = rules.check_import(one.actor in acting, own)
        answers.append(ImportTaken(number=one.item.number, refusal=refusal))
        if refusal is None:
            kept.append(one)
    imports_store.take_rows(tx, [_kept(one.item) for one in kept if not one.item.again])
    imports_store.take_again(tx, [_kept(one.item) for one in kept if one.item.again])
    audit_log.append(tx, _started(kept))
    ENTER.wake.set()
    return answers


def _opened(tx: Connection, asked: list[Asked[ImportRow]]) -> dict[str, imports_store.Import]:
    """Return the imports that rows belong to, by id; those not seen before belong to their senders."""
    new: dict[uuid.UUID, imports_store.NewImport] = {
        one.item.import_id: {
            "import_id": str(one.item.import_id),
            "org_id": one.actor.org_id,
            "person_id": one.actor.person_id,
        }
        for one in asked
    }
    return imports_store.open_imports(tx, list(new.values()), clock.now())


def _is_own(found: imports_store.Import | None, person_id: int, org_id: int | None) -> bool:
    return found is not None and (found.person_id, found.org_id) == (person_id, org_id)


def _kept(item: ImportRow) -> imports_store.Taken:
    """Return the row of a row: sealed, since it holds an identity number."""
    return {
        "import_id": str(item.import_id),
        "number": item.number,
        "problem": item.problem,
        "row_sealed": sealed(msgspec.json.encode(item).decode()),
    }


def _started(kept: list[Asked[ImportRow]]) -> list[audit.Entry]:
    """Return the lines of the log: one for each import, however many rows of it are kept."""
    taken = Counter((one.actor, one.request_id, one.item.import_id) for one in kept)
    return [
        audit.Entry(
            kind="import.started",
            person_id=actor.person_id,
            org_id=actor.org_id,
            place_id=actor.org_id,
            request_id=request_id,
            ref=f"import {import_id}",
            after={"rows": count},
        )
        for (actor, request_id, import_id), count in taken.items()
    ]


def get_import(tx: Connection, request: contract.GetImport, actor: Actor | None) -> ImportProgress:
    """Return how far an import is, and its failed rows (IMP-06, IMP-07).

    Only the person who started it sees them, acting for the same organisation.
    """
    org_id = directory.require_administrator(tx, actor)
    assert actor is not None
    found = imports_store.one_import(tx, str(request.import_id))
    refusal = rules.check_import(True, _is_own(found, actor.person_id, org_id))
    if refusal is not None:
        raise Refused.of(refusal)
    counts = imports_store.import_counts(tx, str(request.import_id))
    return ImportProgress(
        rows=sum(counts.values()),
        entered=counts.get("entered", 0),
        failed=counts.get("failed", 0),
        failures=_failures(tx, request.import_id, request.failed_after, actor),
    )


def _failures(tx: Connection, import_id: uuid.UUID, after: int | None, actor: Actor) -> list[ImportRow]:
    """Return failed rows after a number, none without one.

    They are shown as they were read, with ID numbers in full, so that the look is logged.
    """
    if after is None:
        return []
    failures = [
        msgspec.structs.replace(_shown(import_id, row), problem=row.problem)
        for row in imports_store.failed_rows(tx, str(import_id), after)
    ]
    if failures:
        entry = audit.Entry(
            kind="view.failures",
            place_id=actor.org_id,
            ref=f"import {import_id}",
            after={"rows": len(failures)},
            **audit.by(actor),
        )
        audit_log.append(tx, [entry])
    return failures


def _shown(import_id: uuid.UUID, row: imports_store.Failed) -> ImportRow:
    """Return a failed row; of one that cannot be opened any more its number only."""
    try:
        return msgspec.json.decode(keys.seal.open(row.row_sealed), type=ImportRow)
    except Exception as error:
        log.error("row %d of an import cannot be opened: %s", row.number, type(error).__name__)
        return ImportRow(import_id=import_id, number=row.number, branch_name="", name="", id_number="")


def enter_piece(tx: Connection, limit: int = PIECE) -> int:
    """Enter the next rows of the oldest import; return how many were tried (IMP-05, IMP-08, IMP-10).

    Rows without a branch are cadres of the importing organisation itself (IMP-04, IMP-11).
    """
    found = imports_store.next_import(tx, clock.now())
    if found is None:
        return 0
    import_id, actor = str(found.import_id), Actor(found.person_id, found.org_id)
    rows = [
        msgspec.json.decode(keys.seal.open(row.row_sealed), type=ImportRow)
        for row in imports_store.waiting_rows(tx, import_id, limit)
    ]
    # what a row says of itself comes first; the others are tried, and most problems are found there
    problems = {row.number: rules.check_row(row.branch_name, row.post) for row in rows}
    good = [row for row in rows if problems[row.number] is None]
    problems |= _admitted(tx, actor, [row for row in good if row.branch_name])
    problems |= _appointed(tx, actor, [row for row in good if not row.branch_name])
    imports_store.settle_rows(tx, [_settled(import_id, row.number, problems[row.number]) for row in rows])
    return len(rows)


def _command(row: ImportRow) -> uuid.UUID:
    """Return the id of the command of a row.

    The same row always makes the same, so that a piece that is repeated enters nobody twice.
    """
    return uuid.uuid5(row.import_id, str(row.number))


def _admitted(tx: Connection, actor: Actor, rows: list[ImportRow]) -> dict[int, Refusal | None]:
    """Enter people into the branches of an organisation; return what is wrong with each, by number."""
    org_id = actor.acting_org
    branches = imports_store.branches_named(tx, org_id, [row.branch_name for row in rows])
    items = [_admission(row, branches.get(row.branch_name, 0)) for row in rows]
    answers = handlers.admit(tx, [Asked(item, actor) for item in items])
    problems = {row.number: answer.refusal for row, answer in zip(rows, answers, strict=True)}
    elsewhere = [row for row in rows if row.branch_name not in branches]
    return problems | _misplaced(tx, org_id, elsewhere, problems)


def _admission(row: ImportRow, branch_id: int) -> Admission:
    return Admission(
        command_id=_command(row),
        branch_id=branch_id,
        name=row.name,
        id_number=row.id_number,
        ethnic_group=row.ethnic_group,
        phone=row.phone,
        joined_on=row.joined_on,
        development_number=row.development_number,
        post=row.post,
    )


def _misplaced(
    tx: Connection, org_id: int, rows: list[ImportRow], problems: dict[int, Refusal | None]
) -> dict[int, Refusal | None]:
    """Return why the branch of each row takes none from this organisation (IMP-11).

    Either another organisation imports into it, or there is no branch of that name.
    """
    superiors = imports_store.branches_elsewhere(tx, org_id, [row.branch_name for row in rows])
    said: dict[int, Refusal | None] = {}
    for row in rows:
        before = problems[row.number]
        if before is not None and before.code == "branch_unknown":
            said[row.number] = rules.check_branch_name(row.branch_name, superiors.get(row.branch_name))
    return said


def _appointed(tx: Connection, actor: Actor, rows: list[ImportRow]) -> dict[int, Refusal | None]:
    """Give cadres of the importing organisation their posts; return what is wrong with each, by number."""
    items = [_post(row, actor.acting_org) for row in rows]
    answers = posts.set_posts(tx, [Asked(item, actor) for item in items])
    return {row.number: answer.refusal for row, answer in zip(rows, answers, strict=True)}


def _post(row: ImportRow, org_id: int) -> SetPost:
    return SetPost(
        command_id=_command(row),
        org_id=org_id,
        post=row.post,
        name=row.name,
        id_number=row.id_number,
        phone=row.phone,
        ethnic_group=row.ethnic_group,
    )


def _settled(import_id: str, number: int, problem: Refusal | None) -> imports_store.Settled:
    return {"import_id": import_id, "number": number, "problem": problem.say() if problem is not None else ""}


def _enter(database: db.Database, size: int) -> int:
    with database.transaction() as tx:
        return enter_piece(tx, size)


def give_up(database: db.Database, problem: str) -> None:
    """Set the next row of the oldest import aside, since entering it fails again and again.

    It comes back with the failed ones (IMP-07).
    """
    with database.transaction() as tx:
        found = imports_store.next_import(tx, clock.now())
        if found is None:
            return
        import_id = str(found.import_id)
        rows = imports_store.waiting_rows(tx, import_id, 1)
        imports_store.settle_rows(tx, [_settled(import_id, row.number, Refusal("internal")) for row in rows])


_pieces = background.Pieces("members", "imports", PIECE, _enter, give_up)
ENTER = background.Loop(
    "imports",
    lambda machinery: 0 if _pieces.turn(machinery.database) else None,
    LOOK_AGAIN_SECONDS,
    SETTLE_SECONDS,
)
"""Enters what waits, piece by piece."""


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """Forget the rows of old imports."""
    imports_store.forget_imports(tx, clock.now())
