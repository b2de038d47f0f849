"""A process of a bridge is killed at each point, with each message: nothing is lost, nothing is doubled.

`crashing.POINTS` is the list. Both directions: our end says each message, and hears each; what it has been
doing when it was killed is done again by the next process, as a bus or a peer would have it.
"""

import json
import signal
import subprocess
import sys
from collections import Counter
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from services.federation import door, models
from services.federation.calling import Address
from services.federation.courier import Courier
from services.federation.door import Allowance
from services.federation.protocol import SENDS, Act, Receiver, Sender
from services.federation.schemas import OUTCOMES, Outcome
from shared import clock, db
from tests.federation.crashing import POINTS, TOLD, CountingEnd, Point
from tests.federation.factories import DAY, free_ports, served, two_sides
from tests.installation import ROOT

O, C, H = Act.OFFER, Act.ACCEPT, Act.HAND_OVER
BEFORE = {
    Act.OFFER: (),
    Act.CALL_OFF: (O,),
    Act.ASK: (O,),
    Act.HAND_OVER: (O, C),
    Act.ASK_RECORD: (O, C, H),
    Act.TELL: (O,),
    Act.ACCEPT: (O,),
    Act.REFUSE: (O,),
    Act.GIVE_UP: (O, C),
    Act.TAKE: (O, C, H),
    Act.SEND_BACK: (O, C, H),
}
"""What has been done, and heard by the other side, before each act."""
LEASE_IS_OVER = sa.text("UPDATE sent SET leased_until = said_at WHERE lease IS NOT NULL")
IS_TRIED_NOW = sa.text("UPDATE sent SET next_at = said_at WHERE state = 'waiting'")
IS_BACK = sa.text("UPDATE line SET probe_at = NULL, down_since = NULL, failures = 0")
HEADS = sa.text(
    "SELECT side, state, heard, our_seq, our_head, their_seq, their_head FROM handovers WHERE subject = :s"
)
SENT = sa.text("SELECT seq, type, sha256, jws, state, receipt FROM sent WHERE subject = :s ORDER BY seq")
RECEIVED = sa.text(
    "SELECT r.seq, r.type, r.sha256, r.jws, r.state, g.jws AS receipt FROM received r"
    " LEFT JOIN receipts g USING (subject, seq) WHERE r.subject = :s ORDER BY r.seq"
)
TOLD_OF = sa.text("SELECT seq, word FROM told WHERE subject = :s")


class Case(NamedTuple):
    """A point, and what goes over the bridge there: what an act says, a `status`, or what comes `early`."""

    point: int
    what: str


def cases() -> list:
    """Return every point with every message that meets it; a few of them with each change, all in the end."""
    found = []
    for nth, point in enumerate(POINTS):
        words = [str(act) for act in BEFORE]
        if point.job != "act":
            words.append("status")
        if point.job == "door":
            words.append("early")
        if point.name == "tell":
            words.remove("early")  # nothing has worked yet
        for place, what in enumerate(words):
            # each point and each message comes up, and each job with each message
            often = (nth + place) % SELECTED == 0
            marks = () if often else (pytest.mark.long,)
            found.append(pytest.param(Case(nth, what), id=f"{point} - {what}", marks=marks))
    return found


SELECTED = 11


class Bridge:
    """Both ends, served; ours is killed as a process of its own and works on in this one."""

    def __init__(self, ends: tuple[CountingEnd, CountingEnd], urls: tuple[str, str], child) -> None:
        self.here, self.there, self.urls, self.child = *ends, urls, child
        self.count = 0

    def carry(self, end: CountingEnd, url: str) -> None:
        """Carry all that waits at an end."""
        courier = Courier(end.bridge, db.Database(end.engine), Address(url))
        while courier.turn() == 0.0:
            pass

    def carry_all(self) -> None:
        """Carry until nothing waits on either side; whoever was killed has been started again."""
        while True:
            for end, url in ((self.here, self.urls[1]), (self.there, self.urls[0])):
                with end.engine.begin() as tx:
                    for statement in (LEASE_IS_OVER, IS_TRIED_NOW, IS_BACK):
                        tx.execute(statement)
                self.carry(end, url)
            if not any(self.waits(end) for end in (self.here, self.there)):
                return

    def waits(self, end: CountingEnd) -> bool:
        with end.engine.begin() as tx:
            return bool(tx.scalar(sa.text("SELECT count(*) FROM sent WHERE state = 'waiting'")))

    def killed(self, case: Case, **job: str) -> None:
        """Have our end's process do a job, and be killed at its point."""
        point = POINTS[case.point]
        self.child.stdin.write(json.dumps({"point": case.point, **job}) + "\n")
        self.child.stdin.flush()
        if point.job == "door":
            port = int(self.child.stdout.readline())
            self.carry_once(self.there, f"http://127.0.0.1:{port}")
        status = int(self.child.stdout.readline())
        assert status == signal.SIGKILL, f"{point}: not met"

    def carry_once(self, end: CountingEnd, url: str) -> None:
        """Send to a door that is killed meanwhile."""
        with end.engine.begin() as tx:
            tx.execute(IS_BACK)
        Courier(end.bridge, db.Database(end.engine), Address(url), patience=10).turn()


@pytest.fixture(scope="module")
def bridge(scratch, tmp_path_factory):
    engines = scratch(models.metadata), scratch(models.metadata)
    folders = two_sides(tmp_path_factory.mktemp("keys"))
    ends = (
        CountingEnd(engines[0], "national", "BJ", folders[0]),
        CountingEnd(engines[1], "BJ", "national", folders[1]),
    )
    for end, other in (ends, ends[::-1]):
        end.now = clock.now()
        other.bridge.keys.add(end.bridge.keys.rotate(clock.now() - 2 * DAY))
        with end.engine.begin() as tx:
            tx.execute(sa.text(TOLD))
    settings = {"me": "national", "peer": "BJ", "keys": str(ends[0].bridge.keys.place)}
    settings["database"] = engines[0].url.render_as_string(hide_password=False)
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.federation.crashing", json.dumps(settings)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    doors = [door.app(end.bridge, db.Database(end.engine), Allowance(1e6, 1e6)) for end in ends]
    with served(doors[0]) as ours, served(doors[1]) as theirs:
        yield Bridge(ends, (ours, theirs), child)
    child.stdin.close()
    child.wait(10)
    child.stdout.close()


def of_sender(act: Act) -> bool:
    """Return whether an act is the sender's."""
    return all(isinstance(state, Sender) for (state, one) in SENDS if one is act)


def prepare(bridge: Bridge, act: Act, ours: bool) -> str:
    """Return a transfer, new, at which one side may do an act; all before it is done and heard."""
    bridge.count += 1
    subject = f"{'national' if of_sender(act) is ours else 'BJ'}:{bridge.count}"
    for step in BEFORE[act]:
        mine = of_sender(step) is subject.startswith("national:")
        deed(bridge, subject, step, mine)
        bridge.carry(bridge.here if mine else bridge.there, bridge.urls[mine])
    return subject


def deed(bridge: Bridge, subject: str, act: Act, mine: bool) -> bool:
    end = bridge.here if mine else bridge.there
    end.now = clock.now()
    return end.act(subject, act)


def rows(end: CountingEnd, statement: sa.TextClause, subject: str) -> list:
    with end.engine.begin() as tx:
        return list(tx.execute(statement, {"s": subject}).all())


@pytest.mark.rule("FED-11")
@pytest.mark.parametrize("case", cases())
def test_killed(bridge, case):
    """FED-11: what was being said or heard is so once, by the same bytes, and both sides agree."""
    point = POINTS[case.point]
    hears = point.job == "door"
    act = {"status": Act.ASK, "early": Act.CALL_OFF}.get(case.what) or Act(case.what)
    ours = hears is (case.what == "status")  # whether the act is of our end
    subject = prepare(bridge, Act.OFFER if case.what == "early" else act, ours)
    if case.what == "early":
        deed(bridge, subject, Act.OFFER, ours)
        with bridge.there.engine.begin() as tx:
            tx.execute(sa.text("UPDATE sent SET next_at = now() + interval '1 hour' WHERE state = 'waiting'"))
    if point.job != "act":
        assert deed(bridge, subject, act, ours)
    if case.what == "status":
        bridge.carry(bridge.here if ours else bridge.there, bridge.urls[ours])
    before = {row.seq: row.jws for end in (bridge.here, bridge.there) for row in rows(end, SENT, subject)}

    url = bridge.urls[1] if point.job == "carry" else f"http://127.0.0.1:{free_ports(1)[0]}"
    bridge.killed(case, subject=subject, act=str(act), url=url)

    said = said_by(bridge, subject)
    if point.job == "act":
        # whoever asked for it asks again: it is done now, or has been
        committed = point.owner == "commit" and point.when == "after"
        assert deed(bridge, subject, act, True) is (
            not committed or act in (Act.TELL, Act.ASK, Act.ASK_RECORD)
        )
    bridge.carry_all()
    sound(bridge, subject)
    after = said_by(bridge, subject)
    assert {place: after[place] for place in said} == said
    assert before.keys() <= {seq for _, seq in after}


def said_by(bridge: Bridge, subject: str) -> dict[tuple[str, int], str]:
    """Return the bytes of what both ends have said."""
    ends = bridge.here, bridge.there
    return {(end.bridge.me, row.seq): row.jws for end in ends for row in rows(end, SENT, subject)}


def sound(bridge: Bridge, subject: str) -> None:
    """Check that both ends have the same of a transfer, each message once, with the receipt of then."""
    for one, other in ((bridge.here, bridge.there), (bridge.there, bridge.here)):
        sent, received = rows(one, SENT, subject), rows(other, RECEIVED, subject)
        assert [row[:4] for row in sent] == [row[:4] for row in received]
        assert [row.seq for row in sent] == list(range(1, len(sent) + 1))
        assert [row.receipt for row in sent] == [row.receipt for row in received]
        assert {row.state for row in sent} <= {"receipted"}
        assert {row.state for row in received} <= {"applied", "late"}
        told = Counter(row.seq for row in rows(other, TOLD_OF, subject))
        assert told == Counter(row.seq for row in received if row.state == "applied")
    (ours,), (theirs,) = rows(bridge.here, HEADS, subject), rows(bridge.there, HEADS, subject)
    assert (ours.our_seq, ours.our_head) == (theirs.their_seq, theirs.their_head)
    assert (theirs.our_seq, theirs.our_head) == (ours.their_seq, ours.their_head)
    assert {ours.side, theirs.side} == {"sender", "receiver"}
    assert outcome(ours) == outcome(theirs)


def outcome(row) -> Outcome:
    """Return the one word for where a side stands."""
    if row.state == "awaited" and "record" in row.heard:
        return Outcome.ON_THE_WAY
    return OUTCOMES[(Sender if row.side == "sender" else Receiver)(row.state)]


def test_the_list():
    """Enough points, each named once, in every part of what a bridge does."""
    names = [str(point) for point in POINTS]
    assert len(names) == len({*names}) >= 25
    assert {point.job for point in POINTS} == {"act", "carry", "away", "door"}
    short = [one.values[0] for one in cases() if not one.marks]
    assert {one.point for one in short} == {*range(len(POINTS))}
    jobs = {(POINTS[one.point].job == "door", one.what) for one in short}
    assert jobs >= {(hears, str(act)) for hears in (False, True) for act in BEFORE}
    assert all(isinstance(one, Point) and one.means for one in POINTS)
