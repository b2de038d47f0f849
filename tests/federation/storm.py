"""People and couriers of one end, and a network that does everything wrong; also as a process of its own.

`python -m tests.federation.storm <settings as JSON>` runs an end until somebody kills it.
"""

import json
import random
import sys
import threading
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from werkzeug.wrappers import Request, Response

from services.federation import asking, door, keys
from services.federation.calling import Address
from services.federation.courier import Courier
from services.federation.door import Allowance
from services.federation.handovers import Deed, perform
from services.federation.protocol import Act, Word
from shared import clock, db
from tests.federation.factories import End, example, served

OPEN = ("offered", "handover", "deciding", "awaited")
FAULTS = ("lost", "hang up", "twice", "swapped", "cut", "flipped", "some", "busy")


class Fast(random.Random):
    """Dice for pauses that are a hundredth as long, and never grow beyond a tenth of a second."""

    def uniform(self, a: float, b: float) -> float:
        return super().uniform(a, min(b, 10)) / 100


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
            return Act.CALL_OFF if chance < 0.004 else Act.HAND_OVER if Word.ACCEPTED in row.heard else None
        if row.state == "awaited" and Word.RECORD in row.heard:
            return Act.SEND_BACK if chance < 0.2 else Act.TAKE
        return Act.GIVE_UP if row.state == "awaited" and chance < 0.004 else None


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


def main() -> None:
    settings = json.loads(sys.argv[1])
    engine = db.connect(settings["database"])
    end = End(engine, settings["me"], settings["peer"], keys.Folder(Path(settings["keys"])))
    with served(Network(end, settings["seed"]), port=settings["port"]):
        side = Side(end, settings["url"], settings["seed"])
        for thread in side.threads:
            thread.start()
        print("listens", flush=True)
        for thread in side.threads:
            thread.join()
        raise SystemExit(str(side.failed))


if __name__ == "__main__":
    main()
