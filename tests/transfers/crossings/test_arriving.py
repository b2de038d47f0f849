"""Members who come from another system: the same nodes here, then the record, and the figures."""

import uuid
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from services.transfers import handlers, store
from services.transfers.crossings import handlers as crossings
from services.transfers.figures import store as figures_store
from services.transfers.figures.rules import FIGURES
from services.transfers.policies import store as policies_store
from shared import clock
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages import federation as told
from shared.messages import transfers as contract
from shared.messages.members import MemberMoved, RecordRefused, RecordTaken, ReservationRefused
from shared.messages.scheduler import DeadlineExpired
from tests.transfers.crossings.factories import (
    BEIJING,
    CANTON_BRANCH,
    COLLEGE,
    THERE,
    awaited,
    come,
    hold,
    said,
    wanted,
)
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    OTHER,
    ROOT,
    SCHOOL,
    TARGET,
    VAULT,
    admin,
    assign,
    decide,
    events,
    state,
)

YEAR = clock.now().astimezone(clock.CHINA).year


def called_off(one, peer="BJ"):
    return told.PeerCalledOff(transfer_id=one, peer=peer, code="withdraw", note="本人放弃")


def taken(*ids):
    return [RecordTaken(transfer_id=one, member_id=1) for one in ids]


def moved(tx, one, branch=BRANCH):
    handlers.on_member_moved(tx, [MemberMoved(transfer_id=one, member_id=1, branch_id=branch)])


def answers(tx):
    return [(item["transfer_id"], item["code"], item["peer"]) for _, item in said(tx, "arrival_answered")]


# ---- starting ------------------------------------------------------------------------------------


@pytest.mark.rule("FED-08", "DL-08")
def test_to_a_committee(tx):
    """FED-08, DL-08: who comes passes approval, with its deadline, and assignment as any; then the record."""
    item = wanted()
    (one,) = come(tx, item)
    row = store.one(tx, one)
    assert (row.state, row.waiting_org_id, row.initiator, row.member_id) == (
        "pending_in",
        TARGET,
        "peer",
        item.member_id,
    )
    assert row.reason_kind == "any", "who is a graduate there is known there"
    assert row.expires_at == row.node_opened_at + timedelta(days=10) and row.on_expiry == "return"
    page = handlers.list_work(tx, contract.ListWork(), admin(TARGET))
    assert [(work.transfer_id, work.initiator, work.source_branch_id) for work in page.items] == [
        (one, "peer", THERE)
    ]
    assert decide(tx, one, TARGET).refusal is None
    assert state(tx, one) == "pending_assign" and said(tx, "arrival_accepted") == []
    desks = [item for _, item in said(tx, "arrival_waits")]
    assert [(item["transfer_id"], item["org_id"], item["peer"]) for item in desks] == [
        (one, TARGET, "BJ")
    ] * 2
    assert datetime.fromisoformat(desks[0]["until"]) == row.expires_at
    assert assign(tx, one, BRANCH).refusal is None

    row = store.one(tx, one)
    assert (row.state, row.waiting_org_id, row.target_branch_id) == ("pending_arrival", THERE, BRANCH)
    assert (row.expires_at, row.on_expiry) == (None, "remind")
    assert len(said(tx, "arrival_waits")) == 2, "it waits for the other system now, at no desk here"
    assert said(tx, "arrival_accepted") == [
        (
            "arrival_accepted",
            {"transfer_id": one, "member_id": item.member_id, "peer": "BJ", "branch_id": BRANCH},
        )
    ]
    assert decide(tx, one, TARGET, node_no=3).refusal.code == "decided_elsewhere"
    assert assign(tx, one, BRANCH).refusal.code == "decided_elsewhere"

    crossings.on_record_taken(tx, taken(one, one))
    assert state(tx, one) == "moving"
    assert [one["branch_id"] for topic, one in events(tx) if topic == "branch_assigned"] == [BRANCH]
    moved(tx, one)
    moved(tx, one)
    assert state(tx, one) == "completed"
    ((_, item),) = said(tx, "arrival_completed")
    assert (item["transfer_id"], item["branch_id"], item["peer"]) == (one, BRANCH, "BJ")
    assert said(tx, "crossing_ended", "remote_opened", "handover_opened") == []


@pytest.mark.rule("FED-08")
def test_to_a_branch(tx):
    """FED-08: a branch, or its superior, approves; without assignment the record is awaited."""
    (one,) = come(tx, wanted(BRANCH))
    assert decide(tx, one, TARGET).refusal is None
    assert state(tx, one) == "pending_arrival"
    ((_, item),) = said(tx, "arrival_accepted")
    assert item["branch_id"] == BRANCH
    ((_, desk),) = said(tx, "arrival_waits")
    assert desk["org_id"] == BRANCH, "the one desk at which it has lain; now it waits for the other system"


def test_a_request_is_answered_once_and_again(tx):
    """TRF-02, FED-11: told again it starts nothing more, and two for one person start one."""
    first = wanted(member_id=777)
    second = wanted(member_id=777, peer="GD", source=CANTON_BRANCH)
    crossings.on_peer_requested(tx, [first, second])
    ((one, _, _), _) = answers(tx)
    assert answers(tx) == [(one, "", "BJ"), (None, "transfer_open", "GD")]
    crossings.on_peer_requested(tx, [first])
    assert answers(tx)[2:] == [(one, "", "BJ")]
    assert tx.scalar(sa.text("SELECT count(*) FROM transfers WHERE member_id = 777")) == 1
    hold(tx, one)
    crossings.on_peer_called_off(tx, [called_off(one)])
    crossings.on_peer_requested(tx, [first])
    assert answers(tx)[3:] == [(one, "", "BJ")], "also after its end"


@pytest.mark.parametrize(
    "asked, code",
    [
        ({"target": 999}, "unknown_org"),
        ({"source": 999}, "unknown_org"),
        ({"target": ROOT}, "target_not_allowed"),
        ({"target": VAULT}, "target_not_allowed"),
        ({"target": COLLEGE}, "target_not_allowed"),
        ({"source": CANTON_BRANCH}, "target_not_allowed"),
        ({"source": CLASS}, "target_not_allowed"),
        ({"reason": "holiday"}, "unknown_reason"),
        ({"reason": "special_unit"}, "unknown_reason"),
    ],
)
def test_what_is_refused(tx, asked, code):
    """FED-08, TRF-15: a leading body, an unknown organisation or another system's start nothing.

    The same list starts what is right.
    """
    ids = come(tx, wanted(**asked), wanted(), held=False)
    assert ids[0] is None and ids[1] is not None
    assert [one[1] for one in answers(tx)] == [code, ""]


def test_nobody_here_starts_for_another_system(tx):
    """FED-08: only the bridge starts a peer's transfer; a request that says so is refused."""
    item = contract.RequestTransfer(
        command_id=uuid.uuid4(),
        initiator="peer",
        member_id=1,
        source_branch_id=THERE,
        target_org_id=TARGET,
        reason="further_study",
    )
    (outcome,) = handlers.request_transfers(tx, [Asked(item, admin(TARGET))])
    assert outcome.refusal.code == "bad_request"


# ---- how it ends ---------------------------------------------------------------------------------


def ended(tx):
    return [(item["transfer_id"], item["cause"], item["code"]) for _, item in said(tx, "crossing_ended")]


@pytest.mark.rule("FED-08")
def test_what_ends_here_is_told(tx):
    """FED-08, FED-10: rejection, clock and a member who cannot be held are told to the peer with why."""
    refused, idle = come(tx, wanted(), wanted())
    (unknown,) = come(tx, wanted(), held=False)
    decide(tx, refused, TARGET, approve=False, reason_code="short_term", note="仅实习")
    tx.execute(sa.text("UPDATE open_nodes SET expires_at = :now"), {"now": clock.now() - timedelta(hours=1)})
    handlers.on_deadline_expired(tx, [DeadlineExpired(transfer_id=idle, node_no=1, due_at=clock.now())])
    handlers.on_reservation_refused(
        tx, [ReservationRefused(transfer_id=unknown, member_id=1, code="member_elsewhere")]
    )
    assert ended(tx) == [
        (refused, "reject", "short_term"),
        (idle, "clock_return", "deadline"),
        (unknown, "unavailable", "member_elsewhere"),
    ]
    assert said(tx, "crossing_ended")[0][1]["note"] == "仅实习"


def test_a_record_that_cannot_be_taken(tx):
    """FED-14: a number that is active here ends it, and the record goes back with that reason."""
    one, early = awaited(tx), come(tx, wanted())[0]
    crossings.on_record_refused(
        tx, [RecordRefused(transfer_id=some, member_id=1, code="id_registered") for some in (one, early, one)]
    )
    crossings.on_record_taken(tx, taken(early))
    row = store.one(tx, one)
    assert (row.state, row.end_code) == ("rejected", "id_registered")
    assert state(tx, early) == "pending_in", "before anybody has agreed no record is taken"
    assert ended(tx) == [(one, "record_refused", "id_registered")]


def test_given_up(tx):
    """FED-11: an operator ends the wait for a record, in writing; a record that comes late moves nobody."""
    one, early = awaited(tx), come(tx, wanted())[0]
    crossings.on_arrival_given_up(
        tx,
        [
            told.ArrivalGivenUp(transfer_id=some, peer="BJ", person_id=9, note="对方电话确认不再移交")
            for some in (one, early)
        ],
    )
    crossings.on_record_taken(tx, taken(one))
    row = store.one(tx, one)
    assert (row.state, row.end_code, row.end_note) == ("rejected", "given_up", "对方电话确认不再移交")
    assert store.steps(tx, one)[-1].person_id == 9
    assert state(tx, early) == "pending_in" and ended(tx) == []


def test_called_off(tx):
    """FED-10: the system that sends ends it at every node here, also before members has answered."""
    (checking,) = come(tx, wanted(), held=False)
    asked, assigning = come(tx, wanted(), wanted())
    decide(tx, assigning, TARGET)
    arriving = awaited(tx)
    moving = awaited(tx)
    crossings.on_record_taken(tx, taken(moving))
    every = (checking, asked, assigning, arriving, moving)
    crossings.on_peer_called_off(tx, [called_off(one, "GD") for one in every])
    assert [state(tx, one) for one in every] == [
        "checking",
        "pending_in",
        "pending_assign",
        "pending_arrival",
        "moving",
    ]
    crossings.on_peer_called_off(tx, [called_off(one) for one in every])
    assert [state(tx, one) for one in every] == ["refused", "withdrawn", "withdrawn", "withdrawn", "moving"]
    assert {(store.one(tx, one).end_code, store.one(tx, one).end_note) for one in every[:4]} == {
        ("withdraw", "本人放弃")
    }
    hold(tx, checking)
    let_go = [item["transfer_id"] for topic, item in events(tx) if topic == "transfer_withdrawn"]
    assert sorted(let_go) == sorted([checking, asked, assigning, arriving]), "who was held late is let go"


@pytest.mark.rule("FED-09", "TRF-30")
def test_nobody_withdraws_who_comes(tx):
    """FED-09, TRF-30: neither the member nor anybody here withdraws what another system has started."""
    asked, arriving = come(tx, wanted())[0], awaited(tx)
    for one in (asked, arriving):
        for actor in (admin(TARGET), Actor(store.one(tx, one).member_id)):
            item = contract.WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=one)
            (outcome,) = handlers.withdraw_transfers(tx, [Asked(item, actor)])
            assert outcome.refusal.code == "peer_withdrawal"


# ---- figures -------------------------------------------------------------------------------------


def figures(tx, org):
    policy = policies_store.active(tx, clock.now())
    while figures_store.fold(tx, policy, clock.now(), 7):
        pass
    row = figures_store.of_org(tx, org, YEAR)
    return {name: getattr(row, name) for name in FIGURES if getattr(row, name)}


@pytest.mark.rule("FED-15")
def test_arrivals_in_the_figures(tx):
    """FED-15: who comes counts in C or F of every region above the target, the nation included.

    They are graduates of no region here; who comes for another reason counts nowhere.
    """
    study, work, _other, rejected = come(
        tx,
        wanted(),
        wanted(BRANCH, reason="employed_with_org"),
        wanted(OTHER, reason="job_change"),
        wanted(OTHER),
    )
    decide(tx, rejected, OTHER, approve=False, reason_code="short_term")
    for org in (ROOT, TARGET):
        assert figures(tx, org) == {"study_in": 1, "society_in": 1}, org
    assert figures(tx, BRANCH) == {"society_in": 1}
    for org in (SCHOOL, OTHER, BEIJING, COLLEGE, THERE):
        assert figures(tx, org) == {}, org
    decide(tx, work, BRANCH)
    crossings.on_record_taken(tx, taken(work))
    moved(tx, work)
    assert figures(tx, ROOT) == figures(tx, TARGET) == {"study_in": 1, "society_in": 1, "settled": 1}
    people = [
        (row.member_id, row.stage)
        for name in FIGURES
        for row in figures_store.people(tx, "1.", YEAR, name, 0, 10)
    ]
    ids = {one: store.one(tx, one).member_id for one in (study, work)}
    assert sorted(people) == sorted(
        [(ids[study], "open"), (ids[work], "completed"), (ids[work], "completed")]
    )
    assert figures_store.verify(tx, policies_store.active(tx, clock.now()), clock.now())[2] == []
    flow = tx.execute(sa.text("SELECT 1 FROM flows")).all()
    assert flow == [], "transfers out of a region: these come out of none here"
