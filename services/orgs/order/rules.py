"""The order of organisations below their superior (ORG-24). Pure."""

from __future__ import annotations

from collections.abc import Collection

from shared.errors import Refusal


def check_order(siblings: Collection[int], org_id: int, after: int | None, manages: bool) -> Refusal | None:
    """Return why an organisation is not put after another, or first.

    `siblings` are the subordinates of its superior, itself among them; none for the centre, which
    has no place in any order. `manages` is whether the superior's administrators ask (ORG-43).
    """
    if org_id not in siblings:
        return Refusal("unknown_org")
    if not manages:
        return Refusal("not_your_org")
    if after is not None and after not in siblings:
        return Refusal("unknown_org")
    return None


def put_after(ids: list[int], org_id: int, after: int | None) -> list[int]:
    """Return a list of organisations with one of them put right after another, or first (ORG-24)."""
    # it is taken out first, so that it does not count where it stood
    rest = [one for one in ids if one != org_id]
    if after is None:
        at = 0
    elif after == org_id:  # after itself: it stays where it is
        at = ids.index(org_id)
    else:
        at = rest.index(after) + 1
    return [*rest[:at], org_id, *rest[at:]]


def places(orders: list[int]) -> list[int]:
    """Return places that rise from one to the next, as few of them as possible other than before (ORG-24).

    `orders` has the old places in their order.
    """
    made: list[int] = []
    for order in orders:
        made.append(order if not made or order > made[-1] else made[-1] + 1)
    return made
