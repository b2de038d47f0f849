"""The token of the first installation: who may read it, and what is none (ADM-10)."""

import os
import random
import stat
import threading

import pytest
import sqlalchemy as sa

from services.members import models
from services.members.accounts import handlers as accounts
from services.members.founding import handlers as founding
from services.members.sealing import seal
from services.members.sealing.keys import keys as loaded
from shared import directory
from shared.errors import Refused
from shared.messages.members import SetUp
from shared.messages.orgs import OrgChanged
from system import synthetic


@pytest.fixture(scope="module")
def engine(scratch, keys):
    seal.make_keys(keys)
    accounts.use(keys)
    return scratch(models.metadata)


@pytest.fixture
def tx(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(loaded, "folder", tmp_path)
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


def refused(tx, token: str) -> str:
    with pytest.raises(Refused) as error:
        founding.set_up(
            tx, SetUp(token=token, name="李首任", id_number="110101199003070038", password="Abcd-12345"), None
        )
    return error.value.code


@pytest.mark.parametrize("kept", [None, "", "\n", "abc\n"])
def test_a_token_that_was_cut_off_opens_nothing(tx, tmp_path, kept):
    """A token file that is missing, empty or too short lets nobody in, not even with an empty token."""
    if kept is not None:
        (tmp_path / founding.TOKEN_FILE).write_text(kept)
    assert refused(tx, (kept or "").strip()) == "setup_token_wrong"
    assert (
        len(founding.make_token(tmp_path).read_text()) > founding.TOKEN_SHORTEST
    )  # the next start makes it anew


def test_only_the_token_opens(tx, tmp_path):
    """With the token it is the missing tree that is in the way; with another it is the token."""
    token = founding.make_token(tmp_path).read_text()
    assert [refused(tx, token), refused(tx, token.strip()[:-1]), refused(tx, "")] == [
        "unknown_org",
        "setup_token_wrong",
        "setup_token_wrong",
    ]


def test_nobody_else_reads_the_token_while_it_is_written(tmp_path, monkeypatch):
    """The file is its owner's from its first moment on, whatever the mask of the process.

    It is not made a second time.
    """
    seen = []
    monkeypatch.setattr(
        founding.secrets,
        "token_urlsafe",
        lambda size: (
            seen.append([stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()]) or "x" * 32
        ),
    )
    before = os.umask(0)
    try:
        path = founding.make_token(tmp_path)
        assert founding.make_token(tmp_path) == path and len(seen) == 1
    finally:
        os.umask(before)
    assert (
        all(mode == 0o400 for modes in seen for mode in modes) and stat.S_IMODE(path.stat().st_mode) == 0o400
    )


def test_two_at_the_same_moment_make_one(engine, tmp_path, monkeypatch):
    """ADM-10: of two who send the token at the same moment one becomes the administrator.

    The other finds the page closed.
    """
    monkeypatch.setattr(loaded, "folder", tmp_path)
    token = founding.make_token(tmp_path).read_text()
    with engine.begin() as tx:
        directory.on_org_changed(
            tx,
            [
                OrgChanged(
                    org_id=1,
                    parent_id=None,
                    path="1.",
                    kind="leading_body",
                    province="",
                    system="national",
                    provincial_id=None,
                    name="1",
                    purpose="ordinary",
                    vault_id=None,
                    deleted=False,
                    version=1,
                    industry="",
                )
            ],
        )
    people = synthetic.people(
        2, rng=random.Random(6), division_codes=["110101"], birth_years=(1980, 1990), start=50_000_000
    )
    start, answers = threading.Barrier(2), []

    def ask(name: str, number: str) -> None:
        with engine.begin() as tx:
            start.wait(5)
            try:
                answers.append(
                    founding.set_up(
                        tx, SetUp(token=token, name=name, id_number=number, password="Abcd-12345"), None
                    ).org_id
                )
            except Refused as error:
                answers.append(error.code)

    both = [threading.Thread(target=ask, args=(one.name, one.id_number)) for one in people]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    assert sorted(answers, key=str) == [1, "setup_closed"]
    with engine.connect() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM posts")) == 1


def test_somebody_entered_elsewhere_meanwhile_is_found(tx, monkeypatch):
    """ADM-10: the person may be entered by another between the look and the entry; then it is that person."""
    number = "11010119900307003" + synthetic.check_digit("11010119900307003")
    first = founding._person(tx, "李首任", number, "13800000000", "")
    looks = []

    def at_first_nobody(tx, indexes):
        looks.append(indexes)
        return {} if len(looks) == 1 else found(tx, indexes)

    found = founding.store.known
    monkeypatch.setattr(founding.store, "known", at_first_nobody)
    assert founding._person(tx, "李首任", number, "13800000000", "") == first
    assert len(looks) == 2
