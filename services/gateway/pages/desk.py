"""The operation centre: what waits, messages, registrations, migrations, escalations (MSG)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

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
from services.gateway.kit.language import gettext as _
from services.gateway.pages import organisations, picking
from services.gateway.pages.organisations import MIGRATION_SAID, REGISTRATION_SAID
from shared import clock
from shared.errors import Refusal, Refused
from shared.messages import members, orgs, transfers
from shared.messages.words import TrailEvent


@blueprint.route("/registrations", methods=["GET", "POST"])
def registrations() -> Any:
    """Who has registered and waits to be accepted (REG-03, REG-07)."""
    form, refusal = request.form, None
    if request.method == "POST":
        accept = form.get("do") == "accept"
        refusal = send(
            members.decide_registrations,
            members.DecideRegistration(
                registration_id=fields.number(form.get("registration")),
                accept=accept,
                note=form.get("note", ""),
            ),
        )
        if refusal is None:
            say(word(REGISTRATION_SAID["accept" if accept else "reject"]))
            return redirect("/registrations")
    return render(
        "desk/registrations.html",
        refusal.kind.status if refusal else 200,
        items=call(members.list_registrations, members.ListRegistrations()),
        refusal=refusal,
    )


@blueprint.route("/migrations", methods=["GET", "POST"])
def migrations() -> Any:
    """Move an organisation below another superior, and decide what others ask (MIG-01..10)."""
    form, refusal = request.form, None
    if request.method == "POST" and form.get("do"):
        refusal = _migrate(form)
        if refusal is None:
            say(word(MIGRATION_SAID.get(form.get("do", ""), MIGRATION_SAID["request"])))
            return redirect("/migrations")
    items, *answers = calls((orgs.list_migrations, orgs.ListMigrations()), *picking.org_calls(form))
    known, *_more = names([one for item in items for one in (item.org_id, item.from_org_id, item.to_org_id)])
    return render(
        "desk/migrations.html",
        refusal.kind.status if refusal else 200,
        items=items,
        orgs=known,
        picker=picking.org_field(form, "target", answers),
        form=form,
        refusal=refusal,
        command_id=uuid.uuid4(),
    )


def _migrate(form: Any) -> Refusal | None:
    """Ask for the migration of the acting organisation, or decide about one; return why not."""
    do = form.get("do")
    if do == "request":
        return send(
            orgs.request_migrations,
            orgs.RequestMigration(
                command_id=fields.key(form),
                org_id=organisations.acting_committee(),
                to_org_id=fields.number(form.get("target")),
                reason=form.get("reason", ""),
            ),
        )
    if do in ("approve", "reject", "withdraw"):
        return send(
            orgs.decide_migrations,
            orgs.DecideMigration(
                migration_id=fields.number(form.get("migration")),
                approve=do == "approve",
                withdraw=do == "withdraw",
                note=form.get("note", ""),
            ),
        )
    return None


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
    kind, unread = request.args.get("kind", ""), request.args.get("unread") == "1"
    inbox = call(transfers.list_messages, _messages(kind))
    found, people, _more = names(
        [item.org_id for item in inbox.items], [item.member_id for item in inbox.items]
    )
    return render(
        "desk/messages.html",
        inbox=inbox,
        orgs=found,
        people=people,
        kind=kind,
        chips=[
            ("/messages", _("全部"), None, "", not kind and not unread),
            ("/messages?unread=1", _("未读"), None, "", unread),
            *((f"/messages?kind={one}", word(one), None, "", kind == one) for one in _MESSAGES),
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
        since=_day(request.args.get("since")),
        until=_day(request.args.get("until")),
        after=request.args.get("after", ""),
        limit=30,
    )


def _day(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=clock.CHINA) if text else None
    except ValueError:
        raise Refused("bad_request", detail=_("日期的形式是 2027-06-01")) from None


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


@blueprint.post("/desk/read")
def read_messages() -> Any:
    """Mark all messages read, or one."""
    form = request.form
    one = fields.pairs([form.get("message", "")])
    call(
        transfers.mark_messages,
        [
            transfers.MarkRead(transfer_id=one[0][0], seq=one[0][1])
            if one
            else transfers.MarkRead(until=clock.now())
        ],
    )
    say(_("已标为已读。"))
    return redirect("/messages")


@blueprint.route("/escalations", methods=["GET", "POST"])
def escalations() -> Any:
    """Rejections that members have brought before the acting organisation, and the answer (BEY-06)."""
    if request.method == "POST":
        first(
            call(
                transfers.answer_escalations,
                [
                    transfers.AnswerEscalation(
                        decision_id=uuid.uuid4(),
                        transfer_id=fields.number(request.form.get("transfer_id")),
                        answer=request.form.get("answer", ""),
                        note=request.form.get("note", ""),
                    )
                ],
            )
        )
        say(_("已答复,团员会看到您的意见。"))
        return redirect("/escalations")
    items = call(
        transfers.list_escalations, transfers.ListEscalations(open_only=request.args.get("all") != "1")
    )
    found, people, _more = names(
        [one for item in items for one in (item.source_branch_id, item.target_org_id)],
        [item.member_id for item in items],
    )
    return render("desk/escalations.html", items=items, orgs=found, people=people)
