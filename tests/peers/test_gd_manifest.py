"""What GD says of a day, and what it finds where the other side has something else."""

from hashlib import sha256

import pytest

from tests.peers.factories import House, moment
from tests.peers.gd import courier, envelope, jose, keys, manifest, moments, store

FIELDS = ("subject", "outcome", "sender_seq", "sender_head", "receiver_seq", "receiver_head")


@pytest.fixture
def pair(tmp_path, folders, serve):
    """GD and FJ with three transfers each way, every message delivered."""
    houses = House(tmp_path, folders[0], system="GD"), House(tmp_path, folders[1], system="FJ")
    for house, other in (houses, houses[::-1]):
        house.meet(serve(other))
        house.courier.copy_directory()
    return houses


def start(house: House, count: int) -> None:
    """Let so many members leave."""
    for _ in range(count):
        with house.file.transaction() as tx:
            house.office.start(tx, 0.0)


def deliver(house: House) -> None:
    """Send all that waits."""
    while rows := house.courier.batch(100):
        receipts = house.courier.post([row["jws"] for row in rows])
        with house.file.transaction() as tx:
            for row, receipt in zip(rows, receipts, strict=True):
                house.courier.note(tx, row, receipt)


def differences(house: House) -> list[tuple]:
    """Return what the house finds of all its days."""
    with house.file.transaction() as tx:
        days = store.days(tx)
    return [one for day in days for one in house.courier.compare(day)]


def test_the_digest_is_that_of_the_page():
    """Lines by the bytes of their subjects, line feeds between them; buckets by two digits."""
    lines = [
        manifest.Line("GD:9", "kept", 2, "b" * 64, 1, "c" * 64),
        manifest.Line("GD:10", "open", 1, "a" * 64, 0, ""),
    ]
    text = f"GD:10 open 1 {'a' * 64} 0 \nGD:9 kept 2 {'b' * 64} 1 {'c' * 64}"

    assert manifest.digest(sorted(lines)) == sha256(text.encode()).hexdigest()
    names = sorted(sha256(subject.encode()).hexdigest()[:2] for subject in ("GD:9", "GD:10"))
    assert [(one["name"], one["count"]) for one in manifest.summary(lines)] == [(name, 1) for name in names]


def test_a_bucket_is_in_the_order_of_its_subjects_and_either_side_may_have_it_alone():
    """Whoever has the lines in another order has the same digest; a bucket of one side differs on both."""
    subjects = sorted(
        f"GD:{number}" for number in range(1, 2000) if manifest.bucket_of(f"GD:{number}") == "3f"
    )
    lines = [manifest.Line(subject, "open", 1, "a" * 64, 0, "") for subject in subjects]

    assert len(lines) > 1
    assert manifest.summary(lines[::-1]) == manifest.summary(lines)
    assert manifest.summary(lines) == [{"name": "3f", "count": len(lines), "digest": manifest.digest(lines)}]
    assert manifest.differing(lines, manifest.summary(lines)) == set()
    assert manifest.differing([], manifest.summary(lines)) == manifest.differing(lines, []) == {"3f"}


def test_a_day_begins_at_midnight_in_china():
    """Four in the afternoon, UTC, is the next day."""
    assert manifest.day_of(moments.parse("2026-07-01T15:59:59Z")) == "2026-07-01"
    assert manifest.day_of(moments.parse("2026-07-01T16:00:00Z")) == "2026-07-02"


def test_two_sides_that_heard_everything_have_the_same_day(pair, monkeypatch):
    """All along the way of the transfers, whatever their states are called on either side."""
    gd, fj = pair
    start(gd, 5)
    start(fj, 5)
    states = set()
    for _ in range(6):
        for house in pair:
            deliver(house)
        deliver(gd)
        assert differences(gd) == differences(fj) == []
        states |= set(gd.rows("SELECT side, state, heard_record FROM transfers"))
        for house in pair:
            house.turn(monkeypatch, 1.5)

    assert {("sender", "moved", 0), ("receiver", "taken", 1), ("receiver", "awaited", 1)} <= states


def test_what_the_other_side_has_lost_is_sent_again_and_the_rest_is_shown_the_next_day(pair, monkeypatch):
    """A peer that has lost what it had heard hears it again; a head that differs is for a person."""
    gd, fj = pair
    start(gd, 3)
    deliver(gd)
    deliver(fj)
    with fj.file.transaction() as tx:
        tx.execute("DELETE FROM heard WHERE subject = 'GD:1'")
        tx.execute("DELETE FROM transfers WHERE subject = 'GD:1'")
        tx.execute("UPDATE transfers SET heard_sha = ? WHERE subject = 'GD:2'", ("0" * 64,))
    assert sorted(subject for subject, _, _ in differences(gd)) == ["GD:1", "GD:2"]

    gd.courier.compare_all()
    deliver(gd)
    gd.courier.compare_all()
    assert gd.rows("SELECT subject FROM shown") == []
    monkeypatch.setattr(moments, "ahead", 86_400.0)
    gd.courier.compare_all()

    assert fj.rows("SELECT state, heard_seq FROM transfers WHERE subject = 'GD:1'") == [("deciding", 1)]
    assert gd.rows("SELECT subject, what FROM shown") == [("GD:2", "differs from what the peer has")]
    assert gd.rows("SELECT subject FROM differences") == [("GD:2",)]


def test_a_manifest_is_signed_for_its_day_and_bucket(gd, stranger):
    """One of another day, another bucket, or by another key is none."""
    me = keys.Keys("GD", [stranger.key], {jose.thumbprint(stranger.theirs): stranger.theirs})
    whole = envelope.manifest(
        gd.desk.keys, "GD", "2026-07-01", buckets=[{"name": "3f", "count": 1, "digest": "0" * 64}]
    )
    line = dict(zip(FIELDS, ("GD:1", "open", 1, "0" * 64, 0, ""), strict=True))
    part = envelope.manifest(gd.desk.keys, "GD", "2026-07-01", bucket="3f", lines=[line])
    wrong = envelope.manifest(
        gd.desk.keys, "GD", "2026-07-01", bucket="3f", lines=[line | {"outcome": "gone"}]
    )
    receipt = stranger.sign(
        "receipt+jws", {"source": "GD", "dest": "FJ", "day": "2026-07-01", "time": moment()}
    )

    assert envelope.read_manifest(me, "FJ", whole, "2026-07-01")["buckets"]
    assert envelope.read_manifest(me, "FJ", part, "2026-07-01", "3f")["lines"] == [line]
    assert envelope.read_manifest(me, "FJ", whole, "2026-07-02") is None
    assert envelope.read_manifest(me, "FJ", part, "2026-07-01", "40") is None
    assert envelope.read_manifest(me, "FJ", whole, "2026-07-01", "3f") is None
    assert envelope.read_manifest(me, "FJ", wrong, "2026-07-01", "3f") is None
    assert envelope.read_manifest(me, "FJ", receipt, "2026-07-01") is None
    assert envelope.read_manifest(me, "BJ", whole, "2026-07-01") is None


def test_a_manifest_needs_a_token_for_its_own_path(pair):
    """The bucket is part of the path."""
    gd, _ = pair
    start(gd, 1)
    with gd.file.transaction() as tx:
        [day] = store.days(tx)

    with pytest.raises(courier.Away, match="404"):
        gd.courier.manifest("today")
    assert gd.courier.manifest(day)["buckets"] == []
    assert gd.courier.manifest(day, "00")["lines"] == []
    path = f"{manifest.PATH}/{day}"
    token = envelope.token(gd.desk.keys, "GD", path)
    assert gd.courier.ask("GET", path, None, token).status == 200
    assert gd.courier.ask("GET", f"{path}/00", None, token).status == 401
