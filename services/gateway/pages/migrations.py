"""Migration of organisations: what it would move, asked for, watched, decided (MIG-01..10)."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from flask import redirect, request

from services.gateway import kit
from services.gateway.kit import blueprint, calls, fields, names, render, say, send, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.pages import organisations, picking
from shared.errors import Refused
from shared.messages import members, orgs, transfers
from shared.messages.words import MigrationState
from shared.translations import N_

SAID = {
    "request": N_("已申请迁移,先由原上级审批,再由新上级审批。"),
    "approve": N_("已同意迁移。"),
    "reject": N_("未同意迁移,申请组织会看到意见。"),
    "withdraw": N_("已撤销迁移申请。"),
}
"""What is said after each of the buttons."""
OPEN = (MigrationState.PENDING_OLD, MigrationState.PENDING_NEW, MigrationState.MOVING)


class Impact(NamedTuple):
    """What a migration moves and who decides on it; None is what the person may not count."""

    preview: orgs.MigrationPreview
    members: int | None
    transfers: int | None
    orgs: dict[int, Any]


def _impact(org_id: int, to_org_id: int) -> Impact:
    """Return what a migration would move; members and transfers are counted for those above it only."""
    preview, entered, inside = calls(
        (orgs.preview_migration, orgs.PreviewMigration(org_id=org_id, to_org_id=to_org_id)),
        (members.get_entry_progress, members.GetEntryProgress(org_id=org_id)),
        (transfers.count_open_below, transfers.CountOpenBelow(org_id=org_id)),
        partial=True,
    )
    if isinstance(preview, Refused):
        raise preview
    return Impact(
        preview=preview,
        members=None if isinstance(entered, Refused) else entered[0].members,
        transfers=None if isinstance(inside, Refused) else inside.transfers,
        orgs=names([org_id, preview.from_org_id, to_org_id])[0],
    )


@blueprint.route("/migrations", methods=["GET", "POST"])
def migrations() -> Any:
    """Show the migrations of the acting organisation, from it and to it; lead to asking for one (MIG-03)."""
    form = request.form
    if request.method == "POST" and form.get("do"):
        return _ask(form)
    open_only = bool(fields.flag(request.args.get("open")))
    items, *answers = calls((orgs.list_migrations, orgs.ListMigrations()), *picking.org_calls(form))
    shown = [one for one in items if not open_only or one.state in OPEN]
    known, *_more = names([one for item in shown for one in (item.org_id, item.from_org_id, item.to_org_id)])
    return render(
        "desk/migrations.html",
        items=shown,
        orgs=known,
        picker=picking.org_field(form, "target", answers),
        form=form,
        command_id=form.get("command_id") or uuid.uuid4(),
        chips=[
            ("/migrations", _("全部"), len(items), "", not open_only),
            ("/migrations?open=1", _("未办结"), sum(one.state in OPEN for one in items), "", open_only),
        ],
    )


def _ask(form: Any) -> Any:
    """Show what the migration would move, with why it cannot be; on confirmation ask for it (MIG-03)."""
    org, refusal = organisations.acting_committee(), None
    read = forms.read(orgs.RequestMigration, form, {"to_org_id": "target"}, org_id=org)
    wanted = read.value
    if wanted is None:
        say(_("请先选择新的上级组织"), "error")
        return redirect("/migrations")
    if form.get("do") == "request":
        refusal = send(orgs.request_migrations, wanted)
        if refusal is None:
            say(word(SAID["request"]))
            return redirect("/migrations")
    impact = _impact(org, wanted.to_org_id)
    refusal = refusal or impact.preview.refusal
    return render(
        "desk/migration_ask.html",
        read.status(refusal),
        impact=impact,
        org=impact.orgs.get(org),
        to=impact.orgs.get(wanted.to_org_id),
        wanted=wanted,
        refusal=refusal,
    )


@blueprint.route("/migrations/<int:migration_id>", methods=["GET", "POST"])
def migration(migration_id: int) -> Any:
    """Show one migration with what it moves, and decide on it or take it back (MIG-04, MIG-10)."""
    form, read, refusal = request.form, forms.unsent(), None
    do = form.get("do", "")
    if do in ("approve", "reject", "withdraw"):
        read = forms.read(
            orgs.DecideMigration,
            form,
            migration_id=migration_id,
            approve=do == "approve",
            withdraw=do == "withdraw",
        )
        refusal = send(orgs.decide_migrations, read.value) if read.value is not None else None
        if read.done(refusal):
            say(word(SAID[do]))
            return redirect("/migrations")
    items = kit.call(orgs.list_migrations, orgs.ListMigrations())
    one = next((item for item in items if item.migration_id == migration_id), None)
    if one is None:
        raise Refused("unknown_migration")
    impact = _impact(one.org_id, one.to_org_id) if one.state in OPEN[:2] else None
    known = impact.orgs if impact is not None else {}
    known |= names([one.org_id, one.from_org_id, one.to_org_id])[0] if not known else {}
    return render(
        "desk/migration.html",
        read.status(refusal),
        errors=read.errors,
        one=one,
        impact=impact,
        orgs=known,
        org=known.get(one.org_id),
        to=known.get(one.to_org_id),
        waits_for=_waits_for(one),
        form=form,
        refusal=refusal,
    )


def _waits_for(one: Any) -> int | None:
    """Return the organisation that decides next, None where nobody does."""
    waiting = {MigrationState.PENDING_OLD: one.from_org_id, MigrationState.PENDING_NEW: one.to_org_id}
    return waiting.get(one.state)
