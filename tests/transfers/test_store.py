"""What the statements that read transfers leave out: other organisations, other members, other nodes."""

import dataclasses
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from services.transfers import domain, handlers, store, trail, transitions, waiting
from services.transfers.figures import totals
from services.transfers.policies import store as policies_store
from services.transfers.policies.reader import NodePolicy, Phase, Policy
from services.transfers.saga import State
from shared import clock
from shared.messages.scheduler import ReminderDue
from shared.messages.transfers import Filter, ListStarted
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    OTHER,
    ROOT,
    SCHOOL,
    TARGET,
    admin,
    complete,
    decide,
    request,
    start,
)

LONG_AGO = datetime(1970, 1, 1, tzinfo=clock.now().tzinfo)
EVERYTHING = {"since": LONG_AGO, "until": datetime(9999, 1, 1, tzinfo=clock.now().tzinfo)}


def elsewhere(**values):
    """Return a start out of the branch that lies in no school, into the same committee."""
    return request(actor=admin(OTHER), source_branch_id=OTHER, reason="ordinary", **values)


def work(tx, org_id, **wanted):
    asked = waiting.wanted(org_id, Filter(**wanted))
    rows = waiting.listed(tx, asked, "arrived", (LONG_AGO, 0), 50, **EVERYTHING)
    return [row.transfer_id for row, _ in rows]


@pytest.mark.rule("TRF-31")
def test_work_is_of_the_state_that_is_wanted(tx):
    """TRF-31: a list of what waits may be of one kind of node only."""
    waits, assigns = start(tx, request(), request())
    decide(tx, assigns, TARGET)
    assert work(tx, TARGET) == [waits, assigns]
    assert work(tx, TARGET, state=str(State.IN)) == [waits]
    assert work(tx, TARGET, state=str(State.ASSIGN)) == [assigns]
    assert work(tx, TARGET, state=str(State.OUT)) == []


@pytest.mark.rule("MSG-04")
def test_what_waits_for_two_sides_is_counted_twice(tx):
    """MSG-04: what waits for an organisation itself and what waits below it add up."""
    (own, below) = start(tx, request(), request(target=BRANCH))
    assert waiting.work_counts(tx, TARGET) == ({"pending_in": 2}, 0)
    store.remind(tx, [ReminderDue(transfer_id=own, node_no=1, due_at=LONG_AGO)], clock.now())
    assert waiting.work_counts(tx, TARGET) == ({"pending_in": 2}, 1)
    store.remind(tx, [ReminderDue(transfer_id=below, node_no=1, due_at=LONG_AGO)], clock.now())
    assert waiting.work_counts(tx, TARGET) == ({"pending_in": 2}, 2)


@pytest.mark.rule("TRF-33")
def test_a_transfer_is_read_with_its_own_node(tx):
    """TRF-33: of two transfers at their first node each is read once, with the office that it waits for."""
    here, there = start(tx, request(target=BRANCH), elsewhere())
    found = store.many(tx, [here, there])
    assert {one: row.waiting_org_id for one, row in found.items()} == {here: BRANCH, there: TARGET}
    assert [row.transfer_id for row in store.of_member(tx, found[here].member_id)] == [here]
    # somebody who may not decide is told why, once an item, and of the transfer that was meant
    assert decide(tx, there, SCHOOL).refusal.code == "unknown_transfer"
    assert decide(tx, here, CLASS).refusal.code == "not_your_node"
    why = store.explain(
        tx, [transitions.Item(n=0, transfer_id=here), transitions.Item(n=1, transfer_id=there)]
    )
    assert [why[n].node_org_id for n in (0, 1)] == [BRANCH, TARGET]


def test_own_transfers_begin_with_the_newest(tx):
    """A member's own transfers, the newest first, whatever its number is."""
    member = 4711
    (first,) = start(tx, request(member=member))
    decide(tx, first, TARGET, approve=False, reason_code="not_here")
    (second,) = start(tx, request(member=member))
    assert [row.transfer_id for row in store.of_member(tx, member)] == [second, first]
    tx.execute(
        sa.text("UPDATE transfers SET created_at = created_at + interval '1 day' WHERE transfer_id = :first"),
        {"first": first},
    )
    assert [row.transfer_id for row in store.of_member(tx, member)] == [first, second]


@pytest.mark.rule("TRF-29", "TRF-32")
def test_lists_are_of_one_organisation_and_its_branches(tx):
    """TRF-29, TRF-32: out of or into an organisation and its own branches, page by page."""
    ours = start(tx, request(), request(target=BRANCH))
    (theirs,) = start(tx, elsewhere())

    def listed(side, org_id, after=0):
        return [row.transfer_id for row in store.started(tx, org_id, ListStarted(side=side, after=after), 50)]

    assert listed("source", SCHOOL) == ours[::-1]
    assert listed("source", CLASS) == ours[::-1]
    assert listed("source", ROOT) == [theirs]
    assert listed("target", TARGET) == [theirs, *ours[::-1]]
    assert listed("target", BRANCH) == [ours[1]]
    # the next page begins after the last that was shown
    assert listed("source", SCHOOL, after=ours[1]) == [ours[0]]
    assert listed("source", SCHOOL, after=ours[0]) == []


@pytest.mark.rule("BEY-11")
def test_counts_are_of_one_subtree(tx):
    """BEY-11: transfers are counted where they come from: in a subtree with its top, nowhere else."""
    start(tx, request(), request(), elsewhere())

    def counted(org, path):
        return {(row.reason, row.state): row.transfers for row in store.counts(tx, org, path)}

    ours, theirs = ("further_study", "pending_in"), ("ordinary", "pending_in")
    for _ in range(2):
        assert counted(ROOT, "1.") == {ours: 2, theirs: 1}
        assert counted(SCHOOL, "1.2.") == counted(CLASS, "1.2.3.") == {ours: 2}
        assert counted(OTHER, "1.7.") == {theirs: 1}
        assert counted(TARGET, "1.4.") == {}
        totals.follow(tx)  # and then they stand in the sums


@pytest.mark.rule("ASG-07")
@pytest.mark.parametrize(
    ("kind", "purpose", "path", "deleted", "has"),
    [
        ("branch", "ordinary", "1.8.81.", False, True),
        ("branch", "ordinary", "1.8.80.81.", False, True),
        ("branch", "graduate", "1.8.81.", False, False),
        ("branch", "vault", "1.8.81.", False, False),
        ("general_branch", "ordinary", "1.8.81.", False, False),
        ("branch", "ordinary", "1.8.81.", True, False),
        ("branch", "ordinary", "1.88.81.", False, False),
    ],
)
def test_has_branch(tx, kind, purpose, path, deleted, has):
    """ASG-07: a branch below the organisation that members can be assigned to."""
    tx.execute(sa.text("DELETE FROM org_directory"))
    tx.execute(
        sa.text(
            "INSERT INTO org_directory (org_id, parent_id, path, kind, purpose, province, system, name,"
            " version, deleted) VALUES (81, 8, :path, :kind, :purpose, '42', 'national', '81', 1, :deleted)"
        ),
        {"path": path, "kind": kind, "purpose": purpose, "deleted": deleted},
    )
    assert store.has_branch(tx, "1.8.") is has


@pytest.mark.rule("BEY-17")
def test_only_open_transfers_of_the_branch_go_to_its_new_superior(tx):
    """BEY-17: what is open goes with the organisation that moves; what has ended stays as it was decided."""
    ended, open_one = start(tx, request(target=BRANCH), request(target=BRANCH))
    (other,) = start(tx, elsewhere())
    decide(tx, ended, TARGET)
    complete(tx, ended)
    store.reroute(tx, [store.Moving(CLASS, OTHER), store.Moving(BRANCH, SCHOOL)])
    found = {
        row.transfer_id: (row.source_superior_id, row.target_superior_id)
        for row in store.many(tx, [ended, open_one, other]).values()
    }
    assert found == {ended: (SCHOOL, TARGET), open_one: (OTHER, SCHOOL), other: (ROOT, None)}


@pytest.mark.rule("BEY-10")
def test_the_proof_reads_every_line_once(tx):
    """BEY-10: the trails are read in ranges of 2,000 ids; those at an edge are read once, too."""
    tx.execute(sa.text("SELECT setval(pg_get_serial_sequence('transfers', 'transfer_id'), 1998)"))
    some = start(tx, request(), request(), request())
    assert some == [1999, 2000, 2001]
    assert trail.verify_audit(tx) == (6, [])
    # as somebody who owns the tables: one loses its trail, the trail of another its transfer
    tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
    tx.execute(sa.text("DELETE FROM audit WHERE transfer_id = 2000"))
    assert trail.verify_audit(tx) == (4, [2000])


@pytest.mark.rule("BEY-10")
def test_the_last_transfer_without_a_trail(tx):
    """BEY-10: the last of all is named, too, if its whole trail is gone."""
    some = start(tx, request(), request())
    tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
    tx.execute(sa.text("DELETE FROM audit WHERE transfer_id = :last"), {"last": some[-1]})
    assert trail.verify_audit(tx) == (2, [some[-1]])


@pytest.mark.rule("BEY-10")
def test_a_trail_at_an_edge_that_lost_its_transfer(tx):
    """BEY-10: of the ids at the edge of a range those are named, too, whose transfer is gone."""
    tx.execute(sa.text("SELECT setval(pg_get_serial_sequence('transfers', 'transfer_id'), 1999)"))
    assert start(tx, request()) == [2000]
    tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
    tx.execute(sa.text("DELETE FROM transfers WHERE transfer_id = 2000"))
    assert trail.verify_audit(tx) == (0, [2000])


@pytest.mark.rule("DL-11")
def test_a_node_opened_when_a_phase_begins_is_of_that_phase(tx):
    """DL-11: the rule of a phase holds from its first instant on, not from the one after."""
    node = NodePolicy(None, None, None, "remind")
    early = Phase("early", (1, 1), (6, 30), True, "first_decision")
    late = Phase("late", (7, 1), (12, 31), True, "completed")
    policy = Policy(
        "edges", "1", "DL-11", dict.fromkeys(State.__members__.values(), node), phases=(early, late)
    )
    policies_store.hold(tx, policy, clock.now())
    july = datetime(2027, 6, 30, 16, tzinfo=clock.now().tzinfo)  # midnight in China
    chosen = transitions.rule_of("''", ":policy", "'pending_in'", "CAST(:at AS timestamptz)")

    def withdraw(at):
        return tx.scalar(sa.text(f"SELECT withdraw FROM {chosen} AS found"), {"policy": policy.key, "at": at})

    assert withdraw(july - timedelta(microseconds=1)) == "first"
    assert withdraw(july) == "yes"


@pytest.mark.rule("FED-06")
def test_a_typed_name_is_kept_as_it_was_typed(tx):
    """FED-06: what only another system may know is stored and shown to the letter."""
    name = "共青团北京某某大学  委员会"
    asked = request(target=None, target_system="BJ", target_name=name)
    facts = handlers.facts_of(tx, [CLASS, TARGET])
    there = dataclasses.replace(facts[TARGET], system="BJ")
    plan = domain.planned(asked.item, facts[CLASS], there)
    policy = policies_store.active(tx, clock.now())
    row = handlers.request_row(0, asked.item, asked.actor.person_id, SCHOOL, plan, policy)
    (one,) = store.request(tx, [row]).values()
    shown = store.one(tx, one)
    assert (shown.peer, shown.target_name) == ("BJ", name)
    (other,) = start(tx, request())
    shown = store.one(tx, other)
    assert (shown.peer, shown.target_name) == ("", "")
