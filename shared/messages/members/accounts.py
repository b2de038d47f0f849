"""Signing in and out, passwords, sessions, captchas, reset codes (ACC)."""

from __future__ import annotations

from uuid import UUID

import msgspec

from shared.errors import Refusal
from shared.messages import Act, Command, Query
from shared.messages.limits import (
    Address,
    CodeText,
    Device,
    IdNumber,
    Instant,
    Opaque,
    Password,
    PersonId,
    ShortLine,
    Uuids,
)


class GetCaptcha(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a picture of characters to read (ACC-02, ACC-08).

    `address` is the caller's: only so many are drawn for one, and where much has failed from one, a
    captcha is asked for whatever the setting.
    """

    address: Address = ""


class Captcha(msgspec.Struct, frozen=True, kw_only=True):
    """A picture whose characters are to be sent along, once, within five minutes.

    There is no picture where none is asked for. `initial_tail` says what opens a new account: that
    many last characters of the ID number, or a code where it is 0 (ACC-04, BEY-22).
    """

    captcha_id: str = ""
    png: bytes = b""
    initial_tail: int = 8


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in with ID number, password and captcha (ACC-02).

    `address` and `device` are the caller's, for the lockout and the history.
    """

    id_number: IdNumber
    password: Password
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""
    device: Device = ""


class Renew(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a fresh token of a living session."""

    session: Opaque


class SignOut(msgspec.Struct, frozen=True, kw_only=True):
    """End a session (ACC-16)."""

    session: Opaque


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True):
    """Replace one's own password (ACC-05).

    Of all sessions of the person only `session` goes on; none does if it is not given.
    """

    old_password: Password
    new_password: Password
    session: Opaque = ""


class ResetPassword(msgspec.Struct, frozen=True, kw_only=True):
    """Replace a forgotten password with a code that an administrator has handed out (ACC-08).

    `address` is the caller's, for the lockout.
    """

    id_number: IdNumber
    code: CodeText
    new_password: Password
    captcha_id: Opaque = ""
    captcha: ShortLine = ""
    address: Address = ""


class ListSessions(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one's own living sessions and the sign-ins of the last 180 days, newest first.

    `session` marks the one that asks.
    """

    session: Opaque = ""


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One living session of the person."""

    session_id: UUID
    began_at: Instant
    expires_at: Instant
    address: str
    device: str
    this: bool


class SignInTried(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to sign in with the person's ID number."""

    at: Instant
    address: str
    device: str
    succeeded: bool


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """The own sessions and sign-ins."""

    sessions: list[SessionInfo]
    sign_ins: list[SignInTried]


class EndSessions(msgspec.Struct, frozen=True, kw_only=True):
    """End some of one's own sessions, or all but `session` if none is named.

    Their tokens stop counting at once.
    """

    session: Opaque = ""

    session_ids: Uuids = []


class IssueResetCode(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a code that resets a member's password (ACC-06, ACC-07).

    A new code replaces the earlier one.
    """

    command_id: UUID
    member_id: PersonId


class ResetCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code to hand over in person: single-use, shown only in this answer (ACC-09)."""

    member_id: int
    code: str = ""
    expires_at: Instant | None = None
    refusal: Refusal | None = None


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A session: `token` proves the person to every service until `expires_at`, `session` renews it."""

    person_id: int
    name: str
    token: str
    session: str
    expires_at: Instant
    must_change_password: bool


sign_in = Act("members", "sign_in", SignIn, Signed, public=True)

renew = Act("members", "renew", Renew, Signed, public=True)

sign_out = Act("members", "sign_out", SignOut, bool, public=True)

change_password = Act("members", "change_password", ChangePassword, bool, restricted=True)

reset_password = Act("members", "reset_password", ResetPassword, bool, public=True)

issue_reset_codes = Command("members", "issue_reset_codes", IssueResetCode, ResetCode)

get_captcha = Query("members", "get_captcha", GetCaptcha, Captcha, public=True)

list_sessions = Query("members", "list_sessions", ListSessions, Sessions)

end_sessions = Act("members", "end_sessions", EndSessions, bool)
