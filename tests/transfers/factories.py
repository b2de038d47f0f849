"""Transfers on a database: a small tree with its administrators, requests, decisions, what was told."""

import json
import uuid

import sqlalchemy as sa

from services.transfers import handlers, store
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import MemberMoved, MemberReserved
from shared.messages.transfers import AssignBranch, DecideNode, RequestTransfer

ROOT, SCHOOL, CLASS, TARGET, BRANCH, DEEP, OTHER, VAULT = 1, 2, 3, 4, 5, 6, 7, 9

ORGS = [  # id, parent, path, kind, purpose
    (ROOT, None, "1.", "leading_body", "ordinary"),
    (SCHOOL, 1, "1.2.", "committee", "ordinary"),
    (CLASS, 2, "1.2.3.", "branch", "graduate"),
    (TARGET, 1, "1.4.", "committee", "ordinary"),
    (BRANCH, 4, "1.4.5.", "branch", "ordinary"),
    (8, 4, "1.4.8.", "general_branch", "ordinary"),
    (DEEP, 8, "1.4.8.6.", "branch", "ordinary"),
    (OTHER, 1, "1.7.", "branch", "ordinary"),
    (VAULT, 1, "1.9.", "branch", "vault"),
    (41, 4, "1.4.41.", "branch", "graduate"),
]

HERE, THERE, ELSEWHERE = "42", "31", "33"
"""Three provinces: the school's, the target's, and that of a branch beside both.

So no test can mistake one side for the other.
"""

PROVINCE_OF = {TARGET: THERE, BRANCH: THERE, 8: THERE, DEEP: THERE, 41: THERE, OTHER: ELSEWHERE}


def admin(org_id: int) -> Actor:
    return Actor(100 + org_id, org_id)


_members = iter(range(1000, 10**6))


def request(initiator="source", actor=None, target=TARGET, member=None, **values) -> Asked:
    member = member or next(_members)
    actor = (
        actor or {"source": admin(SCHOOL), "target": admin(target or 0), "member": Actor(member)}[initiator]
    )
    item = RequestTransfer(
        **{
            "command_id": uuid.uuid4(),
            "initiator": initiator,
            "member_id": member,
            "source_branch_id": CLASS,
            "target_org_id": target,
            "reason": "further_study",
            "place_name": "某大学",
            "place_address": "某地",
            **values,
        }
    )
    return Asked(item, actor)


def start(tx, *asked) -> list[int]:
    """Start transfers and have their members reserved."""
    made = handlers.request_transfers(tx, list(asked))
    assert [one.refusal for one in made] == [None] * len(made)
    handlers.on_member_reserved(
        tx, [MemberReserved(transfer_id=one.transfer_id, member_id=1) for one in made]
    )
    return [one.transfer_id for one in made]


def decide(tx, transfer_id, org, approve=True, node_no=1, **values):
    return handlers.decide_nodes(
        tx,
        [
            Asked(
                DecideNode(
                    decision_id=values.pop("decision_id", uuid.uuid4()),
                    transfer_id=transfer_id,
                    node_no=node_no,
                    approve=approve,
                    **values,
                ),
                admin(org),
            )
        ],
    )[0]


def assign(tx, transfer_id, branch, org=TARGET):
    return handlers.assign_branches(
        tx,
        [
            Asked(
                AssignBranch(decision_id=uuid.uuid4(), transfer_id=transfer_id, branch_id=branch), admin(org)
            )
        ],
    )[0]


def state(tx, transfer_id) -> str:
    return store.one(tx, transfer_id).state


def events(tx) -> list[tuple[str, dict]]:
    return [
        (row.topic, item)
        for row in tx.execute(sa.text("SELECT topic, body FROM outbox ORDER BY id"))
        for item in json.loads(row.body)
    ]


def complete(tx, transfer_id):
    handlers.on_member_moved(tx, [MemberMoved(transfer_id=transfer_id, member_id=1, branch_id=BRANCH)])
