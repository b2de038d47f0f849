"""Whether a service does what the contracts say of it, and no more.

The two are compared at its start, in both directions. A handler without a line in the contract
would never be called, since its queue is not bound; a contract without a handler would be promised
and never done. Both pass every test of the parts, so the service does not start with either.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import shared.messages
from shared.messages import Command, Query, events
from shared.settings import role


class Disagreement(RuntimeError):
    """The tables of a service and the contracts say different things; the words say which, and what to do."""


def _modules() -> list[ModuleType]:
    return [
        import_module(f"{shared.messages.__name__}.{one.name}")
        for one in pkgutil.iter_modules(shared.messages.__path__)
        if one.name != "asyncapi"
    ]


def calls() -> list[Command | Query]:
    """Return every declared call."""
    found = {
        (one.service, one.name): one
        for module in _modules()
        for one in vars(module).values()
        if isinstance(one, Command | Query)
    }
    return list(found.values())


def differences(service: Any) -> list[str]:
    """Return what the tables of a service class and the contracts disagree on.

    Each disagreement says what to do about it.
    """
    return [*_unbound(service), *_unheard(service), *_misplaced(service), *_unanswered(service)]


def _unbound(service: Any) -> Iterator[str]:
    """Name the events that a service handles and that never come to it."""
    name = role(service.name)
    for event in service.events:
        if name not in event.consumers:
            yield (
                f"{name} handles {event.__name__}, but its contract does not name it,"
                " so its queue is never bound:"
                f' add "{name}" to the consumers of {event.__name__} in {event.__module__},'
                f" or take the handler out of services/{name}/service.py"
            )


def _unheard(service: Any) -> Iterator[str]:
    """Name the events that come to a service and that it does not handle."""
    name = role(service.name)
    for _, event in sorted(events().items()):
        # only contracts: whoever imports this may have declared events of their own
        declared = event.__module__.startswith(shared.messages.__name__)
        if declared and name in event.consumers and event not in service.events:
            yield (
                f"{event.__name__} names {name} as a consumer, but nothing there handles it,"
                " so each would become a dead letter:"
                f" add a handler to `events` in services/{name}/service.py,"
                f' or take "{name}" out of the consumers in {event.__module__}'
            )


def _misplaced(service: Any) -> Iterator[str]:
    """Name the calls that a service answers and that are sent to another."""
    name = role(service.name)
    for call in (*service.commands, *service.queries):
        if call.service != name:
            yield (
                f"{name} handles {call.name}, but the contract sends it to {call.service}:"
                f" move the handler to services/{call.service}/service.py,"
                f' or let the contract name "{name}"'
            )


def _unanswered(service: Any) -> Iterator[str]:
    """Name the calls that are sent to a service and that it does not answer."""
    name = role(service.name)
    for kind, declared, table in (
        ("commands", Command, service.commands),
        ("queries", Query, service.queries),
    ):
        for call in calls():
            if call.service == name and isinstance(call, declared) and call not in table:
                yield (
                    f"{call.name} is declared as one of the {kind} of {name}, but nothing there answers it:"
                    f" add a handler to `{kind}` in services/{name}/service.py,"
                    " or take the declaration out of shared/messages"
                )


def check(service: Any) -> None:
    """Return if the tables of a service and the contracts agree.

    Raises:
        Disagreement: They do not.

    """
    found = differences(service)
    if found:
        raise Disagreement("; ".join(found))
