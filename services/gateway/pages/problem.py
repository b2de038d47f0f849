"""A refusal, said to people."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response, g, redirect, request, session

from services.gateway import kit
from services.gateway.kit import form as forms
from services.gateway.kit.language import language
from services.gateway.pages import account, draft
from shared.errors import Refusal
from shared.translations import N_


def problem_page(refusal: Refusal) -> Response:
    """Return a refusal as a page; people whose session ended are led to sign in and come back."""
    ended = refusal.code in ("token_expired", "token_invalid")
    if request.headers.get("HX-Request"):  # a part of a page: lead the whole page there instead
        if ended:
            return Response("", 200, {"HX-Refresh": "true"})
        if request.headers.get("HX-Target") in ("dialog", "drawer"):  # these have room for what went wrong
            return kit.part("approvals/_queue.html", "refused", refusal)
        return Response("", 204)
    if ended and request.endpoint != "pages.sign_in":
        session.pop("token", None)
        if request.method == "GET":
            return redirect(f"/sign-in?next={quote(request.full_path.rstrip('?'), safe='')}")  # type: ignore[return-value]
        return account.sign_in_page(None, draft.keep())
    if refusal.code == "password_change_needed":
        return redirect("/password")  # type: ignore[return-value]
    if refusal.code == "bad_request":
        detail = refusal.say(language()).split(":", 1)[-1].strip()
        refusal = Refusal("bad_request", {"detail": kit.people_see(detail)})
    faults = _faults(refusal)
    return kit.render(
        "problem.html",
        refusal.kind.status,
        refusal=refusal,
        faults=faults,
        rest=[one for one in request.form.items(multi=True) if one[0] != "csrf"] if faults else [],
        called=_called,
    )


_SAYS = {"access_reason_missing": "reason"}
"""The field that a refusal speaks of, where no form of its own comes back."""


def _faults(refusal: Refusal) -> dict[str, str]:
    """Return what is wrong with the fields of the form that was sent, to be put right and sent again.

    There is nothing to send again where a secret or a file was in it, which nobody keeps.
    """
    faults: dict[str, str] = g.get("faults") or {}
    if not faults and refusal.code in _SAYS:
        faults = {_SAYS[refusal.code]: refusal.say(language())}
    if not faults or request.files or any(name in draft.SECRET for name in request.form if name != "csrf"):
        return {}
    return {name: words for name, words in faults.items() if name in request.form}


def _called(name: str) -> str:
    return kit.word(forms.CALLED.get(name, N_("填写的内容")))
