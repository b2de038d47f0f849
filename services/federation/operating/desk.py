"""The bridge that a database belongs to, and its audit log."""

from __future__ import annotations

from functools import cache

from sqlalchemy.engine import Connection, Engine

from services.federation import settings
from services.federation.handovers import Bridge
from shared.audit import Log
from shared.messages.federation import FederationLogGrew
from shared.settings import bridge


def bridge_of(tx: Connection | Engine) -> Bridge:
    """Return the bridge whose database this is."""
    return settings.of(tx).bridge


@cache
def log_of(peer: str) -> Log:
    """Return the audit log of the bridge to a system; each has one of its own (BEY-10)."""
    return Log(bridge(peer), "org_directory", FederationLogGrew, peer=peer)
