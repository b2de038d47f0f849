"""The scheduler on the bus: owns time."""
from __future__ import annotations

from services.scheduler import handlers
from shared.bus.service import BusService
from shared.messages import transfers


class Service(BusService):
    """Keeps durable timers and tells when they are due."""

    name = "scheduler"
    events = {
        transfers.NodeOpened: handlers.on_node_opened,
        transfers.BranchAssigned: handlers.on_ended,
        transfers.TransferRejected: handlers.on_ended,
        transfers.TransferReturned: handlers.on_ended,
        transfers.TransferWithdrawn: handlers.on_ended,
    }
    background = (handlers.fire_forever,)
    linger = 0.1
