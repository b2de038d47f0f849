"""The audit log of members (BEY-10).

It says who entered, changed, decided on, looked up, saw in full and took along whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import msgspec
from sqlalchemy.engine import Connection

from shared import directory
from shared.audit import Entry, Log, by
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import MembersLogGrew


class _Log(Log):
    """Writes lines in the name of an organisation only for people who have a right there.

    Much is done by people for themselves, with whatever organisation their call names; the log does
    not believe it.
    """

    def append(self, tx: Connection, entries: Iterable[Entry]) -> None:
        """Write lines; an organisation that the person has no right over is left out."""
        wanted = list(entries)
        claims = {
            Actor(one.person_id, one.org_id)
            for one in wanted
            if one.person_id is not None and one.org_id is not None
        }
        right = directory.administering(tx, claims, observers=True)
        lines: list[Entry] = []
        for one in wanted:
            if one.person_id is None or one.org_id is None or Actor(one.person_id, one.org_id) in right:
                lines.append(one)
            else:
                lines.append(msgspec.structs.replace(one, org_id=None))
        super().append(tx, lines)


log = _Log("members", "org_directory", MembersLogGrew)

KEPT = ("joined_on", "party", "found", "contacted")
"""What is kept of a member's record before and after an edit; of everything else only that it was changed."""
_NO_FIELDS = ("person_id", "found_on")
"""Of the row of an edit: whose record it is, and the day that goes with `found`."""


class PostBegun(TypedDict):
    """A post as it is stored; an empty one has ended."""

    org_id: int
    person_id: int
    post: str
    changed_by: int | None


class Changer(TypedDict):
    """Who is behind a change of a post, for which organisation, in which request."""

    changed_by: int | None
    changed_for: int | None
    request_id: str
    ref: str


class PostChange(PostBegun, total=False):
    """A post that is given or ended, with what the log says of it."""

    changed_for: int | None
    request_id: str
    ref: str


def post_entries(rows: Iterable[PostChange], before: Mapping[tuple[int, int], str]) -> list[Entry]:
    """Return the lines of posts that were given or ended.

    `before` are the posts until then, by organisation and person.
    """
    entries = []
    for row in rows:
        was = before.get((row["org_id"], row["person_id"]))
        if was is not None or row["post"]:
            entries.append(
                Entry(
                    kind="post.given" if row["post"] else "post.ended",
                    person_id=row.get("changed_by"),
                    org_id=row.get("changed_for"),
                    place_id=row["org_id"],
                    persons=[row["person_id"]],
                    before=None if was is None else {"post": was},
                    after={"post": row["post"]},
                    ref=row.get("ref", ""),
                    request_id=row.get("request_id", ""),
                )
            )
    return entries


def changer(asked: Asked[Any]) -> Changer:
    """Return who is behind an item, as the rows of posts name it."""
    return {
        "changed_by": asked.actor.person_id,
        "changed_for": asked.actor.org_id,
        "request_id": asked.request_id,
        "ref": "",
    }


def entered(asked: Sequence[Asked[Any]], made: Mapping[int, tuple[int, int]]) -> list[Entry]:
    """Return the lines of people who were entered: one for each branch and who did it.

    `made` has branch and person by position in the list.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for n, (branch, person) in made.items():
        one = asked[n]
        groups.setdefault((one.actor.person_id, one.actor.org_id, one.request_id, branch), []).append(person)
    return [
        Entry(
            kind="member.entered",
            person_id=person,
            org_id=org,
            request_id=request,
            place_id=branch,
            persons=persons,
        )
        for (person, org, request, branch), persons in groups.items()
    ]


def edited(asked: Asked[Any], person: Any, row: Mapping[str, object]) -> Entry | None:
    """Return the line of an edit, None if nothing differs.

    Of the fields in `KEPT` it says what was and is, of others that they were changed.
    """
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    old = {**person._asdict(), "found": person.found_on is not None, "contacted": not person.to_contact}
    for name, value in row.items():
        # None leaves a field as it is, and an empty one was empty before whether it is None or ""
        if name in _NO_FIELDS or value is None or value == old[name] or (not value and not old[name]):
            continue
        label = name.removesuffix("_sealed")
        if name in KEPT:
            before[label] = old[name]
        after[label] = value if name in KEPT else "changed"
    if not after:
        return None
    return Entry(
        kind="member.edited",
        place_id=person.branch_id,
        persons=[person.person_id],
        before=before,
        after=after,
        **by(asked),
    )
