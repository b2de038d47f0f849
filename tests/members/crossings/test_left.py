"""Who has left for another system is history here: read, and nothing else (FED-12)."""

import uuid
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from services.members import store
from services.members.accounts import handlers as accounts
from services.members.joining import handlers as joining
from services.members.lists import composition, inside
from services.members.lists import handlers as lists
from services.members.lists import store as lists_store
from services.members.records import handlers as records
from services.members.records import showing
from services.members.retentions import handlers as retentions
from shared import clock
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import (
    ChangePassword,
    CountInside,
    DescribePeople,
    ExportMembers,
    GetComposition,
    GetEntryProgress,
    GetProfile,
    IssueResetCode,
    ListBelow,
    ListMembers,
    ListRetentions,
    LookUp,
    RegisterAdministrator,
    RevealIds,
    SearchMembers,
    SignIn,
    WhereWas,
    WhoAmI,
)
from tests.members.crossings.factories import (
    BJ,
    BJ_CLASS,
    BJ_SCHOOL,
    hand_over,
    leave,
    offer,
    offered,
    sealed_person,
    told,
)
from tests.members.factories import (
    AT,
    BRANCH,
    CLASS,
    DEEP,
    ONE,
    ROOT,
    SCHOOL,
    TARGET,
    TWO,
    admin,
    admit,
    number,
    person,
    request,
)
from tests.members.graduation.factories import mark_member
from tests.members.joining.factories import PASSWORD, apply, post, posts
from tests.members.joining.factories import issue as issue_code
from tests.members.letters.factories import ask, decide
from tests.members.letters.factories import issue as issue_letter
from tests.members.records.factories import delete, edit

pytestmark = pytest.mark.usefixtures("peers")
OWN = Actor(ONE, None)


def refused(call, *arguments) -> str:
    """Return the code with which a query is refused."""
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return str(caught.value.code)


def code_of(answer) -> str | None:
    return answer.refusal and answer.refusal.code


# ---- what the person sees ------------------------------------------------------------------------


@pytest.mark.rule("FED-12")
def test_who_has_left_signs_in_and_sees_the_own_past(tx):
    """FED-12: signs in, sees where the membership is, and the own past."""
    leave(tx)

    signed = accounts.sign_in(tx, SignIn(id_number=number(1), password=number(1)[-8:]), None)
    changed = accounts.change_password(
        tx,
        ChangePassword(old_password=number(1)[-8:], new_password=PASSWORD, session=signed.session),
        OWN,
    )

    assert changed
    profile = showing.who_am_i(tx, WhoAmI(), OWN)
    assert profile.member.branch_id == BJ_CLASS and profile.system == "BJ" and profile.hints == []
    assert [stay.branch_id for stay in profile.stays] == [BJ_CLASS, CLASS]
    assert records.where_was(tx, WhereWas(person_ids=[ONE], on=AT.date() - timedelta(days=1)), OWN) == [
        records.Whereabouts(person_id=ONE, branch_id=CLASS)
    ]


@pytest.mark.rule("FED-12")
def test_who_has_left_starts_nothing(tx):
    """FED-12: every command of the person is refused with the same words, reading is not."""
    leave(tx)

    assert edit(tx, OWN, phone="19911112222") == "stands_elsewhere"
    assert code_of(ask(tx)) == "stands_elsewhere"
    (code,) = [one.code for one in issue_code(tx, DEEP, actor=admin(6))]
    assert (
        refused(joining.redeem_code, tx, RegisterAdministrator(code=code, post="secretary"), OWN)
        == "stands_elsewhere"
    )
    assert posts(tx, DEEP) == []
    # nor does anybody else of that branch become known
    leave(tx, TWO, 11)
    assert showing.list_members(tx, ListMembers(branch_id=BJ_CLASS), OWN) == []
    assert composition.get_composition(tx, GetComposition(branch_id=BJ_CLASS), OWN).members == 0


@pytest.mark.rule("FED-07")
def test_nobody_registers_anew(tx):
    """FED-07: the number of who has left is neither entered nor registered again."""
    leave(tx)
    name = store.by_ids(tx, [ONE])[ONE].name

    (answer,) = admit(tx, person(1, name=name, development_number=""), org=SCHOOL)
    assert code_of(answer) in ("id_registered", "development_number_missing")
    (answer,) = admit(tx, person(1, name=name))
    assert code_of(answer) == "id_registered"
    assert refused(lambda: apply(tx, 1, name=name)) == "stands_in_peer"
    assert refused(lambda: apply(tx, 1, name="别人")) == "registered_already"


def test_nobody_registers_while_an_offer_is_open(tx, peers):
    """The number of who is to come is neither entered nor registered meanwhile, nor given a post."""
    ((_, member),) = offer(tx, offered(sealed_person(peers["BJ"])))

    (answer,) = admit(tx, person(50, name="李雷"))
    assert code_of(answer) == "id_registered"
    assert refused(lambda: apply(tx, 50, name="李雷")) == "stands_in_peer"
    assert post(tx, CLASS, "secretary", name="李雷", id_number=number(50)) == "stands_elsewhere"
    assert post(tx, ROOT, "secretary", person_id=member) == "stands_elsewhere"


# ---- what administrators do ----------------------------------------------------------------------


@pytest.mark.rule("FED-12")
@pytest.mark.parametrize("org", [CLASS, SCHOOL, ROOT])
def test_nothing_is_done_with_who_has_left(tx, org):
    """FED-12: whoever may have done so before, none of the commands reaches who has left."""
    approved = ask(tx)
    leave(tx)
    by = admin(org)
    hidden = ("unknown_member", "stands_elsewhere", "not_leading_body", "letter_by_committee")

    assert edit(tx, by, phone="19911112222") in hidden
    assert delete(tx, org) in hidden
    assert mark_member(tx, ONE, "delayed", on=date(2030, 6, 30), reason="x", org=org) in (
        *hidden,
        "not_your_member",
        "not_your_org",
    )
    assert post(tx, org, "secretary", person_id=ONE) in hidden
    assert code_of(ask(tx, by)) in (*hidden, "not_your_member")
    assert code_of(decide(tx, approved.retention_id, by, approve=True)) in (*hidden, "retention_unknown")
    assert code_of(issue_letter(tx, by)) in hidden
    item = IssueResetCode(command_id=uuid.uuid4(), member_id=ONE)
    assert code_of(accounts.issue_reset_codes(tx, [Asked(item, by)])[0]) in hidden
    row = store.by_ids(tx, [ONE])[ONE]
    assert (row.branch_id, row.mark) == (BJ_CLASS, "") and posts(tx, org) == []


def test_who_would_reach_the_branch_is_told_why(tx):
    """Whoever stands above the mirror is told why nothing is done, in the same words for each command."""
    approved = ask(tx)
    leave(tx)

    assert delete(tx, ROOT) == "stands_elsewhere"
    assert post(tx, ROOT, "secretary", person_id=ONE) == "stands_elsewhere"
    name = store.by_ids(tx, [ONE])[ONE].name
    assert post(tx, CLASS, "secretary", name=name, id_number=number(1)) == "stands_elsewhere"
    assert code_of(decide(tx, approved.retention_id, approve=True)) == "stands_elsewhere"


def test_an_account_is_not_opened_anew(tx):
    """No code opens the account of who has left, not even by whoever stands right above the branch."""
    tx.execute(
        sa.text("UPDATE org_directory SET parent_id = 1, path = '1.1102.' WHERE org_id = :bj"),
        {"bj": BJ_CLASS},
    )
    leave(tx)
    item = IssueResetCode(command_id=uuid.uuid4(), member_id=ONE)

    answer = accounts.issue_reset_codes(tx, [Asked(item, admin(ROOT))])[0]

    assert code_of(answer) == "stands_elsewhere" and not answer.code


@pytest.mark.rule("FED-10")
def test_nothing_is_done_while_the_record_is_on_its_way(tx):
    """FED-10: posts, marks, retentions and letters wait for the end of the hand-over; accounts do not."""
    approved = ask(tx)
    store.reserve(tx, [request(10, target=BJ_SCHOOL)])
    hand_over(tx)
    name = store.by_ids(tx, [ONE])[ONE].name

    assert post(tx, CLASS, "secretary", person_id=ONE) == "handed_over"
    assert post(tx, SCHOOL, "secretary", name=name, id_number=number(1)) == "handed_over"
    assert mark_member(tx, ONE, "delayed", on=date(2030, 6, 30), reason="x") == "handed_over"
    assert code_of(ask(tx)) == code_of(ask(tx, admin(CLASS))) == "handed_over"
    assert code_of(decide(tx, approved.retention_id, approve=True)) == "handed_over"
    assert code_of(issue_letter(tx)) == "handed_over"
    item = IssueResetCode(command_id=uuid.uuid4(), member_id=ONE)
    assert code_of(accounts.issue_reset_codes(tx, [Asked(item, admin(CLASS))])[0]) is None
    assert post(tx, CLASS, "secretary", person_id=TWO) == TWO, "others are free"


@pytest.mark.rule("FED-12", "ADM-18")
def test_every_post_ends(tx):
    """FED-12, ADM-18: who goes to another system holds no post here any more, wherever it was."""
    assert post(tx, CLASS, "secretary", person_id=ONE) == ONE
    assert post(tx, ROOT, "secretary", person_id=ONE) == ONE
    name = store.by_ids(tx, [ONE])[ONE].name
    assert post(tx, TARGET, "secretary", name=name, id_number=number(1)) == ONE
    store.reserve(tx, [request(10, target=BJ_SCHOOL)])
    hand_over(tx)
    told(tx)

    leave(tx)

    for org in (CLASS, ROOT, TARGET):
        assert posts(tx, org) == []


# ---- what administrators see ---------------------------------------------------------------------


@pytest.mark.rule("FED-12")
def test_the_old_branch_finds_the_stay(tx):
    """FED-12: administrators of the old branch find where the member was, and nothing else."""
    before = AT.date() - timedelta(days=1)
    leave(tx)

    for org in (CLASS, SCHOOL, ROOT):
        by = admin(org)
        found = records.where_was(tx, WhereWas(person_ids=[ONE], on=before), by)
        assert [one.branch_id for one in found] == [CLASS]
        assert refused(showing.get_profile, tx, GetProfile(member_id=ONE), by) == "unknown_member"
        (shown,) = showing.describe_people(tx, DescribePeople(person_ids=[ONE]), by)
        assert (shown.name, shown.id_masked, shown.phone, shown.branch_id) == ("王**", "", "", None)
        name = store.by_ids(tx, [ONE])[ONE].name
        wanted = LookUp(name=name, id_number=number(1))
        assert refused(showing.look_up, tx, wanted, by) == "unknown_member"


@pytest.mark.rule("FED-12")
def test_no_list_has_who_has_left(tx):
    """FED-12: searches, lists, exports, numbers in full and work lists of whatever organisation."""
    ask(tx)
    name = store.by_ids(tx, [ONE])[ONE].name
    leave(tx)
    tx.execute(
        sa.text("UPDATE people SET ethnic_group = '', identity_check = 'failed' WHERE person_id = :one"),
        {"one": ONE},
    )
    root = admin(ROOT)

    for text in (name, number(1), "202000000001"):
        assert ONE not in [
            one.member_id for one in lists.search_members(tx, SearchMembers(text=text), root).items
        ]
    assert refused(lists.reveal_ids, tx, RevealIds(person_ids=[ONE], reason="核对"), root) == "unknown_member"
    assert ONE not in [one.member.member_id for one in lists.export_members(tx, ExportMembers(), root)]
    for sort in ("", "name", "-joined_on"):
        listed = lists.list_below(tx, ListBelow(org_id=ROOT, sort=sort), root)
        assert ONE not in [one.member.member_id for one in listed] and listed
    assert lists.list_below(tx, ListBelow(org_id=BJ, sort=""), root) == []
    assert showing.list_members(tx, ListMembers(branch_id=BJ_CLASS), root) == []
    for kind in lists_store.REPORTS:
        lines = lists_store.report(tx, kind, "1.", "", 0, 500, clock.today())
        assert ONE not in [line.member_id for line in lines], kind
        assert BJ_CLASS not in [line.org_id for line in lines], kind
    for by in (root, admin(SCHOOL)):
        assert retentions.list_retentions(tx, ListRetentions(), by) == []
    assert len(retentions.list_retentions(tx, ListRetentions(own=True), OWN)) == 1


@pytest.mark.rule("FED-12")
def test_nothing_counts_who_has_left(tx):
    """FED-12: no figure of entry, no composition and nothing that stands in the way of a deletion."""
    root = admin(ROOT)

    def members():
        lists._kept.clear()
        total, *parts = lists.get_entry_progress(tx, GetEntryProgress(org_id=ROOT), root)
        return total.members, {part.org_id: part.members for part in parts}

    all_of_them, before = members()
    leave(tx)

    after, parts = members()
    assert after == all_of_them - 1 and parts[BJ] == before[BJ] == 0
    assert composition.get_composition(tx, GetComposition(branch_id=BJ_CLASS), root).members == 0
    assert inside.count_inside(tx, CountInside(org_ids=[BJ_CLASS]), root) == []
    (counted,) = inside.count_inside(tx, CountInside(org_ids=[CLASS]), root)
    assert counted.members == 1


def test_clocks_do_not_run_for_who_has_left(tx):
    """Who has left outstays nothing here (DL-18)."""
    tx.execute(
        sa.text("UPDATE org_directory SET purpose = 'handover' WHERE org_id IN (:bj, :class)"),
        {"bj": BJ_CLASS, "class": CLASS},
    )
    tx.execute(
        sa.text("""
            INSERT INTO retentions (command_id, member_id, branch_id, kind, since, until, place, contact_name,
                reason, state, requested_by, requested_at)
            VALUES (:id, :one, :branch, 'retained', '2020-01-01', '2020-02-01', '', '',
                '', 'approved', 1, now())
        """),
        {"id": uuid.uuid4(), "one": ONE, "branch": CLASS},
    )
    tx.execute(sa.text("UPDATE people SET found_on = '2020-01-01' WHERE person_id = :one"), {"one": ONE})
    late = lists_store.overstayed(tx, clock.today())
    assert late["retained"] == late["onward"] == 1
    leave(tx)
    tx.execute(sa.text("UPDATE people SET found_on = '2020-01-01' WHERE person_id = :one"), {"one": ONE})

    late = lists_store.overstayed(tx, clock.today())

    assert late["retained"] == late["onward"] == 0


# ---- who is to come ------------------------------------------------------------------------------


@pytest.mark.rule("TRF-22")
def test_who_is_to_come_is_seen_by_those_who_approve(tx, peers):
    """TRF-22: of an open offer only the target of the transfer, and what stands above it, sees the person."""
    ((_, member),) = offer(tx, offered(sealed_person(peers["BJ"])))

    def name(org):
        return showing.describe_people(tx, DescribePeople(person_ids=[member]), admin(org))[0].name

    assert [name(org) for org in (ROOT, TARGET, SCHOOL)] == ["李**"] * 3
    store.reserve(tx, [request(70, member, BJ_CLASS, TARGET)])

    assert [name(org) for org in (ROOT, TARGET, SCHOOL, CLASS, BRANCH)] == ["李雷", "李雷", *["李**"] * 3]
    root = admin(ROOT)
    assert refused(showing.get_profile, tx, GetProfile(member_id=member), root) == "unknown_member"
    assert lists.search_members(tx, SearchMembers(text="李雷"), root).items == []
