"""What an acting organisation can do: one table from which menu, buttons and refusals come (UI-04..13).

A page stands here once, with the kinds of organisations that have a use for it. The menu shows
those; `can` asks the same of a button; and whoever types the address of another is told so.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.translations import N_


class Entry(NamedTuple):
    """A page of the menu: its path and its name.

    `kinds` are those of the acting organisations for which it is of use (empty: all); `schools`
    says whether it is for schools only, `top` whether for the centre and the provincial bodies
    only.
    """

    path: str
    zh: str
    kinds: frozenset[str] = frozenset()
    schools: bool = False
    top: bool = False


class Section(NamedTuple):
    """A section of the menu with its icon and pages; the first is where the section leads."""

    zh: str
    icon: str
    entries: tuple[Entry, ...]


_COMMITTEES = frozenset({"committee", "work_committee", "general_branch"})
_LEADING = frozenset({"leading_body"})
_BRANCH = frozenset({"branch"})

MENU = (
    Section(
        N_("操作中心"),
        "list-checks",
        (
            Entry("/desk", N_("待办与消息")),
            Entry("/registrations", N_("注册申请")),
            Entry("/migrations", N_("组织迁移")),
            Entry("/escalations", N_("协调申请"), _COMMITTEES | _LEADING),
        ),
    ),
    Section(
        N_("业务办理"),
        "arrow-left-right",
        (
            Entry("/work", N_("组织关系转接审批")),
            Entry("/out", N_("办理转出"), _COMMITTEES | _BRANCH),
            Entry("/in", N_("办理转入"), _COMMITTEES | _BRANCH),
            Entry("/batch", N_("批量转接"), _COMMITTEES),
            Entry("/list", N_("业务列表")),
            Entry("/bulk", N_("批量办理进度")),
        ),
    ),
    Section(
        N_("组织管理"),
        "building-2",
        (
            Entry("/orgs", N_("管理下级组织"), _COMMITTEES | _LEADING),
            Entry("/check", N_("组织信息")),
            Entry("/posts", N_("团干部与管理员")),
            Entry("/graduation", N_("毕业时间"), _COMMITTEES, schools=True),
            Entry("/schools", N_("学校专区"), _LEADING),
        ),
    ),
    Section(
        N_("团员管理"),
        "users",
        (
            Entry("/members", N_("团员列表")),
            Entry("/registers", N_("留校与出国登记")),
            Entry("/letters", N_("介绍信"), _COMMITTEES),
            Entry("/reports", N_("工作名单")),
            Entry("/search", N_("全局搜索")),
        ),
    ),
    Section(
        N_("统计"),
        "chart-column",
        (
            Entry("/figures", N_("学社衔接")),
            Entry("/board", N_("时限看板"), _COMMITTEES | _LEADING),
            Entry("/progress", N_("录入进度")),
            Entry("/policy", N_("时限政策")),
            Entry("/audit", N_("操作日志"), _LEADING, top=True),
        ),
    ),
    Section(
        N_("系统对接"),
        "external-link",
        (Entry("/bridges", N_("对接系统"), _LEADING, top=True),),
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
            shown.append(Section(one.zh, one.icon, entries))
    return tuple(shown)


_BEHIND = {"/list": "/transfers/"}
"""Where the pages stand to which an entry leads, unless that is below its own address."""


def _is_at(entry: Entry, path: str) -> bool:
    below = _BEHIND.get(entry.path, f"{entry.path}/")
    return path == entry.path or path.startswith(below)


def section(path: str) -> Section | None:
    """Return the section that a page belongs to."""
    return next((one for one in MENU if any(_is_at(entry, path) for entry in one.entries)), None)


def entry(path: str) -> Entry | None:
    """Return the entry that a page belongs to."""
    return next((one for part in MENU for one in part.entries if _is_at(one, path)), None)


def can(path: str, kind: str, school: bool, top: bool = False) -> bool:
    """Return whether an organisation of a kind has a use for a page; pages of no section are for all."""
    wanted = entry(path)
    return wanted is None or any(wanted in part.entries for part in of(kind, school, top))


def landing(kind: str) -> str:
    """Return where somebody who acts for an organisation of a kind begins the day.

    It is what waits for a decision; a leading body, which decides little itself, begins with what
    is late below it.
    """
    return "/board" if kind in _LEADING else "/desk"
