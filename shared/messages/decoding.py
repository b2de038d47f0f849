"""Reading what came from outside, and saying which field is wrong and what is wanted.

Whatever a decoder raises becomes one refusal, `bad_request`, with the place as a JSON pointer (RFC
6901) and words of the catalogue. The decoder's own words are never passed on: some hold the value,
which may be personal.
"""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any, Protocol

import msgspec

from shared.errors import Refused, told
from shared.messages.limits import PATTERNS
from shared.translations import N_

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
        return bad("", N_("须为UTF-8编码的JSON"))
    if isinstance(error, RecursionError):
        return bad("", N_("嵌套层数过多"))
    text, _, path = str(error).partition(" - at `")
    for form, words in _FORMS:
        found = form.fullmatch(text)
        if found:
            field = f"/{found['field']}" if "field" in form.groupindex else ""
            return bad(under + _pointer(path) + field, words, *(() if field else found.groups()))
    if not isinstance(error, msgspec.ValidationError):
        return bad("", N_("不是完整有效的JSON"))
    untimely = re.fullmatch(r"Wanted in `(\w+)`: (.*)", text, re.DOTALL)
    if untimely:
        return bad(f"{under}{_pointer(path)}/{untimely[1]}", untimely[2])
    found = re.fullmatch("Expected `str` matching regex (.*)", text)
    # msgspec quotes the pattern as Python would, in whichever quotes it needs
    return bad(under + _pointer(path), PATTERNS.get(literal_eval(found[1]), _OTHER) if found else _OTHER)


def bad(pointer: str, words: str, *values: object) -> Refused:
    """Return the refusal of one field, named by a JSON pointer; empty: of the whole.

    `words` is a text of the catalogue, `values` what is put into it.
    """
    place = (pointer.lstrip("/") + ": ",) if pointer else ()
    return Refused("bad_request", detail=told(*place, (words, *values)), pointer=pointer)


def _pointer(path: str) -> str:
    """Return msgspec's path `$.items[0].name` as the pointer `/items/0/name`."""
    return "".join(f"/{name or number}" for name, number in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path))


_OTHER = N_("格式不正确")
# What msgspec says, each a pattern of its whole sentence, and the words for it.
_FORMS = tuple(
    (re.compile(form), words)
    for form, words in (
        (r"Expected `str` of length <= (\d+)", N_("最多{}个字")),
        (r"Expected `str` of length >= (\d+)", N_("至少{}个字")),
        (r"Expected `array` of length <= (\d+)", N_("最多{}项")),
        (r"Expected `array` of length >= (\d+)", N_("至少{}项")),
        (r"Expected `(?:int|float)` >= (-?[\d.]+)", N_("不得小于{}")),
        (r"Expected `(?:int|float)` <= (-?[\d.]+)", N_("不得大于{}")),
        (r"Integer value out of range", N_("数字超出范围")),
        (r"Object missing required field `(?P<field>\w+)`", N_("必须填写")),
        (r"Expected `datetime` with a timezone component", N_("时间须带时区")),
        (r"Invalid UUID", N_("须为UUID")),
        (r"Invalid RFC3339 encoded datetime", N_("须为RFC 3339时间")),
        (r"Invalid RFC3339 encoded date", N_("须为YYYY-MM-DD日期")),
        (r"Invalid enum value .*", N_("不在可选范围")),
        (r"Expected `([\w |]+)`(?:, got `\w+`)?", N_("须为{}")),
    )
)
