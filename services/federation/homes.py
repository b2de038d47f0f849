"""Where our registry has the members of a day's transfers: asked, kept, shown to the peer (BEY-16).

Transfers that have ended are named by their subjects, which both sides know; nothing of a person is shown,
not even by a pseudonym. What was asked lately is not asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation import envelope
from services.federation.handovers import Bridge, branch_code
from services.federation.manifests import MOST_LINES, signed
from services.federation.protocol import Receiver, Sender, Side
from services.federation.schemas import OUTCOMES, Home, HomeLine, Homes, Outcome
from shared import clock, db
from shared.messages.federation import HomeCorrected, HomeWanted
from shared.messages.members import HomeTold
from shared.outbox import emit
from shared.recordset import columns, recordset

_ENDED = ", ".join(
    f"'{state.value}'" for state, outcome in OUTCOMES.items() if outcome in (Outcome.MOVED, Outcome.KEPT)
)
_OURS = f"""
    SELECT h.subject, h.side, coalesce(d.person_id, a.member_id) AS person_id
    FROM handovers h
    LEFT JOIN departures d ON d.subject = h.subject
    LEFT JOIN arrivals a ON a.subject = h.subject
    WHERE h.day = CAST(:day AS date) AND h.state IN ({_ENDED})
        AND coalesce(d.person_id, a.member_id) IS NOT NULL"""
_DUE = sa.text(f"""
    SELECT o.subject, o.person_id FROM ({_OURS}) o
    LEFT JOIN homes m ON m.subject = o.subject
    WHERE m.asked_at IS NULL OR m.asked_at < :since
    ORDER BY o.subject""")
_LACKING = sa.text(f"""
    SELECT EXISTS (SELECT FROM ({_OURS}) o LEFT JOIN homes m ON m.subject = o.subject
        WHERE m.told_at IS NULL OR m.told_at < :since)""")


@dataclass(frozen=True)
class _Asked:
    subject: str


_ASK = sa.text(f"""
    INSERT INTO homes ({columns(_Asked)}, asked_at)
    SELECT {columns(_Asked)}, CAST(:now AS timestamptz) FROM {recordset(_Asked)}
    ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET asked_at = excluded.asked_at""")


def look_up(tx: Connection, bridge: Bridge, day: date, since: datetime, now: datetime) -> bool:
    """Have members look where those of a day are whom nobody has asked for since an instant.

    Return whether all of them were looked up since then: what is read now is as new as that.
    """
    due = tx.execute(_DUE, {"day": day, "since": since}).all()
    if due:
        db.run(tx, _ASK, [_Asked(row.subject) for row in due], now=now)
        emit(
            tx,
            [
                HomeWanted(subject=row.subject, peer=bridge.peer, person_id=row.person_id, asked_at=now)
                for row in due
            ],
        )
    return not tx.scalar(_LACKING, {"day": day, "since": since})


# ---- what members tells --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Told:
    subject: str
    told_at: datetime
    home: str


_WORDS = {
    (Side.SENDER, "here"): Home.SENDER,
    (Side.SENDER, "there"): Home.RECEIVER,
    (Side.RECEIVER, "here"): Home.RECEIVER,
    (Side.RECEIVER, "there"): Home.SENDER,
}
"""What our registry says, in the words of both sides; the others are the same."""
_TELL = sa.text(f"""
    UPDATE homes m SET (home, told_at) = (i.home, i.told_at)
    FROM (SELECT m.subject, i.told_at, i.home FROM {recordset(_Told)}
        JOIN homes m ON m.subject = i.subject
        WHERE m.told_at IS NULL OR m.told_at < i.told_at
        ORDER BY m.subject FOR UPDATE OF m) i
    WHERE m.subject = i.subject""")


def on_home_told(tx: Connection, bridge: Bridge, items: list[HomeTold]) -> None:
    """Keep where our members are; what was asked earlier does not replace what was asked later."""
    latest = {item.subject: item for item in sorted(items, key=lambda item: item.asked_at)}
    rows = [
        _Told(item.subject, item.asked_at, _WORDS.get((bridge.side(item.subject), item.home)) or item.home)
        for item in latest.values()
    ]
    db.run(tx, _TELL, rows)


# ---- what is shown -------------------------------------------------------------------------------

_PAGE = sa.text(f"""
    SELECT m.subject, m.home FROM homes m JOIN handovers h ON h.subject = m.subject
    WHERE h.day = CAST(:day AS date) AND h.state IN ({_ENDED}) AND m.home IS NOT NULL
        AND m.subject COLLATE "C" > :after
    ORDER BY m.subject COLLATE "C" LIMIT :limit""")


def lines(tx: Connection, day: date, after: str = "", limit: int | None = None) -> list[HomeLine]:
    """Return where members of a day are, as was looked up last, by the bytes of the subjects."""
    rows = tx.execute(_PAGE, {"day": day, "after": after, "limit": limit})
    return [HomeLine(subject=row.subject, home=Home(row.home)) for row in rows]


def signed_page(tx: Connection, bridge: Bridge, day: date, after: str) -> str:
    """Return a signed page of what was looked up last."""
    some = lines(tx, day, after, MOST_LINES + 1)
    made = Homes(
        source=bridge.me,
        dest=bridge.peer,
        day=day,
        after=after,
        time=clock.now(),
        lines=some[:MOST_LINES],
        more=len(some) > MOST_LINES,
    )
    return signed(bridge, made)


# ---- what is put right ---------------------------------------------------------------------------


def due_home(state: str) -> Home:
    """Return where a member has to be whose transfer has ended in this state, on either side."""
    moved = state in (Sender.MOVED.value, Receiver.TAKEN.value)
    return Home.RECEIVER if moved else Home.SENDER


class Ended(NamedTuple):
    """A transfer that has ended: whose it is, where the registry has the member, and what names the branch.

    `jws`: of the message that has integrated the member, empty for none.
    """

    subject: str
    side: str
    state: str
    person_id: int
    home: str
    left_id: int
    jws: str


_ENDED_ONES = sa.text("""
    SELECT h.subject, h.side, h.state, coalesce(d.person_id, a.member_id) AS person_id, m.home,
        coalesce(d.org_id, a.source_branch_id) AS left_id,
        coalesce(
            (SELECT s.jws FROM sent s WHERE s.subject = h.subject AND s.type = 'integrated' LIMIT 1),
            (SELECT r.jws FROM received r
                WHERE r.subject = h.subject AND r.type = 'integrated' AND r.state = 'applied' LIMIT 1),
            '') AS jws
    FROM handovers h
    JOIN homes m ON m.subject = h.subject
    LEFT JOIN departures d ON d.subject = h.subject
    LEFT JOIN arrivals a ON a.subject = h.subject
    WHERE h.subject = ANY(CAST(:subjects AS text[])) AND m.home IS NOT NULL
        AND coalesce(d.person_id, a.member_id) IS NOT NULL
    ORDER BY h.subject""")


def correct(tx: Connection, bridge: Bridge, subjects: Collection[str]) -> set[str]:
    """Let our registry follow what both sides have signed, where it is ours that says something else.

    Return the transfers of which that is so; of the others the peer has to put its own right.
    """
    rows = db.rows(Ended, tx.execute(_ENDED_ONES, {"subjects": sorted(subjects)}))
    wrong = [row for row in rows if row.home != due_home(row.state)]
    places = _branches(tx, bridge, wrong)
    found = [(row, places[row.subject]) for row in wrong if row.subject in places]
    emit(
        tx,
        [
            HomeCorrected(subject=row.subject, peer=bridge.peer, person_id=row.person_id, branch_id=branch)
            for row, branch in found
        ],
    )
    return {row.subject for row, _ in found}


def _branches(tx: Connection, bridge: Bridge, rows: Iterable[Ended]) -> dict[str, int]:
    """Return the branch in which each member has to be."""
    found, codes = {}, {}
    for row in rows:
        if due_home(row.state) is Home.SENDER:
            found[row.subject] = row.left_id
        elif (code := _branch_code(row.jws)) and row.side == Side.RECEIVER:
            found[row.subject] = int(code)
        elif code:
            codes[row.subject] = code
    known = bridge.branches(tx, sorted(set(codes.values()))) if bridge.branches and codes else {}
    return found | {subject: known[code] for subject, code in codes.items() if code in known}


def _branch_code(jws: str) -> str:
    """Return the code of the branch that a message of ours, or one that was applied, has named."""
    return (branch_code(envelope.opened_before(jws)) or "") if jws else ""
