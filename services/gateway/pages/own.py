"""What a person sees first, and the own branch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import redirect, session

from services.gateway import kit
from services.gateway.kit.language import gettext as _
from services.gateway.pages import course
from shared import clock
from shared.errors import Refusal
from shared.messages import members, orgs, transfers
from shared.messages.words import Code, OnExpiry, Rejection, System


@kit.blueprint.get("/my-branch")
def my_branch() -> Any:
    """My organisation (我的组织): the own branch, how many it has, who they are (UI-07, UI-16, STAT-09).

    Other members' numbers are masked.
    """
    profile = kit.call(members.who_am_i, members.WhoAmI())
    branch = profile.member.branch_id
    if profile.system != System.NATIONAL:
        return redirect("/")  # who is in a branch over there is known over there (FED-12)
    if branch is None:
        return kit.render("own/my_branch.html", org=None, superior=None, items=[])
    # Asked as the person alone: whoever acts for an organisation may see more of the others.
    session_org, session["org"] = session.get("org"), None
    try:
        found, items = kit.calls(
            (orgs.get_orgs, orgs.GetOrgs(org_ids=[branch])),
            kit.members_of(branch),
        )
    finally:
        session["org"] = session_org
    return kit.render("own/my_branch.html", org=found[0] if found else None, items=items)


@dataclass(frozen=True)
class Now:
    """What stands in the one card of a member whose transfer is under way (BEY-02)."""

    state: Code
    title: str
    """Who has it now, and for how long."""
    until: datetime | None
    then: str
    """What happens where nobody decides, empty while nobody has to."""
    phone: str
    transfer_id: int
    may_urge: bool
    plain: str = ""
    """What happens in another system, and that there is nothing to do (FED-13)."""


URGED_AFTER = timedelta(days=3)
"""From then on the member may urge, and again after as long (BEY-21)."""


def _now(progress: Any, found: dict[int, Any]) -> Now | None:
    """Return the card of an open transfer, None for none (BEY-02, FED-13).

    Whom to call is who has it, in another system at whose desk it lies; where nobody there has a number it
    is the branch that is left.
    """
    item = progress.transfer if progress is not None else None
    if item is None or item.ended_at is not None:
        return None
    office, desk = found.get(item.waiting_org_id or 0), course.desk(progress)
    there = course.system_of(item) if course.is_there(item) else ""
    called = desk.organisation if desk is not None else item.target_name if there else ""
    if office is not None and not called:
        called = kit.name_here(office)
    if there and called:
        called = f"{there} · {called}"
    phone = desk.phone if desk is not None else ""
    phone = phone or (office.phone if office is not None else "")
    left = found.get(item.source_branch_id)
    if there and not phone and left is not None:
        phone = left.phone
    now = clock.now()
    since = item.urged_at or item.node_opened_at
    days = (now - item.node_opened_at).days if item.node_opened_at else 0
    if not called:
        title = _("系统正在办理,不用等人")
    elif course.is_unread(progress):
        title = (
            _("等待%(office)s签收,已等%(n)s天", office=called, n=days)
            if days
            else _("等待%(office)s签收,今天发出", office=called)
        )
    elif days:
        title = _("现在由%(office)s办理,已等%(n)s天", office=called, n=days)
    else:
        title = _("现在由%(office)s办理,今天收到", office=called)
    return Now(
        state=item.state,
        title=title,
        until=item.expires_at,
        then=_then(item) if item.node_opened_at and (item.expires_at or not there) else "",
        phone=phone,
        transfer_id=item.transfer_id,
        may_urge=since is not None and now - since >= URGED_AFTER and not course.is_there(item),
        plain=course.now_there(progress, mine=True),
    )


def _then(item: Any) -> str:
    """Return what happens to an open node where nobody decides."""
    return kit.word(item.on_expiry if item.expires_at and item.on_expiry else OnExpiry.REMIND)


def _can_start(profile: Any) -> bool:
    """Return whether a member has something to start: from a branch here, with nothing under way (FED-12)."""
    here = profile.member.branch_id is not None and profile.system == System.NATIONAL
    return here and not profile.member.transfer_id


@kit.blueprint.get("/")
def home() -> Any:
    """Personal centre: who I am, my transfer as a timeline, my history (BEY-02, TRF-33).

    Who has left for another system reads where the membership is, and what was here (FED-12).
    """
    profile, mine = kit.calls(
        (members.who_am_i, members.WhoAmI()), (transfers.my_transfers, transfers.MyTransfers())
    )
    progress, timeline = None, []
    if mine:
        progress = kit.call(transfers.get_transfer, transfers.GetTransfer(transfer_id=mine[0].transfer_id))
        timeline = [*progress.path, *progress.steps]
    acting = session.get("org")
    named = [stay.branch_id for stay in profile.stays] + [one.org_id for one in timeline]
    found, people, (inbox, waiting) = kit.names(
        [*named, *kit.parties(mine), profile.member.branch_id, acting],
        [step.person_id for step in progress.steps] if progress else (),
        (transfers.list_messages, transfers.ListMessages(limit=5)) if not acting else None,
        (transfers.list_work, transfers.ListWork(limit=1)) if acting else None,
    )
    asked: list[Any] = []
    if profile.member.branch_id is None and not acting:
        asked = kit.call(members.list_registrations, members.ListRegistrations(own=True))[:1]
        found |= kit.names([one.org_id for one in asked])[0]
    if profile.system != System.NATIONAL and not acting:
        return kit.render("own/left.html", profile=profile, orgs=found, mine=mine)
    rejected = (Rejection.known(mine[0].end_code) if mine else None) or Rejection.OTHER
    return kit.render(
        "own/home.html",
        profile=profile,
        mine=mine,
        progress=progress,
        now_card=_now(progress, found),
        orgs=found,
        can_start=_can_start(profile),
        hints=[Refusal(code) for code in profile.hints],
        registration=asked[0] if asked else None,
        acting_org=found.get(acting or 0),
        inbox=inbox,
        waiting=waiting,
        people=people,
        steps=course.steps(progress, found, people) if progress else [],
        ended_by=_ended_by(progress, found, people) if progress else None,
        advice=_(rejected.next_step) if mine else "",
    )


def _ended_by(
    progress: Any, found: dict[int, Any], people: dict[int, Any]
) -> tuple[Any, str, datetime, str] | None:
    """Return where a transfer was ended, by whom, when, and the telephone number there; None for nobody."""
    step = course.refused_by(progress)
    if step is None:
        return None
    org = found.get(step.org_id)
    by = course.by_whom(step, found, people, step.org_id, course.system_of(progress.transfer))
    return org, by, step.at, org.phone if org is not None else ""


@kit.blueprint.get("/mine")
def mine() -> Any:
    """Show all my transfers: who started, how it ended and why (TRF-47)."""
    found = kit.call(transfers.my_transfers, transfers.MyTransfers())
    orgs_of, _people, _more = kit.names(kit.parties(found))
    return kit.render("own/mine.html", mine=found, orgs=orgs_of)


@kit.blueprint.get("/me")
def me() -> Any:
    """Show my own record, and the branches that I have been in."""
    profile = kit.call(members.who_am_i, members.WhoAmI())
    named = [stay.branch_id for stay in profile.stays]
    orgs_of, _people, _more = kit.names([*named, profile.member.branch_id])
    return kit.render("own/me.html", profile=profile, orgs=orgs_of)
