"""What is no search for organisations, and what is near (SRCH-08). Pure."""

from __future__ import annotations

from shared.errors import Refusal


def check_search(text: str, below: bool, known: bool) -> Refusal | None:
    """Return why nothing is searched.

    Args:
        text: Normalised.
        below: The search is for what lies below an organisation.
        known: That organisation is there.

    """
    if not text:
        return Refusal("bad_request", {"detail": "text is empty"})
    if below and not known:
        return Refusal("unknown_org")
    return None


def paths_down_to(path: str) -> list[str]:
    """Return the paths of all above an organisation from the root down, its own last."""
    ids = path.split(".")[:-1]
    return [".".join(ids[:n]) + "." for n in range(1, len(ids) + 1)]
