"""What both sides have in the end: decided, agreed, in chains that verify, with nothing left to send."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.federation import settings as federation
from services.federation.calling import Address, Caller, NoAnswer
from services.federation.reconcile import Reconciler
from shared import clock, db
from shared.messages.words import PEERS
from shared.settings import Environment, bridge

ENDINGS = {("moved", "taken"), ("kept", "refused"), ("kept", "back"), ("kept", "none")}
OPEN = ("offered", "handover", "deciding", "awaited")
PHANTOM = re.compile(r"^national:9\d{5}$")
"""FJ's invented transfers (`FIRST_PHANTOM` of its staff)."""
EXPLAINED = {
    "integrated at none": "FJ's phantoms: integrated who was never offered",
}
"""Why a message may be in quarantine here after a storm with these faults."""
SHOWN = {
    "refused by the peer: wrong_field": "GD's spoilt records, which the door refuses for good",
    "differs from what the peer has": "GD's patience is some minutes at this speed: it is on its way",
}
"""Why a message may be shown at a peer."""
STATES = {
    "BJ": "SELECT subject, stage FROM cases WHERE stage <> 'none'",
    "GD": "SELECT subject, state FROM transfers WHERE state <> 'none'",
    "FJ": "SELECT subject, state FROM transfers WHERE state <> 'none'",
}
SAID = {
    "BJ": "SELECT subject, seq, hash FROM outgoing",
    "GD": "SELECT subject, seq, sha256 FROM said",
    "FJ": "SELECT subject, seq, sha256 FROM said",
}
HEARD = {
    "BJ": "SELECT subject, seq, hash FROM incoming",
    "GD": "SELECT subject, seq, sha256 FROM heard",
    "FJ": "SELECT subject, seq, sha256 FROM heard",
}
LEFT = {
    "BJ": "SELECT count(*) FROM outgoing WHERE done IS NULL",
    "GD": "SELECT (SELECT count(*) FROM said WHERE state = 'waiting')"
    " + (SELECT count(*) FROM heard WHERE state = 'held')",
    "FJ": "SELECT (SELECT count(*) FROM said WHERE state = 'waiting')"
    " + (SELECT count(*) FROM heard WHERE state = 'held')",
}
ODD = {
    "BJ": "SELECT odd FROM incoming WHERE odd <> ''",
    "GD": "SELECT what FROM shown",
    "FJ": "SELECT what FROM shown",
}


class Ended(NamedTuple):
    """What was found: what should not be, and figures."""

    wrong: list[str]
    figures: list[str]


def theirs(peer: Any, queries: dict[str, str]) -> list[tuple[Any, ...]]:
    """Return what a peer's file says."""
    with closing(sqlite3.connect(peer.program.file, timeout=30)) as connection:
        connection.execute("PRAGMA query_only = 1")
        return connection.execute(queries[peer.system]).fetchall()


def rows(town: Any, service: str, query: str) -> list[Any]:
    """Return what a database of ours says."""
    with town.engine(service).connect() as tx:
        return list(tx.execute(sa.text(query)).all())


def under_way(town: Any, peers: dict[str, Any]) -> list[str]:
    """Return what is not at its end yet, in words."""
    left = []
    for service in town.settings.services:
        left.append((f"{service}: outbox", count(town, service, "outbox WHERE published_at IS NULL")))
        failed = "failed_messages WHERE next_attempt_at IS NOT NULL"
        left.append((f"{service}: messages to be tried again", count(town, service, failed)))
    left.append(("transfers: open", count(town, "transfers", "open_transfers")))
    for system, peer in peers.items():
        ours = bridge(system)
        left.append((f"{ours}: open", count(town, ours, f"handovers WHERE state IN {OPEN}")))
        left.append((f"{ours}: to send", count(town, ours, "sent WHERE state = 'waiting'")))
        left.append((f"{ours}: held", count(town, ours, "received WHERE state = 'held'")))
        left.append((f"{system}: to send, or held", theirs(peer, LEFT)[0][0]))
        open_there = sum(state in OPEN for _, state in theirs(peer, STATES))
        left.append((f"{system}: open", open_there))
    return [f"{what} {number}" for what, number in left if number]


def count(town: Any, service: str, what: str) -> int:
    return int(rows(town, service, f"SELECT count(*) FROM {what}")[0][0])


def examine(town: Any, peers: dict[str, Any]) -> Ended:
    """Return what is wrong in the end, and figures of what was done."""
    wrong: list[str] = []
    figures: list[str] = []
    for peer in peers.values():
        wrong += [f"{peer.system}: {one}" for one in [*agree(town, peer, figures), *chains(town, peer)]]
        wrong += [
            f"{peer.system}: {one}" for one in [*unexplained(town, peer, figures), *compared(town, peer)]
        ]
    dead = sum(
        count(town, service, "failed_messages WHERE next_attempt_at IS NULL")
        for service in town.settings.services
    )
    if dead:
        wrong.append(f"{dead} dead letters")
    figures.append(longest(town, peers))
    return Ended(wrong, figures)


def agree(town: Any, peer: Any, figures: list[str]) -> list[str]:
    """Return the transfers of which both sides do not have the same end."""
    ours = dict(rows(town, bridge(peer.system), "SELECT subject, state FROM handovers"))
    there = dict(theirs(peer, STATES))
    wrong, ends = [], Counter[str]()
    for subject in ours.keys() | there.keys():
        here, other = ours.get(subject, "none"), there.get(subject, "none")
        if PHANTOM.match(subject):
            continue
        pair = (here, other) if subject.startswith("national:") else (other, here)
        ends[f"{'there' if subject.startswith('national:') else 'here'} {pair[1]}"] += 1
        if pair not in ENDINGS:
            wrong.append(f"{subject}: {pair[0]} and {pair[1]}")
    figures.append(f"{peer.system}: " + ", ".join(f"{what} {n}" for what, n in ends.most_common()))
    return wrong


def chains(town: Any, peer: Any) -> list[str]:
    """Return messages that are not what their hash says, or that one side has and the other has not."""
    service, wrong = bridge(peer.system), []
    for table, queries in (("sent", HEARD), ("received", SAID)):
        there = {(row[0], row[1]): row[2] for row in theirs(peer, queries)}
        heads: dict[str, str] = {}
        for row in rows(town, service, f"SELECT subject, seq, sha256, jws, state FROM {table} ORDER BY 1, 2"):
            if hashlib.sha256(row.jws.encode()).hexdigest() != row.sha256:
                wrong.append(f"{table} {row.subject} {row.seq}: not its hash")
            if said_prev(row.jws) != heads.get(row.subject, ""):
                wrong.append(f"{table} {row.subject} {row.seq}: prev is not the message before")
            heads[row.subject] = row.sha256
            if row.state != "parked" and there.pop((row.subject, row.seq), None) != row.sha256:
                wrong.append(f"{table} {row.subject} {row.seq}: not what {peer.system} has")
            if row.state == "parked":
                wrong.append(f"{table} {row.subject} {row.seq}: parked")
        wrong += [f"{table} {subject} {seq}: only {peer.system} has it" for subject, seq in there]
    return wrong


def said_prev(jws: str) -> str:
    """Return `prev` of a message, by no code of ours."""
    import base64
    import json

    payload = jws.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["prev"])


def unexplained(town: Any, peer: Any, figures: list[str]) -> list[str]:
    """Return the reasons for which messages are in quarantine and that no fault explains."""
    why = "SELECT why, count(*) FROM quarantine WHERE decision IS NULL GROUP BY 1"
    found = {row[0]: row[1] for row in rows(town, bridge(peer.system), why)}
    if found:
        figures.append(
            f"{peer.system}: in quarantine here " + ", ".join(f"{w} {n}" for w, n in found.items())
        )
    there = Counter(plain(row[0]) for row in theirs(peer, ODD))
    if there:
        figures.append(f"{peer.system}: shown there " + ", ".join(f"{w} {n}" for w, n in there.items()))
    odd = [f"in quarantine: {one}" for one in found if one not in EXPLAINED or peer.system != "FJ"]
    return odd + [f"shown there: {one}" for one in there if one not in SHOWN or peer.system != "GD"]


def plain(what: str) -> str:
    """Return what a peer shows without the numbers in it."""
    return re.sub(r"\S+/\S+: ", "", re.sub(r"\d+", "N", what))


def compared(town: Any, peer: Any) -> list[str]:
    """Return what the reconciliation of the day finds."""
    environment = Environment(dict(town.environ))
    own = federation.read(peer.system, environment, town.settings)
    database = db.Database(town.engine(bridge(peer.system)))
    caller = Caller(Address(f"http://127.0.0.1:{peer.port}"))
    for nth in range(20):
        try:
            result = Reconciler(own.bridge, database, caller).day(clock.today())
            return [f"reconciliation: {one.subject} {one.kind}" for one in result.differences]
        except NoAnswer as error:
            why = str(error)
            clock_wait(nth)
    return [f"reconciliation: {why}"]


def clock_wait(nth: int) -> None:
    import time

    time.sleep(min(2.0, 0.2 * (nth + 1)))


def longest(town: Any, peers: dict[str, Any]) -> str:
    """Return how long members were on the way, at most and in the middle, by our own clock."""
    there = """
        SELECT extract(epoch FROM min(r.received_at) - s.said_at)::float
        FROM sent s JOIN received r USING (subject)
        WHERE s.type = 'record' AND r.type IN ('integrated', 'sent_back', 'refused')
            AND r.received_at >= s.said_at
        GROUP BY s.subject, s.said_at"""
    here = """
        SELECT extract(epoch FROM min(s.said_at) - r.received_at)::float
        FROM received r JOIN sent s USING (subject)
        WHERE r.type = 'record' AND s.type IN ('integrated', 'sent_back') GROUP BY r.subject, r.received_at"""
    words = []
    for way, query in (("there", there), ("here", here)):
        found = sorted(row[0] for one in peers for row in rows(town, bridge(one), query))
        if found:
            words.append(f"{way} {found[-1]:.1f} s at most, {found[len(found) // 2]:.1f} s in the middle")
    return "on the way: " + "; ".join(words)


assert set(STATES) == set(PEERS)
