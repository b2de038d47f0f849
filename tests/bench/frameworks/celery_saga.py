"""Transfers as chains of Celery tasks over RabbitMQ: a task for each step, acknowledged once it is committed.

`celery -A celery_saga worker` runs them; `python celery_saga.py` sends lists and waits until they are
completed. What is asked for stands as JSON in $SAGA, as `dbos_saga` reads it, with `broker` besides.
"""

import json
import os
import time
import uuid

import psycopg2
from celery import Celery

asked = json.loads(os.environ["SAGA"])
STEPS = asked["steps"]
app = Celery("saga", broker=asked["broker"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    task_default_queue=asked["queue"],
    worker_enable_remote_control=False,
)
_connection = None


def connection():
    """Return this process's connection, on which all steps are prepared."""
    global _connection
    if _connection is None:
        _connection = psycopg2.connect(asked["url"], options=asked["options"])
        with _connection as tx, tx.cursor() as cursor:
            for prepare, _, _ in STEPS:
                cursor.execute(prepare)
    return _connection


@app.task(name="step")
def step(number: int, first: int, member: int) -> None:
    """Take a list of transfers through one step; the next is sent once this one is committed."""
    numbers = range(asked["size"])
    values = {
        "members": [member + n for n in numbers],
        "ids": [first + n for n in numbers],
        "commands": [str(uuid.uuid5(uuid.NAMESPACE_OID, str(first + n))) for n in numbers],
        "branch": 7,
    }
    _, execute, names = STEPS[number]
    with connection() as tx, tx.cursor() as cursor:
        cursor.execute(execute, [values[name] for name in names])
    if number + 1 < len(STEPS):
        step.delay(number + 1, first, member)


def completed(lists: set[int]) -> set[int]:
    """Return those of the lists, by their first transfer, that are completed: each is moved as a whole."""
    with connection() as tx, tx.cursor() as cursor:
        cursor.execute(
            f"SELECT transfer_id FROM {asked['table']} WHERE transfer_id = ANY(%s) AND state = 'completed'",
            [[*lists]],
        )
        return {row[0] for row in cursor.fetchall()}


def main() -> None:
    """Keep so many lists under way until the time is over; print what was done."""
    under_way: set[int] = set()
    sent = 0
    began = time.monotonic()
    while under_way or time.monotonic() - began < asked["seconds"]:
        while time.monotonic() - began < asked["seconds"] and len(under_way) < asked["under_way"]:
            step.delay(0, asked["first"] + sent, asked["member"] + sent)
            under_way.add(asked["first"] + sent)
            sent += asked["size"]
        time.sleep(0.005)
        under_way -= completed(under_way)
    print(json.dumps({"done": sent, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main()
