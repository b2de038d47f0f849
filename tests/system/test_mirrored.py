"""What another system keeps: whatever right is claimed, nothing is changed there (FED-01)."""

import re
import time
import uuid
from types import SimpleNamespace

import msgspec
import pytest
import sqlalchemy as sa

from services.gateway.api.routes import ROUTES
from shared.bus.publisher import Message, Publisher
from shared.messages import Act
from shared.messages.federation import DirectoryRead, PeerOrg
from shared.messages.limits import org_fields
from tests.system.api import CLASS, COLLEGE, sign_in
from tests.system.test_list_pages import enter
from tests.system.test_rights import TABLE

ROOT, BEIJING = 1, 11
CHANGING = {
    f"{route.method} {route.path}": route.contract
    for route in ROUTES
    if route.contract.service in ("orgs", "members")
    and (route.contract.many or isinstance(route.contract, Act))
}
"""Every operation by which organisations and members are changed."""
NAMED = [(operation, name) for operation, one in CHANGING.items() for name in org_fields(one.item)]
"""Each with each of its fields that names an organisation."""
SOMETHING = SimpleNamespace(
    empty=CLASS, registration=1, migration=1, retention=1, letter=1, name="x", id_number="x"
)


def school_of(town):
    """Return a committee of Beijing and one of its branches."""
    with town.engine("orgs").connect() as tx:
        statement = """
            SELECT b.parent_id, b.org_id FROM orgs b JOIN orgs c ON c.org_id = b.parent_id
            WHERE b.system = 'BJ' AND b.kind = 'branch' AND c.kind = 'committee' ORDER BY 1, 2 LIMIT 1"""
        return tuple(tx.execute(sa.text(statement)).one())


def kept(town):
    """Return how much is written in both services: rows of organisations and rights, lines of the logs."""
    statements = {
        "orgs": "SELECT count(*), sum(version), (SELECT count(*) FROM administrators) FROM orgs",
        "members": "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM registration_codes)",
    }
    found = []
    for service, statement in statements.items():
        with town.engine(service).connect() as tx:
            found.append(
                (*tx.execute(sa.text(statement)).one(), tx.scalar(sa.text("SELECT count(*) FROM audit_log")))
            )
    return found


def answers(browser, headers, operation, **fields):
    """Try an operation as the matrix of rights does, with other organisations; return the codes."""
    body = TABLE[operation][1](SOMETHING)
    items = body.get("items", [body])
    for item in items:
        item.update(fields)
    said = browser.post("/api/v1" + operation.split()[1], json=body, headers=headers).json
    results = said.get("results", [{"refusal": said}])
    return {(one.get("refusal") or {}).get("code") for one in results}


@pytest.fixture(scope="module")
def attackers(town, client):
    """Who may try: the centre, an administrator of each place by a right of before, one of elsewhere."""
    from services.gateway.app import create_app

    browser = create_app(client, town.settings).test_client()
    committee, branch = school_of(town)
    offices = {one: sign_in(browser, town, one) for one in (ROOT, BEIJING, committee, branch, COLLEGE)}
    with town.engine("orgs").connect() as tx:
        rights = tx.scalar(
            sa.text("SELECT count(*) FROM administrators WHERE org_id = ANY(:ids) AND active"),
            {"ids": [ROOT, BEIJING, committee, branch, COLLEGE]},
        )
    assert rights == 5  # or an attack would end for want of a right
    return offices


@pytest.mark.rule("FED-01")
@pytest.mark.parametrize("operation, name", NAMED)
def test_nothing_is_done_to_what_another_system_keeps(browser, town, attackers, operation, name):
    """FED-01: an operation that names an organisation of the three is refused with one code, by everybody.

    The superior here is refused, and so is who has a right from before the tree was mirrored.
    """
    before = kept(town)
    committee, branch = school_of(town)
    for place in (BEIJING, committee, branch):
        for headers in attackers.values():
            assert answers(browser, headers, operation, **{name: place}) == {"mirrored"}
    assert kept(town) == before


@pytest.mark.rule("FED-01")
@pytest.mark.parametrize("operation", [one for one, contract in CHANGING.items() if contract.many])
def test_nobody_acts_for_what_another_system_keeps(browser, town, attackers, operation):
    """FED-01: who acts for an organisation of the three changes nothing anywhere, whatever is named."""
    before = kept(town)
    for place in (BEIJING, *school_of(town)):
        assert answers(browser, attackers[place], operation) == {"mirrored"}
    assert kept(town) == before


def test_a_list_is_refused_item_by_item(browser, town, attackers):
    """What another system keeps stops nothing beside it in the same call; each item has its answer."""
    committee, _branch = school_of(town)
    items = [
        {"org_id": CLASS, "after": None},
        {"org_id": committee, "after": None},
        {"org_id": CLASS + 1, "after": CLASS},
    ]
    said = browser.post("/api/v1/orgs/order", json={"items": items}, headers=attackers[COLLEGE]).json
    codes = [(one.get("refusal") or {}).get("code") for one in said["results"]]
    assert codes == [None, "mirrored", None]
    assert [one["org_id"] for one in said["results"]] == [CLASS, committee, CLASS + 1]


def test_the_centre_may_be_ordered_around_them(browser, attackers):
    """A province may stand after Beijing: that names it and leaves it as it is."""
    items = [{"org_id": 12, "after": BEIJING}]
    said = browser.post("/api/v1/orgs/order", json={"items": items}, headers=attackers[ROOT]).json
    assert said["results"][0].get("refusal") is None


def test_it_covers_what_there_is():
    """The operations that name an organisation are found by their contracts."""
    assert len(NAMED) >= 14 and ("POST /registrations", "org_id") in NAMED


def test_the_page_offers_nothing_of_it(browser, town):
    """The centre looks at Beijing's organisation, and is offered to change Tianjin's alone (FED-01)."""
    enter(browser, town, ROOT)
    theirs, ours = browser.get(f"/orgs/{BEIJING}").text, browser.get("/orgs/12").text
    assert "由北京系统维护" in theirs and "由" not in re.findall('class="note">(.)', ours)
    for one in ('value="save"', 'value="up"', "/posts?org=", "/delete"):
        assert (one in theirs, one in ours) == (False, True), one


@pytest.mark.rule("FED-04", "FED-06")
def test_a_bridge_tells_of_its_directory(browser, town, attackers):
    """FED-04, FED-06: what the bridge of a system reads stands in our tree and in every directory.

    It comes as an event, in any order, and is told to others as every change of an organisation.
    """
    orgs = [
        PeerOrg(code="2", parent_code="1", kind="branch", full_name="共青团岭南海事大学1班支部委员会"),
        PeerOrg(code="1", kind="committee", full_name="共青团岭南海事大学委员会", phone="020-1"),
    ]
    pages = [DirectoryRead(peer="GD", reading=1, page=n, orgs=[org]) for n, org in enumerate(orgs)]
    publisher = Publisher(town.settings)
    messages = [
        Message("federation", DirectoryRead.topic(), uuid.uuid4().hex, msgspec.json.encode([page]).decode())
        for page in (*pages, pages[0])
    ]
    publisher.publish(messages)
    publisher.close()
    ends = time.monotonic() + 10
    known = "SELECT count(*) FROM org_directory WHERE system = 'GD' AND name LIKE '共青团岭南海事大学%'"
    for service in ("members", "transfers"):
        while True:
            with town.engine(service).connect() as tx:
                if tx.scalar(sa.text(known)) == 2:
                    break
            assert time.monotonic() < ends
            time.sleep(0.05)
    asked = {"text": "岭南海事大学团委", "system": "GD", "targets_only": "true"}
    items = browser.get("/api/v1/orgs", query_string=asked, headers=attackers[COLLEGE]).json["items"]
    assert [(one["full_name"], one["phone"], one["system"]) for one in items][:1] == [
        ("共青团岭南海事大学委员会", "020-1", "GD")
    ]
    asked["system"] = "national"
    found = browser.get("/api/v1/orgs", query_string=asked, headers=attackers[COLLEGE]).json["items"]
    assert {one["system"] for one in found} <= {"national"}
    refused = answers(browser, attackers[ROOT], "POST /orgs/deletions", org_id=items[0]["org_id"])
    assert refused == {"mirrored"}
