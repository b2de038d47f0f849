"""`make bench`: the whole system beside its own bare SQL, in one run.

It runs on real RabbitMQ and PostgreSQL with default durability.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import kombu
import psutil
import sqlalchemy as sa

os.environ.setdefault("TUANQIAO_BUS_PREFIX", f"bench{os.getpid()}.")

from services.members.accounts import handlers as accounts
from shared import db
from shared.settings import SERVICES
from system import embedded
from tests.bench import drive, load, reference, registry, season
from tests.installation import AMQP_URI, SERVER, Installation

QUICK = bool(os.environ.get("QUICK"))
PEOPLE = 600_000
ROUNDS = 2 if QUICK else 3


def note(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


class Bench:
    """One installation with its load."""

    def __init__(self, keys: Path, people: int) -> None:
        self.installation = Installation(keys)
        self.people = people
        self.schools = load.schools(keys)
        self.members = drive.Members(people)

    def __enter__(self) -> Bench:
        self.installation.create()
        load.organisations(self.installation)
        note(f"loading {self.people:,} members: {load.people(self.installation, self.people):.0f} s")
        self.installation.start(*SERVICES)
        return self

    def __exit__(self, *error: object) -> None:
        self.installation.close()

    def bulk(self, seconds: float) -> float:
        return drive.bulk(self.installation, self.members, self.schools, seconds)[0]

    def singles(self, seconds: float) -> float:
        return drive.singles(self.installation, self.members, self.schools, seconds)[0]

    def idle(self, seconds: float) -> dict[str, Any]:
        """CPU of all services at rest in percent of one core, and memory of each in MB."""
        processes = {
            name: psutil.Process(process.pid) for name, process in self.installation.processes.items()
        }
        time.sleep(3)
        before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
        time.sleep(seconds)
        used = {
            name: 100 * (sum(process.cpu_times()[:2]) - before[name]) / seconds
            for name, process in processes.items()
        }
        return {
            "cpu_percent": sum(used.values()),
            "memory_mb": {
                name: round(process.memory_info().rss / 2**20) for name, process in processes.items()
            },
        }


def versions() -> dict[str, str]:
    engine = sa.create_engine(db.address(SERVER).set(database="postgres"))
    with engine.connect() as tx:
        postgresql = str(tx.scalar(sa.text("SHOW server_version")))
    with kombu.Connection(AMQP_URI) as connection:
        connection.connect()
        rabbitmq = str(connection.connection.server_properties.get("version", "?"))
    return {
        "python": platform.python_version(),
        "postgresql": postgresql.split()[0],
        "rabbitmq": rabbitmq,
        "cores": str(psutil.cpu_count()),
        **{
            name: version(name)
            for name in ("nameko", "kombu", "eventlet", "SQLAlchemy", "psycopg2-binary", "msgspec")
        },
    }


def main() -> None:
    keys = Path(tempfile.mkdtemp())
    embedded.make_keys(keys)
    result: dict[str, Any] = {"versions": versions(), "quick": QUICK, "people": PEOPLE}
    seconds = 6.0 if QUICK else 10.0
    url = str(db.address(SERVER).set(database=f"tq_ref_{os.getpid()}").render_as_string(hide_password=False))
    note("preparing the reference database")
    reference.prepare(url, PEOPLE)
    rows: dict[str, list[float]] = {
        "sql_single": [],
        "sql_batch": [],
        "sql_lists": [],
        "bulk": [],
        "singles": [],
    }
    with Bench(keys, PEOPLE) as bench:
        note("warming up")
        bench.bulk(2)
        bench.singles(2)
        first = 0
        for round_ in range(ROUNDS):
            note(f"round {round_ + 1} of {ROUNDS}: each of the five in turn")
            for name, connections, size in (
                ("sql_single", 16, 1),
                ("sql_batch", 4, 100),
                ("sql_lists", 4, 500),
            ):
                speed, done = reference.run(url, connections, size, seconds / 2, first)
                first += done + connections * size
                rows[name].append(speed)
            rows["bulk"].append(bench.bulk(seconds))
            rows["singles"].append(bench.singles(seconds))
            note("  " + ", ".join(f"{name} {values[-1]:,.0f}/s" for name, values in rows.items()))
        result["latency"] = drive.latency(
            bench.installation, bench.members, bench.schools, 20, 15 if QUICK else 30
        )
        note("idle")
        result["idle"] = bench.idle(10 if QUICK else 20)
    db.drop_database(url)
    result["season"] = deadlines(keys, url)
    result["raw"] = rows
    result["bulk_vs_sql_batch"] = median(
        [a / b for a, b in zip(rows["bulk"], rows["sql_batch"], strict=True)]
    )
    result["bulk_vs_sql_lists"] = median(
        [a / b for a, b in zip(rows["bulk"], rows["sql_lists"], strict=True)]
    )
    result["singles_vs_sql_single"] = median(
        [a / b for a, b in zip(rows["singles"], rows["sql_single"], strict=True)]
    )
    result["latency_p50_ms"], result["latency_p99_ms"] = result["latency"]["p50"], result["latency"]["p99"]
    result["idle_cpu_percent"] = result["idle"]["cpu_percent"]
    note("organisations and members at national size")
    result["registry"] = country(keys)
    if not QUICK:
        growth: dict[str, list[float]] = {"150,000": [], "3,000,000": []}
        for people in (150_000, 3_000_000, 150_000):  # one after the other: they share the broker's names
            with Bench(keys, people) as bench:
                season.ended_transfers(bench.installation, people)
                bench.bulk(3)
                growth[f"{people:,}"] += [bench.bulk(4) for _ in range(2)]
        result["growth_raw"] = growth
        result["growth_ratio"] = median(growth["3,000,000"]) / median(growth["150,000"])
    show(result)
    path = Path("bench/latest.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1))
    print(f"written to {path}")


def deadlines(keys: Path, url: str) -> dict[str, Any]:
    """Measure deadlines that fall due at one instant beside the bare SQL.

    Also an idle scheduler with many timers, and the statistics.
    """
    count = 200_000 if QUICK else 500_000  # for less, too few requests come meanwhile for a p99
    people = count + 40_000
    note(f"{count:,} deadlines at one instant, first in bare SQL")
    reference.prepare(url, count)
    bare = season.bare(url, count)
    db.drop_database(url)
    with Bench(keys, people) as bench:
        made: dict[str, Any] = season.deadlines(bench.installation, bench.schools, count, people)
        made["bare_per_s"], made["count"] = bare, count
        note(
            f"  bare {bare:,.0f}/s, system {made['per_s']:,.0f}/s,"
            f" requests meanwhile p99 {made['p99_ms']:.0f} ms"
        )
        made["figures"] = season.figures(bench.installation, bench.schools, people)
        made["timers"] = 2_000_000 if QUICK else 20_000_000
        note(f"{made['timers']:,} pending timers")
        made["idle"] = season.idle_timers(bench.installation, made["timers"], 10 if QUICK else 20)
    return made


def country(keys: Path) -> dict[str, Any]:
    """Measure organisations and members at national size, in an installation of their own."""
    installation = Installation(keys)
    accounts.use(keys)
    installation.create()
    try:
        made = registry.Country(
            installation, 150_000 if QUICK else 661_925, 200_000 if QUICK else 1_000_000, note
        )
        made.load()
        return made.run(QUICK)
    finally:
        installation.close()


def show(result: dict[str, Any]) -> None:
    raw = {name: median(values) for name, values in result["raw"].items()}
    lines = [
        ("SQL-single, prepared, 16 connections", f"{raw['sql_single']:,.0f} transfers/s", ""),
        (
            "SQL-batch, prepared, 100 per transaction, 4 connections",
            f"{raw['sql_batch']:,.0f} transfers/s",
            "",
        ),
        (
            "SQL-lists, prepared, 500 per transaction, 4 connections",
            f"{raw['sql_lists']:,.0f} transfers/s",
            "",
        ),
        (
            "system, lists of 500",
            f"{raw['bulk']:,.0f} transfers/s",
            f"{result['bulk_vs_sql_batch']:.2f} x SQL-batch (aim 0.7),"
            f" {result['bulk_vs_sql_lists']:.2f} x SQL-lists",
        ),
        (
            "system, singles, 64 in flight",
            f"{raw['singles']:,.0f} transfers/s",
            f"{result['singles_vs_sql_single']:.2f} x SQL-single (aim 2)",
        ),
        (
            "request to approver's list at 20/s",
            f"p50 {result['latency_p50_ms']:.0f} ms, p99 {result['latency_p99_ms']:.0f} ms",
            "aim 30 / 100 ms",
        ),
        ("all services at rest", f"{result['idle_cpu_percent']:.1f} % of a core", "aim < 3 %"),
        ("memory, MB", ", ".join(f"{name} {mb}" for name, mb in result["idle"]["memory_mb"].items()), ""),
    ]
    if "growth_ratio" in result:
        lines.append(
            (
                "bulk with 3,000,000 against 150,000 members and transfers",
                f"{result['growth_ratio']:.2f}",
                "aim >= 0.9",
            )
        )
    made = result["season"]
    lines += [
        (
            f"{made['count']:,} deadlines at one instant, bare SQL",
            f"{made['bare_per_s']:,.0f} deadlines/s",
            "",
        ),
        (
            "the same by the system, members freed",
            f"{made['per_s']:,.0f} deadlines/s",
            f"{made['per_s'] / made['bare_per_s']:.2f} x bare SQL (needed 0.25)",
        ),
        (
            "requests at 20/s meanwhile",
            f"p50 {made['p50_ms']:.0f} ms, p99 {made['p99_ms']:.0f} ms",
            "aim p99 <= 250 ms",
        ),
        (
            f"scheduler idle, 0 and {made['timers']:,} timers",
            f"{made['idle']['without']:.2f} %, {made['idle']['with']:.2f} % of a core",
            "aim: nothing measurable",
        ),
        (
            "figures of a school, 1/20 of graduates and all",
            f"p95 {made['figures']['small_p95_ms']:.1f} ms, {made['figures']['large_p95_ms']:.1f} ms",
            "aim p95 <= 20 ms",
        ),
        ("graduates followed into the figures", f"{made['figures']['large_per_s']:,.0f}/s", ""),
    ]
    if "registry" in result:
        found = result["registry"]
        lines += [
            (
                "search in the database, without the bus",
                f"p50 {found['search_p50_ms']:.1f} ms, p95 {found['search_p95_ms']:.1f} ms",
                "aim p95 <= 20 ms",
            ),
            (
                "right over a subtree, without the bus",
                f"p50 {found['subtree_p50_ms']:.1f} ms, p95 {found['subtree_p95_ms']:.1f} ms",
                "aim <= 2 ms",
            ),
            (
                "search through the bus",
                f"p50 {found['search_call_p50_ms']:.1f} ms, p95 {found['search_call_p95_ms']:.1f} ms",
                "",
            ),
            (
                "a branch of 300 through the API",
                f"p50 {found['page_of_300_p50_ms']:.0f} ms, p95 {found['page_of_300_p95_ms']:.0f} ms",
                "",
            ),
            (
                f"slowest of {found['pages']:.0f} pages, server time",
                f"p95 {found['page_p95_ms']:.0f} ms",
                "aim p95 <= 150 ms",
            ),
            (
                "heaviest page with style and script",
                f"{found['page_kb']:.0f} KB, at most {found['page_trips']:.0f} trips to services",
                "aim <= 150 KB, 3 trips",
            ),
            (
                "entry figures of a province, counted each time",
                f"p50 {found['province_figures_p50_ms']:.0f} ms,"
                f" p95 {found['province_figures_p95_ms']:.0f} ms",
                "",
            ),
            ("import of a roster", f"{found['import_rows_per_s']:,.0f} rows/s", ""),
            ("sign-in (argon2id t=2, 19 MiB, 1 lane)", f"{found['sign_ins_per_s']:,.0f} /s", ""),
            (
                "yearly switch by the service, branches of 25",
                f"{found['branches_switched_per_s']:,.0f} branches/s,"
                f" {found['members_flagged_per_s']:,.0f} members/s",
                f"in all services after {found['switch_everywhere_s']:.1f} s",
            ),
            (
                "migration of a subtree",
                f"{found['migrated_organisations']:,.0f} organisations in {found['migration_s']:.1f} s",
                f"everywhere after {found['migration_everywhere_s']:.1f} s",
            ),
            (
                "memory after that, MB",
                ", ".join(f"{name} {mb}" for name, mb in found["memory_mb"].items()),
                "aim < 300",
            ),
        ]
    width = max(len(line[0]) for line in lines)
    print()
    for name, value, remark in lines:
        print(f"{name:<{width}}  {value:<38} {remark}")
    print(
        "medians of",
        ROUNDS,
        "rounds; versions:",
        ", ".join(f"{name} {number}" for name, number in result["versions"].items()),
    )


if __name__ == "__main__":
    main()
