"""Who may do what, through HTTP: every API operation for every relation.

The relation is that between the one who acts and the branch in question.

An operation without a row fails the test, so that nobody adds one without saying who may use it.
"""

import itertools
import time
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.gateway.api.routes import ROUTES
from services.members.accounts import handlers as accounts
from services.orgs import store
from shared import clock
from system import world
from system.synthetic import check_digit
from tests.system import test_bridge_rights
from tests.system.api import CLASS, COLLEGE, TARGET, request_of, wait_state

SCHOOL, PROVINCE, SIBLING, ELSEWHERE = COLLEGE // 100, 42, CLASS + 1, 32
MEMBER, OTHER_MEMBER, OBSERVER = 1001, 1002, 1034
RELATIONS = {  # who acts: person, acting organisation
    "branch": (world.administrator_of(CLASS), CLASS),
    "superior": (world.administrator_of(COLLEGE), COLLEGE),
    "school": (world.administrator_of(SCHOOL), SCHOOL),
    "province": (world.administrator_of(PROVINCE), PROVINCE),
    "sibling": (world.administrator_of(SIBLING), SIBLING),
    "elsewhere": (world.administrator_of(ELSEWHERE), ELSEWHERE),
    "member": (MEMBER, None),
    "other member": (OTHER_MEMBER, None),
    "pretender": (OTHER_MEMBER, COLLEGE),
    "observer": (OBSERVER, COLLEGE),
    "nobody": (None, None),
}
ADMINISTRATORS = {"branch", "superior", "school", "province", "sibling", "elsewhere"}
SIGNED_IN = {*RELATIONS} - {"nobody"}
ABOVE = {"branch", "superior", "school", "province"}
READERS = {"province", "elsewhere"}
LOOKING, LOOKING_ABOVE = ADMINISTRATORS | {"observer"}, ABOVE | {"observer"}
NO_RIGHT = {
    "audit_by_province",
    "batch_by_committee",
    "batch_branches",
    "registration_missing",
    "unknown_migration",
    "retention_unknown",
    "letter_unknown",
    "letter_by_committee",
    "not_administrator",
    "not_your_org",
    "not_your_node",
    "not_initiator",
    "not_leading_body",
    "unknown_transfer",
    "unknown_member",
    "token_invalid",
    "token_expired",
}
_fresh = itertools.count(1003)


def one(**values):
    return {"items": [values]}


def key() -> str:
    return str(uuid.uuid4())


# operation: who may, and how it is tried; the path's number is the branch or the transfer in question
TABLE = {
    "POST /sessions": ({*RELATIONS}, lambda t: {"id_number": "11010120050101001X", "password": "x"}),
    "POST /sessions/renew": ({*RELATIONS}, lambda t: {"session": "x"}),
    "POST /sessions/end": ({*RELATIONS}, lambda t: {"session": "x"}),
    "POST /password": (SIGNED_IN, lambda t: {"old_password": "x", "new_password": "y"}),
    "POST /password/reset": (
        {*RELATIONS},
        lambda t: {"id_number": "11010120050101001X", "code": "x", "new_password": "long enough 1"},
    ),
    "POST /members/reset-codes": (
        {"branch", "superior"},
        lambda t: one(command_id=key(), member_id=OTHER_MEMBER),
    ),
    "GET /captcha": ({*RELATIONS}, None),
    "POST /sessions/list": (SIGNED_IN, lambda t: {}),
    "POST /sessions/end-others": (SIGNED_IN, lambda t: {"session": "x", "session_ids": [key()]}),
    "POST /registrations/administrator": (
        {*RELATIONS},
        lambda t: {"code": "WRONG", "name": "x", "id_number": "x", "password": "x"},
    ),
    "POST /registrations/redeem": (SIGNED_IN, lambda t: {"code": "WRONG"}),
    "POST /registrations": (
        {*RELATIONS},
        lambda t: {"org_id": COLLEGE, "post": "publicist", "name": "x", "id_number": "x", "password": "x"},
    ),
    "GET /registrations": (ADMINISTRATORS, None),
    "POST /registrations/decisions": (
        {"superior"},
        lambda t: one(registration_id=t.registration, accept=False, note="x"),
    ),
    "POST /registration-codes": ({"superior"}, lambda t: one(command_id=key(), org_id=CLASS)),
    "GET /orgs/<int:org_id>/cadres": (LOOKING_ABOVE, None),
    "GET /orgs/<int:org_id>/entry-progress": (LOOKING_ABOVE, None),
    "GET /orgs/<int:org_id>/all-members": (LOOKING_ABOVE, None),
    "POST /posts": (
        {"branch", "superior"},
        lambda t: one(command_id=key(), org_id=CLASS, person_id=OTHER_MEMBER, post="publicist"),
    ),
    "POST /orgs/checks": (
        {"branch"},
        lambda t: one(
            command_id=key(), org_id=CLASS, kind="branch", short_name="x", full_name="", industry="", phone=""
        ),
    ),
    "POST /orgs/school-numbers": ({"branch"}, lambda t: one(command_id=key(), org_id=CLASS, number="1234")),
    "POST /migrations": ({"branch"}, lambda t: one(command_id=key(), org_id=CLASS, to_org_id=COLLEGE)),
    "POST /migrations/decisions": (
        {"superior"},
        lambda t: one(migration_id=t.migration, approve=False, note="x"),
    ),
    "GET /migrations/preview": ({"branch", "superior"}, {"org_id": CLASS, "to_org_id": COLLEGE}),
    "GET /migrations": (ADMINISTRATORS, {"waiting": "true"}),
    "POST /members/search": (LOOKING, lambda t: {"text": t.name}),
    "POST /members/id-numbers": (ABOVE, lambda t: {"person_ids": [MEMBER], "reason": "核对"}),
    "POST /members/export": (ADMINISTRATORS, lambda t: {"limit": 1}),
    "GET /reports/<kind>": (LOOKING, None),
    "POST /retentions": (
        {"branch", "superior", "member"},
        lambda t: one(
            command_id=key(), member_id=MEMBER, kind="abroad", since="2026-09-01", until="2026-08-01"
        ),
    ),
    "POST /retentions/decisions": (
        {"superior", "school", "province"},
        lambda t: one(retention_id=t.retention, approve=True),
    ),
    "GET /retentions": (LOOKING, None),
    "POST /letters": (
        {"superior", "school", "province"},
        lambda t: one(command_id=key(), member_ids=[MEMBER], addressee="x", dues_until="2026-06-30"),
    ),
    "POST /letters.pdf": (
        {"superior", "school", "province"},
        lambda t: one(command_id=key(), member_ids=[MEMBER], addressee="x", dues_until="2026-06-30"),
    ),
    "POST /letters/void": ({"superior"}, lambda t: one(letter_id=t.letter)),
    "GET /letters": (ADMINISTRATORS, None),
    "GET /letters/<int:letter_id>": ({"superior"}, None),
    "GET /letters/check": ({*RELATIONS}, {"code": "WRONG"}),
    "GET /me": (SIGNED_IN, None),
    "GET /me/transfers": (SIGNED_IN, None),
    "GET /my-orgs": (SIGNED_IN, None),
    "GET /orgs": (SIGNED_IN, {"text": "计算机"}),
    "GET /orgs/<int:org_id>": (SIGNED_IN, None),
    "GET /orgs/<int:org_id>/children": (SIGNED_IN, None),
    "GET /orgs/<int:org_id>/administrators": (SIGNED_IN, None),
    "GET /orgs/<int:org_id>/at": (SIGNED_IN, {"on": "2026-01-01"}),
    "GET /branches/<int:branch_id>/composition": (LOOKING_ABOVE | {"member", "other member"}, None),
    "GET /audit/orgs": (READERS, None),
    "GET /audit/members": (READERS, None),
    "GET /audit/transfers": (READERS, None),
    "GET /branches/<int:branch_id>/members": (LOOKING_ABOVE | {"member", "other member"}, None),
    "POST /orgs": (
        {"branch", "superior"},
        lambda t: one(
            command_id=key(), org_id=CLASS, parent_id=COLLEGE, kind="branch", full_name="共青团某班支部委员会"
        ),
    ),
    "POST /orgs/order": ({"superior"}, lambda t: one(org_id=CLASS, after=None)),
    "POST /orgs/names": ({"branch", "superior"}, lambda t: one(command_id=key(), org_id=CLASS)),
    "GET /orgs/<int:org_id>/names": ({"branch", "superior"}, None),
    "POST /orgs/names/progress": (SIGNED_IN, lambda t: {"command_id": key()}),
    "POST /orgs/members": (ADMINISTRATORS, lambda t: {"org_ids": [CLASS]}),
    "POST /orgs/transfers": (ADMINISTRATORS, lambda t: {"org_ids": [CLASS]}),
    "GET /orgs/<int:org_id>/open-transfers": (ABOVE, None),
    "POST /orgs/deletions": ({"superior"}, lambda t: one(command_id=key(), org_id=t.empty)),
    "POST /administrators": (
        {"branch", "superior"},
        lambda t: one(command_id=key(), org_id=CLASS, person_id=world.administrator_of(CLASS), active=True),
    ),
    "POST /members": (
        {"branch", "superior"},
        lambda t: one(command_id=key(), branch_id=CLASS, name="张三", id_number="11010120050101001X"),
    ),
    "POST /imports/rows": (
        ADMINISTRATORS,
        lambda t: one(import_id=key(), number=1, branch_name="x", name="张三", id_number="x"),
    ),
    "POST /imports/progress": (ADMINISTRATORS, lambda t: {"import_id": key()}),
    "GET /members/<int:member_id>": (LOOKING_ABOVE, None),
    "POST /members/edits": (
        {"branch", "superior", "member"},
        lambda t: one(command_id=key(), member_id=MEMBER, ethnic_group="汉族"),
    ),
    "POST /members/deletion-requests": (
        {"branch", "superior"},
        lambda t: one(command_id=key(), member_id=OTHER_MEMBER, cause="elsewhere", explanation="x"),
    ),
    "GET /contacts": ({*RELATIONS}, {"text": "武汉"}),
    "GET /registrations/places": ({*RELATIONS}, {"text": "武汉"}),
    "POST /members/deletions": (
        {"province"},
        lambda t: one(command_id=key(), member_id=OTHER_MEMBER, reason=""),
    ),
    "POST /members/where": (SIGNED_IN, lambda t: {"person_ids": [MEMBER], "on": "2026-01-01"}),
    "POST /members/look-up": (ADMINISTRATORS, lambda t: {"name": t.name, "id_number": t.id_number}),
    "POST /members/describe": (SIGNED_IN, lambda t: {"person_ids": [MEMBER]}),
    "POST /branch-marks": (
        {"superior", "school"},
        lambda t: one(command_id=key(), branch_id=CLASS, reason="mixed"),
    ),
    "POST /member-marks": (
        {"branch", "superior", "school"},
        lambda t: one(command_id=key(), member_id=OTHER_MEMBER, mark=""),
    ),
    "GET /branch-marks": (LOOKING, None),
    "POST /transfers": ({"branch", "superior"}, lambda t: one(**request_of(next(_fresh)))),
    "GET /transfers": (LOOKING, {"side": "source"}),
    "GET /transfers/<int:transfer_id>": ({"branch", "superior", "province", "member"}, None),
    "POST /transfers/decisions": (
        {"branch", "superior"},
        lambda t: one(decision_id=key(), transfer_id=t.own(), node_no=9, approve=True),
    ),
    "POST /transfers/withdrawals": ({"member"}, lambda t: one(decision_id=key(), transfer_id=t.own())),
    "POST /transfers/assignments": (
        set(),
        lambda t: one(decision_id=key(), transfer_id=t.approved, branch_id=TARGET * 100 + 7),
    ),
    "GET /work": (LOOKING, None),
    "POST /work/count": (LOOKING, lambda t: {}),
    "GET /work/habits": (LOOKING, None),
    "POST /work/views": (LOOKING, lambda t: one(view_id=key(), name="x", filter={})),
    "POST /work/views/drop": (LOOKING, lambda t: one(view_id=key())),
    "POST /work/phrases": (ADMINISTRATORS, lambda t: one(text="x")),
    "POST /work/phrases/drop": (SIGNED_IN, lambda t: one(text="x")),
    "POST /work/assignment": (LOOKING, lambda t: {"rule": "round_robin"}),
    "GET /counts": (LOOKING, None),
    "POST /transfers/batches": (
        {"superior", "school"},
        lambda t: one(command_id=key(), source_branch_id=CLASS, member_ids=[], target_branch_id=SIBLING),
    ),
    "GET /transfers/batches/<uuid:batch_id>": (LOOKING, None),
    "POST /transfers/restarts": (
        {"branch", "superior", "member"},
        lambda t: one(command_id=key(), transfer_id=t.own()),
    ),
    "POST /transfers/urges": (
        {"branch", "superior", "province", "member"},
        lambda t: one(decision_id=key(), transfer_id=t.own()),
    ),
    "POST /transfers/looks": (
        {"branch", "superior", "province", "member"},
        lambda t: one(transfer_id=t.own()),
    ),
    "POST /transfers/advice": (SIGNED_IN, lambda t: {"plan": "study", "source_branch_id": CLASS}),
    "POST /escalations": ({"member"}, lambda t: one(decision_id=key(), transfer_id=t.own())),
    "POST /escalations/answers": (
        set(),
        lambda t: one(decision_id=key(), transfer_id=t.own(), answer="uphold"),
    ),
    "GET /escalations": (LOOKING, None),
    "POST /bulk/count": (ADMINISTRATORS, lambda t: {"filter": {"state": "pending_out"}}),
    "POST /bulk": (
        ADMINISTRATORS,
        lambda t: one(bulk_id=key(), filter={"state": "pending_in", "reason": "x"}, expected=5),
    ),
    "GET /bulk": (LOOKING, None),
    "GET /bulk/<uuid:bulk_id>": (LOOKING, None),
    "POST /bulk/stop": (ADMINISTRATORS, lambda t: one(bulk_id=key())),
    "GET /messages": (SIGNED_IN - {"pretender"}, None),
    "POST /messages/read": (SIGNED_IN - {"pretender"}, lambda t: one(transfer_id=1, seq=1)),
    "GET /figures": (LOOKING_ABOVE, {"org_id": CLASS}),
    "GET /figures/<figure>/members": (LOOKING_ABOVE, {"org_id": CLASS}),
    "GET /board": (LOOKING_ABOVE, {"org_id": CLASS}),
    "POST /board/urges": (ABOVE, lambda t: one(decision_id=key(), org_id=CLASS)),
    "GET /policy": (LOOKING, {"compare": "p000"}),
    "POST /webhooks": (ADMINISTRATORS, lambda t: one(command_id=key(), url="https://example.invalid/x")),
    "GET /webhooks": (ADMINISTRATORS, None),
}


def _number() -> str:
    first = "42010620020105977"
    return first + check_digit(first)


_PARTS = {
    "<int:member_id>": str(MEMBER),
    "<kind>": "small_branches",
    "<figure>": "idle",
    "<uuid:batch_id>": key(),
    "<uuid:bulk_id>": key(),
}


def _filled(part: str, number: int) -> str:
    """Return a part of a path, with a number or what stands for it in place of a variable."""
    if part in _PARTS:
        return _PARTS[part]
    return str(number) if part.startswith("<") else part


PUBLIC = {  # operations for everybody: what they may answer to nonsense
    "POST /sessions": {"sign_in_failed", "too_many_attempts"},
    "POST /sessions/renew": {"token_expired"},
    "POST /sessions/end": {None},
    "GET /captcha": {None},
    "POST /registrations/administrator": {"code_invalid"},
    "POST /registrations": {"id_invalid"},
    "POST /password/reset": {"reset_failed", "too_many_attempts"},
    "GET /letters/check": {"letter_unknown"},
    "GET /contacts": {None},
    "GET /registrations/places": {None},
}


class Tried:
    """What the operations are tried on.

    A member of the branch with an open transfer, waiting at the source's node; an empty branch
    beside it.
    """

    def __init__(self, town, browser):
        self.town, self.browser = town, browser
        with town.engine("orgs").begin() as tx:
            store.set_administrators(
                tx,
                [{"org_id": COLLEGE, "person_id": OBSERVER, "active": True, "observer": True}],
                clock.now(),
                None,
            )
        self.member = browser.post(
            "/api/v1/members/describe", json={"person_ids": [MEMBER]}, headers=headers("superior")
        ).json["items"][0]
        self.name, self.id_number = self.member["name"], world.id_number_of(town, MEMBER)
        made = browser.post(
            "/api/v1/orgs",
            headers=headers("superior"),
            json=one(command_id=key(), parent_id=COLLEGE, kind="branch", full_name="共青团空支部委员会"),
        )
        self.until_observed(town)
        self.empty = made.json["results"][0]["org_id"]
        self.registration = browser.post(
            "/api/v1/registrations",
            json={
                "org_id": COLLEGE,
                "post": "publicist",
                "name": "周自己",
                "id_number": _number(),
                "password": "Long-enough-1",
                "phone": "19900000000",
                "ethnic_group": "汉族",
                "joined_on": "2016-05-04",
            },
        ).json["registration_id"]
        self.migration = browser.post(
            "/api/v1/migrations",
            headers=headers("branch"),
            json=one(command_id=key(), org_id=CLASS, to_org_id=SCHOOL),
        ).json["results"][0]["migration_id"]
        self.retention = browser.post(
            "/api/v1/retentions",
            headers=headers("member"),
            json=one(
                command_id=key(),
                member_id=MEMBER,
                kind="abroad",
                since="2026-09-01",
                until="2027-08-01",
                place="x",
                contact_name="x",
                contact_phone="1",
            ),
        ).json["results"][0]["retention_id"]
        self.letter = browser.post(
            "/api/v1/letters",
            headers=headers("superior"),
            json=one(command_id=key(), member_ids=[MEMBER], addressee="x", dues_until="2026-06-30"),
        ).json["results"][0]["letter_id"]
        started = browser.post(
            "/api/v1/transfers", headers=headers("superior"), json=one(**request_of(next(_fresh)))
        )
        self.approved = started.json["results"][0]["transfer_id"]
        wait_state(browser, headers("superior"), self.approved, "pending_in")
        browser.post(
            "/api/v1/transfers/decisions",
            headers=headers("target"),
            json=one(decision_id=key(), transfer_id=self.approved, node_no=1, approve=True),
        )

    @staticmethod
    def until_observed(town) -> None:
        """Wait until members and transfers know the observer."""
        ends = time.monotonic() + 10
        for service in ("members", "transfers"):
            while True:
                with town.engine(service).connect() as tx:
                    if tx.scalar(
                        sa.text(
                            "SELECT EXISTS (SELECT 1 FROM administrator_directory WHERE observer AND active)"
                        )
                    ):
                        break
                assert time.monotonic() < ends
                time.sleep(0.1)

    def own(self) -> int:
        """Return the member's open transfer; one is started if there is none."""
        items = self.browser.get("/api/v1/me/transfers", headers=headers("member")).json["items"]
        waiting = [item["transfer_id"] for item in items if item["state"] == "pending_out"]
        if not waiting:
            answer = self.browser.post(
                "/api/v1/transfers",
                headers=headers("member"),
                json={"items": [request_of(MEMBER, initiator="member")]},
            )
            waiting = [answer.json["results"][0]["transfer_id"]]
            wait_state(self.browser, headers("member"), waiting[0], "pending_out")
        return waiting[0]


def headers(relation: str) -> dict[str, str]:
    person, org = RELATIONS.get(relation, (world.administrator_of(TARGET), TARGET))
    if person is None:
        return {}
    token = accounts.keys.signer.sign("person", timedelta(hours=1), sub=str(person))[0]
    return {"Authorization": f"Bearer {token}", **({"X-Acting-Org": str(org)} if org else {})}


@pytest.fixture(scope="module")
def tried(town, client):
    from services.gateway.app import create_app

    return Tried(town, create_app(client, town.settings).test_client())


def test_every_operation_has_a_row():
    """A new operation needs a row that says who may use it."""
    assert {f"{route.method} {route.path}" for route in ROUTES} == {*TABLE, *test_bridge_rights.TABLE}


@pytest.mark.rule("ROLE-04", "ROLE-06", "ROLE-10", "ROLE-16")
@pytest.mark.parametrize("operation", list(TABLE))
def test_who_may(browser, tried, operation):
    """ROLE-06, ROLE-16: rights come from the relation between acting organisation and branch.

    They never come from a claim.
    """
    allowed, body = TABLE[operation]
    method, path = operation.split()
    number = tried.own() if "transfer_id" in path else tried.letter if "letter_id" in path else CLASS
    address = "/api/v1" + "/".join(_filled(part, number) for part in path.split("/"))
    for relation in sorted(RELATIONS, key=lambda relation: relation in allowed):
        if method == "GET":
            answer = browser.get(address, query_string=body, headers=headers(relation))
        else:
            answer = browser.post(address, json=body(tried), headers=headers(relation))
        said = answer.json if isinstance(answer.json, dict) else {}  # a letter is no JSON
        if "results" in said:
            refusal = said["results"][0].get("refusal")
        else:
            refusal = said if answer.status_code >= 400 else None
        code = refusal["code"] if refusal else None
        if operation in PUBLIC:
            assert code in PUBLIC[operation], (operation, relation, code)
        else:
            assert (code not in NO_RIGHT) == (relation in allowed), (operation, relation, code)
        assert answer.status_code < 500


@pytest.mark.rule("TRF-22", "MEM-32")
@pytest.mark.parametrize("relation", sorted(SIGNED_IN))
def test_who_sees_a_person_in_full(browser, relation):
    """MEM-32: the branch, what is above it and the person see the record, the number masked.

    Everyone else sees surname and stars.
    """
    (person,) = browser.post(
        "/api/v1/members/describe", json={"person_ids": [MEMBER]}, headers=headers(relation)
    ).json["items"]

    full = relation in {*ABOVE, "member"}
    assert (person["phone"] != "", "**" in person["name"]) == (full, not full)
    assert ("****" in person["id_masked"]) == full
