"""Doing several things at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


def in_threads(works: Iterable[Callable[[], None]]) -> None:
    """Do works side by side, a thread for each; return when all are done."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
