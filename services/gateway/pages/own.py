"""What a person sees first, and the own branch."""

from __future__ import annotations

from typing import Any

from flask import session

from services.gateway.pages import kit
from services.gateway.pages import transfers as pages_transfers
from services.gateway.pages.language import gettext as _
from shared.errors import Refusal
from shared.messages import members, orgs, transfers
from shared.messages.words import Rejection


@kit.blueprint.get("/my-branch")
def my_branch() -> Any:
    """My organisation (我的组织): the own branch, how many it has, who they are (UI-07, UI-16, STAT-09).

    Other members' numbers are masked.
    """
    profile = kit.call(members.who_am_i, members.WhoAmI())
    branch = profile.member.branch_id
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


@kit.blueprint.get("/")
def home() -> Any:
    """Personal centre: who I am, my transfer as a timeline, my history (BEY-02, TRF-33)."""
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
    rejected = (Rejection.known(mine[0].end_code) if mine else None) or Rejection.OTHER
    return kit.render(
        "own/home.html",
        profile=profile,
        mine=mine,
        progress=progress,
        orgs=found,
        can_start=profile.member.branch_id and not profile.member.transfer_id,
        hints=[Refusal(code) for code in profile.hints],
        acting_org=found.get(acting or 0),
        inbox=inbox,
        waiting=waiting,
        people=people,
        decided=pages_transfers.decided(progress) if progress else {},
        advice=_(rejected.next_step) if mine else "",
    )


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
