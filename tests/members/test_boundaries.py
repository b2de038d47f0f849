"""The edges of rules.

The first day and the last, who is marked when a branch is switched again, what ends with a person
or an organisation.
"""

import json
from datetime import date, datetime, time, timedelta

import pytest
import sqlalchemy as sa

from services.members import handlers, store
from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from services.members.joining import handlers as joining
from services.members.lists import handlers as lists
from services.members.lists import store as lists_store
from shared import clock, directory, metrics
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import RegisterAdministrator, Renew, SignIn
from shared.messages.orgs import OrgChanged
from tests.members.factories import (
    BRANCH,
    CLASS,
    COLLEGE,
    DEEP,
    ONE,
    ROOT,
    SCHOOL,
    TWO,
    admin,
    admit,
    assigned,
    number,
    person,
    request,
)
from tests.members.graduation.factories import NEXT, THIS, YEAR, mark, mark_member, seen
from tests.members.joining.factories import issue
from tests.members.letters.factories import ask, check, decide
from tests.members.letters.factories import issue as issue_letter
from tests.members.lists.factories import edit, report
from tests.members.records.factories import delete

pytestmark = pytest.mark.usefixtures("moment")


def deleted(org_id, parent, path, kind="branch") -> OrgChanged:
    return OrgChanged(
        org_id=org_id,
        parent_id=parent,
        path=path,
        kind=kind,
        purpose="ordinary",
        province="42",
        system="national",
        provincial_id=ROOT,
        vault_id=None,
        name=str(org_id),
        version=2,
        deleted=True,
        industry="普通高等院校",
    )


# ---- days ----------------------------------------------------------------------------------------


@pytest.mark.rule("MEM-26", "MEM-25")
@pytest.mark.parametrize(("days", "listed"), [(-1, []), (0, [ONE])])
def test_the_28th_birthday(tx, days, listed):
    """MEM-25, MEM-26: a member of 28 is listed from the birthday on, not a day before."""
    today = clock.today() + timedelta(days=days)
    birthday = clock.today().replace(year=clock.today().year - 28)
    tx.execute(
        sa.text("UPDATE people SET born_on = :on WHERE person_id = :one"), {"on": birthday, "one": ONE}
    )

    assert [row.member_id for row in lists_store.report(tx, "over_age", "1.", "", 0, 10, today)] == listed


@pytest.mark.rule("GRAD-27", "BEY-12", "DL-18")
@pytest.mark.parametrize(("days", "overstayed"), [(0, 0), (1, 1)])
def test_a_retention_that_is_outstayed(tx, days, overstayed):
    """GRAD-27, BEY-12: on the last day a retained member still stays.

    From the next day on the metric counts, until the entry is ended.
    """
    tx.execute(
        sa.text("UPDATE people SET graduate = true, graduates_on = :on WHERE person_id = :one"),
        {"on": clock.today(), "one": ONE},
    )
    until = clock.today() + timedelta(days=90)
    asked = ask(tx, kind="retained", since=clock.today(), until=until)
    assert decide(tx, asked.retention_id, approve=True).state == "approved"

    assert lists_store.overstayed(tx, until + timedelta(days=days))["retained"] == overstayed
    clock.advance(timedelta(days=90 + days))
    lists.on_day_began(tx, [])
    assert (metrics.OVERSTAYED, ("retained",), overstayed) in lists.gauges(tx)
    decide(tx, asked.retention_id, end=True)
    assert lists_store.overstayed(tx, until + timedelta(days=1))["retained"] == 0


@pytest.mark.rule("DOC-04", "BEY-13")
def test_the_last_day_of_a_letter(tx):
    """DOC-04, BEY-13: a letter for so many days is in force on the last of them and lapsed on the next."""
    letter = issue_letter(tx, valid_days=5)
    assert letter.valid_until == clock.today() + timedelta(days=5)
    clock.advance(datetime.combine(letter.valid_until, time(12), clock.CHINA) - clock.now())
    assert check(tx, letter.code).state == "in_force"
    clock.advance(timedelta(days=1))
    assert check(tx, letter.code).state == "lapsed"


# ---- marks and the switch ------------------------------------------------------------------------


@pytest.mark.rule("GRAD-14", "GRAD-16", "GRAD-17", "GRAD-25")
def test_marked_members_when_a_branch_is_taken_back_and_switched_again(tx):
    """GRAD-14, GRAD-16, GRAD-17: a teacher and a delayed graduate keep mark and time.

    When the branch is taken back and when it is switched again; neither counts.
    """
    entering.seed_people(tx, [(1004, person(4))])
    mark(tx, CLASS, THIS)
    later = date(YEAR + 2, 6, 1)
    assert (mark_member(tx, ONE, "teacher"), mark_member(tx, TWO, "delayed", later, "补考")) == (None, None)
    marked = {ONE: (False, "teacher", None), TWO: (False, "delayed", date(YEAR + 2, 6, 30))}
    tx.execute(sa.text("DELETE FROM outbox"))

    assert mark(tx, CLASS, NEXT).refusal is None
    assert {one: seen(tx, one) for one in marked} == marked and seen(tx, 1004) == (False, "", None)
    assert mark(tx, CLASS, THIS).members == 1
    assert {one: seen(tx, one) for one in marked} == marked and seen(tx, 1004) == (
        True,
        "",
        date(YEAR, 6, 30),
    )
    told = [
        item["member_id"]
        for row in tx.execute(sa.text("SELECT body FROM outbox WHERE topic = 'graduate_changed'"))
        for item in json.loads(row.body)
    ]
    assert set(told) == {1004}


# ---- what ends with a person or an organisation --------------------------------------------------


@pytest.mark.rule("DEL-11", "ACC-16")
def test_a_deleted_person_s_sessions_end_everywhere(tx):
    """DEL-11, ACC-16: with the record end the person's sessions.

    Here at once, and in the other services by what is told, until the tokens lapse.
    """
    signed = accounts.sign_in(tx, SignIn(id_number=number(1), password=number(1)[-8:]), None)
    session = tx.execute(sa.text("SELECT * FROM sessions WHERE person_id = :one"), {"one": ONE}).one()
    tx.execute(sa.text("DELETE FROM outbox"))

    assert delete(tx) is None
    told = [
        item
        for row in tx.execute(sa.text("SELECT body FROM outbox WHERE topic = 'session_ended'"))
        for item in json.loads(row.body)
    ]
    assert [one["session_id"] for one in told] == [str(session.session_id)]
    assert datetime.fromisoformat(told[0]["until"]) == session.expires_at
    assert tx.execute(sa.text("SELECT session_id FROM ended_sessions")).scalars().all() == [
        session.session_id
    ]
    with pytest.raises(Refused):
        accounts.renew(tx, Renew(session=signed.session), None)


@pytest.mark.rule("ADM-14", "DEL-12")
def test_a_code_of_a_deleted_organisation(tx):
    """ADM-14, DEL-12: the code of a deleted organisation serves nobody, whether new or signed in."""
    (made,) = issue(tx, COLLEGE)
    directory.on_org_changed(tx, [deleted(COLLEGE, SCHOOL, "1.2.6.", "general_branch")])

    with pytest.raises(Refused, match="code_invalid"):
        joining.redeem_code(tx, RegisterAdministrator(code=made.code), Actor(ONE))
    with pytest.raises(Refused, match="code_invalid"):
        joining.register_administrator(
            tx,
            RegisterAdministrator(
                code=made.code, name="李书记", id_number=number(60, 1990), password="Sonne&Mond7"
            ),
            None,
        )


@pytest.mark.rule("ROLE-04", "DEL-12")
def test_rights_over_a_deleted_organisation(tx):
    """ROLE-04, DEL-12: an administrator of a deleted organisation acts for it no more.

    Neither in it nor below where it stood.
    """
    assert directory.administering(tx, [admin(COLLEGE)]) == {admin(COLLEGE)}
    directory.on_org_changed(tx, [deleted(COLLEGE, SCHOOL, "1.2.6.", "general_branch")])

    assert directory.administering(tx, [admin(COLLEGE)], observers=True) == set()
    assert admit(tx, person(60, DEEP), org=COLLEGE)[0].refusal.code == "not_administrator"


# ---- Party members -------------------------------------------------------------------------------


@pytest.mark.rule("ROLE-12", "ORG-07", "MEM-25")
def test_a_party_member_who_keeps_membership_counts_and_transfers(tx):
    """ROLE-12, ORG-07: a Party member below 28 counts for the size of the branch like any other.

    Such a member is held for a transfer and moves.
    """
    entering.seed_people(tx, [(1004, person(4))])
    assert edit(tx, ONE, party=True) is None
    small = {line.org_id: line.note for line in report(tx, "small_branches")}
    assert CLASS not in small  # three members, of whom one is in the Party
    handlers.on_transfer_requested(tx, [request(10)])
    handlers.on_branch_assigned(tx, [assigned(10)])

    row = store.by_ids(tx, [ONE])[ONE]
    assert (row.branch_id, row.party) == (BRANCH, True)
    small = {line.org_id: line.note for line in report(tx, "small_branches")}
    assert (small[CLASS], small[BRANCH]) == ("2", "1")
