"""Who goes to another system: the offer, the record, and what is frozen meanwhile."""

import json
import logging
import threading
import uuid
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from services.members import handlers, store
from services.members.crossings import handlers as crossings
from services.members.records import handlers as records
from services.members.sealing.keys import opened, sealed
from shared.bus.service import Asked
from shared.identity import Actor
from shared.inbox import Inbox, Incoming
from shared.messages.members import DeleteMember, EditMember, RequestDeletion
from shared.messages.sealed import SealedPerson, SealedRecord, SealedStay
from shared.messages.transfers import RemoteOpened, TransferRejected
from tests.audit_acts import written
from tests.members.crossings.factories import (
    BJ_CLASS,
    BJ_SCHOOL,
    Database,
    counted,
    hand_over,
    handover,
    remote,
    told,
)
from tests.members.factories import (
    AT,
    BRANCH,
    CLASS,
    ONE,
    ROOT,
    SCHOOL,
    THREE,
    TWO,
    admin,
    admit,
    assigned,
    number,
    person,
    request,
)

pytestmark = pytest.mark.usefixtures("peers")


def reserve(tx, *pairs, target=BJ_SCHOOL):
    handlers.on_transfer_requested(tx, [request(number, member, target=target) for number, member in pairs])
    told(tx)


def edit(tx, actor, member=ONE, **values):
    """Edit a member; return the code of the refusal, or None."""
    item = EditMember(command_id=uuid.uuid4(), member_id=member, **values)
    refusal = records.edit_members(tx, [Asked(item, actor)])[0].refusal
    return refusal and refusal.code


# ---- the offer -----------------------------------------------------------------------------------


@pytest.mark.rule("FED-10")
def test_a_member_is_offered(tx, peers):
    """FED-10: who is to go is sealed for the registry of that system alone; all else is handed on."""
    reserve(tx, (10, ONE))

    crossings.on_remote_opened(tx, [remote(10, target_name="北京市某街道", answer_by=AT)])

    (offer,) = told(tx, "member_offered")
    sealed_text = offer.pop("person")
    assert offer == {
        "topic": "member_offered",
        "transfer_id": 10,
        "peer": "BJ",
        "source_branch_id": CLASS,
        "target_org_id": BJ_SCHOOL,
        "target_name": "北京市某街道",
        "reason": "employed_with_org",
        "started_at": "2026-07-01T08:00:00Z",
        "answer_by": "2026-06-30T12:00:00Z",
    }
    assert peers["BJ"].open(sealed_text, SealedPerson) == SealedPerson(
        subject="national:10",
        number=number(1),
        name=store.by_ids(tx, [ONE])[ONE].name,
        joined_on=date(2020, 5, 4),
        phone="19900000001",
        remark="某公司\n某路1号",
    )


def test_told_again(tx, peers):
    """Told again it is offered again, in other bytes that say the same."""
    reserve(tx, (10, ONE))
    crossings.on_remote_opened(tx, [remote(10)])
    crossings.on_remote_opened(tx, [remote(10)])

    first, second = told(tx, "member_offered")

    assert first["person"] != second["person"]
    said = [peers["BJ"].open(one.pop("person"), SealedPerson) for one in (first, second)]
    assert said[0] == said[1] and first == second


def test_each_for_its_own_system(tx, peers):
    """A list may lead to several systems; each opens its own."""
    crossings.on_remote_opened(tx, [remote(10), remote(11, TWO, "GD")])

    offers = {one["transfer_id"]: one for one in told(tx, "member_offered")}

    assert peers["BJ"].open(offers[10]["person"], SealedPerson).subject == "national:10"
    assert peers["GD"].open(offers[11]["person"], SealedPerson).subject == "national:11"


def test_a_registry_without_a_key(engine, peers):
    """Where a peer has given no key the item waits for one, with words that say so; its neighbour goes."""
    (file,) = (peers["FJ"].files.place / "own").iterdir()
    ours = crossings.seals.registry().files.place / "FJ" / file.name
    content = ours.read_bytes()
    ours.unlink()
    inbox = Inbox("members", Database(engine), {RemoteOpened: crossings.on_remote_opened})
    body = json.dumps([_json(remote(10, peer="FJ")), _json(remote(11, TWO))]).encode()
    try:
        inbox.apply([Incoming("m1", "remote_opened", body)])
        with engine.begin() as tx:
            assert [one["transfer_id"] for one in told(tx, "member_offered")] == [11]
            waiting = tx.execute(sa.text("SELECT error, next_attempt_at FROM failed_messages")).one()
            assert "registry/FJ" in waiting.error and waiting.next_attempt_at is not None
            assert number(1) not in waiting.error
        ours.write_bytes(content)
        with engine.begin() as tx:
            tx.execute(sa.text("UPDATE failed_messages SET next_attempt_at = now() - interval '1 day'"))

        assert inbox.retry_due() is None

        with engine.begin() as tx:
            assert [one["transfer_id"] for one in told(tx, "member_offered")] == [10]
    finally:
        ours.unlink(missing_ok=True)
        ours.write_bytes(content)
        with engine.begin() as tx:
            tx.execute(sa.text("DELETE FROM failed_messages"))
            tx.execute(sa.text("DELETE FROM inbox"))
            told(tx)


def _json(item):
    return {name: getattr(item, name) for name in item.__struct_fields__} | (
        {"started_at": item.started_at.isoformat()} if hasattr(item, "started_at") else {}
    )


# ---- the record ----------------------------------------------------------------------------------


@pytest.mark.rule("FED-10")
def test_the_record_is_sealed(tx, peers):
    """FED-10: what is kept of the member goes, with the stays, oldest first."""
    handlers.on_transfer_requested(tx, [request(9)])
    handlers.on_branch_assigned(tx, [assigned(9, branch=BRANCH)])
    actor = Actor(ONE, None)
    assert edit(tx, actor, contact="父亲" * 40, emergency_contact="母亲 13900000000") is None
    handlers.on_transfer_requested(tx, [request(10, source=BRANCH, target=BJ_SCHOOL)])
    told(tx)

    hand_over(tx)

    (record,) = told(tx, "record_sealed")
    assert (record["transfer_id"], record["peer"]) == (10, "BJ")
    found = peers["BJ"].open(record["record"], SealedRecord)
    moved = AT.date()
    assert found == SealedRecord(
        subject="national:10",
        number=number(1),
        name=store.by_ids(tx, [ONE])[ONE].name,
        joined_on=date(2020, 5, 4),
        ethnic_group="汉族",
        development_number="202000000001",
        phone="19900000001",
        contact="父亲" * 30,
        emergency_contact="母亲 13900000000",
        stays=[
            SealedStay(branch=str(CLASS), since=(AT - timedelta(days=999)).date(), until=moved),
            SealedStay(branch=str(BRANCH), since=moved),
        ],
    )


def test_a_record_is_never_too_large(tx, peers):
    """Of more stays than a message holds the oldest are left out."""
    reserve(tx, (10, ONE))
    tx.execute(
        sa.text("""
            INSERT INTO stays_elsewhere (person_id, number, branch, since, until)
            SELECT :one, n, repeat('团', 290) || n, date '2000-01-01' + n, date '2000-01-02' + n
            FROM generate_series(1, 150) AS n"""),
        {"one": ONE},
    )

    hand_over(tx)

    (record,) = told(tx, "record_sealed")
    assert len(record["record"]) <= 24_000
    stays = peers["BJ"].open(record["record"], SealedRecord).stays
    assert stays[-1].branch == str(CLASS) and stays[-2].branch == "团" * 290 + "150"
    assert 10 < len(stays) < 100


def test_a_record_told_again(tx, peers):
    """Told again the record is sealed again, as it stood; of a transfer that has ended nothing is told."""
    reserve(tx, (10, ONE))
    hand_over(tx)
    hand_over(tx)

    first, second = (peers["BJ"].open(one["record"], SealedRecord) for one in told(tx, "record_sealed"))
    assert first == second
    handlers.on_ended(tx, [TransferRejected(transfer_id=10, member_id=ONE)])
    told(tx)
    hand_over(tx)

    assert told(tx) == []


def test_a_member_who_is_not_held(tx):
    """A record is sealed of nobody whom the transfer does not hold; it is tried again."""
    with pytest.raises(LookupError, match="transfer 10"):
        hand_over(tx)
    with pytest.raises(LookupError, match="999999"):
        crossings.on_remote_opened(tx, [remote(10, 999_999)])
    assert told(tx) == []


def test_a_batch_of_500(tx, peers):
    """500 members are offered, and their records sealed, by a bounded number of statements."""
    some = range(100, 600)
    answers = admit(tx, *(person(n % 900 + 100, id_number=number(n)) for n in some))
    members = [one.member_id for one in answers]
    assert all(members), [one.reason for one in answers if one.reason][:1]
    reserve(tx, *enumerate(members, 1000))

    with counted(tx) as offers:
        crossings.on_remote_opened(tx, [remote(n, one) for n, one in enumerate(members, 1000)])
    with counted(tx) as records_sent:
        crossings.on_handover_opened(tx, [handover(n, one) for n, one in enumerate(members, 1000)])

    assert len(offers) <= 2 and len(records_sent) <= 6
    assert len(told(tx, "member_offered", "record_sealed")) == 1000


# ---- frozen --------------------------------------------------------------------------------------


@pytest.mark.rule("FED-10")
def test_a_record_on_its_way_is_not_edited(tx):
    """FED-10: from the hand-over on only telephone and contacts change, whoever edits."""
    reserve(tx, (10, ONE))
    near, own = admin(CLASS), Actor(ONE, None)
    assert edit(tx, near, ethnic_group="回族") is None, "an open offer closes nothing"

    hand_over(tx)

    for actor in (near, admin(SCHOOL), own):
        assert edit(tx, actor, ethnic_group="满族") == "handed_over"
        assert edit(tx, actor, development_number="202000000009") == "handed_over"
        assert edit(tx, actor, joined_on=date(2020, 5, 5)) == "handed_over"
        assert edit(tx, actor, found=True) == "handed_over"
        assert edit(tx, actor, phone="19911112222", contact="张三", emergency_contact="李四") is None
        # forms send what stays, too
        assert edit(tx, actor, phone="19911113333", ethnic_group="回族", joined_on=date(2020, 5, 4)) is None
    assert edit(tx, near, party=True) == "handed_over"
    assert edit(tx, admin(ROOT), ethnic_group="满族") == "unknown_member", "others learn nothing"
    row = store.by_ids(tx, [ONE])[ONE]
    assert (opened(row.phone_sealed), row.ethnic_group, row.party) == ("19911113333", "回族", False)
    assert edit(tx, near, TWO, ethnic_group="满族") is None


def test_an_edit_at_the_same_moment(engine):
    """An edit that waits for a hand-over finds the record closed: what was sealed is what stands here."""
    answers = []
    with engine.begin() as tx:
        reserve(tx, (10, ONE))
    try:

        def try_it():
            with engine.begin() as other:
                answers.append(edit(other, admin(CLASS), ethnic_group="满族"))

        with engine.begin() as tx:
            hand_over(tx)
            told(tx)
            editing = threading.Thread(target=try_it)
            editing.start()
            editing.join(0.5)
            assert editing.is_alive() and answers == []
        editing.join(10)
        assert answers == ["handed_over"]
    finally:
        with engine.begin() as tx:
            tx.execute(sa.text("DELETE FROM handovers"))
            handlers.on_ended(tx, [TransferRejected(transfer_id=10, member_id=ONE)])


@pytest.mark.parametrize("how", ["back", "gone"])
def test_a_record_is_open_again(tx, how):
    """When the transfer has ended the record is open again; when the member has gone it is no more."""
    reserve(tx, (10, ONE))
    hand_over(tx)

    if how == "back":
        handlers.on_ended(tx, [TransferRejected(transfer_id=10, member_id=ONE)])
        assert edit(tx, admin(CLASS), ethnic_group="满族") is None
    else:
        handlers.on_branch_assigned(tx, [assigned(10, branch=BJ_CLASS)])
        assert edit(tx, admin(CLASS), ethnic_group="满族") == "unknown_member"
        assert edit(tx, Actor(ONE, None), phone="19911112222") == "stands_elsewhere"


@pytest.mark.rule("BEY-10")
def test_a_record_that_is_given_away_is_logged(tx):
    """BEY-10: the log says once whose record went to which system, and nothing of what stands in it."""
    reserve(tx, (10, ONE))

    (line,) = written(tx, lambda: (hand_over(tx), hand_over(tx)))

    assert line.kind == "member.handed_over"
    assert (line.persons, line.place_id, line.ref) == ([ONE], CLASS, "transfer 10")
    assert json.loads(line.after) == {"peer": "BJ"}


def test_nobody_is_deleted_or_reported_meanwhile(tx):
    """A member whose record is on its way is neither deleted nor reported as wrongly entered."""
    reserve(tx, (10, ONE))
    hand_over(tx)

    item = RequestDeletion(command_id=uuid.uuid4(), member_id=ONE, cause="typing", explanation="录错")
    reported = records.request_deletions(tx, [Asked(item, admin(CLASS))])[0]
    item = DeleteMember(command_id=uuid.uuid4(), member_id=ONE, reason="录错")
    deleted = records.delete_members(tx, [Asked(item, admin(ROOT))])[0]

    assert reported.refusal.code == deleted.refusal.code == "handed_over"


# ---- what nobody sees ----------------------------------------------------------------------------


def test_nothing_personal_is_told_or_logged(tx, peers, caplog):
    """No number, no telephone and no name stands in what is told, or in what is logged."""
    caplog.set_level(logging.DEBUG)
    tx.execute(
        sa.text("UPDATE people SET contact_sealed = decode(:sealed, 'base64') WHERE person_id = :one"),
        {"sealed": sealed("父亲13900001111"), "one": THREE},
    )
    reserve(tx, (10, ONE))
    crossings.on_remote_opened(tx, [remote(10)])
    hand_over(tx)
    with pytest.raises(LookupError) as caught:
        hand_over(tx, 11, TWO)

    said = "\n".join(tx.scalars(sa.text("SELECT body FROM outbox"))) + caplog.text + str(caught.value)

    for secret in (number(1), number(1)[6:14], "19900000001", store.by_ids(tx, [ONE])[ONE].name, "某公司"):
        assert secret not in said
