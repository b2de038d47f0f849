"""The rules of organisations without a database."""

import pytest

from services.orgs import domain, seed
from shared import reference


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


@pytest.mark.rule("ORG-24")
@pytest.mark.parametrize(
    "org_id, after, ids",
    [
        (3, None, [3, 1, 2, 4]),
        (1, None, [1, 2, 3, 4]),
        (3, 3, [1, 2, 3, 4]),
        (1, 1, [1, 2, 3, 4]),
        (1, 2, [2, 1, 3, 4]),
        (1, 4, [2, 3, 4, 1]),
        (4, 1, [1, 4, 2, 3]),
        (4, 3, [1, 2, 3, 4]),
    ],
)
def test_put_after(org_id, after, ids):
    """ORG-24: an organisation is put right behind another, or first."""
    assert domain.put_after([1, 2, 3, 4], org_id, after) == ids


@pytest.mark.rule("ORG-24")
@pytest.mark.parametrize(
    "orders, places",
    [
        ([], []),
        ([7], [7]),
        ([1, 2, 5], [1, 2, 5]),
        ([5, 1, 2], [5, 6, 7]),
        ([1, 9, 2, 10], [1, 9, 10, 11]),
        ([4, 4, 4], [4, 5, 6]),
        ([-3, -9], [-3, -2]),
    ],
)
def test_places(orders, places):
    """ORG-24: places rise, and stay as they are as long as they do."""
    assert domain.places(orders) == places


CLASS = {"org_id": 30, "parent_id": 20, "provincial_id": 10, "path": "1.10.20.30.", "kind": "branch"}
ELSEWHERE = {"org_id": 21, "parent_id": 10, "provincial_id": 10, "path": "1.10.21.", "kind": "committee"}
MIGRATIONS = [
    (CLASS, ELSEWHERE, None),
    (CLASS | {"parent_id": None}, ELSEWHERE, "migration_provincial"),
    (CLASS | {"org_id": 10}, ELSEWHERE, "migration_provincial"),
    (CLASS, ELSEWHERE | {"provincial_id": 11}, "migration_across"),
    (CLASS, ELSEWHERE | {"path": "1.10.20.30.40."}, "migration_inside"),
    (CLASS, CLASS, "migration_inside"),
    (CLASS, ELSEWHERE | {"org_id": 20, "path": "1.10.20."}, "migration_nowhere"),
    (CLASS, ELSEWHERE | {"kind": "branch"}, "migration_branch"),
]


@pytest.mark.rule("MIG-01", "MIG-02", "MIG-05", "MIG-06", "MIG-07")
@pytest.mark.parametrize("org, to, code", MIGRATIONS)
def test_check_migration(org, to, code):
    """MIG-01, MIG-02, MIG-05..07: inside one province, to where it is not yet, below no branch."""
    refusal = domain.check_migration(org, to)
    assert (refusal.code if refusal else None) == code


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
