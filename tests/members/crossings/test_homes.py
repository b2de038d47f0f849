"""Where people are is told to bridges; what both systems have signed is followed when an operator says so."""

import pytest
import sqlalchemy as sa

from services.members import handlers, store
from services.members.crossings import homes
from shared import clock
from shared.messages.federation import HomeCorrected, HomeWanted
from tests.audit_acts import written
from tests.members.crossings.factories import BJ_CLASS, BJ_OTHER, BJ_SCHOOL, GD_CLASS, counted, leave, told
from tests.members.factories import BRANCH, CLASS, ONE, THREE, TWO, request

pytestmark = pytest.mark.usefixtures("peers")


def asked(tx, *people, peer="BJ") -> dict[str, str]:
    """Ask where people are; return the answers by the number of the transfer."""
    now = clock.now()
    homes.on_home_wanted(
        tx,
        [
            HomeWanted(subject=f"national:{n}", peer=peer, person_id=one, asked_at=now)
            for n, one in enumerate(people)
        ],
    )
    return {one["subject"]: one["home"] for one in told(tx, "home_told")}


def correct(tx, person, branch) -> None:
    homes.on_home_corrected(
        tx, [HomeCorrected(subject="national:10", peer="BJ", person_id=person, branch_id=branch)]
    )


def put(tx, person, branch) -> None:
    """Write into the table by hand where somebody is."""
    tx.execute(
        sa.text("UPDATE people SET branch_id = :branch WHERE person_id = :one"),
        {"branch": branch, "one": person},
    )


def stays(tx, person) -> list[tuple[int, bool]]:
    return [(one.branch_id, one.ended_at is None) for one in store.stays(tx, person)]


@pytest.mark.rule("BEY-16")
def test_where_people_are(tx):
    """BEY-16: here, there, elsewhere, held by a transfer, unknown: five words, in one statement for all."""
    leave(tx, ONE)
    handlers.on_transfer_requested(tx, [request(11, TWO, CLASS, BJ_SCHOOL)])
    told(tx)
    asked(tx)  # prepares the statement
    with counted(tx) as sent:
        found = asked(tx, ONE, TWO, THREE, 987_654)
    assert found == {
        "national:0": "there",
        "national:1": "moving",
        "national:2": "here",
        "national:3": "nobody",
    }
    assert len(sent) == 3  # it looks, it tells, and the test reads what was told
    assert asked(tx, ONE, peer="GD") == {"national:0": "elsewhere"}
    put(tx, THREE, None)
    assert asked(tx, THREE) == {"national:0": "elsewhere"}


@pytest.mark.rule("BEY-16")
def test_a_double_is_put_right(tx):
    """BEY-16: who is signed to have gone and stands here stands there again, once, with no account given."""
    leave(tx, ONE)
    put(tx, ONE, CLASS)

    lines = written(tx, lambda: [correct(tx, ONE, BJ_CLASS), correct(tx, ONE, BJ_CLASS)])

    assert asked(tx, ONE) == {"national:0": "there"}
    assert stays(tx, ONE).count((BJ_CLASS, True)) == 1 and sum(is_open for _, is_open in stays(tx, ONE)) == 1
    assert [(one.kind, one.persons, one.place_id, one.ref) for one in lines] == [
        ("member.corrected", [ONE], BJ_CLASS, "crossing national:10")
    ]


@pytest.mark.rule("BEY-16")
def test_who_is_nowhere_comes_back(tx):
    """BEY-16: who is signed to have stayed stands in the old branch again, and may sign in."""
    put(tx, ONE, BJ_OTHER)
    tx.execute(sa.text("DELETE FROM accounts WHERE person_id = :one"), {"one": ONE})

    correct(tx, ONE, CLASS)

    assert asked(tx, ONE) == {"national:0": "here"}
    assert tx.scalar(sa.text("SELECT count(*) FROM accounts WHERE person_id = :one"), {"one": ONE}) == 1
    assert (CLASS, True) in stays(tx, ONE)


@pytest.mark.rule("BEY-16")
def test_who_is_held_is_left_alone(tx):
    """BEY-16: a transfer that has begun meanwhile decides where its member goes."""
    handlers.on_transfer_requested(tx, [request(11, ONE, CLASS, BRANCH)])
    told(tx)

    correct(tx, ONE, GD_CLASS)

    assert asked(tx, ONE) == {"national:0": "moving"}
    assert store.by_ids(tx, [ONE])[ONE].branch_id == CLASS


@pytest.mark.rule("ADM-18")
def test_who_is_not_ours_keeps_no_post(tx):
    """ADM-18: who is put into another system's branch administers nothing here any more."""
    posts = "INSERT INTO posts (org_id, person_id, post, began_at) VALUES (:org, :one, 'secretary', now())"
    tx.execute(sa.text(posts), {"org": CLASS, "one": ONE})

    correct(tx, ONE, BJ_CLASS)

    left = "SELECT count(*) FROM posts WHERE person_id = :one AND ended_at IS NULL"
    assert tx.scalar(sa.text(left), {"one": ONE}) == 0
    assert [(one["person_id"], one["post"]) for one in told(tx, "cadre_changed")] == [(ONE, "")]
