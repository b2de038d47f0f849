"""The provinces as a grid that reads like the map, by their codes of GB/T 2260."""

from __future__ import annotations

from typing import NamedTuple

from shared.translations import N_

PLACES = {  # column, row
    "65": (1, 2),
    "54": (2, 5),
    "63": (3, 4),
    "62": (4, 3),
    "64": (5, 3),
    "15": (6, 2),
    "51": (4, 5),
    "50": (5, 5),
    "53": (4, 6),
    "52": (5, 6),
    "45": (6, 7),
    "46": (7, 8),
    "44": (7, 7),
    "43": (6, 6),
    "42": (6, 5),
    "61": (5, 4),
    "14": (6, 3),
    "13": (7, 3),
    "11": (7, 2),
    "12": (8, 3),
    "41": (6, 4),
    "37": (7, 4),
    "34": (7, 5),
    "32": (8, 4),
    "31": (9, 5),
    "33": (8, 5),
    "36": (7, 6),
    "35": (8, 6),
    "21": (9, 3),
    "22": (9, 2),
    "23": (9, 1),
}

NAMES = {
    "11": N_("北京"),
    "12": N_("天津"),
    "13": N_("河北"),
    "14": N_("山西"),
    "15": N_("内蒙古"),
    "21": N_("辽宁"),
    "22": N_("吉林"),
    "23": N_("黑龙江"),
    "31": N_("上海"),
    "32": N_("江苏"),
    "33": N_("浙江"),
    "34": N_("安徽"),
    "35": N_("福建"),
    "36": N_("江西"),
    "37": N_("山东"),
    "41": N_("河南"),
    "42": N_("湖北"),
    "43": N_("湖南"),
    "44": N_("广东"),
    "45": N_("广西"),
    "46": N_("海南"),
    "50": N_("重庆"),
    "51": N_("四川"),
    "52": N_("贵州"),
    "53": N_("云南"),
    "54": N_("西藏"),
    "61": N_("陕西"),
    "62": N_("甘肃"),
    "63": N_("青海"),
    "64": N_("宁夏"),
    "65": N_("新疆"),
}
"""What a tile has room for: the name without what all have in common; in English the letters of GB/T 2260.

The whole name is its title.
"""


class Tile(NamedTuple):
    """A province on the map: where it lies, what it is called and what it says.

    `colour` is `none` (nothing to say), `calm`, `soon` or `late`; `title` has the whole name and the
    figures.
    """

    name: str
    column: int
    row: int
    colour: str
    number: int | str
    title: str
