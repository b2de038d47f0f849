"""The command line: run everything, run one service, and look after an installation.

eventlet must patch the process before anything else is imported, hence the first lines.
"""

from __future__ import annotations

import sys
import warnings

GREEN = ("run", "demo", "season")
warnings.filterwarnings("ignore", "(?s).*Eventlet is deprecated")
if len(sys.argv) > 1 and sys.argv[1] in GREEN:
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
    import eventlet

    eventlet.monkey_patch()

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
import typer
from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from shared import clock, db, settings
from shared.errors import Refused
from shared.settings import SERVICES
from system import federation

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tuanqiao: organisation tree, member registry and transfers.",
)
dead_letters = typer.Typer(no_args_is_help=True, help="Messages that failed for good and wait for a person.")
audit = typer.Typer(
    no_args_is_help=True, help="The audit logs of all services: prove them, print their heads (BEY-10)."
)
app.add_typer(dead_letters, name="dead-letters")
outbox = typer.Typer(no_args_is_help=True, help="What the services have told: tell it again.")
app.add_typer(outbox, name="outbox")
keys = typer.Typer(help="Key files: make them, rotate the keys of ID numbers and phones.")
policy = typer.Typer(
    no_args_is_help=True,
    help="Deadline policies: list, check a file, compare two, try one on the open nodes (BEY-07).",
)
app.add_typer(audit, name="audit")
app.add_typer(policy, name="policy")
app.add_typer(keys, name="keys")
stats = typer.Typer(
    no_args_is_help=True, help="The statistics of transfers: prove them, count them again (STAT-10..15)."
)
app.add_typer(stats, name="stats")
names = typer.Typer(
    no_args_is_help=True, help="Full names of organisations: build them anew from the path (ORG-09)."
)
app.add_typer(names, name="names")


backup = typer.Typer(
    help="Backups of all databases: make one, list and watch them, prove that one can be restored."
)
app.add_typer(backup, name="backup")


administrator = typer.Typer(
    no_args_is_help=True, help="Administrators that nobody can appoint: the first one (ADM-10)."
)
app.add_typer(administrator, name="administrator")
app.add_typer(federation.app, name="federation")


PolicyFile = Annotated[str, typer.Argument(help="A name or a .toml file.")]


@app.callback()
def _logging() -> None:
    settings.begin_log()


@app.command()
def run(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
    folder: Annotated[Path, typer.Option(help="Where database and keys are kept.")] = Path("var/run"),
) -> None:
    """Run everything in this process: embedded PostgreSQL, the bus in memory, demo data, pages and API."""
    from system import embedded

    embedded.run(folder, port)


@app.command()
def serve(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}, federation.")],
    peer: Annotated[str, typer.Argument(help="Of federation: to which system, as BJ.")] = "",
) -> None:
    """Run one service on RabbitMQ and PostgreSQL until SIGTERM."""
    name = _service(settings.from_environment(), service, peer)
    os.execv(sys.executable, [sys.executable, "-m", "system.serving", name])


def _service(made: settings.Settings, name: str, peer: str = "") -> str:
    """Return a service of this installation by its name, or by `federation` and its peer."""
    service = settings.bridge(peer) if name == settings.FEDERATION else name
    if service not in made.services:
        raise typer.BadParameter(f"one of {', '.join(made.services)}; bridges are named by TUANQIAO_PEERS")
    return service


@app.command()
def gateway(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
    threads: Annotated[int, typer.Option(help="Requests at a time.")] = 32,
) -> None:
    """Run the gateway until SIGTERM; `/healthz`, `/readyz` and `/metrics` are on $TUANQIAO_HEALTH_PORT."""
    from services.gateway.serving import serve as serving_serve

    try:
        serving_serve.serve(host, port, threads, settings.from_environment())
    except OSError as error:
        typer.echo(f"cannot listen: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def certificate(
    folder: Annotated[Path, typer.Option(help="Where fullchain.pem and private.pem are kept.")] = Path(
        "var/tls"
    ),
    host: Annotated[str, typer.Option(help="Name of the host.")] = "localhost",
) -> None:
    """Make a certificate signed by itself unless one is there, so that the front can start."""
    from services.gateway.serving import certificate as serving_certificate

    made = serving_certificate.make(folder, host)
    done = "a certificate was made; browsers warn of it" if made else "there is a certificate"
    typer.echo(f"{folder}: {done}")


@app.command()
def migrate() -> None:
    """Create the databases that are missing and bring each to the newest schema."""
    from shared import migrate as migration

    try:
        migration.upgrade(settings.from_environment())
    except migration.Stopped as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(1) from None
    typer.echo("all databases are at the newest schema")


@app.command()
def restored(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}, or all.")],
) -> None:
    """Say that a database was put back to an earlier state, before its service starts again.

    From then on nothing that was handed out and lost comes back: numbers of transfers, people,
    organisations and letters, versions. To be said after a dump, a disk or a standby without its last
    transactions has taken the place of a database; a failover and a recovery to a point in time are
    noticed by the service itself. It prints what is still to be done. May be repeated.
    """
    from system import restored as system_restored

    made = settings.from_environment()
    try:
        for one in made.services if service == "all" else [_service(made, service)]:
            for line in system_restored.begin(made.database(one), one, made.services):
                typer.echo(line)
    except system_restored.InUse as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@keys.callback(invoke_without_command=True)
def make_keys(context: typer.Context) -> None:
    """Make the key files in $TUANQIAO_KEYS unless they are there."""
    from system import embedded

    if context.invoked_subcommand is None:
        made = settings.from_environment()
        folder = made.keys
        embedded.make_keys(folder, made.peers)
        typer.echo(f"keys are in {folder}")
        typer.echo(
            f"first installation: open /setup; its token is {(folder / 'setup_token').read_text().strip()}"
        )


@keys.command("rotate")
def rotate_keys() -> None:
    """Add a new key of ID numbers and phones and seal everything with it anew.

    The services run meanwhile. If the command is stopped, start it again.

    Afterwards restart the members service and forget the old keys with `keys forget`.
    """
    from services.members.sealing import handlers as sealing
    from services.members.sealing import seal as sealing_seal

    made = settings.from_environment()
    number = sealing_seal.rotate(made.keys)
    typer.echo(f"key {number} is the current one; sealing anew")
    done = _seal_anew(db.connect(made.database("members")), sealing_seal.Seal(made.keys), sealing)
    typer.echo(f"{done} values sealed with key {number}; restart members, then `tuanqiao keys forget`")


def _seal_anew(engine: sa.Engine, seal: Any, anew: Any) -> int:
    done, after = 0, 0
    while True:
        with engine.begin() as tx:
            some, after = anew.some(tx, seal, after)
        done += some
        if not some:
            break
        typer.echo(f"  {done} people")
    with engine.begin() as tx:
        done += int(anew.others(tx, seal))
    return int(done)


@keys.command("forget")
def forget_keys() -> None:
    """Seal what is left anew, then take every key but the current one out of the file.

    Backups sealed with the old keys cannot be read any more.
    """
    from services.members.sealing import handlers as sealing
    from services.members.sealing import seal as sealing_seal

    made = settings.from_environment()
    seal = sealing_seal.Seal(made.keys)
    left = _seal_anew(db.connect(made.database("members")), seal, sealing)
    old = {number for number in seal.numbers if number != seal.current}
    sealing_seal.forget(made.keys, old)
    typer.echo(f"{left} values sealed anew, {len(old)} keys forgotten")


@keys.command("seal")
def rotate_seal_keys(
    show: Annotated[bool, typer.Option("--show", help="Make none; print those that there are.")] = False,
) -> None:
    """Make a new key for what other systems seal for this one, and print it to be handed to them.

    It is the public part alone, valid from a day later; the key before it is good for a week more. What
    they have sealed for old keys can still be opened: no file is to be taken away.
    """
    from services.members.crossings import seals

    folder = settings.from_environment().keys
    for made in seals.files(folder).published() if show else [seals.rotate(folder, clock.now())]:
        typer.echo(msgspec.json.format(msgspec.json.encode(made)).decode())


@keys.command("peer")
def take_seal_key(
    peer: Annotated[str, typer.Argument(help="BJ, GD or FJ.")],
    file: Annotated[Path, typer.Argument(help="The public key that its registry has handed over.")],
) -> None:
    """Take the key with which members are sealed for the registry of another system.

    Compare the id that is printed with them, by telephone.
    """
    from services.members.crossings import seals

    try:
        kid = seals.bring(settings.from_environment().keys, peer, file)
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{peer}: {kid}")


@keys.command("identity")
def make_key_identity(
    file: Annotated[Path, typer.Argument(help="New file; keep it away from this host and the backups.")],
) -> None:
    """Make the identity that opens saved keys, and print its recipient, which `keys save` seals them to."""
    from system.backup import keys as kept_keys

    with _failing():
        recipient = kept_keys.make_identity(file)
    typer.echo(recipient)


@keys.command("save")
def save_keys(
    file: Annotated[
        Path, typer.Argument(help="New file, - for the standard output; not beside the backups.")
    ],
    recipient: Annotated[str, typer.Option(help="age1..., as `keys identity` printed it.")],
) -> None:
    """Save the key files, sealed: without them nobody reads the numbers in a restored database.

    Again after each `keys rotate`. Only the identity of the recipient opens the file (age).
    """
    from system.backup import keys as kept_keys

    with _failing():
        names = kept_keys.save(settings.from_environment().keys, file, recipient)
    typer.echo(f"saved: {', '.join(names)}", err=True)


@keys.command("load")
def load_keys(
    file: Annotated[Path, typer.Argument(help="A file of `keys save`.")],
    identity: Annotated[Path, typer.Option(help="The file of `keys identity`.")],
) -> None:
    """Bring saved key files back into $TUANQIAO_KEYS; none is overwritten."""
    from system.backup import keys as kept_keys

    with _failing():
        names = kept_keys.load(file, settings.from_environment().keys, identity)
    typer.echo(f"back: {', '.join(names)}")


@contextmanager
def _failing() -> Iterator[None]:
    """End the command with the words of what cannot be done."""
    from system.backup.tool import Failed

    try:
        yield
    except Failed as failed:
        typer.echo(str(failed), err=True)
        raise typer.Exit(1) from None
    except sa.exc.OperationalError as error:
        typer.echo(f"a database does not answer: {str(error.orig).strip()}", err=True)
        raise typer.Exit(1) from None


Scratch = Annotated[
    Path, typer.Option(help="Where copies are made while the command runs; needs the size of a cluster.")
]


@backup.callback(invoke_without_command=True)
def make_backup(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="A whole one, also within the week.")] = False,
) -> None:
    """Back up every database with pgBackRest, encrypted: whole once a week, what has changed otherwise.

    Each backup says what it holds: schema, rows, heads of the audit logs, position in the WAL. The
    repository is proved afterwards. Keys are saved apart, with `keys save`.
    """
    from system.backup import making, tool

    if context.invoked_subcommand is None:
        with _failing():
            making.make(settings.from_environment(), tool.Tool(), full, typer.echo)


@backup.command("list")
def list_backups() -> None:
    """List the backups with what they hold; one may go back to any instant after the first."""
    from system.backup import making, tool

    with _failing():
        pgbackrest = tool.Tool()
        for stanza in pgbackrest.folders:
            for one in pgbackrest.info(stanza).backup:
                typer.echo(making.describe(stanza, one))


@backup.command("watch")
def watch_backups(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 9100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve `/metrics` until SIGTERM: how old the backups are, and whether WAL arrives."""
    from system.backup import tool, watch

    with _failing():
        watch.serve(settings.from_environment(), tool.Tool(), host, port)


@backup.command("prove")
def prove_backup(scratch: Scratch = Path("/var/tmp")) -> None:
    """Restore the newest backup aside, compare it with what it should hold, and throw the copy away."""
    from system.backup import restoring, tool

    with _failing():
        restoring.prove(settings.from_environment(), tool.Tool(), scratch, typer.echo)


@app.command()
def restore(
    services: Annotated[
        list[str] | None, typer.Argument(help=f"Of {', '.join(SERVICES)}; all if none is named.")
    ] = None,
    to: Annotated[
        str, typer.Option(help="Instant with its zone, 2027-08-31T14:05+08:00; default: all there is.")
    ] = "",
    timeline: Annotated[
        str, typer.Option(help="Where to find what an earlier restore gave up: the number before its own.")
    ] = "",
    scratch: Scratch = Path("/var/tmp"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Bring databases back from the backups, to the newest or an earlier instant.

    Stop the services first. Where all services of a PostgreSQL cluster are wanted, stop its server,
    too: its folder is restored. Otherwise the server runs on, the cluster is restored aside, and the
    database taken out of the copy. docs/operations.md has the procedures.
    """
    from system.backup import restoring, tool

    point = restoring.Point(_instant(to), timeline=timeline)
    with _failing():
        pgbackrest = tool.Tool()
        parts = restoring.plan(pgbackrest, services or settings.from_environment().services, point)
        when = f"{point.at:%Y-%m-%d %H:%M:%S %z}" if point.at else "the end of the WAL in the repository"
        for part in parts:
            where = f"in {pgbackrest.folders[part.stanza]}" if part.in_place else "in the running server"
            typer.echo(f"{', '.join(part.wanted)}: to {when}, {where}")
        if not yes:
            typer.confirm("What was written after that is given up. Go on?", abort=True)
        for part in parts:
            restoring.restore(settings.from_environment(), pgbackrest, part, point, scratch, typer.echo)


def _instant(text: str) -> dt.datetime | None:
    """Return an instant that names its zone; None where none was given."""
    try:
        at = dt.datetime.fromisoformat(text) if text else None
    except ValueError:
        at = dt.datetime.min
    if at is not None and at.tzinfo is None:
        raise typer.BadParameter("--to takes an instant with its zone, such as 2027-08-31T14:05+08:00")
    return at


@app.command()
def figures(
    file: Annotated[Path, typer.Argument(help="CSV file of lines org_id,members with a header.")],
) -> None:
    """Load the numbers of members of 2017 that the entry progress is compared with; repeated without harm."""
    import csv

    from services.members.lists import store as lists_store

    rows = []
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for number, line in enumerate(csv.DictReader(lines), start=2):
            try:
                rows.append({"org_id": int(line["org_id"]), "members": int(line["members"])})
            except (KeyError, TypeError, ValueError):
                raise typer.BadParameter(f"{file} line {number}: needs org_id,members") from None
    with db.connect(settings.from_environment().database("members")).begin() as tx:
        lists_store.set_figures(tx, rows)
    typer.echo(f"{len(rows)} organisations")


@app.command("reset-code")
def reset_code(
    person: Annotated[int, typer.Argument(help="Number of the person, as lists of administrators show it.")],
) -> None:
    """Make a code that resets a person's password, where no administrator can (ACC-06).

    It is the last way back into the root's own account.
    """
    from services.members.accounts import handlers as accounts

    try:
        with _members_with_keys().begin() as tx:
            code, expires_at = accounts.issue_code_by_hand(tx, person)
    except Refused as refused:
        raise typer.BadParameter(refused.refusal.say("en")) from None
    typer.echo(f"{code}, good once, until {expires_at:%Y-%m-%d %H:%M} UTC; hand it over in person")


@administrator.command("create")
def create_administrator(
    name: Annotated[str, typer.Option(prompt="Name, as on the ID card")],
    id_number: Annotated[str, typer.Option(prompt="ID number")],
    phone: Annotated[str, typer.Option(help="Telephone number.")] = "",
    org: Annotated[int, typer.Option(help="Number of the organisation; 0: the root.")] = 0,
    post: Annotated[str, typer.Option(help="Post held there; the first that is free if not given.")] = "",
    force: Annotated[bool, typer.Option(help="Also where the organisation has administrators.")] = False,
) -> None:
    """Make a person the administrator of an organisation that has none, by default of the root.

    The command prints, once, a code that opens the account.

    Ask without options, so that the number stays out of the shell's history. Repeated for the same
    person it changes nothing. The services have to run, or to be started, for the right to arrive.
    """
    from services.members.founding import handlers as founding

    try:
        with _members_with_keys().begin() as tx:
            done = founding.make(tx, name, id_number, phone, org or None, post=post, force=force)
            code = founding.code_for(tx, done.person_id)
    except Refused as refused:
        _say_refusal(refused)
        raise typer.Exit(1) from None
    typer.echo(f"person {done.person_id} administers {done.org_name} ({done.org_id})")
    if code:
        until = f"{code[1]:%Y-%m-%d %H:%M} UTC"
        typer.echo(f"code {code[0]}, good once, until {until}: choose a password with it at /forgot")
    else:
        typer.echo("the account has its password")


def _members_with_keys() -> sa.Engine:
    """Return the database of members with its settings, and with the keys in use that seal its numbers."""
    from services.members import settings as members_settings
    from services.members.accounts import handlers as accounts

    made = settings.from_environment()
    accounts.use(made.keys)
    engine = db.connect(made.database("members"))
    db.give_settings(engine, members_settings.read(settings.Environment(), made))
    return engine


def _say_refusal(refused: Refused) -> None:
    hint = ""
    if refused.code == "unknown_org":
        hint = "; is the tree loaded (tuanqiao seed) and do orgs and members run?"
    typer.echo(f"{refused.refusal.say('zh')} / {refused.refusal.say('en')}{hint}", err=True)


@app.command()
def seed(
    size: Annotated[
        str, typer.Option(help="small, national, or the path of a villages file for the whole tree.")
    ] = "small",
) -> None:
    """Load an organisation tree into the database of orgs; repeated without harm."""
    from system import embedded

    loaded = embedded.seed_orgs(settings.from_environment(), size)
    typer.echo(f"{loaded} organisations loaded")


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep the database here; default is a folder that is removed at the end."),
    ] = None,
    graduates: Annotated[int, typer.Option(help="How many graduates.")] = 3000,
) -> None:
    """Run the main job without a screen and check the invariants; exits with 1 if one does not hold."""
    from system import demo as demonstration

    raise typer.Exit(demonstration.main(folder, graduates))


@app.command()
def season(
    policy: Annotated[str, typer.Option(help="Policy: a name or a .toml file.")] = "national",
    against: Annotated[
        list[str], typer.Option(help="Another policy, side by side; may be given again; empty for none.")
    ] = ["p002"],  # noqa: B006
    graduates: Annotated[int, typer.Option(help="How many graduates.")] = 50_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same season.")] = 1,
    until: Annotated[str, typer.Option(help="The last day, MM-DD.")] = "12-31",
    out: Annotated[Path, typer.Option(help="Folder for the page, the charts and the figures.")] = Path(
        "var/season"
    ),
    one: Annotated[str, typer.Option(hidden=True)] = "",
    folder: Annotated[Path, typer.Option(hidden=True)] = Path("var/season-db"),
) -> None:
    """Simulate a season, 1 May to 31 December, under one policy or several: what a policy would do.

    Exits with 1 if an invariant breaks.
    """
    import json

    from system import season as simulation

    last = _day_of_year(until)
    if one:
        print(json.dumps(simulation.one(one, graduates, seed, last, folder)), flush=True)
        os._exit(0)  # the embedded server is stopped; its own clean-up at exit does not go with eventlet
    names = [policy, *filter(None, against)]
    for name in names:
        _policy(name)
    raise typer.Exit(simulation.main(names, graduates, seed, until, out))


def _day_of_year(text: str) -> tuple[int, int]:
    """Return month and day of MM-DD."""
    try:
        day = dt.date(2024, *map(int, text.split("-")))
    except (TypeError, ValueError):
        raise typer.BadParameter("--until takes a day of the year such as 12-31") from None
    return day.month, day.day


def _engines() -> list[tuple[str, sa.Engine]]:
    made = settings.from_environment()
    return [(service, db.connect(made.database(service))) for service in made.services]


@app.command()
def doctor(
    only: Annotated[
        list[str],
        typer.Option(help="Look at this kind only; may be given again.", metavar="KIND"),
    ] = [],  # noqa: B006
    repair: Annotated[
        bool, typer.Option("--repair", help="Tell again what heals; the rest is left to a person.")
    ] = False,
    lost: Annotated[
        bool,
        typer.Option(
            "--lost",
            help="With --repair, after a restore: transfers that are nowhere any more let go of members.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with every difference.")
    ] = False,
    wait: Annotated[
        float, typer.Option(help="Least seconds from the first look at a difference to the second.", min=0)
    ] = 120.0,
    patience: Annotated[
        float, typer.Option(help="Most seconds, while messages are under way that may explain it.", min=0)
    ] = 900.0,
    pause: Annotated[float, typer.Option(help="Seconds of rest between two pieces.", min=0)] = 0.0,
    piece: Annotated[int, typer.Option(help="Rows of one piece.", min=1)] = 20_000,
    days: Annotated[int, typer.Option(help="How far back published messages are looked at.", min=0)] = 7,
    state: Annotated[Path, typer.Option(help="Where it writes how far it is.")] = Path("var/doctor.json"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was broken off.")] = False,
) -> None:
    """Compare the services' databases and say, with counts and ids, what does not agree.

    Kinds: versions, clocks, dead, reservations, timers, directory, outbox, moves, audit. It may run while
    the services do: what differs is looked at again after --wait seconds, when every message that may
    explain it has been handled, and told only if it is still the same. It reads in pieces and writes nothing
    unless --repair is given.

    Exits with 0 if everything agrees, 1 if not, 2 if it could not look.
    """
    from system.doctor import visit

    unknown = sorted({*only} - {*visit.KINDS})
    if unknown:
        raise typer.BadParameter(f"no kind {', '.join(unknown)}; there are {', '.join(visit.KINDS)}")
    plan = visit.Plan(
        only=tuple(only),
        wait=wait,
        patience=patience,
        pause=pause,
        piece=piece,
        since=dt.timedelta(days=days),
        repair=repair,
        lost=lost,
        state=state,
        resume=resume,
    )
    try:
        made = visit.Visit(settings.from_environment(), plan, lambda line: typer.echo(line, err=True))
        result = made.run()
    except visit.CannotLook as error:
        typer.echo(f"无法核对 / could not look: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(visit.as_json(result).decode() if as_json else "\n".join(visit.table(result)))
    if not result.agrees:
        raise typer.Exit(1)


@dead_letters.command("list")
def list_dead() -> None:
    """List dead letters of every service, and messages that the broker has given up.

    Of the former it says id, topic, attempts, time and error; of the latter id, topic, the queue that
    lost it, the broker's reason and time.
    """
    total = 0
    for service, engine in _engines():
        with engine.connect() as tx:
            for row in tx.execute(
                sa.text("SELECT * FROM failed_messages WHERE next_attempt_at IS NULL ORDER BY id")
            ):
                typer.echo(
                    f"{service}:{row.id}  {row.topic}  attempts {row.attempts}"
                    f"  {row.failed_at:%Y-%m-%d %H:%M:%S}  {row.error}"
                )
                total += 1
    with _dead_messages() as (_, messages):
        for one in messages:
            typer.echo(f"{one.letter}  {one.topic}  {one.queue}  {one.reason}  {one.died_at}")
            total += 1
    typer.echo(f"{total} dead letters")


@contextmanager
def _dead_messages() -> Iterator[tuple[Any, Iterator[Any]]]:
    """Give a channel, and what the broker's dead queue holds; what is not acknowledged stays there."""
    from shared.bus import connection as broker
    from shared.bus import dead, topology

    made = settings.from_environment()
    names = topology.Topology.of(made)
    try:
        with closing(broker.connect(made.amqp_uri)) as connection:
            names.declare(connection)
            channel = connection.channel()
            yield channel, dead.look(channel, names)
    except (OSError, AMQPError, KombuError) as error:
        typer.echo(f"the broker: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None


def _find(letter: str) -> tuple[sa.Engine, int]:
    service, _, number = letter.partition(":")
    made = settings.from_environment()
    if service not in made.services or not number.isdigit():
        raise typer.BadParameter(
            "give a dead letter as SERVICE:ID or broker:ID, as `dead-letters list` shows it"
        )
    return db.connect(made.database(service)), int(number)


@dead_letters.command("show")
def show_dead(letter: Annotated[str, typer.Argument(help="SERVICE:ID or broker:ID")]) -> None:
    """Show one dead letter with its body."""
    if letter.startswith("broker:"):
        _show_message(letter)
        return
    engine, number = _find(letter)
    with engine.connect() as tx:
        row: Any = tx.execute(
            sa.text("SELECT * FROM failed_messages WHERE id = :id"), {"id": number}
        ).one_or_none()
    if row is None:
        raise typer.BadParameter(f"there is no dead letter {letter}")
    for name, value in row._mapping.items():
        typer.echo(f"{name}: {value}")


def _show_message(letter: str) -> None:
    with _dead_messages() as (_, messages):
        found = [one for one in messages if one.letter == letter]
    if not found:
        raise typer.BadParameter(f"there is no dead letter {letter}")
    for one in found:  # several, if several queues have lost it
        for name in ("message_id", "topic", "queue", "reason", "died_at", "text"):
            typer.echo(f"{name}: {getattr(one, name)}")


def _replay_messages(letter: str) -> None:
    from shared.bus import dead

    done = stay = 0
    with _dead_messages() as (channel, messages):
        for one in messages:
            if letter not in (one.letter, "broker:all"):
                continue
            try:
                dead.replay(channel, one)
                done += 1
            except dead.Homeless as error:
                typer.echo(str(error), err=True)
                stay += 1
    typer.echo(f"{done} given back to the queues that lost them")
    if stay or not done:
        raise typer.Exit(1)


@dead_letters.command("replay")
def replay_dead(
    letter: Annotated[str, typer.Argument(help="SERVICE:ID, SERVICE:all, broker:ID or broker:all")],
) -> None:
    """Hand a dead letter to its service again, at once and with all its tries.

    It keeps its topic and its id, so that what it had done already is not done again.
    """
    if letter.startswith("broker:"):
        _replay_messages(letter)
        return
    every = letter.endswith(":all")
    engine, number = _find(letter.replace(":all", ":0"))
    with engine.begin() as tx:
        done = tx.execute(
            sa.text(
                "UPDATE failed_messages SET next_attempt_at = now(), attempts = 0"
                " WHERE next_attempt_at IS NULL AND (id = :id OR :every)"
            ),
            {"id": number, "every": every},
        ).rowcount
    typer.echo(f"{done} handed back; the service takes them up within 30 seconds")
    if not done:
        raise typer.Exit(1)


@outbox.command("republish")
def republish(
    service: Annotated[str, typer.Argument(help=f"Whose events: {', '.join(SERVICES)}.")],
    since: Annotated[str, typer.Option(help="Told since then, as 2026-11-26T14:30Z; UTC.")],
    topic: Annotated[
        list[str] | None, typer.Option(help="Only this event; may be given again. Default: all.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only count.")] = False,
    yes: Annotated[bool, typer.Option(help="Do not ask.")] = False,
) -> None:
    """Tell again what a service has told, where queues have lost it or a consumer was put back.

    Whoever had a message remembers it, so nothing has its effect twice; rather too much than too
    little. Refuses what is older than what consumers remember. May be stopped, and gone on with.
    """
    from system import republish as again

    made = settings.from_environment()
    try:
        wanted = again.asked(_service(made, service), since, topic or [])
    except again.CannotTell as error:
        raise typer.BadParameter(str(error)) from None
    counts = again.count(made, wanted)
    for name, n in counts.items():
        typer.echo(f"{n:>10}  {name}")
    typer.echo(
        f"{sum(counts.values()):>10}  messages of {service} since {wanted.since:%Y-%m-%d %H:%M:%S} UTC"
    )
    if dry_run or not counts:
        return
    if not yes:
        typer.confirm("Tell them again?", abort=True)
    _tell_again(again.tell(made, wanted), again.PROGRESS)


def _tell_again(progress: Iterator[tuple[int, dt.datetime]], every: int) -> None:
    """Tell again and say after `every` so many how far it is; where it stops, say how to go on."""
    told, said, until = 0, 0, None
    try:
        for told, until in progress:
            if told - said >= every:
                said = told
                typer.echo(f"  {told} told, up to {until:%Y-%m-%dT%H:%M:%SZ}")
    except (Exception, KeyboardInterrupt) as error:
        typer.echo(f"stopped after {told} messages: {str(error) or 'interrupted'}", err=True)
        if until is not None:
            typer.echo(f"go on with --since {until:%Y-%m-%dT%H:%M:%SZ}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{told} messages told again")


@audit.command("verify")
def verify_audit(
    heads: Annotated[
        Path | None, typer.Option(help="Prove the logs against a file of `audit heads`, too.")
    ] = None,
) -> None:
    """Recompute the hash chains of all services and compare them with the heads that are kept.

    Exits with 1 and lists what is broken.
    """
    from system import audit_proof

    made = settings.from_environment()
    try:
        outside = audit_proof.read_heads(heads) if heads is not None else {}
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    lines, fits = audit_proof.table(audit_proof.prove(made, outside))
    typer.echo("\n".join(lines))
    if not fits:
        raise typer.Exit(1)


@audit.command("heads")
def audit_heads() -> None:
    """Print how long each log is and its last hash, as lines of JSON.

    Kept elsewhere they prove the logs even against somebody who has every database.
    """
    from system import audit_proof

    for line in audit_proof.heads(settings.from_environment()):
        typer.echo(line)


def _policy(name: str) -> Any:
    """Return a policy by its name or the path of its file.

    What is wrong with it ends the command, one line each.
    """
    from services.transfers.policies import reader

    try:
        return reader.load(Path(name)) if name.endswith(".toml") else reader.read(name)
    except reader.PolicyError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None


@policy.command("list")
def list_policies() -> None:
    """List the policies that come with the system, and since when which one holds or will hold."""
    from services.transfers.policies import reader
    from services.transfers.policies import store as policies_store

    for name in reader.known():
        made = reader.read(name)
        typer.echo(f"{made.key:<20} {made.source}")
    with db.connect(settings.from_environment().database("transfers")).connect() as tx:
        for row in policies_store.history(tx):
            typer.echo(f"from {row.holds_from:%Y-%m-%d %H:%M} UTC: {row.key}")


@policy.command("check")
def check_policy(
    file: Annotated[str, typer.Argument(help="A file ending in .toml, or the name of a policy.")],
) -> None:
    """Say whether a policy holds; exits with 1 and names line and reason if not."""
    typer.echo(f"{_policy(file).key} holds")


@policy.command("diff")
def diff_policies(
    old: PolicyFile,
    new: PolicyFile,
) -> None:
    """Show what changes from one policy to another; exits with 1 if anything does."""
    from services.transfers.policies import reader

    lines = reader.differences(_policy(old), _policy(new))
    typer.echo("\n".join(lines) or "no difference")
    if lines:
        raise typer.Exit(1)


@policy.command("dry-run")
def dry_run_policy(file: PolicyFile) -> None:
    """Show by province what a policy would do to the nodes that are open now, if it held for them.

    Nothing is changed.
    """
    from services.transfers.policies import store as policies_store

    with db.connect(settings.from_environment().database("transfers")).connect() as tx:
        rows = policies_store.dry_run(tx, _policy(file), clock.now())
    typer.echo(
        f"{'province':<10}{'node':<18}{'open':>8}{'other deadline':>16}"
        f"{'earlier':>9}{'past':>7}{'in 72 h':>9}{'other end':>11}"
    )
    for row in rows:
        typer.echo(
            f"{row.province:<10}{row.state:<18}{row.open:>8}{row.moved:>16}"
            f"{row.earlier:>9}{row.overdue:>7}{row.soon:>9}{row.other_action:>11}"
        )
    typer.echo(
        f"{sum(row.open for row in rows)} open nodes, {sum(row.moved for row in rows)} with another deadline,"
        f" {sum(row.overdue for row in rows)} of them past;"
        " running transfers keep their policy unless it is applied with --open"
    )


@policy.command("apply")
def apply_policy(
    file: PolicyFile,
    start: Annotated[
        str,
        typer.Option(
            "--from", help="Day from which it holds for new transfers, YYYY-MM-DD in China; default: now."
        ),
    ] = "",
    open_nodes: Annotated[
        bool,
        typer.Option(
            "--open", help="Apply it to the open nodes, too; none of them falls due within 72 hours."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let a policy hold for new transfers from now or a day on.

    With --open it holds for the open nodes at once, too.
    """
    made = _policy(file)
    begins = _beginning(start, open_nodes)
    if not yes:
        typer.confirm(
            f"{made.key} from {begins:%Y-%m-%d %H:%M}{', open nodes included' if open_nodes else ''};"
            " see `policy dry-run` first. Go on?",
            abort=True,
        )
    engine = db.connect(settings.from_environment().database("transfers"))
    _hold(engine, made, begins)
    done, moved = _apply_to_open(engine, made) if open_nodes else (0, 0)
    typer.echo(
        f"{made.key} holds from {begins:%Y-%m-%d %H:%M};"
        f" {done} open nodes seen, {moved} of them with another deadline"
    )


def _beginning(start: str, open_nodes: bool) -> dt.datetime:
    """Return the instant from which a policy shall hold: the day that was given, or now."""
    try:
        begins = dt.datetime.fromisoformat(start).replace(tzinfo=clock.CHINA) if start else clock.now()
    except ValueError:
        raise typer.BadParameter("--from takes a day such as 2027-05-01") from None
    if begins < clock.now() - dt.timedelta(minutes=1) or (open_nodes and start):
        raise typer.BadParameter("--from lies in the past, or goes together with --open, which acts at once")
    return begins


def _hold(engine: sa.Engine, made: Any, begins: dt.datetime) -> None:
    from services.transfers.policies import store as policies_store

    try:
        with engine.begin() as tx:
            policies_store.hold(tx, made, begins)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _apply_to_open(engine: sa.Engine, made: Any) -> tuple[int, int]:
    """Let a policy hold for the open nodes, a piece at a time.

    Return how many were seen, and how many of them have another deadline now.
    """
    from services.transfers.policies import store as policies_store

    done, moved, last = 0, 0, 0
    while True:
        with engine.begin() as tx:
            row: Any = policies_store.apply_to_open(tx, made, clock.now(), last)
        if not row.done:
            return done, moved
        done, moved, last = done + row.done, moved + row.moved, row.last
        typer.echo(f"  {done} open nodes")


@names.command("rebuild")
def rebuild_names(
    org: Annotated[
        int, typer.Argument(help="The organisation below which names are built anew; its own stays.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change, and names that are not unique.")
    ] = False,
) -> None:
    """Build the full names of everything below an organisation anew (ORG-09).

    Each is made of the superior's full name and the organisation's own short name.
    """
    from services.orgs import store
    from services.orgs.naming import handlers as naming

    database = db.Database(db.connect(settings.from_environment().database("orgs")))
    with database.reading() as tx:
        top = store.by_ids(tx, [org]).get(org)
        if top is None:
            raise typer.BadParameter(f"there is no organisation {org}")
    if dry_run:
        _show_names(database, top.path)
        return
    looked_at, changed = naming.rebuild_all(database, top.path)
    typer.echo(
        f"{looked_at} organisations looked at, {changed} full names changed;"
        " the services hear of it within seconds"
    )


def _show_names(database: db.Database, top: str) -> None:
    """Say which full names below an organisation would change, and which are not unique."""
    from services.orgs.naming import handlers as naming
    from services.orgs.naming import store as naming_store

    looked_at = changed = 0
    after = top
    built: dict[int, str] = {}
    with database.reading() as tx:
        while rows := naming_store.below(tx, top, after, naming.PIECE):
            found = naming.changes(rows, built)
            for row, name in found:
                typer.echo(f"{row.org_id}  {row.full_name} -> {name}")
            after, looked_at, changed = rows[-1].path, looked_at + len(rows), changed + len(found)
        for name in naming_store.shared(tx, top, naming.MOST_SHOWN):
            typer.echo(f"not unique: {name}")
    typer.echo(f"{looked_at} organisations looked at, {changed} full names would change; nothing was changed")


@stats.command("verify")
def verify_stats() -> None:
    """Count SX, XS and stages again from graduates and transfers, and what waits from open nodes; compare.

    Exits with 1 and names what differs.
    """
    from services.transfers.figures import store as figures_store
    from services.transfers.policies import store as policies_store

    with db.connect(settings.from_environment().database("transfers")).begin() as tx:
        graduates, figures_, differ = figures_store.verify(
            tx, policies_store.active(tx, clock.now()), clock.now()
        )
    typer.echo(
        f"{graduates} graduates counted, {figures_} rows of figures compared, {len(differ)} differences"
    )
    for line in differ:
        typer.echo(line)
    if differ:
        raise typer.Exit(1)


@stats.command("recount")
def recount_stats() -> None:
    """Have every graduate looked at again, as after a change of the excluded reasons.

    The service follows in the background. What is kept of open nodes is put right at once.
    """
    from services.transfers.figures import store as figures_store

    with db.connect(settings.from_environment().database("transfers")).begin() as tx:
        figures_store.recount(tx)
    typer.echo("every graduate is looked at again; the service needs about a second per 20,000")


def main() -> None:
    """Entry point of the `tuanqiao` command; a setting that cannot be meant ends it with a sentence."""
    try:
        app()
    except settings.Wrong as wrong:
        sys.exit(str(wrong))


if __name__ == "__main__":
    main()
