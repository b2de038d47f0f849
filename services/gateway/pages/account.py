"""Signing in and out, passwords, sessions (ACC)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from flask import Response, current_app, g, redirect, request, session

from services.gateway import kit
from services.gateway import session as browser_session
from services.gateway.kit import devices
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.pages import draft, organisations
from shared.errors import Refusal, Refused
from shared.messages import members, orgs


@kit.blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Sign in (ACC-02); an initial password leads to the change (ACC-05).

    Who acts for an organisation begins with its work, everybody else in the personal centre (ACC-15). Whoever
    had to sign in again comes back to the same place, or to the form that was not taken.
    """
    read, refusal, sealed = forms.unsent(), None, request.form.get("draft", "")
    if request.method == "POST":
        read = forms.read(
            members.SignIn,
            request.form,
            address=request.remote_addr or "",
            device=request.headers.get("User-Agent", "")[:200],
            captcha_id=session.pop("captcha", ""),
        )
    if read.value is not None:
        try:
            signed = current_app.config["CLIENT"].call(members.sign_in, read.value, request_id=g.request_id)
            language, acted, before = session.get("language", "zh"), session.get("org"), session.get("person")
            # A session of its own: nothing of the one before is left but the language.
            session.clear()
            session["language"] = language
            browser_session.remember(signed)
            if signed.must_change_password:
                return redirect("/password")
            # Neither a draft nor the acting organisation passes from one person to another.
            kept = _resume(signed.person_id, sealed, acted if before == signed.person_id else None)
            if kept is None:
                asked = kit.own_path(request.args.get("next", ""))
                return redirect(asked if asked not in ("", "/") else kit.landing())
            other_org = kept.org is not None and kept.org != session.get("org")
            return kit.render("account/draft.html", kept=kept, other_org=other_org)
        except Refused as error:
            refusal = error.refusal
    return sign_in_page(refusal, sealed, read.errors)


def _resume(person_id: int, sealed: str, acted: int | None) -> draft.Draft | None:
    """Act for the organisation of the draft, else for the one acted for before; return the draft.

    A draft of somebody else is none.
    """
    mine = kit.call(orgs.my_orgs, orgs.MyOrgs())
    kept = draft.opened(sealed)
    if kept is not None and kept.person not in (0, person_id):
        kept = None
    if kept is not None:
        acted = kept.org
    if mine:
        organisations.act_for(next((org for org in mine if org.org_id == acted), mine[0]))
    return kept


def sign_in_page(
    refusal: Refusal | None, sealed: str = "", errors: Mapping[str, str] | None = None
) -> Response:
    """Return the page of signing in; with a draft it stands in place of the page that was asked for.

    Where no more captchas are drawn for this address the form stands there without one: those who
    belong here need none then (ACC-10).
    """
    lost = request.endpoint != "pages.sign_in"
    picture, g.initial_tail = "", None
    try:
        picture = new_captcha()
    except Refused as error:
        if error.code != "too_many_attempts":
            raise
        refusal = refusal or error.refusal
    if refusal:
        status = refusal.kind.status
    elif errors:
        status = 422
    else:
        status = 401 if lost else 200
    return kit.render(
        "account/sign_in.html",
        status,
        refusal=refusal,
        errors=errors or {},
        id_number="" if lost else request.form.get("id_number", ""),
        captcha=picture,
        initial_tail=g.initial_tail,
        sealed=sealed,
        lost=lost,
    )


def new_captcha() -> str:
    """Ask for a captcha for the form that is shown next; return its picture (ACC-02).

    The picture is a data address, empty where none is asked for. What opens a new account (BEY-22)
    comes with it and is kept for the page.
    """
    made = current_app.config["CLIENT"].call(
        members.get_captcha, members.GetCaptcha(address=request.remote_addr or ""), request_id=g.request_id
    )
    session["captcha"] = made.captcha_id
    g.initial_tail = made.initial_tail
    return f"data:image/png;base64,{base64.b64encode(made.png).decode()}" if made.png else ""


def read_captcha() -> dict[str, str]:
    """Return the captcha of the form that was sent, as the services take it; it is good once."""
    return {"captcha_id": session.pop("captcha", ""), "captcha": request.form.get("captcha", "")}


@kit.blueprint.get("/security")
def security() -> Any:
    """Living sessions and sign-ins of the last 180 days (账号安全)."""
    return kit.render(
        "account/security.html",
        found=kit.call(members.list_sessions, members.ListSessions(session=session.get("session", ""))),
        called=devices.called,
    )


@kit.blueprint.post("/security/end")
def end_sessions() -> Any:
    """End one session or all others."""
    wanted = forms.value(
        members.EndSessions,
        request.form,
        {"session_ids": "session_id"},
        session=session.get("session", ""),
    )
    kit.call(members.end_sessions, wanted)
    kit.say(_("已下线。") if wanted.session_ids else _("其他登录都已下线。"))
    return redirect("/security")


@kit.blueprint.post("/sign-out")
def sign_out() -> Any:
    """Sign out (ACC-16)."""
    if "session" in session:
        current_app.config["CLIENT"].call(
            members.sign_out, members.SignOut(session=session["session"]), request_id=g.request_id
        )
    session.clear()
    return redirect("/sign-in")


@kit.blueprint.route("/password", methods=["GET", "POST"])
def password() -> Any:
    """Change the password."""
    read, refusal = forms.unsent(), None
    if request.method == "POST":
        read = forms.read(
            members.ChangePassword,
            request.form,
            {"old_password": "old", "new_password": "new"},
            session=session.get("session", ""),
        )
    if read.value is not None:
        try:
            kit.call(members.change_password, read.value)
            browser_session.remember(
                current_app.config["CLIENT"].call(
                    members.renew, members.Renew(session=session["session"]), request_id=g.request_id
                )
            )
            if not session.get("org"):  # a first password kept all else away
                _resume(session["person"], "", None)
            kit.say(_("密码已修改,下次请用新密码登录。"))
            return redirect(kit.landing())
        except Refused as error:
            if error.code in ("token_expired", "token_invalid"):
                raise
            refusal = error.refusal
    return kit.render("account/password.html", read.status(refusal), refusal=refusal, errors=read.errors)


@kit.blueprint.route("/forgot", methods=["GET", "POST"])
def forgot() -> Any:
    """Set a new password with a code from an administrator (ACC-06, ACC-08)."""
    read, refusal, done = forms.unsent(), None, False
    if request.method == "POST":
        read = forms.read(
            members.ResetPassword,
            request.form,
            {"new_password": "new"},
            address=request.remote_addr or "",
            captcha_id=session.pop("captcha", ""),
        )
    if read.value is not None:
        try:
            done = current_app.config["CLIENT"].call(
                members.reset_password, read.value, request_id=g.request_id
            )
        except Refused as error:
            refusal = error.refusal
    return kit.render(
        "account/forgot.html",
        read.status(refusal),
        refusal=refusal,
        errors=read.errors,
        done=done,
        form=read.typed,
        captcha=new_captcha(),
    )
