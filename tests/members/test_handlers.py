"""The use cases on a real database: holding, moving, releasing, entering, seeing."""

import json
import random
import threading
import time
import uuid
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from services.members import handlers, store
from services.members.accounts import handlers as accounts
from services.members.accounts import store as accounts_store
from services.members.entering import handlers as entering
from services.members.records import showing
from services.members.records import store as records_store
from services.members.sealing.keys import sealed
from shared import clock, directory
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor, Verifier
from shared.messages.members import Admission, DescribePeople, ListMembers, LookUp, WhoAmI
from shared.messages.orgs import AdministratorChanged
from shared.messages.transfers import TransferRejected, TransferReturned, TransferWithdrawn
from system.synthetic import people
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
    admit,
    assigned,
    number,
    person,
    request,
)


def told(tx) -> list[tuple]:
    """Return what was said since the last call: topic, transfer, and code or branch."""
    rows = tx.execute(
        sa.text("WITH gone AS (DELETE FROM outbox RETURNING *) SELECT topic, body FROM gone ORDER BY id")
    ).all()
    return sorted(
        (row.topic, item["transfer_id"], item.get("code", item.get("branch_id")))
        for row in rows
        for item in json.loads(row.body)
    )


def held(tx, member=ONE):
    row = store.by_ids(tx, [member])[member]
    return row.branch_id, row.reserved_by, row.reserved_target_id


def stays(tx, member=ONE) -> list[tuple]:
    return [
        (stay.branch_id, stay.began_at, stay.ended_at, stay.transfer_id) for stay in store.stays(tx, member)
    ]


# ---- the saga ------------------------------------------------------------------------------------


@pytest.mark.rule("TRF-02")
def test_reserve(tx):
    """TRF-02: a member is held for the transfer that asks first."""
    handlers.on_transfer_requested(tx, [request(10), request(11, TWO)])

    bodies = tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = 'member_reserved'"))
    names = {item["member_id"]: item["name"] for body in bodies for item in json.loads(body)}
    assert names == {one: row.name for one, row in store.by_ids(tx, [ONE, TWO]).items()}
    assert told(tx) == [("member_reserved", 10, None), ("member_reserved", 11, None)]
    assert held(tx) == (CLASS, 10, TARGET)


@pytest.mark.rule("TRF-02")
def test_reserve_once_in_a_batch(tx):
    """TRF-02: of two transfers of one member in one batch exactly one is held."""
    handlers.on_transfer_requested(tx, [request(10), request(11), request(12, TWO)])

    said = told(tx)
    winner = held(tx)[1]
    assert winner in (10, 11)
    assert said == sorted(
        [
            ("member_reserved", winner, None),
            ("member_reserved", 12, None),
            ("reservation_refused", 21 - winner, "transfer_open"),
        ]
    )


@pytest.mark.rule("GRAD-15", "GRAD-17")
@pytest.mark.parametrize(
    "graduate, kind, code",
    [
        (True, "graduate", None),
        (True, "ordinary", "graduate_reason_needed"),
        (True, "any", None),
        (False, "ordinary", None),
        (False, "graduate", "ordinary_reason_needed"),
        (False, "any", None),
    ],
)
def test_the_reason_fits_the_member(tx, graduate, kind, code):
    """GRAD-15, GRAD-17: graduates leave with a graduate's reason, everybody else with an ordinary one.

    Marked members are among the others; a repeated request is answered alike.
    """
    tx.execute(
        sa.text("UPDATE people SET graduate = :graduate, mark = :mark WHERE person_id = :one"),
        {"graduate": graduate, "mark": "" if graduate else "delayed", "one": ONE},
    )
    for _ in range(2):
        handlers.on_transfer_requested(tx, [request(10, kind=kind)])
        assert told(tx) == (
            [("member_reserved", 10, None)] if code is None else [("reservation_refused", 10, code)]
        )


@pytest.mark.rule("TYPE-21", "GRAD-17")
@pytest.mark.parametrize(
    "mark, graduate, kind, code",
    [
        ("", False, "outward", "drop_out_needed"),
        ("delayed", False, "outward", None),
        ("teacher", False, "outward", None),
        ("", False, "drop_out", None),
        ("", True, "drop_out", "graduate_reason_needed"),
        ("", True, "outward", "graduate_reason_needed"),
    ],
)
def test_students_who_leave_drop_out(tx, mark, graduate, kind, code):
    """TYPE-21, GRAD-17: only delayed graduates and teachers leave the schools with an ordinary reason.

    A student drops out, a graduate does neither.
    """
    tx.execute(
        sa.text("UPDATE people SET graduate = :graduate, mark = :mark WHERE person_id = :one"),
        {"graduate": graduate, "mark": mark, "one": ONE},
    )
    for _ in range(2):
        handlers.on_transfer_requested(tx, [request(10, kind=kind)])
        assert told(tx) == [
            ("member_reserved", 10, None) if code is None else ("reservation_refused", 10, code)
        ]


@pytest.mark.rule("GRAD-33", "TYPE-14")
@pytest.mark.parametrize(
    "kind, state, code",
    [
        ("abroad", "approved", None),
        ("abroad", "requested", "abroad_request_missing"),
        ("abroad", "ended", "abroad_request_missing"),
        ("retained", "approved", "abroad_request_missing"),
        (None, "", "abroad_request_missing"),
    ],
)
def test_abroad_only_with_an_approved_request(tx, kind, state, code):
    """GRAD-33, TYPE-14: the study-abroad branch takes the graduate whose own request the school approved.

    Not one whose request is only asked, ended or of another kind.
    """
    tx.execute(
        sa.text("UPDATE people SET graduate = true WHERE person_id IN (:one, :two)"), {"one": ONE, "two": TWO}
    )
    if kind:
        tx.execute(
            sa.text(
                "INSERT INTO retentions"
                " (command_id, member_id, branch_id, kind, since, until,"
                " place, contact_name, reason, state, requested_by, requested_at)"
                " VALUES (gen_random_uuid(), :one, :branch, :kind, '2026-09-01', '2027-09-01',"
                " '', '', '', :state, 1, now())"
            ),
            {"one": ONE, "branch": CLASS, "kind": kind, "state": state},
        )
    handlers.on_transfer_requested(tx, [request(10, kind="abroad"), request(11, TWO, kind="abroad")])
    assert told(tx) == sorted(
        [
            ("member_reserved", 10, None) if code is None else ("reservation_refused", 10, code),
            ("reservation_refused", 11, "abroad_request_missing"),
        ]
    )


@pytest.mark.rule("GRAD-22")
@pytest.mark.parametrize(
    "setting, code",
    [("", None), ("none", "delayed_elsewhere"), ("delayed,ordinary", None), ("delayed", "delayed_elsewhere")],
)
def test_where_delayed_graduates_stay(tx, configure, setting, code):
    """GRAD-22: a setting says to which branches a delayed graduate may go.

    Everybody else goes anywhere.
    """
    configure(TUANQIAO_DELAYED_DESTINATION=setting)
    tx.execute(sa.text("UPDATE people SET mark = 'delayed' WHERE person_id = :one"), {"one": ONE})
    handlers.on_transfer_requested(tx, [request(10, kind="ordinary"), request(11, TWO, kind="ordinary")])
    assert told(tx) == sorted(
        [
            ("member_reserved", 10, None) if code is None else ("reservation_refused", 10, code),
            ("member_reserved", 11, None),
        ]
    )


@pytest.mark.rule("TRF-02")
def test_reserve_again(tx):
    """TRF-02: the same request again, alone or twice in a batch, is answered again and changes nothing."""
    handlers.on_transfer_requested(tx, [request(10), request(10)])
    assert told(tx) == [("member_reserved", 10, None)]

    handlers.on_transfer_requested(tx, [request(10)])
    assert told(tx) == [("member_reserved", 10, None)]
    assert held(tx) == (CLASS, 10, TARGET)


@pytest.mark.parametrize(
    "asked, code",
    [
        pytest.param(request(11), "transfer_open", marks=pytest.mark.rule("TRF-02")),
        pytest.param(request(11, TWO, BRANCH), "member_elsewhere", marks=pytest.mark.rule("MEM-01")),
        pytest.param(request(11, 999), "unknown_member", marks=pytest.mark.rule("TRF-06")),
        pytest.param(request(11, 50), "member_elsewhere", marks=pytest.mark.rule("MEM-01", "ROLE-11")),
    ],
)
def test_reserve_refused(tx, asked, code):
    """TRF-02, MEM-01: a member who is held, elsewhere, without a branch or unknown is not held again.

    The transfer hears why.
    """
    entering.enter_trusted(tx, [(50, person(50, 0))])
    handlers.on_transfer_requested(tx, [request(10)])
    told(tx)

    handlers.on_transfer_requested(tx, [asked])

    assert told(tx) == [("reservation_refused", 11, code)]
    assert held(tx) == (CLASS, 10, TARGET)


@pytest.mark.rule("TRF-02")
def test_reserve_at_the_same_moment(engine):
    """TRF-02: of two transactions that ask for one member at the same moment exactly one gets the member."""
    with engine.connect() as one, engine.connect() as two:
        first, second = one.begin(), two.begin()
        handlers.on_transfer_requested(one, [request(10)])
        other = threading.Thread(target=handlers.on_transfer_requested, args=(two, [request(11)]))
        other.start()
        time.sleep(0.2)
        assert other.is_alive()
        first.commit()
        other.join(10)
        assert told(two) == [("member_reserved", 10, None), ("reservation_refused", 11, "transfer_open")]
        second.commit()
    with engine.begin() as tx:
        assert held(tx) == (CLASS, 10, TARGET)
        store.release(tx, [TransferWithdrawn(transfer_id=10, member_id=ONE)])


@pytest.mark.rule("TRF-35", "MEM-01", "BEY-09")
def test_move(tx):
    """TRF-35: completion changes the branch and ends the graduate mark.

    It ends the old stay on the instant the new one begins.
    """
    tx.execute(sa.text("UPDATE people SET graduate = true"))
    handlers.on_transfer_requested(tx, [request(10)])
    told(tx)

    handlers.on_branch_assigned(tx, [assigned(10)])

    assert told(tx) == [("member_moved", 10, BRANCH)]
    assert held(tx) == (BRANCH, None, None)
    assert stays(tx) == [(BRANCH, AT, None, 10), (CLASS, AT - timedelta(days=999), AT, None)]
    assert [store.by_ids(tx, [one])[one].graduate for one in (ONE, TWO)] == [False, True]


@pytest.mark.rule("TRF-35")
def test_move_again(tx):
    """TRF-35: the same assignment again, alone or twice in a batch, is answered again and moves nobody."""
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_branch_assigned(tx, [assigned(10), assigned(10)])
    after = stays(tx)
    told(tx)

    handlers.on_transfer_requested(tx, [request(20, ONE, BRANCH, CLASS)])
    told(tx)
    handlers.on_branch_assigned(tx, [assigned(10)])

    assert told(tx) == [("member_moved", 10, BRANCH)]
    assert stays(tx) == after
    assert len(after) == 2
    assert held(tx) == (BRANCH, 20, CLASS)


@pytest.mark.rule("MEM-01")
def test_move_of_a_stranger(tx):
    """MEM-01: an assignment of a transfer that does not hold the member moves nobody and says nothing."""
    handlers.on_transfer_requested(tx, [request(10)])
    told(tx)

    handlers.on_branch_assigned(tx, [assigned(11), assigned(12, TWO)])

    assert told(tx) == []
    assert held(tx) == (CLASS, 10, TARGET)
    assert len(stays(tx)) == 1


@pytest.mark.rule("TRF-35", "BEY-05")
def test_many_at_once(tx):
    """BEY-05: a long list is held and moved by one statement each, and told in messages of at most 500."""
    rows = [
        (
            2000 + n,
            person(
                n % 999, id_number=number(n % 999, 2001 + n // 999), development_number=f"2020{1000 + n:08d}"
            ),
        )
        for n in range(1200)
    ]
    entering.seed_people(tx, rows)

    handlers.on_transfer_requested(tx, [request(n, n) for n, _ in rows])
    handlers.on_branch_assigned(tx, [assigned(n, n) for n, _ in rows])

    sizes = [
        (row.topic, len(json.loads(row.body)))
        for row in tx.execute(sa.text("SELECT topic, body FROM outbox ORDER BY topic, id"))
    ]
    assert sorted(sizes) == [
        ("member_moved", 200),
        ("member_moved", 500),
        ("member_moved", 500),
        ("member_reserved", 200),
        ("member_reserved", 500),
        ("member_reserved", 500),
    ]
    assert (
        tx.scalar(
            sa.text("SELECT count(*) FROM memberships WHERE branch_id = :branch AND ended_at IS NULL"),
            {"branch": BRANCH},
        )
        == 1200
    )


@pytest.mark.rule("TRF-25", "TRF-28", "DL-05")
@pytest.mark.parametrize("event", [TransferRejected, TransferReturned, TransferWithdrawn])
def test_release(tx, event):
    """TRF-25: a transfer that ends without a move lets its own member go, and nobody else.

    Repeated it does no harm.
    """
    handlers.on_transfer_requested(tx, [request(10), request(11, TWO)])
    told(tx)
    ended = [event(transfer_id=10, member_id=ONE), event(transfer_id=99, member_id=TWO)]

    handlers.on_ended(tx, ended)
    handlers.on_ended(tx, ended)

    assert held(tx) == (CLASS, None, None)
    assert held(tx, TWO) == (CLASS, 11, TARGET)
    assert told(tx) == []
    handlers.on_transfer_requested(tx, [request(12)])
    assert told(tx) == [("member_reserved", 12, None)]


@pytest.mark.rule("MEM-01")
def test_one_open_stay(tx):
    """MEM-01: the database itself refuses a second open stay."""
    with pytest.raises(sa.exc.IntegrityError, match="uq_memberships_one_open"):
        tx.execute(
            sa.text("INSERT INTO memberships (person_id, branch_id, began_at) VALUES (:person, 5, now())"),
            {"person": ONE},
        )


def codes(answers) -> list[str | None]:
    return [one.refusal and one.refusal.code for one in answers]


@pytest.mark.rule("IMP-10", "IMP-08", "MEM-17", "ACC-04", "ACC-01")
def test_admit(tx):
    """IMP-10: a person who is entered has an account with the initial password and an open stay.

    The identity is not yet checked.
    """
    (answer,) = admit(tx, person(20, name=" 李四 ", id_number=" " + number(20).lower()))

    row = store.by_ids(tx, [answer.member_id])[answer.member_id]
    assert (row.name, row.branch_id, row.identity_check, row.joined_on) == (
        "李四",
        CLASS,
        "unchecked",
        date(2020, 5, 4),
    )
    assert accounts.keys.seal.open(row.id_sealed) == number(20)
    assert accounts_store.account(tx, answer.member_id).password_hash is None
    assert [stay[0] for stay in stays(tx, answer.member_id)] == [CLASS]
    assert answer.member_id > THREE


@pytest.mark.parametrize(
    "values, code",
    [
        pytest.param({"name": "  "}, "name_missing", marks=pytest.mark.rule("IMP-08")),
        pytest.param({"id_number": "420106200501050000"}, "id_invalid", marks=pytest.mark.rule("IMP-08")),
        pytest.param({"id_number": number(1)}, "id_registered", marks=pytest.mark.rule("ACC-11", "IMP-13")),
        pytest.param({"id_number": number(21, 1990)}, "age_out_of_range", marks=pytest.mark.rule("MEM-04")),
        pytest.param(
            {"id_number": number(21, 1990), "post": " "}, "age_out_of_range", marks=pytest.mark.rule("MEM-04")
        ),
        pytest.param(
            {"id_number": number(21, 1990), "post": "secretary"},
            None,
            marks=pytest.mark.rule("MEM-04", "ROLE-12"),
        ),
        pytest.param({"post": "书记"}, "post_unknown", marks=pytest.mark.rule("CADRE-05")),
        pytest.param({"joined_on": None}, "joined_on_missing", marks=pytest.mark.rule("IMP-08")),
        pytest.param(
            {
                "joined_on": date(2018, 5, 4),
                "development_number": "201800000021",
                "id_number": number(21, 2006),
            },
            "joined_too_young",
            marks=pytest.mark.rule("MEM-05"),
        ),
        pytest.param(
            {"development_number": ""}, "development_number_missing", marks=pytest.mark.rule("MEM-08")
        ),
        pytest.param(
            {"development_number": "201900000021"},
            "development_number_year",
            marks=pytest.mark.rule("MEM-10"),
        ),
        pytest.param(
            {"development_number": "202000000001"},
            "development_number_used",
            marks=pytest.mark.rule("MEM-09"),
        ),
        pytest.param({"branch_id": SCHOOL}, "branch_unknown", marks=pytest.mark.rule("IMP-11")),
        pytest.param({"branch_id": 404}, "branch_unknown", marks=pytest.mark.rule("IMP-11")),
        pytest.param({"branch_id": BRANCH}, "not_your_org", marks=pytest.mark.rule("MEM-29")),
    ],
)
def test_admit_refused(tx, values, code):
    """IMP-05, IMP-06: a bad row is refused with its reason while its neighbours are stored."""
    good, bad, other = admit(tx, person(22), person(21, **values), person(23))

    assert codes([good, bad, other]) == [None, code, None]
    assert bool(bad.reason) == (code is not None)
    assert good.member_id and other.member_id


@pytest.mark.rule("MEM-29", "IMP-11", "ROLE-06", "ROLE-16")
@pytest.mark.parametrize(
    "org, branch, code",
    [
        (CLASS, CLASS, None),
        (SCHOOL, CLASS, None),
        (ROOT, CLASS, "not_your_org"),
        (COLLEGE, DEEP, None),
        (SCHOOL, DEEP, "not_your_org"),
    ],
)
def test_who_may_admit(tx, org, branch, code):
    """MEM-29: members are entered by their branch or its direct superior, never from higher up."""
    assert codes(admit(tx, person(24, branch), org=org)) == [code]


@pytest.mark.rule("ROLE-04", "ADM-06")
def test_admit_needs_a_right(tx):
    """ROLE-04: who does not administer the organisation, or no longer, enters nobody."""
    assert (
        codes(entering.admit(tx, [Asked(person(25), Actor(ONE, CLASS)), Asked(person(26), Actor(103))]))
        == ["not_administrator"] * 2
    )

    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=CLASS, person_id=103, active=False, version=2)]
    )
    assert codes(admit(tx, person(25))) == ["not_administrator"]


@pytest.mark.rule("IMP-05", "BEY-05")
def test_admit_again(tx):
    """IMP-05: the same command again gets the same answer and enters nobody twice.

    In the same list or later.
    """
    item = person(27)

    first = admit(tx, item, item, person(28))
    again = admit(tx, item, person(27))

    assert first[0].member_id == first[1].member_id == again[0].member_id
    assert codes(again) == [None, "id_registered"]
    assert tx.scalar(sa.text("SELECT count(*) FROM people WHERE person_id > :last"), {"last": THREE}) == 2


@pytest.mark.rule("IMP-08", "ACC-11", "MEM-09")
def test_admit_twins_in_one_list(tx):
    """ACC-11, MEM-09: two rows with the same number or the same development number: the first is entered."""
    answers = admit(
        tx,
        person(29),
        person(29, development_number="202000009999"),
        person(30, development_number="202000000029"),
    )

    assert codes(answers) == [None, "id_registered", "development_number_used"]


@pytest.mark.rule("ACC-11", "IMP-05")
@pytest.mark.parametrize("same_command", [True, False])
def test_admit_at_the_same_moment(engine, same_command):
    """ACC-11: of two calls that enter one person at the same moment one does.

    The repeat of a call gets its answer.
    """
    item = person(40 + same_command)
    other_item = item if same_command else person(40)
    answers = []
    with engine.connect() as one, engine.connect() as two:
        first, second = one.begin(), two.begin()
        (answer,) = admit(one, item)
        other = threading.Thread(target=lambda: answers.extend(admit(two, other_item)))
        other.start()
        time.sleep(0.2)
        first.commit()
        other.join(10)
        second.commit()

    assert answer.member_id
    assert codes(answers) == [None if same_command else "id_registered"]
    assert not same_command or answers == [answer]


@pytest.mark.rule("MEM-06", "MEM-08")
def test_admit_in_xinjiang(tx):
    """MEM-06: in Xinjiang thirteen is enough whatever the year."""
    values = {
        "joined_on": date(2019, 5, 4),
        "development_number": "201900000031",
        "id_number": number(31, 2006),
    }

    assert codes(admit(tx, person(31, XINJIANG, **values), org=XINJIANG)) == [None]
    assert codes(admit(tx, person(31, CLASS, **{**values, "id_number": number(32, 2006)}))) == [
        "joined_too_young"
    ]


# ---- seeing --------------------------------------------------------------------------------------


@pytest.mark.rule("TRF-05")
def test_look_up(tx, keys):
    """TRF-05: an exact match shows the branch and gives a ticket, good for an hour.

    For this member, this branch and this finder.
    """
    found = showing.look_up(tx, LookUp(name=" 王二 ", id_number=number(1).lower()), admin(TARGET))

    assert (found.member_id, found.branch_id, found.name) == (ONE, CLASS, "王二")
    claims = Verifier(keys).claims("member_ticket", found.ticket)
    assert (claims["sub"], claims["org"], claims["branch"]) == (str(ONE), TARGET, CLASS)
    clock.advance(timedelta(hours=1, seconds=1))
    with pytest.raises(Refused):
        Verifier(keys).claims("member_ticket", found.ticket)


@pytest.mark.rule("TRF-06")
@pytest.mark.parametrize(
    "name, id_number, actor, code",
    [
        ("王三", number(1), admin(TARGET), "unknown_member"),
        ("王二", number(2), admin(TARGET), "unknown_member"),
        ("", "", admin(TARGET), "unknown_member"),
        ("王", number(1), admin(TARGET), "unknown_member"),
        ("王二", number(1), Actor(ONE, TARGET), "not_administrator"),
        ("王二", number(1), Actor(ONE), "not_administrator"),
    ],
)
def test_look_up_refused(tx, name, id_number, actor, code):
    """TRF-06: a pair that does not match shows nothing; only administrators look up."""
    with pytest.raises(Refused) as caught:
        showing.look_up(tx, LookUp(name=name, id_number=id_number), actor)
    assert caught.value.code == code


@pytest.mark.rule("MEM-28", "MEM-32", "SRCH-03")
@pytest.mark.parametrize("org", [CLASS, SCHOOL, ROOT])
def test_list_members(tx, org):
    """MEM-28, SRCH-03: administrators of the branch and of those above see its members, numbers masked."""
    members = showing.list_members(tx, ListMembers(branch_id=CLASS), admin(org))

    assert [one.member_id for one in members][:2] == [ONE, TWO]
    assert (members[0].name, members[0].phone, members[0].id_masked) == (
        "王二",
        "19900000001",
        number(1)[:4] + "*" * 13 + number(1)[-1],
    )


@pytest.mark.rule("SRCH-06", "ROLE-16")
@pytest.mark.parametrize(
    "actor, branch, code",
    [
        (admin(TARGET), CLASS, "not_your_org"),
        (admin(COLLEGE), CLASS, "not_your_org"),
        (admin(CLASS), DEEP, "not_your_org"),
        (Actor(ONE, CLASS), CLASS, "not_administrator"),
        (admin(SCHOOL), 404, "unknown_org"),
    ],
)
def test_list_members_refused(tx, actor, branch, code):
    """SRCH-06: nobody lists members outside the subtree of the acting organisation."""
    with pytest.raises(Refused) as caught:
        showing.list_members(tx, ListMembers(branch_id=branch), actor)
    assert caught.value.code == code


@pytest.mark.rule("MEM-28")
def test_list_members_by_pages(tx):
    """MEM-28: pages follow each other without gap or repetition."""
    entering.seed_people(tx, [(3000 + n, person(60 + n, BRANCH)) for n in range(7)])
    seen, after = [], 0
    while page := showing.list_members(
        tx, ListMembers(branch_id=BRANCH, after=after, limit=3), admin(TARGET)
    ):
        assert len(page) <= 3
        seen += [one.member_id for one in page]
        after = seen[-1]

    assert seen == list(range(3000, 3007))


def describe(tx, actor, *ids):
    return [
        (one.member_id, one.name, bool(one.phone), bool(one.id_masked), one.branch_id)
        for one in showing.describe_people(tx, DescribePeople(person_ids=list(ids)), actor)
    ]


@pytest.mark.rule("MEM-32", "SRCH-06", "ROLE-01")
@pytest.mark.parametrize(
    "actor, full",
    [
        (admin(CLASS), True),
        (admin(SCHOOL), True),
        (admin(ROOT), True),
        (Actor(ONE), True),
        (admin(TARGET), False),
        (admin(COLLEGE), False),
        (Actor(TWO), False),
        (Actor(TWO, CLASS), False),
    ],
)
def test_describe(tx, actor, full):
    """MEM-32: the person and who stands above see the record; everyone else a surname and two stars."""
    expected = (ONE, "王二", True, True, CLASS) if full else (ONE, "王**", False, False, None)
    assert describe(tx, actor, ONE) == [expected]


@pytest.mark.rule("TRF-22", "TRF-23")
def test_describe_to_a_party(tx):
    """TRF-22: while a transfer is open its target and those above it see the member.

    Before and after they do not.

    TRF-23: the emergency contact is among what they see.
    """
    assert describe(tx, admin(TARGET), ONE)[0][1] == "王**"

    handlers.on_transfer_requested(tx, [request(10, target=BRANCH)])
    records_store.edit(tx, [{"person_id": ONE, "emergency_sealed": sealed("母亲 19900000099")}])
    (seen,) = showing.describe_people(tx, DescribePeople(person_ids=[ONE]), admin(BRANCH))
    assert seen.emergency_contact == "母亲 19900000099"
    assert (
        describe(tx, admin(BRANCH), ONE)
        == describe(tx, admin(TARGET), ONE)
        == [(ONE, "王二", True, True, CLASS)]
    )
    assert describe(tx, admin(COLLEGE), ONE)[0][1] == "王**"

    handlers.on_ended(tx, [TransferRejected(transfer_id=10, member_id=ONE)])
    assert describe(tx, admin(TARGET), ONE)[0][1] == "王**"


@pytest.mark.rule("BEY-05")
def test_describe_many(tx):
    """BEY-05: up to 500 at a time, in the order asked for; who does not exist is left out."""
    assert [one[0] for one in describe(tx, admin(SCHOOL), THREE, 404, ONE)] == [THREE, ONE]
    with pytest.raises(Refused) as caught:
        describe(tx, admin(SCHOOL), *range(501))
    assert caught.value.code == "too_many_items"


@pytest.mark.rule("ROLE-01", "BEY-09")
def test_who_am_i(tx):
    """ROLE-01, BEY-09: a member sees the own record and all branches ever, newest first."""
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_branch_assigned(tx, [assigned(10)])

    profile = showing.who_am_i(tx, WhoAmI(), Actor(ONE))

    assert (profile.member.name, profile.member.phone, profile.member.branch_id) == (
        "王二",
        "19900000001",
        BRANCH,
    )
    assert [(stay.branch_id, stay.transfer_id) for stay in profile.stays] == [(BRANCH, 10), (CLASS, None)]


@pytest.mark.rule("MEM-32")
def test_no_number_leaves(tx):
    """MEM-32: no event carries an identity number or a phone; a name goes with a reservation alone."""
    (answer,) = admit(tx, person(50))
    handlers.on_transfer_requested(
        tx, [request(10), request(11, answer.member_id), request(12, 999), request(13, TWO, BRANCH)]
    )
    handlers.on_branch_assigned(tx, [assigned(10), assigned(11, answer.member_id)])

    told = tx.execute(sa.text("SELECT topic, body FROM outbox")).all()
    assert told
    for topic, said in told:
        for secret in ("4201062005", "1990000"):
            assert secret not in said
        assert topic == "member_reserved" or "王" not in said  # docs/adr/0023


# ---- bulk loading --------------------------------------------------------------------------------


@pytest.mark.rule("ACC-01", "IMP-10")
def test_seed_people(tx):
    """IMP-10: bulk loading gives ids, accounts and stays.

    It is repeated without harm, and later ids do not collide.
    """
    made = list(people(4500, rng=random.Random(1), division_codes=["420106"], start=900_000))
    rows = [
        (
            50_000 + n,
            Admission(
                command_id=uuid.uuid4(),
                branch_id=BRANCH,
                name=one.name,
                id_number=one.id_number,
                joined_on=one.joined_on,
                development_number=one.development_number,
            ),
        )
        for n, one in enumerate(made)
    ]

    assert entering.seed_people(tx, rows, password_hash="hash") == 4500
    assert entering.seed_people(tx, rows[:10]) == 0

    assert accounts_store.account(tx, 54_499).password_hash == "hash"
    assert (
        tx.scalar(sa.text("SELECT count(*) FROM memberships WHERE branch_id = :branch"), {"branch": BRANCH})
        == 4500
    )
    assert admit(tx, person(51))[0].member_id > 54_499


@pytest.mark.rule("ACC-01")
def test_seed_nobody(tx):
    """ACC-01: an empty list is no error."""
    assert entering.seed_people(tx, []) == 0


def test_errors_hold_no_values(tx):
    """What PostgreSQL refuses is logged without the values of the statement.

    Names and numbers never reach a log.
    """
    with pytest.raises(sa.exc.DBAPIError) as caught:
        tx.execute(sa.text("SELECT CAST(:text AS json)"), {"text": "420106200501050013 王一"})
    assert "王一" not in str(caught.value).split("[SQL")[1] and "hidden" in str(caught.value)
