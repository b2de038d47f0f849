"""Imports of rosters: rows are kept first and entered in the background, piece by piece.

A piece and what became of it are one transaction, and each row's command id is made from its place
in the file: an import that was stopped anywhere goes on where it was, and nobody is entered twice.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from services.members.entering import handlers, imports_store
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

_wake = threading.Event()
log = logging.getLogger("tuanqiao.imports")


def import_rows(tx: Connection, asked: list[Asked[ImportRow]]) -> list[ImportTaken]:
    """Keep rows of rosters (IMP-05).

    Whoever sent the first row of an import sends all of it, for the same organisation. Rights over
    the branches are checked when the rows are entered, row by row (IMP-11, MEM-29).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    new = {
        one.item.import_id: {
            "import_id": str(one.item.import_id),
            "org_id": one.actor.org_id,
            "person_id": one.actor.person_id,
        }
        for one in asked
        if one.actor in acting
    }
    imports = imports_store.open_imports(tx, list(new.values()), clock.now())
    answers: list[ImportTaken] = []
    rows: list[dict[str, Any]] = []
    for one in asked:
        found = imports.get(str(one.item.import_id))
        if one.actor not in acting:
            answers.append(ImportTaken(number=one.item.number, refusal=Refusal("not_administrator")))
        elif found is None or (found.person_id, found.org_id) != (one.actor.person_id, one.actor.org_id):
            answers.append(ImportTaken(number=one.item.number, refusal=Refusal("unknown_import")))
        else:
            answers.append(ImportTaken(number=one.item.number))
            rows.append(
                {
                    "import_id": str(one.item.import_id),
                    "number": one.item.number,
                    "problem": one.item.problem,
                    "row_sealed": sealed(msgspec.json.encode(one.item).decode()),
                }
            )
    imports_store.take_rows(tx, rows)
    taken = Counter(
        (one.actor, one.request_id, one.item.import_id)
        for one, answer in zip(asked, answers, strict=True)
        if answer.refusal is None
    )
    audit_log.append(
        tx,
        [
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
        ],
    )
    _wake.set()
    return answers


def get_import(tx: Connection, request: contract.GetImport, actor: Actor | None) -> ImportProgress:
    """Return how far an import is, and its failed rows (IMP-06, IMP-07).

    Only the person who started it sees them, acting for the same organisation.
    """
    org_id = directory.require_administrator(tx, actor)
    found = imports_store.one_import(tx, str(request.import_id))
    if actor is None or found is None or (found.person_id, found.org_id) != (actor.person_id, org_id):
        raise Refused("unknown_import")
    counts = imports_store.import_counts(tx, str(request.import_id))
    failures: list[ImportRow] = []
    if request.failed_after is not None:
        failures = [
            msgspec.structs.replace(_shown(request.import_id, row), problem=row.problem)
            for row in imports_store.failed_rows(tx, str(request.import_id), request.failed_after)
        ]
        # these are rows as they were read, with numbers in full, so that the look is logged
        if failures:
            audit_log.append(
                tx,
                [
                    audit.Entry(
                        kind="view.failures",
                        place_id=org_id,
                        ref=f"import {request.import_id}",
                        after={"rows": len(failures)},
                        **audit.by(actor),
                    )
                ],
            )
    return ImportProgress(
        rows=sum(counts.values()),
        entered=counts.get("entered", 0),
        failed=counts.get("failed", 0),
        failures=failures,
    )


def _shown(import_id: uuid.UUID, row: Any) -> ImportRow:
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
    rows = [
        msgspec.json.decode(keys.seal.open(row.row_sealed), type=ImportRow)
        for row in imports_store.waiting_rows(tx, str(found.import_id), limit)
    ]
    branches = imports_store.branches_named(tx, found.org_id, [row.branch_name for row in rows])
    actor = Actor(found.person_id, found.org_id)
    below = [row for row in rows if row.branch_name]
    own = [row for row in rows if not row.branch_name and row.post]
    # the same row always makes the same command, so a piece that is repeated enters nobody twice
    commands = {row.number: uuid.uuid5(row.import_id, str(row.number)) for row in rows}
    admitted = handlers.admit(
        tx,
        [
            Asked(
                Admission(
                    command_id=commands[row.number],
                    branch_id=branches.get(row.branch_name, 0),
                    name=row.name,
                    id_number=row.id_number,
                    ethnic_group=row.ethnic_group,
                    phone=row.phone,
                    joined_on=row.joined_on,
                    development_number=row.development_number,
                    post=row.post,
                ),
                actor,
            )
            for row in below
        ],
    )
    problems = {row.number: answer.refusal for row, answer in zip(below, admitted, strict=True)}
    appointed = posts.set_posts(
        tx,
        [
            Asked(
                SetPost(
                    command_id=commands[row.number],
                    org_id=found.org_id,
                    post=row.post,
                    name=row.name,
                    id_number=row.id_number,
                    phone=row.phone,
                    ethnic_group=row.ethnic_group,
                ),
                actor,
            )
            for row in own
        ],
    )
    problems |= {row.number: answer.refusal for row, answer in zip(own, appointed, strict=True)}
    # a row of a cadre that names no post has failed; to the posts it would say that the one held ends
    problems |= {row.number: Refusal("post_unknown") for row in rows if row.number not in problems}
    problems |= _misplaced(
        tx, found.org_id, [row for row in below if row.branch_name not in branches], problems
    )
    settled: list[dict[str, Any]] = []
    for row in rows:
        said = problems[row.number]
        settled.append(
            {
                "import_id": str(row.import_id),
                "number": row.number,
                "problem": said.say() if said else "",
            }
        )
    imports_store.settle_rows(tx, settled)
    return len(rows)


def _misplaced(
    tx: Connection, org_id: int, rows: list[ImportRow], problems: dict[int, Refusal | None]
) -> dict[int, Refusal]:
    """Return why the branch of each row takes none from this organisation (IMP-11).

    Either another organisation imports into it, or there is no branch of that name.
    """
    superiors = imports_store.branches_elsewhere(tx, org_id, [row.branch_name for row in rows])
    said: dict[int, Refusal] = {}
    for row in rows:
        before = problems[row.number]
        if before is None or before.code != "branch_unknown":
            continue
        if row.branch_name in superiors:
            said[row.number] = Refusal("branch_not_direct", {"superior": superiors[row.branch_name]})
        else:
            said[row.number] = Refusal("branch_misnamed", {"name": row.branch_name[:100]})
    return said


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
        imports_store.settle_rows(
            tx,
            [
                {
                    "import_id": str(found.import_id),
                    "number": row.number,
                    "problem": Refusal("internal").say(),
                }
                for row in imports_store.waiting_rows(tx, str(found.import_id), 1)
            ],
        )


_pieces = background.Pieces("members", "imports", PIECE, _enter, give_up)
ENTER = background.Loop(
    "imports",
    lambda machinery: 0 if _pieces.turn(machinery.database) else None,
    _wake,
    LOOK_AGAIN_SECONDS,
    SETTLE_SECONDS,
)
"""Enters what waits, piece by piece."""


def on_day_began(tx: Connection, items: list[Any]) -> None:
    """Forget the rows of old imports."""
    imports_store.forget_imports(tx, clock.now())
