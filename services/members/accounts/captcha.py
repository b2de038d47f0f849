"""Pictures that a program does not read easily (ACC-02, ACC-08).

They are asked for at sign-in, registration and reset. One small interface: `make` returns what is
shown and what is to be typed. Which implementation is used is a setting; `off` asks for none.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.engine import Connection

from services.members import domain, initial, settings
from services.members.accounts import rules, store
from services.members.sealing.keys import keys
from services.members.throttle import is_busy
from shared import clock, throttle
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import Captcha, GetCaptcha

LIFE = timedelta(minutes=5)
LETTERS = "ACDEFHJKLMNPRTUVWXY34679"
"""Without what looks alike in the picture."""
LENGTH = 4

Maker = Callable[[], tuple[str, bytes]]
"""Returns the answer and a PNG that shows it."""


def picture() -> tuple[str, bytes]:
    """Return four characters and a picture of them, drawn by the captcha library."""
    # imported only when a picture is drawn, since it loads a whole picture library
    from captcha.image import ImageCaptcha

    text = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    return text, ImageCaptcha(width=160, height=60).generate(text).getvalue()


MAKERS: dict[str, Maker | None] = {"off": None, "picture": picture}


def _maker(tx: Connection, asked: bool = False) -> Maker | None:
    """Return what draws captchas: the setting's, and where one is asked for all the same, pictures."""
    return MAKERS[settings.of(tx).captcha] or (MAKERS["picture"] if asked else None)


def get_captcha(tx: Connection, request: GetCaptcha, actor: Actor | None) -> Captcha:
    """Return a new captcha, good for five minutes and one try; an empty one where none is asked for.

    Only so many are drawn for one address.
    """
    maker = _maker(tx, is_busy(tx, request.address))
    if maker is None:
        return Captcha(initial_tail=initial.initial_tail(tx))
    throttle.count(tx, _drawn_for(request.address))
    text, png = maker()
    captcha_id = uuid.uuid4()
    store.keep_captcha(tx, captcha_id, _index(captcha_id, text), clock.now(), clock.now() + LIFE)
    return Captcha(captcha_id=str(captcha_id), png=png, initial_tail=initial.initial_tail(tx))


def _drawn_for(address: str) -> list[throttle.Limit]:
    return throttle.of_address(address, "captchas for", domain.CAPTCHAS_FROM_ADDRESS)


def is_used_up(tx: Connection, address: str) -> bool:
    """Return whether so many were drawn for an address that nobody there is shown another for a while."""
    return throttle.is_closed(tx, _drawn_for(address))


def check(tx: Connection, captcha_id: str, answer: str, asked: bool = False) -> None:
    """Return if the answer is right, or if no captcha is asked for, by the setting or by `asked`.

    The captcha is used up in any case.

    Raises:
        Refused: `captcha_wrong`.

    """
    if _maker(tx, asked) is None:
        return
    given = _id(captcha_id)
    # spent before it is compared, so that nobody tries one picture twice
    kept = store.spend_captcha(tx, str(given)) if given is not None else None
    right = given is not None and kept is not None and bytes(kept.answer_index) == _index(given, answer)
    refusal = rules.check_captcha(right, kept.expires_at if kept is not None else None, clock.now())
    if refusal is not None:
        raise Refused.of(refusal)


def _id(text: str) -> uuid.UUID | None:
    """Return an id as it was given out, None for any other text."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _index(captcha_id: uuid.UUID, answer: str) -> bytes:
    return keys.seal.index(f"captcha {captcha_id} {answer.strip().upper()}")
