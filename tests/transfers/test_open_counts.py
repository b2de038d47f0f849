"""The kept counts of open nodes agree with a count of them, whoever writes and sums up at the same moment."""

import random
import threading
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic import command

from services.transfers import store, waiting
from services.transfers.figures import sums
from shared import clock, db, migrate
from tests.conftest import server_url
from tests.transfers.factories import OTHER, TARGET, THERE, decide, request, start

OPEN = sa.text("""
    INSERT INTO open_nodes (transfer_id, node_no, state, province, org_id, opened_at, expires_at)
    SELECT CAST(:first AS bigint) + i, 1, 'pending_' || CASE i % 2 WHEN 0 THEN 'in' ELSE 'out' END,
        CAST(30 + (:first + i) % 5 AS text), 4,
        CAST(:now AS timestamptz) - i * interval '1 minute', CAST(:now AS timestamptz) - i * interval '1 hour'
    FROM generate_series(1, CAST(:n AS int)) AS i""")
CLOSE = sa.text("""
    DELETE FROM open_nodes WHERE transfer_id = ANY(
        ARRAY(SELECT transfer_id FROM open_nodes ORDER BY transfer_id LIMIT :n FOR UPDATE SKIP LOCKED))""")
COUNT = sa.text("SELECT province, state, count(*) AS n FROM open_nodes GROUP BY province, state")


def kept(tx):
    return {(row.province, row.state): row.n for row in store.backlog(tx) if row.n}


def counted(tx):
    return {(row.province, row.state): row.n for row in tx.execute(COUNT)}


def test_counts_are_exact_at_every_moment(engine):
    """Four writers open and close, some give up, two follow: each snapshot has the same counts both ways."""
    stopped, wrong = threading.Event(), []

    def write(number):
        rng = random.Random(number)
        for turn in range(120):
            with engine.connect() as tx:
                n = rng.randint(0, 40)
                first = number * 10**6 + turn * 100
                tx.execute(OPEN, {"first": first, "n": n, "now": clock.now()})
                tx.execute(CLOSE, {"n": rng.randint(0, 40)})
                tx.commit() if rng.random() < 0.8 else tx.rollback()

    def until_the_end(look):
        try:
            while not stopped.is_set():
                with engine.connect().execution_options(isolation_level="REPEATABLE READ") as tx:
                    look(tx)
        except Exception as error:
            wrong.append(error)

    def compare(tx):
        if kept(tx) != counted(tx) or sums.differences(tx):
            wrong.append((kept(tx), counted(tx), sums.differences(tx)))

    def follow(tx):
        with engine.begin() as other:
            _follow(other)

    beside = [threading.Thread(target=until_the_end, args=(look,)) for look in (compare, follow, follow)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    for thread in (*beside, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stopped.set()
    for thread in beside:
        thread.join()
    with engine.begin() as tx:
        assert not wrong and kept(tx) == counted(tx) != {}
        _follow(tx)
        lines = tx.scalar(sa.text("SELECT count(*) FROM open_counts"))
        assert kept(tx) == counted(tx) and lines == len(store.backlog(tx))
        tx.execute(sa.text("DELETE FROM open_nodes"))
        assert kept(tx) == {} and {row.n for row in store.backlog(tx)} == {0}
        _follow(tx)
        assert sums.differences(tx) == []


def _follow(tx):
    if sums.alone(tx):
        sums.follow(tx, clock.now())
        store.sum_up(tx, most=0)


def test_few_lines_are_left_alone(tx):
    """Nothing is written for a look that costs nothing."""
    for _ in range(2):
        start(tx, request(), request())
        sums.follow(tx, clock.now())
    lines = sa.text("SELECT count(*) FROM open_counts")
    before = tx.scalar(lines)
    store.sum_up(tx, most=before)
    assert tx.scalar(lines) == before
    store.sum_up(tx, most=before - 1)
    assert tx.scalar(lines) < before


def test_the_oldest_and_the_next_due(tx):
    """By province: since when the oldest node waits, and which deadline comes or has passed first."""
    old, due, elsewhere = start(tx, request(), request(), request(target=OTHER))
    now = clock.now()
    move = sa.text("UPDATE open_nodes SET opened_at = :opened, expires_at = :due WHERE transfer_id = :one")
    days = timedelta(days=1)
    tx.execute(move, {"one": old, "opened": now - 9 * days, "due": None})
    tx.execute(move, {"one": due, "opened": now - 2 * days, "due": now - days})
    found = {row.province: row[1:] for row in store.ages(tx)}
    assert found[THERE] == (now - 9 * days, now - days) and found.keys() >= {THERE, "33"}
    decide(tx, old, TARGET)
    decide(tx, due, TARGET)  # now both wait for a branch, from this moment on and without a deadline
    assert {row.province: row[1:] for row in store.ages(tx)}[THERE][0] >= now
    decide(tx, elsewhere, OTHER)
    assert {row.province: row[1:] for row in store.ages(tx)}["33"] == (None, None)


def test_a_look_reads_a_row_per_province(tx):
    """However many nodes are open: no statement of a scrape reads the table of them."""
    tx.execute(OPEN, {"first": 0, "n": 20_000, "now": clock.now()})
    for analysed in (False, True):
        if analysed:
            tx.execute(sa.text("ANALYZE open_nodes"))
        for statement in (store._AGES, store._BACKLOG):
            plan = tx.execute(sa.text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}")).scalar()
            reads = list(_reads(plan[0]["Plan"]))
            assert all(rows <= 1 and kind.startswith("Index") for kind, rows in reads), plan
            assert bool(reads) == (statement is store._AGES)


def _reads(plan):
    """Yield how the open nodes are read, and how many rows at each look."""
    if plan.get("Relation Name") == "open_nodes":
        yield plan["Node Type"], plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    for part in plan.get("Plans", []):
        yield from _reads(part)


@pytest.mark.parametrize("n", [0, 500])
def test_what_was_open_before_is_counted(n):
    """The migration counts the nodes that are open; from then on they count themselves."""
    url = server_url(f"tq_counts_{uuid.uuid4().hex[:8]}")
    db.create_database(url)
    try:
        command.upgrade(migrate.config("transfers", url), "0008_stage_comment")
        engine = db.connect(url)
        with engine.begin() as tx:
            tx.execute(OPEN, {"first": 0, "n": n, "now": clock.now()})
        command.upgrade(migrate.config("transfers", url), "head")
        with engine.begin() as tx:
            assert kept(tx) == counted(tx) and sum(kept(tx).values()) == n
            assert sums.differences(tx) == [] and sum(waiting.work_counts(tx, 4)[0].values()) == n
            tx.execute(OPEN, {"first": 10**6, "n": 3, "now": clock.now()})
            tx.execute(CLOSE, {"n": 100})
            assert kept(tx) == counted(tx) and sum(kept(tx).values()) == max(0, n + 3 - 100)
            assert sums.differences(tx) == []
        engine.dispose()
    finally:
        db.drop_database(url)
