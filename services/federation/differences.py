"""What differs between both sides, by kinds: kept until it is gone, or a person has seen to it (BEY-16)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation import manifests
from services.federation.handovers import UNKNOWN_BRANCH
from services.federation.schemas import Home, Line
from shared import db
from shared.recordset import columns, recordset


class Kind(StrEnum):
    """How a transfer differs between both sides."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    BEHIND_HERE = "behind_here"
    BEHIND_THERE = "behind_there"
    LOST_HERE = "lost_here"
    LOST_THERE = "lost_there"
    CHAIN = "chain"
    STATE = "state"
    ACTIVE_TWICE = "active_twice"
    ACTIVE_NOWHERE = "active_nowhere"
    MEMBER_TWICE = "member_twice"
    MEMBER_NOWHERE = "member_nowhere"
    DIRECTORY = "directory"


OF_REGISTRIES = frozenset({Kind.MEMBER_TWICE, Kind.MEMBER_NOWHERE})
"""What the registries say; all other kinds follow from what the bridges have said and heard."""


class Repair(NamedTuple):
    """What is proposed: whether it is done at once, and in words."""

    at_once: bool
    words: str


REPAIRS: dict[Kind, Repair] = {
    Kind.MISSING_HERE: Repair(False, "the peer sends its messages again; look whether a backup was put back"),
    Kind.MISSING_THERE: Repair(True, "our messages are sent again"),
    Kind.BEHIND_HERE: Repair(False, "the peer sends again what we have not got"),
    Kind.BEHIND_THERE: Repair(True, "our messages are sent again from the first that the peer has not got"),
    Kind.LOST_HERE: Repair(False, "the peer has heard more than we have said: a backup was put back here"),
    Kind.LOST_THERE: Repair(False, "we have heard more than the peer has said: a backup was put back there"),
    Kind.CHAIN: Repair(False, "one side has signed two messages under one number: compare the evidence"),
    Kind.STATE: Repair(False, "a message is in quarantine on one side, or a table was written by hand"),
    Kind.ACTIVE_TWICE: Repair(False, "both have the member: compare the evidence, one side corrects its own"),
    Kind.ACTIVE_NOWHERE: Repair(
        False, "none has the member: compare the evidence, one side corrects its own"
    ),
    Kind.MEMBER_TWICE: Repair(
        False, "both registries have the member: whichever is not as was signed is put right"
    ),
    Kind.MEMBER_NOWHERE: Repair(
        False, "no registry has the member: whichever is not as was signed is put right"
    ),
    Kind.DIRECTORY: Repair(
        False, "a branch is named that the peer's directory does not have: it is read anew"
    ),
}


class Kept(Line, frozen=True, kw_only=True, omit_defaults=True):
    """A line as it is kept: with where the registry has the member, if that is what differs."""

    home: Home | None = None


class Difference(NamedTuple):
    """A transfer that differs, with both lines; None where a side has none."""

    subject: str
    kind: Kind
    ours: Line | None
    theirs: Line | None


@dataclass(frozen=True)
class _Row:
    subject: str
    kind: str
    ours: str
    theirs: str


_KEEP = sa.text(f"""
    INSERT INTO differences ({columns(_Row)}, day, found_at, seen_at)
    SELECT {columns(_Row)}, CAST(:day AS date), CAST(:now AS timestamptz), CAST(:now AS timestamptz)
    FROM {recordset(_Row)} ORDER BY subject, kind
    ON CONFLICT (subject, kind) DO UPDATE SET (ours, theirs, seen_at, found_at, gone_at, confirmed_at) = (
        excluded.ours, excluded.theirs, excluded.seen_at,
        -- one that was gone and is back is a new one
        CASE WHEN differences.gone_at IS NULL THEN differences.found_at ELSE excluded.found_at END, NULL,
        -- what a person has confirmed was these two lines and no others
        CASE WHEN differences.gone_at IS NULL AND (differences.ours, differences.theirs)
            = (excluded.ours, excluded.theirs) THEN differences.confirmed_at END)""")
_GONE = sa.text("""
    WITH unseen AS (SELECT subject, kind FROM differences
        WHERE day = CAST(:day AS date) AND gone_at IS NULL AND seen_at < CAST(:now AS timestamptz)
            AND kind = ANY(CAST(:kinds AS text[]))
        ORDER BY subject, kind FOR UPDATE)
    UPDATE differences d SET gone_at = :now
    FROM unseen u WHERE d.subject = u.subject AND d.kind = u.kind""")
_NOTE = sa.text("""
    INSERT INTO reconciliations (day, compared_at, transfers, differing)
    VALUES (CAST(:day AS date), :now, :transfers, :differing)
    ON CONFLICT (day) DO UPDATE SET (compared_at, transfers, differing) =
        (excluded.compared_at, excluded.transfers, excluded.differing)""")


def keep(
    tx: Connection, day: date, found: Iterable[Difference], kinds: Iterable[Kind], now: datetime
) -> None:
    """Store the differences of a day; those of before of these kinds that are not found any more are gone."""
    rows = [_Row(one.subject, one.kind, _json(one.ours), _json(one.theirs)) for one in found]
    if rows:
        db.run(tx, _KEEP, rows, day=day, now=now)
    tx.execute(_GONE, {"day": day, "now": now, "kinds": sorted(kinds)})


def note(tx: Connection, day: date, transfers: int, differing: int, now: datetime) -> None:
    """Store that a day was compared."""
    tx.execute(_NOTE, {"day": day, "transfers": transfers, "differing": differing, "now": now})


def _json(line: Line | None) -> str:
    return msgspec.json.encode(line).decode() if line is not None else ""


# ---- the directory -------------------------------------------------------------------------------

_UNKNOWN_BRANCHES = sa.text("""
    SELECT DISTINCT q.subject FROM quarantine q JOIN handovers h ON h.subject = q.subject
    WHERE h.day = CAST(:day AS date) AND q.decision IS NULL AND starts_with(q.why, :why)
    UNION
    SELECT a.subject FROM arrivals a JOIN handovers h ON h.subject = a.subject
    JOIN org_directory o ON o.org_id = a.source_branch_id
    WHERE h.day = CAST(:day AS date) AND h.state IN ('deciding', 'awaited') AND o.deleted
    ORDER BY subject""")


def of_directory(tx: Connection, day: date) -> list[Difference]:
    """Return the transfers of a day that name a branch which the peer's directory does not show here."""
    subjects = list(tx.scalars(_UNKNOWN_BRANCHES, {"day": day, "why": UNKNOWN_BRANCH}))
    names = sorted({manifests.bucket_of(subject) for subject in subjects})
    lines = {line.subject: line for line in manifests.lines(tx, day, names)} if names else {}
    return [Difference(subject, Kind.DIRECTORY, lines.get(subject), None) for subject in subjects]
