"""The rules of organisations without a database."""

from datetime import UTC, datetime

import pytest

from services.orgs import domain, seed
from services.orgs.domain import Right, Wanted
from shared import reference
from tests.orgs.factories import INDUSTRY, row

WANTED = Wanted("branch", "ordinary", "一班团支部", "共青团某学院一班支部委员会", "", "")
NAMES = {"short_name": "学院团委", "full_name": "共青团某学院委员会", "industry": ""}
CITY = row(4201, 42, "1.42.4201.", kind="leading_body")
PROVINCE = row(42, 1, "1.42.", kind="leading_body")
CENTRE = row(1, None, "1.", kind="leading_body", provincial_id=None)
CHECKED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.rule("ADM-01")
@pytest.mark.parametrize(
    "kind, limit",
    [("leading_body", 2), ("committee", 3), ("work_committee", 3), ("general_branch", 3), ("branch", 3)],
)
def test_administrator_limit(kind, limit):
    """ADM-01: three administrators per organisation, two per leading body."""
    assert reference.administrator_limit(kind) == limit


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize(
    "given, plain",
    [
        ("共青团北京市委员会", "共青团北京市委员会"),
        ("出国（境）学习", "出国(境)学习"),
        (" 共青团　北京 市 ", "共青团北京市"),
        ("２０２２级Ａ班", "2022级A班"),
        ("", ""),
    ],
)
def test_normalise(given, plain):
    """BEY-20: full-width and half-width forms and blanks make no difference to a search."""
    assert domain.normalise(given) == plain


@pytest.mark.rule("BEY-20")
@pytest.mark.parametrize(
    "name, pieces",
    [("", []), ("团", []), ("团委", ["团委"]), ("团委团委", ["团委", "委团"]), ("团 委（", ["团委", "委("])],
)
def test_bigrams(name, pieces):
    """BEY-20: a name is indexed by its distinct two-character pieces."""
    assert domain.bigrams(name) == pieces


@pytest.mark.rule("ORG-23")
def test_only_branches_hold_no_children():
    """ORG-23: the tree goes down to the branch and no further."""
    assert [kind for kind in domain.KINDS if not domain.may_hold_children(kind)] == ["branch"]


@pytest.mark.rule("ORG-14", "ROLE-06")
@pytest.mark.parametrize(
    "acting, own, superior, may",
    [
        (5, 5, 4, True),
        (4, 5, 4, True),
        (3, 5, 4, False),
        (None, 5, 4, False),
        (5, None, 4, False),
        (4, None, 4, True),
        (None, None, None, False),
    ],
)
def test_may_manage(acting, own, superior, may):
    """ORG-14: an organisation is managed for itself or for its direct superior, and from nowhere else."""
    assert domain.may_manage(acting, own, superior) is may


@pytest.mark.rule("ORG-13")
def test_is_provincial():
    """ORG-13: the centre and the provincial bodies are told apart from what stands below them."""
    assert domain.is_provincial(None, 1, None)
    assert domain.is_provincial(1, 42, 42)
    assert not domain.is_provincial(42, 4201, 42)


@pytest.mark.rule("ORG-02")
@pytest.mark.parametrize(
    "kind, purpose, parent_kind, name, code",
    [
        ("branch", "ordinary", "committee", "一班团支部", None),
        ("committee", "township", "leading_body", "某镇团委", None),
        ("club", "ordinary", "committee", "一班团支部", "bad_request"),
        ("branch", "ordinary", "branch", "一班团支部", "bad_request"),
        ("branch", "ordinary", "committee", " 团 ", "field_missing"),
    ],
)
def test_check_org(kind, purpose, parent_kind, name, code):
    """ORG-02: a new organisation has a known kind, a superior that is no branch, and a full name."""
    refusal = domain.check_org(kind, purpose, parent_kind, name)

    assert (refusal and refusal.code) == code


@pytest.mark.rule("ORG-03")
@pytest.mark.parametrize("purpose", ["graduate", "awaiting", "vault"])
def test_system_purposes_are_not_given(purpose):
    """ORG-03: graduate, awaiting and vault branches are made by the system only."""
    refusal = domain.check_org("branch", purpose, "committee", "一班团支部")

    assert refusal is not None and refusal.code == "bad_request"


@pytest.mark.rule("ORG-06")
@pytest.mark.parametrize(
    "full, short, refused",
    [
        ("共青团某厂青工委", "青工委", True),
        ("某厂青年部", "", True),
        ("某厂群团 部", "", True),
        ("共青团某厂委员会", "群团部", True),
        ("共青团某厂群团部支部委员会", "群团部团支部", False),
    ],
)
def test_check_new_name(full, short, refused):
    """ORG-06: youth-work bodies and departments are no organisations.

    A branch of people who work there is one.
    """
    assert (domain.check_new_name(full, short) is not None) is refused


def test_every_name_of_the_national_tree_is_short_enough():
    """The longest full and short names of the divisions, schools and systems stay well below the limit."""
    longest = max(max(len(org.full_name), len(org.short_name)) for org in seed.national_tree())
    assert longest * 2 <= domain.NAME_MAX


@pytest.mark.rule("ORG-02")
@pytest.mark.parametrize("name, code", [("团", "field_missing"), (" 团 ", "field_missing"), ("团委", None)])
def test_a_name_has_two_characters(name, code):
    """ORG-02: one character is no name, two are."""
    refusal = domain.check_org("committee", "ordinary", "committee", name)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ORG-28", "ORG-33")
@pytest.mark.parametrize("purpose", [*sorted(domain.SCHOOL_PURPOSES), "handover"])
def test_purposes_of_branches_are_not_for_committees(purpose):
    """ORG-28, ORG-33: a purpose of branches is refused to everything else.

    The refusal says that it does not belong here.
    """
    refusal = domain.check_purpose(purpose, "committee", "committee", "ordinary", "普通高等院校", 9)
    assert refusal is not None and refusal.code == "purpose_not_here"


# ---- tables: one row for each branch of a rule and for each side of its boundaries ---------------

DIVISIONS = [
    ("", True),
    ("1", False),
    ("11", True),
    ("110", False),
    ("1101", True),
    ("11010", False),
    ("110105", True),
    ("1101051", False),
    ("11010510", False),
    ("110105102", True),
    ("1101051020", False),
    ("11010510200", False),
    ("110105102003", True),
    ("1101051020031", False),
    ("11010a", False),
    ("ab", False),
    ("１１", False),
]


@pytest.mark.parametrize("code, is_one", DIVISIONS)
def test_is_division_code(code, is_one):
    """A province, city, county, township or village has a code of 2, 4, 6, 9 or 12 ASCII digits."""
    assert domain.is_division_code(code) is is_one


@pytest.mark.rule("ORG-28")
def test_other_names():
    """ORG-28: a search for one name of hand-over branches is a search for each of them."""
    found = domain.other_names("朝阳流动团支部")
    assert found[0] == "朝阳流动团支部"
    assert sorted(found) == sorted(f"朝阳{name}" for name in domain.HANDOVER_NAMES)
    assert domain.other_names("朝阳团支部") == ["朝阳团支部"]


COLLEGE, OFFICE = "普通高等院校", "党政机关"
PURPOSE = [
    # purpose, kind, parent_kind, parent_purpose, industry, month
    ("ordinary", "committee", "branch", "ordinary", OFFICE, 1, None),
    ("township", "committee", "leading_body", "ordinary", OFFICE, 1, None),
    ("transit", "branch", "committee", "ordinary", OFFICE, 1, None),
    ("youth_centre", "branch", "committee", "ordinary", OFFICE, 1, None),
    ("handover", "committee", "committee", "township", OFFICE, 12, "purpose_not_here"),
    ("floating", "general_branch", "committee", "ordinary", COLLEGE, 1, "purpose_not_here"),
    ("floating", "branch", "committee", "ordinary", COLLEGE, 1, None),
    ("staff", "branch", "committee", "ordinary", OFFICE, 1, "purpose_not_here"),
    ("handover", "branch", "leading_body", "ordinary", OFFICE, 8, "handover_from_september"),
    ("handover", "branch", "leading_body", "ordinary", OFFICE, 9, None),
    ("handover", "branch", "leading_body", "ordinary", OFFICE, 12, None),
    ("handover", "branch", "general_branch", "township", COLLEGE, 1, None),
    ("handover", "branch", "committee", "ordinary", OFFICE, 1, None),
    ("handover", "branch", "work_committee", "ordinary", OFFICE, 1, None),
    ("handover", "branch", "committee", "ordinary", COLLEGE, 1, "purpose_not_here"),
    ("handover", "branch", "general_branch", "ordinary", OFFICE, 1, "purpose_not_here"),
]


@pytest.mark.rule("ORG-28", "ORG-29", "ORG-30", "ORG-32", "ORG-33")
@pytest.mark.parametrize("purpose, kind, parent_kind, parent_purpose, industry, month, code", PURPOSE)
def test_check_purpose(purpose, kind, parent_kind, parent_purpose, industry, month, code):
    """ORG-28 townships, ORG-29 counties from September, ORG-30 parks, ORG-32 employers, ORG-33 schools."""
    refusal = domain.check_purpose(purpose, kind, parent_kind, parent_purpose, industry, month)
    assert (refusal.code if refusal else None) == code


COUNTY = {"kind": "leading_body", "parent_id": 1, "org_id": 20, "provincial_id": 10, "province": "37"}
TOWNSHIP = [
    ("ordinary", "branch", COLLEGE, COUNTY | {"kind": "branch"}, None),
    ("township", "committee", OFFICE, COUNTY, None),
    ("township", "work_committee", OFFICE, COUNTY, None),
    ("township", "branch", OFFICE, COUNTY, "township_not_here"),
    ("township", "general_branch", OFFICE, COUNTY, "township_not_here"),
    ("township", "committee", COLLEGE, COUNTY, "township_not_here"),
    ("township", "committee", OFFICE, COUNTY | {"kind": "committee"}, "township_not_here"),
    ("township", "committee", OFFICE, COUNTY | {"parent_id": None}, "township_not_here"),
    ("township", "committee", OFFICE, COUNTY | {"provincial_id": 20}, "township_not_here"),
    ("township", "committee", OFFICE, COUNTY | {"province": "90"}, None),
    ("township", "committee", OFFICE, COUNTY | {"province": "91"}, "township_not_here"),
    ("township", "committee", OFFICE, COUNTY | {"province": "92"}, "township_not_here"),
]


@pytest.mark.rule("ORG-28")
@pytest.mark.parametrize("purpose, kind, industry, parent, code", TOWNSHIP)
def test_check_township(purpose, kind, industry, parent, code):
    """ORG-28: a township's committee stands directly below a county or city, and is no school."""
    refusal = domain.check_township(purpose, kind, industry, parent)
    assert (refusal.code if refusal else None) == code


@pytest.mark.rule("SCH-04", "SCH-07")
@pytest.mark.parametrize(
    "kind, industry, parent_industry, may",
    [
        ("committee", COLLEGE, OFFICE, True),
        ("committee", COLLEGE, COLLEGE, False),
        ("leading_body", COLLEGE, OFFICE, False),
        ("committee", OFFICE, OFFICE, False),
        ("leading_body", OFFICE, COLLEGE, False),
    ],
)
def test_may_have_school_number(kind, industry, parent_industry, may):
    """SCH-04, SCH-07: an independent school has a number; a college inside one has none."""
    assert domain.may_have_school_number(kind, industry, parent_industry) is may


LONGEST = "团" * 100
FOLDS = "㍿" * 26
"""Each character becomes four when it is folded."""


@pytest.mark.parametrize(
    "full_name, short_name, industry, code",
    [
        (LONGEST, "", "", None),
        (LONGEST + "委", "", "", "name_too_long"),
        ("团委", LONGEST, "", None),
        ("团委", LONGEST + "委", "", "name_too_long"),
        (FOLDS[:25], "", "", None),
        (FOLDS, "", "", "name_too_long"),
        ("团委", "", COLLEGE, None),
        ("团委", "", "witchcraft", "industry_unknown"),
    ],
)
def test_check_names_and_industry(full_name, short_name, industry, code):
    """ORG-02, ORG-25: names have 100 characters at most, written or folded; industries are known."""
    refusal = domain.check_org("branch", "ordinary", "committee", full_name, industry, short_name)
    assert (refusal.code if refusal else None) == code
    if code == "name_too_long":
        assert refusal.values == {"limit": "100"}


@pytest.mark.rule("ORG-06")
def test_codes_of_names():
    """ORG-06: what is no organisation of the tree is refused by its own code."""
    refusal = domain.check_new_name("某某青工委", "")
    assert refusal is not None
    assert refusal.code == "not_an_org"


@pytest.mark.rule("ORG-14")
@pytest.mark.parametrize(
    "known, manages, code",
    [
        (True, True, None),
        (True, False, "not_your_org"),
        (False, False, "unknown_org"),
        (False, True, "unknown_org"),
    ],
)
def test_check_acting(known, manages, code):
    """ORG-14: an organisation has to be there, and to be managed by whoever asks."""
    refusal = domain.check_acting(known, manages)
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    "refusal, code",
    [
        (domain.check_administrator(True), None),
        (domain.check_administrator(False), "not_administrator"),
        (domain.check_count(500), None),
        (domain.check_count(501), "too_many_items"),
        (domain.check_place("武汉"), None),
        (domain.check_place("汉"), "field_missing"),
    ],
)
def test_checks_of_queries(refusal, code):
    """Who reads what is for administrators, how many organisations at once, how much of a name."""
    assert (refusal and refusal.code) == code


def test_refusals_say_the_limit_and_the_field():
    """A refusal names what is missing, and how many there may be."""
    assert domain.check_count(501).values == {"limit": "500"}
    assert domain.check_place("").values == {"field": "地名(至少两个字)"}
    assert domain.check_filled(("甲", 1), ("乙", ""), ("丙", None)).values == {"field": "乙"}
    assert domain.check_filled(("甲", 1)) is None and domain.check_filled() is None
    assert domain.check_deletion(row(children=3), False, True).values == {"count": "3"}
    assert domain.check_first(row(children=3), "branch").values == {"count": "3"}
    assert domain.check_right(GIVEN._replace(holders=3)).values == {"limit": "3"}


@pytest.mark.rule("ORG-13")
@pytest.mark.parametrize(
    "org, code",
    [
        (row(**NAMES), None),
        (row(short_name="别的"), None),
        (PROVINCE | NAMES, None),
        (PROVINCE | NAMES | {"short_name": "别的"}, "org_fixed"),
        (PROVINCE | NAMES | {"full_name": "别的"}, "org_fixed"),
        (PROVINCE | NAMES | {"industry": "农村"}, "org_fixed"),
        (CENTRE | NAMES | {"short_name": "别的"}, "org_fixed"),
    ],
)
def test_check_fixed(org, code):
    """ORG-13: the centre and the provincial bodies keep their names and their industry."""
    refusal = domain.check_fixed(org, Wanted("committee", "ordinary", **NAMES))
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ORG-02", "ORG-06", "ORG-13", "ORG-28", "ORG-29")
@pytest.mark.parametrize(
    "old, parent, changes, same_name, month, code",
    [
        (None, row(), {}, (), 7, None),
        (row(), row(420, 42), {}, (), 7, None),
        (None, row(), {"kind": "club"}, {7}, 7, "bad_request"),
        # the kind of one that is there is its own
        (row(), row(420, 42), {"kind": "club"}, (), 7, None),
        (None, row(kind="branch"), {}, {7}, 7, "bad_request"),
        (None, row(), {"full_name": "团"}, {7}, 7, "field_missing"),
        (None, row(), {"industry": "采矿"}, {7}, 7, "industry_unknown"),
        (None, row(), {"short_name": "长" * 101}, {7}, 7, "name_too_long"),
        (None, row(), {"division_code": "4"}, {7}, 7, "name_taken"),
        (None, row(), {"division_code": "4", "short_name": "群团部"}, (), 7, "org_division_invalid"),
        (None, row(), {"division_code": "420106", "short_name": "群团部"}, (), 7, "not_an_org"),
        (row(), row(420, 42), {"short_name": "群团部"}, (), 7, None),
        (None, row(), {"purpose": "delayed"}, (), 7, "purpose_not_here"),
        (row(), row(420, 42), {"purpose": "delayed"}, (), 7, None),
        (None, CITY, {"purpose": "handover"}, (), 8, "handover_from_september"),
        (None, CITY, {"purpose": "handover"}, (), 9, None),
        (None, CITY, {"purpose": "township", "kind": "committee"}, (), 7, None),
        (None, row(), {"purpose": "township", "kind": "committee"}, (), 7, "township_not_here"),
        (row(purpose="township"), CITY, {}, (), 7, None),
        (row(purpose="township"), CITY, {"industry": INDUSTRY}, (), 7, "township_not_here"),
        (PROVINCE | {"purpose": "township"}, CENTRE, {}, (), 7, "township_not_here"),
        (PROVINCE, CENTRE, {}, (), 7, "org_fixed"),
    ],
)
def test_check_saving(old, parent, changes, same_name, month, code):
    """ORG-02, ORG-06, ORG-13, ORG-28, ORG-29: an organisation is saved, or the first broken rule answers."""
    refusal = domain.check_saving(old, parent, WANTED._replace(**changes), same_name, month)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ORG-11", "ORG-13", "ORG-16", "ORG-21")
@pytest.mark.parametrize(
    "org, parent, changes, phone, code",
    [
        ({}, row(420, 42), {}, "1", None),
        ({"secretary_id": None}, row(420, 42), {"full_name": ""}, "", "secretary_missing"),
        # the one change of kind, at the first check and never again
        ({}, row(420, 42), {"kind": "work_committee"}, "1", None),
        ({"checked_at": CHECKED}, row(420, 42), {}, "1", None),
        ({"checked_at": CHECKED}, row(420, 42), {"kind": "work_committee"}, "1", "kind_fixed"),
        ({"was_kind": "branch"}, row(420, 42), {"kind": "work_committee"}, "1", "kind_fixed"),
        ({}, row(420, 42), {"kind": "leading_body"}, "1", "kind_fixed"),
        ({}, row(420, 42), {"kind": "club"}, "1", "kind_fixed"),
        ({"kind": "leading_body"}, row(420, 42), {}, "1", "kind_fixed"),
        ({"children": 1}, row(420, 42), {"kind": "branch"}, "1", "org_has_children"),
        ({"children": 1}, row(420, 42), {"kind": "work_committee"}, "1", None),
        ({"children": 0}, row(420, 42), {"kind": "branch"}, "1", None),
        # every field is filled
        ({}, row(420, 42), {"full_name": "", "industry": ""}, "", "field_missing"),
        ({}, row(420, 42), {"industry": ""}, "1", "field_missing"),
        ({}, row(420, 42), {}, "", "field_missing"),
        ({}, row(420, 42), {"full_name": "团"}, "1", "field_missing"),
        ({}, row(420, 42), {"industry": "采矿"}, "1", "industry_unknown"),
        ({}, row(420, 42), {"short_name": "长" * 101}, "1", "name_too_long"),
        ({"purpose": "township"}, CITY, {"industry": "农村"}, "1", None),
        ({"purpose": "township"}, CITY, {"kind": "general_branch"}, "1", "township_not_here"),
        ({"purpose": "township"}, None, {"kind": "general_branch"}, "1", None),
        # a provincial body is of no industry and keeps its names
        (PROVINCE | NAMES, CENTRE, {"kind": "leading_body", **NAMES}, "1", None),
        (PROVINCE | NAMES, CENTRE, {"kind": "leading_body", **NAMES, "short_name": "别的"}, "1", "org_fixed"),
    ],
)
def test_check_data(org, parent, changes, phone, code):
    """ORG-11, ORG-13, ORG-16, ORG-21: the own data are checked, or the first broken rule answers."""
    wanted = Wanted("committee", "ordinary", "学院团委", "共青团某学院委员会", INDUSTRY)
    refusal = domain.check_data(row() | org, parent, wanted._replace(**changes), phone)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("ORG-21")
@pytest.mark.parametrize(
    "changes, phone, field",
    [
        ({"full_name": "", "industry": ""}, "", "组织全称"),
        ({"industry": ""}, "", "所属行业"),
        ({}, "", "联系电话"),
    ],
)
def test_the_first_missing_field_is_named(changes, phone, field):
    """ORG-21: what is missing is named, the first of several."""
    wanted = Wanted("committee", "ordinary", "学院团委", "共青团某学院委员会", INDUSTRY)
    refusal = domain.check_data(row(), row(420, 42), wanted._replace(**changes), phone)
    assert refusal.values == {"field": field}


@pytest.mark.rule("SCH-03", "SCH-04", "SCH-07")
@pytest.mark.parametrize(
    "org, above, number, code",
    [
        ({}, "", "4142010486", None),
        ({}, "", "", None),
        ({}, "", "A123", None),
        ({}, "", "A12", "school_number_form"),
        ({}, "", "1" * 20, None),
        ({}, "", "1" * 21, "school_number_form"),
        ({}, "", "41 42", "school_number_form"),
        ({}, "", "四一四二", "school_number_form"),
        ({}, INDUSTRY, "41", "not_a_school"),
        ({"industry": "农村"}, "", "41", "not_a_school"),
        ({"kind": "leading_body"}, "", "", "not_a_school"),
    ],
)
def test_check_school_number(org, above, number, code):
    """SCH-03, SCH-04, SCH-07: independent schools alone have a number, of 4 to 20 letters and digits."""
    refusal = domain.check_school_number(row(industry=INDUSTRY) | org, above, number)
    assert (refusal and refusal.code) == code


@pytest.mark.rule("DEL-02", "DEL-03")
@pytest.mark.parametrize(
    "org, to_awaiting, offered, code",
    [
        ({}, False, False, None),
        ({"kind": "branch"}, False, False, None),
        ({"children": 1}, False, True, "org_has_children"),
        ({"children": 1}, True, True, "org_has_children"),
        ({"kind": "branch"}, True, True, None),
        ({"kind": "branch"}, True, False, "awaiting_not_offered"),
        ({}, True, False, "not_awaiting"),
    ],
)
def test_check_deletion(org, to_awaiting, offered, code):
    """DEL-02, DEL-03: what has subordinates stays; only a branch is set aside, where that is offered."""
    refusal = domain.check_deletion(row() | org, to_awaiting, offered)
    assert (refusal and refusal.code) == code


GIVEN = Right(
    kind="committee",
    active=True,
    observer=False,
    own=False,
    offered=True,
    cadre=True,
    holds=False,
    observes=False,
    holders=2,
)
"""A right that may be given: of three places in a committee two are taken."""


@pytest.mark.rule("ADM-01", "ADM-02", "ADM-03", "ADM-07", "ROLE-10")
@pytest.mark.parametrize(
    "changes, code",
    [
        ({}, None),
        ({"holders": 3}, "too_many_administrators"),
        ({"holders": 3, "holds": True}, None),
        ({"kind": "leading_body"}, "too_many_administrators"),
        ({"kind": "leading_body", "holders": 1}, None),
        ({"cadre": False, "holders": 3}, "not_a_cadre"),
        ({"own": True}, None),
        ({"active": False, "own": True, "cadre": False}, "own_right"),
        ({"active": False, "cadre": False, "holders": 3}, None),
        ({"observer": True, "holders": 3}, None),
        ({"observer": True, "offered": False, "cadre": False}, "no_observers"),
        ({"observer": True, "holds": True}, "no_observers"),
        ({"observer": True, "cadre": False}, "not_a_cadre"),
        ({"observer": True, "active": False, "offered": False}, None),
        ({"offered": False}, None),
    ],
)
def test_check_right(changes, code):
    """ADM-01..03, ADM-07, ROLE-10: cadres alone, three of them or two; nobody revokes their own right."""
    refusal = domain.check_right(GIVEN._replace(**changes))
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    "active, observer, holds, observes, changes",
    [
        (True, False, False, False, True),
        (True, False, True, False, False),
        (True, False, False, True, True),
        (False, False, True, False, True),
        (False, False, False, False, False),
        (False, False, False, True, False),
        (True, True, False, False, True),
        (True, True, False, True, True),
        (False, True, False, True, True),
        (False, True, True, False, False),
    ],
)
def test_changes_right(active, observer, holds, observes, changes):
    """What is already as asked for is no change; a right to look that is revoked leaves a full one alone."""
    right = GIVEN._replace(active=active, observer=observer, holds=holds, observes=observes)
    assert domain.changes_right(right) is changes


@pytest.mark.rule("ORG-10")
@pytest.mark.parametrize("parent, provincial", [(row(420, 42, "1.42.420."), 42), (CENTRE, 8)])
def test_new_org(parent, provincial):
    """ORG-10: a new organisation stands below its superior, last in the order, and shares its place."""
    data = {**NAMES, "also": "", "bigrams": ["学院"], "spoken": ["学院"], "phone": "1", "division_code": "42"}
    made = domain.new_org(8, parent, "branch", "mixed", data)
    place = {
        "org_id": 8,
        "parent_id": parent["org_id"],
        "path": f"{parent['path']}8.",
        "provincial_id": provincial,
        "display_order": 8,
    }
    assert made == row(kind="branch", purpose="mixed", secretary_id=None) | data | place
