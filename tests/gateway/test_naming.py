"""What organisations are called in lists."""

import pytest

from services.gateway.kit.naming import within

UNIVERSITY = "共青团武汉大学委员会"


@pytest.mark.parametrize(
    "name, of, said",
    [
        ("共青团武汉大学计算机学院委员会", UNIVERSITY, "计算机学院团委"),
        ("共青团武汉大学计算机学院2022级1班支部委员会", UNIVERSITY, "计算机学院2022级1班团支部"),
        ("共青团武汉大学计算机学院委员会", "共青团湖北省委员会", "武汉大学计算机学院团委"),
        ("共青团湖北省武汉市洪山区委员会", "共青团湖北省委员会", "武汉市洪山区团委"),
        ("共青团江夏区藏龙岛工作委员会", "", "江夏区藏龙岛团工委"),
        ("共青团某集团总支部委员会", "", "某集团团总支"),
        ("共青团江夏区藏龙岛流动团员团支部", "共青团江夏区藏龙岛工作委员会", "流动团员团支部"),
        ("共青团武汉大学延迟毕业团组织", UNIVERSITY, "延迟毕业团组织"),
        (UNIVERSITY, UNIVERSITY, "武汉大学团委"),
        ("中国共产主义青年团中央委员会", "", "中国共产主义青年团中央委员会"),
        ("青工委", UNIVERSITY, "青工委"),
    ],
)
def test_a_list_says_what_its_head_does_not(name, of, said):
    """What stands above all of a list is left out of its names; what is no such name stays whole."""
    assert within(name, of) == said
