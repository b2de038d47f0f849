"""How old the backups are and whether WAL arrives: what `tuanqiao backup watch` tells Prometheus."""

import math
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import pytest
import sqlalchemy as sa

from system import embedded
from system.backup.tool import Archived
from system.backup.watch import Archive
from tests.installation import ROOT, free_port
from tests.system import backup_site
from tests.system.backup_site import STANZA, Site

SIZE = 16 * 2**20


def at(segment: int, inside: int = 0) -> int:
    """Return a position in the WAL: so far inside a segment."""
    return segment * SIZE + inside


def test_the_name_of_a_segment_says_where_it_ends():
    """256 segments of 16 MB make a log; with larger ones there are fewer."""
    assert Archived.named("000000010000000000000001").end(SIZE) == at(2)
    assert Archived.named("0000000200000003000000FF").end(SIZE) == 4 * 2**32
    assert Archived.named("000000010000000100000003").end(4 * SIZE) == 2**32 + 4 * 4 * SIZE


def test_wal_is_missing_from_when_it_was_complete():
    """The segment that is written is not missed; the oldest complete one is, until it arrives."""
    newest = Archived(1, 0, 4)
    archive = Archive()

    assert archive.missing(0, at(5, 100), SIZE, newest) == 0
    assert archive.missing(60, at(5, SIZE - 1), SIZE, newest) == 0
    assert archive.missing(120, at(6), SIZE, newest) == 0  # just now
    assert archive.missing(180, at(7), SIZE, newest) == 60
    assert archive.missing(240, at(7), SIZE, newest) == 120
    assert archive.missing(300, at(7), SIZE, Archived(1, 0, 5)) == 120  # since 180
    assert archive.missing(360, at(7), SIZE, Archived(1, 0, 6)) == 0


# ---- on a real repository --------------------------------------------------------------------------


def scrape(port: int) -> dict[str, float]:
    """Return what a scrape finds, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert all(re.match(r"tuanqiao_(backup|wal)_", name) for name in found)
    return {name: float(value) for name, value in found.items()}


def age(kind: str) -> str:
    return f'tuanqiao_backup_age_seconds{{cluster="{STANZA}",kind="{kind}"}}'


MISSING = f'tuanqiao_wal_missing_seconds{{cluster="{STANZA}"}}'


def begin(site: Site) -> tuple[subprocess.Popen[bytes], int]:
    """Start the watch; return it when it answers, and its port."""
    port = free_port()
    words = [sys.executable, "-W", "ignore", "-m", "system.cli", "backup", "watch", "--port", str(port)]
    process = subprocess.Popen(words, cwd=ROOT, env=site.environ, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            scrape(port)
            return process, port
        except OSError:
            assert process.poll() is None
            time.sleep(0.2)
    raise TimeoutError("the watch does not answer")


def write_wal(site: Site) -> None:
    """Have the server begin two segments more."""
    with site.engine("orgs").connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        for _ in range(2):
            tx.execute(sa.text("SELECT pg_logical_emit_message(false, 'test', 'something'), pg_switch_wal()"))


@pytest.mark.long
@pytest.mark.skipif(not backup_site.ABLE, reason=backup_site.WHY_NOT)
@pytest.mark.timeout(240)
def test_the_watch_tells_what_the_repository_holds(tmp_path):
    """Infinite without a backup, seconds after one; WAL that does not arrive is missed until it does."""
    embedded.make_keys(tmp_path)
    with closing(Site(tmp_path)) as site:
        site.create()
        process, port = begin(site)
        try:
            assert scrape(port) == {age("any"): math.inf, age("whole"): math.inf}
            site.done("backup")
            first = scrape(port)
            assert first[age("any")] == first[age("whole")] and 0 <= first[age("any")] < 120
            assert first[MISSING] == 0

            site.pgbackrest("stop")  # whoever asks it to archive is refused
            write_wal(site)
            assert scrape(port)[MISSING] == 0  # it has just been written
            time.sleep(2)
            assert 2 <= scrape(port)[MISSING] < 60
            site.pgbackrest("start")
            ends = time.monotonic() + 90  # PostgreSQL tries again after a minute at the latest
            while scrape(port)[MISSING] and time.monotonic() < ends:
                time.sleep(1)
            later = scrape(port)
            assert later[MISSING] == 0 and later[age("any")] > first[age("any")]

            (site.folder / "repository").rename(site.folder / "elsewhere")
            assert scrape(port) == {age("any"): math.inf, age("whole"): math.inf}
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
