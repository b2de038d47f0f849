"""What differs from one installation to the next; everything else is in the code or in policy files.

Read once per process from the environment; `docs/settings.md` lists every name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("orgs", "members", "transfers", "scheduler")
"""The services that own a database and sit on the bus; the gateway owns nothing."""


@dataclass(frozen=True)
class Settings:
    """The settings of one process.

    Attributes:
        database_url: A server, `postgresql://user@host:port/`; each service uses its own database on it.
        database_prefix: The database of service `orgs` is called `<prefix>_orgs`.
        amqp_uri: RabbitMQ, or `memory://` for the bus inside this process.
        keys: Folder of key files; only `members` needs the private ones (`tuanqiao keys`).
        health_port: Where `/healthz`, `/readyz` and `/metrics` of this process listen; 0 switches them off.
        health_host: The address they listen on; nobody outside is shown them.

    """

    database_url: str
    database_prefix: str
    amqp_uri: str
    keys: Path
    health_port: int
    health_host: str = "127.0.0.1"

    def database(self, service: str) -> str:
        """Return the database address of `service`; `ORGS_DATABASE_URL` and the like override the rule."""
        own = os.environ.get(f"{service.upper()}_DATABASE_URL")
        if own:
            return own
        base, _, query = self.database_url.partition("?")
        scheme, _, rest = base.partition("://")
        host = rest.split("/", 1)[0]
        return f"{scheme}://{host}/{self.database_prefix}_{service}" + (f"?{query}" if query else "")


def from_environment() -> Settings:
    """Return the settings of this process; the defaults are servers on localhost."""
    env = os.environ.get
    return Settings(
        database_url=env("DATABASE_URL") or "postgresql://postgres@localhost:5432/",
        database_prefix=env("TUANQIAO_DB_PREFIX") or "tuanqiao",
        amqp_uri=env("AMQP_URI") or "amqp://guest:guest@localhost:5672//",
        keys=Path(env("TUANQIAO_KEYS") or "var/keys"),
        health_port=int(env("TUANQIAO_HEALTH_PORT") or 0),
        health_host=env("TUANQIAO_HEALTH_HOST") or "127.0.0.1",
    )
