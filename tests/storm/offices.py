"""The load: offices that hand lists over, decide and assign, and ask again until they are answered.

A third of them go through the gateways, the others straight over the bus. Of some lists nobody
decides; their deadlines come due.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
import uuid
from typing import Any

import msgspec
import sqlalchemy as sa

from shared import clock
from shared.bus.rpc import RpcClient
from shared.errors import Refused
from shared.messages import transfers as contract
from shared.messages.transfers import AssignBranch, DecideNode, ListWork, NodeOpened, WithdrawTransfer
from shared.outbox import insert, tell
from tests.bench import drive, load
from tests.storm.processes import Fleet

ATTEMPT_SECONDS = 5.0
LIST = (1, 60)
"""The shortest and the longest list."""
DUE_AFTER = 7
"""Seconds until a deadline that nobody waits for; the scheduler is told within five."""
FATES = {"approve": 76, "reject": 8, "withdraw": 8, "leave": 8}
"""What becomes of a list, with its weight."""
ROUTES = {
    "request_transfers": "/transfers",
    "decide_nodes": "/transfers/decisions",
    "assign_branches": "/transfers/assignments",
    "withdraw_transfers": "/transfers/withdrawals",
}
AGAIN = ("unavailable", "internal")


class Tally:
    """What all offices have seen; shared by their threads."""

    def __init__(self) -> None:
        self.accepted: set[int] = set()
        """Transfers that an office was told of."""
        self.left: set[int] = set()
        """Of these, what nobody will decide and whose deadline is to come."""
        self.problems: list[str] = []
        """Answers that should not have been given."""
        self.repeats: dict[str, int] = {}
        self.seconds: list[float] = []
        """How long each attempt was without an answer or with one."""
        self.over = threading.Event()
        """No new lists from now on."""
        self.gone = threading.Event()
        """Nobody waits any more."""

    def again(self, why: str) -> None:
        """Count an attempt that has to be repeated."""
        self.repeats[why] = self.repeats.get(why, 0) + 1


class Caller:
    """Asks, again and again with the same ids, until there is an answer."""

    def __init__(self, fleet: Fleet, tally: Tally, client: RpcClient | None) -> None:
        """Take the client for the bus; without one the caller goes through the gateways."""
        self.fleet, self.tally, self.client = fleet, tally, client
        self.gateways = [name for name in fleet.names if name.startswith("gateway")]

    def call(self, call: Any, request: Any, token: str, org: int) -> Any:
        """Return the answer.

        Raises:
            Refused: What is not worth repeating; `unavailable` when nobody waits any more.

        """
        while not self.tally.gone.is_set():
            started = time.monotonic()
            try:
                if self.client is not None:
                    return self.client.call(call, request, token=token, org_id=org, timeout=ATTEMPT_SECONDS)
                return self._through_a_gateway(call, request, token, org)
            except Refused as refused:
                if refused.code not in AGAIN:
                    raise
                self.tally.again(refused.code)
            except (OSError, http.client.HTTPException) as error:
                self.tally.again(type(error).__name__)
            finally:
                self.tally.seconds.append(time.monotonic() - started)
            time.sleep(0.2)
        raise Refused("unavailable")

    def _through_a_gateway(self, call: Any, request: Any, token: str, org: int) -> Any:
        self.gateways.append(self.gateways.pop(0))  # the other one next
        connection = http.client.HTTPConnection("127.0.0.1", self.fleet.ports[self.gateways[0]], timeout=15)
        headers = {"Authorization": f"Bearer {token}", "X-Acting-Org": str(org)}
        try:
            if call.many:
                body = msgspec.json.encode({"items": request})
                connection.request("POST", f"/api/v1{ROUTES[call.name]}", body, headers)
            else:
                page = f"/api/v1/work?state={request.state}&limit={request.limit}"
                connection.request("GET", page, None, headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(_code(said))
        if call.many:
            return msgspec.json.decode(
                said, type=msgspec.defstruct("Said", [("results", list[call.reply])])
            ).results
        return msgspec.json.decode(said, type=call.reply)


def _code(problem: bytes) -> str:
    try:
        return str(msgspec.json.decode(problem)["code"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return "unavailable"  # the answer of a server that is about to end


class Office(threading.Thread):
    """One office with some schools: list after list, each to its end."""

    def __init__(self, caller: Caller, schools: list[load.School], members: drive.Members, seed: str) -> None:
        super().__init__(name=seed, daemon=True)
        self.caller, self.tally, self.schools, self.members = caller, caller.tally, schools, members
        self.dice = random.Random(seed)

    def run(self) -> None:
        """Work until the storm is over or there is nobody left to move."""
        while not self.tally.over.is_set():
            school = self.schools[0]
            self.schools.append(self.schools.pop(0))
            try:
                members = self.members.take(school.committee - 100, self.dice.randint(*LIST))
            except RuntimeError:
                self.tally.problems.append("the storm ran out of members")
                return
            try:
                self._one_list(school, members)
            except Refused as refused:
                if not self.tally.gone.is_set():
                    self.tally.problems.append(f"refused as a whole: {refused.code}")

    def _one_list(self, school: load.School, members: list[int]) -> None:
        items = drive.requests(members, school)
        made = self._ask(contract.request_transfers, items, school.source_token, school.committee)
        ids = {one.transfer_id for one in made}
        self.tally.accepted |= ids
        fate = self.dice.choices(list(FATES), list(FATES.values()))[0]
        if fate == "leave":
            self.tally.left |= ids
        elif fate == "withdraw":
            some = [WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=one) for one in sorted(ids)]
            self._until_seen(school, ids, lambda seen: None)
            self._ask(contract.withdraw_transfers, some, school.source_token, school.committee)
        else:
            self._until_seen(school, ids, lambda seen: self._decide(school, seen, fate == "approve"))
        if fate == "approve":
            self._assign(school, sorted(ids))

    def _until_seen(self, school: load.School, ids: set[int], act: Any) -> None:
        """Look at the list of work until each transfer was in it; do something with those just seen."""
        left = set(ids)
        while left and not self.tally.gone.is_set():
            wanted = ListWork(state="pending_in", limit=500)
            page = self.caller.call(contract.list_work, wanted, school.target_token, school.target)
            seen = [item for item in page.items if item.transfer_id in left]
            if seen:
                act(seen)
                left -= {item.transfer_id for item in seen}
            else:
                time.sleep(0.1)

    def _decide(self, school: load.School, seen: list[Any], approve: bool) -> None:
        some = [
            DecideNode(
                decision_id=uuid.uuid4(),
                transfer_id=item.transfer_id,
                node_no=item.node_no,
                approve=approve,
                reason_code="" if approve else "not_here",
                note="" if approve else "风暴",
            )
            for item in seen
        ]
        self._ask(contract.decide_nodes, some, school.target_token, school.target)

    def _assign(self, school: load.School, ids: list[int]) -> None:
        some = [
            AssignBranch(decision_id=uuid.uuid4(), transfer_id=one, branch_id=school.target_branch)
            for one in ids
        ]
        self._ask(contract.assign_branches, some, school.target_token, school.target)

    def _ask(self, call: Any, items: list[Any], token: str, org: int) -> list[Any]:
        outcomes: list[Any] = self.caller.call(call, items, token, org)
        refused = [one.refusal.code for one in outcomes if one.refusal is not None]
        self.tally.problems += [f"{call.name}: {code}" for code in refused]
        return [one for one in outcomes if one.refusal is None]


_DUE = sa.text(f"""
    WITH due AS (
        UPDATE open_nodes SET expires_at = :at, revision = revision + 1
        WHERE transfer_id = ANY(CAST(:ids AS bigint[])) AND node_no = 1
        RETURNING transfer_id, node_no, remind_at, remind_every, expires_at, revision),
    told AS ({insert(tell(NodeOpened, "due", remind_every="extract(epoch FROM remind_every)"))})
    SELECT transfer_id FROM due""")


class Deadlines(threading.Thread):
    """Has the deadlines of what was left come due, by the events that a change of policy sends."""

    def __init__(self, fleet: Fleet, tally: Tally) -> None:
        super().__init__(name="deadlines", daemon=True)
        self.fleet, self.tally = fleet, tally

    def run(self) -> None:
        """Look every two seconds, until everything that was left has a deadline and the storm is over."""
        while not self.tally.gone.is_set():
            ids = sorted(self.tally.left)
            try:
                with self.fleet.engine("transfers").begin() as tx:
                    at = clock.now() + clock.timedelta(seconds=DUE_AFTER)
                    done = set(tx.scalars(_DUE, {"ids": ids, "at": at}))
                self.tally.left -= done
            except sa.exc.SQLAlchemyError:
                pass  # the database is away; those that were committed unseen get another revision
            self.tally.gone.wait(2)
