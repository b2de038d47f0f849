"""The scheduler on the bus: owns time."""

from __future__ import annotations

from services.scheduler import handlers, heads
from shared.bus.service import BusService
from shared.messages import federation, members, orgs, transfers


class Service(BusService):
    """Keeps durable timers and tells when they are due."""

    name = "scheduler"
    events = {
        transfers.NodeOpened: handlers.on_node_opened,
        transfers.BranchAssigned: handlers.on_ended,
        transfers.TransferRejected: handlers.on_ended,
        transfers.TransferReturned: handlers.on_ended,
        transfers.TransferWithdrawn: handlers.on_ended,
        orgs.OrgsLogGrew: heads.on_log_grew("orgs"),
        members.MembersLogGrew: heads.on_log_grew("members"),
        transfers.TransfersLogGrew: heads.on_log_grew("transfers"),
        federation.FederationLogGrew: heads.on_federation_log_grew,
    }
    gauges = staticmethod(handlers.gauges)
    loops = (handlers.FIRE,)
    linger = 0.1
