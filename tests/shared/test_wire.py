"""The bus on a network that cuts frames in pieces, and ends connections."""

import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing

import pytest
from amqp.exceptions import PreconditionFailed

from shared.bus import connection as broker
from shared.bus.rpc import RpcClient
from shared.bus.topology import Topology
from shared.errors import Refused
from shared.messages import Act
from shared.messages.transfers import AssignBranch, GetTransfer
from shared.settings import Settings
from tests.installation import AMQP_URI, ROOT, SERVER, TOPOLOGY
from tests.pieces import Pieces
from tests.shared.test_bus import PROBE_COMMAND, PROBE_QUERY, Probe, ids, token

SECONDS = 5.0
CALLERS = 6
PROBE_ACT = Act("scheduler", "probe_query", GetTransfer, int)
"""The probe's query, called as something that must not be sent twice."""
assert token


@pytest.fixture(scope="module")
def pieces():
    with Pieces(AMQP_URI, longest=0.01) as made:
        yield made


@pytest.fixture(scope="module")
def probe(keys, pieces):
    with closing(Probe(keys, environ={"AMQP_URI": pieces.uri})) as made:
        made.create()
        made.start("scheduler")
        yield made


@pytest.fixture
def client(probe, pieces, keys):
    settings = Settings(SERVER, "", pieces.uri, keys, 0, bus_prefix=TOPOLOGY.prefix)
    with closing(RpcClient(settings)) as made:
        yield made


def in_lists(client, token, size, goes_on):
    """Have some offices send lists as long as it goes on; return what was answered, and what was refused."""
    answered, refused = [0] * CALLERS, []

    def office(n: int) -> None:
        while goes_on() and not refused:
            items = [
                AssignBranch(decision_id=uuid.uuid4(), transfer_id=one, branch_id=1) for one in ids(size)
            ]
            try:
                answered[n] += len(client.call(PROBE_COMMAND, items, token=token, org_id=5, timeout=10))
            except Refused as error:
                refused.append(error)

    offices = [threading.Thread(target=office, args=(n,)) for n in range(CALLERS)]
    for one in offices:
        one.start()
    return offices, answered, refused


def test_frames_in_pieces(probe, client, token):
    """Lists go back and forth while frames arrive in pieces: every call is answered, the service is well."""
    ends = time.monotonic() + SECONDS
    offices, answered, refused = in_lists(client, token, 300, lambda: time.monotonic() < ends)
    for one in offices:
        one.join()
    assert not refused and all(answered)
    assert probe.get("scheduler", "/readyz")[0] == 200


def test_lost_connections_refuse_nobody(probe, pieces, client, token):
    """All connections to the broker end three times under load: no call is refused."""
    over: list[bool] = []
    pieces.longest = 0  # or there is no time to connect in
    offices, answered, refused = in_lists(client, token, 20, lambda: not over)
    for _ in range(3):
        before = answered[:]
        while not refused and any(now == then for now, then in zip(answered, before, strict=True)):
            time.sleep(0.02)  # everybody has had an answer since the last time
        pieces.break_off()
    time.sleep(0.5)
    over.append(True)
    for one in offices:
        one.join()
    assert not refused


def test_an_act_is_not_sent_again(pieces, client, token):
    """Of two calls under way when the connection ends the question is answered, the act is refused."""
    slow = GetTransfer(transfer_id=6)
    assert client.call(PROBE_QUERY, GetTransfer(transfer_id=1), token=token) == 1
    found = {}

    def ask(call):
        started = time.monotonic()
        try:
            found[call] = client.call(call, slow, token=token), time.monotonic() - started
        except Refused as refused:
            found[call] = refused.code, time.monotonic() - started

    asking = [threading.Thread(target=ask, args=(call,)) for call in (PROBE_QUERY, PROBE_ACT)]
    for one in asking:
        one.start()
    time.sleep(0.5)
    pieces.break_off()
    for one in asking:
        one.join()
    assert found[PROBE_QUERY][0] == 6
    assert found[PROBE_ACT][0] == "unavailable" and found[PROBE_ACT][1] < 2


FIRST_ANSWERS = """
import sys, threading
from shared.bus.agreement import calls
from shared.bus.rpc import read_reply

sys.setswitchinterval(1e-6)
every, all_at_once = calls(), threading.Barrier(40)

def read(first: int) -> None:
    all_at_once.wait()
    for call in every[first:] + every[:first]:
        read_reply(call, b'{"ok":null}')

threads = [threading.Thread(target=read, args=(n % 3,)) for n in range(40)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_answers_come_at_once():
    """Threads that read the first answers of a kind together do not end the process.

    msgspec would in five of six runs: one finds the type that another has half looked into.
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FIRST_ANSWERS], cwd=ROOT, timeout=60)
    assert done.returncode == 0


def test_names_on_the_broker():
    """A durable queue of calls gives way; any other queue under one of the names is an error."""
    made = Topology(f"{TOPOLOGY.prefix}names.")
    connection = broker.connect(AMQP_URI)
    commands, events = made.call_queue("orgs", "commands").name, made.event_queue("orgs").name
    connection.channel().queue_declare(commands, durable=True, auto_delete=False)
    made.declare(connection)
    connection.channel().queue_declare(commands, durable=False, auto_delete=False)
    connection.channel().queue_delete(events)
    connection.channel().queue_declare(events, durable=False, auto_delete=False)
    with pytest.raises(PreconditionFailed):
        made.declare(connection)
    broker.drop(connection)
    connection = broker.connect(AMQP_URI)
    made.delete(connection)
    broker.drop(connection)
