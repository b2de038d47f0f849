"""The bridges to other systems: how each is, what is stuck, what waits for a person (FED-11, FED-13, BEY-16).

The centre sees and does everything, a provincial body reads of its own transfers. A bridge that is not
connected, or whose service does not answer, is shown as such beside the others.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import msgspec
from flask import Response, redirect, request
from msgspec import Meta

from services.gateway import kit
from services.gateway.kit import blueprint, fields, say, word
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from services.gateway.kit.table import Listing
from services.gateway.pages import bridge_state
from shared import clock
from shared.errors import Refused
from shared.messages import MAX_ITEMS, federation
from shared.messages.limits import Cursor, Note, TransferId
from shared.messages.words import PEERS, QuarantineDecision, System
from shared.translations import N_

PAGE = 50
"""Rows of a page."""
_SUBJECT = re.compile(r"[A-Za-z]{2,20}:[!-~]{1,40}")


# ---- all bridges ------------------------------------------------------------------------------------


@blueprint.get("/bridges")
def bridges() -> Any:
    """Show how each bridge is (FED-13); a provincial body is led to its own transfers."""
    *answers, registry = kit.calls(
        *(bridge_state.asked(peer) for peer in PEERS), bridge_state.REGISTRY, partial=True
    )
    if any(bridge_state.may_not(one) for one in answers):
        there = next(peer for peer, one in zip(PEERS, answers, strict=True) if bridge_state.may_not(one))
        return redirect(f"/bridges/{there}/transfers")
    return kit.render(
        "bridges/bridges.html",
        cards=[
            bridge_state.card(peer, answer, registry) for peer, answer in zip(PEERS, answers, strict=True)
        ],
    )


# ---- what its pages share --------------------------------------------------------------------------


@dataclass(frozen=True)
class Here:
    """The bridge that a page is about: what is known of it, and whether the centre looks."""

    peer: System
    answer: Any
    card: bridge_state.Card
    operates: bool

    @property
    def path(self) -> str:
        """Return where its pages stand."""
        return f"/bridges/{self.peer}"

    def tabs(self, here: str) -> list[tuple[str, str, int | None, bool]]:
        """Return its pages; `here` is the one that is shown."""
        known = self.card.bridge
        counts: dict[str, int | None] = dict.fromkeys(("", "transfers", "quarantine", "differences"))
        if known is not None:
            counts["transfers"] = sum(one.count for one in known.open)
            counts["quarantine"], counts["differences"] = known.queues.quarantined, known.differences
        said = {
            "": N_("概况"),
            "transfers": N_("未办结"),
            "quarantine": N_("隔离消息"),
            "differences": N_("对账差异"),
        }
        return [
            (f"{self.path}/{name}".rstrip("/"), word(zh), counts[name], name == here)
            for name, zh in said.items()
        ]


def _at(peer: str, answer: Any, registry: Any = None) -> Here:
    shown = bridge_state.card(System(peer), answer, registry)
    return Here(System(peer), answer, shown, not bridge_state.may_not(answer))


def _peer(peer: str) -> str:
    """Return the system that an address names.

    Raises:
        Refused: `no_bridge`, none leads there.

    """
    if peer not in PEERS:
        raise Refused("no_bridge")
    return peer


@blueprint.get("/bridges/<peer>")
def bridge(peer: str) -> Any:
    """Show all that is known of one bridge (FED-13, BEY-16)."""
    answer, registry = kit.calls(bridge_state.asked(_peer(peer)), bridge_state.REGISTRY, partial=True)
    if bridge_state.may_not(answer):
        return redirect(f"/bridges/{peer}/transfers")
    return _bridge_page(_at(peer, answer, registry))


def _bridge_page(here: Here, read: forms.Read[Any] | None = None) -> Any:
    known = here.card.bridge
    people: dict[int, Any] = {}
    if known is not None and known.paused_by:
        people = kit.names((), [known.paused_by])[1]
    return kit.render(
        "bridges/bridge.html",
        read.status() if read is not None else 200,
        here=here,
        people=people,
        form=read.typed if read is not None else {},
        errors=read.errors if read is not None else {},
        today=clock.today(),
    )


# ---- transfers that lead across --------------------------------------------------------------------


@blueprint.get("/bridges/<peer>/transfers")
def bridge_transfers(peer: str) -> Any:
    """Show the transfers that are open, those in doubt first, then the oldest (FED-11, FED-13)."""
    doubt = bool(fields.one_of(request.args.get("doubt"), ("1",)))
    asked = federation.ListHandovers(peer=_peer(peer), in_doubt=doubt, after=_cursor(), limit=PAGE)
    here, items, refused = _ask(peer, federation.list_handovers, asked)
    listing = Listing(f"{here.path}/transfers", {"doubt": "1" if doubt else ""})
    orgs, *_more = kit.names([one.org_id for one in items])
    known = here.card.bridge
    return kit.render(
        "bridges/transfers.html",
        here=here,
        refused=refused,
        items=items,
        orgs=orgs,
        doubt=doubt,
        colour_of=bridge_state.doubt,
        chips=[
            (listing.address(doubt=None), _("全部"), None, "", not doubt),
            (
                listing.address(doubt="1"),
                _("移交存疑"),
                known.in_doubt if known else None,
                bridge_state.doubt(known.in_doubt_since if known else None),
                doubt,
            ),
        ],
        peers=[(f"/bridges/{one}/transfers", word(one), None, one == peer) for one in PEERS],
        following=_following(listing, items),
        first=listing.address() if request.args.get("after") else "",
    )


def _cursor() -> str:
    """Return from where a list goes on, empty from its first row."""
    after = request.args.get("after", "")
    try:
        return msgspec.convert(after, Cursor)
    except msgspec.ValidationError:
        fields.leave_out()
        return ""


def _ask(peer: str, contract: Any, asked: Any) -> tuple[Here, list[Any], Any]:
    """Return how a bridge is, the rows of a list, and why there are none where it does not answer.

    Raises:
        Refused: The list is not for whoever asks.

    """
    answer, rows = kit.calls(bridge_state.asked(peer), (contract, asked), partial=True)
    if bridge_state.may_not(rows):
        raise rows
    here = _at(peer, answer)
    return (here, [], rows.refusal) if isinstance(rows, Refused) else (here, list(rows), None)


def _following(listing: Listing, items: list[Any]) -> str:
    return listing.address(after=items[-1].cursor) if len(items) == PAGE else ""


class Wanted(msgspec.Struct):
    """Which transfer a page is about: as its messages name it, or our number of it."""

    subject: federation.SubjectOrNone = ""
    transfer: TransferId | None = None


def _wanted() -> tuple[str, int | None]:
    subject = request.args.get("subject", "")
    if subject and not _SUBJECT.fullmatch(subject):
        fields.leave_out()
        subject = ""
    return subject, None if subject else fields.number_or_none(request.args.get("transfer"))


@blueprint.get("/bridges/<peer>/messages")
def bridge_messages(peer: str) -> Any:
    """Show the messages of one transfer with their receipts (FED-13)."""
    subject, transfer = _wanted()
    if not subject and transfer is None:
        return redirect(f"/bridges/{_peer(peer)}/transfers")
    asked = federation.GetMessages(peer=_peer(peer), subject=subject, transfer_id=transfer)
    answer, found = kit.calls(bridge_state.asked(peer), (federation.get_messages, asked), partial=True)
    here = _at(peer, answer)
    refused = found.refusal if isinstance(found, Refused) else None
    if refused is not None and refused.kind.status == 404 and transfer is not None:
        say(_("与%(system)s之间没有编号为%(n)s的业务。", system=word(here.peer), n=transfer), "error")
        return redirect(f"{here.path}/transfers")
    orgs, *_more = kit.names([found.org_id] if refused is None else [])
    return kit.render(
        "bridges/messages.html",
        refused.kind.status if refused is not None else 200,
        here=here,
        refused=refused,
        found=None if refused is not None else found,
        orgs=orgs,
        step_of=_step_of,
        said_why=bridge_state.why,
    )


def _step_of(one: Any) -> str:
    """Return who has said a message, and its number among that side's."""
    return _("本方第%(n)s条", n=one.seq) if one.ours else _("对方第%(n)s条", n=one.seq)


@blueprint.get("/bridges/<peer>/evidence")
def bridge_evidence(peer: str) -> Response:
    """Take the evidence of one transfer along, which is verified without this system (BEY-16)."""
    subject, transfer = _wanted()
    asked = federation.GetEvidence(peer=_peer(peer), subject=subject, transfer_id=transfer)
    found = kit.call(federation.get_evidence, asked)
    name = re.sub(r"[^A-Za-z0-9._-]", "-", found.name) or "evidence.zip"
    return Response(
        found.zip,
        mimetype="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


# ---- what waits for a person -----------------------------------------------------------------------


@blueprint.route("/bridges/<peer>/quarantine", methods=["GET", "POST"])
def bridge_quarantine(peer: str) -> Any:
    """Show what was authentic and impossible when it came, the oldest first; decide on what is ticked."""
    read = _decide(_peer(peer)) if request.method == "POST" else None
    if read is not None and not read.errors:
        return redirect(f"/bridges/{peer}/quarantine")
    decided = bool(fields.one_of(request.args.get("decided"), ("1",)))
    asked = federation.ListQuarantine(peer=peer, decided=decided, after=_cursor(), limit=PAGE)
    here, items, refused = _ask(peer, federation.list_quarantine, asked)
    listing = Listing(f"{here.path}/quarantine", {"decided": "1" if decided else ""})
    people = kit.names((), [one.decided_by for one in items])[1]
    return _list_page(
        "bridges/quarantine.html",
        here,
        listing,
        items,
        refused,
        read,
        people=people,
        said_why=bridge_state.why,
        words_of=lambda codes: _("、").join(word(one) for one in codes),
        decided=decided,
        chips=[
            (listing.address(decided=None), _("待处理"), None, "", not decided),
            (listing.address(decided="1"), _("已处理"), None, "", decided),
        ],
    )


def _list_page(
    template: str,
    here: Here,
    listing: Listing,
    items: list[Any],
    refused: Any,
    read: forms.Read[Any] | None,
    **values: Any,
) -> Any:
    """Show a list in which rows are ticked and one reason is given for all."""
    return kit.render(
        template,
        read.status() if read is not None else 200,
        here=here,
        items=items,
        refused=refused,
        form=read.typed if read is not None else {},
        errors=read.errors if read is not None else {},
        all_ticked=bool(fields.one_of(request.args.get("ticked"), ("1",))),
        tick_all=listing.address(after=request.args.get("after", "")[:100], ticked="1"),
        ticked=set(read.typed.getlist("item")) if read is not None else set(),
        command_id=uuid.uuid4(),
        following=_following(listing, items),
        first=listing.address() if request.args.get("after") else "",
        **values,
    )


class Ticked(msgspec.Struct):
    """What is ticked in a list of a bridge, what is done with it, and why.

    An item is a transfer as messages name it, a blank, and the number of a message or the kind of a
    difference.
    """

    command_id: uuid.UUID
    reason: Annotated[Note, Meta(title=N_("理由"))] = ""
    do: str = ""
    item: Annotated[list[Annotated[str, Meta(max_length=120)]], Meta(max_length=MAX_ITEMS)] = []


def _ticked(decides: bool = False) -> forms.Read[Ticked]:
    """Read what is ticked; nothing ticked, and no reason, are errors, and with `decides` no decision."""
    read = forms.read(Ticked, request.form)
    if not request.form.getlist("item"):
        read.errors["items"] = _("请先勾选")
    if not request.form.get("reason", "").strip():
        read.errors["reason"] = _("请填写理由")
    if decides and QuarantineDecision.known(request.form.get("do", "")) is None:
        read.errors["do"] = _("请选择怎样处理")
    return read


def _parts(item: str) -> tuple[str, str]:
    """Return the two parts of a ticked item.

    Raises:
        Refused: `bad_request`, no page of ours has sent it.

    """
    subject, _blank, rest = item.partition(" ")
    if not _SUBJECT.fullmatch(subject) or not rest:
        raise Refused("bad_request", detail="item")
    return subject, rest


def _decide(peer: str) -> forms.Read[Ticked]:
    """Decide on what is ticked in quarantine; say how many were, and why others were not."""
    read = _ticked(decides=True)
    if read.errors or read.value is None:
        return read
    said = read.value
    _send(
        federation.decide_quarantine,
        [
            federation.DecideQuarantine(
                command_id=uuid.uuid5(said.command_id, one),
                peer=peer,
                subject=subject,
                seq=max(1, fields.number(seq)),
                decision=said.do,
                reason=said.reason,
            )
            for one in said.item
            for subject, seq in [_parts(one)]
        ],
        _DECIDED[said.do],
    )
    return read


_DECIDED: Mapping[str, str] = {
    QuarantineDecision.APPLIED: N_("已重新执行%(n)s条消息。"),
    QuarantineDecision.REFUSED: N_("已答复拒绝%(n)s条消息。"),
    QuarantineDecision.DISCARDED: N_("已作废%(n)s条消息。"),
}


def _send(contract: Any, items: list[Any], done: str) -> None:
    """Make a command; say how many of its items were done, and why others were not."""
    answers = kit.call(contract, items)
    n = sum(one.refusal is None for one in answers)
    if n:
        say(_(done, n=n))
    why = [one.refusal.say(language()) for one in answers if one.refusal is not None]
    for words in dict.fromkeys(why):
        say(_("%(n)s 项未办理: %(why)s", n=why.count(words), why=words), "error")


@blueprint.route("/bridges/<peer>/differences", methods=["GET", "POST"])
def bridge_differences(peer: str) -> Any:
    """Show what differs from the other side with what is proposed; confirm it (BEY-16)."""
    read = _repair(_peer(peer)) if request.method == "POST" else None
    if read is not None and not read.errors:
        return redirect(f"/bridges/{peer}/differences")
    every = bool(fields.one_of(request.args.get("all"), ("1",)))
    asked = federation.ListDifferences(peer=peer, all=every, after=_cursor(), limit=PAGE)
    here, items, refused = _ask(peer, federation.list_differences, asked)
    listing = Listing(f"{here.path}/differences", {"all": "1" if every else ""})
    people = kit.names((), [one.confirmed_by for one in items])[1]
    return _list_page(
        "bridges/differences.html",
        here,
        listing,
        items,
        refused,
        read,
        people=people,
        outcomes=bridge_state.OUTCOMES,
        every=every,
        chips=[
            (listing.address(all=None), _("待处理"), None, "", not every),
            (listing.address(all="1"), _("全部"), None, "", every),
        ],
    )


def _repair(peer: str) -> forms.Read[Ticked]:
    read = _ticked()
    if read.errors or read.value is None:
        return read
    said = read.value
    _send(
        federation.repair_differences,
        [
            federation.RepairDifference(
                command_id=uuid.uuid5(said.command_id, one),
                peer=peer,
                subject=subject,
                kind=kind,
                reason=said.reason,
            )
            for one in said.item
            for subject, kind in [_parts(one)]
        ],
        N_("已处理%(n)s处差异。"),
    )
    return read


# ---- what operators do to a bridge, or to one transfer ---------------------------------------------


class Reasoned(msgspec.Struct):
    """What is done to a bridge, and why."""

    command_id: uuid.UUID
    reason: Annotated[Note, Meta(title=N_("理由"))] = ""
    day: date | None = None


@blueprint.post("/bridges/<peer>/<any(pause, resume, reconcile):act>")
def act_on_bridge(peer: str, act: str) -> Any:
    """Pause a bridge, resume it, or have days compared now (FED-11, BEY-16)."""
    read = forms.read(Reasoned, request.form)
    if act == "pause" and not request.form.get("reason", "").strip():
        read.errors["reason"] = _("请填写理由")
    said = read.value
    if read.errors or said is None:
        answer, registry = kit.calls(bridge_state.asked(_peer(peer)), bridge_state.REGISTRY, partial=True)
        return _bridge_page(_at(peer, answer, registry), read)
    _peer(peer)
    if act == "reconcile":
        asked = federation.ReconcileNow(command_id=said.command_id, peer=peer, day=said.day)
        _send(federation.reconcile_now, [asked], N_("已开始对账,结果会显示在本页。"))
    elif act == "pause":
        pause = federation.PauseBridge(command_id=said.command_id, peer=peer, reason=said.reason)
        _send(federation.pause_bridges, [pause], N_("已暂停。对方发来的照常接收。"))
    else:
        resume = federation.ResumeBridge(command_id=said.command_id, peer=peer, reason=said.reason)
        _send(federation.resume_bridges, [resume], N_("已恢复,从最早的消息发起。"))
    return redirect(f"/bridges/{peer}")


class OfTransfer(msgspec.Struct):
    """What is done to one transfer, and why; `seq`: to which message, 0 to all."""

    command_id: uuid.UUID
    subject: federation.Subject
    seq: federation.SeqOrAll = 0
    reason: Note = ""


@blueprint.post("/bridges/<peer>/messages/<any(again, release, give_up):act>")
def act_on_transfer(peer: str, act: str) -> Any:
    """Send messages of a transfer again, end the doubt about it, or the waiting for a record (FED-11)."""
    said = forms.value(OfTransfer, request.form)
    back = f"/bridges/{_peer(peer)}/messages?subject={said.subject}"
    given: dict[str, Any] = {
        "command_id": said.command_id,
        "peer": peer,
        "subject": said.subject,
        "reason": said.reason,
    }
    if act == "again":
        _send(
            federation.send_again,
            [federation.SendAgain(seq=said.seq, **given)],
            N_("已排入重发,对方收到的是原来的内容。"),
        )
    elif not said.reason.strip():
        say(_("请填写理由"), "error")
    elif act == "release":
        _send(
            federation.release_members, [federation.ReleaseMember(**given)], N_("已解除,团员留在原团支部。")
        )
    else:
        _send(
            federation.give_up_arrivals,
            [federation.GiveUpArrival(**given)],
            N_("已停止等待;以后到的档案会退回对方。"),
        )
    return redirect(back)
