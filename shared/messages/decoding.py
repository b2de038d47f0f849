"""Reading what came from outside, and saying which field is wrong and what is wanted.

Whatever a decoder raises becomes one refusal, `bad_request`, with the place as a JSON pointer (RFC
6901) and words in both languages. The decoder's own words are never passed on: some hold the value,
which may be personal.
"""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any, Protocol

import msgspec

from shared.errors import Refused, both
from shared.messages.limits import PATTERNS

MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises: other types or limits, no UTF-8, nested deeper than any contract."""


class Decoder(Protocol):
    """A decoder of JSON that knows the type it reads."""

    def decode(self, text: Any, /) -> Any:
        """Return what a text says."""


def decode(decoder: Decoder, body: Any, under: str = "") -> Any:
    """Return what a body says.

    Args:
        decoder: Of the contract.
        body: JSON.
        under: Pointer to the place at which the decoder's type stands in what the caller sent.

    Raises:
        Refused: `bad_request` with `pointer` and `detail`.

    """
    try:
        return decoder.decode(body)
    except MALFORMED as error:
        raise refused(error, under) from None  # the chain would hold the body


def refused(error: Exception, under: str = "") -> Refused:
    """Return the refusal that a decoder's error is for the caller."""
    if isinstance(error, UnicodeDecodeError):
        return bad("", "须为UTF-8编码的JSON", "JSON in UTF-8 is wanted")
    if isinstance(error, RecursionError):
        return bad("", "嵌套层数过多", "nested too deeply")
    text, _, path = str(error).partition(" - at `")
    for form, zh, en in _FORMS:
        found = form.fullmatch(text)
        if found:
            return bad(
                under + _pointer(path) + (f"/{found['field']}" if "field" in form.groupindex else ""),
                zh.format(*found.groups()),
                en.format(*found.groups()),
            )
    if not isinstance(error, msgspec.ValidationError):
        return bad("", "不是完整有效的JSON", "not well-formed JSON")
    zh, en = _OTHER
    found = re.fullmatch("Expected `str` matching regex (.*)", text)
    if found:  # msgspec quotes the pattern as Python would, in whichever quotes it needs
        zh, en = PATTERNS.get(literal_eval(found[1]), _OTHER)
    return bad(under + _pointer(path), zh, en)


def bad(pointer: str, zh: str, en: str) -> Refused:
    """Return the refusal of one field, named by a JSON pointer; empty: of the whole."""
    place = pointer.lstrip("/") + ": " if pointer else ""
    return Refused("bad_request", detail=both(place + zh, place + en), pointer=pointer)


def _pointer(path: str) -> str:
    """Return msgspec's path `$.items[0].name` as the pointer `/items/0/name`."""
    return "".join(f"/{name or number}" for name, number in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path))


_OTHER = ("格式不正确", "not of the form that is wanted")
# What msgspec says, each a pattern of its whole sentence, and the words for it in both languages.
_FORMS = tuple(
    (re.compile(form), zh, en)
    for form, zh, en in (
        (r"Expected `str` of length <= (\d+)", "最多{}个字", "at most {} characters"),
        (r"Expected `str` of length >= (\d+)", "至少{}个字", "at least {} characters"),
        (r"Expected `array` of length <= (\d+)", "最多{}项", "at most {} items"),
        (r"Expected `array` of length >= (\d+)", "至少{}项", "at least {} items"),
        (r"Expected `(?:int|float)` >= (-?[\d.]+)", "不得小于{}", "at least {}"),
        (r"Expected `(?:int|float)` <= (-?[\d.]+)", "不得大于{}", "at most {}"),
        (r"Integer value out of range", "数字超出范围", "a number out of range"),
        (r"Object missing required field `(?P<field>\w+)`", "必须填写", "is required"),
        (
            r"Expected a year from (\d+) to (\d+) in `(?P<field>\w+)`",
            "年份须在{}至{}之间",
            "a year from {} to {}",
        ),
        (
            r"Expected a zone at most (\d+) hours from UTC in `(?P<field>\w+)`",
            "时区与UTC之差不得超过{}小时",
            "a zone at most {} hours from UTC",
        ),
        (r"Expected `datetime` with a timezone component", "时间须带时区", "an instant needs its zone"),
        (r"Invalid UUID", "须为UUID", "a UUID is wanted"),
        (r"Invalid RFC3339 encoded datetime", "须为RFC 3339时间", "an RFC 3339 instant is wanted"),
        (r"Invalid RFC3339 encoded date", "须为YYYY-MM-DD日期", "a date YYYY-MM-DD is wanted"),
        (r"Invalid enum value .*", "不在可选范围", "not one of the list"),
        (r"Expected `([\w |]+)`(?:, got `\w+`)?", "须为{}", "{} is wanted"),
    )
)
