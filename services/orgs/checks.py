"""The tree and its administrators, read in pieces and told again. Only SQL."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db, readings
from shared.messages.orgs import AdministratorChanged, OrgChanged
from shared.outbox import insert, tell
from shared.recordset import recordset

TREE = readings.tree("orgs", name="full_name")
RIGHTS = readings.rights("administrators")


class Seen(msgspec.Struct, frozen=True):
    """An organisation, or a right of a person over it, with the highest version that anybody has seen."""

    org_id: int
    person_id: int
    version: int


# In one order everywhere, so that two that change the same rows do not deadlock.
_TELL_ORGS = sa.text(f"""
    WITH found AS (
        SELECT o.org_id, max(i.version) AS seen FROM {recordset(Seen)} JOIN orgs o USING (org_id)
        GROUP BY o.org_id),
    held AS (
        SELECT o.org_id FROM orgs o WHERE o.org_id IN (SELECT org_id FROM found)
        ORDER BY o.org_id FOR NO KEY UPDATE),
    changed AS (
        UPDATE orgs o SET version = greatest(o.version, f.seen) + 1
        FROM found f JOIN held USING (org_id)
        WHERE o.org_id = f.org_id
        RETURNING o.*),
    told AS ({insert(tell(OrgChanged, "changed", name="full_name"))})
    SELECT count(*) FROM changed""")
_TELL_RIGHTS = sa.text(f"""
    WITH found AS (
        SELECT a.org_id, a.person_id, max(i.version) AS seen
        FROM {recordset(Seen)} JOIN administrators a USING (org_id, person_id)
        GROUP BY a.org_id, a.person_id),
    held AS (
        SELECT a.org_id, a.person_id FROM administrators a
        WHERE (a.org_id, a.person_id) IN (SELECT org_id, person_id FROM found)
        ORDER BY a.org_id, a.person_id FOR NO KEY UPDATE),
    changed AS (
        UPDATE administrators a SET version = greatest(a.version, f.seen) + 1
        FROM found f JOIN held USING (org_id, person_id)
        WHERE a.org_id = f.org_id AND a.person_id = f.person_id
        RETURNING a.*),
    told AS ({insert(tell(AdministratorChanged, "changed"))})
    SELECT count(*) FROM changed""")


def tell_orgs(tx: Connection, seen: Sequence[Seen]) -> int:
    """Tell of organisations again as they are, with a version that nobody has seen; return how many.

    Nothing but the version changes, so nothing is written into the audit log.
    """
    return int(db.run(tx, _TELL_ORGS, seen).scalar_one())


def tell_rights(tx: Connection, seen: Sequence[Seen]) -> int:
    """Tell of rights again as they are, with a version that nobody has seen; return how many."""
    return int(db.run(tx, _TELL_RIGHTS, seen).scalar_one())
