"""The rules of starting, deciding and assigning, as pure functions: no I/O, no clock, no framework."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid5

from msgspec.structs import replace

from services.transfers.saga import (
    FROM_OUTSIDE,
    NODES,
    PATHS,
    Destination,
    Initiator,
    State,
    Trigger,
    refusal_of,
)
from shared import reference
from shared.errors import Refusal
from shared.messages.transfers import MoveBatch, RequestTransfer
from shared.messages.words import (
    COMMITTEE_KINDS,
    MADE_BY_THE_SYSTEM,
    PEERS,
    DestinationClass,
    Mode,
    Reason,
    Rejection,
    System,
    WorkOrder,
)

NATIONAL = "national"
"""The system of every organisation but those of Beijing, Guangdong and Fujian (FED-02)."""
REMARK_MAX = 100
"""Characters of a remark (TRF-11)."""
NOTE_MAX = 200
"""Characters of an approver's note."""
NOT_ASSIGNABLE = MADE_BY_THE_SYSTEM
"""Purposes of a branch that takes no assignment (ASG-02)."""
TOWNSHIP_PURPOSES = ("township", "handover")
NEAR_HOME = (*TOWNSHIP_PURPOSES, "community")
"""Classes of destinations that may lie at the household as well as at the workplace (TYPE-10).

Only for these the place is compared.
"""
STAFF_PURPOSES = ("teachers", "staff")
"""Branches of a school that no students are in."""
BATCH_MAX = 30
"""Members of a batch move (BATCH-01)."""
SIDES = ("source", "target")
"""The sides of a transfer whose lists are kept (TRF-29, TRF-32)."""


Window = tuple[tuple[int, int], tuple[int, int]]
"""First and last day of a part of each year, as month and day."""


@dataclass(frozen=True)
class OrgFacts:
    """What the rules need to know of an organisation.

    Attributes:
        school_path: The path of the school that it belongs to, empty outside schools.
        in_township: It stands directly below a township.

    """

    org_id: int
    parent_id: int | None
    path: str
    kind: str
    purpose: str
    province: str
    system: str
    provincial_id: int | None
    vault_id: int | None
    name: str = ""
    industry: str = ""
    division_code: str = ""
    school_path: str = ""
    in_township: bool = False


def _is_elsewhere(place_division: str, target: OrgFacts) -> bool:
    """Return whether a township's organisation is not known to lie where the work is (TYPE-10).

    A place left empty is not known. The codes are compared as far as the county, or as far as the target's
    own division goes. Only an organisation that hangs on no division, such as the hand-over branch of an
    employer in a central system, has no code; it is nobody's household.
    """
    if not target.division_code:
        return False
    return not (place_division and place_division.startswith(target.division_code[:6]))


class Place(NamedTuple):
    """What the policy in force says of destinations.

    Attributes:
        youth_centres: Whether youth centres may be destinations.
        modes: By reason and class, over what `reasons.toml` says.
        origin_node: Whether a member's way to a special unit begins at the own branch (SPU-06).
        peers: The other systems that a bridge leads to (FED-01).

    """

    youth_centres: bool = False
    modes: Mapping[str, Mapping[str, str]] = {}
    origin_node: bool = True
    peers: frozenset[str] = frozenset()


def class_of(source: OrgFacts, target: OrgFacts) -> DestinationClass:
    """Return the class of a destination, seen from the source (Annex A)."""
    if target.purpose in (*TOWNSHIP_PURPOSES, "youth_centre"):
        return DestinationClass(target.purpose)
    if target.kind == "branch" and target.in_township:
        return DestinationClass.COMMUNITY
    if source.school_path and target.path.startswith(source.school_path):
        if target.purpose == "floating":
            return DestinationClass.OWN_MOBILE
        if target.purpose == "study_abroad":
            return DestinationClass.OWN_ABROAD
        if target.kind == "branch" and target.purpose in ("ordinary", "mixed", "delayed"):
            return DestinationClass.OWN_CLASS
        return DestinationClass.OWN_SCHOOL
    if reference.is_school(target.industry):
        return DestinationClass.SCHOOL
    return DestinationClass.EMPLOYER if target.industry else DestinationClass.OTHER


def concern(
    request: RequestTransfer, source: OrgFacts, target: OrgFacts, place: Place
) -> tuple[Mode, DestinationClass] | None:
    """Return the mode, forbid or warn, and the class that it holds for (TYPE-04..15).

    None where nothing is to be said. Those who are employed are not sent to a township elsewhere (TYPE-10):
    the place of work is known by its division code. Those who have dropped out leave their school
    (TYPE-21).
    """
    modes = {**Reason(request.reason).to, **place.modes.get(request.reason, {})}
    found = class_of(source, target)
    classes = [found]
    if found in NEAR_HOME and _is_elsewhere(request.place_division, target):
        # The class of its own holds as well; put first, this one is named where both are as strict.
        classes.insert(0, DestinationClass.HOUSEHOLD)
    if request.drop_out and found.startswith("own_"):
        return Mode.FORBID, found
    said = [(Mode(modes[one]), one) for one in classes if modes.get(one, Mode.ALLOW) != Mode.ALLOW]
    return min(said, key=lambda pair: list(Mode).index(pair[0]), default=None)


def destination_of(request: RequestTransfer, target: OrgFacts | None) -> Destination:
    """Return what the target is for the path: branch, committee kind, special unit, or another system."""
    if Reason(request.reason).special:
        return Destination.SPECIAL
    if target is not None and target.system != NATIONAL:
        return Destination.PEER
    return Destination.BRANCH if target is not None and target.kind == "branch" else Destination.COMMITTEE


def kind_of(request: RequestTransfer, source: OrgFacts, target: OrgFacts | None) -> str:
    """Return whom the request may be for; members checks it when it holds the member.

    - `graduate`: graduates only (GRAD-15);
    - `abroad`: graduates whose request to stay was approved (TYPE-14, GRAD-33);
    - `any`: everybody;
    - `drop_out`: all but graduates, by the graduates' rules (TYPE-21);
    - `outward`: out of a school's student branch to no school. That is for delayed graduates and teachers,
      since a student who leaves like this drops out (TYPE-21, SCH-09);
    - `ordinary`: all but graduates.
    """
    reason = Reason(request.reason)
    # These two go before the reason's own kind, since their reasons are those of graduates.
    if request.drop_out:
        return "drop_out"
    if reason.stays:
        return "abroad"
    is_student = source.school_path and source.purpose not in STAFF_PURPOSES
    if reason.kind == "ordinary" and is_student and target is not None and not target.school_path:
        return "outward"
    return reason.kind


_ANYWHERE = Place()


def check_request(
    request: RequestTransfer, source: OrgFacts | None, target: OrgFacts | None, place: Place = _ANYWHERE
) -> Refusal | None:
    """Return why a request is refused before anybody is asked, or None.

    The rules are TRF-10..15, TRF-40, TYPE-01..15, SPU-02..04, SPU-12, FED-03, FED-04 and ORG-31.
    """
    reason = Reason.known(request.reason)
    if request.initiator not in FROM_OUTSIDE:
        return Refusal("bad_request", {"detail": f"initiator: {', '.join(FROM_OUTSIDE)}"})
    if reason is None:
        return Refusal("unknown_reason")
    # An organisation that was deleted is as unknown as one that never was.
    if source is None:
        return Refusal("unknown_org")
    if source.kind != "branch":
        return Refusal("not_a_branch")
    return (
        _check_fields(request, reason)
        or _check_leaving(request, reason, source)
        or _check_destination(request, reason, source, target, place)
    )


def _check_fields(request: RequestTransfer, reason: Reason) -> Refusal | None:
    """Return what is wrong with what was filled in, as the reason asks for it (TRF-11..13, TYPE-15)."""
    if len(request.remark) > REMARK_MAX:
        return Refusal("remark_too_long")
    for label, value in (
        (reason.place_name, request.place_name),
        (reason.place_address, request.place_address),
    ):
        if label and not value.strip():
            return Refusal("field_missing", {"field": label})
    # As far as the county, the township, or the village (GB/T 2260).
    division = request.place_division
    if division and not (division.isdigit() and len(division) in (6, 9, 12)):
        return Refusal("division_invalid")
    if reason.without_employer and request.place_name.strip():
        return Refusal("unemployed_with_employer")
    return None


def _check_leaving(request: RequestTransfer, reason: Reason, source: OrgFacts) -> Refusal | None:
    """Return why a branch is not left like this (TYPE-21, SPU-08)."""
    # Those who drop out give one of the graduates' reasons (TYPE-21), except study abroad.
    if request.drop_out and not (reason.graduate and not reason.stays and source.school_path):
        return Refusal("drop_out_reason")
    if source.purpose == "vault" and request.initiator == Initiator.MEMBER:
        return Refusal("in_vault")
    return None


def _check_destination(
    request: RequestTransfer, reason: Reason, source: OrgFacts, target: OrgFacts | None, place: Place
) -> Refusal | None:
    """Return why a transfer does not lead there (TRF-10, TRF-14, TRF-15, TYPE-04..15, SPU-02, ORG-31)."""
    if reason.special:
        return _check_special(request)
    if target is not None and target.purpose == "youth_centre" and not place.youth_centres:
        return Refusal("target_not_allowed")
    refusal = _check_target(request, reason, source, target, place.peers)
    if refusal is None and target is not None and not is_typed(request):
        refusal = _check_class(request, source, target, place)
    return refusal


def _check_class(
    request: RequestTransfer, source: OrgFacts, target: OrgFacts, place: Place
) -> Refusal | None:
    said = concern(request, source, target, place)
    if said is None:
        return None
    mode, found = said
    # Without the place of work nobody can tell the household from it, so it is asked for (TYPE-10).
    if mode == Mode.FORBID and found == DestinationClass.HOUSEHOLD and not request.place_division:
        return Refusal("division_missing")
    # A warning is passed by confirming it; for the household the remark has to say why, too.
    if mode == Mode.WARN and request.confirmed:
        if found == DestinationClass.HOUSEHOLD and not request.remark.strip():
            return Refusal("household_remark")
        return None
    code = "destination_forbidden" if mode == Mode.FORBID else "destination_unusual"
    reason = Reason(request.reason)
    return Refusal(code, {"reason": reason.zh, "place": found.zh})


def _check_special(request: RequestTransfer) -> Refusal | None:
    # No destination is chosen or asked for, so only the remark says what kind it is (SPU-02..04, SPU-12).
    if request.target_org_id is not None or request.target_system or request.target_name.strip():
        return Refusal("target_forbidden")
    if request.initiator == Initiator.TARGET:
        return Refusal("special_by_target")
    if not request.remark.strip():
        return Refusal("remark_missing")
    return None


def _check_target(
    request: RequestTransfer,
    reason: Reason,
    source: OrgFacts,
    target: OrgFacts | None,
    peers: Collection[str],
) -> Refusal | None:
    refusal = _check_answer(request, target, peers)
    if refusal is not None:
        return refusal
    typed = is_typed(request)
    if request.target_org_id is None and not typed:
        return Refusal("target_missing")
    if target is None:
        return Refusal("unknown_org")
    if target.org_id == source.org_id:
        return Refusal("same_org")
    refusal = _check_border(request.initiator, source, target, peers)
    if refusal is not None:
        return refusal
    # What was typed is the other system's to find; here only its top is known (FED-06).
    if not typed and not _is_destination(target):
        return Refusal("target_not_allowed")
    if reason.never_township and target.purpose in TOWNSHIP_PURPOSES:
        return Refusal("further_study_township")
    if reason.destination == "own_abroad" and (
        target.purpose != "study_abroad" or not target.path.startswith(source.school_path)
    ):
        return Refusal("abroad_study_target")
    return None


def is_typed(request: RequestTransfer) -> bool:
    """Return whether the target is named as it was typed, since it was not found in its system (FED-06)."""
    return request.target_org_id is None and bool(request.target_name.strip())


def _check_answer(
    request: RequestTransfer, target: OrgFacts | None, peers: Collection[str]
) -> Refusal | None:
    """Return what is wrong with the answer to the question of FED-03, or with a typed name (FED-04, FED-06).

    Whoever transfers in is not asked. The organisation that was chosen answers it, so that nothing has
    to be said beside; what is said all the same has to agree.
    """
    answer, name = request.target_system, request.target_name.strip()
    if request.initiator == Initiator.TARGET and (answer or name):
        return Refusal("bad_request", {"detail": "target_system, target_name"})
    if answer and not System.known(answer):
        return Refusal("bad_request", {"detail": "target_system"})
    if name and request.target_org_id is not None:
        return Refusal("target_twice")
    if name and answer not in PEERS:
        return Refusal("system_missing")
    if name and answer not in peers:
        return Refusal("target_peer")
    if target is not None and answer and answer != target.system:
        return Refusal("system_differs", {"system": System(target.system).zh})
    return None


def _check_border(
    initiator: str, source: OrgFacts, target: OrgFacts, peers: Collection[str]
) -> Refusal | None:
    """Return why nobody goes over a border like this (FED-01).

    Those who stand in another system are sent from there, and nobody is called over from here: to ask
    another system whether it has somebody would tell who is where.
    """
    for system in (source.system, target.system):
        if system not in (NATIONAL, *peers):
            return Refusal("target_peer")
    crosses = source.system != NATIONAL or target.system != NATIONAL
    if crosses and (source.system != NATIONAL or initiator == Initiator.TARGET):
        return Refusal("peer_starts")
    return None


def _is_destination(target: OrgFacts) -> bool:
    # Leading organs from the county up are no destinations (TRF-15), nor are branches that only hold members.
    return target.kind in (*COMMITTEE_KINDS, "branch") and target.purpose not in MADE_BY_THE_SYSTEM


def check_receives(target: OrgFacts, place: Place) -> Refusal | None:
    """Return why an organisation takes nobody in, whoever asks (TRF-15, ORG-31)."""
    closed = target.purpose == "youth_centre" and not place.youth_centres
    return Refusal("target_not_allowed") if closed or not _is_destination(target) else None


def may_request(
    request: RequestTransfer,
    person_id: int,
    acting_org: int | None,
    source: OrgFacts,
    target: OrgFacts | None,
) -> Refusal | None:
    """Return why this person may not start this transfer, or None (TRF-01, TRF-03, TRF-04).

    `acting_org` is an organisation that the person is known to administer, or None. Whoever is none of the
    three starters may start nothing.
    """
    if request.initiator == Initiator.MEMBER:
        return None if person_id == request.member_id else Refusal("not_your_member")
    if acting_org is None:
        return Refusal("not_administrator")
    # A branch's superior may act in its place on the way out; the way in is for the target alone.
    if request.initiator == Initiator.SOURCE and acting_org in (source.org_id, source.parent_id):
        return None
    if request.initiator == Initiator.TARGET and target is not None and acting_org == target.org_id:
        return None
    return Refusal("not_your_org")


def check_season(reason: str, missed: Window | None) -> Refusal | None:
    """Return why a transfer for a known reason is not started today (DL-10).

    `missed` is the window of graduates' transfers, first and last day, where today lies outside of it.
    """
    if missed is None or not Reason(reason).graduate:
        return None
    begins, ends = (f"{month}-{day}" for month, day in missed)
    return Refusal("outside_window", {"begins": begins, "ends": ends})


def check_ticket(
    request: RequestTransfer, acting_org: int | None, claims: Mapping[str, Any]
) -> Refusal | None:
    """Return why a start by the target does not follow a look-up of the member (TRF-05).

    `claims` are those of the request's ticket, empty where it is none. It has to be of the same member and
    branch, made for the same organisation. The others need none: `may_request` has seen that they are the
    member or the source's side.
    """
    if request.initiator in (Initiator.MEMBER, Initiator.SOURCE):
        return None
    fits = (
        claims.get("sub") == str(request.member_id)
        and claims.get("org") == acting_org
        and claims.get("branch") == request.source_branch_id
    )
    return None if fits else Refusal("ticket_invalid")


def path_of(starter: str, destination: Destination) -> str:
    """Return the name of the path that a transfer takes.

    Raises:
        ValueError: There is no such path: a transfer on it would wait for ever and hold its member.

    """
    if (Initiator(starter), destination) not in PATHS:
        raise ValueError(f"no path from {starter} to {destination}")
    return f"{starter}:{destination}"


class Planned(NamedTuple):
    """What a request comes to that nothing speaks against.

    Attributes:
        concern: The class of destination that the starter was warned of, or empty.

    """

    source: OrgFacts
    target: OrgFacts | None
    destination: Destination
    reason_kind: str
    concern: str
    path: str

    @property
    def peer(self) -> str:
        """Return the other system that it leads to or comes from, empty for none (FED-01)."""
        sides = [org.system for org in (self.source, self.target) if org is not None]
        return next((system for system in sides if system != NATIONAL), "")


def planned(
    request: RequestTransfer,
    source: OrgFacts,
    target: OrgFacts | None,
    concern: str = "",
    origin_node: bool = True,
) -> Planned:
    """Return what a request comes to that was found right."""
    destination = destination_of(request, target)
    # Without the node of the own branch the path begins as if that branch had started it (SPU-06).
    skips = destination is Destination.SPECIAL and not origin_node
    path = path_of(Initiator.SOURCE if skips else request.initiator, destination)
    kind = kind_of(request, source, None if is_typed(request) else target)
    return Planned(source, target, destination, kind, concern, path)


def plan(
    request: RequestTransfer,
    person_id: int,
    acting_org: int | None,
    source: OrgFacts | None,
    target: OrgFacts | None,
    place: Place = _ANYWHERE,
    missed: Window | None = None,
) -> Planned | Refusal:
    """Return what a request comes to, or why it is refused (TRF-01..15).

    `acting_org` as in `may_request`, `missed` as in `check_season`. What only the database knows is not
    asked here: whether the member has an open transfer.
    """
    refusal = check_request(request, source, target, place) or check_season(request.reason, missed)
    if refusal is not None:
        return refusal
    assert source is not None  # or `check_request` would have refused it
    refusal = may_request(request, person_id, acting_org, source, target)
    if refusal is not None:
        return refusal
    # What was forbidden has been refused, so what is said here was a warning, and confirmed.
    seen = target if target is not None and not is_typed(request) else None
    said = concern(request, source, seen, place) if seen is not None else None
    return planned(request, source, target, said[1] if said else "", place.origin_node)


def second_start(initiator: str, source_branch_id: int, held_in: int | None) -> Refusal:
    """Return how a start beside an open one is refused (TRF-02, BEY-03).

    `held_in` is the branch that the open one leads out of, None where that has ended meanwhile. Those who
    name another branch learn no more than that the member is elsewhere.
    """
    if initiator != Initiator.MEMBER and held_in not in (None, source_branch_id):
        return Refusal("member_elsewhere")
    return Refusal("transfer_open")


def check_repeated(senders: Iterable[object], sender: object) -> Refusal | None:
    """Return why somebody is not answered again: others have sent the command of this id (TRF-21)."""
    return None if all(one == sender for one in senders) else Refusal("command_taken")


def check_batch(item: MoveBatch, orgs: Mapping[int, OrgFacts], acting: int | None) -> Refusal | None:
    """Return why a batch move is refused, or None (BATCH-01, BATCH-03, BATCH-04, BATCH-07).

    `acting` is the organisation that the person administers, None for none. What holds for the reason and
    the destination of a single transfer holds here, too, except that a committee may fill the school's
    mobile branch.
    """
    if acting is None:
        return Refusal("not_administrator")
    org = orgs.get(acting)
    source, target = orgs.get(item.source_branch_id), orgs.get(item.target_branch_id)
    if org is None or org.kind not in COMMITTEE_KINDS:
        return Refusal("batch_by_committee")
    if source is None or target is None:
        return Refusal("unknown_org")
    refusal = _check_branches(org, source, target) or _check_members(item.member_ids)
    if refusal is not None:
        return refusal
    # As if the branch had started it and confirmed every warning: the committee knows both of its branches.
    # One member stands for all: what is checked below does not depend on who it is.
    someone, *_ = item.member_ids
    given = replace(request_of(item, someone), initiator=Initiator.SOURCE, confirmed=True)
    return check_request(given, source, target, Place(modes={item.reason: {"own_mobile": "allow"}}))


def _check_branches(org: OrgFacts, source: OrgFacts, target: OrgFacts) -> Refusal | None:
    if source.kind != "branch" or target.kind != "branch":
        return Refusal("not_a_branch")
    below = source.path.startswith(org.path) and target.path.startswith(org.path)
    return None if below else Refusal("batch_branches")


def _check_members(member_ids: Sequence[int]) -> Refusal | None:
    # The middle of the comparison: each of them once.
    if 0 < len(member_ids) == len(set(member_ids)) <= BATCH_MAX:
        return None
    return Refusal("batch_size", {"limit": str(BATCH_MAX)})


def request_of(item: MoveBatch, member_id: int) -> RequestTransfer:
    """Return the request for one member of a batch move; its command id follows from the batch's."""
    return RequestTransfer(
        command_id=uuid5(item.command_id, str(member_id)),
        initiator=Initiator.BATCH,
        member_id=member_id,
        source_branch_id=item.source_branch_id,
        target_org_id=item.target_branch_id,
        reason=item.reason,
        place_name=item.place_name,
        place_address=item.place_address,
        remark=item.remark,
        place_division=item.place_division,
    )


class BatchPlan(NamedTuple):
    """Who moves with a batch, who is in the way, and why nobody moves at all."""

    members: Sequence[int]
    busy: dict[int, Refusal]
    refusal: Refusal | None = None


def plan_batch(
    item: MoveBatch,
    orgs: Mapping[int, OrgFacts],
    acting: int | None,
    held: Mapping[int, int],
    missed: Window | None = None,
) -> BatchPlan:
    """Return who moves with a batch (BATCH-01, BATCH-05).

    Those with an open transfer stop it; where they are to be skipped, they stop it only if nobody is left.
    `held` has the branches that open transfers of members lead out of; the others as in `check_batch` and
    `check_season`.
    """
    refusal = check_batch(item, orgs, acting) or check_season(item.reason, missed)
    if refusal is not None:
        return BatchPlan([], {}, refusal)  # whoever may not move anybody is told of nobody
    source = item.source_branch_id
    busy = {
        member: second_start(Initiator.BATCH, source, held[member])
        for member in item.member_ids
        if member in held
    }
    members = [member for member in item.member_ids if member not in busy]
    if busy and not (item.skip and members):
        return BatchPlan([], busy, Refusal("batch_stopped"))
    return BatchPlan(members, busy)


def common_superior(one: OrgFacts, other: OrgFacts) -> int:
    """Return the lowest organisation that stands above, or is, both (BEY-06)."""
    pairs = zip(one.path.split("."), other.path.split("."), strict=False)
    common = 0
    for here, there in pairs:
        if here != there or not here:  # a path ends in a dot, so its last part is empty
            break
        common = int(here)
    return common


def is_assignable(branch: OrgFacts | None, org: OrgFacts | None) -> bool:
    """Return whether `org` may assign members to `branch`: an ordinary branch somewhere below it (ASG-02)."""
    return (
        branch is not None
        and org is not None
        and branch.kind == "branch"
        and branch.purpose not in NOT_ASSIGNABLE
        and branch.path.startswith(org.path)
    )


def lacks_letter(state: str, note: str) -> bool:
    """Return whether an approval at a node lacks the letter (SPU-09, DOC-03).

    A special unit gets it on paper, too, and the note names it.
    """
    return state == State.PROVINCE and not note.strip()


def check_decision(approve: bool, reason_code: str, note: str) -> Refusal | None:
    """Return what is wrong with a decision's own fields (TRF-24)."""
    if len(note) > NOTE_MAX:
        return Refusal("note_too_long")
    if not approve and Rejection.known(reason_code) is None:
        return Refusal("reason_missing")
    if not approve and reason_code == Rejection.OTHER and not note.strip():
        return Refusal("reason_missing")
    return None


def check_acting(acts: bool) -> Refusal | None:
    """Return why nothing is decided: the person does not administer the acting organisation (ROLE-04)."""
    return None if acts else Refusal("not_administrator")


def check_party(party: bool) -> Refusal | None:
    """Return why nothing is told: to those who are no party the transfer does not exist (TRF-33)."""
    return None if party else Refusal("unknown_transfer")


def why_not(
    trigger: Trigger,
    state: State,
    withdraw: str | None = None,
    decides: bool = False,
    note: str = "",
    back: bool = False,
    crosses: bool = False,
) -> Refusal:
    """Return why a person's trigger has not moved a transfer (TRF-21, TRF-28, FED-09).

    By the state first; where that allows the trigger, by what the statement asks of the open node.

    Args:
        trigger: What was tried.
        state: Where the transfer stands.
        withdraw: What the node says of withdrawing, as in `open_nodes`.
        decides: The acting organisation decides the node, or its superior does.
        note: What the decision says.
        back: The branch of an assignment is the one that the member leaves.
        crosses: It leads to another system or comes from one.

    """
    code = refusal_of(state, trigger)
    # Not before its check and not after its end: these have words of their own.
    if crosses and trigger is Trigger.WITHDRAW and state in NODES and withdraw in (None, "no"):
        return Refusal("peer_withdrawal")
    if code is not None:
        return Refusal(code)
    if trigger is Trigger.WITHDRAW:
        # The node would let somebody withdraw, so it is not this person's to do.
        return Refusal("too_late_to_withdraw" if withdraw == "no" else "not_initiator")
    if not decides:
        return Refusal("not_your_node")
    if trigger is Trigger.APPROVE and lacks_letter(state, note):
        return Refusal("letter_missing")
    if trigger is Trigger.ASSIGN:
        return Refusal("same_org" if back else "branch_not_below")
    # All is right but the number of the node: the page showed one that is decided by now.
    return Refusal("node_closed")


def is_astray(refusal: Refusal | None) -> bool:
    """Return whether an assignment was refused for the branch that it names."""
    return refusal is not None and refusal.code == "branch_not_below"


def without_branch(refusal: Refusal | None, bare: bool) -> Refusal | None:
    """Return the refusal of an assignment, in other words for a committee without any branch (ASG-07).

    The one that was named is not what is wrong then: no other would do, either.
    """
    return Refusal("no_branch_yet") if bare and is_astray(refusal) else refusal


def readers_of(
    state: str,
    initiator: str,
    initiator_org: int | None,
    source: Iterable[int | None],
    others: Iterable[int | None],
) -> set[int | None]:
    """Return the organisations that may read a transfer (TRF-33).

    `source` are the source branch and its superior, `others` the parties on its further way. A transfer that
    never held its member says of others only what its starter has claimed, so it is for the starter's side.
    """
    if state not in (State.CHECKING, State.REFUSED):
        return {initiator_org, *source, *others}
    return {initiator_org, *source} if initiator == Initiator.SOURCE else {initiator_org}


def may_withdraw(withdraw: str | None, initiator: str, is_member: bool, is_starter: bool) -> bool:
    """Return whether a reader may withdraw a transfer at its open node (TRF-28).

    The starter's organisation may, and the member; where the node says `yes_own`, members may withdraw only
    what they have started themselves.
    """
    if withdraw not in ("yes", "yes_own"):
        return False
    return is_starter or (is_member and (withdraw == "yes" or initiator == Initiator.MEMBER))


def check_side(side: str) -> Refusal | None:
    """Return why there is no list of a side (TRF-29, TRF-32)."""
    return None if side in SIDES else Refusal("bad_request", {"detail": f"side: {', '.join(SIDES)}"})


def check_order(sort: str) -> Refusal | None:
    """Return why a list has no such order."""
    if not sort or WorkOrder.known(sort) is not None:
        return None
    return Refusal("bad_request", {"detail": f"sort: {', '.join(WorkOrder)}"})


def place_in_list(after: str, sort: str = "") -> tuple[datetime | str, int] | Refusal:
    """Return the place in a list of open nodes that a cursor means: an instant, or a name, and an id."""
    try:
        key, _, transfer_id = after.rpartition("~")
        return key if sort == WorkOrder.NAME else datetime.fromisoformat(key), int(transfer_id)
    except ValueError:
        return Refusal("bad_request", {"detail": "after"})
