"""Policies on a database: what holds, what does not and why, and what a change would do.

What changes between two policies, and what one would do to the open nodes.
"""

import uuid
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa

from services.transfers import handlers, store, transitions
from services.transfers.policies import calendar, reader
from services.transfers.policies import handlers as policies
from services.transfers.policies import store as policies_store
from services.transfers.remarks import handlers as remarks
from services.transfers.saga import NODES, State
from shared import clock
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.transfers import GetPolicy, MoveBatch, RestartTransfer, WithdrawTransfer
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    DEEP,
    ELSEWHERE,
    HERE,
    OTHER,
    ROOT,
    SCHOOL,
    TARGET,
    THERE,
    admin,
    decide,
    events,
    request,
    start,
)

GOOD = (reader.Path(reader.__file__).parent / "national.toml").read_text("utf-8")


@pytest.mark.rule("DL-01", "BEY-07")
@pytest.mark.parametrize("name", reader.known())
def test_presets_hold(name):
    """DL-01, BEY-07: every preset holds, is dated and cites its source."""
    policy = reader.read(name)
    assert policy.version and "DL-01" in policy.source and set(policy.nodes) == set(NODES)
    assert policy.nodes[State.ASSIGN].on_expiry == "remind"


@pytest.mark.rule("DL-01", "DL-05", "DL-09")
def test_what_the_presets_say():
    """DL-01: fifteen days and approved in 2019 and 2020, ten days and returned since.

    DL-09: the province times out only in the former.
    """
    days = {
        name: (
            reader.read(name).nodes[State.IN].expire_after_days,
            reader.read(name).nodes[State.IN].on_expiry,
            reader.read(name).nodes[State.PROVINCE].expire_after_days,
        )
        for name in reader.known()
    }
    assert days == {
        "national": (10, "return", None),
        "p000": (15, "approve", 15),
        "p001": (15, "approve", 15),
        "p002": (10, "return", None),
        "p003": (10, "return", None),
        "p004": (10, "return", None),
    }


@pytest.mark.rule("DL-08")
def test_presets_of_other_systems():
    """DL-08, FED-08: another system has as long as an office here, and then the transfer returns.

    A file from before the bridges says nothing of it and means the same, so it keeps its version.
    """
    for name in reader.known():
        held = reader.read(name)
        receiving, remote = held.nodes[State.IN], held.nodes[State.REMOTE]
        days = 15 if name in ("p000", "p001") else 10
        assert (remote.expire_after_days, remote.on_expiry) == (days, "return"), name
        assert remote.remind_after_days == receiving.remind_after_days
        assert {held.nodes[state].on_expiry for state in (State.HANDOVER, State.ARRIVAL)} == {"remind"}
        assert held.nodes[State.HANDOVER].expire_after_days is None
        assert replace(reader.parse(before_the_bridges(held.body), name), body=held.body) == held


def before_the_bridges(text: str) -> str:
    """Return a policy as it was written before there were nodes of other systems."""
    begins = text.index("[node.pending_remote]")
    last = 'on_expiry = "return"\n'
    return text[:begins] + text[text.index(last, begins) + len(last) :]


@pytest.mark.rule("BEY-07")
def test_what_an_older_version_stored(tx):
    """BEY-07: a policy stored before there were bridges goes on to hold, under the same version.

    What it says of kinds of nodes that are newer is made known when the service starts.
    """
    older = {"body": before_the_bridges(GOOD)}
    tx.execute(sa.text("UPDATE policies SET body = :body WHERE key = 'national@2026.1'"), older)
    tx.execute(sa.text("DELETE FROM node_rules WHERE state = 'pending_remote'"))
    policies_store.save_known(tx)
    kept = tx.execute(
        sa.text("SELECT expire_after, on_expiry FROM node_rules WHERE state = 'pending_remote'")
    )
    assert [tuple(row) for row in kept] == [(timedelta(days=10), "return")]
    policies_store.hold(tx, reader.read("national"), clock.now())


@pytest.mark.rule("BEY-07", "ASG-04")
@pytest.mark.parametrize(
    "old, new, problem",
    [
        ('version = "2026.1"\n', "", "line 1: version is missing"),
        ("[node.pending_in]", "[node.pending_inn]", "line 10: [node.pending_inn] is no node"),
        ("[node.pending_in]", "[node.pending_inn]", "line 1: [node.pending_in] is missing"),
        ("expire_after_days = 10", "expire_after_days = -10", "line 7: expire_after_days is -10"),
        ("expire_after_days = 10", 'expire_after_days = "ten"', "line 7: expire_after_days is 'ten'"),
        ('on_expiry = "return"', 'on_expiry = "forget"', "line 8: on_expiry is 'forget'"),
        (
            "expire_after_days = 10\n",
            "",
            "line 7: expire_after_days and an on_expiry of return or approve go together",
        ),
        (
            "remind_after_days = 7",
            "remind_after_days = 12",
            "line 6: the first reminder would come with or after the deadline",
        ),
        (
            "remind_after_days = 7",
            "remind_afterr_days = 7",
            "line 6: remind_afterr_days is not an entry of a node",
        ),
        (
            "[node.pending_assign]\n",
            "[node.pending_assign]\nexpire_after_days = 10\n",
            "line 24: expire_after_days and an on_expiry",
        ),
        ("[node.pending_out]", "[node.pending_out", "at line 5"),
    ],
)
def test_what_does_not_hold(tmp_path, old, new, problem):
    """BEY-07: a file that does not hold is refused with its line and the reason."""
    assert old in GOOD
    file = tmp_path / "own.toml"
    file.write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(reader.PolicyError) as caught:
        reader.load(file)
    assert any(problem in line and line.startswith("own.toml") for line in caught.value.problems), (
        caught.value.problems
    )


def test_the_clock_never_assigns(tmp_path):
    """ASG-04: whatever days are given, no policy lets the clock assign a branch."""
    file = tmp_path / "own.toml"
    head, _, tail = GOOD.rpartition('on_expiry = "remind"')
    file.write_text(head + 'expire_after_days = 20\non_expiry = "approve"' + tail, "utf-8")
    with pytest.raises(reader.PolicyError, match="never assigns"):
        reader.load(file)


@pytest.mark.rule("BEY-07")
def test_differences():
    """BEY-07: two policies are compared entry by entry."""
    assert reader.differences(reader.read("national"), reader.read("national")) == []
    lines = reader.differences(reader.read("national"), reader.read("p000"))
    assert "node.pending_in.expire_after_days: 10 -> 15" in lines
    assert "node.pending_province.on_expiry: remind -> approve" in lines


@pytest.mark.rule("BEY-07")
def test_dry_run(tx):
    """BEY-07: how many open nodes would get another deadline, and which would be past or due within 72 hours.

    Nothing is changed.
    """
    start(tx, request(), request(), request("member", target=BRANCH))
    before = tx.execute(sa.text("SELECT * FROM open_nodes ORDER BY transfer_id")).all()

    def run(name, now=None):
        return {
            row.state: (row.open, row.moved, row.earlier, row.overdue, row.soon, row.other_action)
            for row in policies_store.dry_run(tx, reader.read(name), now or clock.now())
        }

    assert run("national") == {"pending_in": (2, 0, 0, 0, 0, 0), "pending_out": (1, 0, 0, 0, 0, 0)}
    assert run("p000") == {"pending_in": (2, 2, 0, 0, 0, 2), "pending_out": (1, 1, 0, 0, 0, 1)}
    assert run("national", clock.now() + timedelta(days=8))["pending_in"] == (2, 0, 0, 0, 2, 0)
    assert run("national", clock.now() + timedelta(days=11))["pending_in"] == (2, 0, 0, 2, 2, 0)
    assert tx.execute(sa.text("SELECT * FROM open_nodes ORDER BY transfer_id")).all() == before


@pytest.mark.rule("BEY-07")
def test_applying_to_open_nodes(tx):
    """BEY-07: applied to open nodes a policy changes their deadlines and tells the scheduler.

    None fires within 72 hours, and none is put off by that.
    """
    (one,) = start(tx, request())
    # Six days old: with five days the deadline has passed already, so the node gets the least, 72 hours.
    tx.execute(
        sa.text("UPDATE open_nodes SET opened_at = :at, expires_at = :at + interval '10 days'"),
        {"at": clock.now() - timedelta(days=6)},
    )
    short = reader.parse(
        GOOD.replace("expire_after_days = 10", "expire_after_days = 5")
        .replace("remind_after_days = 7", "remind_after_days = 3")
        .replace("2026.1", "2026.2"),
        "short",
    )
    policies_store.hold(tx, short, clock.now())
    policies_store.save_rules(tx, short)
    now = clock.now()

    row = policies_store.apply_to_open(tx, short, now)

    node = tx.execute(sa.text("SELECT * FROM open_nodes WHERE transfer_id = :one"), {"one": one}).one()
    assert (row.done, row.moved, row.last) == (1, 1, one)
    assert node.expires_at == now + timedelta(hours=72) and node.revision == 1
    assert store.one(tx, one).policy == "short@2026.2"
    told = [item for topic, item in events(tx) if topic == "node_opened"]
    assert told[-1]["revision"] == 1 and told[-1]["expires_at"][:16] == node.expires_at.isoformat()[:16]
    assert policies_store.apply_to_open(tx, short, now, row.last).done == 0
    again = policies_store.apply_to_open(tx, short, now)
    assert again.done == 1
    deadline = tx.scalar(sa.text("SELECT expires_at FROM open_nodes"))
    assert deadline == node.expires_at, "the grace is given once, not again and again"


@pytest.mark.rule("BEY-07")
def test_a_version_never_changes(tx):
    """BEY-07: another text under the same name and version is refused.

    The newest that has begun holds; one of the future does not yet.
    """
    changed = reader.parse(GOOD.replace("expire_after_days = 10", "expire_after_days = 9"), "national")
    with pytest.raises(ValueError, match="new version"):
        policies_store.hold(tx, changed, clock.now())
    policies_store.hold(tx, reader.read("p002"), clock.now() + timedelta(days=30))
    assert policies_store.active(tx, clock.now()).key == "national@2026.1"
    assert policies_store.active(tx, clock.now() + timedelta(days=31)).key == "p002@002"


# ---- phases --------------------------------------------------------------------------------------


def china(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock.CHINA)


@pytest.mark.rule("DL-11", "DL-12", "DL-13")
@pytest.mark.parametrize(
    "name, opened, due",
    [
        ("p002", "2027-05-10T08:00", "2027-10-01T00:00"),
        ("p002", "2027-09-29T12:00", "2027-10-09T12:00"),
        ("p002", "2027-10-05T08:00", "2027-10-15T08:00"),
        ("p002", "2028-02-10T08:00", "2028-02-20T08:00"),
        ("p002", "2028-04-25T08:00", "2028-10-01T00:00"),
        ("p004", "2027-03-01T08:00", "2027-04-05T00:00"),
        ("p004", "2027-04-01T08:00", "2027-04-11T08:00"),
        ("p004", "2027-04-25T08:00", "2028-04-05T00:00"),
        ("national", "2027-07-01T08:00", "2027-07-11T08:00"),
    ],
)
def test_phases(tx, name, opened, due):
    """DL-11..13: in the first phases nobody is forced.

    What waits when the clock begins to run is returned then; what opens later, ten days after its
    opening.
    """
    policy = reader.read(name)
    assert calendar.deadline(policy, policy.nodes[State.IN], china(opened)) == china(due)
    policies_store.save_rules(tx, policy)
    # The same sum in SQL, as transitions make it: the two must never differ.
    no_province = "''"
    statement = sa.text(
        f"SELECT {transitions.DEADLINE.format(opened_at='CAST(:at AS timestamptz)')}"
        f" FROM {transitions.rule_of(no_province, ':policy', ':state', ':at')} AS r"
    )
    found = tx.scalar(statement, {"policy": policy.key, "state": "pending_in", "at": china(opened)})
    assert found == china(due)


@pytest.mark.rule("DL-11", "TRF-28")
@pytest.mark.parametrize(
    "name, state, withdraw",
    [
        ("p000", "pending_in", "first"),
        ("p000", "pending_assign", "no"),
        ("p002", "pending_assign", "yes"),
        ("p003", "pending_in", "yes"),
        ("p003", "pending_assign", "no"),
        ("p004", "pending_in", "yes"),
    ],
)
def test_until_when_one_may_withdraw(name, state, withdraw):
    """TRF-28: until the first decision (2019), the last approval (2023), or the end (002).

    DL-11: at any time in the first phase.
    """
    (piece, *_) = calendar.pieces(reader.read(name), reader.read(name).nodes[State(state)])
    assert calendar.withdrawal(reader.read(name), state, piece.withdraw_until) == withdraw


@pytest.mark.rule("DL-10")
def test_window():
    """DL-10: the window is information, unless the policy enforces it."""
    loose = reader.read("national")
    strict = reader.parse(GOOD.replace('version = "2026.1"', 'version = "2"\nenforce_window = true'), "own")
    days = [date(2027, 4, 30), date(2027, 5, 1), date(2027, 12, 31), date(2028, 1, 1)]
    assert [loose.in_window(day) for day in days] == [True] * 4
    assert [strict.in_window(day) for day in days] == [False, True, True, False]


@pytest.mark.rule("DL-10")
@pytest.mark.parametrize(
    "enforced, day, code",
    [
        (True, date(2027, 3, 1), "outside_window"),
        (True, date(2027, 5, 1), None),
        (False, date(2027, 3, 1), None),
    ],
)
def test_an_enforced_window_refuses(tx, monkeypatch, enforced, day, code):
    """DL-10: outside an enforced window no graduate's transfer starts, and the days are named.

    Neither singly, nor as a batch, nor again. Other transfers start; where the window is
    information, all do.
    """
    (ended,) = start(tx, request(member=7001))
    decide(tx, ended, TARGET, approve=False, reason_code="not_here")
    text = GOOD.replace('version = "2026.1"', f'version = "w"\nenforce_window = {str(enforced).lower()}')
    policies_store.hold(tx, reader.parse(text, "own"), clock.now())
    monkeypatch.setattr(clock, "today", lambda: day)

    (single,) = handlers.request_transfers(tx, [request()])
    (again,) = remarks.restart_transfers(
        tx, [Asked(RestartTransfer(command_id=uuid.uuid4(), transfer_id=ended), admin(SCHOOL))]
    )
    batch = MoveBatch(
        command_id=uuid.uuid4(),
        source_branch_id=BRANCH,
        member_ids=[7002],
        target_branch_id=DEEP,
        reason="employed_with_org",
        place_name="x",
        place_address="x",
    )
    (moved,) = handlers.move_batches(tx, [Asked(batch, admin(TARGET))])
    assert [one.refusal and one.refusal.code for one in (single, again, moved)] == [code] * 3
    assert code is None or ("5-1" in single.refusal.say() and "12-31" in single.refusal.say("en"))
    (other,) = handlers.request_transfers(tx, [request(reason="ordinary")])
    assert other.refusal is None


@pytest.mark.rule("BEY-07")
@pytest.mark.parametrize(
    "added, problem",
    [
        (
            '[[phase]]\nname = "a"\nfrom = "05-01"\nto = "08-31"\n'
            '[[phase]]\nname = "b"\nfrom = "09-02"\nto = "04-30"\n',
            "line 67: phase 'b' leaves a gap after 'a': it must begin on 09-01",
        ),
        (
            '[[phase]]\nname = "a"\nfrom = "05-01"\nto = "08-31"\n'
            '[[phase]]\nname = "b"\nfrom = "08-15"\nto = "04-30"\n',
            "line 67: phase 'b' overlaps 'a': it must begin on 09-01",
        ),
        (
            '[[phase]]\nname = "a"\nfrom = "05-01"\nto = "02-30"\n',
            "to is '02-30'; it must be a day of the year",
        ),
        ('[[phase]]\nname = "a"\nfrom = "05-01"\nto = "12-31"\n', "a single phase must cover the whole year"),
        (
            '[[phase]]\nname = "a"\nfrom = "05-01"\nto = "04-30"\nwithdraw_until = "never"\n',
            "withdraw_until is 'never'",
        ),
        ("[province.77.node.pending_in]\nexpire_after_days = 12\n", "77 is no province"),
        (
            "[province.65.node.pending_in]\nexpire_after_days = 31\n",
            "expire_after_days is 31; the national bounds are 7 to 30",
        ),
        ("[province.65.node.pending_inn]\nexpire_after_days = 12\n", "is no node"),
        ('[destination.further_study]\nmoon = "allow"\n', "moon is no class of destinations"),
        (
            '[destination.further_study]\ntownship = "perhaps"\n',
            "township is 'perhaps'; it must be one of forbid, warn, allow",
        ),
        ('[destination.holiday]\ntownship = "allow"\n', "holiday is not a reason"),
        ('[[target]]\nby = "10-31"\nwhat = "finished"\nreasons = "SX"\n', "what is 'finished'"),
    ],
)
def test_bad_seasons(added, problem):
    """BEY-07: each mistake of a season is named by line and reason.

    Gaps, overlaps, unknown provinces, days outside the bounds and others.
    """
    with pytest.raises(reader.PolicyError) as caught:
        reader.parse(GOOD + "\n" + added, "own")
    assert any(problem in line for line in caught.value.problems), caught.value.problems


@pytest.mark.rule("BEY-07")
def test_provinces_of_their_own(tx):
    """BEY-07: a province sets its own days within the national bounds.

    They hold for nodes whose organisation lies there, whoever started and from where.
    """
    own = reader.parse(
        GOOD.replace("2026.1", "own") + f"\n[province.{THERE}.node.pending_in]\nexpire_after_days = 20\n"
        f"\n[province.{HERE}.node.pending_out]\nexpire_after_days = 15\n",
        "own",
    )
    policies_store.hold(tx, own, clock.now())
    there, here, elsewhere = start(tx, request(), request("member", target=BRANCH), request(target=OTHER))

    def days():
        return {
            row.transfer_id: (row.province, (row.expires_at - row.opened_at).days)
            for row in tx.execute(sa.text("SELECT * FROM open_nodes"))
        }

    assert days() == {there: (THERE, 20), here: (HERE, 15), elsewhere: (ELSEWHERE, 10)}
    decide(tx, here, CLASS)
    assert days()[here] == (THERE, 20)
    assert f"province.{THERE}.node.pending_in.expire_after_days: none -> 20" in reader.differences(
        reader.read("national"), own
    )
    assert {
        (row.province, row.open, row.moved)
        for row in policies_store.dry_run(tx, reader.read("national"), clock.now())
    } == {(THERE, 2, 2), (ELSEWHERE, 1, 0)}


@pytest.mark.rule("TRF-28", "SPU-06")
def test_who_withdraws_by_policy(tx):
    """TRF-28: where the policy says so, a member withdraws only what the member has started.

    SPU-06: the own branch is left out where it says so.
    """
    entries = (
        'version = "own"',
        "member_may_withdraw_any = false",
        "spu_origin_node = false",
        'withdraw_until = "completed"',
    )
    own = reader.parse(GOOD.replace('version = "2026.1"', "\n".join(entries)), "own")
    policies_store.hold(tx, own, clock.now())
    by_school, by_member = start(tx, request(member=71), request("member", member=72, target=BRANCH))
    codes = [
        handlers.withdraw_transfers(
            tx, [Asked(WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=one), Actor(person))]
        )[0]
        for one, person in ((by_school, 71), (by_member, 72))
    ]
    assert [one.refusal and one.refusal.code for one in codes] == ["not_initiator", None]
    decide(tx, by_school, TARGET)
    (late,) = handlers.withdraw_transfers(
        tx, [Asked(WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=by_school), admin(SCHOOL))]
    )
    assert (late.refusal, late.state) == (None, "withdrawn"), (
        "until completed: also while the assignment waits"
    )
    (special,) = start(tx, request("member", target=None, reason="special_unit", remark="参军"))
    assert store.one(tx, special).state == State.PROVINCE


@pytest.mark.rule("TRF-28")
def test_withdrawn_before_the_first_decision_only(tx):
    """TRF-28: by the practice of 2019 a transfer is withdrawn only while its first node waits."""
    policies_store.hold(tx, reader.read("p000"), clock.now() - timedelta(seconds=1))
    early, late = start(
        tx, request("member", member=73, target=BRANCH), request("member", member=74, target=BRANCH)
    )
    decide(tx, late, CLASS)

    def withdraw(one, person):
        item = WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=one)
        return handlers.withdraw_transfers(tx, [Asked(item, Actor(person))])[0]

    assert withdraw(early, 73).state == "withdrawn"
    assert withdraw(late, 74).refusal.code == "too_late_to_withdraw"


@pytest.mark.rule("BEY-07")
def test_the_policy_is_shown_and_compared(tx):
    """BEY-07: everybody who acts sees the policy, since when it holds, and what another would change.

    Leading bodies see what it would do; nothing is kept of the trial.
    """
    start(tx, request())
    before = tx.scalar(sa.text("SELECT count(*) FROM node_rules"))
    view = policies.get_policy(tx, GetPolicy(compare="p002"), admin(ROOT))
    assert view.key == "national@2026.1"
    assert {node.state: node.expire_after for node in view.nodes}["pending_in"] == 10
    assert len(view.history) == 1
    assert any(line.startswith("phase start: none -> 05-01 to 08-31") for line in view.changes)
    assert [(effect.state, effect.open) for effect in view.effects] == [("pending_in", 1)]
    assert tx.scalar(sa.text("SELECT count(*) FROM node_rules")) == before
    assert policies.get_policy(tx, GetPolicy(compare="p002"), admin(SCHOOL)).effects == []
    with pytest.raises(Refused, match="unknown_policy"):
        policies.get_policy(tx, GetPolicy(compare="own"), admin(ROOT))
