"""How offices are told, by one small interface for every kind of address (BEY-19).

An `https:` address gets a signed webhook, `mailto:` an e-mail, `sms:` a short message. A channel is a
function from settings, address, secret and notice to a problem, empty for none. A notice holds ids and
states, never names or numbers of people. Where no server for e-mail is set, and for short messages, the
channel is the log, which names the kind of address only.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import smtplib
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import TypedDict

import msgspec

from services.transfers.notices import addresses
from services.transfers.settings import Settings

log = logging.getLogger("tuanqiao.notices")
TIMEOUT_SECONDS = 5.0
NO_ANSWER, NOT_ALLOWED, NOT_SENT = "no answer", "not allowed here", "cannot be sent"
"""What is said of a delivery that failed.

There is one word for every port that is closed, filtered, or open to something else, so that nobody can
search a network by what they are told.
"""


class Notice(TypedDict):
    """What is told of a line of the trail."""

    id: str
    event: str
    state: str
    at: str
    transfer_id: int
    member_id: int
    reason: str
    source_branch_id: int
    target_org_id: int


Channel = Callable[[Settings, str, str, Notice], str]


def signature(secret: str, at: int, body: bytes) -> str:
    """Return what stands in `Tuanqiao-Signature`.

    The time, and the HMAC-SHA256 of time and body under the address's secret.
    """
    code = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={code}"


def _webhook(settings: Settings, address: str, secret: str, notice: Notice) -> str:
    body = msgspec.json.encode(notice)
    headers = {
        "Content-Type": "application/json",
        "Tuanqiao-Id": notice["id"],
        "Tuanqiao-Signature": signature(secret, int(time.time()), body),
    }
    try:
        status = addresses.post(settings, addresses.target(settings, address), body, headers)
    except addresses.NoAnswer:
        return NO_ANSWER
    return "" if 200 <= status < 300 else f"HTTP {status}"


def _mail(settings: Settings, address: str, secret: str, notice: Notice) -> str:
    to = addresses.mailbox(settings, address)
    if not settings.mail_server:
        return _log(settings, address, secret, notice)
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = to
    message["Subject"] = f"组织关系转接 {notice['transfer_id']}: {notice['event']}"
    message.set_content(
        f"组织关系转接 {notice['transfer_id']} 有新进展({notice['state']}),请登录查看。\n"
        f"Transfer {notice['transfer_id']}: {notice['event']}, now {notice['state']}.\n"
    )
    try:
        with smtplib.SMTP(settings.mail_server, settings.mail_port, timeout=TIMEOUT_SECONDS) as connection:
            connection.send_message(message)
    except (OSError, smtplib.SMTPException):
        return NO_ANSWER
    return ""


def _log(settings: Settings, address: str, secret: str, notice: Notice) -> str:
    log.info(
        "notice by %s: transfer %s, %s", address.partition(":")[0], notice["transfer_id"], notice["event"]
    )
    return ""


CHANNELS: dict[str, Channel] = {"https": _webhook, "http": _webhook, "mailto": _mail, "sms": _log}


def send(settings: Settings, address: str, secret: str, notice: Notice) -> str:
    """Send a notice to an address; return what went wrong, empty for nothing.

    Whatever an address makes a library raise ends here.
    """
    try:
        kind = addresses.normal(settings, address).partition(":")[0]
        return CHANNELS[kind](settings, address, secret, notice)
    except addresses.NotAllowed as refused:
        log.warning("an address is not told: %s", refused)
        return NOT_ALLOWED
    except Exception as error:
        log.error("a notice cannot be sent: %s", type(error).__name__)
        return NOT_SENT
