"""The SQL of sealing anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db
from shared.recordset import recordset


class Sealed(NamedTuple):
    """The sealed values of a person."""

    person_id: int
    id_sealed: bytes
    phone_sealed: bytes | None
    contact_sealed: bytes | None
    emergency_sealed: bytes | None


class Resealed(TypedDict):
    """The values of a person sealed anew, as base64."""

    person_id: int
    id_sealed: str | None
    phone_sealed: str | None
    contact_sealed: str | None
    emergency_sealed: str | None


_RESEAL = sa.text("""
    -- the first byte of a sealed value is the number of its key
    SELECT person_id, id_sealed, phone_sealed, contact_sealed, emergency_sealed FROM people
    WHERE person_id > :after
        AND (get_byte(id_sealed, 0) <> :key OR get_byte(phone_sealed, 0) <> :key
            OR get_byte(contact_sealed, 0) <> :key OR get_byte(emergency_sealed, 0) <> :key)
    ORDER BY person_id
    LIMIT 1000
    FOR UPDATE""")

_RESEALED = sa.text(f"""
    UPDATE people p
    SET id_sealed = decode(i.id_sealed, 'base64'), phone_sealed = decode(i.phone_sealed, 'base64'),
        contact_sealed = decode(i.contact_sealed, 'base64'),
        emergency_sealed = decode(i.emergency_sealed, 'base64')
    FROM {recordset(Resealed)}
    WHERE p.person_id = i.person_id""")

_OTHER_SEALED = {
    "deleted_people": ("person_id", "id_sealed"),
    "import_rows": ("ctid", "row_sealed"),
    "retentions": ("retention_id", "contact_phone_sealed"),
}


def sealed_by_other_keys(tx: Connection, key: int, after: int) -> list[Sealed]:
    """Return up to 1,000 people with values sealed by another key, held until the transaction ends."""
    return db.rows(Sealed, tx.execute(_RESEAL, {"key": key, "after": after}))


def reseal(tx: Connection, rows: Sequence[Resealed]) -> None:
    """Store values that were sealed anew."""
    db.run(tx, _RESEALED, rows)


def others_sealed(tx: Connection, key: int) -> dict[str, list[tuple[str, bytes]]]:
    """Return the values of the smaller tables that another key has sealed: place and value, by table."""
    return {
        table: [
            (str(row[0]), bytes(row[1]))
            for row in tx.execute(
                sa.text(
                    f"SELECT CAST({place} AS text), {column} FROM {table}"
                    f" WHERE {column} IS NOT NULL AND get_byte({column}, 0) <> :key FOR UPDATE"
                ),
                {"key": key},
            )
        ]
        for table, (place, column) in _OTHER_SEALED.items()
    }


def reseal_other(tx: Connection, table: str, place: str, value: bytes) -> None:
    """Store one value of a smaller table that was sealed anew."""
    at, column = _OTHER_SEALED[table]
    kind = "tid" if at == "ctid" else "bigint"
    tx.execute(
        sa.text(f"UPDATE {table} SET {column} = :value WHERE {at} = CAST(:place AS {kind})"),
        {"value": value, "place": place},
    )
