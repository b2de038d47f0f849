"""The first administrator of an installation (ADM-10)."""

from __future__ import annotations

import msgspec

from shared.messages import Act, Query
from shared.messages.limits import (
    Address,
    After,
    CodeText,
    IdNumber,
    Password,
    PersonName,
    Phone,
)
from shared.messages.members.joining import Registered


class GetSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Ask, as anyone, whether the installation waits for its first administrator (ADM-10)."""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """`open` while nobody administers anything; `has_tree` once organisations were loaded."""

    open: bool
    has_tree: bool


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """Become the first administrator with the token that the installation made with its keys (ADM-10).

    `org_id` 0 is the root.
    """

    token: CodeText
    name: PersonName
    id_number: IdNumber
    phone: Phone = ""
    password: Password
    org_id: After = 0
    address: Address = ""


get_setup = Query("members", "get_setup", GetSetup, Setup, public=True)

set_up = Act("members", "set_up", SetUp, Registered, public=True)
