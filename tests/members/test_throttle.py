"""How often passwords and codes may be tried.

Schools behind one address, guessers behind many addresses, and tries at the same moment.
"""

import contextlib
import json
import threading
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from services.members import domain, models
from services.members.accounts import captcha
from services.members.accounts import handlers as accounts
from services.members.sealing import seal
from services.members.service import Service
from services.members.throttle import of_account
from shared import clock, db, driver, throttle
from shared.bus.calls import Call
from shared.bus.service import Machinery
from shared.errors import Refused
from shared.identity import Verifier
from shared.messages.members import GetCaptcha, SignIn
from tests.members.accounts.factories import INITIAL, NOBODY, NUMBER, PERSON, enter, refused, sign_in

SCHOOL, HOME = "203.0.113.9", "198.51.100.7"


@pytest.fixture(scope="module")
def engine(scratch, keys):
    seal.make_keys(keys)
    accounts.use(keys)
    return scratch(models.metadata)


@pytest.fixture
def tx(engine):
    with engine.connect() as connection:
        transaction = connection.begin()
        enter(connection)
        yield connection
        transaction.rollback()


def fail(tx, times: int, address: str = SCHOOL) -> None:
    """Have strangers fail at an address, each with a number of their own."""
    for one in range(times):
        with contextlib.suppress(Refused):
            throttle.count(tx, of_account(f"stranger {one}", address, known_here=False))


def with_captcha(tx, address, answer=None) -> str:
    made = captcha.get_captcha(tx, GetCaptcha(address=address), None)
    try:
        accounts.sign_in(
            tx,
            SignIn(
                id_number=NUMBER,
                password=INITIAL,
                address=address,
                captcha_id=made.captcha_id,
                captcha=answer or "AAAA",
            ),
            None,
        )
        return "in"
    except Refused as error:
        return error.code


@pytest.fixture
def picture(monkeypatch):
    monkeypatch.setitem(captcha.MAKERS, "picture", lambda: ("AAAA", b"\x89PNG"))


@pytest.mark.rule("ACC-10")
def test_a_school_behind_one_address_goes_on(tx, picture):
    """ACC-10: whatever fails at an address, anyone who has signed in there before still signs in.

    Others read a captcha first, and nobody elsewhere notices.
    """
    sign_in(tx, address=SCHOOL)
    fail(tx, 2000)
    assert sign_in(tx, address=SCHOOL).person_id == PERSON
    assert sign_in(tx, address=HOME).person_id == PERSON


@pytest.mark.rule("ACC-10", "ACC-02")
def test_a_busy_address_asks_for_a_captcha(tx, picture):
    """ACC-02, ACC-10: after fifty failures an address shows pictures although the setting asks for none.

    Anyone who reads them signs in.
    """
    fail(tx, domain.CAPTCHA_AFTER - 1)
    assert captcha.get_captcha(tx, GetCaptcha(address=SCHOOL), None).png == b""
    fail(tx, 1)
    assert captcha.get_captcha(tx, GetCaptcha(address=HOME), None).png == b""
    assert refused(tx, address=SCHOOL) == "captcha_wrong"
    assert [with_captcha(tx, SCHOOL, "no"), with_captcha(tx, SCHOOL)] == ["captcha_wrong", "in"]
    clock.advance(timedelta(minutes=16))
    assert captcha.get_captcha(tx, GetCaptcha(address=SCHOOL), None).png == b""


@pytest.mark.rule("ACC-10")
def test_far_too_much_from_an_address(tx, picture):
    """ACC-10: after a thousand failures anyone not known at the address is refused, captcha or not.

    That lasts a quarter of an hour and does not grow.
    """
    for _ in range(2):
        fail(tx, domain.LOCK_ADDRESS_AFTER)
        assert with_captcha(tx, SCHOOL) == "too_many_attempts"
        assert sign_in(tx, address=HOME).person_id == PERSON
        clock.advance(timedelta(minutes=15, seconds=1))
    assert sign_in(tx, address=SCHOOL).person_id == PERSON


@pytest.mark.rule("ACC-10")
def test_a_lock_grows(tx):
    """ACC-10: each lock of an account from an address lasts twice as long as the last, up to a day.

    After a quiet week it begins anew.
    """
    waits = []
    for _ in range(9):
        assert {refused(tx, "wrong", address=HOME) for _ in range(domain.LOCK_AFTER)} == {"sign_in_failed"}
        with pytest.raises(Refused) as caught:
            sign_in(tx, address=HOME)
        waits.append(int(caught.value.refusal.values["minutes"]))
        clock.advance(timedelta(minutes=waits[-1], seconds=1))
        throttle.forget(tx, "nobody")
        tx.execute(
            sa.text("DELETE FROM attempts WHERE tried NOT LIKE '% from %'")
        )  # the account's own lock, which is in the next test
    assert waits[:6] == [15, 30, 60, 120, 240, 480] and waits[7:] == [1440, 1440]
    clock.advance(throttle.LOCK_REMEMBERED + timedelta(hours=1))
    for _ in range(domain.LOCK_AFTER):
        refused(tx, "wrong", address=HOME)
    with pytest.raises(Refused) as caught:
        sign_in(tx, address=HOME)
    assert caught.value.refusal.values["minutes"] == "15"


@pytest.mark.rule("ACC-10")
@pytest.mark.parametrize("number", [NUMBER, NOBODY])
def test_guessing_from_many_addresses(tx, number):
    """ACC-10: an account closes after ten wrong passwords, from however many addresses.

    So does a number that nobody has.
    """
    said = [refused(tx, "wrong", number, address=f"198.18.0.{one}") for one in range(12)]
    assert said == ["sign_in_failed"] * domain.LOCK_ACCOUNT_AFTER + ["too_many_attempts"] * 2


@pytest.mark.rule("ACC-10")
def test_an_owner_is_not_kept_out_of_home(tx):
    """ACC-10: anyone who has signed in from home does so again while others try elsewhere.

    The others do not profit from it.
    """
    sign_in(tx, address=HOME)
    for one in range(12):
        refused(tx, "wrong", address=f"198.18.0.{one}")
    assert sign_in(tx, address=HOME).person_id == PERSON
    assert refused(tx, address="198.18.0.99") == "too_many_attempts"
    assert [refused(tx, "wrong", address=HOME) for _ in range(6)] == ["sign_in_failed"] * 5 + [
        "too_many_attempts"
    ]


@pytest.mark.rule("ACC-10")
def test_a_success_does_not_shorten_the_next_lock(tx):
    """ACC-10: the owner's success opens the account, but the next lock is still the longer one."""
    for _ in range(5):
        refused(tx, "wrong", address=HOME)
    clock.advance(timedelta(minutes=16))
    sign_in(tx, address=HOME)
    for _ in range(5):
        refused(tx, "wrong", address=HOME)
    with pytest.raises(Refused) as caught:
        sign_in(tx, address=HOME)
    assert caught.value.refusal.values["minutes"] == "30"


@pytest.mark.rule("ACC-10")
def test_a_net_of_ipv6_is_one_address(tx):
    """ACC-10: who owns 2^64 addresses is one caller; a mapped IPv4 address is that address."""
    said = [refused(tx, "wrong", address=f"2001:db8:1:2::{one:x}") for one in range(6)]
    assert said == ["sign_in_failed"] * 5 + ["too_many_attempts"]
    assert (
        throttle.network("2001:db8:1:2:3::4"),
        throttle.network("::ffff:203.0.113.9"),
        throttle.network("?"),
    ) == ("2001:db8:1:2::", SCHOOL, "?")


def test_the_port_is_no_part_of_an_address():
    """The port that some proxies write behind the caller's address is not part of the address.

    With it each connection would be an address of its own, and no limit would hold.
    """
    assert {
        throttle.network(one) for one in (SCHOOL, f"{SCHOOL}:1", f"{SCHOOL}:65535", f"[::ffff:{SCHOOL}]:80")
    } == {SCHOOL}
    assert {
        throttle.network(one) for one in ("[2001:db8:1:2:3::4]:443", "[2001:db8:1:2::9]", "2001:db8:1:2::")
    } == {"2001:db8:1:2::"}


@pytest.mark.rule("ACC-10")
def test_old_counts_are_removed(tx):
    """ACC-10: what is counted of strangers does not pile up; a lock is remembered for a week."""
    for one in range(20):
        refused(tx, "wrong", str(one))
    clock.advance(timedelta(hours=25))
    refused(tx, "wrong", "one more")
    assert tx.scalar(sa.text("SELECT count(*) FROM attempts")) == 2


def test_captchas_are_drawn_in_bounds(tx, picture, configure, monkeypatch):
    """So many pictures are drawn for an address, no more; another address gets its own."""
    configure(TUANQIAO_CAPTCHA="picture")
    monkeypatch.setattr(domain, "CAPTCHAS_FROM_ADDRESS", 5)
    for _ in range(5):
        assert captcha.get_captcha(tx, GetCaptcha(address=SCHOOL), None).png
    with pytest.raises(Refused, match="too_many_attempts"):
        captcha.get_captcha(tx, GetCaptcha(address=SCHOOL), None)
    assert captcha.get_captcha(tx, GetCaptcha(address=HOME), None).png


@pytest.mark.rule("ACC-10", "ACC-02")
@pytest.mark.parametrize("setting", ["off", "picture"])
def test_captchas_that_others_used_up_keep_nobody_out(tx, picture, configure, monkeypatch, setting):
    """ACC-10, ACC-02: where no more pictures are drawn, people known at the address need none.

    Others wait.
    """
    sign_in(tx, address=SCHOOL)
    configure(TUANQIAO_CAPTCHA=setting)
    monkeypatch.setattr(domain, "CAPTCHAS_FROM_ADDRESS", 2)
    fail(tx, domain.CAPTCHA_AFTER)
    for _ in range(3):
        with contextlib.suppress(Refused):
            captcha.get_captcha(tx, GetCaptcha(address=SCHOOL), None)
    assert sign_in(tx, address=SCHOOL).person_id == PERSON
    assert refused(tx, "wrong", address=SCHOOL) == "sign_in_failed"
    tx.execute(sa.text("DELETE FROM sign_ins"))
    assert refused(tx, address=SCHOOL) == "captcha_wrong"


@pytest.mark.rule("ACC-10")
@pytest.mark.parametrize(
    ("number", "same_address", "most"),
    [
        (NUMBER, True, domain.LOCK_AFTER),
        (NOBODY, True, domain.LOCK_AFTER),
        (NUMBER, False, domain.LOCK_ACCOUNT_AFTER),
        (NOBODY, False, domain.LOCK_ACCOUNT_AFTER),
    ],
)
def test_64_tries_at_one_moment(engine, keys, number, same_address, most):
    """ACC-10: of 64 wrong passwords sent at one moment as many are answered as the lock allows.

    The right one among them does not pass the lock afterwards.
    """
    patient = sa.create_engine(
        engine.url,
        pool_size=20,
        max_overflow=0,
        pool_timeout=120,
        connect_args={"connection_factory": driver.Connection},
    )
    service = Machinery()
    service.name, service.database, service.verifier = "members", db.Database(patient), Verifier(keys)
    service.serve({}, Service.queries)
    with engine.begin() as tx:
        enter(tx)
    answers: list[str] = []

    def one(at: int) -> None:
        wrong = SignIn(
            id_number=number, password="wrong", address=SCHOOL if same_address else f"198.18.1.{at}"
        )
        answers.append(
            json.loads(
                service.answer(
                    Call(
                        correlation_id="1",
                        name="sign_in",
                        body=msgspec.Raw(msgspec.json.encode(wrong)),
                        token="",
                    )
                )
            )["refused"]["code"]
        )

    try:
        threads = [threading.Thread(target=one, args=(at,)) for at in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(150)
        assert sorted(answers) == ["sign_in_failed"] * most + ["too_many_attempts"] * (64 - most)
        with engine.begin() as tx:
            assert refused(tx, INITIAL, number, address=SCHOOL) == "too_many_attempts"
    finally:
        patient.dispose()
        with engine.begin() as tx:
            for table in ("people", "accounts", "sessions", "attempts", "memberships", "sign_ins"):
                tx.execute(sa.text(f"DELETE FROM {table}"))
