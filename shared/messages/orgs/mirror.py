"""The directories of the three provinces' systems, as their bridges read them (FED-04, FED-06)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.messages import words
from shared.messages.limits import (
    LINE,
    Dated,
    Instant,
    Number,
    OrgName,
    Phone,
    Version,
    Word,
    maybe,
)

PeerCode = Annotated[
    str, Meta(max_length=60, pattern=LINE, description="an organisation's code in its own system")
]


class PeerOrg(Dated, frozen=True, kw_only=True):
    """An organisation as its own system describes it.

    `parent_code`: of its superior there, empty right below the province. `changed`: when that system
    changed it last. `gone`: it is no more.
    """

    code: PeerCode
    parent_code: PeerCode = ""
    kind: Word
    full_name: OrgName
    short_name: OrgName = ""
    phone: Phone = ""
    changed: Instant
    gone: bool = False


class DirectoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a peer's directory; pages may come twice and in any order.

    `reading`: of several the highest number is the newest. `page`: from 0; `last`: there are no more.
    `full`: the reading is of the whole directory, so that what it has not is gone there.
    """

    system: Annotated[str, maybe(words.System)]
    reading: Version
    page: Number = 0
    last: bool = False
    full: bool = False
    orgs: Annotated[list[PeerOrg], Meta(max_length=500, description="organisations of the page")]
