"""What transfers and the bridges tell of crossings, and what is sealed on the other side."""

import json
import uuid
from contextlib import contextmanager
from datetime import UTC, date, datetime

import sqlalchemy as sa

from services.members import handlers
from services.members.crossings import handlers as crossings
from services.members.crossings import seals
from shared import clock
from shared.messages.federation import ArrivalOffered, RecordCame
from shared.messages.orgs import OrgChanged
from shared.messages.sealed import SealedPerson, SealedRecord
from shared.messages.transfers import HandoverOpened, RemoteOpened
from tests import statements
from tests.members.factories import CLASS, ONE, ROOT, assigned, number, request

BJ, BJ_SCHOOL, BJ_CLASS, BJ_OTHER, GD, GD_CLASS = 11, 1101, 1102, 1103, 44, 4401
MIRRORED = [  # id, parent, path, kind, system
    (BJ, ROOT, "1.11.", "leading_body", "BJ"),
    (BJ_SCHOOL, BJ, "1.11.1101.", "committee", "BJ"),
    (BJ_CLASS, BJ_SCHOOL, "1.11.1101.1102.", "branch", "BJ"),
    (BJ_OTHER, BJ_SCHOOL, "1.11.1101.1103.", "branch", "BJ"),
    (GD, ROOT, "1.44.", "leading_body", "GD"),
    (GD_CLASS, GD, "1.44.4401.", "branch", "GD"),
]
STARTED = datetime(2026, 7, 1, 8, tzinfo=UTC)


def mirrored(org_id, parent, path, kind, system) -> OrgChanged:
    """Return what is told of an organisation of another system."""
    return OrgChanged(
        org_id=org_id,
        parent_id=parent,
        path=path,
        kind=kind,
        purpose="ordinary",
        province={"BJ": "11", "GD": "44", "FJ": "35"}[system],
        system=system,
        provincial_id=None,
        vault_id=None,
        name=f"组织{org_id}",
        version=1,
        deleted=False,
    )


def remote(transfer_id, member=ONE, peer="BJ", source=CLASS, **values) -> RemoteOpened:
    """Return what transfers tells of a transfer that waits for another system."""
    return RemoteOpened(
        **{
            "transfer_id": transfer_id,
            "member_id": member,
            "peer": peer,
            "source_branch_id": source,
            "target_org_id": BJ_SCHOOL,
            "target_name": "",
            "reason": "employed_with_org",
            "place_name": "某公司",
            "place_address": "某路1号",
            "started_at": STARTED,
            "answer_by": None,
            **values,
        }
    )


def handover(transfer_id, member=ONE, peer="BJ") -> HandoverOpened:
    """Return what transfers tells when the other system takes a member."""
    return HandoverOpened(transfer_id=transfer_id, member_id=member, peer=peer)


def told(tx, *topics) -> list[dict]:
    """Return what was told of some topics since the last call, with its topic; of none: of all."""
    rows = tx.execute(
        sa.text("WITH gone AS (DELETE FROM outbox RETURNING *) SELECT topic, body FROM gone ORDER BY id")
    ).all()
    return [
        {"topic": row.topic, **item}
        for row in rows
        for item in json.loads(row.body)
        if not topics or row.topic in topics
    ]


def sealed_person(there: seals.Registry, subject="BJ:7", n=50, **values) -> str:
    """Return somebody as the other system's registry seals who is to come."""
    said = {"subject": subject, "number": number(n), "name": "李雷", "joined_on": date(2020, 5, 4), **values}
    return there.seal("BJ", SealedPerson(**said), clock.now())


def sealed_record(there: seals.Registry, subject="BJ:7", n=50, **values) -> str:
    """Return the record that belongs to it."""
    said = {"subject": subject, "number": number(n), "name": "李雷", "joined_on": date(2020, 5, 4), **values}
    return there.seal("BJ", SealedRecord(**said), clock.now())


def hand_over(tx, transfer_id=10, member=ONE, peer="BJ") -> None:
    """Let another system take a member whom the transfer holds."""
    crossings.on_handover_opened(tx, [handover(transfer_id, member, peer)])


def a_command() -> uuid.UUID:
    """Return the id of a command."""
    return uuid.uuid4()


def offered(person: str, subject="BJ:7", branch=BJ_CLASS, peer="BJ") -> ArrivalOffered:
    """Return what the bridge tells of somebody whom another system offers."""
    return ArrivalOffered(subject=subject, peer=peer, source_branch_id=branch, person=person)


def came(record: str, subject="BJ:7", transfer_id=70, peer="BJ") -> RecordCame:
    """Return what the bridge tells of a record that another system has handed over."""
    return RecordCame(subject=subject, peer=peer, transfer_id=transfer_id, record=record)


def offer(tx, *items) -> list[tuple]:
    """Let other systems offer people; return the answers: subject, and the person or the code."""
    crossings.on_arrival_offered(tx, list(items))
    return [
        (one["subject"], one.get("member_id") or one["code"])
        for one in told(tx, "arrival_known", "arrival_unfit")
    ]


def record(tx, *items) -> list[tuple]:
    """Let records come; return the answers: transfer, and empty or the code."""
    crossings.on_record_came(tx, list(items))
    return [(one["transfer_id"], one.get("code", "")) for one in told(tx, "record_taken", "record_refused")]


def leave(tx, member=ONE, transfer_id=10, branch=BJ_CLASS, source=CLASS) -> None:
    """Let a member go to another system."""
    handlers.on_transfer_requested(tx, [request(transfer_id, member, source, BJ_SCHOOL)])
    hand_over(tx, transfer_id, member)
    handlers.on_branch_assigned(tx, [assigned(transfer_id, member, branch)])
    told(tx)


@contextmanager
def counted(tx):
    """Count the statements that are sent meanwhile."""
    sent = []
    with statements.seen(tx.engine, lambda tx, text, values: sent.append(text)):
        yield sent


class Database:
    """The transactions of the database of members, without its machinery."""

    def __init__(self, engine):
        self.engine = engine

    def transaction(self, **_):
        return self.engine.begin()
