"""A database with the tree of organisations, a transaction on it, and two settings of that tree."""

import os

import pytest
import sqlalchemy as sa

from services.orgs import handlers, store
from services.orgs.models import metadata
from shared import clock, db
from shared.messages.members import CadreChanged
from tests.orgs.factories import (
    COLLEGE,
    DEAN,
    INDUSTRY,
    PRESIDENT,
    RIGHTS,
    SCHOOL,
    SERVER,
    TOWN,
    TREE,
)


@pytest.fixture(scope="module")
def engine():
    """A database of this module's own; dropped at the end."""
    url = str(
        db.address(SERVER).set(database=f"tq_test_orgs_{os.getpid()}").render_as_string(hide_password=False)
    )
    db.drop_database(url)
    db.create_database(url)
    engine = db.connect(url)
    try:
        metadata.create_all(engine)
        yield engine
    finally:
        engine.dispose()
        db.drop_database(url)


@pytest.fixture
def loaded(engine):
    """The engine, with the tree and its administrators committed and nothing else."""
    with engine.begin() as tx:
        tx.execute(sa.text("TRUNCATE orgs, administrators, handled_commands, outbox, cadres, migrations"))
        store.load(tx, TREE)
        handlers.on_cadre_changed(
            tx,
            [
                CadreChanged(
                    org_id=seed.id, person_id=person, post="committee_member", has_phone=True, version=1
                )
                for seed in TREE
                for person in (9, 10, 11, DEAN, PRESIDENT)
            ],
        )
        store.set_administrators(
            tx,
            [{"org_id": org, "person_id": person, "active": True} for org, person in RIGHTS],
            clock.now(),
            None,
        )
        tx.execute(sa.text("DELETE FROM outbox"))
    return engine


@pytest.fixture
def tx(loaded):
    """A transaction on the loaded tree, rolled back."""
    with loaded.connect() as tx:
        yield tx
        tx.rollback()


@pytest.fixture
def schools(tx):
    """The school and its college are schools by their industry."""
    tx.execute(
        sa.text("UPDATE orgs SET industry = :industry WHERE org_id IN (:school, :college)"),
        {"industry": INDUSTRY, "school": SCHOOL, "college": COLLEGE},
    )


@pytest.fixture
def mayor(loaded):
    """The city has an administrator, committed: migrations run in transactions of their own."""
    with loaded.begin() as connection:
        store.set_administrators(
            connection, [{"org_id": TOWN, "person_id": 3001, "active": True}], clock.now(), None
        )
        connection.execute(sa.text("DELETE FROM outbox"))
