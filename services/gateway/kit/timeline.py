"""What happens step by step, as the timeline of the kit shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from shared.messages.words import Code


class Phone(str):
    """A telephone number in a line, which can be called by a tap."""

    is_phone = True


class Step(NamedTuple):
    """A step of a timeline.

    `style` is done, open, failed, stopped or ahead; `tag` what went wrong; `where` the organisation, and
    `typed` the system and the name of one that only that system knows (FED-06), empty for none.
    A line is of words and instants; these are told relative to now.
    `sources` are the rules behind it and what holds them.
    """

    style: str
    title: str
    at: datetime | None = None
    tag: Code | str = ""
    where: Any = None
    typed: tuple[str, str] | tuple[()] = ()
    phone: str = ""
    lines: tuple[tuple[str | datetime, ...], ...] = ()
    sources: tuple[str, ...] = ()
