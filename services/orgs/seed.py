"""The organisation tree of a new installation, as pure data.

It has divisions, universities and non-geographic systems. Ids are stable: a division's code is its
id (2, 4, 6, 9 or 12 digits), the root is 1, and what hangs on a division or a school has a number
made from its id with a length that no division code has.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
ROOT = 1
UNIVERSITY = "普通高等院校"
"""The industry of the schools of the tree (ORG-25)."""
_COLLAPSED = ("市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划")
"""City levels that are no cities: their counties hang on the province."""


@dataclass(frozen=True, slots=True)
class SeedOrg:
    """One organisation of the tree; parents come before children.

    Attributes:
        id: Stable number below 2**50.
        province: Two digits of the territorial province, `91`..`97` for the non-geographic systems,
            `00` for the root.
        division_code: Of its place, as near as is known (GB/T 2260); none for the root and the
            non-geographic systems.
        grad_year: Of class branches, the year in which the class graduates.

    """

    id: int
    parent_id: int | None
    kind: str
    purpose: str
    short_name: str
    full_name: str
    province: str
    division_code: str | None = None
    industry: str = ""
    grad_year: int | None = None


@cache
def divisions() -> tuple[tuple[str, str], ...]:
    """Return (code, name) of all divisions: provinces first, then cities, counties, townships."""
    with lzma.open(DATA / "divisions.tsv.xz", "rt", encoding="utf-8") as file:
        return tuple(tuple(line.rstrip("\n").split("\t")) for line in file)  # type: ignore[misc]


def _lines(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (DATA / name).read_text("utf-8").splitlines() if line]


def national_tree(*, villages: str | None = None, class_year: int = 2026) -> Iterator[SeedOrg]:
    """Yield the whole tree; with the path of a villages file, every village and community as well.

    About 87,000 organisations, with villages more than 700,000.
    """
    return _tree(lambda code: True, villages=villages, class_year=class_year)


def small_tree(*, class_year: int = 2026) -> Iterator[SeedOrg]:
    """Yield a tree for demonstrations.

    It has all provinces and cities, the counties of four provinces, the townships of their first
    cities, and all schools.
    """
    return _tree(
        lambda code: (
            len(code) <= 4 or (code[:2] in ("42", "33", "61", "32") and (len(code) == 6 or code[2:4] == "01"))
        ),
        class_year=class_year,
    )


def _tree(
    wanted: Callable[[str], bool], *, villages: str | None = None, class_year: int
) -> Iterator[SeedOrg]:
    yield SeedOrg(ROOT, None, "leading_body", "ordinary", "团中央", "中国共产主义青年团中央委员会", "00")
    names: dict[str, str] = {}
    for code, name in divisions():
        if wanted(code):
            yield from _division(code, name, names)
    yield from _systems()
    yield from _schools(class_year)
    if villages is not None:
        yield from _villages(villages, names)


def _division(code: str, name: str, names: dict[str, str]) -> Iterator[SeedOrg]:
    """Yield what a division has of its own; `names` keeps the full names of divisions along the way."""
    province = code[:2]
    if len(code) == 9:
        above = names.get(code[:6], "")
    elif len(code) == 6:
        above = names.get(code[:4], names.get(province, ""))
    else:
        above = names.get(province, "")
    # Such a level is no organisation and has no name for those below, so their names begin with the province.
    if len(code) == 4 and name in _COLLAPSED:
        return
    place = above + name
    names[code] = place
    if len(code) == 9:
        yield from _township(code, name, place)
        return
    if len(code) == 2:
        parent = ROOT
    else:
        parent = int(code[:4]) if len(code) == 6 and code[:4] in names else int(province)
    yield _leading_body(code, parent, name, place, province, code)
    if len(code) == 2:
        yield _vault(code, name, province, code)


def _leading_body(
    code: str, parent: int, name: str, place: str, province: str, division_code: str | None
) -> SeedOrg:
    names = f"{name}团委", f"共青团{place}委员会"
    return SeedOrg(int(code), parent, "leading_body", "ordinary", *names, province, division_code)


def _vault(code: str, name: str, province: str, division_code: str | None) -> SeedOrg:
    """Return the special-unit library of a provincial body."""
    names = "特殊单位专属库", f"{name}特殊单位专属库"
    return SeedOrg(int(code) * 1000 + 999, int(code), "branch", "vault", *names, province, division_code)


def _township(code: str, name: str, place: str) -> Iterator[SeedOrg]:
    """Yield a township or sub-district, and its hand-over branch (ORG-28)."""
    is_rural = name.endswith(("镇", "乡", "苏木"))
    yield SeedOrg(
        int(code),
        int(code[:6]),
        "committee" if is_rural else "work_committee",
        "township",
        f"{name}团{'委' if is_rural else '工委'}",
        f"共青团{place}{'' if is_rural else '工作'}委员会",
        code[:2],
        code,
    )
    label = "流动团员团支部"
    names = label, f"共青团{place}{label}"
    yield SeedOrg(int(code) * 10 + 1, int(code), "branch", "handover", *names, code[:2], code)


def _villages(path: str, names: dict[str, str]) -> Iterator[SeedOrg]:
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            code, name = line.rstrip("\n").split("\t")
            if code[:9] in names:
                yield SeedOrg(
                    int(code),
                    int(code[:9]),
                    "branch",
                    "ordinary",
                    f"{name}团支部",
                    f"共青团{names[code[:9]]}{name}支部委员会",
                    code[:2],
                    code,
                )


def _systems() -> Iterator[SeedOrg]:
    for code, name, employers in _lines("systems.tsv"):
        yield _leading_body(code, ROOT, name, name, code, None)
        yield _vault(code, name, code, None)
        for number, employer in enumerate(employers.split(";"), start=1):
            yield from _employer(code, int(code) * 100 + number, employer)


def _employer(code: str, committee: int, employer: str) -> Iterator[SeedOrg]:
    """Yield the committee of a system's employer and its branches."""
    names = f"{employer}团委", f"共青团{employer}委员会"
    yield SeedOrg(committee, int(code), "committee", "ordinary", *names, code, industry="国有企业")
    for branch, department in enumerate(("机关", "生产一线", "青年人才"), start=1):
        names = f"{department}团支部", f"共青团{employer}{department}支部委员会"
        yield SeedOrg(committee * 1000 + branch, committee, "branch", "ordinary", *names, code)


_SPECIAL = (
    ("study_abroad", "出国（境）学习研究团员团支部"),
    ("floating", "毕业学生流动团员团支部"),
    ("delayed", "延迟毕业团组织"),
    ("teachers", "教师团支部"),
)


def _schools(class_year: int) -> Iterator[SeedOrg]:
    for number, (province, name, colleges) in enumerate(_lines("schools.tsv"), start=1):
        school = 1_000_000 + number
        place = province, province, UNIVERSITY
        names = f"{name}团委", f"共青团{name}委员会"
        yield SeedOrg(school, int(province), "committee", "ordinary", *names, *place)
        for at, (purpose, label) in enumerate(_SPECIAL):
            names = label, f"共青团{name}{label}"
            yield SeedOrg(school * 100 + 90 + at, school, "branch", purpose, *names, *place)
        for at, entry in enumerate(colleges.split(";"), start=1):
            college_name, _, programmes = entry.partition(":")
            college = school * 100 + at
            names = f"{college_name}团委", f"共青团{name}{college_name}委员会"
            yield SeedOrg(college, school, "committee", "ordinary", *names, *place)
            yield from _classes(college, name + college_name, programmes.split(","), class_year, province)


def _classes(
    college: int, name: str, programmes: list[str], class_year: int, province: str
) -> Iterator[SeedOrg]:
    """Yield the class branches of a college: six of each programme, and one of postgraduates."""
    classes = [
        (f"{class_year - 4}级{programme}{n}班", class_year) for programme in programmes for n in range(1, 7)
    ]
    # postgraduates have come this year and stay for three
    classes.append((f"{class_year}级研究生", class_year + 3))
    for branch, (label, year) in enumerate(classes, start=1):
        yield SeedOrg(
            college * 100 + branch,
            college,
            "branch",
            "ordinary",
            f"{label}团支部",
            f"共青团{name}{label}支部委员会",
            province,
            province,
            UNIVERSITY,
            year,
        )
