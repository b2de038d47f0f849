"""Transfers while processes are killed and RabbitMQ is restarted and frozen: all are finished, once each.

Every service process is killed; the broker is frozen for 30 s.
"""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest
import sqlalchemy as sa

from shared.bus.rpc import RpcClient
from shared.errors import Refused
from shared.messages import members
from shared.messages import transfers as contract
from shared.messages.members import GraduateChanged
from shared.messages.transfers import AssignBranch, DecideNode, ListWork
from shared.outbox import insert, tell
from shared.settings import SERVICES
from system import embedded
from system.demo import check_invariants
from system.synthetic import people
from tests.bench import drive, load
from tests.installation import AMQP_URI, Installation

TOTAL, LIST, FREEZE_SECONDS = 1000, 10, 30
PAUSE_SECONDS = 0.5
"""Between two lists of an office, so that the faults fall into the middle of the work."""


def broker_process() -> psutil.Process | None:
    """Return the process of the RabbitMQ on this machine, if the tests may control it."""
    local = "@localhost:" in AMQP_URI or "@127.0.0.1:" in AMQP_URI
    if not (local and os.geteuid() == 0 and shutil.which("rabbitmqctl")):
        return None
    return next((one for one in psutil.process_iter(["name"]) if one.info["name"] == "beam.smp"), None)


@pytest.fixture
def installation(tmp_path):
    embedded.make_keys(tmp_path)
    with closing(Installation(tmp_path)) as made:
        made.create()
        load.organisations(made)
        load.people(made, 20_000)
        _tell_of_graduates(made)
        made.start(*SERVICES)
        yield made


def _tell_of_graduates(made):
    """Have members tell of its loaded graduates, as the switch does.

    The statistics must then come to know each of them through kills and all.
    """
    flagged = """
        SELECT person_id AS member_id, 2026 AS cohort, branch_id,
               true AS counts, now() AS at, person_id AS version
        FROM people WHERE graduate"""
    with made.engine("members").begin() as tx:
        tx.execute(sa.text(f"WITH flagged AS ({flagged}) {insert(tell(GraduateChanged, 'flagged'))}"))


class Caller:
    """An office that asks again, with the same ids, until it is answered."""

    def __init__(self, installation: Installation) -> None:
        self.client = RpcClient(installation.settings)
        self.repeats = 0

    def call(self, call, request, token, org):
        while True:
            try:
                return self.client.call(call, request, token=token, org_id=org, timeout=3)
            except Refused as refused:
                if refused.code != "unavailable":
                    raise
                self.repeats += 1
                time.sleep(0.2)


@pytest.mark.rule("TRF-02", "TRF-35", "BEY-05")
@pytest.mark.timeout(240)
def test_kill_everything(installation):
    """BEY-05, TRF-02, TRF-35: SIGKILL of each service in the middle of 1,000 transfers.

    Nothing is lost, nothing is doubled.
    """

    def kill(done: Callable[[], int]) -> Iterator[str]:
        for name in (*SERVICES, "transfers", "members"):
            time.sleep(0.7)
            installation.kill(name, signal.SIGKILL)
            installation.start(name)
            yield f"killed {name} at {done()}"

    transfers_under(installation, kill)


@pytest.mark.alone
@pytest.mark.rule("BEY-05")
@pytest.mark.timeout(240)
def test_the_broker_goes_away(installation):
    """BEY-05: RabbitMQ restarted and frozen in the middle of 1,000 transfers.

    Nothing is lost, nothing is doubled.
    """
    broker = broker_process()
    if broker is None:
        pytest.skip(
            "RabbitMQ is not a local server that this user controls, so it cannot be restarted or frozen"
        )

    def take_away(done: Callable[[], int]) -> Iterator[str]:
        time.sleep(2)
        subprocess.run(["rabbitmqctl", "-q", "stop_app"], check=True, capture_output=True)
        subprocess.run(["rabbitmqctl", "-q", "start_app"], check=True, capture_output=True)
        yield f"restarted RabbitMQ at {done()}"
        time.sleep(0.5)
        broker.suspend()
        yield f"froze RabbitMQ at {done()}"
        try:
            time.sleep(FREEZE_SECONDS)
        finally:
            broker.resume()

    transfers_under(installation, take_away)


def _approve_all(caller: Caller, school, left: set[int]) -> None:
    """Approve, as the target, what its work list shows of `left`, until all are approved."""
    # kept over the repeats: a decision that is sent again has the id it had the first time
    decisions: dict[int, DecideNode] = {}
    while left:
        page = caller.call(contract.list_work, ListWork(limit=500), school.target_token, school.target)
        for item in page.items:
            if item.transfer_id in left and item.state == "pending_in":
                decisions.setdefault(
                    item.transfer_id,
                    DecideNode(
                        decision_id=uuid.uuid4(),
                        transfer_id=item.transfer_id,
                        node_no=item.node_no,
                        approve=True,
                    ),
                )
        ready = [decisions[one] for one in left if one in decisions]
        if ready:
            for outcome in caller.call(contract.decide_nodes, ready, school.target_token, school.target):
                assert outcome.refusal is None, outcome
                left.discard(outcome.transfer_id)
        time.sleep(0.02)


def _assign_all(caller: Caller, school, made) -> None:
    assignments = [
        AssignBranch(decision_id=uuid.uuid4(), transfer_id=one.transfer_id, branch_id=school.target_branch)
        for one in made
    ]
    outcomes = caller.call(contract.assign_branches, assignments, school.target_token, school.target)
    assert all(one.refusal is None for one in outcomes)


def _invariants(installation: Installation) -> list[tuple[str, bool]]:
    """Return the invariants once they hold, or after a minute as they are."""
    engines = {service: installation.engine(service) for service in SERVICES}
    ends = time.monotonic() + 60
    while any(holds is False for _, holds in check_invariants(engines)) and time.monotonic() < ends:
        time.sleep(0.5)
    return check_invariants(engines)


def transfers_under(installation: Installation, faults: Callable[[Callable[[], int]], Iterator[str]]) -> None:
    """Run `TOTAL` transfers by four offices while `faults` does its harm.

    Assert that each is completed, once, and that all invariants hold.
    """
    schools = load.schools(installation.settings.keys)[:4]
    some_members = drive.Members(20_000)
    finished = threading.Event()
    errors: list[BaseException] = []
    callers = [Caller(installation) for _ in schools]
    done = [0] * len(schools)

    def office(n: int) -> None:
        school, caller = schools[n], callers[n]
        try:
            for _ in range(TOTAL // len(schools) // LIST):
                items = drive.requests(some_members.take(school.committee - 100, LIST), school)
                made = caller.call(contract.request_transfers, items, school.source_token, school.committee)
                left = {one.transfer_id for one in made}
                assert None not in left, made
                _approve_all(caller, school, left)
                _assign_all(caller, school, made)
                done[n] += LIST
                time.sleep(PAUSE_SECONDS)
        except BaseException as error:
            errors.append(error)
            finished.set()

    threads = [threading.Thread(target=office, args=(n,)) for n in range(len(schools))]
    for thread in threads:
        thread.start()
    what_happened = list(faults(lambda: sum(done)))
    assert sum(done) < TOTAL, "the faults came after the work"
    for thread in threads:
        thread.join(120)
    assert not errors, errors[0]
    drive.wait_completed(installation, TOTAL, 120)
    results = _invariants(installation)

    print(f"\n{'; '.join(what_happened)}; {sum(caller.repeats for caller in callers)} calls repeated")
    assert all(holds for _, holds in results), results
    with installation.engine("transfers").connect() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM transfers WHERE state = 'completed'")) == TOTAL
        assert tx.scalar(sa.text("SELECT count(*) FROM transfers")) == TOTAL
    for caller in callers:
        caller.client.close()


@pytest.mark.rule("DL-19", "DL-05", "BEY-08")
@pytest.mark.timeout(120)
def test_three_schedulers_fire_once(installation):
    """DL-19: with three schedulers, one of them killed, each deadline fires once.

    A decision committed earlier wins.
    """
    schools = load.schools(installation.settings.keys)[:1]
    caller = Caller(installation)
    school = schools[0]
    made = caller.call(
        contract.request_transfers,
        drive.requests(drive.Members(20_000).take(0, 300), school),
        school.source_token,
        school.committee,
    )
    engine, timers = installation.engine("transfers"), installation.engine("scheduler")
    _wait_for_timers(timers, 300)
    decided = [one.transfer_id for one in made[:50]]
    caller.call(
        contract.decide_nodes,
        [DecideNode(decision_id=uuid.uuid4(), transfer_id=one, node_no=1, approve=True) for one in decided],
        school.target_token,
        school.target,
    )
    installation.start("scheduler#2", "scheduler#3")
    _let_fall_due(engine, timers)
    installation.kill("scheduler#2")

    assert _counts_once_returned(engine, 250) == {"returned": 250, "pending_assign": 50}
    most = sa.text("""
        SELECT max(n) FROM (
            SELECT count(*) AS n FROM audit WHERE event = 'clock_return' GROUP BY transfer_id
        ) AS t""")
    with engine.connect() as tx:
        assert tx.scalar(most) == 1
    caller.client.close()


def _wait_for_timers(timers: sa.Engine, count: int) -> None:
    ends = time.monotonic() + 20
    while True:
        with timers.connect() as tx:
            if tx.scalar(sa.text("SELECT count(*) FROM timers")) == count:
                return
        assert time.monotonic() < ends
        time.sleep(0.1)


def _let_fall_due(engine: sa.Engine, timers: sa.Engine) -> None:
    """Have the nodes expired already, and the timers fire in a second, when all schedulers look."""
    for one, statement in (
        (engine, "UPDATE open_nodes SET expires_at = now() - interval '1 second' WHERE state = 'pending_in'"),
        (timers, "UPDATE timers SET expires_at = now() + interval '1 second' WHERE node_no = 1"),
    ):
        with one.begin() as tx:
            tx.execute(sa.text(statement))


def _counts_once_returned(engine: sa.Engine, returned: int) -> dict[str, int]:
    """Wait until so many transfers are returned; return how many there are in each state."""
    ends = time.monotonic() + 60
    while True:
        with engine.connect() as tx:
            rows = tx.execute(sa.text("SELECT state, count(*) FROM transfers GROUP BY 1"))
            counts = dict(tuple(row) for row in rows)
        if counts.get("returned") == returned:
            return counts
        assert time.monotonic() < ends, counts
        time.sleep(0.2)


@pytest.mark.rule("IMP-05", "IMP-06")
@pytest.mark.timeout(180)
def test_import_of_10000_rows_survives_kills(installation):
    """IMP-05: 10,000 rows, members killed twice in the middle.

    Every good row is entered once, every bad row comes back with its reason.
    """
    school = load.schools(installation.settings.keys)[0]
    caller, import_id, count = Caller(installation), uuid.uuid4(), 10_000
    names = [f"1.{school.committee}.{branch}." for branch in school.branches]
    some = list(people(count, rng=random.Random(1), division_codes=["420106", "420107"], start=40_000_000))
    rows = [
        members.ImportRow(
            import_id=import_id,
            number=n,
            branch_name=names[n % len(names)],
            name=one.name,
            id_number=one.id_number if n % 100 else "1",  # every hundredth row is bad
            ethnic_group=one.ethnic_group,
            phone=one.phone,
            joined_on=one.joined_on,
            development_number=one.development_number,
        )
        for n, one in enumerate(some, start=1)
    ]
    started = time.monotonic()
    for at in range(0, count, 500):
        outcomes = caller.call(
            members.import_rows, rows[at : at + 500], school.source_token, school.committee
        )
        assert all(one.refusal is None for one in outcomes)

    def progress(after=None):
        return caller.call(
            members.get_import,
            members.GetImport(import_id=import_id, failed_after=after),
            school.source_token,
            school.committee,
        )

    killed = []
    while (seen := progress()).entered + seen.failed < count:
        if len(killed) < 2 and seen.entered > 2000 * (len(killed) + 1):
            killed.append(seen.entered)
            installation.kill("members", signal.SIGKILL)
            installation.start("members")
        assert time.monotonic() - started < 150
        time.sleep(0.05)
    print(f"\n{count} rows in {time.monotonic() - started:.1f} s, members killed at {killed}")

    assert (seen.rows, seen.entered, seen.failed) == (count, count * 99 // 100, count // 100)
    assert len(killed) == 2
    failures = progress(0).failures
    assert {row.problem for row in failures} == {"身份证号码不正确"} and len(failures) == 100
    with installation.engine("members").connect() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM people")) == 20_000 + count * 99 // 100
    caller.client.close()
