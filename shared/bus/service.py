"""The shell of a service: three entrypoints, the database, the relay, retries, health.

A service is this class with literal tables of handlers; nothing in a handler knows nameko, the
broker or a token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import eventlet
import msgspec
from nameko.extensions import DependencyProvider
from sqlalchemy.engine import Connection

from shared import background, db, failures, lives, metrics, outbox, patience
from shared.bus.calls import Call
from shared.bus.entrypoints import on_command_batches, on_each_query, on_event_batches
from shared.bus.publisher import Publisher
from shared.errors import Refusal, Refused
from shared.guard import guarded
from shared.identity import Actor, Verifier
from shared.inbox import Handler, Inbox, Incoming, parts
from shared.messages import MAX_ITEMS, Act, Command, Event, Query, decoding
from shared.messages.limits import MAX_ID, orgs_of
from shared.settings import Environment, Settings
from shared.standing import Named, Standing, of_sessions
from shared.translations import N_

log = logging.getLogger("tuanqiao.service")

Item = TypeVar("Item")


class Asked(msgspec.Struct, Generic[Item], frozen=True):
    """One item of a command, who asks for it, and in which request."""

    item: Item
    actor: Actor
    request_id: str = ""


ENTRYPOINTS = {"events": "EventBatches", "commands": "CommandBatches", "queries": "Queries"}
"""The kinds of what comes over the bus, each with the loop that takes it."""
Given = list[tuple[int, list[Asked[Any]]]]
"""The items of several calls, each with the place of its call in the batch."""
CommandHandler = Callable[[Connection, list[Asked[Any]]], Sequence[Any]]
QueryHandler = Callable[[Connection, Any, Actor | None], Any]
LookUp = Callable[[Connection, Collection[str], Collection[Actor], Named], Standing]
"""Finds how calls stand: by their sessions, their actors, and the organisations that they name or act for."""

_encode = msgspec.json.encode
EarlyAnswers = Callable[[int, list[bytes]], None]
"""Told the place of the first call of a part and the answers of the part."""
LONGEST_RETRY_PAUSE = 30.0
"""Between two looks for failed items that are due."""
LIMITS_TOGETHER = db.Limits(statement=3.0, lock=1.0)
"""For several calls in one transaction; if they take longer, they are tried in smaller parts."""
LIMITS_ALONE = db.Limits(statement=8.0, lock=5.0)
"""For one call: less than its caller waits."""
AGAIN_SECONDS, AGAIN_PAUSE = 1.0, 0.2
"""How long calls are tried again after the database has gone: a lost connection is made again by then."""


class _Undone(Exception):
    """A connection was lost before anything was committed on it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Machinery(DependencyProvider):  # type: ignore[misc]
    """Owns what a service process needs besides its handlers; one per container."""

    def setup(self) -> None:
        """Connect to the database; build inbox, relay and verifier."""
        service = self.container.service_cls
        settings: Settings = self.container.config["SETTINGS"]
        self.name: str = service.name
        self.engine = db.connect(settings.database(self.name))
        lives.watch(self.engine, self.name)
        db.give_settings(self.engine, self.container.config["OF_SERVICES"][self.name])
        self.relay = outbox.Relay(self.name, self.engine, Publisher(settings))
        self.database = db.Database(self.engine, self.relay.wake)
        self.inbox = Inbox(self.name, self.database, service.events)
        self.shown = metrics.Shown()
        self._begin_counters(service.events)
        self.verifier = Verifier(settings.keys)
        self.serve(service.commands, service.queries, service.standing)
        self.stopping = False
        self._away = False
        self.on_stop: list[Callable[[], None]] = []
        self._retries = background.Loop("retries", self._retry, LONGEST_RETRY_PAUSE)
        self.inbox.on_set_aside = self._retries.wake.set
        service.prepare(self)

    def _begin_counters(self, events: Mapping[type[Event], Handler]) -> None:
        """Let what counts batches and their failures begin at 0."""
        for topic in (*(event.topic() for event in events), "unknown"):
            metrics.MESSAGES_FAILED.labels(self.name, topic)
        for kind, entrypoint in ENTRYPOINTS.items():
            metrics.BATCH_MESSAGES.labels(self.name, kind)
            metrics.BATCH_SECONDS.labels(self.name, kind)
            metrics.BACKGROUND_FAILURES.labels(self.name, entrypoint)

    def serve(
        self,
        commands: Mapping[Command, CommandHandler],
        queries: Mapping[Query, QueryHandler],
        standing: LookUp = of_sessions,
    ) -> None:
        """Take the calls of these tables; each is read by its contract.

        What names an organisation that another system keeps is refused (`BusService.standing`).
        """
        self.standing = standing
        self.commands = {command.name: guarded(handler) for command, handler in commands.items()}
        self.replies = {command.name: command.reply for command in commands}
        self.decoders = {
            command.name: msgspec.json.Decoder(list[command.item])  # type: ignore[name-defined]
            for command in commands
        }
        self.queries = {query.name: guarded(handler) for query, handler in queries.items()}
        self.asked = {query.name: query for query in queries}
        self.query_decoders = {query.name: msgspec.json.Decoder(query.item) for query in queries}

    def start(self) -> None:
        """Start the relay, the retries and what else the service runs in the background."""
        self._relay = self.container.spawn_managed_thread(lambda: self.relay.run(self), identifier="relay")
        for loop in (self._retries, *self.container.service_cls.loops):
            # `loop=loop`: the thread begins later, when the name means another loop
            self.container.spawn_managed_thread(
                lambda loop=loop: background.run(self, loop), identifier=loop.name
            )

    def stop(self) -> None:
        """Stop after all workers are done: publish what they left, then leave."""
        self.stopping = True
        for wake in self.on_stop:
            wake()
        with eventlet.Timeout(15, False):  # False: the wait ends without an error
            self._relay.wait()

    def _retry(self, machinery: Any = None) -> float:
        """Try failed items that are due; return the seconds until the next one is."""
        wait = self.inbox.retry_due()
        return LONGEST_RETRY_PAUSE if wait is None else min(LONGEST_RETRY_PAUSE, max(0.05, wait))

    def get_dependency(self, worker_ctx: Any) -> Machinery:
        """Hand the machinery itself to the worker."""
        return self

    def apply_events(self, batch: list[Incoming]) -> None:
        """Apply one drained batch of event messages."""
        started = time.perf_counter()
        self.inbox.apply(batch)
        self._measure("events", len(batch), started)

    def apply_commands(
        self, calls: Sequence[Call], early: EarlyAnswers = lambda at, answers: None, first: int = 0
    ) -> list[bytes]:
        """Apply a drained batch of command calls in one transaction; return the encoded answers, in order.

        If the transaction fails, the batch is cut into parts with transactions of their own, again
        and again, so that a bad call fails alone; `early(first, answers)` is told of each part as
        soon as it is done, so that nobody waits for what is bad in another part. A single call that
        collides with others or takes too long is answered `unavailable`: its caller decides whether
        to ask again.

        Raises:
            Exception: `failures.is_away`, the database takes no work; nothing of the rest was done,
                apply the same calls again.

        """
        started = time.perf_counter()
        try:
            limits = LIMITS_ALONE if len(calls) == 1 else LIMITS_TOGETHER
            answers = failures.once_more(partial(self._apply_commands, calls, limits))
        except Exception as error:
            if failures.is_away(error):
                raise
            if len(calls) == 1:
                answers = [self._said(calls[0], error)]
            else:
                answers = self._apply_parts(calls, early, first)
        self._measure("commands", len(calls), started)
        return answers

    def answer_commands(self, calls: Sequence[Call], early: EarlyAnswers) -> list[bytes]:
        """Apply a drained batch of command calls as `apply_commands` does; return the encoded answers.

        While the database takes no work they are answered `unavailable` without being kept waiting;
        whoever asks again later is answered by what was done, if anything was.
        """
        ends = time.monotonic() + AGAIN_SECONDS
        while True:
            try:
                answers = self.apply_commands(calls, early)
                self._away = False
                return answers
            except Exception as error:
                if not failures.is_away(error):
                    raise
                if self._away or time.monotonic() > ends:
                    self._say_away(error)
                    return [_problem(Refusal("unavailable"))] * len(calls)
            time.sleep(AGAIN_PAUSE)

    def _say_away(self, error: Exception) -> None:
        """Log that the database takes no work, once until it does again."""
        if not self._away:
            log.warning("%s: database: %s; commands are unavailable", self.name, failures.words(error))
        self._away = True

    def _apply_parts(self, calls: Sequence[Call], early: EarlyAnswers, first: int) -> list[bytes]:
        """Apply the parts of a batch that failed as a whole; tell of each as soon as it is done."""
        answers: list[bytes] = []
        for part in parts(calls):
            at = first + len(answers)
            done = self.apply_commands(part, early, at)
            early(at, done)
            answers += done
        return answers

    def _said(self, call: Call, error: Exception) -> bytes:
        """Return the answer to a call that failed."""
        if isinstance(error, Refused):
            return _problem(error.refusal)
        if failures.is_contended(error):
            log.warning("%s.%s: %s, request %s", self.name, call.name, failures.words(error), call.request_id)
            return _problem(Refusal("unavailable"))
        log.exception("%s.%s failed, request %s", self.name, call.name, call.request_id)
        return _problem(Refusal("internal"))

    def _apply_commands(self, calls: Sequence[Call], limits: db.Limits) -> list[bytes]:
        answers: list[bytes] = [b""] * len(calls)
        asked, sessions = self._read(calls, answers)
        if not asked:
            return answers
        every = [one for given in asked.values() for _, items in given for one in items]
        with self.database.transaction(limits=limits) as tx:
            actors = {one.actor for one in every}
            ended, others = self.standing(tx, {*sessions.values()}, actors, partial(_all_named, every))
            for at, session in sessions.items():
                if session in ended:
                    answers[at] = _problem(Refusal("token_expired"))
            for name, given in asked.items():
                some = [(at, items) for at, items in given if sessions[at] not in ended]
                if some:
                    self._handle(tx, name, some, others, answers)
        return answers

    def _read(self, calls: Sequence[Call], answers: list[bytes]) -> tuple[dict[str, Given], dict[int, str]]:
        """Return by command what it is asked, and by call the session that its token belongs to.

        Calls that cannot be read get their answer here.
        """
        now = time.time()
        asked: dict[str, Given] = {}
        sessions: dict[int, str] = {}
        for at, call in enumerate(calls):
            if call.expires_at <= now:  # while another part of the batch was tried: its caller has gone
                answers[at] = _problem(Refusal("unavailable"))
                continue
            try:
                actor, sessions[at] = self._actor(call)
                asked.setdefault(call.name, []).append(
                    (at, [Asked(item, actor, call.request_id) for item in self._items(call)])
                )
            except Refused as refused:
                answers[at] = _problem(refused.refusal)
        return asked, sessions

    def _handle(
        self, tx: Connection, name: str, given: Given, others: Collection[int], answers: list[bytes]
    ) -> None:
        """Call the handler of a command once for the items of all callers; share its replies out again.

        Items that name an organisation of `others`, or whose actor acts for one, are refused.
        """
        every = [one for _, items in given for one in items]
        closed = [bool(others) and not _named(one).isdisjoint(others) for one in every]
        here = [one for one, shut in zip(every, closed, strict=True) if not shut]
        answered = self.commands[name](tx, here) if here else []
        if len(answered) != len(here):
            raise RuntimeError(f"{name} answered {len(answered)} of {len(here)} items")
        rest = iter(answered)
        replies = [
            _refused(self.replies[name], one.item) if shut else next(rest)
            for one, shut in zip(every, closed, strict=True)
        ]
        start = 0
        for at, items in given:
            answers[at] = _encode({"ok": replies[start : start + len(items)]})
            start += len(items)

    def _items(self, call: Call) -> list[Any]:
        decoder = self.decoders.get(call.name)
        if decoder is None:
            raise Refused("not_found")
        items = decoding.decode(decoder, call.body, "/items")
        if not 0 < len(items) <= MAX_ITEMS:
            raise Refused("too_many_items", limit=MAX_ITEMS)
        return list(items)

    def answer(self, call: Call) -> bytes:
        """Answer one query."""
        started = time.perf_counter()
        try:
            answer = self._answer(call)
        except Refused as refused:
            answer = _problem(refused.refusal)
        except Exception as error:
            answer = _problem(Refusal("unavailable")) if failures.is_away(error) else self._said(call, error)
        self._measure("queries", 1, started)
        return answer

    def _answer(self, call: Call) -> bytes:
        asked = self.asked.get(call.name)
        if asked is None:
            self._actor(call)  # who may not ask at all is not told what there is to ask
            raise Refused("not_found")
        actor, session = (None, "") if asked.public else self._actor(call, asked.restricted)
        request = decoding.decode(self.query_decoders[call.name], call.body)
        ask = partial(self._ask, call, asked, request, actor, session)
        try:
            return ask()
        except _Undone as undone:
            if call.expires_at - time.time() < AGAIN_SECONDS:
                raise undone.error from None
        # of all connections that were lost at once this was the first to say so; the next is a new one
        try:
            return ask()
        except _Undone as undone:
            raise undone.error from None

    def _ask(self, call: Call, asked: Query, request: Any, actor: Actor | None, session: str) -> bytes:
        """Answer a query in a transaction of its own, or without one if it `reads`.

        Raises:
            _Undone: The connection was lost, and nothing of it has had any effect.

        """
        # no longer than its caller waits
        seconds = min(patience.LONGEST, max(1.0, call.expires_at - time.time()))
        commits = False
        acts = isinstance(asked, Act)
        if asked.reads:
            whole = self.database.reading(seconds)
        else:
            whole = self.database.transaction(tells=acts, seconds=seconds)
        try:
            with whole as tx:
                db.note(tx, "request_id", call.request_id)
                try:
                    if actor is not None or acts:  # who acts may not have signed in
                        actors = set() if actor is None else {actor}
                        named = partial(orgs_of, request) if acts else set
                        ended, others = self.standing(tx, {session}, actors, named)
                        if ended:
                            raise Refused("token_expired")
                        if others:
                            raise Refused("mirrored")
                    answer = _encode({"ok": self.queries[call.name](tx, request, actor)})
                except Refused as refused:
                    # inside: what a refusal has counted, such as a failed sign-in, is committed
                    answer = _problem(refused.refusal)
                commits = acts
            return answer
        except Exception as error:
            if commits or not failures.is_lost(error):
                raise
            raise _Undone(error) from error

    def _actor(self, call: Call, restricted: bool = False) -> tuple[Actor, str]:
        """Return who calls and the session that the token belongs to, empty if to none.

        With `restricted`, people whose initial password is not changed yet come in, too (ACC-05).
        """
        if call.org_id is not None and not 0 < call.org_id <= MAX_ID:
            raise decoding.bad("/org_id", N_("须为{}至{}的整数"), 1, MAX_ID)
        actor = self.verifier.actor(call.token, call.org_id)
        if actor.restricted and not restricted:
            raise Refused("password_change_needed")
        return actor, self.verifier.session(call.token)

    def _measure(self, kind: str, messages: int, started: float) -> None:
        metrics.BATCH_MESSAGES.labels(self.name, kind).observe(messages)
        metrics.BATCH_SECONDS.labels(self.name, kind).observe(time.perf_counter() - started)


def _named(one: Asked[Any]) -> set[int]:
    """Return the organisations that an item names, and the one that is acted for."""
    named = orgs_of(one.item)
    return named if one.actor.org_id is None else {*named, one.actor.org_id}


def _all_named(every: Sequence[Asked[Any]]) -> set[int]:
    return set().union(*map(_named, every))


def _refused(reply: type[Any], item: Any) -> Any:
    """Return the reply to an item about an organisation that another system keeps."""
    same = {name: getattr(item, name) for name in reply.__struct_fields__ if hasattr(item, name)}
    return reply(**{**same, "refusal": Refusal("mirrored")})


def _problem(refusal: Refusal) -> bytes:
    return _encode({"refused": refusal})


def no_settings(environment: Environment, common: Settings) -> object:
    """Read nothing: the service has no settings of its own."""
    return None


def no_gauges(tx: Connection) -> list[metrics.Reading]:
    """Read nothing: the service has no gauges of its own."""
    return []


class BusService:
    """Base of every service on the bus; subclasses fill the tables.

    Attributes:
        name: Of service, exchange and database.
        read_settings: Reads the service's own settings; its handlers find them by their transaction.
        events: Event class to handler of its items.
        commands: Command to handler of its items; one reply per item.
        queries: Query or act to handler.
        standing: Finds for all calls of a transaction which of their sessions were ended, and which
            organisations another system keeps (FED-01).
        loops: Background work that runs as long as the service does.
        gauges: Reads the service's own gauges; cheap, since each scrape asks.
        linger: Seconds that events may wait to become a larger batch.

    """

    name: ClassVar[str]
    read_settings = staticmethod(no_settings)
    events: ClassVar[Mapping[type[Event], Handler]] = {}
    commands: ClassVar[Mapping[Command, CommandHandler]] = {}
    queries: ClassVar[Mapping[Query, QueryHandler]] = {}
    standing = staticmethod(of_sessions)
    loops: ClassVar[Sequence[background.Loop]] = ()
    gauges = staticmethod(no_gauges)
    linger: ClassVar[float] = 0.0

    machinery = Machinery()

    @classmethod
    def prepare(cls, machinery: Machinery) -> None:
        """Make ready what the handlers of this process need, before the first message."""

    @on_event_batches
    def on_events(self, batch: list[Incoming]) -> None:
        """Apply a batch of event messages."""
        self.machinery.apply_events(batch)

    @on_command_batches
    def on_commands(self, calls: list[Call], early: EarlyAnswers) -> list[bytes]:
        """Apply a batch of command calls."""
        return self.machinery.answer_commands(calls, early)

    @on_each_query
    def on_query(self, call: Call) -> bytes:
        """Answer one query."""
        return self.machinery.answer(call)
