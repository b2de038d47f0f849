"""Any list of the API as a spreadsheet (DOC-05..08, STAT-05).

It has one row per item and all pages, and goes out while the pages are asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import Any

import msgspec
from flask import Response, stream_with_context

from services.gateway.files import xlsx
from shared import clock
from shared.messages.words import BranchReason, Code, Figure, MemberMark, PostCode, Sex

LABELS = {
    "org_id": "组织编号",
    "parent_id": "上级组织编号",
    "superior_id": "上级组织编号",
    "kind": "组织类别",
    "purpose": "用途",
    "province": "省级代码",
    "short_name": "组织简称",
    "full_name": "组织全称",
    "name": "名称",
    "industry": "所属行业",
    "phone": "电话",
    "children": "下级组织数",
    "school_number": "学校机构编号",
    "checked": "已核对",
    "complete": "资料完整",
    "secretary_id": "书记人员编号",
    "person_id": "人员编号",
    "member_id": "团员编号",
    "member": "姓名",
    "id_number": "身份证号码",
    "id_masked": "身份证号码",
    "branch": "所在团支部",
    "branch_id": "团支部编号",
    "ethnic_group": "民族",
    "joined_on": "入团时间",
    "graduate": "毕业生",
    "graduates_on": "预计毕业时间",
    "mark": "被标记成员身份",
    "identity_check": "身份认证",
    "sex": "性别",
    "age": "年龄",
    "league_years": "团龄",
    "development_number": "发展团员编号",
    "post": "团内职务",
    "contact": "常用联系方式",
    "emergency_contact": "紧急联系人",
    "party": "保留团籍的党员",
    "to_contact": "待联系",
    "found_on": "落实去向日期",
    "missing": "未填项",
    "code": "管理员注册码",
    "expires_at": "有效期至",
    "refusal": "未办理原因",
    "org": "组织",
    "note": "说明",
    "branches": "下级团支部数",
    "finished_branches": "已完成团支部数",
    "bodies": "团委(含工委、总支、领导机关)数",
    "finished_bodies": "其中已完成数",
    "members": "已录入团员数",
    "complete_members": "资料完整团员数",
    "cadres": "已录入团干部数",
    "complete_cadres": "资料完整团干部数",
    "members_2017": "2017年团统数量",
    "state": "状态",
    "reason": "事由",
    "since": "起始日期",
    "until": "截止日期",
    "place": "国(境)外所在地",
    "contact_name": "国内联系人",
    "contact_phone": "联系方式",
    "reports": "定期报告",
    "transfer_id": "转接编号",
    "began_at": "起始时间",
    "asked_at": "申请时间",
    "retention_id": "登记编号",
    **{str(one): one.zh for one in Figure},
    "sx": "升学衔接率",
    "xs": "学社衔接率",
    "stage": "阶段",
    "rate": "计入",
    "waiting": "待办",
    "due_soon": "3天内到期",
    "overdue": "已超期",
    "assigning": "待分配超过10天",
    "oldest": "最早到达时间",
    "decided": "已审批",
    "rejected": "驳回(按原因)",
    "target_org_id": "转入组织编号",
    "source_branch_id": "转出团支部编号",
    "at": "时间",
    "read": "已读",
    "source": "转出团支部",
    "target": "申请转入组织",
    "transfer_reason": "转接原因",
    "place_name": "学校或工作单位",
    "remark": "备注",
    "node": "环节",
    "checks": "系统校验",
    "state_words": "状态",
    "side_words": "方向",
    "created_at": "申请时间",
    "ended_at": "结束时间",
}
"""Column titles by field; a field without one keeps its own name."""
CODES: dict[str, type[Code]] = {
    "post": PostCode,
    "mark": MemberMark,
    "sex": Sex,
    "reason": BranchReason,
}
"""The codes of columns that may be empty; in all others the value itself is a code, or text."""
_HIDDEN = {"key", "display_order"}


def flat(row: Any) -> dict[str, Any]:
    """Return the fields of a row.

    A struct inside gives its fields beside, where the row itself has none of the name.
    """
    values: dict[str, Any] = {}
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if isinstance(value, msgspec.Struct) and name != "refusal":
            values = {**flat(value), **values}
        else:
            values[name] = value
    return {name: value for name, value in values.items() if name not in _HIDDEN}


def _cell(name: str, value: Any) -> str | float:
    if value is None:
        return ""
    if name == "refusal":
        return str(value.say())
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, int) and not name.endswith("_id"):
        return value
    if isinstance(value, dt.datetime):
        return value.astimezone(clock.CHINA).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list):
        return "、".join(LABELS.get(str(one), str(one)) for one in value)
    if isinstance(value, Code):
        return value.zh
    return CODES[name](value).zh if name in CODES else str(value)


def answer(rows: Iterable[Any], name: str, note: Callable[[], Any] | None = None) -> Response:
    """Return structs of one kind as a file that is on its way with its first rows, and that nobody keeps.

    What refuses the first row is raised here, before `note` writes down that the file is taken. What
    fails later ends the file before its end, so that it is none. Nothing that people typed is ever a
    formula.
    """
    given = iter(rows)
    first = [flat(one) for one in islice(given, 1)]
    if note is not None:
        note()
    values = chain(first, (flat(one) for one in given))
    heads = [LABELS.get(field, field) for field in (first[0] if first else ())]
    lines = ([_cell(field, value) for field, value in row.items()] for row in values)
    return Response(
        stream_with_context(xlsx.blocks(heads, lines, "列表")),
        content_type=xlsx.MIME,
        headers={"Content-Disposition": f"attachment; filename={name}.xlsx", "Cache-Control": "no-store"},
    )


def ready(content: bytes, name: str) -> Response:
    """Return a spreadsheet that is written already as a file that nobody keeps on the way."""
    return Response(
        content,
        content_type=xlsx.MIME,
        headers={"Content-Disposition": f"attachment; filename={name}.xlsx", "Cache-Control": "no-store"},
    )
