"""The OpenAPI document shows the limits and can be made into a client."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from services.gateway.api import openapi, views
from services.gateway.api.routes import ROUTES
from shared.errors import Refusal
from shared.messages.transfers import Outcome


def parts(value: Any, path: str = ""):
    """Yield every schema of the document with its place."""
    if isinstance(value, dict):
        yield path, value
        for key, one in value.items():
            yield from parts(one, f"{path}/{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from parts(one, f"{path}/{number}")


def test_numbers_and_patterns_are_of_the_documents_dialect():
    """Ids are int64, and no pattern holds what only Python understands."""
    for path, schema in parts(openapi.document()):
        assert (
            schema.get("type") != "integer"
            or schema.get("format") == "int64"
            or path.endswith("/Problem/properties/status")
        ), path
        if isinstance(schema.get("pattern"), str):
            assert re.fullmatch(r"\^.*\$", schema["pattern"]) and r"\Z" not in schema["pattern"], path


def test_parameters_show_limits_and_are_read():
    """Each text and number in an address has its limits in the document.

    Every kind in the table of routes has a reader.
    """
    assert {kind for route in ROUTES for kind in route.query.values()} <= set(views._READ)
    for path, methods in openapi.document()["paths"].items():
        for operation in methods.values():
            for one in operation["parameters"]:
                kind = one["schema"].get("type")
                assert kind != "integer" or {"minimum", "maximum"} <= set(one["schema"]), (path, one)
                assert (
                    kind != "string"
                    or one["in"] == "path"
                    or {"maxLength", "format", "enum"} & set(one["schema"])
                ), (path, one)
                assert "null" not in str(one["schema"]), (path, one)


def test_operations_have_names_of_their_own():
    """A generated client calls an operation by the name of the call, and no two by one name."""
    names = [
        operation["operationId"]
        for methods in openapi.document()["paths"].values()
        for operation in methods.values()
    ]
    assert [
        name
        for name, number in Counter(names).items()
        if number > 1 or not re.fullmatch("[a-z][a-z_]+", name)
    ] == []
    assert {"request_transfers", "decide_nodes", "sign_in", "get_orgs"} <= set(names)


def test_the_refusal_of_an_item_is_what_is_sent():
    """What `app` makes of a refusal is what the document says."""
    sent = views._with_words(Outcome(refusal=Refusal("remark_too_long")))["refusal"]
    shown = openapi.document()["components"]["schemas"]["Refusal"]["properties"]
    assert set(sent) <= set(shown) and set(sent["message"]) == set(shown["message"]["properties"])
