"""Organisations and rights at any date, and who changed them (BEY-09, BEY-10).

The audit log of orgs on a real PostgreSQL.
"""

import json
import random
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import handlers, store
from services.orgs.history import handlers as history
from services.orgs.log import administrators_at, log, orgs_at, superiors_at
from services.orgs.migration import handlers as migration
from services.orgs.naming import handlers as naming
from services.orgs.service import Service
from shared import audit, clock, db
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.audit import ListAudit
from shared.messages.members import AdministratorRegistered, BranchGraduated, CadreChanged, DeletionRefused
from shared.messages.orgs import (
    DecideMigration,
    DeleteOrg,
    GetOrgsAt,
    RebuildNames,
    SaveOrg,
    SetAdministrator,
    SetSchoolNumber,
)
from tests.audit_acts import OWN, SHOWS, names, written
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    DEAN,
    MONITOR,
    OTHER_SCHOOL,
    PRESIDENT,
    SCHOOL,
    STRANGER,
    TOWN,
    Seed,
    check,
    delete,
    grant,
    of_city,
    of_class,
    of_college,
    of_school,
    save,
)
from tests.orgs.migration.factories import ask

NAMES = ("parent_id", "kind", "purpose", "short_name", "full_name", "deleted")
of_province, of_root = Actor(2001, 42), Actor(1, 1)


@pytest.fixture(autouse=True)
def fresh(engine):
    """Empty the log, which the clock of another test may have written in the future."""
    with engine.begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        tx.execute(sa.text("TRUNCATE audit_log, audit_heads"))


def lines(tx, **wanted):
    """Return the lines of the log since the tree was loaded last, newest first."""
    since = tx.scalar(sa.text("SELECT max(at) FROM audit_log WHERE kind = 'org.loaded'"))
    return [
        one
        for one in audit.page(tx, "orgs", None, ListAudit(since=since, limit=500, **wanted))
        if one.kind != "org.loaded"
    ]


def rights(tx):
    return {
        (row.org_id, row.person_id): row.observer
        for row in tx.execute(sa.text("SELECT * FROM administrators WHERE active"))
    }


def tree(tx):
    return {
        row.org_id: {name: row._mapping[name] for name in NAMES}
        for row in tx.execute(sa.text("SELECT * FROM orgs"))
        if not row.deleted
    }


class Life:
    """What may happen to a tree and its rights.

    Each act has a transaction and an instant of its own.
    """

    def __init__(self, engine, seed):
        self.engine, self.random, self.cadre_version = engine, random.Random(seed), 10

    def act(self):
        name = self.random.choice([one for one in dir(self) if one.startswith("do_")])
        with self.engine.begin() as tx:
            getattr(self, name)(tx)
        if name == "do_migrate":
            migration.move_one(db.Database(self.engine))
        clock.advance(timedelta(seconds=self.random.randint(1, 90_000)))

    def some(self, tx, *kinds):
        found = [
            (org_id, org)
            for org_id, org in tree(tx).items()
            if org["kind"] in kinds and org["parent_id"] is not None
        ]
        return self.random.choice(sorted(found, key=str))

    def do_create(self, tx):
        save(
            tx,
            of_college,
            parent_id=COLLEGE,
            full_name=f"共青团第{self.random.randint(1, 10**6)}团支部",
            short_name="团支部",
        )

    def do_rename(self, tx):
        org_id, org = self.some(tx, "branch")
        save(
            tx,
            Actor(DEAN, COLLEGE),
            org_id=org_id,
            parent_id=org["parent_id"],
            full_name=f"共青团改名{self.random.randint(1, 10**6)}支部",
        )

    def do_check(self, tx):
        check(
            tx,
            kind=self.random.choice(["committee", "general_branch"]),
            full_name=f"共青团机械学院{self.random.randint(1, 99)}委员会",
        )

    def do_number(self, tx):
        handlers.set_school_numbers(
            tx,
            [
                Asked(
                    SetSchoolNumber(
                        command_id=uuid4(), org_id=SCHOOL, number=str(self.random.randint(10**4, 10**6))
                    ),
                    of_school,
                )
            ],
        )

    def do_delete(self, tx):
        delete(tx, of_college, self.some(tx, "branch")[0])

    def do_set_aside(self, tx):
        handlers.delete_orgs(
            tx,
            [
                Asked(
                    DeleteOrg(command_id=uuid4(), org_id=self.some(tx, "branch")[0], to_awaiting=True),
                    of_college,
                )
            ],
        )

    def do_take_back(self, tx):
        gone = list(
            tx.scalars(
                sa.text("SELECT org_id FROM orgs WHERE deleted OR purpose = 'awaiting' ORDER BY org_id")
            )
        )
        handlers.on_taken_back(tx, [DeletionRefused(org_id=one) for one in gone])

    def do_graduate(self, tx):
        self.cadre_version += 1
        handlers.on_branch_graduated(
            tx,
            [
                BranchGraduated(
                    branch_id=CLASS, graduate=self.random.random() < 0.5, version=self.cadre_version
                )
            ],
        )

    def do_grant(self, tx):
        grant(
            tx,
            self.random.choice([of_college, of_school]),
            COLLEGE,
            self.random.choice([9, 10, 11]),
            self.random.random() < 0.6,
        )

    def do_observe(self, tx):
        handlers.set_administrators(
            tx,
            [
                Asked(
                    SetAdministrator(
                        command_id=uuid4(),
                        org_id=COLLEGE,
                        person_id=self.random.choice([9, 10, 6000]),
                        active=self.random.random() < 0.7,
                        observer=True,
                    ),
                    of_college,
                )
            ],
        )

    def do_resign(self, tx):
        self.cadre_version += 1
        handlers.on_cadre_changed(
            tx,
            [
                CadreChanged(
                    org_id=COLLEGE,
                    person_id=self.random.choice([9, 10, 11]),
                    post=self.random.choice(["", "committee_member"]),
                    has_phone=True,
                    version=self.cadre_version,
                )
            ],
        )

    def do_register(self, tx):
        handlers.on_administrator_registered(
            tx,
            [
                AdministratorRegistered(
                    org_id=self.random.choice([COLLEGE, CLASS]), person_id=self.random.randint(5000, 5003)
                )
            ],
        )

    def do_migrate(self, tx):
        at = tree(tx)[COLLEGE]["parent_id"]
        to, old, new = (TOWN, of_school, of_city) if at == SCHOOL else (SCHOOL, of_city, of_school)
        made = ask(tx, COLLEGE, to)
        if made.refusal is None:
            for actor in (old, new):
                migration.decide_migrations(
                    tx, [Asked(DecideMigration(migration_id=made.migration_id, approve=True), actor)]
                )


@pytest.mark.rule("BEY-09")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_as_it_was_at_any_instant(loaded, mayor, configure, seed):
    """BEY-09: names, kind, superiors and rights at each instant are what they were seen to be then.

    Asked after sixty changes of every kind.
    """
    configure(TUANQIAO_OBSERVERS="true")
    life, seen = Life(loaded, seed), []
    clock.advance(timedelta(seconds=10))
    for _ in range(60):
        life.act()
        with loaded.connect() as tx:
            seen.append((clock.now(), tree(tx), rights(tx)))
        clock.advance(timedelta(seconds=1))
    assert (
        len({json.dumps(one[1], sort_keys=True) for one in seen}) > 10
        and len({str(sorted(one[2].items())) for one in seen}) > 3
    )

    everything = sorted({org_id for _, orgs, _ in seen for org_id in orgs})
    with loaded.connect() as tx:
        for at, orgs, holders in seen:
            found = orgs_at(tx, everything, at)
            assert {org_id: {name: org[name] for name in NAMES} for org_id, org in found.items()} == orgs
            above = superiors_at(tx, found, at)
            for org_id in orgs:
                expected, parent = [], orgs[org_id]["parent_id"]
                while parent is not None:
                    expected.append((parent, orgs[parent]["full_name"]))
                    parent = orgs[parent]["parent_id"]
                assert above[org_id] == expected
            had = administrators_at(tx, everything, at)
            assert {
                (org_id, person): observer
                for org_id, some in had.items()
                for person, observer in some.items()
            } == holders
        assert audit.verify(tx, []) == (tx.scalar(sa.text("SELECT count(*) FROM audit_log")), [])


@pytest.mark.rule("BEY-09")
def test_asking_for_a_day(loaded):
    """BEY-09: who asks for a day gets its end; an organisation that was made later was not there."""
    with loaded.begin() as tx:
        yesterday = clock.today()
        clock.advance(timedelta(days=1))
        save(tx, of_college, org_id=CLASS, parent_id=COLLEGE, full_name="共青团新名字支部委员会")
        made = save(tx, of_college, parent_id=COLLEGE, full_name="共青团后来的支部委员会").org_id
        grant(tx, of_college, CLASS, 9)
        clock.advance(timedelta(days=1))
        save(tx, of_college, org_id=CLASS, parent_id=COLLEGE, full_name="共青团最新名字支部委员会")

    def asked(on):
        with loaded.connect() as tx:
            return history.get_orgs_at(tx, GetOrgsAt(org_ids=[CLASS, made, 999], on=on), of_class)

    (before,) = asked(yesterday)
    assert (before.full_name, before.administrators, [one.org_id for one in before.superiors]) == (
        "共青团江汉理工大学机械学院2022级1班支部委员会",
        [MONITOR],
        [COLLEGE, SCHOOL, 42, 1],
    )
    now, new = asked(yesterday + timedelta(days=1))
    assert (now.full_name, now.administrators) == ("共青团新名字支部委员会", [9, MONITOR])
    assert new.org_id == made
    assert asked(yesterday + timedelta(days=2))[0].full_name == "共青团最新名字支部委员会"
    with loaded.connect() as tx, pytest.raises(Refused):
        history.get_orgs_at(tx, GetOrgsAt(org_ids=list(range(501)), on=yesterday), of_class)


@pytest.mark.rule("BEY-09", "BEY-10")
def test_who_gave_the_right(tx):
    """BEY-10: each right that is given, revoked or lost says who, acting for whom, and how it was before.

    A code says that it was one.
    """
    handlers.set_administrators(
        tx,
        [
            Asked(
                SetAdministrator(command_id=uuid4(), org_id=CLASS, person_id=9, active=True),
                of_college,
                "request-1",
            )
        ],
    )
    grant(tx, of_school, COLLEGE, DEAN, active=False)
    handlers.on_cadre_changed(
        tx, [CadreChanged(org_id=CLASS, person_id=9, post="", has_phone=True, version=9)]
    )
    handlers.on_administrator_registered(tx, [AdministratorRegistered(org_id=CLASS, person_id=5000)])
    code, lost, revoked, given = lines(tx, kind="right")[:4]
    assert (
        given.kind,
        given.person_id,
        given.org_id,
        given.place_id,
        given.persons,
        given.before,
        given.request_id,
    ) == ("right.given", DEAN, COLLEGE, CLASS, [9], None, "request-1")
    assert (
        revoked.kind,
        revoked.person_id,
        revoked.org_id,
        json.loads(revoked.before),
        json.loads(revoked.after),
    ) == (
        "right.revoked",
        PRESIDENT,
        SCHOOL,
        {"active": True, "observer": False},
        {"active": False, "observer": False},
    )
    assert (lost.kind, lost.person_id, lost.persons, lost.ref) == ("right.revoked", None, [9], "post ended")
    assert (code.kind, code.person_id, code.persons, code.ref) == (
        "right.given",
        5000,
        [5000],
        "registration code",
    )
    assert (
        tx.scalar(
            sa.text("SELECT changed_by FROM administrators WHERE org_id = :org AND person_id = 5000"),
            {"org": CLASS},
        )
        == 5000
    )


@pytest.mark.rule("BEY-10")
def test_a_telephone_number_is_not_kept(tx):
    """BEY-10: that an organisation's number was changed is kept, the number is not."""
    check(tx, phone="13800138000", full_name="共青团江汉理工大学机械学院委员会")
    store.change_cadres(
        tx, [CadreChanged(org_id=COLLEGE, person_id=77, post="secretary", has_phone=True, version=2)]
    )
    assert check(tx, phone="13800138000").refusal is None
    (line,) = lines(tx, kind="org.edited")
    assert json.loads(line.after)["phone"] == "changed"
    assert "13800138000" not in str(line)


@pytest.mark.rule("BEY-10")
def test_decisions_on_migrations(loaded, mayor):
    """BEY-10: who asked for, agreed to, approved or turned down a migration is in the log.

    So is the change of superior that follows.
    """
    with loaded.begin() as tx:
        made = ask(tx).migration_id
        migration.decide_migrations(tx, [Asked(DecideMigration(migration_id=made, approve=True), of_school)])
        migration.decide_migrations(
            tx, [Asked(DecideMigration(migration_id=made, approve=True, note="同意"), of_city)]
        )
    migration.move_one(db.Database(loaded))
    with loaded.begin() as tx:
        moved, approved, agreed, asked = (one for one in lines(tx) if one.ref == f"migration {made}")
        assert [(one.kind, one.person_id, one.org_id) for one in (asked, agreed, approved, moved)] == [
            ("migration.requested", DEAN, COLLEGE),
            ("migration.agreed", PRESIDENT, SCHOOL),
            ("migration.approved", of_city.person_id, TOWN),
            ("org.moved", None, None),
        ]
        assert (
            json.loads(moved.before)["parent_id"],
            json.loads(moved.after)["parent_id"],
            approved.note,
        ) == (SCHOOL, TOWN, "同意")
        second = ask(tx, COLLEGE, SCHOOL).migration_id
        clock.advance(timedelta(days=11))
        migration.on_day_began(tx, [])
        assert [(one.kind, one.person_id) for one in lines(tx) if one.ref == f"migration {second}"] == [
            ("migration.returned", None),
            ("migration.requested", DEAN),
        ]


@pytest.mark.rule("BEY-10")
def test_who_reads_the_log(tx):
    """BEY-10: the centre reads everything, a province what happens in it or is done from it.

    Nobody else reads anything.
    """
    save(tx, of_college, org_id=CLASS, parent_id=COLLEGE, full_name="共青团新名字支部委员会")
    log.append(
        tx,
        [
            audit.Entry(kind="org.edited", person_id=3, org_id=42, place_id=OTHER_SCHOOL),
            audit.Entry(kind="org.edited", place_id=OTHER_SCHOOL),
        ],
    )
    store.set_administrators(tx, [{"org_id": 44, "person_id": 4400, "active": True}], clock.now(), None)

    def read(actor):
        return [one.place_id for one in history.list_audit(tx, ListAudit(kind="org.edited", limit=3), actor)]

    assert read(of_root) == [OTHER_SCHOOL, OTHER_SCHOOL, CLASS]
    assert read(of_province)[:2] == [OTHER_SCHOOL, CLASS]
    assert read(Actor(4400, 44))[:2] == [OTHER_SCHOOL, OTHER_SCHOOL]
    for actor, refusal in (
        (of_school, "audit_by_province"),
        (of_class, "audit_by_province"),
        (Actor(STRANGER, 42), "not_administrator"),
        (Actor(2001), "not_administrator"),
        (None, "not_administrator"),
        (Actor(2001, 4201), "not_administrator"),
    ):
        with pytest.raises(Refused) as caught:
            read(actor)
        assert caught.value.code == refusal


def test_a_refused_item_leaves_no_line(tx):
    """What is refused changes nothing and is no line.

    A repeated command is answered again and is no second line.
    """
    item = SaveOrg(command_id=uuid4(), org_id=CLASS, parent_id=COLLEGE, full_name="共青团新名字支部委员会")
    for _ in range(2):
        handlers.save_orgs(tx, [Asked(item, of_college)])
    save(
        tx,
        Actor(STRANGER, OTHER_SCHOOL),
        org_id=CLASS,
        parent_id=COLLEGE,
        full_name="共青团别的名字支部委员会",
    )
    assert [json.loads(one.after)["full_name"] for one in lines(tx, kind="org.edited")] == [
        "共青团新名字支部委员会"
    ]


@pytest.mark.rule("BEY-10")
def test_a_migration_that_cannot_be_carried_out(loaded, mayor):
    """BEY-10: a migration that the system gives up is returned, and the log says so; the tree stays."""
    with loaded.begin() as tx:
        made = ask(tx).migration_id
        for actor in (of_school, of_city):
            migration.decide_migrations(tx, [Asked(DecideMigration(migration_id=made, approve=True), actor)])
    migration.give_up(db.Database(loaded), "ValueError")
    with loaded.begin() as tx:
        last = next(one for one in lines(tx) if one.ref == f"migration {made}")
        assert (last.kind, last.person_id) == ("migration.returned", None)
        assert tree(tx)[COLLEGE]["parent_id"] == SCHOOL


NOT_LOGGED = {
    **dict.fromkeys(
        (
            "list_places",
            "list_above",
            "search_orgs",
            "find_to_join",
            "get_orgs",
            "list_children",
            "list_administrators",
            "list_migrations",
            "preview_migration",
            "get_orgs_at",
            "list_audit",
            "get_rebuild",
            "preview_names",
        ),
        SHOWS,
    ),
    "order_orgs": "in which order subordinates are shown; no name, superior, kind or right",
    "my_orgs": OWN,
    "list_contacts": "public telephone numbers of offices",
}


def rebuild(tx):
    """Have the names below the school built anew, one of which is not what it would be, and do it."""
    tx.execute(
        sa.text(
            "UPDATE orgs SET short_name = '机械学院团委', full_name = '共青团旧名委员会' WHERE org_id = :org"
        ),
        {"org": COLLEGE},
    )
    naming.rebuild_names(tx, [Asked(RebuildNames(command_id=uuid4(), org_id=SCHOOL), of_school)])
    row = naming.naming_store.next_asked(tx)
    naming.rebuild_piece(
        tx, row.path, row.after, 100, person_id=row.asked_by, org_id=row.asked_for, request_id=row.request_id
    )


ACTS = {  # command: what is done, and the kind and place of the line that it writes
    "save_orgs": (
        lambda tx: save(tx, of_college, parent_id=COLLEGE, full_name="共青团新的支部委员会"),
        "org.created",
    ),
    "check_orgs": (
        lambda tx: (
            store.change_cadres(
                tx, [CadreChanged(org_id=COLLEGE, person_id=77, post="secretary", has_phone=True, version=2)]
            ),
            check(tx),
        ),
        "org.edited",
    ),
    "set_school_numbers": (
        lambda tx: handlers.set_school_numbers(
            tx,
            [
                Asked(
                    SetSchoolNumber(command_id=uuid4(), org_id=INDEPENDENT, number="12345"),
                    Actor(4400, INDEPENDENT),
                )
            ],
        ),
        "org.edited",
    ),
    "rebuild_names": (lambda tx: rebuild(tx), "org.edited"),
    "delete_orgs": (lambda tx: delete(tx, of_college, CLASS), "org.deleted"),
    "set_administrators": (lambda tx: grant(tx, of_college, CLASS, 9), "right.given"),
    "request_migrations": (ask, "migration.requested"),
    "decide_migrations": (
        lambda tx: migration.decide_migrations(
            tx, [Asked(DecideMigration(migration_id=ask(tx).migration_id, approve=True), of_school)]
        ),
        "migration.agreed",
    ),
}
INDEPENDENT = 4242


@pytest.mark.rule("BEY-10")
def test_nothing_is_forgotten():
    """BEY-10: each command and query of orgs is tried below, or is left out for a reason given."""
    assert names(Service) == {*ACTS, *NOT_LOGGED} and not {*ACTS} & {*NOT_LOGGED}
    assert {one.name for one in Service.commands} - {*ACTS} == {"order_orgs"}


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize("name", ACTS)
def test_each_is_in_the_log(tx, name):
    """BEY-10: what is done is a line of the log, with who and where, in the same transaction."""
    store.load(
        tx,
        [
            Seed(1, None, "leading_body", "", "00"),
            Seed(INDEPENDENT, 1, "committee", "共青团独立学院委员会", "42", industry="普通高等院校"),
        ],
    )
    store.set_administrators(
        tx, [{"org_id": INDEPENDENT, "person_id": 4400, "active": True}], clock.now(), None
    )
    act, kind = ACTS[name]
    line = written(tx, lambda: act(tx))[-1]
    assert (
        line.kind == kind
        and line.person_id is not None
        and line.org_id is not None
        and line.place_id is not None
        and line.provincial_id is not None
    )
    assert audit.verify(tx, [])[1] == []
