"""Imports in the background on a real database: row by row, in pieces, stopped anywhere, never twice."""

import uuid
from contextlib import contextmanager
from types import SimpleNamespace

import msgspec
import pytest
import sqlalchemy as sa

from services.members import store
from services.members.entering import imports
from shared import background
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import GetImport, ImportRow
from tests.members.entering.factories import rows, send
from tests.members.factories import CLASS, COLLEGE, ROOT, SCHOOL, TARGET, admin  # noqa: F401  (fixtures)

NAMES = {CLASS: str(CLASS)}


def progress(tx, import_id, actor=None, after=None):
    return imports.get_import(tx, GetImport(import_id=import_id, failed_after=after), actor or admin(SCHOOL))


@pytest.mark.rule("IMP-05", "IMP-06", "IMP-10")
def test_rows_are_entered_in_pieces(tx):
    """IMP-05, IMP-06: good rows are entered, bad ones kept with their reasons; progress says how many."""
    one = uuid.uuid4()
    some = rows(20, one)
    bad = rows(1, one, "no such branch", 71_000_000) + rows(1, one)
    some += [msgspec.structs.replace(row, number=100 + n) for n, row in enumerate(bad)]
    some.append(
        ImportRow(
            import_id=one,
            number=200,
            branch_name=str(CLASS),
            name="张三",
            id_number="1",
            problem="入团年月无法识别",
        )
    )
    assert send(tx, some) == [None] * 23
    assert (progress(tx, one).rows, progress(tx, one).entered, progress(tx, one).failed) == (23, 0, 1)

    assert [imports.enter_piece(tx, 15), imports.enter_piece(tx, 15), imports.enter_piece(tx, 15)] == [
        15,
        7,
        0,
    ]

    done = progress(tx, one, after=0)
    assert (done.rows, done.entered, done.failed) == (23, 20, 3)
    assert [(row.number, row.problem) for row in done.failures] == [
        (100, "没有名为“no such branch”的团支部,请按组织全称填写"),
        (101, "身份证号重复"),
        (200, "入团年月无法识别"),
    ]
    assert done.failures[0].id_number == rows(1, one, start=71_000_000)[0].id_number


@pytest.mark.rule("IMP-13")
def test_sent_again_and_tried_again(tx):
    """A list that is sent again, before or after it was entered, enters nobody twice.

    Neither does a piece that is tried again.
    """
    one = uuid.uuid4()
    some = rows(10, one)
    before = len(store.of_branch(tx, CLASS, 0, 500))
    send(tx, some)
    send(tx, some)
    assert imports.enter_piece(tx) == 10
    send(tx, some)
    assert imports.enter_piece(tx) == 0

    tx.execute(sa.text("DELETE FROM import_rows WHERE number = 4"))
    send(tx, some[:1])
    assert imports.enter_piece(tx) == 1
    assert len(store.of_branch(tx, CLASS, 0, 500)) == before + 10 and progress(tx, one).entered == 10


@pytest.mark.rule("IMP-07")
def test_failed_rows_are_put_right(tx):
    """IMP-07: a row that was put right takes the place of the failed one and is tried again.

    What was entered stays as it is, whoever sends it again; nobody else puts it right.
    """
    one = uuid.uuid4()
    some = rows(3, one)
    wrong = [msgspec.structs.replace(row, branch_name="没有的团支部") for row in some[:2]]
    send(tx, [*wrong, some[2]])
    assert imports.enter_piece(tx) == 3 and (progress(tx, one).entered, progress(tx, one).failed) == (1, 2)
    again = [msgspec.structs.replace(row, again=True) for row in some]
    assert send(tx, again, admin(ROOT)) == ["unknown_import"] * 3
    unreadable = msgspec.structs.replace(again[1], problem="入团年月无法识别")
    assert send(tx, [again[0], unreadable, again[2]]) == [None] * 3
    assert imports.enter_piece(tx) == 1
    assert (progress(tx, one).entered, progress(tx, one).failed) == (2, 1)
    assert [row.problem for row in progress(tx, one, after=0).failures] == ["入团年月无法识别"]
    send(tx, [again[1]])
    assert imports.enter_piece(tx) == 1 and progress(tx, one).entered == 3


def test_a_piece_that_dies_is_done_again(engine):
    """A worker that dies in the middle of a piece leaves nothing behind; the next one does the piece."""
    one = uuid.uuid4()
    with engine.begin() as tx:
        send(tx, rows(30, one, start=72_000_000))
        before = len(store.of_branch(tx, CLASS, 0, 500))
    with engine.connect() as dying:
        assert imports.enter_piece(dying, 20) == 20
        dying.rollback()
    with engine.begin() as tx:
        assert progress(tx, one).entered == 0
        assert [imports.enter_piece(tx, 20), imports.enter_piece(tx, 20)] == [20, 10]
        assert (progress(tx, one).entered, len(store.of_branch(tx, CLASS, 0, 500))) == (30, before + 30)
        tx.execute(sa.text("DELETE FROM import_rows"))
        tx.execute(
            sa.text(
                "DELETE FROM memberships WHERE person_id IN"
                " (SELECT person_id FROM people"
                " WHERE created_at > now() - interval '1 minute' AND person_id > 1003)"
            )
        )
        tx.execute(
            sa.text("DELETE FROM people WHERE created_at > now() - interval '1 minute' AND person_id > 1003")
        )


@pytest.mark.rule("IMP-11", "MEM-29")
def test_only_into_direct_branches(tx):
    """IMP-11, MEM-29: rows for branches further down, or of others, fail.

    The acting organisation is that of the upload.
    """
    one = uuid.uuid4()
    send(tx, rows(1, one, "7"))
    assert imports.enter_piece(tx) == 1

    assert [row.problem for row in progress(tx, one, after=0).failures] == [
        "该团支部存在,但不是您的直属下级,请由其直属上级“6”导入"
    ]


def test_an_import_is_its_senders_own(tx):
    """Nobody adds to or reads another's import; who administers nothing starts none."""
    one = uuid.uuid4()
    send(tx, rows(1, one))

    assert send(tx, rows(1, one), admin(TARGET)) == ["unknown_import"] and send(
        tx, rows(1, uuid.uuid4()), Actor(999, SCHOOL)
    ) == ["not_administrator"]
    for stranger in (admin(TARGET), admin(ROOT)):
        with pytest.raises(Refused) as refused:
            progress(tx, one, stranger)
        assert refused.value.code == "unknown_import"


def test_entered_rows_are_not_kept(tx):
    """Of an entered row only its number stays; failed rows are sealed, and forgotten after 30 days."""
    one = uuid.uuid4()
    send(
        tx,
        [
            *rows(3, one),
            ImportRow(
                import_id=one,
                number=99,
                branch_name="x",
                name="张三",
                id_number="11010120050101001X",
                problem="x",
            ),
        ],
    )
    imports.enter_piece(tx)

    kept = tx.execute(
        sa.text(
            "SELECT number, row_sealed FROM import_rows WHERE import_id = :id AND row_sealed IS NOT NULL"
        ),
        {"id": one},
    ).all()
    assert [row.number for row in kept] == [99] and b"11010120050101001X" not in bytes(kept[0].row_sealed)
    tx.execute(sa.text("UPDATE imports SET started_at = started_at - interval '31 days'"))
    imports.on_day_began(tx, [])
    assert tx.scalar(sa.text("SELECT count(*) FROM import_rows")) == 0


@pytest.mark.rule("IMP-05", "IMP-07")
def test_a_hostile_row_is_set_aside(tx):
    """IMP-05, IMP-07: a row that raises whenever it is touched is set aside after its tries and listed.

    The other rows of this import and of the next are entered.
    """
    one, two = uuid.uuid4(), uuid.uuid4()
    send(tx, rows(20, one))
    send(tx, rows(5, two, start=72_000_000))
    tx.execute(
        sa.text("UPDATE import_rows SET row_sealed = 'nonsense' WHERE import_id = :id AND number = 11"),
        {"id": one},
    )
    database = SimpleNamespace(transaction=lambda: nested(tx))
    pieces = background.Pieces("members", "imports", 8, imports._enter, imports.give_up)
    raised = 0
    for _ in range(100):
        try:
            if not pieces.turn(database):
                break
        except Exception:
            raised += 1
    assert raised == background.TRIES - 1
    assert (progress(tx, one).entered, progress(tx, one).failed, progress(tx, two).entered) == (19, 1, 5)
    assert [(row.number, row.problem[:6]) for row in progress(tx, one, after=0).failures] == [
        (11, "系统内部错误")
    ]


@contextmanager
def nested(tx):
    with tx.begin_nested():
        yield tx
