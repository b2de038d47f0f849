"""What an organisation is called where its whole name would say again what the page says already."""

from __future__ import annotations

_BEGIN = "共青团"
_ENDS = (
    ("总支部委员会", "团总支"),
    ("支部委员会", "团支部"),
    ("工作委员会", "团工委"),
    ("委员会", "团委"),
)
"""How whole names end, the longest ends first, and what people say instead."""


def within(name: str, of: str) -> str:
    """Return the name of an organisation without that of the one above it, `of`, as people say it.

    Below 共青团武汉大学委员会, 共青团武汉大学计算机学院委员会 is 计算机学院团委.
    A name that does not begin as names do stays.
    """
    if not name.startswith(_BEGIN):
        return name
    own, said = _parted(name)
    return (own.removeprefix(_parted(of)[0]) or own) + said


def _parted(name: str) -> tuple[str, str]:
    """Return what a name has of its own, and what people say in place of its end, if it has one."""
    own = name.removeprefix(_BEGIN)
    for end, said in _ENDS:
        if own.endswith(end):
            return own.removesuffix(end), said
    return own, ""
