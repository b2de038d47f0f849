"""What differs from one installation to the next; everything else is in the code or in policy files.

This module alone reads the environment. The settings of all processes stand here, those of one service
in its own `settings.py`; both are read once, at the start, and passed on. `docs/settings.md` lists every
name.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared.messages.words import PEERS

SERVICES = ("orgs", "members", "transfers", "scheduler")
"""The services of every installation, each with a database and on the bus; the gateway owns nothing."""
FEDERATION = "federation"
"""The service that exists once for each bridge: `federation_bj`, with a database and a queue of its own."""
LONGEST = 100_000
"""Of a setting that counts hours, days or months: what is longer cannot be added to a date."""


NO_PEERS = "none"
"""What `TUANQIAO_PEERS` says where no bridge leads anywhere."""


def bridge(peer: str) -> str:
    """Return the name of the service that keeps the bridge to a system."""
    return f"{FEDERATION}_{peer.lower()}"


def role(service: str) -> str:
    """Return what contracts call a service: all bridges have one role."""
    return FEDERATION if service.startswith(f"{FEDERATION}_") else service


class Wrong(ValueError):
    """A setting that cannot be meant: the words name it and say what is wanted.

    Nothing has begun yet; the command line ends with the words.
    """


class Environment:
    """Settings by their names, each as the kind of value that it has to be.

    A name that is missing and one that is empty mean the same: the default.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        return self._values.get(name) or default

    def path(self, name: str) -> Path | None:
        """Return the path of a file or folder."""
        given = self.text(name)
        return Path(given) if given else None

    def choice(self, name: str, *words: str) -> str:
        """Return one of some words, of which the first is the default."""
        given = self.text(name, words[0])
        if given not in words:
            raise self._wrong(name, f"one of {', '.join(words)}")
        return given

    def switch(self, name: str, default: bool = False) -> bool:
        """Return whether something is on."""
        return self.choice(name, *(("true", "false") if default else ("false", "true"))) == "true"

    def whole(self, name: str, default: int, least: int = 0, most: int = LONGEST) -> int:
        """Return a whole number; `6.0` is one."""
        value = self._number(name, default)
        if not least <= value <= most or value != int(value):
            raise self._wrong(name, f"a whole number from {least} to {most}")
        return int(value)

    def number(self, name: str, default: float) -> float:
        """Return a number that is not below 0, with or without decimals."""
        value = self._number(name, default)
        if not 0 <= value <= LONGEST:
            raise self._wrong(name, f"a number from 0 to {LONGEST}")
        return value

    def _number(self, name: str, default: float) -> float:
        """Return a number; what is none is not a number to Python either, and in no range."""
        try:
            return float(self.text(name) or default)
        except ValueError:
            return math.nan

    def host_and_port(self, name: str, usual: int) -> tuple[str, int]:
        """Return a server as `host` or `host:port`; an empty host where none is named."""
        host, _, port = self.text(name).partition(":")
        if port and not (host and re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65_536):
            raise self._wrong(name, "host or host:port")
        return host, int(port or usual)

    def month_and_day(self, name: str, default: str = "") -> str:
        """Return a day of the year such as `07-31`."""
        given = self.text(name, default)
        if given and not re.fullmatch(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", given):
            raise self._wrong(name, "a month and a day such as 07-31")
        return given

    def _wrong(self, name: str, wanted: str) -> Wrong:
        return Wrong(f"{name} is {self.text(name)!r}; it has to be {wanted} (docs/settings.md)")


def say(more: Mapping[str, str]) -> None:
    """Set what this process has found out itself, before any of it is read."""
    os.environ.update(more)


def inherited(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program that this process starts: its own, and some more."""
    return {**os.environ, **more}


@dataclass(frozen=True)
class Settings:
    """The settings that every process has.

    Attributes:
        database_url: A server, `postgresql://user@host:port/`; each service uses its own database on it.
        database_prefix: The database of service `orgs` is called `<prefix>_orgs`.
        amqp_uri: RabbitMQ, or `memory://` for the bus inside this process.
        bus_prefix: Put before every name on the broker, so that several installations may share one.
        peers: The other systems that a bridge leads to (FED-01).
        keys: Folder of key files; only `members` needs the private ones (`tuanqiao keys`).
        health_port: Where `/healthz`, `/readyz` and `/metrics` of this process listen; 0 switches them off.
        health_host: The address they listen on; nobody outside is shown them.
        own_databases: The addresses of services whose database stands elsewhere.

    """

    database_url: str
    database_prefix: str
    amqp_uri: str
    keys: Path
    health_port: int
    health_host: str = "127.0.0.1"
    own_databases: Mapping[str, str] = field(default_factory=dict)
    bus_prefix: str = ""
    peers: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """Return the services of this installation: those that all have, and a bridge for each peer."""
        return (*SERVICES, *(bridge(peer) for peer in self.peers))

    def database(self, service: str) -> str:
        """Return the database address of `service`; `ORGS_DATABASE_URL` and the like override the rule."""
        if service in self.own_databases:
            return self.own_databases[service]
        base, _, query = self.database_url.partition("?")
        scheme, _, rest = base.partition("://")
        host = rest.split("/", 1)[0]
        return f"{scheme}://{host}/{self.database_prefix}_{service}" + (f"?{query}" if query else "")


def from_environment(environment: Environment | None = None, peers: str = NO_PEERS) -> Settings:
    """Return the settings of this process; the defaults are servers on localhost, and `peers`.

    Raises:
        Wrong: Names the setting that cannot be meant.

    """
    given = environment or Environment()
    connected = _peers(given, peers)
    services = (*SERVICES, *(bridge(peer) for peer in connected))
    own = {service: given.text(f"{service.upper()}_DATABASE_URL") for service in services}
    return Settings(
        database_url=given.text("DATABASE_URL", "postgresql://postgres@localhost:5432/"),
        database_prefix=given.text("TUANQIAO_DB_PREFIX", "tuanqiao"),
        amqp_uri=given.text("AMQP_URI", "amqp://guest:guest@localhost:5672//"),
        keys=given.path("TUANQIAO_KEYS") or Path("var/keys"),
        health_port=given.whole("TUANQIAO_HEALTH_PORT", 0, most=65_535),
        health_host=given.text("TUANQIAO_HEALTH_HOST", "127.0.0.1"),
        bus_prefix=given.text("TUANQIAO_BUS_PREFIX"),
        own_databases={service: address for service, address in own.items() if address},
        peers=connected,
    )


def _peers(environment: Environment, default: str) -> tuple[str, ...]:
    """Return the systems of `TUANQIAO_PEERS`, separated by commas."""
    words = environment.text("TUANQIAO_PEERS", default)
    if words == NO_PEERS:
        return ()
    said = {one.strip() for one in words.upper().split(",")} - {""}
    if said - set(PEERS):
        raise Wrong(
            f"TUANQIAO_PEERS is {','.join(sorted(said))!r};"
            f" it has to be {NO_PEERS} or some of {', '.join(PEERS)} (docs/settings.md)"
        )
    return tuple(str(peer) for peer in PEERS if peer in said)


def log_level(environment: Environment | None = None) -> str:
    """Return from which level on the process logs."""
    given = environment or Environment()
    return given.choice("TUANQIAO_LOG", "WARNING", "DEBUG", "INFO", "ERROR", "CRITICAL")


def begin_log() -> None:
    """Have the process log from that level on, to stderr."""
    logging.basicConfig(level=log_level(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
