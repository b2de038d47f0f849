"""The two tables of docs/federation.md, word for word, and what they say of a transfer.

A transfer is any mapping of `side`, `state`, `heard_accepted`, `heard_record` and `heard_never_seen`.
"""

from typing import NamedTuple

# side, state, act, what it says, where it leads, what must have been heard, what must not
ACTS = """
sender    none      offer       offer         offered   -           -
sender    offered   call_off    called_off    kept      -           -
sender    offered   hand_over   record        handover  accepted    -
sender    offered   ask         query         offered   -           -
sender    handover  ask         query         handover  -           -
sender    handover  ask_record  query_record  handover  -           -
sender    handover  release     -             kept      never_seen  -
receiver  deciding  tell        progress      deciding  -           -
receiver  deciding  accept      accepted      awaited   -           -
receiver  deciding  refuse      refused       refused   -           -
receiver  deciding  ask         query         deciding  -           -
receiver  awaited   ask         query         awaited   -           -
receiver  awaited   give_up     refused       refused   -           record
receiver  awaited   take        integrated    taken     record      -
receiver  awaited   send_back   sent_back     back      record      -
"""

# side, state, the messages heard there, where they lead (- where they are passed over), the answer
HEARD = """
sender    offered   progress,accepted,status              offered   -
sender    offered   refused                               kept      -
sender    offered   query                                 offered   status
sender    handover  progress,accepted                     -         -
sender    handover  refused,sent_back                     kept      -
sender    handover  integrated                            moved     -
sender    handover  query                                 handover  status
sender    handover  status,never_seen                     handover  -
sender    moved     progress,accepted,integrated,status   -         -
sender    moved     query                                 moved     status
sender    kept      progress,accepted,refused,sent_back,status,never_seen  -  -
sender    kept      query                                 kept      status
receiver  none      offer                                 deciding  -
receiver  none      called_off                            refused   -
receiver  none      query                                 none      status
receiver  deciding  offer                                 -         -
receiver  deciding  called_off                            refused   -
receiver  deciding  query                                 deciding  status
receiver  deciding  status                                deciding  -
receiver  awaited   offer                                 -         -
receiver  awaited   called_off                            refused   -
receiver  awaited   record,status                         awaited   -
receiver  awaited   query                                 awaited   status
receiver  awaited   query_record                          refused   never_seen
receiver  taken     offer,record,status                   -         -
receiver  taken     query,query_record                    taken     status
receiver  refused   offer,called_off,status               -         -
receiver  refused   record                                back      sent_back
receiver  refused   query                                 refused   status
receiver  refused   query_record                          refused   never_seen
receiver  back      offer,record,status                   -         -
receiver  back      query,query_record                    back      status
"""

OPEN = {"offered", "handover", "deciding", "awaited"}
ENDED = {"moved", "kept", "taken", "refused", "back"}


class Step(NamedTuple):
    """Where an act or a message leads, and the message that goes out with it; empty for none."""

    leads_to: str
    says: str
    passed_over: bool = False


class NotAllowed(Exception):
    """The table has no such line: nothing may be done."""


def _rows(table: str) -> list[list[str]]:
    return [["" if cell == "-" else cell for cell in line.split()] for line in table.strip().splitlines()]


_ACTS = {(side, state, act): rest for side, state, act, *rest in _rows(ACTS)}
_HEARD = {
    (side, state, message): (leads_to, answer)
    for side, state, messages, leads_to, answer in _rows(HEARD)
    for message in messages.split(",")
}


def act(transfer, name: str) -> Step:
    """Return what the act does; NotAllowed where the state, or what was heard, forbids it."""
    line = _ACTS.get((transfer["side"], transfer["state"], name))
    if line is None:
        raise NotAllowed(name)
    says, leads_to, needs, not_after = line
    if (needs and not transfer[f"heard_{needs}"]) or (not_after and transfer[f"heard_{not_after}"]):
        raise NotAllowed(name)
    return Step(leads_to, says)


def hear(transfer, message: str) -> Step:
    """Return what a message does; NotAllowed where it cannot come from an honest peer."""
    side, state = transfer["side"], transfer["state"]
    if (side, state, message) == ("receiver", "awaited", "query_record") and transfer["heard_record"]:
        return Step("awaited", "status")
    line = _HEARD.get((side, state, message))
    if line is None:
        raise NotAllowed(message)
    leads_to, answer = line
    return Step(leads_to or state, answer, not leads_to)


def word(type_: str, data: dict) -> str:
    """Return the name that the tables give a message: some have one by what stands in them."""
    if type_ == "query" and data["about"] == "record":
        return "query_record"
    if type_ == "status" and data["state"] == "never_seen":
        return "never_seen"
    return type_
