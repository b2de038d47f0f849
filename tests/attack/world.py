"""A small nation on real databases, with everything under way that can be.

It has two provinces with schools, colleges, classes and people.

Three services run here without their bus: calls go through the real shell (tokens, contracts,
rights, one transaction a batch), events are taken from the outboxes and given to the real handlers
until nothing moves, and so is the work of the background. Triggers write down every row that is
touched, so that after each call it is known what changed, also in tables that nobody thought of.
"""

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

import msgspec
import sqlalchemy as sa

from services.members import models
from services.members import service as members_service
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.entering import imports
from services.members.posts import store as posts_store
from services.members.sealing import seal
from services.orgs import models as orgs_models
from services.orgs import service as orgs_service
from services.orgs import store
from services.orgs.migration import handlers as migration
from services.orgs.settings import Settings as OrgsSettings
from services.transfers import models as transfers_models
from services.transfers import service as transfers_service
from services.transfers import store as transfers_store
from services.transfers.bulk import handlers as bulk
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.settings import Settings as TransfersSettings
from shared import clock, db
from shared.bus.calls import Call
from shared.bus.service import Machinery
from shared.identity import Verifier
from shared.messages import Query, events, members, transfers
from tests.members.factories import number

SERVICES = {
    "orgs": orgs_service.Service,
    "members": members_service.Service,
    "transfers": transfers_service.Service,
}
MODELS = {"orgs": orgs_models, "members": models, "transfers": transfers_models}
PASSWORD_NOBODY_KNOWS = uuid.uuid4().hex
HIGHER = "普通高等院校"
ROOT, PROVINCE, VAULT = 1, 42, 42999
COUNTY, TOWNSHIP, VILLAGE = 4201, 42011, 420111
SCHOOL, COLLEGE, CLASS, SECOND_CLASS = 420, 4200, 42001, 42002
SECOND_COLLEGE, THIRD_CLASS = 421, 42101
FAR, FAR_VAULT = 43, 43999
FAR_SCHOOL, FAR_COLLEGE, FAR_CLASS, FAR_SECOND = 430, 4300, 43001, 43002
TREE = [  # id, superior, kind, purpose, province, industry
    (ROOT, None, "leading_body", "ordinary", "00", ""),
    (PROVINCE, ROOT, "leading_body", "ordinary", "42", ""),
    (VAULT, PROVINCE, "branch", "vault", "42", ""),
    (COUNTY, PROVINCE, "leading_body", "ordinary", "42", ""),
    (TOWNSHIP, COUNTY, "committee", "township", "42", ""),
    (VILLAGE, TOWNSHIP, "branch", "ordinary", "42", "农村"),
    (SCHOOL, PROVINCE, "committee", "ordinary", "42", HIGHER),
    (COLLEGE, SCHOOL, "committee", "ordinary", "42", HIGHER),
    (CLASS, COLLEGE, "branch", "ordinary", "42", HIGHER),
    (SECOND_CLASS, COLLEGE, "branch", "ordinary", "42", HIGHER),
    (SECOND_COLLEGE, SCHOOL, "committee", "ordinary", "42", HIGHER),
    (THIRD_CLASS, SECOND_COLLEGE, "branch", "ordinary", "42", HIGHER),
    (FAR, ROOT, "leading_body", "ordinary", "43", ""),
    (FAR_VAULT, FAR, "branch", "vault", "43", ""),
    (FAR_SCHOOL, FAR, "committee", "ordinary", "43", HIGHER),
    (FAR_COLLEGE, FAR_SCHOOL, "committee", "ordinary", "43", HIGHER),
    (FAR_CLASS, FAR_COLLEGE, "branch", "ordinary", "43", HIGHER),
    (FAR_SECOND, FAR_COLLEGE, "branch", "ordinary", "43", HIGHER),
]
BRANCHES = [org for org, _, kind, purpose, _, _ in TREE if kind == "branch" and purpose == "ordinary"]
FIRST_PERSON, MEMBERS_OF_A_BRANCH = 5_000_001, 4


@dataclass
class Seed:
    """What `orgs.store.load` reads of an organisation."""

    id: int
    parent_id: int | None
    kind: str
    purpose: str
    province: str
    industry: str
    full_name: str = ""
    short_name: str = ""
    division_code: str | None = None
    grad_year: int | None = None


@dataclass
class Person:
    """Somebody of the world, with what is to stay between that person and those entitled."""

    person_id: int
    name: str
    id_number: str
    branch: int | None
    administers: int | None = None
    secrets: list[str] = field(default_factory=list)


def _population() -> list[Person]:
    """Return members of every branch and administrators of every organisation.

    The administrators are members nowhere; there are also some people who belong nowhere.
    """
    made: list[Person] = []

    def add(branch: int | None, administers: int | None = None) -> None:
        n = len(made)
        born = 1985 if branch is None else 2004
        id_number = number(100 + n, born)
        person = Person(
            FIRST_PERSON + n, f"魏{chr(0x5100 + n)}{chr(0x6400 + n)}", id_number, branch, administers
        )
        person.secrets = [
            person.name,
            id_number,
            f"1377{n:07d}",
            f"2020{71_000_000 + n:08d}",
            f"家{chr(0x7400 + n)}{chr(0x7500 + n)}里",
        ]
        made.append(person)

    for branch in BRANCHES:
        for _ in range(MEMBERS_OF_A_BRANCH):
            add(branch)
    for org, *_ in TREE:
        add(None, org)
    for _ in range(3):
        add(None)
    return made


PEOPLE = {person.person_id: person for person in _population()}
ADMINISTRATORS = {person.administers: person for person in PEOPLE.values() if person.administers}


def members_of(branch: int) -> list[Person]:
    """Return who was a member of a branch when the world began."""
    return [person for person in PEOPLE.values() if person.branch == branch]


_TOUCH = """
CREATE TABLE touched (id bigserial PRIMARY KEY, place text, was jsonb, became jsonb);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP <> 'UPDATE' OR OLD IS DISTINCT FROM NEW THEN
        INSERT INTO touched (place, was, became) VALUES (
            TG_TABLE_NAME,
            CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
            CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END
        );
    END IF;
    RETURN NULL;
END $$;"""


@dataclass(frozen=True)
class Touched:
    """One row that a call changed: where, what it was and what it became.

    It is None for a row that was not, or is not, there.
    """

    service: str
    table: str
    was: dict | None
    became: dict | None

    def changed(self) -> set[str]:
        """Return the columns whose values differ."""
        return {
            name
            for name in (self.was or self.became or {})
            if self.was is None or self.became is None or self.was[name] != self.became[name]
        }


class _Within:
    """A service's database as its shell knows it, inside one transaction that is rolled back at the end."""

    def __init__(self, tx: sa.Connection) -> None:
        self.tx = tx

    @contextmanager
    def transaction(self, tells: bool = True, limits: object = None, seconds: float = 0.0):
        """Yield the connection in a savepoint."""
        with self.tx.begin_nested():
            yield self.tx
            self.tx.info.pop("told", None)


class World:
    """The three services on one transaction each."""

    def __init__(self, engines: dict[str, sa.Engine], keys) -> None:
        self.engines, self.keys = engines, keys
        self.machinery: dict[str, Machinery] = {}
        for name, service in SERVICES.items():
            made = self.machinery[name] = Machinery()
            made.name, made.verifier = name, Verifier(keys)
            made.serve(service.commands, service.queries, service.standing)

    def begin(self) -> None:
        """Open the transactions."""
        self.tx = {name: engine.connect() for name, engine in self.engines.items()}
        self.outer = {name: tx.begin() for name, tx in self.tx.items()}
        for name, tx in self.tx.items():
            self.machinery[name].database = _Within(tx)
        self.told = {
            name: tx.scalar(sa.text("SELECT coalesce(max(id), 0) FROM outbox"))
            for name, tx in self.tx.items()
        }
        self.seen = {
            name: tx.scalar(sa.text("SELECT coalesce(max(id), 0) FROM touched"))
            for name, tx in self.tx.items()
        }

    def end(self, keep: bool = False) -> None:
        """Forget everything since `begin`, or with `keep` store it."""
        for name, outer in self.outer.items():
            if keep:
                outer.commit()
            else:
                outer.rollback()
            self.tx[name].close()
        clock._ahead = timedelta(0)

    # ---- calls -----------------------------------------------------------------------------------

    def call(self, service: str, name: str, items: list, person: int | None, org: int | None) -> list[dict]:
        """Make one call per item, as the bus would bring them together.

        Return the answers as they would go out.
        """
        token = accounts.token_of(person)[0] if person is not None else ""
        calls = [
            Call(correlation_id=str(n), name=name, body=msgspec.Raw(body), token=token, org_id=org)
            for n, body in enumerate(items)
        ]
        made = self.machinery[service]
        answers = (
            [made.answer(call) for call in calls] if name in made.queries else made.apply_commands(calls)
        )
        return [msgspec.json.decode(answer) for answer in answers]

    def ask(self, call, item, person: int | None, org: int | None):
        """Make one call with a contract that is expected to succeed; return its answer.

        The answer to a command is that to its one item.
        """
        body = msgspec.json.encode(item if isinstance(call, Query) else [item])
        (answer,) = self.call(call.service, call.name, [body], person, org)
        assert "ok" in answer, (call.name, answer)
        return answer["ok"] if isinstance(call, Query) else answer["ok"][0]

    def carry(self) -> None:
        """Carry events and do the work of the background until nothing moves."""
        declared = events()
        for _ in range(50):
            moved = False
            for name, tx in self.tx.items():
                rows = tx.execute(
                    sa.text("SELECT id, topic, body FROM outbox WHERE id > :told ORDER BY id"),
                    {"told": self.told[name]},
                ).all()
                for row in rows:
                    self.told[name], moved = row.id, True
                    items = msgspec.json.decode(row.body, type=list[declared[row.topic]])
                    for consumer, service in SERVICES.items():
                        if (
                            declared[row.topic] in service.events
                            and consumer in declared[row.topic].consumers
                        ):
                            service.events[declared[row.topic]](self.tx[consumer], items)
            moved |= (
                bool(imports.enter_piece(self.tx["members"]))
                | bool(bulk.work_off(self.tx["transfers"]))
                | migration.move_one(self.machinery["orgs"].database)
            )
            if not moved:
                return
        raise AssertionError("the world does not come to rest")

    def touched(self) -> list[Touched]:
        """Return the rows that were touched since the last look."""
        found = []
        for name, tx in self.tx.items():
            for row in tx.execute(
                sa.text("SELECT * FROM touched WHERE id > :seen ORDER BY id"), {"seen": self.seen[name]}
            ):
                self.seen[name] = row.id
                found.append(Touched(name, row.place, row.was, row.became))
        return found


def build(engines: dict[str, sa.Engine], keys) -> World:
    """Fill the databases with the nation and what is under way in it.

    From then on it is written down what is touched.
    """
    seal.make_keys(keys)
    accounts.use(keys)
    db.give_settings(engines["orgs"], OrgsSettings(observers=True))
    db.give_settings(engines["transfers"], TransfersSettings(keys=keys))
    world = World(engines, keys)
    for engine in engines.values():
        with engine.begin() as tx:
            tx.execute(sa.text(_TOUCH))
    world.begin()
    store.load(
        world.tx["orgs"],
        [
            Seed(*row, full_name=f"共青团{row[0]}{'支部委员会' if row[2] == 'branch' else '委员会'}")
            for row in TREE
        ],
    )
    transfers_store.save_path_steps(world.tx["transfers"])
    policies_store.hold(world.tx["transfers"], reader.read("national"), clock.now() - timedelta(days=400))
    own = accounts.HASHER.hash(PASSWORD_NOBODY_KNOWS)
    entering.seed_people(
        world.tx["members"],
        [
            (
                person.person_id,
                members.Admission(
                    command_id=uuid.UUID(int=0),
                    branch_id=person.branch or 0,
                    name=person.name,
                    id_number=person.id_number,
                    ethnic_group="汉族",
                    phone=person.secrets[2],
                    joined_on=date(2020, 5, 4) if person.branch else None,
                    development_number=person.secrets[3] if person.branch else "",
                ),
            )
            for person in PEOPLE.values()
        ],
        own,
        clock.now() - timedelta(days=900),
    )
    world.carry()
    posts = [
        {"org_id": org, "person_id": person.person_id, "post": "secretary", "changed_by": None}
        for org, person in ADMINISTRATORS.items()
    ]
    posts_store.set_posts(world.tx["members"], posts, clock.now())
    world.carry()
    store.set_administrators(
        world.tx["orgs"],
        [
            {"org_id": org, "person_id": person.person_id, "active": True}
            for org, person in ADMINISTRATORS.items()
        ],
        clock.now(),
        None,
    )
    world.tx["transfers"].execute(
        sa.text("SELECT setval(pg_get_serial_sequence('transfers', 'transfer_id'), 7000000)")
    )
    world.carry()
    under_way(world)
    world.end(keep=True)
    for name, engine in engines.items():
        with engine.begin() as tx:
            tx.execute(sa.text("ANALYZE"))
            for table in MODELS[name].metadata.sorted_tables:
                tx.execute(
                    sa.text(
                        f"CREATE TRIGGER touched AFTER INSERT OR UPDATE OR DELETE ON {table.name}"
                        " FOR EACH ROW EXECUTE FUNCTION touch()"
                    )
                )
    return world


TRANSFER_SECRETS: dict[int, list[str]] = {}
"""What stands in the transfers that were under way when the world began."""


def under_way(world: World) -> None:
    """Start one of everything, by the people of the world, in each part of it."""
    moves = [
        (FAR_CLASS, FAR_SECOND, "source"),
        (CLASS, FAR_SCHOOL, "source"),
        (FAR_CLASS, SCHOOL, "source"),
        (THIRD_CLASS, FAR_SECOND, "member"),
        (FAR_SECOND, CLASS, "member"),
        (SECOND_CLASS, TOWNSHIP, "source"),
        (VILLAGE, SECOND_COLLEGE, "source"),
        (FAR_SECOND, COLLEGE, "source"),
    ]
    used: dict[int, int] = {}
    for n, (source, target, initiator) in enumerate(moves):
        member = members_of(source)[used.setdefault(source, 0)]
        used[source] += 1
        secrets = [
            f"址{chr(0x7600 + n)}{chr(0x7700 + n)}",
            f"注{chr(0x7800 + n)}{chr(0x7900 + n)}",
            f"1388{n:07d}",
        ]
        outcome = world.ask(
            transfers.request_transfers,
            transfers.RequestTransfer(
                command_id=uuid.uuid4(),
                initiator=initiator,
                member_id=member.person_id,
                source_branch_id=source,
                target_org_id=target,
                reason="ordinary",
                place_name="某处",
                place_address=secrets[0],
                remark=secrets[1],
                contact=secrets[2],
                confirmed=True,
            ),
            member.person_id if initiator == "member" else ADMINISTRATORS[source].person_id,
            None if initiator == "member" else source,
        )
        assert outcome.get("refusal") is None, outcome
        TRANSFER_SECRETS[outcome["transfer_id"]] = secrets
        world.carry()
    last = max(TRANSFER_SECRETS)
    rejected = world.ask(
        transfers.decide_nodes,
        transfers.DecideNode(
            decision_id=uuid.uuid4(), transfer_id=last, node_no=1, approve=False, reason_code="not_here"
        ),
        ADMINISTRATORS[COLLEGE].person_id,
        COLLEGE,
    )
    assert rejected["state"] == "rejected"
    world.carry()
    for branch in (CLASS, FAR_CLASS):
        member, secretary = members_of(branch)[3], ADMINISTRATORS[branch]
        superior = next(row[1] for row in TREE if row[0] == branch)
        world.ask(
            members.request_retentions,
            members.RequestRetention(
                command_id=uuid.uuid4(),
                member_id=member.person_id,
                kind="abroad",
                since=clock.today(),
                until=clock.today() + timedelta(days=300),
                place=member.secrets[4],
                contact_name=member.secrets[4],
                contact_phone=member.secrets[2],
                reason="x",
            ),
            secretary.person_id,
            branch,
        )
        world.ask(
            members.request_deletions,
            members.RequestDeletion(
                command_id=uuid.uuid4(),
                member_id=member.person_id,
                cause="other",
                explanation=member.secrets[4],
            ),
            secretary.person_id,
            branch,
        )
        world.ask(
            members.issue_letters,
            members.IssueLetter(
                command_id=uuid.uuid4(),
                member_ids=[member.person_id],
                addressee="某处",
                dues_until=clock.today(),
            ),
            ADMINISTRATORS[superior].person_id,
            superior,
        )
    world.carry()
