"""What members tells the bridges of people who go to another system or come from one (FED-10, FED-14).

Who they are stands only in what is sealed for the other system's registry: a bridge carries it and cannot
open it.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from shared.messages import Event, Query
from shared.messages.federation import Jwe, Subject
from shared.messages.limits import Instant, OrgId, OrgName, PersonId, TransferId, Word


class MemberOffered(Event, frozen=True, kw_only=True):
    """Who is to go to another system, sealed for its registry: the bridge makes the offer (FED-10).

    The answer to `RemoteOpened`, whose fields are handed on.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    transfer_id: TransferId
    peer: Word
    source_branch_id: OrgId
    target_org_id: OrgId
    target_name: OrgName
    reason: Word
    started_at: Instant
    answer_by: Instant | None
    person: Jwe


class RecordSealed(Event, frozen=True, kw_only=True):
    """The record of somebody whom another system takes, sealed for its registry; here it is frozen (FED-10).

    The answer to `HandoverOpened`.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    transfer_id: TransferId
    peer: Word
    record: Jwe


class ArrivalKnown(Event, frozen=True, kw_only=True):
    """Somebody whom another system offers may come; members has the person (FED-08, FED-14)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    subject: Subject
    peer: Word
    member_id: PersonId


class HomeTold(Event, frozen=True, kw_only=True):
    """Where somebody is whose transfer has ended (BEY-16).

    `home`: `here`; `there`, in a branch of that peer; `elsewhere`, in another system or in no branch;
    `moving`, held by a transfer; `nobody`, not known.
    """

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    subject: Subject
    peer: Word
    asked_at: Instant
    home: Word


class ArrivalUnfit(Event, frozen=True, kw_only=True):
    """Somebody whom another system offers cannot come: `code` is one of a bridge's reasons (FED-14)."""

    publisher: ClassVar[str] = "members"
    consumers: ClassVar[tuple[str, ...]] = ("federation",)

    subject: Subject
    peer: Word
    code: Word


class GetRegistryKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how long the keys last that registries are sealed for (BEY-16).

    For administrators and observers of the root organisation.
    """


class RegistryKey(msgspec.Struct, frozen=True, kw_only=True):
    """For how many whole days there is a key to seal for a system's registry, ours too; 0: there is none."""

    peer: str
    days_left: int


get_registry_keys = Query("members", "get_registry_keys", GetRegistryKeys, list[RegistryKey])
