"""A form as one struct: what it asks for, with its limits, and all that is wrong with it at once.

    class Enter(msgspec.Struct):
        name: Annotated[str, Meta(min_length=1, max_length=60)]
        joined_on: date

    read = form.read(Enter, request.form)
    if read.errors: ...   # field -> words, the values stay in `read.typed`
    read.value            # an Enter

Contracts hold the same limits, so the services look once more (docs/adr/0022).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from services.gateway.kit.language import gettext as _
from services.gateway.kit.language import language
from shared.errors import Refusal

Struct = TypeVar("Struct", bound=msgspec.Struct)


class Read(msgspec.Struct, Generic[Struct]):
    """A form that was read: its value where nothing is wrong, and the errors by field."""

    typed: Mapping[str, str]
    value: Struct | None
    errors: dict[str, str]

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


def read(kind: type[Struct], typed: Mapping[str, str]) -> Read[Struct]:
    """Return what a form says; every field is looked at, so that all errors come at once.

    An empty field is as if it were not there: a default stands for it, or it is missing.
    """
    values, errors = {}, {}
    for field in msgspec.structs.fields(kind):
        text = typed.get(field.name, "").strip()
        if not text:
            if field.required:
                errors[field.name] = _("请填写此项")
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            errors[field.name] = _said(field.type, str(error))
    return Read(typed, None if errors else kind(**values), errors)


def _said(kind: Any, error: str) -> str:
    """Return what is wrong with a field in words; msgspec's own are for programs."""
    if "length" in error:
        wanted = "".join(one for one in error if one.isdigit())
        return _("最多%(n)s个字", n=wanted) if "<=" in error else _("至少%(n)s个字", n=wanted)
    if "date" in error or _is(kind, dt.date):
        return _("请按 2026-06-30 的形式填写日期")
    if "`int`" in error or _is(kind, int):
        return _("请填写数字")
    return _("格式不正确")


def _is(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_is(one, wanted) for one in getattr(kind, "__args__", ()))
