"""Who comes from another system: who may, who it is here, the record, and who never came."""

import json
import logging
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.members import handlers, store
from services.members.accounts import handlers as accounts
from services.members.crossings import handlers as crossings
from services.members.records import showing
from services.members.sealing.keys import keys, opened
from shared import clock
from shared.errors import Refused
from shared.identity import Actor
from shared.inbox import Inbox, Incoming
from shared.messages.federation import ArrivalDropped, ArrivalOffered
from shared.messages.members import DescribePeople, SignIn, WhoAmI
from shared.messages.sealed import SealedStay
from shared.messages.transfers import ArrivalAnswered, TransferRejected, TransferWithdrawn
from shared.messages.words import BridgeReason
from tests.audit_acts import written
from tests.members.crossings.factories import (
    BJ_CLASS,
    BJ_OTHER,
    BJ_SCHOOL,
    GD_CLASS,
    Database,
    a_command,
    came,
    counted,
    hand_over,
    leave,
    offer,
    offered,
    record,
    sealed_person,
    sealed_record,
    told,
)
from tests.members.factories import (
    AT,
    BRANCH,
    CLASS,
    ONE,
    TARGET,
    TWO,
    admin,
    admit,
    assigned,
    number,
    person,
    request,
)
from tests.members.joining.factories import apply

pytestmark = pytest.mark.usefixtures("peers")


@pytest.fixture
def bj(peers):
    return peers["BJ"]


def begin(tx, member, transfer_id=70, source=BJ_CLASS) -> list[tuple]:
    """Let the transfer of an arrival begin; return what was answered."""
    handlers.on_transfer_requested(tx, [request(transfer_id, member, source, TARGET)])
    return [(one["topic"], one.get("code")) for one in told(tx)]


def arrive(tx, bj, n=50, subject="BJ:7", transfer_id=70) -> int:
    """Let somebody be offered, awaited, handed over and moved; return who it is."""
    ((_, member),) = offer(tx, offered(sealed_person(bj, subject, n), subject))
    assert begin(tx, member, transfer_id) == [("member_reserved", None)]
    assert record(tx, came(sealed_record(bj, subject, n), subject, transfer_id)) == [(transfer_id, "")]
    handlers.on_branch_assigned(tx, [assigned(transfer_id, member)])
    told(tx)
    return member


def row(tx, member):
    return store.by_ids(tx, [member]).get(member)


def stays(tx, member):
    return [(one.branch_id, one.ended_at is None) for one in store.stays(tx, member)]


def has_account(tx, member) -> bool:
    return bool(tx.scalar(sa.text("SELECT count(*) FROM accounts WHERE person_id = :one"), {"one": member}))


# ---- who may come --------------------------------------------------------------------------------


@pytest.mark.rule("FED-08")
def test_somebody_new(tx, bj):
    """FED-08: who is not known here stands in the branch of the other system, without an account."""
    ((subject, member),) = offer(tx, offered(sealed_person(bj, name=" 李 雷 ", phone="010-1234")))

    one = row(tx, member)
    assert subject == "BJ:7"
    assert (one.name, one.branch_id, one.joined_on) == ("李 雷", BJ_CLASS, date(2020, 5, 4))
    assert keys.seal.open(one.id_sealed) == number(50) and opened(one.phone_sealed) == "010-1234"
    assert stays(tx, member) == [(BJ_CLASS, True)] and not has_account(tx, member)


def test_what_is_said_beside(tx, bj):
    """FED-08: whoever decides reads what the other registry says beside who is to come, until the end."""
    said = {"remark": "住学生公寓3栋\n电话13900001111"}
    ((_, member),) = offer(tx, offered(sealed_person(bj, **said)))
    begin(tx, member)

    def read(org):
        (found,) = showing.describe_people(tx, DescribePeople(person_ids=[member]), admin(org))
        return found.said_there

    assert read(TARGET) == said["remark"] and read(CLASS) == ""
    assert "学生公寓" not in str(tx.execute(sa.text("SELECT * FROM arrivals")).all())

    record(tx, came(sealed_record(bj)))
    handlers.on_branch_assigned(tx, [assigned(70, member)])
    assert row(tx, member).branch_id == BRANCH and read(TARGET) == ""


@pytest.mark.rule("FED-14")
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"number": "420106200501050500"}, "identity_invalid"),
        ({"number": "x"}, "identity_invalid"),
        ({"number": number(1)}, "identity_active"),
        ({"number": number(1).lower().replace("4", "４", 1), "name": "别人"}, "identity_active"),
        ({"name": "李2"}, "name_invalid"),
        ({"name": "Иван Ivan"}, "name_invalid"),
        ({"name": ""}, "name_invalid"),
        ({"number": number(5, 2015)}, "age_out_of_range"),
        ({"number": number(5, 1990)}, "age_out_of_range"),
        ({"subject": "BJ:8"}, "identity_differs"),
        ({"subject": "national:7"}, "identity_differs"),
    ],
    ids=str,
)
def test_who_cannot_come(tx, bj, said, code):
    """FED-14: number, name and age are right and the number is active nowhere here, or there is a reason."""
    subject = said.pop("subject", "BJ:7")
    item = offered(sealed_person(bj, subject, **said))

    assert offer(tx, item) == [("BJ:7", code)]
    assert offer(tx, item) == [("BJ:7", code)], "told again it is answered as before"
    assert tx.scalar(sa.text("SELECT count(*) FROM people WHERE branch_id = :bj"), {"bj": BJ_CLASS}) == 0


def test_what_does_not_open(tx, bj, peers):
    """What does not open here is answered like a person whom nobody knows; its neighbours come."""
    good = sealed_person(bj)
    there = peers["GD"].files.published()[0]
    for_gd = crossings.seals.registry()
    assert any(key.kid == there.kid for key in for_gd.files.keys()["GD"])
    wrong = [
        sealed_record(bj, "BJ:1"),
        "x" * 20,
        good[:-1],
        for_gd.seal("GD", crossings.SealedPerson(subject="BJ:4", number=number(51), name="x"), clock.now()),
    ]

    answers = offer(tx, offered(good), *(offered(text, f"BJ:{n}") for n, text in enumerate(wrong, 1)))

    assert [code for _, code in answers[1:]] == ["identity_differs"] * 4
    assert isinstance(answers[0][1], int)


@given(text=st.text(alphabet=st.characters(max_codepoint=127), max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_answered(engine, peers, text):
    """Whatever is offered or handed over is a business answer, and its neighbours go on."""
    with engine.connect() as tx:
        answers = offer(tx, offered(text, "BJ:1"), offered(sealed_person(peers["BJ"])))
        assert answers[0] == ("BJ:1", "identity_differs")
        member = answers[1][1]
        begin(tx, member)
        assert record(tx, came(text)) == [(70, "record_unreadable")]
        assert row(tx, member) is not None
        tx.rollback()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(
    said=st.fixed_dictionaries(
        {"number": st.one_of(TEXT.map(lambda text: text[:40]), st.just(number(50)), st.just(number(1)))},
        optional={
            "name": TEXT,
            "joined_on": st.dates(date(1900, 1, 1), date(2199, 12, 31)),
            "phone": TEXT.map(lambda text: text[:40]),
            "remark": TEXT,
        },
    ),
    kept=st.fixed_dictionaries(
        {},
        optional={
            "ethnic_group": TEXT,
            "development_number": TEXT,
            "contact": TEXT,
            "emergency_contact": TEXT,
            "joined_on": st.dates(date(1900, 1, 1), date(2199, 12, 31)),
            "stays": st.lists(
                st.builds(
                    SealedStay,
                    branch=TEXT,
                    since=st.dates(date(1900, 1, 1), date(2199, 12, 31)),
                    until=st.none() | st.dates(date(1900, 1, 1), date(2199, 12, 31)),
                ),
                max_size=5,
            ),
        },
    ),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sealed_is_answered(engine, peers, said, kept):
    """Whatever another registry seals, in person and record, is a business answer."""
    with engine.connect() as tx:
        ((_, found),) = offer(tx, offered(sealed_person(peers["BJ"], **said)))
        if isinstance(found, str):
            assert found in set(BridgeReason)
            ((_, found),) = offer(tx, offered(sealed_person(peers["BJ"], "BJ:8"), "BJ:8"))
            subject = "BJ:8"
        else:
            subject = "BJ:7"
        begin(tx, found)
        name = row(tx, found).name
        ((_, code),) = record(tx, came(sealed_record(peers["BJ"], subject, name=name, **kept), subject))
        assert code in {"", *BridgeReason}
        tx.rollback()


def test_a_branch_that_is_none_of_theirs(tx, bj):
    """The branch has to be one of that system's; until it is known here the offer is tried again."""
    for branch in (CLASS, GD_CLASS, BJ_SCHOOL, 999_999):
        with pytest.raises(LookupError, match=f"BJ:7: BJ has no branch {branch}"):
            offer(tx, offered(sealed_person(bj), branch=branch))
    assert told(tx) == []
    # who cannot come is told so all the same
    assert offer(tx, offered(sealed_person(bj, n=1), branch=999_999)) == [("BJ:7", "identity_active")]


# ---- who it is here ------------------------------------------------------------------------------


@pytest.mark.rule("FED-14")
def test_who_has_left_before_is_the_same_person(tx, bj):
    """FED-14: who stands in a branch of any of the three is re-activated, not doubled."""
    leave(tx, ONE)
    before = tx.scalar(sa.text("SELECT count(*) FROM people"))
    name = row(tx, ONE).name

    ((_, member),) = offer(tx, offered(sealed_person(bj, n=1, name=name), branch=BJ_OTHER))

    assert member == ONE and tx.scalar(sa.text("SELECT count(*) FROM people")) == before
    assert row(tx, ONE).branch_id == BJ_OTHER
    assert stays(tx, ONE) == [(BJ_OTHER, True), (BJ_CLASS, False), (CLASS, False)]
    assert begin(tx, ONE, source=BJ_OTHER) == [("member_reserved", None)]
    assert record(tx, came(sealed_record(bj, n=1, name=name))) == [(70, "")]
    handlers.on_branch_assigned(tx, [replace(assigned(70), at=AT + timedelta(days=1))])
    assert row(tx, ONE).branch_id == BRANCH and has_account(tx, ONE)


@pytest.mark.rule("FED-14")
def test_whichever_of_the_three_it_comes_from(tx, peers):
    """FED-14: who has gone to one of the three may come from another."""
    leave(tx, ONE)
    item = offered(sealed_person(peers["GD"], "GD:1", 1, name=row(tx, ONE).name), "GD:1", GD_CLASS, peer="GD")

    assert offer(tx, item) == [("GD:1", ONE)]
    assert row(tx, ONE).branch_id == GD_CLASS


def test_another_name(tx, bj):
    """A number that is known here under another name is not this person's."""
    leave(tx, ONE)

    assert offer(tx, offered(sealed_person(bj, n=1, name="别人"))) == [("BJ:7", "identity_differs")]
    assert row(tx, ONE).branch_id == BJ_CLASS


def test_who_was_here_in_no_branch(tx, bj):
    """Somebody with an account and without a branch comes; where nothing comes of it, is in none again."""
    tx.execute(sa.text("UPDATE people SET branch_id = NULL WHERE person_id = :one"), {"one": TWO})
    tx.execute(sa.text("DELETE FROM memberships WHERE person_id = :one"), {"one": TWO})

    assert offer(tx, offered(sealed_person(bj, n=2, name=row(tx, TWO).name))) == [("BJ:7", TWO)]
    assert row(tx, TWO).branch_id == BJ_CLASS and stays(tx, TWO) == [(BJ_CLASS, True)]
    begin(tx, TWO)
    handlers.on_ended(tx, [TransferRejected(transfer_id=70, member_id=TWO)])

    assert row(tx, TWO).branch_id is None and stays(tx, TWO) == [] and has_account(tx, TWO)
    erased(tx, 31)
    assert row(tx, TWO) is not None, "an account ties to us"


def test_who_has_registered_alone(tx, bj):
    """A registration that waits is decided first; one that came to nothing binds neither number nor name."""
    asked = apply(tx, name="冒名", id_number=number(60))
    item = offered(sealed_person(bj, n=60))
    assert offer(tx, item) == [("BJ:7", "transfer_open")]

    tx.execute(sa.text("UPDATE registrations SET state = 'withdrawn'"))

    assert offer(tx, offered(sealed_person(bj, "BJ:8", 60), "BJ:8")) == [("BJ:8", asked.person_id)]
    assert row(tx, asked.person_id).name == "李雷"
    password = tx.scalar(
        sa.text("SELECT password_hash FROM accounts WHERE person_id = :one"), {"one": asked.person_id}
    )
    assert password is None, "whoever has registered so does not keep the account"


# ---- one transfer of one person ------------------------------------------------------------------


@pytest.mark.rule("TRF-02")
def test_two_offers_of_one_person(tx, bj):
    """TRF-02: while one offer of a person is open, another one is refused, in one list or later."""
    first, second = (offered(sealed_person(bj, f"BJ:{n}"), f"BJ:{n}") for n in (7, 8))
    answers = offer(tx, first, second)
    assert answers[1] == ("BJ:8", "transfer_open") and isinstance(answers[0][1], int)

    third = offered(sealed_person(bj, "BJ:9"), "BJ:9")
    assert offer(tx, third, first) == [("BJ:9", "transfer_open"), answers[0]]
    begin(tx, answers[0][1])
    assert offer(tx, offered(sealed_person(bj, "BJ:10"), "BJ:10")) == [("BJ:10", "transfer_open")]


@pytest.mark.parametrize("how", ["rejected", "withdrawn", "not begun", "dropped"])
def test_an_offer_that_has_ended_is_in_nobodys_way(tx, bj, how):
    """Who was offered and has not come can be offered again; the same person is found."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    if how == "not begun":
        answer = ArrivalAnswered(
            command_id=a_command(), member_id=member, peer="BJ", transfer_id=None, code="unknown_org"
        )
        crossings.on_arrival_answered(tx, [answer])
    elif how == "dropped":
        crossings.on_arrival_dropped(tx, [ArrivalDropped(subject="BJ:7", peer="BJ")])
    else:
        begin(tx, member)
        event = {"rejected": TransferRejected, "withdrawn": TransferWithdrawn}[how]
        handlers.on_ended(tx, [event(transfer_id=70, member_id=member)])

    assert offer(tx, offered(sealed_person(bj, "BJ:8"), "BJ:8")) == [("BJ:8", member)]
    assert begin(tx, member, 71) == [("member_reserved", None)]
    # late words of the first transfer end nothing of the second
    handlers.on_ended(tx, [TransferRejected(transfer_id=70, member_id=member)])
    assert record(tx, came(sealed_record(bj, "BJ:8"), "BJ:8", 71)) == [(71, "")]
    if how in ("rejected", "withdrawn"):
        assert record(tx, came(sealed_record(bj))) == [(70, "too_late")]


def test_an_answer_with_a_transfer_ends_nothing(tx, bj):
    """An offer whose transfer was begun stays open when that is told."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    begin(tx, member)
    for transfer_id in (70, None):
        answer = ArrivalAnswered(
            command_id=a_command(), member_id=member, peer="BJ", transfer_id=transfer_id, code=""
        )
        crossings.on_arrival_answered(tx, [answer])
    crossings.on_arrival_dropped(tx, [ArrivalDropped(subject="BJ:7", peer="BJ")])

    assert record(tx, came(sealed_record(bj))) == [(70, "")]


@pytest.mark.rule("FED-12")
def test_who_was_not_offered_is_not_held(tx, bj):
    """FED-12: of who stands in another system only that system starts a transfer, by offering the member."""
    leave(tx, ONE)
    assert begin(tx, ONE) == [("reservation_refused", "member_elsewhere")]
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    assert begin(tx, member, source=BJ_OTHER) == [("reservation_refused", "member_elsewhere")]
    assert begin(tx, TWO, source=CLASS) == [("member_reserved", None)], "others are held as ever"


def test_reserved_again(tx, bj):
    """A request for a transfer that is told again is answered again, and stays the arrival's."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))

    assert begin(tx, member) == begin(tx, member) == [("member_reserved", None)]
    assert begin(tx, member, 71) == [("reservation_refused", "transfer_open")]
    assert record(tx, came(sealed_record(bj))) == [(70, "")]


# ---- the record ----------------------------------------------------------------------------------


@pytest.mark.rule("FED-10")
def test_the_record_is_taken_over(tx, bj):
    """FED-10: what the record says is kept, with the stays elsewhere; the account comes at the end."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    begin(tx, member)
    told_stays = [
        SealedStay(branch="北京某校某班", since=date(2020, 9, 1), until=date(2024, 6, 30)),
        SealedStay(branch="北京某街道", since=date(2024, 6, 30)),
    ]

    text = sealed_record(
        bj,
        ethnic_group="回族",
        development_number=" 202000000077 ",
        phone="13900001111",
        contact="父亲",
        emergency_contact="母亲",
        party=True,
        stays=told_stays,
    )
    assert record(tx, came(text)) == record(tx, came(text)) == [(70, "")]

    one = row(tx, member)
    assert (one.ethnic_group, one.development_number, one.party) == ("回族", "202000000077", True)
    kept = [opened(one.phone_sealed), opened(one.contact_sealed), opened(one.emergency_sealed)]
    assert kept == ["13900001111", "父亲", "母亲"]
    assert one.branch_id == BJ_CLASS and not has_account(tx, member)
    handlers.on_branch_assigned(tx, [assigned(70, member)])
    handlers.on_branch_assigned(tx, [assigned(70, member)])
    assert row(tx, member).branch_id == BRANCH and has_account(tx, member)
    assert [one["topic"] for one in told(tx)] == ["member_moved", "member_moved"]
    profile = showing.who_am_i(tx, WhoAmI(), Actor(member, None))
    assert [(stay.branch, stay.until) for stay in profile.elsewhere] == [
        ("北京某街道", None),
        ("北京某校某班", date(2024, 6, 30)),
    ]
    # on the way again, what stood elsewhere goes along
    handlers.on_transfer_requested(tx, [request(80, member, BRANCH, BJ_SCHOOL)])
    told(tx)
    hand_over(tx, 80, member)
    (again,) = told(tx, "record_sealed")
    sent = bj.open(again["record"], crossings.SealedRecord)
    assert sent.stays[:2] == told_stays and [stay.branch for stay in sent.stays[2:]] == [str(BRANCH)]


def test_stays_that_are_known_here_stand_once(tx, bj):
    """Who comes back brings what we have sent along: that is not kept a second time."""
    leave(tx, ONE)
    name, (first,) = row(tx, ONE).name, [one for one in store.stays(tx, ONE) if one.branch_id == CLASS]
    offer(tx, offered(sealed_person(bj, n=1, name=name)))
    begin(tx, ONE)
    ours = SealedStay(branch=str(CLASS), since=first.began_at.date(), until=first.ended_at.date())
    theirs = SealedStay(branch="北京某班", since=date(2026, 7, 1))

    record(tx, came(sealed_record(bj, n=1, name=name, stays=[ours, theirs, theirs])))

    rows = tx.execute(
        sa.text("SELECT branch, since FROM stays_elsewhere WHERE person_id = :one"), {"one": ONE}
    )
    assert [tuple(one) for one in rows] == [("北京某班", date(2026, 7, 1))]


@pytest.mark.rule("FED-10", "FED-14")
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"n": 51}, "identity_differs"),
        ({"name": "李蕾"}, "identity_differs"),
        ({"subject": "BJ:8"}, "record_unreadable"),
        ({"person": True}, "record_unreadable"),
    ],
    ids=str,
)
def test_a_record_that_does_not_fit(tx, bj, said, code):
    """FED-10, FED-14: a record of somebody else, or of another transfer, is refused and nothing is taken."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    begin(tx, member)
    person_instead = said.pop("person", False)
    text = sealed_person(bj) if person_instead else sealed_record(bj, ethnic_group="回族", **said)

    assert record(tx, came(text)) == [(70, code)]
    assert row(tx, member).ethnic_group == ""


def test_a_record_after_the_end(tx, bj):
    """A record of a transfer that has ended comes too late; of one that has moved it was taken."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    begin(tx, member)
    handlers.on_ended(tx, [TransferRejected(transfer_id=70, member_id=member)])
    moved = arrive(tx, bj, 51, "BJ:8", 71)

    assert record(tx, came(sealed_record(bj))) == [(70, "too_late")]
    assert record(tx, came(sealed_record(bj, "BJ:8", 51, ethnic_group="回族"), "BJ:8", 71)) == [(71, "")]
    assert row(tx, moved).ethnic_group == "", "a record that comes again changes nothing of a member"


@pytest.mark.parametrize("changed", [{"subject": "BJ:9"}, {"transfer_id": 71}, {"peer": "GD"}], ids=str)
def test_a_record_that_nobody_awaits(tx, bj, changed):
    """A record of an offer, a transfer or a system that does not belong together is tried again."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    begin(tx, member)

    with pytest.raises(LookupError):
        record(tx, came(sealed_record(bj), **changed))


def test_numbers_and_days_that_cannot_be(tx, bj):
    """A development number that somebody else has, or none at all, is left for the member to fill in."""
    for n, (number_said, joined) in enumerate(
        [("202000000001", date(2020, 5, 4)), ("12", date(2004, 5, 4)), ("", date(2150, 1, 1))], 50
    ):
        member = arrive_with(tx, bj, n, development_number=number_said, joined_on=joined)
        one = row(tx, member)
        assert one.development_number == ""
        assert one.joined_on == date(2020, 5, 4), "as the offer said"
    assert row(tx, ONE).development_number == "202000000001"


def arrive_with(tx, bj, n, **values) -> int:
    subject, transfer_id = f"BJ:{n}", n
    ((_, member),) = offer(tx, offered(sealed_person(bj, subject, n), subject))
    begin(tx, member, transfer_id)
    text = sealed_record(bj, subject, n, **values)
    assert record(tx, came(text, subject, transfer_id)) == [(transfer_id, "")]
    return member


@pytest.mark.rule("ACC-04", "FED-10")
def test_who_has_come_signs_in(tx, bj):
    """ACC-04, FED-10: with the initial password, from the completion on and not before."""

    def sign_in():
        return accounts.sign_in(tx, SignIn(id_number=number(50), password=number(50)[-8:]), None)

    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    begin(tx, member)
    record(tx, came(sealed_record(bj)))
    with pytest.raises(Refused, match="sign_in_failed"):
        sign_in()

    handlers.on_branch_assigned(tx, [assigned(70, member)])

    signed = sign_in()
    assert signed.person_id == member and signed.must_change_password


# ---- who never came ------------------------------------------------------------------------------


def erased(tx, days) -> None:
    clock.advance(timedelta(days=days))
    crossings.on_day_began(tx, [])


def test_who_never_came_is_erased(tx, bj):
    """30 days after the end nothing is left of who was offered; the offer, asked again, came too late."""
    ((_, member),) = offer(tx, offered(sealed_person(bj)))
    ((_, other),) = offer(tx, offered(sealed_person(bj, "BJ:8", 51), "BJ:8"))
    begin(tx, member)
    record(tx, came(sealed_record(bj, stays=[SealedStay(branch="甲", since=date(2020, 9, 1))])))
    handlers.on_ended(tx, [TransferRejected(transfer_id=70, member_id=member)])

    erased(tx, 29.9)
    assert row(tx, member) is not None
    erased(tx, 0.2)

    assert row(tx, member) is None and row(tx, other) is not None, "an offer that is open keeps its person"
    for table in ("memberships", "stays_elsewhere", "accounts"):
        left = tx.scalar(sa.text(f"SELECT count(*) FROM {table} WHERE person_id = :one"), {"one": member})
        assert left == 0, table
    assert offer(tx, offered(sealed_person(bj))) == [("BJ:7", "too_late")]
    assert record(tx, came(sealed_record(bj))) == [(70, "too_late")]
    ((_, anew),) = offer(tx, offered(sealed_person(bj, "BJ:9"), "BJ:9"))
    assert anew != member


def test_who_is_tied_to_us_is_not_erased(tx, bj):
    """Who was a member here, has an account, has come by a later offer, or waits by one, is kept."""
    leave(tx, ONE)
    tx.execute(sa.text("DELETE FROM accounts WHERE person_id = :one"), {"one": ONE})
    offer(tx, offered(sealed_person(bj, n=1, name=row(tx, ONE).name)))
    begin(tx, ONE)
    ((_, later),) = offer(tx, offered(sealed_person(bj, "BJ:8", 51), "BJ:8"))
    begin(tx, later, 71)
    ended = [
        TransferRejected(transfer_id=70, member_id=ONE),
        TransferRejected(transfer_id=71, member_id=later),
    ]
    handlers.on_ended(tx, ended)
    clock.advance(timedelta(days=29))
    offer(tx, offered(sealed_person(bj, "BJ:9", 51), "BJ:9"))

    erased(tx, 5)

    assert row(tx, ONE) is not None and row(tx, later) is not None
    begin(tx, later, 72)
    handlers.on_ended(tx, [TransferRejected(transfer_id=72, member_id=later)])
    erased(tx, 31)
    assert row(tx, later) is None, "30 days after the last offer"
    assert row(tx, ONE) is not None


def test_who_has_come_is_not_erased(tx, bj):
    """Whoever is a member here stays."""
    member = arrive(tx, bj)

    erased(tx, 400)

    assert row(tx, member).branch_id == BRANCH


@pytest.mark.rule("BEY-10")
def test_who_comes_and_who_is_erased_is_logged(tx, bj):
    """BEY-10: the log says who was offered, whose record was taken and who was erased, by ids alone."""
    who = []

    def act():
        who.append(arrive(tx, bj))
        who.append(offer(tx, offered(sealed_person(bj, "BJ:8", 51), "BJ:8"))[0][1])
        crossings.on_arrival_dropped(tx, [ArrivalDropped(subject="BJ:8", peer="BJ")])
        erased(tx, 31)

    lines = written(tx, act)
    member, other = who

    assert [(line.kind, line.persons, line.ref) for line in lines] == [
        ("member.offered", [member], "crossing BJ:7"),
        ("member.taken", [member], "crossing BJ:7"),
        ("member.offered", [other], "crossing BJ:8"),
        ("member.erased", [other], ""),
    ]


# ---- many, twice, and what nobody sees -----------------------------------------------------------


def test_a_batch_of_500(tx, bj):
    """500 offers, and 500 records, are answered by a bounded number of statements."""
    admit(tx, person(999, id_number=number(99)))
    some = range(100, 600)
    texts = {n: (sealed_person(bj, f"BJ:{n}", n), sealed_record(bj, f"BJ:{n}", n)) for n in some}

    with counted(tx) as offers:
        crossings.on_arrival_offered(tx, [offered(texts[n][0], f"BJ:{n}") for n in some])
    known = {one["subject"]: one["member_id"] for one in told(tx, "arrival_known")}
    assert len(known) == 500 and len(set(known.values())) == 500
    with counted(tx) as requests:
        handlers.on_transfer_requested(tx, [request(n, known[f"BJ:{n}"], BJ_CLASS, TARGET) for n in some])
    with counted(tx) as records:
        crossings.on_record_came(tx, [came(texts[n][1], f"BJ:{n}", n) for n in some])
    assert len(told(tx, "record_taken")) == 500
    with counted(tx) as moves:
        handlers.on_branch_assigned(tx, [assigned(n, known[f"BJ:{n}"]) for n in some])

    assert len(offers) <= 10 and len(requests) <= 10 and len(records) <= 12 and len(moves) <= 10


def test_a_crash_in_between(engine, bj):
    """What was not committed is done again, once; a message that comes twice is answered once."""
    inbox = Inbox("members", Database(engine), {ArrivalOffered: crossings.on_arrival_offered})
    item = offered(sealed_person(bj, n=70))
    body = json.dumps([{name: getattr(item, name) for name in item.__struct_fields__}]).encode()
    with engine.connect() as tx:
        crossings.on_arrival_offered(tx, [item])
        tx.rollback()
    try:
        for message in ("m1", "m1", "m2"):
            inbox.apply([Incoming(message, "arrival_offered", body)])

        with engine.begin() as tx:
            answers = told(tx, "arrival_known")
            assert len(answers) == 2 and answers[0] == answers[1]
            count = sa.text("SELECT count(*) FROM people WHERE branch_id = :bj")
            assert tx.scalar(count, {"bj": BJ_CLASS}) == 1
    finally:
        with engine.begin() as tx:
            for table in ("arrivals", "inbox", "outbox"):
                tx.execute(sa.text(f"DELETE FROM {table}"))
            for table in ("memberships", "people"):
                tx.execute(sa.text(f"DELETE FROM {table} WHERE branch_id = :bj"), {"bj": BJ_CLASS})


def test_nothing_personal_is_told_or_logged(tx, bj, caplog):
    """No number, no telephone and no name stands in what is told of arrivals, or in what is logged."""
    caplog.set_level(logging.DEBUG)
    ((_, member),) = offer(tx, offered(sealed_person(bj, phone="13900001111")))
    crossings.on_arrival_offered(tx, [offered(sealed_person(bj, "BJ:8", phone="13900001111"), "BJ:8")])
    handlers.on_transfer_requested(tx, [request(70, member, BJ_CLASS, TARGET)])
    crossings.on_record_came(tx, [came(sealed_record(bj, phone="13900001111", contact="父亲13900002222"))])
    handlers.on_branch_assigned(tx, [assigned(70, member)])
    with pytest.raises(LookupError) as caught:
        crossings.on_record_came(tx, [came(sealed_record(bj), "BJ:99")])

    bodies = [
        one.body for one in tx.execute(sa.text("SELECT body FROM outbox WHERE topic <> 'member_reserved'"))
    ]
    said = "\n".join(bodies) + caplog.text + str(caught.value)

    assert len(bodies) >= 3
    for secret in (
        number(50),
        number(50)[6:14],
        number(50)[-8:],
        "13900001111",
        "13900002222",
        "李雷",
        "父亲",
    ):
        assert secret not in said
