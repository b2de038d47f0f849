"""What goes over the network to the peer: messages with their receipts, and the copy of its directory."""

import http.client
import json
import random
import threading
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.peers.gd import envelope, jose, manifest, moments, store
from tests.peers.gd.desk import Desk
from tests.peers.gd.manifest import Line
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
TRIES = 20
DAY = 86_400
COMPARED_DAYS = 7
PATIENT_WITH_DIFFERENCES = DAY / 2  # seconds of GD: what differs is often only on its way


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
            if self.desk.faults.paused or self.outage() > 0:
                stop.wait(0.1 if self.desk.faults.paused else min(self.outage(), 1.0))
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

    # ---- comparing -------------------------------------------------------------------------------

    def compare(self, day: str) -> list[tuple[str, Line | None, Line | None]]:
        """Return the transfers of a day that both sides do not have alike: subject, own line, their line."""
        theirs = self.manifest(day)["buckets"]
        with self.file.transaction() as tx:
            own = [manifest.line(row) for row in store.transfers_of(tx, day)]
        found = []
        for bucket in sorted(manifest.differing(own, theirs)):
            rows = [{name: row[name] for name in Line._fields} for row in self.manifest(day, bucket)["lines"]]
            there = {row["subject"]: Line(**row) for row in rows}
            here = {line.subject: line for line in own if manifest.bucket_of(line.subject) == bucket}
            both = ((name, here.get(name), there.get(name)) for name in sorted(here.keys() | there.keys()))
            found += [
                (name, own_line, their_line) for name, own_line, their_line in both if own_line != their_line
            ]
        return found

    def manifest(self, day: str, bucket: str = "") -> dict:
        """Return the peer's manifest of a day, or one bucket of it."""
        path = f"{manifest.PATH}/{day}" + (f"/{bucket}" if bucket else "")
        answer = self.ask("GET", path, None, envelope.token(self.desk.keys, self.desk.system, path))
        if answer.status != 200:
            raise Away(f"{answer.status}", answer.retry_after)
        try:
            jws = json.loads(answer.body)["manifest"]
        except (ValueError, KeyError, TypeError) as error:
            raise Away("no manifest") from error
        content = envelope.read_manifest(self.desk.keys, self.desk.system, str(jws), day, bucket)
        if content is None:
            raise Away("no manifest of the peer's")
        return content

    def mend(self, tx, differences: list[tuple[str, Line | None, Line | None]]) -> None:
        """Send again what the peer has not heard; show a person what has differed for a while."""
        now, rows = moments.now(), []
        for subject, own, theirs in differences:
            side = f"{self.desk.side_of(subject)}_seq"
            heard = getattr(theirs, side) if theirs else 0
            if own and heard < getattr(own, side):
                store.say_again(tx, subject, heard, now)
            rows.append((subject, str(own), str(theirs)))
        for subject, _, _, since in store.keep_differences(tx, rows, now):
            if since <= now - self.desk.faults.real(PATIENT_WITH_DIFFERENCES):
                store.show(tx, now, subject, "differs from what the peer has")

    def compare_all(self) -> None:
        """Compare the latest days, mend what can be mended, and show the rest."""
        with self.file.transaction() as tx:
            days = store.days(tx)[:COMPARED_DAYS]
        found = [one for day in days for one in self.compare(day)]
        with self.file.transaction() as tx:
            self.mend(tx, found)

    # ---- the directory ---------------------------------------------------------------------------

    def daily(self, stop: threading.Event, known: threading.Event) -> None:
        """Copy the peer's directory and compare, at the start and once a day; without one names are typed."""
        while not stop.is_set():
            self.patiently(stop, self.copy_directory)
            known.set()
            self.patiently(stop, self.compare_all)
            stop.wait(self.desk.faults.real(DAY))

    def patiently(self, stop: threading.Event, work: Callable[[], None]) -> None:
        """Do what needs the peer, again and again while it is away; after so many tries it is left."""
        for nth in range(TRIES):
            try:
                work()
                return
            except Away as away:
                if stop.wait(max(away.seconds, self.backoff(nth))):
                    return

    def copy_directory(self) -> None:
        """Copy the peer's directory; read anew where it changed while it was paged."""
        rows = self.directory_once()
        with self.file.transaction() as tx:
            store.keep_peer_orgs(tx, rows)

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
