"""Kept until every page imports from `services.gateway.kit.language`."""

from services.gateway.kit.language import gettext, html_language, language, other_language, prepare

__all__ = ["gettext", "html_language", "language", "other_language", "prepare"]
