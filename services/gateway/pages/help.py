"""Guides: for each role the steps of the season, and what is often asked (BEY-02, UI-05)."""

from __future__ import annotations

from typing import Any

from flask import redirect, session

from services.gateway import kit
from services.gateway.kit import capabilities
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.pages.help_texts import GUIDES, QUESTIONS, Question, Step
from shared.errors import Refused
from shared.translations import N_

PUBLIC = frozenset({"/forgot", "/register", "/contacts", "/verify"})
"""Pages that need nobody to have signed in."""
NAMES = {
    "/me": N_("我的"),
    "/me/edit": N_("修改资料"),
    "/mine": N_("我的转接"),
    "/start": N_("发起转接"),
    "/forgot": N_("忘记密码"),
}
"""What pages are called that stand in no menu of an organisation."""


@kit.blueprint.get("/help")
def guide_of_the_role() -> Any:
    """Lead to the guide of whoever asks: of the acting organisation's kind, else a member's."""
    return redirect(f"/help/{role()}")


@kit.blueprint.get("/help/<name>")
def guide(name: str) -> Any:
    """Show a guide to anybody; only what the reader can open is a link.

    Raises:
        Refused: `not_found` for a guide that does not exist.

    """
    shown = GUIDES.get(name)
    if shown is None:
        raise Refused("not_found")
    return kit.render(
        "help/guide.html",
        guide=shown,
        here=name,
        own=role(),
        guides=[(f"/help/{key}", _(one.name), None, "", key == name) for key, one in GUIDES.items()],
        questions=[(key, QUESTIONS[key]) for key in shown.questions],
        told=_told,
        way=_way,
    )


def role() -> str:
    """Return the key of the guide that fits the acting organisation, or a member."""
    if not session.get("org"):
        return "member"
    kind = session.get("org_kind", "")
    if kind == "branch":
        return "secretary"
    if kind == "leading_body":
        return "province" if session.get("org_top") else "county"
    return "school" if session.get("org_school") else "county"


def _told(sentences: tuple[str, ...]) -> str:
    """Return sentences as one text of the reader's language."""
    return (" " if language() == "en" else "").join(_(one) for one in sentences)


def _way(to: Step | Question) -> tuple[str, str] | None:
    """Return address and name of the page of a step or question, if the reader can open it."""
    entry = capabilities.entry(to.path)
    if not to.path or not _opens(to.path, entry is not None):
        return None
    return to.path, _(entry.zh) if entry else _(NAMES[to.path])


def _opens(path: str, office: bool) -> bool:
    if path in PUBLIC:
        return True
    if "token" not in session or session.get("restricted"):
        return False
    if office:
        return bool(session.get("org")) and kit.can(path)
    # One's own matters have their place where one acts for nobody else.
    return not session.get("org")
