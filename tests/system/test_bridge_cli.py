"""A bridge at the command line: what it says, what it does, and what of it stands in the audit log."""

import json
import subprocess
import sys
import zipfile
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from services.federation import receiving
from services.federation.differences import Difference, Kind, keep
from services.federation.handovers import Bridge, Deed, perform
from services.federation.keys import Folder
from services.federation.protocol import Act, Type, Word
from services.federation.schemas import Line, Outcome
from services.federation.settings import key_folder
from services.scheduler import heads
from shared import clock
from shared.audit import Head
from system import federation
from tests.federation.factories import example, message
from tests.installation import Installation, tuanqiao

DAY = timedelta(days=1)
OURS = "national:7"


@pytest.fixture(scope="module")
def installation(keys):
    with closing(Installation(keys, environ={"COLUMNS": "400"}, peers=("BJ",))) as made:
        made.create()
        yield made


def bj(installation, *words: str, code: int = 0) -> str:
    """Run a command on the bridge to BJ; return what it said."""
    done = CliRunner().invoke(federation.app, ["BJ", *words], env=installation.environ)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def theirs(installation, tmp_path_factory) -> Folder:
    """The keys of both sides, exchanged by the commands."""
    folder = tmp_path_factory.mktemp("peer")
    made = Folder(folder)
    ours = bj(installation, "keys", "rotate")
    assert '"d"' not in ours
    file = folder / "given.jwk"
    file.write_bytes(msgspec.json.encode(made.rotate(clock.now() - DAY)))
    said = bj(installation, "keys", "add", str(file))
    assert said.strip() == made.ring().own[0].kid
    assert "is here already" in bj(installation, "keys", "add", str(file), code=2)
    file.write_text("{}")
    assert "is no key of a bridge" in bj(installation, "keys", "add", str(file), code=2)
    return made


@pytest.fixture(scope="module")
def transfer(installation, theirs) -> None:
    """A member of ours on offer, and an answer of the peer's that is impossible."""
    folder = Folder(key_folder(installation.settings.keys, "BJ"))
    bridge = Bridge("BJ", folder)
    with installation.engine("federation_bj").begin() as tx:
        perform(tx, bridge, [Deed(OURS, Act.OFFER, example(Word.OFFER))], clock.now())
        now = clock.now()
        text = message(theirs.ring().signing(now), Type.INTEGRATED, subject=OURS, time=now.isoformat())
        receiving.take(tx, bridge, receiving.read(bridge, [text], now), now)
        line = Line(
            subject=OURS,
            outcome=Outcome.OPEN,
            sender_seq=1,
            sender_head="a" * 64,
            receiver_seq=0,
            receiver_head="",
        )
        keep(tx, clock.today(), [Difference(OURS, Kind.MISSING_THERE, line, None)], Kind, now)


@pytest.mark.rule("BEY-16")
def test_keys(installation, theirs):
    """Both sides' keys with their days; a new one overlaps; one that is revoked counts for nothing."""
    shown = bj(installation, "keys", "show")
    assert shown.count("our key") == shown.count("their key") == 1 and "364 days left, in use" in shown
    second = json.loads(bj(installation, "keys", "rotate", "--alg", "ES256"))
    assert "no key has this id" in bj(installation, "keys", "revoke", "nobodys", code=1)
    bj(installation, "keys", "revoke", second["kid"])
    shown = bj(installation, "keys", "show")
    assert shown.count(", revoked") == 1 and shown.count("in use") == 1
    assert "one of Ed25519, ES256" in bj(installation, "keys", "rotate", "--alg", "none", code=2)


@pytest.mark.rule("FED-11")
def test_paused_and_resumed(installation, transfer):
    """With a reason, which stands in the log without numbers of people; each has its state."""
    bj(installation, "pause", code=2)
    assert bj(installation, "pause", "--reason", "检修 13912345678").strip() == "paused"
    assert "it is paused already" in bj(installation, "pause", "--reason", "x", code=1)
    assert "检修 •" in bj(installation, "status")
    assert bj(installation, "resume").strip() == "resumed"
    assert "it is not paused" in bj(installation, "resume", code=1)
    assert "paused" not in bj(installation, "status")


def test_status(installation, transfer):
    """What an operator wants to know first."""
    said = bj(installation, "status")
    for words in (
        "never called",
        "1 waiting, 0 parked",
        "0 held, 1 in quarantine",
        f"{OURS} 1 offer, unreceipted since",
        "1 offered",
        "never read",
        "urn:tuanqiao:bridge:1.0; theirs urn:tuanqiao:bridge:1.0",
    ):
        assert words in said


def test_what_waits_for_a_person(installation, transfer):
    """Quarantine and differences, each with what is to be known of it."""
    assert f"{OURS} 1  integrated  at offered: integrated at offered" in bj(installation, "quarantine")
    said = bj(installation, "differences", code=1)
    assert f"{OURS}  missing_there: Our messages are sent again" in said and "there  nothing" in said


@pytest.mark.rule("BEY-16")
def test_evidence(installation, transfer, tmp_path):
    """A zip that verifies itself; an existing file is left alone, and an unknown transfer has none."""
    file = tmp_path / "evidence.zip"
    said = bj(installation, "evidence", OURS, str(file))
    assert "SHA-256" in said
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-I", "verify.py"], cwd=tmp_path / "out", env={}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before = lines(installation)
    assert "exists" in bj(installation, "evidence", OURS, str(file), code=2)
    assert "has no transfer" in bj(installation, "evidence", "national:8", str(tmp_path / "no"), code=2)
    assert lines(installation) == before and not (tmp_path / "no").exists()


def test_days(installation, transfer):
    """A day, or what is recent; the running bridge compares them."""
    assert "1 days" in bj(installation, "reconcile", "--day", str(clock.today()))
    assert "1 days" in bj(installation, "reconcile")
    assert "a day as" in bj(installation, "reconcile", "--day", "x", code=2)
    assert "to compare      1 days" in bj(installation, "status")


def lines(installation) -> list[tuple[str, str, str]]:
    with installation.engine("federation_bj").connect() as tx:
        rows = tx.execute(
            sa.text("SELECT kind, ref, note FROM audit_log WHERE person_id IS NULL ORDER BY seq")
        )
        return [tuple(row) for row in rows]


@pytest.mark.rule("BEY-10")
def test_the_log_of_a_bridge_is_proved_with_the_others(installation, transfer):
    """What was done by hand names nobody, and `audit verify` finds a head that no longer fits."""
    bj(installation, "pause", "--reason", "演练")
    bj(installation, "resume")
    assert ("bridge.paused", "bridge BJ", "演练") in lines(installation)
    said = tuanqiao(installation, "audit", "verify")
    assert said.returncode == 0 and "federation_bj" in said.stdout

    with installation.engine("scheduler").begin() as tx:
        told = [Told("BJ", head.lane, head.rows, "00" * 32) for head in newest(installation)]
        heads.on_federation_log_grew(tx, told)
        assert [one.lane for one in heads.kept(tx, "federation_bj")] == [one.lane for one in told]
    said = tuanqiao(installation, "audit", "verify")
    assert said.returncode == 1 and "federation_bj: lane" in said.stdout


class Told(msgspec.Struct):
    """A head as a bridge tells it."""

    peer: str
    lane: int
    rows: int
    hash: str


def newest(installation) -> list[Head]:
    with installation.engine("federation_bj").connect() as tx:
        return [Head(*row) for row in tx.execute(sa.text("SELECT lane, rows, hash FROM audit_heads"))]


def test_no_such_bridge(installation):
    """A peer that this installation has no bridge to is named with those that it has."""
    done = tuanqiao(installation, "federation", "GD", "status")
    assert done.returncode == 2 and "one of BJ" in done.stderr
