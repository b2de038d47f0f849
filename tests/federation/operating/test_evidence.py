"""The evidence of a transfer proves itself, without us, and notices whatever was changed."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from services.federation.protocol import Act
from shared.messages import federation as contract
from tests.federation.factories import DAY, NOW, SEALED
from tests.federation.operating.factories import (
    LOOKER,
    NOBODY,
    OTHER,
    OURS,
    PROVINCE,
    ROOT,
    THEIRS,
    arrive,
    ask,
    depart,
    log_lines,
)


def evidence(end, actor=ROOT, **of):
    return ask(end, contract.get_evidence, contract.GetEvidence(peer="BJ", **of), actor)


@pytest.fixture
def told(here, there):
    """A hand-over to its end, with the receipts of both sides."""
    depart(here)
    receipted(here, there)
    there.act(OURS, Act.TELL)
    there.act(OURS, Act.ACCEPT)
    receipted(there, here)
    here.act(OURS, Act.HAND_OVER)
    receipted(here, there)
    there.act(OURS, Act.TAKE)
    receipted(there, here)
    assert here.state(OURS) == "moved"


def receipted(one, other):
    """Carry what one side has said, and keep the other's receipts."""
    said = one.said(OURS)
    with one.engine.begin() as tx:
        for seq, receipt in enumerate(other.answers(*said), start=1):
            tx.execute(
                sa.text(
                    "UPDATE sent SET (state, receipt, settled_at) = ('receipted', :receipt, :now)"
                    " WHERE subject = :subject AND seq = :seq"
                ),
                {"receipt": receipt, "now": NOW, "subject": OURS, "seq": seq},
            )


def unpack(content: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def verify(folder: Path) -> tuple[int, str]:
    """Run the script in a process that knows its libraries and nothing of ours; return how it ended."""
    done = subprocess.run(
        [sys.executable, "-I", "-B", "verify.py"],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.rule("BEY-16")
def test_it_verifies_on_its_own(here, told, tmp_path):
    """BEY-16: All messages of both sides with their receipts, and not a word of what is sealed or secret."""
    found = evidence(here, subject=OURS)

    assert found.name == "national-7.zip" and found == evidence(here, transfer_id=7)
    folder = unpack(found.zip, tmp_path / "out")
    names = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    assert [name for name in names if not name.startswith("keys/")] == [
        "README.txt",
        "messages/BJ-000001.jws",
        "messages/BJ-000002.jws",
        "messages/BJ-000003.jws",
        "messages/national-000001.jws",
        "messages/national-000002.jws",
        "receipts/BJ-000001.jws",
        "receipts/BJ-000002.jws",
        "receipts/BJ-000003.jws",
        "receipts/national-000001.jws",
        "receipts/national-000002.jws",
        "verify.py",
    ]
    for key in folder.glob("keys/*/*.jwk"):
        assert "d" not in msgspec.json.decode(key.read_bytes())
    code, said = verify(folder)
    assert code == 0, said
    assert "everything fits" in said and said.count("receipted stored") == 5
    assert SEALED not in said


def test_it_needs_nothing_of_ours(here, told, tmp_path):
    """Only the standard library and cryptography are imported."""
    text = (unpack(evidence(here, subject=OURS).zip, tmp_path / "out") / "verify.py").read_text()
    imports = {
        line.split()[1].partition(".")[0]
        for line in text.splitlines()
        if line.startswith(("from ", "import "))
    }
    assert imports - set(sys.stdlib_module_names) == {"cryptography"}


@pytest.mark.rule("BEY-16")
def test_one_flipped_bit_is_found(here, told, tmp_path):
    """In any file, at its beginning, middle and end; also where the list of hashes was made to fit."""
    content = evidence(here, subject=OURS).zip
    folder = unpack(content, tmp_path / "out")
    files = sorted(one for one in folder.rglob("*") if one.is_file() and one.name != "verify.py")
    assert len(files) == 13
    for file in files:
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        file.write_bytes(flipped)
        assert verify(folder)[0] == 1, file
        file.write_bytes(whole)
    assert verify(folder)[0] == 0


CHEATS = """
import hashlib, pathlib
here = pathlib.Path(".")
hashed = lambda content: hashlib.sha256(content).hexdigest()
lines = (here / "README.txt").read_text().splitlines()
head = [one for one in lines if len(one.split("  ")[0]) != 64]
files = sorted(str(one) for one in here.rglob("*") if one.is_file() and one.name != "README.txt")
body = "\\n".join([*head, *(f"{hashed((here / one).read_bytes())}  {one}" for one in files), ""])
(here / "README.txt").write_text(body + hashed(body.encode()) + "  README.txt\\n")
"""


def cheat(folder: Path) -> None:
    """Make the list of hashes fit what was changed."""
    subprocess.run([sys.executable, "-c", CHEATS], cwd=folder, check=True, timeout=60)


@pytest.mark.parametrize("pattern", ["messages/*.jws", "receipts/*.jws", "keys/*/*.jwk"])
def test_a_list_that_was_made_to_fit_helps_nobody(here, told, tmp_path, pattern):
    """Signatures are over messages and receipts, and the id of a key is made of the key."""
    folder = unpack(evidence(here, subject=OURS).zip, tmp_path / "out")
    cheat(folder)
    assert verify(folder)[0] == 0, "the list alone was written anew"
    for file in sorted(folder.glob(pattern)):
        whole = file.read_bytes()
        at = whole.index(b'"x"') + 9 if pattern.startswith("keys") else len(whole) // 2
        changed = b"A" if whole[at : at + 1] != b"A" else b"B"
        file.write_bytes(whole[:at] + changed + whole[at + 1 :])
        cheat(folder)
        code, said = verify(folder)
        assert code == 1 and "DOES NOT FIT" in said, file
        file.write_bytes(whole)
    cheat(folder)
    assert verify(folder)[0] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda at: (at / "messages/BJ-000001.jws").rename(at / "messages/BJ-000009.jws"), "another number"),
        (lambda at: swap(at / "receipts/BJ-000001.jws", at / "receipts/BJ-000002.jws"), "of another message"),
        (lambda at: (at / "receipts/GD-000001.jws").write_text("x"), "receipts without"),
        (lambda at: (at / "messages/BJ-000002.jws").write_text("a.b"), "no compact JWS"),
        (lambda at: next((at / "keys/BJ").iterdir()).unlink(), "no key of its signer"),
    ],
    ids=["renamed", "swapped", "added", "cut", "without key"],
)
def test_what_does_not_belong_together(here, told, tmp_path, change, said):
    """The words say what does not fit."""
    folder = unpack(evidence(here, subject=OURS).zip, tmp_path / "out")
    change(folder)
    cheat(folder)
    code, words = verify(folder)
    assert code == 1 and said in words


def swap(one: Path, other: Path) -> None:
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)


def test_a_message_that_is_missing_is_said(here, told, tmp_path):
    """Numbers have no gaps, so what was left out is seen."""
    folder = unpack(evidence(here, subject=OURS).zip, tmp_path / "out")
    (folder / "messages/BJ-000002.jws").unlink()
    cheat(folder)
    assert "receipts without their messages" in verify(folder)[1]
    (folder / "receipts/BJ-000002.jws").unlink()
    cheat(folder)
    code, said = verify(folder)
    assert code == 0 and "2 to 2 are not here" in said


def test_a_revoked_key_proves_nothing(here, there, told, tmp_path):
    """Whatever it has signed, and whenever."""
    (key,) = here.bridge.keys.ring().peer
    here.bridge.keys.revoke(key, NOW + DAY)
    code, said = verify(unpack(evidence(here, subject=OURS).zip, tmp_path / "out"))
    assert code == 1 and "its key was revoked" in said


@pytest.mark.rule("FED-11")
def test_who_may_take_it(here, there, told):
    """Administrators of the centre alone; that it was taken is written down with its hash."""
    arrive(here, there)
    for actor, code in (
        (PROVINCE, "operators_only"),
        (OTHER, "operators_only"),
        (LOOKER, "not_administrator"),
        (NOBODY, "not_administrator"),
        (None, "not_administrator"),
    ):
        assert evidence(here, actor, subject=OURS) == code
    for of in ({}, {"subject": "GD:7"}, {"transfer_id": 99}, {"subject": OURS, "transfer_id": 7}):
        assert evidence(here, **of) == "unknown_crossing"
    before = len(log_lines(here))

    found = evidence(here, subject=THEIRS)

    (line,) = log_lines(here)[before:]
    assert (line.kind, line.ref, line.person_id) == ("bridge.evidence", f"bridge BJ {THEIRS}", 100)
    assert found.sha256 in line.after
