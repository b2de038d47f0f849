"""Every graph of the board has data, and says what the databases say, with two replicas and under load.

A real Prometheus scrapes every two seconds, and a real Alertmanager tells somebody.
"""

import json
import math
import re
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from shared import db
from tests.deploy import watched as apparatus
from tests.installation import ROOT
from tests.storm.servers import Missing, wait_until

BOARD = json.loads((ROOT / "deploy/grafana/dashboards/tuanqiao.json").read_text())
GRAPHS = {panel["title"]: panel for panel in BOARD["panels"] if panel["type"] != "row"}
DAY = 86_400
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The installation after some work, with troubles of each kind that a graph shows."""
    if apparatus.missing():
        pytest.skip(f"{', '.join(apparatus.missing())}: not installed (Debian packages)")
    with ExitStack() as stack:
        try:
            made = stack.enter_context(apparatus.watched(tmp_path_factory.mktemp("watched")))
        except Missing as missing:
            pytest.skip(str(missing))
        # the counters have to be seen at 0 first
        wait_until("a scrape of all", lambda: made.value("sum(up)") == made.value("count(up)") == 11, 30)
        apparatus.work(made)
        stack.enter_context(troubles(made))
        yield made


def troubles(made):
    """Return a context in which things are late: a locked row, a locked timer, an old node, a dead item."""
    stack = ExitStack()
    with made.engine("transfers").begin() as tx:
        tx.execute(
            sa.text("""
                UPDATE open_nodes SET opened_at = now() - interval '9 days', remind_at = NULL,
                    expires_at = now() - interval '1 hour'
                WHERE transfer_id = (SELECT max(transfer_id) FROM open_nodes)""")
        )
    with made.engine("members").begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO failed_messages (message_id, topic, body, error, failed_at)"
                " VALUES ('m', 't', '[]', 'e', now())"
            )
        )
    for service, write, lock in (
        (
            "orgs",
            "INSERT INTO outbox (topic, body, created_at)"
            " VALUES ('org_changed', '[]', now() - interval '5 minutes')",
            "SELECT id FROM outbox WHERE published_at IS NULL FOR UPDATE",
        ),
        (
            "scheduler",
            "INSERT INTO timers (transfer_id, node_no, expires_at)"
            " VALUES (999999999, 1, now() - interval '20 minutes')",
            "SELECT transfer_id FROM timers WHERE transfer_id = 999999999 FOR UPDATE",
        ),
    ):
        holds = stack.enter_context(made.engine(service).connect())
        holds.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
        for _ in range(20):  # the service may be faster than the lock
            with made.engine(service).begin() as tx:
                tx.execute(sa.text(write))
            if holds.execute(sa.text(lock)).all():
                break
            holds.rollback()
        else:
            raise AssertionError(f"{service} was always faster")
    return stack


def expression(title, place=0):
    """Return what a graph asks Prometheus, for all provinces."""
    panel = next(panel for name, panel in GRAPHS.items() if title in name)
    return panel["targets"][place]["expr"].replace("$province", ".*")


def lines(made, asked):
    """Return a value for each line, by its labels."""
    return {tuple(sorted(labels.values())): value for labels, value in made.query(asked)}


def graph(made, title):
    """Return what a graph of the board shows."""
    return lines(made, expression(title))


def shows(made, title, line, value):
    """Wait for the scrape after which a line of a graph has a value."""
    wait_until(f"{title}: {line}", lambda: graph(made, title).get((line,)) == value, 8)


def counted(made, service, select):
    with made.engine(service).connect() as tx:
        return {tuple(sorted(row[:-1])): row[-1] for row in tx.execute(sa.text(select))}


def test_every_graph_has_data(watched):
    """No expression is without data or not a number, once everything has happened at least once."""
    empty = {}

    def all_have_data():
        watched.look()
        for panel in GRAPHS.values():
            for target in panel["targets"]:
                expression = target["expr"].replace("$province", ".*")
                values = [value for _, value in watched.query(expression)]
                if any(map(math.isfinite, values)) and min(v for v in values if not math.isnan(v)) >= 0:
                    empty.pop(expression, None)
                else:
                    empty[expression] = values
        return not empty

    try:
        wait_until("data in every graph", all_have_data, 15)
    except TimeoutError:
        raise AssertionError(empty) from None


def test_the_backlog_is_what_the_database_counts(watched):
    """With two replicas: nodes by province and kind, once each; the oldest; the deadline that passed."""
    assert watched.value('count(up{job="transfers"} == 1)') == 2
    for title, column in (("Open nodes by province", "province"), ("Open nodes by kind", "state")):
        select = f"SELECT {column}, count(*) FROM open_nodes GROUP BY {column}"
        wait_until(
            title,
            lambda title=title, select=select: (
                {line: n for line, n in graph(watched, title).items() if n}
                == counted(watched, "transfers", select)
            ),
            5,
        )
    assert sum(graph(watched, "Open nodes by kind").values()) == 25
    shows(watched, "Oldest open node", "42", pytest.approx(9 * DAY, abs=90))
    shows(watched, "Deadlines overdue", "42", pytest.approx(3600, abs=90))
    pace = graph(watched, "Days of work")["42",]
    assert 0 < pace < 365


def test_what_has_happened_is_what_the_database_counts(watched):
    """Over all replicas: ended by state, decided by people, none missed and none twice.

    Prometheus stretches what it has seen to the whole of a window, and a replica has lived a short part of a
    day only. So the graph's sum is compared without the window, and with it roughly.
    """
    for title, select in (
        ("Ended in a day", "SELECT state, count(*) FROM transfers WHERE ended_at IS NOT NULL GROUP BY 1"),
        (
            "Decided in a day",
            "SELECT 'people', count(*) FROM audit WHERE event IN ('approve', 'reject', 'assign')",
        ),
    ):
        ever = re.sub(r"increase\((.+)\[1d\]\)", r"\1", expression(title))
        found = counted(watched, "transfers", select)
        assert {line: n for line, n in lines(watched, ever).items() if n} == found and found
        for line, n in graph(watched, title).items():
            assert 0.9 * found.get(line, 0) <= n <= 3 * found.get(line, 0), (title, line)


def test_what_is_stuck_shows(watched):
    """A row that does not get out, a timer that does not fire, an item that failed for good: as counted."""
    for title, service, select in (
        ("Outbox waiting", "orgs", "SELECT 'orgs', count(*) FROM outbox WHERE published_at IS NULL"),
        ("due and not fired", "scheduler", "SELECT 'scheduler', count(*) FROM timers WHERE due_at <= now()"),
        (
            "Dead letters",
            "members",
            "SELECT 'members', count(*) FROM failed_messages WHERE next_attempt_at IS NULL",
        ),
    ):
        assert counted(watched, service, select)[(service,)] == 1
        shows(watched, title, service, 1)
    shows(watched, "Oldest event", "orgs", pytest.approx(300, abs=90))
    assert graph(watched, "Oldest event")["members",] < 5
    shows(watched, "Timers late", "scheduler", pytest.approx(1200, abs=90))
    assert graph(watched, "Instances") == {
        ("transfers",): 2,
        ("scheduler",): 2,
        **{(name,): 1 for name in ("orgs", "members", "gateway")},
        **{(name,): 1 for name in ("rabbitmq", "queues", "backups", "prometheus", "alertmanager")},
    }


def test_queues_are_ours_only(watched):
    """A line for each queue of events, commands and queries, and for the dead: none for replies."""
    names = {
        f"{service}.{kind}"
        for service in ("orgs", "members", "transfers", "scheduler")
        for kind in ("events", "commands", "queries")
    }
    assert {line[0] for line in graph(watched, "Queue depth")} == names | {"dead.events"}
    consumers = {line[0]: n for line, n in graph(watched, "Consumers").items()}
    assert consumers.pop("dead.events") == 0 and set(consumers) == names
    assert consumers["transfers.events"] == 2 and min(consumers.values()) >= 1
    replies = watched.value('count(rabbitmq_detailed_queue_messages{queue=~"reply[.].*"})')
    assert replies, "there would be others to show"


def test_somebody_is_told(watched):
    """The dead letter reaches people within seconds, the heartbeat its own address; no words are broken."""
    paths = {("/people", "DeadLetters"), ("/heartbeat", "Watchdog")}
    wait_until(
        "the alerts",
        lambda: paths <= {(one["path"], one["labels"]["alertname"]) for one in watched.told},
        15,
    )
    assert not [
        one for one in watched.told if one["path"] == "/people" and one["labels"]["severity"] == "none"
    ]
    late = {"DeadLetters", "DeadlineOverdue", "TimersLate", "OutboxStuck", "Watchdog"}
    wait_until(
        "these and no false alarms",
        lambda: late == {labels["alertname"] for labels, _ in watched.query("ALERTS")},
        15,
    )


def test_without_its_database_a_service_says_nothing_else(watched):
    """The gauges of a database that is gone are gone, while the others stay; comes last."""
    assert set(graph(watched, "Database reached").values()) == {1}
    watched.engine("members").dispose()
    db.drop_database(watched.settings.database("members"))
    wait_until("a scrape", lambda: graph(watched, "Database reached").get(("members",)) == 0, 12)
    wait_until("the next", lambda: ("members",) not in graph(watched, "Outbox waiting"), 8)
    for title in ("Oldest event", "Dead letters"):
        assert ("members",) not in graph(watched, title)
        assert ("transfers",) in graph(watched, title)
