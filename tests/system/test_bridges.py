"""Members go to another system and come from one, over real bridges to its program (FED-08, FED-10)."""

import random
import uuid

import pytest
import sqlalchemy as sa

from services.gateway.app import create_app
from shared import clock
from shared.bus.rpc import RpcClient
from shared.messages import federation as contract
from system import synthetic, world
from system.demo import check_invariants
from tests.installation import settle
from tests.system import fullhouse
from tests.system.bridged import bridged, until
from tests.system.fullhouse import CLASS, COLLEGE, ROOT, Office, key, request_of

FIRST = 4_700_001


@pytest.fixture(scope="module")
def both(first_town, tmp_path_factory):
    """An installation with a bridge to Beijing, and Beijing's program."""
    with bridged(first_town, tmp_path_factory.mktemp("bridged"), "BJ") as (town, peers):
        people = synthetic.people(12, rng=random.Random(21), division_codes=["420115"], start=7_800_000)
        fullhouse.enter_graduates(
            town, [(FIRST + n, world.admission(one, CLASS)) for n, one in enumerate(people)]
        )
        yield town, peers["BJ"]


@pytest.fixture(scope="module")
def site(both):
    client = RpcClient(both[0].settings)
    yield create_app(client, both[0].settings).test_client()
    client.close()


def branch_there(town, system="BJ"):
    """Return a mirrored branch of a system, its number here and its code there."""
    statement = """
        SELECT org_id, peer_code FROM orgs
        WHERE system = :system AND kind = 'branch' AND peer_code IS NOT NULL AND NOT deleted
        ORDER BY org_id LIMIT 1"""
    with town.engine("orgs").connect() as tx:
        return tuple(tx.execute(sa.text(statement), {"system": system}).one())


def person(town, person_id):
    with town.engine("members").connect() as tx:
        return tx.execute(sa.text("SELECT * FROM people WHERE person_id = :one"), {"one": person_id}).one()


def start(site, town, member, **values):
    """Let the class start a transfer to Beijing; return its number."""
    branch, _ = branch_there(town)
    asked = request_of(member, target_org_id=branch, reason="further_study", place_name="某大学", **values)
    (answer,) = Office(site, CLASS).send("/transfers", asked)
    return int(answer["transfer_id"])


@pytest.mark.rule("FED-10")
def test_a_member_goes(both, site):
    """FED-10, FED-12: offered, accepted, handed over, integrated; active there, and here only in the past."""
    town, beijing = both
    one = start(site, town, FIRST)
    subject = f"national:{one}"
    beijing.decide(subject, "accept")
    Office(site, CLASS).wait(one, "pending_handover", 30)
    # the record is here: the registry there takes it
    beijing.decide(subject, "accept")
    Office(site, CLASS).wait(one, "completed", 30)
    assert beijing.cases()[subject]["state"] == "taken"
    row = person(town, FIRST)
    with town.engine("orgs").connect() as tx:
        assert (
            tx.scalar(sa.text("SELECT system FROM orgs WHERE org_id = :one"), {"one": row.branch_id}) == "BJ"
        )
    assert row.reserved_by is None
    assert [one["state"] for one in beijing.members() if one["subject"] == subject] == ["active"]


def test_a_member_is_refused(both, site):
    """FED-10: the peer's reason comes back, and the member stays."""
    town, beijing = both
    one = start(site, town, FIRST + 1)
    beijing.decide(f"national:{one}", "refuse")
    Office(site, CLASS).wait(one, "rejected", 30)
    # members hears of the end after transfers has written it
    until(lambda: person(town, FIRST + 1).reserved_by is None)
    assert person(town, FIRST + 1).branch_id == CLASS


@pytest.mark.rule("FED-06")
def test_a_name_that_is_not_known_there(both, site):
    """FED-06: what was typed goes out as typed; the peer does not know it, and the transfer comes back."""
    asked = request_of(
        FIRST + 2,
        target_org_id=None,
        target_system="BJ",
        target_name="北京某某科技公司团支部",
        reason="further_study",
        place_name="某大学",
    )
    (answer,) = Office(site, CLASS).send("/transfers", asked)
    one = int(answer["transfer_id"])
    Office(site, CLASS).wait(one, "rejected", 30)
    found = Office(site, CLASS).get(f"/transfers/{one}")["transfer"]
    assert (found["end_code"], found["target_name"]) == ("unknown_org", "北京某某科技公司团支部")


@pytest.mark.rule("FED-09", "FED-11", "FED-13", "TRF-30")
def test_a_peer_that_is_away(both, site):
    """FED-11, FED-13, TRF-30: it waits with its clock, is not withdrawn, and goes on afterwards."""
    town, beijing = both
    beijing.post("pause")
    one = start(site, town, FIRST + 3)
    school = Office(site, CLASS)
    school.wait(one, "pending_remote")
    line = sa.text("SELECT down_since FROM line")

    def away():
        with town.engine("federation_bj").connect() as tx:
            return tx.scalar(line)

    until(away, 30)
    found = school.get(f"/transfers/{one}")
    assert found["receipted_at"] is None and found["transfer"]["expires_at"] is not None
    withdrawal = {"items": [{"decision_id": key(), "transfer_id": one}]}
    answer = site.post("/api/v1/transfers/withdrawals", headers=school.headers, json=withdrawal).json
    assert answer["results"][0]["refusal"]["code"] == "peer_withdrawal"
    beijing.post("resume")
    beijing.decide(f"national:{one}", "refuse", seconds=60)
    school.wait(one, "rejected", 30)
    assert school.get(f"/transfers/{one}")["receipted_at"] is not None and not away()


def coming(site, town, beijing, to=COLLEGE):
    """Have Beijing offer one of its members; return subject, member there and the transfer here."""
    member = next(one for one in beijing.members() if one["state"] == "active" and not one["subject"])
    subject = beijing.post("offer", member=member["member"], to=str(to), reason="")["subject"]
    statement = sa.text("SELECT transfer_id FROM arrivals WHERE subject = :one")

    def transfer():
        with town.engine("federation_bj").connect() as tx:
            return tx.scalar(statement, {"one": subject})

    until(transfer, 20, lambda: beijing.cases()[subject])
    return subject, member, int(transfer())


@pytest.mark.rule("FED-08", "FED-10")
def test_somebody_comes(both, site):
    """FED-08: approved and assigned as anybody, handed over, and a member here who may sign in."""
    town, beijing = both
    subject, member, one = coming(site, town, beijing)
    college = Office(site, COLLEGE)
    college.wait(one, "pending_in", 30)
    college.send(
        "/transfers/decisions", {"decision_id": key(), "transfer_id": one, "node_no": 1, "approve": True}
    )
    college.wait(one, "pending_assign")
    college.send("/transfers/assignments", {"decision_id": key(), "transfer_id": one, "branch_id": CLASS + 1})
    college.wait(one, "completed", 30)
    until(lambda: beijing.cases()[subject]["state"] == "moved", 20, beijing.cases)
    with town.engine("transfers").connect() as tx:
        member_id = tx.scalar(
            sa.text("SELECT member_id FROM transfers WHERE transfer_id = :one"), {"one": one}
        )
    row = person(town, member_id)
    assert (row.name, row.branch_id, row.reserved_by) == (member["name"], CLASS + 1, None)
    with town.engine("members").connect() as tx:
        assert (
            tx.scalar(sa.text("SELECT count(*) FROM accounts WHERE person_id = :one"), {"one": member_id})
            == 1
        )


def test_somebody_is_rejected(both, site):
    """FED-10: a rejection here is said there in bridges' words; the member is active there again."""
    town, beijing = both
    subject, member, one = coming(site, town, beijing)
    college = Office(site, COLLEGE)
    college.wait(one, "pending_in", 30)
    college.send(
        "/transfers/decisions",
        {
            "decision_id": key(),
            "transfer_id": one,
            "node_no": 1,
            "approve": False,
            "reason_code": "not_here",
            "note": "不在本校",
        },
    )
    college.wait(one, "rejected", 20)
    until(lambda: beijing.cases()[subject]["state"] == "kept", 20, beijing.cases)
    assert next(one["state"] for one in beijing.members() if one["member"] == member["member"]) == "active"


def broken(town):
    """Return the invariants that do not hold."""
    engines = {service: town.engine(service) for service in town.settings.services}
    return [what for what, holds in check_invariants(engines) if not holds]


@pytest.mark.rule("BEY-16")
@pytest.mark.parametrize("side", ["here", pytest.param("there", marks=pytest.mark.long)])
def test_a_planted_double_is_found_and_repaired(both, operator, side):
    """BEY-16: whom both registries have, or none, is found; ours is put right, theirs is seen to."""
    town, beijing = both
    settle(town)
    subject = f"national:{gone(town, FIRST)}"
    there = person(town, FIRST).branch_id
    if side == "here":
        plant = sa.text("UPDATE people SET branch_id = :branch WHERE person_id = :one")
        with town.engine("members").begin() as tx:
            tx.execute(plant, {"branch": CLASS, "one": FIRST})
    else:
        assert beijing.write("UPDATE members SET state = 'gone' WHERE subject = ?", subject) == 1
    kind = "member_twice" if side == "here" else "member_nowhere"

    operator(contract.reconcile_now, day=clock.today())
    until(lambda: found(town) == {(subject, kind)}, 60, lambda: found(town))
    operator(contract.repair_differences, subject=subject, kind=kind, reason="已与对方核对")

    if side == "here":
        until(lambda: person(town, FIRST).branch_id == there)
        until(lambda: found(town) == set(), 60, lambda: found(town))
    else:
        assert found(town) == set()
        beijing.write("UPDATE members SET state = 'active' WHERE subject = ?", subject)
    settle(town)
    assert broken(town) == []


def gone(town, member) -> int:
    """Return the transfer by which a member has left."""
    statement = "SELECT transfer_id FROM departures WHERE person_id = :one"
    with town.engine("federation_bj").connect() as tx:
        return tx.scalars(sa.text(statement), {"one": member}).one()


def found(town) -> set[tuple[str, str]]:
    """Return what differs from the peer and nobody has seen to."""
    statement = "SELECT subject, kind FROM differences WHERE gone_at IS NULL AND confirmed_at IS NULL"
    with town.engine("federation_bj").connect() as tx:
        return {tuple(row) for row in tx.execute(sa.text(statement))}


@pytest.fixture(scope="module")
def operator(both):
    """Return what sends a command to the bridge as an administrator of the root organisation."""
    client = RpcClient(both[0].settings)

    def send(command, **fields):
        item = command.item(command_id=uuid.uuid4(), peer="BJ", **fields)
        token = fullhouse.token(world.administrator_of(ROOT))
        (answer,) = client.call(command, [item], token=token, org_id=ROOT, timeout=20)
        assert answer.refusal is None and answer.count, answer

    yield send
    client.close()


@pytest.mark.parametrize(("state", "instead"), [("moved", "kept"), ("taken", "back")])
def test_the_invariants_see_a_hand_over_that_does_not_fit(both, state, instead):
    """FED-10: what a bridge has handed over, and nothing else, is completed here."""
    town, _ = both
    settle(town)
    assert broken(town) == []
    becomes = sa.text("UPDATE handovers SET state = :to WHERE state = :of RETURNING subject")
    with town.engine("federation_bj").begin() as tx:
        subjects = list(tx.scalars(becomes, {"of": state, "to": instead}))
    found = broken(town)
    back = sa.text("UPDATE handovers SET state = :state WHERE subject = ANY(:subjects)")
    with town.engine("federation_bj").begin() as tx:
        tx.execute(back, {"state": state, "subjects": subjects})

    assert subjects and len(found) == 1 and found[0].startswith("each hand-over that is over")


def test_the_invariants_see_an_account_of_who_never_came(both):
    """FED-12: whoever stands in another system has no account here but one of before."""
    town, _ = both
    settle(town)
    assert broken(town) == []
    account = """
        INSERT INTO accounts (person_id)
        SELECT p.person_id FROM people p JOIN org_directory d ON d.org_id = p.branch_id
        WHERE d.system = 'BJ' AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.person_id = p.person_id)
        RETURNING person_id"""
    with town.engine("members").begin() as tx:
        given = list(tx.scalars(sa.text(account)))
    found = broken(town)
    with town.engine("members").begin() as tx:
        tx.execute(sa.text("DELETE FROM accounts WHERE person_id = ANY(:given)"), {"given": given})

    assert given and len(found) == 1 and found[0].startswith("who stands in another system")
