"""The statement that holds members says what the rule says, of everybody whom there may be."""

import json
from itertools import product

import pytest
import sqlalchemy as sa

from services.members import domain, handlers, store
from services.members.domain import Standing
from services.members.entering import handlers as entering
from tests.members.factories import CLASS, TARGET, person, request

KINDS = ("any", "ordinary", "graduate", "abroad", "outward", "drop_out")
HOLDERS = (None, "own", "other")
FIRST = 5000
CASES = list(
    product((CLASS, TARGET), HOLDERS, (False, True), ("", "delayed", "teacher"), (False, True), KINDS)
)
"""Branch, who holds the member, graduate or not, mark, study abroad approved or not, kind of reason."""


def prepared(tx) -> dict[int, Standing]:
    """Enter a member for each case; return how each of them stands, by person."""
    entering.enter_trusted(tx, [(FIRST + n, person(100 + n, branch)) for n, (branch, *_) in enumerate(CASES)])
    made = {}
    for n, (branch, holder, graduate, mark, may_go_abroad, _) in enumerate(CASES):
        reserved = {None: None, "own": FIRST + n, "other": 1}[holder]
        made[FIRST + n] = Standing(branch, reserved, graduate, mark, may_go_abroad)
    tx.execute(
        sa.text(
            "UPDATE people SET reserved_by = :reserved_by, graduate = :graduate, mark = :mark"
            " WHERE person_id = :id"
        ),
        [{"id": key, **standing._asdict()} for key, standing in made.items()],
    )
    tx.execute(
        sa.text(
            "INSERT INTO retentions"
            " (command_id, member_id, branch_id, kind, since, until,"
            " place, contact_name, reason, state, requested_by, requested_at)"
            " SELECT gen_random_uuid(), unnest(CAST(:ids AS bigint[])), :branch, 'abroad', '2026-09-01',"
            " '2027-09-01', '', '', '', 'approved', 1, now()"
        ),
        {"ids": [key for key, standing in made.items() if standing.may_go_abroad], "branch": CLASS},
    )
    return made


@pytest.mark.rule("TRF-02", "MEM-01", "GRAD-15", "GRAD-17", "GRAD-33", "TYPE-21")
def test_the_statement_says_what_the_rule_says(tx):
    """TRF-02, GRAD-15, GRAD-17, GRAD-33, TYPE-21: in 432 cases rule and statement hold and refuse alike."""
    made = prepared(tx)
    items = [request(FIRST + n, FIRST + n, kind=kind) for n, (*_, kind) in enumerate(CASES)]
    tx.execute(sa.text("DELETE FROM outbox"))

    handlers.on_transfer_requested(tx, items)

    told = {
        item["transfer_id"]: item.get("code")
        for row in tx.execute(
            sa.text("SELECT body FROM outbox WHERE topic IN ('member_reserved', 'reservation_refused')")
        )
        for item in json.loads(row.body)
    }
    said = {item.transfer_id: domain.check_hold(made[item.member_id], item) for item in items}
    assert told == {transfer: refusal and refusal.code for transfer, refusal in said.items()}
    held = store.by_ids(tx, list(made))
    assert {key for key, row in held.items() if row.reserved_by == key} == {
        key for key, refusal in said.items() if refusal is None
    }
