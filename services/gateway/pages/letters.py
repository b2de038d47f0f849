"""Introduction letters: issued, listed, found, printed again, declared void (DOC-01..04, DOC-14)."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import msgspec
from flask import Response, redirect, request

from services.gateway import addresses, kit, settings
from services.gateway.files import letter
from services.gateway.kit import blueprint, call, fields
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.table import Listing
from services.gateway.pages import organisations, people
from shared import clock
from shared.messages import members
from shared.messages.words import LetterState
from shared.translations import N_

PAGE = 50
"""Letters of a page of the list."""
STATES = {
    LetterState.IN_FORCE: (N_("有效"), "good"),
    LetterState.LAPSED: (N_("已过期"), "plain"),
    LetterState.VOID: (N_("已作废"), "bad"),
}
"""How a letter stands, as its issuer says it, and the colour; whoever checks one is told more."""


class Void(msgspec.Struct):
    """Why a letter is declared void."""

    reason: Annotated[str, msgspec.Meta(title=N_("作废原因"), min_length=1, max_length=200)]


@blueprint.get("/letters")
def letters() -> Any:
    """Show the letters that the acting organisation has issued, narrowed and sorted (DOC-14)."""
    args = request.args
    state, text = fields.one_of(args.get("state"), LetterState), args.get("text", "").strip()[:100]
    oldest = fields.one_of(args.get("sort"), ("number", "-number")) == "number"
    narrowed = {"state": state, "text": text}
    listing = Listing("/letters", {**narrowed, "sort": "number" if oldest else "-number"})
    after = fields.number(args.get("after"))
    items = call(
        members.list_letters,
        members.ListLetters(**narrowed, oldest_first=oldest, after=after, limit=PAGE),
    )
    return kit.render(
        "members/letters.html",
        items=items,
        states=STATES,
        listing=listing,
        text=text,
        narrowed=bool(state or text),
        first=bool(after),
        chips=[
            (listing.address(state=None), _("全部"), None, "", not state),
            *(
                (listing.address(state=one), kit.word(said), None, "", state == one)
                for one, (said, _colour) in STATES.items()
            ),
        ],
        columns=[
            listing.column(_("编号"), "number"),
            listing.column(_("团员")),
            listing.column(_("抬头(接收组织)")),
            listing.column(_("有效期至")),
            listing.column(_("状态")),
            listing.column("", unseen=_("操作")),
        ],
        export=Listing("/download/letters", {**narrowed, "oldest_first": "true" if oldest else ""}).address(),
        next_page=listing.address(after=items[-1].letter_id) if len(items) == PAGE else "",
    )


@blueprint.route("/letters/new", methods=["GET", "POST"])
def issue_letter() -> Any:
    """Issue an introduction letter for members of the own organisation and below (DOC-01..04)."""
    form, read = request.values, forms.unsent()
    if form.get("do"):
        read = forms.read(members.IssueLetter, request.form, {"member_ids": "member"})
        made = call(members.issue_letters, [read.value])[0] if read.value is not None else None
        if made is not None and made.refusal is None:
            kit.say(_("已开具第 %(number)s 号介绍信,请打印后盖章。", number=made.number))
            return redirect("/letters")
        if made is not None:
            read.refused(made.refusal, {"unknown_member": "member"})
    children = call(*kit.children_of(organisations.acting_committee()))
    return kit.render(
        "members/letter_new.html",
        read.status(),
        picker=people.picker(form, several=True),
        branches=[(org.org_id, org.short_name) for org in children if org.kind == "branch"],
        form=form if "dues_until" in form else {**form, "dues_until": clock.today()},
        errors=read.errors,
        command_id=form.get("command_id") or uuid.uuid4(),
    )


@blueprint.get("/letters/<int:letter_id>.pdf")
def print_letter(letter_id: int) -> Response:
    """Return a letter as it was issued, to be printed, with the code that it had from the first (DOC-14)."""
    made = call(members.print_letter, members.PrintLetter(letter_id=letter_id))
    return Response(
        letter.render(made, f"{addresses.public_root()}verify", settings.current().font),
        content_type="application/pdf",
        headers={
            "Content-Disposition": f"inline; filename=letter-{made.number}.pdf",
            "Cache-Control": "no-store",
        },
    )


@blueprint.route("/letters/<int:letter_id>/void", methods=["GET", "POST"])
def void_letter(letter_id: int) -> Any:
    """Declare a letter void for a reason; whoever checks it is told that it is (DOC-14, BEY-13)."""
    read = forms.unsent()
    if request.method == "POST":
        read = forms.read(Void, request.form)
        refusal = None
        if read.value is not None:
            wanted = members.VoidLetter(letter_id=letter_id, reason=read.value.reason)
            refusal = kit.send(members.void_letters, wanted)
        if read.done(refusal):
            kit.say(_("介绍信已作废,核验时会显示已作废。"))
            return redirect("/letters")
        if refusal is not None:
            read.refused(refusal, {"letter_unknown": "reason"})
    return kit.render("members/letter_void.html", read.status(), form=request.form, errors=read.errors)
