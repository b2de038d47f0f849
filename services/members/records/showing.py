"""What is shown of a person, and to whom (MEM, SRCH-06, TRF-05, TRF-22).

Look-up, members of a branch, the own record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from services.members import domain, settings, store
from services.members.crossings import store as crossings_store
from services.members.log import log
from services.members.posts import store as posts_store
from services.members.records import rules
from services.members.sealing.keys import keys, opened
from shared import audit, clock, directory, throttle
from shared.errors import Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import Member, Post, Profile, Stay, StayElsewhere
from shared.messages.words import IdentityCheck, PostCode, System

TICKET_LIFE = timedelta(hours=1)


def shown(row: store.Person, full: bool, post: str = "") -> Member:
    """Return a person as shown to those entitled, or the surname and two stars (MEM-02, MEM-32)."""
    if not full:
        return _masked(row)
    id_number, today = keys.seal.open(row.id_sealed), clock.today()
    return Member(
        member_id=row.person_id,
        name=row.name,
        id_masked=domain.mask_id(id_number),
        phone=opened(row.phone_sealed),
        ethnic_group=row.ethnic_group,
        joined_on=row.joined_on,
        branch_id=row.branch_id,
        graduate=row.graduate,
        transfer_id=row.reserved_by,
        mark=row.mark,
        graduates_on=row.graduates_on,
        identity_check=IdentityCheck(row.identity_check),
        sex=domain.sex_of(id_number),
        age=domain.age_on(domain.born_on(id_number), today),
        league_years=domain.age_on(row.joined_on, today) if row.joined_on else None,
        development_number=row.development_number,
        post=post,
        contact=opened(row.contact_sealed),
        emergency_contact=opened(row.emergency_sealed),
        party=row.party,
        to_contact=row.to_contact,
        found_on=row.found_on,
        missing=[] if row.complete else _missing(row),
    )


def _masked(row: store.Person) -> Member:
    return Member(
        member_id=row.person_id,
        name=domain.mask_name(row.name),
        id_masked="",
        phone="",
        ethnic_group="",
        joined_on=None,
        branch_id=None,
        graduate=False,
        transfer_id=None,
    )


def _missing(row: store.Person) -> list[str]:
    return domain.missing(
        row.ethnic_group,
        row.phone_sealed is not None,
        row.branch_id is not None,
        row.joined_on,
        row.development_number,
        row.number_from,
    )


def posts_in_branch(tx: Connection, rows: Iterable[store.Person]) -> dict[int, str]:
    """Return the posts that people hold in their own branches, by person."""
    branches = {row.person_id: row.branch_id for row in rows}
    return {
        post.person_id: post.post
        for post in posts_store.posts_held(tx, branches)
        if branches[post.person_id] == post.org_id
    }


def look_up(tx: Connection, request: contract.LookUp, actor: Actor | None) -> contract.Found:
    """Find one member by exact name and ID number (TRF-05, TRF-06).

    The finder gets a ticket to start a transfer-in. The audit log says who looked, even if nobody
    was found (BEY-10); a refused query is committed.
    """
    org_id = directory.require_administrator(tx, actor)
    assert actor is not None
    misses = throttle.of_person(actor.person_id, "looks up", domain.MISSES_OF_LOOK_UPS)
    throttle.refuse_while_closed(tx, misses)
    row = store.by_index(tx, keys.seal.index(domain.normalise_id(request.id_number)))
    registered = row.name if row is not None else None
    branch_id = row.branch_id if row is not None else None
    # who stands in another system is started from there, and tells nothing here (FED-12)
    in_branch = branch_id is not None and not directory.of_others(tx, [branch_id])
    refusal = rules.check_found(domain.clean_name(request.name), registered, in_branch)
    log.append(tx, [_looked_up(actor, row if refusal is None else None)])
    if refusal is not None:
        throttle.count(tx, misses)
        raise Refused.of(refusal)
    assert row is not None
    return _found(row, org_id)


def _found(row: store.Person, org_id: int) -> contract.Found:
    """Return a member with the ticket for the organisation that has found the member."""
    assert row.branch_id is not None
    ticket, _ = keys.signer.sign(
        "member_ticket", TICKET_LIFE, sub=str(row.person_id), org=org_id, branch=row.branch_id
    )
    return contract.Found(member_id=row.person_id, name=row.name, branch_id=row.branch_id, ticket=ticket)


def _looked_up(actor: Actor, found: store.Person | None) -> audit.Entry:
    return audit.Entry(
        kind="view.looked_up",
        place_id=found.branch_id if found is not None else None,
        persons=[found.person_id] if found is not None else [],
        after={"found": found is not None},
        **audit.by(actor),
    )


def list_members(tx: Connection, request: contract.ListMembers, actor: Actor | None) -> list[Member]:
    """Return the members of a branch to its administrators and those above it (MEM-28, SRCH-06).

    Members see those of their own branch: names, posts and identity checks, the numbers masked
    (UI-16).
    """
    assert actor is not None
    own = store.by_ids(tx, [actor.person_id]).get(actor.person_id) if actor.org_id is None else None
    if own is None or own.branch_id != request.branch_id:
        directory.require_above(tx, actor, request.branch_id, observers=True)
        own = None
    rows = store.of_branch(tx, request.branch_id, request.after, max(1, min(request.limit, 500)))
    posts = posts_in_branch(tx, rows)
    if own is not None:
        return [_fellow(row, posts.get(row.person_id, "")) for row in rows]
    return [shown(row, True, posts.get(row.person_id, "")) for row in rows]


def _fellow(row: store.Person, post: str) -> Member:
    """Return a member as shown to the others of the branch (UI-16)."""
    phone = opened(row.phone_sealed)
    return Member(
        member_id=row.person_id,
        name=row.name,
        id_masked="",
        phone=f"{phone[:3]}****{phone[-4:]}" if len(phone) > 7 else "",
        ethnic_group="",
        joined_on=None,
        branch_id=row.branch_id,
        graduate=row.graduate,
        transfer_id=None,
        identity_check=IdentityCheck(row.identity_check),
        post=post,
    )


def describe_people(tx: Connection, request: contract.DescribePeople, actor: Actor | None) -> list[Member]:
    """Return people, in full to those who may see all of them (TRF-22).

    These are the people themselves, those who administer their branch or what is above it, and the
    target of their open transfer. Everyone else gets the surname and two stars (MEM-32). Unknown
    ids are left out.
    """
    assert actor is not None
    refusal = rules.check_number(len(request.person_ids))
    if refusal is not None:
        raise Refused.of(refusal)
    people = store.by_ids(tx, request.person_ids)
    seen = _seen(tx, actor, people)
    posts = posts_in_branch(tx, people.values())
    found = [
        shown(people[one], one in seen, posts.get(one, "")) for one in request.person_ids if one in people
    ]
    return _with_remarks(tx, found)


def _with_remarks(tx: Connection, found: list[Member]) -> list[Member]:
    """Return members, those who are to come with what was said beside who they are (FED-08)."""
    transfers = [one.transfer_id for one in found if one.transfer_id]
    said = crossings_store.remarks(tx, transfers) if transfers else {}
    return [
        replace(one, said_there=opened(said.get(one.transfer_id or 0))) if one.transfer_id in said else one
        for one in found
    ]


def _seen(tx: Connection, actor: Actor, people: Mapping[int, store.Person]) -> set[int]:
    """Return those of the people of whom somebody sees everything (TRF-22)."""
    places = {one: (row.branch_id, row.reserved_target_id) for one, row in people.items()}
    org_id = actor.org_id if directory.administering(tx, [actor]) else None
    orgs: dict[int, directory.Org] = {}
    if org_id:
        orgs = directory.find(tx, [org_id, *(place for some in places.values() for place in some)])
    org = orgs.get(org_id or 0)
    if org is None:
        return {actor.person_id}
    # nobody looks after what another system keeps: who has left is not seen from above, either (FED-12)
    below = {
        place for place, row in orgs.items() if directory.is_below(row, org) and row.system == System.NATIONAL
    }
    return {actor.person_id, *(one for one, some in places.items() if not below.isdisjoint(some))}


def who_am_i(tx: Connection, request: contract.WhoAmI, actor: Actor | None) -> Profile:
    """Return the caller's own record with its history (ROLE-01, BEY-09).

    It says what the person is asked to put right (MEM-13, MEM-23).
    """
    assert actor is not None
    row = store.by_ids(tx, [actor.person_id]).get(actor.person_id)
    if row is None:
        raise Refused("unknown_member")
    return _profile(tx, row)


def get_profile(tx: Connection, request: contract.GetProfile, actor: Actor | None) -> Profile:
    """Return a member's record with its history to whoever looks after the branch (MEM-28, BEY-09).

    That is who administers the branch or what stands above it; to others there is no such member.
    """
    org = directory.require_above(tx, actor, observers=True)
    row = store.by_ids(tx, [request.member_id]).get(request.member_id)
    branch = directory.find(tx, [row.branch_id]).get(row.branch_id or 0) if row is not None else None
    ours = branch is not None and branch.system == System.NATIONAL
    refusal = rules.check_profile(ours and branch is not None and directory.is_below(branch, org))
    if refusal is not None:
        raise Refused.of(refusal)
    assert row is not None
    return _profile(tx, row)


def _profile(tx: Connection, row: store.Person) -> Profile:
    stays = [
        Stay(
            branch_id=stay.branch_id,
            began_at=stay.began_at,
            ended_at=stay.ended_at,
            transfer_id=stay.transfer_id,
        )
        for stay in store.stays(tx, row.person_id)
    ]
    posts = posts_store.posts_held(tx, [row.person_id])
    branch = directory.find(tx, [row.branch_id]).get(row.branch_id) if row.branch_id else None
    return Profile(
        member=shown(row, True, next((post.post for post in posts if post.org_id == row.branch_id), "")),
        stays=stays,
        hints=_hints(settings.of(tx).ranges, row, branch),
        elsewhere=[StayElsewhere(**stay._asdict()) for stay in store.elsewhere(tx, row.person_id)],
        system=System(branch.system) if branch is not None else System.NATIONAL,
        posts=[
            Post(
                org_id=post.org_id,
                person_id=post.person_id,
                post=PostCode(post.post),
                began_at=post.began_at,
            )
            for post in posts
        ],
    )


def _hints(issued: domain.Ranges, row: store.Person, branch: directory.Org | None) -> list[str]:
    """Return what a person is asked to put right (MEM-13, MEM-23), nothing who has left (FED-12)."""
    hints: list[str] = []
    if branch is not None and branch.system != System.NATIONAL:
        return hints
    if branch is not None:
        wrong = domain.check_development_number(
            row.development_number, row.joined_on, branch.province, issued
        )
        if wrong is not None:
            hints.append(wrong.code)
    if not row.complete:
        hints.append("profile_incomplete")
    if row.identity_check == "failed":
        hints.append("identity_failed")
    return hints
