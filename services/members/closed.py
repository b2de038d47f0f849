"""Whose record is closed to every command of members, and why (FED-10, FED-12).

Who stands in a branch of another system is no member of ours: what is here is history. Whose record is being
handed over is ours until the other system says otherwise, and stays as it was sealed.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared.errors import Refusal

LEFT = Refusal("stands_elsewhere")
HANDED_OVER = Refusal("handed_over")

_HOLD = sa.text("""
    SELECT person_id FROM people
    WHERE person_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY person_id
    FOR NO KEY UPDATE""")
_CLOSED = sa.text("""
    SELECT p.person_id, coalesce(d.system <> 'national', false) AS left_us
    FROM people p
    LEFT JOIN org_directory d ON d.org_id = p.branch_id
    WHERE p.person_id = ANY(CAST(:ids AS bigint[]))
        AND (d.system <> 'national'
            OR EXISTS (SELECT 1 FROM handovers h WHERE h.transfer_id = p.reserved_by))""")


def closed(tx: Connection, person_ids: Iterable[int | None], hold: bool = False) -> dict[int, Refusal]:
    """Return why records are closed, by person; one look-up, and those that are open are left out.

    With `hold` nobody closes the others either until the transaction ends.
    """
    ids = sorted({one for one in person_ids if one is not None})
    if not ids:
        return {}
    if hold:
        # a statement of its own: what the next one sees is what whoever held them has committed
        tx.execute(_HOLD, {"ids": ids})
    rows = tx.execute(_CLOSED, {"ids": ids})
    return {row.person_id: LEFT if row.left_us else HANDED_OVER for row in rows}
