"""Entrypoints on nameko's extension API: batches of events, batches of commands, single queries.

Each entrypoint owns one connection and one queue. When it is free it drains what is there (up to
`MAX_BATCH`), fires one nameko worker, and acknowledges everything together
when the worker is done. What comes meanwhile is the next batch: under load batches form by
themselves; an idle system pays nothing. Only where many have just come one by one, the next batch
is gathered for a few milliseconds. Connections are made again for ever; a message is acknowledged
only after its transaction.

Events whose transaction fails are not given back: the broker counts each delivery, and puts a
message aside that it has delivered `topology.DELIVERY_LIMIT` times, which a database that is away
for half a minute would reach. The batch stays in hand and is tried again with growing pauses, and
nothing else is taken before it is done, not even on a new connection: where the broker has taken
the batch back meanwhile, the inbox knows it when it comes again.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import kombu
import msgspec
from amqp.exceptions import AMQPError
from eventlet.event import Event as Signal
from eventlet.greenpool import GreenPool
from eventlet.semaphore import Semaphore
from kombu import Consumer
from kombu.exceptions import KombuError
from nameko.extensions import Entrypoint, register_entrypoint

from shared import failures, metrics
from shared.bus import connection as broker
from shared.bus import dead
from shared.bus.calls import Answer, Call, Unreadable, read_calls
from shared.bus.topology import Topology
from shared.guard import guarded
from shared.inbox import Incoming, storable

MAX_BATCH = 200
"""The most messages of one transaction."""
LISTS_BYTES = 32_768
"""From this size on the waiting calls are lists, not single decisions."""
CALL_BYTES = 400
"""About the size of a single call, or of a few items of an event."""
MANY, GATHER_SECONDS = 6, 0.004
"""After a batch of so many that came singly, a drain waits so long for more of the next.

Who is one of many waits for them anyhow, and a batch of twenty costs hardly more than one of five.
"""
IDLE_SECONDS = 1.0
"""How long a drain waits before it looks at heartbeats and at the wish to stop."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""How long a loop rests after a failure; longer each time until a batch is done."""
LEAVING_SECONDS = 10.0
"""How long questions under way may take when the service is told to stop: as long as their callers wait."""
COUNT_SECONDS = 15.0
"""How often the dead queue is counted."""

BROKER_ERRORS = (OSError, EOFError, KombuError, AMQPError)
"""What a broker that is down, restarting or frozen makes a connection raise."""

log = logging.getLogger("tuanqiao.bus")
# nameko logs each worker that fails with its trace, expected or not; who fires a worker here logs its error
logging.getLogger("nameko.containers").addFilter(
    lambda record: not str(record.msg).startswith("error handling worker")
)


class Drain(Entrypoint):  # type: ignore[misc]
    """One queue, drained; subclasses say which queue and what to do with the messages."""

    prefetch = 2 * MAX_BATCH
    """One batch under way and the next one that gathers."""
    beside = False
    """Whether a batch of lists may be handled beside another.

    Small messages always wait and grow into a batch.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.last_seen = time.monotonic()
        self._buffer: list[Any] = []
        self._stopping = False
        self._stopped = Signal()
        self._thread: Any = None
        self._writing = Semaphore(1)
        self._under_way = GreenPool()
        self._running = 0
        self._came = 0
        self._turn = threading.Event()
        self._failure: Exception | None = None
        self._in_a_row = 0

    @classmethod
    def entrypoint(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a service method."""
        method = guarded(method)
        register_entrypoint(method, cls())
        return method

    @property
    def service(self) -> str:
        """Return the name of the service that this entrypoint belongs to."""
        return str(self.container.service_name)

    @property
    def topology(self) -> Topology:
        """Return the names of this installation on the broker."""
        return Topology.of(self.container.config["SETTINGS"])

    @property
    def linger(self) -> float:
        """Return the seconds to wait for more before a batch: none, unless many come at once."""
        return GATHER_SECONDS if self._came >= MANY else 0.0

    def note(self, batch: list[Any]) -> None:
        """Remember how many came singly in a batch, which says whether the next is waited for."""
        self._came = _singly(batch)

    def queue(self) -> kombu.Queue:
        """Return the queue to drain."""
        raise NotImplementedError

    def handle(self, messages: list[Any]) -> None:
        """Handle and settle the messages; raise a transient error to have them again."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin draining."""
        self._thread = self.container.spawn_managed_thread(self._run, identifier=f"{type(self).__name__}")

    def stop(self) -> None:
        """Finish the batch in hand, acknowledge it, and leave."""
        self._stopping = True
        self._stopped.wait()

    def healthy(self) -> bool:
        """Return whether the loop turned within the last 15 s."""
        return time.monotonic() - self.last_seen < 15

    def _run(self) -> None:
        try:
            while not self._stopping:
                try:
                    self._wait_for_what_is_in_hand()
                    guarded(self._connect_and_drain)()
                except Exception as error:  # whatever it is: the queue goes on
                    self._rest(self._failed(error))
        finally:
            self._stopped.send()

    def _wait_for_what_is_in_hand(self) -> None:
        """Return when no batch is under way that was drained from an earlier connection.

        Nothing is taken from the queue before the database takes work again.
        """
        while self._running:
            self.last_seen = time.monotonic()
            self._turn.clear()
            self._turn.wait(IDLE_SECONDS)

    def _connect_and_drain(self) -> None:
        """Drain on a connection of its own.

        It is dropped if anything goes wrong, so that the broker delivers again.
        """
        connection = None
        try:
            connection = broker.connect(self.container.config["AMQP_URI"])
            self.topology.declare(connection)
            self._drain(connection)
        except BaseException:
            broker.drop(connection)
            raise
        with contextlib.suppress(Exception):
            connection.close()

    def _failed(self, error: Exception) -> float:
        """Count and log a failure; return how long to rest.

        With its trace is logged only what does not heal by itself, and of many in a row ever fewer.
        """
        loop = type(self).__name__
        self._in_a_row += 1
        metrics.BACKGROUND_FAILURES.labels(self.service, loop).inc()
        metrics.BACKGROUND_FAILING.labels(self.service, loop).set(self._in_a_row)
        if not self._in_a_row & (self._in_a_row - 1):  # the first, second, fourth, eighth and so on
            self._say(loop, error)
        longest = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(self._in_a_row - 1, 10))
        # not all replicas at the same instant
        return longest * random.uniform(0.5, 1)

    def _say(self, loop: str, error: Exception) -> None:
        if failures.is_transient(error):
            what, trace = f"database: {failures.words(error)}", None
        elif isinstance(error, BROKER_ERRORS):
            what, trace = f"broker: {type(error).__name__}", None
        else:
            what, trace = f"{loop} failed", error
        level = logging.ERROR if trace else logging.WARNING
        log.log(
            level,
            "%s: %s; failure %d in a row, trying again",
            self.service,
            what,
            self._in_a_row,
            exc_info=trace,
        )

    def _did_well(self) -> None:
        if self._in_a_row:
            self._in_a_row = 0
            metrics.BACKGROUND_FAILING.labels(self.service, type(self).__name__).set(0)

    def _rest(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < ends:
            self.last_seen = time.monotonic()
            time.sleep(0.1)

    def _drain(self, connection: kombu.Connection) -> None:
        channel = connection.channel()
        self._buffer = []
        self._failure = None
        consumer = Consumer(
            channel, [self.queue()], on_message=self._buffer.append, no_ack=False, auto_declare=False
        )
        consumer.qos(prefetch_count=self.prefetch)
        consumer.consume()
        while not self._stopping:
            self._gather(connection)
            if self._failure is not None:
                raise self._failure
            if self._buffer:
                batch = self._buffer[:MAX_BATCH]
                del self._buffer[:MAX_BATCH]  # in place: the consumer appends to this list
                self.note(batch)
                self._running += 1
                self._under_way.spawn(self._handle, batch)
            self._beat(connection)
        self._leave(consumer, connection)

    def _leave(self, consumer: Consumer, connection: kombu.Connection) -> None:
        """Give back at once what is not begun, to whoever else takes from the queue; finish the rest."""
        consumer.cancel()
        for message in self._buffer:
            message.requeue()
        self._under_way.waitall()
        ends = time.monotonic() + LEAVING_SECONDS
        while self.unfinished() and time.monotonic() < ends:
            self._beat(connection)
            time.sleep(0.01)

    def unfinished(self) -> int:
        """Return how much is under way apart from the batches in hand."""
        return 0

    def _gather(self, connection: kombu.Connection) -> None:
        """Fill the buffer with the next batch, or return after a while in which nothing came."""
        if not self._buffer and not _arrives(connection, IDLE_SECONDS):
            if not self._running:
                self._did_well()
            return
        self._wait_for_turn(connection)
        time.sleep(self.linger)
        while len(self._buffer) < MAX_BATCH and _arrives(connection):
            pass

    def _wait_for_turn(self, connection: kombu.Connection) -> None:
        """Return when the batch under way is done.

        Of lists, of which a few are a batch of their own, two may be under way.
        """
        lists = self.beside and sum(len(message.body) for message in self._buffer) > LISTS_BYTES
        while self._running > int(lists):
            self._turn.clear()
            if not self._turn.wait(IDLE_SECONDS):
                # the broker's heartbeats, or its word that the channel is closed;
                # no more messages than `prefetch`
                while _arrives(connection):
                    pass
                self._beat(connection)

    def _beat(self, connection: kombu.Connection) -> None:
        self.last_seen = time.monotonic()
        with contextlib.suppress(NotImplementedError), self._writing:
            connection.heartbeat_check(rate=2)

    def _handle(self, batch: list[Any]) -> None:
        try:
            guarded(self.handle)(batch)
            self._did_well()
        except Exception as error:
            # the loop drops the connection, so that the broker delivers the batch again
            self._failure = error
        finally:
            self._running -= 1
            self._turn.set()

    def settle(
        self,
        messages: list[Any],
        answers: dict[str | None, list[Answer]] | None = None,
        channel: Any = None,
        whole: bool = False,
    ) -> None:
        """Send answers and acknowledge; one writer at a time.

        There is no confirm for an answer, since a caller that misses one asks again.

        `whole` says that the messages are a batch as it was drained, with nothing between them.
        """
        with self._writing:
            channel = channel or messages[-1].channel
            for reply_to, some in (answers or {}).items():
                if reply_to and some:
                    prepared = channel.prepare_message(
                        msgspec.json.encode(some),
                        content_type="application/json",
                        content_encoding="utf-8",
                        properties={"delivery_mode": 1},
                    )
                    channel.basic_publish(prepared, exchange="", routing_key=reply_to)
            if whole and self._running == 1 and self._failure is None:
                # nothing older waits: one frame acknowledges all
                messages[-1].ack(multiple=True)
            else:
                for message in messages:
                    message.ack()

    def fire(self, *args: Any) -> Any:
        """Run the service method in a nameko worker, wait, and return its result or raise its error."""
        done = Signal()

        def handle_result(worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
            done.send((result, exc_info))
            return result, None

        self.container.spawn_worker(self, args, {}, handle_result=handle_result)
        result, exc_info = done.wait()
        if exc_info is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        return result


class EventBatches(Drain):
    """Fires the method with a list of `Incoming`.

    A message that cannot even be framed goes to the dead queue.
    """

    @property
    def linger(self) -> float:
        """Return what the service asks for, at least."""
        return max(super().linger, float(self.container.service_cls.linger))

    def queue(self) -> kombu.Queue:
        """Return the service's quorum queue."""
        return self.topology.event_queue(self.service)

    def _connect_and_drain(self) -> None:
        self._counts_next = 0.0
        try:
            super()._connect_and_drain()
        finally:
            with contextlib.suppress(KeyError):  # of a broker that is away nobody knows
                metrics.DEAD_MESSAGES.remove(self.service)

    def _beat(self, connection: kombu.Connection) -> None:
        super()._beat(connection)
        if time.monotonic() >= self._counts_next:
            self._counts_next = time.monotonic() + COUNT_SECONDS
            # here, since a connection has one reader
            metrics.DEAD_MESSAGES.labels(self.service).set(dead.count(connection, self.topology))

    def handle(self, messages: list[Any]) -> None:
        """Apply the messages in one worker, and again until they are applied."""
        self._apply([_incoming(message) for message in messages])
        self.settle(messages, whole=True)

    def _apply(self, batch: list[Incoming]) -> None:
        """Apply a batch; whatever goes wrong with it, try again until it does not.

        The inbox sets bad items aside by itself, so what it raises is no message's fault.

        Raises:
            Exception: What the last try raised, when the service is told to stop.

        """
        while True:
            try:
                self.fire(batch)
                return
            except Exception as error:
                pause = self._failed(error)
                if self._stopping:
                    raise
            ends = time.monotonic() + pause
            while not self._stopping and time.monotonic() < ends:
                time.sleep(0.1)


def _arrives(connection: kombu.Connection, seconds: float = 0.0) -> bool:
    """Take the next that is here or comes within so many seconds; return whether anything came."""
    try:
        connection.drain_events(timeout=seconds)
    except TimeoutError:
        return False
    return True


def _singly(messages: list[Any]) -> int:
    """Return about how many calls or items some messages hold, none where they are lists.

    A list is a batch by itself, which gains nothing by waiting.
    """
    size = sum(len(message.body) for message in messages)
    return size // CALL_BYTES if size < LISTS_BYTES else 0


def _incoming(message: Any) -> Incoming:
    """Return a message as the inbox takes it; one without an id gets one of its own, and so its effect."""
    message_id = message.properties.get("message_id") or f"unnamed:{message.delivery_tag}:{time.time_ns()}"
    return Incoming(storable(message_id), storable(dead.topic_of(message)), _bytes(message.body))


class _Calls(Drain):
    kind = ""

    def queue(self) -> kombu.Queue:
        return self.topology.call_queue(self.service, self.kind)

    def _living(self, message: Any) -> list[Call]:
        """Return the calls of a message whose callers still wait.

        A message of any other form is dropped with a word in the log.
        """
        now = time.time()
        try:
            return [call for call in read_calls(_bytes(message.body)) if call.expires_at > now]
        except Unreadable:
            log.warning("%s: a message on the queue of %s is not a bundle of calls", self.service, self.kind)
            return []


class CommandBatches(_Calls):
    """Fires the method with a list of `Call`s, expects one answer each, in order."""

    kind = "commands"
    beside = True

    def handle(self, messages: list[Any]) -> None:
        """Answer all calls of all messages from one worker."""
        calls: list[Call] = []
        callers: list[str | None] = []
        for message in messages:
            living = self._living(message)
            calls += living
            callers += [message.properties.get("reply_to")] * len(living)
        said: set[int] = set()

        def answers(first: int, bodies: list[bytes]) -> dict[str | None, list[Answer]]:
            """Return the answers from the call at place `first` on, by who waits for them.

            Those that were given before are left out.
            """
            found: dict[str | None, list[Answer]] = {}
            for at, body in enumerate(bodies, start=first):
                if at not in said:
                    said.add(at)
                    found.setdefault(callers[at], []).append(
                        Answer(calls[at].correlation_id, msgspec.Raw(body))
                    )
            return found

        def early(first: int, bodies: list[bytes]) -> None:
            self.settle([], answers(first, bodies), messages[-1].channel)

        bodies = self.fire(calls, early) if calls else []
        self.settle(messages, answers(0, bodies), whole=True)


class Queries(_Calls):
    """Fires the method once per call, many at a time: a slow question does not hold up the next."""

    kind = "queries"
    prefetch = 40
    linger = 0.0
    """Each question is a batch of its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._asked = 0

    def unfinished(self) -> int:
        """Return how many questions have no answer yet."""
        return self._asked

    def handle(self, messages: list[Any]) -> None:
        """Give each call a worker of its own."""
        for message in messages:
            calls = self._living(message)
            left = [len(calls)]  # a list, so that the workers of one message count it down together
            if not calls:
                self.settle([message])
            for call in calls:
                self._asked += 1
                self.container.spawn_worker(
                    self, (call,), {}, handle_result=partial(self._done, message, call, left)
                )

    def _done(
        self, message: Any, call: Call, left: list[int], worker_ctx: Any, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        left[0] -= 1
        if exc_info is not None:
            log.error("%s: a query failed outside its handler", self.service, exc_info=exc_info)
        answer = [] if exc_info is not None else [Answer(call.correlation_id, msgspec.Raw(result))]
        with contextlib.suppress(Exception):  # the connection may be gone: the caller asks again
            self.settle(
                [message] if not left[0] else [],
                {message.properties.get("reply_to"): answer},
                message.channel,
            )
        self._asked -= 1
        return result, None


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


on_event_batches = EventBatches.entrypoint
on_command_batches = CommandBatches.entrypoint
on_each_query = Queries.entrypoint
