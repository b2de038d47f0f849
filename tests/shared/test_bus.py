"""The bus on a real broker: what nameko does wrong on its own, and what a broker can do to us."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import amqp
import pytest
import sqlalchemy as sa
from kombu import Connection

from shared import clock, db
from shared.bus import connection as broker
from shared.bus.entrypoints import CommandBatches
from shared.bus.publisher import Message, Publisher, PublishFailed
from shared.bus.rpc import RpcClient
from shared.bus.topology import Topology
from shared.errors import Refused
from shared.identity import Signer
from shared.messages.transfers import AssignBranch, GetTransfer
from shared.settings import Settings
from tests.installation import AMQP_URI, ROOT, SERVER, TOPOLOGY, Installation, free_port

BUS = Settings(SERVER, "", AMQP_URI, Path(), 0, bus_prefix=TOPOLOGY.prefix)
"""The settings of a process that needs the broker only."""


class Probe(Installation):
    """The probe service as a process of its own."""

    def create(self) -> None:
        from tests.shared import probe_tables

        url = self.settings.database("scheduler")
        db.create_database(url)
        probe_tables().create_all(self.engine("scheduler"))

    def start(self, *names: str) -> None:
        for name in names or ("scheduler",):
            self.ports[name] = free_port()
            log = ROOT / "var" / "logs" / f"probe_{os.getpid()}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a") as out:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", "tests.shared.probe"],
                    cwd=ROOT,
                    stdout=out,
                    stderr=out,
                    text=True,
                    env={**self.environ, "TUANQIAO_HEALTH_PORT": str(self.ports[name])},
                )
            self.wait_ready(name)

    def rows(self, statement: str, **values) -> list[sa.Row]:
        with self.engine("scheduler").connect() as tx:
            return list(tx.execute(sa.text(statement), values))

    def effects(self) -> dict[int, int]:
        return {row.id: row.times for row in self.rows("SELECT * FROM effects")}

    def wait(self, condition, seconds: float = 20) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > ends:
                failed = self.rows(
                    "SELECT topic, left(body, 80), error, attempts, next_attempt_at FROM failed_messages"
                )
                raise AssertionError(
                    f"not within {seconds} s; effects: {len(self.effects())}; failed: {failed}"
                )
            time.sleep(0.05)


@pytest.fixture(scope="module")
def probe(keys):
    with closing(Probe(keys)) as made:
        made.create()
        made.start("scheduler")
        yield made


@pytest.fixture
def publisher():
    made = Publisher(BUS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client():
    made = RpcClient(BUS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def token(keys):
    return Signer(keys).sign("person", timedelta(minutes=10), sub="7")[0]


_numbers = iter(range(1, 10**9, 1000))


def ids(count: int) -> list[int]:
    start = next(_numbers)
    return list(range(start, start + count))


def item(transfer_id: int, kind: int) -> dict[str, int | None]:
    """Return what is told of an opened node; `kind` says how the probe misbehaves (1: not at all)."""
    return {
        "transfer_id": transfer_id,
        "node_no": kind,
        "remind_at": None,
        "remind_every": None,
        "expires_at": None,
    }


def opened(transfer_ids, kind: int = 1, message_id: str | None = None) -> Message:
    """Return one message that tells of some nodes."""
    items = [item(one, kind) for one in transfer_ids]
    return Message("transfers", "node_opened", message_id or uuid.uuid4().hex, json.dumps(items))


def waiting_on(queue: str) -> int:
    """Return how many messages wait on a queue, which has to be there."""
    with Connection(AMQP_URI) as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


def test_batches(probe, publisher):
    """A thousand messages have their effect once each, many to a transaction."""
    some = ids(1000)

    publisher.publish([opened([one]) for one in some])

    probe.wait(lambda: set(some) <= set(probe.effects()))
    assert {probe.effects()[one] for one in some} == {1}
    _, metrics = probe.get("scheduler", "/metrics")

    def measured(name: str) -> float:
        return sum(
            float(line.split()[1])
            for line in metrics.splitlines()
            if line.startswith(f"tuanqiao_batch_messages_{name}") and 'kind="events"' in line
        )

    assert measured("sum") / measured("count") > 5


def test_duplicates(probe, publisher):
    """The same message three times has its effect once."""
    some = ids(3)
    message = opened(some, message_id=uuid.uuid4().hex)

    publisher.publish([message, message])
    publisher.publish([message])
    marker = ids(1)
    publisher.publish([opened(marker)])

    probe.wait(lambda: marker[0] in probe.effects())
    assert {probe.effects()[one] for one in some} == {1}


@pytest.mark.parametrize(
    "kind", [2, 3, 4], ids=["exception", "bare eventlet.Timeout", "unimportable exception class"]
)
def test_poison_is_isolated(probe, publisher, kind):
    """One bad item among a hundred messages is set aside; its neighbours have their effect.

    The queue goes on.

    On nameko alone the event would be dropped, the prefetch slot would leak, or the container would die.
    """
    good, bad, later = ids(100), ids(1), ids(5)
    # The bad item stands between two good ones in one message, among other messages.
    mixed = [item(good[50], 1), item(bad[0], kind), item(good[51], 1)]

    publisher.publish(
        [
            *[opened([one]) for one in good[:50]],
            Message("transfers", "node_opened", uuid.uuid4().hex, json.dumps(mixed)),
            *[opened([one]) for one in good[52:]],
        ]
    )
    publisher.publish([opened(later)])

    probe.wait(lambda: set(good + later) <= set(probe.effects()))
    assert bad[0] not in probe.effects()
    set_aside = [
        row
        for row in probe.rows("SELECT * FROM failed_messages")
        if json.loads(row.body).get("transfer_id") == bad[0]
    ]
    assert len(set_aside) == 1
    assert probe.get("scheduler", "/healthz")[0] == 200


@pytest.mark.parametrize("kind", [7, 8], ids=["54000, too long for an index", "57014, always times out"])
def test_poison_of_the_database_is_isolated(probe, publisher, kind):
    """An item that PostgreSQL refuses or cancels each time holds up nobody and ends as a dead letter.

    It does not matter which class psycopg2 files the error under.
    """
    good, bad, later = ids(40), ids(1), ids(3)
    before = probe.rows("SELECT last_value FROM tries_of_sleep")[0][0]

    publisher.publish(
        [*[opened([one]) for one in good[:20]], opened(bad, kind=kind), *[opened([one]) for one in good[20:]]]
    )
    publisher.publish([opened(later)])

    probe.wait(lambda: set(good + later) <= set(probe.effects()), 30)
    probe.wait(
        lambda: [
            row
            for row in probe.rows("SELECT * FROM failed_messages WHERE next_attempt_at IS NULL")
            if row.body.startswith("{") and json.loads(row.body).get("transfer_id") == bad[0]
        ],
        30,
    )
    assert bad[0] not in probe.effects()
    assert probe.get("scheduler", "/healthz")[0] == 200
    tries = probe.rows("SELECT last_value FROM tries_of_sleep")[0][0] - before
    assert tries < 10, "tried some times, then left alone"
    # Set aside in the service's own table, which people can look at, and not on the broker.
    assert waiting_on(f"{TOPOLOGY.prefix}dead.events") == 0


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'[{"transfer_id":' * 50_000, b'[[[["\xff'],
    ids=["lists", "objects", "half a letter"],
)
def test_deep_nesting_is_set_aside(probe, publisher, body):
    """A message nested more deeply than anybody can read becomes a dead letter; its consumer goes on."""
    before = len(probe.rows("SELECT * FROM failed_messages WHERE next_attempt_at IS NULL"))
    after = ids(1)

    with Connection(AMQP_URI) as connection:
        channel = connection.default_channel
        for name, key in (
            (f"{TOPOLOGY.prefix}transfers", "node_opened"),
            ("", f"{TOPOLOGY.prefix}scheduler.commands"),
            ("", f"{TOPOLOGY.prefix}scheduler.queries"),
        ):
            channel.basic_publish(
                channel.prepare_message(body, content_type="application/json", content_encoding="binary"),
                exchange=name,
                routing_key=key,
            )
    publisher.publish([opened(after)])

    probe.wait(lambda: after[0] in probe.effects())
    probe.wait(
        lambda: len(probe.rows("SELECT * FROM failed_messages WHERE next_attempt_at IS NULL")) == before + 1
    )
    assert probe.processes["scheduler"].poll() is None


PROPERTIES = [
    {"message_id": b"\xff\xfe"},
    {"message_id": "a\0b"},
    {"message_id": ""},
    {"message_id": "x" * 255},
    {"content_encoding": b"\xff"},
    {"reply_to": b"\xff"},
    {"content_type": "application/x-python-serialize", "content_encoding": "utf-99"},
    {"application_headers": {"compression": "application/x-gzip"}},
    {"application_headers": {"x": "\ud800", "deep": {"a": [{"b": [1, None]}]}}},
    {"correlation_id": b"\xc3("},
    {"type": b"\x80", "app_id": b"\x80"},
]


def test_garbage_in_properties_stops_no_queue(probe, publisher, client, token):
    """Eleven kinds of properties and headers that no sender of ours makes stop no queue of the service.

    Nothing stays on the queues.
    """
    after, slept = ids(1), ids(1)
    queues = [f"{TOPOLOGY.prefix}scheduler.{kind}" for kind in ("events", "commands", "queries")]
    with Connection(AMQP_URI) as connection:
        channel = connection.channel()
        for properties in PROPERTIES:
            for queue in queues:
                channel.basic_publish(amqp.Message(b"[]", **properties), exchange="", routing_key=queue)
        publisher.publish([opened(after)])
        probe.wait(lambda: after[0] in probe.effects())
        command = AssignBranch(decision_id=uuid.uuid4(), transfer_id=slept[0], branch_id=1)
        assert client.call(PROBE_COMMAND, [command], token=token)[0].transfer_id == slept[0]
        assert client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token) == 42
        probe.wait(
            lambda: not any(channel.queue_declare(queue, passive=True).message_count for queue in queues)
        )
        assert channel.queue_declare(f"{TOPOLOGY.prefix}dead.events", passive=True).message_count == 0
    assert probe.get("scheduler", "/healthz")[0] == 200


def test_retries_then_success(probe, publisher):
    """An item that fails at first is tried again after a pause and then has its effect once."""
    some = ids(1)

    publisher.publish([opened(some, kind=5)])

    probe.wait(lambda: some[0] in probe.effects(), 25)
    assert probe.effects()[some[0]] == 1


def test_unreadable_message_is_kept(probe, publisher):
    """A body that is no JSON, a wrong shape and an unknown topic become dead letters.

    Nothing is silently lost.
    """
    before = len(probe.rows("SELECT * FROM failed_messages WHERE next_attempt_at IS NULL"))
    after = ids(1)

    publisher.publish(
        [
            Message("transfers", "node_opened", uuid.uuid4().hex, "{not json"),
            Message("transfers", "node_opened", uuid.uuid4().hex, '{"transfer_id": 1}'),
            opened(after),
        ]
    )
    with Connection(AMQP_URI) as connection:
        connection.default_channel.basic_publish(
            connection.default_channel.prepare_message(
                b"\xff\xfe\x00", content_type="application/x-python-serialize", content_encoding="binary"
            ),
            exchange=f"{TOPOLOGY.prefix}transfers",
            routing_key="node_opened",
        )

    probe.wait(lambda: after[0] in probe.effects())
    probe.wait(
        lambda: len(probe.rows("SELECT * FROM failed_messages WHERE next_attempt_at IS NULL")) == before + 3
    )


def test_unroutable_is_refused(publisher):
    """A mandatory event without a bound queue is not confirmed as published."""
    with pytest.raises(PublishFailed):
        publisher.publish([Message("transfers", "nobody_listens", "x", "[]")])


def test_queues_are_declared_before_their_consumer(publisher):
    """An event published before its consumer ever started waits for it."""
    publisher.publish([Message("orgs", "org_changed", uuid.uuid4().hex, "[]")])
    assert waiting_on(f"{TOPOLOGY.prefix}members.events") >= 1


def test_queues_of_calls_replace_durable_ones():
    """A queue of calls that an earlier version made durable gives way to one that ends with its node."""
    own = Topology(f"{TOPOLOGY.prefix}earlier.")
    with broker.connect(AMQP_URI) as connection:
        try:
            name = own.call_queue("members", "commands").name
            connection.default_channel.queue_declare(name, durable=True, auto_delete=False)
            own.declare(connection)
            own.declare(connection)
            # an equal declaration is accepted, so it is the one that is there
            connection.default_channel.queue_declare(name, durable=False, auto_delete=False)
        finally:
            own.delete(connection)


def test_commands_are_answered_each(probe, client, token):
    """64 callers at once: each gets its own answer, proven by its own token, and they share transactions."""
    some = ids(64)
    answers: dict[int, str] = {}

    def call(one: int) -> None:
        reply = client.call(
            PROBE_COMMAND,
            [AssignBranch(decision_id=uuid.uuid4(), transfer_id=one, branch_id=1)],
            token=token,
            org_id=5,
        )
        answers[reply[0].transfer_id] = reply[0].state

    threads = [threading.Thread(target=call, args=(one,)) for one in some]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == dict.fromkeys(some, "7")


def test_a_bad_command_fails_alone(probe, client, token):
    """A handler that raises an unimportable exception fails its own caller only; the container lives."""
    some = ids(20)
    results: list[str] = []

    def call(one: int, branch: int) -> None:
        try:
            client.call(
                PROBE_COMMAND,
                [AssignBranch(decision_id=uuid.uuid4(), transfer_id=one, branch_id=branch)],
                token=token,
            )
            results.append("ok")
        except Refused as refused:
            results.append(refused.code)

    threads = [threading.Thread(target=call, args=(one, 2 if one == some[7] else 1)) for one in some]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == ["internal"] + ["ok"] * 19
    assert some[7] not in probe.effects()


def call_all(client, token, branches: list[int], timeout: float = 10) -> list[tuple[int, str, float]]:
    """Call with each of `branches` at the same time; return branch, outcome and seconds of each."""
    results: list[tuple[int, str, float]] = []

    def call(branch: int) -> None:
        started = time.monotonic()
        try:
            client.call(
                PROBE_COMMAND,
                [AssignBranch(decision_id=uuid.uuid4(), transfer_id=ids(1)[0], branch_id=branch)],
                token=token,
                timeout=timeout,
            )
            outcome = "ok"
        except Refused as refused:
            outcome = refused.code
        results.append((branch, outcome, time.monotonic() - started))

    threads = [threading.Thread(target=call, args=(branch,)) for branch in branches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_poison_commands_stall_nobody(probe, client, token):
    """Calls that PostgreSQL refuses for good come without a pause: each is answered at once.

    The calls of others are answered within a second.
    """
    results = [one for _ in range(15) for one in call_all(client, token, [7] * 3 + [1] * 6)]

    assert {outcome for branch, outcome, _ in results if branch == 7} == {"internal"}
    assert {outcome for branch, outcome, _ in results if branch == 1} == {"ok"}
    slowest = max(seconds for _, _, seconds in results)
    print(f"\n45 poison calls beside 90 others: slowest answer {slowest:.2f} s")
    assert slowest < 1


def test_a_command_that_always_times_out(probe, client, token):
    """It is answered within its limit, tried a few times at most, and never again.

    Calls that came with it are answered as soon as they are parted from it.
    """
    before = probe.rows("SELECT last_value FROM tries_of_sleep")[0][0]

    results = call_all(client, token, [8] + [1] * 6, timeout=15)
    time.sleep(3)

    assert [outcome for branch, outcome, _ in results if branch == 8] == ["unavailable"]
    assert {outcome for branch, outcome, _ in results if branch == 1} == {"ok"}
    assert max(seconds for _, _, seconds in results) < 6
    assert probe.rows("SELECT last_value FROM tries_of_sleep")[0][0] - before <= 3


def test_calls_end(probe, client, token):
    """A call that nobody answers in time ends as `unavailable`.

    A slow one does not hold up the next; no slot leaks.
    """
    started = time.monotonic()
    with pytest.raises(Refused) as caught:
        client.call(PROBE_QUERY, GetTransfer(transfer_id=6), token=token, timeout=1)
    assert caught.value.code == "unavailable"
    assert time.monotonic() - started < 2

    for _ in range(80):  # a bare eventlet.Timeout would leak a slot each time
        with pytest.raises(Refused):
            client.call(PROBE_QUERY, GetTransfer(transfer_id=2), token=token)
    assert client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token) == 42
    assert not client._waiting


@pytest.mark.parametrize(
    "body, code",
    [
        (b'"nonsense"', "bad_request"),
        (b'[{"transfer_id": "x"}]', "bad_request"),
        (b"[]", "too_many_items"),
        (b'{"a": 1}', "bad_request"),
    ],
)
def test_malformed_calls(probe, client, token, body, code):
    """Malformed calls are refused by name, whatever their bytes."""
    from shared.bus.rpc import Waiting, read_reply

    waiting = Waiting()
    client.send(PROBE_COMMAND, body, waiting, uuid.uuid4().hex, token)
    assert waiting.done.wait(5)
    with pytest.raises(Refused) as caught:
        read_reply(PROBE_COMMAND, waiting.answer)
    assert caught.value.code == code


def test_tokens(probe, client, keys):
    """Forged, foreign and expired tokens are refused by the service itself (ROLE-16)."""
    signer = Signer(keys)
    expired = signer.sign("person", timedelta(seconds=-1), sub="7")[0]
    wrong_kind = signer.sign("member_ticket", timedelta(minutes=1), sub="7")[0]
    for token, code in (
        ("", "token_invalid"),
        ("a.b.c", "token_invalid"),
        (wrong_kind, "token_invalid"),
        (expired, "token_expired"),
    ):
        with pytest.raises(Refused) as caught:
            client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token)
        assert caught.value.code == code


def test_message_without_reply_to(probe, client, token):
    """A call without `reply_to` does its work and harms nobody; nameko's own responder would die of it."""
    with Connection(AMQP_URI) as connection:
        channel = connection.default_channel
        channel.basic_publish(
            channel.prepare_message(b"[]", content_type="application/json", content_encoding="utf-8"),
            exchange="",
            routing_key=f"{TOPOLOGY.prefix}scheduler.commands",
        )
    assert client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token) == 42


def test_sigterm_finishes_the_batch(probe, publisher):
    """SIGTERM in the middle of a slow batch: it is finished, committed and acknowledged.

    The process ends with 0.
    """
    slow = ids(1)
    publisher.publish([opened(slow, kind=6)])
    time.sleep(1)

    assert probe.kill("scheduler", signal.SIGTERM) == 0

    assert probe.effects()[slow[0]] == 1
    probe.start("scheduler")
    assert probe.effects()[slow[0]] == 1


def test_sigterm_answers_what_was_asked(probe, client, token):
    """SIGTERM while questions are under way: each is answered, and the process ends with 0."""
    answers = []
    asking = [
        threading.Thread(
            target=lambda: answers.append(client.call(PROBE_QUERY, GetTransfer(transfer_id=6), token=token))
        )
        for _ in range(5)
    ]
    for one in asking:
        one.start()
    time.sleep(0.5)
    assert probe.kill("scheduler", signal.SIGTERM) == 0
    for one in asking:
        one.join(5)
    assert answers == [6] * 5
    probe.start("scheduler")


def test_sigkill_loses_and_doubles_nothing(probe, publisher):
    """SIGKILL while messages stream in: after a restart each had its effect exactly once."""
    some = ids(900)
    publisher.publish([opened([one]) for one in some[:450]])
    probe.kill("scheduler")
    publisher.publish([opened([one]) for one in some[450:]])

    probe.start("scheduler")

    probe.wait(lambda: set(some) <= set(probe.effects()))
    assert {probe.effects()[one] for one in some} == {1}


def test_no_work_when_callers_are_gone(probe, client, token):
    """A call whose caller gave up while the service was down is not worked through afterwards."""
    some = ids(1)
    probe.kill("scheduler", signal.SIGTERM)
    with pytest.raises(Refused):
        client.call(
            PROBE_COMMAND,
            [AssignBranch(decision_id=uuid.uuid4(), transfer_id=some[0], branch_id=1)],
            token=token,
            timeout=0.5,
        )
    probe.start("scheduler")
    assert client.call(PROBE_QUERY, GetTransfer(transfer_id=42), token=token) == 42
    assert some[0] not in probe.effects()


def test_health_is_proof(probe):
    """`/readyz` names each loop, the database and the outbox; `/metrics` speaks Prometheus."""
    status, body = probe.get("scheduler", "/readyz")
    proofs = json.loads(body)
    assert status == 200
    parts = ("EventBatches", "CommandBatches", "Queries", "database", "outbox")
    assert {f"scheduler.{part}" for part in parts} <= set(proofs)
    assert probe.get("scheduler", "/nothing")[0] == 404


def test_connection_is_dropped_at_the_socket():
    """A dropped connection is gone at once, whatever the broker does."""
    connection = broker.connect(AMQP_URI)
    started = time.monotonic()
    broker.drop(connection)
    assert time.monotonic() - started < 0.5


def test_clock_moves_forward_only():
    """The simulated clock never runs backwards."""
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(timedelta(seconds=-1))


from shared.messages import Command, Query
from shared.messages.transfers import Outcome

PROBE_COMMAND = Command("scheduler", "probe_command", AssignBranch, Outcome)
PROBE_QUERY = Query("scheduler", "probe_query", GetTransfer, int)
assert SERVER


def test_a_service_refuses_what_is_out_of_limits_itself(probe, client, token):
    """The service owns its data and its limits, whatever gateway or page sends it.

    Ids beyond a bigint, depth and broken UTF-8 are refused by name at once, and those who called at
    the same time are answered.
    """
    from shared.bus.rpc import Waiting, read_reply

    def send(call, body, org_id=5):
        """Call with bytes of our own; return the answer, or the refusal's code and pointer."""
        waiting = Waiting()
        started = time.monotonic()
        client.send(call, body, waiting, uuid.uuid4().hex, token, org_id)
        assert waiting.done.wait(5) and waiting.answer is not None, body[:80]
        try:
            return read_reply(call, waiting.answer)
        except Refused as refused:
            assert time.monotonic() - started < 2
            return refused.code, refused.refusal.values.get("pointer")

    def commands(*numbers):
        """Return the body of a call, byte by byte, since our own encoder would refuse such numbers."""
        one = b'{"decision_id": "%s", "transfer_id": %s, "branch_id": 1}'
        return b"[" + b",".join(one % (str(uuid.uuid4()).encode(), number) for number in numbers) + b"]"

    first, second = ("bad_request", "/items/0/transfer_id"), ("bad_request", "/items/1/transfer_id")
    assert send(PROBE_COMMAND, commands(b"9223372036854775808")) == first
    assert send(PROBE_COMMAND, commands(b"1", b"0")) == second
    assert send(PROBE_COMMAND, commands(b"9" * 5000)) == first
    assert send(PROBE_QUERY, b'{"transfer_id": 0}') == ("bad_request", "/transfer_id")
    # How deep one can read depends on the stack, so both answers are right; a dead process is not.
    deep = b'{"transfer_id": 1, "x": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert send(PROBE_QUERY, deep) in (1, ("bad_request", ""))
    assert send(PROBE_QUERY, b'{"transfer_id": 1}') == 1
    for org_id in (0, -1, 2**63, 10**5000):
        with pytest.raises(Refused, match="bad_request"):
            client.call(PROBE_QUERY, GetTransfer(transfer_id=1), token=token, org_id=org_id)
    for number in (2**63, 2**70, 10**5000, -1):
        with pytest.raises(Refused, match="bad_request"):
            client.call(PROBE_QUERY, GetTransfer(transfer_id=number), token=token)
    assert send(PROBE_COMMAND, commands(b"77"))[0].transfer_id == 77


@pytest.mark.parametrize(
    ("bodies", "waits"),
    [
        ([400], False),
        ([400] * 5, False),
        ([400] * 6, True),
        ([400 * 20], True),
        ([100_000] * 5, False),
    ],
)
def test_only_who_is_one_of_many_waits_for_more(bodies, waits):
    """After a batch of single calls a drain gathers the next for a moment; few, and lists, wait for none."""
    drain = CommandBatches()
    drain.note([SimpleNamespace(body=b"x" * size) for size in bodies])

    assert (drain.linger > 0) is waits
