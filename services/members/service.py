"""The members service on the bus."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.members import handlers, settings
from services.members.accounts import captcha
from services.members.accounts import handlers as accounts
from services.members.accounts import store as accounts_store
from services.members.crossings import handlers as crossings
from services.members.crossings import homes, seals
from services.members.entering import handlers as entering
from services.members.entering import imports
from services.members.founding import handlers as founding
from services.members.graduation import handlers as graduation
from services.members.identity import handlers as identity
from services.members.joining import handlers as joining
from services.members.letters import handlers as letters
from services.members.lists import composition, inside
from services.members.lists import handlers as lists
from services.members.log import log
from services.members.posts import handlers as posts
from services.members.records import handlers as records
from services.members.records import showing
from services.members.retentions import handlers as retentions
from shared import clock, directory, metrics, standing
from shared.bus.service import BusService, Machinery
from shared.messages import federation, orgs, scheduler, transfers
from shared.messages import members as contract


def on_day_began(tx: Connection, items: list[scheduler.DayBegan]) -> None:
    """Do what is done daily."""
    graduation.on_day_began(tx, items)
    imports.on_day_began(tx, items)
    joining.on_day_began(tx, items)
    identity.on_day_began(tx, items)
    lists.on_day_began(tx, items)
    crossings.on_day_began(tx, items)
    accounts_store.forget_sign_ins(tx, clock.now())


class Service(BusService):
    """Owns people, accounts, posts, membership and its history."""

    name = "members"
    read_settings = staticmethod(settings.read)
    events = {
        orgs.OrgChanged: handlers.on_org_changed,
        orgs.AdministratorChanged: directory.on_administrator_changed,
        orgs.RegistrationRefused: joining.on_registration_refused,
        federation.ArrivalOffered: crossings.on_arrival_offered,
        transfers.TransferRequested: handlers.on_transfer_requested,
        transfers.BranchAssigned: handlers.on_branch_assigned,
        transfers.TransferRejected: handlers.on_ended,
        transfers.TransferReturned: handlers.on_ended,
        transfers.TransferWithdrawn: handlers.on_ended,
        transfers.RemoteOpened: crossings.on_remote_opened,
        transfers.HandoverOpened: crossings.on_handover_opened,
        transfers.ArrivalAnswered: crossings.on_arrival_answered,
        federation.ArrivalDropped: crossings.on_arrival_dropped,
        federation.RecordCame: crossings.on_record_came,
        federation.HomeWanted: homes.on_home_wanted,
        federation.HomeCorrected: homes.on_home_corrected,
        scheduler.DayBegan: on_day_began,
    }
    commands = {
        contract.admit: entering.admit,
        contract.mark_branches: graduation.mark_branches,
        contract.mark_members: graduation.mark_members,
        contract.issue_reset_codes: accounts.issue_reset_codes,
        contract.import_rows: imports.import_rows,
        contract.edit_members: records.edit_members,
        contract.request_deletions: records.request_deletions,
        contract.delete_members: records.delete_members,
        contract.set_posts: posts.set_posts,
        contract.issue_registration_codes: joining.issue_registration_codes,
        contract.decide_registrations: joining.decide_registrations,
        contract.request_retentions: retentions.request_retentions,
        contract.decide_retentions: retentions.decide_retentions,
        contract.issue_letters: letters.issue_letters,
        contract.void_letters: letters.void_letters,
    }
    queries = {
        contract.get_captcha: captcha.get_captcha,
        contract.get_setup: founding.get_setup,
        contract.set_up: founding.set_up,
        contract.sign_in: accounts.sign_in,
        contract.renew: accounts.renew,
        contract.sign_out: accounts.sign_out,
        contract.change_password: accounts.change_password,
        contract.reset_password: accounts.reset_password,
        contract.list_sessions: accounts.list_sessions,
        contract.end_sessions: accounts.end_sessions,
        contract.register_administrator: joining.register_administrator,
        contract.redeem_code: joining.redeem_code,
        contract.register: joining.register,
        contract.list_registrations: joining.list_registrations,
        contract.list_cadres: posts.list_cadres,
        contract.get_composition: composition.get_composition,
        contract.count_inside: inside.count_inside,
        contract.look_up: showing.look_up,
        contract.list_members: showing.list_members,
        contract.describe_people: showing.describe_people,
        contract.who_am_i: showing.who_am_i,
        contract.get_profile: showing.get_profile,
        contract.list_branch_marks: graduation.list_branch_marks,
        contract.get_import: imports.get_import,
        contract.where_was: records.where_was,
        contract.get_registry_keys: crossings.get_registry_keys,
        contract.search_members: lists.search_members,
        contract.reveal_ids: lists.reveal_ids,
        contract.export_members: lists.export_members,
        contract.list_below: lists.list_below,
        contract.note_export: lists.note_export,
        contract.get_report: lists.get_report,
        contract.get_entry_progress: lists.get_entry_progress,
        contract.list_retentions: retentions.list_retentions,
        contract.list_letters: letters.list_letters,
        contract.print_letter: letters.print_letter,
        contract.check_letter: letters.check_letter,
        contract.list_audit: log.answer,
    }
    standing = staticmethod(standing.among_our_own)

    @staticmethod
    def gauges(tx: Connection) -> list[metrics.Reading]:
        """Return what was counted today, and how long the registries' keys last."""
        return [*lists.gauges(tx), *seals.gauges(settings.of(tx).peers, clock.now())]

    loops = (graduation.CONVERT, imports.ENTER, identity.CHECK, log.loop)

    @classmethod
    def prepare(cls, machinery: Machinery) -> None:
        """Load the keys of this installation; they may be wrong, and that shows here."""
        accounts.use(machinery.container.config["SETTINGS"].keys)
