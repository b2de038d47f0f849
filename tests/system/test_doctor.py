"""`tuanqiao doctor`: it finds each planted difference, nothing else, and heals what it says it heals."""

import json
import threading
import time

import kombu
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from shared.bus.rpc import RpcClient
from system import cli
from system.doctor.visit import CannotLook, Plan, Visit
from tests.bench.drive import Members
from tests.installation import AMQP_URI, TOPOLOGY, settle
from tests.system import doctor_factories as planted
from tests.system.doctor_factories import PEOPLE, N, counted, visit


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with planted.whole_house(tmp_path_factory.mktemp("keys")) as made:
        made.members = Members(PEOPLE)
        yield made


@pytest.fixture(scope="module")
def client(house):
    made = RpcClient(house.settings)
    yield made
    made.close()


def transfers_of_each_kind(house, client) -> dict[str, list[tuple[int, int]]]:
    """Start what the planted differences need; return transfers with their members, by how they stand."""
    wanted = {"pending": 0, "rejected": 0, "completed": 0}
    for one in planted.EVERY.values():
        wanted[one.pool] = wanted.get(one.pool, 0) + N
    made, school = {}, 0
    for pool in ("completed", "rejected", "pending"):
        made[pool] = []
        for begin in range(0, wanted[pool], 400):
            office = planted.office(house, client, house.members, school)
            school += 1  # each has five hundred members
            some = office.start(min(400, wanted[pool] - begin))
            if pool != "pending":
                office.decide(some, approve=pool == "completed")
            made[pool] += some
    for pool, state in (("completed", "completed"), ("rejected", "rejected"), ("pending", "pending_in")):
        office.wait(made[pool], [state])
    with house.engine("transfers").connect() as tx:
        rows = dict(tx.execute(sa.text("SELECT transfer_id, member_id FROM transfers")).all())
    pools = {pool: [(one, rows[one]) for one in some] for pool, some in made.items()}
    pools["free"] = [(n, member) for n, member in enumerate(house.members.take(school, 2 * N), start=1)]
    settle(house)
    return pools


def test_what_is_under_way_is_no_difference(house, client, tmp_path):
    """Offices work on while members is killed between them; what looks wrong then is right in a moment."""
    finished, errors = threading.Event(), []

    def work() -> None:
        office = planted.office(house, client, house.members, 30)
        try:
            while not finished.is_set():
                office.decide(office.start(10), approve=True)
        except Exception as error:
            errors.append(error)

    said = []

    def between_the_looks(line: str) -> None:
        said.append(line)
        house.start("members")

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(1)
    house.kill("members")
    time.sleep(0.5)
    try:
        plan = Plan(wait=0, state=tmp_path / "state.json")
        result = Visit(house.settings, plan, between_the_looks).run()
    finally:
        finished.set()
        worker.join()
    assert not errors
    assert len(said) == 1 and int(said[0].split()[0]) >= 10  # there was something to be looked at again
    assert result.agrees, counted(result)
    settle(house)


def test_each_planted_difference_is_found_and_healed(house, client, tmp_path):
    """100 of 100 of each sort, none else; what heals is gone after a repair, the rest is still listed."""
    pools = transfers_of_each_kind(house, client)
    assert visit(house, tmp_path).agrees

    planted.plant(house, planted.HEALED | planted.LOST, pools)
    first = visit(house, tmp_path, repair=True)
    # a moved member's transfer that is not completed waits for an answer, too
    expected = dict.fromkeys([*planted.HEALED, *planted.LOST], N) | {"moving_unanswered": 2 * N}
    assert counted(first) == expected
    settle(house)
    second = visit(house, tmp_path, repair=True, lost=True)
    assert counted(second) == dict.fromkeys(planted.LOST, N)
    settle(house)
    assert visit(house, tmp_path).agrees

    planted.plant(house, planted.FOR_A_PERSON, pools)
    listed = visit(house, tmp_path, repair=True, lost=True)
    settle(house)
    again = visit(house, tmp_path)
    # whoever is held by another transfer is not held by the own one; to ask again for that is in vain here
    expected = dict.fromkeys([*planted.FOR_A_PERSON, "open_not_held"], N)
    assert counted(listed) == counted(again) == expected
    assert listed.told == {"open_not_held": N}


def test_a_visit_goes_on_where_it_was_broken_off(house, tmp_path, monkeypatch):
    """In small pieces, broken off in the middle: the rest is read, nothing twice, all is found."""
    whole = visit(house, tmp_path, wait=0)
    plan = {"wait": 0, "piece": 300}
    pieces = []

    def broken_off(self, name):
        pieces.append(name)
        if len(pieces) == 40:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Visit, "_pause", broken_off)
        visit(house, tmp_path, **plan)
    rest = visit(house, tmp_path, resume=True, **plan)

    assert len(set(pieces)) > 3 and pieces[-1] == pieces[-2]  # in the middle of a look
    assert (rest.rows, counted(rest)) == (whole.rows, counted(whole))
    assert not (tmp_path / "state.json").exists()
    with pytest.raises(CannotLook):
        visit(house, tmp_path, resume=True)


def test_the_command(house, tmp_path):
    """0 where everything agrees, 1 and what differs where not, 2 where it could not look."""

    def doctor(*words, **environ):
        given = ["doctor", "--wait", "0.1", "--state", str(tmp_path / "state.json"), *words]
        return CliRunner().invoke(cli.app, given, env={**house.environ, **environ})

    agrees = doctor("--only", "clocks")
    assert (agrees.exit_code, "一致 / agree" in agrees.stdout) == (0, True), agrees
    with house.engine("orgs").begin() as tx:
        number = tx.scalar(
            sa.text(
                "INSERT INTO failed_messages (message_id, topic, body, error, attempts, failed_at)"
                " VALUES ('y', 'org_in_use', '[]', 'no', 5, now()) RETURNING id"
            )
        )
    differs = doctor("--only", "dead", "--json")
    assert differs.exit_code == 1
    (line,) = [one for one in json.loads(differs.stdout)["differences"] if one["seen"].startswith("orgs:")]
    assert (line["sort"], line["key"], line["heal"]) == ("dead_letter", number, "")
    assert f"orgs:{number} org_in_use" in doctor("--only", "dead").stdout
    with kombu.Connection(AMQP_URI) as broker:
        broker.Producer().publish("x", routing_key=TOPOLOGY.dead_queue)
        given_up = doctor("--only", "dead")
        kombu.Queue(TOPOLOGY.dead_queue)(broker.default_channel).purge()
    assert "1 messages in the broker's dead queue" in given_up.stdout
    away = doctor(DATABASE_URL="postgresql://postgres@localhost:1/")
    assert (away.exit_code, "could not look" in away.stderr) == (2, True), away
    assert doctor("--only", "weather").exit_code == 2
