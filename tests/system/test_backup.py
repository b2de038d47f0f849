"""Restores: all to one point, one service earlier than the others, and work afterwards."""

import re
from contextlib import closing
from datetime import UTC, datetime

import kombu
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from services.members.sealing.seal import Seal
from shared.bus.rpc import RpcClient
from shared.settings import SERVICES, Environment
from system import embedded
from system.backup import keys, making, manifest, restoring
from system.backup.tool import Failed, Tool
from tests.bench import drive, load
from tests.installation import AMQP_URI, TOPOLOGY, settle
from tests.system import backup_site
from tests.system.backup_site import STANZA, Site

PEOPLE, LIST = 5_000, 20
pytestmark = pytest.mark.long
needs_pgbackrest = pytest.mark.skipif(not backup_site.ABLE, reason=backup_site.WHY_NOT)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys")
    embedded.make_keys(keys)
    with closing(Site(keys)) as made:
        made.create()
        load.organisations(made)
        load.people(made, PEOPLE)
        made.said = made.done("backup")
        yield made


class Work:
    """Lists of transfers through all services of a site, from the request to the assignment."""

    def __init__(self, site):
        self.site, self.school = site, load.schools(site.settings.keys)[0]
        self.members = drive.Members(PEOPLE)

    def whole_list(self) -> datetime:
        """Do one list; return an instant of the server between its last transaction and the next."""
        client = RpcClient(self.site.settings)
        before = drive.completed(self.site)
        drive._whole_list(client, self.school, self.members.take(0, LIST))
        drive.wait_completed(self.site, before + LIST, 30)
        client.close()
        settle(self.site)
        return now(self.site)


def now(site) -> datetime:
    with site.engine("orgs").connect() as tx:
        return tx.scalar(sa.text("SELECT clock_timestamp()")).astimezone(UTC)


def count(site, service: str, table: str) -> int:
    with site.engine(service).connect() as tx:
        return tx.scalar(sa.text(f"SELECT count(*) FROM {table}"))


@needs_pgbackrest
def test_a_backup_says_what_it_holds(site):
    """The backup names schema, rows and heads of every service; the whole of it can be restored."""
    for service in SERVICES:
        assert re.search(rf"  {service}: schema \d{{4}}_\w+, WAL \w+/\w+", site.said), site.said
    assert f"{PEOPLE} memberships" in site.said
    assert site.done("backup", "list") == site.said

    proved = site.done("backup", "prove", "--scratch", str(site.folder / "scratch"))

    assert "holds all of orgs, members, transfers, scheduler" in proved
    assert not list((site.folder / "scratch").iterdir())


@needs_pgbackrest
def test_what_is_missing_is_named(site):
    """A manifest with a row more than there is, another schema, or a head of another log is found out."""
    url = site.settings.database("members")
    told = manifest.take(url, "members")
    head = manifest.Head(1, 7, "00")

    assert manifest.differences(url, manifest.read(told.encode())) == []
    more = replace(told, revision="0001", rows={**told.rows, "memberships": PEOPLE + 1}, heads=[head])
    assert manifest.differences(url, more) == [
        f"the schema is {told.revision}, backed up was 0001",
        f"memberships has {PEOPLE} rows, backed up were {PEOPLE + 1}",
        "the audit log has no line 7 of lane 1 as backed up",
    ]


@needs_pgbackrest
@pytest.mark.timeout(400)
def test_back_to_earlier_points(site):
    """All four databases go back to one point, then transfers alone to an earlier one.

    What was done until then is there, nothing of what came later; afterwards lists of transfers go
    through as ever.
    """
    site.start(*SERVICES)
    work = Work(site)
    first = work.whole_list()
    second = work.whole_list()
    work.whole_list()
    site.stop_everything()
    with kombu.Connection(AMQP_URI) as connection:
        TOPOLOGY.delete(connection)

    said = site.restore("--to", second.isoformat())
    assert all(f"{service}: a new life" in said for service in SERVICES)
    site.cluster.start()
    assert count(site, "transfers", "transfers") == count(site, "members", "memberships") - PEOPLE == 2 * LIST
    site.leave()

    said = site.restore("transfers", "--to", first.isoformat())
    kept = re.search(r"in the database (\S+),", said)[1]
    assert count(site, "transfers", "transfers") == LIST
    assert count(site, "members", "memberships") == PEOPLE + 2 * LIST
    with site.engine("orgs").connect() as tx:
        assert tx.scalar(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": kept})
    site.leave()

    site.start(*SERVICES)
    for publisher, since in re.findall(r"tuanqiao outbox republish (\w+) --since (\S+)", said):
        site.done("outbox", "republish", publisher, "--since", since, "--yes")
    client = RpcClient(site.settings)
    drive._whole_list(client, work.school, work.members.take(0, LIST))
    drive.wait_completed(site, 2 * LIST, 30)
    client.close()
    site.stop(*SERVICES)


def failing(work, *arguments) -> str:
    """Return why something cannot be done."""
    with pytest.raises(Failed) as failed:
        work(*arguments)
    return str(failed.value)


@needs_pgbackrest
def test_what_cannot_be_done_says_why(site, monkeypatch):
    """Each refusal says what to do, and nothing was changed."""
    tool = Tool(Environment(site.environ))
    old = restoring.Point(datetime(2020, 1, 1, tzinfo=UTC))
    assert "no backup is old enough" in failing(restoring.plan, tool, ["orgs"], old)
    monkeypatch.setenv("PGBACKREST_REPO1_CIPHER_PASS", "another")
    assert "is the passphrase the one" in failing(tool.info, STANZA)
    assert "is the passphrase the one" in failing(tool.run, STANZA, "check")
    monkeypatch.setenv("PGBACKREST_REPO1_CIPHER_PASS", "")
    assert "set PGBACKREST_REPO1_CIPHER_PASS" in failing(tool.info, STANZA)
    monkeypatch.setenv("PATH", "/nowhere")
    assert "pgbackrest is not installed" in failing(Tool)


@needs_pgbackrest
def test_what_runs_is_not_restored(site):
    """A server that runs, a service that is connected: both have to be stopped first."""
    words = ("--yes", "--scratch", str(site.folder / "scratch"))
    whole = site.tuanqiao("restore", *words)
    with site.engine("orgs").connect():
        one = site.tuanqiao("restore", "orgs", *words)

    assert (whole.returncode, one.returncode) == (1, 1)
    assert "stop it first" in whole.stderr and "stop orgs first" in one.stderr
    assert "Traceback" not in whole.stderr + one.stderr


@needs_pgbackrest
def test_the_configuration_has_to_be_there_and_to_encrypt(site, tmp_path):
    """A repository without a cipher is none of ours."""
    plain = tmp_path / "plain.conf"
    given = Environment({"PGBACKREST_CONFIG": str(plain)})

    assert f"{plain} is missing" in failing(Tool, given)
    plain.write_text(re.sub(r"(?m)^repo1-cipher-type.*\n", "", site.config.read_text()))
    assert "backups have to be encrypted" in failing(Tool, given)


@needs_pgbackrest
def test_a_damaged_repository_is_found(site):
    """A file that has changed in the repository is found after the next backup."""
    tool = Tool(Environment(site.environ))
    folder = site.folder / "repository" / "backup" / STANZA
    file = max(folder.glob("*F/pg_data/base/*/*.zst"), key=lambda one: one.stat().st_size)
    good = file.read_bytes()

    making.prove_repository(tool, STANZA)
    file.write_bytes(good[: len(good) // 2] + bytes(64) + good[len(good) // 2 + 64 :])
    try:
        assert "is damaged" in failing(making.prove_repository, tool, STANZA)
    finally:
        file.write_bytes(good)


def test_keys_are_kept_apart(tmp_path):
    """Only its identity opens what was saved; the keys are the same, and none is overwritten."""
    folder, back = tmp_path / "keys", tmp_path / "back"
    embedded.make_keys(folder)
    identity, another, sealed = tmp_path / "identity", tmp_path / "another", tmp_path / "keys.age"
    recipient = keys.make_identity(identity)
    keys.make_identity(another)

    assert "id_keys.json" in keys.save(folder, sealed, recipient)
    assert b"index_key" not in sealed.read_bytes()
    assert "not sealed to the recipient" in failing(keys.load, sealed, back, another)
    assert not back.exists()
    names = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    assert keys.load(sealed, back, identity) == names
    (private,) = (back / "registry" / "own").iterdir()
    assert private.read_bytes() == (folder / "registry" / "own" / private.name).read_bytes()
    assert private.stat().st_mode & 0o777 == 0o400
    assert Seal(back).open(Seal(folder).seal("110101199001011234")) == "110101199001011234"
    assert (back / "id_keys.json").stat().st_mode & 0o777 == 0o400 == identity.stat().st_mode & 0o777

    assert "never overwritten" in failing(keys.load, sealed, back, identity)
    assert "cannot write" in failing(keys.save, folder, sealed, recipient)
    assert "is no recipient" in failing(keys.save, folder, tmp_path / "x", "age1nobody")
    assert "holds no keys" in failing(keys.save, tmp_path / "nothing", tmp_path / "x", recipient)
    assert "is no identity" in failing(keys.load, sealed, back, sealed)
