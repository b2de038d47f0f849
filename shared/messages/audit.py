"""What every service with an audit log answers about it; root and provinces may ask (BEY-10)."""

from __future__ import annotations

import datetime as dt

import msgspec

from shared.messages.limits import Cursor, Dated, Instant, LogKind, OrgId, PageSize, PersonId


class ListAudit(Dated, frozen=True, kw_only=True):
    """Ask for lines of the audit log, newest first.

    `kind` is a kind or what stands before its dot, `person_id` who did it, `about` whom it
    concerns, `place_id` the organisation that it happened to; `after` is the cursor of the last
    line of the page before.
    """

    kind: LogKind = ""
    person_id: PersonId | None = None
    about: PersonId | None = None
    place_id: OrgId | None = None
    since: Instant | None = None
    until: Instant | None = None
    after: Cursor = ""
    limit: PageSize = 100


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: who, acting for whom, what, to whom and where, and how it was before and is now.

    `kind` is text, an `AuditKind`, since a file of the log keeps the words of machines.
    `person_id` None: the system; `before` and `after` are JSON.
    """

    service: str
    lane: int
    seq: int
    at: dt.datetime
    kind: str
    person_id: int | None
    org_id: int | None
    place_id: int | None
    persons: list[int]
    ref: str
    before: str | None
    after: str | None
    note: str
    request_id: str
    cursor: str
