"""Synthetic people for demonstrations and tests, never a real person.

Their numbers have valid checksums and real divisions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋"
    "蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷"
    "侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰鹏飞宇浩然子轩梓涵欣怡雨桐嘉懿"
    "思远博文天佑晨曦雅婷俊杰志强晓东海燕春梅建国建华文静佳琪诗涵一诺皓轩泽楷瑞霖若曦"
)
MINORITY = ("阿依古丽·买买提", "迪丽努尔·艾合买提", "扎西·次仁", "巴图·孟和", "努尔兰·哈力克")
RARE = ("𠮷", "㐂", "䶮")
GROUPS = (
    "汉族",
    "汉族",
    "汉族",
    "汉族",
    "汉族",
    "汉族",
    "汉族",
    "汉族",
    "壮族",
    "回族",
    "满族",
    "苗族",
    "土家族",
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True)
class SyntheticPerson:
    """A person who does not exist."""

    name: str
    id_number: str
    ethnic_group: str
    phone: str
    joined_on: date
    development_number: str


def check_digit(first_17: str) -> str:
    """Return the last character of an identity number (GB 11643)."""
    return "10X98765432"[
        sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, first_17, strict=True)) % 11
    ]


def _name(rng: random.Random, number: int) -> str:
    """Draw a name; now and then one with a dot in it, or with a rare character."""
    if number % 400 == 7:
        return rng.choice(MINORITY)
    if number % 500 == 11:
        return rng.choice(SURNAMES) + rng.choice(RARE)
    return rng.choice(SURNAMES) + "".join(rng.choices(GIVEN, k=rng.choice((1, 2, 2))))


def people(
    count: int,
    *,
    rng: random.Random,
    division_codes: Sequence[str],
    birth_years: tuple[int, int] = (2001, 2005),
    start: int = 0,
) -> Iterator[SyntheticPerson]:
    """Yield `count` people, unique by number within one `start` range; the same for the same seed.

    Args:
        count: How many.
        rng: Source of chance.
        division_codes: Six-digit county codes.
        birth_years: First and last year of birth.
        start: First running number; runs that must not overlap take ranges that do not.

    """
    first_day = date(birth_years[0], 1, 1)
    days = (date(birth_years[1], 12, 31) - first_day).days
    for number in range(start, start + count):
        born = first_day + timedelta(days=(number * 7919) % days)
        division = division_codes[(number // days) % len(division_codes)]
        first_17 = f"{division}{born:%Y%m%d}{(number * 38) % 999 + 1:03d}"
        joined = date(born.year + rng.choice((14, 15, 15, 16)), rng.choice((5, 12)), 4)
        if joined < born.replace(year=born.year + 14, day=min(born.day, 28)):
            joined = joined.replace(year=joined.year + 1)
        yield SyntheticPerson(
            _name(rng, number),
            first_17 + check_digit(first_17),
            rng.choice(GROUPS),
            f"199{number % 10**8:08d}",
            joined,
            f"{joined.year}{number % 10**8:08d}" if joined.year >= 2017 else "",
        )
