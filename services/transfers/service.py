"""The transfers service on the bus."""
from __future__ import annotations

import os
from typing import Any

from sqlalchemy.engine import Connection

from services.transfers import handlers, policies, store
from shared import directory, metrics, sessions_ended
from shared.bus.service import BusService, Machinery
from shared.messages import members, orgs, scheduler
from shared.messages import transfers as contract


class Service(BusService):
    """Owns the saga: requests, nodes, decisions, policies."""

    name = "transfers"
    events = {
        members.SessionEnded: sessions_ended.on_session_ended,
        orgs.OrgChanged: handlers.on_org_changed,
        orgs.AdministratorChanged: directory.on_administrator_changed,
        members.MemberReserved: handlers.on_member_reserved,
        members.ReservationRefused: handlers.on_reservation_refused,
        members.MemberMoved: handlers.on_member_moved,
        scheduler.DeadlineExpired: handlers.on_deadline_expired,
        scheduler.ReminderDue: handlers.on_reminder_due,
    }
    commands = {
        contract.request_transfers: handlers.request_transfers,
        contract.decide_nodes: handlers.decide_nodes,
        contract.withdraw_transfers: handlers.withdraw_transfers,
        contract.assign_branches: handlers.assign_branches,
    }
    queries = {
        contract.list_work: handlers.list_work,
        contract.get_transfer: handlers.get_transfer,
        contract.my_transfers: handlers.my_transfers,
        contract.list_started: handlers.list_started,
        contract.count_transfers: handlers.count_transfers,
    }

    @classmethod
    def prepare(cls, machinery: Machinery) -> None:
        """Load the policy that new transfers start with."""
        handlers.context.policy = policies.read(os.environ.get("TUANQIAO_POLICY") or "national")
        handlers.context.verifier = machinery.verifier
        with machinery.database.transaction() as tx:
            store.save_path_steps(tx, policies.path_steps(handlers.context.policy))

    @staticmethod
    def gauges(tx: Connection) -> None:
        """Bring the backlog gauge up to date before a scrape."""
        metrics.OPEN_NODES.clear()
        row: Any
        for row in store.backlog(tx):
            metrics.OPEN_NODES.labels(row.province, row.state).set(row.n)
