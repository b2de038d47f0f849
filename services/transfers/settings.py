"""What an installation sets for the transfers service; `docs/settings.md` lists the names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import certifi
from sqlalchemy.engine import Connection, Engine

from shared import db
from shared.identity import Verifier
from shared.settings import Environment
from shared.settings import Settings as Common


@dataclass(frozen=True)
class Settings:
    """The service's settings.

    Attributes:
        keys: Folder of key files; the public one proves tickets.
        policy: The season policy that a new installation begins with.
        notice_hosts: Whom offices may have told: hosts (`host` or `host:port`), mail domains and `sms`.
        notice_loopback: Whether addresses of this machine may be told, by HTTP, too.
        authorities: File of those that receivers' certificates are verified against.
        mail_server: Of e-mail to offices; without one such notices go to the log.
        mail_port: Of that server.
        mail_from: The sender of such e-mail.
        peers: The other systems that a bridge leads to: BJ, GD, FJ (FED-01).

    """

    keys: Path = Path("var/keys")
    policy: str = "national"
    notice_hosts: tuple[str, ...] = ()
    notice_loopback: bool = False
    authorities: str = certifi.where()
    mail_server: str = ""
    mail_port: int = 25
    mail_from: str = "tuanqiao@localhost"
    peers: frozenset[str] = frozenset()

    @cached_property
    def verifier(self) -> Verifier:
        """Return what proves the tickets that members gives to offices."""
        return Verifier(self.keys)


def read(environment: Environment, common: Common) -> Settings:
    """Return the settings as the environment says them.

    Raises:
        Wrong: Names the setting that cannot be meant.

    """
    hosts = environment.text("TUANQIAO_NOTICE_HOSTS").lower().split(",")
    mail_server, mail_port = environment.host_and_port("TUANQIAO_SMTP", 25)
    return Settings(
        keys=common.keys,
        policy=environment.text("TUANQIAO_POLICY", "national"),
        notice_hosts=tuple(host.strip() for host in hosts if host.strip()),
        notice_loopback=environment.switch("TUANQIAO_NOTICE_LOOPBACK"),
        authorities=environment.text("SSL_CERT_FILE", certifi.where()),
        mail_server=mail_server,
        mail_port=mail_port,
        mail_from=environment.text("TUANQIAO_MAIL_FROM", "tuanqiao@localhost"),
        peers=frozenset(common.peers),
    )


def of(tx: Connection | Engine) -> Settings:
    """Return the settings of the service that a transaction belongs to."""
    return db.settings_of(tx, Settings)
