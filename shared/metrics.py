"""Every metric of the system, named once; `docs/metrics.md` explains them and a test holds the two together.

Labels are closed sets (services, topics, provinces, node kinds): never a person, an organisation or
a transfer. Counters begin at 0 where the service starts, so that their first step is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]

Reading = tuple[Gauge, tuple[str, ...], float]
"""A gauge, its labels, and the value that was read from the database."""
HOUR, DAY = 3_600.0, 86_400.0

APPROVAL_SECONDS = Histogram(
    "tuanqiao_approval_seconds",
    "Time from opening a node to its decision",
    ["province", "node", "who"],
    # from a list that is worked off by a program to what has lain for a season; few, since each is a line
    # for every province, and a scrape holds up what else the process does
    buckets=(0.1, 10, 600, HOUR, 6 * HOUR, *(days * DAY for days in (1, 3, 7, 10, 15, 30, 60))),
)
OPEN_NODES = Gauge("tuanqiao_open_nodes", "Transfers waiting at a node", ["province", "node"])
OLDEST_NODE = Gauge(
    "tuanqiao_oldest_node_seconds", "Age of the open node that has waited longest", ["province"]
)
DEADLINE_OVERDUE = Gauge(
    "tuanqiao_deadline_overdue_seconds",
    "How long ago the deadline of an open node has passed; 0 while none has",
    ["province"],
)
TRANSFERS_ENDED = Counter("tuanqiao_transfers_ended_total", "Transfers that reached an end", ["state"])
OUTBOX_LAG = Histogram(
    "tuanqiao_outbox_lag_seconds",
    "Time from commit to the broker's confirm",
    ["service"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
OUTBOX_WAITING = Gauge("tuanqiao_outbox_waiting", "Messages not yet published", ["service"])
OUTBOX_OLDEST = Gauge(
    "tuanqiao_outbox_oldest_seconds", "Age of the oldest message not yet published", ["service"]
)
DATABASE_UP = Gauge("tuanqiao_database_up", "Whether the service's database answered just now", ["service"])
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
DEAD_MESSAGES = Gauge(
    "tuanqiao_dead_messages", "Messages in the broker's dead queue, as each service sees it", ["service"]
)
RPC_SECONDS = Histogram(
    "tuanqiao_rpc_seconds",
    "Time of a call as the caller sees it",
    ["service", "call", "outcome"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5, 10),
)
TIMERS_FIRED = Counter("tuanqiao_timers_fired_total", "Timers that came due", ["kind"])
TIMERS_OVERDUE = Gauge("tuanqiao_timers_overdue", "Timers that are due and have not fired", ["service"])
TIMER_LATE = Gauge(
    "tuanqiao_timer_late_seconds", "How long the oldest of them has been due; 0 without any", ["service"]
)
OVERSTAYED = Gauge(
    "tuanqiao_overstayed_members", "Members who have outstayed a clock, counted once a day", ["clock"]
)
BRANCHES_GRADUATED = Counter(
    "tuanqiao_branches_graduated_total", "Branches that became graduates' organisations"
)

BRIDGE_RECEIVED = Counter(
    "tuanqiao_bridge_received_total",
    "Messages that came over a bridge, by their receipts",
    ["peer", "result"],
)
BRIDGE_SENT = Counter(
    "tuanqiao_bridge_sent_total",
    "Messages that were sent over a bridge, by the peer's receipts",
    ["peer", "result"],
)
BRIDGE_UP = Gauge("tuanqiao_bridge_up", "Whether the peer answered when it was called last", ["peer"])
BRIDGE_PAUSED = Gauge("tuanqiao_bridge_paused", "Whether an operator lets nothing go out", ["peer"])
BRIDGE_OLDEST = Gauge(
    "tuanqiao_bridge_oldest_seconds", "Age of the oldest message without the peer's receipt", ["peer"]
)
BRIDGE_QUEUE = Gauge(
    "tuanqiao_bridge_queue",
    "Messages that are not done with: ours waiting or parked, the peer's held or quarantined",
    ["peer", "queue"],
)
BRIDGE_IN_DOUBT = Gauge(
    "tuanqiao_bridge_in_doubt",
    "Members handed over of whom the peer has not said whether it has them",
    ["peer"],
)
BRIDGE_DOUBT_OLDEST = Gauge(
    "tuanqiao_bridge_in_doubt_seconds", "For how long the oldest of them; 0 without any", ["peer"]
)
BRIDGE_DIFFERENCES = Gauge(
    "tuanqiao_bridge_differences", "Differences from the peer that nobody has confirmed", ["peer"]
)
BRIDGE_COMPARED = Gauge(
    "tuanqiao_bridge_compared_seconds", "How long ago a day was compared with the peer", ["peer"]
)
BRIDGE_KEY_DAYS = Gauge(
    "tuanqiao_bridge_key_days", "Days for which the keys of a side last; 0: there is none", ["peer", "side"]
)
REGISTRY_KEY_DAYS = Gauge(
    "tuanqiao_registry_key_days",
    "Days for which the keys last that a system's registry is sealed for; 0: there is none",
    ["peer"],
)
BRIDGE_SKEW = Gauge("tuanqiao_bridge_skew_seconds", "How far the peer's clock is ahead", ["peer"])

BACKUP_AGE = Gauge(
    "tuanqiao_backup_age_seconds",
    "Age of the newest backup of a cluster; infinite without any",
    ["cluster", "kind"],
)
WAL_MISSING = Gauge(
    "tuanqiao_wal_missing_seconds",
    "For how long WAL has been complete that the repository does not hold; 0 without any",
    ["cluster"],
)


def seconds_since(at: datetime | None, now: datetime) -> float:
    """Return how long ago an instant was; 0 for one to come, and for none."""
    return max(0.0, (now - at).total_seconds()) if at is not None else 0.0


class Shown:
    """The gauges that are read from one service's database, as they were shown last.

    None keeps a value whose source is away, or a label that is not read any more.
    """

    def __init__(self) -> None:
        self._labels: set[tuple[Gauge, tuple[str, ...]]] = set()

    def show(self, readings: Iterable[Reading]) -> None:
        """Set what was read, and remove what was shown before and was not read now."""
        found = {(gauge, labels): value for gauge, labels, value in readings}
        for gauge, labels in self._labels - found.keys():
            gauge.remove(*labels)
        for (gauge, labels), value in found.items():
            gauge.labels(*labels).set(value)
        self._labels = set(found)
