"""The language of a session: Chinese, or English where somebody chose it."""

from __future__ import annotations

from flask import Flask, has_request_context, session

from shared.translations import english

LOCALES = {"zh": "zh_Hans_CN", "en": "en"}
"""How Babel names the languages, which words dates."""


def gettext(text: str, **values: object) -> str:
    """Return a text of the catalogue in the language of the session, with values put in by name."""
    said = english(text) if language() == "en" else text
    return said % values if values else said


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
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=gettext, ngettext=lambda one, many, n: gettext(one), newstyle=True
    )
    app.jinja_env.globals.update(
        language=language, other_language=other_language, html_language=html_language
    )
