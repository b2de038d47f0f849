"""JSON schemas of contracts, as the OpenAPI and AsyncAPI documents print them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

Schema = dict[str, Any]
"""A JSON schema, or another piece of a document of interfaces."""


def of(types: Iterable[Any]) -> tuple[list[Schema], Schema]:
    r"""Return a schema per type, and those they refer to by name.

    Patterns end in `$`, which in a JSON schema means what `\Z` means to Python. Whole numbers are
    `int64`: our ids exceed 32 bits, and generators of clients choose too small a type where
    they are not told.
    """
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return [_printed(one) for one in schemas], {name: _printed(one) for name, one in components.items()}


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
    return made
