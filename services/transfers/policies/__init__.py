"""Deadline policies: dated data, one TOML file each (BEY-07, DL-01..09).

A transfer keeps the policy it started with: the policy's name and version are part of its path's name.
"""
from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

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


def read(name: str) -> Policy:
    """Return the policy `name` of this folder.

    Raises:
        ValueError: A node is missing, an action is unknown, a number is negative, or the clock would assign (ASG-04).

    """
    path = Path(__file__).parent / f"{name}.toml"
    if not path.exists():
        raise ValueError(f"there is no policy {name!r}; known: {', '.join(sorted(p.stem for p in path.parent.glob('*.toml')))}")
    data = tomllib.loads(path.read_text("utf-8"))
    nodes = {}
    for state in NODES:
        if state not in data["node"]:
            raise ValueError(f"{path.name}: [node.{state}] is missing")
        entry = data["node"][state]
        node = NodePolicy(entry.get("remind_after_days"), entry.get("remind_every_days"), entry.get("expire_after_days"), entry.get("on_expiry", "remind"))
        if node.on_expiry not in _ACTIONS:
            raise ValueError(f"{path.name}: [node.{state}] on_expiry must be one of {', '.join(_ACTIONS)}")
        if any(days is not None and days <= 0 for days in (node.remind_after_days, node.remind_every_days, node.expire_after_days)):
            raise ValueError(f"{path.name}: [node.{state}] days must be positive")
        if (node.expire_after_days is None) != (node.on_expiry == "remind"):
            raise ValueError(f"{path.name}: [node.{state}] expire_after_days and on_expiry go together")
        if state is State.ASSIGN and node.on_expiry != "remind":
            raise ValueError(f"{path.name}: the clock never assigns a branch (ASG-04)")
        nodes[state] = node
    return Policy(name, str(data["version"]), str(data["source"]), nodes, bool(data.get("youth_centres", False)))


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
