"""What the orgs service tells and answers."""

from __future__ import annotations

from typing import ClassVar

from shared.messages import Event
from shared.messages.federation import PeerCode
from shared.messages.limits import (
    Digits,
    LogHash,
    Number,
    OrgId,
    PersonId,
    ToldText,
    Version,
    Word,
)


class OrgChanged(Event, frozen=True, kw_only=True):
    """An organisation as it is now, created, edited or moved (ORG-10, ORG-23, MIG-09).

    The highest version holds. `peer_code`: of one that another system keeps, its code there (FED-04).
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members", "transfers", "federation")

    org_id: OrgId
    parent_id: OrgId | None
    path: ToldText
    kind: Word
    purpose: Word
    province: Word
    system: Word
    provincial_id: OrgId | None
    vault_id: OrgId | None
    name: ToldText
    version: Version
    deleted: bool
    industry: ToldText = ""
    division_code: Digits | None = None
    peer_code: PeerCode | None = None


class AdministratorChanged(Event, frozen=True, kw_only=True):
    """A person received or lost the right over an organisation (ADM-05, ADM-06).

    The highest version holds. `observer`: the right is to look only (ROLE-10).
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members", "transfers", "federation")

    org_id: OrgId
    person_id: PersonId
    active: bool
    version: Version
    observer: bool = False


class RegistrationRefused(Event, frozen=True, kw_only=True):
    """The right that a registration code promised is not given (ADM-11).

    The organisation has its administrators already; the code is good again.
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("members",)

    org_id: OrgId
    person_id: PersonId


class OrgsLogGrew(Event, frozen=True, kw_only=True):
    """A chain of the audit log of orgs has grown to `rows` lines, with this hash (BEY-10).

    Whoever keeps it notices when lines go.
    """

    publisher: ClassVar[str] = "orgs"
    consumers: ClassVar[tuple[str, ...]] = ("scheduler",)

    lane: Number
    rows: Version
    hash: LogHash
