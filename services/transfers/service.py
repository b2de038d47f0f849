"""The transfers service on the bus."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.transfers import handlers, in_the_way, settings, store
from services.transfers.adviser import handlers as adviser
from services.transfers.bulk import handlers as bulk
from services.transfers.crossings import handlers as crossings
from services.transfers.figures import handlers as figures
from services.transfers.log import log
from services.transfers.notices import handlers as notices
from services.transfers.policies import handlers as policies
from services.transfers.policies import reader
from services.transfers.policies import store as policies_store
from services.transfers.queue import handlers as queue
from services.transfers.remarks import handlers as remarks
from services.transfers.saga import NODES, TRANSITIONS
from shared import clock, directory, metrics, sessions_ended, standing
from shared.bus.service import BusService, Machinery
from shared.messages import federation, members, orgs, scheduler
from shared.messages import transfers as contract

_DECIDED_BY = {
    str(node): {
        handlers.DECIDED_BY[one] for state, one in TRANSITIONS if state == node and one in handlers.DECIDED_BY
    }
    for node in NODES
}
"""Who may decide each kind of node."""


class Service(BusService):
    """Owns the saga: requests, nodes, decisions, policies."""

    name = "transfers"
    read_settings = staticmethod(settings.read)
    events = {
        members.SessionEnded: sessions_ended.on_session_ended,
        orgs.OrgChanged: handlers.on_org_changed,
        orgs.AdministratorChanged: directory.on_administrator_changed,
        members.MemberReserved: handlers.on_member_reserved,
        members.ReservationRefused: handlers.on_reservation_refused,
        members.MemberMoved: handlers.on_member_moved,
        members.GraduateChanged: handlers.on_graduate_changed,
        scheduler.DeadlineExpired: handlers.on_deadline_expired,
        scheduler.ReminderDue: handlers.on_reminder_due,
        members.RecordTaken: crossings.on_record_taken,
        members.RecordRefused: crossings.on_record_refused,
        federation.PeerRequested: crossings.on_peer_requested,
        federation.PeerCalledOff: crossings.on_peer_called_off,
        federation.ArrivalGivenUp: crossings.on_arrival_given_up,
        federation.RemoteReceipted: crossings.on_remote_receipted,
        federation.RemoteProgress: crossings.on_remote_progress,
        federation.RemoteAccepted: crossings.on_remote_accepted,
        federation.RemoteRefused: crossings.on_remote_refused,
        federation.RemoteIntegrated: crossings.on_remote_integrated,
        federation.RemoteSentBack: crossings.on_remote_sent_back,
    }
    commands = {
        contract.request_transfers: handlers.request_transfers,
        contract.move_batches: handlers.move_batches,
        contract.decide_nodes: handlers.decide_nodes,
        contract.withdraw_transfers: handlers.withdraw_transfers,
        contract.assign_branches: handlers.assign_branches,
        contract.start_bulks: bulk.start_bulks,
        contract.stop_bulks: bulk.stop_bulks,
        contract.save_views: queue.save_views,
        contract.drop_views: queue.drop_views,
        contract.keep_phrases: queue.keep_phrases,
        contract.drop_phrases: queue.drop_phrases,
        contract.urge_transfers: remarks.urge_transfers,
        contract.urge_below: remarks.urge_below,
        contract.look_at_nodes: remarks.look_at_nodes,
        contract.restart_transfers: remarks.restart_transfers,
        contract.escalate_transfers: remarks.escalate_transfers,
        contract.answer_escalations: remarks.answer_escalations,
        contract.mark_messages: notices.mark_messages,
        contract.set_webhooks: notices.set_webhooks,
    }
    queries = {
        contract.count_open_below: in_the_way.count_open_below,
        contract.count_in_the_way: in_the_way.count_in_the_way,
        contract.list_work: handlers.list_work,
        contract.count_work: queue.count_work,
        contract.list_habits: queue.list_habits,
        contract.plan_assignment: queue.plan_assignment,
        contract.get_transfer: handlers.get_transfer,
        contract.get_batch: handlers.get_batch,
        contract.my_transfers: handlers.my_transfers,
        contract.list_started: handlers.list_started,
        contract.count_transfers: handlers.count_transfers,
        contract.count_matching: bulk.count_matching,
        contract.get_bulk: bulk.get_bulk,
        contract.list_escalations: remarks.list_escalations,
        contract.list_messages: notices.list_messages,
        contract.list_webhooks: notices.list_webhooks,
        contract.get_figures: figures.get_figures,
        contract.list_behind: figures.list_behind,
        contract.get_board: figures.get_board,
        contract.advise: adviser.advise,
        contract.get_policy: policies.get_policy,
        contract.list_audit: log.answer,
    }
    standing = staticmethod(standing.with_rights)
    loops = (handlers.EARLY, figures.FOLD, bulk.WORK_OFF, notices.SEND, log.loop)

    @classmethod
    def prepare(cls, machinery: Machinery) -> None:
        """Let the first policy hold, unless one does."""
        with machinery.database.transaction() as tx:
            store.save_path_steps(tx)
            policies_store.save_known(tx)
            if not policies_store.history(tx):
                first = reader.read(settings.of(tx).policy)
                policies_store.hold(tx, first, clock.now())

    @staticmethod
    def gauges(tx: Connection) -> list[metrics.Reading]:
        """Return how many nodes wait where, since when, and how late deadlines are."""
        now = clock.now()
        found: list[metrics.Reading] = []
        for waiting in store.backlog(tx):
            where = (waiting.province, waiting.state)
            found.append((metrics.OPEN_NODES, where, waiting.n))
            for who in _DECIDED_BY.get(waiting.state, ()):
                metrics.APPROVAL_SECONDS.labels(*where, who)  # from 0, before the first is decided
        for row in store.ages(tx):
            found.append((metrics.OLDEST_NODE, (row.province,), metrics.seconds_since(row.opened_at, now)))
            found.append(
                (metrics.DEADLINE_OVERDUE, (row.province,), metrics.seconds_since(row.expires_at, now))
            )
        return found
