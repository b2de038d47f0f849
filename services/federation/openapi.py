"""Prints docs/federation.openapi.json: the door as an OpenAPI 3.1 document, for whoever writes a client.

It is served nowhere; docs/federation.md has the words. What is inside of a JWS stands among its schemas,
since OpenAPI knows no signed bodies: `x-jws` names the `typ` of the header.
"""

from __future__ import annotations

from typing import Any

import msgspec

from services.federation import directory, door, envelope, schemas
from services.federation.courier import Receipts
from services.federation.protocol import Type
from shared.keyfiles import KeyFile
from shared.messages import schemas as schemas_of
from shared.messages.schemas import Schema

PAYLOADS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "Envelope": (schemas.Envelope, envelope.MESSAGE),
    "Receipt": (schemas.Receipt, envelope.RECEIPT),
    "Token": (schemas.Token, envelope.TOKEN),
    "Manifest": (schemas.Manifest, envelope.MANIFEST),
    "Lines": (schemas.Lines, envelope.MANIFEST),
    "Homes": (schemas.Homes, envelope.MANIFEST),
}
"""What is signed, by the name of its schema, and the `typ` that it is signed as."""
JWS = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
    "maxLength": envelope.LARGEST,
}
PROBLEM = {
    "type": "object",
    "description": "a problem document (RFC 9457)",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string"},
    },
}
ABOUT = {
    "type": "object",
    "required": ["system", "versions", "limits", "time", "keys"],
    "properties": {
        "system": {"type": "string"},
        "peer": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "algorithms": {"type": "array", "items": {"type": "string"}},
        "limits": {"type": "object"},
        "time": {"type": "string", "format": "date-time"},
        "keys": {"type": "array", "items": {"$ref": "#/components/schemas/KeyFile"}},
    },
}
ALWAYS = {429: "too often", 503: "away; after the seconds of `Retry-After` again"}
TAKEN = {
    400: "no JSON",
    401: "not one of the messages is authentic",
    413: "too large",
    415: "not JSON by its type",
    422: "no list of 1 to 100 texts",
}
ASKED = {401: "no token of the peer's for this path and minute"}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
DAY = {"name": "day", "in": "path", "required": True, "schema": {"type": "string", "format": "date"}}
_TWO = {"type": "string", "pattern": "^[0-9a-f]{2}$"}
BUCKET = {"name": "bucket", "in": "path", "required": True, "schema": _TWO}
AFTER = {"name": "after", "in": "query", "schema": {"type": "string", "maxLength": 60}}
SUBJECT = {
    "name": "after",
    "in": "query",
    "schema": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9._~=+/:-]*$"},
}
_SIZE = {"type": "integer", "minimum": 1, "maximum": directory.PAGE}
LIMIT = {"name": "limit", "in": "query", "schema": _SIZE}


def document() -> Schema:
    """Return the document."""
    types = [door.Messages, Receipts, directory.Page, KeyFile, *(kind for kind, _ in PAYLOADS.values())]
    data = {kind: schemas.DATA[kind] for kind in Type}
    _, components = schemas_of.of([*types, *data.values()])
    for name, (_, typ) in PAYLOADS.items():
        components[name]["x-jws"] = typ
    components["Envelope"]["properties"]["data"] = {
        "description": "by `type`",
        "oneOf": [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in data.values()],
    }
    components["Envelope"]["x-data"] = {
        kind.value: f"#/components/schemas/{struct.__name__}" for kind, struct in data.items()
    }
    components["Messages"]["properties"]["messages"]["items"] = JWS
    components["Receipts"]["properties"]["receipts"]["items"] = JWS
    components["KeyFile"]["properties"].pop("d")
    manifest = {"type": "object", "required": ["manifest"], "properties": {"manifest": JWS}}
    base = "/bridge/v1"
    return {
        "openapi": "3.1.0",
        "info": {"title": "The bridge between two systems", "version": "1.0"},
        "servers": [{"url": "/"}],
        "paths": {
            f"{base}/messages": {"post": _post()},
            f"{base}/about": {"get": _get("about", "Versions, limits, keys, time", ABOUT)},
            f"{base}/manifest/{{day}}": {"get": _get("manifest", "A day's buckets", manifest, DAY)},
            f"{base}/manifest/{{day}}/{{bucket}}": {
                "get": _get("lines", "The lines of a bucket", manifest, DAY, BUCKET)
            },
            f"{base}/homes/{{day}}": {
                "get": _get("homes", "Where members of a day are", manifest, DAY, SUBJECT)
            },
            directory.PATH: {"get": _get("orgs", "A page of the directory", _ref("Page"), AFTER, LIMIT)},
        },
        "components": {
            "schemas": {**components, "Problem": PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "token+jws"}},
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _post() -> Schema:
    body = {"required": True, "content": {"application/json": {"schema": _ref("Messages")}}}
    return {
        "operationId": "messages",
        "summary": "Hand in messages; each gets a receipt, in the same order",
        "requestBody": body,
        "responses": _responses(_ref("Receipts"), TAKEN),
    }


def _get(name: str, summary: str, reply: Schema, *parameters: Schema) -> Schema:
    problems = ASKED
    if any(one["in"] == "path" for one in parameters):
        problems = {**problems, 404: "no such day or bucket"}
    if any(one["in"] == "query" for one in parameters):
        problems = {**problems, 422: "no such place"}
    return {
        "operationId": name,
        "summary": summary,
        "security": [{"token": []}],
        "parameters": list(parameters),
        "responses": _responses(reply, problems),
    }


def _responses(reply: Schema, problems: dict[int, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"200": {"description": "OK", "content": {"application/json": {"schema": reply}}}}
    for status, means in sorted({**problems, **ALWAYS}.items()):
        found[str(status)] = {"description": means, "content": _PROBLEM}
    return found


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(document())).decode())
