"""The API as one table; Flask's rules and OpenAPI come from it.

A line says method, path, contract, and how the request is made from the HTTP request.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NamedTuple

from shared.messages import federation, members, orgs, transfers
from shared.messages.audit import ListAudit

Values = dict[str, Any]
AUDIT_QUERY: dict[str, Callable[[str], Any]] = {
    "kind": str,
    "person_id": int,
    "about": int,
    "place_id": int,
    "since": datetime.fromisoformat,
    "until": datetime.fromisoformat,
    "after": str,
    "limit": int,
}


class Route(NamedTuple):
    """One operation.

    Attributes:
        method: HTTP method.
        path: Flask rule below `/api/v1`.
        contract: The call that answers it.
        summary: What it is for, a text of the catalogue.
        query: Names of query parameters with their types (or what reads them), for GET.
        make: Builds the contract's request from path and query values; None: the body is the request, or
            `{"items": [...]}` of a command.
        key: Of lists in pages, the field of a row that the next page comes after; a spreadsheet of the
            list has all pages.
        pdf: The reply is one letter, returned as PDF.

    """

    method: str
    path: str
    contract: Any
    summary: str
    query: dict[str, Callable[[str], Any]] = {}
    make: Callable[[Values], Any] | None = None
    key: str = ""
    pdf: bool = False


# One operation a line, however long: the table is read and searched by its lines.
# fmt: off
ROUTES = (
    Route("POST", "/sessions", members.sign_in, "登录"),
    Route("POST", "/sessions/renew", members.renew, "续期令牌"),
    Route("POST", "/sessions/end", members.sign_out, "退出"),
    Route("GET", "/captcha", members.get_captcha, "验证码图片", make=lambda v: members.GetCaptcha()),
    Route("POST", "/sessions/list", members.list_sessions, "我的登录与历史"),
    Route("POST", "/sessions/end-others", members.end_sessions, "下线其他登录"),
    Route("POST", "/registrations/administrator", members.register_administrator, "管理员注册"),
    Route("POST", "/registrations/redeem", members.redeem_code, "已有账号使用管理员注册码"),
    Route("POST", "/registrations", members.register, "团员团干部注册"),
    Route("GET", "/registrations/places", orgs.find_to_join, "可以申请加入的组织", {"text": str}, lambda v: orgs.FindToJoin(**v)),
    Route("GET", "/registrations", members.list_registrations, "待接收的注册申请", {"own": bool, "name": str},
          lambda v: members.ListRegistrations(**v)),
    Route("POST", "/registrations/decisions", members.decide_registrations, "接收或驳回注册申请"),
    Route("POST", "/registration-codes", members.issue_registration_codes, "生成管理员注册码"),
    Route("POST", "/password", members.change_password, "修改密码"),
    Route("POST", "/password/reset", members.reset_password, "凭密码重置验证码设置新密码"),
    Route("POST", "/members/reset-codes", members.issue_reset_codes, "生成密码重置验证码"),
    Route("GET", "/me", members.who_am_i, "我的资料与历史", make=lambda v: members.WhoAmI()),
    Route("GET", "/me/transfers", transfers.my_transfers, "我的转接", make=lambda v: transfers.MyTransfers()),
    Route("GET", "/my-orgs", orgs.my_orgs, "我管理的组织", make=lambda v: orgs.MyOrgs()),
    Route("GET", "/orgs", orgs.search_orgs, "按名称查找组织", {"text": str, "below": int, "targets_only": bool, "systems": bool, "system": str, "limit": int},
          lambda v: orgs.SearchOrgs(**v)),
    Route("GET", "/contacts", orgs.list_contacts, "县、市团委联系电话", {"text": str}, lambda v: orgs.ListContacts(**v)),
    Route("GET", "/orgs/<int:org_id>", orgs.get_orgs, "组织信息", make=lambda v: orgs.GetOrgs(org_ids=[v["org_id"]])),
    Route("GET", "/orgs/<int:org_id>/at", orgs.get_orgs_at, "某日的组织名称、上级和管理员",
          {"on": date.fromisoformat}, lambda v: orgs.GetOrgsAt(org_ids=[v.pop("org_id")], **v)),
    Route("GET", "/audit/orgs", orgs.list_audit, "组织与权限的操作日志", AUDIT_QUERY, lambda v: ListAudit(**v), key="cursor"),
    Route("GET", "/audit/members", members.list_audit, "团员事务的操作日志", AUDIT_QUERY, lambda v: ListAudit(**v), key="cursor"),
    Route("GET", "/audit/transfers", transfers.list_audit, "批量办理、政策和通知地址的操作日志", AUDIT_QUERY,
          lambda v: ListAudit(**v), key="cursor"),
    Route("GET", "/orgs/<int:org_id>/children", orgs.list_children, "直属下级", {"after": int, "limit": int}, lambda v: orgs.ListChildren(**v), key="org_id"),
    Route("GET", "/orgs/<int:org_id>/administrators", orgs.list_administrators, "管理员", make=lambda v: orgs.ListAdministrators(org_ids=[v["org_id"]])),
    Route("GET", "/branches/<int:branch_id>/members", members.list_members, "团支部团员", {"after": int, "limit": int},
          lambda v: members.ListMembers(**v), key="member_id"),
    Route("GET", "/branches/<int:branch_id>/composition", members.get_composition, "团支部成员统计", make=lambda v: members.GetComposition(**v)),
    Route("GET", "/orgs/<int:org_id>/cadres", members.list_cadres, "团干部列表", make=lambda v: members.ListCadres(**v)),
    Route("GET", "/orgs/<int:org_id>/entry-progress", members.get_entry_progress, "录入进度", {"domain": str, "schools_only": bool},
          lambda v: members.GetEntryProgress(**v)),
    Route("POST", "/posts", members.set_posts, "团干部职务变更"),
    Route("POST", "/orgs/checks", orgs.check_orgs, "核对并完善本组织信息"),
    Route("POST", "/orgs/school-numbers", orgs.set_school_numbers, "完善学校机构编号"),
    Route("POST", "/migrations", orgs.request_migrations, "申请组织迁移"),
    Route("POST", "/migrations/decisions", orgs.decide_migrations, "审批或撤销组织迁移"),
    Route("GET", "/migrations/preview", orgs.preview_migration, "组织迁移的影响", {"org_id": int, "to_org_id": int}, lambda v: orgs.PreviewMigration(**v)),
    Route("GET", "/migrations", orgs.list_migrations, "组织迁移", {"waiting": bool}, lambda v: orgs.ListMigrations(**v)),
    Route("POST", "/orgs", orgs.save_orgs, "新建或编辑组织"),
    Route("POST", "/orgs/order", orgs.order_orgs, "调整下级组织的顺序"),
    Route("POST", "/orgs/names", orgs.rebuild_names, "按层级重新生成下级组织全称"),
    Route("GET", "/orgs/<int:org_id>/names", orgs.preview_names, "预览重新生成的组织全称", {}, lambda v: orgs.PreviewNames(**v)),
    Route("POST", "/orgs/names/progress", orgs.get_rebuild, "重新生成全称的进度"),
    Route("POST", "/orgs/deletions", orgs.delete_orgs, "删除组织"),
    Route("POST", "/orgs/members", members.count_inside, "组织内的团员和注册申请数"),
    Route("POST", "/orgs/transfers", transfers.count_in_the_way, "组织的未办结转接数"),
    Route("GET", "/orgs/<int:org_id>/open-transfers", transfers.count_open_below, "组织及下级的未办结转接数", make=lambda v: transfers.CountOpenBelow(**v)),
    Route("POST", "/administrators", orgs.set_administrators, "任免管理员"),
    Route("POST", "/members", members.admit, "录入团员"),
    Route("POST", "/imports/rows", members.import_rows, "上传名单中的行"),
    Route("POST", "/imports/progress", members.get_import, "导入进度与失败行"),
    Route("GET", "/members/<int:member_id>", members.get_profile, "团员档案", make=lambda v: members.GetProfile(**v)),
    Route("POST", "/members/edits", members.edit_members, "修改团员资料"),
    Route("POST", "/members/deletion-requests", members.request_deletions, "上报删除录入错误的团员"),
    Route("POST", "/members/deletions", members.delete_members, "删除录入错误的团员"),
    Route("POST", "/members/where", members.where_was, "某日所在团支部"),
    Route("POST", "/members/search", members.search_members, "全局搜索团员"),
    Route("POST", "/members/id-numbers", members.reveal_ids, "查看完整身份证号码(留痕)"),
    Route("GET", "/orgs/<int:org_id>/all-members", members.list_below, "本组织及下级的团员",
          {"name": str, "graduate": bool, "mark": str, "incomplete": bool, "sort": str, "after": int, "limit": int}, lambda v: members.ListBelow(**v), key="member_id"),
    Route("POST", "/members/export", members.export_members, "导出团员(留痕)", key="member_id"),
    Route("GET", "/reports/<kind>", members.get_report, "工作名单", {"name": str, "after": int, "limit": int}, lambda v: members.GetReport(**v), key="key"),
    Route("POST", "/retentions", members.request_retentions, "申请留校或出国(境)保留组织关系"),
    Route("POST", "/retentions/decisions", members.decide_retentions, "审批、结束或报告"),
    Route("GET", "/retentions", members.list_retentions, "登记册", {"kind": str, "state": str, "name": str, "sort": str, "own": bool, "after": int, "limit": int},
          lambda v: members.ListRetentions(**v), key="retention_id"),
    Route("POST", "/letters", members.issue_letters, "开具组织关系介绍信"),
    Route("POST", "/letters.pdf", members.issue_letters, "开具介绍信(PDF)", pdf=True),
    Route("POST", "/letters/void", members.void_letters, "作废介绍信"),
    Route("GET", "/letters", members.list_letters, "已开具的介绍信",
          {"state": str, "text": str, "oldest_first": bool, "after": int, "limit": int}, lambda v: members.ListLetters(**v), key="letter_id"),
    Route("GET", "/letters/<int:letter_id>", members.print_letter, "补打介绍信", make=lambda v: members.PrintLetter(**v)),
    Route("GET", "/letters/check", members.check_letter, "核验介绍信", {"code": str}, lambda v: members.CheckLetter(**v)),
    Route("POST", "/members/look-up", members.look_up, "按姓名和身份证号查询"),
    Route("POST", "/members/describe", members.describe_people, "人员信息"),
    Route("POST", "/branch-marks", members.mark_branches, "标记团支部毕业时间"),
    Route("POST", "/member-marks", members.mark_members, "标记延迟毕业团员、教师或单独的毕业时间"),
    Route("GET", "/branch-marks", members.list_branch_marks, "下级团支部及其毕业时间",
          {"unmarked_only": bool, "name": str, "after": int, "limit": int}, lambda v: members.ListBranchMarks(**v), key="branch_id"),
    Route("POST", "/transfers", transfers.request_transfers, "发起组织关系转接"),
    Route("GET", "/transfers", transfers.list_started, "转出与转入列表", {"side": str, "open_only": bool, "state": str, "reason": str, "oldest_first": bool, "after": int, "limit": int},
          lambda v: transfers.ListStarted(**v), key="transfer_id"),
    Route("GET", "/transfers/<int:transfer_id>", transfers.get_transfer, "转接进度",
          make=lambda v: transfers.GetTransfer(transfer_id=v["transfer_id"])),
    Route("POST", "/transfers/decisions", transfers.decide_nodes, "审批"),
    Route("POST", "/transfers/withdrawals", transfers.withdraw_transfers, "撤销"),
    Route("POST", "/transfers/assignments", transfers.assign_branches, "分配团支部"),
    Route("POST", "/transfers/batches", transfers.move_batches, "组织关系批量转接"),
    Route("GET", "/transfers/batches/<uuid:batch_id>", transfers.get_batch, "批量转接结果", make=lambda v: transfers.GetBatch(**v)),
    Route("POST", "/transfers/restarts", transfers.restart_transfers, "重新发起"),
    Route("POST", "/transfers/urges", transfers.urge_transfers, "催办"),
    Route("POST", "/transfers/looks", transfers.look_at_nodes, "标记正在查看"),
    Route("POST", "/transfers/advice", transfers.advise, "去向建议"),
    Route("POST", "/escalations", transfers.escalate_transfers, "申请上级协调"),
    Route("POST", "/escalations/answers", transfers.answer_escalations, "答复协调申请"),
    Route("GET", "/escalations", transfers.list_escalations, "协调申请", {"open_only": bool, "reason": str, "oldest_first": bool},
          lambda v: transfers.ListEscalations(**v)),
    Route("POST", "/bulk/count", transfers.count_matching, "符合条件的待办数"),
    Route("POST", "/bulk", transfers.start_bulks, "按条件批量办理"),
    Route("GET", "/bulk", transfers.get_bulk, "批量办理进度", make=lambda v: transfers.GetBulk()),
    Route("GET", "/bulk/<uuid:bulk_id>", transfers.get_bulk, "批量办理结果", make=lambda v: transfers.GetBulk(**v)),
    Route("POST", "/bulk/stop", transfers.stop_bulks, "停止批量办理"),
    Route("GET", "/messages", transfers.list_messages, "消息",
          {"kind": str, "unread_only": bool, "since": datetime.fromisoformat, "until": datetime.fromisoformat, "after": str, "limit": int}, lambda v: transfers.ListMessages(**v), key="cursor"),
    Route("POST", "/messages/read", transfers.mark_messages, "标为已读"),
    Route("GET", "/figures", transfers.get_figures, "升学衔接率、学社衔接率", {"org_id": int, "cohort": int}, lambda v: transfers.GetFigures(**v)),
    Route("GET", "/figures/<figure>/members", transfers.list_behind, "统计项对应的团员",
          {"org_id": int, "cohort": int, "after": int, "limit": int}, lambda v: transfers.ListBehind(**v), key="member_id"),
    Route("GET", "/board", transfers.get_board, "时限看板", {"org_id": int}, lambda v: transfers.GetBoard(**v)),
    Route("POST", "/board/urges", transfers.urge_below, "一键催办"),
    Route("GET", "/policy", transfers.get_policy, "现行政策与对比", {"compare": str}, lambda v: transfers.GetPolicy(**v)),
    Route("POST", "/webhooks", transfers.set_webhooks, "登记或停用通知地址"),
    Route("GET", "/webhooks", transfers.list_webhooks, "通知地址与发送情况", make=lambda v: transfers.ListWebhooks()),
    Route("GET", "/work", transfers.list_work, "待办",
          {"state": str, "reason": str, "source_branch_id": int, "target_province": str, "due": str, "check": str, "questioned": bool, "unquestioned": bool, "name": str, "reminded": bool, "sort": str,
           "since": datetime.fromisoformat, "until": datetime.fromisoformat, "after": str, "limit": int}, lambda v: transfers.ListWork(**v), key="cursor"),
    Route("POST", "/work/count", transfers.count_work, "待办数"),
    Route("GET", "/work/habits", transfers.list_habits, "自己保存的视图和常用意见", make=lambda v: transfers.ListHabits()),
    Route("POST", "/work/views", transfers.save_views, "保存视图"),
    Route("POST", "/work/views/drop", transfers.drop_views, "删除视图"),
    Route("POST", "/work/phrases", transfers.keep_phrases, "记住常用意见"),
    Route("POST", "/work/phrases/drop", transfers.drop_phrases, "删除常用意见"),
    Route("POST", "/work/assignment", transfers.plan_assignment, "按规则分配的预览"),
    Route("GET", "/bridges/<peer>", federation.get_bridge, "对接系统的状态", make=lambda v: federation.GetBridge(**v)),
    Route("GET", "/bridges/<peer>/handovers", federation.list_handovers, "未办结的跨系统业务", {"in_doubt": bool, "after": str, "limit": int},
          lambda v: federation.ListHandovers(**v), key="cursor"),
    Route("GET", "/bridges/<peer>/messages", federation.get_messages, "一次跨系统业务的消息和回执", {"subject": str, "transfer_id": int},
          lambda v: federation.GetMessages(**v)),
    Route("GET", "/bridges/<peer>/evidence", federation.get_evidence, "一次跨系统业务的证据", {"subject": str, "transfer_id": int},
          lambda v: federation.GetEvidence(**v)),
    Route("GET", "/bridges/<peer>/quarantine", federation.list_quarantine, "隔离的消息", {"decided": bool, "after": str, "limit": int},
          lambda v: federation.ListQuarantine(**v), key="cursor"),
    Route("GET", "/bridges/<peer>/differences", federation.list_differences, "对账差异", {"all": bool, "after": str, "limit": int},
          lambda v: federation.ListDifferences(**v), key="cursor"),
    Route("GET", "/registry-keys", members.get_registry_keys, "档案密钥的期限", make=lambda v: members.GetRegistryKeys()),
    Route("POST", "/bridges/pauses", federation.pause_bridges, "暂停向对方系统发送"),
    Route("POST", "/bridges/resumptions", federation.resume_bridges, "恢复向对方系统发送"),
    Route("POST", "/bridges/resends", federation.send_again, "重发消息"),
    Route("POST", "/bridges/quarantine/decisions", federation.decide_quarantine, "处理隔离的消息"),
    Route("POST", "/bridges/reconciliations", federation.reconcile_now, "立即与对方系统对账"),
    Route("POST", "/bridges/repairs", federation.repair_differences, "处理对账差异"),
    Route("POST", "/bridges/releases", federation.release_members, "解除移交存疑"),
    Route("POST", "/bridges/abandonments", federation.give_up_arrivals, "停止等待档案"),
    Route("GET", "/counts", transfers.count_transfers, "转接统计", make=lambda v: transfers.Counts()),
)
# fmt: on
