"""The audit log on a real database (BEY-10).

Chains beside each other, their heads, what the database refuses, and which changes are found.
"""

import hashlib
import time

import msgspec
import pytest
import sqlalchemy as sa

from shared import audit, db, inbox, outbox
from shared.audit import Broken, Entry
from shared.errors import Refused
from shared.messages.audit import ListAudit
from shared.messages.orgs import OrgsLogGrew

metadata = db.metadata()
audit.tables(metadata)
outbox.table(metadata)
inbox.tables(metadata)
sa.Table(
    "orgs",
    metadata,
    sa.Column("org_id", sa.BigInteger, primary_key=True),
    sa.Column("provincial_id", sa.BigInteger),
)
log = audit.Log("orgs", "orgs", OrgsLogGrew)


@pytest.fixture(scope="module")
def database(scratch):
    """A database with two provinces."""
    engine = scratch(metadata)
    with engine.begin() as tx:
        tx.execute(sa.text("INSERT INTO orgs VALUES (1, NULL), (42, 42), (4201, 42), (44, 44), (4401, 44)"))
    return engine


@pytest.fixture
def engine(database):
    """The database with eight lines of one chain, the ids of whose persons are 1 to 8."""
    engine = database
    attack(engine, "TRUNCATE audit_log, audit_heads, outbox", "ALTER SEQUENCE audit_lane RESTART")
    with engine.begin() as tx:
        for n in range(1, 9, 2):
            log.append(
                tx,
                [
                    Entry(
                        kind="right.given",
                        person_id=n + one,
                        org_id=42,
                        place_id=4201,
                        persons=[100 + n],
                        before=None,
                        after={"active": True},
                        note=f"事由{n + one}",
                    )
                    for one in (0, 1)
                ],
            )
    return engine


def attack(engine, *statements):
    """Do what somebody can do who owns the tables: nothing that the database refuses stands in the way."""
    with engine.begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))  # switches triggers off
        for statement in statements:
            tx.execute(sa.text(statement))


def verify(engine, kept=()):
    with engine.connect() as tx:
        return audit.verify(tx, kept)


def heads(engine):
    with engine.connect() as tx:
        return audit.heads(tx)


def rewrite(engine, statement):
    """Change the log and make everything in this database fit again: all hashes and the head."""
    attack(engine, statement)
    with engine.connect() as tx:
        rows = tx.execute(
            sa.text(f"SELECT {', '.join(audit.HASHED)} FROM audit_log ORDER BY lane, seq")
        ).all()
    # What the log itself does when it appends: each hash is over the one before and the line.
    previous, changes = b"", []
    for row in rows:
        line = {**row._mapping, "at": audit.instant(row.at)}
        previous = hashlib.sha256(
            previous + msgspec.json.encode([line[name] for name in audit.HASHED])
        ).digest()
        changes.append(
            f"UPDATE audit_log SET hash = decode('{previous.hex()}', 'hex')"
            f" WHERE lane = {row.lane} AND seq = {row.seq}"
        )
    attack(
        engine,
        *changes,
        f"UPDATE audit_heads SET rows = {len(rows)}, hash = decode('{previous.hex()}', 'hex')",
    )


@pytest.mark.rule("BEY-10")
def test_a_whole_chain(engine):
    """BEY-10: lines of four transactions are one chain that fits; its head says how many there are."""
    assert verify(engine) == (8, [])
    (head,) = heads(engine)
    assert head.rows == 8


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit_log SET person_id = 99 WHERE seq = 3", [Broken(1, 3, "the line was changed")]),
        ("UPDATE audit_log SET note = '' WHERE seq = 8", [Broken(1, 8, "the line was changed")]),
        ("UPDATE audit_log SET provincial_id = 44 WHERE seq = 1", [Broken(1, 1, "the line was changed")]),
        ("DELETE FROM audit_log WHERE seq = 4", [Broken(1, 4, "lines 4 to 4 are missing")]),
        ("DELETE FROM audit_log WHERE seq IN (1, 2)", [Broken(1, 1, "lines 1 to 2 are missing")]),
        ("DELETE FROM audit_log WHERE seq = 8", [Broken(1, 8, "lines 8 to 8 are missing at the end")]),
        ("DELETE FROM audit_log", [Broken(1, 1, "lines 1 to 8 are missing at the end")]),
        ("DELETE FROM audit_heads", [Broken(1, 9, "the head does not fit the last line")]),
        ("UPDATE audit_heads SET rows = 7", [Broken(1, 9, "the head does not fit the last line")]),
        (
            "INSERT INTO audit_log SELECT lane, 9, at, kind, person_id, org_id, place_id, persons, ref,"
            " before, after, note, request_id, provincial_id, acting_provincial_id, hash"
            " FROM audit_log WHERE seq = 8",
            [Broken(1, 9, "the line was changed"), Broken(1, 10, "the head does not fit the last line")],
        ),
    ],
)
def test_what_is_found(engine, statement, found):
    """BEY-10: a line that was changed, removed or put in is found, wherever in the chain it stands.

    Removed: in the middle, at the beginning or at the end.
    """
    attack(engine, statement)
    assert verify(engine)[1] == found


@pytest.mark.rule("BEY-10")
def test_who_rewrites_everything_is_found_by_the_heads_that_were_told(engine):
    """BEY-10: a log rewritten so that everything in it fits is found by the heads that another keeps.

    Lines are cut off the end, or changed, and all hashes and the head are made to fit.
    """
    kept = heads(engine)
    rewrite(engine, "DELETE FROM audit_log WHERE seq > 6")
    assert verify(engine) == (6, [])
    assert verify(engine, kept) == (
        6,
        [Broken(1, 7, "lines 7 to 8, whose head was told, are missing at the end")],
    )
    with engine.begin() as tx:  # and life goes on, so that the number of lines fits again
        log.append(tx, [Entry(kind="right.revoked"), Entry(kind="right.revoked"), Entry(kind="right.given")])
    assert verify(engine) == (9, [])
    assert verify(engine, kept) == (9, [Broken(1, 8, "the chain is not the one whose head was told")])


@pytest.mark.rule("BEY-10")
def test_a_lane_that_is_gone(engine):
    """BEY-10: a chain that is removed with its head is found by the head that was told."""
    kept = heads(engine)
    attack(engine, "DELETE FROM audit_log", "DELETE FROM audit_heads")
    assert verify(engine) == (0, [])
    assert [one.lane for one in verify(engine, kept)[1]] == [1, 1]


@pytest.mark.rule("BEY-10")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET note = 'x' WHERE seq = 3",
        "DELETE FROM audit_log WHERE seq = 3",
        "TRUNCATE audit_log",
        "DELETE FROM audit_heads",
        "TRUNCATE audit_heads",
    ],
)
def test_the_database_refuses(engine, statement):
    """BEY-10: the log is append-only: neither a bug nor a hand at the console changes or deletes a line.

    Nor is it emptied.
    """
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), engine.begin() as tx:
        tx.execute(sa.text(statement))
    assert verify(engine) == (8, [])


@pytest.mark.rule("BEY-10")
def test_nobody_waits(engine):
    """BEY-10: transactions that write at the same time have chains of their own and do not wait.

    All of the chains are proved.
    """
    started = time.monotonic()
    with engine.connect() as one, engine.connect() as two, engine.connect() as three:
        for tx in (one, two, three, one):
            log.append(tx, [Entry(kind="right.given"), Entry(kind="right.revoked")])
        three.commit()
        one.commit()
        two.rollback()
    assert time.monotonic() - started < 5  # a lock would be waited for 10 s
    assert verify(engine) == (14, [])
    assert sorted(head.rows for head in heads(engine)) == [2, 12]


def test_a_rolled_back_line_was_never_there(engine):
    """A line stands with its change: taken back with it, the chain goes on where it was."""
    with engine.connect() as tx:
        log.append(tx, [Entry(kind="right.given")])
        tx.rollback()
    with engine.begin() as tx:
        log.append(tx, [Entry(kind="right.given")])
    assert verify(engine) == (9, [])


@pytest.mark.rule("BEY-10")
def test_heads_are_told_once(engine):
    """BEY-10: a head that has grown is told, and only then; lanes in use are told the next time."""

    def told():
        """Tell the heads, and return what was told by that."""
        with engine.begin() as tx:
            before = tx.scalar(sa.text("SELECT coalesce(max(id), 0) FROM outbox"))
            log.tell_heads(tx)
            return [
                one
                for body in tx.scalars(
                    sa.text("SELECT body FROM outbox WHERE id > :id AND topic = 'orgs_log_grew'"),
                    {"id": before},
                )
                for one in msgspec.json.decode(body, type=list[OrgsLogGrew])
            ]

    assert [(one.lane, one.rows, bytes.fromhex(one.hash)) for one in told()] == [
        tuple(head) for head in heads(engine)
    ]
    assert told() == []
    with engine.connect() as busy:  # its lane is locked until it commits
        log.append(busy, [Entry(kind="right.given")])
        assert told() == []
        busy.commit()
    assert [one.rows for one in told()] == [9]


@pytest.mark.rule("BEY-10")
def test_numbers_of_persons_stay_out(engine):
    """BEY-10: identity and mobile numbers in what people write do not get into the log.

    Ids of organisations do.
    """
    with engine.begin() as tx:
        log.append(
            tx,
            [
                Entry(
                    kind="view.unmasked",
                    ref="branch 420100001001",
                    note="身份证11010519491231002X,电话13800138000,旧号110105491231002",
                    before={"remark": "13912345678"},
                    after={"org_id": 420100001001},
                )
            ],
        )
        row = tx.execute(sa.text("SELECT * FROM audit_log ORDER BY seq DESC LIMIT 1")).one()
    assert (row.note, row.ref) == ("身份证•,电话•,旧号•", "branch 420100001001")
    assert msgspec.json.decode(row.before) == {"remark": "•"}
    assert msgspec.json.decode(row.after) == {"org_id": 420100001001}
    # A kind that the log does not know is a mistake of ours, not of who asks.
    with pytest.raises(ValueError, match="no kind"), engine.begin() as tx:
        log.append(tx, [Entry(kind="org.renumbered")])


@pytest.mark.rule("BEY-10")
def test_a_digest_stays_whole(engine):
    """BEY-10: eleven digits within a digest are no telephone number, so a seal is not masked."""
    digest = bytes.fromhex("a13812345678b" + "0" * 51)
    with engine.begin() as tx:
        log.append(tx, [Entry(kind="trail.sealed", after={"digest": digest})])
        kept = tx.scalar(sa.text("SELECT after FROM audit_log WHERE kind = 'trail.sealed'"))
    assert msgspec.json.decode(kept) == {"digest": digest.hex()}


def page(engine, province=None, **wanted):
    with engine.connect() as tx:
        return audit.page(tx, "orgs", province, ListAudit(**wanted))


def test_reading(engine):
    """Lines are read newest first and page by page; a province sees its own only.

    They are found by kind or group of kinds, actor, person, place and span.
    """
    with engine.begin() as tx:
        log.append(
            tx,
            [Entry(kind="org.edited", person_id=50, org_id=1, place_id=4401), Entry(kind="policy.applied")],
        )
    everything = page(engine)
    assert [one.seq for one in everything] == list(range(10, 0, -1))
    assert [one.kind for one in page(engine, kind="right")] == ["right.given"] * 8
    assert [one.kind for one in page(engine, kind="org.edited")] == ["org.edited"]
    assert [one.seq for one in page(engine, person_id=3)] == [3]
    assert [one.seq for one in page(engine, about=103)] == [4, 3]
    assert [one.seq for one in page(engine, place_id=4401)] == [9]
    assert [one.seq for one in page(engine, until=everything[-1].at)] == []
    assert [one.seq for one in page(engine, since=everything[1].at)] == [10, 9]
    first = page(engine, limit=4)
    assert [one.seq for one in page(engine, limit=4, after=first[-1].cursor)] == [6, 5, 4, 3]
    assert [one.seq for one in page(engine, 44)] == [9]  # the line about 4401, which lies there
    assert [one.seq for one in page(engine, 42)] == list(range(8, 0, -1))
    for cursor in ("x", "2026-01-01~1", "2026-01-01~1~99999999999999999999", "2026-01-01~²~1"):
        with pytest.raises(Refused):
            page(engine, after=cursor)
