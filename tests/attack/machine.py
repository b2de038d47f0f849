"""The attacker: somebody with rights over one part of the tree who issues every operation there is.

That part is one branch, a college, a county or nothing.

Operations are read from the tables of the services and filled by the types and names of their
contracts, so a new one is attacked without being listed. After each call the machine looks at every
row that was touched and at every answer: nothing about persons or organisations outside one's own
subtree has changed, been held or been told, but by the ways that the catalogue names; they stand in
`WAYS` and `TELLS`.
"""

import random
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from services.members.lists import store as lists_store
from services.orgs import domain
from services.transfers import saga
from services.transfers.adviser import rules as adviser
from services.transfers.figures import store as figures_store
from services.transfers.notices import rules as notices
from shared import clock
from shared.messages import Command, Query, words
from tests.attack import world as nation
from tests.attack.world import ADMINISTRATORS, PEOPLE, SERVICES, TREE, Person, Touched, World
from tests.members.factories import number

OPERATIONS: list[Command | Query] = [
    operation for service in SERVICES.values() for operation in (*service.commands, *service.queries)
]
ROLES = {"branch": nation.CLASS, "college": nation.COLLEGE, "county": nation.COUNTY, "nothing": None}
ITEMS = 6
"""Variations of one operation that are sent together."""
AT_ONCE = 6
"""Operations of one step."""


def _path(org: int | None) -> str:
    """Return the ids from the root down to an organisation, each followed by a dot."""
    return "" if org is None else f"{_path(next(row[1] for row in TREE if row[0] == org))}{org}."


PATH = {row[0]: _path(row[0]) for row in TREE}

# ---- what columns mean ---------------------------------------------------------------------------

PERSONS = {"person_id", "member_id", "member_ids", "persons", "secretary_id"}
"""Columns that name the person whom a row is about."""
ORGS = {
    "org_id",
    "branch_id",
    "source_branch_id",
    "target_org_id",
    "target_branch_id",
    "from_org_id",
    "to_org_id",
    "initiator_org_id",
    "reserved_target_id",
    "place_id",
}
"""Columns that name the organisation that a row is about."""
NEITHER = {
    # who did something, which is the attacker; what stands above; keys and counts
    "changed_by",
    "marked_by",
    "deleted_by",
    "deleted_for",
    "requested_by",
    "issued_by",
    "issued_for",
    "spent_by",
    "decided_by",
    "old_decided_by",
    "new_decided_by",
    "created_by",
    "answered_by",
    "looked_by",
    "initiator_person_id",
    "reserved_by",
    "parent_id",
    "provincial_id",
    "vault_id",
    "superior_id",
    "source_superior_id",
    "target_superior_id",
    "id",
    "early_id",
    "n",
    "version",
    "display_order",
    "reading",
    "peer_reading",
    "graduation_version",
    "migration_id",
    "transfer_id",
    "registration_id",
    "retention_id",
    "letter_id",
    "webhook_id",
    "seq",
    "acting_provincial_id",
    "rows",
    # counts that are kept of what waits
    "waiting",
    "due_soon",
    "overdue",
    "assigning",
    "reminded",
    "told",
    "asked_by",
    "asked_for",
    "segment_no",
    "transfer_ids",
}
SAGA = {
    "transfers",
    "open_transfers",
    "open_nodes",
    "audit",
    "changes",
    "bulk_rows",
    "deliveries",
    "people",
    "memberships",
    "graduates",
    "standings",
}
"""Tables that a transfer goes through."""
COUNTS = {"figures", "flows", "decisions"}
COUNTS |= {"open_counts", "open_own", "open_below", "transfer_lines", "transfer_sums"}
"""Sums of a subtree; they tell how many, not who (STAT-01)."""


# ---- who is attacked and who attacks -------------------------------------------------------------


@dataclass
class Case:
    """One look at what a call has done: the call, and what is known around it."""

    machine: "Attacker"
    operation: str
    touched: Touched
    persons: set[int]
    orgs: set[int]

    def row(self) -> dict:
        """Return the row as it is now, or was."""
        return self.touched.became or self.touched.was or {}

    def transfer(self) -> dict:
        """Return the transfer that the row belongs to."""
        transfer_id = (
            self.row().get("transfer_id")
            or self.row().get("reserved_by")
            or (self.touched.was or {}).get("reserved_by")
        )
        return self.machine.transfer(transfer_id)


def _own_transfer(case: Case) -> bool:
    """A member of one's own, or oneself, is sent to anywhere.

    Nobody outside is moved, and whoever receives decides: the member is held, but arrives nowhere.
    """
    if case.touched.table not in SAGA or case.persons:
        return False
    return not (
        "branch_id" in case.touched.changed()
        and case.touched.table in ("people", "memberships")
        and (case.touched.became or {}).get("branch_id") in case.orgs
    )


def _asked_for(case: Case) -> bool:
    """A start by the target, of somebody known by name and number or sent here before.

    The person is held, and the transfer waits for the source, which nobody answers for here.
    """
    if case.touched.table not in SAGA or not case.persons <= case.machine.known | case.machine.visitors:
        return False
    if case.touched.table in ("people", "memberships") and not case.touched.changed() <= {
        "reserved_by",
        "reserved_target_id",
    }:
        return False
    transfer = case.transfer()
    return (
        transfer.get("initiator") == "target"
        and transfer["target_org_id"] in case.machine.inside
        and transfer["state"] in ("checking", "pending_out", "withdrawn", "refused")
    )


def _claimed(case: Case) -> bool:
    """A start, from one's own branch, of somebody who is not in it.

    It is written down until members has looked, which refuses it; nobody is held.
    """
    transfer = case.transfer()
    return (
        case.touched.table in SAGA - {"people", "memberships"}
        and transfer.get("initiator") in ("source", "batch")
        and transfer["state"] == "refused"
        and transfer["source_branch_id"] in case.machine.inside
    )


def _sent_to_us(case: Case) -> bool:
    """What others have sent here is decided here.

    Those are the transfers whose node was the attacker's to decide before the call.
    """
    if case.touched.table in ("posts", "cadres", "administrators", "administrator_directory"):
        return case.persons <= set(case.machine.arriving.values()) and not (case.touched.became or {}).get(
            "active"
        )
    return (
        case.touched.table in SAGA
        and case.persons <= set(case.machine.arriving.values())
        and case.transfer().get("transfer_id") in case.machine.arriving
    )


def _named_by_card(case: Case) -> bool:
    """Whoever is known by name and number is made a cadre here, and then its administrator.

    Nothing else of the person changes.
    """
    return (
        case.touched.table in ("posts", "cadres", "administrators", "administrator_directory")
        and not case.orgs
        and case.persons <= case.machine.known
    )


def _tried_to_sign_in(case: Case) -> bool:
    """A try to sign in is counted and shown to whom it concerns."""
    return (
        case.touched.table == "sign_ins"
        and case.touched.was is None
        and not case.row()["succeeded"]
        and case.persons <= case.machine.known
    )


def _applied(case: Case) -> bool:
    """Somebody new applies to any organisation, which then decides."""
    return (
        case.touched.table == "registrations"
        and not case.persons
        and case.row()["state"] in ("pending", "withdrawn", "expired")
    )


def _asked_to_migrate(case: Case) -> bool:
    """The own organisation asks to move; the superiors decide."""
    return (
        case.touched.table == "migrations"
        and case.row()["org_id"] in case.machine.inside
        and case.row()["state"] in ("pending_old", "pending_new", "withdrawn", "rejected")
    )


def _entered_by_card(case: Case) -> bool:
    """Somebody known by name and number is entered into one's own branch.

    The person belongs nowhere and holds no post and no right.
    """
    was = case.touched.was or {}
    return (
        case.touched.table in ("people", "memberships")
        and not case.orgs
        and case.persons <= case.machine.known & case.machine.nowhere
        and (case.touched.table == "memberships" or was.get("branch_id") is None)
    )


def _escalated(case: Case) -> bool:
    """The member asks the common superior."""
    return case.touched.table == "escalations" and not case.persons


def _stays(case: Case) -> bool:
    """A member asks to stay at school; the school decides."""
    return (
        case.touched.table == "retentions"
        and not case.persons
        and (case.touched.was is None or case.touched.changed() == {"reports"})
    )


def _logged(case: Case) -> bool:
    """What somebody does is written down as done for one's own organisation or for none.

    That is so whomever it was about, and never in another's name.
    """
    return case.touched.table == "audit_log" and case.row()["org_id"] in {None, *case.machine.inside}


def _counted(case: Case) -> bool:
    """Sums of those above change with what lies below."""
    return case.touched.table in COUNTS and not case.persons


class Way(NamedTuple):
    """A way by which something outside one's own subtree may change.

    It has the rules that name it, and what it covers.
    """

    rules: tuple[str, ...]
    covers: Callable[[Case], bool]


WAYS = (
    Way(("TRF-01", "TRF-16", "TRF-20", "TRF-28"), _own_transfer),
    Way(("TRF-02", "TRF-05", "TRF-18", "TRF-19", "BEY-04"), _asked_for),
    Way(("TRF-16", "TRF-25", "ASG-01", "ADM-18"), _sent_to_us),
    Way(("TRF-02", "MEM-01"), _claimed),
    Way(("CADRE-03", "ADM-02", "ADM-05"), _named_by_card),
    Way(("ACC-02", "ACC-10"), _tried_to_sign_in),
    Way(("REG-03", "REG-05"), _applied),
    Way(("BEY-10",), _logged),
    Way(("GRAD-26", "GRAD-29", "GRAD-30"), _stays),
    Way(("MIG-03", "MIG-04"), _asked_to_migrate),
    Way(("ORG-17", "REG-05", "MEM-24"), _entered_by_card),
    Way(("BEY-06",), _escalated),
    Way(("STAT-01", "STAT-10"), _counted),
)
"""Every way by which a call may change something outside the caller's subtree; anything else is a fault."""

TELLS = {
    "TRF-05": "who sends name and number of a member has them back",
    "TRF-22": "parties of a transfer read it, and see the person who comes",
    "REG-07": "who applies to an organisation is read by it",
    "UI-16": "members of one branch see each other's names",
    "MEM-32": "everybody's surname with two stars",
}
"""Everything that a call may tell about somebody outside the caller's subtree."""


class Fault(AssertionError):
    """Something outside one's own subtree has changed, been held or been told."""


# ---- what is sent --------------------------------------------------------------------------------

_WORDS: dict[str, Iterable[str]] = {
    "initiator": [*saga.Initiator, "source", "nobody"],
    "state": [*saga.State],
    "reason": ["x", "teachers", "mixed", ""],
    "RequestTransfer.reason": [*["ordinary"] * 12, *words.Reason],
    "MoveBatch.reason": ["ordinary"],
    "Filter.reason": ["", "ordinary"],
    "ListWork.reason": ["", "ordinary"],
    "Filter.state": [*saga.NODES],
    "ListWork.state": ["", *saga.NODES],
    "ListStarted.state": ["", *saga.State],
    "ListStarted.reason": ["", "ordinary"],
    "due": ["", "", *words.Due],
    "sort": ["", *words.WorkOrder],
    "rule": [*words.AssignRule],
    "target_province": ["", "", "42"],
    "reason_code": [*words.Rejection],
    "post": ["", *words.PostCode],
    "kind": [*domain.KINDS],
    "RequestRetention.kind": ["retained", "abroad", "abroad"],
    "GetReport.kind": [*lists_store.REPORTS],
    "ListMessages.kind": ["", "", *notices.KINDS],
    "ListRetentions.kind": ["", "abroad"],
    "SaveOrg.kind": ["branch", "branch", *domain.KINDS],
    "SaveOrg.purpose": ["ordinary", "ordinary", *domain.PURPOSES],
    "purpose": [*domain.PURPOSES],
    "mark": ["", "own", "delayed", "teacher"],
    "cause": ["wrong_name", "wrong_id", "overwritten", "other", "elsewhere"],
    "answer": ["receive", "uphold"],
    "side": ["source", "target"],
    "figure": [*figures_store.WHO],
    "plan": [one.removesuffix("_without") for one in adviser.PLANS],
    "industry": [nation.HIGHER, "农村", ""],
    "domain": [*words.Domain, ""],
    "compare": ["national", "p002", ""],
    "ethnic_group": ["汉族"],
    "place_division": ["", "420111"],
    "division_code": ["420111001", ""],
    "url": ["https://hooks.test/x"],
}
_NONSENSE = ["", "x", "0", "-1", "字" * 80, "'; DROP TABLE people; --", "%", "魏", "\u200b", "１", "<b>"]
_PERSON = re.compile("person|member|^near$")
_ORG = re.compile("org|branch|parent|superior|below|source|target|near")


class Sender:
    """Fills contracts: mostly sensibly, and sometimes with anything.

    Sensibly is around one victim and one place of one's own.
    """

    def __init__(self, machine: "Attacker", rng: random.Random) -> None:
        self.machine, self.rng = machine, rng
        self.victim = machine.victims[rng.randrange(len(machine.victims))]
        self.ours = rng.choice(sorted(machine.inside)) if machine.inside else nation.CLASS
        if machine.org is not None and rng.random() < 0.6:
            self.ours = machine.org
        self.acting = (
            machine.org if rng.random() < 0.85 else rng.choice([None, self.ours, rng.choice(TREE)[0]])
        )
        self.person = (
            machine.person
            if rng.random() < 0.85 or not machine.accomplices
            else rng.choice(machine.accomplices)
        )
        if self.person != machine.person and rng.random() < 0.7:
            self.acting = None
        self.mode = "wild"
        self.card = self._card()

    def _card(self) -> tuple[str, str]:
        """Return a name and a number that the attacker may know.

        They are the victim's, those of one's own people, or those of nobody yet.
        """
        roll = self.rng.random()
        if (self.mode == "aimed" or roll < 0.2) and self.victim.person_id in self.machine.known:
            return self.victim.name, self.victim.id_number
        if roll < 0.7:
            n = self.rng.randrange(700, 900)
            return f"新{chr(0x5200 + n)}", number(n, self.rng.choice([1990, 2004]))
        known = PEOPLE.get(self.rng.choice(sorted(self.machine.known | self.machine.ours)))
        return (known.name, known.id_number) if known is not None else ("某人", number(799, 1990))

    def item(self, contract: type) -> bytes:
        """Return one request of a contract as JSON: at the victim, within one's own, or anything."""
        self.mode = self.rng.choices(["aimed", "own", "wild"], [45, 40, 15])[0]
        self.card, self.drawing = self._card(), self.rng.random() < 0.6
        return msgspec.json.encode(self._struct(msgspec.inspect.type_info(contract)))

    def _struct(self, info) -> dict:
        self.contract = info.cls.__name__
        return {
            field.encode_name: self._value(field.name, field.type)
            for field in info.fields
            if field.required or self.rng.random() < 0.85
        }

    def _value(self, name: str, info):
        kinds = msgspec.inspect
        if isinstance(info, kinds.Metadata):
            return self._value(name, info.type)
        if isinstance(info, kinds.UnionType):
            some = [one for one in info.types if not isinstance(one, kinds.NoneType)]
            left_out = 0.5 if _PERSON.search(name) else 0.12
            if self.rng.random() < left_out and len(some) < len(info.types):
                return None
            return self._value(name, self.rng.choice(some))
        if isinstance(info, kinds.StructType):
            return self._struct(info)
        if isinstance(info, kinds.ListType):
            return [self._value(name, info.item_type) for _ in range(self.rng.choice([1, 1, 2]))]
        if isinstance(info, kinds.DictType):
            return {}
        if isinstance(info, kinds.BoolType):
            return self.rng.random() < (0.85 if name in ("confirmed", "approve", "accept", "active") else 0.2)
        if isinstance(info, kinds.IntType):
            return self._number(name)
        if isinstance(info, kinds.UUIDType):
            return str(
                self.rng.choice(self.machine.ids)
                if self.machine.ids and self.rng.random() < 0.25
                else uuid.UUID(int=self.rng.getrandbits(128), version=4)
            )
        if isinstance(info, kinds.DateType):
            if name == "joined_on":
                usual = date(2020, 5, 4)
            elif name == "until":
                usual = clock.today() + timedelta(days=90)
            else:
                usual = clock.today()
            return self.rng.choice(
                [usual, usual, usual, date(2020, 5, 4), clock.today() + timedelta(days=1), date(2031, 7, 1)]
            ).isoformat()
        if isinstance(info, kinds.DateTimeType):
            return self.rng.choice(
                [datetime(2020, 1, 1, tzinfo=UTC), clock.now() + timedelta(days=30)]
            ).isoformat()
        if isinstance(info, kinds.FloatType):
            return self.rng.choice([0.0, 1.5])
        if isinstance(info, kinds.StrType):
            return self._text(name)
        raise AssertionError(f"no value for {name}: {info}; teach the attacker this type")

    def _number(self, name: str) -> int:
        rng, roll, machine = self.rng, self.rng.random(), self.machine
        if _PERSON.search(name):
            if self.mode == "aimed" and roll < 0.9:
                return self.victim.person_id
            if self.mode == "own" and roll < 0.95:
                return rng.choice([self.person, *machine.accomplices, *sorted(machine.ours), *machine.cadres])
            return rng.choice([self.person, *PEOPLE, *machine.made, 10**9])
        if _ORG.search(name):
            theirs = self.victim.branch or self.victim.administers or nation.FAR_CLASS
            ours, inside = self.ours, sorted(machine.inside)
            if "branch" in name:
                theirs = self.victim.branch or nation.FAR_CLASS
                inside = [one for one in inside if one in nation.BRANCHES or one in machine.made_orgs]
                ours = ours if ours in inside else rng.choice(inside or [nation.CLASS])
            if self.mode == "aimed" and roll < 0.95:
                if "source" in name or "target" in name:
                    # one end is theirs, the other one's own, so that a transfer goes one way or the other
                    return theirs if ("source" in name) == self.drawing else ours
                share_of_theirs = 0.5 if name == "branch_id" else 0.2
                return theirs if roll < share_of_theirs else ours
            if self.mode == "own" and inside and roll < 0.95:
                if roll < 0.5 or "source" in name:
                    return ours
                return rng.choice(inside if rng.random() < 0.6 else [row[0] for row in TREE])
            return rng.choice([row[0] for row in TREE] + [*machine.made_orgs, 10**9])
        if name == "transfer_id":
            some = {"own": sorted(machine.readable), "aimed": sorted(machine.arriving)}.get(
                self.mode
            ) or machine.transfers
            return rng.choice(some or [1])
        if name.endswith("_id"):
            return rng.choice([1, 1, 2, 2, 3, 4, 5, 10**9])
        return rng.choice([0, 1, 1, 1, 2, 3, 50, 500] if name != "node_no" else [1, 1, 1, 2, 3])

    def _text(self, name: str) -> str:
        rng, roll = self.rng, self.rng.random()
        if roll > 0.995 or (self.mode == "wild" and roll > 0.9):
            return rng.choice(_NONSENSE)
        if name == "name":
            return self.card[0]
        if name == "id_number":
            return self.card[1]
        if name in ("after", "captcha_id", "captcha", "address", "device"):
            return ""
        if name == "text":
            return rng.choice([*self.card, "共青团", str(self.victim.branch)])
        if name in ("ticket", "code", "session", "captcha"):
            return rng.choice([*self.machine.tokens[-6:], "AAAA-AAAA"])
        if "password" in name:
            return rng.choice(["Attackers-own-1", self.card[1][-8:]])
        words = _WORDS.get(f"{self.contract}.{name}", _WORDS.get(name))
        if words is not None:
            return rng.choice([*words])
        if "number" in name:
            return rng.choice(["", *[f"2020{rng.randrange(10**8):08d}"] * 4])
        return rng.choice(["某处", "某某", "x"])


# ---- the machine ---------------------------------------------------------------------------------


class Attacker(RuleBasedStateMachine):
    """The machine; `world` is set by the test."""

    world: World
    done: Counter[str] = Counter()
    granted: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    role = "branch"
    only: frozenset[str] = frozenset()

    @initialize(seed=st.integers(0, 2**40))
    def begin(self, seed: int) -> None:
        """Choose who attacks, whom, and whose cards the attacker has seen."""
        self.world.begin()
        rng = random.Random(seed)
        self.org, self.seed = ROLES[self.role], seed
        self.person = (
            ADMINISTRATORS[self.org].person_id
            if self.org
            else nation.members_of(nation.THIRD_CLASS)[3].person_id
        )
        self.tally: Counter[str] = Counter()
        self.made: list[int] = []
        self.made_orgs: list[int] = []
        self.ids: list[uuid.UUID] = [
            *self.world.tx["transfers"].scalars(sa.text("SELECT command_id FROM transfers")),
            *self.world.tx["members"].scalars(sa.text("SELECT command_id FROM letters")),
        ]
        self.tokens: list[str] = []
        self.sent = ""
        self.history: list[str] = []
        self.ever: set[int] = set()
        self.look_around()
        outside = [person for person in PEOPLE.values() if person.person_id not in self.ours]
        moving = set(
            self.world.tx["transfers"].scalars(sa.text("SELECT member_id FROM open_transfers"))
        ) - set(self.arriving.values())
        mighty = [
            person
            for person in outside
            if person.administers
            and (PATH[self.org] if self.org else PATH[nation.CLASS]).startswith(PATH[person.administers])
        ]
        self.victims: list[Person] = [
            rng.choice(outside),
            rng.choice(mighty or outside),
            rng.choice([one for one in outside if one.branch] or outside),
            rng.choice([one for one in outside if one.person_id in moving] or outside),
        ]
        self.known = {one.person_id for one in self.victims if rng.random() < 0.5} | {self.person}
        self.accomplices = [one for one in sorted(self.ours) if one in PEOPLE and PEOPLE[one].branch][:3]

    @classmethod
    def forget(cls) -> None:
        """Begin to count anew."""
        for counter in (cls.done, cls.granted, cls.ways, cls.refused):
            counter.clear()

    def teardown(self) -> None:
        """Forget everything."""
        if hasattr(self, "org"):
            self.world.end()

    # ---- what is one's own -----------------------------------------------------------------------

    def look_around(self) -> None:
        """See which organisations and people are one's own now, and which transfers wait here."""
        people, transfers = self.world.tx["members"], self.world.tx["transfers"]
        paths = dict(people.execute(sa.text("SELECT org_id, path FROM org_directory")).all())
        top = paths.get(self.org, "") if self.org else ""
        self.inside = {org for org, path in paths.items() if top and path.startswith(top)}
        self.made_orgs = sorted(self.inside - {row[0] for row in TREE})
        places: dict[int, set[int]] = {}
        for person, org in people.execute(
            sa.text("""
                SELECT person_id, branch_id FROM people
                UNION SELECT person_id, org_id FROM posts WHERE ended_at IS NULL
                UNION SELECT person_id, org_id FROM administrator_directory WHERE active""")
        ):
            places.setdefault(person, set())
            if org is not None:
                places[person].add(org)
        self.made = sorted(places.keys() - PEOPLE.keys())
        self.nowhere = {person for person, some in places.items() if some <= self.inside}
        self.ours = (
            {person for person, some in places.items() if some and some <= self.inside}
            | set(self.made)
            | {self.person}
        )
        self.ours |= set(people.scalars(sa.text("SELECT person_id FROM deleted_people"))) & self.ever
        self.ever |= self.ours
        self.cadres = sorted({person for person, some in places.items() if some & self.inside})
        rows = transfers.execute(
            sa.text(
                "SELECT transfer_id, member_id, org_id, superior_id"
                " FROM open_nodes JOIN transfers USING (transfer_id)"
            )
        ).all()
        self.arriving = {
            row.transfer_id: row.member_id
            for row in rows
            if row.org_id in self.inside or row.superior_id in self.inside
        }
        self.arriving = {
            one: member
            for one, member in self.arriving.items()
            if self.transfer(one)["initiator"] != "target"
        }
        parties = "source_branch_id, source_superior_id, target_org_id, target_superior_id, initiator_org_id"
        everything = transfers.execute(
            sa.text(f"SELECT transfer_id, member_id, ARRAY[{parties}] AS parties FROM transfers")
        ).all()
        self.transfers = [row.transfer_id for row in everything]
        self.readable = {
            row.transfer_id
            for row in everything
            if row.member_id in self.ours or self.inside & set(row.parties)
        }
        self.visitors = {row.member_id for row in everything if row.transfer_id in self.readable} | set(
            people.scalars(
                sa.text("SELECT person_id FROM registrations WHERE org_id = ANY(:ids)"),
                {"ids": sorted(self.inside)},
            )
        )

    def transfer(self, transfer_id: int | None) -> dict:
        """Return a transfer as it is now."""
        found = (
            self.world.tx["transfers"]
            .execute(sa.text("SELECT * FROM transfers WHERE transfer_id = :one"), {"one": transfer_id})
            .one_or_none()
        )
        return dict(found._mapping) if found is not None else {}

    # ---- attacking -------------------------------------------------------------------------------

    @rule(seed=st.integers(0, 2**40))
    def attack(self, seed: int) -> None:
        """Send some operations; after each look at what has changed and what was told."""
        rng = random.Random(f"{self.seed} {len(self.history)} {seed}")
        for _ in range(AT_ONCE):
            self.send(rng)

    def send(self, rng: random.Random) -> None:
        """Send some variations of one operation, rather one of those that were seldom granted."""
        operations = [one for one in OPERATIONS if not self.only or one.name in self.only]
        weights = [
            (2 if isinstance(one, Command) else 1) * (3 if self.tally[one.name] < 5 else 1)
            for one in operations
        ]
        (operation,) = rng.choices(operations, weights)
        sender = Sender(self, rng)
        some = [sender.item(operation.item) for _ in range(ITEMS)]
        person = None if operation.public else sender.person
        bodies = some if isinstance(operation, Query) else [b"[" + one + b"]" for one in some]
        self.sent += "".join(one.decode() for one in some)
        self.ids += [
            uuid.UUID(one)
            for body in some
            for one in re.findall(rb'"(?:command|decision|bulk|import)_id":"([0-9a-f-]{36})"', body)
            for one in [one.decode()]
        ][-20:]
        answers = self.world.call(operation.service, operation.name, bodies, person, sender.acting)
        touched = self.world.touched()
        if touched:
            self.world.carry()
            touched += self.world.touched()
        said = [(body, answer) for body, answer in zip(bodies, answers, strict=True)]
        self.history.append(f"{operation.name} by {person} for {sender.acting}")
        self.done[operation.name] += len(some)
        for answer in answers:
            for code in re.findall(r'"code":"([a-z_]+)"', msgspec.json.encode(answer).decode()):
                self.refused[operation.name, code] += 1
        good = sum(
            "ok" in answer and '"refusal":{' not in msgspec.json.encode(answer).decode() for answer in answers
        )
        self.tally[operation.name] += good
        self.granted[operation.name] += good
        ours_before, orgs_before, arriving = self.ours, self.inside, self.arriving
        if touched:
            self.look_around()
            self.arriving |= arriving
        self.check_rows(operation.name, touched, ours_before, orgs_before, said)
        self.check_words(operation.name, said, ours_before)

    @rule()
    def wait(self) -> None:
        """Some days go by, so that what depends on time may happen."""
        clock.advance(timedelta(days=4))

    def check_rows(
        self, operation: str, touched: list[Touched], ours: set[int], inside: set[int], said: list
    ) -> None:
        """Raise if a touched row is about somebody or something outside that no way covers.

        The ways are those of the catalogue.
        """
        ours, inside = ours | self.ours, inside | self.inside
        for one in touched:
            persons: set[int] = set()
            orgs: set[int] = set()
            for row in (one.was, one.became):
                for name, value in (row or {}).items():
                    values = {
                        entry
                        for entry in (value if isinstance(value, list) else [value])
                        if isinstance(entry, int)
                    }
                    if name in PERSONS:
                        persons |= values
                    if name in ORGS:
                        orgs |= values
            persons, orgs = persons - ours, orgs - inside - {0}
            if not persons and not orgs:
                continue
            case = Case(self, operation, one, persons, orgs)
            way = next((way for way in WAYS if way.covers(case)), None)
            if way is None:
                self.fault(
                    operation,
                    f"{one.service}.{one.table} of persons {sorted(persons)}"
                    f" and organisations {sorted(orgs)}:"
                    f" {one.was} became {one.became}",
                    said,
                )
            else:
                self.ways[way.covers.__name__] += 1

    def check_words(self, operation: str, said: list, ours: set[int]) -> None:
        """Raise if an answer holds what only an outsider and those entitled may know.

        What the attacker has said first may come back.
        """
        asked = "".join(body.decode() for body, _ in said)
        text = "".join(msgspec.json.encode(answer).decode() for _, answer in said)
        self.tokens += re.findall(r'"(?:ticket|code|session|secret)":"([^"]{6,})"', text)[-4:]
        allowed = ours | self.ours | self.ever | self.visitors | {self.person}
        branches = {PEOPLE[one].branch for one in {self.person, *self.accomplices} if one in PEOPLE} - {None}
        for told in {int(one) for one in re.findall(r'"transfer_id":(\d+)', text)} - self.readable - {0}:
            if str(told) not in asked:
                self.fault(operation, f"told of transfer {told}", said)
        for found in set(_SECRETS.findall(text)):
            owner = _OWNER[found]
            if (
                found in self.sent
                or (isinstance(owner, int) and owner in allowed)
                or (isinstance(owner, tuple) and owner[0] in self.readable)
            ):
                continue
            if isinstance(owner, int) and PEOPLE[owner].branch in branches and found == PEOPLE[owner].name:
                continue
            self.fault(operation, f"told {found!r} of {owner}", said)

    def fault(self, operation: str, what: str, said: list) -> None:
        """Tell what has happened and how it came about."""
        lines = [f"{body.decode()} -> {msgspec.json.encode(answer).decode()[:600]}" for body, answer in said]
        raise Fault(
            "\n".join(
                [
                    f"{self.role}, person {self.person}, organisation {self.org}: {operation}: {what}",
                    *lines,
                    "before:",
                    *self.history[-12:],
                ]
            )
        )


def run(role: str, examples: int, steps: int, derandomize: bool = True) -> None:
    """Run the machine with one role; always alike, unless told otherwise."""
    Attacker.role = role
    Attacker.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=derandomize,
        database=None,
        print_blob=False,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    Attacker.TestCase("runTest").runTest()


_OWNER: dict[str, int | tuple[int]] = {
    secret: person.person_id for person in PEOPLE.values() for secret in person.secrets
}
_SECRETS = re.compile("|".join(map(re.escape, _OWNER)))


def learn_secrets() -> None:
    """Add what stands in the transfers of the world to what must not be told."""
    global _SECRETS
    _OWNER.update(
        {secret: (transfer,) for transfer, secrets in nation.TRANSFER_SECRETS.items() for secret in secrets}
    )
    _SECRETS = re.compile("|".join(map(re.escape, _OWNER)))


__all__ = ["OPERATIONS", "ROLES", "TELLS", "WAYS", "Attacker", "Fault", "learn_secrets", "run"]
