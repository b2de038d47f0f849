"""The command line of a bridge: `tuanqiao federation BJ status` and the like, on its database (FED-11)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
import typer

from shared import clock, db, settings
from shared.settings import Environment

app = typer.Typer(
    no_args_is_help=True,
    help="A bridge to another system: its state, pause, quarantine, differences, evidence, keys (FED-11).",
)
keys = typer.Typer(no_args_is_help=True, help="The keys with which messages are signed (BEY-16).")
app.add_typer(keys, name="keys")
MOST = 500
"""Lines of a list."""
FAR = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@app.callback()
def bridge(context: typer.Context, peer: Annotated[str, typer.Argument(help="As BJ.")]) -> None:
    """Look after the bridge to a system."""
    context.obj = peer.upper()


@contextmanager
def _open(context: typer.Context) -> Iterator[sa.Connection]:
    """Yield a transaction on the bridge's database."""
    from services.federation import settings as federation_settings

    made = settings.from_environment()
    if context.obj not in made.peers:
        raise typer.BadParameter(f"one of {', '.join(made.peers) or 'none'}, the bridges of TUANQIAO_PEERS")
    engine = db.connect(made.database(settings.bridge(context.obj)))
    db.give_settings(engine, federation_settings.read(context.obj, Environment(), made))
    try:
        with engine.begin() as tx:
            yield tx
    finally:
        engine.dispose()


def _at(instant: dt.datetime | None) -> str:
    return f"{instant.astimezone(clock.CHINA):%Y-%m-%d %H:%M:%S}" if instant is not None else "never"


@app.command("status")
def status(context: typer.Context) -> None:
    """Say how the bridge is: whether the peer answers, what waits, what is in doubt, keys, comparisons."""
    from services.federation.operating import views
    from services.federation.operating.desk import bridge_of

    with _open(context) as tx:
        found = views.state(tx, bridge_of(tx), clock.now())
    for name, value in _lines(found):
        typer.echo(f"{name:<16}{value}")


def _lines(found: Any) -> Iterator[tuple[str, str]]:
    if found.up is None:
        yield "peer", "never called"
    elif found.up:
        yield "peer", f"answers since {_at(found.up_since)}, last {_at(found.answered_at)}"
    else:
        yield (
            "peer",
            f"away since {_at(found.down_since)}, {found.failures} tries, next {_at(found.probe_at)}",
        )
    if found.paused_at is not None:
        yield "paused", f"since {_at(found.paused_at)}: {found.paused_reason}"
    if found.skew_ms is not None:
        yield "clock", f"{found.skew_ms / 1000:+.1f} s ahead of ours"
    queues, day = found.queues, found.day
    yield "ours", f"{queues.waiting} waiting, {queues.parked} parked"
    yield "theirs", f"{queues.held} held, {queues.quarantined} in quarantine"
    if found.oldest is not None:
        one = found.oldest
        yield "oldest", f"{one.subject} {one.seq} {one.type}, unreceipted since {_at(one.said_at)}"
    yield "last day", f"{day.sent} sent in {day.tries} tries, {day.refused} refused"
    yield "", f"{day.received} received, {day.not_taken} not taken"
    yield "open", ", ".join(f"{one.count} {one.state}" for one in found.open) or "nothing"
    if found.in_doubt:
        yield "in doubt", f"{found.in_doubt}, the oldest since {_at(found.in_doubt_since)}"
    yield "differences", str(found.differences)
    for compared in found.reconciled[:7]:
        clean = "clean" if not compared.differing else f"{compared.differing} differ"
        yield f"  {compared.day}", f"{compared.transfers} transfers, {clean}, {_at(compared.compared_at)}"
    if found.wanted:
        yield "to compare", f"{len(found.wanted)} days"
    reading = found.reading
    yield "directory", "never read" if reading is None else f"read {_at(reading.ended_at)}"
    yield "versions", f"{found.version}; theirs {found.peer_version or 'not known'}"
    for key in found.keys:
        yield from _key_lines(key)


def _key_lines(key: Any) -> Iterator[tuple[str, str]]:
    whose = "our key" if key.own else "their key"
    state = "revoked" if key.revoked else f"{key.days_left} days left"
    used = ", in use" if key.in_use else ""
    yield whose, f"{key.kid} {key.alg}, {_at(key.valid_from)} to {_at(key.valid_until)}, {state}{used}"


@app.command("pause")
def pause(
    context: typer.Context, reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")]
) -> None:
    """Let nothing go out to the peer; what comes is taken."""
    from services.federation.operating import by_hand

    with _open(context) as tx:
        done = by_hand.pause(tx, reason)
    _say(done, "paused", "it is paused already")


@app.command("resume")
def resume(context: typer.Context) -> None:
    """Let everything go out again."""
    from services.federation.operating import by_hand

    with _open(context) as tx:
        done = by_hand.resume(tx)
    _say(done, "resumed", "it is not paused")


def _say(done: bool, words: str, otherwise: str) -> None:
    typer.echo(words if done else otherwise, err=not done)
    if not done:
        raise typer.Exit(1)


@app.command("quarantine")
def quarantine(context: typer.Context) -> None:
    """List messages that were impossible when they came and that nobody has decided about."""
    from services.federation.operating import store

    with _open(context) as tx:
        rows = store.undecided(tx, (FAR, "", 0), MOST)
    for row in rows:
        typer.echo(f"{_at(row.found_at)}  {row.subject} {row.seq}  {row.type}  at {row.state}: {row.why}")
    typer.echo(f"{len(rows)} messages; decide about them on the page of the bridge")


@app.command("differences")
def differences(context: typer.Context) -> None:
    """List what differs from the peer and nobody has confirmed, with what is proposed. Exit code 1 if any."""
    from services.federation.operating import store
    from shared.messages.words import DifferenceKind

    with _open(context) as tx:
        rows = store.differences(tx, False, (dt.date(1, 1, 1), "", ""), MOST)
    for row in rows:
        typer.echo(f"{row.day}  {row.subject}  {row.kind}: {DifferenceKind(row.kind).repair_en}")
        typer.echo(f"  here   {row.ours or 'nothing'}")
        typer.echo(f"  there  {row.theirs or 'nothing'}")
    typer.echo(f"{len(rows)} differences")
    if rows:
        raise typer.Exit(1)


@app.command("evidence")
def evidence(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="A transfer as messages name it: national:7, BJ:7.")],
    file: Annotated[Path, typer.Argument(help="New file, a zip.")],
) -> None:
    """Write the evidence of one transfer: messages, receipts, keys, and a script that verifies them alone."""
    from services.federation.operating import by_hand

    with _open(context) as tx:
        made = by_hand.take_evidence(tx, subject)
        if made is None:
            raise typer.BadParameter(f"this bridge has no transfer {subject}")
        try:
            with file.open("xb") as out:  # inside, so that nothing is written down that was not taken
                out.write(made.zip)
        except OSError as error:
            raise typer.BadParameter(f"{file}: {error.strerror}") from None
    typer.echo(f"{file}: {len(made.zip)} bytes, SHA-256 {made.sha256}")


@app.command("reconcile")
def reconcile(
    context: typer.Context,
    day: Annotated[str, typer.Option(help="As 2026-07-01; by default the last 30, and what is open.")] = "",
) -> None:
    """Have days compared with the peer; the running bridge does so within seconds."""
    from services.federation.operating import by_hand

    try:
        wanted = dt.date.fromisoformat(day) if day else None
    except ValueError:
        raise typer.BadParameter("a day as 2026-07-01") from None
    with _open(context) as tx:
        count = by_hand.reconcile(tx, wanted)
    typer.echo(f"{count} days are to be compared")


@keys.command("show")
def show_keys(context: typer.Context) -> None:
    """List the keys of both sides with their validity, and print the public parts of ours."""
    from services.federation.operating import views
    from services.federation.operating.desk import bridge_of

    with _open(context) as tx:
        bridge_keys = bridge_of(tx)
        found = views.keys(bridge_keys, clock.now())
    for key in found:
        for name, value in _key_lines(key):
            typer.echo(f"{name:<12}{value}")
    for public in bridge_keys.keys.published():
        typer.echo(msgspec.json.encode(public).decode())


@keys.command("rotate")
def rotate_keys(
    context: typer.Context, alg: Annotated[str, typer.Option(help="Ed25519 or ES256.")] = "Ed25519"
) -> None:
    """Make a new key to sign with, and print its public part to be handed to the peer.

    It is used from a day later on; the key before it is good for a week more. The first is used at once.
    """
    from services.federation.operating import by_hand
    from services.federation.operating.desk import bridge_of

    with _open(context) as tx:
        ours = bridge_of(tx)
        if alg not in ours.keys.algorithms:
            raise typer.BadParameter(f"one of {', '.join(ours.keys.algorithms)}")
        made = ours.keys.rotate(clock.now(), alg)
        by_hand.note(tx, "bridge.key", ref=f"{made.kid} made")
    typer.echo(msgspec.json.format(msgspec.json.encode(made)).decode())


@keys.command("add")
def add_key(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A public key that the peer has given.")],
) -> None:
    """Believe a key of the peer's. Compare its id with what its operators read out by telephone."""
    from services.federation.operating import by_hand
    from services.federation.operating.desk import bridge_of
    from shared.keyfiles import read

    try:
        key = read(file)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    with _open(context) as tx:
        ours = bridge_of(tx).keys
        # nobody brings a revoked key back by handing it over again
        if key.kid in ours.ring().peer:
            raise typer.BadParameter(f"{key.kid} is here already")
        try:
            ours.add(key)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        by_hand.note(tx, "bridge.key", ref=f"{key.kid} added")
    typer.echo(key.kid)


@keys.command("revoke")
def revoke_key(context: typer.Context, kid: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Believe a key no more, ours or the peer's: at once, and whatever it has signed before."""
    from services.federation.operating import by_hand
    from services.federation.operating.desk import bridge_of

    with _open(context) as tx:
        count = bridge_of(tx).keys.revoke(kid, clock.now())
        if count:
            by_hand.note(tx, "bridge.key", ref=f"{kid} revoked")
    _say(bool(count), "revoked", "no key has this id")
