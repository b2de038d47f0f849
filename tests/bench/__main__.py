"""`make bench`: the whole system beside its own bare SQL, in one run.

It runs on real RabbitMQ and PostgreSQL with default durability. `PEERS=1` runs DBOS and Celery beside it,
on the same facts, in turn with ours; `QUICK=1` takes less time; `COMPARE=<commit>` measures that commit and
this one in turn, and nothing else.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
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
from tests.bench import bridges, compare, drive, http, load, outage, peers, reference, registry, season, views
from tests.bench.frameworks import run
from tests.bench.quantiles import percentile
from tests.installation import AMQP_URI, SERVER, Installation

QUICK = bool(os.environ.get("QUICK"))
PEOPLE = 900_000
CROWD = 512
"""Calls in flight where many people act at once, each for one transfer: a morning in June."""
ROUNDS = 2 if QUICK else 3
SINGLE_CONNECTIONS = 32
"""With which single transfers in bare SQL are fastest: 16 reach 0.95 of it, more nothing further."""


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
        return drive.singles(self.installation, self.members, self.schools, seconds).per_s

    def crowd(self, seconds: float) -> drive.Singly:
        return drive.singles(self.installation, self.members, self.schools, seconds, limit=CROWD)

    def replicas(self, seconds: float) -> dict[str, list[float]]:
        """Lists per second with one, two and four processes of transfers and of members each, then one again.

        Every transfer of each has to be completed, whichever of them has taken which step.
        """
        found: dict[str, list[float]] = {}
        for count in (1, 2, 4, 1):
            wanted = {f"{one}#{n}" for one in ("members", "transfers") for n in range(2, count + 1)}
            running = {name for name in self.installation.processes if "#" in name}
            for name in running - wanted:
                self.installation.kill(name, signal.SIGTERM)
            self.installation.start(*sorted(wanted - running))
            found.setdefault(str(count), []).append(self.bulk(seconds))
        return found

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
    """Measure everything, print it, and keep it in `bench/latest.json`; or compare with another commit."""
    if os.environ.get("COMPARE"):
        sys.exit(compare.compare(os.environ["COMPARE"], ROUNDS + 1))
    keys = Path(tempfile.mkdtemp())
    embedded.make_keys(keys)
    url = str(db.address(SERVER).set(database=f"tq_ref_{os.getpid()}").render_as_string(hide_password=False))
    result: dict[str, Any] = {"versions": versions(), "quick": QUICK, "people": PEOPLE}
    result |= transfers(keys, url)
    result["season"] = deadlines(keys, url)
    note("organisations and members at national size")
    result["registry"] = country(keys)
    note("bridges")
    result["bridges"] = bridges.measure(2.0 if QUICK else bridges.SECONDS, ROUNDS)
    result["outage"] = outage.measure()
    note("views, while ever more transfers are open")
    result["growth_of_views"] = views.measure((20_000, 200_000) if QUICK else (20_000, 500_000, 2_000_000))
    note("the gateway")
    result["http"] = http.measure(3.0 if QUICK else 8.0)
    if not QUICK:
        note("a bridge with its peer")
        result["bridge_peers"] = peers.measure()
        result |= growth(keys)
    show(result)
    path = Path("bench/latest.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1))
    print(f"written to {path}")


def transfers(keys: Path, url: str) -> dict[str, Any]:
    """Measure whole transfers beside the same in bare SQL, the time until they are seen, and the rest."""
    note("preparing the reference database")
    reference.prepare(url, PEOPLE)
    with Bench(keys, PEOPLE) as bench:
        rows = rounds(bench, url)
        seen = drive.latency(bench.installation, bench.members, bench.schools, 20, 15 if QUICK else 30)
        many = drive.latency(bench.installation, bench.members, bench.schools, 200, 5 if QUICK else 15)
        note("idle")
        idle = bench.idle(10 if QUICK else 20)
        note("two and four processes of transfers and members")
        replicas = bench.replicas(seconds=4 if QUICK else 10)
        others = frameworks(bench) if os.environ.get("PEERS") else None
    db.drop_database(url)
    return {
        "peers": others,
        "raw": rows,
        "latency": seen,
        "latency_p50_ms": seen["p50"],
        "latency_p99_ms": seen["p99"],
        "latency_at_200": many,
        "idle": idle,
        "replicas": replicas,
        "idle_cpu_percent": idle["cpu_percent"],
        "bulk_vs_sql_batch": ratio(rows["bulk"], rows["sql_batch"]),
        "bulk_vs_sql_lists": ratio(rows["bulk"], rows["sql_lists"]),
        "singles_vs_sql_single": ratio(rows["singles"], rows["sql_single"]),
        "crowd_vs_sql_single": ratio(rows["crowd"], rows["sql_single"]),
    }


def rounds(bench: Bench, url: str) -> dict[str, list[float]]:
    """Return transfers per second of the six ways; they take turns, so that all meet the same machine.

    `crowd_p99_ms` is how long a call takes while so many are in flight.
    """
    note("warming up")
    bench.bulk(2)
    bench.singles(2)
    seconds = 6.0 if QUICK else 10.0
    ways = (("sql_single", SINGLE_CONNECTIONS, 1), ("sql_batch", 4, 100), ("sql_lists", 4, 500))
    ours = ("bulk", "singles", "crowd", "crowd_p99_ms")
    rows: dict[str, list[float]] = {name: [] for name in (*(way[0] for way in ways), *ours)}
    first = 0
    for number in range(1, ROUNDS + 1):
        note(f"round {number} of {ROUNDS}: each of the six in turn")
        for name, connections, size in ways:
            speed, done = reference.run(url, connections, size, seconds / 2, first)
            first += done + connections * size
            rows[name].append(speed)
        rows["bulk"].append(bench.bulk(seconds))
        rows["singles"].append(bench.singles(seconds))
        crowd = bench.crowd(seconds)
        rows["crowd"].append(crowd.per_s)
        rows["crowd_p99_ms"].append(1000 * percentile(crowd.took, 99))
        note("  " + ", ".join(f"{name} {values[-1]:,.0f}" for name, values in rows.items()))
    return rows


def frameworks(bench: Bench) -> dict[str, list[float]]:
    """Return transfers per second of ours and of other frameworks; they take turns."""
    seconds = 4.0 if QUICK else 8.0
    tables = run.Tables(f"tq_frameworks_{os.getpid()}", run.people(seconds, ROUNDS))
    rows: dict[str, list[float]] = {name: [] for name in ("bulk", "singles", *run.WAYS)}
    try:
        for number in range(1, ROUNDS + 1):
            note(f"other frameworks, round {number} of {ROUNDS}")
            rows["bulk"].append(bench.bulk(seconds))
            rows["singles"].append(bench.singles(seconds))
            for name, way in run.WAYS.items():
                rows[name].append(way(tables, seconds))
    finally:
        tables.close()
    return rows


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of what the rounds say, each for itself."""
    return median([a / b for a, b in zip(ours, theirs, strict=True)])


def growth(keys: Path) -> dict[str, Any]:
    """Measure lists with few and with many members and ended transfers."""
    found: dict[str, list[float]] = {"150,000": [], "3,000,000": []}
    for people in (150_000, 3_000_000, 150_000):  # one after the other: they share the broker's names
        with Bench(keys, people) as bench:
            season.ended_transfers(bench.installation, people)
            bench.bulk(3)
            found[f"{people:,}"] += [bench.bulk(4) for _ in range(2)]
    return {
        "growth_raw": found,
        "growth_ratio": median(found["3,000,000"]) / median(found["150,000"]),
    }


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


Line = tuple[str, str, str]
"""What was measured, the figure, and what it is compared with."""


def show(result: dict[str, Any]) -> None:
    """Print all figures as one table."""
    lines = [*_of_transfers(result), *_of_season(result["season"])]
    if "registry" in result:
        lines += [*_of_pages(result["registry"]), *_of_registry(result["registry"])]
    lines += views.lines(result["growth_of_views"])
    if "bridges" in result:
        lines += bridges.lines(result["bridges"])
    if "bridge_peers" in result:
        lines += peers.lines(result["bridge_peers"])
    lines += outage.lines(result["outage"])
    lines += http.lines(result["http"])
    if result["peers"]:
        lines += run.lines(result["peers"])
    width = max(len(name) for name, _, _ in lines)
    print()
    for name, value, remark in lines:
        print(f"{name:<{width}}  {value:<38} {remark}")
    versions_ = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    print(f"medians of {ROUNDS} rounds; versions: {versions_}")


def _spread(made: dict[str, Any], name: str, upper: str = "p95", digits: int = 0) -> str:
    """Return the median and an upper percentile of something, in milliseconds."""
    low, high = made[f"{name}p50_ms"], made[f"{name}{upper}_ms"]
    return f"p50 {low:.{digits}f} ms, {upper} {high:.{digits}f} ms"


def _memory(made: dict[str, Any]) -> str:
    return ", ".join(f"{name} {mb}" for name, mb in made["memory_mb"].items())


def _of_transfers(result: dict[str, Any]) -> Iterator[Line]:
    raw = {name: f"{median(values):,.0f} transfers/s" for name, values in result["raw"].items()}
    slowest = median(result["raw"]["crowd_p99_ms"])
    batch, lists = result["bulk_vs_sql_batch"], result["bulk_vs_sql_lists"]
    single = result["singles_vs_sql_single"]
    yield f"SQL-single, prepared, {SINGLE_CONNECTIONS} connections", raw["sql_single"], ""
    yield "SQL-batch, prepared, 100 per transaction, 4 connections", raw["sql_batch"], ""
    yield "SQL-lists, prepared, 500 per transaction, 4 connections", raw["sql_lists"], ""
    yield (
        "system, lists of 500",
        raw["bulk"],
        f"{batch:.2f} x SQL-batch (aim 0.7), {lists:.2f} x SQL-lists",
    )
    yield "system, singles, 64 in flight", raw["singles"], f"{single:.2f} x SQL-single (aim 2)"
    yield (
        f"system, singles, {CROWD} in flight",
        raw["crowd"],
        f"{result['crowd_vs_sql_single']:.2f} x SQL-single; p99 of a call {slowest:.0f} ms",
    )
    yield "request to approver's list at 20/s", _spread(result, "latency_", "p99"), "aim 18 / 30 ms"
    for hop, took in result["latency"]["hops"].items():
        spread = f"p50 {took['p50_ms']:.1f} ms, slowest 1 % {took['slowest_ms']:.1f} ms"
        yield f"  of it: {hop}", spread, ""
    many = result["latency_at_200"]
    spread = f"p50 {many['p50']:.0f} ms, p99 {many['p99']:.0f} ms"
    yield "request to approver's list at 200/s", spread, "aim p99 <= 60 ms"
    yield "all services at rest", f"{result['idle_cpu_percent']:.1f} % of a core", "aim < 3 %"
    one = median(result["replicas"]["1"])
    for count, aim in (("2", "1.0"), ("4", "0.9")):
        speed = median(result["replicas"][count])
        label = f"lists with {count} processes of transfers and members"
        yield label, f"{speed:,.0f} transfers/s", f"{speed / one:.2f} x one (aim {aim})"
    yield "memory, MB", _memory(result["idle"]), ""
    if "growth_ratio" in result:
        compared = "bulk with 3,000,000 against 150,000 members and transfers"
        yield compared, f"{result['growth_ratio']:.2f}", "aim >= 0.9"


def _of_season(made: dict[str, Any]) -> Iterator[Line]:
    share, figures = made["per_s"] / made["bare_per_s"], made["figures"]
    yield (
        f"{made['count']:,} deadlines at one instant, bare SQL",
        f"{made['bare_per_s']:,.0f} deadlines/s",
        "",
    )
    yield (
        "the same by the system, members freed",
        f"{made['per_s']:,.0f} deadlines/s",
        f"{share:.2f} x bare SQL (needed 0.25)",
    )
    yield "requests at 20/s meanwhile", _spread(made, "", "p99"), "aim p99 <= 250 ms"
    yield (
        f"scheduler idle, 0 and {made['timers']:,} timers",
        f"{made['idle']['without']:.2f} %, {made['idle']['with']:.2f} % of a core",
        "aim: nothing measurable",
    )
    yield (
        "figures of a school, 1/20 of graduates and all",
        f"p95 {figures['small_p95_ms']:.1f} ms, {figures['large_p95_ms']:.1f} ms",
        "aim p95 <= 20 ms",
    )
    yield "graduates followed into the figures", f"{figures['large_per_s']:,.0f}/s", ""


def _of_pages(found: dict[str, Any]) -> Iterator[Line]:
    yield (
        "search in the database, without the bus",
        _spread(found, "search_", digits=1),
        "aim p95 <= 20 ms",
    )
    yield (
        f"search for {found['spoken']:.0f} spoken names",
        f"{_spread(found, 'spoken_', digits=1)}, {found['spoken_found']:.1f} % at rank 1 to 5",
        "aim p95 <= 20 ms, 95 %",
    )
    yield (
        "search in one system, the national one or a peer's",
        _spread(found, "search_system_", digits=1),
        "aim p95 <= 20 ms",
    )
    yield (
        "right over a subtree, without the bus",
        _spread(found, "subtree_", digits=1),
        "aim <= 2 ms",
    )
    yield "search through the bus", _spread(found, "search_call_", digits=1), ""
    yield "a branch of 300 through the API", _spread(found, "page_of_300_"), ""
    yield (
        f"slowest of {found['pages']:.0f} pages, server time",
        f"p95 {found['page_p95_ms']:.0f} ms",
        "aim p95 <= 150 ms",
    )
    yield (
        "heaviest page with style and script",
        f"{found['page_kb']:.0f} KB, at most {found['page_trips']:.0f} trips to services",
        "aim <= 150 KB, 3 trips",
    )
    counted = "entry figures of a province, counted each time"
    yield counted, _spread(found, "province_figures_"), ""


def _of_registry(found: dict[str, Any]) -> Iterator[Line]:
    yield "import of a roster", f"{found['import_rows_per_s']:,.0f} rows/s", ""
    yield "sign-in (argon2id t=2, 19 MiB, 1 lane)", f"{found['sign_ins_per_s']:,.0f} /s", ""
    yield (
        "yearly switch by the service, branches of 25",
        f"{found['branches_switched_per_s']:,.0f} branches/s,"
        f" {found['members_flagged_per_s']:,.0f} members/s",
        f"in all services after {found['switch_everywhere_s']:.1f} s",
    )
    yield (
        "migration of a subtree",
        f"{found['migrated_organisations']:,.0f} organisations in {found['migration_s']:.1f} s",
        f"everywhere after {found['migration_everywhere_s']:.1f} s",
    )
    yield "memory after that, MB", _memory(found), "aim < 300"


if __name__ == "__main__":
    main()
