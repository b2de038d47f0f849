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
from services.gateway.kit import capabilities, when, word
from services.gateway.kit.language import gettext as _
from shared.messages.audit import AuditLine
from shared.messages.words import (
    BranchReason,
    Code,
    DeletionCause,
    MemberMark,
    OrgKind,
    OrgPurpose,
    PostCode,
    QuarantineDecision,
    Reason,
    Rejection,
    StayKind,
    StayState,
    System,
    TransferState,
)
from shared.translations import N_

# A field a line, in columns: the tables are read as a glossary.
# fmt: off
FIELDS: dict[str, str] = {
    # organisations
    "parent_id":          N_("上级组织"),
    "kind":               N_("类别"),
    "purpose":            N_("用途"),
    "short_name":         N_("简称"),
    "full_name":          N_("全称"),
    "industry":           N_("行业类别"),
    "division_code":      N_("区划代码"),
    "school_number":      N_("学校标识码"),
    "deleted":            N_("已删除"),
    "checked":            N_("信息已核对"),
    "phone":              N_("电话"),
    "active":             N_("有管理权限"),
    "observer":           N_("仅可查看"),
    "from":               N_("原上级"),
    "to":                 N_("新上级"),
    "why":                N_("原因"),
    "organisations":      N_("组织数"),
    # members
    "post":               N_("职务"),
    "ethnic_group":       N_("民族"),
    "joined_on":          N_("入团时间"),
    "development_number": N_("发展团员编号"),
    "contact":            N_("常用联系方式"),
    "emergency":          N_("紧急联系人"),
    "party":              N_("是党员"),
    "found":              N_("已落实去向"),
    "contacted":          N_("已联系"),
    "mark":               N_("标记"),
    "graduates_on":       N_("毕业时间"),
    "graduate":           N_("是毕业生"),
    "reason":             N_("原因"),
    "cause":              N_("删除原因"),
    "since":              N_("起始日期"),
    "until":              N_("截止日期"),
    "addressee":          N_("抬头"),
    "by":                 N_("查询方式"),
    "rows":               N_("条数"),
    "peer":               N_("对方系统"),
    "new":                N_("此前未登记"),
    # transfers
    "state":              N_("状态"),
    "approve":            N_("同意"),
    "branch":             N_("分配到团支部"),
    "host":               N_("地址的主机"),
    "policy":             N_("政策"),
    "nodes":              N_("已处理环节"),
    "moved":              N_("期限有变的环节"),
    "last":               N_("处理至"),
    "lines":              N_("记录数"),
    "digest":             N_("摘要"),
    # bridges
    "decision":           N_("处理决定"),
    "sha256":             N_("文件的SHA-256"),
}
"""The fields of `before` and `after`; see also `_SAID`."""
_SAID: dict[tuple[str, str], str] = {
    ("policy.applied", "from"): N_("生效时间"),
    ("view.searched", "found"): N_("找到人数"),
    ("view.looked_up", "found"): N_("找到"),
    ("retention", "kind"): N_("登记类别"),
    ("bulk.started", "reason"): N_("驳回原因"),
}
"""Fields that mean something else in lines of a kind, or of a group of kinds."""
REFERENCES: dict[str, str] = {
    "migration":          N_("组织迁移"),
    "retention":          N_("登记"),
    "crossing":           N_("跨系统转接"),
    "transfer":           N_("转接业务"),
    "letter":             N_("介绍信"),
    "registration":       N_("注册申请"),
    "import":             N_("名单"),
    "policy":             N_("政策"),
    "segment":            N_("轨迹分段"),
    "bulk":               N_("批量办理"),
    "address":            N_("通知地址"),
    "bridge":             N_("对接"),
    "registration code":  N_("凭注册码"),
    "post ended":         N_("因免职"),
    "command line":       N_("在安装主机上执行"),
    "first installation": N_("首次安装"),
    "moved":              N_("因组织关系转出"),
    "deleted":            N_("因删除团员"),
}
# fmt: on
"""What a line refers to: the words before the number."""
_VALUES: dict[str, str] = {
    "changed": N_("已变更(内容不入日志)"),
    "nobody decided in time": N_("超期无人审批"),
}
_BY: dict[str, str] = {
    "name": N_("姓名"),
    "id_number": N_("身份证号码"),
    "number": N_("发展团员编号"),
}
_CODES: dict[str, tuple[type[Code], ...]] = {
    "kind": (OrgKind, StayKind),
    "purpose": (OrgPurpose,),
    "post": (PostCode,),
    "mark": (MemberMark,),
    "reason": (BranchReason, Reason, Rejection),
    "cause": (DeletionCause,),
    "state": (StayState, TransferState),
    "peer": (System,),
    "decision": (QuarantineDecision,),
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
        return _(REFERENCES[ref]), ""
    first, _space, rest = ref.partition(" ")
    return (_(REFERENCES[first]), rest) if first in REFERENCES else ("", ref)


def _file(path: str) -> tuple[str, str]:
    """Return what was taken along as a file: a list of the API, or a page, by the name that it has there."""
    asked = path.removeprefix("/api/v1").split("?")[0]
    named = next(
        (route.summary for route in ROUTES if re.fullmatch(re.sub("<[^>]*>", "[^/]+", route.path), asked)),
        None,
    )
    entry = capabilities.entry(asked)
    if named:
        return _(named), ""
    return (_(entry.zh), "") if entry is not None else ("", path)


def _name(kind: str, name: str) -> str:
    # What a kind says of a field goes before what its group says, and that before what all say.
    group = kind.split(".")[0]
    return _(_SAID.get((kind, name)) or _SAID.get((group, name)) or FIELDS.get(name, name))


def _value(name: str, value: Any, orgs: Mapping[int, Any]) -> str:
    if isinstance(value, bool):
        return _("是") if value else _("否")
    if name in ORG_FIELDS and value in orgs:
        return str(orgs[value].full_name)
    if name in ORG_FIELDS and isinstance(value, str):
        return _instant(value)
    code = _code(name, value)
    if code is not None:
        return word(code)
    if name == "by" and value in _BY:
        return _(_BY[value])
    if value is None or value == "":
        return _("无")
    return _(_VALUES[value]) if value in _VALUES else str(value)


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
