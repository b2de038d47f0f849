"""What operators are shown of a bridge, and who is shown what."""

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from services.federation import store
from services.federation.operating import views
from services.federation.protocol import Act, Type
from services.federation.schemas import DATASCHEMA
from services.federation.store import Settled
from shared import clock, metrics
from shared.messages import federation as contract
from tests.federation.factories import DAY, NOW, SEALED, message
from tests.federation.operating.factories import (
    BRANCH,
    LOOKER,
    NOBODY,
    OTHER,
    OURS,
    PROVINCE,
    ROOT,
    SCHOOL,
    THEIRS,
    arrive,
    ask,
    depart,
)

MINUTE = timedelta(minutes=1)
FOR_ROOT = [
    (contract.get_bridge, contract.GetBridge(peer="BJ")),
    (contract.list_quarantine, contract.ListQuarantine(peer="BJ")),
    (contract.list_differences, contract.ListDifferences(peer="BJ")),
]


def later(*ends):
    for end in ends:
        end.now += MINUTE


@pytest.fixture
def both(here, there):
    """One transfer each way: a member of 42011 who is on the way, and somebody who is awaited in 4301."""
    depart(here)
    later(here, there)
    there.hear(*here.said(OURS))
    there.act(OURS, Act.TELL)
    there.act(OURS, Act.ACCEPT)
    later(here, there)
    here.hear(*there.said(OURS))
    later(here, there)
    here.act(OURS, Act.HAND_OVER)
    here.now = there.now = NOW
    arrive(here, there)
    here.act(THEIRS, Act.ACCEPT)


@pytest.mark.parametrize(("query", "request_"), FOR_ROOT, ids=lambda one: getattr(one, "name", ""))
@pytest.mark.rule("FED-11")
def test_only_the_centre_sees_a_bridge_as_a_whole(here, query, request_):
    """Who administers the root organisation, or may look at it; nobody below, and nobody who claims to."""
    for actor in (ROOT, LOOKER):
        assert not isinstance(ask(here, query, request_, actor), str)
    assert ask(here, query, request_, PROVINCE) == "operators_only"
    assert ask(here, query, request_, BRANCH) == "operators_only"
    assert ask(here, query, request_, NOBODY) == "not_administrator"
    assert ask(here, query, request_, None) == "not_administrator"
    elsewhere = msgspec.structs.replace(request_, peer="GD")
    assert ask(here, query, elsewhere, ROOT) == "no_bridge"


def test_the_state_of_a_bridge(here, there, both):
    """Up or down since when, paused by whom, what waits, what is open, keys by their days."""
    found = ask(here, contract.get_bridge, contract.GetBridge(peer="BJ"), ROOT)

    assert (found.up, found.up_since, found.down_since, found.paused_at) == (None, None, None, None)
    assert (found.version, found.peer_version, found.algorithms) == (
        DATASCHEMA,
        DATASCHEMA,
        ["Ed25519", "ES256"],
    )
    assert found.queues == contract.BridgeQueues(waiting=3, parked=0, held=0, quarantined=0)
    assert (found.oldest.seq, found.oldest.subject in (OURS, THEIRS)) == (1, True)
    assert {str(one.state): one.count for one in found.open} == {"handover": 1, "awaited": 1}
    assert (found.in_doubt, found.in_doubt_since) == (1, NOW + 3 * MINUTE)
    assert (found.differences, found.reconciled, found.wanted, found.reading) == (0, [], [], None)
    ours, theirs = found.keys
    assert (ours.own, ours.alg, ours.in_use, theirs.own, theirs.in_use) == (
        True,
        "Ed25519",
        True,
        False,
        False,
    )
    assert ours.days_left == theirs.days_left == (ours.valid_until - clock.now()).days
    assert SEALED not in msgspec.json.encode(found).decode()


def test_up_and_down(here):
    """Since when a peer answers or does not, however often it is tried meanwhile."""
    ask_it = (contract.get_bridge, contract.GetBridge(peer="BJ"), ROOT)
    with here.engine.begin() as tx:
        store.line(tx)
        store.back(tx, 250, NOW)
        store.back(tx, 240, NOW + DAY)
    found = ask(here, *ask_it)
    assert (found.up, found.up_since, found.answered_at, found.skew_ms) == (True, NOW, NOW + DAY, 240)

    with here.engine.begin() as tx:
        store.away(tx, NOW + 2 * DAY, NOW + 2 * DAY)
        store.away(tx, NOW + 3 * DAY, NOW + 4 * DAY)
        store.pause(tx, NOW, 100, "检修")
    found = ask(here, *ask_it)
    assert (found.up, found.down_since, found.up_since) == (False, NOW + 2 * DAY, None)
    assert (found.failures, found.probe_at, found.answered_at) == (2, NOW + 4 * DAY, NOW + DAY)
    assert (found.paused_at, found.paused_by, found.paused_reason) == (NOW, 100, "检修")

    with here.engine.begin() as tx:
        store.back(tx, 240, NOW + 5 * DAY)
    assert ask(here, *ask_it).up_since == NOW + 5 * DAY


def test_what_a_day_brought(here, there, both):
    """Messages that were receipted or refused for good in the last 24 hours, and what came."""
    now = clock.now()
    with here.engine.begin() as tx:
        store.settle(
            tx,
            [
                Settled(OURS, 1, "receipted", "signed", ""),
                Settled(OURS, 2, "parked", "signed", "wrong_field"),
            ],
            now,
        )
        store.settle(tx, [Settled(THEIRS, 1, "receipted", "signed", "")], now - 2 * DAY)
        tx.execute(sa.text("UPDATE received SET received_at = :now"), {"now": now})
        found = views.state(tx, here.bridge, now)
    assert found.day == contract.BridgeTraffic(sent=2, tries=2, refused=1, received=3, not_taken=0)
    assert found.queues.parked == 1 and found.oldest is None


@pytest.mark.rule("FED-11")
def test_a_province_sees_its_own_transfers(here, both):
    """The centre sees all, those in doubt first; a province those below it, and may do nothing to them."""

    def listed(actor, **more):
        found = ask(here, contract.list_handovers, contract.ListHandovers(peer="BJ", **more), actor)
        return [one.subject for one in found] if isinstance(found, list) else found

    assert listed(ROOT) == listed(LOOKER) == [OURS, THEIRS]
    assert listed(ROOT, in_doubt=True) == [OURS]
    assert (listed(PROVINCE), listed(OTHER)) == ([OURS], [THEIRS])
    assert (listed(SCHOOL), listed(NOBODY)) == ("bridge_by_province", "not_administrator")

    (first,) = ask(here, contract.list_handovers, contract.ListHandovers(peer="BJ", limit=1), ROOT)
    assert listed(ROOT, after=first.cursor) == [THEIRS]
    assert (first.transfer_id, first.org_id, first.outgoing, first.in_doubt) == (7, 42011, True, True)
    for cursor in ("x", "0~x~y", f"0~{NOW.isoformat()}", f"-1~{NOW.isoformat()}~a", "9999999999~x~y"):
        assert listed(ROOT, after=cursor) == "bad_request"


def test_what_may_be_done_is_offered_to_who_may(here, both):
    """Releasing needs the peer's word, giving up that no record has come; a province is offered neither."""

    def offered(actor):
        rows = ask(here, contract.list_handovers, contract.ListHandovers(peer="BJ"), actor)
        return {one.subject: (one.release, one.give_up) for one in rows}

    assert offered(ROOT) == {OURS: (False, False), THEIRS: (False, True)}
    assert offered(OTHER) == {THEIRS: (False, False)}
    with here.engine.begin() as tx:
        tx.execute(
            sa.text("UPDATE handovers SET heard = heard || '{never_seen}' WHERE subject = :s"), {"s": OURS}
        )
        tx.execute(
            sa.text("UPDATE handovers SET heard = heard || '{record}' WHERE subject = :s"), {"s": THEIRS}
        )
    assert offered(ROOT) == {OURS: (True, False), THEIRS: (False, False)}


def messages(end, actor, **of):
    return ask(end, contract.get_messages, contract.GetMessages(peer="BJ", **of), actor)


@pytest.mark.rule("FED-11")
def test_the_messages_of_a_transfer(here, there, both):
    """Both directions in order, with receipts; nothing of what is sealed; a province only its own."""
    with here.engine.begin() as tx:
        (receipt,) = there.answers(here.said(OURS)[0])
        store.settle(tx, [Settled(OURS, 1, "receipted", receipt, "")], NOW)
    found = messages(here, ROOT, subject=OURS)

    assert [(one.ours, one.seq, str(one.type), str(one.state)) for one in found.messages] == [
        (True, 1, "offer", "receipted"),
        (False, 1, "progress", "applied"),
        (False, 2, "accepted", "applied"),
        (True, 2, "record", "waiting"),
    ]
    offer, progress, *_ = found.messages
    assert (offer.receipt, offer.receipt_code, offer.receipt_at, offer.send_again) == (
        "stored",
        "",
        NOW + MINUTE,
        True,
    )
    assert (progress.organisation, progress.phone) == ("北京某大学团委", "010-1234")
    assert (progress.receipt, progress.send_again) == ("stored", False)
    assert SEALED not in msgspec.json.encode(found).decode()

    assert messages(here, ROOT, transfer_id=7) == found
    assert messages(here, ROOT, transfer_id=17).subject == THEIRS
    assert messages(here, PROVINCE, subject=OURS).transfer_id == 7
    assert not any(one.send_again for one in messages(here, PROVINCE, subject=OURS).messages)
    assert messages(here, OTHER, subject=OURS) == messages(here, OTHER, transfer_id=7) == "unknown_crossing"
    for of in ({}, {"subject": OURS, "transfer_id": 7}, {"subject": "GD:7"}, {"transfer_id": 99}):
        assert messages(here, ROOT, **of) == "unknown_crossing"


def test_a_message_that_was_refused_for_its_form_is_shown_without_its_words(here, there):
    """It is kept as evidence; what stands in it was never judged, so nothing of it is shown."""
    key = there.bridge.keys.ring().signing(NOW)
    arrive(here, there)
    here.hear(message(key, Type.CALLED_OFF, subject=THEIRS, seq=2, data={"reason": "x", "text": 7}))

    _, bad = messages(here, ROOT, subject=THEIRS).messages

    assert (str(bad.type), str(bad.state), bad.code) == ("called_off", "refused", "wrong_field")
    assert (bad.text, bad.reason, bad.receipt, bad.receipt_code) == ("", "", "refused", "wrong_field")


def test_gauges(here, both):
    """Each of a closed set of labels, once; a bridge that was never called counts as up."""
    with here.engine.begin() as tx:
        found = views.gauges(tx)
    values = {(gauge._name, labels): value for gauge, labels, value in found}
    assert len(values) == len(found) == 13
    assert values["tuanqiao_bridge_up", ("BJ",)] == 1 and values["tuanqiao_bridge_paused", ("BJ",)] == 0
    assert values["tuanqiao_bridge_queue", ("BJ", "waiting")] == 3
    assert values["tuanqiao_bridge_in_doubt", ("BJ",)] == 1
    assert values["tuanqiao_bridge_in_doubt_seconds", ("BJ",)] > 0
    assert values["tuanqiao_bridge_oldest_seconds", ("BJ",)] > 0
    with here.engine.begin() as tx:
        store.line(tx)
        store.away(tx, NOW, NOW)
        tx.execute(
            sa.text("INSERT INTO reconciliations VALUES ('2026-07-01', :now, 1, 0)"),
            {"now": clock.now() - DAY},
        )
        values = {gauge._name: value for gauge, labels, value in views.gauges(tx)}
    assert values["tuanqiao_bridge_up"] == 0
    assert values["tuanqiao_bridge_compared_seconds"] == pytest.approx(metrics.DAY, abs=60)


def test_how_long_keys_last(here):
    """The keys of before and after count as one where they follow each other; a revoked one for nothing."""
    keys = here.bridge.keys
    first = keys.ring().own[0]
    assert views.key_days_left(here.bridge, NOW)[0] == pytest.approx(364, abs=0.01)
    assert views.key_days_left(here.bridge, NOW + 400 * DAY) == (0, 0)

    keys.rotate(NOW + 100 * DAY)
    assert views.key_days_left(here.bridge, NOW)[0] == pytest.approx(466, abs=0.01)

    keys.revoke(first.kid, NOW)
    assert views.key_days_left(here.bridge, NOW)[0] == 0, "the next one begins later"


def test_the_log_of_a_bridge(here):
    """The centre and provinces read it, as any audit log; each peer's is its own."""
    request = contract.ListBridgeAudit(peer="BJ")
    assert isinstance(ask(here, contract.list_bridge_audit, request, ROOT), list)
    assert isinstance(ask(here, contract.list_bridge_audit, request, PROVINCE), list)
    assert ask(here, contract.list_bridge_audit, request, SCHOOL) == "audit_by_province"
    elsewhere = contract.ListBridgeAudit(peer="FJ")
    assert ask(here, contract.list_bridge_audit, elsewhere, ROOT) == "no_bridge"
