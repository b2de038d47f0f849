"""Who may do what with a bridge, through HTTP: every API operation of bridges for every relation (FED-11).

`test_rights` counts these rows as its own; here a bridge runs that they can be tried on.
"""

import base64
import hashlib
import io
import random
import subprocess
import sys
import uuid
import zipfile
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from services.gateway.app import create_app
from services.members.accounts import handlers as accounts
from services.orgs import store
from shared import clock
from shared.bus.rpc import RpcClient
from system import audit_proof, synthetic, world
from tests.system import fullhouse
from tests.system.bridged import bridged, until
from tests.system.fullhouse import CLASS, COLLEGE, Office, enter, request_of
from tests.system.test_bridges import FIRST, branch_there

ROOT, PROVINCE, ELSEWHERE, SCHOOL = 1, 42, 32, COLLEGE // 100
MEMBER, OTHER_MEMBER, LOOKER = FIRST + 50, 1002, 1034
RELATIONS = {  # who acts: person, acting organisation
    "centre": (world.administrator_of(ROOT), ROOT),
    "looker": (LOOKER, ROOT),
    "province": (world.administrator_of(PROVINCE), PROVINCE),
    "elsewhere": (world.administrator_of(ELSEWHERE), ELSEWHERE),
    "school": (world.administrator_of(SCHOOL), SCHOOL),
    "superior": (world.administrator_of(COLLEGE), COLLEGE),
    "branch": (world.administrator_of(CLASS), CLASS),
    "sibling": (world.administrator_of(CLASS + 1), CLASS + 1),
    "member": (MEMBER, None),
    "other member": (OTHER_MEMBER, None),
    "pretender": (OTHER_MEMBER, ROOT),
    "nobody": (None, None),
}
CENTRE, LOOKING = {"centre"}, {"centre", "looker"}
SEEING = LOOKING | {"province"}
NO_RIGHT = {
    "operators_only",
    "bridge_by_province",
    "not_administrator",
    "unknown_crossing",
    "token_invalid",
}


def one(**values):
    return {"items": [{"command_id": str(uuid.uuid4()), "peer": "BJ", **values}]}


# operation: who may, and how it is tried
TABLE = {
    "GET /bridges/<peer>": (LOOKING, lambda t: {}),
    "GET /bridges/<peer>/handovers": (SEEING | {"elsewhere"}, lambda t: {}),
    "GET /bridges/<peer>/messages": (SEEING, lambda t: {"transfer_id": t}),
    "GET /registry-keys": (LOOKING, lambda t: {}),
    "GET /bridges/<peer>/evidence": (CENTRE, lambda t: {"transfer_id": t}),
    "GET /bridges/<peer>/quarantine": (LOOKING, lambda t: {}),
    "GET /bridges/<peer>/differences": (LOOKING, lambda t: {"all": "true"}),
    "POST /bridges/pauses": (CENTRE, lambda t: one(reason="检修")),
    "POST /bridges/resumptions": (CENTRE, lambda t: one()),
    "POST /bridges/resends": (CENTRE, lambda t: one(subject=f"national:{t}")),
    "POST /bridges/quarantine/decisions": (
        CENTRE,
        lambda t: one(subject=f"national:{t}", seq=1, decision="discarded", reason="无误"),
    ),
    "POST /bridges/reconciliations": (CENTRE, lambda t: one()),
    "POST /bridges/repairs": (CENTRE, lambda t: one(subject=f"national:{t}", kind="chain", reason="无误")),
    "POST /bridges/releases": (CENTRE, lambda t: one(subject=f"national:{t}", reason="无误")),
    "POST /bridges/abandonments": (CENTRE, lambda t: one(subject=f"national:{t}", reason="无误")),
}


@pytest.fixture(scope="module")
def town(first_town, tmp_path_factory):
    with bridged(first_town, tmp_path_factory.mktemp("bridged"), "BJ") as (town, _):
        with town.engine("orgs").begin() as tx:
            rights = [{"org_id": ROOT, "person_id": LOOKER, "active": True, "observer": True}]
            store.set_administrators(tx, rights, clock.now(), None)
        (person,) = synthetic.people(1, rng=random.Random(22), division_codes=["420115"], start=7_900_000)
        fullhouse.enter_graduates(town, [(MEMBER, world.admission(person, CLASS))])
        yield town


@pytest.fixture(scope="module")
def site(town):
    client = RpcClient(town.settings)
    yield create_app(client, town.settings).test_client()
    client.close()


@pytest.fixture(scope="module")
def transfer(town, site) -> int:
    """A member's transfer to Beijing, of which the bridge knows."""
    branch, _ = branch_there(town)
    asked = request_of(MEMBER, target_org_id=branch, reason="further_study", place_name="某大学")
    (answer,) = Office(site, CLASS).send("/transfers", asked)
    made = int(answer["transfer_id"])
    for operation, relation in (
        ("GET /bridges/<peer>/messages", "centre"),
        ("GET /bridges/<peer>", "looker"),
    ):
        asked = partial(call, site, operation, relation, made)
        until(lambda asked=asked: asked().code == "", 30, asked)
    return made


class Tried(NamedTuple):
    """The code of a refusal, empty for none; the status; what was answered."""

    code: str
    status: int
    said: Any


def call(site, operation: str, relation: str, transfer: int) -> Tried:
    """Try an operation in a relation."""
    person, org = RELATIONS[relation]
    headers = {}
    if person is not None:
        token = accounts.keys.signer.sign("person", timedelta(hours=1), sub=str(person))[0]
        headers = {"Authorization": f"Bearer {token}", **({"X-Acting-Org": str(org)} if org else {})}
    method, path = operation.split()
    address = f"/api/v1{path}".replace("<peer>", "BJ").replace("<int:transfer_id>", str(transfer))
    body = TABLE[operation][1](transfer)
    if method == "GET":
        answer = site.get(address, query_string=body, headers=headers)
    else:
        answer = site.post(address, json=body, headers=headers)
    said = answer.json
    refusal = said if answer.status_code >= 400 else {}
    if "results" in said:
        refusal = said["results"][0].get("refusal") or {}
    return Tried(refusal.get("code", ""), answer.status_code, said)


@pytest.mark.rule("FED-11", "ROLE-06", "ROLE-16")
@pytest.mark.parametrize("operation", list(TABLE))
def test_who_may(site, transfer, operation):
    """The centre's administrators operate, observers look, a province reads of its own transfers."""
    allowed = TABLE[operation][0]
    for relation in sorted(RELATIONS, key=lambda relation: relation in allowed):
        code, status, _ = call(site, operation, relation, transfer)
        assert (code not in NO_RIGHT) == (relation in allowed), (operation, relation, code)
        assert status < 500


def answer(site, operation: str, transfer: int):
    """Return what the centre is answered."""
    return call(site, operation, "centre", transfer).said


@pytest.mark.rule("BEY-16")
def test_days_are_compared_by_the_running_bridge(site, transfer):
    """Asked for by an operator, done by a loop, with the peer's own program; both sides agree."""
    state = partial(answer, site, "GET /bridges/<peer>", transfer)
    until(lambda: state()["queues"]["waiting"] == 0, 30, state)
    answer(site, "POST /bridges/reconciliations", transfer)
    until(lambda: state()["wanted"] == [] and state()["reconciled"], 90, state)
    found = state()
    (day,) = [one for one in found["reconciled"] if one["transfers"]]
    assert (day["transfers"], day["differing"], found["differences"]) == (1, 0, 0)
    assert found["up"] and found["down_since"] is None and found["paused_at"] is None
    assert [(one["state"], one["count"]) for one in found["open"]] == [("offered", 1)]


@pytest.mark.rule("BEY-16")
def test_evidence_of_a_running_bridge(site, transfer, tmp_path):
    """What the peer's own program has receipted verifies without us and without it."""
    made = answer(site, "GET /bridges/<peer>/evidence", transfer)
    content = base64.b64decode(made["zip"])
    assert hashlib.sha256(content).hexdigest() == made["sha256"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", "verify.py"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "national   1 offer, receipted stored" in done.stdout


def test_metrics_of_a_running_bridge(town, transfer):
    """The gauges are read from its database at each scrape."""
    status, said = town.get("federation_bj", "/metrics")
    assert status == 200
    for line in ('tuanqiao_bridge_up{peer="BJ"} 1.0', 'tuanqiao_bridge_in_doubt{peer="BJ"} 0.0'):
        assert line in said
    assert 'tuanqiao_bridge_key_days{peer="BJ",side="own"}' in said


@pytest.mark.rule("BEY-10")
def test_what_operators_have_done_is_proved(town, transfer):
    """The heads of the bridge's log are told to the scheduler, and every chain fits."""
    kept = sa.text("SELECT count(*) FROM kept_heads WHERE service = 'federation_bj'")

    def told() -> int:
        with town.engine("scheduler").connect() as tx:
            return int(tx.scalar(kept) or 0)

    until(lambda: told() > 0, 60)
    proofs = {proof.what: proof for proof in audit_proof.prove(town.settings)}
    assert proofs["federation_bj"].lines > 4 and proofs["federation_bj"].kept > 0
    assert [one.broken for one in proofs.values() if one.broken] == []


@pytest.mark.rule("BEY-10")
def test_the_audit_page_has_the_logs_of_bridges(town, site, transfer):
    """Beside those of all other services, for the centre; a province finds what is of its own members."""
    for org, found in ((ROOT, True), (PROVINCE, True), (ELSEWHERE, False)):
        enter(site, town, org)
        page = site.get("/audit?kind=bridge")
        assert page.status_code == 200
        assert ("重发消息" in page.text, f"BJ national:{transfer}" in page.text) == (found, found)
        assert site.get(f"/audit?federation_bj={'9' * 300}&federation_gd=x").status_code in (200, 400)
