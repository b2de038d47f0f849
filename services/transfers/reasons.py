"""The reasons of transfers, as data: classes, modes, and what each may be used for (TYPE)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MODES = ("forbid", "warn", "allow")
"""What holds for a reason and a class of destinations, the strictest first.

Refused; asked once more and shown to the approver; nothing.
"""

CLASSES: dict[str, tuple[str, str]] = {
    "township": ("乡镇街道团组织", "a township's organisation"),
    "handover": ("流动团员团支部", "a hand-over branch"),
    "household": ("工作地以外的乡镇街道团组织", "a township elsewhere than the place of work"),
    "community": ("村社区团支部", "a village's or community's branch"),
    "youth_centre": ("青年之家", "a youth centre"),
    "own_mobile": ("本校流动团员团支部", "the own school's mobile branch"),
    "own_abroad": ("本校出国(境)学习研究团支部", "the own school's study-abroad branch"),
    "own_class": ("本校班级团支部", "a class of the own school"),
    "own_school": ("本校其他团组织", "another organisation of the own school"),
    "school": ("其他学校团组织", "another school's organisation"),
    "employer": ("用人单位团组织", "an employer's organisation"),
    "other": ("其他团组织", "another organisation"),
}
"""Classes of destinations that `reasons.toml` and policies speak of (Annex A)."""

REJECTION_REASONS = {
    # TRF-27, TYPE-11: pick-list of a rejection
    "not_here": ("不在本地居住或工作", "Does not live or work here"),
    "household_elsewhere": ("应转往户籍所在地团组织", "Belongs to the organisation of the household"),
    "work_elsewhere": ("应转往工作单位所在地团组织", "Belongs to the organisation of the workplace"),
    "short_term": ("仅短期工作", "The post is only short-term"),
    "wrong_data": ("资料有误,请更正后重新发起", "The data are wrong; correct and start again"),
    "other": ("其他", "Other"),
}


@dataclass(frozen=True)
class Reason:
    """A reason of a transfer (TYPE-01).

    Attributes:
        code: Its name in data and messages.
        zh, en: Its words.
        place_name, place_address: Labels of the fields that it needs, empty for none.
        counts_in: The rate it counts in.
        graduate: One of the eight reasons of graduates (GRAD-15).
        everyone: Others may have it, too.
        rule: Where it comes from.
        to: The mode for each class of destinations.

    """

    code: str
    zh: str
    en: str
    place_name: str
    place_address: str
    counts_in: str
    graduate: bool
    everyone: bool
    rule: str
    to: dict[str, str]

    @property
    def kind(self) -> str:
        """Return whose reason it is: `graduate`, `ordinary` or `any`."""
        if self.everyone:
            return "any"
        return "graduate" if self.graduate else "ordinary"


@cache
def reasons() -> dict[str, Reason]:
    """Return the reasons by code, from `reasons.toml`."""
    data = tomllib.loads((Path(__file__).parent / "reasons.toml").read_text("utf-8"))
    return {
        code: Reason(
            code,
            entry["zh"],
            entry["en"],
            entry.get("place_name", ""),
            entry.get("place_address", ""),
            entry["counts_in"],
            entry["graduate"],
            entry.get("everyone", False),
            entry["rule"],
            entry.get("to", {}),
        )
        for code, entry in data.items()
    }
