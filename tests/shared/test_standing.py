"""What is looked up once for all calls of a transaction: ended sessions, rights, what others keep."""

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from shared import clock, db, directory, sessions_ended, standing
from shared.identity import Actor
from shared.messages.members import SessionEnded
from shared.messages.orgs import AdministratorChanged, OrgChanged
from tests import statements

OURS, THEIRS, GONE = 11, 12, 13
CLERK, WATCHER, LEFT, STRANGER = 101, 102, 103, 104
BACKEND = sa.text("SELECT pg_backend_pid()")
RIGHT = sa.text(f"""
    UPDATE administrator_directory SET active = :active WHERE person_id = {CLERK} AND org_id = {OURS}""")


def _org(org_id: int, system: str = "national", deleted: bool = False) -> OrgChanged:
    return OrgChanged(
        org_id=org_id,
        parent_id=None,
        path=f"{org_id}.",
        kind="committee",
        purpose="",
        province="42",
        system=system,
        provincial_id=None,
        vault_id=None,
        name=str(org_id),
        version=1,
        deleted=deleted,
    )


@pytest.fixture(scope="module")
def engine(scratch):
    """A directory with an organisation of ours, one of another system and a deleted one."""
    metadata = db.metadata()
    directory.tables(metadata)
    sessions_ended.tables(metadata)
    made = scratch(metadata)
    with made.begin() as tx:
        directory.on_org_changed(tx, [_org(OURS), _org(THEIRS, system="BJ"), _org(GONE, deleted=True)])
        rights = [
            AdministratorChanged(org_id=org_id, person_id=CLERK, active=True, version=1)
            for org_id in (OURS, THEIRS, GONE)
        ]
        rights.append(
            AdministratorChanged(org_id=OURS, person_id=WATCHER, active=True, version=1, observer=True)
        )
        rights.append(AdministratorChanged(org_id=OURS, person_id=LEFT, active=False, version=1))
        directory.on_administrator_changed(tx, rights)
    return made


def _statements(engine, *calls):
    """Run calls in a transaction; return what they return and how many statements went to PostgreSQL."""
    sent = []
    with statements.seen(engine, lambda tx, text, values: sent.append(text)), engine.connect() as tx:
        found = [call(tx) for call in calls]
    return found, [one for one in sent if one.startswith("EXECUTE")]


ACTORS = [Actor(one, org) for one in (CLERK, WATCHER, LEFT, STRANGER) for org in (OURS, THEIRS, GONE)]


@pytest.mark.parametrize("look_up", [standing.with_rights, standing.among_our_own])
def test_rights_are_those_that_would_be_found_one_by_one(engine, look_up):
    """ROLE-04, ROLE-10, FED-01: the look for all finds what the look for one finds, and saves it."""
    with engine.connect() as tx:
        alone = {
            (actor, observers): directory.administering(tx, [actor], observers)
            for actor in ACTORS
            for observers in (False, True)
        }
    assert sum(map(bool, alone.values())) == 3, "the clerk, with and without observers; the watcher with"

    def ask(tx):
        look_up(tx, [], ACTORS, set)
        return {(actor, seen): directory.administering(tx, [actor], seen) for actor, seen in alone}

    (together,), statements = _statements(engine, ask)
    assert together == alone
    assert len(statements) == 1, "one look, and nothing is asked again"


def test_who_was_not_looked_up_is_looked_up(engine):
    """Rights that a handler asks for of its own are asked of the directory."""

    def ask(tx):
        standing.with_rights(tx, [], [Actor(STRANGER, OURS)], set)
        return directory.administering(tx, [Actor(CLERK, OURS), Actor(STRANGER, OURS)])

    (found,), statements = _statements(engine, ask)
    assert found == {Actor(CLERK, OURS)}
    assert len(statements) == 2


@pytest.mark.parametrize("way", ["transaction", "reading"])
def test_no_right_outlives_its_transaction(engine, way):
    """ROLE-06: the next transaction on a connection asks anew, so a right that was taken away is gone."""
    who, database = Actor(CLERK, OURS), db.Database(engine)
    with database.transaction() as tx:
        standing.with_rights(tx, [], [who], set)
        assert directory.administering(tx, [who])
        backend = tx.scalar(BACKEND)
    another = db.connect(engine.url.render_as_string(False))  # so that nobody has the connection meanwhile
    with another.begin() as tx:
        tx.execute(RIGHT, {"active": False})
    try:
        with getattr(database, way)() as tx:
            assert not directory.administering(tx, [who])
            assert tx.scalar(BACKEND) == backend, "the connection that came back last is taken first"
    finally:
        with another.begin() as tx:
            tx.execute(RIGHT, {"active": True})
        another.dispose()


def test_ended_sessions_and_what_others_keep(engine):
    """Only what was asked about is found; of other systems only where it matters."""
    ended, going_on = str(uuid.uuid4()), str(uuid.uuid4())
    with engine.connect() as tx:
        sessions_ended.on_session_ended(
            tx, [SessionEnded(session_id=ended, until=clock.now() + timedelta(minutes=5))]
        )
        asked = ([ended, going_on, ""], [], lambda: {OURS, THEIRS, 99})
        assert standing.among_our_own(tx, *asked) == ({ended}, {THEIRS})
        assert standing.with_rights(tx, *asked) == ({ended}, set())
        assert standing.of_sessions(tx, *asked) == ({ended}, set())
        assert standing.among_our_own(tx, [going_on, ""], [], set) == (set(), set())
