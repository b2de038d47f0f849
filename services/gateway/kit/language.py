"""The language of a session: Chinese, or English where somebody chose it."""

from __future__ import annotations

from flask import Flask, has_request_context, session
from flask_babel import Babel
from flask_babel import gettext as _gettext

from shared.translations import DOMAIN, FOLDER, english

LOCALES = {"zh": "zh_Hans_CN", "en": "en"}


def gettext(text: str, **values: object) -> str:
    """Return a text of the catalogue in the language of the session, with values put in by name."""
    return str(_gettext(text, **values))


def language() -> str:
    """Return `zh` or `en`."""
    return "en" if has_request_context() and session.get("language") == "en" else "zh"


def other_language() -> str:
    """Return the language that the page is offered in, too."""
    return "zh" if language() == "en" else "en"


def html_language(other: bool = False) -> str:
    """Return the language of the page, or the other one, as HTML names it."""
    return {"zh": "zh-CN", "en": "en"}[other_language() if other else language()]


def prepare(app: Flask) -> None:
    """Give the application its catalogue, and templates what asks for the language.

    Raises:
        RuntimeError: The catalogue is not compiled; better now than at the first refusal.

    """
    english("首页")
    Babel(
        app,
        default_locale=LOCALES["zh"],
        default_domain=DOMAIN,
        default_translation_directories=str(FOLDER),
        locale_selector=lambda: LOCALES[language()],
    )
    app.jinja_env.globals.update(
        language=language, other_language=other_language, html_language=html_language
    )
