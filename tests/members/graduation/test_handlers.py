"""Graduation on a real database: who marks what, the yearly switch, corrections, members who do not leave."""

import json
import threading
from datetime import date

import pytest
import sqlalchemy as sa

from services.members import handlers
from services.members.graduation import handlers as graduation
from services.members.graduation import rules as graduation_rules
from services.members.graduation import store as graduation_store
from shared import clock
from shared.messages.members import ListBranchMarks
from tests.members.factories import (
    AT,
    BRANCH,
    CLASS,
    COLLEGE,
    DEEP,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    THREE,
    TWO,
    XINJIANG,
    admin,
    assigned,
    request,
)
from tests.members.graduation.factories import NEXT, THIS, YEAR, mark, mark_member, seen

pytestmark = pytest.mark.usefixtures("moment")


def told(tx) -> list[tuple[int, bool, int]]:
    return [
        (item["branch_id"], item["graduate"], item["version"])
        for row in tx.execute(sa.text("SELECT body FROM outbox WHERE topic = 'branch_graduated' ORDER BY id"))
        for item in json.loads(row.body)
    ]


@pytest.mark.rule("GRAD-04", "GRAD-05", "ROLE-05")
@pytest.mark.parametrize(
    ("org", "branch", "code"),
    [
        (SCHOOL, CLASS, None),
        (SCHOOL, DEEP, None),
        (COLLEGE, DEEP, None),
        (ROOT, XINJIANG, None),
        (ROOT, CLASS, "not_your_org"),
        (CLASS, CLASS, "not_your_org"),
        (TARGET, CLASS, "not_your_org"),
        (SCHOOL, COLLEGE, "branch_unknown"),
        (SCHOOL, 999, "branch_unknown"),
    ],
)
def test_who_marks_branches(tx, org, branch, code):
    """GRAD-04, GRAD-05: committee kinds above a branch mark it, or its direct superior of any kind.

    Never the branch itself.

    ROLE-05: the branch's own administrator is refused.
    """
    answer = mark(tx, branch, NEXT, org=org)

    assert (answer.refusal and answer.refusal.code) == code


@pytest.mark.rule("GRAD-04", "GRAD-05", "GRAD-18")
@pytest.mark.parametrize(
    ("industry", "code"),
    [("普通高等院校", None), ("小学", None), ("", "not_your_org"), ("党政机关", "not_your_org")],
)
def test_only_the_school_domain_marks(tx, industry, code):
    """GRAD-04, GRAD-18: a committee above a school but outside the school domain marks nobody.

    Neither branches nor members; a township's committee is one.

    GRAD-05: as the direct superior of a branch it does, whatever its domain.
    """
    mark(tx, DEEP, THIS, org=COLLEGE)
    tx.execute(
        sa.text("UPDATE org_directory SET industry = :industry WHERE org_id = :org"),
        {"industry": industry, "org": SCHOOL},
    )

    said = mark(tx, DEEP, NEXT, org=SCHOOL).refusal
    assert (said and said.code) == code
    mark(tx, DEEP, THIS, org=COLLEGE)
    assert mark_member(tx, THREE, "teacher", org=SCHOOL) == code
    assert mark(tx, CLASS, NEXT, org=SCHOOL).refusal is None


@pytest.mark.rule("GRAD-03", "GRAD-12")
def test_due_at_once(tx):
    """GRAD-12: a time in this year, past the yearly moment, makes the branch a graduates' organisation.

    Its members are flagged.
    """
    answer = mark(tx, CLASS, THIS)

    assert (answer.graduate, answer.members) == (True, 2)
    assert seen(tx, ONE) == seen(tx, TWO) == (True, "", date(YEAR, 6, 30)) and seen(tx, THREE) == (
        False,
        "",
        None,
    )
    assert told(tx) == [(CLASS, True, 2)]


@pytest.mark.rule("GRAD-12")
def test_waits_for_its_year(tx):
    """GRAD-12: a later time waits.

    The switch at the moment of its year is done once, however often the clock looks.
    """
    answer = mark(tx, CLASS, NEXT)
    assert (answer.graduate, answer.members, seen(tx)) == (False, 0, (False, "", None))

    assert graduation_store.convert(tx, date(YEAR, 12, 31), clock.now(), 100) == {}
    assert graduation_store.convert(tx, date(YEAR + 1, 12, 31), clock.now(), 100) == {CLASS: 2}
    assert graduation_store.convert(tx, date(YEAR + 1, 12, 31), clock.now(), 100) == {}
    assert seen(tx) == (True, "", date(YEAR + 1, 6, 30)) and told(tx) == [(CLASS, True, 2)]


@pytest.mark.rule("GRAD-12")
@pytest.mark.parametrize(
    ("today", "until"),
    [
        (date(2026, 4, 30), date(2025, 12, 31)),
        (date(2026, 5, 1), date(2026, 12, 31)),
        (date(2026, 12, 31), date(2026, 12, 31)),
        (date(2027, 1, 1), date(2026, 12, 31)),
    ],
)
def test_yearly_moment(today, until):
    """GRAD-12: from the first of May on the branches of the year are due.

    Before it those of earlier years.
    """
    assert graduation_rules.due_until(today, (5, 1)) == until


@pytest.mark.rule("GRAD-03", "GRAD-02")
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (date(2024, 6, 1), date(2024, 6, 30)),
        (date(2022, 6, 30), date(2022, 6, 30)),
        (date(2022, 12, 15), date(2022, 12, 31)),
        (date(2023, 1, 1), date(2023, 1, 31)),
        (date(2023, 2, 28), date(2023, 2, 28)),
        (date(2024, 2, 1), date(2024, 2, 29)),
    ],
)
def test_a_time_of_graduation_is_a_month(tx, given, stored):
    """GRAD-02, GRAD-03: year and month, by the length of schooling, for branch and members.

    Any day of June 2024, December 2022 or January 2023 becomes the last of its month.
    """
    assert mark(tx, CLASS, given).refusal is None
    assert graduation_store.marks(tx, [CLASS])[CLASS].graduates_on == stored
    assert seen(tx) == (True, "", stored)


@pytest.mark.rule("GRAD-07")
@pytest.mark.parametrize(("on", "reason"), [(None, ""), (THIS, "mixed"), (None, "holiday")])
def test_time_or_reason(tx, on, reason):
    """GRAD-07: a time of graduation or a reason why there is none, not both, not neither."""
    assert mark(tx, CLASS, on, reason).refusal.code == "mark_incomplete"


@pytest.mark.rule("GRAD-14")
def test_correction_before_and_after_the_switch(tx):
    """GRAD-14: a later year takes the switch back, members and all, as long as nobody has started.

    The versions of what is told rise.
    """
    mark(tx, CLASS, THIS)
    answer = mark(tx, CLASS, NEXT)

    assert (answer.refusal, answer.graduate, seen(tx)) == (None, False, (False, "", None))
    assert told(tx) == [(CLASS, True, 2), (CLASS, False, 3)]
    assert mark(tx, CLASS, THIS).graduate and told(tx)[-1] == (CLASS, True, 4)


@pytest.mark.rule("GRAD-14")
@pytest.mark.parametrize("left", [False, True])
def test_no_correction_once_started(tx, left):
    """GRAD-14: with a transfer of a member open, or a member gone, a later year is refused.

    Another month of the same year is not.
    """
    mark(tx, CLASS, THIS)
    handlers.on_transfer_requested(tx, [request(10)])
    if left:
        handlers.on_branch_assigned(tx, [assigned(10)])

    assert mark(tx, CLASS, NEXT).refusal.code == "graduation_started"
    assert mark(tx, CLASS, None, "mixed").refusal.code == "graduation_started"
    assert mark(tx, CLASS, date(YEAR, 12, 1)).refusal is None
    assert seen(tx, TWO) == (True, "", date(YEAR, 12, 31))


@pytest.mark.rule("GRAD-10", "GRAD-11", "GRAD-13")
def test_mixed_branch(tx):
    """GRAD-11, GRAD-13: in a mixed branch each member has a time of the own; the branch stays what it is.

    GRAD-10: a branch or a single member is marked.
    """
    assert mark_member(tx, ONE, "own", THIS) == "branch_not_mixed"
    mark(tx, CLASS, None, "mixed")

    assert (
        mark_member(tx, ONE, "own", THIS),
        mark_member(tx, TWO, "own", NEXT),
        mark_member(tx, TWO, "own"),
    ) == (None, None, "field_missing")
    assert (seen(tx, ONE), seen(tx, TWO)) == (
        (True, "own", date(YEAR, 6, 30)),
        (False, "own", date(YEAR + 1, 6, 30)),
    )
    assert told(tx) == []
    assert (
        graduation_store.convert_members(tx, date(YEAR + 1, 12, 31), clock.now(), 100),
        seen(tx, TWO)[0],
    ) == (1, True)
    assert mark_member(tx, ONE, "") is None and seen(tx, ONE) == (False, "", None)


@pytest.mark.rule("GRAD-16", "GRAD-19", "GRAD-20", "GRAD-21", "GRAD-23", "GRAD-25")
def test_delayed(tx):
    """GRAD-16..25: the branch is marked first, then the member, for a later time and with a reason.

    The mark is taken back, or the member is due again in the year of the mark.
    """
    assert mark_member(tx, ONE, "delayed", NEXT, "补考") == "branch_not_graduate"
    mark(tx, CLASS, THIS)

    assert mark_member(tx, ONE, "delayed", date(YEAR, 6, 1), "补考") == "delay_too_short"
    assert (
        mark_member(tx, ONE, "delayed", NEXT)
        == mark_member(tx, ONE, "delayed", None, "补考")
        == "field_missing"
    )
    assert mark_member(tx, ONE, "delayed", NEXT, "补考") is None
    assert seen(tx) == (False, "delayed", date(YEAR + 1, 6, 30))
    assert mark_member(tx, ONE, "") is None and seen(tx) == (True, "", date(YEAR, 6, 30))
    assert mark_member(tx, ONE, "delayed", date(YEAR, 7, 1), "补考") is None
    assert graduation_store.convert_members(tx, date(YEAR, 12, 31), clock.now(), 100) == 1 and seen(tx)[0]


@pytest.mark.rule("GRAD-16", "GRAD-21")
def test_teacher(tx):
    """GRAD-16, GRAD-21: a teacher is no graduate and needs no time.

    Taken back, the teacher becomes an ordinary graduate again.
    """
    mark(tx, CLASS, THIS)

    assert mark_member(tx, ONE, "teacher") is None and seen(tx) == (False, "teacher", None)
    assert mark_member(tx, ONE, "") is None and seen(tx) == (True, "", date(YEAR, 6, 30))
    assert mark_member(tx, ONE, "captain") == "mark_unknown"


@pytest.mark.rule("GRAD-24")
def test_open_transfer_blocks_the_mark(tx):
    """GRAD-24: a member with an open transfer is not marked as delayed, and says so."""
    mark(tx, CLASS, THIS)
    handlers.on_transfer_requested(tx, [request(10)])

    assert (
        mark_member(tx, ONE, "delayed", NEXT, "补考") == "transfer_open"
        and mark_member(tx, TWO, "delayed", NEXT, "补考") is None
    )


@pytest.mark.rule("GRAD-18")
@pytest.mark.parametrize(
    ("org", "code", "without"),
    [
        (CLASS, None, "not_your_org"),
        (SCHOOL, None, None),
        (TARGET, "not_your_org", "not_your_org"),
        (BRANCH, "not_your_org", "not_your_org"),
    ],
)
def test_who_marks_members(tx, configure, org, code, without):
    """GRAD-18: the branch itself, where the setting allows, and who may mark the branch; nobody else."""
    mark(tx, CLASS, THIS)

    assert mark_member(tx, ONE, "teacher", org=org) == code
    configure(TUANQIAO_MEMBER_MARK_BY_BRANCH="false")
    assert mark_member(tx, ONE, "teacher", org=org) == without


@pytest.mark.rule("TRF-35")
def test_a_move_ends_marks(tx):
    """TRF-35: a marked member is transferred as usual, and arrives without a mark."""
    mark(tx, CLASS, THIS)
    mark_member(tx, ONE, "teacher")
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_branch_assigned(tx, [assigned(10)])

    assert seen(tx) == (False, "", None)


@pytest.mark.rule("GRAD-32")
def test_unmarked_branches(tx):
    """GRAD-32: branches below that have neither a time nor a reason, in pages."""

    def listed(**values):
        return [
            one.branch_id
            for one in graduation.list_branch_marks(
                tx, ListBranchMarks(unmarked_only=True, **values), admin(SCHOOL)
            )
        ]

    assert listed() == [CLASS, DEEP] and listed(after=CLASS) == [DEEP] and listed(limit=1) == [CLASS]
    named = {
        one.branch_id: one.name for one in graduation.list_branch_marks(tx, ListBranchMarks(), admin(SCHOOL))
    }
    assert listed(name=named[DEEP][-1:]) == [DEEP] and listed(name="没有这个名称") == []
    mark(tx, CLASS, None, "teachers")
    assert listed() == [DEEP]


@pytest.mark.rule("GRAD-09", "GRAD-04", "GRAD-05")
@pytest.mark.parametrize(
    ("org", "marks"),
    [
        (SCHOOL, {CLASS: True, DEEP: True}),
        (COLLEGE, {DEEP: True}),
        (CLASS, {CLASS: False}),
        (ROOT, {CLASS: False, DEEP: False, XINJIANG: True, BRANCH: False}),
    ],
)
def test_the_list_says_who_may_be_marked(tx, org, marks):
    """GRAD-09, GRAD-04, GRAD-05: the list says of each branch whether the acting organisation marks it.

    Never itself; from outside the school domain only as the direct superior.
    """
    shown = graduation.list_branch_marks(tx, ListBranchMarks(), admin(org))
    assert {one.branch_id: one.may_mark for one in shown} == marks
    for one in shown:
        assert (mark(tx, one.branch_id, NEXT, org=org).refusal is None) is one.may_mark


@pytest.mark.rule("GRAD-08")
def test_marked_state_is_shown(tx):
    """GRAD-08: the list shows each branch's time or reason, and whether it is a graduates' organisation."""
    mark(tx, CLASS, THIS)
    mark(tx, DEEP, None, "teachers")

    shown = graduation.list_branch_marks(tx, ListBranchMarks(), admin(SCHOOL))
    assert [(one.branch_id, one.graduates_on, one.reason, one.graduate) for one in shown] == [
        (CLASS, date(YEAR, 6, 30), "", True),
        (DEEP, None, "teachers", False),
    ]


@pytest.mark.rule("GRAD-12", "BEY-08")
def test_many_branches_by_two_workers(engine):
    """GRAD-12: 5,000 due branches, two workers in pieces of 300: each branch is switched and told once."""
    with engine.begin() as tx:
        graduation_store.mark_branches(
            tx,
            [
                {"branch_id": 10**6 + n, "graduates_on": date(2020, 6, 30), "reason": "", "marked_by": 1}
                for n in range(5000)
            ],
            AT,
        )
    done: list[int] = []

    def work() -> None:
        while True:
            with engine.begin() as tx:
                some = graduation_store.convert(tx, date(2020, 12, 31), AT, 300)
            if not some:
                return
            done.extend(some)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with engine.begin() as tx:
        said = [branch for branch, _, _ in told(tx)]
        tx.execute(sa.text("TRUNCATE outbox, branch_marks"))

    assert sorted(done) == sorted(said) == [10**6 + n for n in range(5000)]
