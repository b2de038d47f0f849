"""Beijing's people: five levels that decide one after the other, a registry that checks, and who leaves."""

from __future__ import annotations

import sqlite3
import unicodedata
from datetime import timedelta
from typing import Any

from tests.peers.bj.book import ME, Book, now
from tests.peers.bj.registry import Unfit
from tests.peers.control import Cannot

REFUSES, SENDS_BACK = 0.04, 0.15  # of the decisions of one level; of the records
CAUSE = ("employed_with_org", "已落实工作单位")
ANSWER_WITHIN = timedelta(days=10)
FULL = {"reason": "BJ-FULL", "text": "名额已满"}
PAPERS = {"reason": "BJ-PAPERS", "text": "材料不齐"}
OWN = {one["reason"]: one for one in (FULL, PAPERS)}
# fmt: off
PAGE = (
    "not_here", "household_elsewhere", "work_elsewhere", "short_term", "wrong_data", "other", "never_seen",
    "identity_active", "identity_invalid", "identity_differs", "name_invalid", "age_out_of_range", "too_late",
    "transfer_open", "unknown_target", "target_not_allowed", "overdue", "withdrawn", "given_up",
    "record_unreadable",
)
# fmt: on
WANTED = ("committee", "work_committee", "general_branch", "branch")


def shown(org: sqlite3.Row) -> dict[str, str]:
    """Return an organisation as messages name it."""
    return {"code": org["code"], "name": org["name"], "phone": org["phone"]}


def why(typed: str, otherwise: dict[str, str]) -> dict[str, str]:
    """Return the reason for what somebody has typed: a code of ours, one of the page, or a text."""
    if not typed:
        return otherwise
    if typed in PAGE:
        return {"reason": typed}
    return OWN.get(typed) or {"reason": "other", "text": typed[:1000]}


class Office:
    """Decides by the seed, and by hand where somebody plays its people (`control.Played`)."""

    system = ME

    def __init__(self, book: Book, transfers: int, every: float, typed: str, by_hand: bool) -> None:
        self.book, self.registry, self.by_hand = book, book.registry, by_hand
        self.transfers, self.every, self.typed = transfers, every, typed
        self.next_start = now()
        self.paused = False

    def turn(self) -> None:
        """Do once all that is due."""
        if self.paused:
            return
        with self.book.turn() as db:
            due = "SELECT * FROM cases WHERE act_at <= ? ORDER BY act_at LIMIT 50"
            for case in db.execute(due, (now().timestamp(),)).fetchall():
                self.book.put(case["subject"], act_at=None)
                self.step(case)
            if not self.by_hand and self.next_start <= now():
                self.next_start = now() + timedelta(seconds=self.every / self.book.speed)
                self.let_somebody_leave()

    def step(self, case: sqlite3.Row) -> None:
        """Let one case go a step on."""
        if case["stage"] == "deciding":
            self.look_at(case)
        elif case["stage"] == "awaited" and case["has_record"]:
            self.receive(case, by_hand=False)
        elif case["stage"] == "offered":
            self.overdue(case)
        elif case["stage"] == "handover" and case["never_seen"]:
            # they have signed that they never saw it, and are bound by that
            self.book.stage(case["subject"], "kept", ended_with="never_seen")
            self.registry.move(case["subject"], case["person"], "active")
        elif case["stage"] == "handover":
            self.book.ask(case, "record")

    # ---- who comes

    def look_at(self, case: sqlite3.Row) -> None:
        """Refuse whom the registry refuses; then a level decides, the last one for all."""
        subject, level = case["subject"], case["level"]
        try:
            branch = self.fit(case)
        except Unfit as unfit:
            self.book.end(subject, "refused", "refused", {"reason": unfit.code})
            return
        levels = self.levels(branch)
        if self.by_hand and level:
            return
        if not self.by_hand and self.book.dice(subject, f"level {level}").random() < REFUSES:
            self.book.end(subject, "refused", "refused", FULL)
        elif level < len(levels):
            self.book.put(subject, level=level + 1, act_at=self.book.later(subject, level + 1))
            said = {"organisation": shown(levels[level]), "since": now().isoformat()}
            self.book.say(subject, "progress", said)
        else:
            self.accept(subject, branch)

    def accept(self, subject: str, branch: sqlite3.Row) -> None:
        """Await the record for a branch."""
        self.book.stage(subject, "awaited", target=branch["code"])
        self.book.say(subject, "accepted", {"branch": shown(branch)})

    def fit(self, case: sqlite3.Row) -> sqlite3.Row:
        """Return the branch that somebody may come to; raise Unfit."""
        target = self.registry.org(case["target"]) if case["target"] else self.named(case["target_name"])
        if target is None:
            raise Unfit("unknown_target")
        branch = self.registry.branch_below(target["code"])
        if target["kind"] not in WANTED or branch is None:
            raise Unfit("target_not_allowed")
        person = self.registry.opened(case["subject"], "person+jwe", case["seal"])
        self.registry.check(person, case["subject"], now().date())
        return branch

    def named(self, typed: str) -> sqlite3.Row | None:
        """Return the organisation of a full name, whatever width it was typed in."""
        plain = unicodedata.normalize("NFKC", typed)
        every = self.book.db.execute("SELECT * FROM orgs").fetchall()
        return next((org for org in every if unicodedata.normalize("NFKC", org["name"]) == plain), None)

    def levels(self, branch: sqlite3.Row) -> list[sqlite3.Row]:
        """Return the organisations that decide, from the branch up."""
        found = [branch]
        while found[-1]["parent"]:
            above = self.registry.org(found[-1]["parent"])
            assert above is not None
            found.append(above)
        return found

    def receive(self, case: sqlite3.Row, by_hand: bool) -> None:
        """Take the record or send it back."""
        subject = case["subject"]
        try:
            record = self.registry.opened(subject, "record+jwe", case["record"])
            if (record["number"], record["name"]) != (case["person"], case["name"]):
                raise Unfit("identity_differs")
            self.registry.check(record, subject, now().date())
        except Unfit as unfit:
            self.book.end(subject, "back", "sent_back", {"reason": unfit.code})
            return
        if self.by_hand and not by_hand:
            return
        if not by_hand and self.book.dice(subject, "record").random() < SENDS_BACK:
            self.book.end(subject, "back", "sent_back", PAPERS)
            return
        branch = self.registry.org(case["target"])
        assert branch is not None
        self.book.stage(subject, "taken")
        self.registry.take(subject, record, branch["code"], now().date())
        self.book.say(subject, "integrated", {"branch": shown(branch), "at": now().isoformat()})

    # ---- who goes

    def let_somebody_leave(self) -> None:
        """Offer one more who has never moved, while there are more to leave."""
        moved = {row["person"] for row in self.book.db.execute("SELECT person FROM cases")}
        number = self.next_number()
        free = [row for row in self.registry.may_leave() if row["number"] not in moved]
        if number <= self.transfers and free:
            row = self.book.dice(f"{ME}:{number}", "who").choice(free)
            self.leave(row, {"name": self.typed}, *CAUSE)

    def next_number(self) -> int:
        (count,) = self.book.db.execute(
            "SELECT count(*) FROM cases WHERE subject LIKE ? AND stage <> 'none'", (f"{ME}:%",)
        ).fetchone()
        return int(count) + 1

    def leave(self, row: sqlite3.Row, to: dict[str, str], reason: str, text: str) -> str:
        """Offer a member; return the subject."""
        subject, begun = f"{ME}:{self.next_number()}", now()
        home = self.registry.org(row["branch"])
        assert home is not None
        fields = ("subject", "stage", "person", "name", "comes_from", "target", "target_name", "since")
        values = (
            subject,
            "offered",
            row["number"],
            row["name"],
            home["name"],
            to.get("code", ""),
            to["name"],
        )
        self.book.db.execute(
            f"INSERT INTO cases ({', '.join(fields)}) VALUES ({', '.join('?' * len(fields))})"
            " ON CONFLICT (subject) DO UPDATE SET stage = excluded.stage, person = excluded.person,"
            " name = excluded.name, comes_from = excluded.comes_from, target_name = excluded.target_name",
            (*values, begun.isoformat()),
        )
        until = begun + ANSWER_WITHIN / self.book.speed
        self.book.put(subject, act_at=until.timestamp())
        offer: dict[str, Any] = {"person": self.registry.person(subject, row, begun), "to_org": to}
        offer |= {"from_org": shown(home), "reason": reason, "reason_text": text}
        offer |= {"started_at": begun.isoformat(), "answer_by": until.isoformat()}
        self.book.say(subject, "offer", offer)
        return subject

    def overdue(self, case: sqlite3.Row) -> None:
        """Call off what nobody has answered."""
        self.book.end(case["subject"], "kept", "called_off", {"reason": "overdue"})

    # ---- whoever plays the people (control.Played)

    def pause(self, on: bool) -> None:
        self.paused = on

    def can(self, case: sqlite3.Row) -> list[str]:
        if case["stage"] == "awaited":
            return ["accept", "refuse"] if case["has_record"] else ["refuse"]
        return {"deciding": ["accept", "refuse"], "offered": ["withdraw"]}.get(case["stage"], [])

    def cases(self) -> list[dict[str, Any]]:
        with self.book.lock:
            every = "SELECT * FROM cases WHERE stage <> 'none' ORDER BY rowid DESC"
            rows = self.book.db.execute(every).fetchall()
        return [
            {
                "subject": row["subject"],
                "side": "sender" if row["subject"].startswith(f"{ME}:") else "receiver",
                "state": row["stage"],
                "name": row["name"],
                "number": row["person"],
                "from": row["comes_from"],
                "to": row["target_name"],
                "since": row["since"],
                "ended_with": row["ended_with"],
                "can": self.can(row),
            }
            for row in rows
        ]

    def members(self) -> list[dict[str, Any]]:
        with self.book.lock:
            rows = self.registry.everybody()
        names = ("name", "number", "organisation", "state", "subject")
        return [{"member": row["id"]} | {name: row[name] for name in names} for row in rows]

    def decide(self, subject: str, decision: str, reason: str) -> None:
        with self.book.turn():
            case = self.book.case(subject)
            if case is None or case["stage"] == "none":
                raise Cannot(404, "no_case")
            if decision not in self.can(case):
                raise Cannot(409, "not_now")
            if decision == "withdraw":
                self.book.end(subject, "kept", "called_off", why(reason, {"reason": "withdrawn"}))
            elif decision == "accept" and case["stage"] == "deciding":
                try:
                    self.accept(subject, self.fit(case))
                except Unfit:
                    raise Cannot(409, "not_now") from None
            elif decision == "accept":
                self.receive(case, by_hand=True)
            elif case["has_record"]:
                self.book.end(subject, "back", "sent_back", why(reason, PAPERS))
            else:
                given_up = {"reason": "given_up"} if case["stage"] == "awaited" else FULL
                self.book.end(subject, "refused", "refused", why(reason, given_up))

    def offer(self, member: str, to: str, reason: str) -> str:
        with self.book.turn():
            row = self.registry.member(member)
            if row is None:
                raise Cannot(404, "no_member")
            if member not in {one["id"] for one in self.registry.may_leave()}:
                raise Cannot(409, "not_now")
            if len(to) > 300 or not to.isprintable():
                raise Cannot(422, "wrong_to")
            # there is no directory of the other side: what is plain letters can only be a code
            target = {"code": to, "name": to} if to.isascii() and len(to) <= 60 else {"name": to}
            return self.leave(row, target, "other" if reason else CAUSE[0], reason[:1000] or CAUSE[1])
