"""How offices are told: one small interface, by the kind of address: `https:` signed webhook, `mailto:` e-mail, `sms:` short message (BEY-19).

A channel is a function from address, secret and notice to a problem, empty for none. A notice holds ids and states, never names or numbers
of people. Where no server for e-mail is set, and for short messages, the channel is the log, which names the kind of address only.
"""
from __future__ import annotations

import hashlib
import hmac
import logging
import os
import smtplib
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

log = logging.getLogger("tuanqiao.notices")
TIMEOUT_SECONDS = 5.0
Channel = Callable[[str, str, dict[str, Any]], str]


def allowed() -> list[str]:
    """Return the hosts that may be told; none by default, so that no address leads into the own network unasked."""
    return [host.strip() for host in (os.environ.get("TUANQIAO_NOTICE_HOSTS") or "").split(",") if host.strip()]


def is_allowed(address: str) -> bool:
    """Return whether an address may be registered: a known kind, and a host or mail domain that the installation allows."""
    parts = urlsplit(address)
    host = address.rpartition("@")[2] if parts.scheme == "mailto" else parts.hostname or ""
    if parts.scheme == "sms":
        return "sms" in allowed()
    return (parts.scheme in ("https", "mailto") or (parts.scheme == "http" and host in ("127.0.0.1", "localhost"))) and host in allowed()


def signature(secret: str, at: int, body: bytes) -> str:
    """Return what stands in `Tuanqiao-Signature`: the time and the HMAC-SHA256 of time and body under the address's secret."""
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _webhook(address: str, secret: str, notice: dict[str, Any]) -> str:
    body = msgspec.json.encode(notice)
    try:
        answer = requests.post(address, data=body, timeout=TIMEOUT_SECONDS, allow_redirects=False, headers={
            "Content-Type": "application/json", "Tuanqiao-Id": str(notice["id"]), "Tuanqiao-Signature": signature(secret, int(time.time()), body)})
    except requests.RequestException as error:
        return type(error).__name__
    return "" if answer.ok else f"HTTP {answer.status_code}"


def _mail(address: str, secret: str, notice: dict[str, Any]) -> str:
    server, _, port = (os.environ.get("TUANQIAO_SMTP") or "").partition(":")
    if not server:
        return _log(address, secret, notice)
    message = EmailMessage()
    message["From"], message["To"] = os.environ.get("TUANQIAO_MAIL_FROM") or "tuanqiao@localhost", address.removeprefix("mailto:")
    message["Subject"] = f"组织关系转接 {notice['transfer_id']}: {notice['event']}"
    message.set_content(f"组织关系转接 {notice['transfer_id']} 有新进展({notice['state']}),请登录查看。\nTransfer {notice['transfer_id']}: {notice['event']}, now {notice['state']}.\n")
    try:
        with smtplib.SMTP(server, int(port or 25), timeout=TIMEOUT_SECONDS) as connection:
            connection.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        return type(error).__name__
    return ""


def _log(address: str, secret: str, notice: dict[str, Any]) -> str:
    log.info("notice by %s: transfer %s, %s", urlsplit(address).scheme, notice["transfer_id"], notice["event"])
    return ""


CHANNELS: dict[str, Channel] = {"https": _webhook, "http": _webhook, "mailto": _mail, "sms": _log}


def send(address: str, secret: str, notice: dict[str, Any]) -> str:
    """Send a notice to an address; return what went wrong, empty for nothing."""
    return CHANNELS[urlsplit(address).scheme](address, secret, notice) if is_allowed(address) else "not allowed here"
