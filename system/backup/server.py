"""A restored cluster run by PostgreSQL where nobody but this command reaches it.

It listens on a socket in a folder of its own and on no port. Its configuration is made here, so
that it does not hang on that of the server it came from.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from system.backup.tool import Failed, Owner, run

PROGRAMS = "/usr/lib/postgresql/{version}/bin"
_PATIENT_SECONDS = 24 * 3600
_LOOK_SECONDS = 0.1
_CONFIGURATION = """\
data_directory = '{data}'
hba_file = '{folder}/hba.conf'
ident_file = '{folder}/ident.conf'
listen_addresses = ''
unix_socket_directories = '{folder}'
port = 5432
timezone = UTC
# until the point is reached nobody connects, so settings of the old server need not be repeated
hot_standby = off
shared_buffers = '256MB'
maintenance_work_mem = '256MB'
max_wal_size = '4GB'
autovacuum = off
log_min_error_statement = panic
log_error_verbosity = terse
archive_mode = {archive_mode}
archive_command = '{archive_command}'
"""
_ENDED = re.compile(r"recovery ended before configured recovery target was reached")
_LAST = re.compile(r"last completed transaction was at log time (.+)")


class PrivateServer:
    """PostgreSQL on a restored data folder.

    Args:
        data: The restored folder.
        folder: A folder for socket, configuration and log; it belongs to `owner`, and nobody else enters.
        owner: The user that PostgreSQL runs as.
        archive: The command that archives WAL; empty for a copy that must not write into the archive.

    """

    def __init__(self, data: Path, folder: Path, owner: Owner, archive: str = "") -> None:
        self._data, self._folder, self._owner = data, folder, owner
        self._version = (data / "PG_VERSION").read_text().strip()
        text = _CONFIGURATION.format(
            data=data,
            folder=folder,
            archive_mode="on" if archive else "off",
            archive_command=archive,
        )
        (folder / "postgresql.conf").write_text(text)
        (folder / "hba.conf").write_text("local all all trust\n")
        (folder / "ident.conf").write_text("")

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs, of the version that the cluster has.

        Raises:
            Failed: It is not installed.

        """
        usual = Path(PROGRAMS.format(version=self._version)) / name
        found = str(usual) if usual.exists() else shutil.which(name)
        if not found:
            raise Failed(f"{name} of PostgreSQL {self._version} is not installed here")
        return found

    def start(self) -> None:
        """Start, and return when the point that the folder was restored to is reached.

        Raises:
            Failed: It cannot be reached; says what the newest instant is.

        """
        log = self._folder / "log"
        command = [self.program("pg_ctl"), "start", "-w", "-t", str(_PATIENT_SECONDS), "-s"]
        options = f"-c config_file={self._folder}/postgresql.conf"
        with suppress(Failed):  # the log says more
            run([*command, "-D", str(self._data), "-l", str(log), "-o", options], self._owner)
        while (status := self._status()) != "ready":
            if not status:
                raise Failed(_why(log.read_text() if log.exists() else ""))
            time.sleep(_LOOK_SECONDS)

    def _status(self) -> str:
        """Return what PostgreSQL says of itself, empty when it has ended.

        `pg_ctl` comes back as soon as WAL is read, before the point is reached.
        """
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        return lines[7].strip() if len(lines) > 7 else "starting"

    def stop(self) -> None:
        """Stop it; where WAL is archived, the last of it, too."""
        if (self._data / "postmaster.pid").exists():
            command = [self.program("pg_ctl"), "stop", "-w", "-t", "600", "-m", "fast", "-s"]
            run([*command, "-D", str(self._data)], self._owner)

    def url(self, database: str) -> str:
        """Return the address of a database on it, for its superuser."""
        return f"postgresql://postgres@/{database}?host={self._folder}"


def _why(log: str) -> str:
    """Say why PostgreSQL did not come up, from its log."""
    if _ENDED.search(log):
        last = _LAST.findall(log)
        newest = f"; the last transaction in the archive is of {last[-1]}" if last else ""
        return (
            f"the WAL in the repository ends before the point that was asked for{newest}."
            " Ask for that or an earlier one, or leave --to away for all there is"
        )
    return f"PostgreSQL did not come up on the restored folder: {log.strip()[-1500:]}"


def folder_for(owner: Owner, path: Path) -> Path:
    """Make a folder that belongs to `owner` and that nobody else enters; return it."""
    path.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid)
    return path
