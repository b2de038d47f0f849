"""What is stored after an attack.

No text beyond its limit, no control characters, nothing set aside, chains that verify.
"""

from __future__ import annotations

import sqlalchemy as sa

from shared.settings import SERVICES
from tests.attack.target import Target

LONGEST = {
    "full_name": 100,
    "short_name": 100,
    "name": 300,
    "plain": 100,
    "industry": 60,
    "phone": 60,
    "ethnic_group": 60,
    "development_number": 12,
    "post": 40,
    "kind": 40,
    "purpose": 40,
    "place_name": 200,
    "place_address": 200,
    "remark": 100,
    "end_note": 200,
    "note": 1000,
    "place": 200,
    "addressee": 300,
    "to_org": 300,
    "url": 2000,
}
"""Characters that a column of a name holds at most; any other holds `OTHERS`."""
OTHERS = 4000
MACHINERY = {"outbox", "inbox", "failed_messages", "handled_commands", "alembic_version"}
"""Tables of messages and answers, which hold lists of what stands elsewhere."""
_COLUMNS = sa.text(
    """
    SELECT table_name, column_name, data_type
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
      AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea')
    ORDER BY 1, 2"""
)


def audit(target: Target) -> list[str]:
    """Return what stands in the databases and should not."""
    faults: list[str] = []
    for service in SERVICES:
        with target.engine(service).connect() as tx:
            for table, column, kind in tx.execute(_COLUMNS).all():
                if table not in MACHINERY:
                    faults += _column(tx, service, table, column, kind)
            dead = tx.execute(
                sa.text("SELECT topic, error, count(*) FROM failed_messages GROUP BY 1, 2")
            ).all()
            faults += [f"{service}: {number} of {topic} set aside: {error}" for topic, error, number in dead]
    return faults


def _column(tx: sa.Connection, service: str, table: str, column: str, kind: str) -> list[str]:
    """Return what is wrong with a column: its longest value, and how many hold what a contract keeps out."""
    if kind == "bytea":  # sealed texts, pictures, digests
        longest, control = tx.execute(
            sa.text(f'SELECT max(octet_length("{column}")), 0 FROM "{table}"')
        ).one()
        most = 8 * OTHERS
    else:
        longest, control = tx.execute(
            sa.text(
                f'SELECT max(length("{column}"::text)),'
                f' count(*) FILTER (WHERE "{column}"::text ~ :control) FROM "{table}"'
            ),
            {"control": "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"},
        ).one()
        most = LONGEST.get(column, OTHERS) if kind != "jsonb" and kind != "json" else 20 * OTHERS
    return (
        [f"{service}.{table}.{column} holds {longest} characters, {most} at most"]
        if (longest or 0) > most
        else []
    ) + ([f"{service}.{table}.{column}: control characters in {control} rows"] if control else [])
