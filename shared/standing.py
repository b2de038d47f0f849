"""How the calls of a transaction stand before one is handled: one look for all into a service's tables."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db, directory, sessions_ended
from shared.identity import Actor


class Standing(NamedTuple):
    """What was found.

    Attributes:
        ended: The sessions that were ended before their time.
        others: The organisations that another system keeps: nothing is changed there, neither by an item that
            names one nor by who acts for one (FED-01).

    """

    ended: set[str]
    others: set[int]


_STANDING = sa.text(f"""
    SELECT session_id AS session, NULL::bigint AS person_id, NULL::bigint AS org_id, NULL::boolean AS observer
    FROM ({sessions_ended.ENDED}) e
    UNION ALL SELECT NULL, person_id, org_id, observer FROM ({directory.ADMINISTERED}) a
    UNION ALL SELECT NULL, NULL, org_id, NULL FROM ({directory.OF_OTHERS}) o""")


Named = Callable[[], Collection[int]]
"""Finds the organisations that calls name or act for; not asked by who has no use for them."""


def of_sessions(
    tx: Connection, sessions: Collection[str], actors: Collection[Actor], named: Named
) -> Standing:
    """Look for ended sessions alone."""
    return Standing(sessions_ended.ended(tx, sessions), set())


def with_rights(
    tx: Connection, sessions: Collection[str], actors: Collection[Actor], named: Named
) -> Standing:
    """Look into a service's own directory, too, for what those administer who call.

    It is known to the handlers of the transaction from now on. Organisations of other systems may be named.
    """
    return _looked_up(tx, sessions, actors, ())


def among_our_own(
    tx: Connection, sessions: Collection[str], actors: Collection[Actor], named: Named
) -> Standing:
    """Look as `with_rights` does, and for what another system keeps."""
    return _looked_up(tx, sessions, actors, named())


def _looked_up(
    tx: Connection, sessions: Collection[str], actors: Collection[Actor], org_ids: Collection[int]
) -> Standing:
    claims = {(actor.person_id, actor.org_id) for actor in actors if actor.org_id is not None}
    rights: dict[directory.Claim, bool | None] = dict.fromkeys(claims)
    ended: set[str] = set()
    others: set[int] = set()
    rows = db.prepared(
        tx,
        _STANDING,
        sessions=sorted({one for one in sessions if one}),
        items=msgspec.json.encode([{"person_id": one, "org_id": org} for one, org in claims]).decode(),
        ids=sorted(org_ids),
    )
    for session, person_id, org_id, observer in rows:
        if session is not None:
            ended.add(session)
        elif person_id is not None:
            rights[person_id, org_id] = observer
        else:
            others.add(org_id)
    directory.remember_rights(tx, rights)
    return Standing(ended, others)
