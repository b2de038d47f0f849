"""Whether anything slows down with time: lists, singles and their bare SQL in turn, minute after minute.

`MINUTES=15 python -m tests.bench.steady`. What the machine does to all of them shows in the reference's own
course; what is left is the system's. The server has to vacuum by itself, as it does by default.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"steady{os.getpid()}.")

from shared import db
from system import embedded
from tests.bench import reference
from tests.bench.__main__ import SINGLE_CONNECTIONS, Bench, note
from tests.installation import SERVER

SECONDS = {"sql_batch": 8.0, "sql_single": 8.0, "bulk": 14.0, "singles": 14.0}
"""Of each minute; the rest goes by between them."""
PER_MINUTE = 200_000
"""Members whom one minute may take: of lists, singles and what they warm up with."""
_LARGEST = sa.text("""
    SELECT relname, n_live_tup AS live, n_dead_tup AS dead, autovacuum_count AS vacuums,
        pg_total_relation_size(relid) / 1048576.0 AS mb
    FROM pg_stat_user_tables ORDER BY n_dead_tup DESC LIMIT 6""")


def measure(keys: Path, minutes: int) -> dict[str, Any]:
    """Return transfers per second by minute, and which tables hold most dead rows at the end."""
    url = str(db.address(SERVER).set(database=f"tq_steady_{os.getpid()}").render_as_string(False))
    people = PER_MINUTE * minutes
    reference.prepare(url, people)
    rows: dict[str, list[float]] = {name: [] for name in SECONDS}
    try:
        with Bench(keys, people) as bench:
            bench.bulk(2)
            bench.singles(2)
            first = 0
            for minute in range(minutes):
                for name, connections, size in (("sql_batch", 4, 100), ("sql_single", SINGLE_CONNECTIONS, 1)):
                    speed, done = reference.run(url, connections, size, SECONDS[name], first)
                    first += done + connections * size
                    rows[name].append(speed)
                rows["bulk"].append(bench.bulk(SECONDS["bulk"]))
                rows["singles"].append(bench.singles(SECONDS["singles"]))
                note(
                    f"minute {minute + 1}: "
                    + ", ".join(f"{name} {values[-1]:,.0f}/s" for name, values in rows.items())
                )
            tables = {service: _largest(bench, service) for service in ("transfers", "members", "scheduler")}
    finally:
        db.drop_database(url)
    return {"rows": rows, "held": held(rows), "tables": tables}


def _largest(bench: Any, service: str) -> list[dict[str, Any]]:
    with bench.installation.engine(service).connect() as tx:
        return [{**row._mapping, "mb": round(float(row.mb), 1)} for row in tx.execute(_LARGEST)]


def held(rows: dict[str, list[float]]) -> dict[str, float]:
    """Return how much of the first third's rate is left in the last, beside the reference's own course."""
    return {
        "lists": _course(rows["bulk"]) / _course(rows["sql_batch"]),
        "singles": _course(rows["singles"]) / _course(rows["sql_single"]),
    }


def _course(values: Sequence[float]) -> float:
    third = max(1, len(values) // 3)
    return median(values[-third:]) / median(values[:third])


def lines(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured as lines of a table."""
    minutes = len(found["rows"]["bulk"])
    for name, share in found["held"].items():
        yield (
            f"{name}, last of {minutes} minutes to first, less the reference's course",
            f"{share:.2f}",
            "aim 0.95",
        )


def main() -> None:
    """Measure, and print all."""
    keys = Path(tempfile.mkdtemp())
    embedded.make_keys(keys)
    found = measure(keys, int(os.environ.get("MINUTES") or 15))
    for line in lines(found):
        print("  ".join(line))
    for service, tables in found["tables"].items():
        for one in tables:
            print(f"{service}.{one['relname']}: {one}")


if __name__ == "__main__":
    main()
