"""A PostgreSQL with an archive of its own and all four databases, to be backed up, broken and restored."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import yaml

from shared.settings import SERVICES
from tests.installation import ROOT, Installation, free_port
from tests.storm.servers import POSTGRES, Postgres

PGBACKREST = shutil.which("pgbackrest")
ABLE = bool(PGBACKREST and POSTGRES)
WHY_NOT = (
    "pgbackrest or PostgreSQL's programs are not installed (Debian: apt-get install pgbackrest postgresql)"
)
STANZA = "tuanqiao"


def command(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "system.cli", *words],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


class Archiving(Postgres):
    """A cluster that archives as the one of the compose file does."""

    def __init__(self, folder: Path, port: int, config: Path) -> None:
        super().__init__(folder, port)
        self.config = config

    def create(self) -> None:
        super().create()
        self.close()
        given = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["postgres"]["command"]
        options = dict(one.removeprefix("-c").split("=", 1) for one in given[1:])
        command = options["archive_command"].replace("$$", "$")
        with (self.folder / "postgresql.conf").open("a") as conf:
            conf.write(
                f"archive_mode = {options['archive_mode']}\narchive_timeout = {options['archive_timeout']}\n"
                f"archive_command = '{command.replace('pgbackrest', f'pgbackrest --config={self.config}')}'\n"
                f"unix_socket_directories = '{self.folder.parent}'\n"
            )
        self.start()


class Site(Installation):
    """An installation on such a cluster; everything lies in one folder, which `close` removes."""

    def __init__(self, keys: Path) -> None:
        # where the user of PostgreSQL may go, and near enough for the path of a socket
        self.folder = Path(tempfile.mkdtemp(prefix="tq-backup-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.config = self.folder / "pgbackrest.conf"
        port = int(os.environ.get("BACKUP_PORT") or free_port())
        self.cluster = Archiving(self.folder / "data", port, self.config)
        self.passphrase = {"PGBACKREST_REPO1_CIPHER_PASS": "a passphrase of this test"}
        own = {**self.passphrase, "DATABASE_URL": self.cluster.url, "PGBACKREST_CONFIG": str(self.config)}
        super().__init__(keys, environ=own)
        self.settings = replace(self.settings, database_url=self.cluster.url)
        self._make_folders(port)

    def _make_folders(self, port: int) -> None:
        """Write the very configuration of the compose file; only the places are others."""
        text = (ROOT / "deploy/postgres/pgbackrest.conf").read_text()
        text = re.sub(r"(?m)^repo1-path=.*", f"repo1-path={self.folder}/repository", text)
        text = re.sub(r"(?m)^pg1-path=.*", f"pg1-path={self.cluster.folder}", text)
        text = re.sub(r"(?m)^pg1-socket-path=.*", f"pg1-socket-path={self.folder}\npg1-port={port}", text)
        self.config.write_text(text.replace("[global]", f"[global]\nlock-path={self.folder}/lock"))
        for name in ("repository", "lock", "scratch"):
            (self.folder / name).mkdir()
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, "postgres")

    def create(self) -> None:
        os.environ.update(self.passphrase)  # the server archives with it
        self.cluster.create()
        super().create()

    def tuanqiao(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours on this installation."""
        return command(*words, **{**self.environ, **environ})

    def pgbackrest(self, *words: str) -> str:
        """Ask pgBackRest itself."""
        options = [f"--config={self.config}", f"--stanza={STANZA}"]
        user = {"user": "postgres"} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [str(PGBACKREST), *options, *words],
            env=self.environ,
            cwd="/",
            capture_output=True,
            text=True,
            **user,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def done(self, *words: str) -> str:
        """Run a command that has to succeed; return what it said."""
        answer = self.tuanqiao(*words)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def restore(self, *words: str) -> str:
        """Run `tuanqiao restore` with these words; return what it said."""
        return self.done("restore", *words, "--yes", "--scratch", str(self.folder / "scratch"))

    def wait_ready(self, name: str, seconds: float = 120) -> None:
        super().wait_ready(name, seconds)

    def leave(self) -> None:
        """Close every connection of ours to the databases."""
        for engine in self.engines.values():
            engine.dispose()

    def stop(self, *names: str) -> None:
        """End services as an administrator does."""
        for name in names:
            self.kill(name, signal.SIGTERM)

    def stop_everything(self) -> None:
        """End the services, then PostgreSQL, which sends the last WAL."""
        self.stop(*[name for name in SERVICES if name in self.processes])
        self.leave()
        self.cluster.close()

    def close(self, keep_databases: bool = True) -> None:
        super().close(keep_databases=True)
        self.cluster.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in self.passphrase:
            os.environ.pop(name, None)
