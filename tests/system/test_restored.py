"""A database put back to an earlier state, a queue whose content is gone: nothing stays behind for ever."""

import signal
import time
import uuid
from contextlib import closing

import kombu
import pytest
import sqlalchemy as sa

from shared import db
from shared.bus.rpc import RpcClient
from shared.messages import transfers as contract
from shared.messages.transfers import AssignBranch
from system import embedded
from tests.bench import drive, load
from tests.installation import AMQP_URI, SERVER, TOPOLOGY, Installation, tuanqiao

LIST = 10


class Office:
    """A school and its target, which do whole transfers; it remembers every number that it was told."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.school = load.schools(installation.settings.keys)[0]
        self.client = RpcClient(installation.settings)
        self.members = drive.Members(20_000)
        self.seen: list[int] = []

    def call(self, call, items, token, org):
        outcomes = self.client.call(call, items, token=token, org_id=org, timeout=20)
        assert all(one.refusal is None for one in outcomes), outcomes
        return outcomes

    def request(self) -> list[int]:
        school = self.school
        items = drive.requests(self.members.take(0, LIST), school)
        made = self.call(contract.request_transfers, items, school.source_token, school.committee)
        ids = [one.transfer_id for one in made]
        self.seen += ids
        return ids

    def finish(self, ids: list[int]) -> None:
        school = self.school
        drive.approve_listed(self.client, school.target, school.target_token, set(ids), "pending_in")
        items = [
            AssignBranch(decision_id=uuid.uuid4(), transfer_id=one, branch_id=school.target_branch)
            for one in ids
        ]
        self.call(contract.assign_branches, items, school.target_token, school.target)


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys")
    embedded.make_keys(keys)
    with closing(Installation(keys)) as made:
        made.create()
        load.organisations(made)
        load.people(made, 20_000)
        made.start("transfers", "members")
        yield made


@pytest.fixture(scope="module")
def office(installation):
    made = Office(installation)
    yield made
    made.client.close()


def stopped(installation, service: str) -> str:
    """Stop a service and close our own connections to its database; return the database's name."""
    assert installation.kill(service, signal.SIGTERM) == 0
    if service in installation.engines:
        installation.engines.pop(service).dispose()
    return db.address(installation.settings.database(service)).database


def on_server(*statements: str) -> None:
    url = db.address(SERVER).set(database="postgres")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as tx:
        for one in statements:
            tx.execute(sa.text(one))
    engine.dispose()


def scalar(installation, service: str, statement: str):
    with installation.engine(service).connect() as tx:
        return tx.scalar(sa.text(statement))


@pytest.mark.timeout(180)
def test_a_database_put_back_to_an_earlier_state(installation, office):
    """What was told and lost comes back under no id: new transfers are not taken for old messages.

    Whoever is connected meanwhile might still hand out a number that was lost, so it is refused then.
    """
    office.finish(office.request())
    drive.wait_completed(installation, LIST)
    name = stopped(installation, "transfers")
    on_server(f'CREATE DATABASE "{name}_before" TEMPLATE "{name}"')
    installation.start("transfers")
    office.finish(office.request())
    office.request()
    drive.wait_completed(installation, 2 * LIST)
    seen = set(office.seen)
    in_use = tuanqiao(installation, "restored", "transfers")
    stopped(installation, "transfers")
    on_server(f'DROP DATABASE "{name}"', f'ALTER DATABASE "{name}_before" RENAME TO "{name}"')

    put_back = tuanqiao(installation, "restored", "transfers")
    installation.start("transfers")
    for _ in range(4):
        ids = office.request()
        assert not seen & set(ids)
        office.finish(ids)

    drive.wait_completed(installation, 5 * LIST)
    assert in_use.returncode == 1 and "stop the service first" in in_use.stderr
    assert put_back.returncode == 0, put_back.stderr
    assert "tuanqiao outbox republish members --since 20" in put_back.stdout
    assert scalar(installation, "transfers", "SELECT count(*) FROM lives WHERE lost") == 1


@pytest.mark.timeout(180)
def test_a_queue_whose_content_is_gone(installation, office):
    """What a queue has lost is told again, under the ids of then: nothing has its effect twice."""
    completed = drive.completed(installation)
    office.finish(office.request())
    drive.wait_completed(installation, completed + LIST)
    installation.kill("members")
    lost = office.request() + office.request()
    while scalar(installation, "transfers", "SELECT count(*) FROM outbox WHERE published_at IS NULL"):
        time.sleep(0.05)
    with kombu.Connection(AMQP_URI) as connection:
        assert connection.channel().queue_purge(TOPOLOGY.event_queue("members").name)
    installation.start("members")
    today = "--since=" + time.strftime("%Y-%m-%dT00:00Z", time.gmtime(time.time() - 3600))

    counted = tuanqiao(installation, "outbox", "republish", "transfers", today, "--dry-run")
    told = tuanqiao(
        installation, "outbox", "republish", "transfers", today, "--topic", "transfer_requested", "--yes"
    )
    office.finish(lost)
    everything = tuanqiao(installation, "outbox", "republish", "transfers", today, "--yes")

    assert "branch_assigned" in counted.stdout and "told again" not in counted.stdout
    assert told.returncode == 0, told.stderr
    assert everything.returncode == 0, everything.stderr
    drive.wait_completed(installation, completed + 3 * LIST)
    doubled = "SELECT count(*) - count(DISTINCT transfer_id) FROM memberships WHERE transfer_id IS NOT NULL"
    assert scalar(installation, "members", doubled) == 0
    held = "SELECT count(*) FROM people WHERE reserved_by = ANY(ARRAY[{}])".format(",".join(map(str, lost)))
    assert scalar(installation, "members", held) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transfers", "--since", "2026-01-01T00:00Z"], "consumers remember 90 days"),
        (["transfers", "--since", "yesterday"], "is no instant"),
        (["transfers", "--since", "2199-01-01", "--topic", "member_moved"], "does not tell member_moved"),
        (["gateway", "--since", "2199-01-01"], "one of orgs"),
    ],
)
def test_what_is_not_told_again(installation, words, said):
    """What consumers may have forgotten is refused, and so is what nobody tells."""
    answer = tuanqiao(installation, "outbox", "republish", *words)

    assert answer.returncode == 2 and said in " ".join(answer.stderr.replace("│", " ").split())
