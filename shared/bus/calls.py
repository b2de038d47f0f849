"""How calls and answers look on the wire; both ends import this."""

from __future__ import annotations

import sys
from typing import TypeVar

import msgspec

from shared.messages.decoding import MALFORMED

Read = TypeVar("Read")


class Call(msgspec.Struct, kw_only=True):
    """One call: what is asked, by whom, and until when the caller waits.

    A message bundles the calls that left together.
    """

    correlation_id: str
    name: str
    body: msgspec.Raw
    token: str = ""
    org_id: int | None = None
    request_id: str = ""
    expires_at: float = sys.float_info.max


class Answer(msgspec.Struct, array_like=True):
    """The answer to one call."""

    correlation_id: str
    body: msgspec.Raw


class Unreadable(ValueError):
    """A message that is no bundle of calls or answers.

    It has other types, is no UTF-8, or is nested deeper than anything we send.
    """


def read_calls(body: bytes) -> list[Call]:
    """Return the calls of a message.

    For a message of any other form it raises `Unreadable`, and nothing else.
    """
    return _read(_CALLS, body)


def read_answers(body: bytes) -> list[Answer]:
    """Return the answers of a message.

    For a message of any other form it raises `Unreadable`, and nothing else.
    """
    return _read(_ANSWERS, body)


_CALLS = msgspec.json.Decoder(list[Call])
_ANSWERS = msgspec.json.Decoder(list[Answer])


def _read(decoder: msgspec.json.Decoder[Read], body: bytes) -> Read:
    try:
        return decoder.decode(body)
    except MALFORMED as error:
        raise Unreadable(type(error).__name__) from None
