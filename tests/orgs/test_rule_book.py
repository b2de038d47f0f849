"""First checks, school numbers, special branches, cadres, deletions and migrations."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import domain, handlers, store
from services.orgs.migration import handlers as migration
from services.orgs.search import store as search_store
from shared import clock, db
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import AdministratorRegistered, CadreChanged
from shared.messages.orgs import (
    DecideMigration,
    DeleteOrg,
    GetOrgs,
    ListMigrations,
    RequestMigration,
    SaveOrg,
    SetSchoolNumber,
)
from shared.messages.transfers import OrgInUse
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    DEAN,
    OTHER_SCHOOL,
    PRESIDENT,
    SCHOOL,
    STRANGER,
    TREE,
    Seed,
    code,
    events,
    found,
    grant,
    holders,
    of_class,
    of_college,
    of_school,
)
from tests.orgs.rule_book_factories import INDUSTRY, TOWN, ask, check, of_city

SECRETARY = 77


def cadre(tx, org=COLLEGE, person=SECRETARY, post="secretary", phone=True, version=2):
    handlers.on_cadre_changed(
        tx, [CadreChanged(org_id=org, person_id=person, post=post, has_phone=phone, version=version)]
    )


def org_of(tx, org_id=COLLEGE):
    return handlers.get_orgs(tx, GetOrgs(org_ids=[org_id]), None)[0]


def make(tx, actor=of_school, **values):
    item = {
        "command_id": uuid4(),
        "parent_id": SCHOOL,
        "kind": "branch",
        "full_name": "共青团某某支部委员会",
        **values,
    }
    return handlers.save_orgs(tx, [Asked(SaveOrg(**item), actor)])[0]


# ---- the first check -----------------------------------------------------------------------------


@pytest.mark.rule("ORG-16", "ORG-19", "ORG-08", "ROLE-03")
def test_first_check(tx):
    """ORG-16, ORG-19: its own administrator checks the organisation once a secretary is recorded.

    Or whoever presides.

    ORG-08, ROLE-03: names, industry, telephone and secretary are kept; the secretary is no
    administrator.
    """
    assert not org_of(tx).checked
    assert code(check(tx)) == "secretary_missing"
    cadre(tx)

    assert check(tx).refusal is None
    after = org_of(tx)
    assert (after.checked, after.complete, after.secretary_id, after.industry, after.phone) == (
        True,
        True,
        SECRETARY,
        INDUSTRY,
        "02788880000",
    )
    assert after.full_name == "共青团江汉理工大学机械学院委员会" and after.short_name == "机械学院团委"


@pytest.mark.rule("ORG-16")
@pytest.mark.parametrize(
    "actor", [of_school, of_class, Actor(STRANGER, OTHER_SCHOOL), Actor(STRANGER, COLLEGE)]
)
def test_only_the_own_administrator_checks(tx, actor):
    """ORG-16: the check is the own administrator's, not the superior's."""
    cadre(tx)
    assert code(check(tx, actor)) == "not_your_org"


@pytest.mark.rule("ORG-16", "ORG-21", "ORG-25")
@pytest.mark.parametrize(
    "values, refusal",
    [
        ({"phone": " "}, "field_missing"),
        ({"industry": ""}, "field_missing"),
        ({"full_name": ""}, "field_missing"),
        ({"industry": "采矿"}, "industry_unknown"),
    ],
)
def test_check_needs_all_fields(tx, values, refusal):
    """ORG-21, ORG-25: every field is filled, the industry is one of the list."""
    cadre(tx)
    assert code(check(tx, **values)) == refusal


@pytest.mark.rule("ORG-21", "ORG-22")
def test_complete_needs_the_secretary_s_own_number(tx):
    """ORG-21, ORG-22: without the secretary's mobile number the data are not complete.

    Whatever telephone the organisation has.
    """
    cadre(tx, phone=False)
    check(tx)
    assert not org_of(tx).complete
    cadre(tx, phone=True, version=3)
    assert org_of(tx).complete


@pytest.mark.rule("ORG-11")
def test_kind_changes_once(tx):
    """ORG-11: the kind may change in the first check and never again, also not back."""
    cadre(tx)
    assert check(tx, kind="work_committee").refusal is None
    assert org_of(tx).kind == "work_committee"
    assert [one["kind"] for one in events(tx, "org_changed")] == ["work_committee"]
    assert code(check(tx, kind="committee")) == "kind_fixed"
    assert check(tx, kind="work_committee", phone="1").refusal is None


@pytest.mark.rule("ORG-11")
def test_kind_is_fixed_after_the_first_check(tx):
    """ORG-11: a first check that leaves the kind as it is closes the matter."""
    cadre(tx)
    assert check(tx).refusal is None
    assert code(check(tx, kind="work_committee")) == "kind_fixed"


@pytest.mark.rule("ORG-11", "ORG-13")
@pytest.mark.parametrize(
    "kind, refusal", [("branch", "org_has_children"), ("leading_body", "kind_fixed"), ("club", "kind_fixed")]
)
def test_kinds_that_do_not_fit(tx, kind, refusal):
    """ORG-11: an organisation with subordinates becomes no branch, and none becomes a leading body."""
    cadre(tx)
    assert code(check(tx, kind=kind)) == refusal


@pytest.mark.rule("ORG-12")
def test_graduation_does_not_use_the_change_up(tx):
    """ORG-12: the system's change of a branch to a graduates' organisation leaves the one change of kind."""
    from shared.messages.members import BranchGraduated

    handlers.on_branch_graduated(tx, [BranchGraduated(branch_id=CLASS, graduate=True, version=1)])
    cadre(tx, org=CLASS)
    assert (
        check(
            tx, of_class, org_id=CLASS, kind="general_branch", full_name="共青团江汉理工大学机械学院某总支"
        ).refusal
        is None
    )


@pytest.mark.rule("ORG-42")
def test_a_change_of_kind_is_taken_back(tx):
    """ORG-42: a party of open transfers, as transfers finds, gets its old kind again.

    It may change it later.
    """
    cadre(tx)
    check(tx, kind="work_committee")
    handlers.on_taken_back(tx, [OrgInUse(org_id=COLLEGE)])
    assert org_of(tx).kind == "committee"
    assert store.by_ids(tx, [COLLEGE])[COLLEGE].was_kind is None


# ---- school numbers ------------------------------------------------------------------------------


def set_number(tx, number, actor=of_school, org=SCHOOL):
    return handlers.set_school_numbers(
        tx, [Asked(SetSchoolNumber(command_id=uuid4(), org_id=org, number=number), actor)]
    )[0]


@pytest.mark.rule("SCH-03", "SCH-05", "ORG-40")
def test_school_number(tx, schools):
    """SCH-03, SCH-05: the number is on the card once recorded, and gone when cleared (SCH-06).

    ORG-40: the card shows it.
    """
    assert org_of(tx, SCHOOL).school_number == ""
    assert set_number(tx, "4142010486").refusal is None
    assert org_of(tx, SCHOOL).school_number == "4142010486"
    assert set_number(tx, "").refusal is None
    assert org_of(tx, SCHOOL).school_number == ""


@pytest.mark.rule("SCH-07")
def test_a_leading_body_has_no_school_number(tx):
    """SCH-07: a leading body gets no school number, not even one whose industry is a school's.

    The same body as a committee does.
    """
    tx.execute(sa.text("UPDATE orgs SET industry = :industry WHERE org_id = 42"), {"industry": INDUSTRY})
    assert code(set_number(tx, "4142010486", Actor(2001, 42), 42)) == "not_a_school"
    tx.execute(sa.text("UPDATE orgs SET kind = 'committee' WHERE org_id = 42"))
    assert set_number(tx, "4142010486", Actor(2001, 42), 42).refusal is None


@pytest.mark.rule("SCH-04", "SCH-06")
def test_who_has_a_school_number(tx, schools):
    """SCH-04, SCH-06: independent schools only, by their own administrator only."""
    assert code(set_number(tx, "4142010486", of_college, COLLEGE)) == "not_a_school"
    assert code(set_number(tx, "4142010486", Actor(2001, 42))) == "not_your_org"
    assert code(set_number(tx, "4142010486", Actor(2001, 42), 42)) == "not_a_school"
    assert code(set_number(tx, "41 42")) == "school_number_form"


@pytest.mark.rule("SCH-02")
def test_a_missing_school_is_created(tx):
    """SCH-02: the direct superior creates a missing school below itself; it is a school by its industry."""
    answer = make(
        tx,
        Actor(2001, 42),
        parent_id=42,
        kind="committee",
        full_name="共青团长江职业学院委员会",
        industry="高等职业院校",
    )
    assert answer.refusal is None
    assert org_of(tx, answer.org_id).industry == "高等职业院校"


# ---- special branches ----------------------------------------------------------------------------


@pytest.mark.rule("ORG-28", "ORG-29", "ORG-30", "ORG-32", "ORG-33", "ORG-34", "ORG-35", "ORG-39", "DL-17")
@pytest.mark.parametrize(
    "purpose, parent, parent_purpose, industry, month, refusal",
    [
        ("study_abroad", "committee", "ordinary", INDUSTRY, 6, None),
        ("floating", "committee", "ordinary", INDUSTRY, 6, None),
        ("delayed", "committee", "ordinary", INDUSTRY, 6, None),
        ("teachers", "committee", "ordinary", INDUSTRY, 6, None),
        ("mixed", "committee", "ordinary", INDUSTRY, 6, None),
        ("staff", "committee", "ordinary", INDUSTRY, 6, None),
        ("transit", "committee", "ordinary", "", 6, None),
        ("study_abroad", "committee", "ordinary", "国有企业", 6, "purpose_not_here"),
        ("floating", "committee", "township", "", 6, "purpose_not_here"),
        ("handover", "committee", "township", "", 6, None),
        ("handover", "work_committee", "ordinary", "", 6, None),
        ("handover", "committee", "ordinary", "非公企业", 6, None),
        ("handover", "committee", "ordinary", INDUSTRY, 6, "purpose_not_here"),
        ("handover", "leading_body", "ordinary", "", 8, "handover_from_september"),
        ("handover", "leading_body", "ordinary", "", 9, None),
    ],
)
def test_special_branches(purpose, parent, parent_purpose, industry, month, refusal):
    """ORG-28..35, ORG-39: each special branch where it belongs; a county's own from September on.

    DL-17: a county's own from September on.
    """
    said = domain.check_purpose(purpose, "branch", parent, parent_purpose, industry, month)
    assert (said.code if said else None) == refusal


@pytest.mark.rule("ORG-28")
@pytest.mark.parametrize(
    "parent, actor, kind, industry, said",
    [
        (4201, Actor(3001, 4201), "committee", "", None),
        (4201, Actor(3001, 4201), "work_committee", "农村", None),
        (4201, Actor(3001, 4201), "general_branch", "", "township_not_here"),
        (4201, Actor(3001, 4201), "branch", "", "township_not_here"),
        (4201, Actor(3001, 4201), "committee", INDUSTRY, "township_not_here"),
        (42, Actor(2001, 42), "committee", "", "township_not_here"),
        (SCHOOL, of_school, "committee", "", "township_not_here"),
        (1, Actor(1, 1), "committee", "", "township_not_here"),
        (9701, Actor(3001, 9701), "committee", "", "township_not_here"),
    ],
)
def test_where_a_township_can_be(tx, parent, actor, kind, industry, said):
    """ORG-28: only a committee or work committee directly below a county or city is a township's.

    No school is, and nothing inside a vertical system.
    """
    store.load(
        tx,
        [
            *TREE,
            Seed(97, 1, "leading_body", "共青团全国铁道委员会", "97"),
            Seed(9701, 97, "leading_body", "共青团铁道武汉局委员会", "97"),
        ],
    )
    store.set_administrators(
        tx, [{"org_id": org, "person_id": 3001, "active": True} for org in (4201, 9701)], clock.now(), None
    )
    made = make(
        tx,
        actor,
        parent_id=parent,
        kind=kind,
        industry=industry,
        purpose="township",
        full_name="共青团某镇委员会",
    )
    assert code(made) == said


@pytest.mark.rule("ORG-28")
def test_a_township_stays_one(tx):
    """ORG-28: a township's organisation stays one.

    It does not become a school by an edit, nor a general branch by its first check.
    """
    store.set_administrators(tx, [{"org_id": TOWN, "person_id": 3001, "active": True}], clock.now(), None)
    made = make(
        tx, of_city, parent_id=TOWN, kind="committee", purpose="township", full_name="共青团某镇委员会"
    ).org_id
    assert (
        code(make(tx, of_city, org_id=made, parent_id=TOWN, full_name="共青团某镇委员会", industry=INDUSTRY))
        == "township_not_here"
    )
    assert (
        make(
            tx, of_city, org_id=made, parent_id=TOWN, full_name="共青团某某镇委员会", industry="农村"
        ).refusal
        is None
    )
    cadre(tx, org=made)
    store.set_administrators(tx, [{"org_id": made, "person_id": 3002, "active": True}], clock.now(), None)
    asked = {"org_id": made, "full_name": "共青团某镇委员会", "industry": "农村"}
    assert code(check(tx, Actor(3002, made), kind="general_branch", **asked)) == "township_not_here"
    assert check(tx, Actor(3002, made), kind="work_committee", **asked).refusal is None


@pytest.mark.rule("ORG-33", "ORG-39")
def test_special_branches_are_created(tx):
    """ORG-33: a school makes its study-abroad branch; an enterprise does not."""
    assert make(tx, purpose="study_abroad", industry=INDUSTRY).refusal is None
    assert code(make(tx, purpose="study_abroad", industry="国有企业")) == "purpose_not_here"
    assert code(make(tx, industry="采矿")) == "industry_unknown"


@pytest.mark.rule("ORG-28", "BEY-20")
def test_hand_over_branches_are_found_by_each_name(tx):
    """ORG-28: the label changed over the years; a search for one finds the others."""
    made = make(
        tx, full_name="共青团江汉理工大学流动团员团支部", purpose="floating", industry=INDUSTRY
    ).org_id
    assert found(tx, "江汉理工大学学社衔接临时团支部") == [made]
    assert found(tx, "江汉理工大学流动团员团支部") == [made]


@pytest.mark.rule("BEY-20")
def test_what_is_nearer_comes_first(tx):
    """BEY-20: of names that fit alike, those nearer to the searcher come first."""
    assert found(tx, "理工大学委员会", near=OTHER_SCHOOL) == [OTHER_SCHOOL, SCHOOL]
    assert found(tx, "理工大学委员会", near=CLASS) == [SCHOOL, OTHER_SCHOOL]


@pytest.mark.rule("BEY-20")
def test_a_text_of_common_pieces_is_found_outward(tx, monkeypatch):
    """BEY-20: where every piece is common the subtrees are walked outward.

    The exact name is first all the same.
    """
    monkeypatch.setattr(
        search_store,
        "_frequent",
        lambda tx: (dict.fromkeys(domain.bigrams("共青团江汉理工大学机械学院委员会理支部"), 10**6), 10**7),
    )
    assert found(tx, "共青团江汉理工大学委员会", near=CLASS)[0] == SCHOOL
    assert found(tx, "江汉理工大学机械学院", near=SCHOOL)[0] == COLLEGE
    assert set(found(tx, "理工大学委员会", near=OTHER_SCHOOL)) == {SCHOOL, OTHER_SCHOOL}
    assert found(tx, "理工大学委员会", near=OTHER_SCHOOL)[0] == OTHER_SCHOOL
    assert found(tx, "理工大学委员会", near=CLASS, below=44) == [OTHER_SCHOOL]


# ---- cadres and administrators -------------------------------------------------------------------


@pytest.mark.rule("ADM-02", "ADM-03")
def test_only_cadres_administer(tx):
    """ADM-02, ADM-03: who holds no post there becomes no administrator; with a post it works."""
    assert code(grant(tx, of_college, COLLEGE, 500)) == "not_a_cadre"
    cadre(tx, person=500, post="publicist")
    assert grant(tx, of_college, COLLEGE, 500).refusal is None


@pytest.mark.rule("ADM-18")
def test_who_loses_the_last_post_loses_the_right(tx):
    """ADM-18: a post that ends ends the right over that organisation and no other.

    As it does when somebody is transferred away.
    """
    cadre(tx, person=DEAN, post="", version=5)
    assert holders(tx, COLLEGE) == []
    assert PRESIDENT in holders(tx, SCHOOL)
    cadre(tx, person=DEAN, post="secretary", version=4)  # an older one that comes late
    assert (COLLEGE, DEAN) not in store.cadres(tx, [COLLEGE])


@pytest.mark.rule("ADM-09", "ADM-10", "ADM-11")
def test_registered_administrators(tx):
    """ADM-10, ADM-11: a person who comes by code gets the right while there is room.

    The limit is checked again here; the members service is told of the others.
    """
    handlers.on_administrator_registered(
        tx, [AdministratorRegistered(org_id=COLLEGE, person_id=person) for person in (600, 601, 602, 600)]
    )
    assert set(holders(tx, COLLEGE)) == {DEAN, 600, 601}
    assert events(tx, "registration_refused") == [{"org_id": COLLEGE, "person_id": 602}]


# ---- deletion ------------------------------------------------------------------------------------


@pytest.mark.rule("DEL-03", "DEL-04", "ORG-03")
def test_set_aside(tx):
    """DEL-03: on explicit wish a branch with members becomes an awaiting branch, once; other kinds do not.

    DEL-04: it is deleted only when empty.
    """

    def aside(org, actor):
        return handlers.delete_orgs(
            tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=org, to_awaiting=True), actor)]
        )[0]

    assert aside(CLASS, of_college).refusal is None
    assert aside(CLASS, of_college).refusal is None
    assert org_of(tx, CLASS).purpose == "awaiting"
    assert [one["purpose"] for one in events(tx, "org_changed")] == ["awaiting"]
    assert code(aside(42011, of_school)) == "org_has_children"
    handlers.delete_orgs(tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS), of_college)])
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])  # members finds somebody in it
    assert org_of(tx, CLASS).purpose == "awaiting"
    empty = make(tx, kind="general_branch", full_name="共青团某总支").org_id
    assert code(aside(empty, of_school)) == "not_awaiting"


@pytest.mark.rule("DEL-03")
def test_setting_aside_is_a_setting(tx, monkeypatch):
    """DEL-03: by default a branch with members may be set aside.

    Where the practice forbids it, it may not.
    """
    monkeypatch.setenv("TUANQIAO_POLICY", "p001")

    def aside():
        return handlers.delete_orgs(
            tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS, to_awaiting=True), of_college)]
        )[0]

    assert code(aside()) == "awaiting_not_offered" and org_of(tx, CLASS).purpose == "ordinary"
    monkeypatch.setenv("TUANQIAO_POLICY", "national")
    assert aside().refusal is None and org_of(tx, CLASS).purpose == "awaiting"


@pytest.mark.rule("DEL-14", "ORG-42")
def test_a_party_of_transfers_comes_back(tx):
    """DEL-14, ORG-42: a deletion or setting aside that transfers refuses is taken back."""
    handlers.delete_orgs(tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS), of_college)])
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])
    assert org_of(tx, CLASS).purpose == "ordinary"
    handlers.delete_orgs(
        tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS, to_awaiting=True), of_college)]
    )
    handlers.on_taken_back(tx, [OrgInUse(org_id=CLASS)])
    assert org_of(tx, CLASS).purpose == "ordinary"


@pytest.mark.rule("DEL-04", "TRF-15", "ASG-02")
def test_awaiting_branches_are_no_destinations(tx, monkeypatch):
    """DEL-04, TRF-15: a branch that was set aside is found, but never offered as a destination.

    Nor is a graduates' branch or a leading body.
    """
    name = org_of(tx, CLASS).full_name
    assert found(tx, name, targets_only=True) == [CLASS]
    handlers.delete_orgs(
        tx, [Asked(DeleteOrg(command_id=uuid4(), org_id=CLASS, to_awaiting=True), of_college)]
    )

    assert found(tx, name) == [CLASS] and found(tx, name, targets_only=True) == []
    assert (
        found(tx, "2018级1班", targets_only=True) == [] and found(tx, "湖北省委员会", targets_only=True) == []
    )
    monkeypatch.setattr(
        search_store, "_frequent", lambda tx: (dict.fromkeys(domain.bigrams(name), 10**6), 10**7)
    )
    assert (
        found(tx, name, targets_only=True, near=COLLEGE) == []
    )  # nor where the text is common and the neighbourhood is walked


def decide(tx, migration_id, actor, approve=True, **values):
    return migration.decide_migrations(
        tx, [Asked(DecideMigration(migration_id=migration_id, approve=approve, **values), actor)]
    )[0]


@pytest.mark.rule("MIG-01", "MIG-03", "MIG-04", "MIG-08", "MIG-09")
def test_migration(loaded, mayor):
    """MIG-01..04, MIG-09: the old superior agrees, then the new one.

    Then the whole subtree stands below it, and that is told once.

    MIG-08: it waits in the list of the one who decides.
    """
    with loaded.begin() as tx:
        asked = ask(tx)
        assert asked.state == "pending_old"
        assert [
            one.migration_id for one in migration.list_migrations(tx, ListMigrations(waiting=True), of_school)
        ] == [asked.migration_id]
        assert migration.list_migrations(tx, ListMigrations(waiting=True), of_city) == []
        assert code(decide(tx, asked.migration_id, of_city)) == "not_your_node"
        assert decide(tx, asked.migration_id, of_school).state == "pending_new"
        assert code(decide(tx, asked.migration_id, of_school)) == "not_your_node"
        assert decide(tx, asked.migration_id, of_city).state == "moving"
        tx.execute(sa.text("DELETE FROM outbox"))
    database = db.Database(loaded)

    assert migration.move_one(database)
    assert not migration.move_one(database)

    with loaded.begin() as tx:
        rows = store.by_ids(tx, [COLLEGE, CLASS])
        assert (rows[COLLEGE].parent_id, rows[COLLEGE].path, rows[CLASS].path) == (
            TOWN,
            f"1.42.4201.{COLLEGE}.",
            f"1.42.4201.{COLLEGE}.{CLASS}.",
        )
        assert [(one["org_id"], one["parent_id"], one["path"]) for one in events(tx, "org_changed")] == [
            (COLLEGE, TOWN, f"1.42.4201.{COLLEGE}.")
        ]
        (done,) = [
            one
            for one in migration.list_migrations(tx, ListMigrations(), of_city)
            if one.migration_id == asked.migration_id
        ]
        assert (done.state, done.total, done.moved) == ("completed", 3, 3)


@pytest.mark.rule("MIG-02", "MIG-05", "MIG-06", "MIG-07", "ROLE-09")
@pytest.mark.parametrize(
    "org, to, actor, refusal",
    [
        (42, 1, Actor(2001, 42), "migration_provincial"),
        (COLLEGE, 440, of_college, "migration_across"),
        (SCHOOL, COLLEGE, of_school, "migration_inside"),
        (SCHOOL, SCHOOL, of_school, "migration_inside"),
        (COLLEGE, 42010, of_college, "migration_branch"),
        (COLLEGE, SCHOOL, of_college, "migration_nowhere"),
        (COLLEGE, 999, of_college, "unknown_org"),
        (COLLEGE, TOWN, of_school, "not_your_org"),
        (COLLEGE, TOWN, Actor(STRANGER, COLLEGE), "not_your_org"),
    ],
)
def test_migrations_that_are_refused(tx, org, to, actor, refusal):
    """MIG-02, MIG-05..07, ROLE-09: below the provincial level and inside the province.

    Not into itself, not below a branch.
    """
    assert code(ask(tx, org, to, actor)) == refusal


@pytest.mark.rule("MIG-06")
def test_one_migration_per_subtree(tx):
    """MIG-06: while one above or below migrates nothing else of the subtree does.

    Repeated, the command gives its first answer.
    """
    command = uuid4()
    first = ask(tx, command_id=command)
    assert code(ask(tx)) == "migration_open"
    assert code(ask(tx, SCHOOL, TOWN, of_school)) == "migration_open"
    assert code(ask(tx, CLASS, TOWN, of_class)) == "migration_open"
    assert ask(tx, command_id=command) == first


@pytest.mark.rule("MIG-10")
def test_migration_ends_otherwise(tx):
    """MIG-10: a migration is withdrawn, rejected or returned.

    Withdrawn by the organisation before the last approval, rejected by a superior, returned by the
    clock.
    """
    first = ask(tx).migration_id
    assert code(decide(tx, first, of_school, approve=False, withdraw=True)) == "not_your_node"
    assert decide(tx, first, of_college, withdraw=True).state == "withdrawn"
    assert code(decide(tx, first, of_school)) == "migration_closed"
    second = ask(tx).migration_id
    assert decide(tx, second, of_school, approve=False, note="不同意").state == "rejected"
    third = ask(tx).migration_id
    clock.advance(timedelta(days=11))
    assert code(decide(tx, third, of_school)) == "migration_closed"
    migration.on_day_began(tx, [])
    assert migration.list_migrations(tx, ListMigrations(), of_college)[0].state == "returned"
    with pytest.raises(Refused):
        migration.list_migrations(tx, ListMigrations(), Actor(STRANGER, COLLEGE))


@pytest.mark.rule("MIG-01", "MIG-09")
def test_readers_never_see_half(loaded, mayor, monkeypatch):
    """MIG-01: readers see the whole tree at the old place or the whole tree at the new.

    While 3,000 organisations move in many pieces; the progress is seen.
    """
    with loaded.begin() as tx:
        for n in range(3000):
            tx.execute(
                sa.text(
                    "INSERT INTO orgs"
                    " (org_id, parent_id, path, kind, purpose, province, system, provincial_id,"
                    " short_name, full_name, bigrams, display_order, version)"
                    " VALUES (:id, :parent, :path, 'branch', 'ordinary', '42', 'national', 42,"
                    " 'x', 'x', '{}', 1, 1)"
                ),
                {"id": 10**7 + n, "parent": COLLEGE, "path": f"1.42.420.{COLLEGE}.{10**7 + n}."},
            )
        migration_id = ask(tx).migration_id
        decide(tx, migration_id, of_school)
        decide(tx, migration_id, of_city)
    monkeypatch.setattr(migration, "PIECE", 100)
    old, new = f"1.42.420.{COLLEGE}.", f"1.42.4201.{COLLEGE}."
    seen, progress, stop = set(), set(), threading.Event()

    def look():
        while not stop.is_set():
            with loaded.connect() as reader:
                seen.add(
                    tuple(
                        reader.execute(
                            sa.text(
                                "SELECT count(*) FILTER (WHERE path >= :old AND path < :old_end),"
                                " count(*) FILTER (WHERE path >= :new AND path < :new_end) FROM orgs"
                            ),
                            {"old": old, "old_end": old[:-1] + "/", "new": new, "new_end": new[:-1] + "/"},
                        ).one()
                    )
                )
                progress.add(
                    reader.scalar(
                        sa.text("SELECT moved FROM migrations WHERE migration_id = :id"), {"id": migration_id}
                    )
                )

    reader = threading.Thread(target=look)
    reader.start()
    while not seen:
        time.sleep(0.01)
    assert migration.move_one(db.Database(loaded))
    while (0, 3003) not in seen:
        time.sleep(0.01)
    stop.set()
    reader.join()

    assert seen == {(3003, 0), (0, 3003)}
    assert len(progress) > 2 and max(progress) == 3003


@pytest.mark.rule("MIG-09", "ORG-23")
def test_a_branch_made_meanwhile_comes_along(loaded, mayor):
    """MIG-09: an organisation created below while the subtree moves ends up at the new place."""
    with loaded.begin() as tx:
        migration_id = ask(tx).migration_id
        decide(tx, migration_id, of_school)
        decide(tx, migration_id, of_city)
    creating = loaded.connect()
    made = handlers.save_orgs(
        creating,
        [
            Asked(
                SaveOrg(
                    command_id=uuid4(), parent_id=COLLEGE, kind="branch", full_name="共青团新班支部委员会"
                ),
                of_college,
            )
        ],
    )[0].org_id
    mover = threading.Thread(target=migration.move_one, args=(db.Database(loaded),))
    mover.start()
    time.sleep(0.3)
    assert mover.is_alive()
    creating.commit()
    creating.close()
    mover.join()
    with loaded.connect() as tx:
        assert store.by_ids(tx, [made])[made].path == f"1.42.4201.{COLLEGE}.{made}."


@pytest.mark.rule("ORG-10", "ORG-09")
def test_renaming_touches_one_row(tx):
    """ORG-09, ORG-10: a renamed body changes one row and tells of one, however many stand below it."""
    city = store.by_ids(tx, [TOWN])[TOWN]
    before = tx.scalar(sa.text("SELECT txid_current()"))
    store.save(tx, [{**city._mapping, "full_name": "共青团武汉委员会", "version": city.version + 1}])
    assert tx.scalar(sa.text("SELECT count(*) FROM orgs WHERE xmin::text = :tx"), {"tx": str(before)}) == 1
    assert len(events(tx, "org_changed")) == 1


@pytest.mark.rule("ORG-15", "SRCH-08")
def test_employers_are_found_in_their_system(tx):
    """ORG-15: bodies of a vertical system stand beside the provinces.

    An employer's organisation is found below its system, not below the place where it lies.
    """
    store.load(
        tx,
        [
            *TREE,
            Seed(97, 1, "leading_body", "共青团全国铁道委员会", "97"),
            Seed(9701, 97, "committee", "共青团铁道武汉局委员会", "97"),
        ],
    )
    assert found(tx, "武汉局", below=97) == [9701]
    assert found(tx, "武汉局", below=42) == []
    assert domain.is_provincial(1, 97, store.by_ids(tx, [97])[97].provincial_id)
    assert store.by_ids(tx, [9701])[9701].provincial_id == 97


@pytest.mark.rule("SRCH-09")
def test_contacts(tx):
    """SRCH-09: anyone finds the telephone numbers of leading bodies by place.

    Other organisations are not listed.
    """
    from shared.messages.orgs import ListContacts

    tx.execute(sa.text("UPDATE orgs SET phone = '02780000000' WHERE org_id = 4201"))
    assert [
        (one.org_id, one.phone) for one in handlers.list_contacts(tx, ListContacts(text="湖北省"), None)
    ] == [(42, ""), (4201, "02780000000")]
    assert handlers.list_contacts(tx, ListContacts(text="江汉"), None) == []
    with pytest.raises(Refused, match="field_missing"):
        handlers.list_contacts(tx, ListContacts(text="湖"), None)


@pytest.mark.rule("ROLE-10")
def test_observers(tx, monkeypatch):
    """ROLE-10: behind a setting, an organisation names observers.

    They are no administrators, count for no limit, and are told of as what they are.
    """
    from shared.messages.orgs import SetAdministrator

    def observe(person, active=True):
        return handlers.set_administrators(
            tx,
            [
                Asked(
                    SetAdministrator(
                        command_id=uuid4(), org_id=COLLEGE, person_id=person, active=active, observer=True
                    ),
                    of_college,
                )
            ],
        )[0]

    assert code(observe(800)) == "no_observers"
    monkeypatch.setenv("TUANQIAO_OBSERVERS", "true")
    assert code(observe(800)) == "not_a_cadre"
    handlers.on_cadre_changed(
        tx,
        [
            CadreChanged(org_id=COLLEGE, person_id=person, post="publicist", has_phone=True, version=1)
            for person in (800, 801, 802, 803)
        ],
    )
    assert (
        observe(805, active=False).refusal is None
        and [one for one in events(tx, "administrator_changed") if one["person_id"] == 805] == []
    )
    assert [code(observe(person)) for person in (800, 801, 802, 803, DEAN)] == [None] * 4 + ["no_observers"]
    assert holders(tx, COLLEGE) == [DEAN]
    assert code(make(tx, Actor(800, COLLEGE), parent_id=COLLEGE)) == "not_your_org"
    assert observe(800, active=False).refusal is None
    assert [
        (one["active"], one["observer"])
        for one in events(tx, "administrator_changed")
        if one["person_id"] == 800
    ] == [(True, True), (False, True)]


@pytest.mark.rule("ORG-10", "MIG-03")
def test_a_command_is_its_senders(tx):
    """ORG-10, MIG-03: the id of somebody else's command is refused and tells nothing of what it made.

    The sender is answered as before, in one list, too.
    """
    key = uuid4()
    made = make(tx, command_id=key)
    assert made.org_id is not None and make(tx, command_id=key) == made
    other = make(tx, actor=of_class, command_id=key)
    assert (other.org_id, code(other)) == (None, "command_taken")
    fresh = SaveOrg(command_id=uuid4(), parent_id=SCHOOL, kind="branch", full_name="共青团某某二支部委员会")
    first, second = handlers.save_orgs(tx, [Asked(fresh, of_school), Asked(fresh, of_class)])
    assert first.org_id is not None and (second.org_id, code(second)) == (None, "command_taken")
    asked = RequestMigration(command_id=uuid4(), org_id=COLLEGE, to_org_id=4201)
    moved, again, theirs = [
        migration.request_migrations(tx, [Asked(asked, actor)])[0]
        for actor in (of_college, of_college, of_school)
    ]
    assert moved.migration_id is not None and again == moved
    assert (theirs.migration_id, code(theirs)) == (None, "command_taken")
