"""The browser's session: who has signed in, with which token, for which organisation they act."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import current_app, g, session

from shared.errors import Refused
from shared.messages import members


def session_token() -> str:
    """Return the token of the session, renewed shortly before it ends.

    Raises:
        Refused: `token_expired` where nobody is signed in.

    """
    if "token" not in session:
        raise Refused("token_expired")
    if datetime.fromisoformat(session["expires"]) - datetime.now(UTC) < timedelta(minutes=2):
        remember(
            current_app.config["CLIENT"].call(
                members.renew, members.Renew(session=session["session"]), request_id=g.request_id
            )
        )
    return str(session["token"])


def acting_org() -> int | None:
    """Return the organisation that the person of the session acts for."""
    org: int | None = session.get("org")
    return org


def remember(signed: members.Signed) -> None:
    """Keep in the browser's session who has signed in."""
    session.update(
        token=signed.token,
        session=signed.session,
        name=signed.name,
        person=signed.person_id,
        expires=signed.expires_at.isoformat(),
        restricted=signed.must_change_password,
    )
