"""Beijing's organisations, and the people in them; all of it invented. Codes are texts, names full width."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

ROOT = ("BJ-0001", "", "leading_body", "共青团北京市委员会", "010-65270000")
SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
GIVEN = "安邦博晨达恩芳国浩洁军凯丽明宁鹏清然书婷文晓雅泽"
SCHOOLS = (("燕园大学", "YY"), ("西山理工大学", "XS"), ("什刹海师范学院", "SC"))
FACULTIES = ("软件学院", "外国语学院", "机械学院")
WIDE = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}
"""From half width to full width, as its clerks type."""


def organisations() -> list[tuple[str, str, str, str, str]]:
    """Return code, parent, kind, name and telephone; parents come first."""
    city = "BJ-JY-0001"
    rows = [ROOT, (city, ROOT[0], "work_committee", "共青团北京市教育工作委员会", "010-65270001")]
    for school, short in SCHOOLS:
        university = f"BJ-{short}-0001"
        rows.append((university, city, "committee", f"共青团{school}委员会", "010-62750001"))
        for n, faculty in enumerate(FACULTIES, 1):
            code = f"BJ-{short}-{n}000"
            rows.append((code, university, "committee", f"共青团{school}{faculty}委员会", f"010-6275{n}000"))
            for k in (1, 2):
                name = (
                    f"共青团{school}{faculty}{'2026级'.translate(WIDE)}{str(k).translate(WIDE)}班支部委员会"
                )
                rows.append((f"BJ-{short}-{n}00{k}", code, "branch", name, f"010-6275{n}00{k}"))
    return rows


def people(seed: int, count: int, branches: list[str]) -> list[dict[str, Any]]:
    """Return members of a new registry, with numbers that no other system's seed makes."""
    dice = random.Random(f"BJ/{seed}")
    year = date.today().year
    made = []
    for nth in range(1, count + 1):
        born = date(year - dice.randrange(16, 27), dice.randrange(1, 13), dice.randrange(1, 29))
        seventeen = f"{110101 + nth // 1000}{born:%Y%m%d}{nth % 1000:03}"
        made.append(
            {
                "id": f"BJ-T-{nth:06d}",
                "number": seventeen + last_place(seventeen),
                "name": dice.choice(SURNAMES) + "".join(dice.sample(GIVEN, dice.choice((1, 2)))),
                "joined_on": str(born + timedelta(days=365 * 14 + dice.randrange(600))),
                "phone": f"1380000{nth % 10_000:04d}",
                "branch": dice.choice(branches),
                "since": f"{year - 1}-09-01",
            }
        )
    return made


def last_place(seventeen: str) -> str:
    """Return the check digit of an ID number, by GB 11643: 2 to the power of its place, modulo 11."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(seventeen))
    return "10X98765432"[total % 11]
