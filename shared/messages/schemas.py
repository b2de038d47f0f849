"""JSON schemas of contracts, as the OpenAPI and AsyncAPI documents print them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shared.messages.words import Code

Schema = dict[str, Any]
"""A JSON schema, or another piece of a document of interfaces."""


def of(types: Iterable[Any]) -> tuple[list[Schema], Schema]:
    r"""Return a schema per type, and those they refer to by name.

    Patterns end in `$`, which in a JSON schema means what `\Z` means to Python. Whole numbers are
    `int64`: our ids exceed 32 bits, and generators of clients choose too small a type where
    they are not told. Every code is a text.
    """
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    lists = {one.__name__: one for one in Code.__subclasses__()}
    return [_printed(one) for one in schemas], {
        name: _explained(_printed(one), lists[name]) if name in lists else _printed(one)
        for name, one in components.items()
    }


def _explained(schema: dict[str, Any], codes: type[Code]) -> dict[str, Any]:
    """Return the schema of a list of codes with the words of each."""
    said = [schema["description"].partition("\n\n")[0], ""]
    said += [f"- `{one}`: {one.zh}, {one.en}" for one in codes]
    return {**schema, "description": "\n".join(said)}


def _printed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_printed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _printed(value) for key, value in schema.items()}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].replace(r"\Z", "$")
    if made.get("type") == "integer":
        made.setdefault("format", "int64")
    if "enum" in made:
        made.setdefault("type", "string")
    return made
