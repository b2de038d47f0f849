"""The SQL of people who enter a branch: what the branch is decides what they are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import domain
from services.members.store import COHORT, GRADUATES
from shared import db
from shared.outbox import insert

_HOLD_BRANCHES = sa.text("""
    SELECT org_id FROM org_directory
    WHERE org_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY org_id
    FOR KEY SHARE""")
_CLOSE_BRANCHES = sa.text("""
    SELECT org_id FROM org_directory
    WHERE org_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY org_id
    FOR UPDATE""")
_HOLD_MARKS = sa.text("""
    SELECT branch_id FROM branch_marks
    WHERE branch_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY branch_id
    FOR UPDATE""")
_FLAG = sa.text(f"""
    WITH given AS (
        SELECT person_id FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint)
    ),
    -- those who entered a branch that the switch has already reached
    flagged AS (
        UPDATE people p SET graduate = true, graduates_on = b.graduates_on
        FROM given g
        JOIN people q USING (person_id)
        JOIN branch_marks b ON b.branch_id = q.branch_id AND b.converted_at IS NOT NULL
        WHERE p.person_id = q.person_id AND p.mark = '' AND NOT p.graduate
        RETURNING p.person_id AS member_id, p.branch_id,
            {COHORT.format(on="p.graduates_on")} AS cohort, true AS counts
    ),
    -- they count with those whom the switch found there, so that it shows when one leaves
    counted AS (
        UPDATE branch_marks b SET members = b.members + f.n
        FROM (SELECT branch_id, count(*)::int AS n FROM flagged GROUP BY branch_id) f
        WHERE b.branch_id = f.branch_id
    ),
    -- the events, in the same transaction
    told AS ({insert(GRADUATES)})
    SELECT member_id FROM flagged""")

_NUMBERS = sa.text(f"""
    UPDATE people p SET number_from = date '{domain.number_from(domain.XINJIANG)}'
    FROM json_to_recordset(CAST(:items AS json)) AS i(person_id bigint)
    JOIN people q USING (person_id)
    JOIN org_directory o ON o.org_id = q.branch_id
    WHERE p.person_id = q.person_id AND o.province = '{domain.XINJIANG}'
        AND p.number_from > date '{domain.number_from(domain.XINJIANG)}'""")


def hold(tx: Connection, branch_ids: Iterable[int]) -> None:
    """Keep branches from being marked or switched until the transaction ends.

    So nobody enters behind the back of the switch. A branch that was never marked has no mark to
    hold; there the organisation itself stands for it.
    """
    ids = sorted(set(branch_ids))
    if ids:
        tx.execute(_HOLD_BRANCHES, {"ids": ids})
        tx.execute(_HOLD_MARKS, {"ids": ids})


def close(tx: Connection, branch_ids: Iterable[int]) -> None:
    """Keep people from entering branches until the transaction ends.

    Whoever marks the branches waits for those who are just entering.
    """
    tx.execute(_CLOSE_BRANCHES, {"ids": sorted(set(branch_ids))})


def receive(tx: Connection, person_ids: Iterable[int], now: datetime) -> set[int]:
    """Make people who have just entered branches what these make them; return who became a graduate.

    People who enter a graduates' organisation are graduates, as the switch made those who were
    there, and that is told (GRAD-12, GRAD-15); they count as members of the switched branch, so
    that one who leaves afterwards is missed (GRAD-14). In Xinjiang development numbers are needed a
    year earlier (MEM-08, MEM-22).
    """
    rows = [{"person_id": one} for one in sorted(set(person_ids))]
    if not rows:
        return set()
    db.run(tx, _NUMBERS, rows)
    return set(db.run(tx, _FLAG, rows, now=now).scalars())
