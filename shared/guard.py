"""The wall between handlers and the machinery that runs them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from greenlet import GreenletExit


class HandlerCrashed(Exception):
    """A handler raised something that is not an `Exception`, as a bare `eventlet.Timeout` does."""


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a `BaseException` into an `Exception`, except for what ends a process or a greenlet.

    nameko and everybody else catch only the latter: anything else would end a worker without a
    result, and with it the queue.
    """

    @wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (Exception, GreenletExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise HandlerCrashed(type(error).__name__) from error

    return inner
