"""What the members service does for batches and statistics.

All of a batch are held or none; who becomes a graduate, or ceases to be one, is told.
"""

import json
import uuid
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from services.members import handlers, store
from services.members.graduation import store as graduation_store
from services.members.records import handlers as records
from services.members.records import store as records_store
from shared import clock, directory
from shared.bus.service import Asked
from shared.messages.members import DeleteMember
from shared.messages.orgs import OrgChanged
from shared.messages.transfers import TransferRequested
from tests.members.factories import (
    BRANCH,
    CLASS,
    COLLEGE,
    DEEP,
    ONE,
    ROOT,
    THREE,
    TWO,
    admin,
    assigned,
    request,
)
from tests.members.graduation.factories import NEXT, THIS, YEAR, mark, mark_member

pytestmark = pytest.mark.usefixtures("moment")


def said(tx, topic):
    return [
        item
        for row in tx.execute(
            sa.text("SELECT body FROM outbox WHERE topic = :topic ORDER BY id"), {"topic": topic}
        )
        for item in json.loads(row.body)
    ]


def cohort(tx):
    """Return who counts, by the newest of what was told: member to cohort and branch."""
    newest = {}
    for item in sorted(said(tx, "graduate_changed"), key=lambda item: item["version"]):
        newest[item["member_id"], item["cohort"]] = (item["branch_id"], item["counts"])
    return {member_and_year: branch for member_and_year, (branch, counts) in newest.items() if counts}


def batch(members, size=None, source=CLASS, kind="any"):
    id_ = uuid.uuid4()
    return [
        TransferRequested(
            transfer_id=100 + member,
            member_id=member,
            source_branch_id=source,
            target_org_id=BRANCH,
            reason_kind=kind,
            batch_id=id_,
            batch_size=len(members) if size is None else size,
        )
        for member in members
    ]


@pytest.mark.rule("BATCH-05")
def test_a_batch_is_held_whole(tx):
    """BATCH-05: all members of a batch are held in one step; told again, they are answered again."""
    items = batch([ONE, TWO])
    handlers.on_transfer_requested(tx, items)
    handlers.on_transfer_requested(tx, items)
    assert [item["member_id"] for item in said(tx, "member_reserved")] == [ONE, TWO] * 2 and said(
        tx, "reservation_refused"
    ) == []


@pytest.mark.rule("BATCH-05")
@pytest.mark.parametrize(
    "members, size, kind, codes",
    [
        ([ONE, THREE], None, "any", {ONE: "batch_stopped", THREE: "member_elsewhere"}),
        ([ONE, 9999], None, "any", {ONE: "batch_stopped", 9999: "unknown_member"}),
        ([ONE, TWO], 3, "any", {ONE: "batch_stopped", TWO: "batch_stopped"}),
        ([ONE, TWO], None, "graduate", {ONE: "ordinary_reason_needed", TWO: "ordinary_reason_needed"}),
    ],
)
def test_a_batch_is_refused_whole(tx, members, size, kind, codes):
    """BATCH-05: one unfit member stops the whole batch: nobody is held.

    Unfit is a member elsewhere, unknown or with the wrong kind of reason; the same holds when the
    batch does not come whole.
    """
    handlers.on_transfer_requested(tx, batch(members, size, kind=kind))
    assert {item["member_id"]: item["code"] for item in said(tx, "reservation_refused")} == codes
    assert said(tx, "member_reserved") == [] and all(
        row.reserved_by is None for row in store.by_ids(tx, members).values()
    )


@pytest.mark.rule("GRAD-22", "BATCH-05")
def test_a_setting_that_refuses_one_stops_the_batch(tx, configure):
    """GRAD-22, BATCH-05: a delayed graduate whom a setting keeps stops the whole batch.

    As any other member does who cannot be moved.
    """
    configure(TUANQIAO_DELAYED_DESTINATION="none")
    tx.execute(sa.text("UPDATE people SET mark = 'delayed' WHERE person_id = :one"), {"one": ONE})
    handlers.on_transfer_requested(tx, batch([ONE, TWO], kind="ordinary"))
    refused = {item["member_id"]: item["code"] for item in said(tx, "reservation_refused")}
    assert refused == {ONE: "delayed_elsewhere", TWO: "batch_stopped"}
    assert said(tx, "member_reserved") == []


@pytest.mark.rule("GRAD-33", "TYPE-21", "BATCH-05")
@pytest.mark.parametrize(
    "graduate, kind, code",
    [(True, "abroad", "abroad_request_missing"), (False, "outward", "drop_out_needed")],
)
def test_a_batch_asks_the_same(tx, graduate, kind, code):
    """GRAD-33, TYPE-21, BATCH-05: a batch passes the same checks as single transfers do.

    It is asked for approved requests and for students who leave; one member stops all.
    """
    tx.execute(
        sa.text(
            "UPDATE people SET graduate = :graduate,"
            " mark = CASE WHEN person_id = :one AND NOT :graduate THEN 'delayed' ELSE '' END"
        ),
        {"one": ONE, "graduate": graduate},
    )
    if graduate:
        tx.execute(
            sa.text(
                "INSERT INTO retentions"
                " (command_id, member_id, branch_id, kind, since, until,"
                " place, contact_name, reason, state, requested_by, requested_at)"
                " VALUES (gen_random_uuid(), :one, :branch, 'abroad', '2026-09-01', '2027-09-01',"
                " '', '', '', 'approved', 1, now())"
            ),
            {"one": ONE, "branch": CLASS},
        )
    handlers.on_transfer_requested(tx, batch([ONE, TWO], kind=kind))
    assert {item["member_id"]: item["code"] for item in said(tx, "reservation_refused")} == {
        ONE: "batch_stopped",
        TWO: code,
    }
    handlers.on_transfer_requested(tx, batch([ONE], kind=kind))
    assert [item["member_id"] for item in said(tx, "member_reserved")] == [ONE]


@pytest.mark.rule("BATCH-05", "TRF-02")
def test_a_held_member_stops_the_batch(tx):
    """BATCH-05: a member held by another transfer stops the batch.

    Without all-or-none the others are held.
    """
    handlers.on_transfer_requested(tx, [request(7, TWO)])
    handlers.on_transfer_requested(tx, batch([ONE, TWO]))
    assert {item["code"] for item in said(tx, "reservation_refused")} == {"batch_stopped", "transfer_open"}
    handlers.on_transfer_requested(tx, batch([ONE, TWO], 0))
    assert (
        store.by_ids(tx, [ONE])[ONE].reserved_by == 100 + ONE
        and store.by_ids(tx, [TWO])[TWO].reserved_by == 7
    )


@pytest.mark.rule("STAT-10", "GRAD-12", "GRAD-14")
def test_graduates_are_told(tx):
    """STAT-10, GRAD-14: members become graduates of their branch and year.

    When the branch is given another year or none, they are taken back.
    """
    mark(tx, CLASS, THIS)
    assert cohort(tx) == {(ONE, YEAR): CLASS, (TWO, YEAR): CLASS}
    mark(tx, CLASS, NEXT)
    assert cohort(tx) == {}
    graduation_store.convert(tx, date(YEAR + 1, 12, 31), clock.now(), 100)
    assert cohort(tx) == {(ONE, YEAR + 1): CLASS, (TWO, YEAR + 1): CLASS}


@pytest.mark.rule("STAT-10", "GRAD-16", "GRAD-25")
def test_delayed_graduates_are_told(tx):
    """GRAD-16, GRAD-25: a delayed graduate or teacher leaves the cohort.

    When the later time has come, the member belongs to that cohort; a mark taken back restores the
    first one.
    """
    mark(tx, CLASS, THIS)
    assert (
        mark_member(tx, ONE, "delayed", date(YEAR + 1, 6, 30), "学分未满") is None
        and mark_member(tx, TWO, "teacher") is None
    )
    assert cohort(tx) == {}
    assert mark_member(tx, TWO, "") is None
    assert cohort(tx) == {(TWO, YEAR): CLASS}
    graduation_store.convert_members(tx, date(YEAR + 1, 12, 31), clock.now(), 100)
    assert cohort(tx) == {(TWO, YEAR): CLASS, (ONE, YEAR + 1): CLASS}


@pytest.mark.rule("STAT-10", "DEL-05")
def test_deleted_graduates_are_told(tx):
    """STAT-10: a record entered wrongly and deleted counts no more.

    A member who leaves by a transfer stays in the cohort.
    """
    mark(tx, CLASS, THIS)
    (answer,) = records.delete_members(
        tx, [Asked(DeleteMember(command_id=uuid.uuid4(), member_id=TWO, reason="重复录入"), admin(ROOT))]
    )
    assert answer.refusal is None
    handlers.on_transfer_requested(tx, [request(10, kind="graduate")])
    handlers.on_branch_assigned(tx, [assigned(10)])
    assert cohort(tx) == {(ONE, YEAR): CLASS} and not store.by_ids(tx, [ONE])[ONE].graduate


@pytest.mark.rule("TYPE-05", "TRF-35")
def test_the_mobile_branch_keeps_graduates(tx):
    """TYPE-05: a graduate in the school's own mobile branch is still one.

    Such a member leaves with a graduate's reason later.
    """
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=DEEP,
                parent_id=COLLEGE,
                path="1.2.6.7.",
                kind="branch",
                purpose="floating",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=9,
                name="x",
                version=2,
                deleted=False,
            )
        ],
    )
    mark(tx, CLASS, THIS)
    handlers.on_transfer_requested(tx, [request(10, kind="graduate")])
    handlers.on_branch_assigned(tx, [assigned(10, branch=DEEP)])
    row = store.by_ids(tx, [ONE])[ONE]
    assert (row.branch_id, row.graduate, row.graduates_on) == (DEEP, True, date(YEAR, 6, 30))
    handlers.on_transfer_requested(tx, [request(11, source=DEEP, kind="graduate")])
    handlers.on_branch_assigned(
        tx, [msgspec.structs.replace(assigned(11), at=assigned(11).at + timedelta(days=60))]
    )
    assert not store.by_ids(tx, [ONE])[ONE].graduate


@pytest.mark.rule("STAT-10")
@pytest.mark.parametrize(
    "at, year",
    [(datetime(2026, 12, 31, 15, 59, tzinfo=UTC), 2026), (datetime(2026, 12, 31, 16, 1, tzinfo=UTC), 2027)],
)
def test_the_year_of_a_cohort_begins_in_china(tx, at, year):
    """STAT-10: who graduates at no known time counts for the year that it is in China."""
    tx.execute(
        sa.text("UPDATE people SET graduate = true, graduates_on = NULL WHERE person_id = :one"), {"one": ONE}
    )
    rows = [{"person_id": ONE, "reason": "", "deleted_by": 1, "deleted_for": ROOT}]
    assert records_store.delete(tx, rows, at) == {ONE}
    assert [item["cohort"] for item in said(tx, "graduate_changed")] == [year]
