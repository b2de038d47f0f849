"""What operators do: who may, what it does, what is written down, and what an attacker gets out of it."""

import json
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.federation import envelope
from services.federation.differences import Difference, Kind, keep, of_directory
from services.federation.operating import handlers, store
from services.federation.operating.desk import log_of
from services.federation.protocol import Act, Type
from services.federation.schemas import Line, Outcome
from shared import audit, clock
from shared.bus.service import Asked
from shared.messages import federation as contract
from shared.messages.limits import MAX_COUNT
from tests.federation.factories import DAY, NOW, message, sent_states
from tests.federation.operating.factories import (
    BRANCH,
    LOOKER,
    NOBODY,
    OURS,
    PROVINCE,
    ROOT,
    THEIRS,
    arrive,
    ask,
    depart,
    do,
    log_lines,
    told,
)

WHY = "已与对方电话核实,见值班记录"
EACH = {
    contract.pause_bridges: {},
    contract.resume_bridges: {},
    contract.send_again: {"subject": OURS},
    contract.decide_quarantine: {"subject": THEIRS, "seq": 2, "decision": "discarded"},
    contract.reconcile_now: {},
    contract.repair_differences: {"subject": OURS, "kind": "chain"},
    contract.release_members: {"subject": OURS},
    contract.give_up_arrivals: {"subject": THEIRS},
}
REASONED = [one for one in EACH if one not in (
    contract.resume_bridges, contract.send_again, contract.reconcile_now)]  # fmt: skip
TABLES = (
    "handovers",
    "sent",
    "received",
    "quarantine",
    "differences",
    "line",
    "wanted_days",
    "outbox",
    "audit_log",
    "handled_commands",
)
LONGEST = "这" * 1000


def fields(command, reason=WHY):
    return EACH[command] | ({} if command is contract.reconcile_now else {"reason": reason})


def line_of(own, state=Outcome.OPEN):
    return Line(
        subject=own,
        outcome=state,
        sender_seq=1,
        sender_head="a" * 64,
        receiver_seq=0,
        receiver_head="",
    )


@pytest.fixture
def everything(here, there):
    """A state in which each command has something to do."""
    depart(here)
    there.hear(*here.said(OURS))
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said(OURS))
    here.act(OURS, Act.HAND_OVER)
    sent_states(here, "receipted")
    arrive(here, there)
    key = there.bridge.keys.ring().signing(NOW)
    here.hear(message(key, Type.CALLED_OFF, subject=THEIRS, seq=2, prev="0" * 64))
    here.act(THEIRS, Act.ACCEPT)
    with here.engine.begin() as tx:
        tx.execute(
            sa.text("UPDATE handovers SET heard = heard || '{never_seen}' WHERE subject = :s"), {"s": OURS}
        )
        differs = Difference(OURS, Kind.CHAIN, line_of(OURS), line_of(OURS, Outcome.KEPT))
        keep(tx, clock.day_of(NOW), [differs], Kind, NOW)


@pytest.mark.parametrize("command", EACH, ids=lambda one: one.name)
@pytest.mark.rule("FED-11")
def test_operators_alone(here, everything, command):
    """Whoever does not administer the root organisation changes nothing and writes nothing."""
    before = snapshot(here)
    for actor, code in (
        (PROVINCE, "operators_only"),
        (BRANCH, "operators_only"),
        (LOOKER, "not_administrator"),
        (NOBODY, "not_administrator"),
    ):
        assert do(here, command, actor, **fields(command)) == code
    assert do(here, command, ROOT, peer="GD", **fields(command)) == "no_bridge"
    assert snapshot(here) == before


def snapshot(end):
    with end.engine.begin() as tx:
        return {
            table: [tuple(row) for row in tx.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1, 2"))]
            for table in TABLES
        }


@pytest.mark.parametrize("command", EACH, ids=lambda one: one.name)
@pytest.mark.rule("BEY-10")
def test_each_is_written_down_once(here, everything, command):
    """Who, what, of which transfer, and why; the same command again is answered as before."""
    if command is contract.resume_bridges:
        do(here, contract.pause_bridges, ROOT, reason=WHY)
    before, command_id = len(log_lines(here)), uuid4()

    first = do(here, command, ROOT, command_id=command_id, **fields(command))

    assert isinstance(first, int) and first > 0
    (line,) = log_lines(here)[before:]
    assert (line.person_id, line.org_id) == (ROOT.person_id, ROOT.org_id)
    assert line.note == ("" if command is contract.reconcile_now else WHY)
    assert line.ref.split()[:2] == ["bridge", "BJ"] and EACH[command].get("subject", "") in line.ref
    state = snapshot(here)
    assert do(here, command, ROOT, command_id=command_id, **fields(command)) == first
    assert snapshot(here) == state, "again"
    with here.engine.begin() as tx:
        log_of("BJ").tell_heads(tx)
    head = json.loads(told(here, "federation_log_grew")[-1])[0]
    assert (head["peer"], head["hash"]) == ("BJ", line.hash.hex())


@pytest.mark.parametrize("command", REASONED, ids=lambda one: one.name)
def test_a_reason_is_given(here, everything, command):
    """Where something is ended or let be, it is said why; blanks are none, and the longest is taken."""
    before = snapshot(here)
    for reason in ("", " \n\t"):
        assert do(here, command, ROOT, **fields(command, reason)) == "operating_reason_missing"
    assert snapshot(here) == before
    assert do(here, command, ROOT, **fields(command, LONGEST)) == 1
    assert log_lines(here)[-1].note == LONGEST


def test_numbers_of_people_go_nowhere(here, there, everything):
    """An identity or mobile number in a reason is taken out, before it is kept or said to the peer."""
    reason = "张某 110101199003074514 电话 13912345678"
    assert do(here, contract.give_up_arrivals, ROOT, subject=THEIRS, reason=reason) == 1
    said = envelope.opened_before(here.said(THEIRS)[-1])
    assert said.data.text == "张某 • 电话 •" == log_lines(here)[-1].note
    for where in (told(here, "arrival_given_up")[-1], json.dumps(snapshot(here), default=str)):
        assert "110101199003074514" not in where and "13912345678" not in where


def test_paused_and_resumed(here):
    """Each has its state; of two who pause at once the first has."""
    assert do(here, contract.resume_bridges, ROOT) == "bridge_not_paused"
    items = [contract.PauseBridge(command_id=uuid4(), peer="BJ", reason=str(n)) for n in range(2)]
    with here.engine.begin() as tx:
        answers = handlers.pause_bridges(tx, [Asked(item, ROOT) for item in items])
    assert [one.refusal and one.refusal.code for one in answers] == [None, "bridge_paused"]
    assert do(here, contract.pause_bridges, ROOT, reason=WHY) == "bridge_paused"
    found = ask(here, contract.get_bridge, contract.GetBridge(peer="BJ"), ROOT)
    assert (found.paused_by, found.paused_reason) == (ROOT.person_id, "0")
    assert do(here, contract.resume_bridges, ROOT) == 1
    assert ask(here, contract.get_bridge, contract.GetBridge(peer="BJ"), ROOT).paused_at is None


def test_sent_again(here, there):
    """Parked or receipted messages of one transfer, one or all, and only of ours."""
    depart(here)
    depart(here, 8)
    here.act(OURS, Act.ASK)
    assert do(here, contract.send_again, ROOT, subject=OURS) == "nothing_to_send_again", "they wait"
    sent_states(here, "parked")

    assert do(here, contract.send_again, ROOT, subject=OURS, seq=2) == 1
    assert here.rows("subject, seq, state", "sent") == [
        (OURS, 1, "parked"), (OURS, 2, "waiting"), ("national:8", 1, "parked")]  # fmt: skip
    assert do(here, contract.send_again, ROOT, subject=OURS) == 1
    assert do(here, contract.send_again, ROOT, subject=OURS, seq=MAX_COUNT) == "nothing_to_send_again"
    for subject in ("national:9", "GD:7", "", "national:7' OR 1=1"):
        assert do(here, contract.send_again, ROOT, subject=subject) == "unknown_crossing"
    arrive(here, there)
    assert do(here, contract.send_again, ROOT, subject=THEIRS) == "nothing_to_send_again"


def test_quarantine(here, there, everything):
    """One message is decided of once, as one of three; each that is not there is closed."""
    (one,) = ask(here, contract.list_quarantine, contract.ListQuarantine(peer="BJ"), ROOT)
    assert (one.subject, one.seq, one.why, one.transfer_id) == (THEIRS, 2, "prev does not fit", 17)
    assert list(map(str, one.decisions)) == ["applied", "refused", "discarded"]

    def decide(decision, seq=2, subject=THEIRS):
        fields = {"subject": subject, "seq": seq, "decision": decision, "reason": WHY}
        return do(here, contract.decide_quarantine, ROOT, **fields)

    assert decide("shredded") == decide("") == "decision_of_quarantine"
    assert (
        decide("applied", 1) == decide("applied", 2, OURS) == decide("applied", 2, "x") == "quarantine_closed"
    )
    assert decide("refused") == 1

    assert here.state(THEIRS) == "refused"
    assert envelope.opened_before(here.said(THEIRS)[-1]).data.text == WHY
    assert decide("applied") == "quarantine_closed"
    assert ask(here, contract.list_quarantine, contract.ListQuarantine(peer="BJ"), ROOT) == []
    (one,) = ask(here, contract.list_quarantine, contract.ListQuarantine(peer="BJ", decided=True), ROOT)
    assert (str(one.decision), one.reason, one.decided_by, one.decisions) == ("refused", WHY, 100, [])
    assert json.loads(log_lines(here)[-1].after) == {"decision": "refused"}
    after = contract.ListQuarantine(peer="BJ", decided=True, after=one.cursor)
    assert ask(here, contract.list_quarantine, after, ROOT) == []


def test_quarantine_that_cannot_be_applied(here, there):
    """What is as impossible as it was stays; what is not ours to end is not refused."""
    depart(here)
    there.hear(*here.said(OURS))
    key = there.bridge.keys.ring().signing(NOW)
    here.hear(message(key, Type.INTEGRATED, subject=OURS, seq=1))
    for decision in ("applied", "refused"):
        fields = {"subject": OURS, "seq": 1, "decision": decision, "reason": WHY}
        assert do(here, contract.decide_quarantine, ROOT, **fields) == "quarantine_impossible"
    (one,) = ask(here, contract.list_quarantine, contract.ListQuarantine(peer="BJ"), ROOT)
    assert list(map(str, one.decisions)) == ["applied", "discarded"]


def test_several_decisions_at_once(here, there):
    """A list may hold the same message twice, and messages of several transfers."""
    key = there.bridge.keys.ring().signing(NOW)
    for number in (1, 2):
        arrive(here, there, number, number)
        here.hear(message(key, Type.CALLED_OFF, subject=f"BJ:{number}", seq=2, prev="0" * 64))
    items = [
        contract.DecideQuarantine(
            command_id=uuid4(), peer="BJ", subject=f"BJ:{number}", seq=2, decision=decision, reason=WHY
        )
        for number, decision in ((2, "applied"), (1, "refused"), (2, "discarded"))
    ]
    with here.engine.begin() as tx:
        answers = handlers.decide_quarantine(tx, [Asked(item, ROOT) for item in items])
    assert [one.refusal and one.refusal.code for one in answers] == [None, None, "quarantine_impossible"]
    assert here.rows("subject, decision", "quarantine") == [("BJ:1", "refused"), ("BJ:2", "applied")]
    assert here.state("BJ:1") == here.state("BJ:2") == "refused"


@pytest.mark.rule("BEY-16")
def test_reconciled_on_demand(here, everything):
    """A day, or the last thirty and what is open; none to come, none of before there was any."""
    today = clock.today()
    assert do(here, contract.reconcile_now, ROOT, day=today) == 1
    assert do(here, contract.reconcile_now, ROOT, day=today + DAY) == "day_not_comparable"
    assert do(here, contract.reconcile_now, ROOT, day=today - 4000 * DAY) == "day_not_comparable"
    assert do(here, contract.reconcile_now, ROOT) == 1, "both transfers are of one day"
    found = ask(here, contract.get_bridge, contract.GetBridge(peer="BJ"), ROOT)
    assert [one.day for one in found.wanted] == [today, clock.day_of(NOW)]


def differences(end, **more):
    return ask(end, contract.list_differences, contract.ListDifferences(peer="BJ", **more), ROOT)


@pytest.mark.rule("BEY-16")
def test_a_difference_is_confirmed_by_a_person(here, everything):
    """It is not open any more, until its lines change: then it is a new one."""
    (one,) = differences(here)
    assert (one.subject, str(one.kind), one.automatic, one.transfer_id) == (OURS, "chain", False, 7)
    assert (one.ours.outcome, one.theirs.outcome) == ("open", "kept")

    def repair(subject=OURS, kind="chain"):
        return do(here, contract.repair_differences, ROOT, subject=subject, kind=kind, reason=WHY)

    assert repair(kind="state") == repair("national:8") == repair(kind="no such") == "difference_closed"
    assert repair() == 1
    assert differences(here) == [] and repair() == "difference_closed"
    (one,) = differences(here, all=True)
    assert (one.confirmed_by, one.reason) == (100, WHY)
    assert differences(here, all=True, after=one.cursor) == []

    day = clock.day_of(NOW)
    same = Difference(OURS, Kind.CHAIN, line_of(OURS), line_of(OURS, Outcome.KEPT))
    other = Difference(OURS, Kind.CHAIN, line_of(OURS), line_of(OURS, Outcome.MOVED))
    with here.engine.begin() as tx:
        keep(tx, day, [same], Kind, NOW + DAY)
    assert differences(here) == []
    with here.engine.begin() as tx:
        keep(tx, day, [other], Kind, NOW + 2 * DAY)
    assert [str(one.kind) for one in differences(here)] == ["chain"]


@pytest.mark.rule("BEY-16")
def test_what_a_repair_does(here, there):
    """What lacks there is sent again, what lacks here is asked for; both stay open until compared again."""
    depart(here)
    depart(here, 8)
    sent_states(here, "receipted")
    day = clock.day_of(NOW)
    ahead = line_of("national:8")
    with here.engine.begin() as tx:
        keep(
            tx,
            day,
            [
                Difference(OURS, Kind.MISSING_THERE, line_of(OURS), None),
                Difference("national:8", Kind.BEHIND_HERE, ahead, ahead),
                Difference("BJ:9", Kind.MISSING_HERE, None, line_of("BJ:9")),
            ],
            Kind,
            NOW,
        )

    for subject, kind in ((OURS, "missing_there"), ("national:8", "behind_here"), ("BJ:9", "missing_here")):
        assert do(here, contract.repair_differences, ROOT, subject=subject, kind=kind, reason=WHY) == 1

    assert here.rows("subject, type, state", "sent") == [
        (OURS, "offer", "waiting"),
        ("national:8", "offer", "receipted"),
        ("national:8", "query", "waiting"),
    ]
    assert sorted(one.subject for one in differences(here)) == [OURS, "national:8"]
    found = ask(here, contract.get_bridge, contract.GetBridge(peer="BJ"), ROOT)
    assert [one.day for one in found.wanted] == [day] and found.differences == 2


@pytest.mark.rule("BEY-16")
@pytest.mark.parametrize(("home", "mended"), [("receiver", True), ("sender", False)])
def test_a_repair_of_a_registry(here, there, home, mended):
    """BEY-16: ours is told what was signed, and compared again; of theirs a person keeps that it is known."""
    depart(here)
    there.hear(*here.said(OURS))
    there.act(OURS, Act.REFUSE)
    here.hear(*there.said(OURS))
    line = line_of(OURS, Outcome.KEPT)
    with here.engine.begin() as tx:
        now = "INSERT INTO homes (subject, asked_at, told_at, home) VALUES (:s, now(), now(), :home)"
        tx.execute(sa.text(now), {"s": OURS, "home": home})
        keep(tx, clock.day_of(NOW), [Difference(OURS, Kind.MEMBER_TWICE, line, line)], Kind, NOW)

    assert do(here, contract.repair_differences, ROOT, subject=OURS, kind="member_twice", reason=WHY) == 1

    corrected = [one for body in told(here, "home_corrected") for one in json.loads(body)]
    expected = {"subject": OURS, "peer": "BJ", "person_id": 7001, "branch_id": 42011}
    assert corrected == ([expected] if mended else [])
    assert len(differences(here)) == mended
    found = ask(here, contract.get_bridge, contract.GetBridge(peer="BJ"), ROOT)
    assert [one.day for one in found.wanted] == [clock.day_of(NOW)] * mended


@pytest.mark.rule("BEY-16")
def test_a_directory_that_differs(here, there):
    """BEY-16: a transfer whose branch the mirror lacks is found; a repair has the directory read anew."""
    arrive(here, there)
    with here.engine.begin() as tx:
        tx.execute(sa.text("UPDATE handovers SET day = :day"), {"day": clock.day_of(NOW)})
        assert of_directory(tx, clock.day_of(NOW)) == []
        gone = """
            INSERT INTO org_directory (org_id, path, kind, purpose, province, system, name, version, deleted)
            VALUES (11, '11.', 'branch', '', '11', 'BJ', '某支部', 1, true)"""
        tx.execute(sa.text(gone))
        (found,) = of_directory(tx, clock.day_of(NOW))
        assert (found.subject, found.kind) == (THEIRS, Kind.DIRECTORY)
        keep(tx, clock.day_of(NOW), [found], Kind, NOW)

    assert do(here, contract.repair_differences, ROOT, subject=THEIRS, kind="directory", reason=WHY) == 1

    with here.engine.begin() as tx:
        assert tx.scalar(sa.text("SELECT reading_at IS NOT NULL FROM line"))
    assert len(differences(here)) == 1


@pytest.mark.rule("FED-11")
def test_nobody_is_released_without_the_peers_word(here, there):
    """In doubt nobody guesses: only its signed `never_seen` makes the member ours again."""
    depart(here)
    there.hear(*here.said(OURS))
    there.act(OURS, Act.ACCEPT)
    here.hear(*there.said(OURS))
    release = {"subject": OURS, "reason": WHY}
    assert do(here, contract.release_members, ROOT, **release) == "not_to_release"
    here.act(OURS, Act.HAND_OVER)
    assert do(here, contract.release_members, ROOT, **release) == "not_to_release"
    here.act(OURS, Act.ASK_RECORD)
    there.hear(here.said(OURS)[0], here.said(OURS)[2])
    assert there.state(OURS) == "awaited", "the record was lost, so the question waits for it"

    with here.engine.begin() as tx:
        tx.execute(
            sa.text("UPDATE handovers SET heard = heard || '{never_seen}' WHERE subject = :s"), {"s": OURS}
        )
    assert do(here, contract.release_members, ROOT, **release) == 1

    assert here.state(OURS) == "kept"
    assert json.loads(told(here, "remote_refused")[-1])[0]["code"] == "never_seen"
    assert do(here, contract.release_members, ROOT, **release) == "not_to_release"
    for subject in ("national:9", "GD:7", ""):
        assert do(here, contract.release_members, ROOT, subject=subject, reason=WHY) == "unknown_crossing"


@pytest.mark.rule("FED-11")
def test_given_up(here, there):
    """The peer is told, which binds us to send back what comes all the same; transfers is told at once."""
    arrive(here, there)
    arrive(here, there, 8, None)
    give_up = {"subject": THEIRS, "reason": WHY}
    assert do(here, contract.give_up_arrivals, ROOT, **give_up) == "not_to_give_up", "it is being decided"
    for subject in (THEIRS, "BJ:8"):
        assert here.act(subject, Act.ACCEPT)
    nameless = do(here, contract.give_up_arrivals, ROOT, subject="BJ:8", reason=WHY)
    assert nameless == "not_to_give_up", "transfers does not know it"

    assert do(here, contract.give_up_arrivals, ROOT, **give_up) == 1

    assert here.state(THEIRS) == "refused"
    said = envelope.opened_before(here.said(THEIRS)[-1])
    assert (said.kind, said.data.reason, said.data.text) == (Type.REFUSED, "given_up", WHY)
    (event,) = json.loads(told(here, "arrival_given_up")[0])
    assert event == {"transfer_id": 17, "peer": "BJ", "person_id": 8001, "note": WHY}
    assert do(here, contract.give_up_arrivals, ROOT, **give_up) == "not_to_give_up"

    there.hear(here.said(THEIRS)[0])
    there.act(THEIRS, Act.HAND_OVER)
    here.hear(*there.said(THEIRS))
    assert here.state(THEIRS) == "back"


def test_a_record_that_has_come_is_not_given_up(here, there):
    """Then only what members makes of it ends the transfer."""
    arrive(here, there)
    here.act(THEIRS, Act.ACCEPT)
    there.hear(*here.said(THEIRS))
    there.act(THEIRS, Act.HAND_OVER)
    here.hear(*there.said(THEIRS))
    assert do(here, contract.give_up_arrivals, ROOT, subject=THEIRS, reason=WHY) == "not_to_give_up"
    assert do(here, contract.give_up_arrivals, ROOT, subject=OURS, reason=WHY) == "unknown_crossing"


def test_without_a_key_nothing_is_signed(here, everything):
    """Who has no key to sign with is told so, and nothing has changed."""
    for key in here.bridge.keys.ring().own:
        here.bridge.keys.revoke(key.kid, NOW)
    before = snapshot(here)
    done = do(here, contract.give_up_arrivals, ROOT, subject=THEIRS, reason=WHY)
    assert done == "bridge_without_key" and snapshot(here) == before


def test_somebody_elses_command(here):
    """The id of another's command tells nothing and does nothing."""
    command_id = uuid4()
    assert do(here, contract.pause_bridges, ROOT, command_id=command_id, reason=WHY) == 1
    with here.engine.begin() as tx:
        item = contract.PauseBridge(command_id=command_id, peer="BJ", reason=WHY)
        (answer,) = handlers.pause_bridges(tx, [Asked(item, PROVINCE)])
    assert answer.refusal.code == "command_taken"


def test_the_peers_transfers_are_known_by_transfers_alone(here):
    """Whose a transfer is follows from what transfers tells; told again it changes nothing."""
    depart(here)
    with here.engine.begin() as tx:
        handlers.on_remote_opened(tx, here.bridge, [])
        own = store.find(tx, [OURS])[OURS]
    assert (own.transfer_id, own.org_id, own.person_id) == (7, 42011, 7001)


def test_chains_of_two_peers_are_told_apart():
    """Each bridge has a log of its own, by the name of its service."""
    assert [log_of(peer).service for peer in ("BJ", "GD")] == ["federation_bj", "federation_gd"]
    assert log_of("BJ") is log_of("BJ") and isinstance(log_of("GD"), audit.Log)
