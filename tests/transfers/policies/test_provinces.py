"""A node belongs to the province of the organisation that decides it.

Rules, backlog and latency are told apart by it.
"""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.transfers import handlers, store
from shared import clock, metrics
from shared.messages.scheduler import DeadlineExpired
from tests.transfers.factories import (
    BRANCH,
    CLASS,
    ELSEWHERE,
    HERE,
    OTHER,
    TARGET,
    THERE,
    decide,
    request,
    start,
)


def latency(province: str, state: str, trigger: str) -> tuple[float, float]:
    """Return how many decisions the metric has counted, and the seconds they had waited in all.

    They are those of one province, kind of node and who decides.
    """
    labels = {"province": province, "node": state, "who": "clock" if "clock" in trigger else "people"}
    read = metrics.APPROVAL_SECONDS
    found = {
        sample.name.rpartition("_")[2]: sample.value
        for family in read.collect()
        for sample in family.samples
        if sample.labels == labels
    }
    return found.get("count", 0.0), found.get("sum", 0.0)


@pytest.mark.rule("BEY-07")
def test_the_backlog_is_counted_where_it_waits(tx):
    """BEY-07: an open node counts in the province of its organisation.

    That is the source's, the target's, or the provincial committee's of the source.
    """
    one, two, three, _ = start(
        tx,
        request(),
        request("member", target=BRANCH),
        request(target=OTHER),
        request(target=None, reason="special_unit", remark="参军"),
    )

    def backlog():
        return {(row.province, row.state): row.n for row in store.backlog(tx) if row.n}

    assert backlog() == {
        (THERE, "pending_in"): 1,
        (HERE, "pending_out"): 1,
        (ELSEWHERE, "pending_in"): 1,
        (HERE, "pending_province"): 1,
    }
    decide(tx, one, TARGET)
    decide(tx, two, CLASS)
    decide(tx, three, OTHER)
    assert backlog() == {
        (THERE, "pending_assign"): 1,
        (THERE, "pending_in"): 1,
        (HERE, "pending_province"): 1,
    }


@pytest.mark.rule("DL-01")
def test_latency_is_measured_where_the_node_was(tx):
    """DL-01: how long nodes wait is measured in seconds, per province, kind of node and what ended it.

    The province is that of the deciding organisation.
    """
    before = {
        key: latency(*key)
        for key in (
            (HERE, "pending_out", "approve"),
            (THERE, "pending_in", "reject"),
            (ELSEWHERE, "pending_in", "clock_return"),
        )
    }
    one, other = start(tx, request("member", target=BRANCH), request(target=OTHER))
    tx.execute(sa.text("UPDATE open_nodes SET opened_at = opened_at - interval '2 hours'"))
    decide(tx, one, CLASS)
    tx.execute(
        sa.text("UPDATE open_nodes SET opened_at = opened_at - interval '1 hour' WHERE transfer_id = :one"),
        {"one": one},
    )
    decide(tx, one, BRANCH, approve=False, node_no=2, reason_code="not_here")
    tx.execute(
        sa.text("UPDATE open_nodes SET expires_at = :now"), {"now": clock.now() - timedelta(seconds=1)}
    )
    handlers.on_deadline_expired(tx, [DeadlineExpired(transfer_id=other, node_no=1, due_at=clock.now())])

    # The metric counts for the whole process, so only what has come on top is this test's.
    hours = {}
    for key, (count_before, seconds_before) in before.items():
        count, seconds = latency(*key)
        assert count - count_before == 1.0, key
        hours[key[0]] = round((seconds - seconds_before) / 3600)
    assert hours == {HERE: 2, THERE: 1, ELSEWHERE: 2}
