"""The auditor of the storm over bridges: what it has to find, and what it has to leave alone."""

import base64
import hashlib
import hmac
import json
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from tests.storm.bridges.auditor import Auditor

NUMBER, KEY = "11010120050101001X", b"k" * 32
INDEX = hmac.new(KEY, NUMBER.encode(), hashlib.sha256).digest()
OURS, MIRRORED, TRANSFER = 7, 11, 5

metadata = sa.MetaData()
people = sa.Table(
    "people",
    metadata,
    sa.Column("id_index", sa.LargeBinary),
    sa.Column("branch_id", sa.BigInteger),
    sa.Column("reserved_by", sa.BigInteger),
    sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()")),
)
orgs = sa.Table("org_directory", metadata, sa.Column("org_id", sa.BigInteger), sa.Column("system", sa.Text))
handovers = sa.Table(
    "handovers",
    metadata,
    sa.Column("subject", sa.Text),
    sa.Column("side", sa.Text),
    sa.Column("state", sa.Text),
)


@pytest.fixture(scope="module")
def engine(scratch):
    made = scratch(metadata)
    with made.begin() as tx:
        tx.execute(
            orgs.insert(), [{"org_id": OURS, "system": "national"}, {"org_id": MIRRORED, "system": "BJ"}]
        )
    return made


@pytest.fixture
def look(engine, tmp_path):
    """Return what an auditor finds where somebody stands so here and there, as one word for each finding."""
    key, file = tmp_path / "key.json", tmp_path / "BJ.db"
    key.write_text(json.dumps({"index_key": base64.b64encode(KEY).decode()}))
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def looked(branch, bridge, there):
        with engine.begin() as tx:
            tx.execute(people.delete())
            tx.execute(handovers.delete())
            tx.execute(people.insert(), {"id_index": INDEX, "branch_id": branch, "reserved_by": TRANSFER})
            if bridge:
                said = {"subject": f"national:{TRANSFER}", "side": "sender", "state": bridge}
                tx.execute(handovers.insert(), said)
        with closing(sqlite3.connect(file)) as made:
            made.execute("CREATE TABLE IF NOT EXISTS members (number, state, subject)")
            made.execute("DELETE FROM members")
            if there:
                made.execute("INSERT INTO members VALUES (?, ?, '')", (NUMBER, there))
            made.commit()
        said = {"members": url, "bridges": {"BJ": url}, "peers": {"BJ": str(file)}}
        auditor = Auditor(said | {"key": str(key), "since": "2000-01-01"})
        auditor.look()
        assert (auditor.looks, auditor.missed) == (1, 0)
        found = auditor.said()["found"]
        assert not any(NUMBER in one for one in found)
        return ["twice" if " active in " in one else "nowhere" for one in found]

    return looked


@pytest.mark.parametrize(
    ("branch", "bridge", "there"),
    [
        (OURS, "", ""),  # never offered
        (OURS, "offered", "gone"),  # comes back and is offered again
        (OURS, "handover", ""),  # on the way there
        (OURS, "handover", "active"),  # taken there; the answer is on the way
        (OURS, "moved", "active"),  # the answer is here, members has not heard of it
        (MIRRORED, "moved", "active"),
        (OURS, "kept", ""),
        (MIRRORED, "", "active"),  # is offered to us
        (MIRRORED, "", "on_the_way"),
        (OURS, "", "on_the_way"),  # is a member here, the peer has not heard of it
        (OURS, "", "gone"),
    ],
)
def test_what_may_be(look, branch, bridge, there):
    """Nothing is found where somebody is active in one system, or on the way."""
    assert look(branch, bridge, there) == []


@pytest.mark.parametrize(
    ("branch", "bridge", "there", "found"),
    [
        (OURS, "", "active", "twice"),
        (OURS, "offered", "active", "twice"),
        (OURS, "kept", "active", "twice"),
        (OURS, "moved", "", "nowhere"),
        (OURS, "moved", "gone", "nowhere"),
        (MIRRORED, "", "gone", "nowhere"),
        (None, "", "gone", "nowhere"),
    ],
)
def test_what_may_not_be(look, branch, bridge, there, found):
    """Whoever is active twice, or nowhere and not on the way, is found."""
    assert look(branch, bridge, there) == [found]
