"""Finding organisations by what people write (SRCH, ORG-09)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from sqlalchemy.engine import Connection

from services.orgs import domain, handlers, names, store
from services.orgs.search import rules
from services.orgs.search import store as search_store
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import orgs as contract
from shared.messages.orgs import Org


def search_orgs(tx: Connection, request: contract.SearchOrgs, actor: Actor | None) -> list[Org]:
    """Find organisations by any part of a name, or by a code (BEY-20, SRCH-08, SRCH-10).

    Full, short and former names count. A single character finds those that begin with it. Where the
    subtree has none and `systems` is asked for, those of the vertical systems are returned: the
    employer may belong to one (ORG-15). What is nearer to the acting organisation, or to `near`,
    comes first. Hand-over branches are found by each of their names (ORG-28).
    """
    text = domain.normalise(request.text)
    near = request.near
    if near is None and actor is not None:
        near = actor.org_id
    known = store.by_ids(tx, [request.below, near])
    refusal = rules.check_search(text, request.below is not None, request.below in known)
    if refusal is not None:
        raise Refused.of(refusal)
    below = known[request.below].path if request.below is not None else ""
    above = rules.paths_down_to(known[near].path) if near in known else []
    limit = max(1, min(request.limit, 50))
    ids = _search(tx, request, text, limit, below, above)
    if not ids and request.systems and below:
        systems = search_store.systems(tx)
        found = (org_id for path in systems for org_id in _search(tx, request, text, limit, path, above))
        ids = list(islice(found, limit))
    rows = store.by_ids(tx, ids)
    return [handlers.shown(rows[org_id]) for org_id in ids if org_id in rows]


def _search(
    tx: Connection, request: contract.SearchOrgs, text: str, limit: int, below: str, above: Sequence[str]
) -> list[int]:
    """Return ids by code and each way to say the name, until there are enough (BEY-20, SRCH-10, ORG-28)."""
    ids = search_store.coded(tx, text, request.targets_only, limit, below) if names.is_code(text) else []
    for name in names.ways(text):
        if len(ids) < limit:
            more = search_store.search(tx, name, request.targets_only, limit, below, above)
            ids = list(dict.fromkeys([*ids, *more]))
    return ids[:limit]
