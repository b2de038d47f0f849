"""The menu: sections and what is in them, by the catalogue's names (UI-04..13)."""
from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A page of the menu: its path, its name in both languages, whether only those who act for an organisation have it."""

    path: str
    zh: str
    en: str


class Section(NamedTuple):
    """A section of the menu with its pages; the first is where the section leads."""

    zh: str
    en: str
    entries: tuple[Entry, ...]


MENU = (
    Section("操作中心", "Operation centre", (
        Entry("/desk", "待办与消息", "To do and messages"), Entry("/registrations", "注册申请", "Registrations"), Entry("/migrations", "组织迁移", "Migrations"),
        Entry("/escalations", "协调申请", "Escalations"))),
    Section("业务办理", "Transfers", (
        Entry("/work", "组织关系转接审批", "Approvals"), Entry("/out", "办理转出", "Transfer out"), Entry("/in", "办理转入", "Transfer in"),
        Entry("/batch", "批量转接", "Batch move"), Entry("/list", "业务列表", "All transfers"), Entry("/bulk", "批量办理进度", "Bulk decisions"))),
    Section("组织管理", "Organisations", (
        Entry("/orgs", "管理下级组织", "Organisations"), Entry("/check", "组织信息", "Own organisation"), Entry("/posts", "团干部与管理员", "Cadres and administrators"),
        Entry("/graduation", "毕业时间", "Graduation"), Entry("/schools", "学校专区", "Schools"))),
    Section("团员管理", "Members", (
        Entry("/members", "团员列表", "Members"), Entry("/registers", "留校与出国登记", "Registers"), Entry("/letters", "介绍信", "Letters"),
        Entry("/reports", "工作名单", "Work lists"), Entry("/search", "全局搜索", "Search"))),
    Section("统计", "Statistics", (
        Entry("/figures", "学社衔接", "Hand-over rates"), Entry("/board", "时限看板", "Deadline board"), Entry("/progress", "录入进度", "Entry progress"), Entry("/policy", "时限政策", "Season policy"))),
)


def section(path: str) -> Section | None:
    """Return the section that a page belongs to."""
    return next((one for one in MENU if any(path == entry.path or path.startswith(f"{entry.path}/") for entry in one.entries)), None)
