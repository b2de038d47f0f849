"""What the season's policy says, as people read it (BEY-07)."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.transfers.policies import reader, store
from services.transfers.policies.reader import Policy
from shared import clock, directory
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract
from shared.messages.words import OnExpiry, WithdrawUntil


def get_policy(tx: Connection, request: contract.GetPolicy, actor: Actor | None) -> contract.PolicyView:
    """Return the policy that holds and its history (BEY-07).

    Compared with another one it says what changes, and to leading bodies what that would do to the open
    nodes.

    Raises:
        Refused: `unknown_policy`.

    """
    org = directory.require_above(tx, actor, observers=True)
    held = store.active(tx, clock.now())
    changes: list[str] = []
    effects: list[contract.PolicyEffect] = []
    if request.compare:
        if request.compare not in reader.known():
            raise Refused("unknown_policy")
        other = reader.read(request.compare)
        changes = reader.differences(held, other)
        effects = _effects(tx, other) if org.kind == "leading_body" else []
    return contract.PolicyView(
        key=held.key,
        source=held.source,
        withdraw_until=WithdrawUntil(held.withdraw_until),
        changes=changes,
        effects=effects,
        known=reader.known(),
        nodes=_nodes(held),
        phases=_phases(held),
        history=[contract.PolicyHeld(since=row.holds_from, key=row.key) for row in store.history(tx)],
    )


def _effects(tx: Connection, policy: Policy) -> list[contract.PolicyEffect]:
    """Return what a policy would do to the nodes that are open now; nothing of it stays."""
    with tx.begin_nested() as trial:
        effects = store.dry_run(tx, policy, clock.now())
        trial.rollback()
    return effects


def _nodes(policy: Policy) -> list[contract.PolicyNode]:
    return [
        contract.PolicyNode(
            state=state,
            remind_after=node.remind_after_days,
            expire_after=node.expire_after_days,
            on_expiry=OnExpiry(node.on_expiry),
        )
        for state, node in policy.nodes.items()
    ]


def _phases(policy: Policy) -> list[contract.PolicyPhase]:
    return [
        contract.PolicyPhase(
            name=phase.name,
            begins="{:02}-{:02}".format(*phase.begins),
            ends="{:02}-{:02}".format(*phase.ends),
            clock=phase.clock,
            withdraw_until=WithdrawUntil(phase.withdraw_until),
        )
        for phase in policy.phases
    ]
