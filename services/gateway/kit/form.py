"""A form as one struct: what it asks for, with its limits, and all that is wrong with it at once.

    class Enter(msgspec.Struct):
        name: Annotated[str, Meta(title=N_("姓名"), min_length=1, max_length=60)]
        joined_on: Annotated[date, Meta(title=N_("入团时间"))]

    read = form.read(Enter, request.form)
    if read.errors: ...   # field -> words, the values stay in `read.typed`
    read.value            # an Enter

The title is what the field is called where all that is wrong stands together; fields of contracts, whose
limits are for programs, are called by `CALLED`.

Where a form asks for what a contract asks for, it is read as the contract: `form.read(members.Register,
request.form, {"org_id": "org"}, address=...)`. Contracts hold the limits, so the services look once more
(docs/adr/0022). A form in which nothing is typed is read by `form.value`, which refuses what no page of
ours has sent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec
from flask import g
from werkzeug.datastructures import MultiDict

from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from shared.errors import Refusal, Refused
from shared.messages.limits import OrgId, Untimely
from shared.translations import N_

Struct = TypeVar("Struct", bound=msgspec.Struct)
_MONTH = msgspec.Meta(extra={"month": True})
CALLED = {
    "name": N_("姓名"),
    "id_number": N_("身份证号码"),
    "password": N_("密码"),
    "old": N_("原密码"),
    "new": N_("新密码"),
    "token": N_("安装令牌"),
    "phone": N_("联系电话"),
    "full_name": N_("组织全称"),
    "short_name": N_("组织简称"),
    "industry": N_("所属行业"),
    "target": N_("组织"),
    "member": N_("团员"),
    "addressee": N_("抬头"),
    "dues_until": N_("团费交至"),
    "valid_days": N_("有效天数"),
    "kind": N_("类别"),
    "since": N_("起始日期"),
    "until": N_("截止日期"),
    "note": N_("意见"),
    "reason": N_("理由"),
    "explanation": N_("说明"),
}
"""What a field is called that has no title of its own."""
Month = Annotated[dt.date, _MONTH]
"""A month, typed as 2027-06; its first day."""


class Branch(msgspec.Struct):
    """The branch that an address or a form is about."""

    branch: OrgId | None = None


class Read(msgspec.Struct, Generic[Struct]):
    """A form that was read: its value where nothing is wrong, and the errors by field."""

    typed: MultiDict[str, str]
    value: Struct | None
    errors: dict[str, str]

    def done(self, refusal: Refusal | None) -> bool:
        """Return whether there was nothing wrong with the form, and the service has not refused it."""
        return self.value is not None and refusal is None

    def status(self, refusal: Refusal | None = None) -> int:
        """Return the status of a page that shows the form again, or for the first time."""
        if refusal is not None:
            return refusal.kind.status
        return 422 if self.errors else 200

    def refused(self, refusal: Refusal, fields: Mapping[str, str] | None = None) -> None:
        """Add the refusal of a service to the field that it speaks of.

        `fields` leads from the name in the contract, or from the code of the refusal, to the field of
        the form; what is in neither is about the whole form, and leads to its page.
        """
        named = (refusal.values.get("pointer") or refusal.values.get("name") or "").strip("/").split("/")[-1]
        field = (
            (fields or {}).get(refusal.code)
            or (fields or {}).get(named)
            or (named if named in self.typed else "main")
        )
        self.errors[field] = refusal.say(language())


def unsent(**typed: str) -> Read[Any]:
    """Return a form that nobody has sent yet, with what stands in it."""
    return Read(MultiDict(typed), None, {})


def read(
    kind: type[Struct],
    typed: MultiDict[str, str],
    names: Mapping[str, str] | None = None,
    blank: Collection[str] = (),
    /,
    **given: Any,
) -> Read[Struct]:
    """Return what a form says; every field is looked at, so that all errors come at once.

    An empty field is as if it were not there: a default stands for it, or it is missing.

    Args:
        kind: What the form asks for.
        typed: The form.
        names: From fields of `kind` to those of the form, where these are called otherwise.
        blank: Texts that `kind` asks for, and that may be empty.
        given: Values of fields that are not for the form to say.

    """
    values, errors = dict(given), {}
    for field in msgspec.structs.fields(kind):
        if field.name in given:
            continue
        name = (names or {}).get(field.name, field.encode_name)
        try:
            found = _found(field.name, field.type, typed, name)
        except ValueError as error:
            called, said = _called(field.type, name), _said(field.type, str(error))
            errors[name] = _("%(field)s:%(said)s", field=called, said=said) if called else said
            continue
        if found is not None:
            values[field.name] = found
        elif field.name in blank:
            values[field.name] = ""
        elif _is(field.type, type(None)) and field.required:
            values[field.name] = None
        elif field.required:
            errors[name] = _said_missing(field.type, name)
    made = None
    if not errors:
        try:
            made = kind(**values)
        except Untimely as error:
            errors[(names or {}).get(error.name, error.name)] = _(str(error.wanted[0])).format(
                *error.wanted[1:]
            )
    return Read(typed, made, errors)


def value(
    kind: type[Struct],
    typed: MultiDict[str, str],
    names: Mapping[str, str] | None = None,
    blank: Collection[str] = (),
    /,
    **given: Any,
) -> Struct:
    """Return what a form of buttons and hidden fields says, as `read` does.

    Raises:
        Refused: `bad_request` with the first thing that is wrong; the page that says so shows what was
            typed, to be put right (`pages.problem`).

    """
    found = read(kind, typed, names, blank, **given)
    if found.value is None:
        kinds = {
            (names or {}).get(one.name, one.encode_name): one.type for one in msgspec.structs.fields(kind)
        }
        if all(_is(kinds[name], str) or _is(kinds[name], dt.date) for name in found.errors):
            g.faults = found.errors  # nobody puts right what is ticked or hidden
        raise Refused("bad_request", detail=next(iter(found.errors.values())))
    return found.value


def _found(field: str, kind: Any, typed: MultiDict[str, str], name: str) -> Any:
    """Return the value of a field; None where it is empty; raise ValueError where it is none of its kind."""
    many = _is(kind, list)
    if many:
        given: Any = list(dict.fromkeys(text for text in typed.getlist(name) if text))
    else:
        # What nobody sees while typing is not taken for a fault, but for a password it may be meant.
        text = typed.get(name, "")
        given = text if field.endswith("password") else text.strip()
    if not given:
        return None
    if _is(kind, tuple):  # a pair, 12-3
        given = [text.split("-") for text in given] if many else given.split("-")
    if _has(kind, _MONTH):
        given += "-01"
    return msgspec.convert(given, kind, strict=False)


def _said_missing(kind: Any, name: str) -> str:
    if _is(kind, UUID):
        return _("表单已过期,请返回刷新后重试")
    if _is(kind, list):
        return _("请先勾选")
    called = _called(kind, name)
    return _("请填写%(field)s", field=called) if called else _("请填写此项")


def _called(kind: Any, name: str) -> str:
    """Return what a field is called: the title of its type, else what fields of that name are called."""
    titles = [one.title for one in getattr(kind, "__metadata__", ()) if isinstance(one, msgspec.Meta)]
    return next((_(one) for one in (*titles, CALLED.get(name)) if one), "")


def _said(kind: Any, error: str) -> str:
    """Return what is wrong with a field in words; msgspec's own are for programs."""
    if "length" in error:
        wanted = "".join(one for one in error.split(" - at ")[0] if one.isdigit())
        if "array" in error and "<=" in error:
            return _("一次最多%(n)s项", n=wanted)
        return _("最多%(n)s个字", n=wanted) if "<=" in error else _("至少%(n)s个字", n=wanted)
    if _has(kind, _MONTH):
        return _("请按 2027-06 的形式填写年月")
    if _is(kind, UUID):
        return _("表单已过期,请返回刷新后重试")
    if "date" in error or _is(kind, dt.date):
        return _("请按 2026-06-30 的形式填写日期")
    if "`int`" in error or _is(kind, int):
        return _("请填写数字")
    return _("格式不正确")


def _is(kind: Any, wanted: type) -> bool:
    """Return whether a type is one, or is made of one: a list or a union of it, one with limits."""
    if kind is wanted or get_origin(kind) is wanted:
        return True
    if isinstance(kind, type) and issubclass(kind, wanted):
        return True
    return any(_is(one, wanted) for one in get_args(kind))


def _has(kind: Any, mark: msgspec.Meta) -> bool:
    """Return whether a type, or one that it is made of, has a mark."""
    return mark in getattr(kind, "__metadata__", ()) or any(_has(one, mark) for one in get_args(kind))
