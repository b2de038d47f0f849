"""The SQL of the adviser: where members could go."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

_TOWNSHIPS = sa.text("""
    SELECT t.* FROM org_directory t
    WHERE t.purpose = 'township' AND t.division_code >= :code AND t.division_code < :code_end
        AND NOT t.deleted
    ORDER BY t.division_code LIMIT 10""")

_BELOW = sa.text("""
    SELECT * FROM org_directory
    WHERE path >= :path AND path < :path_end AND purpose = ANY(CAST(:purposes AS text[]))
        AND NOT deleted
    ORDER BY path LIMIT 20""")


def townships(tx: Connection, division_code: str) -> Sequence[int]:
    """Return the township of a division code, or else those of its county, in order of their codes."""
    for length in (9, 6):
        if len(division_code) < length:
            continue
        prefix = division_code[:length]
        # ":" is the character after "9", so this is the range of all codes with the prefix.
        found = tx.execute(_TOWNSHIPS, {"code": prefix, "code_end": f"{prefix}:"}).scalars("org_id").all()
        if found:
            return found
    return []


def below(tx: Connection, path: str, purposes: Sequence[str]) -> Sequence[int]:
    """Return branches of some purposes in a subtree."""
    where = {"path": path, "path_end": path[:-1] + "/", "purposes": list(purposes)}
    return tx.execute(_BELOW, where).scalars("org_id").all()
