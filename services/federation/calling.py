"""Requests to the peer's door: over TLS, to the configured address alone, with an end for everything."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from services.federation import envelope
from services.federation.handovers import Bridge
from services.federation.schemas import Token
from shared import clock

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 90.0
LONGEST_PAUSE = 3600.0
"""Between two tries, in seconds."""
LONGEST_ANSWER = 1100 * 1024
LOCAL = ("localhost", "127.0.0.1", "::1")


class NoAnswer(Exception):
    """The peer has not answered as agreed.

    `wait` is for how long it wants to be left alone, in seconds; `status` that of its answer, 0 for none;
    `broken_off` says that the connection was lost over it.
    """

    def __init__(self, why: str, wait: float = 0.0, status: int = 0, broken_off: bool = False) -> None:
        super().__init__(why)
        self.wait, self.status, self.broken_off = wait, status, broken_off


@dataclass(frozen=True)
class Address:
    """Where the peer's door is, and how one shows that it is the right one.

    Attributes:
        url: `https://host:port`; `http` on this machine alone.
        authorities: A file with the certificates that are believed; None: those of the system.
        certificate: Our own certificate, for mutual TLS.
        private_key: Its key.

    """

    url: str
    authorities: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None

    def __post_init__(self) -> None:
        """Refuse an address over which anybody could read along.

        Raises:
            ValueError: It is none, or not `https`.

        """
        parts = urlsplit(self.url)
        local = parts.scheme == "http" and parts.hostname in LOCAL
        plain = not (parts.username or parts.query or parts.fragment) and parts.path in ("", "/")
        if not parts.hostname or not plain or (parts.scheme != "https" and not local):
            raise ValueError("a bridge leads to https://host:port")

    def pool(self) -> urllib3.PoolManager:
        """Return connections to it: TLS with its name checked, no proxy, no redirects."""
        return urllib3.PoolManager(
            num_pools=1,
            maxsize=2,
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=str(self.authorities) if self.authorities else None,
            cert_file=str(self.certificate) if self.certificate else None,
            key_file=str(self.private_key) if self.private_key else None,
        )


def token(bridge: Bridge, path: str) -> str:
    """Return what our own GET of a path shows to the peer."""
    now = clock.now()
    made = Token(source=bridge.me, dest=bridge.peer, path=path, time=now)
    return envelope.sign(bridge.keys.ring().signing(now), envelope.TOKEN, msgspec.json.encode(made))


def retry_after(headers: Any) -> float:
    """Return the seconds that a `Retry-After` asks for, at most an hour; 0 for none."""
    text = headers.get("Retry-After", "")
    try:
        wait = (
            float(text) if text.isdecimal() else (parsedate_to_datetime(text) - clock.now()).total_seconds()
        )
    except (TypeError, ValueError):
        return 0.0
    return min(LONGEST_PAUSE, max(0.0, wait))


class Caller:
    """Makes requests to one address; its connections are kept."""

    def __init__(self, address: Address, patience: float = ANSWER_SECONDS) -> None:
        self.address, self.patience = address, patience
        self._pool = address.pool()

    def get(self, bridge: Bridge, path: str, asked: str = "") -> bytes:
        """Return what the peer answers to a GET that shows our token; `asked`: what follows `?`.

        Raises:
            NoAnswer: There is none, or not 200; it may say for how long the peer wants to be left alone.

        """
        shown = {"Authorization": f"Bearer {token(bridge, path)}"}
        whole = f"{path}?{asked}" if asked else path
        status, headers, body = self.request("GET", whole, headers=shown)
        if status != 200:
            raise NoAnswer(f"HTTP {status}", retry_after(headers), status)
        return body

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, Any, bytes]:
        """Return status, headers and body of the answer; redirects are not followed.

        Raises:
            NoAnswer: There is none in time, or one without end.

        """
        ends = time.monotonic() + self.patience
        try:
            answer = self._pool.request(
                method,
                self.address.url.rstrip("/") + path,
                body=body or None,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=self.patience),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            read = bytearray()
            try:
                while more := answer.read1(65_536):
                    read += more
                    if len(read) > LONGEST_ANSWER or time.monotonic() > ends:
                        answer.close()
                        raise NoAnswer("an answer without end")
            finally:
                answer.release_conn()
        except (HTTPError, OSError) as error:
            # the kind alone: what libraries say may hold addresses and what was sent
            raise NoAnswer(type(error).__name__, broken_off=True) from None
        return answer.status, answer.headers, bytes(read)
