"""Both ends of a bridge at once, over a network that does everything wrong, with an auditor beside them."""

import json
import random
import threading
import time
from collections import Counter

import pytest
import sqlalchemy as sa
from werkzeug.wrappers import Request, Response

from services.federation import asking, door, envelope
from services.federation.calling import Address, Caller
from services.federation.courier import Courier
from services.federation.door import Allowance
from services.federation.handovers import Deed, perform
from services.federation.protocol import Act, Word
from services.federation.reconcile import Reconciler
from shared import clock, db
from tests.federation.factories import End, example, served

pytestmark = pytest.mark.usefixtures("today")
EACH = 40
PATIENCE = 60.0
OPEN = ("offered", "handover", "deciding", "awaited")


FAULTS = ("lost", "hang up", "twice", "swapped", "cut", "flipped", "some", "busy")


class Fast(random.Random):
    """Dice for pauses that are a hundredth as long."""

    def uniform(self, a: float, b: float) -> float:
        return super().uniform(a, b) / 100


class Network:
    """Before a door: loses requests and answers, doubles, swaps, cuts off and changes messages."""

    def __init__(self, end: End, seed: int) -> None:
        self.door = door.app(end.bridge, db.Database(end.engine), Allowance(1e6, 1e6))
        self.dice = random.Random(seed)
        self.first = self.dice.sample(FAULTS, len(FAULTS))
        self.met: Counter[str] = Counter()

    def __call__(self, environ, start_response):
        request = Request(environ)
        if request.method == "GET":
            return self.door(environ, start_response)
        texts = json.loads(request.get_data())["messages"]
        # each of them once, and then as it comes
        fault = self.first.pop() if self.first else self.dice.choice([*FAULTS, "", "", ""])
        self.met[fault] += 1
        if fault == "lost":
            return Response(status=502)(environ, start_response)
        if fault == "busy":
            return Response(status=429, headers={"Retry-After": "0"})(environ, start_response)
        if fault == "swapped":
            self.dice.shuffle(texts)
        if fault == "some":
            texts = texts[: len(texts) // 2 + 1]
        if fault == "flipped":
            at = self.dice.randrange(len(texts))
            place = self.dice.randrange(len(texts[at]))
            texts[at] = texts[at][:place] + "_" + texts[at][place + 1 :]
        answer = self.pass_on(request, texts)
        if fault == "twice":
            answer = self.pass_on(request, texts)
        if fault == "hang up":
            environ["werkzeug.socket"].shutdown(2)
        if fault == "cut":
            answer = Response(answer.get_data()[:-20], mimetype="application/json")
        return answer(environ, start_response)

    def pass_on(self, request, texts: list[str]) -> Response:
        body = json.dumps({"messages": texts}).encode()
        inner = Request.from_values(
            path=request.path, method="POST", data=body, content_type="application/json"
        )
        return Response.from_app(self.door, inner.environ)


class Side:
    """A courier and the people of one end, each in a thread, until all is over."""

    def __init__(self, end: End, url: str, seed: int) -> None:
        self.end, self.dice = end, random.Random(seed)
        self.courier = Courier(end.bridge, db.Database(end.engine), Address(url), Fast(seed))
        self.over = threading.Event()
        self.failed: list[BaseException] = []
        self.threads = [threading.Thread(target=self.run, args=(one,)) for one in (self.carry, self.decide)]

    def run(self, work) -> None:
        try:
            while not self.over.is_set():
                work()
        except BaseException as error:
            self.failed.append(error)

    def carry(self) -> None:
        self.over.wait(min(0.05, self.courier.turn() or 0.0))

    def decide(self) -> None:
        """Let people do whatever they may, each time to some of the transfers."""
        now = clock.now()
        with self.end.engine.begin() as tx:
            rows = tx.execute(sa.text("SELECT subject, state, heard FROM handovers ORDER BY subject")).all()
            deeds = [
                Deed(row.subject, act, example(WORDS[act]))
                for row in rows
                if self.dice.random() < 0.4 and (act := self.choose(row)) is not None
            ]
            perform(tx, self.end.bridge, deeds, now)
            asking.ask(tx, self.end.bridge, now)
        self.over.wait(0.03)

    def choose(self, row) -> Act | None:
        chance = self.dice.random()
        if row.state == "deciding":
            return Act.TELL if chance < 0.3 else Act.REFUSE if chance < 0.4 else Act.ACCEPT
        if row.state == "offered":
            return Act.CALL_OFF if chance < 0.03 else Act.HAND_OVER if Word.ACCEPTED in row.heard else None
        if row.state == "awaited" and Word.RECORD in row.heard:
            return Act.SEND_BACK if chance < 0.2 else Act.TAKE
        return Act.GIVE_UP if row.state == "awaited" and chance < 0.03 else None


WORDS = {
    Act.TELL: Word.PROGRESS,
    Act.REFUSE: Word.REFUSED,
    Act.ACCEPT: Word.ACCEPTED,
    Act.CALL_OFF: Word.CALLED_OFF,
    Act.HAND_OVER: Word.RECORD,
    Act.SEND_BACK: Word.SENT_BACK,
    Act.TAKE: Word.INTEGRATED,
    Act.GIVE_UP: Word.REFUSED,
}


def states(end: End) -> dict[str, str]:
    with end.engine.begin() as tx:
        rows = tx.execute(sa.text("SELECT subject, state FROM handovers"))
        return {row[0]: row[1] for row in rows}


def audit(sender: End, receiver: End, subjects: list[str]) -> list[str]:
    """Return whoever is active twice or nowhere: read so that what is found was true at an instant."""
    before, here, after = states(receiver), states(sender), states(receiver)
    found = []
    for one in subjects:
        left = here.get(one, "none")
        if before.get(one) == "taken" and left in ("none", "offered", "kept"):
            found.append(f"{one} twice: {left}")
        if left == "moved" and after.get(one) != "taken":
            found.append(f"{one} nowhere: {after.get(one)}")
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_is_doubled_or_lost(here, there, seed):
    """Forty members each way: each is decided of, both sides agree, and every receipt is the peer's."""
    going, coming = ([f"{end.bridge.me}:{n}" for n in range(EACH)] for end in (here, there))
    networks = [Network(end, seed + n) for n, end in enumerate((here, there))]
    for end, subjects in ((here, going), (there, coming)):
        with end.engine.begin() as tx:
            offers = [Deed(one, Act.OFFER, example(Word.OFFER)) for one in subjects]
            assert all(perform(tx, end.bridge, offers, clock.now()))
    wrong: list[str] = []
    began = time.monotonic()
    with served(networks[0]) as our_door, served(networks[1]) as their_door:
        sides = [Side(here, their_door, seed), Side(there, our_door, seed + 9)]
        threads = [thread for side in sides for thread in side.threads]
        for thread in threads:
            thread.start()
        try:
            while not (done := over(here, there)) and time.monotonic() - began < PATIENCE:
                wrong += audit(here, there, going) + audit(there, here, coming)
                time.sleep(0.1)
        finally:
            for side in sides:
                side.over.set()
            for thread in threads:
                thread.join()
        reconciler = Reconciler(here.bridge, db.Database(here.engine), Caller(Address(their_door)), 0.0)
        result = reconciler.day(clock.today())

    assert [error for side in sides for error in side.failed] == []
    assert wrong == [] and done
    assert set(states(here)) == set(states(there)) == {*going, *coming}
    ends = Counter((states(here)[one], states(there)[one]) for one in going)
    ends += Counter((states(there)[one], states(here)[one]) for one in coming)
    assert {*ends} <= {("moved", "taken"), ("kept", "refused"), ("kept", "back")} and len(ends) == 3
    assert (result.transfers, result.differences) == (2 * EACH, [])
    for end, other in ((here, there), (there, here)):
        assert end.rows("why", "quarantine") == []
        for receipt, sha256 in end.rows("receipt, sha256", "sent"):
            body, _ = envelope.verified(receipt, envelope.RECEIPT, end.bridge.keys.ring())
            assert json.loads(body)["sha256"] == sha256
        assert len(end.rows("seq", "sent")) == len(other.rows("seq"))
    assert all({*FAULTS} <= {*network.met} for network in networks)


def over(here: End, there: End) -> bool:
    """Return whether nothing is open on either side, and nothing waits to be sent."""
    for end in (here, there):
        found = states(end)
        if len(found) < 2 * EACH or {*found.values()} & {*OPEN}:
            return False
        if any(row[0] == "waiting" for row in end.rows("state", "sent")):
            return False
    return True
