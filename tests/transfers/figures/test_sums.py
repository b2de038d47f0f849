"""What waits is kept, and is what a bare count says: by organisation, below each, and by the clock."""

import json
import random
from collections import Counter
from datetime import timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from services.transfers import handlers, waiting
from services.transfers.figures import board, sums
from services.transfers.figures import store as figures_store
from services.transfers.figures.rules import MEASURES
from shared import clock, directory
from shared.messages.orgs import OrgChanged
from tests.transfers.factories import ORGS, ROOT, SCHOOL, TARGET

OPEN = sa.text("""
    INSERT INTO open_nodes (
        transfer_id, node_no, state, province, org_id, superior_id, opened_at, expires_at, reminders)
    SELECT i.id, 1, i.state, i.province, i.org_id, i.superior_id, i.opened_at, i.expires_at, 0
    FROM json_to_recordset(CAST(:items AS json)) AS i(
        id bigint, state text, province text, org_id bigint, superior_id bigint,
        opened_at timestamptz, expires_at timestamptz)""")
CHANGES = (
    "DELETE FROM open_nodes WHERE transfer_id = ANY(:ids)",
    "UPDATE open_nodes SET reminders = reminders + 1 WHERE transfer_id = ANY(:ids)",
    "UPDATE open_nodes SET superior_id = 7 - coalesce(superior_id, 3) WHERE transfer_id = ANY(:ids)",
    "UPDATE open_nodes SET expires_at = :now + (transfer_id % 7 - 2) * interval '1 day', looked_by = 1"
    " WHERE transfer_id = ANY(:ids) AND expires_at IS NOT NULL",
)
ALL = [row[0] for row in ORGS]


def _nodes(rng, first, now):
    """Return nodes of every kind, with deadlines before and after now."""
    made = []
    for number in range(rng.randint(0, 12)):
        state = rng.choice(("pending_out", "pending_in", "pending_assign"))
        opened = now - timedelta(days=rng.choice((0, 0, 9, 10, 11)), minutes=rng.randint(0, 3))
        due = now + timedelta(days=rng.choice((-1, 0, 1, 2, 3, 4)), seconds=rng.randint(0, 90))
        made.append(
            {
                "id": first + number,
                "state": state,
                "province": rng.choice(("42", "31")),
                "org_id": rng.choice(ALL),
                "superior_id": rng.choice((None, SCHOOL, TARGET)) if state != "pending_assign" else None,
                "opened_at": opened.isoformat(),
                "expires_at": None if state == "pending_assign" else due.isoformat(),
            }
        )
    return made


def _moved(tx, org_id, parent, version):
    """Return the event of an organisation that goes below another one."""
    row = directory.find(tx, [org_id])[org_id]
    fields = {name: getattr(row, name) for name in OrgChanged.__struct_fields__ if hasattr(row, name)}
    return OrgChanged(**{**fields, "parent_id": parent, "version": version})


def _bare(tx, org_id, now):
    """Count what waits below each direct subordinate, node by node."""
    found = {}
    children = tx.execute(
        sa.text("SELECT * FROM org_directory WHERE parent_id = :org"), {"org": org_id}
    ).all()
    paths = {row.org_id: row.path for row in tx.execute(sa.text("SELECT * FROM org_directory"))}
    for node in tx.execute(sa.text("SELECT * FROM open_nodes")):
        for child in children:
            if not paths[node.org_id].startswith(child.path):
                continue
            assigning = node.state == "pending_assign"
            late = (node.expires_at or node.opened_at + timedelta(days=10)) <= now
            soon = node.expires_at is not None and now < node.expires_at <= now + timedelta(days=3)
            counted = found.setdefault(child.org_id, Counter(oldest=[]))
            counted["waiting"] += 1
            counted["due_soon"] += soon
            counted["overdue"] += late and not assigning
            counted["assigning"] += assigning and node.opened_at <= now - timedelta(days=10)
            counted["oldest"].append(node.opened_at)
    return {org: (*(one[name] for name in MEASURES), min(one["oldest"])) for org, one in found.items()}


def _board(tx, org_id, now):
    rows = board.board(tx, org_id, 0, now)
    return {row.org_id: (*(getattr(row, name) for name in MEASURES), row.oldest) for row in rows}


def _own(tx, org_id):
    """Count what an organisation may decide, node by node."""
    kinds, reminded = Counter(), 0
    for node in tx.execute(sa.text("SELECT * FROM open_nodes")):
        for side in (node.org_id, node.superior_id):
            if side == org_id:
                kinds[node.state] += 1
                reminded += node.reminders > 0
    return dict(kinds), reminded


@pytest.mark.parametrize("seed", range(12))
def test_what_is_kept_is_what_is_open(tx, seed):
    """Nodes come, go, change and grow late, organisations move, and whoever follows comes when it likes."""
    rng, now, first, version = random.Random(seed), clock.now(), 1, 2
    for _ in range(30):
        now += timedelta(seconds=rng.choice((0, 1, 40, 3600, 90_000)))
        nodes = _nodes(rng, first, now)
        first += len(nodes)
        tx.execute(OPEN, {"items": json.dumps(nodes)})
        ids = rng.sample(range(1, first + 1), rng.randint(0, first // 3))
        tx.execute(sa.text(rng.choice(CHANGES)), {"ids": ids, "now": now})
        if rng.random() < 0.2:
            version += 1
            event = _moved(tx, rng.choice((5, 6, 8, 41)), rng.choice((SCHOOL, TARGET, ROOT)), version)
            handlers.on_org_changed(tx, [event])
        followed = rng.random() < 0.4
        if followed:
            sums.follow(tx, now)
        assert sums.waits(tx, now) <= (not followed)
        for org in (ROOT, SCHOOL, TARGET):
            kept, counted = _board(tx, org, now), _bare(tx, org, now)
            if not followed:  # the oldest is found out by whoever follows
                kept, counted = ({one: row[:-1] for one, row in rows.items()} for rows in (kept, counted))
            assert kept == counted
            assert waiting.work_counts(tx, org) == _own(tx, org)
        assert sums.differences(tx) == []


def test_organisations_that_move_together(tx):
    """One goes below another that goes elsewhere by the same message: all that waits is where it belongs now.

    So is since when the oldest does.
    """
    now = clock.now()
    tx.execute(
        OPEN,
        {
            "items": json.dumps(
                [node for turn in range(9) for node in _nodes(random.Random(turn), 99 * turn, now)]
            )
        },
    )
    sums.follow(tx, now)
    for places in (
        ((8, SCHOOL), (41, 8)),
        ((8, ROOT), (41, 6)),
        ((41, TARGET), (8, 41), (6, 5)),
        ((8, TARGET),),
    ):
        version = directory.find(tx, [8])[8].version + 1
        handlers.on_org_changed(tx, [_moved(tx, org, parent, version) for org, parent in places])
        for org in (ROOT, SCHOOL, TARGET, 8, 41):
            assert _board(tx, org, now) == _bare(tx, org, now)
        assert sums.differences(tx) == []


def test_an_organisation_that_becomes_known_later(tx):
    """What waits for one that the directory does not know yet counts below those above it from then on."""
    now = clock.now()
    nodes = [node | {"org_id": 77} for node in _nodes(random.Random(4), 1, now)]
    tx.execute(OPEN, {"items": json.dumps(nodes)})
    sums.follow(tx, now)
    assert _board(tx, TARGET, now) == {} and not sums.waits(tx, now)
    now += timedelta(days=2)
    sums.follow(tx, now)
    new = replace(_moved(tx, TARGET, TARGET, 1), org_id=77, path="1.4.77.")
    handlers.on_org_changed(tx, [new])
    sums.follow(tx, now)
    assert _board(tx, TARGET, now) == _bare(tx, TARGET, now) != {}
    assert sums.differences(tx) == []


def test_what_is_kept_wrongly_is_named_and_mended(tx):
    """A recount names what differs and puts it right, whatever has not been followed yet."""
    now = clock.now()
    tx.execute(OPEN, {"items": json.dumps(_nodes(random.Random(1), 1, now))})
    sums.follow(tx, now)
    tx.execute(OPEN, {"items": json.dumps(_nodes(random.Random(2), 100, now))})
    tx.execute(sa.text("UPDATE open_below SET overdue = overdue + 2, oldest = NULL WHERE org_id = 1"))
    tx.execute(sa.text("DELETE FROM open_own"))
    differ = sums.differences(tx)
    assert "below organisation 1: -2 more overdue than kept" in differ and len(differ) > 1
    figures_store.recount(tx)
    assert sums.differences(tx) == []
    sums.follow(tx, now)
    assert _board(tx, ROOT, now) == _bare(tx, ROOT, now)
