"""The OpenAPI 3.1 document, made from the table of routes and the contracts themselves."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from typing import Any, get_origin

from services.gateway.api.routes import ROUTES, Route
from services.gateway.files import xlsx
from shared.messages import MAX_ITEMS
from shared.messages import schemas as schemas_of
from shared.messages.limits import MAX_ID
from shared.messages.schemas import Schema
from shared.translations import english

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "message", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "pointer": {
            "type": "string",
            "description": "the field of the request that is wrong, as a JSON pointer (RFC 6901)",
        },
        "rule": {"type": "string"},
        "request_id": {"type": "string"},
        "message": {"type": "object", "properties": {"zh": {"type": "string"}, "en": {"type": "string"}}},
    },
}


REFUSAL = {
    "type": "object",
    "description": (
        "Why one item was refused. Of the items of a command with rule and words;"
        " inside lists of an answer the code with its values."
    ),
    "required": ["code"],
    "properties": {
        "code": {"type": "string"},
        "rule": {"type": "string", "description": "the rule of the catalogue, where there is one"},
        "message": {"type": "object", "properties": {"zh": {"type": "string"}, "en": {"type": "string"}}},
        "values": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


_PARAMETERS: dict[Any, Schema] = {
    int: {"type": "integer", "format": "int64"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    datetime.fromisoformat: {"type": "string", "format": "date-time"},
    date.fromisoformat: {"type": "string", "format": "date"},
    "int": {"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_ID},
    "uuid": {"type": "string", "format": "uuid"},
}


def _types() -> list[Any]:
    return [
        kind
        for route in ROUTES
        for kind in (
            route.contract.item,
            list[route.contract.reply] if route.contract.many else route.contract.reply,  # type: ignore[name-defined]
        )
    ]


_ABOUT = (
    "组织树、团员名册与组织关系转接。"
    "Organisation tree, member registry and transfers.\n\n"
    f"Lists in, lists out: a command takes up to {MAX_ITEMS} items and answers each."
    " Every item carries an id of the caller's choice (`command_id`, `decision_id`):"
    " repeating a call with the same ids does nothing twice."
    " `X-Acting-Org` names the organisation for which an administrator acts."
    " Errors are problem documents (RFC 9457)."
)


@cache
def document() -> Schema:
    """Return the document; every route is an operation, every contract a schema."""
    schemas, components = schemas_of.of(_types())
    paths: dict[str, Schema] = {}
    for number, route in enumerate(ROUTES):
        path = "/api/v1" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)
        # `_types` gives two schemas for each route: what it takes and what it answers
        asked, reply = schemas[2 * number], schemas[2 * number + 1]
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, asked, reply, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tuanqiao", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "schemas": {**components, "Refusal": REFUSAL, "Problem": PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: Route, request: Schema, reply: Schema, components: Schema) -> Schema:
    fields = components.get(request.get("$ref", "").rsplit("/", 1)[-1], {}).get("properties", {})
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation: Schema = {
        "operationId": _name(route),
        "summary": f"{route.summary} · {english(route.summary)}",
        "tags": [route.contract.service],
        "parameters": _parameters(route, fields),
        "responses": {
            "200": {"description": "OK", "content": _content(route, reply)},
            "default": {"description": "Problem", "content": problem},
        },
    }
    if route.method == "POST":
        body = request
        if route.contract.many:
            items = {"type": "array", "items": request, "minItems": 1, "maxItems": MAX_ITEMS}
            body = _wrap("items", items)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if route.contract.public:
        operation["security"] = []
    return operation


def _parameters(route: Route, fields: Schema) -> list[Schema]:
    """Return the parameters of an operation; `fields` are those of its contract, by name."""
    found: list[Schema] = []
    for kind, name in re.findall(r"<(\w+:)?(\w+)>", route.path):
        schema = _PARAMETERS.get(kind.rstrip(":"), {"type": "string"})
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name, read in route.query.items():
        # The contract knows more than the kind does, such as limits.
        schema = _given(fields[name]) if name in fields else _PARAMETERS[read]
        found.append({"name": name, "in": "query", "schema": schema})
    if is_list(route):
        found.append(
            {
                "name": "format",
                "in": "query",
                "description": "xlsx: the whole list as a spreadsheet",
                "schema": {"type": "string", "enum": ["xlsx"]},
            }
        )
    if not route.contract.public:
        found.append({"name": "X-Acting-Org", "in": "header", "schema": _PARAMETERS["int"]})
    return found


def _given(schema: Schema) -> Schema:
    """Return the schema of a contract's field as it is given in an address.

    There leaving it out says what null says elsewhere.
    """
    some = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return dict(some[0]) if len(some) == 1 else schema


def _name(route: Route) -> str:
    """Return the name of an operation in a generated client.

    It is the call's, with the end of the address where several operations make the same call.
    """
    same = [other for other in ROUTES if other.contract.name == route.contract.name]
    last = re.sub(
        r"\W+", "_", re.sub(r"<(?:\w+:)?(\w+)>", r"by_\1", route.path.strip("/").split("/")[-1])
    ).strip("_")
    return route.contract.name if same[0] is route else f"{route.contract.name}_{last}"


def is_list(route: Route) -> bool:
    """Return whether an operation answers with a list, which may be had as a spreadsheet."""
    reply = route.contract.reply
    return not route.pdf and (
        route.contract.many or get_origin(reply) is list or "items" in getattr(reply, "__struct_fields__", ())
    )


def _content(route: Route, reply: Schema) -> Schema:
    if route.pdf:
        return {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "application/json": {"schema": _answer(route, reply)},
        **({xlsx.MIME: {"schema": {"type": "string", "format": "binary"}}} if is_list(route) else {}),
    }


def _answer(route: Route, reply: Schema) -> Schema:
    """Return the schema of what `app` makes of a reply.

    Lists are wrapped, so that fields may be added beside them.
    """
    if route.contract.many:
        return _wrap("results", reply)
    if reply.get("type") != "array":
        return reply
    return dict(reply["items"]) if route.path.endswith("<int:org_id>") else _wrap("items", reply)


def _wrap(name: str, schema: Schema) -> Schema:
    return {"type": "object", "required": [name], "properties": {name: schema}}
