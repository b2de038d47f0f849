"""Attacks on a running system.

`make attack` runs every part and prints a table, `make test` a short form of some.

A part is a module of this package with a `TITLE` and a function `attack(target, budget)` that
returns an `Outcome`. It attacks what it likes of the target, or something of its own, within the
budget, and says what it did and what it found. A part neither ends what it did not start nor leaves
anything running.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Budget:
    """How much a part may do: whichever ends first."""

    minutes: float = 10
    cases: int = 10_000


@dataclass
class Outcome:
    """What a part did, in words and figures, and each fault that it found."""

    did: str
    faults: list[str] = field(default_factory=list)
