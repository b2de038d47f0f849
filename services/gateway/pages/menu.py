"""The menu: sections and what is in them, by the catalogue's names (UI-04..13)."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A page of the menu: its path, and its name in both languages.

    `kinds` are those of the acting organisations for which it is of use (empty: all); `schools`
    says whether it is for schools only, `top` whether for the centre and the provincial bodies
    only.
    """

    path: str
    zh: str
    en: str
    kinds: frozenset[str] = frozenset()
    schools: bool = False
    top: bool = False


class Section(NamedTuple):
    """A section of the menu with its pages; the first is where the section leads."""

    zh: str
    en: str
    entries: tuple[Entry, ...]


_COMMITTEES = frozenset({"committee", "work_committee", "general_branch"})
_LEADING = frozenset({"leading_body"})
_BRANCH = frozenset({"branch"})

MENU = (
    Section(
        "操作中心",
        "Operation centre",
        (
            Entry("/desk", "待办与消息", "To do and messages"),
            Entry("/registrations", "注册申请", "Registrations"),
            Entry("/migrations", "组织迁移", "Migrations"),
            Entry("/escalations", "协调申请", "Escalations", _COMMITTEES | _LEADING),
        ),
    ),
    Section(
        "业务办理",
        "Transfers",
        (
            Entry("/work", "组织关系转接审批", "Approvals"),
            Entry("/out", "办理转出", "Transfer out", _COMMITTEES | _BRANCH),
            Entry("/in", "办理转入", "Transfer in", _COMMITTEES | _BRANCH),
            Entry("/batch", "批量转接", "Batch move", _COMMITTEES),
            Entry("/list", "业务列表", "All transfers"),
            Entry("/bulk", "批量办理进度", "Bulk decisions"),
        ),
    ),
    Section(
        "组织管理",
        "Organisations",
        (
            Entry("/orgs", "管理下级组织", "Organisations", _COMMITTEES | _LEADING),
            Entry("/check", "组织信息", "Own organisation"),
            Entry("/posts", "团干部与管理员", "Cadres and administrators"),
            Entry("/graduation", "毕业时间", "Graduation", _COMMITTEES, schools=True),
            Entry("/schools", "学校专区", "Schools", _LEADING),
        ),
    ),
    Section(
        "团员管理",
        "Members",
        (
            Entry("/members", "团员列表", "Members"),
            Entry("/registers", "留校与出国登记", "Registers"),
            Entry("/letters", "介绍信", "Letters", _COMMITTEES),
            Entry("/reports", "工作名单", "Work lists"),
            Entry("/search", "全局搜索", "Search"),
        ),
    ),
    Section(
        "统计",
        "Statistics",
        (
            Entry("/figures", "学社衔接", "Hand-over rates"),
            Entry("/board", "时限看板", "Deadline board", _COMMITTEES | _LEADING),
            Entry("/progress", "录入进度", "Entry progress"),
            Entry("/policy", "时限政策", "Season policy"),
            Entry("/audit", "操作日志", "Audit log", _LEADING, top=True),
        ),
    ),
)


def of(kind: str, school: bool, top: bool = False) -> tuple[Section, ...]:
    """Return the menu of an organisation of a kind: no page that it could not use (UI-09)."""
    shown = []
    for one in MENU:
        entries = tuple(
            entry
            for entry in one.entries
            if (not kind or not entry.kinds or kind in entry.kinds)
            and (not kind or school or not entry.schools)
            and (top or not entry.top)
        )
        if entries:
            shown.append(Section(one.zh, one.en, entries))
    return tuple(shown)


def _is_at(entry: Entry, path: str) -> bool:
    return path == entry.path or path.startswith(f"{entry.path}/")


def section(path: str) -> Section | None:
    """Return the section that a page belongs to."""
    return next((one for one in MENU if any(_is_at(entry, path) for entry in one.entries)), None)


def entry(path: str) -> Entry | None:
    """Return the entry that a page belongs to."""
    return next((one for part in MENU for one in part.entries if _is_at(one, path)), None)
