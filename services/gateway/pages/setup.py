"""The page of the first installation, which is shown while nobody administers anything (ADM-10)."""

from __future__ import annotations

from typing import Any

from flask import current_app, g, redirect, request, session

from services.gateway.kit import blueprint, render, say
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from shared.errors import Refused
from shared.messages import members


def waits() -> bool:
    """Return whether the installation waits for its first administrator.

    Once it does not, nobody is asked again.
    """
    if current_app.config.get("FOUNDED") or "token" in session:
        return False
    try:
        is_open = bool(_ask().open)
    except Refused:  # members does not answer: the page that was asked for says so
        return False
    current_app.config["FOUNDED"] = not is_open
    return is_open


def _ask() -> members.Setup:
    found: members.Setup = current_app.config["CLIENT"].call(
        members.get_setup, members.GetSetup(), request_id=g.request_id
    )
    return found


@blueprint.before_request
def lead_here() -> Any:
    """Lead to the page of the first installation from where people would sign in."""
    return (
        redirect("/setup")
        if request.method == "GET" and request.path in ("/", "/sign-in") and waits()
        else None
    )


@blueprint.route("/setup", methods=["GET", "POST"])
def setup() -> Any:
    """Make the first administrator with the set-up token; there is no such page afterwards."""
    read, refusal = forms.unsent(), None
    if request.method == "POST":
        read = forms.read(members.SetUp, request.form, org_id=0, address=request.remote_addr or "")
    if read.value is not None:
        try:
            current_app.config["CLIENT"].call(members.set_up, read.value, request_id=g.request_id)
            say(_("首位管理员已设立,请用身份证号码和密码登录。"))
            return redirect("/sign-in")
        except Refused as error:
            refusal = error.refusal
    found = _ask()
    if not found.open and refusal is None:
        raise Refused("not_found")
    return render(
        "setup.html",
        read.status(refusal),
        found=found,
        refusal=refusal,
        form=read.typed,
        errors=read.errors,
    )
