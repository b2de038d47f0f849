"""Organisations, people and transfers of tests about operators."""

from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from services.federation.operating import handlers
from services.federation.operating.desk import bridge_of
from services.federation.protocol import Act
from shared import audit
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.transfers import RemoteOpened
from tests.federation.factories import NOW, End

OURS, THEIRS = "national:7", "BJ:7"
ORGS = {
    1: ("1.", None, None),
    42: ("1.42.", 1, 42),
    4201: ("1.42.4201.", 42, 42),
    42011: ("1.42.4201.42011.", 4201, 42),
    43: ("1.43.", 1, 43),
    4301: ("1.43.4301.", 43, 43),
}
ROOT, LOOKER = Actor(100, 1), Actor(101, 1)
PROVINCE, OTHER, SCHOOL, BRANCH = Actor(142, 42), Actor(143, 43), Actor(150, 4201), Actor(160, 42011)
NOBODY = Actor(999, 1)
ADMINISTRATORS = (ROOT, LOOKER, PROVINCE, OTHER, SCHOOL, BRANCH)


def settle_down(tx: sa.Connection) -> None:
    """Have the organisations, and who administers them."""
    for org_id, (path, parent, province) in ORGS.items():
        tx.execute(
            sa.text(
                "INSERT INTO org_directory (org_id, parent_id, path, kind, purpose, province, system,"
                " provincial_id, name, version, deleted)"
                " VALUES (:id, :parent, :path, 'committee', '', '', 'national', :province, :name, 1, false)"
            ),
            {"id": org_id, "parent": parent, "path": path, "province": province, "name": f"组织{org_id}"},
        )
    for one in ADMINISTRATORS:
        tx.execute(
            sa.text(
                "INSERT INTO administrator_directory (org_id, person_id, active, version, observer)"
                " VALUES (:org, :person, true, 1, :observer)"
            ),
            {"org": one.org_id, "person": one.person_id, "observer": one == LOOKER},
        )


def depart(end: End, transfer_id: int = 7, org_id: int = 42011) -> None:
    """Let a member's transfer wait for the peer, and be offered there."""
    opened = RemoteOpened(
        transfer_id=transfer_id,
        member_id=7001,
        peer="BJ",
        source_branch_id=org_id,
        target_org_id=11,
        target_name="",
        reason="employed_with_org",
        place_name="",
        place_address="",
        started_at=NOW,
        answer_by=None,
    )
    with end.engine.begin() as tx:
        handlers.on_remote_opened(tx, bridge_of(tx), [opened])
    assert end.act(f"national:{transfer_id}", Act.OFFER)


def arrive(end: End, other: End, number: int = 7, transfer_id: int | None = 17, org_id: int = 4301) -> None:
    """Let somebody of the peer be offered here, whom members and transfers know."""
    assert other.act(f"BJ:{number}", Act.OFFER)
    end.hear(*other.said(f"BJ:{number}"))
    with end.engine.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO arrivals (subject, command_id, source_branch_id, target_org_id, reason, remark,"
                " member_id, transfer_id)"
                " VALUES (:subject, gen_random_uuid(), 11, :org, '', '', 8001, :transfer)"
            ),
            {"subject": f"BJ:{number}", "org": org_id, "transfer": transfer_id},
        )


def ask(end: End, query: Any, request: Any, actor: Actor | None) -> Any:
    """Return the answer to a query, or the code with which it is refused."""
    with end.engine.begin() as tx:
        try:
            return handlers.QUERIES[query](tx, request, actor)
        except Refused as refused:
            return refused.code


def do(end: End, command: Any, actor: Actor, *, command_id: UUID | None = None, **fields: Any) -> Any:
    """Send a command with one item; return how many it has changed, or the code of its refusal."""
    item = command.item(command_id=command_id or uuid4(), peer=fields.pop("peer", "BJ"), **fields)
    with end.engine.begin() as tx:
        (answer,) = handlers.COMMANDS[command](tx, [Asked(item, actor)])
    return answer.refusal.code if answer.refusal is not None else answer.count


def log_lines(end: End) -> list[Any]:
    """Return the lines of the audit log, and prove its chains."""
    with end.engine.begin() as tx:
        assert audit.verify(tx, [])[1] == []
        return list(tx.execute(sa.text("SELECT * FROM audit_log ORDER BY at, lane, seq")))


def told(end: End, topic: str) -> list[str]:
    """Return what was told under a topic."""
    with end.engine.begin() as tx:
        return list(
            tx.scalars(sa.text("SELECT body FROM outbox WHERE topic = :topic ORDER BY id"), {"topic": topic})
        )
