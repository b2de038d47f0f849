"""An installation in which everything agrees, and differences planted into it by the hundred."""

import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from shared.bus.rpc import RpcClient
from shared.messages import transfers as contract
from shared.messages.transfers import DecideNode, RequestTransfer
from shared.settings import SERVICES
from system import embedded
from system.doctor.visit import Plan, Result, Visit
from tests.bench import load
from tests.bench.drive import Members
from tests.installation import Installation

PEOPLE = 20_000
N = 100
"""Of each sort of difference."""
NOWHERE = 10**12
"""Ids from here on are of nobody."""

_MIRROR = sa.text("""
    INSERT INTO orgs (
        org_id, parent_id, path, kind, purpose, province, system, provincial_id, vault_id,
        short_name, full_name, bigrams, display_order, version, deleted
    ) VALUES (
        :org_id, :parent_id, :path, :kind, :purpose, :province, :system, :provincial_id, :vault_id,
        :name, :name, '{}', :org_id, :version, false)""")
_MIRROR_RIGHT = sa.text(
    "INSERT INTO administrators (org_id, person_id, active, version, changed_at)"
    " VALUES (:org_id, :person_id, true, 1, now())"
)


@contextmanager
def whole_house(keys):
    """An installation with a tree, 20,000 people, its services running; everything agrees."""
    embedded.make_keys(keys)
    with closing(Installation(keys)) as made:
        made.create()
        load.organisations(made)
        load.people(made, PEOPLE)
        with made.engine("members").connect() as tx, made.engine("orgs").begin() as orgs:
            rows = tx.execute(sa.text("SELECT * FROM org_directory")).mappings().all()
            orgs.execute(_MIRROR, [dict(row) for row in rows])
            rows = tx.execute(sa.text("SELECT * FROM administrator_directory")).mappings().all()
            orgs.execute(_MIRROR_RIGHT, [dict(row) for row in rows])
        made.start(*SERVICES)
        yield made


def visit(house, folder, **plan) -> Result:
    """Return what a visit of the doctor comes to."""
    return Visit(
        house.settings, Plan(**{"wait": 0.3, "patience": 0.3, "state": folder / "state.json", **plan})
    ).run()


def counted(result: Result) -> dict[str, int]:
    """Return how many differences of each sort there are."""
    found: dict[str, int] = {}
    for some in result.found.values():
        for one in some:
            found[one.sort] = found.get(one.sort, 0) + 1
    return found


@dataclass
class Office:
    """Starts transfers of a school's members into one branch and decides them, by lists."""

    house: Installation
    client: RpcClient
    members: Members
    school: load.School
    number: int

    def start(self, count: int) -> list[int]:
        items = [
            RequestTransfer(
                command_id=uuid.uuid4(),
                initiator="source",
                member_id=member,
                source_branch_id=load.branch_of(member),
                target_org_id=self.school.target_branch,
                reason="further_study",
                place_name="大学",
                place_address="地址",
            )
            for member in self.members.take(self.number, count)
        ]
        answer = self._call(
            contract.request_transfers, items, self.school.source_token, self.school.committee
        )
        return [one.transfer_id for one in answer]

    def decide(self, transfers: list[int], approve: bool) -> None:
        self.wait(transfers, ["pending_in"])
        code = {} if approve else {"reason_code": "not_here"}
        items = [
            DecideNode(
                decision_id=uuid.uuid4(), transfer_id=one, node_no=1, approve=approve, note="远", **code
            )
            for one in transfers
        ]
        answer = self._call(contract.decide_nodes, items, self.school.target_token, self.school.target)
        assert all(one.refusal is None for one in answer), answer[0]

    def _call(self, call, items, token, org):
        return self.client.call(call, items, token=token, org_id=org, timeout=30)

    def wait(self, transfers: list[int], states: list[str], seconds: float = 60) -> None:
        """Wait until transfers are in one of some states."""
        count = sa.text(
            "SELECT count(*) FROM transfers WHERE transfer_id = ANY(:ids) AND state = ANY(:states)"
        )
        ends = time.monotonic() + seconds
        while True:
            with self.house.engine("transfers").connect() as tx:
                if tx.scalar(count, {"ids": transfers, "states": states}) == len(transfers):
                    return
            assert time.monotonic() < ends, states
            time.sleep(0.05)


def office(house, client, members, number: int) -> Office:
    return Office(house, client, members, load.schools(house.settings.keys)[number], number)


# ---- what is planted -------------------------------------------------------------------------------

THESE = "transfer_id = ANY(CAST(:ids AS bigint[]))"
PAIRS = "unnest(CAST(:members AS bigint[]), CAST(:ids AS bigint[])) AS i(member, transfer)"


@dataclass(frozen=True)
class Plant:
    """A hundred differences: the kind of transfers that they need, and statements by service."""

    pool: str
    statements: tuple[tuple[str, str], ...]


def _of(pool: str, *statements: tuple[str, str]) -> Plant:
    return Plant(pool, statements)


def _held(by: str) -> tuple[str, str]:
    return "members", f"UPDATE people p SET reserved_by = {by} FROM {PAIRS} WHERE p.person_id = i.member"


def _timed(ahead: int = 0) -> tuple[str, str]:
    return (
        "scheduler",
        f"""
        INSERT INTO timers (transfer_id, node_no, remind_at)
        SELECT one + {ahead}, 1, now() + interval '9 days' FROM unnest(CAST(:ids AS bigint[])) AS one
        ON CONFLICT (transfer_id) DO UPDATE
            SET (node_no, remind_at, ended_on) = (excluded.node_no, excluded.remind_at, NULL)""",
    )


def _stayed(ahead: int = 0) -> tuple[str, str]:
    return (
        "members",
        f"""
        INSERT INTO memberships (person_id, began_at, ended_at, branch_id, transfer_id)
        SELECT i.member, now() - interval '9 years', now() - interval '8 years', 5200, i.transfer + {ahead}
        FROM {PAIRS}""",
    )


_NO_NODE = ("transfers", f"DELETE FROM open_nodes WHERE {THESE}")
_NO_TIMER = ("scheduler", f"DELETE FROM timers WHERE {THESE}")
_ENDED = f"""
    UPDATE timers SET (node_no, remind_at, remind_every, expires_at, ended_on) =
        (32767, NULL, NULL, NULL, CURRENT_DATE)
    WHERE {THESE}"""
_NOT_MOVED = f"""
    WITH gone AS (DELETE FROM memberships WHERE {THESE} RETURNING person_id),
    again AS (
        UPDATE memberships m SET ended_at = NULL FROM gone
        WHERE m.person_id = gone.person_id AND m.transfer_id IS NULL
        RETURNING m.person_id, m.branch_id)
    UPDATE people p SET branch_id = a.branch_id, graduate = true FROM again a
    WHERE p.person_id = a.person_id"""
_OPENED = (
    "transfers",
    f"INSERT INTO open_transfers (member_id, transfer_id) SELECT member, transfer FROM {PAIRS}",
)
_LATER = "UPDATE timers SET {at} = {at} + interval '1 hour' WHERE {these} AND transfer_id % 2 = {half}"
_PUBLISHED = """
    INSERT INTO outbox (topic, body, created_at, published_at)
    SELECT 'org_in_use', '[{"org_id"\\: 7}]', now() - interval '1 hour', now() FROM generate_series(1, 100)"""
_DEAD = """
    INSERT INTO failed_messages (message_id, topic, body, error, attempts, failed_at)
    SELECT 'x', 'branch_assigned', '[]', 'no', 5, now() FROM generate_series(1, 100)"""

HEALED = {
    "held_by_ended": _of("rejected", _held("i.transfer")),
    "open_not_held": _of("pending", _held("NULL")),
    "checking_unanswered": _of(
        "pending",
        ("transfers", f"UPDATE transfers SET state = 'checking', node_no = 0 WHERE {THESE}"),
        _NO_NODE,
        _NO_TIMER,
    ),
    "moving_unanswered": _of(
        "pending",
        ("transfers", f"UPDATE transfers SET state = 'moving', node_no = 2 WHERE {THESE}"),
        _NO_NODE,
        _NO_TIMER,
    ),
    "moved_not_completed": _of(
        "completed",
        ("transfers", f"UPDATE transfers SET state = 'moving', ended_at = NULL WHERE {THESE}"),
        _OPENED,
    ),
    "completed_not_moved": _of("completed", ("members", _NOT_MOVED)),
    "node_without_timer": _of("pending", ("scheduler", _ENDED)),
    "timer_differs": _of(
        "pending",
        ("scheduler", _LATER.format(at="expires_at", these=THESE, half=0)),
        ("scheduler", _LATER.format(at="remind_at", these=THESE, half=1)),
    ),
    "timer_of_ended": _of("rejected", _timed()),
    "timer_of_moved": _of("completed", _timed()),
    "org_differs": _of(
        "",
        ("members", "UPDATE org_directory SET name = 'x' WHERE org_id BETWEEN 1000 AND 1049"),
        ("transfers", "UPDATE org_directory SET version = 9 WHERE org_id BETWEEN 1050 AND 1099"),
    ),
    "org_missing": _of("", ("transfers", "DELETE FROM org_directory WHERE org_id BETWEEN 1200 AND 1299")),
    "right_differs": _of(
        "",
        ("members", "UPDATE administrator_directory SET observer = true WHERE org_id BETWEEN 1300 AND 1349"),
        ("members", "UPDATE administrator_directory SET version = 9 WHERE org_id BETWEEN 1350 AND 1399"),
    ),
    "right_missing": _of(
        "", ("transfers", "DELETE FROM administrator_directory WHERE org_id BETWEEN 1400 AND 1499")
    ),
    "not_handled": _of("", ("transfers", _PUBLISHED)),
}
LOST = {
    "held_by_unknown": _of("free", _held(f"i.transfer + {NOWHERE}")),
    "timer_of_unknown": _of("rejected", _timed(NOWHERE)),
}
FOR_A_PERSON = {
    "held_by_completed": _of("completed", _held("i.transfer")),
    # each by that of a neighbour
    "held_by_other": _of("pending", _held("i.transfer + 1 - 2 * (i.transfer % 2)")),
    "open_but_ended": _of("rejected", _OPENED),
    "moved_by_unknown": _of("free", _stayed(NOWHERE)),
    "moved_by_uncompleted": _of("rejected", _stayed()),
    "moved_elsewhere": _of("completed", ("members", f"UPDATE memberships SET branch_id = 9 WHERE {THESE}")),
    "moved_twice": _of("completed", _stayed()),
    "timer_without_node": _of("pending", _NO_NODE),
    "org_unknown": _of("", ("orgs", "DELETE FROM orgs WHERE org_id BETWEEN 1000 AND 1049")),
    "right_unknown": _of("", ("orgs", "DELETE FROM administrators WHERE org_id BETWEEN 1100 AND 1149")),
    "dead_letter": _of("", ("members", _DEAD)),
}
"""Fifty organisations and rights that orgs does not know are a hundred, in two copies."""
EVERY = HEALED | LOST | FOR_A_PERSON


def plant(house, sorts: dict[str, Plant], pools: dict[str, list[tuple[int, int]]]) -> None:
    """Plant hundred differences of each sort; each transfer of `pools` (transfer, member) is used once."""
    for one in sorts.values():
        some = [pools[one.pool].pop() for _ in range(N)] if one.pool else []
        given = {"ids": [transfer for transfer, _ in some], "members": [member for _, member in some]}
        for service, statement in one.statements:
            named = {name: value for name, value in given.items() if f":{name}" in statement}
            with house.engine(service).begin() as tx:
                tx.execute(sa.text(statement), named)
