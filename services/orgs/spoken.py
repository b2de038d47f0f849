"""How people call organisations, and how what they write is read (SRCH-10). Pure.

Stored are full names such as 共青团武汉大学计算机学院委员会; people say 武汉大学团委, 武大, 武大计算机,
湖北团省委, 团东城区委, 软件工程1班团支部. Committees get the forms that a rule can make of their own names
(`forms`); they are few, so a branch costs nothing. A branch is found below its committee: a text is read
as the name of a committee and the rest (`read`), and the rest is compared with the names that stand
there (`closeness`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from services.orgs.domain import normalise

LEAGUE = "共青团"
_LEAGUES = ("中国共产主义青年团", LEAGUE)
ENDS = (("团委", "委员会"), ("团工委", "工作委员会"), ("团总支", "总支部委员会"), ("团支部", "支部委员会"))
"""What short names end with, and full names for it."""
SHORTEST, LONGEST = 2, 24
"""Characters of a form."""
MOST = 24
"""Forms of one organisation."""

_PLACE = "省市县区州盟旗"
_COMMITTEE, _BRANCH = "committee", "branch"
_SAID_ENDS = {
    "团工作委员会": _COMMITTEE,
    "总支部委员会": _COMMITTEE,
    "支部委员会": _BRANCH,
    "工作委员会": _COMMITTEE,
    "委员会": _COMMITTEE,
    "团总支部": _COMMITTEE,
    "团总支": _COMMITTEE,
    "团支部": _BRANCH,
    "团工委": _COMMITTEE,
    "团委会": _COMMITTEE,
    "团委": _COMMITTEE,
    "总支": _COMMITTEE,
    "支部": _BRANCH,
    "工委": _COMMITTEE,
}
"""What the names that people write end with, the longest first, and what is meant."""
_LEVEL = re.compile(rf"(.*)团([{_PLACE}])委$")
"""湖北团省委, 武汉团市委; without a place the searcher's own is meant."""
_LED = re.compile(rf"团(.+[{_PLACE}])委$")
"""团东城区委."""
_YEAR = re.compile(r"(?<!\d)(\d\d)级")
_CLASS = re.compile(r"([一二三四五六七八九]?十?[一二三四五六七八九十])(?=班)")
_NUMERALS = {sign: at for at, sign in enumerate("一二三四五六七八九", start=1)}

_AUTONOMOUS = re.compile(r"(.+?)自治(区|州|县|旗)$")
_STREET = re.compile(r"(.{2,})(街道|地区|镇|乡|苏木)(办事处)?$")
_DIVISION = re.compile(rf"(.{{2,}})(地区|林区|特区|新区|[{_PLACE}])$")
_PEOPLES = (
    # the longest first
    *("乌孜别克", "柯尔克孜", "维吾尔", "哈萨克", "达斡尔", "塔吉克", "俄罗斯", "鄂温克", "鄂伦春"),
    *("蒙古", "布依", "朝鲜", "土家", "哈尼", "傈僳", "拉祜", "东乡", "纳西", "景颇", "仫佬", "布朗", "撒拉"),
    *("毛南", "仡佬", "锡伯", "阿昌", "普米", "德昂", "保安", "裕固", "独龙"),
    *(
        "回",
        "藏",
        "苗",
        "彝",
        "壮",
        "满",
        "侗",
        "瑶",
        "白",
        "傣",
        "黎",
        "佤",
        "畲",
        "水",
        "土",
        "羌",
        "怒",
        "各",
    ),
)
_SCHOOL = re.compile(r"(.{2,})(大学|学院|学校)$")
_VOCATIONAL = re.compile(r"(.{2,})(?:职业技术|职业|高等专科|专科)(学院|学校|大学)$")
_FACULTY = re.compile(r"(.{2,})(学院|学部|系|书院)$")
_SUBJECT_ENDS = ("科学与技术", "科学技术", "科学与工程", "与工程", "工程", "科学", "与技术", "技术")
_WHOLE_COUNTRY = ("中国", "中央", "全国")
_DATA = Path(__file__).parent / "data" / "spoken.tsv"


def stem(full_name: str) -> str:
    """Return what the names below begin with: a full name without 共青团 and the ending of its kind."""
    name = normalise(full_name).removeprefix(LEAGUE)
    # The longest ending first: 委员会 is the end of the others.
    for _, full in sorted(ENDS, key=lambda pair: -len(pair[1])):
        if name.endswith(full):
            return name.removesuffix(full)
    return name


# ---- the forms of an organisation ------------------------------------------------------------------


@cache
def _given() -> dict[str, tuple[str, ...]]:
    """Return the forms that no rule makes, by the name without 共青团 and its ending."""
    lines = (line.split("\t") for line in _DATA.read_text("utf-8").splitlines() if line)
    return {name: tuple(said.split(";")) for name, said in lines}


def forms(kind: str, names: Iterable[str]) -> list[str]:
    """Return the ways in which people call an organisation, without 共青团, ending or kind (SRCH-10).

    They follow from its own names alone, so that nothing above has to be looked at, and a move
    changes none of them. Branches have none.

    Args:
        kind: Of the organisation.
        names: Its full, short and former names.

    """
    if kind == _BRANCH:
        return []
    owns = list(dict.fromkeys(_without_end(_bare(normalise(name)))[0] for name in names if name))
    said: list[str] = []
    for own in owns:
        said += [own, *_given().get(own, ())]
        # of a name that says where the organisation is, too, the end is enough
        if not any(own != other and own.endswith(other) for other in owns):
            said += [*_place_forms(own), *_school_forms(own)]
    fitting = (one for one in dict.fromkeys(said) if SHORTEST <= len(one) <= LONGEST)
    return list(fitting)[:MOST]


def _place_forms(own: str) -> list[str]:
    """Return a place without the word for its level: 湖北, 东城, 恩施州, 关山."""
    autonomous = _AUTONOMOUS.fullmatch(own)
    if autonomous is not None:
        short = _without_peoples(autonomous[1])
        return [short, short + autonomous[2], f"{short}自治{autonomous[2]}"]
    street = _STREET.fullmatch(own)
    if street is not None:
        said = [street[1], street[1] + street[2]]
        return [*said, f"{street[1]}街"] if street[2] == "街道" else said
    division = _DIVISION.fullmatch(own)
    return [division[1]] if division is not None else []


def _without_peoples(place: str) -> str:
    """Return the name of a place without those of peoples: 恩施 for 恩施土家族苗族."""
    changed = True
    while changed:
        changed = False
        for people in _PEOPLES:
            for name in (f"{people}族", people) if len(people) > 1 else (f"{people}族",):
                if place.endswith(name) and len(place) - len(name) >= SHORTEST:
                    place, changed = place.removesuffix(name), True
    return place


def _school_forms(own: str) -> list[str]:
    """Return short forms of a school or a faculty: 武大, 浙工大, 哈工大, 武汉理工, 黄冈职院, 计算机."""
    for country in _WHOLE_COUNTRY:
        if own.startswith(country) and len(own) > 5:
            # 中国海洋大学 is 中海大 as well as 海大
            return [*_school(own), *_school(own.removeprefix(country))]
    return _school(own)


def _school(own: str) -> list[str]:
    vocational = _VOCATIONAL.fullmatch(own)
    if vocational is not None:
        place, kind = vocational[1], vocational[2]
        return [f"{place}职{kind[-1] if kind != '学院' else '院'}", f"{place[0]}职院", f"{place}职业{kind}"]
    school = _SCHOOL.fullmatch(own)
    if school is not None and school[2] == "大学":
        name = school[1]
        if len(name) <= 3:  # 武汉大学: 武大
            return [f"{name[0]}大", f"{name}大"]
        place, subject = _split_place(name)
        first = subject[0]
        return [
            name,
            f"{place[0]}{first}大",
            f"{place}{first}大",
            f"{place[0]}{first}",
            f"{place[0]}{subject}",
            f"{place}{subject[:2]}大",
            f"{place[0]}{subject[:2]}大",
            # 华中科技大学: 华科; 杭州电子科技大学: 杭电
            f"{place}{first}",
        ]
    faculty = _FACULTY.fullmatch(own)
    if faculty is not None:
        head = _subject(faculty[1])
        return list(dict.fromkeys([faculty[1], head, f"{head}{faculty[2]}"]))
    return []


def _split_place(name: str) -> tuple[str, str]:
    """Return the place, or what stands for it, and the subject of a university's name."""
    at = 3 if name.startswith(("哈尔滨", "内蒙古", "黑龙江", "石家庄", "齐齐哈")) else 2
    return name[:at], name[at:]


def _subject(name: str) -> str:
    """Return what is left of a subject without science, engineering and technology: 计算机, 电气, 机械."""
    for end in _SUBJECT_ENDS:
        if name.endswith(end) and len(name) - len(end) >= SHORTEST:
            return _subject(name.removesuffix(end))
    return name


# ---- what people write -----------------------------------------------------------------------------


class Said(NamedTuple):
    """What somebody writes, read."""

    stems: tuple[str, ...]
    """Without 共青团 and the ending of a kind; several where it may be read in several ways."""
    kind: str
    """`committee` or `branch` where the ending says it, else empty."""
    level: str
    """The word for a level where nothing else is said: 省 for 团省委."""


def read(text: str) -> Said:
    """Return what a normalised text means (SRCH-10)."""
    bare = _bare(text)
    level = _LEVEL.fullmatch(bare)
    if level is not None:
        place, word = level[1], level[2]
        if not place:
            return Said((), _COMMITTEE, word)
        # 广西团区委 is that of an autonomous region
        stems = [place] if place.endswith(word) else [place + word, place]
        return Said(tuple(stems), _COMMITTEE, "")
    led = _LED.fullmatch(bare)
    if led is not None:
        return Said((led[1],), _COMMITTEE, "")
    own, kind = _without_end(bare)
    stems = [own, plain_class(own)]
    return Said(tuple(dict.fromkeys(one for one in stems if one)), kind, "")


def plain_class(text: str) -> str:
    """Return a text with years and numbers of classes as they are stored: 22级软工一班 is 2022级软工1班."""
    return _CLASS.sub(lambda found: str(_number(found[1])), _YEAR.sub(r"20\1级", text))


def _number(signs: str) -> int:
    tens, ten, ones = signs.rpartition("十")
    return (_NUMERALS.get(tens, 1) * 10 if ten else 0) + _NUMERALS.get(ones, 0)


def own_name(short_name: str) -> str:
    """Return a short name without its ending: 武汉市 for 武汉市团委."""
    return _without_end(normalise(short_name))[0]


def _bare(text: str) -> str:
    for name in _LEAGUES:
        text = text.removeprefix(name)
    return text


def _without_end(text: str) -> tuple[str, str]:
    for end, kind in _SAID_ENDS.items():
        if text.endswith(end) and len(text) > len(end):
            return text.removesuffix(end), kind
    return text, ""


def beginnings(text: str) -> list[str]:
    """Return what may be the name of a committee at the beginning of a text, the longest first."""
    return [text[:n] for n in range(min(len(text), LONGEST), SHORTEST - 1, -1)]


def pattern(rest: str) -> str:
    """Return a pattern of LIKE that holds for names which have the characters in this order."""
    escaped = (f"\\{sign}" if sign in "%_\\" else sign for sign in rest)
    return f"%{'%'.join(escaped)}%"


def closeness(rest: str, name: str) -> int | None:
    """Return in how many pieces a name has a text, in its order: 1 where it stands there as it is.

    None where it does not have it. A number is one piece: 1班 is not in 11班.
    """
    at = pieces = 0
    while rest:
        for length in range(len(rest), 0, -1):
            found = _find(name, rest[:length], at)
            if found >= 0:
                break
        else:
            return None
        at, rest, pieces = found + length, rest[length:], pieces + 1
    return pieces


def _find(name: str, piece: str, at: int) -> int:
    """Return where a piece stands whose numbers are not cut in two, -1 for nowhere."""
    while (at := name.find(piece, at)) >= 0:
        end = at + len(piece)
        cut_before = piece[0].isdigit() and at > 0 and name[at - 1].isdigit()
        cut_after = piece[-1].isdigit() and end < len(name) and name[end].isdigit()
        if not cut_before and not cut_after:
            return at
        at += 1
    return -1
