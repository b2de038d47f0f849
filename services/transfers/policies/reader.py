"""Season policies: dated data, one TOML file each (BEY-07, DL-01..17).

The rules are in Annexes A and F and in section 27 of the catalogue. A transfer keeps the policy it started
with, and each open node the deadline that held when it was opened, unless somebody applies a policy to the
open nodes, too (`tuanqiao policy apply --open`). `README.md` of the service lists the entries.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.transfers.saga import ABROAD, NODES, State
from shared.messages.words import DestinationClass, Milestone, Mode, OnExpiry, Rate, Reason, WithdrawUntil

ACTIONS = tuple(OnExpiry)
WITHDRAWALS = tuple(WithdrawUntil)
"""Until when a transfer may be withdrawn (TRF-28).

While nobody has decided; while the last approval is not given; also while the assignment waits.
"""
TARGETS = tuple(Milestone)
STAYERS = tuple(one.value for one in Reason if one.stays)
"""Reasons of those who stay at school; they count in neither rate unless a policy counts them (STAT-12)."""


@dataclass(frozen=True)
class NodePolicy:
    """What the clock does at one kind of node.

    Attributes:
        remind_after_days: First reminder after so many days, None for none.
        remind_every_days: Further reminders, None for none.
        expire_after_days: The deadline in days of 24 hours (DL-07), None for none.
        on_expiry: `return`, `approve` or `remind` (nothing but reminders).

    """

    remind_after_days: float | None
    remind_every_days: float | None
    expire_after_days: float | None
    on_expiry: str


@dataclass(frozen=True)
class Phase:
    """A part of every year: from one day to another, both included (DL-11..13).

    Attributes:
        name: What it is called.
        begins, ends: Month and day; a phase that ends before it begins goes over the turn of the year.
        clock: Whether deadlines fire in it; what fell due before fires on its first day.
        withdraw_until: Holds instead of the policy's own.

    """

    name: str
    begins: tuple[int, int]
    ends: tuple[int, int]
    clock: bool
    withdraw_until: str


@dataclass(frozen=True)
class Target:
    """What share of the graduates shall have come how far by which day (DL-14, DL-15)."""

    by: tuple[int, int]
    what: str
    reasons: str
    share: float
    rule: str


@dataclass(frozen=True)
class Policy:
    """A named, dated policy with the rule or document it follows.

    Attributes:
        nodes: The clock at each node.
        provinces: The same for single provinces; they hold for nodes whose organisation lies there.
        phases: The parts of the year, without gaps; empty: one rule all year (DL-11..13).
        window: First and last day of graduates' transfers, information unless `enforce_window` (DL-10).
        destinations: By reason and class of destination: forbid, warn or allow, over what `reasons.toml`
            says.
        youth_centres: Whether a youth centre with an organisation may be a destination (ORG-31).
        member_may_withdraw_any: The member may withdraw what others have started (TRF-28).
        spu_origin_node: A member's transfer to a special unit passes the own branch first (SPU-06).
        excluded_reasons: Reasons that count in neither rate (STAT-12).
        unknown_counts: Whoever has started nothing counts as going to society (Annex F).
        fed_withdraw: A transfer across a border may be withdrawn by its starter until the other system has
            it in writing (FED-09).
        superior_decides: Where the common superior finds a rejection unreasonable, the transfer goes
            through; otherwise that is advice (BEY-06).
        targets: Stages that the statistics measure against (DL-14, DL-15).

    """

    name: str
    version: str
    source: str
    nodes: Mapping[State, NodePolicy]
    provinces: Mapping[str, Mapping[State, NodePolicy]] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    window: tuple[tuple[int, int], tuple[int, int]] | None = None
    enforce_window: bool = False
    destinations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    youth_centres: bool = False
    withdraw_until: str = "last_approval"
    member_may_withdraw_any: bool = True
    spu_origin_node: bool = True
    excluded_reasons: tuple[str, ...] = STAYERS
    unknown_counts: bool = True
    superior_decides: bool = False
    fed_withdraw: bool = False
    targets: tuple[Target, ...] = ()
    body: str = ""

    @property
    def key(self) -> str:
        """Return `name@version`."""
        return f"{self.name}@{self.version}"

    def in_window(self, day: dt.date) -> bool:
        """Return whether graduates' transfers may be started on a day (DL-10)."""
        return not self.enforce_window or self.window is None or _within(self.window, (day.month, day.day))


_NODE_KEYS = ("remind_after_days", "remind_every_days", "expire_after_days", "on_expiry")
_FLAGS = (
    "youth_centres",
    "member_may_withdraw_any",
    "spu_origin_node",
    "enforce_window",
    "unknown_counts",
    "superior_decides",
    "fed_withdraw",
)
_KEYS = (
    "version",
    "source",
    *_FLAGS,
    "withdraw_until",
    "excluded_reasons",
    "window",
    "bounds",
    "node",
    "province",
    "phase",
    "target",
    "destination",
)
_PHASE_KEYS = ("name", "from", "to", "clock", "withdraw_until")
_TARGET_KEYS = ("by", "what", "reasons", "share", "rule")
# A line for each region of the country reads better than one for each code.
# fmt: off
PROVINCES = frozenset([
    "11", "12", "13", "14", "15",
    "21", "22", "23",
    "31", "32", "33", "34", "35", "36", "37",
    "41", "42", "43", "44", "45", "46",
    "50", "51", "52", "53", "54",
    "61", "62", "63", "64", "65", "66",
    "71",
    "81", "82",
    "91", "92", "93", "94", "95", "96", "97", "98", "99",
])
# fmt: on
"""The first two digits of a division code (GB/T 2260).

Also 66 for the corps in Xinjiang, and 91 to 99 for the central systems of the tree.
"""


class PolicyError(ValueError):
    """A policy file that does not hold; `problems` are lines `FILE line N: reason`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def known() -> list[str]:
    """Return the names of the policies in this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.toml"))


def read(name: str) -> Policy:
    """Return the policy `name` of this folder.

    Raises:
        ValueError: There is none of this name.
        PolicyError: It does not hold.

    """
    if name not in known():
        raise ValueError(f"there is no policy {name!r}; known: {', '.join(known())}")
    return load(Path(__file__).parent / f"{name}.toml")


def load(path: Path) -> Policy:
    """Return the policy in a file, named like the file; see `parse`."""
    return parse(path.read_text("utf-8"), path.stem)


def parse(text: str, name: str) -> Policy:
    """Return the policy that a TOML text describes.

    Raises:
        PolicyError: Names line and reason of everything that is wrong: syntax, unknown or missing entries,
            numbers that are none or not positive or outside the national bounds, a reminder after the
            deadline, an action without a deadline, a clock that would assign (ASG-04), phases with gaps or
            overlaps, unknown provinces, reasons or classes of destinations.

    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([f"{name}.toml: {error}"]) from None
    return _Reader(name, text, data).policy()


class _Reader:
    """Reads one file; collects everything that is wrong with it."""

    def __init__(self, name: str, text: str, data: dict[str, Any]) -> None:
        self.name, self.text, self.data = name, text, data
        self.places = _places(text)
        self.problems: list[str] = []

    def say(self, section: str, key: str, reason: str) -> None:
        line = self.places.get((section, key)) or self.places.get((section, ""))
        if line is None:
            # The section stands in the file only by those below it, as `province.65` does in
            # [province.65.node.pending_in].
            prefix = f"{section}."
            below = [at for (one, _), at in self.places.items() if section and one.startswith(prefix)]
            line = min(below, default=1)
        self.problems.append(f"{self.name}.toml line {line}: {reason}")

    def policy(self) -> Policy:
        data = self.data
        self._keys("", data, _KEYS, "a policy")
        for key in ("version", "source"):
            if not str(data.get(key, "")).strip():
                self.say("", key, f"{key} is missing")
        flags = {key: self._flag("", key, data[key]) for key in _FLAGS if key in data}
        until = self._one_of("", "withdraw_until", data.get("withdraw_until", "last_approval"), WITHDRAWALS)
        given = self._nodes_given("node", data.get("node", {}))
        nodes = {
            state: self._node(f"node.{state}", given.get(str(state)), state)
            for state in NODES
            if state not in ABROAD or str(state) in given
        }
        nodes = {
            **nodes,
            **{state: _unsaid(state, nodes[State.IN]) for state in ABROAD if state not in nodes},
        }
        provinces = self._provinces(given, nodes)
        excluded = tuple(data.get("excluded_reasons", STAYERS))
        for reason in set(excluded) - set(Reason):
            self.say("", "excluded_reasons", f"{reason} is not a reason of reasons.toml")
        made = Policy(
            self.name,
            str(data.get("version", "")),
            str(data.get("source", "")),
            nodes,
            provinces,
            self._phases(until),
            self._window(),
            destinations=self._destinations(),
            withdraw_until=until,
            excluded_reasons=excluded,
            targets=self._targets(),
            body=self.text,
            **flags,
        )
        if self.problems:
            raise PolicyError(self.problems)
        return made

    # ---- entries ---------------------------------------------------------------------------------

    def _keys(self, section: str, entry: Mapping[str, Any], known_keys: tuple[str, ...], of: str) -> None:
        for key in entry:
            if key not in known_keys:
                self.say(section, key, f"{key} is not an entry of {of}; known: {', '.join(known_keys)}")

    def _window(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        given = self.data.get("window")
        if given is None:
            return None
        first = self._day("window", "from", given.get("from"))
        return first, self._day("window", "to", given.get("to"))

    def _flag(self, section: str, key: str, value: Any) -> bool:
        if not isinstance(value, bool):
            self.say(section, key, f"{key} is {value!r}; it must be true or false")
        return value is True

    def _one_of(self, section: str, key: str, value: Any, choices: tuple[str, ...]) -> str:
        if value not in choices:
            self.say(section, key, f"{key} is {value!r}; it must be one of {', '.join(choices)}")
        return str(value)

    def _day(self, section: str, key: str, value: Any) -> tuple[int, int]:
        """Return month and day of `MM-DD`."""
        try:
            if not re.fullmatch(r"\d\d-\d\d", str(value)):
                raise ValueError
            day = dt.date(2024, int(value[:2]), int(value[3:]))
        except ValueError:
            self.say(section, key, f'{key} is {value!r}; it must be a day of the year such as "05-01"')
            return 1, 1
        return day.month, day.day

    def _days(self, section: str, key: str, value: Any) -> float | None:
        if value is None:
            return None
        # True and False are numbers to Python, but no days.
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 3650:
            return value
        wanted = "it must be a number of days, more than 0 and at most 3650"
        self.say(section, key, f"{key} is {value!r}; {wanted}")
        return None

    def _nodes_given(self, section: str, given: dict[str, Any]) -> dict[str, Any]:
        nodes = [str(state) for state in NODES]
        for name in given:
            if name not in nodes:
                place = f"{section}.{name}"
                self.say(place, "", f"[{place}] is no node; nodes: {', '.join(nodes)}")
        return given

    def _node(self, section: str, entry: dict[str, Any] | None, state: State) -> NodePolicy:
        """Return what the clock does at a node, after saying what is wrong with it."""
        if entry is None:
            self.say("", "", f"[{section}] is missing")
            return NodePolicy(None, None, None, "remind")
        self._keys(section, entry, _NODE_KEYS, "a node")
        after, every, expire = (self._days(section, key, entry.get(key)) for key in _NODE_KEYS[:3])
        action = self._one_of(section, "on_expiry", entry.get("on_expiry", "remind"), ACTIONS)
        if action in ACTIONS and (entry.get("expire_after_days") is None) != (action == "remind"):
            self.say(
                section, "on_expiry", "expire_after_days and an on_expiry of return or approve go together"
            )
        elif state is State.ASSIGN and action != "remind":
            self.say(section, "on_expiry", "the clock never assigns a branch (ASG-04)")
        elif state is State.REMOTE and action == "approve":
            self.say(section, "on_expiry", "the clock never decides in another system's name (DL-08, FED-08)")
        elif state in (State.HANDOVER, State.ARRIVAL) and action != "remind":
            self.say(
                section, "on_expiry", "a hand-over is only reminded of: who ends it is the peer (FED-11)"
            )
        elif state is State.PROVINCE and action == "return":
            self.say(
                section,
                "on_expiry",
                "a provincial node is approved or only reminded by the clock, never returned (DL-09)",
            )
        if after and expire and after >= expire:
            self.say(section, "remind_after_days", "the first reminder would come with or after the deadline")
        return NodePolicy(after, every, expire, action)

    def _provinces(
        self, national: dict[str, Any], nodes: Mapping[State, NodePolicy]
    ) -> dict[str, dict[State, NodePolicy]]:
        """Return the nodes of provinces with entries of their own.

        Each is the national entry, changed within the national bounds.
        """
        bounds = self.data.get("bounds", {})
        self._keys("bounds", bounds, _NODE_KEYS[:3], "the bounds")
        for key, pair in bounds.items():
            if not _is_span(pair):
                wanted = "it must be the least and the greatest number of days"
                self.say("bounds", key, f"{key} is {pair!r}; {wanted}")
                return {}
        found = {}
        for code, entry in self.data.get("province", {}).items():
            section = f"province.{code}"
            if code not in PROVINCES:
                wanted = "give the first two digits of its division code"
                self.say(section, "", f"{code} is no province; {wanted}")
            self._keys(section, entry, ("node",), "a province")
            given = self._nodes_given(f"{section}.node", entry.get("node", {}))
            if not given:
                self.say(section, "", f"[{section}] changes no node")
            for name, changed in given.items():
                self._within_bounds(f"{section}.node.{name}", changed, bounds)
            found[code] = dict(nodes)
            for state in NODES:
                if str(state) in given:
                    merged = {**(national.get(str(state)) or {}), **given[str(state)]}
                    found[code][state] = self._node(f"{section}.node.{state}", merged, state)
        return found

    def _within_bounds(self, place: str, changed: dict[str, Any], bounds: dict[str, Any]) -> None:
        """Say what a province changes though it may not, or too far."""
        for key in (one for one in _NODE_KEYS[:3] if one in changed):
            if key not in bounds:
                self.say(place, key, f"no bounds are set for {key}, so no province may change it")
                continue
            least, greatest = bounds[key]
            if isinstance(changed[key], int | float) and not least <= changed[key] <= greatest:
                reason = f"{key} is {changed[key]}; the national bounds are {least} to {greatest}"
                self.say(place, key, reason)

    def _phases(self, until: str) -> tuple[Phase, ...]:
        """Return the phases; the year has to be covered, without gaps and without overlaps."""
        phases = []
        for number, entry in enumerate(self.data.get("phase", [])):
            section = f"phase.{number}"
            self._keys(section, entry, _PHASE_KEYS, "a phase")
            phases.append(
                Phase(
                    str(entry.get("name", "")),
                    self._day(section, "from", entry.get("from")),
                    self._day(section, "to", entry.get("to")),
                    self._flag(section, "clock", entry.get("clock", True)),
                    self._one_of(section, "withdraw_until", entry.get("withdraw_until", until), WITHDRAWALS),
                )
            )
        order = sorted(range(len(phases)), key=lambda one: phases[one].begins)
        for at, number in enumerate(order if len(phases) > 1 else []):
            next_number = order[(at + 1) % len(order)]  # after the last phase of a year comes its first again
            here, following = phases[number], phases[next_number]
            expected = _day_after(here.ends)
            if following.begins == expected:
                continue
            overlaps = _within((here.begins, here.ends), following.begins)
            wrong = "overlaps" if overlaps else "leaves a gap after"
            reason = f"phase {following.name!r} {wrong} {here.name!r}: it must begin on {_dash(expected)}"
            self.say(f"phase.{next_number}", "from", reason)
        if len(phases) == 1 and _day_after(phases[0].ends) != phases[0].begins:
            self.say("phase.0", "to", "a single phase must cover the whole year")
        return tuple(phases[one] for one in order)

    def _targets(self) -> tuple[Target, ...]:
        found = []
        for number, entry in enumerate(self.data.get("target", [])):
            section = f"target.{number}"
            self._keys(section, entry, _TARGET_KEYS, "a target")
            share = entry.get("share", 1.0)
            if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
                self.say(section, "share", f"share is {share!r}; it must be more than 0 and at most 1")
                share = 1.0
            found.append(
                Target(
                    self._day(section, "by", entry.get("by")),
                    self._one_of(section, "what", entry.get("what"), TARGETS),
                    self._one_of(section, "reasons", entry.get("reasons"), tuple(Rate)),
                    float(share),
                    str(entry.get("rule", "")),
                )
            )
        return tuple(found)

    def _destinations(self) -> dict[str, dict[str, str]]:
        found = self.data.get("destination", {})
        for reason, modes in found.items():
            section = f"destination.{reason}"
            if Reason.known(reason) is None:
                self.say(section, "", f"{reason} is not a reason of reasons.toml")
            for place, mode in modes.items():
                if DestinationClass.known(place) is None:
                    classes = ", ".join(DestinationClass)
                    self.say(section, place, f"{place} is no class of destinations; classes: {classes}")
                self._one_of(section, place, mode, tuple(Mode))
        return dict(found)


def _unsaid(state: State, receiving: NodePolicy) -> NodePolicy:
    """Return what the clock does at a node of another system where a file says nothing, as those of before.

    Another system has as long as a receiving organisation here, and is never decided for (DL-08); a hand-over
    is reminded of.
    """
    if state is State.REMOTE:
        return NodePolicy(receiving.remind_after_days, None, receiving.expire_after_days or 10, "return")
    return NodePolicy(7, 7, None, "remind")


def _day_after(day: tuple[int, int]) -> tuple[int, int]:
    following = dt.date(2024, *day) + dt.timedelta(days=1)
    return following.month, following.day


def _is_span(pair: Any) -> bool:
    """Return whether an entry is a pair of positive numbers, the lesser first."""
    if not isinstance(pair, list) or len(pair) != 2:
        return False
    return all(isinstance(one, int | float) for one in pair) and 0 < pair[0] <= pair[1]


def _within(span: tuple[tuple[int, int], tuple[int, int]], day: tuple[int, int]) -> bool:
    first, last = span
    if first <= last:
        return first <= day <= last
    return day >= first or day <= last  # over the turn of the year


def _places(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each section, and of each key in its section.

    The sections of an array are numbered from 0.
    """
    section = ""
    found: dict[tuple[str, str], int] = {}
    arrays: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[\[([\w.]+)\]\]", line):
            arrays[match[1]] = arrays.get(match[1], -1) + 1
            section = f"{match[1]}.{arrays[match[1]]}"
            found[section, ""] = number
        elif match := re.match(r"\s*\[([\w.]+)\]", line):
            section = match[1]
            found[section, ""] = number
        elif match := re.match(r"\s*(\w+)\s*=", line):
            found[section, match[1]] = number
    return found


def differences(old: Policy, new: Policy) -> list[str]:
    """Return what changes from one policy to another, one line each (BEY-07)."""
    before, after = _flat(old), _flat(new)
    return [
        f"{name}: {before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _flat(policy: Policy) -> dict[str, str]:
    """Return every entry of a policy under its name in the file."""
    plain = ("version", "source", *_FLAGS, "withdraw_until", "excluded_reasons")
    found = {name: str(getattr(policy, name)) for name in plain}
    sections = {"node": policy.nodes}
    for code, nodes in policy.provinces.items():
        sections[f"province.{code}.node"] = nodes
    for section, nodes in sections.items():
        for state, node in nodes.items():
            for key in _NODE_KEYS:
                if getattr(node, key) is not None:
                    found[f"{section}.{state}.{key}"] = str(getattr(node, key))
    for phase in policy.phases:
        days = f"{_dash(phase.begins)} to {_dash(phase.ends)}"
        found[f"phase {phase.name}"] = f"{days}, clock {phase.clock}, withdraw until {phase.withdraw_until}"
    for target in policy.targets:
        found[f"target {target.reasons} {target.what}"] = f"{target.share:.0%} by {_dash(target.by)}"
    for reason, modes in policy.destinations.items():
        for place, mode in modes.items():
            found[f"destination.{reason}.{place}"] = mode
    if policy.window:
        found["window"] = f"{_dash(policy.window[0])} to {_dash(policy.window[1])}"
    return found


def _dash(day: tuple[int, int]) -> str:
    return f"{day[0]:02}-{day[1]:02}"
