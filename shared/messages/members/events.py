"""What the members service tells and answers."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages import Event
from shared.messages.limits import (
    Instant,
    LogHash,
    Number,
    OrgId,
    PersonId,
    PersonName,
    TransferId,
    Version,
    Word,
    Year,
)


class MemberReserved(Event, frozen=True, kw_only=True):
    """The member is held for this transfer and for no other (TRF-02).

    With what an approver's list shows of members: the name, and what the check of the identity has found
    (MEM-19). When that is found later, this is told again; a check that has passed is never made again.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId
    name: PersonName = ""
    identity_check: Word = "unchecked"


class ReservationRefused(Event, frozen=True, kw_only=True):
    """The member cannot be held: `code` is a refusal code (MEM-01, TRF-02)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId
    code: Word


class MemberMoved(Event, frozen=True, kw_only=True):
    """The member is now in the branch; for one transfer this happens once (TRF-35)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId
    branch_id: OrgId


class RecordTaken(Event, frozen=True, kw_only=True):
    """The record that another system has handed over was opened and found right; the person may be moved.

    (FED-10, FED-14)
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId


class RecordRefused(Event, frozen=True, kw_only=True):
    """The record that another system has handed over cannot be taken: `code` says why (FED-10, FED-14)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    transfer_id: TransferId
    member_id: PersonId
    code: Word


class BranchGraduated(Event, frozen=True, kw_only=True):
    """The branch became a graduates' organisation, or is no longer one (GRAD-12, GRAD-14).

    The highest version holds.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    branch_id: OrgId
    graduate: bool
    version: Version


class GraduateChanged(Event, frozen=True, kw_only=True):
    """A member became a graduate of a branch in a year, or no longer counts as one (GRAD-12, GRAD-16).

    The highest version holds. A member who leaves as a graduate stays in the cohort, so nothing is
    told when a transfer completes (STAT-13).
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("transfers",)

    member_id: PersonId
    cohort: Year
    branch_id: OrgId
    counts: bool
    at: Instant
    version: Version


class CadreChanged(Event, frozen=True, kw_only=True):
    """A person's post in an organisation as it is now, empty for none (CADRE-04, ADM-02).

    The highest version holds. `has_phone`: whether the person's own profile has a mobile number
    (ORG-21, ORG-22).
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: OrgId
    person_id: PersonId
    post: Word
    has_phone: bool
    version: Version


class AdministratorRegistered(Event, frozen=True, kw_only=True):
    """A person has used an organisation's registration code and is to administer it (ADM-04, ADM-09)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: OrgId
    person_id: PersonId


class DeletionRefused(Event, frozen=True, kw_only=True):
    """The organisation was deleted while members were in it; it comes back (DEL-03)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs",)

    org_id: OrgId


class SessionEnded(Event, frozen=True, kw_only=True):
    """A session was ended: its tokens no longer count, anywhere.

    After `until` they would have lapsed by themselves.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("orgs", "transfers", "federation")

    session_id: UUID
    until: Instant


class MembersLogGrew(Event, frozen=True, kw_only=True):
    """A chain of the audit log of members has grown to `rows` lines, with this hash (BEY-10).

    Whoever keeps it notices when lines go.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    lane: Number
    rows: Version
    hash: LogHash
