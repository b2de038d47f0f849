"""What goes over the network to the peer: messages with their receipts, and the copy of its directory."""

import http.client
import json
import random
import threading
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.peers.gd import envelope, jose, moments, store
from tests.peers.gd.desk import Desk
from tests.peers.gd.store import Store

MESSAGES = "/bridge/v1/messages"
ORGS = "/bridge/v1/orgs"
MOST = 100  # messages
LARGEST = 512 * 1024  # bytes of a request
FIRST_WAIT, LAST_WAIT = 1, 3600  # seconds of GD
PATIENCE = 60  # seconds of GD until an answer is given up
SHORTEST = 0.005  # true seconds: at a high speed the waits are not nothing
LEAST_PATIENCE = 5.0  # true seconds
DIRECTORY_PAGE = 20
DIRECTORY_TRIES = 20
DAY = 86_400


class Away(Exception):
    """There was no answer that counts; the seconds that the peer asked to be left alone, or 0."""

    def __init__(self, why: str, seconds: float = 0.0):
        super().__init__(why)
        self.seconds = seconds


class Answer(NamedTuple):
    """What came back over HTTP."""

    status: int
    retry_after: float
    body: bytes


class Courier:
    """Sends what waits, for ever, and asks for the peer's directory once a day."""

    def __init__(self, file: Store, desk: Desk, url: str, started_at: float):
        self.file = file
        self.desk = desk
        self.url = urlsplit(url)
        self.started_at = started_at
        self.draw = random.Random(f"{desk.faults.seed}/{desk.system}/courier")

    # ---- messages --------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop. While the peer is away, one message is tried and not all."""
        failures = 0
        while not stop.is_set():
            if self.outage() > 0:
                stop.wait(min(self.outage(), 1.0))
                continue
            rows = self.batch(1 if failures else MOST)
            if not rows:
                stop.wait(min(0.5, max(0.02, self.desk.faults.real(1))))
                continue
            try:
                receipts = self.post([row["jws"] for row in rows])
            except Away as away:
                stop.wait(max(away.seconds, self.backoff(failures)))
                failures += 1
                continue
            failures = 0
            with self.file.transaction() as tx:
                for row, receipt in zip(rows, receipts, strict=True):
                    self.note(tx, row, receipt)

    def outage(self) -> float:
        """Return how long this system is still away itself."""
        return self.desk.faults.outage_left(moments.now() - self.started_at)

    def backoff(self, failures: int) -> float:
        """Return true seconds: one of GD's, then twice as long, an hour at most, a random part of it."""
        longest = min(LAST_WAIT, FIRST_WAIT * 2 ** min(failures, 12))
        return max(SHORTEST, self.desk.faults.real(longest) * self.draw.uniform(0.5, 1))

    def batch(self, limit: int) -> list:
        """Return the messages of the next request, in their order unless that fault strikes."""
        with self.file.transaction() as tx:
            now = moments.now()
            for row in store.expire(tx, now):
                store.show(tx, now, row["subject"], f"{row['id']}: expired unsent")
            rows = store.waiting(tx, now, limit)
        size, fitting = 0, []
        for row in rows:
            size += len(row["jws"]) + 4
            if size > LARGEST - 100:
                break
            fitting.append(row)
        if len(fitting) > 1 and self.desk.faults.strikes("early", 0.3):
            fitting.sort(key=lambda row: -row["seq"])
            fitting = fitting[: (len(fitting) + 1) // 2]
        return fitting

    def post(self, messages: list[str]) -> list[str]:
        """Return the receipts for messages, as they came."""
        answer = self.ask("POST", MESSAGES, jose.dumps({"messages": messages}))
        if answer.status != 200:
            raise Away(f"{answer.status}", answer.retry_after)
        try:
            receipts = json.loads(answer.body)["receipts"]
        except (ValueError, KeyError, TypeError) as error:
            raise Away("no receipts") from error
        if not isinstance(receipts, list) or len(receipts) != len(messages):
            raise Away("other receipts than messages")
        return [receipt if isinstance(receipt, str) else "" for receipt in receipts]

    def note(self, tx, row, jws: str) -> None:
        """Keep what a receipt says; one that is not authentic, or for another message, says nothing."""
        receipt = envelope.read_receipt(self.desk.keys, self.desk.system, jws)
        code = receipt.get("code") or "" if receipt else ""
        again = moments.now() + self.backoff(row["tries"])
        if receipt is None or receipt["sha256"] != row["sha256"] or receipt["of"] not in ("", row["id"]):
            store.try_again(tx, row["id"], again)
        elif receipt["status"] in ("stored", "held"):
            store.receipted(tx, row["id"], "kept", jws)
        elif code in envelope.AGAIN:
            store.try_again(tx, row["id"], again)
            if code == "gap":
                store.say_again(tx, row["subject"], receipt["expected_seq"] - 1, moments.now())
        else:
            store.receipted(tx, row["id"], "refused", jws)
            store.show(tx, moments.now(), row["subject"], f"{row['id']}: refused by the peer: {code}")

    # ---- the directory ---------------------------------------------------------------------------

    def copy_directory(self, stop: threading.Event, known: threading.Event) -> None:
        """Copy the peer's directory at the start and once a day; a peer without one gets typed names."""
        while not stop.is_set():
            rows = self.directory(stop)
            if rows:
                with self.file.transaction() as tx:
                    store.keep_peer_orgs(tx, rows)
            known.set()
            stop.wait(self.desk.faults.real(DAY))

    def directory(self, stop: threading.Event) -> list[tuple]:
        """Return code and name of all; read anew where the directory changed while it was paged."""
        for nth in range(DIRECTORY_TRIES):
            try:
                return self.directory_once()
            except Away as away:
                if stop.wait(max(away.seconds, self.backoff(nth))):
                    break
        return []

    def directory_once(self) -> list[tuple]:
        """Return code and name of all, by one walk over the pages."""
        rows, after, version = [], "", None
        while True:
            query = urlencode({"after": after, "limit": DIRECTORY_PAGE})
            answer = self.ask(
                "GET", f"{ORGS}?{query}", None, envelope.token(self.desk.keys, self.desk.system, ORGS)
            )
            if answer.status != 200:
                raise Away(f"{answer.status}", answer.retry_after)
            try:
                page = json.loads(answer.body)
                rows += [(str(one["code"]), str(one["name"])) for one in page["orgs"]]
                after = page["next"]
                changed = version not in (None, page["version"])
            except (ValueError, KeyError, TypeError) as error:
                raise Away("no directory") from error
            if changed:
                raise Away("the directory changed")
            version = page["version"]
            if after is None:
                return rows

    # ---- HTTP ------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: bytes | None, token: str = "") -> Answer:
        """Return the peer's answer, or raise Away."""
        patience = max(LEAST_PATIENCE, self.desk.faults.real(PATIENCE))
        secure = self.url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = kind(self.url.hostname, self.url.port, timeout=patience)
        try:
            connection.request(method, self.url.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            waits = response.headers.get("Retry-After") or ""
            return Answer(response.status, float(waits) if waits.isdecimal() else 0.0, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise Away(type(error).__name__) from error
        finally:
            connection.close()
