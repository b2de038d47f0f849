"""The audit log of transfers, the seals on the trails, and what is found when trails are touched (BEY-10)."""

import json
from types import SimpleNamespace
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.transfers import handlers, trail
from services.transfers.bulk import handlers as bulk
from services.transfers.figures import store as figures_store
from services.transfers.log import log, prove_seals, seal
from services.transfers.notices import handlers as notices
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.service import Service
from shared import audit, clock
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.audit import ListAudit
from shared.messages.members import ReservationRefused
from shared.messages.transfers import SetWebhook, StopBulk
from tests.audit_acts import OWN, SHOWS, names, written
from tests.transfers.factories import request, start

TRAIL = "is a line of the transfer's own trail, which is sealed"
NOT_LOGGED = {
    **dict.fromkeys(
        (
            "request_transfers",
            "move_batches",
            "decide_nodes",
            "withdraw_transfers",
            "assign_branches",
            "urge_transfers",
            "urge_below",
            "restart_transfers",
            "escalate_transfers",
            "answer_escalations",
        ),
        TRAIL,
    ),
    "look_at_nodes": "binds nobody and is forgotten after ten minutes",
    "mark_messages": OWN,
    **dict.fromkeys(("save_views", "drop_views", "keep_phrases", "drop_phrases", "list_habits"), OWN),
    "my_transfers": OWN,
    "list_messages": OWN,
    **dict.fromkeys(
        (
            "list_work",
            "plan_assignment",
            "get_transfer",
            "get_batch",
            "list_started",
            "get_bulk",
            "list_escalations",
            "list_webhooks",
            "list_behind",
            "list_audit",
        ),
        SHOWS,
    ),
    **dict.fromkeys(
        (
            "count_in_the_way",
            "count_open_below",
            "count_transfers",
            "count_matching",
            "count_work",
            "get_figures",
            "get_board",
        ),
        "numbers",
    ),
    "advise": "rules and organisations",
    "get_policy": "rules",
}
"""Each call that the log does not keep, and why."""
LOGGED = {"start_bulks", "stop_bulks", "set_webhooks"}


@pytest.mark.rule("BEY-10")
def test_nothing_is_forgotten():
    """BEY-10: each command and query of transfers is tried in this file, or left out for a reason given.

    Left out of the log, that is.
    """
    assert names(Service) == {*LOGGED, *NOT_LOGGED}
    assert not LOGGED & {*NOT_LOGGED}


def fold(tx):
    """Follow all changes, a piece at a time; that seals the trails, too."""
    while figures_store.fold(tx, policies_store.active(tx, clock.now()), clock.now()):
        pass


def attack(tx, *statements):
    """Do what somebody can do who owns the tables."""
    tx.execute(sa.text("SET LOCAL session_replication_role = replica"))  # switches triggers off
    for statement in statements:
        tx.execute(sa.text(statement))
    tx.execute(sa.text("SET LOCAL session_replication_role = origin"))


def proved(tx):
    return audit.verify(tx, [])[1] + trail.verify_audit(tx)[1] + prove_seals(tx).broken


@pytest.mark.rule("BEY-10")
def test_trails_are_sealed(tx):
    """BEY-10: every line that was followed is held by a segment, which the log names.

    So are trails that ended before they began.
    """
    some = start(tx, request("member"), request("source"))
    before = prove_seals(tx)
    assert before.waiting == 2
    fold(tx)
    made = handlers.request_transfers(tx, [request("member")])[0].transfer_id
    handlers.on_reservation_refused(
        tx, [ReservationRefused(transfer_id=made, member_id=1, code="member_elsewhere")]
    )
    lines = written(tx, lambda: fold(tx))
    assert [(one.kind, json.loads(one.after)["lines"]) for one in lines] == [("trail.sealed", 1)]
    seals = prove_seals(tx)
    assert (seals.lines - before.lines, seals.waiting, seals.broken) == (3, 0, [])
    assert proved(tx) == []
    assert len(some) == 2


@pytest.mark.rule("BEY-10")
def test_a_seal_names_its_digest_whole(tx):
    """BEY-10: also one with digits in it that look like a telephone number; one in 250 has such."""
    digest = "a13812345678b" + "0" * 51
    (line,) = written(tx, lambda: seal(tx, SimpleNamespace(segment_no=1, lines=1, digest=digest)))
    assert json.loads(line.after)["digest"] == digest


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize("what", ["line", "tail", "transfer", "segment", "rewritten segment"])
def test_what_is_found(tx, what):
    """BEY-10: a trail that was rewritten, cut at its end or removed with its transfer is found.

    It is found though all that is left fits; so is a segment.
    """
    one, _ = start(tx, request("member"), request("source"))
    fold(tx)
    assert proved(tx) == []
    last = f"(SELECT max(seq) FROM audit WHERE transfer_id = {one})"
    if what == "line":
        attack(
            tx,
            f"UPDATE audit SET person_id = 99, hash = sha256('x') WHERE transfer_id = {one} AND seq = {last}",
            f"UPDATE transfers SET audit_head = sha256('x') WHERE transfer_id = {one}",
        )
        assert any("a sealed line was changed" in str(word) for word in proved(tx))
    elif what == "tail":
        # The transfer's own head is set back as well, so that the shorter trail fits by itself.
        attack(
            tx,
            f"DELETE FROM audit WHERE transfer_id = {one} AND seq = {last}",
            "UPDATE transfers t SET audit_seq = a.seq, audit_head = a.hash FROM audit a"
            f" WHERE t.transfer_id = {one} AND a.transfer_id = t.transfer_id AND a.seq = {last}",
        )
        assert proved(tx) == [f"transfer {one}: lines that were sealed are missing"]
    elif what == "transfer":
        attack(
            tx,
            *(
                f"DELETE FROM {table} WHERE transfer_id = {one}"
                for table in ("audit", "transfers", "open_nodes", "open_transfers")
            ),
        )
        assert proved(tx) == [f"transfer {one}: lines that were sealed are missing"]
    elif what == "segment":
        attack(tx, "DELETE FROM audit_segments")
        assert "is not the one that the log names" in proved(tx)[0]
    else:
        attack(
            tx,
            "UPDATE audit_segments"
            " SET transfer_ids = transfer_ids[2:], seqs = seqs[2:], digest = sha256('x')",
        )
        assert "is not the one that the log names" in proved(tx)[0]


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize("what", ["trail", "transfer"])
def test_half_a_removal(tx, what):
    """BEY-10: a transfer without its trail, and a trail without its transfer, are both named.

    They are named before anything is sealed.
    """
    (one,) = start(tx, request("member"))
    attack(tx, f"DELETE FROM {'audit' if what == 'trail' else 'transfers'} WHERE transfer_id = {one}")
    assert one in trail.verify_audit(tx)[1]


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET note = 'x'",
        "DELETE FROM audit",
        "DELETE FROM audit_segments",
        "UPDATE audit_segments SET digest = ''",
    ],
)
def test_the_database_refuses(tx, statement):
    """BEY-10: trails and segments are append-only."""
    start(tx, request("member"))
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), tx.begin_nested():
        tx.execute(sa.text(statement))


@pytest.mark.rule("BEY-10")
def test_policies(tx):
    """BEY-10: a policy that is applied is in the log once, with the one that held before.

    So is what it does to open nodes.
    """
    start(tx, request("member"))
    held = policies_store.active(tx, clock.now()).key
    (line,) = written(tx, lambda: policies_store.hold(tx, reader.read("p002"), clock.now()))
    assert (line.kind, line.person_id) == ("policy.applied", None)
    assert json.loads(line.before)["policy"] == held
    assert json.loads(line.after)["policy"] == reader.read("p002").key
    lines = written(tx, lambda: policies_store.apply_to_open(tx, reader.read("p002"), clock.now()))
    assert [one.kind for one in lines] == ["policy.opened"]
    assert json.loads(lines[0].after)["nodes"] == 1


@pytest.mark.rule("BEY-10")
def test_addresses(tx, configure):
    """BEY-10: who adds or ends an address is in the log, with the host.

    What else is in the address, and its secret, is not.
    """
    configure(TUANQIAO_NOTICE_HOSTS="hooks.example")
    actor = _somebody(tx)
    # The path of an address is often its only secret.
    hook = SetWebhook(command_id=uuid4(), url="https://hooks.example/token-1234567")
    added = []
    (line,) = written(tx, lambda: added.extend(notices.set_webhooks(tx, [Asked(hook, actor, "r-1")])))
    assert (line.kind, line.request_id) == ("address.added", "r-1")
    assert (line.person_id, line.org_id) == (actor.person_id, actor.org_id)
    assert json.loads(line.after) == {"host": "hooks.example"}
    end = SetWebhook(command_id=uuid4(), webhook_id=added[0].webhook_id)
    (line,) = written(tx, lambda: notices.set_webhooks(tx, [Asked(end, actor)]))
    assert line.kind == "address.ended"
    assert "1234567" not in str(line)


def _somebody(tx) -> Actor:
    row = tx.execute(
        sa.text(
            "SELECT a.person_id, a.org_id"
            " FROM administrator_directory a JOIN org_directory o USING (org_id)"
            " WHERE a.active AND o.parent_id IS NOT NULL ORDER BY 2 LIMIT 1"
        )
    ).one()
    return Actor(row.person_id, row.org_id)


@pytest.mark.rule("BEY-10")
def test_bulk_decisions(tx):
    """BEY-10: who starts or stops a bulk decision is in the log.

    The line says what it decides and for how many rows.
    """
    from shared.messages.transfers import Filter, StartBulk

    start(tx, request("member"), request("member"))
    row = tx.execute(
        sa.text(
            "SELECT o.org_id, o.state, a.person_id, count(*) AS n"
            " FROM open_nodes o JOIN administrator_directory a USING (org_id) GROUP BY 1, 2, 3"
        )
    ).first()
    actor = Actor(row.person_id, row.org_id)
    item = StartBulk(bulk_id=uuid4(), filter=Filter(state=row.state), expected=row.n, approve=True)
    (line,) = written(tx, lambda: bulk.start_bulks(tx, [Asked(item, actor)]))
    assert (line.kind, line.person_id) == ("bulk.started", actor.person_id)
    assert line.ref == f"bulk {item.bulk_id}"
    assert json.loads(line.after)["rows"] == row.n
    assert written(tx, lambda: bulk.start_bulks(tx, [Asked(item, actor)])) == []
    (line,) = written(tx, lambda: bulk.stop_bulks(tx, [Asked(StopBulk(bulk_id=item.bulk_id), actor)]))
    assert (line.kind, json.loads(line.after)) == ("bulk.stopped", {"rows": row.n})
    assert [one.kind for one in audit.page(tx, "transfers", None, ListAudit(kind="bulk"))] == [
        "bulk.stopped",
        "bulk.started",
    ]
    assert log.service == "transfers"
