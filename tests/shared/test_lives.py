"""What a database has handed out never comes back as something else, also where it lost its last moments."""

import threading
from importlib import import_module

import msgspec
import pytest
import sqlalchemy as sa

from services.orgs import store
from services.orgs.models import metadata
from shared import audit, clock, db, directory, inbox, lives, outbox
from shared.audit import Entry, Head
from shared.messages.orgs import AdministratorChanged, OrgChanged, OrgsLogGrew
from tests.orgs.factories import TREE

FIRST, ANYBODY = TREE[0].id, 9


@pytest.fixture
def engine(scratch):
    """A database of orgs in its first life."""
    made = scratch(metadata)
    with made.begin() as tx:
        assert not begin(tx).lost
        store.load(tx, TREE)
        store.set_administrators(
            tx, [{"org_id": FIRST, "person_id": ANYBODY, "active": True}], clock.now(), None
        )
    return made


def begin(tx) -> lives.Life:
    return lives.begin(tx.connection.cursor())


def values(tx) -> dict[str, int]:
    rows = tx.execute(sa.text("SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences"))
    return dict(tuple(row) for row in rows)


def put_back(tx, before: dict[str, int]) -> None:
    """Put the sequences back, as a copy of then would."""
    for name, value in before.items():
        tx.execute(
            sa.text("SELECT setval(:name, :to, :called)"),
            {"name": name, "to": max(1, value), "called": value > 0},
        )


def rows(tx) -> list[dict]:
    """Return the organisations as `save` takes them."""
    return [dict(row._mapping) for row in tx.execute(sa.text("SELECT * FROM orgs"))]


def told(tx, topic: str, kind):
    bodies = tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = :topic ORDER BY id"), {"topic": topic})
    return [item for body in bodies for item in msgspec.json.decode(body, type=list[kind])]


def messages(tx) -> list[outbox.Message]:
    rows = tx.execute(
        sa.text(f"SELECT {outbox.MESSAGE_ID} AS message_id, topic, body FROM outbox ORDER BY id")
    )
    return [outbox.message_of("orgs", row, mandatory=True) for row in rows]


def test_the_id_of_a_message_does_not_come_back_with_its_number(engine):
    """A row of the outbox is published under one id however often; another row of its number has another."""
    with engine.begin() as tx:
        first, again = messages(tx), messages(tx)
        tx.execute(sa.text("TRUNCATE outbox RESTART IDENTITY"))
        outbox.emit(tx, [OrgsLogGrew(lane=1, rows=n, hash="") for n in range(len(first) * 500)])
        second = messages(tx)
        numbers = list(tx.scalars(sa.text("SELECT id FROM outbox ORDER BY id")))
        tx.execute(sa.text("UPDATE outbox SET message_id = NULL WHERE id = 1"))

        assert first == again and numbers == list(range(1, len(first) + 1))
        ids = [one.message_id for one in (*first, *second)]
        # within one millisecond they come in any order
        began = [one.removeprefix("orgs:")[:12] for one in ids]
        assert len(set(ids)) == len(ids) and began == sorted(began)
        assert messages(tx)[0].message_id == "orgs:1"  # as its consumers have remembered it since before


def test_the_first_life_begins_at_one(scratch):
    """A new database counts from the beginning."""
    made = scratch(metadata)
    with made.begin() as tx:
        assert begin(tx) == lives.Life(False, {})
        assert set(values(tx).values()) == {0}


def test_a_copy_of_before_lives_were_kept(scratch):
    """Who says that a database was put back is believed, though nothing in it tells of a life before."""
    made = scratch(metadata)
    with made.begin() as tx:
        life = lives.begin(tx.connection.cursor(), put_back=True)
        assert life.lost and min(store.new_ids(tx, 1)) > 2**50 + 100_000_000


def test_no_number_comes_back(engine):
    """Whatever was handed out lies below where a life begins, also if the same state is put back twice."""
    with engine.begin() as tx:
        before = values(tx)
        first = begin(tx).sequences
        handed_out = store.new_ids(tx, 3)
        put_back(tx, before)
        second = begin(tx).sequences

        assert set(first) == set(before) and "new_org_id" in first
        for name in set(before) - {"audit_lane"}:
            assert first[name] >= before[name] + 100_000_000
            assert second[name] > first[name]
        assert min(store.new_ids(tx, 3)) > max(handed_out)
        assert max(second.values()) < 2**53  # programs that read JSON hold no larger numbers


def test_another_server_is_noticed_by_the_first_connection(scratch):
    """A database on another timeline counts from elsewhere, once, before any of its connections is used."""
    engine = scratch(metadata)
    url = engine.url.render_as_string(hide_password=False)
    with engine.begin() as tx:
        tx.execute(sa.text("INSERT INTO lives (place, lost) VALUES ('another server/00000001', false)"))
    seen: list[int] = []

    def use() -> None:
        own = db.connect(url)
        lives.watch(own, "orgs")
        for _ in range(2):
            with own.begin() as tx:
                seen.extend(store.new_ids(tx, 1))
            own.dispose()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(seen)) == 8 and min(seen) >= 2**50 + 100_000_000
    assert max(seen) - min(seen) == 7
    with engine.connect() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM lives WHERE lost")) == 1


def test_lanes_of_before_are_closed(engine):
    """The log goes on in other lanes, so the proof says of those of before what is missing at their ends."""
    log = import_module("services.orgs.log").log
    with engine.begin() as tx:
        (head,) = audit.heads(tx)
        begin(tx)
        log.append(tx, [Entry(kind="right.given")])
        log.append(tx, [Entry(kind="right.given")])
        lost = Head(head.lane, head.rows + 2, b"of a line that was lost")

        assert sorted(one.rows for one in audit.heads(tx)) == sorted([head.rows, 2])
        assert audit.verify(tx, [head])[1] == []
        (broken,) = audit.verify(tx, [head, lost])[1]
        assert broken.lane == head.lane and "was put back to an earlier state on" in broken.what


def test_others_follow_changes_after_those_that_were_lost(engine, scratch):
    """What others heard and this database has lost does not keep them from what it tells afterwards."""
    known = scratch(import_module("services.members.models").metadata)
    with engine.begin() as tx, known.begin() as other:
        directory.on_org_changed(other, told(tx, "org_changed", OrgChanged))
        tx.execute(sa.text("TRUNCATE outbox"))
        # heard, then lost
        other.execute(sa.text("UPDATE org_directory SET name = 'lost', version = 7"))
        directory.on_administrator_changed(
            other, [AdministratorChanged(org_id=FIRST, person_id=ANYBODY, active=False, version=7)]
        )

        begin(tx)
        store.save(tx, [{**row, "version": row["version"] + 1} for row in rows(tx)])
        store.set_administrators(
            tx, [{"org_id": FIRST, "person_id": ANYBODY, "active": False}], clock.now(), None
        )
        store.set_administrators(
            tx, [{"org_id": FIRST, "person_id": ANYBODY, "active": True}], clock.now(), None
        )
        directory.on_org_changed(other, told(tx, "org_changed", OrgChanged))
        directory.on_administrator_changed(other, told(tx, "administrator_changed", AdministratorChanged))

        names = dict(other.execute(sa.text("SELECT org_id, name FROM org_directory")).all())
        assert names == dict(tx.execute(sa.text("SELECT org_id, full_name FROM orgs")).all())
        active = sa.text("SELECT active FROM administrator_directory")
        assert other.scalar(active) is True

        # a right given for the first time, as far as this life knows, after it was taken in the one before
        directory.on_administrator_changed(
            other, [AdministratorChanged(org_id=FIRST, person_id=10, active=False, version=2)]
        )
        store.set_administrators(tx, [{"org_id": FIRST, "person_id": 10, "active": True}], clock.now(), None)
        directory.on_administrator_changed(other, told(tx, "administrator_changed", AdministratorChanged))
        assert set(other.scalars(active)) == {True}


def test_consumers_take_messages_of_before_and_of_now(engine):
    """Ids of either form are remembered; what was handled under the old one is not handled again."""
    seen: list[str] = []
    taking = inbox.Inbox(
        "orgs",
        db.Database(engine),
        {OrgsLogGrew: lambda tx, items: seen.extend(one.hash for one in items)},
    )
    with engine.begin() as tx:
        tx.execute(sa.text("TRUNCATE outbox RESTART IDENTITY"))
        for text in ("a", "b"):
            outbox.emit(tx, [OrgsLogGrew(lane=1, rows=1, hash=text)])
        tx.execute(sa.text("UPDATE outbox SET message_id = NULL WHERE id = 1"))
        batch = [inbox.Incoming(one.message_id, one.topic, one.body.encode()) for one in messages(tx)]

    for _ in range(2):
        taking.apply(batch)

    assert seen == ["a", "b"] and batch[0].message_id == "orgs:1"
