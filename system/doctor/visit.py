"""One visit of the doctor: every look in turn, a second look at what was found, what is left, repairs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import sqlalchemy as sa
from amqp import AMQPError

from shared import db
from shared.readings import PIECE
from shared.settings import Settings
from system.doctor import comparisons, looks, repairs, under_way
from system.doctor.comparisons import Engines, Look
from system.doctor.differences import SORTS, Found

KINDS = ("versions", "clocks", "dead", "reservations", "timers", "directory", "outbox", "moves", "audit")
"""What may be asked for, in the order in which it is looked at: what is read longest comes last."""
MOST_FIRST = 10_000
"""Found at the first look before there is a second one; so little is kept, however much is under way."""
SAVE_SECONDS = 5.0
"""Between two writings of where the visit stands."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a visit goes.

    Attributes:
        only: Kinds to look at; empty for all.
        wait: Seconds between the first look at a difference and the second, at least.
        patience: The most, while messages are under way that may explain it.
        pause: Seconds of rest between two pieces.
        piece: Rows of one piece.
        since: How far back published messages are looked at.
        repair: Tell again what heals.
        lost: Also let go of whom transfers hold that are nowhere any more.
        state: Where the visit writes how far it is.
        resume: Go on where an earlier visit was broken off.

    """

    only: tuple[str, ...] = ()
    wait: float = 120.0
    patience: float = 900.0
    pause: float = 0.0
    piece: int = PIECE
    since: timedelta = timedelta(days=7)
    repair: bool = False
    lost: bool = False
    state: Path = Path("var/doctor.json")
    resume: bool = False


class CannotLook(Exception):
    """A database or the broker does not answer, or is not what this program knows."""


class Place(msgspec.Struct):
    """How far a visit is: looks that are through, the key behind which the next one goes on, what was found.

    `first` was found once, `lasting` twice; by the name of the look. `late` messages still waited then.
    """

    done: list[str] = []
    after: int = 0
    rows: dict[str, int] = {}
    first: dict[str, list[Found]] = {}
    lasting: dict[str, list[Found]] = {}
    late: int = 0


class Result(msgspec.Struct, frozen=True):
    """What a visit came to: rows and differences by the name of the look; what was told again.

    `late`: so many messages were still under way at the last look, and may explain some of it.
    """

    rows: dict[str, int]
    found: dict[str, list[Found]]
    told: dict[str, int]
    late: int
    seconds: float

    @property
    def agrees(self) -> bool:
        """Return whether nothing differs."""
        return not any(self.found.values())


class Visit:
    """Goes through the looks; `say` is told how far it is."""

    def __init__(
        self, settings: Settings, plan: Plan, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.settings, self.plan, self.say = settings, plan, say
        self.engines: Engines = {
            service: db.connect(settings.database(service), pool_size=2) for service in settings.services
        }
        self.place = _read(plan.state) if plan.resume else Place()
        self._saved = time.monotonic()

    def run(self) -> Result:
        """Look at everything; repair if that is wanted.

        Raises:
            CannotLook: A database does not answer; the visit may be resumed.

        """
        began = time.monotonic()
        with self._answering():
            every = self._looks()
            if not looks.versions(self.settings):
                for look in every:
                    self._walk(look)
                self._settle(every)
            else:
                # with another schema the statements of the other looks would not fit
                self._walk(every[0])
                self._settle(every[:1])
            told = self._repair(every) if self.plan.repair else {}
        self.plan.state.unlink(missing_ok=True)
        return Result(self.place.rows, self.place.lasting, told, self.place.late, time.monotonic() - began)

    def _looks(self) -> list[Look]:
        every = [*looks.looks(self.settings), *comparisons.looks(self.plan.since, self.settings.services)]
        every.sort(key=lambda look: KINDS.index(look.kind))  # stable: within a kind the order stays
        return [one for one in every if not self.plan.only or one.kind in ("versions", *self.plan.only)]

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self._save()
            raise
        except (sa.exc.SQLAlchemyError, AMQPError, OSError) as error:
            self._save()
            raise CannotLook(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
        finally:
            for engine in self.engines.values():
                engine.dispose()

    def _walk(self, look: Look) -> None:
        place, name = self.place, look.name
        if name in place.done:
            return
        for step in look.walk(self.engines, place.after, self.plan.piece):
            place.after = step.end
            place.rows[name] = place.rows.get(name, 0) + step.rows
            place.first.setdefault(name, []).extend(step.found)
            self._pause(name)
            if len(place.first[name]) >= MOST_FIRST:
                self._settle([look])
        place.done.append(name)
        place.after = 0

    def _pause(self, name: str) -> None:
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()
            self.say(
                f"{name}: {self.place.rows[name]:,} rows, up to {self.place.after},"
                f" {len(self.place.first[name])} to be looked at again"
            )
        time.sleep(self.plan.pause)

    def _save(self) -> None:
        self.plan.state.parent.mkdir(parents=True, exist_ok=True)
        new = self.plan.state.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self.place))
        new.replace(self.plan.state)
        self._saved = time.monotonic()

    def _settle(self, every: Sequence[Look]) -> None:
        """Wait, then look again at what was found; keep what is still the same."""
        first, lasting = self.place.first, self.place.lasting
        count = sum(len(first.get(one.name, [])) for one in every if not isinstance(one, looks.Alone))
        if count:
            self.say(f"{count} to be looked at again, in {self.plan.wait:g} s or when nothing is under way")
            self.place.late = under_way.wait(self.engines, self.plan.wait, self.plan.patience)
        for look in every:
            still = look.again(self.engines, first.get(look.name, []))
            if still:
                lasting.setdefault(look.name, []).extend(still)
            first[look.name] = []  # both at once, so that a visit broken off here forgets nothing

    def _repair(self, every: Sequence[Look]) -> dict[str, int]:
        told: Counter[str] = Counter()
        for look in every:
            told.update(
                repairs.repair(self.engines, look, self.place.lasting.get(look.name, []), self.plan.lost)
            )
        return dict(told)


def _read(state: Path) -> Place:
    """Return where an earlier visit was broken off.

    Raises:
        CannotLook: There is none.

    """
    try:
        return msgspec.json.decode(state.read_bytes(), type=Place)
    except (OSError, msgspec.MsgspecError):
        raise CannotLook(f"{state} holds no visit that was broken off") from None


def table(result: Result, most: int = 20) -> list[str]:
    """Return a result as lines for people: a table, then what differs with its first ids."""
    lines = [f"{'核对 / look':<58}{'行 / rows':>14}{'不一致 / differ':>16}"]
    for name, rows in result.rows.items():
        lines.append(f"{name:<60}{rows:>14,}{len(result.found.get(name, [])):>14,}")
    for name, found in result.found.items():
        for sort, count in sorted(Counter(one.sort for one in found).items()):
            what = SORTS[sort]
            lines.append(f"{name}: {count} × {what.zh} / {what.en}: {_remedy(sort, result)}")
            these = [one for one in found if one.sort == sort]
            lines += [f"    {_line(one)}" for one in these[:most]]
            if count > most:
                lines.append(f"    … {count - most} 条未列出 / more: --json")
    if result.late:
        lines.append(f"仍有 {result.late} 条消息在途 / {result.late} messages are still under way")
    lines.append(
        f"一致 / agree ({result.seconds:.0f} s)"
        if result.agrees
        else f"不一致 / differ ({result.seconds:.0f} s)"
    )
    return lines


def _line(one: Found) -> str:
    ids = " ".join(str(number) for number in (one.key, one.about) if number)
    return f"{ids}  {one.seen}".strip()


def _remedy(sort: str, result: Result) -> str:
    if sort in result.told:
        return f"已重发 {result.told[sort]} 条 / {result.told[sort]} told again"
    heal = SORTS[sort].heal
    if heal == "let_go":
        return "--repair --lost 可解除 / lets go"
    return "--repair 可修复 / heals" if heal else "须人工处理 / for a person"


class Line(msgspec.Struct, frozen=True):
    """A difference as JSON."""

    look: str
    sort: str
    key: int
    about: int
    seen: str
    heal: str


def as_json(result: Result) -> bytes:
    """Return a result for programs: one object."""
    lines = [
        Line(name, one.sort, one.key, one.about, one.seen, SORTS[one.sort].heal)
        for name, found in result.found.items()
        for one in found
    ]
    return msgspec.json.encode(
        {
            "agrees": result.agrees,
            "seconds": round(result.seconds, 1),
            "rows": result.rows,
            "told": result.told,
            "late": result.late,
            "differences": lines,
        }
    )
