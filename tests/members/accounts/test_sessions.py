"""Captchas, living sessions, sign-in history, revocation at once: on a real database."""

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.members import domain, initial, people
from services.members.accounts import captcha
from services.members.accounts import handlers as accounts
from services.members.service import Service
from shared import clock, db, sessions_ended
from shared.bus.calls import Call
from shared.bus.service import Machinery
from shared.errors import Refused
from shared.identity import Actor, Verifier
from shared.messages.members import EndSessions, GetCaptcha, ListSessions, ResetPassword, SignIn, SignOut
from tests.members.accounts.factories import INITIAL, NUMBER, OWN, PERSON, change, enter, issue, sign_in


@pytest.fixture
def pictures(configure, monkeypatch):
    """Captchas are asked for; the answers of those that were made, by id."""
    answers = []

    def known():
        text, png = captcha.picture()
        answers.append(text)
        return text, png

    configure(TUANQIAO_CAPTCHA="picture")
    monkeypatch.setitem(captcha.MAKERS, "picture", known)
    return answers


def with_captcha(tx, captcha_id, answer, password=INITIAL):
    return accounts.sign_in(
        tx, SignIn(id_number=NUMBER, password=password, captcha_id=captcha_id, captcha=answer), None
    )


@pytest.mark.rule("ACC-02")
def test_captcha(tx, pictures):
    """ACC-02: the characters of the picture are needed, in upper or lower case, once, within five minutes."""
    made = captcha.get_captcha(tx, GetCaptcha(), None)
    assert made.png[:8] == b"\x89PNG\r\n\x1a\n" and len(made.png) < 50_000
    assert with_captcha(tx, made.captcha_id, pictures[0].lower()).person_id == PERSON
    with pytest.raises(Refused, match="captcha_wrong"):
        with_captcha(tx, made.captcha_id, pictures[0])


@pytest.mark.rule("ACC-02", "ACC-08")
def test_wrong_captchas(tx, pictures):
    """ACC-02, ACC-08: a wrong answer uses the picture up and says nothing about the password.

    The reset page asks as well.
    """
    made = [captcha.get_captcha(tx, GetCaptcha(), None) for _ in range(2)]
    for captcha_id, answer in (
        (made[0].captcha_id, "????"),
        (made[0].captcha_id, pictures[0]),
        ("", ""),
        (str(uuid.uuid4()), "AAAA"),
    ):
        with pytest.raises(Refused, match="captcha_wrong"):
            with_captcha(tx, captcha_id, answer)
    clock.advance(timedelta(minutes=6))
    with pytest.raises(Refused, match="captcha_wrong"):
        with_captcha(tx, made[1].captcha_id, pictures[1])
    with pytest.raises(Refused, match="captcha_wrong"):
        accounts.reset_password(tx, ResetPassword(id_number=NUMBER, code="X", new_password=OWN), None)
    assert tx.scalar(sa.text("SELECT count(*) FROM sign_ins")) == 0


def test_no_captcha_where_none_is_asked_for(tx):
    """The setting `off` shows no picture and asks for none."""
    assert captcha.get_captcha(tx, GetCaptcha(), None).png == b""
    assert sign_in(tx).person_id == PERSON


def test_sessions_and_history(tx):
    """The person sees the living sessions and who tried to sign in, failures included."""
    with pytest.raises(Refused):
        accounts.sign_in(
            tx, SignIn(id_number=NUMBER, password="wrong", address="192.0.2.1", device="Phone"), None
        )
    clock.advance(timedelta(seconds=1))
    signed = accounts.sign_in(
        tx, SignIn(id_number=NUMBER, password=INITIAL, address="192.0.2.2", device="Desk"), None
    )
    clock.advance(timedelta(seconds=1))
    other = sign_in(tx)

    found = accounts.list_sessions(tx, ListSessions(session=signed.session), Actor(PERSON))

    assert [(one.address, one.device, one.this) for one in found.sessions] == [
        ("", "", False),
        ("192.0.2.2", "Desk", True),
    ]
    assert [(one.address, one.succeeded) for one in found.sign_ins] == [
        ("", True),
        ("192.0.2.2", True),
        ("192.0.2.1", False),
    ]
    assert accounts.list_sessions(tx, ListSessions(), Actor(99)).sign_ins == []
    assert other.token != signed.token


def ended(tx) -> list[str]:
    return [str(one) for one in tx.scalars(sa.text("SELECT session_id FROM ended_sessions ORDER BY 1"))]


@pytest.mark.parametrize("end", ["sign out", "one", "others", "password"])
def test_sessions_end_at_once(tx, keys, end):
    """A session ends by the person, by signing out or by a new password, and that is told.

    What is told names the session; its tokens are refused from then on.
    """
    lost, kept = sign_in(tx), sign_in(tx)
    verifier = Verifier(keys)
    if end == "sign out":
        accounts.sign_out(tx, SignOut(session=lost.session), None)
    elif end == "one":
        gone = next(
            one
            for one in accounts.list_sessions(tx, ListSessions(session=kept.session), Actor(PERSON)).sessions
            if not one.this
        )
        assert accounts.end_sessions(
            tx, EndSessions(session=kept.session, session_ids=[gone.session_id]), Actor(PERSON)
        )
    elif end == "others":
        assert accounts.end_sessions(tx, EndSessions(session=kept.session), Actor(PERSON))
    else:
        change(tx, INITIAL, OWN, kept.session)

    assert ended(tx) == [verifier.session(lost.token)]
    assert sessions_ended.ended(tx, [verifier.session(kept.token), verifier.session(lost.token)]) == {
        verifier.session(lost.token)
    }
    told = tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = 'session_ended'")).all()
    assert len(told) == 1 and verifier.session(lost.token) in told[0]
    assert len(accounts.list_sessions(tx, ListSessions(), Actor(PERSON)).sessions) == 1


def test_others_do_not_end_my_sessions(tx):
    """Nobody ends a session of somebody else by naming it."""
    mine = accounts.list_sessions(tx, ListSessions(session=sign_in(tx).session), Actor(PERSON)).sessions[0]
    assert not accounts.end_sessions(tx, EndSessions(session_ids=[mine.session_id]), Actor(99))


def machinery(engine, keys) -> Machinery:
    made = Machinery()
    made.name, made.database, made.verifier = "members", db.Database(engine), Verifier(keys)
    made.serve(Service.commands, Service.queries)
    return made


def test_every_call_of_an_ended_session_is_refused(engine, keys):
    """A query and a command with the token of an ended session are refused.

    Of two calls in one batch only that one is.
    """
    import time

    import msgspec

    with engine.begin() as tx:
        enter(tx)
    try:
        with engine.begin() as tx:
            lost, kept = sign_in(tx), sign_in(tx)
            change(tx, INITIAL, OWN, kept.session)
            kept_token = accounts.token_of(PERSON, session_id=uuid.UUID(Verifier(keys).session(kept.token)))[
                0
            ]
            lost_token = accounts.token_of(PERSON, session_id=uuid.UUID(Verifier(keys).session(lost.token)))[
                0
            ]
        made = machinery(engine, keys)

        def call(name, token, body):
            return Call(
                correlation_id="1",
                name=name,
                token=token,
                org_id=None,
                request_id="r",
                expires_at=time.time() + 60,
                body=msgspec.Raw(body),
            )

        assert b"token_expired" in made.answer(call("who_am_i", lost_token, b"{}"))
        assert b"token_expired" not in made.answer(call("who_am_i", kept_token, b"{}"))
        body = b'[{"command_id": "%s", "member_id": %d, "ethnic_group": "x"}]' % (
            str(uuid.uuid4()).encode(),
            PERSON,
        )
        first, second = made.apply_commands(
            [call("edit_members", lost_token, body), call("edit_members", kept_token, body)]
        )
        assert b"token_expired" in first and b"token_expired" not in second
    finally:
        with engine.begin() as tx:
            tx.execute(
                sa.text(
                    "TRUNCATE people, accounts, sessions, sign_ins, ended_sessions,"
                    " memberships, attempts, outbox"
                )
            )


@pytest.mark.rule("ACC-04")
def test_the_initial_password_keeps_its_length(tx, configure):
    """ACC-04: the length of the initial password is the setting's value when the account was made.

    What the setting says later changes nothing.
    """
    from tests.members.factories import number

    configure(TUANQIAO_INITIAL_PASSWORD_TAIL="6")
    row = people.new_person("王六", number(6), "", "")
    from services.members import store

    store.add(tx, [row], clock.now(), tail=initial.initial_tail(tx))
    configure(TUANQIAO_INITIAL_PASSWORD_TAIL="")
    assert initial.initial_tail(tx) == 8
    assert sign_in(tx, number(6)[-6:], number(6)).must_change_password
    with pytest.raises(Refused, match="sign_in_failed"):
        sign_in(tx, number(6)[-8:], number(6))


@pytest.mark.rule("ACC-07")
@pytest.mark.parametrize("levels, may", [("0", {3}), ("1", {3, 2}), ("2", {3, 2, 1})])
def test_how_far_up_codes_are_made(coded, configure, levels, may):
    """ACC-07: the depth is a setting; by default the branch and its direct superior."""
    configure(TUANQIAO_RESET_CODE_LEVELS=levels)
    assert {org for org in (1, 2, 3) if issue(coded, org).code} == may


def test_passwords_from_the_number_are_weak():
    """ACC-05: nothing that stands in the ID number is a password."""
    assert domain.check_new_password(NUMBER[2:12], NUMBER).code == "password_weak"
