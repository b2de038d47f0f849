"""What an installation sets for the members service; `docs/settings.md` lists the names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.engine import Connection, Engine

from services.members import ranges
from services.members.domain import Ranges
from shared import db, practice
from shared.practice import Practice
from shared.settings import Environment, Wrong
from shared.settings import Settings as Common


@dataclass(frozen=True)
class Settings:
    """The service's settings.

    Attributes:
        practice: What is done where the documents differ.
        ranges: The development numbers that were issued (MEM-11); none: every number of the right form.
        codes_first: Whether a code opens a new account, not an initial password (BEY-22).
        captcha: `off` or `picture`: what is to be read at sign-in, registration and reset (ACC-02, ACC-08).
        reset_code_life: How long a reset code is good (ACC-09).
        registration_code_life: The same of an administrator's registration code (ADM-13); None: no limit.
        letter_valid_days: How long a letter is in force unless it says itself (DOC-04); None: no limit.
        retention_from_request: Whether the months of a retention count from the request (GRAD-27).
        identity_url: Address of the identity check (MEM-17); empty: everybody stays unchecked.
        identity_token: What the identity check is asked with.
        peers: The other systems that a bridge leads to (FED-01).

    """

    practice: Practice = field(default_factory=Practice)
    ranges: Ranges = field(default_factory=dict)
    codes_first: bool = False
    captcha: str = "off"
    reset_code_life: timedelta = timedelta(hours=24)
    registration_code_life: timedelta | None = None
    letter_valid_days: int | None = None
    retention_from_request: bool = False
    identity_url: str = ""
    identity_token: str = field(default="", repr=False)
    peers: tuple[str, ...] = ()


def read(environment: Environment, common: Common) -> Settings:
    """Return the settings as the environment says them.

    Raises:
        Wrong: Names the setting that cannot be meant.

    """
    code_life = timedelta(days=environment.number("TUANQIAO_REGISTRATION_CODE_DAYS", 0))
    letter_days = environment.whole("TUANQIAO_LETTER_VALID_DAYS", 0)
    return Settings(
        practice=practice.from_environment(environment),
        ranges=_issued(environment),
        codes_first=environment.choice("TUANQIAO_FIRST_CREDENTIAL", "id_tail", "activation_code")
        == "activation_code",
        captcha=environment.choice("TUANQIAO_CAPTCHA", "off", "picture"),
        reset_code_life=timedelta(hours=environment.number("TUANQIAO_RESET_CODE_HOURS", 24)),
        registration_code_life=code_life or None,
        letter_valid_days=letter_days or None,
        retention_from_request=environment.choice("TUANQIAO_RETENTION_START", "graduation", "marked")
        == "marked",
        identity_url=environment.text("TUANQIAO_IDENTITY_URL"),
        identity_token=environment.text("TUANQIAO_IDENTITY_TOKEN"),
        peers=common.peers,
    )


def _issued(environment: Environment) -> Ranges:
    file = environment.path("TUANQIAO_NUMBER_RANGES")
    try:
        return ranges.read(file) if file is not None else {}
    except (ValueError, OSError) as error:
        raise Wrong(f"TUANQIAO_NUMBER_RANGES: {error}") from error


def of(tx: Connection | Engine) -> Settings:
    """Return the settings of the service that a transaction belongs to."""
    return db.settings_of(tx, Settings)
