"""What an older version had stored, as the queue finds it after an upgrade."""

import json
import uuid
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import sqlalchemy as sa
from alembic import command

from services.transfers import waiting
from services.transfers.notices import store as notices
from shared import clock, db, migrate
from shared.messages.transfers import Filter, TransferRequested
from tests.conftest import server_url

OLD_TRANSFERS = sa.text("""
    WITH made AS (
        INSERT INTO transfers (
            command_id, member_id, initiator, initiator_person_id, source_branch_id, source_province,
            target_org_id, target_province, reason, reason_kind, place_name, place_address, contact,
            remark, place_division, policy, path, state, node_no, created_at, audit_seq, audit_head)
        SELECT gen_random_uuid(), member_id, 'source', 102, 3, '42', 7, '33', 'further_study', 'study',
            '', '', '', '', '', 'national-1', 'source:branch', state, 1, :now, 1, ''
        FROM (VALUES (11, 'pending_in'), (12, 'checking'), (13, 'moving')) AS old (member_id, state)
        RETURNING transfer_id, member_id)
    INSERT INTO open_transfers (member_id, transfer_id) SELECT member_id, transfer_id FROM made""")
OLD_VIEWS = sa.text("""
    INSERT INTO work_views (view_id, person_id, org_id, name, filter, sort, kept_at)
    VALUES (:view, 1, 7, :name, :filter, 'due', :now)""")


OLD_TRAIL = sa.text("""
    WITH made AS (
        INSERT INTO transfers (
            command_id, member_id, initiator, initiator_org_id, initiator_person_id,
            source_branch_id, source_province, target_org_id, target_province, reason, reason_kind,
            place_name, place_address, contact, remark, place_division, policy, path, state, node_no,
            created_at, audit_seq, audit_head)
        SELECT gen_random_uuid(), member_id, CASE WHEN org IS NULL THEN 'member' ELSE 'source' END, org, 102,
            3, '42', 7, '33', 'further_study', 'study',
            '', '', '', '', '', 'national-1', 'source:branch', 'pending_in', 1, :now, 3, ''
        FROM (VALUES (21, 5), (22, NULL)) AS old (member_id, org)
        RETURNING transfer_id, member_id)
    INSERT INTO audit (transfer_id, seq, event, state, at, person_id, note, hash)
    SELECT transfer_id, seq, event, 'pending_in', CAST(:now AS timestamptz) - days * interval '1 day', person,
        '', ''
    FROM made,
        (VALUES (1, 'requested', 102, 500), (2, 'reserved', NULL, 3), (3, 'urged', 102, 2))
            AS line (seq, event, person, days)""")


@contextmanager
def upgraded(revision, store):
    """Yield a transaction on a database that `store` has filled at an older revision, upgraded since."""
    url = server_url(f"tq_upgrade_{uuid.uuid4().hex[:8]}")
    db.create_database(url)
    try:
        command.upgrade(migrate.config("transfers", url), revision)
        engine = db.connect(url)
        with engine.begin() as tx:
            store(tx)
        command.upgrade(migrate.config("transfers", url), "head")
        with engine.begin() as tx:
            yield tx
        engine.dispose()
    finally:
        db.drop_database(url)


def test_what_offices_were_told_is_found_after_an_upgrade():
    """MSG-01: an office's messages of the last 400 days, those that its list shows, and of its own starts."""
    now = clock.now()
    with upgraded("0019_sums_by_province", lambda tx: tx.execute(OLD_TRAIL, {"now": now})) as tx:
        found = notices.messages(
            tx, 1, 5, now - timedelta(days=400), at=now, transfer_id=0, seq=0, limit=9, kind="",
            unread_only=False, since=None, until=None,
        )  # fmt: skip
        unread = [notices.unread(tx, person, 5, now - timedelta(days=400)) for person in (1, 102)]
    assert [(one.member_id, one.event) for one in found] == [(21, "urged")]
    assert unread == [1, 0], "what somebody has done is no news to them"


def _store_views(tx):
    old = {"state": "pending_in", "due": "late", "member_ids": [11]}
    tx.execute(OLD_TRANSFERS, {"now": clock.now()})
    for name, unusual in (("odd", True), ("plain", False)):
        kept = json.dumps({**old, "unusual": unusual})
        tx.execute(OLD_VIEWS, {"view": uuid.uuid4(), "name": name, "filter": kept, "now": clock.now()})


def test_what_waits_is_asked_for_again_and_views_find_the_same():
    """Each member who is held is asked for once, except on the move; a view of what is unusual stays one."""
    with upgraded("0012_queue", _store_views) as tx:
        asked = tx.execute(sa.text("SELECT topic, body FROM outbox")).all()
        views = tx.execute(sa.text("SELECT name, filter FROM work_views")).all()
        shown = tx.execute(sa.text("SELECT DISTINCT name, identity_check FROM open_transfers")).all()
    (message,) = asked
    assert message.topic == TransferRequested.topic()
    again = msgspec.json.decode(message.body, type=list[TransferRequested])
    assert sorted(one.member_id for one in again) == [11, 12]
    assert {one.name: waiting.of_json(one.filter) for one in views} == {
        "odd": Filter(state="pending_in", due="late", check="unusual"),
        "plain": Filter(state="pending_in", due="late"),
    }
    assert [tuple(one) for one in shown] == [("", "unchecked")]
