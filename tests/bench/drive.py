"""Driving whole transfers through the system as its callers would.

In lists, one by one, and at a steady rate.
"""

from __future__ import annotations

import contextlib
import queue
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from shared.bus.rpc import RpcClient, Waiting, read_reply
from shared.errors import Refused
from shared.messages import transfers as contract
from shared.messages.transfers import AssignBranch, DecideNode, ListWork, RequestTransfer
from tests.bench import load, trace
from tests.bench.quantiles import percentile
from tests.bench.threads import in_threads
from tests.installation import Installation

LIST = 500
CALLERS = 8
"""Who calls at a steady rate: so many that nobody's answer delays the next call."""


class Members:
    """Hands out member ids of a school, none twice."""

    def __init__(self, people: int) -> None:
        self.people = people
        self.used = [0] * load.SCHOOLS

    def take(self, school: int, count: int) -> list[int]:
        """Return `count` ids of members of the school's class branches."""
        start, self.used[school] = self.used[school], self.used[school] + count
        width = load.SCHOOLS * load.BRANCHES_PER_SCHOOL
        some = [
            load.FIRST_MEMBER
            + (n // load.BRANCHES_PER_SCHOOL) * width
            + school * load.BRANCHES_PER_SCHOOL
            + n % load.BRANCHES_PER_SCHOOL
            for n in range(start, start + count)
        ]
        if some[-1] >= load.FIRST_MEMBER + self.people:
            raise RuntimeError("the benchmark ran out of members; load more")
        return some


def requests(members: list[int], school: load.School, initiator: str = "source") -> list[RequestTransfer]:
    """Return requests to the school's target committee."""
    return [
        RequestTransfer(
            command_id=uuid.uuid4(),
            initiator=initiator,
            member_id=member,
            source_branch_id=load.branch_of(member),
            target_org_id=school.target,
            reason="further_study",
            place_name="大学",
            place_address="地址",
        )
        for member in members
    ]


def completed(installation: Installation) -> int:
    """Return how many transfers are completed."""
    with installation.engine("transfers").connect() as tx:
        return int(tx.scalar(sa.text("SELECT count(*) FROM transfers WHERE state = 'completed'")) or 0)


def wait_completed(installation: Installation, wanted: int, seconds: float = 120) -> None:
    """Wait until so many transfers are completed."""
    ends = time.monotonic() + seconds
    while completed(installation) < wanted:
        if time.monotonic() > ends:
            raise TimeoutError(f"{completed(installation)} of {wanted} completed")
        time.sleep(0.02)


def approve_listed(client: RpcClient, org: int, token: str, ids: set[int], state: str) -> None:
    """Approve, as the organisation's administrator, what its work list shows of `ids`.

    It ends when all are approved; others may wait in the same list, before them, too.
    """
    left, after = set(ids), ""
    while left:
        wanted = ListWork(state=state, limit=LIST, after=after)
        page = client.call(contract.list_work, wanted, token=token, org_id=org, timeout=60)
        seen = [item for item in page.items if item.transfer_id in left]
        after = page.items[-1].cursor if len(page.items) == LIST else ""
        if not seen:
            time.sleep(0 if after else 0.05)
            continue
        outcomes = client.call(
            contract.decide_nodes,
            [
                DecideNode(
                    decision_id=uuid.uuid4(), transfer_id=item.transfer_id, node_no=item.node_no, approve=True
                )
                for item in seen
            ],
            token=token,
            org_id=org,
            timeout=60,
        )
        for outcome in outcomes:
            if outcome.refusal is not None:
                raise RuntimeError(f"refused: {outcome.refusal}")
            left.discard(outcome.transfer_id)


RAMP = 1.5
"""Seconds until the stream is even: transfers are counted as completed from then on until new ones stop."""


class Window:
    """Completed transfers per second between two instants of a steady stream, counted in the database."""

    def __init__(self, installation: Installation, seconds: float) -> None:
        self.installation = installation
        self.ends = time.monotonic() + RAMP + seconds
        self.before = completed(installation)
        self.speed = 0.0
        self._thread = threading.Thread(target=self._count, args=(seconds,))
        self._thread.start()

    def _count(self, seconds: float) -> None:
        time.sleep(RAMP)
        first, started = completed(self.installation), time.monotonic()
        time.sleep(seconds)
        self.speed = (completed(self.installation) - first) / (time.monotonic() - started)

    def open(self) -> bool:
        """Return whether new transfers are to be started."""
        return time.monotonic() < self.ends

    def close(self, sent: int) -> float:
        """Wait until everything that was sent is completed; return the speed within the window."""
        wait_completed(self.installation, self.before + sent)
        self._thread.join()
        return self.speed


def bulk(
    installation: Installation,
    members: Members,
    schools: list[load.School],
    seconds: float,
    threads: int = 12,
) -> tuple[float, int]:
    """Run lists of 500 through request, approval, assignment.

    Return transfers per second, request to completed, and how many.

    Each thread plays both offices of one school after the other: hands a list over, and does what
    its work list shows.
    """
    client = RpcClient(installation.settings)
    window = Window(installation, seconds)
    sent = [0] * threads
    errors: list[BaseException] = []

    def work(n: int) -> None:
        index = n
        try:
            while window.open() and not errors:
                school = schools[index % len(schools)]
                index += threads
                _whole_list(client, school, members.take(school.committee - 100, LIST))
                sent[n] += LIST
        except BaseException as error:
            errors.append(error)

    in_threads([partial(work, n) for n in range(threads)])
    if errors:
        raise errors[0]
    speed = window.close(sum(sent))
    client.close()
    return speed, sum(sent)


def _whole_list(client: RpcClient, school: load.School, members: list[int]) -> None:
    """Take one list of members from the request to the assignment, as both offices of a school."""
    made = client.call(
        contract.request_transfers,
        requests(members, school),
        token=school.source_token,
        org_id=school.committee,
        timeout=60,
    )
    ids = {outcome.transfer_id for outcome in made if outcome.refusal is None}
    assert len(ids) == len(members), [outcome for outcome in made if outcome.refusal][:1]
    approve_listed(client, school.target, school.target_token, ids, "pending_in")
    outcomes = client.call(
        contract.assign_branches,
        [
            AssignBranch(decision_id=uuid.uuid4(), transfer_id=one, branch_id=school.target_branch)
            for one in ids
        ],
        token=school.target_token,
        org_id=school.target,
        timeout=60,
    )
    assert all(outcome.refusal is None for outcome in outcomes), outcomes[0]


class Flight:
    """Calls under way: at most `limit`; answers come back through a queue to the one thread that drives."""

    def __init__(self, client: RpcClient, limit: int) -> None:
        self.client, self.limit, self.under_way = client, limit, 0
        self.took: list[float] = []
        self.answers: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def send(self, call: Any, item: Any, token: str, org: int | None, then: Callable[[Any], None]) -> None:
        """Send one call of one item; `then` gets its reply in the driving thread."""

        sent = time.monotonic()

        def ready(answer: bytes | None) -> None:
            self.took.append(time.monotonic() - sent)
            self.answers.put(lambda: self._land(call, answer, then))

        self.under_way += 1
        self.client.send(
            call,
            msgspec.json.encode([item] if call.many else item),
            Waiting(ready),
            uuid.uuid4().hex,
            token,
            org,
            timeout=60,
        )

    def take(self) -> None:
        """Handle the answers that are here; wait a moment for the first."""
        with contextlib.suppress(queue.Empty):
            self.answers.get(timeout=0.002)()
            while True:
                self.answers.get_nowait()()

    def _land(self, call: Any, answer: bytes | None, then: Callable[[Any], None]) -> None:
        self.under_way -= 1
        if answer is None:
            raise Refused("unavailable")
        reply = read_reply(call, answer)
        then(reply[0] if call.many else reply)


class Singly(NamedTuple):
    """Transfers per second, how many were sent, and the seconds that each of their calls took."""

    per_s: float
    sent: int
    took: list[float]


def singles(
    installation: Installation, members: Members, schools: list[load.School], seconds: float, limit: int = 64
) -> Singly:
    """Run transfers one by one, `limit` calls in flight.

    Every request, decision and assignment is a call of its own.

    An office decides what its work list shows; the lists are looked at in turn.
    """
    client = RpcClient(installation.settings)
    run = _Singles(Flight(client, limit), Window(installation, seconds), members, schools)
    run.until_done()
    speed = run.window.close(run.sent)
    client.close()
    return Singly(speed, run.sent, run.flight.took)


class _Singles:
    """Transfers that go their way one by one; everything happens in the thread that drives."""

    def __init__(self, flight: Flight, window: Window, members: Members, schools: list[load.School]) -> None:
        self.flight, self.window, self.members = flight, window, members
        self.schools = schools[:8]
        self.sent, self.assigned, self.last_look = 0, 0, 0.0
        self.ready: list[Callable[[], None]] = []
        """Decisions and assignments that can be sent."""
        self.waiting: dict[int, set[int]] = {school.target: set() for school in schools}
        """By office the transfers that were requested and not yet seen in its list."""
        self.listing: set[int] = set()
        """Offices whose list is under way."""

    def until_done(self) -> None:
        """Send and take answers until the time is over and everything that was sent is assigned."""
        while self.window.open() or self.assigned < self.sent:
            while self.flight.under_way < self.flight.limit and self._send():
                pass
            self.flight.take()

    def _send(self) -> bool:
        """Send what comes next; return False if there is nothing to send now."""
        if self.ready:
            self.ready.pop(0)()
            return True
        unlisted = any(some and target not in self.listing for target, some in self.waiting.items())
        if unlisted and time.monotonic() - self.last_look > 0.02:
            return self._look()
        if self.window.open() and sum(map(len, self.waiting.values())) < 4 * self.flight.limit:
            self._request(self.schools[self.sent % len(self.schools)])
            return True
        return False

    def _look(self) -> bool:
        """Ask for the list of the office that most transfers wait for."""
        self.last_look = time.monotonic()
        school = max(
            (one for one in self.schools if one.target not in self.listing),
            key=lambda one: len(self.waiting[one.target]),
            default=None,
        )
        if school is None or not self.waiting[school.target]:
            return False
        self.listing.add(school.target)
        wanted = ListWork(state="pending_in", limit=200)
        then = partial(self._listed, school)
        self.flight.send(contract.list_work, wanted, school.target_token, school.target, then)
        return True

    def _request(self, school: load.School) -> None:
        self.sent += 1
        (wanted,) = requests(self.members.take(school.committee - 100, 1), school)
        then = partial(self._requested, school)
        self.flight.send(contract.request_transfers, wanted, school.source_token, school.committee, then)

    def _requested(self, school: load.School, outcome: Any) -> None:
        assert outcome.refusal is None, outcome
        self.waiting[school.target].add(outcome.transfer_id)

    def _listed(self, school: load.School, page: Any) -> None:
        self.listing.discard(school.target)
        for item in page.items:
            if item.transfer_id in self.waiting[school.target]:
                self.waiting[school.target].discard(item.transfer_id)
                self.ready.append(partial(self._approve, school, item))

    def _approve(self, school: load.School, item: Any) -> None:
        decision = DecideNode(
            decision_id=uuid.uuid4(), transfer_id=item.transfer_id, node_no=item.node_no, approve=True
        )
        then = partial(self._approved, school)
        self.flight.send(contract.decide_nodes, decision, school.target_token, school.target, then)

    def _approved(self, school: load.School, outcome: Any) -> None:
        assert outcome.refusal is None, outcome
        self.ready.append(partial(self._assign, school, outcome.transfer_id))

    def _assign(self, school: load.School, transfer_id: int) -> None:
        assignment = AssignBranch(
            decision_id=uuid.uuid4(), transfer_id=transfer_id, branch_id=school.target_branch
        )
        self.flight.send(
            contract.assign_branches, assignment, school.target_token, school.target, self._assigned
        )

    def _assigned(self, outcome: Any) -> None:
        assert outcome.refusal is None, outcome
        self.assigned += 1


def latency(
    installation: Installation,
    members: Members,
    schools: list[load.School],
    per_second: float,
    seconds: float,
) -> dict[str, Any]:
    """Request transfers at a steady rate; return p50 and p99 in ms until the approver sees each.

    The time runs from the instant at which each was to be called until the approver's list shows the
    transfer. `hops` says where it went, for the median and for the slowest hundredth. Before, both sides
    have their connections, as a gateway has, and the approver has seen what waits already.
    """
    client, viewer = RpcClient(installation.settings), RpcClient(installation.settings)
    school = schools[-1]
    _look(client, school, "")
    after = ""
    while (page := _look(viewer, school, after)).items:
        after = page.items[-1].cursor
    seen: dict[int, float] = {}
    called: dict[int, float] = {}
    stop = threading.Event()
    watching = threading.Thread(target=_watch, args=(viewer, school, after, seen, stop))
    watching.start()
    started = time.time() + 0.1
    due: queue.SimpleQueue[tuple[float, int]] = queue.SimpleQueue()
    for n, member in enumerate(members.take(school.committee - 100, int(per_second * seconds))):
        due.put((started + n / per_second, member))
    in_threads([partial(_call_at, client, school, due, called)] * CALLERS)
    ends = time.monotonic() + 10
    while not called.keys() <= seen.keys() and time.monotonic() < ends:
        time.sleep(0.05)
    stop.set()
    watching.join()
    client.close()
    viewer.close()
    took = sorted((seen[one] - at) * 1000 for one, at in called.items() if one in seen)
    if len(took) < len(called):
        raise RuntimeError(f"{len(called) - len(took)} requests never showed in the list")
    hops = trace.hops(installation, called, seen, started)
    return {
        "p50": statistics.median(took),
        "p99": percentile(took, 99),
        "n": len(took),
        "hops": trace.summed(hops),
    }


def _call_at(
    client: RpcClient,
    school: load.School,
    due: queue.SimpleQueue[tuple[float, int]],
    called: dict[int, float],
) -> None:
    """Request a transfer of each member that is `due`, at its instant; note when, by transfer."""
    with contextlib.suppress(queue.Empty):
        while True:
            at, member = due.get_nowait()
            time.sleep(max(0.0, at - time.time()))
            (outcome,) = client.call(
                contract.request_transfers,
                requests([member], school),
                token=school.source_token,
                org_id=school.committee,
            )
            called[outcome.transfer_id] = at


def _look(client: RpcClient, school: load.School, after: str) -> contract.WorkPage:
    """Return what waits for an office after a place."""
    return client.call(
        contract.list_work,
        ListWork(after=after, limit=100),
        token=school.target_token,
        org_id=school.target,
    )


def _watch(
    client: RpcClient, school: load.School, after: str, seen: dict[int, float], stop: threading.Event
) -> None:
    """Look at an office's list after a place again and again; note when each transfer is seen first."""
    while not stop.is_set():
        page = _look(client, school, after)
        now = time.time()
        for item in page.items:
            seen.setdefault(item.transfer_id, now)
            after = item.cursor
        time.sleep(0.002)
