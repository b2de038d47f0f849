"""The queue on a database: what is counted is listed, whose views are whose, who may be placed where."""

import threading
import uuid
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from services.transfers import handlers, store, waiting
from services.transfers.bulk import handlers as bulk
from services.transfers.queue import handlers as queue
from services.transfers.queue import rules
from services.transfers.queue import store as queue_store
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.members import GraduateChanged, MemberReserved
from shared.messages.orgs import AdministratorChanged
from shared.messages.scheduler import ReminderDue
from shared.messages.words import Check, WorkOrder
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    DEEP,
    OTHER,
    ROOT,
    SCHOOL,
    TARGET,
    THERE,
    admin,
    decide,
    request,
    start,
)

PHONE = {"remark": "某市某路1号 13800000000"}


def listed(tx, org=TARGET, **wanted):
    return [one.transfer_id for one in handlers.list_work(tx, contract.ListWork(**wanted), admin(org)).items]


def counted(tx, org=TARGET, **wanted):
    return queue.count_work(tx, contract.CountWork(filter=contract.Filter(**wanted)), admin(org))


def due(tx, transfer_id, **ahead):
    at = clock.now() + timedelta(**ahead)
    tx.execute(
        sa.text("UPDATE open_nodes SET expires_at = :at WHERE transfer_id = :id"),
        {"at": at, "id": transfer_id},
    )


NAMES = ("王强", "赵敏", "王强志", "阿依古丽·买买提", "张三", "李四")
BY_NAME = ("odd", "assign", "plain", "far", "urged", "work")
"""The names in the order of their sound: a, li, wang, wang, zhang, zhao."""


def told(tx, transfer_id, name, check):
    """Tell what members knows of the member of a transfer."""
    member = store.one(tx, transfer_id).member_id
    reserved = MemberReserved(transfer_id=transfer_id, member_id=member, name=name, identity_check=check)
    handlers.on_member_reserved(tx, [reserved])


@pytest.fixture
def world(tx):
    """Six nodes that wait for one committee, each different in one thing."""
    plain, work, far, odd, urged, assign = start(
        tx,
        request(),
        request(reason="employed_with_org"),
        request(source_branch_id=OTHER, actor=admin(OTHER), reason="ordinary"),
        request(),
        request(),
        request(),
    )
    decide(tx, assign, TARGET)
    tx.execute(sa.text("UPDATE transfers SET concern = 'employer' WHERE transfer_id = :id"), {"id": odd})
    handlers.on_reminder_due(tx, [ReminderDue(transfer_id=urged, node_no=1, due_at=clock.now())])
    for n, one in enumerate((plain, work, far, odd, urged)):
        due(tx, one, days=9 - n)
    due(tx, plain, hours=-1)
    due(tx, work, days=2)
    for one, name in zip((plain, work, far, odd, urged, assign), NAMES, strict=True):
        told(tx, one, name, "failed" if one == far else "passed")
    told(tx, far, NAMES[2], "unchecked")  # late, and older than the other
    tx.execute(sa.text("UPDATE transfers SET reason_kind = 'graduate' WHERE transfer_id = :id"), {"id": work})
    member, at = store.one(tx, work).member_id, clock.now()
    handlers.on_graduate_changed(
        tx,
        [
            GraduateChanged(member_id=member, cohort=2026, branch_id=CLASS, counts=n == 1, at=at, version=n)
            for n in (1, 2)
        ],
    )
    return {"plain": plain, "work": work, "far": far, "odd": odd, "urged": urged, "assign": assign}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["plain", "work", "far", "odd", "urged", "assign"]),
        ({"state": "pending_in"}, ["plain", "work", "far", "odd", "urged"]),
        ({"reason": "employed_with_org"}, ["work"]),
        ({"source_branch_id": OTHER}, ["far"]),
        ({"target_province": THERE, "state": "pending_assign"}, ["assign"]),
        ({"target_province": "99"}, []),
        ({"due": "late"}, ["plain"]),
        ({"due": "soon"}, ["work"]),
        ({"due": "nonsense"}, []),
        ({"check": "unusual"}, ["odd"]),
        ({"check": "identity_failed"}, ["far"]),
        ({"check": "not_graduate"}, ["work"]),
        ({"questioned": True}, ["work", "far", "odd"]),
        ({"name": "王"}, ["plain", "far"]),
        ({"name": "王强志", "state": "pending_in"}, ["far"]),
        ({"name": "强"}, []),
        ({"unquestioned": True, "reason": "further_study"}, ["plain", "urged", "assign"]),
        ({"reminded": True}, ["urged"]),
        ({"questioned": True, "unquestioned": True}, []),
    ],
)
def test_what_is_listed_is_counted_and_decided(tx, world, wanted, names):
    """MSG-01, BEY-05, SRCH-06: list, count and a decision on all that matches go by one filter."""
    ids = [world[name] for name in names]
    assert sorted(listed(tx, **wanted)) == sorted(ids)
    assert counted(tx, **wanted).matching == len(ids)
    filter = contract.Filter(**wanted)
    if wanted.get("state"):
        asked = contract.CountMatching(filter=filter)
        assert bulk.count_matching(tx, asked, admin(TARGET)).count == len(ids)
    assert listed(tx, OTHER, **wanted) == []


def test_chips_stand_beside_each_other(tx, world):
    """MSG-04: the measures are of the chosen reason whatever else is chosen; the parts are of everything."""
    found = counted(tx, reason="further_study", reminded=True)
    assert (found.total, found.late, found.today, found.soon, found.questioned, found.reminded) == (
        4,
        1,
        0,
        0,
        1,
        1,
    )
    assert found.matching == 1
    assert found.states == {"pending_in": 5, "pending_assign": 1}
    assert found.reasons == {"further_study": 4, "employed_with_org": 1, "ordinary": 1}
    assert found.branches == {CLASS: 5, OTHER: 1}
    assert found.provinces == {THERE: 6}


def test_due_today_ends_at_midnight_in_china(tx, world, monkeypatch):
    begins = clock.now().astimezone(clock.CHINA).replace(hour=12, minute=0, second=0, microsecond=0)
    monkeypatch.setattr(clock, "now", lambda: begins)
    ahead_of_noon = {"work": 11, "far": 13, "odd": -1, "plain": -1}
    for name, hours in ahead_of_noon.items():
        due(tx, world[name], hours=hours)
    assert listed(tx, due="today") == [world["work"]]
    assert counted(tx).today == 1


@pytest.mark.parametrize("sort", WorkOrder)
def test_pages_of_every_order_make_the_whole(tx, world, sort):
    """Each item once, whatever the size of the page; what has no deadline comes last by deadlines."""
    whole = listed(tx, sort=sort)
    after, found = "", []
    while page := handlers.list_work(
        tx, contract.ListWork(sort=sort, after=after, limit=2), admin(TARGET)
    ).items:
        found += [one.transfer_id for one in page]
        after = page[-1].cursor
    assert found == whole
    assert len(whole) == 6
    ends = {"arrived": "assign", "newest": "plain", "due": "assign", "name": "work"}
    assert sort != "name" or whole == [world[name] for name in BY_NAME]
    # all of one instant, so the id decides; the node of an assignment was opened last
    assert sort == "newest" or whole[-1] == world[ends[sort]]
    assert sort != "due" or whole[0] == world["plain"]
    assert sort != "newest" or whole == [*reversed(listed(tx))]


def test_what_is_answered_without_a_transaction_only_reads(tx, world):
    """Lists in every order and whole transfers, for office and member: PostgreSQL takes no change."""
    tx.execute(sa.text("SET TRANSACTION READ ONLY"))

    for sort in WorkOrder:
        page = handlers.list_work(tx, contract.ListWork(sort=sort), admin(TARGET))
        assert page.items

    for who in (admin(TARGET), Actor(person_id=page.items[0].member_id)):
        told = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=page.items[0].transfer_id), who)
        assert told.steps


def test_what_the_rules_found_stands_beside_each(tx):
    """BEY-01, TRF-12: unusual destinations, receivers without administrators, remarks without a telephone."""
    ones = start(
        tx,
        request(),
        request("member"),
        request("member", **PHONE),
        request(target=OTHER),
        request("member", contact="027 6875-0000", remark="无"),
    )
    tx.execute(sa.text("UPDATE org_directory SET purpose = 'township' WHERE org_id = :id"), {"id": TARGET})
    tx.execute(sa.text("UPDATE transfers SET place_address = ' ' WHERE transfer_id >= :id"), {"id": ones[2]})
    tx.execute(sa.text("UPDATE transfers SET concern = 'employer' WHERE transfer_id = :id"), {"id": ones[0]})
    directory.on_administrator_changed(
        tx,
        [
            AdministratorChanged(org_id=one, person_id=100 + one, active=False, version=2)
            for one in (OTHER, ROOT)
        ],
    )
    seen = {
        one.transfer_id: one.checks
        for org in (TARGET, SCHOOL)
        for one in handlers.list_work(tx, contract.ListWork(), admin(org)).items
    }
    assert seen == {
        ones[0]: [Check.UNUSUAL],
        ones[1]: [Check.NO_PHONE],
        ones[2]: [],
        ones[4]: [Check.NO_ADDRESS],
    }
    assert waiting.checks(tx, [ones[3]]) == {ones[3]: [Check.TARGET_ALONE]}
    tx.execute(sa.text("UPDATE org_directory SET purpose = 'awaiting' WHERE org_id = :id"), {"id": OTHER})
    assert waiting.checks(tx, [ones[3]]) == {ones[3]: [Check.TARGET_GONE]}
    asked = contract.CountMatching(filter=contract.Filter(state="pending_out"))
    found = bulk.count_matching(tx, asked, admin(SCHOOL))
    assert (found.count, found.excepted) == (3, 2)
    assert [one.transfer_id for one in found.exceptions] == [ones[1], ones[4]]
    assert found.by_reason == {"further_study": 3}


def test_all_but_some_are_decided(tx, world):
    """BEY-05: what was left out of a bulk decision stays as it is."""
    filter = contract.Filter(state="pending_in", without=[world["odd"], world["plain"]])
    item = contract.StartBulk(bulk_id=uuid.uuid4(), filter=filter, expected=3)
    assert bulk.start_bulks(tx, [Asked(item, admin(TARGET))])[0].refusal is None
    while bulk.work_off(tx):
        pass
    assert sorted(listed(tx, state="pending_in")) == sorted([world["odd"], world["plain"]])


def test_a_bulk_decision_says_what_it_did_and_to_whom_not(tx, world):
    """BEY-05: those who decided meanwhile are named by person, so that a page can name them."""
    filter = contract.Filter(state="pending_in", reason="further_study")
    item = contract.StartBulk(bulk_id=uuid.uuid4(), filter=filter, expected=3)
    assert bulk.start_bulks(tx, [Asked(item, admin(TARGET))])[0].refusal is None
    decide(tx, world["odd"], TARGET)
    while bulk.work_off(tx):
        pass
    (job,) = bulk.get_bulk(tx, contract.GetBulk(), admin(TARGET))
    assert (job.do, job.state, job.branch_id, job.done) == ("approve", "pending_in", None, 2)
    assert job.people == {world["odd"]: store.one(tx, world["odd"]).member_id}
    assert list(job.problems) == [world["odd"]]


# ---- views and phrases ---------------------------------------------------------------------------


def save(tx, name="我的", actor=None, **values):
    fields = {"view_id": uuid.uuid4(), "name": name, "filter": contract.Filter(reason="ordinary"), **values}
    return queue.save_views(tx, [Asked(contract.SaveView(**fields), actor or admin(TARGET))])[0]


def habits(tx, actor=None):
    return queue.list_habits(tx, contract.ListHabits(), actor or admin(TARGET))


def test_views_are_of_one_person_in_one_organisation(tx):
    """Kept under a name, replaced under the same; without the people that were looked for."""
    key = uuid.uuid4()
    filter = contract.Filter(state="pending_in", due="late", name="王", without=[3])
    assert save(tx, "  迟的 ", filter=filter, sort="due", view_id=key).name == "迟的"
    (view,) = habits(tx).views
    assert (view.view_id, view.name, view.sort) == (key, "迟的", "due")
    assert view.filter == contract.Filter(state="pending_in", due="late")
    assert save(tx, "迟的").view_id == key
    assert [one.filter.reason for one in habits(tx).views] == ["ordinary"]
    assert habits(tx, admin(SCHOOL)).views == []
    both = Actor(100 + TARGET, SCHOOL)
    with pytest.raises(Refused, match="not_administrator"):
        habits(tx, both)


def test_nobody_reaches_the_views_of_others(tx):
    """Neither by their ids, nor for an organisation that one does not administer."""
    mine = save(tx).view_id
    for other in (admin(SCHOOL), admin(BRANCH)):
        assert save(tx, "x", actor=other, view_id=mine).refusal.code == "command_taken"
        assert queue.drop_views(tx, [Asked(contract.DropView(view_id=mine), other)])[0].refusal is None
    stranger = Actor(9, TARGET)
    assert save(tx, "x", actor=stranger).refusal.code == "not_administrator"
    dropped = queue.drop_views(tx, [Asked(contract.DropView(view_id=mine), stranger)])[0]
    assert dropped.refusal.code == "not_administrator"
    assert [one.view_id for one in habits(tx).views] == [mine]
    assert queue.drop_views(tx, [Asked(contract.DropView(view_id=mine), admin(TARGET))])[0].refusal is None
    assert habits(tx).views == []


def test_of_two_people_who_choose_one_id_the_second_is_told(engine):
    """The second waits for the first, whose view it is then; nobody is answered with an error."""
    key, answers = uuid.uuid4(), []

    def second():
        with engine.begin() as tx:
            answers.append(save(tx, actor=admin(SCHOOL), view_id=key))

    beside = threading.Thread(target=second)
    with engine.begin() as tx:
        assert save(tx, view_id=key).refusal is None
        beside.start()
        beside.join(0.3)
        assert not answers
    beside.join()
    assert [one.refusal.code for one in answers] == ["command_taken"]
    with engine.begin() as tx:
        queue_store.drop(tx, key, 100 + TARGET, TARGET)


def test_views_have_a_limit_and_a_name(tx):
    key = uuid.uuid4()
    for n in range(rules.VIEWS):
        assert save(tx, f"视图{n}", view_id=key if n == 0 else uuid.uuid4()).refusal is None
    assert save(tx, "一个太多").refusal.code == "too_many_views"
    assert save(tx, "视图3").refusal is None
    assert save(tx, "视图0", view_id=key).repeated
    assert save(tx, " ").refusal.code == "field_missing"
    assert save(tx, "x", sort="sideways").refusal.code == "bad_request"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"view_id": str(key), "name": "x" * 61, "filter": {}}, contract.SaveView)


def test_the_last_ten_phrases_are_remembered(tx, monkeypatch):
    """TRF-27: those of the person, newest first, and none that holds a telephone."""
    began = clock.now()
    for n in range(12):
        monkeypatch.setattr(clock, "now", lambda n=n: began + timedelta(minutes=n))
        keep = contract.KeepPhrase(text=f"请补充材料{n}")
        assert queue.keep_phrases(tx, [Asked(keep, admin(TARGET))])[0].kept
    private = contract.KeepPhrase(text="请联系13800000000")
    assert not queue.keep_phrases(tx, [Asked(private, admin(TARGET))])[0].kept
    assert habits(tx).phrases == [f"请补充材料{n}" for n in range(11, 1, -1)]
    drop = contract.DropPhrase(text="请补充材料11")
    queue.drop_phrases(tx, [Asked(drop, admin(SCHOOL))])
    assert len(habits(tx).phrases) == 10
    queue.drop_phrases(tx, [Asked(drop, admin(TARGET))])
    assert habits(tx).phrases[0] == "请补充材料10"
    assert habits(tx, admin(SCHOOL)).phrases == []
    refused = queue.keep_phrases(tx, [Asked(private, Actor(9, TARGET))])[0]
    assert refused.refusal.code == "not_administrator"


# ---- assignment by a rule ------------------------------------------------------------------------


def plan(tx, org=TARGET, rule="round_robin", **values):
    return queue.plan_assignment(tx, contract.PlanAssignment(rule=rule, **values), admin(org))


def test_only_branches_below_are_chosen(tx):
    """ASG-02: those below the committee that take members, whatever ids are sent; nothing is done."""
    ones = start(tx, *[request() for _ in range(3)])
    for one in ones:
        decide(tx, one, TARGET)
    found = plan(tx)
    assert [one.branch_id for one in found.places] == [BRANCH, DEEP]
    assert [one.branch_id for one in found.rows] == [BRANCH, DEEP, BRANCH]
    assert (found.waiting, [one.placed for one in found.places]) == (3, [2, 1])
    seats = [contract.Seat(branch_id=one) for one in (OTHER, CLASS, 41, TARGET, 10**9)]
    astray = plan(tx, seats=seats)
    assert astray.places == []
    assert {one.why for one in astray.rows} == {"no_branch"}
    sized = [contract.Seat(branch_id=BRANCH, members=5), contract.Seat(branch_id=DEEP, members=1)]
    assert [one.branch_id for one in plan(tx, seats=sized).rows] == [DEEP] * 3
    assert plan(tx, OTHER).rows == []
    assert listed(tx, state="pending_assign") == ones


def test_a_plan_of_nothing_known_is_refused(tx):
    with pytest.raises(Refused, match="bad_request"):
        plan(tx, rule="by_luck")
    for asked, call in (
        (contract.PlanAssignment(rule="round_robin"), queue.plan_assignment),
        (contract.CountWork(), queue.count_work),
        (contract.ListHabits(), queue.list_habits),
    ):
        with pytest.raises(Refused, match="not_administrator"):
            call(tx, asked, Actor(9, TARGET))
    with pytest.raises(Refused, match="bad_request"):
        handlers.list_work(tx, contract.ListWork(sort="sideways"), admin(TARGET))


@pytest.mark.rule("MEM-19")
def test_what_is_told_of_a_member_twice_or_too_late_takes_nothing_back(tx):
    """MEM-19: of one batch the latest finding of a member holds; of an ended transfer nothing is kept."""
    here, ended = start(tx, request(), request())
    assert decide(tx, ended, TARGET, approve=False, reason_code="not_here").refusal is None

    reserved = [
        MemberReserved(
            transfer_id=one, member_id=store.one(tx, one).member_id, name="王强", identity_check=check
        )
        for one, check in ((here, "unchecked"), (here, "passed"), (here, "failed"), (ended, "failed"))
    ]
    handlers.on_member_reserved(tx, reserved)

    kept = tx.execute(sa.text("SELECT transfer_id, name, identity_check FROM open_transfers")).all()
    assert [tuple(row) for row in kept] == [(here, "王强", "passed")]
