"""The use cases on a real database: rights, guards, repeats, the clock, the audit chain."""

import json
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.transfers import handlers, store, trail, transitions
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.remarks import handlers as remarks
from services.transfers.saga import State, Trigger
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor, Signer
from shared.messages import transfers as contract
from shared.messages.members import MemberReserved, ReservationRefused
from shared.messages.orgs import AdministratorChanged, OrgChanged
from shared.messages.scheduler import DeadlineExpired, ReminderDue
from shared.messages.transfers import DecideNode, WithdrawTransfer
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    DEEP,
    HERE,
    ORGS,
    OTHER,
    PROVINCE_OF,
    ROOT,
    SCHOOL,
    TARGET,
    VAULT,
    admin,
    assign,
    complete,
    decide,
    events,
    request,
    start,
    state,
)


@pytest.mark.rule("TRF-17", "ASG-01", "MSG-05", "TRF-35")
def test_source_to_committee(tx):
    """TRF-17: started by the source to a committee: its approval, then its assignment, then the move.

    ASG-01, MSG-05: the assignment waits for the same office.
    """
    (one,) = start(tx, request())

    assert decide(tx, one, TARGET).state == State.ASSIGN
    assert assign(tx, one, BRANCH).state == State.MOVING
    complete(tx, one)

    assert state(tx, one) == State.COMPLETED
    assert ("branch_assigned", BRANCH) in [(topic, item.get("branch_id")) for topic, item in events(tx)]


@pytest.mark.rule("TRF-20", "TRF-09")
def test_member_to_branch(tx):
    """TRF-20: started by the member to a branch: the source decides, then the target.

    Either side's direct superior may act.
    """
    (one,) = start(tx, request("member", target=BRANCH))

    assert decide(tx, one, SCHOOL).state == State.IN
    assert decide(tx, one, TARGET, node_no=2).state == State.MOVING


@pytest.mark.rule("TRF-42")
def test_new_students_are_taken_in(tx, keys):
    """TRF-42: a member on the way is approved and assigned by the college.

    The college is reminded after seven days at either node. A member who is not on the way is
    fetched by the class's secretary, and the old branch is asked.
    """
    (coming,) = start(tx, request("source", member=81, remark="2026级1班"))
    assert (_reminded_after(tx, coming), decide(tx, coming, TARGET).state) == (7, State.ASSIGN)
    assert (_reminded_after(tx, coming), assign(tx, coming, BRANCH).state) == (7, State.MOVING)

    ticket = Signer(keys).sign("member_ticket", timedelta(hours=1), sub="82", org=BRANCH, branch=CLASS)[0]
    (fetched,) = start(tx, request("target", member=82, target=BRANCH, ticket=ticket))
    assert store.one(tx, fetched).waiting_org_id == CLASS
    refusal = decide(tx, fetched, BRANCH).refusal
    assert refusal.code == "not_your_node", "who fetches does not decide for the old branch"
    assert decide(tx, fetched, CLASS).state == State.MOVING


def _reminded_after(tx, transfer_id):
    node = tx.execute(
        sa.text("SELECT * FROM open_nodes WHERE transfer_id = :one"), {"one": transfer_id}
    ).one()
    return (node.remind_at - node.opened_at).days


@pytest.mark.rule("TRF-19", "TRF-05", "TRF-06", "TRF-41")
def test_target_needs_a_ticket(tx, keys):
    """TRF-05, TRF-19: the target starts only what it has looked up itself, and then asks the source.

    TRF-41: so it starts for who cannot.
    """
    refused = handlers.request_transfers(tx, [request("target")])[0]
    signer = Signer(keys)
    ticket = signer.sign("member_ticket", timedelta(hours=1), sub="77", org=TARGET, branch=CLASS)[0]
    foreign = signer.sign("member_ticket", timedelta(hours=1), sub="77", org=SCHOOL, branch=CLASS)[0]

    assert refused.refusal.code == "ticket_invalid"
    refused = handlers.request_transfers(tx, [request("target", member=77, ticket=foreign)])[0]
    assert refused.refusal.code == "ticket_invalid", "a look-up of another organisation"
    (one,) = start(tx, request("target", member=77, ticket=ticket))
    assert decide(tx, one, CLASS).state == State.ASSIGN


@pytest.mark.rule("TRF-01", "TRF-16", "BATCH-01")
@pytest.mark.parametrize("target", [BRANCH, TARGET])
@pytest.mark.parametrize("initiator", ["batch", "", "nobody"])
def test_nobody_takes_members_without_asking(tx, keys, initiator, target):
    """TRF-01, TRF-16, BATCH-01: only source, target and member start a transfer, whoever asks.

    Any other start is refused: nothing is stored and nobody is held.
    """
    ticket = Signer(keys).sign("member_ticket", timedelta(hours=1), sub="78", org=target, branch=CLASS)[0]
    asked = [
        request(initiator, actor=actor, target=target, member=78, ticket=ticket)
        for actor in (admin(target), admin(TARGET), admin(SCHOOL), admin(ROOT), Actor(78))
    ]
    assert {one.refusal.code for one in handlers.request_transfers(tx, asked)} == {"bad_request"}
    assert store.with_open(tx, [78]) == {}
    assert events(tx) == []


@pytest.mark.rule("TRF-05")
def test_a_ticket_is_of_one_member_one_branch_and_one_organisation(tx, keys):
    """TRF-05: a look-up opens the way for one member, out of one branch, into one organisation.

    The member and the branch are those found, the organisation is the one that looked; it holds for
    an hour. Nothing else signed by us opens the way.
    """
    signer = Signer(keys)

    def ask(claims, kind="member_ticket", life=timedelta(hours=1), **values):
        ticket = signer.sign(kind, life, **claims)[0]
        asked = request("target", member=79, ticket=ticket, **values)
        return handlers.request_transfers(tx, [asked])[0].refusal

    good = {"sub": "79", "org": TARGET, "branch": CLASS}
    wrong = [
        ask({**good, "sub": "80"}),
        ask({**good, "org": BRANCH}),
        ask({**good, "branch": OTHER}),
        ask({"sub": "79"}),
        ask(good, "person"),
        ask(good, life=timedelta(seconds=-1)),
        ask(good, target=BRANCH),
    ]
    assert {one.code for one in wrong} == {"ticket_invalid"}
    assert ask(good) is None


@pytest.mark.rule("SPU-01", "SPU-04", "SPU-05", "SPU-06", "SPU-07", "ROLE-07")
def test_special_unit(tx):
    """SPU-05..07: the provincial body decides, after the source where the member started.

    The member goes to the vault.

    ROLE-07: the provincial body and no other.
    """
    by_member, by_source = start(
        tx,
        request("member", target=None, reason="special_unit", remark="参军入伍"),
        request("source", target=None, reason="special_unit", remark="参军入伍"),
    )

    assert decide(tx, by_source, SCHOOL).refusal.code == "not_your_node"
    assert decide(tx, by_source, ROOT, note="介绍信第8号").state == State.MOVING
    assert decide(tx, by_member, CLASS).state == State.PROVINCE
    assert decide(tx, by_member, ROOT, node_no=2, note="介绍信第9号").state == State.MOVING
    assert {item["branch_id"] for topic, item in events(tx) if topic == "branch_assigned"} == {VAULT}


@pytest.mark.rule("SPU-09", "DOC-03")
def test_a_special_unit_needs_a_letter(tx):
    """SPU-09, DOC-03: the province approves only with the paper letter; it rejects without.

    Its note names the letter and the trail keeps it.
    """
    one, two = start(tx, *[request(target=None, reason="special_unit", remark="参军") for _ in range(2)])
    for note in ("", "  "):
        assert decide(tx, one, ROOT, note=note).refusal.code == "letter_missing"
    assert decide(tx, one, SCHOOL).refusal.code == "not_your_node"
    assert decide(tx, two, ROOT, approve=False, reason_code="wrong_data").state == State.REJECTED
    assert decide(tx, one, ROOT, note="介绍信第2026-17号").state == State.MOVING
    assert store.steps(tx, one)[-1].note == "介绍信第2026-17号"


@pytest.mark.rule("TRF-02")
def test_one_open_transfer(tx):
    """TRF-02: a second open transfer of a member is refused, in the same list and later.

    After the end a new one may start.
    """
    first, second = handlers.request_transfers(tx, [request(member=500), request(member=500)])
    third = handlers.request_transfers(tx, [request(member=500)])[0]

    assert first.refusal is None
    assert {second.refusal.code, third.refusal.code} == {"transfer_open"}
    handlers.on_reservation_refused(
        tx, [ReservationRefused(transfer_id=first.transfer_id, member_id=500, code="member_elsewhere")]
    )
    assert handlers.request_transfers(tx, [request(member=500)])[0].refusal is None
    assert store.one(tx, first.transfer_id).end_code == "member_elsewhere"


@pytest.mark.rule("TRF-02", "BEY-05")
def test_repeated_request(tx):
    """BEY-05: a request repeated with its id gives the first answer, even after the end."""
    asked = request()
    first = handlers.request_transfers(tx, [asked, asked])
    again = handlers.request_transfers(tx, [asked])[0]

    assert first[0].transfer_id == first[1].transfer_id == again.transfer_id
    assert (first[1].repeated, again.repeated) == (True, True)
    assert tx.scalar(sa.text("SELECT count(*) FROM transfers")) == 1


@pytest.mark.rule("TRF-21")
def test_first_decision_counts(tx):
    """TRF-21: of two who may decide the first counts, the other is told.

    The same decision repeated is answered as before.
    """
    (one,) = start(tx, request(target=BRANCH))
    mine = uuid.uuid4()

    assert decide(tx, one, BRANCH, decision_id=mine).refusal is None
    assert decide(tx, one, TARGET, approve=False, reason_code="not_here").refusal.code == "node_closed"
    again = decide(tx, one, BRANCH, decision_id=mine)
    assert (again.repeated, again.refusal) == (True, None)


@pytest.mark.rule("TRF-21", "ROLE-06", "ROLE-16")
@pytest.mark.parametrize("org", [ROOT, CLASS, OTHER, BRANCH])
def test_strangers_do_not_decide(tx, org):
    """ROLE-16, TRF-33: only the organisation of the node and its direct superior decide.

    An organisation that is no party learns nothing.
    """
    (one,) = start(tx, request())
    answer = decide(tx, one, org)
    # Parties and the root see the transfer, so they are told why not; for others it does not exist.
    sees = org in (SCHOOL, CLASS, ROOT)
    assert answer.refusal.code == ("not_your_node" if sees else "unknown_transfer")
    assert sees or answer.transfer_id is None
    assert state(tx, one) == State.IN


@pytest.mark.rule("ROLE-04", "ADM-06")
def test_a_claimed_organisation_is_checked(tx):
    """ROLE-04: the acting organisation is only a claim.

    Without the right, or after it was revoked, nothing happens.
    """
    (one,) = start(tx, request())
    stranger = Asked(
        DecideNode(decision_id=uuid.uuid4(), transfer_id=one, node_no=1, approve=True), Actor(999, TARGET)
    )

    assert handlers.decide_nodes(tx, [stranger])[0].refusal.code == "not_administrator"
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=TARGET, person_id=100 + TARGET, active=False, version=2)]
    )
    assert decide(tx, one, TARGET).refusal.code == "not_administrator"
    # An older message that comes late: it must not give the right back.
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=TARGET, person_id=100 + TARGET, active=True, version=1)]
    )
    assert decide(tx, one, TARGET).refusal.code == "not_administrator"


@pytest.mark.rule("TRF-25", "TRF-24")
def test_rejection(tx):
    """TRF-25: a rejection at any node ends the transfer, with its reason, and lets the member go."""
    (one,) = start(tx, request("member"))
    assert decide(tx, one, CLASS).state == State.IN

    reason = {"reason_code": "work_elsewhere", "note": "在外地工作"}
    assert decide(tx, one, TARGET, approve=False, node_no=2, **reason).state == State.REJECTED

    row = store.one(tx, one)
    assert (row.end_code, row.end_note) == ("work_elsewhere", "在外地工作")
    assert ("transfer_rejected", one) in [(topic, item["transfer_id"]) for topic, item in events(tx)]
    assert decide(tx, one, TARGET, node_no=2).refusal.code == "transfer_ended"


@pytest.mark.rule("TRF-28")
def test_withdrawal(tx):
    """TRF-28: the starting organisation or the member withdraws, and nobody else.

    Not after the last approval.
    """
    first, second, third = start(tx, request(), request(member=600), request())

    def withdraw(one, actor):
        return handlers.withdraw_transfers(
            tx, [Asked(WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=one), actor)]
        )[0]

    assert withdraw(first, admin(TARGET)).refusal.code == "not_initiator"
    assert withdraw(first, Actor(999, SCHOOL)).refusal.code == "unknown_transfer"
    assert withdraw(first, admin(SCHOOL)).state == State.WITHDRAWN
    assert withdraw(second, Actor(600)).state == State.WITHDRAWN
    decide(tx, third, TARGET)
    assert withdraw(third, admin(SCHOOL)).refusal.code == "too_late_to_withdraw"
    assert withdraw(first, admin(SCHOOL)).refusal.code == "transfer_ended"
    assert withdraw(10**12, admin(SCHOOL)).refusal.code == "unknown_transfer"


@pytest.mark.rule("ASG-01", "ASG-02", "ASG-03")
def test_assignment(tx):
    """ASG-02: any ordinary branch in the target's subtree takes a member, at any depth.

    None elsewhere, no graduate branch, no committee.

    ASG-03: until then nothing is complete.
    """
    one, two = start(tx, request(), request())
    assert assign(tx, one, BRANCH).refusal.code in ("not_your_node", "node_closed"), "approved first"
    decide(tx, one, TARGET)
    decide(tx, two, TARGET)

    assert assign(tx, one, CLASS).refusal.code == "same_org"
    for wrong in (OTHER, 41, 8, VAULT, 10**9):
        assert assign(tx, one, wrong).refusal.code == "branch_not_below"
    assert assign(tx, one, BRANCH, org=SCHOOL).refusal.code == "not_your_node"
    assert state(tx, one) == State.ASSIGN
    assert assign(tx, one, DEEP).state == State.MOVING
    assert assign(tx, two, BRANCH).state == State.MOVING


def test_stale_node(tx):
    """A decision on a node number that has passed or is to come is refused."""
    (one,) = start(tx, request("member", target=TARGET))
    assert decide(tx, one, CLASS, node_no=2).refusal.code == "node_closed"
    assert decide(tx, one, CLASS).refusal is None
    assert decide(tx, one, TARGET, node_no=1).refusal.code == "node_closed"


@pytest.mark.rule("DL-01", "DL-05", "DL-06", "DL-07", "DL-19")
def test_clock_returns(tx):
    """DL-05, DL-07: an undecided node is returned after ten full days and not a moment before.

    A late message does nothing.
    """
    one, two = start(tx, request(), request())
    due = [DeadlineExpired(transfer_id=number, node_no=1, due_at=clock.now()) for number in (one, two)]

    handlers.on_deadline_expired(tx, due)
    assert state(tx, one) == State.IN
    decide(tx, two, TARGET)
    clock.advance(timedelta(days=10, seconds=1))
    handlers.on_deadline_expired(tx, due)
    handlers.on_deadline_expired(tx, due)

    assert state(tx, one) == State.RETURNED
    assert state(tx, two) == State.ASSIGN
    assert [topic for topic, _ in events(tx)].count("transfer_returned") == 1
    assert handlers.request_transfers(tx, [request(member=store.one(tx, one).member_id)])[0].refusal is None


@pytest.mark.rule("DL-01", "DL-03", "DL-04", "ASG-04")
def test_clock_approves_under_p000(tx):
    """DL-03, DL-04: under the preset of 2019 the clock approves the current node after 15 days.

    It restarts for the next node, and never assigns.
    """
    policies_store.hold(tx, reader.read("p000"), clock.now() - timedelta(seconds=1))
    (one,) = start(tx, request("member"))
    for node in (1, 2, 3):
        clock.advance(timedelta(days=15, seconds=1))
        handlers.on_deadline_expired(tx, [DeadlineExpired(transfer_id=one, node_no=node, due_at=clock.now())])

    assert state(tx, one) == State.ASSIGN
    assert [step.event for step in store.steps(tx, one)] == [
        "requested",
        "reserved",
        "clock_approve",
        "clock_approve",
    ]


@pytest.mark.rule("DL-01", "DL-03", "DL-05", "DL-07")
@pytest.mark.parametrize(
    "policy, days, after", [("p000", 15, State.ASSIGN), ("national", 10, State.RETURNED)]
)
def test_the_clock_acts_not_a_moment_early(tx, monkeypatch, policy, days, after):
    """DL-01, DL-03, DL-05, DL-07: a message of the clock does nothing before the full days have passed.

    The days are counted at the node; at the very instant it acts.
    """
    policies_store.hold(tx, reader.read(policy), clock.now() - timedelta(seconds=1))
    (one,) = start(tx, request())
    opened_at = store.one(tx, one).node_opened_at
    due = DeadlineExpired(transfer_id=one, node_no=1, due_at=opened_at)
    for waited, found in (
        (timedelta(0), State.IN),
        (timedelta(days=days, microseconds=-1), State.IN),
        (timedelta(days=days), after),
    ):
        monkeypatch.setattr(clock, "now", lambda waited=waited: opened_at + waited)
        handlers.on_deadline_expired(tx, [due])
        assert state(tx, one) == found


@pytest.mark.rule("DL-09", "SPU-05")
def test_province_is_only_reminded(tx):
    """DL-09: under the national policy the provincial node never times out."""
    (one,) = start(tx, request(target=None, reason="special_unit", remark="参军"))
    clock.advance(timedelta(days=100))
    handlers.on_deadline_expired(tx, [DeadlineExpired(transfer_id=one, node_no=1, due_at=clock.now())])
    assert state(tx, one) == State.PROVINCE


@pytest.mark.rule("DL-02", "ASG-06")
def test_reminders_are_counted(tx):
    """DL-02: a reminder is counted on the open node it was meant for."""
    (one,) = start(tx, request())

    def reminded(node_no):
        handlers.on_reminder_due(tx, [ReminderDue(transfer_id=one, node_no=node_no, due_at=clock.now())])
        return tx.scalar(sa.text("SELECT reminders FROM open_nodes WHERE transfer_id = :one"), {"one": one})

    assert (reminded(2), reminded(1), reminded(1), reminded(2)) == (0, 1, 2, 2)


def test_late_reservation_is_released(tx):
    """A reservation confirmed after the end is let go again, so that no member stays held by nothing."""
    (one,) = start(tx, request())
    decide(tx, one, TARGET, approve=False, reason_code="not_here")
    before = len(events(tx))
    handlers.on_member_reserved(tx, [MemberReserved(transfer_id=one, member_id=1)])
    assert [topic for topic, _ in events(tx)[before:]] == ["transfer_withdrawn"]


@pytest.mark.rule("TRF-31", "MSG-01", "MSG-04")
def test_work_list(tx):
    """TRF-31, MSG-04: each actor of a node sees it, oldest first, page by page; others see nothing."""
    some = start(tx, *[request(target=BRANCH) for _ in range(7)])

    for org in (BRANCH, TARGET):
        first = handlers.list_work(tx, contract.ListWork(limit=4), admin(org))
        rest = handlers.list_work(tx, contract.ListWork(limit=4, after=first.items[-1].cursor), admin(org))
        assert [one.transfer_id for one in first.items + rest.items] == some
        assert first.counts == {"pending_in": 7}
    assert handlers.list_work(tx, contract.ListWork(), admin(SCHOOL)).items == []
    with pytest.raises(Refused, match="not_administrator"):
        handlers.list_work(tx, contract.ListWork(), Actor(999, TARGET))
    with pytest.raises(Refused, match="bad_request"):
        handlers.list_work(tx, contract.ListWork(after="x"), admin(TARGET))


@pytest.mark.rule("TRF-33", "TRF-22", "TRF-34", "BEY-02")
def test_progress(tx):
    """TRF-33, TRF-34: the member and the parties see path, trail and deadline.

    For others the transfer does not exist.

    BEY-02: nodes, since when, until when.
    """
    (one,) = start(tx, request("member", member=700))

    progress = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=one), Actor(700))
    assert [node.state for node in progress.path] == ["pending_out", "pending_in", "pending_assign"]
    assert [step.event for step in progress.steps] == ["requested", "reserved"]
    assert progress.may_withdraw
    assert progress.transfer.expires_at - progress.transfer.node_opened_at == timedelta(days=10)
    theirs = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=one), admin(SCHOOL))
    assert theirs.may_withdraw is False
    for stranger in (Actor(701), admin(OTHER), Actor(701, SCHOOL)):
        with pytest.raises(Refused, match="unknown_transfer"):
            handlers.get_transfer(tx, contract.GetTransfer(transfer_id=one), stranger)
    mine = handlers.my_transfers(tx, contract.MyTransfers(), Actor(700))
    assert [item.transfer_id for item in mine] == [one]


@pytest.mark.rule("BEY-10")
def test_audit_chain(tx):
    """BEY-10: every change is in the chain; one changed byte or one lost row is found."""
    some = start(tx, *[request() for _ in range(5)])
    for one in some:
        decide(tx, one, TARGET, note="同意 | 'x'")
    assert trail.verify_audit(tx) == (15, [])  # requested, reserved and approved, of five

    # As somebody who owns the tables: without the triggers that make the trail append-only.
    tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
    tx.execute(
        sa.text("UPDATE audit SET note = 'other' WHERE transfer_id = :one AND seq = 3"), {"one": some[1]}
    )
    tx.execute(sa.text("DELETE FROM audit WHERE transfer_id = :one AND seq = 3"), {"one": some[3]})
    assert trail.verify_audit(tx) == (14, [some[1], some[3]])


@pytest.mark.rule("BEY-05")
def test_a_wrong_item_does_not_block_the_others(tx):
    """BEY-05: in a list of decisions each item has its own answer, in order.

    The same transfer twice is decided once.
    """
    one, two = start(tx, request(), request())
    items = [
        DecideNode(decision_id=uuid.uuid4(), transfer_id=number, node_no=1, approve=True)
        for number in (one, 10**12, two, two)
    ]

    outcomes = handlers.decide_nodes(tx, [Asked(item, admin(TARGET)) for item in items])

    codes = [outcome.refusal.code if outcome.refusal else "" for outcome in outcomes]
    assert codes[:2] == ["", "unknown_transfer"]
    assert sorted(codes[2:]) == ["", "node_closed"], "whichever of the two comes first"


def test_the_sql_agrees_with_the_page(tx):
    """For every path each statement leaves and reaches exactly the states that the saga's page says."""
    from services.transfers.saga import PATHS, advance

    for (initiator, destination), path in PATHS.items():
        name = f"{initiator}:{destination}"
        for node_no, here in [(0, State.CHECKING), *enumerate(path, start=1), (len(path) + 1, State.MOVING)]:
            for trigger in Trigger:
                with tx.begin_nested() as savepoint:
                    one = _put(tx, name, path, here, node_no, trigger)
                    item = {
                        "n": 0,
                        "transfer_id": one,
                        "node_no": node_no,
                        "org_id": SCHOOL if trigger == "withdraw" else TARGET,
                        "person_id": 1,
                        "branch_id": BRANCH,
                        "decision_id": str(uuid.uuid4()),
                        "note": "第1号",
                    }
                    rows = transitions.move(tx, trigger, [item])
                    found = (State(rows[0].state), rows[0].node_no) if rows else None
                    cell = (initiator, destination, here, trigger)
                    assert found == advance(path, here, node_no, trigger), cell
                    savepoint.rollback()


def _put(tx, name, path, here, node_no, trigger):
    """Start a transfer and put it, by force, on a path and at one of its states; return its id.

    An open node is due, so that the clock may act on it, in the way that the trigger is about.
    """
    one = start(tx, request())[0]
    tx.execute(sa.text("DELETE FROM open_nodes WHERE transfer_id = :one"), {"one": one})
    tx.execute(
        sa.text(
            "UPDATE transfers"
            " SET path = :path, state = :state, node_no = :no, target_branch_id = 5"
            " WHERE transfer_id = :one"
        ),
        {"path": name, "state": here, "no": node_no, "one": one},
    )
    if here in path:
        on_expiry = {"clock_return": "return", "clock_approve": "approve"}.get(trigger, "remind")
        tx.execute(
            sa.text(
                "INSERT INTO open_nodes (transfer_id, node_no, state, province, org_id,"
                " opened_at, expires_at, on_expiry, withdraw)"
                " VALUES (:one, :no, :state, '42', 4,"
                " now(), now() - interval '1 day', :on_expiry, 'yes')"
            ),
            {"one": one, "no": node_no, "state": here, "on_expiry": on_expiry},
        )
    return one


def _compared(plan: dict) -> int:
    """Return the most rows that one join of a plan looked at in vain."""
    here = plan.get("Rows Removed by Join Filter", 0) * plan.get("Actual Loops", 1)
    return max([here, *map(_compared, plan.get("Plans", []))])


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("trigger", list(Trigger))
def test_each_item_is_looked_up(tx, trigger, analysed):
    """A transition finds each item by its id, whatever the statistics say.

    No join compares all items with all rows.
    """
    count = 200
    waiting = start(tx, *[request() for _ in range(2 * count)])
    if analysed:
        for table in ("transfers", "open_nodes", "open_transfers"):
            tx.execute(sa.text(f"ANALYZE {table}"))
    now = clock.now()
    items = [
        {
            "n": n,
            "transfer_id": one,
            "node_no": 1,
            "person_id": 104,
            "org_id": TARGET,
            "branch_id": BRANCH,
            "decision_id": str(uuid.uuid4()),
        }
        for n, one in enumerate(waiting[:count])
    ]

    plan = tx.scalar(
        sa.text("EXPLAIN (ANALYZE, FORMAT JSON) " + transitions.TRANSITIONS[trigger].text),
        {"items": json.dumps(items), "now": now, "stamp": now.isoformat()},
    )

    # All items with all rows would be 200 times 400; a look-up by id leaves next to nothing out.
    assert _compared(plan[0]["Plan"]) < 10 * count


# ---- when the tree changes -----------------------------------------------------------------------


def org_changed(org_id, version=2, **values) -> OrgChanged:
    """Return an organisation of the test's tree as it is told of, with some of it changed."""
    _, parent, path, kind, purpose = next(row for row in ORGS if row[0] == org_id)
    return OrgChanged(
        **{
            "org_id": org_id,
            "parent_id": parent,
            "path": path,
            "kind": kind,
            "purpose": purpose,
            "province": PROVINCE_OF.get(org_id, HERE),
            "system": "national",
            "provincial_id": ROOT,
            "vault_id": VAULT,
            "name": str(org_id),
            "version": version,
            "deleted": False,
            **values,
        }
    )


def in_use(tx) -> list[int]:
    return [item["org_id"] for topic, item in events(tx) if topic == "org_in_use"]


@pytest.mark.rule("ORG-42", "DEL-14", "BEY-17", "TRF-37")
@pytest.mark.parametrize("change", [{"deleted": True}, {"purpose": "awaiting"}, {"kind": "work_committee"}])
def test_a_party_of_open_transfers_does_not_change(tx, change):
    """ORG-42, DEL-14: a change to the target of an open transfer is told, so that it is taken back.

    The change is that it is deleted, set aside or changed in kind; after the end it is left alone.

    TRF-37 follows.
    """
    (one,) = start(tx, request())
    handlers.on_org_changed(tx, [org_changed(TARGET, **change), org_changed(OTHER, **change)])
    assert in_use(tx) == [TARGET]
    handlers.on_org_changed(tx, [org_changed(TARGET, version=3)])
    decide(tx, one, TARGET, approve=False, reason_code="not_here")
    tx.execute(sa.text("DELETE FROM outbox"))
    handlers.on_org_changed(tx, [org_changed(TARGET, version=4, **change)])
    assert in_use(tx) == []


@pytest.mark.rule("ORG-42")
@pytest.mark.parametrize("change", [{"deleted": True}, {"kind": "general_branch"}])
def test_a_source_of_open_transfers_does_not_change(tx, change):
    """ORG-42: a branch that a member is leaving is not deleted nor turned into another kind.

    It does not matter where the open node waits; afterwards it may be.
    """
    (one,) = start(tx, request())
    assert store.one(tx, one).waiting_org_id == TARGET
    handlers.on_org_changed(tx, [org_changed(CLASS, **change)])
    assert in_use(tx) == [CLASS]
    handlers.on_org_changed(tx, [org_changed(CLASS, version=3)])
    decide(tx, one, TARGET, approve=False, reason_code="not_here")
    tx.execute(sa.text("DELETE FROM outbox"))
    handlers.on_org_changed(tx, [org_changed(CLASS, version=4, **change)])
    assert in_use(tx) == []


@pytest.mark.rule("ORG-42", "DEL-04")
def test_a_source_with_an_open_node_is_not_deleted(tx):
    """ORG-42: the source that has to decide stays.

    DEL-04: members may go on leaving a branch that is set aside.
    """
    start(tx, request("member", target=BRANCH))
    handlers.on_org_changed(tx, [org_changed(CLASS, purpose="awaiting")])
    assert in_use(tx) == []
    handlers.on_org_changed(tx, [org_changed(CLASS, version=3, deleted=True)])
    assert in_use(tx) == [CLASS]


@pytest.mark.rule("BEY-17", "MIG-09")
def test_open_nodes_follow_a_move(tx):
    """BEY-17: when a party moves below another superior its open nodes go to that one at once.

    They go from the old one; the transfer stays attached.
    """
    (one,) = start(tx, request("member", target=BRANCH))
    handlers.on_org_changed(tx, [org_changed(CLASS, parent_id=OTHER, path="1.7.3.")])
    assert decide(tx, one, SCHOOL).refusal.code == "unknown_transfer"
    theirs = handlers.list_work(tx, contract.ListWork(), admin(OTHER)).items
    assert [item.transfer_id for item in theirs] == [one]
    assert decide(tx, one, OTHER).state == State.IN


@pytest.mark.rule("BEY-17")
def test_a_committee_that_moves_decides_alone(tx):
    """BEY-17: a committee decides its own nodes, wherever it is moved.

    Below another superior, with the node open or not yet, it gets none who has a say in them.
    """
    waiting, ahead = start(tx, request(), request("member"))
    handlers.on_org_changed(tx, [org_changed(TARGET, parent_id=SCHOOL, path="1.2.4.")])
    assert decide(tx, ahead, CLASS).state == State.IN
    for one, node_no in ((waiting, 1), (ahead, 2)):
        assert decide(tx, one, SCHOOL, node_no=node_no).refusal.code == "not_your_node"
        assert decide(tx, one, TARGET, node_no=node_no).state == State.ASSIGN


@pytest.mark.rule("BEY-17")
def test_a_target_that_moves_before_its_node_opens(tx):
    """BEY-17: a branch that moves while the source still decides has its new superior beside it.

    That counts from when its own node opens; the old superior has no say any longer.
    """
    (one,) = start(tx, request("member", target=BRANCH))
    handlers.on_org_changed(tx, [org_changed(BRANCH, parent_id=SCHOOL, path="1.2.5.")])
    assert decide(tx, one, CLASS).state == State.IN
    assert decide(tx, one, TARGET, node_no=2).refusal.code == "unknown_transfer"
    assert decide(tx, one, SCHOOL, node_no=2).state == State.MOVING


@pytest.mark.rule("SCH-09", "TYPE-26")
def test_inside_a_school(tx):
    """SCH-09: a change of status inside a school is an ordinary transfer between its branches.

    TYPE-26: with the ordinary reason.
    """
    handlers.on_org_changed(tx, [org_changed(OTHER, parent_id=SCHOOL, path="1.2.7.")])
    (one,) = start(
        tx, request(target=OTHER, reason="ordinary", place_name="", place_address="", remark="留级")
    )
    assert decide(tx, one, SCHOOL).state == State.MOVING


@pytest.mark.rule("ORG-37", "TRF-14")
def test_a_class_that_does_not_exist_yet(tx):
    """ORG-37: the member names the college committee as target, and the class in the remark.

    The committee reads it and assigns the branch that it has made meanwhile.
    """
    (one,) = start(tx, request("member", remark="2026级软件工程1班"))
    decide(tx, one, SCHOOL)
    (item,) = handlers.list_work(tx, contract.ListWork(), admin(TARGET)).items
    assert (item.remark, decide(tx, one, TARGET, node_no=2).state) == ("2026级软件工程1班", State.ASSIGN)
    assert assign(tx, one, BRANCH).state == State.MOVING


@pytest.mark.rule("BEY-03", "TRF-02")
def test_what_stands_in_the_way(tx):
    """BEY-03: a second start says who started the open one, when, where it stands and who can act.

    It says so to whoever may start one; others learn nothing.
    """
    _, one, _ = start(
        tx, request(member=600, target=OTHER), request(member=601), request(member=602, target=OTHER)
    )
    own = handlers.request_transfers(tx, [request("member", member=601)])[0]
    assert own.refusal.code == "transfer_open"
    assert own.open.transfer_id == one
    assert (own.open.initiator, own.open.initiator_org_id) == ("source", SCHOOL)
    assert (own.open.state, own.open.waiting_org_id) == (State.IN, TARGET)
    assert own.open.expires_at == store.one(tx, one).expires_at
    stranger = handlers.request_transfers(tx, [request("source", actor=admin(OTHER), member=601)])[0]
    assert stranger.refusal.code == "not_your_org"
    assert stranger.open is None


@pytest.mark.rule("BEY-03", "TRF-02", "TRF-33")
def test_who_names_another_branch_learns_nothing(tx, keys):
    """BEY-03, TRF-02, TRF-33: a start from a branch that the member is not leaving is refused.

    There is no word of the open transfer. A batch is refused the same way, and to strangers even
    without that much.
    """
    start(tx, request("member", member=602, target=BRANCH))
    ticket = Signer(keys).sign("member_ticket", timedelta(hours=1), sub="602", org=TARGET, branch=OTHER)[0]
    elsewhere = {"member": 602, "source_branch_id": OTHER}
    ask = [
        request("source", actor=admin(OTHER), **elsewhere),
        request("target", actor=admin(TARGET), ticket=ticket, **elsewhere),
    ]
    answers = handlers.request_transfers(tx, ask)
    assert [(one.refusal.code, one.open) for one in answers] == [("member_elsewhere", None)] * 2
    own = handlers.request_transfers(tx, [request("member", **elsewhere)])[0]
    assert own.refusal.code == "transfer_open", "the member knows it anyway"
    assert own.open is not None
    batch = contract.MoveBatch(
        command_id=uuid.uuid4(), source_branch_id=BRANCH, member_ids=[602], target_branch_id=DEEP
    )
    mine, stranger = handlers.move_batches(tx, [Asked(batch, admin(TARGET)), Asked(batch, Actor(5, TARGET))])
    assert {one.code for one in mine.refused.values()} == {"member_elsewhere"}
    assert (stranger.refusal.code, stranger.refused) == ("not_administrator", {})


@pytest.mark.rule("TRF-33", "BEY-11")
def test_what_never_held_its_member_is_its_starters_alone(tx):
    """TRF-33, BEY-11: a claim to a branch that the member is not in puts nothing into its lists and numbers.

    Nor into the target's.
    """
    asked = [request("member", member=603, target=TARGET), request("source", member=604, target=TARGET)]
    by_member, by_source = [one.transfer_id for one in handlers.request_transfers(tx, asked)]

    def seen(org, side="source"):
        """Return which of the two an organisation finds in its list."""
        listed = handlers.list_started(tx, contract.ListStarted(side=side), admin(org))
        return {one.transfer_id for one in listed} & {by_member, by_source}

    def read(org, transfer):
        """Return whether an organisation can open a transfer."""
        try:
            progress = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=transfer), admin(org))
        except Refused:
            return False
        return progress.transfer.transfer_id == transfer

    def told(org, transfer):
        """Return what an organisation is told that tries to decide, take back or start again."""
        again = contract.RestartTransfer(command_id=uuid.uuid4(), transfer_id=transfer)
        back = WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=transfer)
        taken_back = handlers.withdraw_transfers(tx, [Asked(back, admin(org))])
        return {
            decide(tx, transfer, org).refusal.code,
            taken_back[0].refusal.code,
            remarks.restart_transfers(tx, [Asked(again, admin(org))])[0].refusal.code,
        }

    for _ in range(2):  # while members is still to answer, and after it has refused both
        strange = [
            told(TARGET, by_source),
            told(TARGET, by_member),
            told(SCHOOL, by_member),
            told(CLASS, by_member),
            told(ROOT, by_source),
        ]
        assert strange == [{"unknown_transfer"}] * 5
        assert "unknown_transfer" not in told(SCHOOL, by_source)
        assert (seen(SCHOOL), seen(CLASS), seen(TARGET, "target")) == ({by_source}, {by_source}, set())
        assert (read(SCHOOL, by_source), read(SCHOOL, by_member)) == (True, False)
        assert (read(TARGET, by_source), read(TARGET, by_member)) == (False, False)
        counts = handlers.count_transfers(tx, contract.Counts(), admin(SCHOOL))
        assert sum(one.transfers for one in counts if one.state in ("checking", "refused")) == 1
        handlers.on_reservation_refused(
            tx,
            [
                ReservationRefused(transfer_id=one, member_id=1, code="member_elsewhere")
                for one in (by_member, by_source)
            ],
        )


@pytest.mark.rule("BEY-05", "TRF-21")
def test_a_command_is_its_callers(tx):
    """BEY-05, TRF-21: somebody else who sends the id of a command is refused and told nothing.

    That holds for a start, a batch, a decision and a bulk decision; the caller is answered as
    before.
    """
    directory.on_administrator_changed(
        tx,
        [AdministratorChanged(org_id=org, person_id=77, active=True, version=1) for org in (SCHOOL, TARGET)],
    )
    first = request()
    (one,) = start(tx, first)
    theirs = handlers.request_transfers(tx, [Asked(first.item, Actor(77, SCHOOL)), first])
    assert (theirs[0].refusal.code, theirs[0].transfer_id) == ("command_taken", None)
    assert (theirs[1].transfer_id, theirs[1].repeated) == (one, True)
    batch = contract.MoveBatch(
        command_id=uuid.uuid4(), source_branch_id=BRANCH, member_ids=[605], target_branch_id=DEEP
    )
    made = handlers.move_batches(tx, [Asked(batch, admin(TARGET))])[0]
    again, other = handlers.move_batches(tx, [Asked(batch, admin(TARGET)), Asked(batch, Actor(77, TARGET))])
    assert again.transfer_ids == made.transfer_ids
    assert (other.refusal.code, other.transfer_ids) == ("command_taken", [])
    # A stranger who is first in the list is refused and takes nothing from whoever may.
    late = contract.MoveBatch(
        command_id=uuid.uuid4(), source_branch_id=BRANCH, member_ids=[606], target_branch_id=DEEP
    )
    stranger, made = handlers.move_batches(tx, [Asked(late, Actor(5, TARGET)), Asked(late, admin(TARGET))])
    assert (stranger.refusal.code, made.refusal, len(made.transfer_ids)) == ("not_administrator", None, 1)
    decision = DecideNode(decision_id=uuid.uuid4(), transfer_id=one, node_no=1, approve=True)
    outcomes = [
        handlers.decide_nodes(tx, [Asked(decision, actor)])[0]
        for actor in (admin(TARGET), admin(TARGET), Actor(77, TARGET))
    ]
    assert [(outcome.repeated, outcome.refusal and outcome.refusal.code) for outcome in outcomes] == [
        (False, None),
        (True, None),
        (False, "node_closed"),
    ]


@pytest.mark.rule("MSG-07", "DL-02")
def test_old_nodes_are_counted(tx):
    """MSG-07, DL-02: at sign-in one sees for how many nodes a reminder has come.

    Lists are filtered by reason and time.
    """
    old, _ = start(tx, request(), request(reason="employed_with_org"))
    handlers.on_reminder_due(tx, [ReminderDue(transfer_id=old, node_no=1, due_at=clock.now())])

    def listed(**wanted):
        page = handlers.list_work(tx, contract.ListWork(**wanted), admin(TARGET))
        return [item.transfer_id for item in page.items]

    page = handlers.list_work(tx, contract.ListWork(), admin(TARGET))
    assert (page.old, page.counts) == (1, {"pending_in": 2})
    assert listed(reason="further_study") == [old]
    assert listed(since=clock.now() + timedelta(hours=1)) == []
    assert len(listed(until=clock.now() + timedelta(hours=1))) == 2


@pytest.mark.rule("ASG-07")
def test_no_branch_to_assign_to(tx):
    """ASG-07: a committee without any branch is told to make one first."""
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=55,
                parent_id=ROOT,
                path="1.55.",
                kind="committee",
                purpose="ordinary",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=VAULT,
                name="55",
                version=1,
                deleted=False,
            )
        ],
    )
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=55, person_id=155, active=True, version=1)]
    )
    (one,) = start(tx, request(target=55))
    decide(tx, one, 55)
    assert assign(tx, one, BRANCH, 55).refusal.code == "no_branch_yet"
    (other,) = start(tx, request())
    decide(tx, other, TARGET)
    assert assign(tx, other, OTHER).refusal.code == "branch_not_below"


@pytest.mark.rule("TRF-29", "TRF-32")
def test_lists_of_both_sides(tx):
    """TRF-29, TRF-32: what a party has started or received is listed, ended transfers included.

    It lists open ones or all, and withdraws from there.
    """
    ended, running = start(tx, request(), request())
    decide(tx, ended, TARGET, approve=False, reason_code="not_here")
    every = handlers.list_started(tx, contract.ListStarted(side="source"), admin(SCHOOL))
    assert {item.transfer_id: item.end_code for item in every} == {ended: "not_here", running: ""}
    (waiting,) = handlers.list_started(tx, contract.ListStarted(side="source", open_only=True), admin(SCHOOL))
    received = handlers.list_started(tx, contract.ListStarted(side="target"), admin(TARGET))
    assert [item.transfer_id for item in received] == [running, ended], "newest first"
    back = WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=waiting.transfer_id)
    (outcome,) = handlers.withdraw_transfers(tx, [Asked(back, admin(SCHOOL))])
    assert outcome.state == State.WITHDRAWN


@pytest.mark.rule("SPU-11", "SPU-08")
def test_back_from_the_library(tx):
    """SPU-11: the provincial committee, above the library, transfers a member out of it to a branch.

    The branch decides as always; the member starts nothing.
    """
    item = {"source_branch_id": VAULT, "reason": "ordinary", "target": BRANCH}
    refused = handlers.request_transfers(tx, [request("member", member=611, **item)])[0]
    assert refused.refusal.code == "in_vault"
    (one,) = start(tx, request("source", actor=admin(ROOT), member=611, **item))
    assert decide(tx, one, BRANCH).state == State.MOVING
