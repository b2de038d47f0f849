"""The AsyncAPI 3.0 document of all events, made from the contracts (BEY-15).

`make saga` writes it to docs/asyncapi.json.

A field that is new in the document is an additive change. A field that is gone or has another type
breaks a consumer: give the event a new name instead.
"""

from __future__ import annotations

import inspect
import json

from shared.messages import MAX_ITEMS, Event, events
from shared.messages import schemas as schemas_of
from shared.messages.schemas import Schema

CLOUD_EVENT = {
    "type": "object",
    "required": [
        "cloudEvents:specversion",
        "cloudEvents:id",
        "cloudEvents:source",
        "cloudEvents:type",
        "cloudEvents:time",
    ],
    "properties": {
        "cloudEvents:specversion": {"const": "1.0"},
        "cloudEvents:id": {"type": "string", "description": "unique for ever; what the inbox remembers"},
        "cloudEvents:source": {"type": "string", "description": "/tuanqiao/<publishing service>"},
        "cloudEvents:type": {"type": "string", "description": "tuanqiao.<publishing service>.<event>"},
        "cloudEvents:time": {"type": "string", "format": "date-time"},
    },
}


def document() -> Schema:
    """Return the document: a channel per event, the service that sends it and those that receive it."""
    kinds = {
        topic: event
        for topic, event in sorted(events().items())
        if event.__module__.startswith(f"{__package__}.")
    }
    schemas, components = schemas_of.of(kinds.values())
    operations: Schema = {}
    for topic, event in kinds.items():
        channel = {"channel": {"$ref": f"#/channels/{topic}"}}
        operations[f"{event.publisher}.{topic}"] = {"action": "send", **channel}
        operations |= {f"{service}.{topic}": {"action": "receive", **channel} for service in event.consumers}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tuanqiao 团桥",
            "version": "1",
            "description": "Events between the services. Delivered at least once, in any"
            " order; the inbox of each consumer gives every message its effect once.",
        },
        "channels": {
            topic: _channel(topic, event, schema)
            for schema, (topic, event) in zip(schemas, kinds.items(), strict=True)
        },
        "operations": operations,
        "components": {"schemas": {**components, "CloudEvent": CLOUD_EVENT}},
    }


def _channel(topic: str, event: type[Event], schema: Schema) -> Schema:
    """Return where an event travels and what its messages are made of."""
    exchange = {"name": event.publisher, "type": "topic", "durable": True}
    return {
        "address": topic,
        "description": inspect.cleandoc(event.__doc__ or ""),
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}},
        "messages": {
            topic: {
                "name": topic,
                "contentType": "application/json",
                "headers": {"$ref": "#/components/schemas/CloudEvent"},
                "payload": {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": schema},
            }
        },
    }


def page() -> str:
    """Return docs/asyncapi.json."""
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    print(page(), end="")
