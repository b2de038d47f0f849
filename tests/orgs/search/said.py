"""How people call organisations: a table made by rule from a tree, and how much of it is found (SRCH-10).

The rules here are those of the people who speak, not those of the code that reads: the short names of
universities are written down by hand, and what officials and students leave out is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

HIT = 5
"""A rank up to this counts as found: it is seen without scrolling."""

SCHOOLS = {
    "武汉大学": "武大",
    "华中科技大学": "华科",
    "华中师范大学": "华师",
    "武汉理工大学": "武汉理工",
    "华中农业大学": "华农",
    "浙江大学": "浙大",
    "浙江工业大学": "浙工大",
    "浙江师范大学": "浙师大",
    "宁波大学": "宁大",
    "杭州电子科技大学": "杭电",
    "西安交通大学": "西交大",
    "西北工业大学": "西工大",
    "西安电子科技大学": "西电",
    "陕西师范大学": "陕师大",
    "南京大学": "南大",
    "东南大学": "东大",
    "苏州大学": "苏大",
    "南京师范大学": "南师大",
    "江南大学": "江大",
    "山东大学": "山大",
    "中国海洋大学": "海大",
    "四川大学": "川大",
    "电子科技大学": "成电",
    "西南交通大学": "西南交大",
    "郑州大学": "郑大",
    "河南大学": "河大",
    "湖南师范大学": "湖南师大",
    "复旦大学": "复旦",
    "上海交通大学": "上海交大",
    "同济大学": "同济",
    "清华大学": "清华",
    "北京大学": "北大",
    "中国人民大学": "人大",
    "中山大学": "中大",
    "华南理工大学": "华工",
    "厦门大学": "厦大",
    "中国科学技术大学": "中科大",
    "安徽大学": "安大",
    "吉林大学": "吉大",
    "大连理工大学": "大工",
    "哈尔滨工业大学": "哈工大",
    "南开大学": "南开",
    "天津大学": "天大",
    "重庆大学": "重大",
    "兰州大学": "兰大",
    "海南大学": "海大",
}
SUBJECTS = {
    "计算机科学与技术学院": "计算机",
    "计算机科学技术学院": "计算机",
    "计算机学院": "计算机",
    "经济与管理学院": "经管",
    "水利水电学院": "水院",
    "外国语言文学学院": "外院",
    "电气与电子工程学院": "电气",
    "机械科学与工程学院": "机械",
    "机械工程学院": "机械",
    "电气工程学院": "电气",
    "土木工程学院": "土木",
    "材料科学与工程学院": "材料",
    "信息科学与工程学院": "信息",
    "数学与统计学学院": "数统",
    "教育科学学院": "教科",
    "化学化工学院": "化工",
    "管理学院": "管院",
    "医学院": "医学院",
}
PROGRAMMES = {
    "软件工程": "软工",
    "计算机科学与技术": "计科",
    "电气工程及其自动化": "电气",
    "会计学": "会计",
    "土木工程": "土木",
    "汉语言文学": "汉语言",
}


class One(Protocol):
    """What is read of an organisation of the tree."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def parent_id(self) -> int | None:
        """The number of its superior."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def purpose(self) -> str:
        """Its purpose."""

    @property
    def short_name(self) -> str:
        """Its short name."""

    @property
    def full_name(self) -> str:
        """Its full name."""


class Spoken(NamedTuple):
    """A way to call an organisation, and from where it is said; None: by somebody who belongs nowhere."""

    text: str
    org_id: int
    near: int | None
    rule: str


def _every(items: Sequence[One], count: int) -> list[One]:
    """Return so many of a list, from all over it."""
    return list(items[:: max(1, len(items) // count)][:count])


def table(tree: Iterable[One]) -> list[Spoken]:
    """Return the ways in which people call organisations of a national tree, at least 300."""
    orgs = {org.id: org for org in tree}
    below: dict[int | None, list[One]] = {}
    for org in orgs.values():
        below.setdefault(org.parent_id, []).append(org)
    return [
        *_places(orgs, below),
        *_townships(orgs, below),
        *_schools(orgs, below),
        *_villages(orgs, below),
    ]


def _own(org: One) -> str:
    return re.sub("(团委|团工委|团支部)$", "", org.short_name)


def _places(orgs: dict[int, One], below: dict[int | None, list[One]]) -> Iterable[Spoken]:
    provinces = [org for org in below[1] if org.kind == "leading_body" and org.id < 91]
    for org in provinces:
        place = _own(org)
        if place.endswith("省"):
            yield Spoken(f"{place[:-1]}团省委", org.id, None, "湖北团省委")
            yield Spoken(f"团{place}委", org.id, None, "团湖北省委")
        elif place.endswith("市"):
            yield Spoken(f"团{place}委", org.id, None, "团北京市委")
            yield Spoken(f"{place[:-1]}团市委", org.id, None, "北京团市委")
        yield Spoken(f"{place}团委", org.id, None, "湖北省团委")
    cities = [org for one in provinces for org in below[one.id] if re.fullmatch("..市团委", org.short_name)]
    for org in _every(cities, 30):
        place = _own(org)
        yield Spoken(f"{place[:-1]}团市委", org.id, None, "武汉团市委")
        yield Spoken(f"团{place}委", org.id, None, "团武汉市委")
    states = [
        org
        for one in provinces
        for org in below[one.id]
        if re.fullmatch("..(.{1,2}族)+自治州团委", org.short_name)
    ]
    for org in _every(states, 10):
        yield Spoken(f"{org.short_name[:2]}团州委", org.id, None, "恩施团州委")
    bodies = [org for org in orgs.values() if org.kind == "leading_body" and 10**5 < org.id < 10**6]
    for org in _every(bodies, 30):
        # of a name that several counties have, the searcher's is meant
        place, near = _own(org), org.parent_id
        yield Spoken(f"团{place}委", org.id, near, "团东城区委")
        if len(place) == 3:
            yield Spoken(f"{place[:-1]}团{place[-1]}委", org.id, near, "东城团区委")
        city = orgs[org.parent_id or 1]
        if len(_own(city)) == 3 and len(place) == 3:
            yield Spoken(f"{_own(city)[:-1]}{place[:-1]}团{place[-1]}委", org.id, None, "武汉洪山团区委")


def _townships(orgs: dict[int, One], below: dict[int | None, list[One]]) -> Iterable[Spoken]:
    townships = [org for org in orgs.values() if org.purpose == "township"]
    for org in _every(townships, 30):
        county = orgs[org.parent_id or 1]
        place = _own(org)
        yield Spoken(f"{place}团委", org.id, county.id, "关山街道团委")
        yield Spoken(f"{_own(county)}{place}", org.id, None, "洪山区关山街道")
        if len(_own(county)) == 3:
            yield Spoken(f"{_own(county)[:-1]}{place}", org.id, None, "洪山关山街道")
        handover = [one for one in below.get(org.id, ()) if one.purpose == "handover"]
        for one in handover:
            yield Spoken(f"{place}流动团支部", one.id, county.id, "关山街道流动团支部")


def _schools(orgs: dict[int, One], below: dict[int | None, list[One]]) -> Iterable[Spoken]:
    named = {org.full_name: org for org in orgs.values() if org.kind == "committee"}
    for school, short in SCHOOLS.items():
        org = named.get(f"共青团{school}委员会")
        if org is None:
            continue
        yield Spoken(f"{school}团委", org.id, None, "武汉大学团委")
        yield Spoken(f"{short}团委", org.id, org.parent_id, "武大团委")
        yield Spoken(short, org.id, org.parent_id, "武大")
        colleges = [one for one in below[org.id] if one.kind == "committee"]
        for college in colleges[:2]:
            own = _own(college)
            yield Spoken(f"{own}团委", college.id, org.id, "计算机学院团委")
            yield Spoken(f"{short}{own}", college.id, None, "武大计算机学院")
            if own in SUBJECTS:
                yield Spoken(f"{short}{SUBJECTS[own]}", college.id, None, "浙大计算机")
            yield from _classes(short, college, below)


def _classes(short: str, college: One, below: dict[int | None, list[One]]) -> Iterable[Spoken]:
    classes = [one for one in below[college.id] if re.search(r"\d级.+\d班", one.short_name)]
    for org in classes[:1]:
        found = re.match(r"20(\d\d)级(.+?)(\d)班", org.short_name)
        assert found is not None
        year, programme, number = found.groups()
        yield Spoken(f"{programme}{number}班团支部", org.id, college.id, "软件工程1班团支部")
        yield Spoken(f"{year}级{programme}{number}班", org.id, college.id, "22级软件工程1班")
        yield Spoken(f"{short}{programme}{'零一二三四五六'[int(number)]}班", org.id, None, "武大软件工程一班")
        if programme in PROGRAMMES:
            yield Spoken(f"{PROGRAMMES[programme]}{number}班", org.id, college.id, "软工1班")


def _villages(orgs: dict[int, One], below: dict[int | None, list[One]]) -> Iterable[Spoken]:
    villages = [org for org in orgs.values() if org.short_name.endswith("村团支部")]
    for org in _every(villages, 30):
        township = orgs[org.parent_id or 1]
        yield Spoken(org.short_name, org.id, township.id, "东风村团支部")
        yield Spoken(f"{_own(township)}{org.short_name[:-3]}", org.id, township.parent_id, "关山街道东风村")


def missed(
    spoken: Sequence[Spoken], search: Callable[[str, int | None], Sequence[int]]
) -> list[tuple[Spoken, Sequence[int]]]:
    """Return what is not found at rank 1 to 5, with what was found instead."""
    found = [(one, search(one.text, one.near)) for one in spoken]
    return [(one, ids) for one, ids in found if one.org_id not in ids[:HIT]]


def account(spoken: Sequence[Spoken], misses: Sequence[tuple[Spoken, Sequence[int]]]) -> str:
    """Return how much is found, rule by rule, and what is not."""
    asked, lost = Counter(one.rule for one in spoken), Counter(one.rule for one, _ in misses)
    rate = 100 * (1 - len(misses) / len(spoken))
    lines = [f"{len(spoken)} spoken forms, {rate:.1f} % at rank 1 to {HIT}"]
    lines += [f"  {rule}: {asked[rule] - lost[rule]} of {asked[rule]}" for rule in asked]
    lines += [f"  not found: {one.text} ({one.org_id}, said from {one.near}): {ids}" for one, ids in misses]
    return "\n".join(lines)
