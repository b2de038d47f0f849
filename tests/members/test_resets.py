"""Who opens an account anew, and who is named a cadre by an id.

These were the two ways by which accounts and names were taken.
"""

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.members import domain, store
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.lists import handlers as lists
from services.members.posts import handlers as posts
from services.members.records import handlers as records
from services.members.records import showing
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import (
    EditMember,
    IssueResetCode,
    ListCadres,
    LookUp,
    NoteExport,
    ResetPassword,
    SetPost,
    SignIn,
)
from shared.messages.orgs import AdministratorChanged
from tests.members.factories import (
    BRANCH,
    CLASS,
    COLLEGE,
    DEEP,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    THREE,
    TWO,
    admin,
    number,
    person,
)

PASSWORD = "Long-enough-1"
EVERYWHERE = (ROOT, SCHOOL, CLASS, TARGET, BRANCH, COLLEGE, DEEP)


@pytest.mark.rule("ACC-07", "ADM-07")
@pytest.mark.parametrize(
    "rights, home, levels, may",
    [
        ([], "1.2.3.", 0, {3}),
        ([], "1.2.3.", 1, {2, 3}),
        ([], "1.2.3.", 2, {1, 2, 3}),
        ([], "1.2.3.", 9, {1, 2, 3}),
        ([], "", 1, set()),
        ([], "1.", 1, {1}),
        (["1."], "", 1, {1}),
        (["1."], "1.2.3.", 1, {1}),
        (["1.2."], "", 1, {1, 2}),
        (["1.2.3."], "1.2.3.", 1, {2, 3}),
        (["1.2.3.4."], "", 9, {3, 4}),
        (["1.2.", "1.2.3.4."], "1.2.3.", 1, {1, 2}),
        (["1.2.3.4.", "1.2."], "1.2.3.", 1, {1, 2}),
        (["1.2.3.4."], "1.2.3.5.", 1, {3}),
        (["1.2.3.4."], "1.2.9.8.", 1, {2}),
        (["1.2.3.4."], "1.7.8.", 1, {1}),
        (["1.2.3.", "1.2.4."], "", 1, {2}),
        (["1.2.3.", "1.7.8.9."], "1.2.3.5.", 1, {1}),
        (["1.22."], "1.2.3.", 1, {1}),
    ],
)
def test_who_resets(rights, home, levels, may):
    """ACC-07, ADM-07: without rights, the branch and so many levels above it make the code.

    With rights, the place of the highest right and its direct superior do, and nobody who stands
    beside it.
    """
    assert domain.resetters(rights, home, levels) == may


def right(tx, org, person, active=True, version=1, observer=False):
    directory.on_administrator_changed(
        tx,
        [
            AdministratorChanged(
                org_id=org, person_id=person, active=active, version=version, observer=observer
            )
        ],
    )


def appoint(tx, org, **who):
    to, actor = who.pop("post", "deputy_secretary"), who.pop("actor", None) or admin(org)
    answer = posts.set_posts(
        tx, [Asked(SetPost(command_id=uuid.uuid4(), org_id=org, post=to, **who), actor)]
    )[0]
    return answer.refusal.code if answer.refusal else answer.person_id


def card(n, name="李书记", year=1990):
    return {"name": name, "id_number": number(n, year)}


def ask(tx, person, org, actor=None):
    return accounts.issue_reset_codes(
        tx, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=person), actor or admin(org))]
    )[0]


def resets(tx, person):
    """Return which organisations get a code for a person; nobody else gets one."""
    answers = {org: ask(tx, person, org) for org in EVERYWHERE}
    assert all((answer.refusal is None) == bool(answer.code) for answer in answers.values())
    return {org for org, answer in answers.items() if answer.code}


def reset(tx, id_number, code):
    try:
        return accounts.reset_password(
            tx, ResetPassword(id_number=id_number, code=code, new_password=PASSWORD), None
        )
    except Refused as refused:
        return refused.code


@pytest.fixture
def centre(tx):
    """The administrator of the root: a cadre there, member of no branch."""
    made = appoint(tx, ROOT, **card(60), post="secretary")
    right(tx, ROOT, made)
    return made


@pytest.mark.rule("ACC-07", "CADRE-03", "ADM-07")
@pytest.mark.parametrize("org", [SCHOOL, COLLEGE, CLASS, TARGET, BRANCH])
def test_a_post_gives_no_hold_on_an_account(tx, centre, org):
    """ACC-07, CADRE-03, ADM-07: naming the root's administrator a cadre gives no code for the account.

    Not even naming them an administrator does; another administrator of the root gets one.
    """
    assert appoint(tx, org, **card(60)) == centre
    right(tx, org, centre)
    assert resets(tx, centre) == {ROOT}
    assert ask(tx, centre, org).refusal.code == "unknown_member"
    assert ask(tx, centre, ROOT, Actor(centre, ROOT)).refusal.code == "reset_own"


@pytest.mark.rule("CADRE-03", "MEM-32")
def test_an_id_names_nobody_from_elsewhere(tx, centre):
    """CADRE-03, MEM-32: by id an organisation names its own people.

    Of anybody else it learns neither that there is one nor the name.
    """
    assert [appoint(tx, BRANCH, person_id=one) for one in (centre, ONE, THREE, 10**9)] == [
        "unknown_member"
    ] * 4
    assert [appoint(tx, BRANCH, person_id=one, post="") for one in (centre, ONE, 10**9)] == [
        "unknown_member"
    ] * 3
    assert posts.list_cadres(tx, ListCadres(org_id=BRANCH), admin(BRANCH)) == []
    assert appoint(tx, COLLEGE, person_id=ONE) == "unknown_member"
    assert [
        appoint(tx, COLLEGE, person_id=THREE),
        appoint(tx, SCHOOL, person_id=ONE),
        appoint(tx, DEEP, person_id=THREE),
    ] == [THREE, ONE, THREE]
    assert appoint(tx, DEEP, person_id=ONE, actor=admin(COLLEGE)) == "unknown_member"


@pytest.mark.rule("CADRE-02", "CADRE-03")
def test_an_id_names_who_is_a_cadre_below(tx):
    """CADRE-02, CADRE-03: people with a post or a right below the acting organisation are its own.

    Wherever the membership lies.
    """
    name = store.by_ids(tx, [ONE])[ONE].name
    assert appoint(tx, BRANCH, name=name, id_number=number(1)) == ONE
    assert [
        appoint(tx, TARGET, person_id=ONE),
        appoint(tx, BRANCH, person_id=ONE, post=""),
        appoint(tx, TARGET, person_id=ONE, post=""),
    ] == [ONE] * 3
    assert appoint(tx, TARGET, person_id=ONE) == "unknown_member"
    right(tx, BRANCH, ONE)
    assert appoint(tx, TARGET, person_id=ONE) == ONE


@pytest.mark.rule("ACC-07")
def test_a_member_with_a_right_above(tx):
    """ACC-07: branch and superior do not open the account of a member with a right above or beside them.

    Those who know the member are told who may.
    """
    assert resets(tx, ONE) == {CLASS, SCHOOL}
    right(tx, ROOT, ONE)
    assert resets(tx, ONE) == {ROOT}
    assert ask(tx, ONE, CLASS).refusal.code == ask(tx, ONE, SCHOOL).refusal.code == "reset_elsewhere"
    assert ask(tx, ONE, BRANCH).refusal.code == "unknown_member"
    right(tx, ROOT, ONE, active=False, version=2)
    right(tx, CLASS, ONE)
    assert resets(tx, ONE) == {CLASS, SCHOOL}
    right(tx, COLLEGE, TWO, observer=True)
    assert resets(tx, TWO) == {SCHOOL}


@pytest.mark.rule("ACC-07")
def test_a_right_given_from_elsewhere_takes_no_account(tx):
    """ACC-07: making another's member an administrator gives no hold on that member's account.

    The lowest organisation above both has it.
    """
    name = store.by_ids(tx, [ONE])[ONE].name
    assert appoint(tx, BRANCH, name=name, id_number=number(1)) == ONE
    right(tx, BRANCH, ONE)
    assert resets(tx, ONE) == {ROOT}


@pytest.mark.rule("ACC-07", "ACC-09")
def test_a_code_is_as_good_as_the_right_behind_it(tx):
    """ACC-07, ACC-09: a code dies when the person gains a right above its maker.

    Also when its maker loses the right.
    """
    first = ask(tx, ONE, CLASS).code
    right(tx, ROOT, ONE)
    assert reset(tx, number(1), first) == "reset_failed"
    second = ask(tx, ONE, ROOT).code
    right(tx, ROOT, 100 + ROOT, active=False, version=2)
    assert reset(tx, number(1), second) == "reset_failed"
    right(tx, ROOT, 100 + ROOT, version=3)
    assert reset(tx, number(1), ask(tx, ONE, ROOT).code) is True


@pytest.mark.rule("ACC-07", "ORG-17")
def test_who_is_in_no_branch_belongs_to_the_oldest_post(tx):
    """ACC-07, ORG-17: of several posts the oldest one says who looks after the account.

    Not the one given last or highest.
    """
    made = appoint(tx, COLLEGE, **card(61))
    assert resets(tx, made) == {COLLEGE, SCHOOL}
    tx.execute(sa.text("UPDATE posts SET began_at = began_at - interval '1 day'"))
    assert [appoint(tx, org, **card(61)) for org in (CLASS, BRANCH, TARGET, ROOT)] == [made] * 4
    assert resets(tx, made) == {COLLEGE, SCHOOL}


@pytest.mark.rule("ACC-06", "ACC-09")
def test_the_last_way_back(tx, centre):
    """ACC-06, ACC-09: whoever runs the installation makes a code by hand.

    Also for the root's only administrator; it lapses like any other.
    """
    code, expires_at = accounts.issue_code_by_hand(tx, centre)
    assert expires_at == pytest.approx(clock.now() + timedelta(hours=24), abs=timedelta(minutes=1))
    assert reset(tx, number(60, 1990), code) is True
    assert (
        accounts.sign_in(tx, SignIn(id_number=number(60, 1990), password=PASSWORD), None).person_id == centre
    )
    late, _ = accounts.issue_code_by_hand(tx, centre)
    clock.advance(timedelta(hours=25))
    assert reset(tx, number(60, 1990), late) == "reset_failed"
    with pytest.raises(Refused, match="unknown_member"):
        accounts.issue_code_by_hand(tx, 10**9)


def enter(tx, branch, **values):
    answer = entering.admit(tx, [Asked(person(70, branch, **values), admin(branch))])[0]
    return answer.refusal.code if answer.refusal else answer.member_id


@pytest.mark.rule("ACC-11", "ORG-17", "REG-05")
def test_who_is_bound_elsewhere_is_not_entered(tx, centre):
    """ACC-11, ORG-17, REG-05: name and number do not draw a cadre of elsewhere into a branch.

    Nor an administrator who is a member of no branch; a person bound to nothing is drawn in.
    """
    known = {
        "name": "李书记",
        "id_number": number(60, 1990),
        "post": "organiser",
        "joined_on": None,
        "development_number": "",
    }
    assert [enter(tx, branch, **known) for branch in (CLASS, BRANCH, DEEP)] == ["id_registered"] * 3
    assert store.by_ids(tx, [centre])[centre].branch_id is None
    below = appoint(tx, BRANCH, **card(62))
    assert enter(tx, CLASS, **{**known, "id_number": number(62, 1990)}) == "id_registered"
    right(tx, BRANCH, below)
    assert enter(tx, BRANCH, **{**known, "id_number": number(62, 1990)}) == below
    appoint(tx, BRANCH, **card(63))
    loose = appoint(tx, BRANCH, **card(63), post="")
    assert enter(tx, CLASS, **{**known, "id_number": number(63, 1990)}) == loose


@pytest.mark.rule("ACC-09")
def test_codes_are_not_made_without_end(tx):
    """ACC-09: so many codes are made for one account within a quarter of an hour and no more.

    Whoever asks; other accounts go on.
    """
    codes = [ask(tx, ONE, org) for org in (CLASS, SCHOOL) * 5]
    assert all(one.code for one in codes)
    late, other = ask(tx, ONE, CLASS), ask(tx, TWO, CLASS)
    assert (late.code, late.refusal.code) == ("", "too_many_attempts") and other.code
    assert reset(tx, number(1), codes[-1].code) is True


@pytest.mark.rule("TRF-05", "ACC-11")
def test_numbers_are_not_tried_out(tx):
    """TRF-05, ACC-11: anyone who looks up numbers by the dozen is stopped, found ones not counted.

    A name that differs is told a few times only.
    """
    name = store.by_ids(tx, [ONE])[ONE].name

    def look(actor, **values):
        try:
            return showing.look_up(
                tx, LookUp(**{"name": name, "id_number": number(1), **values}), actor
            ).member_id
        except Refused as refused:
            return refused.code

    assert [look(admin(TARGET)) for _ in range(40)] == [ONE] * 40
    assert {look(admin(TARGET), id_number=number(n)) for n in range(300, 330)} == {"unknown_member"}
    assert (
        look(admin(TARGET)) == look(admin(TARGET), name="别人") == "too_many_attempts"
        and look(admin(SCHOOL)) == ONE
    )
    assert [appoint(tx, BRANCH, **card(1, "别人", 2005)) for _ in range(11)] == ["name_differs"] * 10 + [
        "too_many_attempts"
    ]


@pytest.mark.rule("ACC-11", "CADRE-04")
def test_an_end_tells_of_no_number(tx):
    """ACC-11, CADRE-04: ending the post of somebody who holds none tells nothing of the number.

    The answer is the same for a registered number, under any name, and for one that nobody has.
    """
    name = store.by_ids(tx, [ONE])[ONE].name
    assert {
        appoint(tx, BRANCH, post="", **one)
        for one in (card(1, name, 2005), card(1, "别人", 2005), card(399, "别人"))
    } == {"unknown_member"}
    assert appoint(tx, BRANCH, **card(1, name, 2005)) == ONE
    assert appoint(tx, BRANCH, post="", **card(1, name, 2005)) == ONE


@pytest.mark.rule("BEY-10")
def test_the_log_believes_no_organisation_that_is_claimed(tx):
    """BEY-10: what people do for themselves is not logged as done for an organisation.

    Whatever organisation their call names.
    """
    records.edit_members(
        tx,
        [Asked(EditMember(command_id=uuid.uuid4(), member_id=ONE, contact="13900000000"), Actor(ONE, ROOT))],
    )
    lists.note_export(tx, NoteExport(what="名单"), Actor(ONE, ROOT))
    lists.note_export(tx, NoteExport(what="名单"), admin(ROOT))
    rows = tx.execute(sa.text("SELECT kind, person_id, org_id FROM audit_log ORDER BY at, lane, seq")).all()
    assert sorted(map(tuple, rows), key=str) == sorted(
        [("member.edited", ONE, None), ("export.file", ONE, None), ("export.file", 100 + ROOT, ROOT)], key=str
    )
