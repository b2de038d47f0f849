"""What people and offices are told: messages to read, and addresses outside (MSG, BEY-15, BEY-19)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import Connection

from services.transfers.log import log
from services.transfers.notices import addresses, channels, store
from shared import audit, background, clock, db, directory, metrics
from shared.bus.service import Asked, Machinery
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Outcome, Webhook

_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)

KEPT = timedelta(days=400)
"""Messages to organisations are of transfers started within this time."""


def _context(tx: Connection, actor: Actor | None) -> tuple[int, int]:
    """Return the person and the organisation whose messages are meant (MSG-09).

    The organisation is the acting one; it is 0 for the person's own messages.
    """
    assert actor is not None
    if actor.org_id is None:
        return actor.person_id, 0
    return actor.person_id, directory.require_administrator(tx, actor, observers=True)


def list_messages(tx: Connection, request: contract.ListMessages, actor: Actor | None) -> contract.Inbox:
    """Return what happened to the own transfers, or to those that the organisation has started.

    Newest first (MSG-01, MSG-02, MSG-06, BEY-19).
    """
    person, org = _context(tx, actor)
    if request.kind and request.kind not in store.KINDS:
        raise Refused("bad_request", detail=f"kind: {', '.join(store.KINDS)}")
    after: tuple[datetime, int, int] = (_FUTURE, 0, 0)
    if request.after:
        try:
            at, transfer, seq = request.after.split("~")
            after = (datetime.fromisoformat(at), int(transfer), int(seq))
        except ValueError as error:
            raise Refused("bad_request", detail="after") from error
    oldest = clock.now() - KEPT
    rows = store.messages(
        tx,
        person,
        org,
        oldest,
        kind=request.kind,
        unread_only=request.unread_only,
        since=request.since,
        until=request.until,
        at=after[0],
        transfer_id=after[1],
        seq=after[2],
        limit=max(1, min(request.limit, 500)),
    )
    return contract.Inbox(
        unread=store.unread(tx, person, org, oldest),
        items=[
            contract.Message(
                transfer_id=row.transfer_id,
                seq=row.seq,
                kind=row.event,
                at=row.at,
                member_id=row.member_id,
                org_id=row.org_id,
                note=row.note,
                end_code=row.end_code if row.event in ("reject", "unavailable") else "",
                state=row.state,
                read=row.read,
                cursor=f"{row.at.isoformat()}~{row.transfer_id}~{row.seq}",
            )
            for row in rows
        ],
    )


def mark_messages(tx: Connection, asked: list[Asked[contract.MarkRead]]) -> list[Outcome]:
    """Mark messages read (MSG-01); repeated without effect."""
    until, single = [], []
    for one in asked:
        person, org = _context(tx, one.actor)
        if one.item.until is not None:
            until.append({"person_id": person, "org_id": org, "until": one.item.until})
        if one.item.transfer_id is not None:
            line = {"transfer_id": one.item.transfer_id, "seq": one.item.seq}
            single.append({"person_id": person, "org_id": org, **line})
    store.mark_read(tx, until, single)
    return [Outcome() for _ in asked]


_send_wake = threading.Event()

RETRIES = (60, 300, 1_800, 7_200, 43_200)
"""Seconds until a failed delivery is tried again; after the last it is given up and listed."""

SENDERS = 8
"""Deliveries under way at a time, so that a slow receiver holds up few others."""

HOOKS_MAX = 20
"""Addresses that one organisation has told at a time."""


def set_webhooks(tx: Connection, asked: list[Asked[contract.SetWebhook]]) -> list[Webhook]:
    """Add addresses that are told of the acting organisation's transfers, or switch some off.

    An address that is told already stays the one it is: the same id comes back, and its secret is not shown
    again (BEY-15, BEY-19).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    refusals = {
        n: _check_hook(one) if one.actor in acting else Refusal("not_administrator")
        for n, one in enumerate(asked)
    }
    ends = [
        {"webhook_id": one.item.webhook_id, "org_id": one.actor.org_id}
        for n, one in enumerate(asked)
        if not refusals[n] and one.item.webhook_id is not None
    ]
    ended = store.end_hooks(tx, ends) if ends else set()
    new = [
        {
            "n": n,
            "command_id": str(one.item.command_id),
            "org_id": one.actor.org_id,
            "url": addresses.normal(one.item.url),
            "person_id": one.actor.person_id,
            "secret": secrets.token_urlsafe(32),
        }
        for n, one in enumerate(asked)
        if not refusals[n] and one.item.webhook_id is None
    ]
    hooks = store.add_hooks(tx, new, HOOKS_MAX, clock.now()) if new else {}
    log.append(tx, _hooks_changed(asked, hooks, ended, refusals))
    answers = []
    for n, one in enumerate(asked):
        if refusals[n]:
            answers.append(Webhook(refusal=refusals[n]))
        elif one.item.webhook_id is not None:
            found = (one.item.webhook_id, one.actor.org_id) in ended
            answers.append(_ended(one.item.webhook_id, found))
        else:
            answers.append(_hook(hooks.get(n)))
    return answers


def _hooks_changed(
    asked: Sequence[Asked[contract.SetWebhook]],
    hooks: Mapping[int, Any],
    ended: set[tuple[int, int]],
    refusals: Mapping[int, Refusal | None],
) -> list[audit.Entry]:
    """Return the lines of addresses that were added or switched off.

    Only the host is kept: what else is in an address may be a secret.
    """
    entries = []
    for n, one in enumerate(asked):
        hook = hooks.get(n)
        # Not where the address was told already: nothing has changed then.
        if hook is not None and hook.own and hook.same:
            entries.append(
                audit.Entry(
                    kind="address.added",
                    place_id=one.actor.org_id,
                    ref=f"address {hook.webhook_id}",
                    after={"host": urlsplit(hook.url).hostname or hook.url.partition(":")[0]},
                    **audit.by(one),
                )
            )
        elif (
            refusals[n] is None
            and one.item.webhook_id is not None
            and (one.item.webhook_id, one.actor.org_id) in ended
        ):
            entries.append(
                audit.Entry(
                    kind="address.ended",
                    place_id=one.actor.org_id,
                    ref=f"address {one.item.webhook_id}",
                    **audit.by(one),
                )
            )
    return entries


def _check_hook(one: Asked[contract.SetWebhook]) -> Refusal | None:
    try:
        if one.item.webhook_id is None:
            addresses.normal(one.item.url)
    except addresses.NotAllowed:
        allowed = ", ".join(addresses.allowed()) or "TUANQIAO_NOTICE_HOSTS"
        return Refusal("address_refused", {"allowed": allowed})
    return None


def _ended(webhook_id: int, found: bool) -> Webhook:
    return Webhook(webhook_id=webhook_id, refusal=None if found else Refusal("unknown_webhook"))


def _hook(row: Any) -> Webhook:
    """Return a hook as the answer to whoever wanted it; the secret only to the command that made it."""
    if row is None:
        return Webhook(refusal=Refusal("too_many_webhooks", {"limit": str(HOOKS_MAX)}))
    if row.own and not row.same:
        return Webhook(refusal=Refusal("command_taken"))
    return Webhook(
        webhook_id=row.webhook_id, url=row.url, active=row.active, secret=row.secret if row.own else ""
    )


def list_webhooks(tx: Connection, request: contract.ListWebhooks, actor: Actor | None) -> list[Webhook]:
    """Return the acting organisation's addresses with what was delivered, waits, or was given up."""
    return [
        Webhook(
            webhook_id=row.webhook_id,
            url=row.url,
            active=row.active,
            waiting=row.waiting,
            delivered=row.delivered,
            failed=row.failed,
            problem=row.last_problem,
        )
        for row in store.hooks(tx, directory.require_administrator(tx, actor))
    ]


def send_some(database: db.Database, limit: int = 50) -> int:
    """Send what is due, some at a time; return how many were tried.

    Notices are taken in one transaction, sent outside of any, and settled in a second: after a crash in
    between they are sent again, and receivers know them by their id. What was taken too often is given up,
    even if no attempt came to an end.
    """
    now = clock.now()
    with database.transaction(tells=False) as tx:
        taken = store.claim_deliveries(tx, now, limit, len(RETRIES) + 1)
    rows = [row for row in taken if row.next_at is not None]
    metrics.ITEMS_SET_ASIDE.labels("transfers", "notices").inc(len(taken) - len(rows))
    settled = []
    # In threads, since most of the time is spent waiting; `map` keeps the order of the rows.
    with ThreadPoolExecutor(SENDERS) as pool:
        for row, problem in zip(rows, pool.map(_send, rows), strict=True):
            again = None
            if problem and row.attempts <= len(RETRIES):
                again = now + timedelta(seconds=RETRIES[row.attempts - 1])
            settled.append(
                {
                    "webhook_id": row.webhook_id,
                    "transfer_id": row.transfer_id,
                    "seq": row.seq,
                    "delivered_at": None if problem else now,
                    "next_at": again,
                    "problem": problem,
                }
            )
            if problem and again is None:
                metrics.ITEMS_SET_ASIDE.labels("transfers", "notices").inc()
    if settled:
        with database.transaction(tells=False) as tx:
            store.settle_deliveries(tx, settled)
    return len(taken)


def _send(row: Any) -> str:
    """Send one notice; return what went wrong."""
    return channels.send(
        row.url,
        row.secret,
        {
            "id": f"{row.transfer_id}:{row.seq}",
            "event": row.event,
            "state": row.state,
            "at": row.at.isoformat(),
            "transfer_id": row.transfer_id,
            "member_id": row.member_id,
            "reason": row.reason,
            "source_branch_id": row.source_branch_id,
            "target_org_id": row.target_org_id,
        },
    )


def _send_turn(machinery: Machinery) -> float | None:
    return 0 if send_some(machinery.database) else None


SEND = background.Loop("notices", _send_turn, _send_wake, 10.0)
"""Tells offices of what happened."""
