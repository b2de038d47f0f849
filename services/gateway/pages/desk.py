"""The operation centre: what waits, messages, registrations, migrations, escalations (MSG)."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

import msgspec
from flask import redirect, request, session

from services.gateway.kit import (
    blueprint,
    call,
    calls,
    fields,
    first,
    names,
    parties,
    render,
    say,
    send,
    word,
)
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Listing
from services.gateway.pages.organisations import REGISTRATION_SAID
from shared import clock
from shared.errors import Refused
from shared.messages import members, orgs, transfers
from shared.messages.limits import SmallNumber, TransferId
from shared.messages.words import Reason, TrailEvent


@blueprint.route("/registrations", methods=["GET", "POST"])
def registrations() -> Any:
    """Who has registered and waits to be accepted (REG-03, REG-07)."""
    read, refusal = forms.unsent(), None
    if request.method == "POST":
        accept = request.form.get("do") == "accept"
        read = forms.read(
            members.DecideRegistration,
            request.form,
            {"registration_id": "registration"},
            accept=accept,
            withdraw=False,
        )
        refusal = send(members.decide_registrations, read.value) if read.value is not None else None
        if read.done(refusal):
            say(word(REGISTRATION_SAID["accept" if accept else "reject"]))
            return redirect("/registrations")
    name = fields.person(request.args.get("name"))
    listing = Listing("/registrations", {"name": name, "sort": request.args.get("sort", "")})
    return render(
        "desk/registrations.html",
        read.status(refusal),
        items=listing.in_order(
            call(members.list_registrations, members.ListRegistrations(name=name)),
            name=lambda one: one.name,
            joined_on=lambda one: one.joined_on or date.max,
            asked_at=lambda one: one.asked_at,
        ),
        name=name,
        listing=listing,
        columns=[
            listing.column(_("姓名"), "name"),
            listing.column(_("身份证号码")),
            listing.column(_("入团时间"), "joined_on"),
            listing.column(_("职务")),
            listing.column(_("申请时间"), "asked_at"),
            listing.column("", unseen=_("操作")),
        ],
        export=Listing("/download/registrations", {"name": name}).address(),
        refusal=refusal,
        errors=read.errors,
        form=read.typed,
    )


@blueprint.get("/desk")
def desk() -> Any:
    """Operation centre (操作中心): everything that waits for the acting organisation (MSG-01, MSG-03).

    Whoever acts for no organisation is led to their own messages.
    """
    if not session.get("org"):
        return redirect("/messages")
    inbox, work, registrations, migrations, escalations = calls(
        (transfers.list_messages, transfers.ListMessages(limit=1)),
        (transfers.list_work, transfers.ListWork(limit=5)),
        (members.list_registrations, members.ListRegistrations()),
        (orgs.list_migrations, orgs.ListMigrations(waiting=True)),
        (transfers.list_escalations, transfers.ListEscalations()),
        partial=True,
    )
    oldest = [] if isinstance(work, Refused) else work.items
    found, people, _more = names(parties(oldest), [item.member_id for item in oldest])
    return render(
        "desk/desk.html",
        inbox=inbox,
        work=work,
        registrations=registrations,
        migrations=migrations,
        escalations=escalations,
        orgs=found,
        people=people,
    )


@blueprint.get("/messages")
def messages() -> Any:
    """Show what happened to the transfers that concern one (MSG-02, MSG-09)."""
    kind = fields.one_of(request.args.get("kind"), _MESSAGES)
    unread = bool(fields.flag(request.args.get("unread")))
    days = {name: fields.day(request.args.get(name)) for name in ("since", "until")}
    listing = Listing(
        "/messages",
        {
            "kind": kind,
            "unread": "1" if unread else "",
            **{name: str(day) for name, day in days.items() if day},
        },
    )
    inbox = call(transfers.list_messages, _messages(kind))
    found, people, _more = names(
        [item.org_id for item in inbox.items], [item.member_id for item in inbox.items]
    )
    return render(
        "desk/messages.html",
        inbox=inbox,
        orgs=found,
        people=people,
        listing=listing,
        kinds=list(_MESSAGES),
        export=Listing(
            "/download/messages", {"kind": kind, "unread_only": "true" if unread else ""}
        ).address(),
        chips=[
            (listing.address(unread=None), _("全部"), None, "", not unread),
            (listing.address(unread="1"), _("未读"), None, "", unread),
        ],
    )


_MESSAGES = (
    TrailEvent.REQUESTED,
    TrailEvent.APPROVE,
    TrailEvent.REJECT,
    TrailEvent.CLOCK_RETURN,
    TrailEvent.WITHDRAW,
    TrailEvent.MOVED,
    TrailEvent.URGED,
    TrailEvent.ESCALATED,
    TrailEvent.ANSWERED,
)
"""The kinds of messages that the list can be narrowed to."""


def _messages(kind: str) -> transfers.ListMessages:
    """Return the messages that the page is asked for."""
    return transfers.ListMessages(
        kind=kind,
        unread_only=request.args.get("unread") == "1",
        since=_begin(request.args.get("since")),
        until=_begin(request.args.get("until")),
        after=request.args.get("after", ""),
        limit=30,
    )


def _begin(text: str | None) -> datetime | None:
    """Return when a day begins that stands in the address."""
    day = fields.day(text)
    return datetime.combine(day, datetime.min.time(), clock.CHINA) if day else None


@blueprint.get("/desk/count")
def desk_count() -> Any:
    """How much waits, for the bar, and beside it how much is unread (MSG-01, MSG-09, MSG-10).

    Tasks and messages are never one number.
    """
    acting = session.get("org")
    try:
        inbox, work = calls(
            (transfers.list_messages, transfers.ListMessages(limit=1)),
            (transfers.list_work, transfers.ListWork(limit=1)) if acting else None,
            partial=True,
        )
    except Refused:
        return ""  # no number is better than a page in its place
    waiting = sum(work.counts.values()) if work is not None and not isinstance(work, Refused) else 0
    unread = 0 if isinstance(inbox, Refused) else inbox.unread
    return f'{waiting or ""}<span class="count" id="unread" hx-swap-oob="true">{unread or ""}</span>'


class Message(msgspec.Struct):
    """The message that is marked read, by transfer and step; none for all of them."""

    message: tuple[TransferId, SmallNumber] | None = None


@blueprint.post("/desk/read")
def read_messages() -> Any:
    """Mark all messages read, or one."""
    one = forms.value(Message, request.form).message
    until = None if one else clock.now()
    transfer_id, seq = one or (None, 0)
    call(transfers.mark_messages, [transfers.MarkRead(until=until, transfer_id=transfer_id, seq=seq)])
    say(_("已标为已读。"))
    return redirect("/messages")


@blueprint.route("/escalations", methods=["GET", "POST"])
def escalations() -> Any:
    """Rejections that members have brought before the acting organisation, and the answer (BEY-06)."""
    read = forms.unsent()
    if request.method == "POST":
        read = forms.read(transfers.AnswerEscalation, request.form, decision_id=uuid.uuid4())
    if read.value is not None:
        first(call(transfers.answer_escalations, [read.value]))
        say(_("已答复,团员会看到您的意见。"))
        return redirect("/escalations")
    args = request.args
    reason = fields.one_of(args.get("reason"), Reason)
    asked = {name: fields.flag(args.get(name)) for name in ("all", "oldest")}
    listing = Listing("/escalations", {**asked, "reason": reason})
    items = call(
        transfers.list_escalations,
        transfers.ListEscalations(
            open_only=not asked["all"], reason=reason, oldest_first=bool(asked["oldest"])
        ),
    )
    found, people, _more = names(
        [one for item in items for one in (item.source_branch_id, item.target_org_id)],
        [item.member_id for item in items],
    )
    return render(
        "desk/escalations.html",
        read.status(),
        items=items,
        orgs=found,
        people=people,
        errors=read.errors,
        form=read.typed,
        listing=listing,
        reasons=list(Reason),
        chips=[
            (listing.address(all=None), _("待答复"), None, "", not asked["all"]),
            (listing.address(all="1"), _("全部"), None, "", bool(asked["all"])),
        ],
        export=Listing(
            "/download/escalations",
            {
                "open_only": "0" if asked["all"] else "1",
                "reason": reason,
                "oldest_first": asked["oldest"],
            },
        ).address(),
    )
