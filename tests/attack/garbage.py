"""Rubbish on every queue, as from somebody with an account at the broker.

Nothing of it stays on a queue, no process is ended by it, and people go on working.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator

import amqp
import msgspec
import sqlalchemy as sa
from kombu import Connection

from shared.messages import events
from shared.settings import SERVICES
from tests.attack import Budget, Outcome
from tests.attack.target import Target
from tests.installation import AMQP_URI, TOPOLOGY

TITLE = "garbage on every queue"
SECONDS = 120.0
"""In which the queues have to be empty again."""
PROPERTIES: tuple[dict[str, object], ...] = (
    {},
    {"reply_to": b"\xff"},
    {"application_headers": {"compression": "application/x-gzip"}},
    {"correlation_id": b"\xc3("},
    {"type": b"\x80", "app_id": b"\x80"},
    {"application_headers": {"x": "\ud800", "deep": {"a": [{"b": [1, None]}]}}},
    {},
)
"""What stands beside a body: no UTF-8, half of a character, a compression that is not one."""
_CALL = {"correlation_id": "x", "name": "sign_in", "body": {"id_number": "1", "password": "x"}}


def bodies(rng: random.Random) -> Iterator[bytes]:
    """Yield what no sender of ours would send.

    Not JSON, not a list, too deep, half of a letter, numbers and texts out of bounds, calls without
    an end.
    """
    yield from (
        b"",
        b"\0",
        b"null",
        b"[]",
        b"{}",
        b"[null]",
        b"[[]]",
        b"[" * 100_000,
        b'[{"a":' * 50_000,
        b'["\xff\xfe',
        b"[" + b"9" * 5000 + b"]",
        b'[{"transfer_id": 1e400}]',
        b'[{"transfer_id": 9223372036854775808, "member_id": -1, "org_id": 0, "branch_id": 0}]',
        b'["\\ud800"]',
        b'[{"name": "\\u0000"}]',
        rng.randbytes(2000),
        b"[" + b"{}," * 1000 + b"{}]",
        b'[{"name": "' + b"x" * 1_000_000 + b'"}]',
    )
    for name in ("sign_in", "no_such_call", "request_transfers", "x" * 10_000, "\0"):
        for extra in (
            {},
            {"token": "x" * 100_000},
            {"org_id": 2**70},
            {"org_id": -1},
            {"expires_at": -1e300},
            {"expires_at": float("inf")},
            {"body": [[[[1]]]]},
            {"request_id": "\r\n" * 100},
        ):
            yield msgspec.json.encode([{**_CALL, "name": name, **extra}])
    yield b'[{"correlation_id": "x", "name": "sign_in", "body": ' + b"[" * 100_000


def attack(target: Target, budget: Budget) -> Outcome:
    """Send each body to each queue and under some topics; wait until all of it was taken note of.

    What was set aside is taken away again.
    """
    rng, outcome = random.Random(1), Outcome("")
    mark = f"garbage-{uuid.uuid4().hex}"
    expected = dict.fromkeys(SERVICES, 0)
    sent = 0
    some = list(bodies(rng))
    calls = [
        TOPOLOGY.call_queue(service, kind).name for service in SERVICES for kind in ("commands", "queries")
    ]
    told = [
        event
        for event in events().values()
        if event.publisher in SERVICES and set(event.consumers) & set(SERVICES)
    ]
    with Connection(AMQP_URI) as connection:
        channel = connection.channel()

        def send(body: bytes, exchange: str, key: str, *receivers: str) -> None:
            nonlocal sent
            sent += 1
            message = amqp.Message(
                body,
                **{
                    "content_type": "application/json",
                    "content_encoding": "binary",
                    "message_id": f"{mark}-{sent}",
                    "delivery_mode": 1,
                    "reply_to": f"no.{uuid.uuid4().hex}" if sent % 2 else "",
                    **PROPERTIES[sent % len(PROPERTIES)],
                },
            )
            channel.basic_publish(message, exchange=exchange, routing_key=key)
            for service in receivers:
                expected[service] += 1

        for body in some:
            for queue in calls:
                send(body, "", queue)
            for service in SERVICES:
                send(body, "", TOPOLOGY.event_queue(service).name, service)
            for event in rng.sample(told, 5):
                receivers = [service for service in event.consumers if service in SERVICES]
                send(body, TOPOLOGY.exchange(event.publisher).name, event.topic(), *receivers)
        ends = time.monotonic() + SECONDS
        while left := [
            *_unread(target, mark, expected),
            *[
                f"{number} messages are left on {queue}"
                for queue in calls
                if (number := channel.queue_declare(queue, passive=True).message_count)
            ],
        ]:
            if time.monotonic() > ends:
                outcome.faults += left
                break
            time.sleep(0.5)
    aside = 0
    for service in SERVICES:
        with target.engine(service).begin() as tx:
            aside += int(
                tx.execute(
                    sa.text("DELETE FROM failed_messages WHERE message_id LIKE :mark"), {"mark": f"{mark}-%"}
                ).rowcount
            )
    outcome.did = (
        f"{sent:,} messages of {len(some)} kinds, {aside:,} set aside, the others dropped or without effect"
    )
    return outcome


def _unread(target: Target, mark: str, expected: dict[str, int]) -> list[str]:
    """Return the services whose inbox does not remember all the events that were sent to them."""
    left = []
    for service, number in expected.items():
        with target.engine(service).connect() as tx:
            seen = int(
                tx.scalar(
                    sa.text("SELECT count(*) FROM inbox WHERE message_id LIKE :mark"), {"mark": f"{mark}-%"}
                )
                or 0
            )
        if seen < number:
            left.append(f"{service} has taken note of {seen} of {number} events")
    return left
