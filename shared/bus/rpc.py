"""Calling a service: every call has an end, and a time-out means "unknown, ask again with the same ids"."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import kombu
import msgspec
from kombu import Consumer, Queue

from shared import metrics
from shared.bus import connection as broker
from shared.bus.calls import Call, Unreadable, read_answers
from shared.bus.topology import Topology
from shared.errors import Refusal, Refused
from shared.messages import Act, Command, Query
from shared.messages.decoding import bad
from shared.messages.limits import MAX_ID
from shared.settings import FEDERATION, Settings, bridge
from shared.translations import N_

log = logging.getLogger("tuanqiao.rpc")
CALL_SECONDS = 10.0
MAX_BUNDLE = 200
"""The most calls that leave in one message."""
BUNDLE_BYTES = 30_000
"""The most bytes of them, unless a single call has more."""
REPEATS = 2
"""How often a call is sent again whose connection was lost; more often, and it may be the reason."""
SHORTEST_PAUSE = 0.05
"""Between the loss of a connection and the next."""


class Waiting:
    """A call under way."""

    __slots__ = ("answer", "call", "done", "queue_name", "ready", "repeats", "sent")
    call: Call
    queue_name: str

    def __init__(self, ready: Callable[[bytes | None], None] | None = None) -> None:
        self.answer: bytes | None = None
        self.ready = ready
        self.done = None if ready else threading.Event()
        self.sent = False
        self.repeats = 0


class RpcClient:
    """Calls services from any number of threads or greenlets.

    It has one connection, which one thread reads and another writes: nobody who calls waits for a
    socket. The connection is made again whenever it is lost; calls under way at that moment are sent
    again, except an `Act`, which ends with `unavailable`.
    """

    def __init__(self, settings: Settings) -> None:
        self._amqp_uri = settings.amqp_uri
        self._topology = Topology.of(settings)
        self._reply_to = ""
        self._waiting: dict[str, Waiting] = {}
        self._outgoing: dict[str, deque[Waiting]] = {}
        self._listening = threading.Event()
        self._put_down = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        """Guards what is outgoing, what counts as sent, and on which channel."""
        self._connection: kombu.Connection | None = None
        self._channel: Any = None
        self._threads = [
            threading.Thread(target=self._listen, name="rpc-replies", daemon=True),
            threading.Thread(target=self._send_off, name="rpc-calls", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

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
                service = self._service_of(call, request)
                body = encoded(request)
                self.send(call, body, waiting, correlation_id, token, org_id, request_id, timeout, service)
                under_way.append((correlation_id, waiting))
            except Refused as refused:
                under_way.append((correlation_id, refused))
        return [
            self._reply(call, correlation_id, sent, started, timeout)
            for (call, _), (correlation_id, sent) in zip(calls, under_way, strict=True)
        ]

    def _service_of(self, call: Command | Query, request: Any) -> str:
        """Return who answers a call: of the bridges the one to the peer that all of its items name.

        Raises:
            Refused: `no_bridge`, none of this installation leads there.

        """
        if call.service != FEDERATION:
            return call.service
        peers = {str(item.peer) for item in (request if call.many else [request])}
        if len(peers) != 1 or not peers <= set(self._topology.peers):
            raise Refused("no_bridge")
        return bridge(peers.pop())

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
        service: str = "",
    ) -> None:
        """Send an encoded call to its service, or the one that is named; `waiting` is told of the answer.

        Calls made at the same time leave together in one message: what is put down while the last
        one leaves.
        """
        if org_id is not None and not 0 < org_id <= MAX_ID:  # here, since it would spoil the whole bundle
            raise bad("/org_id", N_("数字超出范围"))
        if not self._listening.wait(min(timeout, broker.CONNECT_SECONDS)):
            raise Refused("unavailable")
        waiting.queue_name = self._topology.call_queue(
            service or call.service, "commands" if call.many else "queries"
        ).name
        waiting.repeats = 0 if isinstance(call, Act) else REPEATS
        waiting.call = Call(
            correlation_id=correlation_id,
            name=call.name,
            body=msgspec.Raw(body),
            token=token,
            org_id=org_id,
            request_id=request_id,
            expires_at=time.time() + timeout,
        )
        self._waiting[correlation_id] = waiting
        with self._lock:
            self._outgoing.setdefault(waiting.queue_name, deque()).append(waiting)
        self._put_down.set()

    def _send_off(self) -> None:
        """Publish what is put down, until the client is closed."""
        while not self._stopping:
            self._put_down.wait(1.0)
            self._put_down.clear()
            for queue_name in list(self._outgoing):
                while self._publish(queue_name):
                    pass

    def _publish(self, queue_name: str) -> bool:
        """Publish a bundle of what was put down for a queue; return whether there may be more."""
        with self._lock:
            channel, connection, reply_to = self._channel, self._connection, self._reply_to
            bundle = self._bundle(self._outgoing[queue_name]) if channel is not None else []
        if not bundle:
            return False
        try:
            prepared = channel.prepare_message(
                msgspec.json.encode([waiting.call for waiting in bundle]),
                content_type="application/json",
                content_encoding="utf-8",
                properties={"reply_to": reply_to, "delivery_mode": 1},
            )
            channel.basic_publish(prepared, exchange="", routing_key=queue_name)
            return True
        except Exception as error:
            log.warning("cannot publish a call: %s", type(error).__name__)
            self._again(bundle)
            broker.break_off(connection)  # who reads it notices, and connects again
            return False

    def _bundle(self, outgoing: deque[Waiting]) -> list[Waiting]:
        """Take calls for one message; a list that is long leaves by itself.

        A service may handle such a list beside another.
        """
        bundle: list[Waiting] = []
        size = 0
        while outgoing and len(bundle) < MAX_BUNDLE:
            size += len(outgoing[0].call.body)
            if bundle and size > BUNDLE_BYTES:
                break
            waiting = outgoing.popleft()
            if waiting.call.correlation_id in self._waiting:  # else its caller has given up
                waiting.sent = True
                bundle.append(waiting)
        return bundle

    def _again(self, some: Iterable[Waiting]) -> None:
        """Have calls sent again that may not have arrived, or whose answers may be lost; end the others."""
        ended = []
        with self._lock:
            for waiting in some:
                if not waiting.sent:
                    continue
                waiting.sent = False
                if waiting.repeats:
                    waiting.repeats -= 1
                    self._outgoing[waiting.queue_name].append(waiting)
                else:
                    ended.append(waiting.call.correlation_id)
        for correlation_id in ended:  # nobody need wait for its time-out
            self._finish(correlation_id, None)

    def _listen(self) -> None:
        pause = SHORTEST_PAUSE
        while not self._stopping:
            connection = None
            try:
                connection = broker.connect(self._amqp_uri)
                self._topology.declare(connection)
                self._consume(connection)
                pause = SHORTEST_PAUSE
                self._drain(connection)
                connection.close()
            except Exception as error:
                self._lost(connection, error)
                time.sleep(pause)
                pause = min(3.0, pause * 2)

    def _consume(self, connection: kombu.Connection) -> None:
        """Open a queue of replies, and from now on send calls whose answers come there.

        Its name is new each time: the broker may not have noticed yet that whoever had the last one
        is gone.
        """
        replies = Queue(
            f"reply.{uuid.uuid4().hex}",
            durable=False,
            exclusive=not broker.is_memory(connection),
            auto_delete=True,
        )
        Consumer(connection.channel(), [replies], on_message=self._arrived, no_ack=True).consume()
        channel = connection.channel()
        with self._lock:
            self._connection, self._channel, self._reply_to = connection, channel, replies.name
        self._listening.set()
        self._put_down.set()

    def _drain(self, connection: kombu.Connection) -> None:
        """Take answers until the client is closed."""
        while not self._stopping:
            with contextlib.suppress(socket.timeout):
                connection.drain_events(timeout=1.0)
            with contextlib.suppress(NotImplementedError):
                connection.heartbeat_check(rate=2)

    def _lost(self, connection: kombu.Connection | None, error: Exception) -> None:
        """Have all calls under way sent again: the queue of replies went with the connection."""
        self._listening.clear()
        with self._lock:
            self._connection = self._channel = None
        if not self._stopping:
            log.warning("replies: %s; connecting again", type(error).__name__)
        broker.drop(connection)
        self._again(list(self._waiting.values()))

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
        """Stop listening and drop the connection."""
        self._stopping = True
        self._put_down.set()
        for thread in self._threads:
            thread.join(3)
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
        raise bad("", N_("数字或文字超出范围")) from None


def read_reply(call: Command | Query, answer: bytes) -> Any:
    """Return what an encoded answer says, or raise its `Refused`."""
    reply = _reader(call).decode(answer)
    if reply.refused is not None:
        raise Refused.of(reply.refused)
    return reply.ok


_readers: dict[tuple[str, str], msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()
"""One at a time: msgspec ends the process where two threads look into the same type for the first time."""


def _reader(call: Command | Query) -> msgspec.json.Decoder[Any]:
    key = (call.service, call.name)
    with _making:
        if key not in _readers:
            ok = (list[call.reply] if call.many else call.reply) | None  # type: ignore[name-defined]
            answer = msgspec.defstruct("Answer", [("ok", ok, None), ("refused", Refusal | None, None)])
            _readers[key] = msgspec.json.Decoder(answer)
        return _readers[key]
