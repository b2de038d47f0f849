"""Driving whole transfers through the system as its callers would.

In lists, one by one, and at a steady rate.
"""

from __future__ import annotations

import queue
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from shared.bus.rpc import RpcClient, Waiting, read_reply
from shared.errors import Refused
from shared.messages import transfers as contract
from shared.messages.transfers import AssignBranch, DecideNode, ListWork, RequestTransfer
from tests.bench import load
from tests.bench.quantiles import percentile
from tests.installation import Installation

LIST = 500


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

    It ends when all are approved.
    """
    left = set(ids)
    while left:
        page = client.call(
            contract.list_work, ListWork(state=state, limit=LIST), token=token, org_id=org, timeout=60
        )
        seen = [item for item in page.items if item.transfer_id in left]
        if not seen:
            time.sleep(0.05)
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
                some = requests(members.take(school.committee - 100, LIST), school)
                made = client.call(
                    contract.request_transfers,
                    some,
                    token=school.source_token,
                    org_id=school.committee,
                    timeout=60,
                )
                ids = {outcome.transfer_id for outcome in made if outcome.refusal is None}
                assert len(ids) == LIST, [outcome for outcome in made if outcome.refusal][:1]
                approve_listed(client, school.target, school.target_token, ids, "pending_in")
                outcomes = client.call(
                    contract.assign_branches,
                    [
                        AssignBranch(
                            decision_id=uuid.uuid4(), transfer_id=one, branch_id=school.target_branch
                        )
                        for one in ids
                    ],
                    token=school.target_token,
                    org_id=school.target,
                    timeout=60,
                )
                assert all(outcome.refusal is None for outcome in outcomes), outcomes[0]
                sent[n] += LIST
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
    speed = window.close(sum(sent))
    client.close()
    return speed, sum(sent)


class Flight:
    """Calls under way: at most `limit`; answers come back through a queue to the one thread that drives."""

    def __init__(self, client: RpcClient, limit: int) -> None:
        self.client, self.limit, self.under_way = client, limit, 0
        self.answers: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def send(self, call: Any, item: Any, token: str, org: int | None, then: Callable[[Any], None]) -> None:
        """Send one call of one item; `then` gets its reply in the driving thread."""

        def ready(answer: bytes | None) -> None:
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

    def _land(self, call: Any, answer: bytes | None, then: Callable[[Any], None]) -> None:
        self.under_way -= 1
        if answer is None:
            raise Refused("unavailable")
        reply = read_reply(call, answer)
        then(reply[0] if call.many else reply)


def singles(
    installation: Installation, members: Members, schools: list[load.School], seconds: float, limit: int = 64
) -> tuple[float, int]:
    """Run transfers one by one, `limit` calls in flight.

    Every request, decision and assignment is a call of its own.

    An office decides what its work list shows; the lists are looked at in turn.
    """
    client = RpcClient(installation.settings)
    flight = Flight(client, limit)
    sent, assigned = 0, 0
    ready: list[Callable[[], None]] = []
    waiting: dict[int, dict[int, load.School]] = {school.target: {} for school in schools}
    listing: set[int] = set()
    window = Window(installation, seconds)

    def requested(school: load.School, outcome: Any) -> None:
        assert outcome.refusal is None, outcome
        waiting[school.target][outcome.transfer_id] = school

    def listed(school: load.School, page: Any) -> None:
        listing.discard(school.target)
        for item in page.items:
            if waiting[school.target].pop(item.transfer_id, None) is not None:
                ready.append(
                    lambda item=item: flight.send(
                        contract.decide_nodes,
                        DecideNode(
                            decision_id=uuid.uuid4(),
                            transfer_id=item.transfer_id,
                            node_no=item.node_no,
                            approve=True,
                        ),
                        school.target_token,
                        school.target,
                        lambda outcome: approved(school, outcome),
                    )
                )

    def approved(school: load.School, outcome: Any) -> None:
        assert outcome.refusal is None, outcome
        ready.append(
            lambda: flight.send(
                contract.assign_branches,
                AssignBranch(
                    decision_id=uuid.uuid4(), transfer_id=outcome.transfer_id, branch_id=school.target_branch
                ),
                school.target_token,
                school.target,
                done,
            )
        )

    def done(outcome: Any) -> None:
        nonlocal assigned
        assert outcome.refusal is None, outcome
        assigned += 1

    turn, last_look = 0, 0.0
    while True:
        running = window.open()
        if not running and assigned == sent:
            break
        while flight.under_way < limit:
            now = time.monotonic()
            if ready:
                ready.pop(0)()
            elif now - last_look > 0.02 and any(
                len(some) > 0 and target not in listing for target, some in waiting.items()
            ):
                last_look = now
                school = max(
                    (one for one in schools[:8] if one.target not in listing),
                    key=lambda one: len(waiting[one.target]),
                    default=None,
                )
                if school is None or not waiting[school.target]:
                    break
                listing.add(school.target)
                flight.send(
                    contract.list_work,
                    ListWork(state="pending_in", limit=200),
                    school.target_token,
                    school.target,
                    lambda page, school=school: listed(school, page),
                )
            elif running and sum(len(some) for some in waiting.values()) < 4 * limit:
                school = schools[turn % 8]
                turn += 1
                sent += 1
                (one,) = requests(members.take(school.committee - 100, 1), school)
                flight.send(
                    contract.request_transfers,
                    one,
                    school.source_token,
                    school.committee,
                    lambda outcome, school=school: requested(school, outcome),
                )
            else:
                break
        try:
            flight.answers.get(timeout=0.002)()
            while True:
                flight.answers.get_nowait()()
        except queue.Empty:
            pass
    speed = window.close(sent)
    client.close()
    return speed, sent


def latency(
    installation: Installation,
    members: Members,
    schools: list[load.School],
    per_second: float,
    seconds: float,
) -> dict[str, float]:
    """Request transfers at a steady rate; return p50 and p99 in ms until the approver sees each.

    The time runs from the call until the approver's list shows the transfer.
    """
    client, viewer = RpcClient(installation.settings), RpcClient(installation.settings)
    school = schools[-1]
    seen: dict[int, float] = {}
    stop = threading.Event()

    def watch() -> None:
        after = ""
        while not stop.is_set():
            page = viewer.call(
                contract.list_work,
                ListWork(after=after, limit=100),
                token=school.target_token,
                org_id=school.target,
            )
            now = time.perf_counter()
            for item in page.items:
                seen.setdefault(item.transfer_id, now)
                after = item.cursor
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    called: dict[int, float] = {}
    started = time.perf_counter()
    for n in range(int(per_second * seconds)):
        time.sleep(max(0.0, started + n / per_second - time.perf_counter()))
        at = time.perf_counter()
        (outcome,) = client.call(
            contract.request_transfers,
            requests(members.take(school.committee - 100, 1), school),
            token=school.source_token,
            org_id=school.committee,
        )
        called[outcome.transfer_id] = at
    ends = time.monotonic() + 10
    while len(seen.keys() & called.keys()) < len(called) and time.monotonic() < ends:
        time.sleep(0.05)
    stop.set()
    thread.join()
    client.close()
    viewer.close()
    took = sorted((seen[one] - at) * 1000 for one, at in called.items() if one in seen)
    if len(took) < len(called):
        raise RuntimeError(f"{len(called) - len(took)} requests never showed in the list")
    return {"p50": statistics.median(took), "p99": percentile(took, 99), "n": len(took)}
