"""The SQL of sealing anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from shared import db

_RESEAL = sa.text("""
    -- the first byte of a sealed value is the number of its key
    SELECT person_id, id_sealed, phone_sealed, contact_sealed, emergency_sealed FROM people
    WHERE person_id > :after
        AND (get_byte(id_sealed, 0) <> :key OR get_byte(phone_sealed, 0) <> :key
            OR get_byte(contact_sealed, 0) <> :key OR get_byte(emergency_sealed, 0) <> :key)
    ORDER BY person_id
    LIMIT 1000
    FOR UPDATE""")

_RESEALED = sa.text("""
    UPDATE people p
    SET id_sealed = decode(i.id_sealed, 'base64'), phone_sealed = decode(i.phone_sealed, 'base64'),
        contact_sealed = decode(i.contact_sealed, 'base64'),
        emergency_sealed = decode(i.emergency_sealed, 'base64')
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        person_id bigint, id_sealed text, phone_sealed text, contact_sealed text, emergency_sealed text)
    WHERE p.person_id = i.person_id""")

_OTHER_SEALED = {
    "deleted_people": ("person_id", "id_sealed"),
    "import_rows": ("ctid", "row_sealed"),
    "retentions": ("retention_id", "contact_phone_sealed"),
}


def sealed_by_other_keys(tx: Connection, key: int, after: int) -> Sequence[sa.Row[Any]]:
    """Return up to 1,000 people with values sealed by another key, held until the transaction ends."""
    return tx.execute(_RESEAL, {"key": key, "after": after}).all()


def reseal(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store values that were sealed anew; they come as base64."""
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
