"""The two tables of docs/federation.md, and what they say of a transfer.

A transfer is any mapping of `side`, `state`, `heard_accepted`, `heard_record` and `heard_never_seen`.
"""

from typing import NamedTuple

OPEN = ("offered", "handover", "deciding", "awaited")


class Act(NamedTuple):
    """What follows from an act; `needs` and `unless` are what must, or must not, have been heard."""

    says: str
    state: str
    needs: str = ""
    unless: str = ""


class Heard(NamedTuple):
    """What follows from a message that is heard: the next state, and the answer; '' for none."""

    state: str
    says: str = ""


# fmt: off
ACTS = {
    "sender": {
        "none":     {"offer": Act("offer", "offered")},
        "offered":  {"call_off": Act("called_off", "kept"), "ask": Act("query", "offered"),
                     "hand_over": Act("record", "handover", needs="accepted")},
        "handover": {"ask": Act("query", "handover"), "ask_record": Act("query_record", "handover"),
                     "release": Act("", "kept", needs="never_seen")},
    },
    "receiver": {
        "deciding": {"tell": Act("progress", "deciding"), "accept": Act("accepted", "awaited"),
                     "refuse": Act("refused", "refused"), "ask": Act("query", "deciding")},
        "awaited":  {"ask": Act("query", "awaited"), "give_up": Act("refused", "refused", unless="record"),
                     "take": Act("integrated", "taken", needs="record"),
                     "send_back": Act("sent_back", "back", needs="record")},
    },
}
STAY = "="  # the state does not change
LATE = ""   # passed over
HEARD = {
    "sender": {
        "offered":  {"progress": STAY, "accepted": STAY, "refused": "kept", "query": STAY, "status": STAY},
        "handover": {"progress": LATE, "accepted": LATE, "refused": "kept", "integrated": "moved",
                     "sent_back": "kept", "query": STAY, "status": STAY, "never_seen": STAY},
        "moved":    {"progress": LATE, "accepted": LATE, "integrated": LATE, "query": STAY, "status": LATE},
        "kept":     {"progress": LATE, "accepted": LATE, "refused": LATE, "sent_back": LATE, "query": STAY,
                     "status": LATE, "never_seen": LATE},
    },
    "receiver": {
        "none":     {"offer": "deciding", "called_off": "refused", "query": STAY},
        "deciding": {"offer": LATE, "called_off": "refused", "query": STAY, "status": STAY},
        "awaited":  {"offer": LATE, "called_off": "refused", "record": STAY, "query": STAY,
                     "query_record": "refused", "status": STAY},
        "taken":    {"offer": LATE, "record": LATE, "query": STAY, "query_record": STAY, "status": LATE},
        "refused":  {"offer": LATE, "called_off": LATE, "record": "back", "query": STAY,
                     "query_record": STAY, "status": LATE},
        "back":     {"offer": LATE, "record": LATE, "query": STAY, "query_record": STAY, "status": LATE},
    },
}
ANSWERS = {
    ("refused", "record"): "sent_back",
    ("refused", "query_record"): "never_seen",
    ("awaited", "query_record"): "never_seen",
}
# fmt: on
OUTCOMES = {
    "sender": {"none": "open", "offered": "open", "handover": "on_the_way", "moved": "moved", "kept": "kept"},
    "receiver": {
        "none": "open",
        "deciding": "open",
        "awaited": "open",
        "taken": "moved",
        "refused": "kept",
        "back": "kept",
    },
}
"""What a manifest says of a state; who awaits and has the record says `on_the_way`."""


def act(transfer, name: str) -> Act | None:
    """Return what an act does now, None where it may not be done."""
    found = ACTS[transfer["side"]].get(transfer["state"], {}).get(name)
    if found is None or (found.needs and not transfer[f"heard_{found.needs}"]):
        return None
    return None if found.unless and transfer[f"heard_{found.unless}"] else found


def hear(transfer, word: str) -> Heard | None:
    """Return what a message does now, with state '' where it is passed over; None where there is no line."""
    state = transfer["state"]
    leads = HEARD[transfer["side"]].get(state, {}).get(word)
    if leads is None:
        return None
    if leads == LATE:
        return Heard("")
    answer = ANSWERS.get((state, word), "status" if word.startswith("query") else "")
    if (state, word) == ("awaited", "query_record") and transfer["heard_record"]:
        return Heard(state, "status")
    return Heard(state if leads == STAY else leads, answer)


def word(kind: str, data: dict) -> str:
    """Return what the tables call a message."""
    if kind == "query" and data["about"] == "record":
        return "query_record"
    return "never_seen" if kind == "status" and data["state"] == "never_seen" else kind
