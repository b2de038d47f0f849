"""Contracts: every event and every call that crosses from one service to another, declared once.

Grouped by the service that owns the message. Only additive changes; anything else is a new name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

MAX_ITEMS = 500
"""The most items one message or one call carries (BEY-05)."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an event: a fact, past tense. A message carries 1..500 items of one event.

    Subclasses name `publisher` and `consumers` (services), and say in the docstring which rule
    causes them.
    """

    publisher: ClassVar[str]
    consumers: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def topic(cls) -> str:
        """Return the wire name, `transfer_requested` for `TransferRequested`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()  # before each capital but the first


def events() -> dict[str, type[Event]]:
    """Return every declared event by topic."""
    from shared.messages import federation, members, orgs, scheduler, transfers  # noqa: F401  (declares them)

    return {cls.topic(): cls for cls in Event.__subclasses__()}


class Command(msgspec.Struct, frozen=True):
    """A call that changes state: a list of 1..500 items in, one reply per item out, in the same order.

    Calls that wait at the same time are handled in one transaction. Every item carries an id chosen
    by the caller, so that a call may be repeated after a time-out: the first answer is given again.
    """

    service: str
    name: str
    item: Any
    reply: Any
    many: ClassVar[bool] = True
    public: ClassVar[bool] = False


class Query(msgspec.Struct, frozen=True):
    """A call that changes nothing but lines that say it was asked: one request, one reply.

    Attributes:
        service: Who answers it.
        name: Its name on the bus.
        item: The request's struct.
        reply: What is answered.
        public: Needs no token.
        restricted: May be asked before the initial password is changed (ACC-05).
        reads: Is asked so often that it is answered without a transaction, so its handler may only read.

    """

    service: str
    name: str
    item: Any
    reply: Any
    public: bool = False
    restricted: bool = False
    reads: bool = False
    many: ClassVar[bool] = False


class Act(Query, frozen=True):
    """One request that changes something: one person registers, redeems a code, opens or ends a session.

    It has no id of its own, so it is not sent again by itself; what it tells is published at once.
    """


def fields_of(cls: type[msgspec.Struct]) -> Iterable[str]:
    """Return the field names of a contract, in order."""
    return cls.__struct_fields__
