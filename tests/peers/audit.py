"""An auditor of two systems: reads nothing but their SQLite files, as gd/README.md describes them."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

PLACES = "SELECT number, state, (SELECT max(nth) FROM stays WHERE stays.number = members.number) FROM members"
STAYS = "SELECT number, state, at FROM stays ORDER BY nth"
TRANSFERS = "SELECT subject, state FROM transfers WHERE side = ? AND state <> 'none'"
WAITING = "SELECT count(*) FROM said WHERE state = 'waiting'"
HELD = "SELECT count(*) FROM heard WHERE state = 'held'"
ENDINGS = {("moved", "taken"), ("kept", "refused"), ("kept", "back"), ("kept", None)}


class Place(NamedTuple):
    """Where a file says that somebody is, and the number of the change that put them there."""

    state: str
    change: int


def rows(file: Path, query: str, *values) -> list[tuple]:
    """Return what a file says, without writing to it."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(query, values).fetchall()


def places(file: Path) -> dict[str, Place]:
    """Return where everybody is, by identity number."""
    return {number: Place(state, change) for number, state, change in rows(file, PLACES)}


def wrong_now(one: Path, other: Path) -> list[str]:
    """Return who is active twice or nowhere while both systems run.

    One file is read before and after the other.
    """
    return wrong_in(places(one), places(other), places(one))


def wrong_in(before: dict[str, Place], there: dict[str, Place], after: dict[str, Place]) -> list[str]:
    """Return who is active twice or nowhere, by one system before and after the other was read.

    Who did not change in it meanwhile was read in both at once.
    """
    wrong = []
    for number in before.keys() | there.keys():
        if before.get(number) == after.get(number):
            states = [place.state for place in (before.get(number), there.get(number)) if place]
            if states.count("active") > 1 or not {"active", "on_the_way"} & set(states):
                wrong.append(f"{number[:6]}: {states}")
    return wrong


def wrong_ever(files: list[Path]) -> list[str]:
    """Return who was ever active twice, or neither active nor on the way, by the instants in both files."""
    steps = defaultdict(list)
    for file in files:
        for number, state, at in rows(file, STAYS):
            steps[number].append((at, file, state))
    wrong = []
    for number, changes in steps.items():
        now: dict[Path, str] = {}
        for at, file, state in sorted(changes):
            now[file] = state
            states = list(now.values())
            if states.count("active") > 1 or not {"active", "on_the_way"} & set(states):
                wrong.append(f"{number[:6]} at {at}: {states}")
    return wrong


def undone(files: list[Path]) -> int:
    """Return how many messages wait, and how many transfers have no end that both sides agree on.

    The first file is read twice: an answer may come to wait there while the other is read.
    """
    count = sum(rows(file, query)[0][0] for file in (*files, files[0]) for query in (WAITING, HELD))
    for sender, receiver in (files, files[::-1]):
        there = dict(rows(receiver, TRANSFERS, "receiver"))
        for subject, state in rows(sender, TRANSFERS, "sender"):
            count += (state, there.get(subject)) not in ENDINGS
    return count
