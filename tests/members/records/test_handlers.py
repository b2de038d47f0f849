"""Records after entry, on a real database: edits, deletions, history by day, branches that are not empty."""

import json
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.members import handlers, store
from services.members.records import handlers as records
from shared import clock, directory
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import EditMember, WhereWas
from shared.messages.orgs import AdministratorChanged, OrgChanged
from tests.members.factories import (
    AT,
    BRANCH,
    CLASS,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    TWO,
    XINJIANG,
    admin,
    admit,
    assigned,
    person,
    request,
)
from tests.members.records.factories import delete, edit


@pytest.mark.rule("MEM-14", "MEM-21")
@pytest.mark.parametrize(
    ("actor", "code"),
    [
        (Actor(ONE), None),
        (admin(CLASS), None),
        (admin(SCHOOL), None),
        (admin(ROOT), "unknown_member"),
        (admin(TARGET), "unknown_member"),
        (Actor(TWO), "unknown_member"),
        (Actor(TWO, CLASS), "unknown_member"),
    ],
)
def test_who_edits(tx, actor, code):
    """MEM-14: the member, the branch, its direct superior; nobody else. MEM-21: name and number stay."""
    before = store.by_ids(tx, [ONE])[ONE]
    assert edit(tx, actor, ethnic_group="壮族", phone="19911112222") == code
    after = store.by_ids(tx, [ONE])[ONE]

    assert after.ethnic_group == ("壮族" if code is None else before.ethnic_group)
    assert (after.phone_sealed != before.phone_sealed) == (code is None)
    assert (after.name, bytes(after.id_index), after.joined_on) == (
        before.name,
        bytes(before.id_index),
        before.joined_on,
    )


@pytest.mark.rule("MEM-09", "MEM-10", "MEM-14")
def test_development_number_is_checked(tx):
    """MEM-09, MEM-10: a corrected number passes the same checks as an entered one.

    Also against others of the same list.
    """
    taken = store.by_ids(tx, [TWO])[TWO].development_number

    assert edit(tx, admin(CLASS), development_number=taken) == "development_number_used"
    assert edit(tx, admin(CLASS), development_number="201900000777") not in (None, "unknown_member")
    assert edit(tx, admin(CLASS), development_number=store.by_ids(tx, [ONE])[ONE].development_number) is None
    answers = records.edit_members(
        tx,
        [
            Asked(
                EditMember(command_id=uuid.uuid4(), member_id=one, development_number="202000000777"),
                admin(CLASS),
            )
            for one in (ONE, TWO)
        ],
    )
    assert [one.refusal and one.refusal.code for one in answers] == [None, "development_number_used"]


@pytest.mark.rule("DEL-05", "MEM-19", "MEM-27", "ROLE-08")
@pytest.mark.parametrize(
    ("org", "code"),
    [
        (ROOT, None),
        (SCHOOL, "not_leading_body"),
        (CLASS, "not_leading_body"),
        (TARGET, "unknown_member"),
        (XINJIANG, "unknown_member"),
    ],
)
def test_who_deletes(tx, org, code):
    """DEL-05, MEM-27: a leading body above the branch; not the branch, not the school, nobody elsewhere.

    ROLE-08: leading bodies alone.
    """
    assert delete(tx, org) == code
    assert (ONE in store.by_ids(tx, [ONE])) == (code is not None)


@pytest.mark.rule("MEM-19")
@pytest.mark.parametrize(
    ("level", "code_length", "code"),
    [
        ("county", 6, None),
        ("city", 6, "delete_higher"),
        ("city", 4, None),
        ("province", 4, "delete_higher"),
        ("province", 2, None),
    ],
)
def test_the_lowest_level_that_deletes(tx, tmp_path, configure, level, code_length, code):
    """MEM-19: any leading body above the branch deletes, unless a setting asks for a higher one.

    The setting asks for a city's or the provincial body; preset 001 asks for the province.
    """
    file = tmp_path / "practice.toml"
    file.write_text(f'[[from]]\nday = 2020-01-01\nmember_delete_min_level = "{level}"')
    configure(TUANQIAO_PRACTICE=str(file))
    tx.execute(
        sa.text(
            "UPDATE org_directory SET division_code = :code, parent_id = 0, provincial_id = :own"
            " WHERE org_id = :root"
        ),
        {"code": "420106"[:code_length], "own": ROOT if code_length == 2 else 42, "root": ROOT},
    )
    assert delete(tx) == code


@pytest.mark.rule("TRF-36", "DEL-09")
def test_deleting_and_entering_elsewhere_is_no_transfer(tx):
    """TRF-36, DEL-09: a person deleted in one branch is entered again there, and not in another.

    Another person under the number is, and so is one who has no old branch any more.
    """
    (member,) = [one.member_id for one in admit(tx, person(61))]
    assert delete(tx, member=member) is None
    assert [one.refusal and one.refusal.code for one in admit(tx, person(61, branch=BRANCH), org=BRANCH)] == [
        "deleted_elsewhere"
    ]
    with tx.begin_nested() as trial:
        assert admit(tx, person(61, branch=BRANCH, name="周另名"), org=BRANCH)[0].refusal is None
        trial.rollback()
    with tx.begin_nested() as trial:
        tx.execute(sa.text("UPDATE org_directory SET deleted = true WHERE org_id = :org"), {"org": CLASS})
        assert admit(tx, person(61, branch=BRANCH), org=BRANCH)[0].refusal is None
        trial.rollback()
    assert admit(tx, person(61))[0].refusal is None


@pytest.mark.rule("DEL-07", "DEL-08", "DEL-11", "ADM-17")
def test_what_is_not_deleted(tx):
    """DEL-07, DEL-08: not without a reason, no administrator, nobody with an open transfer.

    ADM-17: an administrator only once the right is revoked.
    """
    assert delete(tx, reason=" ") == "reason_needed"
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=CLASS, person_id=ONE, active=True, version=1)]
    )
    handlers.on_transfer_requested(tx, [request(10, TWO)])

    assert (delete(tx, member=ONE), delete(tx, member=TWO), delete(tx, member=10**9)) == (
        "is_administrator",
        "transfer_open",
        "unknown_member",
    )
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=CLASS, person_id=ONE, active=False, version=2)]
    )
    assert delete(tx, member=ONE) is None


@pytest.mark.rule("DEL-11", "MEM-19", "DEL-10")
def test_deletion_keeps_proof_and_frees_the_number(tx):
    """DEL-11, MEM-19: who, when and why stay on record.

    The person can be entered anew with the same number; a repeated command does nothing.
    """
    command, item = uuid.uuid4(), person(60)
    (member,) = [one.member_id for one in admit(tx, item)]
    assert delete(tx, member=member, command=command) is None
    (kept,) = tx.execute(sa.text("SELECT * FROM deleted_people WHERE person_id = :id"), {"id": member}).all()
    assert (kept.reason, kept.deleted_by, kept.deleted_for, kept.branch_id) == (
        "身份证号码录错",
        100 + ROOT,
        ROOT,
        CLASS,
    )
    assert [(stay.branch_id, stay.ended_at is not None) for stay in store.stays(tx, member)] == [
        (CLASS, True)
    ]

    (again,) = admit(tx, person(60))
    assert again.refusal is None and again.member_id != member
    assert (
        delete(tx, member=member, command=command) is None and len(store.by_ids(tx, [again.member_id])) == 1
    )


@pytest.mark.rule("BEY-09")
def test_where_somebody_was(tx):
    """BEY-09: the branch at the end of each day, before, between and after moves and after the membership."""
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_branch_assigned(tx, [assigned(10)])
    moved = AT.date()

    def was(day, actor=None):
        (one,) = records.where_was(tx, WhereWas(person_ids=[ONE], on=day), actor or admin(ROOT))
        return one.branch_id

    assert [
        was(day)
        for day in (moved - timedelta(days=2000), moved - timedelta(days=1), moved, clock.now().date())
    ] == [None, CLASS, BRANCH, BRANCH]
    assert (
        was(moved, Actor(ONE)),
        was(moved, admin(TARGET)),
        was(moved, admin(SCHOOL)),
        was(moved - timedelta(days=1), admin(SCHOOL)),
    ) == (BRANCH, BRANCH, None, CLASS)
    delete(tx)
    assert was(clock.now().date() + timedelta(days=1)) is None and was(moved) == BRANCH


def deleted(org_id, version=2) -> OrgChanged:
    return OrgChanged(
        org_id=org_id,
        parent_id=SCHOOL,
        path=f"1.2.{org_id}.",
        kind="branch",
        purpose="ordinary",
        province="42",
        system="national",
        provincial_id=ROOT,
        vault_id=None,
        name=str(org_id),
        version=version,
        deleted=True,
    )


def refused(tx) -> list[int]:
    return [
        item["org_id"]
        for body in tx.scalars(
            sa.text("SELECT body FROM outbox WHERE topic = 'deletion_refused' ORDER BY id")
        )
        for item in json.loads(body)
    ]


@pytest.mark.rule("DEL-03")
def test_a_branch_with_members_comes_back(tx):
    """DEL-03: the deletion of a branch with members is refused; that of an empty one is not."""
    handlers.on_org_changed(tx, [deleted(CLASS), deleted(BRANCH)])

    assert refused(tx) == [CLASS]


@pytest.mark.rule("DEL-03")
def test_a_move_into_a_deleted_branch(tx):
    """DEL-03: a member on the way into a branch that is deleted meanwhile arrives.

    The branch comes back.
    """
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_org_changed(tx, [deleted(BRANCH)])
    assert refused(tx) == []

    handlers.on_branch_assigned(tx, [assigned(10)])

    assert refused(tx) == [BRANCH] and store.by_ids(tx, [ONE])[ONE].branch_id == BRANCH


@pytest.mark.rule("DEL-06", "DEL-09", "DEL-10", "DOC-11", "DOC-05")
def test_requests_for_deletion(tx):
    """DEL-06, DEL-10: the branch reports with cause and explanation, and leading bodies above list it.

    The report is done when one of them deletes. DEL-09: a member who belongs elsewhere is
    transferred.

    DOC-11: not without an explanation.
    """
    from services.members.lists import handlers as lists
    from shared.messages.members import GetReport, RequestDeletion

    def ask(actor, cause="wrong_id", explanation="末位应为X"):
        answer = records.request_deletions(
            tx,
            [
                Asked(
                    RequestDeletion(
                        command_id=uuid.uuid4(), member_id=TWO, cause=cause, explanation=explanation
                    ),
                    actor,
                )
            ],
        )[0]
        return answer.refusal and answer.refusal.code

    def listed():
        return [
            (one.member_id, one.note)
            for one in lists.get_report(tx, GetReport(kind="deletion_requests"), admin(ROOT))
        ]

    assert [
        ask(admin(TARGET)),
        ask(admin(ROOT)),
        ask(Actor(TWO)),
        ask(admin(CLASS), "elsewhere"),
        ask(admin(CLASS), "x"),
        ask(admin(CLASS), explanation=" "),
    ] == [
        "unknown_member",
        "unknown_member",
        "unknown_member",
        "transfer_instead",
        "bad_request",
        "reason_needed",
    ]
    assert (ask(admin(CLASS)), ask(admin(SCHOOL), "wrong_name", "姓名错字")) == (None, None)
    assert listed() == [(TWO, "wrong_name 姓名错字")]
    assert delete(tx, member=TWO, reason="姓名错字") is None
    assert listed() == []
