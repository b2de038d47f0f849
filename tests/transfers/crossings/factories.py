"""Two other systems beside the small tree: what their bridges tell, and what is told to them."""

import uuid

from services.transfers import handlers
from services.transfers.crossings import handlers as crossings
from shared.messages import federation as told
from shared.messages.members import MemberReserved
from tests.transfers.factories import BRANCH, TARGET, assign, decide, events, request, start

BEIJING, COLLEGE, THERE, CANTON, CANTON_BRANCH, FUJIAN_BRANCH = 11, 12, 13, 44, 45, 36
MIRRORED = [  # id, parent, path, kind, system
    (BEIJING, 1, "1.11.", "leading_body", "BJ"),
    (COLLEGE, 11, "1.11.12.", "committee", "BJ"),
    (THERE, 12, "1.11.12.13.", "branch", "BJ"),
    (CANTON, 1, "1.44.", "leading_body", "GD"),
    (CANTON_BRANCH, 44, "1.44.45.", "branch", "GD"),
    (35, 1, "1.35.", "leading_body", "FJ"),
    (FUJIAN_BRANCH, 35, "1.35.36.", "branch", "FJ"),
]
PROVINCES = {"BJ": "11", "GD": "44", "FJ": "35"}
BRIDGE = (
    "remote_opened",
    "handover_opened",
    "arrival_answered",
    "arrival_accepted",
    "arrival_completed",
    "crossing_ended",
)
"""What the bridge is told."""


def leave(tx, initiator="source", target=THERE, member=None, **values):
    """Start a transfer to another system and have its member held."""
    return start(tx, request(initiator, target=target, member=member, **values))[0]


def handed_over(tx, **values):
    """Return a transfer whose hand-over has begun."""
    one = leave(tx, **values)
    crossings.on_remote_accepted(tx, [told.RemoteAccepted(transfer_id=one, peer="BJ")])
    return one


def wanted(target=TARGET, source=THERE, peer="BJ", **values):
    """Return the request of another system for somebody who comes."""
    fields = {
        "command_id": uuid.uuid4(),
        "peer": peer,
        "member_id": next(_members),
        "source_branch_id": source,
        "target_org_id": target,
        "reason": "further_study",
        "place_name": "某大学",
        **values,
    }
    return told.PeerRequested(**fields)


_members = iter(range(700_000, 10**6))


def come(tx, *items, held=True):
    """Let another system ask for transfers, and members hold who comes; return their ids, None for none."""
    crossings.on_peer_requested(tx, list(items))
    answers = {item["command_id"]: item for topic, item in events(tx) if topic == "arrival_answered"}
    ids = [answers[str(item.command_id)]["transfer_id"] for item in items]
    if held:
        hold(tx, *ids)
    return ids


def hold(tx, *ids):
    handlers.on_member_reserved(tx, [MemberReserved(transfer_id=one, member_id=1) for one in ids])


def awaited(tx, target=TARGET, branch=BRANCH, **values):
    """Return a transfer from another system whose record is awaited."""
    (one,) = come(tx, wanted(target, **values))
    assert decide(tx, one, target).refusal is None
    if target == TARGET:
        assert assign(tx, one, branch).refusal is None
    return one


def said(tx, *topics):
    """Return what the bridge was told: topics and items, in order; of some topics only these."""
    return [(topic, item) for topic, item in events(tx) if topic in (topics or BRIDGE)]
