"""What orgs writes into its audit log, and how the tree and its rights once were (BEY-09, BEY-10).

A line about an organisation says how the organisation was before, so the log is its history: how it
was at an instant stands in the first line after that instant, and where there is none it still is
so. What was loaded with the tree has been there from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared.audit import Entry, Log
from shared.messages.orgs import OrgsLogGrew

log = Log("orgs", "orgs", OrgsLogGrew)

State = Mapping[str, Any] | sa.RowMapping
"""A row by its columns, as it comes from the database or out of the list of a command."""
STATE = (
    "parent_id",
    "kind",
    "purpose",
    "short_name",
    "full_name",
    "industry",
    "division_code",
    "school_number",
    "deleted",
)
"""What is kept of an organisation at every change."""


def state(org: State) -> dict[str, Any]:
    """Return what is kept of an organisation: whether its data were checked, but not its telephone number."""
    return {name: org[name] for name in STATE} | {"checked": org["checked_at"] is not None}


def org_entry(before: State | None, after: State, kind: str = "", **who: Any) -> Entry:
    """Return the line of a change of an organisation; a kind that is not given follows from the change."""
    was = None if before is None else state(before)
    now = state(after)
    if not kind:
        if was is None:
            kind = "org.created"
        elif now["deleted"] and not was["deleted"]:
            kind = "org.deleted"
        else:
            kind = "org.edited"
    # That the telephone number changed is kept, the number itself is not.
    if before is not None and before["phone"] != after["phone"]:
        now["phone"] = "changed"
    return Entry(kind=kind, place_id=after["org_id"], before=was, after=now, **who)


def right_entry(row: Any, **more: Any) -> Entry:
    """Return the line of a right that was given or revoked.

    `row` has the right as it is, and as it was in `was_active` and `was_observer`.
    """
    before = None if row.was_active is None else {"active": row.was_active, "observer": row.was_observer}
    return Entry(
        kind="right.given" if row.active else "right.revoked",
        place_id=row.org_id,
        persons=[row.person_id],
        before=before,
        after={"active": row.active, "observer": row.observer},
        **more,
    )


# ---- history ---------------------------------------------------------------------------------------

_ORGS_AT = sa.text(f"""
    SELECT o.org_id, l.lane IS NOT NULL AS changed, l.before, {", ".join(f"o.{name}" for name in STATE)}
    FROM orgs o
    -- the first line after the instant says how the organisation was before it
    LEFT JOIN LATERAL (SELECT lane, before FROM audit_log
        WHERE place_id = o.org_id AND at > :at AND starts_with(kind, 'org.')
        ORDER BY at, lane, seq LIMIT 1) l ON true
    WHERE o.org_id = ANY(CAST(:ids AS bigint[]))""")
_RIGHTS_AFTER = sa.text("""
    SELECT DISTINCT ON (place_id, persons[1]) place_id AS org_id, persons[1] AS person_id, before
    FROM audit_log
    WHERE place_id = ANY(CAST(:ids AS bigint[])) AND at > :at AND starts_with(kind, 'right.')
    ORDER BY place_id, persons[1], at, lane, seq""")
_RIGHTS_NOW = sa.text("""
    SELECT org_id, person_id, active, observer FROM administrators
    WHERE org_id = ANY(CAST(:ids AS bigint[]))""")


def orgs_at(tx: Connection, org_ids: Iterable[int], at: datetime) -> dict[int, dict[str, Any]]:
    """Return organisations as they were at an instant, by id; those not there then are left out (BEY-09)."""
    found: dict[int, dict[str, Any]] = {}
    for row in tx.execute(_ORGS_AT, {"ids": sorted(set(org_ids)), "at": at}):
        if not row.changed:
            was = {name: row._mapping[name] for name in STATE}
        elif row.before:
            was = msgspec.json.decode(row.before)
        else:  # the next line is that of its creation
            was = None
        if was is not None and not was["deleted"]:
            found[row.org_id] = was
    return found


def superiors_at(
    tx: Connection, found: Mapping[int, Mapping[str, Any]], at: datetime
) -> dict[int, list[tuple[int, str]]]:
    """Return id and full name of all that stood above organisations at an instant, direct superiors first."""
    known = {org_id: dict(org) for org_id, org in found.items()}
    wanted = {org["parent_id"] for org in known.values()} - {None, *known}
    while wanted:  # one look for each level of the tree
        more = orgs_at(tx, wanted, at)
        known |= more
        wanted = {org["parent_id"] for org in more.values()} - {None, *known}
    above: dict[int, list[tuple[int, str]]] = {}
    for org_id in found:
        line: list[tuple[int, str]] = []
        parent = known[org_id]["parent_id"]
        while parent in known and parent not in {one for one, _ in line}:
            line.append((parent, known[parent]["full_name"]))
            parent = known[parent]["parent_id"]
        above[org_id] = line
    return above


def administrators_at(tx: Connection, org_ids: Sequence[int], at: datetime) -> dict[int, dict[int, bool]]:
    """Return who had the right over organisations at an instant, by organisation (BEY-09).

    The value of each person says whether it was the right to look only.
    """
    rights = {
        (row.org_id, row.person_id): (row.active, row.observer)
        for row in tx.execute(_RIGHTS_NOW, {"ids": list(org_ids)})
    }
    for row in tx.execute(_RIGHTS_AFTER, {"ids": list(org_ids), "at": at}):
        was = msgspec.json.decode(row.before) if row.before else {"active": False, "observer": False}
        rights[row.org_id, row.person_id] = (was["active"], was["observer"])
    found: dict[int, dict[int, bool]] = {}
    for (org_id, person_id), (active, observer) in sorted(rights.items()):
        if active:
            found.setdefault(org_id, {})[person_id] = observer
    return found
