"""Calling a service: every call has an end, and a time-out means "unknown, ask again with the same ids"."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import kombu
import msgspec
from kombu import Consumer, Queue

from shared import metrics
from shared.bus import connection as broker
from shared.bus.calls import Call, Unreadable, read_answers
from shared.bus.topology import Topology
from shared.errors import Refusal, Refused
from shared.messages import Command, Query
from shared.messages.decoding import bad
from shared.messages.limits import MAX_ID
from shared.settings import Settings

log = logging.getLogger("tuanqiao.rpc")
CALL_SECONDS = 10.0
MAX_BUNDLE = 200
"""The most calls that leave in one message."""


class Waiting:
    """A call under way."""

    __slots__ = ("answer", "done", "ready")

    def __init__(self, ready: Callable[[bytes | None], None] | None = None) -> None:
        self.answer: bytes | None = None
        self.ready = ready
        self.done = None if ready else threading.Event()


class RpcClient:
    """Calls services from any number of threads or greenlets.

    It has one connection to publish and one to listen. Connections are made again after a broker
    restart; calls under way at that moment end with `unavailable`.
    """

    def __init__(self, settings: Settings) -> None:
        self._amqp_uri = settings.amqp_uri
        self._topology = Topology(settings.bus_prefix)
        self._reply_to = f"reply.{uuid.uuid4().hex}"
        self._waiting: dict[str, Waiting] = {}
        self._outgoing: dict[str, deque[Call]] = {}
        self._listening = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._connection: kombu.Connection | None = None
        self._channel: Any = None
        self._thread = threading.Thread(target=self._listen, name="rpc-replies", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Return whether answers can arrive."""
        return self._listening.is_set()

    def call(
        self,
        call: Command | Query,
        request: Any,
        *,
        token: str = "",
        org_id: int | None = None,
        request_id: str = "",
        timeout: float = CALL_SECONDS,
    ) -> Any:
        """Return the reply to a query, or the list of replies to a command's list of items.

        Raises:
            Refused: What the service refused as a whole; `unavailable` when no answer came in time.

        """
        (reply,) = self.call_all(
            [(call, request)], token=token, org_id=org_id, request_id=request_id, timeout=timeout
        )
        if isinstance(reply, Refused):
            raise reply
        return reply

    def call_all(
        self,
        calls: Sequence[tuple[Command | Query, Any]],
        *,
        token: str = "",
        org_id: int | None = None,
        request_id: str = "",
        timeout: float = CALL_SECONDS,
    ) -> list[Any]:
        """Make several calls at once, in the time of the slowest; return each one's reply.

        For a call that was refused it is the `Refused` that would have been raised.
        """
        started = time.perf_counter()
        under_way: list[tuple[str, Waiting | Refused]] = []
        for call, request in calls:
            waiting, correlation_id = Waiting(), uuid.uuid4().hex
            try:
                self.send(call, encoded(request), waiting, correlation_id, token, org_id, request_id, timeout)
                under_way.append((correlation_id, waiting))
            except Refused as refused:
                under_way.append((correlation_id, refused))
        return [
            self._reply(call, correlation_id, sent, started, timeout)
            for (call, _), (correlation_id, sent) in zip(calls, under_way, strict=True)
        ]

    def _reply(
        self,
        call: Command | Query,
        correlation_id: str,
        sent: Waiting | Refused,
        started: float,
        timeout: float,
    ) -> Any:
        """Wait for what is left of the time; return the reply to a call, or its `Refused`."""
        outcome = "unavailable"
        try:
            if isinstance(sent, Refused):
                raise sent
            assert sent.done is not None
            left = max(0.001, timeout - (time.perf_counter() - started))
            if not sent.done.wait(left) or sent.answer is None:
                raise Refused("unavailable")
            reply = read_reply(call, sent.answer)
            outcome = "ok"
            return reply
        except Refused as refused:
            outcome = refused.code
            return refused
        finally:
            self._waiting.pop(correlation_id, None)
            metrics.RPC_SECONDS.labels(call.service, call.name, outcome).observe(
                time.perf_counter() - started
            )

    def send(
        self,
        call: Command | Query,
        body: bytes,
        waiting: Waiting,
        correlation_id: str,
        token: str = "",
        org_id: int | None = None,
        request_id: str = "",
        timeout: float = CALL_SECONDS,
    ) -> None:
        """Send an encoded call; `waiting` is told when the answer is here.

        Calls made at the same time leave together in one message: whoever holds the connection
        takes what the others have put down.
        """
        if org_id is not None and not 0 < org_id <= MAX_ID:  # here, since it would spoil the whole bundle
            raise bad("/org_id", "数字超出范围", "a number out of range")
        if not self._listening.wait(min(timeout, broker.CONNECT_SECONDS)):
            raise Refused("unavailable")
        queue_name = self._topology.call_queue(call.service, "commands" if call.many else "queries").name
        self._waiting[correlation_id] = waiting
        self._outgoing.setdefault(queue_name, deque()).append(
            Call(
                correlation_id=correlation_id,
                name=call.name,
                body=msgspec.Raw(body),
                token=token,
                org_id=org_id,
                request_id=request_id,
                expires_at=time.time() + timeout,
            )
        )
        with self._lock:
            self._publish(queue_name)

    def _publish(self, queue_name: str) -> None:
        """Publish what was put down for a queue, unless somebody else has done so already."""
        outgoing = self._outgoing[queue_name]
        while outgoing:
            bundle: list[Call] = []
            while outgoing and len(bundle) < MAX_BUNDLE:
                bundle.append(outgoing.popleft())
            if not self._leaves(queue_name, msgspec.json.encode(bundle)):
                for call in bundle:
                    self._finish(call.correlation_id, None)

    def _leaves(self, queue_name: str, body: bytes) -> bool:
        """Publish a bundle; return whether it could be."""
        for attempt in (1, 2):  # the connection may have died unnoticed since the last call
            try:
                if self._channel is None:
                    self._connection = broker.connect(self._amqp_uri, heartbeat=0)
                    self._topology.declare(self._connection)
                    self._channel = self._connection.channel()
                prepared = self._channel.prepare_message(
                    body,
                    content_type="application/json",
                    content_encoding="utf-8",
                    properties={"reply_to": self._reply_to, "delivery_mode": 1},
                )
                self._channel.basic_publish(prepared, exchange="", routing_key=queue_name)
                return True
            except Exception as error:
                broker.drop(self._connection)
                self._connection = self._channel = None
                if attempt == 2:
                    log.warning("cannot publish a call: %s", type(error).__name__)
        return False

    def _listen(self) -> None:
        pause = 0.1
        while not self._stopping:
            connection = None
            try:
                connection = broker.connect(self._amqp_uri)
                replies = Queue(
                    self._reply_to,
                    durable=False,
                    exclusive=not broker.is_memory(connection),
                    auto_delete=True,
                )
                consumer = Consumer(connection.channel(), [replies], on_message=self._arrived, no_ack=True)
                consumer.consume()
                self._listening.set()
                pause = 0.1
                self._drain(connection)
                connection.close()
            except Exception as error:
                self._lost(connection, error)
                time.sleep(pause)
                pause = min(3.0, pause * 2)

    def _drain(self, connection: kombu.Connection) -> None:
        """Take answers until the client is closed."""
        while not self._stopping:
            with contextlib.suppress(socket.timeout):
                connection.drain_events(timeout=1.0)
            with contextlib.suppress(NotImplementedError):
                connection.heartbeat_check(rate=2)

    def _lost(self, connection: kombu.Connection | None, error: Exception) -> None:
        """End all calls under way: the queue of replies went with the connection."""
        self._listening.clear()
        if not self._stopping:
            log.warning("replies: %s; connecting again", type(error).__name__)
        broker.drop(connection)
        # nobody need wait for its time-out
        for correlation_id in list(self._waiting):
            self._finish(correlation_id, None)

    def _arrived(self, message: Any) -> None:
        try:
            answers = read_answers(message.body)
        except Unreadable:
            log.warning("a message on the queue of replies is not a bundle of answers")
            return
        for answer in answers:
            self._finish(answer.correlation_id, bytes(answer.body))

    def _finish(self, correlation_id: str, answer: bytes | None) -> None:
        waiting = self._waiting.pop(correlation_id, None)
        if waiting is None:
            return  # the caller gave up
        waiting.answer = answer
        if waiting.ready is not None:
            waiting.ready(answer)
        elif waiting.done is not None:
            waiting.done.set()

    def close(self) -> None:
        """Stop listening and drop the connections."""
        self._stopping = True
        self._thread.join(3)
        broker.drop(self._connection)


def encoded(request: Any) -> bytes:
    """Return a request as it is sent.

    Raises:
        Refused: `bad_request` for what JSON does not hold: a number of thousands of digits, half of a
            character.

    """
    try:
        return msgspec.json.encode(request)
    except ValueError:
        raise bad("", "数字或文字超出范围", "a number or a text out of range") from None


def read_reply(call: Command | Query, answer: bytes) -> Any:
    """Return what an encoded answer says, or raise its `Refused`."""
    reply = msgspec.json.decode(answer, type=_envelope(call))
    if reply.refused is not None:
        raise Refused.of(reply.refused)
    return reply.ok


_envelopes: dict[tuple[str, str], Any] = {}


def _envelope(call: Command | Query) -> Any:
    key = (call.service, call.name)
    if key not in _envelopes:
        _envelopes[key] = msgspec.defstruct(
            "Answer",
            [
                ("ok", (list[call.reply] if call.many else call.reply) | None, None),  # type: ignore[name-defined]
                ("refused", Refusal | None, None),
            ],
        )
    return _envelopes[key]
