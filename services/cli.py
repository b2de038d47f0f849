"""The command line: run everything, run one service, and look after an installation.

eventlet must patch the process before anything else is imported, hence the first lines.
"""
from __future__ import annotations

import sys

GREEN = ("run", "serve", "demo")
if len(sys.argv) > 1 and sys.argv[1] in GREEN:
    import warnings

    warnings.filterwarnings("ignore", "(?s).*Eventlet is deprecated")
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
    import eventlet

    eventlet.monkey_patch()

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from shared import db, settings
from shared.settings import SERVICES

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Tuanqiao: organisation tree, member registry and transfers.")
dead_letters = typer.Typer(no_args_is_help=True, help="Messages that failed for good and wait for a person.")
audit = typer.Typer(no_args_is_help=True, help="The hash-chained audit trail of transfers (BEY-10).")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(audit, name="audit")


@app.callback()
def _logging() -> None:
    logging.basicConfig(level=os.environ.get("TUANQIAO_LOG", "WARNING"), format="%(asctime)s %(levelname)s %(name)s %(message)s")


@app.command()
def run(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
        folder: Annotated[Path, typer.Option(help="Where database and keys are kept.")] = Path("var/run")) -> None:
    """Run everything in this process: embedded PostgreSQL, the bus in memory, demo data, pages and API."""
    from services import embedded

    embedded.run(folder, port)


@app.command()
def serve(service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")]) -> None:
    """Run one service on RabbitMQ and PostgreSQL until SIGTERM."""
    from shared import runner

    if service not in SERVICES:
        raise typer.BadParameter(f"one of {', '.join(SERVICES)}")
    runner.serve(service, settings.from_environment())


@app.command()
def gateway(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
            host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
            threads: Annotated[int, typer.Option(help="Requests at a time.")] = 32) -> None:
    """Run the gateway under gunicorn until SIGTERM."""
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", str(threads),
                              "--bind", f"{host}:{port}", "--graceful-timeout", "15", "services.gateway.wsgi:make()"])


@app.command()
def migrate() -> None:
    """Create the databases that are missing and bring each to the newest schema."""
    from shared import migrate as migration

    migration.upgrade(settings.from_environment())
    typer.echo("all databases are at the newest schema")


@app.command()
def keys() -> None:
    """Make the key files in $TUANQIAO_KEYS unless they are there."""
    from services import embedded

    folder = settings.from_environment().keys
    embedded.make_keys(folder)
    typer.echo(f"keys are in {folder}")


@app.command()
def seed(size: Annotated[str, typer.Option(help="small, national, or the path of a villages file for the whole tree.")] = "small") -> None:
    """Load an organisation tree into the database of orgs; repeated without harm."""
    from services import embedded

    loaded = embedded.seed_orgs(settings.from_environment(), size)
    typer.echo(f"{loaded} organisations loaded")


@app.command()
def demo(folder: Annotated[Path | None, typer.Option(help="Keep the database here; default is a folder that is removed at the end.")] = None,
         graduates: Annotated[int, typer.Option(help="How many graduates.")] = 3000) -> None:
    """Run the main job without a screen and check the invariants; exits with 1 if one does not hold."""
    from services import demo as demonstration

    raise typer.Exit(demonstration.main(folder, graduates))


def _engines() -> list[tuple[str, sa.Engine]]:
    made = settings.from_environment()
    return [(service, db.connect(made.database(service))) for service in SERVICES]


@dead_letters.command("list")
def list_dead() -> None:
    """List dead letters of every service: id, topic, attempts, error."""
    total = 0
    for service, engine in _engines():
        with engine.connect() as tx:
            for row in tx.execute(sa.text("SELECT * FROM failed_messages WHERE next_attempt_at IS NULL ORDER BY id")):
                typer.echo(f"{service}:{row.id}  {row.topic}  attempts {row.attempts}  {row.failed_at:%Y-%m-%d %H:%M:%S}  {row.error}")
                total += 1
    typer.echo(f"{total} dead letters")


def _find(letter: str) -> tuple[sa.Engine, int]:
    service, _, number = letter.partition(":")
    if service not in SERVICES or not number.isdigit():
        raise typer.BadParameter("give a dead letter as SERVICE:ID, as `dead-letters list` shows it")
    return db.connect(settings.from_environment().database(service)), int(number)


@dead_letters.command("show")
def show_dead(letter: Annotated[str, typer.Argument(help="SERVICE:ID")]) -> None:
    """Show one dead letter with its body."""
    engine, number = _find(letter)
    with engine.connect() as tx:
        row: Any = tx.execute(sa.text("SELECT * FROM failed_messages WHERE id = :id"), {"id": number}).one_or_none()
    if row is None:
        raise typer.BadParameter(f"there is no dead letter {letter}")
    for name, value in row._mapping.items():
        typer.echo(f"{name}: {value}")


@dead_letters.command("replay")
def replay_dead(letter: Annotated[str, typer.Argument(help="SERVICE:ID, or SERVICE:all")]) -> None:
    """Hand a dead letter to its service again, at once and with all its tries."""
    every = letter.endswith(":all")
    engine, number = _find(letter.replace(":all", ":0"))
    with engine.begin() as tx:
        done = tx.execute(sa.text("UPDATE failed_messages SET next_attempt_at = now(), attempts = 0"
                                  " WHERE next_attempt_at IS NULL AND (id = :id OR :every)"), {"id": number, "every": every}).rowcount
    typer.echo(f"{done} handed back; the service takes them up within 30 seconds")
    if not done:
        raise typer.Exit(1)


@audit.command("verify")
def verify_audit() -> None:
    """Recompute every hash chain; exits with 1 and lists the transfers whose chain is broken."""
    from services.transfers import store

    engine = db.connect(settings.from_environment().database("transfers"))
    with engine.connect() as tx:
        read, broken = store.verify_audit(tx)
    typer.echo(f"{read} audit rows read, {len(broken)} broken chains")
    for transfer_id in broken:
        typer.echo(f"broken: transfer {transfer_id}")
    if broken:
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the `tuanqiao` command."""
    app()


if __name__ == "__main__":
    main()
