"""The orgs service on the bus."""
from __future__ import annotations

from services.orgs import handlers
from shared.bus.service import BusService
from shared.messages import members
from shared.messages import orgs as contract


class Service(BusService):
    """Owns the organisation tree and its administrators."""

    name = "orgs"
    events = {
        members.BranchGraduated: handlers.on_branch_graduated,
        members.DeletionRefused: handlers.on_deletion_refused,
    }
    commands = {
        contract.save_orgs: handlers.save_orgs,
        contract.delete_orgs: handlers.delete_orgs,
        contract.set_administrators: handlers.set_administrators,
    }
    queries = {
        contract.search_orgs: handlers.search_orgs,
        contract.get_orgs: handlers.get_orgs,
        contract.list_children: handlers.list_children,
        contract.list_administrators: handlers.list_administrators,
        contract.my_orgs: handlers.my_orgs,
    }
