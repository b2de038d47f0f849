"""What a line of the audit log says, in words (BEY-10).

That is the fields that changed, their values, and what the line refers to. The log keeps machine
words, since it is chained; the page says them in the language of the reader. A test reads the
source of the services and holds that each field and each reference that they write is named here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.gateway.api.routes import ROUTES
from services.gateway.pages import menu
from services.gateway.pages.kit import t, when, word
from services.gateway.pages.notes import Pair
from shared.messages.audit import AuditLine
from shared.messages.words import (
    BranchReason,
    Code,
    DeletionCause,
    MemberMark,
    OrgKind,
    OrgPurpose,
    PostCode,
    Reason,
    Rejection,
    StayKind,
    StayState,
    TransferState,
)

# A field a line, in columns: the tables are read as a glossary.
# fmt: off
FIELDS: dict[str, Pair] = {
    # organisations
    "parent_id":          ("上级组织", "superior"),
    "kind":               ("类别", "kind"),
    "purpose":            ("用途", "purpose"),
    "short_name":         ("简称", "short name"),
    "full_name":          ("全称", "full name"),
    "industry":           ("行业类别", "industry"),
    "division_code":      ("区划代码", "division code"),
    "school_number":      ("学校标识码", "school number"),
    "deleted":            ("已删除", "deleted"),
    "checked":            ("信息已核对", "data checked"),
    "phone":              ("电话", "telephone"),
    "active":             ("有管理权限", "has the right"),
    "observer":           ("仅可查看", "may look only"),
    "from":               ("原上级", "old superior"),
    "to":                 ("新上级", "new superior"),
    "why":                ("原因", "why"),
    "organisations":      ("组织数", "organisations"),
    # members
    "post":               ("职务", "post"),
    "ethnic_group":       ("民族", "ethnic group"),
    "joined_on":          ("入团时间", "joined on"),
    "development_number": ("发展团员编号", "development number"),
    "contact":            ("常用联系方式", "common contact"),
    "emergency":          ("紧急联系人", "emergency contact"),
    "party":              ("是党员", "Party member"),
    "found":              ("已落实去向", "work or study found"),
    "contacted":          ("已联系", "contacted"),
    "mark":               ("标记", "mark"),
    "graduates_on":       ("毕业时间", "time of graduation"),
    "graduate":           ("是毕业生", "graduate"),
    "reason":             ("原因", "reason"),
    "cause":              ("删除原因", "cause"),
    "since":              ("起始日期", "first day"),
    "until":              ("截止日期", "last day"),
    "addressee":          ("抬头", "addressee"),
    "by":                 ("查询方式", "asked by"),
    "rows":               ("条数", "rows"),
    # transfers
    "state":              ("状态", "state"),
    "approve":            ("同意", "approved"),
    "branch":             ("分配到团支部", "branch assigned"),
    "host":               ("地址的主机", "host of the address"),
    "policy":             ("政策", "policy"),
    "nodes":              ("已处理环节", "nodes done"),
    "moved":              ("期限有变的环节", "nodes with a new deadline"),
    "last":               ("处理至", "done up to"),
    "lines":              ("记录数", "lines"),
    "digest":             ("摘要", "digest"),
}
"""The fields of `before` and `after`; see also `_SAID`."""
_SAID: dict[tuple[str, str], Pair] = {
    ("policy.applied", "from"): ("生效时间", "in force from"),
    ("view.searched", "found"): ("找到人数", "people found"),
    ("view.looked_up", "found"): ("找到", "found"),
    ("retention", "kind"): ("登记类别", "register"),
    ("bulk.started", "reason"): ("驳回原因", "reason for rejecting"),
}
"""Fields that mean something else in lines of a kind, or of a group of kinds."""
REFERENCES: dict[str, Pair] = {
    "migration":          ("组织迁移", "migration"),
    "retention":          ("登记", "entry of the register"),
    "letter":             ("介绍信", "letter"),
    "registration":       ("注册申请", "registration"),
    "import":             ("名单", "roster"),
    "policy":             ("政策", "policy"),
    "segment":            ("轨迹分段", "segment of trails"),
    "bulk":               ("批量办理", "bulk decision"),
    "address":            ("通知地址", "address"),
    "registration code":  ("凭注册码", "with a registration code"),
    "post ended":         ("因免职", "because the post ended"),
    "command line":       ("在安装主机上执行", "on the host, by command line"),
    "first installation": ("首次安装", "first installation"),
    "moved":              ("因组织关系转出", "because the membership moved"),
    "deleted":            ("因删除团员", "because the member was deleted"),
}
# fmt: on
"""What a line refers to: the words before the number."""
_VALUES: dict[str, Pair] = {
    "changed": ("已变更(内容不入日志)", "changed; the log does not keep it"),
    "nobody decided in time": ("超期无人审批", "nobody decided in time"),
}
_BY: dict[str, Pair] = {
    "name": ("姓名", "name"),
    "id_number": ("身份证号码", "ID number"),
    "number": ("发展团员编号", "development number"),
}
_CODES: dict[str, tuple[type[Code], ...]] = {
    "kind": (OrgKind, StayKind),
    "purpose": (OrgPurpose,),
    "post": (PostCode,),
    "mark": (MemberMark,),
    "reason": (BranchReason, Reason, Rejection),
    "cause": (DeletionCause,),
    "state": (StayState, TransferState),
}
"""The codes that a field may hold; of a code of two lists the first one's words are taken."""
ORG_FIELDS = ("parent_id", "from", "to", "branch")
"""Fields that hold the number of an organisation (`from` of a policy is an instant)."""


def values(text: str | None) -> dict[str, Any]:
    """Return what stands in `before` or `after`, name by name."""
    return msgspec.json.decode(text) if text else {}


def organisations(line: AuditLine) -> list[int]:
    """Return the organisations that the values of a line name."""
    return [
        one
        for text in (line.before, line.after)
        for name, one in values(text).items()
        if name in ORG_FIELDS and isinstance(one, int)
    ]


def changes(line: AuditLine, orgs: Mapping[int, Any]) -> list[tuple[str, str | None, str]]:
    """Return what a line says of fields: the name, what it was (None: not said), what it is.

    What stayed is left out.
    """
    before, after = values(line.before), values(line.after)
    return [
        (
            _name(line.kind, name),
            _value(name, before[name], orgs) if name in before else None,
            _value(name, now, orgs),
        )
        for name, now in after.items()
        if name not in before or before[name] != now
    ]


def reference(ref: str) -> tuple[str, str]:
    """Return what a line refers to, in words, and the number or code that goes with it."""
    if ref.startswith("/"):
        return _file(ref)
    if ref in REFERENCES:
        return t(*REFERENCES[ref]), ""
    first, _, rest = ref.partition(" ")
    return (t(*REFERENCES[first]), rest) if first in REFERENCES else ("", ref)


def _file(path: str) -> tuple[str, str]:
    """Return what was taken along as a file: a list of the API, or a page, by the name that it has there."""
    asked = path.removeprefix("/api/v1").split("?")[0]
    named = next(
        (route.summary for route in ROUTES if re.fullmatch(re.sub("<[^>]*>", "[^/]+", route.path), asked)),
        None,
    )
    entry = menu.entry(asked)
    named = named or ((entry.zh, entry.en) if entry is not None else None)
    return (t(*named), "") if named else ("", path)


def _name(kind: str, name: str) -> str:
    # What a kind says of a field goes before what its group says, and that before what all say.
    group = kind.split(".")[0]
    return t(*(_SAID.get((kind, name)) or _SAID.get((group, name)) or FIELDS.get(name, (name, name))))


def _value(name: str, value: Any, orgs: Mapping[int, Any]) -> str:
    if isinstance(value, bool):
        return t("是", "yes") if value else t("否", "no")
    if name in ORG_FIELDS and value in orgs:
        return str(orgs[value].full_name)
    if name in ORG_FIELDS and isinstance(value, str):
        return _instant(value)
    code = _code(name, value)
    if code is not None:
        return word(code)
    if name == "by" and value in _BY:
        return t(*_BY[value])
    if value is None or value == "":
        return t("无", "none")
    return t(*_VALUES[value]) if value in _VALUES else str(value)


def _code(name: str, value: Any) -> Code | None:
    for codes in _CODES.get(name, ()) if isinstance(value, str) else ():
        found = codes.known(value)
        if found is not None:
            return found
    return None


def _instant(text: str) -> str:
    try:
        return when(datetime.fromisoformat(text))
    except ValueError:
        return text
