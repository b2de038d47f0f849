"""What an installation sets for a bridge; `docs/settings.md` lists the names.

Each name stands once for each peer: `TUANQIAO_BJ_URL` is of the bridge to Beijing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy.engine import Connection, Engine

from services.federation.calling import Address
from services.federation.handovers import Bridge
from services.federation.keys import ALGORITHMS, Folder
from services.federation.telling import bridge_to
from shared import db
from shared.green import Certificate
from shared.settings import Environment, Wrong
from shared.settings import Settings as Common


@dataclass(frozen=True)
class Settings:
    """The settings of one bridge.

    Attributes:
        peer: The system that it leads to.
        keys: Folder of the key files of both sides.
        algorithms: With which messages may be signed.
        address: Where the peer's door is.
        host: The address that our door listens on.
        port: Its port; 0: the door stays shut.
        certificate: What our door shows; None: it speaks HTTP, for a front that speaks TLS.

    """

    peer: str
    keys: Path
    address: Address
    algorithms: tuple[str, ...] = ALGORITHMS
    host: str = "127.0.0.1"
    port: int = 0
    certificate: Certificate | None = None

    @cached_property
    def bridge(self) -> Bridge:
        """Return our end of the bridge."""
        return bridge_to(self.peer, Folder(self.keys, self.algorithms))


def key_folder(keys: Path, peer: str) -> Path:
    """Return the folder of the keys of the bridge to a peer."""
    return keys / "bridges" / peer


def read(peer: str, environment: Environment, common: Common) -> Settings:
    """Return the settings of the bridge to a peer as the environment says them.

    Raises:
        Wrong: Names the setting that cannot be meant.

    """
    name = f"TUANQIAO_{peer}"
    return Settings(
        peer=peer,
        keys=key_folder(common.keys, peer),
        address=_address(name, environment),
        algorithms=_algorithms(name, environment),
        host=environment.text(f"{name}_HOST", "127.0.0.1"),
        port=environment.whole(f"{name}_PORT", PORTS[peer], most=65_535),
        certificate=_certificate(name, environment),
    )


PORTS = {"BJ": 8121, "GD": 8122, "FJ": 8123}
"""Of our doors, unless a setting says another."""
PEER_PORTS = {"BJ": 8101, "GD": 8102, "FJ": 8103}
"""Where the peers' doors are looked for where nothing is said: on this machine, for trials."""


def _address(name: str, environment: Environment) -> Address:
    usual = f"http://127.0.0.1:{PEER_PORTS[name[-2:]]}"
    try:
        return Address(
            environment.text(f"{name}_URL", usual),
            environment.path(f"{name}_AUTHORITIES"),
            environment.path(f"{name}_CLIENT_CERTIFICATE"),
            environment.path(f"{name}_CLIENT_KEY"),
        )
    except ValueError as error:
        raise Wrong(f"{name}_URL: {error} (docs/settings.md)") from None


def _algorithms(name: str, environment: Environment) -> tuple[str, ...]:
    said = environment.text(f"{name}_ALGORITHMS")
    wanted = tuple(one.strip() for one in said.split(",") if one.strip()) or ALGORITHMS
    if set(wanted) - set(ALGORITHMS):
        raise Wrong(
            f"{name}_ALGORITHMS is {said!r}; it has to be some of {', '.join(ALGORITHMS)} (docs/settings.md)"
        )
    return wanted


def _certificate(name: str, environment: Environment) -> Certificate | None:
    chain, private = environment.path(f"{name}_CERTIFICATE"), environment.path(f"{name}_CERTIFICATE_KEY")
    clients = environment.path(f"{name}_CLIENTS")
    if chain is None and private is None:
        return None
    if chain is None or private is None:
        raise Wrong(f"{name}_CERTIFICATE and {name}_CERTIFICATE_KEY go together (docs/settings.md)")
    return Certificate(chain, private, clients)


def of(tx: Connection | Engine) -> Settings:
    """Return the settings of the bridge that a transaction belongs to."""
    return db.settings_of(tx, Settings)
