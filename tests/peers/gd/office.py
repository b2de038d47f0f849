"""GD's people: members who leave, and administrators who decide after a while, all by the seed."""

import random
import threading
import traceback

from tests.peers.gd import codes, jose, moments, people, registry, rules, store
from tests.peers.gd.desk import Desk, act, ask, enter, opened
from tests.peers.gd.store import Store

DAY = 86_400  # seconds of GD, as all below
ANSWER_WITHIN = 10 * DAY
RECORD_WITHIN = 3 * DAY
SILENCE = DAY
RECORD_SILENCE = 3600
GAP = 60
TURNS = 50  # transfers in one transaction
LONGEST_DOUBLING = 6

CALLS_OFF = 0.05  # of the offers, before or after they are accepted
REFUSES = 0.2
GIVES_UP = 0.06
SENDS_BACK = 0.08
TYPED = 0.05  # of the targets: a name without a code
MISTYPED = 0.03
SPOILT = 0.05


def furnish(tx, desk: Desk, members: int) -> None:
    """Fill an empty file: the tree, the members, the instant of the first start."""
    if store.setting(tx, "started_at"):
        return
    seed, now = desk.faults.seed, moments.now()
    store.add_orgs(tx, people.organisations(seed))
    branches = store.orgs_of_kind(tx, codes.BRANCH)
    for nth in range(members):
        branch = desk.chance(str(nth), "branch").choice(branches)
        store.settle(tx, people.member(seed, desk.system, nth), branch["code"], "", now)
    for name, value in {
        "system": desk.system,
        "peer": desk.keys.peer,
        "started_at": now,
        "next_start": now,
    }.items():
        store.keep_setting(tx, name, value)


class Office:
    """Looks every moment at what is due, and does it."""

    def __init__(
        self, file: Store, desk: Desk, transfers: int, every: float, typed: str, by_hand: bool = False
    ):
        self.file = file
        self.by_hand = by_hand  # nobody decides and nobody leaves but by the desk
        self.desk = desk
        self.transfers = transfers
        self.every = every
        self.typed = typed
        self.targets_known = threading.Event()
        self.pause = min(1.0, max(0.02, desk.faults.real(GAP) / 2))

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        while not stop.wait(self.pause):
            if self.desk.faults.paused:
                continue
            with self.file.transaction() as tx:
                self.turn(tx)

    def turn(self, tx) -> None:
        """Do once all that is due."""
        now = moments.now()
        for transfer in store.due(tx, now, TURNS):
            self.attend(tx, transfer)
        for transfer in store.with_gaps(tx, now, now - self.desk.faults.real(GAP)):
            self.ask_for_gap(tx, transfer, now)
        if self.by_hand:
            return
        if self.targets_known.is_set() and float(store.setting(tx, "next_start", "0")) <= now:
            self.start(tx, now)

    def attend(self, tx, transfer) -> None:
        """Do what is due at one transfer; what cannot be done is put off and keeps no other waiting."""
        subject = transfer["subject"]
        try:
            with store.savepoint(tx):
                store.change(tx, subject, act_at=None, turns=transfer["turns"] + 1)
                TURN_OF[transfer["side"], transfer["state"]](self, tx, transfer)
        except Exception:
            traceback.print_exc()
            store.change(tx, subject, act_at=self.wait(DAY))

    def wait(self, seconds: float, doublings: int = 0) -> float:
        """Return the instant after a wait of GD's, doubled so often."""
        return moments.now() + self.desk.faults.real(seconds * 2 ** min(doublings, LONGEST_DOUBLING))

    def ask_for_gap(self, tx, transfer, now: float) -> None:
        """Ask where messages are missing; where the table allows no question, the peer's retries must do."""
        ask_at = self.wait(GAP, transfer["asks"])
        try:
            ask(tx, self.desk, transfer, ask_at=ask_at)
        except rules.NotAllowed:
            store.change(tx, transfer["subject"], ask_at=ask_at)

    # ---- members who leave -----------------------------------------------------------------------

    def start(self, tx, now: float) -> None:
        """Let one member leave, if it is time and somebody may."""
        number = store.next_number(tx)
        free = store.may_leave(tx)
        store.keep_setting(tx, "next_start", now + self.desk.faults.real(self.every))
        if number > self.transfers or not free:
            return
        subject = f"{self.desk.system}:{number}"
        chance = self.desk.chance(subject, "start")
        member = store.member(tx, chance.choice(free))
        target = self.target(tx, chance)
        cause = chance.choice(list(codes.CAUSES))
        if chance.random() < CALLS_OFF:
            columns = {"act_at": self.desk.later(subject, "regret"), "turns": 1}
        else:
            columns = {"act_at": self.wait(SILENCE)}
        self.leave(
            tx, subject, member, target, {"reason": str(cause), "reason_text": codes.CAUSES[cause]}, columns
        )

    def leave(self, tx, subject: str, member, target: dict, why: dict, columns: dict) -> None:
        """Offer a member to the peer; `columns` of the transfer are written with it."""
        now = moments.now()
        home = store.org(tx, member["org"])
        answer_by = now + self.desk.faults.real(ANSWER_WITHIN)
        data = {
            "person": self.sealed(registry.PERSON, registry.person(subject, member)),
            "from_org": {"code": str(home["code"]), "name": home["name"], "phone": home["phone"]},
            "to_org": target,
            "started_at": moments.text(now),
            "answer_by": moments.text(answer_by),
        } | why
        columns |= {"number": member["number"], "name": member["name"], "org": home["code"]}
        columns |= {"from_name": home["name"], "to_code": target.get("code", ""), "to_name": target["name"]}
        columns |= {"answer_by": answer_by}
        act(tx, self.desk, store.transfer(tx, subject, self.desk.system, now), "offer", data, **columns)

    def target(self, tx, chance: random.Random) -> dict:
        """Return the organisation a member goes to: from the peer's directory, or typed."""
        known = store.peer_orgs(tx)
        if not known:
            return {"name": self.typed}
        draw, row = chance.random(), chance.choice(known)
        if draw < MISTYPED:
            return {"name": f"{row['name']}(误)"}
        return {"name": row["name"]} if draw < TYPED else {"code": row["code"], "name": row["name"]}

    def offered(self, tx, transfer) -> None:
        """Hand over what was accepted; otherwise wait, ask, and at last call it off."""
        subject, now = transfer["subject"], moments.now()
        regrets = not self.by_hand and self.desk.chance(subject, "regret late").random() < CALLS_OFF
        if (transfer["turns"] == 1 and not transfer["asks"]) or (transfer["heard_accepted"] and regrets):
            self.call_off(tx, transfer, "withdrawn")
        elif transfer["heard_accepted"]:
            act(
                tx,
                self.desk,
                transfer,
                "hand_over",
                self.record(tx, transfer),
                act_at=self.wait(RECORD_SILENCE),
            )
        elif transfer["answer_by"] <= now:
            self.call_off(tx, transfer, "overdue")
        else:
            again = min(self.wait(SILENCE, transfer["asks"]), transfer["answer_by"])
            ask(tx, self.desk, transfer, act_at=again)

    def call_off(self, tx, transfer, reason: str) -> None:
        """End a transfer before the record is handed over."""
        act(tx, self.desk, transfer, "call_off", {"reason": reason}, ended_with=reason)

    def record(self, tx, transfer) -> dict:
        """Return the record, sealed; nothing where that fault is on and strikes."""
        spoils = "spoilt" in self.desk.faults.names
        if spoils and self.desk.chance(transfer["subject"], "spoilt").random() < SPOILT:
            return {}
        member = store.member(tx, transfer["number"])
        content = registry.record(transfer["subject"], member, store.org(tx, member["org"])["name"])
        return {"record": self.sealed(registry.RECORD, content)}

    def sealed(self, kind: str, content: dict) -> str:
        """Return what only the peer's registry opens."""
        return jose.seal(self.desk.keys.sealing(moments.now()), kind, content)

    def handed_over(self, tx, transfer) -> None:
        """Ask after a record that is not answered; keep the member only after `never_seen`."""
        if transfer["heard_never_seen"]:
            act(tx, self.desk, transfer, "release", ended_with="never_seen")
        else:
            ask(tx, self.desk, transfer, "ask_record", act_at=self.wait(RECORD_SILENCE, transfer["asks"]))

    # ---- members who come ------------------------------------------------------------------------

    def deciding(self, tx, transfer) -> None:
        """Say first at whose desk it lies, then accept or refuse."""
        subject, desk = transfer["subject"], self.desk
        target = self.target_here(tx, transfer)
        if transfer["turns"] == 0 and target is not None:
            organisation = {"name": target["name"], "phone": target["phone"], "code": str(target["code"])}
            data = {"organisation": organisation, "since": moments.text(moments.now())}
            act(tx, desk, transfer, "tell", data, act_at=desk.later(subject, "decide"))
            return
        others = self.others(tx, transfer)
        ending = self.objection(tx, transfer, target, others) or self.mood(subject)
        if ending:
            act(tx, desk, transfer, "refuse", ending, ended_with=ending["reason"])
        elif self.by_hand:
            return
        elif others:  # the own transfer away is about to end: its answer is on the way
            enter(tx, desk, transfer, "deciding", act_at=desk.later(subject, f"wait {transfer['turns']}"))
        else:
            self.accept(tx, transfer, target)

    def others(self, tx, transfer) -> list:
        """Return the other transfers of this person that are bound to go on here."""
        return store.others_open(tx, transfer["subject"], transfer["number"]) if transfer["number"] else []

    def mood(self, subject: str) -> dict | None:
        """Return the reason why people do not want somebody, or None; nothing where they are played."""
        chance = self.desk.chance(subject, "refuse")
        refuses = not self.by_hand and chance.random() < REFUSES
        return codes.reason(chance.choice(list(codes.REASONS))) if refuses else None

    def accept(self, tx, transfer, target) -> None:
        """Accept for a branch; a record that does not come is waited for only so long."""
        subject, desk = transfer["subject"], self.desk
        branch = desk.chance(subject, "branch").choice(
            store.branches(tx, target["code"], codes.BRANCH) or [target]
        )
        hurry = not self.by_hand and desk.chance(subject, "give up").random() < GIVES_UP
        until = desk.later(subject, "give up at") if hurry else self.wait(RECORD_WITHIN)
        act(tx, desk, transfer, "accept", {"branch": _organisation(branch)}, org=branch["code"], act_at=until)

    def target_here(self, tx, transfer):
        """Return the organisation that is meant: by its code, or by its name where it came without."""
        code = transfer["to_code"]
        if not code:
            return store.org_named(tx, transfer["to_name"])
        return store.org(tx, int(code)) if code.isascii() and code.isdecimal() else None

    def objection(self, tx, transfer, target, others) -> dict | None:
        """Return reason and text of what the registry has against somebody, or None."""
        if target is None:
            return {"reason": "unknown_target", "text": "查无此组织"}
        if target["kind"] not in codes.COMMITTEE | {codes.BRANCH}:
            return {"reason": "target_not_allowed", "text": "省、市级团委不直接接收团员"}
        content, wrong = opened(self.desk, registry.PERSON, transfer["subject"], transfer["person"])
        wrong = wrong or registry.what_is_wrong(content)
        if wrong:
            return {"reason": wrong}
        here = store.member(tx, transfer["number"])
        if here is not None and here["state"] == "active":
            return {"reason": "identity_active"}
        if any(other["side"] == "receiver" for other in others):
            return {"reason": "transfer_open"}
        return None

    def awaited(self, tx, transfer) -> None:
        """Take the record that has come, or send it back; give up one that has not."""
        if not transfer["heard_record"]:
            if self.by_hand:
                return
            ending = {"reason": "given_up", "text": "久候档案未至"}
            act(tx, self.desk, transfer, "give_up", ending, ended_with="given_up")
            return
        ending, content = self.fault_of_record(tx, transfer)
        chance = self.desk.chance(transfer["subject"], "send back")
        if not ending and not self.by_hand and chance.random() < SENDS_BACK:
            ending = codes.reason(32)
        if ending:
            act(tx, self.desk, transfer, "send_back", ending, ended_with=ending["reason"])
        elif not self.by_hand:
            self.take(tx, transfer, content)

    def take(self, tx, transfer, content: dict) -> None:
        """Make somebody a member of the branch that was accepted for."""
        subject, now = transfer["subject"], moments.now()
        branch = store.org(tx, transfer["org"])
        store.settle(tx, registry.member(content), branch["code"], subject, now)
        act(tx, self.desk, transfer, "take", {"branch": _organisation(branch), "at": moments.text(now)})

    def fault_of_record(self, tx, transfer) -> tuple[dict | None, dict]:
        """Return why a record goes back, or None, and what stands in it."""
        subject = transfer["subject"]
        content, wrong = opened(self.desk, registry.RECORD, subject, transfer["record"])
        person, _ = opened(self.desk, registry.PERSON, subject, transfer["person"])
        if wrong:
            return {"reason": wrong, "text": "档案无法读取"}, {}
        if (content["number"], content["name"]) != (person["number"], person["name"]):
            return {"reason": "identity_differs", "text": "档案与人员不符"}, {}
        if wrong := registry.what_is_wrong(content):
            return {"reason": wrong}, {}
        here = store.member(tx, transfer["number"])
        if here is not None and here["state"] == "active":
            return {"reason": "identity_active"}, {}
        return None, content


TURN_OF = {
    ("sender", "offered"): Office.offered,
    ("sender", "handover"): Office.handed_over,
    ("receiver", "deciding"): Office.deciding,
    ("receiver", "awaited"): Office.awaited,
}


def _organisation(row) -> dict:
    return {"code": str(row["code"]), "name": row["name"], "phone": row["phone"]}
