"""The members service on the bus."""
from __future__ import annotations

from sqlalchemy.engine import Connection

from services.members import accounts, graduation, handlers, imports, records
from shared import directory
from shared.bus.service import BusService, Machinery
from shared.messages import members as contract
from shared.messages import orgs, scheduler, transfers


def on_day_began(tx: Connection, items: list[scheduler.DayBegan]) -> None:
    """Do what is done daily."""
    graduation.on_day_began(tx, items)
    imports.on_day_began(tx, items)


class Service(BusService):
    """Owns people, accounts, membership and its history."""

    name = "members"
    events = {
        orgs.OrgChanged: handlers.on_org_changed,
        orgs.AdministratorChanged: directory.on_administrator_changed,
        transfers.TransferRequested: handlers.on_transfer_requested,
        transfers.BranchAssigned: handlers.on_branch_assigned,
        transfers.TransferRejected: handlers.on_ended,
        transfers.TransferReturned: handlers.on_ended,
        transfers.TransferWithdrawn: handlers.on_ended,
        scheduler.DayBegan: on_day_began,
    }
    commands = {
        contract.admit: handlers.admit,
        contract.mark_branches: graduation.mark_branches,
        contract.mark_members: graduation.mark_members,
        contract.issue_reset_codes: accounts.issue_reset_codes,
        contract.import_rows: imports.import_rows,
        contract.edit_members: records.edit_members,
        contract.delete_members: records.delete_members,
    }
    queries = {
        contract.sign_in: accounts.sign_in,
        contract.renew: accounts.renew,
        contract.sign_out: accounts.sign_out,
        contract.change_password: accounts.change_password,
        contract.reset_password: accounts.reset_password,
        contract.look_up: handlers.look_up,
        contract.list_members: handlers.list_members,
        contract.describe_people: handlers.describe_people,
        contract.who_am_i: handlers.who_am_i,
        contract.list_branch_marks: graduation.list_branch_marks,
        contract.get_import: imports.get_import,
        contract.where_was: records.where_was,
    }
    background = (graduation.convert_forever, imports.enter_forever)

    @classmethod
    def prepare(cls, machinery: Machinery) -> None:
        """Load the keys."""
        accounts.use(machinery.container.config["SETTINGS"].keys)
