"""`make demo`: the main job without a screen, and an independent check of the invariants at the end.

A roster of graduates is imported from real spreadsheets, their branches are marked, transfers of
every graduate reason start from all three initiators, the administrators decide (some reject, some
members withdraw, some nodes are left to the simulated clock), branches are assigned. Then
everything is counted, and every event is replayed to show that nothing changes.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import eventlet
import sqlalchemy as sa
from msgspec.structs import replace

from services.gateway.files import roster
from services.members import domain
from services.members.accounts import handlers as accounts
from services.transfers import trail
from shared import clock
from shared.errors import Refused
from shared.messages import members, transfers
from shared.messages.words import PEERS, Reason
from shared.settings import bridge
from system import crossing, embedded, synthetic, world

CLASSES = 100
DAYS_UNTIL_RETURN = 11
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
"""How often graduates leave for what, by weight."""
_GRADUATES = """
    SELECT person_id, name, id_sealed, branch_id
    FROM people
    WHERE graduate AND person_id > 100000
    ORDER BY person_id"""
_MATTERS = {
    "members": [
        "SELECT person_id, branch_id, reserved_by, graduate FROM people ORDER BY 1",
        "SELECT person_id, branch_id, began_at, ended_at, transfer_id FROM memberships ORDER BY 1, 3",
    ],
    "transfers": [
        """
        SELECT transfer_id, state, node_no, target_branch_id, audit_seq, encode(audit_head, 'hex')
        FROM transfers ORDER BY 1""",
        "SELECT transfer_id, node_no, reminders FROM open_nodes ORDER BY 1",
        "SELECT org_id, version FROM org_directory ORDER BY 1",
    ],
    "scheduler": ["SELECT transfer_id, node_no FROM timers ORDER BY 1"],
}
"""What no repeated event may change, by service."""
_MOVED_TWICE = """
    SELECT count(*) FROM (
        SELECT transfer_id
        FROM memberships
        WHERE transfer_id IS NOT NULL
        GROUP BY 1
        HAVING count(*) > 1
    ) AS t"""


class Demo:
    """One run; the steps are called in order by `main`."""

    def __init__(self, system: embedded.System, graduates: int, peers: crossing.Peers | None = None) -> None:
        self.system, self.graduates, self.peers = system, graduates, peers
        self.rng = random.Random(2026)
        self.tree = world.load(system, everyone=True)
        self.orgs = {org.id: org for org in self.tree}
        self.classes = self._pick_classes()
        self.tokens: dict[int, str] = {}
        self.times: dict[str, float] = {}
        self.notes: list[str] = []

    def _pick_classes(self) -> list[Any]:
        schools = [1_000_001 + n for n in range(world.SCHOOLS)]
        some = [org for org in self.tree if org.grad_year == 2026 and org.id // 10_000 in schools]
        more = [
            org
            for org in self.tree
            if org.grad_year == 2026 and org.id // 10_000 in [1_000_006, 1_000_011, 1_000_016]
        ]
        return (some + more)[:CLASSES] if len(some) < CLASSES else some[:CLASSES]

    def token(self, person_id: int) -> str:
        """Return a token of a person, made by members' own key.

        A sample signs in for real (see `sign_in_sample`).
        """
        if person_id not in self.tokens:
            self.tokens[person_id] = accounts.keys.signer.sign(
                "person", timedelta(days=400), sub=str(person_id)
            )[0]
        return self.tokens[person_id]

    def call(self, contract: Any, request: Any, person_id: int, org_id: int | None = None) -> Any:
        """Call a service as a person, for an organisation."""
        return self.system.client.call(
            contract, request, token=self.token(person_id), org_id=org_id, timeout=60
        )

    def as_administrator(self, contract: Any, items: list[Any], org_id: int) -> list[Any]:
        """Send a command in lists of 500 as the organisation's administrator; return all answers."""
        answers: list[Any] = []
        for at in range(0, len(items), 500):
            answers += self.call(contract, items[at : at + 500], world.administrator_of(org_id), org_id)
        return answers

    def rows(self, service: str, statement: str) -> list[Any]:
        """Return what a service's database says."""
        with self.system.engine(service).connect() as tx:
            return list(tx.execute(sa.text(statement)))

    def graduates_here(self) -> list[Any]:
        """Return the graduates who have not left."""
        return self.rows("members", _GRADUATES)

    # ---- steps -----------------------------------------------------------------------------------

    def import_rosters(self) -> None:
        """Write one spreadsheet per college, read it back, enter its rows (IMP).

        A few rows are broken on purpose.
        """
        by_name = {branch.full_name: branch.id for branch in self.classes}
        entered = 0
        failed: Counter[str] = Counter()
        for college, rows in self._sheets().items():
            read = _through_a_file([*rows, *_broken_rows(rows[0])])
            admissions = [_admission(row, by_name[row.branch_name]) for row in read]
            answers = self.as_administrator(members.admit, admissions, college)
            entered += sum(answer.member_id is not None for answer in answers)
            failed.update(answer.reason for answer in answers if answer.reason)
            bad = [
                roster.failed(row, answer.reason)
                for row, answer in zip(read, answers, strict=True)
                if answer.reason
            ]
            assert len(_through_a_file(bad, reasons=True)) == 2, failed
        self.notes.append(f"成功导入 {entered} 位团员, {sum(failed.values())} 位团员导入失败: {dict(failed)}")
        if entered != self.graduates:
            raise RuntimeError(f"{entered} of {self.graduates} rows were entered")

    def _sheets(self) -> dict[int, list[roster.RosterRow]]:
        """Return the rows of synthetic people by college, spread evenly over the classes."""
        counties = world.counties_of(self.tree)
        everyone = synthetic.people(self.graduates, rng=self.rng, division_codes=counties, start=1_000_000)
        sheets: dict[int, list[roster.RosterRow]] = {}
        for n, person in enumerate(everyone):
            branch = self.classes[n % len(self.classes)]
            sheets.setdefault(branch.parent_id, []).append(
                roster.RosterRow(
                    0,
                    branch.full_name,
                    person.name,
                    person.id_number,
                    person.ethnic_group,
                    person.phone,
                    person.joined_on,
                    person.development_number,
                    "",
                )
            )
        return sheets

    def mark_graduation(self) -> None:
        """Mark the classes as graduating (GRAD-12)."""
        by_college: dict[int, list[Any]] = {}
        for branch in self.classes:
            by_college.setdefault(branch.parent_id, []).append(branch)
        marked = 0
        for college, branches in by_college.items():
            answers = self.as_administrator(
                members.mark_branches,
                [
                    members.MarkBranch(
                        command_id=uuid.uuid4(), branch_id=branch.id, graduates_on=date(2026, 6, 30)
                    )
                    for branch in branches
                ],
                college,
            )
            marked += sum(answer.members for answer in answers)
        self.notes.append(f"{marked} members of {len(self.classes)} class branches marked as graduates")

    def sign_in_sample(self) -> None:
        """Let thirty graduates sign in as people do (ACC-02, ACC-04, ACC-05).

        That is: the initial password, the forced change, then their own record.
        """
        some = self.rows(
            "members",
            "SELECT person_id, id_sealed FROM people WHERE graduate ORDER BY person_id DESC LIMIT 30",
        )
        for person_id, sealed in some:
            self.tokens[person_id] = self._sign_in_first_time(person_id, accounts.keys.seal.open(sealed))
        self.notes.append(
            f"{len(some)} graduates signed in, changed the initial password and signed in again"
        )

    def _sign_in_first_time(self, person_id: int, number: str) -> str:
        """Sign in with the initial password, change it, sign in again; return the second token."""
        client = self.system.client
        initial, own = domain.initial_password(number), f"own-{number[:6]}-x"
        first = client.call(members.sign_in, members.SignIn(id_number=number, password=initial))
        assert first.must_change_password
        try:
            client.call(transfers.my_transfers, transfers.MyTransfers(), token=first.token)
            raise RuntimeError("a restricted token was accepted")
        except Refused as refused:
            assert refused.code == "password_change_needed"
        client.call(
            members.change_password,
            members.ChangePassword(old_password=initial, new_password=own),
            token=first.token,
        )
        second = client.call(members.sign_in, members.SignIn(id_number=number, password=own))
        me = client.call(members.who_am_i, members.WhoAmI(), token=second.token)
        assert me.member.member_id == person_id
        token: str = second.token
        return token

    def start_peers(self) -> None:
        """Start the other systems; where that cannot be, say so and go on without them (FED-01).

        The tree is loaded: their directories are read at once, and stand in it.
        """
        why = "their programs, tests/peers, are not here" if self.peers is None else self.peers.start()
        if why:
            self.peers = None
            self.notes.append(f"nobody goes to other systems or comes from them: {why}")

    def cross_borders(self) -> None:
        """Let members go to the other systems and come from them (FED-10)."""
        if self.peers is not None:
            self.notes.append(crossing.cross(self, self.peers))

    def _destination(self, member: Any) -> tuple[str, int | None, dict[str, str]]:
        """Draw a reason and a target that fits it (Annex A)."""
        school = self.orgs[member.branch_id].id // 10_000
        reason = self.rng.choices(list(REASONS), list(REASONS.values()))[0]
        if reason == "further_study":
            target = self.rng.choice([org for org in self._colleges if org.id // 100 != school])
            return reason, target.id, {"place_name": target.short_name, "place_address": "湖北省武汉市"}
        if reason in ("employed_with_org", "abroad_on_duty"):
            target = self.rng.choice(self._employers)
            return reason, target.id, {"place_name": target.short_name, "place_address": "某市某区"}
        if reason == "abroad_study":
            return reason, school * 100 + 90, {}
        if Reason(reason).special:
            return reason, None, {"remark": "参军入伍"}
        return reason, *self._township(reason)

    def _township(self, reason: str) -> tuple[int, dict[str, str]]:
        """Draw the township where somebody works, or lives without work."""
        target = self.rng.choice(self._townships)
        fields = {"place_address": "某街道", "place_division": target.division_code[:6]}
        if reason != "unemployed":  # somebody without work names no employer (TYPE-03)
            fields["place_name"] = "某公司"
        return target.id, fields

    @cached_property
    def _colleges(self) -> list[Any]:
        return world.colleges(self.tree)

    @cached_property
    def _employers(self) -> list[Any]:
        return world.employers(self.tree)

    @cached_property
    def _townships(self) -> list[Any]:
        return [org for org in self.tree if org.purpose in ("township", "handover")]

    @cached_property
    def _below(self) -> dict[int, list[int]]:
        return world.branches_below(self.tree, {branch.id for branch in self.classes})

    def start(self) -> None:
        """Start transfers: half by the colleges, a third by the members, the rest by the targets.

        Four in a hundred graduates do nothing yet.
        """
        graduates = self.graduates_here()
        chosen = {}
        for member in graduates:
            if self.rng.random() >= 0.04:
                chosen[member.person_id] = self._destination(member)
        leaving = [member for member in graduates if member.person_id in chosen]
        self._ask_to_go_abroad([one for one in leaving if chosen[one.person_id][0] == "abroad_study"])
        requests = [(member, self._request(member, *chosen[member.person_id])) for member in leaving]
        outcomes = self._send(requests)
        refused = Counter(outcome.refusal.code for outcome in outcomes if outcome.refusal)
        if refused:
            raise RuntimeError(f"requests were refused: {refused}")
        started = Counter(item.initiator for _, item in requests)
        self.notes.append(
            f"{len(outcomes)} transfers started: {started['source']} by colleges in lists,"
            f" {started['member']} by members, the rest by targets"
        )
        self._start_twice(requests[-1][1])
        self.system.settle()

    def _send(self, requests: list[tuple[Any, transfers.RequestTransfer]]) -> list[Any]:
        """Send each request as its initiator does: colleges in lists, members and targets one by one."""
        by_source: dict[int, list[Any]] = {}
        pool = eventlet.GreenPool(40)
        outcomes: list[Any] = []
        for member, item in requests:
            if item.initiator == "source":
                college = self.orgs[member.branch_id].parent_id
                by_source.setdefault(college, []).append(item)
            elif item.initiator == "member":
                pool.spawn_n(self._start_by_member, item, outcomes)
            else:
                pool.spawn_n(self._start_by_target, item, member, outcomes)
        for college, items in by_source.items():
            outcomes += self.as_administrator(transfers.request_transfers, items, college)
        pool.waitall()
        return outcomes

    def _request(
        self, member: Any, reason: str, target: int | None, fields: Mapping[str, Any]
    ) -> transfers.RequestTransfer:
        """Draw who starts the transfer; return the request."""
        who = self.rng.choices(["source", "member", "target"], [50, 35, 15])[0]
        if who == "target" and (target is None or reason in ("abroad_study", "unemployed")):
            who = "source"  # no target can ask for these
        return transfers.RequestTransfer(
            command_id=uuid.uuid4(),
            initiator=who,
            member_id=member.person_id,
            source_branch_id=member.branch_id,
            target_org_id=target,
            reason=reason,
            contact="19900000000",
            **fields,
        )

    def _start_twice(self, item: transfers.RequestTransfer) -> None:
        """Have a member start once more what is open already; it must be refused."""
        again = replace(item, command_id=uuid.uuid4(), initiator="member")
        twice = self.call(transfers.request_transfers, [again], item.member_id)
        assert twice[0].refusal.code in ("transfer_open", "target_forbidden", "remark_missing"), twice

    def _start_by_member(self, item: transfers.RequestTransfer, outcomes: list[Any]) -> None:
        outcomes += self.call(transfers.request_transfers, [item], item.member_id)

    def _ask_to_go_abroad(self, some: list[Any]) -> None:
        """Have those who study abroad ask in writing, and the schools approve it (GRAD-29, GRAD-33).

        Their colleges ask for them.
        """
        by_college: dict[int, list[Any]] = {}
        for member in some:
            by_college.setdefault(self.orgs[member.branch_id].parent_id, []).append(
                members.RequestRetention(
                    command_id=uuid.uuid4(),
                    member_id=member.person_id,
                    kind="abroad",
                    since=date(2026, 9, 1),
                    until=date(2028, 8, 31),
                    place="某国某大学",
                    contact_name="王家人",
                    contact_phone="19900000001",
                )
            )
        for college, items in by_college.items():
            asked = self.as_administrator(members.request_retentions, items, college)
            approved = self.as_administrator(
                members.decide_retentions,
                [members.DecideRetention(retention_id=one.retention_id, approve=True) for one in asked],
                self.orgs[college].parent_id,
            )
            wrong = [one.refusal for one in (*asked, *approved) if one.refusal]
            if wrong:
                raise RuntimeError(f"requests to go abroad were refused: {wrong[0]}")

    def _start_by_target(self, item: transfers.RequestTransfer, member: Any, outcomes: list[Any]) -> None:
        org = item.target_org_id
        assert org is not None  # or no target could have asked
        found = self.call(
            members.look_up,
            members.LookUp(name=member.name, id_number=accounts.keys.seal.open(member.id_sealed)),
            world.administrator_of(org),
            org,
        )
        outcomes += self.call(
            transfers.request_transfers,
            [replace(item, ticket=found.ticket)],
            world.administrator_of(org),
            org,
        )

    def decide(self, everything: bool = False) -> None:
        """Let every administrator work off their own list, then assign.

        Most approve, some reject, some leave the node to the clock.
        """
        while True:
            waiting = self.rows(
                "transfers", "SELECT DISTINCT org_id, coalesce(superior_id, 0) FROM open_nodes ORDER BY 1"
            )
            moved = 0
            for org, superior in waiting:
                acting = superior if superior and self._chance(org, "superior") < 0.3 else org
                moved += self.work_off(acting, everything)
            self.system.settle()
            if not moved:
                return

    def _chance(self, *what: object) -> float:
        return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:4], "big") / 2**32

    def work_off(self, org: int, everything: bool) -> int:
        """Decide and assign what an office's list shows, page by page; return how many items."""
        person, moved, after = world.administrator_of(org), 0, ""
        while True:
            page = self.call(transfers.list_work, transfers.ListWork(limit=500, after=after), person, org)
            decisions, assignments = [], []
            for item in page.items:
                if item.state == "pending_assign":
                    assignments += self._assignment(item, org)
                else:
                    decisions += self._decision(item, everything)
            outcomes = self.as_administrator(transfers.decide_nodes, decisions, org) + self.as_administrator(
                transfers.assign_branches, assignments, org
            )
            wrong = [outcome for outcome in outcomes if outcome.refusal]
            if wrong:
                raise RuntimeError(f"refused: {wrong[0]}")
            moved += len(outcomes)
            if len(page.items) < 500:
                return moved
            after = page.items[-1].cursor

    def _assignment(self, item: Any, org: int) -> list[transfers.AssignBranch]:
        """Return the assignment to a branch below the office; none if there is no branch."""
        some = self._below.get(org)
        if not some:
            return []
        return [
            transfers.AssignBranch(
                decision_id=uuid.uuid4(), transfer_id=item.transfer_id, branch_id=self.rng.choice(some)
            )
        ]

    def _decision(self, item: Any, everything: bool) -> list[transfers.DecideNode]:
        """Return the decision of a node; none if it is left to the clock."""
        fate = self._chance(item.transfer_id, item.node_no)
        if fate < 0.05 and not everything:
            return []  # nobody looks; the clock will
        approve = fate > 0.10 or everything
        note = reason_code = ""
        if not approve:
            reason_code = self.rng.choice(
                ["not_here", "household_elsewhere", "work_elsewhere", "short_term", "wrong_data"]
            )
        elif item.state == "pending_province":  # the paper letter's number (DOC-03)
            note = "介绍信第1号"
        return [
            transfers.DecideNode(
                decision_id=uuid.uuid4(),
                transfer_id=item.transfer_id,
                node_no=item.node_no,
                approve=approve,
                note=note,
                reason_code=reason_code,
            )
        ]

    def withdraw_some(self) -> None:
        """Have three in a hundred withdrawn while their first node is open (TRF-28)."""
        some = self.rows(
            "transfers",
            """
            SELECT transfer_id, member_id FROM transfers
            WHERE state IN ('pending_out', 'pending_in', 'pending_province') AND transfer_id % 33 = 0""",
        )
        for transfer_id, member_id in some:
            (outcome,) = self.call(
                transfers.withdraw_transfers,
                [transfers.WithdrawTransfer(decision_id=uuid.uuid4(), transfer_id=transfer_id)],
                member_id,
            )
            assert outcome.refusal is None, outcome
        self.notes.append(f"{len(some)} transfers withdrawn by their members")
        self.system.settle()

    def let_time_pass(self) -> None:
        """Move the simulated clock past the deadline (DL-05, ASG-04).

        What nobody decided is returned; assignments are only reminded of.
        """
        clock.advance(timedelta(days=8))
        self.system.settle()
        clock.advance(timedelta(days=DAYS_UNTIL_RETURN - 8))
        self.system.settle()
        time.sleep(0.5)
        self.system.settle()

    def start_again(self) -> None:
        """Start returned transfers once more, by the college, and decide all of them (DL-06, TRF-25)."""
        by_college: dict[int, list[Any]] = {}
        for row in self.rows("transfers", "SELECT * FROM transfers WHERE state = 'returned'"):
            by_college.setdefault(row.source_superior_id, []).append(_once_more(row))
        outcomes = [
            outcome
            for college, items in by_college.items()
            for outcome in self.as_administrator(transfers.request_transfers, items, college)
        ]
        assert not [outcome for outcome in outcomes if outcome.refusal], outcomes[0]
        self.notes.append(f"{len(outcomes)} returned transfers started again and decided")
        self.system.settle()
        self.decide(everything=True)

    # ---- what came out ---------------------------------------------------------------------------

    def report(self) -> None:
        """Print counts by end state and reason, hand-over rates and times."""
        rows = self.rows("transfers", "SELECT reason, state, count(*) AS n FROM transfers GROUP BY 1, 2")
        _print_table({(row.reason, row.state): row.n for row in rows})
        self._print_rates()
        print("times: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.times.items()))
        for text in self.notes:
            print("  " + text)

    def _print_rates(self) -> None:
        """Print how many of those who had to be handed over have arrived, and who started how many."""
        # of each member only the latest transfer counts
        ends = [
            row.ended_as
            for row in self.rows(
                "transfers",
                """
                SELECT DISTINCT ON (member_id) member_id, reason || ' ' || state AS ended_as
                FROM transfers WHERE initiator <> 'peer' ORDER BY member_id, transfer_id DESC""",
            )
        ]
        study = [end for end in ends if end.startswith("further_study")]
        society = [end for end in ends if not end.startswith(("further_study", "abroad_study"))]
        never = self.graduates - len(ends)
        started = self.rows("transfers", "SELECT initiator, count(*) FROM transfers GROUP BY 1")
        print(
            f"\nhand-over: further study {_completed(study)}/{len(study)},"
            f" society {_completed(society)}/{len(society) + never} ({never} not started);"
            f" started by {dict(tuple(row) for row in started)}"
        )

    def digest(self) -> str:
        """Return a hash of everything that matters of all services."""
        total = hashlib.sha256()
        for service, statements in _MATTERS.items():
            with self.system.engine(service).connect() as tx:
                for statement in statements:
                    for row in tx.execute(sa.text(statement)):
                        total.update(repr(tuple(row)).encode())
        return total.hexdigest()

    def replay(self, forget: bool) -> str:
        """Publish every event of every service once more.

        With `forget` the consumers have forgotten that they know them.
        """
        for service in self.system.settings.services:
            with self.system.machinery(service).database.transaction() as tx:
                tx.execute(sa.text("UPDATE outbox SET published_at = NULL"))
                if forget:
                    tx.execute(sa.text("DELETE FROM inbox"))
        self.system.settle(60)
        return self.digest()

    def invariants(self) -> list[tuple[str, bool]]:
        """Check, from the databases alone, what must hold; return each sentence with whether it does."""
        return [
            *check_invariants(
                {service: self.system.engine(service) for service in self.system.settings.services}
            ),
            *self._replays(),
        ]

    def _replays(self) -> list[tuple[str, bool]]:
        before = self.digest()
        return [
            ("replaying every event changes nothing", self.replay(forget=False) == before),
            (
                "replaying every event to consumers that forgot them changes no member and no transfer",
                self.replay_forgotten(),
            ),
        ]

    def replay_forgotten(self) -> bool:
        """Replay with empty inboxes; members and transfers must not change.

        Reminders may be counted again.
        """

        def core() -> list[Any]:
            return [
                self.rows("members", "SELECT person_id, branch_id, reserved_by FROM people ORDER BY 1"),
                self.rows("members", "SELECT count(*) FROM memberships"),
                self.rows("transfers", "SELECT transfer_id, state, audit_seq FROM transfers ORDER BY 1"),
            ]

        before = core()
        self.replay(forget=True)
        return core() == before


def check_invariants(engines: dict[str, sa.Engine]) -> list[tuple[str, bool]]:
    """Check the invariants that hold whenever nothing is under way.

    The demonstration and the fault tests use them. Those of hand-overs are checked with the bridges that
    are among the engines.
    """
    with engines["members"].connect() as people, engines["transfers"].connect() as some:
        results = [
            _everyone_is_somewhere(people),
            *_transfers_agree(people, some),
            _nodes_are_open(some),
            _chains_verify(some),
            _statistics_agree(people, some),
            _who_has_left_does_nothing(people, some),
        ]
        bridges = {str(peer): engines[bridge(peer)] for peer in PEERS if bridge(peer) in engines}
        results += [_handovers_agree(some, bridges)] if bridges else []
    return [*results, *_nothing_is_left(engines)]


def _pairs(tx: sa.Connection, statement: str) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in tx.execute(sa.text(statement))}


def _everyone_is_somewhere(people: sa.Connection) -> tuple[str, bool]:
    members_all = people.scalar(sa.text("SELECT count(*) FROM people WHERE branch_id IS NOT NULL"))
    stays = people.scalar(
        sa.text("""
            SELECT count(*) FROM people p JOIN memberships m USING (person_id)
            WHERE m.ended_at IS NULL AND m.branch_id = p.branch_id""")
    )
    current = people.scalar(sa.text("SELECT count(*) FROM memberships WHERE ended_at IS NULL"))
    # equal numbers are enough: nobody has two open stays at once
    return (
        f"every member ({members_all}) is in exactly one branch or the vault, now and in the history",
        members_all == stays == current,
    )


def _transfers_agree(people: sa.Connection, some: sa.Connection) -> list[tuple[str, bool]]:
    """Compare what members holds of the transfers with what transfers says."""
    reserved = _pairs(people, "SELECT person_id, reserved_by FROM people WHERE reserved_by IS NOT NULL")
    open_ones = _pairs(some, "SELECT member_id, transfer_id FROM transfers WHERE ended_at IS NULL")
    listed_open = _pairs(some, "SELECT member_id, transfer_id FROM open_transfers")
    moves = _pairs(people, "SELECT transfer_id, branch_id FROM memberships WHERE transfer_id IS NOT NULL")
    moved_twice = people.scalar(sa.text(_MOVED_TWICE))
    completed = _pairs(some, "SELECT transfer_id, target_branch_id FROM transfers WHERE state = 'completed'")
    people.rollback()  # a server ends who is idle in a transaction, and reading the trails takes minutes
    return [
        (
            f"a reservation exists exactly while a transfer is open ({len(open_ones)})",
            reserved == open_ones == listed_open,
        ),
        (
            f"each completed transfer ({len(completed)}) moved its member exactly once, and nothing else did",
            moves == completed and not moved_twice,
        ),
    ]


def _nodes_are_open(some: sa.Connection) -> tuple[str, bool]:
    # a full join, so that a node without its transfer is found as well as a transfer without its node
    nodes = some.scalar(
        sa.text("""
            SELECT count(*)
            FROM transfers t FULL JOIN open_nodes o
              ON o.transfer_id = t.transfer_id AND o.node_no = t.node_no AND o.state = t.state
            WHERE (o.transfer_id IS NULL) <> (t.state NOT LIKE 'pending%') OR t.transfer_id IS NULL""")
    )
    return "each pending transfer has exactly its one open node", nodes == 0


def _chains_verify(some: sa.Connection) -> tuple[str, bool]:
    read, broken = trail.verify_audit(some)
    return f"the audit chains verify ({read} rows)", not broken


def _statistics_agree(people: sa.Connection, some: sa.Connection) -> tuple[str, bool]:
    from services.transfers.figures import store as figures_store
    from services.transfers.policies import store as policies_store

    flagged = set(
        people.execute(
            sa.text("SELECT person_id FROM people WHERE graduate AND branch_id IS NOT NULL")
        ).scalars()
    )
    people.rollback()  # the recount of many takes minutes, too
    settings = policies_store.active(some, clock.now())
    graduates, _, differ = figures_store.verify(some, settings, clock.now())
    counted = set(some.execute(sa.text("SELECT member_id FROM graduates WHERE counts")).scalars())
    some.rollback()  # `verify` has followed what waited; a check changes nothing
    return (
        f"the statistics are what a recount says ({graduates} graduates), and every graduate is in them",
        not differ and flagged <= counted,
    )


_ELSEWHERE = """
    SELECT p.person_id FROM people p JOIN org_directory d ON d.org_id = p.branch_id
    WHERE d.system <> 'national'"""
_HAS_ACCOUNT = f"""
    SELECT person_id FROM ({_ELSEWHERE}) e JOIN accounts USING (person_id)
    WHERE NOT EXISTS (SELECT 1 FROM arrivals a WHERE a.person_id = e.person_id AND a.unbound)
        AND NOT EXISTS (
            SELECT 1 FROM memberships m JOIN org_directory d ON d.org_id = m.branch_id
            WHERE m.person_id = e.person_id AND d.system = 'national')"""


def _who_has_left_does_nothing(people: sa.Connection, some: sa.Connection) -> tuple[str, bool]:
    """Check that other systems' members start nothing here, and sign in only with what they had (FED-12)."""
    elsewhere = {row[0] for row in _pairs(people, _ELSEWHERE)}
    accounts = people.scalar(sa.text(f"SELECT count(*) FROM ({_HAS_ACCOUNT}) a"))
    started = _pairs(some, "SELECT member_id FROM transfers WHERE ended_at IS NULL AND initiator <> 'peer'")
    some.rollback()
    people.rollback()
    return (
        f"who stands in another system ({len(elsewhere)}) has nothing under way that was started here,"
        " and no account but one of before",
        not accounts and not elsewhere & {row[0] for row in started},
    )


_HANDED_OVER = """
    SELECT substr(subject, length('national:') + 1)::bigint FROM handovers WHERE state = 'moved'
    UNION ALL
    SELECT a.transfer_id FROM handovers h LEFT JOIN arrivals a USING (subject) WHERE h.state = 'taken'"""
_CROSSED = "SELECT peer, transfer_id FROM transfers WHERE peer <> '' AND state = 'completed'"


def _handovers_agree(some: sa.Connection, bridges: dict[str, sa.Engine]) -> tuple[str, bool]:
    """Check that exactly those are completed whom one side has signed that it has taken (FED-10)."""
    crossed = {row for row in _pairs(some, _CROSSED) if row[0] in bridges}
    some.rollback()
    handed_over = set()
    for peer, engine in bridges.items():
        with engine.connect() as tx:
            handed_over |= {(peer, row[0]) for row in _pairs(tx, _HANDED_OVER)}
    return (
        f"each hand-over that is over ({len(handed_over)}) completed its transfer, nothing else did",
        handed_over == crossed,
    )


def _nothing_is_left(engines: dict[str, sa.Engine]) -> list[tuple[str, bool]]:
    # the logs tell their heads when they like; what they have just written is on its way in a moment
    ends = time.monotonic() + DRAIN_SECONDS
    while (waiting := _count(engines, _WAITING)) and time.monotonic() < ends:
        time.sleep(0.1)
    dead = _count(engines, "SELECT count(*) FROM failed_messages")
    return [
        (f"the outboxes are drained ({waiting} waiting)", waiting == 0),
        (f"there are no failed messages or dead letters ({dead})", dead == 0),
    ]


_WAITING = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
DRAIN_SECONDS = 15.0
"""For the relays to publish what is written last; they look every five seconds when nobody wakes them."""


def _count(engines: dict[str, sa.Engine], statement: str) -> int:
    """Return what a count gives over all services."""
    found = 0
    for engine in engines.values():
        with engine.connect() as tx:
            found += tx.scalar(sa.text(statement)) or 0
    return found


def _through_a_file(rows: list[roster.RosterRow], reasons: bool = False) -> list[roster.RosterRow]:
    """Write a spreadsheet and read it back, as a college would send it."""
    file = io.BytesIO()
    roster.write_roster(file, rows, reasons=reasons)
    return roster.read_roster(file.getvalue())


def _broken_rows(good: roster.RosterRow) -> list[roster.RosterRow]:
    """Return a row with a wrong check digit, and a row that stands in the sheet already."""
    number = good.id_number[:17] + ("1" if good.id_number[17] != "1" else "2")
    return [
        roster.RosterRow(0, good.branch_name, "王坏号", number, "汉族", "", None, "", ""),
        good,
    ]


def _admission(row: roster.RosterRow, branch_id: int) -> members.Admission:
    return members.Admission(
        command_id=uuid.uuid4(),
        branch_id=branch_id,
        name=row.name,
        id_number=row.id_number,
        ethnic_group=row.ethnic_group,
        phone=row.phone,
        joined_on=row.joined_on,
        development_number=row.development_number,
        post=row.post,
    )


def _once_more(row: Any) -> transfers.RequestTransfer:
    """Return the request of a returned transfer, to be sent again by the college."""
    return transfers.RequestTransfer(
        command_id=uuid.uuid4(),
        initiator="source",
        member_id=row.member_id,
        source_branch_id=row.source_branch_id,
        target_org_id=None if Reason(row.reason).special else row.target_org_id,
        reason=row.reason,
        place_name=row.place_name,
        place_address=row.place_address,
        place_division=row.place_division,
        remark=row.remark,
    )


def _completed(ends: list[str]) -> int:
    return sum(end.endswith("completed") for end in ends)


def _print_table(table: dict[tuple[str, str], int]) -> None:
    """Print numbers of transfers, a line per reason and a column per state."""
    reasons = sorted({reason for reason, _ in table})
    states = sorted({state for _, state in table})
    print(f"\n{'reason':<24}" + "".join(f"{state:>16}" for state in states) + f"{'all':>10}")
    for reason in reasons:
        counts = [table.get((reason, state), 0) for state in states]
        print(f"{reason:<24}" + "".join(f"{n:>16}" for n in counts) + f"{sum(counts):>10}")
    totals = [sum(table.get((reason, state), 0) for reason in reasons) for state in states]
    print(f"{'all':<24}" + "".join(f"{n:>16}" for n in totals) + f"{sum(totals):>10}")


def main(folder: Path | None, graduates: int) -> int:
    """Run the demonstration; return 0 if every invariant holds."""
    temporary = folder is None
    folder = folder or Path(tempfile.mkdtemp(prefix="tuanqiao-demo-"))
    peers = crossing.beside(folder)
    try:
        with embedded.System(embedded.embedded_settings(folder, PEERS if peers else ())) as system:
            if not world.is_empty(system):
                print(f"{folder} holds an earlier run; give an empty folder", file=sys.stderr)
                return 2
            code = 0 if _show(system, graduates, peers) else 1
    finally:
        if peers is not None:
            peers.end()
        embedded.stop_postgres(folder)
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    os._exit(code)


def _show(system: embedded.System, graduates: int, peers: crossing.Peers | None) -> bool:
    """Run all steps and print what came out; return whether every invariant holds."""
    started = time.monotonic()
    demo = Demo(system, graduates, peers)
    demo.times["tree and administrators"] = time.monotonic() - started
    for name, step in (
        ("other systems", demo.start_peers),
        ("import", demo.import_rosters),
        ("marks", demo.mark_graduation),
        ("sign-ins", demo.sign_in_sample),
        ("borders", demo.cross_borders),
        ("start", demo.start),
        ("withdrawals", demo.withdraw_some),
        ("decisions", demo.decide),
        ("clock", demo.let_time_pass),
        ("again", demo.start_again),
    ):
        at = time.monotonic()
        print(f"{name} ...", flush=True)
        step()
        demo.times[name] = time.monotonic() - at
    demo.report()
    print("\ninvariants:")
    results = demo.invariants()
    for sentence, holds in results:
        print(f"  {'holds ' if holds else 'BROKEN'}  {sentence}")
    good = sum(holds for _, holds in results)
    print(
        f"\n{good} of {len(results)} invariants hold, {time.monotonic() - started:.0f} s in all",
        flush=True,
    )
    return good == len(results)
