"""What people and offices are told: messages to read, and addresses outside (MSG, BEY-15, BEY-19)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import Connection

from services.transfers import domain, settings
from services.transfers.log import log
from services.transfers.notices import addresses, channels, rules, store
from services.transfers.settings import Settings
from shared import audit, background, clock, db, directory, metrics
from shared.bus.service import Asked, Machinery
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.transfers import Outcome, Webhook
from shared.messages.words import TrailEvent, TransferState

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
    oldest = clock.now() - KEPT
    rows = store.messages(tx, person, org, oldest, **_wanted(request))
    return contract.Inbox(unread=store.unread(tx, person, org, oldest), items=[_message(row) for row in rows])


def _wanted(request: contract.ListMessages) -> dict[str, Any]:
    """Return a request for messages as the statement takes it."""
    after = rules.place_in_list(request.after) if request.after else (_FUTURE, 0, 0)
    refusal = rules.check_kind(request.kind)
    if refusal is not None:
        raise Refused.of(refusal)
    if isinstance(after, Refusal):
        raise Refused.of(after)
    at, transfer_id, seq = after
    return {
        "kind": request.kind,
        "unread_only": request.unread_only,
        "since": request.since,
        "until": request.until,
        "at": at,
        "transfer_id": transfer_id,
        "seq": seq,
        "limit": max(1, min(request.limit, 500)),
    }


def _message(row: store.Line) -> contract.Message:
    return contract.Message(
        transfer_id=row.transfer_id,
        seq=row.seq,
        kind=TrailEvent(row.event),
        at=row.at,
        member_id=row.member_id,
        org_id=row.org_id,
        note=row.note,
        end_code=row.end_code if row.event in ("reject", "unavailable") else "",
        state=TransferState(row.state),
        read=row.read,
        cursor=f"{row.at.isoformat()}~{row.transfer_id}~{row.seq}",
    )


def mark_messages(tx: Connection, asked: list[Asked[contract.MarkRead]]) -> list[Outcome]:
    """Mark messages read (MSG-01); repeated without effect."""
    until, single = [], []
    for one in asked:
        person, org = _context(tx, one.actor)
        if one.item.until is not None:
            until.append(store.ReadUntil(person, org, one.item.until))
        if one.item.transfer_id is not None:
            single.append(store.ReadOne(person, org, one.item.transfer_id, one.item.seq))
    store.mark_read(tx, until, single)
    return [Outcome() for _ in asked]


RETRIES = (60, 300, 1_800, 7_200, 43_200)
"""Seconds until a failed delivery is tried again; after the last it is given up and listed."""

SENDERS = 8
"""Deliveries under way at a time, so that a slow receiver holds up few others."""


def set_webhooks(tx: Connection, asked: list[Asked[contract.SetWebhook]]) -> list[Webhook]:
    """Add addresses that are told of the acting organisation's transfers, or switch some off.

    An address that is told already stays the one it is: the same id comes back, and its secret is not shown
    again (BEY-15, BEY-19).
    """
    acting = directory.administering(tx, (one.actor for one in asked))
    here = settings.of(tx)
    refusals = [domain.check_acting(one.actor in acting) or _check_address(here, one.item) for one in asked]
    right = [n for n, refusal in enumerate(refusals) if refusal is None]
    ended = _end(tx, [asked[n] for n in right if asked[n].item.webhook_id is not None])
    hooks = _add(tx, {n: asked[n] for n in right if asked[n].item.webhook_id is None})
    entries = []
    answers = []
    for n, (one, refusal) in enumerate(zip(asked, refusals, strict=True)):
        webhook_id = one.item.webhook_id
        if refusal is not None:
            answers.append(Webhook(refusal=refusal))
        elif webhook_id is not None:
            found = (webhook_id, one.actor.org_id) in ended
            answers.append(Webhook(webhook_id=webhook_id, refusal=rules.check_ended(found)))
            entries += _ended(one, webhook_id, found)
        else:
            answers.append(_hook(hooks.get(n)))
            entries += _added(one, hooks.get(n))
    log.append(tx, entries)
    return answers


def _check_address(here: Settings, item: contract.SetWebhook) -> Refusal | None:
    """Return why an address is not added; one that is switched off may be any."""
    if item.webhook_id is not None:
        return None
    try:
        url = addresses.normal(here, item.url)
    except addresses.NotAllowed:
        url = None
    return rules.check_address(url, here.notice_hosts)


def _end(tx: Connection, asked: Sequence[Asked[contract.SetWebhook]]) -> set[tuple[int, int]]:
    """Switch addresses off; return which there were, and of whom."""
    rows = [store.EndedHook(one.item.webhook_id, one.actor.org_id) for one in asked]
    return store.end_hooks(tx, rows) if rows else set()


def _add(tx: Connection, asked: Mapping[int, Asked[contract.SetWebhook]]) -> dict[int, store.Hook]:
    """Add addresses, each with a secret of its own; return by number what stands there now."""
    rows = [
        store.NewHook(
            n=n,
            command_id=one.item.command_id,
            org_id=one.actor.acting_org,
            url=addresses.normal(settings.of(tx), one.item.url),
            secret=secrets.token_urlsafe(32),
            person_id=one.actor.person_id,
        )
        for n, one in asked.items()
    ]
    return store.add_hooks(tx, rows, rules.HOOKS_MAX, clock.now()) if rows else {}


def _added(one: Asked[contract.SetWebhook], hook: store.Hook | None) -> list[audit.Entry]:
    """Return the line of an address that was added, none where it was told already.

    Only the host is kept: what else is in an address may be a secret.
    """
    if hook is None or not (hook.own and hook.same):
        return []
    host = urlsplit(hook.url).hostname or hook.url.partition(":")[0]
    return [_entry("address.added", one, hook.webhook_id, {"host": host})]


def _ended(one: Asked[contract.SetWebhook], webhook_id: int, found: bool) -> list[audit.Entry]:
    """Return the line of an address that was switched off."""
    return [_entry("address.ended", one, webhook_id)] if found else []


def _entry(
    kind: str, one: Asked[contract.SetWebhook], webhook_id: int, after: Mapping[str, Any] | None = None
) -> audit.Entry:
    return audit.Entry(
        kind=kind,
        place_id=one.actor.org_id,
        ref=f"address {webhook_id}",
        after=after,
        **audit.by(one),
    )


def _hook(row: store.Hook | None) -> Webhook:
    """Return a hook as the answer to whoever wanted it; the secret only to the command that made it."""
    refusal = rules.check_added(row is not None, row is not None and row.own, row is not None and row.same)
    if refusal is not None or row is None:
        return Webhook(refusal=refusal)
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
    send = partial(_send, settings.of(database.engine))
    # In threads, since most of the time is spent waiting; `map` keeps the order of the rows.
    with ThreadPoolExecutor(SENDERS) as pool:
        settled = [
            _settled(row, problem, now) for row, problem in zip(rows, pool.map(send, rows), strict=True)
        ]
    given_up = sum(row.delivered_at is None and row.next_at is None for row in settled)
    metrics.ITEMS_SET_ASIDE.labels("transfers", "notices").inc(len(taken) - len(rows) + given_up)
    if settled:
        with database.transaction(tells=False) as tx:
            store.settle_deliveries(tx, settled)
    return len(taken)


def _settled(row: store.Delivery, problem: str, now: datetime) -> store.Settled:
    """Return what became of a delivery, with the instant of the next attempt where there is one."""
    again = None
    if problem and row.attempts <= len(RETRIES):
        again = now + timedelta(seconds=RETRIES[row.attempts - 1])
    return store.Settled(
        webhook_id=row.webhook_id,
        transfer_id=row.transfer_id,
        seq=row.seq,
        delivered_at=None if problem else now,
        next_at=again,
        problem=problem,
    )


def _send(here: Settings, row: store.Delivery) -> str:
    """Send one notice; return what went wrong."""
    return channels.send(
        here,
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


SEND = background.Loop("notices", _send_turn, 10.0)
"""Tells offices of what happened."""
