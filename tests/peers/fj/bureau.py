"""What happens in one transaction: a message is said, or heard, applied in its turn and receipted."""

from tests.peers.fj import clock, jose, letters, people, rules
from tests.peers.fj.ledger import Book
from tests.peers.fj.letters import Desk, Letter
from tests.peers.fj.mess import LATE, Mess

MOST_HELD = 20
DELAY = (60, 1800)  # seconds of FJ until somebody looks at what has come


class NotNow(Exception):
    """The table does not allow it."""


class Bureau:
    """The transfers of FJ, by the tables of the page."""

    def __init__(self, desk: Desk, mess: Mess) -> None:
        self.desk, self.mess, self.system = desk, mess, desk.system

    def transfer(self, book: Book, subject: str):
        """Return a transfer as it stands now."""
        return book.transfer(subject, self.system, clock.now())

    def later(self, subject: str, about: str, delay: tuple[float, float] = DELAY) -> float:
        """Return the instant when people get to it."""
        return clock.now() + self.mess.real(self.mess.dice(subject, about).uniform(*delay))

    # ---- speaking ----------------------------------------------------------------------------------

    def act(self, book: Book, transfer, name: str, data: dict | None = None, /, **values):
        """Do what the table allows, say what belongs to it, write state and `values`; return the transfer."""
        step = rules.act(transfer, name)
        if step is None:
            raise NotNow(name)
        if step.says:
            self.say(book, transfer["subject"], step.says, data or {})
        return self.enter(book, transfer, step.state, **values)

    def ask(self, book: Book, transfer, about: str, **values) -> None:
        """Ask the peer where a transfer stands, or what has become of its record."""
        data = {"about": about, "heard_seq": transfer["heard_seq"]}
        counted = {"asks": transfer["asks"] + 1, "asked_at": clock.now()}
        self.act(book, transfer, "ask_record" if about == "record" else "ask", data, **counted, **values)

    def say(self, book: Book, subject: str, word: str, data: dict) -> None:
        """Sign a message with the next number of its transfer, and keep it to be sent."""
        kind = {"query_record": "query", "never_seen": "status"}.get(word, word)
        before, now = self.transfer(book, subject), clock.now()
        seq = before["said_seq"] + 1
        jws = self.desk.message(subject, seq, before["said_head"], kind, data)
        message_id, late = f"{self.system}/{subject}/{seq}", 0.0
        if self.mess.strikes("reorder", message_id):
            late = self.mess.real(self.mess.dice("late", message_id).uniform(0, LATE))
        book.say(
            id=message_id,
            subject=subject,
            seq=seq,
            type=kind,
            jws=jws,
            sha256=jose.digest(jws),
            at=now,
            next_at=now + late,
            expires=None if kind in letters.LASTING else now + letters.LIFETIME,
        )
        if kind == "offer":
            book.change(subject, day=clock.day(clock.parse(jose.payload(jws)["time"])))

    def enter(self, book: Book, transfer, state: str, /, **values):
        """Write a transfer's state, and where its member is with it."""
        subject, number, before, now = transfer["subject"], transfer["number"], transfer["state"], clock.now()
        if state != before:
            values |= {"state": state, "since": now}
            if state not in rules.OPEN:
                values["act_at"] = None
        moves = {("offered", "handover"): "active on_the_way", ("handover", "kept"): "on_the_way active"}
        moves[("handover", "moved")] = "on_the_way gone"
        if transfer["side"] == "sender" and (before, state) in moves:
            moved = book.move(number, *moves[before, state].split(), subject, now)
            if not moved and state == "handover":
                raise NotNow("nobody is handed over who is not an active member here")
        if values:
            book.change(subject, **values)
        return self.transfer(book, subject)

    # ---- hearing -----------------------------------------------------------------------------------

    def take(self, book: Book, letter: Letter) -> str:
        """Keep what came, apply what has its turn; return the receipt, the first one if it came before."""
        said, code = letter.envelope, letter.code
        if said is None or code in ("malformed", "not_authentic", "clock"):
            return self.desk.receipt(letter, "refused", code, 0)
        subject, seq = said["subject"], said["seq"]
        expected = self.transfer(book, subject)["heard_seq"] + 1
        old = book.heard(subject, seq)
        if old is not None and old["sha256"] == letter.sha256:
            return old["receipt"]
        if old is not None:
            code = "id_reused"
        elif not code and seq > expected and book.held(subject) >= MOST_HELD:
            code = "too_many_held"
        if code and code not in letters.COUNTS:
            return self.desk.receipt(letter, "refused", code, expected)
        row = {"id": said["id"], "subject": subject, "seq": seq, "type": said["type"], "at": clock.now()}
        row |= {"jws": letter.jws, "sha256": letter.sha256, "state": "refused" if code else "held"}
        book.insert("heard", **row)
        self._go_on(book, subject)
        status = "refused" if code else "stored" if seq == expected else "held"
        receipt = self.desk.receipt(letter, status, code, self.transfer(book, subject)["heard_seq"] + 1)
        book.mark_heard(said["id"], receipt=receipt)
        return receipt

    def _go_on(self, book: Book, subject: str) -> None:
        """Apply, in their order, all messages whose turn has come."""
        while True:
            transfer = self.transfer(book, subject)
            row = book.heard(subject, transfer["heard_seq"] + 1)
            if row is None:
                return
            book.change(subject, heard_seq=row["seq"], heard_head=row["sha256"])
            if row["state"] == "held":
                state = self._apply(book, self.transfer(book, subject), row, transfer["heard_head"])
                book.mark_heard(row["id"], state=state)

    def _apply(self, book: Book, transfer, row, before: str) -> str:
        """Do what one message says; return what has become of it."""
        said = jose.payload(row["jws"])
        data, subject = said["data"], row["subject"]
        word = rules.word(row["type"], data)
        step = rules.hear(transfer, word)
        if said["prev"] != before or step is None:
            why = (
                "prev is not the message before"
                if said["prev"] != before
                else f"{word} in {transfer['state']}"
            )
            book.show(clock.now(), subject, f"{row['id']}: {why}")
            return "shown"
        if row["type"] == "query":
            book.say_again(subject, data["heard_seq"], clock.now())
        if not step.state:
            return "passed_over"
        learnt = self._learn(transfer, word, said)
        after = self.enter(book, transfer, step.state, **learnt)
        if step.says:
            self.say(book, subject, step.says, self._answer(after, step.says))
        return "applied"

    def _learn(self, transfer, word: str, said: dict) -> dict:
        """Return the columns that a message fills, and when somebody looks at it."""
        subject, data = transfer["subject"], said["data"]
        if word == "offer":
            return self._learn_offer(subject, said)
        if word in ("accepted", "never_seen"):
            return {f"heard_{word}": 1, "act_at": self.later(subject, word)}
        if word == "record" and transfer["state"] == "awaited":
            return {"heard_record": 1, "record": data["record"], "act_at": self.later(subject, word)}
        return {"ended_with": data["reason"]} if word in ("called_off", "refused", "sent_back") else {}

    def _learn_offer(self, subject: str, said: dict) -> dict:
        data = said["data"]
        try:
            person = jose.unseal(self.desk.keys.own("enc"), "person+jwe", data["person"])
        except jose.Unreadable:
            person = {}
        number = people.tidy(person.get("number", ""))
        return {
            "day": clock.day(clock.parse(said["time"])),
            "number": number if people.is_number(number) else "",
            "name": str(person.get("name", ""))[:200],
            "person": data["person"],
            "from_name": data["from_org"]["name"],
            "to_code": data["to_org"].get("code", ""),
            "to_name": data["to_org"]["name"],
            "answer_by": clock.parse(data["answer_by"]),
            "act_at": self.later(subject, "offer"),
        }

    def _answer(self, transfer, word: str) -> dict:
        if word == "sent_back":
            return {"reason": "too_late", "text": "档案到达时本业务已办结"}
        state = word if word == "never_seen" else transfer["state"]
        return {"state": state, "since": clock.text(transfer["since"]), "heard_seq": transfer["heard_seq"]}
