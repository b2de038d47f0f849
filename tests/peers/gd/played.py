"""GD's people as somebody plays them at the desk (README.md of tests/peers)."""

from tests.peers.control import Cannot
from tests.peers.gd import codes, moments, registry, rules, store
from tests.peers.gd.desk import act
from tests.peers.gd.office import SILENCE, Office

CAN = {
    ("receiver", "deciding"): ["accept", "refuse"],
    ("sender", "offered"): ["withdraw"],
}


def can(transfer) -> list[str]:
    """Return the decisions that may be taken now."""
    side, state = transfer["side"], transfer["state"]
    if (side, state) == ("receiver", "awaited"):
        return ["accept", "refuse"] if transfer["heard_record"] else ["refuse"]
    return CAN.get((side, state), [])


class Played:
    """What `control.Control` asks for."""

    def __init__(self, office: Office):
        self.office, self.file, self.desk = office, office.file, office.desk
        self.system = self.desk.system

    @property
    def paused(self) -> bool:
        """Whether somebody has sent GD away."""
        return self.desk.faults.paused

    def pause(self, on: bool) -> None:
        """Go away, or come back."""
        self.desk.faults.paused = on

    def cases(self) -> list[dict]:
        """Return the transfers of both sides."""
        with self.file.transaction() as tx:
            rows = store.all_transfers(tx)
        return [
            {name: row[name] for name in ("subject", "side", "state", "name", "number", "ended_with")}
            | {"from": row["from_name"], "to": row["to_name"], "since": moments.text(row["since"])}
            | {"can": can(row)}
            for row in rows
        ]

    def members(self) -> list[dict]:
        """Return who is or was a member."""
        with self.file.transaction() as tx:
            rows = store.everybody(tx)
        return [
            {name: row[name] for name in ("name", "number", "organisation", "state", "subject")}
            | {"member": row["number"]}
            for row in rows
        ]

    def decide(self, subject: str, decision: str, reason: str) -> None:
        """Do it in one transaction, or not at all."""
        with self.file.transaction() as tx:
            transfer = store.known(tx, subject)
            if transfer is None:
                raise Cannot(404, "no_case")
            if decision not in can(transfer):
                raise Cannot(409, "not_now")
            try:
                DO[transfer["state"], decision](self, tx, transfer, reason)
            except rules.NotAllowed as error:
                raise Cannot(409, "not_now") from error

    def accept(self, tx, transfer, reason: str) -> None:
        """Accept somebody, unless the registry has something against it."""
        target, others = self.office.target_here(tx, transfer), self.office.others(tx, transfer)
        if others or self.office.objection(tx, transfer, target, others):
            raise Cannot(409, "not_now")
        self.office.accept(tx, transfer, target)

    def refuse(self, tx, transfer, reason: str) -> None:
        """Refuse somebody, for whatever reason."""
        self.end(tx, transfer, "refuse", codes.said(reason))

    def take_or_refuse(self, tx, transfer, reason: str) -> None:
        """Take the record, or send it back where it is none."""
        ending, content = self.office.fault_of_record(tx, transfer)
        if ending:
            self.end(tx, transfer, "send_back", ending)
        else:
            self.office.take(tx, transfer, content)

    def send_back_or_give_up(self, tx, transfer, reason: str) -> None:
        """End what was accepted."""
        if transfer["heard_record"]:
            self.end(tx, transfer, "send_back", codes.said(reason, 32))
        else:
            self.end(tx, transfer, "give_up", codes.said(reason or "given_up"))

    def withdraw(self, tx, transfer, reason: str) -> None:
        """Call an offer off."""
        self.end(tx, transfer, "call_off", codes.said(reason or "withdrawn"))

    def end(self, tx, transfer, name: str, ending: dict) -> None:
        """Do what ends a transfer."""
        act(tx, self.desk, transfer, name, ending, ended_with=ending["reason"])

    def offer(self, member: str, to: str, reason: str) -> str:
        """Let a member leave; `to` is looked for in the copy of the peer's directory first."""
        with self.file.transaction() as tx:
            row = store.member(tx, registry.plain(member))
            if row is None:
                raise Cannot(404, "no_member")
            if row["number"] not in store.may_leave(tx):
                raise Cannot(409, "not_now")
            known = next((one for one in store.peer_orgs(tx) if to in (one["code"], one["name"])), None)
            target = {"code": known["code"], "name": known["name"]} if known else {"name": to[:300]}
            why = {"reason": "other", "reason_text": reason[:1000] or codes.CAUSES[12]}
            if reason.isdecimal() and int(reason) in codes.CAUSES:
                why = {"reason": reason, "reason_text": codes.CAUSES[int(reason)]}
            subject = f"{self.system}:{store.next_number(tx)}"
            if not target["name"].isprintable():
                raise Cannot(422, "wrong_to")
            self.office.leave(tx, subject, row, target, why, {"act_at": self.office.wait(SILENCE)})
        return subject


DO = {
    ("deciding", "accept"): Played.accept,
    ("deciding", "refuse"): Played.refuse,
    ("awaited", "accept"): Played.take_or_refuse,
    ("awaited", "refuse"): Played.send_back_or_give_up,
    ("offered", "withdraw"): Played.withdraw,
}
