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


def homes(book: Book, day: str, after: str) -> list[dict]:
    """Return where the members are whose transfers of a day have ended, after a subject."""
    rows = book.all(
        "SELECT t.subject, t.side, t.state, m.state AS place FROM transfers t"
        " LEFT JOIN members m ON m.number = t.number"
        " WHERE t.day = ? AND t.subject > ? AND t.number <> '' ORDER BY t.subject",
        day,
        after,
    )
    said = []
    for row in rows:
        if rules.OUTCOMES[row["side"]][row["state"]] in ("moved", "kept"):
            here, there = ("sender", "receiver") if row["side"] == "sender" else ("receiver", "sender")
            words = {"active": here, "on_the_way": "moving", "gone": there}
            said.append({"subject": row["subject"], "home": words.get(row["place"], "nobody")})
    return said


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
