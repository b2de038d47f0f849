"""Members who go to another system: the nodes there, what its bridge says, and what it is told."""

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.transfers import handlers, store, waiting
from services.transfers.crossings import handlers as crossings
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.remarks import handlers as remarks
from shared import clock
from shared.bus.service import Asked
from shared.errors import KINDS
from shared.identity import Actor
from shared.messages import federation as told
from shared.messages import transfers as contract
from shared.messages.members import MemberMoved
from shared.messages.scheduler import DeadlineExpired
from tests.transfers.crossings.factories import (
    BEIJING,
    CANTON_BRANCH,
    COLLEGE,
    FUJIAN_BRANCH,
    THERE,
    awaited,
    handed_over,
    leave,
    said,
)
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
    events,
    request,
    state,
)


def withdraw(tx, one, actor):
    item = contract.WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=one)
    (outcome,) = handlers.withdraw_transfers(tx, [Asked(item, actor)])
    return outcome.refusal.code if outcome.refusal else outcome.state


def node(tx, one):
    return tx.execute(sa.text("SELECT * FROM open_nodes WHERE transfer_id = :one"), {"one": one}).one()


def accepted(one, peer="BJ"):
    return told.RemoteAccepted(transfer_id=one, peer=peer)


def refused(one, peer="BJ", code="not_here", note="查无此单位"):
    return told.RemoteRefused(transfer_id=one, peer=peer, code=code, note=note)


def sent_back(one, peer="BJ", code="unknown_member"):
    return told.RemoteSentBack(transfer_id=one, peer=peer, code=code)


def integrated(one, peer="BJ", branch=THERE):
    return told.RemoteIntegrated(transfer_id=one, peer=peer, branch_id=branch)


def receipted(one, peer="BJ"):
    return told.RemoteReceipted(transfer_id=one, peer=peer, at=clock.now())


# ---- starting ------------------------------------------------------------------------------------


@pytest.mark.rule("FED-01")
@pytest.mark.parametrize("target", [THERE, COLLEGE])
def test_the_node_stands_over_there(tx, target):
    """FED-01: what leaves waits at the other system's organisation, which the bridge makes an offer."""
    one = leave(tx, target=target)

    found = node(tx, one)
    assert (found.state, found.org_id, found.province, found.superior_id) == (
        "pending_remote",
        target,
        "11",
        None,
    )
    assert found.expires_at == found.opened_at + timedelta(days=10) and found.on_expiry == "return"
    ((topic, item),) = said(tx)
    row = store.one(tx, one)
    assert topic == "remote_opened"
    assert {**item, "started_at": None, "answer_by": None} == {
        "transfer_id": one,
        "member_id": row.member_id,
        "peer": "BJ",
        "source_branch_id": CLASS,
        "target_org_id": target,
        "target_name": "",
        "reason": "further_study",
        "place_name": "某大学",
        "place_address": "某地",
        "started_at": None,
        "answer_by": None,
    }
    assert item["answer_by"][:19] == found.expires_at.isoformat()[:19]
    assert [one["expires_at"] for topic, one in events(tx) if topic == "node_opened"] == [item["answer_by"]]


@pytest.mark.rule("FED-01")
def test_a_member_leaves_by_the_own_branch(tx):
    """FED-01: a member's start passes the own branch first; nothing is offered before."""
    one = leave(tx, "member")
    assert state(tx, one) == "pending_out" and said(tx) == []
    decide(tx, one, SCHOOL)
    assert state(tx, one) == "pending_remote" and [topic for topic, _ in said(tx)] == ["remote_opened"]
    path = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=one), admin(SCHOOL)).path
    assert [(step.state, step.org_id) for step in path] == [
        ("pending_out", CLASS),
        ("pending_remote", THERE),
        ("pending_handover", THERE),
    ]


@pytest.mark.rule("FED-06")
@pytest.mark.parametrize("initiator", ["source", "member"])
def test_a_typed_target(tx, initiator):
    """FED-06: what is not known here goes as it was typed to the system that was named, which finds it."""
    name = "共青团北京某大学计算机学院委员会"
    one = leave(tx, initiator, target=None, target_system="BJ", target_name=f" {name} ")
    if initiator == "member":
        decide(tx, one, SCHOOL)
    row = store.one(tx, one)
    assert (row.state, row.waiting_org_id, row.target_name, row.peer) == (
        "pending_remote",
        BEIJING,
        name,
        "BJ",
    )
    assert (row.reason_kind, row.concern) == ("graduate", "")
    ((_, item),) = said(tx, "remote_opened")
    assert (item["target_org_id"], item["target_name"]) == (BEIJING, name)
    crossings.on_remote_accepted(tx, [accepted(one)])
    crossings.on_remote_integrated(tx, [integrated(one)])
    assert store.one(tx, one).target_branch_id == THERE


@pytest.mark.parametrize(
    "asked, code",
    [
        ({"target_system": "FJ"}, "target_peer"),
        ({"target_system": "national"}, "system_missing"),
        ({"target_system": "BJ", "reason": "abroad_study"}, "abroad_study_target"),
        ({"target_system": "BJ", "target_name": " "}, "target_missing"),
    ],
)
def test_a_typed_target_is_refused(tx, asked, code):
    """FED-06: a name goes to a system that a bridge leads to, for a reason that leads there."""
    given = {"target": None, "target_name": "某大学", **asked}
    (outcome,) = handlers.request_transfers(tx, [request(actor=admin(SCHOOL), **given)])
    assert outcome.refusal.code == code


@pytest.mark.rule("FED-01")
@pytest.mark.parametrize(
    "asked, code",
    [
        ({"target": FUJIAN_BRANCH}, "target_peer"),
        ({"source_branch_id": FUJIAN_BRANCH, "target": BRANCH}, "target_peer"),
        ({"initiator": "target", "source_branch_id": THERE, "target": BRANCH}, "peer_starts"),
        ({"initiator": "member", "source_branch_id": THERE, "target": BRANCH}, "peer_starts"),
        ({"initiator": "target", "target": THERE}, "peer_starts"),
        ({"target": THERE, "source_branch_id": CANTON_BRANCH}, "peer_starts"),
        ({"target": BEIJING}, "target_not_allowed"),
    ],
)
def test_who_starts_across_a_border(tx, asked, code):
    """FED-01: from the system where the member is, to one that a bridge leads to; the refusal says so."""
    (outcome,) = handlers.request_transfers(tx, [request(**{"initiator": "source", **asked})])
    assert outcome.refusal.code == code
    assert "所在系统发起" in KINDS["peer_starts"].zh


def test_a_receiver_without_administrators_is_no_finding(tx):
    """BEY-01: that nobody here administers another system's organisation is nothing to look at."""
    one = leave(tx, "member", remark="13900000000")
    assert waiting.checks(tx, [one]) == {one: []}


# ---- nobody here decides -------------------------------------------------------------------------


def test_nobody_here_decides(tx):
    """FED-08: nobody here decides for another system, and each is told so."""
    waits, handing = leave(tx), handed_over(tx)
    for one in (waits, handing):
        before = state(tx, one)
        for org in (CLASS, SCHOOL):
            for approve in (True, False):
                outcome = decide(tx, one, org, approve=approve, reason_code="" if approve else "not_here")
                assert outcome.refusal.code == "decided_elsewhere"
        assert assign(tx, one, BRANCH, SCHOOL).refusal.code == "decided_elsewhere"
        assert decide(tx, one, TARGET).refusal.code == "unknown_transfer"
        assert state(tx, one) == before


@pytest.mark.rule("FED-09", "TRF-30")
def test_nobody_withdraws(tx):
    """FED-09, TRF-30: across a border nobody withdraws, at any node; the refusal says why."""
    asked, waits, handing = leave(tx, "member"), leave(tx), handed_over(tx)
    for one in (asked, waits, handing):
        before, member = state(tx, one), Actor(store.one(tx, one).member_id)
        for actor in (admin(SCHOOL), member):
            progress = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=one), actor)
            assert not progress.may_withdraw
            assert withdraw(tx, one, actor) == "peer_withdrawal"
        assert state(tx, one) == before


@pytest.fixture
def lenient(tx):
    """A policy that lets the starter withdraw until the other system has it in writing."""
    text = reader.read("national").body.replace('"2026.1"', '"lenient"\nfed_withdraw = true')
    made = reader.parse(text, "own")
    policies_store.hold(tx, made, clock.now() - timedelta(minutes=1))
    return made


@pytest.mark.rule("FED-09")
def test_the_starter_withdraws_where_the_policy_says_so(tx, lenient):
    """FED-09: with `fed_withdraw` the starter withdraws, and nobody else; the peer is told that it is off."""
    ours, theirs = leave(tx), leave(tx, "member")
    member = Actor(store.one(tx, theirs).member_id)
    assert withdraw(tx, ours, Actor(store.one(tx, ours).member_id)) == "not_initiator"
    assert withdraw(tx, theirs, admin(SCHOOL)) == "not_initiator"
    decide(tx, theirs, SCHOOL)
    assert withdraw(tx, theirs, member) == withdraw(tx, ours, admin(SCHOOL)) == "withdrawn"
    assert [(item["transfer_id"], item["cause"], item["peer"]) for _, item in said(tx, "crossing_ended")] == [
        (theirs, "withdraw", "BJ"),
        (ours, "withdraw", "BJ"),
    ]


@pytest.mark.rule("FED-09")
def test_what_the_peer_has_in_writing_stays(tx, lenient):
    """FED-09: from the peer's receipt on nobody withdraws, also after a policy is applied to what is open."""
    one, other = leave(tx), leave(tx)
    crossings.on_remote_receipted(tx, [receipted(one), receipted(one), receipted(other, "GD")])
    assert withdraw(tx, one, admin(SCHOOL)) == "peer_withdrawal"
    policies_store.apply_to_open(tx, lenient, clock.now())
    assert withdraw(tx, one, admin(SCHOOL)) == "peer_withdrawal"
    assert withdraw(tx, other, admin(SCHOOL)) == "withdrawn", "another system's receipt is none"


# ---- what the other system says ------------------------------------------------------------------


def test_to_the_end(tx):
    """FED-10: accepted over there, handed over, integrated into a branch of theirs, moved here."""
    one = leave(tx, target=COLLEGE)
    crossings.on_remote_accepted(tx, [accepted(one)])
    found = node(tx, one)
    assert (found.state, found.org_id, found.province) == ("pending_handover", COLLEGE, "11")
    assert (found.expires_at, found.on_expiry) == (None, "remind")
    member = store.one(tx, one).member_id
    assert said(tx, "handover_opened") == [
        ("handover_opened", {"transfer_id": one, "member_id": member, "peer": "BJ"})
    ]
    crossings.on_remote_integrated(tx, [integrated(one)])
    assert state(tx, one) == "moving"
    (assigned,) = [item for topic, item in events(tx) if topic == "branch_assigned"]
    assert (assigned["transfer_id"], assigned["branch_id"]) == (one, THERE)
    handlers.on_member_moved(tx, [MemberMoved(transfer_id=one, member_id=member, branch_id=THERE)])
    row = store.one(tx, one)
    assert (row.state, row.target_branch_id) == ("completed", THERE)
    assert [topic for topic, _ in said(tx)] == ["remote_opened", "handover_opened"], "the rest it knows"


@pytest.mark.rule("FED-12")
def test_what_the_old_branch_reads(tx):
    """FED-12: of who has left it finds where the membership was and went, and nothing to reach them by."""
    one = handed_over(tx, contact="199 0000 0001", remark="住亲属家中")
    member = store.one(tx, one).member_id

    def read(actor):
        item = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=one), actor).transfer
        return item.source_branch_id, item.target_org_id, item.contact, item.place_address, item.remark

    def listed(org):
        found = handlers.list_started(tx, contract.ListStarted(side="source"), admin(org))
        return next((item.contact, item.remark) for item in found if item.transfer_id == one)

    whole, own = (CLASS, THERE, "199 0000 0001", "某地", "住亲属家中"), Actor(member)
    assert read(admin(CLASS)) == read(own) == whole and listed(SCHOOL) == ("199 0000 0001", "住亲属家中")

    crossings.on_remote_integrated(tx, [integrated(one)])
    handlers.on_member_moved(tx, [MemberMoved(transfer_id=one, member_id=member, branch_id=THERE)])

    assert read(own) == whole
    for org in (CLASS, SCHOOL):
        assert read(admin(org)) == (CLASS, THERE, "", "", "") and listed(org) == ("", "")


def test_refused_over_there(tx):
    """FED-10: the peer's reason is the member's; the member is let go; the peer is not told its own word."""
    waits, handing, back = leave(tx), handed_over(tx), handed_over(tx)
    crossings.on_remote_refused(tx, [refused(waits), refused(handing, code="given_up", note="")])
    crossings.on_remote_sent_back(tx, [sent_back(back)])
    rows = [store.one(tx, one) for one in (waits, handing, back)]
    assert [(row.state, row.end_code, row.end_note) for row in rows] == [
        ("rejected", "not_here", "查无此单位"),
        ("rejected", "given_up", ""),
        ("rejected", "unknown_member", ""),
    ]
    let_go = [item["transfer_id"] for topic, item in events(tx) if topic == "transfer_rejected"]
    assert sorted(let_go) == sorted([waits, handing, back])
    assert said(tx, "crossing_ended") == []
    again = request(member=rows[0].member_id, target=TARGET)
    assert handlers.request_transfers(tx, [again])[0].refusal is None
    steps = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=waits), admin(SCHOOL)).steps
    assert [(step.event, step.person_id, step.note) for step in steps][-1] == (
        "refused_there",
        None,
        "查无此单位",
    )


def test_only_its_own_system_is_heard(tx):
    """FED-10: what another system says of a transfer, or of one that crosses nothing, changes nothing."""
    waits, handing = leave(tx), handed_over(tx)
    (ours,) = handlers.request_transfers(tx, [request()])
    for one in (waits, handing, ours.transfer_id, 10**9):
        before = store.one(tx, one)
        for handler, item in (
            (crossings.on_remote_accepted, accepted(one, "GD")),
            (crossings.on_remote_refused, refused(one, "GD")),
            (crossings.on_remote_sent_back, sent_back(one, "GD")),
            (crossings.on_remote_integrated, integrated(one, "GD", CANTON_BRANCH)),
            (crossings.on_peer_called_off, told.PeerCalledOff(transfer_id=one, peer="GD", code="other")),
        ):
            handler(tx, [item])
        assert store.one(tx, one) == before


def test_only_a_branch_of_its_own(tx):
    """FED-10: nobody is moved by another system into a branch that is not that system's."""
    one = handed_over(tx)
    for branch in (BRANCH, CANTON_BRANCH, COLLEGE, 999):
        with pytest.raises(LookupError, match=f"BJ has no branch {branch}"):
            crossings.on_remote_integrated(tx, [integrated(one, branch=branch)])
    assert state(tx, one) == "pending_handover"


@pytest.mark.parametrize("late", ["accepted", "refused", "sent_back", "integrated"])
def test_late_and_again(tx, late):
    """FED-11: what comes again, or after the end, changes nothing; nor does what the state does not allow."""
    handler, item = {
        "accepted": (crossings.on_remote_accepted, accepted),
        "refused": (crossings.on_remote_refused, refused),
        "sent_back": (crossings.on_remote_sent_back, sent_back),
        "integrated": (crossings.on_remote_integrated, integrated),
    }[late]
    ended = leave(tx)
    crossings.on_remote_refused(tx, [refused(ended)])
    moved = handed_over(tx)
    crossings.on_remote_integrated(tx, [integrated(moved)])
    asked = leave(tx, "member")
    waits = [leave(tx)] if late in ("sent_back", "integrated") else []
    rows = [store.one(tx, one) for one in (ended, moved, asked, *waits)]
    handler(tx, [item(row.transfer_id) for row in rows for _ in range(2)])
    assert [store.one(tx, row.transfer_id) for row in rows] == rows


# ---- the clock -----------------------------------------------------------------------------------


def expire(tx, one):
    """Let a node's time be over, if it has any, and the clock say so."""
    now = clock.now()
    tx.execute(
        sa.text("UPDATE open_nodes SET expires_at = :at WHERE transfer_id = :one AND on_expiry <> 'remind'"),
        {"at": now - timedelta(seconds=1), "one": one},
    )
    row = store.one(tx, one)
    handlers.on_deadline_expired(tx, [DeadlineExpired(transfer_id=one, node_no=row.node_no, due_at=now)])


@pytest.mark.rule("DL-08")
def test_the_clock_returns_what_is_not_answered(tx):
    """DL-08: what the other system does not answer returns, and it is told; a hand-over never does."""
    waits, handing = leave(tx), handed_over(tx)
    expire(tx, waits)
    expire(tx, handing)
    assert (state(tx, waits), state(tx, handing)) == ("returned", "pending_handover")
    ((_, item),) = said(tx, "crossing_ended")
    assert (item["transfer_id"], item["cause"], item["code"]) == (waits, "clock_return", "deadline")


# ---- beside it -----------------------------------------------------------------------------------


def test_progress_is_shown(tx):
    """FED-13: at whose desk it lies over there is shown with the number to call, each message once."""
    one = leave(tx)
    since = clock.now().replace(microsecond=0)

    def step(seq, name, peer="BJ"):
        return told.RemoteProgress(
            transfer_id=one, peer=peer, seq=seq, organisation=name, phone="010-1234", since=since
        )

    crossings.on_remote_progress(tx, [step(2, "北京某大学团委"), step(1, "北京团市委")])
    crossings.on_remote_progress(tx, [step(2, "北京某大学团委"), step(3, "广东", "GD")])
    shown = handlers.get_transfer(tx, contract.GetTransfer(transfer_id=one), admin(SCHOOL)).remote
    assert [(line.organisation, line.phone, line.since, line.until) for line in shown] == [
        ("北京团市委", "010-1234", since, None),
        ("北京某大学团委", "010-1234", since, None),
    ]


@pytest.mark.rule("FED-13")
@pytest.mark.parametrize("which", ["pending_remote", "pending_handover", "pending_arrival"])
def test_nobody_is_urged_over_there(tx, which):
    """FED-13: neither starter nor member urges anybody in another system, nor does a superior in one go."""
    made = {"pending_remote": leave, "pending_handover": handed_over, "pending_arrival": awaited}
    one = made[which](tx)
    tx.execute(sa.text("UPDATE open_nodes SET opened_at = opened_at - interval '40 days', expires_at = NULL"))
    before = store.steps(tx, one)
    for actor, code in (
        (Actor(store.one(tx, one).member_id), "urged_elsewhere"),
        (admin(TARGET if which == "pending_arrival" else SCHOOL), "urged_elsewhere"),
        (admin(OTHER), "unknown_transfer"),
    ):
        item = contract.UrgeTransfer(decision_id=uuid.uuid4(), transfer_id=one)
        (outcome,) = remarks.urge_transfers(tx, [Asked(item, actor)])
        assert outcome.refusal.code == code
    below = contract.UrgeBelow(decision_id=uuid.uuid4(), org_id=ROOT)
    assert [one.nodes for one in remarks.urge_below(tx, [Asked(below, admin(ROOT))])] == [0]
    assert store.steps(tx, one) == before


def test_nobody_stands_above_two_systems(tx):
    """FED-01, BEY-06: a refusal of another system is handed to no superior; a start again is as any start."""
    one = leave(tx, "member")
    decide(tx, one, SCHOOL)
    crossings.on_remote_refused(tx, [refused(one)])
    member = Actor(store.one(tx, one).member_id)
    item = contract.Escalate(decision_id=uuid.uuid4(), transfer_id=one, note="请协调")
    (outcome,) = remarks.escalate_transfers(tx, [Asked(item, member)])
    assert outcome.refusal.code == "not_escalatable"
    again = contract.RestartTransfer(command_id=uuid.uuid4(), transfer_id=one)
    (outcome,) = remarks.restart_transfers(tx, [Asked(again, member)])
    assert outcome.refusal is None
