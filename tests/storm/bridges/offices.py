"""Our administrators: they start transfers to the peers in lists, and decide whatever lies at their desks."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from typing import Any

import sqlalchemy as sa

from tests.system.fullhouse import CLASS, key, request_of, token

MOST = 500
"""Items of a list."""
REJECTED = 0.05
"""Of those who come."""
AGAIN_SECONDS = 0.5
DESKS = sa.text("""
    SELECT o.transfer_id, o.node_no, o.state, o.org_id, t.peer, t.initiator
    FROM open_nodes o JOIN transfers t USING (transfer_id)
    WHERE o.state IN ('pending_out', 'pending_in', 'pending_assign') AND t.peer <> ''
    ORDER BY o.transfer_id LIMIT 2000""")
TARGETS = sa.text("""
    SELECT org_id, system FROM orgs
    WHERE system = ANY(:systems) AND kind IN ('branch', 'committee') AND peer_code IS NOT NULL AND NOT deleted
    ORDER BY org_id""")
AT_ONCE = 2
TELL_SECONDS = 15.0


class Offices:
    """Everybody who decides here, through the API, as long as it takes."""

    def __init__(self, town: Any, browser: Any, systems: tuple[str, ...], seed: int) -> None:
        self.town, self.browser, self.dice = town, browser, random.Random(f"{seed}/offices")
        with town.engine("orgs").connect() as tx:
            self.targets = [row.org_id for row in tx.execute(TARGETS, {"systems": list(systems)})]
        self.branches = defaultdict(list)
        for org in town.tree:
            if org.kind == "branch" and org.purpose not in ("vault", "awaiting") and org.id != CLASS:
                self.branches[org.parent_id].append(org.id)
        self.over = threading.Event()
        self.met: Counter[str] = Counter()
        self.waiting: list[dict[str, Any]] = []
        self.started: list[int] = []
        self.thread = threading.Thread(target=self.run, name="offices", daemon=True)

    def leave(self, members: list[int]) -> None:
        """Let members of the class leave for the peers, most of them by their class."""
        for nth, member in enumerate(members):
            asked = request_of(
                member,
                target_org_id=self.dice.choice(self.targets),
                reason="further_study",
                place_name="某大学",
            )
            if nth % 20 == 19:
                asked["initiator"] = "member"
            self.waiting.append(asked)

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self.start()
                self.decide()
            except (sa.exc.SQLAlchemyError, OSError) as error:
                self.met[f"tried again: {type(error).__name__}"] += 1
            self.over.wait(AGAIN_SECONDS)

    def send(self, path: str, person: int, org: int | None, items: list[dict[str, Any]]) -> list[Any] | None:
        """Send a list; return the answers, None if nobody knows what became of it: it is sent again."""
        headers = {"Authorization": f"Bearer {token(person)}"}
        if org is not None:
            headers["X-Acting-Org"] = str(org)
        answer = self.browser.post(f"/api/v1{path}", headers=headers, json={"items": items})
        if answer.status_code != 200:
            self.met[f"{path}: HTTP {answer.status_code}"] += 1
            return None
        results = answer.json["results"]
        for one in results:
            if one.get("refusal"):
                self.met[f"{path}: {one['refusal']['code']}"] += 1
        return list(results)

    def start(self) -> None:
        """Send what is to be started: a list of the class, and one item for each member who starts."""
        listed = [one for one in self.waiting if one["initiator"] == "source"][:MOST]
        alone = [one for one in self.waiting if one["initiator"] == "member"][:AT_ONCE]
        for some, person, org in [
            (listed, self.administrator(CLASS), CLASS),
            *(([one], one["member_id"], None) for one in alone),
        ]:
            answers = self.send("/transfers", person, org, some) if some else None
            if answers is not None:
                sent = {one["command_id"] for one in some}
                self.waiting = [one for one in self.waiting if one["command_id"] not in sent]
                self.started += [int(one["transfer_id"]) for one in answers if one.get("transfer_id")]

    def decide(self) -> None:
        """Decide all that lies at a desk of ours."""
        with self.town.engine("transfers").connect() as tx:
            rows = tx.execute(DESKS).all()
        desks = defaultdict(list)
        for row in rows:
            desks[row.org_id, row.state].append(row)
        for (org, state), some in desks.items():
            if self.over.is_set():
                return
            for first in range(0, len(some), MOST):
                self.decide_some(org, state, some[first : first + MOST])

    def decide_some(self, org: int, state: str, some: list[Any]) -> None:
        if state == "pending_assign":
            items = [
                {
                    "decision_id": key(),
                    "transfer_id": row.transfer_id,
                    "branch_id": self.dice.choice(self.branches[org]),
                }
                for row in some
            ]
            self.send("/transfers/assignments", self.administrator(org), org, items)
            return
        items = [
            {"decision_id": key(), "transfer_id": row.transfer_id, "node_no": row.node_no}
            | self.decision(row, org)
            for row in some
        ]
        self.send("/transfers/decisions", self.administrator(org), org, items)

    def decision(self, row: Any, org: int) -> dict[str, Any]:
        """Return what is decided of one who comes or goes; the same whenever it is sent again."""
        chance = random.Random(f"{row.transfer_id}").random()
        nobody = row.state == "pending_in" and not self.branches[org] and not self.is_branch(org)
        if row.state == "pending_in" and (nobody or chance < REJECTED):
            return {"approve": False, "reason_code": "wrong_data", "note": "资料不符"}
        return {"approve": True}

    def is_branch(self, org: int) -> bool:
        return any(one.id == org and one.kind == "branch" for one in self.town.tree)

    @staticmethod
    def administrator(org: int) -> int:
        from system import world

        return world.administrator_of(org)

    def end(self) -> None:
        """Go home."""
        self.over.set()
        if self.thread.is_alive():
            self.thread.join(60)


def settled(waiting: Any, seconds: float, trace: list[str], quiet_looks: int = 3) -> list[str]:
    """Wait until nothing is left to wait for, several looks in a row; return what is left after that time.

    Into `trace` goes what was left every quarter of a minute.
    """
    began = time.monotonic()
    ends, quiet, told = began + seconds, 0, began
    left = ["not looked yet"]
    while quiet < quiet_looks and time.monotonic() < ends:
        try:
            left = waiting()
        except sa.exc.SQLAlchemyError:
            left = ["a database does not answer"]
        quiet = 0 if left else quiet + 1
        if left and time.monotonic() > told + TELL_SECONDS:
            told = time.monotonic()
            trace.append(f"left after {told - began:.0f} s: {', '.join(left)}")
        time.sleep(0.5)
    return left
