"""Making backups: base backup, manifest, proof of the repository."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from shared import clock
from shared.settings import Settings
from system.backup import manifest
from system.backup.tool import Backup, Failed, Stanza, Tool

FULL_EVERY = dt.timedelta(days=6, hours=12)
"""A backup is a whole one when the last of these is older: each week, for a job that runs daily."""
Say = Callable[[str], None]


def clusters(settings: Settings, tool: Tool) -> dict[str, list[str]]:
    """Return the services by the stanza that their databases lie in.

    Raises:
        Failed: A database lies in no stanza, so nobody would back it up.

    """
    stanzas = {cluster.system_id: name for name in tool.folders for cluster in tool.info(name).db}
    found: dict[str, list[str]] = {name: [] for name in tool.folders}
    for service in settings.services:
        number = manifest.system_id(settings, service)
        if number not in stanzas:
            raise Failed(f"the database of {service} lies in no cluster that {tool.config} names")
        found[stanzas[number]].append(service)
    return found


def make(settings: Settings, tool: Tool, full: bool, say: Say) -> None:
    """Back up every cluster, with a manifest of each service, and have the repository proved.

    Each cluster is named, checked (does its WAL arrive?), backed up; old backups go by the
    configuration's retention.
    """
    for stanza in tool.folders:
        tool.run(stanza, "stanza-create")
        tool.run(stanza, "check")
    for stanza, services in clusters(settings, tool).items():
        kind = "full" if full or _full_is_due(tool.info(stanza)) else "diff"
        tool.run(stanza, "backup", f"--type={kind}")
        # after the backup: the instant of the manifest is one that can be restored
        notes = {one: manifest.take(settings.database(one), one).encode() for one in services}
        tool.annotate(stanza, notes)
        tool.run(stanza, "check")  # the WAL up to the manifest is in the repository, too
        prove_repository(tool, stanza)
        say(describe(stanza, tool.info(stanza).backup[-1]))


def _full_is_due(stanza: Stanza) -> bool:
    whole = [backup.timestamp.stop for backup in stanza.backup if backup.type == "full"]
    return not whole or clock.now().timestamp() - whole[-1] > FULL_EVERY.total_seconds()


def prove_repository(tool: Tool, stanza: str) -> None:
    """Have every file in the repository read and compared with its checksum.

    Raises:
        Failed: One is damaged, or the newest backup holds pages that were.

    """
    said = tool.run(stanza, "verify", "--output=text")
    if "status: error" in said:
        raise Failed(f"the repository of {stanza} is damaged; make a backup with --full\n{said.strip()}")
    backup = tool.info(stanza).backup[-1]
    if backup.error:
        raise Failed(f"{backup.label} holds pages with wrong checksums: PostgreSQL's own files are damaged")


def describe(stanza: str, backup: Backup) -> str:
    """Return a backup and what is in it, in lines."""
    stop = dt.datetime.fromtimestamp(backup.timestamp.stop, dt.UTC)
    lines = [
        f"{stanza}  {backup.label}  {backup.type}  {stop:%Y-%m-%d %H:%M:%S} UTC"
        f"  {backup.info.size / 2**20:,.0f} MiB  WAL {backup.lsn['start']} to {backup.lsn['stop']}"
    ]
    for one in manifest.of_backup(backup.annotation):
        rows = ", ".join(f"{count} {table}" for table, count in one.rows.items())
        lines.append(
            f"  {one.service}: schema {one.revision}, WAL {one.lsn}, {rows}, {len(one.heads)} audit heads"
        )
    return "\n".join(lines)
