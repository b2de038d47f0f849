"""What goes over the network to the peer, tidily or not: messages, questions for directory and manifests."""

import json
import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from tests.peers.fj import clock, jose, keys, letters, manifest
from tests.peers.fj.bureau import Bureau
from tests.peers.fj.ledger import Book, Ledger
from tests.peers.fj.mess import DAY, SPOILS, cut, flipped

MESSAGES = "/bridge/v1/messages"
ORGS = "/bridge/v1/orgs"
MOST = 100  # messages
LARGEST = 512 * 1024  # bytes of a request
FIRST_WAIT, LAST_WAIT = 1, 3600  # seconds of FJ
SHORTEST = 0.005  # true seconds
PATIENCE = 30.0  # true seconds
PAGE = 100
TRIES = 20
COMPARED_DAYS = 7
REPEATS = 5  # messages of before in one request
ROTATES = 20  # messages that one key signs
BRINGS = 120  # seconds of FJ until a person has brought a new key
LATEST_KEY = 0.2  # true seconds that it takes at least, however fast FJ runs


class Away(Exception):
    """There was no answer that counts; the seconds that the peer asked to be left alone, or 0."""

    def __init__(self, why: str, seconds: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.seconds = why, seconds


class Sent(NamedTuple):
    """One text of a request: which message it is, and what is wrong with it."""

    row: object
    text: str
    fault: str = ""


class Post:
    """Sends what waits until the peer has it, however untidy the house is."""

    def __init__(self, ledger: Ledger, bureau: Bureau, url: str, deliver: Path | None) -> None:
        self.ledger, self.bureau, self.mess, self.desk = ledger, bureau, bureau.mess, bureau.desk
        self.url, self.deliver = url.rstrip("/"), deliver
        self.pool = urllib3.PoolManager(retries=False, num_pools=1, maxsize=2)
        self.foreign = keys.made("Ed25519", clock.now() - DAY, clock.now() + DAY)
        self.ahead = 0.0  # seconds by which the peer's clock is ahead of this one
        self.requests = 0
        self.brought_at: dict[str, tuple[dict, float]] = {}
        self.paused: Callable[[], bool] = lambda: False

    # ---- messages ----------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop; while the peer is away, one message is tried and not all."""
        failures = 0
        while not stop.is_set():
            self.mind_keys()
            some = [] if self.paused() else self.bundle(1 if failures else MOST)
            if not some:
                stop.wait(min(0.5, max(0.01, self.mess.real(1))))
                continue
            try:
                receipts = self.post(some)
            except Away as away:
                with self.ledger.transaction() as book:
                    for one in some:
                        self.note_away(book, one, away.why)
                stop.wait(max(away.seconds, self.backoff(failures)))
                failures += 1
                continue
            failures = 0
            with self.ledger.transaction() as book:
                for one, receipt in zip(some, receipts, strict=True):
                    self.note(book, one, receipt)

    def note_away(self, book: Book, one: Sent, why: str) -> None:
        """Keep what has become of one text of a request that was not answered as it should be."""
        fault = one.fault
        if not fault and why == "401" and "rotate" in self.mess.names:
            fault = "rotate"
        if fault in (*SPOILS, "rotate"):
            book.mishap(clock.now(), fault, one.row["subject"], one.row["seq"], why)
        if one.fault in ("", *SPOILS):
            book.mark_said(one.row["nth"], tries=one.row["tries"] + 1)

    def backoff(self, failures: int) -> float:
        """Return true seconds: one of FJ's, then twice as long, an hour at most, a random part of it."""
        longest = min(LAST_WAIT, FIRST_WAIT * 2 ** min(failures, 12))
        return max(SHORTEST, self.mess.real(longest) * self.mess.dice("backoff", self.requests).random())

    def bundle(self, limit: int) -> list[Sent]:
        """Return the texts of the next request: what waits, as it leaves, and what is sent again."""
        now = clock.now()
        with self.ledger.transaction() as book:
            for row in book.expire(now):
                book.show(now, row["subject"], f"{row['id']}: expired unsent")
            rows = book.waiting(now, "reorder" not in self.mess.names, limit)
            if limit > 1:
                again = self.again(book, bool(rows))
            else:
                again = []
        if not rows and not again:
            return []
        self.requests += 1
        some = [self.leaves(row) for row in rows] + again
        if limit > 1 and "reorder" in self.mess.names:
            self.mess.dice("shuffle", self.requests).shuffle(some)
        size, fitting = 0, []
        for one in some[:MOST]:
            size += len(one.text) + 200
            if size > LARGEST - 1000:
                break
            fitting.append(one)
        return fitting

    def leaves(self, row) -> Sent:
        """Return a message as it leaves: itself, or what this house has made of it this time."""
        for fault in SPOILS:
            if self.mess.strikes(fault, row["id"], row["tries"]):
                dice = self.mess.dice(fault, "how", row["id"], row["tries"])
                if fault == "flip":
                    return Sent(row, flipped(row["jws"], dice), fault)
                if fault == "truncate":
                    return Sent(row, cut(row["jws"], dice), fault)
                return Sent(row, self.signed_wrongly(row["jws"], fault, dice), fault)
        return Sent(row, row["jws"])

    def signed_wrongly(self, jws: str, fault: str, dice) -> str:
        """Return what a message says, signed with a key that does not count."""
        old = self.desk.keys.expired(clock.now()) if fault == "expired" else None
        if old is not None:
            return jose.sign(old, "message+jws", jose.payload(jws))
        kid = jose.header(jws)["kid"] if dice.random() < 0.5 else ""
        return jose.sign(self.foreign, "message+jws", jose.payload(jws), kid)

    def again(self, book: Book, is_full: bool) -> list[Sent]:
        """Return what is sent again although the peer has it, and doubles of what is sent now."""
        found = []
        if is_full and self.mess.strikes("repeat", self.requests):
            rows = book.all("SELECT * FROM said WHERE state = 'kept' ORDER BY nth DESC LIMIT ?", REPEATS)
            found += [Sent(row, row["jws"], "repeat") for row in rows for _ in range(2)]
        if "yesterday" in self.mess.names:
            found += [Sent(row, row["jws"], "yesterday") for row in self.of_yesterday(book)]
        return found

    def of_yesterday(self, book: Book) -> list:
        """Return what was said on the day before, once a day; days are FJ's, from its first start on."""
        length, first = self.mess.real(DAY), float(book.setting("started_at"))
        today = int((clock.now() - first) // length)
        if int(book.setting("replayed", "0")) >= today:
            return []
        book.keep("replayed", today)
        query = "SELECT * FROM said WHERE state = 'kept' AND at >= ? AND at < ? ORDER BY nth LIMIT ?"
        begins = first + (today - 1) * length
        return book.all(query, begins, begins + length, MOST // 2)

    def post(self, some: Sequence[Sent]) -> list:
        """Return the receipts for messages, as they came."""
        body = json.dumps({"messages": [one.text for one in some]})
        dice = self.mess.dice("body", self.requests)
        if "truncate" in self.mess.names and dice.random() < 0.05:
            body = cut(body, dice)
            row = some[0].row
            try:
                self.ask("POST", MESSAGES, body.encode())
            except Away as away:
                with self.ledger.transaction() as book:
                    book.mishap(clock.now(), "truncate", row["subject"], 0, away.why)
                raise
        receipts = self.ask("POST", MESSAGES, body.encode()).get("receipts")
        if not isinstance(receipts, list) or len(receipts) != len(some):
            raise Away("other receipts than messages")
        return receipts

    def note(self, book: Book, one: Sent, jws) -> None:
        """Keep what a receipt says; one that is not authentic, or for another message, says nothing."""
        row, now = one.row, clock.now()
        said = self.desk.opened_receipt(jws)
        if said is not None and (
            said["sha256"] != jose.digest(one.text) or said["of"] not in ("", row["id"])
        ):
            said = None
        code = "" if said is None else said.get("code") or ""
        answer = "no receipt" if said is None else code or said["status"]
        if one.fault in ("repeat", "yesterday"):
            first = book.one("SELECT receipt FROM said WHERE nth = ?", row["nth"])["receipt"]
            same = "the first receipt" if jws == first else answer
            book.mishap(now, one.fault, row["subject"], row["seq"], same)
            return
        if one.fault:
            book.mishap(now, one.fault, row["subject"], row["seq"], answer)
        elif answer == "held" and "reorder" in self.mess.names:
            book.mishap(now, "reorder", row["subject"], row["seq"], answer)
        elif answer == "not_authentic" and "rotate" in self.mess.names:
            book.mishap(now, "rotate", row["subject"], row["seq"], answer)
        if one.fault or said is None or code in letters.AGAIN:
            book.mark_said(row["nth"], tries=row["tries"] + 1, next_at=now + self.backoff(row["tries"]))
            if code == "gap" and not one.fault:
                book.say_again(row["subject"], said["expected_seq"] - 1, now)
        elif said["status"] in ("stored", "held"):
            book.mark_said(row["nth"], state="kept", receipt=jws)
        else:
            book.mark_said(row["nth"], state="refused", receipt=jws)
            book.show(now, row["subject"], f"{row['id']}: refused by the peer: {code}")

    # ---- keys --------------------------------------------------------------------------------------

    def mind_keys(self) -> None:
        """Change the key after so many messages, and let a person bring the new one a little later."""
        now = clock.now()
        if "rotate" in self.mess.names and self.deliver is not None:
            with self.ledger.transaction() as book:
                said = book.one("SELECT count(*) AS n FROM said")["n"]
                if said >= int(book.setting("rotates_at", str(ROTATES))):
                    book.keep("rotates_at", said + ROTATES)
                    jwk = self.desk.keys.rotate(now)
                    late = self.mess.dice("bring", said).uniform(BRINGS / 2, BRINGS)
                    self.brought_at[jwk["kid"]] = jwk, now + max(LATEST_KEY, self.mess.real(late))
                    book.mishap(now, "rotate", "", 0, "rotated")
        for kid, (jwk, at) in list(self.brought_at.items()):
            if at <= now and self.deliver is not None:
                keys.put(jwk, self.deliver)
                del self.brought_at[kid]

    def bring_all(self) -> None:
        """Bring all keys at the start: the person who had them may have been killed on the way."""
        if self.deliver is not None and "rotate" in self.mess.names:
            for jwk in self.desk.keys.own("sig"):
                keys.put(keys.public(jwk), self.deliver)

    # ---- comparing, the directory ------------------------------------------------------------------

    def daily(self, stop: threading.Event, known: threading.Event) -> None:
        """Copy the peer's directory and compare, at the start and once a day."""
        while not stop.is_set():
            # without an answer nobody leaves: only who says 404 has no directory, and targets are typed
            self.patiently(stop, self.copy_directory, None)
            known.set()
            self.patiently(stop, self.compare_all, TRIES)
            stop.wait(max(0.2, self.mess.real(DAY)))

    def patiently(self, stop: threading.Event, work: Callable[[], None], tries: int | None) -> None:
        """Do what needs the peer, again and again while it is away; after so many tries it is left."""
        for nth in range(tries) if tries else count():
            try:
                if not self.paused():
                    work()
                    return
                raise Away("paused here")
            except Away as away:
                if away.why == "404" or stop.wait(max(away.seconds, self.backoff(nth))):
                    return

    def copy_directory(self) -> None:
        """Copy the peer's directory; one that changes while it is paged is begun anew."""
        rows, after, version = [], "", None
        while True:
            query = urlencode({"after": after, "limit": PAGE} if after else {"limit": PAGE})
            page = self.ask("GET", f"{ORGS}?{query}", token=ORGS)
            try:
                rows += [(str(one["code"]), str(one["name"]), str(one["kind"])) for one in page["orgs"]]
                changed, after = version not in (None, page["version"]), page["next"]
                version = page["version"]
            except (KeyError, TypeError) as error:
                raise Away("no directory") from error
            if changed:
                raise Away("the directory changed")
            if after is None:
                break
        with self.ledger.transaction() as book:
            book.copy_peer_orgs(rows)

    def compare_all(self) -> None:
        """Compare the latest days; send again what the peer has not heard, keep all that differs."""
        with self.ledger.transaction() as book:
            days = [
                row["day"]
                for row in book.all("SELECT DISTINCT day FROM transfers WHERE day <> '' ORDER BY 1")
            ]
        found = [one for day in days[-COMPARED_DAYS:] for one in self.compare(day)]
        now, rows = clock.now(), []
        with self.ledger.transaction() as book:
            for subject, own, theirs in found:
                said = "sender_seq" if subject.startswith(f"{self.desk.system}:") else "receiver_seq"
                heard = getattr(theirs, said) if theirs else 0
                if own and heard < getattr(own, said):
                    book.say_again(subject, heard, now)
                rows.append((subject, str(own), str(theirs)))
            book.keep_differences(rows, now)

    def compare(self, day: str) -> list[tuple[str, manifest.Line | None, manifest.Line | None]]:
        """Return the transfers of a day that both do not have alike."""
        theirs = self.manifest(day)["buckets"]
        with self.ledger.transaction() as book:
            own = manifest.lines(book, day)
        mine = {(one["name"], one["count"], one["digest"]) for one in manifest.summary(own)}
        differing = mine ^ {(one["name"], one["count"], one["digest"]) for one in theirs}
        found = []
        for bucket in sorted({name for name, _, _ in differing}):
            there = {
                row["subject"]: manifest.Line(*(row[name] for name in manifest.Line._fields))
                for row in self.manifest(day, bucket)["lines"]
            }
            here = {one.subject: one for one in own if manifest.bucket_of(one.subject) == bucket}
            both = sorted(here.keys() | there.keys())
            found += [(one, here.get(one), there.get(one)) for one in both if here.get(one) != there.get(one)]
        return found

    def manifest(self, day: str, bucket: str = "") -> dict:
        """Return the peer's manifest of a day, or one bucket of it."""
        path = f"{manifest.PATH}/{day}" + (f"/{bucket}" if bucket else "")
        said = self.desk.opened(self.ask("GET", path, token=path).get("manifest"), "manifest+jws")
        if said is None or (said["day"], said.get("bucket", "")) != (day, bucket):
            raise Away("no manifest of the peer's")
        return said

    # ---- HTTP --------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: bytes | None = None, token: str = "") -> dict:
        """Return the object that the peer answers with, or raise Away.

        A token has to be of the minute by the peer's clock, and this one is not: so it is read from answers.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            at = clock.now() + self.ahead
            headers["Authorization"] = f"Bearer {self.desk.signed('token+jws', at, path=token)}"
        try:
            answer = self.pool.request(method, self.url + path, body=body, headers=headers, timeout=PATIENCE)
        except (HTTPError, OSError) as error:
            raise Away(type(error).__name__) from error
        if date := answer.headers.get("Date"):
            self.ahead = clock.http_date(date) - clock.now()
        if answer.status != 200:
            wait = answer.headers.get("Retry-After", "")
            raise Away(str(answer.status), float(wait) if wait.isdecimal() else 0.0)
        try:
            found = json.loads(answer.data)
        except ValueError as error:
            raise Away("no JSON") from error
        if not isinstance(found, dict):
            raise Away("no object")
        return found
