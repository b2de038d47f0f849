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
