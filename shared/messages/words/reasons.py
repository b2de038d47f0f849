"""The reasons of transfers, from `reasons.toml`: one is added there and nowhere else (TYPE-01)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shared.messages.words.code import Code
from shared.messages.words.transfers import Rejection

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Reason(Code):
    """A reason of a transfer (TYPE-01), each an entry of `reasons.toml`, which explains the fields.

    Attributes:
        place_name: Label of the first field that it needs, empty for none.
        place_address: Label of the second.
        without_employer: Whoever names an employer has another reason (TYPE-03).
        counts_in: The rate it counts in.
        graduate: One of the eight reasons of graduates (GRAD-15).
        everyone: Others may have it, too.
        stays: It is for those whose request to stay at school was approved (TYPE-14).
        destination: `chosen`, `special` (nobody chooses it, SPU-02) or `own_abroad` (TYPE-14).
        never_township: It leads to no township, whatever the policy says (TYPE-06).
        rejections: What an approver may say against it (TRF-27).
        rule: Where it comes from.
        to: The mode for each class of destinations.

    """

    _ignore_ = ["code", "entry"]

    def explain(self, zh: str, entry: Mapping[str, Any] = NOTHING) -> None:
        """Take the words and the entry of a reason; one that is not in the file has nothing of its own."""
        super().explain(zh)
        self.place_name: str = entry.get("place_name", "")
        self.place_address: str = entry.get("place_address", "")
        self.without_employer: bool = entry.get("without_employer", False)
        self.counts_in: str = entry.get("counts_in", "")
        self.graduate: bool = entry.get("graduate", False)
        self.everyone: bool = entry.get("everyone", False)
        self.stays: bool = entry.get("stays", False)
        self.destination: str = entry.get("destination", "chosen")
        self.never_township: bool = entry.get("never_township", False)
        self.rejections = tuple(Rejection(one) for one in entry.get("rejections", Rejection))
        self.rule: str = entry.get("rule", "")
        self.to: Mapping[str, str] = entry.get("to", NOTHING)

    @property
    def kind(self) -> str:
        """Return whose reason it is: `graduate`, `ordinary` or `any`."""
        if self.everyone:
            return "any"
        return "graduate" if self.graduate else "ordinary"

    @property
    def special(self) -> bool:
        """Return whether nobody chooses the destination: the provincial body's special units (SPU-02)."""
        return self.destination == "special"

    # What is named in the body of the class becomes a member of it.
    for code, entry in tomllib.loads((Path(__file__).parent / "reasons.toml").read_text("utf-8")).items():
        vars()[code] = (code, entry["zh"], entry)


def rejections_for(reasons: Iterable[str]) -> list[Rejection]:
    """Return what an approver may say against transfers of these reasons; without any, everything (TRF-27).

    Nobody who goes on to study has "only a short-term post".
    """
    fit = {one for reason in reasons for one in Reason(reason).rejections}
    return [one for one in Rejection if one in fit or not fit]
