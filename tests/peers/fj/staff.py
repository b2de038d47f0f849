"""FJ's people: members who leave, and administrators who decide after a while; whoever plays them, too."""

import json
import threading
import traceback
from datetime import date
from typing import Any

from tests.peers.control import Cannot
from tests.peers.fj import clock, jose, letters, people, rules
from tests.peers.fj.bureau import Bureau
from tests.peers.fj.ledger import Book, Ledger
from tests.peers.fj.mess import DAY

HOUR = 3600  # seconds of FJ, as all below
ANSWER_WITHIN = 10 * DAY
RECORD_WITHIN = 3 * DAY
SILENCE = DAY
DOUBT = HOUR
GAP = 60
ASK_AGAIN = 600
TURNS = 50  # transfers in one transaction
DOUBLINGS = 6
CALLS_OFF, REFUSES, GIVES_UP, SENDS_BACK, TYPED, ADDS = 0.05, 0.15, 0.04, 0.08, 0.1, 0.4
MOST_STAYS = 100
PAPERS = ("ethnic_group", "development_number", "phone", "contact", "emergency_contact", "party", "stays")
FIRST_PHANTOM = 900_000
WRONG = 8  # of so many members one has a number with a wrong checksum, if that fault is on
CAN = {
    ("sender", "offered"): ("withdraw",),
    ("receiver", "deciding"): ("accept", "refuse"),
}


def furnish(book: Book, bureau: Bureau, members: int) -> None:
    """Fill an empty file: the tree, the members."""
    if book.setting("system"):
        return
    mess, now = bureau.mess, clock.now()
    for code, parent, kind, name, short, phone in people.organisations():
        book.insert("orgs", code=code, parent=parent, kind=kind, name=name, short_name=short, phone=phone)
    branches = book.all("SELECT code FROM orgs WHERE kind = ? ORDER BY nth", people.BRANCH)
    for nth in range(members):
        wrong = "checksum" in mess.names and nth % WRONG == WRONG - 1
        person = people.member(mess.seed, bureau.system, nth, wrong)
        book.settle(person, mess.dice("branch", nth).choice(branches)["code"], "", now)
    for name, value in {"system": bureau.system, "peer": bureau.desk.peer, "started_at": now}.items():
        book.keep(name, value)


class Staff:
    """Looks every moment at what is due, and does it; and does at once what the desk asks for."""

    def __init__(
        self, ledger: Ledger, bureau: Bureau, transfers: int, every: float, typed: str, by_hand: bool
    ) -> None:
        self.ledger, self.bureau, self.mess, self.system = ledger, bureau, bureau.mess, bureau.system
        self.transfers, self.every, self.typed, self.by_hand = transfers, every, typed, by_hand
        self.paused = False
        self.targets_known = threading.Event()
        self.pause_seconds = min(1.0, max(0.01, self.mess.real(GAP) / 2))

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        while not stop.wait(self.pause_seconds):
            if not self.paused:
                with self.ledger.transaction() as book:
                    self.turn(book)

    def turn(self, book: Book) -> None:
        """Do once all that is due."""
        now = clock.now()
        for transfer in book.all(
            "SELECT * FROM transfers WHERE act_at <= ? ORDER BY act_at LIMIT ?", now, TURNS
        ):
            self.attend(book, transfer)
        for transfer in book.gaps(now - self.mess.real(GAP)):
            if rules.act(transfer, "ask"):
                self.ask(book, transfer, "transfer")
        leaves = self.targets_known.is_set() and not self.by_hand
        if leaves and float(book.setting("next_start", "0")) <= now:
            book.keep("next_start", now + self.mess.real(self.every))
            self.start(book)

    def attend(self, book: Book, transfer) -> None:
        """Do what is due at one transfer; what cannot be done is put off and keeps no other waiting."""
        subject = transfer["subject"]
        try:
            with book.undone_if_it_fails():
                book.change(subject, act_at=None, turns=transfer["turns"] + 1)
                DUE[transfer["side"], transfer["state"]](self, book, transfer)
        except Exception:
            traceback.print_exc()
            book.change(subject, act_at=self.wait(DAY))

    def wait(self, seconds: float, doublings: int = 0) -> float:
        """Return the instant after a wait of FJ's, doubled so often."""
        return clock.now() + self.mess.real(seconds * 2 ** min(doublings, DOUBLINGS))

    def ask(self, book: Book, transfer, about: str) -> None:
        """Ask the peer, ever more rarely, unless it was asked lately or a question waits still."""
        lately = self.mess.real(ASK_AGAIN * 2 ** min(transfer["asks"], DOUBLINGS))
        if transfer["asked_at"] + lately <= clock.now() and not book.asks(transfer["subject"]):
            self.bureau.ask(book, transfer, about)

    # ---- members who leave -------------------------------------------------------------------------

    def start(self, book: Book) -> None:
        """Let one member leave; whom, and what is wrong with it, by the seed."""
        nth = self.next_number(book)
        if nth > self.transfers:
            return
        dice = self.mess.dice("start", nth)
        if self.mess.strikes("phantom", nth):
            self.invent(book, nth)
        number, fault = self.whom(book, nth)
        if number is None:
            return
        code, cause = dice.choice(list(people.CAUSES.items()))
        subject = self.offer_one(book, number, self.target(book, dice), code, cause)
        if dice.random() < CALLS_OFF:
            book.change(subject, act_at=self.bureau.later(subject, "regret"), turns=-1)
        if fault:
            book.mishap(clock.now(), fault, subject, 1, "offered")

    def next_number(self, book: Book) -> int:
        row = book.one("SELECT count(*) + 1 AS n FROM transfers WHERE side = 'sender' AND state <> 'none'")
        return row["n"] if row else 1

    def whom(self, book: Book, nth: int) -> tuple[str | None, str]:
        """Return who leaves, and the fault in that; None for nobody."""
        dice = self.mess.dice("whom", nth)
        gone = book.all(
            "SELECT number FROM members WHERE state = 'gone' AND number NOT IN (SELECT number FROM transfers"
            " WHERE state IN ('offered', 'handover', 'deciding', 'awaited')) ORDER BY number"
        )
        offered = book.all(
            "SELECT number FROM transfers WHERE side = 'sender' AND state = 'offered' ORDER BY number"
        )
        free = [row["number"] for row in book.may_leave()]
        some = {
            "active": [row["number"] for row in gone],
            "twice": [row["number"] for row in offered],
            "checksum": [number for number in free if not people.is_number(number)],
        }
        for fault, numbers in some.items():
            if numbers and self.mess.strikes(fault, nth):
                return dice.choice(numbers), fault
        good = [number for number in free if people.is_number(number)]
        return (dice.choice(good), "") if good else (None, "")

    def invent(self, book: Book, nth: int) -> None:
        """Say that somebody was integrated whom nobody has ever offered; nobody becomes a member by it."""
        subject = f"{self.bureau.desk.peer}:{FIRST_PHANTOM + nth}"
        if self.bureau.transfer(book, subject)["said_seq"]:
            return
        branch = _organisation(book.all("SELECT * FROM orgs WHERE kind = ? LIMIT 1", people.BRANCH)[0])
        self.bureau.say(book, subject, "integrated", {"branch": branch, "at": clock.text(clock.now())})
        book.mishap(clock.now(), "phantom", subject, 1, "said")

    def target(self, book: Book, dice) -> dict:
        """Return the organisation a member goes to: from the peer's directory, or typed."""
        known = book.all(
            "SELECT * FROM peer_orgs WHERE kind <> 'leading_body' AND kind NOT LIKE '%级团委' ORDER BY code"
        )
        if not known:
            return {"name": self.typed}
        row = dice.choice(known)
        return {"name": row["name"]} if dice.random() < TYPED else {"code": row["code"], "name": row["name"]}

    def offer_one(self, book: Book, number: str, target: dict, code: str, cause: str) -> str:
        """Offer a member; return the subject. Nobody asks here whether it may be."""
        subject = f"{self.system}:m-{self.next_number(book):05}"
        member = book.member(number)
        home, answer_by = book.org(member["org"]), self.wait(ANSWER_WITHIN)
        person = {"subject": subject, "number": number, "name": member["name"]}
        if member["joined_on"]:
            person["joined_on"] = member["joined_on"]
        data = {
            "person": jose.seal(self.bureau.desk.keys.sealing(), "person+jwe", person),
            "from_org": _organisation(home),
            "to_org": target,
            "reason": code,
            "reason_text": cause,
            "started_at": clock.text(clock.now()),
            "answer_by": clock.text(answer_by),
        }
        columns = {"number": number, "name": member["name"], "from_name": home["name"], "org": home["code"]}
        columns |= {"to_code": target.get("code", ""), "to_name": target["name"], "answer_by": answer_by}
        transfer = self.bureau.transfer(book, subject)
        self.bureau.act(book, transfer, "offer", data, **columns, act_at=self.wait(SILENCE))
        return subject

    def offered(self, book: Book, transfer) -> None:
        """Hand over what was accepted; otherwise wait, ask, and at last call it off."""
        if transfer["turns"] < 0:
            self.call_off(book, transfer, "withdrawn")
        elif transfer["heard_accepted"]:
            self.hand_over(book, transfer)
        elif transfer["answer_by"] <= clock.now():
            self.call_off(book, transfer, "overdue")
        else:
            again = min(self.wait(SILENCE, transfer["asks"]), transfer["answer_by"])
            self.ask(book, transfer, "transfer")
            book.change(transfer["subject"], act_at=again)

    def call_off(self, book: Book, transfer, reason: str) -> None:
        """End a transfer before the record is handed over."""
        self.bureau.act(book, transfer, "call_off", {"reason": reason}, ended_with=reason)

    def hand_over(self, book: Book, transfer) -> None:
        """Send the record, of an active member; whoever was offered wrongly is kept where they are."""
        member = book.member(transfer["number"])
        if member["state"] != "active":
            self.call_off(book, transfer, "wrong_data")
            return
        record = self.record(book, member, transfer["subject"])
        sealed = {"record": jose.seal(self.bureau.desk.keys.sealing(), "record+jwe", record)}
        self.bureau.act(book, transfer, "hand_over", sealed, act_at=self.wait(DOUBT))

    def record(self, book: Book, member, subject: str) -> dict:
        """Return a member's record, with the branches of before."""
        came = book.one(
            "SELECT min(at) AS at FROM stays WHERE number = :number AND state = 'active' AND nth >"
            " coalesce((SELECT max(nth) FROM stays WHERE number = :number AND state = 'gone'), 0)",
            {"number": member["number"]},
        )
        here = {"branch": book.org(member["org"])["name"], "since": clock.day(came["at"])}
        papers = json.loads(member["papers"]) or {
            "ethnic_group": "畲族" if member["name"][0] in "蓝雷钟" else "汉族"
        }
        before = papers.get("stays", [])
        if before and before[-1].get("until") is None:
            before[-1]["until"] = here["since"]
        record = papers | {"subject": subject, "number": member["number"], "name": member["name"]}
        record |= {"joined_on": member["joined_on"]} if member["joined_on"] else {}
        return record | {"stays": [*before, here][-MOST_STAYS:]}

    def handed_over(self, book: Book, transfer) -> None:
        """Ask after a record that is not answered; keep the member only after `never_seen`."""
        if transfer["heard_never_seen"]:
            self.bureau.act(book, transfer, "release", ended_with="never_seen")
        else:
            self.ask(book, transfer, "record")
            book.change(transfer["subject"], act_at=self.wait(DOUBT, transfer["asks"]))

    # ---- members who come --------------------------------------------------------------------------

    def deciding(self, book: Book, transfer) -> None:
        """Say at whose desk it lies, perhaps twice, then accept or refuse."""
        subject = transfer["subject"]
        target = self.target_here(book, transfer)
        ending = self.objection(book, transfer, target)
        dice = self.mess.dice("decide", subject)
        if ending is None and not self.by_hand and dice.random() < REFUSES:
            ending = people.reason(dice.choice(list(people.REASONS)))
        if ending:
            self.bureau.act(book, transfer, "refuse", ending, ended_with=ending["reason"])
            return
        told = transfer["turns"]
        if told == 0 or (told == 1 and dice.random() < ADDS):
            data = {"organisation": _organisation(target), "since": clock.text(clock.now())}
            soon = self.bureau.later(subject, f"told {told}", (1, 300))
            self.bureau.act(book, transfer, "tell", data, act_at=None if self.by_hand else soon)
        elif not self.by_hand and not self.accept(book, transfer, target):
            # the own transfer away is about to end: its answer is on the way
            book.change(subject, act_at=self.bureau.later(subject, f"wait {told}"))

    def accept(self, book: Book, transfer, target) -> bool:
        """Accept for a branch; return whether nothing else of this person is open."""
        if book.others(transfer["subject"], transfer["number"]):
            return False
        subject, dice = transfer["subject"], self.mess.dice("branch", transfer["subject"])
        branch = dice.choice(book.branches(target["code"], people.BRANCH) or [target])
        hurry = not self.by_hand and dice.random() < GIVES_UP
        until = self.bureau.later(subject, "give up") if hurry else self.wait(RECORD_WITHIN)
        act_at = None if self.by_hand else until
        data = {"branch": _organisation(branch)}
        self.bureau.act(book, transfer, "accept", data, org=branch["code"], act_at=act_at)
        return True

    def target_here(self, book: Book, transfer):
        """Return the organisation that is meant: by its code, or by its name where it came without."""
        if transfer["to_code"]:
            return book.org(transfer["to_code"])
        return book.org_named(transfer["to_name"])

    def objection(self, book: Book, transfer, target) -> dict | None:
        """Return reason and text of what a registry refuses without asking anybody."""
        if target is None:
            return {"reason": "unknown_target", "text": "查无此组织"}
        if target["kind"] not in (*people.COMMITTEES, people.BRANCH):
            return {"reason": "target_not_allowed", "text": "领导机关不直接接收团员"}
        try:
            person = jose.unseal(self.bureau.desk.keys.own("enc"), "person+jwe", transfer["person"])
        except jose.Unreadable:
            return {"reason": "wrong_data", "text": "身份信息无法读取"}
        if person.get("subject") != transfer["subject"]:
            return {"reason": "identity_differs"}
        if not transfer["number"]:
            return {"reason": "identity_invalid"}
        name = person.get("name")
        if not isinstance(name, str) or not name.strip() or any(letter.isdigit() for letter in name):
            return {"reason": "name_invalid"}
        age = people.age(transfer["number"], date.fromisoformat(clock.day(clock.now())))
        if age is None or not 14 <= age < 28:
            return {"reason": "age_out_of_range"}
        here = book.member(transfer["number"])
        if here is not None and here["state"] == "active":
            return {"reason": "identity_active"}
        others = book.others(transfer["subject"], transfer["number"])
        return {"reason": "transfer_open"} if any(one["side"] == "receiver" for one in others) else None

    def awaited(self, book: Book, transfer) -> None:
        """Take the record that has come, or send it back; give up one that has not."""
        if not transfer["heard_record"]:
            ending = {"reason": "given_up", "text": "久候档案未至"}
            self.bureau.act(book, transfer, "give_up", ending, ended_with="given_up")
            return
        ending, content = self.fault_of_record(book, transfer)
        dice = self.mess.dice("send back", transfer["subject"])
        if ending is None and not self.by_hand and dice.random() < SENDS_BACK:
            ending = people.reason("FJ-09")
        if ending:
            self.bureau.act(book, transfer, "send_back", ending, ended_with=ending["reason"])
        elif not self.by_hand:
            self.take_in(book, transfer, content)

    def take_in(self, book: Book, transfer, content: dict) -> None:
        """Make somebody a member here, and say so."""
        now = clock.now()
        branch = book.org(transfer["org"])
        person = {"number": transfer["number"], "name": content["name"]}
        person["joined_on"] = content.get("joined_on") or ""
        kept = {name: content[name] for name in PAPERS if content.get(name)}
        person["papers"] = json.dumps(kept, ensure_ascii=False)
        book.settle(person, branch["code"], transfer["subject"], now)
        self.bureau.act(
            book,
            transfer,
            "take",
            {"branch": _organisation(branch), "at": clock.text(now)},
            number=person["number"],
        )

    def fault_of_record(self, book: Book, transfer) -> tuple[dict | None, dict]:
        """Return why a record goes back, or None, and what stands in it."""
        opening = self.bureau.desk.keys.own("enc")
        try:
            content = jose.unseal(opening, "record+jwe", transfer["record"])
            person = jose.unseal(opening, "person+jwe", transfer["person"])
        except jose.Unreadable:
            return {"reason": "record_unreadable", "text": "档案无法读取"}, {}
        if letters.RECORD.wrong(content) or content["subject"] != transfer["subject"]:
            return {"reason": "record_unreadable", "text": "档案格式不符,或与业务不符"}, {}
        same = people.tidy(content.get("number")) == transfer["number"]
        if not same or content.get("name") != person.get("name"):
            return {"reason": "identity_differs"}, {}
        here = book.member(transfer["number"])
        return ({"reason": "identity_active"}, {}) if here and here["state"] == "active" else (None, content)

    # ---- whoever plays them ------------------------------------------------------------------------

    def cases(self) -> list[dict[str, Any]]:
        """Return the transfers of both sides, the newest first."""
        with self.ledger.transaction() as book:
            rows = book.all("SELECT * FROM transfers WHERE state <> 'none' ORDER BY since DESC, subject")
        names = ("subject", "side", "state", "name", "number", "ended_with")
        return [
            {name: row[name] for name in names}
            | {"from": row["from_name"], "to": row["to_name"]}
            | {"since": clock.text(row["since"]), "can": list(can(row))}
            for row in rows
        ]

    def members(self) -> list[dict[str, Any]]:
        """Return who is or was a member."""
        with self.ledger.transaction() as book:
            rows = book.all(
                "SELECT members.*, orgs.name AS org_name FROM members JOIN orgs ON orgs.code = members.org"
                " ORDER BY number"
            )
        return [
            {"member": row["number"], "organisation": row["org_name"]}
            | {name: row[name] for name in ("name", "number", "state", "subject")}
            for row in rows
        ]

    def decide(self, subject: str, decision: str, reason: str) -> None:
        """Do what `can` of the case names; raise Cannot where it does not."""
        with self.ledger.transaction() as book:
            transfer = book.one("SELECT * FROM transfers WHERE subject = ? AND state <> 'none'", subject)
            if transfer is None:
                raise Cannot(404, "no_case")
            if decision not in can(transfer):
                raise Cannot(409, "not_now")
            if decision == "withdraw":
                self.call_off(book, transfer, "withdrawn")
            elif decision == "refuse":
                self.refuse(book, transfer, reason)
            elif transfer["state"] == "awaited":
                ending, content = self.fault_of_record(book, transfer)
                if ending:
                    raise Cannot(409, "not_now")
                self.take_in(book, transfer, content)
            else:
                target = self.target_here(book, transfer)
                refused = self.objection(book, transfer, target)
                if refused or not self.accept(book, transfer, target):
                    raise Cannot(409, "not_now")

    def refuse(self, book: Book, transfer, reason: str) -> None:
        """End a transfer of somebody who comes, however far it is."""
        act = "refuse" if transfer["state"] == "deciding" else "give_up"
        if transfer["heard_record"]:
            act = "send_back"
        ending = people.reason(reason or ("given_up" if act == "give_up" else "not_here"))
        self.bureau.act(book, transfer, act, ending, ended_with=ending["reason"])

    def offer(self, member: str, to: str, reason: str) -> str:
        """Let a member leave; return the subject. Raise Cannot where there is none who may."""
        with self.ledger.transaction() as book:
            row = book.member(member) or book.one("SELECT * FROM members WHERE name = ?", member)
            if row is None:
                raise Cannot(404, "no_member")
            if row["number"] not in {one["number"] for one in book.may_leave()}:
                raise Cannot(409, "not_now")
            target = book.one(
                "SELECT * FROM peer_orgs WHERE code = ? OR name = ? ORDER BY code = ? DESC", to, to, to
            )
            where = {"code": target["code"], "name": target["name"]} if target else {"name": to}
            code = reason if reason in people.CAUSES else "other" if reason else "FJ-Y1"
            return self.offer_one(book, row["number"], where, code, people.CAUSES.get(code, reason))

    def pause(self, on: bool) -> None:
        """Go away, or come back."""
        self.paused = on


DUE = {
    ("sender", "offered"): Staff.offered,
    ("sender", "handover"): Staff.handed_over,
    ("receiver", "deciding"): Staff.deciding,
    ("receiver", "awaited"): Staff.awaited,
}


def can(transfer) -> tuple[str, ...]:
    """Return the decisions that may be taken now."""
    if (transfer["side"], transfer["state"]) == ("receiver", "awaited"):
        return ("accept", "refuse") if transfer["heard_record"] else ("refuse",)
    return CAN.get((transfer["side"], transfer["state"]), ())


def _organisation(row) -> dict:
    return {"code": row["code"], "name": row["name"], "phone": row["phone"]}
