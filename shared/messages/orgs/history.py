"""Organisations and rights at any date, the audit log (BEY-09, BEY-10)."""

from __future__ import annotations

import msgspec

from shared.messages import Query, words
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.limits import (
    Dated,
    Day,
    OrgIds,
)


class GetOrgsAt(Dated, frozen=True, kw_only=True):
    """Ask how organisations, at most 500, were at the end of a day (BEY-09)."""

    org_ids: OrgIds
    on: Day


class Superior(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation above another, with its name of that day."""

    org_id: int
    full_name: str


class OrgAt(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as it was: names, kind, superiors, and who had the right over it (BEY-09).

    `superiors`: all above it, the direct one first.
    """

    org_id: int
    kind: words.OrgKind
    purpose: words.OrgPurpose
    short_name: str
    full_name: str
    superiors: list[Superior]
    administrators: list[int]
    observers: list[int]


get_orgs_at = Query("orgs", "get_orgs_at", GetOrgsAt, list[OrgAt])

list_audit = Query("orgs", "list_audit", ListAudit, list[AuditLine])
