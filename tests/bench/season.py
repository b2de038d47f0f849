"""Half a million deadlines at one instant, an idle scheduler, and reading statistics.

The scheduler has millions of timers; the statistics are read while there is ever more to count.
"""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psutil
import psycopg2
import sqlalchemy as sa

from shared import clock, db
from shared.bus.rpc import RpcClient
from shared.messages import transfers as contract
from shared.messages.transfers import GetFigures, ListWork
from tests.bench import drive, load
from tests.bench.quantiles import percentile
from tests.bench.threads import in_threads
from tests.installation import Installation

FEWEST = 100
"""Requests of which the slowest hundredth is one."""
FIRST = 10_000_000_000
"""Id of the first loaded transfer."""
_WIDTH = load.SCHOOLS * load.BRANCHES_PER_SCHOOL
_BRANCH = f"1000 + mod(n, {_WIDTH})"
_SCHOOL = f"mod(n, {_WIDTH}) / {load.BRANCHES_PER_SCHOOL}"
_TRANSFERS = f"""
    INSERT INTO transfers (
        transfer_id, command_id, member_id,
        initiator, initiator_org_id, initiator_person_id,
        source_branch_id, source_superior_id, source_province, provincial_id,
        target_org_id, target_province,
        reason, place_name, place_address, contact, remark,
        policy, path, state, node_no,
        created_at, ended_at, audit_seq, audit_head
    ) OVERRIDING SYSTEM VALUE
    SELECT
        {FIRST} + n, gen_random_uuid(), {load.FIRST_MEMBER} + n,
        'source', 100 + {_SCHOOL}, 1,
        {_BRANCH}, 100 + {_SCHOOL}, '42', 1,
        200 + {_SCHOOL}, '42',
        'further_study', '大学', '地址', '', '',
        'national@2026.1', 'source:committee', %(state)s, 1,
        now() - interval '10 days', %(ended)s, 2, sha256(int8send(n))
    FROM generate_series(%(start)s, %(end)s) AS n"""
_NODES = f"""
    INSERT INTO open_nodes (
        transfer_id, node_no, state, province, org_id,
        opened_at, expires_at, on_expiry, withdraw
    )
    SELECT
        {FIRST} + n, 1, 'pending_in', '42', 200 + {_SCHOOL},
        now() - interval '10 days', now(), 'return', 'yes'
    FROM generate_series(%(start)s, %(end)s) AS n"""
_HELD = f"""
    INSERT INTO open_transfers (member_id, transfer_id)
    SELECT {load.FIRST_MEMBER} + n, {FIRST} + n
    FROM generate_series(%(start)s, %(end)s) AS n"""
_RESERVED = f"""
    UPDATE people
    SET reserved_by = {FIRST} + person_id - {load.FIRST_MEMBER}, reserved_target_id = 200
    WHERE person_id BETWEEN {load.FIRST_MEMBER} + %(start)s AND {load.FIRST_MEMBER} + %(end)s"""
_TIMERS = f"""INSERT INTO timers (transfer_id, node_no, expires_at)
    SELECT {FIRST} + n, 1, %(due)s FROM generate_series(0, %(last)s) AS n"""
_LINK = """
    sha256(t.audit_head || convert_to(
        concat(t.transfer_id, '|', t.audit_seq + 1, '|returned|', now()), 'UTF8'))"""
_RETURN = f"""
    WITH
    -- the nodes that are due
    closed AS (
        DELETE FROM open_nodes
        WHERE transfer_id = ANY(%(ids)s::bigint[]) AND state = 'pending_in' AND expires_at <= now()
        RETURNING transfer_id
    ),
    -- their transfers are returned
    moved AS (
        UPDATE transfers t
        SET state = 'returned', ended_at = now(), end_code = 'deadline',
            audit_seq = audit_seq + 1, audit_head = {_LINK}
        FROM closed c WHERE t.transfer_id = c.transfer_id
        RETURNING t.*
    ),
    -- the audit row
    audited AS (
        INSERT INTO audit (transfer_id, seq, event, state, at, note, hash)
        SELECT transfer_id, audit_seq, 'clock_return', 'returned', now(), '', audit_head FROM moved
    ),
    -- no transfer is open any more for the member
    freed AS (DELETE FROM open_transfers o USING moved m WHERE o.member_id = m.member_id),
    -- and the member is not held
    released AS (
        UPDATE people p SET reserved_by = NULL, reserved_target_id = NULL
        FROM moved m WHERE p.person_id = m.member_id AND p.reserved_by = m.transfer_id
    )
    INSERT INTO outbox (topic, body) SELECT 'returned', json_agg(transfer_id)::text FROM moved"""
_ANY_OPEN = sa.text(f"SELECT EXISTS (SELECT 1 FROM open_nodes WHERE transfer_id >= {FIRST})")
_ANY_HELD = sa.text(f"""
    SELECT EXISTS (
        SELECT 1 FROM people
        WHERE reserved_by >= {FIRST} AND person_id >= 0
        ORDER BY person_id DESC LIMIT 1
    )""")
_GRADUATES = sa.text(f"""
    WITH made AS (
        INSERT INTO graduates (member_id, cohort, branch_id, flagged_at, counts, version)
        SELECT {load.FIRST_MEMBER} + n, :cohort, {_BRANCH}, now() - interval '200 days', true, 1
        FROM generate_series(:start, :end) AS n
        RETURNING member_id
    )
    INSERT INTO changes (member_id) SELECT member_id FROM made""")
_STEP = 100_000


def _in_steps(url: str, count: int, *statements: str, **values: Any) -> None:
    connection = psycopg2.connect(
        db.address(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    with connection.cursor() as cursor:
        for start in range(0, count, _STEP):
            for statement in statements:
                cursor.execute(statement, {**values, "start": start, "end": min(count, start + _STEP) - 1})
            connection.commit()
    connection.close()


def ended_transfers(installation: Installation, count: int) -> None:
    """Load transfers that have ended, one per member, so that the tables are large."""
    _in_steps(
        installation.settings.database("transfers"), count, _TRANSFERS, state="rejected", ended="2026-01-01"
    )
    with installation.engine("transfers").connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.execute(sa.text("VACUUM ANALYZE transfers"))


def _pending(url_of: Callable[[str], str], count: int) -> None:
    _in_steps(url_of("transfers"), count, _TRANSFERS, _NODES, _HELD, state="pending_in", ended=None)
    _in_steps(url_of("members"), count, _RESERVED)


def bare(url: str, count: int, connections: int = 4, size: int = 2_000) -> float:
    """Return how many deadlines per second the bare SQL works off.

    It closes, returns, audits, frees the member, writes the outbox; nothing else.
    """
    _pending(lambda _: url, count)
    address = db.address(url).set(drivername="postgresql").render_as_string(hide_password=False)

    def work(number: int) -> None:
        connection = psycopg2.connect(address)
        with connection.cursor() as cursor:
            for start in range(number * size, count, connections * size):
                ids = list(range(FIRST + start, FIRST + min(count, start + size)))
                cursor.execute(_RETURN, {"ids": ids})
                connection.commit()
        connection.close()

    started = time.monotonic()
    in_threads([partial(work, number) for number in range(connections)])
    return count / (time.monotonic() - started)


def deadlines(
    installation: Installation, schools: list[load.School], count: int, people: int
) -> dict[str, float]:
    """Let `count` timers fall due at one instant.

    Return deadlines per second until the last transfer is returned and its member free, and p50 and p99 of
    requests meanwhile, unless there were fewer than `FEWEST`.
    """
    _pending(installation.settings.database, count)
    # it learns of the timers when it starts; in life it is told of each
    installation.kill("scheduler", signal.SIGTERM)
    at = clock.now() + timedelta(seconds=20)
    _in_steps(installation.settings.database("scheduler"), 1, _TIMERS, due=at, last=count - 1)
    installation.start("scheduler")
    due = time.monotonic() + (at - clock.now()).total_seconds()
    waits: list[float] = []
    stop = threading.Event()
    thread = threading.Thread(target=_interact, args=(installation, schools, count, people, due, waits, stop))
    thread.start()
    time.sleep(max(0.0, due - time.monotonic()))
    _until_all_are_free(installation)
    took = time.monotonic() - due
    stop.set()
    thread.join()
    found = {"per_s": count / took, "seconds": took, "requests": len(waits)}
    if len(waits) < FEWEST:
        return found
    return {**found, "p50_ms": 1000 * statistics.median(waits), "p99_ms": 1000 * percentile(waits, 99)}


def _until_all_are_free(installation: Installation) -> None:
    """Return when no loaded transfer is open any more and no member held for one."""
    ends = time.monotonic() + 600
    with (
        installation.engine("transfers").connect() as some,
        installation.engine("members").connect() as those,
    ):
        while some.scalar(_ANY_OPEN) or those.scalar(_ANY_HELD):
            some.rollback()
            those.rollback()
            if time.monotonic() > ends:
                raise TimeoutError("the deadlines were not worked off in ten minutes")
            time.sleep(0.25)


def _interact(
    installation: Installation,
    schools: list[load.School],
    count: int,
    people: int,
    due: float,
    waits: list[float],
    stop: threading.Event,
) -> None:
    """Look at lists and start transfers, twenty times a second, until told to stop.

    It begins at the instant, each request is on its own, and it keeps how long each took.
    """
    client = RpcClient(installation.settings)
    number = count
    time.sleep(max(0.0, due - time.monotonic()))
    threads: list[threading.Thread] = []

    def ask(number: int) -> None:
        began = time.perf_counter()
        _ask(client, schools, number)
        waits.append(time.perf_counter() - began)

    while not stop.is_set() and number < people - 1:
        thread = threading.Thread(target=ask, args=(number,))
        thread.start()
        threads.append(thread)
        number += 1
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    client.close()


def _ask(client: RpcClient, schools: list[load.School], number: int) -> None:
    """Look at a list, every other time; else start the transfer of one more member."""
    member = load.FIRST_MEMBER + number
    school = schools[(load.branch_of(member) - 1000) // load.BRANCHES_PER_SCHOOL]
    if number % 2:
        wanted = ListWork(limit=20)
        client.call(contract.list_work, wanted, token=school.target_token, org_id=school.target, timeout=60)
        return
    (outcome,) = client.call(
        contract.request_transfers,
        drive.requests([member], school),
        token=school.source_token,
        org_id=school.committee,
        timeout=60,
    )
    assert outcome.refusal is None, outcome


def idle_timers(installation: Installation, count: int, seconds: float) -> dict[str, float]:
    """Return the scheduler's use of a core in percent, without timers and with `count` of them.

    The timers are pending, none of them due.
    """
    process = psutil.Process(installation.processes["scheduler"].pid)

    def use() -> float:
        before = sum(process.cpu_times()[:2])
        time.sleep(seconds)
        return float(100 * (sum(process.cpu_times()[:2]) - before) / seconds)

    without = use()
    url = installation.settings.database("scheduler")
    _in_steps(
        url,
        count,
        "INSERT INTO timers (transfer_id, node_no, expires_at)"
        " SELECT n + 50000000000, 1, now() + interval '300 days' + n * interval '1 second'"
        " FROM generate_series(%(start)s, %(end)s) AS n",
    )
    with installation.engine("scheduler").connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.execute(sa.text("VACUUM ANALYZE timers"))
    time.sleep(3)
    return {"without": without, "with": use()}


def figures(installation: Installation, schools: list[load.School], people: int) -> dict[str, float]:
    """Return p50 and p95 of reading the figures of everything, and how fast they are followed.

    They are read with a twentieth of the graduates and with all.
    """
    client = RpcClient(installation.settings)
    found: dict[str, float] = {}
    for name, start, end in (("small", 0, people // 20), ("large", people // 20, people)):
        began = time.monotonic()
        _flag(installation, start, end)
        found[f"{name}_per_s"] = (end - start) / (time.monotonic() - began)
        took = _read_figures(client, schools[0])
        found[f"{name}_p50_ms"], found[f"{name}_p95_ms"] = statistics.median(took), percentile(took, 95)
    client.close()
    return found


def _flag(installation: Installation, start: int, end: int) -> None:
    """Make members graduates; return when the figures have followed all of them."""
    with installation.engine("transfers").begin() as tx:
        tx.execute(_GRADUATES, {"cohort": clock.today().year, "start": start, "end": end - 1})
    while True:
        with installation.engine("transfers").connect() as tx:
            if not tx.scalar(sa.text("SELECT EXISTS (SELECT 1 FROM changes)")):
                return
        time.sleep(0.1)


def _read_figures(client: RpcClient, school: load.School) -> list[float]:
    """Return how many milliseconds each of 200 looks at the figures took."""
    took = []
    for _ in range(200):
        at = time.perf_counter()
        sheet = client.call(
            contract.get_figures, GetFigures(), token=school.source_token, org_id=school.committee
        )
        took.append(1000 * (time.perf_counter() - at))
    assert sheet.org.idle + sheet.org.open + sheet.org.ended + sheet.org.completed > 0
    return took
