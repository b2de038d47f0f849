"""The proof of all audit logs at once (BEY-10).

The logs are checked against the heads that the scheduler keeps and, if given, against a file of
heads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from services.scheduler import heads as scheduler_heads
from services.transfers import trail
from services.transfers.log import prove_seals
from shared import audit, db
from shared.audit import Head
from shared.settings import Settings, role

WITHOUT = "scheduler"
"""It has no audit log, and keeps the heads of the others."""


def logs(settings: Settings) -> list[str]:
    """Return the services of an installation with an audit log; each bridge has one of its own."""
    return [service for service in settings.services if service != WITHOUT]


class Proof(NamedTuple):
    """What was found of one log.

    That is: the lines read, a hash of all its heads, how many heads the scheduler keeps (of trails:
    how many lines are sealed), and what does not fit.
    """

    what: str
    lines: int
    head: str
    kept: int
    broken: list[str]


class _Line(msgspec.Struct):
    service: str
    lane: int
    rows: int
    hash: str


def _reading(settings: Settings, service: str) -> tuple[sa.Engine, sa.Connection]:
    engine = db.connect(settings.database(service))
    return engine, engine.connect().execution_options(isolation_level="REPEATABLE READ")


def heads(settings: Settings) -> list[str]:
    """Return the heads of all logs as lines of JSON.

    They are to be kept where nobody can reach them who can reach the databases.
    """
    lines = []
    for service in logs(settings):
        engine, tx = _reading(settings, service)
        with tx:
            lines += [
                msgspec.json.encode(_Line(service, head.lane, head.rows, head.hash.hex())).decode()
                for head in audit.heads(tx)
            ]
        engine.dispose()
    return lines


def read_heads(file: Path) -> dict[str, list[Head]]:
    """Return the heads of a file that `heads` has made, by service.

    Raises:
        ValueError: A line is no head; it says which.

    """
    found: dict[str, list[Head]] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        try:
            head = msgspec.json.decode(line, type=_Line)
            found.setdefault(head.service, []).append(Head(head.lane, head.rows, bytes.fromhex(head.hash)))
        except (msgspec.MsgspecError, ValueError):
            raise ValueError(f"{file} line {number} is no head") from None
    return found


def prove(settings: Settings, outside: dict[str, list[Head]] | None = None) -> Iterable[Proof]:
    """Yield the proof of each log.

    The heads are read before the logs, so that a log that grows meanwhile still fits.
    """
    engine, tx = _reading(settings, "scheduler")
    with tx:
        kept = {service: scheduler_heads.kept(tx, service) for service in logs(settings)}
    engine.dispose()
    for service in logs(settings):
        engine, tx = _reading(settings, service)
        with tx:
            yield _prove(tx, service, kept[service], (outside or {}).get(service, []))
            if service == "transfers":
                yield _trails(tx)
        engine.dispose()


_ON_THE_WAY = sa.text("""
    SELECT EXISTS (
        SELECT 1 FROM outbox
        WHERE topic = :topic
          AND (published_at IS NULL OR published_at > clock_timestamp() - interval '1 minute')
    )""")


def _prove(tx: sa.Connection, service: str, kept: list[Head], outside: list[Head]) -> Proof:
    lines, broken = audit.verify(tx, [*kept, *outside])
    own = audit.heads(tx)
    words = [f"lane {one.lane} line {one.seq}: {one.what}" for one in broken]
    longest: dict[int, int] = {}
    for head in kept:
        longest[head.lane] = max(head.rows, longest.get(head.lane, 0))
    lost = {lane: told for lane, told in audit.told(tx).items() if longest.get(lane, 0) < told}
    if lost and not tx.scalar(_ON_THE_WAY, {"topic": f"{role(service)}_log_grew"}):
        words += [
            f"lane {lane}: the scheduler was told of {told} lines and keeps no such head"
            for lane, told in lost.items()
        ]
    digest = hashlib.sha256(b"".join(head.hash for head in own)).hexdigest()[:16] if own else ""
    return Proof(service, lines, digest, len(kept), words)


def _trails(tx: sa.Connection) -> Proof:
    lines, broken = trail.verify_audit(tx)
    seals = prove_seals(tx)
    words = [f"transfer {one}: the trail was changed" for one in broken]
    return Proof(
        "trails of transfers",
        lines,
        f"{seals.waiting} not sealed yet" if seals.waiting else "all sealed",
        seals.lines,
        [*words, *(one for one in seals.broken if one not in words)],
    )


def table(proofs: Iterable[Proof]) -> tuple[list[str], bool]:
    """Return what is to be printed, and whether everything fits."""
    rows = list(proofs)
    lines = [f"{'log':<20}{'lines':>12}  {'head':<18}{'kept':>10}  result"]
    for one in rows:
        result = f"{len(one.broken)} broken" if one.broken else "ok"
        lines.append(f"{one.what:<20}{one.lines:>12}  {one.head:<18}{one.kept:>10}  {result}")
    lines += [f"broken: {one.what}: {word}" for one in rows for word in one.broken]
    return lines, not any(one.broken for one in rows)
