"""Driving whole transfers through the system as its callers would: in lists, one by one, and at a steady rate."""
from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from shared.bus.rpc import RpcClient, Waiting, read_reply
from shared.errors import Refused
from shared.messages import transfers as contract
from shared.messages.transfers import AssignBranch, DecideNode, ListWork, RequestTransfer
from tests.bench import load
from tests.installation import Installation

LIST = 500


def batches(school: load.School, start: int, size: int = LIST) -> Iterator[list[int]]:
    """Return lists of member ids of one school, none used twice, from the `start`-th on."""
    index = school.committee - 100
    width = load.SCHOOLS * load.BRANCHES_PER_SCHOOL
    members = (load.first_member() + cycle * width + index * load.BRANCHES_PER_SCHOOL + k for cycle in range(10**9) for k in range(load.BRANCHES_PER_SCHOOL))
    for _ in range(start):
        next(members)
    while True:
        yield [next(members) for _ in range(size)]


def requests(members: list[int], school: load.School) -> list[RequestTransfer]:
    """Return requests of the members' own side, so that source, target and assignment all follow... by the source's committee.

    The path with most nodes is the member's own; a benchmark has no thousand members' tokens, so each request is made in the
    member's name by a token of the member (see `member_tokens`).
    """
    return [RequestTransfer(command_id=uuid.uuid4(), initiator="source", member_id=member, source_branch_id=load.branch_of(member),
                            target_org_id=school.target, reason="further_study", place_name="大学", place_address="地址") for member in members]


def completed(installation: Installation) -> int:
    """Return how many transfers are completed."""
    with installation.engine("transfers").connect() as tx:
        return int(tx.scalar(sa.text("SELECT count(*) FROM transfers WHERE state = 'completed'")) or 0)


def wait_completed(installation: Installation, wanted: int, seconds: float = 120) -> None:
    """Wait until so many transfers are completed."""
    ends = time.monotonic() + seconds
    while completed(installation) < wanted:
        if time.monotonic() > ends:
            raise TimeoutError(f"{completed(installation)} of {wanted} completed")
        time.sleep(0.05)
