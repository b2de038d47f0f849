"""Pages for everybody: proof of a letter, contacts (DOC, SRCH)."""

from __future__ import annotations

from typing import Any

from flask import current_app, g, redirect, request

from services.gateway import kit
from shared.errors import Refused
from shared.messages import members, orgs


@kit.blueprint.get("/verify")
def verify() -> Any:
    """Check a letter, as anyone (BEY-13)."""
    code, found, refusal = request.args.get("code", "").strip(), None, None
    if code:
        try:
            found = current_app.config["CLIENT"].call(
                members.check_letter, members.CheckLetter(code=code), request_id=g.request_id
            )
        except Refused as error:
            refusal = error.refusal
    return kit.render(
        "public/verify.html", refusal.kind.status if refusal else 200, found=found, refusal=refusal, code=code
    )


@kit.blueprint.get("/contacts")
def contacts() -> Any:
    """Telephone numbers of leading bodies, for anyone (SRCH-09)."""
    text, found, refusal = request.args.get("text", ""), [], None
    if text:
        try:
            found = current_app.config["CLIENT"].call(
                orgs.list_contacts, orgs.ListContacts(text=text), request_id=g.request_id
            )
        except Refused as error:
            refusal = error.refusal
    return kit.render(
        "public/contacts.html",
        refusal.kind.status if refusal else 200,
        found=found,
        text=text,
        refusal=refusal,
    )


@kit.blueprint.get("/zhtj")
def entry() -> Any:
    """Lead the path that people know to the start (UI-03)."""
    return redirect("/")
