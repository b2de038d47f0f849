"""How calls and answers look on the wire; both ends import this."""
from __future__ import annotations

import sys

import msgspec


class Call(msgspec.Struct, kw_only=True):
    """One call: what is asked, by whom, until when the caller waits. A message bundles the calls that left together."""

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


read_calls = msgspec.json.Decoder(list[Call]).decode
read_answers = msgspec.json.Decoder(list[Answer]).decode
