"""Sealing anew what old keys have sealed, so that they can be forgotten: `tuanqiao keys rotate`."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.members.sealing import store
from services.members.sealing.keys import b64
from services.members.sealing.seal import Seal


def some(tx: Connection, seal: Seal, after: int) -> tuple[int, int]:
    """Seal the values of up to 1,000 people anew.

    Return how many people they were, and the last of them, after whom the next call goes on.
    """
    rows = store.sealed_by_other_keys(tx, seal.current, after)

    def again(value: bytes | None) -> str | None:
        return None if value is None else b64(seal.seal(seal.open(value)))

    anew: list[store.Resealed] = [
        {
            "person_id": row.person_id,
            "id_sealed": again(row.id_sealed),
            "phone_sealed": again(row.phone_sealed),
            "contact_sealed": again(row.contact_sealed),
            "emergency_sealed": again(row.emergency_sealed),
        }
        for row in rows
    ]
    store.reseal(tx, anew)
    return len(rows), rows[-1].person_id if rows else after


def others(tx: Connection, seal: Seal) -> int:
    """Seal the values of the smaller tables anew; return how many."""
    found = store.others_sealed(tx, seal.current)
    for table, values in found.items():
        for place, value in values:
            store.reseal_other(tx, table, place, seal.seal(seal.open(value)))
    return sum(len(values) for values in found.values())
