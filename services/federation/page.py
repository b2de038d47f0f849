"""Prints docs/federation.md: all that somebody needs who writes the other side of a bridge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from services.federation import directory, protocol, schemas
from services.federation.protocol import Heard, Receiver, Sender, State, Type, Word
from services.federation.schemas import DATA, FAULTS
from shared.messages import limits, sealed
from shared.messages.words import BridgeReason, OrgKind

TEXT = Path(__file__).with_name("page.md")
"""The words of the page; `<name>` stands for what is printed there from the code."""


def page() -> str:
    """Return the page."""
    printed: dict[str, Iterable[str]] = {
        "envelope": _fields(schemas.Envelope),
        "never": [", ".join(f"`{kind.value}`" for kind in protocol.MUST_ARRIVE)],
        "receipt": _fields(schemas.Receipt),
        "faults": _faults(),
        "token": _fields(schemas.Token),
        "manifest": _fields(schemas.Manifest),
        "bucket": _fields(schemas.Bucket),
        "lines": _fields(schemas.Lines),
        "line": _fields(schemas.Line),
        "homes": _fields(schemas.Homes),
        "homeline": _fields(schemas.HomeLine),
        "outcomes": ["; ".join(_outcomes())],
        "org": _fields(directory.Org),
        "kinds": ["; ".join(_kinds())],
        "acts": _acts(),
        "hears": _hears(),
        "here": [_states(protocol.HERE)],
        "there": [_states(protocol.THERE)],
        "diagram": _diagram(),
        "data": _data(),
        "person": _fields(sealed.SealedPerson),
        "record": _fields(sealed.SealedRecord),
        "stay": _fields(sealed.SealedStay),
        "reasons": (f"| `{one}` | {one.en} | {one.zh} |" for one in BridgeReason),
    }
    return re.sub(r"<(\w+)>", lambda place: "\n".join(printed[place[1]]), TEXT.read_text("utf-8"))


def _states(states: Sequence[State]) -> str:
    return ", ".join(f"`{state.value}`" for state in states)


def _side(state: State) -> str:
    return "sender" if isinstance(state, Sender) else "receiver"


def _code(word: Enum | None) -> str:
    return f"`{word.value}`" if word is not None else ""


def _outcomes() -> Iterator[str]:
    for outcome in schemas.Outcome:
        states = [f"{_side(one)} {_code(one)}" for one, what in schemas.OUTCOMES.items() if what is outcome]
        yield f"{_code(outcome)} for {', '.join(states)}"


def _acts() -> Iterator[str]:
    yield "| side | state | act | says | leads to | needs | not after |"
    yield "|---|---|---|---|---|---|---|"
    for (state, what), step in protocol.SENDS.items():
        cells = (_side(state), *map(_code, (state, what, step.says, step.to, step.needs, step.unless)))
        yield f"| {' | '.join(cells)} |"


def _hears() -> Iterator[str]:
    yield "| side | state | hears | leads to | answers |"
    yield "|---|---|---|---|---|"
    for (state, word), step in protocol.HEARS.items():
        leads, says = "nothing", ""
        if isinstance(step, Heard):
            leads, says = _code(step.to), _code(step.says)
        if isinstance(step, Heard) and step.unless:
            leads += f"; after {_code(step.unless)} nothing"
            says += f"; after {_code(step.unless)} {_code(Word.STATUS)}"
        yield f"| {_side(state)} | {_code(state)} | {_code(word)} | {leads} | {says} |"


def _kinds() -> Iterator[str]:
    for kind in OrgKind:
        words = [word for word, what in directory.KINDS.items() if what == kind and word != kind]
        yield f"{_code(kind)} is also {', '.join(words)}"


def _faults() -> Iterator[str]:
    for fault, refusal in FAULTS.items():
        again, counts = ("yes" if one else "no" for one in (refusal.again, refusal.counts))
        yield f"| `{fault.value}` | {again} | {counts} | {refusal.means} |"


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    for side in (Sender, Receiver):
        yield f"    state {side.__name__.lower()} {{"
        prefix = side.__name__[0].lower() + "_"
        for state in side:
            yield f"        {prefix}{state.value} : {state.value}"
        for (state, what), sent in protocol.SENDS.items():
            if isinstance(state, side) and state is not sent.to:
                yield f"        {prefix}{state.value} --> {prefix}{sent.to.value}: {what.value}"
        for (state, word), heard in protocol.HEARS.items():
            if isinstance(state, side) and isinstance(heard, Heard) and state is not heard.to:
                yield f"        {prefix}{state.value} --> {prefix}{heard.to.value}: hears {word.value}"
        yield "    }"


def _data() -> Iterator[str]:
    for kind in Type:
        said = (DATA[kind].__doc__ or "").split("\n\n")
        yield f"### `{kind.value}`\n"
        yield " ".join(" ".join(said).split()) + "\n"
        yield from _fields(DATA[kind])
        yield ""
    yield "An organisation is an object:\n"
    yield from _fields(schemas.Organisation)


def _fields(kind: type[msgspec.Struct]) -> Iterator[str]:
    yield "| field | value | needed |"
    yield "|---|---|---|"
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)
    for field in found.fields:
        yield f"| `{field.encode_name}` | {_value(field.type)} | {'yes' if field.required else 'no'} |"


def _value(found: inspect.Type) -> str:
    match found:
        case inspect.Metadata():
            said = (found.extra_json_schema or {}).get("description")
            if said and isinstance(found.type, inspect.ListType):
                return f"{_value(found.type)}; {said}"
            return said + _limits(found.type) if said else _value(found.type)
        case inspect.UnionType():
            kinds = [_value(one) for one in found.types if not isinstance(one, inspect.NoneType)]
            return " or ".join([*kinds, "`null`"] if len(kinds) < len(found.types) else kinds)
        case inspect.LiteralType():
            return " or ".join(f"`{value}`" for value in found.values)
        case inspect.EnumType():
            return ", ".join(f"`{one.value}`" for one in found.cls)
        case inspect.StructType():
            return "an object, below" if found.cls is schemas.Organisation else "as below"
        case inspect.BoolType():
            return "true or false"
        case inspect.ListType():
            return f"a list, at most {found.max_length}, each as below"
    return "an object, by its type" if isinstance(found, inspect.RawType) else _limits(found)


_LETTERS = {
    limits.WORD: "of `A-Z a-z 0-9 _`",
    limits.OPAQUE: "of `A-Z a-z 0-9 . _ ~ = + / : -`",
    limits.LINE: "one line without control characters",
    limits.PROSE: "without control characters but line feeds",
}


def _limits(found: Any) -> str:
    """Return how long a text may be, and of what; in the column of values."""
    if not isinstance(found, inspect.StrType):
        return ""
    said = [_LETTERS[found.pattern]] if found.pattern in _LETTERS else []
    if found.min_length:
        said.append(f"at least {found.min_length} characters")
    if found.max_length:
        said.append(f"at most {found.max_length} characters")
    return "".join(f", {one}" for one in said)


if __name__ == "__main__":
    print(page(), end="")
