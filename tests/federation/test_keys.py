"""Key files: validity, overlap when they change, revocation at once."""

import json
from datetime import timedelta

import msgspec
import pytest

from services.federation import keys
from services.federation.envelope import NotTaken, opened
from services.federation.keys import LEAD, LIFE, OVERLAP, Folder, NoKey
from services.federation.protocol import Type
from tests.federation.factories import DAY, NOW, message, two_sides


def test_the_first_key_is_valid_at_once(tmp_path):
    """A bridge without keys can sign as soon as it has been given one, and not before."""
    folder = Folder(tmp_path)
    with pytest.raises(NoKey):
        folder.ring().signing(NOW)

    made = folder.rotate(NOW)

    assert folder.ring().signing(NOW).kid == made.kid
    with pytest.raises(NoKey):
        folder.ring().signing(NOW + LIFE)
    with pytest.raises(NoKey):
        folder.ring().signing(NOW - timedelta(seconds=1))


def test_rotation_overlaps(tmp_path):
    """A new key signs a day later, so that the peer has it by then; the old one is believed a week longer."""
    here, there = two_sides(tmp_path)
    old = there.ring().signing(NOW)
    here.add(there.rotate(NOW))
    begins = NOW + LEAD
    new = there.ring().signing(begins)

    assert there.ring().signing(begins - timedelta(seconds=1)).kid == old.kid != new.kid
    assert not here.ring().peer[new.kid].good_at(begins - timedelta(seconds=1))
    assert here.ring().peer[new.kid].good_at(begins)
    ended = next(key for key in there.ring().own if key.kid == old.kid)
    assert ended.good_at(begins + OVERLAP - timedelta(seconds=1)) and not ended.good_at(begins + OVERLAP)


def test_a_message_is_judged_by_the_key_of_its_time(tmp_path):
    """What was signed while the old key was valid is believed for ever; what is signed later is not."""
    here, there = two_sides(tmp_path)
    old = there.ring().signing(NOW)
    there.rotate(NOW)
    here.add(keys.read(tmp_path / "there" / "own" / f"{old.kid}.jwk"))
    end = NOW + LEAD + OVERLAP

    before = message(old, Type.RECORD, time=(end - timedelta(seconds=1)).isoformat())
    after = message(old, Type.RECORD, time=end.isoformat())

    assert opened(before, here.ring(), "BJ", "national", end + 90 * DAY).kind is Type.RECORD
    with pytest.raises(NotTaken, match="not_authentic"):
        opened(after, here.ring(), "BJ", "national", end)


def test_revocation_counts_at_once(tmp_path):
    """A key that was taken is believed no more, not even with an earlier time, from the next message on."""
    here, there = two_sides(tmp_path)
    key = there.ring().signing(NOW)
    assert opened(message(key), here.ring(), "BJ", "national", NOW).kind is Type.OFFER

    assert here.revoke(key.kid, NOW) == 1
    assert there.revoke(key.kid, NOW) == 1

    with pytest.raises(NotTaken, match="not_authentic"):
        opened(message(key), here.ring(), "BJ", "national", NOW)
    with pytest.raises(NoKey):
        there.ring().signing(NOW)
    assert here.revoke("nobody", NOW) == 0


def test_files(tmp_path):
    """Private files are their owner's alone; what is given away has no private part; a peer's never has."""
    here, there = two_sides(tmp_path)
    (own,) = (tmp_path / "here" / "own").iterdir()
    (given,) = (tmp_path / "there" / "peer").iterdir()

    assert own.stat().st_mode & 0o777 == 0o400
    assert "d" in json.loads(own.read_text()) and "d" not in json.loads(given.read_text())
    assert [key.d for key in here.published()] == [None]
    there.add(keys.read(own))
    assert "d" not in json.loads(given.read_text())


def test_what_is_no_key(tmp_path):
    """A file that holds no key is named; so is one of another kind, or under another name."""
    here, _ = two_sides(tmp_path)
    (file,) = (tmp_path / "here" / "peer").iterdir()
    good = json.loads(file.read_text())
    for wrong in (
        "{}",
        "not json",
        json.dumps({**good, "alg": "HS256"}),
        json.dumps({**good, "alg": "ES256"}),
        json.dumps({**good, "kid": "another"}),
        json.dumps({**good, "crv": "X25519"}),
        json.dumps({**good, "valid_from": "yesterday"}),
    ):
        file.chmod(0o600)
        file.write_text(wrong)
        with pytest.raises(ValueError, match=r"is no key of a bridge"):
            here.ring()


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "../own/stolen"},
        {"kid": "x"},
        {"alg": "none"},
        {"crv": "P-256"},
        {"x": "AAAA"},
    ],
    ids=str,
)
@pytest.mark.rule("BEY-16")
def test_what_a_peer_hands_over_is_looked_at_first(tmp_path, change):
    """A key whose id is not made of it, or that nobody could use, is not taken, and nothing is written."""
    ours, theirs = keys.Folder(tmp_path / "ours"), keys.Folder(tmp_path / "theirs")
    key = theirs.rotate(NOW)
    with pytest.raises(ValueError, match="no key of a bridge"):
        ours.add(msgspec.structs.replace(key, **change))
    assert not list((tmp_path / "ours").rglob("*"))
    ours.add(key)
    assert list(ours.ring().peer) == [key.kid]
