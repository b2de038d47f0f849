"""The reference programs: the saga's bare SQL, without services, bus or rights.

Same tables, same indexes, same members, same server, one database. Each step is ONE statement
(guarded update, audit row, outbox row): request, lock the member, three guarded updates, move with
the member's history. The statements are prepared once per connection and planned under the settings
that the services' own connections have; without either, single transfers are a third slower, and
the system would look better than it is. *Single* commits after every step of one transfer; *batch*
handles 100 per step and transaction, *lists* 500, as the system's own lists do. Every transfer must
have been completed, or the run is void.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Any

import psycopg2

from services.members import models
from services.transfers import models as transfers_models
from shared import db
from tests.bench import load
from tests.bench.threads import in_threads

_AUDIT = """
audited AS (
    INSERT INTO audit (transfer_id, seq, event, state, at, note, hash)
    SELECT transfer_id, audit_seq, '{event}', '{event}', now(), '', audit_head FROM moved
)"""
_TOLD = """
INSERT INTO outbox (topic, body) SELECT '{event}', json_agg(transfer_id)::text FROM moved"""
_LINK = "sha256({head} || convert_to(concat({id}, '|', {seq}, '|{event}|', now()), 'UTF8'))"

REQUEST = f"""
WITH
-- what is asked for
asked AS (
    SELECT * FROM unnest(%(members)s::bigint[], %(ids)s::bigint[], %(commands)s::uuid[])
        AS i(member_id, transfer_id, command_id)
),
-- only of members who are free
checked AS (
    SELECT a.*, m.branch_id FROM asked a JOIN people m ON m.person_id = a.member_id
    WHERE m.reserved_by IS NULL
),
-- the transfers, with the first link of each chain
moved AS (
    INSERT INTO transfers (
        transfer_id, command_id, member_id, initiator, initiator_person_id,
        source_branch_id, source_province, target_org_id, target_province,
        reason, place_name, place_address, contact, remark,
        policy, path, state, node_no, created_at, audit_seq,
        audit_head
    ) OVERRIDING SYSTEM VALUE
    SELECT
        transfer_id, command_id, member_id, 'source', 1,
        branch_id, '42', 2, '42',
        'further_study', 'x', 'y', '', '',
        'p', 'p', 'checking', 0, now(), 1,
        {_LINK.format(head="''::bytea", id="transfer_id", seq="1", event="requested")}
    FROM checked ON CONFLICT DO NOTHING
    RETURNING transfer_id, audit_seq, audit_head
),
-- the audit row
{_AUDIT.format(event="requested")} {_TOLD.format(event="requested")}"""
LOCK = """
WITH moved AS (
    UPDATE people m SET reserved_by = a.transfer_id
    FROM unnest(%(members)s::bigint[], %(ids)s::bigint[]) AS a(member_id, transfer_id)
    WHERE m.person_id = a.member_id AND m.reserved_by IS NULL
    RETURNING a.transfer_id
) """ + _TOLD.format(event="reserved")


def _update(of: str, to: str) -> str:
    link = _LINK.format(head="t.audit_head", id="t.transfer_id", seq="t.audit_seq + 1", event=to)
    return f"""
WITH moved AS (
    UPDATE transfers t
    SET state = '{to}', node_no = node_no + 1, audit_seq = audit_seq + 1, audit_head = {link}
    WHERE transfer_id = ANY(%(ids)s::bigint[]) AND state = '{of}'
    RETURNING *
), {_AUDIT.format(event=to)} {_TOLD.format(event=to)}"""


MOVE = f"""
WITH
-- the members go to their new branch and are free
arrived AS (
    UPDATE people m SET branch_id = %(branch)s, reserved_by = NULL
    FROM unnest(%(members)s::bigint[], %(ids)s::bigint[]) AS a(member_id, transfer_id)
    WHERE m.person_id = a.member_id AND m.reserved_by = a.transfer_id
    RETURNING a.*
),
-- the old stays end
closed AS (
    UPDATE memberships m SET ended_at = now() FROM arrived a
    WHERE m.person_id = a.member_id AND m.ended_at IS NULL
    RETURNING 1
),
-- the new ones begin; counting the closed ones puts this after them
begun AS (
    INSERT INTO memberships (person_id, began_at, branch_id, transfer_id)
    SELECT member_id, now(), %(branch)s, transfer_id FROM arrived
    WHERE (SELECT count(*) FROM closed) >= 0
),
-- the transfers are completed
moved AS (
    UPDATE transfers t
    SET state = 'completed', ended_at = now(), audit_seq = audit_seq + 1, audit_head =
        {_LINK.format(head="t.audit_head", id="t.transfer_id", seq="t.audit_seq + 1", event="completed")}
    FROM arrived
    WHERE t.transfer_id = arrived.transfer_id AND state = 'moving'
    RETURNING t.*
),
-- the audit row
{_AUDIT.format(event="completed")}
{_TOLD.format(event="completed")}"""
STEPS = (
    REQUEST,
    LOCK,
    _update("checking", "pending_in"),
    _update("pending_in", "pending_assign"),
    _update("pending_assign", "moving"),
    MOVE,
)


def prepare(url: str, people: int) -> None:
    """Make the reference database with the same members as the system's."""
    db.drop_database(url)
    db.create_database(url)
    engine = db.connect(url)
    transfers_models.metadata.create_all(engine)
    models.metadata.create_all(engine)
    load.fill(engine, people)
    engine.dispose()


_TYPES = {"members": "bigint[]", "ids": "bigint[]", "commands": "uuid[]", "branch": "bigint"}


def prepared(number: int, step: str) -> tuple[str, str, list[str]]:
    """Return PREPARE and EXECUTE of a step, and the names of its values in order."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", step)))
    body = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", step)
    types = ", ".join(_TYPES[name] for name in names)
    # a list travels as one text, which costs the driver least
    values = ", ".join(f"%s::{_TYPES[name]}" for name in names)
    return f"PREPARE step{number} ({types}) AS {body}", f"EXECUTE step{number} ({values})", names


def _array(values: Iterable[Any]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def run(url: str, connections: int, per_transaction: int, seconds: float, first: int) -> tuple[float, int]:
    """Run whole transfers on `connections` connections for about `seconds`.

    Return transfers per second and how many.

    Raises:
        RuntimeError: Not every transfer was completed.

    """
    address = db.address(url).set(drivername="postgresql").render_as_string(hide_password=False)
    done = [0] * connections
    before = _completed(address)
    ends = time.monotonic() + seconds

    def work(n: int) -> None:
        member = load.FIRST_MEMBER + first + n * per_transaction
        with _Transfers(address) as some:
            while time.monotonic() < ends:
                some.complete(first + n * 1_000_000 + done[n], member, per_transaction)
                member += connections * per_transaction
                done[n] += per_transaction

    started = time.monotonic()
    in_threads([partial(work, n) for n in range(connections)])
    speed = sum(done) / (time.monotonic() - started)
    completed = _completed(address) - before
    if completed != sum(done):
        raise RuntimeError(f"the reference completed {completed} of {sum(done)} transfers")
    return speed, sum(done)


class _Transfers:
    """A connection on which all steps are prepared."""

    def __init__(self, address: str) -> None:
        self.connection = psycopg2.connect(address, options=db.SESSION)
        self.cursor: Any = self.connection.cursor()
        self.steps: list[tuple[str, list[str]]] = []
        for number, step in enumerate(STEPS):
            prepare_it, execute_it, names = prepared(number, step)
            self.cursor.execute(prepare_it)
            self.steps.append((execute_it, names))

    def __enter__(self) -> _Transfers:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def complete(self, transfer: int, member: int, count: int) -> None:
        """Take `count` transfers, with ids and members from these on, through all steps."""
        values = {
            "members": _array(range(member, member + count)),
            "ids": _array(range(transfer, transfer + count)),
            "commands": _array(uuid.uuid4() for _ in range(count)),
            "branch": 7,
        }
        for execute_it, names in self.steps:
            self.cursor.execute(execute_it, [values[name] for name in names])
            self.connection.commit()


def _completed(address: str) -> int:
    connection = psycopg2.connect(address)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM transfers WHERE state = 'completed'")
        count = int(cursor.fetchone()[0])
    connection.close()
    return count
