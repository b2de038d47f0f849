"""The English of every text, one catalogue for services, sheets, letters and pages.

The Chinese text is the message id, so a text without English is told in Chinese. `make words`
collects the texts and makes the compiled catalogue; `make lint` refuses one that has no English.
"""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
DOMAIN = "messages"


def N_(text: str) -> str:
    """Mark a text of a table for the catalogue; whoever shows it translates it."""
    return text


@cache
def _catalogue() -> gettext.NullTranslations:
    try:
        return gettext.translation(DOMAIN, FOLDER, ["en"])
    except FileNotFoundError:
        raise RuntimeError("the catalogue of words is not compiled; run: make words") from None


def english(text: str) -> str:
    """Return the English of a text of the catalogue, or the text itself where there is none."""
    return _catalogue().gettext(text) if text else ""
