"""Names of branches in remarks, the rules that spread people over branches, phrases of one person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transfers.queue import rules
from shared.messages import MAX_ITEMS
from shared.messages.words import AssignRule, Unplaced

HEAD = "共青团某大学计算机学院委员会"


def branch(branch_id, name, members=0):
    return rules.Branch(branch_id, f"共青团某大学计算机学院{name}支部委员会", HEAD, members)


BRANCHES = [
    branch(1, "2026级软件工程1班", 30),
    branch(2, "2026级软件工程2班", 28),
    branch(3, "2026级软件工程11班", 1),
    branch(4, "2026级网络工程1班", 0),
]


def placed(rule, *said, branches=BRANCHES, source=99):
    waiting = [rules.Waits(n, source, text) for n, text in enumerate(said)]
    return [branch or why for branch, why in rules.place(rule, waiting, branches)]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("您好,我是2026级软件工程1班的新生", 1),
        ("软件工程2班 13800000000", 2),
        ("软件工程二班", 2),
        ("软件工程11班", 3),
        ("26级软件工程 1 班", 1),
        ("网络工程1班和软件工程1班", Unplaced.SEVERAL),
        ("我是新生", Unplaced.NO_MATCH),
        ("", Unplaced.NO_MATCH),
        ("1班", Unplaced.NO_MATCH),
    ],
)
def test_a_class_is_found_by_its_name(said, found):
    assert placed(AssignRule.CLASS_NAME, said) == [found]


@pytest.mark.parametrize(
    ("name", "said", "found"),
    [
        ("1号楼", "1号楼", 1),
        ("1号楼", "住a1号楼", 1),
        ("1号楼", "11号楼", Unplaced.NO_MATCH),
        ("1号楼", "住在a11号楼", Unplaced.NO_MATCH),
        ("1号楼", "11号楼,不,1号楼", 1),
        ("软件工程1", "我是2软件工程1", 1),
        ("第1小组", "2第1小组", 1),
    ],
)
def test_a_number_is_not_cut_in_two(name, said, found):
    """ASG-01: a name that begins with a number stands only where the number begins."""
    assert placed(AssignRule.CLASS_NAME, said, branches=[branch(1, name)]) == [found]


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("2026级软件工程1班", ["2026级软件工程1班", "26级软件工程1班", "软件工程1班"]),
        ("26级软件工程1班", ["26级软件工程1班", "软件工程1班"]),
        ("软工班", ["软工班"]),
        ("一班", []),
    ],
)
def test_forms(name, forms):
    """A class is called with its year and without; a form of two characters says too little."""
    assert rules.forms(branch(1, name)) == forms


@pytest.mark.parametrize(
    ("name", "programme"),
    [
        ("2026级软件工程1班", "软件工程"),
        ("2026级数学1班", "数学"),
        ("2026级法1班", ""),
        ("数学社", ""),
    ],
)
def test_programme(name, programme):
    """A programme has a name of two characters, and its class more than that."""
    assert rules.programme(branch(1, name)) == programme


def test_limits():
    """Twenty views of one person in one organisation; a plan fills one command."""
    assert rules.check_views(19, True) is None and rules.check_views(20, False) is None
    assert rules.check_views(20, True).code == "too_many_views"
    assert rules.ROWS == MAX_ITEMS


def test_a_programme_is_spread_over_its_classes():
    """The smallest class takes the next one; who names no programme is left."""
    assert placed(AssignRule.PROGRAMME, *["软件工程专业"] * 3, "数学") == [3, 3, 3, Unplaced.NO_MATCH]
    few = [branch(1, "2026级软件工程1班", 5), branch(2, "2026级软件工程2班", 4)]
    assert placed(AssignRule.PROGRAMME, *["软件工程"] * 4, branches=few) == [2, 1, 2, 1]


def test_round_robin_evens_sizes_and_leaves_the_old_branch_out():
    few = [branch(1, "一班", 3), branch(2, "二班", 3), branch(3, "三班", 3)]
    assert placed(AssignRule.ROUND_ROBIN, *[""] * 4, branches=few) == [1, 2, 3, 1]
    assert placed(AssignRule.ROUND_ROBIN, *[""] * 2, branches=few, source=1) == [2, 3]
    assert placed(AssignRule.ROUND_ROBIN, "", branches=few[:1], source=1) == [Unplaced.NO_MATCH]
    assert placed(AssignRule.ROUND_ROBIN, "", branches=[]) == [Unplaced.NO_BRANCH]


@given(st.lists(st.text(max_size=40), max_size=20), st.sampled_from(list(AssignRule)))
def test_everybody_is_placed_or_told_why(said, rule):
    """Whatever stands in a remark; and a plan that is made twice is the same."""
    found = placed(rule, *said)
    assert len(found) == len(said)
    assert all(one in {1, 2, 3, 4, *Unplaced} for one in found)
    assert found == placed(rule, *said)


def test_the_longest_text_costs_little():
    many = [branch(n, f"2026级软件工程{n}班") for n in range(1, 501)]
    assert placed(AssignRule.CLASS_NAME, *["软件工程" * 25] * 500, branches=many) == [Unplaced.NO_MATCH] * 500


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("请补充单位团组织全称", True),
        ("好", True),
        ("x" * 200, True),
        ("x" * 201, False),
        (" \n ", False),
        ("请联系张三 13812345678", False),
        ("请联系 138-1234-5678", False),
        ("证件尾号四位,申请第123号", True),
        ("137１２３４５６７８", False),
    ],
)
def test_a_phrase_is_of_nobody(text, kept):
    """TRF-27: what holds a number as long as a telephone's is of one person, and not remembered."""
    assert rules.is_phrase(text) == kept
