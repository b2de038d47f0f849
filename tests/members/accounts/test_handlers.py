"""Signing in on a real database: initial passwords, lockout, sessions, and what a refusal leaves behind."""

import json
import threading
import time
import uuid
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag

from services.members import initial, people, store
from services.members.accounts import captcha
from services.members.accounts import handlers as accounts
from services.members.accounts.handlers import keys as secret_keys
from services.members.sealing import seal
from services.members.service import Service
from shared import clock, directory
from shared.bus.calls import Call
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor, Verifier
from shared.messages.members import (
    ChangePassword,
    GetCaptcha,
    IssueResetCode,
    Renew,
    ResetPassword,
    SignIn,
    SignOut,
)
from shared.messages.orgs import AdministratorChanged, OrgChanged
from system.synthetic import check_digit
from tests.members.accounts.factories import (
    BRANCH,
    FIRST,
    INITIAL,
    NOBODY,
    NUMBER,
    OWN,
    PERSON,
    ROOT,
    SUPERIOR,
    change,
    enter,
    issue,
    refused,
    sign_in,
)


@pytest.mark.rule("ACC-04", "ACC-05")
@pytest.mark.parametrize("number", [NUMBER, f" {NUMBER.lower()} "])
def test_initial_password(tx, keys, number):
    """ACC-04, ACC-05: the number's last eight characters open a session that only changes the password."""
    signed = sign_in(tx, number=number)

    assert signed.must_change_password
    assert Verifier(keys).actor(signed.token, None) == Actor(PERSON, None, restricted=True)
    assert {call.name for call in Service.queries if call.restricted} == {"change_password", "who_am_i"}


@pytest.mark.rule("ACC-05")
def test_change_password(tx, keys):
    """ACC-05: the person's own password replaces the initial one and ends the other sessions.

    The running session is no longer restricted.
    """
    signed = sign_in(tx)

    elsewhere = sign_in(tx)
    assert change(tx, INITIAL, OWN, signed.session)

    with pytest.raises(Refused):
        accounts.renew(tx, Renew(session=elsewhere.session), None)
    renewed = accounts.renew(tx, Renew(session=signed.session), None)
    assert not renewed.must_change_password
    assert Verifier(keys).actor(renewed.token, 5) == Actor(PERSON, 5)
    assert refused(tx, INITIAL) == "sign_in_failed"
    assert not sign_in(tx, OWN).must_change_password


@pytest.mark.rule("ACC-05")
@pytest.mark.parametrize(
    "old, new, code",
    [
        (INITIAL, INITIAL, "password_weak"),
        (INITIAL, "short-1", "password_weak"),
        (INITIAL, NUMBER, "password_weak"),
        ("wrong", OWN, "sign_in_failed"),
    ],
)
def test_change_refused(tx, old, new, code):
    """ACC-05: the old password must match; the new one has eight characters and is not the initial one."""
    with pytest.raises(Refused) as caught:
        change(tx, old, new)

    assert caught.value.code == code
    assert sign_in(tx).must_change_password


@pytest.mark.rule("ACC-05")
def test_change_is_locked_too(tx):
    """ACC-05: a stolen token does not help to guess the password.

    Guesses made elsewhere do not keep the owner from changing it.
    """
    for _ in range(5):
        with pytest.raises(Refused):
            change(tx, "wrong", OWN)

    with pytest.raises(Refused) as caught:
        change(tx, INITIAL, OWN)
    assert caught.value.code == "too_many_attempts"
    assert sign_in(tx).person_id == PERSON


@pytest.mark.rule("ACC-10")
def test_one_error_for_all(tx):
    """ACC-10: a wrong number and a wrong password are refused alike, and locked alike."""
    for number in (NUMBER, NOBODY):
        assert [refused(tx, "wrong", number) for _ in range(6)] == ["sign_in_failed"] * 5 + [
            "too_many_attempts"
        ]


@pytest.mark.rule("ACC-10")
def test_lock_ends(tx):
    """ACC-10: after five failures even the right password waits, for 15 minutes and no longer."""
    for _ in range(5):
        refused(tx, "wrong")

    with pytest.raises(Refused) as caught:
        sign_in(tx)
    assert caught.value.refusal.values == {"minutes": "15"}
    clock.advance(timedelta(minutes=14))
    assert refused(tx) == "too_many_attempts"
    clock.advance(timedelta(minutes=1, seconds=1))
    assert sign_in(tx).person_id == PERSON


@pytest.mark.rule("ACC-10")
def test_failures_are_forgotten(tx):
    """ACC-10: a success starts the count afresh, and so does a quiet day.

    Fifteen minutes between the guesses do not.
    """
    for _ in range(4):
        refused(tx, "wrong")
    sign_in(tx)
    for _ in range(4):
        refused(tx, "wrong")
    clock.advance(timedelta(hours=24, minutes=1))
    for _ in range(4):
        refused(tx, "wrong")
    clock.advance(timedelta(minutes=16))
    assert [refused(tx, "wrong"), refused(tx)] == ["sign_in_failed", "too_many_attempts"]


@pytest.mark.rule("ACC-16")
def test_sessions_end(tx):
    """ACC-16: signing out ends a session, and so do eight hours; lapsed sessions are removed."""
    one, two = sign_in(tx), sign_in(tx)

    assert accounts.sign_out(tx, SignOut(session=one.session), None)
    assert not accounts.sign_out(tx, SignOut(session=one.session), None)
    assert accounts.renew(tx, Renew(session=two.session), None).session == two.session
    clock.advance(timedelta(hours=8, seconds=1))

    for session in (one.session, two.session, "made up"):
        with pytest.raises(Refused) as caught:
            accounts.renew(tx, Renew(session=session), None)
        assert caught.value.code == "token_expired"
    sign_in(tx)
    assert tx.scalar(sa.text("SELECT count(*) FROM sessions")) == 1


@pytest.mark.rule("ACC-10")
def test_token_expires(tx, keys):
    """ACC-10: a token proves its person for 15 minutes."""
    signed = sign_in(tx)
    clock.advance(timedelta(minutes=15, seconds=1))

    with pytest.raises(Refused) as caught:
        Verifier(keys).actor(signed.token, None)
    assert caught.value.code == "token_expired"


@pytest.mark.rule("ACC-10")
def test_no_secret_is_stored(tx):
    """ACC-10: neither session, password nor number can be read from the database."""
    signed = sign_in(tx)
    change(tx, INITIAL, OWN)

    stored = json.dumps(
        [
            [str(bytes(one)) if isinstance(one, memoryview) else str(one) for one in row]
            for table in ("people", "accounts", "sessions", "attempts", "outbox")
            for row in tx.execute(sa.text(f"SELECT * FROM {table}"))
        ]
    )
    for secret in (signed.session, OWN, NUMBER, INITIAL, "19900000001"):
        assert secret not in stored


def ask(service, name, item, token="") -> dict:
    return json.loads(
        service.answer(
            Call(correlation_id="1", name=name, body=msgspec.Raw(msgspec.json.encode(item)), token=token)
        )
    )


@pytest.mark.rule("ACC-10")
def test_failures_outlast_the_refusal(service):
    """ACC-10: the failure of a refused sign-in is committed."""
    wrong = SignIn(id_number=NUMBER, password="wrong")

    codes = [ask(service, "sign_in", wrong)["refused"]["code"] for _ in range(6)]

    assert codes == ["sign_in_failed"] * 5 + ["too_many_attempts"]


@pytest.mark.rule("ACC-10")
def test_one_password_at_a_time(service, engine):
    """ACC-10: passwords of one account tried at the same moment wait for each other, so all are counted."""
    with engine.connect() as one:
        transaction = one.begin()
        refused(one, "wrong")
        answers = []
        wrong = SignIn(id_number=NUMBER, password="wrong")
        others = [
            threading.Thread(target=lambda: answers.append(ask(service, "sign_in", wrong))) for _ in range(8)
        ]
        for other in others:
            other.start()
        time.sleep(0.3)
        assert answers == []
        transaction.commit()
        for other in others:
            other.join(10)

    assert (
        sorted(answer["refused"]["code"] for answer in answers)
        == ["sign_in_failed"] * 4 + ["too_many_attempts"] * 4
    )


@pytest.mark.rule("ACC-05")
def test_restricted_until_changed(service):
    """ACC-05: with the initial password nothing works but looking at oneself and changing it."""
    token = ask(service, "sign_in", SignIn(id_number=NUMBER, password=INITIAL))["ok"]["token"]

    assert ask(service, "who_am_i", {}, token)["ok"]["member"]["member_id"] == PERSON
    assert (
        ask(service, "describe_people", {"person_ids": [PERSON]}, token)["refused"]["code"]
        == "password_change_needed"
    )
    assert ask(service, "change_password", ChangePassword(old_password=INITIAL, new_password=OWN), token) == {
        "ok": True
    }
    token = ask(service, "sign_in", SignIn(id_number=NUMBER, password=OWN))["ok"]["token"]
    assert len(ask(service, "describe_people", {"person_ids": [PERSON]}, token)["ok"]) == 1


@pytest.mark.rule("ACC-01")
def test_seal(keys):
    """ACC-01: a number is found by its index whatever its sealed form, and a changed value does not open."""
    one = secret_keys.seal
    sealed = one.seal(NUMBER)

    assert one.open(sealed) == NUMBER
    assert sealed != one.seal(NUMBER)
    assert seal.Seal(keys).index(NUMBER) == one.index(NUMBER) != one.index(NOBODY)
    with pytest.raises(InvalidTag):
        one.open(sealed[:-1] + bytes([sealed[-1] ^ 1]))


@pytest.mark.rule("ACC-01")
def test_keys_are_made_once(tmp_path):
    """ACC-01: keys are made once, readable by their owner only, and never replaced."""
    seal.make_keys(tmp_path)
    before = (tmp_path / "id_keys.json").read_bytes()
    seal.make_keys(tmp_path)

    assert (tmp_path / "id_keys.json").read_bytes() == before
    assert (tmp_path / "id_keys.json").stat().st_mode & 0o777 == 0o400


def reset(tx, code, new=OWN, number=NUMBER, address=""):
    try:
        return accounts.reset_password(
            tx, ResetPassword(id_number=number, code=code, new_password=new, address=address), None
        )
    except Refused as error:
        return error.code


@pytest.mark.rule("ACC-06")
def test_forgotten_password(coded):
    """ACC-06: a code from the branch sets a new password, unlocks the number and ends every session."""
    session = sign_in(coded).session
    for _ in range(5):
        refused(coded, "wrong")
    code = issue(coded).code

    assert reset(coded, f" {code.lower()} ", number=f" {NUMBER.lower()}") is True
    with pytest.raises(Refused):
        accounts.renew(coded, Renew(session=session), None)
    assert not sign_in(coded, OWN).must_change_password


@pytest.mark.rule("ACC-07")
@pytest.mark.parametrize(("org", "may"), [(BRANCH, True), (SUPERIOR, True), (ROOT, False)])
def test_who_issues_codes(coded, org, may):
    """ACC-07: the own branch and its direct superior, nobody further up."""
    answer = issue(coded, org)

    assert (answer.refusal is None, answer.code != "") == (may, may)
    twice = accounts.issue_reset_codes(
        coded, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=PERSON), Actor(100 + org, org))] * 2
    )
    assert twice[0].code == twice[1].code and (not may or reset(coded, twice[0].code) is True)
    stranger = accounts.issue_reset_codes(
        coded, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=PERSON), Actor(999, org))]
    )[0]
    assert stranger.refusal.code == "unknown_member" and not stranger.code


@pytest.mark.rule("ACC-09")
def test_codes_are_single_use_bound_and_expire(coded):
    """ACC-09: a code works once, for one number, until it expires or is replaced.

    Only a keyed hash of it is stored.
    """
    other = FIRST[:-1] + "9"
    other += check_digit(other)
    enter(coded, other, PERSON + 1)
    first, second = issue(coded).code, issue(coded).code

    assert (
        reset(coded, first),
        reset(coded, second, number=other),
        reset(coded, second),
        reset(coded, second, "Other-pass-2"),
    ) == ("reset_failed", "reset_failed", True, "reset_failed")
    third = issue(coded).code
    assert third.encode() not in b"".join(
        bytes(one) for one in coded.scalars(sa.text("SELECT code_index FROM reset_codes"))
    )
    clock.advance(timedelta(hours=25))
    assert reset(coded, third) == "reset_failed"


@pytest.mark.rule("ACC-10")
def test_guessing_codes_is_locked(coded):
    """ACC-10: a wrong number and a wrong code give the same answer and the same lock.

    A weak password does not use the code up.
    """
    code = issue(coded).code
    assert reset(coded, code, "short") == "password_weak"
    assert (
        [reset(coded, "AAAAAAAA") for _ in range(5)]
        == [reset(coded, "AAAAAAAA", number=NOBODY) for _ in range(5)]
        == ["reset_failed"] * 5
    )

    assert reset(coded, code) == reset(coded, code, number=NOBODY) == "too_many_attempts"
    clock.advance(timedelta(hours=1))
    assert reset(coded, code) is True


@pytest.mark.rule("BEY-22")
def test_activation_codes(tx, configure):
    """BEY-22: where accounts are opened by a code, nothing can be derived from the ID number.

    A single-use code of the branch sets the first password.
    """
    assert captcha.get_captcha(tx, GetCaptcha(), None).initial_tail == 8
    configure(TUANQIAO_FIRST_CREDENTIAL="activation_code")
    assert captcha.get_captcha(tx, GetCaptcha(), None).initial_tail == 0
    number = "11010520050102002"
    number += check_digit(number)
    tx.execute(sa.text("DELETE FROM people"))
    (person,) = store.add(
        tx,
        [people.new_person("李一", number, "19900000002", "汉族") | {"branch_id": 3}],
        clock.now(),
        tail=initial.initial_tail(tx),
    ).values()
    for guess in (number, number[-8:], number[-6:], ""):
        assert refused(tx, guess, number) == "sign_in_failed"
    tx.execute(sa.text("DELETE FROM attempts"))
    directory.on_org_changed(
        tx,
        [
            OrgChanged(
                org_id=3,
                parent_id=2,
                path="1.2.3.",
                kind="branch",
                purpose="ordinary",
                province="42",
                system="national",
                provincial_id=1,
                vault_id=9,
                name="3",
                version=1,
                deleted=False,
            )
        ],
    )
    directory.on_administrator_changed(
        tx, [AdministratorChanged(org_id=3, person_id=50, active=True, version=1)]
    )
    (issued,) = accounts.issue_reset_codes(
        tx, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=person), Actor(50, 3))]
    )
    accounts.reset_password(tx, ResetPassword(id_number=number, code=issued.code, new_password=OWN), None)
    assert sign_in(tx, OWN, number).must_change_password is False
