"""Use cases of the members service: lists in, lists out, inside the caller's transaction. No framework."""
from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import cadre_store, domain, entrant_store, places, ranges, store, throttle
from services.members.log import changer, entered, log
from services.members.secret import b64, keys, opened, sealed
from shared import audit, clock, directory, outbox, practice, reference
from shared.bus.service import Asked
from shared.errors import Refusal, Refused
from shared.identity import Actor
from shared.messages import members as contract
from shared.messages.members import Admission, Admitted, Member, Post, Profile, ReservationRefused, Stay
from shared.messages.orgs import OrgChanged

TICKET_LIFE = timedelta(hours=1)
SEED_ROWS = 2000
"""People entered by one statement of `seed_people`."""
_NO_COMMAND = uuid.UUID(int=0)


def on_org_changed(tx: Connection, items: list[OrgChanged]) -> None:
    """Keep the directory; a deleted branch in which somebody is comes back (DEL-03)."""
    directory.on_org_changed(tx, items)
    deleted = [item.org_id for item in items if item.deleted]
    if deleted:
        store.refuse_deletions(tx, deleted)


# ---- the saga --------------------------------------------------------------------------------------------------------

def on_transfer_requested(tx: Connection, items: list[Any]) -> None:
    """Hold each member for its transfer, or say why not (TRF-02, GRAD-15, GRAD-17, GRAD-22); of a batch move all or none (BATCH-05)."""
    refused = {**dict.fromkeys(_astray(tx, items), "delayed_elsewhere"), **dict.fromkeys(_leaving_rights(tx, items), "is_administrator"), **_broken(tx, items)}
    store.reserve(tx, [item for item in items if item.transfer_id not in refused])
    outbox.emit(tx, [ReservationRefused(transfer_id=item.transfer_id, member_id=item.member_id, code=refused[item.transfer_id])
                     for item in items if item.transfer_id in refused])


def _broken(tx: Connection, items: list[Any]) -> dict[int, str]:
    """Return the transfers of batches of which one member cannot be moved, with the reason of each: its own, or that another stands in the way.

    The people of a batch are held in one look, so nothing changes between the look and the reservation. A batch that does not come whole
    is refused whole.
    """
    batches: dict[Any, list[Any]] = {}
    for item in items:
        if item.batch_id is not None and item.batch_size:
            batches.setdefault(item.batch_id, []).append(item)
    people = store.hold_people(tx, [item.member_id for some in batches.values() for item in some]) if batches else {}
    refused: dict[int, str] = {}
    for some in batches.values():
        wrong = {item.transfer_id: code for item in some if (code := _why_not_moved(people.get(item.member_id), item))}
        if wrong or len(some) < some[0].batch_size:
            refused |= {item.transfer_id: wrong.get(item.transfer_id, "batch_stopped") for item in some}
    return refused


def _why_not_moved(person: sa.Row[Any] | None, item: Any) -> str:
    """Return why a member of a batch cannot be held, empty if it can; the same reasons as the statement that holds."""
    if person is None:
        return "unknown_member"
    if person.reserved_by == item.transfer_id:
        return ""
    if person.branch_id != item.source_branch_id:
        return "member_elsewhere"
    if person.reserved_by is not None:
        return "transfer_open"
    if item.reason_kind != "any" and (item.reason_kind in ("graduate", "abroad")) != person.graduate:
        return "graduate_reason_needed" if person.graduate else "ordinary_reason_needed"
    if item.reason_kind == "outward" and person.mark not in ("delayed", "teacher"):
        return "drop_out_needed"
    if item.reason_kind == "abroad" and not person.may_go_abroad:
        return "abroad_request_missing"
    return ""


def _astray(tx: Connection, items: list[Any]) -> set[int]:
    """Return the transfers that take delayed graduates where a setting does not want them (GRAD-22): it names the purposes of branches they may go to."""
    if not practice.anywhere("delayed_destination", clock.today()):
        return set()
    people = {key: row for key, row in store.by_ids(tx, [item.member_id for item in items]).items() if row.mark == "delayed" and row.reserved_by is None}
    orgs = directory.find(tx, [org_id for item in items if item.member_id in people for org_id in (item.source_branch_id, item.target_org_id)])

    def strays(item: Any) -> bool:
        source, target = orgs.get(item.source_branch_id), orgs.get(item.target_org_id)
        place = (source.province, source.path) if source is not None else ("", "")
        allowed = {one for one in practice.text("delayed_destination", clock.today(), *place).split(",") if one}
        return bool(allowed) and (target is None or target.purpose not in allowed)

    return {item.transfer_id for item in items if item.member_id in people and strays(item)}


def _leaving_rights(tx: Connection, items: list[Any]) -> set[int]:
    """Return the transfers of people who administer what they would leave, where the setting blocks these (ADM-18); by default the right ends on completion."""
    if "block" not in practice.anywhere("admin_on_transfer", clock.today()):
        return set()
    rights = store.administered(tx, [item.member_id for item in items])
    orgs = directory.find(tx, [org_id for item in items if item.member_id in rights for org_id in (item.source_branch_id, item.target_org_id)])

    def leaves(item: Any) -> bool:
        source, target = orgs.get(item.source_branch_id), orgs.get(item.target_org_id)
        if source is None or practice.text("admin_on_transfer", clock.today(), source.province, source.path) != "block":
            return False
        left = set(source.path.split(".")) - set(target.path.split(".") if target is not None else ())
        return any(str(org_id) in left for org_id in rights[item.member_id])

    return {item.transfer_id for item in items if item.member_id in rights and leaves(item)}


def on_branch_assigned(tx: Connection, items: list[Any]) -> None:
    """Move each member once (TRF-35); a branch that was deleted meanwhile comes back (DEL-03)."""
    store.move(tx, items)
    store.refuse_deletions(tx, [item.branch_id for item in items])


def on_ended(tx: Connection, items: list[Any]) -> None:
    """Let members go whose transfer was rejected, returned or withdrawn (TRF-25)."""
    store.release(tx, items)


# ---- commands --------------------------------------------------------------------------------------------------------

def _once(tx: Connection, asked: Sequence[Asked[Admission]]) -> dict[int, Admitted]:
    """Return the stored answers, by position, of items whose command was handled before; somebody else's command is refused."""
    known = store.replies(tx, [one.item.command_id for one in asked])
    rows = {n: known[one.item.command_id] for n, one in enumerate(asked) if one.item.command_id in known}
    return {n: msgspec.json.decode(row.reply, type=Admitted) if row.person_id in (None, asked[n].actor.person_id) else _refused(Refusal("command_taken"))
            for n, row in rows.items()}


def _remember(tx: Connection, asked: Sequence[Asked[Any]], answers: dict[int, Any], fresh: set[int]) -> None:
    store.remember(tx, [{"command_id": asked[n].item.command_id, "reply": msgspec.json.encode(answers[n]).decode(), "person_id": asked[n].actor.person_id}
                        for n in fresh])


def admit(tx: Connection, asked: list[Asked[Admission]]) -> list[Admitted]:
    """Enter people into branches, row by row: good rows are stored, each bad row says why (IMP-05, IMP-08, IMP-10, IMP-13).

    The acting organisation is the branch or its direct superior (MEM-29, IMP-11). Everyone gets an account with the initial password.
    Who enters a class that is a graduates' organisation already is a graduate of it (GRAD-12, GRAD-15).

    Who has an account and is in no branch is entered, too (REG-05, ORG-17), unless the person holds a post or a right outside the acting
    organisation and what lies below it: then it is not for this organisation to say where the person belongs (ACC-11).
    """
    answers = _once(tx, asked)
    acting = directory.administering(tx, (one.actor for one in asked))
    orgs = directory.find(tx, [one.item.branch_id for one in asked])
    rows: dict[int, dict[str, Any]] = {}
    first: dict[Any, int] = {}
    for n, one in enumerate(asked):
        if n in answers or first.setdefault(one.item.command_id, n) != n:
            continue
        refusal = _check_admission(one, acting, orgs.get(one.item.branch_id))
        if refusal is not None:
            answers[n] = _refused(refusal)
        else:
            rows[n] = _row(one.item)
    indexes = {n: base64.b64decode(row["id_index"]) for n, row in rows.items()}
    entrant_store.hold(tx, {row["branch_id"] for row in rows.values()})
    cadre_store.lock(tx, {row["branch_id"] for row in rows.values() if row["post"]})
    refused, loose = _taken(tx, rows, indexes)
    answers |= refused
    bound = _bound_elsewhere(tx, asked, loose)
    answers |= {n: _refused(Refusal("id_registered")) for n in bound}
    loose = {n: person_id for n, person_id in loose.items() if n not in bound}
    fresh = {n: row for n, row in rows.items() if n not in answers}
    made = store.add(tx, [row for n, row in fresh.items() if n not in loose], clock.now(), tail=initial_tail()) if fresh else {}
    if loose:
        made |= store.attach(tx, [rows[n] for n in loose], clock.now())
    entrant_store.receive(tx, made.values(), clock.now())
    answers |= {n: Admitted(member_id=made[indexes[n]]) for n in fresh if indexes[n] in made}
    cadre_store.set_posts(tx, [{"org_id": row["branch_id"], "person_id": answers[n].member_id, "post": row["post"], **changer(asked[n])}
                               for n, row in fresh.items() if n in answers and row["post"]], clock.now())
    log.append(tx, entered(asked, {n: (row["branch_id"], member) for n, row in fresh.items() if n in answers and (member := answers[n].member_id) is not None}))
    _remember(tx, asked, answers, {n for n in fresh if n in answers})
    late = [n for n in fresh if n not in answers]
    if late:  # somebody else entered the same people in this very moment; now committed, it says whether it was the same call
        repeated = _once(tx, [asked[n] for n in late])
        answers |= {n: repeated[at] for at, n in enumerate(late) if at in repeated}
        answers |= {n: _refused(Refusal("id_registered")) for n in late if n not in answers} | _taken(tx, {n: rows[n] for n in late if n not in answers}, indexes)[0]
    return [answers[first.get(one.item.command_id, n)] for n, one in enumerate(asked)]


def initial_tail() -> int:
    """Return of how many characters of the ID number the initial password of a new account is made (ACC-04); 0: of none, a code opens it (BEY-22)."""
    if os.environ.get("TUANQIAO_FIRST_CREDENTIAL") == "activation_code":
        return 0
    return practice.number("initial_password_tail", clock.today())


def _bound_elsewhere(tx: Connection, asked: Sequence[Asked[Admission]], loose: dict[int, int]) -> set[int]:
    """Return those of the rows, by position, whose person is bound to an organisation outside the acting one's subtree by a post or a right."""
    found = places.of(tx, loose.values()) if loose else {}
    acting = directory.find(tx, [asked[n].actor.org_id for n in loose]) if found else {}
    return {n for n, person in loose.items() if any(not path.startswith(str(acting[asked[n].actor.acting_org].path)) for path in found.get(person, ()))}


def _taken(tx: Connection, rows: dict[int, dict[str, Any]], indexes: dict[int, bytes]) -> tuple[dict[int, Admitted], dict[int, int]]:
    """Return the refusals of rows that are taken, and the rows of people who are registered but in no branch, with their ids.

    An ID number may be registered (ACC-11) or under the person's own registration (REG-06, ORG-20), a development number used (MEM-09),
    by others or by an earlier row.
    """
    known, numbers = store.known(tx, [indexes[n] for n in rows]), store.used_numbers(tx, [row["development_number"] for row in rows.values()])
    posts = {row.org_id for row in cadre_store.posts_of(tx, {row["branch_id"] for row in rows.values() if row["post"] == "secretary"}) if row.post == "secretary"}
    deleted = store.deleted_from(tx, [indexes[n] for n in rows])
    refused: dict[int, Admitted] = {}
    loose: dict[int, int] = {}
    seen: set[bytes] = set()
    for n, row in rows.items():
        found = known.get(indexes[n])
        owner = found.person_id if found is not None else None
        if indexes[n] in seen or (found is not None and not found.pending and (found.branch_id is not None or found.name != row["name"])):
            refused[n] = _refused(Refusal("id_registered"))
        elif found is not None and found.pending:
            refused[n] = _refused(Refusal("registration_pending"))
        elif was_deleted_elsewhere(deleted.get(indexes[n]), row["name"], row["branch_id"]):
            refused[n] = _refused(Refusal("deleted_elsewhere"))
        elif numbers.get(row["development_number"], owner) != owner:
            refused[n] = _refused(Refusal("development_number_used"))
        elif row["post"] == "secretary" and row["branch_id"] in posts:
            refused[n] = _refused(Refusal("secretary_in_post"))
        else:
            seen.add(indexes[n])
            numbers |= {row["development_number"]: 0} if row["development_number"] else {}
            posts |= {row["branch_id"]} if row["post"] == "secretary" else set()
            loose |= {n: owner} if owner is not None else {}
    return refused, loose


def was_deleted_elsewhere(deleted: sa.Row[Any] | None, name: str, branch_id: int | None) -> bool:
    """Return whether the same person, by number and name, was deleted from another branch: there it is entered again, and transferred (TRF-36)."""
    return deleted is not None and deleted.name == name and deleted.branch_id != branch_id


def _refused(refusal: Refusal) -> Admitted:
    return Admitted(reason=refusal.say(), refusal=refusal)


def _check_admission(one: Asked[Admission], acting: set[Actor], branch: sa.Row[Any] | None) -> Refusal | None:
    item, today = one.item, clock.today()
    if branch is None or branch.kind != "branch":
        return Refusal("branch_unknown")
    if one.actor not in acting:
        return Refusal("not_administrator")
    if not directory.is_own_or_superior(one.actor.org_id, branch):
        return Refusal("not_your_org")
    return check_entry(item.name, item.id_number, item.joined_on, item.development_number, item.post, branch, today)


def check_entry(name: str, id_number: str, joined_on: date | None, number: str, post: str, org: sa.Row[Any], today: date) -> Refusal | None:
    """Return what is wrong with the data of a person who is to belong to an organisation (IMP-08, MEM-04..12, CADRE-05, REG-08)."""
    refusal = domain.check_name(domain.clean_name(name))
    if refusal is not None:
        return refusal
    if post.strip() and post.strip() not in reference.POSTS[org.kind]:
        return Refusal("post_unknown")
    id_number = domain.normalise_id(id_number)
    return (domain.check_id(id_number, today)
            or domain.check_ages(domain.born_on(id_number), joined_on, post.strip(), today, org.province)
            or domain.check_development_number(number.strip(), joined_on, org.province, ranges.issued))


def _row(item: Admission, person_id: int | None = None) -> dict[str, Any]:
    id_number = domain.normalise_id(item.id_number)
    return {
        "person_id": person_id, "name": domain.clean_name(item.name), "id_sealed": b64(keys.seal.seal(id_number)), "id_index": b64(keys.seal.index(id_number)),
        "phone_sealed": sealed(item.phone), "ethnic_group": item.ethnic_group, "joined_on": item.joined_on,
        "development_number": item.development_number.strip(), "post": item.post.strip(), "branch_id": item.branch_id or None, "born_on": domain.born_on(id_number)}


def new_person(name: str, id_number: str, phone: str, ethnic_group: str) -> dict[str, Any]:
    """Return the row of a person who belongs to no branch, for `store.add`."""
    return _row(Admission(command_id=_NO_COMMAND, branch_id=0, name=name, id_number=id_number, phone=phone, ethnic_group=ethnic_group))


def enter_trusted(tx: Connection, rows: Sequence[tuple[int, Admission]], password_hash: str | None = None, began_at: datetime | None = None) -> int:
    """Enter people without checks and rights, with ids of the caller's choice: for demo worlds and first set-up only; return how many were new."""
    made = store.add(tx, [_row(item, person_id) for person_id, item in rows], began_at or clock.now(), password_hash)
    entrant_store.receive(tx, made.values(), clock.now())
    return len(made)


def seed_people(tx: Connection, rows: Iterable[tuple[int, Admission]], password_hash: str | None = None, began_at: datetime | None = None) -> int:
    """Enter any number of people as `enter_trusted` does, `SEED_ROWS` at a time; ids given later by the database are higher."""
    new = highest = 0
    for some in iter(partial(_take, iter(rows)), []):
        new += enter_trusted(tx, some, password_hash, began_at)
        highest = max(highest, *(person_id for person_id, _ in some))
    store.skip_ids(tx, highest)
    return new


def _take(rows: Iterator[tuple[int, Admission]]) -> list[tuple[int, Admission]]:
    return list(islice(rows, SEED_ROWS))


# ---- queries ---------------------------------------------------------------------------------------------------------

def shown(row: sa.Row[Any], full: bool, post: str = "") -> Member:
    """Return a person as shown to those entitled, or the surname and two stars (MEM-02, MEM-32)."""
    if not full:
        return Member(
            member_id=row.person_id, name=domain.mask_name(row.name), id_masked="", phone="", ethnic_group="", joined_on=None, branch_id=None,
            graduate=False, transfer_id=None)
    id_number, today = keys.seal.open(row.id_sealed), clock.today()
    return Member(
        member_id=row.person_id, name=row.name, id_masked=domain.mask_id(id_number), phone=opened(row.phone_sealed), ethnic_group=row.ethnic_group,
        joined_on=row.joined_on, branch_id=row.branch_id, graduate=row.graduate, transfer_id=row.reserved_by, mark=row.mark, graduates_on=row.graduates_on,
        identity_check=row.identity_check, sex=domain.sex_of(id_number), age=domain.age_on(domain.born_on(id_number), today),
        league_years=domain.age_on(row.joined_on, today) if row.joined_on else None, development_number=row.development_number, post=post,
        contact=opened(row.contact_sealed), emergency_contact=opened(row.emergency_sealed), party=row.party, to_contact=row.to_contact, found_on=row.found_on,
        missing=[] if row.complete else domain.missing(row.ethnic_group, row.phone_sealed is not None, row.branch_id is not None, row.joined_on, row.development_number,
                                                         row.number_from))


def posts_in_branch(tx: Connection, rows: Iterable[sa.Row[Any]]) -> dict[int, str]:
    """Return the posts that people hold in their own branches, by person."""
    branches = {row.person_id: row.branch_id for row in rows}
    return {post.person_id: post.post for post in cadre_store.posts_held(tx, branches) if branches[post.person_id] == post.org_id}


def look_up(tx: Connection, request: contract.LookUp, actor: Actor | None) -> contract.Found:
    """Find one member by exact name and ID number, and give the finder a ticket to start a transfer-in (TRF-05, TRF-06).

    Who looked is in the audit log, also if nobody was found (BEY-10); a refused query is committed.
    """
    org_id = directory.require_administrator(tx, actor)
    assert actor is not None
    misses = throttle.of_person(actor.person_id, "looks up", domain.MISSES_OF_LOOK_UPS)
    throttle.refuse_while_closed(tx, misses)
    row = store.by_index(tx, keys.seal.index(domain.normalise_id(request.id_number)))
    found = row is not None and row.name == domain.clean_name(request.name) and row.branch_id is not None
    log.append(tx, [audit.Entry(kind="view.looked_up", place_id=row.branch_id if row is not None and found else None,
                                persons=[row.person_id] if row is not None and found else [], after={"found": found}, **audit.by(actor))])
    if row is None or not found:
        throttle.count(tx, misses)
        raise Refused("unknown_member")
    ticket, _ = keys.signer.sign("member_ticket", TICKET_LIFE, sub=str(row.person_id), org=org_id, branch=row.branch_id)
    return contract.Found(member_id=row.person_id, name=row.name, branch_id=row.branch_id, ticket=ticket)


def list_members(tx: Connection, request: contract.ListMembers, actor: Actor | None) -> list[Member]:
    """Return the members of a branch to the administrators of the branch and of what stands above it (MEM-28, SRCH-06).

    Members see those of their own branch: names, posts and identity checks, the numbers masked (UI-16).
    """
    assert actor is not None
    own = store.by_ids(tx, [actor.person_id]).get(actor.person_id) if actor.org_id is None else None
    if own is None or own.branch_id != request.branch_id:
        directory.require_above(tx, actor, request.branch_id, observers=True)
        own = None
    rows = store.of_branch(tx, request.branch_id, request.after, max(1, min(request.limit, 500)))
    posts = posts_in_branch(tx, rows)
    return [shown(row, True, posts.get(row.person_id, "")) if own is None else _fellow(row, posts.get(row.person_id, "")) for row in rows]


def _fellow(row: sa.Row[Any], post: str) -> Member:
    """Return a member as shown to the others of the branch (UI-16)."""
    phone = opened(row.phone_sealed)
    return Member(member_id=row.person_id, name=row.name, id_masked="", phone=f"{phone[:3]}****{phone[-4:]}" if len(phone) > 7 else "", ethnic_group="", joined_on=None,
                  branch_id=row.branch_id, graduate=row.graduate, transfer_id=None, identity_check=row.identity_check, post=post)


def describe_people(tx: Connection, request: contract.DescribePeople, actor: Actor | None) -> list[Member]:
    """Return people, in full to themselves, to who administers their branch or what is above it, and to the target of their open transfer (TRF-22).

    Everyone else gets the surname and two stars (MEM-32). Unknown ids are left out.
    """
    assert actor is not None
    if len(request.person_ids) > 500:
        raise Refused("too_many_items", limit=500)
    people = store.by_ids(tx, request.person_ids)
    org_id = actor.org_id if directory.administering(tx, [actor]) else None
    orgs = directory.find(tx, [org_id, *[one for row in people.values() for one in (row.branch_id, row.reserved_target_id)]]) if org_id else {}

    def sees(row: sa.Row[Any]) -> bool:
        return row.person_id == actor.person_id or any(
            one in orgs and org_id in orgs and directory.is_below(orgs[one], orgs[org_id]) for one in (row.branch_id, row.reserved_target_id))

    posts = posts_in_branch(tx, people.values())
    return [shown(people[one], sees(people[one]), posts.get(one, "")) for one in request.person_ids if one in people]


def who_am_i(tx: Connection, request: contract.WhoAmI, actor: Actor | None) -> Profile:
    """Return the own record with its history (ROLE-01, BEY-09), and what the person is asked to put right (MEM-13, MEM-23)."""
    assert actor is not None
    row = store.by_ids(tx, [actor.person_id]).get(actor.person_id)
    if row is None:
        raise Refused("unknown_member")
    return _profile(tx, row)


def get_profile(tx: Connection, request: contract.GetProfile, actor: Actor | None) -> Profile:
    """Return a member's record with its history to whoever administers the branch or what stands above it; to others there is no such member (MEM-28, BEY-09)."""
    org = directory.require_above(tx, actor, observers=True)
    row = store.by_ids(tx, [request.member_id]).get(request.member_id)
    branch = directory.find(tx, [row.branch_id]).get(row.branch_id or 0) if row is not None else None
    if row is None or branch is None or not directory.is_below(branch, org):
        raise Refused("unknown_member")
    return _profile(tx, row)


def _profile(tx: Connection, row: sa.Row[Any]) -> Profile:
    stays = [Stay(branch_id=stay.branch_id, began_at=stay.began_at, ended_at=stay.ended_at, transfer_id=stay.transfer_id)
             for stay in store.stays(tx, row.person_id)]
    posts = cadre_store.posts_held(tx, [row.person_id])
    branch = directory.find(tx, [row.branch_id]).get(row.branch_id) if row.branch_id else None
    number = domain.check_development_number(row.development_number, row.joined_on, branch.province, ranges.issued) if branch is not None else None
    hints = [*([number.code] if number else []), *([] if row.complete else ["profile_incomplete"]), *(["identity_failed"] if row.identity_check == "failed" else [])]
    return Profile(member=shown(row, True, next((post.post for post in posts if post.org_id == row.branch_id), "")), stays=stays, hints=hints,
                   posts=[Post(org_id=post.org_id, person_id=post.person_id, post=post.post, began_at=post.began_at) for post in posts])
