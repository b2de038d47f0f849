"""Addresses outside that may be told: what is checked is what is connected to (BEY-15).

Whoever registers an address is an administrator of some branch, so it is taken for hostile: only what
stands on the installation's list, only HTTPS, only the port that the list names, only addresses of the
public internet. It is parsed once, by the library that connects. The name is resolved once, the result is
checked, and the connection goes to that result with the name kept for TLS and `Host`, so that a second
look-up cannot lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from email.headerregistry import Address
from typing import NamedTuple

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from services.transfers.settings import Settings

CONNECT_SECONDS = 5.0
"""The longest wait for a connection, and for each piece of an answer."""
WHOLE_SECONDS = 10.0
"""The longest that one request takes in all, however the other side trickles."""

_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
"""A name in lower-case ASCII whose last label begins with a letter.

So no number in any base is a name, and no dot trails.
"""
_MAIL = re.compile(r"([A-Za-z0-9.!#$&'*+/=^_`{|}~-]{1,64})@(" + _HOST.pattern + ")")
_PHONE = re.compile(r"\+?[0-9]{3,20}")
_UNICAST = ipaddress.ip_network("2000::/3")
_TUNNELS = tuple(ipaddress.ip_network(one) for one in ("2001::/32", "2002::/16"))
"""Addresses of IPv6 that lead to one of IPv4: Teredo, 6to4."""


class NotAllowed(ValueError):
    """The address may not be told: it is malformed, not on the list, or leads into a network of our own."""


class NoAnswer(Exception):
    """Nobody answered as HTTP over verified TLS.

    Why is not said, since that would tell open ports from closed ones.
    """


class Target(NamedTuple):
    """A parsed address: how, whom, where to connect and what to ask for."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Return the one way in which this address is written."""
        usual = (self.scheme, self.port) in (("https", 443), ("http", 80))
        port = "" if usual else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"


def normal(settings: Settings, address: str) -> str:
    """Return an address as it is stored.

    Raises:
        NotAllowed: It may not be told.

    """
    if address.startswith("mailto:"):
        return "mailto:" + mailbox(settings, address)
    if address.startswith("sms:"):
        return "sms:" + phone(settings, address)
    return target(settings, address).url


def target(settings: Settings, address: str) -> Target:
    """Return what urllib3 reads in an address of a web server.

    Raises:
        NotAllowed: It is no `https:` address of a host and port on the list, or holds more than host,
            port, path and query.

    """
    if not _PRINTABLE.fullmatch(address) or "\\" in address:
        raise NotAllowed("characters")
    try:
        parsed = parse_url(address)
    except HTTPError as error:
        raise NotAllowed("malformed") from error
    host, scheme = parsed.host or "", parsed.scheme or ""
    local = settings.notice_loopback and host in ("127.0.0.1", "localhost")
    if scheme != "https" and not (local and scheme == "http"):
        raise NotAllowed("scheme")
    # Looked for in the text as well: an empty user before the @ is parsed to none.
    before_path = re.split("[/?#]", address.partition("://")[2])[0]
    if "@" in before_path or parsed.auth is not None or parsed.fragment is not None:
        raise NotAllowed("user or fragment")
    if not local and not _HOST.fullmatch(host):
        raise NotAllowed("host")
    usual = 443 if scheme == "https" else 80
    port = usual if parsed.port is None else parsed.port
    listed = settings.notice_hosts
    if f"{host}:{port}" not in listed and not (port == usual and host in listed):
        raise NotAllowed("not on the list")
    path = parsed.request_uri if parsed.path else f"/{parsed.request_uri.lstrip('/')}"
    return Target(scheme, host, port, path)


def mailbox(settings: Settings, address: str) -> str:
    """Return the one mailbox of a `mailto:` address.

    Raises:
        NotAllowed: It is not exactly one plain mailbox at a domain on the list.

    """
    found = _MAIL.fullmatch(address.removeprefix("mailto:"))
    if found is None or found[2] not in settings.notice_hosts:
        raise NotAllowed("mailbox")
    try:
        return str(Address(addr_spec=found[0]).addr_spec)
    except ValueError as error:
        raise NotAllowed("mailbox") from error


def phone(settings: Settings, address: str) -> str:
    """Return the number of an `sms:` address.

    Raises:
        NotAllowed: It is none, or short messages are not on the list.

    """
    number = address.removeprefix("sms:")
    if not _PHONE.fullmatch(number) or "sms" not in settings.notice_hosts:
        raise NotAllowed("number")
    return number


def is_public(address: str) -> bool:
    """Return whether a numeric address lies in the public internet, and does not stand for another one."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global and not found.is_multicast
    return found in _UNICAST and found.is_global and not any(found in tunnel for tunnel in _TUNNELS)


def resolve(settings: Settings, to: Target) -> str:
    """Return the numeric address to connect to.

    Raises:
        NotAllowed: The name leads, with one of its addresses at least, into a network of our own.
        NoAnswer: The name has no address.

    """
    try:
        found = [str(one[4][0]) for one in socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise NoAnswer from error
    # All of them, not only the one that is used: a name with one address inside is not trusted at all.
    for address in found:
        if not (
            is_public(address) or (settings.notice_loopback and ipaddress.ip_address(address).is_loopback)
        ):
            raise NotAllowed("leads inside")
    if not found:
        raise NoAnswer
    return found[0]


class _Plain(HTTPConnection):
    ready: socket.socket

    def _new_conn(self) -> socket.socket:
        return self.ready


class _Secure(HTTPSConnection):
    ready: socket.socket

    def _new_conn(self) -> socket.socket:
        return self.ready


def post(settings: Settings, to: Target, body: bytes, headers: dict[str, str]) -> int:
    """Post to a target; return the status of the answer, whose body is not read.

    Redirects are not followed.

    Raises:
        NotAllowed: Its name leads into a network of our own.
        NoAnswer: No answer in time.

    """
    address = resolve(settings, to)
    connection: _Plain | _Secure
    if to.scheme == "https":
        connection = _Secure(
            to.host,
            to.port,
            timeout=CONNECT_SECONDS,
            cert_reqs="CERT_REQUIRED",
            ca_certs=settings.authorities,
        )
    else:
        connection = _Plain(to.host, to.port, timeout=CONNECT_SECONDS)
    # The timeout of a socket is one of each wait, so a timer ends what trickles.
    line = end = None
    late = threading.Event()
    try:
        connection.ready = socket.create_connection((address, to.port), timeout=CONNECT_SECONDS)
        line = connection.ready.dup()  # still ours when TLS has taken the socket over
        end = threading.Timer(WHOLE_SECONDS, _hang_up, [line, late])
        end.daemon = True
        end.start()
        connection.request("POST", to.path, body=body, headers=headers, preload_content=False)
        status = int(connection.getresponse().status)
        if late.is_set():
            raise NoAnswer  # cut off in the middle, which may read like an end
        return status
    except Exception as error:
        raise NoAnswer from error
    finally:
        if end is not None:
            end.cancel()
        connection.close()
        for one in (line, getattr(connection, "ready", None)):
            if one is not None:
                one.close()


def _hang_up(line: socket.socket, late: threading.Event) -> None:
    """End a connection that takes too long, whatever waits on it."""
    late.set()
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
