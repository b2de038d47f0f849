"""Posts, registration codes, self-registration: on a real database."""

import threading
import time
import uuid
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from services.members import domain, handlers, store
from services.members.accounts import handlers as accounts
from services.members.accounts import store as accounts_store
from services.members.entering import handlers as entering
from services.members.founding import handlers as founding
from services.members.joining import handlers as joining
from services.members.posts import handlers as posts_handlers
from services.members.posts import store as posts_store
from services.members.records import handlers as records
from services.members.records import showing
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import (
    DeleteMember,
    EditMember,
    IssueRegistrationCode,
    IssueResetCode,
    ListCadres,
    ListRegistrations,
    RegisterAdministrator,
    SetPost,
    SignIn,
    WhoAmI,
)
from shared.messages.orgs import AdministratorChanged, RegistrationRefused
from tests.members.factories import (
    BRANCH,
    CLASS,
    COLLEGE,
    DEEP,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    TWO,
    admin,
    assigned,
    number,
    person,
    request,
)
from tests.members.joining.factories import PASSWORD, apply, decide, issue, new, post, posts, redeem


def told(tx, topic):
    import json

    rows = tx.execute(
        sa.text(
            "WITH gone AS (DELETE FROM outbox WHERE topic = :topic RETURNING *)"
            " SELECT body FROM gone ORDER BY id"
        ),
        {"topic": topic},
    ).all()
    return [item for row in rows for item in json.loads(row.body)]


# ---- posts ---------------------------------------------------------------------------------------


@pytest.mark.rule("CADRE-01", "ORG-17", "ROLE-02", "ROLE-11", "ADM-03")
@pytest.mark.parametrize("org", [ROOT, SCHOOL, COLLEGE, CLASS])
def test_every_kind_has_cadres(tx, org):
    """CADRE-01, ORG-17: every kind of organisation enters cadres.

    A person without an account gets one, and the event says whether there is a telephone number.

    ROLE-02: whoever holds a post is a cadre, whatever the kind.
    """
    made = post(tx, org, "secretary", **new())
    assert posts(tx, org) == [(made, "secretary")]
    assert told(tx, "cadre_changed") == [
        {
            "org_id": org,
            "person_id": made,
            "post": "secretary",
            "has_phone": True,
            "version": tx.scalar(sa.text("SELECT last_value FROM post_version")),
        }
    ]
    row = store.by_ids(tx, [made])[made]
    assert row.branch_id is None and row.born_on == date(1990, 1, 5)
    assert accounts.sign_in(
        tx, SignIn(id_number=number(60, 1990), password=number(60, 1990)[-8:]), None
    ).must_change_password


@pytest.mark.rule("CADRE-02", "CADRE-03", "ORG-18")
def test_posts_are_independent(tx):
    """CADRE-02, CADRE-03, ORG-18: one person holds posts in several organisations.

    Membership and other posts stay.
    """
    assert post(tx, SCHOOL, "secretary", person_id=ONE) == ONE
    assert post(tx, COLLEGE, "secretary", name=store.by_ids(tx, [ONE])[ONE].name, id_number=number(1)) == ONE
    assert post(tx, SCHOOL, "publicist", person_id=ONE) == ONE
    assert {(row.org_id, row.post) for row in posts_store.posts_held(tx, [ONE])} == {
        (SCHOOL, "publicist"),
        (COLLEGE, "secretary"),
    }
    assert store.by_ids(tx, [ONE])[ONE].branch_id == CLASS
    assert {(one.org_id, one.post) for one in showing.who_am_i(tx, WhoAmI(), Actor(ONE)).posts} == {
        (SCHOOL, "publicist"),
        (COLLEGE, "secretary"),
    }


@pytest.mark.rule("CADRE-03", "ACC-11")
def test_an_existing_person_is_found_by_name_and_number(tx):
    """CADRE-03: an existing person is added by name and number; another name under the number is refused."""
    name = store.by_ids(tx, [ONE])[ONE].name
    assert post(tx, SCHOOL, "publicist", name=name, id_number=number(1)) == ONE
    assert post(tx, SCHOOL, "publicist", name="别人", id_number=number(1)) == "name_differs"


@pytest.mark.rule("CADRE-06", "ADM-16", "ROLE-03")
def test_one_secretary(tx):
    """CADRE-06, ADM-16: a second secretary is refused until the old one has another post or none.

    The history keeps both.

    ROLE-03: one is recorded at a time, who needs no right.
    """
    first = post(tx, CLASS, "secretary", person_id=ONE)
    assert post(tx, CLASS, "secretary", person_id=TWO) == "secretary_in_post"
    assert post(tx, CLASS, "organiser", person_id=first) == first
    assert post(tx, CLASS, "secretary", person_id=TWO) == TWO
    assert post(tx, CLASS, "", person_id=TWO) == TWO
    assert posts(tx, CLASS) == [(ONE, "organiser")]
    assert tx.scalar(sa.text("SELECT count(*) FROM posts WHERE org_id = :org"), {"org": CLASS}) == 3
    assert [one["post"] for one in told(tx, "cadre_changed")] == ["secretary", "organiser", "secretary", ""]


@pytest.mark.rule("CADRE-06")
def test_one_secretary_in_one_list(tx):
    """CADRE-06: of two secretaries in one list the first holds."""
    answers = posts_handlers.set_posts(
        tx,
        [
            Asked(
                SetPost(command_id=uuid.uuid4(), org_id=CLASS, post="secretary", person_id=one), admin(CLASS)
            )
            for one in (ONE, TWO, ONE)
        ],
    )
    assert [one.refusal and one.refusal.code for one in answers] == [None, "secretary_in_post", None]


@pytest.mark.rule("ADM-16", "ROLE-04")
def test_the_right_goes_before_the_post(tx):
    """ADM-16: an administrator's right is revoked before the post ends.

    ROLE-04: losing the right leaves the post.
    """
    post(tx, CLASS, "secretary", person_id=ONE)
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=CLASS, person_id=ONE, active=True, version=1)]
    )
    assert post(tx, CLASS, "", person_id=ONE) == "revoke_right_first"
    assert post(tx, CLASS, "organiser", person_id=ONE) == "revoke_right_first"
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=CLASS, person_id=ONE, active=False, version=2)]
    )
    assert posts(tx, CLASS) == [(ONE, "secretary")]
    assert post(tx, CLASS, "", person_id=ONE) == ONE


@pytest.mark.rule("CADRE-04", "CADRE-05")
@pytest.mark.parametrize(
    "org, to, said",
    [
        (CLASS, "standing_member", "post_unknown"),
        (ROOT, "standing_member", ONE),
        (CLASS, "chair", "post_unknown"),
        (CLASS, "deputy_secretary", ONE),
        (404, "secretary", "unknown_org"),
    ],
)
def test_posts_by_kind(tx, org, to, said):
    """CADRE-04, CADRE-05: posts are a list per kind of organisation."""
    assert post(tx, org, to, actor=admin(org), person_id=ONE) == said


@pytest.mark.rule("CADRE-08")
@pytest.mark.parametrize("year, said", [(1940, True), (1998, True), (2020, "cadre_too_young")])
def test_ages_of_cadres(tx, year, said):
    """CADRE-08: a cadre is 14 or older, without upper limit."""
    made = post(tx, SCHOOL, "publicist", **new(61, year))
    assert made == said if isinstance(said, str) else isinstance(made, int)


@pytest.mark.rule("CADRE-04", "ROLE-16")
@pytest.mark.parametrize("actor", [admin(TARGET), admin(ROOT), admin(DEEP), Actor(ONE), Actor(ONE, SCHOOL)])
def test_who_sets_posts(tx, actor):
    """ROLE-16: the organisation itself and its direct superior set posts, nobody else."""
    assert post(tx, CLASS, "organiser", actor=actor, person_id=TWO) == "not_your_org"


@pytest.mark.rule("CADRE-04")
def test_a_person_without_post_is_not_made(tx):
    """CADRE-04: taking the post of somebody unknown makes nobody."""
    assert post(tx, SCHOOL, "", **new(62)) == "unknown_member"
    assert post(tx, SCHOOL, "publicist", person_id=999) == "unknown_member"
    assert post(tx, SCHOOL, "publicist", name="", id_number=number(62, 1990)) == "name_missing"
    assert post(tx, SCHOOL, "publicist", name="李", id_number="1") == "id_invalid"


@pytest.mark.rule("CADRE-07")
def test_list_of_cadres(tx):
    """CADRE-07: cadres are listed with completeness, secretary first.

    The organisation sees them, and those above it do.
    """
    post(tx, SCHOOL, "publicist", person_id=ONE)
    made = post(tx, SCHOOL, "secretary", ethnic_group="汉族", **new())
    listed = posts_handlers.list_cadres(tx, ListCadres(org_id=SCHOOL), admin(ROOT))
    assert [(one.person_id, one.post, one.complete) for one in listed] == [
        (made, "secretary", True),
        (ONE, "publicist", True),
    ]
    with pytest.raises(Refused, match="not_your_org"):
        posts_handlers.list_cadres(tx, ListCadres(org_id=SCHOOL), admin(CLASS))


@pytest.mark.rule("ADM-18")
def test_posts_end_with_the_membership(tx):
    """ADM-18: a member who is transferred away loses the posts in the old branch, and that is told.

    So it is with posts in what stands above the old branch and not above the new one.

    The student who administered the committee of the school loses it with the move to another;
    posts above both branches, and in organisations that have nothing to do with the move, stay.
    """
    posts_store.set_posts(
        tx,
        [
            {"org_id": org, "person_id": ONE, "post": "committee_member", "changed_by": None}
            for org in (CLASS, SCHOOL, ROOT, COLLEGE, TARGET)
        ],
        clock.now(),
    )
    told(tx, "cadre_changed")
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_branch_assigned(tx, [assigned(10)])
    assert sorted((one["org_id"], one["person_id"], one["post"]) for one in told(tx, "cadre_changed")) == [
        (SCHOOL, ONE, ""),
        (CLASS, ONE, ""),
    ]
    assert [(row.org_id) for row in posts_store.posts_held(tx, [ONE])] == [ROOT, TARGET, COLLEGE]


@pytest.mark.rule("ADM-18")
@pytest.mark.parametrize(
    "over, target, blocked",
    [
        (SCHOOL, TARGET, True),
        (SCHOOL, DEEP, False),
        (CLASS, DEEP, True),
        (COLLEGE, TARGET, False),
        (None, TARGET, False),
    ],
)
@pytest.mark.parametrize("setting", ["block", "revoke_on_complete"])
def test_administrators_may_be_kept_from_leaving(tx, tmp_path, configure, over, target, blocked, setting):
    """ADM-18: by setting, an administrator of what would be left starts no transfer.

    The right has to be revoked first; by default it ends on completion.
    """
    file = tmp_path / "practice.toml"
    file.write_text(f'[[from]]\nday = 2020-01-01\nprovince = "42"\nadmin_on_transfer = "{setting}"')
    configure(TUANQIAO_PRACTICE=str(file))
    if over is not None:
        directory.on_administrator_changed(
            tx, [AdministratorChanged(org_id=over, person_id=ONE, active=True, version=1)]
        )
    tx.execute(sa.text("DELETE FROM outbox"))
    handlers.on_transfer_requested(tx, [request(10, target=target), request(11, TWO)])
    said = {item["transfer_id"]: item["code"] for item in told(tx, "reservation_refused")}
    assert said == ({10: "is_administrator"} if blocked and setting == "block" else {})


@pytest.mark.rule("ADM-18", "CADRE-02")
def test_posts_inside_the_own_school_stay(tx):
    """ADM-18, CADRE-02: a member who changes branches inside a school keeps the post in the school.

    The post in the branch is lost.
    """
    post(tx, CLASS, "secretary", person_id=ONE)
    post(tx, SCHOOL, "committee_member", person_id=ONE)
    handlers.on_transfer_requested(tx, [request(10, target=DEEP)])
    handlers.on_branch_assigned(tx, [assigned(10, branch=DEEP)])
    assert [(row.org_id) for row in posts_store.posts_held(tx, [ONE])] == [SCHOOL]


@pytest.mark.rule("ORG-21")
def test_a_new_number_is_told(tx):
    """ORG-21: orgs hears when a cadre's mobile number comes or goes."""
    post(tx, CLASS, "secretary", person_id=ONE)
    told(tx, "cadre_changed")
    for phone in ("", "19900001234"):
        records.edit_members(
            tx, [Asked(EditMember(command_id=uuid.uuid4(), member_id=ONE, phone=phone), Actor(ONE))]
        )
    assert [one["has_phone"] for one in told(tx, "cadre_changed")] == [False, True]


@pytest.mark.rule("ACC-07")
def test_reset_codes_of_cadres(tx):
    """ACC-07: a person in no branch gets a reset code from the organisation of the post."""
    made = post(tx, SCHOOL, "secretary", **new())

    def codes(org):
        return accounts.issue_reset_codes(
            tx, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=made), admin(org))]
        )[0]

    assert codes(SCHOOL).code and codes(ROOT).code and codes(TARGET).refusal.code == "unknown_member"


def until_it_waits(engine) -> None:
    """Wait until a transaction of this database waits for another."""
    waiting = sa.text(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    ends = time.monotonic() + 20
    while True:
        with engine.connect() as tx:
            if tx.scalar(waiting):
                return
        assert time.monotonic() < ends
        time.sleep(0.02)


def refusal(action, *args, **values) -> str:
    with pytest.raises(Refused) as caught:
        action(*args, **values)
    return caught.value.code


@pytest.mark.rule("ADM-04", "ADM-09", "ADM-10", "ACC-03", "REG-01")
def test_a_code_makes_an_administrator(tx):
    """ADM-04, ADM-09, ACC-03: a new person gets account, post and, by what is told, the right.

    The code serves once.
    """
    (made,) = issue(tx, COLLEGE)
    done = redeem(tx, made.code.lower().replace("-", " "))

    assert (done.org_id, posts(tx, COLLEGE)) == (COLLEGE, [(done.person_id, "secretary")])
    assert told(tx, "administrator_registered") == [{"org_id": COLLEGE, "person_id": done.person_id}]
    signed = accounts.sign_in(tx, SignIn(id_number=number(60, 1990), password=PASSWORD), None)
    assert signed.person_id == done.person_id and not signed.must_change_password
    assert refusal(redeem, tx, made.code, id_number=number(63, 1991)) == "code_invalid"


@pytest.mark.rule("ADM-12", "DOC-07", "SCH-02")
def test_codes_for_all_subordinates(tx):
    """ADM-12: the direct superior makes codes, singly or for all; nobody else does."""
    codes = issue(tx, CLASS, COLLEGE)
    assert len({one.code for one in codes}) == 2 and all(one.name for one in codes)
    for actor in (admin(COLLEGE), admin(ROOT), admin(TARGET), Actor(ONE, SCHOOL)):
        assert issue(tx, COLLEGE, actor=actor)[0].refusal.code == "not_your_org"
    assert issue(tx, 404)[0].refusal.code == "unknown_org"


@pytest.mark.rule("FED-01")
def test_a_code_for_what_another_system_keeps(tx):
    """FED-01: an old code gives nothing there, and a first administrator is refused."""
    (made,) = issue(tx, COLLEGE)
    assert admin(COLLEGE) in directory.administering(tx, [admin(COLLEGE)])
    tx.execute(sa.text("UPDATE org_directory SET system = 'BJ' WHERE org_id = :org"), {"org": COLLEGE})
    assert refusal(redeem, tx, made.code) == "mirrored"
    assert refusal(redeem, tx, made.code, actor=admin(SCHOOL)) == "mirrored"
    person = new(61)
    assert refusal(founding.make, tx, *person.values(), COLLEGE) == "mirrored"
    assert admin(COLLEGE) not in directory.administering(tx, [admin(COLLEGE)])


def test_only_who_makes_a_code_is_logged(tx):
    """Of two who ask for a code in one list the log names the one who made it."""
    items = [
        Asked(IssueRegistrationCode(command_id=uuid.uuid4(), org_id=COLLEGE), actor)
        for actor in (admin(SCHOOL), admin(ROOT))
    ]
    first, second = joining.issue_registration_codes(tx, items)
    assert (first.refusal, second.refusal.code) == (None, "not_your_org")
    made_for = tx.scalars(sa.text("SELECT org_id FROM audit_log WHERE kind = 'code.registration'"))
    assert made_for.all() == [SCHOOL]


@pytest.mark.rule("ADM-13")
def test_a_new_code_replaces_the_old(tx, configure):
    """ADM-13: one unspent code per organisation; without limit by default, with one by setting."""
    (old,), (fresh,) = issue(tx, COLLEGE), issue(tx, COLLEGE)
    assert fresh.expires_at is None
    assert refusal(redeem, tx, old.code) == "code_invalid"
    configure(TUANQIAO_REGISTRATION_CODE_DAYS="3")
    (short,) = issue(tx, COLLEGE)
    clock.advance(timedelta(days=4))
    assert refusal(redeem, tx, short.code) == "code_invalid"


@pytest.mark.rule("ADM-11")
def test_the_limit_when_made_and_when_used(tx):
    """ADM-11, ADM-01: an organisation with all its administrators gets no code.

    An older code does not serve either.
    """
    (made,) = issue(tx, COLLEGE)
    directory.on_administrator_changed(
        tx,
        [AdministratorChanged(org_id=COLLEGE, person_id=one, active=True, version=1) for one in (901, 902)],
    )
    assert issue(tx, COLLEGE)[0].refusal.code == "administrators_full"
    assert refusal(redeem, tx, made.code) == "too_many_administrators"


@pytest.mark.rule("ADM-11")
def test_a_right_that_could_not_be_given(tx):
    """ADM-11: when orgs has no room after all the code is good again."""
    (made,) = issue(tx, COLLEGE)
    done = redeem(tx, made.code)
    joining.on_registration_refused(tx, [RegistrationRefused(org_id=COLLEGE, person_id=done.person_id)])
    assert redeem(tx, made.code, actor=Actor(done.person_id)).org_id == COLLEGE


@pytest.mark.rule("ADM-14", "ADM-15", "DEL-12", "ACC-13")
def test_existing_accounts_use_codes_signed_in(tx):
    """ADM-14, ADM-15, ACC-13: an account outlives the organisation that its owner administered.

    The owner registers elsewhere with a new code, signed in.

    DEL-12: the account outlives the organisation.
    """
    (made,) = issue(tx, COLLEGE)
    first = redeem(tx, made.code)
    from shared.messages.orgs import OrgChanged

    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=COLLEGE,
                parent_id=SCHOOL,
                path="1.2.6.",
                kind="general_branch",
                purpose="ordinary",
                province="42",
                system="national",
                provincial_id=ROOT,
                vault_id=None,
                name="6",
                version=2,
                deleted=True,
            )
        ],
    )
    assert (
        accounts.sign_in(tx, SignIn(id_number=number(60, 1990), password=PASSWORD), None).person_id
        == first.person_id
    )
    (code,) = issue(tx, CLASS)
    assert refusal(redeem, tx, code.code) == "sign_in_to_register"
    assert redeem(tx, code.code, actor=Actor(first.person_id)).org_id == CLASS


@pytest.mark.rule("ADM-04")
@pytest.mark.parametrize(
    "values, said",
    [
        ({"name": " "}, "name_missing"),
        ({"id_number": "1"}, "id_invalid"),
        ({"password": "short"}, "password_weak"),
        ({"post": "chair"}, "post_unknown"),
        ({"id_number": number(64, 2020)}, "cadre_too_young"),
    ],
)
def test_registrations_that_are_refused(tx, values, said):
    """ADM-04: what is wrong is said, and the code stays good."""
    (made,) = issue(tx, COLLEGE)
    request_ = RegisterAdministrator(**{"code": made.code, "password": PASSWORD, **new(), **values})
    assert refusal(joining.register_administrator, tx, request_, None) == said
    assert redeem(tx, made.code).org_id == COLLEGE


@pytest.mark.rule("ADM-09")
def test_codes_are_not_guessed(tx):
    """ADM-09: wrong codes from one address lock it; what is stored is a keyed hash."""
    (made,) = issue(tx, COLLEGE)
    stored = bytes(tx.scalar(sa.text("SELECT code_index FROM registration_codes")))
    assert made.code.replace("-", "").encode() not in stored and len(stored) == 32
    said = [refusal(redeem, tx, "WRONG", address="192.0.2.7") for _ in range(51)]
    assert (said[0], said[-1]) == ("code_invalid", "too_many_attempts")
    assert refusal(redeem, tx, made.code, address="192.0.2.7") == "too_many_attempts"
    assert redeem(tx, made.code, address="192.0.2.8").org_id == COLLEGE


def test_codes_are_not_guessed_signed_in(tx):
    """ADM-09: wrong codes of one person are counted as well, from wherever they come."""
    (made,) = issue(tx, COLLEGE)
    said = [refusal(redeem, tx, "WRONG", Actor(ONE), address=f"192.0.2.{n}") for n in range(51)]
    assert (said[0], said[-1]) == ("code_invalid", "too_many_attempts")
    assert refusal(redeem, tx, made.code, Actor(ONE)) == "too_many_attempts"
    assert redeem(tx, made.code, Actor(TWO)).org_id == COLLEGE


@pytest.mark.rule("ADM-04", "ADM-16")
def test_a_post_that_is_taken_makes_nobody(tx):
    """ADM-16: who asks for the post of the secretary in office is refused before there is an account.

    What stands before a refusal stays: with an account the code could not be used a second time.
    """
    assert post(tx, COLLEGE, "secretary", **new(61)) > 0
    (made,) = issue(tx, COLLEGE)
    assert refusal(redeem, tx, made.code) == "secretary_in_post"
    assert store.known(tx, [accounts.keys.seal.index(number(60, 1990))]) == {}
    assert redeem(tx, made.code, post="organiser").org_id == COLLEGE


@pytest.mark.rule("ADM-09", "ADM-13")
def test_a_code_is_used_while_another_is_made(engine):
    """ADM-13: whoever uses a code and whoever makes a new one hold organisation and code in one order."""
    with engine.begin() as first:
        (old,) = issue(first, COLLEGE)
    said = []

    def use():
        with engine.begin() as second:
            said.append(refusal(redeem, second, old.code))

    with engine.begin() as first:
        posts_store.lock(first, [COLLEGE])
        other = threading.Thread(target=use)
        other.start()
        until_it_waits(engine)
        issue(first, COLLEGE)
    other.join()
    assert said == ["code_invalid"]


@pytest.mark.rule("REG-01", "REG-02", "REG-03", "REG-07", "ACC-03")
def test_self_registration(tx):
    """REG-02, REG-03, REG-07: an account at once, no branch until the organisation accepts.

    The request waits in its operation centre.
    """
    asked = apply(tx)
    assert (
        accounts.sign_in(tx, SignIn(id_number=number(70), password=PASSWORD), None).person_id
        == asked.person_id
    )
    assert store.by_ids(tx, [asked.person_id])[asked.person_id].branch_id is None
    assert [
        one.registration_id for one in joining.list_registrations(tx, ListRegistrations(), admin(CLASS))
    ] == [asked.registration_id]
    for name, found in ((asked.name[1:], 1), (f"{asked.name}x", 0)):
        assert len(joining.list_registrations(tx, ListRegistrations(name=name), admin(CLASS))) == found
    assert "****" in asked.id_masked

    assert decide(tx, asked).state == "accepted"

    assert store.by_ids(tx, [asked.person_id])[asked.person_id].branch_id == CLASS
    assert [stay.branch_id for stay in store.stays(tx, asked.person_id)] == [CLASS]
    assert joining.list_registrations(tx, ListRegistrations(), admin(CLASS)) == []
    assert decide(tx, asked).refusal.code == "registration_closed"


@pytest.mark.rule("REG-01", "REG-03")
def test_self_registration_of_a_cadre(tx):
    """REG-01: of another kind of organisation one becomes a cadre, which needs a post."""
    assert refusal(apply, tx, org=SCHOOL) == "field_missing"
    asked = apply(tx, org=SCHOOL, post="publicist")
    decide(tx, asked, admin(SCHOOL))
    assert posts(tx, SCHOOL) == [(asked.person_id, "publicist")]
    assert store.by_ids(tx, [asked.person_id])[asked.person_id].branch_id is None


@pytest.mark.rule("REG-08", "REG-02", "ACC-14")
@pytest.mark.parametrize(
    "values, said",
    [
        ({"id_number": number(1)}, "registered_already"),
        ({"joined_on": date(2015, 5, 4), "development_number": ""}, "joined_too_young"),
        ({"development_number": ""}, "development_number_missing"),
        ({"development_number": "201900000070"}, "development_number_year"),
        ({"development_number": "202000000001"}, "development_number_used"),
        ({"id_number": number(71, 1980)}, "age_out_of_range"),
        ({"password": "12345"}, "password_weak"),
        ({"name": ""}, "name_missing"),
        ({"org": 404}, "unknown_org"),
    ],
)
def test_self_registrations_that_are_refused(tx, values, said):
    """REG-08, ACC-14: the checks of an entry hold, and whom somebody has entered does not register."""
    assert refusal(apply, tx, **values) == said


@pytest.mark.rule("REG-06", "ORG-20")
def test_while_it_is_pending(tx):
    """REG-06, ORG-20: an ID number that registered itself is taken until that is withdrawn (REG-05).

    It can neither be entered nor made secretary, nor registered twice.
    """

    def entry():
        return entering.admit(tx, [Asked(person(70, name="周自己"), admin(CLASS))])[0]

    asked = apply(tx)
    assert entry().refusal.code == "registration_pending"
    assert entry().refusal.say() == "该非团员正在走注册流程,不支持当前操作"
    assert post(tx, SCHOOL, "secretary", name="周自己", id_number=number(70)) == "registration_pending"
    assert refusal(apply, tx) == "registration_pending"

    assert decide(tx, asked, Actor(asked.person_id), accept=False, withdraw=True).state == "withdrawn"

    assert entry().member_id == asked.person_id
    assert store.by_ids(tx, [asked.person_id])[asked.person_id].branch_id == CLASS


def withdrawn(tx, n=70, **values):
    """Register oneself with a number and take it back; return the person."""
    asked = apply(tx, n, **values)
    assert decide(tx, asked, Actor(asked.person_id), accept=False, withdraw=True).state == "withdrawn"
    return asked.person_id


def signs_in(tx, n, password):
    """Return whether a number and a password open an account; and whether a new password is asked for."""
    try:
        return accounts.sign_in(tx, SignIn(id_number=number(n), password=password), None).must_change_password
    except Refused as refused:
        return refused.code


@pytest.mark.rule("ACC-11", "REG-05")
@pytest.mark.parametrize("name", ["周自己", "冒名者"])
def test_nobody_keeps_an_account_into_which_another_is_entered(tx, name):
    """ACC-11: who has registered with a number of somebody else, and withdrawn, has no hold on it.

    The branch enters the person, whatever name stood there; the account begins afresh and its sessions end.
    """
    claimant = withdrawn(tx, name=name, phone="19900000099")
    assert signs_in(tx, 70, PASSWORD) is False
    told(tx, "session_ended")
    (entered,) = entering.admit(tx, [Asked(person(70, name="周自己", phone=""), admin(CLASS))])
    assert (entered.refusal, entered.member_id) == (None, claimant)
    assert len(told(tx, "session_ended")) == 1
    assert (signs_in(tx, 70, PASSWORD), signs_in(tx, 70, number(70)[-8:])) == ("sign_in_failed", True)
    shown = showing.who_am_i(tx, WhoAmI(), Actor(claimant)).member
    assert (shown.name, shown.phone) == ("周自己", "19900000099" if name == "周自己" else "")


@pytest.mark.rule("ACC-11", "REG-05")
def test_nobody_keeps_an_account_that_gets_a_post(tx):
    """ACC-11: the same holds of cadres; the post of somebody who has registered is an account of its own."""
    claimant = withdrawn(tx, name="冒名者")
    assert post(tx, SCHOOL, "", name="冒名者", id_number=number(70)) == "unknown_member"
    assert signs_in(tx, 70, PASSWORD) is False
    assert post(tx, SCHOOL, "publicist", name="周自己", id_number=number(70)) == claimant
    assert (signs_in(tx, 70, PASSWORD), signs_in(tx, 70, number(70)[-8:])) == ("sign_in_failed", True)
    assert store.by_ids(tx, [claimant])[claimant].name == "周自己"
    # from now on somebody has accepted the name, and the account is the person's own
    assert post(tx, COLLEGE, "publicist", name="冒名者", id_number=number(70)) == "name_differs"
    accounts_store.set_password(tx, claimant, accounts.HASHER.hash(PASSWORD), clock.now())
    assert post(tx, COLLEGE, "publicist", name="周自己", id_number=number(70)) == claimant
    assert signs_in(tx, 70, PASSWORD) is False


@pytest.mark.rule("ACC-11", "REG-06")
def test_nobody_waits_for_an_administrator_in_the_account(tx):
    """ACC-11: who is made an administrator by the command line gets no account of somebody who registered."""
    asked = apply(tx)
    assert refusal(founding.make, tx, "周自己", number(70), "", ROOT, force=True) == "registration_pending"
    decide(tx, asked, Actor(asked.person_id), accept=False, withdraw=True)
    made = founding.make(tx, "周自己", number(70), "", ROOT, force=True)
    assert made.person_id == asked.person_id and founding.code_for(tx, made.person_id)
    assert signs_in(tx, 70, PASSWORD) == "sign_in_failed"


@pytest.mark.rule("ACC-11", "REG-07")
def test_who_was_accepted_keeps_the_account(tx):
    """REG-07: an organisation that accepts an applicant says that it is the person."""
    asked = apply(tx, org=SCHOOL, post="publicist")
    decide(tx, asked, admin(SCHOOL))
    (entered,) = entering.admit(tx, [Asked(person(70, name="周自己"), admin(CLASS))])
    assert entered.refusal.code == "id_registered"  # the post binds
    assert signs_in(tx, 70, PASSWORD) is False


@pytest.mark.rule("MEM-09")
def test_an_application_holds_no_development_number(tx):
    """MEM-09: what somebody has merely written into an application keeps nobody's number from its owner."""
    taken, edited = "202000000069", "202000000068"
    first, second = apply(tx, 70, development_number=taken), apply(tx, 71, development_number=edited)
    assert refusal(apply, tx, 72, development_number=taken) == "development_number_used"
    # of two applicants the one does not take it from the other, either
    (own,) = records.edit_members(
        tx,
        [
            Asked(
                EditMember(command_id=uuid.uuid4(), member_id=first.person_id, development_number=edited),
                Actor(first.person_id),
            )
        ],
    )
    assert own.refusal.code == "development_number_used"
    (entered,) = entering.admit(tx, [Asked(person(73, development_number=taken), admin(CLASS))])
    assert entered.refusal is None
    (saved,) = records.edit_members(
        tx,
        [Asked(EditMember(command_id=uuid.uuid4(), member_id=ONE, development_number=edited), admin(CLASS))],
    )
    assert saved.refusal is None
    rows = store.by_ids(tx, [first.person_id, second.person_id, entered.member_id, ONE])
    assert [row.development_number for _, row in sorted(rows.items())] == [edited, "", "", taken]
    assert decide(tx, first).state == "accepted"


@pytest.mark.rule("REG-04", "REG-05")
def test_it_ends_by_the_clock_and_may_be_asked_again(tx):
    """REG-04: what nobody decides ends after the setting's days.

    The applicant asks again with the same password, and nobody else does.
    """
    asked = apply(tx)
    clock.advance(timedelta(days=11))
    assert decide(tx, asked).refusal.code == "registration_closed"
    joining.on_day_began(tx, [])
    assert [
        one.state
        for one in joining.list_registrations(tx, ListRegistrations(own=True), Actor(asked.person_id))
    ] == ["expired"]
    assert refusal(apply, tx, password="Another-one-1") == "registered_already"
    assert refusal(apply, tx, name="别人") == "registered_already"
    again = apply(tx)
    assert again.person_id == asked.person_id and again.registration_id != asked.registration_id


@pytest.mark.rule("FED-07")
def test_who_stands_in_another_system_does_not_register_here(tx):
    """FED-07: who has gone to one of the three comes back by a transfer; only the person is told so."""
    ours = {"id_number": number(1), "development_number": "202000000171"}
    name = showing.who_am_i(tx, WhoAmI(), Actor(ONE)).member.name
    assert refusal(apply, tx, **ours, name=name) == "registered_already"
    tx.execute(sa.text("UPDATE org_directory SET system = 'FJ' WHERE org_id = :org"), {"org": CLASS})
    assert refusal(apply, tx, **ours, org=BRANCH, name=name) == "stands_in_peer"
    assert refusal(apply, tx, **ours, org=BRANCH, name="别人") == "registered_already"


@pytest.mark.rule("REG-05", "REG-07", "ROLE-16")
def test_who_decides(tx):
    """REG-07: the named organisation decides, the applicant alone withdraws.

    REG-05: nobody else can withdraw it.
    """
    asked = apply(tx)
    for actor in (admin(SCHOOL), admin(TARGET), Actor(ONE), Actor(asked.person_id), Actor(ONE, CLASS)):
        assert decide(tx, asked, actor).refusal.code == "registration_missing"
    assert decide(tx, asked, Actor(ONE), withdraw=True).refusal.code == "registration_missing"
    assert decide(tx, asked, accept=False, note="不是本班学生").state == "rejected"
    assert (
        joining.list_registrations(tx, ListRegistrations(own=True), Actor(asked.person_id))[0].note
        == "不是本班学生"
    )


@pytest.mark.rule("ACC-12")
def test_who_is_registered_signs_in(tx):
    """ACC-12: a person told "registered" signs in with the initial password and sees the branch.

    No second account is made.
    """
    assert refusal(apply, tx, id_number=number(1), development_number="202000000171") == "registered_already"
    signed = accounts.sign_in(tx, SignIn(id_number=number(1), password=number(1)[-8:]), None)
    assert showing.who_am_i(tx, WhoAmI(), Actor(signed.person_id, restricted=True)).member.branch_id == CLASS
    assert (
        tx.scalar(
            sa.text(
                "SELECT count(*) FROM people"
                " WHERE id_index = (SELECT id_index FROM people WHERE person_id = :one)"
            ),
            {"one": ONE},
        )
        == 1
    )


@pytest.mark.rule("DEL-11")
def test_deletion_ends_posts(tx):
    """DEL-11: a person deleted from the register holds no post any more."""
    post(tx, SCHOOL, "publicist", person_id=TWO)
    told(tx, "cadre_changed")
    answer = records.delete_members(
        tx, [Asked(DeleteMember(command_id=uuid.uuid4(), member_id=TWO, reason="姓名录入错误"), admin(ROOT))]
    )[0]
    assert answer.refusal is None and posts(tx, SCHOOL) == []
    assert [(one["org_id"], one["post"]) for one in told(tx, "cadre_changed")] == [(SCHOOL, "")]


@pytest.mark.rule("REG-01")
def test_registrations_from_one_address(tx):
    """Self-registrations are counted by address, so that nobody fills the register.

    A school's worth is let through.
    """
    said = {
        refusal(apply, tx, id_number="1", address="192.0.2.9")
        for _ in range(domain.REGISTRATIONS_FROM_ADDRESS)
    }
    assert said == {"id_invalid"}
    assert refusal(apply, tx, address="192.0.2.9") == "too_many_attempts"
    assert apply(tx, address="192.0.2.10").state == "pending"


@pytest.mark.rule("CADRE-06", "IMP-10")
def test_secretaries_by_admission(tx):
    """CADRE-06: anyone entered as secretary holds the post at once.

    A second one in the same list or later is refused.
    """
    rows = [person(80 + n, post="secretary") for n in range(2)]
    answers = entering.admit(tx, [Asked(one, admin(CLASS)) for one in rows])
    assert [one.refusal and one.refusal.code for one in answers] == [None, "secretary_in_post"]
    assert posts(tx, CLASS) == [(answers[0].member_id, "secretary")]
    again = entering.admit(tx, [Asked(one, admin(CLASS)) for one in rows])
    assert (again[0].member_id, again[1].refusal.code) == (answers[0].member_id, "secretary_in_post")


@pytest.mark.rule("ORG-17", "CADRE-06")
def test_new_people_are_entered_together(tx):
    """ORG-17: the new people of a list are entered in one statement.

    The same one twice is one person; a person whose post is refused is not entered.
    """
    rows = [new(60), new(61), new(60), new(62), {**new(61), "name": "别人"}]
    posts_ = ["secretary", "publicist", "organiser", "secretary", "publicist"]
    answers = posts_handlers.set_posts(
        tx,
        [
            Asked(SetPost(command_id=uuid.uuid4(), org_id=org, post=post_, **row), admin(SCHOOL))
            for row, post_, org in zip(rows, posts_, (SCHOOL, SCHOOL, SCHOOL, COLLEGE, SCHOOL), strict=True)
        ],
    )
    assert [one.refusal and one.refusal.code for one in answers] == [None, None, None, None, "name_differs"]
    assert answers[0].person_id == answers[2].person_id and all(one.person_id > 0 for one in answers[:4])
    again = posts_handlers.set_posts(
        tx,
        [Asked(SetPost(command_id=uuid.uuid4(), org_id=COLLEGE, post="secretary", **new(63)), admin(SCHOOL))],
    )
    assert again[0].refusal.code == "secretary_in_post"
    assert store.known(tx, [accounts.keys.seal.index(number(63, 1990))]) == {}


@pytest.mark.rule("TRF-36")
def test_registering_elsewhere_is_no_transfer(tx):
    """TRF-36: a person deleted from a branch does not register in another, but may where it happened."""
    from tests.members.factories import admit, person
    from tests.members.records.factories import delete

    (entered,) = admit(tx, person(70, name="周自己"))
    assert delete(tx, member=entered.member_id) is None
    with pytest.raises(Refused, match="deleted_elsewhere"):
        apply(tx, org=BRANCH)
    assert apply(tx).registration_id
