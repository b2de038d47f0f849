"""Policy files: what holds, what is said of one that does not, what changes between two, what one would do to the open nodes."""
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.transfers import policies, store
from services.transfers.saga import NODES, State
from shared import clock
from tests.transfers.test_handlers import BRANCH, engine, request, start, tx  # noqa: F401

GOOD = (policies.Path(policies.__file__).parent / "national.toml").read_text("utf-8")


@pytest.mark.rule("DL-01", "BEY-07")
@pytest.mark.parametrize("name", policies.known())
def test_presets_hold(name):
    """DL-01, BEY-07: every preset holds, is dated and cites its source."""
    policy = policies.read(name)
    assert policy.version and "DL-01" in policy.source and set(policy.nodes) == set(NODES)
    assert policy.nodes[State.ASSIGN].on_expiry == "remind"


@pytest.mark.rule("DL-01", "DL-05", "DL-09")
def test_what_the_presets_say():
    """DL-01: fifteen days and approved in 2019 and 2020, ten days and returned since; DL-09: the province times out only in the former."""
    days = {name: (policies.read(name).nodes[State.IN].expire_after_days, policies.read(name).nodes[State.IN].on_expiry,
                   policies.read(name).nodes[State.PROVINCE].expire_after_days) for name in policies.known()}
    assert days == {"national": (10, "return", None), "p000": (15, "approve", 15), "p001": (15, "approve", 15), "p003": (10, "return", None)}


@pytest.mark.rule("BEY-07", "ASG-04")
@pytest.mark.parametrize("old, new, problem", [
    ('version = "2026.1"\n', "", "line 1: version is missing"),
    ("[node.pending_in]", "[node.pending_inn]", "line 10: [node.pending_inn] is no node"),
    ("[node.pending_in]", "[node.pending_inn]", "line 1: [node.pending_in] is missing"),
    ("expire_after_days = 10", "expire_after_days = -10", "line 7: expire_after_days is -10"),
    ("expire_after_days = 10", 'expire_after_days = "ten"', "line 7: expire_after_days is 'ten'"),
    ('on_expiry = "return"', 'on_expiry = "forget"', "line 8: on_expiry is 'forget'"),
    ("expire_after_days = 10\n", "", "line 7: expire_after_days and an on_expiry of return or approve go together"),
    ("remind_after_days = 7", "remind_after_days = 12", "line 6: the first reminder would come with or after the deadline"),
    ("remind_after_days = 7", "remind_afterr_days = 7", "line 6: remind_afterr_days is not an entry of a node"),
    ('[node.pending_assign]\n', '[node.pending_assign]\nexpire_after_days = 10\n', "line 24: expire_after_days and an on_expiry"),
    ("[node.pending_out]", "[node.pending_out", "at line 5"),
])
def test_what_does_not_hold(tmp_path, old, new, problem):
    """BEY-07: a file that does not hold is refused with its line and the reason."""
    assert old in GOOD
    file = tmp_path / "own.toml"
    file.write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(policies.PolicyError) as caught:
        policies.load(file)
    assert any(problem in line and line.startswith("own.toml") for line in caught.value.problems), caught.value.problems


def test_the_clock_never_assigns(tmp_path):
    """ASG-04: whatever days are given, no policy lets the clock assign a branch."""
    file = tmp_path / "own.toml"
    head, _, tail = GOOD.rpartition('on_expiry = "remind"')
    file.write_text(head + 'expire_after_days = 20\non_expiry = "approve"' + tail, "utf-8")
    with pytest.raises(policies.PolicyError, match="never assigns"):
        policies.load(file)


@pytest.mark.rule("BEY-07")
def test_differences():
    """BEY-07: two policies are compared entry by entry."""
    assert policies.differences(policies.read("national"), policies.read("national")) == []
    lines = policies.differences(policies.read("national"), policies.read("p000"))
    assert "node.pending_in.expire_after_days: 10 -> 15" in lines and "node.pending_province.on_expiry: remind -> approve" in lines


@pytest.mark.rule("BEY-07")
def test_dry_run(tx):
    """BEY-07: how many open nodes would get another deadline, which of them would be past or due within 72 hours; nothing is changed."""
    start(tx, request(), request(), request("member", target=BRANCH))
    before = tx.execute(sa.text("SELECT * FROM open_nodes ORDER BY transfer_id")).all()

    def run(name, now=None):
        nodes = [{"state": str(state), "expire_after": node.expire_after_days, "on_expiry": node.on_expiry} for state, node in policies.read(name).nodes.items()]
        return {row.state: (row.open, row.moved, row.earlier, row.overdue, row.soon, row.other_action) for row in store.dry_run(tx, nodes, now or clock.now())}

    assert run("national") == {"pending_in": (2, 0, 0, 0, 0, 0), "pending_out": (1, 0, 0, 0, 0, 0)}
    assert run("p000") == {"pending_in": (2, 2, 0, 0, 0, 2), "pending_out": (1, 1, 0, 0, 0, 1)}
    assert run("national", clock.now() + timedelta(days=8))["pending_in"] == (2, 0, 0, 0, 2, 0)
    assert run("national", clock.now() + timedelta(days=11))["pending_in"] == (2, 0, 0, 2, 2, 0)
    assert tx.execute(sa.text("SELECT * FROM open_nodes ORDER BY transfer_id")).all() == before
