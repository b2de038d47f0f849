"""Search, numbers in full, exports, work lists, figures of entry, the audit log (SRCH, STAT, BEY-10)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.messages import Act, Query, words
from shared.messages.audit import AuditLine, ListAudit
from shared.messages.limits import (
    After,
    Domain,
    Line,
    OrgId,
    OrgIds,
    PageSize,
    PersonIds,
    Prose,
    Sort,
    maybe,
)
from shared.messages.members.records import Member


class SearchMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Find members of one's own organisation and below (SRCH-03, SRCH-05, SRCH-06).

    By name, ID number or development number. `below` names an organisation in one's own subtree, to
    narrow a name that many have (SRCH-04).
    """

    text: Line
    below: OrgId | None = None


class FoundMembers(msgspec.Struct, frozen=True, kw_only=True):
    """The first 50; `more` says that there are others, so that an organisation should be named (SRCH-04)."""

    items: list[Member]
    more: bool


class RevealIds(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for unmasked ID numbers of members, at most 50, with the reason (MEM-32, BEY-10).

    The view is put into the access log.
    """

    person_ids: PersonIds
    reason: Prose


class Revealed(msgspec.Struct, frozen=True, kw_only=True):
    """A member's ID number in full."""

    member_id: int
    name: str
    id_number: str


class ExportMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the members of the acting organisation and below, in order of their ids, for an export.

    Each page is put into the access log. `full` asks for unmasked ID numbers and needs a `reason`.
    """

    full: bool = False
    reason: Prose = ""
    after: After = 0
    limit: PageSize = 500


class ExportedMember(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an export; `id_number` is masked unless asked for in full."""

    member: Member
    id_number: str
    branch: str


class ListBelow(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for the members of an organisation and below, branch by branch (MEM-28, SRCH-06).

    `org_id` is the acting organisation or one below it. Narrowed by a beginning of the name, by
    graduates, by a mark (`delayed`, `teacher`), or to those whose record is not complete; what is
    empty narrows nothing. `sort`: `name` (as dictionaries do) or `joined_on`, with `-` before it the
    other way round, of at most 100,000 members. `after` is the id of the last member of the page
    before.
    """

    org_id: OrgId
    name: Line = ""
    graduate: bool | None = None
    mark: Annotated[str, maybe(words.MemberMark)] = ""
    incomplete: bool = False
    sort: Sort = ""
    after: After = 0
    limit: PageSize = 50


class BelowMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member with the name of the branch; the ID number is masked."""

    member: Member
    branch: str


class NoteExport(msgspec.Struct, frozen=True, kw_only=True):
    """Put into the access log that a list of people is taken along as a file (BEY-10).

    The gateway says so before it writes one.
    """

    what: Line


class GetReport(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a list to work off, for the acting organisation and below.

    `kind` is one of:

    - `small_branches` (ORG-07), `holding_members` (ORG-05), `empty_graduate` (ORG-38, DEL-13)
    - `over_age` (MEM-26), `incomplete` (MEM-22), `to_contact` (MEM-30), `late_entries` (MEM-24)
    - `irregular_numbers` (MEM-13), `identity_failed` (MEM-19, DOC-05)
    - `deletion_requests` (DEL-06, DOC-05)
    - `graduates_left`: those who have not completed, with an `open` transfer, `retained`, `abroad`
      or `none` (GRAD-28)
    - `retained` (GRAD-27), `retained_apart`: retained, but not in the mobile branch (GRAD-26)
    - `abroad` (DOC-09)
    - `onward`: work or study was found; `note` is the day until which to transfer (TYPE-16)
    - `parked`: over a month in a township's hand-over branch, nothing found yet (TYPE-27)
    - `county_stay` (ORG-29)

    `name` narrows it to members whose names begin so, or to organisations with it in theirs.
    """

    kind: Annotated[str, maybe(words.ReportKind)]
    name: Line = ""
    after: After = 0
    limit: PageSize = 100


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: an organisation, a member of it where members are listed, and what is to be known.

    `key` continues the list.
    """

    key: int
    org_id: int
    org: str
    member_id: int | None = None
    member: str = ""
    id_masked: str = ""
    note: str = ""


class GetEntryProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how far data are entered (STAT-02..09, SCH-08).

    For an organisation and each of its direct subordinates, with all below it. `domain` limits the
    count to one domain (ORG-26); `schools_only` to subordinates of the school domain (SCH-08).
    """

    org_id: OrgId
    domain: Domain = ""
    schools_only: bool = False


class EntryProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of an organisation and all below it.

    `finished_branches`: with three complete members or cadres (CADRE-11); `finished_bodies`:
    leading bodies (CADRE-09) and committee kinds (CADRE-10) that are finished; `members_2017`: the
    imported constant (STAT-03). Shares are left to the reader; without a denominator there is none
    (STAT-14).
    """

    org_id: int
    name: str
    branches: int
    finished_branches: int
    bodies: int
    finished_bodies: int
    members: int
    complete_members: int
    cadres: int
    complete_cadres: int
    members_2017: int | None


class GetComposition(msgspec.Struct, frozen=True, kw_only=True):
    """Ask how a branch is made up (STAT-09)."""

    branch_id: OrgId


class Composition(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of a branch: its members, those of each kind among them, and its cadres.

    The kinds: sex, age group, ethnic group, Party membership, standing as a graduate, complete
    record. `cadres` hold posts in the branch.
    """

    branch_id: int
    members: int
    cadres: int
    male: int
    female: int
    ages: dict[str, int]
    minorities: int
    party: int
    graduates: int
    delayed: int
    teachers: int
    complete: int


class CountInside(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what stands in the way of deleting organisations of one's own subtree, at most 500 (DEL-03).

    Who is in them, and who has applied.
    """

    org_ids: OrgIds


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """What the members service knows to be in an organisation: members, and applications to it."""

    org_id: int
    members: int
    registrations: int


get_composition = Query("members", "get_composition", GetComposition, Composition)

count_inside = Query("members", "count_inside", CountInside, list[Inside])

search_members = Query("members", "search_members", SearchMembers, FoundMembers)

reveal_ids = Query("members", "reveal_ids", RevealIds, list[Revealed])

note_export = Act("members", "note_export", NoteExport, bool)

export_members = Query("members", "export_members", ExportMembers, list[ExportedMember])

list_below = Query("members", "list_below", ListBelow, list[BelowMember])

get_report = Query("members", "get_report", GetReport, list[ReportLine])

get_entry_progress = Query("members", "get_entry_progress", GetEntryProgress, list[EntryProgress])

list_audit = Query("members", "list_audit", ListAudit, list[AuditLine])
