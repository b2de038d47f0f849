"""The ranges of development numbers that were issued, per province and year (MEM-11).

They are read from a CSV file that a setting names.
"""

from __future__ import annotations

import csv
from pathlib import Path

from services.members.domain import Ranges


def read(path: Path) -> Ranges:
    """Return the ranges in a file of lines `province,year,first,last`, the first line being the header.

    Raises:
        ValueError: Names the line that is wrong.

    """
    found: dict[tuple[str, int], list[tuple[str, str]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, line in enumerate(csv.DictReader(file), start=2):
            first, last = line.get("first") or "", line.get("last") or ""
            if not (
                len(first) == len(last) == 12
                and first.isdigit()
                and last.isdigit()
                and first <= last
                and first[:4] == line.get("year")
            ):
                raise ValueError(
                    f"{path} line {number}: needs province,year,first,last with 12-digit numbers of that year"
                )
            found.setdefault((line["province"], int(line["year"])), []).append((first, last))
    return found
