"""What both sides have of the transfers of a day: lines, buckets, digests, and what differs."""

import hashlib
from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from tests.peers.gd import moments

PATH = "/bridge/v1/manifest"
OUTCOMES = {
    "none": "open",
    "offered": "open",
    "deciding": "open",
    "awaited": "open",
    "handover": "on_the_way",
    "moved": "moved",
    "taken": "moved",
    "kept": "kept",
    "refused": "kept",
    "back": "kept",
}


class Line(NamedTuple):
    """A transfer as one side has it."""

    subject: str
    outcome: str
    sender_seq: int
    sender_head: str
    receiver_seq: int
    receiver_head: str


def day_of(at: float) -> str:
    """Return the day in China."""
    return f"{datetime.fromtimestamp(at, moments.CHINA):%Y-%m-%d}"


def bucket_of(subject: str) -> str:
    """Return the name of the bucket that holds a transfer."""
    return hashlib.sha256(subject.encode()).hexdigest()[:2]


def line(transfer) -> Line:
    """Return the line of a transfer: one side as it was said, the other as far as it was heard in order."""
    said = (transfer["said_seq"], transfer["said_sha"])
    heard = (transfer["heard_seq"], transfer["heard_sha"])
    sender, receiver = (said, heard) if transfer["side"] == "sender" else (heard, said)
    has_record = transfer["state"] == "awaited" and transfer["heard_record"]
    outcome = "on_the_way" if has_record else OUTCOMES[transfer["state"]]
    return Line(transfer["subject"], outcome, *sender, *receiver)


def home(row) -> str:
    """Return where a member is, in words that are the same for both sides."""
    here, there = ("sender", "receiver") if row["side"] == "sender" else ("receiver", "sender")
    return {"active": here, "gone": there, "on_the_way": "moving"}.get(row["state"], "nobody")


def buckets(lines: list[Line]) -> dict[str, list[Line]]:
    """Return the lines by their buckets, in the order of their subjects; empty buckets are left out."""
    found = defaultdict(list)
    for one in sorted(lines):
        found[bucket_of(one.subject)].append(one)
    return dict(sorted(found.items()))


def digest(lines: list[Line]) -> str:
    """Return the digest of a bucket."""
    texts = [" ".join(str(field) for field in one) for one in lines]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def summary(lines: list[Line]) -> list[dict]:
    """Return what a manifest says of each bucket."""
    return [
        {"name": name, "count": len(inside), "digest": digest(inside)}
        for name, inside in buckets(lines).items()
    ]


def differing(own: list[Line], theirs: list[dict]) -> set[str]:
    """Return the names of the buckets that are not alike."""
    here = {one["name"]: (one["count"], one["digest"]) for one in summary(own)}
    there = {one["name"]: (one["count"], one["digest"]) for one in theirs}
    return {name for name in here.keys() | there.keys() if here.get(name) != there.get(name)}
