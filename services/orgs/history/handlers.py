"""What people ask of the past: organisations and rights at any date, and the audit log (BEY-09, BEY-10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from services.orgs import domain, store
from services.orgs.log import administrators_at, log, orgs_at, superiors_at
from shared import audit, clock
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import orgs as contract
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.orgs import OrgAt, Superior


def get_orgs_at(tx: Connection, request: contract.GetOrgsAt, actor: Actor | None) -> list[OrgAt]:
    """Return organisations as they were at the end of a day (BEY-09).

    All above them and who administered them stand with them. Names of organisations are no personal
    data, and who administers one may be read by whoever is signed in, so this may, too.
    Organisations that were not there on that day are left out.

    Raises:
        Refused: `too_many_items`.

    """
    refusal = domain.check_count(len(request.org_ids))
    if refusal is not None:
        raise Refused.of(refusal)
    # the last instant of the day in China
    at = datetime.combine(request.on + timedelta(days=1), time(), clock.CHINA) - timedelta(microseconds=1)
    found = orgs_at(tx, request.org_ids, at)
    above = superiors_at(tx, found, at)
    holders = administrators_at(tx, list(found), at)
    return [
        _shown(org_id, found[org_id], above[org_id], holders.get(org_id, {}))
        for org_id in request.org_ids
        if org_id in found
    ]


def _shown(
    org_id: int, org: Mapping[str, Any], above: Sequence[tuple[int, str]], rights: Mapping[int, bool]
) -> OrgAt:
    """Return an organisation of a day as the contract shows it.

    `rights` says of each person with a right whether it was to look only.
    """
    return OrgAt(
        org_id=org_id,
        kind=org["kind"],
        purpose=org["purpose"],
        short_name=org["short_name"],
        full_name=org["full_name"],
        superiors=[Superior(org_id=one, full_name=name) for one, name in above],
        administrators=[person for person, observer in rights.items() if not observer],
        observers=[person for person, observer in rights.items() if observer],
    )


def list_audit(tx: Connection, request: ListAudit, actor: Actor | None) -> list[AuditLine]:
    """Return lines of the audit log of orgs (BEY-10).

    The centre reads all of them, a provincial body those that concern its province.

    Raises:
        Refused: `not_administrator`, `audit_by_province`, `bad_request` for an invalid cursor.

    """
    org = store.by_ids(tx, [actor.org_id]).get(actor.org_id or 0) if actor is not None else None
    refusal = domain.check_administrator(org is not None and store.administers(tx, actor))
    if refusal is not None:
        raise Refused.of(refusal)
    return audit.page(tx, log.service, audit.province_of(org), request)
