"""Every metric of the system, named once; `docs/metrics.md` explains them and a test holds the two together.

Labels are closed sets (services, topics, provinces, node kinds): never a person, an organisation or
a transfer.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

DAY = 86_400.0

APPROVAL_SECONDS = Histogram(
    "tuanqiao_approval_seconds",
    "Time from opening a node to its decision",
    ["province", "node", "verdict"],
    buckets=(60, 600, 3600, 6 * 3600, DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 10 * DAY, 15 * DAY, 30 * DAY),
)
OPEN_NODES = Gauge("tuanqiao_open_nodes", "Transfers waiting at a node", ["province", "node"])
TRANSFERS_ENDED = Counter("tuanqiao_transfers_ended_total", "Transfers that reached an end", ["state"])
OUTBOX_LAG = Histogram(
    "tuanqiao_outbox_lag_seconds",
    "Time from commit to the broker's confirm",
    ["service"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
OUTBOX_WAITING = Gauge("tuanqiao_outbox_waiting", "Messages not yet published", ["service"])
RELAY_FAILURES = Counter(
    "tuanqiao_relay_failures_total", "Rounds of the relay that the broker did not confirm", ["service"]
)
BATCH_MESSAGES = Histogram(
    "tuanqiao_batch_messages",
    "Messages handled in one transaction",
    ["service", "kind"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
BATCH_SECONDS = Histogram(
    "tuanqiao_batch_seconds",
    "Time of one batch's transaction",
    ["service", "kind"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
MESSAGES_FAILED = Counter(
    "tuanqiao_messages_failed_total", "Items set aside after a failure", ["service", "topic"]
)
BACKGROUND_FAILURES = Counter(
    "tuanqiao_background_failures_total", "Turns of a background loop that raised", ["service", "loop"]
)
BACKGROUND_FAILING = Gauge(
    "tuanqiao_background_failing",
    "Failures in a row of a background loop; 0 while it works",
    ["service", "loop"],
)
ITEMS_SET_ASIDE = Counter(
    "tuanqiao_items_set_aside_total",
    "Items that a background loop gave up after its tries",
    ["service", "loop"],
)
DEAD_LETTERS = Gauge("tuanqiao_dead_letters", "Items that failed for good and wait for a person", ["service"])
RPC_SECONDS = Histogram(
    "tuanqiao_rpc_seconds",
    "Time of a call as the caller sees it",
    ["service", "call", "outcome"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5, 10),
)
TIMERS_FIRED = Counter("tuanqiao_timers_fired_total", "Timers that came due", ["kind"])
OVERSTAYED = Gauge(
    "tuanqiao_overstayed_members", "Members who have outstayed a clock, counted once a day", ["clock"]
)
BRANCHES_GRADUATED = Counter(
    "tuanqiao_branches_graduated_total", "Branches that became graduates' organisations"
)
