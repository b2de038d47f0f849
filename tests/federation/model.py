"""The whole state space of two transfers of one person between two systems.

It walks `protocol.py`'s own tables. The network loses, repeats and swaps whatever it likes: what was ever
sent may come at any time, any number of times, or never. A side may do nothing for any time, so its clock
may be late, and it may crash between storing a message and acting on it: that is a message that comes later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from services.federation import protocol
from services.federation.protocol import Act, Heard, Late, Receiver, Sender, Sent, Side, State, Type, Word


class Transfer(NamedTuple):
    """One transfer: where it stands on both sides, what each remembers, what was ever sent."""

    sender: Sender
    receiver: Receiver
    sender_heard: frozenset[Word]
    receiver_heard: frozenset[Word]
    sent: frozenset[Word]


World = tuple[Transfer, Transfer]
NOTHING: frozenset[Word] = frozenset()
START = Transfer(Sender.NONE, Receiver.NONE, NOTHING, NOTHING, NOTHING)
OPEN = (Sender.OFFERED, Sender.HANDOVER, Receiver.DECIDING, Receiver.AWAITED)


@dataclass
class Tables:
    """What is walked: the protocol's tables, or a copy with a mistake in it.

    Attributes:
        back: Whether the second transfer leads back; otherwise it goes the same way.
        half_commits: A mistake: the state may be committed without what was to be said.
        early_receipts: A mistake: a crash may lose a record that was receipted, so that it never comes again.
        quarantines: Whether a message without a cell is a finding; if not, it is passed over.
        reached: The cells of `hears` that the walk has come to.

    """

    sends: dict[tuple[State, Act], Sent] = field(default_factory=lambda: dict(protocol.SENDS))
    hears: dict[tuple[State, Word], Heard | Late] = field(default_factory=lambda: dict(protocol.HEARS))
    must_arrive: tuple[Type, ...] = protocol.MUST_ARRIVE
    alone: tuple[Act, ...] = protocol.ALONE
    back: bool = False
    half_commits: bool = False
    early_receipts: bool = False
    quarantines: bool = True
    reached: set[tuple[State, Word]] = field(default_factory=set)


class Found(NamedTuple):
    """How many states there are, and what is wrong with one, with the shortest way to it."""

    states: int
    wrong: str = ""
    way: tuple[str, ...] = ()


def idle(tables: Tables) -> frozenset[Word]:
    """Return the words that change nothing: no state, no memory, and no answer to them does, either."""
    steps = [(state, word, step) for (state, word), step in tables.hears.items() if isinstance(step, Heard)]
    moving = {word for state, word, step in steps if step.to is not state} | set(protocol.REMEMBERED)
    while more := {word for _, word, step in steps if step.says in moving} - moving:
        moving |= more
    return frozenset(set(Word) - moving)


def walk(tables: Tables) -> Found:
    """Walk everything that can happen, and look whether every state can still end."""
    quiet = idle(tables)
    came: dict[World, tuple[World, str] | None] = {(START, START): None}
    before: dict[World, list[World]] = {}
    before_surely: dict[World, list[World]] = {}
    todo = deque(came)
    while todo:
        world = todo.popleft()
        wrong = _wrong(tables, world)
        if wrong:
            return Found(len(came), wrong, _way(came, world))
        for name, after, surely in _moves(tables, quiet, world):
            if after is None:
                return Found(
                    len(came), "an honest message is taken for impossible", (*_way(came, world), name)
                )
            before.setdefault(after, []).append(world)
            if surely:
                before_surely.setdefault(after, []).append(world)
            if after not in came:
                came[after] = world, name
                todo.append(after)
    for wrong, arrows in (("cannot end", before), ("cannot end without what expires", before_surely)):
        stuck = _stuck(list(came), arrows)
        if stuck:
            return Found(len(came), wrong, _way(came, stuck[0]))
    return Found(len(came))


def _way(came: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    way = []
    while (step := came[world]) is not None:
        world, name = step
        way.append(name)
    return tuple(reversed(way))


def _stuck(worlds: list[World], before: dict[World, list[World]]) -> list[World]:
    """Return the states from which both transfers cannot end on both sides, the nearest first."""
    good = {world for world in worlds if _over(world)}
    todo = deque(good)
    while todo:
        for world in before.get(todo.popleft(), ()):
            if world not in good:
                good.add(world)
                todo.append(world)
    return [world for world in worlds if world not in good]


def _over(world: World) -> bool:
    return all(one.sender in protocol.ENDS and one.receiver in protocol.ENDS for one in world)


def _wrong(tables: Tables, world: World) -> str:
    first, second = world
    between = Sender.HANDOVER in (first.sender, second.sender)
    if tables.back:
        here = first.sender in protocol.HERE or second.receiver in protocol.THERE
        there = int(first.receiver in protocol.THERE and second.sender in protocol.HERE)
    else:
        here = first.sender in protocol.HERE and second.sender in protocol.HERE
        there = [first.receiver, second.receiver].count(Receiver.TAKEN)
    if here + there > 1:
        return "active twice"
    if not here and not there and not between:
        return "lost"
    # what the sender holds for done, the receiver has done, and at the end the other way round
    if any(one.sender is Sender.MOVED and one.receiver is not Receiver.TAKEN for one in world):
        return "the sides differ"
    if _over(world) and any(
        one.receiver is Receiver.TAKEN and one.sender is not Sender.MOVED for one in world
    ):
        return "the sides differ"
    return ""


def _moves(tables: Tables, quiet: frozenset[Word], world: World) -> Iterator[tuple[str, World | None, bool]]:
    """Yield what can happen next: its name, the state after it, and whether time alone may prevent it.

    A message that expires may be lost for good, and so may what it would do. None is what comes after a
    message for which the tables have no cell.
    """
    for number, one in enumerate(world):
        for side in Side:
            state, heard = _of(one, side)
            for (at, what), step in tables.sends.items():
                if at is not state or not _may(tables, world, number, what, step, heard):
                    continue
                after = _after(one, side, step.to, heard)
                yield f"{what} {number + 1}", _put(world, number, _say(after, step.says, quiet)), True
                if tables.half_commits:
                    yield f"{what} {number + 1} unsaid", _put(world, number, after), False
        for word in one.sent:
            side = _LISTENER[word]
            state, heard = _of(one, side)
            # what was stored is not heard again from an honest peer's repetition, though it does no harm here
            surely = word.type in tables.must_arrive and word not in heard
            cell = tables.hears.get((state, word))
            tables.reached.add((state, word))
            if tables.early_receipts and word is Word.RECORD:
                lost = one._replace(sent=one.sent - {word})
                yield f"crash {number + 1} after the receipt of {word}", _put(world, number, lost), False
            if cell is None and tables.quarantines:
                yield f"{word} {number + 1} at {state.value}", None, surely
            elif isinstance(cell, Heard) and not (cell.unless and cell.unless in heard):
                more = heard | {word} if word in protocol.REMEMBERED else heard
                after = _say(_after(one, side, cell.to, more), cell.says, quiet)
                yield f"hears {word} {number + 1}", _put(world, number, after), surely


def _may(tables: Tables, world: World, number: int, what: Act, step: Sent, heard: frozenset[Word]) -> bool:
    if (step.needs and step.needs not in heard) or (step.unless and step.unless in heard):
        return False
    other = world[1 - number]
    if what is Act.OFFER and number == 1:
        # the system that offers has the person, and nothing of the person is open in it
        if tables.back:
            return other.receiver is Receiver.TAKEN
        return other.sender is Sender.KEPT or (what not in tables.alone and other.sender in OPEN)
    if what is Act.ACCEPT and what in tables.alone:
        if tables.back:
            return number == 0 or other.sender is Sender.MOVED
        return other.receiver not in (*OPEN, *protocol.THERE)
    return True


def _of(one: Transfer, side: Side) -> tuple[State, frozenset[Word]]:
    return (one.sender, one.sender_heard) if side is Side.SENDER else (one.receiver, one.receiver_heard)


def _after(one: Transfer, side: Side, state: State, heard: frozenset[Word]) -> Transfer:
    if side is Side.SENDER:
        return one._replace(sender=state, sender_heard=heard)
    return one._replace(receiver=state, receiver_heard=heard)


def _say(one: Transfer, word: Word | None, quiet: frozenset[Word]) -> Transfer:
    return one if word is None or word in quiet else one._replace(sent=one.sent | {word})


def _put(world: World, number: int, one: Transfer) -> World:
    return (one, world[1]) if number == 0 else (world[0], one)


_LISTENER = {
    word: Side.RECEIVER if Side.SENDER in protocol.SPEAKS[word.type] else Side.SENDER for word in Word
} | {Word.NEVER_SEEN: Side.SENDER, Word.QUERY_RECORD: Side.RECEIVER}
"""Who hears a word, of those that are walked."""
