"""What a list of a page is made of: its columns, given once, and the address that it stands at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from services.gateway.kit import fields

Row = TypeVar("Row")


class Column(NamedTuple):
    """A column of a table as the template prints it.

    `words` is its head, `unseen` what screen readers are told where there are none; `style` a class
    of its cells; `sorted` is `ascending`, `descending` or nothing; `sort_address` leads to the list
    sorted by it, the other way round where it is sorted by it already.
    """

    words: str
    style: str = ""
    unseen: str = ""
    sorted: str = ""
    sort_address: str = ""


class Listing:
    """The address of a list: what narrows and sorts it. Every link of the page is made from here."""

    def __init__(self, path: str, state: Mapping[str, str]) -> None:
        self.path = path
        self.state = {name: value for name, value in state.items() if value}

    def address(self, **changes: str | int | None) -> str:
        """Return the address of the list with something else about it; an empty value takes it away.

        Whatever changes, the list begins at its first page, unless `after` is among the changes.
        """
        state = {name: value for name, value in self.state.items() if name != "after"} | changes
        query = urlencode({name: value for name, value in state.items() if value not in (None, "")})
        return f"{self.path}?{query}" if query else self.path

    def in_order(self, rows: Iterable[Row], **keys: Callable[[Row], Any]) -> list[Row]:
        """Return a list that is shown whole in the order of its address; `keys`: by what each is sorted."""
        sort = self.state.get("sort", "")
        key = keys.get(sort.removeprefix("-"))
        if sort and key is None:
            fields.leave_out()
            del self.state["sort"]
        return list(rows) if key is None else sorted(rows, key=key, reverse=sort.startswith("-"))

    def column(self, words: str, key: str = "", style: str = "", unseen: str = "") -> Column:
        """Return a column; `key` is by what the list is sorted (`-key`: backwards), empty for never."""
        if not key:
            return Column(words, style, unseen)
        now = self.state.get("sort", "")
        ways = {key: "ascending", f"-{key}": "descending"}
        return Column(
            words, style, unseen, ways.get(now, ""), self.address(sort=f"-{key}" if now == key else key)
        )
