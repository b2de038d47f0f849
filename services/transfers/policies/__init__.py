"""Deadline policies: dated data, one TOML file each (BEY-07, DL-01..09).

A transfer keeps the policy it started with: the policy's name and version are part of its path's name.
"""
from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.transfers.saga import NODES, PATHS, State

_ACTIONS = ("return", "approve", "remind")


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
class Policy:
    """A named, dated policy with the rule or document it follows.

    `youth_centres`: whether a youth centre with an organisation may be a destination (ORG-31).
    """

    name: str
    version: str
    source: str
    nodes: dict[State, NodePolicy]
    youth_centres: bool = False

    @property
    def key(self) -> str:
        """Return `name@version`."""
        return f"{self.name}@{self.version}"


_NODE_KEYS = ("remind_after_days", "remind_every_days", "expire_after_days", "on_expiry")
_KEYS = ("version", "source", "youth_centres", "node")


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
    """Return the policy in a file, named like the file.

    Raises:
        PolicyError: Names line and reason of everything that is wrong: syntax, unknown or missing entries, numbers that are none or not
            positive, a reminder after the deadline, an action without a deadline, a clock that would assign (ASG-04).

    """
    text = path.read_text("utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([f"{path.name}: {error}"]) from None
    places = _places(text)
    problems: list[str] = []

    def say(place: tuple[str, str], reason: str) -> None:
        problems.append(f"{path.name} line {places.get(place) or places.get((place[0], '')) or 1}: {reason}")

    for key in data:
        if key not in _KEYS:
            say(("", key), f"{key} is not an entry of a policy; known: {', '.join(_KEYS)}")
    for key in ("version", "source"):
        if not str(data.get(key, "")).strip():
            say(("", key), f"{key} is missing")
    given = data.get("node", {})
    for name in given:
        if name not in {str(state) for state in NODES}:
            say((f"node.{name}", ""), f"[node.{name}] is no node; nodes: {', '.join(str(state) for state in NODES)}")
    nodes = {state: _node(given.get(str(state)), state, say) for state in NODES}
    if problems:
        raise PolicyError(problems)
    return Policy(path.stem, str(data["version"]), str(data["source"]), nodes, bool(data.get("youth_centres", False)))


def _node(entry: dict[str, Any] | None, state: State, say: Callable[[tuple[str, str], str], None]) -> NodePolicy:
    """Return what the clock does at a node, after saying what is wrong with it."""
    section = f"node.{state}"
    if entry is None:
        say(("", ""), f"[{section}] is missing")
        return NodePolicy(None, None, None, "remind")
    for key in entry:
        if key not in _NODE_KEYS:
            say((section, key), f"{key} is not an entry of a node; known: {', '.join(_NODE_KEYS)}")
    days: dict[str, float | None] = {}
    for key in _NODE_KEYS[:3]:
        value = entry.get(key)
        good = value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 3650)
        if not good:
            say((section, key), f"{key} is {value!r}; it must be a number of days, more than 0 and at most 3650")
        days[key] = value if good else None
    action = entry.get("on_expiry", "remind")
    if action not in _ACTIONS:
        say((section, "on_expiry"), f"on_expiry is {action!r}; it must be one of {', '.join(_ACTIONS)}")
    elif (entry.get("expire_after_days") is None) != (action == "remind"):
        say((section, "on_expiry"), "expire_after_days and an on_expiry of return or approve go together")
    elif state is State.ASSIGN and action != "remind":
        say((section, "on_expiry"), "the clock never assigns a branch (ASG-04)")
    if days["remind_after_days"] and days["expire_after_days"] and days["remind_after_days"] >= days["expire_after_days"]:
        say((section, "remind_after_days"), "the first reminder would come with or after the deadline")
    return NodePolicy(days["remind_after_days"], days["remind_every_days"], days["expire_after_days"], str(action))


def _places(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each section, and of each key in its section."""
    section, found = "", {}
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[([\w.]+)\]", line):
            section = match[1]
            found[section, ""] = number
        elif match := re.match(r"\s*(\w+)\s*=", line):
            found[section, match[1]] = number
    return found


def differences(old: Policy, new: Policy) -> list[str]:
    """Return what changes from one policy to another, one line each (BEY-07)."""
    lines = [f"{name}: {getattr(old, name)} -> {getattr(new, name)}" for name in ("version", "source", "youth_centres") if getattr(old, name) != getattr(new, name)]
    for state in NODES:
        for field in NodePolicy.__dataclass_fields__:
            before, after = getattr(old.nodes[state], field), getattr(new.nodes[state], field)
            if before != after:
                lines.append(f"node.{state}.{field}: {before if before is not None else 'none'} -> {after if after is not None else 'none'}")
    return lines


def path_steps(policy: Policy) -> list[dict[str, object]]:
    """Return the steps of every path under `policy`, as rows for the table that the transition statements join."""
    rows: list[dict[str, object]] = []
    for (initiator, destination), path in PATHS.items():
        for number, state in enumerate((*path, State.MOVING), start=1):
            node = policy.nodes.get(state)
            rows.append({
                "path": path_name(policy, initiator, destination), "node_no": number, "state": str(state),
                "remind_after": node.remind_after_days if node else None, "remind_every": node.remind_every_days if node else None,
                "expire_after": node.expire_after_days if node else None, "on_expiry": node.on_expiry if node else None})
    return rows


def path_name(policy: Policy, initiator: str, destination: str) -> str:
    """Return the name under which a path's steps are stored."""
    return f"{policy.key}:{initiator}:{destination}"
