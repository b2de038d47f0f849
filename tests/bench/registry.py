"""Organisations and members at national size.

Search, subtrees, a province's lists, imports, sign-in, a page of 300, moving a subtree, the yearly
switch.
"""

from __future__ import annotations

import io
import itertools
import json
import random
import signal
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import psutil
import sqlalchemy as sa

from services.members import domain
from services.members import store as members_store
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.orgs import domain as orgs_domain
from services.orgs import seed, store
from services.orgs.migration import handlers as migration
from services.orgs.migration import store as migration_store
from services.orgs.search import handlers as search
from shared import clock, db, directory
from shared.bus.rpc import RpcClient
from shared.bus.service import Asked
from shared.identity import Actor, Signer
from shared.messages import members, orgs
from system import synthetic, world
from tests.bench.quantiles import percentile
from tests.installation import Installation

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
PAGE_BRANCH = 10**9 + 7
PROVINCE, COUNTY, LARGEST = 42, 420106, "51"


def tree(total: int) -> Iterator[seed.SeedOrg]:
    """Yield the national tree, and villages below its townships until there are `total` organisations."""
    base = list(seed.national_tree())
    yield from base
    townships = [org for org in base if org.division_code and len(org.division_code) == 9]
    single = len(townships)
    townships += [
        org for org in townships if org.province == LARGEST
    ]  # twice as many there: a subtree of 50,000 is to be moved
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


def _copy(engine: sa.Engine, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    raw = engine.raw_connection()
    try:
        with raw.cursor() as cursor:
            while some := list(itertools.islice(rows, 50_000)):
                text = (
                    "\n".join(
                        "\t".join("\\N" if value is None else str(value) for value in row) for row in some
                    )
                    + "\n"
                )
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
        provincial: dict[int, int | None] = {}
        self.branches: list[int] = []
        self.names: list[str] = []

        def org_rows() -> Iterator[tuple[Any, ...]]:
            for order, org in enumerate(tree(self.organisations)):
                above = org.parent_id
                self.paths[org.id] = f"{self.paths[above] if above else ''}{org.id}."
                provincial[org.id] = None if above is None else provincial[above] or org.id
                if org.kind == "branch" and org.purpose == "ordinary":
                    self.branches.append(org.id)
                if order % 50 == 0:
                    self.names.append(org.full_name)
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
                    "{"
                    + ",".join(
                        json.dumps(one, ensure_ascii=False) for one in orgs_domain.bigrams(org.full_name)
                    )
                    + "}",
                    org.industry or "普通高等院校",
                    order,
                    1,
                )

        columns = (
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
            "industry",
            "display_order",
            "version",
        )
        _copy(self.installation.engine("orgs"), "orgs", columns, org_rows())
        for service in ("members", "transfers"):
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
        self.administer(PROVINCE, COUNTY)
        self.fill()
        for service in ("orgs", "members", "transfers"):
            with (
                self.installation.engine(service)
                .connect()
                .execution_options(isolation_level="AUTOCOMMIT") as tx
            ):
                tx.execute(sa.text("VACUUM ANALYZE"))
        self.note(
            f"{self.organisations:,} organisations and {self.people:,} members loaded:"
            f" {time.monotonic() - started:.0f} s"
        )

    def administer(self, *org_ids: int) -> None:
        """Give each organisation the administrator n + `world.ADMINISTRATOR`, a person with an account."""
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
            entering.enter_trusted(
                tx,
                [
                    (
                        world.administrator_of(org),
                        members.Admission(
                            command_id=uuid.uuid4(),
                            branch_id=0,
                            name=one.name,
                            id_number=one.id_number,
                            ethnic_group=one.ethnic_group,
                            phone=one.phone,
                            joined_on=None,
                            post="",
                        ),
                    )
                    for org, one in zip(new, made, strict=True)
                ],
                "",
            )
        for service, table in (
            ("orgs", "administrators"),
            ("members", "administrator_directory"),
            ("transfers", "administrator_directory"),
        ):
            with self.installation.engine(service).begin() as tx:
                columns, values = ("changed_at, ", "now(), ") if table == "administrators" else ("", "")
                tx.execute(
                    sa.text(
                        f"INSERT INTO {table} (org_id, person_id, active, {columns}version)"
                        f" VALUES (:org, :person, true, {values}1) ON CONFLICT DO NOTHING"
                    ),
                    [{"org": org, "person": world.administrator_of(org)} for org in org_ids],
                )

    def fill(self) -> None:
        """Enter members; a sealed value is made once per thousand.

        Sealing is not what is measured here.
        """
        seal = accounts.keys.seal
        sealed = "\\\\x" + seal.seal("42010620050105001X").hex()
        phone = "\\\\x" + seal.seal("19900000000").hex()
        self.full = spread = self.rng.sample(self.branches, min(len(self.branches), self.people // 25))
        now = clock.now().isoformat()

        def rows() -> Iterator[tuple[Any, ...]]:
            for n in range(self.people):
                yield (
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

        _copy(
            self.installation.engine("members"),
            "people",
            (
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
            ),
            rows(),
        )
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
        needles = []
        for name in self.rng.sample(self.names, 200 if quick else 600):
            length = self.rng.choice((2, 3, 4, 6, 9, len(name)))
            at = self.rng.randrange(max(1, len(name) - length + 1))
            needles.append(name[at : at + length])
        needles += ["支部委员会", "共青团", "村支部", "委员会", "武汉", "东风村", "江汉", "大学"] * 5
        near = [self.rng.choice(self.branches) for _ in needles]
        with self.installation.engine("orgs").connect() as tx:
            search.search_orgs(tx, orgs.SearchOrgs(text="武汉"), None)
            direct = self._times(
                "search",
                [
                    lambda text=text, org=org: search.search_orgs(
                        tx, orgs.SearchOrgs(text=text, near=org), None
                    )
                    for text, org in zip(needles, near, strict=True)
                ],
            )
        token = self.token(world.administrator_of(PROVINCE))
        called = self._times(
            "search_call",
            [
                lambda text=text, org=org: self.client.call(
                    orgs.search_orgs, orgs.SearchOrgs(text=text, near=org), token=token
                )
                for text, org in zip(needles, near, strict=True)
            ],
        )
        return direct | called

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
        from services.gateway.pages.menu import MENU

        branch = next(org for org in self.branches if self.paths[org].startswith(self.paths[COUNTY]))
        town = int(self.paths[branch].split(".")[-3])
        self.administer(town)
        with self.installation.engine("transfers").begin() as tx:
            tx.execute(
                sa.text(f"""
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
                        'source', {town}, 1,
                        {self.branches[-1]}, 1, '42', 1,
                        {town}, '42',
                        'unemployed', '', '某街道', '19900000000', '已联系',
                        'national@2026.1', 'source:committee', 'pending_in', 1, now(), 1, ''
                    FROM generate_series(1, 300) AS n""")
            )
            tx.execute(
                sa.text(f"""
                    INSERT INTO open_nodes (
                        transfer_id, node_no, state, province, org_id,
                        opened_at, expires_at, on_expiry, withdraw
                    )
                    SELECT
                        9000000 + n, 1, 'pending_in', '42', {town},
                        now() - interval '1 day', now() + interval '9 days', 'return', 'yes'
                    FROM generate_series(1, 300) AS n""")
            )
            tx.execute(
                sa.text(
                    "INSERT INTO audit (transfer_id, seq, event, state, at, note, hash)"
                    " SELECT 9000000 + n, 1, 'requested', 'checking', now(), '', ''"
                    " FROM generate_series(1, 300) AS n"
                )
            )
        app = create_app(self.client, self.installation.settings)
        assets = sum(
            len(app.test_client().get(path).data)
            for path in ("/static/style.css", "/static/vendor/htmx-2.0.11.min.js")
        )
        slowest, heaviest, trips = (0.0, ""), (0, ""), (0, "")
        measured, refused = 0, []
        for org in (town, PROVINCE):
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
                    restricted=False,
                )
            paths = [
                entry.path
                for section in MENU
                for entry in section.entries
                if org == PROVINCE or not entry.top
            ]
            paths += ["/work?state=pending_in", f"/members?branch={branch}"]
            if org == town:
                paths.append("/transfers/9000001")  # the province is no party of it
            for path in paths:
                taken = []
                for _ in range(20 if quick else 40):
                    started = time.perf_counter()
                    answer = browser.get(path)
                    taken.append(1000 * (time.perf_counter() - started))
                if answer.status_code != 200:
                    refused.append(f"{path} for {org}: {answer.status_code}")
                measured += 1
                slowest = max(
                    slowest,
                    (
                        percentile(taken, 95),
                        f"{path} for {'a province' if org == PROVINCE else 'a township'}",
                    ),
                )
                heaviest = max(heaviest, (len(answer.data) + assets, path))
                trips = max(trips, (int(answer.headers.get("Server-Timing", 'x="0"').split('"')[1]), path))
        if refused:
            raise RuntimeError(f"pages that were to be measured are not there: {', '.join(refused)}")
        self.note(f"  pages: slowest {slowest[1]}, heaviest {heaviest[1]}, most trips {trips[1]}")
        return {
            "pages": float(measured),
            "page_p95_ms": slowest[0],
            "page_kb": heaviest[0] / 1000,
            "page_trips": float(trips[0]),
        }

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
        people = list(synthetic.people(count, rng=self.rng, division_codes=["420106"], start=70_000_000))
        with self.installation.engine("members").begin() as tx:
            members_store.add(
                tx,
                [people.new_person(one.name, one.id_number, "", "") for one in people],
                clock.now(),
                accounts.HASHER.hash("Long-enough-1"),
            )
        waiting = iter(people)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    one = next(waiting, None)
                if one is None:
                    return
                self.client.call(
                    members.sign_in,
                    members.SignIn(id_number=one.id_number, password="Long-enough-1"),
                    timeout=60,
                )

        started = time.monotonic()
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"sign_ins_per_s": count / (time.monotonic() - started)}

    def imports(self, quick: bool) -> dict[str, float]:
        """One roster of 10,000 rows, handed over in lists of 500 and entered in the background."""
        count = 2_000 if quick else 10_000
        branch = next(org for org in self.branches if self.paths[org].startswith(self.paths[COUNTY]))
        town = int(self.paths[branch].split(".")[-3])
        self.administer(town)
        name = next(
            iter(
                self.installation.engine("members")
                .connect()
                .scalars(sa.text("SELECT name FROM org_directory WHERE org_id = :org"), {"org": branch})
            )
        )
        people = list(synthetic.people(count, rng=self.rng, division_codes=["420106"], start=80_000_000))
        import_id, token = uuid.uuid4(), self.token(world.administrator_of(town))
        rows = [
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
            for n, one in enumerate(people)
        ]
        started = time.monotonic()
        for at in range(0, count, 500):
            self.client.call(members.import_rows, rows[at : at + 500], token=token, org_id=town, timeout=60)
        while True:
            progress = self.client.call(
                members.get_import,
                members.GetImport(import_id=import_id),
                token=token,
                org_id=town,
                timeout=60,
            )
            if progress.entered + progress.failed == count:
                break
            time.sleep(0.05)
        if progress.failed > count * 0.02:
            raise RuntimeError(f"{progress.failed} rows failed")
        return {"import_rows_per_s": count / (time.monotonic() - started)}

    def switch(self, quick: bool) -> dict[str, float]:
        """The yearly switch as it happens.

        The service finds full branches due, flags their members, and the others take the events
        over.

        The service is started on a morning when the branches are due. Its own speed is from its
        first to its last transaction; *everywhere* is when orgs has the new purposes and transfers
        has counted every graduate.
        """
        branches = self.full[: 4_000 if quick else 20_000]
        until = domain.due_until(clock.today(), (1, 1))
        engine = self.installation.engine("members")
        self.installation.kill("members", signal.SIGTERM)
        with engine.begin() as tx:
            tx.execute(
                sa.text(
                    "INSERT INTO branch_marks"
                    " (branch_id, graduates_on, reason, version, marked_at, marked_by)"
                    " SELECT unnest(CAST(:ids AS bigint[])), :on, '', 1, now(), 1"
                ),
                {"ids": branches, "on": date(until.year, 6, 30)},
            )
            members = tx.scalar(
                sa.text("SELECT count(*) FROM people WHERE branch_id = ANY(:ids)"), {"ids": branches}
            )
        self.installation.start("members")
        self._wait_for("members", "SELECT NOT EXISTS (SELECT 1 FROM branch_marks WHERE converted_at IS NULL)")
        with engine.connect() as tx:
            first, last = tx.execute(
                sa.text("SELECT min(converted_at), max(converted_at) FROM branch_marks")
            ).one()
        self._wait_for("orgs", f"SELECT count(*) >= {len(branches)} FROM orgs WHERE purpose = 'graduate'")
        self._wait_for("transfers", f"SELECT count(*) >= {members} FROM graduates")
        self._wait_for("transfers", "SELECT NOT EXISTS (SELECT 1 FROM changes)")
        seconds = (last - first).total_seconds()
        return {
            "branches_switched_per_s": len(branches) / seconds,
            "members_flagged_per_s": members / seconds,
            "switch_everywhere_s": (clock.now() - first).total_seconds(),
        }

    def _wait_for(self, service: str, question: str, seconds: float = 300) -> None:
        """Wait until a question to a service's database is answered with yes."""
        ends = time.monotonic() + seconds
        with self.installation.engine(service).connect() as tx:
            while not tx.scalar(sa.text(question)):
                tx.rollback()
                if time.monotonic() > ends:
                    raise TimeoutError(question)
                time.sleep(0.05)

    def migrate(self, quick: bool) -> dict[str, float]:
        """A subtree of 50,000 organisations moves below another superior.

        It is measured in orgs, and in the directory of another service.
        """
        engine = self.installation.engine("orgs")
        with engine.connect() as tx:
            provinces = {
                row.org_id: row.n
                for row in tx.execute(
                    sa.text(
                        """
                        SELECT p.org_id, (
                            SELECT count(*) FROM orgs o
                            WHERE o.path >= p.path AND o.path < left(p.path, -1) || '/'
                        ) AS n
                        FROM orgs p WHERE p.parent_id = 1"""
                    )
                )
            }
        province = max(provinces, key=lambda org: provinces[org])
        with engine.begin() as tx:  # a body of its own that takes all of a large province's cities but one
            cities = [
                row.org_id
                for row in tx.execute(
                    sa.text(
                        "SELECT org_id FROM orgs"
                        " WHERE parent_id = :p AND kind = 'leading_body' ORDER BY org_id"
                    ),
                    {"p": province},
                )
            ]
            rows = store.by_ids(tx, [province])
            top = 2**41
            store.save(
                tx,
                [
                    {
                        **rows[province]._asdict(),
                        "org_id": top,
                        "parent_id": province,
                        "path": f"{self.paths[province]}{top}.",
                        "kind": "committee",
                        "full_name": "共青团迁移测试委员会",
                        "bigrams": ["迁移"],
                        "version": 1,
                    }
                ],
            )
            moved = 0
            for city in cities[:-1]:
                if moved < 50_000:
                    moved += migration_store.move_some(
                        tx, f"{self.paths[province]}{city}.", f"{self.paths[province]}{top}.{city}.", 10**6
                    )
                    migration_store.move_top(tx, city, top)
            store.set_administrators(
                tx,
                [{"org_id": org, "person_id": 1, "active": True} for org in (top, province, cities[-1])],
                clock.now(),
                1,
            )
            done = migration.request_migrations(
                tx,
                [
                    Asked(
                        orgs.RequestMigration(command_id=uuid.uuid4(), org_id=top, to_org_id=cities[-1]),
                        Actor(1, top),
                    )
                ],
            )[0]
            migration.decide_migrations(
                tx,
                [
                    Asked(
                        orgs.DecideMigration(migration_id=done.migration_id, approve=True), Actor(1, province)
                    )
                ],
            )
        time.sleep(3)  # the directories take the preparation over
        with engine.begin() as tx:
            migration.decide_migrations(
                tx,
                [
                    Asked(
                        orgs.DecideMigration(migration_id=done.migration_id, approve=True),
                        Actor(1, cities[-1]),
                    )
                ],
            )
        started = time.monotonic()
        migration.move_one(db.Database(engine))
        ends = time.monotonic() + 120
        while time.monotonic() < ends:
            with engine.connect() as tx:
                (row,) = tx.execute(
                    sa.text("SELECT * FROM migrations WHERE migration_id = :id"), {"id": done.migration_id}
                )
            if row.state == "completed":
                break
            time.sleep(0.05)
        in_orgs = time.monotonic() - started
        while time.monotonic() < ends:
            with self.installation.engine("members").connect() as tx:
                if (
                    tx.scalar(sa.text("SELECT path FROM org_directory WHERE org_id = :id"), {"id": top})
                    == f"{self.paths[cities[-1]]}{top}."
                ):
                    break
            time.sleep(0.05)
        return {
            "migrated_organisations": float(row.total),
            "migration_s": in_orgs,
            "migration_everywhere_s": time.monotonic() - started,
        }
