"""What is asked for when a transfer is started, and the member's own way there (TRF-05, TRF-07..14).

Members and offices meet the same fields: what the reason asks for, under the reason's own labels, and
nothing else. All that is wrong is said at once, each at its field.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from flask import redirect, request, session
from werkzeug.datastructures import MultiDict

from services.gateway import kit
from services.gateway.kit import form as forms
from services.gateway.kit.language import gettext as _
from services.gateway.pages import picking
from shared.errors import Refusal, Refused
from shared.messages import members, orgs, transfers
from shared.messages.limits import OrgId, PersonIds, TransferId
from shared.messages.words import OrgKind, Plan, Reason, System
from shared.reference import is_school

SCHOOL, EMPLOYER = "学校名称", "工作单位名称"
"""What `place_name` is called by the reasons that ask for it (`reference.FIELDS`)."""
NEEDED: dict[str, dict[str, str]] = {
    reason: {
        name: label
        for name, label in (("place_name", reason.place_name), ("place_address", reason.place_address))
        if label
    }
    for reason in Reason
}
"""What each reason has to say, with what it is called."""
AT = {
    **dict.fromkeys(
        (
            "target_missing",
            "target_forbidden",
            "target_not_allowed",
            "target_peer",
            "target_twice",
            "system_differs",
            "system_missing",
            "peer_starts",
            "same_org",
            "unknown_org",
            "destination_forbidden",
            "further_study_township",
            "abroad_study_target",
            "delayed_elsewhere",
        ),
        "target",
    ),
    "destination_unusual": "confirmed",
    "division_invalid": "place_division",
    "division_missing": "place_division",
    "household_remark": "remark",
    "remark_missing": "remark",
    "remark_too_long": "remark",
    "unemployed_with_employer": "place_name",
    "unknown_reason": "reason",
    "graduate_reason_needed": "reason",
    "ordinary_reason_needed": "reason",
    "drop_out_reason": "reason",
    "drop_out_needed": "reason",
}
"""The field that a refusal speaks of; what is not here is about the whole request."""
_TYPED = ("place_name", "place_address", "contact", "remark")
"""The fields in which people write."""
_COMMITTEE = re.compile(r"(?:共青团)?(.+?)(?:总支部|工作)?委员会")


@dataclass(frozen=True)
class Asked:
    """What a reason asks for, as the fields are shown."""

    reason: Reason
    place_name: str
    """Its label, empty where it is not asked for."""
    place_address: str
    from_target: bool
    """A blank name is taken from the organisation that was chosen, since that is the school."""
    division: bool
    special: bool
    """Nobody chooses an organisation (SPU-02)."""


def asked_by(reason: Reason) -> Asked:
    """Return what a reason asks for."""
    return Asked(
        reason=reason,
        place_name=reason.place_name,
        place_address=reason.place_address,
        from_target=reason.place_name == SCHOOL,
        division=reason.place_name == EMPLOYER,
        special=reason.special,
    )


def settle_reason(form: Any, offered: Sequence[Reason], advised: Reason | None = None) -> Asked:
    """Write into a form the reason that is shown as chosen; return what that asks for."""
    chosen = Reason.known(form.get("reason", "")) or advised or offered[0]
    form["reason"] = str(chosen)
    return asked_by(chosen)


def fits(reason: Reason, graduate: bool) -> bool:
    """Return whether a reason is offered to a graduate, or to somebody who is not (GRAD-15, GRAD-17).

    Who is a graduate is decided by members.
    """
    return reason.everyone or reason.graduate == graduate


class Chosen(msgspec.Struct):
    """Whom and what a form of a start has chosen so far; nothing of it has to be there."""

    branch: OrgId | None = None
    source: OrgId | None = None
    member: PersonIds = []
    all: bool = False
    target: OrgId | None = None
    to: OrgId | None = None
    again: TransferId | None = None


def request_of(form: Any, **given: Any) -> forms.Read[transfers.RequestTransfer]:
    """Read the request that a form makes; `given` is what is not for the form to say."""
    return forms.read(transfers.RequestTransfer, form, {"target_org_id": "target"}, **given)


def missing(form: Any, target: bool = True) -> dict[str, str]:
    """Return at each field that is blank and needed for the reason what is to be done (TYPE-04..16).

    The service checks everything once more.

    Args:
        form: What was typed.
        target: An organisation is to be chosen as well.

    """
    reason = Reason.known(form.get("reason", ""))
    if reason is None:
        return {"reason": _("请选择转接原因")}
    found = blank(form, NEEDED[reason])
    if target and not reason.special and not form.get("target") and not form.get("target_name", "").strip():
        if reason.place_name == SCHOOL:
            found.pop("place_name", None)  # it follows from the organisation
        found = {"target": _("请选择申请转入的组织"), **found}
    return found


def wrong(form: Any, target: bool = True) -> dict[str, str]:
    """Return at each field what is wrong with it, whether it is blank or too long (TYPE-04..16)."""
    given = {"command_id": uuid.uuid4(), "initiator": "member", "member_id": 1, "source_branch_id": 1}
    too_long = request_of(form, ticket="", **given).errors
    return {
        **{name: words for name, words in too_long.items() if name in _TYPED and form.get(name)},
        **missing(form, target),
    }


def blank(form: Any, needed: Mapping[str, str]) -> dict[str, str]:
    """Return at each field that is blank that it is to be filled in; `needed`: their labels by name."""
    return {
        name: _("请填写%(field)s", field=_(label))
        for name, label in needed.items()
        if not form.get(name, "").strip()
    }


def refused(form: Any, refusal: Refusal) -> dict[str, str]:
    """Return at the field that a refusal speaks of what it says."""
    read: forms.Read[Any] = forms.Read(form, None, {})
    labels = {label: name for name, label in NEEDED.get(form.get("reason", ""), {}).items()}
    places = {**AT, "field_missing": labels.get(str(refusal.values.get("field")), "place_name")}
    read.refused(refusal, places)
    return read.errors


def name_school(form: Any, target: int | None) -> None:
    """Write into a form the name of the school that was chosen, where it is asked for and left blank.

    The school is the highest one that the target stands in: a college is part of its university. Another
    system does not say of its organisations what they are; there it is the highest committee that is not
    one of a region or of a working field. What was typed because it was not found there names itself
    (FED-06).
    """
    reason = Reason.known(form.get("reason", ""))
    if reason is None or reason.place_name != SCHOOL or form.get("place_name", "").strip():
        return
    if not target:
        form["place_name"] = _bare(form.get("target_name", "").strip())
        return
    above = kit.call(orgs.list_above, orgs.ListAbove(org_id=target))
    schools = [one.full_name for one in above if one.kind != OrgKind.LEADING_BODY and is_school(one.industry)]
    if not schools and above and above[-1].system != System.NATIONAL:
        committees = [one.full_name for one in above if one.kind == OrgKind.COMMITTEE]
        schools = [*committees, above[-1].full_name]
    if schools:
        form["place_name"] = _bare(schools[0])


def _bare(full_name: str) -> str:
    """Return the name of the school whose committee is called so; of what is no committee, the whole name."""
    found = _COMMITTEE.fullmatch(full_name)
    return found[1] if found is not None else full_name


# ---- the own transfer --------------------------------------------------------------------------------


@kit.blueprint.route("/start", methods=["GET", "POST"])
def start() -> Any:
    """Start the own transfer (TRF-09) in three steps: what comes next, where to, check and send.

    The adviser proposes and cites the rule (BEY-01).
    """
    form: Any = picking.settled(request.values, "division_code", "place_division")
    step = {"plan": 1, "fields": 2, "check": 3}.get((form.getlist("step") or [""])[-1], 1)
    profile = kit.call(members.who_am_i, members.WhoAmI())
    if profile.system != System.NATIONAL:
        return redirect("/")  # which says where it is started (FED-12)
    if profile.member.branch_id is None and (step > 1 or request.method == "POST"):
        raise Refused("branch_unknown")  # without a branch there is nothing to leave
    if request.method == "POST" and form.get("confirm"):
        return _send(profile, form)
    chosen = forms.value(Chosen, form)
    if chosen.again:
        form, step = _as_it_was(chosen.again), 2
    if form.get("division_code_next"):  # without JavaScript the next level of places is asked for
        step = 1
    errors: dict[str, str] = {}
    if step > 1 and not form.get("reason") and profile.member.graduate and not _plan(form):
        errors, step = {"plan": _("请选择毕业后的去向")}, 1
    elif step == 3:
        name_school(form, chosen.target)
        errors = wrong(form)
        step = 2 if errors else 3
    return _page(step, profile, form, errors)


def _plan(form: Any) -> Plan | None:
    return Plan.known(form.get("plan", ""))


def _send(profile: Any, form: Any) -> Any:
    """Send the own request; where it is refused the form is shown again."""
    read = request_of(
        form,
        initiator="member",
        member_id=session.get("person", 0),
        source_branch_id=profile.member.branch_id,
        ticket="",
    )
    if read.value is None:
        return _page(2, profile, form, read.errors)
    outcome = kit.call(transfers.request_transfers, [read.value])[0]
    if outcome.refusal is not None:
        errors = refused(form, outcome.refusal)
        step = 3 if "confirmed" in errors else 2
        return _page(step, profile, form, errors, outcome.open, outcome.refusal.kind.status)
    kit.say(_("申请已提交,先由转出组织审批。进度和联系电话在本页,有进展会收到消息。"))
    return redirect("/")


def _as_it_was(transfer_id: int) -> MultiDict[str, str]:
    """Return what stood in an own transfer, to be corrected and sent again (TRF-25)."""
    for item in kit.call(transfers.my_transfers, transfers.MyTransfers()):
        if item.transfer_id == transfer_id:
            was = {
                "reason": item.reason,
                "target": "" if item.target_name else f"{item.target_org_id}",
                "target_system": item.peer if item.target_name else "",
                "target_name": item.target_name,
                "place_name": item.place_name,
                "place_address": item.place_address,
                "place_division": item.place_division,
                "contact": item.contact,
                "remark": item.remark,
                "plan": "",
                "drop_out": "1" if item.reason_kind == "drop_out" else "",
            }
            return MultiDict(was)
    return MultiDict()


def _page(
    step: int,
    profile: Any,
    form: Any,
    errors: dict[str, str],
    in_the_way: Any = None,
    status: int = 422,
) -> Any:
    advice, picker, places = _what_is_known(profile, form, step)
    if advice is not None and picker.chosen is not None:
        offered_already = picker.chosen.org_id in [one.org_id for one in advice.proposals]
        shown = replace(picker, chosen=None) if offered_already else picker
    else:
        shown = picker
    graduate = profile.member.graduate or form.get("drop_out") == "1"
    offered = [one for one in Reason if fits(one, graduate)]
    asked = settle_reason(form, offered, Reason(advice.reason) if advice else None)
    if advice is not None and advice.reason != asked.reason:
        advice = None  # it speaks of another reason than the one that was chosen
    form.setdefault("contact", profile.member.phone)
    waits: dict[int, Any] = {}
    if in_the_way is not None:
        waits, *_more = kit.names([in_the_way.waiting_org_id, in_the_way.initiator_org_id])
    return kit.render(
        "transfers/start.html",
        status if errors else 200,
        step=step,
        profile=profile,
        form=form,
        errors=errors,
        advice=advice,
        asked=asked,
        offered=offered,
        picker=shown,
        target=picker.chosen,
        places=places,
        command_id=form.get("command_id") or uuid.uuid4(),
        in_the_way=in_the_way,
        orgs=waits,
    )


def _what_is_known(profile: Any, form: Any, step: int) -> tuple[Any, picking.OrgPicker, picking.PlacePicker]:
    """Return in one trip the advice on the plan, the field of the target and that of the place.

    The place is asked for on the first step to give advice, on the second for the request.
    """
    to_advise = None
    if step > 1 and _plan(form) is not None:
        wanted = transfers.Advise(
            plan=form.get("plan", ""),
            source_branch_id=profile.member.branch_id,
            employer_has_org=form.get("employer_has_org") == "1",
            division_code=form.get("division_code", ""),
        )
        to_advise = (transfers.advise, wanted)
    name = "division_code" if step == 1 else "place_division"
    typed = form.get(name, "")
    proposed = MultiDict(form)
    proposed[name] = typed or form.get("division_code", "")
    advice, levels, *answers = kit.calls(
        to_advise, picking.place_call(proposed, name), *picking.org_calls(form, targets_only=True)
    )
    target = picking.org_field(form, "target", answers, targets_only=True, asks=True)
    if not typed and (advice is None or not asked_by(Reason(advice.reason)).division):
        return advice, target, picking.place_field(form, name, [picking.unchosen(one) for one in levels[:1]])
    return advice, target, picking.place_field(proposed, name, levels)
