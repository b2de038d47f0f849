"""Organisations and members at national size.

Search, subtrees, a province's lists, imports, sign-in, a page of 300, moving a subtree, the yearly
switch.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import queue
import random
import signal
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec
import psutil
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from services.members import people
from services.members import store as members_store
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.graduation import rules as graduation
from services.orgs import domain as orgs_domain
from services.orgs import seed, store
from services.orgs import spoken as orgs_spoken
from services.orgs.migration import handlers as migration
from services.orgs.migration import store as migration_store
from services.orgs.search import handlers as search
from shared import clock, db, directory
from shared.bus.rpc import RpcClient
from shared.bus.service import Asked
from shared.identity import Actor, Signer
from shared.messages import members, orgs
from shared.messages.words import System
from system import synthetic, world
from tests.bench.quantiles import percentile
from tests.bench.threads import in_threads
from tests.installation import Installation
from tests.orgs.search import said

WORDS = (
    "东风",
    "红旗",
    "新华",
    "团结",
    "光明",
    "和平",
    "永安",
    "太平",
    "长青",
    "石桥",
    "柳林",
    "杨树",
    "双河",
    "三里",
    "五里",
    "清水",
    "白云",
    "金星",
    "胜利",
    "前进",
)
PROVINCE, COUNTY, LARGEST = 42, 420106, "51"
_TOP = 2**41
"""The body that is moved with all below it."""
_ORG_COLUMNS = (
    "org_id",
    "parent_id",
    "path",
    "kind",
    "purpose",
    "province",
    "system",
    "provincial_id",
    "short_name",
    "full_name",
    "bigrams",
    "spoken",
    "industry",
    "display_order",
    "version",
)
_PEOPLE_COLUMNS = (
    "person_id",
    "name",
    "id_sealed",
    "id_index",
    "phone_sealed",
    "ethnic_group",
    "joined_on",
    "development_number",
    "branch_id",
    "born_on",
)
_PENDING = """
    INSERT INTO transfers (
        transfer_id, command_id, member_id,
        initiator, initiator_org_id, initiator_person_id,
        source_branch_id, source_superior_id, source_province, provincial_id,
        target_org_id, target_province,
        reason, place_name, place_address, contact, remark,
        policy, path, state, node_no, created_at, audit_seq, audit_head
    ) OVERRIDING SYSTEM VALUE
    SELECT
        9000000 + n, gen_random_uuid(), 10000000 + n,
        'source', :town, 1,
        :source, 1, '42', 1,
        :town, '42',
        'unemployed', '', '某街道', '19900000000', '已联系',
        'national@2026.1', 'source:committee', 'pending_in', 1, now(), 1, ''
    FROM generate_series(1, 300) AS n"""
_PENDING_NODES = """
    INSERT INTO open_nodes (
        transfer_id, node_no, state, province, org_id,
        opened_at, expires_at, on_expiry, withdraw
    )
    SELECT
        9000000 + n, 1, 'pending_in', '42', :town,
        now() - interval '1 day', now() + interval '9 days', 'return', 'yes'
    FROM generate_series(1, 300) AS n"""
_PENDING_AUDIT = """
    INSERT INTO audit (transfer_id, seq, event, state, at, note, hash)
    SELECT 9000000 + n, 1, 'requested', 'checking', now(), '', ''
    FROM generate_series(1, 300) AS n"""


class Seen(NamedTuple):
    """How a page was measured; bytes without style and script."""

    p95_ms: float
    size: int
    trips: int
    name: str


def tree(total: int) -> Iterator[seed.SeedOrg]:
    """Yield the national tree, and villages below its townships until there are `total` organisations."""
    base = list(seed.national_tree())
    yield from base
    townships = [org for org in base if org.division_code and len(org.division_code) == 9]
    single = len(townships)
    # twice as many there: a subtree of 50,000 is to be moved
    townships += [org for org in townships if org.province == LARGEST]
    for n in range(total - len(base)):
        above = townships[n % len(townships)]
        place = above.full_name.removeprefix("共青团").removesuffix("委员会").removesuffix("工作")
        word = WORDS[(n * 7 + n // len(townships)) % len(WORDS)] + WORDS[(n // 3) % len(WORDS)]
        yield seed.SeedOrg(
            above.id * 1000 + (100 if n % len(townships) < single else 500) + n // len(townships),
            above.id,
            "branch",
            "ordinary",
            f"{word}村团支部",
            f"共青团{place}{word}村支部委员会",
            above.province,
        )


def _paths(org: int, branch: int) -> list[str]:
    """Return the pages of the menu that an organisation has, a long list, and pages of one thing."""
    from services.gateway.kit.capabilities import MENU

    entries = [entry for section in MENU for entry in section.entries]
    paths = [entry.path for entry in entries if org == PROVINCE or not entry.top]
    paths += ["/work?state=pending_in", f"/members?branch={branch}"]
    if org != PROVINCE:
        paths.append("/transfers/9000001")  # the province is no party of it
    return paths


def _largest_province(tx: sa.Connection) -> tuple[int, list[int]]:
    """Return the province with most organisations, and the bodies right below it."""
    province = tx.scalar(
        sa.text("""
            SELECT p.org_id
            FROM orgs p
            JOIN orgs o ON o.path >= p.path AND o.path < left(p.path, -1) || '/'
            WHERE p.parent_id = 1
            GROUP BY p.org_id
            ORDER BY count(*) DESC
            LIMIT 1""")
    )
    bodies = sa.text("SELECT org_id FROM orgs WHERE parent_id = :p AND kind = 'leading_body' ORDER BY org_id")
    return int(province or 0), list(tx.scalars(bodies, {"p": province}))


def _approve(tx: sa.Connection, migration_id: int, org: int) -> None:
    decision = orgs.DecideMigration(migration_id=migration_id, approve=True)
    migration.decide_migrations(tx, [Asked(decision, Actor(1, org))])


def _copy(engine: sa.Engine, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    raw = engine.raw_connection()
    try:
        with raw.cursor() as cursor:
            while some := list(itertools.islice(rows, 50_000)):
                lines = ("\t".join("\\N" if value is None else str(value) for value in row) for row in some)
                text = "".join(f"{line}\n" for line in lines)
                cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", io.StringIO(text))
        raw.commit()
    finally:
        raw.close()


class Country:
    """An installation with the whole tree and many members; `run` measures it."""

    def __init__(
        self, installation: Installation, organisations: int, people: int, note: Callable[[str], None]
    ) -> None:
        self.installation = installation
        self.organisations = organisations
        self.people = people
        self.note = note
        self.rng = random.Random(2026)
        self.paths: dict[int, str] = {}
        self.officials = 50_000_000

    def load(self) -> None:
        """Write tree, directories and members straight into the tables, as the events would."""
        started = time.monotonic()
        self.branches: list[int] = []
        self.names: list[str] = []
        _copy(self.installation.engine("orgs"), "orgs", _ORG_COLUMNS, self._org_rows())
        for service in ("members", "transfers"):
            self._copy_directory(service)
        self.administer(PROVINCE, COUNTY)
        self.fill()
        for service in ("orgs", "members", "transfers"):
            engine = self.installation.engine(service).execution_options(isolation_level="AUTOCOMMIT")
            with engine.connect() as tx:
                tx.execute(sa.text("VACUUM ANALYZE"))
        self.note(
            f"{self.organisations:,} organisations and {self.people:,} members loaded:"
            f" {time.monotonic() - started:.0f} s"
        )

    def _org_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the tree; note paths, the branches that have members, and some names."""
        provincial: dict[int, int | None] = {}
        for order, org in enumerate(tree(self.organisations)):
            above = org.parent_id
            self.paths[org.id] = f"{self.paths[above] if above else ''}{org.id}."
            provincial[org.id] = None if above is None else provincial[above] or org.id
            if org.kind == "branch" and org.purpose == "ordinary":
                self.branches.append(org.id)
            if order % 50 == 0:
                self.names.append(org.full_name)
            bigrams = [json.dumps(one, ensure_ascii=False) for one in orgs_domain.bigrams(org.full_name)]
            spoken = orgs_spoken.forms(org.kind, (org.full_name, org.short_name))
            yield (
                org.id,
                above,
                self.paths[org.id],
                org.kind,
                org.purpose,
                org.province,
                "national",
                provincial[org.id],
                org.short_name,
                org.full_name,
                "{" + ",".join(bigrams) + "}",
                "{" + ",".join(spoken) + "}",
                org.industry or "普通高等院校",
                order,
                1,
            )

    def _copy_directory(self, service: str) -> None:
        """Write the tree into a service's own copy of it."""
        target = self.installation.engine(service).raw_connection()
        source = self.installation.engine("orgs").raw_connection()
        pipe = io.BytesIO()
        with source.cursor() as cursor:
            cursor.copy_expert(
                "COPY (SELECT org_id, parent_id, path, kind, purpose, province, system, provincial_id,"
                " full_name, version, deleted, industry FROM orgs) TO STDOUT",
                pipe,
            )
        pipe.seek(0)
        with target.cursor() as cursor:
            cursor.copy_expert(
                "COPY org_directory (org_id, parent_id, path, kind, purpose, province, system,"
                " provincial_id, name, version, deleted, industry) FROM STDIN",
                pipe,
            )
        target.commit()
        target.close()
        source.close()

    def administer(self, *org_ids: int) -> None:
        """Give each organisation the administrator n + `world.ADMINISTRATOR`, a person with an account."""
        self._enter_officials(org_ids)
        rights = [{"org": org, "person": world.administrator_of(org)} for org in org_ids]
        for service, table, columns, values in (
            ("orgs", "administrators", "changed_at, version", "now(), 1"),
            ("members", "administrator_directory", "version", "1"),
            ("transfers", "administrator_directory", "version", "1"),
        ):
            with self.installation.engine(service).begin() as tx:
                tx.execute(
                    sa.text(
                        f"INSERT INTO {table} (org_id, person_id, active, {columns})"
                        f" VALUES (:org, :person, true, {values}) ON CONFLICT DO NOTHING"
                    ),
                    rights,
                )

    def _enter_officials(self, org_ids: Sequence[int]) -> None:
        with self.installation.engine("members").begin() as tx:
            known = members_store.by_ids(tx, [world.administrator_of(org) for org in org_ids])
            new = [org for org in org_ids if world.administrator_of(org) not in known]
            made = synthetic.people(
                len(new),
                rng=self.rng,
                division_codes=["420106"],
                birth_years=(1975, 1992),
                start=self.officials,
            )
            self.officials += len(new)
            rows = [
                (
                    world.administrator_of(org),
                    msgspec.structs.replace(world.admission(one, 0), joined_on=None, development_number=""),
                )
                for org, one in zip(new, made, strict=True)
            ]
            entering.enter_trusted(tx, rows, "")

    def fill(self) -> None:
        """Enter members; a sealed value is made once per thousand.

        Sealing is not what is measured here.
        """
        seal = accounts.keys.seal
        sealed = "\\\\x" + seal.seal("42010620050105001X").hex()
        phone = "\\\\x" + seal.seal("19900000000").hex()
        self.full = spread = self.rng.sample(self.branches, min(len(self.branches), self.people // 25))
        now = clock.now().isoformat()
        rows = (
            (
                10**7 + n,
                synthetic.SURNAMES[n % len(synthetic.SURNAMES)] + WORDS[n // 7 % len(WORDS)],
                sealed,
                "\\\\x" + f"{n:064x}",
                phone,
                "汉族",
                "2019-05-04",
                f"2019{n:08d}",
                spread[n % len(spread)],
                "2005-01-05",
            )
            for n in range(self.people)
        )
        _copy(self.installation.engine("members"), "people", _PEOPLE_COLUMNS, rows)
        with self.installation.engine("members").begin() as tx:
            tx.execute(
                sa.text(
                    "INSERT INTO memberships (person_id, began_at, branch_id)"
                    " SELECT person_id, CAST(:now AS timestamptz), branch_id FROM people"
                    " WHERE branch_id IS NOT NULL"
                ),
                {"now": now},
            )

    # ---- what is measured ------------------------------------------------------------------------

    def run(self, quick: bool) -> dict[str, Any]:
        """Measure everything; return numbers by name."""
        self.installation.start("orgs", "members", "transfers", "scheduler")
        self.client = RpcClient(self.installation.settings)
        signer = Signer(self.installation.settings.keys)
        self.token = lambda person: signer.sign("person", timedelta(hours=5), sub=str(person))[0]
        result: dict[str, Any] = {}
        try:
            for measure in (
                self.search,
                self.subtree,
                self.page,
                self.pages,
                self.progress,
                self.sign_in,
                self.imports,
                self.switch,
                self.migrate,
            ):
                found = measure(quick)
                self.note("  " + ", ".join(f"{name} {value:,.1f}" for name, value in found.items()))
                result |= found
            result["memory_mb"] = {
                name: round(psutil.Process(process.pid).memory_info().rss / 2**20)
                for name, process in self.installation.processes.items()
            }
        finally:
            self.client.close()
        return result

    def _times(self, name: str, actions: list[Callable[[], Any]]) -> dict[str, float]:
        taken = []
        for action in actions:
            started = time.perf_counter()
            action()
            taken.append(1000 * (time.perf_counter() - started))
        return {f"{name}_p50_ms": statistics.median(taken), f"{name}_p95_ms": percentile(taken, 95)}

    def search(self, quick: bool) -> dict[str, float]:
        """Parts of real names, as administrators all over the country type them.

        From two characters to whole names, rare and common.
        """
        needles = self._needles(200 if quick else 600)
        asked = [orgs.SearchOrgs(text=text, near=self.rng.choice(self.branches)) for text in needles]
        with self.installation.engine("orgs").connect() as tx:
            search.search_orgs(tx, orgs.SearchOrgs(text="武汉"), None)
            direct = self._times(
                "search", [lambda one=one: search.search_orgs(tx, one, None) for one in asked]
            )
            spoken = self._spoken(tx)
            in_one = [
                msgspec.structs.replace(one, system=system)
                for one, system in zip(asked, itertools.cycle(System), strict=False)
            ]
            one_system = self._times(
                "search_system", [lambda one=one: search.search_orgs(tx, one, None) for one in in_one]
            )
        token = self.token(world.administrator_of(PROVINCE))
        called = self._times(
            "search_call",
            [lambda one=one: self.client.call(orgs.search_orgs, one, token=token) for one in asked],
        )
        return direct | spoken | one_system | called

    def _spoken(self, tx: sa.Connection) -> dict[str, float]:
        """Organisations by the names that people use (SRCH-10), and how many of them are found."""
        table = said.table(tree(self.organisations))
        found: dict[int, list[int]] = {}

        def ask(at: int, one: said.Spoken) -> None:
            asked = orgs.SearchOrgs(text=one.text, near=one.near)
            found[at] = [org.org_id for org in search.search_orgs(tx, asked, None)]

        times = self._times("spoken", [partial(ask, at, one) for at, one in enumerate(table)])
        answers = iter(found[at] for at in range(len(table)))
        misses = said.missed(table, lambda text, near: next(answers))
        for line in said.account(table, misses).splitlines():
            self.note("  " + line)
        return times | {"spoken": len(table), "spoken_found": 100 * (1 - len(misses) / len(table))}

    def _needles(self, count: int) -> list[str]:
        needles = []
        for name in self.rng.sample(self.names, count):
            length = self.rng.choice((2, 3, 4, 6, 9, len(name)))
            at = self.rng.randrange(max(1, len(name) - length + 1))
            needles.append(name[at : at + length])
        return needles + ["支部委员会", "共青团", "村支部", "委员会", "武汉", "东风村", "江汉", "大学"] * 5

    def subtree(self, quick: bool) -> dict[str, float]:
        """Whether an organisation lies in the acting organisation's subtree.

        The right itself is read, too, as every call checks it.
        """
        actor = Actor(world.administrator_of(PROVINCE), PROVINCE)
        with self.installation.engine("members").connect() as tx:

            def check(org: int) -> None:
                org_id = directory.require_administrator(tx, actor)
                found = directory.find(tx, [org, org_id])
                directory.is_below(found[org], found[org_id])

            return self._times(
                "subtree", [lambda org=org: check(org) for org in self.rng.sample(self.branches, 1000)]
            )

    def page(self, quick: bool) -> dict[str, float]:
        """A branch of 300, asked for through the gateway's API."""
        from services.gateway.app import create_app

        branch = next(org for org in self.branches if self.paths[org].startswith(self.paths[PROVINCE]))
        with self.installation.engine("members").begin() as tx:
            tx.execute(
                sa.text(
                    "UPDATE people SET branch_id = :branch"
                    " WHERE person_id >= 10000000 AND person_id < 10000300"
                ),
                {"branch": branch},
            )
        browser = create_app(self.client, self.installation.settings).test_client()
        headers = {
            "Authorization": f"Bearer {self.token(world.administrator_of(PROVINCE))}",
            "X-Acting-Org": str(PROVINCE),
        }

        def ask() -> None:
            answer = browser.get(f"/api/v1/branches/{branch}/members?limit=500", headers=headers)
            assert len(answer.json["items"]) >= 300

        ask()
        return self._times("page_of_300", [ask] * (40 if quick else 100))

    def pages(self, quick: bool) -> dict[str, float]:
        """Every page of the menu, for a township with 300 pending transfers and for a province.

        Server time, bytes with style and script, trips to services.
        """
        from services.gateway.app import create_app

        branch = next(org for org in self.branches if self.paths[org].startswith(self.paths[COUNTY]))
        town = int(self.paths[branch].split(".")[-3])
        self.administer(town)
        self._transfers_into(town)
        app = create_app(self.client, self.installation.settings)
        assets = sum(
            len(app.test_client().get(path).data)
            for path in ("/assets/0/css/components.css", "/assets/0/vendor/htmx-2.0.11.min.js")
        )
        seen = []
        for org in (town, PROVINCE):
            browser = self._browser(app, org)
            seen += [self._look(browser, path, org, quick) for path in _paths(org, branch)]
        slowest, heaviest = max(seen), max(seen, key=lambda one: one.size)
        trips = max(seen, key=lambda one: one.trips)
        self.note(f"  pages: slowest {slowest.name}, heaviest {heaviest.name}, most trips {trips.name}")
        return {
            "pages": float(len(seen)),
            "page_p95_ms": slowest.p95_ms,
            "page_kb": (heaviest.size + assets) / 1000,
            "page_trips": float(trips.trips),
        }

    def _transfers_into(self, town: int) -> None:
        """Write 300 transfers that wait for a township."""
        with self.installation.engine("transfers").begin() as tx:
            for statement in (_PENDING, _PENDING_NODES, _PENDING_AUDIT):
                tx.execute(sa.text(statement), {"town": town, "source": self.branches[-1]})

    def _browser(self, app: Flask, org: int) -> FlaskClient:
        """Return a browser that the administrator of an organisation has signed in with."""
        browser, person = app.test_client(), world.administrator_of(org)
        with browser.session_transaction() as session:
            session.update(
                token=self.token(person),
                session="x",
                name="x",
                person=person,
                expires=(clock.now() + timedelta(hours=4)).isoformat(),
                org=org,
                org_name="x",
                org_top=org == PROVINCE,
                restricted=False,
            )
        return browser

    def _look(self, browser: FlaskClient, path: str, org: int, quick: bool) -> Seen:
        """Open a page many times.

        Raises:
            RuntimeError: It is not there.

        """
        taken = []
        for _ in range(20 if quick else 40):
            started = time.perf_counter()
            answer = browser.get(path)
            taken.append(1000 * (time.perf_counter() - started))
        if answer.status_code != 200:
            raise RuntimeError(f"{path} for {org}: {answer.status_code}, and it was to be measured")
        trips = int(answer.headers.get("Server-Timing", 'x="0"').split('"')[1])
        name = f"{path} for {'a province' if org == PROVINCE else 'a township'}"
        return Seen(percentile(taken, 95), len(answer.data), trips, name)

    def progress(self, quick: bool) -> dict[str, float]:
        """Entry figures of a province, of each of its cities with all below, counted anew each time."""
        from services.members.lists import handlers as lists

        actor = Actor(world.administrator_of(PROVINCE), PROVINCE)

        def count() -> None:
            lists._kept.clear()  # what a minute's cache gives back is no measurement
            lists.get_entry_progress(tx, members.GetEntryProgress(org_id=PROVINCE), actor)

        with self.installation.engine("members").connect() as tx:
            return self._times("province_figures", [count] * 20)

    def sign_in(self, quick: bool) -> dict[str, float]:
        """Sign-ins of different people by eight at a time; argon2id with time_cost 2, 19 MiB, 1 lane."""
        count = 100 if quick else 300
        some = list(synthetic.people(count, rng=self.rng, division_codes=["420106"], start=70_000_000))
        with self.installation.engine("members").begin() as tx:
            members_store.add(
                tx,
                [people.new_person(one.name, one.id_number, "", "") for one in some],
                clock.now(),
                accounts.HASHER.hash("Long-enough-1"),
            )
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for one in some:
            waiting.put(one.id_number)

        def work() -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    wanted = members.SignIn(id_number=waiting.get_nowait(), password="Long-enough-1")
                    self.client.call(members.sign_in, wanted, timeout=60)

        started = time.monotonic()
        in_threads([work] * 8)
        return {"sign_ins_per_s": count / (time.monotonic() - started)}

    def imports(self, quick: bool) -> dict[str, float]:
        """One roster of 10,000 rows, handed over in lists of 500 and entered in the background."""
        count = 2_000 if quick else 10_000
        branch = next(org for org in self.branches if self.paths[org].startswith(self.paths[COUNTY]))
        town = int(self.paths[branch].split(".")[-3])
        self.administer(town)
        import_id, caller = uuid.uuid4(), self._as_administrator(town)
        rows = self._roster(import_id, branch, count)
        started = time.monotonic()
        for at in range(0, count, 500):
            self.client.call(members.import_rows, rows[at : at + 500], **caller)
        while True:
            progress = self.client.call(members.get_import, members.GetImport(import_id=import_id), **caller)
            if progress.entered + progress.failed == count:
                break
            time.sleep(0.05)
        if progress.failed > count * 0.02:
            raise RuntimeError(f"{progress.failed} rows failed")
        return {"import_rows_per_s": count / (time.monotonic() - started)}

    def _as_administrator(self, org: int) -> dict[str, Any]:
        token = self.token(world.administrator_of(org))
        return {"token": token, "org_id": org, "timeout": 60}

    def _roster(self, import_id: uuid.UUID, branch: int, count: int) -> list[members.ImportRow]:
        with self.installation.engine("members").connect() as tx:
            name = tx.scalar(sa.text("SELECT name FROM org_directory WHERE org_id = :org"), {"org": branch})
        some = synthetic.people(count, rng=self.rng, division_codes=["420106"], start=80_000_000)
        return [
            members.ImportRow(
                import_id=import_id,
                number=n,
                branch_name=name,
                name=one.name,
                id_number=one.id_number,
                ethnic_group="汉族",
                phone="19900000000",
                joined_on=one.joined_on,
                development_number=one.development_number,
            )
            for n, one in enumerate(some)
        ]

    def switch(self, quick: bool) -> dict[str, float]:
        """The yearly switch as it happens.

        The service finds full branches due, flags their members, and the others take the events
        over.

        The service is started on a morning when the branches are due. Its own speed is from its
        first to its last transaction; *everywhere* is when orgs has the new purposes and transfers
        has counted every graduate.
        """
        branches = self.full[: 4_000 if quick else 20_000]
        self.installation.kill("members", signal.SIGTERM)
        flagged = self._mark(branches)
        self.installation.start("members")
        self._wait_for("members", "SELECT NOT EXISTS (SELECT 1 FROM branch_marks WHERE converted_at IS NULL)")
        with self.installation.engine("members").connect() as tx:
            first, last = tx.execute(
                sa.text("SELECT min(converted_at), max(converted_at) FROM branch_marks")
            ).one()
        self._wait_for("orgs", f"SELECT count(*) >= {len(branches)} FROM orgs WHERE purpose = 'graduate'")
        self._wait_for("transfers", f"SELECT count(*) >= {flagged} FROM graduates")
        self._wait_for("transfers", "SELECT NOT EXISTS (SELECT 1 FROM changes)")
        seconds = (last - first).total_seconds()
        return {
            "branches_switched_per_s": len(branches) / seconds,
            "members_flagged_per_s": flagged / seconds,
            "switch_everywhere_s": (clock.now() - first).total_seconds(),
        }

    def _mark(self, branches: list[int]) -> int:
        """Mark branches as due; return how many members they have."""
        until = graduation.due_until(clock.today(), (1, 1))
        with self.installation.engine("members").begin() as tx:
            tx.execute(
                sa.text(
                    "INSERT INTO branch_marks"
                    " (branch_id, graduates_on, reason, version, marked_at, marked_by)"
                    " SELECT unnest(CAST(:ids AS bigint[])), :on, '', 1, now(), 1"
                ),
                {"ids": branches, "on": date(until.year, 6, 30)},
            )
            count = sa.text("SELECT count(*) FROM people WHERE branch_id = ANY(:ids)")
            return int(tx.scalar(count, {"ids": branches}) or 0)

    def _wait_for(self, service: str, question: str, seconds: float = 300, **values: Any) -> None:
        """Wait until a question to a service's database is answered with yes."""
        ends = time.monotonic() + seconds
        with self.installation.engine(service).connect() as tx:
            while not tx.scalar(sa.text(question), values):
                tx.rollback()
                if time.monotonic() > ends:
                    raise TimeoutError(question)
                time.sleep(0.05)

    def migrate(self, quick: bool) -> dict[str, float]:
        """A subtree of 50,000 organisations moves below another superior.

        It is measured in orgs, and in the directory of another service.
        """
        engine = self.installation.engine("orgs")
        with engine.begin() as tx:
            province, cities = _largest_province(tx)
            self._gather(tx, province, cities[:-1])
            new = cities[-1]
            rights = [{"org_id": org, "person_id": 1, "active": True} for org in (_TOP, province, new)]
            store.set_administrators(tx, rights, clock.now(), 1)
            request = orgs.RequestMigration(command_id=uuid.uuid4(), org_id=_TOP, to_org_id=new)
            (asked,) = migration.request_migrations(tx, [Asked(request, Actor(1, _TOP))])
            _approve(tx, asked.migration_id, province)
        time.sleep(3)  # the directories take the preparation over
        with engine.begin() as tx:
            _approve(tx, asked.migration_id, new)
        started = time.monotonic()
        migration.move_one(db.Database(engine))
        is_done = "SELECT state = 'completed' FROM migrations WHERE migration_id = :id"
        self._wait_for("orgs", is_done, 120, id=asked.migration_id)
        in_orgs = time.monotonic() - started
        is_there = "SELECT path = :path FROM org_directory WHERE org_id = :id"
        self._wait_for("members", is_there, 120, path=f"{self.paths[new]}{_TOP}.", id=_TOP)
        everywhere = time.monotonic() - started
        with engine.connect() as tx:
            total = tx.scalar(
                sa.text("SELECT total FROM migrations WHERE migration_id = :id"), {"id": asked.migration_id}
            )
        return {
            "migrated_organisations": float(total or 0),
            "migration_s": in_orgs,
            "migration_everywhere_s": everywhere,
        }

    def _gather(self, tx: sa.Connection, province: int, cities: list[int]) -> None:
        """Make a body of its own in a province, with cities of 50,000 organisations below it."""
        path = f"{self.paths[province]}{_TOP}."
        body = {
            **store.by_ids(tx, [province])[province]._asdict(),
            "org_id": _TOP,
            "parent_id": province,
            "path": path,
            "kind": "committee",
            "full_name": "共青团迁移测试委员会",
            "bigrams": ["迁移"],
            "spoken": ["迁移测试"],
            "version": 1,
        }
        store.save(tx, [body])
        moved = 0
        for city, row in store.by_ids(tx, cities).items():
            if moved < 50_000:
                old = store.as_org(row)
                moved += migration_store.move_some(tx, old["path"], f"{path}{city}.", 10**6)
                migration_store.move_top(tx, old, _TOP, 0)
