"""What the season's policy says, as people read it (BEY-07)."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from services.transfers.policies import reader, store
from shared import clock, directory
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import transfers as contract


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
        if org.kind == "leading_body":
            with tx.begin_nested() as trial:
                effects = [
                    contract.PolicyEffect(**row._mapping) for row in store.dry_run(tx, other, clock.now())
                ]
                trial.rollback()
    return contract.PolicyView(
        key=held.key,
        source=held.source,
        withdraw_until=held.withdraw_until,
        changes=changes,
        effects=effects,
        known=reader.known(),
        nodes=[
            contract.PolicyNode(
                state=str(state),
                remind_after=node.remind_after_days,
                expire_after=node.expire_after_days,
                on_expiry=node.on_expiry,
            )
            for state, node in held.nodes.items()
        ],
        phases=[
            contract.PolicyPhase(
                name=phase.name,
                begins="{:02}-{:02}".format(*phase.begins),
                ends="{:02}-{:02}".format(*phase.ends),
                clock=phase.clock,
                withdraw_until=phase.withdraw_until,
            )
            for phase in held.phases
        ],
        history=[contract.PolicyHeld(since=row.holds_from, key=row.key) for row in store.history(tx)],
    )
