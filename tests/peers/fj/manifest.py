"""What FJ has of the transfers of a day: lines, buckets, and how they differ from the peer's."""

from collections import defaultdict
from typing import NamedTuple

from tests.peers.fj import jose, rules
from tests.peers.fj.ledger import Book

PATH = "/bridge/v1/manifest"


class Line(NamedTuple):
    """One transfer, in words that are the same on both sides."""

    subject: str
    outcome: str
    sender_seq: int
    sender_head: str
    receiver_seq: int
    receiver_head: str


def lines(book: Book, day: str) -> list[Line]:
    """Return the transfers that were offered on a day, in the order of their subjects."""
    return sorted(map(line, book.all("SELECT * FROM transfers WHERE day = ?", day)))


def line(row) -> Line:
    """Return what is said of one transfer."""
    outcome = rules.OUTCOMES[row["side"]][row["state"]]
    if row["state"] == "awaited" and row["heard_record"]:
        outcome = "on_the_way"
    said, heard = (row["said_seq"], row["said_head"]), (row["heard_seq"], row["heard_head"])
    sender, receiver = (said, heard) if row["side"] == "sender" else (heard, said)
    return Line(row["subject"], outcome, *sender, *receiver)


def bucket_of(subject: str) -> str:
    """Return the bucket of a transfer."""
    return jose.digest(subject)[:2]


def buckets(some: list[Line]) -> dict[str, list[Line]]:
    """Return lines by their buckets."""
    found = defaultdict(list)
    for one in some:
        found[bucket_of(one.subject)].append(one)
    return dict(sorted(found.items()))


def summary(some: list[Line]) -> list[dict]:
    """Return name, count and digest of each bucket."""
    return [
        {
            "name": name,
            "count": len(inside),
            "digest": jose.digest("\n".join(" ".join(map(str, one)) for one in inside)),
        }
        for name, inside in buckets(some).items()
    ]
