"""What the audit log knows to have happened: each kind with its words in Chinese and English.

What stands before the dot groups the kinds.
"""

from __future__ import annotations

# fmt: off
KINDS: dict[str, tuple[str, str]] = {
    # organisations
    "org.created":           ("新建组织", "Organisation created"),
    "org.edited":            ("修改组织", "Organisation edited"),
    "org.deleted":           ("删除组织", "Organisation deleted"),
    "org.restored":          ("恢复组织", "Organisation restored"),
    "org.graduated":         ("转为毕业生团组织", "Became a graduates' organisation"),
    "org.reopened":          ("恢复为普通团支部", "Ordinary branch again"),
    "org.moved":             ("变更上级组织", "Superior changed"),
    "org.loaded":            ("导入组织树", "Tree loaded"),
    "right.given":           ("授予管理权限", "Right given"),
    "right.revoked":         ("撤销管理权限", "Right revoked"),
    "migration.requested":   ("申请组织迁移", "Migration requested"),
    "migration.agreed":      ("原上级同意迁移", "Migration agreed by the old superior"),
    "migration.approved":    ("批准组织迁移", "Migration approved"),
    "migration.rejected":    ("驳回组织迁移", "Migration rejected"),
    "migration.withdrawn":   ("撤销组织迁移", "Migration withdrawn"),
    "migration.returned":    ("退回组织迁移", "Migration returned"),
    # members
    "member.entered":        ("录入团员", "Members entered"),
    "member.edited":         ("修改团员资料", "Member edited"),
    "member.marked":         ("标记团员毕业信息", "Member marked"),
    "member.deleted":        ("删除团员", "Member deleted"),
    "member.reported":       ("上报删除", "Deletion asked for"),
    "branch.marked":         ("标记团支部毕业时间", "Branch marked"),
    "administrator.first":   ("设立首位管理员", "First administrator made"),
    "post.given":            ("任职", "Post given"),
    "post.ended":            ("免职", "Post ended"),
    "code.registration":     ("生成管理员注册码", "Registration code issued"),
    "code.redeemed":         ("使用管理员注册码", "Registration code used"),
    "code.reset":            ("生成密码重置验证码", "Reset code issued"),
    "code.reset_used":       ("凭验证码重置密码", "Reset code used"),
    "registration.asked":    ("申请注册", "Registration asked for"),
    "registration.accepted": ("接收注册", "Registration accepted"),
    "registration.rejected": ("驳回注册", "Registration rejected"),
    "registration.withdrawn": ("撤销注册", "Registration withdrawn"),
    "registration.expired":  ("注册申请过期", "Registration expired"),
    "retention.requested":   ("申请保留组织关系", "Retention requested"),
    "retention.approved":    ("批准保留组织关系", "Retention approved"),
    "retention.refused":     ("不同意保留组织关系", "Retention refused"),
    "retention.ended":       ("结束保留组织关系", "Retention ended"),
    "retention.reported":    ("保留期间报告", "Report on who stays"),
    "letter.issued":         ("开具介绍信", "Letter issued"),
    "letter.voided":         ("作废介绍信", "Letter voided"),
    "import.started":        ("上传名单", "Roster handed over"),
    "view.unmasked":         ("查看完整身份证号码", "ID numbers seen in full"),
    "view.looked_up":        ("按姓名和身份证号查询", "Looked up by name and ID number"),
    "view.searched":         ("全局搜索团员", "Members searched for"),
    "view.failures":         ("查看导入失败行", "Failed rows of a roster seen"),
    "export.members":        ("导出团员", "Members exported"),
    "export.full":           ("导出团员(完整号码)", "Members exported with full numbers"),
    "export.file":           ("下载表格", "List taken as a file"),
    # transfers
    "bulk.started":          ("批量办理", "Bulk decision started"),
    "bulk.stopped":          ("停止批量办理", "Bulk decision stopped"),
    "address.added":         ("登记通知地址", "Address to be told added"),
    "address.ended":         ("停用通知地址", "Address to be told switched off"),
    "policy.applied":        ("启用时限政策", "Season policy applied"),
    "policy.opened":         ("时限政策用于在办业务", "Season policy applied to open nodes"),
    "trail.sealed":          ("封存转接轨迹", "Trails of transfers sealed"),
}
# fmt: on
