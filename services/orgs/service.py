"""The orgs service on the bus."""

from __future__ import annotations

from services.orgs import handlers, settings, store
from services.orgs.history import handlers as history
from services.orgs.log import log
from services.orgs.migration import handlers as migration
from services.orgs.mirror import handlers as mirror
from services.orgs.naming import handlers as naming
from services.orgs.order import handlers as order
from services.orgs.search import handlers as search
from shared import sessions_ended
from shared.bus.service import BusService
from shared.messages import federation, members, scheduler, transfers
from shared.messages import orgs as contract


class Service(BusService):
    """Owns the organisation tree and its administrators."""

    name = "orgs"
    read_settings = staticmethod(settings.read)
    events = {
        members.SessionEnded: sessions_ended.on_session_ended,
        members.CadreChanged: handlers.on_cadre_changed,
        members.AdministratorRegistered: handlers.on_administrator_registered,
        members.BranchGraduated: handlers.on_branch_graduated,
        members.DeletionRefused: handlers.on_taken_back,
        transfers.OrgInUse: handlers.on_taken_back,
        scheduler.DayBegan: migration.on_day_began,
        federation.DirectoryRead: mirror.on_directory_read,
    }
    commands = {
        contract.save_orgs: handlers.save_orgs,
        contract.check_orgs: handlers.check_orgs,
        contract.set_school_numbers: handlers.set_school_numbers,
        contract.delete_orgs: handlers.delete_orgs,
        contract.order_orgs: order.order_orgs,
        contract.rebuild_names: naming.rebuild_names,
        contract.set_administrators: handlers.set_administrators,
        contract.request_migrations: migration.request_migrations,
        contract.decide_migrations: migration.decide_migrations,
    }
    queries = {
        contract.search_orgs: search.search_orgs,
        contract.find_to_join: search.find_to_join,
        contract.list_places: search.list_places,
        contract.get_orgs: handlers.get_orgs,
        contract.preview_names: naming.preview_names,
        contract.get_rebuild: naming.get_rebuild,
        contract.list_children: handlers.list_children,
        contract.list_above: handlers.list_above,
        contract.list_administrators: handlers.list_administrators,
        contract.my_orgs: handlers.my_orgs,
        contract.list_contacts: handlers.list_contacts,
        contract.list_migrations: migration.list_migrations,
        contract.preview_migration: migration.preview_migration,
        contract.get_orgs_at: history.get_orgs_at,
        contract.list_audit: history.list_audit,
    }
    standing = staticmethod(store.standing)
    loops = (migration.MOVE, naming.REBUILD, log.loop)
