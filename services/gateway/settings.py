"""What an installation sets for the gateway; `docs/settings.md` lists the names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from flask import current_app

from services.gateway.files import letter, roster, workbooks
from shared import practice
from shared.practice import Practice
from shared.settings import Environment


@dataclass(frozen=True)
class Settings:
    """The gateway's settings.

    Attributes:
        practice: What is done where the documents differ.
        https: Whether people reach it by HTTPS.
        trusted_proxies: How many proxies of our own stand before it.
        public_url: Under which address people reach the pages, without a slash at its end; empty: as the
            request says.
        import_max_rows: The most rows of one roster (IMP-14).
        sheets_at_once: How many uploaded spreadsheets are read at the same time.
        font: Of letters, TrueType.
        gallery: Whether /gallery shows the components of the pages, for those who build them.

    """

    practice: Practice = field(default_factory=Practice)
    https: bool = False
    trusted_proxies: int = 0
    public_url: str = ""
    import_max_rows: int = roster.MAX_ROWS
    sheets_at_once: int = workbooks.AT_ONCE
    font: Path = letter.FONT
    gallery: bool = False


def read(environment: Environment) -> Settings:
    """Return the settings as the environment says them.

    Raises:
        Wrong: Names the setting that cannot be meant.

    """
    return Settings(
        practice=practice.from_environment(environment),
        https=environment.switch("TUANQIAO_HTTPS"),
        trusted_proxies=environment.whole("TUANQIAO_TRUSTED_PROXIES", 0),
        public_url=environment.text("TUANQIAO_PUBLIC_URL").rstrip("/"),
        import_max_rows=environment.whole("TUANQIAO_IMPORT_MAX_ROWS", roster.MAX_ROWS, least=1),
        sheets_at_once=environment.whole("TUANQIAO_SHEETS_AT_ONCE", workbooks.AT_ONCE, least=1),
        font=environment.path("TUANQIAO_FONT") or letter.FONT,
        gallery=environment.switch("TUANQIAO_GALLERY"),
    )


def current() -> Settings:
    """Return the settings of the application that answers the request."""
    found: Settings = current_app.config["SETTINGS"]
    return found
