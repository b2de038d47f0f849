"""`make season`: a whole season under a policy, on the real services: what it would do (BEY-07).

It lasts from 1 May to 31 December of the simulated clock.

Graduates of the demo tree's schools leave with lifelike reasons; colleges, members and targets
start transfers over the summer; every administrator looks at their own list at their own pace, some
never; the clock decides the rest. Nothing is modelled but people: requests, decisions, deadlines
and statistics are the services' own. The same seed gives the same season: chance hangs on names of
things, not on the order in which they happen, and people act in the morning on what they saw there,
the clock in the night.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import eventlet
import msgspec
import sqlalchemy as sa

from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.retentions import store as retentions_store
from services.members.sealing.keys import sealed
from services.transfers.figures import store as figures_store
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from shared import clock
from shared.errors import Refusal
from shared.messages import members, transfers
from shared.messages.members import MarkBranch
from shared.messages.words import Reason
from shared.settings import SERVICES
from system import embedded, synthetic, world
from system.season_report import Happened, Rates, Result, Week

BEGINS = (5, 1)
AGES = (3, 7, 10, 15, 30)
"""Upper ends, in days, of the age groups of open nodes; the last group is older."""
PACES = ((0.35, 1), (0.35, 3), (0.17, 7), (0.08, 21), (0.05, 0))
"""How often administrators look at their list: share of them, days between two looks (0: never)."""
REASONS = {
    "further_study": 30,
    "employed_with_org": 25,
    "employed_without_org": 18,
    "unemployed": 14,
    "abroad_on_duty": 2,
    "abroad_private": 3,
    "abroad_study": 4,
    "special_unit": 4,
}
NEVER_STARTED, REJECTED, AGAIN = 0.03, 0.05, 0.85
SENT_HOME = 0.12
"""Share of those employed elsewhere who are first sent to another township than that of the place of work."""
INSISTS, CORRECTED_AFTER = 0.5, 3
"""Who insists, and when the others correct themselves.

The first is the share of those who send what the system calls unusual all the same; the second is
the days after which the others come back with the right target.
"""
_SPACE = UUID("5f0c1a52-6a0d-4d0e-9f4e-0f6a6f1d2b11")


_WEEKLY = sa.text("""
    SELECT date_trunc('week', at AT TIME ZONE 'Asia/Shanghai')::date AS week, event, count(*) AS n
    FROM audit
    WHERE event IN ('requested', 'moved', 'reject', 'clock_return', 'clock_approve', 'withdraw')
    GROUP BY 1, 2 ORDER BY 1""")
"""What happened in each week."""
# a decision's audit row follows that of the opening of its node, so the two differ by the time it took
_LATENCY = sa.text("""
    SELECT
        decided.state, count(*)::int AS n,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY days) AS p50,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY days) AS p90
    FROM (
        SELECT b.state, extract(epoch FROM a.at - b.at)::float / 86400 AS days
        FROM audit a JOIN audit b ON b.transfer_id = a.transfer_id AND b.seq = a.seq - 1
        WHERE a.event IN ('approve', 'reject', 'assign', 'clock_approve', 'clock_return')
    ) AS decided
    GROUP BY 1 ORDER BY 1""")
"""How long the decisions took, by the state that they ended."""
_ENDS = sa.text("SELECT state, count(*)::int AS n FROM transfers GROUP BY 1 ORDER BY 1")
_ENDED = sa.text("""
    SELECT transfer_id, command_id, source_superior_id, ended_at
    FROM transfers
    WHERE state IN ('rejected', 'returned') AND ended_at > :since
    ORDER BY member_id""")
"""What might be started again."""
_OPEN_BY_AGE = sa.text("""
    SELECT
        CAST(extract(day FROM CAST(:now AS timestamptz) - opened_at) AS int) AS days,
        state = 'pending_assign' AS assigning,
        count(*) AS n
    FROM open_nodes
    GROUP BY 1, 2""")


def chance(seed: int, *what: object) -> float:
    """Return a number of [0, 1) that hangs on the seed and the name of a thing alone."""
    return int.from_bytes(hashlib.sha256(repr((seed, *what)).encode()).digest()[:6], "big") / 2**48


class Season:
    """One season under one policy."""

    def __init__(
        self,
        system: embedded.System,
        graduates: int,
        policy: str,
        seed: int,
        last: tuple[int, int],
        say: Callable[[str], None],
    ) -> None:
        self.system = system
        self.graduates = graduates
        self.policy = policy
        self.seed = seed
        self.last = last
        self.say = say
        today = clock.today()
        self.year = today.year + (0 if (today.month, today.day) <= BEGINS else 1)
        self.tokens: dict[int, str] = {}
        self.problems: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.weeks: list[Week] = []
        # by day, and by who starts them, the requests that are still to come
        self.starts: dict[date, dict[tuple[str, int], list[transfers.RequestTransfer]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.pool = eventlet.GreenPool(32)

    # ---- the world -------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Load tree, administrators and graduates; let the policy hold; go to the first day."""
        self.tree = world.load(self.system, everyone=True)
        self.orgs = {org.id: org for org in self.tree}
        self.system.settle()
        self._go_to(date(self.year, *BEGINS), 6)
        with self.system.machinery("transfers").database.transaction() as tx:
            policies_store.hold(tx, _policy(self.policy), clock.now())
        classes = self._classes()
        self.branch_of = self._enter_graduates(classes)
        self._mark(classes)
        self._plan_starts()

    def _enter_graduates(self, classes: list[Any]) -> dict[int, int]:
        """Enter the graduates, class by class in turn; return the branch of each person."""
        people = synthetic.people(
            self.graduates,
            rng=random.Random(self.seed),
            division_codes=world.counties_of(self.tree),
            start=1_000_000,
        )
        rows = [
            (1_000_000 + n, world.admission(one, classes[n % len(classes)].id))
            for n, one in enumerate(people)
        ]
        database = self.system.machinery("members").database
        for at in range(0, len(rows), world.PIECE):
            with database.transaction() as tx:
                entering.enter_trusted(tx, rows[at : at + world.PIECE])
        with database.transaction() as tx:  # whoever is entered later gets a number beyond these
            tx.execute(sa.text("SELECT setval(pg_get_serial_sequence('people', 'person_id'), 100000000)"))
        return {person: row.branch_id for person, row in rows}

    def _classes(self) -> list[Any]:
        """Return class branches of all provinces in turn.

        The three provinces that run systems of their own are left out (FED-01).
        """
        by_province: dict[str, list[Any]] = defaultdict(list)
        leaving = min(org.grad_year for org in self.tree if org.grad_year)
        for org in self.tree:
            if (
                org.grad_year == leaving
                and org.kind == "branch"
                and org.province not in world.FEDERATED
                and org.parent_id != world.COLLEGE
            ):
                by_province[org.province].append(org)
        in_turn = [
            org
            for _, _, org in sorted(
                (number, org.id, org) for some in by_province.values() for number, org in enumerate(some)
            )
        ]
        return in_turn[: max(28, self.graduates // 15)]

    def _mark(self, classes: list[Any]) -> None:
        """Have each college say when its classes leave (GRAD-12).

        What is due by then becomes a graduates' organisation at once.
        """
        by_college: dict[int, list[Any]] = defaultdict(list)
        for one in classes:
            by_college[one.parent_id].append(
                MarkBranch(
                    command_id=uuid5(_SPACE, f"{self.seed} mark {one.id}"),
                    branch_id=one.id,
                    graduates_on=date(self.year, 6, 30),
                )
            )
        for college, items in sorted(by_college.items()):
            self.pool.spawn_n(
                self._command, members.mark_branches, items, world.administrator_of(college), college
            )
        self.pool.waitall()
        self.system.settle()

    def _plan_starts(self) -> None:
        """Draw for every graduate the reason, the target, who starts and on which day."""
        abroad: list[tuple[int, int]] = []
        for member, branch in self.branch_of.items():
            # one source of chance per member, so that no draw hangs on what others have drawn
            rng = random.Random(f"{self.seed} {member}")
            if rng.random() < NEVER_STARTED:
                continue
            reason = rng.choices(list(REASONS), list(REASONS.values()))[0]
            target, fields = self._destination(rng, reason, branch // 10_000)
            if reason == "abroad_study":
                abroad.append((member, branch))
            initiator, acting, begins = self._starter(rng, member, branch)
            self.starts[begins][initiator, acting].append(
                transfers.RequestTransfer(
                    command_id=uuid5(_SPACE, f"{self.seed} {member} 1"),
                    initiator=initiator,
                    member_id=member,
                    source_branch_id=branch,
                    target_org_id=target,
                    reason=reason,
                    contact="19900000000",
                    **fields,
                )
            )
        self._approve_abroad(abroad)

    def _starter(self, rng: random.Random, member: int, branch: int) -> tuple[str, int, date]:
        """Draw who starts, acting as whom, and the day; colleges work in weekly rounds."""
        if rng.random() < 0.4:
            initiator, acting = "member", member
            days = int(rng.expovariate(1 / 28))
        else:
            initiator, acting = "source", self.orgs[branch].parent_id
            days = 7 * int(rng.expovariate(1 / 4)) + acting % 5
        return initiator, acting, date(self.year, 6, 1) + timedelta(days=min(150, days))

    def _destination(self, rng: random.Random, reason: str, school: int) -> tuple[int | None, dict[str, Any]]:
        """Draw a target that fits the reason (Annex A); return it with what is said of the place."""
        fields: dict[str, Any] = {"place_name": "某单位", "place_address": "某街道"}
        if reason == "further_study":
            target: int = rng.choice(self._colleges).id
            return (target if target // 100 != school else self._colleges[0].id), fields
        if reason in ("employed_with_org", "abroad_on_duty"):
            return rng.choice(self._employers).id, fields
        if reason == "abroad_study":
            return school * 100 + 90, fields
        if Reason(reason).special:
            return None, {"remark": "参军入伍"}
        return self._township(rng, reason)

    def _township(self, rng: random.Random, reason: str) -> tuple[int, dict[str, Any]]:
        """Draw the township where somebody works, or lives without work."""
        place = rng.choice(self._townships)
        # some who work elsewhere send themselves home, which is what TYPE-10 is about
        home = reason == "employed_without_org" and rng.random() < SENT_HOME
        target = (rng.choice(self._townships) if home else place).id
        fields = {"place_address": "某街道", "place_division": place.division_code}
        if reason != "unemployed":  # somebody without work names no employer (TYPE-03)
            fields["place_name"] = "某单位"
        return target, fields

    @cached_property
    def _colleges(self) -> list[Any]:
        return world.colleges(self.tree)

    @cached_property
    def _employers(self) -> list[Any]:
        return world.employers(self.tree)

    @cached_property
    def _townships(self) -> list[Any]:
        return [org for org in self.tree if org.purpose == "township" and org.province not in world.FEDERATED]

    @cached_property
    def _township_of(self) -> dict[str, int]:
        return {org.division_code: org.id for org in self._townships}

    @cached_property
    def _below(self) -> dict[int, list[int]]:
        return world.branches_below(self.tree, {*self.branch_of.values(), world.COLLEGE * 100 + 1})

    def _approve_abroad(self, some: list[tuple[int, int]]) -> None:
        """Enter the approved requests of those who will study abroad (GRAD-29, GRAD-33).

        They asked in writing, and their schools have approved it.
        """
        requests = [self._request_abroad(member, branch) for member, branch in some]
        with self.system.machinery("members").database.transaction() as tx:
            retentions_store.request(tx, requests, clock.now())
            known = retentions_store.by_command(tx, [UUID(one["command_id"]) for one in requests])
            decisions = [_approval(one.retention_id) for one in known.values()]
            retentions_store.decide(tx, decisions, clock.now())

    def _request_abroad(self, member: int, branch: int) -> retentions_store.Request:
        return {
            "command_id": str(uuid5(_SPACE, f"{self.seed} {member} abroad")),
            "member_id": member,
            "branch_id": branch,
            "kind": "abroad",
            "since": date(self.year, 9, 1),
            "until": date(self.year + 2, 8, 31),
            "place": "某国",
            "contact_name": "王家人",
            "reason": "",
            "requested_by": member,
            "contact_phone_sealed": sealed("19900000001"),
        }

    # ---- the days --------------------------------------------------------------------------------

    def run(self) -> Result:
        """Live through the season; return what came out of it."""
        day, last = date(self.year, *BEGINS), date(self.year, *self.last)
        began = time.monotonic()
        while day <= last:
            self._go_to(day, 9)
            self._morning(day)
            self.system.settle(pause=0.01)
            self._go_to(day, 21)
            self.system.settle(pause=0.01)
            if day.weekday() == 6 or day == last:
                self._end_of_week(day)
                if day.day <= 7:
                    self.say(
                        f"  {self.policy}: {day}, {self.weeks[-1]['open']} open nodes,"
                        f" {time.monotonic() - began:.0f} s"
                    )
            day += timedelta(days=1)
        return self._result(time.monotonic() - began)

    def _go_to(self, day: date, hour: int) -> None:
        """Move the clock to an hour of a day, in China."""
        wanted = datetime(day.year, day.month, day.day, hour, tzinfo=clock.CHINA)
        if wanted > clock.now():
            clock.advance(wanted - clock.now())

    def _morning(self, day: date) -> None:
        """Have everybody who looks today do what they see: start, decide, assign, start again."""
        self._work = self._waiting_for(day)
        ended = self._ended_before(day)
        for (initiator, acting), items in sorted(self.starts.pop(day, {}).items()):
            person = acting if initiator == "member" else world.administrator_of(acting)
            self.pool.spawn_n(self._start, items, person, acting, day)
        for org, items in ended.items():
            self.pool.spawn_n(
                self._command, transfers.restart_transfers, items, world.administrator_of(org), org
            )
        for org, (decisions, assignments) in sorted(self._work.items()):
            if decisions:
                self.pool.spawn_n(
                    self._command, transfers.decide_nodes, decisions, world.administrator_of(org), org
                )
            if assignments:
                self.pool.spawn_n(
                    self._command, transfers.assign_branches, assignments, world.administrator_of(org), org
                )
        self.pool.waitall()

    def _looks(self, org: int, day: date) -> bool:
        """Return whether the administrators of an organisation look at their list today."""
        fate, upto = chance(self.seed, "pace", org), 0.0
        for share, days in PACES:
            upto += share
            if fate < upto:
                return days > 0 and (day.toordinal() + org) % days == 0
        return False

    def _waiting_for(self, day: date) -> dict[int, tuple[list[Any], list[Any]]]:
        """Return by organisation what its administrators will decide and assign today.

        That is what their own list shows, except what lapses this very day.

        Offices with nothing open are not asked for their list, since they would find it empty.
        """
        with self.system.engine("transfers").connect() as tx:
            rows = tx.execute(sa.text("SELECT org_id, superior_id FROM open_nodes GROUP BY 1, 2")).all()
        offices = {org for row in rows for org in (row.org_id, row.superior_id) if org is not None}
        work: dict[int, tuple[list[Any], list[Any]]] = {}
        for org in sorted(offices):
            if self._looks(org, day):
                self.pool.spawn_n(self._look, org, work)
        self.pool.waitall()
        return work

    def _look(self, org: int, work: dict[int, tuple[list[Any], list[Any]]]) -> None:
        """Read the whole list of an office and note what it does about each item."""
        soon = clock.now() + timedelta(hours=13)
        decisions: list[Any] = []
        assignments: list[Any] = []
        for item in self._list_of(org):
            lapses = item.expires_at is not None and item.expires_at <= soon
            if lapses or self._who_acts(item) != org:
                continue
            # no ids of transfers in it, which differ from run to run: the same seed gives the same fate
            started = item.created_at.astimezone(clock.CHINA).date()
            name = f"{self.seed} {item.member_id} {started} {item.node_no}"
            if item.state == "pending_assign":
                assignments += self._assignment(item, org, name)
            else:
                decisions.append(self._decision(item, name))
        work[org] = (decisions, assignments)

    def _list_of(self, org: int) -> Iterator[Any]:
        """Yield the items of an office's list, page by page."""
        after = ""
        while True:
            request = transfers.ListWork(after=after, limit=500)
            page = self._ask(transfers.list_work, request, world.administrator_of(org), org)
            yield from page.items
            if len(page.items) < 500:
                return
            after = page.items[-1].cursor

    def _who_acts(self, item: Any) -> int | None:
        """Return which of the two offices deals with an item: the one it waits for, or its superior."""
        by_superior = (
            item.waiting_superior_id is not None and chance(self.seed, "superior", item.waiting_org_id) < 0.3
        )
        acts: int | None = item.waiting_superior_id if by_superior else item.waiting_org_id
        return acts

    def _assignment(self, item: Any, org: int, name: str) -> list[transfers.AssignBranch]:
        """Return the assignment to a branch below the office; none if there is no branch."""
        some = self._below.get(org)
        if not some:
            return []
        return [
            transfers.AssignBranch(
                decision_id=uuid5(_SPACE, name),
                transfer_id=item.transfer_id,
                branch_id=some[int(chance(self.seed, "branch", item.member_id) * len(some))],
            )
        ]

    def _decision(self, item: Any, name: str) -> Any:
        """Return yes or, now and then, no with a reason."""
        approve = chance(self.seed, "decision", name) >= REJECTED
        reasons = ("not_here", "household_elsewhere", "work_elsewhere", "short_term", "wrong_data")
        why = "" if approve else reasons[int(chance(self.seed, "why", name) * len(reasons))]
        return transfers.DecideNode(
            decision_id=uuid5(_SPACE, name),
            transfer_id=item.transfer_id,
            node_no=item.node_no,
            approve=approve,
            reason_code=why,
            note="介绍信第1号" if approve and item.state == "pending_province" else "",
        )

    def _ended_before(self, day: date) -> dict[int, list[Any]]:
        """Return by college the rejected and returned transfers that it starts again today.

        That is a week or two after their end.
        """
        with self.system.engine("transfers").connect() as tx:
            rows = tx.execute(_ENDED, {"since": clock.now() - timedelta(days=16)}).all()
        again: dict[int, list[Any]] = defaultdict(list)
        for row in rows:
            days = 4 + int(chance(self.seed, "again when", row.command_id) * 10)
            if (
                chance(self.seed, "again", row.command_id) < AGAIN
                and row.ended_at.astimezone(clock.CHINA).date() + timedelta(days=days) == day
            ):
                again[row.source_superior_id].append(
                    transfers.RestartTransfer(
                        command_id=uuid5(_SPACE, f"again {row.command_id}"), transfer_id=row.transfer_id
                    )
                )
        return again

    def _token(self, person: int) -> str:
        if person not in self.tokens:
            self.tokens[person] = accounts.keys.signer.sign("person", timedelta(days=400), sub=str(person))[0]
        return self.tokens[person]

    def _ask(self, contract: Any, item: Any, person: int, org: int | None) -> Any:
        return self.system.client.call(contract, item, token=self._token(person), org_id=org, timeout=120)

    def _command(self, contract: Any, items: list[Any], person: int, org: int | None) -> None:
        """Send a list of commands; each refusal is counted as a problem."""
        for _, refusal in self._send(contract, items, person, org):
            self.problems[f"{contract.name}: {refusal.code}"] += 1

    def _send(
        self, contract: Any, items: list[Any], person: int, org: int | None
    ) -> list[tuple[Any, Refusal]]:
        """Send a list of commands; return the items that were refused, with their refusals."""
        refused = []
        for at in range(0, len(items), 500):
            part = items[at : at + 500]
            for item, outcome in zip(part, self._ask(contract, part, person, org), strict=True):
                if outcome.refusal is not None:
                    refused.append((item, outcome.refusal))
        return refused

    def _start(self, items: list[transfers.RequestTransfer], person: int, acting: int, day: date) -> None:
        """Start transfers and answer what the system says.

        Some insist on what is unusual, the others correct it some days later.
        """
        org = None if items[0].initiator == "member" else acting
        insist = []
        for item, refusal in self._send(transfers.request_transfers, items, person, org):
            if refusal.code not in ("destination_unusual", "destination_forbidden"):
                self.problems[f"{transfers.request_transfers.name}: {refusal.code}"] += 1
                continue
            self.warnings[refusal.code] += 1
            if self._insists(refusal.code, item):
                insist.append(self._confirmed(item))
            else:
                self._correct_later(item, acting, day)
        if insist:
            self._command(transfers.request_transfers, insist, person, org)

    def _insists(self, code: str, item: transfers.RequestTransfer) -> bool:
        return code == "destination_unusual" and chance(self.seed, "insists", item.member_id) < INSISTS

    def _confirmed(self, item: transfers.RequestTransfer) -> transfers.RequestTransfer:
        """Return the same request once more, with a reason for the unusual target."""
        return msgspec.structs.replace(
            _again(item), confirmed=True, remark=item.remark or "单位所在地暂不接收"
        )

    def _correct_later(self, item: transfers.RequestTransfer, acting: int, day: date) -> None:
        """Plan the request for some days later, to the township of the place of work."""
        right = self._township_of.get(item.place_division, item.target_org_id)
        later = day + timedelta(days=CORRECTED_AFTER)
        self.starts[later][item.initiator, acting].append(
            msgspec.structs.replace(_again(item), target_org_id=right)
        )

    # ---- what came out ---------------------------------------------------------------------------

    def _end_of_week(self, day: date) -> None:
        ages: Counter[str] = Counter()
        with self.system.engine("transfers").connect() as tx:
            for row in tx.execute(_OPEN_BY_AGE, {"now": clock.now()}):
                if row.assigning:  # an assignment has no deadline, so its age is no matter
                    age = "assign"
                else:
                    age = next((f"<{edge}" for edge in AGES if row.days < edge), f">={AGES[-1]}")
                ages[age] += row.n
        root = self._figures(1)
        self.weeks.append(
            {
                "day": day.isoformat(),
                "ages": dict(ages),
                "open": sum(ages.values()),
                "sx": root["sx"],
                "xs": root["xs"],
            }
        )

    def _figures(self, org: int) -> Rates:
        ends = time.monotonic() + 60
        with self.system.engine("transfers").connect() as tx:
            while figures_store.waits(tx) and time.monotonic() < ends:
                tx.rollback()
                time.sleep(0.05)
            row = figures_store.of_org(tx, org, self.year)
        return {
            "sx": _share(row.studied, row.study + row.study_in),
            "xs": _share(row.settled, row.society + row.society_in),
            "idle": row.idle,
            "open": row.open,
            "ended": row.ended,
            "completed": row.completed,
        }

    def _result(self, seconds: float) -> Result:
        self._figures(1)  # which waits until all that has happened is counted
        with self.system.engine("transfers").connect() as tx:
            happened = _happened(tx)
            settings = policies_store.active(tx, clock.now())
            _, _, differ = figures_store.verify(tx, settings, clock.now())
            tx.rollback()
        broken = [*_broken(self.system), *differ]
        result: Result = {
            "policy": settings.key,
            "year": self.year,
            "graduates": self.graduates,
            "seed": self.seed,
            "weeks": self.weeks,
            **happened,
            "nation": self._figures(1),
            "provinces": {org.short_name: self._figures(org.id) for org in self._provinces()},
            "problems": dict(self.problems),
            "warnings": dict(sorted(self.warnings.items())),
            "broken": broken,
            "digest": "",
            "seconds": round(seconds, 1),
        }
        return {**result, "digest": _digest(result)}

    def _provinces(self) -> list[Any]:
        """Return the leading bodies of the provinces; the systems, whose codes begin with 9, are none."""
        return [
            org
            for org in self.tree
            if org.parent_id == 1
            and org.kind == "leading_body"
            and org.id < 100
            and not org.province.startswith("9")
        ]


def _happened(tx: sa.Connection) -> Happened:
    """Return what happened week by week, how long decisions took, and how many transfers ended how."""
    weekly: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in tx.execute(_WEEKLY):
        weekly[row.week.isoformat()][row.event] += row.n
    return {
        "weekly": {week: dict(some) for week, some in weekly.items()},
        "latency": [
            {"state": row.state, "n": row.n, "p50": row.p50, "p90": row.p90} for row in tx.execute(_LATENCY)
        ],
        "ends": {row.state: row.n for row in tx.execute(_ENDS)},
    }


def _broken(system: embedded.System) -> list[str]:
    """Return the invariants that do not hold."""
    from system.demo import check_invariants

    checked = check_invariants({service: system.engine(service) for service in SERVICES})
    return [sentence for sentence, holds in checked if not holds]


def _approval(retention_id: int) -> retentions_store.Decision:
    return {"retention_id": retention_id, "state": "approved", "note": "", "report": "", "decided_by": 1}


def _digest(result: Result) -> str:
    """Return a hash of what the same seed must bring about again."""
    same = {
        "weekly": result["weekly"],
        "ends": result["ends"],
        "nation": result["nation"],
        "provinces": result["provinces"],
        "warnings": result["warnings"],
    }
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


def _again(item: transfers.RequestTransfer) -> transfers.RequestTransfer:
    # the id hangs on the first one's, as everything here does on the seed
    return msgspec.structs.replace(item, command_id=uuid5(item.command_id, "again"))


def _share(done: int, of: int) -> float | None:
    return done / of if of else None


def _policy(name: str) -> reader.Policy:
    return reader.load(Path(name)) if name.endswith(".toml") else reader.read(name)


def one(policy: str, graduates: int, seed: int, last: tuple[int, int], folder: Path) -> Result:
    """Run one season in a folder of its own, in this process."""
    try:
        with embedded.System(embedded.embedded_settings(folder)) as system:
            season = Season(
                system, graduates, policy, seed, last, lambda text: print(text, file=sys.stderr, flush=True)
            )
            season.prepare()
            return season.run()
    finally:
        embedded.stop_postgres(folder)


def main(names: list[str], graduates: int, seed: int, last: str, out: Path) -> int:
    """Run a season per policy, side by side in processes of their own; print and plot.

    Return 0 if all invariants held.
    """
    from system import season_report

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tuanqiao-season-") as place:
        options = {"graduates": graduates, "seed": seed, "until": last, "out": out}
        running = [
            _start_alone(name, {**options, "folder": f"{place}/{number}"})
            for number, name in enumerate(names)
        ]
        results = []
        for name, process in zip(names, running, strict=True):
            printed, _ = process.communicate()
            if process.returncode:
                print(f"the season under {name} failed", file=sys.stderr)
                return 1
            results.append(json.loads(printed))
    (out / "season.json").write_text(json.dumps(results, ensure_ascii=False, indent=1), "utf-8")
    print(season_report.text(results))
    for path in season_report.draw(results, out):
        print(path)
    return 1 if any(result["broken"] for result in results) else 0


def _start_alone(policy: str, options: dict[str, object]) -> subprocess.Popen[bytes]:
    """Start the season of one policy in a process of its own, which prints the result as JSON."""
    command = [sys.executable, "-W", "ignore", "-m", "system.cli", "season", "--one", policy]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)
