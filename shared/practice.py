"""Settings on which the documents differ.

There is a preset for each document, and an installation may have dated entries with a scope.

What holds is decided by day and place, in this order: the entry of `TUANQIAO_PRACTICE` with the
narrowest scope, of these the latest; the environment, where a setting has a name there; the preset
of the first policy, `TUANQIAO_POLICY`; the national preset.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

PRESETS: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "practice.toml").read_text("utf-8")
)
NATIONAL = PRESETS["national"]
_CHOICES = {
    "member_delete_min_level": ("county", "city", "province"),
    "delete_nonempty_branch": ("forbid", "both"),
    "admin_on_transfer": ("revoke_on_complete", "block"),
}
_NAMES = {
    "initial_password_tail": "TUANQIAO_INITIAL_PASSWORD_TAIL",
    "reset_code_levels": "TUANQIAO_RESET_CODE_LEVELS",
    "registration_days": "TUANQIAO_REGISTRATION_DAYS",
    "retention_months": "TUANQIAO_RETENTION_MONTHS",
    "retention_mark_from": "TUANQIAO_RETENTION_FROM",
    "delayed_destination": "TUANQIAO_DELAYED_DESTINATION",
    "member_mark_by_branch_admin": "TUANQIAO_MEMBER_MARK_BY_BRANCH",
    "graduation_switch_date": "TUANQIAO_GRADUATION_SWITCH",
}
"""Settings that had a name in the environment before there were presets."""
_OF_AN_ENTRY = ("day", "province", "org", "preset")
"""What an entry says of itself; all else in it are settings."""


@dataclass(frozen=True)
class Entry:
    """One dated entry: from which day on what holds where; no province and no organisation: everywhere.

    `org`: an organisation with all below it, such as a school; narrower than a province.
    """

    day: date
    province: str
    org: int | None
    values: Mapping[str, Any]

    def holds(self, day: date, province: str, path: str) -> bool:
        """Return whether it says anything of a place on a day."""
        return (
            self.day <= day
            and self.province in ("", province)
            and (self.org is None or f".{self.org}." in f".{path}")
        )

    @property
    def weight(self) -> tuple[int, date]:
        """Return what is compared with other entries: the narrower scope first, then the later day."""
        if self.org is not None:
            return 2, self.day
        return (1 if self.province else 0), self.day


def _problem(name: str, value: Any) -> str:
    """Return what is wrong with a value of a setting, or nothing."""
    if name not in NATIONAL:
        return f"there is no setting {name}"
    if type(value) is not type(NATIONAL[name]):
        return f"{name} needs a value such as {NATIONAL[name]!r}"
    if name in _CHOICES and value not in _CHOICES[name]:
        return f"{name} is one of {', '.join(_CHOICES[name])}"
    return f"{name} is not below 0" if isinstance(value, int) and value < 0 else ""


def read(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a file of tables `[[from]]`.

    Each has a `day`, perhaps a `province` or an `org`, perhaps a `preset`, and settings by name.

    Raises:
        ValueError: Names the entry and what is wrong with it.

    """
    made = []
    for number, table in enumerate(tomllib.loads(path.read_text("utf-8")).get("from", []), start=1):
        problems = _problems(table)
        if problems:
            raise ValueError(f"{path}, entry {number}: {'; '.join(problems)}")
        made.append(_entry(table))
    return tuple(sorted(made, key=lambda one: one.weight, reverse=True))


def _settings(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in _OF_AN_ENTRY}


def _problems(table: dict[str, Any]) -> list[str]:
    """Return all that is wrong with an entry."""
    found = [_problem(name, value) for name, value in _settings(table).items()]
    if not isinstance(table.get("day"), date):
        found.append("day is missing")
    preset = table.get("preset", "")
    if preset and preset not in PRESETS:
        found.append(f"there is no preset {preset}")
    return [one for one in found if one]


def _entry(table: dict[str, Any]) -> Entry:
    preset, org = table.get("preset", ""), table.get("org")
    # an entry with a preset answers for every setting, one without only for those that it names
    of_preset = {**NATIONAL, **PRESETS[preset]} if preset else {}
    return Entry(
        table["day"],
        str(table.get("province", "")),
        None if org is None else int(org),
        {**of_preset, **_settings(table)},
    )


@cache
def _cached(path: str, changed: int) -> tuple[Entry, ...]:
    return read(Path(path))


_good: dict[str, tuple[Entry, ...]] = {}


def entries() -> tuple[Entry, ...]:
    """Return the entries of this installation, the weightiest first.

    The file is read again when it has changed; while what it says is wrong, what it said before
    holds.

    Raises:
        ValueError, OSError: The file cannot be read and never could.

    """
    path = os.environ.get("TUANQIAO_PRACTICE")
    if not path:
        return ()
    try:
        _good[path] = _cached(path, Path(path).stat().st_mtime_ns)
    except (ValueError, OSError) as error:
        if path not in _good:
            raise
        logging.getLogger(__name__).error("%s; the entries of before hold", error)
    return _good[path]


def _read_as(kind: type, text: str) -> Any:
    """Return a text of the environment as a value of the kind that its setting has."""
    if kind is bool:
        return text != "false"
    if kind is int:
        return int(float(text))  # so that `6.0` counts as 6
    return text


def _base(name: str) -> Any:
    """Return what a setting says where no entry does: in the environment, or in a preset."""
    text = os.environ.get(_NAMES[name]) if name in _NAMES else None
    if text:
        return _read_as(type(NATIONAL[name]), text)
    preset = PRESETS.get((os.environ.get("TUANQIAO_POLICY") or "national").removesuffix(".toml"), NATIONAL)
    return preset.get(name, NATIONAL[name])


def value(name: str, day: date, province: str = "", path: str = "") -> Any:
    """Return what a setting says on a day, in a province, for the organisation with a path."""
    for entry in entries():
        if name in entry.values and entry.holds(day, province, path):
            return entry.values[name]
    return _base(name)


def number(name: str, day: date, province: str = "", path: str = "") -> int:
    """Return a setting that is a number."""
    return int(value(name, day, province, path))


def text(name: str, day: date, province: str = "", path: str = "") -> str:
    """Return a setting that is a text."""
    return str(value(name, day, province, path))


def anywhere(name: str, day: date) -> set[Any]:
    """Return every value that a setting may have somewhere on a day; empty ones are left out.

    It shows at a glance when nothing needs to be looked at.
    """
    said = [
        _base(name),
        *[entry.values[name] for entry in entries() if name in entry.values and entry.day <= day],
    ]
    return {one for one in said if one}


def by_province(name: str, day: date) -> dict[str, Any]:
    """Return what a setting says by province, under the empty name for all that are not named.

    For statements over many provinces.
    """
    named: Iterable[str] = {entry.province for entry in entries()}
    return {province: value(name, day, province) for province in sorted({"", *named})}


def month_and_day(name: str, day: date, province: str = "", path: str = "") -> tuple[int, int] | None:
    """Return a setting that is a month and a day such as `07-31`; None where there is none."""
    month, _, rest = text(name, day, province, path).partition("-")
    return (int(month), int(rest)) if month else None
