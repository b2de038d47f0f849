"""What every code is: a text on the wire and in tables, with words for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from shared.translations import english


class Code(StrEnum):
    """A code of a list; itself the text that messages, tables and addresses hold.

    Attributes:
        zh: Its words in Chinese.
        en: Its words in English, from the catalogue.

    """

    zh: str

    def __new__(cls, code: str, *said: Any) -> Self:  # noqa: D102  (the class says it)
        return cls._made(code, *said)

    @classmethod
    def _made(cls, code: str, *said: Any) -> Self:
        made = str.__new__(cls, code)
        made._value_ = code
        made.explain(*said or (code,))
        return made

    def explain(self, zh: str) -> None:
        """Take what the list says of a code; lists that say more than the words take that, too."""
        self.zh = zh

    @property
    def en(self) -> str:
        """Return its words in English."""
        return english(self.zh)

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Return a code that is not in the list as one whose words are itself.

        So an answer of another version, or of what was stored before the list changed, stays readable.
        """
        if not isinstance(value, str):
            return None
        made = cls._made(value)
        made._name_ = value
        return made

    @classmethod
    def known(cls, code: str) -> Self | None:
        """Return a code of the list, or None for any other text."""
        found = cls._value2member_map_.get(code)
        return found if isinstance(found, cls) else None
