"""A subtree moves to another superior: who asks and agrees, what is refused, what readers see meanwhile."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.orgs import handlers, store
from services.orgs.migration import handlers as migration
from shared import clock, db
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.orgs import (
    ListMigrations,
    PreviewMigration,
    SaveOrg,
)
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    SCHOOL,
    STRANGER,
    TOWN,
    code,
    events,
    of_city,
    of_class,
    of_college,
    of_school,
)
from tests.orgs.migration.factories import ask, decide


@pytest.mark.rule("MIG-01", "MIG-03", "MIG-04", "MIG-08", "MIG-09")
def test_migration(loaded, mayor):
    """MIG-01..04, MIG-09: the old superior agrees, then the new one.

    Then the whole subtree stands below it, and that is told once.

    MIG-08: it waits in the list of the one who decides.
    """
    with loaded.begin() as tx:
        for actor in (of_college, of_school, of_city):
            shown = migration.preview_migration(tx, PreviewMigration(org_id=COLLEGE, to_org_id=TOWN), actor)
            assert (shown.from_org_id, shown.refusal, shown.days) == (SCHOOL, None, 10)
            assert (shown.organisations, shown.branches) == tuple(
                tx.execute(
                    sa.text("""
                        SELECT count(*), count(*) FILTER (WHERE kind = 'branch') FROM orgs
                        WHERE NOT deleted
                            AND path LIKE (SELECT path FROM orgs WHERE org_id = :org) || '%'"""),
                    {"org": COLLEGE},
                ).one()
            )
            assert shown.organisations > 1 and shown.administrators >= 1
        with pytest.raises(Refused, match="not_your_org"):
            migration.preview_migration(tx, PreviewMigration(org_id=COLLEGE, to_org_id=SCHOOL), of_city)
        asked = ask(tx)
        assert asked.state == "pending_old"
        assert [
            one.migration_id for one in migration.list_migrations(tx, ListMigrations(waiting=True), of_school)
        ] == [asked.migration_id]
        assert migration.list_migrations(tx, ListMigrations(waiting=True), of_city) == []
        assert code(decide(tx, asked.migration_id, of_city)) == "not_your_node"
        assert decide(tx, asked.migration_id, of_school).state == "pending_new"
        assert code(decide(tx, asked.migration_id, of_school)) == "not_your_node"
        assert decide(tx, asked.migration_id, of_city).state == "moving"
        tx.execute(sa.text("DELETE FROM outbox"))
    database = db.Database(loaded)

    assert migration.move_one(database)
    assert not migration.move_one(database)

    with loaded.begin() as tx:
        rows = store.by_ids(tx, [COLLEGE, CLASS])
        assert (rows[COLLEGE].parent_id, rows[COLLEGE].path, rows[CLASS].path) == (
            TOWN,
            f"1.42.4201.{COLLEGE}.",
            f"1.42.4201.{COLLEGE}.{CLASS}.",
        )
        assert [(one["org_id"], one["parent_id"], one["path"]) for one in events(tx, "org_changed")] == [
            (COLLEGE, TOWN, f"1.42.4201.{COLLEGE}.")
        ]
        (done,) = [
            one
            for one in migration.list_migrations(tx, ListMigrations(), of_city)
            if one.migration_id == asked.migration_id
        ]
        assert (done.state, done.total, done.moved) == ("completed", 3, 3)


@pytest.mark.rule("MIG-02", "MIG-05", "MIG-06", "MIG-07", "ROLE-09")
@pytest.mark.parametrize(
    "org, to, actor, refusal",
    [
        (42, 1, Actor(2001, 42), "migration_provincial"),
        (COLLEGE, 52, of_college, "migration_across"),
        (COLLEGE, 440, of_college, "mirrored"),
        (SCHOOL, COLLEGE, of_school, "migration_inside"),
        (SCHOOL, SCHOOL, of_school, "migration_inside"),
        (COLLEGE, 42010, of_college, "migration_branch"),
        (COLLEGE, SCHOOL, of_college, "migration_nowhere"),
        (COLLEGE, 999, of_college, "unknown_org"),
        (COLLEGE, TOWN, of_school, "not_your_org"),
        (COLLEGE, TOWN, Actor(STRANGER, COLLEGE), "not_your_org"),
    ],
)
def test_migrations_that_are_refused(tx, org, to, actor, refusal):
    """MIG-02, MIG-05..07, ROLE-09: below the provincial level and inside the province.

    Not into itself, not below a branch.
    """
    assert code(ask(tx, org, to, actor)) == refusal


@pytest.mark.rule("MIG-06")
def test_one_migration_per_subtree(tx):
    """MIG-06: while one above or below migrates nothing else of the subtree does.

    Repeated, the command gives its first answer.
    """
    command = uuid4()
    first = ask(tx, command_id=command)
    assert code(ask(tx)) == "migration_open"
    assert code(ask(tx, SCHOOL, TOWN, of_school)) == "migration_open"
    assert code(ask(tx, CLASS, TOWN, of_class)) == "migration_open"
    assert ask(tx, command_id=command) == first


@pytest.mark.rule("MIG-10")
def test_migration_ends_otherwise(tx):
    """MIG-10: a migration is withdrawn, rejected or returned.

    Withdrawn by the organisation before the last approval, rejected by a superior, returned by the
    clock.
    """
    first = ask(tx).migration_id
    assert code(decide(tx, first, of_school, approve=False, withdraw=True)) == "not_your_node"
    assert decide(tx, first, of_college, withdraw=True).state == "withdrawn"
    assert code(decide(tx, first, of_school)) == "migration_closed"
    second = ask(tx).migration_id
    assert decide(tx, second, of_school, approve=False, note="不同意").state == "rejected"
    third = ask(tx).migration_id
    clock.advance(timedelta(days=11))
    assert code(decide(tx, third, of_school)) == "migration_closed"
    migration.on_day_began(tx, [])
    assert migration.list_migrations(tx, ListMigrations(), of_college)[0].state == "returned"
    with pytest.raises(Refused):
        migration.list_migrations(tx, ListMigrations(), Actor(STRANGER, COLLEGE))


@pytest.mark.rule("MIG-01", "MIG-09")
def test_readers_never_see_half(loaded, mayor, monkeypatch):
    """MIG-01: readers see the whole tree at the old place or the whole tree at the new.

    While 3,000 organisations move in many pieces; the progress is seen.
    """
    with loaded.begin() as tx:
        for n in range(3000):
            tx.execute(
                sa.text(
                    "INSERT INTO orgs"
                    " (org_id, parent_id, path, kind, purpose, province, system, provincial_id,"
                    " short_name, full_name, bigrams, display_order, version)"
                    " VALUES (:id, :parent, :path, 'branch', 'ordinary', '42', 'national', 42,"
                    " 'x', 'x', '{}', 1, 1)"
                ),
                {"id": 10**7 + n, "parent": COLLEGE, "path": f"1.42.420.{COLLEGE}.{10**7 + n}."},
            )
        migration_id = ask(tx).migration_id
        decide(tx, migration_id, of_school)
        decide(tx, migration_id, of_city)
    monkeypatch.setattr(migration, "PIECE", 100)
    old, new = f"1.42.420.{COLLEGE}.", f"1.42.4201.{COLLEGE}."
    seen, progress, stop = set(), set(), threading.Event()

    def look():
        while not stop.is_set():
            with loaded.connect() as reader:
                seen.add(
                    tuple(
                        reader.execute(
                            sa.text(
                                "SELECT count(*) FILTER (WHERE path >= :old AND path < :old_end),"
                                " count(*) FILTER (WHERE path >= :new AND path < :new_end) FROM orgs"
                            ),
                            {"old": old, "old_end": old[:-1] + "/", "new": new, "new_end": new[:-1] + "/"},
                        ).one()
                    )
                )
                progress.add(
                    reader.scalar(
                        sa.text("SELECT moved FROM migrations WHERE migration_id = :id"), {"id": migration_id}
                    )
                )

    reader = threading.Thread(target=look)
    reader.start()
    while not seen:
        time.sleep(0.01)
    assert migration.move_one(db.Database(loaded))
    while (0, 3003) not in seen:
        time.sleep(0.01)
    stop.set()
    reader.join()

    assert seen == {(3003, 0), (0, 3003)}
    assert len(progress) > 2 and max(progress) == 3003


@pytest.mark.rule("MIG-09", "ORG-23")
def test_a_branch_made_meanwhile_comes_along(loaded, mayor):
    """MIG-09: an organisation created below while the subtree moves ends up at the new place."""
    with loaded.begin() as tx:
        migration_id = ask(tx).migration_id
        decide(tx, migration_id, of_school)
        decide(tx, migration_id, of_city)
    creating = loaded.connect()
    made = handlers.save_orgs(
        creating,
        [
            Asked(
                SaveOrg(
                    command_id=uuid4(), parent_id=COLLEGE, kind="branch", full_name="共青团新班支部委员会"
                ),
                of_college,
            )
        ],
    )[0].org_id
    mover = threading.Thread(target=migration.move_one, args=(db.Database(loaded),))
    mover.start()
    time.sleep(0.3)
    assert mover.is_alive()
    creating.commit()
    creating.close()
    mover.join()
    with loaded.connect() as tx:
        assert store.by_ids(tx, [made])[made].path == f"1.42.4201.{COLLEGE}.{made}."
