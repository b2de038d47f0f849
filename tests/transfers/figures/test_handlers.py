"""SX and XS: figures kept from change to change, against a model in Python and against a recount.

The recount is made from the tables.
"""

import uuid
from collections import Counter
from contextlib import nullcontext
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.transfers import handlers, store
from services.transfers.figures import handlers as figures_handlers
from services.transfers.figures import rules as figures_rules
from services.transfers.figures import store as figures_store
from services.transfers.figures import sums, totals
from services.transfers.figures.rules import FIGURES, contribution, rate
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.members import GraduateChanged, MemberMoved, MemberReserved
from shared.messages.orgs import OrgChanged
from shared.messages.scheduler import DeadlineExpired
from shared.messages.transfers import WithdrawTransfer
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    OTHER,
    ROOT,
    SCHOOL,
    TARGET,
    admin,
    assign,
    decide,
    request,
    start,
)

YEAR = clock.now().year
_versions = iter(range(1, 10**6))


def graduate(tx, *members, branch=CLASS, cohort=YEAR, counts=True, days_ago=30):
    """Let members tell of graduates; each message has a higher version than the one before."""
    handlers.on_graduate_changed(
        tx,
        [
            GraduateChanged(
                member_id=one,
                cohort=cohort,
                branch_id=branch,
                counts=counts,
                at=clock.now() - timedelta(days=days_ago),
                version=next(_versions),
            )
            for one in members
        ],
    )


def fold(tx, limit=7):
    """Follow all changes, in pieces so small that several are needed."""
    while figures_store.fold(tx, policies_store.active(tx, clock.now()), clock.now(), limit):
        pass


class Database:
    """The transaction of a test, as the shell of the service hands it out."""

    def __init__(self, tx):
        self.tx = tx

    def transaction(self, tells):
        return nullcontext(self.tx)


@pytest.mark.parametrize(("taken", "rests"), [(0, False), (9, False), (10, True)])
def test_rounds_of_the_follower(tx, monkeypatch, taken, rests):
    """The next round begins in a second, and sooner only where a whole round was taken (STAT-10)."""
    monkeypatch.setattr(figures_store, "FOLD_LIMIT", 10)
    monkeypatch.setattr(figures_store, "waits", lambda tx: True)
    monkeypatch.setattr(figures_store, "fold", lambda *args: taken)

    wait = figures_handlers.fold_turn(SimpleNamespace(database=Database(tx)))

    assert (wait is not None and 0 <= wait < 1) if rests else wait is None


def test_the_follower_rests_while_a_flood_of_deadlines_is_worked_off(tx, monkeypatch):
    """It makes a round at once, none while thousands of deadlines pass, one after 30 s whatever is going on.

    A few deadlines are no flood, and after one it goes on.
    """
    now, rounds = [1_000.0], []
    monkeypatch.setattr(figures_handlers.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(figures_store, "waits", lambda tx: rounds.append(now[0]))

    def turns(seconds, deadlines=0):
        for _ in range(seconds):
            if deadlines:
                ended = DeadlineExpired(transfer_id=1, node_no=1, due_at=clock.now())
                handlers.on_deadline_expired(tx, [ended] * deadlines)
            figures_handlers.fold_turn(SimpleNamespace(database=Database(tx)))
            now[0] += 1
        found = [int(one) - 1_000 for one in rounds]
        rounds.clear()
        return found

    monkeypatch.setattr(figures_handlers, "_begun", 0.0)
    monkeypatch.setattr(figures_handlers, "_flood_until", 0.0)
    assert turns(2) == [0, 1]
    assert turns(2, figures_handlers.FLOOD - 1) == [2, 3]
    assert turns(40, figures_handlers.FLOOD) == [33], "thirty seconds after the last"
    assert turns(3) == [45, 46], "two seconds after the last of them"


def figures(tx, org, cohort=YEAR):
    """Return what is not zero of an organisation's figures, after all changes."""
    fold(tx)
    row = figures_store.of_org(tx, org, cohort)
    return {name: getattr(row, name) for name in FIGURES if getattr(row, name)}


def differences(tx):
    """Return what a recount from the tables finds wrong."""
    return figures_store.verify(tx, policies_store.active(tx, clock.now()), clock.now())[2]


def finish(tx, transfer_id, branch=BRANCH):
    assign(tx, transfer_id, branch)
    handlers.on_member_moved(tx, [MemberMoved(transfer_id=transfer_id, member_id=1, branch_id=branch)])


@pytest.mark.rule("STAT-10", "STAT-13", "STAT-15", "STAT-11")
def test_one_of_each(tx):
    """STAT-10, STAT-15, STAT-11: graduates count at their branch and at everything above it.

    They are idle, open, returned or completed; a member who is retained has completed nothing.
    """
    graduate(tx, 1, 2, 3, 4, 5)
    assert figures(tx, CLASS) == figures(tx, ROOT) == {"society": 5, "idle": 5}
    one, two, three = start(
        tx,
        request(member=1),
        request(member=2, reason="employed_with_org", place_name="某单位"),
        request(member=3, reason="employed_with_org"),
    )
    decide(tx, one, TARGET)
    decide(tx, two, TARGET)
    finish(tx, two)
    decide(tx, three, TARGET, approve=False, reason_code="not_here")

    assert figures(tx, SCHOOL) == {
        "study": 1,
        "society": 4,
        "settled": 1,
        "idle": 2,
        "open": 1,
        "ended": 1,
        "completed": 1,
    }
    assert figures(tx, TARGET) == {"study_in": 1, "society_in": 1, "settled": 1}, (
        "a rejected request is not counted where it was rejected"
    )
    assert figures(tx, BRANCH) == {"society_in": 1, "settled": 1}, "the branch counts who has arrived"
    assert figures(tx, ROOT) == {
        "study": 1,
        "society": 4,
        "settled": 1,
        "idle": 2,
        "open": 1,
        "ended": 1,
        "completed": 1,
    }, "STAT-13: each once in the region"
    assert differences(tx) == []


@pytest.mark.rule("STAT-10", "STAT-14", "DL-14", "DL-15")
def test_rates(tx):
    """STAT-14: without a denominator there is no rate; else SX = A / (B + C), XS = D / (E + F)."""
    assert rate(0, 0, 0) is None and rate(1, 2, 2) == 0.25
    assert figures_handlers.get_figures(tx, contract.GetFigures(org_id=CLASS), admin(CLASS)).org.sx is None
    graduate(tx, 11, 12)
    (one,) = start(tx, request(member=11))
    decide(tx, one, TARGET)
    finish(tx, one)
    fold(tx)
    sheet = figures_handlers.get_figures(tx, contract.GetFigures(), admin(SCHOOL))
    assert (sheet.cohort, sheet.org.sx, sheet.org.xs) == (YEAR, 1.0, 0.0)
    assert [child.org_id for child in sheet.children] == [CLASS]
    assert sheet.policy == "national@2026.1"
    assert {(stage.what, stage.reached) for stage in sheet.stages} == {
        ("started", 0.5),
        ("completed", 0.0),
        ("completed", 1.0),
    }
    with pytest.raises(Refused, match="not_your_org"):
        figures_handlers.get_figures(tx, contract.GetFigures(org_id=SCHOOL), admin(TARGET))


@pytest.mark.rule("STAT-12")
def test_excluded_reasons(tx):
    """STAT-12: study abroad counts in neither rate; another policy may exclude other reasons.

    A recount follows it.
    """
    graduate(tx, 21, 22)
    tx.execute(
        sa.text("UPDATE org_directory SET purpose = 'study_abroad' WHERE org_id = :org"), {"org": OTHER}
    )
    start(tx, request(member=21, reason="abroad_study", target=OTHER))
    assert figures(tx, SCHOOL) == {"excluded": 1, "society": 1, "idle": 1, "open": 1}
    assert figures(tx, OTHER) == {}
    text = reader.read("national").body.replace(
        'version = "2026.1"', 'version = "x"\nexcluded_reasons = []\nunknown_counts = false'
    )
    policies_store.hold(tx, reader.parse(text, "own"), clock.now())
    figures_store.recount(tx)
    assert figures(tx, SCHOOL) == {"excluded": 2, "idle": 1, "open": 1}
    assert differences(tx) == []


@pytest.mark.rule("STAT-10")
def test_who_does_not_count(tx):
    """STAT-10: marked as delayed or teacher, or deleted, a member is no graduate of the cohort.

    A late message does not bring it back.
    """
    graduate(tx, 31, 32)
    assert figures(tx, CLASS) == {"society": 2, "idle": 2}
    late = GraduateChanged(
        member_id=31, cohort=YEAR, branch_id=CLASS, counts=True, at=clock.now(), version=next(_versions)
    )
    graduate(tx, 31, counts=False)
    handlers.on_graduate_changed(tx, [late])
    assert figures(tx, CLASS) == {"society": 1, "idle": 1}
    assert differences(tx) == []


@pytest.mark.rule("TYPE-05", "STAT-10")
def test_the_mobile_branch_completes_nothing(tx):
    """TYPE-05: who was moved into the own school's mobile branch is still under way."""
    graduate(tx, 41)
    tx.execute(sa.text("UPDATE org_directory SET purpose = 'floating' WHERE org_id = :org"), {"org": BRANCH})
    (one,) = start(tx, request(member=41, target=BRANCH))
    decide(tx, one, BRANCH)
    handlers.on_member_moved(tx, [MemberMoved(transfer_id=one, member_id=41, branch_id=BRANCH)])
    assert store.one(tx, one).state == "completed"
    assert figures(tx, SCHOOL) == {"study": 1, "open": 1}


@pytest.mark.rule("STAT-10")
def test_returned_by_the_clock_counts_where_it_was_asked(tx):
    """Annex F: a request that idled until the clock returned it counts against the receiver.

    A withdrawn one does not.
    """
    graduate(tx, 51, 52)
    idled, withdrawn = start(tx, request(member=51), request(member=52))
    tx.execute(
        sa.text("UPDATE open_nodes SET expires_at = :now WHERE transfer_id = :one"),
        {"now": clock.now() - timedelta(seconds=1), "one": idled},
    )
    handlers.on_deadline_expired(tx, [DeadlineExpired(transfer_id=idled, node_no=1, due_at=clock.now())])
    handlers.withdraw_transfers(
        tx, [Asked(WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=withdrawn), admin(SCHOOL))]
    )
    assert figures(tx, TARGET) == {"study_in": 1}
    assert figures(tx, SCHOOL) == {"study": 2, "ended": 2}


@pytest.mark.rule("STAT-13")
def test_cohorts_are_apart(tx):
    """STAT-13: a member who has graduated twice counts in each cohort by the transfers of its own time.

    The earlier time was from school.
    """
    graduate(tx, 61, branch=BRANCH, cohort=YEAR - 4, days_ago=1400)
    graduate(tx, 61, branch=CLASS, cohort=YEAR)
    start(tx, request(member=61))
    assert figures(tx, CLASS, YEAR) == {"study": 1, "open": 1}
    assert figures(tx, BRANCH, YEAR - 4) == {"society": 1, "idle": 1}, (
        "the transfer of this year is not one of that cohort"
    )


@pytest.mark.rule("BEY-11", "STAT-15")
def test_people_behind(tx):
    """BEY-11, STAT-15: every figure opens into exactly the people that it counts, page by page.

    It opens for those with a right to the subtree.
    """
    graduate(tx, *range(71, 81))
    ones = start(
        tx,
        *[
            request(member=member, reason=reason, place_name="x")
            for member, reason in zip(range(71, 77), ["further_study", "employed_with_org"] * 3, strict=True)
        ],
    )
    for one in ones[:3]:
        decide(tx, one, TARGET)
        finish(tx, one)
    fold(tx)
    for org in (CLASS, SCHOOL, TARGET, BRANCH, ROOT):
        row = figures_store.of_org(tx, org, YEAR)
        for name in FIGURES:
            found, after = [], 0
            while True:  # two at a time, so that each figure of more than one has several pages
                page = figures_handlers.list_behind(
                    tx, contract.ListBehind(figure=name, org_id=org, after=after, limit=2), admin(ROOT)
                )
                found += [one.member_id for one in page]
                if len(page) < 2:
                    break
                after = page[-1].member_id
            assert len(found) == len(set(found)) == getattr(row, name), (org, name)
    with pytest.raises(Refused, match="unknown_figure"):
        figures_handlers.list_behind(tx, contract.ListBehind(figure="happiness"), admin(ROOT))


@pytest.mark.rule("MIG-09", "STAT-13")
def test_figures_follow_the_tree(tx):
    """MIG-09: when a school moves below another organisation, its graduates count there from then on.

    They no longer count where it was.
    """
    graduate(tx, 81, 82)
    start(tx, request(member=81))
    assert figures(tx, TARGET) == {"study_in": 1}
    moved = OrgChanged(
        org_id=SCHOOL,
        parent_id=TARGET,
        path=f"1.{TARGET}.{SCHOOL}.",
        kind="committee",
        purpose="ordinary",
        province="42",
        system="national",
        provincial_id=ROOT,
        vault_id=9,
        name="2",
        version=2,
        deleted=False,
    )
    sums.follow(tx, clock.now())
    totals.follow(tx)
    handlers.on_org_changed(tx, [moved])
    assert figures(tx, TARGET) == {"study": 1, "society": 1, "idle": 1, "open": 1}
    assert counts(tx, TARGET) == bare(tx, TARGET) == {("further_study", "pending_in"): 1}
    assert differences(tx) == []


@pytest.mark.rule("BEY-18", "BEY-06", "STAT-16", "ASG-06")
def test_deadline_board(tx):
    """BEY-18, STAT-16: the board says per subordinate what waits, and how urgently.

    What waits, falls due within three days, is late, waits for assignment, has not started.
    BEY-06: and how it rejects.

    ASG-06: assignments that wait are a column.
    """
    graduate(tx, 91, 92, 93, 94)
    ones = start(tx, request(member=91), request(member=92), request(member=93))
    decide(tx, ones[0], TARGET, approve=False, reason_code="not_here")
    decide(tx, ones[1], TARGET)
    tx.execute(
        sa.text(
            "UPDATE open_nodes SET opened_at = opened_at - interval '11 days',"
            " expires_at = expires_at - interval '8 days'"
        )
    )
    fold(tx)
    rows = {row.org_id: row for row in figures_handlers.get_board(tx, contract.GetBoard(), admin(ROOT))}
    target, school = rows[TARGET], rows[SCHOOL]
    assert (target.waiting, target.due_soon, target.overdue, target.assigning) == (2, 1, 0, 1)
    assert (target.decided, target.rejected) == (2, {"not_here": 1})
    assert (school.waiting, school.idle) == (0, 1)
    assert target.days == 0.0
    weeks = figures_handlers.get_figures(tx, contract.GetFigures(), admin(SCHOOL)).weeks
    assert sum(week.started for week in weeks) == 3
    assert sum(week.rejected for week in weeks) == 1
    assert sum(week.completed for week in weeks) == 0
    assert figures_handlers.get_figures(tx, contract.GetFigures(), admin(TARGET)).weeks == [], (
        "transfers count where they come from"
    )
    tx.execute(sa.text("UPDATE open_nodes SET expires_at = expires_at - interval '3 days'"))
    rows = {row.org_id: row for row in figures_handlers.get_board(tx, contract.GetBoard(), admin(ROOT))}
    assert rows[TARGET].overdue == 1


@pytest.mark.rule("TRF-27", "BEY-06")
def test_unreasonable_returns_are_counted(tx):
    """TRF-27, BEY-06: a rejection that the common superior answers with `receive` counts once.

    It counts against the organisation that rejected and all above it; a rejection that was upheld
    does not.
    """
    from tests.transfers.remarks.factories import advise, escalate

    ones = start(tx, *[request(member=member) for member in (521, 522, 523)])
    for one, member in zip(ones, (521, 522, 523), strict=True):
        decide(tx, one, TARGET, approve=False, reason_code="not_here")
        escalate(tx, one, Actor(member))
    advise(tx, ones[0], admin(ROOT))
    advise(tx, ones[1], admin(ROOT), "uphold")
    graduate(tx, 524, branch=BRANCH)
    for _ in range(2):
        fold(tx)
        (row,) = (
            row
            for row in figures_handlers.get_board(tx, contract.GetBoard(), admin(ROOT))
            if row.org_id == TARGET
        )
        assert (row.overturned, row.decided, row.rejected) == (1, 3, {"not_here": 3})


@pytest.mark.rule("STAT-10")
def test_a_wrong_figure_is_found(tx):
    """STAT-10: the recount names each figure that is not what the tables say."""
    graduate(tx, 95)
    fold(tx)
    tx.execute(sa.text("UPDATE figures SET idle = 7 WHERE org_id = :org"), {"org": SCHOOL})
    assert differences(tx) == [f"organisation {SCHOOL}, cohort {YEAR}: idle is 7, counted 1"]


@pytest.mark.rule("OPS-06", "DL-14", "DL-15")
def test_who_is_late(tx, monkeypatch):
    """OPS-06, DL-14, DL-15: a transfer rests with one side, and is late after the stage's day.

    Until it is started and let go that side is the school, then the receiver or the new school.
    """
    graduate(tx, 501, 502, 503, 504)
    start(
        tx,
        request(member=501),
        request(member=502, reason="employed_with_org"),
        request("member", member=503),
    )
    fold(tx)

    def seen(day):
        monkeypatch.setattr(clock, "today", lambda: date(YEAR, *day))
        found = {}
        for figure in ("idle", "open"):
            for row in figures_handlers.list_behind(tx, contract.ListBehind(figure=figure), admin(SCHOOL)):
                found[row.member_id] = (row.responsible, row.late)
        return found

    assert seen((8, 31)) == {
        501: ("new_school", False),
        502: ("receiver", False),
        503: ("school", False),
        504: ("school", False),
    }
    assert seen((9, 1))[504] == ("school", True)
    assert seen((10, 1)) == {
        501: ("new_school", False),
        502: ("receiver", True),
        503: ("school", False),
        504: ("school", True),
    }
    assert seen((11, 1))[501] == ("new_school", True)
    assert figures_rules.responsible("completed", "SX", "completed") == ""


# ---- against the model ---------------------------------------------------------------------------

ORGS = (ROOT, SCHOOL, CLASS, TARGET, BRANCH, OTHER)
STEPS = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.sampled_from(
            ("flag", "unflag", "start", "approve", "reject", "withdraw", "assign", "expire", "fold")
        ),
        st.integers(0, 7),
    ),
    max_size=40,
)


@pytest.mark.rule("STAT-10", "STAT-12", "STAT-13")
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_figures_are_what_the_model_says(engine, steps):
    """STAT-10..13: after any steps the figures are the sum of what each graduate contributes.

    That holds for every organisation, and the recount agrees.
    """
    # The engine, not `tx`: hypothesis runs many examples in one call, and each takes its own changes back.
    with engine.connect() as connection:
        outer = connection.begin()
        known: dict[int, tuple[int, bool]] = {}  # member: branch, and whether it counts
        current: dict[int, int] = {}  # member: its latest transfer
        for who, what, choice in steps:
            member = 5000 + who
            branch = (CLASS, BRANCH)[who % 2]
            if what in ("flag", "unflag"):
                graduate(connection, member, branch=branch, counts=what == "flag")
                known[member] = (branch, what == "flag")
            elif what == "start":
                reason = ("further_study", "employed_with_org", "unemployed", "ordinary")[choice % 4]
                if branch == CLASS:
                    targets, source = (TARGET, OTHER), admin(SCHOOL)
                else:
                    targets, source = (OTHER, SCHOOL), admin(TARGET)
                target = targets[choice % 2]
                (outcome,) = handlers.request_transfers(
                    connection,
                    [
                        request(
                            member=member,
                            reason=reason,
                            target=target,
                            actor=source,
                            source_branch_id=branch,
                            place_name="" if reason == "unemployed" else "x",
                            confirmed=True,
                        )
                    ],
                )
                if outcome.transfer_id is not None and outcome.refusal is None:
                    current[member] = outcome.transfer_id
                    handlers.on_member_reserved(
                        connection, [MemberReserved(transfer_id=outcome.transfer_id, member_id=member)]
                    )
            elif what == "fold":
                figures_store.fold(connection, reader.read("national"), clock.now(), 1 + choice)
                sums.follow(connection, clock.now())
                totals.follow(connection)
            elif member in current:
                row = store.one(connection, current[member])
                if what in ("approve", "reject"):
                    decide(
                        connection,
                        row.transfer_id,
                        row.target_org_id,
                        what == "approve",
                        reason_code="" if what == "approve" else "not_here",
                    )
                elif what == "withdraw":
                    handlers.withdraw_transfers(
                        connection,
                        [
                            Asked(
                                WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=row.transfer_id),
                                admin(row.initiator_org_id),
                            )
                        ],
                    )
                elif what == "expire":
                    connection.execute(
                        sa.text("UPDATE open_nodes SET expires_at = :now WHERE transfer_id = :one"),
                        {"now": clock.now() - timedelta(seconds=1), "one": row.transfer_id},
                    )
                    handlers.on_deadline_expired(
                        connection,
                        [
                            DeadlineExpired(
                                transfer_id=row.transfer_id, node_no=row.node_no, due_at=clock.now()
                            )
                        ],
                    )
                else:
                    below = {TARGET: BRANCH, SCHOOL: CLASS}.get(row.target_org_id)
                    if below:
                        assign(connection, row.transfer_id, below, row.target_org_id)
                    handlers.on_member_moved(
                        connection,
                        [
                            MemberMoved(
                                transfer_id=row.transfer_id, member_id=member, branch_id=below or OTHER
                            )
                        ],
                    )
        model = expected(connection, known)
        for org in ORGS:
            assert figures(connection, org) == model[org], org
            assert counts(connection, org) == bare(connection, org), org
        assert differences(connection) == []
        outer.rollback()


def counts(tx, org):
    (row,) = directory.find(tx, [org]).values()
    return {(one.reason, one.state): one.transfers for one in store.counts(tx, org, row.path)}


def bare(tx, org):
    """Count the transfers out of a subtree, one by one, as far as its side may see them (BEY-11)."""
    paths = {row.org_id: row.path for row in tx.execute(sa.text("SELECT * FROM org_directory"))}
    return Counter(
        (row.reason, row.state)
        for row in tx.execute(sa.text("SELECT * FROM transfers"))
        if str(org) in paths[row.source_branch_id].split(".")
        and (row.state not in ("checking", "refused") or row.initiator in ("source", "batch"))
    )


def expected(tx, known):
    """Compute the figures in Python, straight from the definitions of Annex F."""
    found = {org: Counter() for org in ORGS}
    paths = {org: row.path for org, row in directory.find(tx, ORGS).items()}
    for member, (branch, counts) in known.items():
        if not counts:
            continue
        latest = next(
            (
                row
                for row in store.of_member(tx, member)
                if row.state not in ("checking", "refused") and row.reason != "ordinary"
            ),
            None,
        )
        if latest is None:
            kind, stage, requested, target = "XS", "idle", False, ""
        else:
            kind = {"further_study": "SX", "abroad_study": ""}.get(latest.reason, "XS")
            stage = {
                "completed": "completed",
                "withdrawn": "ended",
                "rejected": "ended",
                "returned": "ended",
            }.get(latest.state, "open")
            requested = latest.state not in ("withdrawn", "rejected")
            target = paths.get(latest.target_branch_id or latest.target_org_id, "")
        for org in ORGS:
            found[org].update(
                contribution(
                    kind,
                    stage,
                    requested,
                    paths[branch].startswith(paths[org]),
                    target.startswith(paths[org]),
                )
            )
    return {org: {name: n for name, n in counter.items() if n} for org, counter in found.items()}


def test_words():
    """The figures of the page, of the contract and of the statements are the same."""
    assert set(figures_store.WHO) == set(FIGURES) == set(figures_store._SUMS)
    assert set(FIGURES) <= set(contract.Figures.__struct_fields__)
    assert set(figures_rules.STAGES) < set(FIGURES)
