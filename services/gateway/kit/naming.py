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
    A name of another form stays.
    """
    for end, said in _ENDS:
        if name.startswith(_BEGIN) and name.endswith(end):
            own = name.removeprefix(_BEGIN).removesuffix(end)
            above = of.removeprefix(_BEGIN).removesuffix("委员会")
            return (own.removeprefix(above) or own) + said
    return name
