"""Settings on which the documents differ.

There is a preset for each document, and an installation may have dated entries with a scope.

What holds is decided by day and place, in this order: the entry of `TUANQIAO_PRACTICE` with the
narrowest scope, of these the latest; the environment, where a setting has a name there; the preset
of the first policy, `TUANQIAO_POLICY`; the national preset.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from shared.settings import Environment, Wrong

PRESETS: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "practice.toml").read_text("utf-8")
)
NATIONAL = PRESETS["national"]
_CHOICES = {
    "member_delete_min_level": ("county", "city", "province"),
    "delete_nonempty_branch": ("forbid", "both"),
    "admin_on_transfer": ("revoke_on_complete", "block"),
}
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


class Practice:
    """What an installation does where the documents differ.

    The file of dated entries is read again when it has changed; while what it says is wrong, what it said
    before holds.
    """

    def __init__(
        self, file: Path | None = None, preset: str = "national", said: Mapping[str, Any] | None = None
    ) -> None:
        """Take the file of entries, the preset of the first policy, and what the environment says."""
        self._file = file
        self._base = {**NATIONAL, **PRESETS.get(preset, NATIONAL), **(said or {})}
        self._entries: tuple[Entry, ...] | None = None
        self._changed = 0

    def entries(self) -> tuple[Entry, ...]:
        """Return the entries of this installation, the weightiest first.

        Raises:
            ValueError, OSError: The file cannot be read and never could.

        """
        if self._file is None:
            return ()
        try:
            changed = self._file.stat().st_mtime_ns
            if self._entries is None or changed != self._changed:
                self._entries = read(self._file)
                self._changed = changed
        except (ValueError, OSError) as error:
            if self._entries is None:
                raise
            logging.getLogger(__name__).error("%s; the entries of before hold", error)
        return self._entries

    def value(self, name: str, day: date, province: str = "", path: str = "") -> Any:
        """Return what a setting says on a day, in a province, for the organisation with a path."""
        for entry in self.entries():
            if name in entry.values and entry.holds(day, province, path):
                return entry.values[name]
        return self._base[name]

    def number(self, name: str, day: date, province: str = "", path: str = "") -> int:
        """Return a setting that is a number."""
        return int(self.value(name, day, province, path))

    def text(self, name: str, day: date, province: str = "", path: str = "") -> str:
        """Return a setting that is a text."""
        return str(self.value(name, day, province, path))

    def anywhere(self, name: str, day: date) -> set[Any]:
        """Return every value that a setting may have somewhere on a day; empty ones are left out.

        It shows at a glance when nothing needs to be looked at.
        """
        said = [
            self._base[name],
            *[entry.values[name] for entry in self.entries() if name in entry.values and entry.day <= day],
        ]
        return {one for one in said if one}

    def by_province(self, name: str, day: date) -> dict[str, Any]:
        """Return what a setting says by province, under the empty name for all that are not named.

        For statements over many provinces.
        """
        named: Iterable[str] = {entry.province for entry in self.entries()}
        return {province: self.value(name, day, province) for province in sorted({"", *named})}

    def month_and_day(
        self, name: str, day: date, province: str = "", path: str = ""
    ) -> tuple[int, int] | None:
        """Return a setting that is a month and a day such as `07-31`; None where there is none."""
        month, _, rest = self.text(name, day, province, path).partition("-")
        return (int(month), int(rest)) if month else None


def from_environment(environment: Environment) -> Practice:
    """Return the practice of this installation.

    Raises:
        Wrong: Names the setting that cannot be meant, or the entry of the file that is wrong.

    """
    preset = environment.text("TUANQIAO_POLICY", "national").removesuffix(".toml")
    of_preset = {**NATIONAL, **PRESETS.get(preset, NATIONAL)}

    def whole(name: str, setting: str) -> int:
        return environment.whole(name, of_preset[setting])

    # settings that had a name in the environment before there were presets
    said = {
        "initial_password_tail": whole("TUANQIAO_INITIAL_PASSWORD_TAIL", "initial_password_tail"),
        "reset_code_levels": whole("TUANQIAO_RESET_CODE_LEVELS", "reset_code_levels"),
        "registration_days": whole("TUANQIAO_REGISTRATION_DAYS", "registration_days"),
        "retention_months": whole("TUANQIAO_RETENTION_MONTHS", "retention_months"),
        "retention_mark_from": environment.month_and_day(
            "TUANQIAO_RETENTION_FROM", of_preset["retention_mark_from"]
        ),
        "delayed_destination": environment.text(
            "TUANQIAO_DELAYED_DESTINATION", of_preset["delayed_destination"]
        ),
        "member_mark_by_branch_admin": environment.switch(
            "TUANQIAO_MEMBER_MARK_BY_BRANCH", of_preset["member_mark_by_branch_admin"]
        ),
        "graduation_switch_date": environment.month_and_day(
            "TUANQIAO_GRADUATION_SWITCH", of_preset["graduation_switch_date"]
        ),
    }
    made = Practice(environment.path("TUANQIAO_PRACTICE"), preset, said)
    try:
        made.entries()
    except (ValueError, OSError) as error:
        raise Wrong(f"TUANQIAO_PRACTICE: {error}") from error
    return made
