"""Searching from a place: what is nearer comes first, systems beside provinces, contacts by place."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.orgs import domain, handlers, store
from services.orgs.search import handlers as search
from services.orgs.search import store as search_store
from shared import clock
from shared.errors import Refused
from shared.messages.orgs import FindToJoin, ListContacts
from tests.orgs.factories import (
    CLASS,
    COLLEGE,
    OTHER_SCHOOL,
    SCHOOL,
    TREE,
    Seed,
    found,
)


@pytest.mark.rule("BEY-20")
def test_what_is_nearer_comes_first(tx):
    """BEY-20: of names that fit alike, those nearer to the searcher come first."""
    assert found(tx, "理工大学委员会", near=OTHER_SCHOOL) == [OTHER_SCHOOL, SCHOOL]
    assert found(tx, "理工大学委员会", near=CLASS) == [SCHOOL, OTHER_SCHOOL]


@pytest.mark.rule("BEY-20")
def test_a_text_of_common_pieces_is_found_outward(tx, monkeypatch):
    """BEY-20: where every piece is common the subtrees are walked outward.

    The exact name is first all the same.
    """
    monkeypatch.setattr(
        search_store,
        "_frequent",
        lambda tx: (dict.fromkeys(domain.bigrams("共青团江汉理工大学机械学院委员会理支部"), 10**6), 10**7),
    )
    assert found(tx, "共青团江汉理工大学委员会", near=CLASS)[0] == SCHOOL
    assert found(tx, "江汉理工大学机械学院", near=SCHOOL)[0] == COLLEGE
    assert set(found(tx, "理工大学委员会", near=OTHER_SCHOOL)) == {SCHOOL, OTHER_SCHOOL}
    assert found(tx, "理工大学委员会", near=OTHER_SCHOOL)[0] == OTHER_SCHOOL
    assert found(tx, "理工大学委员会", near=CLASS, below=44) == [OTHER_SCHOOL]


@pytest.mark.rule("ORG-15", "SRCH-08")
def test_employers_are_found_in_their_system(tx):
    """ORG-15: bodies of a vertical system stand beside the provinces.

    An employer's organisation is found below its system, not below the place where it lies.
    """
    store.load(
        tx,
        [
            *TREE,
            Seed(97, 1, "leading_body", "共青团全国铁道委员会", "97"),
            Seed(9701, 97, "committee", "共青团铁道武汉局委员会", "97"),
        ],
    )
    assert found(tx, "武汉局", below=97) == [9701]
    assert found(tx, "武汉局", below=42) == []
    assert domain.is_provincial(1, 97, store.by_ids(tx, [97])[97].provincial_id)
    assert store.by_ids(tx, [9701])[9701].provincial_id == 97


@pytest.mark.rule("SRCH-09")
def test_contacts(tx):
    """SRCH-09: anyone finds the telephone numbers of leading bodies by place.

    Other organisations are not listed.
    """
    tx.execute(sa.text("UPDATE orgs SET phone = '02780000000' WHERE org_id = 4201"))
    assert [
        (one.org_id, one.phone) for one in handlers.list_contacts(tx, ListContacts(text="湖北省"), None)
    ] == [(42, ""), (4201, "02780000000")]
    assert handlers.list_contacts(tx, ListContacts(text="江汉"), None) == []
    with pytest.raises(Refused, match="field_missing"):
        handlers.list_contacts(tx, ListContacts(text="湖"), None)


def test_a_stranger_searches_so_often(tx, monkeypatch):
    """Who has not signed in searches so often from one address, and is told when to go on (SRCH-10).

    Another address goes on meanwhile, and so does this one after a quarter of an hour.
    """
    monkeypatch.setattr(search, "SEARCHES_FROM_ADDRESS", 3)

    def ask(address):
        try:
            return len(search.find_to_join(tx, FindToJoin(text="理工大学", address=address), None)) > 0
        except Refused as error:
            return error.refusal.say("zh")

    said = [ask("203.0.113.9") for _ in range(5)]
    assert said == [True, True, True, *["尝试次数过多,请15分钟后再试"] * 2]
    assert ask("198.51.100.7") is True
    clock.advance(timedelta(minutes=16))
    assert ask("203.0.113.9") is True


def test_nobody_registers_in_another_system(tx):
    """Who registers finds no organisation of the three provinces, which register their own (FED-07)."""
    there = search.find_to_join(tx, FindToJoin(text="理工大学委员会"), None)
    assert [one.org_id for one in there] == [SCHOOL]


def test_a_system_that_there_is_not(tx):
    """A search in a system that nobody knows is refused, not answered with everything (FED-02)."""
    with pytest.raises(Refused, match="bad_request"):
        found(tx, "理工大学", system="SH")
