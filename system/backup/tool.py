"""pgBackRest: its stanzas (a stanza is one cluster of PostgreSQL), what it is asked and what it answers.

Its own configuration (`$PGBACKREST_CONFIG`, else /etc/pgbackrest/pgbackrest.conf) says where clusters and
repository are and how long backups are kept; nothing of it is repeated here.
"""

from __future__ import annotations

import configparser
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from shared import settings
from shared.settings import Environment

PROGRAM = "pgbackrest"
_USUAL = Path("/etc/pgbackrest/pgbackrest.conf")
_LOCKED = "the repository cannot be opened: is the passphrase the one that it was made with?"
_HINTS = {
    29: _LOCKED,  # by chance, what a wrong passphrase opens looks like a file with another content
    32: "the passphrase of the repository is missing or empty: set PGBACKREST_REPO1_CIPHER_PASS",
    37: "the passphrase of the repository is missing: set PGBACKREST_REPO1_CIPHER_PASS",
    38: "PostgreSQL runs on this folder: stop it first (that also sends its last WAL to the repository)",
    55: "the repository lacks a file: is there a backup (`tuanqiao backup`), is it the right one?",
    56: "PostgreSQL does not answer: is it running, and are pg1-socket-path and pg1-port right?",
    82: "WAL does not arrive in the repository: look at archive_command and PostgreSQL's log",
    95: _LOCKED,
}
"""What to do, by pgBackRest's exit code."""


class Failed(Exception):
    """Backup or restore cannot go on: words for a person, with what to do."""


class Owner(NamedTuple):
    """The user that PostgreSQL's files belong to."""

    uid: int
    gid: int


class Moments(msgspec.Struct):
    """Begin and end of a backup, in seconds since 1970."""

    start: int
    stop: int


class Sizes(msgspec.Struct):
    """Bytes of the cluster when it was backed up."""

    size: int


class Database(msgspec.Struct):
    """A database in a backup."""

    name: str


class Backup(msgspec.Struct, rename="kebab"):
    """A backup as pgBackRest describes it; its annotation is our manifest."""

    label: str
    type: str
    error: bool | None
    timestamp: Moments
    info: Sizes
    lsn: dict[str, str]
    annotation: dict[str, str] = {}
    database_ref: list[Database] = []


class Cluster(msgspec.Struct, rename="kebab"):
    """One life of a stanza's cluster."""

    system_id: int


class Status(msgspec.Struct):
    """Whether a stanza can be used: 0 ok, 1 no such stanza, 2 no backup yet, above: something is wrong."""

    code: int
    message: str


class Archived(NamedTuple):
    """A segment of WAL in the repository, by the three numbers of its name."""

    timeline: int
    log: int
    segment: int

    @classmethod
    def named(cls, name: str) -> Archived:
        """Return the segment of a name: 24 hexadecimal digits."""
        return cls(*(int(name[at : at + 8], 16) for at in (0, 8, 16)))

    def end(self, size: int) -> int:
        """Return how many bytes of WAL have been written where it ends, in segments of a size."""
        return (self.log << 32) + (self.segment + 1) * size


class Archive(msgspec.Struct):
    """The WAL of one life of a stanza's cluster: the name of the last segment."""

    max: str | None = None


class Stanza(msgspec.Struct):
    """What the repository knows of a stanza."""

    name: str
    status: Status
    db: list[Cluster] = []
    backup: list[Backup] = []
    archive: list[Archive] = []

    def newest_wal(self) -> Archived | None:
        """Return the newest segment; None if there is none."""
        last = self.archive[-1].max if self.archive else None
        return Archived.named(last) if last else None


class Tool:
    """pgBackRest with its configuration.

    Raises:
        Failed: The program or the configuration is missing, or backups would not be encrypted.

    """

    def __init__(self, environment: Environment | None = None) -> None:
        if not shutil.which(PROGRAM):
            raise Failed("pgbackrest is not installed here (Debian: apt-get install pgbackrest)")
        given = (environment or Environment()).path("PGBACKREST_CONFIG")
        self.config = given or _USUAL
        parsed = configparser.ConfigParser(interpolation=None, strict=False)
        if not parsed.read(self.config):
            raise Failed(f"{self.config} is missing; deploy/postgres/pgbackrest.conf is one to begin with")
        _demand_encryption(self.config, dict(parsed["global"]) if "global" in parsed else {})
        self.folders = {
            name: Path(parsed[name]["pg1-path"])
            for name in parsed.sections()
            if "global" not in name.split(":") and "pg1-path" in parsed[name]
        }
        """The data folder of each stanza."""
        if not self.folders:
            raise Failed(f"{self.config} names no stanza with a pg1-path")

    def owner(self, stanza: str) -> Owner:
        """Return the user that a stanza's cluster belongs to; `postgres` where its folder is gone."""
        folder = self.folders[stanza]
        if folder.exists():
            found = folder.stat()
            return Owner(found.st_uid, found.st_gid)
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            raise Failed(f"{folder} is missing, and there is no user postgres to make it for") from None
        return Owner(user.pw_uid, user.pw_gid)

    def run(self, stanza: str, command: str, *options: str) -> str:
        """Run a command of pgBackRest on a stanza as the owner of its cluster; return what it printed."""
        return run(
            [PROGRAM, f"--config={self.config}", f"--stanza={stanza}", *options, command],
            self.owner(stanza),
            _HINTS,
        )

    def info(self, stanza: str, label: str = "") -> Stanza:
        """Return what the repository knows of a stanza; the databases of a backup only where it is named.

        Raises:
            Failed: The repository cannot be read.

        """
        options = ["--output=json", *([f"--set={label}"] if label else [])]
        try:
            found = msgspec.json.decode(self.run(stanza, "info", *options), type=list[Stanza])
        except msgspec.DecodeError:  # it puts what it could not read into its answer
            raise Failed(f"the repository of {stanza} cannot be read: {_LOCKED}") from None
        if not found:
            return Stanza(stanza, Status(1, "there is no backup yet"))
        if found[0].status.code > 2:
            said = found[0].status.message.splitlines()[0]
            raise Failed(f"the repository of {stanza} cannot be read ({said}): {_LOCKED}")
        return found[0]

    def annotate(self, stanza: str, notes: Mapping[str, str]) -> None:
        """Write notes beside the newest backup of a stanza, over those of the same name."""
        options = [f"--annotation={name}={text}" for name, text in notes.items()]
        self.run(stanza, "annotate", f"--set={self.info(stanza).backup[-1].label}", *options)


def _demand_encryption(config: Path, settings: Mapping[str, str]) -> None:
    """Refuse a repository that is not encrypted."""
    repositories = {found[0] for name in settings if (found := re.match(r"repo\d+", name))} or {"repo1"}
    for one in sorted(repositories):
        if settings.get(f"{one}-cipher-type", "none") == "none":
            raise Failed(f"backups have to be encrypted: set {one}-cipher-type=aes-256-cbc in {config}")


def run(
    command: list[str],
    owner: Owner,
    hints: Mapping[int, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program as `owner` where we are root, else as ourselves; return what it printed.

    `environment` is added to our own.

    Raises:
        Failed: It ended with an error; the words are its own, with a hint by its exit code.

    """
    change = {"user": owner.uid, "group": owner.gid, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(  # type: ignore[call-overload]
        command,
        capture_output=True,
        text=True,
        errors="replace",  # a wrong passphrase makes it print what it took for text
        check=False,
        cwd="/",
        env=settings.inherited(environment or {}),
        **change,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        hint = (hints or {}).get(done.returncode)
        raise Failed(f"{Path(command[0]).name} failed: {said}" + (f"\n{hint}" if hint else ""))
    return str(done.stdout)
