"""The desk on a real database.

Batch moves, bulk decisions, reminders, starting again, escalation, messages, addresses that are
told.
"""

import hashlib
import hmac
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa

from services.transfers import handlers, settings, store, trail
from services.transfers.bulk import handlers as bulk_handlers
from services.transfers.bulk import rules as bulk_rules
from services.transfers.figures import store as figures_store
from services.transfers.notices import channels
from services.transfers.notices import handlers as notices
from services.transfers.notices import rules as notices_rules
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.remarks import handlers as remarks
from services.transfers.saga import State
from shared import clock, db
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.members import MemberReserved, ReservationRefused
from shared.messages.scheduler import DeadlineExpired
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    DEEP,
    OTHER,
    ROOT,
    SCHOOL,
    TARGET,
    admin,
    assign,
    complete,
    decide,
    events,
    request,
    start,
    state,
)
from tests.transfers.remarks.factories import advise, escalate, key, restart


def kinds(tx, actor, **wanted) -> list[str]:
    """Return the kinds of an actor's messages, newest first."""
    page = notices.list_messages(tx, contract.ListMessages(**wanted), actor)
    return [message.kind for message in page.items]


def later(tx, days):
    """Let everything that is open have waited some days longer."""
    tx.execute(
        sa.text(
            "UPDATE open_nodes SET opened_at = opened_at - :days * interval '1 day',"
            " expires_at = expires_at - :days * interval '1 day'"
        ),
        {"days": days},
    )


# ---- batch moves ---------------------------------------------------------------------------------


def move(tx, members, actor=None, source=BRANCH, target=DEEP, **values):
    item = contract.MoveBatch(
        **{
            "command_id": key(),
            "source_branch_id": source,
            "member_ids": members,
            "target_branch_id": target,
            **values,
        }
    )
    return handlers.move_batches(tx, [Asked(item, actor or admin(TARGET))])[0], item


@pytest.mark.rule("BATCH-02", "BATCH-03", "BATCH-06", "BATCH-07")
def test_a_batch_needs_no_approval(tx):
    """BATCH-02, BATCH-06: nobody decides a batch: each member moves as soon as the member is held.

    Each has a transfer of its own.

    BATCH-07: inside one committee.
    """
    answer, item = move(tx, [701, 702, 703])
    assert answer.refusal is None
    assert len(answer.transfer_ids) == 3
    asked = [event for topic, event in events(tx) if topic == "transfer_requested"]
    assert {(event["batch_id"], event["batch_size"], event["reason_kind"]) for event in asked} == {
        (str(item.command_id), 3, "ordinary")
    }

    handlers.on_member_reserved(
        tx, [MemberReserved(transfer_id=one, member_id=1) for one in answer.transfer_ids]
    )

    assert {state(tx, one) for one in answer.transfer_ids} == {State.MOVING}
    assert [event["branch_id"] for topic, event in events(tx) if topic == "branch_assigned"] == [DEEP] * 3
    assert len(handlers.get_batch(tx, contract.GetBatch(batch_id=item.command_id), admin(TARGET))) == 3
    assert handlers.get_batch(tx, contract.GetBatch(batch_id=item.command_id), admin(SCHOOL)) == []


@pytest.mark.rule("BATCH-01", "BATCH-04")
@pytest.mark.parametrize(
    "members, actor, source, target, code",
    [
        (range(31), TARGET, BRANCH, DEEP, "batch_size"),
        ([], TARGET, BRANCH, DEEP, "batch_size"),
        ([1, 1], TARGET, BRANCH, DEEP, "batch_size"),
        ([1], BRANCH, BRANCH, DEEP, "batch_by_committee"),
        ([1], ROOT, BRANCH, DEEP, "batch_by_committee"),
        ([1], TARGET, BRANCH, OTHER, "batch_branches"),
        ([1], TARGET, CLASS, DEEP, "batch_branches"),
        ([1], TARGET, BRANCH, 8, "not_a_branch"),
        ([1], TARGET, BRANCH, BRANCH, "same_org"),
        ([1], TARGET, BRANCH, 41, "target_not_allowed"),
        ([1], TARGET, 999, DEEP, "unknown_org"),
    ],
)
def test_who_may_move_whom(tx, members, actor, source, target, code):
    """BATCH-01, BATCH-04: at most 30, by a committee kind, between branches below it.

    Each mistake has its own words.
    """
    assert move(tx, list(members), admin(actor), source, target)[0].refusal.code == code


@pytest.mark.rule("BATCH-01")
def test_thirty_are_allowed(tx):
    """BATCH-01: exactly thirty go."""
    assert move(tx, list(range(8000, 8030)))[0].refusal is None


@pytest.mark.rule("BATCH-05", "TRF-02")
def test_all_or_none_unless_confirmed(tx):
    """BATCH-05: a member with an open transfer stops the batch and is named; confirmed, the others move.

    A repeated command does nothing twice.
    """
    start(tx, request(member=711, actor=admin(TARGET), source_branch_id=BRANCH, target=OTHER))
    stopped, _ = move(tx, [710, 711, 712])
    assert stopped.refusal.code == "batch_stopped"
    assert {one: refusal.code for one, refusal in stopped.refused.items()} == {711: "transfer_open"}
    assert stopped.transfer_ids == []
    assert store.with_open(tx, [710, 712]) == {}

    moved, item = move(tx, [710, 711, 712], skip=True)
    assert (moved.refusal, len(moved.transfer_ids), list(moved.refused)) == (None, 2, [711])
    again = handlers.move_batches(tx, [Asked(item, admin(TARGET))])[0]
    assert again.repeated
    assert again.transfer_ids == moved.transfer_ids


@pytest.mark.rule("BATCH-05")
def test_a_refused_batch_ends(tx):
    """BATCH-05: where members refuse the whole batch, every transfer of it ends with its reason.

    It frees its member.
    """
    answer, item = move(tx, [721, 722])
    handlers.on_reservation_refused(
        tx,
        [
            ReservationRefused(transfer_id=answer.transfer_ids[0], member_id=721, code="member_elsewhere"),
            ReservationRefused(transfer_id=answer.transfer_ids[1], member_id=722, code="batch_stopped"),
        ],
    )
    shown = handlers.get_batch(tx, contract.GetBatch(batch_id=item.command_id), admin(TARGET))
    assert [(one.state, one.end_code) for one in shown] == [
        ("refused", "member_elsewhere"),
        ("refused", "batch_stopped"),
    ]
    assert store.with_open(tx, [721, 722]) == {}


# ---- bulk decisions ------------------------------------------------------------------------------


def bulk(tx, expected, org=TARGET, filter=None, **values):
    item = contract.StartBulk(
        bulk_id=key(),
        filter=contract.Filter(**{"state": "pending_in", **(filter or {})}),
        expected=expected,
        **values,
    )
    return bulk_handlers.start_bulks(tx, [Asked(item, admin(org))])[0], item


def work_off(tx, limit=2):
    while bulk_handlers.work_off(tx, limit):
        pass


@pytest.mark.rule("BEY-05")
def test_bulk_by_filter(tx):
    """BEY-05: everything that a filter takes in is decided in pieces.

    A row that somebody decided meanwhile is told by itself and stops no other.
    """
    ones = start(tx, *[request() for _ in range(5)])
    start(tx, request(reason="employed_with_org"))
    wanted = contract.Filter(state="pending_in", reason="further_study")
    assert bulk_handlers.count_matching(tx, contract.CountMatching(filter=wanted), admin(TARGET)).count == 5
    answer, item = bulk(tx, 5, filter={"reason": "further_study"}, note="同意接收")
    assert answer.refusal is None
    decide(tx, ones[2], TARGET)

    work_off(tx)

    (job,) = bulk_handlers.get_bulk(tx, contract.GetBulk(bulk_id=item.bulk_id), admin(TARGET))
    assert (job.total, job.done, job.waiting) == (5, 4, 0)
    assert {one: refusal.code for one, refusal in job.problems.items()} == {ones[2]: "node_closed"}
    assert {state(tx, one) for one in ones} == {State.ASSIGN}
    assert bulk_handlers.start_bulks(tx, [Asked(item, admin(TARGET))])[0].repeated
    assert bulk_handlers.work_off(tx) == 0
    assert bulk_handlers.get_bulk(tx, contract.GetBulk(), admin(SCHOOL)) == []


@pytest.mark.rule("BEY-05", "ASG-02")
def test_bulk_assignment(tx):
    """BEY-05: all that waits for assignment goes to one branch.

    A branch that is not below is refused at once.
    """
    ones = start(tx, *[request() for _ in range(3)])
    for one in ones:
        decide(tx, one, TARGET)
    waiting = {"state": "pending_assign"}
    assert bulk(tx, 3, filter=waiting, branch_id=OTHER)[0].refusal.code == "branch_not_below"
    assert bulk(tx, 3, filter=waiting, branch_id=BRANCH)[0].refusal is None
    work_off(tx)
    assert {state(tx, one) for one in ones} == {State.MOVING}


@pytest.mark.rule("BEY-05")
def test_filters_that_do_not_fit(tx, monkeypatch):
    """BEY-05: a filter that matches nothing, too much, or another number than was confirmed is refused.

    Each has its own words. A rejection without a reason is refused, too.
    """
    assert bulk(tx, 0)[0].refusal.code == "nothing_matches"
    start(tx, request(), request())
    changed = bulk(tx, 1)[0].refusal
    assert changed.code == "count_changed"
    assert "2" in changed.say(), "it says how many there are now"
    assert bulk(tx, 2, approve=False)[0].refusal.code == "reason_missing"
    assert bulk(tx, 2, org=SCHOOL)[0].refusal.code == "nothing_matches"
    monkeypatch.setattr(bulk_rules, "BULK_MAX", 1)
    many = bulk(tx, 2)[0].refusal
    assert many.code == "too_many_match"
    assert "2" in many.say()
    assert "1" in many.say("en")
    with pytest.raises(Refused, match="bad_request"):
        bulk(tx, 1, filter={"state": "nowhere"})


@pytest.mark.rule("BEY-05", "SPU-09")
def test_bulk_of_special_units(tx):
    """SPU-09, BEY-05: a bulk approval of special units is refused at once without the letter.

    With it the approval is done; a bulk rejection needs none.
    """
    some = start(tx, *[request(target=None, reason="special_unit", remark="参军") for _ in range(2)])
    waiting = {"org": ROOT, "filter": {"state": "pending_province"}}
    assert bulk(tx, 2, **waiting)[0].refusal.code == "letter_missing"
    assert bulk(tx, 2, **waiting, note="介绍信第5至6号")[0].refusal is None
    work_off(tx)
    assert {state(tx, one) for one in some} == {State.MOVING}
    start(tx, request(target=None, reason="special_unit", remark="参军"))
    assert bulk(tx, 1, **waiting, approve=False, reason_code="wrong_data")[0].refusal is None


@pytest.mark.rule("BEY-05")
def test_bulk_stopped_and_rights_lost(tx):
    """BEY-05: when a bulk decision is stopped, what waits stays as it is.

    A person who has lost the right by the time of a row's turn decides nothing.
    """
    ones = start(tx, *[request() for _ in range(4)])
    _, item = bulk(tx, 4)
    assert bulk_handlers.work_off(tx, 1) == 1
    (stopped,) = bulk_handlers.stop_bulks(tx, [Asked(contract.StopBulk(bulk_id=item.bulk_id), admin(TARGET))])
    assert (stopped.done, stopped.waiting) == (1, 0)
    assert bulk_handlers.work_off(tx) == 0
    assert sorted(state(tx, one) for one in ones) == ["pending_assign"] + ["pending_in"] * 3
    (unknown,) = bulk_handlers.stop_bulks(tx, [Asked(contract.StopBulk(bulk_id=key()), admin(TARGET))])
    assert unknown.refusal.code == "unknown_bulk"
    with pytest.raises(Refused, match="unknown_bulk"):
        bulk_handlers.get_bulk(tx, contract.GetBulk(bulk_id=key()), admin(TARGET))

    _, item = bulk(tx, 3)
    active = sa.text("UPDATE administrator_directory SET active = :active WHERE org_id = :org")
    tx.execute(active, {"active": False, "org": TARGET})
    work_off(tx)
    tx.execute(active, {"active": True, "org": TARGET})  # or nobody could read the answer
    (job,) = bulk_handlers.get_bulk(tx, contract.GetBulk(bulk_id=item.bulk_id), admin(TARGET))
    assert {refusal.code for refusal in job.problems.values()} == {"not_administrator"}
    assert job.done == 0


# ---- reminders, looking --------------------------------------------------------------------------


def urge(tx, transfer_id, actor):
    return remarks.urge_transfers(
        tx, [Asked(contract.UrgeTransfer(decision_id=key(), transfer_id=transfer_id), actor)]
    )[0]


@pytest.mark.rule("BEY-21")
def test_urging(tx):
    """BEY-21: the starter's side and the member remind from the third day, once in three days.

    Strangers learn nothing. The trail keeps it.
    """
    (one,) = start(tx, request(member=801))
    assert urge(tx, one, admin(SCHOOL)).refusal.code == "urge_early"
    later(tx, 3)
    assert urge(tx, one, admin(OTHER)).refusal.code == "unknown_transfer"
    assert urge(tx, one, Actor(801)).refusal is None
    assert urge(tx, one, admin(SCHOOL)).refusal.code == "urge_early", "cool-down"
    page = handlers.list_work(tx, contract.ListWork(), admin(TARGET))
    assert page.items[0].urged_at is not None
    assert [line.event for line in store.steps(tx, one)] == ["requested", "reserved", "urged"]
    assert trail.verify_audit(tx)[1] == []


@pytest.mark.rule("BEY-18", "BEY-21")
def test_urging_below(tx):
    """BEY-18: one click reminds all that is late or nearly so below an organisation.

    Once in three days, and nobody elsewhere.
    """
    ones = start(tx, *[request() for _ in range(3)])
    start(tx, request(target=OTHER))
    ask = contract.UrgeBelow(decision_id=key(), org_id=TARGET, days=3)
    assert remarks.urge_below(tx, [Asked(ask, admin(ROOT))])[0].nodes == 0
    later(tx, 8)
    assert remarks.urge_below(tx, [Asked(ask, admin(SCHOOL))])[0].refusal.code == "not_your_org"
    assert remarks.urge_below(tx, [Asked(ask, admin(ROOT))])[0].nodes == len(ones)
    assert remarks.urge_below(tx, [Asked(ask, admin(ROOT))])[0].nodes == 0


@pytest.mark.rule("BEY-23", "TRF-21")
def test_looking(tx):
    """BEY-23: others see for ten minutes who looks at a node.

    TRF-21: the first decision counts all the same.
    """
    (one,) = start(tx, request(target=BRANCH))

    def look(actor, done=False):
        return remarks.look_at_nodes(tx, [Asked(contract.LookAt(transfer_id=one, done=done), actor)])[0]

    def looking():
        return handlers.list_work(tx, contract.ListWork(), admin(BRANCH)).items[0].looked_by

    for stranger in (admin(OTHER), admin(CLASS), Actor(999, TARGET)):
        assert look(stranger).refusal is not None
        assert looking() is None, "only an actor who may decide says so"
    assert look(admin(TARGET)).refusal is None
    assert looking() == admin(TARGET).person_id
    assert look(admin(BRANCH)).refusal.code == "somebody_looks"
    assert look(admin(OTHER)).refusal.code == "unknown_transfer"
    assert look(admin(TARGET), done=True).refusal is None
    assert look(admin(BRANCH)).refusal is None
    assert decide(tx, one, TARGET).refusal is None


@pytest.mark.rule("BEY-04", "DL-06", "TRF-25")
def test_starting_again(tx):
    """BEY-04, DL-06: an ended transfer is started again with one action and its values.

    By the member or a party; an open one is not started again, and strangers see none.
    """
    (one,) = start(tx, request(member=811, remark="请尽快", contact="19900000000"))
    assert restart(tx, one, admin(SCHOOL)).refusal.code == "transfer_open"
    decide(tx, one, TARGET, approve=False, reason_code="wrong_data")
    assert restart(tx, one, admin(OTHER)).refusal.code == "unknown_transfer"
    again = restart(tx, one, admin(SCHOOL))
    assert again.refusal is None
    assert again.transfer_id != one
    row = store.one(tx, again.transfer_id)
    assert (row.member_id, row.remark, row.contact) == (811, "请尽快", "19900000000")
    assert (row.target_org_id, row.initiator, row.state) == (TARGET, "source", "checking")
    assert restart(tx, one, Actor(811)).refusal.code == "transfer_open", "TRF-02: one at a time"


@pytest.mark.rule("BEY-04")
def test_starting_again_from_every_side(tx):
    """BEY-04: the member's start passes the own branch, the target's needs no new look-up.

    What was completed is not started again.
    """
    for actor, initiator in ((Actor(821), "member"), (admin(TARGET), "target"), (admin(CLASS), "source")):
        (one,) = start(tx, request(member=821))
        decide(tx, one, TARGET, approve=False, reason_code="short_term")
        again = restart(tx, one, actor)
        assert again.refusal is None
        assert store.one(tx, again.transfer_id).initiator == initiator
        handlers.on_reservation_refused(
            tx, [ReservationRefused(transfer_id=again.transfer_id, member_id=821, code="member_elsewhere")]
        )
    (done,) = start(tx, request(member=822))
    decide(tx, done, TARGET)
    assign(tx, done, BRANCH)
    complete(tx, done)
    assert restart(tx, done, Actor(822)).refusal.code == "not_restartable"


@pytest.mark.rule("BEY-06", "TRF-26")
def test_escalation(tx):
    """BEY-06, TRF-26: the member asks the lowest common superior, which advises once.

    It sees both sides and the reason; the member reads the advice.
    """
    (one,) = start(tx, request(member=831))
    assert escalate(tx, one, Actor(831)).refusal.code == "not_escalatable", "not rejected"
    decide(tx, one, TARGET, approve=False, reason_code="household_elsewhere", note="应转户籍地")
    assert escalate(tx, one, Actor(832)).refusal.code == "unknown_transfer"
    assert escalate(tx, one, Actor(831)).refusal is None
    assert escalate(tx, one, Actor(831)).refusal.code == "not_escalatable", "once"
    (shown,) = remarks.list_escalations(tx, contract.ListEscalations(), admin(ROOT))
    assert (shown.source_branch_id, shown.target_org_id) == (CLASS, TARGET)
    assert (shown.end_code, shown.end_note) == ("household_elsewhere", "应转户籍地")
    assert shown.note == "单位在本地"
    for reason, found in ((shown.reason, 1), ("ordinary", 0)):
        assert (
            len(remarks.list_escalations(tx, contract.ListEscalations(reason=reason), admin(ROOT))) == found
        )
    assert remarks.list_escalations(tx, contract.ListEscalations(), admin(SCHOOL)) == []
    assert advise(tx, one, admin(SCHOOL)).refusal.code == "unknown_transfer"
    assert advise(tx, one, admin(ROOT), "decide").refusal.code == "answer_unknown"
    assert advise(tx, one, admin(ROOT)).refusal is None
    assert advise(tx, one, admin(ROOT)).refusal.code == "unknown_transfer"
    assert remarks.list_escalations(tx, contract.ListEscalations(), admin(ROOT)) == []
    inbox = notices.list_messages(tx, contract.ListMessages(), Actor(831))
    assert [message.kind for message in inbox.items][:3] == ["answered", "escalated", "reject"]
    assert inbox.items[0].note == "请接收"
    assert trail.verify_audit(tx)[1] == []


@pytest.fixture
def deciding(tx):
    """A policy that lets the common superior decide."""
    text = reader.read("national").body.replace(
        'version = "2026.1"', 'version = "own"\nsuperior_decides = true'
    )
    policies_store.hold(tx, reader.parse(text, "deciding"), clock.now())


def rejected(tx, member, **values):
    (one,) = start(tx, request("source", member=member, **values))
    decide(tx, one, values.get("target", TARGET), approve=False, reason_code="not_here")
    escalate(tx, one, Actor(member))
    return one


@pytest.mark.rule("BEY-06", "TRF-25", "TRF-27")
def test_the_superior_decides_by_setting(tx, deciding):
    """BEY-06: where the policy says so, what the superior wants received goes through.

    It goes past both sides' approvals. TRF-25: the rejected transfer stays ended.
    """
    to_committee = rejected(tx, 881, remark="请尽快")
    to_branch = rejected(tx, 882, target=BRANCH)
    ruled = advise(tx, to_committee, admin(ROOT))
    moved = advise(tx, to_branch, admin(ROOT))
    assert ruled.refusal is None
    assert ruled.transfer_id not in (to_committee, None)
    handlers.on_member_reserved(
        tx, [MemberReserved(transfer_id=one.transfer_id, member_id=1) for one in (ruled, moved)]
    )

    assert state(tx, to_committee) == "rejected"
    assert state(tx, ruled.transfer_id) == State.ASSIGN
    assert state(tx, moved.transfer_id) == State.MOVING
    row = store.one(tx, ruled.transfer_id)
    assert (row.member_id, row.remark, row.initiator, row.initiator_org_id) == (881, "请尽快", "ruling", ROOT)
    again = decide(tx, ruled.transfer_id, TARGET, approve=False, reason_code="not_here")
    assert again.refusal is not None, "nobody rejects it again"
    assert assign(tx, ruled.transfer_id, BRANCH).state == State.MOVING
    assert kinds(tx, Actor(881))[:2] == ["assign", "requested"]
    assert store.steps(tx, ruled.transfer_id)[0].person_id == admin(ROOT).person_id
    assert trail.verify_audit(tx)[1] == []


@pytest.mark.rule("BEY-06")
def test_what_the_superior_does_not_decide(tx, deciding):
    """BEY-06: where nothing can start, the superior's answer is advice.

    Upheld, by a stranger, for a member with another open transfer, or for a target that is gone.
    """
    upheld = rejected(tx, 884)
    busy = rejected(tx, 885)
    gone = rejected(tx, 886, target=OTHER)
    asked_before = rejected(tx, 887)
    assert advise(tx, upheld, admin(ROOT), "uphold").transfer_id == upheld
    assert advise(tx, asked_before, admin(SCHOOL)).refusal.code == "unknown_transfer"
    assert restart(tx, busy, Actor(885)).refusal is None
    assert advise(tx, busy, admin(ROOT)).transfer_id == busy
    tx.execute(sa.text("UPDATE org_directory SET deleted = true WHERE org_id = :org"), {"org": OTHER})
    assert advise(tx, gone, admin(ROOT)).transfer_id == gone
    assert tx.scalar(sa.text("SELECT count(*) FROM transfers WHERE initiator = 'ruling'")) == 0


@pytest.mark.rule("BEY-06")
def test_by_default_the_superior_advises(tx):
    """BEY-06: without the setting the answer is advice and starts nothing."""
    one = rejected(tx, 888)
    assert advise(tx, one, admin(ROOT)).transfer_id == one
    assert not store.with_open(tx, [888])


# ---- messages ------------------------------------------------------------------------------------


@pytest.mark.rule("MSG-06", "MSG-01", "MSG-09", "BEY-19", "TRF-26")
def test_messages(tx):
    """MSG-06, BEY-19: member and starter are told of every change with the reason.

    MSG-01: messages are counted, filtered, marked read; MSG-09: per organisation.
    """
    (one,) = start(tx, request(member=841))
    decide(tx, one, TARGET, approve=False, reason_code="not_here", note="查无此人")
    member, school = Actor(841), admin(SCHOOL)

    inbox = notices.list_messages(tx, contract.ListMessages(), member)
    assert [(message.kind, message.read) for message in inbox.items] == [
        ("reject", False),
        ("requested", False),
    ]
    assert inbox.unread == 2
    assert (inbox.items[0].end_code, inbox.items[0].note) == ("not_here", "查无此人")
    theirs = notices.list_messages(tx, contract.ListMessages(), school)
    assert [(message.kind, message.read) for message in theirs.items] == [
        ("reject", False),
        ("requested", True),
    ], "what one did oneself is read"
    assert theirs.unread == 1
    assert notices.list_messages(tx, contract.ListMessages(), admin(OTHER)).items == []

    notices.mark_messages(tx, [Asked(contract.MarkRead(transfer_id=one, seq=inbox.items[0].seq), member)])
    assert notices.list_messages(tx, contract.ListMessages(), member).unread == 1
    assert kinds(tx, member, unread_only=True) == ["requested"]
    assert kinds(tx, member, kind="reject") == ["reject"]
    notices.mark_messages(tx, [Asked(contract.MarkRead(until=clock.now()), member)])
    assert notices.list_messages(tx, contract.ListMessages(), member).unread == 0
    theirs = notices.list_messages(tx, contract.ListMessages(), school)
    assert theirs.unread == 1, "one's reading is one's own"
    page = notices.list_messages(tx, contract.ListMessages(limit=1), member)
    assert kinds(tx, member, after=page.items[0].cursor) == ["requested"]
    assert kinds(tx, member, since=clock.now() + timedelta(hours=1)) == []
    with pytest.raises(Refused, match="bad_request"):
        notices.list_messages(tx, contract.ListMessages(kind="gossip"), member)
    with pytest.raises(Refused, match="not_administrator"):
        notices.list_messages(tx, contract.ListMessages(), Actor(841, SCHOOL))


@pytest.mark.rule("MSG-06", "BEY-19")
def test_everybody_is_told_of_everything(tx):
    """MSG-06, BEY-19: starter and member are told of every step and every end alike.

    Agreement, assignment, completion, withdrawal, return by the clock and rejection.
    """
    done, withdrawn, returned, rejected = start(
        tx, *[request("member", member=member) for member in (861, 862, 863, 864)]
    )
    from_school = start(tx, request(member=865))[0]

    def told(actor, one):
        """Return the kinds of an actor's messages about a transfer, oldest first."""
        page = notices.list_messages(tx, contract.ListMessages(), actor)
        return [message.kind for message in reversed(page.items) if message.transfer_id == one]

    decide(tx, done, CLASS)
    decide(tx, done, TARGET, node_no=2)
    assign(tx, done, BRANCH)
    complete(tx, done)
    assert told(Actor(861), done) == ["requested", "approve", "approve", "assign", "moved"]

    handlers.withdraw_transfers(
        tx, [Asked(contract.WithdrawTransfer(decision_id=key(), transfer_id=withdrawn), Actor(862))]
    )
    assert told(Actor(862), withdrawn) == ["requested", "withdraw"]

    later(tx, 11)
    handlers.on_deadline_expired(
        tx,
        [DeadlineExpired(transfer_id=one, node_no=1, due_at=clock.now()) for one in (returned, from_school)],
    )
    assert told(Actor(863), returned) == ["requested", "clock_return"]
    assert told(Actor(865), from_school) == ["requested", "clock_return"]
    assert told(admin(SCHOOL), from_school) == ["requested", "clock_return"], "the starting office, too"

    decide(tx, rejected, CLASS, approve=False, reason_code="wrong_data", note="号码有误")
    rejections = notices.list_messages(tx, contract.ListMessages(kind="reject"), Actor(864)).items
    assert [(one.end_code, one.note) for one in rejections] == [("wrong_data", "号码有误")]


@pytest.mark.rule("MSG-06", "DL-03")
def test_told_that_the_clock_approved(tx):
    """MSG-06, DL-03: where the clock approves a node, member and starter are told that nobody did."""
    policies_store.hold(tx, reader.read("p000"), clock.now() - timedelta(seconds=1))
    (one,) = start(tx, request(member=866))
    later(tx, 16)
    handlers.on_deadline_expired(tx, [DeadlineExpired(transfer_id=one, node_no=1, due_at=clock.now())])
    for actor in (Actor(866), admin(SCHOOL)):
        assert notices.list_messages(tx, contract.ListMessages(), actor).items[0].kind == "clock_approve"


@pytest.mark.rule("MSG-02")
def test_lists_are_filtered_by_time_and_kind(tx):
    """MSG-02: messages and pending items are filtered by kind and time; done items stay to be seen.

    The end of a span is left out.
    """
    early, late = start(tx, request(member=871), request(member=871 + 1, reason="employed_with_org"))
    decide(tx, early, TARGET, approve=False, reason_code="not_here")
    # The trail is append-only; only its clock is meant here, so the triggers are switched off.
    tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
    for table, column in (("audit", "at"), ("org_messages", "at"), ("open_nodes", "opened_at")):
        tx.execute(
            sa.text(f"UPDATE {table} SET {column} = {column} - interval '5 days' WHERE transfer_id = :one"),
            {"one": late if table == "open_nodes" else early},
        )
    noon = clock.now() - timedelta(days=2)
    member = Actor(871)

    def work(**wanted):
        return handlers.list_work(tx, contract.ListWork(**wanted), admin(TARGET)).items

    assert kinds(tx, member, until=noon) == ["reject", "requested"]
    assert kinds(tx, member, since=noon) == []
    theirs = notices.list_messages(tx, contract.ListMessages(since=noon), admin(SCHOOL)).items
    assert {one.transfer_id for one in theirs} == {late}
    assert work(since=noon) == []
    assert [one.transfer_id for one in work(until=noon)] == [late]
    opened_at = work()[0].node_opened_at
    assert work(until=opened_at) == []
    assert len(work(since=opened_at)) == 1
    done = handlers.list_started(tx, contract.ListStarted(side="target"), admin(TARGET))
    assert [(one.transfer_id, one.state) for one in done if one.ended_at] == [(early, "rejected")]


# ---- addresses that are told ---------------------------------------------------------------------


@pytest.fixture
def receiver(configure):
    """A web server that keeps what it is sent, and answers with the next of `answers`."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append((dict(self.headers), body))
            self.send_response(server.answers.pop(0) if server.answers else 204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.answers = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    configure(
        TUANQIAO_NOTICE_HOSTS=f"127.0.0.1:{server.server_port},127.0.0.1:1,sms,tuan.example",
        TUANQIAO_NOTICE_LOOPBACK="true",
    )
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def settled(engine):
    """A database on which transactions commit, emptied of addresses afterwards."""
    yield db.Database(engine)
    with engine.begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))  # the trail is append-only
        for table in (
            "deliveries",
            "webhooks",
            "changes",
            "open_nodes",
            "open_transfers",
            "audit",
            "transfers",
            "outbox",
        ):
            tx.execute(sa.text(f"DELETE FROM {table}"))


def hook(tx, url, actor=None, **values):
    return notices.set_webhooks(
        tx, [Asked(contract.SetWebhook(command_id=key(), url=url, **values), actor or admin(TARGET))]
    )[0]


@pytest.mark.rule("BEY-15", "BEY-19")
def test_webhooks(settled, receiver):
    """BEY-15, BEY-19: an address of a party is told of each change, signed, once.

    What fails is tried again later and listed; the message holds ids, no names.
    """
    with settled.transaction() as tx:
        made = hook(tx, f"http://127.0.0.1:{receiver.server_port}/tuanqiao")
        hook(tx, "sms:+8612355", admin(OTHER))  # no party, so it is told nothing
        (one,) = start(tx, request(member=851, contact="19912345678"))
        while figures_store.fold(tx, reader.read("national"), clock.now()):
            pass
    receiver.answers = [503]

    assert notices.send_some(settled) == 1
    assert notices.send_some(settled) == 0, "the one that failed rests"
    with settled.reading() as tx:
        (shown,) = notices.list_webhooks(tx, contract.ListWebhooks(), admin(TARGET))
    assert (shown.waiting, shown.delivered, shown.problem, shown.secret) == (1, 0, "HTTP 503", "")
    with settled.transaction() as tx:
        tx.execute(sa.text("UPDATE deliveries SET next_at = :now"), {"now": clock.now()})
    assert notices.send_some(settled) == 1
    with settled.reading() as tx:
        (shown,) = notices.list_webhooks(tx, contract.ListWebhooks(), admin(TARGET))
    assert (shown.waiting, shown.delivered, shown.failed) == (0, 1, 0)

    headers, body = receiver.got[-1]
    at = int(headers["Tuanqiao-Signature"].split(",")[0].removeprefix("t="))
    expected = hmac.new(made.secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    signature = channels.signature(made.secret, at, body)
    assert headers["Tuanqiao-Signature"] == f"t={at},v1={expected}" == signature
    notice = json.loads(body)
    assert (notice["event"], notice["transfer_id"]) == ("reserved", one)
    assert headers["Tuanqiao-Id"] == f"{one}:2"
    assert b"19912345678" not in body
    assert receiver.got[0][1] == body, "the same id again, so that the receiver knows it"


@pytest.mark.rule("BEY-15")
def test_webhooks_are_given_up(settled, receiver):
    """BEY-15: after the last try a delivery is given up and counted as failed.

    An address that is switched off is told nothing more.
    """
    with settled.transaction() as tx:
        made = hook(tx, f"http://127.0.0.1:{receiver.server_port}/x")
        start(tx, request(member=852))
        figures_store.fold(tx, reader.read("national"), clock.now())
    receiver.answers = [500] * 10
    for _ in range(len(notices.RETRIES) + 1):
        with settled.transaction() as tx:
            tx.execute(
                sa.text("UPDATE deliveries SET next_at = :now WHERE next_at IS NOT NULL"),
                {"now": clock.now()},
            )
        assert notices.send_some(settled) == 1
    with settled.transaction() as tx:
        (shown,) = notices.list_webhooks(tx, contract.ListWebhooks(), admin(TARGET))
        assert (shown.waiting, shown.delivered, shown.failed) == (0, 0, 1)
        assert hook(tx, "", webhook_id=made.webhook_id, actor=admin(OTHER)).refusal.code == "unknown_webhook"
        assert hook(tx, "", webhook_id=made.webhook_id).refusal is None
        start(tx, request(member=853))
        figures_store.fold(tx, reader.read("national"), clock.now())
    assert notices.send_some(settled) == 0


@pytest.mark.rule("BEY-15")
@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/x",
        "http://tuan.example/x",
        "ftp://tuan.example/x",
        "https://evil.example/",
        "mailto:a@evil.example",
        "nonsense",
        "",
    ],
)
def test_addresses_that_are_refused(tx, receiver, url):
    """BEY-15: only hosts that the installation allows, so that no address leads into the own network."""
    assert hook(tx, url).refusal.code == "address_refused"


@pytest.mark.rule("BEY-15")
def test_an_address_is_told_once(settled, receiver):
    """BEY-15: the same address again, however it is written, is the same hook without its secret.

    The same command gives its first answer, secret and all.
    """
    address = f"http://127.0.0.1:{receiver.server_port}/told"
    command = key()
    with settled.transaction() as tx:

        def ask(url, actor=None, command_id=None):
            item = contract.SetWebhook(command_id=command_id or key(), url=url)
            return notices.set_webhooks(tx, [Asked(item, actor or admin(TARGET))])[0]

        made = ask(address, command_id=command)
        again = ask(address.replace("http", "HTTP").replace("/told", "/x/../told"))
        other = ask(address, admin(OTHER))
        assert made.secret
        assert (again.webhook_id, again.secret, again.refusal) == (made.webhook_id, "", None)
        assert other.webhook_id != made.webhook_id
        assert ask(address, command_id=command) == made
        assert ask(address, admin(OTHER), command).refusal.code == "command_taken"
        pair = notices.set_webhooks(
            tx,
            [
                Asked(contract.SetWebhook(command_id=key(), url=address + "/2"), admin(TARGET))
                for _ in range(2)
            ],
        )
        assert len({one.webhook_id for one in pair}) == 1
        hook(tx, "", webhook_id=made.webhook_id)
        assert ask(address).webhook_id != made.webhook_id, "switched off and added anew: another one"
        # The one just made and the pair count already, so two of as many as are allowed are too many.
        rest = notices.set_webhooks(
            tx,
            [
                Asked(contract.SetWebhook(command_id=key(), url=f"{address}/many/{n}"), admin(TARGET))
                for n in range(notices_rules.HOOKS_MAX)
            ],
        )
        assert [one.refusal.code for one in rest if one.refusal] == ["too_many_webhooks"] * 2


@pytest.mark.rule("BEY-15")
def test_a_hostile_delivery_is_set_aside(settled, receiver, configure):
    """BEY-15: hostile deliveries are tried a few times and given up; the others are delivered all the while.

    They go to addresses as they were stored before, that make the libraries raise, or are such that
    a process dies of them each time. What happened is listed.
    """
    configure(TUANQIAO_SMTP="127.0.0.1:1")
    hostile = [
        "https://" + "a" * 70 + "\\@tuan.example/x",
        "https://[bad",
        "mailto:a\nBcc: x@tuan.example",
        "https://127.0.0.1:1\\@tuan.example/",
        "gopher://x",
        "",
    ]
    with settled.transaction() as tx:
        made = [hook(tx, f"http://127.0.0.1:{receiver.server_port}/{n}") for n in range(len(hostile) + 2)]
        for one, url in zip(made, hostile, strict=False):
            tx.execute(
                sa.text("UPDATE webhooks SET url = :url WHERE webhook_id = :one"),
                {"url": url, "one": one.webhook_id},
            )
        start(tx, request(member=854))
        while figures_store.fold(tx, reader.read("national"), clock.now()):
            pass
        # As if the process had died of it each time: tried as often as may be, and no answer kept.
        tx.execute(
            sa.text("UPDATE deliveries SET attempts = :n WHERE webhook_id = :one"),
            {"n": len(notices.RETRIES) + 1, "one": made[-2].webhook_id},
        )
    for _ in range(len(notices.RETRIES) + 2):
        notices.send_some(settled)
        with settled.transaction() as tx:
            tx.execute(
                sa.text("UPDATE deliveries SET next_at = :now WHERE next_at IS NOT NULL"),
                {"now": clock.now()},
            )
    assert notices.send_some(settled) == 0, "nothing is tried for ever"
    with settled.reading() as tx:
        shown = {
            one.webhook_id: one for one in notices.list_webhooks(tx, contract.ListWebhooks(), admin(TARGET))
        }
    counts = [(shown[one.webhook_id].failed, shown[one.webhook_id].delivered) for one in made]
    assert counts == [(1, 0)] * (len(hostile) + 1) + [(0, 1)], "all but the last, which is a good one"
    assert {shown[one.webhook_id].problem for one in made[: len(hostile)]} <= {
        "not allowed here",
        "cannot be sent",
    }
    assert shown[made[-2].webhook_id].problem == "given up"


def test_channels(receiver, engine, caplog):
    """BEY-19: e-mail without a server and short messages go to the log.

    The log names neither the address nor anybody.
    """
    caplog.set_level("INFO")
    notice = {"id": "7:2", "transfer_id": 7, "event": "reject", "state": "rejected"}
    told = settings.of(engine)
    assert channels.send(told, "mailto:office@tuan.example", "s", notice) == ""
    assert channels.send(told, "sms:+8612355", "s", notice) == ""
    assert "transfer 7" in caplog.text
    assert "office@" not in caplog.text
    assert "12355" not in caplog.text
    assert channels.send(told, "http://127.0.0.1:1/x", "s", notice) == "no answer"
    assert channels.send(told, "https://elsewhere.example/x", "s", notice) == "not allowed here"
    assert notices_rules.KINDS
