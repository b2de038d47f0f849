"""What offices, boards and Prometheus look at, while ever more transfers are open.

The same tree, the same offices; only what waits for them grows. One office has a hundredth of all.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from services.transfers import models, store, waiting
from services.transfers.figures import board, sums, totals
from services.transfers.notices import store as notices
from shared import clock, db
from shared.messages.transfers import Filter
from tests.conftest import server_url

NATION, PROVINCE, USUAL, LARGE = 1, 10, 10_100, 10_005
READER = 9
BEGIN, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
PIECE = 50_000
_ORG = "org_id, parent_id, path, kind, purpose, province, system, name, version, deleted"
# 31 provinces of eight cities of four offices of three branches; an id says which
_LEVELS = (
    ("10 + n", "1", "'1.' || 10 + n || '.'", "leading_body", "11 + n", 31),
    (
        "1000 + n",
        "10 + n / 8",
        "'1.' || 10 + n / 8 || '.' || 1000 + n || '.'",
        "leading_body",
        "11 + n / 8",
        248,
    ),
    (
        "10000 + n",
        "1000 + n / 4",
        "'1.' || 10 + n / 32 || '.' || 1000 + n / 4 || '.' || 10000 + n || '.'",
        "committee",
        "11 + n / 32",
        992,
    ),
    (
        "100000 + n",
        "10000 + n / 3",
        "'1.' || 10 + n / 96 || '.' || 1000 + n / 12 || '.' || 10000 + n / 3 || '.' || 100000 + n || '.'",
        "branch",
        "11 + n / 96",
        2_976,
    ),
)
_TREE = f"""
    INSERT INTO org_directory ({_ORG})
    VALUES (1, NULL, '1.', 'leading_body', '', '00', 'national', '', 1, false)"""
_LEVEL = f"""
    INSERT INTO org_directory ({_ORG})
    SELECT {{}}, {{}}, {{}}, '{{}}', '', ({{}})::text, 'national', '', 1, false
    FROM generate_series(0, {{}} - 1) AS n"""
_OPEN = sa.text("""
    WITH one AS (
        SELECT i, i * 7919 % 992 AS source, CASE WHEN i % 100 = 0 THEN 5 ELSE i * 104729 % 992 END AS target,
            (ARRAY['pending_assign', 'pending_in', 'pending_in', 'pending_out', 'pending_out'])[1 + i % 5]
                AS state,
            now() - i * 31337 % 20000 / 20000.0 * interval '16 days' AS at
        FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i),
    made AS (
        INSERT INTO transfers (
            transfer_id, command_id, member_id, initiator, initiator_org_id, initiator_person_id,
            source_branch_id, source_superior_id, source_province, target_org_id, target_province,
            reason, place_name, place_address, contact, remark,
            policy, path, state, node_no, created_at, audit_seq, audit_head)
        OVERRIDING SYSTEM VALUE
        SELECT i, gen_random_uuid(), i, 'source', 10000 + source, 1,
            100000 + source * 3 + i % 3, 10000 + source, '', 10000 + target, '',
            (ARRAY['further_study', 'employed_with_org', 'unemployed'])[1 + i % 3], '', '', '', '',
            '', 'source:committee', state, 1, at, 2, ''
        FROM one),
    held AS (INSERT INTO open_transfers (member_id, transfer_id) SELECT i, i FROM one),
    lined AS (
        INSERT INTO audit (transfer_id, seq, event, state, at, person_id, note, hash)
        SELECT i, 1, 'requested', 'checking', at, 1, '', '' FROM one),
    noted AS (
        INSERT INTO org_messages (org_id, at, transfer_id, seq, event, person_id)
        SELECT 10000 + source, at, i, 1, 'requested', 1 FROM one)
    INSERT INTO open_nodes (
        transfer_id, node_no, state, province, org_id, superior_id, opened_at, expires_at, on_expiry)
    SELECT i, 1, state, (11 + CASE state WHEN 'pending_out' THEN source ELSE target END / 32)::text,
        CASE state WHEN 'pending_out' THEN 100000 + source * 3 + i % 3 ELSE 10000 + target END,
        CASE state WHEN 'pending_out' THEN 10000 + source END,
        at, CASE WHEN state <> 'pending_assign' THEN at + interval '15 days' END, 'remind'
    FROM one""")

VIEWS: dict[str, Callable[[Connection], Any]] = {
    "board of the nation": lambda tx: board.board(tx, NATION, 0, clock.now()),
    "board of a province": lambda tx: board.board(tx, PROVINCE, 0, clock.now()),
    "transfers by reason and state": lambda tx: store.counts(tx, NATION, "1."),
    "kinds in the queue of a large office": lambda tx: waiting.work_counts(tx, LARGE),
    "first page of that queue": lambda tx: _page(tx, LARGE),
    "messages of an office that has read them": lambda tx: _messages(tx, LARGE),
    "what the rules find in a usual queue": lambda tx: waiting.counts(tx, waiting.wanted(USUAL, Filter())),
    "scrape": lambda tx: (store.backlog(tx), store.ages(tx)),
}

COUNTED = ("what the rules find in a usual queue",)
"""Views that grow with what waits for the office itself (docs/adr/0026)."""


def _page(tx: Connection, org: int) -> None:
    waiting.listed(
        tx, waiting.wanted(org, Filter()), "arrived", waiting.BEGINS["arrived"], 50, since=BEGIN, until=END
    )


def _messages(tx: Connection, org: int) -> None:
    place = {"at": END, "transfer_id": 0, "seq": 0, "since": None, "until": None, "limit": 20}
    shown = notices.messages(tx, READER, org, BEGIN, kind="", unread_only=False, **place)
    assert len(shown) == 20 and notices.unread(tx, READER, org, BEGIN) == 0


def measure(sizes: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each view, by how many transfers are open."""
    url = server_url(f"tq_views_{os.getpid()}_{uuid.uuid4().hex[:6]}")
    db.create_database(url)
    engine = db.connect(url)
    found: dict[str, dict[str, float]] = {name: {} for name in VIEWS}
    try:
        models.metadata.create_all(engine)
        with engine.begin() as tx:
            tx.exec_driver_sql(_TREE)
            for level in _LEVELS:
                tx.exec_driver_sql(_LEVEL.format(*level))
            notices.mark_read(tx, [notices.ReadUntil(READER, LARGE, clock.now())], [])
        done = 0
        for size in sizes:
            _fill(engine, done, size)
            done = size
            for name, ms in _look(engine).items():
                found[name][f"{size:,}"] = ms
    finally:
        engine.dispose()
        db.drop_database(url)
    return found


def lines(found: dict[str, dict[str, float]]) -> Iterator[tuple[str, str, str]]:
    """Yield for each view a line of the table: with few and with most open transfers."""
    for name, by_size in found.items():
        (few, first), *_, (many, last) = by_size.items()
        aim = "" if name in COUNTED else " (aim 1.2)"
        yield f"{name}, {few} and {many} open", f"{first:.1f} ms, {last:.1f} ms", f"{last / first:.1f} x{aim}"


def _fill(engine: Engine, done: int, size: int) -> None:
    for first in range(done + 1, size + 1, PIECE):
        with engine.begin() as tx:
            tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
            tx.execute(_OPEN, {"first": first, "last": min(first + PIECE - 1, size)})
            sums.follow(tx, clock.now())
    with engine.begin() as tx:
        tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
        totals.mend(tx)
        store.sum_up(tx)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.exec_driver_sql("VACUUM ANALYZE")


def _look(engine: Engine) -> dict[str, float]:
    """Return how long each view takes at best, a second after the follower was there.

    At best, since what a neighbour costs does not grow with what is open.
    """
    found = {}
    for name, view in VIEWS.items():
        with engine.begin() as tx:
            sums.follow(tx, clock.now())
        time.sleep(1)
        times = []
        with engine.connect() as tx:
            for _ in range(21):
                begin = time.perf_counter()
                view(tx)
                times.append((time.perf_counter() - begin) * 1000)
        found[name] = min(times)
    return found
