"""What happens in one transaction: a message is said, or heard and applied in its turn, and receipted."""

import random
from typing import NamedTuple

from tests.peers.gd import envelope, jose, manifest, moments, registry, rules, store
from tests.peers.gd.faults import Faults
from tests.peers.gd.keys import Keys

MOST_HELD = 20
DELAY = (600, 7200)  # seconds of GD until somebody looks at what has come


class Desk(NamedTuple):
    """Who speaks, with which keys, by which seed."""

    system: str
    keys: Keys
    faults: Faults

    def side_of(self, subject: str) -> str:
        """Return the side of this system in a transfer."""
        return "sender" if subject.partition(":")[0] == self.system else "receiver"

    def chance(self, subject: str, about: str) -> random.Random:
        """Return the draws for one decision: the same after a restart."""
        return random.Random(f"{self.faults.seed}/{self.system}/{subject}/{about}")

    def later(self, subject: str, about: str, delay: tuple[float, float] = DELAY) -> float:
        """Return the instant when people get to it."""
        return moments.now() + self.faults.real(self.chance(subject, about).uniform(*delay))


# ---- speaking ------------------------------------------------------------------------------------


def act(tx, desk: Desk, transfer, name: str, data: dict | None = None, /, **values):
    """Do what the table allows, say what belongs to it, write the state and `values`; return the transfer."""
    step = rules.act(transfer, name)
    if step.says:
        say(tx, desk, transfer["subject"], step.says, data or {})
    return enter(tx, desk, transfer, step.leads_to, **values)


def ask(tx, desk: Desk, transfer, name: str = "ask", **values):
    """Ask the peer where it stands: about the transfer, or about the record."""
    about = "record" if name == "ask_record" else "transfer"
    data = {"about": about, "heard_seq": transfer["heard_seq"]}
    return act(tx, desk, transfer, name, data, asks=transfer["asks"] + 1, **values)


def say(tx, desk: Desk, subject: str, word: str, data: dict) -> None:
    """Sign a message with the next number of its transfer, and keep it to be sent."""
    type_ = {"query_record": "query", "never_seen": "status"}.get(word, word)
    before = store.transfer(tx, subject, desk.system, moments.now())
    seq = before["said_seq"] + 1
    jws = envelope.make(desk.keys, desk.system, subject, seq, before["said_sha"], type_, data)
    now = moments.now()
    row = {"id": f"{desk.system}/{subject}/{seq}", "subject": subject, "seq": seq, "type": type_, "jws": jws}
    expires = None if type_ in envelope.LASTING else now + envelope.LIFETIME
    store.say(tx, row | {"sha256": jose.sha256(jws), "next_at": now, "expires": expires})
    if seq == 1 and before["side"] == "sender":
        store.change(tx, subject, day=_day(jws))


def _day(jws: str) -> str:
    """Return the day that a transfer belongs to by its first message."""
    return manifest.day_of(moments.parse(jose.loads(jose.parts(jws)[1])["time"]))


def enter(tx, desk: Desk, transfer, state: str, /, **values):
    """Write a transfer's state, and its member's with it."""
    subject, now = transfer["subject"], moments.now()
    if state != transfer["state"]:
        values |= {"state": state, "since": now}
        if state in rules.ENDED:
            values["act_at"] = None
        _move_member(tx, transfer, state, now)
    if values:
        store.change(tx, subject, **values)
    return store.transfer(tx, subject, desk.system, now)


def _move_member(tx, transfer, state: str, now: float) -> None:
    """Write where the sender's member is; who is taken is settled by the office."""
    subject, number = transfer["subject"], transfer["number"]
    if transfer["side"] == "sender" and state == "handover":
        store.move(tx, number, "active", "on_the_way", subject, now)
    elif transfer["state"] == "handover" and state == "kept":
        store.move(tx, number, "on_the_way", "active", subject, now)
    elif transfer["state"] == "handover" and state == "moved":
        store.move(tx, number, "on_the_way", "gone", subject, now)


# ---- hearing -------------------------------------------------------------------------------------


def take(tx, desk: Desk, letter: envelope.Letter) -> str:
    """Keep what came, apply what has its turn; return the receipt, the first one if it came before."""
    if letter.code in ("malformed", "not_authentic"):
        return envelope.receipt(desk.keys, desk.system, letter, "refused", letter.code, 0)
    subject, seq = letter.payload["subject"], letter.payload["seq"]
    before = store.transfer(tx, subject, desk.system, moments.now())
    expected = before["heard_seq"] + 1
    old = store.heard(tx, letter.id)
    if old is not None and old["sha256"] == letter.sha256:
        return old["receipt"]
    code = letter.code
    if old is not None:
        code = "id_reused"
    elif not code and seq > expected and store.held(tx, subject) >= MOST_HELD:
        code = "too_many_held"
    if code and code not in envelope.COUNTS:
        return envelope.receipt(desk.keys, desk.system, letter, "refused", code, expected)
    type_ = letter.payload.get("type")
    row = {"id": letter.id, "subject": subject, "seq": seq, "jws": letter.jws, "sha256": letter.sha256}
    row |= {"type": type_ if isinstance(type_, str) else "", "at": moments.now()}
    store.hear(tx, row | {"state": "refused" if code else "held"})
    after = _go_on(tx, desk, before)
    status = "refused" if code else "stored" if seq == expected else "held"
    receipt = envelope.receipt(desk.keys, desk.system, letter, status, code, after["heard_seq"] + 1)
    store.mark(tx, letter.id, receipt=receipt)
    return receipt


def _go_on(tx, desk: Desk, transfer):
    """Apply, in their order, all messages whose turn has come."""
    while row := store.heard_nth(tx, transfer["subject"], transfer["heard_seq"] + 1):
        first = {"day": _day(row["jws"])} if row["seq"] == 1 and transfer["side"] == "receiver" else {}
        store.change(tx, transfer["subject"], heard_seq=row["seq"], heard_sha=row["sha256"], **first)
        transfer = store.transfer(tx, transfer["subject"], desk.system, moments.now())
        if row["state"] == "held":
            store.mark(tx, row["id"], state=_apply(tx, desk, transfer, row))
            transfer = store.transfer(tx, transfer["subject"], desk.system, moments.now())
    return transfer


def _apply(tx, desk: Desk, transfer, row) -> str:
    """Do what one message says; return what has become of it."""
    payload = jose.loads(jose.parts(row["jws"])[1])
    data = payload["data"]
    word = rules.word(row["type"], data)
    before = store.heard_nth(tx, row["subject"], row["seq"] - 1)
    if payload["prev"] != (before["sha256"] if before else ""):
        store.show(tx, moments.now(), row["subject"], f"{row['id']}: prev is not the message before")
        return "shown"
    try:
        step = rules.hear(transfer, word)
    except rules.NotAllowed:
        store.show(tx, moments.now(), row["subject"], f"{row['id']}: {word} in {transfer['state']}")
        return "shown"
    if not step.passed_over:
        transfer = enter(tx, desk, transfer, step.leads_to, **_learn(desk, transfer, word, data))
    if word in ("query", "query_record"):
        store.say_again(tx, row["subject"], data["heard_seq"], moments.now())
    if step.says:
        say(tx, desk, row["subject"], step.says, _answer(transfer, step.says))
    return "passed_over" if step.passed_over else "applied"


def _learn(desk: Desk, transfer, word: str, data: dict) -> dict:
    """Return the columns that a message fills, and when somebody looks at it."""
    subject = transfer["subject"]
    if word == "offer":
        return _learn_offer(desk, subject, data)
    if word in ("accepted", "never_seen") and transfer["side"] == "sender":
        return {f"heard_{word}": 1, "act_at": desk.later(subject, word)}
    if word == "record" and transfer["state"] == "awaited":
        return {"heard_record": 1, "record": data["record"], "act_at": desk.later(subject, word)}
    if word in ("called_off", "refused", "sent_back"):
        return {"ended_with": data["reason"]}
    return {}


def opened(desk: Desk, kind: str, subject: str, jwe: str) -> tuple[dict, str]:
    """Return what is sealed for this system, and the reason why it is refused; empty for none."""
    return registry.opened(desk.keys.opening(jose.kid(jwe)), kind, subject, jwe)


def _learn_offer(desk: Desk, subject: str, data: dict) -> dict:
    content, _ = opened(desk, registry.PERSON, subject, data["person"])
    number = content.get("number", "")
    return {
        "number": number if registry.is_number(number) else "",
        "name": content.get("name", ""),
        "person": data["person"],
        "from_name": data["from_org"]["name"],
        "to_code": data["to_org"].get("code") or "",
        "to_name": data["to_org"]["name"],
        "answer_by": moments.parse(data["answer_by"]),
        "act_at": desk.later(subject, "offer"),
    }


def _answer(transfer, word: str) -> dict:
    if word == "sent_back":
        return {"reason": "too_late", "text": "档案到达时业务已经结束"}
    state = word if word == "never_seen" else transfer["state"]
    return {"state": state, "since": moments.text(transfer["since"]), "heard_seq": transfer["heard_seq"]}
