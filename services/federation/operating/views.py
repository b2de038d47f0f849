"""What operators and those who wait are shown of a bridge; each query says for whom (FED-11, FED-13)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from services.federation import envelope
from services.federation.differences import REPAIRS, Kept, Kind
from services.federation.handovers import Bridge
from services.federation.keys import Key
from services.federation.operating import evidence, rules, store
from services.federation.operating.desk import bridge_of, log_of
from services.federation.operating.rules import Standing
from services.federation.protocol import Act, Side
from services.federation.schemas import DATASCHEMA
from shared import audit, clock, directory, metrics
from shared.audit import Entry, by
from shared.errors import Refused
from shared.identity import Actor
from shared.keyfiles import lasts
from shared.messages import federation as contract
from shared.messages import words
from shared.messages.audit import AuditLine

TRAFFIC = timedelta(days=1)
"""Over what time messages are counted."""
RECONCILED = 60
"""Days that were compared, the newest."""
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_NO_DAY = date(1, 1, 1)
Read = TypeVar("Read")


# ---- who may ask ---------------------------------------------------------------------------------


def here(tx: Connection, peer: str) -> Bridge:
    """Return the bridge, if it leads to this peer.

    Raises:
        Refused: `no_bridge`.

    """
    ours = bridge_of(tx)
    if peer != ours.peer:
        raise Refused("no_bridge")
    return ours


def require_root(tx: Connection, actor: Actor | None, observers: bool = True) -> None:
    """Let administrators of the root organisation pass; with `observers` those who only look, too.

    Raises:
        Refused: `not_administrator`, `operators_only`.

    """
    if directory.require_above(tx, actor, observers=observers).parent_id is not None:
        raise Refused("operators_only")


def _province(tx: Connection, actor: Actor | None) -> str | None:
    """Return the path below which somebody may look, None for everywhere.

    Raises:
        Refused: `not_administrator`; `bridge_by_province`: neither the root's nor a provincial body's.

    """
    org = directory.require_above(tx, actor, observers=True)
    if org.parent_id is None:
        return None
    if org.org_id != org.provincial_id:
        raise Refused("bridge_by_province")
    return org.path


def _one(tx: Connection, subject: str, transfer_id: int | None) -> store.Own:
    """Return a transfer by its subject or by our number.

    Raises:
        Refused: `unknown_crossing`: this bridge has none such; also if both were given, or none.

    """
    if bool(subject) is (transfer_id is not None):
        raise Refused("unknown_crossing")
    wanted = subject if transfer_id is None else store.subject_of(tx, transfer_id)
    found = store.find(tx, [wanted]) if wanted else {}
    if not found:
        raise Refused("unknown_crossing")
    return found[wanted or ""]


def _read(cursor: str, *kinds: Callable[[str], Any]) -> list[Any] | None:
    """Return the parts of a cursor as they were given out; None for the first page.

    Raises:
        Refused: `bad_request`: it was never given out.

    """
    if not cursor:
        return None
    parts = cursor.split("~")
    try:
        return [kind(part) for kind, part in zip(kinds, parts, strict=True)]
    except (ValueError, OverflowError) as error:
        raise Refused("bad_request", detail="after") from error


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or abs(found.utcoffset() or timedelta()) > timedelta(hours=14):
        raise ValueError
    return found


def _small(text: str) -> int:
    found = int(text)
    if not 0 <= found < 2**31:
        raise ValueError
    return found


# ---- the state of a bridge -----------------------------------------------------------------------


def get_bridge(tx: Connection, request: contract.GetBridge, actor: Actor | None) -> contract.Bridge:
    """Return how the bridge is, to administrators and observers of the root organisation.

    Raises:
        Refused: `not_administrator`, `operators_only`, `no_bridge`.

    """
    require_root(tx, actor)
    return state(tx, here(tx, request.peer), clock.now())


def state(tx: Connection, bridge: Bridge, now: datetime) -> contract.Bridge:
    """Return how a bridge is."""
    line, counts, traffic = store.line(tx), store.counts(tx), store.traffic(tx, now - TRAFFIC)
    oldest, reading, newest = store.oldest(tx), store.reading(tx), store.newest(tx)
    called = line.down_since is not None or line.answered_at is not None
    return contract.Bridge(
        peer=bridge.peer,
        up=line.down_since is None if called else None,
        up_since=line.up_since,
        down_since=line.down_since,
        failures=line.failures,
        probe_at=line.probe_at,
        answered_at=line.answered_at,
        paused_at=line.paused_at,
        paused_by=line.paused_by,
        paused_reason=line.paused_reason or "",
        skew_ms=line.skew_ms,
        oldest=oldest
        and contract.OldestMessage(
            subject=oldest.subject,
            seq=oldest.seq,
            type=words.BridgeMessage(oldest.type),
            said_at=oldest.said_at,
            age=metrics.seconds_since(oldest.said_at, now),
        ),
        queues=contract.BridgeQueues(
            waiting=counts.waiting, parked=counts.parked, held=counts.held, quarantined=counts.quarantined
        ),
        day=contract.BridgeTraffic(**traffic._asdict()),
        version=DATASCHEMA,
        peer_version=envelope.payload(newest).dataschema if newest is not None else "",
        algorithms=list(bridge.keys.algorithms),
        keys=keys(bridge, now),
        reconciled=[contract.ReconciledDay(**one._asdict()) for one in store.reconciled(tx, RECONCILED)],
        wanted=[contract.WantedReconciliation(**one._asdict()) for one in store.wanted(tx)],
        open=[
            contract.OpenHandovers(state=words.HandoverState(one.state), count=one.number, oldest=one.oldest)
            for one in store.open_counts(tx)
        ],
        in_doubt=counts.in_doubt,
        in_doubt_since=counts.in_doubt_since,
        differences=counts.differences,
        reading=reading
        and contract.DirectoryReading(
            begun_at=reading.begun_at, ended_at=reading.ended_at, version=reading.version or ""
        ),
    )


def keys(bridge: Bridge, now: datetime) -> list[contract.BridgeKey]:
    """Return the keys of both sides, our own first, the newest first; never a private part."""
    ring = bridge.keys.ring()
    signing = next((key.kid for key in ring.own if key.good_at(now)), None)
    theirs = sorted(ring.peer.values(), key=lambda key: key.valid_from, reverse=True)
    return [
        *(_key(key, True, key.kid == signing, now) for key in ring.own),
        *(_key(key, False, False, now) for key in theirs),
    ]


def _key(key: Key, own: bool, in_use: bool, now: datetime) -> contract.BridgeKey:
    return contract.BridgeKey(
        kid=key.kid,
        own=own,
        alg=key.alg,
        valid_from=key.valid_from,
        valid_until=key.valid_until,
        revoked=key.revoked,
        in_use=in_use,
        days_left=0 if key.revoked else max(0, (key.valid_until - now).days),
    )


def key_days_left(bridge: Bridge, now: datetime) -> tuple[float, float]:
    """Return for how many days we can sign, and believe the peer, with the keys that are here; 0 for none."""
    ring, day = bridge.keys.ring(), timedelta(seconds=metrics.DAY)
    return lasts(ring.own, now) / day, lasts(ring.peer.values(), now) / day


def gauges(tx: Connection) -> list[metrics.Reading]:
    """Read the bridge's own gauges."""
    bridge, now = bridge_of(tx), clock.now()
    peer = bridge.peer
    line, counts, oldest = store.line(tx), store.counts(tx), store.oldest(tx)
    ours, theirs = key_days_left(bridge, now)
    found = [
        (metrics.BRIDGE_UP, (peer,), float(line.down_since is None)),
        (metrics.BRIDGE_PAUSED, (peer,), float(line.paused_at is not None)),
        (metrics.BRIDGE_OLDEST, (peer,), metrics.seconds_since(oldest and oldest.said_at, now)),
        (metrics.BRIDGE_IN_DOUBT, (peer,), float(counts.in_doubt)),
        (metrics.BRIDGE_DOUBT_OLDEST, (peer,), metrics.seconds_since(counts.in_doubt_since, now)),
        (metrics.BRIDGE_DIFFERENCES, (peer,), float(counts.differences)),
        (metrics.BRIDGE_KEY_DAYS, (peer, "own"), ours),
        (metrics.BRIDGE_KEY_DAYS, (peer, "peer"), theirs),
        (metrics.BRIDGE_SKEW, (peer,), (line.skew_ms or 0) / 1000),
    ]
    for name in ("waiting", "parked", "held", "quarantined"):
        found.append((metrics.BRIDGE_QUEUE, (peer, name), float(getattr(counts, name))))
    compared = store.compared_at(tx)
    if compared is not None:
        found.append((metrics.BRIDGE_COMPARED, (peer,), metrics.seconds_since(compared, now)))
    return found


# ---- transfers that lead across ------------------------------------------------------------------


def list_handovers(
    tx: Connection, request: contract.ListHandovers, actor: Actor | None
) -> list[contract.Handover]:
    """Return transfers that are open, those in doubt first, then the oldest first (FED-11, FED-13).

    Raises:
        Refused: `not_administrator`, `bridge_by_province`, `no_bridge`; `bad_request` for a cursor that
            was never given out.

    """
    path = _province(tx, actor)
    here(tx, request.peer)
    rank, since, subject = _read(request.after, _small, _instant, str) or (-1, _FIRST, "")
    rows = store.open_ones(tx, path, request.in_doubt, (rank, since, subject), request.limit)
    return [_listed(row, path is None) for row in rows]


def _listed(row: store.Listed, operates: bool) -> contract.Handover:
    standing = Standing(row.side, row.state, row.heard)
    return contract.Handover(
        subject=row.subject,
        transfer_id=row.transfer_id,
        org_id=row.org_id,
        outgoing=row.side == Side.SENDER,
        state=words.HandoverState(row.state),
        since=row.since,
        in_doubt=row.state == rules.IN_DOUBT,
        last_said_at=row.last_said_at,
        last_heard_at=row.last_heard_at,
        waiting=row.waiting,
        parked=row.parked,
        quarantined=row.quarantined,
        release=operates and standing.may(Act.RELEASE),
        give_up=operates and row.transfer_id is not None and standing.may(Act.GIVE_UP),
        cursor=f"{row.rank}~{row.since.isoformat()}~{row.subject}",
    )


def get_messages(
    tx: Connection, request: contract.GetMessages, actor: Actor | None
) -> contract.TransferMessages:
    """Return the messages of one transfer, both ways, without what is sealed in them.

    Raises:
        Refused: `not_administrator`, `bridge_by_province`, `no_bridge`; `unknown_crossing`, also for
            one that lies outside the province.

    """
    path = _province(tx, actor)
    here(tx, request.peer)
    own = _one(tx, request.subject, request.transfer_id)
    if path is not None:
        org = directory.find(tx, [own.org_id]).get(own.org_id or 0)
        if org is None or not org.path.startswith(path):
            raise Refused("unknown_crossing")
    return transfer_messages(tx, own, path is None)


def transfer_messages(tx: Connection, own: store.Own, operates: bool) -> contract.TransferMessages:
    """Return the messages of a transfer; `operates`: to somebody who may send them again."""
    standing = Standing(own.side, own.state, own.heard)
    return contract.TransferMessages(
        subject=own.subject,
        transfer_id=own.transfer_id,
        org_id=own.org_id,
        outgoing=own.side == Side.SENDER,
        state=words.HandoverState(own.state),
        since=own.since,
        release=operates and standing.may(Act.RELEASE),
        give_up=operates and own.transfer_id is not None and standing.may(Act.GIVE_UP),
        messages=[_message(row, operates) for row in store.messages(tx, own.subject)],
    )


def _message(row: store.Message, operates: bool) -> contract.MessageLine:
    shown, receipt = rules.shown(row.jws), rules.receipted(row.receipt)
    return contract.MessageLine(
        ours=row.ours,
        seq=row.seq,
        type=words.BridgeMessage(row.type),
        said_at=row.said_at,
        at=row.at,
        expires_at=row.expires_at,
        sha256=row.sha256,
        state=words.MessageState(row.state),
        code=row.code,
        attempts=row.attempts,
        next_at=row.next_at,
        receipt=receipt.status,
        receipt_code=receipt.code,
        receipt_at=receipt.at,
        organisation=shown.organisation,
        phone=shown.phone,
        reason=shown.reason,
        text=shown.text,
        send_again=operates and row.ours and row.state != "waiting",
    )


def get_evidence(tx: Connection, request: contract.GetEvidence, actor: Actor | None) -> contract.Evidence:
    """Return the evidence of one transfer, to administrators of the root organisation (BEY-16).

    That it was taken is written down.

    Raises:
        Refused: `not_administrator`, `operators_only`, `no_bridge`, `unknown_crossing`.

    """
    require_root(tx, actor, observers=False)
    bridge = here(tx, request.peer)
    own = _one(tx, request.subject, request.transfer_id)
    made = evidence.of(tx, bridge, own.subject)
    entry = Entry(
        kind="bridge.evidence",
        place_id=own.org_id,
        persons=[own.person_id] if own.person_id is not None else [],
        ref=f"bridge {bridge.peer} {own.subject}",
        after={"sha256": bytes.fromhex(made.sha256)},
        **by(actor),
    )
    log_of(bridge.peer).append(tx, [entry])
    return contract.Evidence(name=made.name, zip=made.zip, sha256=made.sha256)


def list_bridge_audit(
    tx: Connection, request: contract.ListBridgeAudit, actor: Actor | None
) -> list[AuditLine]:
    """Return lines of the bridge's audit log, to the centre and, of its own, to a province (BEY-10).

    Raises:
        Refused: `not_administrator`, `audit_by_province`, `no_bridge`, `bad_request`.

    """
    province = audit.province_of(directory.require_above(tx, actor))
    bridge = here(tx, request.peer)
    return audit.page(tx, log_of(bridge.peer).service, province, request)


# ---- what waits for a person ---------------------------------------------------------------------


def list_quarantine(
    tx: Connection, request: contract.ListQuarantine, actor: Actor | None
) -> list[contract.QuarantinedMessage]:
    """Return messages in quarantine, or what was decided of them, to the root organisation.

    Raises:
        Refused: `not_administrator`, `operators_only`, `no_bridge`; `bad_request` for a cursor that was
            never given out.

    """
    require_root(tx, actor)
    here(tx, request.peer)
    after = _read(request.after, _instant, str, _small)
    if request.decided:
        rows = store.decided(tx, _place(after, _LAST), request.limit)
    else:
        rows = store.undecided(tx, _place(after, _FIRST), request.limit)
    return [_doubted(row) for row in rows]


def _place(after: list[Any] | None, first: datetime) -> tuple[datetime, str, int]:
    at, subject, seq = after or (first, "", 0)
    return at, subject, seq


def _doubted(row: store.Doubted) -> contract.QuarantinedMessage:
    standing = Standing(row.side, row.state, row.heard)
    return contract.QuarantinedMessage(
        subject=row.subject,
        seq=row.seq,
        type=words.BridgeMessage(row.type),
        why=row.why,
        found_at=row.found_at,
        transfer_id=row.transfer_id,
        state=words.HandoverState(row.state),
        decisions=rules.decisions(standing) if row.decision is None else [],
        decision=words.QuarantineDecision(row.decision) if row.decision is not None else None,
        reason=row.reason or "",
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        cursor=f"{(row.decided_at or row.found_at).isoformat()}~{row.subject}~{row.seq}",
    )


def list_differences(
    tx: Connection, request: contract.ListDifferences, actor: Actor | None
) -> list[contract.BridgeDifference]:
    """Return what differs from the peer, with both lines, to the root organisation (BEY-16).

    Raises:
        Refused: `not_administrator`, `operators_only`, `no_bridge`; `bad_request` for a cursor that was
            never given out.

    """
    require_root(tx, actor)
    here(tx, request.peer)
    day, subject, kind = _read(request.after, date.fromisoformat, str, str) or (_NO_DAY, "", "")
    return [
        _differing(row) for row in store.differences(tx, request.all, (day, subject, kind), request.limit)
    ]


def _differing(row: store.Differing) -> contract.BridgeDifference:
    known = row.kind in set(Kind)
    return contract.BridgeDifference(
        subject=row.subject,
        transfer_id=row.transfer_id,
        kind=words.DifferenceKind(row.kind),
        day=row.day,
        ours=_line(row.ours),
        theirs=_line(row.theirs),
        found_at=row.found_at,
        seen_at=row.seen_at,
        gone_at=row.gone_at,
        automatic=known and REPAIRS[Kind(row.kind)].at_once,
        confirmed_at=row.confirmed_at,
        confirmed_by=row.confirmed_by,
        reason=row.reason or "",
        cursor=f"{row.day.isoformat()}~{row.subject}~{row.kind}",
    )


def _line(text: str) -> contract.ManifestLine | None:
    if not text:
        return None
    line = msgspec.json.decode(text, type=Kept)
    return contract.ManifestLine(
        outcome=line.outcome,
        sender_seq=line.sender_seq,
        sender_head=line.sender_head,
        receiver_seq=line.receiver_seq,
        receiver_head=line.receiver_head,
        home=words.MemberHome(line.home) if line.home is not None else None,
    )
