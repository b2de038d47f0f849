"""What waits, one transfer with its trail, what was started (MSG, TRF-33)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.messages import Query, words
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.limits import (
    After,
    Cursor,
    Dated,
    Digits,
    Instant,
    OrgId,
    OrgIds,
    PageSize,
    PersonName,
    Side,
    TransferId,
    TransferIds,
    maybe,
)


class Filter(Dated, frozen=True, kw_only=True):
    """Which of the open nodes that the acting organisation may decide are meant (MSG-01, TRF-31, BEY-05).

    The list, its counts and decisions on all that matches go by the same filter; what is left empty does
    not filter. A bulk decision needs a `state`.

    - `state`, `reason`, `source_branch_id`, `target_province` (two digits): of the transfer.
    - `due`: late (an assignment: ten days old), due today in China, within three days.
    - `check`: the rules found this; `questioned`: they found something, `unquestioned`: nothing (BEY-01).
    - `reminded`: the system has reminded of it, or somebody has (DL-02, BEY-21).
    - `opened_before`, `due_before`: opened before, due by this instant.
    - `name`: of members whose names begin so (SRCH-06).
    - `without`: all but these transfers.
    """

    state: Annotated[str, maybe(words.TransferState)] = ""
    reason: Annotated[str, maybe(words.Reason)] = ""
    source_branch_id: OrgId | None = None
    target_province: Digits = ""
    due: Annotated[str, maybe(words.Due)] = ""
    check: Annotated[str, maybe(words.Check)] = ""
    questioned: bool = False
    unquestioned: bool = False
    reminded: bool = False
    opened_before: Instant | None = None
    due_before: Instant | None = None
    name: PersonName = ""
    without: TransferIds = []


class ListWork(Filter, frozen=True, kw_only=True):
    """Ask for the open nodes that the acting organisation may decide, oldest first (MSG-01, TRF-31).

    Beside the filter the times of opening, `since` and `until`, and the `sort`. `after` is the `cursor` of
    the last item of the page before, in the same order.
    """

    since: Instant | None = None
    until: Instant | None = None
    sort: Annotated[str, maybe(words.WorkOrder)] = ""
    after: Cursor = ""
    limit: PageSize = 50


class CountWork(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how much waits for the acting organisation: all of it by several measures, and what matches."""

    filter: Filter = Filter()


class WorkCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many open nodes the acting organisation may decide.

    `total` to `reminded` are those of the filter's state, reason, branch, province and name, whatever else
    it says, so that they stand beside each other; `matching` are those of the whole filter. `states`,
    `reasons`, `branches` (source branches) and `provinces` (of the destinations) count everything that
    waits; of branches the 100 with most.
    """

    total: int
    late: int
    today: int
    soon: int
    questioned: int
    reminded: int
    matching: int
    states: dict[str, int]
    reasons: dict[str, int]
    branches: dict[int, int]
    provinces: dict[str, int]


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as shown to its parties (TRF-22); people and names are joined by the gateway.

    `reminders`: how often the system has reminded of the open node (DL-02). `checks`: what the rules find
    that an approver should look at; only where it waits, in `list_work` and `get_transfer`.
    `peer`: the other system that it leads to or comes from, empty for none (FED-01). `target_name`: the
    target as it was typed, where that system alone may know it (FED-06).
    """

    transfer_id: int
    member_id: int
    initiator: words.Initiator
    source_branch_id: int
    target_org_id: int
    target_branch_id: int | None
    reason: words.Reason
    place_name: str
    place_address: str
    contact: str
    remark: str
    state: words.TransferState
    node_no: int
    waiting_org_id: int | None
    waiting_superior_id: int | None
    node_opened_at: Instant | None
    remind_at: Instant | None
    expires_at: Instant | None
    on_expiry: words.OnExpiry | None
    created_at: Instant
    ended_at: Instant | None
    end_code: str
    end_note: str
    policy: str
    place_division: str = ""
    peer: Annotated[str, maybe(words.System)] = ""
    target_name: str = ""
    concern: Annotated[str, maybe(words.DestinationClass)] = ""
    reason_kind: str = "any"
    urged_at: Instant | None = None
    looked_by: int | None = None
    looked_until: Instant | None = None
    reminders: int = 0
    checks: list[words.Check] = []
    cursor: str = ""


class WorkPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of work with the counts by state of everything that waits for the acting organisation.

    `old`: how many of these were reminded of (DL-02, MSG-07).
    """

    items: list[Transfer]
    counts: dict[str, int]
    old: int = 0


class GetTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one transfer, as the member or as a party's administrator (TRF-33)."""

    transfer_id: TransferId


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit trail (TRF-34, BEY-02)."""

    seq: int
    event: words.TrailEvent
    state: words.TransferState
    at: Instant
    person_id: int | None
    org_id: int | None
    note: str


class NodeAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the transfer's own path, past, open or to come (TRF-34)."""

    node_no: int
    state: words.TransferState
    org_id: int


class RemoteStep(msgspec.Struct, frozen=True, kw_only=True):
    """At whose desk a transfer lay or lies in another system, as that system says (FED-13)."""

    organisation: str
    phone: str
    since: Instant
    until: Instant | None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer with its path and its trail, and with what another system has told of it.

    `receipted_at`: since when that system has the offer in writing, None while it has not said so (FED-13).
    """

    transfer: Transfer
    path: list[NodeAhead]
    steps: list[Step]
    may_withdraw: bool
    remote: list[RemoteStep] = []
    receipted_at: Instant | None = None


class MyTransfers(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the caller's own transfers, newest first (TRF-33)."""


class ListStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for transfers out of or into the acting organisation and its branches (TRF-29, TRF-32).

    Newest first, or with `oldest_first` the other way round. `state` and `reason` filter, as does
    `open_only`.
    """

    side: Side = "source"
    open_only: bool = False
    state: Annotated[str, maybe(words.TransferState)] = ""
    reason: Annotated[str, maybe(words.Reason)] = ""
    oldest_first: bool = False
    after: After = 0
    limit: PageSize = 50


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for numbers of transfers by state and reason in the subtree of the acting organisation."""


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many transfers of one reason are in one state."""

    reason: words.Reason
    state: words.TransferState
    transfers: int


class CountInTheWay(msgspec.Struct, frozen=True, kw_only=True):
    """Ask which open transfers stand in the way of deleting organisations (ORG-42, DEL-14).

    At most 500, all of one's own subtree.
    """

    org_ids: OrgIds


class InTheWay(msgspec.Struct, frozen=True, kw_only=True):
    """How many open transfers an organisation is a party of.

    `leaving` of them only lead out of it, which a branch that is set aside may have (DEL-04).
    """

    org_id: int
    transfers: int
    leaving: int


class CountOpenBelow(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how many open transfers lead out of or into an organisation of one's own subtree, or below it."""

    org_id: OrgId


class OpenBelow(msgspec.Struct, frozen=True, kw_only=True):
    """How many open transfers an organisation and all below it have."""

    transfers: int


count_open_below = Query("transfers", "count_open_below", CountOpenBelow, OpenBelow)

count_in_the_way = Query("transfers", "count_in_the_way", CountInTheWay, list[InTheWay])

list_work = Query("transfers", "list_work", ListWork, WorkPage, reads=True)

count_work = Query("transfers", "count_work", CountWork, WorkCounts)


get_transfer = Query("transfers", "get_transfer", GetTransfer, Progress, reads=True)

my_transfers = Query("transfers", "my_transfers", MyTransfers, list[Transfer])

list_started = Query("transfers", "list_started", ListStarted, list[Transfer])

count_transfers = Query("transfers", "count_transfers", Counts, list[Count])

list_audit = Query("transfers", "list_audit", ListAudit, list[AuditLine])
